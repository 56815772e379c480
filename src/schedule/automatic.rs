//! What becomes of a backup that is due: run, late, missed, tried again, or suspended. A small state and pure steps.
//!
//! - Due while the program runs: it is run, once, however late the program notices (a machine that slept, a clock that
//!   was set forward), and however many were due meanwhile.
//! - Due while the program did not run: missed, which counts as failed. Then it is tried again as the settings say for
//!   a failure: at the next scheduled time, or after a time.
//! - A clock set back makes nothing due again. If it is behind what was done last by more than a day, it was wrong then
//!   rather than set back now, and counting begins anew.
//!
//! The state is kept between runs of the program. When it is lost, counting begins at the next start: nothing is missed
//! that could be known, and nothing is run twice.

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use serde::{Deserialize, Serialize};

use super::{last_due, next_due};
use crate::{
    error::ErrorReport,
    settings::sections::{Failure, Frequency, Scheduler},
};

/// No clock is set back by more than this for a good reason: a whole time zone, and summer time.
const SET_BACK_MAX: TimeDelta = TimeDelta::hours(26);

/// What is known of the automatic backups of one data file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Automatic {
    /// Every backup due up to this moment was seen to, in one way or another.
    pub handled: Option<DateTime<Utc>>,
    /// The schedule that this was counted by.
    pub schedule: Option<Scheduler>,
    /// How many attempts have failed since the last success.
    pub attempts: u32,
    /// When a failed backup is tried again, if not at the next scheduled time.
    pub retry_at: Option<DateTime<Utc>>,
    /// Since when there are no automatic backups, because too many attempts failed.
    pub suspended: Option<DateTime<Utc>>,
    /// When the last backup was due that was missed because the program did not run; until one succeeds.
    pub missed: Option<DateTime<Utc>>,
    /// When the data file was last known to be backed up as it was: a backup succeeded, or none was needed.
    pub covered: Option<DateTime<Utc>>,
    /// Why the last attempt failed.
    pub error: Option<ErrorReport>,
}

/// Why an automatic backup is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Reason {
    /// It was due at this moment.
    Scheduled {
        /// The last moment that it was due at.
        due: DateTime<Utc>,
    },
    /// One that failed is tried again.
    Retry {
        /// Which attempt it is, counted from 1.
        attempt: u32,
    },
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Make a backup.
    Run(Reason),
    /// Wait until this moment, or until something changes.
    Wait(Option<DateTime<Utc>>),
}

/// How an automatic backup ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// There is a new archive.
    Made,
    /// The data file was not modified since the last one.
    NotNeeded,
    /// It failed.
    Failed(ErrorReport),
    /// Somebody stopped it.
    Stopped,
}

/// The part of a schedule that decides when.
fn timing(scheduler: &Scheduler) -> Scheduler {
    Scheduler { only_if_modified: false, ..scheduler.clone() }
}

impl Automatic {
    /// Takes up the work where it was left, after a start of the program. Returns the moment of the last backup that
    /// was missed meanwhile. `newest` is the moment of the newest good archive: what was due before that was seen to,
    /// whoever made it.
    pub fn begin<Z: TimeZone>(
        &mut self,
        (scheduler, failure): (&Scheduler, &Failure),
        newest: Option<DateTime<Utc>>,
        now: &DateTime<Z>,
    ) -> Option<DateTime<Utc>> {
        let newest = newest.filter(|newest| *newest <= now.to_utc());
        if newest > self.covered {
            self.succeeded(newest.unwrap_or_default());
        }
        self.handled = self.handled.max(newest);
        self.follow(scheduler, now);
        let missed = last_due(scheduler, now).map(|due| due.to_utc()).filter(|due| self.handled < Some(*due))?;
        self.handled = Some(now.to_utc());
        if self.suspended.is_some() {
            return None;
        }
        self.missed = Some(missed);
        self.retry_at = self.retry_at.or(later(failure, now));
        Some(missed)
    }

    /// Goes by another schedule from now on: what it would have meant before now is not due.
    fn follow<Z: TimeZone>(&mut self, scheduler: &Scheduler, now: &DateTime<Z>) {
        let now = now.to_utc();
        let same = self.schedule.as_ref() == Some(&timing(scheduler));
        let wrong = self.handled.is_none_or(|handled| handled - now > SET_BACK_MAX);
        if !same || wrong {
            self.handled = if wrong { Some(now) } else { self.handled.max(Some(now)) };
            self.schedule = Some(timing(scheduler));
        }
    }

    /// What to do at `now`, while no backup of this data file runs.
    pub fn decide<Z: TimeZone>(&mut self, scheduler: &Scheduler, failure: &Failure, now: &DateTime<Z>) -> Decision {
        self.follow(scheduler, now);
        if self.suspended.is_some() || scheduler.frequency == Frequency::Never {
            self.retry_at = None;
            return Decision::Wait(None);
        }
        // After the clock was set back, nobody waits longer than the settings say; nor for what they no longer say.
        self.retry_at = later(failure, now).and_then(|latest| self.retry_at.map(|at| at.min(latest)));
        let handled = self.handled.unwrap_or_default();
        if let Some(due) = last_due(scheduler, now).map(|due| due.to_utc()).filter(|due| handled < *due) {
            return Decision::Run(Reason::Scheduled { due });
        }
        if self.retry_at.is_some_and(|at| at <= now.to_utc()) {
            return Decision::Run(Reason::Retry { attempt: self.attempts + 1 });
        }
        let from = now.clone().max(now.timezone().from_utc_datetime(&handled.naive_utc()));
        let next = next_due(scheduler, &from).map(|due| due.to_utc());
        Decision::Wait(next.into_iter().chain(self.retry_at).min())
    }

    /// Notes how an automatic backup ended that was made for `reason`.
    pub fn ended<Z: TimeZone>(&mut self, reason: Reason, ended: Ended, failure: &Failure, now: &DateTime<Z>) {
        let utc = now.to_utc();
        self.retry_at = None;
        if let Reason::Scheduled { due } = reason {
            // What became due while it ran is not made right after it.
            self.handled = self.handled.max(Some(due)).max(Some(utc));
        }
        match ended {
            Ended::Made | Ended::NotNeeded => self.succeeded(utc),
            Ended::Stopped => {}
            Ended::Failed(error) => {
                self.attempts = self.attempts.saturating_add(1);
                self.error = Some(error);
                if failure.cancel && self.attempts >= failure.cancel_after {
                    self.suspended = Some(utc);
                } else {
                    self.retry_at = later(failure, now);
                }
            }
        }
    }

    /// A backup succeeded, by hand or not: nothing is missed, failed or suspended any more.
    pub fn succeeded(&mut self, at: DateTime<Utc>) {
        let (handled, schedule) = (self.handled, self.schedule.take());
        *self = Self { handled, schedule, covered: self.covered.max(Some(at)), ..Self::default() };
    }
}

/// When a backup that failed at `now` is tried again, if not at the next scheduled time.
fn later<Z: TimeZone>(failure: &Failure, now: &DateTime<Z>) -> Option<DateTime<Utc>> {
    let delay = TimeDelta::from_std(failure.delay()?).ok()?;
    now.to_utc().checked_add_signed(delay)
}

#[cfg(test)]
mod tests {
    use chrono_tz::{Europe::Zurich, Tz};
    use proptest::prelude::*;

    use super::*;
    use crate::{
        error::Error,
        settings::sections::{Retry, RetryUnit},
    };

    fn daily() -> Scheduler {
        Scheduler { frequency: Frequency::EveryDay, ..Scheduler::default() }
    }

    fn hourly() -> Scheduler {
        Scheduler { frequency: Frequency::EveryHour, ..Scheduler::default() }
    }

    fn retry(minutes: u32) -> Failure {
        Failure { retry: Retry::After, retry_after: minutes, retry_unit: RetryUnit::Minutes, ..Failure::default() }
    }

    fn at(day: u32, hour: u32, minute: u32) -> DateTime<Tz> {
        let naive = chrono::NaiveDate::from_ymd_opt(2026, 6, day).and_then(|day| day.and_hms_opt(hour, minute, 0));
        // Summer time all month: two hours ahead.
        let utc = naive.unwrap_or_default() - TimeDelta::hours(2);
        Zurich.from_utc_datetime(&utc)
    }

    fn failed() -> Ended {
        Ended::Failed(Error::stopped().report())
    }

    fn begun(scheduler: &Scheduler, now: &DateTime<Tz>) -> Automatic {
        let mut state = Automatic::default();
        assert_eq!(state.begin((scheduler, &Failure::default()), None, now), None, "nothing can be missed at first");
        state
    }

    fn due(state: &mut Automatic, scheduler: &Scheduler, failure: &Failure, now: &DateTime<Tz>) -> Option<Reason> {
        match state.decide(scheduler, failure, now) {
            Decision::Run(reason) => Some(reason),
            Decision::Wait(next) => {
                assert!(next.is_none_or(|next| next > now.to_utc()), "waiting for the past");
                None
            }
        }
    }

    #[test]
    fn it_is_run_at_its_time_and_only_once() {
        let (schedule, failure) = (daily(), Failure::default());
        let mut state = begun(&schedule, &at(1, 12, 0));
        assert_eq!(state.decide(&schedule, &failure, &at(1, 22, 59)), Decision::Wait(Some(at(1, 23, 0).to_utc())));
        let reason = Reason::Scheduled { due: at(1, 23, 0).to_utc() };
        assert_eq!(due(&mut state, &schedule, &failure, &at(1, 23, 0)), Some(reason));
        state.ended(reason, Ended::Made, &failure, &at(1, 23, 2));
        assert_eq!(state.decide(&schedule, &failure, &at(1, 23, 2)), Decision::Wait(Some(at(2, 23, 0).to_utc())));
        assert_eq!(state.covered, Some(at(1, 23, 2).to_utc()));
    }

    #[test]
    fn after_a_sleep_or_a_clock_set_forward_there_is_one_late_run() {
        let (schedule, failure) = (hourly(), Failure::default());
        let mut state = begun(&schedule, &at(1, 12, 30));
        let reason = due(&mut state, &schedule, &failure, &at(3, 8, 10));
        assert_eq!(reason, Some(Reason::Scheduled { due: at(3, 8, 0).to_utc() }));
        // What becomes due while it runs is not made right after it.
        state.ended(Reason::Scheduled { due: at(3, 8, 0).to_utc() }, Ended::Made, &failure, &at(3, 10, 20));
        assert_eq!(state.decide(&schedule, &failure, &at(3, 10, 20)), Decision::Wait(Some(at(3, 11, 0).to_utc())));
    }

    #[test]
    fn a_clock_set_back_makes_nothing_due_again_unless_it_was_wrong_before() {
        let (schedule, failure) = (hourly(), Failure::default());
        let mut state = begun(&schedule, &at(2, 11, 30));
        for hour in [12, 13, 14] {
            let reason = due(&mut state, &schedule, &failure, &at(2, hour, 0)).unwrap_or(Reason::Retry { attempt: 0 });
            state.ended(reason, Ended::Made, &failure, &at(2, hour, 1));
        }
        for (hour, minute) in [(11, 5), (12, 0), (13, 0), (14, 0), (14, 59)] {
            assert_eq!(due(&mut state, &schedule, &failure, &at(2, hour, minute)), None);
        }
        assert!(due(&mut state, &schedule, &failure, &at(2, 15, 0)).is_some());
        // Back by four days: nobody waits four days for a backup.
        state.ended(Reason::Scheduled { due: at(9, 15, 0).to_utc() }, Ended::Made, &failure, &at(9, 15, 1));
        assert_eq!(due(&mut state, &schedule, &failure, &at(5, 15, 30)), None);
        assert!(due(&mut state, &schedule, &failure, &at(5, 16, 0)).is_some());
    }

    #[test]
    fn what_was_due_while_the_program_did_not_run_is_missed_and_follows_the_failure_rule() {
        let schedule = daily();
        let mut state = begun(&schedule, &at(1, 12, 0));
        let mut later = state.clone();
        // At the next scheduled time.
        let failure = Failure::default();
        assert_eq!(state.begin((&schedule, &failure), None, &at(4, 8, 0)), Some(at(3, 23, 0).to_utc()));
        assert_eq!(state.missed, Some(at(3, 23, 0).to_utc()));
        assert_eq!(state.decide(&schedule, &failure, &at(4, 8, 0)), Decision::Wait(Some(at(4, 23, 0).to_utc())));
        // It is said once, not at every start.
        assert_eq!(state.begin((&schedule, &failure), None, &at(4, 9, 0)), None);
        assert_eq!(state.missed, Some(at(3, 23, 0).to_utc()));
        // After a time.
        let failure = retry(10);
        later.begin((&schedule, &failure), None, &at(4, 8, 0));
        assert_eq!(later.decide(&schedule, &failure, &at(4, 8, 0)), Decision::Wait(Some(at(4, 8, 10).to_utc())));
        let reason = Reason::Retry { attempt: 1 };
        assert_eq!(due(&mut later, &schedule, &failure, &at(4, 8, 10)), Some(reason));
        later.ended(reason, Ended::Made, &failure, &at(4, 8, 11));
        assert_eq!((later.missed, later.retry_at, later.attempts), (None, None, 0));
    }

    #[test]
    fn a_good_archive_that_somebody_made_meanwhile_means_that_nothing_is_missed() {
        let (schedule, failure) = (daily(), Failure::default());
        let mut state = begun(&schedule, &at(1, 12, 0));
        let newest = Some(at(3, 23, 1).to_utc());
        assert_eq!(state.begin((&schedule, &failure), newest, &at(4, 8, 0)), None);
        // One from before the last date does not help.
        let mut state = begun(&schedule, &at(1, 12, 0));
        let newest = Some(at(3, 22, 59).to_utc());
        assert_eq!(state.begin((&schedule, &failure), newest, &at(4, 8, 0)), Some(at(3, 23, 0).to_utc()));
    }

    #[test]
    fn another_schedule_makes_nothing_due_that_lies_before_it_was_chosen() {
        let failure = retry(1);
        let mut state = begun(&daily(), &at(1, 12, 0));
        let earlier = Scheduler { at: chrono::NaiveTime::from_hms_opt(11, 0, 0).unwrap_or_default(), ..daily() };
        assert_eq!(state.decide(&earlier, &failure, &at(1, 15, 0)), Decision::Wait(Some(at(2, 11, 0).to_utc())));
        // Also when it was changed in the file while the program did not run.
        assert_eq!(state.begin((&daily(), &failure), None, &at(4, 8, 0)), None);
        assert_eq!(state.decide(&Scheduler::default(), &failure, &at(9, 8, 0)), Decision::Wait(None));
    }

    #[test]
    fn attempts_are_counted_and_too_many_suspend_until_one_succeeds() {
        let schedule = daily();
        let failure = Failure { cancel: true, cancel_after: 3, ..retry(5) };
        let mut state = begun(&schedule, &at(1, 12, 0));
        let mut now = at(1, 23, 0);
        for attempt in 1..=3u32 {
            let reason = due(&mut state, &schedule, &failure, &now);
            let retried = reason == Some(Reason::Retry { attempt });
            assert!(retried || attempt == 1, "{reason:?}");
            state.ended(reason.unwrap_or(Reason::Retry { attempt: 0 }), failed(), &failure, &now);
            assert_eq!(state.attempts, attempt);
            now += TimeDelta::minutes(5);
        }
        assert_eq!(state.suspended, Some(at(1, 23, 10).to_utc()));
        assert_eq!(state.decide(&schedule, &failure, &at(9, 23, 0)), Decision::Wait(None));
        assert_eq!(state.begin((&schedule, &failure), None, &at(9, 23, 30)), None, "suspended, so nothing is missed");
        // A backup made by hand, here while the program did not run, cures it.
        let mut elsewhere = state.clone();
        elsewhere.begin((&schedule, &failure), Some(at(9, 23, 40).to_utc()), &at(9, 23, 50));
        state.succeeded(at(9, 23, 40).to_utc());
        for state in [&mut state, &mut elsewhere] {
            assert_eq!((state.suspended, state.attempts, &state.error), (None, 0, &None));
            assert!(due(state, &schedule, &failure, &at(10, 23, 0)).is_some());
        }
    }

    #[test]
    fn a_retry_waits_as_long_as_the_settings_say_now_whatever_the_clock_does() {
        let schedule = daily();
        let mut state = begun(&schedule, &at(1, 12, 0));
        let reason = due(&mut state, &schedule, &retry(60), &at(1, 23, 0)).unwrap_or(Reason::Retry { attempt: 0 });
        state.ended(reason, failed(), &retry(60), &at(1, 23, 0));
        assert_eq!(state.decide(&schedule, &retry(60), &at(1, 23, 1)), Decision::Wait(Some(at(2, 0, 0).to_utc())));
        // The clock is set back by two hours: an hour more at most.
        assert_eq!(state.decide(&schedule, &retry(60), &at(1, 21, 1)), Decision::Wait(Some(at(1, 22, 1).to_utc())));
        // The rule was changed: at the next scheduled time.
        let rule = Failure::default();
        assert_eq!(state.decide(&schedule, &rule, &at(1, 21, 2)), Decision::Wait(Some(at(2, 23, 0).to_utc())));
    }

    #[test]
    fn a_stopped_backup_is_not_tried_again_before_its_next_date() {
        let (schedule, failure) = (daily(), retry(5));
        let mut state = begun(&schedule, &at(1, 12, 0));
        let reason = due(&mut state, &schedule, &failure, &at(1, 23, 0)).unwrap_or(Reason::Retry { attempt: 0 });
        state.ended(reason, Ended::Stopped, &failure, &at(1, 23, 1));
        assert_eq!((state.attempts, state.retry_at), (0, None));
        assert_eq!(state.decide(&schedule, &failure, &at(1, 23, 1)), Decision::Wait(Some(at(2, 23, 0).to_utc())));
    }

    /// What the clock does between two looks of the program.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        Minutes(i64),
        SetBack(i64),
        Restart(i64),
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (1i64..90).prop_map(Step::Minutes),
            1 => (90i64..6000).prop_map(Step::Minutes),
            1 => (1i64..1500).prop_map(Step::SetBack),
            1 => (1i64..3000).prop_map(Step::Restart),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn whatever_the_clock_does_nothing_is_run_twice(
            hourly_or_daily in any::<bool>(),
            fails in prop::collection::vec(any::<bool>(), 40),
            steps in prop::collection::vec(any_step(), 40),
        ) {
            let schedule = if hourly_or_daily { hourly() } else { daily() };
            let failure = Failure::default();
            let mut now = at(10, 12, 0);
            let mut state = begun(&schedule, &now);
            let (mut run, mut back) = (std::collections::BTreeSet::new(), 0);
            for (step, fail) in steps.into_iter().zip(fails) {
                match step {
                    Step::Minutes(minutes) => now += TimeDelta::minutes(minutes),
                    Step::SetBack(minutes) => {
                        // By more than a day altogether, the clock counts as wrong before.
                        back += minutes;
                        if back > SET_BACK_MAX.num_minutes() {
                            continue;
                        }
                        now -= TimeDelta::minutes(minutes);
                    }
                    Step::Restart(minutes) => {
                        now += TimeDelta::minutes(minutes);
                        let missed = state.begin((&schedule, &failure), None, &now);
                        prop_assert!(missed.is_none_or(|due| run.insert(due)), "missed what was run");
                    }
                }
                if let Some(Reason::Scheduled { due }) = due(&mut state, &schedule, &failure, &now) {
                    prop_assert!(due <= now.to_utc());
                    prop_assert!(run.insert(due), "{due} twice");
                    state.ended(Reason::Scheduled { due }, if fail { failed() } else { Ended::Made }, &failure, &now);
                    // At most one late run, however many were due.
                    prop_assert!(matches!(state.decide(&schedule, &failure, &now), Decision::Wait(_)));
                }
            }
        }
    }
}
