//! Ends a statement, and not what it reads: where somebody looks at a state for long, each statement has its own time.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::error::{Error, ErrorKind};

#[derive(Debug, Default)]
struct Inner {
    is_ended: bool,
    /// From when on it may take so long.
    budget: Option<(Instant, Duration)>,
}

impl Inner {
    fn late(&self) -> Option<Duration> {
        self.budget.filter(|(begun, budget)| begun.elapsed() > *budget).map(|(_, budget)| budget)
    }
}

/// The statement that is run.
#[derive(Debug, Default)]
pub struct Turn(Mutex<Inner>);

impl Turn {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another one begins, which may take so long.
    pub fn begin(&self, budget: Option<Duration>) {
        *self.lock() = Inner { is_ended: false, budget: budget.map(|budget| (Instant::now(), budget)) };
    }

    /// Nobody waits for it any more.
    pub fn end(&self) {
        self.lock().is_ended = true;
    }

    /// Whether it is to end.
    pub fn is_over(&self) -> bool {
        let inner = self.lock();
        inner.is_ended || inner.late().is_some()
    }

    /// Why it has ended, if it was by this.
    pub fn why(&self) -> Option<Error> {
        let inner = self.lock();
        if inner.is_ended { Some(Error::stopped()) } else { inner.late().map(took_too_long) }
    }
}

/// What is said of a statement that has ended after its time.
pub(super) fn took_too_long(budget: Duration) -> Error {
    let message = format!("the statement took longer than {} seconds and was ended", budget.as_secs());
    Error::new(ErrorKind::Stopped, message).hint("Give it more time, or ask for less.")
}
