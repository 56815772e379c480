//! Plans of what is to be taken back, kept for whoever looks at them: what is run is the value of which parts were shown.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use uuid::Uuid;

use super::activity::Logged;
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

/// What is planned, by the data file and the name that whoever asks has given it.
type Known = (PathBuf, Uuid, Arc<Session>);

/// What somebody plans.
#[derive(Debug, Clone, Default)]
pub(super) struct TakeBacks(Arc<Mutex<Vec<Known>>>);

impl TakeBacks {
    fn lock(&self) -> MutexGuard<'_, Vec<Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a question about what is planned for a data file, whose settings name `identity`.
    ///
    /// # Errors
    /// `NotFound` where nothing of that name is planned; as [`Session::answer`].
    pub(super) fn answer(&self, logged: Logged, identity: Option<Uuid>, question: &Question) -> Result<Page> {
        let is_it = |(of, planning, _): &Known| *of == logged.path && *planning == question.planning;
        let known = {
            let mut all = self.lock();
            all.retain(|(.., session)| !session.is_gone());
            if question.ask == Ask::Forget {
                all.retain(|known| !is_it(known));
                return Ok(Page { state: State::default(), rows: Rows::None });
            }
            all.iter().find(|known| is_it(known)).map(|(.., session)| Arc::clone(session))
        };
        let session = match (&question.ask, known) {
            (Ask::Make(order), Some(session)) if session.is_of(order) => session,
            (_, Some(session)) if !matches!(question.ask, Ask::Make(_)) => session,
            (Ask::Make(order), _) => self.begin(logged, identity, question.planning, order)?,
            _ => {
                return Err(
                    Error::new(ErrorKind::NotFound, "this plan is not kept any more").hint("Have it made again.")
                );
            }
        };
        session.answer(&question.ask)
    }

    fn begin(&self, logged: Logged, identity: Option<Uuid>, planning: Uuid, order: &Order) -> Result<Arc<Session>> {
        if order.source == Source::Log {
            return Err(Error::new(ErrorKind::Refused, "only what the logs of the data file hold can be taken back"));
        }
        let path = logged.path.clone();
        let (open, _) = logged.way(&order.source)?;
        let open = Box::new(move |control: &crate::control::Control| open(control));
        let session = Arc::new(Session::begin(path.clone(), identity, order.clone(), open)?);
        let mut all = self.lock();
        all.retain(|(of, known, _)| *of != path || *known != planning);
        while all.len() >= SESSIONS_MAX {
            let asked = |at: &usize| all.get(*at).map(|(.., session)| session.asked());
            let Some(least) = (0..all.len()).min_by_key(asked) else { break };
            all.remove(least);
        }
        all.push((path, planning, Arc::clone(&session)));
        Ok(session)
    }

    /// The plan of this name, if it is the last one that was made for the data file.
    pub(super) fn plan(&self, data_file: &Path, plan: Uuid) -> Option<Arc<Plan>> {
        self.lock().iter().filter(|(of, ..)| of == data_file).find_map(|(.., session)| session.plan(plan))
    }
}
