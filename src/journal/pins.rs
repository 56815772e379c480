//! The read transactions that keep WAL frames from being overwritten, and the checkpoints that keep the WAL small.
//!
//! Three connections take turns as pins; a fourth runs PASSIVE checkpoints, a fifth takes the write lock for the short
//! moment that the hard limit needs, a sixth copies on a thread of its own while the capture goes on. None of them ever
//! writes to the data file, except what a checkpoint copies. Each is opened when it is first needed, and only two are
//! kept for a data file that nobody writes: a service may look after hundreds of them.

use std::{collections::VecDeque, fs::OpenOptions, path::Path, time::Duration};

use rusqlite::Connection;

use super::{
    copier::Copier,
    gate::{Gate, Turn},
    pin_machine::Checkpoint,
    unwritten::{self, Unwritten},
};
use crate::{
    error::{Error, ErrorKind, Result},
    sqlite::{
        data_file,
        ffi::{self, Checkpointer},
        leave,
        named::{NamedFiles, require_whole_wal},
        open_existing,
        snapshot::{is_busy, wal_path},
        wal_index::{Backfill, WalPosition},
    },
    storage::{
        identity::FileStamp,
        regular::{self, Links},
    },
};

/// How many connections take turns.
const CONNECTIONS: usize = 3;

#[derive(Debug)]
pub(super) struct Pins {
    path: std::path::PathBuf,
    connections: [Option<Connection>; CONNECTIONS],
    /// Which connections hold a read transaction, oldest first.
    held: VecDeque<usize>,
    helper: Option<Checkpointer>,
    gate: Option<Gate>,
    copier: Option<Copier>,
    /// The files that all these connections have open, once the first one has read.
    files: Option<NamedFiles>,
    /// Whether somebody writes to the data file past SQLite.
    unwritten: Unwritten,
    #[cfg(test)]
    pub(super) between: super::interleavings::Between,
}

impl Pins {
    /// For the data file at `path`, which is canonical; nothing is opened or pinned yet.
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            connections: [const { None }; CONNECTIONS],
            held: VecDeque::new(),
            helper: None,
            gate: None,
            copier: None,
            files: None,
            unwritten: Unwritten::default(),
            #[cfg(test)]
            between: super::interleavings::Between::default(),
        }
    }

    /// Between two steps of the protocol: here tests let other programs act.
    pub(super) fn between_steps(&mut self) -> Result<()> {
        #[cfg(test)]
        self.between.call()?;
        Ok(())
    }

    /// The files that the pins have open.
    pub(super) fn files(&self) -> Option<&NamedFiles> {
        self.files.as_ref()
    }

    /// Sees that what is open is still what the path of the data file names: before anything is taken from it as the
    /// data file's, and before anything is written to it.
    pub(super) fn require_named(&self) -> Result<()> {
        self.files.as_ref().map_or(Ok(()), |files| files.require(&self.path))
    }

    /// Sees that nobody has written to the data file past SQLite since the last look: frames of the WAL belong to what
    /// it was before.
    ///
    /// # Errors
    /// [`ErrorKind::Changed`] when somebody has.
    pub(super) fn require_unwritten(&mut self) -> Result<()> {
        // Only one that has read has the index open.
        let conn = self.held.back().and_then(|n| self.connections[*n].as_ref());
        let looked = conn.map_or(Ok(()), |conn| self.unwritten.look(conn, &self.path));
        // One that took its place since the look at its name has other times as well: that it is another one is said.
        looked.or_else(|error| self.require_named().and(Err(error)))
    }

    /// Sees that nobody has put another WAL in the place of one that holds nothing, where no other program has the data
    /// file open, which may just be writing one; and that nobody has cut or overwritten one that holds something: while
    /// we have its index open, every program would go by that, and fail.
    ///
    /// # Errors
    /// [`ErrorKind::Changed`] or [`ErrorKind::Replaced`] when somebody has.
    pub(super) fn require_own_wal(&self) -> Result<()> {
        let Some(conn) = self.held.back().and_then(|n| self.connections[*n].as_ref()) else { return Ok(()) };
        require_whole_wal(conn, &self.path)?;
        match Unwritten::look_at_wal(conn, &self.path, &wal_path(&self.path)) {
            Err(changed) if self.files.is_some_and(|files| !files.is_open_elsewhere(&self.path)) => Err(changed),
            _ => Ok(()),
        }
    }

    /// Sees that the pins may write the index, as checkpoints and locks need it. SQLite opens it once for all of a
    /// process: where that was without the right to write, as while the disk was read-only, it stays so until the last
    /// connection here is closed.
    ///
    /// # Errors
    /// [`ErrorKind::Permission`] where they may not.
    pub(super) fn require_written_index(&self) -> Result<()> {
        let newest = self.held.back().and_then(|n| self.connections[*n].as_ref());
        newest.map_or(Ok(()), |conn| data_file::require_written_index(conn, &self.path))
    }

    fn open(&self) -> Result<Connection> {
        let conn = open_existing(&self.path)?;
        // Small: these connections read one page each. What SQLite took for its default size is given back.
        ffi::keep_small(&conn, &self.path)?;
        conn.execute_batch("PRAGMA cache_size=2; PRAGMA shrink_memory").map_err(|e| self.fail(e))?;
        Ok(conn)
    }

    /// One that has read: a connection that never read anything answers -1 to a checkpoint.
    fn open_and_read(&self) -> Result<Connection> {
        let conn = self.open()?;
        conn.query_row("PRAGMA user_version", [], |_| Ok(())).map_err(|e| self.fail(e))?;
        self.require_named()?;
        Ok(conn)
    }

    fn helper(&mut self) -> Result<&Connection> {
        if self.helper.is_none() {
            self.helper = Some(self.checkpointer()?);
        }
        self.helper.as_ref().map(Checkpointer::connection).ok_or_else(Error::stopped)
    }

    /// A connection for checkpoints, which write nothing where somebody else has written since the last look.
    fn checkpointer(&self) -> Result<Checkpointer> {
        let (path, unwritten) = (self.path.clone(), self.unwritten.clone());
        Checkpointer::new(self.open_and_read()?, &self.path, move |before| unwritten.allows(before, &path))
    }

    fn need_gate(&mut self) -> Result<&Gate> {
        if self.gate.is_none() {
            self.gate = Some(Gate::new(self.open_and_read()?, &self.path)?);
        }
        self.gate.as_ref().ok_or_else(Error::stopped)
    }

    /// Closes what a data file that nobody writes does not need.
    pub(super) fn slim(&mut self) {
        if self.is_copying() {
            return;
        }
        (self.helper, self.gate, self.copier) = (None, None, None);
        let kept = self.held.len().max(1) + 1;
        let mut free: Vec<usize> =
            (0..CONNECTIONS).filter(|n| !self.held.contains(n) && self.connections[*n].is_some()).collect();
        while self.held.len() + free.len() > kept
            && let Some(n) = free.pop()
        {
            self.connections[n] = None;
        }
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
        self.between_steps()?;
        let used = |n: &usize| !self.held.contains(n);
        // One that is open already is taken first.
        let free = (0..CONNECTIONS).filter(used).max_by_key(|n| self.connections[*n].is_some());
        let Some(connection) = free else {
            return Err(Error::new(ErrorKind::Refused, "all pins are in use"));
        };
        let is_new = self.connections[connection].is_none();
        let before = if self.files.is_none() { Some(NamedFiles::look(&self.path)?) } else { None };
        if is_new {
            self.connections[connection] = Some(self.open()?);
        }
        let Some(conn) = &self.connections[connection] else { return Err(Error::stopped()) };
        self.run(conn, "BEGIN")?;
        let begun = if plain { self.begin_plain(conn) } else { Ok(()) };
        let at = begun.and_then(|()| ffi::wal_position(conn, &self.path)).and_then(|at| match at {
            // Before an empty WAL there is no position to take; a plain read holds lock 0.
            None => self.begin_plain(conn).and_then(|()| ffi::wal_position(conn, &self.path)),
            at => Ok(at),
        });
        // Only now SQLite has opened all three.
        let files = match &before {
            Some(before) => NamedFiles::opened(&self.path, before).map(Some),
            None if is_new => self.require_named().map(|()| self.files),
            None => Ok(self.files),
        };
        match at.and_then(|at| Ok((at, files?))) {
            Ok((at, files)) => {
                self.files = files;
                self.held.push_back(connection);
                self.between_steps()?;
                Ok(at)
            }
            Err(error) => {
                let _ = self.run(conn, "ROLLBACK");
                Err(error)
            }
        }
    }

    /// Whether a connection that is open already holds no pin.
    pub(super) fn has_free(&self) -> bool {
        (0..CONNECTIONS).any(|n| self.connections[n].is_some() && !self.held.contains(&n))
    }

    /// A further pin on files that need no longer be those that the paths name, on a connection that is open already:
    /// what was committed to them until now.
    pub(super) fn take_unnamed(&mut self) -> Result<Option<WalPosition>> {
        let free = (0..CONNECTIONS).find(|n| self.connections[*n].is_some() && !self.held.contains(n));
        let Some((n, conn)) = free.and_then(|n| Some((n, self.connections[n].as_ref()?))) else { return Ok(None) };
        self.run(conn, "BEGIN")?;
        match ffi::wal_position(conn, &self.path) {
            Ok(at) => {
                self.held.push_back(n);
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

    /// Ends the read transaction of that number, counted from the oldest.
    pub(super) fn release(&mut self, number: usize) {
        let _ = self.between_steps();
        if let Some(conn) = self.held.remove(number).and_then(|n| self.connections[n].as_ref()) {
            // A read transaction ends even where ROLLBACK reports something.
            let _ = self.run(conn, "ROLLBACK");
        }
    }

    pub(super) fn count(&self) -> usize {
        self.held.len()
    }

    /// SQLite's counter of commits, when the WAL is empty.
    pub(super) fn counter_of_empty_wal(&self) -> Result<Option<u32>> {
        Ok(ffi::backfill(self.connection()?, &self.path)?.and_then(Backfill::counter_when_empty))
    }

    /// A connection for raw reads of the data file: that of the newest pin.
    pub(super) fn connection(&self) -> Result<&Connection> {
        let newest = self.held.back().and_then(|n| self.connections[*n].as_ref());
        newest.ok_or_else(|| Error::new(ErrorKind::Refused, "no pin is held"))
    }

    /// Size of the data file in pages at the newest pin.
    pub(super) fn page_count(&self) -> Result<u32> {
        self.connection()?.query_row("PRAGMA page_count", [], |row| row.get(0)).map_err(|e| self.fail(e))
    }

    /// Copies frames into the data file as far as all pins allow, stopping nobody.
    pub(super) fn checkpoint(&mut self) -> Result<Checkpoint> {
        self.checkpoint_with("PRAGMA wal_checkpoint(PASSIVE)")
    }

    /// Begins to do the same beside the capture. What is copied is limited by the pins of this moment.
    pub(super) fn copy_behind(&mut self) -> Result<()> {
        self.require_named()?;
        self.require_unwritten()?;
        if self.copier.is_none() {
            self.copier = Some(Copier::start(self.checkpointer()?)?);
        }
        if let Some(copier) = &self.copier {
            copier.begin();
        }
        Ok(())
    }

    /// Whether that is still going on.
    pub(super) fn is_copying(&self) -> bool {
        self.copier.as_ref().is_some_and(Copier::is_running)
    }

    /// Only looks how far checkpoints have come.
    pub(super) fn backfill(&mut self) -> Result<Checkpoint> {
        self.checkpoint_with("PRAGMA wal_checkpoint(NOOP)")
    }

    fn checkpoint_with(&mut self, sql: &str) -> Result<Checkpoint> {
        self.between_steps()?;
        // Pages of a file that was replaced must never be written into the one that took its place.
        self.require_named()?;
        self.require_unwritten()?;
        let path = self.path.clone();
        let mut statement = self.helper()?.prepare_cached(sql).map_err(|e| fail(&path, e))?;
        let done = statement.query_row([], |row| {
            let number = |n| row.get::<_, i64>(n).map(|v| u32::try_from(v).unwrap_or(0));
            Ok(Checkpoint { busy: number(0)? != 0, frames: number(1)?, backfilled: number(2)? })
        });
        drop(statement);
        done.or_else(|e| {
            // It may have been refused for a reason that is not SQLite's.
            self.require_unwritten()?;
            Err(fail(&path, e))
        })
    }

    /// Leaves the WAL empty, when everything is in the data file and no reader needs it; writes nothing to the data
    /// file. Whether that was done.
    pub(super) fn empty_wal(&mut self) -> Result<bool> {
        let done = self.checkpoint_with("PRAGMA wal_checkpoint(TRUNCATE)")?;
        Ok(!done.busy && self.is_wal_empty())
    }

    fn is_wal_empty(&self) -> bool {
        FileStamp::of_path(&wal_path(&self.path)).ok().flatten().is_some_and(|stamp| stamp.length == 0)
    }

    /// While the WAL is empty and writers are kept out: has its index forget how long the data file is. SQLite's
    /// counter of commits after that; `None` when it was not done.
    pub(super) fn forget_page_count(&self) -> Result<Option<u32>> {
        self.require_named()?;
        match &self.gate {
            Some(gate) => gate.forget_page_count(&self.path, || self.is_wal_empty()),
            None => Ok(None),
        }
    }

    /// Throws away what the WAL holds when another content has taken the place of the data file: else it would be read
    /// into that. False when another program has the data file open, which must not lose what it reads; or when the WAL
    /// is another one, too. No pin is held after that. What is logged is not lost by it.
    pub(super) fn discard_wal(&mut self) -> Result<bool> {
        let Some(files) = self.files.filter(|files| files.are_companions_named(&self.path)) else { return Ok(false) };
        let wal = wal_path(&self.path);
        if self.is_copying() || self.is_wal_empty() || files.is_open_elsewhere(&self.path) {
            return Ok(false);
        }
        while self.count() > 0 {
            self.release(0);
        }
        self.let_writers_in();
        // A new connection would open the new content together with the old WAL.
        let Some(conn) = self.connections.iter().flatten().next() else { return Ok(false) };
        // One that came with the copy is the copy's.
        if !Unwritten::knows_wal(conn, &self.path, &wal) {
            return Ok(false);
        }
        ffi::discard_wal(conn, &self.path, || {
            let opened = regular::open_with(OpenOptions::new().write(true), &wal, Links::Refused);
            opened.and_then(|(file, _)| file.set_len(0)).map_err(|e| Error::io("empty", &wal, e))
        })
    }

    /// Has the disk hold the WAL, so that the next checkpoint need not wait for that before it copies.
    pub(super) fn sync_wal(&self) -> Result<()> {
        let wal = wal_path(&self.path);
        let opened = regular::open(&wal, Links::Refused);
        opened.and_then(|(file, _)| file.sync_data()).map_err(|e| Error::io("sync", &wal, e))
    }

    /// To be called before all connections are closed: where the WAL is empty, SQLite removes it with its index.
    pub(super) fn leave(&mut self) {
        if self.require_named().is_ok() {
            self.connections.iter().flatten().for_each(|conn| leave(conn, &self.path));
        }
    }

    /// Tries for at most `wait` to keep writers out.
    pub(super) fn lock_writers(&mut self, wait: Duration, turn: Turn) -> Result<bool> {
        self.between_steps()?;
        let path = self.path.clone();
        self.need_gate()?.shut(wait, turn).map_err(|e| fail(&path, e))
    }

    /// Whether writers are kept out, by the capture or in its place; they are let in when it is time.
    pub(super) fn are_writers_kept_out(&self) -> bool {
        self.gate.as_ref().is_some_and(Gate::is_shut)
    }

    /// Lets writers go on.
    pub(super) fn let_writers_in(&self) {
        if let Some(gate) = &self.gate {
            gate.open();
        }
    }

    /// The size of the WAL is to be watched beside the capture; so many of its bytes are logged.
    pub(super) fn watch_size(&mut self, logged: u64) -> Result<()> {
        self.need_gate()?.watch(Some(logged));
        Ok(())
    }

    pub(super) fn watch_no_more(&self) {
        if let Some(gate) = &self.gate {
            gate.watch(None);
        }
    }
}

fn fail(path: &Path, error: rusqlite::Error) -> Error {
    if is_busy(&error) {
        return Error::new(ErrorKind::Busy, format!("{} is locked by another program", path.display()))
            .hint(
                "The application holds the file in exclusive mode or in a long transaction. Wait, or switch its \
                exclusive locking off.",
            )
            .because(error);
    }
    // It was one when it was opened: somebody is just copying another content over it.
    if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) {
        return unwritten::changed(path).because(error);
    }
    Error::sqlite("follow", path, error)
}
