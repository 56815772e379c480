//! Which part of time is seen, and how it is ruled: from years to seconds.

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, TimeZone, Timelike, Utc};

/// No less is seen.
const SHORTEST: i64 = SECOND;
/// No more.
const LONGEST: i64 = 400 * 366 * DAY;
const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Where a place is to be seen, it is not nearer to an edge than this part of all.
const INSIDE: f64 = 0.06;

/// A part of time, from its left edge to its right one, in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scale {
    from: i64,
    to: i64,
}

/// A line of the ruler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tick {
    pub(crate) at: DateTime<Utc>,
    pub(crate) label: String,
}

fn micros(moment: DateTime<Utc>) -> i64 {
    moment.timestamp_micros()
}

fn moment(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}

impl Scale {
    /// From one moment to another.
    pub(crate) fn new(from: DateTime<Utc>, to: DateTime<Utc>) -> Self {
        Self::of(micros(from), micros(to).saturating_sub(micros(from)))
    }

    fn of(from: i64, length: i64) -> Self {
        // What no calendar holds is nowhere to be seen.
        let (length, most) = (length.clamp(SHORTEST, LONGEST), 8_000 * 366 * DAY);
        let from = from.clamp(-most, most);
        Self { from, to: from + length }
    }

    /// The same with room at both sides, in parts of all.
    pub(crate) fn padded(self, left: f64, right: f64) -> Self {
        let length = self.length() as f64;
        let (left, right) = ((length * left) as i64, (length * right) as i64);
        Self::of(self.from - left, self.length() + left + right)
    }

    pub(crate) fn length(self) -> i64 {
        self.to - self.from
    }

    pub(crate) fn from(self) -> DateTime<Utc> {
        moment(self.from)
    }

    pub(crate) fn to(self) -> DateTime<Utc> {
        moment(self.to)
    }

    /// Where a moment stands: 0 at the left edge, 1 at the right one.
    pub(crate) fn part_of(self, moment: DateTime<Utc>) -> f64 {
        (micros(moment) - self.from) as f64 / self.length() as f64
    }

    /// The moment that stands there.
    pub(crate) fn moment_at(self, part: f64) -> DateTime<Utc> {
        moment(self.from.saturating_add((part * self.length() as f64).floor() as i64))
    }

    /// What is seen `factor` times as large. What stands at a place stays there, and no more than `whole` is seen.
    pub(crate) fn zoomed(self, at: f64, factor: f64, whole: Self) -> Self {
        let length = (self.length() as f64 / factor.max(1e-6)).min(whole.length() as f64) as i64;
        let length = length.clamp(SHORTEST, LONGEST);
        let fixed = self.from + (at * self.length() as f64) as i64;
        Self::of(fixed - (at * length as f64) as i64, length).within(whole)
    }

    /// Moved to the right by parts of all.
    pub(crate) fn moved(self, by: f64, whole: Self) -> Self {
        Self::of(self.from.saturating_add((by * self.length() as f64) as i64), self.length()).within(whole)
    }

    fn within(self, whole: Self) -> Self {
        let last = (whole.to - self.length()).max(whole.from);
        Self::of(self.from.clamp(whole.from, last), self.length())
    }

    /// Moved as little as need be so that a moment is seen.
    pub(crate) fn showing(self, moment: DateTime<Utc>, whole: Self) -> Self {
        let part = self.part_of(moment);
        match part {
            _ if (0.0..=1.0).contains(&part) => self,
            _ if part < 0.0 => self.moved(part - INSIDE, whole),
            _ => self.moved(part - 1.0 + INSIDE, whole),
        }
    }

    /// The lines of the ruler and what is written at them, at least `apart` of each other, in parts of all.
    pub(crate) fn ticks<Z: TimeZone>(self, apart: f64, zone: &Z) -> Vec<Tick>
    where
        Z::Offset: std::fmt::Display,
    {
        let least = (self.length() as f64 * apart.clamp(0.02, 1.0)) as i64;
        let Some(step) = STEPS.iter().find(|step| step.length() >= least).or(STEPS.last()) else { return Vec::new() };
        let local = |at: DateTime<Utc>| at.with_timezone(zone).naive_local();
        let tick = |at: DateTime<Utc>| {
            let shown = at.with_timezone(zone);
            let is_midnight = shown.time() == NaiveTime::MIN;
            let form = match step {
                Step::Micros(length) if !is_midnight && *length < MINUTE => "%H:%M:%S",
                Step::Micros(_) if !is_midnight => "%H:%M",
                Step::Micros(_) | Step::Days(_) => "%Y-%m-%d",
                Step::Months(months) if *months < 12 => "%Y-%m",
                Step::Months(_) => "%Y",
            };
            Tick { at, label: shown.format(form).to_string() }
        };
        let is_seen = |at: &DateTime<Utc>| self.from() <= *at && *at <= self.to();
        let midnight = |day: NaiveDate| zone.from_local_datetime(&day.and_time(NaiveTime::MIN)).earliest();
        match *step {
            Step::Micros(length) => {
                // Hours are gone through one by one: of those that the clock shows twice, both are there.
                let hop = length.min(HOUR);
                let offset = (local(self.from()) - self.from().naive_utc()).num_microseconds().unwrap_or(0);
                let first = (self.from + offset).div_euclid(hop) * hop - offset;
                let on_step = |at: &DateTime<Utc>| {
                    let time = local(*at).time();
                    length <= HOUR || i64::from(time.hour()) % (length / HOUR) == 0
                };
                let hops = (0..=self.length() / hop + 1).map(|nth| moment(first + nth * hop));
                hops.filter(is_seen).filter(on_step).map(tick).collect()
            }
            Step::Days(days) => {
                let first = i64::from(local(self.from()).date().num_days_from_ce()).div_euclid(days) * days;
                let count = self.length() / (days * DAY) + 2;
                let day = |nth: i64| NaiveDate::from_num_days_from_ce_opt(i32::try_from(first + nth * days).ok()?);
                let at = (0..=count).filter_map(day).filter_map(midnight).map(|at| at.to_utc());
                at.filter(is_seen).map(tick).collect()
            }
            Step::Months(months) => {
                let first = local(self.from()).date();
                let first =
                    (first.year() * 12 + i32::try_from(first.month0()).unwrap_or(0)).div_euclid(months) * months;
                let count = i32::try_from(self.length() / (28 * DAY) / i64::from(months) + 2).unwrap_or(0);
                let day = |nth: i32| {
                    let month = first + nth * months;
                    NaiveDate::from_ymd_opt(month.div_euclid(12), month.rem_euclid(12) as u32 + 1, 1)
                };
                let at = (0..=count).filter_map(day).filter_map(midnight).map(|at| at.to_utc());
                at.filter(is_seen).map(tick).collect()
            }
        }
    }
}

/// How far the lines of the ruler are apart.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// As long as this.
    Micros(i64),
    Days(i64),
    Months(i32),
}

impl Step {
    fn length(self) -> i64 {
        match self {
            Step::Micros(length) => length,
            Step::Days(days) => days * DAY,
            Step::Months(months) => i64::from(months) * 28 * DAY,
        }
    }
}

const STEPS: [Step; 31] = [
    Step::Micros(SECOND),
    Step::Micros(2 * SECOND),
    Step::Micros(5 * SECOND),
    Step::Micros(10 * SECOND),
    Step::Micros(15 * SECOND),
    Step::Micros(30 * SECOND),
    Step::Micros(MINUTE),
    Step::Micros(2 * MINUTE),
    Step::Micros(5 * MINUTE),
    Step::Micros(10 * MINUTE),
    Step::Micros(15 * MINUTE),
    Step::Micros(30 * MINUTE),
    Step::Micros(HOUR),
    Step::Micros(2 * HOUR),
    Step::Micros(3 * HOUR),
    Step::Micros(6 * HOUR),
    Step::Micros(12 * HOUR),
    Step::Days(1),
    Step::Days(2),
    Step::Days(7),
    Step::Days(14),
    Step::Months(1),
    Step::Months(2),
    Step::Months(3),
    Step::Months(6),
    Step::Months(12),
    Step::Months(24),
    Step::Months(60),
    Step::Months(120),
    Step::Months(240),
    Step::Months(600),
];

/// A stretch of time in words, as exact as it is short: `2026-11-22 14:00 to 15:30`.
pub(crate) fn stretch_in_words<Z: TimeZone>(from: DateTime<Utc>, to: DateTime<Utc>, zone: &Z) -> String
where
    Z::Offset: std::fmt::Display,
{
    let (a, b) = (from.with_timezone(zone), to.with_timezone(zone));
    let time = if to - from < TimeDelta::minutes(20) { "%H:%M:%S" } else { "%H:%M" };
    match to - from {
        length if a.date_naive() == b.date_naive() && length < TimeDelta::days(2) => {
            format!("{} {} to {}", a.format("%Y-%m-%d"), a.format(time), b.format(time))
        }
        length if length < TimeDelta::days(4) => {
            let form = format!("%Y-%m-%d {time}");
            format!("{} to {}", a.format(&form), b.format(&form))
        }
        _ => format!("{} to {}", a.format("%Y-%m-%d"), b.format("%Y-%m-%d")),
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::Europe::Zurich;
    use proptest::prelude::*;

    use super::*;

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap_or_default()
    }

    fn labels(from: &str, to: &str, apart: f64) -> Vec<String> {
        Scale::new(utc(from), utc(to)).ticks(apart, &Zurich).into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn the_ruler_goes_from_years_to_seconds() {
        let years = labels("2016-01-01T00:00:00Z", "2026-01-01T00:00:00Z", 0.15);
        assert_eq!(years, ["2018", "2020", "2022", "2024", "2026"]);
        assert_eq!(labels("2026-01-10T00:00:00Z", "2026-04-10T00:00:00Z", 0.2), ["2026-02", "2026-03", "2026-04"]);
        assert_eq!(
            labels("2026-06-01T10:00:00Z", "2026-06-03T10:00:00Z", 0.2),
            ["12:00", "2026-06-02", "12:00", "2026-06-03", "12:00"]
        );
        assert_eq!(labels("2026-06-01T10:00:01Z", "2026-06-01T10:00:11Z", 0.3), ["12:00:05", "12:00:10"]);
        assert_eq!(labels("2026-06-01T10:00:01Z", "2026-06-01T10:00:03Z", 0.3), ["12:00:01", "12:00:02", "12:00:03"]);
    }

    #[test]
    fn an_hour_that_comes_twice_has_two_lines_and_one_that_is_skipped_none() {
        let twice = labels("2026-10-24T23:30:00Z", "2026-10-25T02:30:00Z", 0.2);
        assert_eq!(twice, ["02:00", "02:00", "03:00"]);
        assert_eq!(labels("2026-03-28T23:30:00Z", "2026-03-29T02:30:00Z", 0.2), ["01:00", "03:00", "04:00"]);
    }

    #[test]
    fn what_stands_under_the_pointer_stays_there_while_it_is_zoomed() {
        let whole = Scale::new(utc("2026-01-01T00:00:00Z"), utc("2026-02-01T00:00:00Z"));
        let (at, mut scale) = (0.25, whole);
        let under = scale.moment_at(at);
        for _ in 0..200 {
            scale = scale.zoomed(at, 1.3, whole);
        }
        assert_eq!(scale.length(), SHORTEST);
        assert!((scale.part_of(under) - at).abs() < 0.01, "{}", scale.part_of(under));
        for _ in 0..200 {
            scale = scale.zoomed(at, 1.0 / 1.3, whole);
        }
        assert_eq!(scale, whole);
        assert_eq!(whole.zoomed(0.5, 0.1, whole), whole, "no more is seen than there is");
    }

    #[test]
    fn a_stretch_is_told_as_exactly_as_it_is_short() {
        let words = |from, to| stretch_in_words(utc(from), utc(to), &Zurich);
        assert_eq!(words("2026-06-01T10:00:00Z", "2026-06-01T10:00:07Z"), "2026-06-01 12:00:00 to 12:00:07");
        assert_eq!(words("2026-06-01T10:00:00Z", "2026-06-01T14:30:00Z"), "2026-06-01 12:00 to 16:30");
        assert_eq!(words("2026-06-01T10:00:00Z", "2026-06-02T10:00:00Z"), "2026-06-01 12:00 to 2026-06-02 12:00");
        assert_eq!(words("2026-06-01T10:00:00Z", "2026-08-01T10:00:00Z"), "2026-06-01 to 2026-08-01");
    }

    proptest! {
        #[test]
        fn moments_and_places_agree_and_nothing_leaves_the_whole(
            from in -4_000_000_000i64..8_000_000_000,
            length in 1i64..4_000_000_000,
            steps in proptest::collection::vec((0.0f64..1.0, 0.2f64..5.0, -3.0f64..3.0), 0..20),
            part in 0.0f64..1.0,
        ) {
            let at = |seconds: i64| DateTime::from_timestamp(seconds, 0).unwrap_or_default();
            let whole = Scale::new(at(from), at(from + length));
            let mut scale = whole;
            for (place, factor, by) in steps {
                scale = scale.zoomed(place, factor, whole).moved(by, whole);
                prop_assert!(whole.from <= scale.from && scale.to <= whole.to && scale.length() >= SHORTEST);
            }
            let moment = scale.moment_at(part);
            prop_assert!(scale.from() <= moment && moment <= scale.to());
            prop_assert!((scale.part_of(moment) - part).abs() <= 1.0 / scale.length() as f64 + 1e-9);
            let shown = scale.showing(at(from + length / 3), whole);
            prop_assert!((0.0..=1.0).contains(&shown.part_of(at(from + length / 3))));
            let ticks = scale.ticks(0.15, &Zurich);
            prop_assert!(ticks.len() < 16, "{ticks:?}");
            prop_assert!(ticks.windows(2).all(|pair| pair[0].at < pair[1].at));
            prop_assert!(ticks.iter().all(|tick| scale.from() <= tick.at && tick.at <= scale.to()));
        }
    }
}
