//! The data files that this process has open: none of them may be opened by other means, which would drop the locks of
//! SQLite.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use super::identity::FileIdentity;
use crate::error::{Error, ErrorKind, Result};

/// The data files that this process has, or had, open in SQLite: device and inode, and the path that led there.
static DATA_FILES: Mutex<BTreeMap<FileIdentity, PathBuf>> = Mutex::new(BTreeMap::new());

/// Remembers that SQLite opens `path` in this process: it must not be opened by other means, under any name.
pub fn note_data_file(path: &Path) {
    if let Some(identity) = file_identity(path) {
        DATA_FILES.lock().unwrap_or_else(PoisonError::into_inner).insert(identity, path.to_path_buf());
    }
}

/// Refuses a path given from outside that leads to a data file in use, whatever its name: opening and closing it would
/// drop SQLite's locks on it, and let writers into a running backup.
///
/// # Errors
/// [`ErrorKind::WrongType`] when it is one.
pub fn refuse_data_file(path: &Path) -> Result<()> {
    file_identity(path).map_or(Ok(()), |identity| refuse_data_file_known_as(identity, path))
}

/// The same for a file that was looked at already.
pub(super) fn refuse_data_file_known_as(identity: FileIdentity, path: &Path) -> Result<()> {
    let known = DATA_FILES.lock().unwrap_or_else(PoisonError::into_inner);
    // A deleted file's inode is given to the next one: it only counts while the data file is still where it was.
    let is_held = known.get(&identity).is_some_and(|held| file_identity(held) == Some(identity));
    // The index of the WAL carries locks as well.
    let is_index = || {
        known.values().any(|held| {
            let mut name = held.as_os_str().to_owned();
            name.push("-shm");
            file_identity(Path::new(&name)) == Some(identity)
        })
    };
    if is_held || is_index() {
        return Err(Error::new(ErrorKind::WrongType, format!("{} is a data file in use", path.display()))
            .hint("Choose an archive, whose name ends in .4BK, or a log, whose name ends in .journal or .4BL."));
    }
    Ok(())
}

/// Closes a descriptor of a file that SQLite neither has open in this process nor had; gives any other one back.
///
/// Nothing is locked in between: [`note_data_file`] comes before SQLite locks anything in a file.
pub(super) fn unless_in_use(identity: FileIdentity, file: File) -> Option<File> {
    if is_noted(identity) {
        return Some(file);
    }
    drop(file);
    None
}

/// Whether SQLite has, or had, a file of this identity open here. A deleted file's inode is given to the next one,
/// which then counts as well.
pub(super) fn is_noted(identity: FileIdentity) -> bool {
    DATA_FILES.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&identity)
}

/// Which file it is, without opening it. Windows keeps the locks of one handle when another is closed.
fn file_identity(path: &Path) -> Option<FileIdentity> {
    if cfg!(unix) { FileIdentity::of_path(path).ok().flatten() } else { None }
}
