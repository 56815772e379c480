//! What stands on the timeline, put together from what engines answered and say in their status.

use chrono::{DateTime, Local, TimeDelta, Utc};

use super::scale::Scale;
use crate::{
    engine::status::DataFileStatus,
    journal::density::{Density, Spot},
    restore::timeline::{self, Timeline},
    ui::{
        screens::restore::state_of,
        widgets::{Tone, commits, count, moment},
    },
};

/// Room at both ends of the whole, in parts of it.
const ROOM: (f64, f64) = (0.03, 0.06);
/// A backup that is due is shown from the beginning where it is no further away than this part of all.
const NEXT_WITHIN: f64 = 0.5;

/// From one moment to another.
pub(crate) type Between = (DateTime<Utc>, DateTime<Utc>);

/// What dragging chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drags {
    /// A moment.
    Moment,
    /// All between two moments.
    Stretch,
}

/// An archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) at: DateTime<Utc>,
    /// Its number.
    pub(crate) label: String,
    /// What is known of its state.
    pub(crate) tone: Tone,
    /// Whether it is kept for ever.
    pub(crate) is_held: bool,
    /// All of that in words.
    pub(crate) words: String,
}

/// What is known of a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Every commit.
    Log,
    /// What all of them did together.
    CatchUp,
    /// Nothing: a log is damaged, or has a gap.
    Gap,
}

/// A stretch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Band {
    pub(crate) from: DateTime<Utc>,
    pub(crate) to: DateTime<Utc>,
    pub(crate) kind: Kind,
}

/// What stands on it.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    /// What a screen reader calls it.
    pub(crate) name: &'a str,
    /// What is said in the place of all else, as long as nothing is known.
    pub(crate) note: Option<String>,
    /// The archives, in order of their moments.
    pub(crate) marks: Vec<Mark>,
    /// Stretches, the later drawn over the earlier.
    pub(crate) bands: Vec<Band>,
    /// How dense commits are: in all, and, where that was counted, more finely in a part.
    pub(crate) densities: Vec<&'a Density>,
    /// When it was looked at.
    pub(crate) now: DateTime<Utc>,
    /// When the next backup is due.
    pub(crate) next: Option<DateTime<Utc>>,
    /// All there is to be seen.
    pub(crate) whole: Scale,
    /// The moment that is chosen.
    pub(crate) chosen: Option<DateTime<Utc>>,
    /// The stretch that is chosen.
    pub(crate) stretch: Option<Between>,
    /// What is said of it.
    pub(crate) value: String,
    /// The first place that the arrows lead to, the one chosen, and the last, by commit.
    pub(crate) steps: Option<(u64, Option<u64>, u64)>,
    /// What dragging chooses.
    pub(crate) drags: Drags,
}

impl<'a> Scene<'a> {
    /// One of which nothing is known yet, as high as any: what comes must not move what is about to be pressed.
    pub(crate) fn unknown(name: &'a str, note: String, (value, drags): (String, Drags)) -> Self {
        let now = DateTime::UNIX_EPOCH;
        Self {
            name,
            note: Some(note),
            marks: Vec::new(),
            bands: Vec::new(),
            densities: Vec::new(),
            now,
            next: None,
            whole: Scale::new(now, now),
            chosen: None,
            stretch: None,
            value,
            steps: None,
            drags,
        }
    }

    /// The commit that a moment means; one that is no further from it than `reach` microseconds stands for it.
    pub(crate) fn meant(&self, at: DateTime<Utc>, reach: i64) -> Option<Spot> {
        meant(&self.densities, at, reach)
    }

    /// The stretch of the bar at a moment, or near to it.
    pub(crate) fn bar_at(&self, at: DateTime<Utc>, reach: i64) -> Option<Between> {
        let density = self.densities.iter().rev().find(|density| density.span.column_of(at).is_some())?;
        let span = density.span;
        let (column, width) = (span.column_of(at)?, (span.begins(1) - span.begins(0)).num_microseconds()?);
        let reach = u32::try_from(reach / width.max(1)).unwrap_or(0);
        let near = density.columns.iter().filter(|known| known.nth.abs_diff(column) <= reach);
        let nearest = near.min_by_key(|known| (known.nth.abs_diff(column), known.nth))?;
        Some((span.begins(nearest.nth), span.begins(nearest.nth + 1)))
    }

    /// What lies at a moment, in words, before it is chosen.
    pub(crate) fn said_at(&self, at: DateTime<Utc>, reach: i64) -> Option<String> {
        let here = |density: &&&Density| density.span.column_of(at).is_some();
        let density = self.densities.iter().rev().find(here)?;
        let column = density.span.column_of(at)?;
        let held = density.columns.iter().find(|known| known.nth == column).map_or(0, |known| known.commits);
        Some(match (self.drags, self.meant(at, reach)) {
            (_, None) => format!("{}: no commit was made by then", moment(&at)),
            (Drags::Moment, Some(spot)) if held > 1 => {
                format!("After {}, the last of {} here", spot_in_words(&spot), commits(held))
            }
            (Drags::Moment, Some(spot)) => format!("After {}", spot_in_words(&spot)),
            (Drags::Stretch, Some(_)) => format!("{}: {}", moment(&at), commits(held)),
        })
    }
}

/// As [`Scene::meant`].
fn meant(densities: &[&Density], at: DateTime<Utc>, reach: i64) -> Option<Spot> {
    // The finest one in which the moment lies.
    let in_column = densities.iter().rev().find_map(|density| Some((density, density.span.column_of(at)?)));
    match in_column {
        Some((density, column)) => {
            let width = (density.span.begins(1) - density.span.begins(0)).num_microseconds().unwrap_or(i64::MAX);
            density.meant(column, u32::try_from(reach / width.max(1)).unwrap_or(0))
        }
        // Before all there is, or after it.
        None => {
            let whole = densities.first().filter(|whole| at >= whole.span.to)?;
            whole.meant(whole.span.columns.saturating_sub(1), 0)
        }
    }
}

/// A commit and its time: `commit 4 211, 2026-11-22 14:03:07`.
pub(crate) fn spot_in_words(spot: &Spot) -> String {
    format!("commit {}, {}", count(spot.commit), moment(&spot.time))
}

/// The archives as marks: with their state where an engine looks after their data file, and otherwise without.
pub(crate) fn marks_of(archives: &[timeline::Mark], data_file: Option<&DataFileStatus>) -> Vec<Mark> {
    let mark = |archive: &timeline::Mark| {
        let entry = data_file.and_then(|known| {
            let entry = known.archives.iter().find(|entry| entry.path == archive.archive)?;
            Some((entry, state_of(known, entry)))
        });
        let (tone, state) = entry.as_ref().map_or((Tone::Neutral, None), |(_, (tone, state))| (*tone, Some(*state)));
        let is_held = entry.as_ref().is_some_and(|(entry, _)| entry.hold.is_some());
        let mut words = format!("Archive {}, {}", archive.number, moment(&archive.moment.with_timezone(&Local)));
        words += &state.map_or_else(String::new, |state| format!(": {state}"));
        words += if is_held { ", held" } else { "" };
        Mark { at: archive.moment, label: archive.number.to_string(), tone, is_held, words }
    };
    archives.iter().map(mark).collect()
}

/// The logs as stretches.
pub(crate) fn bands_of(timeline: &Timeline) -> Vec<Band> {
    let mut bands = Vec::new();
    for led in &timeline.bands {
        let (from, to) = (led.extent.0, led.until);
        bands.push(Band { from, to, kind: Kind::Log });
        let catch_up = |one: &crate::journal::plan::Stretch| Band { from: one.from, to: one.to, kind: Kind::CatchUp };
        bands.extend(led.catch_ups.iter().map(catch_up));
        if led.breaks {
            // What is lost lies between the last commit that can be reached and the next archive.
            let next = timeline.archives.iter().map(|mark| mark.moment).find(|next| *next > to);
            bands.push(Band { from: to, to: next.unwrap_or(timeline.now), kind: Kind::Gap });
        }
    }
    bands
}

/// All there is to be seen, with room for the next backup where that is near.
pub(crate) fn whole_of((from, to): (DateTime<Utc>, DateTime<Utc>), next: Option<DateTime<Utc>>) -> Scale {
    let length = (to - from).max(TimeDelta::seconds(1));
    let within = TimeDelta::microseconds((length.num_microseconds().unwrap_or(0) as f64 * NEXT_WITHIN) as i64);
    let to = next.filter(|next| *next > to && *next - to < within).unwrap_or(to);
    Scale::new(from, to).padded(ROOM.0, ROOM.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::density::{Counter, Span};

    fn at(micros: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::microseconds(micros)
    }

    fn counted(from: i64, to: i64, columns: u32, times: &[i64]) -> Density {
        let mut counter = Counter::new(Span { from: at(from), to: at(to), columns });
        times.iter().zip(1..).for_each(|(time, commit)| counter.take(commit, at(*time)));
        counter.finish()
    }

    #[test]
    fn the_finest_count_in_which_a_moment_lies_says_which_commit_is_meant() {
        let times = [100, 101, 105, 900];
        let (all, part) = (counted(0, 1000, 10, &times), counted(100, 110, 10, &times));
        let meant = |at_micros, reach| meant(&[&all, &part], at(at_micros), reach).map(|spot| spot.commit);
        assert_eq!(meant(100, 0), Some(1), "not the last one of the coarse column");
        assert_eq!([99, 101, 104, 105, 109].map(|time| meant(time, 0)), [None, Some(2), Some(2), Some(3), Some(3)]);
        assert_eq!(meant(104, 1), Some(3), "within reach");
        assert_eq!([500, 950, 1000, 5000].map(|time| meant(time, 0)), [Some(3), Some(4), Some(4), Some(4)]);
        assert_eq!(meant(-1, 0), None);
    }

    #[test]
    fn the_next_backup_has_room_where_it_is_near() {
        let all = (at(0), at(10_000_000));
        let (alone, near, far) =
            (whole_of(all, None), whole_of(all, Some(at(12_000_000))), whole_of(all, Some(at(99_000_000))));
        assert!(alone.part_of(at(10_000_000)) < 1.0 && alone.part_of(at(0)) > 0.0);
        assert!(near.part_of(at(12_000_000)) < 1.0 && alone.part_of(at(12_000_000)) > 1.0);
        assert_eq!(far, alone);
    }
}
