//! Bytes that are appended, and read again from any place: in a file without a name where they are many.

use std::{fs::File, io::Write, path::Path};

use crate::{
    error::{Error, Result},
    storage::read_exact_at,
};

/// Bytes that wait in memory until they are written.
const WAITING_MAX: usize = 1 << 20;

/// What was appended.
#[derive(Debug, Default)]
pub(super) struct Spill {
    file: Option<File>,
    written: u64,
    waiting: Vec<u8>,
}

fn failed(what: &str, error: std::io::Error) -> Error {
    Error::io(what, Path::new("a file without a name in the system's folder for such files"), error)
}

impl Spill {
    /// How many bytes there are.
    pub(super) fn length(&self) -> u64 {
        self.written + self.waiting.len() as u64
    }

    /// Appends bytes, and returns where they begin.
    ///
    /// # Errors
    /// When the disk is full or fails.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<u64> {
        let at = self.length();
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() > WAITING_MAX {
            if self.file.is_none() {
                self.file = Some(tempfile::tempfile().map_err(|e| failed("make", e))?);
            }
            if let Some(file) = &mut self.file {
                file.write_all(&self.waiting).map_err(|e| failed("write to", e))?;
            }
            self.written += self.waiting.len() as u64;
            self.waiting.clear();
        }
        Ok(at)
    }

    /// Reads bytes that were appended; fewer where there are no more.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn read(&self, at: u64, count: usize) -> Result<Vec<u8>> {
        let count = (count as u64).min(self.length().saturating_sub(at)) as usize;
        let mut bytes = vec![0; count];
        let on_disk = (self.written.saturating_sub(at) as usize).min(count);
        let (first, rest) = bytes.split_at_mut(on_disk);
        if let Some(file) = self.file.as_ref().filter(|_| !first.is_empty()) {
            read_exact_at(file, at, first).map_err(|e| failed("read", e))?;
        }
        let from = at.saturating_sub(self.written) as usize;
        if let Some(waiting) = self.waiting.get(from..from + rest.len()) {
            rest.copy_from_slice(waiting);
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_appended_is_read_from_memory_from_the_file_and_across_both() -> Result<()> {
        let mut spill = Spill::default();
        let byte = |at: u64| (at % 251) as u8;
        while spill.length() < 3_000_000 {
            let from = spill.length();
            let more: Vec<u8> = (from..from + 7001).map(byte).collect();
            assert_eq!(spill.append(&more)?, from);
        }
        assert!(spill.written > 0 && !spill.waiting.is_empty());
        let (border, end) = (spill.written, spill.length());
        for (at, count) in [(0, 10), (border - 5, 10), (border, 3), (border - 1, 1), (end - 2, 9), (end, 4)] {
            let expected: Vec<u8> = (at..(at + count).min(end)).map(byte).collect();
            assert_eq!(spill.read(at, count as usize)?, expected, "{at} {count}");
        }
        Ok(())
    }
}
