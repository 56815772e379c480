//! What can be known of a log from outside, without the engine that writes it.
//!
//! Whether the log is complete needs no trust in that engine: the place in the WAL where a read transaction stands,
//! with its running checksum, must be the place that a record of the log names.

use std::{
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    CaptureState, CaptureStatus,
    format::{Position, RecordKind},
    jumps, next_path,
    reader::{End, LogReader},
};
use crate::{
    error::{Error, Result},
    sqlite::{ffi, open_existing, wal::WalMark, wal_index::WalPosition},
};

/// A commit that was made just now is in the log some milliseconds later: how often, and how long apart, it is looked
/// for.
const LOOKS: u32 = 6;
const PAUSE: Duration = Duration::from_millis(50);

impl LogFacts {
    /// As the engine that writes it knows it.
    pub fn of_running(status: &CaptureStatus) -> Self {
        Self {
            log: status.log.clone(),
            bytes: status.log_bytes,
            position: status.position,
            commits: status.commits,
            catch_ups: status.catch_ups,
            rooted: status.rooted,
            last_commit: status.last_commit,
            ahead: status.ahead,
            complete: match status.state {
                CaptureState::On => Some(true),
                CaptureState::Held | CaptureState::Lost | CaptureState::Released => Some(false),
                CaptureState::Starting | CaptureState::Off => None,
            },
            state: Some(status.state),
            // One that was found damaged was set aside; what is written now is not.
            damaged_at: None,
        }
    }
}

/// A log as it lies on the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFacts {
    /// The log file.
    pub log: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// The last commit in it.
    pub position: Position,
    /// Commits since its base.
    pub commits: u64,
    /// How many of them stand for stretches whose single steps are not known.
    pub catch_ups: u32,
    /// Whether its base is an archive, so that a restore can use it.
    pub rooted: bool,
    /// When the last commit was logged.
    pub last_commit: Option<DateTime<Utc>>,
    /// The latest time that a commit of it bears, where the last one bears an earlier one: the clock ran back.
    #[serde(default)]
    pub ahead: Option<DateTime<Utc>>,
    /// Whether everything committed when this was asked is in it; `None` when that cannot be told from outside,
    /// because the WAL holds nothing at the moment.
    pub complete: Option<bool>,
    /// How the protection stands, as the engine that writes it says; `None` when that is told from outside.
    pub state: Option<CaptureState>,
    /// The byte at which it is damaged, if so.
    pub damaged_at: Option<u64>,
}

/// Reads the log at `log` and compares it with where `data_file` (its canonical path) stands.
///
/// # Errors
/// When one of them cannot be read.
pub fn inspect(log: &Path, data_file: &Path) -> Result<LogFacts> {
    let conn = open_existing(data_file)?;
    conn.busy_timeout(Duration::from_secs(2)).map_err(|e| Error::sqlite("read", data_file, e))?;
    // Held while the log is read, so that the place keeps its meaning.
    conn.execute_batch("BEGIN").map_err(|e| Error::sqlite("read", data_file, e))?;
    let at = ffi::wal_position(&conn, data_file)?.filter(|at| at.frame_max > 0);
    for _ in 1..LOOKS {
        let facts = read(log, at.as_ref())?;
        if facts.complete != Some(false) {
            return Ok(facts);
        }
        thread::sleep(PAUSE);
    }
    read(log, at.as_ref())
}

/// Reads the log of a data file that is gone: what it holds, and nothing of whether that is all.
///
/// # Errors
/// When it cannot be read.
pub fn alone(log: &Path) -> Result<LogFacts> {
    read(log, None)
}

fn read(log: &Path, at: Option<&WalPosition>) -> Result<LogFacts> {
    let mut facts = read_one(log, at)?;
    // While a backup is made, the log goes on in the file beside it.
    let next = next_path(log);
    if next.symlink_metadata().is_ok()
        && let Ok(more) = read_one(&next, at)
        && more.position.commit >= facts.position.commit
    {
        facts.bytes += more.bytes;
        facts.commits += more.commits;
        facts.catch_ups += more.catch_ups;
        facts.complete = facts.complete.zip(more.complete).map(|(a, b)| a || b);
        (facts.position, facts.last_commit) = (more.position, more.last_commit.or(facts.last_commit));
        facts.ahead = facts.ahead.max(more.ahead);
    }
    Ok(facts)
}

fn read_one(log: &Path, at: Option<&WalPosition>) -> Result<LogFacts> {
    let mut reader = LogReader::open(log)?;
    let stands = |mark: &WalMark| {
        at.is_some_and(|at| (mark.salts, mark.frame, mark.checksum) == (at.salts, at.frame_max, at.checksum))
    };
    let (mut complete, mut catch_ups, mut commits) = (stands(&reader.tail().mark), 0, 0);
    while let Some(record) = reader.next_record()? {
        complete |= stands(&record.head.mark);
        catch_ups += u32::from(record.head.kind != RecordKind::Commit);
        commits += 1;
    }
    let (tail, header) = (reader.tail(), reader.header());
    let damaged_at = match reader.end() {
        End::Damaged { offset } => Some(offset),
        _ => None,
    };
    Ok(LogFacts {
        log: log.to_path_buf(),
        bytes: log.metadata().map_or(tail.length, |m| m.len()),
        position: Position {
            log: header.base.log,
            epoch: header.base.epoch,
            state: tail.state,
            ..Position::at(header.base.archive, tail.commit, tail.chain)
        },
        commits,
        catch_ups,
        rooted: header.rooted,
        last_commit: (commits > 0).then_some(tail.wall),
        ahead: jumps::ahead(tail),
        complete: at.map(|_| complete),
        state: None,
        damaged_at,
    })
}
