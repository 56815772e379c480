//! When a data file was verified and compacted last, whenever that was.

use std::path::Path;

use chrono::{Local, TimeZone};
use rusqlite::{Connection, OptionalExtension, params};

use super::{History, JobId, JobKind, state::glance};
use crate::{
    engine::status::{LastRun, Maintenance},
    error::Result,
};

/// Years of hourly backups lie in between.
pub(super) const SCHEMA: &str = "CREATE INDEX IF NOT EXISTS jobs_by_file ON jobs(data_file, kind, started_ms);";

impl History {
    /// The last time that a job of this kind ended for a data file.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn last_run(&self, data_file: &Path, kind: JobKind) -> Result<Option<LastRun>> {
        last_run(&self.conn, data_file, kind).map_err(|e| self.fail(e))
    }
}

/// When a data file was verified and compacted last, as the Backup journal in `folder` has it, without taking part in
/// it.
pub fn glance_maintenance(folder: &Path, data_file: &Path) -> Maintenance {
    let Some(conn) = glance(folder) else { return Maintenance::default() };
    let last = |kind| last_run(&conn, data_file, kind).ok().flatten();
    Maintenance {
        last_check: last(JobKind::VerifyRecords),
        last_compact: last(JobKind::Compact),
        available_bytes: None,
    }
}

fn last_run(conn: &Connection, data_file: &Path, kind: JobKind) -> rusqlite::Result<Option<LastRun>> {
    let sql = "SELECT id,started_ms,outcome,error,id IN (SELECT job FROM reports) FROM jobs
               WHERE data_file=?1 AND kind=?2 AND outcome<>'running' ORDER BY started_ms DESC, rowid DESC LIMIT 1";
    let found = conn
        .query_row(sql, params![data_file.to_string_lossy(), kind.word()], |row| {
            let text = |n: usize| row.get::<_, String>(n);
            Ok((text(0)?, row.get(1)?, text(2)?, row.get::<_, Option<String>>(3)?, row.get(4)?))
        })
        .optional()?;
    // What a newer version recorded in another form counts as nothing.
    Ok(found.and_then(|(id, started, outcome, error, has_report)| {
        Some(LastRun {
            job: JobId(id.parse().ok()?),
            moment: Local.timestamp_millis_opt(started).earliest()?,
            outcome: serde_json::from_value(serde_json::Value::String(outcome)).ok()?,
            error: error.and_then(|error| serde_json::from_str(&error).ok()),
            has_report,
        })
    }))
}
