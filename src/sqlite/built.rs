//! Whether the SQLite in this program is the one that it was made with.
//!
//! What the log reads of SQLite's files and its index in memory was proven with one version; another one may write them
//! differently. A build that links the SQLite of the system (`LIBSQLITE3_SYS_USE_PKG_CONFIG`) or lacks an option would
//! fail later, and some of it only in the middle of a backup.

use std::ffi::CStr;

use rusqlite::{Connection, ffi};

use crate::error::{Error, ErrorKind, Result};

/// Options that it must be built with, without `SQLITE_`; `build.rs` asks for the first two.
const NEEDED: [&str; 3] = ["ENABLE_SNAPSHOT", "ENABLE_DBPAGE_VTAB", "THREADSAFE=1"];

/// To be called at the start of the program.
///
/// # Errors
/// [`ErrorKind::Refused`] with what is different.
pub fn require_our_own() -> Result<()> {
    let lacks = |e: rusqlite::Error| Error::new(ErrorKind::Sqlite, "SQLite does not say how it was built").because(e);
    let conn = Connection::open_in_memory().map_err(lacks)?;
    let mut statement = conn.prepare("PRAGMA compile_options").map_err(lacks)?;
    let options: Vec<String> = statement.query_map([], |row| row.get(0)).and_then(Iterator::collect).map_err(lacks)?;
    let made_with = CStr::to_string_lossy(ffi::SQLITE_VERSION);
    let fault = fault(&made_with, rusqlite::version(), &options);
    fault.map_or(Ok(()), |fault| {
        Err(Error::new(ErrorKind::Refused, format!("this program was built wrongly: {fault}"))
            .hint("Build it as its README says, with the SQLite that comes with it."))
    })
}

/// What is wrong with an SQLite of version `has`, built with `options`, in a program made with version `made_with`.
fn fault(made_with: &str, has: &str, options: &[String]) -> Option<String> {
    if has != made_with {
        return Some(format!("it was made with SQLite {made_with} and finds SQLite {has}"));
    }
    let lacking = NEEDED.iter().find(|needed| !options.iter().any(|option| option == *needed));
    lacking.map(|option| format!("its SQLite was built without SQLITE_{option}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_or_a_missing_option_is_named() {
        let all: Vec<String> = NEEDED.iter().map(|option| (*option).to_owned()).collect();
        assert_eq!(fault("3.54.1", "3.54.1", &all), None);
        let of_system = fault("3.54.1", "3.40.1", &all);
        assert_eq!(of_system.as_deref(), Some("it was made with SQLite 3.54.1 and finds SQLite 3.40.1"));
        let without = fault("3.54.1", "3.54.1", &[all[0].clone(), all[2].clone()]);
        assert_eq!(without.as_deref(), Some("its SQLite was built without SQLITE_ENABLE_DBPAGE_VTAB"));
    }

    #[test]
    fn this_one_is_right() -> Result<()> {
        require_our_own()
    }
}
