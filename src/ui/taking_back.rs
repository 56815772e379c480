//! What the dialog *Take back…* remembers, and what becomes of its run.
//!
//! ```text
//! planned   what taking back would do, as the engine tells it
//! script    the same as a script
//! ```

pub(crate) mod planned;
pub(crate) mod script;

use std::path::PathBuf;

use super::{
    activity::Chosen,
    state::{Dialog, State},
};
use crate::{
    engine::{JobId, Status, status::DataFileStatus},
    error::{ErrorKind, ErrorReport},
    take_back::query::Ask,
};

use planned::Planning;

/// The form of *Take back…*.
#[derive(Debug)]
pub(crate) struct TakeBackForm {
    pub(crate) planning: Planning,
    /// What was selected, in words.
    pub(crate) what: String,
    /// The record in whose way something is that is selected.
    pub(crate) hindered: Option<usize>,
    /// The statement that is selected.
    pub(crate) statement: Option<usize>,
    /// In how many frames it was drawn, as far as that counts: the safe button gets the focus.
    pub(crate) shown: u8,
    /// The run that was begun.
    pub(crate) job: Option<JobId>,
    /// Why it failed.
    pub(crate) failed: Option<ErrorReport>,
    /// Where the script was saved, or why not.
    pub(crate) saved: Option<Result<PathBuf, ErrorReport>>,
}

impl State {
    /// Why what is selected cannot be taken back, if so.
    pub(crate) fn not_taken_back(&self, data_file: &DataFileStatus) -> Option<&'static str> {
        let form = &self.activity;
        match form.chosen {
            Chosen::Log(_) => {
                Some("Only what the logs of the data file hold can be taken back: choose them at the left")
            }
            _ if data_file.lost_since.is_some() => Some("Nobody looks after the data file at the moment"),
            _ if data_file.problem.is_some() => Some("The data file cannot be opened at the moment"),
            _ if form.picked.is_empty() => Some("Select commits or operations in the list first"),
            _ if form.takes_all() => {
                Some("This would take back everything that the log holds: look for what went wrong first")
            }
            _ => None,
        }
    }

    /// Opens the dialog for what is selected.
    pub(crate) fn ask_take_back(&mut self, data_file: PathBuf) {
        let form = &self.activity;
        let Some(source) = form.source() else { return };
        let listed = form.feed.state.as_ref().map_or(0, |state| state.passing_operations);
        let (pick, what) = (form.to_be_taken_back(), form.picked.in_words(listed));
        self.dialog = Some(Dialog::TakeBack(Box::new(TakeBackForm {
            planning: Planning::new(data_file, source, pick),
            what,
            hindered: None,
            statement: None,
            shown: 0,
            job: None,
            failed: None,
            saved: None,
        })));
    }

    /// Takes what has come for the dialog; returns what is to be asked.
    pub(crate) fn go_on_taking_back(&mut self, status: &Status) -> Option<Ask> {
        let Some(Dialog::TakeBack(form)) = &mut self.dialog else { return None };
        form.planning.take();
        let ended = form.job.and_then(|job| status.finished.iter().find(|finished| finished.id == job));
        if let Some(ended) = ended {
            form.job = None;
            match &ended.result {
                Ok(_) => {
                    // What was done is told at the head of the page.
                    self.dialog = None;
                    self.activity.go_to_beginning();
                    return None;
                }
                Err(error) => {
                    form.failed = Some(error.clone());
                    // What is told above its buttons is not told a second time behind them.
                    self.dismissed.insert(ended.id);
                    if error.kind == ErrorKind::Changed {
                        form.planning.again();
                    }
                }
            }
        }
        if form.job.is_some() { None } else { form.planning.poll().0 }
    }
}
