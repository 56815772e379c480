//! Compacting a data file: SQLite's `VACUUM`, into a copy beside it that is checked before the live file takes its
//! content.
//!
//! `VACUUM` alone works in a folder for temporary files that nobody chose, which is often small, and overwrites a file
//! of which nobody knows whether it is sound. Here the copy lies beside the data file, is made while writers are kept
//! out, must pass SQLite's integrity check, and is then written as one transaction (see [`rewrite`](super::rewrite)),
//! which the log records like any other.

use std::path::Path;

use rusqlite::Connection;

use super::{
    data_file::DataFileFacts,
    integrity::{self, Integrity, interruptible},
    locks, open_existing,
    rewrite::{Rewritten, Target, rewrite},
    snapshot::wal_path,
};
use crate::{
    control::{Control, Phase},
    error::{Error, ErrorKind, Result},
    storage::{self, Ownership, scratch::Scratch, space::require_space},
};

/// File name of the copy, in a scratch folder.
const COPY: &str = "compact";

/// What compacting takes and gives, as far as it can be told before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// Space for the copy and for the transaction, in bytes, in the folder of the data file.
    pub needs_bytes: u64,
    /// Bytes that become free at least: the pages not in use.
    pub frees_bytes: u64,
}

/// What compacting `facts` takes and gives.
pub fn need(facts: &DataFileFacts) -> Need {
    let size = u64::from(facts.page_size);
    let used = u64::from(facts.page_count.saturating_sub(facts.free_pages)) * size;
    Need { needs_bytes: 2 * used, frees_bytes: u64::from(facts.free_pages) * size }
}

/// Refuses while another program has the data file open.
///
/// # Errors
/// `Busy` with their names.
pub fn refuse_while_open(path: &Path) -> Result<()> {
    let found = locks::holders(path, &[path.to_path_buf(), wal_path(path)]);
    if found.processes.is_empty() {
        return Ok(());
    }
    let message = format!("{} is open in {}", path.display(), found.in_words());
    Err(Error::new(ErrorKind::Busy, message)
        .hint("End these programs, so that nobody waits while it is compacted, then try again."))
}

/// Compacts the data file at `path` (its canonical path), and says why its content could not be checked, if so. After
/// an error, and when stopped, it is as it was.
///
/// # Errors
/// `Busy` with the names of the programs that have it open, `NoSpace`, `Damaged` when SQLite finds it damaged,
/// `Stopped`.
pub fn compact(path: &Path, facts: &DataFileFacts, control: &Control) -> Result<(Rewritten, Option<String>)> {
    refuse_while_open(path)?;
    let folder = storage::folder_of(path);
    require_space(folder, need(facts).needs_bytes)?;
    let scratch = Scratch::new(folder)?;
    let copy = scratch.path().join(COPY);
    let target = empty_copy(&scratch, &copy)?;
    let mut not_checked = None;
    let outcome = rewrite(path, &target, control, &mut || {
        control.phase(Phase::Compacting, 0);
        let conn = open_existing(path)?;
        copy_into(&conn, (path, &copy), &target, control)?;
        drop(conn);
        match integrity::check(&copy, control)? {
            Integrity::Sound => Ok(()),
            // Tables of an extension are copied as they are, and can be checked by nobody else.
            Integrity::Unknown(why) => {
                not_checked = Some(why);
                Ok(())
            }
            Integrity::Problems(lines) => {
                let first = lines.first().map_or("", String::as_str);
                Err(Error::new(ErrorKind::Damaged, format!("{} is damaged: {first}", path.display()))
                    .hint("It was not compacted. Restore the last archive, and keep the damaged file."))
            }
        }
    });
    storage::clean_up(move || drop(scratch));
    Ok((outcome?, not_checked))
}

/// Makes the file for the copy, which nobody but this user can read: SQLite would make it readable for everybody, and
/// by the path, which leads elsewhere as soon as whoever may write the folder renames the scratch folder.
fn empty_copy<'a>(scratch: &Scratch, copy: &'a Path) -> Result<Target<'a>> {
    let private = Ownership { mode: Some(0o600), owner: None };
    let file = scratch.folder().create(Path::new(COPY), private)?;
    // SQLite has locks of its own, and on some network disks this one would be in their way.
    let _ = file.unlock();
    Target::held(copy, file)
}

/// Writes the content of the data file at `path`, open in `conn`, into the empty file at `copy`.
fn copy_into(conn: &Connection, (path, copy): (&Path, &Path), target: &Target<'_>, control: &Control) -> Result<()> {
    target.require_named()?;
    let made = interruptible(conn, control, &|conn| conn.execute("VACUUM INTO ?1", [copy.to_string_lossy()]).map(drop));
    // Whatever SQLite says of a file of somebody else's is not what is wrong.
    target.require_named()?;
    made.map_err(|e| if control.is_stopped() { Error::stopped() } else { Error::sqlite("compact", path, e) })?;
    target.require_written()
}

/// Lets the file become as short as its content, where no log does that: what was written stands in the WAL still.
pub fn settle(path: &Path) {
    if let Ok(conn) = open_existing(path) {
        // Only a connection that has read something knows that there is a WAL.
        let _ = conn.query_row("PRAGMA schema_version", [], |_| Ok(()));
        // Somebody who reads just now keeps it as it is; then it becomes shorter later.
        let _ = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::sqlite::data_file::identify;

    type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

    fn rows(conn: &Connection) -> rusqlite::Result<(i64, i64)> {
        conn.query_row("SELECT count(*), sum(length(x)) FROM t", [], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    #[test]
    fn pages_not_in_use_go_and_the_content_stays() -> Outcome {
        for (mode, vacuum) in [("WAL", 0), ("DELETE", 0), ("WAL", 1), ("DELETE", 2)] {
            let folder = tempfile::tempdir()?;
            let path = folder.path().canonicalize()?.join("a.sqlite");
            // In this process, which does not count as another program; and it sees the new content.
            let application = Connection::open(&path)?;
            application.execute_batch(&format!(
                "PRAGMA auto_vacuum={vacuum}; PRAGMA journal_mode={mode}; CREATE TABLE t(x); CREATE INDEX i ON t(x);
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<4000) INSERT INTO t SELECT \
                 randomblob(300) FROM n;
                 DELETE FROM t WHERE rowid%4<>0"
            ))?;
            let before = rows(&application)?;
            let facts = identify(&path)?;
            let expected = need(&facts);
            assert!(expected.frees_bytes > 0 || vacuum == 1, "{mode} {vacuum}");
            let (done, _) = compact(&path, &facts, &Control::default())?;
            settle(&path);
            assert!(done.pages < facts.page_count && done.pages_changed > 0, "{done:?}");
            let freed = u64::from(facts.page_count - done.pages) * u64::from(facts.page_size);
            assert!(freed >= expected.frees_bytes, "{freed} of {expected:?}");
            assert_eq!(rows(&application)?, before);
            let after = identify(&path)?;
            assert_eq!((after.page_count, after.free_pages), (done.pages, 0), "{mode}");
            assert_eq!(after.size_bytes, u64::from(done.pages) * u64::from(after.page_size), "{mode}");
            assert_eq!(after.journal_mode, facts.journal_mode);
            assert_eq!(application.query_row("PRAGMA integrity_check", [], |r| r.get::<_, String>(0))?, "ok");
            storage::await_clean_up();
            let names = std::fs::read_dir(folder.path())?.filter_map(|e| e.ok()?.file_name().into_string().ok());
            assert!(!names.into_iter().any(|name| name.contains("compact")), "nothing is left");
        }
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn the_copy_is_private_and_written_nowhere_else() -> Outcome {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir()?;
        let path = folder.path().canonicalize()?.join("a.sqlite");
        let application = Connection::open(&path)?;
        application.execute_batch("CREATE TABLE t(x); INSERT INTO t VALUES('secret')")?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        let before = std::fs::read(&path)?;
        let conn = open_existing(&path)?;
        let scratch = Scratch::new(&path.with_file_name(""))?;
        let copy = scratch.path().join(COPY);
        let target = empty_copy(&scratch, &copy)?;
        copy_into(&conn, (&path, &copy), &target, &Control::default())?;
        assert_eq!(copy.metadata()?.permissions().mode() & 0o777, 0o600);
        assert!(copy.metadata()?.len() > 0);

        // Somebody who may write the folder puts his own in the place of the scratch folder.
        let scratch = Scratch::new(&path.with_file_name(""))?;
        let copy = scratch.path().join(COPY);
        let target = empty_copy(&scratch, &copy)?;
        let whole = storage::folder_of(scratch.path());
        std::fs::rename(whole, whole.with_file_name("away"))?;
        std::fs::create_dir_all(scratch.path())?;
        std::fs::write(&copy, "")?;
        let error = copy_into(&conn, (&path, &copy), &target, &Control::default()).err().ok_or("written elsewhere")?;
        assert_eq!((error.kind(), copy.metadata()?.len()), (ErrorKind::Replaced, 0), "{error}");
        // Nor is what he puts there taken for the content, where the folder is away only then.
        std::fs::copy(&path, &copy)?;
        let error = rewrite(&path, &target, &Control::default(), &mut || Ok(())).err().ok_or("written")?;
        assert_eq!(error.kind(), ErrorKind::Replaced, "{error}");
        assert_eq!(std::fs::read(&path)?, before);
        Ok(())
    }

    #[test]
    fn a_damaged_file_is_left_as_it_is() -> Outcome {
        let folder = tempfile::tempdir()?;
        let path = folder.path().canonicalize()?.join("a.sqlite");
        let writer = Connection::open(&path)?;
        writer.execute_batch(
            "CREATE TABLE t(x); CREATE INDEX i ON t(x);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<3000) INSERT INTO t SELECT i FROM n",
        )?;
        drop(writer);
        let mut bytes = std::fs::read(&path)?;
        let page = bytes.len() / 2 / 4096 * 4096;
        bytes[page..page + 600].fill(0xaa);
        std::fs::write(&path, &bytes)?;
        let error = compact(&path, &identify(&path)?, &Control::default()).err().ok_or("compacted")?;
        assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
        assert_eq!(std::fs::read(&path)?, bytes);
        Ok(())
    }
}
