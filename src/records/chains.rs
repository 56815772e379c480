//! Records whose cell is as before, and of which only a page changed that they go on at, as when a BLOB is overwritten in
//! place. Nothing on such a page says whose it is. So the first time that one is written which nothing else explains, all
//! records that go on on other pages are looked for, once; from then on each commit says what becomes of them.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{
    merge::{Merge, Pair, Place, Sink},
    operation::Key,
    page::{Cell, kind_of},
    record::Value,
    row,
    schema::{Schema, Table},
    tree::{Look, Trouble, Visited, found},
};
use crate::error::Result;

/// A page number of which the first byte may be that of a page of a tree.
const LIKE_A_TREE: u32 = 1 << 25;

/// Which pages belong to which records, in the state before the next commit.
#[derive(Debug, Default)]
pub(super) struct Chains {
    /// The first page of the record that a page belongs to.
    first: HashMap<u32, u32>,
    /// The root of the tree and the page with the cell, by the first page that its record goes on at.
    cells: HashMap<u32, (u32, u32)>,
}

/// The pages of a commit that only a record whose cell is as before can explain; perhaps none.
pub(super) fn unexplained(
    (before, after): (&Look<'_>, &Look<'_>),
    (schema, schema_after): (&Schema, &Schema),
    changed: &[u32],
    explained: &HashSet<u32>,
) -> std::result::Result<Vec<u32>, Trouble> {
    let count = before.pages.count().min(after.pages.count());
    let mut left = Vec::new();
    for page in changed.iter().copied().filter(|page| *page <= count) {
        let is_known = explained.contains(&page)
            || schema.pages.contains(&page)
            || schema_after.pages.contains(&page)
            || schema_after.tables.contains_key(&page)
            || after.head.is_apart(page);
        if is_known || after.pages.count() < LIKE_A_TREE && kind_of(page, &*after.image(page)?).is_some() {
            continue;
        }
        left.push(page);
    }
    if !left.is_empty() {
        after.refill();
        // A list that is broken names no page for certain.
        if let Ok((trunks, leaves)) = found(after.free())? {
            let free: HashSet<u32> = trunks.into_iter().chain(leaves).collect();
            left.retain(|page| !free.contains(page));
        }
    }
    Ok(left)
}

impl Chains {
    /// Looks through all tables of a state. A table that is not sound is passed over.
    pub(super) fn find(look: &Look<'_>, schema: &Schema) -> Result<Self> {
        let mut chains = Self::default();
        for table in schema.tables.values() {
            look.refill();
            let walked = look.walk(table.root, true, &mut |visited| {
                if let Visited::Node(node) = visited {
                    for index in 0..node.count() {
                        if node.kind() != super::page::Kind::TableInterior {
                            chains.note(look, table.root, (node.number(), &node.cell(index)?))?;
                        }
                    }
                }
                Ok(())
            });
            let _ = found(walked)?;
        }
        Ok(chains)
    }

    /// Notes the pages of a record.
    fn note(&mut self, look: &Look<'_>, root: u32, (page, cell): (u32, &Cell<'_>)) -> std::result::Result<(), Trouble> {
        if cell.overflow == 0 {
            return Ok(());
        }
        self.cells.insert(cell.overflow, (root, page));
        let first = &mut self.first;
        look.record(page, cell, &mut |page| _ = first.insert(page, cell.overflow))?;
        Ok(())
    }

    /// Notes what a commit made of the records on these pages of a tree. `written` are pages that records go on at now.
    pub(super) fn go_on(
        &mut self,
        look: &Look<'_>,
        root: u32,
        pages: &[u32],
        written: &HashSet<u32>,
    ) -> std::result::Result<(), Trouble> {
        look.refill();
        for page in pages {
            look.refill_pages();
            let image = look.image(*page)?;
            let node = look.node(*page, &image)?;
            if node.kind() == super::page::Kind::TableInterior {
                continue;
            }
            for index in 0..node.count() {
                let cell = node.cell(index)?;
                let is_known = self.first.contains_key(&cell.overflow) && !written.contains(&cell.overflow);
                if is_known {
                    self.cells.insert(cell.overflow, (root, *page));
                } else {
                    self.note(look, root, (*page, &cell))?;
                }
            }
        }
        Ok(())
    }

    /// Tells which records are others because of these pages. `now` has the pages of each tree that hold cells after the
    /// commit and that it wrote or moved.
    pub(super) fn tell(
        &mut self,
        looks: (&Look<'_>, &Look<'_>),
        (schema, pairs): (&Schema, &HashMap<u32, (Table, Vec<u32>)>),
        pages: &[u32],
        sink: &mut Sink<'_>,
    ) -> std::result::Result<(), Trouble> {
        let (before, after) = looks;
        let firsts: BTreeSet<u32> = pages.iter().filter_map(|page| self.first.get(page)).copied().collect();
        for first in firsts {
            let Some((root, page)) = self.cells.get(&first).copied() else { continue };
            let Some(table) = schema.tables.get(&root) else { continue };
            before.refill();
            after.refill();
            let Some(was) = cell_with(before, &[page], first)? else { continue };
            let (now, moved) = match pairs.get(&root) {
                Some((now, concerned)) => (now, concerned.as_slice()),
                None => (table, &[][..]),
            };
            let found_now = match cell_with(after, moved, first)? {
                Some(place) => Some(place),
                None => cell_with(after, &[page], first)?,
            };
            let Some(is) = found_now else { continue };
            let images = (before.image(was.page)?, after.image(is.page)?);
            let old = before.node(was.page, &images.0)?.cell(was.cell)?;
            let new = after.node(is.page, &images.1)?.cell(is.cell)?;
            // Any other cell was compared already.
            if old.raw != new.raw {
                continue;
            }
            let key = match &table.definition.key {
                None => Ok(Vec::new()),
                Some(parts) => {
                    let record = before.record(was.page, &old, &mut |_| {})?;
                    row::key(parts.len(), &record, before.head.encoding)
                        .map(|values| values.into_iter().map(Value::keep).collect::<Vec<_>>())
                }
            };
            let Ok(kept) = key else { continue };
            let key = match table.definition.is_without_rowid() {
                true => Key::Values(kept.iter().map(super::record::Kept::as_value).collect()),
                false => Key::Rowid(old.rowid),
            };
            let mut explained = HashSet::new();
            let pair = Pair { before: table, after: now };
            Merge::new(looks, pair, &mut explained).tell(key, Some((was.page, old)), Some((is.page, new)), sink)?;
            self.note(after, root, (is.page, &new))?;
        }
        Ok(())
    }
}

/// The cell whose record goes on at `first`.
fn cell_with(look: &Look<'_>, pages: &[u32], first: u32) -> std::result::Result<Option<Place>, Trouble> {
    for page in pages {
        look.refill_pages();
        if *page > look.pages.count() {
            continue;
        }
        let image = look.image(*page)?;
        let Ok(node) = look.node(*page, &image) else { continue };
        if node.kind() == super::page::Kind::TableInterior {
            continue;
        }
        for cell in 0..node.count() {
            if node.cell(cell)?.overflow == first {
                return Ok(Some(Place { page: *page, cell }));
            }
        }
    }
    Ok(None)
}
