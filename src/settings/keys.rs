//! Every setting by its key: what it means, what it may be, and where it is kept. One table for the file, the command
//! line and the dialog.

#[macro_use]
mod kinds;
mod values;

use toml_edit::Value;

use super::{
    made_in::MadeIn,
    place,
    sections::{DeleteOldest, Drill, Frequency, Retry, RetryUnit, Settings, TestRestore, Unit},
};
use crate::archive::options::{Compression, Rate};
use values::{date, list, number, path, path_list, path_text, paths, texts, time, weekdays, whole};

const MEGABYTE: u64 = 1 << 20;

/// One setting.
pub struct Key {
    /// Its name, section and key: `keep.last`.
    pub name: &'static str,
    /// What it means, in one line.
    pub meaning: &'static str,
    /// What its value must be, for messages.
    pub expected: &'static str,
    /// Whether its value is one path or several, which the command line takes relative to its own folder.
    pub is_path: bool,
    /// Whether Strongroom keeps it, and nobody else should.
    pub is_own: bool,
    get: fn(&Settings) -> Option<Value>,
    set: fn(&mut Settings, &Value) -> Option<()>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Key {
    /// The key called `name`.
    pub fn find(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name == name)
    }

    /// Section, empty for a key that stands at the top of the file, and name within it.
    pub(super) fn place(&self) -> (&'static str, &'static str) {
        self.name.split_once('.').unwrap_or(("", self.name))
    }

    /// The value as the file shows it; `None` where there is none.
    pub fn get(&self, settings: &Settings) -> Option<Value> {
        (self.get)(settings)
    }

    /// Whether it has its default.
    pub fn is_default(&self, settings: &Settings) -> bool {
        let text = |settings: &Settings| self.get(settings).map(|v| v.to_string());
        text(settings) == text(&Settings::default())
    }

    /// Takes `value`; `None` when it is not what is expected.
    #[must_use]
    pub fn set(&self, settings: &mut Settings, value: &Value) -> Option<()> {
        (self.set)(settings, value)
    }

    /// Goes back to the default.
    pub fn reset(&self, settings: &mut Settings) {
        match (self.get)(&Settings::default()) {
            Some(value) => _ = (self.set)(settings, &value),
            // The empty text or list stands for none.
            None => _ = (self.set)(settings, &Value::from("")).or_else(|| (self.set)(settings, &list([]))),
        }
    }
}

/// All settings, in the order of the file.
pub const KEYS: &[Key] = &[
    Key {
        name: "on-finish",
        meaning: "A program with its arguments, run after each job; the result is given to it as JSON on standard \
                  input.",
        expected: "a list of texts, such as [\"/usr/local/bin/notify\", \"backup\"]",
        is_path: false,
        is_own: false,
        get: |s| (!s.on_finish.is_empty()).then(|| list(s.on_finish.iter().cloned())),
        set: |s, v| {
            let words = texts(v)?;
            // A program without a name cannot be run.
            s.on_finish = Some(words).filter(|w| w.first().is_none_or(|program| !program.is_empty()))?;
            Some(())
        },
    },
    Key {
        name: "data-file.id",
        meaning: "Names this data file in its archives; leave it as it is.",
        expected: "the identifier that Strongroom wrote",
        is_path: false,
        is_own: true,
        get: |s| s.data_file_id.map(|id| id.to_string().into()),
        set: |s, v| {
            s.data_file_id = Some(v.as_str()?.parse().ok()?);
            Some(())
        },
    },
    Key {
        name: "data-file.last-number",
        meaning: "The highest number given to a full backup; numbers are not used again.",
        expected: "a whole number from 0 on",
        is_path: false,
        is_own: true,
        get: |s| whole(s.last_number),
        set: |s, v| {
            s.last_number = number(v, 0..=u32::MAX)?;
            Some(())
        },
    },
    Key {
        name: "data-file.places",
        meaning: "The folders used for archives and log, and what is chosen, by which they are known again; leave \
                  it as it is.",
        expected: "the list that Strongroom wrote",
        is_path: false,
        is_own: true,
        get: |s| (!s.places.is_empty()).then(|| Value::Array(s.places.iter().map(place::table).collect())),
        set: |s, v| {
            s.places = v.as_array()?.iter().map(place::of).collect::<Option<_>>()?;
            Some(())
        },
    },
    Key {
        name: "data-file.log-begun",
        meaning: "The log that was begun last, by which one that is missing is told from a new one; leave it as it is.",
        expected: "the path that Strongroom wrote",
        is_path: false,
        is_own: true,
        get: |s| path_text(&s.log_begun),
        set: |s, v| {
            s.log_begun = path(v)?;
            Some(())
        },
    },
    Key {
        name: "data-file.made-in",
        meaning: "From which number on its archives were made where, by which those of a copy elsewhere are known; \
                  leave it as it is.",
        expected: "the list that Strongroom wrote",
        is_path: false,
        is_own: true,
        get: |s| (!s.made_in.is_empty()).then(|| Value::Array(s.made_in.iter().map(MadeIn::in_text).collect())),
        set: |s, v| {
            s.made_in = v.as_array()?.iter().map(|made| MadeIn::parse(made.as_str()?)).collect::<Option<_>>()?;
            Some(())
        },
    },
    Key {
        name: "data-file.restored",
        meaning: "The file that a restore put in its place, whose state was wanted as it is; leave it as it is.",
        expected: "what Strongroom wrote",
        is_path: false,
        is_own: true,
        get: |s| s.restored.map(|restored| restored.to_string().into()),
        set: |s, v| {
            s.restored = Some(v.as_str()?.parse().ok()?);
            Some(())
        },
    },
    word!(
        "scheduler.frequency",
        "How often a full backup is made: never, every hour, every day, every week, every month, personalized.",
        "never, every hour, every day, every week, every month or personalized, in quotes",
        Frequency,
        scheduler.frequency
    ),
    count!(
        "scheduler.every",
        "Personalized: every so many hours (at most 24), days, weeks or months.",
        "a whole number from 1 to 999",
        1..=999,
        scheduler.every
    ),
    word!(
        "scheduler.unit",
        "Personalized: hours, days, weeks or months.",
        "hours, days, weeks or months, in quotes",
        Unit,
        scheduler.unit
    ),
    Key {
        name: "scheduler.at",
        meaning: "The time of the day, in local time; for hours the time of the first one.",
        expected: "a time such as \"23:00\", in quotes",
        is_path: false,
        is_own: false,
        get: |s| {
            let whole = s.scheduler.at.format("%S").to_string() == "00";
            Some(s.scheduler.at.format(if whole { "%H:%M" } else { "%H:%M:%S" }).to_string().into())
        },
        set: |s, v| {
            s.scheduler.at = time(v)?;
            Some(())
        },
    },
    Key {
        name: "scheduler.weekdays",
        meaning: "The day of the week, for personalized weeks one or several.",
        expected: "days of the week, such as [\"monday\", \"friday\"]",
        is_path: false,
        is_own: false,
        get: |s| Some(list(s.scheduler.weekdays.iter().map(|day| day.word().to_owned()))),
        set: |s, v| {
            s.scheduler.weekdays = weekdays(v)?;
            Some(())
        },
    },
    count!(
        "scheduler.day",
        "The day of the month; in a shorter month its last day.",
        "a whole number from 1 to 31",
        1..=31,
        scheduler.day
    ),
    Key {
        name: "scheduler.from",
        meaning: "Personalized: the day that the interval is counted from.",
        expected: "a date such as 2026-11-22",
        is_path: false,
        is_own: false,
        get: |s| {
            s.scheduler.from.and_then(|day| day.to_string().parse().ok()).map(|day: toml_edit::Datetime| day.into())
        },
        set: |s, v| {
            s.scheduler.from = date(v)?;
            Some(())
        },
    },
    switch!(
        "scheduler.only-if-modified",
        "Whether a scheduled backup is skipped when the data file was not modified since the last one.",
        scheduler.only_if_modified
    ),
    word!(
        "scheduler.drill",
        "A test restore of an archive drawn by lot, with its logs up to a commit drawn by lot: never, every week.",
        "never or every week, in quotes",
        Drill,
        proof.drill
    ),
    several_paths!("content.program", "Files and folders of the program that uses the data file.", content.program),
    several_paths!("content.attachments", "Other files and folders that go into the archives.", content.attachments),
    one_path!(
        "destination.folder",
        "The folder for archives; without it, the folder Backups beside the data file.",
        "the full path of a folder, in quotes",
        destination.folder
    ),
    several_paths!(
        "destination.earlier",
        "Folders chosen earlier; the archives there stay known. Written by Strongroom.",
        destination.earlier
    ),
    one_path!(
        "log.file",
        "The log file that records every commit; without this line the log is not used.",
        "the full path of a file, in quotes",
        log.file
    ),
    switch!(
        "log.allow-network",
        "Whether the log may lie on a network drive. Not advised: it is open permanently.",
        log.allow_network
    ),
    switch!("keep.all", "Whether every backup is kept.", keep.all),
    count!(
        "keep.last",
        "Otherwise how many backups are kept, each an archive with its log.",
        "a whole number from 1 to 9999",
        1..=9999,
        keep.last
    ),
    periods!(
        "keep.hourly",
        "Besides the last ones, the newest backup of each of the last so many hours is kept; 0 for none.",
        keep.hourly
    ),
    periods!("keep.daily", "The same of the last so many days.", keep.daily),
    periods!("keep.weekly", "The same of the last so many weeks, which begin on Monday.", keep.weekly),
    periods!("keep.monthly", "The same of the last so many months.", keep.monthly),
    periods!("keep.yearly", "The same of the last so many years.", keep.yearly),
    word!(
        "keep.delete-oldest",
        "When the oldest backup is deleted: before or after the new one is made. A verified one always remains.",
        "before or after, in quotes",
        DeleteOldest,
        keep.delete_oldest
    ),
    word!(
        "failure.retry",
        "When a failed backup is tried again: next scheduled, or after a time.",
        "next scheduled or after, in quotes",
        Retry,
        failure.retry
    ),
    count!(
        "failure.retry-after",
        "After how many seconds, minutes or hours, if after a time.",
        "a whole number from 1 to 9999",
        1..=9999,
        failure.retry_after
    ),
    word!(
        "failure.retry-unit",
        "The unit of that: seconds, minutes or hours.",
        "seconds, minutes or hours, in quotes",
        RetryUnit,
        failure.retry_unit
    ),
    switch!(
        "failure.cancel",
        "Whether automatic backups are suspended after too many attempts, until a backup by hand succeeds.",
        failure.cancel
    ),
    count!(
        "failure.cancel-after",
        "After how many attempts.",
        "a whole number from 1 to 9999",
        1..=9999,
        failure.cancel_after
    ),
    Key {
        name: "archive.segment-size",
        meaning: "The size in MB at which an archive is continued in another file; none for archives of one file.",
        expected: "none, or a whole number of MB from 1 to 1000000",
        is_path: false,
        is_own: false,
        get: |s| {
            let megabytes = |bytes: u64| i64::try_from(bytes.div_ceil(MEGABYTE)).unwrap_or(i64::MAX);
            Some(s.archive.segment_bytes.map_or_else(|| "none".into(), |bytes| megabytes(bytes).into()))
        },
        set: |s, v| {
            s.archive.segment_bytes = match v.as_str() {
                Some(word) if word.trim().eq_ignore_ascii_case("none") => None,
                _ => Some(u64::from(number(v, 1..=1_000_000)?) * MEGABYTE),
            };
            Some(())
        },
    },
    archive!(
        "archive.compression",
        "The compression rate: none, fast or compact.",
        "none, fast or compact, in quotes",
        Compression,
        compression
    ),
    archive!(
        "archive.interlacing",
        "The interlacing rate, over how long a stretch recovery data is spread: none, low, medium or high.",
        "none, low, medium or high, in quotes",
        Rate,
        interlacing
    ),
    archive!(
        "archive.redundancy",
        "The redundancy rate, how much recovery data is added: none, low, medium or high.",
        "none, low, medium or high, in quotes",
        Rate,
        redundancy
    ),
    switch!(
        "archive.sign",
        "Whether archives are signed by the key of the user who makes them, which `strongroom key` shows.",
        archive.sign
    ),
    word!(
        "archive.test-restore",
        "Whether every new archive is restored for a test: automatic (where that takes a minute), always, never.",
        "automatic, always or never, in quotes",
        TestRestore,
        proof.test_restore
    ),
    switch!(
        "restore.if-damaged",
        "Whether the last backup is restored when the data file is found damaged at opening.",
        restore.if_damaged
    ),
    switch!(
        "restore.integrate-log",
        "Whether the last log is integrated when the data file lacks commits that the log holds.",
        restore.integrate_log
    ),
];

#[cfg(test)]
mod tests;
