//! What the thread of the capture is asked for, and what it tells of itself.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::Sender;
use uuid::Uuid;

use super::{HOT_PAUSE, Service, Unsettled};
use crate::{
    error::{Error, ErrorKind, Result},
    journal::{
        follow::Trouble,
        format::{LogHeader, Position, VERSION},
        jumps, next_path,
        pin_machine::{Event, Outcome},
        rest, rotate,
        status::{CaptureState, CaptureStatus},
        writer::{BLANK_MAX, LogWriter},
    },
    sqlite::{ffi, snapshot::Snapshot},
    storage::Ownership,
};

/// What fails for a shorter time is tried again without a word.
const SHORT: Duration = Duration::from_millis(100);

pub(in crate::journal) type Begin = Box<dyn FnOnce() -> Result<Snapshot> + Send>;

/// What the thread is asked for.
pub(in crate::journal) enum Command {
    Flush(Sender<Result<Position>>),
    Cut(u32, Begin, Sender<Result<(Snapshot, Position)>>),
    /// The answer is whether the log leads to exactly what the backup holds.
    Commit(PathBuf, Option<Vec<u8>>, Sender<Result<bool>>),
    Abandon(Sender<Result<()>>),
    Stop,
}

/// The log does not lead to exactly what the backup holds that was cut from it.
fn not_the_same(archived: &Path) -> Error {
    let message = format!("{} does not lead to exactly what the full backup holds that closed it", archived.display());
    Error::new(ErrorKind::Damaged, message).hint(
        "That backup and everything after it can be restored. What was committed between the backup before and it can \
         be in doubt: somebody wrote to the data file past SQLite, or there is an error in this program; please report \
         it.",
    )
}

impl Service {
    pub(super) fn obey(&mut self, command: Command) -> bool {
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
            Command::Commit(archived, index, reply) => {
                let outcome = self.commit(&archived, index);
                self.publish(None);
                let _ = reply.send(outcome);
            }
            Command::Abandon(reply) => {
                let outcome = self.abandon();
                self.publish(None);
                let _ = reply.send(outcome);
            }
            Command::Stop => {
                // What was committed before the call belongs to the log; what fails now is found again by the next
                // start.
                if self.settle_down().is_ok() && self.ready {
                    self.leave();
                }
                return false;
            }
        }
        true
    }

    /// As the last program that closes the data file, leaves no WAL behind.
    fn leave(&mut self) {
        // Nothing is left beside a log that is no longer where it was.
        if self.follower.compare(false).is_err() {
            return;
        }
        let is_settled = self.follower.machine.is_settled();
        let is_tidied = is_settled || self.follower.run(Event::Tidy).is_ok();
        if is_tidied && self.sealed.is_none() && matches!(self.follower.run(Event::Rest), Ok(Outcome::Worked)) {
            let (tail, stamp) = (*self.follower.writer.logged(), self.follower.settled_stamp());
            // Without the note the next start compares the data file.
            if let Some(stamp) = stamp {
                let _ = rest::note(&self.config.log, &tail, &stamp);
            }
            self.follower.pins.leave();
        }
    }

    /// Logs everything that is committed.
    fn settle_down(&mut self) -> Result<()> {
        // Whoever asks relies on what the paths name at this moment.
        self.compare();
        // Two looks may be needed to begin and to continue; a busy writer must not keep us here.
        for _ in 0..50 {
            if let Some(failing) = &mut self.failing {
                failing.next = Instant::now();
            }
            let worked = self.turn();
            if let Some(error) = &self.released {
                return Err(error.report().into());
            }
            if !worked && self.failing.is_none() {
                return Ok(());
            }
            match &self.failing {
                Some(f) if f.error.kind() == ErrorKind::Busy || !f.pause.is_zero() && !self.ready && self.force => {
                    thread::sleep(HOT_PAUSE);
                }
                Some(f) if !f.pause.is_zero() => {
                    return Err(f.error.report().into());
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn cut(&mut self, number: u32, begin: Begin) -> Result<(Snapshot, Position)> {
        self.settle_cut()?;
        self.settle_down()?;
        if !self.ready {
            return Err(Error::new(ErrorKind::Busy, "the log is not in order yet").hint("Try again in a moment."));
        }
        let snapshot = begin()?;
        // What the archive holds, what the pins protect and what the log was written for must be one and the same file.
        let same = match self.follower.pins.files() {
            Some(files) => files.require_same(snapshot.files(), &self.config.data_file),
            None => Ok(()),
        };
        self.last_compared = Instant::now();
        if let Err(trouble) = same.map_err(Trouble::from).and_then(|()| self.follower.compare(true)) {
            return Err(self.refuse_cut(trouble));
        }
        let at = ffi::wal_position(snapshot.connection(), &self.config.data_file)?;
        if let Err(trouble) = self.follower.run(Event::Cut(at)) {
            return Err(self.refuse_cut(trouble));
        }
        let logged = *self.follower.writer.logged();
        let before = self.follower.writer.header();
        // What leads to this state is known only where the log stands on an archive.
        let mut blank = Vec::new();
        if before.rooted {
            blank = self.follower.pages.changes().blank_now(logged.page_count);
        }
        let is_small = blank.len() <= BLANK_MAX;
        let position = Position {
            log: Some(Uuid::new_v4()),
            epoch: before.base.epoch,
            state: self.follower.kept.now().filter(|_| is_small),
            ..Position::at(number, logged.commit, logged.chain)
        };
        blank.truncate(if is_small { BLANK_MAX } else { 0 });
        let header = LogHeader {
            ignored: Default::default(),
            version: VERSION,
            identity: self.config.identity,
            page_size: self.follower.page_size(),
            base: position,
            rooted: true,
            // A clock that was ahead, and set right, is right from here on.
            created: (self.config.clock)(),
            page_count: logged.page_count,
            mark: self.follower.place(),
        };
        let next = next_path(&self.config.log);
        rotate::put_aside(&self.config.storage, &self.config.log, (self.config.clock)())?;
        let ownership = Ownership::for_content_of(&self.config.data_file);
        let writer = LogWriter::create_with(Arc::clone(&self.config.storage), &next, (header, &blank), ownership)?;
        self.sealed = Some(self.follower.switch_writer(writer));
        self.catch_ups = 0;
        Ok((snapshot, position))
    }

    fn refuse_cut(&mut self, trouble: Trouble) -> Error {
        let report = trouble.error().report();
        self.meet(trouble);
        Error::new(report.kind, report.message).hint("The backup can be started again at once.")
    }

    /// Ends a cut whose backup is over and that could not be ended then: without that, no later backup could cut the
    /// log until the next start.
    fn settle_cut(&mut self) -> Result<()> {
        if self.sealed.is_none() {
            return Ok(());
        }
        match self.unsettled.take() {
            Some(Unsettled::Commit(archived, index)) => self.commit(&archived, index).map(drop),
            Some(Unsettled::Abandon) => self.abandon(),
            None => Err(Error::new(ErrorKind::Refused, "another backup of this data file is running")
                .hint("Wait until it has ended.")),
        }
    }

    fn commit(&mut self, archived: &Path, index: Option<Vec<u8>>) -> Result<bool> {
        let Some(sealed) = &mut self.sealed else { return Err(Error::new(ErrorKind::Refused, "no cut is open")) };
        if let Some(index) = &index {
            rotate::note_missing(sealed.put_index(index), &self.config.log);
        }
        if let Err(error) = rotate::archive(&self.config.storage, &self.config.log, archived) {
            let dropped = if index.is_some() { sealed.drop_index() } else { Ok(()) };
            self.unsettled = Some(Unsettled::Commit(archived.to_path_buf(), index.filter(|_| dropped.is_ok())));
            dropped?;
            return Err(error);
        }
        let finished = rotate::finish(&self.config.storage, &self.config.log);
        // Renamed, and only not known to have reached the disk: that is all there is to do.
        if finished.is_err() && next_path(&self.config.log).exists() {
            self.unsettled = Some(Unsettled::Commit(archived.to_path_buf(), None));
            return finished.map(|()| true);
        }
        self.follower.writer.set_path(&self.config.log);
        self.sealed = None;
        let is_same = self.follower.open_table();
        self.notice = (!is_same).then(|| not_the_same(archived).report());
        finished.map(|()| is_same)
    }

    fn abandon(&mut self) -> Result<()> {
        let Some(mut sealed) = self.sealed.take() else { return Ok(()) };
        match rotate::take_back(&mut sealed, &next_path(&self.config.log)) {
            Ok(()) => {
                self.follower.rejoin(sealed);
                Ok(())
            }
            Err(error) => {
                (self.sealed, self.unsettled) = (Some(sealed), Some(Unsettled::Abandon));
                Err(error)
            }
        }
    }

    pub(super) fn publish(&mut self, state: Option<CaptureState>) {
        let writer = &self.follower.writer;
        let state = state.unwrap_or(match (&self.failing, self.ready) {
            (None, true) => CaptureState::On,
            (None, false) => CaptureState::Starting,
            // A failure so short is none. Before the log is level with the data file, it is not on for that.
            (Some(f), true) if f.pause < SHORT => CaptureState::On,
            (Some(f), false) if f.pause < SHORT => CaptureState::Starting,
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
            last_commit: (logged.commit > writer.header().base.commit).then_some(logged.wall),
            ahead: jumps::ahead(logged),
            commits: logged.commit - writer.header().base.commit,
            rooted: writer.header().rooted,
            wal_bytes: self.follower.wal_bytes(),
            held_back_since: self.follower.held_back,
            catch_ups: self.catch_ups,
            recoveries: self.follower.recoveries,
            lacking: self.follower.lacking.clone(),
            error: match (&self.released, &self.failing) {
                (Some(error), _) => Some(error.report()),
                (None, Some(f)) if state != CaptureState::On => Some(f.error.report()),
                _ => self.notice.clone(),
            },
            is_closed: false,
        };
        if *held != status {
            let is_news = (held.state, &held.error) != (status.state, &status.error);
            *held = status;
            drop(held);
            // What is released is told when it is closed.
            let is_news = is_news && state != CaptureState::Released;
            if let Some(waker) = self.config.waker.as_ref().filter(|_| is_news) {
                waker();
            }
        }
    }
}
