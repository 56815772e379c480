//! Values as they stand in the file, and what they mean; `None` is what a value must not be.

use std::path::{Path, PathBuf};

use chrono::{NaiveDate, NaiveTime};
use toml_edit::{Array, Value};

use crate::settings::sections::Weekday;

pub(super) fn list(items: impl IntoIterator<Item = String>) -> Value {
    Value::Array(items.into_iter().collect::<Array>())
}

pub(super) fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

pub(super) fn paths(value: &Value) -> Option<Vec<PathBuf>> {
    let list: Vec<PathBuf> = texts(value)?.into_iter().map(PathBuf::from).collect();
    list.iter().all(|path| path.is_absolute()).then_some(list)
}

pub(super) fn path_list(paths: &[PathBuf]) -> Option<Value> {
    (!paths.is_empty()).then(|| list(paths.iter().map(|path| path.to_string_lossy().into_owned())))
}

pub(super) fn path(value: &Value) -> Option<Option<PathBuf>> {
    match value.as_str()? {
        "" => Some(None),
        text => Path::new(text).is_absolute().then(|| Some(PathBuf::from(text))),
    }
}

pub(super) fn path_text(path: &Option<PathBuf>) -> Option<Value> {
    path.as_ref().map(|path| path.to_string_lossy().into_owned().into())
}

pub(super) fn number(value: &Value, range: std::ops::RangeInclusive<u32>) -> Option<u32> {
    value.as_integer().and_then(|n| u32::try_from(n).ok()).filter(|n| range.contains(n))
}

pub(super) fn whole(number: u32) -> Option<Value> {
    Some(i64::from(number).into())
}

/// `23:00`, also written as a time of TOML.
pub(super) fn time(value: &Value) -> Option<NaiveTime> {
    let text = match value {
        Value::String(text) => text.value().trim().to_owned(),
        other => other.as_datetime()?.to_string(),
    };
    ["%H:%M", "%H:%M:%S"].iter().find_map(|form| NaiveTime::parse_from_str(&text, form).ok())
}

/// `2026-11-22`, as a date of TOML or as text; the empty text is none.
pub(super) fn date(value: &Value) -> Option<Option<NaiveDate>> {
    let text = match value {
        Value::String(text) => text.value().trim().to_owned(),
        other => other.as_datetime()?.to_string(),
    };
    if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) }
}

pub(super) fn weekdays(value: &Value) -> Option<std::collections::BTreeSet<Weekday>> {
    let words = match value {
        Value::String(word) => vec![word.value().clone()],
        list => texts(list)?,
    };
    words.iter().map(|word| Weekday::of_word(word)).collect()
}
