//! Blocks that stand elsewhere than they should, and what verification, repair and restore say of one archive: the
//! same, driven through the real program.

use crate::support;

use std::{fs, path::Path, process::Output};

use strongroom::{
    archive::{
        Archive, ArchiveOptions, Compression, ItemKind, Rate,
        format::{self, TAIL_LENGTH, Tail},
        recovery::{
            Layout,
            make::make,
            packet::{Packet, Stamp},
        },
        volume::Volume,
    },
    control::Control,
    storage::Disk,
};
use support::{Place, forge, make_data_file, text};

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

/// A folder and a link have no content: whatever the index says of its checksum, all commands take the archive alike.
#[test]
fn the_checksum_of_a_folder_or_link_is_looked_at_by_no_command() {
    let place = Place::new();
    let archive = place.at("a[0001].4BK");
    make_data_file(&place.at("a.sqlite"), "PRAGMA journal_mode=DELETE", 3);
    let content = fs::read(place.at("a.sqlite")).unwrap();
    let data = || forge::item("a.sqlite", ItemKind::DataFile, &content);
    let other = |(mut item, content): (strongroom::archive::Item, Vec<u8>)| {
        item.blake3 = "00".repeat(32);
        (item, content)
    };
    let folder = other(forge::item("Attachments/empty", ItemKind::Folder, b""));
    let link = other(forge::link("Attachments/link", "file"));
    forge::archive(&archive, vec![data(), folder, link]);
    let verified = run(&place, &[Path::new("verify"), &archive]);
    assert!(verified.status.success(), "{}", text(&verified.stderr));
    let to = place.at("restored");
    let restored = run(&place, &[Path::new("restore"), &archive, Path::new("--to"), &to]);
    assert!(restored.status.success(), "{}", text(&restored.stderr));
    assert!(to.join("Attachments/empty").is_dir() && to.join("Attachments/link").is_symlink());
    // That of a file is.
    forge::archive(&archive, vec![other(data())]);
    for command in ["verify", "restore"] {
        let to = place.at(command);
        let arguments = [Path::new(command), &archive, Path::new("--to"), &to];
        let output = run(&place, &arguments[..if command == "verify" { 2 } else { 4 }]);
        assert!(!output.status.success() && !to.join("a.sqlite").exists(), "{command}");
    }
}

/// An archive whose header says nothing of recovery data has some all the same, and that is damaged.
#[test]
fn recovery_data_that_the_header_does_not_know_of_is_made_anew_as_verify_says() {
    let place = Place::new();
    let archive = place.at("a[0001].4BK");
    let content: Vec<u8> = (0..40_000u32).flat_map(|n| n.wrapping_mul(0x9e37_79b1).to_le_bytes()).collect();
    forge::archive(&archive, vec![forge::item("a.sqlite", ItemKind::DataFile, &content)]);
    let bare = fs::read(&archive).unwrap();
    let opened = Archive::open(&archive).unwrap();
    assert_eq!(opened.identity().options().redundancy, Rate::None);
    let (protected, end) = bare.split_at(bare.len() - TAIL_LENGTH as usize);
    let tail = format::decode_tail(end, bare.len() as u64).unwrap();
    // Not what any setting of ours would give.
    let layout = Layout::plan(protected.len() as u64, Rate::High, Rate::None).unwrap();
    let layout = Layout { block_bytes: 2048, ..layout };
    let id = opened.identity().archive_id;
    let (index_offset, tar_length, whole) = (tail.index_offset, tail.tar_length, tail.whole);
    let stamp = Stamp { layout, id, index_offset, tar_length, whole };
    let content = place.at("protected");
    fs::write(&content, protected).unwrap();
    let mut good = protected.to_vec();
    let mut put = |frame: &[u8]| {
        good.extend_from_slice(frame);
        Ok(())
    };
    make(&Volume::of_file(&content).unwrap(), &stamp, &mut |_| Ok(()), &mut put, &Control::default()).unwrap();
    let length = good.len() as u64 + TAIL_LENGTH;
    good.extend(format::encode_tail(&Tail { length, ..tail }));
    fs::write(&archive, &good).unwrap();
    let verified = run(&place, &[Path::new("verify"), &archive]);
    assert!(verified.status.success(), "{}", text(&verified.stderr));
    let mut damaged = good.clone();
    damaged[frames(&good)[7].0 + 300] ^= 1;
    fs::write(&archive, damaged).unwrap();
    let verified = run(&place, &[Path::new("verify"), &archive]);
    assert!(text(&verified.stderr).contains("but can be repaired: "), "{}", text(&verified.stderr));
    let copy = place.at("copy.4BK");
    let repaired = repair(&place, &archive, &copy);
    assert!(repaired.status.success(), "{}", text(&repaired.stderr));
    assert!(fs::read(copy).unwrap() == good, "the copy has other recovery data than was found");
}
