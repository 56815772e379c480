//! Clean-up after a job, which may take longer than the job may.

use std::{
    sync::{Mutex, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

/// Clean-up that takes longer than a job may, and goes on by itself.
static CLEANING: Mutex<Vec<JoinHandle<()>>> = Mutex::new(Vec::new());

/// Does the clean-up of a job, and waits for a moment: to remove gigabytes takes a disk seconds, which *Stop* shall
/// not.
pub fn clean_up(work: impl FnOnce() + Send + 'static) {
    let (ended, end) = mpsc::channel::<()>();
    let run = move || {
        work();
        drop(ended);
    };
    // Without a further thread the leftovers stay and are recognised later.
    let Ok(thread) = thread::Builder::new().name("clean-up".into()).spawn(run) else { return };
    let _ = end.recv_timeout(Duration::from_millis(300));
    let mut cleaning = CLEANING.lock().unwrap_or_else(PoisonError::into_inner);
    cleaning.retain(|t| !t.is_finished());
    cleaning.push(thread);
}

/// Waits for all clean-up, before the process ends.
pub fn await_clean_up() {
    let threads = std::mem::take(&mut *CLEANING.lock().unwrap_or_else(PoisonError::into_inner));
    for thread in threads {
        let _ = thread.join();
    }
}
