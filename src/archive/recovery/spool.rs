//! Where repaired blocks wait, and recovery data for its place after all else: in memory while there is little of it,
//! else in a file without a name that goes with the job.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::{
    error::{Error, ErrorKind, Result},
    storage::read_exact_at,
};

/// Bytes kept in memory.
const MEMORY_BYTES: usize = 32 << 20;

/// Bytes that wait, one after the other.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    memory: Vec<u8>,
    file: Option<File>,
    length: u64,
}

impl Spool {
    /// An empty one, whose file would be made in `folder`, or else where the system keeps such files.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf(), memory: Vec::new(), file: None, length: 0 }
    }

    /// Adds bytes, and returns where they are.
    ///
    /// # Errors
    /// `NoSpace` when a file is needed and cannot be written.
    pub fn push(&mut self, bytes: &[u8]) -> Result<u64> {
        self.push_plain(bytes).map_err(|e| {
            Error::new(
                ErrorKind::NoSpace,
                format!("there is no space in {} for what is repaired, until it is used", self.folder.display()),
            )
            .hint("Free space on that disk, or where this system keeps temporary files, and try again.")
            .because(e)
        })
    }

    fn push_plain(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let at = self.length;
        if self.file.is_none() && self.memory.len() + bytes.len() > MEMORY_BYTES {
            // The folder of an archive may be read-only.
            self.file = Some(tempfile::tempfile_in(&self.folder).or_else(|_| tempfile::tempfile())?);
        }
        match &mut self.file {
            Some(file) => file.write_all(bytes)?,
            None => self.memory.extend_from_slice(bytes),
        }
        self.length += bytes.len() as u64;
        Ok(at)
    }

    /// Reads bytes added before.
    ///
    /// # Errors
    /// `UnexpectedEof` beyond the end.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let memory = self.memory.len() as u64;
        let Some(file) = self.file.as_ref().filter(|_| offset >= memory) else {
            let part = self.memory.get(offset as usize..offset as usize + buffer.len());
            buffer.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
            return Ok(());
        };
        read_exact_at(file, offset - memory, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_blocks_go_to_a_file_and_all_come_back() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let mut spool = Spool::new(folder.path());
        let block = |n: u8| vec![n; 1 << 20];
        let places: Vec<u64> = (0..40).map(|n| spool.push(&block(n))).collect::<Result<_>>()?;
        assert!(spool.file.is_some() && spool.memory.len() <= MEMORY_BYTES);
        for (n, at) in (0..).zip(places) {
            let mut buffer = block(0xff);
            spool.read_at(at, &mut buffer)?;
            assert!(buffer == block(n));
        }
        assert_eq!(std::fs::read_dir(folder.path())?.count(), 0, "it has no name");
        Ok(())
    }
}
