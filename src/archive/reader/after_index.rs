//! Proving what stands between INDX and the end of an archive: recovery data, heads of segments, and frames that a
//! later version may add.

use std::collections::HashSet;

use super::{
    Archive,
    parts::{AFTER_INDEX, flaw_error, is_head_of, read_error},
};
use crate::{
    archive::{
        format::{self, Flaw, TAIL_LENGTH},
        pipeline,
        recovery::{find::Tally, packet::Packet},
    },
    control::Control,
    error::Result,
};

/// Bytes of frames after INDX that are read at a time; longer frames are not known here, and are passed over.
const STRETCH_BYTES: u64 = 4 << 20;

impl Archive {
    /// Proves every frame between INDX and the end that this program knows. Returns the count of the frames of recovery
    /// data; `None` without any.
    ///
    /// # Errors
    /// `Damaged` for the head of a segment that is not as it was written, for a segment that is longer, and where
    /// something else than frames stands there while all recovery data is found; those of the disk; `Stopped`.
    pub fn prove_recovery(&self, control: &Control) -> Result<Option<Tally>> {
        let end = self.tail.length - TAIL_LENGTH;
        let mut stretches = Stretches { archive: self, at: self.index_end, end };
        let (mut tally, mut heads) = (None, HashSet::new());
        pipeline::run(
            || {
                control.check()?;
                stretches.next().transpose()
            },
            |stretch: Stretch| {
                let known = stretch.frames().filter_map(|(at, frame)| self.prove_after_index(at, frame).transpose());
                Ok((stretch.bytes.len() as u64, known.collect::<Result<Vec<_>>>()?))
            },
            |(bytes, known): (u64, Vec<Known>)| {
                control.add(bytes);
                for frame in known {
                    match frame {
                        Known::Head(at) => _ = heads.insert(at),
                        Known::Packet(packet) => {
                            let stamp = packet.stamp;
                            let tally = tally.get_or_insert_with(|| Tally::new(stamp, end - self.index_end));
                            if tally.stamp == stamp {
                                tally.count(&packet);
                            }
                        }
                    }
                }
                Ok(())
            },
        )?;
        if tally.as_ref().is_some_and(|tally| tally.lacking() > 0) {
            return Ok(tally);
        }
        let later = self.volume.pieces().iter().skip(1).filter(|piece| piece.at >= self.index_end);
        if later.into_iter().any(|piece| !heads.contains(&piece.at)) {
            return Err(flaw_error(&self.path, Flaw::Damaged("header of a segment")));
        }
        if stretches.at < end {
            return Err(flaw_error(&self.path, Flaw::Damaged(AFTER_INDEX)));
        }
        // Passed over here, but joined by hand, as the format promises, the files would not be the archive.
        if self.volume.pieces().windows(2).any(|two| matches!(two, [a, b] if a.at + a.length > b.at)) {
            return Err(flaw_error(&self.path, Flaw::Damaged("end of a segment")));
        }
        Ok(tally)
    }

    /// Proves a frame that stands after INDX; `None` for one that is not known.
    fn prove_after_index(&self, at: u64, frame: &[u8]) -> Result<Option<Known>> {
        if format::head_length(frame.get(..24).unwrap_or_default()).is_ok() {
            if format::decode_head(frame).is_ok_and(|(found, _)| is_head_of(&found, &self.identity, at)) {
                return Ok(Some(Known::Head(at)));
            }
            return Err(flaw_error(&self.path, Flaw::Damaged("header of a segment")));
        }
        let packet = Packet::decode(frame).map(|(packet, _)| packet);
        let is_ours = |packet: &Packet| {
            let stamp = &packet.stamp;
            let (layout, tail) = (&stamp.layout, &self.tail);
            let is_right = layout.length == self.index_end && stamp.whole == tail.whole;
            let is_placed = (stamp.index_offset, stamp.tar_length) == (tail.index_offset, tail.tar_length);
            is_right && is_placed && stamp.id == self.identity.archive_id
        };
        Ok(packet.filter(is_ours).map(Known::Packet))
    }
}

/// A sound frame that this program knows.
enum Known {
    /// The head of a segment, where it lies.
    Head(u64),
    /// Recovery data of this archive.
    Packet(Packet),
}

/// Whole frames in a row, and where they begin.
struct Stretch {
    at: u64,
    bytes: Vec<u8>,
}

impl Stretch {
    /// Every frame with its offset in the archive.
    fn frames(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let mut from = 0;
        std::iter::from_fn(move || {
            let rest = self.bytes.get(from..)?;
            let frame = rest.get(..format::skippable_length(rest)? as usize)?;
            let at = self.at + from as u64;
            from += frame.len();
            Some((at, frame))
        })
    }
}

/// The frames of an archive from a place on, as far as one follows the other; read in large parts, since a disk needs
/// as long for one of them as for a few bytes.
struct Stretches<'a> {
    archive: &'a Archive,
    at: u64,
    end: u64,
}

impl Iterator for Stretches<'_> {
    type Item = Result<Stretch>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let at = self.at;
            let left = self.end.checked_sub(at).filter(|left| *left > 0)?;
            let bytes = match self.archive.volume.read(at, left.min(STRETCH_BYTES)) {
                Ok(bytes) => bytes,
                Err(error) => {
                    self.at = self.end;
                    return Some(Err(read_error(&self.archive.path, error)));
                }
            };
            let first = format::skippable_length(&bytes).filter(|length| *length <= left)?;
            let mut stretch = Stretch { at, bytes };
            let whole: usize = stretch.frames().map(|(_, frame)| frame.len()).sum();
            if whole > 0 {
                stretch.bytes.truncate(whole);
                self.at = at + whole as u64;
                return Some(Ok(stretch));
            }
            self.at = at + first;
        }
    }
}
