//! One frame of recovery data: found by its tag wherever it stands, proven by its own checksum, and saying by itself to
//! which file and place it belongs.
//!
//! The envelope of a skippable zstd frame (magic `0x184D2A54`, length), then:
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 0 | 8 | tag `SR4BRCVY` |
//! | 8 | 2 | version, 2; 1 where chunks are dealt to the groups |
//! | 10 | 1 | kind: 1 a piece of the window's table, 2 a recovery block |
//! | 11 | 1 | 0 |
//! | 12 | 4 | window |
//! | 16 | 4 | group; 0 for a piece of a table |
//! | 20 | 4 | number of the piece, or of the recovery block in its group |
//! | 24 | 4 | length *n* of the body |
//! | 28 | 4 | 0 |
//! | 32 | 8 | length of what is protected, from the beginning of the file |
//! | 40 | 4 | length of a block |
//! | 44 | 4 | blocks of a chunk |
//! | 48 | 4 | recovery blocks of a group |
//! | 52 | 4 | windows |
//! | 56 | 4 | groups of a window |
//! | 60 | 4 | 0 |
//! | 64 | 16 | `archive_id` of the archive; of a log the `data_file_id` |
//! | 80 | 8 | offset of INDX; 0 of a log |
//! | 88 | 8 | length of the tar stream; 0 of a log |
//! | 96 | 32 | checksum of the whole, as in TAIL; of a log the BLAKE3 of the file |
//! | 128 | 32 | BLAKE3 of the window's table; of a recovery block since version 2 that of its group's table |
//! | 160 | n | the body; of a recovery block since version 2 followed by pieces 2i and 2i + 1 of the recovery data of its group's table (20 bytes each), where i is its number |
//! | 160+n | 32 | BLAKE3 of the bytes 0 .. 160+n |

use uuid::Uuid;

use super::{
    layout::{Dealt, Layout},
    table::ENTRY_BYTES,
};
use crate::archive::format::{Hash, SKIPPABLE};

/// Tag at the beginning of the payload.
pub const TAG: &[u8; 8] = b"SR4BRCVY";
/// Bytes before the tag.
pub const ENVELOPE_BYTES: usize = 8;
/// Bytes of a frame besides its body.
pub const OVERHEAD_BYTES: usize = ENVELOPE_BYTES + HEADER_BYTES + 32;
const HEADER_BYTES: usize = 160;
/// No body is longer.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// What a packet carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A piece of the table of its window.
    Table,
    /// A recovery block.
    Recovery,
}

/// What recovery data belongs to; the same in all its packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// How it lies over the file.
    pub layout: Layout,
    /// Names the archive, or the data file of a log.
    pub id: Uuid,
    /// Offset of INDX in the archive; 0 of a log.
    pub index_offset: u64,
    /// Length of the tar stream; 0 of a log.
    pub tar_length: u64,
    /// Checksum of the whole.
    pub whole: Hash,
}

impl Stamp {
    /// The same, where single blocks are dealt to the groups.
    #[must_use]
    pub fn of_blocks(&self) -> Self {
        Self { layout: Layout { dealt: Dealt::Blocks, ..self.layout }, ..*self }
    }
}

/// One packet without its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// What it belongs to.
    pub stamp: Stamp,
    /// What it carries.
    pub kind: Kind,
    /// Its window.
    pub window: u32,
    /// Its group.
    pub group: u32,
    /// Which piece or recovery block it is.
    pub number: u32,
    /// BLAKE3 of the table of its window; of a recovery block since version 2 that of its group's table.
    pub table: Hash,
}

impl Packet {
    /// The frame with `body`.
    pub fn encode(&self, body: &[u8]) -> Vec<u8> {
        self.encode_parts(&[body])
    }

    /// The frame with a body that is joined from `parts`.
    pub fn encode_parts(&self, parts: &[&[u8]]) -> Vec<u8> {
        let body: usize = parts.iter().map(|part| part.len()).sum();
        let length = HEADER_BYTES + body + 32;
        let mut out = Vec::with_capacity(ENVELOPE_BYTES + length);
        out.extend(SKIPPABLE.to_le_bytes());
        out.extend((length as u32).to_le_bytes());
        out.extend(TAG);
        out.extend(version(self.stamp.layout.dealt).to_le_bytes());
        out.extend([if self.kind == Kind::Table { 1 } else { 2 }, 0]);
        let layout = &self.stamp.layout;
        for number in [self.window, self.group, self.number, body as u32, 0] {
            out.extend(number.to_le_bytes());
        }
        out.extend(layout.length.to_le_bytes());
        let shape = [layout.block_bytes, layout.chunk_blocks, layout.recovery_blocks, layout.windows, layout.groups, 0];
        shape.iter().for_each(|number| out.extend(number.to_le_bytes()));
        out.extend(self.stamp.id.as_bytes());
        out.extend(self.stamp.index_offset.to_le_bytes());
        out.extend(self.stamp.tar_length.to_le_bytes());
        out.extend(self.stamp.whole);
        out.extend(self.table);
        parts.iter().for_each(|part| out.extend_from_slice(part));
        let hash = blake3::hash(&out[ENVELOPE_BYTES..]);
        out.extend(hash.as_bytes());
        out
    }

    /// Whether there is such a piece or recovery block, of this length, in the layout.
    fn has_a_place(&self, body_bytes: usize) -> bool {
        let layout = &self.stamp.layout;
        match self.kind {
            Kind::Table => {
                let (count, length) = table_shape(layout, self.window);
                self.group == 0 && (self.number as usize) < 2 * count && body_bytes == length
            }
            Kind::Recovery => {
                let fits = body_bytes == layout.recovery_body_bytes();
                fits && self.number < layout.recovery_blocks && self.group < layout.groups
            }
        }
    }

    /// The length of the whole frame that begins with these bytes, envelope included, as far as they show one.
    pub fn length(start: &[u8]) -> Option<usize> {
        let payload = u32::from_le_bytes(start.get(4..8)?.try_into().ok()?) as usize;
        let is_one = start.get(..4)? == SKIPPABLE.to_le_bytes() && start.get(8..16)? == TAG;
        let fits = (HEADER_BYTES + 32..=HEADER_BYTES + 32 + BODY_BYTES_MAX).contains(&payload);
        (is_one && fits).then_some(ENVELOPE_BYTES + payload)
    }

    /// Reads and proves a whole frame; returns the packet and its body.
    pub fn decode(frame: &[u8]) -> Option<(Self, &[u8])> {
        if Self::length(frame)? != frame.len() {
            return None;
        }
        let (content, hash) = frame[ENVELOPE_BYTES..].split_at(frame.len() - ENVELOPE_BYTES - 32);
        if blake3::hash(content).as_bytes() != hash {
            return None;
        }
        let is_of = |dealt: &Dealt| content[8..10] == version(*dealt).to_le_bytes();
        let dealt = [Dealt::Chunks, Dealt::Blocks].into_iter().find(is_of)?;
        let word = |at: usize| u32::from_le_bytes([content[at], content[at + 1], content[at + 2], content[at + 3]]);
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        let hash = |at: usize| {
            let mut out = [0; 32];
            out.copy_from_slice(&content[at..at + 32]);
            out
        };
        let mut id = [0; 16];
        id.copy_from_slice(&content[64..80]);
        let layout = Layout {
            length: long(32),
            block_bytes: word(40),
            chunk_blocks: word(44),
            recovery_blocks: word(48),
            windows: word(52),
            groups: word(56),
            dealt,
        };
        let stamp =
            Stamp { layout, id: Uuid::from_bytes(id), index_offset: long(80), tar_length: long(88), whole: hash(96) };
        let kind = match content[10] {
            1 => Kind::Table,
            2 => Kind::Recovery,
            _ => return None,
        };
        let packet = Self { stamp, kind, window: word(12), group: word(16), number: word(20), table: hash(128) };
        let body = &content[HEADER_BYTES..];
        let fits = word(24) as usize == body.len() && layout.is_sane() && packet.window < layout.windows;
        (fits && packet.has_a_place(body.len())).then_some((packet, body))
    }
}

fn version(dealt: Dealt) -> u16 {
    match dealt {
        Dealt::Chunks => 1,
        Dealt::Blocks => 2,
    }
}

/// As [`table_pieces`], of the table of a window.
pub fn table_shape(layout: &Layout, window: u32) -> (usize, usize) {
    let blocks = layout.window_blocks(window);
    table_pieces((blocks.end - blocks.start) as usize * ENTRY_BYTES, layout.block_bytes as usize)
}

/// How a table is cut: number of pieces, and the length of each, a multiple of 64. There are as many recovery pieces
/// again, so that any half of all is enough.
pub fn table_pieces(table_bytes: usize, block_bytes: usize) -> (usize, usize) {
    let count = table_bytes.div_ceil(block_bytes.max(64)).clamp(4, 1 << 15);
    (count, table_bytes.div_ceil(count).max(1).next_multiple_of(64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::options::Rate;

    #[test]
    fn a_packet_comes_back_and_any_changed_byte_is_noticed() -> Result<(), Box<dyn std::error::Error>> {
        let layout = Layout::plan(10_000, Rate::Medium, Rate::None).ok_or("no layout")?;
        let stamp = Stamp { layout, id: Uuid::from_u128(9), index_offset: 5, tar_length: 6, whole: [3; 32] };
        let packet = Packet { stamp, kind: Kind::Recovery, window: 0, group: 0, number: 2, table: [4; 32] };
        let body = vec![8; layout.recovery_body_bytes()];
        let frame = packet.encode(&body);
        assert_eq!(Packet::decode(&frame), Some((packet, body.as_slice())));
        assert_eq!(frame.len(), body.len() + OVERHEAD_BYTES);
        for at in (0..frame.len()).step_by(7) {
            let mut changed = frame.clone();
            changed[at] ^= 4;
            assert_eq!(Packet::decode(&changed), None, "byte {at}");
        }
        assert_eq!(Packet::decode(&frame[..frame.len() - 1]), None);
        Ok(())
    }
}
