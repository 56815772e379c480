//! The engine: looks after data files and runs their jobs. It does not know its user interface.
//!
//! One door leads in: a [`Command`] through a [`Handle`]. Two lead out: the [`Status`], which is the truth, and [`Event`]s,
//! which are only news. All three are plain data. The engine's own thread does nothing that can wait for a disk: files are
//! identified, estimated and worked on by threads of their own, which report back.

mod backup_job;
pub mod command;
mod data_files;
mod ended;
pub mod history;
mod hosted;
pub mod inspect;
mod job;
mod lock;
mod look;
mod notify;
mod proven;
mod scheduler;
mod settings;
pub mod status;
mod warnings;
mod work;
mod worker;

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
    thread::JoinHandle,
};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

pub use command::{Command, JobId};
pub use status::{Event, Status};

use crate::{
    control::Clock,
    error::{Error, ErrorKind, Result},
};
use worker::{Message, Worker};

/// Where the program keeps its own files, and where it is.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder for the Backup journal.
    pub data_dir: PathBuf,
    /// Folder for the settings of data files whose own folder can not be written.
    pub settings_dir: PathBuf,
    /// The program, for the client that edits the sample.
    pub program: Option<PathBuf>,
    /// Whether this engine stays, as that of a window or a service does: then it does by itself what is due. One that runs a
    /// single job for the command line does nothing else.
    pub is_host: bool,
    /// Tells the time.
    pub clock: Clock,
}

/// The running engine. Dropping it stops its jobs and ends it.
#[derive(Debug)]
pub struct Engine {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

/// The door to an engine; cheap to clone.
#[derive(Clone)]
pub struct Handle {
    messages: Sender<Message>,
    shared: Arc<Shared>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

type Waker = Box<dyn Fn() + Send + Sync>;

/// What worker and handles have in common.
struct Shared {
    status: RwLock<Arc<Status>>,
    listeners: Mutex<Vec<Sender<Event>>>,
    wakers: Mutex<Vec<Waker>>,
}

impl Shared {
    fn publish(&self, status: Arc<Status>) {
        *self.status.write().unwrap_or_else(PoisonError::into_inner) = status;
        for wake in self.wakers.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            wake();
        }
    }

    /// A listener that does not keep up loses news, never the truth; one that is gone is forgotten.
    fn tell(&self, event: &Event) {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|listener| !matches!(listener.try_send(event.clone()), Err(TrySendError::Disconnected(_))));
    }
}

impl Engine {
    /// Starts an engine. A Backup journal that can not be kept is shown in the status and stops nothing else.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(config: Config) -> Result<Self> {
        let (messages, inbox) = bounded(256);
        let worker = Worker::new(config, messages.clone());
        let shared = Arc::new(Shared {
            status: RwLock::new(Arc::new(worker.status().clone())),
            listeners: Mutex::default(),
            wakers: Mutex::default(),
        });
        let handle = Handle { messages, shared: Arc::clone(&shared) };
        let thread = std::thread::Builder::new()
            .name("engine".to_owned())
            .spawn(move || worker.run(&inbox, &shared))
            .map_err(|e| Error::new(ErrorKind::Io, "the engine can not be started").because(e))?;
        Ok(Self { handle, thread: Some(thread) })
    }

    /// A door to this engine.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.handle.messages.send(Message::Shutdown);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Handle {
    /// Gives a command. It never waits; the effect is seen in the status.
    ///
    /// # Errors
    /// When the engine has ended, or more commands are waiting than any person gives.
    pub fn send(&self, command: Command) -> Result<()> {
        self.messages.try_send(Message::Command(command)).map_err(|e| match e {
            TrySendError::Full(_) => Error::new(ErrorKind::Busy, "the engine is busy").hint("Try again in a moment."),
            TrySendError::Disconnected(_) => {
                Error::new(ErrorKind::Refused, "the engine has ended").hint("Start the program again.")
            }
        })
    }

    /// The state at this moment.
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.shared.status.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// News from now on. At most 1024 wait; what comes beyond is dropped, and the status tells the same.
    pub fn events(&self) -> Receiver<Event> {
        let (listener, events) = bounded(1024);
        self.shared.listeners.lock().unwrap_or_else(PoisonError::into_inner).push(listener);
        events
    }

    /// Calls `wake` after every change of the status, from the engine's thread; it must return at once.
    pub fn on_change(&self, wake: impl Fn() + Send + Sync + 'static) {
        self.shared.wakers.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(wake));
    }
}
