//! Engines in other processes: a service that stays, windows and commands that join it.
//!
//! ```text
//! reachable    an engine of this process that others can join
//! switchboard  the engines that a window works with, as if they were one
//! merge        one status of several engines
//! join         finding the engine that looks after a data file, or the services of this user
//! server client  the two sides of the socket
//! protocol update  what passes through it, see docs/protocol.md
//! background   what a window leaves behind when it closes
//! install      the service of the system: units of systemd, jobs of launchd
//! connection   sockets: where they lie, and whom they let in
//! ```

pub mod background;
mod client;
mod connection;
pub mod install;
pub mod join;
mod merge;
pub mod protocol;
pub mod reachable;
mod server;
pub mod switchboard;
pub mod update;

pub use client::{Connected, connect};
pub use connection::{Listening, Sockets};
pub use reachable::Reachable;
pub use server::Server;
