//! The pages of trees, as the SQLite file format has them: header, cells, keys. Every offset is checked: a page is
//! whatever stood in the data file, and that may be damage.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::others::{first_other, last_other};

/// The bytes of a page.
pub type Image = Arc<Vec<u8>>;

/// A place that is not as the file format says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flaw {
    /// The page.
    pub page: u32,
    /// What is the matter, as the end of a sentence that begins with the page.
    pub what: &'static str,
}

impl Flaw {
    pub(crate) const fn at(page: u32, what: &'static str) -> Self {
        Self { page, what }
    }
}

/// How text is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// UTF-8.
    #[default]
    Utf8,
    /// UTF-16, the lower byte first.
    Utf16Le,
    /// UTF-16, the higher byte first.
    Utf16Be,
}

/// What the first 100 bytes of a data file say that is needed to read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileHead {
    /// Bytes of a page.
    pub page_size: usize,
    /// Bytes of a page without what is reserved at its end.
    pub usable: usize,
    /// How text is stored.
    pub encoding: Encoding,
    /// The first page of the list of free pages, or 0.
    pub first_trunk: u32,
    /// Whether there are pages that say which page each other belongs to.
    pub has_pointer_map: bool,
}

/// Length of the header of the data file, on its first page.
pub(crate) const FILE_HEAD: usize = 100;
/// Where the page lies that SQLite keeps for its locks.
const LOCK_BYTE: u64 = 1 << 30;

impl FileHead {
    /// Reads the header on the first page.
    ///
    /// # Errors
    /// Where it is none, as in an encrypted data file.
    pub fn read(first: &[u8]) -> Result<Self, Flaw> {
        let flaw = Flaw::at(1, "has no header of SQLite: it may be encrypted");
        let head = first.get(..FILE_HEAD).filter(|head| head.starts_with(b"SQLite format 3\0")).ok_or(flaw)?;
        let page_size = match u16_at(head, 16) {
            Some(1) => 1 << 16,
            Some(size) if size >= 512 && size.is_power_of_two() => size,
            _ => return Err(Flaw::at(1, "names a size of pages that none can have")),
        };
        if page_size != first.len() {
            return Err(Flaw::at(1, "names another size of pages than the log"));
        }
        let reserved = head.get(20).copied().map_or(0, usize::from);
        let usable = page_size - reserved;
        if usable < 480 {
            return Err(Flaw::at(1, "leaves no room on its pages"));
        }
        let encoding = match u32_at(head, 56) {
            Some(0 | 1) => Encoding::Utf8,
            Some(2) => Encoding::Utf16Le,
            Some(3) => Encoding::Utf16Be,
            _ => return Err(Flaw::at(1, "names a form of text that there is not")),
        };
        let first_trunk = u32_at(head, 32).unwrap_or_default();
        let has_pointer_map = u32_at(head, 52).unwrap_or_default() != 0;
        Ok(Self { page_size, usable, encoding, first_trunk, has_pointer_map })
    }

    /// Whether a page holds no content of its own: that for SQLite's locks, and those that say what others belong to.
    pub fn is_apart(&self, page: u32) -> bool {
        let lock_page = LOCK_BYTE / self.page_size as u64 + 1;
        if u64::from(page) == lock_page {
            return true;
        }
        self.map_page(page) == Some(u64::from(page))
    }

    /// The page of the map that says what a page belongs to.
    fn map_page(&self, page: u32) -> Option<u64> {
        if !self.has_pointer_map || page < 2 {
            return None;
        }
        let lock_page = LOCK_BYTE / self.page_size as u64 + 1;
        let group = (self.usable / 5 + 1) as u64;
        let first = (u64::from(page) - 2) / group * group + 2;
        Some(if first == lock_page { first + 1 } else { first })
    }

    /// Where it stands what a page belongs to: a page of the map, and a place on it. `None` where there is no map, and
    /// of pages that it does not have.
    pub fn pointer_of(&self, page: u32) -> Option<(u32, usize)> {
        let map = u32::try_from(self.map_page(page)?).ok()?;
        let place = page.checked_sub(map)?.checked_sub(1)?;
        Some((map, 5 * place as usize))
    }
}

/// What sort of page of a tree it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Records by their rowid.
    TableLeaf,
    /// Rowids that lead to pages.
    TableInterior,
    /// Keys of an index, or records of a table without rowid.
    IndexLeaf,
    /// The same, between pages that they lead to.
    IndexInterior,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            13 => Kind::TableLeaf,
            5 => Kind::TableInterior,
            10 => Kind::IndexLeaf,
            2 => Kind::IndexInterior,
            _ => return None,
        })
    }

    /// Whether its cells lead to pages.
    pub fn is_interior(self) -> bool {
        matches!(self, Kind::TableInterior | Kind::IndexInterior)
    }

    /// Whether it is of a tree by rowid.
    pub fn is_table(self) -> bool {
        matches!(self, Kind::TableLeaf | Kind::TableInterior)
    }
}

/// What a page claims to be; `None` where it is no page of a tree.
#[inline]
pub fn kind_of(number: u32, image: &[u8]) -> Option<Kind> {
    Kind::of(*image.get(head_at(number))?)
}

#[inline]
fn head_at(number: u32) -> usize {
    if number == 1 { FILE_HEAD } else { 0 }
}

/// A page of a tree.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    number: u32,
    bytes: &'a [u8],
    kind: Kind,
    count: usize,
    pointers: usize,
    right: u32,
    /// No cell begins before this.
    floor: usize,
}

/// What a cell holds.
#[derive(Debug, Clone, Copy)]
pub struct Cell<'a> {
    /// Of an interior page: the page with what is before it.
    pub child: u32,
    /// Of a tree by rowid.
    pub rowid: i64,
    /// Length of the record in bytes.
    pub total: u64,
    /// As much of it as lies here.
    pub local: &'a [u8],
    /// The page that it goes on at, or 0.
    pub overflow: u32,
    /// All bytes of the cell but the child.
    pub raw: &'a [u8],
    /// Where it ends on its page.
    end: usize,
}

impl<'a> Node<'a> {
    /// Reads the header of a page.
    ///
    /// # Errors
    /// Where it is no page of a tree.
    #[inline]
    pub fn read(number: u32, image: &'a [u8], usable: usize) -> Result<Self, Flaw> {
        let at = head_at(number);
        let flaw = |what| Flaw::at(number, what);
        let bytes = image.get(..usable).ok_or(flaw("is too short"))?;
        let kind = kind_of(number, bytes).ok_or(flaw("is no page of a tree"))?;
        let count = u16_at(bytes, at + 3).ok_or(flaw("is too short"))?;
        let pointers = at + if kind.is_interior() { 12 } else { 8 };
        let right = if kind.is_interior() { u32_at(bytes, at + 8).unwrap_or_default() } else { 0 };
        if pointers + 2 * count > usable {
            return Err(flaw("claims more cells than it has room for"));
        }
        Ok(Self { number, bytes, kind, count, pointers, right, floor: pointers + 2 * count })
    }

    /// The same of a page that may be damaged, as one of this kind, whatever it claims to be: with no more cells than
    /// there is room for pointers to them.
    ///
    /// # Errors
    /// Where it is too short.
    pub fn salvage(number: u32, image: &'a [u8], usable: usize, kind: Kind) -> Result<Self, Flaw> {
        let at = head_at(number);
        let flaw = Flaw::at(number, "is too short");
        let bytes = image.get(..usable).ok_or(flaw)?;
        let pointers = at + if kind.is_interior() { 12 } else { 8 };
        let most = usable.checked_sub(pointers).ok_or(flaw)? / 2;
        let count = u16_at(bytes, at + 3).ok_or(flaw)?.min(most);
        let right = if kind.is_interior() { u32_at(bytes, at + 8).unwrap_or_default() } else { 0 };
        Ok(Self { number, bytes, kind, count, pointers, right, floor: pointers })
    }

    /// The same page with so many cells, for as many as there are pointers.
    #[must_use]
    pub(crate) fn with_count(self, count: usize) -> Self {
        Self { count: count.min(self.bytes.len().saturating_sub(self.pointers) / 2), ..self }
    }

    /// Its bytes, where its own header begins, and where its pointers to cells do.
    pub(crate) fn layout(&self) -> (&'a [u8], usize, usize) {
        (self.bytes, head_at(self.number), self.pointers)
    }

    /// The bytes that a cell of it takes.
    pub(crate) fn extent(&self, cell: &Cell<'_>) -> std::ops::Range<usize> {
        let child = if self.kind.is_interior() { 4 } else { 0 };
        cell.end.saturating_sub(cell.raw.len() + child)..cell.end
    }

    /// Its number.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// What sort of page it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// How many cells it has.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Of an interior page: the page with what is after all its cells.
    pub fn right(&self) -> u32 {
        self.right
    }

    fn flaw(&self, what: &'static str) -> Flaw {
        Flaw::at(self.number, what)
    }

    /// Where cell `index` begins.
    #[inline]
    fn cell_at(&self, index: usize) -> Result<usize, Flaw> {
        let at = u16_at(self.bytes, self.pointers + 2 * index).filter(|_| index < self.count);
        at.filter(|at| *at >= self.floor && *at < self.bytes.len()).ok_or(self.flaw("has a cell outside of its room"))
    }

    /// Cell `index`, from 0.
    ///
    /// # Errors
    /// Where it does not lie within the page.
    #[inline]
    pub fn cell(&self, index: usize) -> Result<Cell<'a>, Flaw> {
        let mut at = self.cell_at(index)?;
        let beyond = self.flaw("has a cell that ends outside of it");
        let mut child = 0;
        if self.kind.is_interior() {
            child = u32_at(self.bytes, at).ok_or(beyond)?;
            at += 4;
        }
        let start = at;
        if self.kind == Kind::TableInterior {
            let rowid = varint(self.bytes, &mut at).ok_or(beyond)? as i64;
            let raw = self.bytes.get(start..at).ok_or(beyond)?;
            return Ok(Cell { child, rowid, total: 0, local: &[], overflow: 0, raw, end: at });
        }
        let total = varint(self.bytes, &mut at).ok_or(beyond)?;
        let rowid = if self.kind == Kind::TableLeaf { varint(self.bytes, &mut at).ok_or(beyond)? as i64 } else { 0 };
        let held = local_length(total, self.bytes.len(), self.kind);
        let local = self.bytes.get(at..at + held).ok_or(beyond)?;
        at += held;
        let mut overflow = 0;
        if held as u64 != total {
            overflow = u32_at(self.bytes, at).ok_or(beyond)?;
            at += 4;
        }
        let raw = self.bytes.get(start..at).ok_or(beyond)?;
        Ok(Cell { child, rowid, total, local, overflow, raw, end: at })
    }

    /// The list of where its cells begin.
    fn list(&self) -> &'a [[u8; 2]] {
        self.bytes.get(self.pointers..self.pointers + 2 * self.count).unwrap_or_default().as_chunks().0
    }

    /// Where the cell of a leaf ends that begins here; `None` where not on the page.
    #[inline]
    fn end_of(&self, mut at: usize) -> Option<usize> {
        let total = varint(self.bytes, &mut at)?;
        if self.kind == Kind::TableLeaf {
            varint(self.bytes, &mut at)?;
        }
        let held = local_length(total, self.bytes.len(), self.kind);
        let end = at.checked_add(held)?.checked_add(if held as u64 == total { 0 } else { 4 })?;
        (end <= self.bytes.len()).then_some(end)
    }

    /// Which cells of this page and of another state of it may differ: all before and after are the same ones, byte by
    /// byte. First of this page, then of the other.
    pub(super) fn differing(&self, other: &Node<'_>) -> (std::ops::Range<usize>, std::ops::Range<usize>) {
        let all = (0..self.count, 0..other.count);
        let (mine, theirs) = (self.bytes, other.bytes);
        if self.kind != other.kind || self.kind.is_interior() || mine.len() != theirs.len() {
            return all;
        }
        // Behind both lists of pointers: which bytes are others.
        let from = self.pointers + 2 * self.count.max(other.count);
        let (Some(a), Some(b)) = (mine.get(from..), theirs.get(from..)) else { return all };
        let first = first_other(a, b).map_or(mine.len(), |at| from + at);
        let end = last_other(a, b).map_or(0, |at| from + at + 1);
        let (mine, theirs) = (self.list(), other.list());
        let is_same = |(mine, theirs): &(&[u8; 2], &[u8; 2])| {
            let at = usize::from(u16::from_be_bytes(**mine));
            let is_untouched = || at >= end || at < first && self.end_of(at).is_some_and(|end| end <= first);
            mine == theirs && (from..self.bytes.len()).contains(&at) && is_untouched()
        };
        let before = mine.iter().zip(theirs).take_while(is_same).count();
        let least = mine.len().min(theirs.len()) - before;
        let behind = mine.iter().rev().zip(theirs.iter().rev()).take(least).take_while(is_same).count();
        (before..self.count - behind, before..other.count - behind)
    }

    /// The page that cell `index` leads to; that after the last cell is the right one.
    ///
    /// # Errors
    /// As [`cell`](Self::cell).
    pub fn child(&self, index: usize) -> Result<u32, Flaw> {
        if index == self.count {
            return Ok(self.right);
        }
        u32_at(self.bytes, self.cell_at(index)?).ok_or(self.flaw("has a cell that ends outside of it"))
    }

    /// All pages that it leads to.
    ///
    /// # Errors
    /// As [`cell`](Self::cell).
    pub fn children(&self) -> Result<Vec<u32>, Flaw> {
        if !self.kind.is_interior() {
            return Ok(Vec::new());
        }
        (0..=self.count).map(|index| self.child(index)).collect()
    }
}

/// How much of a record of `total` bytes lies in its cell.
#[inline]
fn local_length(total: u64, usable: usize, kind: Kind) -> usize {
    let most = if kind == Kind::TableLeaf { usable - 35 } else { (usable - 12) * 64 / 255 - 23 };
    if total <= most as u64 {
        return total as usize;
    }
    let least = (usable - 12) * 32 / 255 - 23;
    let wanted = least + ((total - least as u64) % (usable as u64 - 4)) as usize;
    if wanted <= most { wanted } else { least }
}

#[inline]
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    let two = bytes.get(at..at.checked_add(2)?)?;
    Some(usize::from(two[0]) << 8 | usize::from(two[1]))
}

#[inline]
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes([four[0], four[1], four[2], four[3]]))
}

/// A number of 1 to 9 bytes, the highest 7 bits first; the ninth byte has 8.
#[inline]
pub(crate) fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let first = *bytes.get(*at)?;
    *at += 1;
    if first < 0x80 {
        return Some(u64::from(first));
    }
    let mut number = u64::from(first & 0x7f);
    for _ in 0..7 {
        let byte = *bytes.get(*at)?;
        *at += 1;
        number = number << 7 | u64::from(byte & 0x7f);
        if byte < 0x80 {
            return Some(number);
        }
    }
    let last = *bytes.get(*at)?;
    *at += 1;
    Some(number << 8 | u64::from(last))
}

#[cfg(test)]
mod tests;
