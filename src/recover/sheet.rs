//! One page of a tree that may be damaged: what can be read of it, and whether it is as SQLite left it.
//!
//! A page has no checksum, but its room is accounted for: cells, free blocks and fragments together fill it from where
//! its content begins to its end, and none overlaps another. A page that was overwritten does not do that by chance.

use std::ops::Range;

use crate::records::page::{Cell, Kind, Node, kind_of, u16_at};

/// The least room that SQLite gives to a cell.
const CELL_MIN: usize = 4;

/// A page of a tree.
#[derive(Debug)]
pub(super) struct Sheet<'a> {
    pub(super) node: Node<'a>,
    /// Whether its room is accounted for to the last byte.
    pub(super) is_exact: bool,
    /// How many bytes of it there are.
    whole: usize,
}

impl<'a> Sheet<'a> {
    /// Reads a page of which `whole` bytes are there. One whose mark was overwritten is what it was `expected` to be,
    /// where its room says the same.
    pub(super) fn read(
        number: u32,
        (image, whole): (&'a [u8], usize),
        usable: usize,
        expected: &[Kind],
    ) -> Option<Self> {
        let sheet = |kind| {
            let node = Node::salvage(number, image, usable, kind).ok()?;
            let exact = exact_count(&node).filter(|_| whole >= usable);
            let node = exact.map_or(node, |count| node.with_count(count));
            Some(Self { node, is_exact: exact.is_some(), whole })
        };
        match kind_of(number, image) {
            Some(kind) => sheet(kind),
            None => expected
                .iter()
                .filter_map(|kind| sheet(*kind))
                .find(|sheet| sheet.is_exact && sheet.node.count() > 0 && sheet.rises()),
        }
    }

    /// Its cells; `None` where one cannot be read.
    pub(super) fn cells(&self) -> impl Iterator<Item = Option<Cell<'a>>> + '_ {
        (0..self.node.count()).map(|index| self.cell(index))
    }

    /// Cell `index`; `None` where it cannot be read. One whose end was cut off has what is left of its record.
    pub(super) fn cell(&self, index: usize) -> Option<Cell<'a>> {
        let mut cell = self.node.cell(index).ok()?;
        let range = self.node.extent(&cell);
        if range.end > self.whole {
            let local = range.end - if cell.overflow == 0 { 0 } else { 4 } - cell.local.len();
            let left = self.whole.checked_sub(local).filter(|left| *left > 0)?;
            cell.local = cell.local.get(..left).unwrap_or(cell.local);
            cell.overflow = 0;
        }
        Some(cell)
    }

    /// Of a tree by rowid: whether its rowids rise. True of any other page.
    pub(super) fn rises(&self) -> bool {
        let mut last = None;
        !self.node.kind().is_table()
            || self.cells().flatten().all(|cell| last.replace(cell.rowid).is_none_or(|last| last < cell.rowid))
    }

    /// The least and the greatest rowid on it.
    pub(super) fn rowids(&self) -> Option<(i64, i64)> {
        let rowids = || self.cells().flatten().map(|cell| cell.rowid);
        rowids().min().zip(rowids().max())
    }
}

/// How many cells a page has whose room is accounted for: as many as it says, or, where that number alone was
/// overwritten, another one. `None` where it is not.
fn exact_count(node: &Node<'_>) -> Option<usize> {
    let (bytes, head, pointers) = node.layout();
    let begin = match u16_at(bytes, head + 5)? {
        0 => 1 << 16,
        begin => begin,
    };
    let room = bytes.len().checked_sub(begin)?;
    let fragments = usize::from(*bytes.get(head + 7)?);
    let mut taken: Vec<Range<usize>> = Vec::new();
    let (mut free, mut next) = (0, u16_at(bytes, head + 1)?);
    let mut last = begin;
    while next != 0 {
        let size = u16_at(bytes, next.checked_add(2)?)?;
        if next < last || size < CELL_MIN || next + size > bytes.len() {
            return None;
        }
        taken.push(next..next + size);
        free += size;
        last = next + size;
        next = u16_at(bytes, next)?;
    }
    let left = room.checked_sub(free + fragments)?;
    // What it says itself counts first.
    let is_exact = |count: usize| {
        let mut all = taken.clone();
        for index in 0..count {
            all.push(extent(node, index)?);
        }
        all.sort_unstable_by_key(|range| range.start);
        let begins = pointers + 2 * count <= begin && all.first().is_none_or(|first| first.start >= begin);
        let apart = all.windows(2).all(|pair| matches!(pair, [a, b] if a.end <= b.start));
        let fits = all.last().is_none_or(|last| last.end <= bytes.len());
        let sum: usize = all.iter().map(|range| range.len()).sum();
        (begins && apart && fits && sum == free + left).then_some(count)
    };
    if let Some(count) = is_exact(node.count()) {
        return Some(count);
    }
    let (mut sum, mut count) = (0, 0);
    // No page has more cells than it has room for the least of them and its pointer.
    let most = bytes.len() / (CELL_MIN + 2);
    let node = node.with_count(most);
    while sum < left && count < node.count() {
        sum += extent(&node, count)?.len();
        count += 1;
    }
    (count > 0 && sum == left).then(|| is_exact(count)).flatten()
}

fn extent(node: &Node<'_>, index: usize) -> Option<Range<usize>> {
    let cell = node.cell(index).ok()?;
    let range = node.extent(&cell);
    Some(range.start..range.end.max(range.start + CELL_MIN))
}

/// Where the room of a page that is `image` long ends, by what is on it: bytes may be reserved behind it. `None` where
/// it is no page of a tree that is accounted for.
pub(super) fn usable_of(number: u32, image: &[u8], named: usize) -> Option<usize> {
    let kind = kind_of(number, image)?;
    let attempt = |usable: usize| {
        let node = Node::salvage(number, image, usable, kind).ok()?;
        // A page without a cell says where its content would begin: at the end of its room.
        let (bytes, head, _) = node.layout();
        let begin = u16_at(bytes, head + 5).map_or(0, |begin| if begin == 0 { 1 << 16 } else { begin });
        if node.count() == 0 {
            return (begin == usable && u16_at(bytes, head + 1) == Some(0)).then_some(usable);
        }
        (exact_count(&node) == Some(node.count())).then_some(usable)
    };
    let size = image.len();
    let last = || {
        let node = Node::salvage(number, image, size, kind).ok()?;
        let end = (0..node.count()).filter_map(|index| extent(&node, index)).map(|range| range.end).max()?;
        (end < size && size - end < 256).then_some(end)
    };
    attempt(size).or_else(|| attempt(size.checked_sub(named)?)).or_else(|| attempt(last()?))
}
