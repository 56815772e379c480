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

/// File systems of other machines, and folders that a virtual machine shares with its host: locks and shared memory, which a
/// log needs, are not reliable there.
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
}

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

    /// The disk behind `path`, an absolute path without links; the nearest existing folder counts.
    pub fn disk(&self, path: &Path) -> Option<DiskFacts> {
        // Of two mounts on one point the later one is seen.
        let mount = self
            .mounts
            .iter()
            .filter(|mount| path.starts_with(&mount.point))
            .max_by_key(|mount| mount.point.components().count())?;
        let of_fuse = mount.file_system.strip_prefix("fuse.");
        let physical = self.physical(mount);
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

    /// The physical disks behind a mount.
    fn physical(&self, mount: &Mount) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let by_number = self.sys.join("dev/block").join(&mount.device).canonicalize();
        // Some file systems have a device number of their own; then the name of the device helps.
        let by_name = || {
            let device = Path::new(&mount.source).canonicalize().ok();
            let name = device.as_deref().unwrap_or(Path::new(&mount.source)).file_name()?.to_owned();
            mount.source.starts_with("/dev/").then(|| self.sys.join("class/block").join(name).canonicalize().ok())?
        };
        if let Some(folder) = by_number.ok().or_else(by_name) {
            descend(&folder, &mut found, 0);
        }
        found
    }

    fn is_removable(&self, name: &str) -> bool {
        let Ok(folder) = self.sys.join("class/block").join(name).canonicalize() else { return false };
        let flagged = fs::read_to_string(folder.join("removable")).is_ok_and(|flag| flag.trim() == "1");
        // A disk in a case of its own does not call itself removable, but it hangs on a cable.
        flagged || folder.components().any(|part| part.as_os_str().to_string_lossy().starts_with("usb"))
    }
}

/// From a partition to its disk, and from a volume put together of several disks to each of them.
fn descend(folder: &Path, found: &mut BTreeSet<String>, depth: u8) {
    if depth > 8 {
        return;
    }
    let slaves: Vec<PathBuf> = fs::read_dir(folder.join("slaves"))
        .into_iter()
        .flatten()
        .filter_map(|slave| slave.ok()?.path().canonicalize().ok())
        .collect();
    if slaves.is_empty() {
        let is_partition = folder.join("partition").exists();
        let disk = if is_partition { folder.parent() } else { Some(folder) };
        found.extend(disk.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned()));
    }
    for slave in slaves {
        descend(&slave, found, depth + 1);
    }
}

impl Mount {
    /// A line such as `36 35 8:1 / /mnt rw,noatime master:1 - ext4 /dev/sda1 rw`; see `proc(5)`.
    fn parse(line: &str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(2);
        let (device, _root, point) = (before.next()?, before.next()?, before.next()?);
        let mut after = after.split(' ');
        let (file_system, source) = (after.next()?, after.next()?);
        let point = PathBuf::from(unescaped(point));
        Some(Self { device: device.to_owned(), point, file_system: file_system.to_owned(), source: unescaped(source) })
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
    let physical = |path| disk(system, path).map(|facts| facts.physical).unwrap_or_default();
    same_volume(a, b) || !physical(a).is_disjoint(&physical(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    const TABLE: &str = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 8:2 / /home rw,relatime - ext4 /dev/sda2 rw
24 22 8:17 / /mnt/other\\040disk rw - xfs /dev/sdb1 rw
25 22 253:0 / /srv rw - ext4 /dev/mapper/vg-srv rw
26 22 0:45 / /mnt/nas rw - nfs4 nas:/export/backups rw
27 22 0:46 / /mnt/share rw - cifs //server/share rw
28 22 0:47 / /mnt/ssh rw - fuse.sshfs me@host: rw
29 22 8:33 / /media/stick rw - vfat /dev/sdc1 rw
30 22 8:49 / /media/case rw - ext4 /dev/sdd1 rw
31 22 0:5 / /tmp rw - tmpfs tmpfs rw
32 22 0:50 /@data /data rw - btrfs /dev/sdb2 rw,subvol=/@data
33 31 8:17 / /tmp/over rw - xfs /dev/sdb1 rw
34 22 0:60 / /mnt/nas rw - ext4 /dev/loop0 rw
35 22 0:61 / /fuse rw - fuse.ntfs-3g /dev/sde1 rw";

    /// `/sys` of a machine with partitions, a volume over two disks, a stick and a disk in a case.
    fn system(folder: &Path) -> Result<System, std::io::Error> {
        let sys = folder.canonicalize()?;
        let disks: &[(&str, &[&str], &str, &str)] = &[
            ("sda", &["8:1", "8:2"], "pci0/ata1", "0"),
            ("sdb", &["8:17", "8:18"], "pci0/ata2", "0"),
            ("sdc", &["8:33"], "pci0/usb1/1-1", "1"),
            ("sdd", &["8:49"], "pci0/usb2/2-1", "0"),
        ];
        for name in ["dev/block", "class/block"] {
            fs::create_dir_all(sys.join(name))?;
        }
        let link = |to: &Path, name: &str| {
            #[cfg(unix)]
            return std::os::unix::fs::symlink(to, sys.join(name));
            #[cfg(not(unix))]
            return fs::create_dir_all(sys.join(name)).map(|()| _ = to);
        };
        for (disk, numbers, bus, removable) in disks {
            let of_disk = sys.join("devices").join(bus).join("block").join(disk);
            fs::create_dir_all(&of_disk)?;
            fs::write(of_disk.join("removable"), format!("{removable}\n"))?;
            link(&of_disk, &format!("class/block/{disk}"))?;
            for (n, number) in numbers.iter().enumerate() {
                let name = format!("{disk}{}", n + 1);
                fs::create_dir_all(of_disk.join(&name))?;
                fs::write(of_disk.join(&name).join("partition"), "1")?;
                link(&of_disk.join(&name), &format!("dev/block/{number}"))?;
                link(&of_disk.join(&name), &format!("class/block/{name}"))?;
            }
        }
        let volume = sys.join("devices/virtual/block/dm-0");
        fs::create_dir_all(volume.join("slaves"))?;
        link(&volume, "dev/block/253:0")?;
        for (disk, part) in [("pci0/ata1/block/sda", "sda2"), ("pci0/ata2/block/sdb", "sdb2")] {
            link(&sys.join("devices").join(disk).join(part), &format!("devices/virtual/block/dm-0/slaves/{part}"))?;
        }
        Ok(System::of(TABLE, &sys))
    }

    #[cfg(unix)]
    #[test]
    fn every_folder_is_found_on_its_disk() -> Outcome {
        let folder = tempfile::tempdir()?;
        let system = system(folder.path())?;
        for (path, point, file_system, physical, what) in [
            ("/var/lib/app/a.sqlite", "/", "ext4", "sda", ""),
            ("/home/me", "/home", "ext4", "sda", ""),
            ("/homework", "/", "ext4", "sda", ""),
            ("/mnt/other disk/Backups", "/mnt/other disk", "xfs", "sdb", ""),
            ("/srv/backups", "/srv", "ext4", "sda sdb", ""),
            ("/mnt/share/x", "/mnt/share", "cifs", "", "network"),
            ("/mnt/ssh", "/mnt/ssh", "fuse.sshfs", "", "network"),
            ("/fuse", "/fuse", "fuse.ntfs-3g", "", ""),
            ("/media/stick", "/media/stick", "vfat", "sdc", "removable"),
            ("/media/case", "/media/case", "ext4", "sdd", "removable"),
            ("/tmp/x", "/tmp", "tmpfs", "", "memory"),
            ("/tmp/over", "/tmp/over", "xfs", "sdb", ""),
            ("/data/x", "/data", "btrfs", "sdb", ""),
            // Mounted over the network drive later.
            ("/mnt/nas", "/mnt/nas", "ext4", "", ""),
        ] {
            let facts = system.disk(Path::new(path)).ok_or(path)?;
            let words = [(facts.is_network, "network"), (facts.is_removable, "removable"), (facts.is_memory, "memory")];
            let is: Vec<&str> = words.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect();
            let disks: Vec<&str> = facts.physical.iter().map(String::as_str).collect();
            assert_eq!(facts.mount_point, Path::new(point), "{path}");
            let found = (facts.file_system.as_str(), disks.join(" "), is.join(" "));
            assert_eq!(found, (file_system, physical.to_owned(), what.to_owned()), "{path}");
        }
        assert!(System::of("nonsense\n1 2 3", folder.path()).disk(Path::new("/")).is_none());
        Ok(())
    }

    #[test]
    fn the_table_of_this_machine_can_be_read() -> Outcome {
        let folder = tempfile::tempdir()?;
        if let Some(system) = System::now() {
            let facts = disk(Some(&system), &folder.path().join("not yet")).ok_or("no disk")?;
            assert!(!facts.file_system.is_empty() && !facts.is_network);
        }
        assert!(same_disk(None, folder.path(), &folder.path().join("x")));
        Ok(())
    }
}
