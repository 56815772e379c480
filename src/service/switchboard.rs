//! The engines that a window works with, as if they were one: its own, and those that look after data files elsewhere.
//!
//! The statuses are merged into one, and a command goes to the engine that looks after what it is about. An engine that
//! goes away leaves its data files behind as they were known last, marked as lost. They are joined again as soon as
//! somebody looks after them; those of a window that was closed are taken over at once, those of a service only when
//! that is wanted. The lock of a data file decides: taking over never makes two engines.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use chrono::Local;
use crossbeam_channel::{Receiver, Select, Sender, bounded, unbounded};
use uuid::Uuid;

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
/// An engine that was told to close a data file, and has it still, is told again after so long.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// An engine that is connected.
struct Link {
    handle: Handle,
    host: Host,
    address: Option<String>,
    events: Events,
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

/// A data file on its way from one engine to another.
struct Handing {
    /// The process that gets it.
    to: u32,
    /// When the engine that has it was told to close it.
    asked: Option<Instant>,
    /// Whether the one that gets it was told to open it.
    is_opened: bool,
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
        self.links.push(Link { handle, host, address, events });
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
            Command::RestoreInPlace { ref data_file, .. } if self.is_lost(data_file) => self.own().send(command),
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
            Query::Report { data_file, .. } if self.is_lost(data_file) => Ok(self.own()),
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

    /// Remembers the data files of engines that have gone away.
    fn let_go_of_lost(&mut self) {
        let since = Local::now();
        let mut gone = Vec::new();
        self.links.retain(|link| {
            let is_lost = link.handle.is_lost();
            if is_lost {
                gone.push(link.handle.status());
            }
            !is_lost
        });
        let has_lost = gone.iter().any(|status| !status.data_files.is_empty());
        for status in gone {
            for data_file in &status.data_files {
                self.lost.push(Lost { status: DataFileStatus::clone(data_file), since });
            }
        }
        let open: HashSet<PathBuf> = self
            .links
            .iter()
            .flat_map(|link| link.handle.status().data_files.iter().map(|d| d.facts.path.clone()).collect::<Vec<_>>())
            .collect();
        self.lost.retain(|lost| !open.contains(&lost.status.facts.path));
        self.taking_over.retain(|path| !open.contains(path));
        if has_lost {
            self.look_at_lost();
        }
    }

    /// Nobody else looks whether their files are still there, and whether somebody looks after them again.
    fn look_at_lost(&mut self) {
        let paths = self.lost.iter().map(|lost| lost.status.facts.path.clone());
        for path in paths.collect::<Vec<_>>() {
            if self.looking.insert(path.clone()) && !self.look(path.clone(), false) {
                self.looking.remove(&path);
            }
        }
    }

    fn lost_seen(&mut self, path: &Path, is_there: bool, holder: Option<Holder>, owner: Option<u32>) {
        let Some(lost) = self.lost.iter_mut().find(|lost| lost.status.facts.path == path) else { return };
        let gone = || Error::new(ErrorKind::NotFound, format!("{} does not exist any more", path.display()));
        lost.status.problem = (!is_there).then(|| gone().report());
        let kind = lost.status.host.kind;
        // The lock of a process that was killed may outlive its socket by a moment, and refuse whoever comes first.
        let own = self.own().status();
        let is_refused = own.refused.iter().any(|r| r.path == path && r.error.kind == ErrorKind::InUse)
            && !own.opening.iter().any(|opening| opening == path);
        match holder {
            Some(holder) => {
                if let Some(address) = holder.address.filter(|address| !self.is_linked(address)) {
                    self.look_for(address, None, owner);
                }
            }
            // A window that was closed, or a command that has ended, does not come back.
            None if kind != HostKind::Service && (self.taking_over.insert(path.to_path_buf()) || is_refused) => {
                let _ = self.own().send(Command::OpenDataFile { path: path.to_path_buf() });
            }
            None => {}
        }
    }

    /// Gives data files of this process, and of one in the background, to a service that has them on its list: it
    /// stays, and they do not.
    fn give_way(&mut self) {
        let wanted = self.links.iter().skip(1).filter(|link| link.host.kind == HostKind::Service).flat_map(|link| {
            let refused = link.handle.status();
            let in_use = refused.refused.iter().filter(|r| r.error.kind == ErrorKind::InUse);
            in_use.map(|r| (link.handle.clone(), r.path.clone())).collect::<Vec<_>>()
        });
        for (service, path) in wanted.collect::<Vec<_>>() {
            let gives = |link: &&Link| link.address.is_none() || link.host.kind == HostKind::Background;
            if let Some(link) = self.of_data_file(&path) {
                let Some(handle) = Some(link).filter(gives).map(|link| link.handle.clone()) else { continue };
                let is_busy = handle.status().jobs.iter().any(|job| job.data_file.as_ref() == Some(&path));
                if !is_busy && self.giving.insert(path.clone()) {
                    let _ = handle.send(Command::CloseDataFile { path });
                }
            } else if self.giving.remove(&path) {
                // It would try again by itself, a little later.
                let _ = service.send(Command::OpenDataFile { path });
            }
        }
    }

    fn is_waiting(&self) -> bool {
        !self.lost.is_empty() || !self.handing.is_empty() || !self.opening.is_empty()
    }

    /// Closes data files where they are, and opens them where they are to be. Whatever goes wrong there, this process
    /// takes them then: somebody must look after them.
    fn hand_over(&mut self) {
        let mut handing = std::mem::take(&mut self.handing);
        handing.retain(|path, step| {
            let to = self.links.iter().find(|link| link.host.process == step.to);
            let from = self.of_data_file(path);
            match (from, to) {
                (Some(from), _) if from.host.process == step.to => false,
                (Some(from), Some(_)) => {
                    let status = from.handle.status();
                    let is_busy = status.jobs.iter().any(|job| job.data_file.as_ref() == Some(path));
                    // A job may have begun just before.
                    if !is_busy && step.asked.is_none_or(|at| at.elapsed() > ASK_AGAIN) {
                        step.asked = Some(Instant::now());
                        let _ = from.handle.send(Command::CloseDataFile { path: path.clone() });
                    }
                    true
                }
                // The one that gets it is still being looked for.
                (Some(_), None) => true,
                (None, Some(to)) if !step.is_opened => {
                    step.is_opened = to.handle.send(Command::OpenDataFile { path: path.clone() }).is_ok();
                    true
                }
                (None, Some(to)) => {
                    let refused = to.handle.status().refused.iter().find(|r| r.path == *path).map(|r| r.error.clone());
                    if let Some(error) = &refused {
                        self.remote.tell(&Event::CommandRefused(error.clone()));
                        let _ = self.own().send(Command::OpenDataFile { path: path.clone() });
                    }
                    refused.is_none()
                }
                (None, None) => {
                    let _ = self.own().send(Command::OpenDataFile { path: path.clone() });
                    false
                }
            }
        });
        self.handing = handing;
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
        if let Some(status) = merge(&statuses, &self.lost, &mut self.order) {
            self.remote.publish(status);
        }
    }
}
