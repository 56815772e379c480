//! The automatic backups of a data file, as functions over values: what is shown of the next one, and what becomes of
//! one that has ended. When one is due is decided by [`Automatic`].

use chrono::{DateTime, Local};

use crate::{
    engine::status::JobReport,
    error::{ErrorKind, ErrorReport},
    schedule::automatic::{Automatic, Ended, Reason},
    settings::sections::Failure,
};

/// What is to be shown of the next backup, if that is otherwise than what is shown. A moment that has come is shown as
/// it was until another one lies ahead.
pub(in crate::engine) fn newly_shown(
    shown: Option<DateTime<Local>>,
    next: Option<DateTime<Local>>,
    now: DateTime<Local>,
) -> Option<Option<DateTime<Local>>> {
    let stays = shown.is_some_and(|shown| shown <= now) && next.is_some_and(|next| next <= now);
    (shown != next && !stays).then_some(next)
}

/// How a backup ended, as the schedule counts it.
pub(in crate::engine) fn ended(result: &Result<JobReport, ErrorReport>) -> Ended {
    match result {
        Ok(JobReport::Skipped { .. }) => Ended::NotNeeded,
        Ok(_) => Ended::Made,
        Err(error) if error.kind == ErrorKind::Stopped => Ended::Stopped,
        Err(error) => Ended::Failed(error.clone()),
    }
}

/// What is known of the automatic backups after one, made for this `reason`, or by hand; `None` where that changes
/// nothing. `is_ending` says whether the program ends: what was cut off because of that counts as missed at its next
/// start.
pub(in crate::engine) fn after(
    known: &Automatic,
    reason: Option<Reason>,
    ended: Ended,
    (failure, is_ending): (&Failure, bool),
    now: &DateTime<Local>,
) -> Option<Automatic> {
    let mut state = known.clone();
    match (reason, ended) {
        (Some(_), Ended::Stopped) if is_ending => return None,
        (Some(reason), ended) => state.ended(reason, ended, failure, now),
        (None, Ended::Made) => state.succeeded(now.to_utc()),
        (None, _) => return None,
    }
    Some(state)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::{archive::ArchiveNumber, error::Error};

    #[test]
    fn a_moment_that_has_come_is_shown_until_another_lies_ahead() {
        let now = DateTime::UNIX_EPOCH.with_timezone(&Local);
        let at = |seconds| Some(now + TimeDelta::seconds(seconds));
        let table = [
            (None, None, None),
            (None, at(60), Some(at(60))),
            (at(60), at(60), None),
            (at(60), at(90), Some(at(90))),
            (at(60), None, Some(None)),
            (at(-5), at(0), None),
            (at(-5), at(60), Some(at(60))),
            (at(-5), None, Some(None)),
            (at(60), at(0), Some(at(0))),
        ];
        for (shown, next, expected) in table {
            assert_eq!(newly_shown(shown, next, now), expected, "{shown:?} {next:?}");
        }
    }

    #[test]
    fn what_ends_with_the_program_or_by_hand_without_success_changes_nothing() {
        let (now, failure) = (DateTime::UNIX_EPOCH.with_timezone(&Local), Failure::default());
        let failed = || Ended::Failed(Error::new(ErrorKind::NoSpace, "full").report());
        let reason = || Some(Reason::Scheduled { due: now.to_utc() });
        let known = Automatic { attempts: 2, ..Automatic::default() };
        let after = |reason, ended, is_ending| after(&known, reason, ended, (&failure, is_ending), &now);
        assert_eq!(after(reason(), Ended::Stopped, true), None);
        assert_eq!(after(None, failed(), false), None);
        assert_eq!(after(None, Ended::Stopped, false), None);
        // One by hand covers what was due.
        let by_hand = after(None, Ended::Made, false);
        assert_eq!(by_hand.map(|state| (state.attempts, state.covered)), Some((0, Some(now.to_utc()))));
        let stopped = after(reason(), Ended::Stopped, false);
        assert_eq!(stopped.and_then(|state| state.handled), Some(now.to_utc()), "not made again at once");
        assert!(after(reason(), failed(), false).is_some_and(|state| state != known));
    }

    #[test]
    fn how_a_job_ended_is_counted() {
        assert_eq!(ended(&Ok(JobReport::Skipped { since: ArchiveNumber(1) })), Ended::NotNeeded);
        assert_eq!(ended(&Ok(JobReport::Sample { path: "/a".into(), bytes: 1 })), Ended::Made);
        assert_eq!(ended(&Err(Error::stopped().report())), Ended::Stopped);
        let full = Error::new(ErrorKind::NoSpace, "full").report();
        assert_eq!(ended(&Err(full.clone())), Ended::Failed(full));
    }
}
