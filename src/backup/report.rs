//! What a full backup did, and what the administrator must know of it.

use std::path::PathBuf;

use chrono::{DateTime, FixedOffset};
use serde::{Deserialize, Serialize};

use super::{Change, ContentReport, Deleted};
use crate::{
    archive::{ArchiveNumber, keys::PublicKey},
    error::{Error, ErrorKind, ErrorReport},
    journal::Position,
    settings::{
        copies::{self, Elsewhere},
        sections,
    },
    sqlite::{
        data_file::JournalMode,
        seen::{ContentCheck, ContentSeen},
    },
};

/// What a backup achieved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupReport {
    /// The data file.
    #[serde(default)]
    pub data_file: PathBuf,
    /// The archive; of an archive in segments the first.
    pub archive: PathBuf,
    /// All its files.
    #[serde(default)]
    pub files: Vec<PathBuf>,
    /// Its number.
    pub number: ArchiveNumber,
    /// The moment of the state it holds.
    pub moment: DateTime<FixedOffset>,
    /// Its length in bytes.
    pub bytes: u64,
    /// Size of the data file inside, in bytes.
    pub data_bytes: u64,
    /// BLAKE3 of the data file inside, as `b3sum` prints it.
    pub blake3: String,
    /// How the data file protects its transactions.
    pub journal_mode: JournalMode,
    /// How long the data file was read, in milliseconds; in rollback mode writers waited for as long.
    pub held_ms: u64,
    /// Time spent copying and compressing, in milliseconds.
    pub copying_ms: u64,
    /// Time spent syncing and reading the archive back, in milliseconds.
    pub verifying_ms: u64,
    /// Leftovers of interrupted backups that were removed.
    pub leftovers_removed: Vec<PathBuf>,
    /// What lay where archives with lower numbers would have been made, and could not be removed.
    #[serde(default)]
    pub in_the_way: Vec<PathBuf>,
    /// Where in the log the archive was cut, if a log is used and in order.
    pub log_position: Option<Position>,
    /// The log up to there, archived.
    pub archived_log: Option<PathBuf>,
    /// Why the log could not be cut or archived, though one is used; the archive is sound all the same.
    pub log_problem: Option<ErrorReport>,
    /// Why the archived log has no recovery data, though that is wanted; archive and log are sound all the same.
    #[serde(default)]
    pub log_recovery_problem: Option<ErrorReport>,
    /// Whether it holds other pages than the log leads to: somebody wrote to the data file past SQLite, or its disk
    /// fails. What was committed is in the backup before it and its log.
    #[serde(default)]
    pub is_not_led_to: bool,
    /// Why the number could not be noted in the settings, if so.
    pub settings_problem: Option<ErrorReport>,
    /// Why it was made by settings that were in force before those in the file, if so.
    #[serde(default)]
    pub settings_mistake: Option<ErrorReport>,
    /// The key by which it is signed, if it is.
    #[serde(default)]
    pub signed_by: Option<PublicKey>,
    /// Whether that key was made for it: there was none.
    #[serde(default)]
    pub is_key_new: bool,
    /// Where the archive before was signed by another key: then whoever holds the public half of that one does not know
    /// this one.
    #[serde(default)]
    pub other_key: Option<ErrorReport>,
    /// Why it is not signed, though that is wanted.
    #[serde(default)]
    pub signing_problem: Option<ErrorReport>,
    /// What became of program files and attachments.
    #[serde(default)]
    pub content: ContentReport,
    /// What the data file inside holds, and whether SQLite found it sound.
    #[serde(default)]
    pub seen: ContentSeen,
    /// What is drastically other than in the backup before, which is held therefore.
    #[serde(default)]
    pub change: Option<Change>,
    /// The data file whose settings it goes by as a copy, if it does.
    #[serde(default)]
    pub copied_from: Option<PathBuf>,
    /// The archives of another data file of this path elsewhere that goes by the same settings, if some are there.
    #[serde(default)]
    pub elsewhere: Option<Elsewhere>,
    /// The old backups that were deleted, if the settings say so.
    #[serde(default)]
    pub deleted: Deleted,
    /// What is to be remembered of what was chosen, once somebody was told of it.
    #[serde(skip)]
    pub(crate) chosen: Vec<sections::KnownPlace>,
}

impl BackupReport {
    /// Why the number of the archive does not follow the one before, if so.
    pub fn skipped_in_words(&self) -> Option<String> {
        let first = self.in_the_way.first()?.display();
        let more = match self.in_the_way.len() {
            1 => String::new(),
            n => format!(" and {} more", n - 1),
        };
        Some(format!(
            "Numbers before {} were left out, because {first}{more} lay in the way and could not be removed. See who \
             put it there.",
            self.number
        ))
    }

    /// By which key it is signed, if it is.
    pub fn signed_in_words(&self) -> Option<String> {
        let key = self.signed_by?;
        Some(if self.is_key_new {
            format!(
                "Signed by key {key}, which was made for it. Keep a copy of its public half where the archives are not \
                 (strongroom key)."
            )
        } else {
            format!("Signed by key {key}.")
        })
    }

    /// What the administrator must know of a backup that was made, but not with all that belongs to it.
    pub fn problem(&self) -> Option<Error> {
        if self.seen.check == ContentCheck::Damaged {
            let found = self.seen.note.as_deref().unwrap_or_default();
            let message = format!(
                "backup {} holds a data file that SQLite finds damaged, exactly as it is: {found}",
                self.number
            );
            return Some(Error::new(ErrorKind::Damaged, message).hint(
                "Make no further backups to repair this: look at the data file first (Verify on the Maintenance page, \
                 or strongroom check). Sound backups made before stay, whatever their age.",
            ));
        }
        if self.is_not_led_to {
            let message = format!(
                "backup {} holds the data file exactly as it is, and that is not what was committed: pages were changed \
                 past SQLite, as by a disk that fails",
                self.number
            );
            return Some(Error::new(ErrorKind::Damaged, message).hint(
                "What was committed is in the backup before it and its log: that one is held, and a restore up to a \
                 moment before this backup begins with it. Restore it beside the data file, and compare both. Look at \
                 the disk of the data file.",
            ));
        }
        let elsewhere = || self.elsewhere.as_ref().map(|seen| copies::elsewhere(&self.data_file, seen));
        let copied = self.copied_from.as_ref().map(|from| copies::shared(&self.data_file, from));
        if let Some(shared) = copied.or_else(elsewhere) {
            let shared = shared.report();
            let message = format!("the archive is sound, but {}", shared.message);
            return Some(Error::new(ErrorKind::Partial, message).hint(shared.hint.unwrap_or_default()));
        }
        if let Some(words) = self.content.in_words() {
            let message =
                format!("the archive is sound, but not everything that was chosen is in it, or whole: {words}");
            let hint = match (self.content.differs.is_empty(), &self.change) {
                (true, _) => "See that the file is there and may be read, or take it off the list of attachments.",
                (false, None) => "See whether that was meant.",
                (false, Some(_)) => "See whether that was meant: it is said once, and the backup before is held.",
            };
            let hint = format!("The data file itself is complete. {hint}");
            return Some(Error::new(ErrorKind::Partial, message).hint(hint));
        }
        let (what, report) = [
            ("the archive is sound, but its log needs attention", &self.log_problem),
            ("archive and log are sound, but the log has no recovery data", &self.log_recovery_problem),
            ("the archive is sound, but not made as the settings file says", &self.settings_mistake),
            ("the archive is sound, but its number could not be noted in the settings", &self.settings_problem),
            ("the archive is sound, but not signed", &self.signing_problem),
            ("the archive is sound", &self.other_key),
            ("the archive is sound, but old backups could not be deleted", &self.deleted.problem),
        ]
        .into_iter()
        .find_map(|(what, report)| Some((what, report.as_ref()?)))?;
        let error = Error::new(report.kind, format!("{what}: {}", report.message));
        Some(match &report.hint {
            Some(hint) => error.hint(hint.clone()),
            None => error,
        })
    }
}
