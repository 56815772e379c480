//! Keeping writers out for a moment, so that the capture can reach the end of the WAL.
//!
//! The capture shuts the gate itself when it is time. When it is held up by the disk while a program writes on without
//! a pause, a thread shuts it in its place: the WAL would grow by hundreds of MiB within a second otherwise, and the
//! file does not shrink again. It never stays shut for long, whatever happens here: an application must not fail
//! because of us.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rusqlite::Connection;

use crate::{
    error::{Error, ErrorKind, Result},
    sqlite::{
        ffi,
        snapshot::{is_busy, wal_path},
    },
};

/// Size of the WAL in bytes beyond which it may not grow without the capture.
const GROWN: u64 = 50 << 20;
/// How far it must be ahead of the capture then, in bytes: where another program's long reader holds the WAL, keeping
/// writers out helps nobody.
const BEHIND: u64 = 2 << 20;
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(4);
/// How long the thread tries to shut the gate.
const PATIENCE: Duration = Duration::from_millis(20);
/// How long it keeps it shut at most, and how long in all until the WAL begins anew: a disk that is held up longer than
/// that would stop the application.
const SHUT_MAX: Duration = Duration::from_millis(200);
const SHUT_IN_ALL: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Gate {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    wal: PathBuf,
}

#[derive(Debug)]
struct State {
    conn: Connection,
    shut: bool,
    /// Bytes of the WAL that are logged, while it is to be watched.
    watched: Option<u64>,
    quit: bool,
}

impl State {
    fn open(&mut self) {
        if self.shut {
            // A transaction that wrote nothing ends even where ROLLBACK reports something.
            let _ = self.conn.prepare_cached("ROLLBACK").and_then(|mut s| s.execute([]));
            self.shut = false;
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tries for at most `wait`: the holder of the write lock may wait for one of our pins.
    fn shut(&self, wait: Duration) -> rusqlite::Result<bool> {
        let asked = Instant::now();
        loop {
            {
                let mut state = self.state();
                if state.shut {
                    return Ok(true);
                }
                let begun = state.conn.prepare_cached("BEGIN IMMEDIATE").and_then(|mut s| s.execute([]));
                match begun {
                    Ok(_) => {
                        state.shut = true;
                        return Ok(true);
                    }
                    Err(e) if is_busy(&e) && asked.elapsed() < wait => {}
                    Err(e) if is_busy(&e) => return Ok(false),
                    Err(e) => return Err(e),
                }
            }
            thread::sleep(Duration::from_micros(30));
        }
    }

    fn watch(&self) {
        // The largest size the file had while we looked: it keeps it when the WAL begins anew.
        let (mut seen, mut spent, mut logged) = (0, Duration::ZERO, 0);
        loop {
            let mut state = self.state();
            while state.watched.is_none() && !state.quit {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.quit {
                return;
            }
            let now = state.watched.unwrap_or(0);
            drop(state);
            if now < logged {
                spent = Duration::ZERO;
            }
            logged = now;
            thread::sleep(LOOK);
            let size = self.wal.metadata().map_or(0, |m| m.len());
            if size < seen {
                seen = 0;
            }
            if size < GROWN || size <= seen || size < logged.saturating_add(BEHIND) || spent >= SHUT_IN_ALL {
                continue;
            }
            let since = Instant::now();
            if !matches!(self.shut(PATIENCE), Ok(true)) {
                continue;
            }
            let still = |state: &mut State| state.shut && !state.quit && since.elapsed() < SHUT_MAX;
            let (mut state, _) =
                self.changed.wait_timeout_while(self.state(), SHUT_MAX, still).unwrap_or_else(PoisonError::into_inner);
            state.open();
            drop(state);
            spent += since.elapsed();
            seen = self.wal.metadata().map_or(size, |m| m.len());
        }
    }
}

impl Gate {
    /// `conn` has read the data file once; nothing is locked yet.
    pub(super) fn new(conn: Connection, path: &Path) -> Result<Self> {
        let state = State { conn, shut: false, watched: None, quit: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), wal: wal_path(path) });
        let work = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("gate".into())
            .spawn(move || work.watch())
            .map_err(|e| Error::new(ErrorKind::Io, "cannot start a thread").because(e))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Keeps writers out. False when none let us in within `wait`.
    pub(super) fn shut(&self, wait: Duration) -> rusqlite::Result<bool> {
        self.shared.shut(wait)
    }

    /// Whether writers are kept out, by the capture or in its place.
    pub(super) fn is_shut(&self) -> bool {
        self.shared.state().shut
    }

    /// While writers are kept out and `still` holds: see [`ffi::forget_page_count`].
    pub(super) fn forget_page_count(&self, path: &Path, still: impl FnOnce() -> bool) -> Result<Option<u32>> {
        let state = self.shared.state();
        // The thread may have let them in meanwhile.
        if !state.shut || !still() {
            return Ok(None);
        }
        ffi::forget_page_count(&state.conn, path)
    }

    /// Lets writers go on.
    pub(super) fn open(&self) {
        self.shared.state().open();
        self.shared.changed.notify_all();
    }

    /// Whether the size of the WAL is to be watched, and how many of its bytes are logged.
    pub(super) fn watch(&self, logged: Option<u64>) {
        let mut state = self.shared.state();
        let asleep = state.watched.is_none();
        state.watched = logged;
        drop(state);
        if asleep && logged.is_some() {
            self.shared.changed.notify_all();
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shared.state().quit = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
