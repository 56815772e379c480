//! What stands between records, or after the last one, and may be passed over.

use super::LogWriter;
use crate::{
    error::Result,
    journal::{format::two::Shape, late::Late},
};

impl LogWriter {
    /// Writes before the next records that they were read late.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note_late(&mut self, late: &Late) -> Result<()> {
        if self.header.version == 1 || self.open.is_some() {
            return Ok(());
        }
        self.close_records()?;
        // The next block continues what this one continues.
        self.put(Shape::Late, self.ahead.link, &late.encode());
        self.flush_when_much()
    }

    /// Puts the index at the end, durable when this returns: nothing is to be appended after it. Where that fails the
    /// file is as before.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn put_index(&mut self, index: &[u8]) -> Result<()> {
        let written = self.file.write_all(index).and_then(|()| self.file.sync());
        if written.is_err() {
            self.failed = true;
            let _ = self.heal();
        }
        self.note_left();
        written
    }

    /// Takes the index away again, so that the log can go on.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn drop_index(&mut self) -> Result<()> {
        let tail = self.logged;
        self.cut_at(tail)
    }
}
