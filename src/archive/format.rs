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

mod content;
mod entries;

pub use content::{ArchiveNumber, Hash, Identity, Index, Item, ItemKind, Segment, Tail, not_whole};
pub use entries::FrameEntry;

use crate::error::{Error, ErrorKind, Result};

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
/// [`Flaw::NotAnArchive`] for anything else, [`Flaw::Damaged`] for lengths that cannot be.
pub fn head_length(start: &[u8]) -> Result<usize, Flaw> {
    if start.len() < 24 || u32_at(start, 0) != SKIPPABLE || &start[8..16] != HEAD_TAG {
        return Err(Flaw::NotAnArchive);
    }
    let (version, payload, body) = (u16_at(start, 16), u32_at(start, 4) as usize, u32_at(start, 20) as usize);
    // A later version may have put something else there.
    let is_odd = if version > VERSION { payload < 48 } else { payload != body + 48 || version == 0 };
    if payload > IDENTITY_LENGTH_MAX + 48 || is_odd {
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
/// [`Flaw::Damaged`] when its checksum or its text is wrong; [`Flaw::Newer`] for a later version, which that checksum
/// proves: else a damaged number would send somebody for a newer program.
pub fn decode_head(frame: &[u8]) -> Result<(Identity, Hash), Flaw> {
    if frame.len() != head_length(frame)? {
        return Err(Flaw::Damaged("header"));
    }
    let (body, hash) = unseal(&frame[8..], "header")?;
    let version = u16_at(frame, 16);
    if version > VERSION {
        return Err(Flaw::Newer(version));
    }
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
