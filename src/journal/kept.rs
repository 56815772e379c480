//! Keeping the checksum of the state while commits are recorded.
//!
//! Each page that a commit writes costs the hash of what it held before: known from the log, or from the page table of
//! the base. While a backup is made its table is not there yet; then what was known up to the cut still tells. Where
//! neither does, the checksum is not known from there on, and records say so, until a table is there again: a wrong one
//! never is.

use super::{
    state::StateSum,
    table::{Changes, PageTable},
};
use crate::error::Result;

/// The checksum of the state after the last record.
#[derive(Debug, Default)]
pub(super) struct Kept {
    now: Option<StateSum>,
    logged: Option<StateSum>,
    /// What was known up to the cut of a backup that is being made.
    before_cut: Option<(Changes, Option<PageTable>)>,
    /// The version of the log that takes back what is recorded, when that backup fails.
    version: u32,
}

/// What a page held before a record, as far as that is known.
fn hash_in(known: &Changes, table: Option<&PageTable>, page: u32) -> Option<[u8; 8]> {
    let of_base = || table.filter(|_| known.is_of_base(page))?.at(page).ok().flatten();
    known.hashes.get(&page).copied().or_else(of_base)
}

/// The checksum of what base and log lead to; `None` where the table is not of that base.
fn sum_of(known: &Changes, table: &PageTable) -> Result<Option<StateSum>> {
    if u64::from(known.base_pages) > table.pages() {
        return Ok(None);
    }
    let mut sum = StateSum::default();
    table.range(1, known.base_pages, &mut |page, hash| {
        if known.is_of_base(page) && !known.hashes.contains_key(&page) {
            sum = sum.with(page, hash);
        }
    })?;
    Ok(Some(known.hashes.iter().fold(sum, |sum, (page, hash)| sum.with(*page, *hash))))
}

impl Kept {
    /// After the last record, synced or not.
    pub(super) fn now(&self) -> Option<StateSum> {
        self.now
    }

    /// It is known by other means: from a comparison of every page.
    pub(super) fn set(&mut self, sum: Option<StateSum>) {
        (self.now, self.logged) = (sum, sum);
    }

    /// What was recorded is synced.
    pub(super) fn synced(&mut self) {
        self.logged = self.now;
    }

    /// What was not synced does not count.
    pub(super) fn revert(&mut self) {
        self.now = self.logged;
    }

    /// A page is written for the first time in this record; before, `known` and `table` say what it held.
    pub(super) fn change(&mut self, (known, table): (&Changes, Option<&PageTable>), page: u32, hash: [u8; 8]) {
        let Some(sum) = self.now else { return };
        let is_there = known.hashes.contains_key(&page) || known.is_of_base(page);
        let sum =
            if is_there { self.before((known, table), page).map(|hash| sum.without(page, hash)) } else { Some(sum) };
        self.now = sum.map(|sum| sum.with(page, hash));
    }

    fn before(&self, (known, table): (&Changes, Option<&PageTable>), page: u32) -> Option<[u8; 8]> {
        let at_cut = || {
            let (known, table) = self.before_cut.as_ref().filter(|_| known.is_of_base(page))?;
            hash_in(known, table.as_ref(), page)
        };
        hash_in(known, table, page).or_else(at_cut)
    }

    /// Pages beyond `page_count` are cut off, of which `known` and `table` tell.
    pub(super) fn cut_off(&mut self, (known, table): (&Changes, Option<&PageTable>), page_count: u32) {
        let Some(mut sum) = self.now else { return };
        let gone = |page: &u32| *page > page_count;
        for (page, hash) in known.hashes.iter().filter(|(page, _)| gone(page)) {
            sum = sum.without(*page, *hash);
        }
        let of_base = |page: u32| known.is_of_base(page) && !known.hashes.contains_key(&page);
        self.now = match table {
            Some(table) if u64::from(known.base_pages) <= table.pages() => {
                let mut visit = |page, hash| {
                    if of_base(page) {
                        sum = sum.without(page, hash);
                    }
                };
                let read = table.range(page_count.saturating_add(1), known.base_pages, &mut visit);
                read.ok().map(|()| sum)
            }
            _ => (page_count.saturating_add(1)..=known.base_pages)
                .filter(|page| of_base(*page))
                .try_fold(sum, |sum, page| Some(sum.without(page, self.before((known, table), page)?))),
        };
    }

    /// A backup was cut here: until its page table is there, `known` and `table` tell what its pages hold.
    pub(super) fn at_cut(&mut self, known: Changes, table: Option<PageTable>, version: u32) {
        (self.before_cut, self.version) = (Some((known, table)), version);
    }

    /// The version whose encodings a log of `version` may use.
    pub(super) fn version(&self, version: u32) -> u32 {
        if self.before_cut.is_some() { version.min(self.version) } else { version }
    }

    /// The backup failed: gives back what was known up to its cut, together with what was recorded since.
    pub(super) fn rejoin(&mut self, since: Changes) -> Option<(Changes, Option<PageTable>)> {
        let (mut known, table) = self.before_cut.take()?;
        known.base_pages = known.base_pages.min(since.base_pages);
        known.hashes.retain(|page, _| *page <= since.base_pages);
        known.hashes.extend(since.hashes);
        Some((known, table))
    }

    /// There is a page table of the base: makes the checksum anew from it. False where it is not the one that was kept
    /// up to now, or that the last record bears.
    pub(super) fn begin(&mut self, known: &Changes, table: &PageTable, said: Option<StateSum>) -> bool {
        let kept = self.now.or(said);
        self.before_cut = None;
        self.set(sum_of(known, table).ok().flatten());
        kept.is_none() || self.now.is_none() || kept == self.now
    }
}
