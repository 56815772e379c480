//! Whether an archive that is there leads to the log in use. A log can hold every commit and be worth nothing: where
//! the full backup that it goes on from was deleted, and those made since were made without it, nobody can restore what
//! it holds.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::marks;
use crate::{
    archive::catalog::{self, ArchiveEntry},
    error::{Error, ErrorKind, ErrorReport},
    journal::{Position, reader::LogReader},
    settings::Settings,
    storage,
};

/// Whether one of `archives`, all that are there of `data_file`, leads to the log that its settings name, through
/// archived logs if need be. `None` where that is not known: the log cannot be read, was begun without a full backup,
/// or disks with archives take turns.
pub fn leads(data_file: &Path, settings: &Settings, archives: &[ArchiveEntry]) -> Option<bool> {
    let log = settings.log.file.as_deref()?;
    let header = LogReader::open(log).ok()?.header().clone();
    let is_own = Some(header.identity) == settings.data_file_id;
    if !is_own || !header.rooted || header.base.archive == 0 || marks::take_turns(data_file, settings) {
        return None;
    }
    let own: Vec<&ArchiveEntry> = archives.iter().filter(|archive| archive.is_of(settings.data_file_id)).collect();
    let stem = catalog::stem(data_file);
    let mut folders = BTreeSet::from([storage::folder_of(log).to_path_buf()]);
    folders.extend(own.iter().map(|archive| storage::folder_of(&archive.path).to_path_buf()));
    let logs = folders.iter().flat_map(|folder| catalog::logs(folder, &stem).unwrap_or_default());
    let logs: Vec<PathBuf> = logs.filter(|path| path != log).collect();
    let mut wanted = header.base;
    loop {
        if own.iter().any(|archive| archive.log_position == Some(wanted)) {
            return Some(true);
        }
        match logs.iter().find_map(|path| base_of_one_before(path, &wanted)) {
            Some(base) => wanted = base?,
            None => return Some(false),
        }
    }
}

/// What is to be said where none does.
pub fn problem(data_file: &Path, settings: &Settings, archives: &[ArchiveEntry]) -> Option<ErrorReport> {
    let log = settings.log.file.as_deref().filter(|_| leads(data_file, settings, archives) == Some(false))?;
    let number = LogReader::open(log).ok()?.header().base.archive;
    // One that cannot be read may be the very archive.
    let unread = archives.iter().find(|archive| archive.number.0 == number && is_unread(archive));
    if let Some((archive, why)) = unread.and_then(|archive| Some((archive, archive.problem.as_ref()?))) {
        let message = format!(
            "whether an archive leads to the log {} cannot be told: {}, which it goes on from, cannot be read",
            log.display(),
            archive.path.display()
        );
        let hint = why.hint.clone().unwrap_or_default();
        return Some(Error::new(why.kind, message).hint(hint).report());
    }
    let message = format!(
        "no archive leads to the log {}: full backup {number:04}, which it goes on from, is not there, and what was \
         committed since cannot be restored from it",
        log.display()
    );
    let hint =
        "Make a full backup now: the log goes on from it. Or bring that archive back from where it was moved to.";
    Some(Error::new(ErrorKind::NotFound, message).hint(hint).report())
}

fn is_unread(archive: &ArchiveEntry) -> bool {
    archive.problem.as_ref().is_some_and(ErrorReport::says_nothing)
}

/// The base of the archived log at `path` where that ends at `position`; `Some(None)` where only its records could tell
/// whether it does.
#[allow(clippy::option_option)]
fn base_of_one_before(path: &Path, position: &Position) -> Option<Option<Position>> {
    let reader = LogReader::open(path).ok()?;
    let base = reader.header().base;
    if base.archive >= position.archive || base.commit > position.commit {
        return None;
    }
    let end = reader.index().map(|index| (base.commit + index.records(), index.chain().unwrap_or(base.chain)));
    match end {
        Some(end) => (end == (position.commit, position.chain)).then_some(Some(base)),
        None => Some(None),
    }
}
