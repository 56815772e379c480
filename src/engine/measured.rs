//! The tables of data files, for whoever asks how large they are.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use uuid::Uuid;

use super::{
    inspect::inspect,
    sessions::{Forgotten, Sessions, Threads},
};
use crate::{
    archive::catalog,
    control::{Clock, Control},
    error::{Error, ErrorKind, Result},
    maintenance::{
        measured::{Ask, Page, Question, Session},
        tables::{self, Last, Tables, Told},
    },
    storage,
};

/// Looks that go on, or whose result is kept; the one that was asked for least lately goes first.
const SESSIONS_MAX: usize = 3;
/// So many threads look, those among them that were told to end and wait for a disk.
const THREADS_MAX: usize = 6;

/// The looks that somebody asks for, by the data file and the name that whoever asks has given it.
#[derive(Debug, Clone, Default)]
pub(super) struct Looks {
    sessions: Sessions<(PathBuf, Uuid), Session, SESSIONS_MAX>,
    threads: Threads,
}

impl Forgotten for Session {
    fn is_gone(&self) -> bool {
        Session::is_gone(self)
    }

    fn asked(&self) -> Instant {
        Session::asked(self)
    }
}

impl Looks {
    /// Answers a question about the tables of a data file whose last backup is known.
    ///
    /// # Errors
    /// `Busy` where too many look; when the system gives no thread.
    pub(super) fn answer(&self, of: PathBuf, last: Option<Last>, clock: &Clock, question: &Question) -> Result<Page> {
        let key = (of.clone(), question.looking);
        if question.ask == Ask::Forget {
            self.sessions.forget(&key);
            return Ok(Page::default());
        }
        let begin = || {
            let alive = self.threads.one_more(THREADS_MAX).ok_or_else(|| {
                Error::new(ErrorKind::Busy, "too many look at tables already, or still end it")
                    .hint("Close other windows that do, or wait a moment.")
            })?;
            Session::begin(of, last, Arc::new(Control::with_clock(clock.clone())), alive)
        };
        Ok(self.sessions.get_or_begin(key, |_| true, begin)?.page())
    }
}

/// The tables of the data file at `path`, which others may look after, or nobody, compared with its last backup; `own`
/// is the program's settings folder, and `data` the one for its data.
///
/// # Errors
/// As [`inspect`] and [`tables::measure`].
pub fn tables_of(path: &Path, (own, data): (&Path, &Path), control: &Control, as_root: bool) -> Result<Tables> {
    let found = inspect(path, own, data, control.clock(), as_root)?;
    let newest = found.last_backup.filter(|newest| newest.problem.is_none());
    let last = newest.and_then(|newest| {
        let folder = storage::folder_of(&newest.path);
        let listed = [catalog::list(folder, None), catalog::copies(folder, None)];
        let entry = listed.into_iter().flatten().flatten().find(|entry| entry.path == newest.path)?;
        Last::of(&entry)
    });
    let told = Told { control, watch: &|| (), tell: &mut |_| () };
    tables::measure(&found.data_file.path, last.as_ref(), told)
}
