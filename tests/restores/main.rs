//! What comes back, from where, and what is said of what does not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, missing_docs)]

#[path = "../support/mod.rs"]
mod support;

mod archive_pages;
mod as_of;
mod automatic_restore;
mod broken_logs;
mod elsewhere;
mod in_place;
mod known;
mod recover;
mod recover_doubts;
mod restore;
mod restore_known;
mod scene;
mod settings_back;
mod stand_ins;
mod strays;
mod take_back;
mod take_back_conflicts;
mod whose;
mod workbook;
