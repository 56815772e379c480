//! Where the log of each data file ended when that was noted last: so that one which was cut, or replaced by an older
//! copy of itself, while nobody watched is told from one that is whole. Of itself it looks like a shorter log.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, params};

use super::History;
use crate::{
    error::Result,
    journal::{CaptureStatus, Position},
    restore::lost_past::LostPast,
};

pub(super) const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS log_ends(
    data_file TEXT PRIMARY KEY, log TEXT NOT NULL, position TEXT NOT NULL, at_ms INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS lost_pasts(data_file TEXT NOT NULL, found_ms INTEGER NOT NULL, past TEXT NOT NULL);";

/// Where a log ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEnd {
    /// The log.
    pub log: PathBuf,
    /// Its last commit.
    pub position: Position,
    /// When that was noted.
    pub at: DateTime<Utc>,
}

impl LogEnd {
    /// As the log of a data file stands.
    pub fn of(status: &CaptureStatus, at: DateTime<Utc>) -> Self {
        Self { log: status.log.clone(), position: status.position, at }
    }

    /// Whether the same log, which `now` ends at this place and has hardly been written since, ended further on before.
    pub fn is_beyond(&self, log: &Path, now: &Position) -> bool {
        let noted = &self.position;
        let is_same = self.log == log && noted.log.is_some() && (noted.log, noted.epoch) == (now.log, now.epoch);
        is_same && (noted.commit > now.commit || noted.commit == now.commit && noted.chain != now.chain)
    }
}

impl History {
    /// Notes where logs end now.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn keep_log_ends(&self, ends: &[(PathBuf, LogEnd)]) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO log_ends(data_file,log,position,at_ms) VALUES(?1,?2,?3,?4)";
        for (data_file, end) in ends {
            // Plain data always has a JSON form.
            let position = serde_json::to_string(&end.position).unwrap_or_default();
            let (data_file, log) = (data_file.to_string_lossy(), end.log.to_string_lossy());
            let args = params![data_file, log, position, end.at.timestamp_millis()];
            self.conn.execute(sql, args).map_err(|e| self.fail(e))?;
        }
        Ok(())
    }

    /// Notes what the log of a data file held and lost.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn keep_lost_past(&self, data_file: &Path, past: &LostPast) -> Result<()> {
        // Plain data always has a JSON form.
        let text = serde_json::to_string(past).unwrap_or_default();
        let sql = "INSERT INTO lost_pasts(data_file,found_ms,past) VALUES(?1,?2,?3)";
        let args = params![data_file.to_string_lossy(), past.found.timestamp_millis(), text];
        self.conn.execute(sql, args).map(drop).map_err(|e| self.fail(e))
    }

    /// What the log of a data file held and lost, the last first.
    pub fn lost_pasts(&self, data_file: &Path) -> Vec<LostPast> {
        let read = || -> rusqlite::Result<Vec<String>> {
            let sql = "SELECT past FROM lost_pasts WHERE data_file=?1 ORDER BY found_ms DESC LIMIT 100";
            self.conn.prepare(sql)?.query_map([data_file.to_string_lossy()], |row| row.get(0))?.collect()
        };
        // An earlier version noted none.
        let found = read().unwrap_or_default();
        found.iter().filter_map(|past| serde_json::from_str(past).ok()).collect()
    }

    /// Where the log of a data file ended when that was noted last.
    pub fn log_end(&self, data_file: &Path) -> Option<LogEnd> {
        let sql = "SELECT log,position,at_ms FROM log_ends WHERE data_file=?1";
        let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get(2)?));
        let (log, position, at) = self.conn.query_row(sql, [data_file.to_string_lossy()], row).optional().ok()??;
        let (position, at) = (serde_json::from_str(&position).ok()?, DateTime::from_timestamp_millis(at)?);
        Some(LogEnd { log: log.into(), position, at })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::journal::Chain;

    #[test]
    fn a_log_that_ends_earlier_than_it_did_is_told_from_one_that_went_on()
    -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let (history, _) = History::open(folder.path())?;
        let (data_file, log, at) = (Path::new("/d/a.sqlite"), PathBuf::from("/l/a.journal"), DateTime::UNIX_EPOCH);
        let at_commit =
            |commit, chain| Position { log: Some(Uuid::from_u128(7)), ..Position::at(1, commit, Chain([chain; 32])) };
        let end = LogEnd { log: log.clone(), position: at_commit(5, 5), at };
        assert_eq!(history.log_end(data_file), None);
        history.keep_log_ends(&[(data_file.to_path_buf(), end.clone())])?;
        assert_eq!(history.log_end(data_file), Some(end.clone()));
        for (now, expected) in [
            (at_commit(5, 5), false),
            (at_commit(6, 6), false),
            (at_commit(4, 4), true),
            // What nobody watched came in as one step, and has the number of another commit.
            (at_commit(5, 9), true),
            (Position { log: Some(Uuid::from_u128(8)), ..at_commit(1, 1) }, false),
            (Position { epoch: 1, ..at_commit(1, 1) }, false),
            (Position { log: None, ..at_commit(1, 1) }, false),
        ] {
            assert_eq!(end.is_beyond(&log, &now), expected, "{now:?}");
        }
        assert!(!end.is_beyond(Path::new("/l/b.journal"), &at_commit(1, 1)), "another log");
        Ok(())
    }
}
