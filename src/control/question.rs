//! A question that a running job has for whoever sits before a window or a terminal, and the answer to it.
//!
//! A job never waits for somebody who is not there: without anybody who could answer it gets no answer at once, and
//! when the last of them leaves, or the time is over, it gets none any more.

use std::{
    path::PathBuf,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Local};
use serde::{Deserialize, Serialize};

use super::Control;
use crate::error::ErrorReport;

/// How often a waiting job looks whether it was stopped.
const LOOK: Duration = Duration::from_millis(100);

/// A disk is full in the middle of an archive in segments: in which folder shall it go on?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The folder whose disk is full.
    pub full: PathBuf,
    /// How many bytes the next segment may need.
    pub bytes: u64,
    /// Without an answer by then, the job gives up.
    pub until: DateTime<Local>,
    /// Why the last answer was of no use, if there was one.
    pub problem: Option<ErrorReport>,
}

/// What a job and those who watch it have between them.
#[derive(Debug, Default)]
pub(super) struct Asking {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_attended: bool,
    question: Option<Question>,
    answer: Option<PathBuf>,
}

impl Asking {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Control {
    /// Says whether there is somebody who can answer questions.
    pub fn attend(&self, is_attended: bool) {
        self.asking.state().is_attended = is_attended;
        self.asking.changed.notify_all();
    }

    /// Whether there is somebody who can answer questions.
    pub fn is_attended(&self) -> bool {
        self.asking.state().is_attended
    }

    /// The question that the job waits with.
    pub fn question(&self) -> Option<Question> {
        self.asking.state().question.clone()
    }

    /// Answers the question, if there is one.
    pub fn go_on_in(&self, folder: PathBuf) {
        let mut state = self.asking.state();
        if state.question.is_some() {
            state.answer = Some(folder);
        }
        drop(state);
        self.asking.changed.notify_all();
    }

    /// Asks, and waits for the answer for no longer than `limit`; `None` when none comes.
    pub fn ask(&self, question: Question, limit: Duration) -> Option<PathBuf> {
        let asked = Instant::now();
        let mut state = self.asking.state();
        (state.question, state.answer) = (Some(question), None);
        while state.answer.is_none() && state.is_attended && !self.is_stopped() && asked.elapsed() < limit {
            let waited = self.asking.changed.wait_timeout(state, LOOK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.question = None;
        state.answer.take()
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread};

    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    fn question() -> Question {
        Question { full: "/full".into(), bytes: 5, until: DateTime::UNIX_EPOCH.into(), problem: None }
    }

    fn asked(control: &Arc<Control>) -> thread::JoinHandle<Option<PathBuf>> {
        let asking = Arc::clone(control);
        let job = thread::spawn(move || asking.ask(question(), LONG));
        while control.question().is_none() && !job.is_finished() {
            thread::yield_now();
        }
        job
    }

    #[test]
    fn a_job_waits_for_an_answer_only_while_somebody_is_there() {
        let control = Arc::new(Control::default());
        assert_eq!(control.ask(question(), LONG), None, "nobody is there");
        control.attend(true);
        let job = asked(&control);
        assert_eq!(control.question(), Some(question()));
        control.go_on_in("/more".into());
        assert_eq!(job.join().ok().flatten(), Some("/more".into()));
        assert_eq!(control.question(), None);
        control.go_on_in("/late".into());
        let job = asked(&control);
        control.attend(false);
        assert_eq!(job.join().ok().flatten(), None, "the answer to an earlier question is none to this one");
        control.attend(true);
        assert_eq!(control.ask(question(), Duration::from_millis(1)), None);
        let job = asked(&control);
        control.stop();
        assert_eq!(job.join().ok().flatten(), None);
    }
}
