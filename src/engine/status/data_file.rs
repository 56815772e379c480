//! What everybody may know of one data file.

use std::path::PathBuf;

use chrono::{DateTime, FixedOffset, Local};
use serde::{Deserialize, Serialize};

use super::{host::Host, id::DataFileId, jobs::Stalled};
use crate::{
    archive::{ArchiveNumber, catalog::ArchiveEntry},
    backup::{
        BackupPlan,
        places::Place,
        retention::BackupSet,
        soundness::{self, Damaged, Finding},
    },
    engine::{command::JobId, entry::Outcome},
    error::{Error, ErrorKind, ErrorReport},
    journal::CaptureStatus,
    restore::in_place::Undo,
    schedule::automatic::Automatic,
    settings::{
        Revision, Settings,
        copies::{self, Elsewhere},
    },
    sqlite::{data_file::DataFileFacts, seen::ContentCheck},
    storage::processes::{Holders, Process},
    warning::Warning,
};

/// One data file that the engine looks after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataFileStatus {
    /// Names it in the status.
    pub id: DataFileId,
    /// What it is; size and times are kept up to date.
    pub facts: DataFileFacts,
    /// The process whose engine looks after it.
    pub host: Host,
    /// When that engine was started.
    #[serde(default)]
    pub engine_started: Option<DateTime<Local>>,
    /// Since when that process cannot be reached: then all else is what was known last.
    #[serde(default)]
    pub lost_since: Option<DateTime<Local>>,
    /// Since when that process does not answer, though it is there: the same.
    #[serde(default)]
    pub silent_since: Option<DateTime<Local>>,
    /// What is wrong with it now, such as: gone.
    pub problem: Option<ErrorReport>,
    /// The settings in force.
    pub settings: Settings,
    /// The file they are kept in.
    pub settings_file: PathBuf,
    /// What stands in that file and means nothing, each with its place.
    pub settings_unknown: Vec<String>,
    /// What is wrong with its settings file, if anything; the last good settings are in force.
    pub settings_problem: Option<ErrorReport>,
    /// The archive whose settings are in force, where nobody had any when those in the file were found to be a mistake.
    #[serde(default)]
    pub settings_from: Option<PathBuf>,
    /// The last `ChangeSettings`, if it was refused.
    pub settings_refused: Option<RefusedChange>,
    /// The folder for its archives.
    pub destination: PathBuf,
    /// Whether that is the default because nothing was chosen.
    pub destination_is_default: bool,
    /// What the next backup would do; `None` until it was estimated.
    pub plan: Option<BackupPlan>,
    /// Why there is no plan.
    pub plan_problem: Option<ErrorReport>,
    /// Its archives in the destination, newest first.
    pub archives: Vec<ArchiveEntry>,
    /// The sound copies that repairs wrote of some of them.
    #[serde(default)]
    pub copies: Vec<ArchiveEntry>,
    /// Which of them were found damaged, and not found sound since.
    #[serde(default)]
    pub damaged: Vec<Finding>,
    /// The same in the folder in force as sets with their logs: what
    /// [`retention::plan`](crate::backup::retention::plan) needs to say which of them a rule would delete.
    pub sets: Vec<BackupSet>,
    /// The last full backup that succeeded, if one after it did not.
    #[serde(default)]
    pub last_success: Option<LastBackup>,
    /// The archive of the last full backup that was made, as the Backup journal knows it, when it is not there any
    /// more.
    #[serde(default)]
    pub gone: Option<PathBuf>,
    /// Newer backups that the Backup journal knows and the settings do not, in folders that they do not name.
    #[serde(default)]
    pub unlisted: Option<Unlisted>,
    /// The last full backup attempted, from the Backup journal, or else from the newest archive.
    pub last_backup: Option<LastBackup>,
    /// When the next backup is made by itself: scheduled, or tried again. One that has come waits for another job to
    /// end.
    pub next_backup: Option<DateTime<Local>>,
    /// What is known of the automatic backups: missed, failed, suspended; `None` where none are made by this engine.
    pub automatic: Option<Automatic>,
    /// What stays among them until somebody puts it away.
    #[serde(default)]
    pub notices: Vec<Warning>,
    /// What was found damaged in it when it was opened, and why it was not restored by itself.
    #[serde(default)]
    pub damage: Option<ErrorReport>,
    /// When that was.
    #[serde(default)]
    pub damage_since: Option<DateTime<Local>>,
    /// A job on it that does not go on.
    #[serde(default)]
    pub stalled: Option<Stalled>,
    /// Everything that needs attention, the urgent first.
    pub warnings: Vec<Warning>,
    /// The last restores in place that can be undone, newest first, at most 10.
    #[serde(default)]
    pub in_place: Vec<DoneInPlace>,
    /// When it was verified and compacted last, and what compacting would need.
    #[serde(default)]
    pub maintenance: Maintenance,
    /// The folder for archives as it is found.
    pub archives_place: Option<Place>,
    /// The folder of the log as it is found, if the log is used.
    pub log_place: Option<Place>,
    /// Why the folder for archives is not the one that was used before, or that cannot be told.
    #[serde(default)]
    pub destination_problem: Option<ErrorReport>,
    /// That no archive which is there leads to the log: what it holds cannot be restored.
    #[serde(default)]
    pub log_root_problem: Option<ErrorReport>,
    /// The same of the folder of the log.
    #[serde(default)]
    pub log_folder_problem: Option<ErrorReport>,
    /// Why the program that the settings name failed, when it was run last.
    pub on_finish_problem: Option<ErrorReport>,
    /// The log file chosen, if the log is used.
    pub log_file: Option<PathBuf>,
    /// The log, while it runs.
    pub log: Option<CaptureStatus>,
    /// Whether it is being opened.
    pub log_starting: bool,
    /// Why it does not run, though one is chosen.
    pub log_problem: Option<ErrorReport>,
    /// Which other processes have it open; looked at now and then.
    pub holders: Holders,
    /// Which of them are in a read transaction that needs the WAL.
    pub readers: Vec<Process>,
    /// Which programs go on with a data file of this name that was deleted or replaced: what they commit is in no file
    /// that others can find.
    #[serde(default)]
    pub strays: Vec<Process>,
    /// Data files that go by the same settings, since one was copied from the other with them.
    #[serde(default)]
    pub shared: Vec<Shared>,
    /// Why commits may be missed: programs use it by another name (a hard link), whose WAL is another one.
    #[serde(default)]
    pub other_name: Option<ErrorReport>,
    /// A file beside it that keeps the programs of its owner from writing it.
    #[serde(default)]
    pub unwritable: Option<ErrorReport>,
    /// A name that it was opened by leads to another file now, or nowhere.
    #[serde(default)]
    pub moved_name: Option<ErrorReport>,
    /// Programs that wait to have it for themselves, or did a moment ago, while the log has it open.
    #[serde(default)]
    pub waiting: Vec<Process>,
    /// Whether this is the sample, which the client can edit.
    pub is_sample: bool,
    /// The client that edits the sample, while it runs.
    pub sample_client: Option<SampleClientStatus>,
}

/// Two data files that go by the same settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shared {
    /// The copy.
    pub copy: PathBuf,
    /// The one that it was made of.
    pub of: PathBuf,
    /// Whether each of them names itself, so that nobody knows which is the copy.
    #[serde(default)]
    pub is_equal: bool,
    /// The archives by which it is known, where the other one cannot be seen here and has the same path.
    #[serde(default)]
    pub elsewhere: Option<Elsewhere>,
}

impl Shared {
    /// What is to be said of them.
    pub(in crate::engine) fn error(&self) -> Error {
        match &self.elsewhere {
            Some(seen) => copies::elsewhere(&self.of, seen),
            None if self.is_equal => copies::equal(&self.of, &self.copy),
            None => copies::shared(&self.copy, &self.of),
        }
    }
}

impl DataFileStatus {
    /// Whether it can be given an identity of its own.
    pub fn shares_identity(&self) -> bool {
        self.is_copy() || self.shared.iter().any(|shared| shared.is_equal)
    }

    /// Whether this data file is a copy that goes by the settings of another one.
    pub fn is_copy(&self) -> bool {
        self.shared.iter().any(|shared| shared.copy == self.facts.path && shared.elsewhere.is_none())
    }

    /// The archive and the last commit from which the data file gets what it lacked when its log was opened, if it did.
    pub fn lacked(&self) -> Option<(PathBuf, u64)> {
        let lacking = self.log.as_ref()?.lacking.as_ref()?;
        let archive = self.archives.iter().find(|archive| archive.log_position == Some(lacking.base))?;
        Some((archive.path.clone(), lacking.last))
    }

    /// The newest archive that can be read, is its own, and was not found damaged; or else damaged in its content.
    pub fn newest_sound(&self) -> Option<&ArchiveEntry> {
        let own = |archive: &&ArchiveEntry| {
            let is_own = self.is_own(archive);
            archive.problem.is_none() && is_own && !self.is_lost(archive)
        };
        let sound = self.archives.iter().filter(own).find(|archive| archive.check != ContentCheck::Damaged);
        sound.or_else(|| self.archives.iter().find(own))
    }

    /// The newest archive that can be read, is its own, was not found damaged, and holds all that was chosen for it.
    pub fn newest_whole(&self) -> Option<&ArchiveEntry> {
        let is_whole = |archive: &&ArchiveEntry| {
            let is_own = self.is_own(archive) && archive.problem.is_none() && !self.is_lost(archive);
            is_own && archive.check != ContentCheck::Damaged && archive.not_whole == Some(0)
        };
        self.archives.iter().find(is_whole)
    }

    /// The newest archive from which the log leads to the state after this commit, as far as is known.
    pub fn archive_before(&self, commit: u64) -> Option<&ArchiveEntry> {
        let leads = |archive: &&ArchiveEntry| {
            let is_own = self.is_own(archive) && archive.problem.is_none() && !self.is_lost(archive);
            is_own && archive.log_position.is_some_and(|position| position.commit <= commit)
        };
        let archives = self.archives.iter().filter(leads);
        archives.max_by_key(|archive| archive.log_position.map(|position| position.commit))
    }

    /// Whether its file is not there any more.
    pub fn is_gone(&self) -> bool {
        self.problem.as_ref().is_some_and(|problem| problem.kind == ErrorKind::NotFound)
    }

    /// The moment of the newest archive that can be read and is its own, and was not found to be beyond repair.
    pub fn newest_good(&self) -> Option<DateTime<FixedOffset>> {
        let good = |archive: &&ArchiveEntry| archive.problem.is_none() && !self.is_lost(archive);
        let copies = self.copies.iter().filter(|copy| self.is_own(copy));
        self.own_archives().chain(copies).filter(good).filter_map(|archive| archive.moment).max()
    }

    /// The archives that are not of another data file; one that cannot be read counts, since it carries the name.
    pub fn own_archives(&self) -> impl Iterator<Item = &ArchiveEntry> {
        let is_unread = |archive: &ArchiveEntry| archive.data_file_id.is_none() && archive.put_by.is_none();
        self.archives.iter().filter(move |archive| self.is_own(archive) || is_unread(archive))
    }

    /// Whether an archive is one of this data file.
    pub fn is_own(&self, archive: &ArchiveEntry) -> bool {
        archive.is_of(self.settings.data_file_id)
    }

    /// What was found damaged in the file of an archive, or in its logs, the worst first; what it holds is in its
    /// `check`.
    pub fn damage_of(&self, archive: &ArchiveEntry) -> Option<&Finding> {
        // Only those are listed that are about what lies there: a window must not ask the disk.
        soundness::listed_damage_of(&self.damaged, archive)
    }

    /// The sound copy that takes the place of a damaged archive.
    pub fn copy_of(&self, archive: &ArchiveEntry) -> Option<&ArchiveEntry> {
        let same = |copy: &&ArchiveEntry| {
            copy.number == archive.number
                && archive.archive_id.is_none_or(|id| copy.archive_id == Some(id))
                && self.is_own(copy)
                && copy.problem.is_none()
                && self.damage_of(copy).is_none()
        };
        self.copies.iter().find(same)
    }

    /// Its own archives that were found to be beyond repair, the newest first.
    pub fn lost_archives(&self) -> impl Iterator<Item = &ArchiveEntry> {
        self.own_archives().filter(|archive| self.is_lost(archive))
    }

    /// Whether an archive was found to be beyond repair.
    fn is_lost(&self, archive: &ArchiveEntry) -> bool {
        self.damage_of(archive).is_some_and(|finding| finding.what == Damaged::Bytes && !finding.is_repairable)
    }
}

/// Backups that the Backup journal knows and the settings do not: those of an older state were put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unlisted {
    /// The number of the newest.
    pub number: ArchiveNumber,
    /// When it was made.
    pub moment: DateTime<FixedOffset>,
    /// Where it was written.
    pub archive: PathBuf,
    /// How many there are.
    pub count: usize,
}

/// A restore in place that can be undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoneInPlace {
    /// The job.
    pub job: JobId,
    /// When it began.
    pub moment: DateTime<Local>,
    /// The archive that was restored.
    pub number: ArchiveNumber,
    /// The commit that it went back to, or forward; `None` for the state of the archive itself.
    pub restored: Option<u64>,
    /// Commits that it took away; `None` where no log counted them.
    pub commits_left: Option<u64>,
    /// How to bring them back.
    pub undo: Undo,
    /// The restore in place that it undid, if it was an undo itself.
    pub undoes: Option<JobId>,
}

/// A change of the settings that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedChange {
    /// The settings that it was made from, as the command named them.
    pub revision: Revision,
    /// Why.
    pub error: ErrorReport,
}

/// When the last full backup was made, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastBackup {
    /// When it began.
    pub moment: DateTime<FixedOffset>,
    /// Its number, if it got as far as that.
    pub number: Option<ArchiveNumber>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it failed.
    pub error: Option<ErrorReport>,
}

/// Care of the data file itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Maintenance {
    /// The last verification of its records and indexes.
    pub last_check: Option<LastRun>,
    /// The last time it was compacted.
    pub last_compact: Option<LastRun>,
    /// Free space on its own disk in bytes, if the system tells: compacting needs a copy there.
    pub available_bytes: Option<u64>,
}

/// When something was done last, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// The job.
    pub job: JobId,
    /// When it began.
    pub moment: DateTime<Local>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it failed, or what was found.
    pub error: Option<ErrorReport>,
    /// Whether its report is kept.
    pub has_report: bool,
}

/// The client that edits the sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleClientStatus {
    /// Its process.
    pub process: u32,
    /// When it was started.
    pub since: DateTime<Local>,
}
