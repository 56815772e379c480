//! An engine of this process that others can join.

use std::time::Duration;

use super::{connection::Sockets, server::Server};
use crate::{
    engine::{Config, Engine, Handle},
    error::Result,
};

/// An engine, and the door for others to it. Dropping it ends both.
#[derive(Debug)]
pub struct Reachable {
    // In this order: the data files are let go before others are told that the engine has ended, and may take them
    // over.
    engine: Engine,
    _server: Option<Server>,
}

impl Reachable {
    /// Starts an engine, and listens for others at one of `sockets`. Where that is not possible, it works for this
    /// process alone.
    ///
    /// # Errors
    /// As [`Engine::start`].
    pub fn start(config: Config, sockets: &Sockets) -> Result<Self> {
        let listening = match sockets.listen(config.host) {
            Ok(listening) => Some(listening),
            Err(error) => {
                tracing::warn!(%error, "other windows and commands cannot join this engine");
                None
            }
        };
        let address = listening.as_ref().map(|listening| listening.address.clone());
        let engine = Engine::start(Config { address, ..config })?;
        let (sockets, kind) = (sockets.clone(), engine.handle().status().host.kind);
        let again = move || sockets.listen(kind);
        let server = listening.map(|listening| Server::start(listening, engine.handle(), again)).transpose()?;
        Ok(Self { engine, _server: server })
    }

    /// A door to the engine.
    pub fn handle(&self) -> Handle {
        self.engine.handle()
    }

    /// Whether the engine answers within `limit`.
    pub fn is_alive(&self, limit: Duration) -> bool {
        self.engine.is_alive(limit)
    }
}
