//! Applying logs to a restored file, as it was planned.
//!
//! A record is applied only where the file stands exactly at the record before: the chain value of the position proves
//! it. On a restored archive that position is the one it names; the log whose base it is, the log *after* the archive,
//! continues there. Every page is checked against its hash after decoding, so a base that is not what the log was made
//! against is noticed at the first page that tells.

use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{format::Position, index, reader::LogReader, target::Target};
use crate::{
    control::{Control, Phase},
    error::{Error, ErrorKind, Result},
    storage::regular::{self, Links},
};

pub use super::{
    fork::seek,
    plan::{LateRead, Look, Piece, Plan, PlanEnd, Point, Stretch, Unfit, Until, Unused},
    planning::{plan, plan_choosing},
};

/// What an integration did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Integrated {
    /// Where the file stands now.
    pub position: Position,
    /// Number of commits applied.
    pub commits: u64,
    /// Time of the last one applied.
    pub last: Option<DateTime<Utc>>,
    /// Time of the first one left out, when a limit was given.
    pub next: Option<DateTime<Utc>>,
    /// Whether every page of the data file, also of those that no commit touched, was compared with the checksum of the
    /// state that the log keeps.
    #[serde(default)]
    pub is_proven: bool,
}

/// Finds the commit that `until` leads to, without applying anything, from what `look` says.
///
/// A moment leads to the last commit that was made while the clock showed it or one before. Where a clock ran back,
/// that may be after commits that bear later times.
///
/// # Errors
/// When a log cannot be read, or the job is stopped.
pub fn resolve(plan: &Plan, until: Until, look: Look, control: &Control) -> Result<Point> {
    let mut point = Point { commit: plan.from.commit, time: None, next: None, left_out: 0 };
    for piece in &plan.pieces {
        let (is_whole, is_none) = match until {
            Until::End => (true, false),
            Until::Moment(moment) => (piece.span.1 <= moment, piece.span.0 > moment),
            Until::Commit(number) => (piece.commits.1 <= number, piece.commits.0 > number),
        };
        if is_whole {
            (point.commit, point.time, point.next) = (piece.commits.1, Some(piece.times.1), None);
            continue;
        }
        if is_none {
            point.next = point.next.or(Some(piece.times.0));
            continue;
        }
        index::each(&mut LogReader::open(&piece.path)?, look, control, &mut |record| {
            let (commit, time) = (record.commit, record.wall);
            if !(piece.commits.0..=piece.commits.1).contains(&commit) {
                return Ok(());
            }
            let is_wanted = match until {
                Until::End => true,
                Until::Moment(moment) => time <= moment,
                Until::Commit(number) => commit <= number,
            };
            if is_wanted {
                (point.commit, point.time, point.next) = (commit, Some(time), None);
            } else {
                point.next = point.next.or(Some(time));
            }
            Ok(())
        })?;
    }
    point.left_out = plan.to.commit - point.commit;
    Ok(point)
}

/// Applies the logs of `plan` to the file at `target`, which stands at `plan.from` and is open nowhere else.
///
/// Everything is on the disk when this returns. After an error or a stop, `target` is of no use.
///
/// # Errors
/// `Damaged` when the file or a log is not what the chain says, `Refused` when the wanted commit is out of reach,
/// `Stopped`, or a failing disk.
pub fn integrate(target: &Path, plan: &Plan, until: Until, control: &Control) -> Result<Integrated> {
    let (file, _) = regular::open_with(OpenOptions::new().read(true).write(true), target, Links::Refused)
        .map_err(|e| Error::io("open", target, e))?;
    integrate_into((file, target.to_path_buf()), plan, until, control)
}

/// As [`integrate`], for a file that was opened to be read and written, and how it is called.
///
/// # Errors
/// As [`integrate`].
pub fn integrate_into(target: (File, PathBuf), plan: &Plan, until: Until, control: &Control) -> Result<Integrated> {
    if let Until::Commit(number) = until
        && (number < plan.from.commit || number > plan.to.commit)
    {
        let (from, to) = (plan.from.commit, plan.to.commit);
        return Err(Error::new(ErrorKind::Refused, format!("commit {number} cannot be reached from here"))
            .hint(format!("The archive stands at commit {from}, and the logs at hand lead to commit {to}.")));
    }
    let point = resolve(plan, until, Look::Records, control)?;
    control.phase(Phase::Restoring, plan.commits);
    let mut done = Integrated { position: plan.from, commits: 0, last: None, next: point.next, is_proven: false };
    let mut file = Target::new(target);
    for piece in plan.pieces.iter().filter(|piece| piece.commits.0 <= point.commit) {
        let mut reader = LogReader::open(&piece.path)?;
        let changed = || {
            Error::new(ErrorKind::Damaged, format!("{} changed meanwhile", piece.path.display()))
                .hint("Start the restore again.")
        };
        let (page_size, archive) = (reader.header().page_size, reader.header().base.archive);
        file.prepare(page_size)?;
        let is_at_base = reader.tail().commit == piece.after.commit && reader.tail().chain == piece.after.chain;
        if !seek(&mut reader, &piece.after, control)? {
            return Err(changed());
        }
        if reader.tail().page_count > file.page_count {
            let (path, said, found) = (piece.path.display(), reader.tail().page_count, file.page_count);
            let message = format!("{path} was made against a data file of {said} pages, and this one has {found}");
            return Err(Error::new(ErrorKind::Damaged, message)
                .hint("The archive and the log do not belong together. Restore without the log."));
        }
        let mut is_first = true;
        while done.position.commit < piece.commits.1.min(point.commit) {
            let record = reader.next_record()?.ok_or_else(changed)?;
            if std::mem::take(&mut is_first) {
                file.begin(is_at_base.then(|| reader.blank()));
            }
            control.check()?;
            file.apply(&mut reader, &record)?;
            control.add(1);
            done.commits += 1;
            done.last = Some(record.head.wall);
            done.position =
                Position { state: record.head.state, ..Position::at(archive, record.head.commit, record.chain) };
        }
    }
    file.finish()?;
    done.is_proven = file.prove(done.position.state.filter(|_| done.commits > 0), control)?;
    Ok(done)
}
