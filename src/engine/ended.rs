//! What is kept of jobs: their results, their lines in the Backup journal, and the last full backup of each data file.

use std::{path::Path, sync::Arc};

use super::{
    command::JobId,
    data_file::known,
    history::{HistoryEntry, JobKind, Outcome},
    status::{Event, FinishedJob, JobReport},
    worker::Worker,
};
use crate::{drill::Proof, error::ErrorReport};

/// Entries of the Backup journal in the status.
const HISTORY_MAX: u32 = 1000;
const FINISHED_MAX: usize = 20;
/// Proofs in the status: one for each archive.
const PROVEN_MAX: u32 = 200;

impl Worker {
    pub(super) fn job_ended(&mut self, id: JobId, result: std::result::Result<JobReport, ErrorReport>) {
        let Some(job) = self.jobs.remove(&id) else { return };
        let (entry, finished) = job.finish(result);
        self.record(&entry);
        self.note_undo(&entry, &finished);
        self.note_backup(&finished);
        self.note_maintenance(&finished);
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
        if let Some(history) = &self.history
            && let Err(error) = history.prove(proof)
        {
            self.edit().history_problem = Some(error.report());
        }
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
        if let Some(history) = &self.history {
            let written = if entry.outcome == Outcome::Running { history.begin(entry) } else { history.finish(entry) };
            if let Err(error) = written {
                self.edit().history_problem = Some(error.report());
            }
        }
        let list = Arc::make_mut(&mut self.edit().history);
        match list.iter_mut().find(|e| e.id == entry.id) {
            Some(known) => *known = entry.clone(),
            None => list.insert(0, entry.clone()),
        }
        list.truncate(HISTORY_MAX as usize);
        self.note_last_backups(entry.data_file.as_deref());
        if let Some(data_file) = &entry.data_file {
            self.touch(data_file);
        }
    }

    /// Puts a data file at the head of the recent ones.
    pub(super) fn remember(&mut self, path: &Path) {
        let Some(history) = &self.history else { return };
        match history.remember(path, self.now()).and_then(|()| history.recent()) {
            Ok(recent) => self.edit().recent = recent,
            Err(error) => self.edit().history_problem = Some(error.report()),
        }
    }

    pub(super) fn read_history(&mut self) {
        let Some(history) = &self.history else { return };
        let read = history
            .list(HISTORY_MAX)
            .and_then(|list| Ok((list, history.recent()?, history.proven(PROVEN_MAX)?, history.findings()?)));
        match read {
            Ok((list, recent, proven, findings)) => {
                self.findings = findings;
                let status = self.edit();
                (status.history, status.recent, status.proven) = (Arc::new(list), recent, Arc::new(proven));
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
    /// they found.
    pub(super) fn follow_history(&mut self) {
        let version = self.history.as_ref().and_then(super::history::History::version);
        if version.is_some() && version != self.history_version {
            self.history_version = version;
            self.read_history();
        }
    }
}
