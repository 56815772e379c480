//! Windows: links need a right of their own to be made. Each part of the way is looked at before it is used.

use std::{
    ffi::{OsStr, OsString},
    fs::{File, Metadata},
    io,
    path::{Component, Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use super::Seen;
use crate::storage::owners::Readers;

#[derive(Debug)]
pub(in crate::storage) struct Held(PathBuf);

impl Held {
    pub(in crate::storage) fn open(path: &Path) -> io::Result<Self> {
        if path.metadata()?.is_dir() {
            Ok(Self(std::path::absolute(path)?))
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    }

    pub(in crate::storage) fn again(&self) -> io::Result<Self> {
        Ok(Self(self.0.clone()))
    }

    pub(in crate::storage) fn below(&self, name: &Path) -> io::Result<Self> {
        let mut path = self.0.clone();
        for part in name.components() {
            let Component::Normal(part) = part else {
                return Err(io::Error::other("the name leads out of its folder"));
            };
            path.push(part);
            // Of a link or a junction this is not a folder.
            if !path.symlink_metadata()?.is_dir() {
                return Err(io::ErrorKind::NotADirectory.into());
            }
        }
        Ok(Self(path))
    }

    pub(in crate::storage) fn make(&self, name: &OsStr, _: bool) -> io::Result<()> {
        std::fs::create_dir(self.0.join(name))
    }

    pub(in crate::storage) fn create(&self, name: &OsStr) -> io::Result<File> {
        File::options().read(true).write(true).create_new(true).open(self.0.join(name))
    }

    pub(in crate::storage) fn open_file(&self, name: &OsStr, write: bool) -> io::Result<File> {
        let path = self.0.join(name);
        if path.is_symlink() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        File::options().read(true).write(write).open(path)
    }

    pub(in crate::storage) fn look(&self, name: &OsStr) -> io::Result<Seen> {
        let meta = self.0.join(name).symlink_metadata()?;
        let modified = meta.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let modified = modified.map_or(0, |at| at.as_secs() as i64);
        // Windows keeps the locks of one handle when another is closed: no file needs to be told from another here.
        Ok(Seen { is_file: meta.is_file(), identity: None, mode: 0o644, owner: None, modified })
    }

    pub(in crate::storage) fn look_at_itself(&self) -> io::Result<Seen> {
        self.look(OsStr::new(""))
    }

    pub(in crate::storage) fn target(&self, name: &OsStr) -> io::Result<PathBuf> {
        std::fs::read_link(self.0.join(name))
    }

    pub(in crate::storage) fn readers(&self, _: &Metadata) -> io::Result<Readers> {
        Ok(Readers::NONE)
    }

    pub(in crate::storage) fn has(&self, name: &OsStr) -> io::Result<bool> {
        Ok(self.0.join(name).symlink_metadata().is_ok())
    }

    pub(in crate::storage) fn make_link(&self, _: &OsStr, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(in crate::storage) fn set_modified(&self, name: &OsStr, time: SystemTime) {
        let _ = self.open_file(name, true).and_then(|file| file.set_modified(time));
    }

    pub(in crate::storage) fn remove(&self, name: &OsStr) -> io::Result<()> {
        std::fs::remove_file(self.0.join(name))
    }

    pub(in crate::storage) fn remove_folder(&self, name: &OsStr) -> io::Result<()> {
        std::fs::remove_dir(self.0.join(name))
    }

    /// There is no such operation; renames are journalled by NTFS.
    pub(in crate::storage) fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    pub(in crate::storage) fn sync_file_system(&self) -> io::Result<bool> {
        Ok(false)
    }

    pub(in crate::storage) fn is_private(&self, _: &File) -> bool {
        true
    }

    pub(in crate::storage) fn names(&self) -> io::Result<Vec<OsString>> {
        std::fs::read_dir(&self.0)?.map(|entry| Ok(entry?.file_name())).collect()
    }
}

pub(in crate::storage) fn is_link(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidInput
}

pub(in crate::storage) fn rename_new(from: (&Held, &OsStr), to: (&Held, &OsStr)) -> io::Result<()> {
    crate::storage::rename_new(&from.0.0.join(from.1), &to.0.0.join(to.1))
}
