//! Keeping writers out for a moment, so that the capture can reach the end of the WAL.
//!
//! The capture shuts the gate itself when it is time. When it is held up by the disk while a program writes on without
//! a pause, a thread shuts it in its place: the WAL would grow by hundreds of MiB within a second otherwise, and the
//! file does not shrink again.
//!
//! An application must not fail because of us, so the gate opens at its time, whoever shut it and whatever is being
//! done behind it: the capture asks the clock between its steps, and the thread opens while one of them takes long, as
//! where it waits for a disk or gets no processor. Nothing depends on it being shut but that the end of the WAL is
//! reached: no frame is lost when it opens early, since the pins protect them all. Then it stays open for as long as it
//! was shut, or writers that look again from time to time would find it shut each time.

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
/// How long it is shut at most: half of what is promised, since a program that waits looks again only from time to
/// time, and whoever opens may have to wait for a processor.
const SHUT_MAX: Duration = Duration::from_millis(100);
/// Where it was shut for longer than promised nobody got a processor to open it: then it stays open for so many times
/// as long, since it would be so again. Rather let the WAL grow.
const LATE: Duration = Duration::from_millis(200);
const LATE_FREE: u32 = 10;
/// How long the thread keeps it shut in all until the WAL begins anew: a disk that is held up longer than that would
/// stop the application.
const SHUT_IN_ALL: Duration = Duration::from_secs(1);

/// Tells the time.
type Clock = fn() -> Instant;

#[derive(Debug)]
pub(super) struct Gate {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Writers have the time that they were kept out for.
    Fair,
    /// There are none.
    AtRest,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    wal: PathBuf,
    clock: Clock,
}

#[derive(Debug)]
struct State {
    conn: Connection,
    /// Since when it is shut.
    shut: Option<Instant>,
    /// Until when it stays open.
    free_until: Option<Instant>,
    /// Bytes of the WAL that are logged, while it is to be watched.
    watched: Option<u64>,
    quit: bool,
}

impl State {
    fn open(&mut self, now: Instant) {
        if let Some(since) = self.shut.take() {
            // A transaction that wrote nothing ends even where ROLLBACK reports something.
            let _ = self.conn.prepare_cached("ROLLBACK").and_then(|mut s| s.execute([]));
            let held = now.saturating_duration_since(since);
            let until = now + if held > LATE { held * LATE_FREE } else { held };
            self.free_until = Some(self.free_until.map_or(until, |before| before.max(until)));
        }
    }

    /// How long it stays shut.
    fn left(&self, now: Instant) -> Option<Duration> {
        self.shut.map(|since| SHUT_MAX.saturating_sub(now.saturating_duration_since(since)))
    }

    /// Whether it is shut; it is not when its time is over.
    fn is_shut(&mut self, now: Instant) -> bool {
        if self.left(now) == Some(Duration::ZERO) {
            self.open(now);
        }
        self.shut.is_some()
    }
}

/// What the thread knows of the WAL.
#[derive(Debug, Default)]
struct Growth {
    /// The largest size the file had while we looked: it keeps it when the WAL begins anew.
    seen: u64,
    /// How far it is logged.
    logged: u64,
    /// How long the thread has kept writers out since it began anew, and since when it does.
    spent: Duration,
    shut: Option<Instant>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Instant {
        (self.clock)()
    }

    /// Tries for at most `wait`: the holder of the write lock may wait for one of our pins.
    fn shut(&self, wait: Duration, turn: Turn) -> rusqlite::Result<bool> {
        let asked = self.now();
        loop {
            // The time counts from before the lock is taken: between the two there may be no processor for this thread.
            let now = self.now();
            {
                let mut state = self.state();
                if state.is_shut(now) {
                    return Ok(true);
                }
                let free_until = state.free_until.filter(|until| turn == Turn::Fair && now < *until);
                if free_until.is_some_and(|until| until > asked + wait) {
                    return Ok(false);
                }
                if free_until.is_none() {
                    match state.conn.prepare_cached("BEGIN IMMEDIATE").and_then(|mut s| s.execute([])) {
                        Ok(_) => {
                            state.shut = Some(now);
                            drop(state);
                            self.changed.notify_all();
                            return Ok(true);
                        }
                        Err(e) if is_busy(&e) && now.saturating_duration_since(asked) < wait => {}
                        Err(e) if is_busy(&e) => return Ok(false),
                        Err(e) => return Err(e),
                    }
                }
            }
            thread::sleep(Duration::from_micros(30));
        }
    }

    /// Opens the gate when it is time, and shuts it where the WAL grows without the capture.
    fn watch(&self) {
        let mut growth = Growth::default();
        loop {
            let mut state = self.state();
            if state.quit {
                return;
            }
            let pause = state.left(self.now()).or(state.watched.map(|_| LOOK));
            state = match pause {
                Some(pause) => self.changed.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0,
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
            let now = self.now();
            if state.is_shut(now) {
                continue;
            }
            let Some(logged) = state.watched.filter(|_| !state.quit) else { continue };
            drop(state);
            self.look(&mut growth, logged, now);
        }
    }

    fn look(&self, growth: &mut Growth, logged: u64, now: Instant) {
        let size = self.wal.metadata().map_or(0, |m| m.len());
        if let Some(since) = growth.shut.take() {
            growth.spent += now.saturating_duration_since(since);
            growth.seen = size;
        }
        if logged < growth.logged {
            growth.spent = Duration::ZERO;
        }
        growth.logged = logged;
        if size < growth.seen {
            growth.seen = 0;
        }
        let is_ahead = size >= GROWN && size > growth.seen && size >= logged.saturating_add(BEHIND);
        if is_ahead && growth.spent < SHUT_IN_ALL && matches!(self.shut(PATIENCE, Turn::Fair), Ok(true)) {
            growth.shut = Some(now);
        }
    }
}

impl Gate {
    /// `conn` has read the data file once; nothing is locked yet.
    pub(super) fn new(conn: Connection, path: &Path) -> Result<Self> {
        Self::with_clock(conn, path, Instant::now)
    }

    fn with_clock(conn: Connection, path: &Path, clock: Clock) -> Result<Self> {
        let state = State { conn, shut: None, free_until: None, watched: None, quit: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), wal: wal_path(path), clock });
        let work = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("gate".into())
            .spawn(move || work.watch())
            .map_err(|e| Error::new(ErrorKind::Io, "cannot start a thread").because(e))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Keeps writers out. False when none let us in within `wait`, or it is still their turn.
    pub(super) fn shut(&self, wait: Duration, turn: Turn) -> rusqlite::Result<bool> {
        self.shared.shut(wait, turn)
    }

    /// Whether writers are kept out, by the capture or in its place; they are let in when it is time. To be asked
    /// between any two steps that are made behind the gate.
    pub(super) fn is_shut(&self) -> bool {
        let now = self.shared.now();
        self.shared.state().is_shut(now)
    }

    /// While writers are kept out and `still` holds: see [`ffi::forget_page_count`].
    pub(super) fn forget_page_count(&self, path: &Path, still: impl FnOnce() -> bool) -> Result<Option<u32>> {
        let state = self.shared.state();
        // The thread may have let them in meanwhile.
        if state.shut.is_none() || !still() {
            return Ok(None);
        }
        ffi::forget_page_count(&state.conn, path)
    }

    /// Lets writers go on.
    pub(super) fn open(&self) {
        let now = self.shared.now();
        self.shared.state().open(now);
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    };

    use super::*;
    use crate::sqlite::open_existing;

    static MILLISECONDS: AtomicU64 = AtomicU64::new(0);

    /// It stands still between two calls of `set`.
    fn clock() -> Instant {
        static BEGUN: OnceLock<Instant> = OnceLock::new();
        *BEGUN.get_or_init(Instant::now) + Duration::from_millis(MILLISECONDS.load(Ordering::SeqCst))
    }

    fn set(milliseconds: u64) {
        MILLISECONDS.store(milliseconds, Ordering::SeqCst);
    }

    #[test]
    fn the_gate_opens_at_its_time_whatever_is_done_behind_it_and_stays_open_as_long() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.sqlite");
        let writer = Connection::open(&path).unwrap();
        writer.execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE t(n)").unwrap();
        writer.busy_timeout(Duration::ZERO).unwrap();
        let can_write = || writer.execute("INSERT INTO t VALUES(1)", []).is_ok();
        let conn = open_existing(&path).unwrap();
        conn.query_row("PRAGMA user_version", [], |_| Ok(())).unwrap();
        let gate = Gate::with_clock(conn, &path, clock).unwrap();
        let shut = |turn| gate.shut(Duration::ZERO, turn).unwrap();

        assert!(shut(Turn::Fair) && gate.is_shut() && !can_write());
        set(99);
        assert!(shut(Turn::Fair) && gate.is_shut() && !can_write());
        // The capture asks between its steps.
        set(100);
        assert!(!gate.is_shut() && can_write());
        set(199);
        assert!(!shut(Turn::Fair) && can_write());
        // Where nobody else is, nobody has a turn; and that takes nothing from it.
        assert!(shut(Turn::AtRest) && !can_write());
        gate.open();
        assert!(can_write() && !shut(Turn::Fair));
        set(200);
        assert!(shut(Turn::Fair) && !can_write());
        // Opened early, it need not stay open longer.
        set(210);
        gate.open();
        assert!(can_write() && !shut(Turn::Fair));
        set(220);
        assert!(shut(Turn::Fair) && !can_write());
        // One step takes without end: the thread opens alone.
        set(320);
        writer.busy_timeout(Duration::from_secs(120)).unwrap();
        assert!(can_write());

        // There was no processor to open it.
        set(420);
        assert!(shut(Turn::Fair));
        set(720);
        assert!(!gate.is_shut() && can_write());
        set(3719);
        assert!(!shut(Turn::Fair));
        set(3720);
        assert!(shut(Turn::Fair));
    }
}
