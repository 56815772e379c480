//! What the Backup journal remembers of a data file, read when it is opened.

use std::path::Path;

use chrono::{DateTime, Utc};

use crate::{
    engine::{
        history::{History, JobKind, Watched},
        status::{DoneInPlace, HostKind, LastRun},
    },
    error::Result,
    schedule::automatic::Automatic,
    warning::Warning,
};

/// All of it.
#[derive(Debug, Default)]
pub(in crate::engine) struct Memory {
    /// The last verification of its records.
    pub(in crate::engine) last_check: Option<LastRun>,
    /// The last time that it was compacted.
    pub(in crate::engine) last_compact: Option<LastRun>,
    /// Warnings that stay until somebody puts them away.
    pub(in crate::engine) notices: Vec<Warning>,
    /// Restores in place that can be undone.
    pub(in crate::engine) undos: Vec<DoneInPlace>,
    /// What is known of its automatic backups.
    pub(in crate::engine) automatic: Option<Automatic>,
    /// When its last weekly drill was.
    pub(in crate::engine) last_drill: Option<DateTime<Utc>>,
    /// Who watched it before, if that process has ended.
    pub(in crate::engine) watched: Option<Watched>,
}

impl Memory {
    /// Reads it; `watch` says by whom it is watched from now on, whether that protects it, and since when.
    ///
    /// # Errors
    /// When the Backup journal cannot be read or written.
    pub(in crate::engine) fn read(
        history: &History,
        data_file: &Path,
        watch: Option<(HostKind, bool, DateTime<Utc>)>,
    ) -> Result<Self> {
        Ok(Self {
            last_check: history.last_run(data_file, JobKind::VerifyRecords)?,
            last_compact: history.last_run(data_file, JobKind::Compact)?,
            notices: history.notices(data_file)?,
            undos: history.undos(data_file)?,
            automatic: history.automatic(data_file)?,
            last_drill: history.last_drill(data_file)?,
            watched: match watch {
                Some((host, protects, now)) => history.watch(data_file, host, protects, now)?,
                None => None,
            },
        })
    }
}
