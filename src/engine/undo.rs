//! Undoing a restore in place: which there are, what undoing one would do, and doing it.

use std::path::{Path, PathBuf};

use super::{
    command::JobId,
    history::{HistoryEntry, JobKind},
    in_care::with_running,
    job::{Order, Work},
    status::{DoneInPlace, FinishedJob, JobReport},
    work::{self, InPlaceOrder},
    worker::Worker,
};
use crate::{
    backup,
    error::{Error, ErrorKind, Result},
    journal::Capture,
    restore::{
        Logs, Origin,
        undo::{UndoPlan, plan_undo},
    },
    settings::Settings,
};

/// Restores in place of a data file in the status.
const OFFERED_MAX: usize = 10;

impl Worker {
    /// A job has ended: when it was a restore in place, it can be undone from now on.
    pub(super) fn note_undo(&mut self, entry: &HistoryEntry, finished: &FinishedJob) {
        let undoes = self.undoing.remove(&finished.id);
        let (Some(data_file), Ok(JobReport::Restore(report))) = (&finished.data_file, &finished.result) else { return };
        let Some(done) = report.in_place.as_ref() else { return };
        let Some(undo) = done.undo.clone() else { return };
        let done = DoneInPlace {
            job: finished.id,
            moment: entry.started,
            number: report.number,
            restored: report.integrated.as_ref().map(|integrated| integrated.position.commit),
            commits_left: done.commits_left,
            undo,
            undoes,
        };
        let (of, noted) = (data_file.clone(), done.clone());
        self.note(move |history| history.keep_undo(&of, &noted));
        if let Some(status) = self.edit_data_file(data_file) {
            status.in_place.insert(0, done);
            status.in_place.truncate(OFFERED_MAX);
        }
    }

    pub(super) fn done_in_place(&self, data_file: &Path, of: JobId) -> Result<DoneInPlace> {
        let known = self.data_files.status(data_file).ok_or_else(|| Self::not_open(data_file))?;
        known.in_place.iter().find(|done| done.job == of).cloned().ok_or_else(|| {
            let message = format!("this restore in place of {} is not known any more", data_file.display());
            Error::new(ErrorKind::NotFound, message).hint("Look in the Backup journal which there are.")
        })
    }

    /// Undoes a restore in place: a restore in place to the state before it.
    pub(super) fn undo_restore(&mut self, job: JobId, data_file: PathBuf, of: JobId) -> Result<()> {
        let done = self.done_in_place(&data_file, of)?;
        self.refuse_while_busy(&data_file)?;
        let log = self.data_files.at(&data_file).and_then(|hosted| hosted.log.clone());
        let (config, path, wanted) = (self.config.clone(), data_file.clone(), done.clone());
        let messages = self.messages.clone();
        let in_force = self.data_files.at(&data_file).map(|hosted| hosted.settings.clone());
        let settings =
            self.data_files.at(&data_file).map(|hosted| hosted.settings.settings().clone()).unwrap_or_default();
        let work: Work = Box::new(move |control| {
            let plan = plan(&path, &wanted, (&settings, &config.settings_dir), log.as_deref())?;
            let (logs, until) = plan.until();
            let (segments, known, only_after) = (Vec::new(), in_force, None);
            let order = InPlaceOrder { archive: plan.archive, segments, logs, until, known, only_after };
            work::restore_in_place(&path, (true, log), &config, order, messages)(control)
        });
        let order = Order::asked(job, JobKind::RestoreInPlace, Some(data_file), Some(done.undo.archive.clone()));
        self.start(order, work)?;
        self.undoing.insert(job, of);
        let moment = done.moment.format("%Y-%m-%d %H:%M:%S");
        self.note_in_journal(job, format!("Undoes the restore in place of {moment}."));
        Ok(())
    }
}

/// What undoing it would do.
pub(super) fn plan(
    data_file: &Path,
    done: &DoneInPlace,
    (settings, own): (&Settings, &Path),
    log: Option<&Capture>,
) -> Result<UndoPlan> {
    let mut archives = backup::archives(data_file, settings)?;
    archives.retain(|archive| archive.is_of(settings.data_file_id));
    // Only what is in the log by now is counted.
    let now = log.and_then(|log| log.flush().ok()).map(|position| position.commit);
    let origin = Origin { settings_dir: Some(own.to_path_buf()), ..Origin::of(data_file) };
    let (logs, origin) = with_running(Logs::Found, log, origin);
    plan_undo(&done.undo, &archives, (&logs, &origin), now)
}
