//! Reading a log file: records, each verified as a whole before any of it is returned.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use super::{
    format::{
        BLOCK_BYTES, BLOCK_MAGIC, BlockHead, Chain, Entry, HEADER_BYTES, LogHeader, PAYLOAD_MAX, RECORD_BYTES,
        RecordHead, chain_of, split_entry,
    },
    writer::Tail,
};
use crate::{
    error::{Error, ErrorKind, Result},
    storage::{
        read_exact_at,
        regular::{self, Links},
    },
};

/// Bytes read at once.
const WINDOW: usize = 4 << 20;

/// Why the records of a log end where they do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Not read to the end yet.
    Open,
    /// The file ends with a whole record.
    Whole,
    /// What follows is the beginning of a record that was never finished, or what a crash left of it.
    Torn {
        /// Where it begins.
        offset: u64,
    },
    /// Whole records follow a place that contradicts its checksum.
    Damaged {
        /// Where it begins.
        offset: u64,
    },
}

/// A verified record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// What it says of itself.
    pub head: RecordHead,
    /// Where it begins in the file.
    pub offset: u64,
    /// Where it ends.
    pub end: u64,
    /// Chain value before it.
    pub before: Chain,
    /// Its chain value.
    pub chain: Chain,
}

impl Record {
    /// The log's tail when this is its last record.
    pub fn tail(&self) -> Tail {
        Tail {
            length: self.end,
            commit: self.head.commit,
            chain: self.chain,
            time: self.head.time,
            page_count: self.head.page_count,
            mark: self.head.mark,
        }
    }
}

/// Reads a log file from its first record on.
#[derive(Debug)]
pub struct LogReader {
    file: File,
    path: PathBuf,
    length: u64,
    header: LogHeader,
    tail: Tail,
    end: End,
    window: Vec<u8>,
    window_at: u64,
}

impl LogReader {
    /// Opens a log and reads its header.
    ///
    /// # Errors
    /// When the file can not be read, or is not a log this program knows.
    pub fn open(path: &Path) -> Result<Self> {
        crate::storage::refuse_data_file(path)?;
        let (file, meta) = regular::open(path, Links::Followed).map_err(|e| Error::io("open", path, e))?;
        let length = meta.len();
        let mut bytes = vec![0; (length as usize).min(HEADER_BYTES)];
        read_exact_at(&file, 0, &mut bytes).map_err(|e| Error::io("read", path, e))?;
        let header = LogHeader::decode(&bytes, path)?;
        let tail = Tail::base(&header);
        Ok(Self {
            file,
            path: path.to_path_buf(),
            length,
            header,
            tail,
            end: End::Open,
            window: Vec::new(),
            window_at: 0,
        })
    }

    /// The header.
    pub fn header(&self) -> &LogHeader {
        &self.header
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the verified records end so far.
    pub fn tail(&self) -> &Tail {
        &self.tail
    }

    /// Why they end there.
    pub fn end(&self) -> End {
        self.end
    }

    /// The next record, or `None` at the [`end`](Self::end).
    ///
    /// # Errors
    /// When the disk can not be read.
    pub fn next_record(&mut self) -> Result<Option<Record>> {
        if self.end != End::Open {
            return Ok(None);
        }
        let offset = self.tail.length;
        if offset == self.length {
            self.end = End::Whole;
            return Ok(None);
        }
        let (mut at, mut chain, mut index) = (offset, self.tail.chain, 0);
        let mut head = None;
        let mut entries = 0u64;
        while let Some(block) = self.block(at, chain)? {
            let begins = index == 0;
            if block.first != begins || block.index != index {
                break;
            }
            if begins {
                let payload = self.bytes(at + BLOCK_BYTES as u64, block.payload.min(RECORD_BYTES))?;
                head = RecordHead::decode(block.kind, payload)
                    .filter(|h| h.commit == self.tail.commit + 1 && h.time >= self.tail.time);
            }
            let Some(head) = head.filter(|h| h.kind == block.kind) else { break };
            let payload = self.bytes(at + BLOCK_BYTES as u64, block.payload)?;
            let found = count_entries(&head, payload.get(if begins { RECORD_BYTES } else { 0 }..).unwrap_or_default());
            entries += found.unwrap_or(0);
            // The chain says that it is as it was written, not that we wrote it.
            if found.is_none() || block.last && !self.is_plausible(&head, entries) {
                self.end = End::Damaged { offset };
                return Ok(None);
            }
            at += (BLOCK_BYTES + block.payload) as u64;
            chain = block.chain;
            index += 1;
            if block.last {
                let record = Record { head, offset, end: at, before: self.tail.chain, chain };
                self.tail = record.tail();
                return Ok(Some(record));
            }
        }
        // What the chain still vouches for is the beginning of a record that was not written to its end.
        self.end = if self.sound_blocks_follow(at)? { End::Damaged { offset } } else { End::Torn { offset } };
        Ok(None)
    }

    /// Whether a record with so many pages can lead to a data file of the length that it says. A file grows by pages
    /// that are recorded, and by free ones, which SQLite need not write: each of those stands on a page of the list of
    /// free pages.
    fn is_plausible(&self, head: &RecordHead, entries: u64) -> bool {
        let listed = u64::from(self.header.page_size / 4);
        let longest =
            u64::from(self.tail.page_count).saturating_add(entries.saturating_mul(listed + 1)).saturating_add(1);
        head.kind == super::format::RecordKind::Gap || head.page_count > 0 && u64::from(head.page_count) <= longest
    }

    /// Calls `visit` for each page of a record that was returned by [`next_record`](Self::next_record).
    ///
    /// # Errors
    /// Those of `visit`; `Damaged` when the bytes changed since.
    pub fn pages(&mut self, record: &Record, visit: &mut dyn FnMut(Entry<'_>) -> Result<()>) -> Result<()> {
        let (mut at, mut chain, mut skip) = (record.offset, record.before, RECORD_BYTES);
        let mut payload = Vec::new();
        while at < record.end {
            let Some(block) = self.block(at, chain)? else { return Err(self.changed(at)) };
            payload.clear();
            payload.extend_from_slice(self.bytes(at + BLOCK_BYTES as u64, block.payload)?);
            let mut rest = payload.get(skip..).ok_or_else(|| self.changed(at))?;
            while !rest.is_empty() {
                let (entry, after) = split_entry(rest).ok_or_else(|| self.changed(at))?;
                visit(entry)?;
                rest = after;
            }
            at += (BLOCK_BYTES + block.payload) as u64;
            (chain, skip) = (block.chain, 0);
        }
        Ok(())
    }

    /// Calls `copy` with the bytes of the file from `from` to `to`, in pieces.
    ///
    /// # Errors
    /// Those of `copy`, or of the disk.
    pub fn raw(&mut self, from: u64, to: u64, copy: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut at = from;
        while at < to {
            let count = ((to - at) as usize).min(PAYLOAD_MAX);
            copy(self.bytes(at, count)?)?;
            at += count as u64;
        }
        Ok(())
    }

    fn changed(&self, at: u64) -> Error {
        Error::new(ErrorKind::Damaged, format!("{} is damaged at byte {at}", self.path.display()))
            .hint("Everything before this place can be integrated. Check the disk.")
    }

    /// The block at `at`, when it is there, whole, and continues `before`.
    fn block(&mut self, at: u64, before: Chain) -> Result<Option<BlockHead>> {
        if at + BLOCK_BYTES as u64 > self.length {
            return Ok(None);
        }
        let Some(block) = BlockHead::decode(self.bytes(at, BLOCK_BYTES)?) else { return Ok(None) };
        if at + (BLOCK_BYTES + block.payload) as u64 > self.length {
            return Ok(None);
        }
        let bytes = self.bytes(at, BLOCK_BYTES + block.payload)?;
        Ok((chain_of(before, bytes, &bytes[BLOCK_BYTES..]) == block.chain).then_some(block))
    }

    /// Bytes of the file through the window; both must lie inside the file.
    fn bytes(&mut self, at: u64, count: usize) -> Result<&[u8]> {
        let inside = at >= self.window_at && at + count as u64 <= self.window_at + self.window.len() as u64;
        if !inside {
            let want = count.max((WINDOW as u64).min(self.length - at) as usize);
            self.window.resize(want, 0);
            self.window_at = at;
            if let Err(e) = read_exact_at(&self.file, at, &mut self.window) {
                self.window.clear();
                return Err(Error::io("read", &self.path, e));
            }
        }
        let start = (at - self.window_at) as usize;
        Ok(&self.window[start..start + count])
    }

    /// Whether two blocks that continue each other stand anywhere after `offset`, where the chain ends: then the place is damaged, not torn.
    fn sound_blocks_follow(&mut self, offset: u64) -> Result<bool> {
        let mut at = offset + 1;
        while at + 2 * BLOCK_BYTES as u64 <= self.length {
            let count = ((self.length - at) as usize).min(PAYLOAD_MAX);
            let bytes = self.bytes(at, count)?;
            let Some(found) = find(bytes, BLOCK_MAGIC) else {
                at += (count as u64 - 3).max(1);
                continue;
            };
            at += found as u64;
            if at + BLOCK_BYTES as u64 > self.length {
                return Ok(false);
            }
            if let Some(block) = BlockHead::decode(self.bytes(at, BLOCK_BYTES)?)
                && self.block(at + (BLOCK_BYTES + block.payload) as u64, block.chain)?.is_some()
            {
                return Ok(true);
            }
            at += 1;
        }
        Ok(false)
    }
}

/// How many pages a part of a record holds; `None` where one lies outside of the data file, or is not whole.
fn count_entries(head: &RecordHead, mut bytes: &[u8]) -> Option<u64> {
    let mut count = 0;
    while !bytes.is_empty() {
        let (entry, rest) = split_entry(bytes)?;
        if entry.page == 0 || entry.page > head.page_count {
            return None;
        }
        (count, bytes) = (count + 1, rest);
    }
    Some(count)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|w| w == what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        journal::{
            format::{Position, RecordKind},
            writer::LogWriter,
        },
        sqlite::wal::WalMark,
        storage::{Disk, Ownership},
    };
    use proptest::prelude::*;
    use std::sync::Arc;

    fn sample(folder: &Path, records: usize) -> Result<(PathBuf, Vec<Record>)> {
        let path = folder.join("a.journal");
        // The third record needs several blocks.
        let pages: Vec<_> = (0..records).map(|n| if n == 2 { (9, 60_000) } else { (n, 20) }).collect();
        let records = sample_of(&path, &pages)?;
        Ok((path, records))
    }

    /// A log with a record for each number of pages and of bytes in each page.
    fn sample_of(path: &Path, records: &[(usize, usize)]) -> Result<Vec<Record>> {
        let header = LogHeader {
            identity: uuid::Uuid::from_u128(7),
            page_size: 512,
            base: Position { archive: 3, commit: 41, chain: Chain([9; 32]) },
            rooted: true,
            created: chrono::DateTime::UNIX_EPOCH,
            page_count: 90,
            mark: WalMark::default(),
        };
        let mut writer = LogWriter::create(Arc::new(Disk), path, header, Ownership::default())?;
        for (n, (pages, bytes)) in records.iter().enumerate() {
            let commit = 42 + n as u64;
            let kind = if n % 5 == 4 { RecordKind::CatchUp } else { RecordKind::Commit };
            writer.begin(RecordHead {
                kind,
                commit,
                time: chrono::DateTime::UNIX_EPOCH,
                page_count: 90,
                mark: WalMark::default(),
            });
            for page in 0..*pages {
                let bytes = vec![n as u8; *bytes];
                writer.page(&Entry { page: page as u32 + 1, encoding: 0, hash: [1; 8], bytes: &bytes })?;
            }
            writer.end()?;
        }
        writer.sync()?;
        drop(writer);
        Ok(all(path)?.0)
    }

    fn all(path: &Path) -> Result<(Vec<Record>, End)> {
        let mut reader = LogReader::open(path)?;
        let mut records = Vec::new();
        while let Some(record) = reader.next_record()? {
            reader.pages(&record, &mut |_| Ok(()))?;
            records.push(record);
        }
        Ok((records, reader.end()))
    }

    #[test]
    fn what_was_written_is_read_and_the_chain_goes_through() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let (path, records) = sample(folder.path(), 12)?;
        assert_eq!(records.len(), 12);
        assert!(records.windows(2).all(|w| w[0].chain == w[1].before && w[0].end == w[1].offset));
        let mut reader = LogReader::open(&path)?;
        let mut seen = Vec::new();
        while let Some(record) = reader.next_record()? {
            let mut count = 0;
            reader.pages(&record, &mut |entry| {
                assert_eq!(entry.page, count + 1);
                count += 1;
                Ok(())
            })?;
            seen.push(count);
        }
        assert_eq!(seen, [0, 1, 9, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
        assert_eq!(reader.end(), End::Whole);
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn a_tail_cut_anywhere_leaves_the_whole_records_before_it(part in 0.0f64..1.0) {
            let folder = tempfile::tempdir()?;
            let (path, records) = sample(folder.path(), 8).map_err(|e| TestCaseError::fail(e.to_string()))?;
            let bytes = std::fs::read(&path)?;
            let cut = HEADER_BYTES + (part * (bytes.len() - HEADER_BYTES) as f64) as usize;
            std::fs::write(&path, &bytes[..cut])?;
            let (found, end) = all(&path).map_err(|e| TestCaseError::fail(e.to_string()))?;
            let whole: Vec<Record> = records.into_iter().filter(|r| r.end <= cut as u64).collect();
            let edge = whole.last().map_or(HEADER_BYTES as u64, |r| r.end);
            prop_assert_eq!(&found, &whole);
            prop_assert_eq!(end, if edge == cut as u64 { End::Whole } else { End::Torn { offset: edge } });
            let (writer, _) = LogWriter::open(Arc::new(Disk), &path, &mut |_, _| Ok(())).map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(writer.logged().length, edge);
            prop_assert_eq!(std::fs::metadata(&path)?.len(), edge);
        }

        #[test]
        fn a_large_commit_that_was_not_written_to_its_end_is_torn(part in 0.0f64..1.0) {
            let folder = tempfile::tempdir()?;
            let path = folder.path().join("a.journal");
            let made = sample_of(&path, &[(1, 20), (90, 60_000)]).map_err(|e| TestCaseError::fail(e.to_string()))?;
            let (first, large) = (made[0], made[1]);
            prop_assert!(large.end - large.offset > 4 << 20, "several blocks");
            let cut = large.offset + 1 + (part * (large.end - large.offset - 2) as f64) as u64;
            let bytes = std::fs::read(&path)?;
            std::fs::write(&path, &bytes[..cut as usize])?;
            let (found, end) = all(&path).map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(&found, &vec![first]);
            prop_assert_eq!(end, End::Torn { offset: large.offset });
            // A block that is damaged in the middle of it is damage.
            let mut bytes = bytes;
            bytes[large.offset as usize + 100] ^= 1;
            std::fs::write(&path, &bytes)?;
            let (_, end) = all(&path).map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(end, End::Damaged { offset: large.offset });
        }

        #[test]
        fn any_byte_changed_ends_the_chain_before_its_record(part in 0.0f64..1.0, flip in 1u8..=255) {
            let folder = tempfile::tempdir()?;
            let (path, records) = sample(folder.path(), 8).map_err(|e| TestCaseError::fail(e.to_string()))?;
            let mut bytes = std::fs::read(&path)?;
            let at = (part * bytes.len() as f64) as usize;
            bytes[at] ^= flip;
            std::fs::write(&path, &bytes)?;
            if at < HEADER_BYTES {
                prop_assert!(LogReader::open(&path).is_err());
            } else {
                let (found, end) = all(&path).map_err(|e| TestCaseError::fail(e.to_string()))?;
                let whole: Vec<Record> = records.iter().copied().filter(|r| r.end <= at as u64).collect();
                let edge = whole.last().map_or(HEADER_BYTES as u64, |r| r.end);
                prop_assert_eq!(&found, &whole);
                // Two whole blocks after the place tell damage from a torn tail.
                if found.len() + 3 <= records.len() {
                    prop_assert_eq!(end, End::Damaged { offset: edge });
                } else {
                    let there = matches!(end, End::Torn { offset } | End::Damaged { offset } if offset == edge);
                    prop_assert!(there);
                }
            }
        }
    }
}
