//! The Backup journal on a thread of its own: the engine's thread notes there what happens, and waits for no disk.
//!
//! Everything is done in the order in which it was asked for. Whoever works on another thread may ask, and finds what
//! was noted before.

use std::{
    path::PathBuf,
    thread::{self, JoinHandle},
};

use crossbeam_channel::{Sender, bounded, unbounded};

use super::{
    history::{History, HistoryEntry, Looked},
    status::Finding,
};
use crate::{
    drill::Proof,
    error::{Error, ErrorKind, Result},
};

/// Entries of the Backup journal in the status.
pub(super) const HISTORY_MAX: u32 = 1000;
/// Proofs in the status: one for each archive.
pub(super) const PROVEN_MAX: u32 = 200;

enum Task {
    Do(Box<dyn FnOnce(&History) + Send>),
    End,
}

/// The thread, where there is a Backup journal.
pub(super) struct Recorder {
    tasks: Option<Sender<Task>>,
    thread: Option<JoinHandle<()>>,
}

/// Asks the Backup journal from other threads than the engine's; cheap to clone.
#[derive(Clone)]
pub(super) struct Asker(Option<Sender<Task>>);

impl Recorder {
    /// Where no Backup journal can be kept.
    pub(super) fn none() -> Self {
        Self { tasks: None, thread: None }
    }

    /// Takes over `history`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(history: History) -> Result<Self> {
        let (tasks, waiting) = unbounded::<Task>();
        let work = move || {
            for task in waiting {
                match task {
                    Task::Do(task) => task(&history),
                    Task::End => return,
                }
            }
        };
        let thread = thread::Builder::new().name("journal".to_owned()).spawn(work);
        let thread =
            thread.map_err(|e| Error::new(ErrorKind::Io, "the Backup journal cannot be kept: no thread").because(e))?;
        Ok(Self { tasks: Some(tasks), thread: Some(thread) })
    }

    /// Whether there is a Backup journal.
    pub(super) fn is_kept(&self) -> bool {
        self.tasks.is_some()
    }

    /// Has `task` done, and gives its result to `then`; neither where there is no Backup journal.
    pub(super) fn run<T>(
        &self,
        task: impl FnOnce(&History) -> Result<T> + Send + 'static,
        then: impl FnOnce(Result<T>) + Send + 'static,
    ) {
        if let Some(tasks) = &self.tasks {
            let _ = tasks.send(Task::Do(Box::new(move |history| then(task(history)))));
        }
    }

    /// For other threads.
    pub(super) fn asker(&self) -> Asker {
        Asker(self.tasks.clone())
    }

    /// Lets it end when all is done that was asked for until now.
    pub(super) fn end(&mut self) {
        self.tasks.take().into_iter().for_each(|tasks| _ = tasks.send(Task::End));
    }

    /// Whether it has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.end();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Asker {
    /// Waits for the answer; `None` where there is no Backup journal, or not any more.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&History) -> Result<T> + Send + 'static,
    ) -> Option<Result<T>> {
        let (answer, answered) = bounded(1);
        let task = Task::Do(Box::new(move |history| _ = answer.send(question(history))));
        self.0.as_ref()?.send(task).ok()?;
        answered.recv().ok()
    }

    /// Waits until everything is written that was noted before.
    pub(super) fn flush(&self) {
        let _ = self.ask(|_| Ok(()));
    }
}

/// What the Backup journal holds.
pub(super) struct HistoryRead {
    /// A number that changes whenever another process has written it.
    pub(super) version: Option<i64>,
    pub(super) entries: Vec<HistoryEntry>,
    pub(super) recent: Vec<PathBuf>,
    pub(super) proven: Vec<Proof>,
    pub(super) findings: Vec<Finding>,
}

impl HistoryRead {
    /// Reads it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn of(history: &History) -> Result<Self> {
        Ok(Self {
            version: history.version(),
            entries: history.list(HISTORY_MAX)?,
            recent: history.recent()?,
            proven: history.proven(PROVEN_MAX)?,
            findings: history.findings()?,
        })
    }
}

/// What was shown before it was read from the Backup journal.
#[derive(Debug, Clone)]
pub(super) enum Fresh {
    Entry(HistoryEntry),
    Proof(Proof),
    Looked(Looked),
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use chrono::Local;

    use super::*;

    type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn what_was_noted_is_found_by_who_asks_next_and_after_the_end() -> Outcome {
        let folder = tempfile::tempdir()?;
        let (history, _) = History::open(folder.path())?;
        let recorder = Recorder::start(history)?;
        let (results, told) = unbounded();
        for n in 0..20 {
            let results = results.clone();
            let path = format!("/srv/{n}.db");
            recorder.run(
                move |history| history.remember(Path::new(&path), Local::now()),
                move |written| _ = results.send(written.is_ok()),
            );
        }
        let asker = recorder.asker();
        let recent = asker.ask(History::recent).ok_or("no journal")??;
        assert_eq!(recent.len(), 10);
        assert!(told.try_iter().count() == 20, "all of it was done before");
        recorder.run(|history| history.forget(Path::new("/srv/19.db")), |_| ());
        drop(recorder);
        assert!(asker.ask(History::recent).is_none(), "nobody waits for what has ended");
        let (history, _) = History::open(folder.path())?;
        assert!(!history.recent()?.contains(&"/srv/19.db".into()), "written before the end");
        Ok(())
    }

    #[test]
    fn without_a_journal_nothing_is_done_and_nobody_waits() {
        let recorder = Recorder::none();
        recorder.run(|_| Ok(()), |_| ());
        assert!(!recorder.is_kept() && recorder.has_ended() && recorder.asker().ask(|_| Ok(())).is_none());
    }
}
