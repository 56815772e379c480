//! What the dialog *Look at this state…* remembers, and what *Information* does.
//!
//! ```text
//! seen    the state, as the engine tells it: its tables, and the rows around those that are seen
//! save    its records in a file
//! picks   which of them are selected
//! sizes   how large the tables of the data file are now
//! ```

pub(crate) mod picks;
pub(crate) mod save;
pub(crate) mod seen;
pub(crate) mod sizes;

use std::path::PathBuf;

use super::{
    action::{Action, Look, Sizes},
    dialogs::value::ValueForm,
    state::{Dialog, RestoreForm, State},
};
use crate::{
    as_of::ask::{Chosen, SaveForm, Sheet, Which},
    engine::Query,
    error::ErrorReport,
};

use picks::Picks;
use seen::Seen;

/// The parts of the dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Part {
    /// The tables and their records.
    #[default]
    Records,
    /// A statement.
    Statement,
    /// What is other now.
    Difference,
}

/// The form of *Look at this state…*.
#[derive(Debug)]
pub(crate) struct LookForm {
    pub(crate) seen: Seen,
    pub(crate) part: Part,
    /// The table that is shown.
    pub(crate) table: Option<String>,
    /// The column that its records are sorted by.
    pub(crate) sorted: Option<(String, bool)>,
    /// The text that is looked for in them.
    pub(crate) text: String,
    /// The statement as typed.
    pub(crate) sql: String,
    /// The first record of those in the list: not all of many are in it.
    pub(crate) first: u64,
    /// The record that is selected, from the first of all on.
    pub(crate) selected: Option<u64>,
    /// The records that are selected, that one among them.
    pub(crate) picks: Picks,
    /// The column of it that is selected.
    pub(crate) column: Option<usize>,
    /// The table, and the record, that is selected of what differs.
    pub(crate) differing: (Option<usize>, Option<usize>),
    /// A long value, above the dialog.
    pub(crate) value: Option<Box<ValueForm>>,
    /// The sheet that is to be saved when a folder is chosen, or that is being saved.
    pub(crate) saving: Option<(Sheet, SaveForm, Option<Chosen>)>,
    /// Whether that was begun.
    pub(crate) is_saving: bool,
    /// Where it was saved, or why not.
    pub(crate) saved: Option<Result<PathBuf, ErrorReport>>,
    /// What whoever opens it has to know.
    pub(crate) saved_remarks: Vec<String>,
}

impl LookForm {
    /// Nothing was asked yet.
    pub(crate) fn new(data_file: PathBuf, which: Which) -> Self {
        Self {
            seen: Seen::new(data_file, which),
            part: Part::default(),
            table: None,
            sorted: None,
            text: String::new(),
            sql: String::new(),
            first: 0,
            selected: None,
            picks: Picks::default(),
            column: None,
            differing: (None, None),
            value: None,
            saving: None,
            is_saving: false,
            saved: None,
            saved_remarks: Vec::new(),
        }
    }

    /// What is listed is another list from now on.
    pub(crate) fn begin_list(&mut self) {
        (self.first, self.selected, self.column) = (0, None, None);
        self.picks = Picks::default();
    }

    /// The records that the part shows.
    pub(crate) fn sheet(&self) -> Option<Sheet> {
        match self.part {
            Part::Records => self.table.as_ref().map(|table| Sheet::Table {
                table: table.clone(),
                sorted: self.sorted.clone(),
                text: self.text.trim().to_owned(),
            }),
            Part::Statement => match self.seen.sheet() {
                Some(Sheet::Statement(sql)) => Some(Sheet::Statement(sql.clone())),
                _ => None,
            },
            Part::Difference => None,
        }
    }
}

/// The form of *Look at a moment…*.
#[derive(Debug)]
pub(crate) struct MomentForm {
    /// Canonical path of the data file.
    pub(crate) data_file: PathBuf,
    /// Whether there is an archive to begin with.
    pub(crate) has_archive: bool,
    /// What is chosen, as for a restore.
    pub(crate) restore: RestoreForm,
}

impl MomentForm {
    /// The form for a data file, with the archive that its timeline begins with.
    pub(crate) fn new(data_file: PathBuf, archive: Option<PathBuf>) -> Self {
        let has_archive = archive.is_some();
        let restore = RestoreForm::new(archive.unwrap_or_default(), Vec::new(), Some(data_file.clone()));
        Self { data_file, has_archive, restore }
    }

    /// What it waits for.
    pub(crate) fn question(&self) -> Option<Query> {
        self.has_archive.then(|| self.restore.question())
    }
}

impl State {
    /// Takes what has come for the dialog; returns what is to be asked.
    pub(crate) fn go_on_looking(&mut self) -> Option<Action> {
        match &mut self.dialog {
            Some(Dialog::Look(form)) => {
                form.seen.take();
                form.seen.poll().0.map(|ask| Action::Look(Look::Ask(ask)))
            }
            Some(Dialog::Sizes(form)) => {
                form.take();
                form.poll().0.map(|ask| Action::Sizes(Sizes::Ask(ask)))
            }
            _ => None,
        }
    }
}
