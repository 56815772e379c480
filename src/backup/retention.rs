//! Which backups are kept: whole sets, an archive with its log.
//!
//! A set may be deleted only when its archive carries the name it was made with, says that it belongs to this data file
//! and has this number, and can be read. Everything else, renamed, foreign or damaged, is never touched and does not
//! count. Of a set to be deleted the log goes first, then the last segment, the first one last: what a crash leaves is
//! an archive, which is deleted the next time or said to be incomplete, and never a log alone.
//!
//! [`rule`] says which sets that are ours to delete go. Kept beyond it:
//! - sets that no newer ones are known to be as good as: a copy of a damaged data file pushes out nothing sound, and an
//!   archive that lacks what was chosen pushes out none that holds all of it; and where archives are signed, what this
//!   user did not sign pushes out nothing that he did: others may have put it there;
//! - sets that are held ([`hold`]), each with its own log: so it can be restored to any moment up to the next full
//!   backup. The logs after that one go as the rule says;
//! - the set that the log in use stands on, if newer archives were made without it: without that archive the log would
//!   lead from nowhere to now; where the log cannot be read, as while its disk is away, the newest that was cut from
//!   it;
//! - the set whose log goes on over kept archives that were made without it, as while its disk was away: what was
//!   committed between these is in that log alone;
//! - the logs of damaged sets that are newer than the oldest of the last sound ones that the rule keeps: they lead from
//!   those to now. A mark beside them, `Name[0004].4BK.deleted`, says that they go with it;
//! - the logs of older sets, as long as a kept archive was cut from a log that is not found: it may be in the middle of
//!   one.

mod rule;

pub use rule::{plan, stay_as_sound};

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use chrono::{DateTime, FixedOffset};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::destination_by;
use crate::{
    archive::{
        Archive, ArchiveNumber,
        catalog::{self, ArchiveEntry},
        hold::{self, Hold},
        log_recovery,
        not_whole::Completeness,
        segments::{note_path, parse_segment_name, read_note, segment_name},
        trust::Trust,
    },
    control::Control,
    error::{ErrorKind, ErrorReport, Result},
    journal::{Position, format::LogHeader, reader::LogReader},
    settings::{Settings, copies},
    sqlite::seen::ContentCheck,
    storage::{self, Ownership, Storage},
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
    /// Of a set to be deleted, logs that stay: an older set needs them.
    #[serde(default)]
    pub needed: Vec<PathBuf>,
    /// Length of all files together, in bytes.
    pub bytes: u64,
    /// The moment of the state that the archive holds.
    #[serde(default)]
    pub moment: Option<DateTime<FixedOffset>>,
    /// Whether the content of the archive is sound, as far as anybody has looked.
    #[serde(default)]
    pub check: ContentCheck,
    /// How many of the chosen files are not in it, or not whole, where it says.
    #[serde(default)]
    pub not_whole: Option<u32>,
    /// Whether it is signed by this user's key; of a data file whose archives are not signed, always.
    #[serde(default = "yes")]
    pub is_genuine: bool,
    /// That it is kept for ever, if it is.
    #[serde(default)]
    pub hold: Option<Hold>,
    /// Where in the log the archive was cut, if one was used.
    pub position: Option<Position>,
    /// Whether a log was found that begins exactly where this archive was cut.
    pub is_continued: bool,
    /// Whether the log in use begins there.
    pub is_in_use: bool,
    /// Why it is never deleted and does not count, if so.
    pub untouchable: Option<String>,
}

fn yes() -> bool {
    true
}

impl BackupSet {
    /// Whether it may be deleted at all, and counts.
    pub fn is_ours(&self) -> bool {
        self.untouchable.is_none()
    }

    /// Whether all that was chosen is in it.
    pub fn completeness(&self) -> Completeness {
        Completeness::of(self.not_whole)
    }

    /// Whether it is known to be as good as `other` in everything.
    fn is_as_good_as(&self, other: &Self) -> bool {
        self.check >= other.check && self.completeness() >= other.completeness() && self.is_genuine >= other.is_genuine
    }
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
pub fn sets(data_file: &Path, settings: &Settings, known: &[ArchiveEntry], trust: Trust) -> Vec<BackupSet> {
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
    let of = (data_file, stem.as_str());
    let of_entry = |entry| {
        let set = set(entry, of, identity, settings, &logs);
        BackupSet { is_genuine: trust.covers(entry), ..set }
    };
    let mut sets: Vec<BackupSet> = in_folder.map(of_entry).collect();
    hold_for_log(&mut sets, settings, &logs);
    adopt_logs(&mut sets, &folder, &stem, known, &logs);
    // The log from before the first full backup serves no restore; it goes with the first.
    let first = sets.iter_mut().filter(|set| set.untouchable.is_none()).min_by_key(|set| set.number);
    if let Some(first) = first {
        let before = |header: &LogHeader| header.base.archive == 0 && !header.rooted;
        for (path, _) in logs.iter().filter(|(path, header)| before(header) && catalog::is_archived_log(path)) {
            let files = with_recovery(path);
            first.bytes += files.iter().map(|path| length(path)).sum::<u64>();
            first.logs.extend(files);
        }
    }
    sets
}

/// A log that cannot be read now, as one whose disk is away, goes on later from the newest archive that was cut from
/// it: without that archive nothing would lead to it.
fn hold_for_log(sets: &mut [BackupSet], settings: &Settings, logs: &[(PathBuf, LogHeader)]) {
    let is_away = settings.log.file.as_ref().is_some_and(|log| !logs.iter().any(|(path, _)| path == log));
    let cut = sets.iter_mut().filter(|set| is_away && set.is_ours() && set.position.is_some());
    if let Some(newest) = cut.max_by_key(|set| set.number) {
        newest.is_in_use = true;
    }
}

/// What follows the name of an archive in that of the mark.
const DELETED: &str = ".deleted";

fn mark_path(set: &BackupSet) -> Option<PathBuf> {
    let name = set.archive.file_name()?.to_string_lossy().into_owned();
    let (stem, number) =
        catalog::parse_name(&name).or_else(|| parse_segment_name(&name).map(|(stem, number, _)| (stem, number)))?;
    Some(set.archive.with_file_name(format!("{}{DELETED}", catalog::archive_name(stem, number))))
}

/// The logs of archives that were deleted, and the marks about them, go with the set before.
fn adopt_logs(
    sets: &mut [BackupSet],
    folder: &Path,
    stem: &str,
    known: &[ArchiveEntry],
    logs: &[(PathBuf, LogHeader)],
) {
    for (number, mark) in marks(folder, stem) {
        // Somebody may have put the archive back.
        if known.iter().any(|entry| entry.number == number) {
            continue;
        }
        let ours = |set: &&mut BackupSet| set.is_ours();
        let (older, newer): (Vec<_>, Vec<_>) = sets.iter_mut().filter(ours).partition(|set| set.number < number);
        let before = older.into_iter().max_by_key(|set| set.number);
        let Some(set) = before.or_else(|| newer.into_iter().min_by_key(|set| set.number)) else { continue };
        // A mark that somebody else made decides over nothing.
        let ours = |path: &Path| catalog::is_archived_log(path) && storage::have_same_owner(&mark, path);
        let own: Vec<_> = logs.iter().filter(|(path, head)| ours(path) && head.base.archive == number.0).collect();
        let files: Vec<PathBuf> = own.iter().flat_map(|(path, _)| with_recovery(path)).chain([mark.clone()]).collect();
        set.bytes += files.iter().map(|path| length(path)).sum::<u64>();
        set.logs.extend(files);
    }
}

fn marks(folder: &Path, stem: &str) -> Vec<(ArchiveNumber, PathBuf)> {
    let mark = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let (of, number) = catalog::parse_name(name.strip_suffix(DELETED)?)?;
        (of == stem).then(|| (number, entry.path()))
    };
    let mut found: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().flatten().filter_map(mark).collect();
    found.sort();
    found
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

fn set(
    entry: &ArchiveEntry,
    (data_file, stem): (&Path, &str),
    identity: Option<Uuid>,
    settings: &Settings,
    logs: &[(PathBuf, LogHeader)],
) -> BackupSet {
    let untouchable = why_untouchable(entry, stem, identity).or_else(|| of_another(entry, data_file));
    let follows = |header: &LogHeader| header.rooted && Some(header.base) == entry.log_position;
    let begins_anew = |header: &LogHeader| !header.rooted && header.base.archive == entry.number.0;
    let own: Vec<PathBuf> = logs
        .iter()
        .filter(|(path, header)| catalog::is_archived_log(path) && (follows(header) || begins_anew(header)))
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
        needed: Vec::new(),
        moment: entry.moment,
        check: entry.check,
        not_whole: entry.not_whole,
        is_genuine: true,
        hold: entry.hold.clone(),
        position: entry.log_position,
        is_continued: logs.iter().any(|(_, header)| follows(header)),
        is_in_use: logs.iter().any(|(path, header)| running(path) && follows(header)),
        untouchable,
    }
}

/// Why an archive is not deleted that says itself that it was made of another path than `data_file`: what is there may
/// be a file of its own, whose settings were lost or cannot be read, and this all that it has.
fn of_another(entry: &ArchiveEntry, data_file: &Path) -> Option<String> {
    let other = entry.made_of.as_ref().filter(|other| *other != data_file)?;
    let is_there = copies::may_be_another(other, data_file);
    is_there.then(|| format!("it was made of {}, which is, or may be, there", other.display()))
}

fn why_untouchable(entry: &ArchiveEntry, stem: &str, identity: Option<Uuid>) -> Option<String> {
    if let Some(problem) = &entry.problem {
        return Some(problem.message.clone());
    }
    if let Some(stranger) = &entry.put_by {
        return Some(format!("it belongs to {stranger}, who may have put it there"));
    }
    if !entry.is_of(identity) {
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
    let Ok(archive) = Archive::open(&entry.path) else { return Some("it cannot be read".to_owned()) };
    let all: BTreeSet<&Path> = archive.files().collect();
    let here: BTreeSet<&Path> = entry.files.iter().map(PathBuf::as_path).collect();
    if all != here {
        return Some("not all its segments are in the folder".to_owned());
    }
    // A note in one folder must not decide over what lies in another: that has a note of its own when both were written
    // by us.
    let own = storage::folder_of(&entry.path);
    let knows = |folder: &Path| {
        let note = note_path(folder, stem, entry.number);
        let named: BTreeSet<PathBuf> = read_note(&note, stem, entry.number).into_values().collect();
        let there = here.iter().filter(|file| storage::folder_of(file) == folder);
        there.into_iter().all(|file| named.contains(*file) && storage::have_same_owner(&note, file))
    };
    let foreign = here.iter().map(|file| storage::folder_of(file)).find(|folder| *folder != own && !knows(folder));
    foreign.map(|folder| format!("{} has no note of its segments there", folder.display()))
}

/// Leaves out of `delete` what must stay because nothing newer that is known to be as good can be proven to be whole on
/// the disk: archives are read and compared with their checksums, the newest first, until there is one. `proven` was
/// read just now.
///
/// # Errors
/// `Stopped`.
pub fn unless_proven(
    delete: Vec<BackupSet>,
    sets: &[BackupSet],
    proven: Option<&Path>,
    control: &Control,
) -> Result<Vec<BackupSet>> {
    let stays = |set: &&BackupSet| set.is_ours() && !delete.iter().any(|d| d.archive == set.archive);
    let mut staying: Vec<&BackupSet> = sets.iter().filter(stays).collect();
    staying.sort_by_key(|set| std::cmp::Reverse(set.number));
    let mut read: BTreeMap<&Path, bool> = proven.into_iter().map(|path| (path, true)).collect();
    let mut proven = Vec::new();
    for set in &delete {
        let better = staying.iter().filter(|other| other.number > set.number && other.is_as_good_as(set));
        for other in better {
            let is_whole = match read.get(other.archive.as_path()) {
                Some(known) => *known,
                None => match Archive::open(&other.archive).and_then(|archive| archive.prove_stored(control)) {
                    Err(e) if e.kind() == ErrorKind::Stopped => return Err(e),
                    outcome => outcome.is_ok(),
                },
            };
            read.insert(&other.archive, is_whole);
            if is_whole {
                proven.push(set.archive.clone());
                break;
            }
        }
    }
    Ok(delete.into_iter().filter(|set| proven.contains(&set.archive)).collect())
}

/// Deletes `sets`. What cannot be deleted is said and stays, for the next time.
pub fn delete(storage: &dyn Storage, sets: &[BackupSet]) -> Deleted {
    let mut deleted = Deleted::default();
    for set in sets {
        // Somebody may have held it since it was looked at.
        if hold::of(&set.files).is_some() {
            continue;
        }
        if let Err(error) = mark(set) {
            deleted.problem = Some(error.report());
            break;
        }
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

/// Says of the logs that stay that they go with the set before; without that they would stay for ever.
fn mark(set: &BackupSet) -> Result<()> {
    let Some(path) = mark_path(set).filter(|_| !set.needed.is_empty()) else { return Ok(()) };
    let text = "# Strongroom has deleted this backup, whose data file was damaged. Its logs stay as long as the \
                backup before it: they lead\n# from that one to now.\n";
    storage::replace_text(&path, text, Ownership::of(&set.archive))
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
