//! Settings that are gone although their data file had some: deleted while nobody looked after it. With the defaults,
//! archives would go to another folder, begin with number 1 again, and be those of a new data file; log and schedule
//! would end, all without a word. The Backup journal and the archives know better: they are asked before the defaults
//! are taken for what was meant.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::{
    history::{self, History},
    lost::made,
};
use crate::{
    archive::{
        ArchiveNumber,
        catalog::{self, ArchiveEntry},
    },
    error::{Error, ErrorKind, Result},
    restore,
    settings::{SettingsFile, default_destination},
    storage,
    warning::{Warning, WarningKind},
};

/// What is known of the time when there were settings.
#[derive(Debug)]
pub struct Gone {
    data_file: PathBuf,
    /// Archives of the data file that can be read, the newest first: each holds the settings of its time.
    archives: Vec<ArchiveEntry>,
    /// Folders that archives were made in, and that are not there now: their disks may be away.
    away: Vec<PathBuf>,
    /// The highest number that was given.
    highest: ArchiveNumber,
}

impl Gone {
    /// What is left of the settings of `data_file`; `None` where there are settings, or nobody knows of any. `data` is
    /// the folder of the Backup journal.
    pub fn look(data_file: &Path, settings: &SettingsFile, data: &Path) -> Option<Self> {
        if !settings.is_blank() {
            return None;
        }
        let made = History::glance(data).map_or_else(Vec::new, |journal| made(&journal, data_file));
        let (stem, beside) = (catalog::stem(data_file), default_destination(data_file));
        let mut folders: Vec<PathBuf> =
            made.iter().map(|made| storage::folder_of(&made.archive).to_path_buf()).collect();
        folders.push(beside.clone());
        folders.sort_unstable();
        folders.dedup();
        let is_known = |entry: &ArchiveEntry| made.iter().any(|made| entry.files.contains(&made.archive));
        // One that says so itself may be anybody's, unless the owner of the data file could have made it.
        let says_so = |entry: &ArchiveEntry| {
            entry.made_of.as_deref() == Some(data_file) && storage::have_same_owner(&entry.path, data_file)
        };
        let mut archives: Vec<ArchiveEntry> =
            folders.iter().flat_map(|folder| catalog::list(folder, Some(&stem)).unwrap_or_default()).collect();
        let numbers = folders.iter().flat_map(|folder| catalog::numbers(folder, &stem).unwrap_or_default());
        let numbers = numbers.chain(history::highest_number(data, data_file));
        let highest = catalog::highest_plausible(numbers.collect());
        archives.retain(|entry| entry.problem.is_none() && (is_known(entry) || says_so(entry)));
        archives.sort_by_key(|entry| std::cmp::Reverse((entry.moment, entry.number)));
        if made.is_empty() && archives.is_empty() {
            return None;
        }
        let away = folders.into_iter().filter(|folder| *folder != beside && !folder.is_dir()).collect();
        Some(Self { data_file: data_file.to_path_buf(), archives, away, highest })
    }

    /// What is to be said of them as long as nothing was done.
    pub fn warning(&self) -> Warning {
        let path = self.data_file.display();
        let message = format!("the settings of {path} are gone: the defaults are shown, and not what was in force");
        let hint = match (self.archives.first(), self.refusal()) {
            (Some(archive), _) => format!(
                "They are put back from {} as soon as a service, a window or a backup opens the data file.",
                archive.path.display()
            ),
            (None, Some(refusal)) => refusal.report().hint.unwrap_or_default(),
            (None, None) => {
                "No archive is left that holds them. Set anew what is not to be as the defaults are.".to_owned()
            }
        };
        Warning::new(WarningKind::SettingsGone, message, hint)
    }

    /// Why nothing is done without them: their archives are away, and a backup would be one of another data file.
    fn refusal(&self) -> Option<Error> {
        let away = self.away.first().filter(|_| self.archives.is_empty())?;
        let path = self.data_file.display();
        let message = format!(
            "the settings of {path} are gone, and the folder of its archives, which hold them, is not there: {}",
            away.display()
        );
        Some(Error::new(ErrorKind::Settings, message).hint(format!(
            "Connect its disk: the settings are put back from the newest archive. To begin anew with the defaults instead: \
             strongroom settings '{path}' --begin-anew."
        )))
    }

    /// Puts the settings back from the newest archive that holds them; where none is left, only the numbers go on.
    /// `own` is the program's settings folder. Returns what is to be said of it.
    ///
    /// # Errors
    /// When the archives are away; when nothing can be written.
    pub fn put_back(&self, own: &Path) -> Result<Warning> {
        if let Some(refusal) = self.refusal() {
            return Err(refusal);
        }
        let path = self.data_file.display();
        for archive in &self.archives {
            // Of one that is damaged inside, an older one may be whole.
            let Ok(Some(back)) = restore::put_settings_back(&archive.path, &self.data_file, own) else { continue };
            SettingsFile::load(&self.data_file, own)?
                .note(own, |s| s.last_number = s.last_number.max(self.highest.0))?;
            let message = format!(
                "the settings of {path} were gone, and were put back from {}, the newest archive that holds them",
                archive.path.display()
            );
            let hint = format!("Look whether they are what you want. {}", back.in_words().join(" "));
            return Ok(Warning::new(WarningKind::SettingsGone, message, hint));
        }
        self.begin_anew(own)?;
        let message = format!(
            "the settings of {path} are gone, and no archive is left that holds them: the defaults are in force"
        );
        let hint = format!(
            "Set anew what is not to be so: schedule, log, folder for archives. Numbers go on after {}.",
            self.highest
        );
        Ok(Warning::new(WarningKind::SettingsGone, message, hint))
    }

    /// Begins with the defaults as a new data file, whose numbers go on.
    ///
    /// # Errors
    /// When the settings can not be written.
    pub fn begin_anew(&self, own: &Path) -> Result<()> {
        SettingsFile::load(&self.data_file, own)?
            .change(own, |s| (s.data_file_id, s.last_number) = (Some(Uuid::new_v4()), self.highest.0))
    }
}
