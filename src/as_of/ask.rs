//! What is asked of a state that an engine keeps open, and what it answers: a few rows at a time.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::differences::{Change, SchemaDifference, TableDifference};
use crate::{
    error::ErrorReport,
    journal::integrate::Until,
    records::{shown::Shown, workbook},
};

/// So many rows are a block, which is answered at once.
pub const BLOCK: u64 = 128;
/// A statement may take so many seconds.
pub const SECONDS_MAX: u64 = 60;
/// So many records of a statement are kept.
pub const RECORDS_MAX: u64 = 10_000;
/// So many records of a table are listed.
pub const LISTED_MAX: u64 = 8 << 20;
/// So many differences are named.
pub const NAMED_MAX: u64 = 100_000;
/// So many bytes of what is saved come at once.
pub const PIECE: u64 = 1 << 20;

/// A question in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Names the state that is looked at; whoever asks chooses the name.
    pub looking: Uuid,
    /// What is asked.
    pub ask: Ask,
}

/// Which state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Which {
    /// What an archive holds, without its logs.
    Archive {
        /// The archive.
        path: PathBuf,
        /// Folders that may hold segments of it, besides its own.
        #[serde(default)]
        segments: Vec<PathBuf>,
    },
    /// The state of the data file that this leads to.
    Until(Until),
}

/// What is asked. What takes its time has a number, which rises: the highest one is what is wanted, and what was going
/// on before ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// The state is to be opened, or kept open. No rows.
    Open(Which),
    /// How far it is. No rows.
    Look,
    /// Records are to be listed. No rows.
    Show {
        /// Its number.
        number: u64,
        /// Which ones.
        sheet: Sheet,
    },
    /// A block of the records that are listed: [`Rows::Records`].
    Records {
        /// The number of what lists them.
        number: u64,
        /// The how many-th block.
        block: u64,
    },
    /// One of them with all its columns, and more of long values: [`Rows::Record`].
    Record {
        /// The number of what lists them.
        number: u64,
        /// The how many-th record.
        nth: u64,
    },
    /// Tables are to be compared with the data file as it is now. No rows.
    Compare {
        /// Its number.
        number: u64,
        /// One of them; else all.
        table: Option<String>,
    },
    /// A block of what differs: [`Rows::Differences`].
    Differences {
        /// The number of the comparison.
        number: u64,
        /// The how many-th block.
        block: u64,
    },
    /// All records of a sheet are to be put into a file. No rows.
    Save {
        /// Its number.
        number: u64,
        /// Which ones; those of a table whole and in its own order.
        sheet: Sheet,
        /// What the file is.
        form: SaveForm,
        /// Only these of those that are listed; they must be of the same sheet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        only: Option<Chosen>,
    },
    /// A piece of that file: [`Rows::Piece`].
    Piece {
        /// The number of the saving.
        number: u64,
        /// From this byte on.
        offset: u64,
    },
    /// What goes on is to end. No rows.
    Stop {
        /// Its number.
        number: u64,
    },
    /// Nobody looks at it any more. No rows.
    Forget,
}

/// Records that can be listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sheet {
    /// Those of a table.
    Table {
        /// Its name.
        table: String,
        /// The column that they are sorted by, and whether the greatest comes first; else their own order.
        sorted: Option<(String, bool)>,
        /// Text that stands in one of their values, in small letters or capital ones.
        text: String,
    },
    /// Those of a statement that reads.
    Statement(String),
}

/// Some of the records that are listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// The number of what lists them.
    pub of: u64,
    /// From which record to which, each time; in order.
    pub stretches: Vec<(u64, u64)>,
}

impl Chosen {
    /// How many they are.
    pub fn count(&self) -> u64 {
        self.stretches.iter().map(|(from, to)| to.saturating_sub(*from).saturating_add(1)).sum()
    }
}

/// What a file is that records are saved to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SaveForm {
    /// Comma-separated values.
    Csv,
    /// A data file of SQLite.
    Sqlite,
    /// A workbook for spreadsheet programs.
    Xlsx,
}

impl SaveForm {
    /// The end of its name.
    pub fn ending(self) -> &'static str {
        match self {
            SaveForm::Csv => "csv",
            SaveForm::Sqlite => "sqlite",
            SaveForm::Xlsx => workbook::EXTENSION,
        }
    }
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// How far it is.
    pub state: State,
    /// What was asked for, if it is there.
    pub rows: Rows,
}

/// Rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rows {
    /// Records, each with its values in the order of the columns, long ones cut.
    Records(Vec<Vec<Shown>>),
    /// One record.
    Record(Vec<Shown>),
    /// What differs.
    Differences(Vec<Difference>),
    /// A piece of a file.
    Piece {
        /// Its bytes in hexadecimal digits.
        hex: String,
        /// Where the next piece begins; `None` after the last one.
        next: Option<u64>,
    },
    /// None, or not yet.
    None,
}

/// A record that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Its table.
    pub table: String,
    /// What became of it from the state to now.
    pub change: Change,
    /// Its key in words.
    pub key: String,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct State {
    /// What is looked at, once it is open.
    pub about: Option<AboutState>,
    /// Why it cannot be opened, or not be looked at any more.
    pub problem: Option<ErrorReport>,
    /// Its tables.
    pub tables: Vec<TableRow>,
    /// What goes on, if anything.
    pub doing: Option<Doing>,
    /// The records that are listed.
    pub listed: Option<Listed>,
    /// What was compared.
    pub compared: Option<Compared>,
    /// What was put into a file.
    pub saved: Option<Saved>,
}

/// What goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Doing {
    /// The state is opened.
    Opening,
    /// Records are read, sorted or searched.
    Listing,
    /// They are compared.
    Comparing,
    /// They are put into a file.
    Saving,
}

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AboutState {
    /// The commit whose state it is, where that is known.
    pub commit: Option<u64>,
    /// When it was reached.
    pub time: DateTime<Utc>,
    /// The archive that it comes from.
    pub archive: Option<PathBuf>,
    /// What was asked for and may be missing.
    pub lacks: Option<ErrorReport>,
    /// What is to be known of the archive, where it is damaged.
    pub archive_problem: Option<ErrorReport>,
    /// What else is worth knowing, as whole sentences.
    pub remarks: Vec<String>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRow {
    /// Its name.
    pub table: String,
    /// How many columns it has.
    pub columns: u64,
    /// How many records; `None` until they were counted.
    pub records: Option<u64>,
    /// Why they cannot be.
    pub problem: Option<String>,
}

/// Records that are listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The number of what lists them.
    pub number: u64,
    /// Their columns.
    pub columns: Vec<String>,
    /// How many were found so far.
    pub records: u64,
    /// Whether these are all that are listed.
    pub is_whole: bool,
    /// What cut the list short, as a whole sentence.
    pub cut: Option<String>,
    /// Why no more can be listed.
    pub problem: Option<ErrorReport>,
}

/// A comparison with the data file as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// Its number.
    pub number: u64,
    /// The table, or all.
    pub table: Option<String>,
    /// When *now* was.
    pub now: Option<DateTime<Utc>>,
    /// What differs in the schema.
    pub schema: Vec<SchemaDifference>,
    /// The tables that were compared so far.
    pub tables: Vec<TableDifference>,
    /// How many differing records are named.
    pub named: u64,
    /// Whether more differ than are named.
    pub is_cut: bool,
    /// Whether all was compared.
    pub is_whole: bool,
    /// Why it was not.
    pub problem: Option<ErrorReport>,
}

/// Records in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// The number of the saving.
    pub number: u64,
    /// How many records are in it so far.
    pub records: u64,
    /// Whether it can be fetched.
    pub is_whole: bool,
    /// What whoever opens it has to know, as whole sentences.
    #[serde(default)]
    pub remarks: Vec<String>,
    /// Why it cannot be written.
    pub problem: Option<ErrorReport>,
}
