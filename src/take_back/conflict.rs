//! What stands in the way of taking an operation back, and what can be decided about it.

use serde::{Deserialize, Serialize};

/// What is done about a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// The record stays as it is.
    Skip,
    /// The record becomes what it was, whatever stands in the way.
    Overwrite,
}

/// A column whose value is not the one that was expected, both for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differs {
    /// The column.
    pub column: String,
    /// What the chosen operations left.
    pub expected: String,
    /// What it is now.
    pub found: String,
}

/// Something in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "conflict", rename_all = "kebab-case")]
pub enum Conflict {
    /// The record was changed again since.
    Changed {
        /// Where.
        columns: Vec<Differs>,
    },
    /// Operations that are not chosen changed the record between those that are.
    ChangedBetween,
    /// The record is gone.
    Gone,
    /// Another record has its key now.
    Taken,
    /// The table is gone, or its records cannot be written.
    Table {
        /// Why.
        reason: String,
    },
    /// The table has not all columns any more.
    Columns {
        /// Those that are gone.
        gone: Vec<String>,
    },
    /// Another record has values now that no two may have.
    Unique {
        /// The table.
        table: String,
        /// The records that have them, by their keys; empty where they are not known.
        holders: Vec<String>,
        /// What SQLite says.
        reason: String,
    },
    /// The record refers to one that is not there.
    NoParent {
        /// The table of that one.
        table: String,
        /// The columns that refer.
        columns: Vec<String>,
    },
    /// Records refer to this one.
    Children {
        /// Their table.
        table: String,
        /// How many.
        count: u64,
    },
    /// Neither to fire the triggers of the table nor to leave them off is right.
    Triggers {
        /// Their names.
        names: Vec<String>,
        /// Why.
        reason: String,
    },
    /// SQLite does not take it.
    Refused {
        /// What it says.
        reason: String,
    },
}

impl Conflict {
    /// Whether the record can become what it was all the same.
    pub fn can_be_overwritten(&self) -> bool {
        match self {
            Conflict::Table { .. } | Conflict::Refused { .. } => false,
            Conflict::Unique { holders, .. } => !holders.is_empty(),
            _ => true,
        }
    }

    /// Whether both are about the same.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Conflict::NoParent { table: a, columns: b }, Conflict::NoParent { table: c, columns: d }) => {
                a == c && b == d
            }
            (Conflict::Children { table: a, .. }, Conflict::Children { table: b, .. }) => a == b,
            (a, b) => a == b,
        }
    }

    /// What is in the way, and what overwriting it means, as sentences.
    pub fn in_words(&self) -> String {
        match self {
            Conflict::Changed { columns } => {
                let one = |c: &Differs| format!("{} is {}, and was left as {}", c.column, c.found, c.expected);
                let all: Vec<String> = columns.iter().map(one).collect();
                format!("the record was changed again since: {}", all.join("; "))
            }
            Conflict::ChangedBetween => {
                "operations that are not chosen changed the record between those that are".to_owned()
            }
            Conflict::Gone => "the record is not there any more".to_owned(),
            Conflict::Taken => "another record has its key now; overwriting replaces that one".to_owned(),
            Conflict::Table { reason } => reason.clone(),
            Conflict::Columns { gone } => {
                format!("these columns are not there any more: {}; overwriting leaves them out", gone.join(", "))
            }
            Conflict::Unique { table, holders, reason } if holders.is_empty() => format!("{reason} (table {table})"),
            Conflict::Unique { table, holders, reason } => {
                format!("{reason}; overwriting deletes what has these values now: {table} {}", holders.join(", "))
            }
            Conflict::NoParent { table, columns } => format!(
                "it refers by {} to a record of {table} that is not there; overwriting leaves it so",
                columns.join(", ")
            ),
            Conflict::Children { table, count: 1 } => {
                format!("1 record of {table} refers to it; overwriting leaves that one without it")
            }
            Conflict::Children { table, count } => {
                format!("{count} records of {table} refer to it; overwriting leaves them without it")
            }
            Conflict::Triggers { names, reason } => {
                format!("the triggers of the table ({}) {reason}", names.join(", "))
            }
            Conflict::Refused { reason } => format!("SQLite does not take it: {reason}"),
        }
    }
}
