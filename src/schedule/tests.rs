//! The schedule over a table of dates, and as properties.

use std::collections::BTreeSet;

use chrono::{NaiveDate, Utc};
use chrono_tz::{
    Africa::Casablanca,
    America::{New_York, Sao_Paulo},
    Australia::Lord_Howe,
    Europe::Zurich,
    Pacific::Apia,
    Tz,
};
use proptest::prelude::*;

use super::*;
use crate::settings::sections::Weekday;

const FORM: &str = "%Y-%m-%d %H:%M %:z";

/// The schedule that these settings mean: `scheduler.` stands before every key.
fn schedule(settings: &str) -> Result<Scheduler, String> {
    let mut all = crate::settings::Settings::default();
    for setting in settings.split("; ") {
        let (name, value) = setting.split_once('=').ok_or(setting)?;
        let key = crate::settings::Key::find(&format!("scheduler.{name}")).ok_or(name)?;
        let value = value.parse().unwrap_or_else(|_| value.into());
        key.set(&mut all, &value).ok_or(setting)?;
    }
    Ok(all.scheduler)
}

/// `2026-03-29 01:10` as the clock of `zone` shows it, the second time if it ends in `b`.
fn at(zone: Tz, text: &str) -> Result<DateTime<Tz>, String> {
    let naive =
        NaiveDateTime::parse_from_str(text.trim_end_matches('b'), "%Y-%m-%d %H:%M").map_err(|e| e.to_string())?;
    let local = zone.from_local_datetime(&naive);
    if text.ends_with('b') { local.latest() } else { local.earliest() }.ok_or_else(|| format!("{text} does not exist"))
}

#[test]
fn next_dates_over_a_table() -> Result<(), String> {
    let table: &[(Tz, &str, &str, &[&str])] = &[
        (Zurich, "frequency=never", "2026-06-01 12:00", &[]),
        (Zurich, "frequency=every hour", "2026-06-01 12:00", &["2026-06-01 13:00 +02:00", "2026-06-01 14:00 +02:00"]),
        (Zurich, "frequency=every hour", "2026-12-31 23:59", &["2027-01-01 00:00 +01:00"]),
        // The hour from 2 to 3 does not exist: what was due at 2 and at 3 falls on one moment.
        (
            Zurich,
            "frequency=every hour",
            "2026-03-29 00:30",
            &["2026-03-29 01:00 +01:00", "2026-03-29 03:00 +02:00", "2026-03-29 04:00 +02:00"],
        ),
        // The hour from 2 to 3 comes twice: no hour goes by without a backup.
        (
            Zurich,
            "frequency=every hour",
            "2026-10-25 01:30",
            &["2026-10-25 02:00 +02:00", "2026-10-25 02:00 +01:00", "2026-10-25 03:00 +01:00"],
        ),
        (Zurich, "frequency=every hour", "2026-10-25 02:10b", &["2026-10-25 03:00 +01:00"]),
        (
            Zurich,
            "frequency=personalized; unit=hours; every=2; at=00:00; from=2026-10-01",
            "2026-10-25 01:30",
            &["2026-10-25 02:00 +02:00", "2026-10-25 04:00 +01:00"],
        ),
        (Zurich, "frequency=every day", "2026-06-01 22:59", &["2026-06-01 23:00 +02:00", "2026-06-02 23:00 +02:00"]),
        (Zurich, "frequency=every day", "2026-06-01 23:00", &["2026-06-02 23:00 +02:00"]),
        (
            Zurich,
            "frequency=every day; at=02:30",
            "2026-03-28 01:00",
            &["2026-03-28 02:30 +01:00", "2026-03-29 03:00 +02:00", "2026-03-30 02:30 +02:00"],
        ),
        (
            Zurich,
            "frequency=every day; at=02:30",
            "2026-10-24 12:00",
            &["2026-10-25 02:30 +02:00", "2026-10-26 02:30 +01:00"],
        ),
        // In the second round of that hour it has been due already.
        (Zurich, "frequency=every day; at=02:30", "2026-10-25 02:10b", &["2026-10-26 02:30 +01:00"]),
        (
            New_York,
            "frequency=every day; at=02:00",
            "2026-03-07 12:00",
            &["2026-03-08 03:00 -04:00", "2026-03-09 02:00 -04:00"],
        ),
        (
            New_York,
            "frequency=every day; at=01:30",
            "2026-10-31 12:00",
            &["2026-11-01 01:30 -04:00", "2026-11-02 01:30 -05:00"],
        ),
        // Half an hour only.
        (
            Lord_Howe,
            "frequency=every day; at=02:15",
            "2026-10-03 12:00",
            &["2026-10-04 02:30 +11:00", "2026-10-05 02:15 +11:00"],
        ),
        (
            Lord_Howe,
            "frequency=every hour",
            "2026-04-05 00:30",
            &["2026-04-05 01:00 +11:00", "2026-04-05 02:00 +10:30", "2026-04-05 03:00 +10:30"],
        ),
        // At midnight, so that the day begins at 1.
        (
            Sao_Paulo,
            "frequency=every day; at=00:00",
            "2018-11-03 12:00",
            &["2018-11-04 01:00 -02:00", "2018-11-05 00:00 -02:00"],
        ),
        // Summer time is interrupted by Ramadan.
        (
            Casablanca,
            "frequency=every day; at=02:30",
            "2026-02-14 12:00",
            &["2026-02-15 02:30 +01:00", "2026-02-16 02:30 +00:00"],
        ),
        // A whole day was skipped; what was due on it and at the first moment of the next one is one backup.
        (
            Apia,
            "frequency=every day; at=00:00",
            "2011-12-28 12:00",
            &["2011-12-29 00:00 -10:00", "2011-12-31 00:00 +14:00", "2012-01-01 00:00 +14:00"],
        ),
        (
            Apia,
            "frequency=every day; at=23:00",
            "2011-12-29 12:00",
            &["2011-12-29 23:00 -10:00", "2011-12-31 00:00 +14:00", "2011-12-31 23:00 +14:00"],
        ),
        (
            Zurich,
            "frequency=every week; weekdays=['sunday']; at=12:00",
            "2026-02-27 12:00",
            &["2026-03-01 12:00 +01:00", "2026-03-08 12:00 +01:00"],
        ),
        (
            Zurich,
            "frequency=every month; day=31; at=08:00",
            "2028-01-31 08:00",
            &["2028-02-29 08:00 +01:00", "2028-03-31 08:00 +02:00", "2028-04-30 08:00 +02:00"],
        ),
        (Zurich, "frequency=every month; day=30; at=08:00", "2026-02-01 08:00", &["2026-02-28 08:00 +01:00"]),
        (Zurich, "frequency=every month; day=29; at=08:00", "2100-02-01 08:00", &["2100-02-28 08:00 +01:00"]),
        (Zurich, "frequency=every month; day=1; at=00:00", "2026-12-01 00:00", &["2027-01-01 00:00 +01:00"]),
        // Six hours from 7 o'clock on; in winter by the same clock.
        (
            Zurich,
            "frequency=personalized; unit=hours; every=6; at=07:00; from=2026-10-24",
            "2026-10-24 18:00",
            &["2026-10-24 19:00 +02:00", "2026-10-25 01:00 +02:00", "2026-10-25 07:00 +01:00"],
        ),
        // Five hours go on over midnight.
        (
            Zurich,
            "frequency=personalized; unit=hours; every=5; at=22:00; from=2026-06-01",
            "2026-05-01 00:00",
            &["2026-06-01 22:00 +02:00", "2026-06-02 03:00 +02:00", "2026-06-02 08:00 +02:00"],
        ),
        (
            Zurich,
            "frequency=personalized; unit=hours; every=24; at=05:00",
            "2026-06-01 06:00",
            &["2026-06-02 05:00 +02:00", "2026-06-03 05:00 +02:00"],
        ),
        (
            Zurich,
            "frequency=personalized; unit=days; every=3; at=23:00; from=2028-02-27",
            "2028-02-27 23:00",
            &["2028-03-01 23:00 +01:00", "2028-03-04 23:00 +01:00"],
        ),
        // Tuesdays and Fridays of every second week; the week of the day counted from is the first.
        (
            Zurich,
            "frequency=personalized; unit=weeks; every=2; weekdays=['friday', 'tuesday']; at=06:30; from=2026-11-25",
            "2026-11-01 00:00",
            &[
                "2026-11-27 06:30 +01:00",
                "2026-12-08 06:30 +01:00",
                "2026-12-11 06:30 +01:00",
                "2026-12-22 06:30 +01:00",
            ],
        ),
        // The last day of every quarter.
        (
            Zurich,
            "frequency=personalized; unit=months; every=3; day=31; at=23:00; from=2026-03-01",
            "2026-03-01 00:00",
            &[
                "2026-03-31 23:00 +02:00",
                "2026-06-30 23:00 +02:00",
                "2026-09-30 23:00 +02:00",
                "2026-12-31 23:00 +01:00",
            ],
        ),
        (
            Zurich,
            "frequency=personalized; unit=months; every=12; day=29; at=23:00; from=2028-02-10",
            "2028-02-29 23:00",
            &["2029-02-28 23:00 +01:00", "2030-02-28 23:00 +01:00"],
        ),
        (
            Zurich,
            "frequency=personalized; unit=months; every=120; day=1; at=00:00; from=2026-01-01",
            "2026-01-01 00:00",
            &["2036-01-01 00:00 +01:00"],
        ),
    ];
    for (zone, settings, after, expected) in table {
        let (scheduler, after) = (schedule(settings)?, at(*zone, after)?);
        let dates = next_dates(&scheduler, &after, expected.len().max(1));
        let shown: Vec<String> = dates.iter().map(|due| due.format(FORM).to_string()).collect();
        assert_eq!(shown, *expected, "{zone} {settings} after {after}");
        for due in &dates {
            assert_eq!(last_due(&scheduler, due).as_ref(), Some(due), "{zone} {settings}");
        }
    }
    Ok(())
}

#[test]
fn older_than_twice_the_interval_means_two_dates_without_a_backup() -> Result<(), String> {
    let daily = schedule("frequency=every day")?;
    let good = at(Zurich, "2026-06-01 23:02")?;
    for (now, overdue) in [("2026-06-02 22:59", false), ("2026-06-03 22:59", false), ("2026-06-03 23:00", true)] {
        assert_eq!(is_overdue(&daily, &good, &at(Zurich, now)?), overdue, "{now}");
    }
    assert!(!is_overdue(&schedule("frequency=never")?, &good, &at(Zurich, "2030-01-01 00:00")?));
    Ok(())
}

fn any_zone() -> impl Strategy<Value = Tz> {
    prop::sample::select(vec![Zurich, New_York, Sao_Paulo, Lord_Howe, Casablanca, Apia, Tz::UTC])
}

fn any_schedule() -> impl Strategy<Value = Scheduler> {
    let times =
        (0u32..24, prop::sample::select(vec![0u32, 15, 30, 59])).prop_map(|(h, m)| NaiveTime::from_hms_opt(h, m, 0));
    let days = prop::collection::btree_set(prop::sample::select(Weekday::ALL), 1..4);
    let from = prop::option::of((2010i32..2030, 1u32..366).prop_map(|(year, day)| NaiveDate::from_yo_opt(year, day)));
    (prop::sample::select(&Frequency::ALL[1..]), prop::sample::select(Unit::ALL), 1u32..30, times, days, 1u32..32, from)
        .prop_map(|(frequency, unit, every, at, mut weekdays, day, from)| {
            let every = if unit == Unit::Hours { every.min(24) } else { every };
            if frequency == Frequency::EveryWeek {
                weekdays = weekdays.into_iter().take(1).collect();
            }
            let (at, from) = (at.unwrap_or_default(), from.flatten());
            Scheduler { frequency, unit, every, at, weekdays, day, from, only_if_modified: false }
        })
}

fn any_moment() -> impl Strategy<Value = DateTime<Utc>> {
    // From 2011, with Samoa's missing day, to 2030.
    (1_300_000_000i64..1_900_000_000).prop_map(|s| DateTime::from_timestamp(s, 0).unwrap_or_default())
}

/// The stretch of the wall clock in which one backup is made at most.
fn period(scheduler: &Scheduler, due: &DateTime<Tz>) -> String {
    let unit = interval(scheduler).map(|i| i.unit);
    let local = due.naive_local();
    match unit {
        Some(Unit::Hours) => due.format("%Y-%m-%d %H %z").to_string(),
        Some(Unit::Months) => local.format("%Y-%m").to_string(),
        _ => local.format("%Y-%m-%d").to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn never_in_the_past_and_never_two_in_one_period(
        zone in any_zone(), scheduler in any_schedule(), moment in any_moment()
    ) {
        let now = moment.with_timezone(&zone);
        let dates = next_dates(&scheduler, &now, 6);
        prop_assert_eq!(dates.len(), 6);
        prop_assert!(dates[0] > now);
        prop_assert!(dates.windows(2).all(|pair| pair[0] < pair[1]));
        // A date that fell on the moment after a gap may share its day with the next one, but no more than that.
        let skipped = dates.iter().filter(|d| {
            let hourly = interval(&scheduler).is_some_and(|i| i.unit == Unit::Hours);
            !hourly && d.naive_local().time() != scheduler.at
        });
        let periods: BTreeSet<String> = dates.iter().map(|due| period(&scheduler, due)).collect();
        prop_assert!(periods.len() + skipped.count() >= dates.len(), "{:?} {:?}", scheduler, dates);
        for due in &dates {
            // Nothing is left out: just before it, it is the next; at it, it is the last.
            let (second_before, second_after) = (*due - Duration::seconds(1), *due + Duration::seconds(1));
            let (next, last) = (next_due(&scheduler, &second_before), last_due(&scheduler, &second_after));
            prop_assert_eq!(next.as_ref(), Some(due));
            prop_assert_eq!(last.as_ref(), Some(due));
        }
        if let Some(last) = last_due(&scheduler, &now) {
            prop_assert!(last <= now);
            prop_assert_eq!(next_due(&scheduler, &last), Some(dates[0]));
        }
    }

    #[test]
    fn the_wall_clock_shows_what_was_chosen(zone in any_zone(), scheduler in any_schedule(), moment in any_moment()) {
        for due in next_dates(&scheduler, &moment.with_timezone(&zone), 4) {
            let (local, Some(Interval { unit, every })) = (due.naive_local(), interval(&scheduler)) else { continue };
            let gap = crate::control::wall::shown(local - Duration::minutes(1), &zone).first().is_none();
            if gap {
                continue;
            }
            let personalized = scheduler.frequency == Frequency::Personalized;
            prop_assert!(!personalized || scheduler.from.is_none_or(|from| local.date() >= from));
            match unit {
                Unit::Hours => prop_assert_eq!(local.minute(), if personalized { scheduler.at.minute() } else { 0 }),
                _ => prop_assert_eq!(local.time(), scheduler.at),
            }
            match unit {
                Unit::Days if every == 1 => {}
                Unit::Weeks => {
                    let weekday = Weekday::ALL[local.weekday().num_days_from_monday() as usize];
                    prop_assert!(scheduler.weekdays.contains(&weekday));
                }
                Unit::Months => {
                    let last = local.date() + Duration::days(1);
                    prop_assert!(local.day() == scheduler.day || local.day() < scheduler.day && last.day() == 1);
                }
                _ => {}
            }
        }
    }
}
