//! What the window remembers between two frames: forms, the page, the choice of a data file. Everything true of backups
//! is in the engine's status.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

use crossbeam_channel::{Receiver, Sender, unbounded};
use eframe::egui::{Context, Id};

use crate::{
    activity::query::Source,
    archive::catalog::ArchiveEntry,
    engine::{
        JobId, Query, Status,
        history::{JobKind, Outcome},
        query::ArchiveLook,
        status::DataFileStatus,
    },
    error::ErrorReport,
    journal::integrate::Until,
    restore::Logs,
    service::install::Plan,
};

use super::{
    Setup,
    activity::ActivityForm,
    answers::Answers,
    asked::Asked,
    dialogs::{export::ExportForm, plan::Line, settings::SettingsForm, timeline::TimelineForm, value::ValueForm},
    file_picker::FilePicker,
    leave::Leaving,
    looking::{LookForm, MomentForm},
    still::Still,
    taking_back::TakeBackForm,
    wanted::Wanted,
};

/// The themes of the side bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Page {
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
    /// The report of a verification of records.
    Report(ReportForm),
    /// A value of a record.
    Value(Box<ValueForm>),
    /// *Export…*
    Export(ExportForm),
    /// *Look at this state…*
    Look(Box<LookForm>),
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

/// The form of *Backup…*.
#[derive(Debug)]
pub(crate) struct BackupForm {
    /// Canonical path of the data file.
    pub(crate) data_file: PathBuf,
}

/// The form of *Restore…*.
#[derive(Debug)]
pub(crate) struct RestoreForm {
    /// The archive.
    pub(crate) archive: PathBuf,
    /// Names of the items that are not wanted.
    pub(crate) unwanted: HashSet<String>,
    /// The folder as typed or chosen; `None` while the proposed one is in force.
    pub(crate) destination: Option<String>,
    /// How far to integrate the logs that continue the archive.
    pub(crate) log: LogChoice,
    /// The moment as typed.
    pub(crate) moment: String,
    /// The commit number as typed.
    pub(crate) commit: String,
    /// The live data file that is to be brought to that state; `None` for a restore into a folder.
    pub(crate) in_place: Option<PathBuf>,
    /// The limit that the engine was asked about last.
    pub(crate) asked: Option<Until>,
    /// Logs that lie elsewhere, which the user named.
    pub(crate) logs: Vec<PathBuf>,
    /// Folders that hold segments of the archive, besides its own.
    pub(crate) segments: Vec<PathBuf>,
    /// The logs in which is counted what leaves the data file, where somebody has looked at them.
    pub(crate) counts: Option<Source>,
    /// The commit after which it was counted last, and when, in the window's own time.
    pub(crate) counted: Option<(u64, f64)>,
    /// The timeline that a moment is picked on.
    pub(crate) timeline: TimelineForm,
    /// The plan as it was told last.
    pub(crate) plan: Vec<Line>,
}

/// The form of *Hold archive…*.
#[derive(Debug)]
pub(crate) struct HoldForm {
    /// The archive.
    pub(crate) archive: PathBuf,
    /// The reason as typed.
    pub(crate) note: String,
    /// Whether it was just opened: the field for the note gets the focus.
    pub(crate) is_new: bool,
}

/// The form of *Repair archive…*.
#[derive(Debug)]
pub(crate) struct RepairForm {
    /// The archive.
    pub(crate) archive: PathBuf,
    /// Folders that hold segments of it, besides its own.
    pub(crate) segments: Vec<PathBuf>,
    /// The file as typed or chosen; `None` while the proposed one is in force.
    pub(crate) to: Option<String>,
}

/// What is to be done with an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Verify it.
    Verify,
    /// Open the dialog *Repair archive…*.
    Repair,
    /// A test restore.
    TestRestore,
}

/// The form that asks for missing segments.
#[derive(Debug)]
pub(crate) struct SegmentsForm {
    /// The archive.
    pub(crate) archive: PathBuf,
    /// Folders that hold segments of it, besides its own.
    pub(crate) segments: Vec<PathBuf>,
    /// What is done when all are there.
    pub(crate) then: Then,
}

/// How far to integrate the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogChoice {
    /// Everything there is.
    End,
    /// Up to a moment.
    Moment,
    /// Up to a commit.
    Commit,
    /// Nothing: the state of the archive itself.
    None,
}

impl RestoreForm {
    /// The form for `archive`, with everything that it holds.
    pub(crate) fn new(archive: PathBuf, segments: Vec<PathBuf>, in_place: Option<PathBuf>) -> Self {
        Self {
            archive,
            segments,
            unwanted: HashSet::new(),
            destination: None,
            log: LogChoice::End,
            moment: String::new(),
            commit: String::new(),
            in_place,
            asked: None,
            logs: Vec::new(),
            counts: None,
            counted: None,
            timeline: TimelineForm::default(),
            plan: Vec::new(),
        }
    }

    /// The logs that are looked at.
    pub(crate) fn logs(&self) -> Logs {
        if self.logs.is_empty() { Logs::Found } else { Logs::Also(self.logs.clone()) }
    }

    /// What the archive says of itself, with these logs.
    pub(crate) fn question(&self) -> Query {
        let (path, segments) = (self.archive.clone(), self.segments.clone());
        Query::Archive { path, segments, logs: self.logs() }
    }

    /// The answer, once it was read.
    pub(crate) fn look(&self, answers: &Answers) -> Option<ArchiveLook> {
        answers.look(&self.question())
    }
}

/// The form of *Install as a service…*.
#[derive(Debug)]
pub(crate) struct ServiceForm {
    /// The data files that it would look after: those of this window.
    pub(crate) data_files: Vec<PathBuf>,
    /// What installing it does, or why it cannot be done here.
    pub(crate) plan: Result<Plan, ErrorReport>,
    /// Whether the window closes when the service has the data files.
    pub(crate) quits: bool,
}

/// Which restore in place is to be undone.
#[derive(Debug)]
pub(crate) struct UndoForm {
    /// Canonical path of the data file.
    pub(crate) data_file: PathBuf,
    /// The restore in place.
    pub(crate) of: JobId,
}

/// The form of *Compact data…*.
#[derive(Debug)]
pub(crate) struct CompactForm {
    /// Canonical path of the data file.
    pub(crate) data_file: PathBuf,
}

/// Which report is shown.
#[derive(Debug)]
pub(crate) struct ReportForm {
    /// Canonical path of the data file.
    pub(crate) data_file: PathBuf,
    /// The verification that wrote it.
    pub(crate) job: JobId,
    /// Whether only what is not sound is listed.
    pub(crate) problems_only: bool,
}

/// The form of *Create sample…*.
#[derive(Debug)]
pub(crate) struct SampleForm {
    /// The folder as typed or chosen.
    pub(crate) folder: String,
}

/// A message with a path to copy, perhaps.
#[derive(Debug)]
pub(crate) struct MessageForm {
    /// The title.
    pub(crate) title: String,
    /// What happened.
    pub(crate) error: ErrorReport,
    /// A path that the administrator may want to copy.
    pub(crate) path: Option<PathBuf>,
}

/// The form of the Restore page.
#[derive(Debug, Default)]
pub(crate) struct ArchivesForm {
    /// The archive selected in the table.
    pub(crate) selected: Option<PathBuf>,
    /// The one that counts as selected until somebody selects one.
    pub(crate) proposed: Option<PathBuf>,
    /// In which pass that was drawn last.
    pub(crate) drawn: u64,
    /// The archive whose logs were asked for last.
    pub(crate) logs: Option<LogsAsked>,
    /// Whether that was answered.
    pub(crate) logs_answered: bool,
    /// The archives that are shown, in order, and of which data file: rows do not move under the pointer.
    pub(crate) shown: (PathBuf, Vec<ArchiveEntry>),
}

/// An archive whose logs were asked for, and what was known then.
#[derive(Debug, PartialEq)]
pub(crate) struct LogsAsked {
    /// The archive.
    pub(crate) archive: PathBuf,
    /// Folders that hold segments of it, besides its own.
    pub(crate) segments: Vec<PathBuf>,
    /// The logs in its folder.
    pub(crate) known: Option<Vec<PathBuf>>,
    /// The log chosen.
    pub(crate) log: Option<PathBuf>,
    /// Whether that is being written.
    pub(crate) is_logged: bool,
    /// The processes of the engines that could answer.
    pub(crate) engines: Vec<u32>,
}

/// The form of the Backup journal.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct JournalForm {
    /// Text to be found in paths, numbers and errors.
    pub(crate) text: String,
    /// Only this kind of job.
    pub(crate) kind: Option<JobKind>,
    /// Only this outcome.
    pub(crate) outcome: Option<Outcome>,
    /// Only jobs of the data file shown.
    pub(crate) this_file_only: bool,
    /// The entry shown in full.
    pub(crate) selected: Option<JobId>,
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
            Some(Dialog::LookMoment(form)) => status.data_file(&form.data_file).is_none(),
            _ => false,
        };
        if gone {
            self.dialog = None;
        }
    }

    /// Shows another data file.
    pub(crate) fn show(&mut self, data_file: &Path) {
        self.unseen.remove(data_file);
        if self.current.as_deref() != Some(data_file) {
            self.current = Some(data_file.to_path_buf());
            self.page = Page::Maintenance;
            self.archives = ArchivesForm::default();
            self.journal = JournalForm::default();
            self.activity = ActivityForm::default();
        }
    }
}
