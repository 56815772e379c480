//! Following one data file: what the rest of the program holds of it.
//!
//! See the [head of the journal](super) for the method. The work is done by the [service](super::service) on a thread
//! of its own.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use crossbeam_channel::{Sender, bounded, unbounded};

use super::{
    follow::Follower,
    format::Position,
    next_path,
    open::{self, Now, OpenLog},
    pins::Pins,
    rotate,
    service::{Command, Service},
    status::{CaptureConfig, CaptureState, CaptureStatus, Pulse},
    table::PageTableWriter,
    table_path,
    watch::{Bell, Watch},
};
use crate::{
    error::{Error, ErrorKind, Result},
    sqlite::{
        named, open_existing,
        snapshot::{Snapshot, is_busy},
        wal::WalMark,
    },
    storage::{Ownership, Storage},
};

/// A data file being followed. Dropping it stops.
#[derive(Debug)]
pub struct Capture {
    link: Link,
    thread: Option<JoinHandle<()>>,
    storage: Shared,
}

#[derive(Clone)]
struct Shared(Arc<dyn Storage>);

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Storage")
    }
}

#[derive(Debug, Clone)]
struct Link {
    commands: Sender<Command>,
    bell: Bell,
    status: Arc<Mutex<CaptureStatus>>,
    pulse: Pulse,
}

impl Link {
    fn ask<T>(&self, command: impl FnOnce(Sender<Result<T>>) -> Command) -> Result<T> {
        let (reply, answer) = bounded(1);
        let gone = || {
            let status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
            match &status.error {
                Some(error) if status.state == CaptureState::Released => error.clone().into(),
                _ => Error::new(ErrorKind::Refused, "the log was stopped").hint("Switch the log on again."),
            }
        };
        self.commands.send(command(reply)).map_err(|_| gone())?;
        self.bell.ring();
        answer.recv().map_err(|_| gone())?
    }
}

impl Capture {
    /// Opens or creates the log and begins to follow the data file.
    ///
    /// An unfinished cut is settled first. A comparison after an interruption happens on the thread, see
    /// [`CaptureState::Starting`].
    ///
    /// # Errors
    /// `Refused` when the data file is not in WAL mode or the log belongs to another one, `InUse` when another process
    /// writes the log, `Busy` when the data file is locked, `Damaged` for a log whose header cannot be read.
    pub fn start(mut config: CaptureConfig) -> Result<Self> {
        config.data_file = config.data_file.canonicalize().map_err(|e| Error::io("open", &config.data_file, e))?;
        named::require_released(&config.data_file)?;
        named::require_shared(&config.data_file)?;
        require_wal_mode(&config.data_file)?;
        rotate::settle(&config.storage, &config.log, config.last_archive.as_ref(), (config.clock)())?;
        let mut pins = Pins::new(&config.data_file);
        let at = pins.take(false)?;
        pins.require_written_index()?;
        named::require_one_wal(&config.data_file)?;
        let now = Now { page_size: page_size(&pins)?, page_count: pins.page_count()?, mark: WalMark::of(at.as_ref()) };
        let OpenLog { writer, known, catch_ups, notice } = open::open(&config, &now)?;
        let notice = notice.map(|e| e.report()).or(config.released.clone());
        let mut follower = Follower::new(&config.data_file, pins, writer, config.clock);
        follower.know(known);

        let (watch, bell) = Watch::new(&config.data_file);
        let (commands, inbox) = unbounded();
        let status = Arc::new(Mutex::new(CaptureStatus {
            state: CaptureState::Starting,
            log: config.log.clone(),
            log_bytes: follower.writer.logged().length,
            position: follower.writer.position(),
            last_commit: None,
            ahead: None,
            commits: 0,
            rooted: follower.writer.header().rooted,
            wal_bytes: 0,
            held_back_since: None,
            catch_ups,
            recoveries: 0,
            lacking: None,
            error: notice.clone(),
            is_closed: false,
        }));
        let storage = Shared(Arc::clone(&config.storage));
        let pulse = Pulse::new();
        let service =
            Service::new(follower, config, inbox, watch, Arc::clone(&status), (catch_ups, notice), pulse.clone());
        let thread = thread::Builder::new()
            .name("capture".into())
            .spawn(move || service.run())
            .map_err(|e| Error::new(ErrorKind::Io, "cannot start a thread").because(e))?;
        Ok(Self { link: Link { commands, bell, status, pulse }, thread: Some(thread), storage })
    }

    /// The state at this moment.
    pub fn status(&self) -> CaptureStatus {
        let told = self.link.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.link.pulse.judge(told)
    }

    /// Returns when every commit made before the call is logged, with the position of the last one.
    ///
    /// # Errors
    /// When the log cannot be written.
    pub fn flush(&self) -> Result<Position> {
        self.link.ask(Command::Flush)
    }

    /// Cuts the log for full backup `number`: everything up to the state that `begin` holds belongs to the log so far,
    /// everything after it to the next one. `begin` runs on the capture thread and should only begin the snapshot.
    ///
    /// # Errors
    /// When the log is not in order, or another cut is open. The current log goes on unbroken.
    pub fn cut(&self, number: u32, begin: impl FnOnce() -> Result<Snapshot> + Send + 'static) -> Result<Cut> {
        let (snapshot, position) = self.link.ask(|reply| Command::Cut(number, Box::new(begin), reply))?;
        let log = self.status().log;
        Ok(Cut {
            link: self.link.clone(),
            snapshot: Some(snapshot),
            position,
            log,
            storage: self.storage.clone(),
            index: None,
            open: true,
        })
    }

    /// Logs what is committed by now and stops following. The WAL stays as it was read, so that the next start can go
    /// on from there.
    pub fn stop(mut self) {
        self.end();
    }

    /// Asks it to stop without waiting for it, so that many stop at the same time.
    pub fn ask_stop(&self) {
        let _ = self.link.commands.send(Command::Stop);
        self.link.bell.ring();
    }

    fn end(&mut self) {
        self.ask_stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.end();
    }
}

/// A cut that waits for its backup to succeed or fail. Dropping it means failure.
#[derive(Debug)]
pub struct Cut {
    link: Link,
    snapshot: Option<Snapshot>,
    position: Position,
    log: PathBuf,
    storage: Shared,
    /// The index that the log gets when it is archived.
    index: Option<Vec<u8>>,
    open: bool,
}

impl Cut {
    /// The state to back up.
    ///
    /// # Errors
    /// When it was taken already.
    pub fn take_snapshot(&mut self) -> Result<Snapshot> {
        self.snapshot.take().ok_or_else(|| Error::new(ErrorKind::Refused, "the snapshot was taken already"))
    }

    /// The position of that state, to be named by the archive.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Begins the page table of the new base, to be fed with the bytes of the data file while they are copied. Without
    /// it, the archive is read again when it is needed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn page_table(&self, page_size: u32) -> Result<PageTableWriter> {
        let path = table_path(&next_path(&self.log));
        PageTableWriter::create(&self.storage.0, &path, (page_size, self.position.chain), Ownership::of(&self.log))
    }

    /// Reads the log up to the cut back from its file: nothing that was written counts before it was read. What was
    /// read becomes its index.
    ///
    /// # Errors
    /// `Damaged` when it does not lead to where the archive was cut; the archive is sound all the same, and the log
    /// goes on from it.
    pub fn prove(&mut self) -> Result<()> {
        self.index = rotate::prove(&self.log, &self.position)?;
        Ok(())
    }

    /// The archive is complete: the log so far gets the name `archived` (`Name[n-1].4BL`), the next one takes its
    /// place. Answers whether it leads to exactly what the data file holds: where not, pages were changed without a
    /// commit.
    ///
    /// # Errors
    /// When a file cannot be renamed. The log goes on all the same, and the next start or call tries again.
    pub fn commit(mut self, archived: &Path) -> Result<bool> {
        self.open = false;
        self.snapshot = None;
        let index = self.index.take();
        self.link.ask(|reply| Command::Commit(archived.to_path_buf(), index, reply))
    }

    /// There will be no archive: the log goes on as if there had been no cut.
    ///
    /// # Errors
    /// When the disk of the log fails. The log goes on all the same, and the next start tries again.
    pub fn abandon(mut self) -> Result<()> {
        self.open = false;
        self.snapshot = None;
        self.link.ask(Command::Abandon)
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        if self.open {
            self.snapshot = None;
            let _ = self.link.ask(Command::Abandon);
        }
    }
}

fn require_wal_mode(path: &Path) -> Result<()> {
    let conn = open_existing(path)?;
    let mode: String = conn.query_row("PRAGMA journal_mode", [], |row| row.get(0)).map_err(|e| {
        if is_busy(&e) {
            Error::new(ErrorKind::Busy, format!("{} is locked by another program", path.display()))
                .hint("The application holds the file in exclusive mode. Switch that off to use the log.")
                .because(e)
        } else {
            Error::sqlite("read", path, e)
        }
    })?;
    if mode == "wal" {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Refused, format!("{} is in journal mode {mode}; the log needs WAL", path.display()))
        .hint(
            "Let Strongroom switch it (in the window, or with serve --switch-to-wal), or do it in the application. \
            It is a lasting change of the file.",
        ))
}

fn page_size(pins: &Pins) -> Result<u32> {
    pins.connection()?
        .query_row("PRAGMA page_size", [], |row| row.get(0))
        .map_err(|e| Error::new(ErrorKind::Sqlite, "the page size cannot be read").because(e))
}
