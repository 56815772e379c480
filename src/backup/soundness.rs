//! What was found of archives after they were made: in test restores and verifications. Each archive says of itself what was
//! seen of its content when it was made; what was found later counts more.

use std::{collections::HashMap, path::PathBuf};

use chrono::{DateTime, Local};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::retention::{self, BackupSet};
use crate::{
    archive::{ArchiveNumber, Identity, catalog::ArchiveEntry},
    settings::sections::Keep,
    sqlite::seen::ContentCheck,
    warning::{Warning, WarningKind},
};

/// What is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Damaged {
    /// The data file inside, though every byte is as it was backed up.
    Content,
    /// The bytes of the archive, beyond repair.
    Bytes,
}

/// An archive that was found damaged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The archive.
    pub archive: PathBuf,
    /// Its identity.
    pub archive_id: Uuid,
    /// The data file inside.
    pub data_file_id: Uuid,
    /// Number of the full backup.
    pub number: ArchiveNumber,
    /// When it was found.
    pub found: DateTime<Local>,
    /// What is damaged.
    pub what: Damaged,
    /// In words.
    pub note: String,
}

impl Finding {
    /// Of the archive at `archive`, with this identity.
    pub fn new(archive: PathBuf, identity: &Identity, what: Damaged, note: impl Into<String>) -> Self {
        Self {
            archive,
            archive_id: identity.archive_id,
            data_file_id: identity.data_file_id,
            number: identity.number,
            found: Local::now(),
            what,
            note: note.into(),
        }
    }
}

/// What was found later, by archive.
#[derive(Debug, Clone, Default)]
pub struct Verdicts(HashMap<Uuid, (DateTime<Local>, ContentCheck, Option<String>)>);

impl Verdicts {
    /// An archive was restored for a test, and SQLite found records and indexes whole.
    pub fn proven(&mut self, archive_id: Uuid, moment: DateTime<Local>) {
        self.later(archive_id, moment, ContentCheck::Whole, None);
    }

    /// An archive was found damaged.
    pub fn damaged(&mut self, finding: &Finding) {
        self.later(finding.archive_id, finding.found, ContentCheck::Damaged, Some(finding.note.clone()));
    }

    /// What was found last counts.
    fn later(&mut self, archive_id: Uuid, moment: DateTime<Local>, check: ContentCheck, note: Option<String>) {
        let known = self.0.entry(archive_id).or_insert((moment, check, None));
        if known.0 <= moment {
            *known = (moment, check, note);
        }
    }

    /// Says of each archive what is known of it.
    pub fn apply(&self, archives: &mut [ArchiveEntry]) {
        for archive in archives {
            if let Some((_, check, note)) = archive.archive_id.and_then(|id| self.0.get(&id)) {
                (archive.check, archive.check_note) = (*check, note.clone());
            }
        }
    }
}

/// Where what was found later can not be read, nothing of the archives counts as known.
pub fn unknown(archives: &mut [ArchiveEntry], why: &str) {
    for archive in archives {
        archive.check = archive.check.min(ContentCheck::NotChecked);
        archive.check_note.get_or_insert_with(|| why.to_owned());
    }
}

/// What is to be said of the content of the archives of a data file, newest first, whose identity is `own`. `sets` are those in the
/// folder in force, and `keep` the rule that counts them.
pub fn warnings(archives: &[ArchiveEntry], sets: &[BackupSet], own: Option<Uuid>, keep: &Keep) -> Vec<Warning> {
    let mut found: Vec<Warning> = archives.iter().filter_map(of_hold).collect();
    let good: Vec<&ArchiveEntry> =
        archives.iter().filter(|a| a.problem.is_none() && own.is_some() && a.data_file_id == own).collect();
    let sound = good.iter().position(|archive| archive.check.is_sound());
    let newer = &good[..sound.unwrap_or(good.len())];
    let sound = sound.map(|at| good[at]);
    if let Some(damaged) = newer.iter().find(|archive| archive.check == ContentCheck::Damaged) {
        found.push(of_damage(damaged, sound));
    } else if let Some(newest) = newer.first().filter(|archive| archive.content.is_some()) {
        found.extend(not_checked(newest, newer.len(), sound, &retention::stay_as_sound(sets, keep)));
    }
    found
}

fn of_hold(archive: &ArchiveEntry) -> Option<Warning> {
    let hold = archive.hold.as_ref().filter(|hold| hold.automatic)?;
    let why = hold.note.as_deref().unwrap_or("a later backup holds drastically other content");
    let message = format!("{why}; backup {} is held, and never deleted", archive.number);
    let hint = format!(
        "If records were lost, restore that backup. If the change was meant, release it, on the Restore page or with: strongroom hold '{}' --release.",
        archive.path.display()
    );
    Some(Warning::new(WarningKind::ContentChanged, message, hint))
}

fn of_damage(damaged: &ArchiveEntry, sound: Option<&ArchiveEntry>) -> Warning {
    let why = damaged.check_note.as_deref().map_or_else(String::new, |note| format!(" ({note})"));
    let newest = match sound {
        Some(sound) => format!("the newest sound one, {}, stays whatever its age", called(sound)),
        None => "no backup is known to be sound".to_owned(),
    };
    let then = sound.map_or_else(String::new, |sound| {
        format!(" Then restore backup {} with its logs in place, or repair the data file.", sound.number)
    });
    Warning::new(
        WarningKind::ContentDamaged,
        format!("backup {} is damaged in its content{why}; {newest}", damaged.number),
        format!(
            "Make no further backups to repair this. Look at the data file first: Verify on the Maintenance page, or strongroom check.{then}"
        ),
    )
}

/// Said where nothing at all is known to be sound, or old backups stay because of it.
fn not_checked(
    newest: &ArchiveEntry,
    count: usize,
    sound: Option<&ArchiveEntry>,
    stay: &[BackupSet],
) -> Option<Warning> {
    let why = newest.check_note.as_deref().map_or_else(String::new, |note| format!(" ({note})"));
    let message = match sound {
        None => format!("the content of backup {} was not checked{why}, and of none before it", newest.number),
        Some(sound) if stay.iter().any(|set| set.archive == sound.path) => {
            let which = if count == 1 { "the last backup".to_owned() } else { format!("the last {count} backups") };
            format!("the content of {which} was not checked{why}; the newest sound one, {}, stays", called(sound))
        }
        Some(_) => return None,
    };
    let hint = format!(
        "Test it: strongroom verify '{}' --test-restore. With the setting archive.test-restore = \"always\" every new one is tested.",
        newest.path.display()
    );
    Some(Warning::new(WarningKind::ContentNotChecked, message, hint))
}

fn called(archive: &ArchiveEntry) -> String {
    let moment = archive.moment.map_or_else(String::new, |moment| format!(" of {}", moment.format("%Y-%m-%d %H:%M")));
    format!("{}{moment}", archive.number)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn what_was_found_last_counts() {
        let (now, id) = (Local::now(), Uuid::from_u128(7));
        let finding = |minutes: i64| Finding {
            archive: "/b/a[0001].4BK".into(),
            archive_id: id,
            data_file_id: Uuid::nil(),
            number: ArchiveNumber(1),
            found: now + TimeDelta::minutes(minutes),
            what: Damaged::Content,
            note: "Tree 2".to_owned(),
        };
        let check = |verdicts: &Verdicts| verdicts.0.get(&id).map(|(_, check, _)| *check);
        let mut verdicts = Verdicts::default();
        verdicts.proven(id, now);
        verdicts.damaged(&finding(1));
        assert_eq!(check(&verdicts), Some(ContentCheck::Damaged));
        verdicts.proven(id, now);
        assert_eq!(check(&verdicts), Some(ContentCheck::Damaged), "that was before");
        verdicts.proven(id, now + TimeDelta::minutes(2));
        assert_eq!(check(&verdicts), Some(ContentCheck::Whole));
    }
}
