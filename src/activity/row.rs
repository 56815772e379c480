//! One operation as people look at it: its columns side by side, long values cut.

use std::{borrow::Cow, fmt::Write};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::records::{
    operation::{Action, Change, Operation, Side, hexadecimal},
    record::Value,
    schema::ObjectKind,
};

/// Bytes of a text that are kept.
pub const TEXT_MAX: usize = 64 << 10;
/// Bytes of a BLOB that are kept.
pub const BYTES_MAX: usize = 16 << 10;
/// Of what was not changed, these are kept.
const SAME_MAX: usize = 1 << 10;
/// So much of one operation is kept; of what comes after it, only the beginning.
const ROW_MAX: usize = 1 << 20;
/// The beginning.
const LEAST: usize = 64;

/// A value, or the beginning of a long one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shown {
    /// None.
    Null,
    /// A number.
    Number(String),
    /// Text.
    Text {
        /// The text, or its beginning.
        text: String,
        /// How many bytes all of it has.
        bytes: u64,
    },
    /// Bytes, or text that is none in its own form.
    Bytes {
        /// They, or the first of them, in hexadecimal digits.
        hex: String,
        /// How many there are.
        bytes: u64,
        /// Whether it is meant to be text.
        is_text: bool,
    },
}

impl Shown {
    /// A value of which at most so many bytes are kept.
    fn of(value: &Value<'_>, text_max: usize, bytes_max: usize) -> Self {
        let binary = |bytes: &[u8], is_text| {
            let hex = hexadecimal(bytes.get(..bytes_max).unwrap_or(bytes));
            Shown::Bytes { hex, bytes: bytes.len() as u64, is_text }
        };
        match value {
            Value::Null => Shown::Null,
            Value::Integer(number) => Shown::Number(number.to_string()),
            Value::Real(number) => Shown::Number(format!("{number:?}")),
            Value::Text(bytes, _) => match value.text() {
                Some(text) => {
                    let end = text.floor_char_boundary(text_max);
                    let beginning = text.get(..end).unwrap_or_default().to_owned();
                    Shown::Text { text: beginning, bytes: text.len() as u64 }
                }
                None => binary(bytes, true),
            },
            Value::Blob(bytes) => binary(bytes, false),
        }
    }

    /// Whether only its beginning is here.
    pub fn is_cut(&self) -> bool {
        match self {
            Shown::Null | Shown::Number(_) => false,
            Shown::Text { text, bytes } => (text.len() as u64) < *bytes,
            Shown::Bytes { hex, bytes, .. } => (hex.len() as u64 / 2) < *bytes,
        }
    }

    /// How many bytes are here.
    fn kept(&self) -> usize {
        match self {
            Shown::Null => 0,
            Shown::Number(text) | Shown::Text { text, .. } => text.len(),
            Shown::Bytes { hex, .. } => hex.len() / 2,
        }
    }

    /// How many bytes the value has: those of a number as it is written.
    pub fn bytes(&self) -> u64 {
        match self {
            Shown::Null => 0,
            Shown::Number(text) => text.len() as u64,
            Shown::Text { bytes, .. } | Shown::Bytes { bytes, .. } => *bytes,
        }
    }

    /// In a line, with at most `letters` of a text.
    pub fn in_words(&self, letters: usize) -> String {
        match self {
            Shown::Null => "NULL".to_owned(),
            Shown::Number(number) => number.clone(),
            Shown::Text { text, bytes } => match text.char_indices().nth(letters) {
                None if !self.is_cut() => format!("'{text}'"),
                at => format!("'{}… ({bytes} bytes)'", text.get(..at.map_or(text.len(), |at| at.0)).unwrap_or(text)),
            },
            Shown::Bytes { hex, is_text: false, .. } if hex.len() <= letters && !self.is_cut() => format!("x'{hex}'"),
            Shown::Bytes { bytes, is_text: false, .. } => format!("a BLOB of {bytes} bytes"),
            Shown::Bytes { bytes, .. } => format!("text that is none, {bytes} bytes"),
        }
    }

    /// What is searched, in small letters.
    fn searched(&self) -> Option<Cow<'_, str>> {
        match self {
            Shown::Number(text) => Some(Cow::Borrowed(text)),
            Shown::Text { text, .. } => Some(Cow::Owned(text.to_lowercase())),
            Shown::Null | Shown::Bytes { .. } => None,
        }
    }
}

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
fn side<'a>(side: Option<&'a Side<'a>>) -> Vec<(&'a str, Value<'a>)> {
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
fn reason(operation: &Operation<'_>, change: &Change<'_>) -> Option<String> {
    let of_side = |side: &Option<Side<'_>>, what: &str| match side {
        Some(Side::Unknown(flaw)) => Some(format!("{what} cannot be read: page {} {}", flaw.page, flaw.what)),
        _ => None,
    };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::page::Encoding;

    #[test]
    fn a_long_value_is_cut_between_letters_and_says_so() {
        let text = "ä".repeat(TEXT_MAX);
        let shown = Shown::of(&Value::Text(text.as_bytes(), Encoding::Utf8), 7, 7);
        assert_eq!(shown, Shown::Text { text: "äää".into(), bytes: 2 * TEXT_MAX as u64 });
        assert!(shown.is_cut());
        assert_eq!(shown.in_words(2), "'ää… (131072 bytes)'");
        let blob = Shown::of(&Value::Blob(&[1, 2, 255]), 7, 2);
        assert_eq!(blob, Shown::Bytes { hex: "0102".into(), bytes: 3, is_text: false });
        assert_eq!(Shown::of(&Value::Blob(&[1, 2, 255]), 7, 7).in_words(60), "x'0102ff'");
        assert_eq!(Shown::of(&Value::Text(&[0xff], Encoding::Utf8), 7, 7).in_words(60), "text that is none, 1 bytes");
    }
}
