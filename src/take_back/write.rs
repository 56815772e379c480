//! The transaction: everything is looked at again inside it, and only then written, or tried out and rolled back. Both
//! are the same lines.
//!
//! Triggers are off, but for those that keep a virtual table; foreign keys have no actions, and are looked at for the
//! records concerned once all is written. Each record is read again at the end, and must be to the last bit what the
//! plan says.

use std::{path::Path, time::Instant};

use rusqlite::{Connection, ErrorCode, OptionalExtension, config::DbConfig};

use super::{
    conflict::Conflict,
    live::fetch,
    plan::{Plan, key_in_words},
    statement::{Deed, Sql},
    step::{Pushed, Step},
    table::{Foreign, Table},
    value::{Datum, name},
};
use crate::{
    control::{Control, Phase},
    error::{Error, ErrorKind, Result},
    records::definition::affinity_of,
    sqlite::rewrite::{insist, open_to_write, require_seen_by_all},
};

/// So many statements are kept ready.
const PREPARED_MAX: usize = 200;
/// So many records in the way are told of one.
const HOLDERS_MAX: usize = 20;

/// Whether the transaction is for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Everything is rolled back; what is in the way is told.
    Try,
    /// Committed, if nothing is in the way.
    Commit,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Tried {
    /// What is in the way of which step, with the records that would have to go.
    pub(super) conflicts: Vec<(usize, Conflict, Vec<Pushed>)>,
    /// How long writers were kept out, in milliseconds.
    pub(super) held_ms: u64,
}

/// Opens the data file for it.
pub(super) fn open(data_file: &Path) -> Result<Connection> {
    // One that may only be read can be compared, and not be tried out.
    let conn = match open_to_write(data_file) {
        Err(error) if error.kind() == ErrorKind::Permission => crate::sqlite::hot::open_to_read(data_file)?,
        opened => opened?,
    };
    let fail = |e| Error::sqlite("open", data_file, e);
    // Each record is read three times while writers are kept out: from memory but for the first time.
    let settings = "PRAGMA cache_size=-65536; PRAGMA foreign_keys=OFF; PRAGMA recursive_triggers=OFF";
    conn.execute_batch(settings).map_err(fail)?;
    conn.set_prepared_statement_cache_capacity(PREPARED_MAX);
    Ok(conn)
}

/// Runs the plan.
///
/// # Errors
/// `Changed` where the data file is not any more what the plan was made from, `Busy`, `Permission`, `Stopped`, a
/// failing disk. The data file is then as it was.
pub(super) fn run(conn: &Connection, plan: &Plan, mode: Mode, control: &Control) -> Result<Tried> {
    let path = &plan.data_file;
    if conn.is_readonly(rusqlite::MAIN_DB).unwrap_or(true) {
        return Err(Error::new(ErrorKind::Permission, format!("cannot write {}", path.display()))
            .hint("Run Strongroom as the owner of the file, or give this user the permission to write it."));
    }
    if plan.statement_count() == 0 {
        return Ok(Tried::default());
    }
    let fail = |e| Error::sqlite("write to", path, e);
    if mode == Mode::Try {
        // Nothing of what is rolled back is to reach the disk.
        conn.execute_batch("PRAGMA cache_spill=OFF").map_err(fail)?;
    }
    // A program may have come since it was opened.
    require_seen_by_all(conn, path)?;
    control.phase(Phase::Waiting, 0);
    insist(conn, path, "BEGIN IMMEDIATE", control)?;
    let since = Instant::now();
    let written = Transaction { conn, plan, control }.write();
    let outcome = written.and_then(|conflicts| {
        if mode == Mode::Commit {
            if let Some((step, conflict, _)) = conflicts.first() {
                let what = plan.steps.get(*step).map(|step| plan.name(step)).unwrap_or_default();
                return Err(changed(plan, &format!("{what}: {}", conflict.in_words())));
            }
            control.check()?;
            control.phase(Phase::Finishing, 0);
            insist(conn, path, "COMMIT", control)?;
        }
        Ok(conflicts)
    });
    if !conn.is_autocommit() {
        let _ = conn.execute_batch("ROLLBACK");
    }
    let held_ms = since.elapsed().as_millis() as u64;
    let _ = conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false);
    Ok(Tried { conflicts: outcome?, held_ms })
}

fn changed(plan: &Plan, what: &str) -> Error {
    let message = format!("{} is not any more as it was when this was planned: {what}", plan.data_file.display());
    Error::new(ErrorKind::Changed, message).hint("Nothing was changed. Look at the new plan, and decide again.")
}

/// What SQLite says against a statement; `None` where it has failed otherwise.
fn objection(error: &rusqlite::Error) -> Option<(Option<i32>, String)> {
    match error {
        rusqlite::Error::SqliteFailure(code, message) => match code.code {
            ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig | ErrorCode::Unknown => {
                let text = message.clone().unwrap_or_else(|| error.to_string());
                Some((Some(code.extended_code), text))
            }
            _ => None,
        },
        rusqlite::Error::SqlInputError { msg, .. } => Some((None, msg.clone())),
        _ => None,
    }
}

struct Transaction<'a> {
    conn: &'a Connection,
    plan: &'a Plan,
    control: &'a Control,
}

type Conflicts = Vec<(usize, Conflict, Vec<Pushed>)>;

impl Transaction<'_> {
    fn fail(&self, error: rusqlite::Error) -> Error {
        Error::sqlite("write to", &self.plan.data_file, error)
    }

    fn steps(&self) -> impl Iterator<Item = (usize, &Step, &Table)> {
        let table = |step: &Step| step.at.and_then(|at| self.plan.tables.get(at));
        let all = self.plan.steps.iter().enumerate().filter(|(_, step)| !step.statements.is_empty());
        all.filter_map(move |(number, step)| Some((number, step, table(step)?)))
    }

    fn write(&self) -> Result<Conflicts> {
        let schema = self.conn.query_row("PRAGMA schema_version", [], |row| row.get::<_, i64>(0));
        if schema.map_err(|e| self.fail(e))? != self.plan.schema {
            return Err(changed(self.plan, "its schema is another one"));
        }
        self.require_same()?;
        self.control.phase(Phase::Writing, 0);
        let mut conflicts = Conflicts::new();
        let mut is_firing = false;
        for ordered in self.plan.ordered() {
            self.control.check()?;
            if conflicts.iter().any(|(step, ..)| *step == ordered.step) {
                continue;
            }
            let fires = ordered.table.fires();
            if fires != is_firing {
                let set = self.conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, fires);
                set.map_err(|e| self.fail(e))?;
                is_firing = fires;
            }
            let mut sql = Sql::bound(self.plan.form);
            ordered.statement.write(ordered.table, &mut sql);
            let run = self.conn.prepare_cached(&sql.text);
            let run = run.and_then(|mut run| run.execute(rusqlite::params_from_iter(sql.values())));
            match run {
                Ok(1) => {}
                // One that was pushed out of the way by two is gone already.
                Ok(0) if ordered.statement.deed == Deed::Delete => {}
                Ok(count) => {
                    let reason = format!("{count} records were changed by a statement for one");
                    conflicts.push((ordered.step, Conflict::Refused { reason }, Vec::new()));
                }
                Err(error) => match objection(&error) {
                    Some(objection) => {
                        let (conflict, pushed) = self.in_the_way(ordered.step, ordered.table, objection)?;
                        conflicts.push((ordered.step, conflict, pushed));
                    }
                    None => return Err(self.fail(error)),
                },
            }
        }
        self.require_written(&mut conflicts)?;
        self.look_at_keys(&mut conflicts)?;
        Ok(conflicts)
    }

    /// Sees that every record is still what the plan was made from.
    fn require_same(&self) -> Result<()> {
        for (_, step, table) in self.steps() {
            self.control.check()?;
            let found = fetch(self.conn, table, &step.key, self.plan.form).map_err(|e| self.fail(e))?;
            if found != step.found {
                return Err(changed(self.plan, &format!("{} was changed meanwhile", self.plan.name(step))));
            }
            for pushed in &step.pushed {
                let found = fetch(self.conn, table, &pushed.key, self.plan.form).map_err(|e| self.fail(e))?;
                if found.as_ref() != Some(&pushed.found) {
                    let of = key_in_words(&pushed.key, self.plan.form);
                    return Err(changed(self.plan, &format!("{} {of} was changed meanwhile", table.name)));
                }
            }
        }
        Ok(())
    }

    /// Sees that every record is now what the plan says.
    fn require_written(&self, conflicts: &mut Conflicts) -> Result<()> {
        for (number, step, table) in self.steps() {
            self.control.check()?;
            if conflicts.iter().any(|(step, ..)| *step == number) {
                continue;
            }
            let is = fetch(self.conn, table, &step.key, self.plan.form).map_err(|e| self.fail(e))?;
            let is_so = match (&is, &step.after) {
                (None, None) => true,
                (Some(is), Some(after)) => {
                    is.iter().zip(after).all(|(is, after)| after.as_ref().is_none_or(|after| after == is))
                }
                _ => false,
            };
            if !is_so {
                let reason = "what it keeps is not exactly the record that was written".to_owned();
                conflicts.push((number, Conflict::Refused { reason }, Vec::new()));
            }
        }
        Ok(())
    }

    /// What is in the way where SQLite refuses a statement.
    fn in_the_way(
        &self,
        number: usize,
        table: &Table,
        (code, reason): (Option<i32>, String),
    ) -> Result<(Conflict, Vec<Pushed>)> {
        use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_ROWID, SQLITE_CONSTRAINT_UNIQUE};
        let is_unique = code.is_some_and(|code| {
            [SQLITE_CONSTRAINT_UNIQUE, SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_ROWID].contains(&code)
        });
        if !is_unique {
            return Ok((Conflict::Refused { reason }, Vec::new()));
        }
        let mut pushed: Vec<Pushed> = Vec::new();
        if let Some(step) = self.plan.steps.get(number) {
            for unique in table.uniques.iter().filter_map(|unique| unique.columns.as_ref()) {
                self.find_holders(step, table, unique, &mut pushed)?;
            }
        }
        let holders = pushed.iter().map(|pushed| key_in_words(&pushed.key, self.plan.form)).collect();
        Ok((Conflict::Unique { table: table.name.clone(), holders, reason }, pushed))
    }

    /// The records that have the values of these columns which this one is to have.
    fn find_holders(
        &self,
        step: &Step,
        table: &Table,
        unique: &[super::table::KeyPart],
        pushed: &mut Vec<Pushed>,
    ) -> Result<()> {
        let wanted = |column: usize| step.after.as_ref().and_then(|row| row.get(column)?.as_ref());
        let form = self.plan.form;
        let mut sql = Sql::bound(form);
        let rowid = table.rowid.clone().unwrap_or_else(|| "NULL".to_owned());
        sql.text = format!("SELECT {rowid}, {} FROM {} WHERE ", table.all_columns(form), name(&table.name));
        for (at, part) in unique.iter().enumerate() {
            // Nothing is never the same.
            let Some(datum) = wanted(part.column).filter(|datum| **datum != Datum::Null) else { return Ok(()) };
            sql.text += if at > 0 { " AND " } else { "" };
            sql.text += &format!("{}=", name(&table.column(part.column).name));
            sql.put(datum);
            sql.text += &format!(" COLLATE {}", name(&part.collation));
        }
        sql.text += &format!(" LIMIT {HOLDERS_MAX}");
        let asked = || -> rusqlite::Result<Vec<Pushed>> {
            let mut asked = self.conn.prepare_cached(&sql.text)?;
            let mut rows = asked.query(rusqlite::params_from_iter(sql.values()))?;
            let mut all = Vec::new();
            while let Some(row) = rows.next()? {
                let found = table.read_row(row, 1, form)?;
                let key = table.key_of(&found, &[super::table::datum(row.get_ref(0)?)]);
                all.push(Pushed { key, found });
            }
            Ok(all)
        };
        for holder in asked().map_err(|e| self.fail(e))? {
            // What this transaction itself has written there is another matter.
            let is_own = self.steps().any(|(_, other, of)| of.name == table.name && other.key == holder.key);
            if !is_own && !pushed.contains(&holder) {
                pushed.push(holder);
            }
        }
        Ok(())
    }

    /// Looks at the foreign keys of every record that was written, and at those that lead to it.
    fn look_at_keys(&self, conflicts: &mut Conflicts) -> Result<()> {
        for (number, step, table) in self.steps() {
            self.control.check()?;
            if conflicts.iter().any(|(step, ..)| *step == number) {
                continue;
            }
            let mut note = |conflict: Conflict| {
                if !step.conflicts.iter().any(|known| known.is_like(&conflict)) {
                    conflicts.push((number, conflict, Vec::new()));
                }
            };
            for foreign in &table.parents {
                if let Some(conflict) = self.missing_parent(step, table, foreign).map_err(|e| self.fail(e))? {
                    note(conflict);
                }
            }
            let before = std::iter::once((&step.key, step.found.as_ref()));
            let gone = before.chain(step.pushed.iter().map(|pushed| (&pushed.key, Some(&pushed.found))));
            for (key, found) in gone {
                let after = step.after.as_ref().filter(|_| *key == step.key);
                for foreign in &table.children {
                    let found = found.map(Vec::as_slice);
                    let left = self.children_left((found, after.map(Vec::as_slice)), table, foreign);
                    if let Some(conflict) = left.map_err(|e| self.fail(e))? {
                        note(conflict);
                    }
                }
            }
        }
        Ok(())
    }

    fn missing_parent(&self, step: &Step, table: &Table, foreign: &Foreign) -> rusqlite::Result<Option<Conflict>> {
        let Some(after) = &step.after else { return Ok(None) };
        let places: Option<Vec<usize>> = foreign.child_columns.iter().map(|name| table.place(name)).collect();
        let Some(places) = places else { return Ok(None) };
        let is_same = |place: &usize| {
            let was = step.found.as_ref().and_then(|found| found.get(*place));
            was.is_some() && was == after.get(*place).and_then(Option::as_ref)
        };
        if places.iter().all(is_same) {
            return Ok(None);
        }
        let values: Option<Vec<&Datum>> = places.iter().map(|place| after.get(*place)?.as_ref()).collect();
        // A column that is nothing refers to nothing.
        let Some(values) = values.filter(|values| !values.contains(&&Datum::Null)) else { return Ok(None) };
        let is_there = self.count(&foreign.parent, &foreign.parent_columns, &values, true)? > 0;
        let columns = foreign.child_columns.clone();
        Ok((!is_there).then(|| Conflict::NoParent { table: foreign.parent.clone(), columns }))
    }

    fn children_left(
        &self,
        (found, after): (Option<&[Datum]>, Option<&[Option<Datum>]>),
        table: &Table,
        foreign: &Foreign,
    ) -> rusqlite::Result<Option<Conflict>> {
        let places: Option<Vec<usize>> = foreign.parent_columns.iter().map(|name| table.place(name)).collect();
        let (Some(places), Some(found)) = (places, found) else { return Ok(None) };
        let values: Option<Vec<&Datum>> = places.iter().map(|place| found.get(*place)).collect();
        let Some(values) = values.filter(|values| !values.contains(&&Datum::Null)) else { return Ok(None) };
        let stays = |(place, value): (&usize, &&Datum)| {
            after.and_then(|after| after.get(*place)?.as_ref()).is_some_and(|datum| datum == *value)
        };
        if places.iter().zip(&values).all(stays)
            || self.count(&foreign.parent, &foreign.parent_columns, &values, true)? > 0
        {
            return Ok(None);
        }
        let count = self.count_children(foreign, &values)?;
        Ok((count > 0).then(|| Conflict::Children { table: foreign.child.clone(), count }))
    }

    /// How many records refer to the one with these values. SQLite compares by the collation and the affinity of the
    /// column that is referred to: where those may be others than the child's, whatever could be meant is counted.
    fn count_children(&self, foreign: &Foreign, values: &[&Datum]) -> rusqlite::Result<u64> {
        let plain = self.count(&foreign.child, &foreign.child_columns, values, false)?;
        if plain > 0 || self.is_compared_alike(foreign)? {
            return Ok(plain);
        }
        let mut sql = Sql::bound(self.plan.form);
        sql.text = format!("SELECT count(*) FROM {} WHERE ", name(&foreign.child));
        for (at, (column, value)) in foreign.child_columns.iter().zip(values).enumerate() {
            let column = name(column);
            sql.text += if at > 0 { " AND " } else { "" };
            sql.text += &format!("({column} IS NOT NULL AND (rtrim(CAST({column} AS TEXT))=rtrim(CAST(");
            sql.put(value);
            sql.text += &format!(" AS TEXT)) COLLATE NOCASE OR CAST({column} AS NUMERIC)=CAST(");
            sql.put(value);
            sql.text += &format!(" AS NUMERIC) AND CAST({column} AS TEXT) GLOB '*[0-9]*'))");
        }
        let count: i64 = self
            .conn
            .prepare_cached(&sql.text)?
            .query_row(rusqlite::params_from_iter(sql.values()), |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// Whether a comparison by the child's columns finds all that one by the parent's does.
    fn is_compared_alike(&self, foreign: &Foreign) -> rusqlite::Result<bool> {
        let collates = "SELECT EXISTS(SELECT 1 FROM sqlite_schema WHERE type='table' AND name=?1 COLLATE NOCASE
             AND sql LIKE '%collate%')";
        if self.conn.prepare_cached(collates)?.query_row([&foreign.parent], |row| row.get::<_, bool>(0))? {
            return Ok(false);
        }
        let declared = "SELECT type FROM pragma_table_xinfo(?1) WHERE name=?2 COLLATE NOCASE";
        let affinity = |table: &str, column: &str| -> rusqlite::Result<Option<&'static str>> {
            let found = self.conn.prepare_cached(declared)?.query_row([table, column], |row| row.get::<_, String>(0));
            Ok(found.optional()?.map(|declared| affinity_of(&declared, false)))
        };
        for (child, parent) in foreign.child_columns.iter().zip(&foreign.parent_columns) {
            let (child, parent) = (affinity(&foreign.child, child)?, affinity(&foreign.parent, parent)?);
            if child.is_none() || child != parent {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// How many records have these values; with `is_one`, whether one has.
    fn count(&self, table: &str, columns: &[String], values: &[&Datum], is_one: bool) -> rusqlite::Result<u64> {
        // A table that is not there has none.
        let there = "SELECT 1 FROM sqlite_schema WHERE type='table' AND name=?1 COLLATE NOCASE";
        let is_there = self.conn.prepare_cached(there)?.query_row([table], |_| Ok(())).optional()?.is_some();
        if !is_there || columns.is_empty() {
            return Ok(0);
        }
        let mut sql = Sql::bound(self.plan.form);
        sql.text = match is_one {
            true => format!("SELECT EXISTS(SELECT 1 FROM {} WHERE ", name(table)),
            false => format!("SELECT count(*) FROM {} WHERE ", name(table)),
        };
        for (at, (column, value)) in columns.iter().zip(values).enumerate() {
            sql.text += if at > 0 { " AND " } else { "" };
            sql.text += &format!("{}=", name(column));
            sql.put(value);
        }
        sql.text += if is_one { ")" } else { "" };
        let count: i64 = self
            .conn
            .prepare_cached(&sql.text)?
            .query_row(rusqlite::params_from_iter(sql.values()), |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }
}
