//! What is in one state and not in another, table by table: both are read in the order of their keys, side by side, so
//! that a table of any length takes no memory.

use std::cmp::Ordering;

use rusqlite::{Rows, Statement};
use serde::{Deserialize, Serialize};

use super::{
    query::{quoted, value_of},
    shape::{By, Schema, Shape, common},
    state::Looked,
};
use crate::{
    error::{Error, ErrorKind, Result},
    records::{
        page::Encoding,
        record::{Collation, Kept, Value, compare},
    },
};

/// What became of a record or an object on the way from the first state to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// The second has it, and the first has not.
    Added,
    /// Both have it, and not the same.
    Changed,
    /// The first has it, and the second has not.
    Missing,
}

impl Change {
    /// In words.
    pub fn label(self) -> &'static str {
        match self {
            Change::Added => "added",
            Change::Changed => "changed",
            Change::Missing => "missing",
        }
    }
}

/// How the records of a table were told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Told {
    /// By the primary key.
    Key,
    /// By the rowid.
    Rowid,
    /// By all values: a record that was changed is one that is missing and one that was added.
    Values,
}

/// A table in both states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableDifference {
    /// Its name.
    pub table: String,
    /// How its records were told apart.
    pub by: Told,
    /// Records that only the second state has.
    pub added: u64,
    /// Records that both have and that differ.
    pub changed: u64,
    /// Records that only the first state has.
    pub missing: u64,
    /// Columns that only the first state has; they are not compared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only_first: Vec<String>,
    /// Columns that only the second state has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only_second: Vec<String>,
    /// Why it could not be compared to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl TableDifference {
    /// Whether both are the same.
    pub fn is_none(&self) -> bool {
        self.added + self.changed + self.missing == 0 && self.problem.is_none()
    }
}

/// Something that was created, and is not the same in both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaDifference {
    /// `table`, `index`, `view`, `trigger`.
    pub object: String,
    /// Its name.
    pub name: String,
    /// What became of it.
    pub change: Change,
}

/// What was found, as it is found.
#[derive(Debug)]
pub enum Found<'a> {
    /// Something in the schema.
    Schema(&'a SchemaDifference),
    /// A record, by its key.
    Record {
        /// Its table.
        table: &'a str,
        /// What became of it.
        change: Change,
        /// The values of its key; all values where it has none.
        key: &'a [Kept],
    },
    /// A table, once it is compared.
    Table(&'a TableDifference),
}

/// Compares two states. `tables` are looked at, or all where there are none.
///
/// # Errors
/// `NotFound` for a table that neither has; `Damaged` where pages cannot be read; `Stopped`; what `sink` says.
pub fn between(
    first: &Looked,
    second: &Looked,
    tables: &[String],
    sink: &mut dyn FnMut(Found<'_>) -> Result<()>,
) -> Result<()> {
    let (before, after) = (Schema::read(first)?, Schema::read(second)?);
    let is_wanted = |name: &str| tables.is_empty() || tables.iter().any(|table| table.eq_ignore_ascii_case(name));
    for table in tables {
        let key = table.to_ascii_lowercase();
        if !before.tables.contains_key(&key) && !after.tables.contains_key(&key) {
            return Err(Error::new(ErrorKind::NotFound, format!("neither state has a table {table:?}"))
                .hint("strongroom query --tables lists them."));
        }
    }
    for difference in schema(&before, &after).iter().filter(|difference| is_wanted(&difference.name)) {
        sink(Found::Schema(difference))?;
    }
    let mut names: Vec<&String> = before.tables.keys().chain(after.tables.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names.into_iter().filter(|name| is_wanted(name)) {
        let pair = Pair {
            first,
            second,
            shapes: (before.tables.get(name), after.tables.get(name)),
            encodings: (before.encoding, after.encoding),
        };
        let difference = pair.compare(sink)?;
        sink(Found::Table(&difference))?;
    }
    Ok(())
}

fn schema(before: &Schema, after: &Schema) -> Vec<SchemaDifference> {
    let of = |(object, name): &(String, String), change| SchemaDifference {
        object: object.clone(),
        name: name.clone(),
        change,
    };
    let mut found: Vec<SchemaDifference> = Vec::new();
    for (key, sql) in &before.objects {
        match after.objects.get(key) {
            None => found.push(of(key, Change::Missing)),
            Some(other) if other != sql => found.push(of(key, Change::Changed)),
            Some(_) => {}
        }
    }
    found.extend(
        after.objects.keys().filter(|key| !before.objects.contains_key(*key)).map(|key| of(key, Change::Added)),
    );
    found
}

/// A table in two states.
struct Pair<'a> {
    first: &'a Looked,
    second: &'a Looked,
    shapes: (Option<&'a Shape>, Option<&'a Shape>),
    encodings: (Encoding, Encoding),
}

/// What is read of a table: its key comes first.
struct Plan {
    by: Told,
    /// The columns of the key, as statements have them.
    key: Vec<String>,
    /// The others that both have.
    rest: Vec<String>,
}

impl Pair<'_> {
    fn compare(&self, sink: &mut dyn FnMut(Found<'_>) -> Result<()>) -> Result<TableDifference> {
        let shape = self.shapes.0.or(self.shapes.1);
        let name = shape.map(|shape| shape.name.clone()).unwrap_or_default();
        let lacks = |of: Option<&Shape>, in_: Option<&Shape>| -> Vec<String> {
            let (Some(of), Some(in_)) = (of, in_) else { return Vec::new() };
            let is_there = |name: &&String| in_.columns.iter().any(|other| other.eq_ignore_ascii_case(name));
            of.columns.iter().filter(|name| !is_there(name)).cloned().collect()
        };
        let plan = self.plan();
        let mut found = TableDifference {
            table: name,
            by: plan.by,
            added: 0,
            changed: 0,
            missing: 0,
            only_first: lacks(self.shapes.0, self.shapes.1),
            only_second: lacks(self.shapes.1, self.shapes.0),
            problem: None,
        };
        match self.merge(&plan, &mut found, sink) {
            // One table that cannot be read says nothing of the others.
            Err(error) if matches!(error.kind(), ErrorKind::Sqlite | ErrorKind::Damaged) => {
                found.problem = Some(error.message().to_owned());
            }
            done => done?,
        }
        Ok(found)
    }

    fn plan(&self) -> Plan {
        let (by, columns) = match self.shapes {
            (Some(a), Some(b)) => {
                let is_there = |name: &&String| b.columns.iter().any(|other| other.eq_ignore_ascii_case(name));
                (common(a, b), a.columns.iter().filter(is_there).cloned().collect::<Vec<String>>())
            }
            (Some(one), None) | (None, Some(one)) => (one.by.clone(), one.columns.clone()),
            (None, None) => (By::Nothing, Vec::new()),
        };
        // Texts have no common order where they are stored in different forms.
        let by = match by {
            By::Key(_) if self.encodings.0 != self.encodings.1 => By::Nothing,
            by => by,
        };
        let all: Vec<String> = columns.iter().map(|name| quoted(name)).collect();
        match by {
            By::Key(key) => {
                let is_key = |name: &&String| key.iter().any(|of| of.eq_ignore_ascii_case(name));
                let rest = columns.iter().filter(|name| !is_key(name)).map(|name| quoted(name)).collect();
                Plan { by: Told::Key, key: key.iter().map(|name| quoted(name)).collect(), rest }
            }
            By::Rowid(name) => Plan { by: Told::Rowid, key: vec![name], rest: all },
            By::Nothing => Plan { by: Told::Values, key: all, rest: Vec::new() },
        }
    }

    fn merge(
        &self,
        plan: &Plan,
        found: &mut TableDifference,
        sink: &mut dyn FnMut(Found<'_>) -> Result<()>,
    ) -> Result<()> {
        // Tables without a column in common hold nothing to be compared.
        if plan.key.is_empty() {
            return Ok(());
        }
        let mut a = self.shapes.0.map(|shape| prepare(self.first, shape, plan)).transpose()?;
        let mut b = self.shapes.1.map(|shape| prepare(self.second, shape, plan)).transpose()?;
        let keys = plan.key.len();
        let mut a = Side::of(self.first, a.as_mut(), keys, self.encodings.0)?;
        let mut b = Side::of(self.second, b.as_mut(), keys, self.encodings.1)?;
        loop {
            let order = match (&a.row, &b.row) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(one), Some(other)) => order(one, other, keys),
            };
            let change = match order {
                Ordering::Less => Some(Change::Missing),
                Ordering::Greater => Some(Change::Added),
                Ordering::Equal => (a.row != b.row && !is_same(&a.row, &b.row)).then_some(Change::Changed),
            };
            if let Some(change) = change {
                match change {
                    Change::Added => found.added += 1,
                    Change::Changed => found.changed += 1,
                    Change::Missing => found.missing += 1,
                }
                let row = if order == Ordering::Greater { &b.row } else { &a.row };
                let key = row.as_deref().and_then(|row| row.get(..keys)).unwrap_or_default();
                sink(Found::Record { table: &found.table, change, key })?;
            }
            if order != Ordering::Greater {
                a.step()?;
            }
            if order != Ordering::Less {
                b.step()?;
            }
        }
    }
}

fn prepare<'l>(looked: &'l Looked, shape: &Shape, plan: &Plan) -> Result<Statement<'l>> {
    let columns = [plan.key.as_slice(), plan.rest.as_slice()].concat().join(", ");
    let order: Vec<String> = match plan.by {
        Told::Rowid => plan.key.clone(),
        // Whatever order a column has of its own.
        _ => plan.key.iter().map(|column| format!("{column} COLLATE BINARY")).collect(),
    };
    let sql = format!("SELECT {columns} FROM main.{} ORDER BY {}", quoted(&shape.name), order.join(", "));
    looked.connection().prepare(&sql).map_err(|error| looked.explain(&error))
}

/// A table of one state, record by record.
struct Side<'a> {
    looked: &'a Looked,
    rows: Option<Rows<'a>>,
    row: Option<Vec<Kept>>,
    keys: usize,
    encoding: Encoding,
}

impl<'a> Side<'a> {
    /// On its first record; `None` is a table that is not there.
    fn of(
        looked: &'a Looked,
        statement: Option<&'a mut Statement<'_>>,
        keys: usize,
        encoding: Encoding,
    ) -> Result<Self> {
        let rows = statement.map(|statement| statement.query([])).transpose();
        let rows = rows.map_err(|error| looked.explain(&error))?;
        let mut side = Self { looked, rows, row: None, keys, encoding };
        side.step()?;
        Ok(side)
    }

    fn step(&mut self) -> Result<()> {
        let Some(rows) = &mut self.rows else { return Ok(()) };
        let explain = |error: rusqlite::Error| self.looked.explain(&error);
        let before = self.row.take();
        let Some(row) = rows.next().map_err(explain)? else { return Ok(()) };
        let mut values = Vec::new();
        for column in 0..row.as_ref().column_count() {
            let value = value_of(row.get_ref(column).map_err(explain)?);
            values.push(in_form(value, self.encoding).unwrap_or_else(|| value.keep()));
        }
        if before.is_some_and(|before| order(&before, &values, self.keys) == Ordering::Greater) {
            let message = "its records do not come in the order of their keys";
            return Err(Error::new(ErrorKind::Damaged, message).hint("Restore both states, and check them."));
        }
        self.row = Some(values);
        Ok(())
    }
}

/// Text as it is stored, by which SQLite orders it.
fn in_form(value: Value<'_>, encoding: Encoding) -> Option<Kept> {
    if encoding == Encoding::Utf8 {
        return None;
    }
    let text = value.text()?;
    let two = |unit: u16| match encoding {
        Encoding::Utf16Be => unit.to_be_bytes(),
        _ => unit.to_le_bytes(),
    };
    Some(Kept::Text(text.encode_utf16().flat_map(two).collect(), encoding))
}

fn order(a: &[Kept], b: &[Kept], keys: usize) -> Ordering {
    let pairs = a.iter().zip(b).take(keys);
    pairs
        .map(|(a, b)| compare(&a.as_value(), &b.as_value(), Collation::Binary))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

fn is_same(a: &Option<Vec<Kept>>, b: &Option<Vec<Kept>>) -> bool {
    let (Some(a), Some(b)) = (a, b) else { return false };
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.as_value().is_same(&b.as_value()))
}
