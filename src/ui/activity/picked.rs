//! What is selected in the list: whole commits, as far as the list shows them, and single operations.

use std::collections::BTreeMap;

use crate::{
    take_back::{OperationId, Range},
    ui::{
        table::How,
        widgets::{commits, operations},
    },
};

/// A row of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) commit: u64,
    /// The how many-th commit of the list it is, or the operation is of.
    pub(crate) nth: u64,
    /// Of an operation: its number, and the how many-th of its commit it is.
    pub(crate) operation: Option<(u64, u64)>,
    /// How many operations of the commit are listed.
    pub(crate) listed: u64,
}

/// What is selected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Picked {
    /// Where a stretch begins that is selected with Shift.
    anchor: Option<Spot>,
    ranges: Vec<Range>,
    /// How many commits are selected whole.
    commits: u64,
    /// How many operations of those that are not.
    partly: BTreeMap<u64, u64>,
    /// Whether everything that is listed is selected.
    is_all: bool,
    /// Whether an operation is meant whatever the filter shows.
    pub(crate) is_unfiltered: bool,
}

impl Picked {
    /// Everything that is listed is selected.
    pub(crate) fn all() -> Self {
        Self { is_all: true, ..Self::default() }
    }

    /// One operation, whether it is listed or not.
    pub(crate) fn operation(commit: u64, number: u64) -> Self {
        let ranges = vec![Range::of_operations(commit, number, number)];
        Self { ranges, partly: BTreeMap::from([(commit, 1)]), is_unfiltered: true, ..Self::default() }
    }

    /// Whether nothing is selected.
    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty() && !self.is_all
    }

    /// A row was selected.
    pub(crate) fn pick(&mut self, spot: Spot, how: How) {
        if self.is_all || self.is_unfiltered {
            *self = Self::default();
        }
        match (how, self.anchor) {
            (How::UpTo, Some(anchor)) => self.up_to(anchor, spot),
            (How::Turned, _) => self.turn(spot),
            _ => {
                *self = Self::default();
                self.add(spot);
            }
        }
    }

    fn add(&mut self, spot: Spot) {
        self.anchor = Some(spot);
        match spot.operation {
            Some((number, _)) => {
                *self.partly.entry(spot.commit).or_default() += 1;
                self.ranges.push(Range::of_operations(spot.commit, number, number));
            }
            None => {
                self.commits += 1;
                self.ranges.push(Range::of_commits(spot.commit, spot.commit));
            }
        }
    }

    /// All from one row up to another: operations where both are of one commit, and whole commits otherwise.
    fn up_to(&mut self, anchor: Spot, spot: Spot) {
        *self = Self { anchor: Some(anchor), ..Self::default() };
        match (anchor.operation, spot.operation) {
            (Some(one), Some(other)) if anchor.commit == spot.commit => {
                self.ranges.push(Range::of_operations(spot.commit, one.0.min(other.0), one.0.max(other.0)));
                self.partly.insert(spot.commit, one.1.abs_diff(other.1) + 1);
            }
            _ => {
                self.ranges.push(Range::of_commits(anchor.commit.min(spot.commit), anchor.commit.max(spot.commit)));
                self.commits = anchor.nth.abs_diff(spot.nth) + 1;
            }
        }
    }

    /// Adds a row, or takes it away.
    fn turn(&mut self, spot: Spot) {
        let is_whole = self.has_commit(spot.commit);
        let Some((number, _)) = spot.operation else {
            self.leave_commit(spot.commit, is_whole);
            self.anchor = Some(spot);
            if !is_whole {
                self.add(spot);
            }
            return;
        };
        let id = OperationId { commit: spot.commit, number };
        if !self.has(id) {
            return self.add(spot);
        }
        if is_whole {
            // All of the commit but this one.
            self.leave_commit(spot.commit, true);
            self.ranges.push(Range::of_commits(spot.commit, spot.commit));
            self.partly.insert(spot.commit, spot.listed);
        }
        let without = |range: Range| if range.has(id) { range.without(id).collect() } else { vec![range] };
        self.ranges = self.ranges.drain(..).flat_map(without).collect();
        self.anchor = Some(spot);
        let left = self.partly.remove(&spot.commit).unwrap_or_default().saturating_sub(1);
        if left > 0 {
            self.partly.insert(spot.commit, left);
        } else {
            self.leave_commit(spot.commit, false);
        }
    }

    /// Nothing of a commit is selected any more.
    fn leave_commit(&mut self, commit: u64, is_whole: bool) {
        self.commits -= u64::from(is_whole && self.commits > 0);
        self.partly.remove(&commit);
        let without = |range: Range| match range.has_commit(commit) {
            true => range.without_commit(commit).collect(),
            // Of a commit that is not whole, each range is of that one alone.
            false if range.from.commit == commit && range.to.commit == commit => Vec::new(),
            false => vec![range],
        };
        self.ranges = self.ranges.drain(..).flat_map(without).collect();
    }

    /// Whether an operation is selected.
    pub(crate) fn has(&self, id: OperationId) -> bool {
        self.is_all || self.ranges.iter().any(|range| range.has(id))
    }

    /// Whether a commit is, as a whole.
    pub(crate) fn has_commit(&self, commit: u64) -> bool {
        self.is_all || self.ranges.iter().any(|range| range.has_commit(commit))
    }

    /// What is selected, as the engine is asked for it; nothing stands for all that is listed.
    pub(crate) fn ranges(&self) -> Vec<Range> {
        if self.is_all { Vec::new() } else { self.ranges.clone() }
    }

    /// The first commit of which something is selected.
    pub(crate) fn first_commit(&self) -> Option<u64> {
        self.ranges.iter().map(|range| range.from.commit).min()
    }

    /// The last one.
    pub(crate) fn last_commit(&self) -> Option<u64> {
        self.ranges.iter().map(|range| range.to.commit).max()
    }

    /// How much is selected, of so many operations that are listed.
    pub(crate) fn in_words(&self, listed: u64) -> String {
        let single: u64 = self.partly.values().sum();
        match (self.is_all, self.commits, single) {
            (true, ..) => format!("All {} found are selected", operations(listed)),
            (false, 0, 0) => "Nothing is selected".to_owned(),
            (false, 0, 1) => "1 operation is selected".to_owned(),
            (false, 0, single) => format!("{} are selected", operations(single)),
            (false, 1, 0) => "1 commit is selected".to_owned(),
            (false, whole, 0) => format!("{} are selected", commits(whole)),
            (false, whole, single) => format!("{} and {} are selected", commits(whole), operations(single)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The `nth` commit of a list with the newest, number 20, first.
    fn commit(nth: u64) -> Spot {
        Spot { commit: 20 - nth, nth, operation: None, listed: 5 }
    }

    /// An operation of it; of five, those with even numbers are listed.
    fn operation(nth: u64, at: u64) -> Spot {
        Spot { operation: Some((2 * (at + 1), at)), ..commit(nth) }
    }

    fn is(picked: &Picked, commit: u64, number: u64) -> bool {
        picked.has(OperationId { commit, number })
    }

    #[test]
    fn rows_are_selected_alone_added_taken_away_and_up_to_one() {
        let mut picked = Picked::default();
        assert!(picked.is_empty() && picked.first_commit().is_none());
        picked.pick(commit(3), How::Alone);
        picked.pick(commit(1), How::Alone);
        assert_eq!((picked.in_words(0).as_str(), picked.first_commit()), ("1 commit is selected", Some(19)));
        picked.pick(commit(4), How::UpTo);
        assert_eq!(picked.in_words(0), "4 commits are selected");
        assert_eq!((picked.first_commit(), picked.last_commit()), (Some(16), Some(19)));
        assert!(is(&picked, 16, 1) && is(&picked, 19, 9) && !is(&picked, 15, 1) && !is(&picked, 20, 1));
        picked.pick(commit(2), How::Turned);
        assert_eq!(picked.in_words(0), "3 commits are selected");
        assert!(!is(&picked, 18, 1) && is(&picked, 17, 1) && is(&picked, 19, 1));
        // One operation less of a commit that is selected as a whole.
        picked.pick(operation(3, 1), How::Turned);
        assert_eq!(picked.in_words(0), "2 commits and 4 operations are selected");
        assert!(is(&picked, 17, 2) && !is(&picked, 17, 4) && is(&picked, 17, 6) && !picked.has_commit(17));
        picked.pick(operation(3, 1), How::Turned);
        assert!(is(&picked, 17, 4));
        picked.pick(commit(3), How::Turned);
        assert_eq!(picked.in_words(0), "3 commits are selected");
        picked.pick(commit(3), How::Turned);
        assert_eq!(picked.in_words(0), "2 commits are selected");
        assert!(!is(&picked, 17, 2));
        picked.pick(operation(0, 0), How::Alone);
        picked.pick(operation(0, 3), How::UpTo);
        assert_eq!((picked.in_words(0).as_str(), picked.last_commit()), ("4 operations are selected", Some(20)));
        picked.pick(operation(0, 0), How::Turned);
        assert!(!is(&picked, 20, 2) && is(&picked, 20, 4) && is(&picked, 20, 8));
        for at in 1..4 {
            picked.pick(operation(0, at), How::Turned);
        }
        assert!(!is(&picked, 20, 4) && picked.is_empty());
    }

    #[test]
    fn all_that_is_listed_and_one_that_is_not_give_way_to_the_next_row() {
        let mut picked = Picked::all();
        assert_eq!(picked.in_words(312), "All 312 operations found are selected");
        assert!(picked.ranges().is_empty() && !picked.is_empty());
        picked.pick(commit(1), How::Turned);
        assert_eq!(picked.in_words(312), "1 commit is selected");
        let mut picked = Picked::operation(7, 3);
        assert!(is(&picked, 7, 3) && picked.is_unfiltered && picked.last_commit() == Some(7));
        picked.pick(operation(0, 0), How::UpTo);
        assert!(!is(&picked, 7, 3) && !picked.is_unfiltered && is(&picked, 20, 2));
    }
}
