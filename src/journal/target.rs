//! The file that logs are applied to, and the proof of what it became.

use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    path::PathBuf,
};

use super::{
    format::{Entry, page_hash},
    page,
    reader::{LogReader, Record},
    state::StateSum,
};
use crate::{
    control::Control,
    error::{Error, ErrorKind, Result},
    storage::read_exact_at,
};

/// Bytes of changed pages held in memory before they are written.
const CACHE_BYTES: usize = 64 << 20;
/// Bytes read at once to be proven.
const PIECE: usize = 1 << 20;

/// The file being rebuilt, with its changed pages in memory until there are many.
pub(super) struct Target {
    file: File,
    path: PathBuf,
    page_size: usize,
    pub(super) page_count: u32,
    pages: BTreeMap<u32, Vec<u8>>,
    defined: Option<Defined>,
}

/// Which pages have a defined content, so that they count in the checksum of the state.
struct Defined {
    /// Those of the base up to this one, but for the blank ones.
    base_pages: u32,
    blank: Vec<(u32, u32)>,
    written: HashSet<u32>,
}

impl Defined {
    fn has(&self, page: u32) -> bool {
        let is_blank = self.blank.iter().any(|(first, last)| (*first..=*last).contains(&page));
        page <= self.base_pages && !is_blank || self.written.contains(&page)
    }
}

impl Target {
    pub(super) fn new((file, path): (File, PathBuf)) -> Self {
        Self { file, path, page_size: 0, page_count: 0, pages: BTreeMap::new(), defined: None }
    }

    pub(super) fn prepare(&mut self, page_size: u32) -> Result<()> {
        let size = page_size as usize;
        if self.page_size == 0 && size > 0 {
            let length = self.file.metadata().map_err(|e| Error::io("measure", &self.path, e))?.len();
            self.page_size = size;
            self.page_count = (length / u64::from(page_size)) as u32;
        }
        if size == self.page_size {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Damaged, format!("the log is not made for the page size of {}", self.path.display())))
    }

    /// A log begins to be applied: at its base, where these pages have no content; or somewhere else, where that is not
    /// known.
    pub(super) fn begin(&mut self, blank: Option<&[(u32, u32)]>) {
        let base_pages = self.page_count;
        self.defined = blank.map(|blank| Defined { base_pages, blank: blank.to_vec(), written: HashSet::new() });
    }

    /// Reads the file as it was written, and compares all of it with the checksum of the state that it should have.
    /// False where that is not known.
    pub(super) fn prove(&mut self, wanted: Option<StateSum>, control: &Control) -> Result<bool> {
        let (Some(wanted), Some(defined)) = (wanted, &self.defined) else { return Ok(false) };
        let mut buffer = vec![0; (PIECE / self.page_size).max(1) * self.page_size];
        let (mut sum, mut first) = (StateSum::default(), 1u32);
        while first <= self.page_count {
            control.check()?;
            let count = (buffer.len() / self.page_size).min((self.page_count - first) as usize + 1);
            let piece = &mut buffer[..count * self.page_size];
            let offset = u64::from(first - 1) * self.page_size as u64;
            read_exact_at(&self.file, offset, piece).map_err(|e| Error::io("read", &self.path, e))?;
            for (page, image) in
                (first..).zip(piece.chunks_exact(self.page_size)).filter(|(page, _)| defined.has(*page))
            {
                sum = sum.with(page, page_hash(image));
            }
            first += count as u32;
        }
        if sum == wanted {
            return Ok(true);
        }
        let message = format!(
            "{} is not the state that the log says: a page that no commit touched differs",
            self.path.display()
        );
        Err(Error::new(ErrorKind::Damaged, message).hint(
            "The archive and the log do not belong together, or the log lacks a change that was made past SQLite. Restore without \
             the log, or begin with another archive.",
        ))
    }

    pub(super) fn apply(&mut self, reader: &mut LogReader, record: &Record) -> Result<()> {
        let count_before = self.page_count;
        reader.pages(record, &mut |entry| self.put(&entry, count_before, record.head.commit))?;
        if let Some(defined) = self.defined.as_mut().filter(|_| record.head.page_count < count_before) {
            defined.base_pages = defined.base_pages.min(record.head.page_count);
            defined.written.retain(|page| *page <= record.head.page_count);
        }
        if record.head.page_count < count_before {
            self.flush()?;
            let length = u64::from(record.head.page_count) * self.page_size as u64;
            self.file.set_len(length).map_err(|e| Error::io("cut", &self.path, e))?;
        }
        self.page_count = record.head.page_count;
        if self.pages.len() * self.page_size > CACHE_BYTES { self.flush() } else { Ok(()) }
    }

    fn put(&mut self, entry: &Entry<'_>, count_before: u32, commit: u64) -> Result<()> {
        let exists = entry.page <= count_before;
        let mut image = match self.pages.remove(&entry.page) {
            Some(image) => image,
            None => {
                let mut image = vec![0; self.page_size];
                if exists && !page::stands_alone(entry.encoding) {
                    let offset = u64::from(entry.page - 1) * self.page_size as u64;
                    read_exact_at(&self.file, offset, &mut image).map_err(|e| Error::io("read", &self.path, e))?;
                }
                image
            }
        };
        let decoded = page::decode(entry.encoding, entry.bytes, exists, &mut image);
        if decoded.is_none() || page_hash(&image) != entry.hash {
            let message = format!(
                "commit {commit} does not fit {}: page {} is not what the log was made against",
                self.path.display(),
                entry.page
            );
            return Err(Error::new(ErrorKind::Damaged, message)
                .hint("The archive and the log do not belong together, or one is damaged. Restore without the log, or up to the commit before."));
        }
        self.pages.insert(entry.page, image);
        if let Some(defined) = &mut self.defined {
            defined.written.insert(entry.page);
        }
        // A huge commit must not fill the memory: its pages can go to the file at once, for the record is verified.
        if self.pages.len() * self.page_size > 2 * CACHE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        for (page, image) in std::mem::take(&mut self.pages) {
            let offset = u64::from(page - 1) * self.page_size as u64;
            write_all_at(&mut self.file, offset, &image).map_err(|e| Error::io("write to", &self.path, e))?;
        }
        Ok(())
    }

    pub(super) fn finish(&mut self) -> Result<()> {
        self.flush()?;
        if self.page_size > 0 {
            let length = u64::from(self.page_count) * self.page_size as u64;
            self.file.set_len(length).map_err(|e| Error::io("cut", &self.path, e))?;
        }
        self.file.sync_all().map_err(|e| Error::io("sync", &self.path, e))
    }
}

fn write_all_at(file: &mut File, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::{Seek, SeekFrom, Write};
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(bytes)
}
