//! What changed in a data file: the indexes that somebody asks for, and where the logs for them are.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use super::{
    lost::{damaged_archives, lost_pasts, made_archives},
    sessions::{Forgotten, Sessions},
};
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

/// The indexes that somebody asks for, by what they are of.
#[derive(Debug, Clone, Default)]
pub(super) struct Activities(Sessions<(PathBuf, Source), Session, SESSIONS_MAX>);

impl Forgotten for Session {
    fn is_gone(&self) -> bool {
        Session::is_gone(self)
    }

    fn asked(&self) -> Instant {
        Session::asked(self)
    }
}

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

    pub(super) fn origin(&self) -> Origin {
        Origin {
            settings_dir: Some(self.settings_dir.clone()),
            damaged: damaged_archives(&self.data_dir),
            made: made_archives(&self.data_dir, &self.path),
            lost: lost_pasts(&self.data_dir, &self.path),
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
    /// Answers a question, from the index that is there or is begun for it.
    ///
    /// # Errors
    /// When there is no log; as [`Session::answer`].
    pub(super) fn answer(&self, logged: Logged, question: &Question) -> Result<Page> {
        let of = (logged.path.clone(), question.source.clone());
        let begin = || {
            let (open, running) = logged.way(&question.source)?;
            Session::begin(open, running)
        };
        self.0.get_or_begin(of, |_| true, begin)?.answer(question)
    }
}
