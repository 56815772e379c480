//! The mark of a folder that archives or a log go to: a small file in it with a random identity.
//!
//! Names say nothing about disks: where one is not mounted, an empty folder carries its name. What was marked is known
//! again by what lies on the disk itself, after a restart, on another cable and under another mount point.

use std::{io::Write, path::Path};

use toml_edit::DocumentMut;
use uuid::Uuid;

use super::{
    Disk, Ownership, PART_SUFFIX, Storage,
    regular::{self, Links},
    rename_new,
};
use crate::error::{Error, ErrorKind, NotOrdinary, Result};

/// The name of the file.
pub const NAME: &str = ".strongroom-place.toml";
/// No mark is longer.
const LENGTH_MAX: u64 = 4096;

/// The identity of `folder`; `None` where it has no mark, or does not exist.
///
/// # Errors
/// `Damaged` when the mark cannot be understood; those of the disk, such as one that does not answer.
pub fn read(folder: &Path) -> Result<Option<Uuid>> {
    use std::io::ErrorKind as K;
    let path = folder.join(NAME);
    let fail = |e| Error::io("read the mark", &path, e);
    let text = match regular::read_text(&path, Links::Refused, LENGTH_MAX) {
        Ok(text) => text,
        Err(e) if matches!(e.kind(), K::NotFound | K::NotADirectory) => return Ok(None),
        // Also a pipe, a link or a file that is too long.
        Err(e) if e.kind() == K::InvalidData || e.get_ref().is_some_and(|e| e.is::<NotOrdinary>()) => {
            return Err(damaged(&path));
        }
        Err(e) => return Err(fail(e)),
    };
    let document: DocumentMut = text.parse().map_err(|_| damaged(&path))?;
    let id = document.get("id").and_then(|id| id.as_str()).and_then(|id| id.parse().ok());
    id.map(Some).ok_or_else(|| damaged(&path))
}

/// The identity of `folder`, which gets a mark when it has none. Nobody else's mark is replaced, also not one that is
/// made meanwhile.
///
/// # Errors
/// As [`read`], and when the folder cannot be written.
pub fn ensure(folder: &Path, owner: Option<(u32, u32)>) -> Result<Uuid> {
    if let Some(id) = read(folder)? {
        return Ok(id);
    }
    let path = folder.join(NAME);
    let fail = |e| Error::io("write the mark", &path, e);
    let id = Uuid::new_v4();
    let mut part =
        tempfile::Builder::new().prefix(".strongroom-").suffix(PART_SUFFIX).tempfile_in(folder).map_err(fail)?;
    part.write_all(text(id).as_bytes()).map_err(fail)?;
    // Others keep archives in the same folder too; it tells nobody anything.
    Ownership { mode: Some(0o644), owner }.apply(part.as_file(), part.path())?;
    part.as_file().sync_all().map_err(fail)?;
    match rename_new(part.path(), &path) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            return read(folder)?.ok_or_else(|| damaged(&path));
        }
        Err(e) => return Err(fail(e)),
    }
    Disk.sync_folder(folder)?;
    Ok(id)
}

/// Sets a mark aside that cannot be understood, so that the folder can get another one.
///
/// # Errors
/// When the folder cannot be written.
pub fn set_aside(folder: &Path) -> Result<()> {
    let path = folder.join(NAME);
    let aside = folder.join(format!("{NAME}.set-aside-{}", Uuid::new_v4()));
    rename_new(&path, &aside).map_err(|e| Error::io("set aside", &path, e))
}

fn text(id: Uuid) -> String {
    format!(
        "# Strongroom knows this folder again by this file: without it no backup is written here, since the disk \
         may not be the\n# one that was chosen. Leave it where it is; it goes with its archives when they are copied \
         to another disk.\nid = \"{id}\"\n"
    )
}

fn damaged(path: &Path) -> Error {
    Error::new(ErrorKind::Damaged, format!("the mark {} cannot be understood", path.display()))
        .hint("When this is the right folder, choose it anew.")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn a_folder_keeps_the_first_mark_it_gets() -> Outcome {
        let folder = tempfile::tempdir()?;
        assert_eq!(read(folder.path())?, None);
        assert_eq!(read(&folder.path().join("missing"))?, None);
        let id = ensure(folder.path(), None)?;
        assert_eq!((read(folder.path())?, ensure(folder.path(), None)?), (Some(id), id));
        assert_eq!(fs::read_dir(folder.path())?.count(), 1, "nothing is left beside it");
        let copy = tempfile::tempdir()?;
        fs::copy(folder.path().join(NAME), copy.path().join(NAME))?;
        assert_eq!(read(copy.path())?, Some(id));
        Ok(())
    }

    #[test]
    fn what_is_no_mark_is_said_and_never_replaced_by_itself() -> Outcome {
        let folder = tempfile::tempdir()?;
        for text in ["", "id = 3", "id = 'x'", "\u{0}", "id = \"00000000-0000-0000-0000-000000000000"] {
            fs::write(folder.path().join(NAME), text)?;
            assert_eq!(read(folder.path()).err().ok_or(text)?.kind(), ErrorKind::Damaged);
            assert!(ensure(folder.path(), None).is_err());
        }
        set_aside(folder.path())?;
        ensure(folder.path(), None)?;
        fs::remove_file(folder.path().join(NAME))?;
        fs::create_dir(folder.path().join(NAME))?;
        assert_eq!(read(folder.path()).err().ok_or("a folder")?.kind(), ErrorKind::Damaged);
        Ok(())
    }
}
