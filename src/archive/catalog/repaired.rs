//! Sound copies that repairs wrote of damaged archives: beside those, or in their place.

use std::{collections::BTreeSet, path::Path};

use super::{ArchiveEntry, ArchiveNumber, describe, files, parse_name, parse_segment_name, segments};
use crate::error::Result;

/// The copies in `folder` that repairs wrote of archives with this stem, or of all, `Name[0006] repaired.4BK`: each has
/// the number and the identity of the archive whose place it can take. One that [`list`](super::list) has in that place
/// is not among them.
///
/// # Errors
/// When the folder cannot be read.
pub fn copies(folder: &Path, wanted: Option<&str>) -> Result<Vec<ArchiveEntry>> {
    Ok(all_copies(folder, wanted)?.1)
}

/// Repaired copies that stand in the place of an archive that is not there, one for each, and all others.
pub(super) fn all_copies(folder: &Path, wanted: Option<&str>) -> Result<(Vec<ArchiveEntry>, Vec<ArchiveEntry>)> {
    let mut originals: BTreeSet<(String, ArchiveNumber)> = BTreeSet::new();
    let mut found: Vec<(String, ArchiveEntry)> = Vec::new();
    for (path, name) in files(folder)? {
        let archive = name.strip_suffix(segments::NOTE_SUFFIX).unwrap_or(&name);
        let segment = parse_segment_name(&name).map(|(stem, number, _)| (stem, number));
        if let Some((stem, number)) = segment.or_else(|| parse_name(archive)) {
            originals.insert((stem.to_owned(), number));
        } else if let Some((stem, number)) = parse_copy(&name)
            && wanted.is_none_or(|wanted| wanted == stem)
        {
            found.push((stem.to_owned(), describe(vec![path], number, false)));
        }
    }
    // The first one that can be read takes the place.
    found.sort_by(|(_, a), (_, b)| {
        (b.number, a.problem.is_some(), &a.path).cmp(&(a.number, b.problem.is_some(), &b.path))
    });
    let (mut in_place, mut others) = (Vec::new(), Vec::new());
    for (stem, copy) in found {
        if originals.insert((stem, copy.number)) { in_place.push(copy) } else { others.push(copy) }
    }
    Ok((in_place, others))
}

/// Splits the file name of a repaired copy into stem and number.
pub(in crate::archive) fn parse_copy(name: &str) -> Option<(&str, ArchiveNumber)> {
    let (archive, mark) = name.strip_suffix(".4BK")?.rsplit_once(" repaired")?;
    let is_counted = mark.is_empty() || mark.strip_prefix(' ').is_some_and(|n| n.parse::<u32>().is_ok());
    let (stem, digits) = archive.strip_suffix(']').filter(|_| is_counted)?.rsplit_once('[')?;
    let is_number = digits.len() >= 4 && digits.bytes().all(|b| b.is_ascii_digit());
    (is_number && !stem.is_empty()).then(|| Some((stem, ArchiveNumber(digits.parse().ok()?)))).flatten()
}
