//! Blocks that stand elsewhere than they should, and what verification, repair and restore say of one archive: the same,
//! driven through the real program.

use crate::support;

use std::{fs, path::Path, process::Output};

use strongroom::{
    archive::{ArchiveOptions, Compression, Rate, recovery::packet::Packet},
    storage::Disk,
};
use support::{Place, make_data_file, text};

fn run(place: &Place, arguments: &[&Path]) -> Output {
    place.run(&arguments.iter().map(|argument| argument.to_str().unwrap()).collect::<Vec<_>>())
}

/// Repairs an archive to a file of this name beside it.
fn repair(place: &Place, archive: &Path, to: &Path) -> Output {
    run(place, &[Path::new("repair"), archive, Path::new("--to"), to])
}

/// The frames of recovery data of an archive: where each begins, and what it is.
fn frames(bytes: &[u8]) -> Vec<(usize, Packet)> {
    let mut all = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let length = Packet::length(&bytes[at..]).filter(|length| at + length <= bytes.len());
        all.extend(length.and_then(|length| Packet::decode(&bytes[at..at + length])).map(|(packet, _)| (at, packet)));
        at += length.unwrap_or(1);
    }
    all
}

/// More blocks than the recovery data replaces stand where some of its frames were; and those frames where they were.
#[test]
fn blocks_that_stand_where_recovery_data_was_are_found_by_verify_repair_and_restore() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "PRAGMA journal_mode=DELETE", 100);
    let options = ArchiveOptions { redundancy: Rate::Low, compression: Compression::None, ..ArchiveOptions::default() };
    let archive = place.backup_stored(&Disk, &data, options).unwrap().archive;
    let (good, data) = (fs::read(&archive).unwrap(), fs::read(&data).unwrap());
    let frames = frames(&good);
    let layout = frames[0].1.stamp.layout;
    let (block, count) = (layout.block_bytes as usize, layout.recovery_blocks as usize + 2);
    assert!(layout.blocks() as usize > 3 * count, "{layout:?}");
    let (from, length) = (3 * block, count * block);
    let first = frames.iter().position(|(at, _)| at + length + block <= good.len()).unwrap();
    let (at, _) = frames[first + 4];
    let mut copied = good.clone();
    copied.copy_within(from..from + length, at + 100);
    copied[from..from + length].fill(0xaa);
    let mut swapped = good.clone();
    let (before, after) = swapped.split_at_mut(at);
    before[from..from + length].swap_with_slice(&mut after[..length]);
    for (name, damaged) in [("copied", copied), ("swapped", swapped)] {
        fs::write(&archive, &damaged).unwrap();
        let verified = run(&place, &[Path::new("verify"), &archive]);
        let said = text(&verified.stderr);
        assert!(said.contains(" is damaged, but can be repaired: "), "{name}: {said}");
        assert!(said.contains(" whole but in the wrong place"), "{name}: {said}");
        let copy = place.at("copy.4BK");
        let repaired = repair(&place, &archive, &copy);
        assert!(repaired.status.success(), "{name}: {}", text(&repaired.stderr));
        assert!(fs::read(&copy).unwrap() == good, "{name}: the copy is not what it was");
        fs::remove_file(copy).unwrap();
        let to = place.at(name);
        run(&place, &[Path::new("restore"), &archive, Path::new("--to"), &to]);
        assert!(fs::read(to.join("a.sqlite")).unwrap() == data, "{name}: restored");
    }
}
