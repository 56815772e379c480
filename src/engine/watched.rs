//! For how long nobody watched a data file whose log or schedule was on: said when it is watched again.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use chrono::{DateTime, Local, Offset, TimeDelta, TimeZone, Utc};

use super::{
    history::{LogEnd, Watched},
    status::{DataFileStatus, HostKind},
    worker::Worker,
};
use crate::{
    settings::sections::Frequency,
    warning::{Warning, WarningKind},
};

/// How often it is noted that data files are watched. Where a process is cut off, so much is not known.
const SIGN_OF_LIFE: Duration = Duration::from_secs(60);
/// How often it is noted where the logs end, while they go on.
const ENDS_NOTED: Duration = Duration::from_secs(10);

impl DataFileStatus {
    /// Whether it has a log, or backups are made by themselves: then it matters that somebody looks after it.
    pub fn is_protected(&self) -> bool {
        self.log_file.is_some() || is_scheduled(self)
    }
}

fn is_scheduled(data_file: &DataFileStatus) -> bool {
    data_file.settings.scheduler.frequency != Frequency::Never
}

impl Worker {
    /// Says so when nobody watched a data file for a while that is watched from now on.
    pub(super) fn begin_to_watch(&mut self, path: &Path, before: Option<Watched>) {
        let Some(status) = self.data_files.status(path) else { return };
        let (now, has) = (self.now(), (status.log_file.is_some(), is_scheduled(status)));
        if let Some(before) = before.filter(|before| is_worth_saying(before, now.to_utc())) {
            self.keep_notice(path, unwatched(path, &before, &now, has));
        }
    }

    /// Notes now and then, and at the end, that data files are watched.
    pub(super) fn note_watching(&mut self, at_end: bool) {
        self.note_log_ends(at_end);
        let now = Instant::now();
        let is_due = self.noted_watching.is_none_or(|at| now - at >= SIGN_OF_LIFE);
        if !self.config.stays() || self.data_files.is_empty() || !(is_due || at_end) {
            return;
        }
        self.noted_watching = Some(now);
        let all = self.data_files.iter().map(|d| (d.path().to_path_buf(), d.status().is_protected()));
        let all: Vec<(PathBuf, bool)> = all.collect();
        let moment = self.now().to_utc();
        self.note(move |history| history.still_watch(&all, moment, at_end));
    }

    /// Notes where logs end, those that went on since that was noted last.
    fn note_log_ends(&mut self, at_end: bool) {
        let now = Instant::now();
        let is_due = self.noted_log_ends.0.is_none_or(|at| now - at >= ENDS_NOTED);
        if !self.config.stays() || !(is_due || at_end) {
            return;
        }
        let (moment, noted) = (self.now().to_utc(), &self.noted_log_ends.1);
        let ends = self.data_files.iter().filter_map(|d| {
            let end = LogEnd::of(&d.log.as_ref()?.status(), moment);
            let is_noted = noted.get(d.path()).is_some_and(|noted| noted.position == end.position);
            (!is_noted).then(|| (d.path().to_path_buf(), end))
        });
        let ends: Vec<(PathBuf, LogEnd)> = ends.collect();
        if !ends.is_empty() {
            self.noted_log_ends.0 = Some(now);
            self.noted_log_ends.1.extend(ends.iter().cloned());
            self.note(move |history| history.keep_log_ends(&ends));
        }
    }

    /// Somebody wants it so: nothing is missing that has to be said.
    pub(super) fn end_to_watch(&mut self, path: &Path) {
        if self.config.stays() {
            let path = path.to_path_buf();
            self.note(move |history| history.unwatch(&path));
        }
    }
}

/// Whether a gap is more than what a handover takes, or than is known of a process that was cut off. A machine that
/// starts again within minutes is no news of a service.
fn is_worth_saying(before: &Watched, now: DateTime<Utc>) -> bool {
    let least = match (before.host, before.in_order) {
        (HostKind::Service, _) => TimeDelta::minutes(15),
        (_, true) => TimeDelta::seconds(10),
        (_, false) => TimeDelta::seconds(120),
    };
    before.protects && (now - before.until >= least || before.is_ahead(now))
}

fn unwatched(path: &Path, before: &Watched, now: &DateTime<Local>, (logs, scheduled): (bool, bool)) -> Warning {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let from = before.until.with_timezone(&Local);
    let message = match before.is_ahead(now.to_utc()) {
        false => format!("nobody watched {name} from {}", between(&from, now)),
        true => format!(
            "since when nobody watched {name} is not known: it was noted at {} last, by a clock that was ahead",
            from.format("%Y-%m-%d %H:%M:%S")
        ),
    };
    let mut hint = String::new();
    if !before.in_order {
        hint.push_str("The program was cut off; it may have watched for up to a minute longer. ");
    }
    if logs {
        hint.push_str(
            "What was committed meanwhile comes into the log as one step: it can be restored as a whole, its moments \
             in between not. ",
        );
    }
    if scheduled {
        hint.push_str("Backups that were due are made as the settings say. ");
    }
    hint.push_str("A service watches without a break.");
    Warning::new(WarningKind::Unwatched, message, hint)
}

/// Two moments, `2026-10-25 02:30:06 to 03:15:00`; with their offsets where the clock was set meanwhile, as in the hour
/// that comes twice.
fn between<Z: TimeZone>(from: &DateTime<Z>, to: &DateTime<Z>) -> String
where
    Z::Offset: std::fmt::Display,
{
    let day = if from.date_naive() == to.date_naive() { "" } else { "%Y-%m-%d " };
    let offset = if from.offset().fix() == to.offset().fix() { "" } else { " %:z" };
    let from = from.format(&format!("%Y-%m-%d %H:%M:%S{offset}")).to_string();
    format!("{from} to {}", to.format(&format!("{day}%H:%M:%S{offset}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_said_when_it_is_more_than_a_handover_or_an_uncertainty() {
        let until = DateTime::from_timestamp(1_700_000_000, 0).unwrap_or_default();
        let table = [
            (HostKind::Window, true, true, 9, false),
            (HostKind::Window, true, true, 10, true),
            (HostKind::Window, true, false, 119, false),
            (HostKind::Background, true, false, 120, true),
            (HostKind::Window, false, true, 100_000, false),
            (HostKind::Service, true, true, 899, false),
            (HostKind::Service, true, false, 900, true),
            (HostKind::Window, true, true, -60, false),
            (HostKind::Window, true, true, -3600, true),
            (HostKind::Window, false, true, -3600, false),
        ];
        for (host, protects, in_order, seconds, expected) in table {
            let before = Watched { host, protects, until, in_order, goes_on: false };
            assert_eq!(is_worth_saying(&before, until + TimeDelta::seconds(seconds)), expected, "{before:?} {seconds}");
        }
    }

    #[test]
    fn the_hour_that_comes_twice_is_told_with_its_offsets() {
        let at = |seconds: i64| {
            let moment = DateTime::from_timestamp(1_792_888_200 + seconds, 0).unwrap_or_default();
            moment.with_timezone(&chrono_tz::Europe::Zurich)
        };
        assert_eq!(between(&at(0), &at(3590)), "2026-10-25 02:30:00 +02:00 to 02:29:50 +01:00");
        assert_eq!(between(&at(3600), &at(4200)), "2026-10-25 02:30:00 to 02:40:00");
        assert_eq!(between(&at(4200), &at(86_400)), "2026-10-25 02:40:00 to 2026-10-26 01:30:00");
    }

    #[test]
    fn the_message_names_both_moments_and_the_hint_what_it_means() {
        let until = DateTime::from_timestamp(1_700_000_000, 0).unwrap_or_default();
        let before = Watched { host: HostKind::Window, protects: true, until, in_order: false, goes_on: false };
        let now = (until + TimeDelta::days(2)).with_timezone(&Local);
        let said = unwatched(Path::new("/srv/OMB_Edelweiss.sqlite"), &before, &now, (true, false));
        let shown = |moment: DateTime<Local>| moment.format("%Y-%m-%d %H:%M:%S").to_string();
        let expected = format!(
            "nobody watched OMB_Edelweiss.sqlite from {} to {}",
            shown(until.with_timezone(&Local)),
            shown(now)
        );
        assert_eq!(said.message, expected);
        let hint = said.hint.unwrap_or_default();
        assert!(hint.contains("cut off") && hint.contains("as one step"), "{hint}");
        assert!(!said.kind.is_urgent());
        let said = unwatched(Path::new("/srv/a.sqlite"), &before, &(until - TimeDelta::days(2)).into(), (true, false));
        assert!(
            said.message.starts_with("since when nobody watched a.sqlite is not known: it was noted at "),
            "{said:?}"
        );
    }
}
