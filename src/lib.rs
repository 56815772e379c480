//! Strongroom keeps SQLite data files safe: full backups into numbered archives while applications keep writing.
//!
//! # Map
//! Calls go downward only; a test reads the sources and fails on an upward `use`.
//! ```text
//! cli                         the command line
//! ui                          the administration window (feature gui)
//! service                     engines in other processes: the socket, joining them
//! engine                      looks after data files: commands, questions, status, jobs, the Backup journal
//! sample                      the sample data file and the client that edits it
//! take_back                   single changes taken back in the live data file: plan, conflicts, run
//! activity                    an index over what every commit changed, for whoever looks at it
//! repair drill                a sound copy of a damaged archive, test restores
//! recover                     what a damaged data file still holds, into a new one
//! as_of                       a data file as of a moment, read only, without restoring it
//! backup restore verify       the jobs: plan, run, report
//! maintenance                 verification of records and indexes, compacting
//! records                     what every commit changed, as records: the SQLite file format, operations
//! schedule                    when backups are due, and what becomes of those missed or failed
//! settings                    the settings file of a data file
//! archive                     the .4BK format: catalog, segments, writer, reader, recovery data, keys and signatures
//! journal                     the log: capture of every commit, cut at a full backup, integration
//! sqlite                      data files: identify, hold a snapshot, integrity (unsafe code in ffi.rs and vfs.rs only)
//! storage control             durable writes, disks · progress and stop of a job, sessions of whoever asks
//! error warning               the one error type · what needs attention before something goes wrong
//! testing                     what the tests inside the modules share; not in the program
//! ```

pub mod activity;
pub mod archive;
pub mod as_of;
pub mod backup;
pub mod cli;
pub mod control;
pub mod drill;
pub mod engine;
pub mod error;
pub mod journal;
pub mod maintenance;
pub mod records;
pub mod recover;
pub mod repair;
pub mod restore;
pub mod sample;
pub mod schedule;
pub mod service;
pub mod settings;
pub mod sqlite;
pub mod storage;
pub mod take_back;
#[cfg(test)]
mod testing;
#[cfg(feature = "gui")]
pub mod ui;
pub mod verify;
pub mod warning;
