//! Logs that an archive contradicts: it says at which commit and chain value it was cut, and the log that leads over that
//! commit has another one there. Either belongs to another past of the data file, or one of both was forged.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Sibling;
use crate::{
    archive::ArchiveNumber,
    control::Control,
    error::{Error, ErrorKind, Result, foreign::shown},
    journal::{
        passes::chain_at,
        plan::{Plan, Until},
    },
};

/// A log, and the archive that was not cut from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherPast {
    /// The log.
    pub log: PathBuf,
    /// The first commit that is taken from it.
    pub first: u64,
    /// When that was made.
    pub from: DateTime<Utc>,
    /// The archive.
    pub archive: ArchiveNumber,
    /// The commit at which it was cut.
    pub cut: u64,
}

/// The logs of `plan` that one of `siblings` contradicts; `shown` is the plan with the names of the logs themselves.
///
/// # Errors
/// When a log cannot be read any more; `Stopped`.
pub(super) fn find((plan, shown): (&Plan, &Plan), siblings: &[Sibling], control: &Control) -> Result<Vec<OtherPast>> {
    let mut found: Vec<OtherPast> = Vec::new();
    for (at, piece) in plan.pieces.iter().enumerate() {
        let is_over = |sibling: &&Sibling| {
            let commit = sibling.commit.unwrap_or_default();
            sibling.epoch == piece.after.epoch && (piece.commits.0..=piece.commits.1).contains(&commit)
        };
        for sibling in siblings.iter().filter(is_over) {
            let (Some(cut), Some(chain)) = (sibling.commit, sibling.chain) else { continue };
            let next = plan.pieces.get(at + 1).map_or(plan.to, |next| next.after);
            let there = if next.commit == cut { Some(next.chain) } else { chain_at(piece, cut, control)? };
            if there.is_none_or(|there| there == chain) || found.last().is_some_and(|one| one.log == piece.path) {
                continue;
            }
            let log = shown.pieces.get(at).map_or(&piece.path, |piece| &piece.path).clone();
            found.push(OtherPast { log, first: piece.commits.0, from: piece.times.0, archive: sibling.number, cut });
        }
    }
    Ok(found)
}

impl OtherPast {
    /// Whether a restore up to `until` takes commits from it.
    fn concerns(&self, until: Until) -> bool {
        match until {
            Until::End => true,
            Until::Commit(commit) => commit >= self.first,
            Until::Moment(moment) => moment >= self.from,
        }
    }

    /// What is said of a restore up to `until`, where it takes commits from it.
    pub(super) fn problem(&self, until: Until) -> Option<Error> {
        let (log, number) = (shown(&self.log), self.archive);
        let message = format!(
            "full backup {number} was cut at commit {}, and not from {log}: what that log holds from commit {} on \
             belongs to another past, or was put there by somebody",
            self.cut, self.first
        );
        self.concerns(until).then(|| {
            Error::new(ErrorKind::Partial, message).about(&self.log).hint(format!(
                "See which of both is right: restore full backup {number} by its own name, too, and compare. If the log \
                 that it was cut from lies elsewhere, name that (--log, or Add log).",
            ))
        })
    }
}
