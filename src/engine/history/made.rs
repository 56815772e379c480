//! Which archives full backups have made, as the Backup journal knows it.

use std::path::Path;

use super::{History, JobKind, Outcome};
use crate::restore::Made;

/// As many entries of the Backup journal are searched.
const HISTORY_MAX: u32 = 10_000;

/// The archives of the data file that full backups made, newest first, as the Backup journal has them.
pub(in crate::engine) fn made(journal: &History, data_file: &Path) -> Vec<Made> {
    let all = journal.list(HISTORY_MAX).unwrap_or_default();
    let of_it = all.into_iter().filter(|entry| {
        entry.kind == JobKind::Backup
            && entry.data_file.as_deref() == Some(data_file)
            && matches!(entry.outcome, Outcome::Succeeded | Outcome::Partial)
    });
    let made = of_it.filter_map(|entry| {
        Some(Made { number: entry.number.unwrap_or_default(), at: entry.started.fixed_offset(), archive: entry.path? })
    });
    made.collect()
}
