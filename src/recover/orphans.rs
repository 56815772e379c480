//! Pages that no tree leads to: put back into the table that they can only be of, or kept as lost and found.

use std::collections::HashMap;

use super::{
    chain,
    fill::{Filled, Filling, is_of},
    lost::Stray,
    sheet::Sheet,
    stamps::Stamps,
    survey::Survey,
    walk::is_possible,
};
use crate::{
    error::Result,
    records::page::{Kind, kind_of, u32_at},
};

/// No tree of SQLite is so deep.
const DEPTH_MAX: usize = 40;
/// See <https://sqlite.org/fileformat2.html#pointer_map_or_ptrmap_pages>.
const ROOT: u8 = 1;
const NODE: u8 = 5;

/// What a page becomes.
#[derive(Clone, Copy)]
struct Placed {
    /// Which of the tables has it.
    table: usize,
    /// What speaks against it.
    doubt: Option<&'static str>,
}

/// The pages that no tree leads to.
pub(super) struct Orphans<'o> {
    pub(super) survey: &'o Survey,
    pub(super) stamps: &'o Stamps,
    /// Whether every line of the schema was read.
    pub(super) knows_schema: bool,
    /// Whether records of free pages are wanted too.
    pub(super) with_deleted: bool,
}

impl Orphans<'_> {
    /// Whether a page belongs to nothing that was seen.
    fn is_one(&self, filling: &Filling<'_>, page: u32) -> bool {
        let stamps = self.stamps;
        page > 1
            && page <= filling.source.count()
            && !stamps.is_owned(page)
            && (self.with_deleted || !stamps.is_free(page))
    }

    /// Goes through all of them.
    ///
    /// # Errors
    /// Those of the disk, `Stopped`.
    pub(super) fn run(&self, filling: &mut Filling<'_>, tables: &mut [Filled<'_>]) -> Result<()> {
        let source = filling.source;
        let above = self.above(filling)?;
        let mut of_tree: HashMap<u32, Option<Placed>> = HashMap::new();
        for page in 2..=source.count() {
            filling.control.check()?;
            if !self.is_one(filling, page) {
                continue;
            }
            let Some((image, whole)) = source.page(page) else { continue };
            let Some(kind) = kind_of(page, &image).filter(|kind| *kind != Kind::TableInterior) else { continue };
            // A page that a record goes on at begins with the number of the next one: that is no mark of a tree, unless
            // something else was written over it.
            if self.stamps.is_chained(page) && u32_at(&image, 0).is_some_and(|next| next <= source.count()) {
                continue;
            }
            let sheet = Sheet::read(page, (&image, whole), source.head.usable, &[]);
            let Some(sheet) = sheet.filter(|sheet| is_possible(source, sheet)) else { continue };
            filling.control.add(1);
            sheet.cells().flatten().for_each(|cell| chain::note(source, self.stamps, &cell));
            if self.stamps.is_free(page) {
                if kind == Kind::TableLeaf && sheet.is_exact {
                    self.keep(filling, &sheet, (page, false), "deleted")?;
                }
                continue;
            }
            // Indexes are made anew from their tables, which lack nothing.
            if !kind.is_table() && self.knows_schema && self.survey.tables_are_whole() {
                continue;
            }
            let root = root_of(&above, page);
            let place = || self.place(filling, tables, &sheet);
            let placed = match root == page {
                true => place(),
                false => *of_tree.entry(root).or_insert_with(place),
            };
            match placed.and_then(|placed| tables.get_mut(placed.table).map(|table| (placed, table))) {
                Some((placed, table)) => {
                    let before = table.report.found;
                    let why = placed.doubt.or((!sheet.is_exact).then_some("its page is damaged"));
                    filling.sheet(table, (&sheet, self.stamps), why)?;
                    table.report.placed += table.report.found - before;
                }
                None => {
                    let why = match self.survey.knows_free {
                        true => "its page belongs to no table",
                        false => "its page belongs to no table, and may be one that was deleted",
                    };
                    self.keep(filling, &sheet, (root, root != page), why)?;
                }
            }
        }
        Ok(())
    }

    /// Which page leads to each of them, where one does; empty where none does.
    fn above(&self, filling: &Filling<'_>) -> Result<Vec<u32>> {
        let source = filling.source;
        let mut above = Vec::new();
        for page in 2..=source.count() {
            filling.control.check()?;
            if !self.is_one(filling, page) || self.stamps.is_free(page) {
                continue;
            }
            let Some((image, whole)) = source.page(page) else { continue };
            if !kind_of(page, &image).is_some_and(Kind::is_interior) {
                continue;
            }
            let Some(sheet) = Sheet::read(page, (&image, whole), source.head.usable, &[]) else { continue };
            if !sheet.is_exact {
                continue;
            }
            above.resize(source.count() as usize + 1, 0);
            let children = sheet.cells().flatten().map(|cell| cell.child).chain([sheet.node.right()]);
            for child in children.filter(|child| self.is_one(filling, *child)) {
                if let Some(place) = above.get_mut(child as usize).filter(|place| **place == 0) {
                    *place = page;
                }
            }
        }
        Ok(above)
    }

    /// Which table a page can only be of.
    fn place(&self, filling: &Filling<'_>, tables: &[Filled<'_>], sheet: &Sheet<'_>) -> Option<Placed> {
        let page = sheet.node.number();
        let fits = |table: &Filled<'_>| {
            let definition = table.table.definition.as_ref().ok();
            definition.is_some_and(|definition| {
                definition.is_without_rowid() != sheet.node.kind().is_table()
                    && is_of(filling.source, definition, sheet)
            })
        };
        let at = |tree: u32| tables.iter().position(|table| table.table.tree == tree && fits(table));
        let misplaced = self.survey.elsewhere.get(&page).and_then(|tree| at(*tree));
        if let Some(table) = misplaced {
            return Some(Placed { table, doubt: Some("its page is of another place") });
        }
        let rowids = sheet.rowids();
        let has_gap = |table: &Filled<'_>| {
            let index = tables.iter().position(|other| other.table.tree == table.table.tree);
            let seen = index.and_then(|index| self.survey.tables.get(index));
            seen.is_some_and(|seen| match rowids.filter(|_| sheet.node.kind().is_table()) {
                Some(rowids) => seen.gaps.iter().any(|gap| gap.hold(rowids)),
                None => !seen.gaps.is_empty(),
            })
        };
        if let Some(root) = mapped_root(filling, page) {
            let table = tables.iter().position(|table| table.table.object.root == root && fits(table));
            if let Some((index, table)) = table.and_then(|index| tables.get(index).map(|table| (index, table))) {
                let doubt = (!has_gap(table) || !sheet.is_exact).then_some("its page was found apart from its table");
                return Some(Placed { table: index, doubt });
            }
        }
        // What may have been deleted is put into no table, and lines of an index may look like records.
        if !self.survey.knows_free || !sheet.node.kind().is_table() || !sheet.is_exact {
            return None;
        }
        let mut possible = tables.iter().enumerate().filter(|(_, table)| has_gap(table) && fits(table));
        let (index, _) = possible.next()?;
        let doubt = Some("its page was found apart from its table");
        possible.next().is_none().then_some(Placed { table: index, doubt })
    }

    /// Keeps the records of a page as lost and found.
    fn keep(
        &self,
        filling: &mut Filling<'_>,
        sheet: &Sheet<'_>,
        (root, is_tree): (u32, bool),
        why: &'static str,
    ) -> Result<()> {
        let by_rowid = sheet.node.kind().is_table();
        let page = sheet.node.number();
        for cell in sheet.cells().flatten() {
            let read = chain::read(filling.source, self.stamps, &cell);
            let (values, _) = chain::values(filling.source, &read);
            if values.is_empty() {
                continue;
            }
            let rowid = by_rowid.then_some(cell.rowid);
            let why = read.doubt.unwrap_or(why);
            let stray = Stray { table: None, root, is_tree, page, rowid, why };
            filling.lost.put(filling.target, stray, &values)?;
            if self.stamps.is_free(page) {
                filling.lost.deleted += 1;
            }
        }
        Ok(())
    }
}

/// The page that leads to another, and to that, and so on.
fn root_of(above: &[u32], page: u32) -> u32 {
    let mut root = page;
    for _ in 0..DEPTH_MAX {
        match above.get(root as usize) {
            Some(next) if *next != 0 && *next != page => root = *next,
            _ => break,
        }
    }
    root
}

/// The root of the tree that a page belongs to by the map of a data file with auto-vacuum.
fn mapped_root(filling: &Filling<'_>, page: u32) -> Option<u32> {
    let source = filling.source;
    let mut at = page;
    for _ in 0..DEPTH_MAX {
        let (map, place) = source.head.pointer_of(at)?;
        let (image, _) = source.page(map)?;
        match (*image.get(place)?, u32_at(&image, place + 1)?) {
            (NODE, above) if above != 0 => at = above,
            (ROOT, _) => return Some(at),
            _ => return None,
        }
    }
    None
}
