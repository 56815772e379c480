//! Settings that are gone although their data file had some: deleted while nobody looked after it. With the defaults,
//! archives would go to another folder, begin with number 1 again, and be those of a new data file; log and schedule
//! would end, all without a word. The Backup journal and the archives know better: they are asked before the defaults
//! are taken for what was meant.
//!
//! So are they where somebody wrote the file anew, as configuration management does from a template: what stands in it
//! is in force, and only what Strongroom had noted in it, above all the identity, is taken over.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::history::{self, History, made};
use crate::{
    archive::{
        ArchiveNumber,
        catalog::{self, ArchiveEntry},
    },
    backup,
    error::{Error, ErrorKind, Result, shell::quoted},
    restore::{self, Made},
    settings::{self, SettingsFile, default_destination, parse, sections::Destination},
    storage,
    warning::{Warning, WarningKind},
};

/// What lies around a data file, whose settings may tell nothing of it.
pub(super) struct Around {
    data_file: PathBuf,
    /// The backups that the Backup journal knows of.
    made: Vec<Made>,
    /// Folders that may hold archives.
    folders: Vec<PathBuf>,
    /// Archives of its name in them that can be read, the newest first, whosesoever they are.
    pub(super) archives: Vec<ArchiveEntry>,
}

impl Around {
    /// Looks where the Backup journal in `data` and `chosen` say, and beside the data file.
    pub(super) fn look(data_file: &Path, chosen: &Destination, data: &Path) -> Self {
        let made = History::glance(data).map_or_else(Vec::new, |journal| made(&journal, data_file));
        let mut folders: Vec<PathBuf> =
            made.iter().map(|made| storage::folder_of(&made.archive).to_path_buf()).collect();
        folders.push(default_destination(data_file));
        folders.extend(chosen.folder.iter().chain(&chosen.earlier).cloned());
        folders.sort_unstable();
        folders.dedup();
        let stem = catalog::stem(data_file);
        let mut archives: Vec<ArchiveEntry> =
            folders.iter().flat_map(|folder| catalog::list(folder, Some(&stem)).unwrap_or_default()).collect();
        archives.retain(|entry| entry.problem.is_none());
        archives.sort_by_key(|entry| std::cmp::Reverse((entry.moment, entry.number)));
        Self { data_file: data_file.to_path_buf(), made, folders, archives }
    }

    /// Those of the archives that were made of the data file, as the Backup journal knows, or as they say themselves.
    pub(super) fn own(&self) -> impl Iterator<Item = &ArchiveEntry> {
        let is_here = |entry: &ArchiveEntry| entry.made_of.as_ref() == Some(&self.data_file);
        let is_known = |entry: &ArchiveEntry| self.made.iter().any(|made| entry.files.contains(&made.archive));
        // One that says so itself may be anybody's, unless the owner of the data file could have made it.
        let says_so =
            move |entry: &ArchiveEntry| is_here(entry) && storage::have_same_owner(&entry.path, &self.data_file);
        let is_elsewhere = move |entry: &ArchiveEntry| entry.made_of.is_some() && !is_here(entry);
        self.archives.iter().filter(move |entry| is_known(entry) && !is_elsewhere(entry) || says_so(entry))
    }
}

/// What is known of the time when there were settings.
#[derive(Debug)]
pub struct Gone {
    data_file: PathBuf,
    /// Whether a person's settings are there, without what was noted in them.
    is_written_over: bool,
    /// Archives of the data file that can be read, the newest first: each holds the settings of its time.
    archives: Vec<ArchiveEntry>,
    /// Folders that archives were made in, and that are not there now: their disks may be away.
    away: Vec<PathBuf>,
    /// The highest number that was given.
    highest: ArchiveNumber,
}

impl Gone {
    /// What is left of the settings of `data_file`; `None` where there are settings with an identity, or nobody knows
    /// of any. `data` is the folder of the Backup journal.
    pub fn look(data_file: &Path, settings: &SettingsFile, data: &Path) -> Option<Self> {
        let is_written_over = settings.lack_notes();
        if !settings.is_blank() && !is_written_over {
            return None;
        }
        let around = Around::look(data_file, &settings.settings().destination, data);
        let archives: Vec<ArchiveEntry> = around.own().cloned().collect();
        let Around { made, folders, .. } = around;
        let (stem, beside) = (catalog::stem(data_file), default_destination(data_file));
        let numbers = folders.iter().flat_map(|folder| catalog::numbers(folder, &stem).unwrap_or_default());
        let numbers = numbers.chain(history::highest_number(data, data_file));
        let highest = catalog::highest_plausible(numbers.collect());
        if made.is_empty() && archives.is_empty() {
            return None;
        }
        let was_used = |folder: &PathBuf| made.iter().any(|made| storage::folder_of(&made.archive) == folder);
        let away = folders.into_iter().filter(|folder| *folder != beside && was_used(folder) && !folder.is_dir());
        let (data_file, away) = (data_file.to_path_buf(), away.collect());
        Some(Self { data_file, is_written_over, archives, away, highest })
    }

    /// What is to be said of them as long as nothing was done.
    pub fn warning(&self) -> Warning {
        let path = self.data_file.display();
        if self.is_written_over && self.refusal().is_none() {
            let message =
                format!("the settings of {path} were written anew, without the identity that was noted in them");
            let hint = match self.archives.first() {
                Some(archive) => format!(
                    "It is taken over from {} as soon as a service, a window or a backup opens the data file. {STAYS}",
                    archive.path.display()
                ),
                None => format!("No archive is left that knows it. Numbers go on after {}.", self.highest),
            };
            return Warning::new(WarningKind::Settings, message, hint);
        }
        let message = match self.is_written_over {
            true => format!("the settings of {path} were written anew, without the identity that was noted in them"),
            false => format!("the settings of {path} are gone: the defaults are shown, and not what was in force"),
        };
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
        let (message, hint) = match self.is_written_over {
            true => (
                format!(
                    "the settings of {path} were written anew, without the identity that was noted in them, and the \
                     folder of its archives, which know it, is not there: {}",
                    away.display()
                ),
                "Connect its disk: the identity is taken over from the newest archive. To begin anew as a new data \
                 file",
            ),
            false => (
                format!(
                    "the settings of {path} are gone, and the folder of its archives, which hold them, is not there: \
                     {}",
                    away.display()
                ),
                "Connect its disk: the settings are put back from the newest archive. To begin anew with the defaults",
            ),
        };
        let hint = format!("{hint} instead: strongroom settings {} --begin-anew.", quoted(&self.data_file));
        Some(Error::new(ErrorKind::Settings, message).hint(hint))
    }

    /// `settings` as they are once they are taken care of, where only what was noted in them is lacking; nothing is
    /// changed.
    pub fn shown(&self, settings: SettingsFile) -> SettingsFile {
        if !self.is_written_over {
            return settings;
        }
        self.with_notes(&settings).map_or(settings, |(with, _)| with)
    }

    /// `settings` with what the newest archive that can be read knows of them, and that archive.
    fn with_notes(&self, settings: &SettingsFile) -> Option<(SettingsFile, &ArchiveEntry)> {
        // Of one that is damaged inside, an older one may be whole; but not one of an earlier identity.
        let newest = self.archives.first()?.data_file_id?;
        self.archives.iter().filter(|archive| archive.data_file_id == Some(newest)).find_map(|archive| {
            let text = restore::settings_in(&archive.path).ok().flatten()?;
            let with = settings.with_notes_of(&text).ok()?;
            (with.settings().data_file_id == Some(newest)).then_some((with, archive))
        })
    }

    /// Puts the settings back from the newest archive that holds them, or only what was noted in them, where a person's
    /// are there; where none is left, only the numbers go on. `own` is the program's settings folder. Returns what is
    /// to be said of it.
    ///
    /// # Errors
    /// When the archives are away; when nothing can be written.
    pub fn put_back(&self, own: &Path) -> Result<Warning> {
        if let Some(refusal) = self.refusal() {
            return Err(refusal);
        }
        let path = self.data_file.display();
        if self.is_written_over {
            return self.take_over(own);
        }
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

    /// Takes the identity over, and what is noted with it.
    fn take_over(&self, own: &Path) -> Result<Warning> {
        let settings = SettingsFile::load(&self.data_file, own)?;
        let Some((mut with, archive)) = self.with_notes(&settings) else {
            self.begin_anew(own)?;
            let message = format!(
                "the settings of {} were written anew, without the identity that was noted in them, and no archive is \
                 left that knows it: it is a new data file from now on",
                self.data_file.display()
            );
            let hint = format!("Make a full backup now. Numbers go on after {}.", self.highest);
            return Ok(Warning::new(WarningKind::SettingsGone, message, hint));
        };
        let mut wanted = with.settings().clone();
        let before = restore::settings_in(&archive.path)?.and_then(|text| parse(&text, &self.data_file).ok());
        let dropped = before.as_ref().map_or_else(Vec::new, |before| settings::dropped(before, &wanted));
        if let Some(before) = before {
            backup::keep_known(&before, &mut wanted, &self.data_file);
        }
        wanted.last_number = wanted.last_number.max(self.highest.0);
        with.change(own, |settings| *settings = wanted)?;
        Ok(taken_over(&self.data_file, Some(&archive.path), &dropped))
    }

    /// Begins as a new data file because somebody asked for it: with the defaults, or with the settings that a person
    /// wrote anew. Returns what was done.
    ///
    /// # Errors
    /// `Refused` as long as an archive is there that knows what is lacking: nothing of it is thrown away; when the
    /// settings cannot be written.
    pub fn begin_anew_as_asked(&self, own: &Path) -> Result<String> {
        let path = self.data_file.display();
        if let Some(archive) = self.knows() {
            let archive = archive.display();
            let (lacking, comes) =
                if self.is_written_over { ("identity", "It comes") } else { ("settings", "They come") };
            let message = format!("the {lacking} of {path} can still be taken from {archive}: nothing is begun anew");
            return Err(Error::new(ErrorKind::Refused, message).hint(format!(
                "{comes} back as soon as a service, a window or a backup opens the data file. To begin anew all the \
                 same, move its archives to another folder first."
            )));
        }
        self.begin_anew(own)?;
        let file = SettingsFile::load(&self.data_file, own)?;
        let with = if self.is_written_over { "its settings as they are written" } else { "the defaults" };
        let (folder, number) = (backup::destination(&self.data_file, &file), self.highest);
        let away: Vec<String> = self.away.iter().map(|folder| folder.display().to_string()).collect();
        let before = if away.is_empty() {
            String::new()
        } else {
            format!(
                " Archives made before, in {}, are left as they are, and are not its own any more.",
                away.join(", ")
            )
        };
        Ok(format!(
            "{path} begins anew, as a new data file with {with}: archives go to {}, their numbers go on after \
             {number}, and the log is {}.{before}",
            folder.display(),
            file.settings().log.file.as_ref().map_or_else(|| "off".to_owned(), |log| log.display().to_string())
        ))
    }

    /// An archive that is there and holds what is lacking.
    fn knows(&self) -> Option<&Path> {
        let holds = |archive: &&ArchiveEntry| {
            let text = restore::settings_in(&archive.path).ok().flatten();
            text.is_some_and(|text| parse(&text, &self.data_file).is_ok_and(|s| s.data_file_id.is_some()))
        };
        self.archives.iter().find(holds).map(|archive| archive.path.as_path())
    }

    /// Begins with the defaults as a new data file, whose numbers go on.
    ///
    /// # Errors
    /// When the settings cannot be written.
    fn begin_anew(&self, own: &Path) -> Result<()> {
        SettingsFile::load(&self.data_file, own)?
            .change(own, |s| (s.data_file_id, s.last_number) = (Some(Uuid::new_v4()), self.highest.0))
    }
}

const STAYS: &str = "All that stands in them now stays in force.";

/// What is to be said once the notes were taken over, from an archive, or from what an engine knows; `dropped` are the
/// names of settings that were set before and are left out. A file that was cut off looks like a template.
pub(super) fn taken_over(data_file: &Path, archive: Option<&Path>, dropped: &[&str]) -> Warning {
    let from = archive.map_or_else(String::new, |archive| format!(" from {}", archive.display()));
    let left_out = match dropped {
        [] => String::new(),
        [one] => format!(". {one}, which was set before, is not in them any more"),
        several => format!(". {}, which were set before, are not in them any more", several.join(", ")),
    };
    let message = format!(
        "the settings of {} were written anew, without the identity that was noted in them, and it was taken \
         over{from}: archives, numbers and log go on{left_out}",
        data_file.display()
    );
    let hint = match dropped {
        [] => format!("{STAYS} What writes them, a template perhaps, can leave [data-file] out."),
        _ => format!("{STAYS} If they were cut off, and are not meant to be so, set anew what is missing."),
    };
    let kind = if dropped.is_empty() { WarningKind::Settings } else { WarningKind::SettingsGone };
    Warning::new(kind, message, hint)
}
