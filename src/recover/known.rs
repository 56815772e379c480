//! What the last archive and its log know of the data file: the schema where the file has lost it, and afterwards which
//! records the recovered file lacks.

use std::{collections::BTreeMap, path::PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    as_of::{
        Limits, Looked,
        differences::{self, Change, Found},
    },
    control::Control,
    error::{Error, Result},
    records::{
        page::Encoding,
        record::Kept,
        schema::{Object, ObjectKind},
    },
};

/// The state that archive and log lead to.
#[derive(Debug)]
pub(super) struct KnownState {
    pub(super) objects: Vec<Object>,
    pub(super) page_size: usize,
    pub(super) encoding: Encoding,
    pub(super) auto_vacuum: u32,
    pub(super) user_version: i32,
    pub(super) application_id: i32,
}

impl KnownState {
    /// Reads it.
    ///
    /// # Errors
    /// What SQLite says; `Damaged` where pages cannot be read; `Stopped`.
    pub(super) fn read(looked: &Looked) -> Result<Self> {
        read(looked.connection()).map_err(|error| looked.explain(&error))
    }
}

fn read(conn: &rusqlite::Connection) -> rusqlite::Result<KnownState> {
    let number = |pragma: &str| conn.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i64>(0));
    let encoding: String = conn.query_row("PRAGMA encoding", [], |row| row.get(0))?;
    let mut asked = conn.prepare("SELECT type, name, tbl_name, coalesce(rootpage, 0), sql FROM main.sqlite_schema")?;
    let rows = asked.query_map([], |row| {
        let kind: String = row.get(0)?;
        let root = u32::try_from(row.get::<_, i64>(3)?).unwrap_or_default();
        Ok((kind, row.get(1)?, row.get(2)?, root, row.get(4)?))
    })?;
    let mut objects = Vec::new();
    for row in rows {
        let (kind, name, table, root, sql): (String, String, String, u32, Option<String>) = row?;
        let kind = match kind.as_str() {
            "table" => ObjectKind::Table,
            "index" => ObjectKind::Index,
            "view" => ObjectKind::View,
            _ => ObjectKind::Trigger,
        };
        objects.push(Object { kind, name, table, root, sql, is_internal: false });
    }
    Ok(KnownState {
        objects,
        page_size: usize::try_from(number("page_size")?).unwrap_or_default(),
        encoding: match encoding.as_str() {
            "UTF-16le" => Encoding::Utf16Le,
            "UTF-16be" => Encoding::Utf16Be,
            _ => Encoding::Utf8,
        },
        auto_vacuum: number("auto_vacuum")? as u32,
        user_version: number("user_version")? as i32,
        application_id: number("application_id")? as i32,
    })
}

/// How a recovered table stands to what archive and log know of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Comparison {
    /// Records that they know, and the recovered file lacks.
    pub missing: u64,
    /// Records that are not as they know them.
    pub changed: u64,
    /// Records that they do not know.
    pub added: u64,
    /// Why the table could not be compared to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What the recovered file was compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComparedWith {
    /// The archive.
    pub archive: PathBuf,
    /// The last commit of its log, where it has one.
    pub commit: Option<u64>,
    /// When that state was reached.
    pub time: DateTime<Utc>,
    /// Why the state may not be the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lacks: Option<String>,
}

/// A record that archive and log know otherwise than the recovered file has it.
#[derive(Debug)]
pub struct Differing<'a> {
    /// Its table.
    pub table: &'a str,
    /// How it differs: `Missing` is one that the recovered file lacks.
    pub change: Change,
    /// The values of its key; all values where it has none.
    pub key: &'a [Kept],
}

/// Compares the recovered file at `made` with what is known, table by table; each record that differs is told to
/// `tell`.
///
/// # Errors
/// `Stopped`, `Damaged` where the archive cannot be read; what `tell` says.
pub(super) fn compare(
    looked: &Looked,
    made: &std::path::Path,
    control: &std::sync::Arc<Control>,
    tell: &mut dyn FnMut(&Differing<'_>) -> Result<()>,
) -> Result<BTreeMap<String, Comparison>> {
    let limits = Limits { control: std::sync::Arc::clone(control), ..Limits::default() };
    let now = Looked::now(made, &limits)?;
    let mut found = BTreeMap::new();
    differences::between(looked, &now, &[], &mut |one| {
        control.check()?;
        match one {
            Found::Record { table, change, key } => tell(&Differing { table, change, key })?,
            Found::Table(table) => {
                let (missing, changed, added) = (table.missing, table.changed, table.added);
                let problem = table.problem.clone();
                found.insert(table.table.to_lowercase(), Comparison { missing, changed, added, problem });
            }
            Found::Schema(_) => {}
        }
        Ok::<(), Error>(())
    })?;
    Ok(found)
}

/// What a recovered file is compared with, where that is this state.
pub fn compared_with(looked: &Looked) -> ComparedWith {
    let about = looked.about();
    ComparedWith {
        archive: about.archive.clone().unwrap_or_default(),
        commit: about.commit,
        time: about.time,
        lacks: about.lacks.as_ref().map(|lacks| lacks.message().to_owned()),
    }
}
