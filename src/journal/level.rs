//! Keeping the WAL small without stopping anyone for long.
//!
//! Our pins keep the application's own checkpoints from ending, so that work is done here: beside the capture when the
//! WAL has grown by some frames, at once when nobody writes, and with writers kept out for some milliseconds when they
//! write without any pause.

use std::{
    thread,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};

use super::follow::{Follower, Trouble};
use crate::sqlite::{ffi::WalPosition, locks};

/// Frames after which the data file is brought up to date.
const SOFT_LIMIT: u32 = 800;
/// Frames between two such times, while writers are too busy for the WAL to begin anew.
const SOFT_STEP: u32 = 2_000;
/// Frames, and bytes, after which writers are kept out for a moment.
const HARD_LIMIT: u32 = 9_500;
const HARD_LIMIT_BYTES: u32 = 38 << 20;
/// By which part more than that even what is not read yet is read while writers are kept out: they write faster than
/// that.
const URGENT: u32 = 4;
/// Frames that the capture may be ahead of the data file for writers to be kept out; else it is copied once more
/// before.
const NEAR: u32 = 700;
/// Times it is copied once more.
const COPIES: u32 = 4;
/// How long the hard limit waits for the write lock before it goes on reading.
const WRITE_LOCK_WAIT: Duration = Duration::from_millis(3);
/// The same when it is urgent: writers without a pause leave few gaps.
const URGENT_WAIT: Duration = Duration::from_millis(20);
/// How long writers are kept out at most, while another checkpoint ends.
const LOCKED_MAX: Duration = Duration::from_millis(50);
/// How long writers are kept out at most for a reader that may only be passing.
const PASSING_MAX: Duration = Duration::from_millis(8);
/// How long an older pin is held alone for a waiting checkpointer: its busy handler looks every 25 ms at first, later
/// every 100 ms.
const YIELD_FIRST: Duration = Duration::from_millis(30);
const YIELD: Duration = Duration::from_millis(115);
/// A checkpointer that was there so short a time ago is probably the same.
const YIELD_AGAIN: Duration = Duration::from_secs(1);

/// How far the WAL has grown, and at how many frames something is done about it next.
#[derive(Debug)]
pub(super) struct Growth {
    /// Pinned by lock 0, everything captured and in the data file.
    pub(super) level: bool,
    /// The WAL held nothing at the last look: there is nothing to copy and nothing to hold up.
    pub(super) empty: bool,
    tidied_at: u32,
    /// Up to which frame the data file is being brought up to date, and how often in succession that was too late.
    copied: u32,
    copies: u32,
    hard_limit: u32,
    hard_limit_next: u32,
    gave_way: Option<Instant>,
    /// Since when a reader of another program keeps the WAL from beginning anew.
    pub(super) held_back: Option<DateTime<Utc>>,
}

impl Growth {
    pub(super) fn new(page_size: u32) -> Self {
        let hard_limit = HARD_LIMIT.min(HARD_LIMIT_BYTES / page_size.max(1));
        let hard_limit_next = hard_limit;
        Self {
            level: false,
            empty: false,
            tidied_at: 0,
            copied: 0,
            copies: 0,
            hard_limit,
            hard_limit_next,
            gave_way: None,
            held_back: None,
        }
    }

    /// The WAL begins anew.
    pub(super) fn begin_anew(&mut self) {
        let (hard_limit, gave_way) = (self.hard_limit, self.gave_way);
        *self = Self { hard_limit, hard_limit_next: hard_limit, gave_way, ..Self::new(1) };
    }

    fn urgent(&self) -> u32 {
        self.hard_limit_next.saturating_add(self.hard_limit / URGENT)
    }
}

impl Follower {
    /// Whether there is nothing to do until the next commit.
    pub(super) fn is_settled(&self) -> bool {
        self.growth.level || self.growth.empty
    }

    /// Whether the WAL has grown so far that the next look may not wait.
    pub(super) fn is_pressed(&self) -> bool {
        self.mark.frame >= self.growth.hard_limit
    }

    /// Before everything up to `to` is read: where that is too far ahead, keeps writers out until
    /// [`keep_small`](Self::keep_small).
    pub(super) fn keep_out(&mut self, to: &WalPosition) -> Result<bool, Trouble> {
        Ok(to.frame_max >= self.growth.urgent() && self.pins.lock_writers(URGENT_WAIT)?)
    }

    /// After commits were logged: does something about the size of the WAL when it is time. `kept_out` says that
    /// writers are waiting.
    pub(super) fn keep_small(&mut self, kept_out: bool) -> Result<(), Trouble> {
        let (frame, tidied) = (self.mark.frame, self.growth.tidied_at);
        let logged = u64::from(frame) * u64::from(self.page_size());
        self.pins.watch_size(Some(logged).filter(|_| frame >= SOFT_LIMIT))?;
        if kept_out || self.pins.are_writers_kept_out() {
            return self.level_and_let_go();
        }
        if self.pins.is_copying() {
            return Ok(());
        }
        if frame >= self.growth.hard_limit_next {
            if frame > self.growth.copied.saturating_add(NEAR) && self.growth.copies < COPIES {
                // The less is left to copy, the shorter writers are kept out.
                self.pins.keep_newest(1);
                return self.copy_behind();
            }
            return if self.pins.lock_writers(WRITE_LOCK_WAIT)? { self.level_and_let_go() } else { Ok(()) };
        }
        if frame >= tidied.saturating_add(SOFT_STEP).max(SOFT_LIMIT) || tidied < SOFT_LIMIT && frame >= SOFT_LIMIT {
            return self.tidy(false);
        }
        Ok(())
    }

    fn copy_behind(&mut self) -> Result<(), Trouble> {
        self.growth.copied = self.mark.frame;
        self.growth.copies += 1;
        Ok(self.pins.copy_behind()?)
    }

    /// Brings the data file up to date, then goes level if nobody commits meanwhile. `quiet` says that there was
    /// nothing to read: then a busy answer means that a checkpointer may wait for us, and there is time to wait for the
    /// disk.
    pub(super) fn tidy(&mut self, quiet: bool) -> Result<(), Trouble> {
        if self.growth.level || self.pins.count() == 0 || self.pins.is_copying() {
            return Ok(());
        }
        self.growth.tidied_at = self.mark.frame;
        if quiet {
            // A copy may be put over the data file at any moment, where its application has ended: between the last
            // look at it and the last page that is copied into it there shall be no wait for a disk.
            self.pins.sync_wal()?;
        }
        let first = self.pins.checkpoint()?;
        if first.busy {
            self.growth.tidied_at = self.mark.frame.saturating_sub(SOFT_STEP * 3 / 4);
            return if quiet { self.give_way() } else { Ok(()) };
        }
        if first.backfilled < first.frames {
            self.pins.keep_newest(1);
            if !quiet {
                // Writers go on meanwhile, and so must the capture.
                self.copy_behind()?;
                self.growth.copies = 0;
                return Ok(());
            }
            // A pin that found all slots taken shares an older mark, and only up to that is copied: a new one may not.
            self.take_and_absorb()?;
            self.pins.keep_newest(1);
            self.pins.checkpoint()?;
        }
        let level = self.go_level()?;
        self.note_held_back(level);
        Ok(())
    }

    /// When all our pins stand at the end and not everything could be copied, someone else holds an older state.
    fn note_held_back(&mut self, level: bool) {
        let last = self.mark.frame;
        if level {
            self.growth.held_back = None;
        } else if self.growth.held_back.is_none() && self.pins.backfill().is_ok_and(|now| now.backfilled < last) {
            self.growth.held_back = Some((self.clock)());
        }
    }

    /// Replaces the pins by one on lock 0, when everything is captured and in the data file.
    fn go_level(&mut self) -> Result<bool, Trouble> {
        let now = self.pins.backfill()?;
        if now.frames != self.mark.frame || now.backfilled != now.frames {
            return Ok(false);
        }
        if self.pins.count() > 2 {
            self.pins.keep_newest(2);
        }
        let seen = self.pins.take(true)?;
        if self.is_at(seen.as_ref()) && seen.is_some_and(|s| s.frame_max == self.mark.frame) {
            self.pins.keep_newest(1);
            self.growth.level = true;
            self.pins.watch_size(None)?;
        } else {
            self.pins.release_newest();
        }
        Ok(self.growth.level)
    }

    /// Leaves the data file as if nobody had it open, when nobody else has: everything in it, the WAL empty, and an
    /// index that remembers nothing. Then another file can be copied or moved over it while the application is stopped,
    /// as if this program were not there. The pin stays, so that no commit is missed. Whether that was done.
    pub(super) fn rest(&mut self) -> Result<bool, Trouble> {
        if self.is_at_rest {
            return Ok(true);
        }
        if !self.is_settled() || locks::is_open_elsewhere(&self.path) != Some(false) {
            return Ok(false);
        }
        self.compare(false)?;
        if !self.pins.empty_wal()? {
            return Ok(false);
        }
        let Some(counter) = self.pins.forget_page_count(WRITE_LOCK_WAIT)? else { return Ok(false) };
        self.begin_with_an_empty_wal(counter);
        Ok(true)
    }

    /// Looks whether a checkpointer of the application waits for one of our pins. It copies nothing as a rule: the
    /// oldest pin stands where the last checkpoint ended.
    pub(super) fn probe(&mut self) -> Result<(), Trouble> {
        if self.pins.count() == 0 || self.pins.is_copying() {
            return Ok(());
        }
        if self.pins.checkpoint()?.busy { self.give_way() } else { Ok(()) }
    }

    /// A checkpointer of the application may wait for one of our pins, and keeps writers out as long.
    fn give_way(&mut self) -> Result<(), Trouble> {
        // It has copied everything and waits for readers to leave the WAL.
        if self.go_level()? || self.pins.count() < 2 {
            return Ok(());
        }
        // It waits for a slot that it saw with an older mark and that our newer pin has taken since.
        self.pins.release_newest();
        let since = Instant::now();
        let again = self.growth.gave_way.is_some_and(|at| at.elapsed() < YIELD_AGAIN);
        self.growth.gave_way = Some(since);
        while since.elapsed() < if again { YIELD } else { YIELD_FIRST } {
            thread::sleep(Duration::from_millis(1));
            let now = self.pins.checkpoint()?;
            if !now.busy {
                break;
            }
        }
        let seen = self.pins.take(false)?;
        match seen {
            // Whoever got the write lock meanwhile has committed: that pin protects it until it is read.
            Some(to) if !self.is_at(Some(&to)) => {
                if let Err(trouble) = self.absorb(&to) {
                    self.pins.release_newest();
                    return Err(trouble);
                }
            }
            _ => {}
        }
        self.pins.keep_newest(1);
        Ok(())
    }

    /// Goes level while writers are kept out, and lets them go on.
    fn level_and_let_go(&mut self) -> Result<(), Trouble> {
        self.growth.tidied_at = self.mark.frame;
        let outcome = self.level_while_locked();
        self.pins.let_writers_in();
        self.note_held_back(self.growth.level || !matches!(outcome, Ok(false)));
        if !self.growth.level {
            // When nobody else was checkpointing, a long reader of another program holds the WAL: asking again soon
            // would only disturb.
            let more = if matches!(outcome, Ok(true)) { SOFT_LIMIT } else { self.growth.hard_limit };
            self.growth.hard_limit_next = self.mark.frame.saturating_add(more);
            self.growth.copies = 0;
        }
        outcome.map(|_| ())
    }

    /// Takes a further pin and logs everything up to it. False before an empty WAL.
    fn take_and_absorb(&mut self) -> Result<bool, Trouble> {
        self.pins.keep_newest(2);
        let Some(to) = self.pins.take(false)? else { return Ok(false) };
        if let Err(trouble) = self.absorb(&to) {
            self.pins.release_newest();
            return Err(trouble);
        }
        // One connection stays free for the next look.
        self.pins.keep_ends();
        Ok(true)
    }

    /// Whether another checkpoint was in the way until the end.
    fn level_while_locked(&mut self) -> Result<bool, Trouble> {
        let since = Instant::now();
        let mut passing = None;
        loop {
            // A pin that found all other slots taken shares an older mark, and only up to that is copied: a new one may
            // not.
            if !self.take_and_absorb()? {
                return Ok(false);
            }
            self.pins.keep_newest(1);
            let busy = self.pins.checkpoint()?.busy;
            // The automatic checkpoint of an application may be under way, or our own; nobody begins another one now.
            // Or a writer that waits for its turn holds the WAL for a moment with an older mark.
            let since = if busy { since } else { *passing.get_or_insert_with(Instant::now) };
            if self.go_level()? || since.elapsed() >= if busy { LOCKED_MAX } else { PASSING_MAX } {
                return Ok(busy);
            }
            thread::sleep(Duration::from_micros(200));
        }
    }
}
