//! The settings of a data file that was lost together with them: an archive holds them, and they are put back with the
//! file. Without them there would be no schedule, no log and another folder for archives, and nobody would notice.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::places;
use crate::{
    archive::{Archive, ItemKind, catalog},
    error::{ErrorReport, Result},
    settings::{self, Settings, SettingsFile, sections::Frequency},
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
    /// The program that was to be run after each job, with its arguments; it was left out, since an archive may come
    /// from anybody.
    #[serde(default)]
    pub on_finish_left: Vec<String>,
    /// Folders that they name, that do not exist here and that were left out, since the archive was made of a data file
    /// in another place.
    #[serde(default)]
    pub not_believed: Vec<PathBuf>,
    /// What they put into archives besides the data file.
    #[serde(default)]
    pub content: Vec<PathBuf>,
    /// Other folders whose archives they know.
    #[serde(default)]
    pub earlier: Vec<PathBuf>,
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
                "The folder {}, which they name, does not exist here: connect its disk, or choose another one in the \
                 settings.",
                folder.display()
            )
        }));
        if !self.on_finish_left.is_empty() {
            lines.push(format!(
                "They also named a program to run after each job, {}, which was left out, since whoever made the \
                 archive could have named it. If it is yours, set on-finish again.",
                self.on_finish_left.join(" ")
            ));
        }
        lines.extend(self.not_believed.iter().map(|folder| {
            format!(
                "The folder {}, which they named, does not exist here and was left out, since the archive was made in \
                 another place.",
                folder.display()
            )
        }));
        let list = |paths: &[PathBuf]| paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ");
        if !self.content.is_empty() {
            lines.push(format!("With each backup they also store {}.", list(&self.content)));
        }
        if !self.earlier.is_empty() {
            lines.push(format!("They also count archives in {}.", list(&self.earlier)));
        }
        lines
    }
}

/// Puts the settings of `data_file` back, where there are none: the text `known`, or else what `archive` holds. `None`
/// where there are settings, or none are known.
///
/// # Errors
/// When they cannot be understood or written.
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
    let chosen = before.destination.folder.clone().unwrap_or_else(|| settings::default_destination(data_file));
    let beside = storage::folder_of(archive.path()).to_path_buf();
    let folders = [&chosen, &beside].into_iter().chain(&before.destination.earlier);
    // Newer archives than this one may be there: a number is never used again.
    let numbers = folders.flat_map(|folder| catalog::list(folder, Some(&stem)).unwrap_or_default());
    let number = numbers.map(|entry| entry.number.0).max().unwrap_or(0).max(archive.identity().number.0);
    let mut left = Left::default();
    let file = SettingsFile::put_in_place(data_file, own, &text, |settings| {
        settings.last_number = settings.last_number.max(number);
        if known.is_none() {
            let is_elsewhere = places::described_path(archive).is_some_and(|path| path != data_file);
            left = Left::out_of(settings, is_elsewhere);
        }
    })?;
    let now = file.settings();
    let destination = now.destination.folder.clone().unwrap_or_else(|| settings::default_destination(data_file));
    let log = now.log.file.clone();
    let log_folder = log.as_ref().map(|log| storage::folder_of(log).to_path_buf());
    let is_named = now.destination.folder.is_some() || !left.folders.contains(&chosen);
    let mut missing: Vec<PathBuf> = [Some(destination.clone()).filter(|_| is_named), log_folder]
        .into_iter()
        .flatten()
        .filter(|folder| !folder.is_dir())
        .collect();
    missing.dedup();
    let content = now.content.program.iter().chain(&now.content.attachments).cloned().collect();
    Ok(Some(SettingsBack {
        file: file.path().to_path_buf(),
        is_of_engine: known.is_some(),
        frequency: before.scheduler.frequency,
        destination,
        log,
        missing,
        on_finish_left: left.on_finish,
        not_believed: left.folders,
        content,
        earlier: now.destination.earlier.clone(),
    }))
}

/// Puts the settings of a data file that is there back from the archive at `path`, where there are none.
///
/// # Errors
/// When the archive cannot be read, or the settings in it not be understood or written.
pub fn put_settings_back(path: &Path, data_file: &Path, own: &Path) -> Result<Option<SettingsBack>> {
    put_back(&Archive::open(path)?, data_file, Some(own), None)
}

/// The settings that the archive at `path` holds; `None` where it holds none.
///
/// # Errors
/// When it cannot be read.
pub fn settings_in(path: &Path) -> Result<Option<String>> {
    Ok(places::text_of(&Archive::open(path)?, ItemKind::Settings))
}

/// What was taken out of settings of an archive before they come into force.
#[derive(Default)]
struct Left {
    on_finish: Vec<String>,
    folders: Vec<PathBuf>,
}

impl Left {
    /// Takes out the program that would be run as whoever restores. Where the archive is of a data file in another
    /// place, also the folders that do not exist here: they would be made, or waited for, on the word of a sender.
    fn out_of(settings: &mut Settings, is_elsewhere: bool) -> Self {
        let mut left = Self { on_finish: std::mem::take(&mut settings.on_finish), folders: Vec::new() };
        if !is_elsewhere {
            return left;
        }
        left.folders.extend(settings.destination.folder.take_if(|folder| !folder.is_dir()));
        let log = settings.log.file.take_if(|log| !storage::folder_of(log).is_dir());
        left.folders.extend(log.map(|log| storage::folder_of(&log).to_path_buf()));
        let content = &mut settings.content;
        for list in [&mut settings.destination.earlier, &mut content.program, &mut content.attachments] {
            left.folders.extend(list.extract_if(.., |path| path.symlink_metadata().is_err()));
        }
        settings.places.retain(|place| !left.folders.contains(&place.folder));
        left.folders.sort();
        left.folders.dedup();
        left
    }
}

/// What came of it; a data file that is back is not given up because its settings are not.
pub(super) fn outcome(result: Result<Option<SettingsBack>>) -> (Option<SettingsBack>, Option<ErrorReport>) {
    match result {
        Ok(back) => (back, None),
        Err(error) => (None, Some(error.report())),
    }
}
