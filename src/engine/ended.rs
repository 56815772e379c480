//! What is kept of jobs: their results, their lines in the Backup journal, and the last full backup of each data file.

use std::{path::Path, sync::Arc};

use super::{
    command::JobId,
    data_file::known,
    history::{History, HistoryEntry, JobKind, Outcome},
    message::Message,
    query::{Answer, Reply},
    recorder::{Fresh, HISTORY_MAX, HistoryRead, PROVEN_MAX},
    status::{Event, FinishedJob, JobReport},
    worker::Worker,
};
use crate::{
    drill::Proof,
    error::{ErrorReport, Result},
};

const FINISHED_MAX: usize = 20;

impl Worker {
    pub(super) fn job_ended(&mut self, id: JobId, result: std::result::Result<JobReport, ErrorReport>) {
        let Some(job) = self.jobs.remove(&id) else { return };
        let (entry, finished) = job.finish(result);
        self.record(&entry);
        self.note_undo(&entry, &finished);
        self.note_backup(&finished);
        self.note_maintenance(&entry, &finished);
        self.note_for_proofs(&finished);
        if let Ok(JobReport::TestRestore(proof)) = &finished.result {
            self.proved(proof);
        }
        if let Ok(JobReport::Sample { path, .. }) = &finished.result {
            self.open(path.clone());
        }
        self.lacking_ended(&finished);
        if self.damaged_ended(&finished) {
            // It is opened, or refused, with what came of it.
        } else if let Some(data_file) = finished.data_file.clone() {
            if finished.kind == JobKind::RestoreInPlace && self.data_files.at(&data_file).is_none() {
                self.open(data_file);
            } else {
                self.survey(&data_file);
            }
        }
        self.keep_finished(finished);
        self.list_jobs();
        self.notify(&entry);
    }

    /// Keeps a proof, and shows it.
    pub(super) fn proved(&mut self, proof: &Proof) {
        let noted = proof.clone();
        self.note(move |history| history.prove(&noted));
        self.fresh.push(Fresh::Proof(proof.clone()));
        self.show_proof(proof);
    }

    fn show_proof(&mut self, proof: &Proof) {
        let list = Arc::make_mut(&mut self.edit().proven);
        list.retain(|known| known.archive_id != proof.archive_id);
        list.insert(0, proof.clone());
        list.truncate(PROVEN_MAX as usize);
    }

    pub(super) fn keep_finished(&mut self, finished: FinishedJob) {
        let list = Arc::make_mut(&mut self.edit().finished);
        list.insert(0, finished.clone());
        list.truncate(FINISHED_MAX);
        self.news.push(Event::JobFinished(finished));
    }

    /// Writes an entry of the Backup journal, and shows it; a journal that fails is said and holds up nothing.
    pub(super) fn record(&mut self, entry: &HistoryEntry) {
        let noted = entry.clone();
        self.note(move |history| match noted.outcome {
            Outcome::Running => history.begin(&noted),
            _ => history.finish(&noted),
        });
        self.fresh.push(Fresh::Entry(entry.clone()));
        self.show_entry(entry);
        self.note_last_backups(entry.data_file.as_deref());
        if let Some(data_file) = &entry.data_file {
            self.touch(data_file);
        }
    }

    fn show_entry(&mut self, entry: &HistoryEntry) {
        let list = Arc::make_mut(&mut self.edit().history);
        match list.iter_mut().find(|e| e.id == entry.id) {
            Some(known) => *known = entry.clone(),
            None => list.insert(0, entry.clone()),
        }
        list.truncate(HISTORY_MAX as usize);
    }

    /// Puts a data file at the head of the recent ones.
    pub(super) fn remember(&mut self, path: &Path) {
        let (path, now) = (path.to_path_buf(), self.now());
        self.show_recent(move |history| history.remember(&path, now));
    }

    /// Changes the recent data files, and shows them.
    pub(super) fn show_recent(&mut self, change: impl FnOnce(&History) -> Result<()> + Send + 'static) {
        let messages = self.messages.clone();
        let task = move |history: &History| change(history).and_then(|()| history.recent());
        self.recorder.run(task, move |recent| {
            let message = recent.map_or_else(|error| Message::HistoryFailed(error.report()), Message::Recent);
            let _ = messages.send(message);
        });
    }

    /// Shows what was read of the Backup journal, and what came about since.
    pub(super) fn take_history(&mut self, read: Result<HistoryRead>) {
        match read {
            Ok(HistoryRead { entries, recent, proven, findings, .. }) => {
                self.findings = findings;
                let status = self.edit();
                (status.history, status.recent, status.proven) = (Arc::new(entries), recent, Arc::new(proven));
                for fresh in self.fresh.clone() {
                    match fresh {
                        Fresh::Entry(entry) => self.show_entry(&entry),
                        Fresh::Proof(proof) => self.show_proof(&proof),
                        Fresh::Looked(looked) => self.take_looked(&looked),
                    }
                }
                self.show_findings(None);
            }
            Err(error) => self.edit().history_problem = Some(error.report()),
        }
        self.note_last_backups(None);
    }

    /// The last full backup of a data file, or of each: from the Backup journal, or from the newest archive if that is
    /// newer.
    pub(super) fn note_last_backups(&mut self, only: Option<&Path>) {
        let history = Arc::clone(&self.status.history);
        for data_file in self.data_files.iter_mut().filter(|known| only.is_none_or(|only| known.path() == only)) {
            known::take_history(data_file.edit(), &history);
        }
    }

    /// Shows what was found of the archives of a data file, or of all.
    pub(super) fn show_findings(&mut self, only: Option<&Path>) {
        let findings = std::mem::take(&mut self.findings);
        for data_file in self.data_files.iter_mut().filter(|known| only.is_none_or(|only| known.path() == only)) {
            known::take_findings(data_file.edit(), &findings);
        }
        self.findings = findings;
    }

    /// Takes up what other processes have written to the Backup journal: jobs of another window or command, and what
    /// they found. A question is answered when that is done.
    pub(super) fn follow_history(&mut self, then: Option<Reply>) {
        if !self.recorder.is_kept() {
            return self.answers.extend(then.map(|reply| (reply, Answer::Looked)));
        }
        if self.reading > 0 && then.is_none() {
            return;
        }
        if self.reading == 0 {
            self.fresh.clear();
        }
        self.reading += 1;
        let (known, messages) = (self.history_version, self.messages.clone());
        let read = move |history: &History| match history.version() {
            version if version.is_none() || version == known => Ok(None),
            _ => HistoryRead::of(history).map(|read| Some(Box::new(read))),
        };
        self.recorder.run(read, move |read| {
            let read = read.unwrap_or_else(|error| {
                let _ = messages.send(Message::HistoryFailed(error.report()));
                None
            });
            let _ = messages.send(Message::HistoryRead { read, then });
        });
    }

    pub(super) fn history_read(&mut self, read: Option<Box<HistoryRead>>, then: Option<Reply>) {
        self.reading = self.reading.saturating_sub(1);
        if let Some(read) = read {
            self.history_version = read.version;
            self.take_history(Ok(*read));
        }
        self.answers.extend(then.map(|reply| (reply, Answer::Looked)));
    }
}
