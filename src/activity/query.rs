//! What is asked of the index, and what it answers: a few rows at a time, and how far it is.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{filter::Filter, row::Row};
use crate::{
    error::ErrorReport,
    journal::{
        density::{Density, Span},
        plan::Stretch,
    },
    records::{operation::Action, schema::ObjectKind},
};

/// More rows are not answered at once.
pub const ROWS_MAX: u64 = 512;
/// So many letters of what was changed stand in a row.
const CHANGES_MAX: usize = 160;

/// Which logs are read.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The running log of a data file, from its last full backup on.
    Running,
    /// All logs of a data file from this archive of it on.
    Since(PathBuf),
    /// This log alone, whosever it is.
    Log,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// Commits with operations that pass the filter: [`Rows::Commits`].
    Commits {
        /// Only commits up to this number, so that rows stay where they are while more come; `None` for all.
        upto: Option<u64>,
        /// Whether the newest comes first.
        newest_first: bool,
        /// From the how many-th on.
        offset: u64,
        /// How many at most.
        count: u64,
    },
    /// Those operations of a commit: [`Rows::Operations`].
    Operations {
        /// The commit.
        commit: u64,
        /// From the how many-th on.
        offset: u64,
        /// How many at most.
        count: u64,
    },
    /// One operation with all its columns: [`Rows::Operation`].
    Operation {
        /// The commit.
        commit: u64,
        /// Its number within the commit.
        number: u64,
    },
    /// The next or the previous change of the record of an operation, whatever the filter: [`Rows::Operation`].
    Neighbour {
        /// The commit.
        commit: u64,
        /// The number of the operation within the commit.
        number: u64,
        /// Whether the next one is looked for.
        forward: bool,
    },
    /// What all commits from this one on did, whatever the filter: [`Rows::Totals`].
    Totals {
        /// The first of them.
        first: u64,
    },
    /// How dense the commits with operations are that pass the filter, whatever times it asks for: [`Rows::Density`].
    Density(Span),
    /// What passes the filter as lines of text, piece by piece, the oldest first: [`Rows::Lines`].
    Lines {
        /// Names the export: the first question with this name begins it.
        export: Uuid,
        /// What the lines are.
        form: Form,
        /// Only commits up to this number.
        upto: Option<u64>,
    },
    /// Reading stops. No rows.
    Stop,
    /// It goes on. No rows.
    GoOn,
}

/// What lines of text are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// JSON objects.
    Json,
    /// Comma-separated values, after a line with their names.
    Csv,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// How far the logs are read.
    pub state: State,
    /// What was asked for.
    pub rows: Rows,
}

/// Rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rows {
    /// Commits.
    Commits(Vec<CommitRow>),
    /// Operations of a commit.
    Operations(Vec<Brief>),
    /// One operation; `None` where there is none.
    Operation(Option<Box<Row>>),
    /// What some commits did to which table how often, the most first; without what SQLite keeps for itself.
    Totals {
        /// How many commits they are.
        commits: u64,
        /// What they did.
        parts: Vec<Part>,
    },
    /// How dense commits are.
    Density {
        /// Those that pass the filter.
        density: Density,
        /// Stretches of which all commits became one, the last ones of the span.
        catch_ups: Vec<Stretch>,
    },
    /// Lines of text.
    Lines {
        /// Whole lines, each with its end.
        text: String,
        /// How many operations were told so far.
        told: u64,
        /// Whether these are the last.
        is_last: bool,
    },
    /// None.
    None,
}

/// How far the logs are read, and what there is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct State {
    /// Whether they are being read.
    pub is_reading: bool,
    /// Whether reading was stopped.
    pub is_stopped: bool,
    /// Bytes read of all logs, and how many there are.
    pub bytes: (u64, u64),
    /// How many commits were read.
    pub commits: u64,
    /// How many operations they have.
    pub operations: u64,
    /// The number and the time of the oldest and of the newest of them.
    pub ends: Option<[(u64, DateTime<Utc>); 2]>,
    /// The archive from which on they are told: what was before it, is not known here.
    pub begins: Option<PathBuf>,
    /// The tables that were changed, in order of their names, with whether SQLite keeps them for itself.
    pub tables: Vec<(String, bool)>,
    /// When commits were made.
    pub times: Vec<Time>,
    /// How many commits of those that were asked for pass the filter, as far as they were looked at.
    pub passing_commits: u64,
    /// How many more pass it, which were made after those.
    pub newer_commits: u64,
    /// The number of the last commit that the filter looked at.
    pub looked_to: Option<u64>,
    /// How many operations of all pass it.
    pub passing_operations: u64,
    /// How many operations the filter looked at.
    pub looked_at: u64,
    /// How many operations have a long value that was not searched to its end.
    pub not_in_sight: u64,
    /// Why no more can be told.
    pub problem: Option<ErrorReport>,
    /// The log that ends in the middle of a commit: it is being written, or was cut off.
    pub torn: Option<PathBuf>,
}

/// A stretch of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Time {
    /// Where it begins.
    pub since: DateTime<Utc>,
    /// Where it ends.
    pub before: DateTime<Utc>,
    /// How many commits were made in it.
    pub commits: u64,
}

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitRow {
    /// Its number.
    pub commit: u64,
    /// What the clock showed when it was read.
    pub time: DateTime<Utc>,
    /// How many of its operations pass the filter.
    pub operations: u64,
    /// What they did to which table how often, the most first; not all where there are many kinds.
    pub parts: Vec<Part>,
    /// The operation, where just one passes.
    pub only: Option<Brief>,
}

/// What a commit did to a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The table, if there is one.
    pub table: Option<String>,
    /// What was done.
    pub action: Action,
    /// How often.
    pub count: u64,
}

/// An operation in a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brief {
    /// Its number within the commit.
    pub number: u64,
    /// What was done.
    pub action: Action,
    /// To what sort of object, unless it was a record.
    pub object: Option<ObjectKind>,
    /// The table that it is of.
    pub table: Option<String>,
    /// Which one it was.
    pub key: Option<String>,
    /// The columns that are others, old → new.
    pub changes: String,
    /// How many bytes its values have.
    pub bytes: u64,
    /// How many records went with a table, or pages were written.
    pub count: Option<u64>,
    /// Whether something of it cannot be told.
    pub is_doubtful: bool,
}

impl Brief {
    /// An operation of which all is known.
    pub fn of(row: &Row) -> Self {
        Self {
            number: row.number,
            action: row.action,
            object: row.object,
            table: row.table.clone(),
            key: row.key.clone(),
            changes: row.changes_in_words(CHANGES_MAX),
            bytes: row.bytes,
            count: row.count,
            is_doubtful: row.reason.is_some(),
        }
    }
}

/// A question in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Which logs.
    pub source: Source,
    /// What is looked for.
    #[serde(default)]
    pub filter: Filter,
    /// What is asked.
    pub ask: Ask,
}
