//! What is chosen for the archives of a data file besides itself: found, measured, and what can be no part of it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{
    content::{self, Content, Excluded},
    own_archives::destination_by,
};
use crate::{
    archive::lawful::MANIFEST_NAME,
    control::Control,
    error::Result,
    settings::{self, Settings, SettingsFile, sections},
    storage,
};

/// What a file or folder would add to the archives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measure {
    /// Number of files.
    pub files: u64,
    /// Their length in bytes, together.
    pub bytes: u64,
    /// What cannot be read now, in one sentence.
    pub problem: Option<String>,
    /// How many files are left out on purpose, such as sockets.
    pub left_out: u64,
}

/// Measures a file or folder that may become an attachment of `data_file`.
///
/// # Errors
/// `Settings` when it holds the data file itself, `Stopped`.
pub fn measure(data_file: &Path, settings: &Settings, path: &Path, control: &Control) -> Result<Measure> {
    let chosen = sections::Content { program: Vec::new(), attachments: vec![path.to_path_buf()] };
    Settings { content: chosen.clone(), ..Settings::default() }.check(data_file)?;
    storage::note_data_file(data_file);
    let found = content::find(&chosen, &excluded(data_file, settings), &[], control)?;
    let report = found.report();
    Ok(Measure {
        files: found.count() as u64,
        bytes: found.bytes,
        problem: report.in_words(),
        left_out: report.left_out_count,
    })
}

/// Looks through program files and attachments.
pub(super) fn find_content(data_file: &Path, settings: &SettingsFile, control: &Control) -> Result<Content> {
    let taken = [file_name(data_file), file_name(&settings::path_beside(data_file)), MANIFEST_NAME.to_owned()];
    // An attachment may be another name of it.
    storage::note_data_file(data_file);
    let settings = settings.settings();
    content::find(&settings.content, &excluded(data_file, settings), &taken, control)
}

/// What is no attachment: the data file with its companions, its archives, and its log.
fn excluded(data_file: &Path, settings: &Settings) -> Excluded {
    let real = |path: &Path| path.canonicalize().ok();
    let with = |path: &Path, end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let folder = destination_by(data_file, settings);
    let folders = settings.destination.earlier.iter().chain([&folder]).filter_map(|folder| real(folder)).collect();
    let companions = ["", "-wal", "-shm", "-journal"].map(|end| with(data_file, end));
    let logs = settings
        .log
        .file
        .iter()
        .flat_map(|log| ["", ".next", ".pages", ".next.pages", ".rest", ".written-by"].map(|end| with(log, end)));
    let files = companions.into_iter().chain(logs).filter_map(|file| real(&file)).collect();
    Excluded { folders, files }
}

pub(super) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
