//! What a dialog asked an engine, and asking it again where the answer can no longer come.
//!
//! An answer is in the status of the engine that was asked. When that engine ends, its answers go with it, those that
//! were given as well; and another window that asks much may push one out of a list. Asked again, the question reaches
//! whoever is there now: at the least this window.

use std::path::Path;

use super::state::{Dialog, State};
use crate::{
    engine::{Command, Host, Status},
    restore::Logs,
};

/// The question of the dialog that is open.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// The engines of the last frame.
    engines: Vec<Host>,
    question: Option<Command>,
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
    fn question(&self) -> Option<Command> {
        let look = |path: &Path, segments: &[std::path::PathBuf]| {
            let (path, segments) = (path.to_path_buf(), segments.to_vec());
            Some(Command::LookAtArchive { path, segments, logs: Logs::Found })
        };
        match self {
            Dialog::Restore(form) => Some(form.look_at()),
            Dialog::Repair(form) => look(&form.archive, &form.segments),
            Dialog::Segments(form) => look(&form.archive, &form.segments),
            Dialog::Undo(form) => Some(Command::LookAtUndo { data_file: form.data_file.clone(), of: form.of }),
            Dialog::Report(form) => Some(Command::LookAtReport { data_file: form.data_file.clone(), job: form.job }),
            _ => None,
        }
    }

    fn is_answered(&self, status: &Status) -> bool {
        let looked = |archive: &Path, segments: &[std::path::PathBuf]| {
            status.looked_at.iter().any(|look| look.path == archive && look.segments == segments)
        };
        match self {
            Dialog::Restore(form) => form.look(status).is_some(),
            Dialog::Repair(form) => looked(&form.archive, &form.segments),
            Dialog::Segments(form) => looked(&form.archive, &form.segments),
            Dialog::Undo(form) => {
                status.seen_undos.iter().any(|seen| (&seen.data_file, seen.of) == (&form.data_file, form.of))
            }
            Dialog::Report(form) => status.reports.iter().any(|shown| shown.job == form.job),
            _ => true,
        }
    }

    /// The data file whose running log is part of the answer, and whether only its own engine can give one.
    fn concerns(&self) -> Option<(&Path, bool)> {
        match self {
            Dialog::Restore(form) => Some((form.in_place.as_deref()?, false)),
            Dialog::Undo(form) => Some((&form.data_file, true)),
            _ => None,
        }
    }
}

impl State {
    /// Looks whether what the open dialog waits for can still come; returns what is to be asked again.
    pub(crate) fn ask_again(&mut self, status: &Status) -> Option<Command> {
        let asked = &mut self.asked;
        let is_there = |host: &&Host| status.engines.iter().any(|now| now.process == host.process);
        let ended = asked.engines.iter().find(|host| !is_there(host)).copied();
        asked.engines.clone_from(&status.engines);
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
        let is_answered = dialog.is_answered(status);
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
        if let Dialog::Restore(form) = dialog {
            // Where a limit leads may be told otherwise as well.
            form.asked = None;
        }
        question
    }
}
