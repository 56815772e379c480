//! Reading a log file: records, each verified as a whole before any of it is returned.

mod ends;
mod entries;
mod late;
mod places;

use std::{
    collections::VecDeque,
    fs::File,
    ops::Range,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};

use super::{
    format::{
        Chain, HEADER_BYTES, LogHeader, RecordHead, RecordKind, Tail, chain_of, one,
        two::{self, Shape},
    },
    index::{Index, Indexed},
    late::Late,
};
use crate::{
    error::{Error, Result},
    storage::{
        read_exact_at,
        regular::{self, Links},
    },
};

use entries::{Entries, count_entries};

/// Bytes read at once.
const WINDOW: usize = 4 << 20;
/// The same, where it goes from place to place.
const LITTLE: usize = 64 << 10;

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
    /// What it continues: the chain value before it, or that of the header.
    pub before: Chain,
    /// Its chain value.
    pub chain: Chain,
    /// Where it was read late: its commit was not made before.
    pub not_before: Option<DateTime<Utc>>,
    /// Where its first block begins.
    pub(super) block: u64,
    form: Form,
}

/// How a record lies in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As blocks of its own.
    Blocks,
    /// Within a block; `offset` and `end` are those of its bytes there.
    Whole,
}

impl Record {
    /// The log's tail when this is its last record.
    pub fn tail(&self) -> Tail {
        Tail::after(&self.head, self.end, self.chain)
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
    indexed: Indexed,
    blank: Vec<(u32, u32)>,
    /// What was said last of records that were read late, and which ones those are.
    late: Option<(Late, Range<u64>)>,
    /// Records that were verified with their block.
    queue: VecDeque<Record>,
    window: Vec<u8>,
    window_at: u64,
    /// Where the window holds records that were proven since it was read.
    proven: Option<(u64, u64)>,
    /// Bytes read at once.
    at_once: usize,
}

impl LogReader {
    /// Opens a log and reads its header.
    ///
    /// # Errors
    /// When the file cannot be read, or is not a log this program knows.
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
            indexed: Indexed::Not,
            blank: Vec::new(),
            late: None,
            queue: VecDeque::new(),
            window: Vec::new(),
            window_at: 0,
            proven: None,
            at_once: WINDOW,
        })
    }

    /// Has little read at once: for whoever goes from place to place.
    pub(super) fn read_little(&mut self) {
        self.at_once = LITTLE;
    }

    /// The header.
    pub fn header(&self) -> &LogHeader {
        &self.header
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The length of the file when it was opened.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Where the verified records end so far.
    pub fn tail(&self) -> &Tail {
        &self.tail
    }

    /// Why they end there.
    pub fn end(&self) -> End {
        self.end
    }

    /// What its index is worth. Known at the [`end`](Self::end).
    pub fn indexed(&self) -> Indexed {
        self.indexed
    }

    /// The index of the log, if it has a sound one; no record is read for it.
    pub fn index(&self) -> Option<Index> {
        Index::read(&self.file, self.length, &self.header)
    }

    /// The pages of the base that have no content: first and last page of each run. Known once a record was asked for.
    pub fn blank(&self) -> &[(u32, u32)] {
        &self.blank
    }

    /// The next record, or `None` at the [`end`](Self::end).
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn next_record(&mut self) -> Result<Option<Record>> {
        if self.queue.is_empty() && self.end == End::Open {
            match self.header.version {
                1 => self.read_one()?,
                _ => self.read_two()?,
            }
        }
        let record = self.queue.pop_front();
        if let Some(record) = &record {
            self.tail = record.tail();
        }
        Ok(record)
    }

    /// Reads the next record of version 1.
    fn read_one(&mut self) -> Result<()> {
        let offset = self.tail.length;
        let (mut at, mut chain, mut index) = (offset, self.tail.link, 0);
        let mut head = None;
        let mut entries = 0u64;
        while let Some(block) = self.block_one(at, chain)? {
            let begins = index == 0;
            if block.first != begins || block.index != index {
                break;
            }
            if begins {
                let payload = self.bytes(at + one::BLOCK_BYTES as u64, block.payload.min(one::RECORD_BYTES))?;
                head = RecordHead::decode(block.kind, payload)
                    .filter(|h| h.commit == self.tail.commit + 1 && h.time >= self.tail.time);
            }
            let Some(head) = head.filter(|h| h.kind == block.kind) else { break };
            let payload = self.bytes(at + one::BLOCK_BYTES as u64, block.payload)?;
            let body = payload.get(if begins { one::RECORD_BYTES } else { 0 }..).unwrap_or_default();
            let found = count_entries(&head, Entries::One(body));
            entries += found.unwrap_or(0);
            // The chain says that it is as it was written, not that we wrote it.
            if found.is_none() || block.last && !self.is_plausible(&head, self.tail.page_count, entries) {
                self.end = End::Damaged { offset };
                return Ok(());
            }
            at += (one::BLOCK_BYTES + block.payload) as u64;
            chain = block.chain;
            index += 1;
            if block.last {
                let form = Form::Blocks;
                let (before, block) = (self.tail.link, offset);
                self.queue.push_back(Record { head, offset, end: at, before, chain, not_before: None, block, form });
                return Ok(());
            }
        }
        self.end_at(at)
    }

    /// Reads what version 2 has next: a block of records, or the blocks of a large one.
    fn read_two(&mut self) -> Result<()> {
        let (mut at, mut link) = (self.tail.length, self.tail.link);
        let mut open: Option<(RecordHead, u64)> = None;
        while let Some(block) = self.block_two(at, link)? {
            let (payload_at, page_count) = (at + two::BLOCK_BYTES as u64, self.tail.page_count);
            let end = payload_at + block.payload as u64;
            let known = match block.shape {
                Shape::Index | Shape::IndexEnd if open.is_none() => return self.end_at_index(at),
                Shape::Late if open.is_none() => {
                    self.tail.length = end;
                    self.note_late(payload_at, block.payload)?;
                    Some(())
                }
                // Not within a record: whoever cuts the beginning of one that has no end would cut this as well.
                Shape::PassOver if open.is_none() => {
                    self.tail.length = end;
                    Some(())
                }
                Shape::Blank if open.is_none() && at == HEADER_BYTES as u64 => {
                    let runs = two::take_runs(self.bytes(payload_at, block.payload)?, page_count);
                    (self.tail.length, self.tail.link) = (end, block.chain);
                    runs.map(|runs| self.blank = runs)
                }
                Shape::Records if open.is_none() => {
                    let known = self.queue_records(payload_at, block.payload)?;
                    if known.is_some() {
                        return Ok(());
                    }
                    None
                }
                Shape::Part | Shape::LastPart => {
                    let is_last = block.shape == Shape::LastPart;
                    open = self.part(payload_at, block.payload, (open, is_last))?;
                    if is_last
                        && let Some((head, count)) = open
                        && self.is_plausible(&head, page_count, count)
                    {
                        let (before, chain, offset) = (self.tail.link, block.chain, self.tail.length);
                        let (block, form) = (offset, Form::Blocks);
                        let not_before = self.not_before(head.commit);
                        self.queue.push_back(Record { head, offset, end, before, chain, not_before, block, form });
                        return Ok(());
                    }
                    open.filter(|_| !is_last).map(|_| ())
                }
                _ => break,
            };
            // The chain says that it is as it was written, not that we wrote it.
            if known.is_none() {
                self.queue.clear();
                self.end = End::Damaged { offset: self.tail.length };
                return Ok(());
            }
            (at, link) = (end, if block.shape.is_outside() { link } else { block.chain });
        }
        self.end_at(at)
    }

    /// Reads a part of a large record, of which `open` is known, with the number of its pages.
    fn part(
        &mut self,
        at: u64,
        length: usize,
        (open, is_last): (Option<(RecordHead, u64)>, bool),
    ) -> Result<Option<(RecordHead, u64)>> {
        let tail = self.tail;
        let mut body = self.bytes(at, length)?;
        let Some((mut head, count)) = open.or_else(|| two::take_head(&mut body, &tail).map(|head| (head, 0))) else {
            return Ok(None);
        };
        if is_last && two::take_state(&mut head, &mut body).is_none() {
            return Ok(None);
        }
        Ok(count_entries(&head, Entries::Two(body, 0)).map(|more| (head, count + more)))
    }

    /// Takes the records of a block that is as it was written; `None` where one says what cannot be.
    fn queue_records(&mut self, payload_at: u64, length: usize) -> Result<Option<()>> {
        let payload = self.bytes(payload_at, length)?.to_vec();
        let (mut rest, mut tail) = (payload.as_slice(), self.tail);
        while !rest.is_empty() {
            let Some(record) = two::take_record(&mut rest) else { return Ok(None) };
            let end = payload_at + (length - rest.len()) as u64;
            let mut body = record;
            let found = two::take_head(&mut body, &tail).and_then(|mut head| {
                two::take_state(&mut head, &mut body)?;
                Some((head, count_entries(&head, Entries::Two(body, 0))?))
            });
            let plausible = |(head, count): &(RecordHead, u64)| self.is_plausible(head, tail.page_count, *count);
            let Some((head, _)) = found.filter(plausible) else { return Ok(None) };
            let (offset, before) = (end - record.len() as u64, tail.link);
            let chain = chain_of(before, record, &[]);
            let (block, form) = (payload_at - two::BLOCK_BYTES as u64, Form::Whole);
            let not_before = self.not_before(head.commit);
            let record = Record { head, offset, end, before, chain, not_before, block, form };
            tail = record.tail();
            self.queue.push_back(record);
        }
        self.proven = Some((payload_at, payload_at + length as u64));
        Ok(Some(()))
    }

    /// Whether a record with so many pages can lead to a data file of the length that it says. A file grows by pages
    /// that are recorded, and by free ones, which SQLite need not write: each of those stands on a page of the list of
    /// free pages.
    fn is_plausible(&self, head: &RecordHead, count_before: u32, entries: u64) -> bool {
        let listed = u64::from(self.header.page_size / 4);
        let longest = u64::from(count_before).saturating_add(entries.saturating_mul(listed + 1)).saturating_add(1);
        head.kind == RecordKind::Gap || head.page_count > 0 && u64::from(head.page_count) <= longest
    }

    /// The block of version 1 at `at`, when it is there, whole, and continues `before`.
    fn block_one(&mut self, at: u64, before: Chain) -> Result<Option<one::BlockHead>> {
        let Some(start) = self.bytes_at(at, one::BLOCK_BYTES)? else { return Ok(None) };
        let Some(block) = one::BlockHead::decode(start) else { return Ok(None) };
        let Some(bytes) = self.bytes_at(at, one::BLOCK_BYTES + block.payload)? else { return Ok(None) };
        Ok((chain_of(before, &bytes[..16], &bytes[one::BLOCK_BYTES..]) == block.chain).then_some(block))
    }

    /// The same of version 2.
    fn block_two(&mut self, at: u64, before: Chain) -> Result<Option<two::BlockHead>> {
        let Some(start) = self.bytes_at(at, two::BLOCK_BYTES)? else { return Ok(None) };
        let Some(block) = two::BlockHead::decode(start) else { return Ok(None) };
        let Some(bytes) = self.bytes_at(at, two::BLOCK_BYTES + block.payload)? else { return Ok(None) };
        Ok((block.chain_of(before, bytes) == Some(block.chain)).then_some(block))
    }

    /// As [`bytes`](Self::bytes); `None` where the file ends before.
    fn bytes_at(&mut self, at: u64, count: usize) -> Result<Option<&[u8]>> {
        if at.saturating_add(count as u64) > self.length { Ok(None) } else { self.bytes(at, count).map(Some) }
    }

    /// Bytes of the file through the window; both must lie inside the file.
    pub(super) fn bytes(&mut self, at: u64, count: usize) -> Result<&[u8]> {
        let inside = at >= self.window_at && at + count as u64 <= self.window_at + self.window.len() as u64;
        if !inside {
            let want = count.max((self.at_once as u64).min(self.length - at) as usize);
            self.proven = None;
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
}

#[cfg(test)]
mod tests;
