//! Copying frames of the WAL into the data file beside the capture.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use crossbeam_channel::{Sender, bounded};

use crate::{
    error::{Error, ErrorKind, Result},
    sqlite::ffi::Checkpointer,
};

/// Runs a checkpoint beside the capture: a disk may need tens of milliseconds, and a busy writer makes a thousand
/// commits in that time.
#[derive(Debug)]
pub(super) struct Copier {
    begin: Option<Sender<()>>,
    running: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Copier {
    pub(super) fn start(checkpointer: Checkpointer) -> Result<Self> {
        let (begin, begun) = bounded::<()>(1);
        let running = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&running);
        let work = move || {
            for () in begun {
                // What fails here fails again where the capture waits for it, and is reported there.
                let _ = checkpointer.connection().query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
                flag.store(false, Ordering::Release);
            }
        };
        let thread = thread::Builder::new()
            .name("checkpoint".into())
            .spawn(work)
            .map_err(|e| Error::new(ErrorKind::Io, "cannot start a thread").because(e))?;
        Ok(Self { begin: Some(begin), running, thread: Some(thread) })
    }

    pub(super) fn begin(&self) {
        if let Some(begin) = &self.begin
            && !self.running.swap(true, Ordering::AcqRel)
            && begin.try_send(()).is_err()
        {
            self.running.store(false, Ordering::Release);
        }
    }

    /// Whether that is still going on.
    pub(super) fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }
}

impl Drop for Copier {
    fn drop(&mut self) {
        self.begin = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
