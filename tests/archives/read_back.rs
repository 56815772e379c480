//! What is read back comes from the disk, and not from what the system keeps in memory of it. Alone in its file: it
//! counts what this process reads from disks.
#![cfg(target_os = "linux")]

use crate::support;

use std::fs;

use strongroom::{
    archive::{ArchiveOptions, Compression, Rate},
    control::Control,
    storage::{Disk, disks::System},
    verify,
};
use support::{Place, make_data_file};

/// Bytes that this process had fetched from disks until now; `None` where the system does not tell.
fn fetched() -> Option<u64> {
    let counters = fs::read_to_string("/proc/self/io").ok()?;
    counters.lines().find_map(|line| line.strip_prefix("read_bytes: "))?.parse().ok()
}

#[test]
fn every_byte_of_a_new_archive_is_fetched_from_the_disk() {
    let place = Place::new();
    let of_disk = System::now().and_then(|system| system.disk(&place.at(""))).is_some_and(|d| !d.physical.is_empty());
    if !of_disk || fetched().is_none() {
        eprintln!("skipped: the folder for temporary files is on no disk, or what is read is not counted");
        return;
    }
    let data = place.at("a.sqlite");
    drop(make_data_file(&data, "", 60_000));
    for redundancy in [Rate::None, Rate::Low] {
        let options = ArchiveOptions { compression: Compression::None, redundancy, ..ArchiveOptions::default() };
        let before = fetched().unwrap();
        let made = place.backup_stored(&Disk, &data, options).unwrap();
        let read = fetched().unwrap() - before;
        assert!(made.bytes > 4 << 20 && read >= made.bytes, "{read} of {} bytes were read back", made.bytes);
        let before = fetched().unwrap();
        verify::run(&made.archive, &Control::default()).unwrap();
        let read = fetched().unwrap() - before;
        assert!(read >= made.bytes, "{read} of {} bytes were verified", made.bytes);
    }
}
