//! The timeline of the page: when the commits were made that pass the filter, asked for as they are looked at.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::feed::About;
use crate::{
    activity::{
        filter::Filter,
        query::{Ask, State},
    },
    journal::{
        density::{Density, Span},
        plan::Stretch,
    },
    ui::timeline::Kept,
};

/// Columns of the whole.
const COLUMNS: u32 = 512;
/// It is not asked more often.
const AT_MOST: Duration = Duration::from_millis(700);

/// What was counted, and of what.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) density: Density,
    pub(crate) catch_ups: Vec<Stretch>,
}

/// What the page remembers of it.
#[derive(Debug, Default)]
pub(crate) struct TimeForm {
    pub(crate) kept: Kept,
    /// What the list was about when it was counted.
    about: Option<About>,
    /// All of it, and the part that is seen.
    pub(crate) whole: Option<Counted>,
    pub(crate) part: Option<Counted>,
    /// What was asked last of both, with how far the logs were looked at then, and when.
    asked: [Option<(Span, u64)>; 2],
    polled: Option<Instant>,
    /// When it was counted last.
    pub(crate) now: DateTime<Utc>,
}

/// From the earliest to the latest commit.
pub(crate) fn extent(state: &State) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let [(_, oldest), (_, newest)] = state.ends?;
    let (mut from, mut to) = (oldest.min(newest), oldest.max(newest));
    // Where a clock ran back, others lie outside of both.
    if let Some(first) = state.times.first().filter(|first| first.before <= from) {
        from = first.since;
    }
    if let Some(last) = state.times.last().filter(|last| last.since > to) {
        to = last.before;
    }
    Some((from, to))
}

impl TimeForm {
    /// Forgets what was counted of another list.
    pub(crate) fn be_about(&mut self, about: &About) {
        // Whatever stretch is listed, the commits beside it are seen as well.
        let about = &About { filter: Filter { since: None, before: None, ..about.filter.clone() }, ..about.clone() };
        let Some(before) = self.about.as_ref().filter(|before| *before != about) else {
            self.about.get_or_insert_with(|| about.clone());
            return;
        };
        let is_same_log = before.of == about.of && before.source == about.source;
        // Of the same logs, what is seen stays, and what was counted until it is counted anew.
        let kept = if is_same_log { std::mem::take(&mut self.kept) } else { Kept::default() };
        let (whole, part) = if is_same_log { (self.whole.take(), self.part.take()) } else { (None, None) };
        *self = Self { kept, whole, part, now: self.now, about: Some(about.clone()), ..Self::default() };
    }

    /// What is to be asked now, of what is seen in `columns`.
    pub(crate) fn poll(&mut self, state: &State, columns: u32, time: f64) -> Option<Ask> {
        if self.polled.is_some_and(|polled| polled.elapsed() < AT_MOST) {
            return None;
        }
        let (from, to) = extent(state)?;
        let whole = Span { from, to: to + TimeDelta::microseconds(1), columns: COLUMNS };
        let part = self.kept.settled(time).map(|seen| Span { from: seen.from(), to: seen.to(), columns });
        for (nth, span) in [Some(whole), part].into_iter().enumerate() {
            let wanted = span.map(|span| (span.lawful(), state.looked_at));
            if wanted.is_some() && self.asked[nth] != wanted {
                (self.asked[nth], self.polled) = (wanted, Some(Instant::now()));
                return span.map(Ask::Density);
            }
        }
        None
    }

    /// Takes what was counted in this span.
    pub(crate) fn take(&mut self, span: Span, density: Density, catch_ups: Vec<Stretch>) {
        let is_of = |asked: &Option<(Span, u64)>| asked.is_some_and(|(of, _)| of == span.lawful());
        let counted = Some(Counted { density, catch_ups });
        if is_of(&self.asked[0]) {
            (self.whole, self.now) = (counted, Utc::now());
        } else if is_of(&self.asked[1]) {
            self.part = counted;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activity::query::Time;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    #[test]
    fn the_whole_holds_what_a_clock_made_earlier_or_later_than_the_first_and_the_last() {
        let time = |since, before| Time { since: at(since), before: at(before), commits: 1 };
        let state = |times| State { ends: Some([(1, at(100)), (9, at(200))]), times, ..State::default() };
        assert_eq!(extent(&state(vec![time(0, 300)])), Some((at(100), at(200))));
        let odd = vec![time(0, 50), time(60, 240), time(500, 600)];
        assert_eq!(extent(&state(odd)), Some((at(0), at(600))));
        assert_eq!(extent(&State::default()), None);
    }

    #[test]
    fn it_is_asked_when_there_is_more_and_not_again_for_the_same() {
        let mut form = TimeForm::default();
        let state = |looked_at| State { ends: Some([(1, at(100)), (9, at(200))]), looked_at, ..State::default() };
        let span = Span { from: at(100), to: at(200) + TimeDelta::microseconds(1), columns: COLUMNS };
        assert_eq!(form.poll(&state(5), 300, 0.0), Some(Ask::Density(span)));
        form.polled = None;
        assert_eq!(form.poll(&state(5), 300, 0.0), None);
        assert!(form.poll(&state(6), 300, 0.0).is_some(), "more was read");
        assert_eq!(form.poll(&state(7), 300, 0.0), None, "not at once");
    }
}
