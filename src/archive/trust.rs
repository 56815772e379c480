//! Whose archives count: everything in one can be made anew by whoever can write the folder, but for the signature, and
//! who the files belong to.

use std::path::Path;

use super::{
    catalog::ArchiveEntry,
    keys::{Key, PublicKey},
};
use crate::error::{Error, ErrorKind};

/// Whose archives count for a data file: where its archives are signed, those of this user's key; else all whose files
/// do not belong to a stranger. What others put among them, with all its checksums right, takes the place of none of
/// them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trust(Option<PublicKey>);

impl Trust {
    /// Where `is_signed` says that archives are signed, and this user has a key in `own`, the program's own folder.
    /// Without a key nobody can tell, and all count alike.
    pub fn of(is_signed: bool, own: &Path) -> Self {
        let key = if is_signed { Key::known(own).ok().flatten() } else { None };
        Self(key.map(|key| key.public()))
    }

    /// Whether this archive counts.
    pub fn covers(self, archive: &ArchiveEntry) -> bool {
        match self.0 {
            Some(key) => archive.signed_by == Some(key),
            None => archive.put_by.is_none(),
        }
    }

    /// What is to be said of one that does not.
    pub fn refused(self, archive: &ArchiveEntry) -> Error {
        let path = archive.path.display();
        if let Some(stranger) = archive.put_by.as_ref().filter(|_| self.0.is_none()) {
            let message = format!("{path} belongs to {stranger}, who may have put it there");
            return Error::new(ErrorKind::Partial, message).hint(
                "Neither the data file nor the folder is that user's. If the archive is yours, give it to the owner of the \
                 data file (chown), or restore it by its own name.",
            );
        }
        let by = match archive.signed_by {
            Some(key) => format!("is signed by another key, {key}"),
            None => "is not signed".to_owned(),
        };
        let message = format!("{path} {by}: archives of this data file are signed by this user's key");
        Error::new(ErrorKind::Partial, message).hint(
            "Whoever can write the folder may have put it there. If it is yours, made before archives were signed or \
             before the key was replaced, restore it by its own name.",
        )
    }
}
