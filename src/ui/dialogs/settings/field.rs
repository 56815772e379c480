//! The fields of the settings dialog whose text can be wrong, called by their keys.

use toml_edit::Value;

use super::form::Tab;
use crate::settings::{Key, Settings};

/// The name of the key that a field is for.
pub(crate) type Field = &'static str;

pub(crate) const EVERY: Field = "scheduler.every";
pub(crate) const AT: Field = "scheduler.at";
pub(crate) const WEEKDAYS: Field = "scheduler.weekdays";
pub(crate) const DAY: Field = "scheduler.day";
pub(crate) const FROM: Field = "scheduler.from";
pub(crate) const FOLDER: Field = "destination.folder";
pub(crate) const LOG: Field = "log.file";
pub(crate) const LAST: Field = "keep.last";
pub(crate) const HOURLY: Field = "keep.hourly";
pub(crate) const DAILY: Field = "keep.daily";
pub(crate) const WEEKLY: Field = "keep.weekly";
pub(crate) const MONTHLY: Field = "keep.monthly";
pub(crate) const YEARLY: Field = "keep.yearly";
pub(crate) const RETRY_AFTER: Field = "failure.retry-after";
pub(crate) const CANCEL_AFTER: Field = "failure.cancel-after";
pub(crate) const SEGMENT: Field = "archive.segment-size";

/// All of them.
pub(crate) const ALL: [Field; 16] = [
    EVERY,
    AT,
    WEEKDAYS,
    DAY,
    FROM,
    FOLDER,
    LOG,
    LAST,
    HOURLY,
    DAILY,
    WEEKLY,
    MONTHLY,
    YEARLY,
    RETRY_AFTER,
    CANCEL_AFTER,
    SEGMENT,
];

/// Of how many periods the newest backup is kept, with what the period is called.
pub(crate) const STEPS: [(Field, &str); 5] =
    [(HOURLY, "hours"), (DAILY, "days"), (WEEKLY, "weeks"), (MONTHLY, "months"), (YEARLY, "years")];

/// The segment sizes proposed, in MB: none, and those of usual media.
pub(crate) const SEGMENTS: [Option<u64>; 7] =
    [None, Some(100), Some(650), Some(700), Some(1024), Some(2048), Some(4480)];

/// The segment size in MB.
pub(crate) fn megabytes(settings: &Settings) -> Option<u64> {
    settings.archive.segment_bytes.map(|bytes| bytes.div_ceil(1 << 20))
}

/// The tab that a field is on.
pub(crate) fn tab(field: Field) -> Tab {
    match field.split_once('.').map_or("", |(section, _)| section) {
        "scheduler" => Tab::Scheduler,
        "destination" | "log" => Tab::Configuration,
        _ => Tab::BackupRestore,
    }
}

/// Takes the text of a field into the settings; else says what it must be, and leaves them as they are.
pub(crate) fn set(settings: &mut Settings, field: Field, text: &str) -> Result<(), String> {
    let value = match field {
        EVERY | DAY | LAST | HOURLY | DAILY | WEEKLY | MONTHLY | YEARLY | RETRY_AFTER | CANCEL_AFTER | SEGMENT => {
            text.parse::<i64>().ok().map(Value::from)
        }
        _ => Some(Value::from(text)),
    };
    let key = Key::find(field);
    let taken = key.zip(value).and_then(|(key, value)| key.set(settings, &value));
    taken.ok_or_else(|| match (field, key) {
        (SEGMENT, _) => "Give a whole number of MB from 1 to 1000000.".to_owned(),
        (_, key) => {
            let expected = key.map_or("another value", |key| key.expected).trim_end_matches(", in quotes");
            // A time in quotes is as the file shows it.
            format!("Give {}.", expected.replace('"', ""))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_its_key_and_says_what_it_must_be() {
        let sentences = [
            (EVERY, "1.5", "Give a whole number from 1 to 999."),
            (AT, "25:00", "Give a time such as 23:00."),
            (DAY, "32", "Give a whole number from 1 to 31."),
            (FROM, "tomorrow", "Give a date such as 2026-11-22."),
            (FOLDER, "Backups", "Give the full path of a folder."),
            (LAST, "", "Give a whole number from 1 to 9999."),
            (DAILY, "-1", "Give a whole number from 0 to 9999."),
            (RETRY_AFTER, "soon", "Give a whole number from 1 to 9999."),
            (CANCEL_AFTER, "0", "Give a whole number from 1 to 9999."),
            (SEGMENT, "650 MB", "Give a whole number of MB from 1 to 1000000."),
        ];
        for (field, text, sentence) in sentences {
            let mut settings = Settings::default();
            assert_eq!(set(&mut settings, field, text), Err(sentence.to_owned()), "{field}");
            assert_eq!(settings, Settings::default());
        }
        assert!(ALL.iter().all(|field| Key::find(field).is_some()));
    }
}
