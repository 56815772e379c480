//! The tar stream of an archive: headers and contents of its files, cut into chunks of equal length.

use std::collections::VecDeque;

use super::{
    format::{Item, ItemKind},
    reader::safe_name,
};
use crate::error::{Error, ErrorKind, Result};

/// What a tar entry is before its content is known.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Relative path with `/`.
    pub name: String,
    /// What it is.
    pub kind: ItemKind,
    /// Length of the content in bytes; a source delivers exactly this.
    pub length: u64,
    /// Permission bits.
    pub mode: u32,
    /// Last modification, in seconds since 1970 UTC.
    pub modified: i64,
    /// Numeric user and group.
    pub owner: Option<(u32, u32)>,
    /// Where a symbolic link leads.
    pub target: Option<String>,
    /// Of the description of the archive: how many of the chosen files are not in it, or not whole.
    pub not_whole: Option<u64>,
    /// The path as the file had it, in hexadecimal digits, where the name cannot hold it.
    pub original: Option<String>,
}

/// Content for one file of an archive.
pub trait Source: Send {
    /// Whether there is a file at all; one that vanished meanwhile is passed over. Called once, first.
    ///
    /// # Errors
    /// When that cannot be told.
    fn is_there(&mut self) -> Result<bool> {
        Ok(true)
    }

    /// Describes the file; `done` are the items before it, with their checksums. Called once, before any byte is read.
    ///
    /// # Errors
    /// When there is nothing to read any more.
    fn entry(&mut self, done: &[Item]) -> Result<Entry>;

    /// Fills `buffer` with the next bytes.
    ///
    /// # Errors
    /// When they cannot be read.
    fn read(&mut self, buffer: &mut [u8]) -> Result<()>;

    /// Files that belong to this one, and come right after it. Called once, after [`entry`](Self::entry).
    fn following(&mut self) -> Vec<Box<dyn Source>> {
        Vec::new()
    }
}

/// Small content made while the archive is written.
pub struct TextSource<F: FnMut(&[Item]) -> Result<String> + Send> {
    make: F,
    entry: Entry,
    text: Vec<u8>,
    read: usize,
}

impl<F: FnMut(&[Item]) -> Result<String> + Send> TextSource<F> {
    /// A file like `entry`, whose text comes from `make` when its turn comes; the length is filled in then.
    pub fn new(entry: Entry, make: F) -> Self {
        Self { make, entry, text: Vec::new(), read: 0 }
    }
}

impl<F: FnMut(&[Item]) -> Result<String> + Send> Source for TextSource<F> {
    fn entry(&mut self, done: &[Item]) -> Result<Entry> {
        self.text = (self.make)(done)?.into_bytes();
        self.entry.length = self.text.len() as u64;
        Ok(self.entry.clone())
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<()> {
        buffer.copy_from_slice(&self.text[self.read..self.read + buffer.len()]);
        self.read += buffer.len();
        Ok(())
    }
}

/// The tar stream over all sources, in chunks of exactly one frame but the last.
pub(super) struct TarStream<'a> {
    /// Length of every chunk but the last.
    frame_length: usize,
    waiting: VecDeque<Box<dyn Source + 'a>>,
    current: Option<Current<'a>>,
    /// Headers, padding and the end marks, still to be delivered.
    overhead: VecDeque<u8>,
    pub(super) items: Vec<Item>,
    pub(super) position: u64,
    ended: bool,
}

struct Current<'a> {
    source: Box<dyn Source + 'a>,
    entry: Entry,
    offset: u64,
    left: u64,
    hasher: blake3::Hasher,
}

impl<'a> TarStream<'a> {
    pub(super) fn new(sources: Vec<Box<dyn Source + 'a>>, frame_length: usize) -> Self {
        Self {
            frame_length,
            waiting: sources.into(),
            current: None,
            overhead: VecDeque::new(),
            items: Vec::new(),
            position: 0,
            ended: false,
        }
    }

    /// The next chunk in `chunk`'s memory, or `None` at the end.
    pub(super) fn next_chunk(&mut self, mut chunk: Vec<u8>) -> Result<Option<Vec<u8>>> {
        chunk.resize(self.frame_length, 0);
        let mut filled = 0;
        while filled < self.frame_length {
            let space = &mut chunk[filled..];
            let n = if !self.overhead.is_empty() {
                let n = space.len().min(self.overhead.len());
                space.iter_mut().zip(self.overhead.drain(..n)).for_each(|(to, from)| *to = from);
                n
            } else if let Some(current) = &mut self.current {
                let n = (space.len() as u64).min(current.left) as usize;
                current.source.read(&mut space[..n])?;
                current.hasher.update(&space[..n]);
                current.left -= n as u64;
                if current.left == 0 {
                    self.close_item();
                }
                n
            } else if let Some(source) = self.waiting.pop_front() {
                self.begin_item(source, self.position + filled as u64)?;
                0
            } else if !self.ended {
                // Two empty blocks end a tar archive.
                self.overhead.extend([0; 1024]);
                self.ended = true;
                0
            } else {
                break;
            };
            filled += n;
        }
        self.position += filled as u64;
        chunk.truncate(filled);
        Ok((filled > 0).then_some(chunk))
    }

    fn begin_item(&mut self, mut source: Box<dyn Source + 'a>, at: u64) -> Result<()> {
        if !source.is_there()? {
            return Ok(());
        }
        let entry = source.entry(&self.items)?;
        source.following().into_iter().rev().for_each(|next| self.waiting.push_front(next));
        let header = tar_header(&entry)?;
        let offset = at + header.len() as u64;
        self.overhead.extend(header);
        let left = entry.length;
        self.current = Some(Current { source, entry, offset, left, hasher: blake3::Hasher::new() });
        if left == 0 {
            self.close_item();
        }
        Ok(())
    }

    fn close_item(&mut self) {
        let Some(Current { entry, offset, hasher, .. }) = self.current.take() else { return };
        let padding = (512 - entry.length % 512) % 512;
        self.overhead.extend(std::iter::repeat_n(0u8, padding as usize));
        self.items.push(Item {
            name: entry.name,
            kind: entry.kind,
            offset,
            length: entry.length,
            blake3: hasher.finalize().to_hex().to_string(),
            mode: entry.mode,
            modified: entry.modified,
            owner: entry.owner,
            target: entry.target,
            not_whole: entry.not_whole,
            original: entry.original,
        });
    }
}

/// How tar calls it.
pub fn entry_type(kind: ItemKind) -> tar::EntryType {
    match kind {
        ItemKind::Folder => tar::EntryType::Directory,
        ItemKind::Link => tar::EntryType::Symlink,
        _ => tar::EntryType::Regular,
    }
}

/// The header blocks of one entry, with the extra blocks that GNU tar uses for long names.
fn tar_header(entry: &Entry) -> Result<Vec<u8>> {
    let path = safe_name(&entry.name)?;
    let fail =
        |e| Error::new(ErrorKind::UnsafePath, format!("{:?} cannot be named in an archive", entry.name)).because(e);
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(entry_type(entry.kind));
    header.set_size(entry.length);
    header.set_mode(entry.mode);
    header.set_mtime(entry.modified.max(0) as u64);
    if let Some((user, group)) = entry.owner {
        header.set_uid(u64::from(user));
        header.set_gid(u64::from(group));
    }
    let mut builder = tar::Builder::new(Vec::new());
    match &entry.target {
        Some(target) => builder.append_link(&mut header, path, target).map_err(fail)?,
        None => builder.append_data(&mut header, path, std::io::empty()).map_err(fail)?,
    }
    let mut bytes = builder.into_inner().map_err(fail)?;
    // The builder ends the archive with two empty blocks; ours goes on.
    bytes.truncate(bytes.len() - 1024);
    Ok(bytes)
}
