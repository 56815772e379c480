//! Folders that are held open as descriptors: what is relative to one stays below it.

use std::{
    ffi::{OsStr, OsString},
    fs::{File, Metadata},
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{ffi::OsStringExt, fs::MetadataExt},
    },
    path::{Component, Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use rustix::{
    fs::{self, AtFlags, CWD, Mode, OFlags, Timespec, Timestamps},
    io::Errno,
};

use super::Seen;
use crate::storage::{identity::FileIdentity, owners::Readers};

/// No path has more folders.
const DEPTH_MAX: usize = 2048;

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

    pub(in crate::storage) fn look(&self, name: &OsStr) -> io::Result<Seen> {
        Ok(seen(&fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?))
    }

    pub(in crate::storage) fn look_at_itself(&self) -> io::Result<Seen> {
        Ok(seen(&fs::fstat(&self.0)?))
    }

    pub(in crate::storage) fn target(&self, name: &OsStr) -> io::Result<PathBuf> {
        let target = fs::readlinkat(&self.0, name, Vec::new())?;
        Ok(OsString::from_vec(target.into_bytes()).into())
    }

    /// Who can read a file in this folder of which `meta` is told. The folders above are found from this one, whatever
    /// its path leads to by now.
    pub(in crate::storage) fn readers(&self, meta: &Metadata) -> io::Result<Readers> {
        let mut above = Vec::new();
        let mut held = self.again()?;
        let mut this = fs::fstat(&held.0)?;
        while above.len() < DEPTH_MAX {
            above.push((this.st_mode, this.st_gid));
            held = Self(fs::openat(&held.0, "..", REACH, Mode::empty())?);
            let next = fs::fstat(&held.0)?;
            if (next.st_dev, next.st_ino) == (this.st_dev, this.st_ino) {
                return Ok(Readers::by((meta.mode(), meta.gid()), above.into_iter()));
            }
            this = next;
        }
        Ok(Readers::NONE)
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

pub(in crate::storage) fn is_link(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}

#[allow(clippy::unnecessary_cast, clippy::useless_conversion, reason = "other systems have other widths")]
fn seen(stat: &fs::Stat) -> Seen {
    Seen {
        is_file: fs::FileType::from_raw_mode(stat.st_mode) == fs::FileType::RegularFile,
        identity: Some(FileIdentity::new(stat.st_dev as u64, stat.st_ino as u64)),
        mode: u32::from(stat.st_mode) & 0o777,
        owner: Some((stat.st_uid, stat.st_gid)),
        modified: stat.st_mtime as i64,
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
