//! A moment as a person writes it.

use chrono::{DateTime, Local, NaiveDateTime, Offset, TimeZone, Utc};

use crate::{
    control::wall::{self, Shown},
    error::{Error, ErrorKind, Result},
};

/// A moment, and the other one that may have been meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The moment.
    pub at: DateTime<Utc>,
    /// The later moment at which the clock showed the same, because it was set back in between.
    pub again: Option<DateTime<Utc>>,
}

impl Moment {
    /// What to know of a time that the clock showed twice: which one is taken, and how the other is written.
    pub fn ambiguity(&self) -> Option<String> {
        self.ambiguity_in(&Local)
    }

    fn ambiguity_in<Z: TimeZone>(&self, zone: &Z) -> Option<String> {
        let form = "%Y-%m-%d %H:%M:%S %:z";
        let shown = |moment: DateTime<Utc>| {
            let moment = moment.with_timezone(zone);
            moment.with_timezone(&moment.offset().fix()).format(form).to_string()
        };
        let (first, second) = (shown(self.at), shown(self.again?));
        Some(format!(
            "The clock showed that time twice; {first} is taken, the first one. For the second, write {second}."
        ))
    }
}

/// Reads a moment in local time, `2026-11-22 12:00:00`, or with an offset, `2026-11-22 12:00:00 +01:00`.
///
/// Of a time that the clock showed twice, the first is taken: less is integrated, and nothing wanted is overwritten by
/// it.
///
/// # Errors
/// `Refused` for anything else, and for an hour that the clocks skipped.
pub fn parse_moment(text: &str) -> Result<Moment> {
    parse_in(text, &Local)
}

fn parse_in<Z: TimeZone>(text: &str, zone: &Z) -> Result<Moment> {
    let text = text.trim();
    let (date_and_time, offset) = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_and_remainder(text, form).ok())
        .ok_or_else(|| wrong(text, FORMS))?;
    match offset.trim() {
        "" => match wall::shown(date_and_time, zone) {
            Shown::Once(moment) => Ok(Moment { at: moment.to_utc(), again: None }),
            Shown::Twice { first, second } => Ok(Moment { at: first.to_utc(), again: Some(second.to_utc()) }),
            Shown::Never => Err(wrong(text, "The clocks went forward over it; choose a moment before or after.")),
        },
        "Z" | "z" | "UTC" => Ok(Moment { at: date_and_time.and_utc(), again: None }),
        offset => {
            let whole = format!("{} {offset}", date_and_time.format("%Y-%m-%d %H:%M:%S%.f"));
            let moment = DateTime::parse_from_str(&whole, "%Y-%m-%d %H:%M:%S%.f %#z");
            moment.map(|moment| Moment { at: moment.to_utc(), again: None }).map_err(|_| wrong(text, FORMS))
        }
    }
}

const FORMS: &str = "Write it as 2026-11-22 12:00:00, or with an offset as 2026-11-22 12:00:00 +01:00.";

fn wrong(text: &str, hint: &str) -> Error {
    Error::new(ErrorKind::Refused, format!("{text:?} is not a moment")).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono_tz::Europe::Zurich;

    fn read(text: &str) -> Option<(String, Option<String>)> {
        let shown = |moment: DateTime<Utc>| moment.format("%m-%d %H:%M:%S%.f").to_string();
        parse_in(text, &Zurich).ok().map(|moment| (shown(moment.at), moment.again.map(shown)))
    }

    #[test]
    fn local_time_and_offsets_are_understood() {
        let cases = [
            ("2026-11-22 12:00:00", "11-22 11:00:00"),
            ("2026-11-22T12:00", "11-22 11:00:00"),
            (" 2026-11-22 12:00:00.25 ", "11-22 11:00:00.250"),
            ("2026-11-22T12:00:00+05:30", "11-22 06:30:00"),
            ("2026-11-22 12:00:00 +05:30", "11-22 06:30:00"),
            ("2026-11-22 12:00 +0530", "11-22 06:30:00"),
            ("2026-11-22 12:00:00Z", "11-22 12:00:00"),
            ("2026-11-22 12:00:00 UTC", "11-22 12:00:00"),
            ("2026-10-25 02:30:00 +01:00", "10-25 01:30:00"),
            ("2026-10-25 02:30:00+02", "10-25 00:30:00"),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), Some((expected.to_owned(), None)), "{text}");
        }
        for text in
            ["", "noon", "2026-11-22", "12:00", "2026-02-30 12:00", "2026-11-22 12:00:00 noon", "2026-03-29 02:30:00"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn of_a_time_that_comes_twice_the_first_is_taken_and_the_other_named() {
        assert_eq!(read("2026-10-25 02:30:00"), Some(("10-25 00:30:00".to_owned(), Some("10-25 01:30:00".to_owned()))));
        let said = parse_in("2026-10-25 02:30:00", &Zurich).ok().and_then(|moment| moment.ambiguity_in(&Zurich));
        assert_eq!(
            said.as_deref(),
            Some(
                "The clock showed that time twice; 2026-10-25 02:30:00 +02:00 is taken, the first one. For the second, \
                 write 2026-10-25 02:30:00 +01:00."
            )
        );
    }
}
