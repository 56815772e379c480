//! Logs that an archive contradicts: it says at which commit and chain value it was cut, and the log that leads over
//! that commit has another one there. Either belongs to another past of the data file, or one of both was forged.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Sibling;
use crate::{
    archive::ArchiveNumber,
    control::Control,
    error::{Error, ErrorKind, Result, foreign::shown},
    journal::{
        format::Chain,
        index,
        integrate::Look,
        jumps::NOTICED,
        passes::chain_at,
        plan::{Plan, Until},
        reader::LogReader,
    },
};

/// A log, and the archive that was not cut from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherPast {
    /// The log.
    pub log: PathBuf,
    /// The first commit that is taken from it; `None` where none was made since.
    pub first: Option<u64>,
    /// When that was made.
    pub from: DateTime<Utc>,
    /// The archive.
    pub archive: ArchiveNumber,
    /// The commit at which it was cut.
    pub cut: u64,
}

/// The logs of `plan` that one of `siblings` contradicts, or a later log, whose base is where the archive before it was
/// cut; `shown` is the plan with the names of the logs themselves.
///
/// # Errors
/// When a log cannot be read any more; `Stopped`.
pub(super) fn find((plan, shown): (&Plan, &Plan), siblings: &[Sibling], control: &Control) -> Result<Vec<OtherPast>> {
    let mut found: Vec<OtherPast> = Vec::new();
    let mut cuts: Vec<Cut> = siblings.iter().filter_map(Cut::of).collect();
    cuts.extend(plan.unconnected.iter().filter_map(|log| Cut::before(log)));
    for (at, piece) in plan.pieces.iter().enumerate() {
        let is_over =
            |cut: &&Cut| cut.epoch == piece.after.epoch && (piece.commits.0..=piece.commits.1).contains(&cut.commit);
        for &Cut { archive, commit: cut, chain, .. } in cuts.iter().filter(is_over) {
            let next = plan.pieces.get(at + 1).map_or(plan.to, |next| next.after);
            let there = if next.commit == cut { Some(next.chain) } else { chain_at(piece, cut, control)? };
            if there.is_none_or(|there| there == chain) || found.last().is_some_and(|one| one.log == piece.path) {
                continue;
            }
            let log = shown.pieces.get(at).map_or(&piece.path, |piece| &piece.path).clone();
            found.push(OtherPast { log, first: Some(piece.commits.0), from: piece.times.0, archive, cut });
        }
    }
    // Data file and log may have been put back to an older state, as a machine is: what was committed then, up to when
    // the archive was made, is in neither.
    let is_more = |sibling: &&Sibling| sibling.epoch == plan.to.epoch && sibling.commit > Some(plan.to.commit);
    for sibling in siblings {
        let known = found.iter_mut().find(|one| one.archive == sibling.number && Some(one.cut) == sibling.commit);
        if known.is_none() && !is_more(&sibling) {
            continue;
        }
        let since = went_on(plan, sibling.moment.to_utc(), control)?;
        let archive = sibling.number;
        match (known, since, sibling.commit) {
            (Some(one), Some((from, first, _)), _) => {
                (one.from, one.first) = (one.from.min(from), one.first.min(Some(first)));
            }
            (None, Some((from, first, log)), Some(cut)) => {
                let log = shown.pieces.get(log).map_or_else(PathBuf::new, |piece| piece.path.clone());
                found.push(OtherPast { log, first: Some(first), from, archive, cut });
            }
            (None, None, Some(cut)) => {
                let Some(log) = shown.last.clone() else { continue };
                let from = plan.times.map(|times| times.1).or(plan.base_time);
                let from = from.unwrap_or(sibling.moment.to_utc()).min(sibling.moment.to_utc());
                found.push(OtherPast { log, first: None, from, archive, cut });
            }
            _ => {}
        }
    }
    Ok(found)
}

/// The time of the last commit up to `moment`, the number of the first one after it, and the place of its log in the
/// plan; `None` where none was made after it.
fn went_on(plan: &Plan, moment: DateTime<Utc>, control: &Control) -> Result<Option<(DateTime<Utc>, u64, usize)>> {
    let mut from = plan.base_time.unwrap_or(moment);
    for (at, piece) in plan.pieces.iter().enumerate() {
        if piece.times.1 - moment <= NOTICED {
            from = piece.times.1;
            continue;
        }
        let mut first = None;
        index::each(&mut LogReader::open(&piece.path)?, Look::Indexes, control, &mut |record| {
            match first {
                None if record.wall - moment > NOTICED => first = Some(record.commit),
                None => from = record.wall,
                Some(_) => {}
            }
            Ok(())
        })?;
        if let Some(first) = first {
            return Ok(Some((from, first, at)));
        }
    }
    Ok(None)
}

/// Where an archive was cut.
struct Cut {
    archive: ArchiveNumber,
    commit: u64,
    chain: Chain,
    epoch: u32,
}

impl Cut {
    fn of(sibling: &Sibling) -> Option<Self> {
        let (archive, epoch) = (sibling.number, sibling.epoch);
        Some(Self { archive, commit: sibling.commit?, chain: sibling.chain?, epoch })
    }

    /// As the log says that was begun there.
    fn before(log: &Path) -> Option<Self> {
        let reader = LogReader::open(log).ok()?;
        let (base, is_rooted) = (reader.header().base, reader.header().rooted);
        let archive = ArchiveNumber(base.archive);
        is_rooted.then_some(Self { archive, commit: base.commit, chain: base.chain, epoch: base.epoch })
    }
}

impl OtherPast {
    /// Whether it tells of commits only that the log does not hold: of no concern where the log says itself that it
    /// lacks some.
    pub(super) fn is_of_lost(&self) -> bool {
        self.first.is_none()
    }

    /// Whether a restore up to `until` takes commits from it.
    fn concerns(&self, until: Until) -> bool {
        match until {
            Until::End => self.first.is_some(),
            Until::Commit(commit) => self.first.is_some_and(|first| commit >= first),
            Until::Moment(moment) => moment >= self.from,
        }
    }

    /// What is said of a restore up to `until`, where it takes commits from it.
    pub(super) fn problem(&self, until: Until) -> Option<Error> {
        let (log, number, cut) = (shown(&self.log), self.archive, self.cut);
        let message = match self.first {
            Some(first) => format!(
                "full backup {number} was cut at commit {cut}, and not from {log}: what that log holds from commit \
                 {first} on belongs to another past, or was put there by somebody"
            ),
            None => format!(
                "full backup {number} was cut at commit {cut}, which {log} does not hold: data file and log were put \
                 back to an older state, and what was committed before that is in neither"
            ),
        };
        self.concerns(until).then(|| {
            Error::new(ErrorKind::Partial, message).about(&self.log).hint(format!(
                "See which of both is right: restore full backup {number} by its own name, too, and compare. If the \
                 log that it was cut from lies elsewhere, name that (--log, or Add log).",
            ))
        })
    }
}
