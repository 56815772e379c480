//! A full backup as the settings say: the backup itself, and the old ones that it makes superfluous.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{job::Work, status::JobReport};
use crate::{
    archive::ArchiveOptions,
    backup::{
        self, Deleted, modified,
        retention::{self, When},
    },
    control::Control,
    error::{Error, Result},
    journal::Capture,
    settings::{SettingsFile, sections::DeleteOldest},
    storage::Disk,
};

/// What a backup job needs to know.
pub(super) struct BackupJob {
    pub(super) data_file: PathBuf,
    /// The program's settings folder.
    pub(super) own: PathBuf,
    /// A folder for this archive only; then no old ones are deleted.
    pub(super) to: Option<PathBuf>,
    pub(super) log: Option<Arc<Capture>>,
    /// How this archive is stored; otherwise as the settings say.
    pub(super) options: Option<ArchiveOptions>,
    /// Archives that another job reads.
    pub(super) busy: Vec<PathBuf>,
    /// Whether no backup is made of a data file that was not modified since the last one.
    pub(super) only_if_modified: bool,
}

impl BackupJob {
    pub(super) fn new(data_file: &Path, own: &Path, to: Option<PathBuf>, log: Option<Arc<Capture>>) -> Self {
        Self {
            data_file: data_file.to_path_buf(),
            own: own.to_path_buf(),
            to,
            log,
            options: None,
            busy: Vec::new(),
            only_if_modified: false,
        }
    }

    pub(super) fn work(self) -> Work {
        Box::new(move |control| self.run(control))
    }

    fn run(self, control: &Control) -> Result<JobReport> {
        let mut settings = SettingsFile::load(&self.data_file, &self.own)?;
        if self.only_if_modified
            && let Some(since) = modified::unmodified_since(&self.data_file, &settings, self.log.as_deref(), control)?
        {
            return Ok(JobReport::Skipped { since });
        }
        let folder = self.to.clone().unwrap_or_else(|| backup::destination(&self.data_file, &settings));
        let mut deleted = Deleted::default();
        if settings.settings().keep.delete_oldest == DeleteOldest::Before {
            deleted = self.delete_old(&settings, When::BeforeBackup, control)?;
        }
        let (data_file, log) = (&self.data_file, self.log.as_deref());
        let options = self.options.unwrap_or(settings.settings().archive);
        let made = backup::run(&Disk, data_file, &mut settings, &self.own, &folder, log, options, control);
        let mut report = made.map_err(|error| match (deleted.in_words(), error.report()) {
            (Some(words), report) => {
                // The administrator must know, all the more since no new one was made.
                let hint = report.hint.map_or_else(|| words.clone(), |hint| format!("{hint} {words}"));
                Error::new(report.kind, report.message).hint(hint).because(error)
            }
            _ => error,
        })?;
        // The new archive is verified now, whichever way the settings say; a stop changes nothing of that.
        let later = self.delete_old(&settings, When::Now, &Control::default())?;
        report.deleted = Deleted {
            numbers: [deleted.numbers, later.numbers].concat(),
            files: [deleted.files, later.files].concat(),
            bytes: deleted.bytes + later.bytes,
            problem: later.problem.or(deleted.problem),
        };
        Ok(JobReport::Backup(report))
    }

    fn delete_old(&self, settings: &SettingsFile, when: When, control: &Control) -> Result<Deleted> {
        let settings = settings.settings();
        if self.to.is_some() || settings.keep.all {
            return Ok(Deleted::default());
        }
        let known = match backup::archives(&self.data_file, settings) {
            Ok(known) => known,
            Err(error) => return Ok(Deleted { problem: Some(error.report()), ..Deleted::default() }),
        };
        let sets = retention::sets(&self.data_file, settings, &known);
        let mut old = retention::plan(&sets, &settings.keep, when, &self.busy);
        if when == When::BeforeBackup {
            old = retention::unless_proven(old, &sets, control)?;
        }
        Ok(retention::delete(&Disk, &old))
    }
}
