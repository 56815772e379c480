//! The records of a statement in a file: lines of comma-separated values, a workbook, or a table of a data file of
//! their own.

use std::{
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use rusqlite::{Connection, ToSql, types::ToSqlOutput, types::ValueRef};

use super::query::{Sink, quoted};
use crate::{
    error::{Error, ErrorKind, Result},
    records::{
        operation::hexadecimal,
        record::Value,
        workbook::{self, Book, Cell},
    },
    sqlite::integrity::holds_only,
    storage::{
        self, Disk, Ownership, Storage as _,
        scratch::{Scratch, remove_leftovers},
    },
};

/// The table that a data file of its own gets.
pub const TABLE: &str = "result";

/// What a file holds, by the end of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Comma-separated values.
    Csv,
    /// A data file of SQLite.
    Sqlite,
    /// A workbook.
    Xlsx,
}

impl Form {
    /// Of a file with this name.
    ///
    /// # Errors
    /// `Refused` for another name.
    pub fn of(path: &Path) -> Result<Self> {
        let end = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        match end.as_str() {
            "csv" => Ok(Form::Csv),
            workbook::EXTENSION => Ok(Form::Xlsx),
            "sqlite" | "sqlite3" | "db" | "db3" => Ok(Form::Sqlite),
            _ => Err(Error::new(ErrorKind::Refused, format!("{} says not what it is to hold", path.display()))
                .hint("End its name with .csv, .xlsx, or with .sqlite for a data file of its own.")),
        }
    }
}

/// What an application works with is never replaced by what a statement read, whatever it is called.
fn refuse_data_file(path: &Path) -> Result<()> {
    if path.symlink_metadata().is_err() || holds_only(path, TABLE) {
        return Ok(());
    }
    let message = format!("{} is not what a statement was saved to before, and is not replaced", path.display());
    Err(Error::new(ErrorKind::Refused, message)
        .hint(format!("Only a data file that holds the table {TABLE} and no other is. Save to another file.")))
}

/// What was saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// How many records.
    pub records: u64,
    /// What whoever opens it has to know, as whole sentences.
    pub remarks: Vec<String>,
}

/// Writes what `fill` gives to a new file at `path`: all of it, or nothing. One that is there is replaced only when
/// `replaces`.
///
/// # Errors
/// `Exists`; what `fill` says; those of the disk.
pub fn save(path: &Path, replaces: bool, fill: &mut dyn FnMut(&mut dyn Sink) -> Result<u64>) -> Result<Done> {
    let form = Form::of(path)?;
    if !replaces {
        storage::refuse_existing(path)?;
    }
    if replaces && form == Form::Sqlite {
        refuse_data_file(path)?;
    }
    let folder = storage::folder_of(path);
    remove_leftovers(folder);
    let scratch = Scratch::new(folder)?;
    let name = Path::new(TABLE);
    let made = scratch.path().join(name);
    let mut remarks = Vec::new();
    let records = match form {
        Form::Csv => {
            let file = scratch.folder().create(name, Ownership::default())?;
            let mut sink = Csv::new(BufWriter::new(file), &made);
            let records = fill(&mut sink)?;
            let file = sink.out.into_inner().map_err(|e| Error::io("write to", path, e.into_error()))?;
            file.sync_all().map_err(|e| Error::io("sync", path, e))?;
            records
        }
        Form::Sqlite => {
            let mut sink = DataFile::new(&made)?;
            let records = fill(&mut sink)?;
            sink.finish()?;
            records
        }
        Form::Xlsx => {
            let file = scratch.folder().create(name, Ownership::default())?;
            let mut sink = Sheets { folder: scratch.path().to_path_buf(), path, book: None };
            let records = fill(&mut sink)?;
            if let Some(book) = sink.book {
                remarks = book.finish(file)?.remarks();
            }
            records
        }
    };
    give_name(&made, path, replaces)?;
    Ok(Done { records, remarks })
}

/// Gives a finished file its name; one that is there is replaced only when `replaces`.
///
/// # Errors
/// `Exists`; those of the disk.
pub fn give_name(made: &Path, path: &Path, replaces: bool) -> Result<()> {
    match replaces && path.symlink_metadata().is_ok() {
        true => {
            std::fs::rename(made, path).map_err(|e| Error::io("replace", path, e))?;
            Disk.sync_folder(storage::folder_of(path))
        }
        false => storage::publish(&Disk, made, path),
    }
}

/// The sheets of a workbook.
struct Sheets<'a> {
    folder: PathBuf,
    path: &'a Path,
    book: Option<Book>,
}

impl Sink for Sheets<'_> {
    fn columns(&mut self, names: &[String]) -> Result<()> {
        self.book = Some(Book::new(&self.folder, self.path, "Records", names)?);
        Ok(())
    }

    fn record(&mut self, values: &[Value<'_>]) -> Result<bool> {
        let cells: Vec<Cell<'_>> = values.iter().map(Cell::from).collect();
        self.book.as_mut().map_or(Ok(()), |book| book.record(&cells))?;
        Ok(true)
    }
}

/// Lines of comma-separated values: NULL is nothing, text without letters is `""`, a BLOB is `x'…'`.
#[derive(Debug)]
pub struct Csv<'a, W: Write> {
    out: W,
    path: &'a Path,
}

impl<'a, W: Write> Csv<'a, W> {
    /// Into `out`, which messages call `path`.
    pub fn new(out: W, path: &'a Path) -> Self {
        Self { out, path }
    }

    fn line(&mut self, fields: impl Iterator<Item = String>) -> Result<()> {
        let mut line = fields.collect::<Vec<_>>().join(",");
        line.push_str("\r\n");
        self.out.write_all(line.as_bytes()).map_err(|e| Error::io("write to", self.path, e))
    }
}

/// One field, in quotes where it needs them.
pub fn field(text: &str) -> String {
    let needs = text.is_empty() || text.contains([',', '"', '\n', '\r']) || text.trim() != text;
    if needs { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

/// A value as a field.
pub fn csv_value(value: &Value<'_>) -> String {
    match value {
        Value::Null => String::new(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => format!("{number:?}"),
        Value::Text(bytes, _) => {
            value.text().map_or_else(|| field(&String::from_utf8_lossy(bytes)), |text| field(&text))
        }
        Value::Blob(bytes) => format!("x'{}'", hexadecimal(bytes)),
    }
}

impl<W: Write> Sink for Csv<'_, W> {
    fn columns(&mut self, names: &[String]) -> Result<()> {
        self.line(names.iter().map(|name| field(name)))
    }

    fn record(&mut self, values: &[Value<'_>]) -> Result<bool> {
        self.line(values.iter().map(csv_value))?;
        Ok(true)
    }
}

/// A table in a data file of its own.
#[derive(Debug)]
struct DataFile<'a> {
    conn: Connection,
    path: &'a Path,
    insert: String,
}

struct Stored<'a>(&'a Value<'a>);

impl ToSql for Stored<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => ValueRef::Null,
            Value::Integer(number) => ValueRef::Integer(*number),
            Value::Real(number) => ValueRef::Real(*number),
            Value::Text(bytes, _) => ValueRef::Text(bytes),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl<'a> DataFile<'a> {
    fn new(path: &'a Path) -> Result<Self> {
        let fail = |e| Error::sqlite("write to", path, e);
        let conn = Connection::open(path).map_err(fail)?;
        // It is whole, and on the disk, before it gets its name.
        conn.execute_batch("PRAGMA journal_mode=OFF; PRAGMA synchronous=FULL; BEGIN").map_err(fail)?;
        Ok(Self { conn, path, insert: String::new() })
    }

    fn finish(self) -> Result<()> {
        let fail = |e| Error::sqlite("write to", self.path, e);
        self.conn.execute_batch("COMMIT").map_err(fail)?;
        self.conn.close().map_err(|(_, e)| fail(e))
    }
}

impl Sink for DataFile<'_> {
    fn columns(&mut self, names: &[String]) -> Result<()> {
        let fail = |e| Error::sqlite("write to", self.path, e);
        let columns: Vec<String> = distinct(names).iter().map(|name| quoted(name)).collect();
        self.conn.execute_batch(&format!("CREATE TABLE {TABLE}({})", columns.join(", "))).map_err(fail)?;
        let marks = vec!["?"; names.len()].join(", ");
        self.insert = format!("INSERT INTO {TABLE} VALUES({marks})");
        Ok(())
    }

    fn record(&mut self, values: &[Value<'_>]) -> Result<bool> {
        let fail = |e| Error::sqlite("write to", self.path, e);
        let mut statement = self.conn.prepare_cached(&self.insert).map_err(fail)?;
        statement.execute(rusqlite::params_from_iter(values.iter().map(Stored))).map_err(fail)?;
        Ok(true)
    }
}

/// Names of columns of which none is there twice, also not in other letters.
pub fn distinct(names: &[String]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for name in names {
        let is_there = |wanted: &str| found.iter().any(|known| known.eq_ignore_ascii_case(wanted));
        let numbered = || (2..).map(|n| format!("{name}:{n}")).find(|name| !is_there(name));
        let own = if is_there(name) { numbered().unwrap_or_default() } else { name.clone() };
        found.push(own);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::page::Encoding;

    #[test]
    fn columns_get_names_of_their_own() {
        let names = ["a", "A", "b", "a", "a:2"].map(str::to_owned);
        assert_eq!(distinct(&names), ["a", "A:2", "b", "a:3", "a:2:2"]);
    }

    #[test]
    fn fields_are_told_apart() {
        let text = |text: &'static str| csv_value(&Value::Text(text.as_bytes(), Encoding::Utf8));
        assert_eq!(csv_value(&Value::Null), "");
        assert_eq!([text(""), text("a"), text(" a"), text("a\"b,c")], ["\"\"", "a", "\" a\"", "\"a\"\"b,c\""]);
        assert_eq!(csv_value(&Value::Blob(&[1, 255])), "x'01ff'");
        assert_eq!(csv_value(&Value::Real(2.0)), "2.0");
    }
}
