//! What can be asked of the engine. Everything here can be sent through a socket.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    archive::{ArchiveOptions, keys::PublicKey},
    backup::places::Purpose,
    journal::integrate::Until,
    restore::Logs,
    settings::{Revision, Settings},
    take_back::Plan,
    warning::WarningKind,
};

/// Names a job. Chosen by whoever gives the command, so that it can recognise its own job in the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub Uuid);

impl JobId {
    /// A new, unique name.
    pub fn new() -> Self {
        Self(Uuid::new_v4())
    }
}

impl Default for JobId {
    fn default() -> Self {
        Self::new()
    }
}

/// What a command is about: who must carry it out, where there are several engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject<'a> {
    /// A data file, which one engine looks after.
    DataFile(&'a Path),
    /// An archive, which may be of a data file that an engine looks after.
    Archive(&'a Path),
    /// A job, which runs in one engine.
    Job(JobId),
    /// Nothing that belongs to an engine.
    Nothing,
}

/// Something to be done. Its effect is seen in the [`Status`](super::Status); what is to be answered is a
/// [`Query`](super::Query).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Command {
    /// Identify a data file and look after it. On failure the status lists it under `refused`.
    OpenDataFile {
        /// The data file.
        path: PathBuf,
    },
    /// Stop looking after a data file. Refused while a job runs on it.
    CloseDataFile {
        /// Canonical path as in the status.
        path: PathBuf,
    },
    /// Have another engine look after a data file: it is closed where it is, as soon as no job runs on it, and opened
    /// there. Only a window that has joined both can do that.
    HandOver {
        /// Canonical path of the data file.
        data_file: PathBuf,
        /// The process of the engine that gets it.
        process: u32,
    },
    /// Remove a path from the list of recent data files, and from the refused ones.
    Forget {
        /// Path as in the status.
        path: PathBuf,
    },
    /// Choose the folder for archives, and keep the choice in the settings file of the data file.
    SetDestination {
        /// Canonical path of the data file.
        data_file: PathBuf,
        /// The folder; made when the first backup needs it.
        folder: PathBuf,
    },
    /// Give a data file that was copied with its settings an identity of its own, without a log.
    GiveOwnIdentity {
        /// Its data file.
        data_file: PathBuf,
    },
    /// Take the folder for archives, or of the log, as it is there now for the one to be used, although it is not the
    /// one that was used before.
    ChooseAnew {
        /// Canonical path of the data file.
        data_file: PathBuf,
        /// Which folder.
        purpose: Purpose,
    },
    /// Put settings in force as a whole. When they are refused, `settings_refused` of the data file says why.
    ChangeSettings {
        /// Canonical path of the data file.
        data_file: PathBuf,
        /// The settings; what Strongroom itself notes among them is left as it is.
        settings: Settings,
        /// The settings that these were made from: when others are in force meanwhile, nothing is changed.
        revision: Revision,
        /// Whether to switch the data file to WAL mode first, when a log is used from now on; a lasting change of the
        /// file.
        switch_to_wal: bool,
    },
    /// Estimate again what the next backup needs, and read the list of archives again.
    Refresh {
        /// Canonical path of the data file.
        data_file: PathBuf,
    },
    /// Make a full backup.
    Backup {
        /// Name of the job.
        job: JobId,
        /// Canonical path of the data file.
        data_file: PathBuf,
        /// Folder for this archive only; otherwise the one of the settings.
        destination: Option<PathBuf>,
        /// How this archive is stored; otherwise as the settings say.
        #[serde(default)]
        options: Option<ArchiveOptions>,
    },
    /// Try a backup that failed, was missed or is suspended again now, and not when it would be otherwise.
    RetryNow {
        /// Name of the job.
        job: JobId,
        /// Canonical path of the data file.
        data_file: PathBuf,
    },
    /// Restore items of an archive into a folder. Nothing existing is overwritten.
    Restore {
        /// Name of the job.
        job: JobId,
        /// The archive.
        archive: PathBuf,
        /// Names of the items; empty for all.
        items: Vec<String>,
        /// The folder that the files land in; made when missing.
        destination: PathBuf,
        /// The logs to integrate afterwards.
        logs: Logs,
        /// How far to integrate them.
        until: Until,
        /// Folders that may hold segments of the archive, besides its own.
        #[serde(default)]
        segments: Vec<PathBuf>,
    },
    /// Bring the live data file to an earlier state, while programs are connected. What that takes away is kept: by the
    /// log, or else by a full backup made first. A data file that is not open is replaced only when SQLite cannot open
    /// it.
    RestoreInPlace {
        /// Name of the job.
        job: JobId,
        /// The data file.
        data_file: PathBuf,
        /// The archive.
        archive: PathBuf,
        /// The logs to integrate.
        logs: Logs,
        /// How far to integrate them.
        until: Until,
        /// Folders that may hold segments of the archive, besides its own.
        #[serde(default)]
        segments: Vec<PathBuf>,
    },
    /// Use a log for a data file, or (`None`) no longer, and keep the choice in its settings.
    UseLog {
        /// Canonical path of the data file.
        data_file: PathBuf,
        /// The log file, `Name.journal`; made when missing.
        log: Option<PathBuf>,
        /// Whether to switch the data file to WAL mode first, a lasting change of the file; without it, a data file in
        /// another mode is refused.
        switch_to_wal: bool,
    },
    /// Check every byte of an archive.
    Verify {
        /// Name of the job.
        job: JobId,
        /// The archive.
        archive: PathBuf,
        /// Folders that may hold segments of the archive, besides its own.
        #[serde(default)]
        segments: Vec<PathBuf>,
        /// The key that must have signed it; else any that is known, or none.
        #[serde(default)]
        signed_by: Option<PublicKey>,
    },
    /// Undo a restore in place: bring the data file to the state before it. What that takes away is kept as by any
    /// restore in place.
    UndoRestore {
        /// Name of the job.
        job: JobId,
        /// Canonical path of the data file.
        data_file: PathBuf,
        /// The restore in place.
        of: JobId,
    },
    /// Write a sound copy of a damaged archive.
    Repair {
        /// Name of the job.
        job: JobId,
        /// The archive.
        archive: PathBuf,
        /// The new file, or a folder for it; otherwise a name beside the archive.
        to: Option<PathBuf>,
        /// Folders that may hold segments of the archive, besides its own.
        #[serde(default)]
        segments: Vec<PathBuf>,
    },
    /// Restore an archive with its logs to a scratch folder, check it, remove it, and remember that it could be done.
    TestRestore {
        /// Name of the job.
        job: JobId,
        /// The archive.
        archive: PathBuf,
        /// How far to integrate its logs.
        until: Until,
        /// Folders that may hold segments of the archive, besides its own.
        #[serde(default)]
        segments: Vec<PathBuf>,
    },
    /// A test restore of a random archive of a data file, up to a random commit.
    Drill {
        /// Name of the job.
        job: JobId,
        /// Canonical path of the data file.
        data_file: PathBuf,
        /// What archive and commit follow from.
        seed: u64,
    },
    /// Check every record and index of a data file, while programs use it.
    VerifyRecords {
        /// Name of the job.
        job: JobId,
        /// Canonical path of the data file.
        data_file: PathBuf,
    },
    /// Make a data file as short as its content. Refused while another program has it open.
    Compact {
        /// Name of the job.
        job: JobId,
        /// Canonical path of the data file.
        data_file: PathBuf,
    },
    /// Save what a damaged data file still holds into a new file. The damaged one is never touched; nobody need look
    /// after it.
    Recover {
        /// Name of the job.
        job: JobId,
        /// The data file.
        data_file: PathBuf,
        /// The new file; otherwise a name beside it.
        #[serde(default)]
        to: Option<PathBuf>,
        /// Whether records of free pages, which were deleted once, are kept among the lost and found.
        #[serde(default)]
        with_deleted: bool,
    },
    /// Take back single changes in the live data file, exactly as planned, or not at all.
    TakeBack {
        /// Name of the job.
        job: JobId,
        /// Canonical path of the data file.
        data_file: PathBuf,
        /// What was shown.
        plan: Arc<Plan>,
    },
    /// The same for a plan that the engine has made and keeps: parts of it were shown.
    TakeBackPlanned {
        /// Name of the job.
        job: JobId,
        /// Canonical path of the data file.
        data_file: PathBuf,
        /// The name that the engine gave the plan.
        plan: Uuid,
    },
    /// Keep an archive for ever; a hold that it has already gives way.
    Hold {
        /// The archive.
        archive: PathBuf,
        /// The reason.
        note: Option<String>,
    },
    /// Let retention have an archive again that was held.
    Release {
        /// The archive.
        archive: PathBuf,
    },
    /// Put a warning away that stays until somebody has seen it.
    PutAway {
        /// Canonical path of the data file.
        data_file: PathBuf,
        /// What it is about.
        kind: WarningKind,
    },
    /// Create the sample data file in a folder, and open it.
    CreateSample {
        /// Name of the job.
        job: JobId,
        /// The folder; made when missing.
        folder: PathBuf,
    },
    /// Run the small client that keeps editing the sample, as a process of its own.
    StartSampleClient {
        /// Canonical path of the sample.
        data_file: PathBuf,
    },
    /// End the client started by `StartSampleClient`.
    StopSampleClient {
        /// Canonical path of the sample.
        data_file: PathBuf,
    },
    /// Stop a running job within a second.
    Stop {
        /// Name of the job.
        job: JobId,
    },
    /// Answer the question of a job whose disk is full: go on in this folder, made when missing. The same folder is an
    /// answer too, once there is space.
    GoOn {
        /// Name of the job.
        job: JobId,
        /// The folder.
        folder: PathBuf,
    },
    /// Say that somebody can answer questions of jobs, or has left. Whoever gave it over a connection that ends has
    /// left.
    Attend {
        /// Names the window or terminal.
        who: Uuid,
        /// Whether somebody is there.
        here: bool,
    },
}

impl Command {
    /// What it is about.
    pub fn subject(&self) -> Subject<'_> {
        match self {
            Command::OpenDataFile { path } | Command::CloseDataFile { path } | Command::Forget { path } => {
                Subject::DataFile(path)
            }
            Command::SetDestination { data_file, .. }
            | Command::GiveOwnIdentity { data_file }
            | Command::ChooseAnew { data_file, .. }
            | Command::ChangeSettings { data_file, .. }
            | Command::HandOver { data_file, .. }
            | Command::Refresh { data_file }
            | Command::Backup { data_file, .. }
            | Command::RetryNow { data_file, .. }
            | Command::Drill { data_file, .. }
            | Command::VerifyRecords { data_file, .. }
            | Command::Compact { data_file, .. }
            | Command::Recover { data_file, .. }
            | Command::TakeBack { data_file, .. }
            | Command::TakeBackPlanned { data_file, .. }
            | Command::PutAway { data_file, .. }
            | Command::RestoreInPlace { data_file, .. }
            | Command::UndoRestore { data_file, .. }
            | Command::UseLog { data_file, .. }
            | Command::StartSampleClient { data_file }
            | Command::StopSampleClient { data_file } => Subject::DataFile(data_file),
            Command::Restore { archive, .. }
            | Command::Verify { archive, .. }
            | Command::Repair { archive, .. }
            | Command::Hold { archive, .. }
            | Command::Release { archive }
            | Command::TestRestore { archive, .. } => Subject::Archive(archive),
            Command::Stop { job } | Command::GoOn { job, .. } => Subject::Job(*job),
            Command::CreateSample { .. } | Command::Attend { .. } => Subject::Nothing,
        }
    }

    /// The job that it begins, if it does.
    pub fn job(&self) -> Option<JobId> {
        match self {
            Command::Backup { job, .. }
            | Command::Restore { job, .. }
            | Command::RestoreInPlace { job, .. }
            | Command::UndoRestore { job, .. }
            | Command::Verify { job, .. }
            | Command::RetryNow { job, .. }
            | Command::Repair { job, .. }
            | Command::TestRestore { job, .. }
            | Command::Drill { job, .. }
            | Command::VerifyRecords { job, .. }
            | Command::Compact { job, .. }
            | Command::Recover { job, .. }
            | Command::TakeBack { job, .. }
            | Command::TakeBackPlanned { job, .. }
            | Command::CreateSample { job, .. } => Some(*job),
            _ => None,
        }
    }
}
