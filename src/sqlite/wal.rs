//! Reading the `-wal` file: verified frames between two places, grouped into commits.
//!
//! A WAL is a header of 32 bytes and frames of 24 bytes + one page (big-endian words):
//!
//! | Header | | Frame | |
//! |---|---|---|---|
//! | 0 | magic `0x377f0682`, +1 when checksums are over big-endian words | 0 | page number |
//! | 4 | version 3007000 | 4 | pages of the data file after this commit, 0 in other frames |
//! | 8 | page size | 8 | both salts of the header |
//! | 12 | checkpoint number | 16 | running checksum up to this frame |
//! | 16 | two salts | 24 | the page |
//! | 24 | checksum of bytes 0 to 23 | | |
//!
//! What is read here is only what a read transaction vouches for: frames beyond its `frame_max` do not exist, whatever
//! the file holds, because a crashed writer may have left frames there that the next writer overwrites. The caller must
//! hold that transaction, so that nobody restarts the WAL meanwhile.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{snapshot::wal_path, wal_index::WalPosition};
use crate::{
    error::{Error, ErrorKind, Result},
    storage::regular::{self, Links},
};

pub(super) const HEADER: u64 = 32;
pub(super) const FRAME_HEADER: usize = 24;
/// What stands in the place of the checksum of a frame that has none.
const NO_CHECKSUM: [u32; 2] = [0, 0];
/// Bytes read from the WAL at once.
const CHUNK: usize = 1 << 20;

/// A place in the WAL: everything up to and including `frame` has been read. All zeros: before an empty WAL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct WalMark {
    /// Salts of the generation of the WAL.
    pub salts: [u32; 2],
    /// Number of the last frame read, counted from 1.
    pub frame: u32,
    /// Running checksum of that frame.
    pub checksum: [u32; 2],
    /// SQLite's counter of commits at that frame.
    pub change_counter: u32,
}

impl From<&WalPosition> for WalMark {
    fn from(at: &WalPosition) -> Self {
        Self { salts: at.salts, frame: at.frame_max, checksum: at.checksum, change_counter: at.change_counter }
    }
}

impl WalMark {
    /// The place where a read transaction stands; before an empty WAL when there is none.
    pub fn of(at: Option<&WalPosition>) -> Self {
        at.map_or_else(Self::default, Self::from)
    }
}

/// One transaction in the WAL: the last version of every page it changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalCommit {
    /// Its last frame.
    pub last_frame: u32,
    /// Running checksum of that frame.
    pub checksum: [u32; 2],
    /// Pages of the data file after it.
    pub page_count: u32,
    /// Page number and the frame with its last version, sorted by page. Pages beyond `page_count` were written before
    /// the transaction made the file shorter; SQLite would find them again if it grows later.
    pub pages: Vec<(u32, u32)>,
}

/// An open `-wal` file. It carries no locks, so opening and closing it is harmless.
#[derive(Debug)]
pub struct WalFile {
    file: File,
    path: PathBuf,
    page_size: usize,
    chunk: Vec<u8>,
    chunk_first: u32,
    chunk_frames: u32,
}

impl WalFile {
    /// Opens the WAL of the data file at `data_file` (its canonical path).
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn open(data_file: &Path, page_size: u32) -> Result<Self> {
        let path = wal_path(data_file);
        let (file, _) = regular::open(&path, Links::Followed).map_err(|e| Error::io("open", &path, e))?;
        Ok(Self { file, path, page_size: page_size as usize, chunk: Vec::new(), chunk_first: 0, chunk_frames: 0 })
    }

    /// The size of the file in bytes.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn size(&self) -> Result<u64> {
        self.file.metadata().map(|m| m.len()).map_err(|e| Error::io("measure", &self.path, e))
    }

    fn frame_bytes(&self) -> usize {
        FRAME_HEADER + self.page_size
    }

    fn read_exact(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        crate::storage::read_exact_at(&self.file, offset, buffer).map_err(|e| Error::io("read", &self.path, e))
    }

    fn damaged(&self, what: &str) -> Error {
        Error::new(ErrorKind::Damaged, format!("{} is not what SQLite says it is: {what}", self.path.display()))
            .hint("The log goes on with a comparison of the whole data file. If this returns, check the disk.")
    }

    /// Begins to read the frames after `from` up to `to`. When their salts differ, or `from` is zero, reads from frame
    /// 1.
    ///
    /// # Errors
    /// When the header of the WAL contradicts `to`.
    pub fn cursor(&mut self, from: &WalMark, to: &WalPosition) -> Result<FrameCursor> {
        self.chunk_frames = 0;
        let mut header = [0u8; HEADER as usize];
        self.read_exact(0, &mut header)?;
        let salts = [word(&header, 16), word(&header, 20)];
        let sum = checksum(to.big_endian_checksum, [0, 0], &header[..24]);
        if word(&header, 0) != 0x377f_0682 + u32::from(to.big_endian_checksum)
            || salts != to.salts
            || word(&header, 8) as usize != self.page_size
            || sum != [word(&header, 24), word(&header, 28)]
        {
            return Err(self.damaged("its header is another one"));
        }
        let same = from.salts == to.salts && from.frame > 0;
        let (done, running) = if same { (from.frame, from.checksum) } else { (0, sum) };
        let running = (running != NO_CHECKSUM).then_some(running);
        if done > to.frame_max {
            return Err(self.damaged(&format!("it ends at frame {}, before frame {done}", to.frame_max)));
        }
        Ok(FrameCursor {
            next: done + 1,
            last: to.frame_max,
            running,
            salts,
            end: to.checksum,
            big_endian: to.big_endian_checksum,
            bare: 0,
        })
    }

    /// The page in `frame`, which a cursor has verified.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn image(&self, frame: u32, buffer: &mut [u8]) -> Result<()> {
        let size = self.frame_bytes();
        if frame >= self.chunk_first && frame - self.chunk_first < self.chunk_frames {
            let at = (frame - self.chunk_first) as usize * size + FRAME_HEADER;
            buffer.copy_from_slice(&self.chunk[at..at + self.page_size]);
            return Ok(());
        }
        self.read_exact(HEADER + u64::from(frame - 1) * size as u64 + FRAME_HEADER as u64, buffer)
    }

    /// The bytes of `frame`, read together with those that follow it up to `last`.
    fn frame(&mut self, frame: u32, last: u32) -> Result<&[u8]> {
        let size = self.frame_bytes();
        if frame < self.chunk_first || frame - self.chunk_first >= self.chunk_frames {
            let count = (last - frame + 1).min((CHUNK / size).max(1) as u32);
            let mut chunk = std::mem::take(&mut self.chunk);
            chunk.resize(count as usize * size, 0);
            self.chunk_frames = 0;
            let read = self.read_exact(HEADER + u64::from(frame - 1) * size as u64, &mut chunk);
            self.chunk = chunk;
            read?;
            (self.chunk_first, self.chunk_frames) = (frame, count);
        }
        let at = (frame - self.chunk_first) as usize * size;
        Ok(&self.chunk[at..at + size])
    }
}

/// How far a stretch of frames has been read and verified.
#[derive(Debug)]
pub struct FrameCursor {
    next: u32,
    last: u32,
    /// The checksum that the next frame continues; `None` after one that bears none.
    running: Option<[u32; 2]>,
    salts: [u32; 2],
    end: [u32; 2],
    big_endian: bool,
    bare: u32,
}

impl FrameCursor {
    /// How many frames bore no checksum.
    pub fn bare(&self) -> u32 {
        self.bare
    }

    /// The next whole commit, every frame verified; `None` at the end of the stretch.
    ///
    /// # Errors
    /// `Damaged` where salts or checksums do not agree, or the stretch ends inside a commit.
    pub fn next_commit(&mut self, wal: &mut WalFile) -> Result<Option<WalCommit>> {
        let mut pages: Vec<(u32, u32)> = Vec::new();
        while self.next <= self.last {
            let frame = self.next;
            let bytes = wal.frame(frame, self.last)?;
            let (page, page_count) = (word(bytes, 0), word(bytes, 4));
            let salts = [word(bytes, 8), word(bytes, 12)];
            let stored = [word(bytes, 16), word(bytes, 20)];
            // SQLite before 3.44 leaves frames without salts and checksum in a transaction that was spilled and rolled
            // back to a savepoint. The next checksum then continues 0, or that of a frame which the rollback has taken
            // back and which may be overwritten since: only the header of the transaction knows it. Its readers take
            // such frames, and so must whoever records what they see: the transaction vouches for them.
            let is_bare = salts == [0, 0] && stored == NO_CHECKSUM && page != 0;
            self.bare += u32::from(is_bare);
            let continues = self.running.is_none_or(|running| {
                let sum = checksum(self.big_endian, running, &bytes[..8]);
                checksum(self.big_endian, sum, &bytes[FRAME_HEADER..]) == stored
            });
            if page == 0 || !is_bare && (salts != self.salts || !continues) {
                return Err(wal.damaged(&format!("frame {frame} does not continue the one before")));
            }
            let is_last = frame == self.last;
            if is_last && !is_bare && stored != self.end {
                return Err(wal.damaged(&format!("frame {frame} is not the last one of the transaction")));
            }
            // Where the last one bears none, what comes after it continues what the header says.
            let sum = if is_last { self.end } else { stored };
            self.running = (sum != NO_CHECKSUM).then_some(sum);
            self.next += 1;
            pages.push((page, frame));
            if page_count > 0 {
                // Sorted by page, then by frame: of equal pages the last version stands last.
                pages.sort_unstable();
                let mut kept: Vec<(u32, u32)> = Vec::with_capacity(pages.len());
                for entry in pages {
                    match kept.last_mut() {
                        Some(last) if last.0 == entry.0 => *last = entry,
                        _ => kept.push(entry),
                    }
                }
                return Ok(Some(WalCommit { last_frame: frame, checksum: sum, page_count, pages: kept }));
            }
        }
        if pages.is_empty() { Ok(None) } else { Err(wal.damaged("the last commit is not whole")) }
    }
}

pub(super) fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// SQLite's running checksum over pairs of words; `bytes` is a multiple of 8 long.
pub(super) fn checksum(big_endian: bool, seed: [u32; 2], bytes: &[u8]) -> [u32; 2] {
    let [mut a, mut b] = seed;
    let mut add = |x: u32, y: u32| {
        a = a.wrapping_add(x).wrapping_add(b);
        b = b.wrapping_add(y).wrapping_add(a);
    };
    for pair in bytes.chunks_exact(8) {
        let (x, y) = ([pair[0], pair[1], pair[2], pair[3]], [pair[4], pair[5], pair[6], pair[7]]);
        if big_endian {
            add(u32::from_be_bytes(x), u32::from_be_bytes(y));
        } else {
            add(u32::from_le_bytes(x), u32::from_le_bytes(y));
        }
    }
    [a, b]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::{ffi, open_existing};
    use rusqlite::Connection;

    type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

    fn position(path: &Path) -> Result<(Connection, WalPosition)> {
        let reader = open_existing(path)?;
        reader.execute_batch("BEGIN; SELECT * FROM sqlite_schema").map_err(|e| Error::sqlite("read", path, e))?;
        let at = ffi::wal_position(&reader, path)?.ok_or_else(Error::stopped)?;
        Ok((reader, at))
    }

    #[test]
    fn commits_are_read_between_two_places_with_the_last_version_of_each_page() -> Outcome {
        let folder = tempfile::tempdir()?;
        let path = folder.path().canonicalize()?.join("a.sqlite");
        let writer = Connection::open(&path)?;
        writer.execute_batch("PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(x)")?;
        let (_first, from) = position(&path)?;
        let mut wal = WalFile::open(&path, 4096)?;
        let mut cursor = wal.cursor(&WalMark::default(), &from)?;
        let mut count = 0;
        while cursor.next_commit(&mut wal)?.is_some() {
            count += 1;
        }
        assert_eq!(count, from.change_counter);
        // Spills: the same page many times in one transaction.
        writer.execute_batch(
            "PRAGMA cache_size=5; BEGIN; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<500)
             INSERT INTO t SELECT randomblob(900) FROM n; UPDATE t SET x=zeroblob(900) WHERE rowid%7=0; COMMIT;
             INSERT INTO t VALUES(1)",
        )?;
        let (reader, to) = position(&path)?;
        let mut cursor = wal.cursor(&WalMark::from(&from), &to)?;
        let big = cursor.next_commit(&mut wal)?.ok_or("no commit")?;
        let small = cursor.next_commit(&mut wal)?.ok_or("no commit")?;
        assert_eq!(cursor.next_commit(&mut wal)?, None);
        assert!(big.pages.len() > 100 && small.pages.len() == 1 && small.last_frame == to.frame_max);
        assert_eq!(small.page_count, to.page_count);
        let mut image = vec![0; 4096];
        let last: std::collections::BTreeMap<u32, u32> = big.pages.iter().chain(&small.pages).copied().collect();
        for (page, frame) in last {
            wal.image(frame, &mut image)?;
            let held: Vec<u8> =
                reader.query_row("SELECT data FROM sqlite_dbpage('main') WHERE pgno=?1", [page], |r| r.get(0))?;
            assert!(image == held, "page {page}");
        }
        Ok(())
    }

    #[test]
    fn a_changed_byte_in_the_wal_is_noticed() -> Outcome {
        let folder = tempfile::tempdir()?;
        let path = folder.path().canonicalize()?.join("a.sqlite");
        let writer = Connection::open(&path)?;
        writer.execute_batch(
            "PRAGMA page_size=512; PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES(1)",
        )?;
        let (_reader, to) = position(&path)?;
        let good = std::fs::read(wal_path(&path))?;
        let used = 32 + (24 + 512) * to.frame_max as usize;
        for at in (0..used).step_by(13) {
            let mut bytes = good.clone();
            bytes[at] ^= 0x10;
            std::fs::write(wal_path(&path), &bytes)?;
            let mut wal = WalFile::open(&path, 512)?;
            let outcome = wal.cursor(&WalMark::default(), &to).and_then(|mut cursor| {
                while cursor.next_commit(&mut wal)?.is_some() {}
                Ok(())
            });
            assert_eq!(outcome.err().map(|e| e.kind()), Some(ErrorKind::Damaged), "byte {at}");
        }
        std::fs::write(wal_path(&path), &good)?;
        Ok(())
    }
}
