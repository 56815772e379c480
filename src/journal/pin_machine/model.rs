//! The machine of the pins in a model of SQLite: every order of what a writer, a reader, a backup, a checkpointer of
//! another program, our own copier and the watcher of the gate can do between any two steps of the capture, which may
//! also fail or end. The machine is the one that runs; see also `interleavings.rs`, which drives it with real SQLite.
//!
//! - No frame is overwritten before it is logged, and what is logged is exactly what was committed.
//! - The position that a cut names is that of its snapshot.
//! - Nobody waits for us without end: from every state in which the capture has just ended what it does, other programs
//!   get what they wait for, and everything comes into the data file, as soon as nobody but the capture hinders them.
#![cfg(test)]

mod answers;
mod explore;
mod sqlite;

use std::{collections::HashSet, time::Duration};

use super::*;
use sqlite::{Mode, Progress, Reader, Run, Wal, Who};

/// Longer than any limit of the machine; at any other moment no time has passed.
const LATE: Duration = Duration::from_secs(3600);
/// How many steps everything may take to come to rest.
const PATIENCE: usize = 400;

/// What others do, and what the capture does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Begin(Event),
    BeginCut,
    /// The next step of the capture: whether it fails, and whether so much time has passed that it waits no longer.
    Step {
        fails: bool,
        is_late: bool,
    },
    EndSnapshot,
    Write,
    Commit,
    RollBack,
    Read,
    Checkpoint(Mode),
    CheckpointStep,
    CheckpointGivesUp,
    Copy,
    Shut,
    Open,
    Crash,
}

/// How the machine is disobeyed, to see that the model finds out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fault {
    /// Pins hold no lock.
    Forgets,
    /// Pins take lock 0 where they must not.
    AllowsRestart,
    /// Nobody asks whether a checkpointer waits.
    NeverProbes,
    /// Writers are not let in again.
    KeepsOut,
    /// A cut logs nothing.
    CutsAnywhere,
}

/// What may still happen; it bounds how far is looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Left {
    commits: u8,
    cuts: u8,
    crashes: u8,
    failures: u8,
    /// Whether others read, and checkpoint in these ways.
    reads: bool,
    modes: &'static [Mode],
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    wal: Wal,
    machine: PinMachine,
    orders: Vec<Order>,
    then: Then,
    pins: Vec<Reader>,
    ours: Option<Run>,
    /// The copier, and how far it is once it has begun.
    copier: Option<Option<Run>>,
    gate: Option<Reader>,
    is_shut_by_watcher: bool,
    is_watched: bool,
    writer: Option<Reader>,
    reader: Option<Reader>,
    snapshot: Option<Reader>,
    checkpoint: Option<Run>,
    is_ready: bool,
    must_compare: bool,
    is_failing: bool,
    is_cutting: bool,
    /// Whether commits may be missing as single steps: the capture was not there, or could not log.
    is_excused: bool,
    logged: u8,
    left: Left,
    fault: Option<Fault>,
}

type Found = Result<(), String>;

impl World {
    fn new(limits: Limits, left: Left, fault: Option<Fault>) -> Self {
        Self {
            wal: Wal::new(),
            machine: PinMachine::new(limits, WalMark::default(), 0),
            orders: Vec::new(),
            then: Then::End(Outcome::Nothing),
            pins: Vec::new(),
            ours: None,
            copier: None,
            gate: None,
            is_shut_by_watcher: false,
            is_watched: false,
            writer: None,
            reader: None,
            snapshot: None,
            checkpoint: None,
            is_ready: false,
            must_compare: false,
            is_failing: false,
            is_cutting: false,
            is_excused: false,
            logged: 0,
            left,
            fault,
        }
    }

    fn is_idle(&self) -> bool {
        self.orders.is_empty() && matches!(self.then, Then::End(_))
    }

    /// Everything that can happen next.
    fn acts(&self) -> Vec<Act> {
        let mut acts = Vec::new();
        if self.is_idle() {
            acts.extend(self.wishes().into_iter().map(Act::Begin));
            if self.is_ready && self.left.cuts > 0 && self.snapshot.is_none() {
                acts.push(Act::BeginCut);
            }
            acts.extend(self.snapshot.map(|_| Act::EndSnapshot));
        } else {
            acts.push(Act::Step { fails: false, is_late: false });
            if self.orders.is_empty() && self.can_be_late() {
                acts.push(Act::Step { fails: false, is_late: true });
            }
            if self.orders.is_empty() && self.left.failures > 0 && self.ours.is_none() {
                acts.push(Act::Step { fails: true, is_late: false });
            }
        }
        match self.writer {
            Some(_) => acts.extend([Act::Commit, Act::RollBack]),
            None if self.left.commits > 0 && self.wal.write.is_none() => acts.push(Act::Write),
            None => {}
        }
        if self.left.reads {
            acts.push(Act::Read);
        }
        match self.checkpoint {
            Some(mut run) => {
                acts.push(Act::CheckpointStep);
                if self.wal.clone().advance(&mut run) == Progress::Waits {
                    acts.push(Act::CheckpointGivesUp);
                }
            }
            None if self.wal.checkpoint.is_none() => acts.extend(self.left.modes.iter().copied().map(Act::Checkpoint)),
            None => {}
        }
        acts.extend(self.copier.map(|_| Act::Copy));
        if self.is_watched && self.wal.write.is_none() {
            acts.push(Act::Shut);
        }
        // In the place of the capture, or because the time of writers has come.
        if self.gate.is_some() {
            acts.push(Act::Open);
        }
        if self.left.crashes > 0 {
            acts.push(Act::Crash);
        }
        acts
    }

    /// What the thread of the capture may begin.
    fn wishes(&self) -> Vec<Event> {
        if !self.is_ready {
            return vec![if self.pins.is_empty() { Event::Start } else { Event::LetGo }];
        }
        let mut wishes = vec![Event::Look];
        if self.is_failing {
            wishes.extend([Event::Stall { is_full: false }, Event::Stall { is_full: true }]);
        }
        if self.fault == Some(Fault::NeverProbes) {
            return wishes;
        }
        wishes.extend(if self.machine.is_settled() { vec![Event::Rest] } else { vec![Event::Probe, Event::Tidy] });
        wishes
    }

    /// Whether the machine looks at the time now.
    fn can_be_late(&self) -> bool {
        match self.machine.phase {
            Phase::YieldingCheckpoint { .. } => true,
            Phase::Levelling(After::KeptOut(_)) | Phase::Plain(After::KeptOut(_)) => true,
            Phase::Stalling { .. } => self.machine.busy_since.is_some(),
            _ => false,
        }
    }

    fn act(&mut self, act: Act) -> Found {
        match act {
            Act::Begin(wish) => return self.begin(wish),
            Act::BeginCut => {
                self.left.cuts -= 1;
                self.snapshot = self.wal.read(false);
                let Some(at) = self.snapshot else { return Ok(()) };
                return self.begin(Event::Cut(at.position()));
            }
            Act::Step { fails, is_late } => return self.step(fails, if is_late { LATE } else { Duration::ZERO }),
            Act::EndSnapshot => self.snapshot.take().into_iter().for_each(|reader| self.wal.end_read(reader)),
            Act::Write => {
                let before = self.wal.commits;
                if let Some((reader, restarts)) = self.wal.begin_write(Who::Writer) {
                    self.writer = Some(reader);
                    return if restarts { self.restarted(before) } else { Ok(()) };
                }
            }
            Act::Commit => {
                self.left.commits -= 1;
                self.writer.take().into_iter().for_each(|reader| self.wal.commit(reader));
            }
            Act::RollBack => self.writer.take().into_iter().for_each(|reader| self.wal.end_write(reader)),
            Act::Read => match self.reader.take() {
                Some(reader) => self.wal.end_read(reader),
                None => self.reader = self.wal.read(false),
            },
            Act::Checkpoint(mode) => {
                self.checkpoint = self.wal.begin_checkpoint(Who::Checkpointer, mode);
            }
            Act::CheckpointStep => {
                let Some(mut run) = self.checkpoint.take() else { return Ok(()) };
                match self.wal.advance(&mut run) {
                    Progress::Moved | Progress::Waits => self.checkpoint = Some(run),
                    Progress::Ended => {}
                    Progress::Restarted => return self.restarted(self.wal.commits),
                }
            }
            Act::CheckpointGivesUp => self.checkpoint.iter_mut().for_each(|run| self.wal.give_up(run)),
            Act::Copy => {
                let run = match self.copier.take() {
                    Some(Some(run)) => Some(run),
                    _ => self.wal.begin_checkpoint(Who::Copier, Mode::Passive),
                };
                self.copier =
                    run.and_then(|mut run| (self.wal.advance(&mut run) == Progress::Moved).then_some(Some(run)));
            }
            Act::Shut => {
                self.gate = self.wal.lock(Who::Gate);
                self.is_shut_by_watcher = self.gate.is_some();
            }
            Act::Open => self.open(),
            Act::Crash => self.crash(),
        }
        Ok(())
    }

    /// No frame of it may be needed any more.
    fn restarted(&self, commits: u8) -> Found {
        if self.is_ready && self.logged < commits {
            return Err(format!("the WAL began anew after {commits} commits, of which {} are logged", self.logged));
        }
        Ok(())
    }

    fn open(&mut self) {
        self.gate.take().into_iter().for_each(|reader| self.wal.end_write(reader));
        self.is_shut_by_watcher = false;
    }

    fn crash(&mut self) {
        self.left.crashes -= 1;
        self.open();
        for reader in self.pins.drain(..).chain(self.snapshot.take()) {
            self.wal.end_read(reader);
        }
        for run in self.ours.take().into_iter().chain(self.copier.take().flatten()) {
            self.wal.end_checkpoint(&run);
        }
        self.machine = PinMachine::new(self.machine.growth.limits, self.machine.place.mark, 0);
        (self.orders, self.then) = (Vec::new(), Then::End(Outcome::Nothing));
        (self.is_ready, self.is_excused) = (false, true);
        (self.must_compare, self.is_failing, self.is_watched) = (false, false, false);
    }

    fn begin(&mut self, wish: Event) -> Found {
        self.is_cutting = matches!(wish, Event::Cut(_));
        self.tell(Duration::ZERO, wish)
    }

    fn tell(&mut self, now: Duration, event: Event) -> Found {
        let Actions { mut orders, then } = self.machine.on(now, event);
        if self.machine.pins != self.pins.len() - orders.iter().filter(|o| matches!(o, Order::Release(_))).count() {
            return Err("the machine has miscounted its pins".into());
        }
        orders.reverse();
        (self.orders, self.then) = (orders, then);
        if self.orders.is_empty() { self.ended() } else { Ok(()) }
    }

    /// One order, or the answer to what is asked.
    fn step(&mut self, fails: bool, now: Duration) -> Found {
        if let Some(order) = self.orders.pop() {
            self.obey(order)?;
            return if self.orders.is_empty() { self.ended() } else { Ok(()) };
        }
        let Then::Ask(ask) = self.then else { return Ok(()) };
        if fails {
            self.left.failures -= 1;
            return self.tell(now, Event::Failed);
        }
        match self.answer(ask)? {
            Some(event) => self.tell(now, event),
            None => Ok(()),
        }
    }

    /// When all orders are carried out: what was wanted may have ended.
    fn ended(&mut self) -> Found {
        let Then::End(outcome) = self.then else { return Ok(()) };
        self.is_failing = outcome == Outcome::Failed;
        if let Outcome::Standing(first) = outcome {
            self.stand(&first);
        }
        if std::mem::take(&mut self.is_cutting)
            && let Some(snapshot) = self.snapshot
        {
            if outcome == Outcome::Failed {
                self.act(Act::EndSnapshot)?;
            } else if self.logged != snapshot.commits {
                return Err(format!("a cut at {} holds {} commits", self.logged, snapshot.commits));
            }
        }
        if self.gate.is_some() && !self.is_shut_by_watcher {
            return Err("writers are kept out without end".into());
        }
        if self.is_ready && self.pins.is_empty() {
            (self.is_ready, self.is_excused) = (false, true);
        }
        Ok(())
    }

    /// As the catch-up: the logged place is found in the WAL, or the data file is compared at the pin.
    fn stand(&mut self, first: &First) {
        let mark = self.machine.place.mark;
        let is_there = |at: &WalPosition| at.salts == mark.salts && at.frame_max >= mark.frame && mark.frame > 0;
        if !self.must_compare && first.position().as_ref().is_some_and(is_there) {
            self.machine.stand(Place::new(mark));
        } else {
            self.machine.stand(Place::of(first));
            self.logged = self.pins.last().map_or(self.logged, |pin| pin.commits);
        }
        (self.is_ready, self.must_compare) = (true, false);
    }

    /// Nobody but the capture is in the way any more: does everyone get what he waits for?
    fn comes_to_rest(mut self, resting: &mut HashSet<u64>) -> Found {
        self.left = Left { commits: 0, cuts: 0, crashes: 0, failures: 0, reads: false, modes: &[] };
        for reader in self.reader.take().into_iter().chain(self.snapshot.take()) {
            self.wal.end_read(reader);
        }
        if let Some(writer) = self.writer.take() {
            self.wal.commit(writer);
        }
        let (mut waits, mut probes, mut last, mut way) = (0, false, Event::Rest, Vec::new());
        for round in 0..PATIENCE {
            if self.is_shut_by_watcher {
                self.open();
            }
            while let Some(before) = self.checkpoint {
                self.act(Act::CheckpointStep)?;
                if self.checkpoint == Some(before) {
                    // A slot that was free for less than the pauses of its busy handler, and was taken again.
                    if round > PATIENCE / 2 && self.wal.has_retaken(&before) {
                        self.act(Act::CheckpointGivesUp)?;
                    }
                    break;
                }
            }
            while self.copier.is_some() {
                self.act(Act::Copy)?;
            }
            let hash = explore::hash_of(&(&self, waits, probes, last));
            if round < PATIENCE / 4 && resting.contains(&hash) {
                resting.extend(way);
                return Ok(());
            }
            if round < PATIENCE / 4 {
                way.push(hash);
            }
            if !self.is_idle() {
                waits += usize::from(self.can_be_late());
                self.step(false, if waits > 3 && self.can_be_late() { LATE } else { Duration::ZERO })?;
                continue;
            }
            waits = 0;
            let is_down = self.wal.frames == self.wal.backfill && self.logged == self.wal.commits;
            if self.is_ready && last == Event::Look && is_down && self.checkpoint.is_none() {
                resting.extend(way);
                return Ok(());
            }
            last = match self.wishes().as_slice() {
                [wish] => *wish,
                _ if self.machine.is_settled() || last != Event::Look => Event::Look,
                _ => {
                    probes ^= true;
                    if probes { Event::Probe } else { Event::Tidy }
                }
            };
            self.begin(last)?;
        }
        let Self { wal, checkpoint, pins, machine, .. } = self;
        Err(format!("it never comes to rest: {wal:?}, {checkpoint:?}, {pins:?}, {:?}", machine.phase))
    }
}
