//! Records whose cell is as before, and of which only a page changed that they go on at, as when a BLOB is overwritten
//! in place. Nothing on such a page says whose it is. In a data file with auto-vacuum a map does. In any other, the
//! first time that one is written which nothing else explains, all records that go on on other pages are looked for,
//! once; from then on each commit says what becomes of them.

use std::collections::{BTreeSet, HashMap, HashSet, hash_map::Entry};

use super::{
    members::Concerned,
    merge::{Merge, Pair, Place, Sink},
    operation::Key,
    page::{Cell, Kind, kind_of, u32_at},
    record::Value,
    row,
    schema::{Schema, Table},
    tree::{Look, Trouble, Visited, found},
};
use crate::error::Result;

/// What is known of the tables that a commit concerns, by the roots that they had before it; of new ones, by theirs.
/// Where one root is there twice, the last counts.
pub(super) type Known = Vec<(u32, Table, Concerned)>;

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
        if is_known || after.pages.count() < LIKE_A_TREE && kind_of(page, &after.image(page)?).is_some() {
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
                        if node.kind() != Kind::TableInterior {
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

    /// The same of these pages alone, by the map that data files with auto-vacuum have; `None` where there is none, or
    /// where it does not lead to a record that each of them belongs to. Then all must be looked through.
    pub(super) fn by_map(
        look: &Look<'_>,
        schema: &Schema,
        pages: &[u32],
    ) -> std::result::Result<Option<Self>, Trouble> {
        let mut chains = Self::default();
        for page in pages.iter().copied().filter(|_| look.head.has_pointer_map) {
            look.refill();
            let Ok(Some((root, leaf, first))) = found(owner(look, page))? else { return Ok(None) };
            // Also an index has records that go on elsewhere; none of them is told.
            if !schema.tables.contains_key(&root) {
                if schema.objects.values().any(|object| object.root == root) {
                    continue;
                }
                return Ok(None);
            }
            // What the map says is held against the record itself.
            let Ok(Some(place)) = found(cell_with(look, leaf, first))? else { return Ok(None) };
            let image = look.image(leaf)?;
            let noted = look.node(leaf, &image).and_then(|node| node.cell(place.cell)).map_err(Trouble::from);
            let noted = noted.and_then(|cell| chains.note(look, root, (leaf, &cell)));
            if found(noted)?.is_err() || chains.first.get(&page) != Some(&first) {
                return Ok(None);
            }
        }
        Ok(look.head.has_pointer_map.then_some(chains))
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

    /// The tables with these roots are gone.
    pub(super) fn drop_tables(&mut self, roots: &[u32]) {
        self.cells.retain(|_, (root, _)| !roots.contains(root));
    }

    /// Notes what a commit made of the records of a tree. `written` are pages that records go on at now.
    pub(super) fn go_on(
        &mut self,
        (before, look): (&Look<'_>, &Look<'_>),
        root: u32,
        concerned: &Concerned,
        written: &HashSet<u32>,
    ) -> std::result::Result<(), Trouble> {
        // What a page that has left still shows is no record any more.
        for page in &concerned.before {
            let cells = &mut self.cells;
            each_chained(before, *page, &mut |first, _| {
                if cells.get(&first).is_some_and(|(_, known)| known == page) {
                    cells.remove(&first);
                }
            })?;
        }
        look.refill();
        for page in &concerned.after {
            look.refill_pages();
            let image = look.image(*page)?;
            let node = look.node(*page, &image)?;
            if node.kind() == Kind::TableInterior {
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

    /// Tells which records are others because of these pages. `pairs` has what is known of the trees that the commit
    /// concerns, by their roots before it; those of the others in `gone` are there no more.
    pub(super) fn tell(
        &mut self,
        looks: (&Look<'_>, &Look<'_>),
        (schema, pairs, gone): (&Schema, &Known, &[u32]),
        pages: &[u32],
        sink: &mut Sink<'_>,
    ) -> std::result::Result<(), Trouble> {
        let (before, after) = looks;
        let pairs: HashMap<u32, (&Table, &Concerned)> =
            pairs.iter().map(|(root, now, of)| (*root, (now, of))).collect();
        let firsts: BTreeSet<u32> = pages.iter().filter_map(|page| self.first.get(page)).copied().collect();
        let mut moved: HashMap<u32, Moved> = HashMap::new();
        for first in firsts {
            let Some((root, page)) = self.cells.get(&first).copied() else { continue };
            let Some(table) = schema.tables.get(&root) else { continue };
            before.refill();
            after.refill();
            let Some(was) = cell_with(before, page, first)? else { continue };
            let (now, place) = match pairs.get(&root).copied() {
                // What a page that has left still shows is no record any more.
                Some((now, concerned)) => {
                    let moved = match moved.entry(root) {
                        Entry::Occupied(known) => known.into_mut(),
                        Entry::Vacant(new) => new.insert(Moved::of(after, concerned)?),
                    };
                    let place = match moved.left.contains(&page) {
                        true => moved.places.get(&first).copied(),
                        false => cell_with(after, page, first)?,
                    };
                    (now, place)
                }
                None if gone.contains(&root) => continue,
                None => (table, cell_with(after, page, first)?),
            };
            let Some(is) = place else { continue };
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

/// What the map says of a page that a record goes on at: the root of the tree, the page with the cell, and the first
/// page that the record goes on at. `None` where it is something else.
fn owner(look: &Look<'_>, page: u32) -> std::result::Result<Option<(u32, u32, u32)>, Trouble> {
    // See <https://sqlite.org/fileformat2.html#pointer_map_or_ptrmap_pages>.
    const ROOT: u8 = 1;
    const FIRST: u8 = 3;
    const LATER: u8 = 4;
    const NODE: u8 = 5;
    let entry = |page: u32| -> std::result::Result<Option<(u8, u32)>, Trouble> {
        let Some((map, place)) = look.head.pointer_of(page) else { return Ok(None) };
        let image = look.image(map)?;
        Ok(image.get(place).copied().zip(u32_at(&image, place + 1)))
    };
    let mut first = page;
    let leaf = loop {
        match entry(first)? {
            Some((LATER, before)) => first = before,
            Some((FIRST, leaf)) => break leaf,
            _ => return Ok(None),
        }
    };
    let mut root = leaf;
    loop {
        match entry(root)? {
            Some((NODE, above)) => root = above,
            Some((ROOT, _)) => return Ok(Some((root, leaf, first))),
            _ => return Ok(None),
        }
    }
}

/// Where cells of a table are after a commit that go on elsewhere, of the pages that it concerns.
struct Moved {
    places: HashMap<u32, Place>,
    /// The pages that they were on before: whatever is there now, is among the others or gone.
    left: HashSet<u32>,
}

impl Moved {
    fn of(after: &Look<'_>, concerned: &Concerned) -> std::result::Result<Self, Trouble> {
        let mut places = HashMap::new();
        for page in &concerned.after {
            each_chained(after, *page, &mut |first, cell| _ = places.insert(first, Place { page: *page, cell }))?;
        }
        Ok(Self { places, left: concerned.before.iter().copied().collect() })
    }
}

/// The cell on `page` whose record goes on at `first`.
fn cell_with(look: &Look<'_>, page: u32, first: u32) -> std::result::Result<Option<Place>, Trouble> {
    let mut found = None;
    each_chained(look, page, &mut |at, cell| {
        if at == first {
            found = Some(Place { page, cell });
        }
    })?;
    Ok(found)
}

/// Visits the cells of a page whose records go on on other pages: with the first of those.
fn each_chained(look: &Look<'_>, page: u32, visit: &mut dyn FnMut(u32, usize)) -> std::result::Result<(), Trouble> {
    look.refill_pages();
    if page > look.pages.count() {
        return Ok(());
    }
    let image = look.image(page)?;
    // A page that has left may be anything now.
    let Ok(node) = look.node(page, &image) else { return Ok(()) };
    if node.kind() == Kind::TableInterior {
        return Ok(());
    }
    for cell in 0..node.count() {
        let first = node.cell(cell)?.overflow;
        if first != 0 {
            visit(first, cell);
        }
    }
    Ok(())
}
