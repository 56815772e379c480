//! What a wall clock means: the moment at which it shows a time, also where it shows it twice, or never.
//!
//! Libraries order the two moments of an ambiguous time by their own rules, some the earlier first and some the later.
//! Here they are ordered as they come, whatever knows of the zone.

use chrono::{DateTime, Duration, MappedLocalTime, NaiveDateTime, Offset, TimeZone};

/// The longest stretch that a clock was ever set forward or back by: Samoa skipped a whole day in 2011.
pub const SHIFT_MAX: Duration = Duration::hours(26);

/// When a clock shows a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown<Z: TimeZone> {
    /// Once, as nearly always.
    Once(DateTime<Z>),
    /// Twice, because it was set back.
    Twice {
        /// The earlier moment.
        first: DateTime<Z>,
        /// The later one.
        second: DateTime<Z>,
    },
    /// Never, because it was set forward over it.
    Never,
}

impl<Z: TimeZone> Shown<Z> {
    /// The first moment, if there is one.
    pub fn first(self) -> Option<DateTime<Z>> {
        match self {
            Self::Once(moment) | Self::Twice { first: moment, .. } => Some(moment),
            Self::Never => None,
        }
    }
}

/// When the clocks of `zone` show `time`.
pub fn shown<Z: TimeZone>(time: NaiveDateTime, zone: &Z) -> Shown<Z> {
    // From a moment to what the clock shows there is no doubt: each offset that may be in force is tried that way.
    let around = [time.checked_sub_signed(SHIFT_MAX), Some(time), time.checked_add_signed(SHIFT_MAX)];
    let mut offsets: Vec<Duration> = around
        .into_iter()
        .flatten()
        .map(|moment| zone.offset_from_utc_datetime(&moment).fix())
        .chain(match zone.offset_from_local_datetime(&time) {
            MappedLocalTime::Single(offset) => vec![offset.fix()],
            MappedLocalTime::Ambiguous(one, other) => vec![one.fix(), other.fix()],
            MappedLocalTime::None => Vec::new(),
        })
        .map(|offset| Duration::seconds(offset.local_minus_utc().into()))
        .collect();
    // The larger the offset, the earlier the moment.
    offsets.sort_by_key(|offset| std::cmp::Reverse(*offset));
    offsets.dedup();
    let mut moments = offsets
        .into_iter()
        .filter_map(|offset| time.checked_sub_signed(offset))
        .map(|moment| zone.from_utc_datetime(&moment))
        .filter(|moment| moment.naive_local() == time);
    match (moments.next(), moments.next()) {
        (Some(first), Some(second)) => Shown::Twice { first, second },
        (Some(moment), None) => Shown::Once(moment),
        (None, _) => Shown::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{FixedOffset, LocalResult, Utc};
    use chrono_tz::{America::New_York, Asia::Kolkata, Australia::Lord_Howe, Europe::Zurich, Pacific::Apia};

    fn time(text: &str) -> NaiveDateTime {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap_or_default()
    }

    fn offsets<Z: TimeZone>(text: &str, zone: &Z) -> Vec<i32> {
        let hours = |moment: DateTime<Z>| moment.offset().fix().local_minus_utc() / 60;
        match shown(time(text), zone) {
            Shown::Once(moment) => vec![hours(moment)],
            Shown::Twice { first, second } => vec![hours(first), hours(second)],
            Shown::Never => Vec::new(),
        }
    }

    #[test]
    fn the_moments_come_in_the_order_of_time() {
        let cases: &[(&str, &[i32])] = &[
            ("2026-10-25 01:59:59", &[120]),
            ("2026-10-25 02:00:00", &[120, 60]),
            ("2026-10-25 02:30:00", &[120, 60]),
            ("2026-10-25 02:59:59", &[120, 60]),
            ("2026-10-25 03:00:00", &[60]),
            ("2026-03-29 01:59:59", &[60]),
            ("2026-03-29 02:00:00", &[]),
            ("2026-03-29 02:59:59", &[]),
            ("2026-03-29 03:00:00", &[120]),
        ];
        for (text, expected) in cases {
            assert_eq!(offsets(text, &Zurich), *expected, "{text}");
        }
        assert_eq!(offsets("2026-11-01 01:30:00", &New_York), [-240, -300]);
        assert_eq!(offsets("2026-04-05 01:45:00", &Lord_Howe), [660, 630]);
        assert!(offsets("2011-12-30 12:00:00", &Apia).is_empty());
        assert_eq!(offsets("2026-10-25 02:30:00", &Kolkata), [330]);
        assert_eq!(offsets("2026-10-25 02:30:00", &Utc), [0]);
    }

    /// Knows Zurich, and names the later moment first, as the zone of the system does.
    #[derive(Debug, Clone, Copy)]
    struct Reversed;

    impl TimeZone for Reversed {
        type Offset = FixedOffset;

        fn from_offset(_: &FixedOffset) -> Self {
            Self
        }

        fn offset_from_local_date(&self, _: &chrono::NaiveDate) -> LocalResult<FixedOffset> {
            LocalResult::None
        }

        fn offset_from_local_datetime(&self, local: &NaiveDateTime) -> LocalResult<FixedOffset> {
            match Zurich.offset_from_local_datetime(local) {
                LocalResult::Ambiguous(one, other) => LocalResult::Ambiguous(other.fix(), one.fix()),
                other => other.map(|offset| offset.fix()),
            }
        }

        fn offset_from_utc_date(&self, _: &chrono::NaiveDate) -> FixedOffset {
            Utc.fix()
        }

        fn offset_from_utc_datetime(&self, utc: &NaiveDateTime) -> FixedOffset {
            Zurich.offset_from_utc_datetime(utc).fix()
        }
    }

    #[test]
    fn whoever_orders_them_otherwise_is_not_believed() {
        assert_eq!(offsets("2026-10-25 02:30:00", &Reversed), [120, 60]);
    }
}
