//! Finding which logs lead on from an archive, and how far.
//!
//! A log is used only where it stands exactly at the record before: the chain value of the position proves it. What
//! cannot be used is named with the reason, so that nobody takes for all what is only what was found.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    fork::{self, Relation, seek},
    format::{HEADER_BYTES, LogHeader, Position, RecordKind},
    index::Listed,
    jumps,
    plan::{Look, Piece, Plan, PlanEnd, Stretch, Unfit, Unused},
    reader::{End, LogReader},
};
use crate::{
    control::Control,
    error::{Error, ErrorKind, Result},
};

/// Finds which of `logs`, in any order, lead on from `from`, and how far.
///
/// What cannot be used is named with the reason.
///
/// # Errors
/// When the disk cannot be read while a log is, or the job is stopped.
pub fn plan(identity: Uuid, from: &Position, logs: &[PathBuf], control: &Control) -> Result<Plan> {
    plan_choosing(identity, from, (logs, &[], 0), Look::Records, control)
}

/// As [`plan`], made from what `look` says; those of `chosen` are meant where logs go on from one commit in different
/// ways, the first so many of which were `named` by whoever asks before all, and the others in their order.
///
/// # Errors
/// As [`plan`].
pub fn plan_choosing(
    identity: Uuid,
    from: &Position,
    (logs, chosen, named): (&[PathBuf], &[PathBuf], usize),
    look: Look,
    control: &Control,
) -> Result<Plan> {
    let mut plan = Plan::at(*from);
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for path in logs {
        let why = match LogReader::open(path) {
            Ok(reader) if reader.header().identity != identity => Unfit::Foreign,
            Ok(reader) if is_of_other(reader.header(), from) => Unfit::OtherPast,
            Ok(reader) => {
                found.push((reader.header().base.epoch, path.clone()));
                continue;
            }
            Err(error) => unfit(path, &error),
        };
        plan.unused.push(Unused { path: path.clone(), why });
    }
    // Of two that go on from one place, the one begun later in the place of the other; what was chosen before all, and
    // what was named before what is only written at the moment. The order in which several were named says nothing.
    found.sort_by_key(|(epoch, path)| (rank((chosen, named), path), std::cmp::Reverse(*epoch)));
    let mut left: Vec<PathBuf> = found.into_iter().map(|(_, path)| path).collect();
    // A log may hold the position at its base or, when a backup failed after its cut, in its middle. One that ends
    // early does not count where another copy of it goes on.
    loop {
        let mut found = None;
        for (index, path) in left.iter().enumerate() {
            if extend(&mut plan, path, look, control)? {
                found = Some(index);
                break;
            }
        }
        let Some(index) = found else { break };
        left.remove(index);
    }
    for path in left {
        let header = LogReader::open(&path)?.header().clone();
        // Older ones are of no concern here.
        let is_later = header.base.archive >= plan.from.archive;
        if let Some(why) = unfit_beside(&mut plan, &path, (chosen, named), control)? {
            plan.unused.push(Unused { path: path.clone(), why });
        }
        plan.unconnected.extend(is_later.then_some(path));
    }
    Ok(plan)
}

/// Where a log stands among those that were chosen: those that were `named`, which come first, alike and before all.
fn rank((chosen, named): (&[PathBuf], usize), path: &Path) -> usize {
    let place = chosen.iter().position(|known| known == path);
    place.map_or(usize::MAX, |place| if place < named { 0 } else { place })
}

/// Whether a log begins where the archive was cut, and is not the one that went on from it: that of a copy.
fn is_of_other(header: &LogHeader, from: &Position) -> bool {
    let (ours, theirs) = (from.log, header.base.log);
    header.base == *from && ours.is_some() && theirs.is_some() && ours != theirs && header.base.epoch <= from.epoch
}

/// Why a file that should be a log cannot be read as one.
fn unfit(path: &Path, error: &Error) -> Unfit {
    let length = path.metadata().map(|meta| meta.len());
    match (error.kind(), length) {
        (ErrorKind::NotRecognised | ErrorKind::Damaged, Ok(0)) => Unfit::Empty,
        (ErrorKind::NotRecognised | ErrorKind::Damaged, Ok(length)) if length < HEADER_BYTES as u64 => Unfit::Cut,
        (ErrorKind::Damaged | ErrorKind::NotRecognised, _) => Unfit::HeaderDamaged,
        _ => Unfit::Unreadable { message: error.message().to_owned() },
    }
}

/// Why a log of this data file is not among those that the plan uses; `None` where it holds nothing more.
fn unfit_beside(
    plan: &mut Plan,
    path: &Path,
    (chosen, named): (&[PathBuf], usize),
    control: &Control,
) -> Result<Option<Unfit>> {
    let mut reader = LogReader::open(path)?;
    let base = reader.header().base;
    if base.commit > plan.to.commit {
        return Ok(Some(Unfit::Later { begins: base.commit + 1 }));
    }
    if base.commit == plan.to.commit && base.archive >= plan.from.archive {
        return Ok(Some(Unfit::OtherBase));
    }
    while reader.next_record()?.is_some() {
        control.check()?;
    }
    let (tail, is_rooted) = (*reader.tail(), reader.header().rooted);
    if tail.commit <= plan.from.commit {
        return Ok(None);
    }
    match fork::compare(plan, path, control)? {
        Relation::Same => Ok(None),
        Relation::Apart(Some(found)) => {
            // Of two that were both named, neither is meant more than the other.
            let rank = |path| rank((chosen, named), path);
            let (used, other) = (rank(&found.used.path), rank(&found.other.path));
            let is_chosen = used < other && other >= named;
            if found.is_replaced() {
                plan.replaced.extend((!(is_chosen && used < named)).then_some(found));
                return Ok(Some(Unfit::Replaced { last: tail.commit }));
            }
            if !is_chosen && plan.fork.as_ref().is_none_or(|fork| found.commit < fork.commit) {
                plan.fork = Some(found);
            }
            Ok(Some(Unfit::OtherPast))
        }
        Relation::Apart(None) => Ok(Some(if is_rooted { Unfit::OtherPast } else { Unfit::OtherBase })),
    }
}

/// Adds the records of the log at `path` that continue the plan; false when the place where it stands is not in that
/// log.
fn extend(plan: &mut Plan, path: &Path, look: Look, control: &Control) -> Result<bool> {
    let mut reader = LogReader::open(path)?;
    if look == Look::Indexes && extend_by_index(plan, &mut reader)? {
        return Ok(true);
    }
    if !seek(&mut reader, &plan.to, control)? {
        // Its records may be in the log before already, written anew: as far as a crash let that come.
        let base = reader.header().base;
        let is_within = base.commit >= plan.from.commit && base.commit < plan.to.commit;
        match if is_within { fork::pass_same(plan, path, control)? } else { None } {
            Some(passed) => reader = passed,
            None => return Ok(false),
        }
    }
    let mut steps = Steps::new(plan, &reader);
    let mut end = PlanEnd::Complete;
    while let Some(record) = reader.next_record()? {
        control.check()?;
        let commit = record.head.commit;
        if record.head.kind == RecordKind::Gap {
            end = PlanEnd::Gap { path: path.to_path_buf(), commit };
            break;
        }
        steps.take(&Listed::of(&record.head), record.not_before);
        steps.plan.to = Position::at(steps.archive, commit, record.chain);
    }
    let piece = steps.piece;
    match reader.end() {
        End::Damaged { offset } => end = PlanEnd::Damaged { path: path.to_path_buf(), offset },
        // Only a log that is still being written can end so: nothing follows it.
        End::Torn { offset } => end = PlanEnd::Torn { path: path.to_path_buf(), offset },
        End::Open | End::Whole => {}
    }
    if piece.is_some() {
        plan.end = end;
    } else if plan.end == PlanEnd::Complete && end != PlanEnd::Complete {
        // It should have gone on here, and nobody else has yet.
        plan.end = end;
    }
    // Of those that end at one place, the one that begins there goes on from it; one that only leads there does not.
    let base = reader.header().base;
    let is_later = base.archive >= plan.from.archive.max(plan.to.archive);
    let begins_here = base.commit == plan.to.commit && reader.header().rooted && is_later;
    if piece.is_some() || begins_here && is_after_last(plan, base.archive) {
        plan.last = Some(path.to_path_buf());
    }
    plan.pieces.extend(piece);
    Ok(true)
}

/// Adds what the index of a log lists that continues the plan; false where that does not suffice.
fn extend_by_index(plan: &mut Plan, reader: &mut LogReader) -> Result<bool> {
    let header = reader.header().clone();
    let continues = (header.base.commit, header.base.chain) == (plan.to.commit, plan.to.chain);
    let Some(index) = Some(()).filter(|()| continues).and_then(|()| reader.index()) else { return Ok(false) };
    let Some(chain) = index.chain() else { return Ok(false) };
    if index.groups().any(|group| group.records.iter().any(|record| record.kind == RecordKind::Gap)) {
        return Ok(false);
    }
    if reader.has_late(&index)? {
        return Ok(false);
    }
    let mut steps = Steps::new(plan, reader);
    index.groups().for_each(|group| group.records.iter().for_each(|record| steps.take(record, None)));
    let (piece, archive) = (steps.piece, steps.archive);
    plan.to = Position::at(archive, header.base.commit + index.records(), chain);
    plan.end = PlanEnd::Complete;
    if piece.is_some() || is_after_last(plan, header.base.archive) {
        plan.last = Some(reader.path().to_path_buf());
    }
    plan.pieces.extend(piece);
    Ok(true)
}

/// Whether the log that follows full backup `archive` was not begun before the one that the plan ends with. Where full
/// backups were made without a commit in between, several logs begin and end at one place; the last of them goes on.
fn is_after_last(plan: &Plan, archive: u32) -> bool {
    let last = plan.last.as_ref().and_then(|last| LogReader::open(last).ok());
    last.is_none_or(|last| last.header().base.archive <= archive)
}

/// What a log adds to a plan, record by record.
struct Steps<'a> {
    plan: &'a mut Plan,
    piece: Option<Piece>,
    path: PathBuf,
    archive: u32,
    page_size: u32,
    is_first_version: bool,
    after: Position,
    time_before: DateTime<Utc>,
    /// How many in a row bear the same time.
    same: u32,
}

impl<'a> Steps<'a> {
    /// From where `reader` stands.
    fn new(plan: &'a mut Plan, reader: &LogReader) -> Self {
        let (header, start) = (reader.header(), reader.tail());
        let archive = header.base.archive;
        plan.base_time = plan.base_time.or(Some(start.wall));
        Self {
            plan,
            piece: None,
            path: reader.path().to_path_buf(),
            archive,
            page_size: header.page_size,
            is_first_version: header.version == 1,
            after: Position::at(archive, start.commit, start.chain),
            time_before: start.wall,
            same: 1,
        }
    }

    fn take(&mut self, record: &Listed, not_before: Option<DateTime<Utc>>) {
        let (plan, commit, time) = (&mut *self.plan, record.commit, record.wall);
        if record.kind == RecordKind::CatchUp {
            plan.catch_ups.push(Stretch { commit, from: self.time_before, to: time });
        }
        if let Some(from) = not_before {
            plan.take_late(commit, from, time);
        }
        plan.longest = plan.longest.max(u64::from(record.page_count) * u64::from(self.page_size));
        self.same = if time == self.time_before && self.is_first_version { self.same + 1 } else { 1 };
        plan.stands_still |= self.same >= jumps::STANDS_STILL;
        plan.runs_back |= time < self.time_before;
        self.time_before = time;
        plan.commits += 1;
        plan.times = Some((plan.times.map_or(time, |t| t.0), time));
        let (path, after) = (&self.path, self.after);
        let piece = self.piece.get_or_insert_with(|| Piece {
            path: path.clone(),
            commits: (commit, commit),
            times: (time, time),
            span: (time, time),
            after,
        });
        (piece.commits.1, piece.times.1) = (commit, time);
        piece.span = (piece.span.0.min(time), piece.span.1.max(time));
    }
}
