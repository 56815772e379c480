//! The way to an engine, in this process or in another one: commands and questions in; the status, news and answers
//! out.

use std::{
    fmt,
    ops::Deref,
    sync::{
        Arc, Mutex, PoisonError, RwLock, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, unbounded};

use super::{
    command::Command,
    message::Message,
    query::{Asked, ENDED, Query, Reply},
    status::{Event, Status},
};
use crate::error::{Error, ErrorKind, Result};

/// What whoever has a [`Handle`] wants of the engine behind it.
#[derive(Debug)]
pub enum Request {
    /// Something is to be done.
    Command(Command),
    /// Something is to be answered.
    Query(Query, Reply),
}

/// The way to an engine, in this process or in another one; cheap to clone.
#[derive(Clone)]
pub struct Handle {
    transport: Transport,
    shared: Arc<Shared>,
}

#[derive(Clone)]
enum Transport {
    /// To an engine in this process.
    Local(Sender<Message>),
    /// To whoever passes requests on.
    Remote(Sender<Request>),
}

/// The other side of a handle from [`Handle::to_remote`]: takes its requests, and tells it the status and the news.
pub struct RemoteEngine {
    /// What is wanted.
    pub requests: Receiver<Request>,
    shared: Arc<Shared>,
}

impl fmt::Debug for RemoteEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteEngine").finish_non_exhaustive()
    }
}

impl RemoteEngine {
    /// The status is this from now on.
    pub fn publish(&self, status: Arc<Status>) {
        self.shared.publish(status);
    }

    /// Something happened.
    pub fn tell(&self, event: &Event) {
        self.shared.tell(event);
    }
}

impl Drop for RemoteEngine {
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
pub(super) struct Shared {
    status: RwLock<Arc<Status>>,
    listeners: Mutex<Vec<(Sender<Event>, u64)>>,
    /// The number of the next listener.
    next: AtomicU64,
    wakers: Mutex<Vec<Waker>>,
    /// Whether no engine is there any more.
    lost: AtomicBool,
}

impl Shared {
    pub(super) fn new(status: Arc<Status>) -> Arc<Self> {
        let status = RwLock::new(status);
        Arc::new(Self {
            status,
            listeners: Mutex::default(),
            next: AtomicU64::new(0),
            wakers: Mutex::default(),
            lost: AtomicBool::new(false),
        })
    }

    pub(super) fn publish(&self, status: Arc<Status>) {
        *self.status.write().unwrap_or_else(PoisonError::into_inner) = status;
        self.wake();
    }

    fn wake(&self) {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner).retain(|wake| wake());
    }

    /// A listener that does not keep up loses news, never the truth.
    pub(super) fn tell(&self, event: &Event) {
        for (listener, _) in self.listeners.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if listener.len() < EVENTS_MAX {
                let _ = listener.send(event.clone());
            }
        }
    }
}

/// Refuses what has no form as text: in the status, or in a message, it would cut off everybody who has joined the
/// engine.
fn require_text(request: &impl serde::Serialize) -> Result<()> {
    match serde_json::to_writer(std::io::sink(), request) {
        Ok(()) => Ok(()),
        Err(_) => Err(Error::new(ErrorKind::Refused, "a name in this command is not text in UTF-8")
            .hint("Rename the file or folder; names in the status, the Backup journal and archives are text.")),
    }
}

impl Handle {
    /// To an engine in this process.
    pub(super) fn local(messages: Sender<Message>, shared: Arc<Shared>) -> Self {
        Self { transport: Transport::Local(messages), shared }
    }

    /// A handle to whoever holds the other side, which begins with `status`.
    pub fn to_remote(status: Arc<Status>) -> (Self, RemoteEngine) {
        let (sender, requests) = bounded(256);
        let shared = Shared::new(status);
        let handle = Self { transport: Transport::Remote(sender), shared: Arc::clone(&shared) };
        (handle, RemoteEngine { requests, shared })
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
        require_text(&command)?;
        self.request(Request::Command(command)).map_err(|refused| refused.1)
    }

    /// Asks a question. It never waits; the answer, which goes to nobody else, is taken from what is returned. Whoever
    /// is woken by [`on_change`](Self::on_change) is woken by the answer too.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn ask(&self, query: Query) -> Result<Asked> {
        require_text(&query)?;
        let (answers, asked) = bounded(1);
        let shared = Arc::downgrade(&self.shared);
        let reply = Reply::new(move |answer| {
            // Without an answer the channel closes, which says as much. Whoever asked may have given up.
            answer.into_iter().for_each(|answer| _ = answers.send(answer));
            drop(answers);
            shared.upgrade().into_iter().for_each(|shared| shared.wake());
        });
        self.request(Request::Query(query, reply)).map_err(|refused| refused.1)?;
        Ok(Asked::new(asked))
    }

    /// Passes on a question that somebody else asked, who gets the answer; or why there is none.
    pub fn pass_on(&self, query: Query, reply: Reply) {
        if let Err(refused) = self.request(Request::Query(query, reply))
            && let (Request::Query(_, reply), error) = *refused
        {
            reply.tell(Err(error));
        }
    }

    fn request(&self, request: Request) -> std::result::Result<(), Box<(Request, Error)>> {
        let back = |message| match message {
            Message::Command(command) => Some(Request::Command(command)),
            Message::Query(query, reply) => Some(Request::Query(query, reply)),
            _ => None,
        };
        let refused = match &self.transport {
            Transport::Local(messages) => {
                let message = match request {
                    Request::Command(command) => Message::Command(command),
                    Request::Query(query, reply) => Message::Query(query, reply),
                };
                messages.try_send(message).err().and_then(|e| Some((e.is_full(), back(e.into_inner())?)))
            }
            Transport::Remote(_) if self.is_lost() => Some((false, request)),
            Transport::Remote(requests) => requests.try_send(request).err().map(|e| match e {
                TrySendError::Full(request) => (true, request),
                TrySendError::Disconnected(request) => (false, request),
            }),
        };
        let Some((is_full, request)) = refused else { return Ok(()) };
        let error = match is_full {
            true => Error::new(ErrorKind::Busy, "the engine is busy").hint("Try again in a moment."),
            false => Error::new(ErrorKind::Refused, "the engine has ended").hint(ENDED),
        };
        Err(Box::new((request, error)))
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
    use std::path::Path;

    use super::*;
    use crate::engine::{Config, Engine};

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
