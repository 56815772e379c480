//! The settings to go by where nobody has any in force yet, as when a service begins, or for one command: those in the
//! file, unless they are a mistake by all appearance. Then the newest archive holds the last ones that were gone by:
//! with the defaults in their place, or with the half of a file, backups would be deleted, and the log and the schedule
//! end.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use uuid::Uuid;

use super::settings_gone::Around;
use crate::{
    archive::catalog::ArchiveEntry,
    error::{Error, ErrorKind, ErrorReport, Result},
    restore,
    settings::{SettingsFile, sections::Destination},
    storage::regular::{self, Links},
};

/// A file that was written within this time may still be written; so often it is read again, each time after so long.
const WRITTEN_WITHIN: Duration = Duration::from_secs(3);
const SETTLED_TRIES: u32 = 16;
const SETTLED_PAUSE: Duration = Duration::from_millis(250);
/// No settings file is longer.
const LENGTH_MAX: u64 = 1 << 20;
/// More archives are not opened for their settings: each may be large, and its disk slow.
const ARCHIVES_MAX: usize = 5;

/// Settings to go by.
#[derive(Debug)]
pub struct InForce {
    /// They themselves.
    pub file: SettingsFile,
    /// Where those in the file are a mistake.
    pub mistake: Option<Mistake>,
}

/// Why the settings in the file are not in force.
#[derive(Debug)]
pub struct Mistake {
    /// What is wrong with them, and what is done meanwhile.
    pub error: ErrorReport,
    /// The archive whose settings are in force.
    pub archive: PathBuf,
}

impl InForce {
    /// The settings of `data_file` as they are now; `own` is the program's settings folder, and `data` that of the
    /// Backup journal.
    ///
    /// # Errors
    /// As [`SettingsFile::load`], where no archive is known that holds any.
    pub fn look(data_file: &Path, own: &Path, data: &Path) -> Result<Self> {
        // How the file looks before it is read: whoever mends it meanwhile is seen.
        let before = SettingsFile::stand_in(data_file, own, "")?;
        let why = match SettingsFile::load(data_file, own) {
            Ok(read) if read.is_blank() => return Ok(Self { file: read, mistake: None }),
            Ok(read) => match newest(data_file, Ok(&read), own, data) {
                Some((archive, known)) => match read.mistake(&known) {
                    Some(why) => Err((why, archive, known)),
                    None => Ok(read),
                },
                None => Ok(read),
            },
            // What is no mistake in the file, such as a disk that does not answer, is over when that is.
            Err(error) if !matches!(error.kind(), ErrorKind::Settings | ErrorKind::WrongType) => return Err(error),
            Err(error) => match newest(data_file, Err(told_by_lines(before.path())), own, data) {
                Some((archive, known)) => Err((error, archive, known)),
                None => return Err(error),
            },
        };
        Ok(match why {
            Ok(file) => Self { file, mistake: None },
            Err((why, archive, mut file)) => {
                file.read_when(&before);
                Self { file, mistake: Some(Mistake::of(&why, archive)) }
            }
        })
    }

    /// The same, once a file that is just being written is as it stays.
    ///
    /// # Errors
    /// As [`InForce::look`].
    pub fn settled(data_file: &Path, own: &Path, data: &Path) -> Result<Self> {
        let mut tries = 0;
        loop {
            let found = Self::look(data_file, own, data);
            let is_doubtful = found.as_ref().map_or(true, |found| found.mistake.is_some() || found.file.lack_notes());
            if !is_doubtful || tries == SETTLED_TRIES || !was_just_written(data_file, own) {
                return found;
            }
            tries += 1;
            std::thread::sleep(SETTLED_PAUSE);
        }
    }

    /// The settings by which archives and log of `data_file` are found, for whoever only reads, and what is to be said
    /// of them: a mistake in them is no reason to show nothing. Where no archive holds any either, the defaults are.
    ///
    /// # Errors
    /// When the file itself cannot be read.
    pub fn for_reading(data_file: &Path, own: &Path, data: &Path) -> Result<(SettingsFile, Option<ErrorReport>)> {
        match Self::look(data_file, own, data) {
            Ok(found) => Ok((found.file, found.mistake.map(|mistake| mistake.error))),
            Err(error) if matches!(error.kind(), ErrorKind::Settings | ErrorKind::WrongType) => {
                let message =
                    format!("{}; no archive is known that holds others, and the defaults are gone by", error.message());
                let report = ErrorReport::new(error.kind(), message, error.report().hint);
                Ok((SettingsFile::stand_in(data_file, own, "")?, Some(report)))
            }
            Err(error) => Err(error),
        }
    }
}

impl Mistake {
    fn of(why: &Error, archive: PathBuf) -> Self {
        let message =
            format!("{}; until that is mended the settings in {} are in force", why.message(), archive.display());
        let hint = why.hint_text().map_or_else(String::new, |hint| format!("{hint} "));
        let hint = format!(
            "{hint}Backups are made, and the log is kept, as those say; no old backup is deleted, and no program is \
             run after jobs."
        );
        Self { error: ErrorReport::new(why.kind(), message, Some(hint)), archive }
    }
}

fn was_just_written(data_file: &Path, own: &Path) -> bool {
    SettingsFile::stand_in(data_file, own, "").is_ok_and(|file| file.was_written_within(WRITTEN_WITHIN))
}

/// What the lines of a file that cannot be understood still tell: the identity, and the folder for archives.
fn told_by_lines(path: &Path) -> (Option<Uuid>, Destination) {
    let text = regular::read(path, Links::Refused, LENGTH_MAX).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let values = |key: &'static str| {
        text.lines().filter_map(move |line| {
            let value = line.trim().strip_prefix(key)?.trim_start().strip_prefix('=')?;
            Some(value.trim().trim_matches(['"', '\'']).to_owned())
        })
    };
    let id = values("id").find_map(|value| value.parse().ok());
    let folder = values("folder").map(PathBuf::from).find(|folder| folder.is_absolute());
    (id, Destination { folder, ..Destination::default() })
}

/// The newest archive of `data_file` that holds settings which can be understood, and these; `read` are those in the
/// file, or what its lines tell.
fn newest(
    data_file: &Path,
    read: std::result::Result<&SettingsFile, (Option<Uuid>, Destination)>,
    own_settings: &Path,
    data: &Path,
) -> Option<(PathBuf, SettingsFile)> {
    let (noted, told, chosen) = match read {
        // Of a copy nobody can tell which archives are its own.
        Ok(read) if read.copied_from().is_some() => return None,
        Ok(read) => (read.settings().data_file_id, None, read.settings().destination.clone()),
        Err((id, chosen)) => (None, id, chosen),
    };
    let around = Around::look(data_file, &chosen, data);
    // Whose identity is known has archives of an earlier place, too.
    let own: Vec<&ArchiveEntry> = match noted {
        Some(_) => around.archives.iter().collect(),
        None => around.own().collect(),
    };
    let id = noted.or(told).or_else(|| own.first()?.data_file_id)?;
    own.into_iter().filter(|archive| archive.is_of(Some(id))).take(ARCHIVES_MAX).find_map(|archive| {
        let text = restore::settings_in(&archive.path).ok().flatten()?;
        let file = SettingsFile::stand_in(data_file, own_settings, &text).ok()?;
        (file.settings().data_file_id == Some(id)).then(|| (archive.path.clone(), file))
    })
}
