//! What interrupted backups left: found again by their lists, and removed by the next backup.
//!
//! A list is a file that others may be able to write, so it decides over little. It carries the identity of the
//! archive; it counts in its own folder, and in another one only where that has a list with the same identity; and a
//! file under a final name goes only when its own head says that it belongs to that archive, which is not complete. So
//! whoever can write one folder can have nothing removed in another.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use uuid::Uuid;

use super::{
    catalog::{archive_name, files, parse_name},
    format::ArchiveNumber,
    reader::Archive,
    segments::{self, parse_segment_name},
};
use crate::{
    error::Result,
    storage::{
        PART_SUFFIX, folder_of, have_same_owner, is_leftover,
        regular::{self, Links},
    },
};

/// A list has a line for each segment; a longer file is none.
const LIST_BYTES_MAX: u64 = 64 << 20;

/// The first line of the list of the archive `id`.
pub(super) fn first_line(id: Uuid) -> String {
    format!("archive {id}\n")
}

/// The list of the segments of an archive in a folder.
pub(super) fn list_path(folder: &Path, stem: &str, number: ArchiveNumber) -> PathBuf {
    folder.join(format!("{}{PART_SUFFIX}", archive_name(stem, number)))
}

/// Removes what interrupted backups of this data file left in `folder`, and returns it; files being written stay.
///
/// # Errors
/// When the folder cannot be read.
pub fn remove_leftovers(folder: &Path, wanted: &str) -> Result<Vec<PathBuf>> {
    let mut removed = Vec::new();
    let mut remove = |path: PathBuf| {
        if fs::remove_file(&path).is_ok() {
            removed.push(path);
        }
    };
    for (path, name) in files(folder)? {
        let archive = name.strip_suffix(PART_SUFFIX).and_then(parse_name);
        let Some((stem, number)) = archive.filter(|(stem, _)| *stem == wanted) else { continue };
        if !is_leftover(&path) {
            continue;
        }
        // Of an archive in segments this is the list.
        for file in of_list(&path, stem, number) {
            remove(file);
        }
        // The list last: as long as it is there, the set is known to be incomplete.
        remove(path);
    }
    // Segments of which even the list is gone.
    for (path, name) in files(folder)? {
        let segment = name.strip_suffix(PART_SUFFIX).and_then(parse_segment_name);
        let Some((stem, number, _)) = segment.filter(|(stem, _, _)| *stem == wanted) else { continue };
        if !list_path(folder, stem, number).exists() && is_leftover(&path) {
            remove(path);
        }
    }
    Ok(removed)
}

/// What still lies in `folder` under temporary names of archives of this data file, by their numbers: files being
/// written, and whatever somebody else put there, which may be no file and cannot always be removed.
///
/// # Errors
/// When the folder cannot be read.
pub fn in_the_way(folder: &Path, wanted: &str) -> Result<BTreeMap<ArchiveNumber, PathBuf>> {
    let found = files(folder)?.into_iter().filter_map(|(path, name)| {
        let name = name.strip_suffix(PART_SUFFIX)?;
        let name = name.strip_suffix(segments::NOTE_SUFFIX).unwrap_or(name);
        let segment = parse_segment_name(name).map(|(stem, number, _)| (stem, number));
        let (_, number) = segment.or_else(|| parse_name(name)).filter(|(stem, _)| *stem == wanted)?;
        Some((number, path))
    });
    Ok(found.collect())
}

/// The files that go with a list nobody holds: of a set that was never complete all of them, the last segment first; of
/// a complete one, of which only the lists were left, those in other folders.
fn of_list(list: &Path, stem: &str, number: ArchiveNumber) -> Vec<PathBuf> {
    let text = regular::read(list, Links::Refused, LIST_BYTES_MAX).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.lines();
    // One of an earlier version says nothing of the kind; then nothing but temporary names beside it goes, with the
    // next step.
    let id = lines.next().and_then(|line| line.strip_prefix("archive ")?.parse::<Uuid>().ok());
    let Some(id) = id else { return Vec::new() };
    let is_segment = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        path.is_absolute() && parse_segment_name(&name).is_some_and(|(s, n, _)| (s, n) == (stem, number))
    };
    let named: Vec<PathBuf> = lines.map(PathBuf::from).filter(is_segment).collect();
    let own = folder_of(list);
    let elsewhere: BTreeSet<&Path> = named.iter().map(|path| folder_of(path)).filter(|f| *f != own).collect();
    // What that folder itself says of the same archive.
    let lists: Vec<PathBuf> = elsewhere
        .into_iter()
        .map(|folder| list_path(folder, stem, number))
        .filter(|other| is_leftover(other) && have_same_owner(list, other) && says(other, id))
        .collect();
    let folders: Vec<PathBuf> = lists.iter().map(|l| folder_of(l).to_path_buf()).chain([own.to_path_buf()]).collect();
    let mut parts = Vec::new();
    let mut finals = Vec::new();
    for path in named.iter().rev().filter(|path| folders.iter().any(|folder| folder == folder_of(path))) {
        let part = super::output::part_of(path);
        if is_leftover(&part) && have_same_owner(list, &part) {
            parts.push(part);
        }
        if is_of(path, id, number) && have_same_owner(list, path) {
            finals.push(path.clone());
        }
    }
    let all: Vec<PathBuf> = named.iter().map(|path| folder_of(path).to_path_buf()).collect();
    if finals.last().is_some_and(|first| Archive::open_with(first, &all).is_ok()) {
        return lists;
    }
    let notes = folders.iter().map(|folder| segments::note_path(folder, stem, number));
    let notes = notes.flat_map(|note| [super::output::part_of(&note), note]);
    let notes = notes.filter(|note| is_leftover(note) && have_same_owner(list, note)).collect::<Vec<_>>();
    finals.into_iter().chain(parts).chain(notes).chain(lists).collect()
}

/// Whether a list is about the archive `id`, or was cut off while that was written.
fn says(list: &Path, id: Uuid) -> bool {
    let line = first_line(id);
    regular::read(list, Links::Refused, LIST_BYTES_MAX)
        .is_ok_and(|text| text.starts_with(line.as_bytes()) || line.as_bytes().starts_with(&text))
}

/// Whether the file at `path` says of itself that it is a segment of the archive `id` with the number that its name
/// says.
fn is_of(path: &Path, id: Uuid, number: ArchiveNumber) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let segment = parse_segment_name(&name).map(|(_, _, segment)| segment);
    let is_file = path.symlink_metadata().is_ok_and(|meta| meta.is_file());
    is_file
        && segments::head_of(path)
            .is_some_and(|head| (head.archive_id, head.number, head.segment.map(|s| s.number)) == (id, number, segment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_leftovers_of_this_data_file_are_removed() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        for name in ["a[0001].4BK.part", "b[0001].4BK.part", "a.part", "a[0002].4BK", "a[0003-0001].4BK.part"] {
            fs::write(folder.path().join(name), "x")?;
        }
        let at = |name: &str| folder.path().join(name);
        assert_eq!(remove_leftovers(folder.path(), "a")?, [at("a[0001].4BK.part"), at("a[0003-0001].4BK.part")]);
        Ok(())
    }
}
