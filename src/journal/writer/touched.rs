//! What other programs did to the log that is being written.

use super::LogWriter;
use crate::{
    error::Result,
    journal::reader::LogReader,
    storage::identity::{FileStamp, replaced, require_named},
};

/// What another program did to the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Touched {
    Not,
    /// It may have written to it, which only reading it can tell.
    Content,
    /// It cut it, or appended to it.
    Length {
        found: u64,
        left: u64,
    },
}

impl LogWriter {
    /// Sees that the path still names the file that is written, as long as it was left, and whether its content is as
    /// it was left: false when somebody else may have written to it, which only reading it can tell.
    ///
    /// # Errors
    /// [`ErrorKind::Replaced`](crate::error::ErrorKind::Replaced) when it is gone, another file, or was cut or appended
    /// to by others.
    pub fn compare(&self) -> Result<bool> {
        let Some(left) = self.left else { return Ok(true) };
        require_named(&self.path, left.identity)?;
        let strange = |found: u64, left: u64| {
            let path = self.path.display();
            replaced(format!("{path} was cut or written by another program: it has {found} bytes instead of {left}"))
        };
        if let Touched::Length { found, left } = self.touched {
            return Err(strange(found, left));
        }
        let now = FileStamp::of_path(&self.path).ok().flatten();
        match now {
            Some(now) if now.identity == left.identity && (now.length == left.length || self.failed) => {
                Ok((now.changed == left.changed || self.failed) && self.touched == Touched::Not)
            }
            now => Err(strange(now.map_or(0, |now| now.length), left.length)),
        }
    }

    /// Reads the file as far as it is logged, and takes it as it is now when every record is there.
    ///
    /// # Errors
    /// `Replaced` when it is not what was written.
    pub fn read_back(&mut self) -> Result<()> {
        let damaged =
            |at: u64| replaced(format!("{} was overwritten at byte {at} by another program", self.path.display()));
        let mut reader = LogReader::open(&self.path).map_err(|_| damaged(0))?;
        while reader.next_record()?.is_some() {}
        let (found, logged) = (*reader.tail(), self.logged);
        if (found.commit, found.chain, found.length) != (logged.commit, logged.chain, logged.length)
            // As it is written: in memory its time is finer than in the file.
            || reader.header().encode() != self.header.encode()
        {
            return Err(damaged(found.length));
        }
        self.note_left();
        self.touched = Touched::Not;
        Ok(())
    }

    /// Sees before a write whether the file is as it was left. What was cut off it, the write itself would make up for
    /// with zeros; after it nothing would tell.
    pub(super) fn note_touched(&mut self) {
        let (Some(left), false) = (self.left, self.failed) else { return };
        match self.file.stamp().ok().flatten() {
            Some(now) if now.length != left.length => {
                self.touched = Touched::Length { found: now.length, left: left.length }
            }
            Some(now) if now.changed == left.changed => {}
            _ if self.touched == Touched::Not => self.touched = Touched::Content,
            _ => {}
        }
    }
}
