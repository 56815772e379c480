//! Going to a place in a log whose beginning is not read, and looking again at its end.

use super::{End, LogReader};
use crate::{
    error::{Error, Result},
    journal::{
        format::{Tail, one, two},
        index::Group,
    },
};

impl LogReader {
    /// Goes to a group of its index, or to one that was read before; false where what lies before it is not to be read.
    /// The records from there on prove that they continue that; what lies before, nobody has read. Their latest times,
    /// and places in the WAL that are not given in full, are not known.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn go_to(&mut self, group: &Group) -> Result<bool> {
        let (mut at, mut link) = (group.previous, self.header.link());
        while at < group.offset {
            if self.header.version == 1 {
                let Some(start) = self.bytes_at(at, one::BLOCK_BYTES)? else { return Ok(false) };
                let Some(block) = one::BlockHead::decode(start) else { return Ok(false) };
                (at, link) = (at + (one::BLOCK_BYTES + block.payload) as u64, block.chain);
                continue;
            }
            let Some(start) = self.bytes_at(at, two::BLOCK_BYTES)? else { return Ok(false) };
            let Some(block) = two::BlockHead::decode(start) else { return Ok(false) };
            if !block.shape.is_outside() {
                link = block.chain;
            }
            at += (two::BLOCK_BYTES + block.payload) as u64;
        }
        let before = group.before;
        self.queue.clear();
        self.late = None;
        self.end = End::Open;
        self.tail = Tail {
            length: group.offset,
            commit: before.commit,
            chain: link,
            link,
            time: before.wall,
            wall: before.wall,
            page_count: before.page_count,
            ..Tail::base(&self.header)
        };
        Ok(at == group.offset)
    }

    /// Looks whether more was written since the [`end`](Self::end) was reached: what was read stays read.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn look_again(&mut self) -> Result<()> {
        let length = self.file.metadata().map_err(|e| Error::io("read", &self.path, e))?.len();
        if matches!(self.end, End::Whole | End::Torn { .. }) && length >= self.tail.length && length != self.length {
            // What was unfinished may be something else by now.
            self.window.clear();
            self.proven = None;
            (self.length, self.end) = (length, End::Open);
        }
        Ok(())
    }
}
