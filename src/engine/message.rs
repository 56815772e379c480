//! What reaches the engine's thread.

use std::path::PathBuf;

use crossbeam_channel::Sender;

use super::{
    command::{Command, JobId},
    data_file::{FoldersSeen, LogStart, Opening, Surveyed, Users},
    history::Looked,
    query::{Query, Reply},
    recorder::HistoryRead,
    status::{JobReport, Refused},
};
use crate::{
    archive::catalog::ArchiveEntry,
    backup::{Deleted, places::Purpose},
    drill::Proof,
    error::{ErrorReport, Result},
    journal::Capture,
    restore::lost_past::LostPast,
    settings::SettingsFile,
    storage::processes::{Holders, Process},
};

/// What reaches the engine's thread.
pub(super) enum Message {
    Command(Command),
    Query(Query, Reply),
    Opened {
        asked: PathBuf,
        /// What it is called where it lies.
        real: Option<PathBuf>,
        /// Whether somebody asked for it.
        again: bool,
        result: std::result::Result<Opening, Refused>,
    },
    /// Who else has a data file open that lacks commits.
    Lacks {
        data_file: PathBuf,
        open: Holders,
    },
    /// Folders of archives are otherwise than at the last survey of these data files; who waits for which; and which
    /// of them a program seems to read with another WAL.
    Watched {
        changed: Vec<PathBuf>,
        waiting: Vec<(PathBuf, Vec<Process>)>,
        apart: Vec<PathBuf>,
    },
    Surveyed {
        data_file: PathBuf,
        /// The question that is answered with it.
        asked: Option<Reply>,
        surveyed: std::result::Result<Box<Surveyed>, ErrorReport>,
    },
    /// Whether another log than the one in use can be opened was looked at.
    LogTried {
        data_file: PathBuf,
        attempt: u64,
        start: LogStart,
        result: std::result::Result<(), ErrorReport>,
    },
    LogOpened {
        data_file: PathBuf,
        attempt: u64,
        /// The log, and what it held and lost.
        result: std::result::Result<(Capture, Option<LostPast>), ErrorReport>,
    },
    LogChanged {
        data_file: PathBuf,
    },
    /// The Backup journal cannot be written or read.
    HistoryFailed(ErrorReport),
    /// What was read of it, if that is news; with the question that is answered then.
    HistoryRead {
        read: Option<Box<HistoryRead>>,
        then: Option<Reply>,
    },
    /// Data files opened before.
    Recent(Vec<PathBuf>),
    ProcessesSeen(Vec<(Users, PathBuf)>),
    Ping(Sender<()>),
    FoldersSeen {
        data_file: PathBuf,
        seen: FoldersSeen,
    },
    ChosenAnew {
        data_file: PathBuf,
        purpose: Purpose,
        result: std::result::Result<Box<SettingsFile>, ErrorReport>,
    },
    /// An archive was restored for a test as part of another job.
    Proved(Proof),
    /// A job looked at an archive.
    Looked(Looked),
    /// An archive was held or released, or that could not be done.
    Held(Result<ArchiveEntry>),
    /// Old backups were deleted after one was proven.
    OldDeleted {
        data_file: PathBuf,
        job: JobId,
        deleted: Deleted,
    },
    Notified {
        data_file: PathBuf,
        result: Result<()>,
    },
    JobEnded {
        job: JobId,
        result: std::result::Result<JobReport, ErrorReport>,
    },
    Shutdown,
}
