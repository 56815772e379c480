//! What a log is told, and what it tells: configuration and status.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{format::Position, lacking::Lacking, rotate::LastArchive};
use crate::{
    error::{Error, ErrorKind, ErrorReport, Result},
    storage::installation::Installation,
    storage::{Disk, Storage},
};

/// Reads the content of an archive in order: called with the position it must have and a sink for its bytes.
pub type ReadBase = Arc<dyn Fn(&Position, &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> + Send + Sync>;

/// What to follow, and where to write.
#[derive(Clone)]
pub struct CaptureConfig {
    /// The data file.
    pub data_file: PathBuf,
    /// The current log, `Name.journal`.
    pub log: PathBuf,
    /// Identity of the data file, as its archives carry it.
    pub identity: Uuid,
    /// Where the data file is; `None` where that cannot be told, and in tests of the log alone.
    pub installation: Option<Installation>,
    /// Whether the log was last written for another file, which is not this one by another name or at its former place.
    pub is_of_other: bool,
    /// Whether it was last written on another machine or in another container, or nobody knows where.
    pub is_moved: bool,
    /// Whether a restore put the data file in its place: that it lacks what the log holds was wanted.
    pub is_restored: bool,
    /// Writes the log.
    pub storage: Arc<dyn Storage>,
    /// The newest archive, if there is one.
    pub last_archive: Option<LastArchive>,
    /// Reads an archive again when the page table is missing.
    pub read_base: Option<ReadBase>,
    /// While the log cannot be written, the WAL is held back up to this size.
    pub wal_bytes_max: u64,
    /// The clock.
    pub clock: fn() -> DateTime<Utc>,
    /// Whether a log of this name was in use before: that it is missing is then worth saying.
    pub is_expected: bool,
    /// Why the log was released before it was opened anew: the data file is compared, and that is said until the next
    /// full backup.
    pub released: Option<ErrorReport>,
    /// Called after the protection changed: its state, or what is wrong with it.
    pub waker: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl std::fmt::Debug for CaptureConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CaptureConfig")
            .field("data_file", &self.data_file)
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}

impl CaptureConfig {
    /// The usual configuration, without an archive.
    pub fn new(data_file: &Path, log: &Path, identity: Uuid) -> Self {
        Self {
            data_file: data_file.to_path_buf(),
            log: log.to_path_buf(),
            identity,
            installation: None,
            is_of_other: false,
            is_moved: false,
            is_restored: false,
            storage: Arc::new(Disk),
            last_archive: None,
            read_base: None,
            wal_bytes_max: 1 << 30,
            clock: Utc::now,
            is_expected: false,
            released: None,
            waker: None,
        }
    }
}

/// A thread that did not get round for so long says nothing about now: a disk that hangs keeps it waiting.
const SILENT: Duration = Duration::from_secs(15);

/// When the capture thread got round last. What it told before says nothing about now when that is long ago.
#[derive(Debug, Clone)]
pub(super) struct Pulse(Arc<Mutex<Instant>>);

impl Pulse {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    pub(super) fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// What `status` is worth by now.
    pub(super) fn judge(&self, mut status: CaptureStatus) -> CaptureStatus {
        let silent = self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
        if silent >= SILENT && status.state == CaptureState::On {
            let message = format!("the disk of {} or of the data file does not answer", status.log.display());
            let hint =
                "Nobody knows whether commits are recorded. Look at both disks; the log goes on when they answer.";
            status.state = CaptureState::Held;
            status.error = Some(Error::new(ErrorKind::Io, message).hint(hint).report());
        }
        status
    }
}

/// How the protection by the log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CaptureState {
    /// Comparing the data file after an interruption, or about to.
    Starting,
    /// Every commit is logged as it is made.
    On,
    /// The log cannot be written at the moment; the WAL is held back, so nothing is lost yet.
    Held,
    /// The log cannot be written, and commits are made that it will not hold one by one.
    Lost,
    /// What it held open is no longer what the paths name: everything was released, and is to be opened anew.
    Released,
    /// Stopped.
    Off,
}

/// What the window shows of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureStatus {
    /// How the protection stands.
    pub state: CaptureState,
    /// The current log.
    pub log: PathBuf,
    /// Its size in bytes.
    pub log_bytes: u64,
    /// The last logged commit.
    pub position: Position,
    /// When it was logged.
    pub last_commit: Option<DateTime<Utc>>,
    /// The latest time that a commit of the log bears, where the last one bears an earlier one: the clock ran back.
    #[serde(default)]
    pub ahead: Option<DateTime<Utc>>,
    /// Commits since the base of the log, all without a gap when `catch_ups` is 0.
    pub commits: u64,
    /// Whether the base is an archive, so that a restore can use the log.
    pub rooted: bool,
    /// Size of the WAL in bytes.
    pub wal_bytes: u64,
    /// Since when a read transaction of another program keeps the WAL from beginning anew; short ones come and go.
    pub held_back_since: Option<DateTime<Utc>>,
    /// Times that the data file had to be compared, since the base.
    pub catch_ups: u32,
    /// Times that SQLite rebuilt its index, so that only checksums proved the chain, since the start.
    pub recoveries: u32,
    /// Commits that the log held and the data file lacked, when it was opened.
    #[serde(default)]
    pub lacking: Option<Lacking>,
    /// What is wrong, or was, with the log.
    pub error: Option<ErrorReport>,
    /// Whether all that was held open is closed, so that it can be opened anew.
    #[serde(skip)]
    pub is_closed: bool,
}
