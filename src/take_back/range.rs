//! Stretches of operations, as they stand one after the other in a log.

use serde::{Deserialize, Serialize};

/// An operation by its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OperationId {
    /// The commit.
    pub commit: u64,
    /// The operation in it.
    pub number: u64,
}

impl OperationId {
    /// No operation has a greater number.
    pub const LAST: u64 = u64::MAX;
}

impl std::fmt::Display for OperationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.commit, self.number)
    }
}

/// All operations from one up to another, both among them; a whole commit is from number 0 to the greatest there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// The first.
    pub from: OperationId,
    /// The last.
    pub to: OperationId,
}

impl Range {
    /// All operations of these commits.
    pub fn of_commits(first: u64, last: u64) -> Self {
        Self {
            from: OperationId { commit: first, number: 0 },
            to: OperationId { commit: last, number: OperationId::LAST },
        }
    }

    /// These operations of one commit.
    pub fn of_operations(commit: u64, first: u64, last: u64) -> Self {
        Self { from: OperationId { commit, number: first }, to: OperationId { commit, number: last } }
    }

    /// Whether it is one of them.
    pub fn has(&self, id: OperationId) -> bool {
        self.from <= id && id <= self.to
    }

    /// Whether the whole commit is among them.
    pub fn has_commit(&self, commit: u64) -> bool {
        let whole = Self::of_commits(commit, commit);
        self.from <= whole.from && whole.to <= self.to
    }

    /// What is left of it without a commit that it has whole.
    pub fn without_commit(&self, commit: u64) -> impl Iterator<Item = Self> + use<> {
        let before = Self { to: OperationId { commit: commit.saturating_sub(1), number: OperationId::LAST }, ..*self };
        let after = Self { from: OperationId { commit: commit.saturating_add(1), number: 0 }, ..*self };
        [before, after].into_iter().filter(|range| range.from <= range.to)
    }

    /// What is left of it without an operation that it has.
    pub fn without(&self, id: OperationId) -> impl Iterator<Item = Self> + use<> {
        let before = id.number.checked_sub(1).map(|number| Self { to: OperationId { number, ..id }, ..*self });
        let after = id.number.checked_add(1).map(|number| Self { from: OperationId { number, ..id }, ..*self });
        [before, after].into_iter().flatten().filter(|range| range.from <= range.to)
    }
}

/// Some of them, in order, none of which goes into another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Ranges(Vec<Range>);

impl Ranges {
    /// All that any of these has; where there are none, everything.
    pub(super) fn of(ranges: &[Range]) -> Self {
        let mut sorted: Vec<Range> = ranges.iter().filter(|range| range.from <= range.to).copied().collect();
        sorted.sort_by_key(|range| range.from);
        let mut merged: Vec<Range> = Vec::new();
        for range in sorted {
            match merged.last_mut().filter(|last| range.from <= last.to) {
                Some(last) => last.to = last.to.max(range.to),
                None => merged.push(range),
            }
        }
        Self(merged)
    }

    /// The first and the last commit; `None` where everything is meant.
    pub(super) fn commits(&self) -> Option<(u64, u64)> {
        Some((self.0.first()?.from.commit, self.0.last()?.to.commit))
    }

    /// Whether it is one of them.
    pub(super) fn has(&self, id: OperationId) -> bool {
        let at = self.0.partition_point(|range| range.to < id);
        self.0.is_empty() || self.0.get(at).is_some_and(|range| range.has(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(commit: u64, number: u64) -> OperationId {
        OperationId { commit, number }
    }

    #[test]
    fn ranges_have_what_any_of_them_has_in_whatever_order_they_were_picked() {
        let all = [Range::of_operations(9, 3, 5), Range::of_commits(2, 4), Range::of_operations(9, 5, 8)];
        let ranges = Ranges::of(&all);
        assert_eq!(ranges.commits(), Some((2, 9)));
        for commit in 0..12 {
            for number in 1..12 {
                let expected = all.iter().any(|range| range.has(id(commit, number)));
                assert_eq!(ranges.has(id(commit, number)), expected, "{commit}:{number}");
            }
        }
        assert!(Ranges::of(&[]).has(id(7, 7)) && Ranges::of(&[]).commits().is_none());
    }

    #[test]
    fn one_is_taken_out_of_a_range_and_nothing_else() {
        let commits: Vec<Range> = Range::of_commits(2, 4).without_commit(3).collect();
        assert_eq!(commits, [Range::of_commits(2, 2), Range::of_commits(4, 4)]);
        assert_eq!(Range::of_commits(2, 2).without_commit(2).count(), 0);
        let single: Vec<Range> = Range::of_operations(7, 1, 3).without(id(7, 2)).collect();
        assert_eq!(single, [Range::of_operations(7, 1, 1), Range::of_operations(7, 3, 3)]);
        let whole: Vec<Range> = Range::of_commits(7, 8).without(id(7, 2)).collect();
        assert!(!whole.iter().any(|range| range.has(id(7, 2))));
        assert!(whole.iter().any(|range| range.has(id(7, 1))) && whole.iter().any(|range| range.has(id(8, 2))));
    }
}
