//! Rows as they come from the engine: a few around those that are seen. What was not seen for long is forgotten.

use std::{
    collections::HashMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use crate::{
    activity::{
        filter::Filter,
        query::{Ask, Brief, CommitRow, Page, Question, Rows, Source, State},
        row::Row,
    },
    engine::{Answer, Handle, Query},
    error::{ErrorReport, Result},
    ui::awaited::Awaited,
};

/// Rows that are asked for at once.
pub(crate) const BLOCK: u64 = 128;
/// So many times that are kept.
const BLOCKS_MAX: usize = 64;
/// How often is asked while the log is read.
const SOON: Duration = Duration::from_millis(150);
/// How often is asked whether there is more.
const NOW_AND_THEN: Duration = Duration::from_millis(1000);
/// How often where nothing can be told.
const SELDOM: Duration = Duration::from_secs(3);

/// What a list is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct About {
    /// The data file, or the log.
    pub(crate) of: PathBuf,
    /// Which logs.
    pub(crate) source: Source,
    /// What is looked for.
    pub(crate) filter: Filter,
    /// Whether the newest comes first.
    pub(crate) newest_first: bool,
}

impl About {
    /// A question about it.
    pub(crate) fn query(&self, ask: Ask) -> Query {
        let question = Question { source: self.source.clone(), filter: self.filter.clone(), ask };
        Query::Activity { of: self.of.clone(), question }
    }
}

/// An operation by its commit and number, if there is one.
type Detail = ((u64, u64), Option<Box<Row>>);

/// The commits that are listed: those up to one of them, so that each has its place.
#[derive(Debug, Default)]
struct Listed {
    /// Whether anything was answered.
    is_known: bool,
    upto: Option<u64>,
    total: u64,
    blocks: HashMap<u64, Vec<CommitRow>>,
}

/// What has come of a list, and what is waited for.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    about: Option<About>,
    pub(crate) state: Option<State>,
    /// Why nothing can be told.
    pub(crate) problem: Option<ErrorReport>,
    listed: Listed,
    operations: HashMap<(u64, u64), Vec<Brief>>,
    /// The operation that is shown in full.
    pub(crate) detail: Option<Detail>,
    awaited: Awaited<Ask>,
    polled: Option<Instant>,
}

impl Feed {
    /// It is about this from now on.
    pub(crate) fn be_about(&mut self, about: About) {
        let Some(before) = self.about.as_ref().filter(|before| **before != about) else {
            self.about = Some(about);
            return;
        };
        let is_same_log = before.of == about.of && before.source == about.source;
        // What is known of the logs is the same for another filter.
        let (state, detail) = if is_same_log { (self.state.take(), self.detail.take()) } else { (None, None) };
        *self = Self { about: Some(about), state, detail, ..Self::default() };
    }

    /// What it is about.
    pub(crate) fn about(&self) -> Option<&About> {
        self.about.as_ref()
    }

    /// Forgets everything: whoever answers now may see it otherwise.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Asks the engine, unless it was asked already.
    ///
    /// # Errors
    /// When it does not take the question.
    pub(crate) fn ask(&mut self, handle: &Handle, ask: Ask) -> Result<()> {
        let Some(about) = &self.about else { return Ok(()) };
        if self.awaited.has(&ask) {
            return Ok(());
        }
        match ask {
            Ask::Commits { .. } => self.polled = Some(Instant::now()),
            // What comes of it is seen at once.
            Ask::Stop | Ask::GoOn => self.polled = None,
            _ => {}
        }
        let query = about.query(ask.clone());
        self.awaited.ask(handle, ask, query)
    }

    /// What is to be asked now so that the list goes on, and when again; `held` where rows stay where they are, and the
    /// first of them that is seen.
    pub(crate) fn poll(&self, held: Option<u64>) -> (Option<Ask>, Duration) {
        let newest_first = self.about.as_ref().is_some_and(|about| about.newest_first);
        let is_awaited = self.awaited.any(|ask| matches!(ask, Ask::Commits { .. }));
        let every = match (&self.problem, &self.state) {
            (Some(_), _) => SELDOM,
            (None, Some(state)) if (!state.is_reading || state.is_stopped) && state.looked_at >= state.operations => {
                NOW_AND_THEN
            }
            _ => SOON,
        };
        let since = self.polled.map_or(every, |polled| polled.elapsed());
        if is_awaited || since < every {
            return (None, every.saturating_sub(since).max(Duration::from_millis(30)));
        }
        let upto = held.and(self.listed.upto);
        let offset = upto.map_or(0, |_| held.unwrap_or_default() / BLOCK * BLOCK);
        (Some(Ask::Commits { upto, newest_first, offset, count: BLOCK }), every)
    }

    /// Takes what has come; returns what somebody else waits for.
    pub(crate) fn take(&mut self) -> Vec<(Ask, Rows)> {
        let mut others = Vec::new();
        for (ask, came) in self.awaited.take() {
            match came {
                Some(Ok(Answer::Activity(page))) => others.extend(self.arrived(ask, *page)),
                Some(Ok(_)) | None => {}
                Some(Err(error)) => self.problem = Some(error),
            }
        }
        others
    }

    fn arrived(&mut self, ask: Ask, page: Page) -> Option<(Ask, Rows)> {
        self.problem = None;
        match (&ask, page.rows) {
            (Ask::Commits { upto, offset, .. }, Rows::Commits(rows)) => {
                let state = page.state;
                // Otherwise they are of a list that is shown no more.
                if upto.is_none() {
                    let (upto, total) = (state.looked_to, state.passing_commits);
                    self.listed = Listed { is_known: true, upto, total, blocks: HashMap::new() };
                }
                if upto.is_none() || *upto == self.listed.upto {
                    if self.listed.blocks.len() >= BLOCKS_MAX {
                        self.listed.blocks.clear();
                    }
                    self.listed.blocks.insert(offset / BLOCK, rows);
                    self.state = Some(state);
                }
                None
            }
            (Ask::Operations { commit, offset, .. }, Rows::Operations(rows)) => {
                if self.operations.len() >= BLOCKS_MAX {
                    self.operations.clear();
                }
                self.operations.insert((*commit, offset / BLOCK), rows);
                None
            }
            (Ask::Operation { commit, number }, Rows::Operation(row)) => {
                self.detail = Some(((*commit, *number), row));
                None
            }
            (_, rows) => Some((ask, rows)),
        }
    }

    /// Whether it is known what is listed.
    pub(crate) fn is_known(&self) -> bool {
        self.listed.is_known
    }

    /// How many commits are listed.
    pub(crate) fn total(&self) -> u64 {
        self.listed.total
    }

    /// The last commit that is listed, by number.
    pub(crate) fn upto(&self) -> Option<u64> {
        self.listed.upto
    }

    /// A commit of the list, if it has come.
    pub(crate) fn commit(&self, nth: u64) -> Option<&CommitRow> {
        self.listed.blocks.get(&(nth / BLOCK))?.get((nth % BLOCK) as usize)
    }

    /// An operation of a commit, if it has come.
    pub(crate) fn operation(&self, commit: u64, nth: u64) -> Option<&Brief> {
        self.operations.get(&(commit, nth / BLOCK))?.get((nth % BLOCK) as usize)
    }

    /// What is to be asked so that a commit comes.
    pub(crate) fn ask_for_commit(&self, nth: u64) -> Ask {
        let newest_first = self.about.as_ref().is_some_and(|about| about.newest_first);
        Ask::Commits { upto: self.listed.upto, newest_first, offset: nth / BLOCK * BLOCK, count: BLOCK }
    }

    /// What is to be asked so that an operation comes.
    pub(crate) fn ask_for_operation(commit: u64, nth: u64) -> Ask {
        Ask::Operations { commit, offset: nth / BLOCK * BLOCK, count: BLOCK }
    }

    /// The operation that is shown in full, if it has come.
    pub(crate) fn shown(&self, wanted: (u64, u64)) -> Option<&Row> {
        self.detail.as_ref().filter(|(of, _)| *of == wanted).and_then(|(_, row)| row.as_deref())
    }
}
