//! A data file that lacks commits which its log holds: an older file was put back, or a power failure took the end of
//! the WAL.
//!
//! Told by the pages alone: the file as a whole is exactly as it was after an earlier commit. That by itself is no
//! proof, because a program may have set a value back while nobody watched, to the same bytes in the same place. Three
//! things are: the WAL ends before the place that was logged; the WAL is gone, and the file was not written since the
//! commits that it lacks; or the file was created after the last commit that was logged.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    format::{Position, RecordKind, Tail},
    reader::LogReader,
    table::PageTable,
};
use crate::{
    error::Result,
    sqlite::{wal::WalMark, wal_index::WalPosition},
    storage::identity::FileStamp,
};

/// More generations of a WAL do not go by between two syncs.
const GENERATIONS: u32 = 1 << 12;

/// What the log holds and the data file lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lacking {
    /// The commit that the data file stands at.
    pub commit: u64,
    /// The last one that the log held.
    pub last: u64,
    /// When that was logged.
    pub last_moment: DateTime<Utc>,
    /// What the log stands on: the archive from which `last` can be had.
    pub base: Position,
    /// The commit that records the step back; nothing was committed since, as long as it is the last one.
    pub noted: u64,
    /// Whether it is certain that nobody meant it: the WAL has lost its end.
    pub lost_end: bool,
    /// Whether the file was created after the last commit, so that it must have been put back.
    pub put_back: bool,
}

impl Lacking {
    /// How many commits they are.
    pub fn commits(&self) -> u64 {
        self.last - self.commit
    }
}

/// The latest commit of the log at `path` after which the file was as it is now, and when the next one was logged:
/// `hashes` holds the pages that the log knows or that differ from what it leads to, all others are as in its base.
pub(super) fn find(
    path: &Path,
    table: Option<&PageTable>,
    hashes: &HashMap<u32, [u8; 8]>,
    page_count: u32,
) -> Result<Option<(u64, Option<DateTime<Utc>>)>> {
    let Some(table) = table else { return Ok(None) };
    let mut touched: HashSet<u32> = HashSet::new();
    let mut reader = LogReader::open(path)?;
    while let Some(record) = reader.next_record()? {
        if record.head.kind == RecordKind::Gap {
            return Ok(None);
        }
        reader.pages(&record, &mut |entry| {
            touched.insert(entry.page);
            Ok(())
        })?;
    }
    if hashes.keys().any(|page| !touched.contains(page)) {
        return Ok(None);
    }
    let mut reader = LogReader::open(path)?;
    let base_pages = reader.header().page_count;
    let mut state: HashMap<u32, [u8; 8]> = HashMap::new();
    let mut now: HashMap<u32, [u8; 8]> = HashMap::new();
    for page in &touched {
        let base = table.at(*page)?;
        state.extend(base.filter(|_| *page <= base_pages).map(|hash| (*page, hash)));
        let found = hashes.get(page).copied().or(base);
        now.extend(found.filter(|_| *page <= page_count).map(|hash| (*page, hash)));
    }
    let mut differing: HashSet<u32> = touched.iter().copied().filter(|page| state.get(page) != now.get(page)).collect();
    let (mut count, mut found) = (base_pages, None);
    if differing.is_empty() && count == page_count {
        found = Some((reader.header().base.commit, None));
    }
    while let Some(record) = reader.next_record()? {
        if let Some((_, next @ None)) = &mut found {
            *next = Some(record.head.wall);
        }
        let mut changed = Vec::new();
        if record.head.page_count < count {
            changed.extend(state.keys().copied().filter(|page| *page > record.head.page_count));
            changed.iter().for_each(|page| _ = state.remove(page));
        }
        count = record.head.page_count;
        reader.pages(&record, &mut |entry| {
            state.insert(entry.page, entry.hash);
            changed.push(entry.page);
            Ok(())
        })?;
        for page in changed {
            if state.get(&page) == now.get(&page) {
                differing.remove(&page);
            } else {
                differing.insert(page);
            }
        }
        if differing.is_empty() && count == page_count {
            found = Some((record.head.commit, None));
        }
    }
    Ok(found)
}

/// Whether the WAL as it is now comes before the place that was logged: the same one ends earlier, or is of a
/// generation before. SQLite counts the first salt up by one whenever it begins the WAL anew, and never goes back; one
/// that was deleted and made again has another by chance.
fn is_older(at: &WalPosition, mark: &WalMark) -> bool {
    at.salts == mark.salts && at.frame_max < mark.frame
        || (1..=GENERATIONS).contains(&mark.salts[0].wrapping_sub(at.salts[0]))
}

/// Whether the WAL was lost with all that was in it: there is none, and the file itself was not changed since before
/// the first commit that it lacks, so that nobody can have brought it back to where it is.
fn is_lost_whole(data_file: &Path, at: Option<&WalPosition>, next: Option<DateTime<Utc>>) -> bool {
    let changed = FileStamp::of_path(data_file).ok().flatten().map(|stamp| stamp.changed);
    let next = next.and_then(|next| next.timestamp_nanos_opt()).map(i128::from);
    at.is_none_or(|at| at.frame_max == 0) && changed.zip(next).is_some_and(|(changed, next)| changed < next)
}

/// What is lacking, when the file stands at `commit` of a log that ended at `tail`; `next` is when the commit after it
/// was logged.
pub(super) fn describe(
    data_file: &Path,
    (commit, next): (u64, Option<DateTime<Utc>>),
    (base, tail): (Position, &Tail),
    at: Option<&WalPosition>,
) -> Lacking {
    let created = std::fs::metadata(data_file).and_then(|meta| meta.created()).ok().map(DateTime::<Utc>::from);
    Lacking {
        commit,
        last: tail.commit,
        last_moment: tail.wall,
        base,
        noted: tail.commit + 1,
        lost_end: at.is_some_and(|at| is_older(at, &tail.mark)) || is_lost_whole(data_file, at, next),
        put_back: created.is_some_and(|created| created > tail.wall),
    }
}
