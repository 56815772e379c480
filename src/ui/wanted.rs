//! The data files that this window asked to be opened: these alone are shown as soon as they are open.

use std::{
    path::{Path, PathBuf},
    thread,
};

use eframe::egui::Context;

use super::state::State;
use crate::engine::Status;

/// A path that was asked for.
#[derive(Debug)]
pub(crate) struct Wanted {
    asked: PathBuf,
    /// What it is called where it lies, once that is known.
    real: Option<PathBuf>,
}

impl Wanted {
    fn is(&self, path: &Path) -> bool {
        self.asked == path || self.real.as_deref() == Some(path)
    }
}

impl State {
    /// This window asked for a data file: it is shown as soon as it is open.
    pub(crate) fn wants(&mut self, path: PathBuf) {
        self.wanted.retain(|known| known.asked != path);
        self.resolve(&path);
        self.wanted.push(Wanted { asked: path, real: None });
    }

    /// Finds out on a thread what a path is called where it lies: its disk may not answer, and the window goes on.
    fn resolve(&self, asked: &Path) {
        let (names, wake, asked) = (self.names.0.clone(), self.wake.clone(), asked.to_path_buf());
        let resolve = move || {
            let real = asked.canonicalize().ok();
            let _ = names.send(Wanted { asked, real });
            wake.iter().for_each(Context::request_repaint);
        };
        // Without a thread only the path as it was named is known again.
        let _ = thread::Builder::new().name("resolve".to_owned()).spawn(resolve);
    }

    /// A data file was opened, by this window or by another one: one that was not there before may be now.
    pub(crate) fn opened(&mut self) {
        self.wanted.iter().filter(|wanted| wanted.real.is_none()).for_each(|wanted| self.resolve(&wanted.asked));
    }

    /// A path could not be opened.
    pub(crate) fn refused(&mut self, path: &Path) {
        self.wanted.retain(|wanted| wanted.asked != path);
    }

    pub(super) fn show_wanted(&mut self, status: &Status) {
        for found in self.names.1.try_iter() {
            self.wanted
                .iter_mut()
                .filter(|wanted| wanted.asked == found.asked)
                .for_each(|w| w.real.clone_from(&found.real));
        }
        let found = |wanted: &Wanted| {
            let mut newest_first = status.data_files.iter().rev().map(|d| &d.facts.path);
            newest_first.find(|path| wanted.is(path)).cloned()
        };
        let open: Vec<PathBuf> = self.wanted.iter().filter_map(found).collect();
        for path in open {
            self.wanted.retain(|wanted| !wanted.is(&path));
            self.show(&path);
        }
    }
}
