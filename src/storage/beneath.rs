//! The one place through which names below a folder are reached, where other people may write.
//!
//! A folder is held open, and everything below it is opened relative to it, never through a link: a link that somebody
//! else put there, or swaps in at the last moment, leads nowhere. So a restore writes below its destination or not at
//! all. The path to the folder itself is what the administrator wrote, and may lead through links.

#[cfg(not(unix))]
mod other;
#[cfg(unix)]
mod unix;

use std::{
    ffi::OsString,
    fs::{File, Metadata},
    io,
    path::{Component, Path, PathBuf},
    time::SystemTime,
};

#[cfg(not(unix))]
use other as system;
#[cfg(unix)]
use unix as system;

use super::{Ownership, identity::FileIdentity, owners::Readers, regular};
use crate::error::{Error, ErrorKind, NotOrdinary, Result};

/// What is told of a name without opening it; of a link, what is told of the link.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// Whether it is an ordinary file.
    pub is_file: bool,
    /// Which one, where the system tells.
    pub identity: Option<FileIdentity>,
    /// Permission bits.
    pub mode: u32,
    /// Numeric user and group, where files have such.
    pub owner: Option<(u32, u32)>,
    /// Last modification, in seconds since 1970 UTC.
    pub modified: i64,
}

/// A folder that is held open.
#[derive(Debug)]
pub struct Folder {
    inner: system::Held,
    /// How it is called in messages.
    path: PathBuf,
}

impl Folder {
    /// Holds the folder at `path`; links in that path are followed.
    ///
    /// # Errors
    /// When there is none, or it cannot be opened.
    pub fn open(path: &Path) -> Result<Self> {
        Self::hold(path).map_err(|e| Error::io("open the folder", path, e))
    }

    /// As [`open`](Self::open), with what the system says.
    ///
    /// # Errors
    /// When there is none, or it cannot be opened.
    pub fn hold(path: &Path) -> io::Result<Self> {
        Ok(Self { inner: system::Held::open(path)?, path: path.to_path_buf() })
    }

    /// How it is called.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Holds the same once more.
    ///
    /// # Errors
    /// When too many files are open.
    pub(super) fn again(&self) -> Result<Self> {
        let inner = self.inner.again().map_err(|e| Error::io("open the folder", &self.path, e))?;
        Ok(Self { inner, path: self.path.clone() })
    }

    /// Holds the folder `name` below this one.
    ///
    /// # Errors
    /// When there is none, or a link is in the way.
    pub fn below(&self, name: &Path) -> Result<Self> {
        let inner = self.inner.below(name).map_err(|e| self.explain("open the folder", name, e))?;
        Ok(Self { inner, path: self.path.join(name) })
    }

    /// Makes the folder `name`, whose own folder is there; returns whether it was not there before. With `private`,
    /// nobody else may enter it.
    ///
    /// # Errors
    /// When something else has that name, a link is in the way, or the folder cannot be written.
    pub fn make(&self, name: &Path, private: bool) -> Result<bool> {
        let fail = |e| self.explain("create the folder", name, e);
        let (parent, last) = self.parent(name).map_err(fail)?;
        match parent.make(&last, private) {
            Ok(()) => Ok(true),
            // It must be a folder, reached without a link.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                self.inner.below(name).map(|_| false).map_err(|e| self.explain("create the folder", name, e))
            }
            Err(e) => Err(fail(e)),
        }
    }

    /// Makes the folder `name` and those above it, as far as they are not there.
    ///
    /// # Errors
    /// As [`make`](Self::make).
    pub fn make_all(&self, name: &Path) -> Result<()> {
        let mut so_far = PathBuf::new();
        name.components().try_for_each(|part| {
            so_far.push(part);
            self.make(&so_far, false).map(|_| ())
        })
    }

    /// Creates the file `name`, which must not exist, and locks it for as long as it is open.
    ///
    /// # Errors
    /// When something has that name, a link is in the way, or the folder cannot be written.
    pub fn create(&self, name: &Path, ownership: Ownership) -> Result<File> {
        let fail = |e| self.explain("create", name, e);
        let (parent, last) = self.parent(name).map_err(fail)?;
        let file = parent.create(&last).map_err(fail)?;
        // The lock tells a leftover from a file being written; a file system without locks only loses the clean-up.
        let _ = file.try_lock();
        ownership.apply(&file, &self.path.join(name))?;
        Ok(file)
    }

    /// Opens the file `name`, which must be an ordinary one, to read and, where wanted, to write.
    ///
    /// # Errors
    /// When there is none, it is something else, or a link is in the way.
    pub fn open_file(&self, name: &Path, write: bool) -> Result<File> {
        let fail = |e| self.explain("open", name, e);
        let (parent, last) = self.parent(name).map_err(fail)?;
        let file = parent.open_file(&last, write).map_err(fail)?;
        if file.metadata().map_err(fail)?.is_file() {
            return Ok(file);
        }
        Err(super::regular::not_regular(&self.path.join(name)))
    }

    /// Opens the ordinary file `name` to read it, as [`regular::open`] does: pipes, devices, links and data files in
    /// use are refused. Also says who can read it, asked of what was opened and of the folders that lead to it.
    ///
    /// # Errors
    /// Those of the system; [`NotOrdinary`] inside of one for what is something else, or lies behind a link.
    pub fn open_to_read(&self, name: &Path) -> io::Result<(File, Metadata, Readers)> {
        let (parent, last) = self.parent(name).map_err(no_link)?;
        let before = parent.look(&last)?;
        if !before.is_file {
            return Err(regular::ordinary(NotOrdinary::Other));
        }
        // Looked at before: to close a data file again would drop the locks that SQLite holds on it.
        if let Some(identity) = before.identity {
            super::refuse_data_file_known_as(identity, &self.path.join(name))
                .map_err(|_| regular::ordinary(NotOrdinary::DataFile))?;
        }
        let file = parent.open_file(&last, false).map_err(no_link)?;
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(regular::ordinary(NotOrdinary::Other));
        }
        let readers = parent.readers(&meta).unwrap_or(Readers::NONE);
        Ok((file, meta, readers))
    }

    /// What is told of `name`, or of this folder where it is empty.
    ///
    /// # Errors
    /// Those of the system; when a link is in the way to it.
    pub fn look(&self, name: &Path) -> io::Result<Seen> {
        if name.as_os_str().is_empty() {
            return self.inner.look_at_itself();
        }
        let (parent, last) = self.parent(name).map_err(no_link)?;
        parent.look(&last)
    }

    /// Where the link `name` leads.
    ///
    /// # Errors
    /// Those of the system; when a link is in the way to it.
    pub fn target(&self, name: &Path) -> io::Result<PathBuf> {
        let (parent, last) = self.parent(name).map_err(no_link)?;
        parent.target(&last)
    }

    /// Whether anything has the name `name`.
    ///
    /// # Errors
    /// When a link is in the way to it, or the folder cannot be read.
    pub fn has(&self, name: &Path) -> Result<bool> {
        let found = self.parent(name).and_then(|(parent, last)| parent.has(&last));
        match found {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            other => other.map_err(|e| self.explain("look at", name, e)),
        }
    }

    /// Refuses when something has the name `name`.
    ///
    /// # Errors
    /// [`ErrorKind::Exists`] then; as [`has`](Self::has).
    pub fn refuse_existing(&self, name: &Path) -> Result<()> {
        if self.has(name)? { Err(super::exists_already(&self.path.join(name))) } else { Ok(()) }
    }

    /// Gives the file `name` here the name `to` in `folder`, and fails when that exists.
    ///
    /// # Errors
    /// See above; when a link is in the way.
    pub fn rename_new(&self, name: &Path, folder: &Self, to: &Path) -> Result<()> {
        let (from, first) = self.parent(name).map_err(|e| self.explain("rename", name, e))?;
        let fail = |e| folder.explain("give the final name to", to, e);
        let (parent, last) = folder.parent(to).map_err(fail)?;
        system::rename_new((&from, &first), (&parent, &last)).map_err(fail)
    }

    /// Makes a symbolic link `name` that leads to `target`.
    ///
    /// # Errors
    /// When the name exists, a link is in the way to it, or the system has no such links.
    pub fn make_link(&self, name: &Path, target: &str) -> Result<()> {
        let fail = |e| self.explain("create the link", name, e);
        let (parent, last) = self.parent(name).map_err(fail)?;
        parent.make_link(&last, target).map_err(fail)
    }

    /// Sets the time of the last change of the file `name`, as far as the file system keeps one.
    pub fn set_modified(&self, name: &Path, time: SystemTime) {
        if let Ok((parent, last)) = self.parent(name) {
            parent.set_modified(&last, time);
        }
    }

    /// Removes the file or link `name`.
    ///
    /// # Errors
    /// When there is none, or a link is in the way.
    pub fn remove(&self, name: &Path) -> Result<()> {
        let removed = self.parent(name).and_then(|(parent, last)| parent.remove(&last));
        removed.map_err(|e| self.explain("remove", name, e))
    }

    /// Removes the empty folder `name`.
    ///
    /// # Errors
    /// When it is not empty, or a link is in the way.
    pub fn remove_folder(&self, name: &Path) -> Result<()> {
        let removed = self.parent(name).and_then(|(parent, last)| parent.remove_folder(&last));
        removed.map_err(|e| self.explain("remove", name, e))
    }

    /// Makes the names in the folder `name`, or in this one where it is empty, durable.
    ///
    /// # Errors
    /// When the system could not write.
    pub fn sync(&self, name: &Path) -> Result<()> {
        let synced = if name.as_os_str().is_empty() {
            self.inner.sync()
        } else {
            self.inner.below(name).and_then(|held| held.sync())
        };
        match synced {
            // Network file systems that know no such operation.
            Err(e) if matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
            other => other.map_err(|e| self.explain("sync the folder", name, e)),
        }
    }

    /// Makes everything in the file system of this folder durable; `false` where the system cannot do that at once.
    ///
    /// # Errors
    /// When the system could not write.
    pub fn sync_file_system(&self) -> Result<bool> {
        self.inner.sync_file_system().map_err(|e| Error::io("sync", &self.path, e))
    }

    /// Whether this folder belongs to whom `file`, just made in it, belongs to, and nobody else can enter it; as far as
    /// the file system knows owners and modes.
    pub(super) fn is_private(&self, file: &File) -> bool {
        self.inner.is_private(file)
    }

    /// The names in this folder.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn names(&self) -> Result<Vec<OsString>> {
        self.inner.names().map_err(|e| Error::io("read the folder", &self.path, e))
    }

    /// Whether the path of `name` still leads to the file that is reached from here: what is opened by its path, as
    /// SQLite does, is then what was written.
    pub fn is_at_its_path(&self, name: &Path) -> bool {
        let by_path = super::identity::FileIdentity::of_path(&self.path.join(name)).ok().flatten();
        let held = self.open_file(name, false).ok().and_then(|file| file.metadata().ok());
        held.is_some_and(|meta| by_path == Some(super::identity::FileStamp::of(&meta).identity))
    }

    /// The folder that holds `name`, and its last part.
    fn parent(&self, name: &Path) -> io::Result<(system::Held, OsString)> {
        let plain = name.components().all(|part| matches!(part, Component::Normal(_)));
        let (Some(last), true) = (name.file_name(), plain) else {
            return Err(io::Error::other("the name leads out of its folder"));
        };
        let folder = super::folder_of(name);
        let held = if folder == Path::new(".") { self.inner.again() } else { self.inner.below(folder) };
        Ok((held?, last.to_os_string()))
    }

    /// Says which part of the way is a link, if one is.
    fn explain(&self, what: &str, name: &Path, error: io::Error) -> Error {
        let mut so_far = PathBuf::new();
        for part in super::folder_of(name).components().chain(name.file_name().map(Component::Normal)) {
            if part == Component::CurDir {
                continue;
            }
            so_far.push(part);
            let path = self.path.join(&so_far);
            let is_last = so_far == name;
            if path.is_symlink() && (!is_last || error.kind() != io::ErrorKind::AlreadyExists) {
                return is_link(&path, what);
            }
        }
        Error::io(what, &self.path.join(name), error)
    }
}

/// What the system says of a link in the way, in words.
fn no_link(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::NotADirectory || system::is_link(&error) {
        regular::ordinary(NotOrdinary::Other)
    } else {
        error
    }
}

fn is_link(path: &Path, what: &str) -> Error {
    let message = format!("cannot {what} {}: it is a link, or is reached through one", path.display());
    Error::new(ErrorKind::UnsafePath, message).hint(
        "No link is followed here, since other users may have put it there. Choose an empty folder that only you \
         can write, or remove the link.",
    )
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nothing_is_reached_through_a_link_by_either_way() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let place = tempfile::tempdir()?;
        let (root, outside) = (place.path().join("root"), place.path().join("outside"));
        std::fs::create_dir_all(root.join("real/deep"))?;
        std::fs::create_dir_all(outside.join("deep"))?;
        symlink(&outside, root.join("absolute"))?;
        symlink("../outside", root.join("real/relative"))?;
        symlink("real", root.join("inside"))?;
        let folder = Folder::open(&root)?;
        for name in ["absolute", "absolute/deep", "real/relative", "real/relative/deep", "inside", "inside/deep"] {
            assert!(folder.inner.step_by_step(Path::new(name)).is_err(), "{name}");
            let error = folder.below(Path::new(name)).err().ok_or(name)?;
            assert_eq!(error.kind(), ErrorKind::UnsafePath, "{name}: {error}");
            let file = Path::new(name).join("file");
            for outcome in [
                folder.create(&file, Ownership::default()).map(|_| ()),
                folder.make(&file, false).map(|_| ()),
                folder.make_link(&file, "x"),
                folder.has(&file).map(|_| ()),
                folder.remove(&file),
            ] {
                assert_eq!(outcome.err().ok_or(name)?.kind(), ErrorKind::UnsafePath, "{name}");
            }
        }
        assert!(folder.inner.step_by_step(Path::new("real/deep")).is_ok());
        for out in ["..", "../outside", "real/../../outside", "/etc", ""] {
            assert!(folder.create(Path::new(out), Ownership::default()).is_err(), "{out}");
            assert!(out.is_empty() || folder.inner.step_by_step(Path::new(out)).is_err(), "{out}");
            assert!(out.is_empty() || folder.below(Path::new(out)).is_err(), "{out}");
        }
        assert_eq!(std::fs::read_dir(&outside)?.count(), 1);
        Ok(())
    }

    #[test]
    fn a_folder_that_is_held_is_used_whatever_takes_its_name() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let place = tempfile::tempdir()?;
        let (root, outside) = (place.path().join("root"), place.path().join("outside"));
        std::fs::create_dir(&root)?;
        std::fs::create_dir(&outside)?;
        let folder = Folder::open(&root)?;
        std::fs::rename(&root, place.path().join("moved"))?;
        symlink(&outside, &root)?;
        folder.create(Path::new("a"), Ownership::default())?;
        assert!(place.path().join("moved/a").exists() && std::fs::read_dir(&outside)?.count() == 0);
        assert!(!folder.is_at_its_path(Path::new("a")));
        std::fs::write(outside.join("a"), "another")?;
        assert!(!folder.is_at_its_path(Path::new("a")));
        folder.rename_new(Path::new("a"), &folder, Path::new("b"))?;
        folder.create(Path::new("a"), Ownership::default())?;
        let taken = folder.rename_new(Path::new("a"), &folder, Path::new("b")).err().ok_or("renamed over a file")?;
        assert_eq!(taken.kind(), ErrorKind::Exists);
        Ok(())
    }
}
