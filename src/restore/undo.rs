//! Undoing a restore in place: what that brings back and what it takes away, counted before anything is done.
//!
//! The log recorded the restore as one commit. So the state before it is the commit before that one, which an archive
//! with its logs leads to, whichever of them is still there; what was committed since is what comes after it.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Logs, Origin, find_point, in_place::Undo};
use crate::{
    archive::{Archive, catalog::ArchiveEntry},
    error::{Error, ErrorKind, Result},
    journal::integrate::{Look, Until},
};

/// What undoing a restore in place would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoPlan {
    /// The archive that leads to the state before.
    pub archive: PathBuf,
    /// The commit up to which its logs are integrated; `None` for the archive alone.
    pub commit: Option<u64>,
    /// When that commit was made, or the archive, where that is known.
    pub moment: Option<DateTime<Utc>>,
    /// Commits made since the restore, which leave the data file; `None` where no log counts them all.
    pub leaves: Option<u64>,
    /// The last commit in the log when that was counted.
    pub counted_at: Option<u64>,
}

impl UndoPlan {
    /// What a restore must integrate.
    pub fn until(&self) -> (Logs, Until) {
        Undo { archive: self.archive.clone(), commit: self.commit }.until()
    }

    /// What comes back, and what leaves the data file: `taken` commits were taken away, and `more` were made since this
    /// was planned.
    pub fn in_words(&self, taken: Option<u64>, more: u64) -> [String; 2] {
        let comes = match taken {
            Some(0) => "The state before the restore comes back; no commit had left the data file.".to_owned(),
            Some(1) => "1 commit that the restore took away comes back.".to_owned(),
            Some(taken) => format!("{taken} commits that the restore took away come back."),
            None => "The state before the restore comes back.".to_owned(),
        };
        let leaves = match self.leaves.map(|leaves| leaves + more) {
            Some(0) => "No commit was made since, so that none leaves the data file.".to_owned(),
            Some(1) => "1 commit made since leaves the data file.".to_owned(),
            Some(leaves) => format!("{leaves} commits made since leave the data file."),
            None => "Whatever was written since leaves the data file; how much that is is not known, because no log \
                counts it."
                .to_owned(),
        };
        [comes, leaves]
    }
}

/// Plans to undo a restore in place, from any of the `archives` of the data file.
///
/// `logs` are those to look at besides the ones found; `now` is the last commit of the running log, if one runs.
///
/// # Errors
/// When nothing leads to the state before any more, with the reason.
pub fn plan_undo(
    undo: &Undo,
    archives: &[ArchiveEntry],
    (logs, origin): (&Logs, &Origin),
    now: Option<u64>,
) -> Result<UndoPlan> {
    let Some(commit) = undo.commit else {
        let archive = Archive::open(&undo.archive).map_err(|why| gone(&undo.archive, &why))?;
        let moment = Some(archive.identity().moment.to_utc());
        return Ok(UndoPlan { archive: undo.archive.clone(), commit: None, moment, leaves: None, counted_at: None });
    };
    let usable = |entry: &&ArchiveEntry| {
        let leads = entry.log_position.is_some_and(|position| position.commit <= commit);
        leads && entry.problem.is_none() && entry.missing.is_none()
    };
    let mut candidates: Vec<&ArchiveEntry> = archives.iter().filter(usable).collect();
    // The one that it was kept with first.
    if let Some(at) = candidates.iter().position(|entry| entry.path == undo.archive) {
        candidates.swap(0, at);
    }
    let mut why = None;
    for entry in candidates {
        let archive = entry.path.clone();
        match find_point(&archive, &[], (logs, origin), Until::Commit(commit), Look::Records) {
            Ok(point) if point.commit == commit => {
                // Where the logs do not reach what the running one holds, there may be more that nobody counts.
                let counted = now.filter(|now| *now == commit + point.left_out);
                // One of those after it is the restore itself.
                let leaves = counted.map(|_| point.left_out.saturating_sub(1));
                return Ok(UndoPlan { archive, commit: Some(commit), moment: point.time, leaves, counted_at: counted });
            }
            Ok(point) => {
                let message = format!("{} leads with its logs only to commit {}", archive.display(), point.commit);
                why = why.or(Some(Error::new(ErrorKind::NotFound, message)));
            }
            // Exactly the state before, by itself.
            Err(_) if entry.log_position.is_some_and(|position| position.commit == commit) => {
                let moment = entry.moment.map(|moment| moment.to_utc());
                return Ok(UndoPlan { archive, commit: None, moment, leaves: None, counted_at: None });
            }
            Err(error) => why = why.or(Some(error)),
        }
    }
    Err(impossible(commit, why.as_ref()))
}

fn gone(archive: &Path, why: &Error) -> Error {
    let message =
        format!("{}, which keeps the state before the restore, cannot be read: {}", archive.display(), why.message());
    Error::new(ErrorKind::NotFound, message).hint("Bring that archive back to its folder, and try again.")
}

fn impossible(commit: u64, why: Option<&Error>) -> Error {
    let why =
        why.map_or_else(|| "every archive that is left was made after it".to_owned(), |why| why.message().to_owned());
    Error::new(
        ErrorKind::NotFound,
        format!("nothing leads to commit {commit} any more, the state before the restore: {why}"),
    )
    .hint(
        "Bring the archive from before that commit and the logs after it back to the folder for archives, and \
            try again.",
    )
}
