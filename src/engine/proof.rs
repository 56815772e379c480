//! Test restores that the engine makes by itself: of every new archive, and every week of one drawn by lot.
//!
//! They wait until nobody has asked for anything for a moment, so that a series of jobs, or whoever closes the data
//! file, does not meet them. What they find is kept like any other proof; what fails is urgent, because a backup that
//! cannot be restored is none.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use chrono::{DateTime, Local, Utc};
use uuid::Uuid;

use super::{
    command::JobId,
    data_file::proving::{AGAIN, Due, Verdict, WEEK, is_wanted, verdict},
    history::{JobKind, Outcome},
    job::{Order, Work},
    status::{FinishedJob, JobReport},
    work,
    worker::Worker,
};
use crate::{
    journal::integrate::Until,
    restore::Logs,
    settings::sections::Drill,
    storage::{self, scratch::remove_leftovers},
    warning::{Warning, WarningKind},
};

impl Worker {
    /// Removes what test restores that were cut off have left, beside everything else.
    pub(super) fn remove_leftovers(&self) {
        let scratch = self.config.data_dir.clone();
        storage::clean_up(move || remove_leftovers(&scratch));
    }

    /// Begins the test restores whose time has come.
    pub(super) fn run_proofs(&mut self) {
        if !self.config.stays() {
            return;
        }
        let now = self.now().to_utc();
        let due: Vec<(PathBuf, Due)> = self
            .data_files
            .iter()
            .filter_map(|known| {
                let settings = known.settings.settings();
                let drills = settings.proof.drill == Drill::EveryWeek && settings.data_file_id.is_some();
                Some((known.path().to_path_buf(), known.proving.due(drills, now)?))
            })
            .collect();
        for (data_file, due) in due {
            let is_busy = self.jobs.values().any(|job| job.status.data_file.as_ref() == Some(&data_file))
                || self.data_files.status(&data_file).is_none_or(|d| d.log_starting || d.plan.is_none());
            // Nothing is said against an archive whose disk is away. Each waits until it can be made: of two backups
            // the newer one is tested.
            let is_away = self.data_files.status(&data_file).is_some_and(|d| d.destination_problem.is_some());
            match due {
                _ if is_busy || is_away => {}
                Due::Archive(archive) => self.test_archive(&data_file, archive),
                Due::Drill => self.drill_if_due(&data_file, now),
            }
        }
    }

    /// Whether one of the archives that are there was found damaged by a test since then: that is said of it.
    fn is_found_damaged(&self, data_file: &Path, since: DateTime<Local>) -> bool {
        let Some(status) = self.data_files.status(data_file) else { return false };
        status.damaged.iter().any(|finding| finding.by_test && finding.moment >= since)
    }

    /// Another job on the data file has ended; a backup is to be tested.
    pub(super) fn note_for_proofs(&mut self, finished: &FinishedJob) {
        let Some(data_file) = &finished.data_file else { return };
        if let Ok(JobReport::TestRestore(_)) = &finished.result {
            // Whoever made it: what a later test proves is no reason to worry any more.
            self.put_away(data_file, WarningKind::TestRestoreFailed);
        }
        let Some(hosted) = self.data_files.at_mut(data_file) else { return };
        if hosted.proving.runs.as_ref().is_some_and(|(job, _)| *job == finished.id) {
            return self.proof_ended(&data_file.clone(), finished);
        }
        hosted.proving.quiet_since = Some(Instant::now());
        if let Ok(JobReport::Backup(made)) = &finished.result {
            // A drill may have found no archive before: when it is due is looked up again.
            hosted.proving.drill_at = None;
            if is_wanted(hosted.settings.settings().proof.test_restore, made) {
                hosted.proving.waiting = Some((made.archive.clone(), None));
            }
        }
    }

    fn test_archive(&mut self, data_file: &Path, archive: PathBuf) {
        // Its log has hardly begun, and what is being written just now must not be in its way.
        let Some(settings) = self.data_files.at(data_file).map(|hosted| hosted.settings.clone()) else { return };
        let (scratch, messages) = (self.config.data_dir.clone(), self.messages.clone());
        let test = work::test_restore((archive.clone(), Vec::new()), Until::End, Logs::None, scratch, None, messages);
        let work = work::test_new(data_file, archive.clone(), settings, test);
        self.begin_proof(data_file, Some(archive), work, "A test of the new archive.");
    }

    fn drill_if_due(&mut self, data_file: &Path, now: DateTime<Utc>) {
        let Some(known) = self.data_files.at(data_file).map(|known| &known.proving) else { return };
        let due = match known.drill_at {
            Some(at) => Some(at),
            None if self.recorder.is_kept() => known.last_drill.map(|last| last + WEEK),
            // Without a journal nobody would know when the last one was.
            None => Some(now + WEEK),
        };
        if let Some(hosted) = self.data_files.at_mut(data_file) {
            hosted.proving.drill_at = due.or(Some(now));
        }
        let Some(status) = self.data_files.status(data_file).filter(|_| due.is_none_or(|due| due <= now)) else {
            return;
        };
        if status.own_archives().next().is_none() {
            // Asked again when there may be one.
            self.prove_again_at(data_file, None, now + AGAIN);
            return;
        }
        let settings = status.settings.clone();
        let log = self.data_files.at(data_file).and_then(|h| h.log.clone());
        let seed = Uuid::new_v4().as_u64_pair().0;
        let scratch = self.config.data_dir.clone();
        let work = work::drill(data_file, &settings, seed, scratch, log, self.messages.clone());
        self.begin_proof(data_file, None, work, "The weekly drill: an archive and a commit drawn by lot.");
    }

    fn begin_proof(&mut self, data_file: &Path, archive: Option<PathBuf>, work: Work, note: &str) {
        let id = JobId::new();
        let data_file = data_file.to_path_buf();
        let kind = JobKind::TestRestore;
        let order = Order { id, kind, data_file: Some(data_file.clone()), archive: archive.clone(), automatic: true };
        if let Some(hosted) = self.data_files.at_mut(&data_file) {
            hosted.proving.runs = Some((id, archive.clone()));
            hosted.proving.waiting.take_if(|_| archive.is_some());
        }
        if self.start(order, work).is_ok() {
            self.note_in_journal(id, note.to_owned());
        } else {
            if let Some(hosted) = self.data_files.at_mut(&data_file) {
                hosted.proving.runs = None;
            }
            self.prove_again_at(&data_file, archive, self.now().to_utc() + AGAIN);
        }
    }

    /// A test that could not be made is tried again; an archive is not when a newer one waits.
    fn prove_again_at(&mut self, data_file: &Path, archive: Option<PathBuf>, at: DateTime<Utc>) {
        let Some(hosted) = self.data_files.at_mut(data_file) else { return };
        match archive {
            Some(archive) => _ = hosted.proving.waiting.get_or_insert((archive, Some(at))),
            None => hosted.proving.drill_at = Some(at),
        }
    }

    fn proof_ended(&mut self, data_file: &Path, finished: &FinishedJob) {
        let now = self.now().to_utc();
        let Some((job, archive)) = self.data_files.at_mut(data_file).and_then(|h| h.proving.runs.take()) else {
            return;
        };
        let begun = self.status.history.iter().find(|entry| entry.id == job).map(|entry| entry.started);
        // A backup renames the log, and may delete an old archive, under the hands of a drill.
        let is_disturbed = self.status.history.iter().any(|entry| {
            entry.kind == JobKind::Backup
                && entry.data_file.as_deref() == Some(data_file)
                && (entry.outcome == Outcome::Running || begun.is_some_and(|begun| entry.started >= begun))
        });
        let is_drill = archive.is_none();
        let is_found = begun.is_some_and(|begun| self.is_found_damaged(data_file, begun));
        let error = finished.result.as_ref().err();
        match (verdict(error.map(|error| error.kind), is_disturbed, is_found), error) {
            (Verdict::Proven, _) if is_drill => {}
            (Verdict::Proven, _) => self.delete_old(data_file, finished),
            (Verdict::Again(time), _) => return self.prove_again_at(data_file, archive, now + time),
            (Verdict::Gone, _) => return,
            (Verdict::Said, _) | (Verdict::Failed, None) => {}
            (Verdict::Failed, Some(error)) => {
                let what = if is_drill { "the weekly drill" } else { "the test restore of the last backup" };
                let message = format!("{what} of {} failed: {}", data_file.display(), error.message);
                let hint = error.hint.clone().unwrap_or_default();
                let hint = format!(
                    "{hint} Make no further backups to repair this before the data file was looked at: Verify on the \
                     Maintenance page, or strongroom check. If it is sound, make a full backup and test it: strongroom \
                     verify ARCHIVE --test-restore."
                );
                self.keep_notice(data_file, Warning::new(WarningKind::TestRestoreFailed, message, hint.trim_start()));
            }
        }
        if is_drill {
            self.prove_again_at(data_file, None, now + WEEK);
            if let Some(known) = self.data_files.at_mut(data_file) {
                known.proving.last_drill = Some(now);
            }
            let of = data_file.to_path_buf();
            self.note(move |history| history.keep_drill(&of, now));
        }
    }
}
