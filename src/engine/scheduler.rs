//! The automatic backups of each data file: begun when they are due, and what becomes of them remembered.
//!
//! What is to be done is decided by [`Automatic`] alone; here it is asked whenever the engine wakes, which is every two
//! seconds at least, so that neither sleep nor a clock that is set can be slept through.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::{DateTime, Local, Utc};

use super::{
    backup_job::BackupJob,
    command::JobId,
    data_file::due::{after, ended, newly_shown},
    history::{HistoryEntry, Job, JobKind, Outcome},
    job::Order,
    status::FinishedJob,
    worker::Worker,
};
use crate::{
    error::{Error, ErrorKind, Result},
    schedule::automatic::{Automatic, Decision, Ended, Reason},
};

impl Worker {
    pub(super) fn now(&self) -> DateTime<Local> {
        self.config.clock.local()
    }

    /// Takes up the automatic backups of a data file, once its archives are known.
    pub(super) fn begin_automatic(&mut self, data_file: &Path) {
        let now = self.now();
        let newest = self.data_files.status(data_file).and_then(|d| d.newest_good()).map(|moment| moment.to_utc());
        let Some(hosted) = self.data_files.at_mut(data_file) else { return };
        if hosted.automatic.is_some() || !self.config.stays() {
            return;
        }
        let mut state = hosted.remembered.take().unwrap_or_default();
        let settings = hosted.settings.settings();
        let missed = state.begin((&settings.scheduler, &settings.failure), newest, &now);
        hosted.automatic = Some(state.clone());
        self.keep_automatic(data_file, &state);
        if let Some(due) = missed {
            self.record_missed(data_file, due);
        }
    }

    fn keep_automatic(&mut self, data_file: &Path, state: &Automatic) {
        if let Some(hosted) = self.data_files.at_mut(data_file) {
            hosted.asked = None;
        }
        let (of, noted) = (data_file.to_path_buf(), state.clone());
        self.note(move |history| history.keep_automatic(&of, &noted));
        if let Some(status) = self.edit_data_file(data_file) {
            status.automatic = Some(state.clone());
        }
    }

    fn record_missed(&mut self, data_file: &Path, due: DateTime<Utc>) {
        let entry = HistoryEntry {
            job: Job {
                id: JobId::new(),
                kind: JobKind::Backup,
                data_file: Some(data_file.to_path_buf()),
                started: due.with_timezone(&Local),
                automatic: true,
            },
            number: None,
            duration_ms: None,
            outcome: Outcome::Missed,
            path: None,
            bytes: None,
            error: None,
            note: Some("It was due while the program did not run.".to_owned()),
        };
        self.record(&entry);
        self.notify(&entry);
    }

    /// Begins what is due, and shows when the next backup is.
    pub(super) fn run_schedule(&mut self) {
        let now = self.now();
        let at_work: Vec<PathBuf> =
            self.data_files.iter().filter(|h| !h.may_wait(now.to_utc())).map(|h| h.path().to_path_buf()).collect();
        for path in at_work {
            let Some(hosted) = self.data_files.at_mut(&path) else { continue };
            let Some(state) = hosted.automatic.as_mut().filter(|_| hosted.automatic_job.is_none()) else { continue };
            let (settings, before) = (hosted.settings.settings(), state.clone());
            let decision = state.decide(&settings.scheduler, &settings.failure, &now);
            let after = state.clone();
            if after != before {
                self.keep_automatic(&path, &after);
            }
            let next = match decision {
                Decision::Wait(next) => {
                    if let Some(hosted) = self.data_files.at_mut(&path) {
                        hosted.asked = Some((now.to_utc(), next));
                    }
                    next
                }
                Decision::Run(reason) => {
                    // While another job needs the data file, it stays due.
                    if self.refuse_while_busy(&path).is_ok() {
                        let _ = self.begin_backup(JobId::new(), &path, reason);
                    }
                    Some(now.to_utc())
                }
            };
            let next = next.map(|next| next.with_timezone(&Local));
            let shown = self.data_files.status(&path).and_then(|status| status.next_backup);
            if let Some(shown) = newly_shown(shown, next, now)
                && let Some(status) = self.edit_data_file(&path)
            {
                status.next_backup = shown;
            }
        }
    }

    /// Tries a failed or suspended backup again now, whenever that would be otherwise.
    pub(super) fn retry_now(&mut self, job: JobId, data_file: &Path) -> Result<()> {
        let hosted = self.data_files.at(data_file).ok_or_else(|| Self::not_open(data_file))?;
        let state = hosted.automatic.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::Refused, format!("nothing is scheduled for {}", data_file.display()))
                .hint("Make a full backup instead.")
        })?;
        let attempt = state.attempts + 1;
        self.refuse_while_busy(data_file)?;
        self.begin_backup(job, data_file, Reason::Retry { attempt })
    }

    fn begin_backup(&mut self, job: JobId, data_file: &Path, reason: Reason) -> Result<()> {
        let Some(hosted) = self.data_files.at_mut(data_file) else { return Ok(()) };
        let mut backup =
            BackupJob::new(data_file, &self.config, None, Arc::clone(&hosted.log_slot), self.messages.clone());
        backup.only_if_modified = hosted.settings.settings().scheduler.only_if_modified;
        backup.known = Some(hosted.settings.clone());
        backup.busy = self.busy_archives();
        if let Some(hosted) = self.data_files.at_mut(data_file) {
            hosted.automatic_job = Some((job, reason));
        }
        let order = Order {
            id: job,
            kind: JobKind::Backup,
            data_file: Some(data_file.to_path_buf()),
            archive: None,
            automatic: true,
        };
        let started = self.start(order, backup.work());
        if let Err(error) = &started {
            self.automatic_ended(data_file, job, Ended::Failed(error.report()));
        }
        started
    }

    /// Archives that a job reads just now.
    pub(super) fn busy_archives(&self) -> Vec<PathBuf> {
        self.jobs.values().filter_map(|job| job.status.archive.clone()).collect()
    }

    /// Takes note of a backup that ended, whoever asked for it.
    pub(super) fn note_backup(&mut self, finished: &FinishedJob) {
        let (JobKind::Backup, Some(data_file)) = (finished.kind, &finished.data_file) else { return };
        self.automatic_ended(data_file, finished.id, ended(&finished.result));
    }

    fn automatic_ended(&mut self, data_file: &Path, job: JobId, ended: Ended) {
        let now = self.now();
        let ending = self.ending;
        let Some(hosted) = self.data_files.at_mut(data_file) else { return };
        let reason = hosted.automatic_job.take_if(|(own, _)| *own == job).map(|(_, reason)| reason);
        let Some(known) = &hosted.automatic else { return };
        let failure = &hosted.settings.settings().failure;
        let Some(state) = after(known, reason, ended, (failure, ending), &now) else { return };
        hosted.automatic = Some(state.clone());
        self.keep_automatic(data_file, &state);
    }
}
