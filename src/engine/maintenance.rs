//! Care of the data file itself, as jobs: verification of records and indexes, whose report is kept, compacting, and
//! single changes taken back.

use std::{path::PathBuf, sync::Arc};

use uuid::Uuid;

use super::{
    command::JobId,
    history::{HistoryEntry, JobKind},
    job::Order,
    status::{FinishedJob, JobReport, LastRun},
    worker::Worker,
};
use crate::{
    error::{Error, ErrorKind, Result},
    maintenance,
    take_back::{self, Plan},
};

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

    pub(super) fn take_back(&mut self, job: JobId, data_file: PathBuf, plan: Arc<Plan>) -> Result<()> {
        let hosted = self.data_files.at(&data_file).ok_or_else(|| Self::not_open(&data_file))?;
        let (log, identity) = (hosted.log.clone(), hosted.settings.settings().data_file_id);
        if plan.data_file != data_file || identity.is_some_and(|identity| identity != plan.identity) {
            let message = format!("this was planned for another data file than {}", data_file.display());
            return Err(Error::new(ErrorKind::Refused, message).hint("Plan it anew."));
        }
        // A backup holds a state of its own; what rewrites the file must have ended.
        self.refuse_while(&data_file, &[JobKind::RestoreInPlace, JobKind::Compact, JobKind::TakeBack])?;
        let order = Order::asked(job, JobKind::TakeBack, Some(data_file), None);
        self.start(
            order,
            Box::new(move |control| {
                let done = take_back::run(&plan, control);
                if let Some(log) = log.filter(|_| done.is_ok()) {
                    // It is committed, whatever the log says now; its trouble is shown where it belongs.
                    let _ = log.flush();
                }
                done.map(JobReport::TakeBack)
            }),
        )
    }

    pub(super) fn take_back_planned(&mut self, job: JobId, data_file: PathBuf, plan: Uuid) -> Result<()> {
        let plan = self.take_backs.plan(&data_file, plan).ok_or_else(|| {
            Error::new(ErrorKind::Changed, "this plan is not the last one that was made, or is not kept any more")
                .hint("Look at the plan that there is now.")
        })?;
        self.take_back(job, data_file, plan)
    }

    /// Keeps the report of a verification or a recovery, and shows when which care was taken.
    pub(super) fn note_maintenance(&mut self, entry: &HistoryEntry, finished: &FinishedJob) {
        if let Ok(JobReport::Recover(report)) = &finished.result {
            // Plain data always has a JSON form.
            let (job, text) = (finished.id, serde_json::to_string(report).unwrap_or_default());
            self.note(move |history| history.keep_report(job, &text));
        }
        let (JobKind::VerifyRecords | JobKind::Compact, Some(data_file)) = (finished.kind, &finished.data_file) else {
            return;
        };
        let mut has_report = false;
        if let Ok(JobReport::VerifyRecords(report)) = &finished.result {
            // Plain data always has a JSON form.
            let (job, text) = (finished.id, serde_json::to_string(report).unwrap_or_default());
            has_report = self.recorder.is_kept();
            self.note(move |history| history.keep_report(job, &text));
        }
        let (job, moment, outcome, error) = (entry.id, entry.started, entry.outcome, entry.error.clone());
        let last = Some(LastRun { job, moment, outcome, error, has_report });
        let Some(status) = self.edit_data_file(data_file) else { return };
        match finished.kind {
            JobKind::Compact => status.maintenance.last_compact = last,
            _ => status.maintenance.last_check = last,
        }
    }
}
