//! The segments of an archive: their names, and where they are.
//!
//! `Name[0006-0001].4BK`, `Name[0006-0002].4BK` … : the number of the full backup, the number of the segment. Each
//! begins with a HEAD of its own, so it can be identified alone. Joined in order they are the archive.
//!
//! A set that lies in several folders has a note in each of them, `Name[0006].4BK.segments`: the paths of all its
//! segments, one a line. So whoever finds one of them finds the others.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    catalog,
    format::{self, ArchiveNumber, Identity, TAIL_LENGTH},
    volume::{Piece, Volume},
};
use crate::{
    error::{Error, ErrorKind, Result},
    storage::{
        self, refuse_data_file,
        regular::{self, Links},
    },
};

/// More segments than this would not be joined in order by their names.
pub const SEGMENTS_MAX: u32 = 9999;

/// What follows the name of the archive in that of the note.
pub const NOTE_SUFFIX: &str = ".segments";

/// Segments of a set that were not found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Their numbers.
    pub numbers: Vec<u32>,
    /// Whether there may be more after the last of these: no segment was found that ends the set.
    pub and_later: bool,
}

impl Missing {
    /// For people: `segment 0003`, `segments 0002 and 0004`, `segment 0005 (or one after it)`.
    pub fn in_words(&self) -> String {
        let numbers: Vec<String> = self.numbers.iter().map(|n| format!("{n:04}")).collect();
        let named = match numbers.as_slice() {
            [one] => format!("segment {one}"),
            [others @ .., last] => format!("segments {} and {last}", others.join(", ")),
            [] => "segments".to_owned(),
        };
        if self.and_later { format!("{named} (or one after it)") } else { named }
    }

    /// The verb that goes with it.
    pub fn is_or_are(&self) -> &'static str {
        if self.numbers.len() == 1 { "is" } else { "are" }
    }
}

/// The segments missing of the set that `path` belongs to; `None` when all are there, of an archive in one file, and of
/// one that cannot be read at all.
pub fn missing(path: &Path, folders: &[PathBuf]) -> Option<Missing> {
    let located = locate(path, folders).ok()?;
    let last = located.last?;
    let length = located.volume.length();
    let tail = length.checked_sub(TAIL_LENGTH).and_then(|at| located.volume.read(at, TAIL_LENGTH).ok());
    let is_complete = tail.is_some_and(|frame| format::decode_tail(&frame, length).is_ok());
    let mut numbers = located.missing;
    if !is_complete {
        numbers.push(last + 1);
    }
    (!numbers.is_empty()).then_some(Missing { numbers, and_later: !is_complete })
}

/// The note about the segments of an archive in a folder.
pub fn note_path(folder: &Path, stem: &str, number: ArchiveNumber) -> PathBuf {
    folder.join(format!("{}{NOTE_SUFFIX}", catalog::archive_name(stem, number)))
}

/// What a note says: the paths of the segments of that archive, by number. One that is not there says nothing.
pub fn read_note(note: &Path, stem: &str, number: ArchiveNumber) -> BTreeMap<u32, PathBuf> {
    let text = regular::read_text(note, Links::Refused, NOTE_BYTES_MAX).unwrap_or_default();
    let segment = |line: &str| {
        let path = PathBuf::from(line);
        let name = path.file_name()?.to_string_lossy().into_owned();
        let (s, n, segment) = parse_segment_name(&name)?;
        (path.is_absolute() && (s, n) == (stem, number)).then_some((segment, path))
    };
    text.lines().filter_map(segment).collect()
}

/// A note has a line for each segment; a longer file is none.
const NOTE_BYTES_MAX: u64 = 64 << 20;

/// The file name of a segment.
pub fn segment_name(stem: &str, number: ArchiveNumber, segment: u32) -> String {
    format!("{stem}[{number}-{segment:04}].4BK")
}

/// Splits a segment's file name into stem, number of the archive and number of the segment; `None` when it is not one.
pub fn parse_segment_name(name: &str) -> Option<(&str, ArchiveNumber, u32)> {
    let rest = name.strip_suffix("].4BK").or_else(|| name.strip_suffix("].4bk"))?;
    let (stem, digits) = rest.rsplit_once('[')?;
    let (number, segment) = digits.split_once('-')?;
    let plain = |digits: &str| digits.len() >= 4 && digits.bytes().all(|b| b.is_ascii_digit());
    if stem.is_empty() || !plain(number) || !plain(segment) {
        return None;
    }
    let segment = segment.parse().ok().filter(|n| (1..=SEGMENTS_MAX).contains(n))?;
    Some((stem, ArchiveNumber(number.parse().ok()?), segment))
}

/// The files that lie beside `path`, the file of an archive, and belong to that archive by their names, itself among
/// them.
pub fn beside(path: &Path) -> Vec<PathBuf> {
    let of = |path: &Path| {
        let name = path.file_name()?.to_str()?;
        parse_segment_name(name).map(|(stem, number, _)| (stem.to_owned(), number))
    };
    let Some(set) = of(path) else { return vec![path.to_path_buf()] };
    let entries = fs::read_dir(storage::folder_of(path)).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries.filter(|file| of(file).as_ref() == Some(&set)).collect();
    if files.is_empty() {
        files.push(path.to_path_buf());
    }
    files
}

/// The files of an archive.
#[derive(Debug)]
pub struct Located {
    /// What was found, joined.
    pub volume: Volume,
    /// Numbers of segments that are missing before the last one found.
    pub missing: Vec<u32>,
    /// The number of the last segment found; `None` for an archive in one file.
    pub last: Option<u32>,
    /// How the archive is called in messages: its path, or `Name[0006]` with its folder.
    pub name: PathBuf,
}

impl Located {
    /// What to say of a segment that is not there.
    pub fn missing_error(&self, segments: &[u32], and_later: bool) -> Error {
        let numbers: Vec<String> = segments.iter().map(|n| format!("{n:04}")).collect();
        let (noun, verb) = if segments.len() == 1 { ("segment", "is") } else { ("segments", "are") };
        let later = if and_later { ", or one after it," } else { "" };
        let message = format!("{noun} {}{later} of {} {verb} missing", numbers.join(", "), self.name.display());
        Error::new(ErrorKind::NotFound, message).hint(BRING)
    }
}

/// The advice where a segment is missing.
pub(super) const BRING: &str =
    "Connect its disk, bring it into the same folder, or give the folder that holds it (--segments).";

/// Finds the files that belong to the archive at `path`: itself, or for one of its segments all others, in the same
/// folder and in `folders`. A segment that is not there itself is missing like any other, where others of it are.
///
/// # Errors
/// When `path` is no readable file.
pub fn locate(path: &Path, folders: &[PathBuf]) -> Result<Located> {
    let length = measure(path);
    let whole = |length| {
        let piece = Piece { path: path.to_path_buf(), at: 0, length };
        Located { volume: Volume::new(vec![piece]), missing: Vec::new(), last: None, name: path.to_path_buf() }
    };
    let file_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let Some((stem, number, _)) = parse_segment_name(&file_name) else { return length.map(whole) };
    let gone = match length {
        Err(error) if error.kind() == ErrorKind::NotFound => Some(error),
        Err(error) => return Err(error),
        Ok(_) => None,
    };
    let mut found: BTreeMap<u32, PathBuf> = BTreeMap::new();
    let beside = storage::folder_of(path).to_path_buf();
    let noted = read_note(&note_path(&beside, stem, number), stem, number);
    for folder in std::iter::once(&beside).chain(folders) {
        for entry in fs::read_dir(folder).map_err(|e| Error::io("read the folder", folder, e))?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some((s, n, segment)) = parse_segment_name(&name)
                && (s, n) == (stem, number)
            {
                found.entry(segment).or_insert_with(|| entry.path());
            }
        }
    }
    if let Some(gone) = gone.filter(|_| found.is_empty()) {
        return Err(gone);
    }
    // Where the disk of a folder is not connected, the segment is missing like any other.
    for (segment, path) in noted.into_iter().filter(|(_, path)| path.is_file()) {
        found.entry(segment).or_insert(path);
    }
    let heads: BTreeMap<u32, Option<Identity>> = found.iter().map(|(n, path)| (*n, head_of(path))).collect();
    // The set of the segment that was asked for; if its own head is lost, of the first that has one.
    let own = heads.iter().find(|(n, _)| found.get(n).is_some_and(|p| p == path)).and_then(|(_, head)| head.as_ref());
    let id = own.or_else(|| heads.values().flatten().next()).map(|identity| identity.archive_id);
    let mut pieces: Vec<Piece> = Vec::new();
    let mut last = 0;
    let mut missing = Vec::new();
    for (number, path) in found {
        let head = heads.get(&number).and_then(Option::as_ref);
        if head.is_some_and(|identity| Some(identity.archive_id) != id) {
            continue;
        }
        let Ok(length) = measure(&path) else { continue };
        let end = pieces.last().map_or(0, |p| p.at + p.length);
        // One whose head is lost follows the one before; what really lies where is found by its content.
        let at = head.and_then(|identity| identity.segment).map_or(end, |segment| segment.offset);
        let at = at.max(pieces.last().map_or(0, |p| p.at + 1));
        if at > 1 << 60 {
            continue;
        }
        missing.extend(last + 1..number);
        last = number;
        pieces.push(Piece { path, at, length });
    }
    let name = path.with_file_name(format!("{stem}[{number}]"));
    Ok(Located { volume: Volume::new(pieces), missing, last: Some(last), name })
}

/// What the head of a file says, if it is sound.
pub fn head_of(path: &Path) -> Option<Identity> {
    let volume = Volume::of_file(path).ok()?;
    let start = volume.read(0, 24).ok()?;
    let length = format::head_length(&start).ok()?;
    Some(format::decode_head(&volume.read(0, length as u64).ok()?).ok()?.0)
}

fn measure(path: &Path) -> Result<u64> {
    let fail = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => Error::new(ErrorKind::NotFound, format!("{} does not exist", path.display()))
            .hint("Check the path. The archive may have been moved, or its disk is not connected."),
        _ => Error::io("open", path, e),
    };
    let meta = fs::metadata(path).map_err(fail)?;
    if !meta.is_file() {
        return Err(Error::new(ErrorKind::WrongType, format!("{} is not a file", path.display()))
            .hint("Choose an archive; its name ends in .4BK."));
    }
    refuse_data_file(path)?;
    let (_, meta) = regular::open(path, Links::Followed).map_err(fail)?;
    Ok(meta.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rule_in_both_directions() {
        assert_eq!(segment_name("OMB_Edelweiss", ArchiveNumber(6), 2), "OMB_Edelweiss[0006-0002].4BK");
        assert_eq!(parse_segment_name("a [x] [0012-0345].4bk"), Some(("a [x] ", ArchiveNumber(12), 345)));
        for foreign in ["a[0001].4BK", "a[0001-2].4BK", "a[0001-0000].4BK", "[0001-0001].4BK", "a[0001-0001].4BK.part"]
        {
            assert_eq!(parse_segment_name(foreign), None, "{foreign}");
        }
    }
}
