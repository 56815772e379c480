//! How well a data file is protected, in one answer: what a restore would lead to now, and whether that goes on.
//!
//! It is computed from what was looked at, at the moment it is asked for. A calm answer never stands beside an urgent
//! warning, and what could not be looked at is not known.

use chrono::{DateTime, FixedOffset, Local, Utc};
use serde::{Deserialize, Serialize};

use super::status::DataFileStatus;
use crate::{
    archive::{ArchiveNumber, catalog::ArchiveEntry},
    journal::inspect::LogFacts,
    sqlite::seen::ContentCheck,
    warning::{Warning, WarningKind},
};

/// In one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Standing {
    /// Something urgent is the matter: see the warnings.
    AtRisk,
    /// Nothing can be restored.
    Unprotected,
    /// It could not be looked at, or was not yet.
    Unknown,
    /// All up to now can be restored, and nobody records what comes next.
    Unwatched,
    /// The state of the last full backup can be restored, and not what was committed since.
    LastBackup,
    /// Every commit up to now can be restored, and those to come are recorded.
    EveryCommit,
}

/// What a restore would lead to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// That could not be told.
    NotKnown,
    /// There is no archive.
    Nothing,
    /// The state of this full backup.
    Backup {
        /// Its number.
        number: ArchiveNumber,
        /// When it was made.
        moment: DateTime<FixedOffset>,
    },
    /// What the log held last; more was committed, or that is not known.
    Log {
        /// The full backup that it goes on from, or an older one that leads there by the logs between.
        number: u32,
        /// When its last commit was made, if it has one.
        last: Option<DateTime<Utc>>,
        /// Whether logs between lead there, which may hold commits.
        by_older: bool,
    },
    /// Any moment since a full backup, up to now.
    Now {
        /// That full backup.
        number: u32,
        /// When the last commit was made, if there is one.
        last: Option<DateTime<Utc>>,
        /// As above.
        by_older: bool,
    },
}

/// How well a data file is protected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protection {
    /// In one word.
    pub standing: Standing,
    /// What a restore would lead to.
    pub reach: Reach,
    /// How many urgent warnings there are.
    pub urgent: usize,
    /// Since when whoever looks after it cannot be reached.
    pub lost_since: Option<DateTime<Local>>,
}

impl Protection {
    /// Of a data file with this status. `log` is what is known of its log, and `is_in_care` whether somebody looks
    /// after it; `None` where somebody does who could not be asked.
    pub(super) fn of(
        status: &DataFileStatus,
        log: Option<&LogFacts>,
        is_in_care: Option<bool>,
        warnings: &[Warning],
    ) -> Self {
        let reach = reach(status, log);
        let urgent = warnings.iter().filter(|warning| warning.kind.is_urgent()).count();
        let lost_since = status.lost_since.or(status.silent_since);
        let standing = match &reach {
            _ if lost_since.is_some() => Standing::Unknown,
            _ if urgent > 0 => Standing::AtRisk,
            Reach::NotKnown | Reach::Log { .. } => Standing::Unknown,
            Reach::Nothing => Standing::Unprotected,
            Reach::Backup { .. } => Standing::LastBackup,
            Reach::Now { .. } => match is_in_care {
                Some(true) => Standing::EveryCommit,
                Some(false) => Standing::Unwatched,
                None => Standing::Unknown,
            },
        };
        Self { standing, reach, urgent, lost_since }
    }

    /// Of a data file in the care of the engine that this status is of.
    pub fn of_running(status: &DataFileStatus) -> Self {
        let log = log_of_running(status);
        Self::of(status, log.as_ref(), Some(true), &status.warnings)
    }

    /// What is to be done first, as whole sentences.
    pub fn to_do<'a>(&self, warnings: &'a [Warning], status: &DataFileStatus) -> &'a str {
        let without_log = status.log_file.is_none();
        match (self.standing, self.lost_since, first_hint(warnings)) {
            (_, Some(_), _) => "See why it cannot be reached, and start it again.",
            (standing, None, Some((hint, is_pressing))) if is_pressing || standing != Standing::LastBackup => hint,
            (Standing::Unknown, ..) => "Wait until it was looked at.",
            (Standing::Unprotected, ..) => "Make a full backup.",
            (Standing::LastBackup, ..) if without_log => "Use a log, so that later commits can be restored too.",
            (Standing::LastBackup, ..) => "Make a full backup, from which the log can lead on.",
            _ => "Nothing.",
        }
    }

    /// The same where a disk did not answer: nothing is claimed of what is on it.
    pub fn unsure(self) -> Self {
        let is_bad = matches!(self.standing, Standing::AtRisk | Standing::Unprotected);
        Self { standing: if is_bad { self.standing } else { Standing::Unknown }, reach: Reach::NotKnown, ..self }
    }

    /// The answer to *Am I protected?*, in one line without a full stop; `shown` writes a moment.
    pub fn headline(&self, shown: impl Fn(DateTime<Local>) -> String) -> String {
        match (self.standing, self.lost_since, self.urgent) {
            (_, Some(since), _) => {
                format!("Not known: whoever looks after it cannot be reached since {}", shown(since))
            }
            (Standing::AtRisk, _, 1) => "At risk: something needs attention".to_owned(),
            (Standing::AtRisk, _, count) => format!("At risk: {count} things need attention"),
            (Standing::Unprotected, ..) => "Not protected: there is no full backup to restore".to_owned(),
            (Standing::Unknown, ..) => "Not known whether it is protected".to_owned(),
            (Standing::Unwatched, ..) => "Protected up to now, but nobody records what comes next".to_owned(),
            (Standing::LastBackup, ..) => {
                "Protected up to the last full backup: later commits would be lost".to_owned()
            }
            (Standing::EveryCommit, ..) => "Protected: every commit up to now can be restored".to_owned(),
        }
    }

    /// What a restore would lead to, in words; `shown` writes a moment, and `aged` with its age.
    pub fn reach_in_words(&self, aged: impl Fn(DateTime<Local>) -> String) -> String {
        let last = |last: &Option<DateTime<Utc>>| last.map(|last| aged(last.with_timezone(&Local)));
        match &self.reach {
            Reach::NotKnown => "not known".to_owned(),
            Reach::Nothing => "nothing".to_owned(),
            Reach::Backup { number, moment } => {
                format!("the state of full backup {number} of {}", aged(moment.with_timezone(&Local)))
            }
            Reach::Log { number, last: at, by_older } => match last(at) {
                Some(at) => {
                    format!("any moment since full backup {number:04}, up to the last commit recorded, of {at}")
                }
                None if *by_older => {
                    format!("any moment since full backup {number:04}, up to the last commit recorded")
                }
                None => format!("the state of full backup {number:04}; no later commit is recorded"),
            },
            Reach::Now { number, last: at, by_older } => match last(at) {
                Some(at) => format!("any moment since full backup {number:04}, up to the last commit, of {at}"),
                None if *by_older => format!("any moment since full backup {number:04}, up to now"),
                None => format!("the state of full backup {number:04}; nothing was committed since"),
            },
        }
    }
}

/// What the first of the warnings says is to be done, and whether it is more than advice about places.
fn first_hint(warnings: &[Warning]) -> Option<(&str, bool)> {
    // Advice about places comes last: it is no answer to what must be done now.
    let is_advice = |kind| matches!(kind, WarningKind::SameDisk | WarningKind::NetworkDrive);
    let first = warnings.iter().min_by_key(|warning| (!warning.kind.is_urgent(), is_advice(warning.kind)));
    first.and_then(|first| Some((first.hint.as_deref()?, !is_advice(first.kind))))
}

/// What is known of a log that an engine runs; where commits may go to another file, or no archive leads to it, it is
/// not called complete.
pub(super) fn log_of_running(status: &DataFileStatus) -> Option<LogFacts> {
    // Commits by another name of the file, or to another WAL, are in no log that is known here.
    let is_elsewhere = status.other_name.is_some() || status.moved_name.is_some() || !status.strays.is_empty();
    // A log that no archive leads to is complete and worth nothing.
    let is_elsewhere = is_elsewhere || status.log_root_problem.is_some();
    // What is written to a folder that is not there, or does not answer, is no log.
    let log = status.log.as_ref().filter(|_| status.log_folder_problem.is_none());
    log.map(LogFacts::of_running).map(|log| match is_elsewhere {
        true => LogFacts { complete: log.complete.filter(|complete| !complete), ..log },
        false => log,
    })
}

/// The archives that can be restored, as far as anybody has looked, the newest first; of a damaged one, its sound copy.
fn usable(status: &DataFileStatus) -> impl Iterator<Item = &ArchiveEntry> {
    let is_good = |archive: &&ArchiveEntry| archive.problem.is_none() && archive.check != ContentCheck::Damaged;
    let whole = |archive: &ArchiveEntry| status.damage_of(archive).is_none_or(|damage| damage.is_repairable);
    let own = status.archives.iter().filter(|archive| status.is_own(archive));
    let usable = own.filter_map(move |archive| match whole(archive) {
        true => Some(archive),
        false => status.copy_of(archive),
    });
    usable.filter(is_good)
}

fn reach(status: &DataFileStatus, log: Option<&LogFacts>) -> Reach {
    let Some((archive, moment)) = usable(status).next().and_then(|archive| Some((archive, archive.moment?))) else {
        let was_looked_at = status.plan.is_some() && status.destination_problem.is_none() && !has_unread(status);
        return if was_looked_at { Reach::Nothing } else { Reach::NotKnown };
    };
    let backup = Reach::Backup { number: archive.number, moment };
    let is_awaited = status.log_file.is_some() && (status.log_starting || log.is_none());
    match log {
        Some(log) if log.rooted && status.log_root_problem.is_none() && log.damaged_at.is_none() => {
            let (base, last) = (log.position.archive, log.last_commit);
            // The log is cut before the archive is finished that it then goes on from: until that one is there, or
            // where it was lost, an older one leads there by the logs between.
            let Some(first) = usable(status).find(|archive| archive.number.0 <= base) else { return Reach::NotKnown };
            let (number, by_older) = (first.number.0, first.number.0 < base);
            // One that is there and no good was not held against the logs between, which may be missing.
            if by_older && status.own_archives().any(|archive| archive.number.0 == base) {
                return Reach::NotKnown;
            }
            match log.complete {
                Some(true) => Reach::Now { number, last, by_older },
                _ => Reach::Log { number, last, by_older },
            }
        }
        // What the log holds may lead further; why it does not is a warning of its own.
        None if is_awaited && status.log_problem.is_none() && status.log_folder_problem.is_none() => Reach::NotKnown,
        _ => backup,
    }
}

/// Whether something lies there that may be an archive of it, and cannot be read.
fn has_unread(status: &DataFileStatus) -> bool {
    status.own_archives().any(|archive| archive.problem.is_some())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::{
        engine::{
            data_file::status_of,
            status::{Host, HostKind},
        },
        error::{Error, ErrorKind, Result},
        journal::{Position, format::Chain},
        settings::SettingsFile,
        sqlite::data_file::identify,
    };

    const OWN: Uuid = Uuid::from_u128(7);

    /// A data file that was looked at, with `archives`, the newest first.
    fn status(archives: Vec<ArchiveEntry>) -> Result<DataFileStatus> {
        let folder = tempfile::tempdir().map_err(|e| Error::io("make", Path::new("a folder"), e))?;
        let path = folder.path().join("a.db");
        let made = rusqlite::Connection::open(&path).and_then(|conn| conn.execute_batch("CREATE TABLE t(a)"));
        made.map_err(|e| Error::sqlite("make", &path, e))?;
        let settings = SettingsFile::load(&path, folder.path())?;
        let host = Host { kind: HostKind::Service, process: 1, namespace: None };
        let mut status = status_of(identify(&path)?, &settings, host);
        status.settings.data_file_id = Some(OWN);
        status.plan = serde_json::from_value(json!({
            "archive": "/b/a[0002].4BK", "number": 2, "required_bytes": 1, "available_bytes": 9, "disk_bytes": 9,
            "same_volume": false
        }))
        .ok();
        status.archives = archives;
        Ok(status)
    }

    fn archive(check: ContentCheck, problem: Option<ErrorKind>) -> ArchiveEntry {
        let mut entry: ArchiveEntry = serde_json::from_value(json!({
            "path": "/b/a[0001].4BK", "number": 1, "bytes": 9, "moment": "2026-11-28T03:00:00+01:00",
            "data_bytes": 9, "data_file_id": OWN, "log_position": null, "problem": null
        }))
        .unwrap_or_else(|e| unreachable!("{e}"));
        entry.check = check;
        entry.problem = problem.map(|kind| Error::new(kind, "it is so").report());
        entry
    }

    fn log(complete: Option<bool>, rooted: bool) -> LogFacts {
        let chain = Chain([0; 32]);
        LogFacts {
            log: "/l/a.journal".into(),
            bytes: 400,
            position: Position { archive: 1, commit: 5, chain, log: None, epoch: 0, state: None },
            commits: 5,
            catch_ups: 0,
            rooted,
            last_commit: Some(DateTime::UNIX_EPOCH),
            ahead: None,
            complete,
            state: None,
            damaged_at: None,
        }
    }

    #[test]
    fn the_answer_is_calm_only_where_all_was_looked_at_and_is_well() -> Result<()> {
        use Standing as S;
        let good = || vec![archive(ContentCheck::Whole, None)];
        let (yes, nobody, unasked) = (Some(true), Some(false), None);
        let full = || Some(log(Some(true), true));
        let table = [
            ("an archive", good(), None, yes, S::LastBackup),
            ("none", vec![], None, yes, S::Unprotected),
            ("a damaged content", vec![archive(ContentCheck::Damaged, None)], None, yes, S::Unprotected),
            ("none that can be read", vec![archive(ContentCheck::Whole, Some(ErrorKind::Io))], None, yes, S::Unknown),
            ("every commit", good(), full(), yes, S::EveryCommit),
            ("every commit, and nobody goes on", good(), full(), nobody, S::Unwatched),
            ("every commit, and who goes on was not asked", good(), full(), unasked, S::Unknown),
            ("a log of which that is not known", good(), Some(log(None, true)), yes, S::Unknown),
            ("a log that lacks some", good(), Some(log(Some(false), true)), yes, S::Unknown),
            ("a log that nothing leads to", good(), Some(log(Some(true), false)), yes, S::LastBackup),
            ("a log without an archive", vec![], full(), yes, S::Unprotected),
        ];
        for (what, archives, log, care, expected) in table {
            let mut status = status(archives)?;
            status.log_file = log.as_ref().map(|log| log.log.clone());
            let of =
                |status: &DataFileStatus, warnings: &[Warning]| Protection::of(status, log.as_ref(), care, warnings);
            assert_eq!(of(&status, &[]).standing, expected, "{what}");
            let advice = Warning::new(WarningKind::SameDisk, "a", "Choose.");
            assert_eq!(of(&status, std::slice::from_ref(&advice)).standing, expected, "{what}");
            let urgent = [advice, Warning::new(WarningKind::StrayProgram, "b", "End it.")];
            assert_eq!(of(&status, &urgent).standing, S::AtRisk, "{what}");
            assert_eq!(of(&status, &urgent).to_do(&urgent, &status), "End it.", "{what}");
            let none = of(&status, &urgent).unsure();
            assert_eq!((none.standing, none.reach), (S::AtRisk, Reach::NotKnown), "{what}");
            status.lost_since = Some(Local::now());
            let lost = of(&status, &urgent);
            let silent = DataFileStatus { lost_since: None, silent_since: status.lost_since, ..status.clone() };
            assert_eq!(of(&silent, &urgent), lost, "{what}");
            let said = lost.headline(|at| at.to_rfc3339());
            assert!(lost.standing == S::Unknown && said.starts_with("Not known: whoever"), "{what}: {said}");
        }
        Ok(())
    }

    #[test]
    fn a_backup_that_is_not_finished_is_not_the_one_that_can_be_restored() -> Result<()> {
        let status = status(vec![archive(ContentCheck::Whole, None)])?;
        let facts = |commits: u64| {
            let mut log = log(Some(true), true);
            (log.position.archive, log.last_commit) = (2, (commits > 0).then_some(DateTime::UNIX_EPOCH));
            log
        };
        let of = |status: &DataFileStatus, commits| Protection::of(status, Some(&facts(commits)), Some(true), &[]);
        let said = |protection: Protection| protection.reach_in_words(|at| at.to_utc().to_rfc3339());
        assert_eq!(of(&status, 0).standing, Standing::EveryCommit);
        assert_eq!(said(of(&status, 0)), "any moment since full backup 0001, up to now");
        assert!(said(of(&status, 1)).starts_with("any moment since full backup 0001, up to the last commit, of 1970"));
        // Finished, and found damaged: nobody has looked whether the one before it leads as far.
        let mut second = archive(ContentCheck::Damaged, None);
        second.number = ArchiveNumber(2);
        let damaged = DataFileStatus { archives: vec![second, archive(ContentCheck::Whole, None)], ..status };
        assert_eq!((of(&damaged, 0).standing, of(&damaged, 0).reach), (Standing::Unknown, Reach::NotKnown));
        Ok(())
    }

    #[test]
    fn what_was_not_looked_at_yet_is_not_known() -> Result<()> {
        let looked = status(Vec::new())?;
        let unlooked = DataFileStatus { plan: None, ..looked.clone() };
        assert_eq!(Protection::of(&unlooked, None, Some(true), &[]).standing, Standing::Unknown);
        // A log that is being opened may lead further than the archive.
        let opening = DataFileStatus {
            archives: vec![archive(ContentCheck::Whole, None)],
            log_file: Some("/l/a.journal".into()),
            log_starting: true,
            ..looked
        };
        let known = Protection::of(&opening, None, Some(true), &[]);
        assert_eq!((known.standing, known.reach), (Standing::Unknown, Reach::NotKnown));
        Ok(())
    }
}
