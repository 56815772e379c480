//! What a dialog asked an engine, and asking it again where the answer can no longer come.
//!
//! When an engine ends, all that was answered is forgotten: whoever is there now may see it otherwise. Asked again, the
//! question reaches them: at the least this window.

use std::path::Path;

use super::{
    answers::Answers,
    state::{Dialog, State},
};
use crate::{
    engine::{Host, Query, Status},
    restore::Logs,
};

/// The question of the dialog that is open.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// The engines of the last frame.
    engines: Vec<Host>,
    question: Option<Query>,
    is_answered: bool,
    /// Whether it is to be asked again.
    again: bool,
    /// Whether nobody looked after the data file in question, or its log was being opened.
    was_lost: bool,
    /// The engine that ended before it was answered, or took the answer with it.
    pub(crate) ended: Option<Host>,
}

impl Dialog {
    /// What the dialog waits for.
    fn question(&self) -> Option<Query> {
        let look = |path: &Path, segments: &[std::path::PathBuf]| {
            let (path, segments) = (path.to_path_buf(), segments.to_vec());
            Some(Query::Archive { path, segments, logs: Logs::Found })
        };
        match self {
            Dialog::Restore(form) => Some(form.question()),
            Dialog::LookMoment(form) => form.question(),
            Dialog::Repair(form) => look(&form.archive, &form.segments),
            Dialog::Segments(form) => look(&form.archive, &form.segments),
            Dialog::Undo(form) => Some(Query::Undo { data_file: form.data_file.clone(), of: form.of }),
            Dialog::Recover(form) => Some(Query::Recover { data_file: form.data_file.clone() }),
            Dialog::Report(form) | Dialog::Recovered(form) => {
                Some(Query::Report { data_file: form.data_file.clone(), job: form.job })
            }
            _ => None,
        }
    }

    fn is_answered(&self, answers: &Answers) -> bool {
        self.question().is_none_or(|question| answers.to(&question).is_some())
    }

    /// The data file whose running log is part of the answer, and whether only its own engine can give one.
    fn concerns(&self) -> Option<(&Path, bool)> {
        match self {
            Dialog::Restore(form) => Some((form.in_place.as_deref()?, false)),
            Dialog::LookMoment(form) => Some((&form.data_file, false)),
            Dialog::Undo(form) => Some((&form.data_file, true)),
            _ => None,
        }
    }
}

impl State {
    /// Looks whether what the open dialog waits for can still come; returns what is to be asked again.
    pub(crate) fn ask_again(&mut self, status: &Status) -> Option<Query> {
        let asked = &mut self.asked;
        let is_there = |host: &&Host| status.engines.iter().any(|now| now.process == host.process);
        let ended = asked.engines.iter().find(|host| !is_there(host)).copied();
        asked.engines.clone_from(&status.engines);
        if ended.is_some() {
            self.answers.forget();
            self.activity.feed.forget();
            self.activity.go_to_beginning();
        }
        let question = self.dialog.as_ref().and_then(Dialog::question);
        let Some(dialog) = self.dialog.as_mut().filter(|_| question.is_some()) else {
            *asked = Asked { engines: std::mem::take(&mut asked.engines), ..Asked::default() };
            return None;
        };
        if asked.question != question {
            // Whoever changed it has asked.
            let engines = std::mem::take(&mut asked.engines);
            *asked = Asked { engines, question: question.clone(), ..Asked::default() };
        }
        let is_answered = dialog.is_answered(&self.answers);
        let of = dialog.concerns().and_then(|(path, only)| Some((status.data_file(path)?, only)));
        let is_lost = of.is_some_and(|(data_file, _)| data_file.lost_since.is_some() || data_file.log_starting);
        if !is_answered && ended.is_some() {
            asked.ended = ended;
        }
        asked.again |= !is_answered && (asked.is_answered || ended.is_some()) || asked.was_lost && !is_lost;
        (asked.is_answered, asked.was_lost) = (is_answered, is_lost);
        if is_lost && of.is_some_and(|(_, only)| only) || !std::mem::take(&mut asked.again) {
            return None;
        }
        if let Some(form) = dialog.restore_form() {
            // Where a limit leads may be told otherwise as well.
            form.asked = None;
            form.timeline.ask_again();
        }
        question
    }
}
