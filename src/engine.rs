//! The engine: looks after data files and runs their jobs. It does not know its user interface.
//!
//! One door leads in: a [`Command`] through a [`Handle`], which may as well lead to an engine in another process. Two lead out: the [`Status`], which is the truth, and [`Event`]s,
//! which are only news. All three are plain data. The engine's own thread does nothing that can wait for a disk: files are
//! identified, estimated and worked on by threads of their own, which report back.

mod backup_job;
mod chores;
pub mod command;
mod damaged;
mod data_files;
mod ended;
mod folders;
pub mod history;
mod hosted;
pub mod inspect;
mod job;
mod kept;
mod known;
mod lacking;
mod list;
mod lock;
mod log_slot;
mod look;
mod maintenance;
mod mark;
mod mistaken;
mod notices;
mod notify;
mod proof;
mod proven;
pub mod rights;
mod scheduler;
mod settings;
pub mod status;
mod undo;
mod warnings;
mod watched;
mod work;
mod worker;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

pub use command::{Command, JobId};
pub use list::add_to_list;
pub use lock::{Holder, holder};
pub use status::{Event, Host, HostKind, Status};

use crate::{
    control::Clock,
    error::{Error, ErrorKind, Result},
};
use worker::{Message, Worker};

/// Where the program keeps its own files, where it is, and who runs the engine.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder for the Backup journal.
    pub data_dir: PathBuf,
    /// Folder for the settings of data files whose own folder can not be written.
    pub settings_dir: PathBuf,
    /// The program, for the client that edits the sample.
    pub program: Option<PathBuf>,
    /// In what the engine runs.
    pub host: HostKind,
    /// Where other programs can reach it; noted in the lock of every data file, so that they find it.
    pub address: Option<String>,
    /// The list of the service's own data files, when the engine keeps one: what is opened is added to it, what is closed
    /// taken off.
    pub list: Option<PathBuf>,
    /// A list that the superuser has given to the service: it is looked after too, and never changed.
    pub given_list: Option<PathBuf>,
    /// Whether the superuser acts on his own data files also in folders that others can write.
    pub as_root: bool,
    /// Tells the time.
    pub clock: Clock,
}

impl Config {
    /// Whether this engine stays, as that of a window or a service does: then it does by itself what is due. One that runs a
    /// single job for the command line does nothing else.
    pub fn stays(&self) -> bool {
        self.host != HostKind::Command
    }

    /// For an engine that nobody else can reach, with its own files in `folder`.
    pub fn private(folder: &Path) -> Self {
        Self {
            data_dir: folder.to_path_buf(),
            settings_dir: folder.to_path_buf(),
            program: None,
            host: HostKind::Window,
            address: None,
            list: None,
            given_list: None,
            as_root: false,
            clock: Clock::default(),
        }
    }
}

/// The running engine. Dropping it stops its jobs and ends it.
#[derive(Debug)]
pub struct Engine {
    handle: Handle,
    messages: Sender<Message>,
    thread: Option<JoinHandle<()>>,
}

/// The door to an engine, in this process or in another one; cheap to clone.
#[derive(Clone)]
pub struct Handle {
    door: Door,
    shared: Arc<Shared>,
}

#[derive(Clone)]
enum Door {
    /// To an engine in this process.
    Here(Sender<Message>),
    /// To whoever passes commands on.
    There(Sender<Command>),
}

/// The other side of a handle from [`Handle::to_elsewhere`]: takes its commands, and tells it the status and the news.
pub struct Elsewhere {
    /// The commands given.
    pub commands: Receiver<Command>,
    shared: Arc<Shared>,
}

impl fmt::Debug for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Elsewhere").finish_non_exhaustive()
    }
}

impl Elsewhere {
    /// The status is this from now on.
    pub fn publish(&self, status: Arc<Status>) {
        self.shared.publish(status);
    }

    /// Something happened.
    pub fn tell(&self, event: &Event) {
        self.shared.tell(event);
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        self.shared.lost.store(true, Ordering::Release);
        self.shared.wake();
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

/// Returns whether it wants to be called again.
type Waker = Box<dyn Fn() -> bool + Send + Sync>;

/// What worker and handles have in common.
struct Shared {
    status: RwLock<Arc<Status>>,
    listeners: Mutex<Vec<Sender<Event>>>,
    wakers: Mutex<Vec<Waker>>,
    /// Whether nobody is behind the door any more.
    lost: AtomicBool,
}

impl Shared {
    fn new(status: Arc<Status>) -> Arc<Self> {
        let status = RwLock::new(status);
        Arc::new(Self { status, listeners: Mutex::default(), wakers: Mutex::default(), lost: AtomicBool::new(false) })
    }

    fn publish(&self, status: Arc<Status>) {
        *self.status.write().unwrap_or_else(PoisonError::into_inner) = status;
        self.wake();
    }

    fn wake(&self) {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner).retain(|wake| wake());
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
        let shared = Shared::new(Arc::new(worker.status().clone()));
        let handle = Handle { door: Door::Here(messages.clone()), shared: Arc::clone(&shared) };
        let thread = std::thread::Builder::new()
            .name("engine".to_owned())
            .spawn(move || worker.run(&inbox, &shared))
            .map_err(|e| Error::new(ErrorKind::Io, "the engine can not be started").because(e))?;
        Ok(Self { handle, messages, thread: Some(thread) })
    }

    /// Whether the engine's own thread still takes messages: it answers within `limit`.
    pub fn is_alive(&self, limit: Duration) -> bool {
        let (answer, answered) = bounded(1);
        self.messages.send_timeout(Message::Ping(answer), limit).is_ok() && answered.recv_timeout(limit).is_ok()
    }

    /// A door to this engine.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.messages.send(Message::Shutdown);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Handle {
    /// A handle to whoever holds the other side, which begins with `status`.
    pub fn to_elsewhere(status: Arc<Status>) -> (Self, Elsewhere) {
        let (sender, commands) = bounded(256);
        let shared = Shared::new(status);
        let handle = Self { door: Door::There(sender), shared: Arc::clone(&shared) };
        (handle, Elsewhere { commands, shared })
    }

    /// Whether the other side is gone: commands are refused, and the status is the last one known.
    pub fn is_lost(&self) -> bool {
        self.shared.lost.load(Ordering::Acquire)
    }

    /// Gives a command. It never waits; the effect is seen in the status.
    ///
    /// # Errors
    /// When the engine has ended, or more commands are waiting than any person gives; for a path that is not text.
    pub fn send(&self, command: Command) -> Result<()> {
        // Such a path could stand in no message: one in the status would cut off everybody who has joined the engine.
        if serde_json::to_writer(std::io::sink(), &command).is_err() {
            return Err(Error::new(ErrorKind::Refused, "a name in this command is not text in UTF-8")
                .hint("Rename the file or folder; names in the status, the Backup journal and archives are text."));
        }
        let full = match &self.door {
            Door::Here(messages) => messages.try_send(Message::Command(command)).map_err(|e| e.is_full()),
            Door::There(_) if self.is_lost() => Err(false),
            Door::There(commands) => commands.try_send(command).map_err(|e| e.is_full()),
        };
        full.map_err(|is_full| match is_full {
            true => Error::new(ErrorKind::Busy, "the engine is busy").hint("Try again in a moment."),
            false => Error::new(ErrorKind::Refused, "the engine has ended")
                .hint("Start the program again, or the service that looked after the data file."),
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

    /// Calls `wake` after every change of the status, from the engine's thread; it must return at once, and false when it does
    /// not want to be called any more.
    pub fn on_change(&self, wake: impl Fn() -> bool + Send + Sync + 'static) {
        self.shared.wakers.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(wake));
    }
}
