//! What tables there are in a state, and what their records are known by.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::{query::quoted, state::Looked};
use crate::{error::Result, records::page::Encoding};

/// What the records of a table are known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// The columns of its primary key.
    Key(Vec<String>),
    /// The rowid, under a name that no column has.
    Rowid(String),
    /// Nothing: records are counted, each with all its values.
    Nothing,
}

/// A table of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Its name.
    pub name: String,
    /// Its columns, also computed ones.
    pub columns: Vec<String>,
    /// What its records are known by.
    pub by: By,
}

/// What the schema says of a state.
#[derive(Debug, Clone, Default)]
pub struct Schema {
    /// Tables by their names in small letters.
    pub tables: BTreeMap<String, Shape>,
    /// Kind, name and statement of everything that was created.
    pub objects: BTreeMap<(String, String), String>,
    /// How text is stored.
    pub encoding: Encoding,
}

impl Schema {
    /// Reads it.
    ///
    /// # Errors
    /// What SQLite says; `Damaged` where pages cannot be read; `Stopped`.
    pub fn read(looked: &Looked) -> Result<Self> {
        read(looked.connection()).map_err(|error| looked.explain(&error))
    }
}

fn read(conn: &Connection) -> rusqlite::Result<Schema> {
    let encoding: String = conn.query_row("PRAGMA encoding", [], |row| row.get(0))?;
    let encoding = match encoding.as_str() {
        "UTF-16le" => Encoding::Utf16Le,
        "UTF-16be" => Encoding::Utf16Be,
        _ => Encoding::Utf8,
    };
    let mut schema = Schema { encoding, ..Schema::default() };
    let mut objects = conn.prepare(
        "SELECT type, name, coalesce(sql, '') FROM main.sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    )?;
    let mut rows = objects.query([])?;
    while let Some(row) = rows.next()? {
        schema.objects.insert((row.get(0)?, row.get(1)?), row.get(2)?);
    }
    let mut tables = conn.prepare(
        "SELECT name, type, wr FROM pragma_table_list WHERE schema='main' AND type IN ('table', 'virtual') \
         AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    )?;
    let found = tables.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?)))?;
    for (name, kind, without_rowid) in found.collect::<rusqlite::Result<Vec<(String, String, bool)>>>()? {
        let shape = shape(conn, name, kind == "virtual", without_rowid)?;
        schema.tables.insert(shape.name.to_ascii_lowercase(), shape);
    }
    Ok(schema)
}

fn shape(conn: &Connection, name: String, is_virtual: bool, without_rowid: bool) -> rusqlite::Result<Shape> {
    let mut info =
        conn.prepare("SELECT name, pk, \"notnull\" FROM pragma_table_xinfo(?1) WHERE hidden<>1 ORDER BY cid")?;
    let found = info.query_map([&name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let found: Vec<(String, u32, bool)> = found.collect::<rusqlite::Result<_>>()?;
    let mut key: Vec<&(String, u32, bool)> = found.iter().filter(|(_, place, _)| *place > 0).collect();
    key.sort_by_key(|(_, place, _)| *place);
    let columns: Vec<String> = found.iter().map(|(name, ..)| name.clone()).collect();
    let is_free = |word: &&&str| columns.iter().all(|column| !column.eq_ignore_ascii_case(word));
    let rowid = ["rowid", "_rowid_", "oid"].iter().find(is_free).map(|word| By::Rowid((*word).to_owned()));
    let names = || key.iter().map(|(name, ..)| name.clone()).collect::<Vec<String>>();
    let by = if is_virtual {
        By::Nothing
    } else if without_rowid || !key.is_empty() && !has_null(conn, &name, &names())? {
        By::Key(names())
    } else {
        rowid.unwrap_or(By::Nothing)
    };
    Ok(Shape { name, columns, by })
}

/// Whether a key has NULL in it, as SQLite allows in tables with rowids: then several records may have the same.
fn has_null(conn: &Connection, table: &str, key: &[String]) -> rusqlite::Result<bool> {
    let any: Vec<String> = key.iter().map(|column| format!("{} IS NULL", quoted(column))).collect();
    let ask = format!("SELECT EXISTS (SELECT 1 FROM main.{} WHERE {})", quoted(table), any.join(" OR "));
    conn.query_row(&ask, [], |row| row.get(0))
}

/// What the records of a table are known by in both states.
pub fn common(first: &Shape, second: &Shape) -> By {
    let same =
        |a: &[String], b: &[String]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.eq_ignore_ascii_case(b));
    match (&first.by, &second.by) {
        (By::Key(a), By::Key(b)) if same(a, b) => By::Key(a.clone()),
        (By::Rowid(name), By::Rowid(_)) if second.columns.iter().all(|column| !column.eq_ignore_ascii_case(name)) => {
            By::Rowid(name.clone())
        }
        _ => By::Nothing,
    }
}
