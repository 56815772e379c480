//! What a restore did, and what the administrator must know of it.

use std::path::{Path, PathBuf};

use chrono::{DateTime, FixedOffset};
use serde::{Deserialize, Serialize};

use super::in_place;
use crate::{
    archive::{ArchiveNumber, heal::Repaired, not_whole::NotWhole},
    error::{Error, ErrorKind, ErrorReport},
    journal::integrate::{Integrated, PlanEnd, Unused},
    sqlite::integrity::Integrity,
};

/// What a restore achieved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreReport {
    /// The archive.
    pub archive: PathBuf,
    /// Its number.
    pub number: ArchiveNumber,
    /// The moment of the state restored.
    pub moment: DateTime<FixedOffset>,
    /// The folder the files are in.
    pub destination: PathBuf,
    /// The files, at most 1000 of them.
    pub files: Vec<PathBuf>,
    /// How many there are.
    #[serde(default)]
    pub file_count: u64,
    /// Links that were not made, because they lead out of the folder; at most 100.
    #[serde(default)]
    pub links_left: Vec<String>,
    /// Their length in bytes, together.
    pub bytes: u64,
    /// What was integrated from the logs, if anything was.
    pub integrated: Option<Integrated>,
    /// Why the logs end before what was wanted, if they do.
    pub log_end: Option<PlanEnd>,
    /// Whether a log certainly leads to what the data file holds now, and all of it was integrated.
    #[serde(default)]
    pub is_present: bool,
    /// Commits that may be missing although they were asked for.
    #[serde(default)]
    pub lacks: Option<ErrorReport>,
    /// What was asked for and is not in the archive, or not whole.
    #[serde(default)]
    pub not_whole: Option<NotWhole>,
    /// Logs that could not be used although nobody has set them aside.
    #[serde(default)]
    pub unused: Vec<Unused>,
    /// What else is worth knowing: up to when the log was read, which logs could not be used. Whole sentences.
    #[serde(default)]
    pub remarks: Vec<String>,
    /// What the integrity check of the data file found; `None` when it was not among the items.
    pub integrity: Option<Integrity>,
    /// What was damaged in the archive and came back from its recovery data.
    #[serde(default)]
    pub repaired: Option<Repaired>,
    /// Logs that were damaged and came back from their recovery data.
    #[serde(default)]
    pub repaired_logs: Vec<PathBuf>,
    /// What was done with the live data file, when it was restored in place.
    #[serde(default)]
    pub in_place: Option<in_place::InPlace>,
    /// Time spent reading, proving and writing, in milliseconds.
    pub restoring_ms: u64,
    /// Time spent on the integrity check, in milliseconds.
    pub checking_ms: u64,
}

impl RestoreReport {
    /// What the administrator must know of the archive, where it is damaged: what was restored from it is whole all the
    /// same.
    pub fn archive_problem(&self) -> Option<Error> {
        self.repaired.as_ref().map(Repaired::after_restore)
    }

    /// What the administrator must know of a restored data file that is not certainly sound, or not certainly all that
    /// was asked for.
    pub fn problem(&self) -> Option<Error> {
        self.unsound().or_else(|| self.lacks.clone().map(Error::from)).or_else(|| self.partial())
    }

    /// Whether every page of the data file was compared with the checksum that the log keeps of its state.
    pub fn is_proven_by_log(&self) -> bool {
        self.integrated.as_ref().is_some_and(|done| done.is_proven)
    }

    /// What is missing of what was asked for, since the archive lacks it.
    pub fn partial(&self) -> Option<Error> {
        let words = self.not_whole.as_ref()?.in_words();
        let message =
            format!("backup {} is partial: not everything asked for is in it, or whole: {words}", self.number);
        Some(Error::new(ErrorKind::Partial, message).hint(
            "What is in it is restored. Restore the other files from an archive that strongroom list does not call \
             partial.",
        ))
    }

    /// Damage in a log, where what was restored ends before it, or of which nothing could be used; a file that was
    /// `given` for a log may be none.
    pub fn log_damage(&self, given: &[PathBuf]) -> Option<Error> {
        let unused = self.unused.iter().find(|unused| unused.is_damaged() && !given.contains(&unused.path));
        self.log_broken().or_else(|| {
            Some(
                Error::new(ErrorKind::Damaged, unused?.in_words())
                    .hint("The archive can be restored without it. Make a full backup: it begins a new log."),
            )
        })
    }

    fn log_broken(&self) -> Option<Error> {
        log_broken(self.log_end.as_ref())
    }

    /// What is wrong with what was restored: damage in a log, or in the data file.
    pub fn unsound(&self) -> Option<Error> {
        if let Some(broken) = self.log_broken() {
            return Some(broken);
        }
        match self.integrity.as_ref()? {
            Integrity::Sound => None,
            Integrity::Problems(lines) => {
                let found = lines.first().map_or("", String::as_str);
                // What came out of the archive was compared with its checksum; what logs made of it, page by page.
                Some(if self.integrated.as_ref().is_some_and(|done| done.commits > 0) {
                    let message = format!(
                        "the restored data file is as the archive and its log have it, but SQLite finds it damaged: \
                         {found}"
                    );
                    Error::new(ErrorKind::Damaged, message).hint(
                        "The damage was in the backup already, or was recorded later. Restore up to an earlier commit, \
                         an older archive, or save what the restored file still holds (strongroom recover).",
                    )
                } else {
                    let message = format!(
                        "the restored data file is identical to the one that was backed up, but SQLite finds it \
                         damaged: {found}"
                    );
                    Error::new(ErrorKind::Damaged, message).hint(
                        "The data file was damaged before this backup. Restore an older archive, or save what the \
                         restored file still holds (strongroom recover).",
                    )
                })
            }
            Integrity::Unknown(reason) => Some(
                Error::new(
                    ErrorKind::Sqlite,
                    format!("the restored data file could not be checked to its end: {reason}"),
                )
                .hint(
                    "Its tables may need an extension that only the application has. Open it with the application to \
                    check it.",
                ),
            ),
        }
    }
}

/// What there is to say of logs that end with damage or a gap before what was wanted.
pub(super) fn log_broken(end: Option<&PlanEnd>) -> Option<Error> {
    let hint = "Everything up to there is restored. If another copy of that log exists, restore again with it.";
    match end {
        Some(PlanEnd::Damaged { path, offset }) => {
            let message =
                format!("{} is damaged at byte {offset}: what came after could not be integrated", path.display());
            Some(Error::new(ErrorKind::Damaged, message).hint(hint))
        }
        Some(PlanEnd::Gap { path, commit }) => {
            let message =
                format!("{} has a gap at commit {commit}: what came after could not be integrated", path.display());
            Some(Error::new(ErrorKind::Damaged, message).hint(hint))
        }
        _ => None,
    }
}

/// Of a log that was damaged and came back from its recovery data.
pub fn repaired_log_in_words(log: &Path) -> String {
    let error = repaired_log(log);
    let (message, hint) = (error.message(), error.hint_text().unwrap_or_default());
    format!("The {}. {hint}", message.strip_prefix("the ").unwrap_or(message))
}

/// The same as damage that is to be remembered.
pub fn repaired_log(log: &Path) -> Error {
    Error::new(ErrorKind::Damaged, format!("the log {} is damaged and was repaired in memory", log.display()))
        .hint("Make a full backup, and look what is the matter with that disk.")
}
