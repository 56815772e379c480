//! Scratch folders: where a job writes what is not finished, beside the place that it is for.
//!
//! A crash leaves them behind, with gigabytes in them. So each holds a file that is locked for as long as the job runs,
//! and whoever comes to that place next removes those that nobody holds.

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use uuid::Uuid;

use super::{
    Ownership,
    beneath::{Folder, Seen},
};
use crate::error::{Error, ErrorKind, Result};

const PREFIX: &str = ".strongroom-scratch-";
const LOCK: &str = "running.lock";
/// What is written is kept apart from the lock, whatever its files are called.
const CONTENT: &str = "content";
/// A folder without a lock may have been made a moment ago.
const YOUNG: Duration = Duration::from_secs(600);

/// A folder that is removed when this is dropped, or by whoever comes next after a crash.
#[derive(Debug)]
pub struct Scratch {
    content: Folder,
    whole: Folder,
    /// Where it was made, and under which name.
    place: Folder,
    name: PathBuf,
    _lock: File,
}

impl Scratch {
    /// A new one inside `place`.
    ///
    /// # Errors
    /// When `place` cannot be written.
    pub fn new(place: &Path) -> Result<Self> {
        Self::inside(&Folder::open(place)?)
    }

    /// A new one inside `place`; where that cannot be written, where the system keeps such files.
    ///
    /// # Errors
    /// When neither can be written: why `place` cannot.
    pub fn near(place: &Path) -> Result<Self> {
        Self::new(place).or_else(|error| Self::new(&std::env::temp_dir()).map_err(|_| error))
    }

    /// A new one inside the folder that is held.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn inside(place: &Folder) -> Result<Self> {
        let name = PathBuf::from(format!("{PREFIX}{}", Uuid::new_v4().simple()));
        place.make(&name, true).map_err(|e| {
            Error::new(e.kind(), format!("cannot write to the folder {}: {}", place.path().display(), e.message()))
                .hint(e.hint_text().unwrap_or_default())
        })?;
        let folder = place.below(&name)?;
        let made = folder.create(Path::new(LOCK), Ownership::default()).and_then(|lock| {
            // Whoever may write `place` may have put a folder of his own there in between.
            if !folder.is_private(&lock) {
                let message = format!("{} was replaced while it was made", folder.path().display());
                return Err(Error::new(ErrorKind::Replaced, message)
                    .hint("Choose a folder that nobody else can write, then try again."));
            }
            folder.make(Path::new(CONTENT), true)?;
            Ok((lock, folder.below(Path::new(CONTENT))?))
        });
        match made {
            Ok((lock, content)) => Ok(Self { content, whole: folder, place: place.again()?, name, _lock: lock }),
            Err(error) => {
                remove(place, &name, &folder);
                Err(error)
            }
        }
    }

    /// The empty folder to write into.
    pub fn path(&self) -> &Path {
        self.content.path()
    }

    /// The same, held open.
    pub fn folder(&self) -> &Folder {
        &self.content
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.place, &self.name, &self.whole);
    }
}

/// Removes the folder that is held, with what is in it. Whoever may write `place` can give its name to another folder
/// at any moment, which must not be removed in its place.
fn remove(place: &Folder, name: &Path, held: &Folder) {
    empty(held);
    remove_empty(place, name, held);
}

fn remove_empty(place: &Folder, name: &Path, held: &Folder) {
    let is_same = |seen: Seen| held.look(Path::new("")).is_ok_and(|own| own.identity == seen.identity);
    if place.look(name).is_ok_and(is_same) {
        // Fails where something is in it, or another one took its name since that holds anything.
        let _ = place.remove_folder(name);
    }
}

/// Removes what is in the folder that is held. Links are removed, and not followed.
fn empty(folder: &Folder) {
    for name in folder.names().unwrap_or_default() {
        let name = Path::new(&name);
        if folder.remove(name).is_err()
            && let Ok(below) = folder.below(name)
        {
            empty(&below);
            let _ = folder.remove_folder(name);
        }
    }
}

/// Removes the scratch folders in `place` which a crash left behind. What cannot be removed now is tried again the
/// next time.
pub fn remove_leftovers(place: &Path) {
    let Ok(folder) = Folder::open(place) else { return };
    for name in folder.names().unwrap_or_default() {
        if !name.to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let Ok(left) = folder.below(Path::new(&name)) else { continue };
        // A name says nothing: whoever may write `place` can give it to any folder. So it must look like one of ours.
        let names = left.names().unwrap_or_default();
        if names.iter().any(|name| name != LOCK && name != CONTENT) {
            continue;
        }
        let is_over = left.open_file(Path::new(LOCK), false).is_ok_and(|lock| {
            let is_lock = lock.metadata().is_ok_and(|meta| meta.len() == 0) && left.is_private(&lock);
            is_lock && lock.try_lock().is_ok()
        });
        if is_over {
            remove(&folder, Path::new(&name), &left);
        } else if names.is_empty() {
            let modified = left.look(Path::new("")).map_or(0, |seen| seen.modified.max(0) as u64);
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(modified);
            if modified > 0 && at.elapsed().is_ok_and(|age| age > YOUNG) {
                remove_empty(&folder, Path::new(&name), &left);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Whoever may write the place can rename what root has in it.
    #[cfg(unix)]
    #[test]
    fn another_folder_that_took_the_name_is_not_removed() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let place = tempfile::tempdir()?;
        let (worth, moved) = (place.path().join("worth"), place.path().join("moved"));
        for is_link in [false, true] {
            let used = Scratch::new(place.path())?;
            fs::create_dir_all(used.path().join("deep/er"))?;
            fs::write(used.path().join("deep/er/file"), "")?;
            fs::create_dir_all(worth.join(CONTENT))?;
            fs::write(worth.join(CONTENT).join("letter"), "of worth")?;
            std::os::unix::fs::symlink(&worth, used.path().join("link"))?;
            let path = used.whole.path().to_path_buf();
            fs::rename(&path, &moved)?;
            if is_link {
                std::os::unix::fs::symlink(&worth, &path)?
            } else {
                fs::rename(&worth, &path)?
            }
            drop(used);
            assert_eq!(fs::read(path.join(CONTENT).join("letter"))?, b"of worth");
            assert_eq!(fs::read_dir(&moved)?.count(), 0, "what was ours is gone, wherever it lies");
            fs::remove_dir(&moved)?;
        }
        Ok(())
    }

    #[test]
    fn what_a_crash_left_goes_and_what_is_in_use_stays() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let place = tempfile::tempdir()?;
        let used = Scratch::new(place.path())?;
        fs::write(used.path().join(LOCK), "a file of that name may be restored too")?;
        let make = |name: &str| -> std::io::Result<PathBuf> {
            let path = place.path().join(name);
            fs::create_dir(&path)?;
            #[cfg(unix)]
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
            Ok(path)
        };
        let left = make(".strongroom-scratch-left")?;
        fs::write(left.join(LOCK), "")?;
        fs::create_dir_all(left.join(CONTENT).join("deep"))?;
        let young = make(".strongroom-scratch-young")?;
        let foreign = make("strongroom-scratch-notes")?;
        // Folders of somebody else's making that were given such a name.
        let renamed = make(".strongroom-scratch-renamed")?;
        fs::write(renamed.join("letter"), "of worth")?;
        let dressed = make(".strongroom-scratch-dressed")?;
        fs::write(dressed.join("letter"), "of worth")?;
        fs::write(dressed.join(LOCK), "")?;
        remove_leftovers(place.path());
        assert!(!left.exists() && young.exists() && foreign.exists());
        assert!(renamed.join("letter").exists() && dressed.join("letter").exists());
        assert!(used.path().join(LOCK).exists());
        drop(used);
        assert_eq!(fs::read_dir(place.path())?.count(), 4);
        Ok(())
    }
}
