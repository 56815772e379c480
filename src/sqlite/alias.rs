//! Names of a data file that lose what programs commit: hard links, and names that cannot be written down.
//!
//! SQLite finds the `-wal` of a data file by its name. A file with several names (hard links) has a WAL for each: what
//! a program commits by one name is not seen by another, and a backup made by the wrong name would be one of an old
//! state, or of nothing.

use std::path::Path;

use crate::error::{Error, ErrorKind, Result};

/// Refuses a name that history, archives or the service could not hold: found before the work, not after it.
///
/// # Errors
/// `Refused` for a name that is not text, or holds control characters or a backslash.
pub fn refuse_odd_name(path: &Path) -> Result<()> {
    let hint = "Rename it, with the application stopped; its -wal and -shm files are renamed with it.";
    let Some(text) = path.to_str() else {
        let message = format!("the name of {} is not text in UTF-8", path.display());
        return Err(Error::new(ErrorKind::Refused, message)
            .hint(format!("Archives and messages between programs cannot hold such a name. {hint}")));
    };
    let name = path.file_name().and_then(std::ffi::OsStr::to_str).unwrap_or(text);
    if let Some(odd) = name.chars().find(|c| c.is_control() || *c == '\\') {
        let what = if odd == '\\' { "a backslash".to_owned() } else { format!("a control character, {odd:?}") };
        let message = format!("the name of {path:?} holds {what}");
        return Err(Error::new(ErrorKind::Refused, message)
            .hint(format!("Such a name cannot stand in an archive that every program unpacks. {hint}")));
    }
    Ok(())
}

/// How many names a file has (hard links); 1 where that cannot be told.
pub fn names(path: &Path) -> u64 {
    #[cfg(unix)]
    return std::fs::metadata(path).map_or(1, |meta| std::os::unix::fs::MetadataExt::nlink(&meta));
    #[cfg(not(unix))]
    1
}

/// Refuses a data file whose commits may lie in the WAL of another name of it.
///
/// # Errors
/// `Refused` with that name; or, where other names cannot be found, when nothing shows that this is the one in use.
#[cfg(unix)]
pub fn refuse_other_names(path: &Path) -> Result<()> {
    use std::{collections::BTreeSet, os::unix::fs::MetadataExt, path::PathBuf};

    use super::snapshot::{shm_path, wal_path};
    use crate::storage::{self, processes};

    let Ok(meta) = path.metadata() else { return Ok(()) };
    if meta.nlink() < 2 {
        return Ok(());
    }
    let is_same = |other: &Path| {
        other.symlink_metadata().is_ok_and(|other| (other.dev(), other.ino()) == (meta.dev(), meta.ino()))
    };
    let folder = std::fs::read_dir(storage::folder_of(path)).into_iter().flatten().flatten();
    let beside: BTreeSet<PathBuf> = folder.map(|entry| entry.path()).filter(|other| is_same(other)).collect();
    let held: BTreeSet<PathBuf> = processes::names_of_open(path);
    let others: BTreeSet<PathBuf> =
        beside.union(&held).filter(|other| *other != path && is_same(other)).cloned().collect();
    let is_written = |file: PathBuf| file.metadata().is_ok_and(|meta| meta.len() > 0);
    let journal = |of: &Path| PathBuf::from(format!("{}-journal", of.display()));
    let is_used = |name: &Path| {
        held.contains(name) || is_written(wal_path(name)) || is_written(shm_path(name)) || is_written(journal(name))
    };
    if let Some(other) = others.iter().find(|other| is_used(other)) {
        let message = format!(
            "{} is another name (a hard link) of {}, and that is the name in use",
            path.display(),
            other.display()
        );
        return Err(Error::new(ErrorKind::Refused, message).hint(format!(
            "Open {} instead: what programs commit by one name lies in a WAL that the other name does not show.",
            other.display()
        )));
    }
    if others.len() as u64 + 1 >= meta.nlink() || held.contains(path) || is_written(wal_path(path)) {
        return Ok(());
    }
    let message = format!(
        "{} has {} names (hard links), and by which of them programs use it cannot be told",
        path.display(),
        meta.nlink()
    );
    Err(Error::new(ErrorKind::Refused, message).hint(format!(
        "What is committed by another name would be missed. Find the names with find DIRECTORY -xdev -inum {}; open \
         the one in use while its program runs, or remove the others.",
        meta.ino()
    )))
}

/// Refuses a data file whose commits may lie in the WAL of another name of it.
///
/// # Errors
/// None where links cannot be counted.
#[cfg(not(unix))]
pub fn refuse_other_names(_: &Path) -> Result<()> {
    Ok(())
}

/// Of a data file whose length and time of writing are as they were, and that was changed all the same: not its
/// content, as far as that shows; it is compared, since programs can choose the time.
pub fn changed_beside(path: &Path) -> Error {
    let (what, hint) = match names(path) {
        0 | 1 => (
            format!("the owner, the permissions or the links of {} were changed", path.display()),
            "It is compared as a whole, and the log goes on.",
        ),
        names => (
            format!("{} has {names} names now (hard links), or its owner or permissions were changed", path.display()),
            "It is compared as a whole, and the log goes on. Use the data file by one name only: SQLite keeps a WAL \
             for each, and what is committed by another name is not seen. Remove the other, or copy the file instead.",
        ),
    };
    Error::new(ErrorKind::Changed, what).hint(hint)
}

#[cfg(all(test, unix))]
mod tests {
    use std::{fs, os::unix::ffi::OsStrExt};

    use rusqlite::Connection;

    use super::*;

    type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn the_name_in_use_is_the_one_that_may_be_opened() -> Outcome {
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().canonicalize().map(|folder| folder.join(name));
        let (used, hard) = (at("a.sqlite")?, at("hard.sqlite")?);
        let application = Connection::open(&used)?;
        application.execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES(1)")?;
        refuse_other_names(&used)?;
        fs::hard_link(&used, &hard)?;
        refuse_other_names(&used)?;
        let error = refuse_other_names(&hard).err().ok_or("the wrong name was accepted")?;
        assert!(error.message().ends_with(&format!("of {}, and that is the name in use", used.display())), "{error}");
        // Nobody uses it any more, and all its names are known: nothing can be missed.
        drop(application);
        refuse_other_names(&hard)?;
        // A name that is not beside it cannot be looked at.
        let away = tempfile::tempdir_in(folder.path())?;
        fs::rename(&used, away.path().join("a.sqlite"))?;
        let error = refuse_other_names(&hard).err().ok_or("nobody knows")?;
        assert!(error.message().contains("has 2 names (hard links)"), "{error}");
        assert!(error.hint_text().is_some_and(|hint| hint.contains("-xdev -inum ")), "{error}");
        let _hot = Connection::open(&hard)?.execute_batch("INSERT INTO t VALUES(2)");
        fs::remove_file(away.path().join("a.sqlite"))?;
        refuse_other_names(&hard)?;
        Ok(())
    }

    #[test]
    fn names_that_can_not_be_written_down_are_refused() -> Outcome {
        for (name, why) in [
            (&b"/srv/a\xff.db"[..], "is not text in UTF-8"),
            (b"/srv/a\nb.db", "holds a control character, '\\n'"),
            (b"/srv/a\tb.db", "holds a control character, '\\t'"),
            (b"/srv/a\x7f.db", "holds a control character"),
            (b"/srv/a\\b.db", "holds a backslash"),
        ] {
            let error = refuse_odd_name(Path::new(std::ffi::OsStr::from_bytes(name))).err().ok_or("accepted")?;
            assert!(error.message().contains(why) && !error.message().contains('\n'), "{error}");
            assert!(error.hint_text().is_some());
        }
        refuse_odd_name(Path::new("/srv/Büro [1] 'x' \"y\" %.sqlite3"))?;
        Ok(())
    }

    #[test]
    fn a_name_that_was_added_is_told_and_not_called_a_write() -> Outcome {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a.sqlite");
        fs::write(&path, "x")?;
        let said = || changed_beside(&path).message().to_owned();
        assert_eq!(said(), format!("the owner, the permissions or the links of {} were changed", path.display()));
        fs::hard_link(&path, folder.path().join("b.sqlite"))?;
        assert!(said().starts_with(&format!("{} has 2 names now (hard links)", path.display())), "{}", said());
        Ok(())
    }
}
