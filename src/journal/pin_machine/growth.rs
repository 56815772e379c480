//! Keeping the WAL small without stopping anyone for long.
//!
//! Our pins keep the application's own checkpoints from ending, so that work is done here: beside the capture when the
//! WAL has grown by some frames, at once when nobody writes, and with writers kept out for some milliseconds when they
//! write without any pause.

use std::time::Duration;

use super::{Ask, Checkpoint, Event, Gate, Order, Phase, PinMachine, Then, WRITE_LOCK_WAIT};

/// How long writers are kept out at most, while another checkpoint ends.
const LOCKED_MAX: Duration = Duration::from_millis(50);
/// How long writers are kept out at most for a reader that may only be passing.
const PASSING_MAX: Duration = Duration::from_millis(8);
/// How often it is tried meanwhile to go level.
const LOCKED_PAUSE: Duration = Duration::from_micros(200);
/// How long an older pin is held alone for a waiting checkpointer: its busy handler looks every 25 ms at first, later
/// every 100 ms.
const YIELD_FIRST: Duration = Duration::from_millis(30);
const YIELD: Duration = Duration::from_millis(115);
const YIELD_PAUSE: Duration = Duration::from_millis(1);
/// A checkpointer that was there so short a time ago is probably the same.
const YIELD_AGAIN: Duration = Duration::from_secs(1);
/// By which part more than the hard limit even what is not read yet is read while writers are kept out: they write
/// faster than that.
const URGENT: u32 = 4;

/// At how many frames something is done about the size of the WAL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::journal) struct Limits {
    /// Frames after which the data file is brought up to date.
    pub(in crate::journal) soft: u32,
    /// Frames between two such times, while writers are too busy for the WAL to begin anew.
    pub(in crate::journal) step: u32,
    /// Frames after which writers are kept out for a moment.
    pub(in crate::journal) hard: u32,
    /// Frames that the capture may be ahead of the data file for writers to be kept out; else it is copied once more
    /// before.
    pub(in crate::journal) near: u32,
    /// Times it is copied once more.
    pub(in crate::journal) copies: u32,
}

impl Limits {
    /// For pages of that size.
    pub(in crate::journal) fn of(page_size: u32) -> Self {
        Self { soft: 800, step: 2_000, hard: 9_500.min((38 << 20) / page_size.max(1)), near: 700, copies: 4 }
    }
}

/// How far the WAL has grown, and at how many frames something is done about it next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Growth {
    pub(super) limits: Limits,
    /// Pinned by lock 0, everything captured and in the data file.
    pub(super) is_level: bool,
    /// The WAL held nothing at the last look: there is nothing to copy and nothing to hold up.
    pub(super) is_empty: bool,
    tidied_at: u32,
    /// Up to which frame the data file is being brought up to date, and how often in succession that was too late.
    copied: u32,
    copies: u32,
    hard_next: u32,
    gave_way: Option<Duration>,
    /// Whether a reader of another program keeps the WAL from beginning anew.
    is_held_back: bool,
}

impl Growth {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            is_level: false,
            is_empty: false,
            tidied_at: 0,
            copied: 0,
            copies: 0,
            hard_next: limits.hard,
            gave_way: None,
            is_held_back: false,
        }
    }

    /// The WAL begins anew.
    pub(super) fn begin_anew(&mut self) {
        *self = Self { gave_way: self.gave_way, ..Self::new(self.limits) };
    }

    pub(super) fn urgent(&self) -> u32 {
        self.hard_next.saturating_add(self.limits.hard / URGENT)
    }

    pub(super) fn is_pressed(&self, frame: u32) -> bool {
        frame >= self.limits.hard
    }
}

/// Why a further pin is taken and everything up to it logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Fresh {
    Tidy,
    KeptOut,
}

/// What goes on after it was tried to go level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum After {
    Tidy,
    GiveWay,
    /// Whether another checkpoint was under way.
    KeptOut(bool),
}

impl PinMachine {
    pub(super) fn after_growth(&mut self, now: Duration, phase: Phase, event: Event) -> Then {
        let frame = self.place.mark.frame;
        match (phase, event) {
            (Phase::Watching, Event::Done) => self.ask(Phase::Growing, Ask::LookBeside),
            (Phase::Growing, Event::Beside { is_shut: true, .. }) => self.keep_out(now),
            (Phase::Growing, Event::Beside { is_copying: true, .. }) => self.end(),
            (Phase::Growing, Event::Beside { .. }) => self.keep_small(),
            (Phase::Locking, Event::Answer(true)) => self.keep_out(now),
            (Phase::TidyingBeside, Event::Beside { is_copying: false, .. }) => {
                self.growth.tidied_at = frame;
                // A copy may be put over the data file at any moment, where its application has ended: between the last
                // look at it and the last page that is copied into it there shall be no wait for a disk.
                self.ask(Phase::SyncingWal, Ask::SyncWal)
            }
            (Phase::SyncingWal, Event::Done) => self.ask(Phase::Tidying { is_quiet: true }, Ask::Checkpoint),
            (Phase::Tidying { is_quiet }, Event::Copied(copied)) => self.tidied(copied, is_quiet),
            (Phase::TidyingAgain, Event::Copied(_)) => self.go_level(After::Tidy),

            (Phase::Fresh(fresh), Event::Taken(at)) => {
                self.pins += 1;
                match at {
                    None => self.fresh(fresh, false),
                    Some(to) if self.place.is_at(at.as_ref()) => {
                        self.place.take_counter(Some(&to));
                        self.fresh(fresh, true)
                    }
                    Some(to) => self.absorb(Phase::FreshAbsorbing(fresh), to),
                }
            }
            (Phase::FreshAbsorbing(fresh), Event::Done) => self.fresh(fresh, true),

            // Writers were let in, because it took too long: they have their turn, and it is tried again soon.
            (Phase::Levelling(After::KeptOut(_)), Event::Copied(far)) if far.frames > frame => {
                self.let_in(Some(true));
                self.end()
            }
            (Phase::Levelling(after), Event::Copied(far)) => {
                if far.frames != frame || far.backfilled != far.frames {
                    return self.levelled(now, after, false);
                }
                self.keep_newest(2);
                self.ask(Phase::Plain(after), Ask::Take { plain: true })
            }
            (Phase::Plain(after), Event::Taken(seen)) => {
                self.pins += 1;
                if self.place.is_at(seen.as_ref()) && seen.is_some_and(|seen| seen.frame_max == frame) {
                    self.keep_newest(1);
                    self.growth.is_level = true;
                    self.order(Order::WatchNoMore);
                } else {
                    self.release_newest();
                }
                let is_level = self.growth.is_level;
                self.levelled(now, after, is_level)
            }
            (Phase::HeldBack, Event::Copied(far)) => {
                if far.backfilled < frame {
                    self.growth.is_held_back = true;
                    self.order(Order::NoteHeldBack(true));
                }
                self.end()
            }

            (Phase::ProbingBeside, Event::Beside { is_copying: false, .. }) => {
                self.ask(Phase::Probing, Ask::Checkpoint)
            }
            (Phase::Probing, Event::Copied(Checkpoint { busy: true, .. })) => self.go_level(After::GiveWay),
            (Phase::Yielding { since, limit }, Event::Done) => {
                self.ask(Phase::YieldingCheckpoint { since, limit }, Ask::Checkpoint)
            }
            (Phase::YieldingCheckpoint { since, limit }, Event::Copied(copied)) => {
                if copied.busy && now.saturating_sub(since) < limit {
                    return self.ask(Phase::Yielding { since, limit }, Ask::Pause(YIELD_PAUSE));
                }
                self.ask(Phase::Returning, Ask::Take { plain: false })
            }
            (Phase::Returning, Event::Taken(seen)) => {
                self.pins += 1;
                match seen {
                    // Whoever got the write lock meanwhile has committed: that pin protects it until it is read.
                    Some(to) if !self.place.is_at(Some(&to)) => self.absorb(Phase::ReturnAbsorbing, to),
                    _ => self.gave_way(),
                }
            }
            (Phase::ReturnAbsorbing, Event::Done) => self.gave_way(),

            (Phase::KeptOut, Event::Copied(copied)) => {
                // The automatic checkpoint of an application may be under way, or our own; nobody begins another one
                // now. Or a writer that waits for its turn holds the WAL for a moment with an older mark.
                if let Some(gate) = self.gate.as_mut().filter(|_| !copied.busy) {
                    gate.passing.get_or_insert(now);
                }
                self.go_level(After::KeptOut(copied.busy))
            }
            (Phase::KeptOutPause, Event::Done) => self.take_fresh(Fresh::KeptOut),
            // What was asked is not so, or it goes on beside.
            _ => self.end(),
        }
    }

    /// After commits were logged: does something about the size of the WAL when it is time, and at once where writers
    /// are waiting.
    pub(super) fn grown(&mut self) -> Then {
        let frame = self.place.mark.frame;
        if frame >= self.growth.limits.soft {
            return self.ask(Phase::Watching, Ask::Watch(frame));
        }
        self.order(Order::WatchNoMore);
        self.ask(Phase::Growing, Ask::LookBeside)
    }

    fn keep_small(&mut self) -> Then {
        let (frame, growth) = (self.place.mark.frame, self.growth);
        let limits = growth.limits;
        if frame >= growth.hard_next {
            if frame > growth.copied.saturating_add(limits.near) && growth.copies < limits.copies {
                // The less is left to copy, the shorter writers are kept out.
                self.keep_newest(1);
                return self.copy_behind(growth.copies + 1);
            }
            return self.ask(Phase::Locking, Ask::LockWriters(WRITE_LOCK_WAIT));
        }
        let is_first = growth.tidied_at < limits.soft;
        let next = if is_first { limits.soft } else { growth.tidied_at.saturating_add(limits.step) };
        if frame < next || growth.is_level {
            return self.end();
        }
        self.growth.tidied_at = frame;
        self.ask(Phase::Tidying { is_quiet: false }, Ask::Checkpoint)
    }

    fn copy_behind(&mut self, copies: u32) -> Then {
        (self.growth.copied, self.growth.copies) = (self.place.mark.frame, copies);
        self.ask(Phase::CopyingBehind, Ask::CopyBehind)
    }

    /// A checkpoint ended that brings the data file up to date, to go level if nobody commits meanwhile. `is_quiet`
    /// says that there was nothing to read: then a busy answer means that a checkpointer may wait for us, and there is
    /// time to wait for the disk.
    fn tidied(&mut self, copied: Checkpoint, is_quiet: bool) -> Then {
        if copied.busy {
            self.growth.tidied_at = self.place.mark.frame.saturating_sub(self.growth.limits.step * 3 / 4);
            return if is_quiet { self.go_level(After::GiveWay) } else { self.end() };
        }
        if copied.backfilled >= copied.frames {
            return self.go_level(After::Tidy);
        }
        self.keep_newest(1);
        if is_quiet {
            // A pin that found all slots taken shares an older mark, and only up to that is copied: a new one may not.
            self.take_fresh(Fresh::Tidy)
        } else {
            // Writers go on meanwhile, and so must the capture.
            self.copy_behind(0)
        }
    }

    /// Takes a further pin and logs everything up to it.
    fn take_fresh(&mut self, fresh: Fresh) -> Then {
        self.keep_newest(2);
        self.ask(Phase::Fresh(fresh), Ask::Take { plain: false })
    }

    /// Everything up to a further pin is logged; or the WAL is empty.
    fn fresh(&mut self, fresh: Fresh, is_there: bool) -> Then {
        match fresh {
            Fresh::KeptOut if !is_there => {
                self.let_in(Some(false));
                self.note_held_back(false)
            }
            Fresh::KeptOut => {
                self.keep_newest(1);
                self.ask(Phase::KeptOut, Ask::Checkpoint)
            }
            Fresh::Tidy => {
                self.keep_newest(1);
                self.ask(Phase::TidyingAgain, Ask::Checkpoint)
            }
        }
    }

    /// Replaces the pins by one on lock 0, when everything is captured and in the data file.
    fn go_level(&mut self, after: After) -> Then {
        self.ask(Phase::Levelling(after), Ask::HowFar)
    }

    fn levelled(&mut self, now: Duration, after: After, is_level: bool) -> Then {
        match after {
            After::Tidy => self.note_held_back(is_level),
            // It has copied everything and waits for readers to leave the WAL.
            After::GiveWay if is_level => self.end(),
            After::GiveWay => self.give_way(now),
            After::KeptOut(is_busy) => {
                let gate = self.gate.unwrap_or(Gate { since: now, passing: None });
                let (since, max) = match gate.passing.filter(|_| !is_busy) {
                    Some(passing) => (passing, PASSING_MAX),
                    None => (gate.since, LOCKED_MAX),
                };
                if !is_level && now.saturating_sub(since) < max {
                    return self.ask(Phase::KeptOutPause, Ask::Pause(LOCKED_PAUSE));
                }
                self.let_in(Some(is_busy));
                self.note_held_back(is_level || is_busy)
            }
        }
    }

    /// When all our pins stand at the end and not everything could be copied, someone else holds an older state.
    fn note_held_back(&mut self, is_level: bool) -> Then {
        if is_level {
            self.growth.is_held_back = false;
            self.order(Order::NoteHeldBack(false));
        } else if !self.growth.is_held_back {
            return self.ask(Phase::HeldBack, Ask::HowFar);
        }
        self.end()
    }

    /// A checkpointer of the application may wait for one of our pins, and keeps writers out as long. It waits for lock
    /// 0, or for a slot that it saw with an older mark: that of the oldest pin, or one that a newer pin has taken
    /// since. The oldest is held alone until the checkpointer has looked again; then a new pin takes the place of the
    /// oldest.
    fn give_way(&mut self, now: Duration) -> Then {
        if self.pins > 1 {
            self.release_newest();
        }
        let is_same = self.growth.gave_way.is_some_and(|at| now.saturating_sub(at) < YIELD_AGAIN);
        self.growth.gave_way = Some(now);
        let limit = if is_same { YIELD } else { YIELD_FIRST };
        self.ask(Phase::Yielding { since: now, limit }, Ask::Pause(YIELD_PAUSE))
    }

    fn gave_way(&mut self) -> Then {
        self.keep_newest(1);
        self.end()
    }

    /// Goes level while writers are kept out.
    fn keep_out(&mut self, now: Duration) -> Then {
        self.growth.tidied_at = self.place.mark.frame;
        self.gate = Some(Gate { since: now, passing: None });
        self.take_fresh(Fresh::KeptOut)
    }

    /// Lets writers go on. `is_busy` says whether another checkpoint was in the way until the end; it is not known
    /// after a failure.
    pub(super) fn let_in(&mut self, is_busy: Option<bool>) {
        self.gate = None;
        self.order(Order::LetWritersIn);
        if is_busy.is_none() {
            self.growth.is_held_back = false;
            self.order(Order::NoteHeldBack(false));
        }
        if !self.growth.is_level {
            // When nobody else was checkpointing, a long reader of another program holds the WAL: asking again soon
            // would only disturb.
            let more = if is_busy == Some(true) { self.growth.limits.soft } else { self.growth.limits.hard };
            self.growth.hard_next = self.place.mark.frame.saturating_add(more);
            self.growth.copies = 0;
        }
    }
}
