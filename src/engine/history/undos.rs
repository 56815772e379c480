//! Restores in place that can be undone: kept until they cannot, whatever was put away.

use std::path::Path;

use rusqlite::params;

use super::History;
use crate::{engine::status::DoneInPlace, error::Result};

pub(super) const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS undos(
    job TEXT PRIMARY KEY, data_file TEXT NOT NULL, moment_ms INTEGER NOT NULL, done TEXT NOT NULL);
    CREATE INDEX IF NOT EXISTS undos_by_file ON undos(data_file, moment_ms);";

/// More are not offered: each undo is itself one that can be undone.
const OFFERED_MAX: u32 = 10;

impl History {
    /// Keeps a restore in place that can be undone.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn keep_undo(&self, data_file: &Path, done: &DoneInPlace) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO undos(job,data_file,moment_ms,done) VALUES(?1,?2,?3,?4)";
        // Plain data always has a JSON form.
        let text = serde_json::to_string(done).unwrap_or_default();
        let args = params![done.job.0.to_string(), data_file.to_string_lossy(), done.moment.timestamp_millis(), text];
        self.conn.execute(sql, args).map(|_| ()).map_err(|e| self.fail(e))
    }

    /// The last restores in place of a data file that can be undone, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn undos(&self, data_file: &Path) -> Result<Vec<DoneInPlace>> {
        let read = || {
            let sql = "SELECT done FROM undos WHERE data_file=?1 ORDER BY rowid DESC LIMIT ?2";
            let mut statement = self.conn.prepare(sql)?;
            let rows = statement.query_map(params![data_file.to_string_lossy(), OFFERED_MAX], |row| row.get(0))?;
            rows.collect::<rusqlite::Result<Vec<String>>>()
        };
        // What a newer version keeps in another form is passed over.
        let texts = read().map_err(|e| self.fail(e))?;
        Ok(texts.iter().filter_map(|text| serde_json::from_str(text).ok()).collect())
    }
}
