//! Verification of records and indexes: SQLite's integrity check of a data file in use, table by table, so that it is
//! known which table or index is concerned, and other programs get at the file in between.
//!
//! Each table is checked in a read transaction of its own. In rollback mode writers wait for as long as that takes; in
//! WAL mode nobody waits. At the end comes what belongs to no table: pages that nobody uses, and those on the list of
//! free pages.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::{
    bound_values,
    hot::open_to_read,
    integrity::interruptible,
    leave,
    named::{require_one_wal, require_shared},
    snapshot::is_busy,
};
use crate::{
    control::{Control, Phase},
    error::{Error, ErrorKind, Result},
    storage::processes,
};

/// How long to wait for another program that holds the file locked.
const LOCK_WAIT: Duration = Duration::from_secs(30);
/// So many problems of one table are kept; SQLite finds no more either.
const PROBLEMS_MAX: usize = 100;

/// The state of a table or an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", content = "details", rename_all = "kebab-case")]
pub enum State {
    /// Nothing wrong.
    Sound,
    /// What is wrong, in SQLite's words.
    Problems(Vec<String>),
    /// It could not be checked, for instance because it needs an extension of the application.
    Unknown(String),
}

impl State {
    fn add(&mut self, problem: &str) {
        match self {
            State::Problems(list) if list.len() >= PROBLEMS_MAX || list.iter().any(|known| known == problem) => {}
            State::Problems(list) => list.push(problem.to_owned()),
            State::Sound | State::Unknown(_) => *self = State::Problems(vec![problem.to_owned()]),
        }
    }

    /// Whether something is wrong.
    pub fn is_damaged(&self) -> bool {
        matches!(self, State::Problems(_))
    }
}

/// An index and its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexState {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: State,
}

/// A table, its state and that of its indexes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableState {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: State,
    /// Its indexes.
    pub indexes: Vec<IndexState>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// All tables, by name.
    pub tables: Vec<TableState>,
    /// What belongs to no table: free and unused pages.
    pub file: State,
}

impl Findings {
    /// The states of everything, with names.
    pub fn all(&self) -> impl Iterator<Item = (String, &State)> {
        let tables = self.tables.iter().flat_map(|table| {
            let indexes = table.indexes.iter().map(|i| (format!("index {} of table {}", i.name, table.name), &i.state));
            std::iter::once((format!("table {}", table.name), &table.state)).chain(indexes)
        });
        tables.chain([("the file as a whole".to_owned(), &self.file)])
    }
}

/// Checks the data file at `path`, which other programs may use meanwhile.
///
/// # Errors
/// `Busy` with the names of the processes that hold it locked, `Stopped`, and where SQLite cannot open it; everything
/// else is part of the findings.
pub fn check(path: &Path, control: &Control) -> Result<Findings> {
    let conn = open_to_read(path)?;
    let set = |e| Error::sqlite("read", path, e);
    bound_values(&conn).map_err(set)?;
    conn.pragma_update(None, "cell_size_check", true).map_err(set)?;
    let check = Check { conn: &conn, path, control };
    let schema = check.schema();
    // What another program commits to a WAL of its own is not in what was looked at. In rollback mode nobody is apart.
    let outcome = require_shared(path).and_then(|()| require_one_wal(path)).and_then(|()| match schema {
        Ok(schema) => check.all(schema),
        Err(Failure::Other(message)) => Ok(Findings {
            tables: Vec::new(),
            file: State::Problems(vec![format!("the schema cannot be read: {message}")]),
        }),
        Err(Failure::Ours(error)) => Err(error),
    });
    leave(&conn, path);
    outcome
}

/// What stands in the way of one statement.
enum Failure {
    /// Stopped, or locked for too long: no finding.
    Ours(Error),
    /// What SQLite says of the content.
    Other(String),
}

/// A table with its root page, and its indexes with theirs.
struct Table {
    name: String,
    root: i64,
    indexes: Vec<(String, i64)>,
}

struct Check<'a> {
    conn: &'a Connection,
    path: &'a Path,
    control: &'a Control,
}

impl Check<'_> {
    fn schema(&self) -> Result<Vec<Table>, Failure> {
        let mut tables: BTreeMap<String, Table> = BTreeMap::new();
        let table = |name: &str, root| Table { name: name.to_owned(), root, indexes: Vec::new() };
        tables.insert("sqlite_schema".to_owned(), table("sqlite_schema", 1));
        let rows: Vec<(String, String, String, i64)> = self.ask(&|conn| {
            let sql = "SELECT type, name, tbl_name, rootpage FROM sqlite_schema WHERE type IN ('table','index') ORDER \
                BY name";
            let mut statement = conn.prepare(sql)?;
            statement.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))?.collect()
        })?;
        for (_, name, _, root) in rows.iter().filter(|(kind, ..)| kind == "table") {
            tables.insert(name.clone(), table(name, *root));
        }
        for (_, name, of, root) in rows.into_iter().filter(|(kind, ..)| kind == "index") {
            if let Some(table) = tables.get_mut(&of) {
                table.indexes.push((name, root));
            }
        }
        Ok(tables.into_values().collect())
    }

    fn all(&self, schema: Vec<Table>) -> Result<Findings> {
        let units = |table: &Table| 1 + table.indexes.len() as u64;
        self.control.phase(Phase::Examining, schema.iter().map(units).sum::<u64>() + 1);
        let roots: BTreeMap<i64, String> = schema
            .iter()
            .flat_map(|t| t.indexes.iter().map(|(name, root)| (*root, name.clone())).chain([(t.root, t.name.clone())]))
            .collect();
        let mut tables = Vec::new();
        let mut known: BTreeSet<String> = BTreeSet::new();
        for table in schema {
            let units = units(&table);
            if let Some(state) = self.table(table, &mut known)? {
                tables.push(state);
            }
            self.control.add(units);
        }
        let mut findings = Findings { tables, file: State::Sound };
        match self.lines("PRAGMA quick_check") {
            Ok(lines) => {
                for line in lines.iter().filter(|line| !known.contains(*line)) {
                    findings.place(line, &roots);
                }
            }
            Err(Failure::Ours(error)) => return Err(error),
            Err(Failure::Other(message)) => findings.file = State::Unknown(message),
        }
        self.control.add(1);
        Ok(findings)
    }

    /// One table with its indexes; `None` when somebody dropped it meanwhile.
    fn table(&self, table: Table, known: &mut BTreeSet<String>) -> Result<Option<TableState>> {
        let quoted = table.name.replace('\'', "''");
        let sound = |(name, _): &(String, i64)| IndexState { name: name.clone(), state: State::Sound };
        let mut found = TableState {
            indexes: table.indexes.iter().map(sound).collect(),
            name: table.name.clone(),
            state: State::Sound,
        };
        match self.lines(&format!("PRAGMA integrity_check('{quoted}')")) {
            Ok(lines) if lines.is_empty() => {
                found.state = self.unopened(&table)?.map_or(State::Sound, State::Unknown);
            }
            Ok(lines) => {
                for line in lines {
                    let tree = root_of(&line);
                    let index = table.indexes.iter().position(|(name, root)| {
                        tree == Some(*root)
                            || line.strip_suffix(name.as_str()).is_some_and(|rest| rest.ends_with("index "))
                    });
                    match index {
                        Some(at) => found.indexes[at].state.add(&line),
                        None => found.state.add(&line),
                    }
                    known.insert(line);
                }
            }
            Err(Failure::Ours(error)) => return Err(error),
            Err(Failure::Other(_)) if !self.exists(&table.name)? => return Ok(None),
            Err(Failure::Other(message)) => {
                // The check of a table is that of its indexes, too.
                found.indexes.iter_mut().for_each(|index| index.state = State::Unknown(message.clone()));
                found.state = State::Unknown(message);
            }
        }
        Ok(Some(found))
    }

    /// Why a virtual table cannot be opened here, where it cannot: SQLite's check passes over it without a word.
    fn unopened(&self, table: &Table) -> Result<Option<String>> {
        if table.root != 0 {
            return Ok(None);
        }
        match self.ask(&|conn| unopened(conn, &table.name)) {
            Ok(why) => Ok(why),
            Err(Failure::Ours(error)) => Err(error),
            Err(Failure::Other(message)) => Ok(Some(message)),
        }
    }

    fn exists(&self, table: &str) -> Result<bool> {
        if table == "sqlite_schema" {
            return Ok(true);
        }
        let found = self.ask(&|conn| {
            conn.query_row("SELECT 1 FROM sqlite_schema WHERE type='table' AND name=?1", [table], |_| Ok(())).optional()
        });
        match found {
            Ok(found) => Ok(found.is_some()),
            Err(Failure::Ours(error)) => Err(error),
            Err(Failure::Other(_)) => Ok(true),
        }
    }

    /// What the check says, without its `ok`. Content that it cannot get past is a finding as well.
    fn lines(&self, sql: &str) -> Result<Vec<String>, Failure> {
        let found = self.ask(&|conn| {
            let mut statement = conn.prepare(sql)?;
            let mut rows = statement.query([])?;
            let mut lines: Vec<String> = Vec::new();
            loop {
                match rows.next() {
                    Ok(Some(row)) => lines.push(row.get(0)?),
                    Ok(None) => return Ok(lines),
                    Err(e) if is_corrupt(&e) => {
                        lines.push(e.to_string());
                        return Ok(lines);
                    }
                    Err(e) => return Err(e),
                }
            }
        })?;
        Ok(found.into_iter().filter(|line| line != "ok").collect())
    }

    /// Asks SQLite, again while another program has the file locked.
    fn ask<T>(&self, question: &dyn Fn(&Connection) -> rusqlite::Result<T>) -> Result<T, Failure> {
        let asked = Instant::now();
        loop {
            self.control.check().map_err(Failure::Ours)?;
            match interruptible(self.conn, self.control, question) {
                Ok(answer) => return Ok(answer),
                Err(_) if self.control.is_stopped() => return Err(Failure::Ours(Error::stopped())),
                Err(e) if is_busy(&e) && asked.elapsed() < LOCK_WAIT => thread::sleep(Duration::from_millis(5)),
                Err(e) if is_busy(&e) => {
                    let found = processes::holders(&[self.path.to_path_buf()]);
                    let message = format!("{} was locked for {} s", self.path.display(), LOCK_WAIT.as_secs());
                    let hint =
                        format!("It is open in {}. End the long transaction there, and try again.", found.in_words());
                    return Err(Failure::Ours(Error::new(ErrorKind::Busy, message).hint(hint)));
                }
                Err(e) => return Err(Failure::Other(e.to_string())),
            }
        }
    }
}

impl Findings {
    /// Gives a line of the check of the whole file to the tree that it names, or else to the file.
    fn place(&mut self, line: &str, roots: &BTreeMap<i64, String>) {
        let name = root_of(line).and_then(|root| roots.get(&root));
        for table in &mut self.tables {
            if Some(&table.name) == name {
                return table.state.add(line);
            }
            if let Some(index) = table.indexes.iter_mut().find(|index| Some(&index.name) == name) {
                return index.state.add(line);
            }
        }
        self.file.add(line);
    }
}

/// Why the virtual table `name` cannot be opened, such as `no such module: spellfix1`; `None` where it can.
///
/// # Errors
/// Where the file is locked.
pub(crate) fn unopened(conn: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    match conn.prepare(&format!("SELECT 1 FROM \"{}\" LIMIT 0", name.replace('"', "\"\""))) {
        Ok(_) => Ok(None),
        Err(e) if is_busy(&e) => Err(e),
        Err(e) => Ok(Some(e.to_string())),
    }
}

fn is_corrupt(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode as C;
    matches!(error.sqlite_error_code(), Some(C::DatabaseCorrupt | C::NotADatabase))
}

/// The root page of the tree that a line such as `Tree 5 page 7 cell 2: …` speaks of.
fn root_of(line: &str) -> Option<i64> {
    line.strip_prefix("Tree ")?.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests;
