//! Identifying a data file: whether it can be protected, and what the administrator wants to know of it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use chrono::{DateTime, Local};
use serde::{Deserialize, Serialize};

pub use super::snapshot::JournalMode;
use super::{
    alias, ffi,
    hot::{self, Looking, open_to_look},
    leave,
    named::require_whole_wal,
    open_existing,
    snapshot::{is_busy, wal_path},
};
use crate::{
    error::{Error, ErrorKind, Result},
    storage::{
        self, processes,
        regular::{self, Links},
        space::{disk_space, is_read_only},
    },
};

/// So long a lock is waited for that SQLite does not see, and so often it is looked at.
const LOCK_MAX: Duration = Duration::from_secs(2);
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// SQLite makes the index of a WAL at least so long.
const INDEX_BYTES: u64 = 32 << 10;

/// What there is to know of a data file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFileFacts {
    /// Canonical path.
    pub path: PathBuf,
    /// Size of the data file in bytes, without its WAL.
    pub size_bytes: u64,
    /// Size of the WAL in bytes, 0 without one.
    pub wal_bytes: u64,
    /// When the data file or its WAL was last written.
    pub modified: Option<DateTime<Local>>,
    /// Page size in bytes.
    pub page_size: u32,
    /// Number of pages.
    pub page_count: u32,
    /// How many of them are not in use: what compacting frees at least.
    #[serde(default)]
    pub free_pages: u32,
    /// How it protects its transactions.
    pub journal_mode: JournalMode,
    /// Ordinary and virtual tables, without SQLite's own.
    pub tables: u32,
    /// Version of the SQLite that wrote it last, such as `3.40.1`.
    pub sqlite_version: Option<String>,
    /// The mark of the application that made it (`PRAGMA application_id`), 0 without one.
    pub application_id: u32,
    /// Whether this user may write it.
    pub writable: bool,
    /// Whether it holds a transaction that was begun and not ended, which nobody has undone yet: what stands here may
    /// be a part of it then.
    #[serde(default)]
    pub unfinished: bool,
}

/// Size in bytes and time of the last write of a data file with its WAL, without opening either.
///
/// # Errors
/// When it is gone or may not be looked at.
pub fn measure(path: &Path) -> Result<(u64, u64, Option<DateTime<Local>>)> {
    let meta = fs::metadata(path).map_err(|e| Error::io("find", path, e))?;
    let wal = fs::metadata(wal_path(path)).ok();
    let wal_bytes = wal.as_ref().map_or(0, fs::Metadata::len);
    let modified = meta.modified().ok().max(wal.and_then(|m| m.modified().ok())).map(DateTime::from);
    Ok((meta.len(), wal_bytes, modified))
}

/// Looks whether the file at `path` is a data file that can be protected. Nothing is changed: the journal of a
/// transaction that was not ended is not played back.
///
/// # Errors
/// Says what is wrong otherwise: gone, a folder, empty, no permission, not a database, encrypted, damaged, locked.
pub fn identify(path: &Path) -> Result<DataFileFacts> {
    alias::refuse_odd_name(path)?;
    let meta = fs::metadata(path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => Error::new(ErrorKind::NotFound, format!("{} does not exist", path.display()))
            .hint("Check the path. The file may have been moved or renamed, or its disk is not connected."),
        _ => Error::io("open", path, e),
    })?;
    if meta.is_dir() {
        return Err(Error::new(ErrorKind::WrongType, format!("{} is a folder", path.display()))
            .hint("Choose the data file itself; its name often ends in .sqlite, .sqlite3 or .db."));
    }
    if !meta.is_file() {
        return Err(Error::new(ErrorKind::WrongType, format!("{} is not an ordinary file", path.display()))
            .hint("Choose the data file itself; its name often ends in .sqlite, .sqlite3 or .db."));
    }
    let path = path.canonicalize().map_err(|e| Error::io("open", path, e))?;
    alias::refuse_odd_name(&path)?;
    refuse_unreadable(&path)?;
    alias::refuse_other_names(&path)?;
    if meta.len() == 0 {
        return Err(Error::new(ErrorKind::Empty, format!("{} is empty (0 bytes)", path.display()))
            .hint("Start the application once, so that it creates its tables; then open the file again."));
    }

    let asked = Instant::now();
    let opened = loop {
        match open_to_look(&path) {
            // A lock that SQLite does not see goes with a transaction that takes a moment.
            Err(e) if e.kind() == ErrorKind::Busy && asked.elapsed() < LOCK_MAX => std::thread::sleep(LOCK_PAUSE),
            other => break other,
        }
    };
    let (mut conn, unfinished) = match opened.map_err(|e| refine_open_failure(e, &path))? {
        Looking::AtRest(conn) => (conn, false),
        Looking::Unfinished(conn) => (conn, true),
    };
    let header = read_header(&conn, &path, meta.len())?;
    conn.busy_handler(Some(patiently)).map_err(|e| Error::sqlite("read", &path, e))?;
    // What cannot be read may be in a WAL that only another program sees.
    let fail = |e| require_whole_wal(&conn, &path).err().unwrap_or_else(|| read_failure(e, &path));
    let page_count: u32 = conn.query_row("PRAGMA page_count", [], |row| row.get(0)).map_err(fail)?;
    // SQLite gives the number with a sign, and a damaged file may say anything: that is no reason not to back it up.
    let free_pages: i64 = conn.query_row("PRAGMA freelist_count", [], |row| row.get(0)).map_err(fail)?;
    let free_pages = u32::try_from(free_pages).map_or(0, |free| free.min(page_count));
    let page_size: u32 = conn.query_row("PRAGMA page_size", [], |row| row.get(0)).map_err(fail)?;
    let tables: u32 = conn
        .query_row(
            "SELECT count(*) FROM sqlite_schema WHERE type='table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
            [],
            |row| row.get(0),
        )
        // The schema may be in the middle of a change.
        .or_else(|e| if unfinished { Ok(0) } else { Err(fail(e)) })?;
    let (size_bytes, wal_bytes, modified) = measure(&path)?;
    require_whole_wal(&conn, &path)?;
    let journal_mode = JournalMode::of_header(&header);
    let word = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let (application_id, sqlite_version) = (word(68), version_text(word(96)));
    leave(&conn, &path);
    Ok(DataFileFacts {
        writable: may_write(&path),
        unfinished,
        path,
        size_bytes,
        wal_bytes,
        modified,
        page_size,
        page_count,
        free_pages,
        journal_mode,
        tables,
        sqlite_version,
        application_id,
    })
}

/// Sees that whoever records what is committed to the data file at `path` may write its WAL-index, which `conn` has
/// mapped.
///
/// # Errors
/// [`ErrorKind::Permission`] where not.
pub fn require_written_index(conn: &rusqlite::Connection, path: &Path) -> Result<()> {
    if !ffi::has_index_to_read(conn, path) {
        return Ok(());
    }
    let (what, hint) = match is_read_only(storage::folder_of(path)) {
        true => (
            "its disk is mounted read-only",
            "Mount it so that it can be written; the log goes on by itself then. A disk becomes read-only by itself \
             after an error: look in the system's messages.",
        ),
        false => (
            "its -wal or -shm file can only be read",
            "Run Strongroom as the owner of the data file, or give this user the right to write those files.",
        ),
    };
    let message = format!("what is committed to {} cannot be recorded: {what}", path.display());
    Err(Error::new(ErrorKind::Permission, message).hint(hint).about(path))
}

/// Switches the data file at `path` to WAL mode: a lasting change of the file, for all its programs.
///
/// # Errors
/// `Busy` with the names of the programs that are in the way, `Refused` where the file cannot have a WAL.
pub fn switch_to_wal(path: &Path) -> Result<()> {
    hot::require_ended(path)?;
    let conn = open_existing(path)?;
    conn.busy_timeout(Duration::from_secs(5)).map_err(|e| Error::sqlite("switch", path, e))?;
    let mode: String = conn.query_row("PRAGMA journal_mode=WAL", [], |row| row.get(0)).map_err(|e| {
        if !is_busy(&e) {
            return Error::sqlite("switch to WAL", path, e);
        }
        let open = processes::holders(&[path.to_path_buf()]);
        let message = format!("{} cannot be switched to WAL while it is in use", path.display());
        let hint = format!("It is open in {}. End that program for a moment, and try again.", open.in_words());
        Error::new(ErrorKind::Busy, message).hint(hint).because(e)
    })?;
    if mode == "wal" {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Refused, format!("{} stays in journal mode {mode}", path.display()))
        .hint("Its file system may not offer what WAL needs. Full backups are made all the same."))
}

/// Asks again for five seconds, often: a busy writer in rollback mode lets readers in only between its commits.
fn patiently(asked: i32) -> bool {
    std::thread::sleep(Duration::from_millis(1));
    asked < 5000
}

/// The first page's beginning, recognised as an SQLite database or named for what it seems to be.
fn read_header(conn: &rusqlite::Connection, path: &Path, size: u64) -> Result<[u8; 100]> {
    let mut start = vec![0u8; size.min(4096) as usize];
    ffi::read_file(conn, path, 0, &mut start)?;
    let mut header = [0u8; 100];
    let known = start.len().min(100);
    header[..known].copy_from_slice(&start[..known]);
    if header.starts_with(b"SQLite format 3\0") && known == 100 {
        return Ok(header);
    }
    if size.is_multiple_of(512) && looks_random(&start) {
        let message = format!(
            "{} seems to be encrypted: it does not begin like an SQLite database, and its content looks random",
            path.display()
        );
        return Err(Error::new(ErrorKind::Encrypted, message).hint(
            "Encrypted databases (SQLCipher and the like) cannot be read without their key and are not supported. \
             Use the application's own backup for this file.",
        ));
    }
    if header.starts_with(b"SQLite format 3\0") || header.starts_with(b"** This file contains an SQLite 2") {
        return Err(Error::new(
            ErrorKind::Damaged,
            format!(
                "{} is not a complete SQLite 3 database: it has only {size} bytes or an old format",
                path.display()
            ),
        )
        .hint("Restore the last archive, or convert a database of SQLite 2 with its own tools."));
    }
    Err(Error::new(
        ErrorKind::NotRecognised,
        format!("{} is not an SQLite database: it begins with {}", path.display(), describe(&start)),
    )
    .hint("Choose the SQLite data file of the application; its name often ends in .sqlite, .sqlite3 or .db."))
}

fn may_write(path: &Path) -> bool {
    #[cfg(unix)]
    {
        rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok()
    }
    #[cfg(not(unix))]
    {
        path.metadata().is_ok_and(|meta| !meta.permissions().readonly())
    }
}

fn refuse_unreadable(path: &Path) -> Result<()> {
    #[cfg(unix)]
    if let Err(errno) = rustix::fs::access(path, rustix::fs::Access::READ_OK) {
        return Err(Error::io("read", path, errno.into()));
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

fn refine_open_failure(error: Error, path: &Path) -> Error {
    // SQLite tells only that it cannot open the file.
    if error.kind() == ErrorKind::Permission
        && let Some(cause) = failing_disk(path)
    {
        return Error::io("open", path, cause);
    }
    match error.kind() {
        ErrorKind::Permission => {
            Error::new(ErrorKind::Permission, format!("cannot open {}: no permission", path.display()))
                .hint("Give this user access to the file and its folder, or run Strongroom as the owner of the file.")
                .because(error)
        }
        _ => error,
    }
}

/// What the system says of a data file that cannot be opened, or of its folder, where that has nothing to do with
/// permissions.
fn failing_disk(path: &Path) -> Option<io::Error> {
    // One that SQLite has opened is not opened here: a descriptor of our own would drop its locks when closed. Then
    // only the folder is asked.
    let file = regular::open(path, Links::Followed).err().filter(|error| error.raw_os_error().is_some());
    let said = file.or_else(|| fs::read_dir(storage::folder_of(path)).err())?;
    (said.kind() != io::ErrorKind::PermissionDenied).then_some(said)
}

fn read_failure(error: rusqlite::Error, path: &Path) -> Error {
    use rusqlite::ErrorCode as C;
    if is_busy(&error) {
        return Error::new(ErrorKind::Busy, format!("{} is locked by another program", path.display()))
            .hint(
                "The application holds the file in exclusive mode or in a long transaction. Wait, or switch its \
                 exclusive locking off.",
            )
            .because(error);
    }
    let folder = storage::folder_of(path);
    let cannot_make =
        matches!(error.sqlite_error_code(), Some(C::CannotOpen | C::ReadOnly | C::SystemIoFailure | C::DiskFull));
    if cannot_make && is_read_only(folder) {
        let message = format!("cannot read {}: its disk is mounted read-only", path.display());
        return Error::new(ErrorKind::Permission, message)
            .hint(
                "A file in WAL mode needs its -wal and -shm files, which cannot be made there. Mount the disk so \
                 that it can be written (one becomes read-only by itself after an error: look in the system's \
                 messages), or copy the file with its -wal elsewhere, and back up the copy.",
            )
            .because(error);
    }
    if cannot_make && disk_space(folder).is_ok_and(|space| space.available < INDEX_BYTES) {
        let message = format!("cannot read {}: its disk is full", path.display());
        return Error::new(ErrorKind::NoSpace, message)
            .hint(
                "A file in WAL mode needs its -shm file, for which there is no space. Free space on that disk, and try \
                 again.",
            )
            .because(error);
    }
    if matches!(error.sqlite_error_code(), Some(C::CannotOpen | C::ReadOnly)) {
        return Error::new(
            ErrorKind::Permission,
            format!("cannot read {}: its -wal or -shm file cannot be opened or made", path.display()),
        )
        .hint("A file in WAL mode needs a folder that this user may write. Run Strongroom as the owner of the file.")
        .because(error);
    }
    Error::sqlite("read", path, error)
}

/// `3040001` is 3.40.1; 0 means that the file was written before SQLite 3.7.0.
fn version_text(number: u32) -> Option<String> {
    (number != 0).then(|| format!("{}.{}.{}", number / 1_000_000, number / 1000 % 1000, number % 1000))
}

/// Whether the bytes have the even distribution of encrypted or compressed data.
pub(crate) fn looks_random(bytes: &[u8]) -> bool {
    let mut counts = [0u32; 256];
    for byte in bytes {
        counts[usize::from(*byte)] += 1;
    }
    let total = bytes.len() as f64;
    let entropy: f64 = counts.iter().filter(|n| **n > 0).map(|n| f64::from(*n) / total).map(|p| -p * p.log2()).sum();
    // 4096 random bytes have about 7.95 bits each, 512 about 7.6; text and code stay below 6.5.
    bytes.len() >= 512 && entropy > 7.4
}

/// The first bytes as a person can recognise them.
pub(crate) fn describe(start: &[u8]) -> String {
    let known: &[(&[u8], &str)] = &[
        (b"%PDF", "the mark of a PDF"),
        (b"PK\x03\x04", "the mark of a ZIP file or an office document"),
        (b"\x1f\x8b", "the mark of a gzip file"),
        (b"\x28\xb5\x2f\xfd", "the mark of a zstd file"),
        (b"\x7fELF", "the mark of a program"),
        (b"\x37\x7f\x06\x82", "the mark of an SQLite WAL; the data file has the same name without -wal"),
        (b"\x37\x7f\x06\x83", "the mark of an SQLite WAL; the data file has the same name without -wal"),
    ];
    if let Some((_, name)) = known.iter().find(|(mark, _)| start.starts_with(mark)) {
        return (*name).to_owned();
    }
    let shown: String =
        start.iter().take(16).map(|b| if b.is_ascii_graphic() || *b == b' ' { char::from(*b) } else { '·' }).collect();
    format!("\"{shown}\"")
}

#[cfg(test)]
mod tests;
