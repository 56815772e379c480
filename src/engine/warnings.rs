//! What an administrator must not miss: the state of a data file as one list, the urgent first.

use std::path::Path;

use chrono::{DateTime, Local, TimeZone};

use super::{
    history::Outcome,
    status::{DataFileStatus, LastBackup},
    worker::Worker,
};
use crate::{
    backup::soundness,
    error::ErrorReport,
    journal::CaptureState,
    schedule::{self, automatic::Automatic},
    settings::{Settings, sections::Frequency},
    warning::{Warning, WarningKind},
};

impl Worker {
    /// What is to be said of this data file may have changed.
    pub(super) fn touch(&mut self, data_file: &Path) {
        self.touched.insert(data_file.to_path_buf());
    }

    /// Brings the warnings of data files up to date of which something changed.
    pub(super) fn update_warnings(&mut self) {
        let now = self.now();
        for path in std::mem::take(&mut self.touched) {
            let Some(status) = self.status.data_file(&path) else { continue };
            let wanted = warnings(status, &now);
            if status.warnings != wanted
                && let Some(status) = self.edit().data_files.iter_mut().find(|d| d.facts.path == path)
            {
                status.warnings = wanted;
            }
        }
    }
}

fn of_error(kind: WarningKind, error: &ErrorReport) -> Warning {
    Warning { kind, message: error.message.clone(), hint: error.hint.clone() }
}

fn shown<Z: TimeZone>(moment: &DateTime<Z>) -> String {
    moment.with_timezone(&Local).format("%Y-%m-%d %H:%M").to_string()
}

fn warnings(status: &DataFileStatus, now: &DateTime<Local>) -> Vec<Warning> {
    let mut found = Vec::new();
    found.extend(status.problem.as_ref().map(|error| of_error(WarningKind::DataFileDamaged, error)));
    found.extend(status.damage.as_ref().map(|error| of_error(WarningKind::DataFileDamaged, error)));
    found.extend(status.notices.iter().cloned());
    found.extend(of_check(status));
    if let Some(automatic) = &status.automatic {
        let newest = status.newest_good().map(|moment| moment.with_timezone(&Local));
        found.extend(of_schedule(&status.settings, automatic, newest, now));
    }
    found.extend(status.last_backup.as_ref().and_then(of_last_backup));
    if status.newest_good().is_none() && status.plan.is_some() {
        found.push(Warning::new(
            WarningKind::NoBackup,
            format!("there is no full backup of {} yet", status.facts.path.display()),
            "Make a full backup: without one nothing can be restored.",
        ));
    }
    let (keep, own) = (&status.settings.keep, status.settings.data_file_id);
    found.extend(soundness::warnings(&status.archives, &status.sets, own, keep));
    found.extend(of_log(status));
    found.extend(status.settings_problem.as_ref().map(|error| of_error(WarningKind::Settings, error)));
    found.extend(status.settings_unknown.iter().map(|unknown| {
        Warning::new(
            WarningKind::Settings,
            format!("the settings hold {unknown}, which means nothing"),
            "Correct the name; the command strongroom settings DATAFILE lists all.",
        )
    }));
    found.extend(status.on_finish_problem.as_ref().map(|error| of_error(WarningKind::OnFinish, error)));
    let places = status.archives_place.iter().chain(&status.log_place);
    found.extend(places.flat_map(|place| place.warnings.iter().cloned()));
    found.sort();
    found.dedup();
    found
}

/// Suspended, missed, overdue; `newest` is the moment of the newest good archive.
pub(super) fn of_schedule(
    settings: &Settings,
    automatic: &Automatic,
    newest: Option<DateTime<Local>>,
    now: &DateTime<Local>,
) -> Vec<Warning> {
    let mut found = Vec::new();
    if let Some(since) = &automatic.suspended {
        let why = automatic.error.as_ref().map_or_else(String::new, |error| format!(": {}", error.message));
        let message = format!(
            "automatic backups are suspended since {}, after {} failed attempts{why}",
            shown(since),
            automatic.attempts
        );
        let hint = "Remove the cause and make a backup by hand; when it succeeds, automatic backups go on.";
        found.push(Warning::new(WarningKind::BackupSuspended, message, hint));
    }
    if settings.scheduler.frequency == Frequency::Never {
        return found;
    }
    if let Some(due) = &automatic.missed {
        let message = format!("the backup due on {} was missed, because the program did not run", shown(due));
        let hint = match &automatic.retry_at {
            Some(at) => format!("It is made on {}.", shown(at)),
            None => "Make one now, or wait for the next scheduled one.".to_owned(),
        };
        found.push(Warning::new(WarningKind::BackupMissed, message, hint));
    }
    let covered = automatic.covered.map(|moment| moment.with_timezone(&Local)).max(newest);
    if covered.is_some_and(|good| schedule::is_overdue(&settings.scheduler, &good, now)) {
        let message = format!(
            "the last good backup, of {}, is older than twice the interval",
            covered.as_ref().map(shown).unwrap_or_default()
        );
        let hint = "Look in the Backup journal why the last ones failed, and make one now.";
        found.push(Warning::new(WarningKind::BackupOverdue, message, hint));
    }
    found
}

/// Damage that the last verification of records found.
fn of_check(status: &DataFileStatus) -> Option<Warning> {
    let last = status.maintenance.last_check.as_ref().filter(|last| last.outcome == Outcome::Partial)?;
    last.error.as_ref().map(|error| of_error(WarningKind::DataFileDamaged, error))
}

fn of_last_backup(last: &LastBackup) -> Option<Warning> {
    let kind = match last.outcome {
        Outcome::Failed | Outcome::Interrupted => WarningKind::BackupFailed,
        Outcome::Partial => WarningKind::BackupPartial,
        _ => return None,
    };
    let error = last.error.as_ref();
    let why = error.map_or_else(|| "it was cut off".to_owned(), |error| error.message.clone());
    let what = if kind == WarningKind::BackupPartial { "needs attention" } else { "failed" };
    let message = format!("the full backup of {} {what}: {why}", shown(&last.moment));
    Some(Warning { kind, message, hint: error.and_then(|error| error.hint.clone()) })
}

fn of_log(status: &DataFileStatus) -> Option<Warning> {
    if let Some(error) = &status.log_problem {
        return Some(of_error(WarningKind::LogBroken, error));
    }
    let log = status.log.as_ref()?;
    match (&log.error, log.state) {
        (Some(error), _) => Some(of_error(WarningKind::LogBroken, error)),
        (None, CaptureState::Lost | CaptureState::Held | CaptureState::Released | CaptureState::Off) => {
            Some(Warning::new(
                WarningKind::LogBroken,
                format!("{} is not being written", log.log.display()),
                "Look at its disk; the log goes on by itself when it can be written again.",
            ))
        }
        (None, CaptureState::On | CaptureState::Starting) => None,
    }
}
