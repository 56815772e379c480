//! Everything that is known of SQLite's own files: identifying a data file, holding a snapshot of it, reading its
//! pages.
//!
//! # The lock trap
//! On POSIX systems any `close()` of any descriptor of a data file, or of its `-shm`, drops **all** locks that this
//! process holds on it. So nothing in this program opens a data file by other means than SQLite: even its raw bytes are
//! read through SQLite's own file handle ([`ffi`]). The `-wal` file carries no locks and may be opened freely.

pub mod alias;
pub mod built;
pub mod check;
pub mod compact;
pub mod companions;
pub mod data_file;
pub mod ffi;
pub mod glance;
pub mod hot;
pub mod integrity;
pub mod locks;
pub mod named;
pub mod read_only;
pub mod rewrite;
pub mod seen;
pub mod snapshot;
pub mod vfs;
pub mod wal;
pub mod wal_alone;
pub mod wal_index;

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, config::DbConfig, limits::Limit};

use crate::{
    error::{Error, ErrorKind, Result},
    storage,
};

/// Opens `path`, an existing data file that other programs use, so that nothing of it is ever changed by us.
///
/// The connection is read-write where possible, because SQLite needs that to take part in the WAL's locking and to roll
/// back a hot journal; it must never be given a statement that writes. Its close leaves the WAL as it is.
///
/// # Errors
/// Where SQLite cannot open the file.
pub fn open_existing(path: &Path) -> Result<Connection> {
    refuse_strange_companions(path)?;
    connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).or_else(|_| connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY))
}

/// A connection with this right, that changes nothing by itself and trusts nothing in the file.
fn connect(path: &Path, right: OpenFlags) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_PRIVATE_CACHE;
    let conn = Connection::open_with_flags(path, flags | right).map_err(|e| Error::sqlite("open", path, e))?;
    storage::note_data_file(path);
    // A checkpoint at close would write to the data file and destroy WAL frames that the log may still need.
    let set = |option, on| conn.set_db_config(option, on).map_err(|e| Error::sqlite("open", path, e));
    set(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    set(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    set(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    set(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    bound_memory(&conn).map_err(|e| Error::sqlite("open", path, e))?;
    conn.busy_timeout(Duration::ZERO).map_err(|e| Error::sqlite("open", path, e))?;
    Ok(conn)
}

/// So much memory SQLite takes in this process, in all its connections together: what a data file holds must not fill
/// it.
const HEAP_BYTES_MAX: i64 = 1 << 30;
/// No text or blob that an expression in a data file makes is longer while the file is checked.
const VALUE_BYTES_MAX: i32 = 128 << 20;

fn bound_memory(conn: &Connection) -> rusqlite::Result<()> {
    conn.query_row(&format!("PRAGMA hard_heap_limit={HEAP_BYTES_MAX}"), [], |_| Ok(()))
}

/// To be called before a check evaluates what stands in a data file: constraints, generated columns, expressions of
/// indexes.
///
/// # Errors
/// Where SQLite knows no such limit.
pub(crate) fn bound_values(conn: &Connection) -> rusqlite::Result<()> {
    bound_memory(conn)?;
    conn.set_limit(Limit::SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX).map(|_| ())
}

/// SQLite opens what lies under the names of its own files: it would wait for a pipe without end, and write what a
/// planted journal says into the data file. So they belong to somebody who may write the data file anyway.
///
/// # Errors
/// [`ErrorKind::WrongType`] with the name of a file that is no file, [`ErrorKind::Refused`] with one of somebody else.
pub(crate) fn refuse_strange_companions(path: &Path) -> Result<()> {
    for end in ["-journal", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        let companion = Path::new(&name);
        if companion.metadata().is_ok_and(|meta| !meta.is_file()) {
            let message = format!("{} is not an ordinary file", companion.display());
            return Err(Error::new(ErrorKind::WrongType, message)
                .hint("SQLite takes it for a part of the data file. Look at who put it there, and remove it."));
        }
        if let Some(user) = storage::owners::stranger_to(path, companion) {
            let (user, of) = (storage::owners::name_of(user), path.display());
            let message = format!("{} belongs to {user}, who may not write {of}", companion.display());
            return Err(Error::new(ErrorKind::Refused, message).hint(
                "SQLite would write what stands in it into the data file. Find out why it is there. If it is a file of \
                 an application, give it to the owner of the data file (chown); else move it away.",
            ));
        }
    }
    Ok(())
}

/// To be called before a connection of [`open_existing`] is dropped: where its close leaves an empty WAL behind that
/// nobody needs, lets SQLite tidy it away as it does for any program that leaves last.
///
/// SQLite empties a WAL after it has written the data file. One that was empty before that is not tidied away: somebody
/// copies another content into the data file, and may be about to put the WAL there that belongs to it.
pub fn leave(conn: &Connection, path: &Path) {
    let (wal, data_file) = (std::fs::metadata(snapshot::wal_path(path)), std::fs::metadata(path));
    let is_later = |wal: &std::fs::Metadata| match (wal.modified(), data_file.as_ref().map(std::fs::Metadata::modified))
    {
        (Ok(emptied), Ok(Ok(written))) => emptied >= written,
        _ => false,
    };
    if wal.is_ok_and(|wal| wal.len() == 0 && is_later(&wal)) {
        // Nothing to checkpoint, so nothing is written to the data file.
        let _ = conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    type Done = std::result::Result<(), Box<dyn std::error::Error>>;

    fn make(path: &Path) -> Done {
        let application = Connection::open(path)?;
        application.execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE t(a); INSERT INTO t VALUES(1)")?;
        drop(application);
        Ok(())
    }

    /// A connection that has read, beside an empty WAL.
    fn reader(path: &Path) -> std::result::Result<Connection, Box<dyn std::error::Error>> {
        let conn = open_existing(path)?;
        conn.query_row("SELECT count(*) FROM t", [], |_| Ok(()))?;
        assert_eq!(snapshot::wal_path(path).metadata()?.len(), 0);
        Ok(conn)
    }

    #[test]
    fn an_empty_wal_is_tidied_away_by_who_leaves_last() -> Done {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a.db");
        make(&path)?;
        let conn = reader(&path)?;
        leave(&conn, &path);
        drop(conn);
        assert!(!snapshot::wal_path(&path).exists());
        Ok(())
    }

    /// `cp` has written the data file and is about to write the WAL that belongs to it: that must not be removed.
    #[cfg(unix)]
    #[test]
    fn the_wal_of_a_copy_that_is_just_being_put_in_place_stays() -> Done {
        let folder = tempfile::tempdir()?;
        let (path, wal) = (folder.path().join("a.db"), folder.path().join("a.db-wal"));
        make(&path)?;
        let conn = reader(&path)?;
        let copy = fs::read(&path)?;
        // Later than the WAL was made, by any file system's clock.
        std::thread::sleep(std::time::Duration::from_millis(30));
        std::process::Command::new("dd")
            .arg(format!("of={}", path.display()))
            .args(["conv=notrunc", "status=none"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .and_then(|mut dd| {
                std::io::Write::write_all(&mut dd.stdin.take().ok_or(std::io::ErrorKind::BrokenPipe)?, &copy)?;
                dd.wait()
            })?;
        leave(&conn, &path);
        fs::write(&wal, "what the copy brings")?;
        drop(conn);
        assert_eq!(fs::read(&wal)?, b"what the copy brings");
        Ok(())
    }
}
