//! Reading a log commit by commit, and telling the operations that are wanted.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};

use super::{
    changes::Tracker,
    operation::{Action, Change, Operation},
    past::Skipped,
    store::{Base, Store},
};
use crate::{
    control::Control,
    error::{Error, ErrorKind, Result},
    journal::{
        Position, RecordKind,
        reader::{End, LogReader, Record},
    },
};

/// A log, and where it goes on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// The log.
    pub path: PathBuf,
    /// The commit after which it is read.
    pub after: Position,
    /// The last commit that is read of it; `None` for all.
    pub last: Option<u64>,
}

/// What is asked for. What is not given does not limit it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Of these tables; their names in any case.
    pub tables: Vec<String>,
    /// Only these.
    pub actions: Vec<Action>,
    /// Of records with this key, as [`Key::in_words`](super::operation::Key::in_words) has it.
    pub key: Option<String>,
    /// Of commits made at this moment or later.
    pub since: Option<DateTime<Utc>>,
    /// Of commits made at this moment or earlier.
    pub until: Option<DateTime<Utc>>,
    /// Of commits from this number on.
    pub first: Option<u64>,
    /// Of commits up to this number.
    pub last: Option<u64>,
    /// Also of what SQLite keeps for itself.
    pub with_internal: bool,
    /// What is listed both with and without that, for whoever chooses later: the line that stands for a commit of which
    /// nothing else would be listed follows what SQLite keeps for itself.
    pub for_both: bool,
}

impl Wanted {
    fn has_commit(&self, record: &Record) -> bool {
        let (commit, time) = (record.head.commit, record.head.wall);
        self.first.is_none_or(|first| commit >= first)
            && self.last.is_none_or(|last| commit <= last)
            && self.since.is_none_or(|since| time >= since)
            && self.until.is_none_or(|until| time <= until)
    }

    /// Whether a change is one of those asked for, whenever it was made.
    pub fn has(&self, change: &Change<'_>) -> bool {
        let is_of = |name: &str| self.tables.iter().any(|table| table.eq_ignore_ascii_case(name));
        // What cannot be told may be what is asked for.
        if change.action == Action::Unknown {
            let may_be = self.tables.is_empty() || change.table.is_none_or(is_of);
            return (self.with_internal || !change.is_internal) && may_be;
        }
        (self.with_internal || !change.is_internal)
            && (self.actions.is_empty() || self.actions.contains(&change.action))
            && (self.tables.is_empty() || change.table.is_some_and(is_of))
            && self.key.as_ref().is_none_or(|key| change.key.as_ref().is_some_and(|is| is.in_words() == *key))
    }
}

/// How far a log was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// How many commits were read, also those that were not wanted.
    pub commits: u64,
    /// The last of them.
    pub last: Option<u64>,
    /// How many operations were told.
    pub operations: u64,
    /// A log that ends in the middle of a record: it is being written, or was cut off.
    pub torn: Option<PathBuf>,
}

/// Reads `stretches`, which go on from `base` one after the other, and tells the operations that are wanted, the oldest
/// first.
///
/// # Errors
/// `Damaged` where a log is, or does not fit the base, and `Partial` at changes that nobody has seen, both after all
/// that comes before was told; a failing disk, `Stopped`; what `sink` says.
pub fn read(
    base: Box<dyn Base>,
    stretches: &[Stretch],
    wanted: &Wanted,
    control: &Control,
    sink: &mut dyn FnMut(&Operation<'_>) -> Result<()>,
) -> Result<Told> {
    let mut history = History::new(base, stretches.to_vec());
    history.go_on(wanted, control, &mut |told| match told {
        Heard::Operation(operation) => sink(operation),
        Heard::Commit { .. } => Ok(()),
    })?;
    Ok(history.told)
}

/// What is heard of a log while it is read.
#[derive(Debug)]
pub enum Heard<'a> {
    /// An operation that is wanted.
    Operation(&'a Operation<'a>),
    /// A commit was read to its end, wanted or not.
    Commit {
        /// Its number.
        number: u64,
        /// Which log it is in, counted from 0.
        log: usize,
        /// Where its record ends in the log, in bytes.
        end: u64,
    },
}

/// A log that is being read, and can be read on when more was written to it.
pub struct History {
    base: Option<Box<dyn Base>>,
    store: Option<(Store, u32)>,
    /// What comes before the first commit that is wanted.
    skipped: Option<Skipped>,
    tracker: Tracker,
    told: Told,
    leg: Option<(LogReader, Stretch)>,
    /// How many were begun.
    legs: usize,
    /// What comes after it.
    stretches: VecDeque<Stretch>,
    is_over: bool,
}

impl History {
    /// Nothing is read yet.
    pub fn new(base: Box<dyn Base>, stretches: Vec<Stretch>) -> Self {
        let (tracker, told, stretches) = (Tracker::default(), Told::default(), stretches.into());
        let (base, store, skipped, leg) = (Some(base), None, None, None);
        Self { base, store, skipped, tracker, told, leg, legs: 0, stretches, is_over: false }
    }

    /// How far it was read.
    pub fn told(&self) -> &Told {
        &self.told
    }

    /// The log that was read last.
    pub fn reader(&self) -> Option<&LogReader> {
        self.leg.as_ref().map(|(reader, _)| reader)
    }

    /// Reads on in this log when all before was read.
    pub fn then(&mut self, stretch: Stretch) {
        self.stretches.push_back(stretch);
    }

    /// Looks whether more was written to the log that was read last.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn look_again(&mut self) -> Result<()> {
        match &mut self.leg {
            Some((reader, _)) if !self.is_over => reader.look_again(),
            _ => Ok(()),
        }
    }

    /// Reads all that there is, and tells what is wanted. After an error it cannot be read on.
    ///
    /// # Errors
    /// As [`read`].
    pub fn go_on(
        &mut self,
        wanted: &Wanted,
        control: &Control,
        sink: &mut dyn FnMut(Heard<'_>) -> Result<()>,
    ) -> Result<()> {
        while !self.is_over {
            if self.leg.is_none() {
                let Some(stretch) = self.stretches.pop_front() else { return Ok(()) };
                self.begin(stretch, wanted.first, control)?;
            }
            let done = self.read_leg(wanted, control, sink);
            self.is_over |= done.is_err();
            done?;
            if self.stretches.is_empty() {
                return Ok(());
            }
            self.leg = None;
        }
        Ok(())
    }

    /// Opens a log, and goes to where its stretch begins.
    fn begin(&mut self, stretch: Stretch, first: Option<u64>, control: &Control) -> Result<()> {
        let mut reader = LogReader::open(&stretch.path)?;
        let page_size = reader.header().page_size;
        let count = self.base.as_ref().map(|base| base.count());
        if let Some(base) = self.base.take() {
            match Skipped::before(first, stretch.after.commit, (base, page_size)) {
                Ok(skipped) => self.skipped = Some(skipped),
                Err(base) => self.store = Some((Store::new(base, page_size), page_size)),
            }
        }
        self.skipped.iter_mut().try_for_each(|skipped| skipped.begin(&reader, stretch.after))?;
        seek(&mut reader, &stretch, self.skipped.as_mut(), control)?;
        count.map_or(Ok(()), |count| require_enough(&reader, count))?;
        let is_other = |size: u32| size != page_size;
        if self.store.as_ref().is_some_and(|(_, size)| is_other(*size))
            || self.skipped.as_ref().is_some_and(|skipped| is_other(skipped.page_size()))
        {
            return Err(unfit(&stretch.path, "is made for pages of another size than the log before"));
        }
        self.leg = Some((reader, stretch));
        self.legs += 1;
        Ok(())
    }

    fn read_leg(
        &mut self,
        wanted: &Wanted,
        control: &Control,
        sink: &mut dyn FnMut(Heard<'_>) -> Result<()>,
    ) -> Result<()> {
        let Some((reader, stretch)) = &mut self.leg else { return Ok(()) };
        let (tracker, told, log) = (&mut self.tracker, &mut self.told, self.legs.saturating_sub(1));
        told.torn = told.torn.take().filter(|torn| *torn != stretch.path);
        while let Some(record) = reader.next_record()? {
            control.check()?;
            let commit = record.head.commit;
            let is_past = |last: Option<u64>| last.is_some_and(|last| commit > last);
            if is_past(stretch.last) || is_past(wanted.last) {
                self.is_over = is_past(wanted.last) || self.stretches.is_empty();
                return Ok(());
            }
            if record.head.kind == RecordKind::Gap {
                let message =
                    format!("commit {commit} of {} stands for changes that nobody has seen", stretch.path.display());
                return Err(Error::new(ErrorKind::Partial, message)
                    .hint("What was changed from there on is told from the next full backup on."));
            }
            let is_passed = self.skipped.as_mut().map_or(Ok(false), |skipped| skipped.passes_over(reader, &record))?;
            if is_passed {
                (told.commits, told.last) = (told.commits + 1, Some(commit));
                sink(Heard::Commit { number: commit, log, end: record.end })?;
                continue;
            }
            if let Some(skipped) = self.skipped.take() {
                let page_size = skipped.page_size();
                self.store = Some((skipped.finish(control)?, page_size));
            }
            let Some((store, _)) = &self.store else { return Ok(()) };
            let changed = store.apply(reader, &record)?;
            (told.commits, told.last) = (told.commits + 1, Some(commit));
            if wanted.has_commit(&record) {
                tell((store, tracker), &record, &changed, wanted, &mut |operation| {
                    told.operations += 1;
                    sink(Heard::Operation(operation))
                })?;
            } else {
                tracker.forget();
            }
            sink(Heard::Commit { number: commit, log, end: record.end })?;
        }
        match reader.end() {
            End::Damaged { offset } => {
                let message = format!("{} is damaged at byte {offset}", stretch.path.display());
                Err(Error::new(ErrorKind::Damaged, message)
                    .hint("Everything before this place was told. Check the disk, and make a full backup."))
            }
            End::Torn { .. } => {
                told.torn = Some(stretch.path.clone());
                Ok(())
            }
            End::Open | End::Whole => Ok(()),
        }
    }
}

/// Tells one commit.
fn tell(
    (store, tracker): (&Store, &mut Tracker),
    record: &Record,
    changed: &[u32],
    wanted: &Wanted,
    sink: &mut dyn FnMut(&Operation<'_>) -> Result<()>,
) -> Result<()> {
    let (commit, time) = (record.head.commit, record.head.wall);
    let (mut number, mut is_seen) = (0, false);
    let mut one = |change: &Change<'_>| {
        number += 1;
        is_seen |= wanted.with_internal && !wanted.for_both || !change.is_internal;
        if !wanted.has(change) {
            return Ok(());
        }
        sink(&Operation { number, commit, time, change })
    };
    if record.head.kind == RecordKind::CatchUp {
        one(&Change::of(Action::CatchUp))?;
    }
    tracker.step(&store.before(), &store.after(), changed, &mut one)?;
    if !is_seen {
        let count = Some(changed.len() as u64);
        let change = Change { count, ..Change::of(Action::Rewrite) };
        if wanted.has(&change) {
            sink(&Operation { number: number + 1, commit, time, change: &change })?;
        }
    }
    Ok(())
}

/// Moves the reader to where the stretch begins; `skipped` takes note of what comes before.
fn seek(reader: &mut LogReader, stretch: &Stretch, mut skipped: Option<&mut Skipped>, control: &Control) -> Result<()> {
    loop {
        let tail = reader.tail();
        if tail.commit == stretch.after.commit && tail.chain == stretch.after.chain {
            return Ok(());
        }
        let record = if tail.commit < stretch.after.commit { reader.next_record()? } else { None };
        let Some(record) = record else {
            return Err(unfit(&stretch.path, "does not go on from what comes before it"));
        };
        skipped.as_deref_mut().map_or(Ok(()), |skipped| skipped.take(reader, &record))?;
        control.check()?;
    }
}

fn require_enough(reader: &LogReader, count: u32) -> Result<()> {
    let said = reader.tail().page_count;
    if said <= count {
        return Ok(());
    }
    Err(unfit(reader.path(), &format!("was made against a data file of {said} pages, and the archive has {count}")))
}

fn unfit(path: &Path, what: &str) -> Error {
    Error::new(ErrorKind::Damaged, format!("{} {what}", path.display()))
        .hint("The archive and the log do not belong together. Name another archive.")
}
