//! Keeping the checksum of the state while commits are recorded.
//!
//! Each page that a commit writes costs the hash of what it held before: known from the log, or from the page table of
//! the base. While a backup is made its table is not there yet; then what was known up to the cut still tells. Where
//! neither does, the checksum is not known from there on, and records say so, until a table is there again: a wrong one
//! never is.

use super::{
    state::StateSum,
    table::{Changes, Known, Logged, PageTable},
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
fn hash_in(known: &dyn Known, table: Option<&PageTable>, page: u32) -> Option<[u8; 8]> {
    let of_base = || table.filter(|_| known.is_of_base(page))?.at(page).ok().flatten();
    known.hash(page).or_else(of_base)
}

/// The checksum of what base and log lead to; `None` where the table is not of that base.
fn sum_of(known: &dyn Known, table: &PageTable) -> Result<Option<StateSum>> {
    if u64::from(known.base_pages()) > table.pages() {
        return Ok(None);
    }
    let mut sum = StateSum::default();
    table.range(1, known.base_pages(), &mut |page, hash| {
        if known.is_of_base(page) && known.hash(page).is_none() {
            sum = sum.with(page, hash);
        }
    })?;
    known.each(&mut |page, hash| sum = sum.with(page, hash));
    Ok(Some(sum))
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
    pub(super) fn change(&mut self, (known, table): (&dyn Known, Option<&PageTable>), page: u32, hash: [u8; 8]) {
        let Some(sum) = self.now else { return };
        let is_there = known.hash(page).is_some() || known.is_of_base(page);
        let sum =
            if is_there { self.before((known, table), page).map(|hash| sum.without(page, hash)) } else { Some(sum) };
        self.now = sum.map(|sum| sum.with(page, hash));
    }

    fn before(&self, (known, table): (&dyn Known, Option<&PageTable>), page: u32) -> Option<[u8; 8]> {
        let at_cut = || {
            let (known, table) = self.before_cut.as_ref().filter(|_| known.is_of_base(page))?;
            hash_in(known, table.as_ref(), page)
        };
        hash_in(known, table, page).or_else(at_cut)
    }

    /// Pages beyond `page_count` are cut off, of which `known` and `table` tell.
    pub(super) fn cut_off(&mut self, (known, table): (&dyn Known, Option<&PageTable>), page_count: u32) {
        let Some(mut sum) = self.now else { return };
        known.each(&mut |page, hash| {
            if page > page_count {
                sum = sum.without(page, hash);
            }
        });
        let of_base = |page: u32| known.is_of_base(page) && known.hash(page).is_none();
        self.now = match table {
            Some(table) if u64::from(known.base_pages()) <= table.pages() => {
                let mut visit = |page, hash| {
                    if of_base(page) {
                        sum = sum.without(page, hash);
                    }
                };
                let read = table.range(page_count.saturating_add(1), known.base_pages(), &mut visit);
                read.ok().map(|()| sum)
            }
            _ => (page_count.saturating_add(1)..=known.base_pages())
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
        known.pages.retain(|page, _| *page <= since.base_pages);
        for (number, page) in since.pages {
            // What is recorded since the cut may hang on what was before.
            let earlier = known.pages.get(&number).map(|page| page.since).unwrap_or_default();
            known.pages.insert(number, Logged { since: earlier.and(page.since), ..page });
        }
        Some((known, table))
    }

    /// There is a page table of the base: makes the checksum anew from it. False where it is not the one that was kept
    /// up to now, or that the last record bears.
    pub(super) fn begin(&mut self, known: &dyn Known, table: &PageTable, said: Option<StateSum>) -> bool {
        let kept = self.now.or(said);
        self.before_cut = None;
        self.set(sum_of(known, table).ok().flatten());
        kept.is_none() || self.now.is_none() || kept == self.now
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        journal::{Chain, format::page_hash, table::PageTableWriter},
        storage::{Disk, Ownership, Storage},
    };

    const SIZE: usize = 512;

    fn table(pages: &[u8]) -> Result<PageTable> {
        let folder = tempfile::tempdir().map_err(|_| crate::error::Error::stopped())?;
        let (path, storage) = (folder.path().join("a.pages"), Arc::new(Disk) as Arc<dyn Storage>);
        let mut writer = PageTableWriter::create(&storage, &path, (SIZE as u32, Chain([1; 32])), Ownership::default())?;
        for value in pages {
            writer.push(&[*value; SIZE])?;
        }
        writer.finish()?;
        PageTable::open(&path, SIZE as u32, Chain([1; 32]))?.ok_or_else(crate::error::Error::stopped)
    }

    fn hash(value: u8) -> [u8; 8] {
        page_hash(&[value; SIZE])
    }

    fn sum(pages: &[(u32, u8)]) -> Option<StateSum> {
        Some(pages.iter().fold(StateSum::default(), |sum, (page, value)| sum.with(*page, hash(*value))))
    }

    fn write(kept: &mut Kept, known: &mut Changes, table: Option<&PageTable>, page: u32, value: u8) {
        kept.change((known, table), page, hash(value));
        known.pages.insert(page, hash(value).into());
    }

    #[test]
    fn it_goes_with_pages_that_change_come_and_are_cut_off() -> Result<()> {
        let (base, mut known, mut kept) = (table(&[1, 2, 3, 4])?, Changes::with_blank(4, &[(3, 3)]), Kept::default());
        assert!(kept.begin(&known, &base, None), "there is nothing that it could contradict");
        assert_eq!(kept.now(), sum(&[(1, 1), (2, 2), (4, 4)]));
        for (page, value) in [(2, 7), (2, 8), (3, 9), (6, 6)] {
            write(&mut kept, &mut known, Some(&base), page, value);
        }
        assert_eq!(kept.now(), sum(&[(1, 1), (2, 8), (3, 9), (4, 4), (6, 6)]));
        kept.cut_off((&known, Some(&base)), 2);
        assert_eq!(kept.now(), sum(&[(1, 1), (2, 8)]));
        // What was not synced does not count.
        kept.revert();
        assert_eq!(kept.now(), sum(&[(1, 1), (2, 2), (4, 4)]));
        Ok(())
    }

    #[test]
    fn without_a_table_it_is_not_known_and_with_one_again() -> Result<()> {
        let (base, mut known, mut kept) = (table(&[1, 2])?, Changes::new(2), Kept::default());
        kept.begin(&known, &base, None);
        write(&mut kept, &mut known, None, 1, 5);
        assert_eq!(kept.now(), None);
        write(&mut kept, &mut known, None, 1, 6);
        assert_eq!(kept.now(), None);
        assert!(kept.begin(&known, &base, None));
        assert_eq!(kept.now(), sum(&[(1, 6), (2, 2)]));
        assert!(!kept.begin(&known, &table(&[1, 3])?, None), "it is not what was kept");
        assert!(!Kept::default().begin(&known, &base, sum(&[(1, 6), (2, 3)])), "nor what the log says");
        Ok(())
    }

    #[test]
    fn while_a_backup_is_made_what_was_known_at_its_cut_tells() -> Result<()> {
        let (base, mut known, mut kept) = (table(&[1, 2, 3])?, Changes::new(3), Kept::default());
        kept.begin(&known, &base, None);
        write(&mut kept, &mut known, Some(&base), 2, 7);
        kept.at_cut(known, Some(base), 2);
        let mut since = Changes::new(3);
        for (page, value) in [(2, 8), (3, 9)] {
            write(&mut kept, &mut since, None, page, value);
        }
        assert_eq!(kept.now(), sum(&[(1, 1), (2, 8), (3, 9)]));
        kept.cut_off((&since, None), 2);
        assert_eq!(kept.now(), sum(&[(1, 1), (2, 8)]));
        // The archive holds what the log leads to; or something else.
        (since.base_pages, _) = (2, since.pages.remove(&3));
        let mut other = Kept::default();
        other.set(kept.now());
        assert!(kept.begin(&since, &table(&[1, 7, 3])?, None));
        assert!(!other.begin(&since, &table(&[9, 7, 3])?, None));
        Ok(())
    }

    #[test]
    fn after_a_failed_backup_all_that_was_known_counts() -> Result<()> {
        let (base, mut known, mut kept) = (table(&[1, 2, 3, 4])?, Changes::new(4), Kept::default());
        known.pages.extend([(1, hash(5).into()), (2, hash(6).into()), (4, hash(7).into())]);
        kept.at_cut(known, Some(base), 1);
        assert_eq!(kept.version(2), 1, "what the log before cannot hold is not used");
        let mut since = Changes::new(3);
        since.pages.insert(2, hash(8).into());
        let Some((known, table)) = kept.rejoin(since) else { return Err(crate::error::Error::stopped()) };
        assert_eq!((known.base_pages, known.pages.len(), table.is_some()), (3, 2, true));
        assert_eq!((known.hash(1), known.hash(2)), (Some(hash(5)), Some(hash(8))));
        assert_eq!(kept.version(2), 2);
        Ok(())
    }
}
