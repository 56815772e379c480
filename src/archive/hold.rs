//! Archives that are kept for ever: a small file beside each, `Name[0004].4BK.hold`, with the reason for people.
//!
//! It lies beside the archive, so that it outlives the program's own folders, goes where the archive goes when both are
//! copied, and is seen by every user and on every machine. That it is there is what counts: also one that is empty or
//! cannot be read holds. Of an archive in segments it lies in every folder that has some.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use chrono::{DateTime, FixedOffset};
use serde::{Deserialize, Serialize};
use toml_edit::{DocumentMut, Value};

use super::{
    catalog::{self, ArchiveEntry},
    format::ArchiveNumber,
    segments::parse_segment_name,
};
use crate::{
    error::{Error, ErrorKind, Result, foreign::foreign, shell::quoted},
    storage::{
        self, Disk, Ownership, Storage,
        regular::{self, Links},
    },
};

/// What follows the name of the archive in that of the file.
pub const SUFFIX: &str = ".hold";
/// A longer note is cut off.
pub const NOTE_MAX: usize = 1000;
/// A longer file is not read.
const BYTES_MAX: u64 = 64 << 10;

/// That an archive is kept for ever, and why.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Hold {
    /// The reason.
    #[serde(default)]
    pub note: Option<String>,
    /// Since when.
    #[serde(default)]
    pub since: Option<DateTime<FixedOffset>>,
    /// Whether Strongroom did it, because a later backup holds drastically other content.
    #[serde(default)]
    pub automatic: bool,
}

impl Hold {
    /// For a list: `held (before the migration)`.
    pub fn in_words(&self) -> String {
        match &self.note {
            Some(note) => format!("held ({note})"),
            None => "held".to_owned(),
        }
    }
}

/// The hold of the archive with these files, if there is one.
pub fn of(files: &[PathBuf]) -> Option<Hold> {
    places(files).iter().find_map(|path| read(path))
}

/// Where the files of a hold lie.
fn places(files: &[PathBuf]) -> Vec<PathBuf> {
    let named = files.first().and_then(|file| file.file_name()).map(|name| name.to_string_lossy().into_owned());
    let Some((stem, number)) = named.as_deref().and_then(parse) else { return Vec::new() };
    let name = format!("{}{SUFFIX}", catalog::archive_name(stem, number));
    let folders: BTreeSet<&Path> = files.iter().map(|file| storage::folder_of(file)).collect();
    folders.into_iter().map(|folder| folder.join(&name)).collect()
}

fn parse(name: &str) -> Option<(&str, ArchiveNumber)> {
    catalog::parse_name(name).or_else(|| parse_segment_name(name).map(|(stem, number, _)| (stem, number)))
}

fn read(path: &Path) -> Option<Hold> {
    match path.symlink_metadata() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return None,
        // Whether it is there is not known: then it counts as there.
        Err(_) => return Some(Hold::default()),
        Ok(meta) if !meta.is_file() || meta.len() > BYTES_MAX => return Some(Hold::default()),
        Ok(_) => {}
    }
    let bytes = regular::read(path, Links::Refused, BYTES_MAX).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let document: DocumentMut = text.parse().unwrap_or_default();
    let word = |key: &str| document.get(key).and_then(|item| item.as_str()).map(str::to_owned);
    Some(Hold {
        note: word("note").as_deref().and_then(plain),
        since: word("since").and_then(|text| DateTime::parse_from_rfc3339(&text).ok()),
        automatic: document.get("automatic").and_then(|item| item.as_bool()).unwrap_or(false),
    })
}

/// A note as one line; `None` without one.
fn plain(note: &str) -> Option<String> {
    let line: String = note.chars().map(|c| if c.is_control() { ' ' } else { c }).take(NOTE_MAX).collect();
    Some(line.trim().to_owned()).filter(|line| !line.is_empty())
}

/// Keeps `archive` for ever; a hold that it has already gives way. Returns it with what is known of it now.
///
/// # Errors
/// `NotFound`; `Refused` where it has not the name of an archive; those of the disk.
pub fn hold(archive: &Path, hold: &Hold) -> Result<ArchiveEntry> {
    let entry = find(archive)?;
    let places = places(&entry.files);
    let name = places.first().and_then(|path| path.file_stem()).unwrap_or_default().to_string_lossy().into_owned();
    let mut document = DocumentMut::new();
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            document[key] = toml_edit::value(value);
        }
    };
    set("since", hold.since.map(|since| since.to_rfc3339().into()));
    set("note", hold.note.as_deref().and_then(plain).map(Value::from));
    set("automatic", hold.automatic.then(|| true.into()));
    let text = format!(
        "# {} is held: Strongroom never deletes it as long as this file is here.\n# To release it: strongroom hold \
         {} --release, or delete this file.\n\n{document}",
        foreign(&name),
        quoted(&name)
    );
    for place in &places {
        storage::replace_text(place, &text, Ownership::of(&entry.path))?;
    }
    find(archive)
}

/// Lets retention have `archive` again. Returns it, and whether it was held.
///
/// # Errors
/// As [`hold`].
pub fn release(archive: &Path) -> Result<(ArchiveEntry, bool)> {
    let entry = find(archive)?;
    let mut was_held = false;
    for place in places(&entry.files) {
        match Disk.remove(&place) {
            Ok(()) => was_held = true,
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            Err(e) => return Err(e),
        }
        Disk.sync_folder(storage::folder_of(&place))?;
    }
    Ok((find(archive)?, was_held))
}

/// The archive that `path` is, or is a segment of.
fn find(path: &Path) -> Result<ArchiveEntry> {
    if !path.is_file() {
        return Err(Error::new(ErrorKind::NotFound, format!("{} does not exist", path.display()))
            .hint("Give the path of an archive; strongroom list DATAFILE shows them."));
    }
    let path = std::path::absolute(path).map_err(|e| Error::io("find", path, e))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if let Some((stem, number)) = catalog::repaired::parse_copy(&name) {
        let message = format!("{} is a repaired copy, which no rule ever deletes", path.display());
        return Err(Error::new(ErrorKind::Refused, message).hint(format!(
            "It stays as it is. Once the damaged archive is gone, give it that name, {}, and it can be held and counts \
             among those that are kept.",
            catalog::archive_name(stem, number)
        )));
    }
    let Some((stem, _)) = parse(&name) else {
        return Err(Error::new(ErrorKind::Refused, format!("{} is not named as an archive is", path.display())).hint(
            "Retention never deletes a file that was renamed. To hold it, give it its own name again, such as \
                   Name[0004].4BK.",
        ));
    };
    let is_it = |entry: &ArchiveEntry| entry.path == path || entry.files.contains(&path);
    let found = catalog::list(storage::folder_of(&path), Some(stem))?.into_iter().find(is_it);
    found.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("{} is not among the archives of its folder", path.display()))
            .hint("Give the path of an archive; strongroom list DATAFILE shows them.")
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn a_hold_is_kept_beside_its_archive_and_holds_whatever_is_in_it() -> Outcome {
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name);
        // What is inside does not matter: a damaged archive may be evidence.
        for name in ["a[0004].4BK", "a[0005].4BK", "a[0006-0001].4BK", "a[0006-0002].4BK"] {
            fs::write(at(name), "x")?;
        }
        let since = DateTime::parse_from_rfc3339("2026-11-26T01:02:03+01:00")?;
        let note = Some(" before\n\"the\" migration ".to_owned());
        let held = hold(&at("a[0004].4BK"), &Hold { note, since: Some(since), automatic: true })?;
        let note = Some("before \"the\" migration".to_owned());
        assert_eq!(held.hold, Some(Hold { note, since: Some(since), automatic: true }));
        hold(&at("a[0004].4BK"), &Hold::default())?;
        assert_eq!(of(&[at("a[0004].4BK")]), Some(Hold::default()), "the later one counts");
        let segmented = hold(&at("a[0006-0002].4BK"), &Hold::default())?;
        assert_eq!((segmented.number, segmented.files.len(), segmented.hold.is_some()), (ArchiveNumber(6), 2, true));
        assert!(at("a[0006].4BK.hold").is_file());
        fs::write(at("a[0005].4BK.hold"), [0xff, 0x00])?;
        assert_eq!(of(&[at("a[0005].4BK")]), Some(Hold::default()));
        let held: Vec<bool> = catalog::list(folder.path(), None)?.iter().map(|entry| entry.hold.is_some()).collect();
        assert_eq!(held, [true, true, true]);
        let (released, was_held) = release(&at("a[0006-0001].4BK"))?;
        assert!(was_held && released.hold.is_none() && !at("a[0006].4BK.hold").exists());
        assert!(!release(&at("a[0006-0001].4BK"))?.1);
        assert_eq!(catalog::highest_number(folder.path(), "a")?, ArchiveNumber(6));
        Ok(())
    }

    #[test]
    fn what_can_not_be_held_is_said() -> Outcome {
        let folder = tempfile::tempdir()?;
        let renamed = folder.path().join("a[0004] keep.4BK");
        fs::write(&renamed, "x")?;
        for (path, kind) in [(renamed, ErrorKind::Refused), (folder.path().join("a[0009].4BK"), ErrorKind::NotFound)] {
            let error = hold(&path, &Hold::default()).err().ok_or("held")?;
            assert_eq!(error.kind(), kind);
            assert!(error.hint_text().is_some());
            assert_eq!(release(&path).err().map(|e| e.kind()), Some(kind));
        }
        assert_eq!(fs::read_dir(folder.path())?.count(), 1);
        Ok(())
    }
}
