//! Logs that hold the same commits, and logs that go on from one commit in different ways.
//!
//! A data file that is copied with its settings, of which both copies are written to, leaves logs of one identity and
//! one beginning. Which of them is meant, nobody but the administrator knows: it is said where they part, and never
//! decided by the order in which they were found. A log that was begun anew in the place of one that was over by then
//! is no such case: it has a higher epoch, and its first commit is not before the last one of the other.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Local, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    aside::is_set_aside,
    format::Position,
    plan::{Plan, Until},
    reader::{LogReader, Record},
};
use crate::{
    control::Control,
    error::{Error, ErrorKind, Result},
};

/// Two logs that part after one commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fork {
    /// The last commit that both lead to.
    pub commit: u64,
    /// How the logs go on that the plan follows.
    pub used: Branch,
    /// How the other one does.
    pub other: Branch,
}

/// One way of going on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Branch {
    /// The log.
    pub path: PathBuf,
    /// Its id; logs of version 1 have none.
    pub id: Option<Uuid>,
    /// How often the history of the data file was begun anew before it.
    pub epoch: u32,
    /// Its last commit.
    pub last: u64,
    /// When the first commit was made that is not in the other one.
    pub begins: DateTime<Utc>,
    /// When the last one was.
    pub ends: DateTime<Utc>,
}

impl Fork {
    /// Whether the other log was over when the one that is used was begun in its place, or went on from before: one
    /// that was put aside is no past of another data file.
    pub(super) fn is_replaced(&self) -> bool {
        let is_over = self.used.epoch > self.other.epoch || is_set_aside(&self.other.path);
        is_over && self.used.begins >= self.other.ends
    }

    /// What to ask of a restore up to `until` where the other log, which was over when the one that is used was begun,
    /// holds a commit with this number too, or what was committed at that moment.
    pub fn question_of_replaced(&self, until: Until) -> Option<Error> {
        let (used, other) = (&self.used, &self.other);
        let what = match until {
            Until::Commit(number) if number > self.commit && number <= other.last => {
                format!("commit {number} stands in two logs")
            }
            Until::Moment(moment) if other.begins <= moment && moment <= other.ends => {
                "the moment wanted lies in another log than the one that is used".to_owned()
            }
            _ => return None,
        };
        let (old, new) = (other.path.display(), used.path.display());
        let message = format!(
            "{what}: {old} went on from commit {} up to commit {}, and {new} goes on in its place",
            self.commit, other.last
        );
        Some(Error::new(ErrorKind::Refused, message).hint(format!(
            "Name the log that is meant (--log, or Add log): {old} for what was committed before it was replaced, \
             {new} for what came later."
        )))
    }

    /// What to ask of a restore up to `until`, where it leads beyond the place.
    pub fn question(&self, until: Until) -> Option<Error> {
        let is_beyond = match until {
            Until::End => true,
            Until::Commit(number) => number > self.commit,
            Until::Moment(moment) => moment >= self.used.begins.min(self.other.begins),
        };
        let shown = |time: DateTime<Utc>| time.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S %:z").to_string();
        let branch = |branch: &Branch| {
            let (path, last) = (branch.path.display(), branch.last);
            format!("{path} (up to commit {last}, {} to {})", shown(branch.begins), shown(branch.ends))
        };
        is_beyond.then(|| {
            let message = format!(
                "two logs go on from commit {} in different ways, and only you know which is meant: {} and {}",
                self.commit,
                branch(&self.used),
                branch(&self.other)
            );
            Error::new(ErrorKind::Refused, message).hint(format!(
                "A data file was copied with its settings, and both went on. Name the log of the one that you want \
                 (--log, or Add log), or restore up to commit {} at most. Give the copy an identity of its own: \
                 strongroom settings COPY --own-identity.",
                self.commit
            ))
        })
    }
}

/// How a log that the plan does not use stands to it.
pub(super) enum Relation {
    /// All its commits are in the plan.
    Same,
    /// It holds others; where both part, if they have anything in common.
    Apart(Option<Fork>),
}

/// The records of the plan, in order.
struct Steps<'a> {
    plan: &'a Plan,
    piece: usize,
    reader: Option<LogReader>,
}

impl Steps<'_> {
    fn next(&mut self, control: &Control) -> Result<Option<Record>> {
        while let Some(piece) = self.plan.pieces.get(self.piece) {
            control.check()?;
            if self.reader.is_none() {
                let mut reader = LogReader::open(&piece.path)?;
                seek(&mut reader, &piece.after, control)?;
                self.reader = Some(reader);
            }
            let record = match &mut self.reader {
                Some(reader) => reader.next_record()?,
                None => None,
            };
            match record.filter(|record| record.head.commit <= piece.commits.1) {
                Some(record) => return Ok(Some(record)),
                None => (self.piece, self.reader) = (self.piece + 1, None),
            }
        }
        Ok(None)
    }

    /// Whether `record` of `reader` is the commit `own`, which was returned last.
    fn is_same(&mut self, own: &Record, reader: &mut LogReader, record: &Record) -> Result<bool> {
        match &mut self.reader {
            Some(mine) => is_same(mine, own, reader, record),
            None => Ok(false),
        }
    }
}

/// Whether two records are one commit: the same in the same log, or written anew from one log to another.
fn is_same(a: &mut LogReader, one: &Record, b: &mut LogReader, other: &Record) -> Result<bool> {
    if one.chain == other.chain {
        return Ok(true);
    }
    let same = |record: &Record| (record.head.kind, record.head.commit, record.head.page_count, record.head.mark);
    if same(one) != same(other) {
        return Ok(false);
    }
    Ok(pages(a, one)? == pages(b, other)?)
}

/// What a record makes of each of its pages, as one hash.
fn pages(reader: &mut LogReader, record: &Record) -> Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    reader.pages(record, &mut |entry| {
        hasher.update(&entry.page.to_le_bytes()).update(&entry.hash);
        Ok(())
    })?;
    Ok(hasher.finalize())
}

/// Compares the log at `path` with the records of `plan`.
pub(super) fn compare(plan: &Plan, path: &Path, control: &Control) -> Result<Relation> {
    let mut reader = LogReader::open(path)?;
    let mut ours = Steps { plan, piece: 0, reader: None };
    let mut own: Option<Record> = None;
    let mut common = None;
    loop {
        let tail = *reader.tail();
        // The place in the plan with the same number.
        while own.map_or(plan.from.commit, |own| own.head.commit) < tail.commit {
            match ours.next(control)? {
                Some(next) => own = Some(next),
                None => break,
            }
        }
        let here = own.map_or((plan.from.commit, plan.from.chain), |own| (own.head.commit, own.chain));
        if here == (tail.commit, tail.chain) {
            common = Some(tail.commit);
        }
        let Some(record) = reader.next_record()? else { return Ok(part(common, tail.commit, None)) };
        if common != Some(tail.commit) {
            continue;
        }
        // Both lead to here; the next one tells.
        let Some(next) = ours.next(control)? else { return Ok(part(common, record.head.commit, None)) };
        own = Some(next);
        if ours.is_same(&next, &mut reader, &record)? {
            common = Some(record.head.commit);
            continue;
        }
        let used = branch(plan, &next, ours.piece)?;
        let mut other = Branch {
            path: path.to_path_buf(),
            id: reader.header().base.log,
            epoch: reader.header().base.epoch,
            last: record.head.commit,
            begins: record.head.wall,
            ends: record.head.wall,
        };
        while let Some(record) = reader.next_record()? {
            control.check()?;
            (other.last, other.ends) = (record.head.commit, other.ends.max(record.head.wall));
        }
        let commit = tail.commit;
        return Ok(Relation::Apart(Some(Fork { commit, used, other })));
    }
}

fn part(common: Option<u64>, last: u64, fork: Option<Fork>) -> Relation {
    if common == Some(last) { Relation::Same } else { Relation::Apart(fork) }
}

/// How the plan goes on with `next`, which is of its piece of that index.
fn branch(plan: &Plan, next: &Record, piece: usize) -> Result<Branch> {
    let rest = &plan.pieces[piece..];
    let (path, ends) = (rest[0].path.clone(), rest.iter().map(|piece| piece.span.1).max().unwrap_or(next.head.wall));
    let base = LogReader::open(&path)?.header().base;
    Ok(Branch { path, id: base.log, epoch: base.epoch, last: plan.to.commit, begins: next.head.wall, ends })
}

/// The log at `path` just after the end of the plan, where all its records so far are in the plan, written anew.
pub(super) fn pass_same(plan: &Plan, path: &Path, control: &Control) -> Result<Option<LogReader>> {
    let mut reader = LogReader::open(path)?;
    let mut ours = Steps { plan, piece: 0, reader: None };
    let base = reader.header().base;
    let mut at = (plan.from.commit, plan.from.chain);
    while at.0 < base.commit {
        let Some(next) = ours.next(control)? else { return Ok(None) };
        at = (next.head.commit, next.chain);
    }
    if at != (base.commit, base.chain) {
        return Ok(None);
    }
    while let Some(own) = ours.next(control)? {
        let Some(record) = reader.next_record()? else { return Ok(None) };
        if !ours.is_same(&own, &mut reader, &record)? {
            return Ok(None);
        }
    }
    Ok(Some(reader))
}

/// Moves the reader to just after `position`; false when it is not in this log.
///
/// # Errors
/// When the log cannot be read, or the job is stopped.
pub fn seek(reader: &mut LogReader, position: &Position, control: &Control) -> Result<bool> {
    loop {
        let tail = reader.tail();
        if tail.commit == position.commit && tail.chain == position.chain {
            return Ok(true);
        }
        if tail.commit >= position.commit || reader.next_record()?.is_none() {
            return Ok(false);
        }
        control.check()?;
    }
}
