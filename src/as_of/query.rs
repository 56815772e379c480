//! A statement that reads, and its records.

use rusqlite::{Batch, fallible_iterator::FallibleIterator as _, types::ValueRef};
use serde::Serialize;

use super::state::{Looked, ONLY_READING};
use crate::{
    error::{Error, ErrorKind, Result},
    records::{page::Encoding, record::Value},
};

/// What takes the records of a statement.
pub trait Sink {
    /// The names of the columns, before any record.
    ///
    /// # Errors
    /// Where they cannot be written.
    fn columns(&mut self, names: &[String]) -> Result<()>;

    /// One record; false when nobody wants more.
    ///
    /// # Errors
    /// Where it cannot be written.
    fn record(&mut self, values: &[Value<'_>]) -> Result<bool>;
}

/// A table, as far as a list of them goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Table {
    /// Its name.
    pub table: String,
    /// How many columns it has.
    pub columns: i64,
    /// How many records; `None` where they cannot be counted.
    pub records: Option<i64>,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

fn refused(message: &str) -> Error {
    Error::new(ErrorKind::Refused, message)
}

/// Runs one statement, and gives its records to `sink`; returns how many there were.
///
/// # Errors
/// `Refused` for several statements, and for one that does more than read; what SQLite says of it; `Damaged` where
/// pages that it needs cannot be read; `Stopped`; what `sink` says.
pub fn run(looked: &Looked, sql: &str, sink: &mut dyn Sink) -> Result<u64> {
    let explain = |error: rusqlite::Error| looked.explain(&error);
    let mut batch = Batch::new(looked.connection(), sql);
    let Some(mut statement) = batch.next().map_err(explain)? else {
        return Err(
            refused("there is no statement").hint("Write one, as SELECT * FROM NAME. --tables lists the tables.")
        );
    };
    if batch.next().map_err(explain)?.is_some() {
        return Err(refused("there are several statements").hint("Give one at a time."));
    }
    if !statement.readonly() || statement.column_count() == 0 {
        return Err(refused("the statement does more than read this data file").hint(ONLY_READING));
    }
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let count = names.len();
    let (mut rows, mut records) = (statement.query([]).map_err(explain)?, 0);
    // Before the first record is there, nothing is shown.
    let mut next = rows.next().map_err(explain)?;
    sink.columns(&names)?;
    while let Some(row) = next {
        let mut values = Vec::with_capacity(count);
        for column in 0..count {
            values.push(value_of(row.get_ref(column).map_err(explain)?));
        }
        records += 1;
        if !sink.record(&values)? {
            break;
        }
        next = rows.next().map_err(explain)?;
    }
    Ok(records)
}

/// A value of SQLite.
pub(super) fn value_of(value: ValueRef<'_>) -> Value<'_> {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(bytes) => Value::Text(bytes, Encoding::Utf8),
        ValueRef::Blob(bytes) => Value::Blob(bytes),
    }
}

/// A name as a statement takes it.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The names of the tables with the number of their columns, those that SQLite keeps for itself left out.
///
/// # Errors
/// As [`run`].
pub fn names(looked: &Looked) -> Result<Vec<(String, i64)>> {
    let explain = |error: rusqlite::Error| looked.explain(&error);
    let conn = looked.connection();
    let list = "SELECT name, ncol FROM pragma_table_list WHERE schema='main' AND type IN ('table', 'virtual') \
                AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name COLLATE NOCASE, name";
    let mut statement = conn.prepare(list).map_err(explain)?;
    let found = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)));
    found.and_then(Iterator::collect).map_err(explain)
}

/// Lists the tables with the number of their records.
///
/// # Errors
/// As [`run`].
pub fn tables(looked: &Looked) -> Result<Vec<Table>> {
    let conn = looked.connection();
    let mut tables = Vec::new();
    for (table, columns) in names(looked)? {
        let count = format!("SELECT count(*) FROM main.{}", quoted(&table));
        let (records, problem) = match conn.query_row(&count, [], |row| row.get(0)) {
            Ok(records) => (Some(records), None),
            Err(error) => {
                let error = looked.explain(&error);
                // One that cannot be read says nothing of the others.
                if error.kind() == ErrorKind::Stopped {
                    return Err(error);
                }
                (None, Some(error.message().to_owned()))
            }
        };
        tables.push(Table { table, columns, records, problem });
    }
    Ok(tables)
}
