//! Strongroom keeps SQLite data files safe: full backups into numbered archives while applications keep writing.
//!
//! # Map
//! Calls go downward only; a test reads the sources and fails on an upward `use`.
//! ```text
//! storage control             durable writes, disks · progress and stop of a job
//! journal                     the log: capture of commits, cut at a full backup, integration
//! sqlite                      data files: identify, hold a snapshot, read pages (the only unsafe code: sqlite/ffi.rs)
//! error                       the one error type
//! ```

pub mod control;
pub mod error;
pub mod journal;
pub mod sqlite;
pub mod storage;
