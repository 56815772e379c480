//! Statements that change one record each. What is shown and what is run are made by the same lines from the same
//! value.

use rusqlite::{
    ToSql,
    types::{ToSqlOutput, ValueRef},
};
use serde::{Deserialize, Serialize};

use super::{
    table::Table,
    value::{Datum, name},
};
use crate::records::page::Encoding;

/// What is done to a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// It goes.
    Delete,
    /// These columns, by their places in the table, get other values.
    Update(Vec<(usize, Datum)>),
    /// It comes, with these.
    Insert(Vec<(usize, Datum)>),
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// What it does.
    pub deed: Deed,
    /// The record: its rowid, or its key in a table without rowid.
    pub key: Vec<Datum>,
}

/// SQL being written: with its values in it, or with places for them.
pub(super) struct Sql<'a> {
    pub(super) text: String,
    values: Option<Vec<&'a Datum>>,
    form: Encoding,
}

impl<'a> Sql<'a> {
    /// With the values in it.
    pub(super) fn literal(form: Encoding) -> Self {
        Self { text: String::new(), values: None, form }
    }

    /// With places for them.
    pub(super) fn bound(form: Encoding) -> Self {
        Self { text: String::new(), values: Some(Vec::new()), form }
    }

    pub(super) fn put(&mut self, datum: &'a Datum) {
        match &mut self.values {
            None => self.text += &datum.literal(self.form),
            Some(values) => {
                // The bytes of a text are what counts, also where they are no text in their form.
                let is_cast = matches!(datum, Datum::Text(_)) && self.form != Encoding::Utf8;
                self.text += if is_cast { "CAST(? AS TEXT)" } else { "?" };
                values.push(datum);
            }
        }
    }

    /// The record of `table` with this key.
    pub(super) fn put_where(&mut self, table: &Table, key: &'a [Datum]) {
        self.text += " WHERE ";
        if let Some(rowid) = &table.rowid {
            self.text += rowid;
            self.text += "=";
            match key.first() {
                Some(one) => self.put(one),
                None => self.text += "NULL",
            }
            return;
        }
        for (at, (part, datum)) in table.key.iter().zip(key).enumerate() {
            self.text += if at > 0 { " AND " } else { "" };
            self.text += &name(&table.column(part.column).name);
            self.text += "=";
            self.put(datum);
            if !part.collation.eq_ignore_ascii_case("BINARY") {
                self.text += " COLLATE ";
                self.text += &name(&part.collation);
            }
        }
    }

    /// The values for the places.
    pub(super) fn values(&self) -> Vec<Bound<'a>> {
        let form = self.form;
        self.values.iter().flatten().map(|datum| Bound { datum, form }).collect()
    }
}

/// A value for a place.
pub(super) struct Bound<'a> {
    datum: &'a Datum,
    form: Encoding,
}

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.datum {
            Datum::Null => ValueRef::Null,
            Datum::Integer(number) => ValueRef::Integer(*number),
            Datum::Real(number) => ValueRef::Real(number.get()),
            Datum::Text(bytes) if self.form == Encoding::Utf8 => ValueRef::Text(&bytes.0),
            Datum::Text(bytes) | Datum::Blob(bytes) => ValueRef::Blob(&bytes.0),
        }))
    }
}

impl Statement {
    /// Writes it. A rule of the table for what is in the way (`ON CONFLICT REPLACE`) must not decide in silence.
    pub(super) fn write<'a>(&'a self, table: &Table, sql: &mut Sql<'a>) {
        let of = name(&table.name);
        match &self.deed {
            Deed::Delete => {
                sql.text += &format!("DELETE FROM {of}");
                sql.put_where(table, &self.key);
            }
            Deed::Update(values) => {
                sql.text += &format!("UPDATE OR ABORT {of} SET ");
                for (at, (column, datum)) in values.iter().enumerate() {
                    sql.text += if at > 0 { ", " } else { "" };
                    sql.text += &name(&table.column(*column).name);
                    sql.text += "=";
                    sql.put(datum);
                }
                sql.put_where(table, &self.key);
            }
            Deed::Insert(values) => {
                // One that has no name of its own for the rowid gets it all the same.
                let rowid = table.rowid.as_ref().filter(|_| table.rowid_column.is_none()).zip(self.key.first());
                let names = rowid.iter().map(|(name, _)| (*name).clone());
                let names = names.chain(values.iter().map(|(column, _)| name(&table.column(*column).name)));
                sql.text += &format!("INSERT OR ABORT INTO {of}({}) VALUES(", names.collect::<Vec<_>>().join(", "));
                let all = rowid.iter().map(|(_, datum)| *datum).chain(values.iter().map(|(_, datum)| datum));
                for (at, datum) in all.enumerate() {
                    sql.text += if at > 0 { ", " } else { "" };
                    sql.put(datum);
                }
                sql.text += ")";
            }
        }
    }

    /// The statement, whole, as any program may run it.
    pub fn in_sql(&self, table: &Table, form: Encoding) -> String {
        let mut sql = Sql::literal(form);
        self.write(table, &mut sql);
        sql.text
    }
}
