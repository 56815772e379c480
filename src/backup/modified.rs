//! Whether a data file was modified since its last backup: known from the log, or found by comparing content.
//!
//! A wrong yes costs a backup, a wrong no costs data. So the answer is no only when it is proven: the log stands
//! exactly where the archive was cut, or the data file has the length and the checksum of the one in the archive,
//! whatever times and counters say.

use std::path::Path;

use super::archives;
use crate::{
    archive::{Archive, ArchiveNumber, Item, ItemKind, catalog::ArchiveEntry, not_whole::NotWhole},
    control::{Control, Phase},
    error::Result,
    journal::{Capture, CaptureState, Position},
    settings::SettingsFile,
    sqlite::snapshot::{LOCK_WAIT_MAX, Snapshot},
};

/// Bytes compared at once.
const PIECE: usize = 1 << 20;
/// The header of a data file holds its size and, save in WAL mode, a counter of changes.
const HEADER: u64 = 100;

/// The newest backup, if the data file was not modified since: neither it nor the settings that go into the archive
/// with it.
///
/// `None` also where the newest archive cannot be read, is not in the folder in force, or lacks attachments.
///
/// # Errors
/// When the data file cannot be read; `Stopped`.
pub fn unmodified_since(
    data_file: &Path,
    settings: &SettingsFile,
    log: Option<&Capture>,
    control: &Control,
) -> Result<Option<ArchiveNumber>> {
    control.phase(Phase::Comparing, 0);
    let folder = super::destination(data_file, settings);
    let Ok(known) = archives(data_file, settings.settings()) else { return Ok(None) };
    let own = settings.settings().data_file_id;
    // The newest by number counts, and only that one.
    let Some(newest) = known.first().filter(|a| a.is_of(own)) else { return Ok(None) };
    let is_usable = newest.problem.is_none() && crate::storage::folder_of(&newest.path) == folder;
    let Some(archive) = is_usable.then(|| Archive::open(&newest.path).ok()).flatten() else { return Ok(None) };
    let item = |kind| archive.items().iter().find(|item| item.kind == kind);
    let (Some(data), Some(kept)) = (item(ItemKind::DataFile), item(ItemKind::Settings)) else { return Ok(None) };
    let is_whole = NotWhole::of(&archive, control).is_ok_and(|lacking| lacking.is_none());
    if kept.blake3 != blake3::hash(settings.text().as_bytes()).to_hex().as_str() || !is_whole {
        return Ok(None);
    }
    let same = match log.and_then(|log| by_log(log, newest)) {
        Some(same) => same,
        None => by_content(data_file, &archive, data, control)?,
    };
    Ok(same.then_some(newest.number))
}

/// What the log knows; `None` when it is not in order, or the archive was made without it.
fn by_log(log: &Capture, newest: &ArchiveEntry) -> Option<bool> {
    let now = log.flush().ok()?;
    let in_order = log.status().state == CaptureState::On;
    let cut = newest.log_position.filter(|_| in_order)?;
    let place = |at: Position| (at.commit, at.chain);
    Some(place(now) == place(cut))
}

fn by_content(data_file: &Path, archive: &Archive, item: &Item, control: &Control) -> Result<bool> {
    let snapshot = Snapshot::begin(data_file, LOCK_WAIT_MAX, control)?;
    if snapshot.len() != item.length {
        return Ok(false);
    }
    // Most modifications show in the header already.
    let mut header = vec![0; HEADER.min(item.length) as usize];
    snapshot.read(0, &mut header)?;
    let mut kept = Vec::new();
    let read = archive.stream(item.offset, item.offset + header.len() as u64, control, &mut |_, bytes| {
        kept.extend_from_slice(bytes);
        Ok(())
    });
    if read.is_err() || kept != header {
        return Ok(false);
    }
    control.phase(Phase::Comparing, item.length);
    let (mut hasher, mut at, mut piece) = (blake3::Hasher::new(), 0u64, vec![0; PIECE]);
    while at < item.length {
        control.check()?;
        let count = (item.length - at).min(PIECE as u64) as usize;
        snapshot.read(at, &mut piece[..count])?;
        hasher.update(&piece[..count]);
        at += count as u64;
        control.add(count as u64);
    }
    Ok(hasher.finalize().to_hex().as_str() == item.blake3)
}
