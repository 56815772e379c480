//! What a job found of an archive, told by the thread that looked: damage, or that it is sound. Made here alone, and
//! kept by [`Worker::looked`] alone.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::{DateTime, Local};

use super::{
    history::{Looked, Refuted},
    recorder::Fresh,
    worker::Worker,
};
use crate::{
    archive::{Archive, heal::Repaired},
    backup::soundness::{Damaged, Finding},
    drill::Proof,
    error::{Error, ErrorKind, Result},
    repair::RepairReport,
    restore::{self, Logs, RestoreReport},
    storage,
    verify::VerifyReport,
};

/// An archive that a job looks at.
pub(super) struct Archives<'a> {
    pub(super) archive: &'a Path,
    pub(super) segments: &'a [PathBuf],
    pub(super) now: DateTime<Local>,
}

impl Archives<'_> {
    fn looked(&self, refuted: Refuted, found: Option<Finding>) -> Looked {
        let archive_id = Archive::glance_with(self.archive, self.segments).ok().map(|identity| identity.archive_id);
        let found = found.map(|found| Finding { archive_id: found.archive_id.or(archive_id), ..found });
        Looked { archive: self.archive.to_path_buf(), archive_id, refuted, found }
    }

    fn damage(&self, is_repairable: bool, error: &Error) -> Finding {
        Finding {
            archive: self.archive.to_path_buf(),
            archive_id: None,
            inode: storage::inode(self.archive),
            by_test: false,
            moment: self.now,
            what: Damaged::Bytes,
            is_repairable,
            error: error.report(),
            copy: None,
        }
    }

    /// Where a segment was missing, that may be all, and a list sees for itself when it is back.
    fn repaired(&self, repaired: &Repaired) -> Option<Finding> {
        let is_all_there = repaired.missing_segments.is_empty();
        is_all_there.then(|| self.damage(repaired.damage.is_repaired(), &repaired.after_restore()))
    }

    /// As a test restore notes it: bytes that are whole in the archive say nothing against it.
    fn log_damage(&self, is_repairable: bool, error: &Error) -> Finding {
        Finding { what: Damaged::Logs, by_test: true, ..self.damage(is_repairable, error) }
    }

    /// A log that came back from its recovery data: of the next damage there may be more than that covers.
    fn repaired_log(&self, log: &Path) -> Option<Finding> {
        Some(self.log_damage(true, &restore::repaired_log(log)))
    }

    fn failed(&self, error: &Error) -> Option<Looked> {
        let is_damaged = error.kind() == ErrorKind::Damaged;
        is_damaged.then(|| self.looked(Refuted::default(), Some(self.damage(false, error))))
    }

    pub(super) fn verified(&self, outcome: &Result<VerifyReport>) -> Option<Looked> {
        match outcome {
            Ok(report) => {
                // Where it can be repaired, it is not beyond repair, as a test restore may have found it.
                let refuted = Refuted { bytes: true, ..Refuted::default() };
                let is_missing = report.damage.as_ref().is_some_and(|damage| !damage.missing_segments.is_empty());
                let problem = report.damaged().filter(|_| !is_missing);
                Some(self.looked(refuted, problem.map(|problem| self.damage(true, &problem))))
            }
            Err(error) => self.failed(error),
        }
    }

    pub(super) fn repair(&self, outcome: &Result<RepairReport>) -> Option<Looked> {
        let report = match outcome {
            Ok(report) => report,
            Err(error) => return self.failed(error),
        };
        let refuted = Refuted { bytes: true, ..Refuted::default() };
        Some(match (&report.copy, &report.repaired) {
            (Some(copy), Some(repaired)) => {
                let found = self.damage(true, &repaired.after_restore());
                self.looked(refuted, Some(Finding { copy: Some(copy.clone()), ..found }))
            }
            _ => self.looked(refuted, None),
        })
    }

    /// `given` are the logs that were named for it.
    pub(super) fn restored(&self, outcome: &Result<RestoreReport>, given: &Logs) -> Option<Looked> {
        let given: &[PathBuf] = if let Logs::Also(given) = given { given } else { &[] };
        match outcome {
            Ok(report) => {
                // The worse of two: what is wrong with its logs is said of the archive that they continue.
                let of_archive = || report.repaired.as_ref().and_then(|repaired| self.repaired(repaired));
                let of_logs = || match report.log_damage(given) {
                    Some(error) => Some(self.log_damage(false, &error)),
                    None => self.repaired_log(report.repaired_logs.iter().find(|log| !given.contains(log))?),
                };
                let found = of_archive().or_else(of_logs)?;
                Some(self.looked(Refuted::default(), Some(found)))
            }
            // What is damaged may also be a log, or the data file to be restored.
            Err(error) if error.subject() == Some(self.archive) => self.failed(error),
            Err(_) => None,
        }
    }
}

/// Of a test restore that succeeded; what one that failed found, it has noted itself.
pub(super) fn proven(proof: &Proof, segments: &[PathBuf]) -> Looked {
    let of = Archives { archive: &proof.archive, segments, now: proof.proven };
    // Only an archive restored alone tells of its own content: logs may have made it whole.
    let refuted = Refuted { bytes: false, tested: true, content: proof.commits == 0, logs: true };
    let of_archive = || of.repaired(proof.repaired.as_ref()?);
    of.looked(refuted, of_archive().or_else(|| of.repaired_log(proof.repaired_logs.first()?)))
}

/// Of a test restore that failed.
pub(super) fn unproven(found: Finding) -> Looked {
    let (archive, archive_id) = (found.archive.clone(), found.archive_id);
    Looked { archive, archive_id, refuted: Refuted::default(), found: Some(found) }
}

impl Worker {
    /// Keeps what a job found of an archive.
    pub(super) fn looked(&mut self, looked: &Looked) {
        let noted = looked.clone();
        self.note(move |history| history.keep_look(&noted));
        self.fresh.push(Fresh::Looked(looked.clone()));
        self.take_looked(looked);
        self.show_findings(None);
        self.survey_of(&looked.archive);
    }

    /// Also where it cannot be kept: this engine knows it.
    pub(super) fn take_looked(&mut self, looked: &Looked) {
        looked.apply(&mut self.findings);
        if let Some(found) = &looked.found {
            let is_same = |proof: &Proof| proof.archive == found.archive || Some(proof.archive_id) == found.archive_id;
            Arc::make_mut(&mut self.edit().proven).retain(|proof| !is_same(proof));
        }
    }
}
