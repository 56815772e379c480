//! The new data file: tables first, as their statements make them, then records, then indexes, views and triggers.
//!
//! Every statement was taken from a damaged file. One that makes a table was read by [`Definition`] before, which runs
//! nothing; the others are stored by SQLite, and a trigger comes when no record is written any more. Nothing else of
//! the file is run but what indexes and generated columns compute, with the limits of a check.

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
};

use rusqlite::{
    Connection, ErrorCode, OptionalExtension, ToSql, config::DbConfig, limits::Limit, params_from_iter,
    types::ToSqlOutput, types::ValueRef,
};

use super::head::Header;
use crate::{
    as_of::query::quoted,
    control::Control,
    error::{Error, Result},
    records::{
        definition::Definition,
        page::Encoding,
        record::Value,
        schema::{Object, ObjectKind},
    },
    sqlite::bound_values,
};

/// SQLite asks so often whether it is to go on, in steps of its own.
const STEPS: i32 = 10_000;

/// The new file.
pub(super) struct Target {
    conn: Connection,
    path: PathBuf,
    /// Tables that get their own statement at the end, by their names.
    kept: RefCell<Vec<(String, String)>>,
}

/// A table of it that takes records.
pub(super) struct Made {
    insert: String,
    /// The columns that are written, by their place in the definition.
    columns: Vec<usize>,
    /// Whether the rowid comes before them.
    with_rowid: bool,
    /// Why it is not as its statement says.
    pub(super) problem: Option<String>,
}

/// A value as SQLite takes it.
struct Bound<'a>(&'a Value<'a>);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            Value::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Value::Integer(number) => ToSqlOutput::Borrowed(ValueRef::Integer(*number)),
            Value::Real(number) => ToSqlOutput::Borrowed(ValueRef::Real(*number)),
            Value::Blob(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
            // As it stands, also where it is no text in its form.
            Value::Text(bytes, Encoding::Utf8) => ToSqlOutput::Borrowed(ValueRef::Text(bytes)),
            Value::Text(bytes, encoding) => ToSqlOutput::from(from_utf16(bytes, *encoding)),
        })
    }
}

fn from_utf16(bytes: &[u8], encoding: Encoding) -> String {
    let unit = |pair: &[u8]| {
        let two = [pair.first().copied().unwrap_or_default(), pair.get(1).copied().unwrap_or_default()];
        if encoding == Encoding::Utf16Be { u16::from_be_bytes(two) } else { u16::from_le_bytes(two) }
    };
    let units: Vec<u16> = bytes.chunks_exact(2).map(unit).collect();
    String::from_utf16_lossy(&units)
}

impl Target {
    /// Makes the file at `path`, which is there and empty.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn new(path: &Path, header: &Header, control: &std::sync::Arc<Control>) -> Result<Self> {
        let fail = |e| Error::sqlite("write to", path, e);
        let mut conn = Connection::open(path).map_err(fail)?;
        for (option, on) in [
            (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
            (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
            (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
            (DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false),
            (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, false),
            // Names in double quotes were text where the application had it so.
            (DbConfig::SQLITE_DBCONFIG_DQS_DDL, true),
        ] {
            conn.set_db_config(option, on).map_err(fail)?;
        }
        conn.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0).map_err(fail)?;
        bound_values(&conn).map_err(fail)?;
        // A record of the file may be as long as SQLite has them.
        conn.set_limit(Limit::SQLITE_LIMIT_LENGTH, 1_000_000_000).map_err(fail)?;
        let stop = std::sync::Arc::clone(control);
        conn.progress_handler(STEPS, Some(move || stop.is_stopped())).map_err(fail)?;
        let encoding = match header.head.encoding {
            Encoding::Utf8 => "UTF-8",
            Encoding::Utf16Le => "UTF-16le",
            Encoding::Utf16Be => "UTF-16be",
        };
        // It is whole, and on the disk, before it gets its name.
        conn.execute_batch(&format!(
            "PRAGMA page_size={}; PRAGMA encoding='{encoding}'; PRAGMA auto_vacuum={}; PRAGMA journal_mode=MEMORY; \
             PRAGMA synchronous=FULL; PRAGMA ignore_check_constraints=ON; BEGIN; PRAGMA user_version={}; \
             PRAGMA application_id={}; PRAGMA writable_schema=ON",
            header.head.page_size, header.auto_vacuum, header.user_version, header.application_id
        ))
        .map_err(fail)?;
        Ok(Self { conn, path: path.to_path_buf(), kept: RefCell::default() })
    }

    pub(super) fn fail(&self, error: rusqlite::Error) -> Error {
        Error::sqlite("write to", &self.path, error)
    }

    /// Runs a statement of the schema, one alone; the inner error is what SQLite does not understand of it.
    fn define(&self, sql: &str) -> Result<std::result::Result<(), String>> {
        let run = || {
            let mut statement = self.conn.prepare(sql)?;
            statement.raw_execute().map(|_| ())
        };
        match run() {
            Ok(()) => Ok(Ok(())),
            Err(error) if is_fatal(&error) => Err(self.fail(error)),
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    /// Makes a table. Where its own statement cannot be run here, as with a function that only the application has, one
    /// whose records lie the same: where it `has_no_index` by itself, it gets its statement at the end, else it has its
    /// columns alone.
    ///
    /// # Errors
    /// Those of the disk; the inner one where no table could be made.
    pub(super) fn make(
        &self,
        object: &Object,
        definition: &Definition,
        has_no_index: bool,
    ) -> Result<std::result::Result<Made, String>> {
        let is_sequence = object.name.eq_ignore_ascii_case("sqlite_sequence");
        let made = match is_sequence && self.has(&object.name)? {
            true => Ok(()),
            false => self.define(object.sql.as_deref().unwrap_or_default())?,
        };
        let made = match made {
            Ok(()) => self.prepared(object, definition, None)?,
            Err(why) => Err(why),
        };
        let why = match made {
            Ok(made) => return Ok(Ok(made)),
            Err(why) => why,
        };
        // It may have been made, and cannot be written.
        let _ = self.define(&format!("DROP TABLE IF EXISTS main.{}", quoted(&object.name)))?;
        let keeps = has_no_index && !definition.is_without_rowid();
        Ok(match self.define(&plain(&object.name, definition))? {
            Ok(()) if keeps => {
                self.kept.borrow_mut().push((object.name.clone(), object.sql.clone().unwrap_or_default()));
                self.prepared(object, definition, None)?
            }
            Ok(()) => self.prepared(object, definition, Some(why))?,
            Err(_) => Err(why),
        })
    }

    /// Whether something has this name.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn has(&self, name: &str) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name=?1 COLLATE NOCASE)";
        self.conn.query_row(sql, [name], |row| row.get(0)).map_err(|e| self.fail(e))
    }

    fn prepared(
        &self,
        object: &Object,
        definition: &Definition,
        problem: Option<String>,
    ) -> Result<std::result::Result<Made, String>> {
        let hidden = |name: &str| {
            let sql = "SELECT hidden FROM pragma_table_xinfo(?1) WHERE name=?2 COLLATE NOCASE";
            self.conn.query_row(sql, [object.name.as_str(), name], |row| row.get::<_, i64>(0)).optional()
        };
        let mut columns = Vec::new();
        for (index, column) in definition.columns.iter().enumerate() {
            match hidden(&column.name).map_err(|e| self.fail(e))? {
                Some(0) => columns.push(index),
                Some(_) => {}
                None if column.is_virtual => {}
                None => return Ok(Err("the statement in the schema makes another table".to_owned())),
            }
        }
        let name = |column: &usize| definition.columns.get(*column).map(|column| quoted(&column.name));
        let mut names: Vec<String> = columns.iter().filter_map(name).collect();
        let is_free = |word: &&&str| definition.columns.iter().all(|column| !column.name.eq_ignore_ascii_case(word));
        let rowid = ["rowid", "_rowid_", "oid"].iter().find(is_free);
        let own = definition.rowid.is_none() && !definition.is_without_rowid();
        let rowid = rowid.filter(|_| own);
        if let Some(rowid) = rowid {
            names.insert(0, (*rowid).to_owned());
        }
        let marks = vec!["?"; names.len()].join(", ");
        let insert = format!("INSERT INTO main.{}({}) VALUES({marks})", quoted(&object.name), names.join(", "));
        match self.conn.prepare_cached(&insert) {
            Ok(_) => Ok(Ok(Made { insert, columns, with_rowid: rowid.is_some(), problem })),
            Err(error) if is_fatal(&error) => Err(self.fail(error)),
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    /// Writes a record; the inner error is why the table does not take it.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn insert(
        &self,
        made: &Made,
        rowid: i64,
        row: &[Value<'_>],
    ) -> Result<std::result::Result<(), &'static str>> {
        let id = Value::Integer(rowid);
        let mut values: Vec<Bound<'_>> = Vec::with_capacity(row.len() + 1);
        if made.with_rowid {
            values.push(Bound(&id));
        }
        values.extend(made.columns.iter().map(|column| Bound(row.get(*column).unwrap_or(&Value::Null))));
        self.run(&made.insert, values)
    }

    fn run(&self, sql: &str, values: Vec<Bound<'_>>) -> Result<std::result::Result<(), &'static str>> {
        let run = || self.conn.prepare_cached(sql)?.execute(params_from_iter(values));
        match run() {
            Ok(_) => Ok(Ok(())),
            Err(error) if is_fatal(&error) => Err(self.fail(error)),
            Err(error) => Ok(Err(refusal(&error))),
        }
    }

    /// Runs a statement of this program.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<usize> {
        let run = || self.conn.prepare_cached(sql)?.execute(params_from_iter(values.iter().map(Bound)));
        run().map_err(|e| self.fail(e))
    }

    /// Makes an index, a view, a trigger or a virtual table; the inner error is why that could not be.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn make_other(&self, object: &Object) -> Result<std::result::Result<(), String>> {
        let sql = object.sql.as_deref().unwrap_or_default();
        let begins = |words: &str| sql.get(..words.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(words));
        match object.kind {
            // What it keeps lies in tables of its own, which are there already.
            ObjectKind::Table if begins("CREATE VIRTUAL TABLE") => {
                // What SQLite could not read would make it read nothing of the file any more.
                if let Err(error) = parse(&object.name, sql) {
                    return Ok(Err(error.to_string()));
                }
                let add =
                    "INSERT INTO sqlite_schema(type, name, tbl_name, rootpage, sql) VALUES('table', ?1, ?1, 0, ?2)";
                let done = self.conn.execute(add, [object.name.as_str(), sql]);
                done.map_err(|e| self.fail(e)).map(|_| Ok(()))
            }
            ObjectKind::Index if begins("CREATE INDEX") || begins("CREATE UNIQUE INDEX") => self.define(sql),
            ObjectKind::View if begins("CREATE VIEW") => self.define(sql),
            ObjectKind::Trigger if begins("CREATE TRIGGER") => self.define(sql),
            _ => Ok(Err(format!("the statement in the schema makes no {}", object.kind.label()))),
        }
    }

    /// Writes all of it to the disk.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn finish(self) -> Result<()> {
        let fail = |e| Error::sqlite("write to", &self.path, e);
        for (name, sql) in self.kept.borrow().iter() {
            self.conn
                .execute("UPDATE sqlite_schema SET sql=?2 WHERE type='table' AND name=?1", [name, sql])
                .map_err(fail)?;
        }
        self.conn.execute_batch("PRAGMA writable_schema=OFF; COMMIT").map_err(fail)?;
        self.conn.flush_prepared_statement_cache();
        let path = self.path;
        self.conn.close().map_err(|(_, e)| Error::sqlite("write to", &path, e))
    }
}

/// Has SQLite read a statement in the schema of a database that holds nothing else.
fn parse(name: &str, sql: &str) -> rusqlite::Result<()> {
    let conn = Connection::open_in_memory()?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    conn.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    conn.execute_batch("CREATE TABLE strongroom_place(a); PRAGMA writable_schema=ON")?;
    let add = "INSERT INTO sqlite_schema(type, name, tbl_name, rootpage, sql) VALUES('table', ?1, ?1, 0, ?2)";
    conn.execute(add, [name, sql])?;
    conn.execute_batch("PRAGMA writable_schema=OFF; PRAGMA writable_schema=RESET")?;
    conn.query_row("SELECT count(*) FROM strongroom_place", [], |_| Ok(()))
}

/// A table whose records have these values, with nothing that has to be computed.
fn plain(name: &str, definition: &Definition) -> String {
    let rowid = definition.rowid;
    let mut parts: Vec<String> = Vec::new();
    for (index, column) in definition.columns.iter().enumerate().filter(|(_, column)| !column.is_virtual) {
        let is_rowid = rowid == Some(index);
        let affinity = crate::records::definition::affinity_of(&column.declared, false);
        parts.push(match is_rowid {
            true => format!("{} INTEGER PRIMARY KEY", quoted(&column.name)),
            false => format!("{} {affinity}", quoted(&column.name)).trim_end().to_owned(),
        });
    }
    let mut end = "";
    if let Some(key) = &definition.key {
        let name = |part: &crate::records::definition::KeyPart| definition.columns.get(part.column);
        let names: Vec<String> = key.iter().filter_map(name).map(|column| quoted(&column.name)).collect();
        parts.push(format!("PRIMARY KEY({})", names.join(", ")));
        end = " WITHOUT ROWID";
    }
    format!("CREATE TABLE {}({}){end}", quoted(name), parts.join(", "))
}

/// Whether a failure is one of the disk, of memory, or of whoever stopped it, and not of one statement or record.
fn is_fatal(error: &rusqlite::Error) -> bool {
    use ErrorCode as C;
    match error.sqlite_error_code() {
        Some(
            C::ConstraintViolation | C::TypeMismatch | C::TooBig | C::Unknown | C::AuthorizationForStatementDenied,
        ) => false,
        Some(_) => true,
        // Such as more than one statement in a text.
        None => false,
    }
}

/// Why a table does not take a record.
fn refusal(error: &rusqlite::Error) -> &'static str {
    use rusqlite::ffi;
    match error.sqlite_error().map(|error| error.extended_code) {
        Some(ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID) => "its key is there already",
        Some(ffi::SQLITE_CONSTRAINT_UNIQUE) => "what must be unique in it is there already",
        Some(ffi::SQLITE_CONSTRAINT_NOTNULL) => "a value that must be there is lost",
        Some(ffi::SQLITE_CONSTRAINT_DATATYPE) => "a value of it is of another type",
        Some(ffi::SQLITE_TOOBIG) => "it is longer than SQLite allows",
        _ => "the table does not take it",
    }
}
