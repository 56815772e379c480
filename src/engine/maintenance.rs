//! Care of the data file itself, as jobs: verification of records and indexes, whose report is kept, and compacting.

use std::path::{Path, PathBuf};

use super::{
    command::JobId,
    history::JobKind,
    job::Order,
    status::{FinishedJob, JobReport},
    worker::Worker,
};
use crate::{error::Result, maintenance};

impl Worker {
    pub(super) fn verify_records(&mut self, job: JobId, data_file: PathBuf) -> Result<()> {
        if self.data_files.at(&data_file).is_none() {
            return Err(Self::not_open(&data_file));
        }
        // A backup may begin meanwhile; what rewrites the file would only be waited for.
        self.refuse_while(&data_file, &[JobKind::VerifyRecords, JobKind::Compact, JobKind::RestoreInPlace])?;
        let path = data_file.clone();
        let order = Order::asked(job, JobKind::VerifyRecords, Some(data_file), None);
        self.start(
            order,
            Box::new(move |control| maintenance::verify_records(&path, control).map(JobReport::VerifyRecords)),
        )
    }

    pub(super) fn compact(&mut self, job: JobId, data_file: PathBuf) -> Result<()> {
        let log = self.data_files.at(&data_file).ok_or_else(|| Self::not_open(&data_file))?.log.clone();
        self.refuse_while_busy(&data_file)?;
        self.refuse_while(&data_file, &[JobKind::VerifyRecords])?;
        let path = data_file.clone();
        let order = Order::asked(job, JobKind::Compact, Some(data_file), None);
        self.start(
            order,
            Box::new(move |control| maintenance::compact(&path, log.as_deref(), control).map(JobReport::Compact)),
        )
    }

    /// Keeps the report of a verification, and when which care was taken.
    pub(super) fn note_maintenance(&mut self, finished: &FinishedJob) {
        let (JobKind::VerifyRecords | JobKind::Compact, Some(data_file)) = (finished.kind, &finished.data_file) else {
            return;
        };
        if let (Ok(JobReport::VerifyRecords(report)), Some(history)) = (&finished.result, &self.history) {
            // Plain data always has a JSON form.
            let text = serde_json::to_string(report).unwrap_or_default();
            if let Err(error) = history.keep_report(finished.id, &text) {
                self.edit().history_problem = Some(error.report());
            }
        }
        self.note_last_runs(data_file);
    }

    /// Shows when a data file was verified and compacted last, as the Backup journal has it.
    pub(super) fn note_last_runs(&mut self, data_file: &Path) {
        let Some(history) = &self.history else { return };
        let last = |kind| history.last_run(data_file, kind);
        let last = last(JobKind::VerifyRecords).and_then(|check| Ok((check, last(JobKind::Compact)?)));
        match last {
            Ok((check, compact)) => {
                if let Some(status) = self.edit_data_file(data_file) {
                    (status.maintenance.last_check, status.maintenance.last_compact) = (check, compact);
                }
                self.touch(data_file);
            }
            Err(error) => self.edit().history_problem = Some(error.report()),
        }
    }
}
