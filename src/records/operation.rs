//! An operation: what one commit did to one record or one object of the schema; and its form in JSON.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};

use super::{
    definition::Definition,
    page::Flaw,
    record::Value,
    row::Row,
    schema::{Object, ObjectKind},
};

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// A record is there that was not.
    Add,
    /// A record is another one.
    Modify,
    /// A record is gone.
    Delete,
    /// A table, index, view or trigger is there that was not.
    Create,
    /// One is another one.
    Alter,
    /// One is gone; a table with all its records.
    Drop,
    /// Nobody watched for a while: what follows in this commit happened since the one before, nobody knows in how many.
    CatchUp,
    /// Pages were written, and no record is another one.
    Rewrite,
    /// Something was changed, and what cannot be told.
    Unknown,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Action::Add,
        Action::Modify,
        Action::Delete,
        Action::Create,
        Action::Alter,
        Action::Drop,
        Action::CatchUp,
        Action::Rewrite,
        Action::Unknown,
    ];

    /// What it is called.
    pub fn label(self) -> &'static str {
        match self {
            Action::Add => "add",
            Action::Modify => "modify",
            Action::Delete => "delete",
            Action::Create => "create",
            Action::Alter => "alter",
            Action::Drop => "drop",
            Action::CatchUp => "catch-up",
            Action::Rewrite => "rewrite",
            Action::Unknown => "unknown",
        }
    }
}

/// By what something is told from others of its table.
#[derive(Debug, Clone, PartialEq)]
pub enum Key<'a> {
    /// The rowid.
    Rowid(i64),
    /// The key of a table without rowid.
    Values(Vec<Value<'a>>),
    /// The name of an object of the schema.
    Name(&'a str),
}

/// What something was, or is.
#[derive(Debug, Clone)]
pub enum Side<'a> {
    /// A record.
    Record(&'a Definition, Row<'a>),
    /// An object of the schema.
    Object(&'a Object),
    /// Not known.
    Unknown(Flaw),
}

/// What was done to something; the commit is known from elsewhere.
#[derive(Debug, Clone)]
pub struct Change<'a> {
    /// What was done.
    pub action: Action,
    /// To what sort of object, unless it was a record.
    pub object: Option<ObjectKind>,
    /// The table that it is of.
    pub table: Option<&'a str>,
    /// Which one it was.
    pub key: Option<Key<'a>>,
    /// What it was.
    pub old: Option<Side<'a>>,
    /// What it is.
    pub new: Option<Side<'a>>,
    /// Whether SQLite keeps it for itself.
    pub is_internal: bool,
    /// Of a table that is gone: how many records went with it. Of pages that were written: how many.
    pub count: Option<u64>,
    /// What cannot be told.
    pub flaw: Option<Flaw>,
    /// Why, where that is more than a place.
    pub reason: Option<&'a str>,
}

impl<'a> Change<'a> {
    /// One of which no more is known.
    pub fn of(action: Action) -> Self {
        let (object, table, key, old, new) = (None, None, None, None, None);
        Self { action, object, table, key, old, new, is_internal: false, count: None, flaw: None, reason: None }
    }

    pub(super) fn unknown(table: Option<&'a str>, flaw: Flaw) -> Self {
        Self { table, flaw: Some(flaw), ..Self::of(Action::Unknown) }
    }
}

/// A change with the commit that made it.
#[derive(Debug, Clone)]
pub struct Operation<'a> {
    /// Its number within the commit, from 1. It is the same whatever else is listed.
    pub number: u64,
    /// The commit.
    pub commit: u64,
    /// What the clock showed when the commit was read.
    pub time: DateTime<Utc>,
    /// What was done.
    pub change: &'a Change<'a>,
}

/// A value in JSON: text, number, null; `{"blob": "…"}` in hexadecimal digits. What JSON has no form for is an object,
/// too.
#[derive(Debug)]
pub struct Shown<'a>(pub &'a Value<'a>);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let object = |name: &str, text: &str, to: S| {
            let mut map = to.serialize_map(Some(1))?;
            map.serialize_entry(name, text)?;
            map.end()
        };
        match self.0 {
            Value::Null => to.serialize_none(),
            Value::Integer(number) => to.serialize_i64(*number),
            Value::Real(number) if number.is_finite() => to.serialize_f64(*number),
            Value::Real(number) => object("real", if *number > 0.0 { "Infinity" } else { "-Infinity" }, to),
            Value::Text(bytes, _) => match self.0.text() {
                Some(text) => to.serialize_str(&text),
                None => object("text", &hexadecimal(bytes), to),
            },
            Value::Blob(bytes) => object("blob", &hexadecimal(bytes), to),
        }
    }
}

/// Bytes in hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |number: u8| DIGITS.get(usize::from(number)).map_or('0', |digit| char::from(*digit));
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// What is not known, in words.
pub(super) fn in_words(flaw: &Flaw) -> String {
    format!("page {} {}", flaw.page, flaw.what)
}

impl Serialize for Side<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Side::Record(definition, row) => {
                let mut map = to.serialize_map(None)?;
                for (column, value) in definition.columns.iter().zip(row) {
                    if let Some(value) = value {
                        map.serialize_entry(&column.name, &Shown(value))?;
                    }
                }
                map.end()
            }
            Side::Object(object) => {
                let mut map = to.serialize_map(Some(2))?;
                map.serialize_entry("name", &object.name)?;
                map.serialize_entry("sql", &object.sql)?;
                map.end()
            }
            Side::Unknown(flaw) => {
                let mut map = to.serialize_map(Some(1))?;
                map.serialize_entry("unknown", &in_words(flaw))?;
                map.end()
            }
        }
    }
}

impl Serialize for Key<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Key::Rowid(number) => to.serialize_i64(*number),
            Key::Name(name) => to.serialize_str(name),
            Key::Values(values) => match values.as_slice() {
                [one] => Shown(one).serialize(to),
                values => to.collect_seq(values.iter().map(Shown)),
            },
        }
    }
}

impl Serialize for Operation<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let change = self.change;
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("operation", &self.number)?;
        map.serialize_entry("commit", &self.commit)?;
        map.serialize_entry("time", &self.time)?;
        map.serialize_entry("action", change.action.label())?;
        if let Some(object) = change.object {
            map.serialize_entry("object", object.label())?;
        }
        if let Some(table) = change.table {
            map.serialize_entry("table", table)?;
        }
        if let Some(key) = &change.key {
            map.serialize_entry("key", key)?;
        }
        if let Some(old) = &change.old {
            map.serialize_entry("old", old)?;
        }
        if let Some(new) = &change.new {
            map.serialize_entry("new", new)?;
        }
        if change.is_internal {
            map.serialize_entry("internal", &true)?;
        }
        if let Some(count) = change.count {
            let name = if change.action == Action::Rewrite { "pages" } else { "records" };
            map.serialize_entry(name, &count)?;
        }
        if let Some(flaw) = &change.flaw {
            map.serialize_entry("page", &flaw.page)?;
        }
        if let Some(reason) = self.reason() {
            map.serialize_entry("reason", &reason)?;
        }
        map.end()
    }
}

impl Operation<'_> {
    /// Why something cannot be told.
    pub fn reason(&self) -> Option<String> {
        let place = self.change.flaw.as_ref().map(in_words);
        place.or_else(|| self.change.reason.map(str::to_owned))
    }
}

/// So many letters of a value are shown in a line for people.
const SHOWN_MAX: usize = 60;

/// A value in a line for people.
pub fn value_in_words(value: &Value<'_>) -> String {
    let short = |text: &str, whole: usize, unit: &str| {
        let mut shown: String = text.chars().take(SHOWN_MAX).collect();
        if shown.len() < text.len() || text.len() < whole {
            let _ = write!(shown, "… ({whole} {unit})");
        }
        shown
    };
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => format!("{number:?}"),
        Value::Text(bytes, _) => match value.text() {
            Some(text) => format!("'{}'", short(&text, text.len(), "bytes")),
            None => format!("text that is none, {}", hexadecimal(bytes.get(..SHOWN_MAX).unwrap_or(bytes))),
        },
        Value::Blob(bytes) if bytes.len() * 2 <= SHOWN_MAX => format!("x'{}'", hexadecimal(bytes)),
        Value::Blob(bytes) => format!("a BLOB of {} bytes", bytes.len()),
    }
}

impl Key<'_> {
    /// The key as a person writes it: parts are joined by a comma.
    pub fn in_words(&self) -> String {
        match self {
            Key::Rowid(number) => number.to_string(),
            Key::Name(name) => (*name).to_owned(),
            Key::Values(values) => {
                let plain = |value: &Value<'_>| match value {
                    Value::Text(..) => value.text().map_or_else(|| value_in_words(value), |text| text.into_owned()),
                    Value::Blob(bytes) => format!("x'{}'", hexadecimal(bytes)),
                    value => value_in_words(value),
                };
                values.iter().map(plain).collect::<Vec<_>>().join(", ")
            }
        }
    }
}
