//! Whether another process has a data file open in SQLite, asked of the locks.
//!
//! `/proc/locks` shows a process in a container the locks of that container alone, and `/proc/PID/fd` those of its own
//! user: *nobody found* is not *nobody*. The system itself knows every lock on a file of this machine, and answers with
//! `F_GETLK` whoever holds it. Asked through a descriptor that SQLite holds already: one of our own would drop SQLite's
//! locks when closed (see the [lock trap](super)).

use std::{
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use super::{open_existing, snapshot::shm_path};
use crate::storage::{
    identity::FileIdentity,
    processes::{self, Holders, Process, SHARED_LOCK},
};

/// Whether another process has the data file at `path` open in SQLite: every connection in WAL mode keeps a shared lock
/// on it, in the other modes while it reads or writes. `None` where the system does not tell.
pub fn is_open_elsewhere(path: &Path) -> Option<bool> {
    is_locked_elsewhere(named(path)?, SHARED_LOCK).or_else(|| {
        // Nobody here has it open: SQLite opens it for as long as the question takes.
        let _held = open_existing(path).ok()?;
        is_locked_elsewhere(named(path)?, SHARED_LOCK)
    })
}

/// Who has one of `files`, the data file at `path` and its companions, open; one that cannot be seen too, as far as
/// its locks tell.
pub fn holders(path: &Path, files: &[PathBuf]) -> Holders {
    let mut found = processes::holders(files);
    if found.processes.is_empty() && is_open_elsewhere(path) == Some(true) {
        found.processes.push(Process::unseen());
    }
    found
}

/// Whether another process holds a lock on any byte of this file, which may have no name any more. `None` where the
/// system does not tell, and where this process has not that file open.
pub fn is_held_elsewhere(file: FileIdentity) -> Option<bool> {
    is_locked_elsewhere(file, ANY)
}

/// Whether another process reads the data file at `path` and none uses its `-shm`, which this process has open: one
/// that does is seen by its locks, in whatever container. `None` where the system does not tell.
pub fn is_read_apart(path: &Path) -> Option<bool> {
    Some(is_locked_elsewhere(named(path)?, SHARED_LOCK)? && !is_locked_elsewhere(named(&shm_path(path))?, ANY)?)
}

const ANY: RangeInclusive<u64> = 0..=u64::MAX;

fn named(path: &Path) -> Option<FileIdentity> {
    FileIdentity::of_path(path).ok().flatten()
}

/// Whether another process holds a lock on a byte of `range` of the file `wanted`. `None` where this process does not
/// have it open.
#[cfg(target_os = "linux")]
fn is_locked_elsewhere(wanted: FileIdentity, range: RangeInclusive<u64>) -> Option<bool> {
    use rustix::process::{Flock, FlockOffsetType, FlockType};

    let length = range.end().saturating_sub(*range.start()).saturating_add(1);
    let question = Flock {
        start: *range.start(),
        // 0 is up to the end, however long the file grows.
        length: if i64::try_from(length).is_ok() { length } else { 0 },
        pid: None,
        typ: FlockType::WriteLock,
        offset_type: FlockOffsetType::Set,
    };
    let open = std::fs::read_dir("/proc/self/fd").ok()?.flatten();
    open.filter(|entry| named(&entry.path()) == Some(wanted)).find_map(|entry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        let answer = super::ffi::with_descriptor(number, |fd| rustix::process::fcntl_getlk(fd, &question)).ok()?;
        // A number that meanwhile stands for another file answered for that one.
        (named(&entry.path()) == Some(wanted)).then_some(answer.is_some())
    })
}

#[cfg(not(target_os = "linux"))]
fn is_locked_elsewhere(_: FileIdentity, _: RangeInclusive<u64>) -> Option<bool> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::{Command, Stdio};

    use rusqlite::Connection;

    use super::*;

    type Done = Result<(), Box<dyn std::error::Error>>;

    /// Another program that has `path` open until its input is closed; `None` where this user may make no such
    /// container.
    fn reader_in_a_container(path: &Path) -> Option<std::process::Child> {
        use std::io::{BufRead, BufReader};
        let shell = "sqlite3 -bail \"$1\" 'BEGIN' 'SELECT count(*) FROM t' '.shell echo ready; cat >/dev/null'";
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--mount-proc", "sh", "-c", shell, "sh"]).arg(path);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take()?).read_line(&mut line).ok()?;
        (line.trim() == "ready").then_some(child)
    }

    #[test]
    fn whoever_has_it_open_is_seen_and_our_own_connections_are_not() -> Done {
        let folder = tempfile::tempdir()?;
        let path = folder.path().canonicalize()?.join("a");
        let own = Connection::open(&path)?;
        own.execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE t(a)")?;
        let second = Connection::open(&path)?;
        second.query_row("SELECT count(*) FROM t", [], |_| Ok(()))?;
        assert_eq!(is_open_elsewhere(&path), Some(false));
        let held = [named(&path), named(&shm_path(&path))].map(|file| file.ok_or("no file"));
        for file in held {
            assert_eq!(is_held_elsewhere(file?), Some(false));
        }
        let Some(mut child) = reader_in_a_container(&path) else { return Ok(()) };
        assert_eq!(is_open_elsewhere(&path), Some(true));
        assert_eq!(is_read_apart(&path), Some(false));
        // Neither does a file need its name.
        let aside = folder.path().join("aside");
        std::fs::rename(&path, &aside)?;
        for file in held {
            assert_eq!(is_held_elsewhere(file?), Some(true));
        }
        std::fs::rename(&aside, &path)?;
        // Without a connection of our own, too.
        drop((own, second));
        assert_eq!(is_open_elsewhere(&path), Some(true));
        drop(child.stdin.take());
        child.wait()?;
        assert_eq!(is_open_elsewhere(&path), Some(false));
        Ok(())
    }
}
