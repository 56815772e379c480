//! Plans of what is to be taken back, kept for whoever looks at them: what is run is the value of which parts were
//! shown.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use uuid::Uuid;

use super::{
    activity::Logged,
    sessions::{Forgotten, Sessions},
};
use crate::{
    activity::query::Source,
    error::{Error, ErrorKind, Result},
    take_back::{
        Plan,
        query::{Ask, Order, Page, Question, Rows, State},
        session::Session,
    },
};

/// Plans that are kept; the one that was asked for least lately goes first. Each may hold much of a data file.
const SESSIONS_MAX: usize = 3;

/// What somebody plans, by the data file and the name that whoever asks has given it.
#[derive(Debug, Clone, Default)]
pub(super) struct TakeBacks(Sessions<(PathBuf, Uuid), Session, SESSIONS_MAX>);

impl Forgotten for Session {
    fn is_gone(&self) -> bool {
        Session::is_gone(self)
    }

    fn asked(&self) -> Instant {
        Session::asked(self)
    }
}

impl TakeBacks {
    /// Answers a question about what is planned for a data file, whose settings name `identity`.
    ///
    /// # Errors
    /// `NotFound` where nothing of that name is planned; as [`Session::answer`].
    pub(super) fn answer(&self, logged: Logged, identity: Option<Uuid>, question: &Question) -> Result<Page> {
        let of = (logged.path.clone(), question.planning);
        let session = match &question.ask {
            Ask::Forget => {
                self.0.forget(&of);
                return Ok(Page { state: State::default(), rows: Rows::None });
            }
            Ask::Make(order) => {
                self.0.get_or_begin(of, |known| known.is_of(order), || begin(logged, identity, order))?
            }
            _ => self.0.get(&of).ok_or_else(|| {
                Error::new(ErrorKind::NotFound, "this plan is not kept any more").hint("Have it made again.")
            })?,
        };
        session.answer(&question.ask)
    }

    /// The plan of this name, if it is the last one that was made for the data file.
    pub(super) fn plan(&self, data_file: &Path, plan: Uuid) -> Option<Arc<Plan>> {
        self.0.find(|(of, _), session| session.plan(plan).filter(|_| of == data_file))
    }
}

fn begin(logged: Logged, identity: Option<Uuid>, order: &Order) -> Result<Session> {
    if order.source == Source::Log {
        return Err(Error::new(ErrorKind::Refused, "only what the logs of the data file hold can be taken back"));
    }
    let path = logged.path.clone();
    let (open, _) = logged.way(&order.source)?;
    let open = Box::new(move |control: &crate::control::Control| open(control));
    Session::begin(path, identity, order.clone(), open)
}
