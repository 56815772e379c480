//! Commits that were read late: this program was stopped, its disk hung, or the log could not be written.
//!
//! A record bears the time at which its commit was read. That is some milliseconds after it was made, as long as
//! somebody looks. Where nobody did for a while, the commits found then bear times that are later than they were made,
//! and a restore to a moment in between would leave them out without a word. So what was known last is written before
//! them: that all commits made up to then were read.
//!
//! # In the log
//! A block of type 162, which may be passed over (`docs/format-log.md`):
//!
//! | | |
//! |---|---|
//! | 8 bytes | microseconds since 1970: up to this moment everything that was committed is in the log before the block |
//! | number | how many of the records that follow were read late |

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::format::two::{put_number, take_number};

/// A time that is later by no more than this is as good as right. Looks and events come at least twice as often.
pub(super) const LATE: Duration = Duration::from_secs(3);
/// How much longer than it was to last a pause may last: beyond that this program may have been stopped.
pub(super) const SLACK: Duration = Duration::from_millis(500);

/// What a block says of the records after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Late {
    /// None of them was made before.
    pub from: DateTime<Utc>,
    /// How many there are.
    pub commits: u64,
}

impl Late {
    /// The payload of its block.
    pub fn encode(&self) -> Vec<u8> {
        let mut payload = self.from.timestamp_micros().to_le_bytes().to_vec();
        put_number(&mut payload, self.commits);
        payload
    }

    /// Reads the payload of a block; `None` where it says nothing that can be understood.
    pub fn decode(mut payload: &[u8]) -> Option<Self> {
        let (from, rest) = payload.split_first_chunk::<8>()?;
        payload = rest;
        let from = DateTime::from_timestamp_micros(i64::from_le_bytes(*from))?;
        Some(Self { from, commits: take_number(&mut payload)? })
    }
}

/// Up to when everything that was committed is known, or in the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// When that was; `None` of what another process saw.
    at: Option<Instant>,
    /// What the clock showed then.
    wall: DateTime<Utc>,
}

impl Known {
    /// Of a moment that is over, about which the log alone tells.
    pub(super) fn of_log(wall: DateTime<Utc>) -> Self {
        Self { at: None, wall }
    }

    /// Of now, before it is looked.
    pub(super) fn now(clock: fn() -> DateTime<Utc>) -> Self {
        Self { at: Some(Instant::now()), wall: clock() }
    }

    /// The same up to now, where nothing was committed since.
    pub(super) fn went_on(&mut self, clock: fn() -> DateTime<Utc>) {
        // What another process saw was not looked at yet.
        if self.at.is_some() {
            *self = Self::now(clock);
        }
    }

    /// Whether it is no longer ago than that.
    pub(super) fn is_within(&self, limit: Duration) -> bool {
        self.at.is_some_and(|at| at.elapsed() <= limit)
    }

    /// Since when commits may have been made that are read only now, where that is long ago.
    pub(super) fn late(&self) -> Option<DateTime<Utc>> {
        (!self.is_within(LATE)).then_some(self.wall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else_is_understood() {
        for (micros, commits) in [(0, 0), (1_764_316_800_000_001, 1), (-5, u64::MAX)] {
            let late = Late { from: DateTime::from_timestamp_micros(micros).unwrap_or_default(), commits };
            let payload = late.encode();
            assert_eq!(Late::decode(&payload), Some(late));
            assert_eq!(Late::decode(&payload[..payload.len() - 1]), None);
            // A later version may say more.
            assert_eq!(Late::decode(&[payload, vec![1, 2, 3]].concat()), Some(late));
        }
        assert_eq!(Late::decode(&[255; 12]), None);
    }

    #[test]
    fn what_was_looked_at_a_moment_ago_is_not_late() {
        let now = Known::now(Utc::now);
        assert!(now.is_within(LATE) && now.late().is_none());
        assert_eq!(Known::of_log(DateTime::UNIX_EPOCH).late(), Some(DateTime::UNIX_EPOCH));
    }
}
