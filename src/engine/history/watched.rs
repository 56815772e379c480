//! Until when each data file was watched: so that the next start opens again what was watched, and can say for how long
//! nobody did.

use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::{History, is_alive, state::glance};
use crate::{engine::status::HostKind, error::Result};

pub(super) const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS watched(
    data_file TEXT PRIMARY KEY, host TEXT NOT NULL, protects INTEGER NOT NULL, until_ms INTEGER NOT NULL,
    process TEXT NOT NULL, in_order INTEGER NOT NULL);";

/// Until when a data file was watched by a process that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// In what that was.
    pub host: HostKind,
    /// Whether a log was kept or backups made by themselves.
    pub protects: bool,
    /// Until then, at least.
    pub until: DateTime<Utc>,
    /// Whether the process ended in order; then the moment is exact.
    pub in_order: bool,
    /// Whether that process goes on: the data file, its folder or its lock was taken away under it.
    #[serde(default)]
    pub goes_on: bool,
}

/// Two looks at the clock that are no more apart say nothing about it.
const CLOCKS_APART: TimeDelta = TimeDelta::minutes(2);

impl Watched {
    /// Whether it was noted by a clock that was ahead of the one that says `now`: then how long ago it was is not
    /// known.
    pub fn is_ahead(&self, now: DateTime<Utc>) -> bool {
        self.until > now + CLOCKS_APART
    }
}

fn word(host: HostKind) -> String {
    serde_json::to_string(&host).unwrap_or_default()
}

impl History {
    /// Notes that this process watches a data file from `now` on. Returns who did before, when that process has ended.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn watch(
        &self,
        data_file: &Path,
        host: HostKind,
        protects: bool,
        now: DateTime<Utc>,
    ) -> Result<Option<Watched>> {
        let before = read(&self.conn, data_file).map_err(|e| self.fail(e))?;
        let sql = "INSERT OR REPLACE INTO watched(data_file,host,protects,until_ms,process,in_order) \
                   VALUES(?1,?2,?3,?4,?5,0)";
        let args = params![data_file.to_string_lossy(), word(host), protects, now.timestamp_millis(), self.process];
        self.conn.execute(sql, args).map_err(|e| self.fail(e))?;
        let has_ended = |process: &String| *process != self.process && !is_alive(&self.path.with_file_name(process));
        Ok(before.filter(|(_, process)| has_ended(process)).map(|(watched, _)| watched))
    }

    /// Notes that this process still watches these data files, and which of them it protects; `at_end` says that it
    /// ends now.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn still_watch(&self, data_files: &[(PathBuf, bool)], now: DateTime<Utc>, at_end: bool) -> Result<()> {
        let sql = "UPDATE watched SET until_ms=?1, protects=?2, in_order=?3 WHERE data_file=?4 AND process=?5";
        let write = || -> rusqlite::Result<()> {
            let transaction = self.conn.unchecked_transaction()?;
            {
                let mut statement = transaction.prepare(sql)?;
                for (path, protects) in data_files {
                    let path = path.to_string_lossy();
                    statement.execute(params![now.timestamp_millis(), protects, at_end, path, self.process])?;
                }
            }
            transaction.commit()
        };
        write().map_err(|e| self.fail(e))
    }

    /// Until when a data file was watched, as far as that is noted here; only to be asked where nobody watches it now.
    pub fn watched(&self, data_file: &Path) -> Option<Watched> {
        let (watched, process) = read(&self.conn, data_file).ok().flatten()?;
        let goes_on = is_alive(&self.path.with_file_name(process));
        Some(Watched { goes_on, ..watched })
    }

    /// Forgets a data file: somebody wanted it so, or another process has it now.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn unwatch(&self, data_file: &Path) -> Result<()> {
        let sql = "DELETE FROM watched WHERE data_file=?1";
        self.conn.execute(sql, [data_file.to_string_lossy()]).map(|_| ()).map_err(|e| self.fail(e))
    }
}

/// The data files that a window, or what it left in the background, watched when it ended, as the Backup journal in
/// `folder` has it; without taking part in it. Those of a service are its own matter.
pub fn left_behind(folder: &Path) -> Vec<PathBuf> {
    let read = |conn: &Connection| {
        let mut statement =
            conn.prepare("SELECT data_file,process FROM watched WHERE host IN (?1,?2) ORDER BY rowid")?;
        let kinds = [word(HostKind::Window), word(HostKind::Background)];
        let rows = statement.query_map(kinds, |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
        rows.collect::<rusqlite::Result<Vec<_>>>()
    };
    let rows = glance(folder).and_then(|conn| read(&conn).ok()).unwrap_or_default();
    rows.into_iter().filter(|(_, process)| !is_alive(&folder.join(process))).map(|(path, _)| path.into()).collect()
}

/// What is noted of a data file, with the process that noted it.
fn read(conn: &Connection, data_file: &Path) -> rusqlite::Result<Option<(Watched, String)>> {
    let sql = "SELECT host,protects,until_ms,in_order,process FROM watched WHERE data_file=?1";
    let found = conn
        .query_row(sql, [data_file.to_string_lossy()], |row| {
            Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })
        .optional()?;
    // What a newer version noted in another form counts as nothing.
    Ok(found.and_then(|(host, protects, until, in_order, process)| {
        let host = serde_json::from_str(&host).ok()?;
        let until = DateTime::from_timestamp_millis(until)?;
        Some((Watched { host, protects, until, in_order, goes_on: false }, process))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_watched_is_known_when_it_has_ended_and_not_before()
    -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let (a, b, c) = (Path::new("/data/a.sqlite"), Path::new("/data/b.sqlite"), Path::new("/data/c.sqlite"));
        let at = |seconds: i64| DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap_or_default();
        {
            let (first, _) = History::open(folder.path())?;
            assert_eq!(first.watch(a, HostKind::Window, false, at(0))?, None);
            first.watch(b, HostKind::Window, true, at(0))?;
            first.watch(c, HostKind::Service, true, at(0))?;
            first.still_watch(&[(a.into(), true)], at(60), false)?;
            assert_eq!(left_behind(folder.path()), [] as [&Path; 0], "its process lives");
            assert!(first.watched(a).is_some_and(|watched| watched.goes_on));
            let (second, _) = History::open(folder.path())?;
            assert_eq!(second.watch(b, HostKind::Window, true, at(70))?, None, "taken over from one that lives");
            first.still_watch(&[(a.into(), true), (b.into(), true)], at(90), true)?;
        }
        assert_eq!(left_behind(folder.path()), [a, b], "those of a service are its own matter");
        let (third, _) = History::open(folder.path())?;
        assert!(third.watched(a).is_some_and(|watched| !watched.goes_on));
        let watched =
            |until, in_order| Some(Watched { host: HostKind::Window, protects: true, until, in_order, goes_on: false });
        assert_eq!(third.watch(a, HostKind::Window, true, at(100))?, watched(at(90), true));
        // Cut off: the last sign of life counts. What another process took over is its own to note.
        assert_eq!(third.watch(b, HostKind::Window, true, at(100))?, watched(at(70), false));
        third.unwatch(a)?;
        drop(third);
        assert_eq!(left_behind(folder.path()), [b]);
        Ok(())
    }
}
