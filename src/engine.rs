//! The engine: looks after data files and runs their jobs. It does not know its user interface.
//!
//! Two doors lead in, through a [`Handle`], which may as well lead to an engine in another process: a [`Command`], whose
//! effect is seen in the status, and a [`Query`], whose [`Answer`] goes to who asked alone. Two lead out: the [`Status`],
//! which is the truth, and [`Event`]s, which are only news. All of it is plain data. The engine's own thread does nothing
//! that can wait for a disk: files are identified, estimated and worked on by threads of their own, which report back.

mod backup_job;
mod causes;
pub mod command;
mod damaged;
mod data_files;
mod ended;
mod folders;
mod found;
mod handle;
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
pub mod lost;
mod maintenance;
mod mark;
pub mod mistaken;
mod notices;
mod notify;
mod pool;
mod proof;
mod proven;
mod queries;
pub mod query;
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
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use crossbeam_channel::{Sender, bounded};

pub use command::{Command, JobId};
pub use handle::{Events, Handle, RemoteEngine, Request};
pub use list::add_to_list;
pub use lock::{Holder, holder};
pub use query::{Answer, Asked, Query, QueryId, Reply};
pub use status::{Event, Host, HostKind, Status};
pub use warnings::{last_watched, of_history};

use crate::{
    control::Clock,
    error::{Error, ErrorKind, Result},
};
use handle::Shared;
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

impl Engine {
    /// Starts an engine. A Backup journal that can not be kept is shown in the status and stops nothing else.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(config: Config) -> Result<Self> {
        let (messages, inbox) = bounded(256);
        let worker = Worker::new(config, messages.clone());
        let shared = Shared::new(Arc::new(worker.status().clone()));
        let handle = Handle::local(messages.clone(), Arc::clone(&shared));
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
