//! A data file that is no file: SQLite is given its bytes by this program, and can only read them.
//!
//! What SQLite keeps for a statement, such as a large sort, goes to files without a name, which nobody else can open.
//! This is unsafe code, since SQLite asks through its C interface; no panic leaves it.
#![allow(unsafe_code)]

use std::{
    collections::BTreeMap,
    ffi::{CStr, c_char, c_int, c_void},
    fs::File,
    io::{Seek, SeekFrom, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use rusqlite::{Connection, OpenFlags, ffi};

use crate::{
    error::{Error, ErrorKind, Result},
    storage::read_exact_at,
};

/// Who has the bytes of a data file.
pub trait Served: Send {
    /// Reads bytes at an offset; all of them lie within the length.
    ///
    /// # Errors
    /// SQLite is told that the disk failed; why is for whoever serves them to keep.
    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()>;

    /// Its length in bytes, which does not change.
    fn length(&self) -> u64;
}

/// What SQLite knows it by.
const VFS: &CStr = c"strongroom-served";
/// No name of ours is longer.
const NAME_MAX: usize = 64;

/// Data files that were named and are not open yet.
static NAMED: Mutex<BTreeMap<String, Box<dyn Served>>> = Mutex::new(BTreeMap::new());
static NEXT: AtomicU64 = AtomicU64::new(1);
static REGISTERED: OnceLock<c_int> = OnceLock::new();

/// What SQLite has open.
enum Opened {
    Served(Box<dyn Served>),
    /// Its own, without a name.
    Scratch(File),
}

/// SQLite's file, with what is ours behind it.
#[repr(C)]
struct FileOfOurs {
    base: ffi::sqlite3_file,
    opened: *mut Opened,
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 1,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(lock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: None,
    xUnfetch: None,
};

/// Opens what `served` has as a data file that can only be read.
///
/// # Errors
/// Where SQLite cannot.
pub(super) fn open(served: Box<dyn Served>) -> Result<Connection> {
    let fail = |source: rusqlite::Error| {
        Error::new(ErrorKind::Sqlite, format!("SQLite cannot open what is shown to it: {source}"))
    };
    let code = *REGISTERED.get_or_init(register);
    if code != ffi::SQLITE_OK {
        return Err(fail(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)));
    }
    let name = format!("served-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    named().insert(name.clone(), served);
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_PRIVATE_CACHE;
    let opened = Connection::open_with_flags_and_vfs(&name, flags, VFS);
    named().remove(&name);
    opened.map_err(fail)
}

fn named() -> std::sync::MutexGuard<'static, BTreeMap<String, Box<dyn Served>>> {
    NAMED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes us known to SQLite, for as long as the program runs.
fn register() -> c_int {
    // SAFETY: SQLite is initialized by this call, and a null name asks for its own VFS, which stays for ever.
    let own = unsafe { ffi::sqlite3_vfs_find(ptr::null()) };
    if own.is_null() {
        return ffi::SQLITE_ERROR;
    }
    let vfs = Box::new(ffi::sqlite3_vfs {
        iVersion: 1,
        szOsFile: size_of::<FileOfOurs>() as c_int,
        mxPathname: NAME_MAX as c_int,
        pNext: ptr::null_mut(),
        zName: VFS.as_ptr(),
        pAppData: own.cast::<c_void>(),
        xOpen: Some(open_file),
        xDelete: Some(delete),
        xAccess: Some(access),
        xFullPathname: Some(full_pathname),
        xDlOpen: Some(no_library),
        xDlError: Some(no_library_error),
        xDlSym: Some(no_symbol),
        xDlClose: Some(close_no_library),
        xRandomness: Some(randomness),
        xSleep: Some(sleep),
        xCurrentTime: Some(current_time),
        xGetLastError: Some(last_error),
        xCurrentTimeInt64: None,
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
    });
    // SAFETY: the VFS is never freed, so that SQLite can keep the pointer; it is not made the default one.
    unsafe { ffi::sqlite3_vfs_register(Box::leak(vfs), 0) }
}

/// Runs `work`, and makes a failure of a panic: none may go on into C.
fn guarded(work: impl FnOnce() -> c_int) -> c_int {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(ffi::SQLITE_IOERR)
}

/// What is behind a file that `open_file` made.
///
/// # Safety
/// `file` is such a file, is not closed yet, and nothing else uses what is behind it while this is borrowed.
unsafe fn opened<'a>(file: *mut ffi::sqlite3_file) -> Option<&'a mut Opened> {
    // SAFETY: `open_file` has laid out the file like this and has put a pointer from `Box::into_raw` there; SQLite
    // calls the methods of a connection on one thread at a time.
    unsafe { (*file.cast::<FileOfOurs>()).opened.as_mut() }
}

unsafe extern "C" fn open_file(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    const SCRATCH: c_int = ffi::SQLITE_OPEN_TEMP_DB
        | ffi::SQLITE_OPEN_TRANSIENT_DB
        | ffi::SQLITE_OPEN_TEMP_JOURNAL
        | ffi::SQLITE_OPEN_SUBJOURNAL;
    // SAFETY: SQLite gives memory of `szOsFile` bytes, which is the size of our file. Without methods it is not closed.
    unsafe { (*file).pMethods = ptr::null() };
    guarded(|| {
        let found = if flags & ffi::SQLITE_OPEN_MAIN_DB != 0 && !name.is_null() {
            // SAFETY: SQLite gives a C string, which stays as long as the file is open.
            let name = unsafe { CStr::from_ptr(name) };
            named().remove(&*name.to_string_lossy()).map(Opened::Served)
        } else if flags & SCRATCH != 0 {
            tempfile::tempfile().ok().map(Opened::Scratch)
        } else {
            None
        };
        let Some(found) = found else { return ffi::SQLITE_CANTOPEN };
        let is_served = matches!(found, Opened::Served(_));
        // SAFETY: as above; what is behind the file is freed once, by `close`. `out` may be null, else it is an int.
        unsafe {
            (*file.cast::<FileOfOurs>()).opened = Box::into_raw(Box::new(found));
            (*file).pMethods = &raw const METHODS;
            if !out.is_null() {
                *out = if is_served { ffi::SQLITE_OPEN_READONLY | ffi::SQLITE_OPEN_MAIN_DB } else { flags };
            }
        }
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    guarded(|| {
        // SAFETY: the pointer is from `Box::into_raw`, and SQLite closes a file once and does not use it afterwards.
        unsafe {
            let opened = std::mem::replace(&mut (*file.cast::<FileOfOurs>()).opened, ptr::null_mut());
            if !opened.is_null() {
                drop(Box::from_raw(opened));
            }
        }
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, to: *mut c_void, count: c_int, offset: i64) -> c_int {
    guarded(|| {
        let (Ok(count), Ok(offset)) = (usize::try_from(count), u64::try_from(offset)) else {
            return ffi::SQLITE_IOERR_READ;
        };
        // SAFETY: SQLite gives memory for `count` bytes, which only it uses otherwise, and not during this call.
        let buffer = unsafe {
            ptr::write_bytes(to.cast::<u8>(), 0, count);
            std::slice::from_raw_parts_mut(to.cast::<u8>(), count)
        };
        // SAFETY: it is an open file of ours.
        let Some(opened) = (unsafe { opened(file) }) else { return ffi::SQLITE_IOERR_READ };
        let length = match opened {
            Opened::Served(served) => served.length(),
            Opened::Scratch(file) => file.metadata().map_or(0, |meta| meta.len()),
        };
        let there = usize::try_from(length.saturating_sub(offset)).unwrap_or(usize::MAX).min(count);
        let (inside, beyond) = buffer.split_at_mut(there);
        let done = match opened {
            Opened::Served(served) => inside.is_empty() || served.read(offset, inside).is_ok(),
            Opened::Scratch(file) => read_exact_at(file, offset, inside).is_ok(),
        };
        match (done, beyond.is_empty()) {
            (false, _) => ffi::SQLITE_IOERR_READ,
            (true, true) => ffi::SQLITE_OK,
            // The rest is zeros, as SQLite expects.
            (true, false) => ffi::SQLITE_IOERR_SHORT_READ,
        }
    })
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, from: *const c_void, count: c_int, offset: i64) -> c_int {
    guarded(|| {
        let (Ok(count), Ok(offset)) = (usize::try_from(count), u64::try_from(offset)) else {
            return ffi::SQLITE_IOERR_WRITE;
        };
        // SAFETY: SQLite gives `count` bytes to be written, and does not change them during this call.
        let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), count) };
        // SAFETY: it is an open file of ours.
        match unsafe { opened(file) } {
            Some(Opened::Scratch(file)) => {
                match file.seek(SeekFrom::Start(offset)).and_then(|_| file.write_all(bytes)) {
                    Ok(()) => ffi::SQLITE_OK,
                    Err(e) if e.kind() == std::io::ErrorKind::StorageFull => ffi::SQLITE_FULL,
                    Err(_) => ffi::SQLITE_IOERR_WRITE,
                }
            }
            Some(Opened::Served(_)) => ffi::SQLITE_READONLY,
            None => ffi::SQLITE_IOERR_WRITE,
        }
    })
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: it is an open file of ours.
    guarded(|| match (unsafe { opened(file) }, u64::try_from(size)) {
        (Some(Opened::Scratch(file)), Ok(size)) if file.set_len(size).is_ok() => ffi::SQLITE_OK,
        (Some(Opened::Served(_)), _) => ffi::SQLITE_READONLY,
        _ => ffi::SQLITE_IOERR_TRUNCATE,
    })
}

/// What is here for a moment need not last.
unsafe extern "C" fn sync(_: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
    guarded(|| {
        // SAFETY: it is an open file of ours.
        let length = match unsafe { opened(file) } {
            Some(Opened::Served(served)) => Some(served.length()),
            Some(Opened::Scratch(file)) => file.metadata().ok().map(|meta| meta.len()),
            None => None,
        };
        let Some(length) = length.and_then(|length| i64::try_from(length).ok()) else {
            return ffi::SQLITE_IOERR_FSTAT;
        };
        // SAFETY: SQLite gives a number to be written.
        unsafe { *size = length };
        ffi::SQLITE_OK
    })
}

/// Nobody writes to it.
unsafe extern "C" fn lock(_: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(_: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: SQLite gives a number to be written.
    unsafe { *out = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(_: *mut ffi::sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_: *mut ffi::sqlite3_file) -> c_int {
    4096
}

unsafe extern "C" fn device_characteristics(file: *mut ffi::sqlite3_file) -> c_int {
    // With this SQLite looks for no journal and no WAL, and takes no locks.
    // SAFETY: it is an open file of ours.
    match unsafe { opened(file) } {
        Some(Opened::Served(_)) => ffi::SQLITE_IOCAP_IMMUTABLE,
        _ => 0,
    }
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, _: *const c_char, _: c_int) -> c_int {
    ffi::SQLITE_IOERR_DELETE
}

/// Nothing is there beside it.
unsafe extern "C" fn access(_: *mut ffi::sqlite3_vfs, _: *const c_char, _: c_int, out: *mut c_int) -> c_int {
    // SAFETY: SQLite gives a number to be written.
    unsafe { *out = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_pathname(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    room: c_int,
    out: *mut c_char,
) -> c_int {
    guarded(|| {
        if name.is_null() {
            return ffi::SQLITE_CANTOPEN;
        }
        // SAFETY: SQLite gives a C string.
        let name = unsafe { CStr::from_ptr(name) }.to_bytes_with_nul();
        if usize::try_from(room).is_ok_and(|room| name.len() > room) {
            return ffi::SQLITE_CANTOPEN;
        }
        // SAFETY: there is room for so many bytes, and both do not overlap.
        unsafe { ptr::copy_nonoverlapping(name.as_ptr().cast::<c_char>(), out, name.len()) };
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn no_library(_: *mut ffi::sqlite3_vfs, _: *const c_char) -> *mut c_void {
    ptr::null_mut()
}

unsafe extern "C" fn no_library_error(_: *mut ffi::sqlite3_vfs, room: c_int, out: *mut c_char) {
    if room > 0 {
        // SAFETY: there is room for one byte.
        unsafe { *out = 0 };
    }
}

type Symbol = Option<unsafe extern "C" fn(*mut ffi::sqlite3_vfs, *mut c_void, *const c_char)>;

unsafe extern "C" fn no_symbol(_: *mut ffi::sqlite3_vfs, _: *mut c_void, _: *const c_char) -> Symbol {
    None
}

unsafe extern "C" fn close_no_library(_: *mut ffi::sqlite3_vfs, _: *mut c_void) {}

/// SQLite's own VFS.
///
/// # Safety
/// `vfs` is the one of `register`.
unsafe fn own(vfs: *mut ffi::sqlite3_vfs) -> *mut ffi::sqlite3_vfs {
    // SAFETY: `register` has put it there.
    unsafe { (*vfs).pAppData.cast() }
}

unsafe extern "C" fn randomness(vfs: *mut ffi::sqlite3_vfs, count: c_int, out: *mut c_char) -> c_int {
    // SAFETY: what SQLite gives us is given on to its own VFS, which stays for ever.
    unsafe { (*own(vfs)).xRandomness.map_or(0, |call| call(own(vfs), count, out)) }
}

unsafe extern "C" fn sleep(vfs: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    // SAFETY: as above.
    unsafe { (*own(vfs)).xSleep.map_or(0, |call| call(own(vfs), microseconds)) }
}

unsafe extern "C" fn current_time(vfs: *mut ffi::sqlite3_vfs, out: *mut f64) -> c_int {
    // SAFETY: as above.
    unsafe { (*own(vfs)).xCurrentTime.map_or(ffi::SQLITE_ERROR, |call| call(own(vfs), out)) }
}

unsafe extern "C" fn last_error(_: *mut ffi::sqlite3_vfs, _: c_int, _: *mut c_char) -> c_int {
    0
}

#[cfg(test)]
mod tests;
