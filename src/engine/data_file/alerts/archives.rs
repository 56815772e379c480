//! What is to be said of archives: damaged, renamed, not signed, gone, or known to the Backup journal alone.

use std::path::Path;

use super::shown;
use crate::{
    backup::{retention::BackupSet, soundness::Damaged},
    engine::status::{DataFileStatus, Unlisted},
    error::{ErrorReport, shell::quoted},
    storage,
    warning::{Warning, WarningKind},
};

/// Archives that are damaged or cannot be read, and those that a sound copy stands for.
pub(super) fn of_archives(status: &DataFileStatus) -> Vec<Warning> {
    let misnamed = status.own_archives().filter_map(|archive| Some((archive, archive.misnamed()?)));
    let misnamed = misnamed.map(|(archive, named)| {
        Warning::new(
            WarningKind::ArchiveRenamed,
            format!("{} holds full backup {}, not {named}: it was renamed", archive.path.display(), archive.number),
            "It is restored as what it is, never deleted, and does not count among those that are kept. Give it its \
             name back.",
        )
    });
    let mut found: Vec<Warning> = misnamed.chain(of_signatures(status)).chain(of_strangers(status)).collect();
    let others = status.copies.iter().filter(|copy| status.damage_of(copy).is_some());
    for archive in status.own_archives().chain(others) {
        let (damage, path) = (status.damage_of(archive), quoted(&archive.path));
        let (message, hint, is_repairable) = match (damage, &archive.problem) {
            (Some(damage), _) => (&damage.error.message, &damage.error.hint, damage.is_for_repair()),
            (None, Some(problem)) => (&problem.message, &problem.hint, false),
            (None, None) => continue,
        };
        // Of a damaged log no copy of the archive makes anything better.
        let is_of_logs = damage.is_some_and(|damage| damage.what == Damaged::Logs);
        if let Some(copy) = status.copy_of(archive).filter(|copy| copy.path != archive.path && !is_of_logs) {
            let message = format!(
                "archive {} is damaged; its repaired copy {} takes its place",
                archive.number,
                copy.path.display()
            );
            let hint = "Prove the copy with a test restore; then the damaged file can be deleted, and the copy be \
                        given its name.";
            found.push(Warning::new(WarningKind::ArchiveRepaired, message, hint));
            continue;
        }
        let repair =
            format!("Write a sound copy: strongroom repair {path}. Then look what is the matter with that disk.");
        let hint = if is_repairable { Some(repair) } else { hint.clone() };
        let what = match damage {
            Some(damage) if damage.what == Damaged::Logs && damage.is_repairable => "needs a log that is damaged",
            Some(damage) if damage.what == Damaged::Logs => "cannot be restored with its logs",
            Some(damage) if damage.by_test => "is not sound, as a test restore found",
            None if archive.problem.as_ref().is_some_and(ErrorReport::says_nothing) => "cannot be looked at",
            _ => "is not sound",
        };
        let message = format!("archive {} {what}: {message}", archive.number);
        found.push(Warning { kind: WarningKind::ArchiveDamaged, message, hint });
    }
    found
}

/// Archives among signed ones that this user's key did not sign, and that are newer than the first that it did.
fn of_signatures(status: &DataFileStatus) -> Option<Warning> {
    let ours = || status.sets.iter().filter(|set| set.is_ours());
    let first = ours().filter(|set| set.is_genuine).map(|set| set.number).min()?;
    let strange: Vec<&BackupSet> = ours().filter(|set| !set.is_genuine && set.number > first).collect();
    let newest = strange.iter().max_by_key(|set| set.number)?;
    let others = match strange.len() {
        1 => String::new(),
        count => format!(", and {} more", count - 1),
    };
    let path = newest.archive.display();
    Some(Warning::new(
        WarningKind::ArchiveNotSigned,
        format!(
            "archive {} is not signed by this user's key, though those before it are: {path}{others}",
            newest.number
        ),
        "Whoever can write the folder may have put it there. It pushes out none that is signed, and is restored only \
         by its own name. If the key was lost or replaced, or a backup could not be signed, make a full backup \
         now.",
    ))
}

/// Archives that a stranger may have put among those of the data file.
fn of_strangers(status: &DataFileStatus) -> Option<Warning> {
    let id = status.settings.data_file_id;
    let mut put = status.archives.iter().filter(|archive| archive.says_it_is_of(id));
    let (archive, stranger) = put.find_map(|archive| Some((archive, archive.put_by.as_ref()?)))?;
    let count = put.filter(|archive| archive.put_by.is_some()).count();
    let others = if count == 0 { String::new() } else { format!(", and {count} more") };
    Some(Warning::new(
        WarningKind::ArchiveOfStranger,
        format!("{} belongs to {stranger}, who may have put it there{others}", archive.path.display()),
        "Neither the data file nor the folder is that user's. It counts as no backup, and is restored only by its own \
         name. If it is yours, give it to the owner of the data file (chown); else keep that user from writing there.",
    ))
}

/// Archives that were made and are not there.
pub(super) fn of_gone(status: &DataFileStatus) -> Option<Warning> {
    let none_left = status.plan.is_some() && status.settings.last_number > 0 && status.own_archives().next().is_none();
    // One made elsewhere, with `--to`, took its number and left nothing here.
    let was_used = status.settings.places.iter().any(|place| place.folder == status.destination);
    let none_left = none_left && (was_used || status.destination == storage::folder_of(&status.facts.path));
    // The number that a copy brought with it is that of the archives of the other one.
    let none_left = none_left && !status.is_copy();
    let (number, folder) = (status.settings.last_number, status.destination.display());
    // What lies on a disk that is away is not gone.
    let is_away = |path: &&std::path::PathBuf| {
        status.destination_problem.is_some() && storage::folder_of(path) == status.destination
    };
    let message = match status.gone.as_ref().filter(|path| !is_away(path)) {
        Some(path) if !none_left => format!("the last full backup is gone: {} is not there any more", path.display()),
        _ if none_left => format!("the archives are gone: {number:04} was the last one, and none is in {folder}"),
        _ => return None,
    };
    let hint = "Bring them back from where they were moved to, or make a full backup now. Nothing older can be \
        restored without them.";
    Some(Warning::new(WarningKind::ArchivesGone, message, hint))
}

/// Backups that the settings know nothing of.
pub(super) fn of_unlisted(status: &DataFileStatus) -> Option<Warning> {
    let Unlisted { number, moment, archive, count } = status.unlisted.as_ref()?;
    let others = match count {
        1 => String::new(),
        count => format!(", and {} before it", count - 1),
    };
    let message = format!(
        "the Backup journal knows a newer full backup than those found: {number} of {}, written as {}{others}",
        shown(moment),
        archive.display()
    );
    let hint = format!(
        "The settings do not name its folder: those of an older state may have been put back. If it is the one in \
         use: strongroom settings {} {}.",
        quoted(&status.facts.path),
        quoted(Path::new(&format!("destination.folder={}", storage::folder_of(archive).display())))
    );
    Some(Warning::new(WarningKind::ArchivesGone, message, hint))
}
