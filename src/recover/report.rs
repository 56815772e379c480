//! What a recovery found, lost, and cannot vouch for, table by table.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{
    head::HeaderFrom,
    known::{ComparedWith, Comparison},
};

/// A table of the recovered file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TableReport {
    /// Its name.
    pub table: String,
    /// Records that are in it now, doubtful ones among them.
    pub found: u64,
    /// Records that are in it and may not be what they were: the new file says which and why.
    pub doubtful: u64,
    /// Records of pages that no tree led to, among those found.
    pub placed: u64,
    /// Records of it that the table does not take, and that are among the lost and found.
    pub strays: u64,
    /// Records of which nothing can be read any more.
    pub broken: u64,
    /// Pages of the table that are missing or are not its own; how many records were on them is unknown.
    pub lost_pages: u64,
    /// Pages of the table that are damaged and were read as far as they could be.
    pub damaged_pages: u64,
    /// How many records it had, as an index of it counts that is whole; `None` where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counted: Option<u64>,
    /// How it stands to what archive and log know; `None` where they know nothing of it, or there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known: Option<Comparison>,
    /// Why it is not as its statement says, or was not made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl TableReport {
    /// Whether all of it is there, as far as the file tells: nothing is lost, and nothing doubtful.
    pub fn is_whole(&self) -> bool {
        let differs = |known: &Comparison| known.missing > 0 || known.changed > 0 || known.problem.is_some();
        let lacks =
            self.known.as_ref().is_some_and(differs) || self.counted.is_some_and(|counted| counted > self.found);
        self.doubtful + self.strays + self.broken + self.lost_pages + self.damaged_pages == 0
            && self.problem.is_none()
            && !lacks
    }

    /// How many records it lacks: those that archive and log know, else those that an index counts, else those that
    /// cannot be read. `None` where pages are lost and nothing tells what was on them.
    pub fn missing(&self) -> Option<u64> {
        let known = self.known.as_ref().filter(|known| known.problem.is_none());
        let counted = self.counted.map(|counted| counted.saturating_sub(self.found));
        let is_read = self.lost_pages + self.damaged_pages == 0 && self.problem.is_none();
        known.map(|known| known.missing).or(counted).or(is_read.then_some(self.broken))
    }
}

/// Something of the schema that is not in the recovered file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotMade {
    /// `table`, `index`, `view`, `trigger`.
    pub object: String,
    /// Its name.
    pub name: String,
    /// Why not.
    pub why: String,
    /// The statement that would make it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sql: Option<String>,
}

/// What a recovery achieved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoverReport {
    /// The damaged data file; it is as it was.
    pub data_file: PathBuf,
    /// The new data file.
    pub to: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
    /// Bytes of a page of the damaged file.
    pub page_size: u64,
    /// How many pages it has.
    pub pages: u64,
    /// How many of them come from its `-wal`.
    pub wal_pages: u64,
    /// How many the disk did not give.
    pub unreadable_pages: u64,
    /// Where its header comes from.
    pub header: HeaderFrom,
    /// Whether every line of its schema could be read.
    pub schema_is_whole: bool,
    /// How many lines of the schema come from the archive.
    pub schema_from_archive: u64,
    /// Whether the list of its free pages could be read; where it could not, deleted records may be among the lost and
    /// found.
    pub free_list_is_whole: bool,
    /// Its tables, in the order in which they were made.
    pub tables: Vec<TableReport>,
    /// Records that have no place in a table, in `lost_tables`.
    pub lost_and_found: u64,
    /// How many of them were deleted once.
    pub deleted: u64,
    /// The tables with what was lost and found.
    pub lost_tables: Vec<String>,
    /// The table that says which records are doubtful, and why.
    pub doubtful_table: Option<String>,
    /// What could not be made.
    pub not_made: Vec<NotMade>,
    /// What it was compared with.
    pub compared: Option<ComparedWith>,
    /// What may be missing or wrong anywhere in it, as whole sentences: a transaction that was not ended, commits in a
    /// damaged `-wal` or in that of another name.
    pub doubts: Vec<String>,
    /// What else is worth knowing, as whole sentences.
    pub remarks: Vec<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

impl RecoverReport {
    /// Whether nothing is missing and nothing doubtful, as far as file, archive and log tell.
    pub fn is_everything(&self) -> bool {
        self.schema_is_whole
            && self.doubts.is_empty()
            && self.unreadable_pages == 0
            && self.lost_and_found == self.deleted
            && self.not_made.is_empty()
            && self.tables.iter().all(TableReport::is_whole)
    }

    /// How many records are in its tables.
    pub fn found(&self) -> u64 {
        self.tables.iter().map(|table| table.found).sum()
    }

    /// How many of them are doubtful.
    pub fn doubtful(&self) -> u64 {
        self.tables.iter().map(|table| table.doubtful).sum()
    }

    /// How many records archive and log know that are in none of them.
    pub fn missing(&self) -> u64 {
        self.tables.iter().filter_map(|table| table.known.as_ref()).map(|known| known.missing).sum()
    }
}
