//! One engine per data file: a lock that lives exactly as long as the process that holds it.
//!
//! A small file beside the data file is locked with the operating system's file lock. It names the process for the message
//! that another engine shows. It is removed at the end; one that a crash left behind is simply locked anew.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use crate::{
    error::{Error, ErrorKind, Result},
    storage::processes::{self, Process},
};

/// A lock that is held for longer belongs to an engine.
const LOOKED_AT: Duration = Duration::from_millis(50);

/// The right to look after one data file.
#[derive(Debug)]
pub(super) struct DataFileLock {
    file: File,
    path: PathBuf,
}

impl DataFileLock {
    /// Takes the lock for `data_file` (a canonical path), beside it or, where that folder can not be written, in `own`.
    ///
    /// # Errors
    /// [`ErrorKind::InUse`] with the process that holds it.
    pub(super) fn acquire(data_file: &Path, own: &Path) -> Result<Self> {
        match lock(&beside(data_file), data_file) {
            Err(e) if e.kind() == ErrorKind::Permission => {
                fs::create_dir_all(own).map_err(|e| Error::io("create the folder", own, e))?;
                lock(&in_own(data_file, own), data_file)
            }
            other => other,
        }
    }
}

impl Drop for DataFileLock {
    fn drop(&mut self) {
        // Removed while still locked: whoever opened it meanwhile notices that the name is gone, and tries again.
        let _ = fs::remove_file(&self.path);
        let _ = self.file.unlock();
    }
}

/// The process that holds the lock of `data_file` (a canonical path), if one does.
pub(super) fn holder(data_file: &Path, own: &Path) -> Option<Process> {
    let is_held = |path: &PathBuf| {
        let file = File::open(path).ok()?;
        // Shared, and let go at once: whoever takes the lock right now tries again.
        match file.try_lock_shared() {
            Err(fs::TryLockError::WouldBlock) => fs::read_to_string(path).ok()?.trim().parse().ok(),
            _ => None,
        }
    };
    let id = [beside(data_file), in_own(data_file, own)].iter().find_map(is_held)?;
    Some(processes::named(id))
}

fn beside(data_file: &Path) -> PathBuf {
    let name = data_file.file_name().unwrap_or_default().to_string_lossy();
    data_file.with_file_name(format!(".{name}.strongroom-lock"))
}

/// For a folder that can not be written.
fn in_own(data_file: &Path, own: &Path) -> PathBuf {
    let mark = blake3::hash(data_file.as_os_str().as_encoded_bytes()).to_hex();
    own.join(format!("{}.strongroom-lock", &mark[..16]))
}

fn lock(path: &Path, data_file: &Path) -> Result<DataFileLock> {
    let fail = |e| Error::io("lock", path, e);
    let asked = Instant::now();
    loop {
        let mut file = open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            // It may only be looked at, by `holder`.
            Err(fs::TryLockError::WouldBlock) if asked.elapsed() < LOOKED_AT => {
                thread::sleep(Duration::from_millis(5));
                continue;
            }
            Err(fs::TryLockError::WouldBlock) => return Err(in_use(&mut file, data_file)),
            Err(fs::TryLockError::Error(e)) => return Err(fail(e)),
        }
        if !is_same(&file, path) {
            continue;
        }
        // Only for the message; a file of another user may be locked without being written.
        let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
        return Ok(DataFileLock { file, path: path.to_path_buf() });
    }
}

fn open(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    // A link that somebody laid there must not lead us to truncate another file.
    if path.symlink_metadata().is_ok_and(|meta| !meta.is_file()) {
        return Err(Error::new(ErrorKind::WrongType, format!("{} is not an ordinary file", path.display()))
            .hint("Remove it; it should be the lock file of Strongroom."));
    }
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, rustix::fs::OFlags::NOFOLLOW.bits() as i32);
    match options.open(path) {
        // Left by, or held by, another user: reading is enough for a lock.
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied && path.exists() => File::open(path),
        other => other,
    }
    .map_err(|e| Error::io("lock", path, e))
}

#[cfg(unix)]
fn is_same(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    matches!((file.metadata(), fs::symlink_metadata(path)), (Ok(a), Ok(b)) if (a.dev(), a.ino()) == (b.dev(), b.ino()))
}

#[cfg(not(unix))]
fn is_same(_: &File, path: &Path) -> bool {
    path.exists()
}

fn in_use(file: &mut File, data_file: &Path) -> Error {
    let mut text = String::new();
    let _ = file.rewind().and_then(|()| file.read_to_string(&mut text));
    let who = if text.is_empty() { String::new() } else { format!(" (process {text})") };
    Error::new(ErrorKind::InUse, format!("{} is looked after by another Strongroom{who}", data_file.display()))
        .hint("Use that window or command, or close it first. Two engines never work on one data file.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_engine_is_refused_and_a_leftover_is_not() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("a.sqlite");
        let leftover = folder.path().join(".a.sqlite.strongroom-lock");
        fs::write(&leftover, "99999999")?;
        let first = DataFileLock::acquire(&data, folder.path())?;
        let error = DataFileLock::acquire(&data, folder.path()).err().ok_or("two engines")?;
        assert_eq!(error.kind(), ErrorKind::InUse);
        assert!(error.message().ends_with(&format!("another Strongroom (process {})", std::process::id())));
        assert_eq!(holder(&data, folder.path()).map(|p| p.id), Some(std::process::id()));
        drop(first);
        assert_eq!(holder(&data, folder.path()), None);
        assert!(!leftover.exists());
        DataFileLock::acquire(&data, folder.path())?;
        Ok(())
    }
}
