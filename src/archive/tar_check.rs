//! The tar stream of an archive, held against its index: ordinary tools read the one, we the other, and both must give
//! the same.

use std::path::Path;

use super::{Archive, Item, ItemKind, tar_stream::entry_type};
use crate::error::{Error, ErrorKind, Result};

/// No honest header is longer, with the blocks that a long name takes.
const BETWEEN_MAX: usize = 64 * 1024;

/// Follows the tar stream, or a stretch of it: what stands between contents must be the header that the index implies.
pub struct TarCheck<'a> {
    archive: &'a Archive,
    next: usize,
    /// Of the present content, where it is to be proven here.
    hasher: Option<blake3::Hasher>,
    between: Vec<u8>,
    /// Bytes after the last content.
    ending: usize,
}

impl<'a> TarCheck<'a> {
    /// Of the whole stream, contents included.
    pub fn of_all(archive: &'a Archive) -> Self {
        Self { hasher: Some(blake3::Hasher::new()), ..Self::from(archive, 0) }
    }

    /// Of the headers alone, from item number `next` on: of a stretch that begins where [`header_at`](Self::header_at)
    /// says, or with the content of that item.
    pub fn from(archive: &'a Archive, next: usize) -> Self {
        Self { archive, next, hasher: None, between: Vec::new(), ending: 0 }
    }

    /// Where the header of item number `number` begins, with the padding before it.
    pub fn header_at(archive: &Archive, number: usize) -> u64 {
        let before = number.checked_sub(1).and_then(|before| archive.items().get(before));
        before.map_or(0, |item| item.offset.saturating_add(item.length))
    }

    /// Takes the bytes of the stream at `offset`, which follow those before.
    ///
    /// # Errors
    /// `Damaged` with the name of the first item about which stream and index disagree.
    pub fn take(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.follow(offset, bytes).map_err(|name| disagreement(self.archive.path(), &name))
    }

    /// To be called at the end of the whole stream.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub fn finish(&self) -> Result<()> {
        self.end().map_err(|name| disagreement(self.archive.path(), &name))
    }

    fn follow(&mut self, mut offset: u64, mut bytes: &[u8]) -> Result<(), String> {
        while !bytes.is_empty() {
            let Some(item) = self.archive.items().get(self.next) else {
                // Padding of the last file and the end marks.
                let zero = bytes.iter().all(|b| *b == 0);
                self.ending += bytes.len();
                return if zero { Ok(()) } else { Err("its end".to_owned()) };
            };
            if offset < item.offset {
                let n = (item.offset - offset).min(bytes.len() as u64) as usize;
                self.between.extend(&bytes[..n]);
                if self.between.len() > BETWEEN_MAX {
                    return Err(item.name.clone());
                }
                (offset, bytes) = (offset + n as u64, &bytes[n..]);
                if offset == item.offset {
                    self.check_header(item)?;
                }
            } else {
                let n = (item.offset + item.length - offset).min(bytes.len() as u64) as usize;
                if let Some(hasher) = &mut self.hasher {
                    hasher.update(&bytes[..n]);
                }
                (offset, bytes) = (offset + n as u64, &bytes[n..]);
            }
            self.close_if_complete(offset)?;
        }
        Ok(())
    }

    fn close_if_complete(&mut self, offset: u64) -> Result<(), String> {
        while let Some(item) = self.archive.items().get(self.next)
            && offset >= item.offset + item.length
        {
            if let Some(hasher) = &mut self.hasher {
                // Folders and links have no content: a restore looks at no checksum of theirs, and neither does this.
                let has_content = !matches!(item.kind, ItemKind::Folder | ItemKind::Link);
                if has_content && hasher.finalize().to_hex().as_str() != item.blake3 {
                    return Err(item.name.clone());
                }
                hasher.reset();
            }
            self.next += 1;
            // Every file has a header of at least one block before its content.
            if let Some(next) = self.archive.items().get(self.next)
                && next.offset < item.offset + item.length + 512
            {
                return Err(next.name.clone());
            }
        }
        Ok(())
    }

    fn check_header(&mut self, item: &Item) -> Result<(), String> {
        // Between two contents: padding to a whole block, then header blocks.
        let headers = self.between.len() / 512 * 512;
        let (padding, blocks) = self.between.split_at(self.between.len() - headers);
        let mut archive = tar::Archive::new(blocks);
        let agrees =
            archive.entries().ok().and_then(|mut e| e.next()).and_then(std::result::Result::ok).is_some_and(|e| {
                e.raw_file_position() == blocks.len() as u64
                    && e.size() == item.length
                    && e.path_bytes().as_ref() == item.name.as_bytes()
                    && e.header().entry_type() == entry_type(item.kind)
                    && is_target(&e, item)
            });
        let zero = padding.iter().all(|b| *b == 0);
        self.between.clear();
        if agrees && zero { Ok(()) } else { Err(item.name.clone()) }
    }

    fn end(&self) -> Result<(), String> {
        match self.archive.items().get(self.next) {
            Some(item) => Err(item.name.clone()),
            // Two empty blocks end a tar archive.
            None if self.ending < 1024 => Err("its end".to_owned()),
            None => Ok(()),
        }
    }
}

fn disagreement(archive: &Path, name: &str) -> Error {
    let message = format!("the tar stream of {} and its index disagree about {name}", archive.display());
    Error::new(ErrorKind::Damaged, message)
        .about(archive)
        .hint("Use another archive of this data file; this one was not written by Strongroom as it is.")
}

/// Whether a link leads where the index says; what is no link leads nowhere.
fn is_target<R: std::io::Read>(entry: &tar::Entry<'_, R>, item: &Item) -> bool {
    let found = entry.link_name().ok().flatten();
    found.as_deref() == item.target.as_deref().map(Path::new)
}
