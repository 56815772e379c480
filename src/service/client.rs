//! A client's side of the socket: a [`Handle`] like that of an engine in the same process.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use super::{
    connection::Connection,
    protocol::{Broken, FROM_ENGINE_MAX, FromClient, FromEngine, Hello, PROTOCOL, is_known},
};
use crate::{
    backup::PROGRAM,
    engine::{Handle, Host, QueryId, RemoteEngine, Reply, Request, Status},
    error::{Error, ErrorKind, Result},
};

/// How long an engine may take to answer at the beginning.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// How long it may take to read a command.
const WRITE_MAX: Duration = Duration::from_secs(10);

/// An engine in another process.
#[derive(Debug, Clone)]
pub struct Connected {
    /// The door to it. When it has gone, [`Handle::is_lost`] tells so.
    pub handle: Handle,
    /// The process that it runs in.
    pub host: Host,
}

/// The questions that are not answered yet; `None` when no answer comes any more.
#[derive(Clone)]
struct Pending(Arc<Mutex<Option<HashMap<QueryId, Reply>>>>);

impl Pending {
    fn lock(&self) -> MutexGuard<'_, Option<HashMap<QueryId, Reply>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, id: QueryId, reply: Reply) {
        if let Some(pending) = self.lock().as_mut() {
            pending.insert(id, reply);
        }
    }

    fn take(&self, id: QueryId) -> Option<Reply> {
        self.lock().as_mut()?.remove(&id)
    }

    /// Tells all who wait that nothing comes any more.
    fn end(&self) {
        // Whoever is told may ask something else at once.
        let all = self.lock().take();
        drop(all);
    }
}

/// Connects to the engine that listens at `address`; `owner` is the user whose engine it may be besides this one.
///
/// # Errors
/// When nobody listens there, or the engine sends us away: another version, another user, too many clients.
pub fn connect(address: &str, owner: Option<u32>) -> Result<Connected> {
    let gone = |why: String| {
        Error::new(ErrorKind::Refused, format!("the engine at {address} cannot be reached: {why}")).hint(
            "The window or service that looks after the data file may be starting or ending. Try again in a moment.",
        )
    };
    let connection = Connection::connect(address, ANSWER_MAX).map_err(|e| gone(e.to_string()))?;
    if !connection.is_trusted(owner) {
        return Err(Error::new(ErrorKind::Permission, format!("the engine at {address} belongs to another user"))
            .hint("Run the command as the owner of the data file."));
    }
    connection.limit(Some(WRITE_MAX));
    let hello = Hello { protocol: PROTOCOL, program: PROGRAM.to_owned(), knows: Vec::new() };
    // Whoever is not let in may find the door closed already, with the reason lying before it.
    let _ = connection.send(&FromClient::Hello(hello));
    let next = || connection.receive::<FromEngine>(FROM_ENGINE_MAX, Some(ANSWER_MAX)).map_err(|e| gone(e.to_string()));
    let (host, hello) = match next()? {
        FromEngine::Hello { hello, host } if hello.protocol == PROTOCOL => (host, hello),
        FromEngine::Hello { hello, .. } => return Err(gone(format!("{} speaks another protocol", hello.program))),
        FromEngine::Refused(error) => return Err(error.into()),
        _ => return Err(gone("it answers otherwise than expected".to_owned())),
    };
    let status = match next()? {
        FromEngine::News { update, .. } => update.apply(None),
        FromEngine::Refused(error) => return Err(error.into()),
        _ => None,
    };
    let status = status.ok_or_else(|| gone("it answers otherwise than expected".to_owned()))?;
    let (handle, remote) = Handle::to_remote(Arc::new(status.clone()));
    let requests = remote.requests.clone();
    let pending = Pending(Arc::new(Mutex::new(Some(HashMap::new()))));
    let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
        thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|e| gone(e.to_string()))
    };
    let (reader, writer, awaited) = (connection.clone(), connection, pending.clone());
    spawn(
        "engine news",
        Box::new(move || {
            read_news(&reader, &remote, &awaited, status);
            reader.close();
            awaited.end();
        }),
    )?;
    spawn(
        "engine requests",
        Box::new(move || {
            // Ends when the last handle has gone.
            for request in requests {
                let message = match request {
                    Request::Command(command) => FromClient::Command(command),
                    Request::Query(query, reply) if !is_known(&query, &hello.knows) => {
                        let message =
                            format!("{} in process {} is too old to answer this", hello.program, host.process);
                        let hint = "Restart it, so that it is the same program as this one, then ask again.";
                        reply.tell(Err(Error::new(ErrorKind::NewerVersion, message).hint(hint)));
                        continue;
                    }
                    Request::Query(query, reply) => {
                        let id = QueryId::new();
                        pending.add(id, reply);
                        FromClient::Query { id, query }
                    }
                };
                if writer.send(&message).is_err() {
                    writer.close();
                    return;
                }
            }
            let _ = writer.send(&FromClient::Bye);
            writer.close();
        }),
    )?;
    Ok(Connected { handle, host })
}

/// Keeps the status up to date, and hands on answers, until the engine is gone; then `remote` is dropped, which tells
/// so.
fn read_news(connection: &Connection, remote: &RemoteEngine, pending: &Pending, mut status: Status) {
    loop {
        let (update, events) = match connection.receive(FROM_ENGINE_MAX, None) {
            Ok(FromEngine::News { update, events }) => (update, events),
            Ok(FromEngine::Answer { id, answer }) => {
                if let Some(reply) = pending.take(id) {
                    reply.give(answer);
                }
                continue;
            }
            Ok(FromEngine::Bye | FromEngine::Refused(_) | FromEngine::Hello { .. }) | Err(Broken::Closed) => return,
            Err(broken) => {
                tracing::warn!(%broken, "an engine cannot be understood");
                return;
            }
        };
        if !update.is_empty() {
            let Some(next) = update.apply(Some(status)) else {
                tracing::warn!("an engine sent an update of another status");
                return;
            };
            status = next;
            remote.publish(Arc::new(status.clone()));
        }
        events.iter().for_each(|event| remote.tell(event));
    }
}
