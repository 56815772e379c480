//! Which data file in the engine's care an archive belongs to, and its running log: what was committed until a restore
//! begins must be in the log that the restore reads.
//!
//! An archive that the engine has listed is known by its path. Any other one, in another folder or before the first
//! look at the folder, is known by what it says of itself, which only a job reads.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use uuid::Uuid;

use super::{data_file::log_slot::LogSlot, lost::lost_pasts};
use crate::{
    archive::Archive,
    journal::{Capture, CaptureState},
    restore::{Logs, Origin},
};

/// How long a restore waits for a log that is just being opened.
pub(super) const RESTORE_WAIT: Duration = Duration::from_secs(20);
/// The same for whoever only looks.
pub(super) const LOOK_WAIT: Duration = Duration::from_secs(2);

/// One of them.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) path: PathBuf,
    pub(super) id: Option<Uuid>,
    pub(super) log: Arc<LogSlot>,
}

/// The data files in the engine's care at one moment.
#[derive(Debug, Clone)]
pub(super) struct InCare {
    pub(super) all: Vec<Known>,
    /// The one that the archive asked for is listed with.
    pub(super) listed: Option<PathBuf>,
    pub(super) settings_dir: PathBuf,
    pub(super) data_dir: PathBuf,
}

impl InCare {
    /// The running log of the data file of `archive`, whose segments may lie in `folders` too, and where that data file
    /// is. A log that is just being opened is waited for, up to `limit`.
    pub(super) fn of(&self, archive: &Path, folders: &[PathBuf], limit: Duration) -> (Option<Arc<Capture>>, Origin) {
        let origin = Origin { settings_dir: Some(self.settings_dir.clone()), ..Origin::default() };
        let Some(found) = self.find(archive, folders) else { return (None, origin) };
        let lost = lost_pasts(&self.data_dir, &found.path);
        let origin = Origin { data_file: Some(found.path.clone()), lost, ..origin };
        match found.log.await_running(limit) {
            Some(log) => (Some(log), origin),
            // What was committed last may not be in it.
            None if found.log.is_opening() => (None, Origin { log_runs: Some(false), ..origin }),
            None => (None, origin),
        }
    }

    fn find(&self, archive: &Path, folders: &[PathBuf]) -> Option<&Known> {
        if let Some(listed) = &self.listed {
            return self.all.iter().find(|data_file| data_file.path == *listed);
        }
        // Not of one that is copied with its settings: nobody can tell which of the two is meant.
        let id = Archive::glance_with(archive, folders).ok()?.data_file_id;
        let mut same = self.all.iter().filter(|data_file| data_file.id == Some(id));
        same.next().filter(|_| same.next().is_none())
    }
}

/// All logs found, and the running one: up to this very moment, wherever it lies. With what is known of where the data
/// file is.
pub(super) fn with_running(logs: Logs, log: Option<&Capture>, mut origin: Origin) -> (Logs, Origin) {
    let Some(log) = log else { return (logs, origin) };
    // Where it cannot be written, what it holds counts.
    let flushed = log.flush();
    let status = log.status();
    let runs = flushed.is_ok() && status.state == CaptureState::On;
    origin.log_problem = status.error.map(|e| e.message).or(flushed.err().map(|e| e.to_string())).filter(|_| !runs);
    origin.log_runs = Some(runs);
    let running = status.log;
    origin.running = Some(running.clone());
    match logs {
        Logs::Found => (Logs::Also(vec![running]), origin),
        Logs::Also(mut files) => {
            files.push(running);
            (Logs::Also(files), origin)
        }
        Logs::None => (Logs::None, origin),
    }
}
