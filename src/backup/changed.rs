//! Whether a backup holds drastically other content than the one before: most records or tables gone, or another
//! database.
//!
//! An application changes what it keeps all the time. What counts here is only what looks like a loss: then the backup
//! before is held, until somebody says that the change was meant.

use serde::{Deserialize, Serialize};

use crate::{
    archive::{ArchiveNumber, catalog::ArchiveEntry},
    sqlite::seen::{ContentSeen, TableSeen},
    storage::space::human_bytes,
};

/// A file with fewer records may lose most of them in everyday use.
const ROWS_MIN: u64 = 20;
/// A smaller file too.
const BYTES_MIN: u64 = 64 << 10;
/// A file of which less than this share is left was shrunk drastically.
const SHRUNK: u64 = 4;
/// More tables are not named.
const NAMED_MAX: usize = 3;

/// What is drastically other than in the backup before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The backup before.
    pub since: ArchiveNumber,
    /// What changed, in numbers: `the records went from 5000 to 12`.
    pub what: String,
}

/// One backup, as far as it is compared.
#[derive(Debug, Clone, Copy)]
pub struct Compared<'a> {
    /// Size of a page of the data file.
    pub page_size: u32,
    /// Length of the data file.
    pub data_bytes: u64,
    /// What was seen of it; `None` for an archive of an older program.
    pub seen: Option<&'a ContentSeen>,
}

impl<'a> Compared<'a> {
    /// An archive in a list; `None` when it cannot be read.
    pub fn of(entry: &'a ArchiveEntry) -> Option<Self> {
        let page_size = entry.page_size.filter(|_| entry.problem.is_none())?;
        Some(Self { page_size, data_bytes: entry.data_bytes, seen: entry.content.as_ref() })
    }

    /// The bytes of the pages that hold something.
    fn used(&self) -> u64 {
        let free = self.seen.map_or(0, |seen| u64::from(seen.free_pages) * u64::from(self.page_size));
        self.data_bytes.saturating_sub(free)
    }
}

/// What of `before` looks lost in `after`, in words; `None` when that is an everyday change.
pub fn lost(before: Compared<'_>, after: Compared<'_>) -> Option<String> {
    let mut found = Vec::new();
    if let (Some(old), Some(new)) = (before.seen, after.seen) {
        if old.application_id != new.application_id {
            let (old, new) = (old.application_id, new.application_id);
            found.push(format!("the mark of its application went from {old} to {new}"));
        }
        found.extend(of_tables(old, new));
    }
    if before.page_size != after.page_size {
        found.push(format!("its pages went from {} to {} bytes", before.page_size, after.page_size));
    }
    let (old, new) = (before.used(), after.used());
    // The size of a file says only of files that are compared in the same way how much is in use.
    let alike = before.seen.is_some() == after.seen.is_some();
    if alike && old >= BYTES_MIN && new < old / SHRUNK {
        found.push(format!("the bytes in use went from {} to {}", human_bytes(old), human_bytes(new)));
    }
    (!found.is_empty()).then(|| found.join("; "))
}

fn of_tables(old: &ContentSeen, new: &ContentSeen) -> Option<String> {
    let in_new = |table: &TableSeen| new.tables.iter().find(|other| other.name == table.name);
    // A list that was cut off does not tell that a table is gone.
    let all_listed = new.tables.len() == new.table_count as usize;
    let gone: Vec<&TableSeen> = old.tables.iter().filter(|table| all_listed && in_new(table).is_none()).collect();
    if !gone.is_empty() && gone.len() * 2 >= old.tables.len() {
        let named: Vec<&str> = gone.iter().take(NAMED_MAX).map(|table| table.name.as_str()).collect();
        let more = gone.len() - named.len();
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let (lost, before) = (gone.len(), old.table_count);
        return Some(format!("{lost} of its {before} tables are gone: {}{more}", named.join(", ")));
    }
    // Only what was counted both times can be compared; a table that is gone counts as empty.
    let counted: Vec<(u64, u64)> = old
        .tables
        .iter()
        .filter_map(|table| match in_new(table) {
            Some(other) => Some((table.rows?, other.rows?)),
            None if all_listed => Some((table.rows?, 0)),
            None => None,
        })
        .collect();
    let (before, after): (u64, u64) = counted.iter().fold((0, 0), |(a, b), (old, new)| (a + old, b + new));
    if before >= ROWS_MIN && after < before / 2 {
        return Some(format!("the records went from {before} to {after}"));
    }
    let filled = counted.iter().filter(|(old, _)| *old > 0).count();
    let emptied = counted.iter().filter(|(old, new)| *old > 0 && *new == 0).count();
    (filled >= 2 && emptied * 2 > filled && before >= ROWS_MIN)
        .then(|| format!("{emptied} of the {filled} tables that held records are empty"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(tables: &[(&str, Option<u64>)], free_pages: u32) -> ContentSeen {
        let table = |(name, rows): &(&str, Option<u64>)| TableSeen { name: (*name).to_owned(), rows: *rows };
        let tables: Vec<TableSeen> = tables.iter().map(table).collect();
        ContentSeen { free_pages, table_count: tables.len() as u32, tables, ..ContentSeen::default() }
    }

    fn of(seen: &ContentSeen, pages: u64) -> Compared<'_> {
        Compared { page_size: 4096, data_bytes: pages * 4096, seen: Some(seen) }
    }

    #[test]
    fn only_what_looks_like_a_loss_is_a_change() {
        let before = seen(&[("letter", Some(1000)), ("person", Some(200)), ("session", Some(50))], 0);
        let say = |tables: &[(&str, Option<u64>)], free: u32, pages: u64| {
            lost(of(&before, 100), of(&seen(tables, free), pages))
        };
        let same = [("letter", Some(1000)), ("person", Some(200)), ("session", Some(50))];
        for (tables, free, pages, expected) in [
            (&same[..], 0, 100, None),
            // Work of a day: sessions ended, some letters deleted, a table added by an update, one renamed.
            (&[("letter", Some(700)), ("person", Some(200)), ("session", Some(0))], 30, 100, None),
            (&[("letter", Some(1000)), ("person", Some(200)), ("session", Some(9)), ("tag", Some(0))], 0, 100, None),
            (&[("letter", Some(1000)), ("person", Some(200)), ("sessions", Some(50))], 0, 100, None),
            // Compacted, and grown.
            (&same, 0, 40, None),
            (&same, 0, 9000, None),
            (
                &[("letter", Some(12)), ("person", Some(200)), ("session", Some(50))],
                0,
                100,
                Some("the records went from 1250 to 262"),
            ),
            // Counted only once: nothing is known.
            (&[("letter", None), ("person", Some(200)), ("session", Some(50))], 0, 100, None),
            (&[("session", Some(50))], 0, 100, Some("2 of its 3 tables are gone: letter, person")),
            (&[("other", Some(9))], 0, 100, Some("3 of its 3 tables are gone: letter, person, session")),
            (
                &[],
                0,
                1,
                Some(
                    "3 of its 3 tables are gone: letter, person, session; the bytes in use went from 400.0 KB to \
                     4.0 KB",
                ),
            ),
            (
                &[("letter", None), ("person", None), ("session", None)],
                80,
                100,
                Some("the bytes in use went from 400.0 KB to 80.0 KB"),
            ),
        ] {
            assert_eq!(say(tables, free, pages).as_deref(), expected, "{tables:?}");
        }
    }

    #[test]
    fn another_database_and_a_file_of_an_older_program_are_told_apart() {
        let mut other = seen(&[("a", Some(1))], 0);
        let before = other.clone();
        other.application_id = 7;
        let changed = lost(of(&before, 1), of(&other, 1));
        assert_eq!(changed.as_deref(), Some("the mark of its application went from 0 to 7"));
        let larger_pages = Compared { page_size: 8192, ..of(&before, 2) };
        assert_eq!(lost(of(&before, 2), larger_pages).as_deref(), Some("its pages went from 4096 to 8192 bytes"));
        // Of an archive without facts only its length is known, and how much of that was free is not.
        let old = Compared { seen: None, ..of(&before, 1000) };
        assert_eq!(lost(old, of(&before, 100)), None);
        assert!(lost(old, Compared { data_bytes: 4096, ..old }).is_some());
        // Few records come and go.
        let few = seen(&[("a", Some(6)), ("b", Some(5)), ("c", Some(5))], 0);
        assert_eq!(lost(of(&few, 1), of(&seen(&[("a", Some(0)), ("b", Some(0)), ("c", Some(0))], 0), 1)), None);
    }

    #[test]
    fn most_tables_emptied_beside_a_large_one_that_is_not() {
        let before = seen(&[("log", Some(9000)), ("person", Some(200)), ("letter", Some(300))], 0);
        let after = seen(&[("log", Some(9100)), ("person", Some(0)), ("letter", Some(0))], 0);
        let expected = "2 of the 3 tables that held records are empty";
        assert_eq!(lost(of(&before, 100), of(&after, 100)).as_deref(), Some(expected));
    }
}
