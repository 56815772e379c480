//! What the page Activity remembers: what is read, what is looked for, what is chosen; and the rows that have come.
//!
//! ```text
//! feed      rows as they come from the engine, a few around those that are seen
//! picked    what is selected, to be taken back
//! export    writing what is filtered to a file
//! timeline  when the commits were made that pass the filter
//! words     operations in words
//! ```

pub(crate) mod export;
pub(crate) mod feed;
pub(crate) mod picked;
pub(crate) mod timeline;
pub(crate) mod words;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};

use crate::{
    activity::{
        filter::Filter,
        query::{Ask, Rows, Source},
    },
    records::operation::Action,
    take_back::Pick,
};

use super::table::How;
use export::Export;
use feed::{About, Feed};
use picked::{Picked, Spot};
use timeline::TimeForm;

/// What is typed counts when nothing was typed for so long.
const TYPED: Duration = Duration::from_millis(300);

/// No commit and no operation has this number.
pub(crate) const UNKNOWN: u64 = 0;

/// Which logs are read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Chosen {
    /// The running log of the data file that is shown.
    #[default]
    Running,
    /// All logs of it from this archive on.
    Since(PathBuf),
    /// Another log.
    Log(PathBuf),
}

/// What is looked for, as entered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct FilterForm {
    /// Only this table.
    pub(crate) table: Option<String>,
    /// Only this.
    pub(crate) action: Option<Action>,
    /// Only commits from one moment on and before another.
    pub(crate) time: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// The key as typed.
    pub(crate) key: String,
    /// The text as typed.
    pub(crate) text: String,
    /// Only from this commit on.
    pub(crate) first: Option<u64>,
    /// Only up to this commit.
    pub(crate) last: Option<u64>,
    /// Also what SQLite keeps for itself.
    pub(crate) internal: bool,
}

impl FilterForm {
    /// What it means.
    pub(crate) fn filter(&self) -> Filter {
        let typed = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        Filter {
            tables: self.table.iter().cloned().collect(),
            actions: self.action.into_iter().collect(),
            key: typed(&self.key),
            text: typed(&self.text),
            since: self.time.map(|time| time.0),
            before: self.time.map(|time| time.1),
            first: self.first,
            last: self.last,
            internal: self.internal,
        }
    }
}

/// A commit whose operations are listed below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) commit: u64,
    /// The how many-th of the list it is.
    pub(crate) nth: u64,
    /// How many operations are listed.
    pub(crate) count: u64,
}

/// The row that is selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Selected {
    pub(crate) commit: u64,
    /// The how many-th of the list it is.
    pub(crate) nth: u64,
    /// How many of its operations pass the filter.
    pub(crate) operations: u64,
    /// The operation below it, and the how many-th that is.
    pub(crate) operation: Option<(u64, u64)>,
}

/// All that the page remembers.
#[derive(Debug)]
pub(crate) struct ActivityForm {
    pub(crate) chosen: Chosen,
    pub(crate) filter: FilterForm,
    /// The filter in force, and the one that was seen last, with when that came.
    in_force: Filter,
    seen: (FilterForm, Option<Instant>),
    pub(crate) newest_first: bool,
    pub(crate) opened: Option<Opened>,
    pub(crate) selected: Option<Selected>,
    /// All that is selected with it.
    pub(crate) picked: Picked,
    /// How a row was selected that has not come yet.
    pending: Option<How>,
    /// The operation that is shown in full: its commit and its number.
    pub(crate) detail: Option<(u64, u64)>,
    /// The column of it that is selected.
    pub(crate) column: Option<usize>,
    /// What came of a search for another change of the record, if nothing was found.
    pub(crate) note: Option<&'static str>,
    /// The first commit in the table.
    pub(crate) first: u64,
    /// The row to go to.
    pub(crate) go_to: Option<usize>,
    /// The rows that were seen last.
    pub(crate) visible: (usize, usize),
    pub(crate) feed: Feed,
    pub(crate) export: Option<Export>,
    /// The timeline above the list.
    pub(crate) time: TimeForm,
}

impl Default for ActivityForm {
    fn default() -> Self {
        Self {
            chosen: Chosen::default(),
            filter: FilterForm::default(),
            in_force: Filter::default(),
            seen: Default::default(),
            newest_first: true,
            opened: None,
            selected: None,
            picked: Picked::default(),
            pending: None,
            detail: None,
            column: None,
            note: None,
            first: 0,
            go_to: None,
            visible: (0, 0),
            feed: Feed::default(),
            export: None,
            time: TimeForm::default(),
        }
    }
}

impl ActivityForm {
    /// What the list is about, for the data file that is shown.
    pub(crate) fn about(&self, current: &Path) -> About {
        let of = match &self.chosen {
            Chosen::Log(log) => log.clone(),
            Chosen::Running | Chosen::Since(_) => current.to_path_buf(),
        };
        let source = self.source().unwrap_or(Source::Log);
        About { of, source, filter: self.in_force.clone(), newest_first: self.newest_first }
    }

    /// The logs of the data file that are read, if they are not of another one.
    pub(crate) fn source(&self) -> Option<Source> {
        match &self.chosen {
            Chosen::Running => Some(Source::Running),
            Chosen::Since(archive) => Some(Source::Since(archive.clone())),
            Chosen::Log(_) => None,
        }
    }

    /// Whether rows stay where they are while more come: somebody looks at them.
    pub(crate) fn is_held(&self) -> bool {
        self.visible.0 > 0
            || self.first > 0
            || self.selected.is_some()
            || self.opened.is_some()
            || !self.picked.is_empty()
    }

    /// Reads these logs from now on.
    pub(crate) fn choose(&mut self, chosen: Chosen) {
        if self.chosen != chosen {
            self.chosen = chosen;
            self.filter = FilterForm::default();
            self.go_to_beginning();
        }
    }

    /// A row is selected, and perhaps an operation shown in full.
    pub(crate) fn select(&mut self, selected: Selected, detail: Option<(u64, u64)>) {
        if self.detail != detail {
            (self.column, self.note) = (None, None);
        }
        (self.selected, self.detail) = (Some(selected), detail);
    }

    /// A row is one of those that are selected, as the keys that were held say.
    pub(crate) fn pick(&mut self, row: Selected, how: How) {
        let is_known = row.commit != UNKNOWN && row.operation.is_none_or(|(number, _)| number != UNKNOWN);
        self.pending = (!is_known).then_some(how);
        if is_known {
            let Selected { commit, nth, operations: listed, operation } = row;
            self.picked.pick(Spot { commit, nth, operation, listed }, how);
        } else if how == How::Alone {
            self.picked = Picked::default();
        }
    }

    /// The row that was selected before it had come is known now.
    pub(crate) fn known(&mut self, row: Selected, detail: Option<(u64, u64)>) {
        self.select(row, detail);
        if let Some(how) = self.pending.take() {
            self.pick(row, how);
        }
    }

    /// Whether everything that the log holds is selected.
    pub(crate) fn takes_all(&self) -> bool {
        let nothing = Filter { internal: self.in_force.internal, ..Filter::default() };
        self.picked.ranges().is_empty() && self.in_force == nothing
    }

    /// Everything that is listed is selected.
    pub(crate) fn pick_all(&mut self) {
        (self.picked, self.pending) = (Picked::all(), None);
    }

    /// What is selected, as the engine is asked for it.
    pub(crate) fn to_be_taken_back(&self) -> Pick {
        let filter = if self.picked.is_unfiltered { Filter::default() } else { self.in_force.clone() };
        let filter = Filter { internal: self.in_force.internal, ..filter };
        // One that is not listed may as well be newer than all that are.
        let upto = self.feed.upto().filter(|_| !self.picked.is_unfiltered);
        Pick { filter, upto, ranges: self.picked.ranges(), with_cascades: false }
    }

    /// Lists the operations of the commit that is selected below it, or no longer.
    pub(crate) fn turn(&mut self, selected: Selected) {
        let is_opened = self.opened.is_some_and(|opened| opened.commit == selected.commit);
        let opened = Opened { commit: selected.commit, nth: selected.nth, count: selected.operations };
        self.opened = (!is_opened).then_some(opened);
    }

    /// Goes back to the beginning of the list, with all that has come.
    pub(crate) fn go_to_beginning(&mut self) {
        (self.opened, self.selected, self.detail, self.column, self.note) = (None, None, None, None, None);
        (self.first, self.visible, self.go_to) = (0, (0, 0), Some(0));
        (self.picked, self.pending) = (Picked::default(), None);
    }

    /// Puts the filter in force that is entered, as soon as nobody types in it any more. Returns whether it is waited
    /// for.
    pub(crate) fn settle(&mut self) -> bool {
        if self.seen.0 != self.filter {
            let is_typed = self.seen.0.key != self.filter.key || self.seen.0.text != self.filter.text;
            self.seen = (self.filter.clone(), is_typed.then(Instant::now));
        }
        if self.seen.1.is_some_and(|typed| typed.elapsed() < TYPED) {
            return true;
        }
        let wanted = self.filter.filter();
        if wanted != self.in_force {
            self.in_force = wanted;
            self.go_to_beginning();
        }
        false
    }

    /// Whether anything is looked for.
    pub(crate) fn is_filtered(&self) -> bool {
        self.filter != FilterForm::default()
    }

    /// Takes what has come.
    pub(crate) fn take(&mut self) {
        for (ask, rows) in self.feed.take() {
            match (ask, rows) {
                (Ask::Density(span), Rows::Density { density, catch_ups }) => self.time.take(span, density, catch_ups),
                (Ask::Neighbour { forward, .. }, Rows::Operation(row)) => match row {
                    Some(row) => {
                        (self.detail, self.note, self.column) = (Some((row.commit, row.number)), None, None);
                        // It may lie far from what is listed.
                        self.selected = None;
                        self.picked = Picked::operation(row.commit, row.number);
                        self.feed.detail = Some(((row.commit, row.number), Some(row)));
                    }
                    None if forward => self.note = Some("This is the last change of this record in these logs."),
                    None => self.note = Some("This is the first change of this record in these logs."),
                },
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_counts_when_nobody_types_any_more_and_what_is_chosen_at_once() {
        let mut form = ActivityForm::default();
        form.filter.table = Some("clients".into());
        assert!(!form.settle());
        assert_eq!(form.about(Path::new("/a")).filter.tables, ["clients"]);
        form.filter.text = " Mei".into();
        assert!(form.settle(), "more may be typed");
        assert_eq!(form.about(Path::new("/a")).filter.text, None);
        std::thread::sleep(TYPED);
        assert!(!form.settle());
        assert_eq!(form.about(Path::new("/a")).filter.text.as_deref(), Some("Mei"));
    }
}
