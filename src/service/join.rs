//! Finding the engine that looks after a data file, or the services of this user.

use std::path::Path;

use super::{
    client::{Connected, connect},
    connection::Sockets,
};
use crate::{
    engine::{Holder, holder},
    error::Result,
    storage,
};

/// Who looks after `data_file`, if someone does; `own` is the program's settings folder.
pub fn holder_of(data_file: &Path, own: &Path) -> Option<Holder> {
    // Also of one that is gone: whoever looks after it knows more.
    holder(&storage::real_path(data_file), own)
}

/// The engine that looks after `data_file`, when there is one that can be joined.
///
/// # Errors
/// When it is there and cannot be reached; see [`connect`].
pub fn engine_of(data_file: &Path, own: &Path) -> Result<Option<Connected>> {
    match holder_of(data_file, own).and_then(|holder| holder.address) {
        Some(address) => connect(&address, owner_of(data_file)).map(Some),
        None => Ok(None),
    }
}

/// A service of this user, when one runs.
pub fn service(sockets: &Sockets) -> Option<Connected> {
    sockets.services().iter().filter(|(_, owner)| owner.is_none()).find_map(|(address, _)| connect(address, None).ok())
}

/// The user that a data file belongs to: whoever may change the file may as well be believed about it.
pub(super) fn owner_of(data_file: &Path) -> Option<u32> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        data_file.metadata().ok().map(|meta| meta.uid())
    }
    #[cfg(not(unix))]
    {
        let _ = data_file;
        None
    }
}
