//! One cause is one warning. What follows from it is told with it, and goes with it: a disk that is away, a damaged
//! data file, and backups that fail are each said once, with what to do.

use std::path::Path;

use chrono::{DateTime, Local, TimeZone};

use crate::{
    backup::{places, soundness::Partial},
    engine::{
        history::Outcome,
        status::{DataFileStatus, LastBackup, Shared},
    },
    error::{ErrorKind, ErrorReport, shell::quoted},
    restore::in_place::is_lost,
    schedule,
    settings::sections::Frequency,
    sqlite::seen::ContentCheck,
    warning::{Warning, WarningKind},
};

pub(in crate::engine) fn of_error(kind: WarningKind, error: &ErrorReport) -> Warning {
    Warning { kind, message: error.message.clone(), hint: error.hint.clone() }
}

pub(in crate::engine) fn shown<Z: TimeZone>(moment: &DateTime<Z>) -> String {
    moment.with_timezone(&Local).format("%Y-%m-%d %H:%M").to_string()
}

/// Something that may follow from something else.
#[derive(Debug)]
pub(in crate::engine) struct Told {
    /// What is said where it stands alone.
    warning: Warning,
    /// The same in short, to be told with its cause.
    short: String,
    /// What is to be done besides, when the cause is removed.
    then: Option<&'static str>,
    /// Why it is so.
    why: Option<ErrorReport>,
}

impl Told {
    /// Whether it says only that the data file is one of these copies.
    pub(in crate::engine) fn is_of_copy(&self, all: &[Shared]) -> bool {
        let said = self.why.as_ref().map(|why| why.message.as_str()).filter(|_| !self.is_failure());
        said.is_some_and(|said| all.iter().any(|s| said.ends_with(s.error().message())))
    }

    fn is_failure(&self) -> bool {
        use WarningKind as K;
        matches!(self.warning.kind, K::BackupSuspended | K::BackupFailed | K::BackupOverdue)
    }
}

/// Tells `told` with its cause.
fn add(cause: &mut Warning, told: &Told) {
    cause.message.push_str("; ");
    cause.message.push_str(&told.short);
    if let Some(then) = told.then {
        let hint = cause.hint.take().map_or_else(String::new, |hint| format!("{hint} "));
        cause.hint = Some(format!("{hint}{then}"));
    }
}

/// Has `cause` tell what of `told` follows from it.
fn take(cause: &mut Warning, told: &mut Vec<Told>, follows: impl Fn(&Told) -> bool) {
    for told in told.extract_if(.., |told| follows(told)) {
        add(cause, &told);
    }
}

/// What is to be said of the backups of a data file: suspended, failed, partial, missed, overdue; the gravest first.
pub(in crate::engine) fn of_backups(status: &DataFileStatus, now: &DateTime<Local>) -> Vec<Told> {
    let mut found = Vec::new();
    let automatic = status.automatic.as_ref();
    if let Some((automatic, since)) = automatic.and_then(|automatic| Some((automatic, automatic.suspended?))) {
        let why = automatic.error.as_ref().map_or_else(String::new, |error| format!(": {}", error.message));
        let since = format!(
            "automatic backups are suspended since {}, after {} failed attempts",
            shown(&since),
            automatic.attempts
        );
        let hint = "Remove the cause and make a backup by hand; when it succeeds, automatic backups go on.";
        found.push(Told {
            warning: Warning::new(WarningKind::BackupSuspended, format!("{since}{why}"), hint),
            short: since,
            then: Some("Then make a backup by hand; when it succeeds, automatic backups go on."),
            why: automatic.error.clone(),
        });
    }
    found.extend(status.last_backup.as_ref().and_then(|last| of_last_backup(last, status.last_success.as_ref())));
    let Some(automatic) = automatic.filter(|_| status.settings.scheduler.frequency != Frequency::Never) else {
        return found;
    };
    if let Some(due) = &automatic.missed {
        let message = format!("the backup due on {} was missed, because the program did not run", shown(due));
        let hint = match &automatic.retry_at {
            Some(at) => format!("It is made on {}.", shown(at)),
            None => "Make one now, or wait for the next scheduled one.".to_owned(),
        };
        let warning = Warning::new(WarningKind::BackupMissed, message.clone(), hint);
        found.push(Told { warning, short: message, then: None, why: None });
    }
    let newest = status.newest_good().map(|moment| moment.with_timezone(&Local));
    let covered = automatic.covered.map(|moment| moment.with_timezone(&Local)).max(newest);
    if let Some(good) = covered.filter(|good| schedule::is_overdue(&status.settings.scheduler, good, now)) {
        let message = format!("the last good backup, of {}, is older than twice the interval", shown(&good));
        let hint = "Look in the Backup journal why the last ones failed, and make one now.";
        let warning = Warning::new(WarningKind::BackupOverdue, message.clone(), hint);
        // It is why the last backup failed, or why automatic ones are suspended.
        let why = found.iter().find(|told| told.is_failure()).and_then(|told| told.why.clone());
        found.push(Told { warning, short: message, then: None, why });
    }
    found
}

fn of_last_backup(last: &LastBackup, success: Option<&LastBackup>) -> Option<Told> {
    let kind = match last.outcome {
        Outcome::Failed | Outcome::Interrupted => WarningKind::BackupFailed,
        Outcome::Partial => WarningKind::BackupPartial,
        _ => return None,
    };
    let error = last.error.as_ref();
    let why = error.map_or_else(|| "it was cut off".to_owned(), |error| error.message.clone());
    let what = if kind == WarningKind::BackupPartial { "needs attention" } else { "failed" };
    let before = success.map_or_else(String::new, |success| {
        let number = success.number.map_or_else(String::new, |number| format!(", {number},"));
        format!("; the last one that succeeded{number} is of {}", shown(&success.moment))
    });
    let short = format!("the full backup of {} {what}", shown(&last.moment));
    let message = format!("{short}: {why}{before}");
    let warning = Warning { kind, message, hint: error.and_then(|error| error.hint.clone()) };
    Some(Told { warning, short: format!("{short}{before}"), then: None, why: last.error.clone() })
}

/// What is the matter with the data file itself, with the backups that failed because of it, or hold its damage.
pub(in crate::engine) fn of_data_file(
    status: &DataFileStatus,
    backups: &mut Vec<Told>,
    content: &mut Vec<Warning>,
) -> Option<Warning> {
    let unusable = status.problem.as_ref();
    let damage = status.damage.as_ref().filter(|_| !is_refuted(status, status.damage_since));
    let checked = status.maintenance.last_check.as_ref().filter(|last| last.outcome == Outcome::Partial);
    let checked = checked.filter(|last| !is_refuted(status, Some(last.moment))).and_then(|last| last.error.as_ref());
    // What could not be checked is not damaged.
    let checked = checked.filter(|error| error.kind != ErrorKind::Partial);
    let mut cause = of_error(WarningKind::DataFileDamaged, unusable.or(damage).or(checked)?);
    if let Some(problem) = unusable {
        take(&mut cause, backups, |told| {
            let why = told.why.as_ref().filter(|_| told.is_failure());
            why.is_some_and(|why| why.message == problem.message || why.kind == ErrorKind::Replaced)
        });
        if is_lost(problem.kind) && status.newest_sound().is_some() {
            let hint = cause.hint.take().map_or_else(String::new, |hint| format!("{hint} "));
            let path = quoted(&status.facts.path);
            cause.hint =
                Some(format!("{hint}Its archives bring it back: strongroom restore {path} --in-place {path}."));
        }
    } else {
        for warning in content.extract_if(.., |warning| warning.kind == WarningKind::ContentDamaged) {
            // Which backup, and which sound one stays; what to do is what the damage asks for, which was looked at
            // already.
            cause.message.push_str("; ");
            cause.message.push_str(&warning.message);
            let own = cause.hint.take().map_or_else(String::new, |hint| format!(" {hint}"));
            cause.hint = Some(format!("Make no further backups to repair this.{own}"));
        }
        let is_of_it = |told: &Told| is_of_damaged_content(status, told);
        drop(backups.extract_if(.., |told| is_of_it(told)).collect::<Vec<_>>());
    }
    Some(cause)
}

/// Whether a full backup since then holds a data file that SQLite found whole.
fn is_refuted(status: &DataFileStatus, since: Option<DateTime<Local>>) -> bool {
    let checked = status.maintenance.last_check.as_ref().filter(|last| last.outcome == Outcome::Succeeded);
    let backed_up = status.own_archives().filter(|a| a.problem.is_none() && a.check == ContentCheck::Whole);
    let sound = backed_up.filter_map(|archive| archive.moment.map(|moment| moment.with_timezone(&Local)));
    let latest = sound.chain(checked.map(|last| last.moment)).max();
    since.is_some_and(|since| latest.is_some_and(|latest| latest > since))
}

/// Whether it says of the last backup only that its content is damaged.
fn is_of_damaged_content(status: &DataFileStatus, told: &Told) -> bool {
    let last = status.last_backup.as_ref().and_then(|last| last.number);
    told.warning.kind == WarningKind::BackupPartial
        && told.why.as_ref().is_some_and(|why| why.kind == ErrorKind::Damaged)
        && status.own_archives().any(|a| Some(a.number) == last && a.check == ContentCheck::Damaged)
}

/// The damaged content of a backup is said once, where that is said.
pub(in crate::engine) fn of_damaged_content(status: &DataFileStatus, backups: &mut Vec<Told>, content: &[Warning]) {
    if content.iter().any(|warning| warning.kind == WarningKind::ContentDamaged) {
        backups.retain(|told| !is_of_damaged_content(status, told));
    }
}

/// That the newest archive is partial, and which whole one stays: with what the last backup said of it, or alone.
pub(in crate::engine) fn of_partial(status: &DataFileStatus, found: &mut Vec<Warning>) {
    let Some(partial) = Partial::of(&status.archives, status.settings.data_file_id) else { return };
    let is_of_last = status.last_backup.as_ref().is_some_and(|last| {
        let is_newest = status.own_archives().next().is_some_and(|newest| last.number == Some(newest.number));
        is_newest && last.error.as_ref().is_some_and(|error| error.kind == ErrorKind::Partial)
    });
    match found.iter_mut().find(|warning| is_of_last && warning.kind == WarningKind::BackupPartial) {
        Some(told) if partial.count == 1 => told.message = format!("{}; {}", told.message, partial.whole),
        Some(told) => {
            told.message =
                format!("{}; the last {} backups are partial; {}", told.message, partial.count, partial.whole);
        }
        None => found.push(partial.warning()),
    }
}

/// That the folder for archives is not there, with the backups that failed because of it.
pub(in crate::engine) fn of_place(status: &DataFileStatus, backups: &mut Vec<Told>) -> Option<Warning> {
    let mut cause = places::missing(status.destination_problem.as_ref()?);
    let is_away = |told: &Told| told.why.as_ref().is_some_and(|why| why.kind == ErrorKind::PlaceMissing);
    take(&mut cause, backups, |told| told.is_failure() && is_away(told));
    Some(cause)
}

/// Backups that fail again and again are said once: as suspended, or else as failed.
pub(in crate::engine) fn of_failures(backups: Vec<Told>) -> Vec<Warning> {
    let (failures, others): (Vec<Told>, Vec<Told>) = backups.into_iter().partition(Told::is_failure);
    let mut failures = failures.into_iter();
    let mut found = Vec::new();
    if let Some(Told { mut warning, why, .. }) = failures.next() {
        for told in failures {
            if told.warning.kind == WarningKind::BackupOverdue || told.why == why {
                add(&mut warning, &told);
            } else {
                found.push(told.warning);
            }
        }
        found.insert(0, warning);
    }
    found.extend(others.into_iter().map(|told| told.warning));
    found
}

/// Whether the log was released because the data file is not there any more, which is said.
pub(in crate::engine) fn is_log_of_lost(status: &DataFileStatus) -> bool {
    let log = status.log_problem.as_ref().or_else(|| status.log.as_ref().and_then(|log| log.error.as_ref()));
    let is_gone = status.problem.as_ref().is_some_and(|problem| is_lost(problem.kind));
    let is_of_it = |error: &ErrorReport| {
        // One that is empty is in no journal mode, and is not to be switched.
        let follows = is_lost(error.kind) || matches!(error.kind, ErrorKind::Replaced | ErrorKind::Refused);
        follows && names(&error.message, &status.facts.path)
    };
    is_gone && status.log_folder_problem.is_none() && log.is_some_and(is_of_it)
}

/// Whether a message names this data file or one of its companions, and not a log whose name begins like it.
fn names(message: &str, path: &Path) -> bool {
    let path = path.display().to_string();
    let ends = |rest: &str| rest.is_empty() || [" ", ":", ",", "-wal", "-shm"].iter().any(|end| rest.starts_with(end));
    message.match_indices(&path).any(|(at, found)| ends(&message[at + found.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(kind: WarningKind, error: Option<ErrorKind>) -> Told {
        let why = error.map(|kind| crate::error::Error::new(kind, "why").report());
        Told { warning: Warning::new(kind, format!("{kind:?}"), "hint"), short: format!("{kind:?}"), then: None, why }
    }

    #[test]
    fn backups_that_fail_are_said_once_and_other_things_besides() {
        use WarningKind as K;
        let kinds = |told: Vec<Told>| -> Vec<(K, String)> {
            of_failures(told).into_iter().map(|warning| (warning.kind, warning.message)).collect()
        };
        let one = |kind: K, text: &str| (kind, text.to_owned());
        let failed = Some(ErrorKind::NoSpace);
        let all = vec![
            told(K::BackupSuspended, failed),
            told(K::BackupFailed, failed),
            told(K::BackupMissed, None),
            told(K::BackupOverdue, failed),
        ];
        let expected = [
            one(K::BackupSuspended, "BackupSuspended; BackupFailed; BackupOverdue"),
            one(K::BackupMissed, "BackupMissed"),
        ];
        assert_eq!(kinds(all), expected);
        // One that failed by hand for another reason has a cause of its own.
        let two = vec![told(K::BackupSuspended, failed), told(K::BackupFailed, Some(ErrorKind::Io))];
        assert_eq!(kinds(two), [one(K::BackupSuspended, "BackupSuspended"), one(K::BackupFailed, "BackupFailed")]);
        assert_eq!(kinds(vec![told(K::BackupOverdue, None)]), [one(K::BackupOverdue, "BackupOverdue")]);
        assert_eq!(kinds(vec![told(K::BackupPartial, None)]), [one(K::BackupPartial, "BackupPartial")]);
    }

    #[test]
    fn a_message_names_a_data_file_or_its_companions_and_not_what_begins_like_it() {
        let path = Path::new("/srv/a.db");
        for (message, expected) in [
            ("/srv/a.db was deleted or renamed", true),
            ("cannot open /srv/a.db: no such file or directory", true),
            ("/srv/a.db-wal was replaced by another file", true),
            ("cannot open /srv/a.db.journal: no such file or directory", false),
            ("cannot open /srv/a.db/a.journal: no such file or directory", false),
        ] {
            assert_eq!(names(message, path), expected, "{message}");
        }
    }
}
