//! The form of the settings dialog: a draft of the settings, and what was typed into the fields whose text can be
//! wrong.
//!
//! What a field may hold is decided by the table of keys, which the settings file and the command line use too.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Instant,
};

use chrono::Local;

use super::field::{self, Field};
use crate::{
    archive::{ArchiveOptions, catalog},
    backup::{self, Measure},
    engine::{Command, status::DataFileStatus},
    error::ErrorReport,
    settings::{
        Key, Revision, Settings,
        sections::{Frequency, Retry, Unit},
    },
    sqlite::data_file::JournalMode,
    ui::answers::View,
};

/// A tab of the page *Backups*.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum Tab {
    /// When.
    #[default]
    Scheduler,
    /// What, where to, and the log.
    Configuration,
    /// How many, how, and what is done by itself.
    BackupRestore,
}

impl Tab {
    /// All of them, from left to right.
    pub(crate) const ALL: [Self; 3] = [Self::Scheduler, Self::Configuration, Self::BackupRestore];

    /// As the window calls it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Scheduler => "Scheduler",
            Self::Configuration => "Configuration",
            Self::BackupRestore => "Backup & Restore",
        }
    }
}

/// What a path is chosen for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PathFor {
    /// The folder for archives.
    Destination,
    /// The folder of the log.
    Log,
    /// A file or folder of the program.
    Program,
    /// An attachment.
    Attachment,
}

impl PathFor {
    /// Title of the file picker.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Destination => "Folder for archives",
            Self::Log => "Folder for the log",
            Self::Program => "Add to the program files",
            Self::Attachment => "Add to the attachments",
        }
    }
}

/// The form.
#[derive(Debug)]
pub(crate) struct SettingsForm {
    /// Canonical path of the data file.
    pub(crate) data_file: PathBuf,
    /// The tab shown.
    pub(crate) tab: Tab,
    /// The settings in force when the form was filled.
    pub(super) base: Settings,
    /// The settings as far as they are understood.
    pub(super) draft: Settings,
    /// Whether a log is to be used.
    pub(super) use_log: bool,
    /// Whether what is said of the log is to be scrolled to.
    pub(super) show_log: bool,
    /// Whether to switch the data file to WAL mode for it.
    pub(super) switch_to_wal: bool,
    /// Whether a full backup follows as soon as a new log runs.
    pub(super) backup_follows: bool,
    /// Whether the segment size is typed, and not one of those proposed.
    pub(super) other_segment: bool,
    /// Why a path that was chosen last was not added.
    pub(super) not_added: Option<String>,
    typed: BTreeMap<Field, String>,
    /// The settings whose places were asked for last, and when.
    pub(super) looked: Option<(Revision, Instant)>,
    /// The files and folders that the engine was asked to measure.
    pub(super) asked: BTreeSet<PathBuf>,
    /// What they measure, as far as it is known.
    pub(super) measured: BTreeMap<PathBuf, Result<Measure, ErrorReport>>,
    /// What was sent to be put in force.
    sent: Option<Settings>,
    refused: Option<(Settings, ErrorReport)>,
}

impl SettingsForm {
    /// The form filled with the settings in force.
    pub(crate) fn new(data_file: &DataFileStatus, tab: Tab) -> Self {
        Self::of(data_file.facts.path.clone(), data_file.settings.clone(), tab)
    }

    /// The same where a log is chosen, and is to be used.
    pub(crate) fn with_log(data_file: &DataFileStatus) -> Self {
        Self { use_log: true, show_log: true, ..Self::new(data_file, Tab::Configuration) }
    }

    fn of(data_file: PathBuf, settings: Settings, tab: Tab) -> Self {
        Self {
            data_file,
            tab,
            use_log: settings.log.file.is_some(),
            show_log: false,
            switch_to_wal: false,
            backup_follows: true,
            other_segment: !field::SEGMENTS.contains(&field::megabytes(&settings)),
            not_added: None,
            typed: BTreeMap::new(),
            looked: None,
            asked: BTreeSet::new(),
            measured: BTreeMap::new(),
            sent: None,
            refused: None,
            draft: settings.clone(),
            base: settings,
        }
    }

    /// The settings that the form means. Where a text is wrong, the last good value stands in for it.
    pub(super) fn settings(&self) -> Settings {
        let mut settings = self.draft.clone();
        let days = &mut settings.scheduler.weekdays;
        if days.is_empty() {
            days.clone_from(&self.base.scheduler.weekdays);
        }
        if settings.scheduler.frequency == Frequency::EveryWeek {
            *days = days.first().copied().into_iter().collect();
        }
        settings.log.file = self.use_log.then(|| self.log_file());
        if !self.typed.contains_key(field::FROM) {
            settings.scheduler = settings.scheduler.counted_from(Local::now().date_naive(), &self.base.scheduler);
        }
        settings
    }

    /// What stands in a field.
    pub(super) fn text(&self, field: Field) -> String {
        if let Some(typed) = self.typed.get(field) {
            return typed.clone();
        }
        match field {
            field::FOLDER => backup::destination_by(&self.data_file, &self.draft).display().to_string(),
            field::LOG => self.log_file().display().to_string(),
            field::FROM => self.settings().scheduler.from.map_or_else(String::new, |day| day.to_string()),
            field::SEGMENT => field::megabytes(&self.draft).map_or_else(String::new, |mb| mb.to_string()),
            _ => Key::find(field).and_then(|key| key.get(&self.draft)).map_or_else(String::new, |value| {
                value.as_str().map_or_else(|| value.to_string().trim().to_owned(), str::to_owned)
            }),
        }
    }

    /// Takes what stands in a field now.
    pub(super) fn type_into(&mut self, field: Field, text: String) {
        let trimmed = text.trim();
        match field {
            field::LOG => {}
            field::FOLDER if trimmed.is_empty() || Path::new(trimmed) == self.default_folder() => {
                self.draft.destination.folder = None;
            }
            _ => _ = field::set(&mut self.draft, field, trimmed),
        }
        self.typed.insert(field, text);
    }

    /// Forgets what was typed into a field: it shows the value of the draft again.
    pub(super) fn forget(&mut self, field: Field) {
        self.typed.remove(field);
    }

    /// The folder for archives where none is chosen.
    pub(super) fn default_folder(&self) -> PathBuf {
        backup::destination_by(&self.data_file, &Settings::default())
    }

    /// The log file as typed or in force, else the one proposed: in the folder for archives.
    pub(super) fn log_file(&self) -> PathBuf {
        let typed = self.typed.get(field::LOG).map(|text| PathBuf::from(text.trim()));
        typed.or_else(|| self.base.log.file.clone()).unwrap_or_else(|| {
            let name = format!("{}.journal", catalog::stem(&self.data_file));
            backup::destination_by(&self.data_file, &self.draft).join(name)
        })
    }

    /// Takes a path that was chosen in the file picker.
    pub(crate) fn choose(&mut self, for_what: PathFor, path: PathBuf) {
        match for_what {
            PathFor::Destination => self.type_into(field::FOLDER, path.display().to_string()),
            PathFor::Log => {
                let name = self.log_file().file_name().unwrap_or_default().to_owned();
                self.type_into(field::LOG, path.join(name).display().to_string());
            }
            PathFor::Program | PathFor::Attachment => {
                let content = &mut self.draft.content;
                let known = content.program.iter().chain(&content.attachments).any(|other| *other == path);
                self.not_added = known.then(|| format!("{} is in the list already.", path.display()));
                let list = if for_what == PathFor::Program { &mut content.program } else { &mut content.attachments };
                if !known {
                    list.push(path);
                }
            }
        }
    }

    /// Whether a field counts, as the choices around it are.
    pub(super) fn counts(&self, field: Field) -> bool {
        let scheduler = &self.draft.scheduler;
        let personalized = scheduler.frequency == Frequency::Personalized;
        match field {
            field::EVERY => personalized,
            field::AT => !matches!(scheduler.frequency, Frequency::Never | Frequency::EveryHour),
            field::WEEKDAYS => {
                scheduler.frequency == Frequency::EveryWeek || personalized && scheduler.unit == Unit::Weeks
            }
            field::DAY => {
                scheduler.frequency == Frequency::EveryMonth || personalized && scheduler.unit == Unit::Months
            }
            field::FROM => personalized && scheduler.every > 1,
            field::LOG => self.use_log,
            field::LAST | field::HOURLY | field::DAILY | field::WEEKLY | field::MONTHLY | field::YEARLY => {
                !self.draft.keep.all
            }
            field::RETRY_AFTER => self.draft.failure.retry == Retry::After,
            field::CANCEL_AFTER => self.draft.failure.cancel,
            field::SEGMENT => self.other_segment,
            _ => true,
        }
    }

    /// What is wrong with a field that counts, as a sentence.
    pub(super) fn problem(&self, field: Field) -> Option<String> {
        if !self.counts(field) {
            return None;
        }
        let scheduler = &self.draft.scheduler;
        match field {
            field::WEEKDAYS => scheduler.weekdays.is_empty().then(|| "Choose at least one day.".to_owned()),
            field::EVERY if scheduler.unit == Unit::Hours => {
                let hours = self.text(field).trim().parse().is_ok_and(|every: u32| (1..=24).contains(&every));
                (!hours).then(|| "Give a whole number from 1 to 24.".to_owned())
            }
            field::LOG => {
                let file = self.log_file();
                let named = file.is_absolute() && file.file_name().is_some() && !self.text(field).trim().ends_with('/');
                (!named).then(|| "Give the full path of a file.".to_owned())
            }
            field::FOLDER if self.text(field).trim().is_empty() => None,
            _ => field::set(&mut self.draft.clone(), field, self.text(field).trim()).err(),
        }
    }

    /// The tabs on which something is wrong that keeps the form from being applied.
    pub(super) fn wrong_tabs(&self, status: &View<'_>, data_file: &DataFileStatus) -> Vec<Tab> {
        let is_wrong = |tab: &Tab| {
            let fields = field::ALL.iter().any(|field| field::tab(field) == *tab && self.problem(field).is_some());
            let configuration = || {
                self.content_refused().is_some()
                    || self.lacks_wal(data_file)
                    || self.refuses_log_at(self.log_place(status, data_file))
            };
            fields || *tab == Tab::Configuration && configuration()
        };
        Tab::ALL.into_iter().filter(is_wrong).collect()
    }

    /// Whether the log is new, or lies elsewhere from now on.
    pub(super) fn log_is_new(&self) -> bool {
        self.use_log && self.base.log.file.as_ref() != Some(&self.log_file())
    }

    /// Whether the data file has to be switched to WAL mode before a log can be used, and nobody said so yet.
    pub(super) fn lacks_wal(&self, data_file: &DataFileStatus) -> bool {
        self.log_is_new() && data_file.facts.journal_mode != JournalMode::Wal && !self.switch_to_wal
    }

    /// Takes over what Strongroom itself notes among the settings: by its identity the data file's own archives are
    /// told from others, and the first backup gives it one.
    pub(super) fn note(&mut self, in_force: &Settings) {
        if self.draft.data_file_id != in_force.data_file_id {
            self.looked = None;
        }
        for settings in [&mut self.draft, &mut self.base] {
            settings.take_notes(in_force);
        }
    }

    /// Whether something would change.
    pub(super) fn is_changed(&self) -> bool {
        self.settings().revision() != self.base.revision() || self.use_log && self.switch_to_wal
    }

    /// Whether the engine was asked to put the form in force, and has not answered: asked twice, it would refuse the
    /// second.
    pub(super) fn is_waiting(&self) -> bool {
        self.sent.is_some() && self.refused.is_none()
    }

    /// Whether somebody else changed the settings after the form was filled.
    pub(super) fn is_outdated(&self, data_file: &DataFileStatus) -> bool {
        data_file.settings.revision() != self.base.revision() && !self.is_applied(data_file)
    }

    /// Whether what was sent is in force.
    pub(super) fn is_applied(&self, data_file: &DataFileStatus) -> bool {
        self.sent.as_ref().is_some_and(|sent| plain(sent) == plain(&data_file.settings))
    }

    /// What puts the form in force.
    pub(crate) fn send(&mut self) -> Command {
        let settings = self.settings();
        (self.sent, self.refused) = (Some(settings.clone()), None);
        Command::ChangeSettings {
            data_file: self.data_file.clone(),
            revision: self.base.revision(),
            switch_to_wal: self.use_log && self.switch_to_wal,
            settings,
        }
    }

    /// The engine did not do what it was asked.
    pub(crate) fn refuse(&mut self, error: ErrorReport) {
        self.refused = Some((self.settings(), error));
        self.sent = None;
    }

    /// Why the engine refused the form as it is.
    pub(super) fn refusal(&self) -> Option<&ErrorReport> {
        self.refused.as_ref().filter(|(settings, _)| *settings == self.settings()).map(|(_, error)| error)
    }

    /// Takes the refusal from the status, where the news of it did not get through.
    pub(super) fn take_refusal(&mut self, data_file: &DataFileStatus) {
        let of_form = data_file.settings_refused.as_ref().filter(|refused| refused.revision == self.base.revision());
        if let (Some(_), None, Some(refused)) = (&self.sent, &self.refused, of_form) {
            let error = refused.error.clone();
            // It may be that of an earlier attempt: what was sent can still come into force.
            self.refused = Some((self.settings(), error));
        }
    }

    /// Goes back to the defaults of the tab *Backup & Restore*.
    pub(super) fn restore_defaults(&mut self) {
        let defaults = Settings::default();
        self.draft.keep = defaults.keep;
        self.draft.failure = defaults.failure;
        self.draft.archive = ArchiveOptions::default();
        self.draft.restore = defaults.restore;
        self.draft.proof = defaults.proof;
        self.draft.scheduler.only_if_modified = defaults.scheduler.only_if_modified;
        self.other_segment = false;
        let fields = [field::LAST, field::RETRY_AFTER, field::CANCEL_AFTER, field::SEGMENT];
        for field in fields.into_iter().chain(field::STEPS.map(|(field, _)| field)) {
            self.forget(field);
        }
    }
}

/// Without the folders chosen earlier, which the engine notes by itself.
fn plain(settings: &Settings) -> Revision {
    let mut plain = settings.clone();
    plain.destination.earlier.clear();
    plain.revision()
}

#[cfg(test)]
mod tests;
