//! The only unsafe code of the program: the parts of SQLite's C interface that rusqlite does not wrap.
//!
//! Raw bytes of the data file are read through the file handle that SQLite itself holds, because a descriptor of our
//! own would drop SQLite's locks when closed (see the [lock trap](super)).
#![allow(unsafe_code)]

use std::{cell::Cell, ffi::c_void, path::Path, ptr};

use rusqlite::{Connection, ffi};

use super::wal_index::{
    BACKFILL_BEGUN, BACKFILLED, Backfill, CHANGE_COUNTER, CHECKSUM, FRAME_MAX, Header, INDEX_HEADER_WORDS,
    INDEX_REGION, NOT_USED, PAGE_COUNT, READ_MARKS, READERS, SALTS, WalPosition, index_checksum,
};
use crate::error::{Error, ErrorKind, Result};

fn failure(what: &str, path: &Path, code: i32) -> Error {
    Error::sqlite(what, path, rusqlite::Error::SqliteFailure(ffi::Error::new(code), None))
}

/// SQLite's file object of the main database of `conn`.
fn file_of(conn: &Connection, path: &Path) -> Result<*mut ffi::sqlite3_file> {
    let mut file: *mut ffi::sqlite3_file = ptr::null_mut();
    // SAFETY: the handle is valid while `conn` is borrowed; SQLITE_FCNTL_FILE_POINTER stores one pointer into `file`,
    // and a null schema name means "main".
    let code = unsafe {
        ffi::sqlite3_file_control(
            conn.handle(),
            ptr::null(),
            ffi::SQLITE_FCNTL_FILE_POINTER,
            ptr::from_mut(&mut file).cast::<c_void>(),
        )
    };
    // SAFETY: a non-null pointer returned above is the live file object of the connection; `pMethods` is null when
    // closed.
    if code != ffi::SQLITE_OK || file.is_null() || unsafe { (*file).pMethods.is_null() } {
        return Err(Error::new(ErrorKind::Sqlite, format!("SQLite holds no open file for {}", path.display())));
    }
    Ok(file)
}

/// Has `conn` take as little memory as SQLite allows: for connections that are open for long and do little.
///
/// # Errors
/// When statements were prepared on it already.
pub fn keep_small(conn: &Connection, path: &Path) -> Result<()> {
    let none: *mut c_void = ptr::null_mut();
    // SAFETY: the handle is valid while `conn` is borrowed; SQLITE_DBCONFIG_LOOKASIDE takes a buffer, which may be
    // null, and two ints: the size and the number of its slots, 0 for no buffer at all.
    let code = unsafe { ffi::sqlite3_db_config(conn.handle(), ffi::SQLITE_DBCONFIG_LOOKASIDE, none, 0, 0) };
    if code == ffi::SQLITE_OK { Ok(()) } else { Err(failure("open", path, code)) }
}

/// The size in bytes of the data file behind `conn`, whatever its WAL holds.
///
/// # Errors
/// When the operating system does not tell.
pub fn file_size(conn: &Connection, path: &Path) -> Result<u64> {
    let file = file_of(conn, path)?;
    let mut size: ffi::sqlite3_int64 = 0;
    // SAFETY: `file` is an open file object (checked by `file_of`) and stays so while `conn` is borrowed; every VFS
    // defines xFileSize.
    let code = unsafe {
        match (*(*file).pMethods).xFileSize {
            Some(file_size) => file_size(file, &raw mut size),
            None => ffi::SQLITE_IOERR_FSTAT,
        }
    };
    if code != ffi::SQLITE_OK {
        return Err(failure("measure", path, code));
    }
    Ok(u64::try_from(size).unwrap_or(0))
}

/// Reads raw bytes of the data file behind `conn` at `offset`; what lies past its end reads as zeros.
///
/// The bytes are those on disk: pages that are newer in the WAL must be read otherwise. They are only consistent while
/// `conn` holds a read transaction.
///
/// # Errors
/// When the operating system cannot read them.
pub fn read_file(conn: &Connection, path: &Path, offset: u64, buffer: &mut [u8]) -> Result<()> {
    let file = file_of(conn, path)?;
    // xRead takes an int; the slices stay far below it, and each is read on its own.
    for (index, part) in buffer.chunks_mut(1 << 20).enumerate() {
        let at = offset + ((index as u64) << 20);
        // SAFETY: `file` is an open file object (see above); `part` is writable memory of exactly the length given.
        let code = unsafe {
            match (*(*file).pMethods).xRead {
                Some(read) => {
                    read(file, part.as_mut_ptr().cast::<c_void>(), part.len() as i32, at as ffi::sqlite3_int64)
                }
                None => ffi::SQLITE_IOERR_READ,
            }
        };
        // A short read is not an error: SQLite has filled the rest with zeros.
        if code != ffi::SQLITE_OK && code != ffi::SQLITE_IOERR_SHORT_READ {
            return Err(failure("read", path, code));
        }
    }
    Ok(())
}

/// Where the open read transaction of `conn` stands in the WAL, or `None` when there is nothing to stand on: not in WAL
/// mode, or an empty WAL.
///
/// When no transaction is open on `conn` but `BEGIN` was given, this opens it, and takes a lock that forbids a restart
/// of the WAL.
///
/// # Errors
/// When another program's lock is in the way.
pub fn wal_position(conn: &Connection, path: &Path) -> Result<Option<WalPosition>> {
    let mut snapshot: *mut ffi::sqlite3_snapshot = ptr::null_mut();
    // SAFETY: the handle is valid while `conn` is borrowed, the name is a C string, and the snapshot is freed below.
    let code = unsafe { ffi::sqlite3_snapshot_get(conn.handle(), c"main".as_ptr(), &raw mut snapshot) };
    match code {
        ffi::SQLITE_OK if !snapshot.is_null() => {}
        ffi::SQLITE_OK | ffi::SQLITE_ERROR if has_frames(conn, path) => {
            // What it holds cannot be told from an empty WAL here, so that its commits would be passed over.
            return Err(Error::new(
                ErrorKind::Busy,
                format!("the last commit to {} has no checksum yet", path.display()),
            )
            .hint("An older SQLite leaves such commits after ROLLBACK TO. It is read with the next commit."));
        }
        ffi::SQLITE_OK | ffi::SQLITE_ERROR => return Ok(None),
        code => return Err(failure("read the WAL position of", path, code)),
    }
    // SAFETY: a snapshot is 48 bytes by its declaration in sqlite3.h, and holds a copy of the header that `wal.c` names
    // WalIndexHdr; it is freed exactly once, after the copy.
    let bytes = unsafe {
        let bytes = (*snapshot).hidden;
        ffi::sqlite3_snapshot_free(snapshot);
        bytes
    };
    Ok(WalPosition::from_header(&bytes))
}

/// Has the WAL-index forget how many pages the data file has, so that whoever reads next takes them from the file
/// itself.
///
/// An index remembers that number for as long as anybody has it open, also while the WAL is empty. A program that opens
/// the file after another one was copied over it would believe the number, and call the file malformed. Nothing else is
/// lost: with an empty WAL the number is that of the file. The counter of changes goes up by one, so that nobody takes
/// the pages that he has in memory for those of a header that he saw before.
///
/// `conn` must hold the write lock. The new counter is returned; `None` when there are frames in the WAL, and nothing
/// was done.
///
/// # Errors
/// When SQLite has no index of it open.
pub fn forget_page_count(conn: &Connection, path: &Path) -> Result<Option<u32>> {
    let (file, words) = index_of(conn, path)?;
    let mut header = read_index(words);
    if header[FRAME_MAX] != 0 || header[CHECKSUM..] != index_checksum(&header) {
        return Ok(None);
    }
    header[CHANGE_COUNTER] = header[CHANGE_COUNTER].wrapping_add(1);
    header[PAGE_COUNT] = 0;
    write_index(file, words, header);
    Ok(Some(header[CHANGE_COUNTER]))
}

/// How far the WAL behind `conn` is copied, or `None` while its index is just being written.
///
/// # Errors
/// When SQLite has no index of it open.
pub fn backfill(conn: &Connection, path: &Path) -> Result<Option<Backfill>> {
    let (_, words, _) = map_index(conn, path)?;
    Ok(read_backfill(words))
}

fn read_backfill(words: *mut u32) -> Option<Backfill> {
    let header = read_index(words);
    // SAFETY: as in `read_index`; these words stand in the same region, after both copies of the header.
    let word = |at: usize| unsafe { ptr::read_volatile(words.add(at)) };
    let is_whole = header[CHECKSUM..] == index_checksum(&header);
    is_whole.then(|| Backfill::of(&header, word(BACKFILLED), word(BACKFILL_BEGUN)))
}

/// A connection whose checkpoints ask once more before they write: SQLite syncs the WAL first, which may take long, and
/// another content may be put in the place of the data file meanwhile.
///
/// Its file object has a table of functions of its own for that. SQLite tells a file when a checkpoint begins, after
/// the WAL was synced, then asks for its size, and copies nothing where it gets none.
pub struct Checkpointer {
    conn: Connection,
    file: *mut ffi::sqlite3_file,
    hook: Box<Hook>,
}

// SAFETY: as a `Connection`, it is used by one thread at a time; the pointer is to a part of it.
unsafe impl Send for Checkpointer {}

/// A table of functions as SQLite wants it, and behind it what the functions need.
#[repr(C)]
struct Hook {
    methods: ffi::sqlite3_io_methods,
    original: *const ffi::sqlite3_io_methods,
    words: *mut u32,
    has_begun: Cell<bool>,
    may_write: Box<dyn Fn(Option<Backfill>) -> bool + Send>,
}

impl std::fmt::Debug for Checkpointer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Checkpointer")
    }
}

impl Checkpointer {
    /// `conn` must have read. Each of its checkpoints asks `may_write` right before it writes to the data file at
    /// `path`, with how far the one before had come; where the answer is no, it fails and has written nothing.
    ///
    /// # Errors
    /// When SQLite has no index of it open.
    pub fn new(
        conn: Connection,
        path: &Path,
        may_write: impl Fn(Option<Backfill>) -> bool + Send + 'static,
    ) -> Result<Self> {
        let (file, words) = index_of(&conn, path)?;
        // SAFETY: `file` is the live file object of `conn`; its table lives as long as SQLite's library.
        let (original, methods) = unsafe { ((*file).pMethods, *(*file).pMethods) };
        let mut hook =
            Box::new(Hook { methods, original, words, has_begun: Cell::new(false), may_write: Box::new(may_write) });
        hook.methods.xFileControl = Some(control_file);
        hook.methods.xFileSize = Some(measure_file);
        // SAFETY: the table stands at the beginning of the hook (`repr(C)`), which stays where it is in its box until
        // `drop` has put the original one back. Nobody uses `conn` meanwhile.
        unsafe { (*file).pMethods = (&raw const *hook).cast() };
        Ok(Self { conn, file, hook })
    }

    /// The connection.
    pub fn connection(&self) -> &Connection {
        &self.conn
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        // SAFETY: the file object lives as long as `conn`, which is closed after this.
        unsafe { (*self.file).pMethods = self.hook.original };
    }
}

/// # Safety
/// Called by SQLite, with a file whose table of functions is that of a `Hook`.
unsafe extern "C" fn control_file(file: *mut ffi::sqlite3_file, operation: i32, argument: *mut c_void) -> i32 {
    // SAFETY: see above; both tables are alive, and the original function gets what it would have got.
    unsafe {
        let hook: *const Hook = (*file).pMethods.cast();
        (*hook).has_begun.set((*hook).has_begun.get() || operation == ffi::SQLITE_FCNTL_CKPT_START);
        (*(*hook).original).xFileControl.map_or(ffi::SQLITE_NOTFOUND, |control| control(file, operation, argument))
    }
}

/// # Safety
/// Called by SQLite, with a file whose table of functions is that of a `Hook`.
unsafe extern "C" fn measure_file(file: *mut ffi::sqlite3_file, size: *mut ffi::sqlite3_int64) -> i32 {
    // SAFETY: see above; the index is mapped as long as the connection is open.
    unsafe {
        let hook: *const Hook = (*file).pMethods.cast();
        if (*hook).has_begun.replace(false) && !((*hook).may_write)(read_backfill((*hook).words)) {
            return ffi::SQLITE_IOERR_FSTAT;
        }
        (*(*hook).original).xFileSize.map_or(ffi::SQLITE_IOERR_FSTAT, |measure| measure(file, size))
    }
}

/// What `look` says while nobody writes to the WAL, in any process; `None` when somebody does just now.
///
/// # Errors
/// When SQLite has no index of it open, or its locks fail.
pub fn while_nobody_writes<T>(conn: &Connection, path: &Path, look: impl FnOnce() -> T) -> Result<Option<T>> {
    let (file, _) = index_of(conn, path)?;
    let write_lock = |flags: i32| {
        // SAFETY: `file` is an open file object with an index (checked by `index_of`). Lock 0 is that of writers, which
        // a connection holds only in a write transaction; it does not wait.
        unsafe {
            match (*(*file).pMethods).xShmLock {
                Some(lock) => lock(file, 0, 1, flags | ffi::SQLITE_SHM_EXCLUSIVE),
                None => ffi::SQLITE_IOERR_SHMLOCK,
            }
        }
    };
    match write_lock(ffi::SQLITE_SHM_LOCK) {
        ffi::SQLITE_OK => {}
        ffi::SQLITE_BUSY => return Ok(None),
        code => return Err(failure("lock the WAL-index of", path, code)),
    }
    let seen = look();
    write_lock(ffi::SQLITE_SHM_UNLOCK);
    Ok(Some(seen))
}

/// Throws away what the WAL holds: when another content was put in the place of the data file that its frames belong
/// to, they would be read into that. `empty` is to make the file of the WAL empty; meanwhile nobody reads or writes, in
/// any process.
///
/// `conn` may not be in a transaction. False when somebody reads or writes, and nothing was done.
///
/// # Errors
/// When SQLite has no index of it open, or what `empty` says; the frames are thrown away all the same.
pub fn discard_wal(conn: &Connection, path: &Path, empty: impl FnOnce() -> Result<()>) -> Result<bool> {
    let (file, words) = index_of(conn, path)?;
    let all = |flags: i32| {
        // SAFETY: `file` is an open file object with an index (checked by `index_of`); these are all locks of the
        // index, which `conn` does not hold outside of a transaction. They do not wait.
        unsafe {
            match (*(*file).pMethods).xShmLock {
                Some(lock) => lock(file, 0, ffi::SQLITE_SHM_NLOCK, flags | ffi::SQLITE_SHM_EXCLUSIVE),
                None => ffi::SQLITE_IOERR_SHMLOCK,
            }
        }
    };
    match all(ffi::SQLITE_SHM_LOCK) {
        ffi::SQLITE_OK => {}
        ffi::SQLITE_BUSY => return Ok(false),
        code => return Err(failure("lock the WAL-index of", path, code)),
    }
    // As `walRestartHdr` of `wal.c` begins the WAL anew, and with no page count: that of the new content is taken from
    // its file.
    let mut header = read_index(words);
    header[CHANGE_COUNTER] = header[CHANGE_COUNTER].wrapping_add(1);
    (header[FRAME_MAX], header[PAGE_COUNT]) = (0, 0);
    header[SALTS] = u32::from_be(header[SALTS]).wrapping_add(1).to_be();
    header[SALTS + 1] = header[SALTS + 1].rotate_left(7) ^ header[CHANGE_COUNTER] ^ header[CHECKSUM];
    write_index(file, words, header);
    let marks = (0..READERS).map(|n| (READ_MARKS + n, if n < 2 { 0 } else { NOT_USED }));
    for (word, value) in marks.chain([(BACKFILLED, 0), (BACKFILL_BEGUN, 0)]) {
        // SAFETY: as in `read_index`; all locks are held, so that nobody else writes or relies on these words.
        unsafe { ptr::write_volatile(words.add(word), value) };
    }
    let emptied = empty();
    all(ffi::SQLITE_SHM_UNLOCK);
    emptied.map(|()| true)
}

/// Writes both copies of the header of the WAL-index, with its checksum. Whoever calls must keep other writers out.
fn write_index(file: *mut ffi::sqlite3_file, words: *mut u32, mut header: Header) {
    let sum = index_checksum(&header);
    header[CHECKSUM..].copy_from_slice(&sum);
    for copy in [1, 0] {
        for (word, value) in header.iter().enumerate() {
            // SAFETY: as in `read_index`. Readers in other processes take a header whose copies or checksums differ for
            // one that is just being written, and wait; the second copy is written first, as SQLite does it.
            unsafe { ptr::write_volatile(words.add(copy * INDEX_HEADER_WORDS + word), *value) };
        }
        // SAFETY: a memory barrier of the same file object.
        unsafe {
            if let Some(barrier) = (*(*file).pMethods).xShmBarrier {
                barrier(file);
            }
        }
    }
}

/// Whether `conn` has the WAL open, as after its first read in WAL mode. One that was locked out has not.
///
/// SQLite closes the index together with the WAL, and only then. An index that is mapped without it stays open until
/// the process ends, also when the connection is closed and the `-shm` file deleted; and is made where there is none.
fn has_wal_open(conn: &Connection) -> bool {
    let mut journal: *mut ffi::sqlite3_file = ptr::null_mut();
    // SAFETY: as in `file_of`. Stored is the file object of the WAL, or where that is not open the one of the rollback
    // journal, whose `pMethods` is null while it is closed: who only reads opens it to play it back, within a
    // statement.
    unsafe {
        let code = ffi::sqlite3_file_control(
            conn.handle(),
            ptr::null(),
            ffi::SQLITE_FCNTL_JOURNAL_POINTER,
            ptr::from_mut(&mut journal).cast::<c_void>(),
        );
        code == ffi::SQLITE_OK && !journal.is_null() && !(*journal).pMethods.is_null()
    }
}

/// Whether the WAL-index that `conn` goes by may only be read, or not even that: then SQLite has one of its own in
/// memory.
pub fn has_index_to_read(conn: &Connection, path: &Path) -> bool {
    match map_index(conn, path) {
        Ok((_, _, may_be_written)) => !may_be_written,
        Err(error) => error.kind() == ErrorKind::Permission,
    }
}

/// The file object of `conn`, and the words of the WAL-index that it has mapped, which may be written.
fn index_of(conn: &Connection, path: &Path) -> Result<(*mut ffi::sqlite3_file, *mut u32)> {
    match map_index(conn, path)? {
        (file, words, true) => Ok((file, words)),
        _ => Err(failure("reach the WAL-index of", path, ffi::SQLITE_READONLY)),
    }
}

/// The same, and whether the words may be written: to write to those of an index that can only be read ends the
/// process.
fn map_index(conn: &Connection, path: &Path) -> Result<(*mut ffi::sqlite3_file, *mut u32, bool)> {
    let file = file_of(conn, path)?;
    if !has_wal_open(conn) {
        return Err(failure("reach the WAL-index of", path, ffi::SQLITE_IOERR_SHMMAP));
    }
    let mut region: *mut c_void = ptr::null_mut();
    // SAFETY: `file` is an open file object (checked by `file_of`). Region 0 is mapped by every connection in WAL mode;
    // with 0 as the fourth argument it is not made where it is not, and null is returned. A mapping stays while the
    // connection is open.
    let code = unsafe {
        match (*(*file).pMethods).xShmMap {
            Some(map) if (*(*file).pMethods).iVersion >= 2 => map(file, 0, INDEX_REGION, 0, &raw mut region),
            _ => ffi::SQLITE_IOERR_SHMMAP,
        }
    };
    match code {
        ffi::SQLITE_OK if !region.is_null() => Ok((file, region.cast(), true)),
        ffi::SQLITE_READONLY if !region.is_null() => Ok((file, region.cast(), false)),
        ffi::SQLITE_OK => Err(failure("reach the WAL-index of", path, ffi::SQLITE_IOERR_SHMMAP)),
        code => Err(failure("reach the WAL-index of", path, code)),
    }
}

/// Has `ask` ask something of the open file with this number, which somebody else holds, most likely SQLite. It must
/// not be closed: a descriptor of our own would drop SQLite's locks.
#[cfg(unix)]
pub fn with_descriptor<T>(number: std::os::fd::RawFd, ask: impl FnOnce(std::os::fd::BorrowedFd<'_>) -> T) -> T {
    // SAFETY: a borrowed descriptor is not closed. It may be closed by its holder meanwhile, and the number then stand
    // for another file: what is asked changes nothing, and the caller looks which file it was about.
    ask(unsafe { std::os::fd::BorrowedFd::borrow_raw(number) })
}

/// The second copy of the header, which is written first.
fn read_index(words: *mut u32) -> Header {
    // SAFETY: `words` comes from `index_of`: both copies of the header stand at the beginning of a region of 32 KiB
    // that is aligned to a page. Other processes may write it at any moment; its checksum tells.
    std::array::from_fn(|word| unsafe { ptr::read_volatile(words.add(INDEX_HEADER_WORDS + word)) })
}

/// Whether the WAL has frames, by its index. An older SQLite can leave the last one without a checksum, and then has no
/// snapshot of it.
fn has_frames(conn: &Connection, path: &Path) -> bool {
    index_of(conn, path).is_ok_and(|(_, words)| {
        let header = read_index(words);
        header[FRAME_MAX] != 0 && header[CHECKSUM..] == index_checksum(&header)
    })
}

#[cfg(test)]
mod tests;
