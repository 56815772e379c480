//! The engine: looks after data files and runs their jobs. It does not know its user interface.
//!
//! Two doors lead in, through a [`Handle`], which may as well lead to an engine in another process: a [`Command`],
//! whose effect is seen in the status, and a [`Query`], whose [`Answer`] goes to who asked alone. Two lead out: the
//! [`Status`], which is the truth, and [`Event`]s, which are only news. All of it is plain data.
//!
//! Files are identified, estimated and worked on by threads of their own, which report back; the Backup journal has one
//! too. Left to the engine's own thread are looks with `stat` at what is open, and changes of settings.
//!
//! ```text
//! handle command query status   the ways in and out, as plain data
//! worker message commands       the engine's own thread, what reaches it, how commands are carried out
//! queries pool                  answering questions, on a few threads that may wait for a disk
//! activity take_backs           what changed, for whoever asks, and what is planned to be taken back of it
//! states sessions               states that somebody looks at; how many of all these are kept
//! measured                      how large the tables are, for whoever asks
//! registry data_file            the data files in its care: each one a value with its lock, settings, log and status
//! data_files logs surveys folders settings   what is done to them: open, close, look, change
//! begin         how a job begins, and what stands in its way
//! job work entry completion ended   one running job, its body, its line in the Backup journal, what came of it
//! backup_job kept proof maintenance recoveries undo notify   kinds of jobs
//! scheduler proof lacking damaged   what is begun without a command
//! found notices watched         what was found of archives, warnings that stay, how long nobody watched
//! history recorder              the Backup journal, and the thread that writes it
//! protection                    how well a data file is protected, in one answer
//! inspect lost mistaken         told from outside: of a data file that others look after, or nobody
//! settings_gone settings_in_force   settings that were lost, or that cannot be gone by: what archives know of them
//! in_care list rights config    whose archive, which files, as whom, with what it was started
//! ```

mod activity;
mod backup_job;
mod begin;
pub mod command;
mod commands;
mod completion;
mod config;
mod damaged;
mod data_file;
mod data_files;
mod ended;
mod entry;
mod folders;
mod found;
mod handle;
pub mod history;
mod in_care;
pub mod inspect;
mod job;
mod kept;
mod lacking;
mod list;
mod logs;
pub mod lost;
mod maintenance;
pub mod measured;
mod message;
pub mod mistaken;
mod notices;
mod notify;
mod pool;
mod proof;
pub mod protection;
mod queries;
pub mod query;
mod recorder;
mod recoveries;
mod registry;
pub mod rights;
mod scheduler;
mod sessions;
mod settings;
pub mod settings_gone;
pub mod settings_in_force;
mod states;
pub mod status;
mod surveys;
mod take_backs;
mod undo;
mod watched;
mod work;
mod worker;

use std::{sync::Arc, thread::JoinHandle, time::Duration};

use crossbeam_channel::{Sender, bounded};

pub use command::{Command, JobId};
pub use config::Config;
pub use data_file::alerts::{last_watched, of_history};
pub use data_file::lock::{Holder, holder};
pub use handle::{Events, Handle, RemoteEngine, Request};
pub use list::add_to_list;
pub use query::{Answer, Asked, Query, QueryId, Reply};
pub use status::{Event, Host, HostKind, Status};

use crate::error::{Error, ErrorKind, Result};
use handle::Shared;
use message::Message;
use worker::Worker;

/// The running engine. Dropping it stops its jobs and ends it.
#[derive(Debug)]
pub struct Engine {
    handle: Handle,
    messages: Sender<Message>,
    thread: Option<JoinHandle<()>>,
}

impl Engine {
    /// Starts an engine. A Backup journal that cannot be kept is shown in the status and stops nothing else.
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
            .map_err(|e| Error::new(ErrorKind::Io, "the engine cannot be started").because(e))?;
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
