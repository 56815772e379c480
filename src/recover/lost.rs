//! What has no place in a table: tables of their own in the new file, beside those of the application.

use std::collections::BTreeSet;

use super::target::Target;
use crate::{
    as_of::query::quoted,
    error::Result,
    records::{
        record::Value,
        schema::{Object, ObjectKind},
    },
};

/// The most columns a table has in SQLite as it is built by default, without those that say what it is.
const FIELDS_MAX: usize = 1_900;

/// So many trees without a name get a table of their own.
const TREES_MAX: usize = 1_000;

/// The tables with what was found and belongs nowhere, made when they are needed.
pub(super) struct Lost {
    taken: BTreeSet<String>,
    tables: Vec<LostTable>,
    doubts: Option<String>,
    pub(super) records: u64,
    pub(super) deleted: u64,
    pub(super) doubtful: u64,
}

struct LostTable {
    /// The root of the tree whose records it has; `None` is the one for all others.
    root: Option<u32>,
    name: String,
    fields: usize,
}

/// Where a record was found, and why it has no place.
#[derive(Clone, Copy)]
pub(super) struct Stray<'a> {
    /// The table that it would belong to.
    pub(super) table: Option<&'a str>,
    /// The root of its tree, or its page.
    pub(super) root: u32,
    /// Whether its tree gets a table of its own.
    pub(super) is_tree: bool,
    pub(super) page: u32,
    /// Of a tree by rowid.
    pub(super) rowid: Option<i64>,
    pub(super) why: &'static str,
}

impl Lost {
    /// No name of the schema is taken twice.
    pub(super) fn new(objects: &[Object]) -> Self {
        let named = objects.iter().filter(|object| object.kind != ObjectKind::Trigger);
        let taken = named.map(|object| object.name.to_lowercase()).collect();
        Self { taken, tables: Vec::new(), doubts: None, records: 0, deleted: 0, doubtful: 0 }
    }

    /// The names of the tables that were made.
    pub(super) fn names(&self) -> Vec<String> {
        self.tables.iter().map(|table| table.name.clone()).collect()
    }

    /// The table that says which records are doubtful, if one was made.
    pub(super) fn doubts(&self) -> Option<String> {
        self.doubts.clone()
    }

    fn free_name(&mut self, target: &Target, wanted: &str) -> Result<String> {
        let (mut name, mut number) = (wanted.to_owned(), 2);
        while self.taken.contains(&name.to_lowercase()) || target.has(&name)? {
            name = format!("{wanted}:{number}");
            number += 1;
        }
        self.taken.insert(name.to_lowercase());
        Ok(name)
    }

    /// Writes a record that has no place.
    pub(super) fn put(&mut self, target: &Target, stray: Stray<'_>, values: &[Value<'_>]) -> Result<()> {
        let mut root = stray.is_tree.then_some(stray.root);
        if self.tables.len() > TREES_MAX && !self.tables.iter().any(|table| table.root == root) {
            root = None;
        }
        let at = match self.tables.iter().position(|table| table.root == root) {
            Some(at) => at,
            None => {
                let wanted = root.map_or_else(|| "lost_and_found".to_owned(), |root| format!("lost_and_found_{root}"));
                let name = self.free_name(target, &wanted)?;
                let columns = "\"table\" TEXT, root INTEGER, page INTEGER, why TEXT, fields INTEGER, id INTEGER";
                target.execute(&format!("CREATE TABLE {}({columns})", quoted(&name)), &[])?;
                self.tables.push(LostTable { root, name, fields: 0 });
                self.tables.len() - 1
            }
        };
        let Some(table) = self.tables.get_mut(at) else { return Ok(()) };
        let count = values.len().min(FIELDS_MAX);
        while table.fields < count {
            let column = format!("ALTER TABLE {} ADD COLUMN c{}", quoted(&table.name), table.fields);
            target.execute(&column, &[])?;
            table.fields += 1;
        }
        let text = |text: &'static str| Value::Text(text.as_bytes(), crate::records::page::Encoding::Utf8);
        let of = |text| Value::Text(str::as_bytes(text), crate::records::page::Encoding::Utf8);
        let mut all = vec![
            stray.table.map_or(Value::Null, of),
            Value::Integer(i64::from(stray.root)),
            Value::Integer(i64::from(stray.page)),
            text(stray.why),
            Value::Integer(values.len() as i64),
            stray.rowid.map_or(Value::Null, Value::Integer),
        ];
        all.extend(values.iter().take(count));
        let marks = vec!["?"; all.len()].join(", ");
        let names: String = (0..count).map(|n| format!(", c{n}")).collect();
        let insert = format!(
            "INSERT INTO {}(\"table\", root, page, why, fields, id{names}) VALUES({marks})",
            quoted(&table.name)
        );
        target.execute(&insert, &all)?;
        self.records += 1;
        Ok(())
    }

    /// Notes that a record which is in its table may not be what it was.
    pub(super) fn doubt(
        &mut self,
        target: &Target,
        (table, key, page): (&str, &[Value<'_>], u32),
        why: &'static str,
    ) -> Result<()> {
        let name = match &self.doubts {
            Some(name) => name.clone(),
            None => {
                let name = self.free_name(target, "doubtful_records")?;
                let columns = "\"table\" TEXT, page INTEGER, why TEXT, key, key2, key3";
                target.execute(&format!("CREATE TABLE {}({columns})", quoted(&name)), &[])?;
                self.doubts = Some(name.clone());
                name
            }
        };
        let text = |text: &str| Value::Text(str::as_bytes(text), crate::records::page::Encoding::Utf8).keep();
        let (table, why) = (text(table), text(why));
        let mut all = vec![table.as_value(), Value::Integer(i64::from(page)), why.as_value()];
        all.extend((0..3).map(|n| key.get(n).copied().unwrap_or(Value::Null)));
        target.execute(&format!("INSERT INTO {} VALUES(?, ?, ?, ?, ?, ?)", quoted(&name)), &all)?;
        self.doubtful += 1;
        Ok(())
    }
}
