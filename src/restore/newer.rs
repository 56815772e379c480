//! Archives that are newer than the one that a restore begins with: what it lacks, where they cannot be used.

use chrono::{DateTime, FixedOffset};

use super::{Made, RestorePlan};
use crate::{
    archive::{Archive, ArchiveNumber, catalog::ArchiveEntry},
    error::{Error, ErrorKind, shell::quoted},
    journal::integrate::Until,
};

/// What is known of archives that are newer than the one that a restore begins with.
pub(super) struct Newer<'a> {
    /// The number of the last one, by the settings.
    pub(super) last_number: ArchiveNumber,
    pub(super) made: Option<&'a Made>,
    /// Those at hand, the newest first.
    pub(super) archives: &'a [ArchiveEntry],
    pub(super) until: Until,
}

impl Newer<'_> {
    /// What is to be said where `plan` does not begin with the newest archive that was made; `problem` is why the
    /// newest one that is there cannot be used, if so.
    pub(super) fn unusable(&self, plan: &RestorePlan, problem: Option<&Error>) -> Option<Error> {
        let (what, hint) = self.newest(plan, problem)?;
        let (used, of) = (plan.identity.number, shown_of(Some(plan.identity.moment)));
        let message =
            format!("{what}; what was committed after backup {used}{of} is not certainly in what was restored");
        Some(Error::new(ErrorKind::Partial, message).hint(hint))
    }

    /// The same of program files and attachments, which no log brings further.
    pub(super) fn with_files(&self, plan: &RestorePlan, problem: Option<&Error>) -> Option<Error> {
        // Of one that is not there it is not known at which commit it was made.
        if matches!(self.until, Until::Commit(_)) && problem.is_none() {
            return None;
        }
        let (what, hint) = self.newest(plan, problem)?;
        let (used, of) = (plan.identity.number, shown_of(Some(plan.identity.moment)));
        let message =
            format!("{what}; program files and attachments are as backup {used}{of} holds them, and not newer");
        Some(Error::new(ErrorKind::Partial, message).hint(hint))
    }

    /// Why `plan` does not begin with the newest archive that was made, and what to do; `None` where it does.
    fn newest(&self, plan: &RestorePlan, problem: Option<&Error>) -> Option<(String, String)> {
        let used = plan.identity.number;
        let made = self.made.filter(|made| made.number > used);
        let number = self.last_number.max(made.map_or(used, |made| made.number));
        let made = made.filter(|made| made.number == number);
        let there = self.archives.iter().find(|archive| archive.number > used);
        if number <= used && there.is_none() {
            return None;
        }
        // One that is later than what is wanted is of no concern, and neither are those made after it.
        if let Until::Moment(moment) = self.until
            && (made.is_some_and(|made| made.at > moment)
                || self.archives.iter().any(|archive| archive.moment.is_some_and(|held| held > moment)))
        {
            return None;
        }
        Some(match (there.filter(|there| there.number >= number), problem) {
            (Some(there), Some(problem)) => {
                let made = made.map(|made| made.at);
                (
                    format!(
                        "backup {}{} cannot be restored: {}",
                        there.number,
                        shown_of(there.moment.or(made)),
                        problem.message()
                    ),
                    problem.hint_text().unwrap_or("See what is left of it: strongroom verify ARCHIVE.").to_owned(),
                )
            }
            (Some(there), None) => (
                format!(
                    "backup {}{} was made without the log, and the log of an older one leads further than it",
                    there.number,
                    shown_of(there.moment)
                ),
                format!("It is there: strongroom restore {} --no-log restores it itself.", quoted(&there.path)),
            ),
            _ => {
                let is_it =
                    |made: &&Made| Archive::glance(&made.archive).is_ok_and(|found| found.number == made.number);
                let elsewhere = made.filter(is_it);
                let was =
                    made.map_or_else(String::new, |made| format!(" (it was written as {})", made.archive.display()));
                (
                    format!(
                        "backup {number}{} is not among the archives found{was}",
                        shown_of(made.map(|made| made.at))
                    ),
                    match elsewhere {
                        Some(made) => format!("It is still there: restore {} itself.", made.archive.display()),
                        None => "Bring it back from where it was moved to, and restore again.".to_owned(),
                    },
                )
            }
        })
    }
}

fn shown_of(moment: Option<DateTime<FixedOffset>>) -> String {
    moment.map_or_else(String::new, |moment| format!(" of {}", moment.format("%Y-%m-%d %H:%M:%S %:z")))
}
