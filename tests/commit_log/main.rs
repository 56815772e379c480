//! The log: capture beside foreign programs, its files, its records.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, missing_docs)]

#[path = "../support/mod.rs"]
mod support;

mod activity;
mod clock;
mod foreign;
mod kept_out;
mod late;
mod locks;
mod log;
mod log_disk;
mod log_faults;
mod log_found;
mod log_index;
mod log_place;
mod log_records;
mod log_recovery;
mod log_size;
mod put_in_place;
mod records;
mod two_pasts;
