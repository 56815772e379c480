//! What a commit made of the schema: objects that came, went, or are others, and which table is which.

use std::collections::HashSet;

use super::{
    merge::Sink,
    operation::{Action, Change, Key, Side},
    schema::{Object, ObjectKind, Schema, Table},
};
use crate::error::Result;

/// What became of the objects.
#[derive(Debug, Default)]
pub(super) struct Differences<'a> {
    pub(super) created: Vec<&'a Object>,
    pub(super) altered: Vec<(&'a Object, &'a Object)>,
    pub(super) dropped: Vec<&'a Object>,
}

impl<'a> Differences<'a> {
    pub(super) fn between(before: &'a Schema, after: &'a Schema) -> Self {
        let mut found = Self::default();
        let mut renamed: HashSet<&str> = HashSet::new();
        for (key, old) in &before.objects {
            match after.objects.get(key) {
                Some(new) if old.sql == new.sql && old.table == new.table && old.name == new.name => {}
                Some(new) => found.altered.push((old, new)),
                None => match renamed_table(old, before, after) {
                    Some(new) => {
                        renamed.insert(&new.name);
                        found.altered.push((old, new));
                    }
                    None => found.dropped.push(old),
                },
            }
        }
        for (key, new) in &after.objects {
            let is_renamed = new.kind == ObjectKind::Table && renamed.contains(new.name.as_str());
            if !before.objects.contains_key(key) && !is_renamed {
                found.created.push(new);
            }
        }
        // What comes with its table is said by it.
        found.created.retain(|object| object.sql.is_some());
        found.dropped.retain(|object| object.sql.is_some());
        found.altered.retain(|(old, _)| old.sql.is_some());
        found
    }

    /// Whether all is as it was, but for where it lies.
    pub(super) fn is_empty(&self) -> bool {
        self.created.is_empty() && self.altered.is_empty() && self.dropped.is_empty()
    }

    /// The table that `table` is after the commit.
    pub(super) fn now(&self, table: &Table, after: &'a Schema) -> Option<&'a Table> {
        let is_it = |object: &Object| object.kind == ObjectKind::Table && *object.name == *table.name;
        match self.altered.iter().find(|(old, _)| is_it(old)) {
            Some((_, new)) => after.table(&new.name),
            None => after.table(&table.name),
        }
    }

    /// Tells what was created and altered.
    pub(super) fn tell(&self, sink: &mut Sink<'_>) -> Result<()> {
        for (old, new) in &self.altered {
            let change = of_object(Action::Alter, old);
            sink(&Change { old: Some(Side::Object(old)), new: Some(Side::Object(new)), ..change })?;
        }
        // A table before what stands on it: the order of their kinds.
        for new in &self.created {
            sink(&Change { new: Some(Side::Object(new)), ..of_object(Action::Create, new) })?;
        }
        Ok(())
    }

    /// Tells what was dropped, the last kind first; `count` says how many records went with a table.
    pub(super) fn tell_dropped(
        &self,
        count: &mut dyn FnMut(&Object) -> Result<Option<u64>>,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        for old in self.dropped.iter().rev() {
            let count = if old.kind == ObjectKind::Table { count(old)? } else { None };
            sink(&Change { old: Some(Side::Object(old)), count, ..of_object(Action::Drop, old) })?;
        }
        Ok(())
    }
}

fn of_object(action: Action, object: &Object) -> Change<'_> {
    Change {
        object: Some(object.kind),
        table: Some(&object.table),
        key: Some(Key::Name(&object.name)),
        is_internal: object.is_internal,
        ..Change::of(action)
    }
}

/// What a table is called now: one with the same tree and the same columns, and a name that there was not.
fn renamed_table<'a>(old: &Object, before: &Schema, after: &'a Schema) -> Option<&'a Object> {
    if old.kind != ObjectKind::Table || old.root == 0 {
        return None;
    }
    let (was, is) = (before.tables.get(&old.root)?, after.tables.get(&old.root)?);
    let names = |table: &Table| -> Vec<String> {
        table.definition.columns.iter().map(|column| column.name.to_lowercase()).collect()
    };
    let key = (ObjectKind::Table, is.name.to_lowercase());
    let is_new = !before.objects.contains_key(&key);
    (is_new && names(was) == names(is)).then(|| after.objects.get(&key)).flatten()
}
