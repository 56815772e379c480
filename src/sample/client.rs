//! A small office client that keeps editing the sample, as an application would while its data file is being protected.
//!
//! It is an ordinary user of SQLite: transactions of its own connection, foreign keys on, patience with locks. It never
//! edits anything but the sample.

mod edit;

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use chrono::{DateTime, Local};
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, config::DbConfig};
use serde::{Deserialize, Serialize};

pub use edit::ClientEdit;

use super::{random::Random, schema};
use crate::{
    control::Control,
    error::{Error, ErrorKind, Result},
    sqlite::{data_file, snapshot::is_busy},
};

/// How long the client waits for a lock of another program before it gives up.
pub const BUSY_WAIT_MAX: Duration = Duration::from_secs(10);

/// The longest time in which the client does not look whether it should stop.
const STEP: Duration = Duration::from_millis(50);

/// How the client works.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClientOptions {
    /// Transactions a second; infinity for as many as the disk takes.
    pub commits_per_second: f64,
    /// How many transactions, or none to work until stopped.
    pub commits_max: Option<u64>,
    /// Decides on the edits; two clients should not have the same.
    pub seed: u64,
}

impl Default for ClientOptions {
    /// Four transactions a second until stopped, each time others.
    fn default() -> Self {
        Self { commits_per_second: 4.0, commits_max: None, seed: uuid::Uuid::new_v4().as_u64_pair().0 }
    }
}

/// A transaction of the client that has been committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientCommit {
    /// Which one of this client, from 1.
    pub number: u64,
    /// When it was committed.
    pub at: DateTime<Local>,
    /// What sort of edit it was.
    pub edit: ClientEdit,
    /// The edit in words, such as `invoice 2026-07501 to Kunz Optik AG, 3 lines, CHF 1'234.55`.
    pub description: String,
    /// How long the transaction took, from its beginning with the wait for locks to its commit.
    pub took: Duration,
}

/// What the client did until it ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClientReport {
    /// Transactions committed.
    pub commits: u64,
    /// Records added, modified and deleted as SQLite counts them, with those of triggers and of the search index.
    pub operations: u64,
    /// The longest that a transaction took, with its wait for locks.
    pub slowest: Duration,
}

/// Edits the sample `data_file` until `control` says stop or `commits_max` is reached, and calls `on_commit` after
/// every transaction. A stop is the ordinary end and no error.
///
/// # Errors
/// `Refused` when the file is not the sample or the options make no sense, `Busy` when another program holds the lock
/// for more than [`BUSY_WAIT_MAX`], and what SQLite reports. Committed transactions stay, the unfinished one is undone.
pub fn run(
    data_file: &Path,
    options: &ClientOptions,
    control: &Control,
    on_commit: &mut dyn FnMut(&ClientCommit),
) -> Result<ClientReport> {
    let pause = pause_of(options.commits_per_second)?;
    let mut client = Client { path: data_file, control, random: Random::new(options.seed) };
    let mut report = ClientReport::default();
    let outcome = client.work(options.commits_max, pause, &mut report, on_commit);
    match outcome {
        Err(error) if error.kind() != ErrorKind::Stopped => Err(error),
        _ => Ok(report),
    }
}

/// The time between the beginnings of two transactions.
fn pause_of(commits_per_second: f64) -> Result<Duration> {
    let pause = (commits_per_second > 0.0).then(|| Duration::try_from_secs_f64(1.0 / commits_per_second).ok());
    pause.flatten().ok_or_else(|| {
        Error::new(ErrorKind::Refused, format!("{commits_per_second} transactions a second are not possible"))
            .hint("Give a number above 0, such as 4.")
    })
}

struct Client<'a> {
    path: &'a Path,
    control: &'a Control,
    random: Random,
}

impl Client<'_> {
    fn work(
        &mut self,
        commits_max: Option<u64>,
        pause: Duration,
        report: &mut ClientReport,
        on_commit: &mut dyn FnMut(&ClientCommit),
    ) -> Result<()> {
        let conn = self.open()?;
        while commits_max.is_none_or(|max| report.commits < max) {
            self.control.check()?;
            let begun = Instant::now();
            let (edit, description, operations) = self.commit_one(&conn)?;
            let took = begun.elapsed();
            report.commits += 1;
            report.operations += operations;
            report.slowest = report.slowest.max(took);
            on_commit(&ClientCommit { number: report.commits, at: Local::now(), edit, description, took });
            if commits_max.is_none_or(|max| report.commits < max) {
                // After a wait for a lock the client goes on in its pace and does not catch up.
                self.rest(pause.saturating_sub(begun.elapsed()))?;
            }
        }
        Ok(())
    }

    /// Opens the data file and makes sure that it is the sample before anything can change it.
    fn open(&self) -> Result<Connection> {
        let path = self.path;
        let fail = |e| Error::sqlite("open", path, e);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags)
            .map_err(|e| data_file::identify(path).err().unwrap_or_else(|| fail(e)))?;
        conn.busy_timeout(STEP).map_err(fail)?;
        // Even closing a foreign file must not change it: without this its WAL would be moved into it.
        let checkpoint_on_close =
            |on: bool| conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, !on).map_err(fail);
        checkpoint_on_close(false)?;
        let (application, version): (i32, i32) = self.patiently("read", || {
            conn.query_row("SELECT * FROM pragma_application_id, pragma_user_version", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
        })?;
        if (application, version) != (schema::APPLICATION_ID, schema::SCHEMA_VERSION) {
            let message = format!(
                "{} is not the sample data file: expected application id {:#010x} version {}, \
                 found {application:#010x} version {version}",
                path.display(),
                schema::APPLICATION_ID,
                schema::SCHEMA_VERSION,
            );
            return Err(Error::new(ErrorKind::Refused, message).hint(
                "The office client edits only the sample, never other data. Create a sample, and choose that file.",
            ));
        }
        checkpoint_on_close(true)?;
        conn.execute_batch("PRAGMA foreign_keys=ON").map_err(fail)?;
        Ok(conn)
    }

    /// One edit in a transaction of its own, with the number of records it touched.
    fn commit_one(&mut self, conn: &Connection) -> Result<(ClientEdit, String, u64)> {
        let before = conn.total_changes();
        // IMMEDIATE, so that all waiting is at the beginning and nothing read can be outdated when it is written.
        let transaction =
            self.patiently("write to", || Transaction::new_unchecked(conn, TransactionBehavior::Immediate))?;
        let today = Local::now().date_naive();
        let (edit, description) = edit::perform(&transaction, &mut self.random, today)
            .map_err(|e| Error::sqlite("write to", self.path, e))?;
        // Only in rollback mode can this be busy, as long as somebody reads; the transaction stays open meanwhile.
        self.patiently("write to", || transaction.execute_batch("COMMIT"))?;
        Ok((edit, description, conn.total_changes() - before))
    }

    /// Tries `step` for as long as it is busy and the patience lasts, looking in between whether to stop.
    fn patiently<T>(&self, what: &str, mut step: impl FnMut() -> rusqlite::Result<T>) -> Result<T> {
        let asked = Instant::now();
        loop {
            match step() {
                Err(e) if is_busy(&e) && asked.elapsed() < BUSY_WAIT_MAX => {
                    self.control.check()?;
                    // A deadlock is reported at once, whatever the busy timeout.
                    thread::sleep(Duration::from_millis(2));
                }
                outcome => return outcome.map_err(|e| Error::sqlite(what, self.path, e)),
            }
        }
    }

    fn rest(&self, time: Duration) -> Result<()> {
        let begun = Instant::now();
        loop {
            self.control.check()?;
            let left = time.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(STEP));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_possible_pace_is_accepted() -> Result<()> {
        assert_eq!(pause_of(4.0)?, Duration::from_millis(250));
        assert_eq!(pause_of(f64::INFINITY)?, Duration::ZERO);
        for impossible in [0.0, -1.0, f64::NAN, f64::MIN_POSITIVE / 8.0] {
            assert_eq!(pause_of(impossible).err().map(|e| e.kind()), Some(ErrorKind::Refused), "{impossible}");
        }
        Ok(())
    }

    #[test]
    fn a_stop_is_seen_while_waiting_for_a_lock() {
        let control = Control::default();
        let client = Client { path: Path::new("a"), control: &control, random: Random::new(1) };
        let mut tries = 0;
        let outcome: Result<()> = client.patiently("read", || {
            tries += 1;
            if tries == 3 {
                control.stop();
            }
            Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY), None))
        });
        assert_eq!((outcome.err().map(|e| e.kind()), tries), (Some(ErrorKind::Stopped), 3));
    }

    #[test]
    fn a_failure_that_is_no_lock_is_reported_at_once() {
        let control = Control::default();
        let client = Client { path: Path::new("a"), control: &control, random: Random::new(1) };
        let failure = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL);
        let outcome: Result<()> = client.patiently("write to", || Err(rusqlite::Error::SqliteFailure(failure, None)));
        assert_eq!(outcome.err().map(|e| e.kind()), Some(ErrorKind::NoSpace));
    }
}
