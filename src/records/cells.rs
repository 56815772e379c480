//! The cells of leaves by rowid, gone through in order: on one page, or on many.

use std::ops::Range;

use super::{
    page::{Cell, Flaw, Image, Node},
    tree::{Look, Trouble},
};

/// Goes through cells by rowid, in order.
pub(super) trait Cells {
    /// Makes the page ready that it stands at.
    fn prepare(&mut self) -> std::result::Result<(), Trouble>;

    /// The cell that it stands at, with its page; `None` at the end.
    fn cell(&self) -> std::result::Result<Option<(u32, Cell<'_>)>, Trouble>;

    /// Goes on by one.
    fn prepare_next(&mut self) -> std::result::Result<(), Trouble>;
}

/// The first and the last rowid of some cells of a page, which are in order; `None` where there is no cell.
fn ends(node: &Node<'_>, range: Range<usize>) -> std::result::Result<Option<(i64, i64)>, Flaw> {
    if !node.kind().is_table() {
        return Err(Flaw::at(node.number(), "is no page of a table by rowid"));
    }
    let mut ends: Option<(i64, i64)> = None;
    let leaf = if node.kind().is_interior() { 0..0 } else { range.start..range.end.min(node.count()) };
    for index in leaf {
        let rowid = node.cell(index)?.rowid;
        if ends.is_some_and(|(_, last)| last >= rowid) {
            return Err(Flaw::at(node.number(), "has rowids that are not in order"));
        }
        ends = Some((ends.map_or(rowid, |(first, _)| first), rowid));
    }
    Ok(ends)
}

/// Some cells of one page.
pub(super) struct OnPage<'n> {
    node: &'n Node<'n>,
    left: Range<usize>,
}

impl<'n> OnPage<'n> {
    /// Which are in order.
    pub(super) fn of(node: &'n Node<'n>, range: Range<usize>) -> std::result::Result<Self, Flaw> {
        ends(node, range.clone())?;
        Ok(Self { node, left: range })
    }
}

impl Cells for OnPage<'_> {
    fn prepare(&mut self) -> std::result::Result<(), Trouble> {
        Ok(())
    }

    #[inline]
    fn cell(&self) -> std::result::Result<Option<(u32, Cell<'_>)>, Trouble> {
        if self.left.is_empty() {
            return Ok(None);
        }
        Ok(Some((self.node.number(), self.node.cell(self.left.start)?)))
    }

    fn prepare_next(&mut self) -> std::result::Result<(), Trouble> {
        self.left.start += 1;
        Ok(())
    }
}

/// Goes through the cells of leaves by rowid, in order.
pub(super) struct Cursor<'l> {
    look: &'l Look<'l>,
    /// The pages, and where their cells end that are wanted.
    pages: Vec<Run>,
    at: usize,
    image: Option<Image>,
    index: usize,
}

/// Cells of a page, one at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Run {
    first: i64,
    last: i64,
    page: u32,
    from: usize,
    to: usize,
}

impl<'l> Cursor<'l> {
    /// Over these pages, in any order.
    pub(super) fn over(look: &'l Look<'l>, pages: &[u32]) -> std::result::Result<Self, Trouble> {
        Self::within(look, pages.iter().map(|page| (*page, 0..usize::MAX)).collect())
    }

    /// Over some cells of these pages.
    pub(super) fn within(look: &'l Look<'l>, pages: Vec<(u32, Range<usize>)>) -> std::result::Result<Self, Trouble> {
        let mut runs: Vec<Run> = Vec::with_capacity(pages.len());
        for (page, range) in pages {
            look.refill_pages();
            let image = look.image(page)?;
            let node = look.node(page, &image)?;
            let ends = ends(&node, range.clone())?;
            if node.kind().is_interior() {
                continue;
            }
            let (from, to) = (range.start, range.end.min(node.count()));
            runs.extend(ends.map(|(first, last)| Run { first, last, page, from, to }));
        }
        runs.sort_unstable();
        for pair in runs.windows(2) {
            if let [before, after] = pair
                && after.first <= before.last
            {
                return Err(Flaw::at(after.page, "has rowids that another page has as well").into());
            }
        }
        Ok(Self { look, pages: runs, at: 0, image: None, index: 0 })
    }
}

impl Cells for Cursor<'_> {
    fn prepare(&mut self) -> std::result::Result<(), Trouble> {
        if self.image.is_none()
            && let Some(run) = self.pages.get(self.at)
        {
            self.look.refill_pages();
            self.image = Some(self.look.image(run.page)?);
            self.index = run.from;
        }
        Ok(())
    }

    fn cell(&self) -> std::result::Result<Option<(u32, Cell<'_>)>, Trouble> {
        let (Some(run), Some(image)) = (self.pages.get(self.at), &self.image) else { return Ok(None) };
        let node: Node<'_> = self.look.node(run.page, image)?;
        Ok(Some((run.page, node.cell(self.index)?)))
    }

    fn prepare_next(&mut self) -> std::result::Result<(), Trouble> {
        self.index += 1;
        if self.pages.get(self.at).is_none_or(|run| self.index >= run.to) {
            (self.at, self.image) = (self.at + 1, None);
        }
        self.prepare()
    }
}
