//! States of data files that are kept open for whoever looks at them.

use std::{path::PathBuf, sync::Arc, time::Instant};

use uuid::Uuid;

use super::{
    activity::Logged,
    in_care::{InCare, LOOK_WAIT, with_running},
    lost::{last_made, missing_archives},
    sessions::{Forgotten, Sessions, Threads},
};
use crate::{
    as_of::{
        Effort, Limits, Looked,
        ask::{Ask, Page, Question, Rows, State, Which},
        session::{Open, Session},
    },
    control::{Clock, Control},
    error::{Error, ErrorKind, Result},
    journal::Capture,
    restore::{self, Logs, Origin},
};

/// States that are kept open; the one that was asked for least lately is closed first. Each takes up to 200 MiB.
const SESSIONS_MAX: usize = 3;
/// So many threads read states, those among them that were told to end: one call of a function, which a statement may
/// hold, can take hours, and SQLite asks between its own steps only.
const THREADS_MAX: usize = 6;

/// The states that somebody looks at, by the data file and the name that whoever asks has given it.
#[derive(Debug, Clone, Default)]
pub(super) struct States {
    sessions: Sessions<(PathBuf, Uuid), Session, SESSIONS_MAX>,
    threads: Threads,
}

impl Forgotten for Session {
    fn is_gone(&self) -> bool {
        Session::is_gone(self)
    }

    fn asked(&self) -> Instant {
        Session::asked(self)
    }
}

/// Where archives and logs of a data file are.
pub(super) struct Found {
    pub(super) logged: Logged,
    pub(super) in_care: InCare,
    pub(super) clock: Clock,
    /// Whether the data file itself is not to be opened.
    pub(super) is_untouched: bool,
}

impl States {
    /// Answers a question about a state.
    ///
    /// # Errors
    /// `NotFound` where no state of that name is open; `Busy` where too many are; as [`Session::answer`].
    pub(super) fn answer(&self, found: Found, question: &Question) -> Result<Page> {
        let of = (found.logged.path.clone(), question.looking);
        let session = match &question.ask {
            Ask::Forget => {
                self.sessions.forget(&of);
                return Ok(Page { state: State::default(), rows: Rows::None });
            }
            Ask::Open(which) => {
                let begin = || self.begin(found, which.clone());
                self.sessions.get_or_begin(of, |known| known.is_of(which), begin)?
            }
            _ => self.sessions.get(&of).ok_or_else(|| {
                Error::new(ErrorKind::NotFound, "this state is not open any more").hint("Have it opened again.")
            })?,
        };
        session.answer(&question.ask)
    }

    fn begin(&self, found: Found, which: Which) -> Result<Session> {
        let alive = self.threads.one_more(THREADS_MAX).ok_or_else(|| {
            Error::new(ErrorKind::Busy, "too many states are open, or still end what they were asked")
                .hint("Close other windows that look at one, or wait a moment.")
        })?;
        let data_file = found.logged.path.clone();
        let control = Arc::new(Control::with_clock(found.clock.clone()));
        let of = which.clone();
        let open: Open = Box::new(move |effort: &mut Effort, limits: &Limits| {
            let _alive = &alive;
            found.open(&of, effort, limits)
        });
        Session::begin(data_file, which, control, open)
    }
}

impl Found {
    /// The running log, written up to this moment.
    fn log(&self) -> Option<Arc<Capture>> {
        let known = self.in_care.all.iter().find(|known| known.path == self.logged.path)?;
        known.log.await_running(LOOK_WAIT)
    }

    /// Opens it, as `strongroom query` does.
    pub(super) fn open(&self, which: &Which, effort: &mut Effort, limits: &Limits) -> Result<Looked> {
        let data_file = &self.logged.path;
        let log = self.log();
        match which {
            Which::Archive { path, segments } => {
                let settings_dir = Some(self.logged.settings_dir.clone());
                let origin = Origin { settings_dir, ..Origin::default() };
                let (logs, origin) = with_running(Logs::None, log.as_deref(), origin);
                effort.chose(path);
                Looked::open(path, segments, (&logs, &origin), effort.how(), limits)
            }
            Which::Until(_) => {
                let mut origin = Origin { is_untouched: self.is_untouched, ..self.logged.origin() };
                origin.damaged.extend(effort.passed().iter().cloned());
                let (logs, origin) = with_running(Logs::Found, log.as_deref(), origin);
                let made = last_made(&self.logged.data_dir, data_file);
                let how = effort.how();
                let looks = (how.until, how.look);
                let choice = restore::choose_looking(data_file, &origin, looks, &logs, made.as_ref())
                    .map_err(|error| missing_archives(data_file, &self.logged.settings_dir, error))?;
                effort.chose(&choice.archive);
                let looked = Looked::open(&choice.archive, &[], (&choice.logs, &origin), how, limits)?;
                Ok(looked.without(choice.without))
            }
        }
    }
}
