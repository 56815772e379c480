//! Writing an archive: a tar stream cut into frames, compressed on all cores, written in order, read back, then named.

use std::{
    cell::RefCell,
    collections::VecDeque,
    path::{Path, PathBuf},
    time::Instant,
};

use super::{
    format::{self, FRAME_LENGTH, FrameEntry, Hash, Identity, Index, Item, ItemKind, Tail},
    pipeline,
    reader::{Archive, safe_name},
};
use crate::{
    control::{Control, Phase},
    error::{Error, ErrorKind, Result},
    storage::{self, Ownership, PART_SUFFIX, Storage, StorageFile},
};

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
}

/// Content for one file of an archive.
pub trait Source: Send {
    /// Whether there is a file at all; one that vanished meanwhile is passed over. Called once, first.
    ///
    /// # Errors
    /// When that can not be told.
    fn is_there(&mut self) -> Result<bool> {
        Ok(true)
    }

    /// Describes the file; `done` are the items before it, with their checksums. Called once, before
    /// any byte is read.
    ///
    /// # Errors
    /// When there is nothing to read any more.
    fn entry(&mut self, done: &[Item]) -> Result<Entry>;

    /// Fills `buffer` with the next bytes.
    ///
    /// # Errors
    /// When they can not be read.
    fn read(&mut self, buffer: &mut [u8]) -> Result<()>;
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

/// What was written.
#[derive(Debug, Clone)]
pub struct Written {
    /// Where the archive is now.
    pub path: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
    /// Length of the tar stream in bytes.
    pub tar_bytes: u64,
    /// Its files.
    pub items: Vec<Item>,
    /// Time spent copying, in milliseconds.
    pub copying_ms: u64,
    /// Time spent syncing and reading back, in milliseconds.
    pub verifying_ms: u64,
}

/// How hard to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level(pub i32);

impl Level {
    /// The compression rate *Fast*.
    pub const FAST: Self = Self(1);
}

/// Writes the archive `target` from `sources`: under a temporary name, synced, read back and proven, then named.
///
/// `estimate` is the length of the tar stream as far as known, for the progress.
///
/// # Errors
/// Whatever fails; then nothing carries the final name, and the temporary file is removed as far as the disk allows.
#[expect(clippy::too_many_arguments, reason = "each is one independent fact of the archive")]
pub fn write(
    storage: &dyn Storage,
    target: &Path,
    ownership: Ownership,
    identity: &Identity,
    sources: Vec<Box<dyn Source + '_>>,
    level: Level,
    estimate: u64,
    control: &Control,
) -> Result<Written> {
    storage::refuse_existing(target)?;
    let mut part = target.as_os_str().to_owned();
    part.push(PART_SUFFIX);
    let part = PathBuf::from(part);
    let mut file = storage.create(&part, ownership)?;
    let written = write_part(storage, file.as_mut(), &part, target, identity, sources, level, estimate, control);
    drop(file);
    if written.is_err() {
        storage.discard(&part);
    }
    written
}

#[expect(clippy::too_many_arguments, reason = "the private half of write(), split off only for its clean-up")]
fn write_part(
    storage: &dyn Storage,
    file: &mut dyn StorageFile,
    part: &Path,
    target: &Path,
    identity: &Identity,
    sources: Vec<Box<dyn Source + '_>>,
    level: Level,
    estimate: u64,
    control: &Control,
) -> Result<Written> {
    let begun = Instant::now();
    control.phase(Phase::Copying, estimate);
    let (head, head_hash) = format::encode_head(identity)?;
    file.write_all(&head)?;
    let mut at = head.len() as u64;
    let (spare_in, spare) = crossbeam_channel::unbounded::<Vec<u8>>();
    let mut stream = TarStream::new(sources);
    let mut frames = Vec::new();
    pipeline::run(
        || {
            control.check()?;
            stream.next_chunk(spare.try_recv().unwrap_or_default())
        },
        |raw: Vec<u8>| {
            let stored = compress(&raw, level)?;
            let hash = *blake3::hash(&stored).as_bytes();
            Ok((raw, stored, hash))
        },
        |(raw, stored, hash): (Vec<u8>, Vec<u8>, Hash)| {
            file.write_all(&stored)?;
            let entry = FrameEntry { offset: at, stored: stored.len() as u32, raw: raw.len() as u32, hash };
            at += stored.len() as u64;
            frames.push(entry);
            control.add(raw.len() as u64);
            // The maker may be gone already; then the buffer is simply freed.
            let _ = spare_in.send(raw);
            Ok(())
        },
    )?;
    let copying_ms = begun.elapsed().as_millis() as u64;
    let tar_bytes = stream.position;
    let index = Index { frames, items: stream.items };
    let (index_frame, index_hash) = format::encode_index(&index)?;
    file.write_all(&index_frame)?;
    let length = at + index_frame.len() as u64 + format::TAIL_LENGTH;
    let whole = format::whole_hash(&head_hash, &index.frames, &index_hash);
    file.write_all(&format::encode_tail(&Tail { index_offset: at, length, tar_length: tar_bytes, whole }))?;
    file.sync()?;
    control.phase(Phase::Verifying, at);
    let archive = Archive::open(part)?;
    if archive.identity() != identity || archive.items() != index.items || archive.bytes() != length {
        let message = format!("{} does not read back as it was written", part.display());
        return Err(Error::new(ErrorKind::Damaged, message)
            .hint("The disk or the memory of this machine may be failing. Choose another disk and try again."));
    }
    archive.prove_stored(control)?;
    control.phase(Phase::Finishing, 0);
    storage.rename_new(part, target)?;
    if let Err(error) = storage.sync_folder(storage::folder_of(target)) {
        // A backup that is reported as failed must not leave a file under an archive's name.
        let _ = storage.remove(target);
        return Err(error);
    }
    Ok(Written {
        path: target.to_path_buf(),
        bytes: length,
        tar_bytes,
        items: index.items,
        copying_ms,
        verifying_ms: begun.elapsed().as_millis() as u64 - copying_ms,
    })
}

/// One independent zstd frame with content size and checksum.
fn compress(raw: &[u8], level: Level) -> Result<Vec<u8>> {
    thread_local! {
        // A context costs more to make than a frame to compress.
        static CONTEXT: RefCell<Option<(Level, zstd::bulk::Compressor<'static>)>> = const { RefCell::new(None) };
    }
    let fail = |e| Error::new(ErrorKind::Io, "the data can not be compressed").because(e);
    CONTEXT.with_borrow_mut(|context| {
        if context.as_ref().is_none_or(|(made_for, _)| *made_for != level) {
            let mut made = zstd::bulk::Compressor::new(level.0).map_err(fail)?;
            made.include_checksum(true).map_err(fail)?;
            *context = Some((level, made));
        }
        match context {
            Some((_, compressor)) => compressor.compress(raw).map_err(fail),
            None => Err(Error::stopped()),
        }
    })
}

/// The length of `raw` when stored as a frame, for estimates.
///
/// # Errors
/// When zstd fails.
pub fn compressed_length(raw: &[u8], level: Level) -> Result<usize> {
    compress(raw, level).map(|stored| stored.len())
}

/// The tar stream over all sources, in chunks of exactly one frame but the last.
struct TarStream<'a> {
    waiting: VecDeque<Box<dyn Source + 'a>>,
    current: Option<Current<'a>>,
    /// Headers, padding and the end marks, still to be delivered.
    overhead: VecDeque<u8>,
    items: Vec<Item>,
    position: u64,
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
    fn new(sources: Vec<Box<dyn Source + 'a>>) -> Self {
        Self {
            waiting: sources.into(),
            current: None,
            overhead: VecDeque::new(),
            items: Vec::new(),
            position: 0,
            ended: false,
        }
    }

    /// The next chunk in `chunk`'s memory, or `None` at the end.
    fn next_chunk(&mut self, mut chunk: Vec<u8>) -> Result<Option<Vec<u8>>> {
        chunk.resize(FRAME_LENGTH, 0);
        let mut filled = 0;
        while filled < FRAME_LENGTH {
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
        |e| Error::new(ErrorKind::UnsafePath, format!("{:?} can not be named in an archive", entry.name)).because(e);
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
