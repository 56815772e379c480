//! Giving a live data file the content of another one, as one transaction of SQLite.
//!
//! Connected programs see new content as after any other commit, and whoever follows the WAL sees one commit. Only
//! pages that differ are written, through `sqlite_dbpage`, the way SQLite's own `sqlite3_rsync` writes a replica
//! (<https://sqlite.org/rsync.html>, <https://sqlite.org/dbpage.html>).
//!
//! Three things of the first page stay those of the live file, because connected programs rely on them: the journal
//! mode, SQLite's counter of changes, and a schema cookie that nobody has seen before, so that every program reads the
//! schema anew.

use std::{
    fs::File,
    path::Path,
    time::{Duration, Instant},
};

use rusqlite::{Connection, config::DbConfig, types::Value};

use super::{
    alias,
    hot::require_ended,
    named::{require_one_wal, require_shared, require_whole_wal},
    open_existing,
    snapshot::is_busy,
};
use crate::{
    control::{Control, Phase},
    error::{Error, ErrorKind, Result},
    storage::{
        identity::{FileIdentity, FileStamp, replaced, require_named, times_open},
        processes,
    },
};

/// How long to wait for a writer, or in rollback mode for readers, to let us in.
const LOCK_WAIT: Duration = Duration::from_secs(30);
/// Bytes of the first page: journal mode, size of the file, schema cookie, largest root page (not 0 with auto-vacuum),
/// whether auto-vacuum is incremental, number of free pages. See
/// <https://sqlite.org/fileformat2.html#the_database_header>.
const MODE: std::ops::Range<usize> = 18..20;
const COUNTER: std::ops::Range<usize> = 24..28;
const FREE_PAGES: usize = 36;
const COOKIE: usize = 40;
const LARGEST_ROOT: usize = 52;
const INCREMENTAL: usize = 64;
const VALID_FOR: std::ops::Range<usize> = 92..96;
/// SQLite keeps its locks at this byte and never stores anything in that page.
const LOCK_BYTE: u64 = 0x4000_0000;

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rewritten {
    /// Pages that differed.
    pub pages_changed: u32,
    /// Pages of the file now.
    pub pages: u32,
    /// How long writers were kept out, in milliseconds.
    pub held_ms: u64,
}

/// The file whose content is taken. SQLite opens it by its path, and whoever may write a folder above it can have
/// another one lie there at that moment; so it is held open from when it was made.
#[derive(Debug)]
pub struct Target<'a> {
    path: &'a Path,
    identity: FileIdentity,
    file: File,
}

impl<'a> Target<'a> {
    /// `file` was opened by way of a folder that is held, and is to be read at `path`.
    ///
    /// # Errors
    /// When nothing can be told of it.
    pub fn held(path: &'a Path, file: File) -> Result<Self> {
        let meta = file.metadata().map_err(|e| Error::io("look at", path, e))?;
        Ok(Self { path, identity: FileStamp::of(&meta).identity, file })
    }

    /// Sees that its path still leads to it.
    ///
    /// # Errors
    /// `Replaced` where it does not.
    pub fn require_named(&self) -> Result<()> {
        require_named(self.path, self.identity)
    }

    /// Sees that something was written into it, and not into what lay at its path for a moment.
    ///
    /// # Errors
    /// `Replaced` where it is empty still.
    pub fn require_written(&self) -> Result<()> {
        match self.file.metadata() {
            Ok(meta) if meta.len() > 0 => Ok(()),
            Ok(_) => Err(replaced(format!("{} was replaced while it was being written", self.path.display()))),
            Err(e) => Err(Error::io("look at", self.path, e)),
        }
    }

    /// Opens it in SQLite, and sees that it is what SQLite has opened.
    fn open(&self) -> Result<Connection> {
        self.require_named()?;
        let before = times_open(self.identity);
        let conn = open_existing(self.path)?;
        self.require_named()?;
        // Between two looks at a path it can have led elsewhere and back; what is open cannot.
        if before.is_some() && times_open(self.identity) <= before {
            return Err(replaced(format!("{} was replaced while it was being opened", self.path.display())));
        }
        Ok(conn)
    }
}

/// Gives the data file at `live` (its canonical path) the content of `target`, which SQLite has not open and nobody
/// else uses.
///
/// `locked` is called once writers are kept out and before anything is changed, also before `target` is read; what was
/// committed by then is what the transaction replaces. After an error, and when stopped, the live file is as it was.
///
/// # Errors
/// `Busy` with the names of the processes that do not let us in, `Refused` when the two files differ in what a
/// transaction cannot change, `Stopped`, or a failing disk.
pub fn rewrite(
    live: &Path,
    target: &Target<'_>,
    control: &Control,
    locked: &mut dyn FnMut() -> Result<()>,
) -> Result<Rewritten> {
    let to = open_to_write(live)?;
    // Pages are written as such here, which is what that keeps others from.
    to.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, false).map_err(|e| Error::sqlite("open", live, e))?;
    control.phase(Phase::Waiting, 0);
    insist(&to, live, "BEGIN IMMEDIATE", control)?;
    let since = Instant::now();
    let replaced = locked().and_then(|()| {
        let from = target.open()?;
        from.execute_batch("BEGIN").map_err(|e| Error::sqlite("read", target.path, e))?;
        replace(&from, &to, (target.path, live), control)
    });
    let outcome = replaced.and_then(|(changed, pages)| {
        if changed > 0 {
            control.phase(Phase::Finishing, 0);
            insist(&to, live, "COMMIT", control)?;
        }
        Ok((changed, pages))
    });
    if !to.is_autocommit() {
        let _ = to.execute_batch("ROLLBACK");
    }
    let (pages_changed, pages) = outcome?;
    Ok(Rewritten { pages_changed, pages, held_ms: since.elapsed().as_millis() as u64 })
}

/// Opens a data file that other programs use, for a transaction that changes it.
///
/// # Errors
/// `Permission` where this user may not write it; as [`require_seen_by_all`] and [`open_existing`].
pub(crate) fn open_to_write(live: &Path) -> Result<Connection> {
    require_ended(live)?;
    let conn = open_existing(live)?;
    if conn.is_readonly(rusqlite::MAIN_DB).unwrap_or(true) {
        return Err(Error::new(ErrorKind::Permission, format!("cannot write {}", live.display()))
            .hint("Run Strongroom as the owner of the file, or give this user the permission to write it."));
    }
    require_seen_by_all(&conn, live)?;
    Ok(conn)
}

/// Sees that all programs that have the data file open see what is written to it by `conn`. One with another WAL, as by
/// another name of the file or after its own was deleted, goes on with what it knows: what it and we write then makes
/// one damaged file.
///
/// # Errors
/// As [`refuse_other_names`](alias::refuse_other_names), [`require_shared`], [`require_whole_wal`],
/// [`require_one_wal`].
pub(crate) fn require_seen_by_all(conn: &Connection, path: &Path) -> Result<()> {
    alias::refuse_other_names(path)?;
    require_shared(path)?;
    // Only who has read uses the index. What cannot be read now is said by whoever reads it.
    let _ = conn.query_row("PRAGMA schema_version", [], |_| Ok(()));
    require_whole_wal(conn, path)?;
    require_one_wal(path)
}

/// Runs `sql` as soon as other programs let us.
///
/// # Errors
/// `Busy` with their names where they do not for too long; `Stopped`.
pub(crate) fn insist(conn: &Connection, path: &Path, sql: &str, control: &Control) -> Result<()> {
    let asked = Instant::now();
    loop {
        control.check()?;
        match conn.execute_batch(sql) {
            Ok(()) => return Ok(()),
            Err(e) if is_busy(&e) && asked.elapsed() < LOCK_WAIT => std::thread::sleep(Duration::from_millis(5)),
            Err(e) if is_busy(&e) => {
                let found = processes::holders(&[path.to_path_buf()]);
                let seconds = LOCK_WAIT.as_secs();
                let message = format!("{} was locked by another program for {seconds} s", path.display());
                return Err(Error::new(ErrorKind::Busy, message)
                    .hint(format!(
                        "It is open in {}. End the long transaction there, or that program, and try again.",
                        found.in_words()
                    ))
                    .because(e));
            }
            Err(e) => return Err(Error::sqlite("write to", path, e)),
        }
    }
}

/// Writes what differs; returns how many pages did, and how many there are now.
fn replace(
    from: &Connection,
    to: &Connection,
    (target, live): (&Path, &Path),
    control: &Control,
) -> Result<(u32, u32)> {
    let read = |e| Error::sqlite("read", target, e);
    let write = |e| Error::sqlite("write to", live, e);
    let number = |conn: &Connection, sql: &str| conn.query_row(sql, [], |row| row.get::<_, u32>(0));
    let (size, size_live) =
        (number(from, "PRAGMA page_size").map_err(read)?, number(to, "PRAGMA page_size").map_err(write)?);
    let (pages, pages_live) =
        (number(from, "PRAGMA page_count").map_err(read)?, number(to, "PRAGMA page_count").map_err(write)?);
    let first = page(from, 1).map_err(read)?;
    let first_live = page(to, 1).map_err(write)?;
    refuse_unlike((size, &first), (size_live, &first_live), live)?;
    let lock_page = (LOCK_BYTE / u64::from(size)) as u32 + 1;
    control.phase(Phase::Writing, u64::from(pages) * u64::from(size));
    let mut changed = 0;
    {
        let mut all = from.prepare("SELECT pgno, data FROM sqlite_dbpage").map_err(read)?;
        let mut same = to.prepare("SELECT data FROM sqlite_dbpage WHERE pgno=?1").map_err(write)?;
        let mut put = to.prepare("INSERT INTO sqlite_dbpage(pgno, data) VALUES(?1, ?2)").map_err(write)?;
        let mut rows = all.query([]).map_err(read)?;
        while let Some(row) = rows.next().map_err(read)? {
            control.check()?;
            control.add(u64::from(size));
            let at: u32 = row.get(0).map_err(read)?;
            if at == 1 || at == lock_page {
                continue;
            }
            let image = row.get_ref(1).and_then(|v| v.as_blob().map_err(Into::into)).map_err(read)?;
            let known = at <= pages_live
                && same.query_row([at], |row| Ok(row.get_ref(0)?.as_blob()? == image)).map_err(write)?;
            if !known {
                put.execute((at, image)).map_err(write)?;
                changed += 1;
            }
        }
        if changed > 0 || pages != pages_live || differs(&first, &first_live) {
            let mut image = merge(first, &first_live);
            let cookie = word(&image, COOKIE);
            // With the cookie that this connection knows: a new one would keep it from cutting the file afterwards.
            image[COOKIE..COOKIE + 4].copy_from_slice(&first_live[COOKIE..COOKIE + 4]);
            changed += 1;
            put.execute((1, image)).map_err(write)?;
            if pages < pages_live {
                // After all pages, and one row alone: at the end of a statement of several rows SQLite takes the number
                // of pages from the new first page, and at the commit finds nothing to be cut off.
                put.execute((pages + 1, Value::Null)).map_err(write)?;
            }
            to.pragma_update(None, "schema_version", cookie.cast_signed()).map_err(write)?;
        }
    }
    Ok((changed, pages))
}

fn page(conn: &Connection, number: u32) -> rusqlite::Result<Vec<u8>> {
    conn.query_row("SELECT data FROM sqlite_dbpage WHERE pgno=?1", [number], |row| row.get(0))
}

fn word(page: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([page[at], page[at + 1], page[at + 2], page[at + 3]])
}

/// What a transaction cannot change, or what it would change at its commit.
fn refuse_unlike((size, page): (u32, &[u8]), (size_live, live): (u32, &[u8]), path: &Path) -> Result<()> {
    let hint =
        "Restore into a folder, end the programs that use the data file, and put the restored file in its place.";
    if size != size_live {
        let message =
            format!("{} has pages of {size_live} bytes now and had {size} at the moment wanted", path.display());
        return Err(Error::new(ErrorKind::Refused, message).hint(hint));
    }
    // With full auto-vacuum a commit moves pages until none is free; the state wanted has free pages that must stay.
    let vacuums = word(live, LARGEST_ROOT) != 0 && word(live, INCREMENTAL) == 0;
    if vacuums && word(page, FREE_PAGES) != 0 {
        let message = format!("auto-vacuum was switched on in {} after the moment wanted", path.display());
        return Err(Error::new(ErrorKind::Refused, message).hint(hint));
    }
    Ok(())
}

/// Whether two first pages differ in more than what every commit changes.
fn differs(page: &[u8], live: &[u8]) -> bool {
    let own = |at: usize| {
        MODE.contains(&at) || COUNTER.contains(&at) || VALID_FOR.contains(&at) || (COOKIE..COOKIE + 4).contains(&at)
    };
    page.iter().zip(live).enumerate().any(|(at, (a, b))| a != b && !own(at))
}

/// The first page wanted, with what must stay as it is in the live file.
fn merge(mut page: Vec<u8>, live: &[u8]) -> Vec<u8> {
    page[MODE].copy_from_slice(&live[MODE]);
    page[COUNTER].copy_from_slice(&live[COUNTER]);
    page[VALID_FOR].copy_from_slice(&live[VALID_FOR]);
    let cookie = word(&page, COOKIE).max(word(live, COOKIE)).wrapping_add(1);
    page[COOKIE..COOKIE + 4].copy_from_slice(&cookie.to_be_bytes());
    page
}
