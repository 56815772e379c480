//! Where an engine runs, and what it was told at its start.

use std::path::{Path, PathBuf};

use super::status::HostKind;
use crate::control::Clock;

/// Where the program keeps its own files, where it is, and who runs the engine.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder for the Backup journal.
    pub data_dir: PathBuf,
    /// Folder for the settings of data files whose own folder cannot be written.
    pub settings_dir: PathBuf,
    /// The program, for the client that edits the sample.
    pub program: Option<PathBuf>,
    /// In what the engine runs.
    pub host: HostKind,
    /// Where other programs can reach it; noted in the lock of every data file, so that they find it.
    pub address: Option<String>,
    /// The list of the service's own data files, when the engine keeps one: what is opened is added to it, what is
    /// closed taken off.
    pub list: Option<PathBuf>,
    /// A list that the superuser has given to the service: it is looked after too, and never changed.
    pub given_list: Option<PathBuf>,
    /// Whether no log is kept, whatever the settings of a data file say.
    pub keeps_no_log: bool,
    /// Whether the superuser acts on his own data files also in folders that others can write.
    pub as_root: bool,
    /// Tells the time.
    pub clock: Clock,
}

impl Config {
    /// Whether this engine stays, as that of a window or a service does: then it does by itself what is due. One that
    /// runs a single job for the command line does nothing else.
    pub fn stays(&self) -> bool {
        self.host != HostKind::Command
    }

    /// For an engine that nobody else can reach, with its own files in `folder`.
    pub fn private(folder: &Path) -> Self {
        Self {
            data_dir: folder.to_path_buf(),
            settings_dir: folder.to_path_buf(),
            program: None,
            host: HostKind::Window,
            address: None,
            list: None,
            given_list: None,
            keeps_no_log: false,
            as_root: false,
            clock: Clock::default(),
        }
    }
}
