//! Records before and after a commit, compared by key: what one page lost and another got is no change.

use std::{borrow::Cow, cmp::Ordering, collections::HashSet};

use super::{
    cells::{Cells, Cursor, OnPage},
    definition::Definition,
    members::{Concerned, compare_keys},
    operation::{Action, Change, Key, Side},
    page::{Cell, Flaw, Image},
    record::{Kept, Value},
    row::{self, Row},
    schema::Table,
    tree::{Look, Trouble, found},
};
use crate::error::Result;

/// Told every change.
pub(super) type Sink<'s> = dyn FnMut(&Change<'_>) -> Result<()> + 's;

/// A table before and after.
pub(super) struct Pair<'a> {
    pub(super) before: &'a Table,
    pub(super) after: &'a Table,
}

/// What compares the records of one table.
pub(super) struct Merge<'a> {
    pub(super) looks: (&'a Look<'a>, &'a Look<'a>),
    pub(super) pair: Pair<'a>,
    /// For each column now, which one it was; empty where they are the same ones.
    columns: Vec<Option<usize>>,
    /// The pages that records which are another one go on at now.
    pub(super) explained: &'a mut HashSet<u32>,
}

/// Which column each one was: by its name, and where just its name is another one, by its place.
fn columns_before(before: &Definition, after: &Definition) -> Vec<Option<usize>> {
    let named = |definition: &Definition, name: &str| {
        definition.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name))
    };
    let is_same_length = before.columns.len() == after.columns.len();
    let by_place = |place: usize| {
        let was = before.columns.get(place).filter(|_| is_same_length)?;
        named(after, &was.name).is_none().then_some(place)
    };
    let one =
        |(place, column): (usize, &super::definition::Column)| named(before, &column.name).or_else(|| by_place(place));
    after.columns.iter().enumerate().map(one).collect()
}

/// A place in a tree: a page, and which of its cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) page: u32,
    pub(super) cell: usize,
}

impl<'a> Merge<'a> {
    pub(super) fn new(looks: (&'a Look<'a>, &'a Look<'a>), pair: Pair<'a>, explained: &'a mut HashSet<u32>) -> Self {
        let (before, after) = (&pair.before.definition, &pair.after.definition);
        let is_same = std::sync::Arc::ptr_eq(before, after);
        let columns = if is_same { Vec::new() } else { columns_before(before, after) };
        Self { looks, pair, columns, explained }
    }

    /// Compares all cells on these pages.
    ///
    /// # Errors
    /// Where a page is not one of such a tree: then nothing of this table was told. Failures.
    pub(super) fn run(&mut self, concerned: &Concerned, sink: &mut Sink<'_>) -> std::result::Result<(), Trouble> {
        let (before, after) = (&concerned.before, &concerned.after);
        self.looks.0.refill();
        self.looks.1.refill();
        let is_plain = concerned.is_plain;
        if self.pair.after.definition.is_without_rowid() {
            if is_plain {
                let mut pages = before.iter();
                return pages.try_for_each(|page| self.run_by_key(&[*page], &[*page], sink));
            }
            return self.run_by_key(before, after, sink);
        }
        // Nothing is told of a table before all of it is known to be sound: what is missing would look like a deletion.
        if is_plain && self.is_same_definition() {
            if let [page] = before.as_slice() {
                return self.run_on_page(*page, sink);
            }
            let (left, right) = self.differing(before)?;
            return self.compare(left, right, sink);
        }
        let (left, right) = (Cursor::over(self.looks.0, before)?, Cursor::over(self.looks.1, after)?);
        self.compare(left, right, sink)
    }

    /// The same for what most commits write: a single page that holds the same keys before and after.
    fn run_on_page(&mut self, page: u32, sink: &mut Sink<'_>) -> std::result::Result<(), Trouble> {
        let (before, after) = self.looks;
        let images = (before.image(page)?, after.image(page)?);
        let nodes = (before.node(page, &images.0)?, after.node(page, &images.1)?);
        let ranges = nodes.0.differing(&nodes.1);
        let left = OnPage::of(&nodes.0, ranges.0)?;
        let right = OnPage::of(&nodes.1, ranges.1)?;
        self.compare(left, right, sink)
    }

    /// Compares cells that are in order on both sides.
    fn compare(
        &mut self,
        mut left: impl Cells,
        mut right: impl Cells,
        sink: &mut Sink<'_>,
    ) -> std::result::Result<(), Trouble> {
        left.prepare()?;
        right.prepare()?;
        loop {
            let (a, b) = (left.cell()?, right.cell()?);
            let order = match (&a, &b) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(a), Some(b)) => a.1.rowid.cmp(&b.1.rowid),
            };
            let (a, b) = (a.filter(|_| order.is_le()), b.filter(|_| order.is_ge()));
            match (&a, &b) {
                (Some((_, a)), Some((_, b))) if a.raw == b.raw && self.is_same_definition() => {}
                _ => {
                    let rowid = a.as_ref().or(b.as_ref()).map_or(0, |(_, cell)| cell.rowid);
                    self.tell(Key::Rowid(rowid), a, b, sink)?;
                }
            }
            if order.is_le() {
                left.prepare_next()?;
            }
            if order.is_ge() {
                right.prepare_next()?;
            }
        }
    }

    /// Cursors over the cells that may differ on pages that hold the same keys before and after.
    fn differing(&self, pages: &[u32]) -> std::result::Result<(Cursor<'a>, Cursor<'a>), Trouble> {
        let (before, after) = self.looks;
        let (mut left, mut right) = (Vec::with_capacity(pages.len()), Vec::with_capacity(pages.len()));
        for page in pages.iter().copied() {
            before.refill_pages();
            after.refill_pages();
            let images = (before.image(page)?, after.image(page)?);
            let nodes = (before.node(page, &images.0)?, after.node(page, &images.1)?);
            let ranges = nodes.0.differing(&nodes.1);
            left.push((page, ranges.0));
            right.push((page, ranges.1));
        }
        Ok((Cursor::within(before, left)?, Cursor::within(after, right)?))
    }

    fn is_same_definition(&self) -> bool {
        let (before, after) = (&self.pair.before.definition, &self.pair.after.definition);
        std::sync::Arc::ptr_eq(before, after)
    }

    /// The same of a table without rowid, whose interior pages hold records as well.
    fn run_by_key(&mut self, before: &[u32], after: &[u32], sink: &mut Sink<'_>) -> std::result::Result<(), Trouble> {
        let key = self.pair.after.definition.key.clone().unwrap_or_default();
        let left = keyed(self.looks.0, before, self.pair.before)?;
        let right = keyed(self.looks.1, after, self.pair.after)?;
        let compare = |a: &Keyed, b: &Keyed| {
            let a: Vec<Value<'_>> = a.key.iter().map(Kept::as_value).collect();
            let b: Vec<Value<'_>> = b.key.iter().map(Kept::as_value).collect();
            compare_keys(&key, &a, &b)
        };
        let order = |keyed: Vec<Keyed>| {
            let mut keyed = keyed;
            keyed.sort_by(compare);
            keyed
        };
        let (left, right) = (order(left), order(right));
        let (mut a, mut b) = (left.iter().peekable(), right.iter().peekable());
        loop {
            let order = match (a.peek(), b.peek()) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(a), Some(b)) => compare(a, b),
            };
            let old = if order.is_le() { a.next() } else { None };
            let new = if order.is_ge() { b.next() } else { None };
            let shown: Vec<Value<'_>> =
                old.or(new).map(|keyed| keyed.key.iter().map(Kept::as_value).collect()).unwrap_or_default();
            let images = (image_of(self.looks.0, old)?, image_of(self.looks.1, new)?);
            let old = cell_at(self.looks.0, old, &images.0)?;
            let new = cell_at(self.looks.1, new, &images.1)?;
            if let (Some((_, old)), Some((_, new))) = (&old, &new)
                && old.raw == new.raw
                && self.is_same_definition()
            {
                continue;
            }
            self.tell(Key::Values(shown), old, new, sink)?;
        }
    }

    /// Tells what became of one record, if it is another one.
    pub(super) fn tell(
        &mut self,
        key: Key<'_>,
        old: Option<(u32, Cell<'_>)>,
        new: Option<(u32, Cell<'_>)>,
        sink: &mut Sink<'_>,
    ) -> std::result::Result<(), Trouble> {
        let (before, after) = self.looks;
        let explained = &mut *self.explained;
        let old_bytes = match &old {
            Some((page, cell)) => Some(found(before.record(*page, cell, &mut |_| {}))?),
            None => None,
        };
        let new_bytes = match &new {
            Some((page, cell)) => Some(found(after.record(*page, cell, &mut |page| _ = explained.insert(page)))?),
            None => None,
        };
        let is_same = matches!((&old_bytes, &new_bytes), (Some(Ok(a)), Some(Ok(b))) if a == b);
        if is_same && self.is_same_definition() {
            return Ok(());
        }
        let of = |cell: &Option<(u32, Cell<'_>)>| cell.as_ref().map_or((0, 0), |(page, cell)| (*page, cell.rowid));
        let old_side = side(&self.pair.before.definition, of(&old), old_bytes.as_ref(), before.head.encoding);
        let new_side = side(&self.pair.after.definition, of(&new), new_bytes.as_ref(), after.head.encoding);
        let action = match (&old_side, &new_side) {
            (None, _) => Action::Add,
            (_, None) => Action::Delete,
            (Some(Side::Record(_, old)), Some(Side::Record(definition, new))) => {
                if self.is_same_row(old, (definition, new)) {
                    return Ok(());
                }
                Action::Modify
            }
            _ => Action::Modify,
        };
        let table = self.pair.after;
        let change = Change {
            table: Some(&table.name),
            key: Some(key),
            old: old_side,
            new: new_side,
            is_internal: table.is_internal,
            ..Change::of(action)
        };
        Ok(sink(&change)?)
    }

    /// Whether a record is the same in all columns that there were and are. A new column with what it has by itself is
    /// no change, and one that is gone neither: that is the change of the table.
    fn is_same_row(&self, old: &Row<'_>, (definition, new): (&Definition, &Row<'_>)) -> bool {
        if self.is_same_definition() {
            return old.iter().zip(new).all(|(old, new)| match (old, new) {
                (Some(old), Some(new)) => old.is_same(new),
                (old, new) => old.is_none() && new.is_none(),
            });
        }
        new.iter().enumerate().all(|(place, value)| {
            let Some(value) = value else { return true };
            match self.columns.get(place).copied().flatten() {
                // One that was computed until now.
                Some(before) => old.get(before).and_then(Option::as_ref).is_none_or(|old| old.is_same(value)),
                None => definition.columns.get(place).is_none_or(|column| column.default.as_value().is_same(value)),
            }
        })
    }
}

/// A record with its columns, or why it cannot be read.
fn side<'a>(
    definition: &'a Definition,
    (page, rowid): (u32, i64),
    bytes: Option<&'a std::result::Result<Cow<'_, [u8]>, Flaw>>,
    encoding: super::page::Encoding,
) -> Option<Side<'a>> {
    Some(match bytes? {
        Ok(bytes) => match row::read(definition, rowid, bytes, encoding) {
            Ok(row) => Side::Record(definition, row),
            Err(what) => Side::Unknown(Flaw::at(page, what)),
        },
        Err(flaw) => Side::Unknown(*flaw),
    })
}

/// A record of a table without rowid.
struct Keyed {
    key: Vec<Kept>,
    place: Place,
}

/// The records on these pages.
fn keyed(look: &Look<'_>, pages: &[u32], table: &Table) -> std::result::Result<Vec<Keyed>, Trouble> {
    let parts = table.definition.key.as_ref().map_or(0, Vec::len);
    let mut all = Vec::new();
    for page in pages {
        let image = look.image(*page)?;
        let node = look.node(*page, &image)?;
        if node.kind().is_table() {
            return Err(Flaw::at(*page, "is no page of a table without rowid").into());
        }
        for index in 0..node.count() {
            let cell = node.cell(index)?;
            let record = look.record(*page, &cell, &mut |_| {})?;
            let key = row::key(parts, &record, look.head.encoding).map_err(|what| Flaw::at(*page, what))?;
            let key = key.into_iter().map(Value::keep).collect();
            all.push(Keyed { key, place: Place { page: *page, cell: index } });
        }
    }
    Ok(all)
}

fn image_of(look: &Look<'_>, keyed: Option<&Keyed>) -> std::result::Result<Option<Image>, Trouble> {
    look.refill_pages();
    keyed.map(|keyed| look.image(keyed.place.page)).transpose()
}

fn cell_at<'a>(
    look: &Look<'_>,
    keyed: Option<&Keyed>,
    image: &'a Option<Image>,
) -> std::result::Result<Option<(u32, Cell<'a>)>, Trouble> {
    let (Some(keyed), Some(image)) = (keyed, image) else { return Ok(None) };
    let cell = look.node(keyed.place.page, image)?.cell(keyed.place.cell)?;
    Ok(Some((keyed.place.page, cell)))
}

/// A sum over all records on these pages in whatever order, which two lists of the same records have in common.
pub(super) fn sum_of(look: &Look<'_>, pages: &[u32]) -> std::result::Result<(u64, u128), Trouble> {
    look.refill();
    let mut sum = (0u64, 0u128);
    for page in pages {
        look.refill_pages();
        let image = look.image(*page)?;
        let node = look.node(*page, &image)?;
        for index in 0..node.count() {
            let record = look.record(*page, &node.cell(index)?, &mut |_| {})?;
            let hash = blake3::hash(&record);
            let mut word = [0; 16];
            word.copy_from_slice(hash.as_bytes().get(..16).unwrap_or(&[0; 16]));
            sum = (sum.0 + 1, sum.1.wrapping_add(u128::from_le_bytes(word)));
        }
    }
    Ok(sum)
}
