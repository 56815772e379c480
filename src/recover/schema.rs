//! What the damaged file says of its tables: from its first tree, from pages with lines of a schema wherever they lie,
//! and from the last archive where lines are missing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    chain,
    known::KnownState,
    sheet::Sheet,
    source::Source,
    stamps::Stamps,
    walk::{Seen, Walk, is_possible},
};
use crate::{
    control::Control,
    error::Result,
    records::{
        definition::Definition,
        page::{Cell, Kind, kind_of},
        schema::{Object, ObjectKind, object},
    },
};

/// More objects no data file has: who claims so wants to fill the memory.
const OBJECTS_MAX: usize = 200_000;

/// The tree of the schema itself.
pub(super) const SCHEMA_TREE: u32 = 1;

/// What is known of the schema.
#[derive(Debug, Default)]
pub(super) struct Schema {
    pub(super) objects: Vec<Object>,
    /// Whether every line of it was read, from pages that are as SQLite left them.
    pub(super) is_whole: bool,
    /// How many lines come from the archive.
    pub(super) from_archive: u64,
}

/// A table that is to be made, and the tree with its records.
#[derive(Debug)]
pub(super) struct Table {
    /// The number that its pages are noted under.
    pub(super) tree: u32,
    pub(super) object: Object,
    pub(super) definition: std::result::Result<Arc<Definition>, String>,
}

impl Schema {
    /// Reads it. Pages of the list of free ones must have been noted.
    ///
    /// # Errors
    /// `Stopped`.
    pub(super) fn read(
        source: &Source,
        stamps: &mut Stamps,
        known: Option<&KnownState>,
        control: &Control,
    ) -> Result<Self> {
        let mut found = Found::default();
        let mut is_whole = true;
        let mut walk = Walk { source, stamps, control };
        walk.tree((SCHEMA_TREE, 1, true), &mut |seen, stamps| {
            match seen {
                Seen::Page { sheet, doubt } => {
                    is_whole &= doubt.is_none();
                    for cell in sheet.cells() {
                        is_whole &= found.take(source, stamps, cell.as_ref());
                    }
                }
                Seen::Gap { .. } => is_whole = false,
            }
            Ok(())
        })?;
        if !is_whole {
            found.search(source, stamps, control)?;
        }
        let mut schema = Self { objects: found.objects, is_whole, from_archive: 0 };
        if let Some(known) = known.filter(|_| !is_whole) {
            schema.add_known(known);
        }
        Ok(schema)
    }

    /// Adds what the archive knows and the file has lost. A root that another object has now is not its own any more.
    fn add_known(&mut self, known: &KnownState) {
        let key = |object: &Object| (object.kind, object.name.to_lowercase());
        let there: BTreeSet<_> = self.objects.iter().map(key).collect();
        let roots: BTreeSet<u32> = self.objects.iter().map(|object| object.root).collect();
        for object in known.objects.iter().filter(|object| !there.contains(&key(object))) {
            let root = if roots.contains(&object.root) { 0 } else { object.root };
            // A virtual table has none.
            let lost = root == 0 && object.root != 0;
            self.objects.push(Object { root: if lost { u32::MAX } else { root }, ..object.clone() });
            self.from_archive += 1;
        }
    }

    /// Its tables with a tree, in the order in which they stand. Where a statement and its name do not belong together,
    /// the statement counts, since its columns can be read; where it cannot be read, that of the archive.
    ///
    /// # Errors
    /// `Stopped`.
    pub(super) fn tables(
        &mut self,
        source: &Source,
        known: Option<&KnownState>,
        control: &Control,
    ) -> Result<Vec<Table>> {
        let read = |name: &str, sql: &str| Definition::read(name, sql, source.head.encoding).map(Arc::new);
        let mut tables: Vec<Table> = Vec::new();
        let mut names = BTreeSet::new();
        for object in &self.objects {
            control.check()?;
            if object.kind != ObjectKind::Table || object.root == 0 {
                continue;
            }
            let mut object = object.clone();
            let sql = object.sql.clone().unwrap_or_default();
            let mut definition = read(&object.name, &sql);
            if definition.is_err()
                && let Some(name) = named_in(&sql)
                && let Ok(other) = read(&name, &sql)
            {
                (object.name, definition) = (name, Ok(other));
            }
            let knows = |of: &&Object| {
                of.kind == ObjectKind::Table && (of.name.eq_ignore_ascii_case(&object.name) || of.root == object.root)
            };
            if definition.is_err()
                && let Some(of) = known.and_then(|known| known.objects.iter().find(knows))
                && let Ok(other) = read(&of.name, of.sql.as_deref().unwrap_or_default())
            {
                (object.name, object.sql, definition) = (of.name.clone(), of.sql.clone(), Ok(other));
                self.from_archive += 1;
                self.is_whole = false;
            }
            if names.insert(object.name.to_lowercase()) {
                let tree = SCHEMA_TREE + 1 + tables.len() as u32;
                tables.push(Table { tree, object, definition });
            }
        }
        Ok(tables)
    }

    /// Whether no index comes with the statement of a table, as far as that is known.
    pub(super) fn has_no_own_index(&self, table: &str) -> bool {
        let is_own = |object: &Object| object.kind == ObjectKind::Index && object.sql.is_none();
        self.is_whole && !self.objects.iter().any(|object| is_own(object) && object.table.eq_ignore_ascii_case(table))
    }

    /// The roots of its indexes, each with the name of its table in small letters where it has a line for every record.
    pub(super) fn indexes(&self) -> BTreeMap<u32, Option<String>> {
        let is_index = |object: &&Object| object.kind == ObjectKind::Index && object.root > 0;
        let is_partial = |object: &Object| {
            let sql = object.sql.as_deref().unwrap_or_default().to_lowercase();
            sql.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "where")
        };
        let table = |object: &Object| (!is_partial(object)).then(|| object.table.to_lowercase());
        self.objects.iter().filter(is_index).map(|object| (object.root, table(object))).collect()
    }
}

/// The name that a statement gives to its table.
fn named_in(sql: &str) -> Option<String> {
    let begin = "CREATE TABLE";
    let rest = sql.get(..begin.len()).filter(|start| start.eq_ignore_ascii_case(begin)).and(sql.get(begin.len()..))?;
    let rest = rest.trim_start();
    let open = rest.chars().next()?;
    let close = match open {
        '"' | '`' | '\'' => open,
        '[' => ']',
        _ => return Some(rest.split(|c: char| c.is_whitespace() || c == '(').next()?.to_owned()),
    };
    let (mut name, mut letters) = (String::new(), rest.chars().skip(1).peekable());
    while let Some(letter) = letters.next() {
        if letter == close && (close == ']' || letters.next_if_eq(&close).is_none()) {
            return Some(name);
        }
        name.push(letter);
    }
    None
}

#[derive(Default)]
struct Found {
    objects: Vec<Object>,
    names: BTreeMap<(ObjectKind, String), ()>,
}

impl Found {
    /// Takes what a cell says; false where that is no line of a schema.
    fn take(&mut self, source: &Source, stamps: &Stamps, cell: Option<&Cell<'_>>) -> bool {
        let Some(cell) = cell else { return false };
        chain::note(source, stamps, cell);
        let read = chain::read(source, stamps, cell);
        let Some(object) = object(&read.bytes, source.head.encoding) else { return false };
        let key = (object.kind, object.name.to_lowercase());
        if self.objects.len() >= OBJECTS_MAX || self.names.insert(key, ()).is_some() {
            return false;
        }
        self.objects.push(object);
        read.doubt.is_none()
    }

    /// Looks for lines of a schema on all other pages: some of its tree may be cut off from its root.
    fn search(&mut self, source: &Source, stamps: &Stamps, control: &Control) -> Result<()> {
        for number in 2..=source.count() {
            control.check()?;
            if stamps.is_owned(number) || stamps.is_free(number) {
                continue;
            }
            let Some((image, whole)) = source.page(number) else { continue };
            if kind_of(number, &image) != Some(Kind::TableLeaf) {
                continue;
            }
            let Some(sheet) = Sheet::read(number, (&image, whole), source.head.usable, &[]) else { continue };
            let lines = |cell: Option<Cell<'_>>| {
                let read = cell.map(|cell| chain::read(source, stamps, &cell));
                read.is_some_and(|read| {
                    let (values, _) = chain::values(source, &read);
                    values.len() == 5 && object(&read.bytes, source.head.encoding).is_some()
                })
            };
            if is_possible(source, &sheet) && sheet.is_exact && sheet.node.count() > 0 && sheet.cells().all(lines) {
                stamps.note_schema(number);
                for cell in sheet.cells() {
                    self.take(source, stamps, cell.as_ref());
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_tells_the_name_of_its_table() {
        for (sql, name) in [
            ("CREATE TABLE t(a)", Some("t")),
            ("create table  t (a)", Some("t")),
            ("CREATE TABLE \"a \"\"b\"(c)", Some("a \"b")),
            ("CREATE TABLE [a b](c)", Some("a b")),
            ("CREATE TABLE 'x'(c)", Some("x")),
            ("CREATE TABLE \"a", None),
            ("CREATE INDEX i ON t(a)", None),
            ("", None),
        ] {
            assert_eq!(named_in(sql).as_deref(), name, "{sql}");
        }
    }
}
