//! `strongroom hold`: keeps an archive for ever, or lets it go.

use std::{path::Path, process::ExitCode};

use super::{
    desk::{Desk, absolute},
    places, print, print_json,
};
use crate::{
    archive::hold::{self, Hold},
    engine::mistaken::refuse_log,
    error::{Result, foreign::foreign},
};

pub(super) fn hold(archive: &Path, note: Option<String>, release: bool, json: bool) -> Result<ExitCode> {
    refuse_log(archive)?;
    let archive = absolute(archive)?;
    let (entry, words) = if release {
        let (entry, was_held) = hold::release(&archive)?;
        let words = match was_held {
            true => format!("Archive {} is released; it is kept and deleted as the settings say.", entry.number),
            false => format!("Archive {} was not held.", entry.number),
        };
        (entry, words)
    } else {
        let hold = Hold { note, since: Some(places::clock().local().fixed_offset()), automatic: false };
        let entry = hold::hold(&archive, &hold)?;
        let words = entry.hold.as_ref().map(Hold::in_words).unwrap_or_default();
        let words = format!("Archive {} is {words}; Strongroom never deletes it.", entry.number);
        (entry, words)
    };
    // It is done, whoever looks after the data file; a service shows it at once.
    Desk::tell_of_archive(&entry.path);
    if json {
        print_json(&entry)?
    } else {
        print(&foreign(&words).to_string())?
    }
    Ok(ExitCode::SUCCESS)
}
