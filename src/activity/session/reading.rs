//! The thread that reads the logs, and adds to the index what it finds.

use std::{path::Path, time::Instant};

use chrono::{DateTime, Utc};

use super::{LEASE, Mode, Shared};
use crate::{
    activity::{
        packed::Packer,
        way::{Open, end_of, everything, stretches},
    },
    control::session::KEPT,
    error::{Error, ErrorKind, Result},
    journal::{
        next_path,
        reader::{End, LogReader},
    },
    records::{
        history::{Heard, History, Stretch},
        operation::{Action, Operation},
        store::ArchiveBase,
    },
};

/// So many operations are added before it is looked whether anybody still asks.
const LOOK_AFTER: u32 = 512;

/// Reads until nobody wants more.
pub(super) fn run(shared: &Shared, open: &Open, running: Option<&Path>) {
    let done = read(shared, open, running);
    let mut inner = shared.lock();
    inner.is_wanted = false;
    match done {
        Ok(mode) => inner.mode = mode,
        Err(error) => {
            inner.mode = if error.kind() == ErrorKind::Stopped { Mode::Gone } else { Mode::Over };
            inner.problem = Some(error.report());
        }
    }
    shared.tell();
}

fn read(shared: &Shared, open: &Open, running: Option<&Path>) -> Result<Mode> {
    let trail = open(shared.control())?;
    let length = |path: &Path| path.metadata().map_or(0, |meta| meta.len());
    let legs = trail.legs;
    let mut lengths: Vec<u64> = legs.iter().map(|leg| length(&leg.path)).collect();
    let total: u64 = lengths.iter().sum();
    {
        let mut inner = shared.lock();
        inner.bytes.1 = total;
        inner.begins = Some(trail.archive.path().to_path_buf());
    }
    let end = end_of(trail.ends);
    let base = Box::new(ArchiveBase::mending(trail.archive)?.0);
    let mut history = History::new(base, stretches(&legs, end.is_none()));
    let wanted = everything(trail.first);
    let mut adding = Adding::default();
    loop {
        let heard = history.go_on(&wanted, shared.control(), &mut |heard| match heard {
            Heard::Operation(operation) => adding.add(shared, operation),
            Heard::Commit { number, log, end } => {
                let before: u64 = lengths.iter().take(log).sum();
                adding.close(shared, number, before + end)
            }
        });
        {
            let mut inner = shared.lock();
            inner.torn.clone_from(&history.told().torn);
            if heard.is_ok() {
                inner.bytes = (inner.bytes.1, inner.bytes.1);
            }
        }
        heard?;
        if let Some(end) = end {
            return Err(end);
        }
        if !wait(shared)? {
            return Ok(Mode::Gone);
        }
        history.look_again()?;
        let Some(reader) = history.reader() else { return Ok(Mode::Over) };
        match what_follows(reader, running) {
            Follows::Nothing => {}
            Follows::Log(stretch) => {
                lengths.push(length(&stretch.path));
                history.then(stretch);
            }
            Follows::Other => return Ok(Mode::Gone),
        }
    }
}

/// Waits until somebody asks; false when nobody has for long.
fn wait(shared: &Shared) -> Result<bool> {
    let mut inner = shared.lock();
    (inner.mode, inner.is_wanted) = (Mode::Waiting, false);
    shared.tell();
    let rests = |inner: &mut super::Inner| !inner.is_wanted && !shared.control().is_stopped();
    let (mut inner, is_over) = shared.wait(inner, KEPT, rests);
    shared.control().check()?;
    if is_over {
        return Ok(false);
    }
    inner.mode = Mode::Waiting;
    Ok(true)
}

/// What stands where the log was that was read last.
enum Follows {
    /// The same log, or none that goes on from it yet.
    Nothing,
    /// A log that goes on from it.
    Log(Stretch),
    /// Another one, of another past.
    Other,
}

fn what_follows(reader: &LogReader, running: Option<&Path>) -> Follows {
    let Some(running) = running else { return Follows::Nothing };
    let tail = reader.tail();
    let mut is_other = false;
    for path in [next_path(reader.path()), running.to_path_buf()] {
        let Ok(found) = LogReader::open(&path) else { continue };
        let header = found.header();
        if header == reader.header() {
            continue;
        }
        // What is behind the tail was not read yet.
        if header.base.commit == tail.commit && header.base.chain == tail.chain && reader.end() == End::Whole {
            return Follows::Log(Stretch { path, after: header.base, last: None });
        }
        is_other |= path == running && header.base.commit <= tail.commit && reader.end() == End::Whole;
    }
    if is_other { Follows::Other } else { Follows::Nothing }
}

/// The commit that is being added.
#[derive(Debug, Default)]
struct Adding {
    time: Option<DateTime<Utc>>,
    operations: u64,
    since: u32,
    packer: Packer,
}

impl Adding {
    fn add(&mut self, shared: &Shared, operation: &Operation<'_>) -> Result<()> {
        let stands_for_internal = operation.change.action == Action::Rewrite && self.operations > 0;
        self.time = Some(operation.time);
        self.operations += 1;
        let packed = self.packer.pack(operation, stands_for_internal);
        shared.lock().index.add(&packed)?;
        self.since += 1;
        if self.since >= LOOK_AFTER { self.rest(shared) } else { Ok(()) }
    }

    fn close(&mut self, shared: &Shared, number: u64, at: u64) -> Result<()> {
        let time = self.time.take();
        self.operations = 0;
        let mut inner = shared.lock();
        inner.bytes.0 = at;
        inner.bytes.1 = inner.bytes.1.max(at);
        if let Some(time) = time {
            let is_first = inner.index.commits() == 0;
            inner.index.close(number, time)?;
            if is_first {
                shared.tell();
            }
        }
        drop(inner);
        self.since += 1;
        if self.since >= LOOK_AFTER { self.rest(shared) } else { Ok(()) }
    }

    /// Rests where nobody asks, or reading was stopped.
    fn rest(&mut self, shared: &Shared) -> Result<()> {
        self.since = 0;
        let rests = |inner: &mut super::Inner| {
            let is_asked = !inner.is_stopped && shared.asked().elapsed() < LEASE;
            !is_asked && !shared.control().is_stopped()
        };
        let begun = Instant::now();
        drop(shared.wait(shared.lock(), KEPT, rests));
        shared.control().check()?;
        if begun.elapsed() >= KEPT { Err(Error::stopped()) } else { Ok(()) }
    }
}
