//! What the user wants. Pages and dialogs push actions; [`apply`](super::apply::apply) alone carries them out.

use std::{
    path::PathBuf,
    process::Child,
    sync::{Arc, Mutex},
};

use eframe::egui::ThemePreference;
use uuid::Uuid;

use super::{
    activity::export::FileForm,
    dialogs::{
        settings::{PathFor, Tab},
        value::ValueForm,
    },
    state::{Page, Then},
};
use crate::{
    activity::query::Ask,
    as_of::ask,
    engine::{Command, JobId, Query},
    error::ErrorReport,
    journal::integrate::Until,
    maintenance::measured,
    restore::Logs,
    service::install::Plan,
    take_back,
};

/// Something the user wants.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// Give the engine a command.
    Send(Command),
    /// Ask the engine a question.
    Ask(Query),
    /// Show a page.
    Show(Page),
    /// Show another data file.
    ShowDataFile(PathBuf),
    /// Have another data file be the one that is meant, on the page that is shown.
    SelectDataFile(PathBuf),
    /// Choose a data file, then open it.
    ChooseDataFile,
    /// Open this data file.
    Open(PathBuf),
    /// Stop looking after this data file; asks first when that ends its protection.
    CloseDataFile(PathBuf),
    /// Open the dialog *Backup…* for this data file.
    AskBackup(PathBuf),
    /// Start a full backup of this data file.
    Backup(PathBuf),
    /// Choose another folder for the archives of this data file.
    ChooseDestination(PathBuf),
    /// Choose an archive, then open the dialog *Restore…*.
    ChooseArchive,
    /// Open the dialog *Restore…* for this archive.
    AskRestore(PathBuf),
    /// Open the dialog *Restore in place…* for this archive and data file.
    AskRestoreInPlace {
        /// The archive.
        archive: PathBuf,
        /// The data file.
        data_file: PathBuf,
    },
    /// Open the dialog *Restore in place…* so that a data file gets what it lacks and its log holds.
    AskIntegrate(PathBuf),
    /// Choose an archive of a data file that cannot be opened, then open the dialog *Restore in place…*.
    ChooseArchiveOfLost {
        /// The data file.
        data_file: PathBuf,
        /// The folder to look in first.
        folder: PathBuf,
    },
    /// Go on with another archive in the dialog that is open.
    UseArchive(PathBuf),
    /// Choose a log that lies elsewhere, for the dialog that is open.
    AddLog(PathBuf),
    /// Start a restore in place.
    RestoreInPlace {
        /// The data file.
        data_file: PathBuf,
        /// The archive.
        archive: PathBuf,
        /// The logs to integrate.
        logs: Logs,
        /// How far to integrate them.
        until: Until,
        /// Folders that hold segments of the archive, besides its own.
        segments: Vec<PathBuf>,
    },
    /// Ask whether to undo a restore in place, with numbers.
    AskUndo {
        /// The data file.
        data_file: PathBuf,
        /// The restore in place.
        of: JobId,
    },
    /// Undo it.
    Undo {
        /// The data file.
        data_file: PathBuf,
        /// The restore in place.
        of: JobId,
    },
    /// Choose the folder that the open dialog *Restore…* asks for.
    ChooseRestoreFolder(PathBuf),
    /// Start a restore.
    Restore {
        /// The archive.
        archive: PathBuf,
        /// Names of the items; empty for all.
        items: Vec<String>,
        /// The folder.
        destination: PathBuf,
        /// The logs to integrate.
        logs: Logs,
        /// How far to integrate them.
        until: Until,
        /// Folders that hold segments of the archive, besides its own.
        segments: Vec<PathBuf>,
    },
    /// Do something with an archive; where segments are missing, their folder is asked for first.
    WithArchive {
        /// The archive.
        archive: PathBuf,
        /// What to do.
        then: Then,
    },
    /// Do it now.
    Begin {
        /// The archive.
        archive: PathBuf,
        /// Folders that hold segments of it, besides its own.
        segments: Vec<PathBuf>,
        /// What to do.
        then: Then,
    },
    /// Open the dialog *Hold archive…*.
    AskHold(PathBuf),
    /// Keep an archive for ever.
    Hold {
        /// The archive.
        archive: PathBuf,
        /// The reason.
        note: Option<String>,
    },
    /// Choose another folder with segments of this archive.
    ChooseSegments(PathBuf),
    /// Choose the folder that the open dialog *Repair archive…* asks for.
    ChooseRepairFolder(PathBuf),
    /// Propose a name for the sound copy of an archive in a folder, on a thread.
    ProposeCopy {
        /// The archive.
        archive: PathBuf,
        /// The folder.
        folder: PathBuf,
    },
    /// It was found: archive and copy.
    CopyProposed(PathBuf, PathBuf),
    /// Write a sound copy of an archive.
    Repair {
        /// The archive.
        archive: PathBuf,
        /// Folders that hold segments of it, besides its own.
        segments: Vec<PathBuf>,
        /// The sound copy.
        to: PathBuf,
    },
    /// Choose the folder in which a backup goes on whose disk is full.
    ChooseGoOn {
        /// The job.
        job: JobId,
        /// The folder that is full.
        full: PathBuf,
    },
    /// Open the settings of this data file where a log is chosen, or the warning before the log is switched off.
    AskLog(PathBuf),
    /// Try to open the log of this data file again.
    OpenLogAgain(PathBuf),
    /// Use the log of this data file no longer.
    StopLog(PathBuf),
    /// Open the dialog *User settings for data file…* at a tab.
    AskSettings(PathBuf, Tab),
    /// Choose a path that the open dialog of settings asks for.
    ChooseForSettings {
        /// What it is for.
        for_what: PathFor,
        /// Whether a folder is wanted, and not a file.
        folder: bool,
        /// The folder to begin with.
        start: PathBuf,
    },
    /// Put the settings of the open dialog in force.
    ApplySettings {
        /// Whether a full backup follows as soon as the log runs that they name.
        backup: bool,
    },
    /// Open the dialog *Compact data…* for this data file.
    AskCompact(PathBuf),
    /// Start compacting this data file.
    Compact(PathBuf),
    /// Show the report of a verification of records.
    AskReport {
        /// Canonical path of the data file.
        data_file: PathBuf,
        /// The verification.
        job: JobId,
    },
    /// Ask for rows of the page Activity.
    AskActivity(Ask),
    /// Choose another log, to see what it recorded.
    ChooseLogToAnalyze,
    /// Show this log on the page Activity.
    AnalyzeLog(PathBuf),
    /// Show a value of a record.
    ViewValue(Box<ValueForm>),
    /// Open the dialog *Export…*.
    AskExport,
    /// Choose the folder that the open dialog *Export…* asks for.
    ChooseExportFolder(PathBuf),
    /// Write what the page Activity lists to a file that is not there yet.
    Export {
        /// The file.
        file: PathBuf,
        /// What its lines are.
        form: FileForm,
    },
    /// Something about recovering a damaged data file.
    Recover(Recover),
    /// Something about looking at a state.
    Look(Look),
    /// Something about the dialog *Information*.
    Sizes(Sizes),
    /// Something about taking single changes back.
    TakeBack(TakeBack),
    /// Open the dialog *Restore in place…* for a data file and the state after a commit.
    AskGoBack {
        /// The data file.
        data_file: PathBuf,
        /// The commit.
        commit: u64,
    },
    /// Open the dialog *Create sample…*.
    AskSample,
    /// Choose the folder that the open dialog *Create sample…* asks for.
    ChooseSampleFolder(PathBuf),
    /// Create the sample in this folder.
    CreateSample(PathBuf),
    /// Show a folder with the system's file manager.
    ShowFolder(PathBuf),
    /// Put a text on the clipboard.
    Copy(String),
    /// Cut, copy or paste in the field that has the focus.
    Edit(EditCommand),
    /// Light, dark, or as the system says.
    Appearance(ThemePreference),
    /// Put the result of an ended job away.
    Dismiss(JobId),
    /// Close the open dialog.
    CloseDialog,
    /// Close what is said above it.
    CloseMessage,
    /// Plan a service for the data files of this window, and open the dialog that shows the plan.
    AskService,
    /// The same before the window closes.
    AskServiceToQuit,
    /// Open the dialog *Install as a service…* with what was planned; the flag says whether the window then closes.
    ServicePlanned(Vec<PathBuf>, Box<Result<Plan, ErrorReport>>, bool),
    /// The service was installed, and the window closes when it has the data files.
    ServiceInstalled,
    /// Hand what this window looks after over to a process in the background, then close.
    KeepRunning,
    /// Begin that process.
    BeginBackground,
    /// It was begun, or could not be.
    BackgroundBegun(Begun),
    /// Do not close, and go on looking after everything here.
    StayHere,
    /// Install the service that the open dialog shows.
    InstallService,
    /// Open the dialog *About*.
    About,
    /// Say where the documentation is.
    Documentation,
    /// Say what happened, with a path to copy.
    Say(String, ErrorReport, PathBuf),
    /// End the program; asks first while jobs run, and when logs or schedules would rest.
    Quit,
    /// Stop the running jobs and end the program.
    QuitAnyway,
}

/// What is wanted about recovering a damaged data file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Recover {
    /// Choose a damaged file, which nobody need look after.
    Choose,
    /// Find out what a file is called where it lies, then open the dialog *Recover…*.
    Ask(PathBuf),
    /// Open the dialog for the file of this name.
    Open(PathBuf),
    /// Choose the folder of the new file.
    ChooseFolder(PathBuf),
    /// Begin.
    Begin {
        /// The damaged file.
        data_file: PathBuf,
        /// The new one.
        to: PathBuf,
        /// Whether deleted records are kept.
        with_deleted: bool,
    },
    /// Show the report of a recovery.
    Report {
        /// The damaged file.
        data_file: PathBuf,
        /// The recovery.
        job: JobId,
    },
}

/// What is wanted about looking at a state.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Look {
    /// Open the dialog *Look at this state…*.
    Open {
        /// Canonical path of the data file.
        data_file: PathBuf,
        /// The state.
        which: ask::Which,
    },
    /// Open the dialog *Look at a moment…*.
    AskMoment(PathBuf),
    /// Ask what the open dialog waits for.
    Ask(ask::Ask),
    /// Choose the folder that all records of a sheet are saved to, or some of those that are listed.
    ChooseFolder(ask::Sheet, ask::SaveForm, Option<ask::Chosen>),
    /// Save them there.
    Save(PathBuf),
    /// They were saved, or could not be: of the state with this name.
    Saved(Uuid, Result<(PathBuf, Vec<String>), ErrorReport>),
    /// Close the dialog.
    Close,
}

/// What is wanted about the dialog *Information*.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Sizes {
    /// Open it for this data file.
    Open(PathBuf),
    /// Ask what it waits for.
    Ask(measured::Ask),
    /// Look anew.
    Again,
    /// Open the dialog *Compact data…* in its place.
    Compact,
    /// Close it.
    Close,
}

/// What is wanted about taking single changes back.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TakeBack {
    /// Open the dialog *Take back…* for what is selected on the page Activity.
    Open(PathBuf),
    /// Ask what the open dialog waits for.
    Ask(take_back::query::Ask),
    /// Run the plan of this name.
    Run(Uuid),
    /// Choose the folder for the script.
    ChooseFolder,
    /// Save the script there.
    Save(PathBuf),
    /// It was saved, or could not be: of the planning with this name.
    Saved(Uuid, Result<PathBuf, ErrorReport>),
    /// Put the script on the clipboard.
    Copy,
    /// Close the dialog.
    Close,
}

/// A process in the background, or why there is none. Only moved, never compared or copied.
#[derive(Debug, Clone)]
pub(crate) struct Begun(pub(crate) Arc<Mutex<Option<Result<Child, ErrorReport>>>>);

impl PartialEq for Begun {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// A command of the menu Edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EditCommand {
    /// Cut the selected text.
    Cut,
    /// Copy the selected text.
    Copy,
    /// Insert the clipboard's text.
    Paste,
}
