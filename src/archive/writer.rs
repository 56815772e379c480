//! Writing an archive: a tar stream cut into frames, compressed on all cores, written in order, given recovery data,
//! read back, then named.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

pub use super::output::OnFull;
use super::{
    compress::compress,
    format::{self, FrameEntry, Hash, Identity, Index, Item, TAIL_LENGTH, Tail},
    keys::Key,
    options::Compression,
    output::Output,
    pipeline,
    reader::Archive,
    recovery::{Layout, make::make, packet::Stamp},
    segments::Located,
    signature::Signature,
    tar_stream::{Source, TarStream},
};
use crate::{
    control::{Control, Phase},
    error::{Error, ErrorKind, Result},
    storage::{Ownership, Storage},
};

/// What was written.
#[derive(Debug, Clone)]
pub struct Written {
    /// Where the archive is now; of segments the first.
    pub path: PathBuf,
    /// All its files.
    pub files: Vec<PathBuf>,
    /// Its length in bytes.
    pub bytes: u64,
    /// Length of the tar stream in bytes.
    pub tar_bytes: u64,
    /// Its files.
    pub items: Vec<Item>,
    /// Time spent copying, in milliseconds.
    pub copying_ms: u64,
    /// Time spent syncing, adding recovery data and reading back, in milliseconds.
    pub verifying_ms: u64,
}

/// Writes the archive `target` from `sources`: under temporary names, synced, read back and proven, then named.
///
/// How it is stored is said by the options of `identity`; it is signed by `key`, where there is one. `estimate` is the
/// length of the tar stream as far as known, for the progress. `on_full` is asked for another folder when a disk is
/// full and the archive is in segments.
///
/// # Errors
/// Whatever fails; then nothing carries the final name, and temporary files are removed as far as the disk allows.
#[expect(clippy::too_many_arguments, reason = "each is one independent fact of the archive")]
pub fn write(
    storage: &dyn Storage,
    target: &Path,
    ownership: Ownership,
    (identity, key): (&Identity, Option<&Key>),
    sources: Vec<Box<dyn Source + '_>>,
    on_full: Option<OnFull<'_>>,
    estimate: u64,
    control: &Control,
) -> Result<Written> {
    let mut output = Output::create(storage, target, ownership, identity.clone(), on_full, estimate)?;
    output.sign_by(key);
    let written = write_parts(&mut output, sources, estimate, control);
    if written.is_err() {
        output.discard();
    }
    written
}

fn write_parts(
    output: &mut Output<'_>,
    sources: Vec<Box<dyn Source + '_>>,
    estimate: u64,
    control: &Control,
) -> Result<Written> {
    let begun = Instant::now();
    control.phase(Phase::Copying, estimate);
    let compression = output.identity().options().compression;
    let frame_length = output.identity().frame_length().unwrap_or(format::FRAME_LENGTH);
    let (spare_in, spare) = crossbeam_channel::unbounded::<Vec<u8>>();
    let mut stream = TarStream::new(sources, frame_length);
    let mut frames = Vec::new();
    pipeline::run(
        || {
            control.check()?;
            stream.next_chunk(spare.try_recv().unwrap_or_default())
        },
        |raw: Vec<u8>| {
            let stored = compress(&raw, compression)?;
            let hash = *blake3::hash(&stored).as_bytes();
            Ok((raw, stored, hash))
        },
        |(raw, stored, hash): (Vec<u8>, Vec<u8>, Hash)| {
            let offset = output.put(&stored)?;
            frames.push(FrameEntry { offset, stored: stored.len() as u32, raw: raw.len() as u32, hash });
            control.add(raw.len() as u64);
            // The maker may be gone already; then the buffer is simply freed.
            let _ = spare_in.send(raw);
            Ok(())
        },
    )?;
    let copying_ms = begun.elapsed().as_millis() as u64;
    let tar_bytes = stream.position;
    let index = Index { frames, items: stream.items };
    finish(output, index, tar_bytes, control).map(|mut written| {
        written.copying_ms = copying_ms;
        written.verifying_ms = begun.elapsed().as_millis() as u64 - copying_ms;
        written
    })
}

/// After the data frames: index, recovery data, end, proof, names.
pub(super) fn finish(output: &mut Output<'_>, index: Index, tar_bytes: u64, control: &Control) -> Result<Written> {
    let (index_frame, index_hash) = format::encode_index(&index)?;
    let index_offset = output.put(&index_frame)?;
    let whole = format::whole_hash(&output.head_hash(), &index.frames, &index_hash);
    let not_whole = index.not_whole();
    let protected = output.at();
    let options = output.identity().options();
    let layout = Layout::plan(protected, options.redundancy, options.interlacing);
    if let Some(layout) = layout {
        output.sync()?;
        output.forget_cached();
        control.phase(Phase::Protecting, protected);
        let id = output.identity().archive_id;
        let stamp = Stamp { layout, id, index_offset, tar_length: tar_bytes, whole };
        // What recovery data is made from is what was read back, and the same bytes are proven here.
        let mut prover = Prover::new(&index.frames);
        make(
            &output.volume(),
            &stamp,
            &mut |bytes| prover.take(bytes),
            &mut |frame| output.put(frame).map(drop),
            control,
        )?;
    }
    // The end says how long all is. If it comes to lie elsewhere, because a disk was full, it is written again there;
    // what stands before the end is passed over.
    let signature = output.signature(&whole);
    let signed = signature.map(|signature| signature.encode()).unwrap_or_default();
    let length = loop {
        let bytes = signed.len() as u64 + TAIL_LENGTH;
        let length = output.room_for(bytes)? + bytes;
        let tail = format::encode_tail(&Tail { index_offset, length, tar_length: tar_bytes, whole, not_whole });
        output.put(&[signed.as_slice(), &tail].concat())?;
        if output.at() == length {
            break length;
        }
    };
    output.sync()?;
    // Else the memory of this machine would be proven, and not the disk.
    output.forget_cached();
    control.phase(Phase::Verifying, length);
    prove(output, &index, (layout.is_some(), signature), control)?;
    control.phase(Phase::Finishing, 0);
    let path = output.publish()?;
    Ok(Written {
        path,
        files: output.files().to_vec(),
        bytes: length,
        tar_bytes,
        items: index.items,
        copying_ms: 0,
        verifying_ms: 0,
    })
}

/// Reads the finished archive back and proves it.
fn prove(
    output: &Output<'_>,
    index: &Index,
    (protected, signature): (bool, Option<Signature>),
    control: &Control,
) -> Result<()> {
    let volume = output.volume();
    let length = volume.length();
    let path = volume.pieces().first().map_or_else(PathBuf::new, |piece| piece.path.clone());
    let located = Located { volume, missing: Vec::new(), last: None, name: path.clone() };
    let archive = Archive::open_located(&path, located)?;
    let mut sound = archive.identity() == output.identity()
        && archive.items() == index.items
        && archive.bytes() == length
        && archive.signature() == signature;
    if protected {
        sound &= archive.prove_recovery(control)?.is_some_and(|tally| tally.lacking() == 0);
    } else {
        archive.prove_stored(control)?;
        archive.prove_recovery(control)?;
    }
    if sound { Ok(()) } else { Err(not_as_written(&path)) }
}

pub(super) fn not_as_written(path: &Path) -> Error {
    let message = format!("{} does not read back as it was written", path.display());
    Error::new(ErrorKind::Damaged, message)
        .hint("The disk or the memory of this machine may be failing. Choose another disk and try again.")
}

/// Holds the bytes of an archive, read back in order, against the checksums of its data frames.
struct Prover<'a> {
    frames: std::slice::Iter<'a, FrameEntry>,
    current: Option<&'a FrameEntry>,
    hasher: blake3::Hasher,
    at: u64,
}

impl<'a> Prover<'a> {
    fn new(frames: &'a [FrameEntry]) -> Self {
        let mut frames = frames.iter();
        Self { current: frames.next(), frames, hasher: blake3::Hasher::new(), at: 0 }
    }

    fn take(&mut self, mut bytes: &[u8]) -> Result<()> {
        while let Some(frame) = self.current
            && !bytes.is_empty()
        {
            let end = frame.offset + u64::from(frame.stored);
            let edge = if self.at < frame.offset { frame.offset } else { end };
            let (part, rest) = bytes.split_at(((edge - self.at) as usize).min(bytes.len()));
            if self.at >= frame.offset {
                self.hasher.update(part);
            }
            self.at += part.len() as u64;
            bytes = rest;
            if self.at == end {
                if self.hasher.finalize().as_bytes() != &frame.hash {
                    return Err(not_as_written(Path::new("the new archive")));
                }
                self.hasher.reset();
                self.current = self.frames.next();
            }
        }
        self.at += bytes.len() as u64;
        Ok(())
    }
}

/// The length of `raw` when stored as a frame, for estimates.
///
/// # Errors
/// When zstd fails.
pub fn compressed_length(raw: &[u8], compression: Compression) -> Result<usize> {
    compress(raw, compression).map(|stored| stored.len())
}
