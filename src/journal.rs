//! The log: every commit that any program makes to a data file, in order, exactly once.

pub mod capture;
mod catch_up;
mod follow;
pub mod format;
pub mod integrate;
pub mod page;
mod pins;
pub mod reader;
pub mod rotate;
mod table;
mod watch;
pub mod writer;

use std::path::{Path, PathBuf};

pub use capture::{Capture, CaptureConfig, CaptureState, CaptureStatus, Cut, ReadBase};
pub use format::{Chain, Position, RecordKind};
pub use rotate::LastArchive;
pub use table::PageTableWriter;

fn with_suffix(log: &Path, suffix: &str) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The log that goes on beside `log` while a backup is made.
pub fn next_path(log: &Path) -> PathBuf {
    with_suffix(log, ".next")
}

/// The page table of `log`: hashes of the pages at its base.
pub fn table_path(log: &Path) -> PathBuf {
    with_suffix(log, ".pages")
}
