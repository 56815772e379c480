//! The index at the end of an archived log: what it holds, without reading it.
//!
//! It is appended when the log is sealed, outside of the chain, so that a reader that does not know it passes over it.
//! It may be missing or damaged: then the records tell the same. Nothing that must be certain is taken from it; whoever
//! applies a log reads every record.
//!
//! # Blocks
//! Type 160, one or more: a zstd frame of the list, cut into parts. Then one of type 161, the last 144 bytes of the
//! file, with this payload:
//!
//! | Offset | Size | |
//! |---|---|---|
//! | 0 | 8 | `4BLindex` |
//! | 8 | 8 | where the first block of the index begins |
//! | 16 | 8 | length of the zstd frame |
//! | 24 | 8 | length of the list, not more than where the index begins |
//! | 32 | 8 | number of records in the log |
//! | 40 | 32 | what a next block of the log would continue |
//! | 72 | 32 | hash of the zstd frame |
//!
//! # List
//! A group for each block of records, or record in parts, in order:
//!
//! | | |
//! |---|---|
//! | number | bytes between the end of the group before, or of the header, and its first block |
//! | number | its length in bytes |
//! | number | records in it |
//! | for each: 1 byte, difference, difference | its kind; of the time and of the pages to the record before, as in the record |
//! | number | pages that its entries name |
//! | for each, in order: number | 2 · (page − the one before in this group, or 0), + 1 where an entry is the whole page |

use std::fs::File;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    format::{
        Chain, HEADER_BYTES, LogHeader, RecordHead, RecordKind, Tail, chain_at, chain_of,
        two::{self, BLOCK_BYTES, BlockHead, Shape, put_difference, put_number, take, take_difference, take_number},
        u64_at,
    },
    page,
    plan::Look,
    reader::{LogReader, Record},
};
use crate::{control::Control, error::Result, storage::read_exact_at};

const TAG: &[u8; 8] = b"4BLindex";
const TRAILER_PAYLOAD: usize = 104;
/// Length of the last block of an index.
pub(super) const TRAILER_BYTES: usize = BLOCK_BYTES + TRAILER_PAYLOAD;
/// A block of the index is not longer: what is damaged at once is not more.
const PART: usize = 256 << 10;
/// No longer list is written or read; the log is read instead.
const LIST_MAX: usize = 256 << 20;
const LEVEL: i32 = 3;

/// What the index of a log is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Indexed {
    /// There is none.
    Not,
    /// It is as it was written.
    Sound,
    /// It is damaged; the records before it are not.
    Damaged,
}

/// What an index says of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Number of the commit.
    pub commit: u64,
    /// What sort of record it is.
    pub kind: RecordKind,
    /// What the clock showed.
    pub wall: DateTime<Utc>,
    /// Pages of the data file after it.
    pub page_count: u32,
}

impl Listed {
    /// What a record says of itself.
    pub fn of(head: &RecordHead) -> Self {
        Self { commit: head.commit, kind: head.kind, wall: head.wall, page_count: head.page_count }
    }
}

/// What an index says of a block of records, or of a record in several blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Where it begins in the file.
    pub offset: u64,
    /// Its length.
    pub length: u64,
    /// Where the group before begins, or the first block.
    pub(super) previous: u64,
    /// The record before it, or the base.
    pub(super) before: Listed,
    /// Its records.
    pub records: Vec<Listed>,
    /// The pages that they write, in order, and whether one of the entries is the whole page.
    pub pages: Vec<(u32, bool)>,
}

/// Makes the index of a log while its records go by.
#[derive(Debug)]
pub(super) struct Builder {
    list: Vec<u8>,
    /// Where the last group ends.
    at: u64,
    wall: DateTime<Utc>,
    page_count: u32,
    records: u64,
    open: Option<OpenGroup>,
}

#[derive(Debug)]
struct OpenGroup {
    block: u64,
    end: u64,
    count: u64,
    records: Vec<u8>,
    pages: Vec<(u32, bool)>,
}

impl Builder {
    pub(super) fn new(header: &LogHeader) -> Self {
        let (wall, page_count) = (header.created, header.page_count);
        Self { list: Vec::new(), at: HEADER_BYTES as u64, wall, page_count, records: 0, open: None }
    }

    /// Takes in the next record of `reader`.
    pub(super) fn add(&mut self, reader: &mut LogReader, record: &Record) -> Result<()> {
        if self.open.as_ref().is_some_and(|open| open.block != record.block) {
            self.close();
        }
        let (block, end) = (record.block, record.end);
        let (records, pages) = (Vec::new(), Vec::new());
        let open = self.open.get_or_insert(OpenGroup { block, end, count: 0, records, pages });
        (open.end, open.count) = (record.end, open.count + 1);
        let head = &record.head;
        open.records.push(head.kind.number());
        let time = head.wall.timestamp_micros().wrapping_sub(self.wall.timestamp_micros());
        put_difference(&mut open.records, time);
        put_difference(&mut open.records, i64::from(head.page_count) - i64::from(self.page_count));
        (self.wall, self.page_count, self.records) = (head.wall, head.page_count, self.records + 1);
        reader.pages(record, &mut |entry| {
            open.pages.push((entry.page, page::is_whole(entry.encoding)));
            Ok(())
        })
    }

    fn close(&mut self) {
        let Some(mut open) = self.open.take() else { return };
        put_number(&mut self.list, open.block - self.at);
        put_number(&mut self.list, open.end - open.block);
        put_number(&mut self.list, open.count);
        self.list.extend_from_slice(&open.records);
        // Of several entries of a page the whole one comes first, and stays.
        open.pages.sort_by_key(|(page, is_whole)| (*page, !is_whole));
        open.pages.dedup_by_key(|(page, _)| *page);
        put_number(&mut self.list, open.pages.len() as u64);
        let mut last = 0;
        for (page, is_whole) in open.pages {
            put_number(&mut self.list, u64::from(page - last) << 1 | u64::from(is_whole));
            last = page;
        }
        self.at = open.end;
    }

    /// Whether this becomes `index`.
    pub(super) fn makes(self, index: &Index) -> bool {
        self.into_list() == index.list
    }

    fn into_list(mut self) -> Vec<u8> {
        self.close();
        self.list
    }

    /// The blocks of the index of a log that ends at `tail`; `None` where it would be too long.
    pub(super) fn into_blocks(self, tail: &Tail) -> Option<Vec<u8>> {
        let records = self.records;
        let list = self.into_list();
        let body = zstd::bulk::compress(&list, LEVEL).ok().filter(|_| list.len() <= LIST_MAX)?;
        let mut out = Vec::with_capacity(body.len() + 2 * TRAILER_BYTES);
        let mut put = |shape: Shape, payload: &[u8]| {
            let chain = chain_of(tail.link, &two::block_start(shape, payload.len()), payload);
            two::put_block(&mut out, shape, chain, payload);
        };
        body.chunks(PART).for_each(|part| put(Shape::Index, part));
        let mut end = TAG.to_vec();
        for number in [tail.length, body.len() as u64, list.len() as u64, records] {
            end.extend_from_slice(&number.to_le_bytes());
        }
        end.extend_from_slice(&tail.link.0);
        end.extend_from_slice(blake3::hash(&body).as_bytes());
        put(Shape::IndexEnd, &end);
        Some(out)
    }
}

/// The last block of an index, which proves itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trailer {
    /// Where the index begins, and the log ends.
    pub(super) offset: u64,
    /// What a next block of the log would continue.
    pub(super) link: Chain,
    body: u64,
    list: u64,
    records: u64,
    hash: [u8; 32],
}

impl Trailer {
    /// That of a file of this length; `None` where there is none.
    pub(super) fn read(file: &File, length: u64) -> Option<Self> {
        let at = length.checked_sub(TRAILER_BYTES as u64)?;
        let mut block = [0; TRAILER_BYTES];
        read_exact_at(file, at, &mut block).ok()?;
        let head = BlockHead::decode(&block).filter(|head| head.shape == Shape::IndexEnd)?;
        let payload = block.get(BLOCK_BYTES..).filter(|payload| head.payload == payload.len())?;
        let found = Self {
            offset: u64_at(payload, 8),
            body: u64_at(payload, 16),
            list: u64_at(payload, 24),
            records: u64_at(payload, 32),
            link: chain_at(payload, 40),
            hash: chain_at(payload, 72).0,
        };
        let is_proven = payload.starts_with(TAG) && head.chain_of(found.link, &block) == Some(head.chain);
        // It may say a place that is not there: something was cut out of the file before it.
        (is_proven && found.offset >= HEADER_BYTES as u64).then_some(found)
    }
}

/// A sound index.
#[derive(Debug)]
pub struct Index {
    list: Vec<u8>,
    base: Listed,
    records: u64,
    offset: u64,
    link: Chain,
}

impl Index {
    /// Reads the index of the log in `file`, which has this length and header. `None` where there is none, or it is not
    /// as it was written.
    pub(super) fn read(file: &File, length: u64, header: &LogHeader) -> Option<Self> {
        let trailer = Trailer::read(file, length)?;
        let end = length - TRAILER_BYTES as u64;
        let list_length = usize::try_from(trailer.list).ok().filter(|list| *list <= LIST_MAX)?;
        // Hostile numbers lead to no more memory than the file itself has bytes.
        let is_there = trailer.body <= end.saturating_sub(trailer.offset) && trailer.list <= trailer.offset;
        if !is_there || trailer.offset >= end || header.version == 1 {
            return None;
        }
        let (mut body, mut at) = (Vec::new(), trailer.offset);
        while at < end {
            let mut block = vec![0; BLOCK_BYTES];
            read_exact_at(file, at, &mut block).ok()?;
            let head = BlockHead::decode(&block).filter(|head| head.shape == Shape::Index)?;
            let next = at + (BLOCK_BYTES + head.payload) as u64;
            if next > end {
                return None;
            }
            block.resize(BLOCK_BYTES + head.payload, 0);
            read_exact_at(file, at + BLOCK_BYTES as u64, &mut block[BLOCK_BYTES..]).ok()?;
            if head.chain_of(trailer.link, &block) != Some(head.chain) {
                return None;
            }
            body.extend_from_slice(&block[BLOCK_BYTES..]);
            at = next;
        }
        if body.len() as u64 != trailer.body || blake3::hash(&body).as_bytes() != &trailer.hash {
            return None;
        }
        let list = zstd::bulk::decompress(&body, list_length).ok().filter(|list| list.len() == list_length)?;
        let base = Listed {
            commit: header.base.commit,
            kind: RecordKind::Commit,
            wall: header.created,
            page_count: header.page_count,
        };
        let found = Self { list, base, records: trailer.records, offset: trailer.offset, link: trailer.link };
        found.is_consistent().then_some(found)
    }

    fn is_consistent(&self) -> bool {
        let (mut groups, mut count) = (self.groups(), 0);
        while !groups.rest.is_empty() {
            match groups.parse() {
                Some(group) if group.offset + group.length <= self.offset => count += group.records.len() as u64,
                _ => return false,
            }
        }
        count == self.records
    }

    /// Whether it is that of a log whose records end like this.
    pub(super) fn ends_like(&self, tail: &Tail) -> bool {
        (self.offset, self.link, self.base.commit + self.records) == (tail.length, tail.link, tail.commit)
    }

    /// Number of records.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The chain value at the end of the log, where it has records.
    pub fn chain(&self) -> Option<Chain> {
        (self.records > 0).then_some(self.link)
    }

    /// What it lists, in order.
    pub fn groups(&self) -> Groups<'_> {
        let at = HEADER_BYTES as u64;
        Groups { rest: &self.list, at, previous: at, before: self.base }
    }
}

/// The groups of an index.
#[derive(Debug)]
pub struct Groups<'a> {
    rest: &'a [u8],
    at: u64,
    previous: u64,
    before: Listed,
}

impl Groups<'_> {
    fn parse(&mut self) -> Option<Group> {
        let rest = &mut self.rest;
        let offset = self.at.checked_add(take_number(rest)?)?;
        let length = take_number(rest)?;
        let (before, mut last) = (self.before, self.before);
        let mut records = Vec::new();
        for _ in 0..take_number(rest)? {
            let kind = RecordKind::of(*take(rest, 1)?.first()?)?;
            let wall = last.wall.timestamp_micros().checked_add(take_difference(rest)?)?;
            let page_count = i64::from(last.page_count).checked_add(take_difference(rest)?)?;
            last = Listed {
                commit: last.commit.checked_add(1)?,
                kind,
                wall: DateTime::from_timestamp_micros(wall)?,
                page_count: u32::try_from(page_count).ok()?,
            };
            records.push(last);
        }
        let (mut pages, mut page) = (Vec::new(), 0u32);
        for _ in 0..take_number(rest)? {
            let word = take_number(rest)?;
            page = page.checked_add(u32::try_from(word >> 1).ok().filter(|more| *more > 0)?)?;
            pages.push((page, word & 1 == 1));
        }
        let group = Group { offset, length, previous: self.previous, before, records, pages };
        self.before = last;
        (self.previous, self.at) = (offset, offset.checked_add(length)?);
        (!group.records.is_empty() && length > BLOCK_BYTES as u64).then_some(group)
    }
}

impl Iterator for Groups<'_> {
    type Item = Group;

    fn next(&mut self) -> Option<Group> {
        if self.rest.is_empty() { None } else { self.parse() }
    }
}

/// Calls `visit` for each record of the log that `reader` has just opened: as its index lists them, where `look` allows
/// that and there is a sound one, otherwise as they are read. Returns where what was said comes from.
///
/// # Errors
/// When the log cannot be read, or the job is stopped.
pub fn each(
    reader: &mut LogReader,
    look: Look,
    control: &Control,
    visit: &mut dyn FnMut(Listed) -> Result<()>,
) -> Result<Look> {
    if let Some(index) = Some(look).filter(|look| *look == Look::Indexes).and_then(|_| reader.index()) {
        for group in index.groups() {
            group.records.into_iter().try_for_each(&mut *visit)?;
        }
        return Ok(Look::Indexes);
    }
    while let Some(record) = reader.next_record()? {
        control.check()?;
        visit(Listed::of(&record.head))?;
    }
    Ok(Look::Records)
}

#[cfg(test)]
mod tests;
