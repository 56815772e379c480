//! The live data file, read: its tables and records.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::{
    Connection, OptionalExtension,
    config::DbConfig,
    hooks::{AuthAction, AuthContext, Authorization},
};

use super::{
    statement::Sql,
    table::{Column, Foreign, KeyPart, Table, Triggers, Unique},
    value::{Datum, name},
};
use crate::records::{definition::Definition, page::Encoding, record::Collation};

/// The record with this key, if there is one.
pub(super) fn fetch(
    conn: &Connection,
    table: &Table,
    key: &[Datum],
    form: Encoding,
) -> rusqlite::Result<Option<Vec<Datum>>> {
    let mut sql = Sql::bound(form);
    sql.text = format!("SELECT {} FROM {}", table.all_columns(form), name(&table.name));
    sql.put_where(table, key);
    let mut asked = conn.prepare_cached(&sql.text)?;
    let mut rows = asked.query(rusqlite::params_from_iter(sql.values()))?;
    rows.next()?.map(|row| table.read_row(row, 0, form)).transpose()
}

/// Why records of a table cannot be written.
pub(super) type Unfit = String;

/// Reads how the table of this name is made now; the inner error where its records cannot be written.
pub(super) fn read(
    conn: &mut Connection,
    wanted: &str,
    form: Encoding,
) -> rusqlite::Result<std::result::Result<Table, Unfit>> {
    let found =
        "SELECT type, name, sql, rootpage FROM sqlite_schema WHERE name=?1 COLLATE NOCASE AND type IN('table','view')";
    type Found = (String, String, Option<String>, Option<i64>);
    let found: Option<Found> =
        conn.query_row(found, [wanted], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).optional()?;
    let Some((kind, own, sql, root)) = found else {
        return Ok(Err("there is no table of this name now: it was dropped, or renamed".to_owned()));
    };
    if kind == "view" {
        return Ok(Err("it is a view now".to_owned()));
    }
    if root.is_none_or(|root| root == 0) {
        return Ok(Err("it is a virtual table, whose records only its own module writes".to_owned()));
    }
    let definition = match Definition::read(&own, &sql.unwrap_or_default(), form) {
        Ok(definition) => definition,
        Err(why) => return Ok(Err(format!("its definition cannot be understood: {why}"))),
    };
    let hidden = hidden(conn, &own)?;
    let is_computed = |name: &str| hidden.iter().any(|(other, hidden)| other == name && *hidden != 0);
    let columns: Vec<Column> = definition
        .columns
        .iter()
        .filter(|column| !is_computed(&column.name))
        .map(|column| Column { name: column.name.clone(), default: Datum::from(&column.default) })
        .collect();
    let computed = definition.columns.iter().filter(|column| is_computed(&column.name));
    let computed: Vec<String> = computed.map(|column| column.name.clone()).collect();
    let named = |name: &str| columns.iter().position(|column| column.name == name);
    let place = |column: usize| definition.columns.get(column).and_then(|column| named(&column.name));
    let rowid_column = definition.rowid.and_then(place);
    let is_taken = |name: &&&str| definition.columns.iter().any(|column| column.name.eq_ignore_ascii_case(name));
    let rowid = match rowid_column.and_then(|at| columns.get(at)) {
        _ if definition.is_without_rowid() => None,
        Some(column) => Some(name(&column.name)),
        None => match ["rowid", "_rowid_", "oid"].iter().find(|name| !is_taken(name)) {
            Some(free) => Some((*free).to_owned()),
            None => return Ok(Err("its columns have all the names by which a rowid is known".to_owned())),
        },
    };
    let mut table = Table {
        name: own,
        columns,
        computed,
        rowid,
        rowid_column,
        key: Vec::new(),
        uniques: Vec::new(),
        parents: Vec::new(),
        children: Vec::new(),
        triggers: Triggers::None,
    };
    for part in definition.key.iter().flatten() {
        let column = definition.columns.get(part.column).and_then(|column| table.place(&column.name));
        let Some(column) = column else { return Ok(Err("its key is computed".to_owned())) };
        let collation = match part.collation {
            Collation::Binary => "BINARY",
            Collation::NoCase => "NOCASE",
            Collation::RTrim => "RTRIM",
            Collation::Unknown => {
                return Ok(Err("its key is compared in a way that only the application has".to_owned()));
            }
        };
        table.key.push(KeyPart { column, collation: collation.to_owned() });
    }
    table.uniques = uniques(conn, &table)?;
    table.parents = foreign_keys(conn, "m.name=?1 COLLATE NOCASE", &table.name)?;
    table.children = foreign_keys(conn, "f.\"table\"=?1 COLLATE NOCASE", &table.name)?;
    table.triggers = triggers(conn, &table)?;
    Ok(Ok(table))
}

/// The columns of a table, with SQLite's number for those that are computed.
fn hidden(conn: &Connection, table: &str) -> rusqlite::Result<Vec<(String, i64)>> {
    let mut asked = conn.prepare("SELECT name, hidden FROM pragma_table_xinfo(?1)")?;
    asked.query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

fn uniques(conn: &Connection, table: &Table) -> rusqlite::Result<Vec<Unique>> {
    let mut listed = conn.prepare(
        "SELECT name, partial FROM pragma_index_list(?1) WHERE \"unique\" AND (origin<>'pk' OR ?2) ORDER BY name",
    )?;
    let found = listed.query_map((&table.name, table.rowid.is_some()), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut uniques = Vec::new();
    for (index, is_partial) in found.collect::<rusqlite::Result<Vec<(String, bool)>>>()? {
        let mut asked = conn.prepare("SELECT name, coll FROM pragma_index_xinfo(?1) WHERE key ORDER BY seqno")?;
        let mut rows = asked.query([&index])?;
        let mut columns = (!is_partial).then(Vec::new);
        while let Some(row) = rows.next()? {
            let (column, collation): (Option<String>, Option<String>) = (row.get(0)?, row.get(1)?);
            match (column.and_then(|name| table.place(&name)), &mut columns) {
                (Some(column), Some(parts)) => {
                    parts.push(KeyPart { column, collation: collation.unwrap_or_else(|| "BINARY".to_owned()) });
                }
                _ => columns = None,
            }
        }
        uniques.push(Unique { index, columns });
    }
    Ok(uniques)
}

fn foreign_keys(conn: &Connection, of: &str, table: &str) -> rusqlite::Result<Vec<Foreign>> {
    let sql = format!(
        "SELECT m.name, f.id, f.\"table\", f.\"from\", f.\"to\" FROM sqlite_schema m, \
         pragma_foreign_key_list(m.name) f WHERE m.type='table' AND {of} ORDER BY m.name, f.id, f.seq"
    );
    let mut asked = conn.prepare(&sql)?;
    let mut rows = asked.query([table])?;
    let mut all: Vec<Foreign> = Vec::new();
    let mut last: Option<(String, i64)> = None;
    while let Some(row) = rows.next()? {
        let (child, id, parent): (String, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (from, to): (String, Option<String>) = (row.get(3)?, row.get(4)?);
        let is_same = last.as_ref().is_some_and(|(name, of)| *name == child && *of == id);
        if !is_same {
            last = Some((child.clone(), id));
            all.push(Foreign { child, child_columns: Vec::new(), parent, parent_columns: Vec::new() });
        }
        if let Some(foreign) = all.last_mut() {
            foreign.child_columns.push(from);
            foreign.parent_columns.extend(to);
        }
    }
    for foreign in all.iter_mut().filter(|foreign| foreign.parent_columns.is_empty()) {
        let mut asked = conn.prepare("SELECT name FROM pragma_table_info(?1) WHERE pk>0 ORDER BY pk")?;
        let names = asked.query_map([&foreign.parent], |row| row.get::<_, String>(0))?;
        foreign.parent_columns = names.collect::<rusqlite::Result<_>>()?;
    }
    // What does not fit together is no key, for SQLite neither.
    all.retain(|foreign| foreign.child_columns.len() == foreign.parent_columns.len());
    Ok(all)
}

fn trigger_names(conn: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT name FROM sqlite_schema WHERE type='trigger' AND tbl_name=?1 COLLATE NOCASE ORDER BY name";
    let mut asked = conn.prepare(sql)?;
    asked.query_map([table], |row| row.get(0))?.collect()
}

/// What the triggers of a table write, asked of SQLite: it names each table as it prepares a statement that fires them.
fn triggers(conn: &mut Connection, table: &Table) -> rusqlite::Result<Triggers> {
    let names = trigger_names(conn, &table.name)?;
    if names.is_empty() {
        return Ok(Triggers::None);
    }
    let written: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let noted = Arc::clone(&written);
    let heard = move |context: AuthContext<'_>| {
        if let (
            Some(_),
            AuthAction::Insert { table_name }
            | AuthAction::Update { table_name, .. }
            | AuthAction::Delete { table_name },
        ) = (context.accessor, context.action)
        {
            noted.lock().unwrap_or_else(PoisonError::into_inner).insert(table_name.to_owned());
        }
        Authorization::Allow
    };
    let of = name(&table.name);
    let sets = table.columns.iter().map(|column| format!("{0}={0}", name(&column.name))).collect::<Vec<_>>().join(", ");
    let statements =
        [format!("INSERT INTO {of} DEFAULT VALUES"), format!("UPDATE {of} SET {sets}"), format!("DELETE FROM {of}")];
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, true)?;
    conn.authorizer(Some(heard))?;
    // They are prepared, and not run.
    let prepared = statements.iter().try_for_each(|sql| conn.prepare(sql).map(drop));
    conn.authorizer(None::<fn(AuthContext<'_>) -> Authorization>)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    if let Err(error) = prepared {
        return Ok(Triggers::Unknown(names, error.to_string()));
    }
    let written = std::mem::take(&mut *written.lock().unwrap_or_else(PoisonError::into_inner));
    let mut is_virtual = conn
        .prepare("SELECT count(*) FROM sqlite_schema WHERE type='table' AND rootpage=0 AND name=?1 COLLATE NOCASE")?;
    let (mut kept, mut ordinary) = (0, 0);
    for table in &written {
        let is_virtual: bool = is_virtual.query_row([table], |row| row.get(0))?;
        *(if is_virtual { &mut kept } else { &mut ordinary }) += 1;
    }
    Ok(match (kept, ordinary) {
        (0, _) => Triggers::Off(names),
        (_, 0) => Triggers::On(names),
        _ => Triggers::Both(names),
    })
}
