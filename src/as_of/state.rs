//! A state to look at: a connection of SQLite that reads it, and what there is to know of it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, ErrorCode};

use super::{
    pages::{Failed, PATIENCE, Pages, ServedPages},
    turn::{Turn, took_too_long},
};
use crate::{
    control::Control,
    error::{Error, ErrorKind, ErrorReport, Result, foreign::foreign},
    records::store::ArchiveBase,
    restore::{
        Logs, Origin,
        state::{Held, How, State, state},
    },
    sqlite::{ffi, read_only, snapshot::Snapshot, vfs::Served},
};

/// What is run.
pub(super) const ONLY_READING: &str =
    "Only statements that read are run here: SELECT, VALUES, EXPLAIN, and a PRAGMA that tells something.";

/// How long a data file is waited for that a program has locked.
const LOCK_WAIT: Duration = Duration::from_secs(5);
/// Bytes compared at once.
const PIECE: usize = 1 << 20;

/// What is looked at.
#[derive(Debug)]
pub struct About {
    /// The commit whose state it is, where that is known.
    pub commit: Option<u64>,
    /// When it was reached; of the data file as it is now, when it was opened.
    pub time: DateTime<Utc>,
    /// The archive that it comes from; `None` of the data file as it is now.
    pub archive: Option<PathBuf>,
    /// What was asked for and may be missing, as far as archive and logs tell: see [`Looked::lacks`].
    pub lacks: Option<Error>,
    /// What the administrator must know of the archive, where it is damaged.
    pub archive_problem: Option<Error>,
    /// What else is worth knowing, as whole sentences.
    pub remarks: Vec<String>,
}

/// A state that is open.
pub struct Looked {
    conn: Connection,
    failed: Failed,
    limits: Limits,
    about: About,
    held: Option<Held>,
    /// A newer archive that is known of and cannot be used.
    without: Option<ErrorReport>,
}

impl std::fmt::Debug for Looked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Looked").field("about", &self.about).finish_non_exhaustive()
    }
}

/// What ends a statement.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// Whoever waits for it.
    pub control: Arc<Control>,
    /// All statements together, from opening on.
    pub budget: Option<Duration>,
    /// The one that is run.
    pub turn: Arc<Turn>,
}

impl Limits {
    /// Whether a statement is to end; time counts from now on.
    fn is_over(&self) -> impl FnMut() -> bool + Send + 'static {
        let (limits, begun) = (self.clone(), Instant::now());
        move || {
            let is_late = || limits.budget.is_some_and(|budget| begun.elapsed() > budget);
            limits.control.is_stopped() || limits.turn.is_over() || is_late()
        }
    }
}

impl Looked {
    /// Opens the state of `archive` and its logs that `how` says. Nothing is restored, and no file is written.
    ///
    /// # Errors
    /// As a restore up to there, before it writes anything; `Damaged` where the logs do not fit the archive.
    pub fn open(
        archive: &Path,
        segments: &[PathBuf],
        (logs, origin): (&Logs, &Origin),
        how: How,
        limits: &Limits,
    ) -> Result<Self> {
        Self::of(state(archive, segments, (logs, origin), how, &limits.control)?, limits)
    }

    fn of(found: State, limits: &Limits) -> Result<Self> {
        let about = About {
            commit: found.commit(),
            time: found.time(),
            archive: Some(found.archive.path().to_path_buf()),
            archive_problem: found.archive_problem(),
            lacks: found.lacks,
            remarks: found.remarks,
        };
        let page_size = found.archive.identity().page_size;
        let limit = about.commit.unwrap_or(0);
        let base = ArchiveBase::of(found.archive)?;
        let pages = Pages::new((Box::new(base), page_size), (found.pieces, limit), PATIENCE, &limits.control)?;
        let (failed, control) = (Failed::default(), Arc::clone(&limits.control));
        let served = ServedPages { pages, control, failed: failed.clone(), last: None };
        let conn =
            read_only::open(Box::new(served), limits.is_over()).map_err(|error| failed.take().unwrap_or(error))?;
        Ok(Self { conn, failed, limits: limits.clone(), about, held: Some(found.held), without: None })
    }

    /// Opens a data file as it is now, in one state, while programs go on with it.
    ///
    /// # Errors
    /// As [`Snapshot::begin_to_look`].
    pub fn now(data_file: &Path, limits: &Limits) -> Result<Self> {
        let snapshot = Snapshot::begin_to_look(data_file, LOCK_WAIT, &limits.control)?;
        let time = limits.control.clock().now();
        let failed = Failed::default();
        let served = Live { snapshot, failed: failed.clone() };
        let conn =
            read_only::open(Box::new(served), limits.is_over()).map_err(|error| failed.take().unwrap_or(error))?;
        let about =
            About { commit: None, time, archive: None, lacks: None, archive_problem: None, remarks: Vec::new() };
        Ok(Self { conn, failed, limits: limits.clone(), about, held: None, without: None })
    }

    /// The same, where a newer archive is known of and cannot be used, as `without` says.
    #[must_use]
    pub fn without(mut self, without: Option<ErrorReport>) -> Self {
        if let (Some(without), Some(_)) = (&without, &self.about.lacks) {
            self.about.remarks.push(format!("{}.", without.message));
        }
        self.without = without;
        self
    }

    /// What was asked for and may be missing. Where nobody writes the log any more, the data file itself may tell that
    /// nothing is, which takes as long as reading it.
    pub fn lacks(&self) -> Option<Error> {
        let lacks = self.about.lacks.as_ref().and_then(|lacks| {
            let held = self.held.as_ref()?;
            // Before the data file is read: what is committed meanwhile may be missing.
            let looked_at = self.limits.control.clock().now();
            let level = held.open_data_files().iter().find(|data_file| self.is_level_with(data_file).unwrap_or(false));
            match level {
                Some(data_file) => held.lacks_beside(data_file.clone(), looked_at),
                None => Some(lacks.report().into()),
            }
        });
        lacks.or_else(|| self.without.clone().map(Error::from))
    }

    /// Whether a data file holds exactly this state, byte by byte.
    fn is_level_with(&self, data_file: &Path) -> Result<bool> {
        let live = Snapshot::begin_to_look(data_file, LOCK_WAIT, &self.limits.control)?;
        let length = ffi::file_size(&self.conn, data_file)?;
        let (mut ours, mut theirs, mut at) = (vec![0; PIECE], vec![0; PIECE], 0);
        while at < length && live.len() == length {
            self.limits.control.check()?;
            let count = usize::try_from(length - at).unwrap_or(PIECE).min(PIECE);
            let (Some(ours), Some(theirs)) = (ours.get_mut(..count), theirs.get_mut(..count)) else { break };
            ffi::read_file(&self.conn, data_file, at, ours)?;
            live.read(at, theirs)?;
            if ours != theirs {
                return Ok(false);
            }
            at += count as u64;
        }
        Ok(live.len() == length)
    }

    /// What is looked at.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// The connection: whatever is given to it, it only reads, and reads nothing else.
    pub fn connection(&self) -> &Connection {
        &self.conn
    }

    /// What a failure of the connection means.
    pub fn explain(&self, error: &rusqlite::Error) -> Error {
        if self.limits.control.is_stopped() {
            return Error::stopped();
        }
        if let Some(reason) = self.failed.take() {
            return reason;
        }
        let is_interrupted = error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted);
        if let Some(why) = self.limits.turn.why().filter(|_| is_interrupted) {
            return why;
        }
        let said = foreign(&error.to_string()).to_string();
        match (error.sqlite_error_code(), self.limits.budget) {
            (Some(ErrorCode::OperationInterrupted), Some(budget)) => took_too_long(budget),
            (Some(ErrorCode::AuthorizationForStatementDenied | ErrorCode::ReadOnly), _) => {
                Error::new(ErrorKind::Refused, format!("the statement does more than read this data file: {said}"))
                    .hint(ONLY_READING)
            }
            (Some(ErrorCode::DatabaseCorrupt), _) => {
                Error::new(ErrorKind::Damaged, format!("the data file was damaged in this state: {said}"))
                    .hint("It is as archive and log have it: look at an earlier state.")
            }
            (Some(ErrorCode::NotADatabase), _) => {
                Error::new(ErrorKind::Encrypted, "SQLite does not recognise this state as a database")
                    .hint("It may be encrypted by its application. Restore it, and open it there.")
            }
            (Some(ErrorCode::OutOfMemory), _) => {
                Error::new(ErrorKind::Refused, "the statement needs more memory than it may have")
                    .hint("Ask for less at once.")
            }
            _ => Error::new(ErrorKind::Sqlite, format!("SQLite says: {said}")).hint("Correct the statement."),
        }
    }
}

/// The data file as it is now.
struct Live {
    snapshot: Snapshot,
    failed: Failed,
}

impl Served for Live {
    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.snapshot.read(offset, buffer).inspect_err(|error| self.failed.note(error))
    }

    fn length(&self) -> u64 {
        self.snapshot.len()
    }
}
