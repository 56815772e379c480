//! What the Backup journal says of jobs.

use std::{ops::Deref, path::PathBuf};

use chrono::{DateTime, Local};
use serde::{Deserialize, Serialize};

use super::command::JobId;
use crate::{archive::ArchiveNumber, error::ErrorReport};

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum JobKind {
    /// A full backup.
    Backup,
    /// A restore into a folder.
    Restore,
    /// A restore into the live data file.
    RestoreInPlace,
    /// The verification of an archive.
    Verify,
    /// The repair of an archive into a copy.
    Repair,
    /// A restore to a scratch folder, to prove that it can be done.
    TestRestore,
    /// The creation of the sample data file.
    Sample,
    /// The verification of the records and indexes of a data file.
    VerifyRecords,
    /// Making a data file as short as its content.
    Compact,
    /// What a damaged data file still holds, saved into a new one.
    Recover,
    /// Single changes taken back in the live data file.
    TakeBack,
    /// The program that the settings name, run after another job.
    OnFinish,
}

impl JobKind {
    /// All of them, as a filter lists them.
    pub const ALL: &'static [Self] = &[
        Self::Backup,
        Self::Restore,
        Self::RestoreInPlace,
        Self::TakeBack,
        Self::Verify,
        Self::Repair,
        Self::TestRestore,
        Self::VerifyRecords,
        Self::Compact,
        Self::Recover,
        Self::Sample,
        Self::OnFinish,
    ];

    /// As the window calls it.
    pub fn label(self) -> &'static str {
        match self {
            JobKind::Backup => "Full backup",
            JobKind::Restore => "Restore",
            JobKind::RestoreInPlace => "Restore in place",
            JobKind::Verify => "Verification",
            JobKind::Repair => "Repair",
            JobKind::TestRestore => "Test restore",
            JobKind::Sample => "Sample",
            JobKind::VerifyRecords => "Verification of records",
            JobKind::Compact => "Compacting",
            JobKind::Recover => "Recovery",
            JobKind::TakeBack => "Take back",
            JobKind::OnFinish => "Program after a job",
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            JobKind::Backup => "backup",
            JobKind::Restore => "restore",
            JobKind::RestoreInPlace => "restore-in-place",
            JobKind::Verify => "verify",
            JobKind::Repair => "repair",
            JobKind::TestRestore => "test-restore",
            JobKind::Sample => "sample",
            JobKind::VerifyRecords => "verify-records",
            JobKind::Compact => "compact",
            JobKind::Recover => "recover",
            JobKind::TakeBack => "take-back",
            JobKind::OnFinish => "on-finish",
        }
    }
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It has not ended.
    Running,
    /// All went well.
    Succeeded,
    /// Done, but something needs attention.
    Partial,
    /// Nothing was achieved.
    Failed,
    /// Stopped by the user.
    Stopped,
    /// Cut off by a crash or a power failure.
    Interrupted,
    /// Nothing had to be done.
    Skipped,
    /// It was due while the program did not run.
    Missed,
}

impl Outcome {
    /// All of them, as a filter lists them.
    pub const ALL: &'static [Self] = &[
        Self::Succeeded,
        Self::Partial,
        Self::Failed,
        Self::Stopped,
        Self::Interrupted,
        Self::Skipped,
        Self::Missed,
        Self::Running,
    ];

    /// As the window calls it.
    pub fn label(self) -> &'static str {
        match self {
            Outcome::Running => "Running",
            Outcome::Succeeded => "Succeeded",
            Outcome::Partial => "With problems",
            Outcome::Failed => "Failed",
            Outcome::Stopped => "Stopped",
            Outcome::Interrupted => "Interrupted",
            Outcome::Skipped => "Not needed",
            Outcome::Missed => "Missed",
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Outcome::Running => "running",
            Outcome::Succeeded => "succeeded",
            Outcome::Partial => "partial",
            Outcome::Failed => "failed",
            Outcome::Stopped => "stopped",
            Outcome::Interrupted => "interrupted",
            Outcome::Skipped => "skipped",
            Outcome::Missed => "missed",
        }
    }
}

/// What a job is, while it runs and when it has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its name.
    pub id: JobId,
    /// What it does.
    pub kind: JobKind,
    /// The data file concerned, if any.
    pub data_file: Option<PathBuf>,
    /// Whether it was not asked for by anybody: scheduled, tried again, or done at opening.
    #[serde(default)]
    pub automatic: bool,
    /// When it began.
    pub started: DateTime<Local>,
}

/// One line of the Backup journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// The job.
    #[serde(flatten)]
    pub job: Job,
    /// The number of the archive, when it got as far as that.
    pub number: Option<ArchiveNumber>,
    /// How long it took, in milliseconds; `None` while it runs and when it was cut off.
    pub duration_ms: Option<u64>,
    /// How it ended.
    pub outcome: Outcome,
    /// The archive, the folder restored into, the data file restored in place, or the one that was made.
    pub path: Option<PathBuf>,
    /// Bytes written or verified.
    pub bytes: Option<u64>,
    /// Why it failed, or what needs attention.
    pub error: Option<ErrorReport>,
    /// What else is worth knowing, such as which old backups were deleted.
    #[serde(default)]
    pub note: Option<String>,
}

impl HistoryEntry {
    /// The line of a job of which nothing is known yet but this.
    pub fn new(job: Job, outcome: Outcome) -> Self {
        Self { job, number: None, duration_ms: None, outcome, path: None, bytes: None, error: None, note: None }
    }
}

impl Deref for HistoryEntry {
    type Target = Job;

    fn deref(&self) -> &Job {
        &self.job
    }
}
