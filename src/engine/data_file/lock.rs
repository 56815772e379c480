//! One engine per data file: a lock that lives exactly as long as the process that holds it.
//!
//! A small file beside the data file is locked with the operating system's file lock. It names the process for the
//! message that another engine shows, and the address where it can be reached. It is removed at the end; one that a
//! crash left behind is simply locked anew.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use crate::{
    engine::{config::Config, rights},
    error::{Error, ErrorKind, Result},
    storage::{
        self, names, processes,
        regular::{self, Links},
    },
};

/// A lock that is held for longer belongs to an engine.
const LOOKED_AT: Duration = Duration::from_millis(50);
/// The end of the name of a lock file.
const ENDING: &str = ".strongroom-lock";
/// No lock file is longer than this.
const LENGTH_MAX: u64 = 4096;

/// The right to look after one data file.
#[derive(Debug)]
pub(in crate::engine) struct DataFileLock {
    file: File,
    path: PathBuf,
}

/// Who looks after a data file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its process; 0 for one outside of this container, or in another one.
    pub process: u32,
    /// Where it can be reached, when it can.
    pub address: Option<String>,
}

impl DataFileLock {
    /// Takes the lock for `data_file` (a canonical path) and for the engine of `config`, where that may act on it.
    ///
    /// # Errors
    /// [`ErrorKind::InUse`] with the process that holds it; `Refused` for the superuser, see [`rights::require`].
    pub(in crate::engine) fn take(data_file: &Path, config: &Config) -> Result<Self> {
        rights::require(data_file, config.as_root)?;
        let lock = Self::acquire(data_file, &config.settings_dir, config.address.as_deref())?;
        // Another name has another lock: a file that was moved, with a link left in its place.
        match keeper_by_another_name(data_file) {
            Some(error) => Err(error),
            None => Ok(lock),
        }
    }

    /// Takes the lock for `data_file` (a canonical path), beside it or, where that folder cannot be written, in `own`;
    /// `address` is where this engine can be reached.
    ///
    /// # Errors
    /// [`ErrorKind::InUse`] with the process that holds it.
    fn acquire(data_file: &Path, own: &Path, address: Option<&str>) -> Result<Self> {
        match lock(&beside(data_file), data_file, address) {
            Err(e) if e.kind() == ErrorKind::Permission => {
                storage::make_private_folders(own)?;
                lock(&in_own(data_file, own), data_file, address)
            }
            other => other,
        }
    }

    /// Sees that the lock is still the one that others ask for: its file may have been removed, and then another engine
    /// could look after the data file too. It is taken anew where it was.
    ///
    /// # Errors
    /// [`ErrorKind::InUse`] when another engine has taken it meanwhile; other kinds where the folder cannot be used
    /// now.
    pub(in crate::engine) fn keep(&mut self, data_file: &Path, address: Option<&str>) -> Result<()> {
        let usual = beside(data_file);
        if self.path.file_name() != usual.file_name() {
            // It is in the program's own folder, since that of the data file could not be written, and may be now:
            // whoever comes next asks there first.
            match lock(&usual, data_file, address) {
                Ok(lock) => *self = lock,
                Err(error) if error.kind() == ErrorKind::InUse => return Err(error),
                Err(_) => {}
            }
        }
        if !is_same(&self.file, &self.path) {
            *self = lock(&self.path, data_file, address)?;
        }
        Ok(())
    }
}

impl Drop for DataFileLock {
    fn drop(&mut self) {
        // One of another engine is not ours to remove.
        if !is_same(&self.file, &self.path) {
            return;
        }
        // Removed while still locked: whoever opened it meanwhile notices that the name is gone, and tries again.
        let _ = fs::remove_file(&self.path);
        let _ = self.file.unlock();
    }
}

/// Who looks after `data_file` (a canonical path), if someone does; `own` is the program's settings folder.
pub fn holder(data_file: &Path, own: &Path) -> Option<Holder> {
    let is_held = |path: &PathBuf| {
        let (mut file, _) = regular::open(path, Links::Refused).ok()?;
        // Shared, and let go at once: whoever takes the lock right now tries again.
        match file.try_lock_shared() {
            // Right after it was taken, nothing is written yet.
            Err(fs::TryLockError::WouldBlock) => (0..5).find_map(|_| {
                read(&mut file).or_else(|| {
                    thread::sleep(Duration::from_millis(4));
                    None
                })
            }),
            _ => None,
        }
    };
    [beside(data_file), in_own(data_file, own)].iter().find_map(is_held)
}

/// What is said where another engine looks after the file at `data_file` by another name of it.
fn keeper_by_another_name(data_file: &Path) -> Option<Error> {
    let real = data_file.canonicalize().ok()?;
    let by_other_name = |lock: &PathBuf| {
        let name = lock.file_name()?.to_str()?.strip_prefix('.')?.strip_suffix(ENDING)?;
        let other = lock.with_file_name(name);
        (other != real && other.canonicalize().is_ok_and(|led_to| led_to == real)).then_some(other)
    };
    let lockers = processes::lockers_of_each(std::slice::from_ref(&real), processes::SHARED_LOCK);
    lockers.into_iter().flatten().filter(|process| process.id != std::process::id()).find_map(|process| {
        let other = processes::open_paths(process.id).iter().find_map(by_other_name)?;
        let message = format!("{} is managed by {process} by another name: {}", real.display(), other.display());
        Some(Error::new(ErrorKind::InUse, message).about(&other).hint(
            "It was moved while it was open. End that service or window first, and move the settings beside the data \
             file. Two engines never work on one data file.",
        ))
    })
}

fn beside(data_file: &Path) -> PathBuf {
    let name = data_file.file_name().unwrap_or_default().to_string_lossy();
    data_file.with_file_name(format!(".{}{ENDING}", names::short(&name, names::STEM_BYTES_MAX)))
}

/// For a folder that cannot be written.
fn in_own(data_file: &Path, own: &Path) -> PathBuf {
    let mark = blake3::hash(data_file.as_os_str().as_encoded_bytes()).to_hex();
    own.join(format!("{}.strongroom-lock", &mark[..16]))
}

fn lock(path: &Path, data_file: &Path, address: Option<&str>) -> Result<DataFileLock> {
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
        // Only for the message, and for whoever wants to reach us; a file of another user may be locked without being
        // written.
        let (process, namespace) = (std::process::id(), processes::namespace().map(|one| one.to_string()));
        let (address, namespace) = (address.unwrap_or_default(), namespace.unwrap_or_default());
        let text = format!("{process}\n{address}\n{namespace}\n");
        let _ = file.set_len(0).and_then(|()| file.write_all(text.as_bytes()));
        return Ok(DataFileLock { file, path: path.to_path_buf() });
    }
}

fn open(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let strange = || {
        Error::new(ErrorKind::WrongType, format!("{} is not an ordinary file", path.display()))
            .hint("Remove it; it should be the lock file of Strongroom.")
    };
    // Others may read who looks after the data file; nobody else says it.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o644);
    // A link that somebody laid there must not lead us to truncate another file.
    if path.symlink_metadata().is_ok_and(|meta| !meta.is_file()) {
        return Err(strange());
    }
    #[cfg(unix)]
    {
        // Whatever takes the name in between is not followed, and not waited for.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags.bits() as i32);
    }
    let file = match options.open(path) {
        // Left by, or held by, another user: reading is enough for a lock.
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied && path.exists() => {
            regular::open(path, Links::Refused).map(|(file, _)| file)
        }
        other => other,
    };
    let file = file.map_err(|e| Error::io("lock", path, e))?;
    if file.metadata().is_ok_and(|meta| meta.is_file()) { Ok(file) } else { Err(strange()) }
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

/// What the process that holds the lock wrote: its number, its address, and of which namespace the number is.
fn read(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(LENGTH_MAX).read_to_string(&mut text).ok()?;
    let mut lines = text.lines();
    let process = lines.next()?.trim().parse().ok()?;
    let mut next = || lines.next().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned);
    let (address, namespace) = (next(), next());
    let (namespace, own) = (namespace.and_then(|text| text.parse().ok()), processes::namespace());
    let is_here = namespace.is_none() || own.is_none() || namespace == own;
    let process = if is_here { process } else { 0 };
    Some(Holder { process, address })
}

fn in_use(file: &mut File, data_file: &Path) -> Error {
    let who = match read(file).map(|holder| holder.process) {
        None => String::new(),
        Some(0) => " (outside of this container)".to_owned(),
        Some(process) => format!(" (process {process})"),
    };
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
        fs::write(&leftover, "99999999\n/run/nobody.sock")?;
        assert_eq!(holder(&data, folder.path()), None);
        let first = DataFileLock::acquire(&data, folder.path(), Some("/run/somebody.sock"))?;
        let error = DataFileLock::acquire(&data, folder.path(), None).err().ok_or("two engines")?;
        assert_eq!(error.kind(), ErrorKind::InUse);
        let process = std::process::id();
        assert!(error.message().ends_with(&format!("another Strongroom (process {process})")));
        let address = Some("/run/somebody.sock".to_owned());
        assert_eq!(holder(&data, folder.path()), Some(Holder { process, address }));
        drop(first);
        assert_eq!(holder(&data, folder.path()), None);
        assert!(!leftover.exists());
        let without = DataFileLock::acquire(&data, folder.path(), None)?;
        assert_eq!(holder(&data, folder.path()), Some(Holder { process, address: None }));
        drop(without);
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn a_lock_whose_file_was_removed_is_taken_anew_or_known_to_be_lost()
    -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("a.sqlite");
        let mut first = DataFileLock::acquire(&data, folder.path(), None)?;
        fs::remove_file(beside(&data))?;
        first.keep(&data, None)?;
        assert!(DataFileLock::acquire(&data, folder.path(), None).is_err(), "two engines");
        fs::remove_file(beside(&data))?;
        let second = DataFileLock::acquire(&data, folder.path(), None)?;
        assert_eq!(first.keep(&data, None).err().map(|e| e.kind()), Some(ErrorKind::InUse));
        drop(first);
        assert!(holder(&data, folder.path()).is_some(), "the first one removed the lock of the second");
        drop(second);
        assert!(!beside(&data).exists());
        Ok(())
    }
}
