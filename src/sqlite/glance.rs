//! A look at the structure of a data file that takes no longer than it may: is it damaged?

use std::{
    path::Path,
    time::{Duration, Instant},
};

use super::{bound_values, hot::open_to_read, leave};
use crate::error::{Error, ErrorKind, Result};

/// Virtual machine steps of SQLite between two looks at the time.
const STEPS: i32 = 10_000;

/// Runs SQLite's quick check for at most `limit`, and says what is damaged in the structure of the file, if anything
/// was found.
///
/// Rows that break a rule of the schema, and pages that nobody uses, are no damage here: nothing of the content is lost
/// by them. What could not be looked at in that time, or because a program holds the file locked, counts as whole.
///
/// # Errors
/// `Damaged` with SQLite's words, which is the answer as well.
pub fn glance(path: &Path, limit: Duration) -> Result<()> {
    let Ok(mut conn) = open_to_read(path) else { return Ok(()) };
    let until = Instant::now() + limit;
    let _ = conn.busy_timeout(Duration::from_secs(1));
    let _ = conn.pragma_update(None, "cell_size_check", true);
    let _ = bound_values(&conn);
    let _ = conn.progress_handler(STEPS, Some(move || Instant::now() > until));
    let mut found = None;
    let looked = conn.prepare("PRAGMA quick_check(20)").and_then(|mut statement| {
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let text: String = row.get(0)?;
            let damage = text.lines().find(|line| is_structural(line)).map(str::to_owned);
            found = found.take().or(damage);
        }
        Ok(())
    });
    use rusqlite::ErrorCode as C;
    if let Err(error) = looked
        && matches!(error.sqlite_error_code(), Some(C::DatabaseCorrupt | C::NotADatabase))
    {
        found = found.or_else(|| Some(error.to_string()));
    }
    leave(&conn, path);
    found.map_or(Ok(()), |line| {
        Err(Error::new(ErrorKind::Damaged, format!("{} is damaged: {line}", path.display()))
            .hint("Restore the last archive with its logs in place; the damaged file is kept."))
    })
}

/// Whether a line of SQLite's quick check says that a tree of pages is broken. What a virtual table says of its own
/// content, such as “malformed inverted index for FTS5 table”, is for its program to rebuild.
pub fn is_structural(line: &str) -> bool {
    line.starts_with("Tree ") || line.contains("btreeInitPage") || line.contains("disk image is malformed")
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn broken_pages_are_damage_and_broken_rules_are_not() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().canonicalize()?.join("a.sqlite");
        let writer = Connection::open(&path)?;
        writer.execute_batch(
            "CREATE TABLE t(x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<3000)
             INSERT INTO t SELECT 'text '||i FROM n; INSERT INTO t VALUES(NULL); PRAGMA writable_schema=ON;
             CREATE VIRTUAL TABLE f USING fts5(x); INSERT INTO f VALUES('a letter');
             UPDATE f_data SET block=x'00112233' WHERE id>1000;
             UPDATE sqlite_schema SET sql='CREATE TABLE t(x NOT NULL)' WHERE name='t'",
        )?;
        drop(writer);
        let limit = Duration::from_secs(60);
        glance(&path, limit)?;
        let mut bytes = std::fs::read(&path)?;
        let page = bytes.len() / 2 / 4096 * 4096;
        bytes[page..page + 600].fill(0xaa);
        std::fs::write(&path, &bytes)?;
        let error = glance(&path, limit).err().ok_or("nothing found")?;
        assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
        assert_eq!(std::fs::read(&path)?, bytes);
        Ok(())
    }
}
