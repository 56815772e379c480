//! What was there before an archive was made, and bears a later time than it: the clock was behind when it was made, as on
//! a machine without a battery before the network tells the time, or ahead before. Then its moment does not tell which
//! moments it is older than.

use std::path::PathBuf;

use chrono::{DateTime, Utc};

use super::choose::Sibling;
use crate::{
    archive::Identity,
    control::Control,
    error::{ErrorKind, Result},
    journal::{format::LogHeader, index, integrate::Look, jumps::NOTICED, reader::LogReader},
};

/// The latest time that an archive or a commit before the archive with this identity bears, where that is later than
/// the archive's own and no time to come; `logs` and `siblings` are those at hand.
///
/// # Errors
/// `Stopped` only.
pub(super) fn later_before(
    identity: &Identity,
    (logs, siblings): (&[PathBuf], &[Sibling]),
    control: &Control,
) -> Result<Option<DateTime<Utc>>> {
    let (moment, now) = (identity.moment.to_utc(), control.clock().now());
    let archives = siblings.iter().filter(|sibling| sibling.number < identity.number);
    let mut latest = archives.map(|sibling| sibling.moment.to_utc()).filter(|time| *time <= now).max();
    if let Some(commit) = identity.log_position.map(|position| position.commit) {
        let of_same = |header: &LogHeader| header.identity == identity.data_file_id && header.base.commit < commit;
        let opened = logs.iter().filter_map(|path| LogReader::open(path).ok());
        let mut before: Vec<LogReader> = opened.filter(|reader| of_same(reader.header())).collect();
        // The log that leads to it; those before were archived with the archives before.
        before.sort_by_key(|reader| reader.header().base.commit);
        if let Some(mut reader) = before.pop() {
            let read = index::each(&mut reader, Look::Indexes, control, &mut |record| {
                let is_before = record.commit <= commit && record.wall <= now;
                latest = latest.max(Some(record.wall).filter(|_| is_before));
                Ok(())
            });
            // What a damaged one does not tell is no reason not to restore.
            read.map(drop).or_else(|error| if error.kind() == ErrorKind::Stopped { Err(error) } else { Ok(()) })?;
        }
    }
    Ok(latest.filter(|latest| *latest > moment + NOTICED))
}
