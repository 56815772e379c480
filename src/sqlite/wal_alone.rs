//! A `-wal` that nobody vouches for: its data file is damaged, and is not opened with SQLite.
//!
//! What counts is what SQLite itself takes when it comes to a WAL without an index: frames in order whose salts are
//! those of the header and whose checksums continue each other, up to the last one that ends a commit.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufReader, ErrorKind, Read},
    path::{Path, PathBuf},
};

use super::{
    snapshot::wal_path,
    wal::{FRAME_HEADER, HEADER, checksum, word},
};
use crate::{
    error::{Error, Result},
    storage::{
        read_exact_at,
        regular::{self, Links},
    },
};

/// What was committed to a `-wal`.
#[derive(Debug)]
pub struct Committed {
    file: File,
    path: PathBuf,
    page_size: usize,
    page_count: u32,
    /// Where the last version of each page lies.
    pages: HashMap<u32, u64>,
}

impl Committed {
    /// Reads the `-wal` beside `data_file`; `None` where there is none, or nothing was committed to it.
    ///
    /// # Errors
    /// Those of the disk; `WrongType` where it is no ordinary file.
    pub fn read(data_file: &Path) -> Result<Option<Self>> {
        let path = wal_path(data_file);
        let file = match regular::open(&path, Links::Followed) {
            Ok((file, _)) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("open", &path, e)),
        };
        let fail = |e| Error::io("read", &path, e);
        let mut from = BufReader::with_capacity(1 << 20, &file);
        let mut header = [0u8; HEADER as usize];
        if !filled(&mut from, &mut header).map_err(fail)? {
            return Ok(None);
        }
        let big_endian = word(&header, 0) & 1 == 1;
        let page_size = word(&header, 8) as usize;
        let mut running = checksum(big_endian, [0, 0], &header[..24]);
        let is_sound = word(&header, 0) & !1 == 0x377f_0682
            && page_size.is_power_of_two()
            && (512..=1 << 16).contains(&page_size)
            && running == [word(&header, 24), word(&header, 28)];
        if !is_sound {
            return Ok(None);
        }
        let salts = header[16..24].to_vec();
        let mut frame = vec![0u8; FRAME_HEADER + page_size];
        let (mut pages, mut pending, mut page_count) = (HashMap::new(), Vec::new(), 0);
        let mut at = HEADER;
        while filled(&mut from, &mut frame).map_err(fail)? {
            let (page, count) = (word(&frame, 0), word(&frame, 4));
            let sum = checksum(big_endian, running, &frame[..8]);
            running = checksum(big_endian, sum, &frame[FRAME_HEADER..]);
            if page == 0 || frame[8..16] != salts || running != [word(&frame, 16), word(&frame, 20)] {
                break;
            }
            pending.push((page, at + FRAME_HEADER as u64));
            if count > 0 {
                pages.extend(pending.drain(..));
                page_count = count;
            }
            at += frame.len() as u64;
        }
        drop(from);
        Ok((page_count > 0).then_some(Self { file, path, page_size, page_count, pages }))
    }

    /// Bytes of a page.
    pub fn page_size(&self) -> usize {
        self.page_size
    }

    /// Pages of the data file after the last commit.
    pub fn page_count(&self) -> u32 {
        self.page_count
    }

    /// How many pages it holds.
    pub fn len(&self) -> u64 {
        self.pages.len() as u64
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// The last version of a page; `None` where it holds none.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn page(&self, number: u32) -> Result<Option<Vec<u8>>> {
        let Some(at) = self.pages.get(&number) else { return Ok(None) };
        let mut image = vec![0; self.page_size];
        read_exact_at(&self.file, *at, &mut image).map_err(|e| Error::io("read", &self.path, e))?;
        Ok(Some(image))
    }
}

/// What was committed to the `-wal` beside `data_file` and cannot be read any more, as a whole sentence; `None` where
/// nothing speaks for that. Frames behind the last one that counts, with its salts, are what a rolled back transaction
/// leaves, too; one of a restarted WAL has other salts.
pub fn doubt(data_file: &Path) -> Option<String> {
    let path = wal_path(data_file);
    let (file, meta) = regular::open(&path, Links::Followed).ok()?;
    if meta.len() == 0 {
        return None;
    }
    let mut header = [0u8; HEADER as usize];
    let is_read = read_exact_at(&file, 0, &mut header).is_ok();
    let big_endian = word(&header, 0) & 1 == 1;
    let is_sound = word(&header, 0) & !1 == 0x377f_0682
        && checksum(big_endian, [0, 0], &header[..24]) == [word(&header, 24), word(&header, 28)];
    if !is_read || !is_sound {
        return Some(format!("The header of {} is damaged: what was committed to it was not read.", path.display()));
    }
    let length = FRAME_HEADER + word(&header, 8) as usize;
    let (mut running, mut at) = ([word(&header, 24), word(&header, 28)], HEADER);
    let (mut frame, mut is_broken) = (vec![0u8; length], false);
    while at + length as u64 <= meta.len() && read_exact_at(&file, at, &mut frame).is_ok() {
        let is_of_it = frame[8..16] == header[16..24];
        running = checksum(big_endian, checksum(big_endian, running, &frame[..8]), &frame[FRAME_HEADER..]);
        let goes_on = is_of_it && running == [word(&frame, 16), word(&frame, 20)];
        is_broken |= !goes_on;
        if is_broken && is_of_it {
            return Some(format!(
                "{} does not go on at byte {at}, though more of it follows: it is damaged there, or a transaction \
                 was rolled back. Commits after that place were not read.",
                path.display()
            ));
        }
        at += length as u64;
    }
    None
}

/// Fills a buffer; false where less is left.
fn filled(from: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<bool> {
    match from.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn what_was_committed_is_read_and_what_was_not_is_left_out() -> Outcome {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a.sqlite");
        let conn = Connection::open(&path)?;
        conn.execute_batch(
            "PRAGMA page_size=1024; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(x)",
        )?;
        conn.execute_batch("INSERT INTO t VALUES('first'); INSERT INTO t VALUES('second')")?;
        let committed = std::fs::read(wal_path(&path))?.len();
        // Spilled to the WAL before it is committed.
        conn.execute_batch("PRAGMA cache_size=1; BEGIN; INSERT INTO t VALUES(zeroblob(90000))")?;
        assert!(std::fs::read(wal_path(&path))?.len() > committed);
        let copy = folder.path().join("b.sqlite");
        std::fs::copy(&path, &copy)?;
        std::fs::copy(wal_path(&path), wal_path(&copy))?;
        let found = Committed::read(&copy)?.ok_or("nothing was read")?;
        assert_eq!((found.page_size(), found.page_count(), found.len()), (1024, 2, 2));
        let page = found.page(2)?.ok_or("no page")?;
        assert!(page.windows(6).any(|bytes| bytes == b"second") && found.page(3)?.is_none());
        // From a changed byte on, nothing counts.
        let mut bytes = std::fs::read(wal_path(&copy))?;
        let last = committed - 100;
        bytes[last] ^= 1;
        std::fs::write(wal_path(&copy), &bytes)?;
        let page = Committed::read(&copy)?.ok_or("nothing was read")?.page(2)?.ok_or("no page")?;
        assert!(!page.windows(6).any(|bytes| bytes == b"second"));
        bytes[20] ^= 1;
        std::fs::write(wal_path(&copy), &bytes)?;
        assert!(Committed::read(&copy)?.is_none() && Committed::read(&folder.path().join("c"))?.is_none());
        Ok(())
    }
}
