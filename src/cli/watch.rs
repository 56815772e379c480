//! `strongroom watch`: what happens with a data file, as it happens.

use std::{path::Path, process::ExitCode};

use crossbeam_channel::select;

use super::{
    desk::interruptions,
    places::{clock, directories},
    print, print_json, words,
};
use crate::{
    error::{Error, ErrorKind, Result, foreign::shown},
    service::join,
};

pub(super) fn watch(data_file: &Path, json: bool) -> Result<ExitCode> {
    let interrupted = interruptions();
    let path = data_file.canonicalize().map_err(|e| Error::io("find", data_file, e))?;
    let engine = join::engine_of(&path, directories()?.config_dir())?.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("nobody looks after {}", shown(&path)))
            .hint("Open it in the window, or start a service: strongroom serve --help.")
    })?;
    let events = engine.handle.events();
    if !json {
        print(&format!("{} is in the care of {}", shown(&path), engine.host))?;
    }
    loop {
        let event = select! {
            recv(interrupted) -> _ => return Ok(ExitCode::SUCCESS),
            recv(*events) -> event => event,
            default(std::time::Duration::from_millis(200)) => {
                if engine.handle.is_lost() {
                    return Err(Error::new(ErrorKind::Refused, format!("{} has ended", engine.host))
                        .hint("Nobody looks after the data file until it is started again, or a window opens it."));
                }
                continue;
            }
        };
        let Ok(event) = event else { continue };
        if event.data_file().is_some_and(|of| of != path) {
            continue;
        }
        if json {
            print_json(&event)?;
        } else if let Some(line) = words::event(&event) {
            print(&format!("{}  {line}", clock().local().format("%Y-%m-%d %H:%M:%S")))?;
        }
    }
}
