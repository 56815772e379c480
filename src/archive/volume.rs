//! An archive as one stretch of bytes, whether it lies in one file or in segments, and with what was repaired in its
//! place.

use std::{
    collections::HashMap,
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::recovery::spool::Spool;
use crate::storage::{
    read_exact_at,
    regular::{self, Links},
};

/// More files than this are not kept open: a set may have thousands.
const OPEN_MAX: usize = 64;
/// What is read around a place that a disk cannot read.
const SECTOR: usize = 4096;

/// One file of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The file.
    pub path: PathBuf,
    /// Where in the volume it begins.
    pub at: u64,
    /// Length of the file in bytes.
    pub length: u64,
}

/// Where a block is read that is not found, or not sound, at its place.
#[derive(Debug, Clone, Copy)]
pub enum Patch {
    /// In a file of the volume, at another place.
    Moved {
        /// Which file.
        piece: usize,
        /// Offset in it.
        offset: u64,
    },
    /// Among the repaired blocks.
    Repaired {
        /// Offset there.
        offset: u64,
    },
    /// Nowhere: it is a block of zeros.
    Zeros,
}

/// The blocks that are read elsewhere.
#[derive(Debug)]
pub struct Patches {
    /// Length of a block.
    pub block_bytes: u64,
    /// By number.
    pub blocks: HashMap<u64, Patch>,
    /// Repaired blocks.
    pub spool: Spool,
}

/// Files that together are one stretch of bytes.
#[derive(Debug)]
pub struct Volume {
    pieces: Vec<Piece>,
    length: u64,
    patches: Option<Patches>,
    open: Mutex<HashMap<usize, Arc<File>>>,
}

impl Volume {
    /// The volume of these files, in the order of their places; what lies between two of them is missing.
    pub fn new(pieces: Vec<Piece>) -> Self {
        let length = pieces.iter().map(|p| p.at + p.length).max().unwrap_or(0);
        Self { pieces, length, patches: None, open: Mutex::new(HashMap::new()) }
    }

    /// A volume of one file.
    ///
    /// # Errors
    /// When its length cannot be told.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        let length = std::fs::metadata(path)?.len();
        Ok(Self::new(vec![Piece { path: path.to_path_buf(), at: 0, length }]))
    }

    /// The same bytes, with these blocks read elsewhere and `length` bytes in all.
    #[must_use]
    pub fn patched(mut self, patches: Patches, length: u64) -> Self {
        (self.patches, self.length) = (Some(patches), length);
        self
    }

    /// The same, with further blocks, repaired ones in `spool`.
    #[must_use]
    pub fn patched_too(mut self, more: HashMap<u64, Patch>, spool: Spool) -> Self {
        if let Some(patches) = &mut self.patches {
            patches.blocks.extend(more);
            patches.spool = spool;
        }
        self
    }

    /// Length in bytes, missing files included.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Whether something was found or repaired in its place.
    pub fn is_patched(&self) -> bool {
        self.patches.is_some()
    }

    /// Its files.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Fills `buffer` with the bytes from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` where there are none; those of the disk.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let Some(patches) = &self.patches else { return self.read_plain(offset, buffer) };
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let (block, within) = (at / patches.block_bytes, at % patches.block_bytes);
            let count = (buffer.len() - done).min((patches.block_bytes - within) as usize);
            let part = &mut buffer[done..done + count];
            match patches.blocks.get(&block) {
                None => self.read_plain(at, part)?,
                Some(Patch::Moved { piece, offset }) => read_exact_at(&*self.file(*piece)?, offset + within, part)?,
                Some(Patch::Repaired { offset }) => patches.spool.read_at(offset + within, part)?,
                Some(Patch::Zeros) => part.fill(0),
            }
            done += count;
        }
        Ok(())
    }

    /// `length` bytes from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` where there are not so many, and where there is no memory for them; those of the disk.
    pub fn read(&self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let inside = offset.checked_add(length).is_some_and(|end| end <= self.length);
        let mut bytes = Vec::new();
        // An abort for want of memory would take all other jobs with it.
        if !inside || bytes.try_reserve_exact(length as usize).is_err() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.resize(length as usize, 0);
        self.read_at(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// As [`read`](Self::read), in the memory of `spare`.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_in(&self, offset: u64, length: u64, mut spare: Vec<u8>) -> io::Result<Vec<u8>> {
        if (spare.capacity() as u64) < length {
            return self.read(offset, length);
        }
        spare.resize(length as usize, 0);
        self.read_at(offset, &mut spare)?;
        Ok(spare)
    }

    /// Fills `buffer` as far as the disks can read it, and with zeros elsewhere.
    pub fn read_lossy(&self, offset: u64, buffer: &mut [u8]) {
        if self.read_at(offset, buffer).is_ok() {
            return;
        }
        for (n, part) in buffer.chunks_mut(SECTOR).enumerate() {
            let at = offset + (n * SECTOR) as u64;
            if self.read_at(at, part).is_err() {
                // The edge of a file, or of what is missing, may lie within.
                part.fill(0);
                let end = at + part.len() as u64;
                for (n, piece) in self.pieces.iter().enumerate().filter(|(_, p)| p.at < end && p.at + p.length > at) {
                    let (from, to) = (piece.at.max(at), (piece.at + piece.length).min(end));
                    let part = &mut part[(from - at) as usize..(to - at) as usize];
                    let read = self.file(n).and_then(|file| read_exact_at(&file, from - piece.at, part));
                    if read.is_err() {
                        part.fill(0);
                    }
                }
            }
        }
    }

    /// Reads from one file of the volume; returns how many bytes there were.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn read_piece(&self, piece: usize, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.pieces.get(piece).map_or(0, |p| p.length.saturating_sub(offset));
        let count = (buffer.len() as u64).min(left) as usize;
        read_exact_at(&*self.file(piece)?, offset, &mut buffer[..count])?;
        Ok(count)
    }

    /// As [`read_piece`](Self::read_piece), with zeros where the disk cannot read.
    pub fn read_piece_lossy(&self, piece: usize, offset: u64, buffer: &mut [u8]) {
        if self.read_piece(piece, offset, buffer).is_ok_and(|read| read == buffer.len()) {
            return;
        }
        for (n, part) in buffer.chunks_mut(SECTOR).enumerate() {
            let read = self.read_piece(piece, offset + (n * SECTOR) as u64, part).unwrap_or(0);
            part[read..].fill(0);
        }
    }

    fn read_plain(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            // The last of those that begin at or before the place: a file that is too long does not hide the next.
            let piece = self.pieces.partition_point(|p| p.at <= at).checked_sub(1);
            let piece = piece.filter(|n| at < self.pieces[*n].at + self.pieces[*n].length);
            let Some(piece) = piece else { return Err(io::ErrorKind::UnexpectedEof.into()) };
            let end = self.pieces.get(piece + 1).map_or(u64::MAX, |next| next.at);
            let found = &self.pieces[piece];
            let count = ((found.at + found.length).min(end) - at).min((buffer.len() - done) as u64) as usize;
            read_exact_at(&*self.file(piece)?, at - found.at, &mut buffer[done..done + count])?;
            done += count;
        }
        Ok(())
    }

    fn file(&self, piece: usize) -> io::Result<Arc<File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = open.get(&piece) {
            return Ok(Arc::clone(file));
        }
        if open.len() >= OPEN_MAX {
            open.clear();
        }
        let path = self.pieces.get(piece).map(|p| p.path.as_path()).ok_or(io::ErrorKind::NotFound)?;
        let file = Arc::new(regular::open(path, Links::Followed)?.0);
        open.insert(piece, Arc::clone(&file));
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_as_one_and_what_is_missing_is_noticed() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let piece = |name: &str, at: u64, content: &str| -> io::Result<Piece> {
            let path = folder.path().join(name);
            std::fs::write(&path, content)?;
            Ok(Piece { path, at, length: content.len() as u64 })
        };
        let volume = Volume::new(vec![piece("1", 0, "abcd")?, piece("2", 4, "efg")?, piece("4", 9, "jk")?]);
        assert_eq!(volume.length(), 11);
        assert_eq!(volume.read(2, 5)?, b"cdefg");
        assert_eq!(volume.read(6, 2).map_err(|e| e.kind()), Err(io::ErrorKind::UnexpectedEof));
        assert_eq!(volume.read(9, 3).map_err(|e| e.kind()), Err(io::ErrorKind::UnexpectedEof));
        let mut all = [9; 12];
        volume.read_lossy(0, &mut all);
        assert_eq!(&all, b"abcdefg\0\0jk\0");
        let moved = Patch::Moved { piece: 0, offset: 1 };
        let blocks = HashMap::from([(1, moved), (3, Patch::Zeros), (4, Patch::Repaired { offset: 0 })]);
        let mut spool = Spool::new(folder.path());
        spool.push(b"xy")?;
        let volume = volume.patched(Patches { block_bytes: 2, blocks, spool }, 10);
        assert_eq!(volume.read(0, 6)?, b"abbcef");
        assert_eq!(volume.read(7, 3)?, b"\0xy");
        Ok(())
    }
}
