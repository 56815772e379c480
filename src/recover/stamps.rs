//! What is noted of each page while the file is read, and how often a page may be read again: trees and chains of a
//! damaged file can lead anywhere, and none may be followed without end.

use std::cell::Cell;

/// The page belongs to more than one tree.
const TWICE: u8 = 1;
/// A record goes on at the page.
const CHAINED: u8 = 2;
/// More than one does, or one more than once.
const CHAINED_TWICE: u8 = 4;
/// It is in the list of free pages.
const FREE: u8 = 8;
/// It holds lines of the schema.
const SCHEMA: u8 = 16;

/// Notes of all pages; 9 bytes for each.
#[derive(Debug)]
pub(super) struct Stamps {
    /// The tree that named it first, from 1.
    owner: Vec<u32>,
    /// The walk that came to it last.
    walk: Vec<u32>,
    flags: Vec<Cell<u8>>,
    walks: u32,
    /// So often a page of another tree may be read again, and a page of another record.
    left: u64,
    chained_left: Cell<u64>,
}

impl Stamps {
    pub(super) fn new(pages: u32) -> Self {
        let room = pages as usize + 1;
        let mut stamps = Self {
            owner: vec![0; room],
            walk: vec![0; room],
            flags: vec![Cell::new(0); room],
            walks: 0,
            left: 0,
            chained_left: Cell::new(0),
        };
        stamps.refill();
        stamps
    }

    /// Begins to read the file again.
    pub(super) fn refill(&mut self) {
        let most = 2 * self.owner.len() as u64 + 10_000;
        self.left = most;
        self.chained_left.set(most);
    }

    /// Begins a walk through a tree.
    pub(super) fn begin_walk(&mut self) {
        self.walks += 1;
    }

    /// Notes that the walk of `tree` came to a page; false where it is not to be read, because this walk did so
    /// already, or too many pages were read more than once.
    pub(super) fn visit(&mut self, page: u32, tree: u32) -> bool {
        let at = page as usize;
        let (Some(owner), Some(walk), Some(flags)) =
            (self.owner.get_mut(at), self.walk.get_mut(at), self.flags.get(at))
        else {
            return false;
        };
        if *walk == self.walks {
            flags.set(flags.get() | TWICE);
            return false;
        }
        if *owner == 0 {
            *owner = tree;
        } else if *owner != tree {
            flags.set(flags.get() | TWICE);
            if self.left == 0 {
                return false;
            }
            self.left -= 1;
        }
        *walk = self.walks;
        true
    }

    /// Notes that a record goes on at a page; false where too many were read more than once.
    pub(super) fn chain(&self, page: u32) -> bool {
        if self.set(page, CHAINED) {
            return true;
        }
        self.set(page, CHAINED_TWICE);
        self.may_chain(page)
    }

    /// Whether a page that a record goes on at may be read once more.
    pub(super) fn may_chain(&self, page: u32) -> bool {
        let left = self.chained_left.get();
        if self.has(page, CHAINED_TWICE) {
            self.chained_left.set(left.saturating_sub(1));
            return left > 0;
        }
        true
    }

    fn has(&self, page: u32, flag: u8) -> bool {
        self.flags.get(page as usize).is_some_and(|flags| flags.get() & flag != 0)
    }

    /// Sets a flag; false where it was set, or there is no such page.
    fn set(&self, page: u32, flag: u8) -> bool {
        let Some(flags) = self.flags.get(page as usize) else { return false };
        let is_new = flags.get() & flag == 0;
        flags.set(flags.get() | flag);
        is_new
    }

    /// Notes a page of the list of free ones; false where it was noted before, or there is none.
    pub(super) fn free(&self, page: u32) -> bool {
        self.set(page, FREE)
    }

    /// The list of free pages is not what it should be: none of it counts.
    pub(super) fn forget_free(&self) {
        self.flags.iter().for_each(|flags| flags.set(flags.get() & !FREE));
    }

    pub(super) fn note_schema(&self, page: u32) {
        self.set(page, SCHEMA);
    }

    pub(super) fn is_free(&self, page: u32) -> bool {
        self.has(page, FREE)
    }

    /// Whether a tree has it.
    pub(super) fn is_owned(&self, page: u32) -> bool {
        self.owner.get(page as usize).is_some_and(|owner| *owner != 0) || self.has(page, SCHEMA)
    }

    pub(super) fn is_twice(&self, page: u32) -> bool {
        self.has(page, TWICE)
    }

    /// Whether a record goes on there.
    pub(super) fn is_chained(&self, page: u32) -> bool {
        self.has(page, CHAINED)
    }

    /// What speaks against a page that a record goes on at.
    pub(super) fn chain_doubt(&self, page: u32) -> Option<&'static str> {
        match () {
            () if self.has(page, CHAINED_TWICE) => Some("it goes on at a page that another record has as well"),
            () if self.is_owned(page) => Some("it goes on at a page that belongs to a tree"),
            () if self.is_free(page) => Some("it goes on at a page that is in the list of free pages"),
            () => None,
        }
    }
}
