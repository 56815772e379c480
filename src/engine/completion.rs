//! What the Backup journal says of a job that has ended: it follows from what was begun and what came of it.

use super::{
    history::{HistoryEntry, Outcome},
    status::JobReport,
};
use crate::{
    archive::heal::Repaired,
    error::{ErrorKind, ErrorReport},
};

/// The entry of a job that was `begun`, and of which this came after so many milliseconds.
pub(super) fn completed(
    begun: HistoryEntry,
    result: &Result<JobReport, ErrorReport>,
    duration_ms: u64,
) -> HistoryEntry {
    let mut entry = HistoryEntry { duration_ms: Some(duration_ms), outcome: outcome(result), ..begun };
    let why = entry.note.take();
    match result {
        Ok(report) => {
            entry.error = report.problem().map(|problem| problem.report());
            tell(&mut entry, report);
        }
        Err(error) => entry.error = Some(error.clone()),
    }
    // Why it ran stays, before what came of it.
    entry.note = match (why, entry.note.take()) {
        (Some(why), Some(note)) => Some(format!("{why} {note}")),
        (why, note) => why.or(note),
    };
    entry
}

fn outcome(result: &Result<JobReport, ErrorReport>) -> Outcome {
    match result {
        Ok(JobReport::Skipped { .. }) => Outcome::Skipped,
        Ok(report) if report.problem().is_some() => Outcome::Partial,
        Ok(_) => Outcome::Succeeded,
        Err(error) if error.kind == ErrorKind::Stopped => Outcome::Stopped,
        Err(_) => Outcome::Failed,
    }
}

/// What was made, how much of it, and what else is worth knowing.
fn tell(entry: &mut HistoryEntry, report: &JobReport) {
    match report {
        JobReport::Backup(report) => {
            (entry.number, entry.bytes) = (Some(report.number), Some(report.bytes));
            entry.path = Some(report.archive.clone());
            entry.note = report.deleted.in_words();
        }
        JobReport::Restore(report) => {
            (entry.number, entry.bytes) = (Some(report.number), Some(report.bytes));
            let live = report.in_place.as_ref().map(|done| done.data_file.clone());
            entry.path = live.or_else(|| Some(report.destination.clone()));
            entry.note = of_archive(report.repaired.as_ref());
        }
        JobReport::Verify(report) => (entry.number, entry.bytes) = (Some(report.number), Some(report.bytes)),
        JobReport::Repair(report) => {
            (entry.number, entry.bytes) = (Some(report.number), Some(report.bytes));
            entry.path = report.copy.clone().or_else(|| entry.path.take());
            entry.note = of_archive(report.repaired.as_ref());
        }
        JobReport::TestRestore(proof) => {
            (entry.number, entry.bytes) = (Some(proof.number), Some(proof.bytes));
            entry.path = Some(proof.archive.clone());
            entry.note = of_archive(proof.repaired.as_ref());
        }
        JobReport::VerifyRecords(report) => {
            let unknown = report.unknown();
            entry.note = (!unknown.is_empty()).then(|| format!("These could not be checked: {}.", unknown.join(", ")));
        }
        JobReport::Recover(report) => {
            (entry.path, entry.bytes) = (Some(report.to.clone()), Some(report.bytes));
            entry.note = (!report.remarks.is_empty()).then(|| report.remarks.join(" "));
        }
        JobReport::Compact(report) => entry.bytes = Some(report.after_bytes),
        JobReport::TakeBack(report) => entry.note = Some(format!("{}.", report.in_words().replace('\n', ". "))),
        JobReport::Skipped { since } => {
            entry.note = Some(format!("The data file was not modified since backup {since}."));
        }
        JobReport::Sample { path, bytes } => (entry.path, entry.bytes) = (Some(path.clone()), Some(*bytes)),
    }
}

/// Of a damaged archive from which everything wanted came back, that too.
fn of_archive(repaired: Option<&Repaired>) -> Option<String> {
    repaired.map(|repaired| format!("The archive is damaged: {}.", repaired.in_words()))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Local};
    use uuid::Uuid;

    use super::*;
    use crate::{
        archive::ArchiveNumber,
        drill::Proof,
        engine::{
            command::JobId,
            history::{Job, JobKind},
        },
        error::Error,
        maintenance::{CompactReport, RecordsReport},
        sqlite::check::{Findings, State},
    };

    fn begun(note: Option<&str>) -> HistoryEntry {
        HistoryEntry {
            job: Job {
                id: JobId(Uuid::from_u128(1)),
                kind: JobKind::TestRestore,
                data_file: Some("/srv/a.db".into()),
                started: DateTime::UNIX_EPOCH.with_timezone(&Local),
                automatic: true,
            },
            number: None,
            duration_ms: None,
            outcome: Outcome::Running,
            path: Some("/srv/asked.4BK".into()),
            bytes: None,
            error: None,
            note: note.map(str::to_owned),
        }
    }

    fn proof() -> Proof {
        Proof {
            archive: "/srv/proven.4BK".into(),
            archive_id: Uuid::from_u128(2),
            data_file_id: Uuid::nil(),
            number: ArchiveNumber(7),
            moment: DateTime::UNIX_EPOCH.fixed_offset(),
            proven: DateTime::UNIX_EPOCH.into(),
            commit: None,
            commits: 0,
            bytes: 4096,
            repaired: None,
            repaired_logs: Vec::new(),
            duration_ms: 5,
        }
    }

    #[test]
    fn what_came_of_a_job_is_told_and_why_it_ran_stays() {
        let stopped = || Err(Error::stopped().report());
        let failed = || Err(Error::new(ErrorKind::NoSpace, "the disk is full").report());
        let skipped = || Ok(JobReport::Skipped { since: ArchiveNumber(3) });
        let compacted = CompactReport {
            data_file: "/srv/a.db".into(),
            before_bytes: 9,
            after_bytes: 5,
            held_ms: 1,
            not_checked: None,
        };
        let unmodified = "The data file was not modified since backup 0003.";
        let table = [
            (None, stopped(), Outcome::Stopped, None, None),
            (Some("It was due."), failed(), Outcome::Failed, None, Some("It was due.")),
            (None, skipped(), Outcome::Skipped, None, Some(unmodified)),
            (
                Some("It was due."),
                skipped(),
                Outcome::Skipped,
                None,
                Some("It was due. The data file was not modified since backup 0003."),
            ),
            (None, Ok(JobReport::Compact(compacted)), Outcome::Succeeded, Some(5), None),
            (Some("A test."), Ok(JobReport::TestRestore(proof())), Outcome::Succeeded, Some(4096), Some("A test.")),
        ];
        for (note, result, outcome, bytes, expected) in table {
            let entry = completed(begun(note), &result, 12);
            assert_eq!((entry.outcome, entry.bytes, entry.duration_ms), (outcome, bytes, Some(12)), "{result:?}");
            assert_eq!(entry.note.as_deref(), expected, "{result:?}");
            assert_eq!(entry.error, result.err(), "an error is kept, and nothing else is one");
        }
    }

    #[test]
    fn what_was_asked_for_is_named_unless_something_was_made() {
        let path = |result| completed(begun(None), &result, 0).path;
        assert_eq!(path(Err(Error::stopped().report())), Some("/srv/asked.4BK".into()));
        assert_eq!(path(Ok(JobReport::TestRestore(proof()))), Some("/srv/proven.4BK".into()));
        let made = JobReport::Sample { path: "/srv/sample.db".into(), bytes: 3 };
        assert_eq!(path(Ok(made)), Some("/srv/sample.db".into()));
    }

    #[test]
    fn damage_that_was_found_makes_the_job_partial_and_is_the_error() {
        let completed = |file: State| {
            let findings = Findings { tables: Vec::new(), file };
            let report = RecordsReport { data_file: "/srv/a.db".into(), moment: Local::now(), findings };
            completed(begun(None), &Ok(JobReport::VerifyRecords(report)), 0)
        };
        let damaged = completed(State::Problems(vec!["page 3 is used twice".to_owned()]));
        assert_eq!((damaged.outcome, damaged.error.map(|e| e.kind)), (Outcome::Partial, Some(ErrorKind::Damaged)));
        let sound = completed(State::Sound);
        assert_eq!((sound.outcome, sound.error, sound.note), (Outcome::Succeeded, None, None));
        let unknown = completed(State::Unknown("no such module".to_owned()));
        assert_eq!(unknown.outcome, Outcome::Partial);
        assert!(unknown.note.is_some_and(|note| note.starts_with("These could not be checked: ")));
    }
}
