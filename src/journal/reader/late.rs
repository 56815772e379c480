//! What a log says of records that were read late.

use chrono::{DateTime, Utc};

use super::LogReader;
use crate::{
    error::Result,
    journal::{
        format::{
            HEADER_BYTES,
            two::{self, Shape},
        },
        index::Index,
        late::Late,
    },
};

impl LogReader {
    /// Takes what stands before records that were read late; the next one is the first of them.
    pub(super) fn note_late(&mut self, at: u64, length: usize) -> Result<()> {
        let first = self.tail.commit + 1;
        let late = Late::decode(self.bytes(at, length)?);
        self.late = late.map(|late| (late, first..first.saturating_add(late.commits))).or(self.late.take());
        Ok(())
    }

    /// Before when the commit of this number was not made, where it was read late.
    pub(super) fn not_before(&self, commit: u64) -> Option<DateTime<Utc>> {
        self.late.as_ref().filter(|(_, commits)| commits.contains(&commit)).map(|(late, _)| late.from)
    }

    /// Whether the log says of records that they were read late, which its index does not.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub(in crate::journal) fn has_late(&mut self, index: &Index) -> Result<bool> {
        let mut at = HEADER_BYTES as u64;
        for group in index.groups() {
            // What lies between two groups is blank pages, or what may be passed over.
            while at < group.offset {
                let Some(start) = self.bytes_at(at, two::BLOCK_BYTES)? else { return Ok(false) };
                let Some(block) = two::BlockHead::decode(start) else { break };
                if block.shape == Shape::Late {
                    return Ok(true);
                }
                at += (two::BLOCK_BYTES + block.payload) as u64;
            }
            at = group.offset + group.length;
        }
        Ok(false)
    }
}
