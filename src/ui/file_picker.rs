//! Chooses files and folders: with the system's dialog where one can open, else with the one inside the window.
//!
//! The system's dialog runs on a thread of its own. It answers nothing both when the user cancels and when nothing
//! could open; an answer too quick for a person is taken as the latter, and from then on the window's own dialog is
//! used.

use std::{
    env,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, bounded};
use eframe::egui::Context;

use super::dialogs::{
    files::{Answer, Browser},
    settings::PathFor,
};
use crate::engine::JobId;

/// No person cancels a dialog this quickly.
const TOO_QUICK: Duration = Duration::from_millis(250);

/// Whoever asks again after this time sees no dialog of the system: it does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the path is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A data file to open.
    DataFile,
    /// A damaged data file to recover.
    DamagedFile,
    /// The folder for what is recovered.
    RecoverFolder,
    /// An archive to restore.
    Archive,
    /// An archive of a data file that cannot be opened.
    ArchiveOfLost {
        /// The data file.
        data_file: PathBuf,
    },
    /// A log that lies elsewhere, for the archive that is being restored.
    Log,
    /// The folder for the archives of a data file.
    Destination {
        /// Canonical path of the data file.
        data_file: PathBuf,
    },
    /// The folder for restored files.
    RestoreFolder,
    /// The folder for the sound copy of an archive.
    RepairFolder,
    /// A folder with segments of an archive.
    Segments {
        /// The archive.
        archive: PathBuf,
    },
    /// The folder in which a backup goes on whose disk is full.
    GoOn {
        /// The job.
        job: JobId,
    },
    /// A log, to see what it recorded.
    LogToAnalyze,
    /// The folder for an export.
    ExportFolder,
    /// The folder for records of a state.
    RecordsFolder,
    /// The folder for the script of what is taken back.
    ScriptFolder,
    /// The folder for the sample.
    SampleFolder,
    /// A path of the settings.
    Settings(PathFor),
}

/// What can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// An existing file.
    OpenFile {
        /// Files with this extension are shown first of all.
        extension: Option<&'static str>,
    },
    /// A folder.
    ChooseFolder,
}

/// A question for a path.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// What the path is for.
    pub(crate) purpose: Purpose,
    /// What can be chosen.
    pub(crate) mode: Mode,
    /// Title of the dialog.
    pub(crate) title: &'static str,
    /// The folder to begin with; need not exist.
    pub(crate) start: PathBuf,
}

#[derive(Debug)]
struct SystemAnswer {
    path: Option<PathBuf>,
    after: Duration,
}

/// Chooses one path at a time.
#[derive(Debug)]
pub struct FilePicker {
    system: bool,
    waiting: Option<(Request, Receiver<SystemAnswer>, Instant)>,
    browser: Option<(Request, Browser)>,
}

impl FilePicker {
    /// Tries the system's dialog first, unless it plainly cannot open.
    pub fn new() -> Self {
        Self { system: system_dialog_is_possible(), waiting: None, browser: None }
    }

    /// Always uses the dialog inside the window.
    pub fn inside() -> Self {
        Self { system: false, waiting: None, browser: None }
    }

    /// Whether a path is being chosen.
    pub(crate) fn is_open(&self) -> bool {
        self.waiting.is_some() || self.browser.is_some()
    }

    /// Whether the dialog inside the window is open.
    pub(crate) fn is_inside(&self) -> bool {
        self.browser.is_some()
    }

    /// Asks for a path, unless one is being chosen.
    pub(crate) fn ask(&mut self, ctx: &Context, request: Request) {
        if let Some((.., since)) = &self.waiting
            && since.elapsed() > PATIENCE
        {
            (self.waiting, self.system) = (None, false);
        }
        if self.is_open() {
            return;
        }
        if !self.system {
            self.browse(ctx, request);
            return;
        }
        let (sender, receiver) = bounded(1);
        let (asked, wake) = (request.clone(), ctx.clone());
        let ask = move || {
            let begun = Instant::now();
            let path = ask_system(&asked);
            let _ = sender.send(SystemAnswer { path, after: begun.elapsed() });
            wake.request_repaint();
        };
        match thread::Builder::new().name("file-dialog".to_owned()).spawn(ask) {
            Ok(_) => self.waiting = Some((request, receiver, Instant::now())),
            Err(_) => self.browse(ctx, request),
        }
    }

    fn browse(&mut self, ctx: &Context, request: Request) {
        let browser = Browser::new(ctx, &request);
        self.browser = Some((request, browser));
    }

    /// Shows the dialog inside the window, if that is the one, and returns the path once it is chosen.
    pub(crate) fn ui(&mut self, ctx: &Context) -> Option<(Purpose, PathBuf)> {
        if let Some((request, receiver, since)) = self.waiting.take() {
            match receiver.try_recv() {
                Ok(SystemAnswer { path: Some(path), .. }) => return Some((request.purpose, path)),
                Ok(SystemAnswer { path: None, after }) if after < TOO_QUICK => {
                    self.system = false;
                    self.browse(ctx, request);
                }
                Ok(_) | Err(crossbeam_channel::TryRecvError::Disconnected) => {}
                Err(crossbeam_channel::TryRecvError::Empty) => self.waiting = Some((request, receiver, since)),
            }
        }
        let (request, mut browser) = self.browser.take()?;
        match browser.ui(ctx, &request) {
            Answer::Open => self.browser = Some((request, browser)),
            Answer::Cancelled => {}
            Answer::Chosen(path) => return Some((request.purpose, path)),
        }
        None
    }
}

impl Default for FilePicker {
    fn default() -> Self {
        Self::new()
    }
}

/// On Linux the system's dialog needs a session bus. Without one, looking for it would start a bus that stays behind.
fn system_dialog_is_possible() -> bool {
    if !cfg!(target_os = "linux") {
        return true;
    }
    let bus = env::var_os("XDG_RUNTIME_DIR").is_some_and(|dir| Path::new(&dir).join("bus").exists());
    bus || env::var_os("DBUS_SESSION_BUS_ADDRESS").is_some()
}

fn ask_system(request: &Request) -> Option<PathBuf> {
    let start = crate::storage::space::existing_folder(&request.start);
    let dialog = rfd::FileDialog::new().set_title(request.title).set_directory(start);
    match request.mode {
        Mode::OpenFile { extension: None } => dialog.pick_file(),
        Mode::OpenFile { extension: Some(extension) } => {
            dialog.add_filter("Archives", &[extension]).add_filter("All files", &["*"]).pick_file()
        }
        Mode::ChooseFolder => dialog.pick_folder(),
    }
}
