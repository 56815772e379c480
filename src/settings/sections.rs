//! What can be set for a data file, section by section as in the file, with the defaults.

mod choices;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::{NaiveDate, NaiveTime};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use choices::{DeleteOldest, Drill, Frequency, Retry, RetryUnit, TestRestore, Unit, Weekday};

use super::made_in::MadeIn;
use crate::{
    archive::options::ArchiveOptions,
    error::{Error, ErrorKind, Result},
    storage::installation::Installation,
};

/// Which restores are made for a test, to prove that the backups are what they are for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct ProofSettings {
    /// Of every new archive.
    pub test_restore: TestRestore,
    /// Of any archive with its logs.
    pub drill: Drill,
}

impl Default for ProofSettings {
    fn default() -> Self {
        Self { test_restore: TestRestore::Automatic, drill: Drill::Never }
    }
}

/// When full backups are made by themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Scheduler {
    /// How often.
    pub frequency: Frequency,
    /// The unit of a personalized interval.
    pub unit: Unit,
    /// Every how many of that unit: at most 24 hours, 999 of the others.
    pub every: u32,
    /// The time of the day, in local time; for hours the time of the first one.
    pub at: NaiveTime,
    /// The days of the week: one for every week, one or several for a personalized interval of weeks.
    pub weekdays: BTreeSet<Weekday>,
    /// The day of the month, 1 to 31; in a shorter month its last day.
    pub day: u32,
    /// The day that a personalized interval is counted from; nothing is due before it.
    pub from: Option<NaiveDate>,
    /// Whether a backup that is due is skipped when the data file was not modified since the last one.
    pub only_if_modified: bool,
}

impl Default for Scheduler {
    fn default() -> Self {
        Self {
            frequency: Frequency::Never,
            unit: Unit::Days,
            every: 1,
            at: NaiveTime::from_hms_opt(23, 0, 0).unwrap_or_default(),
            weekdays: BTreeSet::from([Weekday::Monday]),
            day: 1,
            from: None,
            only_if_modified: false,
        }
    }
}

impl Scheduler {
    /// The same, counted from `today`, if it is an interval that must be counted from somewhere and was not so before.
    #[must_use]
    pub fn counted_from(mut self, today: NaiveDate, before: &Self) -> Self {
        let interval = |s: &Self| (s.frequency, s.unit, s.every);
        let counts = self.frequency == Frequency::Personalized && self.every > 1;
        if counts && self.from == before.from && interval(&self) != interval(before) {
            self.from = Some(today);
        }
        self
    }
}

/// What else goes into the archives; the data file and its settings always do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Content {
    /// Files and folders of the program that uses the data file, by their full paths.
    pub program: Vec<PathBuf>,
    /// Other files and folders, by their full paths.
    pub attachments: Vec<PathBuf>,
}

/// Where archives go.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Destination {
    /// The folder, if one was chosen.
    pub folder: Option<PathBuf>,
    /// Folders chosen earlier: the archives there stay known.
    pub earlier: Vec<PathBuf>,
}

/// A folder that was used, or a file that was chosen, so that it can be told from another one of its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct KnownPlace {
    /// Its full path.
    pub folder: PathBuf,
    /// The identity in its mark; of an attachment, which nothing is written to, there is none.
    pub id: Option<Uuid>,
    /// Where its file system was mounted.
    pub mount_point: PathBuf,
    /// What that was, in words.
    pub disk: String,
    /// Of an attachment that is a folder and no link itself: where its path led, past the links in it.
    pub leads_to: Option<PathBuf>,
    /// Of an attachment that is a folder and no link itself: its number on its disk, which another folder of its name
    /// has not.
    #[serde(default)]
    pub inode: Option<u64>,
    /// Whether it is no folder, but a file that was chosen.
    #[serde(default)]
    pub is_file: bool,
}

/// The log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Log {
    /// The log file, if the log is used.
    pub file: Option<PathBuf>,
    /// Whether the administrator insists on a log that lies on a network drive.
    pub allow_network: bool,
}

/// Which backups are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Keep {
    /// Whether none is ever deleted.
    pub all: bool,
    /// Otherwise how many are kept, each an archive with its log.
    pub last: u32,
    /// Besides the newest of each of so many hours.
    pub hourly: u32,
    /// Of so many days.
    pub daily: u32,
    /// Of so many weeks, from Monday on.
    pub weekly: u32,
    /// Of so many months.
    pub monthly: u32,
    /// Of so many years.
    pub yearly: u32,
    /// When the oldest is deleted.
    pub delete_oldest: DeleteOldest,
}

impl Default for Keep {
    fn default() -> Self {
        let (hourly, daily, weekly, monthly, yearly) = (0, 0, 0, 0, 0);
        Self { all: false, last: 3, hourly, daily, weekly, monthly, yearly, delete_oldest: DeleteOldest::After }
    }
}

/// What happens when a scheduled backup fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Failure {
    /// When it is tried again.
    pub retry: Retry,
    /// After how many of `retry_unit`, if it is tried again after a time.
    pub retry_after: u32,
    /// The unit of that.
    pub retry_unit: RetryUnit,
    /// Whether backups are suspended after too many attempts.
    pub cancel: bool,
    /// After how many attempts.
    pub cancel_after: u32,
}

impl Default for Failure {
    fn default() -> Self {
        let (retry, retry_unit) = (Retry::NextScheduled, RetryUnit::Minutes);
        Self { retry, retry_after: 10, retry_unit, cancel: false, cancel_after: 5 }
    }
}

impl Failure {
    /// The time before a failed backup is tried again; `None` to wait for the next scheduled one.
    pub fn delay(&self) -> Option<Duration> {
        let unit = match self.retry_unit {
            RetryUnit::Seconds => 1,
            RetryUnit::Minutes => 60,
            RetryUnit::Hours => 3600,
        };
        (self.retry == Retry::After).then(|| Duration::from_secs(u64::from(self.retry_after) * unit))
    }
}

/// What is done by itself when a data file is opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Restore {
    /// Whether the last backup is restored if the data file is damaged.
    pub if_damaged: bool,
    /// Whether the last log is integrated if the data file is incomplete.
    pub integrate_log: bool,
}

impl Default for Restore {
    fn default() -> Self {
        Self { if_damaged: false, integrate_log: true }
    }
}

/// The settings in force.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Settings {
    /// Names the data file in all its archives, wherever it is moved.
    pub data_file_id: Option<Uuid>,
    /// The highest number ever given to a full backup: numbers are not used again, even when archives were deleted.
    pub last_number: u32,
    /// The folders that were used for archives, log and attachments.
    pub places: Vec<KnownPlace>,
    /// The log that was begun last: that it is not there any more is then worth saying.
    pub log_begun: Option<PathBuf>,
    /// Where its archives were made, the oldest first.
    pub made_in: Vec<MadeIn>,
    /// The file that a restore put in its place, after it was lost: what its log holds beyond is not missing in it.
    pub restored: Option<Installation>,
    /// When full backups are made.
    pub scheduler: Scheduler,
    /// What else goes into them.
    pub content: Content,
    /// Where they go.
    pub destination: Destination,
    /// The log.
    pub log: Log,
    /// Which backups are kept.
    pub keep: Keep,
    /// What happens when a scheduled one fails.
    pub failure: Failure,
    /// How archives are stored.
    pub archive: ArchiveOptions,
    /// Which restores are made for a test.
    pub proof: ProofSettings,
    /// What is done by itself when the data file is opened.
    pub restore: Restore,
    /// A program with its arguments, run after each job with the result as JSON on its standard input; empty for none.
    pub on_finish: Vec<String>,
}

/// Which state of the settings a change was based on: a checksum of everything that a person can set.
///
/// What Strongroom notes by itself, such as the number of the last backup, is no part of it: a backup that ends while
/// somebody edits the settings stands in nobody's way.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(String);

impl Settings {
    /// Takes over what Strongroom itself notes, and nothing that a person can set.
    pub fn take_notes(&mut self, from: &Self) {
        (self.data_file_id, self.last_number) = (from.data_file_id, from.last_number);
        self.places.clone_from(&from.places);
        self.log_begun.clone_from(&from.log_begun);
        self.made_in.clone_from(&from.made_in);
        self.restored = from.restored;
    }

    /// The checksum of what a person can set here.
    pub fn revision(&self) -> Revision {
        let mut by_hand = self.clone();
        by_hand.take_notes(&Self::default());
        // Plain data always has a JSON form; the order of its fields is fixed.
        let text = serde_json::to_vec(&by_hand).unwrap_or_default();
        Revision(blake3::hash(&text).to_hex()[..16].to_owned())
    }

    /// Sees that the values fit each other and the data file; each alone was checked before.
    ///
    /// # Errors
    /// `Settings`, beginning with the key that does not fit.
    pub fn check(&self, data_file: &Path) -> Result<()> {
        self.first_conflict(data_file).map_or(Ok(()), |(key, message)| {
            Err(Error::new(ErrorKind::Settings, format!("{key} {message}"))
                .hint("Change that setting, or the one it does not fit."))
        })
    }

    /// The first key whose value does not fit another or the data file, and why.
    pub fn first_conflict(&self, data_file: &Path) -> Option<(&'static str, String)> {
        let s = &self.scheduler;
        if s.frequency == Frequency::Personalized && s.unit == Unit::Hours && s.every > 24 {
            return Some(("scheduler.every", format!("must be at most 24 for hours, but is {}", s.every)));
        }
        let weekly = s.frequency == Frequency::EveryWeek;
        if weekly && s.weekdays.len() != 1 {
            return Some((
                "scheduler.weekdays",
                format!("must be one day for a backup every week, but there are {}", s.weekdays.len()),
            ));
        }
        if s.weekdays.is_empty() {
            return Some(("scheduler.weekdays", "must name at least one day of the week".to_owned()));
        }
        if let Some((key, path)) = twice(&self.content) {
            return Some((key, format!("names {} twice", path.display())));
        }
        if let Some((key, path)) = contents(&self.content).find(|(_, path)| holds(path, data_file)) {
            let what = if path.is_dir() { "a folder that holds" } else { "a name of" };
            return Some((key, format!("must not be {what} the data file itself, but {} is", path.display())));
        }
        let log = self.log.file.as_ref();
        log.filter(|log| holds(log, data_file)).map(|_| ("log.file", "must not be the data file itself".to_owned()))
    }
}

fn contents(content: &Content) -> impl Iterator<Item = (&'static str, &PathBuf)> {
    let program = content.program.iter().map(|path| ("content.program", path));
    program.chain(content.attachments.iter().map(|path| ("content.attachments", path)))
}

/// Whether `path` is the data file or a folder somewhere above it, by whatever name.
fn holds(path: &Path, data_file: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    real(data_file).starts_with(real(path))
}

/// A path that is to go into the archives twice.
fn twice(content: &Content) -> Option<(&'static str, &PathBuf)> {
    let mut seen = BTreeSet::new();
    contents(content).find(|(_, path)| !seen.insert(*path))
}
