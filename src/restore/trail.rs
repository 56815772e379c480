//! The way from an archive through the logs, for whoever wants to see what each commit did: of a data file, or of one
//! log.

use std::path::{Path, PathBuf};

use super::{
    Logs,
    logs::{Planned, plan_logs},
    open,
    places::Origin,
};
use crate::{
    archive::{
        Archive,
        catalog::{self, ArchiveEntry},
        log_recovery,
    },
    control::Control,
    error::{Error, ErrorKind, ErrorReport, Result, shell::quoted},
    journal::{
        Position,
        integrate::Until,
        next_path,
        plan::{Look, Piece, PlanEnd},
        reader::LogReader,
    },
    settings, storage,
};

/// One log of the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leg {
    /// The log.
    pub path: PathBuf,
    /// The commit after which it is read.
    pub after: Position,
    /// The last commit that is read of it; `None` for all that there are.
    pub last: Option<u64>,
}

/// An archive, and the logs that go on from it.
pub struct Trail {
    /// The archive, whole or made whole.
    pub archive: Archive,
    /// The logs, in order.
    pub legs: Vec<Leg>,
    /// The first commit that was asked for by naming its log; `None` where all are.
    pub first: Option<u64>,
    /// Why it goes no further, where that is not the end of all there is.
    pub ends: Option<PlanEnd>,
    /// The last commit that is known, and why others may have been made after it that cannot be told.
    pub breaks_off: Option<(u64, ErrorReport)>,
    /// Holds the copies of logs that were repaired.
    planned: Option<Planned>,
}

impl Trail {
    /// Why not all may be at hand of what is wanted up to commit `last`, or of all.
    pub fn lacks(&self, last: Option<u64>) -> Option<&ErrorReport> {
        let (known, why) = self.breaks_off.as_ref()?;
        last.is_none_or(|last| last > *known).then_some(why)
    }
}

/// The way to the commits of one log. `archive` is where it begins; otherwise that is looked for beside the log, and
/// where archives of its data file usually lie.
///
/// # Errors
/// `NotFound` where no archive leads to the log; why the archive or the log cannot be read.
pub fn trail_of_log(log: &Path, archive: Option<&Path>, more: &[PathBuf], control: &Control) -> Result<Trail> {
    let reader = LogReader::open(log)?;
    let header = reader.header().clone();
    let first = Some(header.base.commit + 1);
    let folder = storage::folder_of(log);
    let mut folders = vec![folder.to_path_buf(), settings::default_destination(log)];
    if let Some(above) = folder.parent() {
        folders.extend([settings::default_destination(folder), above.to_path_buf()]);
    }
    folders.extend(more.iter().cloned());
    let found = match archive {
        Some(archive) => vec![archive.to_path_buf()],
        None => {
            let mut found: Vec<ArchiveEntry> =
                folders.iter().flat_map(|folder| catalog::list(folder, None).unwrap_or_default()).collect();
            found.retain(|entry| {
                let position = entry.log_position.filter(|position| position.commit <= header.base.commit);
                entry.data_file_id == Some(header.identity) && position.is_some()
            });
            found.sort_by_key(|entry| std::cmp::Reverse(entry.log_position.map(|position| position.commit)));
            // Whoever repaired an archive has its copy read.
            let copies: Vec<ArchiveEntry> =
                folders.iter().flat_map(|folder| catalog::copies(folder, None).unwrap_or_default()).collect();
            let copy_of = |entry: &ArchiveEntry| {
                let is_it = |copy: &&ArchiveEntry| copy.problem.is_none() && copy.archive_id == entry.archive_id;
                copies.iter().filter(|_| entry.archive_id.is_some()).find(is_it).map(|copy| copy.path.clone())
            };
            found.into_iter().flat_map(|entry| copy_of(&entry).into_iter().chain([entry.path])).collect()
        }
    };
    let mut problem = None;
    for path in found {
        let way = open(&path, &[], control).and_then(|(opened, _)| way(opened, log, &header.base, control));
        match way {
            Ok(trail) => return Ok(Trail { first, ..trail }),
            Err(error) => problem = problem.or(Some(error)),
        }
    }
    Err(problem.unwrap_or_else(|| {
        let message = format!("no archive that {} goes on from was found", log.display());
        let hint = match header.rooted {
            true => format!(
                "It goes on from full backup {:04}. Name that archive with --archive, or an older one with its logs.",
                header.base.archive
            ),
            false => {
                "It was begun without a full backup, so that nobody knows what was there before. Make one: what is \
                      changed after it can be told."
                    .to_owned()
            }
        };
        Error::new(ErrorKind::NotFound, message).hint(hint)
    }))
}

/// The way from an archive that was opened to a log.
fn way(archive: Archive, log: &Path, base: &Position, control: &Control) -> Result<Trail> {
    let Some(position) = archive.identity().log_position else { return Err(without_log(&archive)) };
    let is_of_same_log = position.log.is_none() || base.log.is_none() || position.log == base.log;
    // One with recovery data is looked at first: where it is damaged, what it was is read.
    if position == *base && is_of_same_log && !log_recovery::companion(log).is_file() {
        // Nothing need be read to know it: its first line can come at once.
        let mut legs = vec![Leg { path: log.to_path_buf(), after: position, last: None }];
        legs.extend(leg_after(log));
        return Ok(Trail { archive, legs, first: None, ends: None, breaks_off: None, planned: None });
    }
    let mut trail = planned(archive, &Logs::Also(vec![log.to_path_buf()]), &Origin::default(), control)?;
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    // Of a log that was repaired, a copy is read.
    let shown = trail.planned.as_ref().and_then(Planned::for_people);
    let at = shown.and_then(|plan| plan.pieces.iter().position(|piece| real(&piece.path) == real(log)));
    let Some(at) = at else {
        let message = format!("{} does not lead to {}", trail.archive.path().display(), log.display());
        return Err(Error::new(ErrorKind::NotFound, message).hint(
            "A log in between is missing, or they are of different pasts. Name another archive with --archive.",
        ));
    };
    if at + 1 < trail.legs.len() {
        trail.ends = None;
    }
    // Of one log nothing else is asked.
    trail.breaks_off = None;
    trail.legs.truncate(at + 1);
    Ok(trail)
}

/// The log that goes on while a full backup is made.
fn leg_after(log: &Path) -> Option<Leg> {
    let next = next_path(log);
    let header = LogReader::open(&next).ok()?.header().clone();
    Some(Leg { path: next, after: header.base, last: None })
}

/// The way through all logs of `archive`.
///
/// # Errors
/// As [`plan`](super::plan); `NotFound` where no log goes on from it.
pub fn trail_of_archive(archive: &Path, logs: &Logs, origin: &Origin, control: &Control) -> Result<Trail> {
    planned(open(archive, &[], control)?.0, logs, origin, control)
}

fn planned(archive: Archive, logs: &Logs, origin: &Origin, control: &Control) -> Result<Trail> {
    let planned = plan_logs(&archive, logs, origin, Look::Records, control)?;
    let Some(plan) = planned.as_ref().and_then(Planned::connected) else { return Err(without_log(&archive)) };
    let leg = |piece: &Piece| Leg { path: piece.path.clone(), after: piece.after, last: Some(piece.commits.1) };
    let legs = plan.pieces.iter().map(leg).collect();
    let ends = (plan.end != PlanEnd::Complete).then(|| plan.end.clone());
    let breaks_off =
        planned.as_ref().and_then(|planned| planned.known.breaks_off()).map(|error| (plan.to.commit, error.report()));
    Ok(Trail { archive, legs, first: None, ends, breaks_off, planned })
}

fn without_log(archive: &Archive) -> Error {
    let path = archive.path();
    Error::new(ErrorKind::NotFound, format!("no log goes on from {}", path.display())).hint(format!(
        "It was made without a log, or its logs lie elsewhere. Name the log itself, and the archive with it: \
         strongroom log FILE --archive {}.",
        quoted(path)
    ))
}

/// Whether what is wanted lies before the beginning of a log.
///
/// # Errors
/// When it cannot be read.
pub fn is_before(log: &Path, until: Until) -> Result<bool> {
    let reader = LogReader::open(log)?;
    Ok(match until {
        Until::End => false,
        Until::Moment(moment) => moment < reader.header().created,
        Until::Commit(number) => number < reader.header().base.commit,
    })
}
