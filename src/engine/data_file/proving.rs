//! What is to be proven of a data file by test restores: when that may be, and what follows from how one ended.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    backup::BackupReport, drill::MINUTE_BYTES, engine::command::JobId, error::ErrorKind,
    settings::sections::TestRestore,
};

/// So long nothing else must have gone on.
const QUIET: Duration = Duration::from_secs(10);
/// A drill that could not be made is tried again after so long.
pub(in crate::engine) const AGAIN: TimeDelta = TimeDelta::hours(1);
/// One whose disk is away waits until it is back; so long it may take until that is noticed.
const SOON: TimeDelta = TimeDelta::seconds(30);
/// Drills are so far apart.
pub(in crate::engine) const WEEK: TimeDelta = TimeDelta::weeks(1);

/// What is to be proven of a data file.
#[derive(Debug, Default)]
pub(in crate::engine) struct Proving {
    /// The archive made last, until it was tested; and when that may be tried again, where it could not be made.
    pub(in crate::engine) waiting: Option<(PathBuf, Option<DateTime<Utc>>)>,
    /// When the last job on the data file ended.
    pub(in crate::engine) quiet_since: Option<Instant>,
    /// When the last drill was, as the Backup journal knows it.
    pub(in crate::engine) last_drill: Option<DateTime<Utc>>,
    /// When the next drill is due, once that was worked out.
    pub(in crate::engine) drill_at: Option<DateTime<Utc>>,
    /// The test that runs, and of which archive; `None` for a drill.
    pub(in crate::engine) runs: Option<(JobId, Option<PathBuf>)>,
}

/// A test whose time has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) enum Due {
    /// Of the archive that was made last.
    Archive(PathBuf),
    /// Of one drawn by lot.
    Drill,
}

/// What follows from how a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Verdict {
    /// The archive is proven.
    Proven,
    /// It could not be made: it is tried again after so long.
    Again(TimeDelta),
    /// The archive is not there any more, which is said otherwise, and cannot be tested.
    Gone,
    /// What was found damaged is said of the archive.
    Said,
    /// It has failed, which is to be said.
    Failed,
}

impl Proving {
    /// What is due at `now`, where drills are made or not. Nothing while another test runs, or another job has ended
    /// just now.
    pub(in crate::engine) fn due(&self, drills: bool, now: DateTime<Utc>) -> Option<Due> {
        let is_quiet = self.quiet_since.is_none_or(|since| since.elapsed() >= QUIET);
        if self.runs.is_some() || !is_quiet {
            return None;
        }
        if let Some((archive, again_at)) = &self.waiting {
            return again_at.is_none_or(|at| at <= now).then(|| Due::Archive(archive.clone()));
        }
        (drills && self.drill_at.is_none_or(|at| at <= now)).then_some(Due::Drill)
    }
}

/// What follows from a test that ended with this error, or without one. `is_disturbed` says whether a backup went on
/// meanwhile, which renames the log and may delete an old archive under the hands of a test; `is_found` whether what is
/// damaged is known.
pub(in crate::engine) fn verdict(error: Option<ErrorKind>, is_disturbed: bool, is_found: bool) -> Verdict {
    match error {
        None => Verdict::Proven,
        Some(ErrorKind::Stopped | ErrorKind::NoSpace | ErrorKind::Busy) => Verdict::Again(AGAIN),
        // When its disk is back.
        Some(ErrorKind::PlaceMissing) => Verdict::Again(SOON),
        Some(ErrorKind::Changed) => Verdict::Gone,
        Some(_) if is_disturbed => Verdict::Again(AGAIN),
        Some(_) if is_found => Verdict::Said,
        Some(_) => Verdict::Failed,
    }
}

/// Whether a backup that was just made is to be tested; one whose segments lie on several media cannot be.
pub(in crate::engine) fn is_wanted(setting: TestRestore, made: &BackupReport) -> bool {
    let is_together = made.files.iter().all(|file| file.parent() == made.archive.parent());
    is_together
        && match setting {
            TestRestore::Never => false,
            TestRestore::Always => true,
            TestRestore::Automatic => made.data_bytes <= MINUTE_BYTES,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_due_when_it_waits_and_nothing_else_goes_on() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap_or_default();
        let (before, after) = (now - TimeDelta::seconds(1), now + TimeDelta::seconds(1));
        let archive = || PathBuf::from("/b/a[0001].4BK");
        let waits = |at| Proving { waiting: Some((archive(), at)), ..Proving::default() };
        let drill_at = |at| Proving { drill_at: at, ..Proving::default() };
        let runs = Some((JobId::new(), None));
        let table = [
            ("nothing waits", Proving::default(), false, None),
            ("a drill was never made", Proving::default(), true, Some(Due::Drill)),
            ("a drill is due", drill_at(Some(now)), true, Some(Due::Drill)),
            ("a drill is not due yet", drill_at(Some(after)), true, None),
            ("an archive waits", waits(None), false, Some(Due::Archive(archive()))),
            ("it comes before a drill", waits(None), true, Some(Due::Archive(archive()))),
            ("it is tried again", waits(Some(before)), false, Some(Due::Archive(archive()))),
            ("it is not tried again yet, and no drill instead", waits(Some(after)), true, None),
            ("another test runs", Proving { runs, ..waits(None) }, true, None),
            ("a job ended just now", Proving { quiet_since: Some(Instant::now()), ..waits(None) }, true, None),
        ];
        for (what, proving, drills, expected) in table {
            assert_eq!(proving.due(drills, now), expected, "{what}");
        }
    }

    #[test]
    fn what_could_not_be_tested_is_tested_again_and_only_what_failed_is_said() {
        use ErrorKind as K;
        let table = [
            (None, false, false, Verdict::Proven),
            (None, true, true, Verdict::Proven),
            (Some(K::Stopped), false, false, Verdict::Again(AGAIN)),
            (Some(K::NoSpace), true, true, Verdict::Again(AGAIN)),
            (Some(K::PlaceMissing), false, false, Verdict::Again(SOON)),
            (Some(K::Changed), true, false, Verdict::Gone),
            (Some(K::Damaged), true, true, Verdict::Again(AGAIN)),
            (Some(K::Damaged), false, true, Verdict::Said),
            (Some(K::Damaged), false, false, Verdict::Failed),
            (Some(K::Io), false, false, Verdict::Failed),
        ];
        for (error, is_disturbed, is_found, expected) in table {
            assert_eq!(verdict(error, is_disturbed, is_found), expected, "{error:?} {is_disturbed} {is_found}");
        }
    }
}
