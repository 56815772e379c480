//! Files of ours that somebody opens as a data file.

use std::path::Path;

use crate::{
    archive::{Archive, catalog::EXTENSION},
    error::{Error, ErrorKind, Result, shell::quoted},
    journal::reader::LogReader,
};

/// The end of the name of a settings file.
const SETTINGS: &str = ".strongroom.toml";

/// Refuses an archive or a log, known by its name before SQLite has touched it, and says what it is and what it is for.
///
/// # Errors
/// `WrongType` with what to do instead.
pub fn refuse_own_file(path: &Path) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let (at, word) = (path.display(), quoted(path));
    let ends_with = |end: &str| name.to_lowercase().ends_with(&end.to_lowercase());
    if !path.is_file() {
        return Ok(());
    }
    if ends_with(&format!(".{EXTENSION}")) {
        return Err(match Archive::glance(path) {
            Ok(archive) => {
                let message =
                    format!("{at} is full backup {} of {}, and no data file", archive.number, archive.data_file_name);
                Error::new(ErrorKind::WrongType, message)
                    .hint(format!("Restore it: strongroom restore {word}, or strongroom {word} for the window."))
            }
            Err(error) => {
                Error::new(ErrorKind::WrongType, format!("{at} has the name of an archive, and is no data file")).hint(
                    format!("See whether it can be restored: strongroom verify {word}. Now: {}.", error.message()),
                )
            }
        });
    }
    if ends_with(SETTINGS) {
        let message = format!("{at} holds the settings of a data file, and is none");
        return Err(Error::new(ErrorKind::WrongType, message)
            .hint("Give the data file itself: strongroom settings DATAFILE shows and changes them."));
    }
    refuse_log(path)
}

/// Refuses a log where an archive or a data file is wanted, and says what it is for.
///
/// # Errors
/// `WrongType`.
pub fn refuse_log(path: &Path) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    if !path.is_file() || !(name.ends_with(".4bl") || name.contains(".journal")) {
        return Ok(());
    }
    let Ok(log) = LogReader::open(path) else { return Ok(()) };
    let number = log.header().base.archive;
    let at = path.display();
    let message = match number {
        0 => format!("{at} is a log of commits, and neither a data file nor an archive"),
        number => {
            format!("{at} is a log of commits after full backup {number:04}, and neither a data file nor an archive")
        }
    };
    Err(Error::new(ErrorKind::WrongType, message).hint(
        "To restore, give the archive that it follows, or the data file: its logs are found and integrated, or \
         named with --log. Whether a log is sound is told by strongroom verify LOG.",
    ))
}
