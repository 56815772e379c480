//! The way from an archive through the logs: how it is found, what is read on it, and why it ends.

use std::sync::Arc;

use crate::{
    control::Control,
    error::{Error, ErrorKind, Result},
    journal::plan::PlanEnd,
    records::history::{Stretch, Wanted},
    restore::trail::{Leg, Trail},
};

/// Finds the way.
pub type Open = Arc<dyn Fn(&Control) -> Result<Trail> + Send + Sync>;

/// Everything, as it is listed with and without what SQLite keeps for itself.
pub(super) fn everything(first: Option<u64>) -> Wanted {
    Wanted { first, with_internal: true, for_both: true, ..Wanted::default() }
}

/// The logs of a trail; the last one is read to its end, wherever that will be.
pub(super) fn stretches(legs: &[Leg], goes_on: bool) -> Vec<Stretch> {
    let of = |(at, leg): (usize, &Leg)| {
        let last = leg.last.filter(|_| !goes_on || at + 1 < legs.len());
        Stretch { path: leg.path.clone(), after: leg.after, last }
    };
    legs.iter().enumerate().map(of).collect()
}

/// Why no more can be told, where the way through the logs ends.
pub(super) fn end_of(end: Option<PlanEnd>) -> Option<Error> {
    match end? {
        PlanEnd::Damaged { path, offset } => {
            let message = format!("{} is damaged at byte {offset}", path.display());
            Some(
                Error::new(ErrorKind::Damaged, message)
                    .hint("Everything before this place is told. Check the disk, and make a full backup."),
            )
        }
        PlanEnd::Gap { path, commit } => {
            let message = format!("commit {commit} of {} stands for changes that nobody has seen", path.display());
            Some(
                Error::new(ErrorKind::Partial, message)
                    .hint("What comes after it is told from the next full backup on."),
            )
        }
        PlanEnd::Torn { .. } | PlanEnd::Complete => None,
    }
}
