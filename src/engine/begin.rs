//! How a job begins: what stands in its way, and what it is told of the data files in care.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    data_file::DataFile,
    history::JobKind,
    in_care::{InCare, Known},
    job::{Order, RunningJob, Work},
    message::Message,
    status::Event,
    worker::Worker,
};
use crate::error::{Error, ErrorKind, Result};

/// Jobs that need a data file for themselves: one of them at a time.
pub(super) const DISTURBING: [JobKind; 3] = [JobKind::Backup, JobKind::RestoreInPlace, JobKind::Compact];

impl Worker {
    /// The data file in our care that this archive lies in the destination of.
    pub(super) fn data_file_of(&self, archive: &Path) -> Option<PathBuf> {
        let holds = |d: &&DataFile| d.status().archives.iter().any(|a| a.path == archive);
        self.data_files.iter().find(holds).map(|d| d.path().to_path_buf())
    }

    /// The data files in care now, for a job that asks for this archive.
    pub(super) fn in_care(&self, archive: &Path) -> InCare {
        let known = |data_file: &DataFile| Known {
            path: data_file.path().to_path_buf(),
            id: data_file.settings.settings().data_file_id,
            log: Arc::clone(&data_file.log_slot),
        };
        InCare {
            all: self.data_files.iter().map(known).collect(),
            listed: self.data_file_of(archive),
            settings_dir: self.config.settings_dir.clone(),
            data_dir: self.config.data_dir.clone(),
        }
    }

    /// A restore in place and compacting need the data file for themselves, and its log in order.
    pub(super) fn refuse_while_busy(&self, data_file: &Path) -> Result<()> {
        if self.data_files.status(data_file).is_some_and(|d| d.log_starting) {
            return Err(Error::new(ErrorKind::Busy, format!("the log of {} is being opened", data_file.display()))
                .hint("Try again in a moment."));
        }
        self.refuse_while(data_file, &DISTURBING)
    }

    /// Refuses while a job of one of these kinds runs on the data file.
    pub(super) fn refuse_while(&self, data_file: &Path, kinds: &[JobKind]) -> Result<()> {
        let in_the_way =
            |job: &&RunningJob| job.status.data_file.as_deref() == Some(data_file) && kinds.contains(&job.status.kind);
        match self.jobs.values().find(in_the_way) {
            None => Ok(()),
            Some(job) => {
                let kind = job.status.kind.label().to_lowercase();
                let message = format!("a {kind} of {} is running already", data_file.display());
                Err(Error::new(ErrorKind::Refused, message).hint("Wait until it ends, or stop it first."))
            }
        }
    }

    pub(super) fn start(&mut self, order: Order, work: Work) -> Result<()> {
        let id = order.id;
        if self.jobs.contains_key(&id) {
            return Err(Error::new(ErrorKind::Refused, "a job of this name is running already"));
        }
        let host = (self.status.host, !self.attendants.is_empty());
        let messages = self.messages.clone();
        // The engine waits for every job before it ends, so somebody listens.
        let ended = move |job, result| _ = messages.send(Message::JobEnded { job, result });
        let job = RunningJob::start(order, host, work, &self.config.clock, ended)?;
        self.record(&job.entry);
        self.news.push(Event::JobStarted(job.status.clone()));
        self.jobs.insert(id, job);
        self.list_jobs();
        Ok(())
    }
}
