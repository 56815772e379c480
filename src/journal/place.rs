//! What a log must not be: settings are edited by hand, and a line copied from elsewhere may name a data file, its WAL,
//! an archive or a settings file. Nothing of that is ever written over, or moved away as a log that was found damaged.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use uuid::Uuid;

use super::reader::LogReader;
use crate::{
    error::{Error, ErrorKind, Result},
    storage::{
        self,
        regular::{self, Links},
    },
};

/// What SQLite puts at the end of the name of a data file for the files that belong to it.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];
/// Names of files of ours that are no logs in use.
const OURS: [(&str, &str); 4] = [
    (".4bk", "an archive"),
    (".4bl", "an archived log"),
    (".strongroom.toml", "a settings file"),
    (".strongroom-place.toml", "the mark of a folder"),
];
/// How files begin that are something else.
const OTHERS: [(&[u8], &str); 4] = [
    (b"SQLite format 3\0", "a data file"),
    (&[0x37, 0x7f, 0x06, 0x82], "the WAL of a data file"),
    (&[0x37, 0x7f, 0x06, 0x83], "the WAL of a data file"),
    (&[0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7], "the rollback journal of a data file"),
];
/// The tag in the first frame of an archive.
const ARCHIVE: &[u8] = b"SR4BHEAD";

fn no_log(log: &Path, what: &str) -> Error {
    Error::new(ErrorKind::WrongType, format!("{} cannot be the log: it is {what}", log.display()))
        .hint("Nothing was written to it. Name another file for the log: strongroom settings DATAFILE log.file=FILE.")
}

/// What a file of this name is, beside `data_file`, whether it is there or not.
fn by_name(log: &Path, data_file: &Path) -> Option<&'static str> {
    let name = log.file_name()?.to_str()?;
    let lower = name.to_lowercase();
    if let Some((_, what)) = OURS.iter().find(|(end, _)| lower.ends_with(end)) {
        return Some(what);
    }
    let base = COMPANIONS.iter().find_map(|end| name.strip_suffix(end)).filter(|base| !base.is_empty())?;
    let of: PathBuf = log.with_file_name(base);
    (of == data_file || of.is_file()).then_some("a file that SQLite keeps for a data file")
}

/// What the file that is there is by its content; `None` where nothing is there, or nothing that is known.
fn by_content(log: &Path) -> Result<Option<&'static str>> {
    let Ok(meta) = log.metadata() else { return Ok(None) };
    if !meta.is_file() {
        return Ok(Some(if meta.is_dir() { "a folder" } else { "no ordinary file" }));
    }
    // To open and close one that SQLite has open here would drop its locks.
    if storage::refuse_data_file(log).is_err() {
        return Ok(Some("a data file"));
    }
    let mut first = Vec::new();
    let (file, _) = regular::open(log, Links::Followed).map_err(|e| Error::io("open the log", log, e))?;
    file.take(64).read_to_end(&mut first).map_err(|e| Error::io("read the log", log, e))?;
    let known = OTHERS.iter().find(|(begin, _)| first.starts_with(begin)).map(|(_, what)| *what);
    let is_archive = first.windows(ARCHIVE.len()).any(|tag| tag == ARCHIVE);
    Ok(known.or_else(|| is_archive.then_some("an archive")))
}

/// Sees that the log of `data_file` is no file that belongs to somebody else.
///
/// # Errors
/// `WrongType` with what it is; when it cannot be read.
pub fn refuse_other_file(log: &Path, data_file: &Path) -> Result<()> {
    let what = match by_name(log, data_file) {
        Some(what) => Some(what),
        None => by_content(log)?,
    };
    what.map_or(Ok(()), |what| Err(no_log(log, what)))
}

/// Sees that a log is that of the data file with this identity: the commits of another one are none of this.
///
/// # Errors
/// `WrongType` where it is another's. What cannot be read is no matter here.
pub fn refuse_foreign(log: &Path, identity: Option<Uuid>) -> Result<()> {
    match LogReader::open(log) {
        Ok(reader) if identity.is_some_and(|id| reader.header().identity != id) => {
            Err(no_log(log, "the log of another data file"))
        }
        _ => Ok(()),
    }
}

/// Sees that a file that is chosen for the log can become it: that nothing is there, or a log of the data file with
/// this identity. In one that was in use, whatever is there now is what became of it, and opening it says so.
///
/// # Errors
/// `WrongType` with what it is; when it cannot be read.
pub fn require_free(log: &Path, data_file: &Path, identity: Option<Uuid>) -> Result<()> {
    refuse_other_file(log, data_file)?;
    if log.metadata().map_or(0, |meta| meta.len()) == 0 {
        return Ok(());
    }
    match LogReader::open(log) {
        Err(e) if e.kind() == ErrorKind::NotRecognised => Err(no_log(log, "a file that is no log")),
        _ => refuse_foreign(log, identity),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_of_others_are_known_by_name_or_content_and_left_alone()
    -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name);
        let data_file = at("a.db");
        for name in ["other", "b.db"] {
            rusqlite::Connection::open(at(name))?.execute_batch("CREATE TABLE t(x)")?;
        }
        for (name, begin) in [("wal", [0x37u8, 0x7f, 6, 0x82].as_slice()), ("archive", b"T*M\x18\x90\0\0\0SR4BHEAD")] {
            fs::write(at(name), begin)?;
        }
        for name in
            ["a.db-wal", "a.db-shm", "a.db-journal", "b.db-wal", "x[0001].4BK", "x[0001].4BL", "a.strongroom.toml"]
                .into_iter()
                .chain(["other", "wal", "archive", "."])
        {
            let before = fs::read(at(name)).ok();
            let error = refuse_other_file(&at(name), &data_file).err().ok_or(name)?;
            assert_eq!(error.kind(), ErrorKind::WrongType, "{name}: {error}");
            assert_eq!(fs::read(at(name)).ok(), before);
        }
        fs::write(at("notes.txt"), "mine")?;
        for name in ["a.journal", "nobody-wal", "c.db-journal", "notes.txt"] {
            refuse_other_file(&at(name), &data_file)?;
        }
        assert!(require_free(&at("notes.txt"), &data_file, None).is_err());
        require_free(&at("a.journal"), &data_file, None)?;
        Ok(())
    }
}
