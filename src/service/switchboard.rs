//! The engines that a window works with, as if they were one: its own, and those that look after data files elsewhere.
//!
//! The statuses are merged into one, and a command goes to the engine that looks after what it is about. An engine that
//! goes away leaves its data files behind as they were known last, marked as lost. They are joined again as soon as
//! somebody looks after them; those of a window that was closed are taken over at once, those of a service only when
//! that is wanted. The lock of a data file decides: taking over never makes two engines.
//!
//! ```text
//! lost         data files whose engine has gone away
//! heard        whether an engine still answers
//! handover     data files on their way from one engine to another
//! ```

mod handover;
mod heard;
mod lost;

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Select, Sender, bounded, unbounded};
use uuid::Uuid;

use handover::Handing;
use heard::Heard;

use super::{
    client::{Connected, connect},
    connection::Sockets,
    join,
    merge::{Lost, Order, merge},
};
use crate::{
    engine::{
        Command, Event, Events, Handle, Holder, Host, HostKind, Query, RemoteEngine, Reply, Request, Status,
        command::Subject, status::DataFileStatus,
    },
    error::{Error, ErrorKind, Result},
};

/// How often a lost data file is looked for.
const SEARCH: Duration = Duration::from_millis(300);
/// How often a service is looked for that was started meanwhile.
const SEARCH_SERVICES: Duration = Duration::from_secs(3);

/// An engine that is connected.
struct Link {
    handle: Handle,
    host: Host,
    address: Option<String>,
    events: Events,
    heard: Heard,
}

/// What a search for an engine found.
struct Found {
    address: String,
    result: Result<Connected>,
    /// The data file that it was looked for, and that is opened there.
    wanted: Option<PathBuf>,
}

/// What the disk of a data file tells: asked on a thread, since it may not answer, and everybody else is not to wait
/// for it.
struct Seen {
    path: PathBuf,
    /// What it is called where it lies.
    canonical: PathBuf,
    is_there: bool,
    holder: Option<Holder>,
    owner: Option<u32>,
    /// Whether it is to be opened.
    opens: bool,
}

struct Switchboard {
    /// The first one is that of this process.
    links: Vec<Link>,
    lost: Vec<Lost>,
    settings_dir: PathBuf,
    remote: RemoteEngine,
    bell: (Sender<()>, Receiver<()>),
    found: (Sender<Found>, Receiver<Found>),
    seen: (Sender<Seen>, Receiver<Seen>),
    /// Data files that are to be opened and are being looked at, and since when.
    opening: HashMap<PathBuf, Instant>,
    /// Lost data files that are being looked at.
    looking: HashSet<PathBuf>,
    /// Addresses being connected to.
    connecting: HashSet<String>,
    sockets: Sockets,
    /// Data files of this process that a service gets.
    giving: HashSet<PathBuf>,
    /// Data files that are being handed over.
    handing: HashMap<PathBuf, Handing>,
    /// Lost data files that were asked to be opened here, and for which an answer is awaited.
    taking_over: HashSet<PathBuf>,
    /// Whoever sits before this window and can answer questions of jobs, in whichever engine.
    attendants: HashSet<Uuid>,
    order: Order,
}

/// Joins the engine of this process with the services of this user and with whatever engine looks after what is opened.
///
/// `settings_dir` is the program's settings folder. The handle behaves like that of a single engine.
///
/// # Errors
/// When the system gives no thread.
pub fn join_all(own: Handle, settings_dir: &Path, sockets: &Sockets) -> Result<Handle> {
    let (handle, remote) = Handle::to_remote(own.status());
    let mut board = Switchboard {
        links: Vec::new(),
        lost: Vec::new(),
        settings_dir: settings_dir.to_path_buf(),
        remote,
        bell: bounded(1),
        found: unbounded(),
        seen: unbounded(),
        opening: HashMap::new(),
        looking: HashSet::new(),
        connecting: HashSet::new(),
        taking_over: HashSet::new(),
        sockets: sockets.clone(),
        giving: HashSet::new(),
        handing: HashMap::new(),
        attendants: HashSet::new(),
        order: Order::default(),
    };
    let host = own.status().host;
    board.add(own, host, None);
    for (address, owner) in sockets.services() {
        board.look_for(address, None, owner);
    }
    thread::Builder::new()
        .name("switchboard".to_owned())
        .spawn(move || board.run())
        .map_err(|e| Error::new(ErrorKind::Io, "the engines cannot be joined").because(e))?;
    Ok(handle)
}

impl Switchboard {
    fn run(mut self) {
        loop {
            let events: Vec<Events> = self.links.iter().map(|link| link.events.clone()).collect();
            let (requests, bell, found) = (self.remote.requests.clone(), self.bell.1.clone(), self.found.1.clone());
            let seen = self.seen.1.clone();
            let mut select = Select::new();
            select.recv(&requests);
            select.recv(&bell);
            select.recv(&found);
            select.recv(&seen);
            events.iter().for_each(|events| _ = select.recv(events));
            match select.ready_timeout(if self.is_waiting() { SEARCH } else { SEARCH_SERVICES }) {
                Err(_) => self.search(),
                Ok(0) => match requests.try_recv() {
                    Ok(Request::Command(command)) => self.obey(command),
                    Ok(Request::Query(query, reply)) => self.pass_on_query(query, reply),
                    // The window has gone, and its door with it.
                    Err(e) if e.is_disconnected() => return,
                    Err(_) => {}
                },
                Ok(1) => _ = bell.try_recv(),
                Ok(2) => found.try_iter().for_each(|found| self.arrived(found)),
                Ok(3) => seen.try_iter().for_each(|seen| self.seen(seen)),
                Ok(n) => self.pass_on(&events[n - 4]),
            }
            // That of this process shares its fate.
            self.links.iter_mut().skip(1).for_each(|link| link.heard.look(&link.handle));
            self.let_go_of_lost();
            self.give_way();
            self.hand_over();
            self.publish();
        }
    }

    fn add(&mut self, handle: Handle, host: Host, address: Option<String>) {
        let bell = self.bell.0.clone();
        // The bell is full while a change waits to be seen.
        handle.on_change(move || !matches!(bell.try_send(()), Err(e) if e.is_disconnected()));
        let events = handle.events();
        for who in &self.attendants {
            // An engine that is so busy has no job that could ask.
            let _ = handle.send(Command::Attend { who: *who, here: true });
        }
        self.links.push(Link { handle, host, address, events, heard: Heard::now() });
    }

    fn own(&self) -> &Handle {
        &self.links[0].handle
    }

    fn pass_on(&self, events: &Receiver<Event>) {
        for event in events.try_iter() {
            self.remote.tell(&event);
        }
    }

    /// The link whose engine looks after a data file.
    fn of_data_file(&self, path: &Path) -> Option<&Link> {
        self.links.iter().find(|link| link.handle.status().data_file(path).is_some())
    }

    fn of_archive(&self, archive: &Path) -> Option<&Link> {
        let holds = |d: &DataFileStatus| d.archives.iter().any(|a| a.path == archive);
        self.links.iter().find(|link| link.handle.status().data_files.iter().any(holds))
    }

    fn obey(&mut self, command: Command) {
        let outcome = match command {
            Command::OpenDataFile { path } => self.open(path),
            Command::HandOver { data_file, process } => {
                self.handing.insert(data_file, Handing { to: process, asked: None, is_opened: false });
                Ok(())
            }
            Command::CloseDataFile { path } if self.is_lost(&path) => {
                self.lost.retain(|lost| lost.status.facts.path != path);
                Ok(())
            }
            // Every list of recent or refused data files may have it.
            Command::Attend { who, here } => {
                if here {
                    self.attendants.insert(who);
                } else {
                    self.attendants.remove(&who);
                }
                self.links.iter().try_for_each(|link| link.handle.send(Command::Attend { who, here }))
            }
            // What is gone can be restored by this window, which looks after it then; the lock sees that nobody else
            // does.
            Command::RestoreInPlace { ref data_file, .. } | Command::Recover { ref data_file, .. }
                if self.is_lost(data_file) =>
            {
                self.own().send(command)
            }
            Command::Forget { .. } => self.links.iter().try_for_each(|link| link.handle.send(command.clone())),
            command => match self.engine_of(command.subject()) {
                Ok(handle) => handle.send(command),
                Err(error) => Err(error),
            },
        };
        if let Err(error) = outcome {
            self.remote.tell(&Event::CommandRefused(error.report()));
        }
    }

    /// Has a question answered by the engine that knows most of what it is about.
    fn pass_on_query(&self, query: Query, reply: Reply) {
        let handle = match &query {
            // It is kept beside the Backup journal, which this engine reads as well.
            Query::Report { data_file, .. } | Query::Recover { data_file } if self.is_lost(data_file) => Ok(self.own()),
            query => self.engine_of(query.subject()),
        };
        match handle {
            Ok(handle) => handle.pass_on(query, reply),
            Err(error) => reply.tell(Err(error)),
        }
    }

    fn is_lost(&self, data_file: &Path) -> bool {
        self.lost.iter().any(|lost| lost.status.facts.path == data_file)
    }

    /// The engine that looks after something. What no other engine knows is done here, with the rights of whoever sits
    /// before the window.
    fn engine_of(&self, subject: Subject<'_>) -> Result<&Handle> {
        let link = match subject {
            Subject::DataFile(path) if self.is_lost(path) => {
                let message = format!("nobody looks after {} at the moment", path.display());
                let hint = "Wait until its service is back, or take it over with this window.";
                return Err(Error::new(ErrorKind::Refused, message).hint(hint));
            }
            Subject::DataFile(path) => self.of_data_file(path),
            Subject::Archive(path) => self.of_archive(path),
            Subject::Job(job) => self.links.iter().find(|link| link.handle.status().job(job).is_some()),
            Subject::Nothing => None,
        };
        Ok(link.map_or_else(|| self.own(), |link| &link.handle))
    }

    /// Opens a data file: with the engine that has it; else with the service, which stays; else here.
    fn open(&mut self, path: PathBuf) -> Result<()> {
        if let Some(link) = self.of_data_file(&path) {
            return link.handle.send(Command::OpenDataFile { path });
        }
        if !self.look(path.clone(), true) {
            return self.own().send(Command::OpenDataFile { path });
        }
        self.opening.insert(path, Instant::now());
        Ok(())
    }

    /// Looks at a data file on a thread, whose news come as [`Seen`]; false where there is none.
    fn look(&self, path: PathBuf, opens: bool) -> bool {
        let (sender, own) = (self.seen.0.clone(), self.settings_dir.clone());
        let look = move || {
            let canonical = path.canonicalize().unwrap_or_else(|_| path.clone());
            let (is_there, holder) = (canonical.exists(), join::holder_of(&canonical, &own));
            let owner = join::owner_of(&canonical);
            let _ = sender.send(Seen { path, canonical, is_there, holder, owner, opens });
        };
        thread::Builder::new().name("look".to_owned()).spawn(look).is_ok()
    }

    /// Takes what was seen of a data file.
    fn seen(&mut self, seen: Seen) {
        let Seen { path, canonical, is_there, holder, owner, opens } = seen;
        if !opens {
            self.looking.remove(&path);
            return self.lost_seen(&path, is_there, holder, owner);
        }
        if self.opening.remove(&path).is_none() {
            // It took so long that the engine here waits for it.
            return;
        }
        let outcome = match self.of_data_file(&canonical) {
            Some(link) => link.handle.send(Command::OpenDataFile { path }),
            None => self.open_seen(path, canonical, holder, owner),
        };
        if let Err(error) = outcome {
            self.remote.tell(&Event::CommandRefused(error.report()));
        }
    }

    fn open_seen(
        &mut self,
        path: PathBuf,
        canonical: PathBuf,
        holder: Option<Holder>,
        owner: Option<u32>,
    ) -> Result<()> {
        if let Some(address) = holder.and_then(|holder| holder.address).filter(|address| !self.is_linked(address)) {
            self.look_for(address, Some(path), owner);
            return Ok(());
        }
        let is_lost = self.lost.iter().any(|lost| lost.status.facts.path == canonical);
        let service = self.links.iter().find(|link| link.host.kind == HostKind::Service && !is_lost);
        if is_lost {
            self.taking_over.insert(canonical);
        }
        service.map_or_else(|| self.own(), |link| &link.handle).send(Command::OpenDataFile { path })
    }

    fn is_linked(&self, address: &str) -> bool {
        self.links.iter().any(|link| link.address.as_deref() == Some(address))
    }

    /// Connects to an engine beside all else, since it may not answer.
    fn look_for(&mut self, address: String, wanted: Option<PathBuf>, owner: Option<u32>) {
        if !self.connecting.insert(address.clone()) {
            return;
        }
        let (found, at) = (self.found.0.clone(), address.clone());
        let spawned = thread::Builder::new().name("join".to_owned()).spawn(move || {
            let _ = found.send(Found { result: connect(&at, owner), address: at, wanted });
        });
        if spawned.is_err() {
            self.connecting.remove(&address);
        }
    }

    fn arrived(&mut self, found: Found) {
        self.connecting.remove(&found.address);
        match (found.result, found.wanted) {
            (Ok(connected), wanted) => {
                let files = connected.handle.status();
                self.lost.retain(|lost| files.data_file(&lost.status.facts.path).is_none());
                self.add(connected.handle, connected.host, Some(found.address));
                if let Some(path) = wanted {
                    self.remote.tell(&Event::DataFileOpened { path });
                }
            }
            // Whoever held it may just have ended: the engine here says what is the matter, or has it now.
            (Err(_), Some(path)) => {
                if let Err(error) = self.own().send(Command::OpenDataFile { path }) {
                    self.remote.tell(&Event::CommandRefused(error.report()));
                }
            }
            (Err(error), None) => tracing::info!(%error, "an engine could not be joined"),
        }
    }

    fn is_waiting(&self) -> bool {
        !self.lost.is_empty() || !self.handing.is_empty() || !self.opening.is_empty()
    }

    /// Looks whether somebody looks after a lost data file again, and for services.
    fn search(&mut self) {
        for (address, owner) in self.sockets.services() {
            if !self.is_linked(&address) {
                self.look_for(address, None, owner);
            }
        }
        self.look_at_lost();
        // A disk that does not answer: the engine here waits for it, and says so.
        let is_late = |(_, since): &(&PathBuf, &Instant)| since.elapsed() > SEARCH_SERVICES;
        let late: Vec<PathBuf> = self.opening.iter().filter(is_late).map(|(path, _)| path.clone()).collect();
        for path in late {
            self.opening.remove(&path);
            let _ = self.own().send(Command::OpenDataFile { path });
        }
    }

    fn publish(&mut self) {
        let statuses: Vec<Arc<Status>> = self.links.iter().map(|link| link.handle.status()).collect();
        let silent: Vec<_> = self.links.iter().map(|link| link.heard.silent()).collect();
        if let Some(status) = merge((&statuses, &silent), &self.lost, &mut self.order) {
            self.remote.publish(status);
        }
    }
}
