//! Which disk a folder lies on: its file system, whether that is on the network, and the physical disks behind it.
//!
//! Linux tells it in the table of mounts and under `/sys`. Elsewhere it is not known; nothing is warned of then.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::space::{existing_folder, same_volume};

/// What is known of the disk behind a folder.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DiskFacts {
    /// Where it is mounted.
    pub mount_point: PathBuf,
    /// The type of its file system, as the system calls it: `ext4`, `nfs4`.
    pub file_system: String,
    /// Whether it is on another machine.
    pub is_network: bool,
    /// Whether it is in memory only.
    pub is_memory: bool,
    /// Whether it can be taken away while the machine runs.
    pub is_removable: bool,
    /// Names of the physical disks that hold it, such as `sda`; empty where that is not known.
    pub physical: BTreeSet<String>,
}

/// File systems of other machines, and folders that a virtual machine shares with its host: locks and shared memory,
/// which a log needs, are not reliable there.
const NETWORK: &[&str] = &[
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "ncpfs",
    "afs",
    "ceph",
    "glusterfs",
    "lustre",
    "beegfs",
    "gpfs",
    "9p",
    "davfs",
    "orangefs",
    "coda",
    "vboxsf",
    "vmhgfs",
    "prl_fs",
    "virtiofs",
];
/// The same where a program serves the file system.
const NETWORK_FUSE: &[&str] = &[
    "sshfs",
    "rclone",
    "s3fs",
    "glusterfs",
    "davfs2",
    "ceph",
    "gcsfuse",
    "goofys",
    "juicefs",
    "vmhgfs-fuse",
    "smbnetfs",
    "curlftpfs",
    "gvfsd-fuse",
    "prl_fsd",
];
const MEMORY: &[&str] = &["tmpfs", "ramfs", "devtmpfs"];

/// What the system says of its disks; another table for tests.
#[derive(Debug, Clone)]
pub struct System {
    mounts: Vec<Mount>,
    sys: PathBuf,
}

#[derive(Debug, Clone)]
struct Mount {
    /// Major and minor number of its device, `8:1`.
    device: String,
    point: PathBuf,
    file_system: String,
    source: String,
    /// Whether it takes nothing more since an error, though it is not mounted read-only.
    has_stopped: bool,
}

/// What file systems say among their options that have stopped by themselves.
const STOPPED: &[&str] = &["emergency_ro", "shutdown"];

impl System {
    /// What this system says now; `None` where it says nothing.
    pub fn now() -> Option<Self> {
        let table = fs::read_to_string("/proc/self/mountinfo").ok()?;
        Some(Self::of(&table, Path::new("/sys")))
    }

    /// By a table of mounts in the form of `/proc/self/mountinfo`, and a folder in the form of `/sys`.
    pub fn of(table: &str, sys: &Path) -> Self {
        Self { mounts: table.lines().filter_map(Mount::parse).collect(), sys: sys.to_path_buf() }
    }

    /// The mount that `path` lies on. Of two on one point the later one is seen.
    fn mount(&self, path: &Path) -> Option<&Mount> {
        let over = self.mounts.iter().filter(|mount| path.starts_with(&mount.point));
        over.max_by_key(|mount| mount.point.components().count())
    }

    /// The disk behind `path`, an absolute path without links; the nearest existing folder counts.
    pub fn disk(&self, path: &Path) -> Option<DiskFacts> {
        let mount = self.mount(path)?;
        let of_fuse = mount.file_system.strip_prefix("fuse.");
        let physical: BTreeSet<String> = self.behind(mount, 0).into_iter().filter(|name| is_disk(name)).collect();
        Some(DiskFacts {
            mount_point: mount.point.clone(),
            is_network: NETWORK.contains(&mount.file_system.as_str())
                || of_fuse.is_some_and(|name| NETWORK_FUSE.contains(&name) || NETWORK.contains(&name)),
            is_memory: MEMORY.contains(&mount.file_system.as_str()),
            is_removable: physical.iter().any(|name| self.is_removable(name)),
            file_system: mount.file_system.clone(),
            physical,
        })
    }

    /// What holds a mount: names of physical disks, or the number of its device where those are not known.
    fn behind(&self, mount: &Mount, depth: u8) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let by_number = self.sys.join("dev/block").join(&mount.device).canonicalize();
        // Some file systems have a device number of their own; then the name of the device helps.
        let by_name = || {
            let device = Path::new(&mount.source).canonicalize().ok();
            let name = device.as_deref().unwrap_or(Path::new(&mount.source)).file_name()?.to_owned();
            mount.source.starts_with("/dev/").then(|| self.sys.join("class/block").join(name).canonicalize().ok())?
        };
        if let Some(folder) = by_number.ok().or_else(by_name) {
            self.descend(&folder, &mut found, depth);
            if mount.file_system == "btrfs" {
                self.descend_pool(&folder, &mut found, depth);
            }
        }
        if found.is_empty() {
            found.insert(mount.device.clone());
        }
        found
    }

    /// From a partition to its disk, from a volume put together of several disks to each of them, and from an image in
    /// a file to the disk that the file lies on.
    fn descend(&self, folder: &Path, found: &mut BTreeSet<String>, depth: u8) {
        if depth > 8 {
            return;
        }
        if folder.join("partition").exists()
            && let Some(disk) = folder.parent()
        {
            return self.descend(disk, found, depth + 1);
        }
        if let Ok(image) = fs::read_to_string(folder.join("loop/backing_file")) {
            let image = image.trim_end_matches('\n');
            let image = Path::new(image.strip_suffix(" (deleted)").unwrap_or(image));
            if let Some(mount) = self.mount(image) {
                found.extend(self.behind(mount, depth + 1));
                return;
            }
        }
        let slaves: Vec<PathBuf> = entries(&folder.join("slaves"));
        if slaves.is_empty() {
            found.extend(folder.file_name().map(|name| name.to_string_lossy().into_owned()));
        }
        for slave in slaves {
            self.descend(&slave, found, depth + 1);
        }
    }

    /// A btrfs over several disks names only one of them as its source.
    fn descend_pool(&self, folder: &Path, found: &mut BTreeSet<String>, depth: u8) {
        for pool in fs::read_dir(self.sys.join("fs/btrfs")).into_iter().flatten().flatten() {
            let members = entries(&pool.path().join("devices"));
            if members.iter().any(|member| member == folder) {
                members.iter().for_each(|member| self.descend(member, found, depth + 1));
            }
        }
    }

    fn is_removable(&self, name: &str) -> bool {
        let Ok(folder) = self.sys.join("class/block").join(name).canonicalize() else { return false };
        let flagged = fs::read_to_string(folder.join("removable")).is_ok_and(|flag| flag.trim() == "1");
        // A disk in a case of its own does not call itself removable, but it hangs on a cable.
        flagged || folder.components().any(|part| part.as_os_str().to_string_lossy().starts_with("usb"))
    }
}

/// Where the links in a folder lead.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(folder).into_iter().flatten();
    all.filter_map(|entry| entry.ok()?.path().canonicalize().ok()).collect()
}

/// Not the number of a device of which the disk is not known.
fn is_disk(name: &str) -> bool {
    !name.contains(':')
}

/// A file system as people know it again, and what tells it from another one on the same mount point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Where it is mounted.
    pub mount_point: PathBuf,
    /// Its type, its device or server, and its UUID where the system tells: `ext4 /dev/sdb1 UUID 1f2e`.
    pub name: String,
}

impl Volume {
    /// Whether two names mean one file system: devices get other names when disks are connected in another order.
    pub fn is_same(a: &str, b: &str) -> bool {
        match (a.split_once(UUID), b.split_once(UUID)) {
            (Some((_, a)), Some((_, b))) => a == b,
            (a_parts, b_parts) => a_parts.map_or(a, |(name, _)| name) == b_parts.map_or(b, |(name, _)| name),
        }
    }
}

const UUID: &str = " UUID ";

impl System {
    /// The file system behind `path`, which may be a file that is mounted alone; where nothing is, the nearest existing
    /// folder counts.
    pub fn volume(&self, path: &Path) -> Option<Volume> {
        let existing = path.canonicalize().unwrap_or_else(|_| {
            let folder = existing_folder(path);
            folder.canonicalize().unwrap_or(folder)
        });
        let mount = self.mount(&existing)?;
        Some(Volume { mount_point: mount.point.clone(), name: mount.name() })
    }

    /// Whether the file system behind `path` has stopped to take anything, because it met an error.
    pub fn has_stopped(&self, path: &Path) -> bool {
        let existing = existing_folder(path);
        self.mount(&existing.canonicalize().unwrap_or(existing)).is_some_and(|mount| mount.has_stopped)
    }

    /// Where the file systems of disks are mounted that hold `inside`, a path within them, as `is_there` finds.
    pub fn where_is(&self, inside: &Path, is_there: impl Fn(&Path) -> bool) -> Option<PathBuf> {
        // A server that does not answer would be waited for, also where it is mounted over a disk.
        let is_seen = |mount: &&Mount| self.mount(&mount.point).is_some_and(|seen| std::ptr::eq(seen, *mount));
        let is_disk = |mount: &&Mount| mount.source.starts_with('/') || mount.is_memory();
        let of_disks = self.mounts.iter().filter(is_disk).filter(is_seen);
        of_disks.map(|mount| mount.point.join(inside)).find(|folder| is_there(folder))
    }

    /// The mount points at or below `folder` that hold files of their own.
    pub fn mounted_below(&self, folder: &Path) -> Vec<PathBuf> {
        let is_virtual =
            |mount: &&Mount| !mount.source.starts_with('/') && !mount.source.contains(':') && !mount.is_memory();
        let below = self.mounts.iter().filter(|mount| mount.point.starts_with(folder));
        let mut points: Vec<PathBuf> = below.filter(|m| !is_virtual(m)).map(|mount| mount.point.clone()).collect();
        points.sort();
        points.dedup();
        points
    }

    /// The mount point above `path` that a table in the form of `/etc/fstab` names and on which nothing is mounted.
    pub fn unmounted(&self, path: &Path, table: &str) -> Option<(PathBuf, String)> {
        let named = table.lines().filter(|line| !line.trim_start().starts_with('#')).filter_map(|line| {
            let mut words = line.split_whitespace();
            let (source, point) = (words.next()?, PathBuf::from(unescaped(words.next()?)));
            (point.is_absolute() && path.starts_with(&point)).then(|| (point, unescaped(source)))
        });
        let (point, source) = named.max_by_key(|(point, _)| point.components().count())?;
        // A disk mounted below it is the one that is meant.
        let is_mounted =
            self.mount(path).is_some_and(|mount| mount.point.starts_with(&point) && mount.file_system != "autofs");
        (!is_mounted).then_some((point, source))
    }
}

impl Mount {
    fn is_memory(&self) -> bool {
        MEMORY.contains(&self.file_system.as_str())
    }

    fn name(&self) -> String {
        let named = self.source.contains(['/', ':']);
        let source = if named { format!(" {}", self.source) } else { String::new() };
        let uuid = self.uuid().map_or_else(String::new, |uuid| format!("{UUID}{uuid}"));
        format!("{}{source}{uuid}", self.file_system)
    }

    fn uuid(&self) -> Option<String> {
        let device = Path::new(&self.source).canonicalize().ok().filter(|device| device.starts_with("/dev"))?;
        let all = fs::read_dir("/dev/disk/by-uuid").ok()?.flatten();
        let own = all.into_iter().find(|entry| entry.path().canonicalize().is_ok_and(|path| path == device))?;
        Some(own.file_name().to_string_lossy().into_owned())
    }

    /// A line such as `36 35 8:1 / /mnt rw,noatime master:1 - ext4 /dev/sda1 rw`; see `proc(5)`.
    fn parse(line: &str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(2);
        let (device, _root, point) = (before.next()?, before.next()?, before.next()?);
        let mut after = after.split(' ');
        let (file_system, source) = (after.next()?, after.next()?);
        let has_stopped = after.next().unwrap_or_default().split(',').any(|option| STOPPED.contains(&option));
        let (point, source) = (PathBuf::from(unescaped(point)), unescaped(source));
        Some(Self { device: device.to_owned(), point, file_system: file_system.to_owned(), source, has_stopped })
    }
}

/// Spaces and the like are written as three octal digits.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let code = || {
            let digits = std::str::from_utf8(more.get(..3)?).ok()?;
            u8::from_str_radix(digits, 8).ok()
        };
        match (*first == b'\\').then(code).flatten() {
            Some(byte) => {
                bytes.push(byte);
                rest = &more[3..];
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The disk behind `path`, which need not exist yet.
pub fn disk(system: Option<&System>, path: &Path) -> Option<DiskFacts> {
    let folder = existing_folder(path);
    system?.disk(&folder.canonicalize().unwrap_or(folder))
}

/// Whether both paths lie on one physical disk: when it fails, both are lost.
pub fn same_disk(system: Option<&System>, a: &Path, b: &Path) -> bool {
    let behind = |path: &Path| {
        let folder = existing_folder(path);
        let (system, folder) = (system?, folder.canonicalize().unwrap_or(folder));
        system.mount(&folder).map(|mount| system.behind(mount, 0))
    };
    let (behind_a, behind_b) = (behind(a).unwrap_or_default(), behind(b).unwrap_or_default());
    same_volume(a, b) || !behind_a.is_disjoint(&behind_b)
}

#[cfg(test)]
mod tests;
