//! A data file that lacks commits which its log holds: integrated by itself where that can only be what everybody
//! wants, and offered where it could be wrong.

use std::path::{Path, PathBuf};

use super::{
    command::JobId,
    history::JobKind,
    job::{Order, Work},
    message::Message,
    status::{FinishedJob, JobReport},
    work::{self, InPlaceOrder},
    worker::Worker,
};
use crate::{
    backup,
    error::{Error, ErrorKind, Result},
    journal::{Lacking, commits_in_words, integrate::Until},
    restore::Logs,
    settings::Settings,
    sqlite::snapshot,
    storage::processes::{self, Holders},
    warning::{Warning, WarningKind},
};

impl Worker {
    /// Takes note that the log of a data file holds what the file lacks, once for each opening of the log.
    pub(super) fn note_lacking(&mut self, data_file: &Path) {
        let Some(hosted) = self.data_files.at_mut(data_file) else { return };
        let Some(lacking) = hosted.log.as_ref().and_then(|log| log.status().lacking) else { return };
        if hosted.lacking.as_ref() == Some(&lacking) {
            return;
        }
        hosted.lacking = Some(lacking.clone());
        let wanted = hosted.settings.settings().restore.integrate_log && self.config.stays();
        self.keep_notice(data_file, lacks(data_file, &lacking));
        if wanted && (lacking.lost_end || lacking.put_back) {
            let (path, of) = (data_file.to_path_buf(), data_file.to_path_buf());
            self.run_beside(
                move || Ok(processes::holders(&[path.clone(), snapshot::wal_path(&path)])),
                move |open| Message::Lacks { data_file: of, open: open.unwrap_or_default() },
            );
        }
    }

    /// Integrates what is lacking, unless another program works with the older state.
    pub(super) fn integrate_lacking(&mut self, data_file: &Path, open: &Holders) {
        let Some(hosted) = self.data_files.at(data_file) else { return };
        let Some((lacking, log)) = hosted.lacking.clone().zip(hosted.log.clone()) else { return };
        if !lacking.lost_end && !open.processes.is_empty() || self.refuse_while_busy(data_file).is_err() {
            return;
        }
        let id = JobId::new();
        let (path, config, wanted) = (data_file.to_path_buf(), self.config.clone(), lacking.clone());
        let (messages, settings) = (self.messages.clone(), hosted.settings.settings().clone());
        let in_force = hosted.settings.clone();
        let work: Work = Box::new(move |control| {
            let archive = base(&path, &settings, &wanted)?;
            let order = InPlaceOrder {
                archive,
                segments: Vec::new(),
                logs: Logs::Found,
                until: Until::Commit(wanted.last),
                known: Some(in_force),
                only_after: Some(wanted.noted),
            };
            work::restore_in_place(&path, (true, Some(log)), &config, order, messages)(control)
        });
        let order = Order {
            id,
            kind: JobKind::RestoreInPlace,
            data_file: Some(data_file.to_path_buf()),
            archive: None,
            automatic: true,
        };
        if self.start(order, work).is_ok() {
            let note =
                format!("By itself: the data file lacked {} that its log held.", commits_in_words(lacking.commits()));
            self.note_in_journal(id, note);
        }
    }

    /// A restore in place has ended: by itself or by hand, nothing is lacking any more.
    pub(super) fn lacking_ended(&mut self, finished: &FinishedJob) {
        let (Some(data_file), Ok(JobReport::Restore(report))) = (&finished.data_file, &finished.result) else { return };
        if finished.kind != JobKind::RestoreInPlace {
            return;
        }
        let lacking = self.data_files.at(data_file).and_then(|h| h.lacking.clone());
        self.put_away(data_file, WarningKind::DataFileIncomplete);
        if let Some(lacking) = lacking.filter(|_| finished.automatic) {
            let undo = report.in_place.as_ref().and_then(|done| done.undo.as_ref());
            let back = undo.and_then(|undo| undo.commit).unwrap_or(lacking.noted);
            let message = format!(
                "{} lacked {} that its log held, the last of {}; they were integrated by themselves",
                data_file.display(),
                commits_in_words(lacking.commits()),
                shown(&lacking),
            );
            let hint = format!(
                "Nothing has to be done. To go back to the state that was found, restore it in place up to commit \
                 {back}. Put this away when you have seen it."
            );
            self.keep_notice(data_file, Warning::new(WarningKind::RestoredAutomatically, message, hint));
        }
    }
}

fn shown(lacking: &Lacking) -> String {
    lacking.last_moment.with_timezone(&chrono::Local).format("%Y-%m-%d %H:%M:%S").to_string()
}

/// What is said until the commits are there again or somebody has put it away.
fn lacks(data_file: &Path, lacking: &Lacking) -> Warning {
    Warning::new(
        WarningKind::DataFileIncomplete,
        format!(
            "{} is as it was after commit {}: it lacks {} that its log holds, the last of {}",
            data_file.display(),
            lacking.commit,
            commits_in_words(lacking.commits()),
            shown(lacking)
        ),
        format!(
            "Restore it in place up to commit {} to have them again; or put this away, if the older state is meant.",
            lacking.last
        ),
    )
}

/// The archive that the log stands on.
fn base(data_file: &Path, settings: &Settings, lacking: &Lacking) -> Result<PathBuf> {
    let archives = backup::archives(data_file, settings)?;
    let found = archives.into_iter().find(|archive| archive.log_position == Some(lacking.base));
    found.map(|archive| archive.path).ok_or_else(|| {
        let number = lacking.base.archive;
        Error::new(ErrorKind::NotFound, format!("archive {number:04}, which the log goes on from, is not found"))
            .hint("Bring that archive back, then restore the data file in place.")
    })
}
