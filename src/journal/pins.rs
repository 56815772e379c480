//! The read transactions that keep WAL frames from being overwritten, and the checkpoints that keep the WAL small.
//!
//! Three connections take turns as pins; a fourth runs PASSIVE checkpoints, a fifth takes the write lock for the short
//! moment that the hard limit needs, a sixth copies on a thread of its own while the capture goes on. None of them ever
//! writes to the data file, except what a checkpoint copies.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crossbeam_channel::{Sender, bounded};

use rusqlite::Connection;

use super::gate::Gate;
use crate::{
    error::{Error, ErrorKind, Result},
    sqlite::{
        ffi::{self, WalPosition},
        open_existing,
        snapshot::is_busy,
    },
};

/// How many connections take turns.
const CONNECTIONS: usize = 3;

/// What a checkpoint reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Checkpoint {
    /// Another connection holds the checkpoint lock.
    pub(super) busy: bool,
    /// Valid frames of the WAL.
    pub(super) frames: u32,
    /// How many of them are in the data file.
    pub(super) backfilled: u32,
}

#[derive(Debug)]
pub(super) struct Pins {
    path: std::path::PathBuf,
    connections: Vec<Connection>,
    /// Which connections hold a read transaction, oldest first.
    held: VecDeque<usize>,
    helper: Connection,
    gate: Gate,
    copier: Copier,
}

/// Runs a checkpoint beside the capture: a disk may need tens of milliseconds, and a busy writer makes a thousand commits
/// in that time.
#[derive(Debug)]
struct Copier {
    begin: Option<Sender<()>>,
    running: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Copier {
    fn start(conn: Connection) -> Result<Self> {
        let (begin, begun) = bounded::<()>(1);
        let running = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&running);
        let work = move || {
            for () in begun {
                // What fails here fails again where the capture waits for it, and is reported there.
                let _ = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
                flag.store(false, Ordering::Release);
            }
        };
        let thread = thread::Builder::new()
            .name("checkpoint".into())
            .spawn(work)
            .map_err(|e| Error::new(ErrorKind::Io, "can not start a thread").because(e))?;
        Ok(Self { begin: Some(begin), running, thread: Some(thread) })
    }
}

impl Drop for Copier {
    fn drop(&mut self) {
        self.begin = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Pins {
    /// Opens the connections; nothing is pinned yet. `path` is canonical.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let open = || -> Result<Connection> {
            let conn = open_existing(path)?;
            // Small: these connections read one page each.
            conn.execute_batch("PRAGMA cache_size=8").map_err(|e| Error::sqlite("read", path, e))?;
            Ok(conn)
        };
        let connections = (0..CONNECTIONS).map(|_| open()).collect::<Result<_>>()?;
        let (helper, gate, copier) = (open()?, open()?, open()?);
        // A connection that never read anything answers -1 to a checkpoint.
        for conn in [&helper, &gate, &copier] {
            conn.query_row("PRAGMA user_version", [], |_| Ok(())).map_err(|e| fail(path, e))?;
        }
        let (gate, copier) = (Gate::new(gate, path)?, Copier::start(copier)?);
        Ok(Self { path: path.to_path_buf(), connections, held: VecDeque::new(), helper, gate, copier })
    }

    fn fail(&self, error: rusqlite::Error) -> Error {
        fail(&self.path, error)
    }

    fn run(&self, conn: &Connection, sql: &str) -> Result<()> {
        let mut statement = conn.prepare_cached(sql).map_err(|e| self.fail(e))?;
        statement.execute([]).map(|_| ()).map_err(|e| self.fail(e))
    }

    /// Begins a further read transaction. `plain` takes lock 0 where everything is in the data file, and so allows a
    /// restart of the WAL; otherwise a lock is taken that forbids it.
    pub(super) fn take(&mut self, plain: bool) -> Result<Option<WalPosition>> {
        let used = |n: &usize| !self.held.contains(n);
        let Some(connection) = (0..CONNECTIONS).find(used) else {
            return Err(Error::new(ErrorKind::Refused, "all pins are in use"));
        };
        let conn = &self.connections[connection];
        self.run(conn, "BEGIN")?;
        let begun = if plain { self.begin_plain(conn) } else { Ok(()) };
        let at = begun.and_then(|()| ffi::wal_position(conn, &self.path)).and_then(|at| match at {
            // Before an empty WAL there is no position to take; a plain read holds lock 0.
            None => self.begin_plain(conn).and_then(|()| ffi::wal_position(conn, &self.path)),
            at => Ok(at),
        });
        match at {
            Ok(at) => {
                self.held.push_back(connection);
                Ok(at)
            }
            Err(error) => {
                let _ = self.run(conn, "ROLLBACK");
                Err(error)
            }
        }
    }

    fn begin_plain(&self, conn: &Connection) -> Result<()> {
        let mut statement = conn.prepare_cached("PRAGMA user_version").map_err(|e| self.fail(e))?;
        statement.query_row([], |_| Ok(())).map_err(|e| self.fail(e))
    }

    fn release(&mut self, pin: Option<usize>) {
        if let Some(connection) = pin {
            let conn = &self.connections[connection];
            // A read transaction ends even where ROLLBACK reports something.
            let _ = self.run(conn, "ROLLBACK");
        }
    }

    pub(super) fn release_newest(&mut self) {
        let pin = self.held.pop_back();
        self.release(pin);
    }

    pub(super) fn release_oldest(&mut self) {
        let pin = self.held.pop_front();
        self.release(pin);
    }

    /// Releases those between the oldest and the newest pin.
    ///
    /// The oldest stays where it is, so that the application's own automatic checkpoints, limited by it, find nothing to
    /// do; if it followed every commit, every commit of a busy application would copy and sync a few frames.
    pub(super) fn keep_ends(&mut self) {
        while self.held.len() > 2 {
            let pin = self.held.remove(1);
            self.release(pin);
        }
    }

    /// Releases all pins but the newest `keep`.
    pub(super) fn keep_newest(&mut self, keep: usize) {
        while self.held.len() > keep {
            self.release_oldest();
        }
    }

    pub(super) fn count(&self) -> usize {
        self.held.len()
    }

    /// A connection for raw reads of the data file.
    pub(super) fn connection(&self) -> &Connection {
        let newest = self.held.back().copied().unwrap_or(0);
        &self.connections[newest]
    }

    /// Size of the data file in pages at the newest pin.
    pub(super) fn page_count(&self) -> Result<u32> {
        self.connection().query_row("PRAGMA page_count", [], |row| row.get(0)).map_err(|e| self.fail(e))
    }

    /// Copies frames into the data file as far as all pins allow, stopping nobody.
    pub(super) fn checkpoint(&self) -> Result<Checkpoint> {
        self.checkpoint_with("PRAGMA wal_checkpoint(PASSIVE)")
    }

    /// Begins to do the same beside the capture. What is copied is limited by the pins of this moment.
    pub(super) fn copy_behind(&self) {
        if let Some(begin) = &self.copier.begin
            && !self.copier.running.swap(true, Ordering::AcqRel)
            && begin.try_send(()).is_err()
        {
            self.copier.running.store(false, Ordering::Release);
        }
    }

    /// Whether that is still going on.
    pub(super) fn is_copying(&self) -> bool {
        self.copier.running.load(Ordering::Acquire)
    }

    /// Only looks how far checkpoints have come.
    pub(super) fn backfill(&self) -> Result<Checkpoint> {
        self.checkpoint_with("PRAGMA wal_checkpoint(NOOP)")
    }

    fn checkpoint_with(&self, sql: &str) -> Result<Checkpoint> {
        let mut statement = self.helper.prepare_cached(sql).map_err(|e| self.fail(e))?;
        statement
            .query_row([], |row| {
                let number = |n| row.get::<_, i64>(n).map(|v| u32::try_from(v).unwrap_or(0));
                Ok(Checkpoint { busy: number(0)? != 0, frames: number(1)?, backfilled: number(2)? })
            })
            .map_err(|e| self.fail(e))
    }

    /// Tries for at most `wait` to keep writers out.
    pub(super) fn lock_writers(&self, wait: Duration) -> Result<bool> {
        self.gate.shut(wait).map_err(|e| self.fail(e))
    }

    /// What stands between writers and the data file when the WAL has grown too far.
    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }
}

fn fail(path: &Path, error: rusqlite::Error) -> Error {
    if is_busy(&error) {
        return Error::new(ErrorKind::Busy, format!("{} is locked by another program", path.display()))
            .hint("The application holds the file in exclusive mode or in a long transaction. Wait, or switch its exclusive locking off.")
            .because(error);
    }
    Error::sqlite("follow", path, error)
}
