//! The pin protocol as a model, checked in every order of steps: writers, checkpointers and the capture, each crashing
//! anywhere. "No frame is lost" is shown here, not believed.
//!
//! What is modelled is what SQLite promises. A commit appends a frame. Checkpoints copy frames into the data file up to the
//! lowest mark pinned by a lock 1–4, and none while anyone holds lock 0. When everything is copied and nobody holds a lock
//! 1–4, the WAL can be restarted: its frames are gone. One frame is one commit; pages do not matter here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use stateright::{Checker, Model, Property};

const COMMITS_MAX: u8 = 5;
const CRASHES_MAX: u8 = 2;

/// A read transaction: the generation and frame it stands at, and how many commits lie before that generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Pin {
    lock_zero: bool,
    generation: u8,
    before: u8,
    frame: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Doing {
    /// About to look.
    Resting,
    /// Holds a new pin, not yet looked at.
    Looked,
    /// Found everything copied, about to take the pin on lock 0.
    SawCopied,
    /// Holds the pin that may be level.
    TookLevel,
    /// Released the newer pin for a waiting checkpointer.
    Yielding,
    /// Not running.
    Dead,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    // The WAL.
    generation: u8,
    before: u8,
    frames: u8,
    copied: u8,
    // The capture.
    pins: Vec<Pin>,
    doing: Doing,
    level: bool,
    captured_generation: u8,
    captured_frame: u8,
    /// Commits in the log.
    captured: u8,
    crashes: u8,
    /// Frames were overwritten that a pin vouched for.
    lost: bool,
    /// The counter of commits did not agree.
    broken: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    Commit,
    Restart,
    CopyFrame,
    Look,
    Read,
    SeeCopied,
    TakeLevel,
    VerifyLevel,
    Yield,
    EndYield,
    Crash,
    Start,
    /// Only of a faulty protocol.
    LetGo,
}

/// The protocol, or one with a fault that the model must find.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    /// The old pin is released before the new one is taken.
    GapBetweenPins,
    /// Goes level without looking whether somebody committed meanwhile.
    LevelUnverified,
    /// Looks by a plain read while behind, and releases the older pin before it has read.
    PlainLookWhileBehind,
}

struct Protocol(Fault);

impl State {
    fn backfill_limit(&self) -> u8 {
        if self.pins.iter().any(|p| p.lock_zero) {
            return self.copied;
        }
        // A pin in an older generation can not exist on a lock 1-4: it would have forbidden the restart.
        self.pins.iter().map(|p| p.frame).min().unwrap_or(self.frames).min(self.frames)
    }

    fn may_restart(&self) -> bool {
        self.frames > 0 && self.copied == self.frames && self.pins.iter().all(|p| p.lock_zero)
    }

    fn take(&mut self, plain: bool) {
        let lock_zero = self.frames == 0 || (plain && self.copied == self.frames);
        self.pins.push(Pin { lock_zero, generation: self.generation, before: self.before, frame: self.frames });
    }

    fn is_news(&self, pin: Pin) -> bool {
        pin.frame > 0 && (pin.generation, pin.frame) != (self.captured_generation, self.captured_frame)
    }

    fn read(&mut self, pin: Pin) {
        // The frames must still be there.
        self.lost |= pin.generation != self.generation;
        let same = pin.generation == self.captured_generation;
        // The counter: commits at the pin less commits captured must be the frames that are read.
        let read = if same { pin.frame - self.captured_frame } else { pin.frame };
        self.broken |= self.captured + read != pin.before + pin.frame;
        (self.captured_generation, self.captured_frame) = (pin.generation, pin.frame);
        self.captured = pin.before + pin.frame;
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let state = State {
            generation: 0,
            before: 0,
            frames: 0,
            copied: 0,
            pins: Vec::new(),
            doing: Doing::Resting,
            level: false,
            captured_generation: 0,
            captured_frame: 0,
            captured: 0,
            crashes: 0,
            lost: false,
            broken: false,
        };
        let mut pinned = state;
        pinned.take(false);
        vec![pinned]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        if state.before + state.frames < COMMITS_MAX {
            steps.push(Step::Commit);
            // A writer that dies after it restarted the WAL leaves an empty one; so does a truncating checkpoint.
            if state.may_restart() {
                steps.push(Step::Restart);
            }
        }
        if state.copied < state.backfill_limit() {
            steps.push(Step::CopyFrame);
        }
        match state.doing {
            Doing::Resting => {
                steps.push(Step::Look);
                if self.0 == Fault::GapBetweenPins {
                    steps.push(Step::LetGo);
                }
                if !state.level {
                    steps.push(Step::SeeCopied);
                    if state.pins.len() == 2 {
                        steps.push(Step::Yield);
                    }
                }
            }
            Doing::Looked => steps.push(Step::Read),
            Doing::SawCopied => steps.push(Step::TakeLevel),
            Doing::TookLevel => steps.push(Step::VerifyLevel),
            Doing::Yielding => steps.push(Step::EndYield),
            Doing::Dead => steps.push(Step::Start),
        }
        if state.doing != Doing::Dead && state.crashes < CRASHES_MAX {
            steps.push(Step::Crash);
        }
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let mut state = last.clone();
        match step {
            Step::Commit => {
                // SQLite restarts the WAL at the first write of a transaction, when it may.
                if state.may_restart() {
                    state.before += state.frames;
                    state.generation += 1;
                    (state.frames, state.copied) = (0, 0);
                }
                state.frames += 1;
            }
            Step::Restart => {
                state.before += state.frames;
                state.generation += 1;
                (state.frames, state.copied) = (0, 0);
            }
            Step::CopyFrame => state.copied += 1,
            Step::Look => {
                state.take(state.level || self.0 == Fault::PlainLookWhileBehind);
                if self.0 == Fault::PlainLookWhileBehind {
                    state.pins.drain(..state.pins.len() - 1);
                }
                state.doing = Doing::Looked;
            }
            Step::Read => {
                let &pin = state.pins.last()?;
                if state.is_news(pin) {
                    state.read(pin);
                    let keep = if state.level { 1 } else { 2 };
                    state.level = false;
                    state.pins.drain(..state.pins.len().saturating_sub(keep));
                } else if state.pins.len() > 1 {
                    state.pins.pop();
                }
                state.doing = Doing::Resting;
            }
            Step::SeeCopied => {
                let all = state.generation == state.captured_generation
                    && state.frames == state.captured_frame
                    && state.copied == state.frames
                    && state.frames > 0;
                if !all {
                    return None;
                }
                state.doing = Doing::SawCopied;
            }
            Step::TakeLevel => {
                state.take(true);
                state.doing = Doing::TookLevel;
            }
            Step::VerifyLevel => {
                let pin = *state.pins.last()?;
                let at = (pin.generation, pin.frame) == (state.captured_generation, state.captured_frame);
                if at || self.0 == Fault::LevelUnverified {
                    state.pins.drain(..state.pins.len() - 1);
                    if self.0 == Fault::LevelUnverified {
                        (state.captured_generation, state.captured_frame) = (pin.generation, pin.frame);
                    }
                    state.level = true;
                } else {
                    state.pins.pop();
                }
                state.doing = Doing::Resting;
            }
            Step::Yield => {
                state.pins.pop();
                state.doing = Doing::Yielding;
            }
            Step::EndYield => {
                state.take(false);
                let pin = *state.pins.last()?;
                if state.is_news(pin) {
                    state.read(pin);
                }
                state.pins.drain(..state.pins.len() - 1);
                state.doing = Doing::Resting;
            }
            Step::Crash => {
                state.pins.clear();
                state.crashes += 1;
                state.level = false;
                state.doing = Doing::Dead;
            }
            Step::LetGo => state.pins.clear(),
            Step::Start => {
                state.take(false);
                let pin = *state.pins.last()?;
                let resumes = pin.generation == state.captured_generation && pin.frame >= state.captured_frame;
                if !resumes {
                    // The catch-up record: the state at the pin, whatever happened in between.
                    (state.captured_generation, state.captured_frame) = (pin.generation, pin.frame);
                    state.captured = pin.before + pin.frame;
                }
                state.doing = Doing::Resting;
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no frame is overwritten before it is read", |_, s: &State| !s.lost),
            Property::always("the counter of commits always agrees", |_, s: &State| !s.broken),
            Property::always("what is gone from the WAL is in the log while the capture runs", |_, s: &State| {
                s.doing == Doing::Dead || s.captured >= s.before
            }),
            Property::sometimes("the WAL is restarted twice under a running capture", |_, s: &State| {
                s.generation >= 2 && s.crashes == 0
            }),
            Property::sometimes("everything is captured and level", |_, s: &State| {
                s.level && s.captured == COMMITS_MAX
            }),
            Property::sometimes("the capture comes back and goes on in the same WAL", |_, s: &State| {
                s.crashes == 2 && s.captured == COMMITS_MAX && s.generation == 0
            }),
        ]
    }
}

#[test]
fn no_order_of_steps_and_crashes_loses_a_frame() {
    let checker = Protocol(Fault::None).checker().spawn_bfs().join();
    assert!(checker.is_done() && checker.unique_state_count() > 1_000, "{} states", checker.unique_state_count());
    checker.assert_properties();
}

#[test]
fn the_model_finds_a_fault_when_there_is_one() {
    let always = [
        "no frame is overwritten before it is read",
        "the counter of commits always agrees",
        "what is gone from the WAL is in the log while the capture runs",
    ];
    for fault in [Fault::GapBetweenPins, Fault::LevelUnverified, Fault::PlainLookWhileBehind] {
        let checker = Protocol(fault).checker().spawn_bfs().join();
        assert!(always.iter().any(|name| checker.discovery(name).is_some()), "{fault:?} passed");
    }
}
