//! The pages of a record, taken from its blocks.

use super::{Form, LogReader, Record};
use crate::{
    error::{Error, ErrorKind, Result},
    journal::format::{
        Entry, RecordHead, chain_of, one,
        two::{self, Shape},
    },
};

impl LogReader {
    /// Calls `visit` for each page of a record that was returned by [`next_record`](Self::next_record).
    ///
    /// # Errors
    /// Those of `visit`; `Damaged` when the bytes changed since.
    pub fn pages(&mut self, record: &Record, visit: &mut dyn FnMut(Entry<'_>) -> Result<()>) -> Result<()> {
        if record.form == Form::Whole {
            let bytes = self.bytes(record.offset, (record.end - record.offset) as usize)?.to_vec();
            if chain_of(record.before, &bytes, &[]) != record.chain {
                return Err(self.changed(record.offset));
            }
            let mut body = bytes.as_slice();
            let has_state = two::skip_head(&mut body);
            let body = has_state.and_then(|has_state| two::without_state(body, has_state));
            return self.visit(body.map(|body| Entries::Two(body, 0)), record.offset, visit);
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
                self.visit(body.map(Entries::One), at, visit)?;
                (at, chain) = (at + (one::BLOCK_BYTES + block.payload) as u64, block.chain);
                continue;
            }
            let Some(block) = self.block_two(at, chain)? else { return Err(self.changed(at)) };
            payload.clear();
            payload.extend_from_slice(self.bytes(at + two::BLOCK_BYTES as u64, block.payload)?);
            let mut body = payload.as_slice();
            if begins {
                has_state = two::skip_head(&mut body).ok_or_else(|| self.changed(at))?;
            }
            let body = two::without_state(body, has_state && block.shape == Shape::LastPart);
            self.visit(body.map(|body| Entries::Two(body, 0)), at, visit)?;
            (at, chain) = (at + (two::BLOCK_BYTES + block.payload) as u64, block.chain);
        }
        Ok(())
    }

    fn visit(
        &self,
        entries: Option<Entries<'_>>,
        at: u64,
        visit: &mut dyn FnMut(Entry<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut entries = entries.ok_or_else(|| self.changed(at))?;
        while !entries.is_empty() {
            visit(entries.next().ok_or_else(|| self.changed(at))?)?;
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
