//! What the engine remembers of a data file between two runs of the program.
//!
//! Nothing of it matters so much that losing it does harm: the schedule counts from the next start then, and a report
//! is gone.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::{History, JobId};
use crate::{archive::ArchiveNumber, error::Result, schedule::automatic::Automatic};

impl History {
    /// What is known of the automatic backups of a data file; what cannot be understood counts as nothing.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn automatic(&self, data_file: &Path) -> Result<Option<Automatic>> {
        read_automatic(&self.conn, data_file).map_err(|e| self.fail(e))
    }

    /// Remembers what is known of the automatic backups of a data file.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn keep_automatic(&self, data_file: &Path, state: &Automatic) -> Result<()> {
        // Plain data always has a JSON form.
        let text = serde_json::to_string(state).unwrap_or_default();
        let sql = "INSERT OR REPLACE INTO automatic(data_file,state) VALUES(?1,?2)";
        self.conn.execute(sql, params![data_file.to_string_lossy(), text]).map(|_| ()).map_err(|e| self.fail(e))
    }

    /// Keeps the report of a job, as JSON; of each kind and data file the newest 20.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn keep_report(&self, job: JobId, report: &str) -> Result<()> {
        self.conn
            .execute("INSERT OR REPLACE INTO reports(job,report) VALUES(?1,?2)", params![job.0.to_string(), report])
            .and_then(|_| {
                self.conn.execute(
                    "DELETE FROM reports WHERE job NOT IN (SELECT id FROM (SELECT id, row_number() OVER
                       (PARTITION BY kind, data_file ORDER BY started_ms DESC) AS place FROM jobs
                        WHERE id IN (SELECT job FROM reports)) WHERE place<=20)",
                    [],
                )
            })
            .map(|_| ())
            .map_err(|e| self.fail(e))
    }

    /// The report of a job, if there is one.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn report(&self, job: JobId) -> Result<Option<String>> {
        self.conn
            .query_row("SELECT report FROM reports WHERE job=?1", [job.0.to_string()], |row| row.get(0))
            .optional()
            .map_err(|e| self.fail(e))
    }
}

/// What the engine whose Backup journal lies in `folder` remembers of a data file, without taking part in it; `None`
/// when there is nothing, or it cannot be read.
pub fn glance_automatic(folder: &Path, data_file: &Path) -> Option<Automatic> {
    read_automatic(&glance(folder)?, data_file).ok().flatten()
}

/// The Backup journal in `folder`, only to be read.
pub(super) fn glance(folder: &Path) -> Option<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(folder.join("history.sqlite"), flags).ok()?;
    conn.busy_timeout(std::time::Duration::from_secs(1)).ok()?;
    Some(conn)
}

/// The highest number that a full backup of a data file was made with, as the Backup journal in `folder` has it.
pub fn highest_number(folder: &Path, data_file: &Path) -> Option<ArchiveNumber> {
    let sql = "SELECT max(number) FROM jobs
               WHERE kind='backup' AND data_file=?1 AND outcome IN ('succeeded', 'partial')";
    let number: Option<u32> = glance(folder)?.query_row(sql, [data_file.to_string_lossy()], |row| row.get(0)).ok()?;
    number.map(ArchiveNumber)
}

fn read_automatic(conn: &Connection, data_file: &Path) -> rusqlite::Result<Option<Automatic>> {
    let sql = "SELECT state FROM automatic WHERE data_file=?1";
    let text: Option<String> = conn.query_row(sql, [data_file.to_string_lossy()], |row| row.get(0)).optional()?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;

    #[test]
    fn the_state_of_automatic_backups_outlives_the_program() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let (first, second) = (Path::new("/data/a.sqlite"), Path::new("/data/b.sqlite"));
        let state = Automatic { handled: Some(Utc::now()), attempts: 3, ..Automatic::default() };
        {
            let (history, _) = History::open(folder.path())?;
            assert_eq!(history.automatic(first)?, None);
            history.keep_automatic(first, &Automatic::default())?;
            history.keep_automatic(first, &state)?;
        }
        let (history, _) = History::open(folder.path())?;
        assert_eq!((history.automatic(first)?, history.automatic(second)?), (Some(state.clone()), None));
        assert_eq!(glance_automatic(folder.path(), first), Some(state));
        history.conn.execute("UPDATE automatic SET state='nonsense'", [])?;
        assert_eq!(history.automatic(first)?, None, "counted anew, and no harm done");
        assert_eq!(glance_automatic(&folder.path().join("nowhere"), first), None);
        Ok(())
    }
}
