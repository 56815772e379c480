//! The tests of the window once more, with windows that have joined a service in a process of its own.
#![cfg(all(feature = "gui", unix))]
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, missing_docs)]

#[path = "../support/desk.rs"]
mod desk;
#[cfg(target_os = "linux")]
#[path = "../support/disk.rs"]
mod disk;
#[path = "../support/xlsx.rs"]
mod xlsx;

mod lost;

#[path = "../windows/activity.rs"]
mod activity;
#[path = "../windows/archives.rs"]
mod archives;
#[path = "../windows/care.rs"]
mod care;
#[path = "../windows/end.rs"]
mod end;
#[path = "../windows/gone.rs"]
mod gone;
#[path = "../windows/journey.rs"]
mod journey;
#[path = "../windows/log.rs"]
mod log;
#[path = "../windows/look.rs"]
mod look;
#[path = "../windows/recover.rs"]
mod recover;
#[path = "../windows/settings.rs"]
mod settings;
#[path = "../windows/timeline.rs"]
mod timeline;
