//! The archives in a folder: their names, their numbers, and what each says of itself.
//!
//! Names follow one rule: the data file's name without extension, the number in square brackets with at least four digits,
//! and `.4BK`: `OMB_Edelweiss[0001].4BK`.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use chrono::{DateTime, FixedOffset};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{format::ArchiveNumber, reader::Archive};
use crate::{
    error::{Error, ErrorReport, Result},
    journal::{Position, open::SET_ASIDE},
    storage::{PART_SUFFIX, is_leftover},
};

/// The end of an archive's name.
pub const EXTENSION: &str = "4BK";

/// One file in the list of archives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveEntry {
    /// Where it is.
    pub path: PathBuf,
    /// The number in its name.
    pub number: ArchiveNumber,
    /// Length in bytes.
    pub bytes: u64,
    /// The moment of the state it holds; `None` when it can not be read.
    pub moment: Option<DateTime<FixedOffset>>,
    /// Size of the data file inside, in bytes; 0 when it can not be read.
    pub data_bytes: u64,
    /// Which data file it belongs to.
    pub data_file_id: Option<Uuid>,
    /// Where in the log it was cut, if there was one.
    pub log_position: Option<Position>,
    /// What is wrong with its header or its end, as far as a quick look shows.
    pub problem: Option<ErrorReport>,
}

/// The part of all its archives' names that comes from the data file: its name without extension.
pub fn stem(data_file: &Path) -> String {
    data_file.file_stem().unwrap_or(OsStr::new("data")).to_string_lossy().into_owned()
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
/// When the folder can not be read.
pub fn logs(folder: &Path, wanted: &str) -> Result<Vec<PathBuf>> {
    let is_log = |name: &str| {
        let archived = name
            .strip_suffix("4BL")
            .is_some_and(|rest| parse_name(&format!("{rest}{EXTENSION}")).is_some_and(|(stem, _)| stem == wanted));
        let current = name.strip_prefix(wanted).and_then(|rest| rest.strip_prefix(".journal"));
        archived || current.is_some_and(|rest| rest.is_empty() || rest.starts_with(SET_ASIDE))
    };
    let mut found: Vec<PathBuf> =
        names(folder)?.into_iter().filter(|(_, name)| is_log(name)).map(|(path, _)| path).collect();
    found.sort();
    Ok(found)
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
/// A folder that does not exist holds none. Files that carry the name of an archive but can not be read are listed with
/// their problem, so that they are not overlooked.
///
/// # Errors
/// When the folder can not be read.
pub fn list(folder: &Path, wanted: Option<&str>) -> Result<Vec<ArchiveEntry>> {
    let mut found: Vec<ArchiveEntry> = names(folder)?
        .into_iter()
        .filter_map(|(path, name)| {
            let (stem, number) = parse_name(&name)?;
            wanted.is_none_or(|w| w == stem).then(|| describe(path, number))
        })
        .collect();
    found.sort_by(|a, b| (b.number, &b.path).cmp(&(a.number, &a.path)));
    Ok(found)
}

/// The highest number among the archives with this stem, whatever their state; 0 without any.
///
/// # Errors
/// When the folder can not be read.
pub fn highest_number(folder: &Path, wanted: &str) -> Result<ArchiveNumber> {
    let numbers = names(folder)?.into_iter().filter_map(|(_, name)| match parse_name(&name) {
        Some((stem, number)) if stem == wanted => Some(number),
        _ => None,
    });
    Ok(numbers.max().unwrap_or_default())
}

/// Removes what interrupted backups of this data file left in `folder`, and returns it; files being written stay.
///
/// # Errors
/// When the folder can not be read.
pub fn remove_leftovers(folder: &Path, wanted: &str) -> Result<Vec<PathBuf>> {
    let mut removed = Vec::new();
    for (path, name) in names(folder)? {
        let archive = name.strip_suffix(PART_SUFFIX).and_then(parse_name);
        if archive.is_some_and(|(stem, _)| stem == wanted) && is_leftover(&path) && fs::remove_file(&path).is_ok() {
            removed.push(path);
        }
    }
    Ok(removed)
}

fn names(folder: &Path) -> Result<Vec<(PathBuf, String)>> {
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

fn describe(path: PathBuf, number: ArchiveNumber) -> ArchiveEntry {
    let bytes = fs::metadata(&path).map_or(0, |m| m.len());
    match Archive::glance(&path) {
        Ok(identity) => ArchiveEntry {
            number,
            bytes,
            moment: Some(identity.moment),
            data_bytes: u64::from(identity.page_size) * u64::from(identity.page_count),
            data_file_id: Some(identity.data_file_id),
            log_position: identity.log_position,
            problem: None,
            path,
        },
        Err(error) => ArchiveEntry {
            number,
            bytes,
            moment: None,
            data_bytes: 0,
            data_file_id: None,
            log_position: None,
            problem: Some(error.report()),
            path,
        },
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
    fn only_leftovers_of_this_data_file_are_removed() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        for name in ["a[0001].4BK.part", "b[0001].4BK.part", "a.part", "a[0002].4BK"] {
            fs::write(folder.path().join(name), "x")?;
        }
        assert_eq!(remove_leftovers(folder.path(), "a")?, [folder.path().join("a[0001].4BK.part")]);
        assert_eq!(highest_number(folder.path(), "a")?, ArchiveNumber(2));
        assert_eq!(list(&folder.path().join("missing"), None)?, []);
        let entries = list(folder.path(), None)?;
        assert!(entries.len() == 1 && entries[0].problem.is_some());
        Ok(())
    }
}
