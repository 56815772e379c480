//! The archives in a folder: their names, their numbers, and what each says of itself.
//!
//! Names follow one rule: the data file's name without extension, the number in square brackets with at least four
//! digits, and `.4BK`: `OMB_Edelweiss[0001].4BK`. An archive in segments has several files,
//! `OMB_Edelweiss[0006-0001].4BK` and so on, and is one entry of the list.

pub(in crate::archive) mod repaired;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use chrono::{DateTime, FixedOffset};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use repaired::copies;
use repaired::parse_copy;

use super::{
    format::ArchiveNumber,
    hold::{self, Hold},
    keys::PublicKey,
    options::ArchiveOptions,
    reader::Archive,
    segments::{self, Missing, parse_segment_name},
};
use crate::{
    error::{Error, ErrorKind, ErrorReport, Result},
    journal::{
        NEXT, Position,
        open::{DAMAGED, SET_ASIDE},
    },
    sqlite::seen::{ContentCheck, ContentSeen},
    storage::installation::Installation,
    storage::names,
};

/// The end of an archive's name.
pub const EXTENSION: &str = "4BK";

/// One file in the list of archives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveEntry {
    /// Where it is; of an archive in segments, the first one here.
    pub path: PathBuf,
    /// All its files found, in order: they belong together and go together. Segments in other folders are known from
    /// the note in this one.
    #[serde(default)]
    pub files: Vec<PathBuf>,
    /// Whether it is in segments.
    #[serde(default)]
    pub segmented: bool,
    /// Segments that were not found.
    #[serde(default)]
    pub missing: Option<Missing>,
    /// Its identity; `None` when it cannot be read.
    #[serde(default)]
    pub archive_id: Option<Uuid>,
    /// How it is stored; the default when it cannot be read.
    #[serde(default)]
    pub options: ArchiveOptions,
    /// Whether its recovery data was made so that several stretches of damage are repaired for certain, too.
    #[serde(default)]
    pub has_recovery_of_blocks: bool,
    /// Its number: what it says itself, and the one in its name where it cannot be read.
    pub number: ArchiveNumber,
    /// Length in bytes, of all its files found together.
    pub bytes: u64,
    /// The moment of the state it holds; `None` when it cannot be read.
    pub moment: Option<DateTime<FixedOffset>>,
    /// Size of the data file inside, in bytes; 0 when it cannot be read.
    pub data_bytes: u64,
    /// Size of its pages in bytes; `None` when it cannot be read.
    #[serde(default)]
    pub page_size: Option<u32>,
    /// Which data file it belongs to.
    pub data_file_id: Option<Uuid>,
    /// Where that data file was when it was made; `None` when it cannot be read, or does not say.
    #[serde(default)]
    pub made_of: Option<PathBuf>,
    /// On which machine or in which container; `None` when it cannot be read, or does not say.
    #[serde(default)]
    pub installation: Option<Installation>,
    /// Whether it is of another data file than the one whose archives were asked for, although it may have the same
    /// identity.
    #[serde(default)]
    pub is_of_other: bool,
    /// The user whom one of its files belongs to, by name, where that is a stranger to the data file whose archives
    /// were asked for: he may have put it there.
    #[serde(default)]
    pub put_by: Option<String>,
    /// Where in the log it was cut, if there was one.
    pub log_position: Option<Position>,
    /// What was seen of the data file when the archive was made; `None` where nobody has looked, or it cannot be read.
    #[serde(default)]
    pub content: Option<ContentSeen>,
    /// Whether its content is sound, as far as anybody has looked: when it was made, and in later test restores.
    #[serde(default)]
    pub check: ContentCheck,
    /// What is damaged in it, or why it was not checked.
    #[serde(default)]
    pub check_note: Option<String>,
    /// How many of the chosen files are not in it, or not whole; `None` where that is not known: it cannot be read, or
    /// an earlier version made it.
    #[serde(default)]
    pub not_whole: Option<u32>,
    /// The key that signed it, as far as its end tells.
    #[serde(default)]
    pub signed_by: Option<PublicKey>,
    /// That it is kept for ever, if it is.
    #[serde(default)]
    pub hold: Option<Hold>,
    /// What is wrong with its header or its end, as far as a quick look shows.
    pub problem: Option<ErrorReport>,
}

impl ArchiveEntry {
    /// Whether it is of the data file with this identity, and not of a copy that shares it, nor put there by a
    /// stranger.
    pub fn is_of(&self, data_file_id: Option<Uuid>) -> bool {
        self.says_it_is_of(data_file_id) && self.put_by.is_none()
    }

    /// The same, whoever may have put it there.
    pub fn says_it_is_of(&self, data_file_id: Option<Uuid>) -> bool {
        self.data_file_id.is_some() && self.data_file_id == data_file_id && !self.is_of_other
    }

    /// The number in its name, where that is not its own: somebody renamed it.
    pub fn misnamed(&self) -> Option<ArchiveNumber> {
        let name = self.path.file_name()?.to_str()?;
        let segment = || parse_segment_name(name).map(|(stem, number, _)| (stem, number));
        let (_, named) = parse_name(name).or_else(segment).or_else(|| parse_copy(name))?;
        (named != self.number).then_some(named)
    }
}

/// The part of all its archives' names that comes from the data file: its name without extension, shortened where that
/// is very long.
pub fn stem(data_file: &Path) -> String {
    let stem = data_file.file_stem().unwrap_or(OsStr::new("data")).to_string_lossy();
    names::short(&stem, names::STEM_BYTES_MAX)
}

/// The file name of archive `number` of a data file with this stem.
pub fn archive_name(stem: &str, number: ArchiveNumber) -> String {
    format!("{stem}[{number}].{EXTENSION}")
}

/// The file name of the archived log that holds the changes after full backup `number`.
pub fn log_name(stem: &str, number: ArchiveNumber) -> String {
    format!("{stem}[{number}].4BL")
}

/// Every log in `folder` of a data file with this stem, current, archived or set aside, as far as names tell.
///
/// # Errors
/// When the folder cannot be read.
pub fn logs(folder: &Path, wanted: &str) -> Result<Vec<PathBuf>> {
    logs_marked(folder, wanted, &[SET_ASIDE])
}

/// The same, with those that a restore may need besides: that of a backup that was being made, and what was kept of a
/// damaged one.
///
/// # Errors
/// When the folder cannot be read.
pub fn all_logs(folder: &Path, wanted: &str) -> Result<Vec<PathBuf>> {
    logs_marked(folder, wanted, &[NEXT, SET_ASIDE, DAMAGED])
}

fn logs_marked(folder: &Path, wanted: &str, marks: &[&str]) -> Result<Vec<PathBuf>> {
    let is_log = |name: &str| {
        let archived = parse_log_name(name).is_some_and(|(stem, _)| stem == wanted);
        let current = name.strip_prefix(wanted).and_then(|rest| rest.strip_prefix(".journal"));
        archived || current.is_some_and(|rest| rest.is_empty() || marks.iter().any(|mark| is_marked(rest, mark)))
    };
    let mut found: Vec<PathBuf> =
        files(folder)?.into_iter().filter(|(_, name)| is_log(name)).map(|(path, _)| path).collect();
    found.sort();
    Ok(found)
}

/// Splits an archived log's file name into stem and number; `None` when it is not one.
pub fn parse_log_name(name: &str) -> Option<(String, ArchiveNumber)> {
    let as_archive = format!("{}{EXTENSION}", name.strip_suffix("4BL")?);
    parse_name(&as_archive).map(|(stem, number)| (stem.to_owned(), number))
}

/// The full backup after which an archived log of this name was begun; `None` when it is not one.
pub fn log_number(name: &str) -> Option<ArchiveNumber> {
    parse_log_name(name).map(|(_, number)| number)
}

/// Whether a file is named as an archived log: one that was read to its end before it got that name, and is never
/// written again.
pub fn is_archived_log(path: &Path) -> bool {
    path.extension().is_some_and(|end| end.eq_ignore_ascii_case("4BL"))
}

/// Whether a name goes on after `.journal` with this mark; what belongs to such a log, as its page table, is no log.
fn is_marked(rest: &str, mark: &str) -> bool {
    rest.strip_prefix(mark).is_some_and(|date| (mark == NEXT) == date.is_empty() && !date.ends_with(".pages"))
}

/// Splits an archive's file name into stem and number; `None` when it is not one.
pub fn parse_name(name: &str) -> Option<(&str, ArchiveNumber)> {
    let rest = name.strip_suffix("].4BK").or_else(|| name.strip_suffix("].4bk"))?;
    let (stem, digits) = rest.rsplit_once('[')?;
    if stem.is_empty() || digits.len() < 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some((stem, ArchiveNumber(digits.parse().ok()?)))
}

/// The archives of `folder`, newest number first: those with this stem, or all.
///
/// A folder that does not exist holds none. Files that carry the name of an archive but cannot be read are listed with
/// their problem, so that they are not overlooked. A repaired copy whose archive is not there any more stands in its
/// place: somebody deleted what was damaged.
///
/// # Errors
/// When the folder cannot be read.
pub fn list(folder: &Path, wanted: Option<&str>) -> Result<Vec<ArchiveEntry>> {
    let mut sets: BTreeMap<(String, ArchiveNumber), BTreeMap<u32, PathBuf>> = BTreeMap::new();
    let (mut found, mut notes) = (Vec::new(), Vec::new());
    for (path, name) in files(folder)? {
        if let Some((stem, number)) = parse_name(&name)
            && wanted.is_none_or(|w| w == stem)
        {
            found.push(describe(vec![path], number, false));
        } else if let Some((stem, number, segment)) = parse_segment_name(&name)
            && wanted.is_none_or(|w| w == stem)
        {
            sets.entry((stem.to_owned(), number)).or_default().insert(segment, path);
        } else if let Some((stem, number)) = name.strip_suffix(segments::NOTE_SUFFIX).and_then(parse_name)
            && wanted.is_none_or(|w| w == stem)
        {
            notes.push((path, stem.to_owned(), number));
        }
    }
    for (note, stem, number) in notes {
        let elsewhere = segments::read_note(&note, &stem, number);
        let elsewhere = elsewhere.into_iter().filter(|(_, path)| path.is_file()).collect::<Vec<_>>();
        if elsewhere.is_empty() {
            continue;
        }
        let known = sets.entry((stem, number)).or_default();
        let id = known.values().find_map(|path| segments::head_of(path)).map(|head| head.archive_id);
        // Another set may have taken the place of the one that the note is about.
        let of_same = |path: &Path| match (id, segments::head_of(path)) {
            (Some(id), Some(head)) => head.archive_id == id,
            _ => true,
        };
        for (segment, path) in elsewhere {
            if !known.contains_key(&segment) && of_same(&path) {
                known.insert(segment, path);
            }
        }
    }
    found.extend(sets.into_iter().map(|((_, number), files)| describe(files.into_values().collect(), number, true)));
    found.extend(repaired::all_copies(folder, wanted)?.0);
    found.sort_by(|a, b| (b.number, &b.path).cmp(&(a.number, &a.path)));
    Ok(found)
}

/// Files in `folder` that end as archives do, and do not have the name of one; none where it cannot be read.
pub fn of_other_names(folder: &Path) -> Vec<PathBuf> {
    let is_other = |name: &str| {
        name.to_ascii_uppercase().ends_with(&format!(".{EXTENSION}"))
            && parse_name(name).is_none()
            && parse_segment_name(name).is_none()
            && parse_copy(name).is_none()
    };
    let files = files(folder).unwrap_or_default();
    files.into_iter().filter(|(_, name)| is_other(name)).map(|(path, _)| path).collect()
}

/// The highest number among the archives with this stem, whatever their state, as far as it can be one; 0 without any.
///
/// # Errors
/// When the folder cannot be read.
pub fn highest_number(folder: &Path, wanted: &str) -> Result<ArchiveNumber> {
    Ok(highest_plausible(numbers(folder, wanted)?))
}

/// The numbers that occur in the names of archives with this stem, in no order.
///
/// # Errors
/// When the folder cannot be read.
pub fn numbers(folder: &Path, wanted: &str) -> Result<Vec<ArchiveNumber>> {
    let numbers = files(folder)?.into_iter().filter_map(|(_, name)| {
        let segment = parse_segment_name(&name).map(|(stem, number, _)| (stem, number));
        // A note stands for segments that all lie elsewhere.
        let archive = name.strip_suffix(segments::NOTE_SUFFIX).unwrap_or(&name);
        let (stem, number) = segment.or_else(|| parse_name(archive))?;
        (stem == wanted).then_some(number)
    });
    Ok(numbers.collect())
}

/// No data file has had so many backups that nobody knows of any more.
const JUMP_MAX: u32 = 1_000_000;

/// The highest of these numbers that backups can have led to. A name or a line of the settings that says four thousand
/// million would otherwise leave no number for the next backup.
pub fn highest_plausible(mut numbers: Vec<ArchiveNumber>) -> ArchiveNumber {
    numbers.sort();
    numbers.into_iter().fold(ArchiveNumber(0), |highest, number| {
        if number.0.saturating_sub(highest.0) <= JUMP_MAX { number } else { highest }
    })
}

pub(super) fn files(folder: &Path) -> Result<Vec<(PathBuf, String)>> {
    let fail = |e| Error::io("read the folder", folder, e);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(fail(e)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(fail)?;
        if let Ok(name) = entry.file_name().into_string() {
            found.push((entry.path(), name));
        }
    }
    Ok(found)
}

/// What the archive in `files`, whose name bears the number `named`, says of itself.
fn describe(files: Vec<PathBuf>, named: ArchiveNumber, segmented: bool) -> ArchiveEntry {
    let bytes = files.iter().map(|path| fs::metadata(path).map_or(0, |m| m.len())).sum();
    let path = files.first().cloned().unwrap_or_default();
    let elsewhere: BTreeSet<PathBuf> = files.iter().map(|f| crate::storage::folder_of(f).to_path_buf()).collect();
    let elsewhere: Vec<PathBuf> = elsewhere.into_iter().collect();
    let seen = Archive::glance_at_all(&path, &elsewhere);
    let not_whole = seen.as_ref().ok().and_then(|seen| seen.not_whole);
    let signed_by = seen.as_ref().ok().and_then(|seen| seen.signed_by);
    let seen = seen.map(|seen| seen.identity);
    // Segments that are elsewhere are no reason not to say what it is.
    let identity = seen.as_ref().ok().cloned().or_else(|| segmented.then(|| segments::head_of(&path)).flatten());
    let identity = identity.as_ref();
    ArchiveEntry {
        // A name can be changed by anybody; two that were swapped would make the older state the newest.
        number: identity.map_or(named, |i| i.number),
        bytes,
        moment: identity.map(|i| i.moment),
        data_bytes: identity.map_or(0, |i| u64::from(i.page_size) * u64::from(i.page_count)),
        page_size: identity.map(|i| i.page_size),
        data_file_id: identity.map(|i| i.data_file_id),
        made_of: identity.and_then(|i| i.data_file_path.clone()),
        installation: identity.and_then(|i| i.installation),
        is_of_other: false,
        put_by: None,
        archive_id: identity.map(|i| i.archive_id),
        missing: if segmented { segments::missing(&path, &elsewhere) } else { None },
        log_position: identity.and_then(|i| i.log_position),
        check: identity.and_then(|i| i.content.as_ref()).map(|content| content.check).unwrap_or_default(),
        check_note: identity.and_then(|i| i.content.as_ref()).and_then(|content| content.note.clone()),
        content: identity.and_then(|i| i.content.clone()),
        not_whole,
        signed_by,
        hold: hold::of(&files),
        options: identity.map(|i| i.options()).unwrap_or_default(),
        has_recovery_of_blocks: identity.is_some_and(|i| i.recovery >= Some(2)),
        problem: seen.err().map(|error| advised(error).report()),
        path,
        files,
        segmented,
    }
}

/// A glance looks at no recovery data: what is damaged at a glance may be whole again when every byte is read.
fn advised(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Damaged | ErrorKind::NotRecognised => error.hint(
            "Verify this archive: that tells whether its recovery data makes it whole, or what of it can still be \
             restored.",
        ),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rule_in_both_directions() {
        assert_eq!(archive_name("OMB_Edelweiss", ArchiveNumber(7)), "OMB_Edelweiss[0007].4BK");
        assert_eq!(archive_name("a", ArchiveNumber(12345)), "a[12345].4BK");
        assert_eq!(parse_name("OMB_Edelweiss[0007].4BK"), Some(("OMB_Edelweiss", ArchiveNumber(7))));
        assert_eq!(parse_name("a [x] [12345].4bk"), Some(("a [x] ", ArchiveNumber(12345))));
        for foreign in ["a.4BK", "a[12].4BK", "a[0001-0002].4BK", "[0001].4BK", "a[0001].4BK.part", "a[+001].4BK"] {
            assert_eq!(parse_name(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn repaired_copies_are_known_by_their_names() {
        assert_eq!(parse_copy("a b[0007] repaired.4BK"), Some(("a b", ArchiveNumber(7))));
        assert_eq!(parse_copy("a[0007] repaired 12.4BK"), Some(("a", ArchiveNumber(7))));
        for foreign in ["a[0007].4BK", "a[0007] repaired x.4BK", "a repaired.4BK", "a[07] repaired.4BK"] {
            assert_eq!(parse_copy(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn numbers_that_no_backup_led_to_do_not_count() {
        let highest = |numbers: &[u32]| highest_plausible(numbers.iter().copied().map(ArchiveNumber).collect()).0;
        assert_eq!(highest(&[]), 0);
        assert_eq!(highest(&[7, u32::MAX, 9, u32::MAX - 1]), 9);
        assert_eq!(highest(&[999_999, 1_700_000]), 1_700_000);
    }

    #[test]
    fn what_can_not_be_read_is_listed_with_its_problem() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        for name in ["b[0001].4BK.part", "a.part", "a[0002].4BK"] {
            fs::write(folder.path().join(name), "x")?;
        }
        assert_eq!(highest_number(folder.path(), "a")?, ArchiveNumber(2));
        assert_eq!(list(&folder.path().join("missing"), None)?, []);
        let entries = list(folder.path(), None)?;
        let problem = entries.first().and_then(|entry| entry.problem.as_ref()).ok_or("no problem")?;
        assert_eq!(entries.len(), 1);
        assert!(problem.hint.as_ref().is_some_and(|hint| hint.starts_with("Verify this archive: ")), "{problem:?}");
        Ok(())
    }
}
