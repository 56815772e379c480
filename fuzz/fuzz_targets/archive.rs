#![no_main]
//! Any bytes as an archive.

use libfuzzer_sys::fuzz_target;
use strongroom::{
    archive::{Archive, catalog},
    control::Control,
    repair::{self, RepairOptions},
    storage::Disk,
    verify,
};

fuzz_target!(|data: &[u8]| {
    let folder = tempfile::tempdir().expect("a folder");
    // The first byte chooses how many segments the rest is cut into.
    let (first, rest) = data.split_first().map_or((0, data), |(first, rest)| (*first, rest));
    let path = if first & 1 == 0 {
        let path = folder.path().join("a[0001].4BK");
        std::fs::write(&path, rest).expect("write");
        path
    } else {
        let cut = rest.len() * usize::from(first) / 256;
        for (n, part) in [&rest[..cut], &rest[cut..]].iter().enumerate() {
            std::fs::write(folder.path().join(format!("a[0001-{:04}].4BK", n + 1)), part).expect("write");
        }
        folder.path().join("a[0001-0001].4BK")
    };
    let control = Control::default();
    let _ = catalog::list(folder.path(), None);
    let _ = Archive::open(&path);
    let _ = verify::run(&path, &control);
    let _ = repair::run(&Disk, &path, &RepairOptions::default(), &control);
});
