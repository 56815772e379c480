//! Undoing a restore in place: what that brings back and what it takes away, counted before anything is done.
//!
//! The log recorded the restore as one commit. So the state before it is the commit before that one, which an archive
//! with its logs leads to, whichever of them is still there; what was committed since is what comes after it.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Logs, Origin,
    in_place::Undo,
    logs::{Planned, plan_logs},
    open, reach,
};
use crate::{
    archive::{Archive, catalog::ArchiveEntry},
    control::Control,
    error::{Error, ErrorKind, Result},
    journal::{
        Position,
        integrate::{self, Look, Until},
        passes::passes,
        plan::Point,
    },
};

/// What undoing a restore in place would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoPlan {
    /// The archive that leads to the state before.
    pub archive: PathBuf,
    /// The commit up to which its logs are integrated; `None` for the archive alone.
    pub commit: Option<u64>,
    /// The logs that lead there: others may hold another commit of that number.
    #[serde(default)]
    pub logs: Vec<PathBuf>,
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
        let logs = if self.logs.is_empty() { Logs::Found } else { Logs::Also(self.logs.clone()) };
        self.commit.map_or((Logs::None, Until::End), |number| (logs, Until::Commit(number)))
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
        let archive = archive_alone(undo, archives)?;
        let (moment, archive) = (Some(archive.identity().moment.to_utc()), archive.path().to_path_buf());
        let logs = Vec::new();
        return Ok(UndoPlan { archive, commit: None, logs, moment, leaves: None, counted_at: None });
    };
    let Some(wanted) = undo.position else { return Err(impossible(commit, Some(&nameless()))) };
    let is_wanted = |position: Position| (position.commit, position.chain) == (wanted.commit, wanted.chain);
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
        match point_of(&archive, &wanted, (logs, origin)) {
            Ok((point, logs)) => {
                // Where the logs do not reach what the running one holds, there may be more that nobody counts.
                let counted = now.filter(|now| *now == commit + point.left_out);
                // One of those after it is the restore itself.
                let leaves = counted.map(|_| point.left_out.saturating_sub(1));
                let (commit, moment) = (Some(commit), point.time);
                return Ok(UndoPlan { archive, commit, logs, moment, leaves, counted_at: counted });
            }
            // Exactly the state before, by itself.
            Err(_) if entry.log_position.is_some_and(is_wanted) => {
                let moment = entry.moment.map(|moment| moment.to_utc());
                let logs = Vec::new();
                return Ok(UndoPlan { archive, commit: None, logs, moment, leaves: None, counted_at: None });
            }
            Err(error) => why = why.or(Some(error)),
        }
    }
    Err(impossible(commit, why.as_ref()))
}

/// Where the logs of an archive reach the wanted commit, and which logs these are.
fn point_of(archive: &Path, wanted: &Position, (logs, origin): (&Logs, &Origin)) -> Result<(Point, Vec<PathBuf>)> {
    let control = Control::default();
    let opened = open(archive, &[], &control)?.0;
    let planned = plan_logs(&opened, logs, origin, Look::Records, &control)?;
    let plan = planned.as_ref().and_then(Planned::connected).ok_or_else(|| reach::no_log(&opened))?;
    let (shown, commit) = (archive.display(), wanted.commit);
    if plan.to.commit < commit {
        let message = format!("{shown} leads with its logs only to commit {}", plan.to.commit);
        return Err(Error::new(ErrorKind::NotFound, message));
    }
    if !passes(plan, wanted, &control)? {
        let message = format!(
            "commit {commit}, to which {shown} leads with its logs, is another one: the log that held \
            the state before was lost, and begun anew"
        );
        return Err(Error::new(ErrorKind::NotFound, message));
    }
    let point = integrate::resolve(plan, Until::Commit(commit), Look::Records, &control)?;
    let shown = planned.as_ref().and_then(Planned::for_people);
    let pieces = shown.iter().flat_map(|plan| &plan.pieces).filter(|piece| piece.commits.0 <= commit);
    Ok((point, pieces.map(|piece| piece.path.clone()).collect()))
}

/// The archive that was made to keep the state before, wherever it lies now.
fn archive_alone(undo: &Undo, archives: &[ArchiveEntry]) -> Result<Archive> {
    let is_it = |archive: &Archive| undo.archive_id.is_none_or(|id| archive.identity().archive_id == id);
    let there = Archive::open(&undo.archive).and_then(|archive| match is_it(&archive) {
        true => Ok(archive),
        false => Err(Error::new(ErrorKind::NotFound, "another archive lies in its place")),
    });
    there.or_else(|why| {
        let same = |entry: &&ArchiveEntry| undo.archive_id.is_some() && entry.archive_id == undo.archive_id;
        let elsewhere = archives.iter().find(same).ok_or_else(|| gone(&undo.archive, &why))?;
        Archive::open(&elsewhere.path).map_err(|why| gone(&elsewhere.path, &why))
    })
}

fn nameless() -> Error {
    Error::new(ErrorKind::NotFound, "an earlier version of the program noted it by its number alone")
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
