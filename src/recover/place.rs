//! Where the recovered file goes: a name that nothing has, never that of the damaged file or of one beside it.

use std::path::{Path, PathBuf};

use crate::{
    error::{Error, ErrorKind, Result},
    sqlite::alias::refuse_odd_name,
    storage,
};

/// What SQLite ends the names of files beside a data file with.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];
/// The same of this program.
const OWN: [&str; 4] = [".journal", ".4bk", ".4bl", storage::PART_SUFFIX];

/// The name proposed for the recovered file: `shop recovered.sqlite` beside `shop.sqlite`, with ` 2`, ` 3` … when that
/// exists.
pub fn propose(data_file: &Path) -> PathBuf {
    let folder = storage::folder_of(data_file);
    let stem = data_file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let end = data_file.extension().map_or_else(String::new, |end| format!(".{}", end.to_string_lossy()));
    let first = folder.join(format!("{stem} recovered{end}"));
    let more = (2..).map(|n| folder.join(format!("{stem} recovered {n}{end}")));
    let mut names = std::iter::once(first.clone()).chain(more);
    names.find(|path: &PathBuf| path.symlink_metadata().is_err()).unwrap_or(first)
}

/// Refuses a name that the new file must not have.
///
/// # Errors
/// `Refused` for the damaged file itself, for what belongs to a data file, and where a file of SQLite already waits for
/// one of that name; `Exists`; `NotFound` without its folder.
pub(super) fn require(data_file: &Path, to: &Path) -> Result<()> {
    refuse_odd_name(to)?;
    let folder = storage::folder_of(to);
    if !folder.is_dir() {
        return Err(Error::new(ErrorKind::NotFound, format!("there is no folder {}", folder.display()))
            .hint("Make the folder first, or choose another one."));
    }
    if storage::real_path(to) == storage::real_path(data_file) {
        let message = format!("{} is the damaged file itself, which is not changed", to.display());
        return Err(Error::new(ErrorKind::Refused, message).hint("Choose another name for the recovered file."));
    }
    let name = to.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let small = name.to_lowercase();
    if COMPANIONS.iter().chain(&OWN).any(|end| small.ends_with(end)) {
        let message =
            format!("{} has the name of a file that belongs to a data file, a log or an archive", to.display());
        return Err(Error::new(ErrorKind::Refused, message)
            .hint("Choose another name for the recovered file, such as one that ends with .sqlite."));
    }
    storage::refuse_existing(to)?;
    for end in COMPANIONS {
        let companion = folder.join(format!("{name}{end}"));
        if companion.symlink_metadata().is_ok() {
            let message = format!("{} is there, and would be taken for a part of the new file", companion.display());
            return Err(Error::new(ErrorKind::Exists, message).hint("Choose another name, or move that file away."));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_file_takes_no_name_that_means_something() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name);
        let data = at("shop.sqlite");
        std::fs::write(&data, "x")?;
        assert_eq!(propose(&data), at("shop recovered.sqlite"));
        std::fs::write(at("shop recovered.sqlite"), "")?;
        assert_eq!(propose(&data), at("shop recovered 2.sqlite"));
        assert_eq!(propose(Path::new("a")), Path::new("./a recovered"));
        assert!(require(&data, &at("new.sqlite")).is_ok());
        std::fs::write(at("late.sqlite-wal"), "")?;
        for (name, kind) in [
            ("shop.sqlite", ErrorKind::Refused),
            ("shop.sqlite-wal", ErrorKind::Refused),
            ("new.sqlite-journal", ErrorKind::Refused),
            ("new.4BK", ErrorKind::Refused),
            ("new[0001].4BL", ErrorKind::Refused),
            ("shop recovered.sqlite", ErrorKind::Exists),
            ("late.sqlite", ErrorKind::Exists),
            ("none/new.sqlite", ErrorKind::NotFound),
        ] {
            assert_eq!(require(&data, &at(name)).err().map(|error| error.kind()), Some(kind), "{name}");
        }
        Ok(())
    }
}
