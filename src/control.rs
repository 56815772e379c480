//! The reins of a running job: how far it is, and whether it has been asked to stop.
//!
//! A job calls [`Control::phase`] and [`Control::add`] as it goes and [`Control::check`] between units of work; whoever
//! started it reads [`Control::progress`] and calls [`Control::stop`] from any other thread.

mod question;
pub mod session;
pub mod wall;

pub use question::Question;

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use chrono::{DateTime, Local, Utc};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Tells the time. Handed to whoever needs it, so that days can pass in a test.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>);

impl Clock {
    /// A clock that shows what `now` says.
    pub fn new(now: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time.
    pub fn now(&self) -> DateTime<Utc> {
        (self.0)()
    }

    /// The time in the zone of this machine.
    pub fn local(&self) -> DateTime<Local> {
        self.now().with_timezone(&Local)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(Utc::now)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").finish_non_exhaustive()
    }
}

/// What a job is doing at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Phase {
    /// Looking at files, estimating, waiting for a lock.
    Preparing,
    /// Comparing the data file with its last backup.
    Comparing,
    /// Reading the data file and writing the archive.
    Copying,
    /// Reading the new archive back.
    Verifying,
    /// Adding recovery data to the new archive.
    Protecting,
    /// Making a damaged archive whole from its recovery data.
    Repairing,
    /// Writing restored files.
    Restoring,
    /// Waiting until other programs end their transactions.
    Waiting,
    /// Writing to the live data file.
    Writing,
    /// SQLite's own integrity check.
    Checking,
    /// The same of a data file in use; units are tables and indexes.
    Examining,
    /// Making a compact copy.
    Compacting,
    /// Finding out which page of a damaged data file belongs to which table.
    Sorting,
    /// Writing the records of a damaged data file to a new one.
    Salvaging,
    /// Filling the sample data file.
    Creating,
    /// Giving files their final names and making them durable.
    Finishing,
}

impl Phase {
    /// The phase as the window and the command line call it.
    pub fn label(self) -> &'static str {
        match self {
            Phase::Preparing => "Preparing",
            Phase::Comparing => "Comparing",
            Phase::Copying => "Copying",
            Phase::Verifying => "Verifying",
            Phase::Protecting => "Adding recovery data",
            Phase::Repairing => "Repairing",
            Phase::Restoring => "Restoring",
            Phase::Waiting => "Waiting for other programs",
            Phase::Writing => "Writing to the data file",
            Phase::Checking => "Checking integrity",
            Phase::Examining => "Checking tables",
            Phase::Compacting => "Compacting",
            Phase::Sorting => "Finding tables",
            Phase::Salvaging => "Saving records",
            Phase::Creating => "Creating records",
            Phase::Finishing => "Finishing",
        }
    }
}

/// How far a job is: `done` of `total` units of the phase (bytes, or records while creating); `total` 0 means unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What the job is doing.
    pub phase: Phase,
    /// Units finished in this phase.
    pub done: u64,
    /// Units of this phase, 0 when not known.
    pub total: u64,
}

/// Shared between a job and whoever watches it.
#[derive(Debug)]
pub struct Control {
    stop: AtomicBool,
    phase: Mutex<(Phase, u64)>,
    done: AtomicU64,
    beats: AtomicU64,
    clock: Clock,
    asking: question::Asking,
}

impl Default for Control {
    fn default() -> Self {
        Self::with_clock(Clock::default())
    }
}

impl Control {
    /// The reins of a job for which `clock` tells the time.
    pub fn with_clock(clock: Clock) -> Self {
        let phase = Mutex::new((Phase::Preparing, 0));
        let asking = question::Asking::default();
        let (done, beats) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { stop: AtomicBool::new(false), phase, done, beats, clock, asking }
    }

    /// Grows as long as the job goes on: one that waits for a disk that does not answer does not come to its next unit
    /// of work.
    pub fn beats(&self) -> u64 {
        self.beats.load(Ordering::Relaxed)
    }

    /// For whoever watches over work that comes to no unit of its own for long, as a check by SQLite: it goes on.
    pub fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// What tells the time.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Asks the job to stop; it does so at its next [`check`](Self::check).
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether the job was asked to stop.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Called by the job between units of work.
    ///
    /// # Errors
    /// [`ErrorKind::Stopped`](crate::error::ErrorKind::Stopped) after [`stop`](Self::stop).
    pub fn check(&self) -> Result<()> {
        self.beat();
        if self.is_stopped() { Err(Error::stopped()) } else { Ok(()) }
    }

    /// Enters a phase of `total` units.
    pub fn phase(&self, phase: Phase, total: u64) {
        let mut held = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        self.done.store(0, Ordering::Relaxed);
        self.beat();
        *held = (phase, total);
    }

    /// Counts `units` as finished.
    pub fn add(&self, units: u64) {
        self.done.fetch_add(units, Ordering::Relaxed);
        self.beat();
    }

    /// The state at this moment.
    pub fn progress(&self) -> Progress {
        let held = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        Progress { phase: held.0, done: self.done.load(Ordering::Relaxed), total: held.1 }
    }
}
