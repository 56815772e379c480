//! Disks as other machines have them.
#![cfg(test)]

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
35 22 0:61 / /fuse rw - fuse.ntfs-3g /dev/sde1 rw
36 22 7:1 / /image rw - ext4 /dev/loop1 rw
37 22 7:2 / /image/inner rw - ext4 /dev/loop2 rw
38 22 7:3 / /of/nas rw - ext4 /dev/loop3 rw
39 22 9:1 / /raid rw - ext4 /dev/md0p1 rw
40 22 0:70 / /pool rw - btrfs /dev/sdc1 rw
41 22 0:71 / /auto rw - autofs systemd-1 rw";

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
    // An image on the volume, one inside of that image, and one on another machine.
    for (n, image) in [(1, "/srv/images/a.img"), (2, "/image/b.img (deleted)"), (3, "/mnt/share/c.img")] {
        let of_image = sys.join(format!("devices/virtual/block/loop{n}"));
        fs::create_dir_all(of_image.join("loop"))?;
        fs::write(of_image.join("loop/backing_file"), format!("{image}\n"))?;
        link(&of_image, &format!("dev/block/7:{n}"))?;
    }
    // A partition of a RAID.
    let raid = sys.join("devices/virtual/block/md0");
    for name in ["slaves", "md0p1"] {
        fs::create_dir_all(raid.join(name))?;
    }
    fs::write(raid.join("md0p1/partition"), "1")?;
    link(&raid.join("md0p1"), "dev/block/9:1")?;
    link(&sys.join("devices/pci0/ata2/block/sdb"), "devices/virtual/block/md0/slaves/sdb")?;
    fs::create_dir_all(sys.join("fs/btrfs/1f2e/devices"))?;
    for (bus, disk) in [("usb1/1-1", "sdc"), ("usb2/2-1", "sdd")] {
        let part = sys.join(format!("devices/pci0/{bus}/block/{disk}/{disk}1"));
        link(&part, &format!("fs/btrfs/1f2e/devices/{disk}1"))?;
    }
    Ok(System::of(TABLE, &sys))
}

#[cfg(unix)]
#[test]
fn what_lies_on_one_disk_is_found_through_images_and_pools() -> Outcome {
    let folder = tempfile::tempdir()?;
    let system = system(folder.path())?;
    let behind = |path: &'static str| {
        let mount = system.mount(Path::new(path)).ok_or(path)?;
        Ok::<_, &str>(system.behind(mount, 0).into_iter().collect::<Vec<_>>().join(" "))
    };
    // Where no disk is known, the file system itself tells whether it is the same.
    assert_eq!((behind("/mnt/share")?, behind("/of/nas")?), ("0:46".to_owned(), "0:46".to_owned()));
    assert_eq!((behind("/image")?, behind("/image/inner")?), ("sda sdb".to_owned(), "sda sdb".to_owned()));
    Ok(())
}

#[test]
fn a_file_system_is_known_again_by_its_uuid_and_else_by_its_name() {
    for (a, b, same) in [
        ("ext4 /dev/sdb1 UUID 1f2e", "ext4 /dev/sdc1 UUID 1f2e", true),
        ("ext4 /dev/sdb1 UUID 1f2e", "ext4 /dev/sdb1 UUID aaaa", false),
        // A service may not see what the terminal sees.
        ("ext4 /dev/sdb1 UUID 1f2e", "ext4 /dev/sdb1", true),
        ("ext4 /dev/sdb1", "vfat /dev/sdb1", false),
        ("nfs4 nas:/a", "nfs4 nas:/b", false),
        ("tmpfs", "tmpfs", true),
    ] {
        assert_eq!(Volume::is_same(a, b), same, "{a} {b}");
        assert_eq!(Volume::is_same(b, a), same, "{b} {a}");
    }
}

#[test]
fn a_disk_that_the_table_names_and_that_is_not_mounted_is_found() -> Outcome {
    let system = System::of(TABLE, Path::new("/nowhere"));
    let table = "\
# /dev/sdz1 /srv ext4
UUID=1 / ext4 defaults 0 1
UUID=2 /mnt ext4 noauto 0 2
UUID=3 /mnt/other\\040disk xfs defaults 0 2
UUID=4 /auto ext4 x-systemd.automount 0 2
/swap none swap sw 0 0
UUID=5 none swap sw 0 0";
    for (path, expected) in [
        ("/var/backups", None),
        ("/mnt/usb/Backups", Some(("/mnt", "UUID=2"))),
        ("/mnt/other disk/Backups", None),
        ("/mnt/share/Backups", None),
        // What would mount it has not.
        ("/auto/Backups", Some(("/auto", "UUID=4"))),
    ] {
        let found = system.unmounted(Path::new(path), table);
        let found = found.as_ref().map(|(point, source)| (point.to_str().unwrap_or_default(), source.as_str()));
        assert_eq!(found, expected, "{path}");
    }
    let volume = system.volume(Path::new("/")).ok_or("no volume")?;
    assert_eq!(volume.mount_point, Path::new("/"));
    Ok(())
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
        ("/image", "/image", "ext4", "sda sdb", ""),
        ("/image/inner", "/image/inner", "ext4", "sda sdb", ""),
        ("/of/nas", "/of/nas", "ext4", "", ""),
        ("/raid", "/raid", "ext4", "sdb", ""),
        ("/pool", "/pool", "btrfs", "sdc sdd", "removable"),
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

#[test]
fn a_file_system_that_stopped_by_itself_is_told_by_its_options() {
    let table = "\
22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw,errors=remount-ro
24 22 8:17 / /mnt/stopped rw,relatime - ext4 /dev/sdb1 rw,errors=remount-ro,emergency_ro
25 22 8:33 / /mnt/down rw,relatime - ext4 /dev/sdc1 rw,shutdown";
    let system = System::of(table, Path::new("/no sys"));
    let stopped = ["/etc", "/mnt/stopped/none such/deeper", "/mnt/down"].map(|path| system.mount(Path::new(path)));
    assert_eq!(stopped.map(|mount| mount.is_some_and(|mount| mount.has_stopped)), [false, true, true]);
}
