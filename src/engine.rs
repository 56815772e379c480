//! The engine.
pub mod command;
pub mod history;
pub mod status;
pub use command::{Command, JobId};
pub use status::{Event, Status};
