//! An index with the thread that reads the logs for it. It reads as long as somebody asks, rests when nobody does, and
//! goes on where it ended.

mod reading;
mod state;

use std::{
    collections::BTreeMap,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{
    export::Exports,
    filter::Filter,
    hits::Hits,
    index::{Commit, Index},
    query::{Ask, Page, Part, Question, ROWS_MAX, Rows},
    way::Open,
};
use crate::{
    control::session::{self, PATIENCE},
    error::{ErrorReport, Result},
    journal::{
        density::{Counter, Span},
        plan::Stretch,
    },
    records::operation::Action,
};

/// Reading rests when nobody has asked for so long.
const LEASE: Duration = Duration::from_secs(10);
/// The index is looked at for so long before whoever reads the log has his turn.
const TURN: Duration = Duration::from_millis(20);
/// What so many filters let through is kept.
const FILTERS_MAX: usize = 4;

/// What the thread that reads is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// It reads.
    Reading,
    /// All was read, and more may come.
    Waiting,
    /// Nothing more can be read.
    Over,
    /// It must be begun anew: another log is in its place, or nobody asked for long.
    Gone,
}

struct Inner {
    index: Index,
    hits: Vec<Hits>,
    mode: Mode,
    is_stopped: bool,
    /// Whether it is to be looked for more.
    is_wanted: bool,
    bytes: (u64, u64),
    begins: Option<std::path::PathBuf>,
    problem: Option<ErrorReport>,
    torn: Option<std::path::PathBuf>,
}

type Shared = session::Shared<Inner>;

/// An index that is being made.
pub struct Session {
    shared: session::Session<Inner>,
    exports: Exports,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl Session {
    /// Begins to read the logs that `open` finds. `running` is the log of a data file that is being written; where
    /// another one takes its place, the reading goes on there.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn begin(open: Open, running: Option<std::path::PathBuf>) -> Result<Self> {
        let inner = Inner {
            index: Index::default(),
            hits: Vec::new(),
            mode: Mode::Reading,
            is_stopped: false,
            is_wanted: true,
            bytes: (0, 0),
            begins: None,
            problem: None,
            torn: None,
        };
        let finds = Arc::clone(&open);
        let words = ("activity", "the log cannot be read beside all else");
        let read = move |shared: &Shared| reading::run(shared, &finds, running.as_deref());
        let shared = session::Session::begin(inner, Arc::default(), words, read)?;
        Ok(Self { shared, exports: Exports::new(open) })
    }

    /// Whether it must be begun anew.
    pub fn is_gone(&self) -> bool {
        self.shared.lock().mode == Mode::Gone
    }

    /// When somebody asked last.
    pub fn asked(&self) -> Instant {
        self.shared.asked()
    }

    /// Answers a question, after a moment at most for all but [`Ask::Neighbour`].
    ///
    /// # Errors
    /// When the disk for what was found fails; for lines, why no more can be told.
    pub fn answer(&self, question: &Question) -> Result<Page> {
        let begun = Instant::now();
        self.wake(&question.ask, begun);
        if let Ask::Lines { export, form, upto } = &question.ask {
            let rows = self.exports.next(*export, &question.filter, *form, *upto)?;
            return Ok(Page { state: self.shared.lock().state(None, None)?, rows });
        }
        // Of the time when they were made nothing is left out: that is what is looked at.
        let any_time = || Filter { since: None, before: None, ..question.filter.clone() };
        let is_of_times = matches!(question.ask, Ask::Density(_));
        let filter = if is_of_times { any_time() } else { question.filter.clone() };
        self.look_at_more(&filter, begun)?;
        let upto = match &question.ask {
            Ask::Commits { upto, .. } => *upto,
            _ => None,
        };
        let found = match &question.ask {
            Ask::Neighbour { commit, number, forward } => Some(self.neighbour(*commit, *number, *forward)?),
            Ask::Totals { first } => Some(self.totals(*first)?),
            Ask::Density(span) => Some(self.density(&filter, *span)?),
            _ => None,
        };
        // Rows and state are of one moment.
        let mut inner = self.shared.lock();
        let rows = found.map_or_else(|| inner.rows(&question.filter, &question.ask), Ok)?;
        Ok(Page { state: inner.state(Some(&question.filter), upto)?, rows })
    }

    /// Has the logs read on, and waits a moment for what comes at once.
    fn wake(&self, ask: &Ask, begun: Instant) {
        self.shared.touch();
        let mut inner = self.shared.lock();
        inner.is_stopped = *ask == Ask::Stop || inner.is_stopped && *ask != Ask::GoOn;
        inner.is_wanted |= inner.mode == Mode::Waiting && !inner.is_stopped;
        self.shared.tell();
        let is_coming = |inner: &mut Inner| {
            let is_first = inner.mode == Mode::Reading && inner.index.commits() == 0;
            !inner.is_stopped && (is_first || inner.mode == Mode::Waiting && inner.is_wanted)
        };
        let left = PATIENCE.saturating_sub(begun.elapsed());
        drop(self.shared.wait(inner, left, is_coming));
    }

    /// Looks which of what was read passes the filter, for a moment.
    fn look_at_more(&self, filter: &Filter, begun: Instant) -> Result<()> {
        loop {
            let mut inner = self.shared.lock();
            let Inner { index, hits, .. } = &mut *inner;
            let at = match hits.iter().position(|known| known.filter == *filter) {
                Some(at) => at,
                None => {
                    hits.truncate(FILTERS_MAX - 1);
                    hits.push(Hits::new(filter.clone()));
                    hits.len() - 1
                }
            };
            // The one that was needed last is the first.
            if let Some(known) = hits.get_mut(..=at) {
                known.rotate_right(1);
            }
            let Some(own) = hits.first_mut() else { return Ok(()) };
            if own.go_on(index, Instant::now() + TURN)? || begun.elapsed() > 2 * PATIENCE {
                return Ok(());
            }
            drop(inner);
            thread::yield_now();
        }
    }

    fn neighbour(&self, commit: u64, number: u64, forward: bool) -> Result<Rows> {
        let begun = {
            let inner = self.shared.lock();
            let Some((_, commit)) = inner.index.find(commit)? else { return Ok(Rows::Operation(None)) };
            inner.index.place_of_operation(&commit, number)?
        };
        let Some((place, wanted)) = begun else { return Ok(Rows::Operation(None)) };
        let mut search = super::hits::Search::new(place, wanted, forward);
        loop {
            let inner = self.shared.lock();
            if let Some(found) = search.step(&inner.index)? {
                let row = found.map(|entry| inner.index.row(&entry)).transpose()?;
                return Ok(Rows::Operation(row.map(Box::new)));
            }
            drop(inner);
            thread::yield_now();
        }
    }
}

/// Operations that are counted before whoever reads the log has his turn.
const COUNTED: usize = 1 << 16;
/// More stretches of which single commits are not known are not told at once; the last ones are.
const CATCH_UPS_TOLD: usize = 256;

impl Session {
    /// How dense the commits are that pass, as far as they were looked at.
    fn density(&self, filter: &Filter, span: Span) -> Result<Rows> {
        let span = span.lawful();
        let (mut counter, mut place) = (Counter::new(span), 0);
        loop {
            let inner = self.shared.lock();
            let commits = inner.index.commits_from(place, COUNTED)?;
            let Some(hits) = inner.hits.iter().find(|hits| hits.filter == *filter).filter(|_| !commits.is_empty())
            else {
                let is_seen = |one: &&Stretch| one.from < span.to && one.to >= span.from;
                let seen = inner.index.catch_ups().iter().rev().filter(is_seen).take(CATCH_UPS_TOLD);
                let mut catch_ups: Vec<Stretch> = seen.copied().collect();
                catch_ups.reverse();
                return Ok(Rows::Density { density: counter.finish(), catch_ups });
            };
            for (place, commit) in (place..).zip(&commits) {
                if hits.commits_before(place + 1) > hits.commits_before(place) {
                    counter.take(commit.number, commit.time());
                }
            }
            place += commits.len() as u64;
            drop(inner);
            thread::yield_now();
        }
    }

    /// What all commits from one on did.
    fn totals(&self, first: u64) -> Result<Rows> {
        let (place, commits, mut at) = {
            let inner = self.shared.lock();
            let index = &inner.index;
            let place = index.place_from(first)?;
            let begin = index.commit(place)?.map_or(index.operations(), |commit| commit.first);
            (place, index.commits(), begin)
        };
        let mut counts: BTreeMap<(u32, usize), u64> = BTreeMap::new();
        loop {
            let inner = self.shared.lock();
            let entries = inner.index.entries(at, COUNTED)?;
            at += entries.len() as u64;
            if entries.is_empty() {
                let part = |((table, action), count): ((u32, usize), u64)| Part {
                    table: inner.index.table(table).map(str::to_owned),
                    action: Action::ALL.get(action).copied().unwrap_or(Action::Unknown),
                    count,
                };
                let mut parts: Vec<Part> = counts.into_iter().map(part).collect();
                parts.sort_by_key(|part| std::cmp::Reverse(part.count));
                return Ok(Rows::Totals { commits: commits.saturating_sub(place), parts });
            }
            for entry in entries.iter().filter(|entry| !entry.is_internal) {
                let action = Action::ALL.iter().position(|action| *action == entry.action).unwrap_or_default();
                *counts.entry((entry.table, action)).or_default() += 1;
            }
            drop(inner);
            thread::yield_now();
        }
    }
}

impl Inner {
    /// The rows that were asked for, as far as they are known.
    fn rows(&mut self, filter: &Filter, ask: &Ask) -> Result<Rows> {
        let Inner { index, hits, .. } = self;
        let Some(hits) = hits.iter_mut().find(|hits| hits.filter == *filter) else { return Ok(Rows::None) };
        Ok(match ask {
            Ask::Commits { upto, newest_first, offset, count } => {
                let total = passing(index, hits, *upto)?;
                let end = offset.saturating_add((*count).min(ROWS_MAX)).min(total);
                let mut rows = Vec::new();
                for nth in *offset..end {
                    let nth = if *newest_first { total - 1 - nth } else { nth };
                    if let Some(commit) = hits.commit(nth).map(|place| index.commit(place)).transpose()?.flatten() {
                        rows.push(hits.row_of(index, &commit)?);
                    }
                }
                Rows::Commits(rows)
            }
            Ask::Operations { commit, offset, count } => Rows::Operations(match index.find(*commit)? {
                Some((_, commit)) => hits.operations_of(index, &commit, *offset, (*count).min(ROWS_MAX))?,
                None => Vec::new(),
            }),
            Ask::Operation { commit, number } => Rows::Operation(match index.find(*commit)? {
                Some((_, commit)) => operation(index, &commit, *number)?,
                None => None,
            }),
            Ask::Neighbour { .. }
            | Ask::Totals { .. }
            | Ask::Density(_)
            | Ask::Lines { .. }
            | Ask::Stop
            | Ask::GoOn => Rows::None,
        })
    }
}

fn operation(index: &Index, commit: &Commit, number: u64) -> Result<Option<Box<super::row::Row>>> {
    let entry = index.place_of_operation(commit, number)?;
    entry.map(|(_, entry)| index.row(&entry).map(Box::new)).transpose()
}

/// How many commits up to a number have operations that pass.
fn passing(index: &Index, hits: &Hits, upto: Option<u64>) -> Result<u64> {
    let end = match upto {
        Some(number) => index.place_from(number.saturating_add(1))?,
        None => u64::MAX,
    };
    Ok(hits.commits_before(end))
}
