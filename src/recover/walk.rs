//! A tree as far as it stands: every page that it leads to, in the order of keys, and the gaps where it leads to none.

use super::{sheet::Sheet, source::Source, stamps::Stamps};
use crate::{control::Control, error::Result, records::page::Kind};

/// No tree of SQLite is so deep.
const DEPTH_MAX: usize = 40;

/// Between which rowids the records of a page lie: above the first, up to the second. `None` is without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Bounds {
    pub(super) low: Option<i64>,
    pub(super) high: Option<i64>,
}

impl Bounds {
    /// Whether rowids from `least` to `greatest` lie in them.
    pub(super) fn hold(self, (least, greatest): (i64, i64)) -> bool {
        self.low.is_none_or(|low| least > low) && self.high.is_none_or(|high| greatest <= high)
    }

    /// Whether some of them may.
    fn touch(self, (least, greatest): (i64, i64)) -> bool {
        self.low.is_none_or(|low| greatest > low) && self.high.is_none_or(|high| least <= high)
    }
}

/// What a walk comes to.
pub(super) enum Seen<'a> {
    /// A page that holds records or lines of an index.
    Page {
        /// It.
        sheet: &'a Sheet<'a>,
        /// What speaks against what is on it.
        doubt: Option<&'static str>,
    },
    /// Records that lie between these rowids may be missing: the page is not there, or not one of this tree.
    Gap {
        /// The page that should be there.
        page: u32,
        /// The rowids.
        bounds: Bounds,
        /// What is the matter with it.
        lack: Lack,
    },
}

/// Why records may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lack {
    /// The page is not there, or none of such a tree.
    Page,
    /// It is there, and its records are of another place.
    Elsewhere,
    /// It is damaged, and may have led to more pages than it does.
    Children,
}

/// The trees of a file.
pub(super) struct Walk<'s> {
    pub(super) source: &'s Source,
    pub(super) stamps: &'s mut Stamps,
    pub(super) control: &'s Control,
}

/// A page that is still to be visited.
struct Next {
    page: u32,
    depth: usize,
    bounds: Bounds,
}

impl Walk<'_> {
    /// Visits the tree with this root, which is by rowid or not.
    ///
    /// # Errors
    /// `Stopped`; what `visit` says.
    pub(super) fn tree(
        &mut self,
        (tree, root, is_table): (u32, u32, bool),
        visit: &mut dyn FnMut(Seen<'_>, &mut Stamps) -> Result<()>,
    ) -> Result<()> {
        self.stamps.begin_walk();
        let expected = match is_table {
            true => [Kind::TableLeaf, Kind::TableInterior],
            false => [Kind::IndexLeaf, Kind::IndexInterior],
        };
        let usable = self.source.head.usable;
        let mut left = vec![Next { page: root, depth: 0, bounds: Bounds::default() }];
        while let Some(Next { page, depth, bounds }) = left.pop() {
            self.control.check()?;
            let Some((image, whole)) = self.source.page(page).filter(|_| depth <= DEPTH_MAX) else {
                visit(Seen::Gap { page, bounds, lack: Lack::Page }, self.stamps)?;
                continue;
            };
            let sheet = Sheet::read(page, (&image, whole), usable, &expected);
            let is_possible =
                |sheet: &Sheet<'_>| is_possible(self.source, sheet) && sheet.node.kind().is_table() == is_table;
            let Some(sheet) = sheet.filter(is_possible) else {
                visit(Seen::Gap { page, bounds, lack: Lack::Page }, self.stamps)?;
                continue;
            };
            let rowids = sheet.rowids().filter(|_| sheet.node.kind() == Kind::TableLeaf);
            // The same key leads to it: what is there is of another place, or of another table.
            let is_elsewhere = rowids.is_some_and(|rowids| !bounds.touch(rowids));
            if is_elsewhere || !self.stamps.visit(page, tree) {
                let lack = if is_elsewhere { Lack::Elsewhere } else { Lack::Page };
                visit(Seen::Gap { page, bounds, lack }, self.stamps)?;
                continue;
            }
            let is_interior = sheet.node.kind().is_interior();
            // SQLite leaves no empty page below another one.
            if !is_interior && depth > 0 && sheet.node.count() == 0 {
                visit(Seen::Gap { page, bounds, lack: Lack::Page }, self.stamps)?;
                continue;
            }
            let doubt = match () {
                () if !sheet.is_exact || !sheet.rises() => Some("its page is damaged"),
                () if rowids.is_some_and(|rowids| !bounds.hold(rowids)) => Some("its page is of another place"),
                () if self.stamps.is_free(page) => Some("its page is in the list of free pages"),
                () => None,
            };
            if !is_interior || !is_table {
                visit(Seen::Page { sheet: &sheet, doubt }, self.stamps)?;
            }
            if !is_interior {
                continue;
            }
            if doubt.is_some() {
                visit(Seen::Gap { page, bounds, lack: Lack::Children }, self.stamps)?;
            }
            left.extend(children(&sheet, depth, bounds, doubt.is_some()).into_iter().rev());
        }
        Ok(())
    }
}

/// The pages that an interior one leads to, in order.
fn children(sheet: &Sheet<'_>, depth: usize, bounds: Bounds, is_doubtful: bool) -> Vec<Next> {
    let mut low = bounds.low;
    let mut found = Vec::new();
    for cell in sheet.cells() {
        let Some(cell) = cell else { continue };
        // A key that is not between its neighbours bounds nothing, and none does on a damaged page.
        let is_bound = sheet.node.kind().is_table() && Bounds { low, high: bounds.high }.hold((cell.rowid, cell.rowid));
        let (child, page) = match (is_doubtful, is_bound) {
            (true, _) => (bounds, cell.child),
            (false, true) => (Bounds { low, high: Some(cell.rowid) }, cell.child),
            (false, false) => (Bounds { low, high: bounds.high }, cell.child),
        };
        found.push(Next { page, depth: depth + 1, bounds: child });
        if is_bound {
            low = Some(cell.rowid);
        }
    }
    let bounds = if is_doubtful { bounds } else { Bounds { low, high: bounds.high } };
    found.push(Next { page: sheet.node.right(), depth: depth + 1, bounds });
    found
}

/// Whether a page may be one of a tree. That which SQLite keeps for its locks, and those of the map, are no such pages;
/// where a damaged header says so of one that is accounted for to its end, the header is wrong.
pub(super) fn is_possible(source: &Source, sheet: &Sheet<'_>) -> bool {
    let number = sheet.node.number();
    number == 1 || sheet.is_exact && sheet.node.count() > 0 || !source.head.is_apart(number)
}
