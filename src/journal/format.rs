//! The bytes of a log file: a header, then one record per commit.
//!
//! All numbers are little-endian. *Hash* is BLAKE3 (32 bytes); times are microseconds since 1970-01-01 UTC.
//!
//! # Header, 192 bytes
//! | Offset | Size | |
//! |---|---|---|
//! | 0 | 8 | magic `\x894BL\r\n\x1a\n` |
//! | 8 | 4 | version of the format, 1; a higher one is refused |
//! | 12 | 4 | page size of the data file |
//! | 16 | 16 | identity of the data file (UUID) |
//! | 32 | 4 | number of the archive it follows, 0 before the first |
//! | 36 | 4 | flags: 1 = *rooted*, the base is the content of that archive |
//! | 40 | 8 | base: number of the last commit before this log |
//! | 48 | 32 | base: chain value of that commit |
//! | 80 | 8 | time of creation |
//! | 88 | 4 | base: pages of the data file |
//! | 92 | 24 | base: place in the WAL (below) |
//! | 116 | 44 | zeros |
//! | 160 | 32 | hash of bytes 0 to 159 |
//!
//! # Place in the WAL, 24 bytes
//! | 0 | two salts | 8 | frame | 12 | running checksum of that frame, two words | 20 | SQLite's counter of commits |
//! |---|---|---|---|---|---|---|---|
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
//! The header is not part of the chain, so records can be moved verbatim to the end of the log that they continue.
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
//!
//! Encodings are those of [`page`](super::page). A file is valid up to the last record whose blocks are all there and
//! continue the chain; what follows is a torn tail.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    error::{Error, ErrorKind, Result},
    sqlite::wal::WalMark,
};

/// Length of the header of a log file.
pub const HEADER_BYTES: usize = 192;
/// Length of the header of a block.
pub const BLOCK_BYTES: usize = 48;
/// Length of what precedes the entries in the first block of a record.
pub const RECORD_BYTES: usize = 44;
/// Length of the header of an entry.
pub const ENTRY_BYTES: usize = 16;
/// A longer payload is never written, and taken for damage.
pub const PAYLOAD_MAX: usize = 1 << 20;
/// The first bytes of every block.
pub const BLOCK_MAGIC: &[u8; 4] = b"4BLb";
const HEADER_MAGIC: &[u8; 8] = b"\x894BL\r\n\x1a\n";
const VERSION: u32 = 1;

/// The value that chains every record to all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Chain(pub [u8; 32]);

impl From<Chain> for String {
    fn from(chain: Chain) -> Self {
        blake3::Hash::from_bytes(chain.0).to_hex().to_string()
    }
}

impl TryFrom<String> for Chain {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        blake3::Hash::from_hex(&text).map(|h| Self(*h.as_bytes())).map_err(|e| format!("chain value: {e}"))
    }
}

/// A state of the data file: after `commit`, as proven by `chain`. An archive carries the position it was cut at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Number of the full backup that the log follows at this place; 0 before the first.
    pub archive: u32,
    /// Number of the last commit included. Numbers go on over all logs of a data file.
    pub commit: u64,
    /// Chain value of that commit.
    pub chain: Chain,
}

/// What a log file says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogHeader {
    /// Identity of the data file.
    pub identity: Uuid,
    /// Its page size.
    pub page_size: u32,
    /// Where the log begins: the archive it follows, and the last commit before it.
    pub base: Position,
    /// Whether the base is the content of that archive, so that a restore can integrate the log.
    pub rooted: bool,
    /// When it was created.
    pub created: DateTime<Utc>,
    /// Pages of the data file at the base.
    pub page_count: u32,
    /// Where the WAL stood at the base.
    pub mark: WalMark,
}

/// What sort of record it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordKind {
    /// One commit, read from the WAL.
    Commit,
    /// Everything that changed while nobody watched, found by comparing; leads to the state of the data file at its
    /// time.
    CatchUp,
    /// Unknown changes: the state after it is not known, and nothing can be integrated over it.
    Gap,
}

/// What a record says before its pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHead {
    /// What sort of record it is.
    pub kind: RecordKind,
    /// Number of the commit.
    pub commit: u64,
    /// When it was read from the WAL; never before the record before.
    pub time: DateTime<Utc>,
    /// Pages of the data file after it.
    pub page_count: u32,
    /// Where it ends in the WAL.
    pub mark: WalMark,
}

/// One page of a record, still encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Page number.
    pub page: u32,
    /// How `bytes` are to be read.
    pub encoding: u8,
    /// The beginning of the hash of the decoded page.
    pub hash: [u8; 8],
    /// The encoded page.
    pub bytes: &'a [u8],
}

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

/// The beginning of a page's hash, as entries and page tables hold it.
pub fn page_hash(image: &[u8]) -> [u8; 8] {
    let mut short = [0; 8];
    short.copy_from_slice(&blake3::hash(image).as_bytes()[..8]);
    short
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

fn chain_at(bytes: &[u8], at: usize) -> Chain {
    let mut chain = [0; 32];
    chain.copy_from_slice(&bytes[at..at + 32]);
    Chain(chain)
}

fn time_at(bytes: &[u8], at: usize) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(u64_at(bytes, at) as i64).unwrap_or_default()
}

fn mark_at(bytes: &[u8], at: usize) -> WalMark {
    let word = |n: usize| u32_at(bytes, at + 4 * n);
    WalMark { salts: [word(0), word(1)], frame: word(2), checksum: [word(3), word(4)], change_counter: word(5) }
}

fn put_mark(out: &mut Vec<u8>, mark: &WalMark) {
    let words = [mark.salts[0], mark.salts[1], mark.frame, mark.checksum[0], mark.checksum[1], mark.change_counter];
    words.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
}

/// No data file has had so many commits; those after it can be counted.
const COMMITS_MAX: u64 = 1 << 62;

impl LogHeader {
    /// The header as it stands in the file.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.extend_from_slice(HEADER_MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.page_size.to_le_bytes());
        out.extend_from_slice(self.identity.as_bytes());
        out.extend_from_slice(&self.base.archive.to_le_bytes());
        out.extend_from_slice(&u32::from(self.rooted).to_le_bytes());
        out.extend_from_slice(&self.base.commit.to_le_bytes());
        out.extend_from_slice(&self.base.chain.0);
        out.extend_from_slice(&self.created.timestamp_micros().to_le_bytes());
        out.extend_from_slice(&self.page_count.to_le_bytes());
        put_mark(&mut out, &self.mark);
        out.resize(160, 0);
        let hash = blake3::hash(&out);
        out.extend_from_slice(hash.as_bytes());
        out
    }

    /// Reads a header; `name` is the file it comes from, for the message.
    ///
    /// # Errors
    /// `NotRecognised`, `NewerVersion` or `Damaged`.
    pub fn decode(bytes: &[u8], name: &std::path::Path) -> Result<Self> {
        let name = name.display();
        if !bytes.starts_with(HEADER_MAGIC) {
            return Err(Error::new(ErrorKind::NotRecognised, format!("{name} is not a log file"))
                .hint("Choose a file that ends in .journal or .4BL and was written by Strongroom."));
        }
        if bytes.len() >= 12 && u32_at(bytes, 8) > VERSION {
            let found = u32_at(bytes, 8);
            return Err(Error::new(
                ErrorKind::NewerVersion,
                format!("{name} has format {found}, this program knows up to {VERSION}"),
            )
            .hint("Use a newer Strongroom to read it."));
        }
        if bytes.len() < HEADER_BYTES || blake3::hash(&bytes[..160]).as_bytes() != &bytes[160..HEADER_BYTES] {
            return Err(Error::new(ErrorKind::Damaged, format!("the header of {name} is damaged"))
                .hint("This log can not be used. Make a full backup now; older archives and their logs stay usable."));
        }
        let page_size = u32_at(bytes, 12);
        let commit = u64_at(bytes, 40);
        if !page_size.is_power_of_two() || !(512..=65536).contains(&page_size) || commit > COMMITS_MAX {
            let message = format!(
                "{name} says what can not be: that the data file has pages of {page_size} bytes, and had {commit} commits before"
            );
            return Err(Error::new(ErrorKind::Damaged, message).hint("Do not trust it: it was not made by Strongroom."));
        }
        let mut identity = [0; 16];
        identity.copy_from_slice(&bytes[16..32]);
        Ok(Self {
            identity: Uuid::from_bytes(identity),
            page_size: u32_at(bytes, 12),
            base: Position { archive: u32_at(bytes, 32), commit: u64_at(bytes, 40), chain: chain_at(bytes, 48) },
            rooted: u32_at(bytes, 36) & 1 != 0,
            created: time_at(bytes, 80),
            page_count: u32_at(bytes, 88),
            mark: mark_at(bytes, 92),
        })
    }
}

impl RecordHead {
    /// Appends the beginning of a record's payload.
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
            page_count: u32_at(bytes, 16),
            mark: mark_at(bytes, 20),
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
        let kind = match bytes.get(8)? {
            1 => RecordKind::Commit,
            2 => RecordKind::CatchUp,
            3 => RecordKind::Gap,
            _ => return None,
        };
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
    out.push(match kind {
        RecordKind::Commit => 1,
        RecordKind::CatchUp => 2,
        RecordKind::Gap => 3,
    });
    out.push(u8::from(index == 0) | u8::from(last) << 1);
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&index.to_le_bytes());
    let chain = chain_of(before, &out[start..], payload);
    out.extend_from_slice(&chain.0);
    out.extend_from_slice(payload);
    chain
}

/// The chain value of a block, from the 16 bytes at its beginning and its payload.
pub fn chain_of(before: Chain, start: &[u8], payload: &[u8]) -> Chain {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&before.0).update(&start[..16]).update(payload);
    Chain(*hasher.finalize().as_bytes())
}
