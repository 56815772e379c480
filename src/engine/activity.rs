//! What changed in a data file: the indexes that somebody asks for, and where the logs for them are.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::lost::{damaged_archives, made_archives};
use crate::{
    activity::{
        query::{Page, Question, Source},
        session::Session,
        way::Open,
    },
    backup,
    control::Control,
    error::{Error, ErrorKind, Result},
    restore::{
        Logs, Origin,
        trail::{trail_of_archive, trail_of_log},
    },
    settings::SettingsFile,
};

/// Indexes that are kept; the one that was asked for least lately goes first.
const SESSIONS_MAX: usize = 4;

/// An index by what it is of.
type Known = (PathBuf, Source, Arc<Session>);

/// The indexes that somebody asks for.
#[derive(Debug, Clone, Default)]
pub(super) struct Activities(Arc<Mutex<Vec<Known>>>);

/// Where the logs of a data file are, and what is known of its archives.
#[derive(Debug, Clone)]
pub(super) struct Logged {
    /// The data file, or a log.
    pub(super) path: PathBuf,
    /// Its settings; of a log that is looked at alone, none.
    pub(super) settings: Option<SettingsFile>,
    pub(super) settings_dir: PathBuf,
    pub(super) data_dir: PathBuf,
}

impl Logged {
    fn running(&self) -> Option<PathBuf> {
        self.settings.as_ref().and_then(|settings| settings.settings().log.file.clone())
    }

    fn folders(&self) -> Vec<PathBuf> {
        let Some(settings) = &self.settings else { return Vec::new() };
        let earlier = settings.settings().destination.earlier.iter().cloned();
        earlier.chain([backup::destination(&self.path, settings)]).collect()
    }

    fn origin(&self) -> Origin {
        Origin {
            settings_dir: Some(self.settings_dir.clone()),
            damaged: damaged_archives(&self.data_dir),
            made: made_archives(&self.data_dir, &self.path),
            ..Origin::of(&self.path)
        }
    }

    /// How the logs are found, and the one that is being written.
    pub(super) fn way(self, source: &Source) -> Result<(Open, Option<PathBuf>)> {
        let running = self.running();
        Ok(match source {
            Source::Running => {
                let log = running.ok_or_else(|| no_log(&self.path))?;
                let of = log.clone();
                let open: Open = Arc::new(move |control: &Control| trail_of_log(&of, None, &self.folders(), control));
                (open, Some(log))
            }
            Source::Since(archive) => {
                let (archive, log) = (archive.clone(), running.clone());
                let open: Open = Arc::new(move |control: &Control| {
                    let logs = log.clone().map_or(Logs::Found, |log| Logs::Also(vec![log]));
                    trail_of_archive(&archive, &logs, &self.origin(), control)
                });
                (open, running)
            }
            Source::Log => {
                let log = self.path;
                let open: Open = Arc::new(move |control: &Control| trail_of_log(&log, None, &[], control));
                (open, None)
            }
        })
    }
}

fn no_log(data_file: &Path) -> Error {
    Error::new(ErrorKind::NotFound, format!("no log is kept of {}", data_file.display()))
        .hint("Choose Use log… on the page Maintenance: what is changed from the next full backup on can be told.")
}

impl Activities {
    fn lock(&self) -> MutexGuard<'_, Vec<Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a question, from the index that is there or is begun for it.
    ///
    /// # Errors
    /// When there is no log; as [`Session::answer`].
    pub(super) fn answer(&self, logged: Logged, question: &Question) -> Result<Page> {
        let session = self.session(logged, &question.source)?;
        session.answer(question)
    }

    fn session(&self, logged: Logged, source: &Source) -> Result<Arc<Session>> {
        let mut all = self.lock();
        all.retain(|(.., session)| !session.is_gone());
        let known = all.iter().find(|(path, of, _)| *path == logged.path && of == source);
        if let Some((.., session)) = known {
            return Ok(Arc::clone(session));
        }
        while all.len() >= SESSIONS_MAX {
            let Some(least) = (0..all.len()).min_by_key(|at| all.get(*at).map(|(.., session)| session.asked())) else {
                break;
            };
            all.remove(least);
        }
        let path = logged.path.clone();
        let (open, running) = logged.way(source)?;
        let session = Arc::new(Session::begin(open, running)?);
        all.push((path, source.clone(), Arc::clone(&session)));
        Ok(session)
    }
}
