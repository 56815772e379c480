//! The archives that are known of a data file: where they lie, which are its own, and the next number.

use std::path::{Path, PathBuf};

use super::{marks, places::Purpose};
use crate::{
    archive::{
        Archive, ArchiveNumber,
        catalog::{self, ArchiveEntry},
        keys::PublicKey,
    },
    error::{Error, ErrorKind, ErrorReport, Result},
    settings::{
        Settings, SettingsFile,
        copies::{self, Sharing},
        default_destination,
    },
};

/// The folder for archives in force.
pub fn destination(data_file: &Path, settings: &SettingsFile) -> PathBuf {
    destination_by(data_file, settings.settings())
}

/// The folder for archives that `settings` mean.
pub fn destination_by(data_file: &Path, settings: &Settings) -> PathBuf {
    settings.destination.folder.clone().unwrap_or_else(|| default_destination(data_file))
}

/// Notes the folder for archives that `after` leaves, if archives of this data file lie there, so that they stay known.
pub fn keep_known(before: &Settings, after: &mut Settings, data_file: &Path) {
    let (old, new) = (destination_by(data_file, before), destination_by(data_file, after));
    if old != new {
        let holds = catalog::highest_number(&old, &catalog::stem(data_file)).is_ok_and(|n| n != ArchiveNumber(0));
        // Whoever chooses another folder because a disk is missing finds its archives again when it is back.
        let is_missing = marks::look(data_file, before, Purpose::Archives).is_err();
        let earlier = &mut after.destination.earlier;
        earlier.retain(|folder| *folder != new && *folder != old);
        if holds || is_missing {
            earlier.push(old);
        }
    }
}

/// All archives known of `data_file`, newest first: those in its folder, and those in folders chosen earlier.
///
/// # Errors
/// When the folder in force cannot be read, or is not the one that was used; earlier ones may be gone.
pub fn archives(data_file: &Path, settings: &Settings) -> Result<Vec<ArchiveEntry>> {
    let (found, problem) = archives_there(data_file, settings);
    problem.map_or(Ok(found), Err)
}

/// As [`archives`], as far as they are there now; with the reason why those in the folder in force are not among them.
pub fn archives_there(data_file: &Path, settings: &Settings) -> (Vec<ArchiveEntry>, Option<Error>) {
    let stem = catalog::stem(data_file);
    let in_force = marks::look(data_file, settings, Purpose::Archives)
        .and_then(|_| catalog::list(&destination_by(data_file, settings), Some(&stem)));
    let (mut found, problem) = match in_force {
        Ok(found) => (found, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    for folder in &settings.destination.earlier {
        found.extend(catalog::list(folder, Some(&stem)).unwrap_or_default());
    }
    found.sort_by(|a, b| (b.number, &b.path).cmp(&(a.number, &a.path)));
    found.dedup_by(|a, b| a.path == b.path);
    copies::mark(data_file, settings, &mut found);
    (found, problem)
}

/// The other data files that have the same identity, as far as archives in the folders of this one tell.
pub fn sharing(data_file: &Path, settings: &Settings) -> Vec<Sharing> {
    let (mut found, _) = archives_there(data_file, settings);
    copies::mark(data_file, settings, &mut found)
}

/// What is to be said where the newest archive before `number` was signed, and not by `key`.
pub(super) fn other_key(
    data_file: &Path,
    settings: &Settings,
    number: ArchiveNumber,
    key: PublicKey,
) -> Option<ErrorReport> {
    let (known, _) = archives_there(data_file, settings);
    let is_before = |entry: &&ArchiveEntry| entry.number < number && entry.problem.is_none();
    let before = known.iter().filter(|entry| entry.is_of(settings.data_file_id)).find(is_before)?;
    let other = Archive::open(&before.path).ok()?.signed(&[]).key().filter(|other| *other != key)?;
    let message = format!("it is signed by key {key}, and backup {} before it by another one, {other}", before.number);
    let error = Error::new(ErrorKind::Partial, message).hint(
        "Where the key that this user had was lost, a new one was made: keep a copy of its public half where the \
         archives are not (strongroom key), beside that of the old one. If nobody knows why, find out who signs here.",
    );
    Some(error.report())
}

/// Numbers are never used again: the next one is above every archive in the folder and every number noted in the
/// settings.
pub(super) fn next_number(data_file: &Path, settings: &SettingsFile, folder: &Path) -> Result<ArchiveNumber> {
    let (stem, earlier) = (catalog::stem(data_file), &settings.settings().destination.earlier);
    let mut numbers = catalog::numbers(folder, &stem)?;
    numbers.extend(earlier.iter().flat_map(|folder| catalog::numbers(folder, &stem).unwrap_or_default()));
    numbers.push(ArchiveNumber(settings.settings().last_number));
    Ok(catalog::highest_plausible(numbers).next())
}

/// The archived log that ends where full backup `number` begins: beside the current log, so that it is only renamed.
pub fn archived_log(log: &Path, data_file: &Path, number: ArchiveNumber) -> PathBuf {
    log.with_file_name(catalog::log_name(&catalog::stem(data_file), ArchiveNumber(number.0.saturating_sub(1))))
}
