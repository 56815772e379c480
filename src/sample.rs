//! The sample data file: the records of a Swiss office as its business software would keep them, to try everything on
//! without risk, and the [`client`] that goes on working with it.
//!
//! # How it is made
//! The database is filled under a temporary name, without a journal and without syncs, since an unfinished one is
//! thrown away as a whole. Only then it is switched to WAL mode and closed, so that the single file is complete; it is
//! synced and gets its final name. Renaming a data file to which a connection or a WAL belongs would tear them apart.

pub mod client;
mod fill;
mod letters;
mod names;
mod random;
mod schema;

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags};

use crate::{
    control::{Control, Phase},
    error::{Error, ErrorKind, Result},
    storage::{self, Disk},
};

/// The name of the sample in the folder it is created in.
pub const FILE_NAME: &str = "OMB_Edelweiss.sqlite";

/// Creates the sample in `folder`, which is made if missing, and returns its path.
///
/// It is always the same: some 50,000 records, 10 to 20 MB, WAL mode, pages of 4096 bytes.
///
/// # Errors
/// `Exists` when the file or a WAL or journal of that name is there already, `Stopped`, and what the disk reports.
/// After an error nothing is left behind, neither files nor folders.
pub fn create(folder: &Path, control: &Control) -> Result<PathBuf> {
    build(folder, control, fill::fill)
}

/// [`create`] with the filling given, so that tests can let it fail or be stopped at a chosen moment.
fn build(
    folder: &Path,
    control: &Control,
    fill: impl FnOnce(&Connection, &Path, &Control) -> Result<()>,
) -> Result<PathBuf> {
    control.phase(Phase::Preparing, 0);
    control.check()?;
    let path = folder.join(FILE_NAME);
    storage::refuse_existing(&path)?;
    // SQLite would take the leftover of a former file of this name for the sample's own and play it into the sample.
    for suffix in ["-wal", "-journal"] {
        storage::refuse_existing(&with_suffix(&path, suffix))?;
    }
    let folders = NewFolders::make(folder)?;
    let part = Part::create(folder)?;
    let conn = open_part(&part.path)?;
    fill(&conn, &part.path, control)?;
    control.phase(Phase::Finishing, 0);
    finish(conn, &part.path)?;
    control.check()?;
    storage::publish(&Disk, &part.path, &path)?;
    folders.keep();
    Ok(path)
}

/// Opens the empty file `part`, prepared for being filled as fast as possible.
fn open_part(part: &Path) -> Result<Connection> {
    let fail = |e| Error::sqlite("create", part, e);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(part, flags).map_err(fail)?;
    conn.execute_batch(&format!(
        "PRAGMA page_size=4096; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-65536;
         PRAGMA locking_mode=EXCLUSIVE; PRAGMA foreign_keys=ON;
         PRAGMA application_id={}; PRAGMA user_version={}",
        schema::APPLICATION_ID,
        schema::SCHEMA_VERSION,
    ))
    .map_err(fail)?;
    Ok(conn)
}

/// Switches the filled database to WAL mode, closes and syncs it; afterwards it is one complete file.
fn finish(conn: Connection, part: &Path) -> Result<()> {
    let fail = |e| Error::sqlite("finish", part, e);
    let mode: String = conn.query_row("PRAGMA journal_mode=WAL", [], |row| row.get(0)).map_err(fail)?;
    conn.close().map_err(|(_, e)| fail(e))?;
    if mode != "wal" || with_suffix(part, "-wal").symlink_metadata().is_ok() {
        return Err(Error::new(
            ErrorKind::Sqlite,
            format!("cannot finish {}: its write-ahead log could not be switched on and emptied", part.display()),
        )
        .hint("Choose a folder on a local disk; SQLite needs one for its write-ahead log."));
    }
    OpenOptions::new().write(true).open(part).and_then(|file| file.sync_all()).map_err(|e| Error::io("sync", part, e))
}

/// The unfinished sample under its temporary name; dropping it removes what still carries that name.
struct Part {
    path: PathBuf,
}

impl Part {
    /// An empty file with a name of its own, so that the leftover of a crash is never in the way.
    fn create(folder: &Path) -> Result<Self> {
        let fail = |e| Error::io("create a file in", folder, e);
        let named = tempfile::Builder::new()
            .prefix("OMB_Edelweiss-")
            .suffix(&format!(".sqlite{}", storage::PART_SUFFIX))
            // Not `tempfile_in`, whose files are for this user alone: colleagues may read the sample, and not write it.
            .make_in(folder, |path| {
                let mut options = File::options();
                options.write(true).create_new(true);
                #[cfg(unix)]
                std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o644);
                options.open(path).map(drop)
            })
            .map_err(fail)?;
        let path = named.into_temp_path().keep().map_err(|e| fail(e.error))?;
        Ok(Self { path })
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let _ = fs::remove_file(with_suffix(&self.path, suffix));
        }
    }
}

/// The folders that were missing, the innermost first; dropping it removes them again where they are empty.
struct NewFolders(Vec<PathBuf>);

impl NewFolders {
    fn make(folder: &Path) -> Result<Self> {
        let missing = |path: &&Path| !path.as_os_str().is_empty() && path.symlink_metadata().is_err();
        let made = Self(folder.ancestors().take_while(missing).map(Path::to_path_buf).collect());
        storage::make_folders(folder)?;
        Ok(made)
    }

    fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for NewFolders {
    fn drop(&mut self) {
        for folder in &self.0 {
            let _ = fs::remove_dir(folder);
        }
    }
}

fn with_suffix(path: &Path, suffix: impl AsRef<OsStr>) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Whether this data file is the sample, by the mark that [`create`] gives it.
pub fn is_sample(facts: &crate::sqlite::data_file::DataFileFacts) -> bool {
    facts.application_id == schema::APPLICATION_ID as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

    /// Lets the creation end early and gives its error, after making sure that it left neither files nor folders.
    fn ends_early(fill: impl FnOnce(&Connection, &Path, &Control) -> Result<()>) -> Result<Error, &'static str> {
        let folder = tempfile::tempdir().map_err(|_| "no folder")?;
        let error = build(&folder.path().join("new/deep"), &Control::default(), fill).err().ok_or("created")?;
        let left = fs::read_dir(folder.path()).map_err(|_| "the folder that was there is gone")?;
        assert_eq!(left.count(), 0);
        Ok(error)
    }

    #[test]
    fn a_stop_in_the_middle_leaves_nothing_behind() -> Outcome {
        let error = ends_early(|conn, part, control| {
            let fail = |e| Error::sqlite("fill", part, e);
            // More than the cache holds, so that unfinished pages are in the file.
            conn.execute_batch(
                "PRAGMA cache_size=10; BEGIN; CREATE TABLE t(x);
                 WITH n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n LIMIT 100)
                 INSERT INTO t SELECT zeroblob(9000) FROM n",
            )
            .map_err(fail)?;
            assert!(fs::metadata(part).is_ok_and(|meta| meta.len() > 500_000));
            control.stop();
            control.check()
        })?;
        assert_eq!(error.kind(), ErrorKind::Stopped);
        Ok(())
    }

    #[test]
    fn a_stop_after_the_last_record_leaves_nothing_behind() -> Outcome {
        let error = ends_early(|_, _, control| {
            control.stop();
            Ok(())
        })?;
        assert_eq!(error.kind(), ErrorKind::Stopped);
        Ok(())
    }

    #[test]
    fn a_failure_leaves_nothing_behind() -> Outcome {
        let error = ends_early(|conn, part, _| {
            conn.execute_batch("PRAGMA max_page_count=1; CREATE TABLE t(x)").map_err(|e| Error::sqlite("fill", part, e))
        })?;
        assert_eq!(error.kind(), ErrorKind::NoSpace);
        Ok(())
    }

    #[test]
    fn a_file_that_came_up_meanwhile_is_kept() -> Outcome {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join(FILE_NAME);
        let error = build(folder.path(), &Control::default(), |_, _, _| {
            fs::write(&path, "mine").map_err(|e| Error::io("write", &path, e))
        });
        assert_eq!(error.err().map(|e| e.kind()), Some(ErrorKind::Exists));
        assert_eq!(fs::read(&path)?, b"mine");
        assert_eq!(fs::read_dir(folder.path())?.count(), 1);
        Ok(())
    }
}
