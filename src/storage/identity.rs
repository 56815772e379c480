//! What a file is, told apart from its name: an open descriptor goes on reading and writing a file that was deleted,
//! renamed, replaced by another one, or whose disk was unmounted. Whoever keeps a file open compares what he opened
//! with what the name means now, before he says that something was read from or written to the file of that name.
//!
//! Nothing here opens a file: to open and close a data file or its `-shm` would drop the locks that SQLite holds on it.

use std::{
    fs::Metadata,
    io,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::error::{Error, ErrorKind, Result};

/// Which file it is, among all files that are mounted now: device and inode.
///
/// A file that is held open keeps its inode, so that no other file of that device can have it meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileIdentity {
    device: u64,
    inode: u64,
}

/// Which file it is, and how it was when it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    /// Which file it is.
    pub identity: FileIdentity,
    /// Its length in bytes.
    pub length: u64,
    /// When its content was last written, in nanoseconds since 1970.
    pub written: i128,
    /// When anything of it was last changed, in nanoseconds since 1970; programs cannot choose this time.
    pub changed: i128,
}

impl FileStamp {
    /// Of the file that `path` names now, links followed; `None` when it names none.
    ///
    /// # Errors
    /// When that cannot be seen: no permission, a disk that does not answer.
    pub fn of_path(path: &Path) -> io::Result<Option<Self>> {
        match std::fs::metadata(path) {
            Ok(meta) => Ok(Some(Self::of(&meta))),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The steps in which this file system tells the time: some tell whole seconds, the others what the system's clock
    /// says, which goes on every few milliseconds. What happens within one step has the same time.
    pub fn time_step(&self) -> Duration {
        let is_whole = |time: i128| time % 1_000_000_000 == 0;
        let is_coarse = is_whole(self.changed) && is_whole(self.written);
        if is_coarse { Duration::from_secs(2) } else { Duration::from_millis(12) }
    }

    /// Whether nothing of the file was changed for so long; a time that is still to come is no recent one.
    pub fn is_older_than(&self, age: Duration) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i128);
        [self.written, self.changed].iter().all(|time| (now - time).unsigned_abs() > age.as_nanos())
    }

    /// Of what was told of a file.
    pub fn of(meta: &Metadata) -> Self {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let nanos = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
            Self {
                identity: FileIdentity { device: meta.dev(), inode: meta.ino() },
                length: meta.len(),
                written: nanos(meta.mtime(), meta.mtime_nsec()),
                changed: nanos(meta.ctime(), meta.ctime_nsec()),
            }
        }
        #[cfg(not(unix))]
        {
            // There a file that is open cannot be replaced; the time of its creation tells it from one made later.
            let nanos = |time: io::Result<std::time::SystemTime>| {
                let since = time.ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
                since.map_or(0, |d| d.as_nanos() as i128)
            };
            let written = nanos(meta.modified());
            Self {
                identity: FileIdentity { device: 0, inode: nanos(meta.created()) as u64 },
                length: meta.len(),
                written,
                changed: written,
            }
        }
    }
}

impl FileIdentity {
    /// Its number on its device, which stays when the device gets another number at the next start of the machine.
    pub fn inode(self) -> u64 {
        self.inode
    }

    /// The numbers of the device and of the file on it.
    pub(super) fn numbers(self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// Of a device and a file on it, where the system tells no more than these.
    #[cfg(unix)]
    pub(super) fn new(device: u64, inode: u64) -> Self {
        Self { device, inode }
    }

    /// Of the file that `path` names now, links followed; `None` when it names none.
    ///
    /// # Errors
    /// When that cannot be seen.
    pub fn of_path(path: &Path) -> io::Result<Option<Self>> {
        Ok(FileStamp::of_path(path)?.map(|stamp| stamp.identity))
    }
}

/// Sees that `path` still names the file that was opened under it.
///
/// # Errors
/// [`ErrorKind::Replaced`] where it names another one or none, or where that cannot be seen.
pub fn require_named(path: &Path, opened: FileIdentity) -> Result<()> {
    match FileIdentity::of_path(path) {
        Ok(Some(now)) if now == opened => Ok(()),
        Ok(Some(_)) => Err(replaced(format!("{} was replaced by another file", path.display()))),
        Ok(None) => Err(replaced(format!("{} was deleted or renamed, or its disk was taken away", path.display()))),
        Err(e) => {
            let message = format!("{} cannot be looked at any more", path.display());
            Err(replaced(message).because(e))
        }
    }
}

/// Whether anything of the file that `path` names was changed after `moment`, or another one took its name; of one that
/// is not there or cannot be looked at, no.
pub fn changed_since(path: &Path, moment: SystemTime) -> bool {
    let moment = moment.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i128);
    FileStamp::of_path(path).ok().flatten().is_some_and(|stamp| stamp.changed > moment)
}

/// How many descriptors of this process lead to a file; `None` where the system does not list them.
pub fn times_open(file: FileIdentity) -> Option<usize> {
    let open = std::fs::read_dir("/proc/self/fd").ok()?.flatten();
    // Looks at the file behind the descriptor and opens nothing.
    Some(open.filter(|fd| FileIdentity::of_path(&fd.path()).ok().flatten() == Some(file)).count())
}

/// A file that is no longer what its path names.
pub fn replaced(message: String) -> Error {
    Error::new(ErrorKind::Replaced, message)
        .hint("Strongroom goes on with the file that is there now. If nobody meant to replace it, find out who did.")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn a_file_under_another_name_is_the_same_and_another_one_under_its_name_is_not() -> Outcome {
        let folder = tempfile::tempdir()?;
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&a, "one")?;
        fs::write(&b, "one")?;
        let opened = FileIdentity::of_path(&a)?.ok_or("not there")?;
        require_named(&a, opened)?;
        fs::write(&a, "written in place")?;
        require_named(&a, opened)?;
        let held = fs::File::open(&a)?;
        for replace in [|a: &Path, b: &Path| fs::rename(b, a), |a: &Path, _: &Path| fs::remove_file(a)] {
            replace(&a, &b)?;
            let error = require_named(&a, opened).err().ok_or("taken for the same")?;
            assert_eq!(error.kind(), ErrorKind::Replaced, "{error}");
        }
        assert_eq!(FileStamp::of(&held.metadata()?).identity, opened);
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn a_time_that_was_set_back_still_changes_the_stamp() -> Outcome {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a");
        fs::write(&path, "one")?;
        let before = FileStamp::of_path(&path)?.ok_or("not there")?;
        // Far enough apart for the coarsest clock of a file system in use.
        std::thread::sleep(std::time::Duration::from_millis(20));
        let file = fs::File::options().write(true).open(&path)?;
        let written = file.metadata()?.modified()?;
        std::io::Write::write_all(&mut &file, b"two")?;
        file.set_modified(written)?;
        let after = FileStamp::of_path(&path)?.ok_or("not there")?;
        assert_eq!((before.identity, before.length, before.written), (after.identity, after.length, after.written));
        assert_ne!(before.changed, after.changed);
        Ok(())
    }

    #[test]
    fn what_was_written_just_now_is_not_at_rest() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let file = tempfile::NamedTempFile::new()?;
        let stamp = FileStamp::of(&file.path().metadata()?);
        assert!(!stamp.is_older_than(Duration::from_secs(3600)));
        let old =
            FileStamp { written: stamp.written - 10_000_000_000, changed: stamp.changed - 10_000_000_000, ..stamp };
        assert!(old.is_older_than(Duration::from_secs(9)));
        assert!(
            !FileStamp { written: old.written, ..stamp }.is_older_than(Duration::from_secs(9)),
            "its times were set"
        );
        Ok(())
    }
}
