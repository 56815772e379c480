//! A state that is kept open for whoever looks at it, with the thread that reads it. One thing is done at a time: what
//! is wanted last ends what goes on; rows are read in between. It ends when nobody asks any more.

mod chosen;
mod looker;
mod sheet;

use std::{
    collections::HashMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Effort, Limits, Looked, Turn,
    ask::{Ask, Chosen, Difference, PIECE, Page, Rows, SaveForm, Sheet, State, Which},
    ask::{BLOCK, Doing},
};
use crate::{
    control::{
        Control,
        session::{self, PATIENCE},
    },
    error::{Error, ErrorKind, Result},
    records::{operation::hexadecimal, shown::Shown},
};

/// A state that nobody asks for is closed after so long: it holds memory, and files of archive and log.
const LEASE: Duration = Duration::from_secs(60);
/// So many blocks of rows are kept.
const BLOCKS_MAX: usize = 64;

/// Opens the state, as thoroughly as is said.
pub type Open = Box<dyn Fn(&mut Effort, &Limits) -> Result<Looked> + Send>;

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
enum Work {
    List(Sheet),
    Compare(Option<String>),
    Save(Sheet, SaveForm, Option<Chosen>),
    /// Nothing: what goes on ends.
    Rest,
}

/// Rows that are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fetch {
    Block(u64, u64),
    Record(u64, u64),
}

#[derive(Default)]
struct Inner {
    state: State,
    /// The highest number that was asked with.
    number: u64,
    wanted: Option<(u64, Work)>,
    fetches: Vec<Fetch>,
    blocks: HashMap<(u64, u64), Vec<Vec<Shown>>>,
    record: Option<((u64, u64), Vec<Shown>)>,
    differences: Vec<Difference>,
    file: Option<(u64, File)>,
    /// Whether what goes on gives way to everything else.
    is_idle: bool,
    is_over: bool,
}

impl Inner {
    /// Whether somebody waits for something else than what goes on.
    fn is_awaited(&self) -> bool {
        self.wanted.is_some() || self.is_idle && !self.fetches.is_empty()
    }
}

type Shared = session::Shared<Inner>;

/// A state that is looked at.
pub struct Session {
    shared: session::Session<Inner>,
    which: Which,
    turn: Arc<Turn>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("which", &self.which).finish_non_exhaustive()
    }
}

impl Session {
    /// Begins to open the state `which` of `data_file`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn begin(data_file: PathBuf, which: Which, control: Arc<Control>, open: Open) -> Result<Self> {
        let turn: Arc<Turn> = Arc::default();
        let limits = Limits { control: Arc::clone(&control), turn: Arc::clone(&turn), ..Limits::default() };
        let mut looker = looker::Looker::new(data_file, which.clone(), limits, open);
        let inner = Inner { state: State { doing: Some(Doing::Opening), ..State::default() }, ..Inner::default() };
        let words = ("look", "nothing can be looked at beside all else");
        let shared = session::Session::begin(inner, control, words, move |shared: &Shared| looker.run(shared))?;
        Ok(Self { shared, which, turn })
    }

    /// Whether it is this state.
    pub fn is_of(&self, which: &Which) -> bool {
        self.which == *which
    }

    /// Whether it was closed, because nobody asked for long.
    pub fn is_gone(&self) -> bool {
        self.shared.asked().elapsed() >= LEASE
    }

    /// When somebody asked last.
    pub fn asked(&self) -> Instant {
        self.shared.asked()
    }

    /// Answers a question, after a moment at most.
    ///
    /// # Errors
    /// Where a file that was saved cannot be read.
    pub fn answer(&self, ask: &Ask) -> Result<Page> {
        self.shared.touch();
        let mut inner = self.shared.lock();
        match ask {
            Ask::Show { number, sheet } => self.want(&mut inner, *number, Work::List(sheet.clone())),
            Ask::Compare { number, table } => self.want(&mut inner, *number, Work::Compare(table.clone())),
            Ask::Save { number, sheet, form, only } => {
                self.want(&mut inner, *number, Work::Save(sheet.clone(), *form, only.clone()));
            }
            Ask::Stop { number } => self.want(&mut inner, *number, Work::Rest),
            Ask::Records { number, block } => self.fetch(&mut inner, Fetch::Block(*number, *block)),
            Ask::Record { number, nth } => self.fetch(&mut inner, Fetch::Record(*number, *nth)),
            Ask::Open(_) | Ask::Look | Ask::Differences { .. } | Ask::Piece { .. } | Ask::Forget => {}
        }
        let is_coming = |inner: &mut Inner| {
            let of = |number: u64| inner.state.listed.as_ref().is_some_and(|listed| listed.number == number);
            !inner.is_over
                && match ask {
                    Ask::Records { number, block } => {
                        of(*number) && inner.has(&Fetch::Block(*number, *block)).is_none()
                    }
                    Ask::Record { number, nth } => of(*number) && inner.has(&Fetch::Record(*number, *nth)).is_none(),
                    _ => inner.wanted.is_some() || inner.state.doing.is_some(),
                }
        };
        if !matches!(ask, Ask::Differences { .. } | Ask::Piece { .. } | Ask::Forget) {
            inner = self.shared.wait(inner, PATIENCE, is_coming).0;
        }
        let rows = inner.rows(ask)?;
        Ok(Page { state: inner.state.clone(), rows })
    }

    /// What has a higher number takes the place of what goes on.
    fn want(&self, inner: &mut Inner, number: u64, work: Work) {
        if number <= inner.number {
            return;
        }
        (inner.number, inner.wanted) = (number, Some((number, work)));
        // Said at once: what was there before is of another question.
        inner.state.doing = inner.state.doing.or(Some(Doing::Listing));
        self.turn.end();
        self.shared.tell();
    }

    fn fetch(&self, inner: &mut Inner, fetch: Fetch) {
        if inner.has(&fetch).is_some() || inner.fetches.contains(&fetch) {
            return;
        }
        inner.fetches.push(fetch);
        if inner.is_idle {
            self.turn.end();
        }
        self.shared.tell();
    }
}

impl Inner {
    fn has(&self, fetch: &Fetch) -> Option<Rows> {
        match fetch {
            Fetch::Block(number, block) => {
                // One that was read before all was found may have become longer.
                let listed = self.state.listed.as_ref().filter(|listed| listed.number == *number)?;
                let due = listed.records.saturating_sub(block * BLOCK).min(BLOCK);
                let rows = self.blocks.get(&(*number, *block)).filter(|rows| rows.len() as u64 >= due)?;
                Some(Rows::Records(rows.clone()))
            }
            Fetch::Record(number, nth) => {
                let found = self.record.as_ref().filter(|(of, _)| *of == (*number, *nth))?;
                Some(Rows::Record(found.1.clone()))
            }
        }
    }

    fn keep(&mut self, fetch: Fetch, rows: Vec<Vec<Shown>>) {
        match fetch {
            Fetch::Block(number, block) => {
                if self.blocks.len() >= BLOCKS_MAX {
                    self.blocks.clear();
                }
                self.blocks.insert((number, block), rows);
            }
            Fetch::Record(number, nth) => {
                self.record = rows.into_iter().next().map(|values| ((number, nth), values));
            }
        }
    }

    fn rows(&mut self, ask: &Ask) -> Result<Rows> {
        Ok(match ask {
            Ask::Records { number, block } => self.has(&Fetch::Block(*number, *block)).unwrap_or(Rows::None),
            Ask::Record { number, nth } => self.has(&Fetch::Record(*number, *nth)).unwrap_or(Rows::None),
            Ask::Differences { number, block } => {
                let is_it = self.state.compared.as_ref().is_some_and(|compared| compared.number == *number);
                let from = usize::try_from(block * BLOCK).unwrap_or(usize::MAX);
                let all = self.differences.iter().skip(from).take(BLOCK as usize);
                if is_it { Rows::Differences(all.cloned().collect()) } else { Rows::None }
            }
            Ask::Piece { number, offset } => match &mut self.file {
                Some((of, file)) if of == number => piece(file, *offset)?,
                _ => {
                    return Err(Error::new(ErrorKind::NotFound, "what was saved is not kept any more")
                        .hint("Save it once more."));
                }
            },
            _ => Rows::None,
        })
    }
}

/// A piece of a file.
fn piece(file: &mut File, offset: u64) -> Result<Rows> {
    let fail = |e| Error::new(ErrorKind::Io, "what was saved cannot be read").because(e);
    let length = file.metadata().map_err(fail)?.len();
    file.seek(SeekFrom::Start(offset)).map_err(fail)?;
    let mut bytes = Vec::new();
    file.take(PIECE).read_to_end(&mut bytes).map_err(fail)?;
    let end = offset + bytes.len() as u64;
    Ok(Rows::Piece { hex: hexadecimal(&bytes), next: (end < length).then_some(end) })
}
