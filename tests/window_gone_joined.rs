//! The same with a service that looks after the data file, and lives.
#![cfg(all(feature = "gui", unix))]
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::duplicate_mod)]

#[path = "window_gone.rs"]
mod window_gone;
