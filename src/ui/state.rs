//! What the window remembers between two frames: forms, the page, the choice of a data file. Everything true of backups
//! is in the engine's status.

mod forms;

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

use crossbeam_channel::{Receiver, Sender, unbounded};
use eframe::egui::{Context, Id};

use crate::engine::{JobId, Status, status::DataFileStatus};

pub(crate) use forms::{
    ArchivesForm, BackupForm, CompactForm, HoldForm, JournalForm, LogChoice, LogsAsked, MessageForm, RecoverForm,
    RepairForm, ReportForm, RestoreForm, SampleForm, SegmentsForm, ServiceForm, Then, UndoForm,
};

use super::{
    Setup,
    activity::ActivityForm,
    answers::Answers,
    asked::Asked,
    dialogs::{export::ExportForm, settings::SettingsForm, value::ValueForm},
    file_picker::FilePicker,
    leave::Leaving,
    looking::{LookForm, MomentForm, sizes::SizesForm},
    still::Still,
    taking_back::TakeBackForm,
    wanted::Wanted,
};

/// The themes of the side bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Page {
    /// All data files.
    Overview,
    /// The state of backups, and the data file's facts.
    #[default]
    Maintenance,
    /// The known archives.
    Restore,
    /// What each commit changed.
    Activity,
    /// The Backup journal.
    Journal,
}

/// The dialog that is open.
#[derive(Debug)]
pub(crate) enum Dialog {
    /// *Backup…*
    Backup(BackupForm),
    /// *Restore…*
    Restore(RestoreForm),
    /// *Repair archive…*
    Repair(RepairForm),
    /// *Hold archive…*
    Hold(HoldForm),
    /// Where the missing segments of an archive are.
    Segments(SegmentsForm),
    /// *Create sample…*
    Sample(SampleForm),
    /// Whether to stop using the log of this data file.
    StopLog(PathBuf),
    /// *User settings for data file…*
    Settings(Box<SettingsForm>),
    /// *Install as a service…*
    Service(Box<ServiceForm>),
    /// Whether to undo a restore in place.
    Undo(UndoForm),
    /// *Compact data…*
    Compact(CompactForm),
    /// *Recover…*
    Recover(RecoverForm),
    /// The report of a recovery.
    Recovered(ReportForm),
    /// The report of a verification of records.
    Report(ReportForm),
    /// A value of a record.
    Value(Box<ValueForm>),
    /// *Export…*
    Export(ExportForm),
    /// *Look at this state…*
    Look(Box<LookForm>),
    /// *Information*
    Sizes(Box<SizesForm>),
    /// *Look at a moment…*
    LookMoment(MomentForm),
    /// *Take back…*
    TakeBack(Box<TakeBackForm>),
    /// *About Strongroom*
    About,
    /// Whether to stop looking after this data file.
    Close(PathBuf),
    /// Whether to leave although jobs run, and who goes on with logs and schedules.
    Quit,
}

impl Dialog {
    /// What a dialog remembers in which a state is chosen.
    pub(crate) fn restore_form(&mut self) -> Option<&mut RestoreForm> {
        match self {
            Dialog::Restore(form) => Some(form),
            Dialog::LookMoment(form) => Some(&mut form.restore),
            _ => None,
        }
    }
}

/// All that the window remembers.
#[derive(Debug)]
pub(crate) struct State {
    /// The page shown.
    pub(crate) page: Page,
    /// Canonical path of the data file shown.
    pub(crate) current: Option<PathBuf>,
    /// The dialog that is open.
    pub(crate) dialog: Option<Dialog>,
    /// Something the administrator has to know now, above the dialog: that stays, with all that was entered.
    pub(crate) message: Option<MessageForm>,
    /// What engines answered.
    pub(crate) answers: Answers,
    /// What the dialog waits for.
    pub(crate) asked: Asked,
    /// Keeps the page still under the pointer.
    pub(crate) still: Still,
    /// How far the page is scrolled.
    pub(crate) offset: f32,
    /// How far it is to be scrolled when it is drawn again.
    pub(crate) scroll: Option<f32>,
    /// Data files in the order in which they were first seen, which never changes under the pointer.
    pub(crate) order: Vec<PathBuf>,
    /// Chooses files and folders.
    pub(crate) picker: FilePicker,
    /// What is looked for in the list of data files.
    pub(crate) search: String,
    /// The form of the Restore page.
    pub(crate) archives: ArchivesForm,
    /// Folders that the user named for segments, by archive.
    pub(crate) segments: HashMap<PathBuf, Vec<PathBuf>>,
    /// The page Activity.
    pub(crate) activity: ActivityForm,
    /// The form of the Backup journal.
    pub(crate) journal: JournalForm,
    /// Ended jobs that the administrator has put away.
    pub(crate) dismissed: HashSet<JobId>,
    /// Where things are on this machine.
    pub(crate) setup: Setup,
    /// The field for text that had the focus last.
    pub(crate) field: Option<Id>,
    /// Whether the window may close: nothing is left to be asked.
    pub(crate) is_leaving: bool,
    /// The handover before it closes.
    pub(crate) leaving: Option<Leaving>,
    /// The data file to be backed up as soon as its log runs.
    pub(crate) backup_when_logged: Option<PathBuf>,
    /// Paths that this window asked to be opened: these alone are shown as soon as they are open.
    pub(super) wanted: Vec<Wanted>,
    /// What they are called where they lie, as threads find out.
    pub(super) names: (Sender<Wanted>, Receiver<Wanted>),
    /// Draws the window anew.
    pub(crate) wake: Option<Context>,
    /// The jobs that create samples for this window.
    pub(crate) samples: HashSet<JobId>,
    /// Data files that this window asked to be closed: another one is shown then.
    pub(crate) closing: HashSet<PathBuf>,
    /// Data files that others opened and that were not shown yet.
    pub(crate) unseen: HashSet<PathBuf>,
    /// The data files of the last frame, to notice a new one; `None` before the first.
    known: Option<HashSet<PathBuf>>,
}

impl State {
    /// What a new window remembers.
    pub(crate) fn new(picker: FilePicker, setup: Setup) -> Self {
        Self {
            page: Page::default(),
            current: None,
            dialog: None,
            message: None,
            answers: Answers::default(),
            asked: Asked::default(),
            still: Still::default(),
            offset: 0.0,
            scroll: None,
            order: Vec::new(),
            picker,
            search: String::new(),
            archives: ArchivesForm::default(),
            segments: HashMap::new(),
            activity: ActivityForm::default(),
            journal: JournalForm::default(),
            dismissed: HashSet::new(),
            setup,
            field: None,
            is_leaving: false,
            leaving: None,
            backup_when_logged: None,
            wanted: Vec::new(),
            names: unbounded(),
            wake: None,
            samples: HashSet::new(),
            closing: HashSet::new(),
            unseen: HashSet::new(),
            known: None,
        }
    }

    /// The data file shown.
    pub(crate) fn data_file<'a>(&self, status: &'a Status) -> Option<&'a DataFileStatus> {
        status.data_file(self.current.as_deref()?)
    }

    /// Follows the status. A data file that this window asked for is shown; one that somebody else opened only appears
    /// in the side bar: a page never changes under the pointer.
    pub(crate) fn follow(&mut self, status: &Status) {
        let open: HashSet<PathBuf> = status.data_files.iter().map(|d| d.facts.path.clone()).collect();
        match &self.known {
            Some(known) => self.unseen.extend(open.difference(known).cloned()),
            // Before the first frame nobody points at anything.
            None => self.current = self.current.take().or(status.data_files.last().map(|d| d.facts.path.clone())),
        }
        self.show_wanted(status);
        if let Some(current) = self.current.as_ref().filter(|current| !open.contains(*current))
            && self.closing.contains(current)
        {
            self.current = None;
            if let Some(next) = status.data_files.last() {
                self.show(&next.facts.path);
            }
        }
        self.closing.retain(|path| open.contains(path));
        self.unseen.retain(|path| open.contains(path) && self.current.as_ref() != Some(path));
        self.order.retain(|path| open.contains(path));
        for data_file in &status.data_files {
            if !self.order.contains(&data_file.facts.path) {
                self.order.push(data_file.facts.path.clone());
            }
        }
        self.known = Some(open);
        let gone = match &self.dialog {
            Some(Dialog::Backup(form)) => status.data_file(&form.data_file).is_none(),
            Some(Dialog::Settings(form)) => status.data_file(&form.data_file).is_none(),
            Some(Dialog::Compact(form)) => status.data_file(&form.data_file).is_none(),
            Some(Dialog::Undo(form)) => status.data_file(&form.data_file).is_none(),
            Some(Dialog::TakeBack(form)) => status.data_file(&form.planning.data_file).is_none(),
            Some(Dialog::Look(form)) => status.data_file(&form.seen.data_file).is_none(),
            Some(Dialog::Sizes(form)) => status.data_file(&form.data_file).is_none(),
            Some(Dialog::LookMoment(form)) => status.data_file(&form.data_file).is_none(),
            _ => false,
        };
        if gone {
            self.dialog = None;
        }
    }

    /// Shows another data file.
    pub(crate) fn show(&mut self, data_file: &Path) {
        if self.current.as_deref() != Some(data_file) || self.page == Page::Overview {
            self.page = Page::Maintenance;
        }
        self.select(data_file);
    }

    /// Has another data file be the one that is meant.
    pub(crate) fn select(&mut self, data_file: &Path) {
        self.unseen.remove(data_file);
        if self.current.as_deref() != Some(data_file) {
            self.current = Some(data_file.to_path_buf());
            self.archives = ArchivesForm::default();
            self.journal = JournalForm::default();
            self.activity = ActivityForm::default();
        }
    }
}
