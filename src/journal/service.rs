//! The loop that decides when to look at the data file, when to retry and when to let go; and obeys commands between
//! looks.

mod commands;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

pub(super) use commands::Command;
use crossbeam_channel::Receiver;

use super::{
    catch_up,
    follow::{Follower, Trouble},
    late::{Known, SLACK},
    pin_machine::{Event, Outcome},
    status::{CaptureConfig, CaptureState, CaptureStatus, Pulse},
    unwritten,
    watch::Watch,
    writer::LogWriter,
};
use crate::error::{Error, ErrorKind, ErrorReport, foreign::shown};

/// After a commit or a file event, how long to look often.
const HOT: Duration = Duration::from_millis(60);
/// Without commits for so long, a checkpointer of the application may wait for a pin; and how often that is asked.
const PROBE: Duration = Duration::from_millis(15);
/// Without commits for so long, the data file is brought up to date; and how often that is tried.
const IDLE: Duration = Duration::from_millis(100);
/// Without commits for so long, a data file that the last program has closed is left at rest; and how often that is
/// tried while no event tells that one was closed.
const CLOSED: Duration = Duration::from_millis(1);
const REST: Duration = Duration::from_secs(30);
/// Without commits for so long, and still held up by a reader of another program, looks become rare.
const HELD_UP: Duration = Duration::from_secs(2);
/// Pause between looks while hot.
const HOT_PAUSE: Duration = Duration::from_millis(1);
/// So many commits in one look mean a writer without pause; then looks are made rarer.
const CROWD: u64 = 16;
const CROWD_PAUSE: Duration = Duration::from_millis(4);
/// Pauses between looks while cold. An event tells that frames are written; the commit follows when they are synced,
/// which a slow disk may take long for. After a while without any event, the last one is only the fallback for one that
/// did not come.
const COLD_PAUSES: [(Duration, Duration); 2] =
    [(Duration::from_secs(2), Duration::from_millis(20)), (Duration::from_secs(30), Duration::from_millis(250))];
const COLD_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Without events and commits for so long, what an idle data file does not need is closed.
const IDLE_LONG: Duration = Duration::from_secs(30);
/// How often what is held open is compared with what the paths name, so that a status is never older than this.
const COMPARE: Duration = Duration::from_millis(1500);
/// A log is read again because somebody else may have written to it when so many times as long has passed as that took
/// the last time: who touches it again and again must not have it read all the time.
const READ_BACK_SHARE: u32 = 20;
/// After so long in any case.
const READ_BACK_MAX: Duration = Duration::from_secs(60);
/// Longest pause between attempts to write a log that failed.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// Once the pauses between attempts that SQLite fails are so long, everything is opened anew.
const STALE_MAX: Duration = Duration::from_secs(1);

/// The state of the capture thread.
pub(super) struct Service {
    follower: Follower,
    config: CaptureConfig,
    inbox: Receiver<Command>,
    watch: Watch,
    status: Arc<Mutex<CaptureStatus>>,
    /// The log before an open cut.
    sealed: Option<LogWriter>,
    /// How the cut was to end whose backup is over, where a file could not be renamed or removed.
    unsettled: Option<Unsettled>,
    /// Whether the log stands where a pin does.
    ready: bool,
    /// Whether the next start must compare.
    force: bool,
    failing: Option<Failing>,
    catch_ups: u32,
    /// What was found at the start instead of what was expected; of no concern any more after a full backup.
    notice: Option<ErrorReport>,
    /// Whether commits were found that no event had told of, as on file systems that tell of no writes by others.
    is_deaf: bool,
    hot_until: Instant,
    last_event: Instant,
    last_news: Instant,
    last_probe: Instant,
    last_tidy: Instant,
    /// When the data file was last to be left at rest, since the last commit.
    last_rest: Option<Instant>,
    /// Whether a program has closed the data file, and that was not followed up yet.
    was_closed: bool,
    last_compared: Instant,
    /// When the log was read again last, and how long that took.
    last_read_back: Option<(Instant, Duration)>,
    /// Why everything is to be released.
    released: Option<Error>,
    /// Told whenever this thread gets round.
    pulse: Pulse,
}

/// What is left to be done for a cut that no backup waits for any more.
enum Unsettled {
    /// The log before it gets this name, and its index where it has none yet.
    Commit(PathBuf, Option<Vec<u8>>),
    /// It takes back what was recorded since.
    Abandon,
}

struct Failing {
    error: Error,
    pause: Duration,
    next: Instant,
}

impl Service {
    pub(super) fn new(
        follower: Follower,
        config: CaptureConfig,
        inbox: Receiver<Command>,
        watch: Watch,
        status: Arc<Mutex<CaptureStatus>>,
        (catch_ups, notice): (u32, Option<ErrorReport>),
        pulse: Pulse,
    ) -> Self {
        let now = Instant::now();
        Self {
            follower,
            config,
            inbox,
            watch,
            status,
            sealed: None,
            unsettled: None,
            ready: false,
            force: false,
            failing: None,
            catch_ups,
            notice,
            is_deaf: false,
            hot_until: now,
            last_event: now,
            last_news: now,
            last_probe: now,
            last_tidy: now,
            last_rest: None,
            was_closed: false,
            last_compared: now,
            last_read_back: None,
            released: None,
            pulse,
        }
    }

    /// Works until it is told to stop, or until what it holds open is no longer what the paths name. Then all of it is
    /// closed before that is told, so that it can be opened anew at once.
    pub(super) fn run(mut self) {
        let last = self.work();
        self.publish(Some(last));
        let Self { follower, sealed, inbox, config, status, .. } = self;
        drop((follower, sealed, inbox));
        if last == CaptureState::Released {
            status.lock().unwrap_or_else(PoisonError::into_inner).is_closed = true;
            if let Some(waker) = &config.waker {
                waker();
            }
        }
    }

    fn work(&mut self) -> CaptureState {
        let mut waited = None;
        loop {
            while let Ok(command) = self.inbox.try_recv() {
                if !self.obey(command) {
                    return CaptureState::Off;
                }
            }
            let before = self.follower.writer.logged().commit;
            self.turn();
            self.compare_when_due();
            if self.released.is_some() {
                return CaptureState::Released;
            }
            self.publish(None);
            // An event may be a moment late, but not where looks are rare anyway.
            if waited.is_some_and(|pause| pause >= COLD_PAUSE_MAX) && self.follower.writer.logged().commit > before {
                self.is_deaf = true;
            }
            if self.follower.writer.logged().commit - before >= CROWD && !self.follower.machine.is_pressed() {
                // Fewer, larger syncs leave more of the disk to the writers.
                thread::sleep(CROWD_PAUSE);
            }
            let pause = self.pause();
            let woken = self.wait(pause);
            waited = (!woken).then_some(pause);
            if woken && self.failing.is_none() {
                self.last_event = Instant::now();
                self.hot_until = self.last_event + HOT;
            }
            if pause >= COLD_PAUSE_MAX && self.last_event.elapsed() >= IDLE_LONG {
                self.follower.slim();
            }
        }
    }

    /// Waits as [`Watch::wait`]; what is held open is compared meanwhile.
    fn wait(&mut self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        loop {
            self.pulse.beat();
            self.was_closed |= self.watch.was_closed();
            let left = until.saturating_duration_since(Instant::now());
            let (before, limit) = (Known::now(self.config.clock), left.min(COMPARE));
            if self.watch.wait(limit) {
                return true;
            }
            if !before.is_within(limit + SLACK) {
                // This program was stopped, and what told of commits may come a moment later.
                return true;
            }
            if self.ready && self.failing.is_none() && self.watch.has_events() && !self.is_deaf {
                // Nothing was written to the WAL until now.
                self.follower.known.went_on(self.config.clock);
            }
            if self.watch.was_data_file_closed() && self.released.is_none() {
                self.look_at_what_was_closed();
            }
            if Instant::now() >= until {
                return false;
            }
            self.compare_when_due();
            if self.released.is_some() || self.failing.is_some() {
                return true;
            }
        }
    }

    /// A program has closed the data file, and may have written to it: better looked at now than in a second, when its
    /// application may have begun again.
    fn look_at_what_was_closed(&mut self) {
        self.compare();
        if self.released.is_some() || !self.ready || self.failing.is_some() || !self.follower.may_hide_a_copy() {
            return;
        }
        // The time of a file is told in steps of some milliseconds: its content alone tells a copy that was put in
        // place in such a moment.
        if !self.follower.has_same_page_size() || catch_up::differs(&self.follower).unwrap_or(false) {
            self.meet(Trouble::Replaced(unwritten::changed(&self.config.data_file)));
        }
    }

    fn compare_when_due(&mut self) {
        if self.last_compared.elapsed() >= COMPARE && self.released.is_none() {
            self.compare();
        }
    }

    /// Compares what is held open with what the paths name.
    fn compare(&mut self) {
        self.last_compared = Instant::now();
        let pause = |took: Duration| (took * READ_BACK_SHARE).min(READ_BACK_MAX);
        let is_due = self.last_read_back.is_none_or(|(at, took)| at.elapsed() >= pause(took));
        let is_thorough = is_due && !self.follower.writer.compare().unwrap_or(true);
        let begun = Instant::now();
        let compared = self.follower.compare(is_thorough);
        if is_thorough {
            self.last_read_back = Some((Instant::now(), begun.elapsed()));
        }
        if let Err(trouble) = compared {
            self.meet(trouble);
        }
    }

    fn pause(&self) -> Duration {
        let now = Instant::now();
        match &self.failing {
            Some(failing) => failing.next.saturating_duration_since(now).clamp(HOT_PAUSE, Duration::from_millis(20)),
            None if now < self.hot_until => HOT_PAUSE,
            None if self.follower.machine.is_settled() => {
                let quiet = now.duration_since(self.last_event.max(self.last_news));
                match COLD_PAUSES.iter().find(|(until, _)| quiet < *until) {
                    Some((_, pause)) => *pause,
                    None if self.watch.has_events() && !self.is_deaf => COLD_PAUSE_MAX,
                    None => COLD_PAUSES[1].1,
                }
            }
            None if now.duration_since(self.last_news) < HELD_UP => HOT_PAUSE,
            None => HOT,
        }
    }

    /// One look at the data file. False when there was nothing to do, or it could not be done.
    fn turn(&mut self) -> bool {
        let now = Instant::now();
        if self.released.is_some() {
            // Nothing is begun beside files that are no longer those that were opened.
            return false;
        }
        if self.failing.as_ref().is_some_and(|f| now < f.next) {
            self.watch_for_stall();
            return false;
        }
        let (before, was_ready) = (Known::now(self.config.clock), self.ready);
        let outcome = if self.ready { self.follower.run(Event::Look) } else { self.begin() };
        if was_ready && outcome.is_ok() {
            self.follower.known = before;
        }
        match outcome {
            Ok(Outcome::Worked) => {
                self.failing = None;
                (self.last_news, self.last_rest) = (Instant::now(), None);
                self.hot_until = Instant::now() + HOT;
                true
            }
            Ok(_) => {
                self.failing = None;
                let (quiet, asked) = (now.duration_since(self.last_news), now.duration_since(self.last_probe));
                let is_left = self.was_closed && quiet >= CLOSED;
                if !self.follower.machine.is_settled() && (is_left || quiet >= PROBE && asked >= PROBE) {
                    self.last_probe = now;
                    let full = is_left || quiet >= IDLE && now.duration_since(self.last_tidy) >= IDLE;
                    let outcome = self.follower.run(if full { Event::Tidy } else { Event::Probe });
                    if full {
                        self.last_tidy = now;
                    }
                    // A reader of another program may be in the way: then it is not tried without a pause.
                    self.was_closed &= self.follower.machine.is_settled();
                    if let Err(trouble) = outcome {
                        self.meet(trouble);
                    }
                }
                if self.ready && self.follower.machine.is_settled() {
                    self.rest(quiet);
                }
                false
            }
            Err(trouble) => {
                self.meet(trouble);
                false
            }
        }
    }

    /// Leaves a data file at rest that nobody else has open any more.
    fn rest(&mut self, quiet: Duration) {
        // An open cut holds its snapshot, which needs the WAL.
        if self.follower.machine.is_at_rest() || self.sealed.is_some() {
            self.was_closed = false;
            return;
        }
        let is_due = self.last_rest.map_or(quiet >= IDLE, |at| at.elapsed() >= REST);
        let is_left = self.was_closed && quiet >= CLOSED;
        if !is_due && !is_left {
            return;
        }
        (self.last_rest, self.was_closed) = (Some(Instant::now()), false);
        if let Err(trouble) = self.follower.run(Event::Rest) {
            // That something is in the way costs nothing; what is no longer what was opened must be told.
            match trouble {
                Trouble::Other(_) => {}
                trouble => self.meet(trouble),
            }
        }
    }

    fn begin(&mut self) -> Result<Outcome, Trouble> {
        let before = Known::now(self.config.clock);
        let outcome = catch_up::start(&mut self.follower, &self.config, self.force)?;
        if !matches!(outcome, catch_up::Outcome::Resumed) {
            // The data file was looked at as a whole.
            self.follower.known = before;
        }
        if matches!(outcome, catch_up::Outcome::CaughtUp(_)) {
            self.catch_ups += 1;
        } else if self.config.released.as_ref().is_some_and(|released| released.kind == ErrorKind::Changed) {
            // Only its owner, its permissions or its links were changed: the content is what it was.
            self.notice = None;
        }
        // Another start compares only for a reason of its own.
        self.config.released = None;
        (self.ready, self.force) = (true, false);
        Ok(Outcome::Worked)
    }

    fn meet(&mut self, trouble: Trouble) {
        let has_failed_for = self.failing.as_ref().map(|failing| failing.pause);
        let is_lasting = match &trouble {
            Trouble::Chain(_) => !self.ready && has_failed_for.is_some(),
            // What was opened while it could not be written stays so until all that have it open have closed it.
            Trouble::Other(_) if self.follower.pins.require_written_index().is_err() => true,
            // SQLite keeps pages in memory for as long as nobody commits, also those of a file that was just being
            // overwritten.
            Trouble::Other(error) if error.kind() == ErrorKind::Sqlite => {
                has_failed_for.is_some_and(|pause| pause >= STALE_MAX)
            }
            _ => false,
        };
        // SQLite fails in many ways on a file that was replaced or overwritten under it; that is the cause to tell.
        let trouble = match trouble {
            Trouble::Replaced(_) | Trouble::Log(_) => trouble,
            trouble => match self.follower.compare(false) {
                Err(cause @ Trouble::Replaced(_)) => cause,
                // Whoever may be able to mend the file needs it for himself.
                _ if is_lasting => Trouble::Replaced(trouble.into_error()),
                _ => trouble,
            },
        };
        tracing::warn!(error = %trouble.error(), log = %shown(&self.config.log), "the log was interrupted");
        let (error, pause) = match trouble {
            Trouble::Replaced(error) => {
                self.ready = false;
                if self.released.is_none() && self.sealed.is_none() {
                    self.follower.part_with_wal(&error);
                }
                self.released.get_or_insert(error);
                return;
            }
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
        if !self.ready {
            // Nothing is protected by a pin that belongs to no logged place.
            self.follower.let_go();
        }
        self.failing = Some(Failing { error, pause, next: Instant::now() + pause });
    }

    /// While the log cannot be written, the pins hold the WAL back; not without end, and never a waiting application.
    fn watch_for_stall(&mut self) {
        let is_full = self.follower.wal_bytes() > self.config.wal_bytes_max;
        // What fails here fails in the next attempt too, and is reported there.
        let _ = self.follower.run(Event::Stall { is_full });
        self.ready &= self.follower.machine.has_pins();
    }
}
