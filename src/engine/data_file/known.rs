//! What is known of a data file's protection, put together in one place: for whoever looks after it, and for whoever
//! only asks.

use std::path::Path;

use crate::{
    engine::{
        history::{HistoryEntry, JobKind, Outcome},
        status::{DataFileStatus, Finding, LastBackup, Unlisted},
    },
    storage,
};

/// The last full backup, and the last one that succeeded: from the Backup journal, or from the newest archive of its
/// own if that is newer.
pub(in crate::engine) fn take_history(status: &mut DataFileStatus, history: &[HistoryEntry]) {
    let ended: Vec<&HistoryEntry> = history
        .iter()
        .filter(|e| e.kind == JobKind::Backup && e.data_file.as_ref() == Some(&status.facts.path))
        .filter(|e| !matches!(e.outcome, Outcome::Running | Outcome::Skipped | Outcome::Missed))
        .collect();
    let last = |e: &&HistoryEntry| LastBackup {
        moment: e.started.fixed_offset(),
        number: e.number,
        outcome: e.outcome,
        error: e.error.clone(),
    };
    let newest = status.own_archives().filter(|a| a.problem.is_none()).find_map(|a| {
        let outcome = Outcome::Succeeded;
        a.moment.map(|moment| LastBackup { moment, number: Some(a.number), outcome, error: None })
    });
    let made = |e: &&&HistoryEntry| matches!(e.outcome, Outcome::Succeeded | Outcome::Partial);
    let newer = |noted: Option<LastBackup>| match (noted, newest.clone()) {
        (Some(noted), Some(newest)) if newest.number > noted.number && newest.moment > noted.moment => Some(newest),
        (Some(noted), _) => Some(noted),
        (None, newest) => newest,
    };
    let newest_made = ended.iter().find(made);
    // A repaired copy has taken its place.
    let stands_in = |number| status.own_archives().any(|own| Some(own.number) == number && own.problem.is_none());
    let newest_made = newest_made.filter(|entry| !stands_in(entry.number));
    status.gone = newest_made.and_then(|entry| entry.path.clone()).filter(|path| is_gone(status, path));
    status.unlisted = unlisted(status, ended.iter().filter(made));
    let (attempted, succeeded) = (ended.first().map(last), ended.iter().find(made).map(last));
    let failed = attempted.as_ref().is_some_and(|last| !matches!(last.outcome, Outcome::Succeeded | Outcome::Partial));
    status.last_backup = newer(attempted);
    status.last_success = newer(succeeded).filter(|_| failed).filter(|last| status.last_backup.as_ref() != Some(last));
}

/// Whether the archive of the last backup lay in a folder of this data file, and does not any more. What was made
/// elsewhere with another destination is nobody's to miss; neither is what cannot be looked at.
fn is_gone(status: &DataFileStatus, archive: &Path) -> bool {
    let settings = &status.settings.destination;
    let folder = storage::folder_of(archive);
    let is_known = folder == status.destination || settings.earlier.iter().any(|known| known == folder);
    let is_listed = status.archives.iter().any(|entry| entry.files.iter().any(|file| file == archive));
    let was_looked_at = status.plan.is_some() || status.plan_problem.is_some();
    is_known && was_looked_at && !is_listed && archive.symlink_metadata().is_err()
}

/// The backups of `made` that are newer than all that the settings know, and lie in folders that they do not name: so
/// it is where settings of an older state were put back by hand. Numbers that the settings have passed are known to
/// them.
fn unlisted<'a>(status: &DataFileStatus, made: impl Iterator<Item = &'a &'a HistoryEntry>) -> Option<Unlisted> {
    let newest = status.own_archives().map(|archive| archive.number.0).max().unwrap_or(0);
    let known = newest.max(status.settings.last_number);
    let destination = &status.settings.destination;
    let missing = made.filter_map(|entry| {
        let (number, archive) = (entry.number.filter(|number| number.0 > known)?, entry.path.clone()?);
        let folder = storage::folder_of(&archive);
        let is_named = folder == status.destination || destination.earlier.iter().any(|earlier| earlier == folder);
        (!is_named).then(|| Unlisted { number, moment: entry.started.fixed_offset(), archive, count: 1 })
    });
    let missing: Vec<Unlisted> = missing.collect();
    let newest = missing.iter().max_by_key(|missing| missing.number)?;
    Some(Unlisted { count: missing.len(), ..newest.clone() })
}

/// What was found damaged of the archives that are there.
pub(in crate::engine) fn take_findings(status: &mut DataFileStatus, findings: &[Finding]) {
    let all = || status.archives.iter().chain(&status.copies);
    let there = findings.iter().filter(|finding| all().any(|archive| finding.is_about(archive)));
    status.damaged = there.cloned().collect();
}
