//! Reading the parts of an archive that are not data: headers, index, end; and the errors that tell what is wrong with
//! one.

use std::{io, path::Path};

use crate::{
    archive::{
        format::{self, Flaw, Hash, Identity, TAIL_LENGTH, Tail},
        segments::{Located, SEGMENTS_MAX},
        volume::Volume,
    },
    error::{Error, ErrorKind, Result},
};

/// Whether the bytes between two frames are exactly the head of segment `number` of the same archive.
pub(super) fn is_segment_head(volume: &Volume, first: &Identity, number: u32, from: u64, to: u64) -> bool {
    if to - from > 2 << 20 {
        return false;
    }
    let head = volume.read(from, to - from).ok().and_then(|bytes| format::decode_head(&bytes).ok());
    head.is_some_and(|(identity, _)| {
        identity.segment.is_some_and(|s| s.number == number) && is_head_of(&identity, first, from)
    })
}

/// Whether the head of a segment that begins at `from` says what that of the first says, which alone is signed.
pub(super) fn is_head_of(found: &Identity, first: &Identity, from: u64) -> bool {
    found.segment.is_some_and(|s| s.offset == from) && *found == Identity { segment: found.segment, ..first.clone() }
}

/// A header and its length.
pub(super) struct Head {
    pub(super) identity: Identity,
    pub(super) hash: Hash,
    pub(super) length: u64,
    pub(super) version: u16,
}

/// Reads the header, and sees that no segment is known to be missing.
pub(super) fn require_all(path: &Path, located: &Located) -> Result<Head> {
    if !located.missing.is_empty() {
        return Err(located.missing_error(&located.missing, false));
    }
    read_head(path, &located.volume)
}

pub(super) fn read_head(path: &Path, volume: &Volume) -> Result<Head> {
    let start = volume.read(0, 24.min(volume.length())).map_err(|e| read_error(path, e))?;
    let length = format::head_length(&start).map_err(|flaw| flaw_error(path, flaw))? as u64;
    let frame = volume.read(0, length).map_err(|e| read_error(path, e))?;
    let (identity, hash) = format::decode_head(&frame).map_err(|flaw| flaw_error(path, flaw))?;
    let version = format::head_version(&frame).map_err(|flaw| flaw_error(path, flaw))?;
    Ok(Head { identity, hash, length, version })
}

pub(super) fn read_tail(path: &Path, located: &Located, head_length: u64) -> Result<Tail> {
    let length = located.volume.length();
    // A segment that does not hold the end was not the last one.
    let cut_off = || match located.last {
        Some(last) => located.missing_error(&[last + 1], true),
        None => cut_off(path),
    };
    if length < head_length + TAIL_LENGTH {
        return Err(cut_off());
    }
    let frame = located.volume.read(length - TAIL_LENGTH, TAIL_LENGTH).map_err(|e| read_error(path, e))?;
    format::decode_tail(&frame, length).map_err(|_| cut_off())
}

/// What is damaged where something else than frames follows INDX.
pub(super) const AFTER_INDEX: &str = "part after the index";

/// No archive without recovery data has more: heads of segments, and an end for each time that it came to lie
/// elsewhere.
const FRAMES_AFTER_INDEX_MAX: u32 = 2 * SEGMENTS_MAX;

/// Reads INDX, and sees that nothing but further skippable frames stands between it and the end. Returns also where it
/// ends.
///
/// What stands there of an archive with recovery data may be damaged, and is not looked at: its content can be proven
/// without, and to touch a million frames takes a disk longer than to open an archive may.
pub(super) fn read_index(path: &Path, volume: &Volume, tail: &Tail, has_recovery: bool) -> Result<(Vec<u8>, u64)> {
    let end = if volume.is_patched() { tail.length } else { tail.length - TAIL_LENGTH };
    let damaged = |part| flaw_error(path, Flaw::Damaged(part));
    let read = |at, length| volume.read(at, length).map_err(|e| read_error(path, e));
    let length_at = |at: u64, part| {
        let start = read(at, 8.min(end.saturating_sub(at)))?;
        format::skippable_length(&start).filter(|length| *length <= end - at).ok_or_else(|| damaged(part))
    };
    // It is read into memory, and no honest one is longer than the limit.
    let length = length_at(tail.index_offset, "index")?;
    if length > format::INDEX_LENGTH_MAX {
        return Err(damaged("index"));
    }
    let index = read(tail.index_offset, length)?;
    let index_end = tail.index_offset + length;
    let mut at = index_end;
    for _ in 0..FRAMES_AFTER_INDEX_MAX {
        if at >= end || has_recovery {
            return Ok((index, index_end));
        }
        at += length_at(at, AFTER_INDEX)?;
    }
    Err(damaged(AFTER_INDEX))
}

pub(super) fn read_error(path: &Path, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => cut_off(path),
        _ => Error::io("read", path, error),
    }
}

pub(super) const OTHER_ARCHIVE: &str =
    "Use another archive of this data file, or a copy of this one. Do not delete it: parts may still be read.";

fn cut_off(path: &Path) -> Error {
    let message = format!("{} is cut off or its end is damaged", path.display());
    Error::new(ErrorKind::Damaged, message).about(path).hint(OTHER_ARCHIVE)
}

pub(super) fn flaw_error(path: &Path, flaw: Flaw) -> Error {
    let error = match flaw {
        Flaw::NotAnArchive => {
            // By its name it was one: nobody is to look for another file because a disk has changed this one.
            let is_named = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("4BK"));
            let message = format!("{} is not a Strongroom archive, or its beginning is damaged", path.display());
            Error::new(ErrorKind::NotRecognised, message).hint(if is_named {
                "If it was made with redundancy, repair it (strongroom repair). Else use another archive of this data \
                 file, or a copy of this one. Do not delete it: parts may still be read."
            } else {
                "Choose a file whose name ends in .4BK and that was made by Strongroom."
            })
        }
        Flaw::Newer(version) => Error::new(
            ErrorKind::NewerVersion,
            format!("{} was written in format {version}, this program reads up to {}", path.display(), format::VERSION),
        )
        .hint("Install the newest version of Strongroom to read it."),
        Flaw::Damaged(part) => {
            Error::new(ErrorKind::Damaged, format!("the {part} of {} is damaged", path.display())).hint(OTHER_ARCHIVE)
        }
    };
    error.about(path)
}
