//! The list of all file locks of the system (`/proc/locks`), and which of them are on a given file.
//!
//! The list names a file by the device of its file system and by its number there. `stat` names another device on file
//! systems that give each part of them a number of its own (a subvolume of btrfs), so the one of the list is taken from
//! the table of mounts. Two files of such a file system can then have one name in the list: which of them a process has
//! locked is told by what it has open.

use std::{collections::HashMap, path::Path};

/// Device, major and minor, and number of a file.
pub(super) type Inode = (u64, u64, u64);

/// A lock that a process holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lock {
    pub(super) id: u32,
    pub(super) is_write: bool,
    inode: Inode,
    first: u64,
    last: u64,
}

impl Lock {
    /// Whether it covers a byte of `range`.
    pub(super) fn covers(&self, range: &std::ops::RangeInclusive<u64>) -> bool {
        self.first <= *range.end() && self.last >= *range.start()
    }
}

/// All locks, and the devices of all mounts, as they were when this was read.
#[derive(Debug, Default)]
pub(super) struct LockTable {
    locks: HashMap<Inode, Vec<Lock>>,
    /// By the number of the mount.
    devices: HashMap<u64, (u64, u64)>,
}

impl LockTable {
    /// Empty where the system has no such list.
    pub(super) fn read() -> Self {
        let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        Self::of(&locks, &mounts)
    }

    fn of(locks: &str, mounts: &str) -> Self {
        let mut table = Self { devices: mounts.lines().filter_map(parse_mount).collect(), ..Self::default() };
        for lock in locks.lines().filter_map(parse_lock) {
            table.locks.entry(lock.inode).or_default().push(lock);
        }
        table
    }

    /// The locks on the file at `path`; those of a process that cannot be looked into, where the list alone does not
    /// tell which of two files it is, count.
    pub(super) fn on(&self, path: &Path) -> Vec<Lock> {
        let Some(own) = inode(path) else { return Vec::new() };
        let listed =
            mount_of(path).and_then(|mount| self.devices.get(&mount)).map(|device| (device.0, device.1, own.2));
        match listed {
            Some(listed) if listed != own => {
                let found = self.locks.get(&listed).into_iter().flatten().copied();
                found.filter(|lock| may_have_open(lock.id, own)).collect()
            }
            _ => self.locks.get(&own).cloned().unwrap_or_default(),
        }
    }
}

/// Whether a process has this file open, as far as it can be looked into.
fn may_have_open(id: u32, file: Inode) -> bool {
    let Ok(open) = std::fs::read_dir(format!("/proc/{id}/fd")) else { return true };
    open.flatten().any(|fd| inode(&fd.path()) == Some(file))
}

/// A line such as `3: POSIX  ADVISORY  READ 812 fe:00:1835021 123 123`.
fn parse_lock(line: &str) -> Option<Lock> {
    // One that waits for a lock, marked by an arrow, does not hold it.
    let fields: Vec<&str> = line.split_whitespace().filter(|_| !line.contains("->")).collect();
    let [_, _, _, access, id, file, first, last] = fields.as_slice() else { return None };
    let mut parts = file.split(':');
    let device = |text: Option<&str>| u64::from_str_radix(text?, 16).ok();
    let inode = (device(parts.next())?, device(parts.next())?, parts.next()?.parse().ok()?);
    let last = if *last == "EOF" { u64::MAX } else { last.parse().ok()? };
    Some(Lock { id: id.parse().ok()?, is_write: *access == "WRITE", inode, first: first.parse().ok()?, last })
}

/// Number and device of a line such as `58 1 0:27 /@ / rw,relatime shared:1 - btrfs /dev/vda rw`.
fn parse_mount(line: &str) -> Option<(u64, (u64, u64))> {
    let mut fields = line.split_whitespace();
    let (number, device) = (fields.next()?.parse().ok()?, fields.nth(1)?);
    let (major, minor) = device.split_once(':')?;
    Some((number, (major.parse().ok()?, minor.parse().ok()?)))
}

/// The number of the mount that a file is seen through.
#[cfg(target_os = "linux")]
fn mount_of(path: &Path) -> Option<u64> {
    use rustix::fs::{AtFlags, CWD, StatxFlags};
    let found = rustix::fs::statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID).ok()?;
    let is_known = found.stx_mask & StatxFlags::MNT_ID.bits() != 0;
    is_known.then_some(found.stx_mnt_id)
}

#[cfg(not(target_os = "linux"))]
fn mount_of(_: &Path) -> Option<u64> {
    None
}

#[cfg(target_os = "linux")]
pub(super) fn inode(path: &Path) -> Option<Inode> {
    use std::os::unix::fs::MetadataExt;
    let meta = path.metadata().ok()?;
    let device = meta.dev();
    Some((u64::from(rustix::fs::major(device)), u64::from(rustix::fs::minor(device)), meta.ino()))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn inode(_: &Path) -> Option<Inode> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_list_of_locks_is_understood() -> Result<(), &'static str> {
        let lock = parse_lock("3: POSIX  ADVISORY  READ 812 fe:00:1835021 123 126").ok_or("not understood")?;
        assert_eq!((lock.id, lock.inode, lock.first, lock.last), (812, (0xfe, 0, 1_835_021), 123, 126));
        let open = parse_lock("1: FLOCK  ADVISORY  WRITE 7 00:1a:9 0 EOF").ok_or("not understood")?;
        assert_eq!(open.last, u64::MAX);
        assert!(parse_lock("1: -> POSIX  ADVISORY  WRITE 7 00:1a:9 0 EOF").is_none());
        assert!(parse_lock("nonsense").is_none());
        assert_eq!(parse_mount("58 1 0:27 /@ / rw shared:1 - btrfs /dev/vda rw"), Some((58, (0, 27))));
        Ok(())
    }

    /// A file system that gives each part of it a device of its own, as btrfs does.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_is_found_by_the_device_of_its_file_system() -> Result<(), Box<dyn std::error::Error>> {
        let file = tempfile::NamedTempFile::new()?;
        let (Some(own), Some(mount)) = (inode(file.path()), mount_of(file.path())) else { return Ok(()) };
        let lock = |id: u32| format!("1: POSIX  ADVISORY  READ {id} 07:1b:{} 5 9", own.2);
        let mounts = format!("{mount} 1 7:27 / / rw - btrfs /dev/x rw");
        let ids = |locks: &str, mounts: &str| -> Vec<u32> {
            LockTable::of(locks, mounts).on(file.path()).iter().map(|lock| lock.id).collect()
        };
        let own_id = std::process::id();
        assert_eq!(ids(&lock(own_id), &mounts), [own_id]);
        assert!(ids(&lock(own_id), "").is_empty());
        // Another process has a file of that number in another part of it.
        let mut child = std::process::Command::new("sleep").arg("600").spawn()?;
        assert!(ids(&lock(child.id()), &mounts).is_empty());
        child.kill()?;
        child.wait()?;
        Ok(())
    }
}
