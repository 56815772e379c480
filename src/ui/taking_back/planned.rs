//! What taking back would do, as the engine tells it: the numbers of the last plan, and a few rows around those that
//! are seen.

use std::{
    collections::HashMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use uuid::Uuid;

use crate::{
    activity::query::Source,
    engine::{Answer, Handle, Query},
    error::{ErrorKind, ErrorReport, Result},
    take_back::{
        Decision, Decisions, LeftOut, Pick,
        query::{Ask, Hindered, Order, Page, Planned, Question, Rows, Sql, State},
    },
    ui::awaited::Awaited,
};

/// Rows that are asked for at once.
const BLOCK: u64 = 128;
/// So many times that are kept of each kind.
const BLOCKS_MAX: usize = 64;
/// How often is asked while a plan is made.
const SOON: Duration = Duration::from_millis(150);
/// How often is asked so that it is kept.
const NOW_AND_THEN: Duration = Duration::from_secs(5);
/// How often where nothing can be told.
const SELDOM: Duration = Duration::from_secs(3);

/// Rows of one kind.
#[derive(Debug)]
pub(crate) struct Blocks<T>(HashMap<u64, Vec<T>>);

impl<T> Default for Blocks<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T> Blocks<T> {
    /// A row, if it has come.
    pub(crate) fn get(&self, nth: usize) -> Option<&T> {
        self.0.get(&(nth as u64 / BLOCK))?.get((nth as u64 % BLOCK) as usize)
    }

    fn put(&mut self, offset: u64, rows: Vec<T>) {
        if self.0.len() >= BLOCKS_MAX {
            self.0.clear();
        }
        self.0.insert(offset / BLOCK, rows);
    }
}

/// What is being planned.
#[derive(Debug)]
pub(crate) struct Planning {
    pub(crate) data_file: PathBuf,
    /// Its name, which the window has given it.
    pub(crate) name: Uuid,
    order: Order,
    /// Whether the engine was told what is wanted now.
    is_told: bool,
    pub(crate) state: State,
    /// Why nothing can be told.
    problem: Option<ErrorReport>,
    pub(crate) hindered: Blocks<Hindered>,
    pub(crate) left_out: Blocks<LeftOut>,
    pub(crate) statements: Blocks<Sql>,
    awaited: Awaited<Ask>,
    polled: Option<Instant>,
}

impl Planning {
    /// Nothing was asked yet.
    pub(crate) fn new(data_file: PathBuf, source: Source, pick: Pick) -> Self {
        Self {
            data_file,
            name: Uuid::new_v4(),
            order: Order { source, pick, decisions: Decisions::default(), round: 0 },
            is_told: false,
            state: State::default(),
            problem: None,
            hindered: Blocks::default(),
            left_out: Blocks::default(),
            statements: Blocks::default(),
            awaited: Awaited::default(),
            polled: None,
        }
    }

    /// A question about it.
    pub(crate) fn query(&self, ask: Ask) -> Query {
        Query::TakeBack { data_file: self.data_file.clone(), question: Question { planning: self.name, ask } }
    }

    /// What is decided by now.
    pub(crate) fn decisions(&self) -> &Decisions {
        &self.order.decisions
    }

    /// Decides something: a plan with that is wanted.
    pub(crate) fn decide(&mut self, change: impl FnOnce(&mut Decisions)) {
        let before = self.order.decisions.clone();
        change(&mut self.order.decisions);
        self.is_told &= self.order.decisions == before;
    }

    /// What was decided about a record.
    pub(crate) fn decision(&self, step: u64) -> Option<Decision> {
        let decisions = &self.order.decisions;
        decisions.each.get(&(step as usize)).copied().or(decisions.all)
    }

    /// Whether also what follows by foreign keys is taken back.
    pub(crate) fn with_cascades(&self) -> bool {
        self.order.pick.with_cascades
    }

    /// Has that taken back, or not. Records are counted anew, so that nothing is decided of any.
    pub(crate) fn set_cascades(&mut self, wanted: bool) {
        if self.order.pick.with_cascades != wanted {
            self.order.pick.with_cascades = wanted;
            self.order.decisions = Decisions::default();
            self.is_told = false;
        }
    }

    /// The data file has changed since: the plan is made anew.
    pub(crate) fn again(&mut self) {
        self.order.round += 1;
        self.is_told = false;
    }

    /// The plan that was made last, whether it is the one that is wanted or not.
    pub(crate) fn planned(&self) -> Option<&Planned> {
        self.state.planned.as_ref()
    }

    /// The plan with everything that is decided, if it was made.
    pub(crate) fn wanted(&self) -> Option<&Planned> {
        let is_it = |planned: &&Planned| planned.decisions == self.order.decisions && planned.round == self.order.round;
        self.planned().filter(|_| self.is_told && self.problem().is_none() && self.state.doing.is_none()).filter(is_it)
    }

    /// Why there is no plan.
    pub(crate) fn problem(&self) -> Option<&ErrorReport> {
        self.problem.as_ref().or(self.state.problem.as_ref())
    }

    /// What is to be asked now, and when again.
    pub(crate) fn poll(&self) -> (Option<Ask>, Duration) {
        let is_awaited = self.awaited.any(|ask| matches!(ask, Ask::Make(_) | Ask::Look));
        let every = match (&self.problem, self.is_told) {
            (Some(_), _) => SELDOM,
            (None, false) => Duration::ZERO,
            _ if self.state.doing.is_some() => SOON,
            _ => NOW_AND_THEN,
        };
        let since = self.polled.map_or(every, |polled| polled.elapsed());
        if is_awaited || since < every {
            return (None, every.saturating_sub(since).clamp(Duration::from_millis(30), SOON));
        }
        (Some(if self.is_told { Ask::Look } else { Ask::Make(Box::new(self.order.clone())) }), SOON)
    }

    /// What is to be asked so that a row comes, if it is not there and was not asked for.
    pub(crate) fn missing(&self, nth: usize, of: fn(u64, u64) -> Ask) -> Option<Ask> {
        let ask = of(nth as u64 / BLOCK * BLOCK, BLOCK);
        (!self.awaited.has(&ask)).then_some(ask)
    }

    /// Asks the engine, unless it was asked already.
    ///
    /// # Errors
    /// When it does not take the question.
    pub(crate) fn ask(&mut self, handle: &Handle, ask: Ask) -> Result<()> {
        if self.awaited.has(&ask) {
            return Ok(());
        }
        if matches!(ask, Ask::Make(_) | Ask::Look) {
            self.polled = Some(Instant::now());
            if matches!(ask, Ask::Make(_)) {
                self.is_told = true;
            }
        }
        let query = self.query(ask.clone());
        self.awaited.ask(handle, ask, query)
    }

    /// Takes what has come.
    pub(crate) fn take(&mut self) {
        for (ask, came) in self.awaited.take() {
            match came {
                Some(Ok(Answer::TakeBack(page))) => self.arrived(&ask, *page),
                Some(Ok(_)) => {}
                // Whoever answers now does not know what was wanted.
                None => self.is_told = false,
                Some(Err(error)) if error.kind == ErrorKind::NotFound && !matches!(ask, Ask::Make(_)) => {
                    self.is_told = false;
                }
                Some(Err(error)) => {
                    self.problem = Some(error);
                    self.is_told = false;
                }
            }
        }
    }

    fn arrived(&mut self, ask: &Ask, page: Page) {
        let name = |state: &State| state.planned.as_ref().map(|planned| planned.plan);
        if name(&page.state) != name(&self.state) {
            (self.hindered, self.left_out) = (Blocks::default(), Blocks::default());
            self.statements = Blocks::default();
        }
        (self.state, self.problem) = (page.state, None);
        match (ask, page.rows) {
            (Ask::Hindered { offset, .. }, Rows::Hindered(rows)) => self.hindered.put(*offset, rows),
            (Ask::LeftOut { offset, .. }, Rows::LeftOut(rows)) => self.left_out.put(*offset, rows),
            (Ask::Statements { offset, .. }, Rows::Statements(rows)) => self.statements.put(*offset, rows),
            _ => {}
        }
    }
}
