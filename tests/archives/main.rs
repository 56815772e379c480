//! What is written into archives, what is read out of them, and which of them stay.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, missing_docs)]

#[path = "../support/mod.rs"]
mod support;

mod attached_databases;
mod backup;
mod content;
mod damage;
mod destination;
mod elsewhere;
mod full_disk;
mod golden;
mod guarantees;
mod modified;
mod names;
mod partial;
mod places;
mod power_loss;
mod private;
mod proof;
mod read_back;
mod reader;
mod retention;
mod segments;
mod signature;
mod signature_log;
mod soundness;
