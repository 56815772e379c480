//! What a log is told, and what it tells: configuration and status.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{format::Position, lacking::Lacking, rotate::LastArchive};
use crate::{
    error::{ErrorReport, Result},
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
    /// Writes the log.
    pub storage: Arc<dyn Storage>,
    /// The newest archive, if there is one.
    pub last_archive: Option<LastArchive>,
    /// Reads an archive again when the page table is missing.
    pub read_base: Option<ReadBase>,
    /// While the log can not be written, the WAL is held back up to this size.
    pub wal_bytes_max: u64,
    /// The clock.
    pub clock: fn() -> DateTime<Utc>,
    /// Whether a log of this name was in use before: that it is missing is then worth saying.
    pub is_expected: bool,
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
            storage: Arc::new(Disk),
            last_archive: None,
            read_base: None,
            wal_bytes_max: 1 << 30,
            clock: Utc::now,
            is_expected: false,
            waker: None,
        }
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
    /// The log can not be written at the moment; the WAL is held back, so nothing is lost yet.
    Held,
    /// The log can not be written, and commits are made that it will not hold one by one.
    Lost,
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
}
