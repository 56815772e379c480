//! What became of program files and attachments: what was stored, what is missing, and what was left out on purpose.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use crate::archive::not_whole::{ContentProblem, problems_in_words};

/// So many problems are kept one by one; the rest is only counted.
const PROBLEMS_MAX: usize = 100;

/// One chosen file or folder, and where it is in the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentRoot {
    /// Its full path.
    pub path: String,
    /// Its name in the archive.
    pub name: String,
}

/// What became of program files and attachments.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ContentReport {
    /// What was chosen.
    pub roots: Vec<ContentRoot>,
    /// Number of files in the archive.
    pub files: u64,
    /// Their length in bytes, together.
    pub bytes: u64,
    /// What is missing or not whole, at most 100.
    pub problems: Vec<ContentProblem>,
    /// How many there are.
    pub problem_count: u64,
    /// What of the chosen files and folders is not what it was when it was backed up last, and how: said once, though
    /// it may stay so.
    pub differs: Vec<String>,
    /// Chosen folders that are other ones than when they were backed up last, though something is in them, and where
    /// something was mounted below them since: whether what they held is gone is told by the archives.
    #[serde(skip)]
    pub replaced: Vec<PathBuf>,
    /// What was left out on purpose, such as sockets and data files in use, at most 100.
    pub left_out: Vec<ContentProblem>,
    /// How many there are.
    pub left_out_count: u64,
}

impl ContentReport {
    pub(super) fn problem(&mut self, path: &Path, reason: impl Into<String>) {
        self.problem_count += 1;
        note(&mut self.problems, path, reason);
    }

    pub(super) fn leave_out(&mut self, path: &Path, reason: impl Into<String>) {
        self.left_out_count += 1;
        note(&mut self.left_out, path, reason);
    }

    /// Whether something at, below or above `folder` may be missing: of many problems only some are kept one by one.
    pub(super) fn may_lack(&self, folder: &Path) -> bool {
        let touches = |problem: &ContentProblem| {
            let path = Path::new(&problem.path);
            path.starts_with(folder) || folder.starts_with(path)
        };
        self.problem_count > self.problems.len() as u64 || self.problems.iter().any(touches)
    }

    /// What an archive cannot hold, or must not, in one sentence; `None` when there was no such thing.
    pub fn left_out_in_words(&self) -> Option<String> {
        let first = self.left_out.first()?;
        let more = match self.left_out_count {
            0 | 1 => String::new(),
            n => format!(", and {} more", n - 1),
        };
        Some(format!("Left out of it: {}, which {}{more}.", first.path, first.reason))
    }

    /// What is missing, in one sentence; `None` when nothing is.
    pub fn in_words(&self) -> Option<String> {
        problems_in_words(&self.problems, self.problem_count)
    }
}

fn note(list: &mut Vec<ContentProblem>, path: &Path, reason: impl Into<String>) {
    if list.len() < PROBLEMS_MAX {
        list.push(ContentProblem { path: path.to_string_lossy().into_owned(), reason: reason.into() });
    }
}

/// The report, while the sources write it from the thread that reads them.
#[derive(Debug, Clone, Default)]
pub(in crate::backup) struct Shared(Arc<Mutex<ContentReport>>);

impl Shared {
    pub(super) fn edit<T>(&self, edit: impl FnOnce(&mut ContentReport) -> T) -> T {
        edit(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(in crate::backup) fn report(&self) -> ContentReport {
        self.edit(|report| report.clone())
    }
}
