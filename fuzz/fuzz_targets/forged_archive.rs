#![no_main]
//! An archive as an attacker would write it: all checksums right.

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use strongroom::{
    archive::{
        Archive, ArchiveNumber, ArchiveOptions, Identity, Item, ItemKind,
        format::{self, FrameEntry, Index, Segment, Tail},
    },
    control::Control,
    restore::{self, RestoreOptions},
    storage::Disk,
    verify,
};

#[derive(Debug, Arbitrary)]
struct Forged {
    options: Option<Option<u64>>,
    segment: Option<(u32, u64, u32)>,
    frames: Vec<(Vec<u8>, Option<u32>, Option<u64>, bool)>,
    items: Vec<(String, u64, u64, Kind, Option<String>)>,
    between: Vec<u8>,
    tar_length: Option<u64>,
    index_offset: Option<u64>,
}

#[derive(Debug, Arbitrary)]
enum Kind {
    DataFile,
    Folder,
    Link,
    Other,
}

fuzz_target!(|forged: Forged| {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a[0001].4BK");
    let identity = Identity {
        data_file_id: uuid::Uuid::nil(),
        archive_id: uuid::Uuid::nil(),
        data_file_name: "a.sqlite".into(),
        data_file_path: None,
        installation: None,
        log_file: None,
        recovery: None,
        number: ArchiveNumber(1),
        moment: Default::default(),
        page_size: 4096,
        page_count: 1,
        program: "forged".into(),
        log_position: None,
        options: forged.options.map(|bytes| ArchiveOptions { segment_bytes: bytes, ..ArchiveOptions::default() }),
        segment: forged.segment.map(|(number, offset, frame_bytes)| Segment { number, offset, frame_bytes }),
        content: None,
    };
    let (mut bytes, head_hash) = format::encode_head(&identity).expect("a head");
    let mut frames = Vec::new();
    let mut raw_length = 0u64;
    for (content, raw, offset, whole) in &forged.frames {
        let stored = if *whole { zstd::bulk::compress(content, 1).expect("compress") } else { content.clone() };
        let entry = FrameEntry {
            offset: offset.unwrap_or(bytes.len() as u64),
            stored: stored.len() as u32,
            raw: raw.unwrap_or(content.len() as u32),
            hash: *blake3::hash(&stored).as_bytes(),
        };
        raw_length = raw_length.saturating_add(u64::from(entry.raw));
        frames.push(entry);
        bytes.extend(stored);
        bytes.extend(&forged.between);
    }
    let item = |(name, offset, length, kind, target): &(String, u64, u64, Kind, Option<String>)| Item {
        name: name.clone(),
        kind: match kind {
            Kind::DataFile => ItemKind::DataFile,
            Kind::Folder => ItemKind::Folder,
            Kind::Link => ItemKind::Link,
            Kind::Other => ItemKind::Other,
        },
        offset: *offset,
        length: *length,
        blake3: String::new(),
        mode: 0o777,
        modified: 0,
        owner: None,
        target: target.clone(),
        not_whole: None,
        original: None,
    };
    let index = Index { frames, items: forged.items.iter().map(item).collect() };
    let (frame, index_hash) = format::encode_index(&index).expect("an index");
    let whole = format::whole_hash(&head_hash, &index.frames, &index_hash);
    let index_offset = forged.index_offset.unwrap_or(bytes.len() as u64);
    bytes.extend(frame);
    bytes.extend(&forged.between);
    let length = bytes.len() as u64 + format::TAIL_LENGTH;
    let tar_length = forged.tar_length.unwrap_or(raw_length);
    bytes.extend(format::encode_tail(&Tail { index_offset, length, tar_length, whole, not_whole: None }));
    std::fs::write(&path, bytes).expect("write");
    let control = Control::default();
    if let Ok(archive) = Archive::open(&path) {
        let _ = archive.whole_items(&control);
        let _ = archive.prove_stored(&control);
    }
    let _ = verify::run(&path, &control);
    let to = folder.path().join("to");
    let _ = restore::run(&Disk, &path, &RestoreOptions::all(&to), &control);
    for entry in std::fs::read_dir(folder.path()).expect("list").flatten() {
        let name = entry.file_name();
        assert!(name == "to" || name == "a[0001].4BK", "{name:?} lies outside");
    }
});
