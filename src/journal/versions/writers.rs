//! Which records wrote a page: by the index of a log where it has one, otherwise by reading its records once.

use std::path::{Path, PathBuf};

use chrono::DateTime;

use super::sorted::{Item, Sorted};
use crate::{
    control::Control,
    error::{Error, ErrorKind, Result},
    journal::{
        format::{HEADER_BYTES, RecordKind, u64_at},
        index::{Group, Listed},
        plan::Piece,
        reader::{LogReader, Record},
    },
};

/// So many groups are held in memory, of some 60 bytes each.
const PLACES: usize = 256 << 10;
/// So many pages that a group writes are, of 8 bytes each.
const WRITTEN: usize = 4 << 20;
/// A log makes its data file shorter no more often than this.
const SHRINKS: usize = 8 << 20;

/// A group of records, as the index of a log has them: where it lies, and what stands before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Its number, counted through all logs.
    pub(super) number: u32,
    /// Which log.
    pub(super) log: u32,
    /// How many records of it are read.
    pub(super) records: u32,
    pub(super) offset: u64,
    pub(super) length: u64,
    previous: u64,
    before: Listed,
}

impl Place {
    /// For a reader to go to.
    pub(super) fn group(&self) -> Group {
        let (offset, length, previous) = (self.offset, self.length, self.previous);
        Group { offset, length, previous, before: self.before, records: Vec::new(), pages: Vec::new() }
    }
}

impl Item for Place {
    const BYTES: usize = 56;

    fn key(&self) -> u64 {
        u64::from(self.number)
    }

    fn put(&self, out: &mut Vec<u8>) {
        for number in [self.number, self.log, self.records, self.before.page_count] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.offset, self.length, self.previous, self.before.commit] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.before.wall.timestamp_micros().to_le_bytes());
    }

    fn take(bytes: &[u8]) -> Option<Self> {
        let long = |at: usize| bytes.get(at..at + 8).map(|bytes| u64_at(bytes, 0));
        let pair = |at: usize| long(at).map(|both| (both as u32, (both >> 32) as u32));
        let ((number, log), (records, page_count)) = (pair(0)?, pair(8)?);
        let wall = DateTime::from_timestamp_micros(long(48)? as i64)?;
        let before = Listed { commit: long(40)?, kind: RecordKind::Commit, wall, page_count };
        Some(Self { number, log, records, offset: long(16)?, length: long(24)?, previous: long(32)?, before })
    }
}

/// A page, and the number of a group that writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Written(u64);

impl Item for Written {
    const BYTES: usize = 8;

    fn key(&self) -> u64 {
        self.0
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_le_bytes());
    }

    fn take(bytes: &[u8]) -> Option<Self> {
        bytes.get(..8).map(|bytes| Self(u64_at(bytes, 0)))
    }
}

/// Which groups write which pages, up to a commit.
#[derive(Debug)]
pub(super) struct Writers {
    /// The logs, with the first and the last commit that count.
    pub(super) logs: Vec<(PathBuf, u64, u64)>,
    places: Sorted<Place>,
    written: Sorted<Written>,
    groups: u32,
    /// Commits that made the data file shorter, in order, with the number of pages after them.
    shrinks: Vec<(u64, u32)>,
    /// Pages of the data file after the last commit that counts.
    pub(super) page_count: u32,
    /// Bytes of the records that count.
    pub(super) bytes: u64,
}

impl Writers {
    /// Of a data file of so many pages.
    fn new(page_count: u32) -> Self {
        Self {
            logs: Vec::new(),
            places: Sorted::new(PLACES),
            written: Sorted::new(WRITTEN),
            groups: 0,
            shrinks: Vec::new(),
            page_count,
            bytes: 0,
        }
    }

    /// Reads what `pieces` hold up to the commit `limit`, which go on from a data file of `page_count` pages of this
    /// size.
    pub(super) fn read(
        pieces: &[Piece],
        limit: u64,
        (page_size, page_count): (u32, u32),
        control: &Control,
    ) -> Result<Self> {
        let mut found = Self::new(page_count);
        for piece in pieces.iter().filter(|piece| piece.commits.0 <= limit) {
            let mut reader = LogReader::open(&piece.path)?;
            if reader.header().page_size != page_size {
                return Err(unfit(&piece.path, "is made for pages of another size than the archive has"));
            }
            let last = piece.commits.1.min(limit);
            found.logs.push((piece.path.clone(), piece.commits.0, last));
            match reader.index() {
                Some(index) => {
                    for group in index.groups().take_while(|group| group.before.commit < last) {
                        control.check()?;
                        found.add(&group)?;
                    }
                }
                None => found.scan(&mut reader, last, control)?,
            }
        }
        found.places.close();
        found.written.close();
        Ok(found)
    }

    /// Reads the records of a log without an index.
    fn scan(&mut self, reader: &mut LogReader, last: u64, control: &Control) -> Result<()> {
        let mut scan = Scan::of(reader);
        while scan.before.commit < last {
            control.check()?;
            let Some(record) = reader.next_record()? else { return Err(changed(reader)) };
            scan.take(self, reader, &record)?;
        }
        scan.end(self)
    }

    /// Takes in a group of the log that is the last one.
    fn add(&mut self, group: &Group) -> Result<()> {
        let Some((log, (path, first, last))) = self.logs.iter().enumerate().next_back() else { return Ok(()) };
        let is_read = |listed: &&Listed| (*first..=*last).contains(&listed.commit);
        let Some(end) = group.records.iter().rfind(is_read) else { return Ok(()) };
        // What is not read stands before it.
        let before = group.records.iter().take_while(|listed| listed.commit < *first).last();
        let said = before.unwrap_or(&group.before).page_count;
        if said > self.page_count && self.groups == 0 {
            let what = format!("was made against a data file of {said} pages, and the archive has {}", self.page_count);
            return Err(unfit(path, &what));
        }
        let records = end.commit - group.before.commit;
        let too_many = || too_much(path);
        let place = Place {
            number: self.groups,
            log: u32::try_from(log).map_err(|_| too_many())?,
            records: u32::try_from(records).map_err(|_| too_many())?,
            offset: group.offset,
            length: group.length,
            previous: group.previous,
            before: group.before,
        };
        for listed in group.records.iter().filter(is_read) {
            if listed.page_count < self.page_count {
                self.shrinks.push((listed.commit, listed.page_count));
            }
            self.page_count = listed.page_count;
        }
        if self.shrinks.len() > SHRINKS {
            return Err(too_many());
        }
        self.groups = self.groups.checked_add(1).ok_or_else(too_many)?;
        self.bytes += group.length;
        self.places.add(place)?;
        let number = u64::from(place.number);
        group.pages.iter().try_for_each(|(page, _)| self.written.add(Written(u64::from(*page) << 32 | number)))
    }

    /// The last group that writes `page` and whose number is not above `number`.
    pub(super) fn last(&self, page: u32, number: u32) -> Result<Option<Place>> {
        let (first, end) = (u64::from(page) << 32, (u64::from(page) << 32 | u64::from(number)) + 1);
        let Some(written) = self.written.last_below(end)?.filter(|written| written.0 >= first) else {
            return Ok(None);
        };
        let number = written.0 & u64::from(u32::MAX);
        Ok(self.places.last_below(number + 1)?.filter(|place| u64::from(place.number) == number))
    }

    /// Whether the data file was ever too short for `page` after the commit `after`, up to the commit `to`.
    pub(super) fn is_cut(&self, page: u32, after: u64, to: u64) -> bool {
        let from = self.shrinks.partition_point(|(commit, _)| *commit <= after);
        let within = self.shrinks.get(from..).unwrap_or_default().iter().take_while(|(commit, _)| *commit <= to);
        within.into_iter().any(|(_, count)| *count < page)
    }
}

/// The groups of a log that is read record by record.
#[derive(Debug)]
struct Scan {
    /// What stands before the next record.
    before: Listed,
    open: Option<Group>,
    /// Where the group before it begins.
    previous: u64,
}

impl Scan {
    /// Of a log of which no record was read yet.
    fn of(reader: &LogReader) -> Self {
        let header = reader.header();
        let (commit, wall, page_count) = (header.base.commit, header.created, header.page_count);
        let before = Listed { commit, kind: RecordKind::Commit, wall, page_count };
        Self { before, open: None, previous: HEADER_BYTES as u64 }
    }

    /// Takes in the record that was returned last.
    fn take(&mut self, writers: &mut Writers, reader: &mut LogReader, record: &Record) -> Result<()> {
        if let Some(whole) = self.open.take_if(|open| open.offset != record.block) {
            self.previous = whole.offset;
            close(whole, writers)?;
        }
        let (before, previous) = (self.before, self.previous);
        let group = self.open.get_or_insert_with(|| Group {
            offset: record.block,
            length: 0,
            previous,
            before,
            records: Vec::new(),
            pages: Vec::new(),
        });
        group.length = record.end - group.offset;
        self.before = Listed::of(&record.head);
        group.records.push(self.before);
        let pages = &mut group.pages;
        reader.pages(record, &mut |entry| {
            pages.push((entry.page, false));
            Ok(())
        })
    }

    fn end(self, writers: &mut Writers) -> Result<()> {
        self.open.map_or(Ok(()), |whole| close(whole, writers))
    }
}

fn close(mut group: Group, writers: &mut Writers) -> Result<()> {
    group.pages.sort_unstable();
    group.pages.dedup();
    writers.add(&group)
}

/// The same, found out beside whoever reads logs from their first record on.
#[derive(Debug)]
pub(crate) struct Beside {
    writers: Writers,
    scan: Option<Scan>,
}

impl Beside {
    /// Of logs that go on from a data file of so many pages.
    pub(crate) fn new(page_count: u32) -> Self {
        Self { writers: Writers::new(page_count), scan: None }
    }

    /// A log is begun, of which no record was read yet, and which counts from the commit `first` on.
    pub(crate) fn begin(&mut self, reader: &LogReader, first: u64) -> Result<()> {
        self.end_log()?;
        self.writers.logs.push((reader.path().to_path_buf(), first, u64::MAX));
        self.scan = Some(Scan::of(reader));
        Ok(())
    }

    /// Takes in the record that was returned last.
    pub(crate) fn take(&mut self, reader: &mut LogReader, record: &Record) -> Result<()> {
        self.scan.as_mut().map_or(Ok(()), |scan| scan.take(&mut self.writers, reader, record))
    }

    fn end_log(&mut self) -> Result<()> {
        let Some(scan) = self.scan.take() else { return Ok(()) };
        let last = scan.before.commit;
        scan.end(&mut self.writers)?;
        self.writers.logs.iter_mut().next_back().into_iter().for_each(|(.., counts)| *counts = last);
        Ok(())
    }

    /// What was taken in.
    pub(super) fn end(mut self) -> Result<Writers> {
        self.end_log()?;
        self.writers.places.close();
        self.writers.written.close();
        Ok(self.writers)
    }
}

/// A log is not what was planned with.
pub(super) fn changed(reader: &LogReader) -> Error {
    let path = reader.path().display();
    Error::new(ErrorKind::Damaged, format!("{path} changed meanwhile")).hint("Start again.")
}

fn too_much(path: &Path) -> Error {
    Error::new(ErrorKind::Refused, format!("{} holds more than can be looked at", path.display()))
        .hint("Restore up to that moment into another folder, and look there.")
}

fn unfit(path: &Path, what: &str) -> Error {
    Error::new(ErrorKind::Damaged, format!("{} {what}", path.display()))
        .hint("The archive and the log do not belong together. Name another archive.")
}
