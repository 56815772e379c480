//! The engine: looks after data files and runs their jobs. It does not know its user interface.
//!
//! One door leads in: a [`Command`] through a [`Handle`], which may as well lead to an engine in another process. Two
//! lead out: the [`Status`], which is the truth, and [`Event`]s, which are only news. All three are plain data. The
//! engine's own thread does nothing that can wait for a disk: files are identified, estimated and worked on by threads
//! of their own, which report back.

mod backup_job;
mod causes;
mod chores;
pub mod command;
mod damaged;
mod data_files;
mod ended;
mod folders;
mod found;
pub mod history;
mod hosted;
mod in_care;
pub mod inspect;
mod job;
mod kept;
mod known;
mod lacking;
mod list;
mod lock;
mod log_slot;
mod look;
pub mod lost;
mod maintenance;
mod mark;
pub mod mistaken;
mod notices;
mod notify;
mod proof;
mod proven;
pub mod rights;
mod scheduler;
mod settings;
pub mod settings_gone;
pub mod status;
mod undo;
mod warnings;
mod watched;
mod work;
mod worker;

use std::{
    fmt,
    ops::Deref,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

pub use command::{Command, JobId};
pub use list::add_to_list;
pub use lock::{Holder, holder};
pub use status::{Event, Host, HostKind, Status};
pub use warnings::{last_watched, of_history};

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
    /// The list of the service's own data files, when the engine keeps one: what is opened is added to it, what is
    /// closed taken off.
    pub list: Option<PathBuf>,
    /// A list that the superuser has given to the service: it is looked after too, and never changed.
    pub given_list: Option<PathBuf>,
    /// Whether no log is kept, whatever the settings of a data file say.
    pub keeps_no_log: bool,
    /// Whether the superuser acts on his own data files also in folders that others can write.
    pub as_root: bool,
    /// Tells the time.
    pub clock: Clock,
}

impl Config {
    /// Whether this engine stays, as that of a window or a service does: then it does by itself what is due. One that
    /// runs a single job for the command line does nothing else.
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
            keeps_no_log: false,
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

/// More news do not wait for a listener.
const EVENTS_MAX: usize = 1024;

/// The news of an engine, as they come. An engine forgets whoever drops this at once: one that nothing happens to would
/// otherwise keep something of every command that ever asked it.
#[derive(Debug, Clone)]
pub struct Events {
    events: Receiver<Event>,
    _subscription: Arc<Subscription>,
}

impl Deref for Events {
    type Target = Receiver<Event>;

    fn deref(&self) -> &Receiver<Event> {
        &self.events
    }
}

struct Subscription {
    shared: Weak<Shared>,
    number: u64,
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            let mut listeners = shared.listeners.lock().unwrap_or_else(PoisonError::into_inner);
            listeners.retain(|(_, number)| *number != self.number);
            if listeners.is_empty() {
                listeners.shrink_to_fit();
            }
        }
    }
}

/// Returns whether it wants to be called again.
type Waker = Box<dyn Fn() -> bool + Send + Sync>;

/// What worker and handles have in common.
struct Shared {
    status: RwLock<Arc<Status>>,
    listeners: Mutex<Vec<(Sender<Event>, u64)>>,
    /// The number of the next listener.
    next: AtomicU64,
    wakers: Mutex<Vec<Waker>>,
    /// Whether nobody is behind the door any more.
    lost: AtomicBool,
}

impl Shared {
    fn new(status: Arc<Status>) -> Arc<Self> {
        let status = RwLock::new(status);
        Arc::new(Self {
            status,
            listeners: Mutex::default(),
            next: AtomicU64::new(0),
            wakers: Mutex::default(),
            lost: AtomicBool::new(false),
        })
    }

    fn publish(&self, status: Arc<Status>) {
        *self.status.write().unwrap_or_else(PoisonError::into_inner) = status;
        self.wake();
    }

    fn wake(&self) {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner).retain(|wake| wake());
    }

    /// A listener that does not keep up loses news, never the truth.
    fn tell(&self, event: &Event) {
        for (listener, _) in self.listeners.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if listener.len() < EVENTS_MAX {
                let _ = listener.send(event.clone());
            }
        }
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
    pub fn events(&self) -> Events {
        // One with a bound of its own would take its room at once, for each listener.
        let (listener, events) = unbounded();
        let number = self.shared.next.fetch_add(1, Ordering::Relaxed);
        self.shared.listeners.lock().unwrap_or_else(PoisonError::into_inner).push((listener, number));
        let subscription = Subscription { shared: Arc::downgrade(&self.shared), number };
        Events { events, _subscription: Arc::new(subscription) }
    }

    /// Calls `wake` after every change of the status, from the engine's thread; it must return at once, and false when
    /// it does not want to be called any more.
    pub fn on_change(&self, wake: impl Fn() -> bool + Send + Sync + 'static) {
        // Whoever has gone meanwhile is forgotten, also by an engine that nothing happens to.
        self.shared.wake();
        self.shared.wakers.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(wake));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_engine_keeps_nothing_of_whoever_has_gone() -> Result<()> {
        let folder = tempfile::tempdir().map_err(|e| Error::io("make", Path::new("a folder"), e))?;
        let engine = Engine::start(Config::private(folder.path()))?;
        let handle = engine.handle();
        let counts = || {
            let listeners = handle.shared.listeners.lock().unwrap_or_else(PoisonError::into_inner).len();
            (listeners, handle.shared.wakers.lock().unwrap_or_else(PoisonError::into_inner).len())
        };
        let before = counts();
        let stays = handle.events();
        for _ in 0..150 {
            let (bell, changed) = bounded::<()>(1);
            let (events, again) = (handle.events(), handle.events().clone());
            handle.on_change(move || !matches!(bell.try_send(()), Err(e) if e.is_disconnected()));
            drop((events, again, changed));
        }
        let after = counts();
        assert_eq!(after.0, before.0 + 1);
        assert!(after.1 <= before.1 + 1, "{after:?}: the last one, until the next comes");
        // Who listens hears everything, and a deaf one nothing beyond a limit.
        for _ in 0..EVENTS_MAX + 10 {
            handle.shared.tell(&Event::CommandRefused(Error::stopped().report()));
        }
        assert_eq!(stays.len(), EVENTS_MAX);
        Ok(())
    }
}
