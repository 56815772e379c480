//! When full backups are due: pure functions of the schedule, a moment and its time zone.
//!
//! A schedule names moments on the wall clock. Where the clock skips one, because summer time begins, the backup is due
//! at the next moment that exists; where the clock shows one twice, it is due the first time only, and both times where
//! it is due every hour. A day of the month that a month does not have is its last day. What comes of it while the
//! program runs, is asleep or is not there, and when a backup fails, is decided in [`automatic`].

pub mod automatic;

use chrono::{DateTime, Datelike, Days, Duration, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Timelike};

use crate::{
    control::wall::{SHIFT_MAX, Shown, shown},
    settings::sections::{Frequency, Scheduler, Unit},
};

/// An interval of the wall clock, and what is due in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Interval {
    unit: Unit,
    every: u32,
}

fn interval(scheduler: &Scheduler) -> Option<Interval> {
    let every = |every, unit| Some(Interval { unit, every });
    match scheduler.frequency {
        Frequency::Never => None,
        Frequency::EveryHour => every(1, Unit::Hours),
        Frequency::EveryDay => every(1, Unit::Days),
        Frequency::EveryWeek => every(1, Unit::Weeks),
        Frequency::EveryMonth => every(1, Unit::Months),
        Frequency::Personalized => every(scheduler.every.max(1), scheduler.unit),
    }
}

/// The first moment after `after` at which a backup is due.
pub fn next_due<Z: TimeZone>(scheduler: &Scheduler, after: &DateTime<Z>) -> Option<DateTime<Z>> {
    let begin = after.naive_local().checked_sub_signed(SHIFT_MAX)?;
    moments(scheduler, begin, after.timezone()).find(|due| due > after)
}

/// The last moment at or before `at` at which a backup was due.
pub fn last_due<Z: TimeZone>(scheduler: &Scheduler, at: &DateTime<Z>) -> Option<DateTime<Z>> {
    let Interval { unit, every } = interval(scheduler)?;
    let back = match unit {
        Unit::Hours => Duration::hours(i64::from(every)),
        Unit::Days => Duration::days(i64::from(every)),
        Unit::Weeks => Duration::days(7 * (i64::from(every) + 1)),
        Unit::Months => Duration::days(31 * (i64::from(every) + 1)),
    };
    let begin = at.naive_local().checked_sub_signed(back + SHIFT_MAX)?;
    moments(scheduler, begin, at.timezone()).take_while(|due| due <= at).last()
}

/// The next `count` moments after `after` at which backups are due.
pub fn next_dates<Z: TimeZone>(scheduler: &Scheduler, after: &DateTime<Z>, count: usize) -> Vec<DateTime<Z>> {
    let next = |from: &DateTime<Z>| next_due(scheduler, from);
    std::iter::successors(next(after), next).take(count).collect()
}

/// Whether two backups have been due since the last good one, so that it is older than twice the interval.
pub fn is_overdue<Z: TimeZone>(scheduler: &Scheduler, last_good: &DateTime<Z>, now: &DateTime<Z>) -> bool {
    let before = |at: &DateTime<Z>| last_due(scheduler, &(at.clone() - Duration::seconds(1)));
    last_due(scheduler, now).and_then(|last| before(&last)).is_some_and(|second| *last_good < second)
}

/// The moments in `zone` that the wall clock shows from `begin` on, in order.
fn moments<Z: TimeZone>(scheduler: &Scheduler, begin: NaiveDateTime, zone: Z) -> impl Iterator<Item = DateTime<Z>> {
    let mut last: Option<DateTime<Z>> = None;
    let is_hourly = interval(scheduler) == Some(Interval { unit: Unit::Hours, every: 1 });
    let due = move |slot| {
        // Without the second one, two hours would pass between two backups.
        let again = match shown(slot, &zone) {
            Shown::Twice { first, second } => {
                (is_hourly && second.clone().signed_duration_since(first) <= Duration::hours(1)).then_some(second)
            }
            _ => None,
        };
        moment(slot, &zone).into_iter().chain(again)
    };
    slots(scheduler, begin).flat_map(due).filter(move |due| {
        // Two of them can fall on the moment after a gap.
        let new = last.as_ref() != Some(due);
        last = Some(due.clone());
        new
    })
}

/// The moment at which the clock shows `slot`: the first time, or when it never does, the next one that it shows.
fn moment<Z: TimeZone>(slot: NaiveDateTime, zone: &Z) -> Option<DateTime<Z>> {
    let mut slot = slot;
    for minute in 0..=SHIFT_MAX.num_minutes() {
        match shown(slot, zone).first() {
            Some(due) => return Some(due),
            // Clocks are set at full minutes.
            None if minute == 0 => slot = slot.with_second(0)?,
            None => {}
        }
        slot = slot.checked_add_signed(Duration::minutes(1))?;
    }
    None
}

/// What the wall clock shows when a backup is due, from `begin` on.
fn slots(scheduler: &Scheduler, begin: NaiveDateTime) -> Box<dyn Iterator<Item = NaiveDateTime>> {
    let Some(Interval { unit, every }) = interval(scheduler) else { return Box::new(std::iter::empty()) };
    let personalized = scheduler.frequency == Frequency::Personalized;
    let from = scheduler.from.filter(|_| personalized);
    let begin = from.map_or(begin, |from| begin.max(from.and_time(NaiveTime::MIN)));
    let (at, every) = (scheduler.at, i64::from(every));
    match unit {
        Unit::Hours => hours(every, from, if personalized { at } else { NaiveTime::MIN }, begin),
        Unit::Days => {
            let origin = from.unwrap_or_default();
            Box::new(days(begin.date(), origin, every).map(move |day| day.and_time(at)).filter(move |s| *s >= begin))
        }
        Unit::Weeks => {
            // Weeks are counted from a Monday; the epoch was a Thursday.
            let monday =
                |day: NaiveDate| day.checked_sub_days(Days::new(u64::from(day.weekday().num_days_from_monday())));
            let Some(origin) = monday(from.unwrap_or_default()) else { return Box::new(std::iter::empty()) };
            let Some(first) = monday(begin.date()) else { return Box::new(std::iter::empty()) };
            let weekdays: Vec<u64> = scheduler.weekdays.iter().map(|day| *day as u64).collect();
            let week = move |monday: NaiveDate| {
                let days = weekdays.clone().into_iter().filter_map(move |n| monday.checked_add_days(Days::new(n)));
                days.map(move |day| day.and_time(at))
            };
            Box::new(days(first, origin, 7 * every).flat_map(week).filter(move |s| *s >= begin))
        }
        Unit::Months => months(every, from.unwrap_or_default(), scheduler.day, at, begin),
    }
}

/// Every so many hours, counted from `at` on the day `from`.
fn hours(
    every: i64,
    from: Option<NaiveDate>,
    at: NaiveTime,
    begin: NaiveDateTime,
) -> Box<dyn Iterator<Item = NaiveDateTime>> {
    let origin = from.unwrap_or_default().and_time(at);
    let step = Duration::hours(every);
    let count = (begin - origin).num_seconds().div_euclid(step.num_seconds());
    let count = if from.is_some() { count.max(0) } else { count };
    let first = i32::try_from(count).ok().and_then(|count| origin.checked_add_signed(step * count));
    Box::new(std::iter::successors(first, move |slot| slot.checked_add_signed(step)).filter(move |s| *s >= begin))
}

/// The days from `first` on that lie a multiple of `every` days from `origin`.
fn days(first: NaiveDate, origin: NaiveDate, every: i64) -> impl Iterator<Item = NaiveDate> {
    let ahead = (origin - first).num_days().rem_euclid(every) as u64;
    // The week that `first` lies in counts as well, when it is one of them.
    let first = first.checked_add_days(Days::new(ahead));
    std::iter::successors(first, move |day| day.checked_add_days(Days::new(every as u64)))
}

fn months(
    every: i64,
    origin: NaiveDate,
    day: u32,
    at: NaiveTime,
    begin: NaiveDateTime,
) -> Box<dyn Iterator<Item = NaiveDateTime>> {
    let number = |date: NaiveDate| i64::from(date.year()) * 12 + i64::from(date.month0());
    let ahead = (number(origin) - number(begin.date())).rem_euclid(every) as u32;
    let first = begin.date().with_day(1).and_then(|first| first.checked_add_months(Months::new(ahead)));
    let step = Months::new(every as u32);
    let slot = move |first: NaiveDate| {
        let last = first.checked_add_months(Months::new(1))?.pred_opt()?;
        Some(first.with_day(day.min(last.day()))?.and_time(at))
    };
    Box::new(
        std::iter::successors(first, move |first| first.checked_add_months(step))
            .map_while(slot)
            .filter(move |slot| *slot >= begin),
    )
}

#[cfg(test)]
mod tests;
