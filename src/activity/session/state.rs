//! How far the logs are read, and what there is to choose from.

use chrono::{DateTime, Datelike, Days, Local, NaiveDateTime, TimeDelta, TimeZone, Timelike, Utc};

use super::{Inner, Mode, passing};
use crate::{
    activity::{
        filter::Filter,
        hits::Hits,
        index::{BUCKET_SECONDS, Index},
        query::{State, Time},
    },
    error::Result,
};

/// More tables are not offered.
const TABLES_MAX: usize = 2000;

impl Inner {
    pub(super) fn state(&self, filter: Option<&Filter>, upto: Option<u64>) -> Result<State> {
        let index = &self.index;
        let end = |place: u64| -> Result<_> { Ok(index.commit(place)?.map(|commit| (commit.number, commit.time()))) };
        let ends = match (end(0)?, end(index.commits().saturating_sub(1))?) {
            (Some(oldest), Some(newest)) => Some([oldest, newest]),
            _ => None,
        };
        let mut tables: Vec<(String, bool)> =
            index.tables().iter().map(|table| (table.name.clone(), table.is_internal)).collect();
        tables.sort_by_key(|(name, is_internal)| (*is_internal, name.to_lowercase()));
        tables.truncate(TABLES_MAX);
        let hits = filter.and_then(|filter| self.hits.iter().find(|hits| hits.filter == *filter));
        let passing_commits = hits.map_or(Ok(0), |hits| passing(index, hits, upto))?;
        let all = hits.map_or(Ok(0), |hits| passing(index, hits, None))?;
        let last = hits.and_then(|hits| hits.commits_looked_at().checked_sub(1));
        let looked_to = last.map(|last| index.commit(last)).transpose()?.flatten().map(|commit| commit.number);
        Ok(State {
            is_reading: self.mode == Mode::Reading || self.mode == Mode::Waiting && self.is_wanted,
            is_stopped: self.is_stopped && self.mode == Mode::Reading,
            bytes: self.bytes,
            commits: index.commits(),
            operations: index.operations(),
            ends,
            begins: self.begins.clone(),
            tables,
            times: times(index),
            passing_commits,
            newer_commits: all - passing_commits,
            looked_to,
            passing_operations: hits.map_or(0, Hits::operations),
            looked_at: hits.map_or(0, Hits::looked_at),
            not_in_sight: hits.map_or(0, |hits| hits.not_in_sight),
            problem: self.problem.clone(),
            torn: self.torn.clone(),
        })
    }
}

/// How long the stretches of time are that are offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Minutes,
    Hour,
    Day,
    Month,
}

fn unit_for(seconds: i64) -> Unit {
    match seconds {
        i64::MIN..14_400 => Unit::Minutes,
        14_400..345_600 => Unit::Hour,
        345_600..10_368_000 => Unit::Day,
        _ => Unit::Month,
    }
}

/// When commits were made, in few stretches of the time of this machine.
fn times(index: &Index) -> Vec<Time> {
    let known = index.times();
    let span = known.last_key_value().zip(known.first_key_value()).map_or(0, |(last, first)| last.0 - first.0);
    let unit = unit_for(span);
    let mut times: Vec<Time> = Vec::new();
    for (seconds, commits) in known {
        let Some(at) = DateTime::from_timestamp(*seconds, 0) else { continue };
        match times.last_mut().filter(|last| at < last.before) {
            Some(last) => last.commits += commits,
            None => {
                let (since, before) = stretch(at, unit);
                times.push(Time { since, before, commits: *commits });
            }
        }
    }
    times
}

/// The stretch that a moment lies in.
fn stretch(at: DateTime<Utc>, unit: Unit) -> (DateTime<Utc>, DateTime<Utc>) {
    let local = at.with_timezone(&Local).naive_local();
    let midnight = |day: chrono::NaiveDate| day.and_time(chrono::NaiveTime::MIN);
    let first = |local: NaiveDateTime| midnight(local.date() - Days::new(u64::from(local.day0())));
    let ends = match unit {
        Unit::Minutes => None,
        Unit::Hour => {
            let begin = midnight(local.date()) + TimeDelta::hours(i64::from(local.hour()));
            Some((begin, begin + TimeDelta::hours(1)))
        }
        Unit::Day => Some((midnight(local.date()), midnight(local.date() + Days::new(1)))),
        Unit::Month => {
            let begin = first(local);
            Some((begin, first(begin + TimeDelta::days(31))))
        }
    };
    let utc = |local: NaiveDateTime| Local.from_local_datetime(&local).earliest().map(|at| at.with_timezone(&Utc));
    let found = ends.and_then(|(since, before)| utc(since).zip(utc(before)));
    // Where a clock is set back or forward, a stretch may not hold what lies in it.
    let held = found.filter(|(since, before)| *since <= at && at < *before);
    held.unwrap_or((at, at + TimeDelta::seconds(BUCKET_SECONDS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_lies_in_its_stretch_and_months_end_where_the_next_begins() {
        for hours in 0..(24 * 800) {
            let at = DateTime::UNIX_EPOCH + TimeDelta::days(19_000) + TimeDelta::hours(hours);
            for unit in [Unit::Minutes, Unit::Hour, Unit::Day, Unit::Month] {
                let (since, before) = stretch(at, unit);
                assert!(since <= at && at < before, "{at} {unit:?}: {since} {before}");
            }
        }
        assert_eq!([0, 20_000, 500_000, 20_000_000].map(unit_for), [Unit::Minutes, Unit::Hour, Unit::Day, Unit::Month]);
    }
}
