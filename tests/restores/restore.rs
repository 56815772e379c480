//! Restores: nothing is overwritten, nothing untrue is delivered, whatever the archive looks like.

use crate::support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use proptest::prelude::*;
use strongroom::{
    archive::{
        Archive, Item, ItemKind,
        format::{self, Tail},
        reader::safe_name,
    },
    control::Control,
    error::{Error, ErrorKind},
    restore::{self, RestoreOptions},
    storage::Disk,
    verify,
};
use support::{Fault, FaultyDisk, Place, forge::sealed, logical_content, make_data_file, names_in};

fn archive(place: &Place, rows: u32) -> PathBuf {
    let data = place.at("a.sqlite");
    if !data.exists() {
        make_data_file(&data, "PRAGMA journal_mode=WAL", rows);
    }
    place.backup(&data).unwrap().archive
}

fn said(error: &Error, path: &Path) -> String {
    assert!(error.hint_text().is_some_and(|h| h.ends_with('.')), "no advice with: {error}");
    error.to_string().replace(&path.display().to_string(), "ARCHIVE")
}

#[test]
fn an_existing_target_is_refused_and_stays_as_it_is() {
    let place = Place::new();
    let archive = archive(&place, 50);
    for existing in ["a.sqlite", "a.sqlite-wal", "a.sqlite-journal", "strongroom-manifest.toml"] {
        let to = place.at(&format!("to {existing}"));
        fs::create_dir(&to).unwrap();
        fs::write(to.join(existing), "mine").unwrap();
        let error = restore::run(&Disk, &archive, &RestoreOptions::all(&to), &Control::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Exists);
        assert_eq!(error.to_string(), format!("{} exists already", to.join(existing).display()));
        assert_eq!(names_in(&to), [existing]);
        assert_eq!(fs::read(to.join(existing)).unwrap(), b"mine");
    }
    #[cfg(unix)]
    {
        let to = place.at("to link");
        fs::create_dir(&to).unwrap();
        std::os::unix::fs::symlink(place.at("elsewhere"), to.join("a.sqlite")).unwrap();
        assert_eq!(
            restore::run(&Disk, &archive, &RestoreOptions::all(&to), &Control::default()).unwrap_err().kind(),
            ErrorKind::Exists
        );
        assert!(!place.at("elsewhere").exists());
    }
}

#[test]
fn the_proposed_folder_is_named_like_the_archive_and_new() {
    let place = Place::new();
    let archive = archive(&place, 50);
    let plan = restore::plan(&archive, &restore::Logs::Found).unwrap();
    assert_eq!(plan.destination, archive.with_file_name("a[0001]"));
    fs::create_dir(&plan.destination).unwrap();
    assert_eq!(
        restore::plan(&archive, &restore::Logs::Found).unwrap().destination,
        archive.with_file_name("a[0001] (2)")
    );
}

#[test]
fn single_items_can_be_chosen() {
    let place = Place::new();
    let archive = archive(&place, 50);
    let to = place.at("x/y/z");
    let wanted = vec!["strongroom-manifest.toml".to_owned()];
    let report = restore::run(
        &Disk,
        &archive,
        &RestoreOptions { items: wanted.clone(), ..RestoreOptions::all(&to) },
        &Control::default(),
    )
    .unwrap();
    assert_eq!((names_in(&to), report.integrity), (wanted, None));
    let error = restore::run(
        &Disk,
        &archive,
        &RestoreOptions { items: vec!["b".to_owned()], ..RestoreOptions::all(&place.at("q")) },
        &Control::default(),
    )
    .unwrap_err();
    assert_eq!(said(&error, &archive), "ARCHIVE holds no file named b");
    assert!(!place.at("q").exists());
}

#[test]
fn a_crash_or_stop_at_any_step_leaves_nothing_that_looks_restored() {
    let place = Place::new();
    let archive = archive(&place, 300);
    for at in 0.. {
        let to = place.at(&format!("to {at}"));
        let disk = FaultyDisk::new(at, Fault::DiskFull);
        match restore::run(&disk, &archive, &RestoreOptions::all(&to), &Control::default()) {
            Ok(_) => {
                assert!(at > 10 && at == disk.steps());
                break;
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::NoSpace);
                assert!(!to.exists(), "step {at} left {:?}", names_in(&to));
            }
        }
    }
    let control = Control::default();
    control.stop();
    let error = restore::run(&Disk, &archive, &RestoreOptions::all(&place.at("stopped")), &control).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stopped);
    assert!(!place.at("stopped").exists());
}

#[test]
fn every_kind_of_damage_gives_its_exact_message() {
    let place = Place::new();
    let path = archive(&place, 60_000);
    let good = fs::read(&path).unwrap();
    let opened = Archive::open(&path).unwrap();
    let head = 8 + u32::from_le_bytes(good[4..8].try_into().unwrap()) as usize;
    let tail = good.len() - 112;
    let index = u64::from_le_bytes(good[tail + 24..tail + 32].try_into().unwrap()) as usize;
    assert!(opened.tar_bytes() > 8 << 20);
    let second = {
        let entry = &good[index + 24 + 50 + 2..index + 24 + 100];
        u64::from_le_bytes(entry[..8].try_into().unwrap()) as usize
    };
    let flip = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 0x20;
        bytes
    };
    let newer = {
        let mut bytes = good.clone();
        bytes[16] = 9;
        // The checksum of the head, over its payload.
        let hash = blake3::hash(&bytes[8..head - 32]);
        bytes[head - 32..head].copy_from_slice(hash.as_bytes());
        bytes
    };
    let swapped = {
        let mut bytes = good.clone();
        let (a, b) = (head + 5000, second + 5000);
        for n in 0..4096 {
            bytes.swap(a + n, b + n);
        }
        bytes
    };
    let end = "ARCHIVE is cut off or its end is damaged";
    let stranger = "ARCHIVE is not a Strongroom archive, or its beginning is damaged";
    let cases: Vec<(&str, Vec<u8>, ErrorKind, &str)> = vec![
        ("empty", Vec::new(), ErrorKind::NotRecognised, stranger),
        ("text", b"Dear Sir or Madam, here is no archive".to_vec(), ErrorKind::NotRecognised, stranger),
        ("first byte", flip(0), ErrorKind::NotRecognised, stranger),
        ("newer", newer, ErrorKind::NewerVersion, "ARCHIVE was written in format 9, this program reads up to 3"),
        ("version", flip(16), ErrorKind::Damaged, "the header of ARCHIVE is damaged"),
        ("header length", flip(5), ErrorKind::Damaged, "the header of ARCHIVE is damaged"),
        ("header", flip(40), ErrorKind::Damaged, "the header of ARCHIVE is damaged"),
        ("cut in the header", good[..head - 10].to_vec(), ErrorKind::Damaged, end),
        ("cut in the frames", good[..second + 100].to_vec(), ErrorKind::Damaged, end),
        ("cut before the end", good[..tail].to_vec(), ErrorKind::Damaged, end),
        ("last byte missing", good[..good.len() - 1].to_vec(), ErrorKind::Damaged, end),
        ("something appended", [good.as_slice(), b"x"].concat(), ErrorKind::Damaged, end),
        ("end", flip(tail + 20), ErrorKind::Damaged, end),
        ("whole hash", flip(tail + 50), ErrorKind::Damaged, end),
        ("index", flip(index + 60), ErrorKind::Damaged, "the index of ARCHIVE is damaged"),
        ("index envelope", flip(index), ErrorKind::Damaged, "the index of ARCHIVE is damaged"),
        (
            "frame",
            flip(second + 10),
            ErrorKind::Damaged,
            "frame 2 of N in ARCHIVE is damaged (bytes A to B): a.sqlite cannot be read whole",
        ),
        (
            "swapped",
            swapped,
            ErrorKind::Damaged,
            "frame 1 of N in ARCHIVE is damaged (bytes A to B): a.sqlite cannot be read whole",
        ),
    ];
    let damaged = place.at("damaged[0001].4BK");
    for (name, bytes, kind, message) in cases {
        fs::write(&damaged, bytes).unwrap();
        let to = place.at("never");
        for error in [
            verify::run(&damaged, &Control::default()).unwrap_err(),
            restore::run(&Disk, &damaged, &RestoreOptions::all(&to), &Control::default()).unwrap_err(),
        ] {
            assert_eq!(error.kind(), kind, "{name}");
            let mut text = said(&error, &damaged);
            if text.starts_with("frame") {
                let numbers: Vec<&str> = text.split(|c: char| !c.is_ascii_digit()).filter(|s| !s.is_empty()).collect();
                text = format!(
                    "frame {} of N in ARCHIVE is damaged (bytes A to B): a.sqlite cannot be read whole",
                    numbers[0]
                );
            }
            assert_eq!(text, message, "{name}");
        }
        assert!(!to.exists(), "{name} left something behind");
    }
    let missing = place.at("missing.4BK");
    assert_eq!(said(&Archive::open(&missing).unwrap_err(), &missing), "ARCHIVE does not exist");
    assert_eq!(said(&Archive::open(&place.at("")).unwrap_err(), &place.at("")), "ARCHIVE is not a file");
}

fn item(name: &str, offset: u64, length: u64, content: &[u8]) -> Item {
    Item {
        name: name.to_owned(),
        kind: ItemKind::Other,
        offset,
        length,
        blake3: blake3::hash(content).to_hex().to_string(),
        mode: 0o777,
        modified: 0,
        owner: None,
        target: None,
        not_whole: None,
        original: None,
    }
}

#[test]
fn a_forged_archive_can_not_leave_its_folder_or_exhaust_memory() {
    let place = Place::new();
    let path = place.at("forged[0001].4BK");
    let raw = vec![7u8; 2048];
    let stored = zstd::bulk::compress(&raw, 1).unwrap();
    let to = place.at("in/here");
    let attempt = |items: Vec<Item>, raw: &[u8], stored: Vec<u8>| {
        sealed(&path, items, raw, stored);
        restore::run(&Disk, &path, &RestoreOptions::all(&to), &Control::default())
    };
    for name in ["/etc/passwd", "../up", "a/../../up", "a//b", "./a", "", "a\\..\\b", "a\nb", "a/"] {
        let error = attempt(vec![item(name, 512, 5, &raw[..5])], &raw, stored.clone()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnsafePath, "{name:?}: {error}");
        assert!(!place.at("in").exists() && !place.at("up").exists());
    }
    let twice = vec![item("Attachments/a", 512, 5, &raw[..5]), item("Attachments/a", 1024, 5, &raw[..5])];
    assert_eq!(attempt(twice, &raw, stored.clone()).unwrap_err().kind(), ErrorKind::UnsafePath);
    for (offset, length) in [(512, 5000), (u64::MAX, 5), (5, u64::MAX)] {
        let error = attempt(vec![item("Attachments/a", offset, length, b"")], &raw, stored.clone()).unwrap_err();
        assert_eq!(said(&error, &path), "the index of ARCHIVE is damaged");
    }
    // A frame that would decompress to more than the index promises.
    let bomb = zstd::bulk::compress(&vec![0u8; 64 << 20], 19).unwrap();
    let error = attempt(vec![item("Attachments/a", 512, 5, &raw[..5])], &raw, bomb).unwrap_err();
    assert!(said(&error, &path).starts_with("frame 1 of 1 in ARCHIVE is damaged"), "{error}");
    // A tar stream that says otherwise than the index.
    let error = attempt(vec![item("Attachments/a", 512, 5, &raw[..5])], &raw, stored).unwrap_err();
    assert_eq!(said(&error, &path), "the tar stream of ARCHIVE and its index disagree about Attachments/a");
    assert_eq!(verify::run(&path, &Control::default()).unwrap_err().message(), error.message());
    assert!(!place.at("in").exists());
}

#[test]
fn frames_that_a_later_version_adds_before_the_end_are_passed_over() {
    let place = Place::new();
    let path = archive(&place, 300);
    let good = fs::read(&path).unwrap();
    let (body, tail) = good.split_at(good.len() - 112);
    let old = format::decode_tail(tail, good.len() as u64).unwrap();
    let later = |added: &[u8]| {
        let tail = format::encode_tail(&Tail { length: old.length + added.len() as u64, ..old });
        fs::write(&path, [body, added, &tail].concat()).unwrap();
        verify::run(&path, &Control::default())
    };
    let unknown = [0x5f, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    later(&[unknown, unknown].concat()).unwrap();
    restore::run(&Disk, &path, &RestoreOptions::all(&place.at("to")), &Control::default()).unwrap();
    assert_eq!(logical_content(&place.at("to/a.sqlite")), logical_content(&place.at("a.sqlite")));
    for wrong in [&unknown[..10], b"no frame at all", &[unknown.as_slice(), &[0]].concat()] {
        assert_eq!(said(&later(wrong).unwrap_err(), &path), "the part after the index of ARCHIVE is damaged");
    }
}

#[test]
fn a_data_file_that_was_damaged_before_the_backup_is_restored_and_said() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "PRAGMA journal_mode=DELETE", 3000);
    let mut bytes = fs::read(&data).unwrap();
    let page = bytes.len() / 2 / 4096 * 4096;
    bytes[page..page + 300].fill(0xaa);
    fs::write(&data, &bytes).unwrap();
    let report = place.backup(&data).unwrap();
    let to = place.at("to");
    let restored = restore::run(&Disk, &report.archive, &RestoreOptions::all(&to), &Control::default()).unwrap();
    assert!(restored.problem().unwrap().message().contains("SQLite finds it damaged"));
    assert_eq!(fs::read(to.join("a.sqlite")).unwrap(), bytes);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn any_changed_byte_and_any_cut_is_noticed(seed in any::<u64>(), bit in 0u8..8) {
        thread_local! {
            static GOOD: (Place, Vec<u8>) = {
                let place = Place::new();
                let path = archive(&place, 400);
                let bytes = fs::read(path).unwrap();
                (place, bytes)
            };
        }
        GOOD.with(|(place, good)| {
            let at = (seed % good.len() as u64) as usize;
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            let path = place.at("changed.4BK");
            fs::write(&path, &bytes).unwrap();
            assert!(verify::run(&path, &Control::default()).is_err(), "byte {at} bit {bit}");
            fs::write(&path, &good[..at]).unwrap();
            assert!(verify::run(&path, &Control::default()).is_err(), "cut at {at}");
        });
    }

    #[test]
    fn a_safe_name_never_leaves_its_folder(name in "[a-z./\\\\ :\\x00-\\x1f]{0,12}") {
        if let Ok(path) = safe_name(&name) {
            let joined = Path::new("/base").join(path);
            prop_assert!(joined.starts_with("/base") && joined != Path::new("/base"));
            prop_assert!(!joined.components().any(|c| c == std::path::Component::ParentDir));
        }
    }
}

#[test]
fn restored_content_is_the_content_of_the_moment() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    let conn = make_data_file(&data, "PRAGMA journal_mode=WAL", 500);
    let before = logical_content(&data);
    let archive = place.backup(&data).unwrap().archive;
    conn.execute_batch("DELETE FROM t; DROP TABLE k").unwrap();
    restore::run(&Disk, &archive, &RestoreOptions::all(&place.at("to")), &Control::default()).unwrap();
    assert_eq!(logical_content(&place.at("to/a.sqlite")), before);
}
