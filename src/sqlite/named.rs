//! Whether what SQLite holds open of a data file is still what its path names.
//!
//! SQLite opens the data file, its `-wal` and its `-shm` by name once, and then goes on with what it opened. When one
//! of the three is deleted or replaced, this program and the application work on different files: each sees only its
//! own commits, and a checkpoint of ours would write pages of the old file into the new one. So who keeps connections
//! open remembers which files they are, and compares before every checkpoint, before commits are taken as those of the
//! data file, and every two seconds.

use std::path::Path;

use rusqlite::Connection;

use super::{
    alias, ffi, leave, locks, open_existing,
    snapshot::{JournalMode, shm_path, wal_path},
};
use crate::{
    error::{Error, ErrorKind, Result},
    storage::{
        identity::{FileIdentity, replaced, require_named, times_open},
        processes::{self, Process},
        regular::{self, Links},
    },
};

/// The files of a data file that are held open together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedFiles {
    data_file: FileIdentity,
    wal: Option<FileIdentity>,
    shm: Option<FileIdentity>,
}

impl NamedFiles {
    /// Those that `path` (canonical) names now.
    ///
    /// # Errors
    /// [`ErrorKind::Replaced`](crate::error::ErrorKind::Replaced) when there is no data file, or it cannot be looked
    /// at.
    pub fn look(path: &Path) -> Result<Self> {
        let of = |path: &Path| {
            FileIdentity::of_path(path).map_err(|e| {
                let message = format!("{} cannot be looked at any more", path.display());
                replaced(message).because(e)
            })
        };
        let gone = || replaced(format!("{} was deleted or renamed, or its disk was taken away", path.display()));
        Ok(Self { data_file: of(path)?.ok_or_else(gone)?, wal: of(&wal_path(path))?, shm: of(&shm_path(path))? })
    }

    /// Those that a connection just opened holds, which has begun to read: `before` was looked at before it was opened.
    ///
    /// # Errors
    /// When one of them changed meanwhile, so that nobody can tell which one was opened: `Replaced` for the data file;
    /// `Busy` for its companions, which the last program that closes the file removes.
    pub fn opened(path: &Path, before: &Self) -> Result<Self> {
        let now = Self::look(path)?;
        if now.data_file != before.data_file {
            return Err(replaced(format!("{} was replaced while it was being opened", path.display())));
        }
        let same = |before: Option<FileIdentity>, now| before.is_none() || before == now;
        if same(before.wal, now.wal) && same(before.shm, now.shm) {
            return Ok(now);
        }
        Err(Error::new(ErrorKind::Busy, format!("{} was just being closed by another program", path.display()))
            .hint("Try again in a moment."))
    }

    /// Sees that `path` still names them all.
    ///
    /// # Errors
    /// `Replaced`, with the file that is another one now.
    pub fn require(&self, path: &Path) -> Result<()> {
        require_named(path, self.data_file)?;
        for (companion, opened) in [(wal_path(path), self.wal), (shm_path(path), self.shm)] {
            match opened {
                Some(opened) => require_named(&companion, opened)?,
                None if FileIdentity::of_path(&companion).ok().flatten().is_some() => {
                    return Err(replaced(format!("{} was made by another program", companion.display())));
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Whether `path` still has the WAL and the index that are held open.
    pub fn are_companions_named(&self, path: &Path) -> bool {
        let is_same = |companion: &Path, opened: Option<FileIdentity>| {
            opened.is_some() && FileIdentity::of_path(companion).ok().flatten() == opened
        };
        is_same(&wal_path(path), self.wal) && is_same(&shm_path(path), self.shm)
    }

    /// Whether `path` names the data file that is held open.
    pub fn is_data_file_named(&self, path: &Path) -> bool {
        FileIdentity::of_path(path).ok().flatten() == Some(self.data_file)
    }

    /// Whether another program may have the data file or its index open, the one that is there now or the one that was.
    /// So also where the system does not tell.
    pub fn is_open_elsewhere(&self, path: &Path) -> bool {
        let held = std::iter::once(self.data_file).chain(self.shm);
        let mut held = held.map(locks::is_held_elsewhere);
        // Where there is none now, nobody has it open.
        let is_another = FileIdentity::of_path(path).is_ok_and(|now| now.is_some_and(|now| now != self.data_file));
        held.any(|held| held != Some(false)) || is_another && locks::is_open_elsewhere(path) != Some(false)
    }

    /// Whether both are the same files: what was read through the one belongs to what is held through the other.
    ///
    /// # Errors
    /// `Replaced` where they differ.
    pub fn require_same(&self, other: &Self, path: &Path) -> Result<()> {
        if self == other {
            return Ok(());
        }
        Err(replaced(format!("{} was replaced by another file", path.display())))
    }
}

/// Refuses to open `path` while this process still holds an index of it (`-shm`) that belongs to a file that was
/// replaced: SQLite would share it, and closing the old one would drop the locks of the new one.
///
/// # Errors
/// `Busy`: a job that reads the old file has to end first. Systems that do not list a process's own files are not
/// asked.
pub fn require_released(path: &Path) -> Result<()> {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::ffi::OsStrExt;
        let shm = shm_path(path);
        let now = FileIdentity::of_path(&shm).ok().flatten();
        let data_file = FileIdentity::of_path(path).ok().flatten();
        let Ok(open) = std::fs::read_dir("/proc/self/fd") else { return Ok(()) };
        let (mut index_is_held, mut data_file_is_held, mut stale) = (false, false, false);
        for fd in open.flatten() {
            let Ok(link) = std::fs::read_link(fd.path()) else { continue };
            let link = link.as_os_str().as_bytes();
            // Looks at the file behind the descriptor and opens nothing.
            let identity = || FileIdentity::of_path(&fd.path()).ok().flatten();
            if link.strip_suffix(b" (deleted)").unwrap_or(link) == shm.as_os_str().as_bytes() {
                index_is_held = true;
                stale |= identity() != now;
            } else if link == path.as_os_str().as_bytes() {
                data_file_is_held |= identity() == data_file;
            }
        }
        // An index without the data file that it belongs to: that one was replaced.
        if stale || index_is_held && !data_file_is_held {
            return Err(Error::new(
                ErrorKind::Busy,
                format!("a job still reads what {} was before it was replaced", path.display()),
            )
            .hint("It ends by itself in a moment, or can be stopped; then the file is opened anew."));
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = path;
    Ok(())
}

/// Refuses a data file that another program has open together with a `-wal` or `-shm` that was deleted: what it commits
/// is in files without a name, and what anybody else reads is not its state.
///
/// # Errors
/// `Replaced`, with the program. Processes that this user may not look into are not seen.
pub fn require_shared(path: &Path) -> Result<()> {
    let apart = processes::on_deleted_companions(path, &[wal_path(path), shm_path(path)]);
    if apart.is_empty() {
        return Ok(());
    }
    let who = processes::Holders { processes: apart, may_be_more: false }.in_words();
    let message = format!("the -wal or -shm file of {} was deleted under {who}", path.display());
    Err(Error::new(ErrorKind::Replaced, message).hint(
        "Only that program sees what it commits now. Have it save its data elsewhere if it can, then end it and begin \
         it again; backups and the log go on by themselves.",
    ))
}

/// The processes, this one not among them, that read the data file at `path` and do not use its `-shm`, which is there:
/// every program in WAL mode locks both. What they commit nobody else sees.
pub fn apart(path: &Path) -> Vec<Process> {
    let mut found = processes::apart_by_locks(path, &shm_path(path));
    // In a container the list has those of the container only.
    if found.is_empty() && !processes::sees_all() {
        let is_apart = || locks::is_read_apart(path) == Some(true);
        if processes::while_seen(is_apart(), |_| is_apart()) {
            found.push(Process::unseen());
        }
    }
    found
}

/// Which processes, of these or of all, write to the data file at `path` without the locks that others see.
pub fn without_locks(path: &Path, among: Option<&[Process]>) -> Vec<Process> {
    processes::without_locks(path, (&wal_path(path), &shm_path(path)), among)
}

/// As [`apart`], and those that use no locks: every process is looked at, and what one is while it opens or closes the
/// file is none.
fn apart_of_all(path: &Path) -> Vec<Process> {
    let mut found = apart(path);
    found.extend(processes::while_seen(without_locks(path, None), |found| without_locks(path, Some(found))));
    found.sort();
    found.dedup();
    found
}

/// As [`apart`], and those that have a deleted `-wal` or `-shm` open, for a data file in WAL mode that this process
/// does not have open: it is opened for as long as that takes.
pub fn apart_from_outside(path: &Path) -> Vec<Process> {
    let mut found = processes::on_deleted_companions(path, &[wal_path(path), shm_path(path)]);
    let Ok(held) = open_existing(path) else { return found };
    // Only who has read uses the index.
    if held.query_row("PRAGMA schema_version", [], |_| Ok(())).is_ok() {
        found.extend(apart_of_all(path));
        found.sort();
        found.dedup();
    }
    leave(&held, path);
    found
}

/// Why programs may commit to the data file at `path` what nobody finds in it or its WAL: one has it open with another
/// WAL, or it has another name by which programs may use it. `None` where none was found, and where there is no such
/// file.
///
/// As [`require_shared`], it does not see processes that this user may not look into.
pub fn elsewhere(path: &Path) -> Option<Error> {
    let identity = FileIdentity::of_path(path).ok().flatten()?;
    let apart = match times_open(identity) {
        // A further connection would tell nothing more.
        Some(1..) => {
            let mut apart = processes::on_deleted_companions(path, &[wal_path(path), shm_path(path)]);
            apart.extend(apart_of_all(path));
            apart
        }
        _ => apart_from_outside(path),
    };
    let who = processes::Holders { processes: apart, may_be_more: false };
    let apart = (!who.processes.is_empty()).then(|| {
        let message = format!(
            "{} works on another file than {}, or without its -wal and -shm files",
            who.in_words(),
            path.display()
        );
        Error::new(ErrorKind::Replaced, message)
    });
    apart.or_else(|| alias::refuse_other_names(path).err())
}

/// Refuses a data file in WAL mode, which this process has begun to read, that another program has open without its
/// `-wal` and `-shm`: with those of another name, or with some that were deleted since. What it commits is not seen
/// here.
///
/// # Errors
/// `Replaced`, with the program.
pub fn require_one_wal(path: &Path) -> Result<()> {
    let apart = apart_of_all(path);
    if apart.is_empty() {
        return Ok(());
    }
    let who = processes::Holders { processes: apart, may_be_more: false }.in_words();
    let message = format!("{who} has {} open, and does not use its -wal and -shm files", path.display());
    Err(Error::new(ErrorKind::Replaced, message).hint(
        "What it commits cannot be seen here. Either these files were deleted under it: have it save its data \
         elsewhere, then end it and begin it again. Or it has the file by another name, as a container does that was \
         given the file alone: give it the folder. Or it uses no locks, or another kind of them: have it use those of \
         SQLite.",
    ))
}

/// Refuses a data file in WAL mode, which `conn` has begun to read, whose `-wal` is not the one that its index is
/// about: it was deleted under a program that has it open still, which goes on with a file that nobody else sees.
///
/// # Errors
/// `Replaced`.
pub fn require_whole_wal(conn: &Connection, path: &Path) -> Result<()> {
    // In rollback mode there is no index, and SQLite would make one to ask for it, and never let go of it.
    let mut header = [0; 100];
    if ffi::read_file(conn, path, 0, &mut header).is_err() || JournalMode::of_header(&header) != JournalMode::Wal {
        return Ok(());
    }
    let wal = wal_path(path);
    let is_strange = || {
        let index = ffi::backfill(conn, path).ok().flatten();
        index.is_some_and(|index| !head_of_wal(&wal).is_some_and(|(head, length)| index.is_in(&head, length)))
            && index.is_some_and(|index| !index.is_empty())
    };
    // Whoever begins the WAL anew writes its head and the index one after the other. Where somebody writes all the
    // time, one after the other is a matter of a moment.
    if is_strange() {
        // Who may only read the index cannot keep writers out of it.
        let still = ffi::while_nobody_writes(conn, path, is_strange).ok().flatten();
        if still.unwrap_or_else(|| {
            std::thread::sleep(std::time::Duration::from_millis(60));
            is_strange()
        }) {
            let message =
                format!("{} was deleted, replaced, cut or overwritten under programs that have it open", wal.display());
            return Err(Error::new(ErrorKind::Replaced, message).hint(
                "What such a program commits now, no other one sees. Have it save its data elsewhere if it can, \
                 then end it and begin it again; backups and the log go on by themselves.",
            ));
        }
    }
    Ok(())
}

/// The first 32 bytes of a WAL that has so many, and its length.
fn head_of_wal(wal: &Path) -> Option<([u8; 32], u64)> {
    let mut head = [0; 32];
    let (mut file, meta) = regular::open(wal, Links::Refused).ok()?;
    std::io::Read::read_exact(&mut file, &mut head).ok()?;
    Some((head, meta.len()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rusqlite::Connection;

    use super::*;
    use crate::sqlite::open_existing;

    type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

    fn in_wal_mode(path: &Path) -> rusqlite::Result<Connection> {
        let writer = Connection::open(path)?;
        writer.execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES(1)")?;
        Ok(writer)
    }

    #[test]
    fn a_wal_that_was_deleted_under_a_program_is_missed() -> Outcome {
        let folder = tempfile::tempdir()?;
        let path = folder.path().canonicalize()?.join("a.sqlite");
        let program = in_wal_mode(&path)?;
        let reader = open_existing(&path)?;
        reader.query_row("SELECT count(*) FROM t", [], |_| Ok(()))?;
        require_whole_wal(&reader, &path)?;
        // Begun anew, with and without frames.
        program.execute_batch("PRAGMA wal_checkpoint(RESTART)")?;
        require_whole_wal(&reader, &path)?;
        program.execute_batch("INSERT INTO t VALUES(2)")?;
        require_whole_wal(&reader, &path)?;
        program.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
        require_whole_wal(&reader, &path)?;
        program.execute_batch("INSERT INTO t VALUES(3)")?;
        require_whole_wal(&reader, &path)?;
        fs::remove_file(wal_path(&path))?;
        assert_eq!(require_whole_wal(&reader, &path).err().map(|e| e.kind()), Some(ErrorKind::Replaced));
        fs::write(wal_path(&path), "")?;
        assert_eq!(require_whole_wal(&reader, &path).err().map(|e| e.kind()), Some(ErrorKind::Replaced));
        // No index is made where there is none.
        let other = path.with_file_name("b.sqlite");
        Connection::open(&other)?.execute_batch("CREATE TABLE t(x)")?;
        let reader = open_existing(&other)?;
        reader.query_row("SELECT count(*) FROM t", [], |_| Ok(()))?;
        require_whole_wal(&reader, &other)?;
        assert!(!shm_path(&other).exists());
        Ok(())
    }

    #[test]
    fn each_of_the_three_files_counts() -> Outcome {
        let folder = tempfile::tempdir()?;
        let path = folder.path().canonicalize()?.join("a.sqlite");
        for victim in [path.clone(), wal_path(&path), shm_path(&path)] {
            let writer = in_wal_mode(&path)?;
            let before = NamedFiles::look(&path)?;
            let reader = open_existing(&path)?;
            reader.execute_batch("BEGIN; SELECT * FROM t")?;
            let opened = NamedFiles::opened(&path, &before)?;
            opened.require(&path)?;
            let copy = folder.path().join("copy");
            fs::copy(&victim, &copy)?;
            fs::rename(&copy, &victim)?;
            let error = opened.require(&path).err().ok_or("a copy was taken for the file")?;
            assert_eq!(error.kind(), ErrorKind::Replaced);
            assert!(error.to_string().starts_with(&victim.display().to_string()), "{error}");
            fs::remove_file(&victim)?;
            assert_eq!(opened.require(&path).err().map(|e| e.kind()), Some(ErrorKind::Replaced));
            drop((reader, writer));
            for file in [path.clone(), wal_path(&path), shm_path(&path)] {
                let _ = fs::remove_file(file);
            }
        }
        Ok(())
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_index_of_a_replaced_file_must_be_closed_first() -> Outcome {
        let folder = tempfile::tempdir()?;
        let path = folder.path().canonicalize()?.join("a.sqlite");
        let writer = in_wal_mode(&path)?;
        require_released(&path)?;
        fs::copy(&path, folder.path().join("copy"))?;
        fs::rename(folder.path().join("copy"), &path)?;
        assert_eq!(require_released(&path).err().map(|e| e.kind()), Some(ErrorKind::Busy));
        drop(writer);
        require_released(&path)?;
        Ok(())
    }
}
