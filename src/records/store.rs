//! The pages of a data file while a log is read: as they were before a commit, and after it. They come from the archive
//! that the log goes on from, as far as they are needed, and from the log itself.
//!
//! Neither data file nor log is held in memory: what was changed goes to a file without a name where it is much.

use std::{
    cell::RefCell,
    fs::File,
    io::{Seek, SeekFrom, Write},
    path::Path,
    sync::Arc,
};

pub use super::base::{ArchiveBase, Base};
use super::{by_page::ByPage, page::Image, tree::Pages};
use crate::{
    error::{Error, ErrorKind, Result},
    journal::{
        format::Entry,
        page,
        reader::{LogReader, Record},
    },
    storage::read_exact_at,
};

/// Bytes of changed pages held in memory.
const CHANGED_BYTES: usize = 64 << 20;
/// Bytes of pages of the base held in memory, twice.
const CLEAN_BYTES: usize = 16 << 20;

/// Memory of so many pages is kept for the next ones.
const SPARE_MAX: usize = 64;

/// A map with room for more pages is not kept for the next commit.
const ROOM_MAX: usize = 1 << 10;

/// Where a page that was changed is.
#[derive(Debug, Clone)]
enum Slot {
    Memory(Image),
    File(u64),
}

/// What a page was before the commit.
#[derive(Debug, Clone)]
enum Earlier {
    /// What a commit before wrote.
    Written(Slot),
    /// What the base has.
    Base,
}

struct Inner {
    base: Box<dyn Base>,
    page_size: usize,
    /// How many pages of the base still count, now and before the commit.
    base_count: (u32, u32),
    /// How many pages there are, now and before the commit.
    count: (u32, u32),
    current: ByPage<Slot>,
    before: ByPage<Earlier>,
    /// Pages of the base that were read lately, and those before.
    clean: (ByPage<Image>, ByPage<Image>),
    /// How many pages `current` and `before` hold in memory, at most.
    in_memory: usize,
    /// How many may.
    most: usize,
    scratch: Option<File>,
    free: Vec<u64>,
    used: u64,
    /// Memory of pages that nobody needs any more, for the next ones.
    spare: Vec<Vec<u8>>,
}

/// A data file at a commit, and before it.
pub struct Store {
    inner: RefCell<Inner>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

fn scratch_error(what: &str, error: std::io::Error) -> Error {
    Error::io(what, Path::new("a file without a name in the system's folder for such files"), error)
}

impl Inner {
    fn base_page(&mut self, page: u32) -> Result<Image> {
        if let Some(image) = self.clean.0.get(&page) {
            return Ok(Arc::clone(image));
        }
        let image = match self.clean.1.get(&page) {
            Some(image) => Arc::clone(image),
            None => Arc::new(self.base.read(page)?),
        };
        if self.clean.0.len() * self.page_size > CLEAN_BYTES {
            self.clean.1 = std::mem::take(&mut self.clean.0);
        }
        self.clean.0.insert(page, Arc::clone(&image));
        Ok(image)
    }

    fn of_slot(&self, slot: &Slot) -> Result<Image> {
        match slot {
            Slot::Memory(image) => Ok(Arc::clone(image)),
            Slot::File(number) => {
                let mut image = vec![0; self.page_size];
                if let Some(file) = &self.scratch {
                    let read = read_exact_at(file, number * self.page_size as u64, &mut image);
                    read.map_err(|e| scratch_error("read", e))?;
                }
                Ok(Arc::new(image))
            }
        }
    }

    fn unwritten(&mut self, page: u32, base_count: u32) -> Result<Image> {
        // It came into being without an entry: SQLite never reads it.
        if page > base_count { Ok(Arc::new(vec![0; self.page_size])) } else { self.base_page(page) }
    }

    fn now(&mut self, page: u32) -> Result<Option<Image>> {
        if page == 0 || page > self.count.0 {
            return Ok(None);
        }
        match self.current.get(&page) {
            Some(slot) => self.of_slot(slot).map(Some),
            None => self.unwritten(page, self.base_count.0).map(Some),
        }
    }

    fn earlier(&mut self, page: u32) -> Result<Option<Image>> {
        if page == 0 || page > self.count.1 {
            return Ok(None);
        }
        match self.before.get(&page) {
            Some(Earlier::Written(slot)) => self.of_slot(slot).map(Some),
            Some(Earlier::Base) => self.unwritten(page, self.base_count.1).map(Some),
            None => match self.current.get(&page) {
                Some(slot) => self.of_slot(slot).map(Some),
                None => self.unwritten(page, self.base_count.1).map(Some),
            },
        }
    }

    /// The commit that was looked at is in the past.
    fn settle(&mut self) {
        for (_, earlier) in self.before.drain() {
            match earlier {
                Earlier::Written(Slot::File(number)) => self.free.push(number),
                Earlier::Written(Slot::Memory(image)) => {
                    self.in_memory = self.in_memory.saturating_sub(1);
                    if self.spare.len() < SPARE_MAX {
                        self.spare.extend(Arc::try_unwrap(image).ok());
                    }
                }
                Earlier::Base => {}
            }
        }
        // To empty a map takes as long as it was ever full.
        if self.before.capacity() > ROOM_MAX {
            self.before = ByPage::default();
        }
        (self.count.1, self.base_count.1) = (self.count.0, self.base_count.0);
    }

    fn put(&mut self, entry: &Entry<'_>, commit: u64) -> Result<()> {
        let exists = entry.page <= self.count.1;
        let previous = match exists && !page::stands_alone(entry.encoding) {
            true => self.earlier(entry.page)?,
            false => None,
        };
        let mut image = self.spare.pop().unwrap_or_default();
        image.clear();
        match previous {
            Some(previous) => image.extend_from_slice(&previous),
            None => image.resize(self.page_size, 0),
        }
        let mut before = |number: u32| Ok(self.earlier(number)?.map(|image| image.as_ref().clone()));
        if !page::decode_proven(entry, exists, &mut image, &mut before)? {
            let message = format!(
                "commit {commit} does not fit what it goes on from: page {} is not what the log was made against",
                entry.page
            );
            return Err(Error::new(ErrorKind::Damaged, message)
                .hint("The archive and the log do not belong together, or one is damaged. Name another archive."));
        }
        let earlier = self.current.insert(entry.page, Slot::Memory(Arc::new(image)));
        self.in_memory += 1;
        self.before.insert(entry.page, earlier.map_or(Earlier::Base, Earlier::Written));
        self.limit_memory()
    }

    /// The data file has so many pages now.
    fn resize(&mut self, count: u32) {
        if count < self.count.0 {
            let gone: Vec<u32> = self.current.keys().copied().filter(|page| *page > count).collect();
            for page in gone {
                if let Some(slot) = self.current.remove(&page) {
                    self.before.insert(page, Earlier::Written(slot));
                }
            }
            self.base_count.0 = self.base_count.0.min(count);
        }
        self.count.0 = count;
    }

    fn limit_memory(&mut self) -> Result<()> {
        if self.in_memory <= self.most {
            return Ok(());
        }
        let (mut current, mut before) = (std::mem::take(&mut self.current), std::mem::take(&mut self.before));
        let earlier = before.values_mut().filter_map(|earlier| match earlier {
            Earlier::Written(slot) => Some(slot),
            Earlier::Base => None,
        });
        for slot in current.values_mut().chain(earlier) {
            if let Slot::Memory(image) = slot {
                *slot = Slot::File(self.spill(image)?);
            }
        }
        (self.current, self.before, self.in_memory) = (current, before, 0);
        Ok(())
    }

    fn spill(&mut self, image: &[u8]) -> Result<u64> {
        if self.scratch.is_none() {
            self.scratch = Some(tempfile::tempfile().map_err(|e| scratch_error("make", e))?);
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.used += 1;
            self.used - 1
        });
        if let Some(file) = &mut self.scratch {
            let at = SeekFrom::Start(number * self.page_size as u64);
            file.seek(at).and_then(|_| file.write_all(image)).map_err(|e| scratch_error("write to", e))?;
        }
        Ok(number)
    }
}

impl Store {
    /// Begins with what the base holds.
    pub fn new(base: Box<dyn Base>, page_size: u32) -> Self {
        let count = base.count();
        let inner = Inner {
            base,
            page_size: page_size as usize,
            base_count: (count, count),
            count: (count, count),
            current: ByPage::default(),
            before: ByPage::default(),
            clean: Default::default(),
            in_memory: 0,
            most: CHANGED_BYTES / page_size.max(1) as usize,
            scratch: None,
            free: Vec::new(),
            used: 0,
            spare: Vec::new(),
        };
        Self { inner: RefCell::new(inner) }
    }

    /// The state before the commit that was applied last.
    pub fn before(&self) -> Before<'_> {
        Before(self)
    }

    /// The state after it.
    pub fn after(&self) -> After<'_> {
        After(self)
    }

    /// Goes on by one commit; returns the pages that it wrote, in order.
    ///
    /// # Errors
    /// `Damaged` where the commit does not fit what is here; a failing disk.
    pub fn apply(&self, reader: &mut LogReader, record: &Record) -> Result<Vec<u32>> {
        let inner = &mut *self.inner.borrow_mut();
        inner.settle();
        let mut changed = Vec::new();
        reader.pages(record, &mut |entry| {
            changed.push(entry.page);
            inner.put(&entry, record.head.commit)
        })?;
        inner.resize(record.head.page_count);
        changed.sort_unstable();
        Ok(changed)
    }
}

/// A state before a commit.
#[derive(Debug, Clone, Copy)]
pub struct Before<'s>(&'s Store);

/// A state after a commit.
#[derive(Debug, Clone, Copy)]
pub struct After<'s>(&'s Store);

impl Pages for Before<'_> {
    fn page(&self, number: u32) -> Result<Option<Image>> {
        self.0.inner.borrow_mut().earlier(number)
    }

    fn count(&self) -> u32 {
        self.0.inner.borrow().count.1
    }
}

impl Pages for After<'_> {
    fn page(&self, number: u32) -> Result<Option<Image>> {
        self.0.inner.borrow_mut().now(number)
    }

    fn count(&self) -> u32 {
        self.0.inner.borrow().count.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::journal::format::page_hash;

    struct Same(u32);

    impl Base for Same {
        fn read(&mut self, page: u32) -> Result<Vec<u8>> {
            Ok(vec![page as u8; 512])
        }

        fn count(&self) -> u32 {
            self.0
        }
    }

    fn shown(pages: &dyn Pages) -> Result<Vec<Option<u8>>> {
        let one = |page| pages.page(page).map(|image| image.and_then(|image| image.first().copied()));
        (0..14).map(one).collect()
    }

    proptest! {
        #[test]
        fn pages_are_as_they_were_before_and_after_each_commit_with_whatever_memory(
            most in 0usize..9,
            commits in prop::collection::vec((prop::collection::btree_map(1u32..13, 100u8..250, 0..7), 1u32..13), 1..12),
        ) {
            let fail = |error: Error| TestCaseError::fail(error.to_string());
            let store = Store::new(Box::new(Same(7)), 512);
            store.inner.borrow_mut().most = most;
            let mut model: BTreeMap<u32, u8> = (1..=7).map(|page| (page, page as u8)).collect();
            for (written, count) in commits {
                let before: Vec<Option<u8>> = (0..14).map(|page| model.get(&page).copied()).collect();
                let mut inner = store.inner.borrow_mut();
                inner.settle();
                model.retain(|page, _| *page <= count);
                (1..=count).for_each(|page| _ = model.entry(page).or_default());
                for (page, value) in written.iter().filter(|(page, _)| **page <= count) {
                    model.insert(*page, *value);
                    let bytes = vec![*value; 512];
                    let entry = Entry { page: *page, encoding: page::WHOLE, hash: page_hash(&bytes), bytes: &bytes };
                    inner.put(&entry, 1).map_err(fail)?;
                }
                inner.resize(count);
                drop(inner);
                let after: Vec<Option<u8>> = (0..14).map(|page| model.get(&page).copied()).collect();
                prop_assert_eq!(shown(&store.before()).map_err(fail)?, before);
                prop_assert_eq!(shown(&store.after()).map_err(fail)?, after);
            }
        }
    }
}
