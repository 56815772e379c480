//! What an administrator must have seen: warnings that stay, also over restarts, until somebody puts them away.

use std::path::Path;

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, params};

use super::History;
use crate::{
    error::Result,
    warning::{Warning, WarningKind},
};

pub(super) const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS notices(
    data_file TEXT NOT NULL, kind TEXT NOT NULL, warning TEXT NOT NULL, PRIMARY KEY(data_file, kind));
    CREATE TABLE IF NOT EXISTS drills(data_file TEXT PRIMARY KEY, moment_ms INTEGER NOT NULL);";

fn word(kind: WarningKind) -> String {
    serde_json::to_string(&kind).unwrap_or_default()
}

impl History {
    /// Keeps a warning about a data file; an older one of the same kind gives way.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn keep_notice(&self, data_file: &Path, warning: &Warning) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO notices(data_file,kind,warning) VALUES(?1,?2,?3)";
        // Plain data always has a JSON form.
        let text = serde_json::to_string(warning).unwrap_or_default();
        let args = params![data_file.to_string_lossy(), word(warning.kind), text];
        self.conn.execute(sql, args).map(|_| ()).map_err(|e| self.fail(e))
    }

    /// Forgets the warning of this kind.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn put_away(&self, data_file: &Path, kind: WarningKind) -> Result<()> {
        let sql = "DELETE FROM notices WHERE data_file=?1 AND kind=?2";
        let args = params![data_file.to_string_lossy(), word(kind)];
        self.conn.execute(sql, args).map(|_| ()).map_err(|e| self.fail(e))
    }

    /// When the last weekly drill of a data file was.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn last_drill(&self, data_file: &Path) -> Result<Option<DateTime<Utc>>> {
        let sql = "SELECT moment_ms FROM drills WHERE data_file=?1";
        let found = self.conn.query_row(sql, [data_file.to_string_lossy()], |row| row.get(0)).optional();
        Ok(found.map_err(|e| self.fail(e))?.and_then(DateTime::from_timestamp_millis))
    }

    /// Remembers when it was.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn keep_drill(&self, data_file: &Path, moment: DateTime<Utc>) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO drills(data_file,moment_ms) VALUES(?1,?2)";
        let args = params![data_file.to_string_lossy(), moment.timestamp_millis()];
        self.conn.execute(sql, args).map(|_| ()).map_err(|e| self.fail(e))
    }

    /// The warnings kept for a data file.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn notices(&self, data_file: &Path) -> Result<Vec<Warning>> {
        let read = || {
            let mut statement = self.conn.prepare("SELECT warning FROM notices WHERE data_file=?1 ORDER BY kind")?;
            let rows = statement.query_map([data_file.to_string_lossy()], |row| row.get::<_, String>(0))?;
            rows.collect::<rusqlite::Result<Vec<String>>>()
        };
        // What a newer version keeps in another form is passed over.
        let texts = read().map_err(|e| self.fail(e))?;
        Ok(texts.iter().filter_map(|text| serde_json::from_str(text).ok()).collect())
    }
}
