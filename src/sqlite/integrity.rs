//! SQLite's own integrity check, on a copy that nobody else uses.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};
use serde::{Deserialize, Serialize};

use super::bound_values;
use crate::{
    control::Control,
    error::{Error, Result},
};

/// A check takes no longer, with so much more for each MiB: a data file may hold expressions that take any time, and
/// even the slowest disk is read faster.
const CHECK_MAX: Duration = Duration::from_secs(600);
const CHECK_MAX_PER_MIB: Duration = Duration::from_secs(1);

/// What the check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", content = "details", rename_all = "kebab-case")]
pub enum Integrity {
    /// Nothing wrong.
    Sound,
    /// The problems in SQLite's words, at most 100.
    Problems(Vec<String>),
    /// It could not run to its end, for instance because the tables need an extension of the application.
    Unknown(String),
}

/// Runs `PRAGMA integrity_check` on the file at `path`, which no other program may have open.
///
/// The file is opened as immutable: nothing is written, neither to it nor beside it. The content is not trusted: schema
/// functions and triggers do not run.
///
/// # Errors
/// `Stopped`; whatever SQLite has to say is part of the result.
pub fn check(path: &Path, control: &Control) -> Result<Integrity> {
    let length = path.metadata().map_err(|e| Error::io("read", path, e))?.len();
    check_within(path, CHECK_MAX + CHECK_MAX_PER_MIB * (length >> 20).try_into().unwrap_or(u32::MAX), control)
}

fn check_within(path: &Path, limit: Duration, control: &Control) -> Result<Integrity> {
    // SQLite takes a file without any content for a sound database without tables.
    if path.metadata().is_ok_and(|meta| meta.len() == 0) {
        return Ok(Integrity::Problems(vec!["the file is empty".to_owned()]));
    }
    match try_check(path, Instant::now() + limit, control) {
        Ok(lines) if lines == ["ok"] => Ok(Integrity::Sound),
        Ok(lines) => Ok(Integrity::Problems(lines)),
        Err(_) if control.is_stopped() => Err(Error::stopped()),
        Err(e) => match e.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                Ok(Integrity::Problems(vec![e.to_string()]))
            }
            Some(rusqlite::ErrorCode::OperationInterrupted) => {
                Ok(Integrity::Unknown(format!("it took longer than {} s", limit.as_secs())))
            }
            _ => Ok(Integrity::Unknown(e.to_string())),
        },
    }
}

/// The file alone as it lies there, only to be read: nothing beside it is looked at or made, and no lock is taken.
fn open_as_it_lies(path: &Path) -> rusqlite::Result<Connection> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let uri = format!("file:{}?immutable=1", percent_encoded(&absolute));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(uri, flags)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    bound_values(&conn)?;
    Ok(conn)
}

/// Whether the data file at `path` holds the table `name` and nothing else, and no program has written to it since.
pub fn holds_only(path: &Path, name: &str) -> bool {
    let is_beside = ["-wal", "-journal"].iter().any(|end| {
        let mut companion = path.as_os_str().to_owned();
        companion.push(end);
        Path::new(&companion).symlink_metadata().is_ok()
    });
    let names = || -> rusqlite::Result<Vec<String>> {
        let conn = open_as_it_lies(path)?;
        let mut asked = conn.prepare("SELECT name FROM sqlite_schema")?;
        asked.query_map([], |row| row.get(0))?.collect()
    };
    !is_beside && names().is_ok_and(|names| names.len() == 1 && names.iter().all(|known| known == name))
}

fn try_check(path: &Path, until: Instant, control: &Control) -> rusqlite::Result<Vec<String>> {
    let conn = open_as_it_lies(path)?;
    interruptible_until(&conn, control, Some(until), &|conn| {
        conn.prepare("PRAGMA integrity_check").and_then(|mut statement| {
            statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()
        })
    })
}

/// Runs `work` on `conn`, and interrupts it within a moment when `control` says stop.
pub(super) fn interruptible<T>(
    conn: &Connection,
    control: &Control,
    work: &dyn Fn(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    interruptible_until(conn, control, None, work)
}

/// The same; it is also interrupted at the moment `until`.
pub(super) fn interruptible_until<T>(
    conn: &Connection,
    control: &Control,
    until: Option<Instant>,
    work: &dyn Fn(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    std::thread::scope(|scope| {
        // The progress handler must own what it captures; a handle that interrupts from a watching thread need not.
        let handle = conn.get_interrupt_handle();
        let (done_in, done) = crossbeam_channel::bounded::<()>(0);
        scope.spawn(move || {
            while let Err(crossbeam_channel::RecvTimeoutError::Timeout) =
                done.recv_timeout(std::time::Duration::from_millis(100))
            {
                // How far SQLite is cannot be seen from here, and it is given its time.
                control.beat();
                if control.is_stopped() || until.is_some_and(|until| Instant::now() >= until) {
                    handle.interrupt();
                }
            }
        });
        let outcome = work(conn);
        drop(done_in);
        outcome
    })
}

/// The path in a form that a URI filename of SQLite can hold.
pub(super) fn percent_encoded(path: &Path) -> String {
    let keep = |b: u8| b.is_ascii_alphanumeric() || b"/-._~".contains(&b);
    let encode = |b: &u8| if keep(*b) { char::from(*b).to_string() } else { format!("%{b:02X}") };
    path.as_os_str().as_encoded_bytes().iter().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_damaged_and_foreign_files_are_told_apart() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a ?#%é.sqlite");
        let conn = Connection::open(&path)?;
        conn.execute_batch(
            "PRAGMA journal_mode=WAL; CREATE TABLE t(x); CREATE INDEX i ON t(x);
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<2000) INSERT INTO t SELECT i FROM n",
        )?;
        drop(conn);
        assert_eq!(check(&path, &Control::default())?, Integrity::Sound);
        assert_eq!(std::fs::read_dir(folder.path())?.count(), 1, "nothing is made beside the file");
        let stopped = Control::default();
        stopped.stop();
        let mut bytes = std::fs::read(&path)?;
        let page = bytes.len() - 4096;
        bytes[page..page + 200].fill(0xaa);
        std::fs::write(&path, &bytes)?;
        assert!(matches!(check(&path, &Control::default())?, Integrity::Problems(_)));
        bytes.truncate(50);
        std::fs::write(&path, &bytes)?;
        assert!(matches!(check(&path, &Control::default())?, Integrity::Problems(_)));
        Ok(())
    }

    /// A data file with an index over an expression that makes texts of `bytes` characters; cheap to make, dear to
    /// check.
    fn dear(path: &Path, bytes: u32, rows: u32) -> rusqlite::Result<()> {
        Connection::open(path)?.execute_batch(&format!(
            "CREATE TABLE t(x); CREATE INDEX i ON t(abs(x));
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<{rows}) INSERT INTO t(x) SELECT i \
             FROM n;
             PRAGMA writable_schema=ON;
             UPDATE sqlite_schema SET sql='CREATE INDEX i ON t(length(hex(zeroblob({} + x))))' WHERE name='i'",
            bytes / 2
        ))
    }

    #[test]
    fn what_a_data_file_has_evaluated_is_bounded_in_size_and_time()
    -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let control = Control::default();
        let (large, long) = (folder.path().join("large"), folder.path().join("long"));
        dear(&large, 800_000_000, 1)?;
        assert_eq!(check(&large, &control)?, Integrity::Unknown("string or blob too big".to_owned()));
        // Each a little, all together days.
        dear(&long, 20_000_000, 200_000)?;
        let limit = Duration::from_secs(1);
        assert_eq!(check_within(&long, limit, &control)?, Integrity::Unknown("it took longer than 1 s".to_owned()));
        Ok(())
    }

    #[test]
    fn an_empty_file_is_not_sound() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a");
        std::fs::write(&path, "")?;
        assert!(matches!(check(&path, &Control::default())?, Integrity::Problems(_)));
        Ok(())
    }
}
