//! The tests of the window once more, with windows that have joined a service in a process of its own.
#![cfg(all(feature = "gui", unix))]
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::duplicate_mod)]

#[path = "window.rs"]
mod window;
#[path = "window_archives.rs"]
mod window_archives;
#[path = "window_care.rs"]
mod window_care;
#[path = "window_end.rs"]
mod window_end;
#[path = "window_log.rs"]
mod window_log;
#[path = "window_settings.rs"]
mod window_settings;
