//! Scratch folders: where a job writes what is not finished, beside the place that it is for.
//!
//! A crash leaves them behind, with gigabytes in them. So each holds a file that is locked for as long as the job runs, and whoever
//! comes to that place next removes those that nobody holds.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempDir;

use crate::error::{Error, Result};

const PREFIX: &str = ".strongroom-scratch-";
const LOCK: &str = "running.lock";
/// What is written is kept apart from the lock, whatever its files are called.
const CONTENT: &str = "content";
/// A folder without a lock may have been made a moment ago.
const YOUNG: Duration = Duration::from_secs(600);

/// A folder that is removed when this is dropped, or by whoever comes next after a crash.
#[derive(Debug)]
pub struct Scratch {
    content: PathBuf,
    _folder: TempDir,
    _lock: File,
}

impl Scratch {
    /// A new one inside `place`.
    ///
    /// # Errors
    /// When `place` can not be written.
    pub fn new(place: &Path) -> Result<Self> {
        let fail = |e| Error::io("write to the folder", place, e);
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(place).map_err(fail)?;
        let lock = File::create(folder.path().join(LOCK)).map_err(fail)?;
        lock.lock().map_err(fail)?;
        let content = folder.path().join(CONTENT);
        fs::create_dir(&content).map_err(fail)?;
        Ok(Self { content, _folder: folder, _lock: lock })
    }

    /// The empty folder to write into.
    pub fn path(&self) -> &Path {
        &self.content
    }
}

/// Removes the scratch folders in `place` which a crash left behind. What can not be removed now is tried again the next time.
pub fn remove_leftovers(place: &Path) {
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let path = entry.path();
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let is_over = match File::open(path.join(LOCK)) {
            Ok(lock) => lock.try_lock().is_ok(),
            Err(_) => {
                let age = entry.metadata().and_then(|meta| meta.modified()).ok().and_then(|at| at.elapsed().ok());
                age.is_some_and(|age| age > YOUNG)
            }
        };
        if is_over {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_crash_left_goes_and_what_is_in_use_stays() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let place = tempfile::tempdir()?;
        let used = Scratch::new(place.path())?;
        fs::write(used.path().join(LOCK), "a file of that name may be restored too")?;
        let left = place.path().join(".strongroom-scratch-left");
        fs::create_dir(&left)?;
        fs::write(left.join(LOCK), "")?;
        let young = place.path().join(".strongroom-scratch-young");
        let foreign = place.path().join("strongroom-scratch-notes");
        fs::create_dir(&young)?;
        fs::create_dir(&foreign)?;
        remove_leftovers(place.path());
        assert!(!left.exists() && young.exists() && foreign.exists());
        assert!(used.path().join(LOCK).exists());
        drop(used);
        assert_eq!(fs::read_dir(place.path())?.count(), 2);
        Ok(())
    }
}
