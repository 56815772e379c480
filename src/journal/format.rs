//! The bytes of a log file: a header, then records in blocks. `docs/format-log.md` is the authority.
//!
//! New logs have version 2, [`two`]. Logs of version 1, [`one`], are read, and one that is being written is continued
//! as such until the next full backup cuts it.
//!
//! All numbers are little-endian. *Hash* is BLAKE3 (32 bytes); times are microseconds since 1970-01-01 UTC.
//!
//! # Header, 192 bytes
//! | Offset | Size | |
//! |---|---|---|
//! | 0 | 8 | magic `\x894BL\r\n\x1a\n` |
//! | 8 | 4 | version of the format, 1 or 2; a higher one is refused |
//! | 12 | 4 | page size of the data file |
//! | 16 | 16 | identity of the data file (UUID) |
//! | 32 | 4 | number of the archive it follows, 0 before the first |
//! | 36 | 4 | flags to be understood: 1 = *rooted*, the base is the content of that archive; any other is refused from version 2 on |
//! | 40 | 8 | base: number of the last commit before this log |
//! | 48 | 32 | base: chain value of that commit |
//! | 80 | 8 | time of the base |
//! | 88 | 4 | base: pages of the data file |
//! | 92 | 24 | base: place in the WAL (below) |
//! | 116 | 16 | from version 2 on: id of the log (UUID) |
//! | 132 | 4 | epoch |
//! | 136 | 4 | flags that may be ignored: 1 = the checksum of the base's state is known |
//! | 140 | 4 | zeros |
//! | 144 | 8 | checksum of the base's state |
//! | 152 | 8 | zeros |
//! | 160 | 32 | hash of bytes 0 to 159 |
//!
//! # Place in the WAL, 24 bytes
//! | 0 | two salts | 8 | frame | 12 | running checksum of that frame, two words | 20 | SQLite's counter of commits |
//! |---|---|---|---|---|---|---|---|

pub mod one;
pub mod two;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::state::StateSum;
use crate::{
    error::{Error, ErrorKind, Result},
    sqlite::wal::WalMark,
};

/// Length of the header of a log file.
pub const HEADER_BYTES: usize = 192;
/// A longer payload is never written, and taken for damage.
pub const PAYLOAD_MAX: usize = 1 << 20;
const HEADER_MAGIC: &[u8; 8] = b"\x894BL\r\n\x1a\n";
/// The version of new logs.
pub const VERSION: u32 = 2;
/// The base is the content of an archive.
const ROOTED: u32 = 1;
/// The checksum of the base's state is known.
const STATE: u32 = 1;

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
///
/// Positions are equal where archive, commit and chain value are, whatever else is known of them.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Position {
    /// Number of the full backup that the log follows at this place; 0 before the first.
    pub archive: u32,
    /// Number of the last commit included. Numbers go on over all logs of a data file.
    pub commit: u64,
    /// Chain value of that commit.
    pub chain: Chain,
    /// The log that goes on from there; `None` where only version 1 of the log was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<Uuid>,
    /// How often the history of the data file was begun anew before that log.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub epoch: u32,
    /// Checksum of the state, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<StateSum>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Position {
    /// A position of which no more is known.
    pub const fn at(archive: u32, commit: u64, chain: Chain) -> Self {
        Self { archive, commit, chain, log: None, epoch: 0, state: None }
    }
}

impl PartialEq for Position {
    fn eq(&self, other: &Self) -> bool {
        (self.archive, self.commit, self.chain) == (other.archive, other.commit, other.chain)
    }
}

impl Eq for Position {}

/// Bytes 136 to 159 of a header, without what this version knows of them: flags that may be ignored, and room for more.
/// The header is part of the chain, so that they must stay what they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ignored([u8; 24]);

impl Ignored {
    fn of(header: &[u8]) -> Self {
        let mut kept = [0; 24];
        // Of version 1 they are not part of the chain.
        if u32_at(header, 8) > 1 {
            kept.copy_from_slice(&header[136..160]);
            kept[0] &= !(STATE as u8);
            if u32_at(header, 136) & STATE != 0 {
                kept[8..16].fill(0);
            }
        }
        Self(kept)
    }
}

/// What a log file says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogHeader {
    /// Version of the format.
    pub version: u32,
    /// Identity of the data file.
    pub identity: Uuid,
    /// Its page size.
    pub page_size: u32,
    /// Where the log begins: the archive it follows, and the last commit before it; with its own id and epoch.
    pub base: Position,
    /// Whether the base is the content of that archive, so that a restore can integrate the log.
    pub rooted: bool,
    /// When the base was reached: the time of the cut or of the archive, without one that of its creation.
    pub created: DateTime<Utc>,
    /// Pages of the data file at the base.
    pub page_count: u32,
    /// Where the WAL stood at the base.
    pub mark: WalMark,
    /// What a later version wrote there and this one may pass over.
    pub ignored: Ignored,
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

impl RecordKind {
    pub(super) fn of(number: u8) -> Option<Self> {
        match number {
            1 => Some(RecordKind::Commit),
            2 => Some(RecordKind::CatchUp),
            3 => Some(RecordKind::Gap),
            _ => None,
        }
    }

    pub(super) fn number(self) -> u8 {
        match self {
            RecordKind::Commit => 1,
            RecordKind::CatchUp => 2,
            RecordKind::Gap => 3,
        }
    }
}

/// What a record says before its pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHead {
    /// What sort of record it is.
    pub kind: RecordKind,
    /// Number of the commit.
    pub commit: u64,
    /// The latest time that the clock had shown in this log by then: never before the record before.
    pub time: DateTime<Utc>,
    /// What the clock showed when it was read from the WAL. Version 1 keeps only `time`.
    pub wall: DateTime<Utc>,
    /// Pages of the data file after it.
    pub page_count: u32,
    /// Where it ends in the WAL.
    pub mark: WalMark,
    /// Checksum of the state after it, where it is known.
    pub state: Option<StateSum>,
}

/// Where a log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail {
    /// Bytes of the file up to here.
    pub length: u64,
    /// Number of the last commit.
    pub commit: u64,
    /// Chain value of the last record.
    pub chain: Chain,
    /// What the next block continues: the same, but for a log without records.
    pub link: Chain,
    /// The latest time that the clock had shown, see [`RecordHead::time`].
    pub time: DateTime<Utc>,
    /// What the clock showed at the last record, or the time of the base.
    pub wall: DateTime<Utc>,
    /// Pages of the data file.
    pub page_count: u32,
    /// Where the WAL stood.
    pub mark: WalMark,
    /// Checksum of the state, where it is known.
    pub state: Option<StateSum>,
}

impl Tail {
    /// Where a log with this header and no records ends.
    pub fn base(header: &LogHeader) -> Self {
        Self {
            length: HEADER_BYTES as u64,
            commit: header.base.commit,
            chain: header.base.chain,
            link: header.link(),
            time: header.created,
            wall: header.created,
            page_count: header.page_count,
            mark: header.mark,
            state: header.base.state,
        }
    }

    /// Where it ends after a record.
    pub fn after(head: &RecordHead, length: u64, chain: Chain) -> Self {
        let RecordHead { commit, time, wall, page_count, mark, state, .. } = *head;
        Self { length, commit, chain, link: chain, time, wall, page_count, mark, state }
    }
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

/// The beginning of a page's hash, as entries and page tables hold it.
pub fn page_hash(image: &[u8]) -> [u8; 8] {
    let mut short = [0; 8];
    short.copy_from_slice(&blake3::hash(image).as_bytes()[..8]);
    short
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

pub(super) fn chain_at(bytes: &[u8], at: usize) -> Chain {
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
        out.extend_from_slice(&self.version.to_le_bytes());
        out.extend_from_slice(&self.page_size.to_le_bytes());
        out.extend_from_slice(self.identity.as_bytes());
        out.extend_from_slice(&self.base.archive.to_le_bytes());
        out.extend_from_slice(&if self.rooted { ROOTED } else { 0 }.to_le_bytes());
        out.extend_from_slice(&self.base.commit.to_le_bytes());
        out.extend_from_slice(&self.base.chain.0);
        out.extend_from_slice(&self.created.timestamp_micros().to_le_bytes());
        out.extend_from_slice(&self.page_count.to_le_bytes());
        put_mark(&mut out, &self.mark);
        if self.version > 1 {
            out.extend_from_slice(self.base.log.unwrap_or_default().as_bytes());
            out.extend_from_slice(&self.base.epoch.to_le_bytes());
            out.extend_from_slice(&if self.base.state.is_some() { STATE } else { 0 }.to_le_bytes());
            out.resize(144, 0);
            out.extend_from_slice(&self.base.state.unwrap_or_default().0.to_le_bytes());
        }
        out.resize(160, 0);
        out[136..160].iter_mut().zip(self.ignored.0).for_each(|(byte, kept)| *byte |= kept);
        let hash = blake3::hash(&out);
        out.extend_from_slice(hash.as_bytes());
        out
    }

    /// What the first block continues: in version 1 the chain value of the base; later the header is part of the chain,
    /// so that no log can be taken for another one, nor be given another header.
    pub fn link(&self) -> Chain {
        if self.version == 1 { self.base.chain } else { chain_of(self.base.chain, &self.encode(), &[]) }
    }

    /// Reads a header; `name` is the file it comes from, for the message.
    ///
    /// # Errors
    /// `NotRecognised`, `NewerVersion` or `Damaged`.
    pub fn decode(bytes: &[u8], name: &std::path::Path) -> Result<Self> {
        // By its name it was one: nobody is to look for another file because a disk or a program has changed this one.
        let is_named =
            name.extension().is_some_and(|end| ["journal", "4BL"].iter().any(|e| end.eq_ignore_ascii_case(e)));
        let name = name.display();
        if !bytes.starts_with(HEADER_MAGIC) {
            let what = match (is_named, bytes.is_empty()) {
                (true, true) => "is empty, and no log any more",
                (true, false) => "is not a log, or its beginning is damaged",
                (false, _) => "is not a log file",
            };
            return Err(Error::new(ErrorKind::NotRecognised, format!("{name} {what}")).hint(match is_named {
                true => {
                    "If it was archived with redundancy, repair it (strongroom repair). Else bring back a copy of it. \
                     Archives can be restored without it, up to their own last commit."
                }
                false => "Choose a file that ends in .journal or .4BL and was written by Strongroom.",
            }));
        }
        let newer = |what: String| {
            Error::new(ErrorKind::NewerVersion, format!("{name} {what}")).hint("Use a newer Strongroom to read it.")
        };
        if bytes.len() < HEADER_BYTES || blake3::hash(&bytes[..160]).as_bytes() != &bytes[160..HEADER_BYTES] {
            return Err(Error::new(ErrorKind::Damaged, format!("the header of {name} is damaged"))
                .hint("This log cannot be used. Make a full backup now; older archives and their logs stay usable."));
        }
        let (version, page_size, commit) = (u32_at(bytes, 8), u32_at(bytes, 12), u64_at(bytes, 40));
        // Only now: a number that is damaged would send somebody for a newer program.
        if version > VERSION {
            return Err(newer(format!("has format {version}, this program knows up to {VERSION}")));
        }
        let flags = u32_at(bytes, 36);
        if version > 1 && flags & !ROOTED != 0 {
            return Err(newer(format!("needs what this program does not know (flags {flags:#x})")));
        }
        if version == 0 || !page_size.is_power_of_two() || !(512..=65536).contains(&page_size) || commit > COMMITS_MAX {
            let message = format!(
                "{name} says what cannot be: that it has format {version}, that the data file has pages of \
                 {page_size} bytes, and had {commit} commits before"
            );
            return Err(Error::new(ErrorKind::Damaged, message).hint("Do not trust it: it was not made by Strongroom."));
        }
        let uuid_at = |at: usize| {
            let mut id = [0; 16];
            id.copy_from_slice(&bytes[at..at + 16]);
            Uuid::from_bytes(id)
        };
        let mut base = Position::at(u32_at(bytes, 32), commit, chain_at(bytes, 48));
        if version > 1 {
            (base.log, base.epoch) = (Some(uuid_at(116)), u32_at(bytes, 132));
            base.state = (u32_at(bytes, 136) & STATE != 0).then(|| StateSum(u64_at(bytes, 144)));
        }
        Ok(Self {
            version,
            identity: uuid_at(16),
            page_size,
            base,
            rooted: flags & ROOTED != 0,
            created: time_at(bytes, 80),
            page_count: u32_at(bytes, 88),
            mark: mark_at(bytes, 92),
            ignored: Ignored::of(bytes),
        })
    }
}

/// The chain value after what consists of these two parts.
pub fn chain_of(before: Chain, start: &[u8], rest: &[u8]) -> Chain {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&before.0).update(start).update(rest);
    Chain(*hasher.finalize().as_bytes())
}
