//! Data files on their way from one engine to another: closed where they are, and opened where they are to be.

use std::time::{Duration, Instant};

use super::{Link, Switchboard};
use crate::{
    engine::{Command, Event, HostKind},
    error::ErrorKind,
};

/// An engine that was told to close a data file, and has it still, is told again after so long.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// A data file on its way from one engine to another.
pub(super) struct Handing {
    /// The process that gets it.
    pub(super) to: u32,
    /// When the engine that has it was told to close it.
    pub(super) asked: Option<Instant>,
    /// Whether the one that gets it was told to open it.
    pub(super) is_opened: bool,
}

impl Switchboard {
    /// Gives data files of this process, and of one in the background, to a service that has them on its list: it
    /// stays, and they do not.
    pub(super) fn give_way(&mut self) {
        let wanted = self.links.iter().skip(1).filter(|link| link.host.kind == HostKind::Service).flat_map(|link| {
            let refused = link.handle.status();
            let in_use = refused.refused.iter().filter(|r| r.error.kind == ErrorKind::InUse);
            in_use.map(|r| (link.handle.clone(), r.path.clone())).collect::<Vec<_>>()
        });
        for (service, path) in wanted.collect::<Vec<_>>() {
            let gives = |link: &&Link| link.address.is_none() || link.host.kind == HostKind::Background;
            if let Some(link) = self.of_data_file(&path) {
                let Some(handle) = Some(link).filter(gives).map(|link| link.handle.clone()) else { continue };
                let is_busy = handle.status().jobs.iter().any(|job| job.data_file.as_ref() == Some(&path));
                if !is_busy && self.giving.insert(path.clone()) {
                    let _ = handle.send(Command::CloseDataFile { path });
                }
            } else if self.giving.remove(&path) {
                // It would try again by itself, a little later.
                let _ = service.send(Command::OpenDataFile { path });
            }
        }
    }

    /// Closes data files where they are, and opens them where they are to be. Whatever goes wrong there, this process
    /// takes them then: somebody must look after them.
    pub(super) fn hand_over(&mut self) {
        let mut handing = std::mem::take(&mut self.handing);
        handing.retain(|path, step| {
            let to = self.links.iter().find(|link| link.host.process == step.to);
            let from = self.of_data_file(path);
            match (from, to) {
                (Some(from), _) if from.host.process == step.to => false,
                (Some(from), Some(_)) => {
                    let status = from.handle.status();
                    let is_busy = status.jobs.iter().any(|job| job.data_file.as_ref() == Some(path));
                    // A job may have begun just before.
                    if !is_busy && step.asked.is_none_or(|at| at.elapsed() > ASK_AGAIN) {
                        step.asked = Some(Instant::now());
                        let _ = from.handle.send(Command::CloseDataFile { path: path.clone() });
                    }
                    true
                }
                // The one that gets it is still being looked for.
                (Some(_), None) => true,
                (None, Some(to)) if !step.is_opened => {
                    step.is_opened = to.handle.send(Command::OpenDataFile { path: path.clone() }).is_ok();
                    true
                }
                (None, Some(to)) => {
                    let refused = to.handle.status().refused.iter().find(|r| r.path == *path).map(|r| r.error.clone());
                    if let Some(error) = &refused {
                        self.remote.tell(&Event::CommandRefused(error.clone()));
                        let _ = self.own().send(Command::OpenDataFile { path: path.clone() });
                    }
                    refused.is_none()
                }
                (None, None) => {
                    let _ = self.own().send(Command::OpenDataFile { path: path.clone() });
                    false
                }
            }
        });
        self.handing = handing;
    }
}
