//! What a held state of a data file holds, and whether SQLite finds it sound: looked at while it is backed up, for no
//! longer than that may take. A copy of a damaged data file is as damaged, however exact it is.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{
    bound_values, check,
    integrity::interruptible_until,
    snapshot::{JournalMode, Snapshot},
};
use crate::{
    control::{Control, Phase},
    error::{Error, Result},
};

/// Up to this size records are compared with their indexes too; that of a larger file takes many times as long.
const WHOLE_BYTES_MAX: u64 = 512 << 20;
/// So long the check may take: the WAL grows meanwhile.
const CHECK_MAX: Duration = Duration::from_secs(60);
/// The same where programs that write wait meanwhile.
const CHECK_MAX_WRITERS_WAIT: Duration = Duration::from_secs(2);
/// So long counting records may take.
const COUNT_MAX: Duration = Duration::from_secs(3);
/// The same where programs that write wait meanwhile.
const COUNT_MAX_WRITERS_WAIT: Duration = Duration::from_millis(300);
/// More tables are only counted.
const TABLES_MAX: usize = 200;
/// A longer name is cut off.
const NAME_MAX: usize = 100;
/// A longer sentence of SQLite too.
const NOTE_MAX: usize = 300;

/// What SQLite was asked about the content, and found. The better one comes later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", from = "String")]
pub enum ContentCheck {
    /// It is damaged.
    Damaged,
    /// Nobody has asked, or got no answer.
    #[default]
    NotChecked,
    /// Every page and every record is whole; whether indexes agree with their tables was not looked at.
    Structure,
    /// Records and indexes are whole, and agree.
    Whole,
}

impl From<String> for ContentCheck {
    /// What a later version may say counts as not checked.
    fn from(word: String) -> Self {
        match word.as_str() {
            "damaged" => ContentCheck::Damaged,
            "structure" => ContentCheck::Structure,
            "whole" => ContentCheck::Whole,
            _ => ContentCheck::NotChecked,
        }
    }
}

impl ContentCheck {
    /// Whether something was looked at, and found whole.
    pub fn is_sound(self) -> bool {
        self >= ContentCheck::Structure
    }

    /// For a list.
    pub fn label(self) -> &'static str {
        match self {
            ContentCheck::Damaged => "content damaged",
            ContentCheck::NotChecked => "content not checked",
            ContentCheck::Structure => "structure checked",
            ContentCheck::Whole => "content checked",
        }
    }
}

/// What was seen of a state.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ContentSeen {
    /// Whether it is sound.
    pub check: ContentCheck,
    /// What is damaged, in SQLite's words, or why it, or a part of it, was not checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// How many of its pages are not in use.
    pub free_pages: u32,
    /// The mark of the application that made it, 0 without one.
    pub application_id: u32,
    /// Ordinary and virtual tables, without SQLite's own.
    pub table_count: u32,
    /// The first 200 of them by name.
    pub tables: Vec<TableSeen>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSeen {
    /// Its name.
    pub name: String,
    /// How many records it holds, where they could be counted in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

/// Looks at the state that `snapshot` holds; what takes too long is not known afterwards.
///
/// # Errors
/// `Stopped`; whatever SQLite has to say is part of the answer.
pub fn look(snapshot: &Snapshot, control: &Control) -> Result<ContentSeen> {
    let (check_max, count_max) = match snapshot.journal_mode() {
        JournalMode::Wal => (CHECK_MAX, COUNT_MAX),
        JournalMode::Rollback => (CHECK_MAX_WRITERS_WAIT, COUNT_MAX_WRITERS_WAIT),
    };
    look_within(snapshot, (check_max, count_max), control)
}

fn look_within(snapshot: &Snapshot, limits: (Duration, Duration), control: &Control) -> Result<ContentSeen> {
    control.phase(Phase::Checking, 0);
    let (check, note) = check(snapshot, limits.0, control)?;
    let mut seen = ContentSeen { check, note, ..ContentSeen::default() };
    let conn = snapshot.connection();
    let number = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap_or_default();
    seen.free_pages = u32::try_from(number("PRAGMA freelist_count")).unwrap_or_default();
    // Shown by SQLite with a sign, kept in the file without.
    seen.application_id = number("PRAGMA application_id") as u32;
    count(snapshot, &mut seen, limits.1, control)?;
    Ok(seen)
}

fn check(snapshot: &Snapshot, limit: Duration, control: &Control) -> Result<(ContentCheck, Option<String>)> {
    let (sql, sound) = if snapshot.len() <= WHOLE_BYTES_MAX {
        ("PRAGMA integrity_check(20)", ContentCheck::Whole)
    } else {
        ("PRAGMA quick_check(20)", ContentCheck::Structure)
    };
    let conn = snapshot.connection();
    let _ = conn.pragma_update(None, "cell_size_check", true);
    let _ = bound_values(conn);
    let until = Instant::now() + limit;
    let found = interruptible_until(conn, control, Some(until), &|conn| {
        let mut statement = conn.prepare(sql)?;
        statement.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<String>>>()
    });
    let _ = conn.pragma_update(None, "cell_size_check", false);
    use rusqlite::ErrorCode as C;
    Ok(match found {
        Ok(lines) if lines == ["ok"] => (sound, unopened(conn)),
        Ok(lines) => (ContentCheck::Damaged, lines.first().map(|line| shortened(line, NOTE_MAX))),
        Err(_) if control.is_stopped() => return Err(Error::stopped()),
        Err(e) => match e.sqlite_error_code() {
            Some(C::DatabaseCorrupt | C::NotADatabase) => {
                (ContentCheck::Damaged, Some(shortened(&e.to_string(), NOTE_MAX)))
            }
            Some(C::OperationInterrupted) => {
                let note = format!("it took longer than {} s", limit.as_secs());
                (ContentCheck::NotChecked, Some(note))
            }
            _ => (ContentCheck::NotChecked, Some(shortened(&e.to_string(), NOTE_MAX))),
        },
    })
}

/// The virtual tables that SQLite passes over in its check, because they need an extension of the application.
fn unopened(conn: &rusqlite::Connection) -> Option<String> {
    let sql = "SELECT name FROM sqlite_schema WHERE type='table' AND rootpage=0 ORDER BY name";
    let names = conn.prepare(sql).and_then(|mut statement| {
        statement.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<String>>>()
    });
    let why = |name: &String| Some((name.clone(), check::unopened(conn, name).ok()??));
    let mut found = names.unwrap_or_default().into_iter().filter_map(|name| why(&name));
    let (name, why) = found.next()?;
    let more = match found.count() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(shortened(&format!("table {name}{more}: {why}"), NOTE_MAX))
}

/// The first line that says something: SQLite may begin with the name that it gives the database.
fn shortened(text: &str, length: usize) -> String {
    let line = text.lines().find(|line| !line.starts_with("***")).unwrap_or_default();
    line.chars().take(length).collect()
}

/// Lists the tables, and counts their records until the time is over.
fn count(snapshot: &Snapshot, seen: &mut ContentSeen, limit: Duration, control: &Control) -> Result<()> {
    let sql = "SELECT name, sql LIKE 'CREATE VIRTUAL%' FROM sqlite_schema
               WHERE type='table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
    let list = |conn: &rusqlite::Connection| {
        let mut statement = conn.prepare(sql)?;
        statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<Vec<(String, bool)>>>()
    };
    let until = Instant::now() + limit;
    let counted = interruptible_until(snapshot.connection(), control, Some(until), &|conn| {
        let tables = list(conn)?;
        let mut found = Vec::new();
        for (name, is_virtual) in tables.iter().take(TABLES_MAX) {
            let quoted = name.replace('"', "\"\"");
            // What is damaged cannot be counted; a virtual table may ask anything of its program.
            let rows = (!is_virtual && Instant::now() < until).then(|| {
                conn.query_row(&format!("SELECT count(*) FROM \"{quoted}\""), [], |row| row.get::<_, i64>(0)).ok()
            });
            let rows = rows.flatten().and_then(|rows| u64::try_from(rows).ok());
            found.push(TableSeen { name: shortened(name, NAME_MAX), rows });
        }
        Ok((tables.len(), found))
    });
    control.check()?;
    // A schema that cannot be read is part of what the check has found.
    if let Ok((count, tables)) = counted {
        (seen.table_count, seen.tables) = (u32::try_from(count).unwrap_or(u32::MAX), tables);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

    fn begin(path: &std::path::Path) -> Result<Snapshot> {
        Snapshot::begin(path, Duration::ZERO, &Control::default())
    }

    #[test]
    fn what_is_held_is_checked_and_counted_and_stays_held() -> Outcome {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a.sqlite");
        let writer = Connection::open(&path)?;
        writer.execute_batch(
            "PRAGMA journal_mode=WAL; PRAGMA application_id=-5; CREATE TABLE \"t \"\"x\"(x); CREATE INDEX i ON \"t \"\"x\"(x);
             CREATE TABLE e(x); CREATE VIRTUAL TABLE f USING fts5(x);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<3000) INSERT INTO \"t \"\"x\" \
             SELECT hex(i) FROM n",
        )?;
        let snapshot = begin(&path)?;
        let mut before = vec![0; snapshot.len() as usize];
        snapshot.read(0, &mut before)?;
        writer.execute_batch("DELETE FROM \"t \"\"x\"")?;
        let seen = look(&snapshot, &Control::default())?;
        assert_eq!((seen.check, &seen.note, seen.application_id), (ContentCheck::Whole, &None, (-5i32) as u32));
        let rows = |name: &str| seen.tables.iter().find(|table| table.name == name).map(|table| table.rows);
        assert_eq!((rows("t \"x"), rows("e"), rows("f")), (Some(Some(3000)), Some(Some(0)), Some(None)));
        assert_eq!(seen.table_count as usize, seen.tables.len());
        // What is over time is not known, and the state is still held.
        let late = look_within(&snapshot, (Duration::ZERO, Duration::ZERO), &Control::default())?;
        assert!(late.check <= ContentCheck::Whole && late.table_count == seen.table_count);
        let mut after = vec![0; snapshot.len() as usize];
        snapshot.read(0, &mut after)?;
        assert!(before == after);
        Ok(())
    }

    #[test]
    fn a_broken_page_and_an_index_that_lacks_a_record_are_damage() -> Outcome {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a.sqlite");
        let writer = Connection::open(&path)?;
        writer.execute_batch(
            "CREATE TABLE t(x); CREATE INDEX i ON t(x);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<3000) INSERT INTO t SELECT hex(i) \
             FROM n;
             PRAGMA writable_schema=ON; DELETE FROM sqlite_schema WHERE name='i'; PRAGMA writable_schema=RESET",
        )?;
        drop(writer);
        // Its pages belong to nothing now.
        let seen = look(&begin(&path)?, &Control::default())?;
        assert_eq!(seen.check, ContentCheck::Damaged);
        let whole = std::fs::read(&path)?;
        let mut bytes = whole.clone();
        let page = bytes.len() / 3 / 4096 * 4096;
        bytes[page..page + 300].fill(0xaa);
        std::fs::write(&path, &bytes)?;
        let seen = look(&begin(&path)?, &Control::default())?;
        assert_eq!(seen.check, ContentCheck::Damaged);
        assert!(seen.note.is_some_and(|note| !note.is_empty()));
        let stopped = Control::default();
        stopped.stop();
        assert!(look(&begin(&path)?, &stopped).is_err());
        Ok(())
    }

    #[test]
    fn what_a_later_version_says_counts_as_not_checked() -> Outcome {
        let seen: ContentSeen = serde_json::from_str(r#"{"check":"by-some-new-means","more":7}"#)?;
        assert_eq!(seen.check, ContentCheck::NotChecked);
        assert!(ContentCheck::Damaged < ContentCheck::NotChecked && !seen.check.is_sound());
        Ok(())
    }
}
