//! How the folders for archives and of the log are found. A disk that is gone may not answer.

use std::path::{Path, PathBuf};

use crate::{
    backup::{
        marks,
        places::{self, Purpose},
    },
    error::ErrorReport,
    settings::SettingsFile,
    storage::space,
};

/// How the folders of one data file were found.
pub(in crate::engine) struct FoldersSeen {
    pub(in crate::engine) archives: FolderSeen,
    /// Where a log is used.
    pub(in crate::engine) log: Option<FolderSeen>,
}

/// How one of them was found.
pub(in crate::engine) struct FolderSeen {
    pub(in crate::engine) folder: PathBuf,
    /// Why it is not the one that was used.
    pub(in crate::engine) problem: Option<ErrorReport>,
    pub(in crate::engine) is_read_only: bool,
}

impl FoldersSeen {
    /// Looks at them.
    pub(in crate::engine) fn look(data_file: &Path, settings: &SettingsFile) -> Self {
        let log = settings.settings().log.file.is_some();
        Self {
            archives: see(data_file, settings, Purpose::Archives),
            log: log.then(|| see(data_file, settings, Purpose::Log)),
        }
    }
}

fn see(data_file: &Path, settings: &SettingsFile, purpose: Purpose) -> FolderSeen {
    let settings = settings.settings();
    let folder = places::folder(data_file, settings, purpose);
    let problem = marks::look(data_file, settings, purpose).err().map(|error| error.report());
    FolderSeen { is_read_only: problem.is_none() && space::is_read_only(&folder), folder, problem }
}
