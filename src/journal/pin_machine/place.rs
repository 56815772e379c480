//! Up to where everything is logged, and what proves that no commit was missed on the way to a newer place.

use super::First;
use crate::sqlite::{wal::WalMark, wal_index::WalPosition};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::journal) struct Place {
    pub(in crate::journal) mark: WalMark,
    /// Whether `mark.change_counter` counts since the same moment as SQLite's: not after a start.
    is_counter_known: bool,
}

impl Place {
    /// Where a log ends that was read: SQLite's counter may have begun anew since.
    pub(in crate::journal) fn new(mark: WalMark) -> Self {
        Self { mark, is_counter_known: false }
    }

    /// Where the first pin stands, up to which everything is logged.
    pub(in crate::journal) fn of(first: &First) -> Self {
        match first {
            First::At(at) => Self { mark: WalMark::from(at), is_counter_known: true },
            First::Empty(counter) => Self::before_an_empty_wal(*counter),
        }
    }

    /// The WAL was left empty with everything logged, and SQLite's counter there.
    pub(in crate::journal) fn before_an_empty_wal(change_counter: u32) -> Self {
        Self { mark: WalMark { change_counter, ..WalMark::default() }, is_counter_known: true }
    }

    /// Whether there is nothing between here and `to`.
    pub(in crate::journal) fn is_at(&self, to: Option<&WalPosition>) -> bool {
        to.is_none_or(|to| {
            to.frame_max == 0
                || (to.salts == self.mark.salts && to.frame_max == self.mark.frame && to.checksum == self.mark.checksum)
        })
    }

    /// Whether `to` is in the generation of the WAL that was read last, so that the checksums prove the way to it.
    pub(in crate::journal) fn is_in_generation_of(&self, to: &WalPosition) -> bool {
        to.salts == self.mark.salts && self.mark.frame > 0
    }

    /// How many commits were made between here and `to`, as far as SQLite counts them.
    pub(in crate::journal) fn commits_until(&self, to: &WalPosition) -> u32 {
        to.change_counter.wrapping_sub(self.mark.change_counter)
    }

    /// Whether `commits` that were read are as many as were made; `None` when the counter is not known.
    pub(in crate::journal) fn are_all(&self, commits: u32, to: &WalPosition) -> Option<bool> {
        self.is_counter_known.then(|| commits == self.commits_until(to))
    }

    /// Where everything is logged, SQLite's counter can be taken over: after a start, and where its index was rebuilt.
    /// Otherwise the first commit after that could not be proved to be the only one when it restarts the WAL.
    pub(in crate::journal) fn take_counter(&mut self, to: Option<&WalPosition>) {
        if let Some(to) = to.filter(|to| to.frame_max > 0) {
            self.mark.change_counter = to.change_counter;
            self.is_counter_known = true;
        }
    }
}
