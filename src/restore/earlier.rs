//! What was there before an archive was made, and bears a later time than it: the clock was behind when it was made, as
//! on a machine without a battery before the network tells the time, or ahead before. Then its moment does not tell
//! which moments it is older than.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::choose::Sibling;
use crate::{
    archive::Identity,
    control::Control,
    error::{ErrorKind, Result},
    journal::{format::LogHeader, index, integrate::Look, jumps::NOTICED, reader::LogReader},
};

/// Times of what was there before an archive that are later than its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earlier {
    /// That of the last commit before it: the clock ran back in between, and the archive holds what was committed up to
    /// that time.
    pub last: Option<DateTime<Utc>>,
    /// The latest of all: the clock ran back at some time. Perhaps it was ahead before and right when the archive was
    /// made; perhaps it was behind then.
    pub latest: Option<DateTime<Utc>>,
}

impl Earlier {
    /// What is known of the time before the archive with this identity; `logs` and `siblings` are those at hand. Times
    /// to come tell of a clock that was ahead, and nothing of the archive.
    ///
    /// # Errors
    /// `Stopped` only.
    pub(super) fn look(
        identity: &Identity,
        (logs, siblings): (&[PathBuf], &[Sibling]),
        control: &Control,
    ) -> Result<Self> {
        let (moment, now) = (identity.moment.to_utc(), control.clock().now());
        let archives = siblings.iter().filter(|sibling| sibling.number < identity.number);
        let mut latest = archives.map(|sibling| sibling.moment.to_utc()).filter(|time| *time <= now).max();
        let (mut last, mut peak, mut runs_back) = (None, None::<DateTime<Utc>>, false);
        if let Some(commit) = identity.log_position.map(|position| position.commit) {
            let of_same = |header: &LogHeader| header.identity == identity.data_file_id && header.base.commit < commit;
            let opened = logs.iter().filter_map(|path| LogReader::open(path).ok());
            let mut before: Vec<LogReader> = opened.filter(|reader| of_same(reader.header())).collect();
            // The log that leads to it; those before were archived with the archives before.
            before.sort_by_key(|reader| reader.header().base.commit);
            if let Some(mut reader) = before.pop() {
                let read = index::each(&mut reader, Look::Indexes, control, &mut |record| {
                    let wall = Some(record.wall).filter(|wall| record.commit <= commit && *wall <= now);
                    latest = latest.max(wall);
                    runs_back |= wall.zip(peak).is_some_and(|(wall, peak)| peak - wall > NOTICED);
                    peak = peak.max(wall);
                    last = if record.commit == commit { wall } else { last };
                    Ok(())
                });
                // What a damaged one does not tell is no reason not to restore.
                read.map(drop).or_else(|error| if error.kind() == ErrorKind::Stopped { Err(error) } else { Ok(()) })?;
            }
        }
        let is_later = |time: &DateTime<Utc>| *time - moment > NOTICED;
        // Where the log itself shows that the clock ran back, what was shown before that and after it is twice.
        let is_twice = |time: &DateTime<Utc>| is_later(time) || runs_back && *time > moment;
        Ok(Self { last: last.filter(is_later), latest: latest.filter(is_twice) })
    }
}
