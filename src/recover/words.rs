//! What is said of a recovery, wherever it is shown.

use chrono::{DateTime, Utc};

use super::{HeaderFrom, RecoverReport, TableReport};
use crate::error::{
    Error, ErrorKind,
    foreign::{foreign, shown},
};

/// So many tables with lost and found are named.
const TABLES_SHOWN: usize = 5;

/// How numbers and times are shown.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// A number.
    pub count: fn(u64) -> String,
    /// A moment.
    pub time: fn(DateTime<Utc>) -> String,
}

impl Style {
    fn records(&self, count: u64) -> String {
        if count == 1 { "1 record".to_owned() } else { format!("{} records", (self.count)(count)) }
    }
}

impl TableReport {
    /// What is to be known of the table beside the numbers of its records.
    pub fn notes(&self, style: &Style) -> Vec<String> {
        let mut notes: Vec<String> = Vec::new();
        let mut say = |count: u64, one: &str, many: &str| match count {
            0 => {}
            1 => notes.push(format!("1 {one}")),
            count => notes.push(format!("{} {many}", (style.count)(count))),
        };
        say(self.lost_pages, "page lost", "pages lost");
        say(self.damaged_pages, "damaged page", "damaged pages");
        say(self.broken, "record that cannot be read", "records that cannot be read");
        say(self.placed, "put back from pages apart", "put back from pages apart");
        say(self.strays, "in lost and found", "in lost and found");
        if let Some(known) = &self.known {
            say(known.changed, "not as the archive has it", "not as the archive has it");
            say(known.added, "the archive does not know", "the archive does not know");
            notes.extend(known.problem.as_ref().map(|why| format!("not compared: {why}")));
        }
        notes.extend(self.problem.clone());
        notes
    }
}

impl RecoverReport {
    /// How many records are missing, as far as that is known, and whether there are tables of which it is not.
    pub fn missing_in_all(&self) -> (u64, bool) {
        let known = self.tables.iter().filter_map(TableReport::missing).sum();
        (known, self.tables.iter().any(|table| table.missing().is_none()))
    }

    /// What the administrator must know where it is not everything.
    pub fn problem(&self) -> Option<Error> {
        if self.is_everything() {
            return None;
        }
        let style = Style { count: |number| number.to_string(), time: |time| time.to_string() };
        let mut parts = Vec::new();
        match self.missing_in_all() {
            (0, false) => {}
            (0, true) => parts.push("records of lost pages are missing".to_owned()),
            (missing, false) => parts.push(format!("{} missing", style.records(missing))),
            (missing, true) => parts.push(format!("{} missing at the least", style.records(missing))),
        }
        if self.doubtful() > 0 {
            parts.push(format!("{} doubtful", style.records(self.doubtful())));
        }
        if self.lost_and_found > self.deleted {
            parts.push(format!("{} without a place", style.records(self.lost_and_found - self.deleted)));
        }
        let what = if parts.is_empty() { "its report says why".to_owned() } else { parts.join(", ") };
        let message = format!("what was recovered of {} may not be everything: {what}", shown(&self.data_file));
        Some(
            Error::new(ErrorKind::Partial, message)
                .hint("The report says what became of each table. The damaged file is as it was."),
        )
    }

    /// All of it, to be kept or sent.
    pub fn in_words(&self, style: &Style) -> String {
        let mut text = vec![foreign(&self.data_file.display().to_string()).to_string()];
        for table in &self.tables {
            let missing = table.missing().map_or_else(|| "?".to_owned(), style.count);
            let (found, doubtful) = ((style.count)(table.found), (style.count)(table.doubtful));
            let numbers = format!("{found} found, {doubtful} doubtful, {missing} missing");
            let notes: String = table.notes(style).iter().map(|note| format!(", {note}")).collect();
            text.push(foreign(&format!("{}: {numbers}{notes}", table.table)).to_string());
        }
        text.extend(self.lines(style).iter().chain(&self.remarks).map(|line| foreign(line).to_string()));
        text.join("\n")
    }

    /// What else there is to say, in whole sentences.
    pub fn lines(&self, style: &Style) -> Vec<String> {
        let mut lines = Vec::new();
        let count = style.count;
        match self.header {
            HeaderFrom::File => {}
            HeaderFrom::Archive => {
                lines.push("The header of the file is lost; what it said is from the archive.".to_owned())
            }
            HeaderFrom::Pages => lines.push(format!(
                "The header of the file is lost; its pages show that they have {} bytes.",
                self.page_size
            )),
        }
        lines.extend(self.doubts.iter().map(|doubt| foreign(doubt).to_string()));
        if self.unreadable_pages > 0 {
            lines.push(format!("The disk did not give {} of its pages.", count(self.unreadable_pages)));
        }
        if !self.schema_is_whole {
            let from = match self.schema_from_archive {
                0 => "what it still names was made".to_owned(),
                1 => "1 object is made as the archive knows it".to_owned(),
                made => format!("{} objects are made as the archive knows them", count(made)),
            };
            lines.push(format!("The schema of the file is damaged: {from}."));
        }
        if self.lost_and_found > 0 {
            let deleted = match self.deleted {
                0 => String::new(),
                deleted => format!(", {} of them deleted once", count(deleted)),
            };
            let shown = self.lost_tables.get(..TABLES_SHOWN).unwrap_or(&self.lost_tables);
            let more = match self.lost_tables.len() - shown.len() {
                0 => String::new(),
                more => format!(" and {} more tables of such a name", count(more as u64)),
            };
            let tables = format!("{}{more}", shown.join(", "));
            lines.push(format!("{} without a place{deleted}: in {tables}.", style.records(self.lost_and_found)));
        }
        if let Some(table) = &self.doubtful_table {
            lines.push(format!("Which records are doubtful, and why, says the table {table}."));
        }
        if !self.free_list_is_whole && self.lost_and_found > 0 {
            lines.push(
                "Which pages were free is not known: deleted records may be among those without a place.".to_owned(),
            );
        }
        for object in &self.not_made {
            lines.push(format!("The {} {} is not there: {}.", object.object, object.name, object.why));
        }
        if let Some(compared) = &self.compared {
            let commit =
                compared.commit.map_or_else(String::new, |commit| format!(" and commit {} of its log", count(commit)));
            let lacks =
                compared.lacks.as_ref().map_or_else(String::new, |lacks| format!(" It may not be the last: {lacks}."));
            lines.push(format!(
                "Compared with {}{commit}, of {}.{lacks}",
                shown(&compared.archive),
                (style.time)(compared.time)
            ));
        }
        let whole = if self.is_everything() { "Everything was found" } else { "What was found" };
        lines.push(format!("{whole}, {}, is in {}.", style.records(self.found()), shown(&self.to)));
        lines
    }
}
