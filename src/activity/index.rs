//! What the commits of a log did, in files without a name: commits and operations as entries of one size, and behind
//! each operation its row.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use twox_hash::XxHash64;

use super::{
    packed::{Packed, unpack},
    row::Row,
    spill::Spill,
};
use crate::{
    error::{Error, ErrorKind, Result},
    journal::plan::Stretch,
    records::operation::Action,
};

/// Bytes of an entry: of a commit as of an operation.
const ENTRY: usize = 32;
/// A moment is counted with those of the same minutes.
pub(super) const BUCKET_SECONDS: i64 = 300;

/// A commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Commit {
    pub(super) number: u64,
    /// In nanoseconds since 1970.
    pub(super) time: i64,
    /// Its first operation.
    pub(super) first: u64,
    /// How many it has.
    pub(super) count: u64,
}

impl Commit {
    /// What the clock showed.
    pub(super) fn time(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_nanos(self.time)
    }
}

/// An operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// Where its row is.
    pub(super) at: u64,
    pub(super) length: u32,
    /// Its table, by place; `u32::MAX` for none.
    pub(super) table: u32,
    /// Stands for its key.
    pub(super) key: u64,
    pub(super) action: Action,
    pub(super) is_internal: bool,
    pub(super) stands_for_internal: bool,
}

/// What stands for a key.
pub(super) fn of_key(key: Option<&str>) -> u64 {
    XxHash64::oneshot(0, key.unwrap_or_default().as_bytes())
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    if let Some(part) = bytes.get(at..at + 8) {
        word.copy_from_slice(part);
    }
    u64::from_le_bytes(word)
}

impl Commit {
    fn encode(&self) -> [u8; ENTRY] {
        words([self.number, self.time as u64, self.first, self.count])
    }

    fn decode(bytes: &[u8]) -> Self {
        let [number, time, first, count] = [0, 8, 16, 24].map(|at| word(bytes, at));
        Self { number, time: time as i64, first, count }
    }
}

fn words(words: [u64; 4]) -> [u8; ENTRY] {
    let mut bytes = [0; ENTRY];
    for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

impl Entry {
    fn encode(&self) -> [u8; ENTRY] {
        let action = Action::ALL.iter().position(|action| *action == self.action).unwrap_or_default() as u64;
        let flags = action | u64::from(self.is_internal) << 8 | u64::from(self.stands_for_internal) << 9;
        words([self.at, u64::from(self.length) | u64::from(self.table) << 32, self.key, flags])
    }

    fn decode(bytes: &[u8]) -> Self {
        let [at, lengths, key, flags] = [0, 8, 16, 24].map(|at| word(bytes, at));
        let action = Action::ALL.get((flags & 0xff) as usize).copied().unwrap_or(Action::Unknown);
        let (is_internal, stands_for_internal) = (flags & 0x100 != 0, flags & 0x200 != 0);
        Self {
            at,
            length: lengths as u32,
            table: (lengths >> 32) as u32,
            key,
            action,
            is_internal,
            stands_for_internal,
        }
    }
}

/// What is known of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) name: String,
    /// Whether SQLite keeps it for itself.
    pub(super) is_internal: bool,
}

/// The index. What is added to a commit is seen when the commit is [closed](Self::close).
#[derive(Debug, Default)]
pub(super) struct Index {
    rows: Spill,
    operations: Spill,
    commits: Spill,
    tables: Vec<Named>,
    by_name: HashMap<String, u32>,
    /// The table of the operation that was added last.
    last_place: Option<u32>,
    /// How many operations belong to commits that are closed.
    seen: u64,
    /// How many commits were made in each few minutes.
    times: BTreeMap<i64, u64>,
    /// Whether the commit that is open closes a stretch of which single commits are not known.
    catches_up: bool,
    /// When the last commit was made.
    last: Option<DateTime<Utc>>,
    catch_ups: Vec<Stretch>,
}

/// More moments are not told apart.
const TIMES_MAX: usize = 100_000;
/// More stretches are not kept.
const CATCH_UPS_MAX: usize = 10_000;

impl Index {
    /// Adds an operation to the commit that is open.
    pub(super) fn add(&mut self, packed: &Packed<'_>) -> Result<()> {
        let at = self.rows.append(packed.bytes)?;
        let length = u32::try_from(packed.bytes.len()).map_err(|_| broken())?;
        let table = packed.table.map_or(u32::MAX, |name| self.place_of(name, packed.is_internal));
        self.catches_up |= packed.action == Action::CatchUp;
        let entry = Entry {
            at,
            length,
            table,
            key: of_key(packed.key),
            action: packed.action,
            is_internal: packed.is_internal,
            stands_for_internal: packed.stands_for_internal,
        };
        self.operations.append(&entry.encode()).map(|_| ())
    }

    fn place_of(&mut self, name: &str, is_internal: bool) -> u32 {
        // Nearly always it is the one of the operation before.
        if let Some(place) = self.last_place.filter(|place| self.table(*place) == Some(name)) {
            return place;
        }
        if let Some(place) = self.by_name.get(name).copied() {
            self.last_place = Some(place);
            return place;
        }
        let place = self.tables.len() as u32;
        self.tables.push(Named { name: name.to_owned(), is_internal });
        self.by_name.insert(name.to_owned(), place);
        place
    }

    /// Closes the commit that was added to.
    pub(super) fn close(&mut self, number: u64, time: DateTime<Utc>) -> Result<()> {
        let first = self.seen;
        let count = self.operations.length() / ENTRY as u64 - first;
        if count == 0 {
            return Ok(());
        }
        let latest = || if time > DateTime::UNIX_EPOCH { i64::MAX } else { i64::MIN };
        let nanoseconds = time.timestamp_nanos_opt().unwrap_or_else(latest);
        self.commits.append(&Commit { number, time: nanoseconds, first, count }.encode())?;
        self.seen += count;
        let last = self.last.replace(time);
        if std::mem::take(&mut self.catches_up) && self.catch_ups.len() < CATCH_UPS_MAX {
            self.catch_ups.push(Stretch { commit: number, from: last.unwrap_or(time), to: time });
        }
        let bucket = time.timestamp().div_euclid(BUCKET_SECONDS) * BUCKET_SECONDS;
        if self.times.len() < TIMES_MAX || self.times.contains_key(&bucket) {
            *self.times.entry(bucket).or_default() += 1;
        }
        Ok(())
    }

    /// How many commits there are.
    pub(super) fn commits(&self) -> u64 {
        self.commits.length() / ENTRY as u64
    }

    /// How many operations they have.
    pub(super) fn operations(&self) -> u64 {
        self.seen
    }

    /// Its tables.
    pub(super) fn tables(&self) -> &[Named] {
        &self.tables
    }

    /// The name of a table by its place.
    pub(super) fn table(&self, place: u32) -> Option<&str> {
        self.tables.get(place as usize).map(|table| &*table.name)
    }

    /// When commits were made: the beginning of each few minutes in seconds since 1970, and how many.
    pub(super) fn times(&self) -> &BTreeMap<i64, u64> {
        &self.times
    }

    /// Stretches of which single commits are not known.
    pub(super) fn catch_ups(&self) -> &[Stretch] {
        &self.catch_ups
    }

    /// Commits from a place on, as many as there are up to `count`.
    pub(super) fn commits_from(&self, place: u64, count: usize) -> Result<Vec<Commit>> {
        let bytes = self.commits.read(place * ENTRY as u64, count * ENTRY)?;
        Ok(bytes.chunks_exact(ENTRY).map(Commit::decode).collect())
    }

    /// The commit at a place.
    pub(super) fn commit(&self, place: u64) -> Result<Option<Commit>> {
        let bytes = self.commits.read(place * ENTRY as u64, ENTRY)?;
        Ok((bytes.len() == ENTRY).then(|| Commit::decode(&bytes)))
    }

    /// The place of the first commit with this number or a greater one.
    pub(super) fn place_from(&self, number: u64) -> Result<u64> {
        let (mut low, mut high) = (0, self.commits());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.commit(middle)?.is_some_and(|commit| commit.number < number) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The commit with this number, and its place.
    pub(super) fn find(&self, number: u64) -> Result<Option<(u64, Commit)>> {
        let place = self.place_from(number)?;
        Ok(self.commit(place)?.filter(|commit| commit.number == number).map(|commit| (place, commit)))
    }

    /// The operation of a commit with this number, and its place.
    pub(super) fn place_of_operation(&self, commit: &Commit, number: u64) -> Result<Option<(u64, Entry)>> {
        // They are numbered from 1, and all of them are here.
        let Some(within) = number.checked_sub(1).filter(|within| *within < commit.count) else { return Ok(None) };
        let place = commit.first + within;
        Ok(self.entries(place, 1)?.pop().map(|entry| (place, entry)))
    }

    /// Operations from a place on, as many as there are up to `count`.
    pub(super) fn entries(&self, from: u64, count: usize) -> Result<Vec<Entry>> {
        let bytes = self.operations.read(from * ENTRY as u64, count * ENTRY)?;
        Ok(bytes.chunks_exact(ENTRY).map(Entry::decode).collect())
    }

    /// The row of an operation.
    pub(super) fn row(&self, entry: &Entry) -> Result<Row> {
        let bytes = self.rows.read(entry.at, entry.length as usize)?;
        unpack(&bytes).ok_or_else(broken)
    }
}

fn broken() -> Error {
    Error::new(ErrorKind::Damaged, "what was noted of an operation cannot be read again")
        .hint("The disk for temporary files may be failing. Show the page again.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_and_commits_are_read_as_they_were_added() {
        for action in Action::ALL {
            let entry = Entry {
                at: u64::MAX - 1,
                length: 77,
                table: u32::MAX,
                key: 5,
                action,
                is_internal: action == Action::Add,
                stands_for_internal: action == Action::Rewrite,
            };
            assert_eq!(Entry::decode(&entry.encode()), entry);
        }
        let commit = Commit { number: 9, time: -5, first: 1 << 40, count: 3 };
        assert_eq!(Commit::decode(&commit.encode()), commit);
    }
}
