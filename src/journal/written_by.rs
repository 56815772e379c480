//! For which file a log was written last, and where that is.
//!
//! Beside the log stands `Name.journal.written-by`: a title and the installation. Two data files of one identity, one
//! copied from the other with its settings, may write one log in turns, as in two containers that share a folder:
//! without this each would take the commits of the other for its own, and one that lacks them would get them.

use std::path::{Path, PathBuf};

use super::with_suffix;
use crate::{
    error::Result,
    storage::{
        self, Ownership,
        installation::Installation,
        regular::{self, Links},
    },
};

const TITLE: &str = "strongroom log 1";

fn path_of(log: &Path) -> PathBuf {
    with_suffix(log, ".written-by")
}

fn text(installation: Installation) -> String {
    format!("{TITLE}\n{installation}\n")
}

/// For which file the log at `log` was written last; `None` where that was not noted, or cannot be read.
pub fn written_by(log: &Path) -> Option<Installation> {
    // Of a fixed size; what is longer is no note.
    let noted = regular::read_text(&path_of(log), Links::Refused, 256).ok()?;
    noted.strip_prefix(TITLE)?.trim().parse().ok()
}

/// Notes that `log` is written for the file `here` from now on: before anything is written to it.
///
/// # Errors
/// When the folder of the log cannot be written.
pub(super) fn note(log: &Path, here: Installation) -> Result<()> {
    if written_by(log) == Some(here) {
        return Ok(());
    }
    storage::replace_text(&path_of(log), &text(here), Ownership::of(log))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn who_wrote_a_log_is_known_where_it_was_noted() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let (log, other) = (folder.path().join("a.journal"), folder.path().join("b"));
        fs::write(&log, "")?;
        fs::write(&other, "")?;
        assert_eq!(written_by(&log), None);
        for path in [&log, &other] {
            let here = Installation::of(path).ok_or("not there")?;
            note(&log, here)?;
            assert_eq!(written_by(&log), Some(here));
        }
        for noted in ["", "strongroom log 1\n", "something else\n0123456789abcdef\n"] {
            fs::write(path_of(&log), noted)?;
            assert_eq!(written_by(&log), None, "{noted}");
        }
        Ok(())
    }
}
