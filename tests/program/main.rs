//! The program as a whole: service, commands, settings, accidents, other users, its sources.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, missing_docs)]

#[path = "../support/mod.rs"]
mod support;

mod accidents;
mod architecture;
mod background;
mod claims;
mod cli;
mod disks;
mod engine;
mod hostile_content;
mod hostile_files;
mod hostile_lists;
mod hostile_restore;
mod maintenance;
mod on_finish;
mod rights;
mod sample;
mod scene;
mod schedule;
mod service;
mod settings;
mod settings_doubt;
mod settings_gone;
mod socket;
mod status;
mod tables;
mod waiting;
mod words;
