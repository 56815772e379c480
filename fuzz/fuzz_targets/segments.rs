#![no_main]
//! Lists and notes of segments that somebody else wrote: nothing is deleted on their word but what is a leftover of
//! that set, and they lead to nothing that hangs.

use std::{fs, path::Path};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use strongroom::archive::{ArchiveNumber, catalog, leftovers, segments};

#[derive(Debug, Arbitrary)]
struct Planted {
    list: Vec<u8>,
    note: Vec<u8>,
    segment: Vec<u8>,
    /// Whether the list begins as one does.
    is_begun: bool,
}

fuzz_target!(|planted: Planted| {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let write = |name: &str, bytes: &[u8]| fs::write(at(name), bytes).expect("written");
    let kept = ["a[0001-0001].4BK", "a[0002].4BK", "b[0001-0001].4BK.part", "letter.txt"];
    kept.iter().for_each(|name| write(name, &planted.segment));
    let first = if planted.is_begun { "archive 00000000-0000-0000-0000-000000000007\n" } else { "" };
    write("a[0001].4BK.part", &[first.as_bytes(), &planted.list].concat());
    write("a[0001].4BK.segments", &planted.note);
    let number = ArchiveNumber(1);
    let noted = segments::read_note(Path::new(&at("a[0001].4BK.segments")), "a", number);
    assert!(noted.values().all(|path| path.is_absolute() || path.starts_with(folder.path())));
    let _ = catalog::list(folder.path(), Some("a"));
    let _ = segments::missing(&at("a[0001-0001].4BK"), &[]);
    let _ = leftovers::remove_leftovers(folder.path(), "a");
    // Nothing of these has a head that says that it belongs to that set.
    for name in kept {
        assert!(at(name).is_file(), "{name} is gone");
    }
});
