//! What a thread of its own finds out for whoever asks about it. It is kept as long as somebody asks, and ends with its
//! owner, or when nobody has asked for long.

use std::{
    ops::Deref,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::Control;
use crate::error::{Error, ErrorKind, Result};

/// What nobody asks for is forgotten after so long.
pub const KEPT: Duration = Duration::from_secs(600);
/// An answer waits so long for what may just come.
pub const PATIENCE: Duration = Duration::from_millis(120);

/// What the thread and those who ask have in common.
pub struct Shared<T> {
    inner: Mutex<T>,
    changed: Condvar,
    asked: Mutex<Instant>,
    control: Arc<Control>,
}

impl<T> Shared<T> {
    /// What is found out so far.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stopped when nobody wants it any more.
    pub fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// Wakes whoever waits: something is another one now.
    pub fn tell(&self) {
        self.changed.notify_all();
    }

    /// Waits while `is_awaited`, for at most `limit`; says whether that was over.
    pub fn wait<'a>(
        &'a self,
        inner: MutexGuard<'a, T>,
        limit: Duration,
        is_awaited: impl FnMut(&mut T) -> bool,
    ) -> (MutexGuard<'a, T>, bool) {
        let waited = self.changed.wait_timeout_while(inner, limit, is_awaited).unwrap_or_else(PoisonError::into_inner);
        (waited.0, waited.1.timed_out())
    }

    /// Somebody asks.
    pub fn touch(&self) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// When somebody asked last.
    pub fn asked(&self) -> Instant {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever has this has the thread go on; without it, it ends.
pub struct Session<T>(Arc<Shared<T>>);

impl<T> std::fmt::Debug for Session<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl<T> Deref for Session<T> {
    type Target = Shared<T>;

    fn deref(&self) -> &Shared<T> {
        &self.0
    }
}

impl<T> Drop for Session<T> {
    fn drop(&mut self) {
        // Under the lock: whoever has looked and is about to wait must not miss it.
        let _inner = self.0.lock();
        self.0.control.stop();
        self.0.changed.notify_all();
    }
}

impl<T: Send + 'static> Session<T> {
    /// Begins `work` on a thread that is called `name`, under `control`; `failed` says what cannot be done without one.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn begin(
        inner: T,
        control: Arc<Control>,
        (name, failed): (&str, &str),
        work: impl FnOnce(&Shared<T>) + Send + 'static,
    ) -> Result<Self> {
        let (changed, asked) = (Condvar::new(), Mutex::new(Instant::now()));
        let shared = Arc::new(Shared { inner: Mutex::new(inner), changed, asked, control });
        let own = Arc::clone(&shared);
        let begun = thread::Builder::new().name(name.to_owned()).spawn(move || work(&own));
        begun.map_err(|e| Error::new(ErrorKind::Io, failed).because(e))?;
        Ok(Self(shared))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_ends_with_whoever_has_its_session() -> Result<()> {
        let (told, ended) = std::sync::mpsc::channel();
        let work = move |shared: &Shared<u32>| {
            *shared.lock() = 7;
            shared.tell();
            drop(shared.wait(shared.lock(), KEPT, |_| !shared.control().is_stopped()));
            let _ = told.send(());
        };
        let session = Session::begin(0, Arc::default(), ("session", "nothing"), work)?;
        let (found, is_late) = session.wait(session.lock(), KEPT, |found| *found == 0);
        assert!(*found == 7 && !is_late);
        drop(found);
        assert!(ended.try_recv().is_err());
        drop(session);
        assert!(ended.recv_timeout(KEPT).is_ok());
        Ok(())
    }
}
