//! Whom files belong to, and who may read them.

use std::{fs::File, path::Path};

use crate::error::{Error, Result};

/// Whom a new file belongs to and who may read it; taken from the data file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ownership {
    /// Permission bits (`0o777` at most), or the system's default.
    pub mode: Option<u32>,
    /// User and group, where this process may give files away.
    pub owner: Option<(u32, u32)>,
}

impl Ownership {
    /// For a file of ours beside the one at `path`: its owner and permissions; default where they can not be read. Whatever
    /// they are, the owner may read and write: a log that was locked away must not take along what is made beside it.
    pub fn of(path: &Path) -> Self {
        let other = Self::exactly_of(path);
        Self { mode: other.mode.map(|mode| mode | 0o600), ..other }
    }

    /// The permissions and owner of the file at `path`, for a file that takes its place; default where they can not be read.
    pub fn exactly_of(path: &Path) -> Self {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            match std::fs::metadata(path) {
                Ok(meta) => Self { mode: Some(meta.mode() & 0o666), owner: Some((meta.uid(), meta.gid())) },
                Err(_) => Self::default(),
            }
        }
        #[cfg(not(unix))]
        {
            let _ = path;
            Self::default()
        }
    }

    /// Applies this to a file or, with the search bits added, to a folder.
    ///
    /// The mode must take effect; giving the file to another owner is only possible for root and is skipped otherwise.
    ///
    /// # Errors
    /// When the permissions can not be set.
    pub fn apply(&self, path: &Path) -> Result<()> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
            let fail = |e| Error::io("set the permissions of", path, e);
            let meta = std::fs::metadata(path).map_err(fail)?;
            if let Some((user, group)) = self.owner
                && (meta.uid(), meta.gid()) != (user, group)
            {
                let _ = chown(path, Some(user), Some(group)).or_else(|_| chown(path, None, Some(group)));
            }
            if let Some(mode) = self.mode {
                let mode = if meta.is_dir() { mode | ((mode & 0o444) >> 2) } else { mode };
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(fail)?;
            }
        }
        #[cfg(not(unix))]
        let _ = path;
        Ok(())
    }

    /// As [`apply`](Self::apply), for a file that is held open: whatever takes its name meanwhile is not touched.
    ///
    /// # Errors
    /// When the permissions can not be set.
    pub fn apply_to(&self, file: &File) -> std::io::Result<()> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
            let meta = file.metadata()?;
            if let Some((user, group)) = self.owner
                && (meta.uid(), meta.gid()) != (user, group)
            {
                let _ = fchown(file, Some(user), Some(group)).or_else(|_| fchown(file, None, Some(group)));
            }
            if let Some(mode) = self.mode {
                file.set_permissions(std::fs::Permissions::from_mode(mode))?;
            }
        }
        #[cfg(not(unix))]
        let _ = file;
        Ok(())
    }
}

/// Whether this process may make `user` the owner of its files.
pub fn may_give_to(user: u32) -> bool {
    #[cfg(unix)]
    {
        let own = rustix::process::geteuid();
        own.is_root() || own.as_raw() == user
    }
    #[cfg(not(unix))]
    {
        let _ = user;
        false
    }
}

/// Whether two files, links not followed, belong to the same user: then what one says may decide over the other. Where files have
/// no owners, all belong to the same.
pub fn have_same_owner(first: &Path, second: &Path) -> bool {
    #[cfg(unix)]
    {
        let owner = |path: &Path| path.symlink_metadata().ok().map(|meta| std::os::unix::fs::MetadataExt::uid(&meta));
        owner(first).is_some_and(|user| owner(second) == Some(user))
    }
    #[cfg(not(unix))]
    {
        first.symlink_metadata().is_ok() && second.symlink_metadata().is_ok()
    }
}
