//! The protocol of the pins: which read transaction is taken and released when, and when frames are copied into the
//! data file. A pure value: it is told what happened, and says what to do next.
//!
//! The [follower](super::follow) does what it says, with SQLite and the disk. The same value is driven by a model of
//! SQLite in which other programs act between any two steps (`pin_machine/model.rs`), so that what is proved there is
//! what runs. The rules:
//!
//! - There is always a pin. An older one is released only after everything up to a newer one is logged, that is,
//!   synced; a newer one only together with what it would have protected.
//! - The oldest stays where it is between our own checkpoints, so that the application's own automatic checkpoints,
//!   limited by it, find nothing to do; if it followed every commit, every commit of a busy application would copy and
//!   sync a few frames.
//! - Nobody waits for a pin without end: when the checkpoint lock is taken, the pins move.
//! - Writers that are kept out may be let in at any moment, because their time has come. Nothing relies on it that they
//!   still are.

mod growth;
#[cfg(test)]
mod model;
mod place;
mod talk;

use std::time::Duration;

pub(super) use growth::Limits;
use growth::{After, Fresh, Growth};
pub(super) use place::Place;
pub(super) use talk::{Actions, Ask, Checkpoint, Event, First, Order, Outcome, Then};

use crate::sqlite::{wal::WalMark, wal_index::WalPosition};

/// How long the hard limit waits for the write lock before it goes on reading.
const WRITE_LOCK_WAIT: Duration = Duration::from_millis(3);
/// The same when it is urgent: writers without a pause leave few gaps.
const URGENT_WAIT: Duration = Duration::from_millis(20);
/// While the log cannot be written, how long an application's checkpointer may wait for our pins.
const STALL_MAX: Duration = Duration::from_millis(150);

/// What the machine waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Idle,
    Starting,
    Counting,
    Looking,
    LookingAtFile(Option<WalPosition>),
    LookingAtWal(Option<WalPosition>),
    LookingBeside,
    KeepingOut(WalPosition),
    Absorbing,
    Cutting,
    Watching,
    Growing,
    Locking,
    CopyingBehind,
    TidyingBeside,
    SyncingWal,
    Tidying { is_quiet: bool },
    TidyingAgain,
    Fresh(Fresh),
    FreshAbsorbing(Fresh),
    Levelling(After),
    Plain(After),
    HeldBack,
    ProbingBeside,
    Probing,
    Yielding { since: Duration, limit: Duration },
    YieldingCheckpoint { since: Duration, limit: Duration },
    Returning,
    ReturnAbsorbing,
    KeptOut,
    KeptOutPause,
    Alone,
    Comparing,
    Emptying,
    LockingRest,
    Forgetting,
    StallingBeside { is_full: bool },
    Stalling { is_full: bool },
}

/// Since when writers are kept out, and since when only a reader is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Gate {
    since: Duration,
    passing: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct PinMachine {
    /// Everything up to here is logged.
    place: Place,
    /// How many pins are held.
    pins: usize,
    growth: Growth,
    /// Whether the WAL was left empty, and its index without memory, since the last commit.
    is_at_rest: bool,
    /// Since when, while the log cannot be written, a checkpointer of the application has waited.
    busy_since: Option<Duration>,
    gate: Option<Gate>,
    phase: Phase,
    /// Whether commits were logged since the last event from outside.
    worked: bool,
    orders: Vec<Order>,
}

impl PinMachine {
    /// `pins` are held already; everything up to `mark` is logged.
    pub(super) fn new(limits: Limits, mark: WalMark, pins: usize) -> Self {
        Self {
            place: Place::new(mark),
            pins,
            growth: Growth::new(limits),
            is_at_rest: false,
            busy_since: None,
            gate: None,
            phase: Phase::Idle,
            worked: false,
            orders: Vec::new(),
        }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Everything up to `mark` is synced in the log.
    pub(super) fn logged(&mut self, mark: WalMark) {
        self.place.mark = mark;
    }

    /// Everything up to `to`, where a transaction stands, is logged.
    pub(super) fn take_counter(&mut self, to: &WalPosition) {
        self.place.take_counter(Some(to));
    }

    /// The log ends at `place`, by other means than reading commits; the newest pin protects what follows.
    pub(super) fn stand(&mut self, place: Place) {
        self.place = place;
        self.is_at_rest = false;
        self.busy_since = None;
        self.growth.begin_anew();
    }

    /// Whether anything is protected.
    pub(super) fn has_pins(&self) -> bool {
        self.pins > 0
    }

    /// Whether there is nothing to do until the next commit.
    pub(super) fn is_settled(&self) -> bool {
        self.growth.is_level || self.growth.is_empty
    }

    /// Whether the WAL has grown so far that the next look may not wait.
    pub(super) fn is_pressed(&self) -> bool {
        self.growth.is_pressed(self.place.mark.frame)
    }

    pub(super) fn is_at_rest(&self) -> bool {
        self.is_at_rest
    }

    /// What to do after `event`, at the time `now` since any moment.
    pub(super) fn on(&mut self, now: Duration, event: Event) -> Actions {
        let then = self.after(now, event);
        if let Then::End(_) = then {
            self.phase = Phase::Idle;
            self.gate = None;
        }
        Actions { orders: std::mem::take(&mut self.orders), then }
    }

    fn after(&mut self, now: Duration, event: Event) -> Then {
        let phase = std::mem::replace(&mut self.phase, Phase::Idle);
        match (phase, event) {
            (Phase::Idle, wish) => self.begin(wish),
            // Whether a reader is in the way is only to be shown, and whether the application waits is asked again.
            (Phase::HeldBack, Event::Failed) => self.end(),
            (Phase::Stalling { is_full }, Event::Failed) => self.stalled(now, false, is_full),
            (phase, Event::Failed) => self.fail(phase),

            (Phase::Starting, Event::Taken(at)) => {
                self.pins += 1;
                match at {
                    Some(at) => Then::End(Outcome::Standing(First::At(at))),
                    None => self.ask(Phase::Counting, Ask::CountCommits),
                }
            }
            (Phase::Counting, Event::Counter(Some(counter))) => Then::End(Outcome::Standing(First::Empty(counter))),
            // Somebody has committed meanwhile: a further pin sees it.
            (Phase::Counting, Event::Counter(None)) => self.begin(Event::Start),
            (Phase::Looking, Event::Taken(seen)) => {
                self.pins += 1;
                self.ask(Phase::LookingAtFile(seen), Ask::IsUnwritten)
            }
            (Phase::LookingAtFile(seen), Event::Done) => self.looked(seen),
            (Phase::LookingAtWal(seen), Event::Done) => self.at_the_end(seen),
            (Phase::LookingBeside, Event::Beside { is_shut, .. }) => {
                // The gate was shut in the place of the capture: writers wait for it.
                if is_shut { self.grown() } else { self.end() }
            }
            (Phase::KeepingOut(to), Event::Answer(_)) => self.absorb(Phase::Absorbing, to),
            (Phase::Absorbing, Event::Done) => self.absorbed(),
            (Phase::Cutting, Event::Done) => {
                self.leave_level();
                Then::End(Outcome::Worked)
            }
            (Phase::StallingBeside { is_full }, Event::Beside { is_copying, .. }) => {
                if is_copying {
                    return self.stalled(now, false, is_full);
                }
                self.ask(Phase::Stalling { is_full }, Ask::Checkpoint)
            }
            (Phase::Stalling { is_full }, Event::Copied(copied)) => self.stalled(now, copied.busy, is_full),

            (Phase::Alone, Event::Answer(true)) => self.ask(Phase::Comparing, Ask::Compare),
            (Phase::Comparing, Event::Done) => self.ask(Phase::Emptying, Ask::EmptyWal),
            (Phase::Emptying, Event::Answer(true)) => self.ask(Phase::LockingRest, Ask::LockAtRest(WRITE_LOCK_WAIT)),
            (Phase::LockingRest, Event::Answer(true)) => self.ask(Phase::Forgetting, Ask::ForgetPageCount),
            (Phase::Forgetting, Event::Counter(counter)) => {
                self.order(Order::LetWritersIn);
                counter.map_or(Then::End(Outcome::Nothing), |counter| self.emptied(counter))
            }
            (phase, event) => self.after_growth(now, phase, event),
        }
    }

    /// What is to be done, while nothing else is.
    fn begin(&mut self, wish: Event) -> Then {
        self.worked = false;
        match wish {
            Event::Start => {
                self.keep_newest(0);
                self.ask(Phase::Starting, Ask::Take { plain: false })
            }
            Event::Look => {
                self.keep_ends();
                self.ask(Phase::Looking, Ask::Take { plain: self.growth.is_level })
            }
            Event::Cut(Some(to)) if !self.place.is_at(Some(&to)) => self.absorb(Phase::Cutting, to),
            Event::Cut(at) => {
                self.place.take_counter(at.as_ref());
                Then::End(Outcome::Nothing)
            }
            Event::Probe if self.pins > 0 => self.ask(Phase::ProbingBeside, Ask::LookBeside),
            Event::Tidy if self.pins > 0 && !self.growth.is_level => self.ask(Phase::TidyingBeside, Ask::LookBeside),
            Event::Rest if self.is_at_rest => Then::End(Outcome::Worked),
            Event::Rest if self.is_settled() => self.ask(Phase::Alone, Ask::IsAlone),
            Event::Stall { is_full } if self.pins > 0 => self.ask(Phase::StallingBeside { is_full }, Ask::LookBeside),
            Event::LetGo => {
                self.keep_newest(0);
                Then::End(Outcome::Nothing)
            }
            _ => Then::End(Outcome::Nothing),
        }
    }

    /// A pin stands at `seen`, in the file that was opened.
    fn looked(&mut self, seen: Option<WalPosition>) -> Then {
        self.growth.is_empty = seen.is_none_or(|seen| seen.frame_max == 0);
        match seen {
            Some(to) if !self.place.is_at(seen.as_ref()) => {
                if to.frame_max >= self.growth.urgent() {
                    return self.ask(Phase::KeepingOut(to), Ask::LockWriters(URGENT_WAIT));
                }
                self.absorb(Phase::Absorbing, to)
            }
            _ if self.growth.is_empty => self.ask(Phase::LookingAtWal(seen), Ask::IsOwnWal),
            _ => self.at_the_end(seen),
        }
    }

    /// There is nothing to read.
    fn at_the_end(&mut self, seen: Option<WalPosition>) -> Then {
        self.place.take_counter(seen.as_ref());
        self.order(Order::WatchNoMore);
        if self.pins > 1 {
            self.release_newest();
        }
        if self.is_settled() {
            self.order(Order::NoteSettled);
        }
        self.ask(Phase::LookingBeside, Ask::LookBeside)
    }

    /// Everything up to the newest pin is logged.
    fn absorbed(&mut self) -> Then {
        self.worked = true;
        if self.growth.is_level {
            // Lock 0 has done its work: it kept the new WAL from being restarted until we stand in it.
            self.keep_newest(1);
            self.leave_level();
        }
        self.keep_ends();
        self.grown()
    }

    /// The log goes on in another generation of the WAL than the one that was copied as a whole.
    fn leave_level(&mut self) {
        if self.growth.is_level {
            self.begin_anew();
        }
    }

    fn begin_anew(&mut self) {
        self.order(Order::NoteHeldBack(false));
        self.growth.begin_anew();
    }

    fn emptied(&mut self, counter: u32) -> Then {
        self.begin_anew();
        self.place = Place::before_an_empty_wal(counter);
        self.growth.is_empty = true;
        self.is_at_rest = true;
        self.order(Order::NoteEmptied);
        Then::End(Outcome::Worked)
    }

    /// While the log cannot be written, the pins hold the WAL back; not without end, and never a waiting application.
    fn stalled(&mut self, now: Duration, is_busy: bool, is_full: bool) -> Then {
        self.busy_since = is_busy.then(|| self.busy_since.unwrap_or(now));
        let has_waited = self.busy_since.is_some_and(|since| now.saturating_sub(since) >= STALL_MAX);
        if !has_waited && !is_full {
            return Then::End(Outcome::Nothing);
        }
        self.keep_newest(0);
        self.busy_since = None;
        Then::End(Outcome::Nothing)
    }

    fn fail(&mut self, phase: Phase) -> Then {
        match phase {
            // What it protects cannot be read; or the older pins protect what could not be logged.
            Phase::LookingAtFile(_) | Phase::LookingAtWal(_) | Phase::FreshAbsorbing(_) | Phase::ReturnAbsorbing => {
                self.release_newest();
            }
            Phase::Absorbing => {
                self.order(Order::LetWritersIn);
                self.release_newest();
            }
            Phase::Watching | Phase::Growing | Phase::Forgetting => self.order(Order::LetWritersIn),
            _ => {}
        }
        if self.gate.is_some() {
            self.let_in(None);
        }
        Then::End(Outcome::Failed)
    }

    fn end(&mut self) -> Then {
        self.busy_since = None;
        Then::End(if self.worked { Outcome::Worked } else { Outcome::Nothing })
    }

    fn ask(&mut self, phase: Phase, ask: Ask) -> Then {
        self.phase = phase;
        Then::Ask(ask)
    }

    fn order(&mut self, order: Order) {
        self.orders.push(order);
    }

    fn absorb(&mut self, phase: Phase, to: WalPosition) -> Then {
        self.is_at_rest = false;
        self.ask(phase, Ask::Absorb(to))
    }

    fn release(&mut self, number: usize) {
        self.pins -= 1;
        self.order(Order::Release(number));
    }

    fn release_newest(&mut self) {
        if self.pins > 0 {
            self.release(self.pins - 1);
        }
    }

    /// Releases those between the oldest and the newest pin.
    fn keep_ends(&mut self) {
        while self.pins > 2 {
            self.release(1);
        }
    }

    /// Releases all pins but the newest `keep`.
    fn keep_newest(&mut self, keep: usize) {
        while self.pins > keep {
            self.release(0);
        }
    }
}
