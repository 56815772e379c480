//! What is known of a data file's protection, put together in one place: for whoever looks after it, and for whoever only asks.

use std::path::{Path, PathBuf};

use chrono::Local;

use super::{
    history::{HistoryEntry, JobKind, Outcome},
    hosted::Surveyed,
    status::{DataFileStatus, Finding, FinishedJob, JobReport, LastBackup},
    worker::Worker,
};
use crate::{
    error::{ErrorKind, ErrorReport},
    storage,
    warning::{Warning, WarningKind},
};

/// Takes over what a survey found, but for the settings and the state of the data file itself.
pub(super) fn take_survey(status: &mut DataFileStatus, surveyed: Surveyed) {
    (status.archives, status.copies, status.sets) = (surveyed.archives, surveyed.copies, surveyed.sets);
    (status.archives_place, status.log_place) = (Some(surveyed.archives_place), surveyed.log_place);
    status.destination_problem = surveyed.destination_problem;
    status.maintenance.available_bytes = surveyed.beside_bytes;
    (status.plan, status.plan_problem) = match surveyed.plan {
        Ok(plan) => (Some(plan), None),
        Err(error) => (None, Some(error)),
    };
}

/// The last full backup, and the last one that succeeded: from the Backup journal, or from the newest archive of its own if
/// that is newer.
pub(super) fn take_history(status: &mut DataFileStatus, history: &[HistoryEntry]) {
    let ended: Vec<&HistoryEntry> = history
        .iter()
        .filter(|e| e.kind == JobKind::Backup && e.data_file.as_ref() == Some(&status.facts.path))
        .filter(|e| !matches!(e.outcome, Outcome::Running | Outcome::Skipped | Outcome::Missed))
        .collect();
    let last = |e: &&HistoryEntry| LastBackup {
        moment: e.started.fixed_offset(),
        number: e.number,
        outcome: e.outcome,
        error: e.error.clone(),
    };
    let newest = status.own_archives().filter(|a| a.problem.is_none()).find_map(|a| {
        let outcome = Outcome::Succeeded;
        a.moment.map(|moment| LastBackup { moment, number: Some(a.number), outcome, error: None })
    });
    let made = |e: &&&HistoryEntry| matches!(e.outcome, Outcome::Succeeded | Outcome::Partial);
    let newer = |noted: Option<LastBackup>| match (noted, newest.clone()) {
        (Some(noted), Some(newest)) if newest.number > noted.number && newest.moment > noted.moment => Some(newest),
        (Some(noted), _) => Some(noted),
        (None, newest) => newest,
    };
    status.gone = ended.iter().find(made).and_then(|entry| entry.path.clone()).filter(|path| is_gone(status, path));
    let (attempted, succeeded) = (ended.first().map(last), ended.iter().find(made).map(last));
    let failed = attempted.as_ref().is_some_and(|last| !matches!(last.outcome, Outcome::Succeeded | Outcome::Partial));
    status.last_backup = newer(attempted);
    status.last_success = newer(succeeded).filter(|_| failed).filter(|last| status.last_backup.as_ref() != Some(last));
}

/// Whether the archive of the last backup lay in a folder of this data file, and does not any more. What was made elsewhere with
/// another destination is nobody's to miss; neither is what can not be looked at.
fn is_gone(status: &DataFileStatus, archive: &Path) -> bool {
    let settings = &status.settings.destination;
    let folder = storage::folder_of(archive);
    let is_known = folder == status.destination || settings.earlier.iter().any(|known| known == folder);
    let is_listed = status.archives.iter().any(|entry| entry.files.iter().any(|file| file == archive));
    let was_looked_at = status.plan.is_some() || status.plan_problem.is_some();
    is_known && was_looked_at && !is_listed && archive.symlink_metadata().is_err()
}

/// What was found damaged of the archives that are there.
pub(super) fn take_findings(status: &mut DataFileStatus, findings: &[Finding]) {
    let all = || status.archives.iter().chain(&status.copies);
    let there = findings.iter().filter(|finding| all().any(|archive| finding.is_about(archive)));
    status.damaged = there.cloned().collect();
}

impl Worker {
    /// Keeps what a job found of an archive: damage, or that it is sound.
    pub(super) fn note_findings(&mut self, finished: &FinishedJob, archive: Option<&Path>) {
        let drawn = finished.result.as_ref().ok().and_then(|report| match report {
            JobReport::TestRestore(proof) => Some(proof.archive.as_path()),
            _ => None,
        });
        let Some(archive) = archive.or(drawn) else { return self.note_failed_drill(finished) };
        let damage = |repairable: bool, by_test: bool, error: ErrorReport, copy: Option<PathBuf>| {
            Some(self.finding(archive, repairable, by_test, error, copy))
        };
        let is_damaged = |error: &&ErrorReport| error.kind == ErrorKind::Damaged;
        // What to forget of verifications and of test restores, and what to keep.
        let (forget, keep) = match (&finished.result, finished.kind) {
            (Ok(JobReport::Verify(report)), _) => match report.problem() {
                None => ([true, false], None),
                Some(problem) => ([false, false], damage(true, false, problem.report(), None)),
            },
            (Ok(JobReport::Repair(report)), _) => match (&report.copy, &report.repaired) {
                (Some(copy), Some(repaired)) => {
                    let error = repaired.after_restore().report();
                    ([false, false], damage(true, false, error, Some(copy.clone())))
                }
                _ => ([true, false], None),
            },
            (Ok(JobReport::TestRestore(proof)), _) => match &proof.repaired {
                None => ([false, true], None),
                Some(repaired) => {
                    let is_whole = repaired.damage.is_repaired();
                    let found = damage(is_whole, false, repaired.after_restore().report(), None);
                    // It was restored all the same: that proof comes after the damage.
                    ([false, true], found.map(|found| Finding { moment: proof.proven, ..found }))
                }
            },
            (Ok(JobReport::Restore(report)), _) => match &report.repaired {
                None => return,
                Some(repaired) => {
                    let is_whole = repaired.damage.is_repaired();
                    ([false, false], damage(is_whole, false, repaired.after_restore().report(), None))
                }
            },
            (Err(error), JobKind::Verify | JobKind::Repair) if is_damaged(&error) => {
                ([false, false], damage(false, false, error.clone(), None))
            }
            (Err(error), JobKind::TestRestore) if is_damaged(&error) => {
                ([false, false], damage(false, true, error.clone(), None))
            }
            _ => return,
        };
        let kept = self.history.as_ref().map(|history| {
            for by_test in [false, true].into_iter().filter(|by_test| forget[usize::from(*by_test)]) {
                history.forget_finding(archive, by_test)?;
            }
            keep.as_ref()
                .map_or(Ok(()), |finding| history.keep_finding(finding).and_then(|()| history.disprove(archive)))
        });
        if let Some(Err(error)) = kept {
            self.edit().history_problem = Some(error.report());
        }
        // Also where it can not be kept: this engine knows it.
        self.findings.retain(|known| known.archive != archive || !forget[usize::from(known.by_test)]);
        if let Some(finding) = keep {
            self.findings.retain(|known| known.archive != archive || known.by_test != finding.by_test);
            self.findings.push(finding);
            self.edit().proven.retain(|proof| proof.archive != archive);
        }
        self.show_findings(None);
    }

    /// A drill that somebody asked for and that failed: which archive it drew is in its message.
    fn note_failed_drill(&mut self, finished: &FinishedJob) {
        if let (Err(error), JobKind::TestRestore, Some(data_file), false) =
            (&finished.result, finished.kind, finished.data_file.clone(), finished.automatic)
            && error.kind == ErrorKind::Damaged
        {
            let message = format!("the drill of {} failed: {}", data_file.display(), error.message);
            let warning = Warning { kind: WarningKind::TestRestoreFailed, message, hint: error.hint.clone() };
            self.keep_notice(&data_file, warning);
        }
    }

    fn finding(
        &self,
        archive: &Path,
        is_repairable: bool,
        by_test: bool,
        error: ErrorReport,
        copy: Option<PathBuf>,
    ) -> Finding {
        let all = self.status.data_files.iter().flat_map(|d| d.archives.iter().chain(&d.copies));
        let known = all.into_iter().find(|entry| entry.path == archive || entry.files.iter().any(|f| f == archive));
        let before = self.findings.iter().find(|known| known.archive == archive && known.by_test == by_test);
        Finding {
            archive: archive.to_path_buf(),
            archive_id: known.and_then(|entry| entry.archive_id),
            inode: storage::inode(archive),
            by_test,
            moment: Local::now(),
            is_repairable,
            error,
            copy: copy.or_else(|| before.and_then(|known| known.copy.clone())),
        }
    }

    /// Shows what was found of the archives of a data file, or of all.
    pub(super) fn show_findings(&mut self, only: Option<&Path>) {
        let findings = std::mem::take(&mut self.findings);
        let concerned = |d: &&mut DataFileStatus| only.is_none_or(|only| d.facts.path == only);
        let mut touched = Vec::new();
        for data_file in self.edit().data_files.iter_mut().filter(concerned) {
            take_findings(data_file, &findings);
            touched.push(data_file.facts.path.clone());
        }
        self.findings = findings;
        touched.iter().for_each(|path| self.touch(path));
    }

    /// Takes up what other processes have written to the Backup journal: jobs of another window or command, and what they found.
    pub(super) fn follow_history(&mut self) {
        let version = self.history.as_ref().and_then(super::history::History::version);
        if version.is_some() && version != self.history_version {
            self.history_version = version;
            self.read_history();
        }
    }
}
