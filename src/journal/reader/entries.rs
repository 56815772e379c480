//! The pages of a record, taken from its blocks.

use super::{Form, LogReader, Record};
use crate::{
    error::{Error, ErrorKind, Result},
    journal::format::{
        Entry, RecordHead, chain_of, one,
        two::{self, Shape},
    },
};

/// What is called for each page of a record, with the place of its bytes in the file.
pub(in crate::journal) type Visit<'a> = dyn FnMut(Entry<'_>, u64) -> Result<()> + 'a;

impl LogReader {
    /// Calls `visit` for each page of a record that was returned by [`next_record`](Self::next_record).
    ///
    /// # Errors
    /// Those of `visit`; `Damaged` when the bytes changed since.
    pub fn pages(&mut self, record: &Record, visit: &mut dyn FnMut(Entry<'_>) -> Result<()>) -> Result<()> {
        self.pages_with_places(record, &mut |entry, _| visit(entry))
    }

    /// As [`pages`](Self::pages), with the place in the file where the bytes of each page begin.
    pub(in crate::journal) fn pages_with_places(&mut self, record: &Record, visit: &mut Visit<'_>) -> Result<()> {
        if record.form == Form::Whole && self.is_proven(record) {
            // The very bytes in memory that were proven: neither copied nor proven again.
            let window = std::mem::take(&mut self.window);
            let (from, to) = (record.offset - self.window_at, record.end - self.window_at);
            let bytes = window.get(from as usize..to as usize).unwrap_or_default();
            let visited = self.visit_whole(record, bytes, visit);
            self.window = window;
            return visited;
        }
        if record.form == Form::Whole {
            let bytes = self.bytes(record.offset, (record.end - record.offset) as usize)?.to_vec();
            if chain_of(record.before, &bytes, &[]) != record.chain {
                return Err(self.changed(record.offset));
            }
            return self.visit_whole(record, &bytes, visit);
        }
        let (mut at, mut chain, mut has_state) = (record.offset, record.before, false);
        let mut payload = Vec::new();
        while at < record.end {
            let begins = at == record.offset;
            if self.header.version == 1 {
                let Some(block) = self.block_one(at, chain)? else { return Err(self.changed(at)) };
                payload.clear();
                payload.extend_from_slice(self.bytes(at + one::BLOCK_BYTES as u64, block.payload)?);
                let body = payload.get(if begins { one::RECORD_BYTES } else { 0 }..);
                let end = at + (one::BLOCK_BYTES + block.payload) as u64;
                let body_at = end - body.map_or(0, <[u8]>::len) as u64;
                self.visit(body.map(Entries::One), (at, body_at), visit)?;
                (at, chain) = (end, block.chain);
                continue;
            }
            let Some(block) = self.block_two(at, chain)? else { return Err(self.changed(at)) };
            payload.clear();
            payload.extend_from_slice(self.bytes(at + two::BLOCK_BYTES as u64, block.payload)?);
            let mut body = payload.as_slice();
            if begins {
                has_state = two::skip_head(&mut body).ok_or_else(|| self.changed(at))?;
            }
            let end = at + (two::BLOCK_BYTES + block.payload) as u64;
            let body_at = end - body.len() as u64;
            let body = two::without_state(body, has_state && block.shape == Shape::LastPart);
            self.visit(body.map(|body| Entries::Two(body, 0)), (at, body_at), visit)?;
            (at, chain) = (end, block.chain);
        }
        Ok(())
    }

    /// Whether the window still holds the bytes of the record that was returned last as they were when it was proven.
    fn is_proven(&self, record: &Record) -> bool {
        let is_last = self.tail.length == record.end && self.tail.chain == record.chain;
        is_last && self.proven.is_some_and(|(from, to)| from <= record.offset && record.end <= to)
    }

    fn visit_whole(&self, record: &Record, bytes: &[u8], visit: &mut Visit<'_>) -> Result<()> {
        let mut body = bytes;
        let has_state = two::skip_head(&mut body);
        let body_at = record.end - body.len() as u64;
        let body = has_state.and_then(|has_state| two::without_state(body, has_state));
        self.visit(body.map(|body| Entries::Two(body, 0)), (record.offset, body_at), visit)
    }

    fn visit(&self, entries: Option<Entries<'_>>, (at, body_at): (u64, u64), visit: &mut Visit<'_>) -> Result<()> {
        let mut entries = entries.ok_or_else(|| self.changed(at))?;
        let whole = entries.len();
        while !entries.is_empty() {
            let entry = entries.next().ok_or_else(|| self.changed(at))?;
            // The bytes of the page are the last ones of its entry.
            let end = body_at + (whole - entries.len()) as u64;
            let begins = end - entry.bytes.len() as u64;
            visit(entry, begins)?;
        }
        Ok(())
    }

    fn changed(&self, at: u64) -> Error {
        Error::new(ErrorKind::Damaged, format!("{} is damaged at byte {at}", self.path.display()))
            .hint("Everything before this place can be integrated. Check the disk.")
    }
}

/// The entries of a record, or of a part of it.
#[derive(Clone, Copy)]
pub(super) enum Entries<'a> {
    One(&'a [u8]),
    /// With the page number of the one before.
    Two(&'a [u8], u32),
}

impl<'a> Entries<'a> {
    fn is_empty(&self) -> bool {
        matches!(self, Entries::One([]) | Entries::Two([], _))
    }

    /// Bytes that are left.
    fn len(&self) -> usize {
        match self {
            Entries::One(bytes) | Entries::Two(bytes, _) => bytes.len(),
        }
    }

    /// `None` where one is not whole.
    fn next(&mut self) -> Option<Entry<'a>> {
        match self {
            Entries::One(bytes) => {
                let (entry, rest) = one::split_entry(bytes)?;
                *bytes = rest;
                Some(entry)
            }
            Entries::Two(bytes, page) => two::take_entry(bytes, page),
        }
    }
}

/// How many pages a part of a record holds; `None` where one lies outside of the data file, or is not whole.
pub(super) fn count_entries(head: &RecordHead, mut entries: Entries<'_>) -> Option<u64> {
    let mut count = 0;
    while !entries.is_empty() {
        let entry = entries.next()?;
        if entry.page == 0 || entry.page > head.page_count {
            return None;
        }
        count += 1;
    }
    Some(count)
}
