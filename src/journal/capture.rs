//! The thread that follows one data file.
//!
//! See the [head of the journal](super) for the method. This file holds its outside: configuration, status, commands; the
//! loop that decides when to look, when to retry and when to let go.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    catch_up,
    follow::{Follower, Trouble},
    format::{Chain, LogHeader, Position},
    next_path,
    pins::Pins,
    reader::End,
    rotate::{self, LastArchive},
    table::{Changes, PageTableWriter},
    table_path,
    watch::{Bell, Watch},
    writer::LogWriter,
};
use crate::{
    error::{Error, ErrorKind, ErrorReport, Result},
    sqlite::{
        ffi::{self, WalPosition},
        open_existing,
        snapshot::{Snapshot, wal_path},
        wal::WalMark,
    },
    storage::{Disk, Ownership, Storage},
};

/// After a commit or a file event, how long to look often.
const HOT: Duration = Duration::from_millis(60);
/// Without commits for so long, a checkpointer of the application may wait for a pin; and how often that is asked.
const PROBE: Duration = Duration::from_millis(15);
/// Without commits for so long, the data file is brought up to date; and how often that is tried.
const IDLE: Duration = Duration::from_millis(100);
/// Without commits for so long, and still held up by a reader of another program, looks become rare.
const HELD_UP: Duration = Duration::from_secs(2);
/// Pause between looks while hot.
const HOT_PAUSE: Duration = Duration::from_millis(1);
/// So many commits in one look mean a writer without pause; then looks are made rarer.
const CROWD: u64 = 16;
const CROWD_PAUSE: Duration = Duration::from_millis(4);
/// Pause between looks while cold: the fallback for events that did not come.
const COLD_PAUSE: Duration = Duration::from_millis(250);
/// Longest pause between attempts to write a log that failed.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// While the log can not be written, how long an application's checkpointer may wait for our pins.
const STALL_MAX: Duration = Duration::from_millis(150);

/// Reads the content of an archive in order: called with the position it must have and a sink for its bytes.
pub type ReadBase = Arc<dyn Fn(&Position, &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> + Send + Sync>;

/// What to follow, and where to write.
#[derive(Clone)]
pub struct CaptureConfig {
    /// The data file.
    pub data_file: PathBuf,
    /// The current log, `Name.journal`.
    pub log: PathBuf,
    /// Identity of the data file, as its archives carry it.
    pub identity: Uuid,
    /// Writes the log.
    pub storage: Arc<dyn Storage>,
    /// The newest archive, if there is one.
    pub last_archive: Option<LastArchive>,
    /// Reads an archive again when the page table is missing.
    pub read_base: Option<ReadBase>,
    /// While the log can not be written, the WAL is held back up to this size.
    pub wal_bytes_max: u64,
    /// The clock.
    pub clock: fn() -> DateTime<Utc>,
    /// Called after the status changed.
    pub waker: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl std::fmt::Debug for CaptureConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CaptureConfig")
            .field("data_file", &self.data_file)
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}

impl CaptureConfig {
    /// The usual configuration, without an archive.
    pub fn new(data_file: &Path, log: &Path, identity: Uuid) -> Self {
        Self {
            data_file: data_file.to_path_buf(),
            log: log.to_path_buf(),
            identity,
            storage: Arc::new(Disk),
            last_archive: None,
            read_base: None,
            wal_bytes_max: 1 << 30,
            clock: Utc::now,
            waker: None,
        }
    }
}

/// How the protection by the log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CaptureState {
    /// Comparing the data file after an interruption, or about to.
    Starting,
    /// Every commit is logged as it is made.
    On,
    /// The log can not be written at the moment; the WAL is held back, so nothing is lost yet.
    Held,
    /// The log can not be written, and commits are made that it will not hold one by one.
    Lost,
    /// Stopped.
    Off,
}

/// What the window shows of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureStatus {
    /// How the protection stands.
    pub state: CaptureState,
    /// The current log.
    pub log: PathBuf,
    /// Its size in bytes.
    pub log_bytes: u64,
    /// The last logged commit.
    pub position: Position,
    /// When it was logged.
    pub last_commit: Option<DateTime<Utc>>,
    /// Commits since the base of the log, all without a gap when `catch_ups` is 0.
    pub commits: u64,
    /// Whether the base is an archive, so that a restore can use the log.
    pub rooted: bool,
    /// Size of the WAL in bytes.
    pub wal_bytes: u64,
    /// Times that the data file had to be compared, since the base.
    pub catch_ups: u32,
    /// Times that SQLite rebuilt its index, so that only checksums proved the chain, since the start.
    pub recoveries: u32,
    /// What is wrong, or was, with the log.
    pub error: Option<ErrorReport>,
}

pub(super) fn mark_of(at: Option<&WalPosition>) -> WalMark {
    at.map_or_else(WalMark::default, WalMark::from)
}

type Begin = Box<dyn FnOnce() -> Result<Snapshot> + Send>;

enum Command {
    Flush(Sender<Result<Position>>),
    Cut(u32, Begin, Sender<Result<(Snapshot, Position)>>),
    Commit(PathBuf, Sender<Result<()>>),
    Abandon(Sender<Result<()>>),
    Stop,
}

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
}

impl Link {
    fn ask<T>(&self, command: impl FnOnce(Sender<Result<T>>) -> Command) -> Result<T> {
        let (reply, answer) = bounded(1);
        let gone = || Error::new(ErrorKind::Refused, "the log was stopped").hint("Switch the log on again.");
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
    /// writes the log, `Busy` when the data file is locked, `Damaged` for a log whose header can not be read.
    pub fn start(mut config: CaptureConfig) -> Result<Self> {
        config.data_file = config.data_file.canonicalize().map_err(|e| Error::io("open", &config.data_file, e))?;
        require_wal_mode(&config.data_file)?;
        rotate::settle(&config.storage, &config.log, config.last_archive.as_ref())?;
        let mut pins = Pins::open(&config.data_file)?;
        let at = pins.take(false)?;
        let page_count = pins.page_count()?;
        let page_size = page_size(&pins)?;
        let mut known = Changes::new(page_count);
        let (writer, end, catch_ups) = if config.log.symlink_metadata().is_ok() {
            let (mut catch_ups, mut count_before) = (0, None);
            let (writer, end) = LogWriter::open(Arc::clone(&config.storage), &config.log, &mut |reader, record| {
                catch_ups += u32::from(record.head.kind != super::format::RecordKind::Commit);
                let before = match count_before {
                    Some(count) => count,
                    None => {
                        known = Changes::new(reader.header().page_count);
                        reader.header().page_count
                    }
                };
                count_before = Some(record.head.page_count);
                known.add(reader, record, before)
            })?;
            if count_before.is_none() {
                known = Changes::new(writer.header().page_count);
            }
            (writer, end, catch_ups)
        } else {
            let last = config.last_archive.as_ref().map(|l| l.position);
            let header = LogHeader {
                identity: config.identity,
                page_size,
                base: Position {
                    archive: last.map_or(0, |p| p.archive),
                    commit: last.map_or(0, |p| p.commit),
                    chain: fresh_chain(),
                },
                rooted: false,
                created: (config.clock)(),
                page_count,
                mark: mark_of(at.as_ref()),
            };
            let ownership = Ownership::of(&config.data_file);
            (LogWriter::create(Arc::clone(&config.storage), &config.log, header, ownership)?, End::Whole, 0)
        };
        writer.require(config.identity, page_size)?;
        let error = match end {
            End::Damaged { offset } => Some(set_damaged_aside(&config, offset)?),
            _ => None,
        };
        let mut follower = Follower::new(&config.data_file, pins, writer, config.clock);
        if error.is_some() {
            let tail = *follower.writer.logged();
            follower.writer.cut_at(tail)?;
        }
        follower.know(known);

        let (mut watch, bell) = Watch::new(&config.data_file)?;
        watch.follow(&wal_path(&config.data_file));
        let (commands, inbox) = unbounded();
        let status = Arc::new(Mutex::new(CaptureStatus {
            state: CaptureState::Starting,
            log: config.log.clone(),
            log_bytes: follower.writer.logged().length,
            position: follower.writer.position(),
            last_commit: None,
            commits: 0,
            rooted: follower.writer.header().rooted,
            wal_bytes: 0,
            catch_ups,
            recoveries: 0,
            error,
        }));
        let storage = Shared(Arc::clone(&config.storage));
        let mut service = Service {
            follower,
            config,
            inbox,
            watch,
            status: Arc::clone(&status),
            sealed: None,
            ready: false,
            force: false,
            failing: None,
            catch_ups,
            hot_until: Instant::now(),
            last_news: Instant::now(),
            last_probe: Instant::now(),
            last_tidy: Instant::now(),
        };
        let thread = thread::Builder::new()
            .name("capture".into())
            .spawn(move || service.run())
            .map_err(|e| Error::new(ErrorKind::Io, "can not start a thread").because(e))?;
        Ok(Self { link: Link { commands, bell, status }, thread: Some(thread), storage })
    }

    /// The state at this moment.
    pub fn status(&self) -> CaptureStatus {
        self.link.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns when every commit made before the call is logged, with the position of the last one.
    ///
    /// # Errors
    /// When the log can not be written.
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
            open: true,
        })
    }

    /// Logs what is committed by now and stops following. The WAL stays as it was read, so that the next start can go on
    /// from there.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.link.commands.send(Command::Stop);
        self.link.bell.ring();
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
    /// When it can not be written.
    pub fn page_table(&self, page_size: u32) -> Result<PageTableWriter> {
        let path = table_path(&next_path(&self.log));
        PageTableWriter::create(&self.storage.0, &path, (page_size, self.position.chain), Ownership::of(&self.log))
    }

    /// The archive is complete: the log so far gets the name `archived` (`Name[n-1].4BL`), the next one takes its place.
    ///
    /// # Errors
    /// When a file can not be renamed. The log goes on all the same, and the next start or call tries again.
    pub fn commit(mut self, archived: &Path) -> Result<()> {
        self.open = false;
        self.snapshot = None;
        self.link.ask(|reply| Command::Commit(archived.to_path_buf(), reply))
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
        if crate::sqlite::snapshot::is_busy(&e) {
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
        .hint("Let Strongroom switch the data file to WAL, or do it in the application. It is a lasting change of the file."))
}

fn page_size(pins: &Pins) -> Result<u32> {
    pins.connection()
        .query_row("PRAGMA page_size", [], |row| row.get(0))
        .map_err(|e| Error::new(ErrorKind::Sqlite, "the page size can not be read").because(e))
}

/// The chain value of a log that continues nothing.
fn fresh_chain() -> Chain {
    Chain(*blake3::hash(Uuid::new_v4().as_bytes()).as_bytes())
}

/// Keeps a damaged log as it is, under another name, before its good part goes on.
fn set_damaged_aside(config: &CaptureConfig, offset: u64) -> Result<ErrorReport> {
    let mut name = config.log.as_os_str().to_owned();
    name.push(format!(".damaged-{}", (config.clock)().format("%Y%m%d-%H%M%S%.3f")));
    let aside = PathBuf::from(name);
    std::fs::copy(&config.log, &aside).map_err(|e| Error::io("copy the damaged log to", &aside, e))?;
    let message = format!("{} was damaged at byte {offset}; it is kept as {}", config.log.display(), aside.display());
    Ok(Error::new(ErrorKind::Damaged, message)
        .hint("The log goes on: only single commits between the damage and now are lost. Check the disk and make a full backup.")
        .report())
}

struct Service {
    follower: Follower,
    config: CaptureConfig,
    inbox: Receiver<Command>,
    watch: Watch,
    status: Arc<Mutex<CaptureStatus>>,
    /// The log before an open cut.
    sealed: Option<LogWriter>,
    /// Whether the log stands where a pin does.
    ready: bool,
    /// Whether the next start must compare.
    force: bool,
    failing: Option<Failing>,
    catch_ups: u32,
    hot_until: Instant,
    last_news: Instant,
    last_probe: Instant,
    last_tidy: Instant,
}

struct Failing {
    error: Error,
    pause: Duration,
    next: Instant,
    busy_since: Option<Instant>,
}

impl Service {
    fn run(&mut self) {
        loop {
            while let Ok(command) = self.inbox.try_recv() {
                if !self.obey(command) {
                    self.publish(Some(CaptureState::Off));
                    return;
                }
            }
            let before = self.follower.writer.logged().commit;
            self.turn();
            self.publish(None);
            if self.follower.writer.logged().commit - before >= CROWD {
                // Fewer, larger syncs leave more of the disk to the writers.
                thread::sleep(CROWD_PAUSE);
            }
            let pause = self.pause();
            if self.watch.wait(pause) && self.failing.is_none() {
                self.hot_until = Instant::now() + HOT;
            }
        }
    }

    fn pause(&self) -> Duration {
        let now = Instant::now();
        match &self.failing {
            Some(failing) => failing.next.saturating_duration_since(now).clamp(HOT_PAUSE, Duration::from_millis(20)),
            None if now < self.hot_until => HOT_PAUSE,
            None if self.follower.is_level() => COLD_PAUSE,
            None if now.duration_since(self.last_news) < HELD_UP => HOT_PAUSE,
            None => HOT,
        }
    }

    /// One look at the data file. False when there was nothing to do, or it could not be done.
    fn turn(&mut self) -> bool {
        let now = Instant::now();
        if self.failing.as_ref().is_some_and(|f| now < f.next) {
            self.watch_for_stall();
            return false;
        }
        let outcome = if self.ready { self.follower.step() } else { self.begin() };
        match outcome {
            Ok(true) => {
                self.failing = None;
                self.last_news = Instant::now();
                self.hot_until = Instant::now() + HOT;
                true
            }
            Ok(false) => {
                self.failing = None;
                let (quiet, asked) = (now.duration_since(self.last_news), now.duration_since(self.last_probe));
                if !self.follower.is_level() && quiet >= PROBE && asked >= PROBE {
                    self.last_probe = now;
                    let full = quiet >= IDLE && now.duration_since(self.last_tidy) >= IDLE;
                    let outcome = if full { self.follower.tidy(true) } else { self.follower.probe() };
                    if full {
                        self.last_tidy = now;
                    }
                    if let Err(trouble) = outcome {
                        self.meet(trouble);
                    }
                }
                false
            }
            Err(trouble) => {
                self.meet(trouble);
                false
            }
        }
    }

    fn begin(&mut self) -> Result<bool, Trouble> {
        let outcome = catch_up::start(&mut self.follower, &self.config, self.force)?;
        if matches!(outcome, catch_up::Outcome::CaughtUp(_)) {
            self.catch_ups += 1;
        }
        (self.ready, self.force) = (true, false);
        Ok(true)
    }

    fn meet(&mut self, trouble: Trouble) {
        tracing::warn!(error = %trouble.error(), "the log was interrupted");
        let (error, pause) = match trouble {
            Trouble::Chain(error) => {
                // Compare at once; only when that fails too there is something to wait for.
                let again = !self.ready;
                (self.ready, self.force) = (false, true);
                (error, if again { Duration::from_millis(250) } else { Duration::ZERO })
            }
            Trouble::Log(error) => (error, Duration::from_millis(250)),
            Trouble::Other(error) if error.kind() == ErrorKind::Busy => (error, HOT_PAUSE),
            Trouble::Other(error) => (error, Duration::from_millis(250)),
        };
        let before = self.failing.take();
        let pause = before.as_ref().map_or(pause, |f| pause.max((f.pause * 2).min(RETRY_MAX)));
        let busy_since = before.and_then(|f| f.busy_since);
        if !self.ready {
            // Nothing is protected by a pin that belongs to no logged place.
            self.follower.pins.keep_newest(0);
        }
        self.failing = Some(Failing { error, pause, next: Instant::now() + pause, busy_since });
    }

    /// While the log can not be written, the pins hold the WAL back; not without end, and never a waiting application.
    fn watch_for_stall(&mut self) {
        if self.follower.pins.count() == 0 {
            return;
        }
        let busy = self.follower.pins.checkpoint().is_ok_and(|c| c.busy);
        let Some(failing) = &mut self.failing else { return };
        failing.busy_since = busy.then(|| failing.busy_since.unwrap_or_else(Instant::now));
        let stalled = failing.busy_since.is_some_and(|since| since.elapsed() >= STALL_MAX);
        if stalled || self.follower.wal_bytes() > self.config.wal_bytes_max {
            self.follower.pins.keep_newest(0);
            self.ready = false;
        }
    }

    fn obey(&mut self, command: Command) -> bool {
        match command {
            Command::Flush(reply) => {
                let outcome = self.settle_down().map(|()| self.follower.writer.position());
                // Whoever waits for the answer finds it in the status too.
                self.publish(None);
                let _ = reply.send(outcome);
            }
            Command::Cut(number, begin, reply) => {
                let _ = reply.send(self.cut(number, begin));
            }
            Command::Commit(archived, reply) => {
                let outcome = self.commit(&archived);
                self.publish(None);
                let _ = reply.send(outcome);
            }
            Command::Abandon(reply) => {
                let outcome = self.abandon();
                self.publish(None);
                let _ = reply.send(outcome);
            }
            Command::Stop => {
                // What was committed before the call belongs to the log; what fails now is found again by the next start.
                let _ = self.settle_down();
                return false;
            }
        }
        true
    }

    /// Logs everything that is committed.
    fn settle_down(&mut self) -> Result<()> {
        // Two looks may be needed to begin and to continue; a busy writer must not keep us here.
        for _ in 0..50 {
            if let Some(failing) = &mut self.failing {
                failing.next = Instant::now();
            }
            if !self.turn() && self.failing.is_none() {
                return Ok(());
            }
            match &self.failing {
                Some(f) if f.error.kind() == ErrorKind::Busy || !f.pause.is_zero() && !self.ready && self.force => {
                    thread::sleep(HOT_PAUSE);
                }
                Some(f) if !f.pause.is_zero() => {
                    let report = f.error.report();
                    let error = Error::new(report.kind, report.message);
                    return Err(match report.hint {
                        Some(hint) => error.hint(hint),
                        None => error,
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn cut(&mut self, number: u32, begin: Begin) -> Result<(Snapshot, Position)> {
        if self.sealed.is_some() {
            return Err(Error::new(ErrorKind::Refused, "another backup of this data file is running")
                .hint("Wait until it has ended."));
        }
        self.settle_down()?;
        if !self.ready {
            return Err(Error::new(ErrorKind::Busy, "the log is not in order yet").hint("Try again in a moment."));
        }
        let snapshot = begin()?;
        let at = ffi::wal_position(snapshot.connection(), &self.config.data_file)?;
        if let Some(at) = &at
            && let Err(trouble) = self.follower.absorb(at)
        {
            let report = trouble.error().report();
            self.meet(trouble);
            return Err(Error::new(report.kind, report.message).hint("The backup can be started again at once."));
        }
        let logged = *self.follower.writer.logged();
        let position = Position { archive: number, commit: logged.commit, chain: logged.chain };
        let header = LogHeader {
            identity: self.config.identity,
            page_size: self.follower.page_size(),
            base: position,
            rooted: true,
            created: (self.config.clock)().max(logged.time),
            page_count: logged.page_count,
            mark: self.follower.mark(),
        };
        let next = next_path(&self.config.log);
        let ownership = Ownership::of(&self.config.data_file);
        let writer = LogWriter::create(Arc::clone(&self.config.storage), &next, header, ownership)?;
        self.sealed = Some(self.follower.switch_writer(writer));
        self.catch_ups = 0;
        Ok((snapshot, position))
    }

    fn commit(&mut self, archived: &Path) -> Result<()> {
        if self.sealed.is_none() {
            return Err(Error::new(ErrorKind::Refused, "no cut is open"));
        }
        rotate::archive(&self.config.storage, &self.config.log, archived)?;
        rotate::finish(&self.config.storage, &self.config.log)?;
        self.follower.writer.set_path(&self.config.log);
        self.follower.open_table();
        self.sealed = None;
        Ok(())
    }

    fn abandon(&mut self) -> Result<()> {
        let Some(mut sealed) = self.sealed.take() else { return Ok(()) };
        match rotate::take_back(&mut sealed, &next_path(&self.config.log)) {
            Ok(()) => {
                drop(self.follower.switch_writer(sealed));
                Ok(())
            }
            Err(error) => {
                self.sealed = Some(sealed);
                Err(error)
            }
        }
    }

    fn publish(&mut self, state: Option<CaptureState>) {
        let writer = &self.follower.writer;
        let state = state.unwrap_or(match (&self.failing, self.ready) {
            (None, true) => CaptureState::On,
            (None, false) => CaptureState::Starting,
            (Some(f), _) if f.pause < Duration::from_millis(100) => CaptureState::On,
            (Some(_), true) => CaptureState::Held,
            (Some(_), false) => CaptureState::Lost,
        });
        let logged = writer.logged();
        let mut held = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        let status = CaptureStatus {
            state,
            log: self.config.log.clone(),
            log_bytes: logged.length,
            position: writer.position(),
            last_commit: (logged.commit > writer.header().base.commit).then_some(logged.time),
            commits: logged.commit - writer.header().base.commit,
            rooted: writer.header().rooted,
            wal_bytes: self.follower.wal_bytes(),
            catch_ups: self.catch_ups,
            recoveries: self.follower.recoveries,
            error: match &self.failing {
                Some(f) if state != CaptureState::On => Some(f.error.report()),
                _ => held.error.take().filter(|e| e.kind == ErrorKind::Damaged),
            },
        };
        if *held != status {
            *held = status;
            drop(held);
            if let Some(waker) = &self.config.waker {
                waker();
            }
        }
    }
}
