//! What is done about one record.

use serde::{Deserialize, Serialize};

use super::{
    conflict::{Conflict, Decision},
    range::OperationId,
    statement::Statement,
    value::Datum,
};

/// What becomes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It was deleted, and comes back.
    ComesBack,
    /// It was changed, and becomes what it was.
    ChangesBack,
    /// It was added, and goes.
    Goes,
    /// It is already as it was.
    IsSo,
}

/// A record that has values which no two may have, and is deleted for that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pushed {
    /// Its key.
    pub key: Vec<Datum>,
    /// What it is.
    pub found: Vec<Datum>,
}

/// What is done about one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its table, as the log names it.
    pub table: String,
    /// That table among those of the plan.
    pub at: Option<usize>,
    /// Its key, or rowid.
    pub key: Vec<Datum>,
    /// The operations that are taken back.
    pub operations: Vec<OperationId>,
    /// What becomes of it.
    pub fate: Fate,
    /// What it is now, by the columns of the table.
    pub found: Option<Vec<Datum>>,
    /// What it will be; where a value is not known, it is what SQLite makes it by default.
    pub after: Option<Vec<Option<Datum>>>,
    /// The statements, none where nothing is done.
    pub statements: Vec<Statement>,
    /// What is deleted for it.
    pub pushed: Vec<Pushed>,
    /// What is in the way.
    pub conflicts: Vec<Conflict>,
    /// What was decided about that.
    pub decision: Option<Decision>,
}

impl Step {
    /// Whether something is in the way and nothing was decided that can be done.
    pub fn is_open(&self) -> bool {
        match self.decision {
            _ if self.conflicts.is_empty() => false,
            Some(Decision::Skip) => false,
            Some(Decision::Overwrite) => !self.can_be_overwritten(),
            None => true,
        }
    }

    /// Whether it can become what it was, whatever is in its way.
    pub fn can_be_overwritten(&self) -> bool {
        self.conflicts.iter().all(Conflict::can_be_overwritten)
    }

    /// Whether it was decided to leave it.
    pub fn is_skipped(&self) -> bool {
        !self.conflicts.is_empty() && self.decision == Some(Decision::Skip)
    }
}
