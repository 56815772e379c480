//! The bytes of an archive (`.4BK`), version 3; versions 1 (one file) and 2 (segments) are read. All integers are
//! little-endian.
//!
//! ```text
//! archive := HEAD  data-frame*  INDX  other*  TAIL
//! ```
//! *Data frames* are independent zstd frames with content size and content checksum. Together they decompress to one
//! tar stream, each frame to exactly 4 MiB of it except the last. HEAD, INDX and TAIL are zstd *skippable* frames,
//! which every zstd tool passes over; so `zstd -dc ARCHIVE | tar x` restores without this program. Between INDX and
//! TAIL a reader passes over skippable frames that it does not know. Recovery data lies there, see
//! [`packet`](super::recovery::packet); a change that older readers cannot pass over raises the version.
//!
//! Segments, joined, are the archive. Each begins with a HEAD of its own ([`Segment`]), for which the offsets of the
//! data frames leave room.
//!
//! Every skippable frame begins with the zstd envelope, magic `0x184D2A54` and the length of what follows (u32 each),
//! then:
//!
//! | HEAD | bytes | |
//! |---|---|---|
//! | 0 | 8 | tag `SR4BHEAD` |
//! | 8 | 2 | format version, 3 |
//! | 10 | 2 | flags, 0 |
//! | 12 | 4 | length *n* of the identity, at most 1 MiB |
//! | 16 | n | [`Identity`] as JSON |
//! | 16+n | 32 | BLAKE3 of the bytes 0 .. 16+n |
//!
//! | INDX | bytes | |
//! |---|---|---|
//! | 0 | 8 | tag `SR4BINDX` |
//! | 8 | 4 | number *f* of data frames |
//! | 12 | 4 | length *m* of the items |
//! | 16 | 50·f | per data frame: length of the entry (u16, 48), offset in the archive (u64), stored length (u32), decompressed length (u32), BLAKE3 of the stored bytes (32) |
//! | then | m | the [`Item`]s as a JSON array, in the order of the tar stream |
//! | then | 32 | BLAKE3 of all bytes before |
//!
//! A later version may have longer entries: what an entry has beyond 48 bytes is passed over. In versions 1 and 2
//! entries have no length in front, and 48 bytes.
//!
//! | TAIL | bytes | always the last 112 bytes of the archive |
//! |---|---|---|
//! | 0 | 8 | tag `SR4BTAIL` |
//! | 8 | 2 | version of this frame, 1 |
//! | 10 | 2 | 1 where the next says something, else 0 |
//! | 12 | 4 | how many of the chosen files are not in the archive, or not whole |
//! | 16 | 8 | offset of INDX in the archive |
//! | 24 | 8 | length of the archive, with this frame |
//! | 32 | 8 | length of the tar stream |
//! | 40 | 32 | BLAKE3 of the whole: the checksum of HEAD, the checksum of every data frame in order, the checksum of INDX |
//! | 72 | 32 | BLAKE3 of the bytes 0 .. 72 |
//!
//! Every byte of an archive is covered by a checksum, save the envelopes of the three skippable frames, which are fixed
//! by the format and compared with it.

mod entries;

use std::path::PathBuf;

use chrono::{DateTime, FixedOffset};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use entries::FrameEntry;

use super::options::{self, ArchiveOptions};
use crate::{
    error::{Error, ErrorKind, Result},
    journal::Position,
    sqlite::seen::ContentSeen,
    storage::installation::Installation,
};

/// The newest version of the format that this program reads.
pub const VERSION: u16 = 3;
/// The version of TAIL.
const VERSION_TAIL: u16 = 1;
/// Magic number of our skippable frames: one of the sixteen that zstd reserves.
pub const SKIPPABLE: u32 = 0x184D_2A54;
/// Length of the whole TAIL frame.
pub const TAIL_LENGTH: u64 = 112;
/// Decompressed length of every data frame but the last.
pub const FRAME_LENGTH: usize = 4 << 20;
/// The same in archives of very small segments.
pub const FRAME_LENGTH_SMALL: usize = 256 << 10;
/// No data frame is stored longer than this: what zstd may need at worst.
pub const STORED_LENGTH_MAX: u32 = (FRAME_LENGTH + FRAME_LENGTH / 128 + 1024) as u32;

/// No INDX is longer than this: enough for a tar stream of 80 TiB.
pub const INDEX_LENGTH_MAX: u64 = 1 << 30;

const HEAD_TAG: &[u8; 8] = b"SR4BHEAD";
const INDEX_TAG: &[u8; 8] = b"SR4BINDX";
const TAIL_TAG: &[u8; 8] = b"SR4BTAIL";
const IDENTITY_LENGTH_MAX: usize = 1 << 20;
const ITEMS_LENGTH_MAX: usize = 256 << 20;

/// A BLAKE3 checksum.
pub type Hash = [u8; 32];

/// Number of a full backup, from 1; 0 stands for "before the first full backup".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ArchiveNumber(pub u32);

impl ArchiveNumber {
    /// The number after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl std::fmt::Display for ArchiveNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}", self.0)
    }
}

/// What an archive says of itself in its first frame. Unknown fields of later minor versions are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Names the data file across renames and moves.
    pub data_file_id: Uuid,
    /// Names this archive.
    pub archive_id: Uuid,
    /// File name of the data file, without folder.
    pub data_file_name: String,
    /// Where the data file was, by which its archives are told from those of a copy that goes by the same settings;
    /// earlier versions did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_file_path: Option<PathBuf>,
    /// On which machine or in which container it was, and which file there; earlier versions did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installation: Option<Installation>,
    /// Number of the full backup.
    pub number: ArchiveNumber,
    /// The moment of the state it holds, with the offset of the machine's time zone.
    pub moment: DateTime<FixedOffset>,
    /// Page size of the data file in bytes.
    pub page_size: u32,
    /// Number of its pages.
    pub page_count: u32,
    /// Name and version of the program that wrote it.
    pub program: String,
    /// Where in the log it was cut; without a log there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_position: Option<Position>,
    /// What the data file held, and whether SQLite found it sound; `None` where nobody has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<ContentSeen>,
    /// Where that log was; without a log there is none, and earlier versions did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_file: Option<PathBuf>,
    /// How it is stored, where that is not the default.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "options::as_far_as_known")]
    pub options: Option<ArchiveOptions>,
    /// The version of its recovery data; `None` without any, and where that is the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<u16>,
    /// Which segment of an archive in segments this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<Segment>,
}

impl Identity {
    /// How the archive is stored.
    pub fn options(&self) -> ArchiveOptions {
        self.options.unwrap_or_default()
    }

    /// Decompressed length of every data frame but the last; `None` when it says something impossible.
    pub fn frame_length(&self) -> Option<usize> {
        let length = self.segment.map_or(FRAME_LENGTH, |segment| segment.frame_bytes as usize);
        (FRAME_LENGTH_SMALL..=FRAME_LENGTH).contains(&length).then_some(length)
    }
}

/// Which segment of an archive a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Its number, from 1.
    pub number: u32,
    /// Where it begins when all are joined, in bytes.
    pub offset: u64,
    /// Decompressed length of every data frame of the archive but the last.
    pub frame_bytes: u32,
}

/// What an entry of the tar stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ItemKind {
    /// The SQLite data file.
    DataFile,
    /// The settings of the data file.
    Settings,
    /// The description of the archive for people.
    Manifest,
    /// A file of the program that uses the data file.
    Program,
    /// Another file that the administrator chose.
    Attachment,
    /// An empty folder.
    Folder,
    /// A symbolic link.
    Link,
    /// Anything that a later version may add.
    #[serde(other)]
    Other,
}

impl ItemKind {
    /// As the window calls it.
    pub fn label(self) -> &'static str {
        match self {
            ItemKind::DataFile => "Data file",
            ItemKind::Settings => "Settings",
            ItemKind::Manifest => "Manifest",
            ItemKind::Program => "Program",
            ItemKind::Attachment => "Attachment",
            ItemKind::Folder => "Folder",
            ItemKind::Link => "Link",
            ItemKind::Other => "File",
        }
    }
}

/// One file inside an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Relative path with `/`, as in the tar stream.
    pub name: String,
    /// What it is.
    pub kind: ItemKind,
    /// Offset of its content in the tar stream, in bytes.
    pub offset: u64,
    /// Length of its content in bytes.
    pub length: u64,
    /// BLAKE3 of its content, in hexadecimal as `b3sum` prints it.
    pub blake3: String,
    /// Permission bits.
    pub mode: u32,
    /// Last modification, in seconds since 1970 UTC.
    pub modified: i64,
    /// Numeric user and group.
    pub owner: Option<(u32, u32)>,
    /// Where a symbolic link leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Of the description of the archive: how many of the chosen files are not in it, or not whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_whole: Option<u64>,
    /// The path as the file had it, in hexadecimal digits, where the name cannot hold it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<String>,
}

/// The content of INDX.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The data frames in order.
    pub frames: Vec<FrameEntry>,
    /// The files in the order of the tar stream.
    pub items: Vec<Item>,
}

impl Index {
    /// How many of the chosen files are not in the archive, or not whole; `None` where it does not say.
    pub fn not_whole(&self) -> Option<u32> {
        not_whole(&self.items)
    }
}

/// How many of the chosen files are not in an archive with these items, or not whole; `None` where it does not say, as
/// those of earlier versions.
pub fn not_whole(items: &[Item]) -> Option<u32> {
    let said = items.iter().find(|item| item.kind == ItemKind::Manifest)?.not_whole?;
    Some(u32::try_from(said).unwrap_or(u32::MAX))
}

/// The content of TAIL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail {
    /// Offset of INDX in the archive.
    pub index_offset: u64,
    /// Length of the archive.
    pub length: u64,
    /// Length of the tar stream.
    pub tar_length: u64,
    /// Checksum of the whole.
    pub whole: Hash,
    /// How many of the chosen files are not in the archive, or not whole; `None` where it does not say.
    pub not_whole: Option<u32>,
}

fn envelope(payload: Vec<u8>) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + 8);
    frame.extend(SKIPPABLE.to_le_bytes());
    // Payloads are far below 4 GiB: identity and items are limited, and 50 bytes a frame reach that at 380 TB.
    frame.extend((payload.len() as u32).to_le_bytes());
    frame.extend(payload);
    frame
}

fn sealed(mut payload: Vec<u8>) -> (Vec<u8>, Hash) {
    let hash = *blake3::hash(&payload).as_bytes();
    payload.extend(hash);
    (envelope(payload), hash)
}

fn json_failure(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Refused, "the description of the archive cannot be written").because(error)
}

/// The HEAD frame and its checksum.
///
/// # Errors
/// Only if the identity has no JSON form.
pub fn encode_head(identity: &Identity) -> Result<(Vec<u8>, Hash)> {
    let body = serde_json::to_vec(identity).map_err(json_failure)?;
    let mut payload = HEAD_TAG.to_vec();
    payload.extend(VERSION.to_le_bytes());
    payload.extend([0; 2]);
    payload.extend((body.len() as u32).to_le_bytes());
    payload.extend(body);
    Ok(sealed(payload))
}

/// The INDX frame and its checksum.
///
/// # Errors
/// Only if the items have no JSON form.
pub fn encode_index(index: &Index) -> Result<(Vec<u8>, Hash)> {
    let items = serde_json::to_vec(&index.items).map_err(json_failure)?;
    let mut payload = INDEX_TAG.to_vec();
    payload.extend((index.frames.len() as u32).to_le_bytes());
    payload.extend((items.len() as u32).to_le_bytes());
    for frame in &index.frames {
        frame.encode(&mut payload);
    }
    payload.extend(items);
    Ok(sealed(payload))
}

/// The TAIL frame.
pub fn encode_tail(tail: &Tail) -> Vec<u8> {
    let mut payload = TAIL_TAG.to_vec();
    payload.extend(VERSION_TAIL.to_le_bytes());
    payload.extend(u16::from(tail.not_whole.is_some()).to_le_bytes());
    payload.extend(tail.not_whole.unwrap_or(0).to_le_bytes());
    payload.extend(tail.index_offset.to_le_bytes());
    payload.extend(tail.length.to_le_bytes());
    payload.extend(tail.tar_length.to_le_bytes());
    payload.extend(tail.whole);
    sealed(payload).0
}

/// The checksum of the whole, from the checksums of its parts.
pub fn whole_hash(head: &Hash, frames: &[FrameEntry], index: &Hash) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(head);
    for frame in frames {
        hasher.update(&frame.hash);
    }
    hasher.update(index);
    *hasher.finalize().as_bytes()
}

/// Why a part of an archive cannot be used; the reader adds path and advice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flaw {
    /// It does not begin like an archive.
    NotAnArchive,
    /// The version that wrote it is newer than this program.
    Newer(u16),
    /// A checksum does not match, or the structure contradicts itself; the text names the part.
    Damaged(&'static str),
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

/// The length of the skippable frame that begins with these 8 bytes, whatever its tag; `None` for anything else.
pub fn skippable_length(start: &[u8]) -> Option<u64> {
    let is_skippable = start.len() >= 8 && u32_at(start, 0) & 0xffff_fff0 == 0x184D_2A50;
    is_skippable.then(|| u64::from(u32_at(start, 4)) + 8)
}

/// Splits off and proves the checksum at the end of a payload.
fn unseal<'a>(payload: &'a [u8], flaw: &'static str) -> Result<(&'a [u8], Hash), Flaw> {
    let body_length = payload.len().checked_sub(32).ok_or(Flaw::Damaged(flaw))?;
    let (body, hash) = payload.split_at(body_length);
    if blake3::hash(body).as_bytes() != hash {
        return Err(Flaw::Damaged(flaw));
    }
    Ok((body, array(hash, 0)))
}

/// Recognises an archive by its first 24 bytes and tells the length of the whole HEAD frame.
///
/// # Errors
/// [`Flaw::NotAnArchive`] for anything else, [`Flaw::Newer`] for a later version.
pub fn head_length(start: &[u8]) -> Result<usize, Flaw> {
    if start.len() < 24 || u32_at(start, 0) != SKIPPABLE || &start[8..16] != HEAD_TAG {
        return Err(Flaw::NotAnArchive);
    }
    let version = u16_at(start, 16);
    if version > VERSION {
        return Err(Flaw::Newer(version));
    }
    let (payload, body) = (u32_at(start, 4) as usize, u32_at(start, 20) as usize);
    if body > IDENTITY_LENGTH_MAX || payload != body + 48 || version == 0 {
        return Err(Flaw::Damaged("header"));
    }
    Ok(payload + 8)
}

/// The version of a whole HEAD frame.
///
/// # Errors
/// As [`head_length`].
pub fn head_version(frame: &[u8]) -> Result<u16, Flaw> {
    head_length(frame).map(|_| u16_at(frame, 16))
}

/// Reads a whole HEAD frame.
///
/// # Errors
/// [`Flaw::Damaged`] when its checksum or its text is wrong.
pub fn decode_head(frame: &[u8]) -> Result<(Identity, Hash), Flaw> {
    if frame.len() != head_length(frame)? {
        return Err(Flaw::Damaged("header"));
    }
    let (body, hash) = unseal(&frame[8..], "header")?;
    let identity = serde_json::from_slice(&body[16..]).map_err(|_| Flaw::Damaged("header"))?;
    Ok((identity, hash))
}

/// Reads the last 112 bytes of an archive of `length` bytes.
///
/// # Errors
/// [`Flaw::Damaged`] when they are not an intact TAIL.
pub fn decode_tail(frame: &[u8], length: u64) -> Result<Tail, Flaw> {
    let damaged = Flaw::Damaged("end");
    if frame.len() as u64 != TAIL_LENGTH
        || u32_at(frame, 0) != SKIPPABLE
        || u32_at(frame, 4) != 104
        || &frame[8..16] != TAIL_TAG
    {
        return Err(damaged);
    }
    let (body, _) = unseal(&frame[8..], "end")?;
    let tail = Tail {
        index_offset: u64_at(body, 16),
        length: u64_at(body, 24),
        tar_length: u64_at(body, 32),
        whole: array(body, 40),
        not_whole: (u16_at(body, 10) == 1).then(|| u32_at(body, 12)),
    };
    if tail.length != length || tail.index_offset.checked_add(TAIL_LENGTH).is_none_or(|end| end > length) {
        return Err(damaged);
    }
    Ok(tail)
}

/// Reads a whole INDX frame and proves that it describes one run of frames between `head_end` and `tail.index_offset`,
/// and items that lie inside the tar stream in order. What lies between two frames must be the heads of segments:
/// `between` is asked for every such stretch. `version` is that of the archive.
///
/// # Errors
/// [`Flaw::Damaged`] when it does not.
pub fn decode_index(
    (frame, version): (&[u8], u16),
    head_end: u64,
    tail: &Tail,
    frame_length: usize,
    between: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<(Index, Hash), Flaw> {
    let damaged = || Flaw::Damaged("index");
    if frame.len() < 8 + 16 + 32 || u32_at(frame, 0) != SKIPPABLE || u32_at(frame, 4) as usize != frame.len() - 8 {
        return Err(damaged());
    }
    let (body, hash) = unseal(&frame[8..], "index")?;
    let (count, items) = (u32_at(body, 8) as usize, u32_at(body, 12) as usize);
    let (tag, rest) = (&body[..8], &body[16..]);
    if tag != INDEX_TAG || items > ITEMS_LENGTH_MAX || count > rest.len() / entries::ENTRY_BYTES {
        return Err(damaged());
    }
    let (frames, rest) = entries::decode(rest, count, version).ok_or_else(damaged)?;
    if rest.len() != items {
        return Err(damaged());
    }
    let (mut at, mut raw) = (head_end, 0u64);
    for (number, entry) in frames.iter().enumerate() {
        let full = entry.raw as usize == frame_length;
        let last = number + 1 == count && entry.raw > 0 && entry.raw as usize <= frame_length;
        let follows = entry.offset == at || entry.offset > at && between(at, entry.offset);
        if !follows || entry.stored > STORED_LENGTH_MAX || !(full || last) {
            return Err(damaged());
        }
        at = entry.offset.checked_add(u64::from(entry.stored)).ok_or_else(damaged)?;
        raw += u64::from(entry.raw);
    }
    if at != tail.index_offset && !(at < tail.index_offset && between(at, tail.index_offset)) {
        return Err(damaged());
    }
    let items: Vec<Item> = serde_json::from_slice(rest).map_err(|_| damaged())?;
    let mut free = 0;
    for item in &items {
        let end = item.offset.checked_add(item.length).ok_or_else(damaged)?;
        if item.offset < free || end > raw {
            return Err(damaged());
        }
        free = end;
    }
    if raw != tail.tar_length {
        return Err(damaged());
    }
    Ok((Index { frames, items }, hash))
}
