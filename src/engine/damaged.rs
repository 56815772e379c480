//! A data file that is found damaged at opening: restored by itself, when its settings say so, and said loudly.
//!
//! Nothing is replaced that another program has open, nothing is deleted, and it
//! is tried once: a file that is damaged again at once has a cause that another restore does not remove.

use std::path::{Path, PathBuf};

use super::{
    command::JobId,
    config::Config,
    data_file::lock::DataFileLock,
    history::JobKind,
    job::{Order, Work},
    status::{FinishedJob, JobReport, Refused},
    worker::Worker,
};
use crate::{
    archive::catalog::ArchiveEntry,
    backup,
    error::{ErrorKind, ErrorReport},
    journal::{commits_in_words, integrate::Until},
    restore::{
        Logs, RestoreReport,
        automatic::restore_damaged,
        in_place::{InPlaceOptions, is_lost},
    },
    settings::SettingsFile,
    storage::Disk,
    warning::{Warning, WarningKind},
};

/// The restore itself; `why` is what is wrong with the file.
fn work(data_file: &Path, why: ErrorReport, config: &Config) -> Work {
    let (data_file, config) = (data_file.to_path_buf(), config.clone());
    Box::new(move |control| {
        let own = &config.settings_dir;
        let _lock = DataFileLock::take(&data_file, &config)?;
        let settings = SettingsFile::load(&data_file, own)?;
        let trust = settings.trust();
        let settings = settings.settings();
        let log = settings.log.file.clone().filter(|log| log.is_file());
        let options = InPlaceOptions {
            logs: match (settings.restore.integrate_log, log) {
                (false, _) => Logs::None,
                (true, None) => Logs::Found,
                (true, Some(log)) => Logs::Also(vec![log]),
            },
            damaged: Some(why),
            as_far_as_possible: true,
            ..InPlaceOptions::asked(&data_file, settings.data_file_id, Logs::None, Until::End)
        };
        let mut archives = backup::archives(&data_file, settings)?;
        // Nobody watches: what others may have put there is not what the data file becomes.
        let is_trusted = |archive: &ArchiveEntry| trust.covers(archive);
        let refused = archives.iter().find(|archive| !is_trusted(archive));
        let refused = refused.map(|archive| trust.refused(archive));
        archives.retain(is_trusted);
        if let Some(refused) = refused.filter(|_| archives.is_empty()) {
            return Err(refused);
        }
        let restored = match restore_damaged(&Disk, &archives, &options, control) {
            // A log whose very beginning is damaged is no reason to leave the data file damaged too.
            Err(error) if error.kind() != ErrorKind::Stopped && matches!(options.logs, Logs::Also(_)) => {
                let found = InPlaceOptions { logs: Logs::Found, ..options };
                restore_damaged(&Disk, &archives, &found, control).map_err(|_| error)
            }
            other => other,
        };
        restored.map(JobReport::Restore)
    })
}

impl Worker {
    /// Begins to restore a data file that was found damaged when it was opened as `asked`.
    pub(super) fn found_damaged(&mut self, asked: &Path, path: PathBuf, why: ErrorReport) {
        self.restoring.insert(path.clone(), (asked.to_path_buf(), why.clone()));
        self.tried.insert(path.clone(), None);
        let id = JobId::new();
        let order =
            Order { id, kind: JobKind::RestoreInPlace, data_file: Some(path.clone()), archive: None, automatic: true };
        if let Err(error) = self.start(order, work(&path, why.clone(), &self.config)) {
            self.not_restored(&path, error.report());
            return;
        }
        self.note_in_journal(id, format!("Restored by itself, because {}.", why.message));
    }

    /// Has the line of a running job say why it runs.
    pub(super) fn note_in_journal(&mut self, job: JobId, note: String) {
        let Some(job) = self.jobs.get_mut(&job) else { return };
        job.entry.note = Some(note);
        let entry = job.entry.clone();
        self.record(&entry);
    }

    /// A restore of a damaged data file has ended; returns whether it was one.
    pub(super) fn damaged_ended(&mut self, finished: &FinishedJob) -> bool {
        let Some(path) = finished.data_file.clone().filter(|path| self.restoring.contains_key(path)) else {
            return false;
        };
        match &finished.result {
            Ok(JobReport::Restore(report)) => {
                let Some((asked, why)) = self.restoring.remove(&path) else { return true };
                let warning = restored(&path, &why, report);
                let of = path.clone();
                self.note(move |history| history.keep_notice(&of, &warning));
                self.begin_to_open(asked, false);
            }
            Ok(_) => {}
            Err(error) => self.not_restored(&path, error.clone()),
        }
        true
    }

    fn not_restored(&mut self, path: &Path, error: ErrorReport) {
        let Some((asked, why)) = self.restoring.remove(path) else { return };
        let message = format!("{}; it could not be restored by itself: {}", why.message, error.message);
        self.tried.insert(path.to_path_buf(), Some(ErrorReport { message, hint: error.hint, ..why }));
        if !self.ending {
            self.begin_to_open(asked, false);
        }
    }

    /// What a restore by itself could not do, said where the data file is refused.
    pub(super) fn explain_refused(&self, refused: Refused, real: Option<&Path>) -> Refused {
        let tried = real.and_then(|path| self.tried.get(path)?.clone());
        match tried {
            Some(error) if is_lost(refused.error.kind) => Refused { error, ..refused },
            _ => refused,
        }
    }
}

fn restored(path: &Path, why: &ErrorReport, report: &RestoreReport) -> Warning {
    let moment = report.moment.format("%Y-%m-%d %H:%M");
    let state = match &report.integrated {
        Some(done) => format!("archive {} and {} of the log", report.number, commits_in_words(done.commits)),
        None => format!("archive {}, the state of {moment}", report.number),
    };
    let left = report.integrated.as_ref().and_then(|done| done.next).map_or_else(String::new, |next| {
        let next = next.with_timezone(&chrono::Local).format("%Y-%m-%d %H:%M:%S");
        format!("; what was recorded from {next} on was left out, because it holds the damage")
    });
    let rest = report.problem().map_or_else(String::new, |problem| format!("; {}", problem.message()));
    let message =
        format!("{} was restored by itself from {state}, because {}{left}{rest}", path.display(), why.message);
    let aside = report.in_place.iter().flat_map(|done| &done.set_aside).next();
    let kept = aside.map_or_else(String::new, |aside| format!(" The damaged file is kept as {}.", aside.display()));
    Warning::new(
        WarningKind::RestoredAutomatically,
        message,
        format!(
            "See whether all is there that should be, and check the disk.{kept} Put this away when you have seen it."
        ),
    )
}
