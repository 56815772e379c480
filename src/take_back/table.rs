//! The tables of the live data file as they are now: columns, keys, what must be unique, foreign keys, triggers.

use rusqlite::types::ValueRef;
use serde::{Deserialize, Serialize};

use super::value::{Bytes, Datum, Real, name};
use crate::records::page::Encoding;

/// A column that has values of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it is in records that were made before it.
    pub default: Datum,
}

static NO_COLUMN: Column = Column { name: String::new(), default: Datum::Null };

/// A part of the key of a table without rowid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyPart {
    /// The column, by its place.
    pub column: usize,
    /// How texts are compared.
    pub collation: String,
}

/// Columns of which no two records may have the same values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unique {
    /// The index.
    pub index: String,
    /// Its columns, by their places, with how texts are compared. `None` where it is of an expression,
    /// or of some records only.
    pub columns: Option<Vec<KeyPart>>,
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foreign {
    /// The table that refers.
    pub child: String,
    /// Its columns.
    pub child_columns: Vec<String>,
    /// The table referred to.
    pub parent: String,
    /// Its columns.
    pub parent_columns: Vec<String>,
}

/// What is to be done with the triggers of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Triggers {
    /// There are none.
    None,
    /// They stay off: what they wrote then stands in the log as operations of their own.
    Off(Vec<String>),
    /// They are on: they keep a virtual table, such as a full-text index, whose own records are not taken back.
    On(Vec<String>),
    /// They do both, so that neither is right.
    Both(Vec<String>),
    /// What they do cannot be told, and why.
    Unknown(Vec<String>, String),
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its columns, without those that are computed.
    pub columns: Vec<Column>,
    /// The names of those that are.
    pub computed: Vec<String>,
    /// The name by which its rowid is known; `None` of a table without rowid.
    pub rowid: Option<String>,
    /// Which column is the rowid, if one is.
    pub rowid_column: Option<usize>,
    /// Of a table without rowid: its key.
    pub key: Vec<KeyPart>,
    /// What must be unique besides.
    pub uniques: Vec<Unique>,
    /// What it refers to.
    pub parents: Vec<Foreign>,
    /// What refers to it.
    pub children: Vec<Foreign>,
    /// Its triggers.
    pub triggers: Triggers,
}

impl Table {
    /// The column at this place.
    pub(super) fn column(&self, place: usize) -> &Column {
        self.columns.get(place).unwrap_or(&NO_COLUMN)
    }

    /// The place of a column.
    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// Whether its triggers are fired.
    pub(super) fn fires(&self) -> bool {
        matches!(self.triggers, Triggers::On(_))
    }

    /// The key of a record.
    pub(super) fn key_of(&self, row: &[Datum], known: &[Datum]) -> Vec<Datum> {
        match &self.rowid {
            Some(_) => known.to_vec(),
            None => self.key.iter().map(|part| row.get(part.column).cloned().unwrap_or(Datum::Null)).collect(),
        }
    }

    /// Whether one of these columns is among those of which no two records may have the same.
    pub(super) fn is_unique(&self, columns: &[usize]) -> bool {
        let has = |parts: &[KeyPart]| parts.iter().any(|part| columns.contains(&part.column));
        has(&self.key) || self.uniques.iter().any(|unique| unique.columns.as_ref().is_none_or(|parts| has(parts)))
    }

    /// The columns, as a query asks for them so that nothing of them is lost.
    pub(super) fn all_columns(&self, form: Encoding) -> String {
        let one = |column: &Column| {
            let name = name(&column.name);
            match form {
                Encoding::Utf8 => name,
                // Its own bytes: SQLite would turn it into another form.
                _ => format!(
                    "typeof({name})='text', CASE typeof({name}) WHEN 'text' THEN CAST({name} AS BLOB) ELSE {name} END"
                ),
            }
        };
        self.columns.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    /// The values that a query for [`Self::all_columns`] yields from this column of its own on.
    pub(super) fn read_row(
        &self,
        row: &rusqlite::Row<'_>,
        from: usize,
        form: Encoding,
    ) -> rusqlite::Result<Vec<Datum>> {
        let one = |place: usize| {
            if form == Encoding::Utf8 {
                return Ok(datum(row.get_ref(from + place)?));
            }
            let is_text: bool = row.get(from + 2 * place)?;
            Ok(match datum(row.get_ref(from + 2 * place + 1)?) {
                Datum::Blob(bytes) if is_text => Datum::Text(bytes),
                datum => datum,
            })
        };
        (0..self.columns.len()).map(one).collect()
    }
}

pub(super) fn datum(value: ValueRef<'_>) -> Datum {
    match value {
        ValueRef::Null => Datum::Null,
        ValueRef::Integer(number) => Datum::Integer(number),
        ValueRef::Real(number) => Datum::Real(Real::of(number)),
        ValueRef::Text(text) => Datum::Text(Bytes(text.to_vec())),
        ValueRef::Blob(bytes) => Datum::Blob(Bytes(bytes.to_vec())),
    }
}
