//! The data file as it goes into an archive: read from a snapshot, which is compared with what the name means.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    archive::{Entry, Item, Source},
    error::{Error, Result},
    journal::PageTableWriter,
    sqlite::snapshot::Snapshot,
};

/// How often a backup looks whether the file that it reads is still the data file.
const COMPARE: Duration = Duration::from_secs(1);

/// The data file, read through its snapshot, which is let go as soon as the last byte was read.
pub(super) struct SnapshotSource {
    pub(super) snapshot: Option<Snapshot>,
    pub(super) entry: Entry,
    pub(super) at: u64,
    pub(super) held: Arc<AtomicU64>,
    pub(super) table: Option<PageTableWriter>,
    /// When the file was last seen to be the one that its path names.
    pub(super) compared: Instant,
}

impl Source for SnapshotSource {
    fn entry(&mut self, _: &[Item]) -> Result<Entry> {
        Ok(self.entry.clone())
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<()> {
        let Some(snapshot) = &self.snapshot else { return Err(Error::stopped()) };
        snapshot.read(self.at, buffer)?;
        let is_last = self.at + buffer.len() as u64 == self.entry.length;
        // A file that was replaced meanwhile is not the data file any more: its archive would pass for one of what is
        // there now.
        if is_last || self.compared.elapsed() >= COMPARE {
            snapshot.require_named()?;
            self.compared = Instant::now();
        }
        if self.table.as_mut().is_some_and(|table| table.push(buffer).is_err())
            && let Some(table) = self.table.take()
        {
            table.discard();
        }
        self.at += buffer.len() as u64;
        self.held.store(snapshot.held().as_millis() as u64, Ordering::Relaxed);
        if self.at == self.entry.length {
            self.snapshot = None;
            // A table that cannot be finished is no table; the archive would be read again instead.
            let _ = self.table.take().map(PageTableWriter::finish);
        }
        Ok(())
    }
}
