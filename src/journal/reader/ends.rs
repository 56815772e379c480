//! Why the records of a log end where they do: whole, torn, damaged, or before an index.

use super::{End, LogReader};
use crate::{
    error::Result,
    journal::{
        format::{PAYLOAD_MAX, one, two},
        index::{Indexed, Trailer},
    },
};

impl LogReader {
    /// Notes why there are no more records; up to `at` the chain goes on.
    pub(super) fn end_at(&mut self, at: u64) -> Result<()> {
        let offset = self.tail.length;
        // The end of an index tells where the log ended, also where the rest of the index is damaged.
        let sealed = Trailer::read(&self.file, self.length).filter(|_| self.header.version > 1);
        // What the chain still vouches for is the beginning of a record that was not written to its end.
        self.end = if offset == self.length {
            End::Whole
        } else if sealed.is_some_and(|sealed| sealed.offset > offset) {
            End::Damaged { offset }
        } else if sealed.is_some_and(|sealed| (sealed.offset, sealed.link) == (at, self.tail.link)) {
            return self.end_at_index(at);
        } else if self.sound_blocks_follow(at)? {
            End::Damaged { offset }
        } else {
            End::Torn { offset }
        };
        Ok(())
    }

    /// Notes that the records end at `at`, where the index begins, whatever became of it.
    pub(super) fn end_at_index(&mut self, at: u64) -> Result<()> {
        let is_sound = self.index().is_some_and(|index| index.ends_like(&self.tail));
        self.indexed = if is_sound { Indexed::Sound } else { Indexed::Damaged };
        // What looks like one must not conceal records.
        let conceals = !is_sound && self.sound_blocks_follow(at)?;
        self.end = if conceals { End::Damaged { offset: at } } else { End::Whole };
        Ok(())
    }

    /// Whether a block stands at `at`, followed by one that continues its chain value.
    fn block_and_next(&mut self, at: u64) -> Result<bool> {
        if self.header.version == 1 {
            let Some(start) = self.bytes_at(at, one::BLOCK_BYTES)? else { return Ok(false) };
            let Some(block) = one::BlockHead::decode(start) else { return Ok(false) };
            return Ok(self.block_one(at + (one::BLOCK_BYTES + block.payload) as u64, block.chain)?.is_some());
        }
        let Some(start) = self.bytes_at(at, two::BLOCK_BYTES)? else { return Ok(false) };
        let Some(block) = two::BlockHead::decode(start).filter(|block| !block.shape.is_outside()) else {
            return Ok(false);
        };
        Ok(self.block_two(at + (two::BLOCK_BYTES + block.payload) as u64, block.chain)?.is_some())
    }

    /// Whether two blocks of which the second continues the first stand anywhere from `offset` on, where the chain
    /// ends: then the place is damaged, or what stood there is gone, and it is not torn.
    fn sound_blocks_follow(&mut self, offset: u64) -> Result<bool> {
        let (magic, shortest) = match self.header.version {
            1 => (one::BLOCK_MAGIC, one::BLOCK_BYTES),
            _ => (two::BLOCK_MAGIC, two::BLOCK_BYTES),
        };
        let mut at = offset;
        while at + 2 * shortest as u64 <= self.length {
            let count = ((self.length - at) as usize).min(PAYLOAD_MAX);
            match memchr::memmem::find(self.bytes(at, count)?, magic) {
                Some(found) => {
                    at += found as u64;
                    if self.block_and_next(at)? {
                        return Ok(true);
                    }
                    at += 1;
                }
                None => at += (count as u64 - 3).max(1),
            }
        }
        Ok(false)
    }
}
