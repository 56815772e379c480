//! The damaged data file, byte by byte: read and never written, and never opened with SQLite, which would play back
//! journals and make files beside it.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    error::{Error, ErrorKind, Result},
    records::page::{FileHead, Image},
    sqlite::{alias, wal_alone::Committed},
    storage::lasting::{self, Lasting},
};

/// The file as bytes, before anything is known of its pages.
#[derive(Debug)]
pub(super) struct Raw {
    file: Lasting,
    pub(super) path: PathBuf,
    pub(super) length: u64,
    pub(super) wal: Option<Committed>,
}

impl Raw {
    /// Opens the file at `path`, and reads what was committed to its `-wal`.
    ///
    /// # Errors
    /// `NotFound`, `WrongType`, `Empty`, `Permission`; those of the disk.
    pub(super) fn open(path: &Path) -> Result<Self> {
        alias::refuse_odd_name(path)?;
        let named = "Choose the data file itself; its name often ends in .sqlite, .sqlite3 or .db.";
        let meta = std::fs::metadata(path).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => Error::new(ErrorKind::NotFound, format!("{} does not exist", path.display()))
                .hint("Check the path. If the file is gone, restore its last archive: strongroom restore DATAFILE."),
            _ => Error::io("open", path, e),
        })?;
        if !meta.is_file() {
            let what = if meta.is_dir() { "a folder" } else { "not an ordinary file" };
            return Err(Error::new(ErrorKind::WrongType, format!("{} is {what}", path.display())).hint(named));
        }
        let path = path.canonicalize().map_err(|e| Error::io("open", path, e))?;
        let (file, meta) = lasting::open(&path).map_err(|e| Error::io("open", &path, e))?;
        let wal = Committed::read(&path)?;
        if meta.len() == 0 && wal.is_none() {
            return Err(Error::new(ErrorKind::Empty, format!("{} is empty (0 bytes)", path.display()))
                .hint("Nothing is left in it. Restore the last archive: strongroom restore DATAFILE."));
        }
        Ok(Self { file, length: meta.len(), path, wal })
    }

    /// As many of `length` bytes at `offset` as there are; `None` where the disk does not give them.
    pub(super) fn bytes(&self, offset: u64, length: usize) -> Option<Vec<u8>> {
        let there = self.length.saturating_sub(offset).min(length as u64) as usize;
        let mut bytes = vec![0; there];
        self.file.read_exact_at(offset, &mut bytes).ok()?;
        Some(bytes)
    }

    /// How many pages of `page_size` there are; one that was cut off counts.
    pub(super) fn page_count(&self, page_size: usize) -> u32 {
        let own = u32::try_from(self.length.div_ceil(page_size as u64)).unwrap_or(u32::MAX - 1);
        match &self.wal {
            // A WAL can name any number: no more pages are there than both files hold.
            Some(wal) if wal.page_size() == page_size => {
                let held = u64::from(own) + wal.len();
                wal.page_count().min(u32::try_from(held).unwrap_or(u32::MAX - 1))
            }
            _ => own,
        }
    }
}

/// The pages of the damaged file.
#[derive(Debug)]
pub(super) struct Source {
    raw: Raw,
    pub(super) head: FileHead,
    count: u32,
    unreadable: RefCell<BTreeSet<u32>>,
}

/// So many pages that the disk does not give are told apart.
const UNREADABLE_MAX: usize = 1_000_000;

impl Source {
    pub(super) fn new(raw: Raw, head: FileHead) -> Self {
        let count = raw.page_count(head.page_size);
        Self { raw, head, count, unreadable: RefCell::default() }
    }

    /// How many pages there are.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// How many of them come from the `-wal`.
    pub(super) fn of_wal(&self) -> u64 {
        let wal = self.raw.wal.as_ref().filter(|wal| wal.page_size() == self.head.page_size);
        wal.map_or(0, Committed::len)
    }

    /// How many pages the disk did not give.
    pub(super) fn unreadable(&self) -> u64 {
        self.unreadable.borrow().len() as u64
    }

    /// A page, and how many bytes of it there are: the last one may have been cut off, and the rest is zero then.
    /// `None` where there is none of that number, or the disk does not give it.
    pub(super) fn page(&self, number: u32) -> Option<(Image, usize)> {
        if number == 0 || number > self.count {
            return None;
        }
        let size = self.head.page_size;
        let wal = self.raw.wal.as_ref().filter(|wal| wal.page_size() == size);
        match wal.map(|wal| wal.page(number)) {
            Some(Ok(Some(image))) => return Some((Arc::new(image), size)),
            // What the data file itself has is older.
            Some(Err(_)) => return self.note_unreadable(number),
            _ => {}
        }
        let Some(mut image) = self.raw.bytes(u64::from(number - 1) * size as u64, size) else {
            return self.note_unreadable(number);
        };
        let whole = image.len();
        if whole == 0 {
            return None;
        }
        image.resize(size, 0);
        Some((Arc::new(image), whole))
    }

    fn note_unreadable<T>(&self, number: u32) -> Option<T> {
        let mut unreadable = self.unreadable.borrow_mut();
        if unreadable.len() < UNREADABLE_MAX {
            unreadable.insert(number);
        }
        None
    }
}
