//! Version 2 of records and blocks: short numbers, what differs from the record before, and one stored chain value for
//! several small records.
//!
//! *Number* is an unsigned LEB128 of at most 64 bits; *difference* is a number that holds a signed one, zigzag: 0, −1,
//! 1, −2 … are 0, 1, 2, 3 …
//!
//! # Block
//! | Offset | Size | |
//! |---|---|---|
//! | 0 | 4 | magic `4BLr` |
//! | 4 | 3 | length of the payload, at most [`PAYLOAD_MAX`] |
//! | 7 | 1 | type: 1 whole records, 2 part of a large record that goes on, 3 its last part, 4 blank pages; 128 to 255 may be passed over, of which 160 and 161 are an index, and 162 tells of records that were read late |
//! | 8 | 32 | chain value after the block; of one that may be passed over: the same made of it, which no other continues |
//! | 40 | | payload |
//!
//! The first block continues hash(chain value of the base, header). A payload of type 1 is records, each after its
//! length as a number, and each has a chain value: hash(chain value before, record). Of any other block it is
//! hash(chain value before, bytes 0 to 7, payload).
//!
//! # Record
//! | | |
//! |---|---|
//! | 1 byte | kind: 1 commit, 2 catch-up, 3 gap; + 4: place in the WAL in full; + 8: a checksum of the state at the end |
//! | difference | of the time that the clock showed, to that of the record before; of the first, to the time of the base |
//! | difference | of the pages of the data file |
//! | number, 8 bytes, number | place in the WAL, where salts are the same: frames more, running checksum, commits more; or 24 bytes |
//! | entries | to the end of the record |
//! | 8 bytes | checksum of the state after it; zeros where it is not known |
//!
//! # Entry
//! | difference | number | 8 bytes | |
//! |---|---|---|---|
//! | of the page number, to that of the entry before; at the beginning of a record or part, to 0 | length · 8 + encoding | beginning of the page's hash | the encoded page |

use chrono::DateTime;

use super::{
    Chain, Entry, PAYLOAD_MAX, RecordHead, RecordKind, StateSum, Tail, chain_at, chain_of, mark_at, put_mark, u32_at,
    u64_at,
};
use crate::sqlite::wal::WalMark;

/// Length of the header of a block.
pub const BLOCK_BYTES: usize = 40;
/// The first bytes of every block.
pub const BLOCK_MAGIC: &[u8; 4] = b"4BLr";
/// An entry has no more bytes around the encoded page.
pub const ENTRY_MAX: usize = 16;
const FULL_MARK: u8 = 4;
const STATE: u8 = 8;
const STATE_BYTES: usize = 8;

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Whole records.
    Records,
    /// A part of a large record, which goes on in the next block.
    Part,
    /// The last part of a large record.
    LastPart,
    /// The pages of the base that have no content.
    Blank,
    /// A part of the index; it may be passed over.
    Index,
    /// The end of the index; the same.
    IndexEnd,
    /// What was known before records that were read late; it may be passed over.
    Late,
    /// What a reader need not know.
    PassOver,
}

/// A block's header, its chain value not yet verified.
#[derive(Debug, Clone, Copy)]
pub struct BlockHead {
    /// Length of the payload.
    pub payload: usize,
    /// What it holds.
    pub shape: Shape,
    /// The chain value it claims.
    pub chain: Chain,
}

impl Shape {
    /// Whether the next block continues what this one continues.
    pub fn is_outside(self) -> bool {
        matches!(self, Shape::PassOver | Shape::Index | Shape::IndexEnd | Shape::Late)
    }
}

impl BlockHead {
    /// Reads the header of a block.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < BLOCK_BYTES || !bytes.starts_with(BLOCK_MAGIC) {
            return None;
        }
        let word = u32_at(bytes, 4);
        let shape = match word >> 24 {
            1 => Shape::Records,
            2 => Shape::Part,
            3 => Shape::LastPart,
            4 => Shape::Blank,
            // Many bits from those above, so that no small damage makes one of the other.
            160 => Shape::Index,
            161 => Shape::IndexEnd,
            162 => Shape::Late,
            128.. => Shape::PassOver,
            _ => return None,
        };
        let payload = (word & 0xff_ffff) as usize;
        (payload <= PAYLOAD_MAX).then(|| Self { payload, shape, chain: chain_at(bytes, 8) })
    }

    /// The chain value that a block has, of which these are all bytes, where it continues `before`.
    pub fn chain_of(&self, before: Chain, block: &[u8]) -> Option<Chain> {
        let payload = block.get(BLOCK_BYTES..BLOCK_BYTES + self.payload)?;
        if self.shape != Shape::Records {
            return Some(chain_of(before, &block[..8], payload));
        }
        let (mut chain, mut rest) = (before, payload);
        while !rest.is_empty() {
            let record = take_record(&mut rest)?;
            chain = chain_of(chain, record, &[]);
        }
        (!payload.is_empty()).then_some(chain)
    }
}

/// Appends a block with the chain value after it; `shape` is not one that may be passed over.
pub fn put_block(out: &mut Vec<u8>, shape: Shape, chain: Chain, payload: &[u8]) {
    out.extend_from_slice(&block_start(shape, payload.len()));
    out.extend_from_slice(&chain.0);
    out.extend_from_slice(payload);
}

/// The first 8 bytes of a block.
pub fn block_start(shape: Shape, payload: usize) -> [u8; 8] {
    let number: u32 = match shape {
        Shape::Records => 1,
        Shape::Part => 2,
        Shape::LastPart => 3,
        Shape::Blank => 4,
        Shape::PassOver => 128,
        Shape::Index => 160,
        Shape::IndexEnd => 161,
        Shape::Late => 162,
    };
    let mut start = [0; 8];
    start[..4].copy_from_slice(BLOCK_MAGIC);
    start[4..].copy_from_slice(&(payload as u32 | number << 24).to_le_bytes());
    start
}

/// Appends a record with its length.
pub fn put_record(out: &mut Vec<u8>, record: &[u8]) {
    put_number(out, record.len() as u64);
    out.extend_from_slice(record);
}

/// Takes the next record of a block; `None` when it is not whole.
pub fn take_record<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take_number(bytes)?).ok()?;
    take(bytes, length).filter(|record| !record.is_empty())
}

/// Appends the beginning of a record after `before`. Where it has a checksum of the state, the record ends with one.
pub fn put_head(out: &mut Vec<u8>, head: &RecordHead, before: &Tail) {
    let is_full = head.mark.salts != before.mark.salts || head.mark.frame < before.mark.frame;
    let flags = if is_full { FULL_MARK } else { 0 } | if head.state.is_some() { STATE } else { 0 };
    out.push(head.kind.number() | flags);
    put_difference(out, head.wall.timestamp_micros().wrapping_sub(before.wall.timestamp_micros()));
    put_difference(out, i64::from(head.page_count) - i64::from(before.page_count));
    if is_full {
        put_mark(out, &head.mark);
    } else {
        put_number(out, u64::from(head.mark.frame - before.mark.frame));
        head.mark.checksum.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
        put_number(out, u64::from(head.mark.change_counter.wrapping_sub(before.mark.change_counter)));
    }
}

/// Takes the beginning of a record after `before`. Its `state`, where there is to be one, stands at the end, and is not
/// read here.
pub fn take_head(bytes: &mut &[u8], before: &Tail) -> Option<RecordHead> {
    let first = *take(bytes, 1)?.first()?;
    let kind = RecordKind::of(first & 3).filter(|_| first < 16)?;
    let wall = before.wall.timestamp_micros().checked_add(take_difference(bytes)?)?;
    let wall = DateTime::from_timestamp_micros(wall)?;
    let page_count = i64::from(before.page_count).checked_add(take_difference(bytes)?)?;
    let mark = if first & FULL_MARK != 0 {
        mark_at(take(bytes, 24)?, 0)
    } else {
        let frame = u64::from(before.mark.frame).checked_add(take_number(bytes)?)?;
        let words = take(bytes, 8)?;
        let more = u32::try_from(take_number(bytes)?).ok()?;
        WalMark {
            salts: before.mark.salts,
            frame: u32::try_from(frame).ok()?,
            checksum: [u32_at(words, 0), u32_at(words, 4)],
            change_counter: before.mark.change_counter.wrapping_add(more),
        }
    };
    Some(RecordHead {
        kind,
        commit: before.commit + 1,
        time: wall.max(before.time),
        wall,
        page_count: u32::try_from(page_count).ok()?,
        mark,
        state: (first & STATE != 0).then(StateSum::default),
    })
}

/// Passes over the beginning of a record; returns whether it has a checksum of the state at its end.
pub fn skip_head(bytes: &mut &[u8]) -> Option<bool> {
    let first = *take(bytes, 1)?.first()?;
    take_number(bytes)?;
    take_number(bytes)?;
    if first & FULL_MARK != 0 {
        take(bytes, 24)?;
    } else {
        take_number(bytes)?;
        take(bytes, 8)?;
        take_number(bytes)?;
    }
    Some(first & STATE != 0)
}

/// The entries of what may end with a checksum of the state.
pub fn without_state(bytes: &[u8], has_state: bool) -> Option<&[u8]> {
    bytes.get(..bytes.len().checked_sub(if has_state { STATE_BYTES } else { 0 })?)
}

/// Appends the end of a record that was begun with a checksum of the state.
pub fn put_state(out: &mut Vec<u8>, state: Option<StateSum>) {
    out.extend_from_slice(&state.unwrap_or_default().0.to_le_bytes());
}

/// Takes the checksum of the state from the end of a record whose head has one, and notes it there.
pub fn take_state(head: &mut RecordHead, bytes: &mut &[u8]) -> Option<()> {
    if head.state.is_some() {
        let (rest, end) = bytes.split_at_checked(bytes.len().checked_sub(STATE_BYTES)?)?;
        let sum = StateSum(u64_at(end, 0));
        head.state = (sum != StateSum::default()).then_some(sum);
        *bytes = rest;
    }
    Some(())
}

/// Appends an entry; `page` is the page number of the one before, or 0.
pub fn put_entry(out: &mut Vec<u8>, entry: &Entry<'_>, page: &mut u32) {
    put_difference(out, i64::from(entry.page) - i64::from(*page));
    put_number(out, (entry.bytes.len() as u64) << 3 | u64::from(entry.encoding));
    out.extend_from_slice(&entry.hash);
    out.extend_from_slice(entry.bytes);
    *page = entry.page;
}

/// Takes the next entry; `page` is the page number of the one before, or 0. `None` when it is not whole.
pub fn take_entry<'a>(bytes: &mut &'a [u8], page: &mut u32) -> Option<Entry<'a>> {
    let number = i64::from(*page).checked_add(take_difference(bytes)?)?;
    *page = u32::try_from(number).ok()?;
    let word = take_number(bytes)?;
    let mut hash = [0; 8];
    hash.copy_from_slice(take(bytes, 8)?);
    let length = usize::try_from(word >> 3).ok()?;
    Some(Entry { page: *page, encoding: (word & 7) as u8, hash, bytes: take(bytes, length)? })
}

/// The payload of a block that names pages: runs of them, each with the number of pages between, and its length.
pub fn put_runs(runs: &[(u32, u32)]) -> Vec<u8> {
    let (mut out, mut at) = (Vec::new(), 1u64);
    for (first, last) in runs.iter().map(|run| (u64::from(run.0), u64::from(run.1))) {
        put_number(&mut out, first - at);
        put_number(&mut out, last - first + 1);
        at = last + 1;
    }
    out
}

/// Reads what [`put_runs`] wrote; first and last page of each run. `None` when one lies beyond `page_count`.
pub fn take_runs(mut bytes: &[u8], page_count: u32) -> Option<Vec<(u32, u32)>> {
    let (mut runs, mut at) = (Vec::new(), 1u64);
    while !bytes.is_empty() {
        let first = at.checked_add(take_number(&mut bytes)?)?;
        let end = first.checked_add(take_number(&mut bytes)?)?;
        let last = u32::try_from(end.checked_sub(1)?).ok()?;
        let first = u32::try_from(first).ok().filter(|first| *first <= last && last <= page_count)?;
        runs.push((first, last));
        at = end;
    }
    Some(runs)
}

pub(in crate::journal) fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

pub(in crate::journal) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

pub(in crate::journal) fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64u32).step_by(7) {
        let byte = *take(bytes, 1)?.first()?;
        if shift == 63 && byte > 1 {
            return None;
        }
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

pub(in crate::journal) fn put_difference(out: &mut Vec<u8>, number: i64) {
    put_number(out, (number << 1 ^ number >> 63) as u64);
}

pub(in crate::journal) fn take_difference(bytes: &mut &[u8]) -> Option<i64> {
    let number = take_number(bytes)?;
    Some((number >> 1) as i64 ^ -((number & 1) as i64))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use proptest::prelude::*;

    use super::*;

    fn time() -> impl Strategy<Value = DateTime<Utc>> {
        (0..1i64 << 55).prop_map(|micros| DateTime::from_timestamp_micros(micros).unwrap_or_default())
    }

    fn mark() -> impl Strategy<Value = WalMark> {
        (0u32..3, any::<u32>(), any::<[u32; 2]>(), any::<u32>()).prop_map(|(salt, frame, checksum, change_counter)| {
            WalMark { salts: [salt, 7], frame, checksum, change_counter }
        })
    }

    fn state() -> impl Strategy<Value = Option<StateSum>> {
        prop::option::of((1u64..).prop_map(StateSum))
    }

    proptest! {
        #[test]
        fn numbers_come_back(number: u64, signed: i64) {
            let mut out = Vec::new();
            put_number(&mut out, number);
            put_difference(&mut out, signed);
            let mut rest = out.as_slice();
            prop_assert_eq!((take_number(&mut rest), take_difference(&mut rest)), (Some(number), Some(signed)));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn records_come_back(
            kind in 1u8..4,
            (wall, before_wall, before_time) in (time(), time(), time()),
            (page_count, before_count, commit) in (any::<u32>(), any::<u32>(), 0u64..1 << 62),
            (at, before_at) in (mark(), mark()),
            state in state(),
            pages in prop::collection::vec((any::<u32>(), 0u8..8, any::<[u8; 8]>(), prop::collection::vec(any::<u8>(), 0..40)), 0..5),
        ) {
            let before = Tail {
                length: 0, commit, chain: Chain([0; 32]), link: Chain([0; 32]), time: before_time.max(before_wall),
                wall: before_wall, page_count: before_count, mark: before_at, state: None,
            };
            let kind = RecordKind::of(kind).ok_or(TestCaseError::reject("kind"))?;
            let head = RecordHead { kind, commit: commit + 1, time: wall.max(before.time), wall, page_count, mark: at, state };
            let (mut out, mut page) = (Vec::new(), 0);
            put_head(&mut out, &head, &before);
            for (number, encoding, hash, bytes) in &pages {
                put_entry(&mut out, &Entry { page: *number, encoding: *encoding, hash: *hash, bytes }, &mut page);
            }
            if state.is_some() {
                put_state(&mut out, state);
            }
            let mut rest = out.as_slice();
            let mut found = take_head(&mut rest, &before).ok_or(TestCaseError::fail("head"))?;
            prop_assert_eq!(take_state(&mut found, &mut rest), Some(()));
            prop_assert_eq!(found, head);
            let mut page = 0;
            for (number, encoding, hash, bytes) in &pages {
                let entry = take_entry(&mut rest, &mut page);
                prop_assert_eq!(entry, Some(Entry { page: *number, encoding: *encoding, hash: *hash, bytes }));
            }
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn runs_come_back(lengths in prop::collection::vec((0u32..1000, 1u32..1000), 0..9)) {
            let (mut runs, mut at) = (Vec::new(), 1);
            for (gap, length) in lengths {
                runs.push((at + gap, at + gap + length - 1));
                at += gap + length;
            }
            prop_assert_eq!(take_runs(&put_runs(&runs), at), Some(runs.clone()));
            if let Some((_, last)) = runs.last() {
                prop_assert_eq!(take_runs(&put_runs(&runs), last - 1), None);
            }
        }

        #[test]
        fn nonsense_is_refused_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), count: u32) {
            let before = Tail {
                length: 0, commit: 1 << 62, chain: Chain([0; 32]), link: Chain([0; 32]), time: DateTime::UNIX_EPOCH,
                wall: DateTime::UNIX_EPOCH, page_count: count, mark: WalMark::default(), state: None,
            };
            let mut rest = bytes.as_slice();
            if let Some(mut head) = take_head(&mut rest, &before) {
                let _ = take_state(&mut head, &mut rest);
            }
            let (mut rest, mut page) = (bytes.as_slice(), count);
            while take_entry(&mut rest, &mut page).is_some() {}
            let mut rest = bytes.as_slice();
            while take_record(&mut rest).is_some() {}
            let _ = take_runs(&bytes, count);
            if let Some(head) = BlockHead::decode(&bytes) {
                let _ = head.chain_of(before.chain, &bytes);
            }
        }
    }
}
