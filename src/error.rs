//! The one error type of the program: what happened, to which file, and what the administrator can do.
//!
//! Messages are lower case without a full stop and name the path, what was expected and what was found. Hints are whole
//! sentences that say what to do next. Both are shown as they are in the window and on the command line; each is one
//! line, whatever names of files stand in it (see [`foreign`]).

pub mod foreign;
pub mod shell;

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use foreign::in_one_line;
use serde::{Deserialize, Serialize};

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of failure it is, for code that must decide; people read the message and the hint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The file or folder does not exist.
    NotFound,
    /// A folder was given where a file is needed, or the other way round.
    WrongType,
    /// The file is not an SQLite database, or not an archive.
    NotRecognised,
    /// The file is probably an encrypted database.
    Encrypted,
    /// The file holds nothing yet.
    Empty,
    /// The operating system refused access.
    Permission,
    /// Another program holds a lock for longer than we may wait.
    Busy,
    /// Another engine already looks after this data file.
    InUse,
    /// The content contradicts its checksums or its own structure.
    Damaged,
    /// Written by a newer version of the program.
    NewerVersion,
    /// A folder used before, or its disk, is not there, or another one is in its place.
    PlaceMissing,
    /// The target exists already and is never overwritten.
    Exists,
    /// Not enough space on the disk.
    NoSpace,
    /// A path or name that leads outside its folder, or cannot be used.
    UnsafePath,
    /// A settings file that cannot be understood.
    Settings,
    /// Done, but not with everything that belongs to it.
    Partial,
    /// Somebody else changed it since it was read.
    Changed,
    /// A file that is held open is no longer the one that its path names.
    Replaced,
    /// Stopped by the user.
    Stopped,
    /// Any other failure of the operating system.
    Io,
    /// Any other failure reported by SQLite.
    Sqlite,
    /// The request makes no sense in the present state.
    Refused,
}

/// A failure with everything the administrator needs to act on it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    about: Option<PathBuf>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Why a file is not opened although the system would; what [`std::io::Error`] carries then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotOrdinary {
    /// A pipe, a device, a folder, or a link where none is expected.
    #[error("it is not an ordinary file")]
    Other,
    /// It is open in SQLite in this process.
    #[error("it is a data file in use")]
    DataFile,
    /// It has more bytes than such a file may have.
    #[error("it is longer than {0} bytes")]
    Longer(u64),
}

impl Error {
    /// A failure of `kind`, described by `message`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: in_one_line(message.into()), hint: None, about: None, source: None }
    }

    /// Adds what the administrator can do, as a whole sentence.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(in_one_line(hint.into()));
        self
    }

    /// Names the file that it is about, for code that must decide; the message names it for people.
    #[must_use]
    pub fn about(mut self, file: &Path) -> Self {
        self.about = Some(file.to_path_buf());
        self
    }

    /// Keeps the error that caused this one.
    #[must_use]
    pub fn because(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// What sort of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What happened.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What can be done about it.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The file that it is about, where that was said.
    pub fn subject(&self) -> Option<&Path> {
        self.about.as_deref()
    }

    /// Whether it keeps a cause of this type.
    pub fn is_because<T: std::error::Error + 'static>(&self) -> bool {
        self.source.as_ref().is_some_and(|source| source.is::<T>())
    }

    /// The user pressed *Stop*.
    pub fn stopped() -> Self {
        Self::new(ErrorKind::Stopped, "stopped by the user")
    }

    /// A failure of the operating system while doing `what` (a verb phrase such as "write to") with `path`.
    pub fn io(what: &str, path: &Path, source: io::Error) -> Self {
        use io::ErrorKind as K;
        if source.get_ref().is_some_and(|inner| inner.is::<NotOrdinary>()) {
            let message = format!("cannot {what} {}: {source}", path.display());
            return Self::new(ErrorKind::WrongType, message)
                .hint("Look at what is there, and who put it there. Remove it, or give another path.");
        }
        let (kind, hint) = match source.kind() {
            K::NotFound => (ErrorKind::NotFound, "Check the path; the file, its folder or its disk may be gone."),
            K::PermissionDenied => {
                (ErrorKind::Permission, "Give this user access, or run Strongroom as the owner of the file.")
            }
            K::StorageFull if has_no_inodes(path) => (
                ErrorKind::NoSpace,
                "That disk has space, but no inodes are left for further files. Delete files that are not needed, or \
                 choose another folder.",
            ),
            K::StorageFull | K::QuotaExceeded => {
                (ErrorKind::NoSpace, "Free space on that disk, or choose another folder.")
            }
            K::FileTooLarge => (
                ErrorKind::NoSpace,
                "That disk, or a limit for this user, allows no file of this length. Have archives made in segments \
                 (archive.segment-size), or choose another folder.",
            ),
            K::AlreadyExists => {
                (ErrorKind::Exists, "Choose another name or folder; existing files are never overwritten.")
            }
            K::ReadOnlyFilesystem => (ErrorKind::Permission, "That disk is mounted read-only; choose another folder."),
            K::IsADirectory | K::NotADirectory => {
                (ErrorKind::WrongType, "Check the path: a folder and a file were mixed up.")
            }
            _ => (ErrorKind::Io, "Check that the disk is connected and healthy, then try again."),
        };
        Self::new(kind, format!("cannot {what} {}: {}", path.display(), plain(&source)))
            .hint(hint)
            .about(path)
            .because(source)
    }

    /// A failure reported by SQLite while doing `what` (a verb phrase such as "read") with `path`.
    pub fn sqlite(what: &str, path: &Path, source: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as C;
        let (kind, hint) = match source.sqlite_error_code() {
            Some(C::DatabaseBusy | C::DatabaseLocked) => (
                ErrorKind::Busy,
                "Another program holds the file locked. Wait until its transaction ends, or close it, and try again.",
            ),
            Some(C::DatabaseCorrupt) => {
                (ErrorKind::Damaged, "The data file is damaged. Restore the last archive, and keep the damaged file.")
            }
            Some(C::NotADatabase) => (ErrorKind::NotRecognised, "Choose the SQLite data file of the application."),
            Some(C::DiskFull) => (ErrorKind::NoSpace, "Free space on that disk, and try again."),
            Some(C::PermissionDenied | C::ReadOnly | C::AuthorizationForStatementDenied) => {
                (ErrorKind::Permission, "Give this user access, or run Strongroom as the owner of the file.")
            }
            Some(C::CannotOpen) => (
                ErrorKind::Permission,
                "Check that the file and its folder exist and that this user may read and write them.",
            ),
            Some(C::OperationInterrupted) => (ErrorKind::Stopped, "Start it again when convenient."),
            Some(C::SystemIoFailure) => {
                (ErrorKind::Io, "Check that the disk is connected and healthy, then try again.")
            }
            _ => (ErrorKind::Sqlite, "See the message of SQLite; the file was not changed."),
        };
        Self::new(kind, format!("cannot {what} {}: {source}", path.display())).hint(hint).about(path).because(source)
    }

    /// The same failure in a form that can be stored and sent.
    pub fn report(&self) -> ErrorReport {
        // A name that is no text could not be sent, and the report with it.
        let about = self.about.clone().filter(|file| file.to_str().is_some());
        ErrorReport { kind: self.kind, message: self.message.clone(), hint: self.hint.clone(), about }
    }
}

/// An [`Error`] as stored in the history and shown by the window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReport {
    /// What sort of failure it was.
    pub kind: ErrorKind,
    /// What happened.
    pub message: String,
    /// What can be done about it.
    pub hint: Option<String>,
    /// The file that it is about, where that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<PathBuf>,
}

impl ErrorReport {
    /// Whether the file that it is about could not be looked at, so that nothing is known of it.
    pub fn says_nothing(&self) -> bool {
        matches!(self.kind, ErrorKind::Permission | ErrorKind::Io)
    }

    /// One that is about no file in particular.
    pub fn new(kind: ErrorKind, message: String, hint: Option<String>) -> Self {
        Self { kind, message, hint, about: None }
    }
}

impl fmt::Display for ErrorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It may have come from an engine that another user runs.
        write!(f, "{}", foreign::foreign(&self.message))
    }
}

impl From<ErrorReport> for Error {
    fn from(report: ErrorReport) -> Self {
        let ErrorReport { kind, message, hint, about } = report;
        let error = Self { about, ..Self::new(kind, message) };
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

impl From<&Error> for ErrorReport {
    fn from(error: &Error) -> Self {
        error.report()
    }
}

/// Whether the disk of `path` has space, but takes no further file.
fn has_no_inodes(path: &Path) -> bool {
    #[cfg(unix)]
    {
        let folder = path.parent().filter(|_| !path.is_dir()).unwrap_or(path);
        rustix::fs::statvfs(folder).is_ok_and(|stats| stats.f_files > 0 && stats.f_favail == 0 && stats.f_bavail > 0)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

/// The operating system's words without the number that `io::Error` appends.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(at) => text[..at].to_lowercase(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_recognised_and_said_with_its_path() {
        let error = Error::io("write to", Path::new("/b/A[0001].4BK"), io::Error::from_raw_os_error(28));
        assert_eq!(error.kind(), ErrorKind::NoSpace);
        assert_eq!(error.to_string(), "cannot write to /b/A[0001].4BK: no space left on device");
        assert_eq!(error.hint_text(), Some("Free space on that disk, or choose another folder."));
    }
}
