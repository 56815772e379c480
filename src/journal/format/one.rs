//! Version 1 of records and blocks: numbers of fixed length, a block or more for each record.
//!
//! # Block
//! A record is one block, or several when the commit is large.
//!
//! | Offset | Size | |
//! |---|---|---|
//! | 0 | 4 | magic `4BLb` |
//! | 4 | 4 | length of the payload, at most [`PAYLOAD_MAX`] |
//! | 8 | 1 | kind of the record: 1 commit, 2 catch-up, 3 gap |
//! | 9 | 1 | flags: 1 = first block of the record, 2 = last block |
//! | 10 | 2 | zeros |
//! | 12 | 4 | index of the block in the record |
//! | 16 | 32 | chain value: hash of (chain value of the block before, bytes 0 to 15, payload) |
//! | 48 | | payload |
//!
//! The chain value before the first block is that of the base. The chain value of a record is that of its last block.
//! The header is not part of the chain.
//!
//! # Payload
//! The first block of a record begins with 44 bytes:
//!
//! | 0 | number of the commit (8) | 8 | time (8) | 16 | pages of the data file after it (4) | 20 | place in the WAL (24) |
//! |---|---|---|---|---|---|---|---|
//!
//! Then, and in further blocks at once, whole entries, one per changed page:
//!
//! | 0 | page number (4) | 4 | encoding (1) | 5 | length (3) | 8 | first 8 bytes of the page's hash | 16 | encoded page |
//! |---|---|---|---|---|---|---|---|---|---|

use super::{
    Chain, Entry, PAYLOAD_MAX, RecordHead, RecordKind, chain_at, chain_of, mark_at, put_mark, time_at, u32_at, u64_at,
};

/// Length of the header of a block.
pub const BLOCK_BYTES: usize = 48;
/// Length of what precedes the entries in the first block of a record.
pub const RECORD_BYTES: usize = 44;
/// Length of the header of an entry.
pub const ENTRY_BYTES: usize = 16;
/// The first bytes of every block.
pub const BLOCK_MAGIC: &[u8; 4] = b"4BLb";

/// A block's header, its chain value not yet verified.
#[derive(Debug, Clone, Copy)]
pub struct BlockHead {
    /// Length of the payload.
    pub payload: usize,
    /// Kind of the record.
    pub kind: RecordKind,
    /// Whether a record begins here.
    pub first: bool,
    /// Whether a record ends here.
    pub last: bool,
    /// Which block of the record it is.
    pub index: u32,
    /// The chain value it claims.
    pub chain: Chain,
}

impl RecordHead {
    /// Appends the beginning of a record's payload, without what this version does not keep.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.commit.to_le_bytes());
        out.extend_from_slice(&self.time.timestamp_micros().to_le_bytes());
        out.extend_from_slice(&self.page_count.to_le_bytes());
        put_mark(out, &self.mark);
    }

    /// Reads the beginning of a record's payload, of which there must be [`RECORD_BYTES`].
    pub fn decode(kind: RecordKind, bytes: &[u8]) -> Option<Self> {
        (bytes.len() >= RECORD_BYTES).then(|| Self {
            kind,
            commit: u64_at(bytes, 0),
            time: time_at(bytes, 8),
            wall: time_at(bytes, 8),
            page_count: u32_at(bytes, 16),
            mark: mark_at(bytes, 20),
            state: None,
        })
    }
}

impl Entry<'_> {
    /// Appends the entry.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.page.to_le_bytes());
        // A page has at most 65536 bytes, so the length fits three bytes.
        let length = (self.bytes.len() as u32) << 8 | u32::from(self.encoding);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&self.hash);
        out.extend_from_slice(self.bytes);
    }
}

/// The entry at the beginning of `bytes`, and what follows it; `None` when it is not whole.
pub fn split_entry(bytes: &[u8]) -> Option<(Entry<'_>, &[u8])> {
    if bytes.len() < ENTRY_BYTES {
        return None;
    }
    let length = (u32_at(bytes, 4) >> 8) as usize;
    let mut hash = [0; 8];
    hash.copy_from_slice(&bytes[8..16]);
    let body = bytes.get(ENTRY_BYTES..ENTRY_BYTES + length)?;
    Some((Entry { page: u32_at(bytes, 0), encoding: bytes[4], hash, bytes: body }, &bytes[ENTRY_BYTES + length..]))
}

impl BlockHead {
    /// Reads the header of a block, of which there must be [`BLOCK_BYTES`].
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let kind = RecordKind::of(*bytes.get(8)?)?;
        if bytes.len() < BLOCK_BYTES || !bytes.starts_with(BLOCK_MAGIC) {
            return None;
        }
        let payload = u32_at(bytes, 4) as usize;
        (payload <= PAYLOAD_MAX && bytes[9] <= 3 && bytes[10..12] == [0, 0]).then(|| Self {
            payload,
            kind,
            first: bytes[9] & 1 != 0,
            last: bytes[9] & 2 != 0,
            index: u32_at(bytes, 12),
            chain: chain_at(bytes, 16),
        })
    }
}

/// Appends a block that continues `before`, and returns its chain value.
pub fn put_block(
    out: &mut Vec<u8>,
    before: Chain,
    kind: RecordKind,
    (index, last): (u32, bool),
    payload: &[u8],
) -> Chain {
    let start = out.len();
    out.extend_from_slice(BLOCK_MAGIC);
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.push(kind.number());
    out.push(u8::from(index == 0) | u8::from(last) << 1);
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&index.to_le_bytes());
    let chain = chain_of(before, &out[start..start + 16], payload);
    out.extend_from_slice(&chain.0);
    out.extend_from_slice(payload);
    chain
}
