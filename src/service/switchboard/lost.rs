//! Data files whose engine has gone away: remembered as they were known last, looked at, and taken over where nobody
//! else comes back for them.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use chrono::Local;

use super::{Lost, Switchboard};
use crate::{
    engine::{Command, Holder, HostKind, status::DataFileStatus},
    error::{Error, ErrorKind},
};

impl Switchboard {
    /// Remembers the data files of engines that have gone away.
    pub(super) fn let_go_of_lost(&mut self) {
        let since = Local::now();
        let mut gone = Vec::new();
        self.links.retain(|link| {
            let is_lost = link.handle.is_lost();
            if is_lost {
                gone.push(link.handle.status());
            }
            !is_lost
        });
        let has_lost = gone.iter().any(|status| !status.data_files.is_empty());
        for status in gone {
            for data_file in &status.data_files {
                self.lost.push(Lost { status: DataFileStatus::clone(data_file), since });
            }
        }
        let open: HashSet<PathBuf> = self
            .links
            .iter()
            .flat_map(|link| link.handle.status().data_files.iter().map(|d| d.facts.path.clone()).collect::<Vec<_>>())
            .collect();
        self.lost.retain(|lost| !open.contains(&lost.status.facts.path));
        self.taking_over.retain(|path| !open.contains(path));
        if has_lost {
            self.look_at_lost();
        }
    }

    /// Nobody else looks whether their files are still there, and whether somebody looks after them again.
    pub(super) fn look_at_lost(&mut self) {
        let paths = self.lost.iter().map(|lost| lost.status.facts.path.clone());
        for path in paths.collect::<Vec<_>>() {
            if self.looking.insert(path.clone()) && !self.look(path.clone(), false) {
                self.looking.remove(&path);
            }
        }
    }

    pub(super) fn lost_seen(&mut self, path: &Path, is_there: bool, holder: Option<Holder>, owner: Option<u32>) {
        let Some(lost) = self.lost.iter_mut().find(|lost| lost.status.facts.path == path) else { return };
        let gone = || Error::new(ErrorKind::NotFound, format!("{} does not exist any more", path.display()));
        lost.status.problem = (!is_there).then(|| gone().report());
        let kind = lost.status.host.kind;
        // The lock of a process that was killed may outlive its socket by a moment, and refuse whoever comes first.
        let own = self.own().status();
        let is_refused = own.refused.iter().any(|r| r.path == path && r.error.kind == ErrorKind::InUse)
            && !own.opening.iter().any(|opening| opening == path);
        match holder {
            Some(holder) => {
                if let Some(address) = holder.address.filter(|address| !self.is_linked(address)) {
                    self.look_for(address, None, owner);
                }
            }
            // A window that was closed, or a command that has ended, does not come back.
            None if kind != HostKind::Service && (self.taking_over.insert(path.to_path_buf()) || is_refused) => {
                let _ = self.own().send(Command::OpenDataFile { path: path.to_path_buf() });
            }
            None => {}
        }
    }
}
