//! What was found of archives after they were made: in test restores and verifications. Each archive says of itself
//! what was seen of its content when it was made; what was found later counts more.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Local};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::retention::{self, BackupSet};
use crate::{
    archive::{catalog::ArchiveEntry, not_whole, segments::parse_segment_name},
    error::{ErrorReport, shell::quoted},
    settings::sections::Keep,
    sqlite::seen::ContentCheck,
    storage,
    warning::{Warning, WarningKind},
};

/// What is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Damaged {
    /// The data file inside, though every byte is as it was backed up.
    Content,
    /// The bytes of the archive.
    #[default]
    Bytes,
    /// The logs that continue it; the archive itself can be restored.
    Logs,
}

/// An archive that was found damaged. It counts until a later look finds the archive sound, or another one lies in its
/// place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The archive.
    pub archive: PathBuf,
    /// Its identity, if it was known.
    pub archive_id: Option<Uuid>,
    /// Number of the file on its disk, for one whose identity cannot be read.
    pub inode: Option<u64>,
    /// Whether a restore found it, mostly one for a test, and no verification.
    pub by_test: bool,
    /// When.
    pub moment: DateTime<Local>,
    /// What is damaged.
    #[serde(default)]
    pub what: Damaged,
    /// Whether its recovery data makes it sound; of a log that of the log.
    pub is_repairable: bool,
    /// What is wrong; of a damaged content the first that SQLite says.
    pub error: ErrorReport,
    /// The sound copy that a repair wrote.
    pub copy: Option<PathBuf>,
}

impl Finding {
    /// Whether it is about this archive, and not about one that lay in its place before.
    pub fn is_about(&self, archive: &ArchiveEntry) -> bool {
        let is_here = archive.path == self.archive || archive.files.contains(&self.archive);
        match (self.archive_id, archive.archive_id) {
            (Some(found), Some(now)) if found != now => false,
            // What it holds goes with it, also into a copy.
            (Some(_), Some(_)) if self.what == Damaged::Content => true,
            (Some(_), Some(_)) => is_here || self.was_moved_to(archive),
            _ => is_here && (self.inode.is_none() || self.inode == storage::inode(&self.archive)),
        }
    }

    /// The same as far as names and identities tell.
    fn names(&self, archive: &ArchiveEntry) -> bool {
        let is_here = archive.path == self.archive || archive.files.contains(&self.archive);
        match (self.archive_id, archive.archive_id) {
            (Some(found), Some(now)) => found == now && (is_here || self.is_named_like(archive)),
            _ => is_here,
        }
    }

    /// Whether a look at the archive in `path` says something about what this is about. Damaged bytes are those of one
    /// file: that a copy beside it, or on another disk, is sound makes the file itself no better.
    pub fn is_told_by(&self, path: &Path, id: Option<Uuid>) -> bool {
        if self.archive == path {
            return true;
        }
        let is_same = id.is_some() && self.archive_id == id;
        is_same && (self.what != Damaged::Bytes || is_segment_beside(&self.archive, path) || is_gone(&self.archive))
    }

    fn is_named_like(&self, archive: &ArchiveEntry) -> bool {
        let is_named_so = |path: &Path| path.file_name() == self.archive.file_name();
        is_named_so(&archive.path) || archive.files.iter().any(|file| is_named_so(file))
    }

    /// Whether an archive with the same identity is the same file in another folder, and not a copy beside it.
    fn was_moved_to(&self, archive: &ArchiveEntry) -> bool {
        self.is_named_like(archive) && is_gone(&self.archive)
    }

    /// Whether a repair can write a sound copy of the archive.
    pub fn is_for_repair(&self) -> bool {
        self.what == Damaged::Bytes && self.is_repairable
    }

    /// Whether a backup with this archive is worth nothing, as far as the archive alone can tell.
    fn spoils(&self) -> bool {
        match self.what {
            Damaged::Content => true,
            Damaged::Bytes => !self.is_repairable,
            Damaged::Logs => false,
        }
    }
}

fn is_gone(path: &Path) -> bool {
    matches!(path.symlink_metadata(), Err(e) if e.kind() == std::io::ErrorKind::NotFound)
}

/// Whether both are segments of one archive in one folder.
fn is_segment_beside(one: &Path, other: &Path) -> bool {
    let set = |path: &Path| {
        let (stem, number, _) = parse_segment_name(path.file_name()?.to_str()?)?;
        Some((path.parent()?.to_path_buf(), stem.to_owned(), number))
    };
    set(one).is_some() && set(one) == set(other)
}

/// What is wrong with the file of an archive, or with its logs, the worst first; not what it holds, which
/// [`Known::apply`] says.
pub fn damage_of<'a>(findings: &'a [Finding], archive: &ArchiveEntry) -> Option<&'a Finding> {
    let about = |finding: &&Finding| finding.what != Damaged::Content && finding.is_about(archive);
    findings.iter().filter(about).min_by_key(|finding| (finding.what == Damaged::Logs, finding.is_repairable))
}

/// The same of findings that are all about what lies there, without asking the disk: for a window.
pub fn listed_damage_of<'a>(findings: &'a [Finding], archive: &ArchiveEntry) -> Option<&'a Finding> {
    let about = |finding: &&Finding| finding.what != Damaged::Content && finding.names(archive);
    findings.iter().filter(about).min_by_key(|finding| (finding.what == Damaged::Logs, finding.is_repairable))
}

/// What was found later than archives were made.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Everything found damaged and not refuted.
    pub findings: Vec<Finding>,
    /// Archives that were restored alone for a test, and when: SQLite found records and indexes whole.
    pub proven: Vec<(Uuid, DateTime<Local>)>,
}

impl Known {
    /// Says of each archive what is known of it; what was found last counts.
    pub fn apply(&self, archives: &mut [ArchiveEntry]) {
        for archive in archives {
            let proven = self.proven.iter().filter(|(id, _)| Some(*id) == archive.archive_id);
            let proven = proven.map(|(_, moment)| *moment).max();
            let spoilt = self.findings.iter().filter(|finding| finding.spoils() && finding.is_about(archive));
            let spoilt = spoilt.max_by_key(|finding| finding.moment);
            match (proven, spoilt) {
                (proven, Some(finding)) if proven.is_none_or(|proven| proven <= finding.moment) => {
                    (archive.check, archive.check_note) = (ContentCheck::Damaged, Some(finding.error.message.clone()));
                }
                (Some(_), _) => (archive.check, archive.check_note) = (ContentCheck::Whole, None),
                _ => {}
            }
        }
    }
}

/// Where what was found later cannot be read, nothing of the archives counts as known.
pub fn unknown(archives: &mut [ArchiveEntry], why: &str) {
    for archive in archives {
        archive.check = archive.check.min(ContentCheck::NotChecked);
        archive.check_note.get_or_insert_with(|| why.to_owned());
    }
}

/// What is to be said of the content of the archives of a data file, newest first, whose identity is `own`. `sets` are
/// those in the folder in force, and `keep` the rule that counts them. One whose file was found damaged is no matter of
/// its content, and is said elsewhere.
pub fn warnings(
    (archives, findings): (&[ArchiveEntry], &[Finding]),
    sets: &[BackupSet],
    own: Option<Uuid>,
    keep: &Keep,
) -> Vec<Warning> {
    let mut found: Vec<Warning> = archives.iter().filter_map(of_hold).collect();
    let good: Vec<&ArchiveEntry> = archives.iter().filter(|a| a.problem.is_none() && a.is_of(own)).collect();
    let sound = good.iter().position(|archive| archive.check.is_sound());
    let newer = &good[..sound.unwrap_or(good.len())];
    let sound = sound.map(|at| good[at]);
    let is_damaged = |archive: &&&ArchiveEntry| {
        let of_file = damage_of(findings, archive).is_some_and(|finding| finding.what == Damaged::Bytes);
        archive.check == ContentCheck::Damaged && !of_file
    };
    if let Some(damaged) = newer.iter().find(is_damaged) {
        found.push(of_damage(damaged, sound));
    } else if let Some(newest) = newer.first().filter(|archive| archive.content.is_some()) {
        found.extend(not_checked(newest, newer.len(), sound, &retention::stay_as_sound(sets, keep)));
    }
    found
}

/// That the newest readable archives lack what was chosen for them.
#[derive(Debug)]
pub struct Partial {
    /// How many there are since the last that does not.
    pub count: usize,
    /// The newest of them, and how much of what was chosen it lacks.
    of_newest: String,
    /// Which whole one stays.
    pub whole: String,
}

impl Partial {
    /// Of `archives`, newest first, those with the identity `own`; `None` where the newest one is not partial.
    pub fn of(archives: &[ArchiveEntry], own: Option<Uuid>) -> Option<Self> {
        let good: Vec<&ArchiveEntry> =
            archives.iter().filter(|a| a.problem.is_none() && own.is_some() && a.data_file_id == own).collect();
        let newest = good.first()?;
        let missing = not_whole::missing_in_words(newest.not_whole)?;
        let is_whole =
            |archive: &&&ArchiveEntry| archive.not_whole == Some(0) && archive.check != ContentCheck::Damaged;
        let whole = match good.iter().find(is_whole) {
            Some(whole) => format!("the newest whole one, {}, stays whatever its age", called(whole)),
            None => "no backup is known to be whole".to_owned(),
        };
        let count = good.iter().take_while(|archive| archive.not_whole.is_some_and(|count| count > 0)).count();
        Some(Self { count, of_newest: format!("{}: {missing}", called(newest)), whole })
    }

    /// As a warning of its own.
    pub fn warning(self) -> Warning {
        let which = match self.count {
            1 => "the last backup is partial".to_owned(),
            n => format!("the last {n} backups are partial"),
        };
        Warning::new(
            WarningKind::BackupPartial,
            format!("{which}; {}; {}", self.of_newest, self.whole),
            "See what is missing: strongroom verify names it. Have the files there, readable, or take them off the \
             list of attachments.",
        )
    }
}

fn of_hold(archive: &ArchiveEntry) -> Option<Warning> {
    let hold = archive.hold.as_ref().filter(|hold| hold.automatic)?;
    let why = hold.note.as_deref().unwrap_or("a later backup holds drastically other content");
    let message = format!("{why}; backup {} is held, and never deleted", archive.number);
    let hint = format!(
        "If records were lost, restore that backup. If the change was meant, release it, on the Restore page or with: \
         strongroom hold {} --release.",
        quoted(&archive.path)
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
            "Make no further backups to repair this. Look at the data file first: Verify on the Maintenance page, or \
             strongroom check.{then}"
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
        "Test it: strongroom verify {} --test-restore. With the setting archive.test-restore = \"always\" every new \
         one is tested.",
        quoted(&newest.path)
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
    use crate::{
        archive::catalog,
        error::{Error, ErrorKind},
    };

    type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

    fn archive_in(
        folder: &Path,
        name: &str,
        id: u128,
    ) -> std::result::Result<ArchiveEntry, Box<dyn std::error::Error>> {
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join(name), "x")?;
        let found = catalog::list(folder, None)?.into_iter().chain(catalog::copies(folder, None)?);
        let mut entry = found.into_iter().find(|entry| entry.path == folder.join(name)).ok_or("not listed")?;
        (entry.archive_id, entry.check, entry.problem) = (Some(Uuid::from_u128(id)), ContentCheck::Whole, None);
        Ok(entry)
    }

    fn finding(archive: &ArchiveEntry, what: Damaged, moment: DateTime<Local>) -> Finding {
        Finding {
            archive: archive.path.clone(),
            archive_id: archive.archive_id,
            inode: None,
            by_test: true,
            moment,
            what,
            is_repairable: false,
            error: Error::new(ErrorKind::Damaged, "Tree 2").report(),
            copy: None,
        }
    }

    #[test]
    fn what_was_found_last_counts() -> Outcome {
        let folder = tempfile::tempdir()?;
        let (now, id) = (Local::now(), Uuid::from_u128(7));
        let archive = archive_in(folder.path(), "a[0001].4BK", 7)?;
        let check = |known: &Known| {
            let mut archives = [archive.clone()];
            known.apply(&mut archives);
            archives[0].check
        };
        let mut known = Known { findings: Vec::new(), proven: vec![(id, now)] };
        assert_eq!(check(&known), ContentCheck::Whole);
        known.findings.push(finding(&archive, Damaged::Content, now + TimeDelta::minutes(1)));
        assert_eq!(check(&known), ContentCheck::Damaged);
        known.proven.push((id, now + TimeDelta::minutes(2)));
        assert_eq!(check(&known), ContentCheck::Whole);
        let logs = finding(&archive, Damaged::Logs, now + TimeDelta::minutes(3));
        let repairable = Finding { is_repairable: true, ..finding(&archive, Damaged::Bytes, logs.moment) };
        let known = Known { findings: vec![logs, repairable], proven: Vec::new() };
        assert_eq!(check(&known), ContentCheck::Whole, "neither says anything of what it holds");
        Ok(())
    }

    #[test]
    fn damage_of_a_file_stays_with_the_file_and_that_of_the_content_goes_into_copies() -> Outcome {
        let folder = tempfile::tempdir()?;
        let (here, there) = (folder.path().join("here"), folder.path().join("there"));
        let now = Local::now();
        let (file, copy) = (archive_in(&here, "a[0001].4BK", 7)?, archive_in(&here, "a[0001] repaired.4BK", 7)?);
        let (bytes, content) = (finding(&file, Damaged::Bytes, now), finding(&file, Damaged::Content, now));
        assert!(bytes.is_about(&file) && content.is_about(&file));
        assert!(!bytes.is_about(&copy) && content.is_about(&copy));
        let elsewhere = archive_in(&there, "a[0001].4BK", 7)?;
        assert!(!bytes.is_about(&elsewhere), "a copy may be sound");
        std::fs::remove_file(&file.path)?;
        assert!(bytes.is_about(&elsewhere), "moved with its damage");
        assert!(!bytes.is_about(&copy), "what a repair wrote is not it");
        let other = archive_in(&here, "a[0001].4BK", 8)?;
        assert!(!bytes.is_about(&other) && !content.is_about(&other), "another one in its place");
        assert!(damage_of(&[content], &copy).is_none(), "its file is sound");
        Ok(())
    }
}
