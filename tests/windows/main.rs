//! The window over an engine of its own, driven by role and name.
#![cfg(feature = "gui")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, missing_docs)]

#[path = "../support/desk.rs"]
mod desk;
#[cfg(target_os = "linux")]
#[path = "../support/disk.rs"]
mod disk;
#[path = "../support/xlsx.rs"]
mod xlsx;

mod access;
mod activity;
mod archives;
mod care;
mod destination;
mod end;
mod gone;
mod journey;
mod log;
mod look;
mod overview;
mod recover;
mod settings;
mod sizes;
mod small;
mod take_back;
mod timeline;
