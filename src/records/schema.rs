//! The schema of a data file in one state: what its first tree says, and what that means.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    definition::Definition,
    page::{Encoding, Flaw, Kind},
    record::{Value, Values},
    tree::{Look, Trouble, Visited, found},
};
use crate::error::Result;

/// More objects no data file has: who claims so wants to fill the memory.
const OBJECTS_MAX: usize = 1_000_000;

/// What sort of object it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectKind {
    /// A table, virtual ones too.
    Table,
    /// An index.
    Index,
    /// A view.
    View,
    /// A trigger.
    Trigger,
}

impl ObjectKind {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "table" => ObjectKind::Table,
            "index" => ObjectKind::Index,
            "view" => ObjectKind::View,
            "trigger" => ObjectKind::Trigger,
            _ => return None,
        })
    }

    /// What it is called.
    pub fn label(self) -> &'static str {
        match self {
            ObjectKind::Table => "table",
            ObjectKind::Index => "index",
            ObjectKind::View => "view",
            ObjectKind::Trigger => "trigger",
        }
    }
}

/// Something that the schema names.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// What it is.
    pub kind: ObjectKind,
    /// Its name.
    pub name: String,
    /// The table that it is of; of a table, itself.
    pub table: String,
    /// The root of its tree; 0 where it has none.
    pub root: u32,
    /// The statement that makes it; `None` of an index that comes with its table.
    pub sql: Option<String>,
    /// Whether SQLite keeps it for itself.
    pub is_internal: bool,
}

impl Object {
    /// The module of a virtual table, in small letters.
    pub fn module(&self) -> Option<String> {
        let sql = self.sql.as_deref().unwrap_or_default().to_lowercase();
        let (_, using) = sql.split_once(" using ").filter(|_| self.kind == ObjectKind::Table && self.root == 0)?;
        Some(using.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
    }
}

/// A table with a tree, whose records can be told.
#[derive(Debug, Clone)]
pub struct Table {
    /// Its name.
    pub name: Arc<str>,
    /// The root of its tree.
    pub root: u32,
    /// How it is made.
    pub definition: Arc<Definition>,
    /// Why that is not known, if so.
    pub problem: Option<Arc<str>>,
    /// Whether SQLite keeps it for itself.
    pub is_internal: bool,
}

/// What the schema says.
#[derive(Debug, Clone, Default)]
pub struct Schema {
    /// By kind and name in small letters.
    pub objects: BTreeMap<(ObjectKind, String), Object>,
    /// Its tables, by their roots.
    pub tables: BTreeMap<u32, Table>,
    /// The pages that it stands on: nothing of it changes unless one of them does.
    pub pages: HashSet<u32>,
    /// Whether pages that look like those of an index may hold records.
    pub has_by_key: bool,
    /// Tables that virtual ones keep their content in, in small letters, each with the virtual one.
    pub shadows: HashMap<String, String>,
}

/// Definitions by statement: asking SQLite takes long, and most of them stay.
#[derive(Debug, Default)]
pub struct Definitions {
    known: HashMap<(String, String), std::result::Result<Arc<Definition>, String>>,
}

/// So many are kept.
const DEFINITIONS_MAX: usize = 20_000;

impl Definitions {
    fn of(&mut self, name: &str, sql: &str, encoding: Encoding) -> std::result::Result<Arc<Definition>, String> {
        if self.known.len() > DEFINITIONS_MAX {
            self.known.clear();
        }
        let key = (name.to_owned(), sql.to_owned());
        let read = || Definition::read(name, sql, encoding).map(Arc::new);
        self.known.entry(key).or_insert_with(read).clone()
    }
}

impl Schema {
    /// Reads the schema of a state.
    ///
    /// # Errors
    /// Failures to read; the inner one where it is not as the format says.
    pub fn read(look: &Look<'_>, definitions: &mut Definitions) -> Result<std::result::Result<Self, Flaw>> {
        found(Self::read_all(look, definitions))
    }

    fn read_all(look: &Look<'_>, definitions: &mut Definitions) -> std::result::Result<Self, Trouble> {
        let mut schema = Self::default();
        look.refill();
        let mut all: Vec<Object> = Vec::new();
        let pages = &mut schema.pages;
        look.walk(1, true, &mut |visited| {
            let Visited::Node(node) = visited else { return Ok(()) };
            pages.insert(node.number());
            if node.kind() != Kind::TableLeaf {
                return Ok(());
            }
            for index in 0..node.count() {
                let record = look.record(node.number(), &node.cell(index)?, &mut |page| _ = pages.insert(page))?;
                let flaw = Flaw::at(node.number(), "holds a line of the schema that cannot be understood");
                all.push(object(&record, look.head.encoding).ok_or(flaw)?);
                if all.len() > OBJECTS_MAX {
                    return Err(Flaw::at(node.number(), "holds more of a schema than there can be").into());
                }
            }
            Ok(())
        })?;
        let shadows = Shadows::of(&all);
        for mut object in all {
            object.is_internal |= shadows.has(&object);
            if object.kind == ObjectKind::Table && object.root > 0 {
                let sql = object.sql.as_deref().unwrap_or_default();
                let definition = definitions.of(&object.name, sql, look.head.encoding);
                let (definition, problem) = match definition {
                    Ok(definition) => (definition, None),
                    Err(problem) => (Arc::default(), Some(Arc::from(problem))),
                };
                schema.has_by_key |= definition.is_without_rowid() || problem.is_some();
                let name = Arc::from(object.name.as_str());
                let table = Table { name, root: object.root, definition, problem, is_internal: object.is_internal };
                schema.tables.insert(object.root, table);
            }
            schema.objects.insert((object.kind, object.name.to_lowercase()), object);
        }
        schema.shadows = shadows.names;
        Ok(schema)
    }

    /// The table of that name, if it has a tree.
    pub fn table(&self, name: &str) -> Option<&Table> {
        let object = self.objects.get(&(ObjectKind::Table, name.to_lowercase()))?;
        self.tables.get(&object.root)
    }
}

/// Reads a line of the schema; `None` where it is none.
pub(crate) fn object(record: &[u8], encoding: Encoding) -> Option<Object> {
    let mut values = Values::of(record, encoding)?;
    let mut next = || values.next_value()?.ok();
    let text = |value: Value<'_>| match value {
        Value::Text(bytes, _) => {
            Some(value.text().map_or_else(|| String::from_utf8_lossy(bytes).into_owned(), |text| text.into_owned()))
        }
        _ => None,
    };
    let kind = ObjectKind::named(&text(next()?)?)?;
    let (name, table) = (text(next()?)?, text(next()?)?);
    let root = match next()? {
        Value::Integer(root) => u32::try_from(root).ok()?,
        Value::Null => 0,
        _ => return None,
    };
    let sql = next().and_then(text);
    let begins = |name: &str| name.get(..7).is_some_and(|begin| begin.eq_ignore_ascii_case("sqlite_"));
    let is_internal = begins(&name) || begins(&table);
    Some(Object { kind, name, table, root, sql, is_internal })
}

/// Tables that virtual ones keep their content in.
struct Shadows {
    /// In small letters, each with the virtual one.
    names: HashMap<String, String>,
}

/// Which modules keep what in tables of their own, after the name of the table and `_`.
const MODULES: &[(&str, &[&str])] = &[
    ("fts5", &["data", "idx", "content", "docsize", "config"]),
    ("fts4", &["content", "segments", "segdir", "docsize", "stat"]),
    ("fts3", &["content", "segments", "segdir", "docsize", "stat"]),
    ("rtree", &["node", "rowid", "parent"]),
    ("rtree_i32", &["node", "rowid", "parent"]),
    ("geopoly", &["node", "rowid", "parent"]),
];

impl Shadows {
    fn of(all: &[Object]) -> Self {
        let mut names = HashMap::new();
        for object in all.iter().filter(|object| object.kind == ObjectKind::Table && object.root == 0) {
            let Some(module) = object.module() else { continue };
            let Some((_, parts)) = MODULES.iter().find(|(name, _)| *name == module) else { continue };
            let named = |part: &&str| (format!("{}_{part}", object.name.to_lowercase()), object.name.clone());
            names.extend(parts.iter().map(named));
        }
        Self { names }
    }

    fn has(&self, object: &Object) -> bool {
        self.names.contains_key(&object.table.to_lowercase())
    }
}
