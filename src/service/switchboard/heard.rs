//! Whether an engine still answers: one that was stopped, or whose disk hangs, says nothing and keeps its connection.
//! What it told before says nothing about now.

use std::time::{Duration, Instant};

use chrono::{DateTime, Local};

use crate::engine::{Asked, Handle, Query, query::Coming};

/// How often it is asked.
const EVERY: Duration = Duration::from_secs(2);
/// After so long without an answer nothing is claimed any more.
const SILENT: Duration = Duration::from_secs(6);

/// When an engine was heard last.
pub(super) struct Heard {
    asked: Option<Asked>,
    /// When it was asked last, and what the clock showed then.
    at: (Instant, DateTime<Local>),
    silent: Option<DateTime<Local>>,
}

impl Heard {
    /// Of one that has just been joined.
    pub(super) fn now() -> Self {
        Self { asked: None, at: (Instant::now(), Local::now()), silent: None }
    }

    /// Asks again, or looks whether the answer has come.
    pub(super) fn look(&mut self, handle: &Handle) {
        match self.asked.as_ref().map(Asked::look) {
            Some(Coming::Awaited) if self.at.0.elapsed() >= SILENT => self.silent = Some(self.at.1),
            Some(Coming::Awaited) => {}
            Some(Coming::Here(_)) => (self.asked, self.silent) = (None, None),
            // It has ended, which is noticed elsewhere.
            Some(Coming::Lost) => self.asked = None,
            None => {}
        }
        if self.asked.is_none() && self.at.0.elapsed() >= EVERY {
            self.at = (Instant::now(), Local::now());
            // Whatever it answers, it answers.
            self.asked = handle.ask(Query::Unknown).ok();
        }
    }

    /// Since when it does not answer.
    pub(super) fn silent(&self) -> Option<DateTime<Local>> {
        self.silent
    }
}
