//! The log: every commit that any program makes to a data file, in order, exactly once.
//!
//! ```text
//! capture      a data file being followed: start, status, flush, cut, stop
//! service      the thread behind it: when to look, to retry, to let go
//! open         the log that is there, or a new one; what was found instead of what was expected
//! place        what a log must not be: files that belong to somebody else
//! catch_up     going on after an interruption: resume, or compare
//! pin_machine  when which read transaction is taken and released, and when frames are copied: a pure value
//! follow       does what the machine says
//! absorb pages the road of a frame from the WAL to the log, and what is known of the pages
//! pins         the read transactions that keep frames there, and checkpoints
//! gate copier  keeping writers out for a moment, and copying beside the capture
//! unwritten    noticing who writes to the data file past SQLite
//! watch        being woken by commits
//! status       what a log is told, and what it tells
//! rotate       from one log to the next at a full backup, safe against a crash at any step
//! rest         how a data file was left that nobody had open any more
//! written_by   for which file a log was written last
//! lacking      whether the data file lacks commits that the log holds
//! inspect      what can be known of a log from outside
//! planning plan   which logs continue an archive, and how far
//! integrate    applying them to a restored file
//! fork target  logs that part after one commit; the file that becomes, and its proof
//! passes       whether a plan leads over a certain state
//! aside        the names of logs that were put aside
//! late         commits that were read long after they were made
//! jumps        where the times of commits are not when they were made
//! density      commits counted in columns of time
//! table        hashes of the pages at the base
//! kept         the checksum of the state, kept up while commits are recorded
//! versions     pages as they were after a commit, each read when it is asked for
//! index look   what an archived log lists of itself, and what a log holds, for people
//! keys         when a page is recorded whole again
//! writer reader format state page   the file, see docs/format-log.md
//! ```
//!
//! # A full backup
//! ```no_run
//! # use std::{path::Path, time::Duration};
//! # use strongroom::{control::Control, error::Result, journal::{Capture, CaptureConfig}, sqlite::snapshot::Snapshot};
//! # fn backup(config: CaptureConfig) -> Result<()> {
//! let data_file = config.data_file.clone();
//! let capture = Capture::start(config)?;
//! let mut cut = capture.cut(7, move || Snapshot::begin(&data_file, Duration::from_secs(5), &Control::default()))?;
//! let snapshot = cut.take_snapshot()?;
//! let mut table = cut.page_table(snapshot.page_size())?;
//! // Write the archive from `snapshot`, feed `table` with the same bytes, name `cut.position()` in the manifest.
//! table.finish()?;
//! cut.commit(Path::new("Name[0006].4BL"))?; // or cut.abandon()?
//! # Ok(())
//! # }
//! ```
//! Everything up to the snapshot is then in log 6, everything after it in the new `Name.journal`, on which archive 7
//! stands. The method, its reasons and limits are in `docs/capture.md`.

mod absorb;
pub mod aside;
pub mod capture;
mod catch_up;
mod copier;
pub mod density;
mod follow;
pub mod fork;
pub mod format;
mod gate;
pub mod index;
pub mod inspect;
pub mod integrate;
#[cfg(test)]
mod interleavings;
pub mod jumps;
mod kept;
mod keys;
mod lacking;
pub mod late;
pub mod look;
pub mod open;
pub mod page;
mod pages;
pub mod passes;
mod pin_machine;
mod pins;
pub mod place;
pub mod plan;
mod planning;
pub mod reader;
mod rest;
pub mod rotate;
mod service;
pub mod state;
mod status;
mod table;
mod target;
mod unwritten;
pub mod versions;
mod watch;
pub mod writer;
mod written_by;

use std::path::{Path, PathBuf};

pub use capture::{Capture, Cut};
pub use format::{Chain, Position, RecordKind};
pub use lacking::Lacking;
pub use rotate::LastArchive;
pub use state::StateSum;
pub use status::{CaptureConfig, CaptureState, CaptureStatus, ReadBase};
pub use table::PageTableWriter;
pub use written_by::written_by;

fn with_suffix(log: &Path, suffix: &str) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The end of the name of the log that goes on while a backup is made.
pub const NEXT: &str = ".next";

/// The log that goes on beside `log` while a backup is made.
pub fn next_path(log: &Path) -> PathBuf {
    with_suffix(log, NEXT)
}

/// The page table of `log`: hashes of the pages at its base.
pub fn table_path(log: &Path) -> PathBuf {
    with_suffix(log, ".pages")
}

/// A number of commits in words: `1 commit`, `12 commits`.
pub fn commits_in_words(commits: u64) -> String {
    if commits == 1 { "1 commit".to_owned() } else { format!("{commits} commits") }
}
