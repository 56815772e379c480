//! A held, consistent view of a data file that other programs keep writing, read at the speed of the disk.
//!
//! # Method
//! One read transaction is held from [`Snapshot::begin`] until the snapshot is dropped. It never restarts, unlike the
//! steps of SQLite's Backup API.
//!
//! *Rollback-journal mode*: the transaction holds the SHARED lock, so nobody can write to the data file; its bytes are
//! the state. Writers wait for the lock.
//!
//! *WAL mode*: writers go on. Checkpoints copy frames into the data file only up to the read mark that we hold, and
//! only pages that occur in the WAL. So a page that occurred in no frame when the transaction began keeps its bytes in
//! the data file for as long as we hold it, and is read from there in large pieces. Every other page is read through
//! SQLite, inside the transaction, which finds its right version. The set of such pages is taken from all frame headers
//! that the WAL file holds, valid or not: one page too many costs a little time and nothing else.

use std::{
    collections::BTreeSet,
    io::{BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant, SystemTime},
};

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::{
    ffi,
    hot::{Looking, open_to_look, open_to_read},
    leave,
    named::{NamedFiles, require_one_wal, require_shared, require_whole_wal},
};
use crate::{
    control::Control,
    error::{Error, ErrorKind, Result},
    storage::regular::{self, Links},
};

/// How long to wait for a writer that holds the data file locked.
pub const LOCK_WAIT_MAX: Duration = Duration::from_secs(60);
/// For so long files may come and go while the last program closes them.
const SETTLES: Duration = Duration::from_millis(300);

/// How a data file protects its own transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JournalMode {
    /// Write-ahead log: readers and writers do not block each other.
    Wal,
    /// A rollback journal in any of its modes (DELETE, TRUNCATE, PERSIST, MEMORY).
    Rollback,
}

impl JournalMode {
    /// By the version numbers in the first 100 bytes of a data file.
    pub fn of_header(header: &[u8; 100]) -> Self {
        if header[18] == 2 { JournalMode::Wal } else { JournalMode::Rollback }
    }

    /// As the window calls it.
    pub fn label(self) -> &'static str {
        match self {
            JournalMode::Wal => "WAL",
            JournalMode::Rollback => "Rollback journal",
        }
    }
}

/// One consistent state of a data file. Dropping it lets writers in rollback mode go on.
#[derive(Debug)]
pub struct Snapshot {
    conn: Connection,
    path: PathBuf,
    page_size: u32,
    page_count: u32,
    journal_mode: JournalMode,
    wal_pages: BTreeSet<u32>,
    begun: Instant,
    files: NamedFiles,
    /// In rollback mode, when the file was written last and how long it was: nobody writes it while this is held.
    written: Option<Written>,
}

/// How it is opened.
type Open<'a> = dyn Fn(&Path) -> Result<Connection> + 'a;

type Written = (Option<SystemTime>, u64);

fn written(path: &Path) -> Result<Written> {
    let meta = path.metadata().map_err(|e| Error::io("find", path, e))?;
    Ok((meta.modified().ok(), meta.len()))
}

impl Snapshot {
    /// Begins the read transaction on the data file at `path`, waiting up to `wait_max` for a lock.
    ///
    /// # Errors
    /// `Busy` when the lock does not come, `Stopped`, `Damaged`, and what [`open_existing`] reports.
    pub fn begin(path: &Path, wait_max: Duration, control: &Control) -> Result<Self> {
        Self::begin_in(path, &open_to_read, wait_max, control)
    }

    /// The same for whoever only looks: the journal of a transaction that was not ended is never played back.
    ///
    /// # Errors
    /// As [`Self::begin`]; `Refused` where there is such a journal.
    pub fn begin_to_look(path: &Path, wait_max: Duration, control: &Control) -> Result<Self> {
        let open = |path: &Path| match open_to_look(path)? {
            Looking::AtRest(conn) => Ok(conn),
            Looking::Unfinished(_) => {
                let message = format!("{} holds a transaction that was begun and not ended", path.display());
                Err(Error::new(ErrorKind::Refused, message))
            }
        };
        Self::begin_in(path, &open, wait_max, control)
    }

    fn begin_in(path: &Path, open: &Open<'_>, wait_max: Duration, control: &Control) -> Result<Self> {
        let asked = Instant::now();
        loop {
            match Self::begin_once(path, open, wait_max.saturating_sub(asked.elapsed()), control) {
                // Whoever closes it last removes its WAL.
                Err(e) if e.kind() == ErrorKind::Busy && asked.elapsed() < wait_max => {
                    control.check()?;
                    thread::sleep(Duration::from_millis(5));
                }
                // Whoever has it open last empties or removes its WAL, which may be made anew in the same moment.
                Err(e)
                    if matches!(e.kind(), ErrorKind::Replaced | ErrorKind::Changed)
                        && asked.elapsed() < wait_max.min(SETTLES) =>
                {
                    control.check()?;
                    thread::sleep(Duration::from_millis(20));
                }
                other => return other,
            }
        }
    }

    fn begin_once(path: &Path, open: &Open<'_>, wait_max: Duration, control: &Control) -> Result<Self> {
        let path = path.canonicalize().map_err(|e| Error::io("open", path, e))?;
        let before = NamedFiles::look(&path)?;
        require_shared(&path)?;
        let conn = open(&path)?;
        let fail = |e| Error::sqlite("read", &path, e);
        conn.execute_batch("BEGIN").map_err(fail)?;
        let asked = Instant::now();
        let page_count: u32 = loop {
            // The first read takes the lock; until then BEGIN alone holds nothing.
            match conn.query_row("PRAGMA page_count", [], |row| row.get(0)) {
                Ok(count) => break count,
                Err(e) if is_busy(&e) && asked.elapsed() < wait_max => {
                    control.check()?;
                    // Short, because a busy writer in rollback mode lets readers in only between its commits.
                    thread::sleep(Duration::from_millis(1));
                }
                // What it cannot read may be in the WAL of somebody else.
                Err(e) => return Err(require_whole_wal(&conn, &path).err().unwrap_or_else(|| fail(e))),
            }
        };
        if let Err(gone) = require_whole_wal(&conn, &path) {
            let _ = conn.execute_batch("ROLLBACK");
            return Err(gone);
        }
        // In rollback mode there is no index, and nobody is found apart.
        if let Err(apart) = require_one_wal(&path) {
            let _ = conn.execute_batch("ROLLBACK");
            return Err(apart);
        }
        let begun = Instant::now();
        let files = NamedFiles::opened(&path, &before)?;
        let page_size: u32 = conn.query_row("PRAGMA page_size", [], |row| row.get(0)).map_err(fail)?;
        if page_count == 0 {
            return Err(Error::new(ErrorKind::Empty, format!("{} holds no database yet: it is empty", path.display()))
                .hint("Start the application once, so that it creates its tables; then open the file again."));
        }
        let mut header = [0; 100];
        ffi::read_file(&conn, &path, 0, &mut header)?;
        let journal_mode = JournalMode::of_header(&header);
        let wal_pages = pages_in_wal(&wal_path(&path), page_size)?;
        let pages_on_disk = ffi::file_size(&conn, &path)? / u64::from(page_size);
        // SQLite never writes the page of its lock bytes, neither to the file nor to the WAL; it reads as zeros.
        let lock_page = 0x4000_0000 / u64::from(page_size) + 1;
        for page in pages_on_disk + 1..=u64::from(page_count) {
            if page != lock_page && !u32::try_from(page).is_ok_and(|page| wal_pages.contains(&page)) {
                let message = format!(
                    "{} is cut off: it should have {page_count} pages of {page_size} bytes, but ends after \
                     {pages_on_disk}",
                    path.display()
                );
                return Err(Error::new(ErrorKind::Damaged, message)
                    .hint("The data file is damaged. Restore the last archive, and keep the damaged file."));
            }
        }
        let written = if journal_mode == JournalMode::Rollback { Some(written(&path)?) } else { None };
        Ok(Self { conn, path, page_size, page_count, journal_mode, wal_pages, begun, files, written })
    }

    /// Page size in bytes.
    pub fn page_size(&self) -> u32 {
        self.page_size
    }

    /// Number of pages.
    pub fn page_count(&self) -> u32 {
        self.page_count
    }

    /// Size of the state in bytes.
    pub fn len(&self) -> u64 {
        u64::from(self.page_size) * u64::from(self.page_count)
    }

    /// Never true: [`begin`](Self::begin) refuses an empty data file.
    pub fn is_empty(&self) -> bool {
        self.page_count == 0
    }

    /// How the data file protects its transactions.
    pub fn journal_mode(&self) -> JournalMode {
        self.journal_mode
    }

    /// The files that it reads.
    pub fn files(&self) -> &NamedFiles {
        &self.files
    }

    /// Sees that what it reads is still what the path of the data file names.
    ///
    /// # Errors
    /// `Replaced` when it is not: then this is no state of the data file. `Changed` when somebody wrote it whom the
    /// lock should have kept from it.
    pub fn require_named(&self) -> Result<()> {
        self.files.require(&self.path)?;
        if self.written.is_none() || self.written == written(&self.path).ok() {
            return Ok(());
        }
        let message = format!("{} was written while it was held for reading", self.path.display());
        Err(Error::new(ErrorKind::Changed, message).hint(
            "A program writes it that does not keep to SQLite's locks (vfs=unix-dotfile, unix-none, nolock=1, another \
             machine): what was read is no state of the file. End that program during backups.",
        ))
    }

    /// How long the read transaction has been held.
    pub fn held(&self) -> Duration {
        self.begun.elapsed()
    }

    /// The connection that holds the transaction, for further reads of the same state.
    pub fn connection(&self) -> &Connection {
        &self.conn
    }

    /// Reads `buffer.len()` bytes of the state at `offset`.
    ///
    /// # Errors
    /// When the disk or SQLite cannot read; `Refused` beyond the end.
    pub fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let end = offset + buffer.len() as u64;
        if end > self.len() {
            return Err(Error::new(ErrorKind::Refused, format!("read past the end of {}", self.path.display())));
        }
        ffi::read_file(&self.conn, &self.path, offset, buffer)?;
        if buffer.is_empty() || self.wal_pages.is_empty() {
            return Ok(());
        }
        let size = u64::from(self.page_size);
        // Both fit: the range lies inside the file, whose pages are numbered with 32 bits.
        let (first, last) = ((offset / size) as u32 + 1, ((end - 1) / size) as u32 + 1);
        for &page in self.wal_pages.range(first..=last) {
            let bytes = self.page(page)?;
            let start = u64::from(page - 1) * size;
            let (from, to) = (start.max(offset), (start + size).min(end));
            buffer[(from - offset) as usize..(to - offset) as usize]
                .copy_from_slice(&bytes[(from - start) as usize..(to - start) as usize]);
        }
        Ok(())
    }

    /// One page through SQLite, which takes it from the WAL where it is newer there.
    fn page(&self, page: u32) -> Result<Vec<u8>> {
        let fail = |e| Error::sqlite("read", &self.path, e);
        let mut statement =
            self.conn.prepare_cached("SELECT data FROM sqlite_dbpage('main') WHERE pgno=?1").map_err(fail)?;
        let bytes: Vec<u8> = statement.query_row([page], |row| row.get(0)).map_err(fail)?;
        if bytes.len() != self.page_size as usize {
            return Err(Error::new(
                ErrorKind::Damaged,
                format!("page {page} of {} is incomplete", self.path.display()),
            ));
        }
        Ok(bytes)
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        leave(&self.conn, &self.path);
    }
}

/// The WAL of the data file at `path`, which must be the canonical path.
pub fn wal_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

/// The index of the WAL beside the data file at `path`, which must be the canonical path.
pub fn shm_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-shm");
    PathBuf::from(name)
}

/// The bytes of that index whose locks mean a read transaction that needs the WAL: `WAL_READ_LOCK(1)` to `(4)` of
/// <https://sqlite.org/walformat.html#the_wal_index_file_format>.
pub const READ_LOCKS: std::ops::RangeInclusive<u64> = 124..=127;

/// Whether SQLite says that a lock of another program is in the way.
pub fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked))
}

/// Every page number that occurs in a frame header of the WAL file, valid or not; empty when there is no WAL.
fn pages_in_wal(wal: &Path, page_size: u32) -> Result<BTreeSet<u32>> {
    let fail = |e| Error::io("read", wal, e);
    let mut pages = BTreeSet::new();
    let (file, meta) = match regular::open(wal, Links::Followed) {
        Ok(opened) => opened,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(pages),
        Err(e) => return Err(fail(e)),
    };
    let length = meta.len();
    let frame = 24 + u64::from(page_size);
    let mut reader = BufReader::with_capacity(24, file);
    reader.seek(SeekFrom::Start(32)).map_err(fail)?;
    for _ in 0..length.saturating_sub(32) / frame {
        let mut header = [0u8; 24];
        match reader.read_exact(&mut header) {
            Ok(()) => {}
            // Cut shorter meanwhile by a checkpoint that truncates: what is gone is in the data file.
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => break,
            Err(e) => return Err(fail(e)),
        }
        pages.insert(u32::from_be_bytes([header[0], header[1], header[2], header[3]]));
        reader.seek(SeekFrom::Current(i64::from(page_size))).map_err(fail)?;
    }
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

    fn whole(snapshot: &Snapshot) -> Result<Vec<u8>> {
        let mut bytes = vec![0; snapshot.len() as usize];
        // An odd piece size, so that pieces begin and end inside pages.
        for (index, piece) in bytes.chunks_mut(10_007).enumerate() {
            snapshot.read(index as u64 * 10_007, piece)?;
        }
        Ok(bytes)
    }

    #[test]
    fn the_snapshot_stays_the_same_while_others_commit_and_checkpoint() -> Outcome {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a b é.sqlite");
        let writer = Connection::open(&path)?;
        writer.execute_batch(
            "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(x);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<3000) INSERT INTO t SELECT \
             randomblob(300) FROM n;
             PRAGMA wal_checkpoint(PASSIVE); UPDATE t SET x=randomblob(310) WHERE rowid%3=0",
        )?;
        let sum: i64 = writer.query_row("SELECT sum(length(x)) FROM t", [], |r| r.get(0))?;
        let snapshot = Snapshot::begin(&path, Duration::ZERO, &Control::default())?;
        writer.execute_batch(
            "UPDATE t SET x=zeroblob(5); PRAGMA wal_checkpoint(PASSIVE); DELETE FROM t; PRAGMA wal_checkpoint(PASSIVE)",
        )?;
        let copy = folder.path().join("copy.sqlite");
        std::fs::write(&copy, whole(&snapshot)?)?;
        let copy = Connection::open(&copy)?;
        assert_eq!(copy.query_row("PRAGMA integrity_check", [], |r| r.get::<_, String>(0))?, "ok");
        assert_eq!(copy.query_row("SELECT sum(length(x)) FROM t", [], |r| r.get::<_, i64>(0))?, sum);
        Ok(())
    }

    #[test]
    fn a_locked_file_is_waited_for_and_then_named() -> Outcome {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a.sqlite");
        let writer = Connection::open(&path)?;
        writer.execute_batch("CREATE TABLE t(x); BEGIN EXCLUSIVE")?;
        let error = Snapshot::begin(&path, Duration::from_millis(50), &Control::default()).err().ok_or("got in")?;
        assert_eq!(error.kind(), ErrorKind::Busy);
        writer.execute_batch("COMMIT")?;
        let snapshot = Snapshot::begin(&path, Duration::ZERO, &Control::default())?;
        assert!(writer.execute_batch("INSERT INTO t VALUES(1)").is_err(), "our SHARED lock keeps writers out");
        drop(snapshot);
        writer.execute_batch("INSERT INTO t VALUES(1)")?;
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn a_program_that_keeps_to_no_lock_is_found_out() -> Outcome {
        let folder = tempfile::tempdir()?;
        let path = folder.path().canonicalize()?.join("a.sqlite");
        let writer = Connection::open_with_flags(
            format!("file:{}?vfs=unix-none", path.display()),
            rusqlite::OpenFlags::default() | rusqlite::OpenFlags::SQLITE_OPEN_URI,
        )?;
        writer.execute_batch("CREATE TABLE t(x)")?;
        let snapshot = Snapshot::begin(&path, Duration::ZERO, &Control::default())?;
        snapshot.require_named()?;
        // Times of files are told in steps of a few milliseconds.
        thread::sleep(Duration::from_millis(50));
        writer.execute_batch("INSERT INTO t VALUES(1)")?;
        assert_eq!(snapshot.require_named().err().map(|e| e.kind()), Some(ErrorKind::Changed));
        Ok(())
    }

    #[test]
    fn a_file_cut_short_is_refused() -> Outcome {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a.sqlite");
        Connection::open(&path)?.execute_batch("CREATE TABLE t(x); CREATE TABLE u(x); CREATE TABLE v(x)")?;
        let bytes = std::fs::read(&path)?;
        std::fs::write(&path, &bytes[..8192])?;
        let error = Snapshot::begin(&path, Duration::ZERO, &Control::default()).err().ok_or("accepted")?;
        assert_eq!(error.kind(), ErrorKind::Damaged);
        Ok(())
    }
}
