//! Records of a data file as SQLite reads them, and as we do.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use rusqlite::{Connection, types::ValueRef};
use serde_json::{Map, Value, json};
use strongroom::{
    error::Result,
    records::{
        changes::Tracker,
        operation::{Change, Key, Operation, Side},
        page::{Image, Kind},
        row,
        schema::{Definitions, Schema},
        tree::{Look, Pages},
    },
};

/// A data file as it stands on the disk.
pub struct Bytes {
    pub bytes: Vec<u8>,
    pub page_size: usize,
}

impl Bytes {
    pub fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let page_size = match u16::from_be_bytes([bytes[16], bytes[17]]) {
            1 => 65536,
            size => usize::from(size),
        };
        Self { bytes, page_size }
    }

    pub fn at(&self, page: u32) -> Option<&[u8]> {
        let from = (page as usize).checked_sub(1)?.checked_mul(self.page_size)?;
        self.bytes.get(from..from + self.page_size)
    }

    pub fn changed(&self, after: &Self) -> Vec<u32> {
        (1..=after.count()).filter(|page| self.at(*page) != after.at(*page)).collect()
    }
}

impl Pages for Bytes {
    fn page(&self, number: u32) -> Result<Option<Image>> {
        Ok(self.at(number).map(|bytes| Arc::new(bytes.to_vec())))
    }

    fn count(&self) -> u32 {
        (self.bytes.len() / self.page_size) as u32
    }
}

/// A number from a row of them that is the same each time.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % limit
    }

    pub fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }
}

pub fn plain(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => json!(number),
        ValueRef::Real(number) => json!(number),
        ValueRef::Text(text) => json!(String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => {
            json!({ "blob": bytes.iter().map(|b| format!("{b:02x}")).collect::<String>() })
        }
    }
}

pub type Rows = BTreeMap<String, (Value, Map<String, Value>)>;

/// Every record of every table by its key, as SQLite reads it.
pub fn content(conn: &Connection) -> BTreeMap<String, Rows> {
    let list = "SELECT name, wr FROM pragma_table_list JOIN sqlite_schema USING(name) \
                WHERE schema='main' AND rootpage>0 AND name NOT LIKE 'sqlite_%'";
    let mut tables = BTreeMap::new();
    let mut asked = conn.prepare(list).unwrap();
    let names: Vec<(String, bool)> =
        asked.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(|row| row.unwrap()).collect();
    for (table, by_key) in names {
        let mut asked = conn.prepare("SELECT name, pk, hidden FROM pragma_table_xinfo(?1)").unwrap();
        let columns: Vec<(String, i64, i64)> = asked
            .query_map([&table], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .unwrap()
            .map(|row| row.unwrap())
            .filter(|(_, _, hidden)| *hidden != 2)
            .collect();
        let list: Vec<String> = columns.iter().map(|(name, ..)| format!("\"{name}\"")).collect();
        let rowid = if by_key { "0" } else { "rowid" };
        let mut asked = conn.prepare(&format!("SELECT {rowid}, {} FROM \"{table}\"", list.join(", "))).unwrap();
        let mut rows = asked.query([]).unwrap();
        let mut found = Rows::new();
        while let Some(row) = rows.next().unwrap() {
            let values: Vec<Value> = (0..columns.len()).map(|n| plain(row.get_ref(n + 1).unwrap())).collect();
            let mut parts: Vec<(i64, Value)> =
                columns.iter().zip(&values).filter(|(c, _)| c.1 > 0).map(|(c, v)| (c.1, v.clone())).collect();
            parts.sort_by_key(|(part, _)| *part);
            let mut parts: Vec<Value> = parts.into_iter().map(|(_, value)| value).collect();
            let key = match (by_key, parts.len()) {
                (false, _) => plain(row.get_ref(0).unwrap()),
                (true, 1) => parts.remove(0),
                (true, _) => Value::Array(parts),
            };
            let shown = columns.iter().map(|(name, ..)| name.clone()).zip(values).collect();
            found.insert(key.to_string(), (key, shown));
        }
        tables.insert(table, found);
    }
    tables
}

/// What we read of every record, in the same form.
pub fn decoded(bytes: &Bytes) -> BTreeMap<String, Rows> {
    let look = Look::begin(bytes).unwrap();
    let schema = Schema::read(&look, &mut Definitions::default()).unwrap().unwrap();
    let mut tables = BTreeMap::new();
    for table in schema.tables.values().filter(|table| !table.name.starts_with("sqlite_")) {
        assert_eq!(table.problem, None, "{}", table.name);
        let by_key = table.definition.is_without_rowid();
        let mut found = Rows::new();
        for page in look.pages_of(table.root, by_key).unwrap() {
            let image = look.image(page).unwrap();
            let node = look.node(page, &image).unwrap();
            assert_eq!(node.kind().is_table(), !by_key);
            if node.kind() == Kind::TableInterior {
                continue;
            }
            for index in 0..node.count() {
                let cell = node.cell(index).unwrap();
                let record = look.record(page, &cell, &mut |_| {}).unwrap();
                let row = row::read(&table.definition, cell.rowid, &record, look.head.encoding).unwrap();
                let mut parts = table.definition.key.iter().flatten().map(|part| row[part.column].unwrap());
                let key = match by_key {
                    false => Key::Rowid(cell.rowid),
                    true => Key::Values(parts.by_ref().collect()),
                };
                let key = serde_json::to_value(key).unwrap();
                let side = Side::Record(&table.definition, row);
                let Value::Object(shown) = serde_json::to_value(side).unwrap() else { panic!() };
                assert!(found.insert(key.to_string(), (key, shown)).is_none(), "twice");
            }
        }
        tables.insert(table.name.to_string(), found);
    }
    tables
}

/// What must be told of a commit: the net changes of records.
pub fn expected(before: &BTreeMap<String, Rows>, after: &BTreeMap<String, Rows>) -> Vec<Value> {
    let (none, mut told) = (Rows::new(), Vec::new());
    for (table, now) in after {
        let was = before.get(table).unwrap_or(&none);
        for (id, (key, new)) in now {
            match was.get(id) {
                None => told.push(json!({ "action": "add", "table": table, "key": key, "new": new })),
                Some((_, old)) if old.iter().any(|(name, value)| new.get(name).is_some_and(|new| new != value)) => {
                    told.push(json!({ "action": "modify", "table": table, "key": key, "old": old, "new": new }));
                }
                Some(_) => {}
            }
        }
        for (id, (key, old)) in was {
            if !now.contains_key(id) {
                told.push(json!({ "action": "delete", "table": table, "key": key, "old": old }));
            }
        }
    }
    told.sort_by_key(Value::to_string);
    told
}

/// What is told of a step.
pub fn told(tracker: &mut Tracker, before: &Bytes, after: &Bytes) -> Vec<Value> {
    let mut told = Vec::new();
    let changed = before.changed(after);
    tracker
        .step(before, after, &changed, &mut |change: &Change<'_>| {
            let operation = Operation { number: 1, commit: 1, time: Default::default(), change };
            let mut value = serde_json::to_value(&operation).unwrap();
            for name in ["operation", "commit", "time"] {
                value.as_object_mut().unwrap().remove(name);
            }
            told.push(value);
            Ok(())
        })
        .unwrap();
    told
}

pub fn of_records(told: &[Value]) -> Vec<Value> {
    let is_of = |value: &&Value| value.get("object").is_none() && value.get("internal").is_none();
    let mut records: Vec<Value> = told.iter().filter(is_of).cloned().collect();
    records.sort_by_key(Value::to_string);
    records
}
