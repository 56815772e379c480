//! How a data file was left that nobody had open any more, so that the next start need not compare all of it.
//!
//! Beside the log stands `Name.journal.rest`: the last record of the log, and how the data file was when everything was
//! in it and the WAL was empty. A data file that is still exactly so, to the time of its last change of any kind, which
//! programs cannot choose, has not been written since. The note proves nothing else; without it, or where anything
//! differs, the file is compared.
//!
//! Four lines of text: a title, number and chain value of the record, inode with length and both times of the file, and
//! the hash of the three lines before.

use std::path::{Path, PathBuf};

use super::{format::Tail, with_suffix};
use crate::{
    error::Result,
    storage::{
        self, Ownership,
        identity::FileStamp,
        regular::{self, Links},
    },
};

const TITLE: &str = "strongroom rest 1";

fn path_of(log: &Path) -> PathBuf {
    with_suffix(log, ".rest")
}

fn text(tail: &Tail, stamp: &FileStamp) -> String {
    let lines = format!(
        "{TITLE}\n{} {}\n{} {} {} {}\n",
        tail.commit,
        String::from(tail.chain),
        stamp.identity.inode(),
        stamp.length,
        stamp.written,
        stamp.changed
    );
    let hash = blake3::hash(lines.as_bytes()).to_hex();
    format!("{lines}{hash}\n")
}

/// Notes that a data file with this stamp holds everything up to `tail`, the end of `log`.
///
/// # Errors
/// When the folder of the log cannot be written; then the next start compares.
pub(super) fn note(log: &Path, tail: &Tail, stamp: &FileStamp) -> Result<()> {
    storage::replace_text(&path_of(log), &text(tail, stamp), Ownership::of(log))
}

/// Whether the data file at `path` is as it was noted when `log` ended at `tail`.
pub(super) fn is_as_left(log: &Path, tail: &Tail, path: &Path) -> bool {
    let file = path_of(log);
    let Some(stamp) = FileStamp::of_path(path).ok().flatten() else { return false };
    // Of a fixed size; what is longer is no note.
    regular::read_text(&file, Links::Refused, 1024).is_ok_and(|noted| noted == text(tail, &stamp))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use chrono::Utc;

    use super::*;
    use crate::{journal::Chain, sqlite::wal::WalMark};

    #[test]
    fn a_file_is_as_it_was_left_until_anything_of_it_changes() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let (log, path) = (folder.path().join("a.journal"), folder.path().join("a.sqlite"));
        fs::write(&path, "content")?;
        let chain = Chain([7; 32]);
        let (time, mark) = (Utc::now(), WalMark::default());
        let tail =
            Tail { length: 9, commit: 3, chain, link: chain, time, wall: time, page_count: 1, mark, state: None };
        assert!(!is_as_left(&log, &tail, &path), "nothing was noted");
        let stamp = FileStamp::of_path(&path)?.ok_or("not there")?;
        note(&log, &tail, &stamp)?;
        assert!(is_as_left(&log, &tail, &path));
        assert!(!is_as_left(&log, &Tail { commit: 4, ..tail }, &path));
        let noted = fs::read(path_of(&log))?;
        for at in 0..noted.len() {
            let mut changed = noted.clone();
            changed[at] ^= 1;
            fs::write(path_of(&log), changed)?;
            assert!(!is_as_left(&log, &tail, &path), "byte {at}");
        }
        fs::write(path_of(&log), noted)?;
        // The same bytes, copied over it.
        std::thread::sleep(std::time::Duration::from_millis(20));
        fs::write(&path, "content")?;
        assert!(!is_as_left(&log, &tail, &path));
        Ok(())
    }
}
