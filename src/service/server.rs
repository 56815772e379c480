//! The engine's side of the socket: whoever connects sees the status and gives commands, like a window in the same
//! process.
//!
//! Each client has a thread that reads its commands and one that writes what changed. A client that is slow gets fewer,
//! larger updates; one that does not read at all is sent away; the engine never waits for any of them.

use std::{
    collections::{HashSet, VecDeque},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, select, unbounded};
use interprocess::local_socket::prelude::*;
use uuid::Uuid;

use super::{
    connection::{Connection, Listening},
    protocol::{Broken, FROM_CLIENT_MAX, FromClient, FromEngine, HELLO_BYTES_MAX, Hello, KNOWS, PROTOCOL},
    update::Update,
};
use crate::{
    backup::PROGRAM,
    engine::{Command, Event, Handle, QueryId, Reply, query::Answered},
    error::{Error, ErrorKind, Result, foreign::shown},
    storage::identity::FileIdentity,
};

/// More clients than any administration has windows.
const CLIENTS_MAX: usize = 64;
/// So many may be about to say who they are.
const WAITING_MAX: usize = 64;
/// How long a client may take for its hello.
const HELLO_MAX: Duration = Duration::from_secs(5);
/// How long a write may wait for a client that does not read.
const WRITE_MAX: Duration = Duration::from_secs(10);
/// Changes that come closer together than this are sent together.
const PAUSE: Duration = Duration::from_millis(40);
/// More questions of one client are not answered at once.
const QUERIES_MAX: usize = 256;
/// How long a command waits while the engine is busy with others.
const BUSY_MAX: Duration = Duration::from_secs(2);

/// Listens for clients of an engine. Dropping it tells them all that the engine has ended.
#[derive(Debug)]
pub struct Server {
    address: String,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Ends the thread that keeps the door open when it is dropped.
    keep: Option<Sender<()>>,
}

/// How often it is looked whether others can still find the socket.
const KEEP: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
struct Shared {
    ending: AtomicBool,
    /// Whether the door was opened anew.
    reopened: AtomicBool,
    count: AtomicUsize,
    /// Clients that have not said yet who they are, the oldest first.
    waiting: Mutex<VecDeque<Connection>>,
    connections: Mutex<Vec<Connection>>,
}

impl Server {
    /// Begins to let clients in to the engine behind `handle`; `listen_again` listens at the same address, for when
    /// somebody removes the socket: without it, nobody could reach the engine any more.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        listening: Listening,
        handle: Handle,
        listen_again: impl Fn() -> Result<Listening> + Send + 'static,
    ) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let address = listening.address.clone();
        let fail = |e| Error::new(ErrorKind::Io, "the engine cannot be reached by others").because(e);
        let thread = open_door(listening, &handle, &shared).map_err(fail)?;
        let (keep, ended) = bounded(0);
        let (work, path) = (Arc::clone(&shared), address.clone());
        thread::Builder::new()
            .name("door keeper".to_owned())
            .spawn(move || keep_door(Path::new(&path), &handle, &work, &ended, listen_again))
            .map_err(fail)?;
        Ok(Self { address, shared, thread: Some(thread), keep: Some(keep) })
    }

    /// Where it can be reached.
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::Release);
        self.keep = None;
        // Whoever waits for the next client takes this one, and sees that it ends.
        let woken = Connection::connect(&self.address, Duration::from_secs(1)).is_ok();
        // The first door is not the one that was woken when it was opened anew; the process ends with it.
        let is_first = !self.shared.reopened.load(Ordering::Acquire);
        if let Some(thread) = self.thread.take().filter(|_| woken && is_first) {
            let _ = thread.join();
        }
        for connection in self.shared.connections.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            connection.limit(Some(Duration::from_millis(100)));
            let _ = connection.send(&FromEngine::Bye);
            connection.close();
        }
    }
}

fn open_door(listening: Listening, handle: &Handle, shared: &Arc<Shared>) -> std::io::Result<JoinHandle<()>> {
    let (handle, shared) = (handle.clone(), Arc::clone(shared));
    thread::Builder::new().name("door".to_owned()).spawn(move || accept(&listening, &handle, &shared))
}

/// Opens the door anew when its name is gone, until `ended` is.
fn keep_door(
    path: &Path,
    handle: &Handle,
    shared: &Arc<Shared>,
    ended: &Receiver<()>,
    listen_again: impl Fn() -> Result<Listening>,
) {
    // Names of pipes on Windows are no files, and cannot be removed.
    let look = || FileIdentity::of_path(path).ok().flatten();
    let Some(mut known) = look() else { return };
    while matches!(ended.recv_timeout(KEEP), Err(RecvTimeoutError::Timeout)) {
        if look() == Some(known) {
            continue;
        }
        // Told before, because whoever ends the server must not wait for a door that nobody can find.
        shared.reopened.store(true, Ordering::Release);
        let fail = |e| Error::io("listen at", path, e);
        match listen_again().and_then(|listening| open_door(listening, handle, shared).map_err(fail)) {
            Ok(_) => {
                tracing::warn!(socket = %shown(path), "the socket was removed, and was made again");
                known = look().unwrap_or(known);
            }
            Err(error) => tracing::warn!(%error, "others cannot reach this engine: its socket was removed"),
        }
    }
}

fn accept(listening: &Listening, handle: &Handle, shared: &Arc<Shared>) {
    loop {
        let accepted = listening.listener.accept();
        if shared.ending.load(Ordering::Acquire) {
            return;
        }
        let connection = match accepted {
            Ok(stream) => Connection::new(stream),
            Err(error) => {
                // Too many open files, most probably: others may close some.
                tracing::warn!(%error, "a client could not be let in");
                thread::sleep(Duration::from_millis(100));
                continue;
            }
        };
        connection.limit(Some(WRITE_MAX));
        if !connection.is_trusted(None) {
            let error = Error::new(ErrorKind::Permission, "this engine belongs to another user")
                .hint("Run the command as that user, or as the superuser.");
            let _ = connection.send(&FromEngine::Refused(error.report()));
            continue;
        }
        shared.let_wait(&connection);
        let (handle, work) = (handle.clone(), Arc::clone(shared));
        let waiting = connection.clone();
        let spawned = thread::Builder::new().name("client".to_owned()).spawn(move || {
            serve(&connection, &handle, &work);
            connection.close();
        });
        if spawned.is_err() {
            shared.waits_no_more(&waiting);
        }
    }
}

impl Shared {
    /// Notes a client that has not said yet who it is. Where there are too many, the one that has said nothing for the
    /// longest time is sent away: those who are silent lock nobody out.
    fn let_wait(&self, connection: &Connection) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push_back(connection.clone());
        if waiting.len() > WAITING_MAX
            && let Some(oldest) = waiting.pop_front()
        {
            oldest.close();
        }
    }

    fn waits_no_more(&self, connection: &Connection) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| !other.is(connection));
    }
}

/// Greets a client, and then passes its commands on until it leaves.
fn serve(connection: &Connection, handle: &Handle, shared: &Arc<Shared>) {
    let greeted = greet(connection, handle, shared);
    shared.waits_no_more(connection);
    if let Err(error) = greeted {
        let _ = connection.send(&FromEngine::Refused(error.report()));
        return;
    }
    talk(connection, handle, shared);
    shared.count.fetch_sub(1, Ordering::AcqRel);
}

fn talk(connection: &Connection, handle: &Handle, shared: &Arc<Shared>) {
    shared.connections.lock().unwrap_or_else(PoisonError::into_inner).push(connection.clone());
    // The channel closes when this function ends; that ends the writer.
    let (notes_in, notes) = bounded::<Event>(16);
    let (answers_in, answers) = unbounded::<(QueryId, Answered)>();
    let (to, of) = (connection.clone(), handle.clone());
    let writer = thread::Builder::new().name("client news".to_owned()).spawn(move || {
        write_news(&to, &of, &notes, &answers);
        to.close();
    });
    if writer.is_ok() {
        read_requests(connection, handle, &notes_in, answers_in);
    }
    drop(notes_in);
    connection.close();
    let mut connections = shared.connections.lock().unwrap_or_else(PoisonError::into_inner);
    connections.retain(|other| !other.is(connection));
}

/// Lets a client in that says who it is; it counts from then on.
fn greet(connection: &Connection, handle: &Handle, shared: &Shared) -> Result<()> {
    let broken = |e: Broken| {
        Error::new(ErrorKind::Refused, format!("this is not a client of Strongroom: {e}"))
            .hint("See docs/protocol.md for what a client must say.")
    };
    let theirs = match connection.receive(HELLO_BYTES_MAX, Some(HELLO_MAX)).map_err(broken)? {
        FromClient::Hello(hello) => hello,
        _ => return Err(broken(Broken::Io(std::io::ErrorKind::InvalidData.into()))),
    };
    if theirs.protocol != PROTOCOL {
        let message = format!(
            "{PROGRAM} speaks protocol {PROTOCOL}, and {} speaks {}: they cannot work together",
            theirs.program, theirs.protocol
        );
        return Err(Error::new(ErrorKind::NewerVersion, message)
            .hint("Use the same version for the service and its windows: restart the service after an update."));
    }
    if shared.count.fetch_add(1, Ordering::AcqRel) >= CLIENTS_MAX {
        shared.count.fetch_sub(1, Ordering::AcqRel);
        let message = format!("{CLIENTS_MAX} windows and commands are connected already");
        return Err(Error::new(ErrorKind::Busy, message).hint("Close some of them, and try again."));
    }
    let knows = KNOWS.map(str::to_owned).to_vec();
    let hello = Hello { protocol: PROTOCOL, program: PROGRAM.to_owned(), knows };
    let host = handle.status().host;
    connection.send(&FromEngine::Hello { hello, host }).map_err(|e| {
        shared.count.fetch_sub(1, Ordering::AcqRel);
        Error::new(ErrorKind::Io, "the client has gone").because(e)
    })
}

/// Passes on what a client wants. Whoever of its side could answer questions has left when this ends, however it does.
fn read_requests(
    connection: &Connection,
    handle: &Handle,
    notes: &Sender<Event>,
    answers: Sender<(QueryId, Answered)>,
) {
    let mut attendants = HashSet::new();
    let questions = Questions { answers, open: Arc::default() };
    take_requests(connection, handle, (notes, &questions), &mut attendants);
    for who in attendants {
        let _ = send(handle, &Command::Attend { who, here: false });
    }
}

/// Gives the engine a command, with some patience when it has much to do.
fn send(handle: &Handle, command: &Command) -> Result<()> {
    let asked = Instant::now();
    let mut outcome = handle.send(command.clone());
    while outcome.as_ref().is_err_and(|e| e.kind() == ErrorKind::Busy) && asked.elapsed() < BUSY_MAX {
        // Only this client waits.
        thread::sleep(Duration::from_millis(20));
        outcome = handle.send(command.clone());
    }
    outcome
}

/// The questions of a client.
struct Questions {
    /// To whoever writes to it.
    answers: Sender<(QueryId, Answered)>,
    /// How many wait for their answer.
    open: Arc<AtomicUsize>,
}

impl Questions {
    /// The way back for the answer to one of them.
    fn reply(&self, id: QueryId) -> Reply {
        let (answers, open) = (self.answers.clone(), Arc::clone(&self.open));
        open.fetch_add(1, Ordering::AcqRel);
        Reply::new(move |answer| {
            open.fetch_sub(1, Ordering::AcqRel);
            let none = || Err(Error::new(ErrorKind::Refused, "nobody looks after it any more").report());
            // The client may have left.
            let _ = answers.send((id, answer.unwrap_or_else(none)));
        })
    }

    fn are_too_many(&self) -> bool {
        self.open.load(Ordering::Acquire) >= QUERIES_MAX
    }
}

fn take_requests(
    connection: &Connection,
    handle: &Handle,
    (notes, questions): (&Sender<Event>, &Questions),
    attendants: &mut HashSet<Uuid>,
) {
    loop {
        match connection.receive(FROM_CLIENT_MAX, None) {
            Ok(FromClient::Command(command)) => {
                if let Command::Attend { who, here: true } = &command {
                    attendants.insert(*who);
                }
                if let Err(error) = send(handle, &command) {
                    let _ = notes.try_send(Event::CommandRefused(error.report()));
                }
            }
            Ok(FromClient::Query { id, .. }) if questions.are_too_many() => {
                let message = format!("{QUERIES_MAX} questions of this client wait for an answer");
                let error = Error::new(ErrorKind::Busy, message).hint("Ask again when they are answered.");
                questions.reply(id).tell(Err(error));
            }
            Ok(FromClient::Query { id, query }) => handle.pass_on(query, questions.reply(id)),
            Ok(FromClient::Bye | FromClient::Hello(_)) | Err(Broken::Closed) => return,
            Err(broken) => {
                let error = Error::new(ErrorKind::Refused, format!("the client is sent away: {broken}"));
                let _ = connection.send(&FromEngine::Refused(error.report()));
                return;
            }
        }
    }
}

/// Writes what changed, and answers, until the client leaves, or does not read.
fn write_news(
    connection: &Connection,
    handle: &Handle,
    notes: &Receiver<Event>,
    answers: &Receiver<(QueryId, Answered)>,
) {
    let events = handle.events();
    let (bell, changed) = bounded::<()>(1);
    // The bell is full while a change waits to be sent; it is gone when this client has left.
    handle.on_change(move || !matches!(bell.try_send(()), Err(e) if e.is_disconnected()));
    let mut known = handle.status();
    let mut update = Update::whole(&known);
    let mut news: Vec<Event> = Vec::new();
    let mut answered: Vec<(QueryId, Answered)> = Vec::new();
    loop {
        if !update.is_empty() || !news.is_empty() {
            let message = FromEngine::News { update: Box::new(update), events: std::mem::take(&mut news) };
            if connection.send(&message).is_err() {
                return;
            }
        }
        for (id, answer) in answered.drain(..) {
            if connection.send(&FromEngine::Answer { id, answer }).is_err() {
                return;
            }
        }
        let pause = crossbeam_channel::after(PAUSE);
        select! {
            recv(changed) -> _ => {}
            recv(*events) -> event => match event {
                Ok(event) => news.push(event),
                Err(_) => return,
            },
            recv(notes) -> note => match note {
                Ok(note) => news.push(note),
                Err(_) => return,
            },
            recv(answers) -> answer => match answer {
                Ok(answer) => answered.push(answer),
                Err(_) => return,
            },
        }
        // What else happens at the same moment goes along, but never waits long.
        let _ = pause.recv();
        let _ = changed.try_recv();
        news.extend(events.try_iter());
        news.extend(notes.try_iter());
        answered.extend(answers.try_iter());
        // Taken after the answers, so that it holds what they tell of, and sent before them.
        let now = handle.status();
        update = Update::between(&known, &now);
        known = now;
    }
}
