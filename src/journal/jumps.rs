//! Where the times in a log are not those at which the commits were made: the clock was ahead for a while, and then set
//! right.
//!
//! A record bears what the clock showed. Where the next one bears an earlier time, the clock ran back, and the commits
//! before it, as far as they bear later times, were made earlier than they say. The same show an archive that was cut
//! there and bears an earlier time, and a time that is still to come.
//!
//! In logs of version 1 no record is earlier than the one before. So commits bear the time of the wrong clock until the
//! right one has reached it: the first of them, made while the clock was ahead, times that are to come; the rest one
//! and the same time. That shows too: several commits in a row bear the same time to the microsecond, after a stretch
//! without any. Nothing says when those were made.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    format::Tail,
    plan::{Piece, Plan},
    reader::LogReader,
};
use crate::{control::Control, error::Result};

/// So many commits in a row never bear the same time while the clock goes on: each takes microseconds to be read.
pub const STANDS_STILL: u32 = 3;
/// A clock that is set by less is none that a person notices.
pub const NOTICED: TimeDelta = TimeDelta::seconds(10);

/// Commits that were made earlier than their times say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jump {
    /// The first and the last of them.
    pub commits: (u64, u64),
    /// The time before them: none of them was made earlier.
    pub from: DateTime<Utc>,
    /// The latest time that one of them bears.
    pub to: DateTime<Utc>,
    /// The earliest time that one of them bears, where the clock had run back after them.
    #[serde(default)]
    pub since: Option<DateTime<Utc>>,
    /// What the clock showed at the next commit, where it had run back by then: none of them was made later.
    #[serde(default)]
    pub right_again: Option<DateTime<Utc>>,
}

impl Jump {
    /// Whether a limit at `moment` leaves out commits of the jump that may have been made before it.
    pub fn conceals(&self, moment: DateTime<Utc>) -> bool {
        self.from <= moment && moment < self.right_again.unwrap_or(self.to)
    }

    /// Whether the clock showed `moment` while it was ahead.
    pub fn shows(&self, moment: DateTime<Utc>) -> bool {
        self.since.is_some_and(|since| since <= moment && moment < self.to)
    }

    /// Whether the clock showed `moment` twice: before and after it ran back.
    pub fn repeats(&self, moment: DateTime<Utc>) -> bool {
        self.right_again.is_some_and(|again| again <= moment && moment < self.to)
    }
}

/// The latest time that the clock had shown in a log, where it ran back since.
pub fn ahead(tail: &Tail) -> Option<DateTime<Utc>> {
    (tail.time - tail.wall > NOTICED).then_some(tail.time)
}

/// What a clock that was right says of the state after a commit: it was reached at that time, and not later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Witness {
    /// The commit.
    pub commit: u64,
    /// The time.
    pub time: DateTime<Utc>,
}

/// Finds the jumps among the commits of `plan`. `witnesses` are the archives cut there, and this moment.
///
/// # Errors
/// When a log cannot be read, or the job is stopped.
pub fn find(plan: &Plan, witnesses: &[Witness], control: &Control) -> Result<Vec<Jump>> {
    let time_at = |commit: u64| {
        let at_end = |piece: &&Piece| piece.commits.1 == commit;
        let of_base = plan.base_time.filter(|_| commit == plan.from.commit);
        plan.pieces.iter().find(at_end).map(|piece| piece.times.1).or(of_base)
    };
    let contradicts = |w: &&Witness| time_at(w.commit).is_some_and(|time| time - w.time > NOTICED);
    let witnesses: Vec<Witness> = witnesses.iter().filter(contradicts).copied().collect();
    if witnesses.is_empty() && !plan.stands_still && !plan.runs_back {
        return Ok(Vec::new());
    }
    let mut times = Vec::new();
    times.extend(plan.base_time.map(|time| (plan.from.commit, time)));
    for piece in &plan.pieces {
        let mut reader = LogReader::open(&piece.path)?;
        while let Some(record) = reader.next_record()? {
            control.check()?;
            if (piece.commits.0..=piece.commits.1).contains(&record.head.commit) {
                times.push((record.head.commit, record.head.wall));
            }
        }
    }
    Ok(jumps(&times, &witnesses))
}

/// The jumps among commits with their times, of which the first is the state before.
fn jumps(times: &[(u64, DateTime<Utc>)], witnesses: &[Witness]) -> Vec<Jump> {
    let mut found = Vec::new();
    for at in 1..times.len() {
        let again = times[at].1;
        if times[at - 1].1 - again <= NOTICED {
            continue;
        }
        // All just before it that bear a later time.
        let first = times[..at].iter().rposition(|(_, time)| *time <= again).map_or(0, |before| before + 1);
        let (from, run) = (times[first.saturating_sub(1)].1.min(again), &times[first.max(1)..at]);
        let to = run.iter().map(|(_, time)| *time).max();
        let since = run.iter().map(|(_, time)| *time).min();
        let ends = run.first().zip(run.last()).map(|(first, last)| (first.0, last.0));
        let jump = ends.zip(to).map(|(commits, to)| Jump { commits, from, to, since, right_again: Some(again) });
        found.extend(jump);
    }
    for witness in witnesses {
        let Some(at) = times.iter().position(|(commit, _)| *commit == witness.commit) else { continue };
        let stands = times[at].1;
        // Those that bear a time after the one that the witness saw, and those that bear the same as the last of them.
        let first = times[..=at].iter().rposition(|(_, time)| *time <= witness.time).map_or(0, |before| before + 1);
        let from = if first == 0 { witness.time } else { times[first - 1].1 };
        found.extend(stretch(times, first.max(1), stands, from));
    }
    let (mut gap, mut same) = ((TimeDelta::zero(), 1), 1);
    for at in 1..times.len() {
        let pause = times[at].1 - times[at - 1].1;
        gap = gap.max((pause, at));
        same = if pause.is_zero() { same + 1 } else { 1 };
        if same == STANDS_STILL && gap.0 > NOTICED {
            found.extend(stretch(times, gap.1, times[at].1, times[gap.1 - 1].1));
            gap = (TimeDelta::zero(), at);
        }
    }
    found.sort_by_key(|jump| (jump.commits, jump.from));
    found.dedup_by(|later, earlier| {
        let is_same = later.commits.0 <= earlier.commits.1;
        if is_same {
            earlier.commits.1 = earlier.commits.1.max(later.commits.1);
            (earlier.from, earlier.to) = (earlier.from.min(later.from), earlier.to.max(later.to));
            earlier.right_again = earlier.right_again.max(later.right_again);
            earlier.since = earlier.since.into_iter().chain(later.since).min();
        }
        is_same
    });
    found
}

/// From the commit at `first` to the last one that bears the time `to`.
fn stretch(times: &[(u64, DateTime<Utc>)], first: usize, to: DateTime<Utc>, from: DateTime<Utc>) -> Option<Jump> {
    let last = times.iter().rposition(|(_, time)| *time == to).filter(|last| *last >= first)?;
    Some(Jump { commits: (times[first].0, times[last].0), from, to, since: None, right_again: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Minutes of one hour, as times.
    fn at(minute: f64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::milliseconds((minute * 60_000.0) as i64)
    }

    fn times(minutes: &[f64]) -> Vec<(u64, DateTime<Utc>)> {
        (40..).zip(minutes.iter().map(|minute| at(*minute))).collect()
    }

    fn found(minutes: &[f64], witnesses: &[(u64, f64)]) -> Vec<((u64, u64), f64, f64)> {
        let witnesses: Vec<Witness> =
            witnesses.iter().map(|(commit, minute)| Witness { commit: *commit, time: at(*minute) }).collect();
        let minutes_of = |time: DateTime<Utc>| (time - DateTime::UNIX_EPOCH).num_milliseconds() as f64 / 60_000.0;
        let jumps = jumps(&times(minutes), &witnesses);
        jumps.iter().map(|jump| (jump.commits, minutes_of(jump.from), minutes_of(jump.to))).collect()
    }

    #[test]
    fn commits_that_bear_one_time_after_a_pause_were_made_in_it() {
        // Base 40 and two commits in order; two ahead by 20 minutes; three after the clock was right again.
        assert_eq!(found(&[0.0, 1.0, 2.0, 23.0, 24.0, 24.0, 24.0, 25.0], &[]), [((43, 46), 2.0, 24.0)]);
        assert_eq!(found(&[0.0, 1.0, 2.0, 23.0, 24.0, 25.0, 26.0], &[]), [], "a pause alone is none");
        assert_eq!(found(&[0.0, 1.0, 1.0, 2.0], &[]), [], "nor are two in one microsecond");
        assert_eq!(found(&[0.0, 0.05, 0.05, 0.05, 0.1], &[]), [], "nor a clock that was set by a second or two");
        let twice = [0.0, 20.0, 20.0, 20.0, 21.0, 50.0, 50.0, 50.0];
        assert_eq!(found(&twice, &[]), [((41, 43), 0.0, 20.0), ((45, 47), 21.0, 50.0)]);
    }

    #[test]
    fn times_at_the_end_of_all_times_are_as_good_as_others() {
        let times = [(1, DateTime::<Utc>::MIN_UTC), (2, DateTime::<Utc>::MAX_UTC), (3, DateTime::<Utc>::MAX_UTC)];
        let witness = Witness { commit: 3, time: DateTime::<Utc>::MAX_UTC };
        assert_eq!(jumps(&times, &[witness]), []);
    }

    #[test]
    fn an_archive_that_was_made_before_its_own_commits_tells_of_a_jump() {
        assert_eq!(found(&[0.0, 1.0, 23.0, 24.0, 30.0], &[(43, 3.0)]), [((42, 43), 1.0, 24.0)]);
        // Also the one that the restore begins with: what follows bears its log's time.
        assert_eq!(found(&[24.0, 24.0, 24.0, 25.0], &[(40, 3.0)]), [((41, 42), 3.0, 24.0)]);
        // One jump, seen in two ways.
        assert_eq!(found(&[0.0, 1.0, 23.0, 24.0, 24.0, 24.0, 25.0], &[(43, 3.0)]), [((42, 45), 1.0, 24.0)]);
        // A time to come: this moment is the witness.
        assert_eq!(found(&[0.0, 1.0, 50.0], &[(42, 10.0)]), [((42, 42), 1.0, 50.0)]);
    }

    #[test]
    fn a_clock_that_ran_back_shows_which_commits_bear_times_to_come_and_when_they_were_made() {
        // Two commits ahead by two days; right again at 5.
        let times = times(&[0.0, 1.0, 2882.0, 2883.0, 5.0, 6.0]);
        let jumps = jumps(&times, &[]);
        let jump = Jump {
            commits: (42, 43),
            from: at(1.0),
            to: at(2883.0),
            since: Some(at(2882.0)),
            right_again: Some(at(5.0)),
        };
        assert_eq!(jumps, [jump]);
        let minutes = [0.9, 1.0, 4.9, 5.0, 20.0, 2882.9, 2883.0];
        assert_eq!(minutes.map(|minute| jump.conceals(at(minute))), [false, true, true, false, false, false, false]);
        assert_eq!(minutes.map(|minute| jump.repeats(at(minute))), [false, false, false, true, true, true, false]);
        let minutes = [2881.9, 2882.0, 2882.9, 2883.0];
        assert_eq!(minutes.map(|minute| jump.shows(at(minute))), [false, true, true, false]);
        assert_eq!(found(&[0.0, 1.0, 1.1, 1.0, 1.2], &[]), [], "nor a clock that is set back by some seconds");
        // The clock of the archive was ahead already: nothing is known of before.
        assert_eq!(found(&[30.0, 31.0, 5.0], &[]), [((41, 41), 5.0, 31.0)]);
    }

    #[test]
    fn a_moment_before_its_end_is_concealed() {
        let jump = Jump { commits: (43, 46), from: at(2.0), to: at(24.0), since: None, right_again: None };
        assert_eq!([1.9, 2.0, 23.9, 24.0].map(|minute| jump.conceals(at(minute))), [false, true, true, false]);
    }
}
