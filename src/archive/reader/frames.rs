//! The frames of the tar stream: read, proven by their checksums, decompressed on all cores, and which are damaged.

use std::io;

use super::{
    Archive,
    parts::{OTHER_ARCHIVE, flaw_error, read_error},
};
use crate::{
    archive::{
        compress::decompress,
        format::{self, Flaw, FrameEntry, Item},
        pipeline,
    },
    control::Control,
    error::{Error, ErrorKind, Result},
};

impl Archive {
    /// The number of the frame that holds this byte of the tar stream.
    pub fn frame_of(&self, offset: u64) -> u64 {
        offset / self.frame_length as u64
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
        let length = self.frame_length as u64;
        let mut numbers = (from / length) as usize..(to.div_ceil(length) as usize).min(self.index.frames.len());
        let (spare_in, spare) = crossbeam_channel::unbounded::<Vec<u8>>();
        let (spare_raw_in, spare_raw) = crossbeam_channel::unbounded::<Vec<u8>>();
        pipeline::run(
            || {
                control.check()?;
                Ok(numbers.next().map(|number| (number, spare.try_recv().unwrap_or_default())))
            },
            // Read by the workers, too: the disk may answer several at a time.
            |(number, spare): (usize, Vec<u8>)| {
                let stored = self.read_frame(number, spare)?;
                let raw = prove_frame(&self.index.frames[number], &stored, spare_raw.try_recv().unwrap_or_default());
                let raw = raw.ok_or_else(|| self.frame_error(number))?;
                // The reader may be gone already; then the buffer is simply freed.
                let _ = spare_in.send(stored);
                Ok((number as u64 * length, raw))
            },
            |(offset, raw): (u64, Vec<u8>)| {
                let start = from.saturating_sub(offset).min(raw.len() as u64) as usize;
                let end = (to - offset.min(to)).min(raw.len() as u64) as usize;
                if start < end {
                    sink(offset + start as u64, &raw[start..end])?;
                }
                let _ = spare_raw_in.send(raw);
                Ok(())
            },
        )
    }

    /// How many bytes of the tar stream each frame holds, but the last.
    pub fn frame_length(&self) -> u64 {
        self.frame_length as u64
    }

    /// The proven content of one frame, for whoever needs only some places of the stream.
    ///
    /// # Errors
    /// `Damaged` when there is no such frame, or it does not agree with its checksum.
    pub fn frame(&self, number: u64) -> Result<Vec<u8>> {
        self.frame_in(number, &mut Vec::new(), Vec::new())
    }

    /// As [`frame`](Self::frame), in the memory of `spare`, and read into `stored`: what the system has to hand out and
    /// clear for each frame anew takes as long as to prove it.
    ///
    /// # Errors
    /// As [`frame`](Self::frame).
    pub(crate) fn frame_in(&self, number: u64, stored: &mut Vec<u8>, spare: Vec<u8>) -> Result<Vec<u8>> {
        let known = usize::try_from(number).ok().and_then(|at| Some((at, self.index.frames.get(at)?)));
        let Some((at, entry)) = known else {
            return Err(flaw_error(&self.path, Flaw::Damaged("index")));
        };
        *stored = self.read_frame(at, std::mem::take(stored))?;
        prove_frame(entry, stored, spare).ok_or_else(|| self.frame_error(at))
    }

    /// How many frames there are.
    pub(crate) fn frame_count(&self) -> u64 {
        self.index.frames.len() as u64
    }

    fn read_frame(&self, number: usize, spare: Vec<u8>) -> Result<Vec<u8>> {
        let entry = &self.index.frames[number];
        let read = self.volume.read_in(entry.offset, u64::from(entry.stored), spare);
        read.map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => self.frame_error(number),
            _ => read_error(&self.path, e),
        })
    }

    /// Proves the stored bytes of every data frame, without decompressing: what a finished backup does at once.
    ///
    /// # Errors
    /// `Damaged` at the first frame whose bytes are not those that were written.
    pub fn prove_stored(&self, control: &Control) -> Result<()> {
        self.forget_cached();
        let mut numbers = 0..self.index.frames.len();
        let (spare_in, spare) = crossbeam_channel::unbounded::<Vec<u8>>();
        pipeline::run(
            || {
                control.check()?;
                Ok(numbers.next().map(|number| (number, spare.try_recv().unwrap_or_default())))
            },
            // Read by the workers, too: the disk may answer several at a time.
            |(number, spare): (usize, Vec<u8>)| {
                let stored = self.read_frame(number, spare)?;
                let same = blake3::hash(&stored).as_bytes() == &self.index.frames[number].hash;
                if same { Ok(stored) } else { Err(self.frame_error(number)) }
            },
            |stored: Vec<u8>| {
                control.add(stored.len() as u64);
                // The reader may be gone already; then the buffer is simply freed.
                let _ = spare_in.send(stored);
                Ok(())
            },
        )?;
        debug_assert_eq!(format::whole_hash(&self.head_hash, &self.index.frames, &self.index_hash), self.tail.whole);
        Ok(())
    }

    /// Which data frames do not agree with their checksum.
    ///
    /// # Errors
    /// `Stopped`.
    pub fn damaged_frames(&self, control: &Control) -> Result<Vec<usize>> {
        let mut numbers = 0..self.index.frames.len();
        let mut damaged = Vec::new();
        pipeline::run(
            || {
                control.check()?;
                Ok(numbers.next())
            },
            |number: usize| {
                let sound = self
                    .read_frame(number, Vec::new())
                    .is_ok_and(|s| prove_frame(&self.index.frames[number], &s, Vec::new()).is_some());
                Ok((!sound).then_some(number))
            },
            |number: Option<usize>| {
                damaged.extend(number);
                Ok(())
            },
        )?;
        Ok(damaged)
    }

    /// Names of the items that are still whole.
    ///
    /// # Errors
    /// `Stopped`.
    pub fn whole_items(&self, control: &Control) -> Result<Vec<&str>> {
        let damaged = self.damaged_frames(control)?;
        let length = self.frame_length as u64;
        let frames = |item: &Item| item.offset / length..=(item.offset + item.length.max(1) - 1) / length;
        let is_whole = |item: &&Item| !damaged.iter().any(|n| frames(item).contains(&(*n as u64)));
        Ok(self.index.items.iter().filter(is_whole).map(|item| item.name.as_str()).collect())
    }

    fn frame_error(&self, number: usize) -> Error {
        let (index, length) = (&self.index, self.frame_length as u64);
        let (start, end) = (number as u64 * length, (number as u64 + 1) * length);
        let carries = |i: &&Item| i.offset < end && i.offset + i.length > start;
        let names: Vec<&str> = index.items.iter().filter(carries).map(|i| i.name.as_str()).collect();
        let entry = index.frames[number];
        let message = format!(
            "frame {} of {} in {} is damaged (bytes {} to {}): {} cannot be read whole",
            number + 1,
            index.frames.len(),
            self.path.display(),
            entry.offset,
            entry.offset + u64::from(entry.stored),
            match names.as_slice() {
                [] => "the tar stream".to_owned(),
                // Of many small files.
                [first, second, others @ ..] if others.len() > 2 => {
                    format!("{first}, {second} and {} more", others.len())
                }
                names => names.join(", "),
            }
        );
        Error::new(ErrorKind::Damaged, message).about(&self.path).hint(OTHER_ARCHIVE)
    }
}

/// A frame's content, if its stored bytes agree with the checksum and decompress to exactly the promised length; in the
/// memory of `spare`.
fn prove_frame(entry: &FrameEntry, stored: &[u8], mut spare: Vec<u8>) -> Option<Vec<u8>> {
    if blake3::hash(stored).as_bytes() != &entry.hash {
        return None;
    }
    let length = entry.raw as usize;
    spare.clear();
    spare.reserve_exact(length);
    decompress(stored, &mut spare).ok()?;
    (spare.len() == length).then_some(spare)
}
