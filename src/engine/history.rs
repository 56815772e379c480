//! The Backup journal: every job with its outcome, in an SQLite database of the program.
//!
//! Deleting it resets nothing: numbers come from the archives' names and the settings. A process that begins jobs holds
//! the lock of a file of its own; a job whose process no longer holds it was cut off, and is shown as interrupted.

mod findings;
mod log_ends;
mod made;
mod notices;
mod proven;
mod runs;
mod state;
mod undos;
mod watched;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::{DateTime, Local, TimeZone};
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

pub use findings::{Looked, Refuted, judge, known_archives};
pub use log_ends::LogEnd;
pub use runs::glance_maintenance;
pub use state::{glance_automatic, highest_number};
pub use watched::{Watched, left_behind};

pub(in crate::engine) use made::made;

use super::command::JobId;
pub use super::entry::{HistoryEntry, Job, JobKind, Outcome};
use crate::{
    archive::ArchiveNumber,
    error::{Error, Result},
    storage::{
        self,
        regular::{self, Links},
    },
};

/// The database of the Backup journal, and of the recent data files.
#[derive(Debug)]
pub struct History {
    conn: Connection,
    path: PathBuf,
    process: String,
    /// Held for as long as this process lives, and by nothing longer; none where the journal is only read.
    lock: Option<File>,
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS jobs(
        id TEXT PRIMARY KEY, kind TEXT NOT NULL, data_file TEXT, number INTEGER, started_ms INTEGER NOT NULL,
        duration_ms INTEGER, outcome TEXT NOT NULL, path TEXT, bytes INTEGER, error TEXT, process TEXT NOT NULL);
    CREATE INDEX IF NOT EXISTS jobs_by_time ON jobs(started_ms);
    CREATE TABLE IF NOT EXISTS recent(path TEXT PRIMARY KEY, opened_ms INTEGER NOT NULL);
    PRAGMA user_version=1;";

/// What each further version adds; the first of them leads from version 1 to 2. Older programs go on to work with all.
const STEPS: &[&str] = &["
    ALTER TABLE jobs ADD COLUMN automatic INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN note TEXT;
    CREATE TABLE automatic(data_file TEXT PRIMARY KEY, state TEXT NOT NULL);
    CREATE TABLE reports(job TEXT PRIMARY KEY, report TEXT NOT NULL);
    PRAGMA user_version=2;"];

impl History {
    /// Opens the Backup journal in `folder`, made when missing, and closes the entries of processes that are gone.
    ///
    /// A damaged database is set aside under another name, never deleted; the second value says so.
    ///
    /// # Errors
    /// When the folder cannot be written, or the database was written by a newer version.
    pub fn open(folder: &Path) -> Result<(Self, Option<Error>)> {
        storage::make_private_folders(folder)?;
        storage::make_private(folder)?;
        let path = folder.join("history.sqlite");
        // An older version made them as wide as the system's default; what cannot be changed is protected by the
        // folder.
        for file in ["history.sqlite", "history.sqlite-wal", "history.sqlite-shm"] {
            let _ = storage::make_file_private(&folder.join(file));
        }
        let (conn, problem) = match open_database(&path) {
            Ok(conn) => (conn, None),
            Err(e) if is_damage(&e) => {
                let aside = set_aside(&path)?;
                let message = format!("the Backup journal {} was damaged and begins anew: {e}", path.display());
                let hint = format!("The damaged file is kept as {}. No archive is concerned.", aside.display());
                let conn = open_database(&path).map_err(|e| Error::sqlite("open the Backup journal", &path, e))?;
                (conn, Some(Error::new(crate::error::ErrorKind::Damaged, message).hint(hint)))
            }
            Err(e) => return Err(Error::sqlite("open the Backup journal", &path, e)),
        };
        let process = format!("process-{}.lock", Uuid::new_v4());
        let lock_path = folder.join(&process);
        let lock = File::create(&lock_path).map_err(|e| Error::io("create", &lock_path, e))?;
        lock.lock().map_err(|e| Error::io("lock", &lock_path, e))?;
        let history = Self { conn, path, process, lock: Some(lock) };
        history.close_interrupted(folder)?;
        Ok((history, problem))
    }

    pub(super) fn conn(&self) -> &Connection {
        &self.conn
    }

    pub(super) fn fail(&self, e: rusqlite::Error) -> Error {
        Error::sqlite("write the Backup journal", &self.path, e)
    }

    /// Marks the running jobs of processes that no longer hold their lock.
    fn close_interrupted(&self, folder: &Path) -> Result<()> {
        let mut statement =
            self.conn.prepare("SELECT DISTINCT process FROM jobs WHERE outcome='running'").map_err(|e| self.fail(e))?;
        let processes: Vec<String> =
            statement.query_map([], |row| row.get(0)).and_then(Iterator::collect).map_err(|e| self.fail(e))?;
        for process in processes {
            if !is_alive(&folder.join(&process)) {
                self.conn
                    .execute("UPDATE jobs SET outcome='interrupted' WHERE outcome='running' AND process=?1", [&process])
                    .map_err(|e| self.fail(e))?;
            }
        }
        // Lock files of processes that ended without removing theirs.
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("process-") && name != self.process && !is_alive(&entry.path()) {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    /// Records that a job began.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn begin(&self, entry: &HistoryEntry) -> Result<()> {
        self.write(entry)
    }

    /// Records how a job ended.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn finish(&self, entry: &HistoryEntry) -> Result<()> {
        self.write(entry)
    }

    fn write(&self, entry: &HistoryEntry) -> Result<()> {
        let error = entry.error.as_ref().and_then(|e| serde_json::to_string(e).ok());
        let text = |p: &Option<PathBuf>| p.as_ref().map(|p| p.to_string_lossy().into_owned());
        self.conn
            .execute(
                "INSERT OR REPLACE INTO \
                 jobs(id,kind,data_file,number,started_ms,duration_ms,outcome,path,bytes,error,process,automatic,note)
                 VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13)",
                params![
                    entry.id.0.to_string(),
                    entry.kind.word(),
                    text(&entry.data_file),
                    entry.number.map(|n| n.0),
                    entry.started.timestamp_millis(),
                    entry.duration_ms.map(|n| n as i64),
                    entry.outcome.word(),
                    text(&entry.path),
                    entry.bytes.map(|n| n as i64),
                    error,
                    self.process,
                    entry.automatic,
                    entry.note,
                ],
            )
            .map_err(|e| self.fail(e))?;
        Ok(())
    }

    /// The newest `limit` entries, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn list(&self, limit: u32) -> Result<Vec<HistoryEntry>> {
        let sql =
            "SELECT id,kind,data_file,number,started_ms,duration_ms,outcome,path,bytes,error,automatic,note FROM jobs
                   ORDER BY started_ms DESC, rowid DESC LIMIT ?1";
        let mut statement = self.conn.prepare(sql).map_err(|e| self.fail(e))?;
        let rows = statement.query_map([limit], read_entry).map_err(|e| self.fail(e))?;
        // Kinds that a newer version recorded are passed over.
        let mut list: Vec<HistoryEntry> =
            rows.filter_map(Result::transpose).collect::<rusqlite::Result<_>>().map_err(|e| self.fail(e))?;
        if self.lock.is_none() && list.iter().any(|entry| entry.outcome == Outcome::Running) {
            let over = self.cut_off().map_err(|e| self.fail(e))?;
            let cut = list.iter_mut().filter(|entry| entry.outcome == Outcome::Running && over.contains(&entry.id));
            cut.for_each(|entry| entry.outcome = Outcome::Interrupted);
        }
        Ok(list)
    }

    /// The jobs that are recorded as running and whose process is gone: who only reads cannot close them.
    fn cut_off(&self) -> rusqlite::Result<Vec<JobId>> {
        let mut statement = self.conn.prepare("SELECT id,process FROM jobs WHERE outcome='running'")?;
        let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
        let over =
            rows.filter_map(rusqlite::Result::ok).filter(|(_, process)| !is_alive(&self.path.with_file_name(process)));
        Ok(over.filter_map(|(id, _)| id.parse().ok().map(JobId)).collect())
    }

    /// Puts a data file at the head of the recent ones.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn remember(&self, path: &Path, now: DateTime<Local>) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO recent(path,opened_ms) VALUES(?1,?2)";
        let args = params![path.to_string_lossy(), now.timestamp_millis()];
        self.conn.execute(sql, args).map(|_| ()).map_err(|e| self.fail(e))
    }

    /// Takes a data file off the recent ones.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn forget(&self, path: &Path) -> Result<()> {
        let sql = "DELETE FROM recent WHERE path=?1";
        self.conn.execute(sql, [path.to_string_lossy()]).map(|_| ()).map_err(|e| self.fail(e))
    }

    /// The data files opened before, newest first, at most 10.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn recent(&self) -> Result<Vec<PathBuf>> {
        let sql = "SELECT path FROM recent ORDER BY opened_ms DESC, rowid DESC LIMIT 10";
        let mut statement = self.conn.prepare(sql).map_err(|e| self.fail(e))?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).map_err(|e| self.fail(e))?;
        rows.map(|r| r.map(PathBuf::from)).collect::<rusqlite::Result<_>>().map_err(|e| self.fail(e))
    }
}

impl Drop for History {
    fn drop(&mut self) {
        if self.lock.is_some() {
            let _ = fs::remove_file(self.path.with_file_name(&self.process));
        }
    }
}

fn read_entry(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<HistoryEntry>> {
    let text = |n: usize| row.get::<_, Option<String>>(n);
    let word = |n: usize| row.get::<_, String>(n).map(serde_json::Value::String);
    let (Ok(kind), Ok(outcome), Ok(id)) =
        (serde_json::from_value(word(1)?), serde_json::from_value(word(6)?), row.get::<_, String>(0)?.parse())
    else {
        return Ok(None);
    };
    Ok(Some(HistoryEntry {
        job: Job {
            id: JobId(id),
            kind,
            data_file: text(2)?.map(PathBuf::from),
            started: Local.timestamp_millis_opt(row.get(4)?).earliest().unwrap_or_default(),
            automatic: row.get(10)?,
        },
        number: row.get::<_, Option<u32>>(3)?.map(ArchiveNumber),
        duration_ms: row.get::<_, Option<i64>>(5)?.and_then(|n| u64::try_from(n).ok()),
        outcome,
        path: text(7)?.map(PathBuf::from),
        bytes: row.get::<_, Option<i64>>(8)?.and_then(|n| u64::try_from(n).ok()),
        error: text(9)?.and_then(|e| serde_json::from_str(&e).ok()),
        note: text(11)?,
    }))
}

fn open_database(path: &Path) -> rusqlite::Result<Connection> {
    // SQLite would make it as wide as the system's default, and its companions after it. One that exists is not opened
    // here: that would drop SQLite's locks on it.
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let _ = options.open(path);
    let conn = Connection::open(path)?;
    conn.busy_timeout(Duration::from_secs(5))?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.execute_batch("BEGIN IMMEDIATE")?;
    let version: u32 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version == 0 {
        conn.execute_batch(SCHEMA)?;
    }
    for step in STEPS.iter().skip(version.saturating_sub(1) as usize) {
        conn.execute_batch(step)?;
    }
    conn.execute_batch(proven::SCHEMA)?;
    conn.execute_batch(runs::SCHEMA)?;
    conn.execute_batch(notices::SCHEMA)?;
    conn.execute_batch(watched::SCHEMA)?;
    conn.execute_batch(log_ends::SCHEMA)?;
    conn.execute_batch(undos::SCHEMA)?;
    conn.execute_batch(findings::SCHEMA)?;
    findings::join_stores(&conn)?;
    conn.execute_batch("COMMIT")?;
    // A first read proves that the tables are there and readable.
    conn.query_row("SELECT id FROM jobs LIMIT 1", [], |row| row.get::<_, String>(0)).optional()?;
    Ok(conn)
}

fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode as C;
    matches!(error.sqlite_error_code(), Some(C::DatabaseCorrupt | C::NotADatabase | C::Unknown))
}

fn set_aside(path: &Path) -> Result<PathBuf> {
    let aside = (1..)
        .map(|n| path.with_file_name(format!("history-damaged-{n}.sqlite")))
        .find(|p| !p.exists())
        .unwrap_or_else(|| path.with_file_name("history-damaged.sqlite"));
    fs::rename(path, &aside).map_err(|e| Error::io("set aside", path, e))?;
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{end}", path.display()));
    }
    Ok(aside)
}

fn is_alive(lock: &Path) -> bool {
    regular::open(lock, Links::Refused).is_ok_and(|(file, _)| file.try_lock().is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome_ = std::result::Result<(), Box<dyn std::error::Error>>;

    fn entry() -> HistoryEntry {
        HistoryEntry {
            job: Job {
                id: JobId::new(),
                kind: JobKind::Backup,
                data_file: Some("/data/a.sqlite".into()),
                started: Local.timestamp_millis_opt(1_700_000_000_123).earliest().unwrap_or_default(),
                automatic: true,
            },
            number: Some(ArchiveNumber(7)),
            duration_ms: None,
            outcome: Outcome::Running,
            path: None,
            bytes: Some(5),
            error: None,
            note: Some("0001 deleted".into()),
        }
    }

    #[test]
    fn a_job_whose_process_is_gone_was_interrupted() -> Outcome_ {
        let folder = tempfile::tempdir()?;
        let (first, _) = History::open(folder.path())?;
        let running = entry();
        first.begin(&running)?;
        let (second, _) = History::open(folder.path())?;
        assert_eq!(second.list(10)?, std::slice::from_ref(&running), "its process still lives");
        drop(first);
        let (third, _) = History::open(folder.path())?;
        assert_eq!(third.list(10)?[0].outcome, Outcome::Interrupted);
        Ok(())
    }

    #[test]
    fn a_damaged_journal_is_set_aside_and_said() -> Outcome_ {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("history.sqlite");
        fs::write(&path, vec![0x55; 10_000])?;
        let (history, problem) = History::open(folder.path())?;
        assert!(problem.is_some_and(|e| e.message().contains("was damaged and begins anew")));
        assert!(folder.path().join("history-damaged-1.sqlite").exists());
        let mut done = entry();
        history.begin(&done)?;
        done.outcome = Outcome::Failed;
        done.duration_ms = Some(4);
        done.error = Some(Error::stopped().report());
        history.finish(&done)?;
        assert_eq!(history.list(10)?, [done]);
        Ok(())
    }

    #[test]
    fn the_journal_of_an_older_program_is_taken_over_and_still_readable_by_it() -> Outcome_ {
        let folder = tempfile::tempdir()?;
        let old = Connection::open(folder.path().join("history.sqlite"))?;
        let insert = "INSERT INTO jobs(id,kind,started_ms,outcome,process) VALUES(?1,'backup',?2,'succeeded','x')";
        old.execute_batch(SCHEMA)?;
        old.execute(insert, params![Uuid::new_v4().to_string(), 5])?;
        let (history, problem) = History::open(folder.path())?;
        assert!(problem.is_none());
        let mut new = entry();
        new.outcome = Outcome::Succeeded;
        history.finish(&new)?;
        let list = history.list(10)?;
        assert_eq!((list.len(), &list[0], list[1].automatic, &list[1].note), (2, &new, false, &None));
        old.execute(insert, params![Uuid::new_v4().to_string(), 6])?;
        drop(history);
        assert_eq!(History::open(folder.path())?.0.list(10)?.len(), 3);
        Ok(())
    }

    #[test]
    fn recent_data_files_come_newest_first() -> Outcome_ {
        let folder = tempfile::tempdir()?;
        let (history, _) = History::open(folder.path())?;
        for (second, path) in ["/a", "/b", "/c", "/b"].into_iter().enumerate() {
            let now = Local.timestamp_opt(1_700_000_000 + second as i64, 0).earliest().unwrap_or_default();
            history.remember(Path::new(path), now)?;
        }
        history.forget(Path::new("/c"))?;
        assert_eq!(history.recent()?, [Path::new("/b"), Path::new("/a")]);
        Ok(())
    }
}
