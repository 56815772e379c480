//! The tables of a data file: how many records each holds, and how much room it and its indexes take, while programs go
//! on with the file. The program's own decoder reads the trees; nothing is written.
//!
//! Each tree is read in one state of the file, and those of different tables may be of states that followed each other.
//! What could not be looked at is said, and has no number.

use std::{collections::BTreeMap, path::Path};

use chrono::{DateTime, Local};
use serde::{Deserialize, Serialize};

use super::slices::Slices;
use crate::{
    archive::{catalog::ArchiveEntry, format::ArchiveNumber},
    control::{Control, Phase},
    error::{Error, ErrorKind, Result, foreign::foreign},
    records::{
        page::Flaw,
        schema::{Definitions, Object, ObjectKind, Schema},
        size::{self, TreeSize},
        tree::{Look, Trouble},
    },
    sqlite::seen::ContentSeen,
};

/// A tree that is written all the time is read so often; so often the list of tables is begun anew.
const ATTEMPTS: u32 = 4;
/// Archives name no more tables than this.
const NAMED_IN_ARCHIVE: usize = 200;
/// The table of SQLite's own.
pub const SQLITES_OWN: &str = "sqlite_schema";

/// What sort of table it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// One that the application made.
    Table,
    /// A virtual one; with it count the tables that it keeps its content in.
    Virtual,
    /// What SQLite keeps for itself, as one: the schema, sequences, statistics.
    Internal,
}

/// An index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexSize {
    /// Its name.
    pub name: String,
    /// Its pages, in bytes; `None` where that is not known.
    pub bytes: Option<u64>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSize {
    /// Its name.
    pub table: String,
    /// What sort it is.
    pub kind: Kind,
    /// How many columns it has; `None` of a virtual one, whose module alone knows.
    pub columns: Option<u64>,
    /// How many records; `None` where that is not known.
    pub records: Option<u64>,
    /// The pages of the table itself, in bytes; `None` where they could not be looked at.
    pub bytes: Option<u64>,
    /// The pages of all its indexes, in bytes; `None` where those of one could not be looked at.
    pub index_bytes: Option<u64>,
    /// What is free on all these pages, in bytes.
    pub free_bytes: Option<u64>,
    /// Its indexes.
    pub indexes: Vec<IndexSize>,
    /// How many records it held when the last backup was made, where that is known.
    pub records_then: Option<u64>,
    /// Whether it was not there when the last backup was made.
    pub is_new: bool,
    /// Whether it was looked at already.
    pub is_measured: bool,
    /// Why something is not known of it.
    pub problem: Option<String>,
}

impl TableSize {
    /// With its indexes, in bytes.
    pub fn all_bytes(&self) -> Option<u64> {
        Some(self.bytes? + self.index_bytes?)
    }

    /// How many records came or went since the last backup; `None` where that is not known.
    pub fn growth(&self) -> Option<i128> {
        let then = if self.is_new { 0 } else { self.records_then? };
        Some(i128::from(self.records?) - i128::from(then))
    }

    /// How much of its pages is free, in thousandths.
    pub fn free_share(&self) -> Option<u64> {
        let all = self.all_bytes().filter(|bytes| *bytes > 0)?;
        Some((u128::from(self.free_bytes?) * 1000 / u128::from(all)) as u64)
    }
}

/// The backup that is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    /// Its number.
    pub number: ArchiveNumber,
    /// The moment of its state.
    pub moment: DateTime<Local>,
    /// How large the data file was, in bytes.
    pub bytes: u64,
}

/// The tables of a data file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tables {
    /// When it was begun to look at them.
    pub moment: DateTime<Local>,
    /// Bytes of a page.
    pub page_size: u32,
    /// Pages of the data file.
    pub pages: u32,
    /// Those that are not in use.
    pub free_pages: u32,
    /// The backup that is compared with, if there is one that can be read.
    pub since: Option<Since>,
    /// The tables: those of the application by name, then what SQLite keeps for itself.
    pub tables: Vec<TableSize>,
}

impl Tables {
    /// The size of the data file in bytes.
    pub fn bytes(&self) -> u64 {
        u64::from(self.pages) * u64::from(self.page_size)
    }

    /// What of it is not in use, in bytes.
    pub fn free_bytes(&self) -> u64 {
        u64::from(self.free_pages) * u64::from(self.page_size)
    }

    /// What is not known of the first table of which something is not, and of how many.
    pub fn problem(&self) -> Option<Error> {
        let mut unknown = self.tables.iter().filter_map(|table| Some((&table.table, table.problem.as_ref()?)));
        let (first, why) = unknown.next()?;
        let more = match unknown.count() {
            0 => String::new(),
            more => format!(", and of {more} more"),
        };
        let message = format!("not everything is known of the table {}{more}: {}", foreign(first), foreign(why));
        Some(
            Error::new(ErrorKind::Partial, message).hint("What was looked at is told. Verify the records and indexes."),
        )
    }

    fn compare(&mut self, seen: Option<&ContentSeen>) {
        let Some(seen) = seen else { return };
        // A list that is cut, or names that are, say nothing of what is not on it.
        let named = seen.tables.len();
        // One without any may be one whose schema could not be read.
        let is_whole = named > 0 && named == seen.table_count as usize && named < NAMED_IN_ARCHIVE;
        for table in self.tables.iter_mut().filter(|table| table.kind != Kind::Internal) {
            let then = seen.tables.iter().find(|then| then.name == table.table);
            table.records_then = then.and_then(|then| then.rows);
            table.is_new = is_whole && then.is_none() && table.table.chars().count() < 100;
        }
    }
}

/// The trees that make up a table: of itself, of its indexes; and the one whose entries are its records.
#[derive(Default)]
struct Trees {
    own: Vec<u32>,
    counted: Option<u32>,
    indexes: Vec<u32>,
}

/// Which part of a virtual table has one record for each of its own.
const ONE_FOR_EACH: [&str; 3] = ["docsize", "rowid", "content"];

/// Modules that only show what others keep.
const KEEPS_NOTHING: [&str; 4] = ["fts5vocab", "fts4aux", "fts3tokenize", "dbstat"];

/// What was found in the schema.
struct Plan {
    tables: Tables,
    trees: Vec<Trees>,
}

impl Plan {
    fn read(slices: &Slices<'_>, moment: DateTime<Local>) -> Result<Self> {
        let damaged = |flaw: Flaw| {
            let what = format!("the list of tables cannot be read: page {} {}", flaw.page, flaw.what);
            Error::new(ErrorKind::Damaged, what).hint("Verify the records and indexes.")
        };
        let look = match Look::begin(slices) {
            Ok(look) => look,
            Err(Trouble::Flaw(flaw)) => return Err(damaged(flaw)),
            Err(Trouble::Failed(error)) => return Err(error),
        };
        let schema = Schema::read(&look, &mut Definitions::default())?.map_err(damaged)?;
        let free = look.image(1).ok().and_then(|first| crate::records::page::u32_at(&first, 36)).unwrap_or_default();
        let (page_size, pages) = (slices.page_size(), look.pages.count());
        let tables = Tables { moment, page_size, pages, free_pages: free, since: None, tables: Vec::new() };
        let mut plan = Self { tables, trees: Vec::new() };
        plan.put_in(&schema);
        Ok(plan)
    }

    fn put_in(&mut self, schema: &Schema) {
        let owner =
            |object: &Object| schema.shadows.get(&object.table.to_lowercase()).map(|owner| owner.to_lowercase());
        // The schema itself has no line in the schema.
        let mut found: BTreeMap<String, (TableSize, Trees)> = BTreeMap::new();
        let mut own = (empty(SQLITES_OWN, Kind::Internal), Trees { own: vec![1], ..Trees::default() });
        for object in schema.objects.values().filter(|object| object.kind == ObjectKind::Table && !object.is_internal) {
            let kind = if object.root == 0 { Kind::Virtual } else { Kind::Table };
            let mut table = empty(&object.name, kind);
            let mut trees = Trees::default();
            if object.root > 0 {
                trees.own.push(object.root);
                trees.counted = Some(object.root);
                let known = schema.tables.get(&object.root).filter(|known| known.problem.is_none());
                table.columns = known.map(|known| known.definition.columns.len() as u64);
            } else if !schema.shadows.values().any(|of| of.eq_ignore_ascii_case(&object.name)) {
                let module = object.module().unwrap_or_default();
                let why = || format!("where its module {module} keeps its records is not known");
                table.problem = (!KEEPS_NOTHING.contains(&module.as_str())).then(why);
            }
            found.insert(object.name.to_lowercase(), (table, trees));
        }
        for object in schema.objects.values().filter(|object| object.root > 0) {
            let of = owner(object).unwrap_or_else(|| object.table.to_lowercase());
            let is_of_sqlite = object.is_internal && owner(object).is_none() && begins_internal(&object.table);
            let place = if is_of_sqlite { Some(&mut own) } else { found.get_mut(&of) };
            let Some((table, trees)) = place else { continue };
            match object.kind {
                ObjectKind::Index => {
                    trees.indexes.push(object.root);
                    table.indexes.push(IndexSize { name: object.name.clone(), bytes: None });
                }
                ObjectKind::Table if is_of_sqlite => trees.own.push(object.root),
                ObjectKind::Table if table.kind == Kind::Virtual => {
                    trees.own.push(object.root);
                    let part = object.name.to_lowercase();
                    let rank = |part: &str| ONE_FOR_EACH.iter().position(|one| part == format!("{of}_{one}"));
                    if rank(&part).is_some_and(|rank| rank < 2 || trees.counted.is_none()) {
                        trees.counted = Some(object.root);
                    }
                }
                _ => {}
            }
        }
        for (table, trees) in found.into_values().chain([own]) {
            self.tables.tables.push(table);
            self.trees.push(trees);
        }
    }
}

fn begins_internal(name: &str) -> bool {
    name.get(..7).is_some_and(|begin| begin.eq_ignore_ascii_case("sqlite_"))
}

fn empty(name: &str, kind: Kind) -> TableSize {
    TableSize {
        table: name.to_owned(),
        kind,
        columns: None,
        records: None,
        bytes: None,
        index_bytes: None,
        free_bytes: None,
        indexes: Vec::new(),
        records_then: None,
        is_new: false,
        is_measured: false,
        problem: None,
    }
}

/// Measures one tree; in words why it cannot be measured.
fn tree(slices: &Slices<'_>, root: u32) -> Result<std::result::Result<TreeSize, String>> {
    let mut why = String::new();
    for _ in 0..ATTEMPTS {
        let measured = Look::begin(slices).and_then(|look| size::measure(&look, root));
        // A file that took its place, or a program that keeps to no lock, makes it no state of the data file.
        let measured = measured.and_then(|size| slices.require_named().map(|()| size).map_err(Trouble::Failed));
        match measured {
            Ok(size) => return Ok(Ok(size)),
            Err(Trouble::Flaw(flaw)) => return Ok(Err(format!("page {} {}", flaw.page, flaw.what))),
            Err(Trouble::Failed(error)) if error.kind() == ErrorKind::Changed => why = error.message().to_owned(),
            Err(Trouble::Failed(error)) => return Err(error),
        }
    }
    Ok(Err(why))
}

/// Looks at a table and its indexes.
fn table(slices: &Slices<'_>, trees: &Trees, table: &mut TableSize) -> Result<()> {
    let page_size = u64::from(slices.page_size());
    let (mut own, mut all, mut problem) = (Some(TreeSize::default()), Some(TreeSize::default()), None);
    let and = |sum: Option<TreeSize>, size: Option<TreeSize>| Some(sum?.and(size?));
    let mut measure = |root: u32| -> Result<Option<TreeSize>> {
        Ok(tree(slices, root)?.map_err(|why| _ = problem.get_or_insert(why)).ok())
    };
    for root in &trees.own {
        let size = measure(*root)?;
        if trees.counted == Some(*root) {
            table.records = size.map(|size| size.entries);
        }
        own = and(own, size);
    }
    let mut of_indexes = Some(0);
    for (root, index) in trees.indexes.iter().zip(&mut table.indexes) {
        let size = measure(*root)?;
        index.bytes = size.map(|size| size.pages * page_size);
        of_indexes = of_indexes.and_then(|sum: u64| Some(sum + index.bytes?));
        all = and(all, size);
    }
    all = and(all, own);
    // A virtual table of an unknown module has no tree of its own that is known, which is not none.
    if table.problem.is_none() {
        table.bytes = own.map(|own| own.pages * page_size);
        table.index_bytes = of_indexes;
        table.free_bytes = all.map(|all| all.free_bytes);
        table.problem = problem;
    }
    table.is_measured = true;
    Ok(())
}

/// The last backup, and what was seen of its content.
#[derive(Debug, Clone)]
pub struct Last(Since, Option<ContentSeen>);

impl Last {
    /// Of an archive; `None` of one that cannot be read.
    pub fn of(archive: &ArchiveEntry) -> Option<Self> {
        let moment = archive.moment.filter(|_| archive.problem.is_none())?.with_timezone(&Local);
        let since = Since { number: archive.number, moment, bytes: archive.data_bytes };
        Some(Self(since, archive.content.clone()))
    }
}

/// Who is told how far it is.
pub struct Told<'a> {
    /// Stops it, and counts the pages.
    pub control: &'a Control,
    /// Called now and then.
    pub watch: &'a dyn Fn(),
    /// Given what is known so far, whenever that is more.
    pub tell: &'a mut dyn FnMut(&Tables),
}

impl std::fmt::Debug for Told<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Told").field("control", &self.control).finish_non_exhaustive()
    }
}

/// Looks at all tables of the data file at `path`, and compares them with the last backup.
///
/// # Errors
/// Where the data file cannot be read as a whole: it is locked, encrypted, gone, its schema is damaged; `Stopped`.
pub fn measure(path: &Path, last: Option<&Last>, told: Told<'_>) -> Result<Tables> {
    let Told { control, watch, tell } = told;
    let slices = Slices::begin(path, control, watch)?;
    let moment = control.clock().local();
    let mut attempt = 1;
    loop {
        let is_last = attempt == ATTEMPTS;
        attempt += 1;
        let Plan { mut tables, trees } = match Plan::read(&slices, moment) {
            Err(error) if error.kind() == ErrorKind::Changed && !is_last => continue,
            plan => plan?,
        };
        tables.since = last.map(|last| last.0.clone());
        tables.compare(last.and_then(|last| last.1.as_ref()));
        control.phase(Phase::Examining, u64::from(tables.pages.saturating_sub(tables.free_pages)));
        tell(&tables);
        let (mut is_same, mut done) = (true, 0);
        for (at, trees) in trees.iter().enumerate() {
            is_same = slices.is_same_schema()?;
            let Some(found) = tables.tables.get_mut(at).filter(|_| is_same) else { break };
            table(&slices, trees, found)?;
            // Pages that long records go on on were not read, and count as well.
            done += found.all_bytes().unwrap_or_default() / u64::from(slices.page_size());
            control.add(done.saturating_sub(control.progress().done));
            tell(&tables);
        }
        if is_same || is_last {
            for table in tables.tables.iter_mut().filter(|table| !table.is_measured) {
                (table.is_measured, table.problem) =
                    (true, Some("tables are made or changed while they are looked at".to_owned()));
            }
            return Ok(tables);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::seen::TableSeen;

    #[test]
    fn a_table_is_new_only_where_the_archive_names_all_others() {
        let seen = |names: &[&str], table_count| {
            let tables = names.iter().map(|name| TableSeen { name: (*name).to_owned(), rows: Some(7) });
            ContentSeen { tables: tables.collect(), table_count, ..ContentSeen::default() }
        };
        let compared = |seen: &ContentSeen| {
            let moment = Local::now();
            let tables = vec![empty("known", Kind::Table), empty("other", Kind::Table)];
            let mut tables = Tables { moment, page_size: 512, pages: 9, free_pages: 0, since: None, tables };
            tables.compare(Some(seen));
            tables.tables.iter().map(|table| (table.records_then, table.is_new)).collect::<Vec<_>>()
        };
        assert_eq!(compared(&seen(&["known"], 1)), [(Some(7), false), (None, true)]);
        // Cut off, or not read at all: nothing is known of what is not named.
        assert_eq!(compared(&seen(&["known"], 2)), [(Some(7), false), (None, false)]);
        assert_eq!(compared(&seen(&[], 0)), [(None, false), (None, false)]);
    }
}
