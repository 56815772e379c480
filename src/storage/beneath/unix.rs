//! Folders that are held open as descriptors: what is relative to one stays below it.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{ffi::OsStringExt, fs::MetadataExt},
    },
    path::{Component, Path},
    time::{SystemTime, UNIX_EPOCH},
};

use rustix::{
    fs::{self, AtFlags, CWD, Mode, OFlags, Timespec, Timestamps},
    io::Errno,
};

#[derive(Debug)]
pub(in crate::storage) struct Held(OwnedFd);

/// Enough to reach names below a folder, also of one that may be entered but not listed.
#[cfg(target_os = "linux")]
const REACH: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const REACH: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const LIST: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Held {
    pub(in crate::storage) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(fs::openat(CWD, path, REACH, Mode::empty())?))
    }

    pub(in crate::storage) fn again(&self) -> io::Result<Self> {
        Ok(Self(self.0.try_clone()?))
    }

    pub(in crate::storage) fn below(&self, name: &Path) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        {
            use fs::ResolveFlags as R;
            let never = R::BENEATH | R::NO_SYMLINKS | R::NO_MAGICLINKS;
            match fs::openat2(&self.0, name, REACH, Mode::empty(), never) {
                // A kernel before 5.6, or a sandbox that knows no such call.
                Err(Errno::NOSYS | Errno::PERM | Errno::AGAIN) => {}
                other => return Ok(Self(other?)),
            }
        }
        self.step_by_step(name)
    }

    /// The same where the system has no single call for it.
    pub(in crate::storage) fn step_by_step(&self, name: &Path) -> io::Result<Self> {
        let mut held = self.again()?;
        for part in name.components() {
            let Component::Normal(part) = part else {
                return Err(io::Error::other("the name leads out of its folder"));
            };
            held = Self(fs::openat(&held.0, part, REACH | OFlags::NOFOLLOW, Mode::empty())?);
        }
        Ok(held)
    }

    pub(in crate::storage) fn make(&self, name: &OsStr, private: bool) -> io::Result<()> {
        let mode = if private { 0o700 } else { 0o755 };
        Ok(fs::mkdirat(&self.0, name, Mode::from_raw_mode(mode))?)
    }

    pub(in crate::storage) fn create(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // Nobody else may read it before it has its owner and mode.
        Ok(File::from(fs::openat(&self.0, name, flags, Mode::from_raw_mode(0o600))?))
    }

    pub(in crate::storage) fn open_file(&self, name: &OsStr, write: bool) -> io::Result<File> {
        let access = if write { OFlags::RDWR } else { OFlags::RDONLY };
        // A pipe must not be waited for.
        let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(File::from(fs::openat(&self.0, name, flags, Mode::empty())?))
    }

    pub(in crate::storage) fn has(&self, name: &OsStr) -> io::Result<bool> {
        match fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    pub(in crate::storage) fn make_link(&self, name: &OsStr, target: &str) -> io::Result<()> {
        Ok(fs::symlinkat(target, &self.0, name)?)
    }

    pub(in crate::storage) fn set_modified(&self, name: &OsStr, time: SystemTime) {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let at = Timespec { tv_sec: since.as_secs() as i64, tv_nsec: since.subsec_nanos().into() };
        let untouched = Timespec { tv_sec: 0, tv_nsec: fs::UTIME_OMIT };
        let times = Timestamps { last_access: untouched, last_modification: at };
        let _ = fs::utimensat(&self.0, name, &times, AtFlags::SYMLINK_NOFOLLOW);
    }

    pub(in crate::storage) fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(fs::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    pub(in crate::storage) fn remove_folder(&self, name: &OsStr) -> io::Result<()> {
        Ok(fs::unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
    }

    fn to_list(&self) -> io::Result<OwnedFd> {
        Ok(fs::openat(&self.0, ".", LIST, Mode::empty())?)
    }

    pub(in crate::storage) fn sync(&self) -> io::Result<()> {
        Ok(fs::fsync(self.to_list()?)?)
    }

    pub(in crate::storage) fn sync_file_system(&self) -> io::Result<bool> {
        #[cfg(target_os = "linux")]
        {
            fs::syncfs(self.to_list()?)?;
            Ok(true)
        }
        #[cfg(not(target_os = "linux"))]
        Ok(false)
    }

    pub(in crate::storage) fn is_private(&self, file: &File) -> bool {
        let (Ok(meta), Ok(file)) = (fs::fstat(&self.0), file.metadata()) else { return false };
        let of_others = Mode::from_raw_mode(meta.st_mode).intersects(Mode::RWXG | Mode::RWXO);
        // Where files have no modes, all of them are open to the same people.
        meta.st_uid == file.uid() && (!of_others || file.mode() & 0o077 != 0)
    }

    pub(in crate::storage) fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in fs::Dir::new(self.to_list()?)? {
            let name = OsString::from_vec(entry?.file_name().to_bytes().to_vec());
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        Ok(names)
    }
}

pub(in crate::storage) fn rename_new(from: (&Held, &OsStr), to: (&Held, &OsStr)) -> io::Result<()> {
    let (a, b) = (from.0.0.as_fd(), to.0.0.as_fd());
    #[cfg(target_os = "linux")]
    match fs::renameat_with(a, from.1, b, to.1, fs::RenameFlags::NOREPLACE) {
        // File systems that do not know the flag.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
        other => return Ok(other?),
    }
    // A hard link fails when the name exists; where links are unknown (FAT), a look before the rename must do.
    match fs::linkat(a, from.1, b, to.1, AtFlags::empty()) {
        Ok(()) => from.0.remove(from.1),
        Err(Errno::EXIST) => Err(Errno::EXIST.into()),
        Err(_) if to.0.has(to.1)? => Err(Errno::EXIST.into()),
        Err(_) => Ok(fs::renameat(a, from.1, b, to.1)?),
    }
}
