//! One operation as people look at it: its columns side by side, long values cut.

use std::{borrow::Cow, fmt::Write};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use crate::records::shown::Shown;
use crate::records::{
    operation::{Action, Change, Operation, Side},
    record::Value,
    schema::ObjectKind,
};

/// Bytes of a text that are kept.
pub const TEXT_MAX: usize = 64 << 10;
/// Bytes of a BLOB that are kept.
pub const BYTES_MAX: usize = 16 << 10;
/// Of what was not changed, these are kept.
pub(super) const SAME_MAX: usize = 1 << 10;
/// So much of one operation is kept; of what comes after it, only the beginning.
pub(super) const ROW_MAX: usize = 1 << 20;
/// The beginning.
pub(super) const LEAST: usize = 64;

/// A column of a record that was added, modified or deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Its name.
    pub column: String,
    /// What it was; also where it is the same now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Shown>,
    /// What it is, if that is another value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<Shown>,
    /// Whether it is the same value before and after.
    #[serde(default)]
    pub is_same: bool,
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Its number within the commit.
    pub number: u64,
    /// The commit.
    pub commit: u64,
    /// What the clock showed when the commit was read.
    pub time: DateTime<Utc>,
    /// What was done.
    pub action: Action,
    /// To what sort of object, unless it was a record.
    #[serde(default)]
    pub object: Option<ObjectKind>,
    /// The table that it is of.
    #[serde(default)]
    pub table: Option<String>,
    /// Which one it was.
    #[serde(default)]
    pub key: Option<String>,
    /// Its columns.
    #[serde(default)]
    pub fields: Vec<Field>,
    /// How many bytes its values have: those that it has now, or had where it is gone.
    pub bytes: u64,
    /// Whether SQLite keeps it for itself.
    #[serde(default)]
    pub is_internal: bool,
    /// Whether it is only listed where what SQLite keeps for itself is not.
    #[serde(default)]
    pub stands_for_internal: bool,
    /// Of a table that is gone: how many records went with it. Of pages that were written: how many.
    #[serde(default)]
    pub count: Option<u64>,
    /// What cannot be told.
    #[serde(default)]
    pub reason: Option<String>,
}

/// The columns of a side, by name.
pub(super) fn side<'a>(side: Option<&'a Side<'a>>) -> Vec<(&'a str, Value<'a>)> {
    use crate::records::page::Encoding::Utf8;
    match side {
        Some(Side::Record(definition, row)) => {
            let named = definition.columns.iter().zip(row);
            named.filter_map(|(column, value)| Some((&*column.name, (*value)?))).collect()
        }
        Some(Side::Object(object)) => {
            let text = |text: &'a str| Value::Text(text.as_bytes(), Utf8);
            let sql = object.sql.as_ref().map_or(Value::Null, |sql| text(sql));
            vec![("name", text(&object.name)), ("sql", sql)]
        }
        Some(Side::Unknown(_)) | None => Vec::new(),
    }
}

impl Row {
    /// What an operation did, as people look at it.
    pub fn of(operation: &Operation<'_>) -> Self {
        let change = operation.change;
        let mut kept = 0;
        let mut keep = |value: &Value<'_>, is_same: bool| {
            let (mut text_max, mut bytes_max) = if is_same { (SAME_MAX, SAME_MAX) } else { (TEXT_MAX, BYTES_MAX) };
            if kept > ROW_MAX {
                (text_max, bytes_max) = (LEAST, LEAST);
            }
            let shown = Shown::of(value, text_max, bytes_max);
            kept += shown.kept();
            shown
        };
        let (old, new) = (side(change.old.as_ref()), side(change.new.as_ref()));
        let mut fields = Vec::new();
        let mut bytes = 0;
        for (at, (column, value)) in new.iter().enumerate() {
            let same_place = old.get(at).filter(|(name, _)| name == column);
            let before = same_place.or_else(|| old.iter().find(|(name, _)| name == column)).map(|(_, value)| value);
            let is_same = before.is_some_and(|before| before.is_same(value));
            let now = keep(value, is_same);
            bytes += now.bytes();
            fields.push(match (before, is_same) {
                (_, true) => Field { column: (*column).to_owned(), old: Some(now), new: None, is_same },
                (before, false) => {
                    let old = before.map(|before| keep(before, false));
                    Field { column: (*column).to_owned(), old, new: Some(now), is_same }
                }
            });
        }
        for (column, value) in old.iter().filter(|(column, _)| new.iter().all(|(name, _)| name != column)) {
            let was = keep(value, false);
            bytes += if new.is_empty() { was.bytes() } else { 0 };
            fields.push(Field { column: (*column).to_owned(), old: Some(was), new: None, is_same: false });
        }
        Self {
            number: operation.number,
            commit: operation.commit,
            time: operation.time,
            action: change.action,
            object: change.object,
            table: change.table.map(str::to_owned),
            key: change.key.as_ref().map(|key| key.in_words()),
            fields,
            bytes,
            is_internal: change.is_internal,
            stands_for_internal: false,
            count: change.count,
            reason: reason(operation, change),
        }
    }

    /// The columns that are others, in a line: `balance 3 → 5, name 'A' → 'B'`.
    pub fn changes_in_words(&self, letters: usize) -> String {
        let mut words = String::new();
        for field in self.fields.iter().filter(|field| !field.is_same) {
            if !words.is_empty() {
                words.push_str(", ");
            }
            if words.chars().count() > letters {
                words.push('…');
                break;
            }
            let value = |value: &Shown| value.in_words(letters.min(60));
            let _ = match (&field.old, &field.new) {
                (Some(old), Some(new)) => write!(words, "{} {} → {}", field.column, value(old), value(new)),
                (Some(one), None) | (None, Some(one)) => write!(words, "{} {}", field.column, value(one)),
                (None, None) => Ok(()),
            };
        }
        if let Some(reason) = &self.reason {
            let _ = write!(words, "{}{reason}", if words.is_empty() { "" } else { "; " });
        }
        words
    }

    /// Whether a text, in small letters, stands in one of its values or in its key; `None` where it does not in what is
    /// kept, which is not all.
    pub fn has_text(&self, wanted: &str) -> Option<bool> {
        let values = || self.fields.iter().flat_map(|field| [&field.old, &field.new]).flatten();
        let is_in = |text: Cow<'_, str>| text.contains(wanted);
        let in_key = self.key.as_ref().is_some_and(|key| key.to_lowercase().contains(wanted));
        if in_key || values().filter_map(Shown::searched).any(is_in) {
            return Some(true);
        }
        let may_be = |value: &Shown| matches!(value, Shown::Text { .. }) && value.is_cut();
        if values().any(may_be) { None } else { Some(false) }
    }
}

/// What cannot be told of it, also of one side of it.
pub(super) fn reason(operation: &Operation<'_>, change: &Change<'_>) -> Option<String> {
    let of_side = |side: &Option<Side<'_>>, what: &str| match side {
        Some(Side::Unknown(flaw)) => Some(format!("{what} cannot be read: page {} {}", flaw.page, flaw.what)),
        _ => None,
    };
    if change.flaw.is_none()
        && change.reason.is_none()
        && !matches!((&change.old, &change.new), (Some(Side::Unknown(_)), _) | (_, Some(Side::Unknown(_))))
    {
        return None;
    }
    let sides = [of_side(&change.old, "what it was"), of_side(&change.new, "what it is")];
    let all: Vec<String> = operation.reason().into_iter().chain(sides.into_iter().flatten()).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// What was done to something, in a word for a row: `deleted`.
pub fn done(action: Action) -> &'static str {
    match action {
        Action::Add => "added",
        Action::Modify => "modified",
        Action::Delete => "deleted",
        Action::Create => "created",
        Action::Alter => "altered",
        Action::Drop => "dropped",
        Action::CatchUp => "catch-up",
        Action::Rewrite => "pages written",
        Action::Unknown => "cannot be told",
    }
}
