//! The settings of a data file that was lost together with them: an archive holds them, and they are put back with the
//! file. Without them there would be no schedule, no log and another folder for archives, and nobody would notice.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::places;
use crate::{
    archive::{Archive, ItemKind, catalog},
    error::{ErrorReport, Result},
    settings::{self, SettingsFile, sections::Frequency},
    storage,
};

/// The settings that came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsBack {
    /// The settings file.
    pub file: PathBuf,
    /// Whether they are those of whoever looked after the data file until it was lost, and not those of the archive.
    #[serde(default)]
    pub is_of_engine: bool,
    /// When full backups are made by themselves.
    pub frequency: Frequency,
    /// The folder for archives.
    pub destination: PathBuf,
    /// The log, if one is used.
    pub log: Option<PathBuf>,
    /// Folders that they name and that do not exist here.
    pub missing: Vec<PathBuf>,
}

impl SettingsBack {
    /// As whole sentences.
    pub fn in_words(&self) -> Vec<String> {
        let from = if self.is_of_engine { "as they were last in force" } else { "from the archive" };
        let backups = match self.frequency {
            Frequency::Never => "full backups by hand only".to_owned(),
            other => format!("a full backup {}", other.word()),
        };
        let log = self.log.as_ref().map_or_else(|| "no log".to_owned(), |log| format!("the log {}", log.display()));
        let mut lines = vec![format!(
            "The settings were lost too and were put back {from} in {}: {backups} to {}, {log}.",
            self.file.display(),
            self.destination.display()
        )];
        lines.extend(self.missing.iter().map(|folder| {
            format!(
                "The folder {}, which they name, does not exist here: connect its disk, or choose another one in the settings.",
                folder.display()
            )
        }));
        lines
    }
}

/// Puts the settings of `data_file` back, where there are none: the text `known`, or else what `archive` holds. `None`
/// where there are settings, or none are known.
///
/// # Errors
/// When they can not be understood or written.
pub(super) fn put_back(
    archive: &Archive,
    data_file: &Path,
    own: Option<&Path>,
    known: Option<&str>,
) -> Result<Option<SettingsBack>> {
    let nowhere = PathBuf::new();
    let own = own.unwrap_or(&nowhere);
    // Those that are there count, whatever is in them.
    if !SettingsFile::load(data_file, own).is_ok_and(|file| file.is_blank()) {
        return Ok(None);
    }
    let Some(text) = known.map(str::to_owned).or_else(|| places::text_of(archive, ItemKind::Settings)) else {
        return Ok(None);
    };
    let stem = catalog::stem(data_file);
    let before = settings::parse(&text, data_file)?;
    let destination = before.destination.folder.clone().unwrap_or_else(|| settings::default_destination(data_file));
    let beside = storage::folder_of(archive.path()).to_path_buf();
    let folders = [&destination, &beside].into_iter().chain(&before.destination.earlier);
    // Newer archives than this one may be there: a number is never used again.
    let numbers = folders.flat_map(|folder| catalog::list(folder, Some(&stem)).unwrap_or_default());
    let number = numbers.map(|entry| entry.number.0).max().unwrap_or(0).max(archive.identity().number.0);
    let file = SettingsFile::put_in_place(data_file, own, &text, number)?;
    let log = before.log.file.clone();
    let log_folder = log.as_ref().map(|log| storage::folder_of(log).to_path_buf());
    let mut missing: Vec<PathBuf> =
        [Some(destination.clone()), log_folder].into_iter().flatten().filter(|folder| !folder.is_dir()).collect();
    missing.dedup();
    Ok(Some(SettingsBack {
        file: file.path().to_path_buf(),
        is_of_engine: known.is_some(),
        frequency: before.scheduler.frequency,
        destination,
        log,
        missing,
    }))
}

/// What came of it; a data file that is back is not given up because its settings are not.
pub(super) fn outcome(result: Result<Option<SettingsBack>>) -> (Option<SettingsBack>, Option<ErrorReport>) {
    match result {
        Ok(back) => (back, None),
        Err(error) => (None, Some(error.report())),
    }
}
