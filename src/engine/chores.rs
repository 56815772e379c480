//! Work of a moment that may wait for a disk: looking at files, opening them, reading archives. A few threads do it for
//! all data files, and end when there is none; a job has a thread of its own.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use crossbeam_channel::Sender;

use super::worker::Message;
use crate::error::{Error, ErrorKind, Result};

/// Enough that some files which are locked or on a slow disk do not delay the others; each may need some MiB.
const THREADS_MAX: usize = 16;
/// A thread without work ends after this.
const IDLE_MAX: Duration = Duration::from_secs(2);

type Chore = Box<dyn FnOnce() + Send>;

/// The threads, and what waits for one.
#[derive(Clone)]
pub(super) struct Chores {
    shared: Arc<Shared>,
    messages: Sender<Message>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Chore>,
    threads: usize,
    idle: usize,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut state = self.state();
        loop {
            if let Some(chore) = state.waiting.pop_front() {
                drop(state);
                chore();
                state = self.state();
                continue;
            }
            state.idle += 1;
            let (after, _) = self
                .changed
                .wait_timeout_while(state, IDLE_MAX, |state| state.waiting.is_empty())
                .unwrap_or_else(PoisonError::into_inner);
            state = after;
            state.idle -= 1;
            if state.waiting.is_empty() {
                state.threads -= 1;
                return;
            }
        }
    }
}

impl Chores {
    /// What the chores bring goes to `messages`.
    pub(super) fn new(messages: Sender<Message>) -> Self {
        Self { shared: Arc::default(), messages }
    }

    /// Has `work` done, and sends what `answer` makes of its result; a defect is a result too, so that nobody waits for
    /// ever.
    pub(super) fn run<T>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
        answer: impl FnOnce(Result<T>) -> Message + Send + 'static,
    ) {
        let messages = self.messages.clone();
        let chore = Box::new(move || {
            let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::Refused, "this ended by a defect of the program")
                    .hint("Please report it with what you did; no file was changed."))
            });
            // When the engine has ended meanwhile, nobody wants to know.
            let _ = messages.send(answer(result));
        });
        let mut state = self.shared.state();
        state.waiting.push_back(chore);
        if state.idle >= state.waiting.len() || state.threads >= THREADS_MAX {
            self.shared.changed.notify_one();
            return;
        }
        state.threads += 1;
        drop(state);
        let shared = Arc::clone(&self.shared);
        if let Err(error) = thread::Builder::new().name("chore".to_owned()).spawn(move || shared.work()) {
            // The others do it, or the next one that can be started.
            tracing::error!(%error, "no thread");
            self.shared.state().threads -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn more_chores_than_threads_are_all_done_and_a_defect_is_answered() -> std::result::Result<(), &'static str> {
        let (messages, inbox) = crossbeam_channel::unbounded();
        let chores = Chores::new(messages);
        for n in 0..200 {
            chores.run(
                move || if n == 7 { std::panic::resume_unwind(Box::new("as a test")) } else { Ok(n) },
                |result| Message::LogChanged {
                    data_file: result.map_or_else(|e| PathBuf::from(e.message()), |n| PathBuf::from(n.to_string())),
                },
            );
            assert!(chores.shared.state().threads <= THREADS_MAX);
        }
        let mut seen = Vec::new();
        for _ in 0..200 {
            let Ok(Message::LogChanged { data_file }) = inbox.recv() else { return Err("another message") };
            seen.push(data_file);
        }
        assert!(seen.contains(&PathBuf::from("this ended by a defect of the program")));
        assert!(seen.contains(&PathBuf::from("199")) && !seen.contains(&PathBuf::from("7")));
        Ok(())
    }
}
