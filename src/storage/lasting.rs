//! A file that is read as bytes although this process may have it open in SQLite: a damaged data file that is looked
//! after all the same.
//!
//! To close any descriptor of a data file drops every lock that this process holds on it: another program could then
//! take the last connection for its own, and delete the `-wal` with commits that the log has not recorded. So the
//! descriptor of a file that SQLite has, or had, open here is kept until the process ends, and used again by whoever
//! reads that file next: there is never more than one for each that reads at the same time.

use std::{
    collections::BTreeMap,
    fs::{File, Metadata},
    io,
    path::Path,
    sync::{Mutex, PoisonError},
};

use super::{
    identity::{FileIdentity, FileStamp},
    in_use::unless_in_use,
    read_exact_at,
    regular::{Links, open_unguarded},
};

/// Descriptors that must not be closed, and that nobody reads from now.
static KEPT: Mutex<BTreeMap<FileIdentity, Vec<File>>> = Mutex::new(BTreeMap::new());

/// The file, open to be read.
#[derive(Debug)]
pub struct Lasting {
    /// `None` only while it is dropped.
    file: Option<File>,
    identity: Option<FileIdentity>,
}

/// Opens the ordinary file `path` to read it, also where this process has it open in SQLite.
///
/// # Errors
/// As [`regular::open`](super::regular::open).
pub fn open(path: &Path) -> io::Result<(Lasting, Metadata)> {
    let identity = if cfg!(unix) { FileIdentity::of_path(path)? } else { None };
    let kept = || KEPT.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&identity?)?.pop();
    let (file, meta) = match kept() {
        Some(file) => {
            let meta = file.metadata()?;
            (file, meta)
        }
        None => open_unguarded(path, Links::Followed)?,
    };
    // It may have been swapped since it was looked at.
    let identity = if cfg!(unix) { Some(FileStamp::of(&meta).identity) } else { None };
    Ok((Lasting { file: Some(file), identity }, meta))
}

impl Lasting {
    /// Reads exactly `buffer.len()` bytes at `offset`.
    ///
    /// # Errors
    /// Those of the disk; when there are fewer bytes.
    pub fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file
            .as_ref()
            .map_or_else(|| Err(io::ErrorKind::NotFound.into()), |file| read_exact_at(file, offset, buffer))
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        let (Some(file), Some(identity)) = (self.file.take(), self.identity) else { return };
        if let Some(file) = unless_in_use(identity, file) {
            KEPT.lock().unwrap_or_else(PoisonError::into_inner).entry(identity).or_default().push(file);
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::Command;

    use super::{
        super::{in_use::is_noted, note_data_file},
        *,
    };

    /// Whether another process may lock the file for itself.
    fn can_be_locked(path: &Path) -> io::Result<bool> {
        let sql = "PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT;";
        Ok(Command::new("sqlite3").arg(path).arg(sql).output()?.status.success())
    }

    #[test]
    fn a_data_file_that_is_read_as_bytes_keeps_its_locks() -> Result<(), Box<dyn std::error::Error>> {
        if Command::new("sqlite3").arg("--version").output().is_err() {
            return Ok(());
        }
        let folder = tempfile::tempdir()?;
        let path = folder.path().canonicalize()?.join("a");
        rusqlite::Connection::open(&path)?.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES(1)")?;
        let reader = rusqlite::Connection::open(&path)?;
        note_data_file(&path);
        reader.execute_batch("BEGIN; SELECT * FROM t")?;
        assert!(!can_be_locked(&path)?);
        let same = |file: &Lasting| file.file.as_ref().map(std::os::fd::AsRawFd::as_raw_fd);
        let (first, meta) = open(&path)?;
        let number = same(&first);
        assert_eq!(meta.len(), path.metadata()?.len());
        drop(first);
        assert!(!can_be_locked(&path)?, "its locks were dropped");
        // It is used again, so that no more of them are kept than read at once.
        assert_eq!(same(&open(&path)?.0), number);
        assert!(!can_be_locked(&path)?);
        // One that nobody has open here is closed: one whose inode was never that of a data file of another test.
        let unknown = (0..1000).map(|number| folder.path().join(format!("other-{number}"))).find(|other| {
            let made = std::fs::write(other, "x").and_then(|()| FileIdentity::of_path(other));
            matches!(made, Ok(Some(identity)) if !is_noted(identity))
        });
        let other = unknown.ok_or("every inode was that of a data file")?;
        let closed = same(&open(&other)?.0);
        let is_open =
            |number: i32| Path::new(&format!("/proc/self/fd/{number}")).read_link().ok() == Some(other.clone());
        assert!(closed.is_some_and(|number| !is_open(number)));
        Ok(())
    }
}
