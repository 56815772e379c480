//! Whose data files the engine acts on.
//!
//! What lies beside a data file can be written by its owner: the settings name files to be put into archives, folders
//! to write to, and programs to run; folders can be replaced by links between two system calls. So an engine that works
//! for another user's file must have no more rights than that user. With the rights of the superuser it would hand out
//! every file of the machine.

use std::path::Path;

use crate::{
    error::{Error, ErrorKind, Result},
    storage::owners::{self, ROOT, name_of, other_writer, owner_of},
};

/// Sees that this process may act on `data_file`, which may be gone; `as_root` is said by a superuser who knows that
/// others can write the folders of his file.
///
/// # Errors
/// `Refused` when this is the superuser and the file, or a folder on the way to it, is in the hands of another user.
pub fn require(data_file: &Path, as_root: bool) -> Result<()> {
    if cfg!(not(unix)) || owners::this_user() != ROOT {
        return Ok(());
    }
    let refuse = |what: String| Err(Error::new(ErrorKind::Refused, what));
    match owner_of(data_file) {
        Some(ROOT) => {}
        Some(owner) => {
            let owner = name_of(owner);
            return refuse(format!(
                "{} belongs to {owner}, and the superuser does not act on files of others",
                data_file.display()
            ))
            .map_err(|e| {
                e.hint(format!(
                    "Whoever owns a data file decides what is read and written for it. Commands begun by the superuser \
                     become that user by themselves; “strongroom service install” has a service run as {owner}."
                ))
            });
        }
        None => return refuse(format!("it cannot be told whose {} is", data_file.display())),
    }
    let canonical = owners::canonical_place(data_file).map_err(|e| Error::io("find", data_file, e))?;
    match other_writer(&canonical, ROOT).filter(|_| !as_root) {
        None => Ok(()),
        Some((folder, who)) => refuse(format!(
            "{} belongs to the superuser, but {who} can write {}, and could have the superuser read and write any file",
            canonical.display(),
            folder.display()
        ))
        .map_err(|e| {
            e.hint(
                "Give the data file to its user (chown), or the folder to the superuser. Where everybody who can write \
                 there may have the rights of the superuser, add --as-root.",
            )
        }),
    }
}
