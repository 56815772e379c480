//! A state as the engine tells it: its tables, and the rows around those that are seen.

use std::{
    collections::HashMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use uuid::Uuid;

use crate::{
    as_of::ask::{AboutState, Ask, BLOCK, Compared, Difference, Listed, Page, Question, Rows, Sheet, State, Which},
    engine::{Answer, Handle, Query},
    error::{Error, ErrorKind, ErrorReport, Result},
    records::shown::Shown,
    ui::{awaited::Awaited, widgets::count},
};

/// So many blocks are kept of each kind.
const BLOCKS_MAX: usize = 64;
/// How often is asked while something goes on.
const SOON: Duration = Duration::from_millis(150);
/// How often is asked so that it is kept open.
const NOW_AND_THEN: Duration = Duration::from_secs(5);

/// A state that is looked at.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) data_file: PathBuf,
    /// Its name, which the window has given it.
    pub(crate) name: Uuid,
    which: Which,
    is_told: bool,
    pub(crate) state: State,
    /// Why nothing can be told.
    problem: Option<ErrorReport>,
    /// The highest number that was given.
    number: u64,
    /// What is to be listed, with its number.
    shown: Option<(u64, Sheet)>,
    /// What is to be told next.
    next: Option<Ask>,
    blocks: HashMap<(u64, u64), Vec<Vec<Shown>>>,
    differences: HashMap<(u64, u64), Vec<Difference>>,
    record: Option<((u64, u64), Vec<Shown>)>,
    awaited: Awaited<Ask>,
    polled: Option<Instant>,
}

fn is_look(ask: &Ask) -> bool {
    !matches!(ask, Ask::Records { .. } | Ask::Record { .. } | Ask::Differences { .. })
}

impl Seen {
    /// Nothing was asked yet.
    pub(crate) fn new(data_file: PathBuf, which: Which) -> Self {
        Self {
            data_file,
            name: Uuid::new_v4(),
            which,
            is_told: false,
            state: State::default(),
            problem: None,
            number: 0,
            shown: None,
            next: None,
            blocks: HashMap::new(),
            differences: HashMap::new(),
            record: None,
            awaited: Awaited::default(),
            polled: None,
        }
    }

    /// A question about it.
    pub(crate) fn query(&self, ask: Ask) -> Query {
        Query::State { data_file: self.data_file.clone(), question: Question { looking: self.name, ask } }
    }

    /// Why nothing can be told.
    pub(crate) fn problem(&self) -> Option<&ErrorReport> {
        self.problem.as_ref().or(self.state.problem.as_ref())
    }

    /// Whether it is what an archive holds, without its logs.
    pub(crate) fn is_alone(&self) -> bool {
        matches!(self.which, Which::Archive { .. })
    }

    /// What is looked at, in words: of which moment and commit.
    pub(crate) fn title(&self) -> String {
        let Some(about) = &self.state.about else { return "Look at a state".to_owned() };
        let time = in_words(about);
        match about.commit {
            Some(commit) => format!("State after commit {} of {time}", count(commit)),
            None => format!("State of {time}"),
        }
    }

    /// A number above all others: what has it takes the place of what goes on.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// What is listed, or wanted to be.
    pub(crate) fn sheet(&self) -> Option<&Sheet> {
        self.shown.as_ref().map(|(_, sheet)| sheet)
    }

    /// Has records listed, unless they are; `again` also then. Says whether the list is another one.
    pub(crate) fn show(&mut self, sheet: Sheet, again: bool) -> bool {
        if !again && self.sheet() == Some(&sheet) {
            return false;
        }
        let number = self.next_number();
        self.shown = Some((number, sheet.clone()));
        self.next = Some(Ask::Show { number, sheet });
        (self.blocks, self.record) = (HashMap::new(), None);
        true
    }

    /// Has a table compared with the data file as it is now, or all.
    pub(crate) fn compare(&mut self, table: Option<String>) {
        let number = self.next_number();
        self.next = Some(Ask::Compare { number, table });
        (self.state.compared, self.differences) = (None, HashMap::new());
    }

    /// Has what goes on ended.
    pub(crate) fn stop(&mut self) {
        let number = self.next_number();
        self.next = Some(Ask::Stop { number });
    }

    /// Whether what was asked for was not told yet.
    pub(crate) fn is_pending(&self) -> bool {
        self.next.is_some() || self.awaited.any(|ask| is_look(ask) && !matches!(ask, Ask::Look))
    }

    /// The records that are listed, as far as they were found.
    pub(crate) fn listed(&self) -> Option<&Listed> {
        let number = self.shown.as_ref()?.0;
        self.state.listed.as_ref().filter(|listed| listed.number == number)
    }

    /// What was compared.
    pub(crate) fn compared(&self) -> Option<&Compared> {
        self.state.compared.as_ref()
    }

    /// A record of the list, if it has come.
    pub(crate) fn row(&self, nth: u64) -> Option<&Vec<Shown>> {
        let number = self.listed()?.number;
        self.blocks.get(&(number, nth / BLOCK))?.get((nth % BLOCK) as usize)
    }

    /// The record that is shown alone, if it has come.
    pub(crate) fn record(&self, nth: u64) -> Option<&Vec<Shown>> {
        let number = self.listed()?.number;
        self.record.as_ref().filter(|(of, _)| *of == (number, nth)).map(|(_, values)| values)
    }

    /// What is to be asked so that a row comes, if it was not asked for.
    pub(crate) fn missing_row(&self, nth: u64) -> Option<Ask> {
        let number = self.listed()?.number;
        self.unasked(Ask::Records { number, block: nth / BLOCK })
    }

    /// The same for a record that is shown alone.
    pub(crate) fn missing_record(&self, nth: u64) -> Option<Ask> {
        let number = self.listed()?.number;
        self.unasked(Ask::Record { number, nth })
    }

    /// A difference, if it has come.
    pub(crate) fn difference(&self, nth: u64) -> Option<&Difference> {
        let number = self.compared()?.number;
        self.differences.get(&(number, nth / BLOCK))?.get((nth % BLOCK) as usize)
    }

    /// What is to be asked so that it comes.
    pub(crate) fn missing_difference(&self, nth: u64) -> Option<Ask> {
        let number = self.compared()?.number;
        self.unasked(Ask::Differences { number, block: nth / BLOCK })
    }

    fn unasked(&self, ask: Ask) -> Option<Ask> {
        (!self.awaited.has(&ask)).then_some(ask)
    }

    /// What is to be asked now, and when again.
    pub(crate) fn poll(&self) -> (Option<Ask>, Duration) {
        if self.problem.is_some() {
            return (None, NOW_AND_THEN);
        }
        let is_awaited = self.awaited.any(is_look);
        let is_counting = self.state.tables.iter().any(|row| row.records.is_none() && row.problem.is_none());
        let every = match (self.is_told, &self.next) {
            (false, _) | (_, Some(_)) => Duration::ZERO,
            _ if self.state.doing.is_some() => SOON,
            _ if is_counting => 4 * SOON,
            _ => NOW_AND_THEN,
        };
        let since = self.polled.map_or(every, |polled| polled.elapsed());
        if is_awaited || since < every {
            return (None, every.saturating_sub(since).clamp(Duration::from_millis(30), SOON));
        }
        let ask = match &self.next {
            _ if !self.is_told => Ask::Open(self.which.clone()),
            Some(next) => next.clone(),
            None => Ask::Look,
        };
        (Some(ask), SOON)
    }

    /// Asks the engine, unless it was asked already.
    ///
    /// # Errors
    /// When it does not take the question.
    pub(crate) fn ask(&mut self, handle: &Handle, ask: Ask) -> Result<()> {
        if self.awaited.has(&ask) {
            return Ok(());
        }
        if is_look(&ask) {
            self.polled = Some(Instant::now());
            self.is_told |= matches!(ask, Ask::Open(_));
            if self.next.as_ref() == Some(&ask) {
                self.next = None;
            }
        }
        let query = self.query(ask.clone());
        self.awaited.ask(handle, ask, query)
    }

    /// Takes what has come.
    pub(crate) fn take(&mut self) {
        for (ask, came) in self.awaited.take() {
            match came {
                Some(Ok(Answer::State(page))) => self.arrived(&ask, *page),
                Some(Ok(_)) => {}
                None => self.open_again(),
                // It was closed, or another engine looks after the data file by now.
                Some(Err(error)) if error.kind == ErrorKind::NotFound && !matches!(ask, Ask::Open(_)) => {
                    self.open_again();
                }
                Some(Err(error)) => self.problem = Some(error),
            }
        }
    }

    /// The state is opened once more, and what was listed is listed again.
    fn open_again(&mut self) {
        self.is_told = false;
        if let Some((number, sheet)) = self.shown.clone().filter(|_| self.next.is_none()) {
            self.next = Some(Ask::Show { number, sheet });
        }
    }

    fn arrived(&mut self, ask: &Ask, page: Page) {
        let of = |state: &State| state.about.as_ref().map(|about| (about.commit, about.time));
        // What is shown never becomes another state, also where it had to be opened once more.
        if let (Some(before), Some(now)) = (of(&self.state), of(&page.state))
            && before != now
        {
            let changed = Error::new(ErrorKind::Changed, "archive and log do not lead to this state any more");
            self.problem = Some(changed.hint("Close this, and look again.").report());
            return;
        }
        let before = std::mem::replace(&mut self.state, page.state);
        let last_named = before.compared.as_ref().map(|compared| (compared.number, compared.named));
        let last = before.listed.as_ref().map(|listed| (listed.number, listed.records));
        if self.state.about.is_none() && self.state.problem.is_none() {
            // It is being opened once more: what is known stays.
            (self.state.about, self.state.tables) = (before.about, before.tables);
            (self.state.listed, self.state.compared) = (before.listed, before.compared);
        }
        let named = |state: &State| state.compared.as_ref().map(|compared| (compared.number, compared.named));
        if let Some((number, many)) = last_named.filter(|last| named(&self.state) != Some(*last)) {
            self.differences.remove(&(number, many / BLOCK));
        }
        // A block that was read before all was found has become longer.
        let longer = |state: &State| state.listed.as_ref().map(|listed| (listed.number, listed.records));
        if let (Some((number, records)), Some(now)) = (last, longer(&self.state))
            && (number, records) != now
        {
            self.blocks.remove(&(number, records / BLOCK));
        }
        if self.blocks.len() >= BLOCKS_MAX {
            self.blocks.clear();
        }
        if self.differences.len() >= BLOCKS_MAX {
            self.differences.clear();
        }
        match (ask, page.rows) {
            (Ask::Records { number, block }, Rows::Records(rows)) => _ = self.blocks.insert((*number, *block), rows),
            (Ask::Record { number, nth }, Rows::Record(values)) => self.record = Some(((*number, *nth), values)),
            (Ask::Differences { number, block }, Rows::Differences(rows)) => {
                self.differences.insert((*number, *block), rows);
            }
            _ => {}
        }
    }
}

/// When a state was reached, as people read it.
pub(crate) fn in_words(about: &AboutState) -> String {
    about.time.with_timezone(&chrono::Local).format("%Y-%m-%d %H:%M:%S%.3f").to_string()
}
