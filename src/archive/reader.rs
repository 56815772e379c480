//! Reading an archive: every byte that leaves here has been proven by its checksum.
//!
//! An archive is untrusted input. Lengths are checked before memory is taken for them, a frame is decompressed only after
//! its checksum agreed and never beyond the length the index promises, and names are checked by [`safe_name`].

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use super::{
    format::{self, FRAME_LENGTH, Flaw, FrameEntry, Hash, Identity, Index, Item, TAIL_LENGTH, Tail},
    pipeline,
};
use crate::{
    control::Control,
    error::{Error, ErrorKind, Result},
    storage::refuse_data_file,
};

/// An archive whose header, index and end were proven.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    file: File,
    identity: Identity,
    head_hash: Hash,
    index: Index,
    index_hash: Hash,
    tail: Tail,
}

impl Archive {
    /// Opens the archive at `path` and proves everything but its data frames.
    ///
    /// # Errors
    /// Says what is wrong: gone, not an archive, newer, cut off, or which part is damaged.
    pub fn open(path: &Path) -> Result<Self> {
        let (mut file, length) = open_file(path)?;
        let (identity, head_hash, head_length) = read_head(path, &mut file)?;
        let tail = read_tail(path, &mut file, length, head_length)?;
        let frame = read_index(path, &mut file, &tail)?;
        let (index, index_hash) =
            format::decode_index(&frame, head_length, &tail).map_err(|flaw| flaw_error(path, flaw))?;
        if format::whole_hash(&head_hash, &index.frames, &index_hash) != tail.whole {
            return Err(flaw_error(path, Flaw::Damaged("end")));
        }
        for item in &index.items {
            safe_name(&item.name)
                .map_err(|e| e.hint(format!("Do not trust {}: it was not made by Strongroom.", path.display())))?;
        }
        Ok(Self { path: path.to_path_buf(), file, identity, head_hash, index, index_hash, tail })
    }

    /// Reads only the header and the end: enough for a list.
    ///
    /// # Errors
    /// As [`open`](Self::open), as far as these two parts show it.
    pub fn glance(path: &Path) -> Result<Identity> {
        let (mut file, length) = open_file(path)?;
        let (identity, _, head_length) = read_head(path, &mut file)?;
        read_tail(path, &mut file, length, head_length)?;
        Ok(identity)
    }

    /// What the archive says of itself.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Its files, in the order of the tar stream.
    pub fn items(&self) -> &[Item] {
        &self.index.items
    }

    /// Length of the archive in bytes.
    pub fn bytes(&self) -> u64 {
        self.tail.length
    }

    /// Length of the tar stream in bytes.
    pub fn tar_bytes(&self) -> u64 {
        self.tail.tar_length
    }

    /// How many bytes of the archive hold the tar stream between `from` and `to`: whole frames, and parts of them pro rata.
    pub fn stored_bytes(&self, from: u64, to: u64) -> u64 {
        let part = |(number, frame): (usize, &FrameEntry)| {
            let start = number as u64 * FRAME_LENGTH as u64;
            let end = start + u64::from(frame.raw);
            let inside = end.min(to).saturating_sub(start.max(from));
            u64::from(frame.stored) * inside / u64::from(frame.raw).max(1)
        };
        self.index.frames.iter().enumerate().map(part).sum()
    }

    /// Where the archive is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Delivers the proven tar stream between `from` and `to` in order to `sink`, with the offset of each piece.
    ///
    /// Frames are read ahead, proven and decompressed on all cores, with bounded memory.
    ///
    /// # Errors
    /// `Damaged` at the first frame that does not agree with its checksum, naming the items it carries; what `sink`
    /// reports; `Stopped`.
    pub fn stream(
        &self,
        from: u64,
        to: u64,
        control: &Control,
        sink: &mut dyn FnMut(u64, &[u8]) -> Result<()>,
    ) -> Result<()> {
        // Frames are of equal length except the last, so their numbers follow from offsets.
        let first = (from / FRAME_LENGTH as u64) as usize;
        let last = (to.div_ceil(FRAME_LENGTH as u64) as usize).min(self.index.frames.len());
        let mut file = self.file.try_clone().map_err(|e| Error::io("read", &self.path, e))?;
        let entries: Vec<(usize, FrameEntry)> = (first..last).map(|n| (n, self.index.frames[n])).collect();
        let mut entries = entries.into_iter();
        let index = Arc::new(self.index.clone());
        let path: Arc<Path> = Arc::from(self.path.as_path());
        pipeline::run(
            || {
                control.check()?;
                let Some((number, entry)) = entries.next() else { return Ok(None) };
                let stored = read_part(&self.path, &mut file, entry.offset, u64::from(entry.stored))?;
                Ok(Some((number, entry, stored)))
            },
            move |(number, entry, stored): (usize, FrameEntry, Vec<u8>)| {
                let raw = prove_frame(&entry, &stored).ok_or_else(|| frame_error(&path, &index, number))?;
                Ok((number as u64 * FRAME_LENGTH as u64, raw))
            },
            |(offset, raw): (u64, Vec<u8>)| {
                let start = from.saturating_sub(offset).min(raw.len() as u64) as usize;
                let end = (to - offset.min(to)).min(raw.len() as u64) as usize;
                if start < end { sink(offset + start as u64, &raw[start..end]) } else { Ok(()) }
            },
        )
    }

    /// Proves the stored bytes of every data frame, without decompressing: what a finished backup does at once.
    ///
    /// # Errors
    /// `Damaged` at the first frame whose bytes are not those that were written.
    pub fn prove_stored(&self, control: &Control) -> Result<()> {
        let mut file = self.file.try_clone().map_err(|e| Error::io("read", &self.path, e))?;
        file.seek(SeekFrom::Start(0)).map_err(|e| Error::io("read", &self.path, e))?;
        for (number, entry) in self.index.frames.iter().enumerate() {
            control.check()?;
            let stored = read_part(&self.path, &mut file, entry.offset, u64::from(entry.stored))?;
            if blake3::hash(&stored).as_bytes() != &entry.hash {
                return Err(frame_error(&self.path, &self.index, number));
            }
            control.add(u64::from(entry.stored));
        }
        debug_assert_eq!(format::whole_hash(&self.head_hash, &self.index.frames, &self.index_hash), self.tail.whole);
        Ok(())
    }
}

/// A frame's content, if its stored bytes agree with the checksum and decompress to exactly the promised length.
fn prove_frame(entry: &FrameEntry, stored: &[u8]) -> Option<Vec<u8>> {
    if blake3::hash(stored).as_bytes() != &entry.hash {
        return None;
    }
    let raw = zstd::bulk::decompress(stored, entry.raw as usize).ok()?;
    (raw.len() == entry.raw as usize).then_some(raw)
}

/// Refuses names that could leave the folder they are restored into, or that no file should have.
///
/// # Errors
/// [`ErrorKind::UnsafePath`] for absolute paths, `..`, backslashes, drive letters, control characters and empty parts.
pub fn safe_name(name: &str) -> Result<PathBuf> {
    let path = Path::new(name);
    let ordinary = path.components().all(|c| matches!(c, Component::Normal(_)));
    let strange = name.chars().any(|c| c == '\\' || c == ':' && cfg!(windows) || c.is_control());
    if name.is_empty() || name.len() > 4096 || !ordinary || strange || name.split('/').any(|p| p.is_empty() || p == ".")
    {
        return Err(Error::new(
            ErrorKind::UnsafePath,
            format!("the archive holds a file with the unsafe name {name:?}"),
        ));
    }
    Ok(path.to_path_buf())
}

fn open_file(path: &Path) -> Result<(File, u64)> {
    let fail = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound => Error::new(ErrorKind::NotFound, format!("{} does not exist", path.display()))
            .hint("Check the path. The archive may have been moved, or its disk is not connected."),
        _ => Error::io("open", path, e),
    };
    let meta = std::fs::metadata(path).map_err(fail)?;
    if !meta.is_file() {
        return Err(Error::new(ErrorKind::WrongType, format!("{} is not a file", path.display()))
            .hint("Choose an archive; its name ends in .4BK."));
    }
    refuse_data_file(path)?;
    Ok((File::open(path).map_err(fail)?, meta.len()))
}

fn read_head(path: &Path, file: &mut File) -> Result<(Identity, Hash, u64)> {
    let mut start = Vec::new();
    file.take(24).read_to_end(&mut start).map_err(|e| Error::io("read", path, e))?;
    let length = format::head_length(&start).map_err(|flaw| flaw_error(path, flaw))?;
    let frame = read_part(path, file, 0, length as u64)?;
    let (identity, hash) = format::decode_head(&frame).map_err(|flaw| flaw_error(path, flaw))?;
    Ok((identity, hash, length as u64))
}

fn read_tail(path: &Path, file: &mut File, length: u64, head_length: u64) -> Result<Tail> {
    if length < head_length + TAIL_LENGTH {
        return Err(cut_off(path));
    }
    let frame = read_part(path, file, length - TAIL_LENGTH, TAIL_LENGTH)?;
    format::decode_tail(&frame, length).map_err(|_| cut_off(path))
}

/// Reads INDX, and sees that nothing but further skippable frames stands between it and TAIL.
fn read_index(path: &Path, file: &mut File, tail: &Tail) -> Result<Vec<u8>> {
    let end = tail.length - TAIL_LENGTH;
    let mut at = tail.index_offset;
    let mut index = None;
    while at < end || index.is_none() {
        let start = read_part(path, file, at, 8.min(end - at))?;
        // Only INDX is read into memory, and no honest one is longer than the limit.
        let limit = if index.is_none() { format::INDEX_LENGTH_MAX } else { u64::MAX };
        let frame = format::skippable_length(&start).filter(|frame| *frame <= (end - at).min(limit));
        let frame = frame.ok_or_else(|| flaw_error(path, Flaw::Damaged("index")))?;
        if index.is_none() {
            index = Some(read_part(path, file, at, frame)?);
        }
        at += frame;
    }
    Ok(index.unwrap_or_default())
}

fn read_part(path: &Path, file: &mut File, offset: u64, length: u64) -> Result<Vec<u8>> {
    let fail = |e: io::Error| match e.kind() {
        io::ErrorKind::UnexpectedEof => cut_off(path),
        _ => Error::io("read", path, e),
    };
    file.seek(SeekFrom::Start(offset)).map_err(fail)?;
    let mut bytes = Vec::new();
    // An abort for want of memory would take all other jobs with it.
    bytes.try_reserve_exact(length as usize).map_err(|_| cut_off(path))?;
    Read::take(file, length).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 == length { Ok(bytes) } else { Err(cut_off(path)) }
}

const OTHER_ARCHIVE: &str =
    "Use another archive of this data file, or a copy of this one. Do not delete it: parts may still be read.";

fn cut_off(path: &Path) -> Error {
    let message = format!("{} is cut off or its end is damaged", path.display());
    Error::new(ErrorKind::Damaged, message).hint(OTHER_ARCHIVE)
}

fn flaw_error(path: &Path, flaw: Flaw) -> Error {
    match flaw {
        Flaw::NotAnArchive => Error::new(
            ErrorKind::NotRecognised,
            format!("{} is not a Strongroom archive, or its beginning is damaged", path.display()),
        )
        .hint("Choose a file whose name ends in .4BK and that was made by Strongroom."),
        Flaw::Newer(version) => Error::new(
            ErrorKind::NewerVersion,
            format!("{} was written in format {version}, this program reads up to {}", path.display(), format::VERSION),
        )
        .hint("Install the newest version of Strongroom to read it."),
        Flaw::Damaged(part) => {
            Error::new(ErrorKind::Damaged, format!("the {part} of {} is damaged", path.display())).hint(OTHER_ARCHIVE)
        }
    }
}

fn frame_error(path: &Path, index: &Index, number: usize) -> Error {
    let (start, end) = (number as u64 * FRAME_LENGTH as u64, (number as u64 + 1) * FRAME_LENGTH as u64);
    let names: Vec<&str> =
        index.items.iter().filter(|i| i.offset < end && i.offset + i.length > start).map(|i| i.name.as_str()).collect();
    let entry = index.frames[number];
    let message = format!(
        "frame {} of {} in {} is damaged (bytes {} to {}): {} can not be read whole",
        number + 1,
        index.frames.len(),
        path.display(),
        entry.offset,
        entry.offset + u64::from(entry.stored),
        match names.as_slice() {
            [] => "the tar stream".to_owned(),
            // Of many small files.
            [first, second, others @ ..] if others.len() > 2 => format!("{first}, {second} and {} more", others.len()),
            names => names.join(", "),
        }
    );
    Error::new(ErrorKind::Damaged, message).hint(OTHER_ARCHIVE)
}
