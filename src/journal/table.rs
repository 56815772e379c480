//! The page table: 8 bytes of hash per page of the data file, as the archive holds it.
//!
//! After an interruption the data file must be compared with the state that archive and log yield. Rebuilding that
//! state would read and unpack the whole archive. Every entry of the log carries the hash of its page already, so only
//! the hashes of the pages at the base are needed: they are written once, while the backup reads the data file anyway,
//! and never change. A missing or damaged table costs time, not safety: it is made again from the archive, and without
//! an archive every page is written to the catch-up record. Two different pages agree in 64 bits of BLAKE3 by chance
//! once in 2^64.
//!
//! | Offset | Size | |
//! |---|---|---|
//! | 0 | 8 | magic `\x894BLpage` |
//! | 8 | 4 | page size |
//! | 12 | 4 | zeros |
//! | 16 | 32 | chain value of the base |
//! | 48 | 8 × pages | first 8 bytes of each page's hash |
//! | end − 32 | 32 | hash of everything before |

use std::{
    collections::HashMap,
    fs::File,
    io::{BufReader, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use twox_hash::XxHash64;

use super::{
    format::{Chain, RecordKind, page_hash},
    keys::Since,
    reader::{LogReader, Record},
};
use crate::{
    error::{Error, ErrorKind, Result},
    storage::{
        Ownership, Storage, StorageFile,
        regular::{self, Links},
    },
};

const MAGIC: &[u8; 8] = b"\x894BLpage";
const HEADER: u64 = 48;
/// Pages whose hashes are read and held against a checksum together.
const PIECE: usize = 512;

/// Writes a page table while the pages of a base go by.
pub struct PageTableWriter {
    storage: Arc<dyn Storage>,
    file: Box<dyn StorageFile>,
    path: PathBuf,
    page_size: usize,
    hasher: blake3::Hasher,
    partial: Vec<u8>,
    out: Vec<u8>,
}

impl std::fmt::Debug for PageTableWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PageTableWriter").field("path", &self.path).finish_non_exhaustive()
    }
}

impl PageTableWriter {
    pub(super) fn create(
        storage: &Arc<dyn Storage>,
        path: &Path,
        (page_size, chain): (u32, Chain),
        ownership: Ownership,
    ) -> Result<Self> {
        if path.symlink_metadata().is_ok() {
            storage.remove(path)?;
        }
        let file = storage.create(path, ownership)?;
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&page_size.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&chain.0);
        Ok(Self {
            storage: Arc::clone(storage),
            file,
            path: path.to_path_buf(),
            page_size: page_size as usize,
            hasher: blake3::Hasher::new(),
            partial: Vec::new(),
            out,
        })
    }

    /// Takes the next bytes of the data file, in order, in pieces of any length.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            if self.partial.is_empty() && bytes.len() >= self.page_size {
                self.out.extend_from_slice(&page_hash(&bytes[..self.page_size]));
                bytes = &bytes[self.page_size..];
            } else {
                let count = (self.page_size - self.partial.len()).min(bytes.len());
                self.partial.extend_from_slice(&bytes[..count]);
                bytes = &bytes[count..];
                if self.partial.len() == self.page_size {
                    self.out.extend_from_slice(&page_hash(&self.partial));
                    self.partial.clear();
                }
            }
            if self.out.len() > 1 << 18 {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.hasher.update(&self.out);
        self.file.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    /// Ends the table; it is durable when this returns.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> Result<()> {
        self.flush()?;
        let hash = self.hasher.finalize();
        self.file.write_all(hash.as_bytes())?;
        self.file.sync()
    }

    /// Removes what was written.
    pub fn discard(self) {
        let _ = self.storage.remove(&self.path);
    }
}

/// A verified page table.
///
/// It is read for as long as the log is written, and stands in a folder that others may write: every piece of it is
/// held against a checksum from when it was verified, which is kept in memory, 8 bytes for 512 pages.
#[derive(Debug)]
pub(super) struct PageTable {
    file: File,
    path: PathBuf,
    pages: u64,
    /// Of every piece, as it was verified.
    sums: Vec<u64>,
    /// The piece that was read last in order, and the next page.
    piece: Vec<[u8; 8]>,
    at: u64,
}

impl PageTable {
    /// Opens and verifies the table at `path`; `None` when it is missing, damaged, or of another base.
    pub(super) fn open(path: &Path, page_size: u32, chain: Chain) -> Result<Option<Self>> {
        let fail = |e| Error::io("read", path, e);
        let (file, meta) = match regular::open(path, Links::Refused) {
            Ok(opened) => opened,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(fail(e)),
        };
        let length = meta.len();
        if length < HEADER + 32 || !(length - HEADER - 32).is_multiple_of(8) {
            return Ok(None);
        }
        let (mut hasher, mut reader) = (blake3::Hasher::new(), BufReader::with_capacity(1 << 16, &file));
        let mut header = [0; HEADER as usize];
        reader.read_exact(&mut header).map_err(fail)?;
        hasher.update(&header);
        let mut left = length - HEADER - 32;
        let (mut sums, mut piece) = (Vec::new(), vec![0; PIECE * 8]);
        while left > 0 {
            let bytes = &mut piece[..left.min(PIECE as u64 * 8) as usize];
            reader.read_exact(bytes).map_err(fail)?;
            hasher.update(bytes);
            sums.push(sum(bytes));
            left -= bytes.len() as u64;
        }
        let mut end = [0; 32];
        reader.read_exact(&mut end).map_err(fail)?;
        let right = header.starts_with(MAGIC)
            && header[8..12] == page_size.to_le_bytes()
            && header[16..48] == chain.0
            && *hasher.finalize().as_bytes() == end;
        let pages = (length - HEADER - 32) / 8;
        let path = path.to_path_buf();
        Ok(right.then_some(Self { file, path, pages, sums, piece: Vec::new(), at: 0 }))
    }

    /// The hashes of the piece with this number.
    fn piece(&self, number: u64) -> Result<Vec<[u8; 8]>> {
        let from = number * PIECE as u64;
        let mut bytes = vec![0; (self.pages - from).min(PIECE as u64) as usize * 8];
        crate::storage::read_exact_at(&self.file, HEADER + from * 8, &mut bytes)
            .map_err(|e| Error::io("read", &self.path, e))?;
        if self.sums.get(number as usize) != Some(&sum(&bytes)) {
            let message = format!("{} was written by another program", self.path.display());
            return Err(Error::new(ErrorKind::Changed, message).about(&self.path).hint(
                "It is made anew with the next full backup; until then pages are recorded whole. See who writes in \
                 that folder.",
            ));
        }
        Ok(bytes.as_chunks::<8>().0.to_vec())
    }

    /// The hash of one page.
    pub(super) fn at(&self, page: u32) -> Result<Option<[u8; 8]>> {
        if page == 0 || u64::from(page) > self.pages {
            return Ok(None);
        }
        let index = u64::from(page - 1);
        let piece = self.piece(index / PIECE as u64)?;
        Ok(piece.get(index as usize % PIECE).copied())
    }

    /// Calls `visit` for each page from `first` to `last`, as far as there are hashes.
    pub(super) fn range(&self, first: u32, last: u32, visit: &mut dyn FnMut(u32, [u8; 8])) -> Result<()> {
        let (first, last) = (u64::from(first.max(1)), u64::from(last).min(self.pages));
        if first > last {
            return Ok(());
        }
        let size = PIECE as u64;
        for number in (first - 1) / size..=(last - 1) / size {
            for (page, hash) in (number * size + 1..).zip(self.piece(number)?) {
                if (first..=last).contains(&page) {
                    // No data file has more pages than a number of 32 bits names.
                    visit(page as u32, hash);
                }
            }
        }
        Ok(())
    }

    /// How many pages it has hashes of.
    pub(super) fn pages(&self) -> u64 {
        self.pages
    }

    /// The hash of the next page; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<[u8; 8]>> {
        if self.at >= self.pages {
            return Ok(None);
        }
        if self.at.is_multiple_of(PIECE as u64) {
            self.piece = self.piece(self.at / PIECE as u64)?;
        }
        let hash = self.piece.get(self.at as usize % PIECE).copied();
        self.at += 1;
        Ok(hash)
    }
}

/// Found in memory what was verified: no protection against who computes it, who can write the log as well.
fn sum(bytes: &[u8]) -> u64 {
    XxHash64::oneshot(0, bytes)
}

/// What is known of the pages after the last record: from the log, which changed some, and from its base.
pub(super) trait Known {
    /// The hash that the log has of `page`, if it changed it.
    fn hash(&self, page: u32) -> Option<[u8; 8]>;
    /// Up to which page the base still counts.
    fn base_pages(&self) -> u32;
    /// Whether a page that the log did not change is as it was in the base.
    fn is_of_base(&self, page: u32) -> bool;
    /// Every page that the log changed, in no order.
    fn each(&self, visit: &mut dyn FnMut(u32, [u8; 8]));
}

/// Whether `page` is in one of these runs.
pub(super) fn is_in(runs: &[(u32, u32)], page: u32) -> bool {
    let at = runs.partition_point(|(_, last)| *last < page);
    runs.get(at).is_some_and(|(first, _)| *first <= page)
}

/// What a log says of a page that it changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Logged {
    /// The hash of what it holds.
    pub(super) hash: [u8; 8],
    /// What was recorded of it since it was recorded whole.
    pub(super) since: Since,
}

impl From<[u8; 8]> for Logged {
    fn from(hash: [u8; 8]) -> Self {
        Self { hash, since: Since::default() }
    }
}

/// What a log says of the pages it changed, and up to which page the base still counts.
#[derive(Debug, Clone)]
pub(super) struct Changes {
    pub(super) pages: HashMap<u32, Logged>,
    pub(super) base_pages: u32,
    /// Runs of pages that have no content at the base.
    pub(super) blank: Vec<(u32, u32)>,
}

impl Changes {
    /// Of a log without records whose base has that many pages.
    pub(super) fn new(base_pages: u32) -> Self {
        Self { pages: HashMap::new(), base_pages, blank: Vec::new() }
    }

    /// The same, where these pages of the base have no content.
    pub(super) fn with_blank(base_pages: u32, blank: &[(u32, u32)]) -> Self {
        Self { blank: blank.to_vec(), ..Self::new(base_pages) }
    }

    /// The pages that have no content after the last record, which leaves `page_count`: they came into being without an
    /// entry.
    pub(super) fn blank_now(&self, page_count: u32) -> Vec<(u32, u32)> {
        let of_base = self.blank.iter().flat_map(|(first, last)| *first..=(*last).min(self.base_pages));
        let (mut runs, mut last) = (Vec::new(), None);
        for page in
            of_base.chain(self.base_pages.saturating_add(1)..=page_count).filter(|page| !self.pages.contains_key(page))
        {
            match runs.last_mut() {
                Some((_, end)) if last == Some(page - 1) => *end = page,
                _ => runs.push((page, page)),
            }
            last = Some(page);
        }
        runs
    }

    /// Takes in the next record.
    pub(super) fn add(&mut self, reader: &mut LogReader, record: &Record, count_before: u32) -> Result<()> {
        if record.head.kind == RecordKind::Gap {
            // The state after it is unknown.
            *self = Self::new(0);
            return Ok(());
        }
        let count = record.head.page_count;
        if count < count_before {
            self.base_pages = self.base_pages.min(count);
            self.pages.retain(|page, _| *page <= count);
        }
        reader.pages(record, &mut |entry| {
            let since = self.pages.get(&entry.page).map(|page| page.since).unwrap_or_default();
            let since = since.after(entry.encoding, entry.bytes.len());
            self.pages.insert(entry.page, Logged { hash: entry.hash, since });
            Ok(())
        })
    }
}

impl Known for Changes {
    fn hash(&self, page: u32) -> Option<[u8; 8]> {
        self.pages.get(&page).map(|page| page.hash)
    }

    fn base_pages(&self) -> u32 {
        self.base_pages
    }

    fn is_of_base(&self, page: u32) -> bool {
        page <= self.base_pages && !is_in(&self.blank, page)
    }

    fn each(&self, visit: &mut dyn FnMut(u32, [u8; 8])) {
        self.pages.iter().for_each(|(number, page)| visit(*number, page.hash));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Disk;

    #[test]
    fn pages_without_an_entry_have_no_content_until_they_get_one() {
        let mut changes = Changes::with_blank(10, &[(2, 3), (7, 9)]);
        assert_eq!(changes.blank_now(10), [(2, 3), (7, 9)]);
        assert_eq!(
            [1, 2, 3, 4, 9, 10, 11].map(|page| changes.is_of_base(page)),
            [true, false, false, true, false, true, false]
        );
        changes.pages.insert(8, [1; 8].into());
        assert_eq!(changes.blank_now(13), [(2, 3), (7, 7), (9, 9), (11, 13)]);
        // Cut off and grown again: what was there does not come back.
        changes.base_pages = 5;
        changes.pages.clear();
        assert_eq!(changes.blank_now(7), [(2, 3), (6, 7)]);
        assert_eq!(changes.blank_now(5), [(2, 3)]);
    }

    #[test]
    fn a_page_table_is_read_back_and_refused_when_anything_differs()
    -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a.pages");
        let storage: Arc<dyn Storage> = Arc::new(Disk);
        let bytes: Vec<u8> = (0..512 * 7).map(|i| (i / 512) as u8).collect();
        let chain = Chain([4; 32]);
        let mut writer = PageTableWriter::create(&storage, &path, (512, chain), Ownership::default())?;
        for piece in bytes.chunks(700) {
            writer.push(piece)?;
        }
        writer.finish()?;
        let mut table = PageTable::open(&path, 512, chain)?.ok_or("refused")?;
        for page in bytes.chunks(512) {
            assert_eq!(table.next()?, Some(page_hash(page)));
        }
        assert_eq!((table.at(2)?, table.at(8)?), (Some(page_hash(&bytes[512..1024])), None));
        assert_eq!(table.next()?, None);
        assert!(PageTable::open(&path, 512, Chain([5; 32]))?.is_none());
        let mut file = std::fs::read(&path)?;
        file[60] ^= 1;
        std::fs::write(&path, file)?;
        assert!(PageTable::open(&path, 512, chain)?.is_none());
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn a_table_that_is_written_over_while_it_is_read_says_nothing_wrong()
    -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a.pages");
        let storage: Arc<dyn Storage> = Arc::new(Disk);
        let (chain, pages) = (Chain([4; 32]), 3 * PIECE as u32);
        let page = |number: u32| [number.to_le_bytes(); 128].concat();
        let mut writer = PageTableWriter::create(&storage, &path, (512, chain), Ownership::default())?;
        (1..=pages).try_for_each(|number| writer.push(&page(number)))?;
        writer.finish()?;
        let table = PageTable::open(&path, 512, chain)?.ok_or("refused")?;
        let mut seen = Vec::new();
        table.range(500, 1100, &mut |page, hash| seen.push((page, hash)))?;
        assert_eq!(seen, (500..=1100).map(|number| (number, page_hash(&page(number)))).collect::<Vec<_>>());
        // In its second piece, in the same file.
        let file = std::fs::OpenOptions::new().write(true).open(&path)?;
        std::os::unix::fs::FileExt::write_all_at(&file, b"x", HEADER + 8 * 600)?;
        assert_eq!(table.at(1)?, Some(page_hash(&page(1))));
        assert_eq!(table.at(pages)?, Some(page_hash(&page(pages))));
        let refused = [table.at(520).err(), table.range(1, pages, &mut |_, _| {}).err()];
        assert!(refused.iter().all(|error| error.as_ref().is_some_and(|error| error.kind() == ErrorKind::Changed)));
        file.set_len(0)?;
        assert!(table.at(1).is_err());
        Ok(())
    }
}
