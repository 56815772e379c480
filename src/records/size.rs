//! How much room a tree takes: its pages, what of them is free, and its entries.
//!
//! Every page of the tree itself is read. Of long records, which go on on pages of their own, these are not: the format
//! says how many there are and how full the last one is. So a table of large pictures is measured as fast as one
//! without.

use super::{
    page::{Flaw, Kind, Node},
    tree::{Look, Trouble, Visited},
};

/// SQLite gives no cell less room.
const CELL_MIN: usize = 4;

/// How much room a tree takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TreeSize {
    /// Records, or entries of an index.
    pub entries: u64,
    /// Its pages, those included that long records go on on.
    pub pages: u64,
    /// Bytes on them that hold nothing.
    pub free_bytes: u64,
}

impl TreeSize {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            entries: self.entries + other.entries,
            pages: self.pages + other.pages,
            free_bytes: self.free_bytes + other.free_bytes,
        }
    }

    fn add(&mut self, node: &Node<'_>, usable: usize) -> Result<(), Flaw> {
        let (_, _, pointers) = node.layout();
        let mut used = pointers + 2 * node.count();
        for index in 0..node.count() {
            let cell = node.cell(index)?;
            used += node.extent(&cell).len().max(CELL_MIN);
            let beyond = cell.total.saturating_sub(cell.local.len() as u64);
            if cell.overflow != 0 && beyond > 0 {
                let room = (usable - 4) as u64;
                let pages = beyond.div_ceil(room);
                self.pages = self.pages.saturating_add(pages);
                self.free_bytes = self.free_bytes.saturating_add(pages.saturating_mul(room).saturating_sub(beyond));
            }
        }
        self.pages += 1;
        self.free_bytes += usable.saturating_sub(used) as u64;
        // Interior pages of a tree by rowid only lead to its records.
        if node.kind() != Kind::TableInterior {
            self.entries += node.count() as u64;
        }
        Ok(())
    }
}

/// Measures the tree at `root`.
///
/// # Errors
/// Where a page is not one of such a tree, or the tree is larger than the data file; where it cannot be read.
pub fn measure(look: &Look<'_>, root: u32) -> Result<TreeSize, Trouble> {
    let mut size = TreeSize::default();
    look.refill();
    look.walk(root, true, &mut |visited| {
        let Visited::Node(node) = visited else { return Ok(()) };
        size.add(node, look.head.usable)?;
        if size.pages > u64::from(look.pages.count()) {
            return Err(
                Flaw::at(node.number(), "belongs to a tree that claims more pages than the data file has").into()
            );
        }
        Ok(())
    })?;
    Ok(size)
}
