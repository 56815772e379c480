//! Jobs in the status: those that run, and what came of those that have ended.

use std::{ops::Deref, path::PathBuf};

use chrono::{DateTime, Local};
use serde::{Deserialize, Serialize};

use super::host::Host;
use crate::{
    archive::ArchiveNumber,
    backup::BackupReport,
    control::{Phase, Progress, Question},
    drill::Proof,
    engine::entry::{Job, JobKind},
    error::{Error, ErrorReport},
    maintenance::{CompactReport, RecordsReport},
    recover::RecoverReport,
    repair::RepairReport,
    restore::RestoreReport,
    take_back::TakeBackReport,
    verify::VerifyReport,
};

/// A job that runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobStatus {
    /// The job.
    #[serde(flatten)]
    pub job: Job,
    /// The process whose engine does it: when that ends, the job does.
    pub host: Host,
    /// The archive written or read, when known.
    pub archive: Option<PathBuf>,
    /// How far it is.
    pub progress: Progress,
    /// Units per second in this phase, averaged over the last seconds; 0 when not known.
    pub rate: f64,
    /// Seconds left in this phase, when they can be told.
    pub seconds_left: Option<u64>,
    /// Whether *Stop* was pressed.
    pub stopping: bool,
    /// What it has to know before it can go on: answered by `GoOn`, or by *Stop*.
    #[serde(default)]
    pub question: Option<Question>,
}

/// A job that has not gone on for minutes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stalled {
    /// What it is.
    pub kind: JobKind,
    /// Where it stands still.
    pub phase: Phase,
    /// Since when.
    pub since: DateTime<Local>,
}

impl Deref for JobStatus {
    type Target = Job;

    fn deref(&self) -> &Job {
        &self.job
    }
}

/// A job that ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinishedJob {
    /// The job.
    #[serde(flatten)]
    pub job: Job,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// What came of it.
    pub result: Result<JobReport, ErrorReport>,
}

impl Deref for FinishedJob {
    type Target = Job;

    fn deref(&self) -> &Job {
        &self.job
    }
}

/// What a job achieved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "job", rename_all = "kebab-case")]
pub enum JobReport {
    /// A full backup.
    Backup(BackupReport),
    /// No backup, because the data file was not modified.
    Skipped {
        /// Since this one.
        since: ArchiveNumber,
    },
    /// A restore.
    Restore(RestoreReport),
    /// The verification of an archive.
    Verify(VerifyReport),
    /// A repair.
    Repair(RepairReport),
    /// A test restore.
    TestRestore(Proof),
    /// The verification of records and indexes.
    VerifyRecords(RecordsReport),
    /// Compacting.
    Compact(CompactReport),
    /// A recovery.
    Recover(Box<RecoverReport>),
    /// Single changes taken back.
    TakeBack(TakeBackReport),
    /// The sample, at this path.
    Sample {
        /// The data file created.
        path: PathBuf,
        /// Its size in bytes.
        bytes: u64,
    },
}

impl JobReport {
    /// What the administrator must know of a job that was done, but left something to be desired.
    pub fn problem(&self) -> Option<Error> {
        match self {
            JobReport::Backup(made) => made.problem(),
            JobReport::Restore(restored) => restored.problem(),
            JobReport::Verify(verified) => verified.problem(),
            JobReport::VerifyRecords(verified) => verified.problem(),
            JobReport::Recover(recovered) => recovered.problem(),
            _ => None,
        }
    }
}
