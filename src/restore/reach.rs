//! Whether an archive and the logs that go on from it lead to what is wanted; seen before anything is written.

use chrono::{DateTime, FixedOffset, Utc};

use super::{Sibling, logs::Planned, report::log_broken};
use crate::{
    archive::Archive,
    error::{Error, ErrorKind, Result},
    journal::{
        integrate::Until,
        plan::{Plan, PlanEnd},
    },
};

/// Refuses what is wanted where nothing at hand leads there.
///
/// # Errors
/// `Refused` for a moment or commit out of reach, naming the archive that leads there if there is one; `NotFound` where
/// no log goes on from the archive, and more than its own state is wanted.
pub(super) fn require(archive: &Archive, planned: Option<&Planned>, until: Until) -> Result<()> {
    let siblings = planned.map(|planned| planned.siblings.as_slice()).unwrap_or_default();
    if let Until::Moment(moment) = until
        && moment < archive.identity().moment
    {
        return Err(too_late(archive, siblings, moment));
    }
    match (planned.and_then(Planned::connected), until) {
        (_, Until::End) => Ok(()),
        (None, _) => Err(no_log(archive)),
        (Some(plan), Until::Commit(number)) if number < plan.from.commit => Err(before(archive, siblings, number)),
        (Some(plan), Until::Commit(number)) if number > plan.to.commit => {
            let shown = planned.and_then(Planned::for_people);
            Err(beyond(archive, shown.as_ref().unwrap_or(plan), number))
        }
        _ => Ok(()),
    }
}

/// The archive holds a later state than the one wanted; says which other one leads there.
fn too_late(archive: &Archive, siblings: &[Sibling], moment: DateTime<Utc>) -> Error {
    let shown = |moment: &DateTime<FixedOffset>| moment.format("%Y-%m-%d %H:%M:%S %:z").to_string();
    let (path, held) = (archive.path().display(), shown(&archive.identity().moment));
    let message = format!("{path} holds the state of {held}, after the moment wanted");
    let error = Error::new(ErrorKind::Refused, message);
    match siblings.iter().find(|sibling| sibling.moment <= moment) {
        Some(older) => error.hint(format!(
            "Full backup {}, of {}, is the newest before that moment. Restore that one, with its logs: {}",
            older.number,
            shown(&older.moment),
            older.archive.display()
        )),
        None => error.hint("No older archive is at hand. If there is one elsewhere, restore that one, with its logs."),
    }
}

/// The same of a commit, by its number.
fn before(archive: &Archive, siblings: &[Sibling], number: u64) -> Error {
    let position = archive.identity().log_position;
    let (at, epoch) = position.map_or((0, 0), |position| (position.commit, position.epoch));
    let message = format!("{} was made at commit {at}, after commit {number}", archive.path().display());
    let error = Error::new(ErrorKind::Refused, message);
    let leads = |sibling: &&Sibling| sibling.epoch == epoch && sibling.commit.is_some_and(|commit| commit <= number);
    match siblings.iter().filter(leads).max_by_key(|sibling| sibling.commit) {
        Some(older) => error.hint(format!(
            "Full backup {} was made at commit {}. Restore that one, with its logs: {}",
            older.number,
            older.commit.unwrap_or_default(),
            older.archive.display()
        )),
        None => error.hint("No older archive is at hand. If there is one elsewhere, restore that one, with its logs."),
    }
}

/// The logs end before the commit wanted; says where, and why where that is known.
fn beyond(archive: &Archive, plan: &Plan, number: u64) -> Error {
    let message = format!("commit {number} cannot be reached from {}", archive.path().display());
    let to = plan.to.commit;
    let error = Error::new(ErrorKind::Refused, message);
    match log_broken(Some(&plan.end)).filter(|_| !matches!(plan.end, PlanEnd::Complete)) {
        Some(broken) => error.hint(format!(
            "The logs at hand lead to commit {to}: {}. If another copy of that log exists, name it.",
            broken.message()
        )),
        None => error.hint(format!("The logs at hand lead to commit {to}. If a later log exists elsewhere, name it.")),
    }
}

/// What is said where no log goes on from an archive.
pub(super) fn no_log(archive: &Archive) -> Error {
    Error::new(ErrorKind::NotFound, format!("no log continues {}", archive.path().display()))
        .hint("Give the log with --log, or restore the archive without a moment or commit.")
}
