//! Archives as somebody else may write them: every checksum is right, tar stream and index agree, and what they hold is
//! free.

use std::{fs, path::Path};

use strongroom::archive::{
    ArchiveNumber, Identity, Item, ItemKind, entry_type,
    format::{self, FrameEntry, Index, Tail},
};

/// One item with its content.
pub fn item(name: &str, kind: ItemKind, content: &[u8]) -> (Item, Vec<u8>) {
    let blake3 = blake3::hash(content).to_hex().to_string();
    let length = content.len() as u64;
    let name = name.to_owned();
    let item = Item {
        name,
        kind,
        offset: 0,
        length,
        blake3,
        mode: 0o644,
        modified: 0,
        owner: None,
        target: None,
        not_whole: None,
        original: None,
    };
    (item, content.to_vec())
}

pub fn link(name: &str, target: &str) -> (Item, Vec<u8>) {
    let (item, content) = item(name, ItemKind::Link, b"");
    (Item { target: Some(target.to_owned()), ..item }, content)
}

/// Writes the archive; all of it lies in one frame.
pub fn archive(path: &Path, items: Vec<(Item, Vec<u8>)>) {
    let mut tar = Vec::new();
    let mut listed = Vec::new();
    for (item, content) in items {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(entry_type(item.kind));
        header.set_size(item.length);
        header.set_mode(item.mode);
        header.set_mtime(0);
        let mut name = item.name.clone().into_bytes();
        name.truncate(99);
        header.as_old_mut().name[..name.len()].copy_from_slice(&name);
        if let Some(target) = &item.target {
            header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        }
        header.set_cksum();
        tar.extend_from_slice(header.as_bytes());
        listed.push(Item { offset: tar.len() as u64, ..item });
        tar.extend_from_slice(&content);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    sealed(path, listed, &tar, zstd::bulk::compress(&tar, 1).unwrap());
}

/// Writes an archive that lists `items` of the tar stream `raw`, which it holds as `stored`: all checksums are right.
pub fn sealed(path: &Path, items: Vec<Item>, raw: &[u8], stored: Vec<u8>) {
    let identity = Identity {
        data_file_id: uuid::Uuid::from_u128(1),
        archive_id: uuid::Uuid::from_u128(2),
        data_file_name: "a.sqlite".into(),
        data_file_path: None,
        installation: None,
        log_file: None,
        recovery: None,
        number: ArchiveNumber(1),
        moment: chrono::DateTime::parse_from_rfc3339("2026-01-01T00:00:00+01:00").unwrap(),
        page_size: 4096,
        page_count: 1,
        program: "forged".into(),
        log_position: None,
        content: None,
        options: None,
        segment: None,
    };
    let (head, head_hash) = format::encode_head(&identity).unwrap();
    let hash = *blake3::hash(&stored).as_bytes();
    let frame = FrameEntry { offset: head.len() as u64, stored: stored.len() as u32, raw: raw.len() as u32, hash };
    let index = Index { frames: vec![frame], items };
    let (bytes, index_hash) = format::encode_index(&index).unwrap();
    let index_offset = (head.len() + stored.len()) as u64;
    let length = index_offset + bytes.len() as u64 + format::TAIL_LENGTH;
    let whole = format::whole_hash(&head_hash, &index.frames, &index_hash);
    let (tar_length, not_whole) = (raw.len() as u64, index.not_whole());
    let tail = format::encode_tail(&Tail { index_offset, length, tar_length, whole, not_whole });
    fs::write(path, [head, stored, bytes, tail].concat()).unwrap();
}
