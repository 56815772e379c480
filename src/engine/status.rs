//! The truth about the engine at one moment, and the news of what changed. Both are plain data.

mod data_file;
mod data_files;
mod host;
mod id;
mod jobs;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::{DateTime, Local};
use serde::{Deserialize, Serialize};

pub use data_file::{
    DataFileStatus, DoneInPlace, LastBackup, LastRun, Maintenance, RefusedChange, SampleClientStatus, Shared, Unlisted,
};
pub use data_files::{DataFiles, Iter};
pub use host::{Host, HostKind};
pub use id::DataFileId;
pub use jobs::{FinishedJob, JobReport, JobStatus, Stalled};

use super::{command::JobId, entry::HistoryEntry};
pub use crate::backup::soundness::Finding;
use crate::{drill::Proof, error::ErrorReport, journal::CaptureState};

/// Everything the engine knows; what a window shows is taken from here and from nowhere else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Name and version of the program that hosts the engine.
    pub program: String,
    /// The process that it runs in.
    pub host: Host,
    /// The processes of all engines that this is the status of; a window may have joined several.
    pub engines: Vec<Host>,
    /// When the engine was started.
    pub started: DateTime<Local>,
    /// The data files looked after, in the order they were opened.
    pub data_files: DataFiles,
    /// Paths being identified.
    pub opening: Vec<PathBuf>,
    /// Paths that could not be opened, with the reason; the newest first.
    pub refused: Vec<Refused>,
    /// The jobs that run now.
    pub jobs: Vec<JobStatus>,
    /// The jobs that ended most recently, newest first, at most 20.
    pub finished: Arc<Vec<FinishedJob>>,
    /// The Backup journal, newest first, at most 1000 entries.
    pub history: Arc<Vec<HistoryEntry>>,
    /// Why the Backup journal cannot be kept, if so.
    pub history_problem: Option<ErrorReport>,
    /// Why the list of the service's data files cannot be kept, if so.
    pub list_problem: Option<ErrorReport>,
    /// Data files opened before, newest first.
    pub recent: Vec<PathBuf>,
    /// When archives were last proven to be restorable, newest first, at most 200.
    pub proven: Arc<Vec<Proof>>,
}

impl Status {
    /// The data file with this canonical path.
    pub fn data_file(&self, path: &std::path::Path) -> Option<&DataFileStatus> {
        self.data_files.at(path).map(|known| &**known)
    }

    /// The job with this name, if it runs.
    pub fn job(&self, job: JobId) -> Option<&JobStatus> {
        self.jobs.iter().find(|j| j.id == job)
    }

    /// The job with this name, if it ended recently.
    pub fn finished_job(&self, job: JobId) -> Option<&FinishedJob> {
        self.finished.iter().find(|j| j.id == job)
    }
}

/// A path that could not be opened as a data file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// As it was given.
    pub path: PathBuf,
    /// What is wrong with it.
    pub error: ErrorReport,
    /// The folder with its archives, where it can be restored from them.
    pub archives: Option<PathBuf>,
    /// The newest of them that is its own and sound at a glance.
    #[serde(default)]
    pub newest: Option<PathBuf>,
    /// Those of them that were found damaged beyond repair, the newest first.
    #[serde(default)]
    pub damaged: Vec<PathBuf>,
}

/// News. Whoever misses one finds the same in the [`Status`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// A data file is looked after from now on.
    DataFileOpened {
        /// Canonical path.
        path: PathBuf,
    },
    /// A path could not be opened.
    DataFileRefused(Refused),
    /// The log of a data file runs.
    LogOpened {
        /// Canonical path of the data file.
        data_file: PathBuf,
    },
    /// The log of a data file cannot be used.
    LogRefused {
        /// Canonical path of the data file.
        data_file: PathBuf,
        /// Why.
        error: ErrorReport,
    },
    /// The protection by a log changed.
    LogChanged {
        /// Canonical path of the data file.
        data_file: PathBuf,
        /// How it stands.
        state: CaptureState,
        /// What is wrong with the log, if anything.
        error: Option<ErrorReport>,
    },
    /// A job began.
    JobStarted(JobStatus),
    /// A job ended.
    JobFinished(FinishedJob),
    /// A command made no sense in the present state.
    CommandRefused(ErrorReport),
}

impl Event {
    /// The data file that it is about, if it is about one.
    pub fn data_file(&self) -> Option<&Path> {
        match self {
            Event::DataFileOpened { path } => Some(path),
            Event::DataFileRefused(refused) => Some(&refused.path),
            Event::LogOpened { data_file }
            | Event::LogRefused { data_file, .. }
            | Event::LogChanged { data_file, .. } => Some(data_file),
            Event::JobStarted(job) => job.data_file.as_deref(),
            Event::JobFinished(job) => job.data_file.as_deref(),
            Event::CommandRefused(_) => None,
        }
    }
}
