//! Threads for work that may wait for a disk: looking at files, opening them, reading archives. A few threads do it for
//! all data files, and end when there is none; a job has a thread of its own.

use std::{
    collections::{HashMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use crate::error::{Error, ErrorKind, Result};

/// Enough that some files which are locked or on a slow disk do not delay the others; each may need some MiB.
const THREADS_MAX: usize = 16;
/// So many work for one lane at once: a disk that does not answer leaves threads for the others.
const LANE_MAX: usize = THREADS_MAX / 2;
/// A thread without work ends after this.
const IDLE_MAX: Duration = Duration::from_secs(2);

type Work = Box<dyn FnOnce() + Send>;

/// The threads, and what waits for one; cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Pool {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// In the order in which it came, each piece with what it is about, if it is about something.
    waiting: VecDeque<(Option<PathBuf>, Work)>,
    /// How many threads work for which lane.
    busy: HashMap<PathBuf, usize>,
    threads: usize,
    idle: usize,
}

impl State {
    /// The first piece of work whose lane has room.
    fn next(&mut self) -> Option<(Option<PathBuf>, Work)> {
        let busy = &self.busy;
        let has_room = |lane: &Option<PathBuf>| {
            lane.as_ref().is_none_or(|lane| busy.get(lane).is_none_or(|threads| *threads < LANE_MAX))
        };
        let at = self.waiting.iter().position(|(lane, _)| has_room(lane))?;
        let (lane, work) = self.waiting.remove(at)?;
        if let Some(lane) = &lane {
            *self.busy.entry(lane.clone()).or_default() += 1;
        }
        Some((lane, work))
    }

    fn done(&mut self, lane: Option<PathBuf>) {
        let Some(lane) = lane else { return };
        match self.busy.get_mut(&lane) {
            Some(threads) if *threads > 1 => *threads -= 1,
            _ => _ = self.busy.remove(&lane),
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut state = self.state();
        let mut is_over = false;
        loop {
            if let Some((lane, work)) = state.next() {
                drop(state);
                work();
                state = self.state();
                state.done(lane);
                is_over = false;
                continue;
            }
            // What waits for room in its lane is taken up by whoever is at work in that lane.
            if is_over {
                state.threads -= 1;
                return;
            }
            state.idle += 1;
            let (after, waited) = self.changed.wait_timeout(state, IDLE_MAX).unwrap_or_else(PoisonError::into_inner);
            (state, is_over) = (after, waited.timed_out());
            state.idle -= 1;
        }
    }
}

impl Pool {
    /// Has `work` done, and gives its result to `then`; a defect is a result too, so that nobody waits for ever.
    pub(super) fn run<T>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
        then: impl FnOnce(Result<T>) + Send + 'static,
    ) {
        self.queue(None, work, then);
    }

    /// The same for work in a lane: a data file or an archive, whose disk may not answer.
    pub(super) fn run_in<T>(
        &self,
        lane: &Path,
        work: impl FnOnce() -> Result<T> + Send + 'static,
        then: impl FnOnce(Result<T>) + Send + 'static,
    ) {
        self.queue(Some(lane.to_path_buf()), work, then);
    }

    fn queue<T>(
        &self,
        lane: Option<PathBuf>,
        work: impl FnOnce() -> Result<T> + Send + 'static,
        then: impl FnOnce(Result<T>) + Send + 'static,
    ) {
        let work = Box::new(move || {
            then(catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::Refused, "this ended by a defect of the program")
                    .hint("Please report it with what you did; no file was changed."))
            }));
        });
        let mut state = self.shared.state();
        state.waiting.push_back((lane, work));
        if state.idle >= state.waiting.len() || state.threads >= THREADS_MAX {
            self.shared.changed.notify_one();
            return;
        }
        state.threads += 1;
        drop(state);
        let shared = Arc::clone(&self.shared);
        if let Err(error) = thread::Builder::new().name("pool".to_owned()).spawn(move || shared.work()) {
            // The others do it, or the next one that can be started.
            tracing::error!(%error, "no thread");
            self.shared.state().threads -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::{bounded, unbounded};

    use super::*;

    type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn more_work_than_threads_is_all_done_and_a_defect_is_a_result() -> Outcome {
        let (results, done) = unbounded();
        let pool = Pool::default();
        for n in 0..200 {
            let results = results.clone();
            pool.run(
                move || if n == 7 { std::panic::resume_unwind(Box::new("as a test")) } else { Ok(n) },
                move |result| _ = results.send(result.map_or_else(|e| e.message().to_owned(), |n| n.to_string())),
            );
            assert!(pool.shared.state().threads <= THREADS_MAX);
        }
        let seen: Vec<String> = (0..200).map(|_| done.recv()).collect::<std::result::Result<_, _>>()?;
        assert!(seen.iter().any(|said| said == "this ended by a defect of the program"));
        assert!(seen.iter().any(|said| said == "199") && !seen.iter().any(|said| said == "7"));
        Ok(())
    }

    #[test]
    fn a_disk_that_does_not_answer_takes_half_of_the_threads_at_most() -> Outcome {
        let pool = Pool::default();
        let (results, done) = unbounded();
        let (let_go, held) = bounded::<()>(0);
        for n in 0..100 {
            let (held, results) = (held.clone(), results.clone());
            // It ends when the other side of the channel is dropped.
            pool.run_in(Path::new("/dead"), move || Ok(held.recv().is_ok()), move |_| _ = results.send(n));
        }
        for n in 100..150 {
            let results = results.clone();
            pool.run_in(Path::new("/sound"), || Ok(()), move |_| _ = results.send(n));
        }
        let mut others: Vec<i32> = (0..50).map(|_| done.recv()).collect::<std::result::Result<_, _>>()?;
        others.sort_unstable();
        assert_eq!(others, (100..150).collect::<Vec<_>>(), "whoever came later was not held up");
        assert!(pool.shared.state().threads <= THREADS_MAX);
        assert_eq!(pool.shared.state().busy.get(Path::new("/dead")), Some(&LANE_MAX));
        drop(let_go);
        let rest: Vec<i32> = (0..100).map(|_| done.recv()).collect::<std::result::Result<_, _>>()?;
        assert_eq!(rest.len(), 100);
        Ok(())
    }
}
