//! Noticing that somebody writes to the data file past SQLite, as `cp` does when it puts a copy in its place.
//!
//! SQLite writes to a data file in WAL mode only while it copies frames of the WAL into it, and says in the WAL-index
//! up to which frame it has begun to and has done so. A file that was written while neither moved was written by
//! something else. Then no frame may be copied into it any more, ours or the application's: they belong to what it was
//! before.

use std::{
    io::{Read, Seek, SeekFrom},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rusqlite::Connection;

use crate::{
    error::{Error, ErrorKind, Result},
    sqlite::{ffi, snapshot::wal_path, wal_index::Backfill},
    storage::{
        identity::FileStamp,
        regular::{self, Links},
    },
};

/// How the data file was when it was looked at last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    backfill: Backfill,
    length: u64,
    /// When its content was written, in nanoseconds since 1970. Not when anything of it was changed: owner, permissions
    /// and links may change at any time.
    written: i128,
}

impl Seen {
    /// Whether SQLite has copied as much.
    fn is_where(&self, other: &Self) -> bool {
        self.backfill.is_as_far_as(other.backfill)
    }

    fn is_same(&self, other: &Self) -> bool {
        (self.length, self.written) == (other.length, other.written)
    }
}

/// Whether the index of the data file at `path` was made anew between two looks: then SQLite may have written what it
/// had written before.
fn is_made_anew(path: &Path, before: Backfill, now: Backfill) -> bool {
    now.is_made_anew_since(before, |from, to| commits_between(&wal_path(path), from, to))
}

/// How many frames of the WAL at `wal`, after frame `from` up to frame `to`, end a commit (`walformat` of SQLite's
/// documentation).
fn commits_between(wal: &Path, from: u32, to: u32) -> Option<u32> {
    const HEADER: u64 = 32;
    const FRAME_HEADER: usize = 24;
    let (file, _) = regular::open(wal, Links::Refused).ok()?;
    let mut file = std::io::BufReader::new(file);
    let mut header = [0; HEADER as usize];
    file.read_exact(&mut header).ok()?;
    let page_size = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
    let frame = u64::from(page_size) + FRAME_HEADER as u64;
    file.seek(SeekFrom::Start(HEADER + u64::from(from) * frame)).ok()?;
    let mut commits = 0;
    for _ in from..to {
        let mut header = [0; FRAME_HEADER];
        file.read_exact(&mut header).ok()?;
        commits += u32::from(header[4..8] != [0; 4]);
        file.seek_relative(i64::from(page_size)).ok()?;
    }
    Some(commits)
}

/// What was seen of a data file whose index is open.
#[derive(Debug, Default, Clone)]
pub(super) struct Unwritten(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    last: Option<Seen>,
    /// Whether a checkpoint was refused because the file was written.
    is_written: bool,
}

impl Unwritten {
    /// Looks at the data file at `path`, whose index `conn` has open, and compares it with the last look.
    ///
    /// # Errors
    /// [`ErrorKind::Changed`] when it was written, and not by SQLite.
    pub(super) fn look(&self, conn: &Connection, path: &Path) -> Result<()> {
        if self.state().is_written {
            return Err(changed(path));
        }
        let before = ffi::backfill(conn, path)?;
        let Some(stamp) = FileStamp::of_path(path).ok().flatten() else { return Ok(()) };
        // Read again: a checkpoint that began or ended meanwhile makes no look at all.
        let Some(backfill) = before.filter(|before| before.is_quiet()) else { return Ok(()) };
        if !ffi::backfill(conn, path)?.is_some_and(|after| after.is_quiet() && after.is_as_far_as(backfill)) {
            return Ok(());
        }
        let now = Seen { backfill, length: stamp.length, written: stamp.written };
        match self.state().last.replace(now) {
            Some(last)
                if last.is_where(&now) && !last.is_same(&now) && !is_made_anew(path, last.backfill, backfill) =>
            {
                Err(changed(path))
            }
            _ => Ok(()),
        }
    }

    /// Sees that the file of the WAL at `wal` is not one that somebody put there, while the index says that it is
    /// empty: it belongs to a copy of the data file, and what it holds must not be thrown away as if it were nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Changed`] when it is another one.
    pub(super) fn look_at_wal(conn: &Connection, path: &Path, wal: &Path) -> Result<()> {
        let is_strange = || {
            let index = ffi::backfill(conn, path).ok().flatten().filter(|index| index.is_empty());
            index.zip(wal_header(wal)).is_some_and(|(index, header)| !index.knows(&header))
        };
        // The first writer of a WAL writes its head before it says so in the index.
        if is_strange() && ffi::while_nobody_writes(conn, path, is_strange)? == Some(true) {
            return Err(wal_changed(wal));
        }
        Ok(())
    }

    /// Whether the file of the WAL at `wal` is the one that the index of `conn` is about.
    pub(super) fn knows_wal(conn: &Connection, path: &Path, wal: &Path) -> bool {
        let index = ffi::backfill(conn, path).ok().flatten();
        index.zip(wal_header(wal)).is_some_and(|(index, header)| index.knows(&header))
    }

    /// Whether a checkpoint may write to the data file at `path`, which is about to: the file is as it was at the last
    /// look. `before` tells how far the checkpoint before had come; one of another program may have run since the look.
    pub(super) fn allows(&self, before: Option<Backfill>, path: &Path) -> bool {
        let mut state = self.state();
        let (Some(last), Some(before)) = (state.last, before) else { return true };
        let stamp = FileStamp::of_path(path).ok().flatten();
        let is_same = stamp.is_some_and(|stamp| (stamp.length, stamp.written) == (last.length, last.written));
        if before.is_as_far_as(last.backfill) && !is_same && !is_made_anew(path, last.backfill, before) {
            state.is_written = true;
            return false;
        }
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first 32 bytes of a WAL that has so many.
fn wal_header(wal: &Path) -> Option<[u8; 32]> {
    let mut header = [0; 32];
    let (mut file, _) = regular::open(wal, Links::Refused).ok()?;
    file.read_exact(&mut header).ok()?;
    Some(header)
}

fn wal_changed(wal: &Path) -> Error {
    Error::new(
        ErrorKind::Changed,
        format!(
            "{} was put there by a program that does not use SQLite",
            wal.display()
        ),
    )
    .hint(
        "It belongs to a copy that was put in the place of the data file. Both are opened anew, compared as a whole, \
         and the log goes on. Put a copy and its -wal file in place while the application is stopped.",
    )
}

/// What is said of a data file with such content.
pub(super) fn changed(path: &Path) -> Error {
    let message = format!("{} was written by a program that does not use SQLite", path.display());
    Error::new(ErrorKind::Changed, message).hint(
        "Another content was copied over it. It is compared as a whole, and the log goes on. Bring an older state back \
         with a restore in place, while the application is stopped.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::open_existing;

    type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn what_sqlite_writes_is_told_from_what_others_write() -> Outcome {
        let folder = tempfile::tempdir()?;
        let path = folder.path().canonicalize()?.join("a.sqlite");
        let application = Connection::open(&path)?;
        application.execute_batch("PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(x)")?;
        let conn = open_existing(&path)?;
        conn.query_row("SELECT count(*) FROM t", [], |_| Ok(()))?;
        let unwritten = Unwritten::default();
        // Far enough apart for the coarsest clock of a file system in use.
        let pause = || std::thread::sleep(std::time::Duration::from_millis(20));
        for n in 0..3 {
            unwritten.look(&conn, &path)?;
            application.execute("INSERT INTO t VALUES(randomblob(9000))", [])?;
            pause();
            unwritten.look(&conn, &path)?;
            application.execute_batch(["PRAGMA wal_checkpoint", "PRAGMA wal_checkpoint(RESTART)", ""][n])?;
            pause();
            unwritten.look(&conn, &path)?;
        }
        // Not its owner, permissions or links.
        std::fs::hard_link(&path, folder.path().join("link"))?;
        unwritten.look(&conn, &path)?;
        let copy = folder.path().join("copy");
        std::fs::copy(&path, &copy)?;
        pause();
        assert!(std::process::Command::new("cp").arg(&copy).arg(&path).status()?.success());
        assert_eq!(unwritten.look(&conn, &path).map_err(|e| e.kind()), Err(ErrorKind::Changed));
        Ok(())
    }

    /// As a writer leaves it that is killed while it writes the index: the next one makes it anew, and a checkpoint
    /// that gets no further than the one before writes the same frames again.
    #[test]
    fn frames_that_sqlite_copies_twice_are_no_change() -> Outcome {
        let folder = tempfile::tempdir()?;
        let path = folder.path().canonicalize()?.join("a.sqlite");
        let application = Connection::open(&path)?;
        application.execute_batch("PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(x)")?;
        let (conn, reader) = (open_existing(&path)?, Connection::open(&path)?);
        for conn in [&conn, &reader] {
            conn.execute_batch("BEGIN; SELECT count(*) FROM t; PRAGMA user_version")?;
            conn.query_row("SELECT count(*) FROM t", [], |_| Ok(()))?;
        }
        let unwritten = Unwritten::default();
        application.execute_batch("PRAGMA wal_checkpoint")?;
        unwritten.look(&conn, &path)?;
        let before = ffi::backfill(&conn, &path)?.ok_or("no index")?;
        application.execute_batch("INSERT INTO t VALUES(1); INSERT INTO t VALUES(2)")?;
        std::thread::sleep(std::time::Duration::from_millis(20));
        // By another process: to close it would drop the locks of this one.
        let mut index = path.clone().into_os_string();
        index.push("-shm");
        let half_written = "printf '\\377' | dd of=\"$1\" bs=1 seek=20 conv=notrunc 2>/dev/null";
        assert!(std::process::Command::new("sh").args(["-c", half_written, "sh"]).arg(&index).status()?.success());
        let writer = Connection::open(&path)?;
        writer.execute_batch("INSERT INTO t VALUES(3); PRAGMA wal_checkpoint")?;
        let now = ffi::backfill(&conn, &path)?.ok_or("no index")?;
        assert!(now.is_quiet() && now.is_as_far_as(before) && now != before, "{now:?} after {before:?}");
        unwritten.look(&conn, &path)?;
        assert!(unwritten.allows(Some(now), &path));
        // Told from another content all the same.
        std::thread::sleep(std::time::Duration::from_millis(20));
        let copy = folder.path().join("copy");
        std::fs::copy(&path, &copy)?;
        assert!(std::process::Command::new("cp").arg(&copy).arg(&path).status()?.success());
        assert!(!unwritten.allows(Some(now), &path));
        assert_eq!(unwritten.look(&conn, &path).map_err(|e| e.kind()), Err(ErrorKind::Changed));
        Ok(())
    }
}
