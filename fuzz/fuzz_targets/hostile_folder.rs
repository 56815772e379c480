#![no_main]
//! A restore of any archive, all checksums right, into a folder in which somebody has put links, files and folders
//! before: nothing outside of it changes.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use strongroom::{
    archive::{Item, ItemKind},
    control::Control,
    restore::{self, RestoreOptions},
    storage::Disk,
    verify,
};

#[path = "../../tests/support/forge.rs"]
mod forge;

/// Names are put together of few parts, so that items, links and what lies in wait meet.
#[derive(Debug, Arbitrary)]
struct Name(Vec<u8>);

const PARTS: [&str; 10] = ["a", "b", "c", "a.sqlite", "a.sqlite-wal", "..", ".", "outside", "", "Attachments"];

impl Name {
    fn text(&self) -> String {
        let parts: Vec<&str> = self.0.iter().take(6).map(|n| PARTS[usize::from(*n) % PARTS.len()]).collect();
        parts.join("/")
    }
}

#[derive(Debug, Arbitrary)]
enum Content {
    DataFile(Vec<u8>),
    File(Vec<u8>),
    Program(Vec<u8>),
    Folder,
    Link(Name),
}

#[derive(Debug, Arbitrary)]
enum Planted {
    LinkOut,
    Link(Name),
    File,
    Folder,
}

#[derive(Debug, Arbitrary)]
struct Case {
    items: Vec<(Name, Content, u16)>,
    planted: Vec<(Name, Planted)>,
}

/// Everything below a folder, links not followed.
fn tree(folder: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).expect("list").flatten() {
        let path = entry.path();
        let kind = entry.file_type().expect("a type");
        if kind.is_dir() {
            found.insert(path.clone(), b"folder".to_vec());
            tree(&path, found);
        } else if kind.is_symlink() {
            found.insert(path.clone(), fs::read_link(&path).expect("a link").into_os_string().into_encoded_bytes());
        } else {
            found.insert(path.clone(), fs::read(&path).expect("read"));
        }
    }
}

fuzz_target!(|case: Case| {
    let place = tempfile::tempdir().expect("a folder");
    let (to, outside) = (place.path().join("in/to"), place.path().join("outside"));
    fs::create_dir_all(&to).expect("make");
    for folder in ["a", "b", "content"] {
        fs::create_dir_all(outside.join(folder)).expect("make");
    }
    fs::write(outside.join("letter"), "of worth").expect("write");
    for (name, what) in &case.planted {
        let name = name.text();
        // What lies in wait lies in the destination.
        if name.split('/').any(|part| part == "..") || name.starts_with('/') || name.is_empty() {
            continue;
        }
        let path = to.join(&name);
        // A link that was planted before is not followed here either.
        let is_through_link = path.ancestors().skip(1).take_while(|p| *p != to).any(Path::is_symlink);
        if is_through_link || fs::create_dir_all(path.parent().expect("a parent")).is_err() {
            continue;
        }
        let _ = match what {
            Planted::LinkOut => symlink(&outside, &path),
            Planted::Link(target) => symlink(target.text(), &path),
            Planted::File => fs::write(&path, "planted"),
            Planted::Folder => fs::create_dir(&path),
        };
    }
    let items = case.items.iter().map(|(name, content, mode)| {
        let name = name.text();
        let (item, bytes) = match content {
            Content::DataFile(bytes) => forge::item(&name, ItemKind::DataFile, bytes),
            Content::File(bytes) => forge::item(&name, ItemKind::Attachment, bytes),
            Content::Program(bytes) => forge::item(&name, ItemKind::Program, bytes),
            Content::Folder => forge::item(&name, ItemKind::Folder, b""),
            Content::Link(target) => forge::link(&name, &target.text()),
        };
        (Item { mode: u32::from(*mode), ..item }, bytes)
    });
    let archive = place.path().join("in/a[0001].4BK");
    forge::archive(&archive, items.collect());
    let mut before = BTreeMap::new();
    tree(&outside, &mut before);
    let control = Control::default();
    let verified = verify::run(&archive, &control);
    let restored = restore::run(&Disk, &archive, &RestoreOptions::all(&to), &control);
    // What is refused by the one is refused by the other.
    assert!(verified.is_ok() || restored.is_err(), "{verified:?} {restored:?}");
    let mut after = BTreeMap::new();
    tree(&outside, &mut after);
    assert_eq!(before, after);
    let names = |folder: &Path| fs::read_dir(folder).expect("list").count();
    assert_eq!((names(place.path()), names(&place.path().join("in"))), (2, 2));
});
