//! How dense commits are: counted in columns of time, each with the commits at its two ends, so that whoever points at
//! a column means one commit and no other.
//!
//! A column is found by what the clock showed when a commit was made, but commits are in the order of their numbers.
//! Where a clock ran back, a column holds commits of both passes; its last one is the one with the greatest number, and
//! so a column leads where [the moment](super::integrate::resolve) does that it ends with.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// A span is never cut into more columns.
pub const COLUMNS_MAX: u32 = 2048;

/// A stretch of time in columns of one length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Where the first column begins.
    pub from: DateTime<Utc>,
    /// Where the last one ends.
    pub to: DateTime<Utc>,
    /// How many there are.
    pub columns: u32,
}

impl Span {
    /// The same with numbers that can be counted in, whoever asked.
    pub fn lawful(self) -> Self {
        let to = self.to.max(self.from.checked_add_signed(TimeDelta::microseconds(1)).unwrap_or(self.from));
        Self { to, columns: self.columns.clamp(1, COLUMNS_MAX), ..self }
    }

    fn length(&self) -> i128 {
        i128::from((self.to - self.from).num_microseconds().unwrap_or(i64::MAX)).max(1)
    }

    /// The column of a moment; none before the first one, and none after the last.
    pub fn column_of(&self, moment: DateTime<Utc>) -> Option<u32> {
        let within = i128::from((moment - self.from).num_microseconds()?);
        // Rounded by whole microseconds and never by fractions: a commit is on one side of an edge, always the same.
        let column = (within * i128::from(self.columns)).div_euclid(self.length());
        u32::try_from(column).ok().filter(|column| *column < self.columns)
    }

    /// Where a column begins: the earliest moment that lies in it.
    pub fn begins(&self, column: u32) -> DateTime<Utc> {
        let (length, columns) = (self.length(), i128::from(self.columns.max(1)));
        let within = (i128::from(column) * length + columns - 1).div_euclid(columns);
        let within = TimeDelta::microseconds(i64::try_from(within).unwrap_or(i64::MAX));
        self.from.checked_add_signed(within).unwrap_or(self.to)
    }
}

/// A commit and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spot {
    /// Its number.
    pub commit: u64,
    /// What the clock showed.
    pub time: DateTime<Utc>,
}

/// The commits of a column that holds any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// The how many-th column, from 0.
    pub nth: u32,
    /// How many commits lie in it.
    pub commits: u64,
    /// The first of them in the order of commits.
    pub first: Spot,
    /// The last of them.
    pub last: Spot,
}

/// How dense the commits of a span are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Density {
    /// The span.
    pub span: Span,
    /// The columns that hold commits, in order.
    pub columns: Vec<Column>,
    /// The last commit, in the order of commits, of those that lie before the span.
    pub before: Option<Spot>,
}

/// Counts commits, in the order of their numbers.
#[derive(Debug)]
pub struct Counter {
    span: Span,
    columns: BTreeMap<u32, Column>,
    before: Option<Spot>,
}

impl Counter {
    /// For a span.
    pub fn new(span: Span) -> Self {
        Self { span: span.lawful(), columns: BTreeMap::new(), before: None }
    }

    /// Takes the next commit.
    pub fn take(&mut self, commit: u64, time: DateTime<Utc>) {
        let spot = Spot { commit, time };
        match self.span.column_of(time) {
            Some(nth) => {
                let new = || Column { nth, commits: 0, first: spot, last: spot };
                let column = self.columns.entry(nth).or_insert_with(new);
                (column.commits, column.last) = (column.commits + 1, spot);
            }
            None if time < self.span.from => self.before = Some(spot),
            None => {}
        }
    }

    /// What was counted.
    pub fn finish(self) -> Density {
        Density { span: self.span, columns: self.columns.into_values().collect(), before: self.before }
    }
}

impl Density {
    /// The commit that a column means: its own last one; where it has none, that of the nearest column within `reach`;
    /// otherwise the last commit that was made while the clock showed what it begins with, or an earlier time. `None`
    /// where no commit was made by then.
    pub fn meant(&self, column: u32, reach: u32) -> Option<Spot> {
        // Of two that are equally near, the earlier one: less is integrated, and nothing wanted is overwritten by it.
        let near = self.columns.iter().filter(|known| known.nth.abs_diff(column) <= reach);
        let nearest = near.min_by_key(|known| (known.nth.abs_diff(column), known.nth));
        nearest.map(|known| known.last).or_else(|| self.until(column))
    }

    /// The last commit, in the order of commits, of this column and those before it.
    fn until(&self, column: u32) -> Option<Spot> {
        let earlier = self.columns.iter().take_while(|known| known.nth <= column).map(|known| known.last);
        earlier.chain(self.before).max_by_key(|spot| spot.commit)
    }

    /// How many commits the fullest column holds.
    pub fn most(&self) -> u64 {
        self.columns.iter().map(|column| column.commits).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(micros: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::microseconds(micros)
    }

    fn span(from: i64, to: i64, columns: u32) -> Span {
        Span { from: at(from), to: at(to), columns }
    }

    fn counted(span: Span, times: &[i64]) -> Density {
        let mut counter = Counter::new(span);
        times.iter().zip(1..).for_each(|(time, commit)| counter.take(commit, at(*time)));
        counter.finish()
    }

    #[test]
    fn a_commit_exactly_at_the_edge_of_a_column_lies_in_the_one_that_begins_there() {
        let span = span(0, 100, 10);
        assert_eq!(
            [-1, 0, 9, 10, 99, 100].map(|time| span.column_of(at(time))),
            [None, Some(0), Some(0), Some(1), Some(9), None]
        );
        // Where the length is no multiple of the columns, they differ by a microsecond and none is left out.
        let uneven = Span { columns: 3, ..span };
        assert_eq!([0, 33, 34, 66, 67].map(|time| uneven.column_of(at(time))), [0, 0, 1, 1, 2].map(Some));
        assert_eq!([0, 1, 2, 3].map(|nth| uneven.begins(nth)), [at(0), at(34), at(67), at(100)]);
    }

    #[test]
    fn of_commits_at_one_moment_a_column_means_the_last() {
        let density = counted(span(0, 100, 10), &[15, 15, 15]);
        assert_eq!(density.columns.len(), 1);
        assert_eq!((density.columns[0].first.commit, density.columns[0].last.commit), (1, 3));
        let meant = |column| density.meant(column, 0).map(|spot| spot.commit);
        assert_eq!([0, 1, 2, 9].map(meant), [None, Some(3), Some(3), Some(3)]);
    }

    #[test]
    fn between_two_commits_the_nearer_mark_is_meant_within_reach_and_else_the_one_before() {
        let density = counted(span(0, 100, 10), &[5, 45]);
        let meant = |column, reach| density.meant(column, reach).map(|spot| spot.commit);
        assert_eq!([0, 1, 2, 3, 4].map(|column| meant(column, 1)), [1, 1, 1, 2, 2].map(Some));
        assert_eq!(meant(2, 2), Some(1), "equally near: the earlier one");
        assert_eq!(meant(3, 0), Some(1));
    }

    #[test]
    fn where_the_clock_ran_back_the_order_is_that_of_commits() {
        // Commit 3 was made with a clock that was wrong, and set back before commit 4.
        let density = counted(span(0, 100, 10), &[5, 15, 85, 25, 35]);
        let meant = |column| density.meant(column, 0).map(|spot| spot.commit);
        assert_eq!([1, 2, 3, 5, 8, 9].map(meant), [2, 4, 5, 5, 3, 5].map(Some));
        let later = counted(span(40, 100, 6), &[5, 15, 85, 25, 35]);
        assert_eq!(later.before.map(|spot| spot.commit), Some(5), "not the one with the latest time");
    }

    #[test]
    fn no_numbers_of_whoever_asks_lead_astray() {
        let far = Span { from: DateTime::<Utc>::MIN_UTC, to: DateTime::<Utc>::MAX_UTC, columns: u32::MAX };
        let density = counted(far, &[5]);
        assert_eq!((density.span.columns, density.columns.len()), (COLUMNS_MAX, 1));
        let none = counted(Span { from: at(9), to: at(3), columns: 0 }, &[8, 9, 10]);
        assert_eq!(none.columns.iter().map(|column| column.last.commit).collect::<Vec<_>>(), [2]);
        let _ = Span { from: DateTime::<Utc>::MAX_UTC, to: DateTime::<Utc>::MAX_UTC, columns: 7 }.lawful().begins(7);
    }

    proptest! {
        #[test]
        fn every_commit_lies_in_one_column_and_a_column_leads_where_its_end_does(
            from in -1_000_000i64..1_000_000,
            length in 1i64..5_000_000,
            columns in 1u32..300,
            times in proptest::collection::vec(-2_000_000i64..6_000_000, 0..60),
            column in 0u32..300,
        ) {
            let span = span(from, from + length, columns);
            let density = counted(span, &times);
            let inside = times.iter().filter(|time| (from..from + length).contains(*time)).count() as u64;
            prop_assert_eq!(density.columns.iter().map(|column| column.commits).sum::<u64>(), inside);
            for known in &density.columns {
                let (begin, end) = (span.begins(known.nth), span.begins(known.nth + 1));
                prop_assert!(begin <= known.first.time && known.first.time < end);
                prop_assert!(begin <= known.last.time && known.last.time < end);
                prop_assert_eq!(density.meant(known.nth, 0), Some(known.last));
            }
            let column = column % columns;
            if density.columns.iter().all(|known| known.nth != column) {
                let end = span.begins(column + 1);
                let last = times.iter().zip(1u64..).filter(|(time, _)| at(**time) < end).map(|(_, commit)| commit).max();
                prop_assert_eq!(density.meant(column, 0).map(|spot| spot.commit), last);
            }
        }
    }
}
