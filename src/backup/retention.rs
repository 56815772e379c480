//! Which backups are kept: whole sets, an archive with its log.
//!
//! A set may be deleted only when its archive carries the name it was made with, says that it belongs to this data file and has
//! this number, and can be read. Everything else, renamed, foreign or damaged, is never touched and does not count. Of a set to
//! be deleted the log goes first, then the last segment, the first one last: what a crash leaves is an archive, which is deleted
//! the next time or said to be incomplete, and never a log alone.
//!
//! Kept beyond the number that the settings say:
//! - the newest good set, always;
//! - the set that the log in use stands on, if newer archives were made without it: without that archive the log would lead
//!   from nowhere to now;
//! - the logs of older sets, as long as a kept archive was cut from a log that is not found: it may be in the middle of one.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::destination_by;
use crate::{
    archive::{
        Archive, ArchiveNumber,
        catalog::{self, ArchiveEntry},
        log_recovery,
        segments::{note_path, parse_segment_name, segment_name},
    },
    control::Control,
    error::{ErrorKind, ErrorReport, Result},
    journal::{Position, format::LogHeader, reader::LogReader},
    settings::{Settings, sections::Keep},
    storage::{self, Storage},
};

/// An archive with its log, as far as both are ours to delete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupSet {
    /// Number of the full backup.
    pub number: ArchiveNumber,
    /// The archive; of segments the first.
    pub archive: PathBuf,
    /// All its files.
    pub files: Vec<PathBuf>,
    /// The logs that lead on from it, and from nothing else, with their recovery data.
    pub logs: Vec<PathBuf>,
    /// Length of all files together, in bytes.
    pub bytes: u64,
    /// Where in the log the archive was cut, if one was used.
    pub position: Option<Position>,
    /// Whether a log was found that begins exactly where this archive was cut.
    pub is_continued: bool,
    /// Whether the log in use begins there.
    pub is_in_use: bool,
    /// Why it is never deleted and does not count, if so.
    pub untouchable: Option<String>,
}

/// When the rule is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// A backup is about to be made.
    BeforeBackup,
    /// Now, or after a backup was made.
    Now,
}

/// What was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Deleted {
    /// Numbers of the full backups.
    pub numbers: Vec<ArchiveNumber>,
    /// Their files.
    pub files: Vec<PathBuf>,
    /// The bytes that became free.
    pub bytes: u64,
    /// Why not all of it could be deleted.
    pub problem: Option<ErrorReport>,
}

impl Deleted {
    /// Which backups were deleted, in words; `None` when none were.
    pub fn in_words(&self) -> Option<String> {
        let numbers: Vec<String> = self.numbers.iter().map(ArchiveNumber::to_string).collect();
        match numbers.as_slice() {
            [] => None,
            [one] => Some(format!("Backup {one} was deleted.")),
            [others @ .., last] => Some(format!("Backups {} and {last} were deleted.", others.join(", "))),
        }
    }
}

/// The sets of `data_file` in its folder for archives, newest first. `known` are the archives listed there.
pub fn sets(data_file: &Path, settings: &Settings, known: &[ArchiveEntry]) -> Vec<BackupSet> {
    let folder = destination_by(data_file, settings);
    let stem = catalog::stem(data_file);
    let identity = settings.data_file_id;
    let mut folders = BTreeSet::from([folder.clone()]);
    folders.extend(settings.log.file.as_deref().map(|log| storage::folder_of(log).to_path_buf()));
    let found = folders.iter().flat_map(|folder| catalog::logs(folder, &stem).unwrap_or_default());
    let logs: Vec<(PathBuf, LogHeader)> = found
        .filter_map(|path| LogReader::open(&path).ok().map(|reader| (path, reader.header().clone())))
        .filter(|(_, header)| Some(header.identity) == identity)
        .collect();
    let in_folder = known.iter().filter(|entry| storage::folder_of(&entry.path) == folder);
    let mut sets: Vec<BackupSet> = in_folder.map(|entry| set(entry, &stem, identity, settings, &logs)).collect();
    // The log from before the first full backup serves no restore; it goes with the first.
    let first = sets.iter_mut().filter(|set| set.untouchable.is_none()).min_by_key(|set| set.number);
    if let Some(first) = first {
        let before = |header: &LogHeader| header.base.archive == 0 && !header.rooted;
        for (path, _) in logs.iter().filter(|(path, header)| before(header) && is_archived(path)) {
            let files = with_recovery(path);
            first.bytes += files.iter().map(|path| length(path)).sum::<u64>();
            first.logs.extend(files);
        }
    }
    sets
}

fn length(path: &Path) -> u64 {
    path.metadata().map_or(0, |meta| meta.len())
}

/// An archived log with its recovery data, which is of no use without it and goes first.
fn with_recovery(log: &Path) -> Vec<PathBuf> {
    let recovery = log_recovery::companion(log);
    let found = recovery.symlink_metadata().is_ok_and(|meta| meta.is_file());
    found.then_some(recovery).into_iter().chain([log.to_path_buf()]).collect()
}

/// The log in use ends otherwise.
fn is_archived(log: &Path) -> bool {
    log.extension().is_some_and(|end| end.eq_ignore_ascii_case("4BL"))
}

fn set(
    entry: &ArchiveEntry,
    stem: &str,
    identity: Option<Uuid>,
    settings: &Settings,
    logs: &[(PathBuf, LogHeader)],
) -> BackupSet {
    let untouchable = why_untouchable(entry, stem, identity);
    let follows = |header: &LogHeader| header.rooted && Some(header.base) == entry.log_position;
    let begins_anew = |header: &LogHeader| !header.rooted && header.base.archive == entry.number.0;
    let own: Vec<PathBuf> = logs
        .iter()
        .filter(|(path, header)| is_archived(path) && (follows(header) || begins_anew(header)))
        .filter(|_| untouchable.is_none())
        .flat_map(|(path, _)| with_recovery(path))
        .collect();
    let running = |path: &PathBuf| settings.log.file.as_ref() == Some(path);
    BackupSet {
        number: entry.number,
        archive: entry.path.clone(),
        files: entry.files.clone(),
        bytes: entry.bytes + own.iter().map(|path| length(path)).sum::<u64>(),
        logs: own,
        position: entry.log_position,
        is_continued: logs.iter().any(|(_, header)| follows(header)),
        is_in_use: logs.iter().any(|(path, header)| running(path) && follows(header)),
        untouchable,
    }
}

fn why_untouchable(entry: &ArchiveEntry, stem: &str, identity: Option<Uuid>) -> Option<String> {
    if let Some(problem) = &entry.problem {
        return Some(problem.message.clone());
    }
    if entry.data_file_id.is_none() || entry.data_file_id != identity {
        return Some("it belongs to another data file".to_owned());
    }
    let name = |n: u32| match entry.segmented {
        true => segment_name(stem, entry.number, n),
        false => catalog::archive_name(stem, entry.number),
    };
    let named = entry.files.iter().zip(1..).all(|(file, n)| file.file_name().is_some_and(|f| *f == *name(n)));
    let number = Archive::glance(&entry.path).map(|identity| identity.number);
    if !named || number.ok() != Some(entry.number) {
        return Some("it was renamed".to_owned());
    }
    if !entry.segmented {
        return None;
    }
    let Ok(archive) = Archive::open(&entry.path) else { return Some("it can not be read".to_owned()) };
    let all: BTreeSet<&Path> = archive.files().collect();
    let here: BTreeSet<&Path> = entry.files.iter().map(PathBuf::as_path).collect();
    (all != here).then(|| "not all its segments are in the folder".to_owned())
}

/// Which of `sets` the rule deletes, oldest first; `busy` are archives in use by a job.
pub fn plan(sets: &[BackupSet], keep: &Keep, when: When, busy: &[PathBuf]) -> Vec<BackupSet> {
    if keep.all {
        return Vec::new();
    }
    let limit = match when {
        When::Now => keep.last.max(1),
        // The one about to be made counts; but a good one remains until then.
        When::BeforeBackup => keep.last.saturating_sub(1).max(1),
    };
    let mut good: Vec<&BackupSet> = sets.iter().filter(|set| set.untouchable.is_none()).collect();
    good.sort_by_key(|set| std::cmp::Reverse(set.number));
    let is_needed = |set: &BackupSet| set.is_in_use || busy.contains(&set.archive);
    let (kept, old): (Vec<(usize, &BackupSet)>, Vec<_>) =
        good.into_iter().enumerate().partition(|(place, set)| *place < limit as usize || is_needed(set));
    let unconnected = kept.iter().any(|(_, set)| set.position.is_some() && !set.is_continued);
    let mut delete: Vec<BackupSet> = old.into_iter().map(|(_, set)| set.clone()).collect();
    if unconnected {
        delete.iter_mut().for_each(|set| set.logs.clear());
    }
    delete.reverse();
    delete
}

/// Leaves out of `delete`, before a new backup is made, what must stay because nothing newer can be proven good: the newest
/// archive is read from the disk and compared with its checksums. Without a good one, nothing is deleted.
///
/// # Errors
/// `Stopped`.
pub fn unless_proven(delete: Vec<BackupSet>, sets: &[BackupSet], control: &Control) -> Result<Vec<BackupSet>> {
    let stays = |set: &&BackupSet| set.untouchable.is_none() && !delete.iter().any(|d| d.archive == set.archive);
    if delete.is_empty() {
        return Ok(delete);
    }
    for set in sets.iter().filter(stays) {
        match Archive::open(&set.archive).and_then(|archive| archive.prove_stored(control)) {
            Ok(()) => return Ok(delete),
            Err(e) if e.kind() == ErrorKind::Stopped => return Err(e),
            Err(_) => {}
        }
    }
    Ok(Vec::new())
}

/// Deletes `sets`. What can not be deleted is said and stays, for the next time.
pub fn delete(storage: &dyn Storage, sets: &[BackupSet]) -> Deleted {
    let mut deleted = Deleted::default();
    for set in sets {
        let outcome = set.logs.iter().chain(set.files.iter().rev()).try_for_each(|path| {
            let length = path.metadata().map_or(0, |meta| meta.len());
            match storage.remove(path) {
                // By somebody else, or under another name of the same folder.
                Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
                outcome => outcome?,
            }
            deleted.bytes += length;
            deleted.files.push(path.clone());
            storage.sync_folder(storage::folder_of(path))
        });
        if outcome.is_ok() {
            remove_notes(storage, &set.files);
        }
        match outcome {
            Ok(()) => deleted.numbers.push(set.number),
            Err(error) => {
                deleted.problem = Some(error.report());
                break;
            }
        }
    }
    deleted
}

/// The notes that lead from one folder of a set to the others serve nothing without it.
fn remove_notes(storage: &dyn Storage, files: &[PathBuf]) {
    let named = files.first().and_then(|file| file.file_name()).map(|name| name.to_string_lossy().into_owned());
    let Some((stem, number, _)) = named.as_deref().and_then(parse_segment_name) else { return };
    for folder in files.iter().map(|file| storage::folder_of(file)).collect::<BTreeSet<_>>() {
        let note = note_path(folder, stem, number);
        if note.is_file() {
            let _ = storage.remove(&note);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{journal::Chain, settings::sections::DeleteOldest};

    fn keep(last: u32) -> Keep {
        Keep { all: false, last, delete_oldest: DeleteOldest::After }
    }

    fn numbers(sets: &[BackupSet]) -> Vec<u32> {
        sets.iter().map(|set| set.number.0).collect()
    }

    /// A history: per backup whether it is good, whether a log was used, and whether that log is still found.
    fn history(backups: &[(bool, bool, bool)], in_use: Option<usize>) -> Vec<BackupSet> {
        let one = |(at, (good, logged, continued)): (usize, &(bool, bool, bool))| BackupSet {
            number: ArchiveNumber(at as u32 + 1),
            archive: PathBuf::from(format!("a[{:04}].4BK", at + 1)),
            files: vec![PathBuf::from(format!("a[{:04}].4BK", at + 1))],
            logs: if *logged && *continued { vec![format!("a[{:04}].4BL", at + 1).into()] } else { vec![] },
            bytes: 1,
            position: logged.then(|| Position { archive: at as u32 + 1, commit: at as u64, chain: Chain([0; 32]) }),
            is_continued: *logged && *continued,
            is_in_use: in_use == Some(at) && *logged,
            untouchable: (!good).then(|| "damaged".to_owned()),
        };
        let mut sets: Vec<BackupSet> = backups.iter().enumerate().map(one).collect();
        sets.reverse();
        sets
    }

    #[test]
    fn the_oldest_are_deleted_with_their_logs() {
        let sets = history(&[(true, true, true); 5], Some(4));
        let now = plan(&sets, &keep(3), When::Now, &[]);
        assert_eq!(numbers(&now), [1, 2]);
        assert!(now.iter().all(|set| set.logs.len() == 1));
        assert_eq!(numbers(&plan(&sets, &keep(3), When::BeforeBackup, &[])), [1, 2, 3]);
        assert_eq!(numbers(&plan(&sets, &keep(1), When::BeforeBackup, &[])), [1, 2, 3, 4], "a good one remains");
        assert_eq!(plan(&sets, &keep(9), When::Now, &[]), []);
        assert_eq!(plan(&sets, &Keep { all: true, ..keep(1) }, When::Now, &[]), []);
        assert_eq!(numbers(&plan(&sets, &keep(3), When::Now, &["a[0002].4BK".into()])), [1]);
    }

    #[test]
    fn what_is_damaged_or_foreign_neither_counts_nor_goes() {
        let mut backups = [(true, false, false); 6];
        (backups[0].0, backups[4].0) = (false, false);
        assert_eq!(numbers(&plan(&history(&backups, None), &keep(2), When::Now, &[])), [2, 3]);
    }

    #[test]
    fn the_archive_that_the_log_in_use_stands_on_stays() {
        // Since backup 2 the log could not be cut.
        let backups = [(true, true, true), (true, true, true), (true, false, false), (true, false, false)];
        assert_eq!(numbers(&plan(&history(&backups, Some(1)), &keep(1), When::Now, &[])), [1, 3]);
    }

    #[test]
    fn logs_stay_while_a_kept_archive_may_be_in_the_middle_of_one() {
        let backups = [(true, true, true), (true, true, false), (true, true, true)];
        let delete = plan(&history(&backups, Some(2)), &keep(2), When::Now, &[]);
        assert_eq!(numbers(&delete), [1]);
        assert!(delete[0].logs.is_empty());
    }

    proptest! {
        #[test]
        fn over_any_history_the_newest_good_set_and_every_kept_chain_stay(
            backups in prop::collection::vec(any::<(bool, bool, bool)>(), 0..12),
            in_use in prop::option::of(0usize..12),
            last in 1u32..6,
            before in any::<bool>(),
        ) {
            let sets = history(&backups, in_use);
            let when = if before { When::BeforeBackup } else { When::Now };
            let delete = plan(&sets, &keep(last), when, &[]);
            let good: Vec<&BackupSet> = sets.iter().filter(|set| set.untouchable.is_none()).collect();
            let limit = if before { last.saturating_sub(1).max(1) } else { last } as usize;
            let kept: Vec<&&BackupSet> = good.iter().filter(|set| !delete.contains(set)).collect();
            prop_assert!(delete.iter().all(|set| set.untouchable.is_none() && !set.is_in_use));
            if let Some(newest) = good.first() {
                prop_assert!(!delete.iter().any(|set| set.number == newest.number));
            }
            let gone: BTreeSet<u32> = numbers(&delete).into_iter().collect();
            let extra = usize::from(good.iter().skip(limit).any(|set| set.is_in_use));
            prop_assert_eq!(good.len() - gone.len(), good.len().min(limit) + extra);
            prop_assert!(numbers(&delete).is_sorted());
            // No log goes that begins at, or may hold the place of, an archive that stays.
            let logs: BTreeSet<&PathBuf> = delete.iter().flat_map(|set| &set.logs).collect();
            for set in kept {
                prop_assert!(set.logs.iter().all(|log| !logs.contains(log)));
                prop_assert!(set.position.is_none() || set.is_continued || logs.is_empty());
            }
            // Applied again, nothing more goes.
            let rest: Vec<BackupSet> = sets.iter().filter(|set| !gone.contains(&set.number.0)).cloned().collect();
            prop_assert!(plan(&rest, &keep(last), when, &[]).is_empty());
        }
    }
}
