//! What a filter lets through: a mark for each operation and for each commit with one, found once and kept.

use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use super::{
    bits::Bits,
    filter::{Filter, Passes},
    index::{Commit, Entry, Index, of_key},
    query::{Brief, CommitRow, Part},
    row::Row,
};
use crate::{error::Result, records::operation::Action};

/// Operations that are looked at in one go.
const CHUNK: usize = 4096;
/// Of a commit, so many kinds of operations are told; the others are counted.
const PARTS_MAX: usize = 12;
/// What was counted of so many commits is kept.
const COUNTED_MAX: usize = 512;

/// What a filter lets through of an index.
#[derive(Debug)]
pub(super) struct Hits {
    pub(super) filter: Filter,
    operations: Bits,
    commits: Bits,
    /// How many operations were not looked at to the end of their values.
    pub(super) not_in_sight: u64,
    counted: HashMap<u64, Vec<Part>>,
}

/// Operations that were read ahead, also of commits that follow: most have but one.
#[derive(Debug, Default)]
struct Ahead {
    first: u64,
    entries: Vec<Entry>,
}

impl Ahead {
    /// The operation at a place.
    fn entry(&mut self, index: &Index, place: u64) -> Result<Option<Entry>> {
        let known = |ahead: &Self| ahead.entries.get(place.checked_sub(ahead.first)? as usize).copied();
        if let Some(entry) = known(self) {
            return Ok(Some(entry));
        }
        *self = Self { first: place, entries: index.entries(place, CHUNK)? };
        Ok(known(self))
    }
}

impl Hits {
    pub(super) fn new(filter: Filter) -> Self {
        let (operations, commits, counted) = (Bits::default(), Bits::default(), HashMap::new());
        Self { filter, operations, commits, not_in_sight: 0, counted }
    }

    /// How many operations pass.
    pub(super) fn operations(&self) -> u64 {
        self.operations.set()
    }

    /// How many operations were looked at.
    pub(super) fn looked_at(&self) -> u64 {
        self.operations.length()
    }

    /// How many commits were looked at.
    pub(super) fn commits_looked_at(&self) -> u64 {
        self.commits.length()
    }

    /// How many commits with one there are before the place of a commit.
    pub(super) fn commits_before(&self, place: u64) -> u64 {
        self.commits.rank(place)
    }

    /// The place of such a commit.
    pub(super) fn commit(&self, nth: u64) -> Option<u64> {
        self.commits.select(nth)
    }

    /// Looks at what was added to the index, until `limit`; true when all is looked at.
    pub(super) fn go_on(&mut self, index: &Index, limit: Instant) -> Result<bool> {
        let mut ahead = Ahead::default();
        loop {
            let commits = index.commits_from(self.commits.length(), CHUNK)?;
            if commits.is_empty() {
                return Ok(true);
            }
            for commit in &commits {
                if !self.filter.has_commit(commit.number, commit.time()) {
                    self.operations.push_none(commit.first + commit.count - self.operations.length());
                    self.commits.push(false);
                    continue;
                }
                while self.operations.length() < commit.first + commit.count {
                    let Some(entry) = ahead.entry(index, self.operations.length())? else { return Ok(true) };
                    let passes = self.passes(index, &entry)?;
                    self.operations.push(passes);
                    if self.operations.length().is_multiple_of(CHUNK as u64) && Instant::now() > limit {
                        return Ok(false);
                    }
                }
                self.commits.push(self.count_in(commit) > 0);
            }
        }
    }

    fn passes(&mut self, index: &Index, entry: &Entry) -> Result<bool> {
        let kind = (entry.is_internal, entry.stands_for_internal);
        if !self.filter.may_have(entry.action, index.table(entry.table), kind) {
            return Ok(false);
        }
        if !self.filter.needs_row(entry.action) {
            return Ok(true);
        }
        if self.filter.key.as_ref().is_some_and(|key| of_key(Some(key)) != entry.key) {
            return Ok(false);
        }
        let passes = self.filter.passes(&index.row(entry)?);
        self.not_in_sight += u64::from(passes == Passes::NotInSight);
        Ok(passes == Passes::Yes)
    }

    /// How many operations of a commit pass.
    pub(super) fn count_in(&self, commit: &Commit) -> u64 {
        self.operations.rank(commit.first + commit.count) - self.operations.rank(commit.first)
    }

    /// The operations of a commit that pass, from the `offset`th on.
    pub(super) fn operations_of(&self, index: &Index, commit: &Commit, offset: u64, count: u64) -> Result<Vec<Brief>> {
        let before = self.operations.rank(commit.first) + offset;
        let last = (before + count).min(self.operations.rank(commit.first + commit.count));
        let mut rows = Vec::new();
        for place in (before..last).filter_map(|nth| self.operations.select(nth)) {
            for entry in index.entries(place, 1)? {
                rows.push(Brief::of(&index.row(&entry)?));
            }
        }
        Ok(rows)
    }

    /// A commit as a row.
    pub(super) fn row_of(&mut self, index: &Index, commit: &Commit) -> Result<CommitRow> {
        let count = self.count_in(commit);
        let only = if count == 1 { self.operations_of(index, commit, 0, 1)?.pop() } else { None };
        let parts = match self.counted.get(&commit.number) {
            Some(parts) => parts.clone(),
            None => {
                let parts = self.parts_of(index, commit)?;
                if self.counted.len() >= COUNTED_MAX {
                    self.counted.clear();
                }
                self.counted.insert(commit.number, parts.clone());
                parts
            }
        };
        Ok(CommitRow { commit: commit.number, time: commit.time(), operations: count, parts, only })
    }

    /// What was done to which table how often, the most first.
    fn parts_of(&self, index: &Index, commit: &Commit) -> Result<Vec<Part>> {
        let mut counts: BTreeMap<(u32, usize, bool), u64> = BTreeMap::new();
        let (mut at, end) = (commit.first, commit.first + commit.count);
        while at < end {
            let chunk = index.entries(at, ((end - at) as usize).min(CHUNK))?;
            if chunk.is_empty() {
                break;
            }
            for (place, entry) in (at..).zip(&chunk) {
                if self.operations.rank(place + 1) == self.operations.rank(place) {
                    continue;
                }
                let action = Action::ALL.iter().position(|action| *action == entry.action).unwrap_or_default();
                *counts.entry((entry.table, action, entry.is_internal)).or_default() += 1;
            }
            at += chunk.len() as u64;
        }
        let part = |((table, action, _), count): ((u32, usize, bool), u64)| Part {
            table: index.table(table).map(str::to_owned),
            action: Action::ALL.get(action).copied().unwrap_or(Action::Unknown),
            count,
        };
        let mut parts: Vec<Part> = counts.into_iter().map(part).collect();
        parts.sort_by_key(|part| std::cmp::Reverse(part.count));
        parts.truncate(PARTS_MAX);
        Ok(parts)
    }
}

/// Chunks that are looked at in one step of a search.
const STEP: usize = 64;

/// A search for the next or the previous change of a record.
#[derive(Debug)]
pub(super) struct Search {
    wanted: Entry,
    row: Option<Row>,
    /// The places that are left.
    from: u64,
    to: u64,
    forward: bool,
}

impl Search {
    /// From the operation at a place on.
    pub(super) fn new(place: u64, wanted: Entry, forward: bool) -> Self {
        let (from, to) = if forward { (place + 1, u64::MAX) } else { (0, place) };
        Self { wanted, row: None, from, to, forward }
    }

    /// Looks at some operations more: the one that was found, or `Some(None)` where there is none.
    pub(super) fn step(&mut self, index: &Index) -> Result<Option<Option<Entry>>> {
        if self.row.is_none() {
            self.row = Some(index.row(&self.wanted)?);
        }
        let Some(row) = &self.row else { return Ok(Some(None)) };
        let is_same = |entry: &Entry| -> Result<bool> {
            if entry.key != self.wanted.key || entry.table != self.wanted.table || row.key.is_none() {
                return Ok(false);
            }
            let other = index.row(entry)?;
            Ok(other.key == row.key && other.object == row.object)
        };
        self.to = self.to.min(index.operations());
        for _ in 0..STEP {
            if self.from >= self.to {
                return Ok(Some(None));
            }
            let count = (self.to - self.from).min(CHUNK as u64);
            let begin = if self.forward { self.from } else { self.to - count };
            let mut chunk = index.entries(begin, count as usize)?;
            if !self.forward {
                chunk.reverse();
            }
            for entry in chunk {
                if is_same(&entry)? {
                    return Ok(Some(Some(entry)));
                }
            }
            if self.forward { self.from += count } else { self.to -= count }
        }
        Ok(None)
    }
}
