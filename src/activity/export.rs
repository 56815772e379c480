//! What a filter lets through as lines of text, with all values whole: the logs are read again for it, and nothing is
//! taken from the index.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use uuid::Uuid;

use super::{
    filter::{Filter, Passes},
    query::{Form, Rows},
    row::Row,
    way::{Open, end_of, everything, stretches},
};
use crate::{
    control::Control,
    error::{Error, ErrorKind, Result},
    records::{
        history::{Heard, History, Wanted},
        lines,
        operation::{Action, Operation},
        store::ArchiveBase,
    },
};

/// Lines are passed on when they have so many bytes.
const PIECE: usize = 128 << 10;
/// An answer has about so many.
const ANSWER: usize = 1 << 20;
/// So long an answer waits for the first of them.
const PATIENCE: Duration = Duration::from_millis(500);
/// So many exports go on at a time.
const EXPORTS_MAX: usize = 4;

/// Lines, and how many operations were told with them and before.
type Piece = Result<(String, u64)>;

struct Export {
    id: Uuid,
    pieces: Receiver<Piece>,
    told: u64,
    /// Why no more can be told, after what was passed on before.
    problem: Option<Error>,
}

/// The exports that go on.
pub(super) struct Exports {
    open: Open,
    all: Mutex<Vec<Arc<Mutex<Export>>>>,
}

impl Exports {
    pub(super) fn new(open: Open) -> Self {
        Self { open, all: Mutex::default() }
    }

    /// The next lines of an export, which is begun where it is not known.
    ///
    /// # Errors
    /// Why no more can be told, after all that comes before was.
    pub(super) fn next(&self, id: Uuid, filter: &Filter, form: Form, upto: Option<u64>) -> Result<Rows> {
        let export = {
            let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
            let is_it = |export: &Arc<Mutex<Export>>| export.lock().unwrap_or_else(PoisonError::into_inner).id == id;
            match all.iter().find(|export| is_it(export)) {
                Some(export) => Arc::clone(export),
                None => {
                    // Whoever began the oldest one has gone, or is told that it cannot go on.
                    if all.len() >= EXPORTS_MAX {
                        all.remove(0);
                    }
                    let begun = Arc::new(Mutex::new(self.begin(id, filter.clone(), form, upto)?));
                    all.push(Arc::clone(&begun));
                    begun
                }
            }
        };
        let mut export = export.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(problem) = export.problem.take() {
            return Err(problem);
        }
        let (mut text, begun, mut is_last) = (String::new(), Instant::now(), false);
        while text.len() < ANSWER {
            let left = if text.is_empty() { PATIENCE.saturating_sub(begun.elapsed()) } else { Duration::ZERO };
            match export.pieces.recv_timeout(left) {
                Ok(Ok((more, told))) => {
                    text.push_str(&more);
                    export.told = told;
                }
                Ok(Err(error)) if text.is_empty() => return Err(error),
                Ok(Err(error)) => {
                    export.problem = Some(error);
                    break;
                }
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => {
                    is_last = true;
                    break;
                }
            }
        }
        Ok(Rows::Lines { text, told: export.told, is_last })
    }

    fn begin(&self, id: Uuid, filter: Filter, form: Form, upto: Option<u64>) -> Result<Export> {
        let (sender, pieces) = bounded(4);
        let open = Arc::clone(&self.open);
        let work = move || {
            let done = write(&open, &filter, form, upto, &sender);
            if let Err(error) = done {
                let _ = sender.send(Err(error));
            }
        };
        thread::Builder::new()
            .name("export".to_owned())
            .spawn(work)
            .map_err(|e| Error::new(ErrorKind::Io, "the log cannot be read beside all else").because(e))?;
        Ok(Export { id, pieces, told: 0, problem: None })
    }
}

/// Lines that wait to be passed on.
struct Lines<'a> {
    text: String,
    told: u64,
    sender: &'a Sender<Piece>,
    form: Form,
}

impl Lines<'_> {
    fn put(&mut self, operation: &Operation<'_>) -> Result<()> {
        let line = match self.form {
            Form::Json => lines::json(operation)?,
            Form::Csv => lines::csv(operation)?,
        };
        self.text.push_str(&line);
        self.text.push('\n');
        self.told += 1;
        if self.text.len() > PIECE { self.pass_on() } else { Ok(()) }
    }

    /// `Stopped` where nobody takes them any more.
    fn pass_on(&mut self) -> Result<()> {
        let piece = Ok((std::mem::take(&mut self.text), self.told));
        self.sender.send(piece).map_err(|_| Error::stopped())
    }
}

fn write(open: &Open, filter: &Filter, form: Form, upto: Option<u64>, sender: &Sender<Piece>) -> Result<()> {
    let control = Control::default();
    let trail = open(&control)?;
    let end = end_of(trail.ends);
    let stretches = stretches(&trail.legs, end.is_none());
    // What is not looked for need not be told.
    let (first, last) = (trail.first.max(filter.first), upto.into_iter().chain(filter.last).min());
    let wanted = Wanted { last, since: filter.since, ..everything(first) };
    let mut history = History::new(Box::new(ArchiveBase::mending(trail.archive)?.0), stretches);
    let mut out = Lines { text: String::new(), told: 0, sender, form };
    if form == Form::Csv {
        out.text = format!("{}\n", lines::CSV_HEAD);
    }
    let mut operations = 0;
    let told = history.go_on(&wanted, &control, &mut |heard| match heard {
        Heard::Operation(operation) => {
            let mut row = Row::of(operation);
            row.stands_for_internal = row.action == Action::Rewrite && operations > 0;
            operations += 1;
            if filter.passes(&row) == Passes::Yes { out.put(operation) } else { Ok(()) }
        }
        Heard::Commit { .. } => {
            operations = 0;
            Ok(())
        }
    });
    out.pass_on()?;
    told?;
    let reached = history.told().last;
    match end.filter(|_| upto.is_none_or(|upto| reached.is_none_or(|reached| reached < upto))) {
        Some(end) => Err(end),
        None => Ok(()),
    }
}
