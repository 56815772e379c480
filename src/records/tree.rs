//! Trees of pages: the way to a key, all pages of a tree in order, and records that go on on other pages.

use std::{borrow::Cow, cell::Cell as Counter};

use super::page::{Cell, FileHead, Flaw, Image, Kind, Node};
use crate::error::{Error, Result};

/// No tree of SQLite is so deep: each level holds two pages at least for every one above.
const DEPTH_MAX: usize = 40;

/// The pages of a data file in one state.
pub trait Pages {
    /// A page; `None` where there is none of that number.
    ///
    /// # Errors
    /// When it cannot be read.
    fn page(&self, number: u32) -> Result<Option<Image>>;

    /// How many there are.
    fn count(&self) -> u32;
}

/// Why something could not be found out.
#[derive(Debug)]
pub enum Trouble {
    /// The data file is not as the format says.
    Flaw(Flaw),
    /// It could not be read, or somebody has stopped it.
    Failed(Error),
}

impl From<Flaw> for Trouble {
    fn from(flaw: Flaw) -> Self {
        Trouble::Flaw(flaw)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Trouble::Failed(error)
    }
}

/// What was found, or what is the matter with the data file; failures go on.
pub(super) fn found<T>(result: std::result::Result<T, Trouble>) -> Result<std::result::Result<T, Flaw>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(Trouble::Flaw(flaw)) => Ok(Err(flaw)),
        Err(Trouble::Failed(error)) => Err(error),
    }
}

/// What a walk through a tree comes to.
pub(super) enum Visited<'a> {
    /// A page that was read.
    Node(&'a Node<'a>),
    /// A leaf that was not.
    Leaf(u32),
}

/// A state that is being read. Pages that lead in circles end it: no more are visited than a sound file could have.
pub struct Look<'p> {
    /// Its pages.
    pub pages: &'p dyn Pages,
    /// What its first page says.
    pub head: FileHead,
    left: Counter<u64>,
    /// The same of pages that records go on at: a sound file has each of them once.
    chained: Counter<u64>,
}

impl std::fmt::Debug for Look<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} pages, {:?}", self.pages.count(), self.head)
    }
}

impl<'p> Look<'p> {
    /// Begins to read a state.
    ///
    /// # Errors
    /// Where its first page is none of SQLite.
    pub fn begin(pages: &'p dyn Pages) -> std::result::Result<Self, Trouble> {
        let first = pages.page(1)?.ok_or(Flaw::at(1, "is not there"))?;
        Ok(Self::with(pages, FileHead::read(&first)?))
    }

    /// The same where it is known what the first page says.
    pub(super) fn with(pages: &'p dyn Pages, head: FileHead) -> Self {
        let look = Self { pages, head, left: Counter::new(0), chained: Counter::new(0) };
        look.refill();
        look
    }

    /// Allows as many pages again as a sound file could need for one purpose.
    pub(super) fn refill(&self) {
        self.refill_pages();
        self.chained.set(4 * u64::from(self.pages.count()) + 1000);
    }

    /// The same, but not for pages that records go on at.
    #[inline]
    pub(super) fn refill_pages(&self) {
        self.left.set(4 * u64::from(self.pages.count()) + 1000);
    }

    /// The bytes of a page that must be there.
    ///
    /// # Errors
    /// Where it is not, or too many were visited.
    #[inline]
    pub fn image(&self, number: u32) -> std::result::Result<Image, Trouble> {
        let left = self.left.get();
        if left == 0 {
            return Err(Flaw::at(number, "is on a way that leads in circles").into());
        }
        self.left.set(left - 1);
        Ok(self.pages.page(number)?.ok_or(Flaw::at(number, "is named and not there"))?)
    }

    /// Reads the header of a page.
    ///
    /// # Errors
    /// As [`Node::read`].
    #[inline]
    pub fn node<'a>(&self, number: u32, image: &'a Image) -> std::result::Result<Node<'a>, Flaw> {
        Node::read(number, image, self.head.usable)
    }

    /// The record of a cell, with what lies on other pages; each of them is told to `visit`.
    ///
    /// # Errors
    /// Where the pages do not hold as much as the cell says.
    pub fn record<'a>(
        &self,
        page: u32,
        cell: &Cell<'a>,
        visit: &mut dyn FnMut(u32),
    ) -> std::result::Result<Cow<'a, [u8]>, Trouble> {
        if cell.overflow == 0 && cell.local.len() as u64 == cell.total {
            return Ok(Cow::Borrowed(cell.local));
        }
        if cell.total > u64::from(self.pages.count()) * self.head.page_size as u64 {
            return Err(Flaw::at(page, "has a record that is longer than the data file").into());
        }
        let mut record = cell.local.to_vec();
        let (mut next, mut from) = (cell.overflow, page);
        while (record.len() as u64) < cell.total {
            if next == 0 {
                return Err(Flaw::at(from, "has a record that ends too early").into());
            }
            let left = self.chained.get();
            if left == 0 {
                return Err(Flaw::at(next, "is on a way that leads in circles").into());
            }
            self.chained.set(left - 1);
            let image = self.pages.page(next)?.ok_or(Flaw::at(next, "is named and not there"))?;
            visit(next);
            let usable = image.get(..self.head.usable).unwrap_or(&image);
            let bytes = usable.get(4..).unwrap_or_default();
            if bytes.is_empty() {
                return Err(Flaw::at(next, "is too short").into());
            }
            let wanted = (cell.total - record.len() as u64).min(bytes.len() as u64) as usize;
            record.extend_from_slice(bytes.get(..wanted).unwrap_or_default());
            from = next;
            next = super::page::u32_at(usable, 0).unwrap_or_default();
        }
        Ok(Cow::Owned(record))
    }

    /// Visits every page of the tree in the order of its keys: an interior page before what it leads to. Only the first
    /// leaf is read where only the numbers of the others are wanted.
    ///
    /// # Errors
    /// Where a page is not one of such a tree; what `visit` says.
    pub(super) fn walk(
        &self,
        root: u32,
        reads_leaves: bool,
        visit: &mut dyn FnMut(Visited<'_>) -> std::result::Result<(), Trouble>,
    ) -> std::result::Result<(), Trouble> {
        // What is still to be visited, the next one last; with its depth, and whether its tree is by rowid.
        let mut left: Vec<(u32, usize, Option<bool>)> = vec![(root, 0, None)];
        // All leaves of a tree lie equally deep.
        let mut leaves_at: Option<usize> = None;
        while let Some((number, depth, is_table)) = left.pop() {
            if leaves_at == Some(depth) && !reads_leaves {
                visit(Visited::Leaf(number))?;
                continue;
            }
            let image = self.image(number)?;
            let node = self.node(number, &image)?;
            if is_table.is_some_and(|is_table| is_table != node.kind().is_table()) || depth > DEPTH_MAX {
                return Err(Flaw::at(number, "does not belong where it is named").into());
            }
            visit(Visited::Node(&node))?;
            if !node.kind().is_interior() {
                leaves_at = Some(depth);
                continue;
            }
            for index in (0..=node.count()).rev() {
                left.push((node.child(index)?, depth + 1, Some(node.kind().is_table())));
            }
            if left.len() as u64 > u64::from(self.pages.count()) {
                return Err(Flaw::at(number, "is on a way that leads in circles").into());
            }
        }
        Ok(())
    }

    /// All leaves of a tree in order, and, where `with_interior`, all its other pages among them.
    ///
    /// # Errors
    /// Where a page is not one of such a tree.
    pub fn pages_of(&self, root: u32, with_interior: bool) -> std::result::Result<Vec<u32>, Trouble> {
        let mut found = Vec::new();
        self.walk(root, false, &mut |visited| {
            match visited {
                Visited::Leaf(number) => found.push(number),
                Visited::Node(node) if with_interior || !node.kind().is_interior() => found.push(node.number()),
                Visited::Node(..) => {}
            }
            // A page that is named twice makes the list longer than the data file.
            if found.len() as u64 > u64::from(self.pages.count()) {
                return Err(Flaw::at(root, "is the root of a tree that leads in circles").into());
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// The pages from the root to the leaf where `key` is, or would be. `compare` says how a cell stands to it.
    ///
    /// # Errors
    /// Where a page is not one of such a tree.
    pub fn way(
        &self,
        root: u32,
        compare: &mut dyn FnMut(&Node<'_>, &Cell<'_>) -> std::result::Result<std::cmp::Ordering, Trouble>,
    ) -> std::result::Result<Vec<u32>, Trouble> {
        let (mut way, mut number) = (Vec::new(), root);
        loop {
            way.push(number);
            let image = self.image(number)?;
            let node = self.node(number, &image)?;
            if way.len() > DEPTH_MAX {
                return Err(Flaw::at(number, "is on a way that leads in circles").into());
            }
            if !node.kind().is_interior() {
                return Ok(way);
            }
            let (mut low, mut high) = (0, node.count());
            while low < high {
                let middle = usize::midpoint(low, high);
                let order = compare(&node, &node.cell(middle)?)?;
                // In a tree of records, one of them may be right here.
                if order.is_eq() && node.kind() == Kind::IndexInterior {
                    return Ok(way);
                }
                if order.is_lt() { low = middle + 1 } else { high = middle }
            }
            number = node.child(low)?;
        }
    }

    /// As [`way`](Self::way), in a tree by rowid.
    ///
    /// # Errors
    /// As [`way`](Self::way).
    pub fn way_to_rowid(&self, root: u32, rowid: i64) -> std::result::Result<Vec<u32>, Trouble> {
        self.way(root, &mut |node, cell| {
            if node.kind().is_table() {
                Ok(cell.rowid.cmp(&rowid))
            } else {
                Err(Flaw::at(node.number(), "is not by rowid").into())
            }
        })
    }

    /// The free pages: those of the list itself, and those that it names.
    ///
    /// # Errors
    /// Where the list leads in circles.
    pub fn free(&self) -> std::result::Result<(Vec<u32>, Vec<u32>), Trouble> {
        let (mut trunks, mut leaves) = (Vec::new(), Vec::new());
        let mut next = self.head.first_trunk;
        while next != 0 {
            let image = self.image(next)?;
            trunks.push(next);
            let word = |n: usize| super::page::u32_at(&image, 4 * n);
            let count = word(1).unwrap_or_default() as usize;
            if count + 2 > self.head.usable / 4 {
                return Err(Flaw::at(next, "is no page of the list of free pages").into());
            }
            leaves.extend((0..count).filter_map(|n| word(n + 2)));
            next = word(0).unwrap_or_default();
        }
        Ok((trunks, leaves))
    }
}
