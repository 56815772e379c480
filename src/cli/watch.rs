//! `strongroom watch`: what happens with a data file, as it happens.

use std::{collections::HashSet, path::Path, process::ExitCode};

use crossbeam_channel::select;

use super::{
    desk::interruptions,
    places::{clock, directories},
    print, print_json, words,
};
use crate::{
    engine::{Event, mistaken},
    error::{Error, ErrorKind, Result, foreign::shown},
    service::join,
};

pub(super) fn watch(data_file: &Path, json: bool) -> Result<ExitCode> {
    let interrupted = interruptions();
    let path = data_file.canonicalize().map_err(|e| Error::io("find", data_file, e))?;
    mistaken::refuse_own_file(&path)?;
    let engine = join::engine_of(&path, directories()?.config_dir())?.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("nobody looks after {}", shown(&path)))
            .hint("Open it in the window, or start a service: strongroom serve --help.")
    })?;
    let events = engine.handle.events();
    let tell = |event: &Event| {
        if json {
            return print_json(event);
        }
        let line = words::event(event);
        line.map_or(Ok(()), |line| print(&format!("{}  {line}", clock().local().format("%Y-%m-%d %H:%M:%S"))))
    };
    if json {
        // From here on nothing is missed; whoever reads this may begin what he wants to see.
        print_json(
            &serde_json::json!({ "event": "watching", "data_file": path.to_string_lossy(), "host": engine.host }),
        )?;
    } else {
        print(&format!("{} is in the care of {}", shown(&path), engine.host))?;
    }
    // Whoever joins while a job runs is told of it.
    let mut told = HashSet::new();
    for job in engine.handle.status().jobs.iter().filter(|job| job.data_file.as_ref() == Some(&path)) {
        told.insert(job.id);
        tell(&Event::JobStarted(job.clone()))?;
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
        if matches!(&event, Event::JobStarted(job) if !told.insert(job.id)) {
            continue;
        }
        tell(&event)?;
    }
}
