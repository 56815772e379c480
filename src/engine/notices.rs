//! Warnings that stay until somebody has seen them, or the cause is gone.

use std::{path::Path, time::Instant};

use super::{data_file::DataFile, worker::Worker};
use crate::warning::{Warning, WarningKind};

impl Worker {
    /// What is to be said of this data file may have changed.
    pub(super) fn touch(&mut self, data_file: &Path) {
        self.data_files.at_mut(data_file).into_iter().for_each(DataFile::touch);
    }

    /// Brings the warnings of data files up to date of which something changed.
    pub(super) fn update_warnings(&mut self) {
        let now = self.now();
        self.data_files.iter_mut().for_each(|data_file| data_file.update_warnings(&now));
    }

    /// Notes at each data file whether a job on it stands still.
    pub(super) fn note_stalled(&mut self, now: Instant) {
        if self.jobs.is_empty() && self.data_files.iter().all(|data_file| data_file.status().stalled.is_none()) {
            return;
        }
        let found = self.data_files.iter().map(|data_file| {
            let path = data_file.path();
            let mut jobs = self.jobs.values().filter(|job| job.status.data_file.as_deref() == Some(path));
            (path.to_path_buf(), jobs.find_map(|job| job.stalled(now)), &data_file.status().stalled)
        });
        let changed: Vec<_> =
            found.filter(|(_, stalled, known)| stalled != *known).map(|(path, stalled, _)| (path, stalled)).collect();
        for (path, stalled) in changed {
            if let Some(status) = self.edit_data_file(&path) {
                status.stalled = stalled;
            }
        }
    }

    /// Keeps a warning, and shows it.
    pub(super) fn keep_notice(&mut self, data_file: &Path, warning: Warning) {
        let (of, noted) = (data_file.to_path_buf(), warning.clone());
        self.note(move |history| history.keep_notice(&of, &noted));
        if let Some(status) = self.edit_data_file(data_file) {
            status.notices.retain(|known| known.kind != warning.kind);
            status.notices.push(warning);
        }
    }

    /// Keeps a warning, and says one that is urgent where a command or a service says what happens: a command has no
    /// other place for it.
    pub(super) fn say(&mut self, data_file: &Path, warning: Warning) {
        if warning.kind.is_urgent() {
            tracing::error!("{}. {}", warning.message, warning.hint.as_deref().unwrap_or_default());
        }
        self.keep_notice(data_file, warning);
    }

    /// Somebody has seen it, or its cause is gone.
    pub(super) fn put_away(&mut self, data_file: &Path, kind: WarningKind) {
        if !self.data_files.status(data_file).is_some_and(|d| d.notices.iter().any(|n| n.kind == kind)) {
            return;
        }
        if let Some(status) = self.edit_data_file(data_file) {
            status.notices.retain(|known| known.kind != kind);
        }
        let of = data_file.to_path_buf();
        self.note(move |history| history.put_away(&of, kind));
    }
}
