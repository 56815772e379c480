//! Transactions that somebody has begun and not ended: a journal that SQLite would play back into the data file.
//!
//! SQLite takes a journal for one of a program that crashed when it sees no lock of a writer. A program with locks of
//! another kind (`vfs=unix-dotfile`, `unix-none`, `nolock=1`) has none that it could see: the first that reads the file
//! in the usual way undoes its transaction while it is under way, and damages the file. So whoever only looks opens a
//! data file in rollback mode without the right to write, and whoever must have the state of the last commit plays a
//! journal back only where no program has the file open.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::{
    connect, ffi, integrity::percent_encoded, open_existing, refuse_strange_companions, snapshot::JournalMode,
};
use crate::{
    error::{Error, ErrorKind, Result},
    storage::{
        disks::System,
        processes::{self, Holders},
        read_exact_at,
        regular::{self, Links},
    },
};

/// The rollback journal of the data file at `path`.
pub fn journal_path(path: &Path) -> PathBuf {
    with_end(path, "-journal")
}

/// Whether a rollback journal holds what pages were before a transaction that was not ended, by its first bytes, which
/// SQLite overwrites with zeros, or cuts off, when it ends (`fileformat2.html`, section 3).
pub fn has_begun(journal: &Path) -> bool {
    const MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
    let Ok((file, _)) = regular::open(journal, Links::Followed) else { return false };
    let mut begin = [0; 8];
    read_exact_at(&file, 0, &mut begin).is_ok_and(|()| begin == MAGIC)
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// How a data file was opened to be looked at.
pub(super) enum Looking {
    /// As the last commit left it.
    AtRest(Connection),
    /// In the middle of a transaction: whatever is read may be a part of it.
    Unfinished(Connection),
}

/// Opens the data file at `path` so that nothing is ever written, to it or beside it. One in WAL mode is opened as
/// usual, which changes nothing of it.
///
/// # Errors
/// As [`open_existing`]; `Busy` where another program has it locked in a way that SQLite does not see.
pub(super) fn open_to_look(path: &Path) -> Result<Looking> {
    let Some(conn) = rolls_back(path)? else { return open_existing(path).map(Looking::AtRest) };
    if !is_hot(&conn) {
        return Ok(Looking::AtRest(conn));
    }
    drop(conn);
    // Neither journal nor locks are looked at then.
    let uri = format!("file:{}?immutable=1", percent_encoded(path));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(uri, flags).map_err(|e| Error::sqlite("open", path, e))?;
    Ok(Looking::Unfinished(conn))
}

/// Opens the data file at `path` to read the state of its last commit. A journal that a crash has left is played back
/// for that, unless a program has the file open.
///
/// # Errors
/// As [`open_existing`]; `Busy` where a transaction may be under way whose lock cannot be seen.
pub fn open_to_read(path: &Path) -> Result<Connection> {
    match rolls_back(path)?.filter(|conn| !is_hot(conn)) {
        Some(conn) => Ok(conn),
        None => {
            require_ended(path)?;
            open_existing(path)
        }
    }
}

/// Sees that the data file at `path` holds no transaction that may still be under way, before it is opened in the way
/// that undoes it.
///
/// # Errors
/// `Busy` where it does.
pub(super) fn require_ended(path: &Path) -> Result<()> {
    if rolls_back(path)?.is_none_or(|conn| !is_hot(&conn)) {
        return Ok(());
    }
    let holders = processes::holders(&[path.to_path_buf(), journal_path(path)]);
    if let Some(why) = why_unseen(path, &holders).filter(|_| holders.processes.is_empty()) {
        let message = format!(
            "{} holds a transaction that was begun and not ended, and whether a program still has it open cannot be \
             seen: {why}",
            path.display()
        );
        // To wait for what cannot be seen is in vain.
        return Err(Error::new(ErrorKind::Refused, message).hint(
            "To undo it while a program goes on would damage the file. Begin its application once, which undoes \
             what a crash has left; then make the backup.",
        ));
    }
    if !holders.processes.is_empty() {
        let message = format!(
            "{} holds a transaction that was begun and not ended, and {} has it open: no lock of a writer is seen, \
             so nobody can tell whether it is still under way",
            path.display(),
            holders.in_words()
        );
        return Err(Error::new(ErrorKind::Busy, message).hint(
            "To undo it while that program goes on would damage the file. Wait until the program has ended its \
             transaction, or end the program; one with locks of another kind (vfs=unix-dotfile, unix-none, nolock=1) \
             must not run during a backup.",
        ));
    }
    Ok(())
}

/// Why a program may have the data file at `path` open that is not among `holders`, if so.
fn why_unseen(path: &Path, holders: &Holders) -> Option<&'static str> {
    if cfg!(target_os = "linux") && !processes::sees_all() {
        return Some("this is a container");
    }
    if System::now().is_some_and(|system| system.disk(path).is_some_and(|disk| disk.is_network)) {
        return Some("it is on a network drive, and another machine may use it");
    }
    (cfg!(target_os = "linux") && holders.may_be_more)
        .then_some("what programs of other users have open is not shown to this user")
}

/// Opens a data file in rollback mode without the right to write; `None` for every other, and for what is none.
fn rolls_back(path: &Path) -> Result<Option<Connection>> {
    refuse_strange_companions(path)?;
    let lock = with_end(path, ".lock");
    // An ordinary file of that name is something else: SQLite makes a folder.
    if lock.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
        let message = format!("{} is in use by a program that locks it with {}", path.display(), lock.display());
        return Err(Error::new(ErrorKind::Busy, message).hint(
            "SQLite does not see such a lock (vfs=unix-dotfile), and neither does the program see others. Wait \
             until its transaction has ended. If it has crashed, nobody uses the file, and the lock is still there, \
             remove it (rmdir).",
        ));
    }
    let Ok(conn) = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY) else { return Ok(None) };
    let mut header = [0; 100];
    let is_rollback = ffi::read_file(&conn, path, 0, &mut header).is_ok()
        && header.starts_with(b"SQLite format 3\0")
        && JournalMode::of_header(&header) == JournalMode::Rollback;
    Ok(is_rollback.then_some(conn))
}

/// Whether SQLite would play a journal back, had it the right to write.
fn is_hot(conn: &Connection) -> bool {
    let asked = conn.query_row("PRAGMA schema_version", [], |_| Ok(()));
    let code = asked.err().and_then(|error| error.sqlite_error().map(|error| error.extended_code));
    code == Some(rusqlite::ffi::SQLITE_READONLY_ROLLBACK)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

    /// A data file, and a copy of it with its journal from the middle of a transaction, as a crash leaves it.
    fn crashed(folder: &Path) -> std::result::Result<PathBuf, Box<dyn std::error::Error>> {
        let (live, path) = (folder.join("live"), folder.join("a.sqlite"));
        let writer = Connection::open(&live)?;
        writer.execute_batch(
            "PRAGMA cache_size=5; CREATE TABLE t(x);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<9000) INSERT INTO t SELECT 'old \
             '||i FROM n;
             BEGIN; UPDATE t SET x='new '||x",
        )?;
        fs::copy(&live, &path)?;
        fs::copy(journal_path(&live), journal_path(&path))?;
        Ok(path)
    }

    fn count(conn: &Connection) -> rusqlite::Result<u32> {
        conn.query_row("SELECT count(*) FROM t WHERE x LIKE 'new%'", [], |row| row.get(0))
    }

    #[test]
    fn whoever_looks_plays_nothing_back_and_whoever_reads_does_where_nobody_has_it_open() -> Outcome {
        let folder = tempfile::tempdir()?;
        let path = crashed(&folder.path().canonicalize()?)?;
        let before = (fs::read(&path)?, fs::read(journal_path(&path))?);
        assert!(matches!(open_to_look(&path)?, Looking::Unfinished(_)));
        assert!((fs::read(&path)?, fs::read(journal_path(&path))?) == before);
        // Another process has it open.
        #[cfg(target_os = "linux")]
        {
            let mut other =
                std::process::Command::new("tail").arg("-f").arg(&path).stdout(std::process::Stdio::piped()).spawn()?;
            std::io::Read::read_exact(other.stdout.as_mut().ok_or("no output")?, &mut [0])?;
            let error = open_to_read(&path).err().ok_or("played back beside a program")?;
            other.kill()?;
            other.wait()?;
            assert_eq!(error.kind(), ErrorKind::Busy);
            assert!(error.message().contains("tail (process "), "{error}");
            assert!((fs::read(&path)?, fs::read(journal_path(&path))?) == before);
        }
        assert_eq!(count(&open_to_read(&path)?)?, 0);
        assert!(!journal_path(&path).exists());
        assert!(matches!(open_to_look(&path)?, Looking::AtRest(_)));
        Ok(())
    }

    #[test]
    fn a_lock_that_sqlite_does_not_see_is_told() -> Outcome {
        let folder = tempfile::tempdir()?;
        let path = folder.path().canonicalize()?.join("a.sqlite");
        Connection::open(&path)?.execute_batch("CREATE TABLE t(x)")?;
        // A file of that name, as other libraries keep one for good, is no such lock.
        fs::write(with_end(&path, ".lock"), "")?;
        assert_eq!(count(&open_to_read(&path)?)?, 0);
        fs::remove_file(with_end(&path, ".lock"))?;
        let uri = format!("file:{}?vfs=unix-dotfile", percent_encoded(&path));
        let writer = Connection::open_with_flags(uri, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_URI)?;
        writer.execute_batch("BEGIN IMMEDIATE; INSERT INTO t VALUES('new')")?;
        for error in [open_to_read(&path).err(), open_to_look(&path).err()] {
            assert!(error.is_some_and(|e| e.kind() == ErrorKind::Busy && e.message().ends_with("a.sqlite.lock")));
        }
        writer.execute_batch("COMMIT")?;
        assert_eq!(count(&open_to_read(&path)?)?, 1);
        Ok(())
    }
}
