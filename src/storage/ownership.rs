//! Whom files belong to, and who may read them.

use std::{fs::File, path::Path};

use super::owners::Readers;
#[cfg(unix)]
use crate::error::Error;
use crate::error::Result;

/// Whom a new file belongs to and who may read it; taken from the data file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ownership {
    /// Permission bits (`0o777` at most), or the system's default.
    pub mode: Option<u32>,
    /// User and group, where this process may give files away.
    pub owner: Option<(u32, u32)>,
}

impl Ownership {
    /// For a file of ours beside the one at `path`: its owner and permissions; default where they cannot be read.
    /// Whatever they are, the owner may read and write: a log that was locked away must not take along what is made
    /// beside it.
    pub fn of(path: &Path) -> Self {
        let other = Self::exactly_of(path);
        Self { mode: other.mode.map(|mode| mode | 0o600), ..other }
    }

    /// The permissions and owner of the file at `path`, for a file that takes its place; default where they cannot be
    /// read.
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

    /// That of a file which holds what is in the one at `path`, wherever it lies: readable by nobody who could not read
    /// that one.
    pub fn for_content_of(path: &Path) -> Self {
        Self::of(path).readable_by(Readers::of(path))
    }

    /// The same, readable by nobody who is not among `readers`.
    #[must_use]
    pub fn readable_by(self, readers: Readers) -> Self {
        let group = self.owner.map_or(u32::MAX, |(_, group)| group);
        Self { mode: self.mode.map(|mode| readers.only(mode, group)), ..self }
    }

    /// Whether nobody can read a file with this who is not among `readers`.
    pub fn is_within(self, readers: Readers) -> bool {
        self.readable_by(readers) == self
    }

    /// Applies this to an open file or, with the search bits added, to an open folder, whatever its name leads to by
    /// now: whoever may write the folder around it can put a link in its place between two system calls.
    ///
    /// The mode must take effect; giving the file to another owner is only possible for root and is skipped otherwise.
    ///
    /// # Errors
    /// When the permissions cannot be set; the message names `path`.
    pub fn apply(&self, file: &File, path: &Path) -> Result<()> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
            let fail = |e| Error::io("set the permissions of", path, e);
            let meta = file.metadata().map_err(fail)?;
            if let Some((user, group)) = self.owner
                && (meta.uid(), meta.gid()) != (user, group)
            {
                let _ = fchown(file, Some(user), Some(group)).or_else(|_| fchown(file, None, Some(group)));
            }
            if let Some(mode) = self.mode {
                // Where it could not get that group, what is meant for its members is for nobody; but the members of
                // the group that it has instead may do what everybody may.
                let has_group = match self.owner {
                    Some((_, group)) => file.metadata().map_err(fail)?.gid() == group,
                    None => true,
                };
                let mode = if has_group { mode } else { mode & !0o070 | (mode & 0o007) << 3 };
                let mode = if meta.is_dir() { mode | ((mode & 0o444) >> 2) } else { mode };
                file.set_permissions(std::fs::Permissions::from_mode(mode)).map_err(fail)?;
            }
        }
        #[cfg(not(unix))]
        let _ = (file, path);
        Ok(())
    }

    /// The same for what is at `path`, which must not be a link.
    ///
    /// # Errors
    /// When it cannot be opened, or its permissions cannot be set.
    pub fn apply_at(&self, path: &Path) -> Result<()> {
        #[cfg(unix)]
        {
            use rustix::fs::{Mode, OFlags};
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let opened = rustix::fs::open(path, flags, Mode::empty());
            let opened = opened.map_err(|e| Error::io("set the permissions of", path, e.into()))?;
            self.apply(&File::from(opened), path)?;
        }
        #[cfg(not(unix))]
        let _ = path;
        Ok(())
    }
}

/// Sees that nobody else can read the file of ours at `path`, if there is one: by a descriptor that opens nothing,
/// since SQLite may have the file open in this process, and would lose its locks.
///
/// # Errors
/// When its permissions cannot be set. A link, and what belongs to somebody else, stays as it is.
pub fn make_file_private(path: &Path) -> Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{FileType, Mode, OFlags};
        use std::os::{fd::AsRawFd, unix::fs::PermissionsExt};
        let fail = |e| Error::io("set the permissions of", path, e);
        let held = match rustix::fs::open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
            Err(rustix::io::Errno::NOENT) => return Ok(()),
            opened => opened.map_err(|e| fail(e.into()))?,
        };
        let meta = rustix::fs::fstat(&held).map_err(|e| fail(e.into()))?;
        let is_file = FileType::from_raw_mode(meta.st_mode) == FileType::RegularFile;
        if is_file && meta.st_uid == super::owners::this_user() && meta.st_mode & 0o077 != 0 {
            // What this name leads to is what is held.
            let name = format!("/proc/self/fd/{}", held.as_raw_fd());
            std::fs::set_permissions(name, std::fs::Permissions::from_mode(0o600)).map_err(fail)?;
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = path;
    Ok(())
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

/// Whether two files, links not followed, belong to the same user: then what one says may decide over the other. Where
/// files have no owners, all belong to the same.
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

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    #[test]
    fn where_the_group_can_not_be_had_its_members_do_no_more_and_no_less_than_everybody()
    -> std::result::Result<(), Box<dyn std::error::Error>> {
        let file = tempfile::NamedTempFile::new()?;
        // The number that stands for no user and no group: it is set without effect.
        let none = Some((u32::MAX, u32::MAX));
        assert_ne!(file.as_file().metadata()?.gid(), u32::MAX);
        for (wanted, made) in [(0o644, 0o644), (0o640, 0o600), (0o660, 0o600), (0o664, 0o644), (0o666, 0o666)] {
            Ownership { mode: Some(wanted), owner: none }.apply(file.as_file(), file.path())?;
            assert_eq!(file.as_file().metadata()?.permissions().mode() & 0o777, made, "{wanted:o}");
        }
        Ok(())
    }
}
