//! Warnings that stay until somebody has seen them, or the cause is gone.

use std::path::Path;

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
