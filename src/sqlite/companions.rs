//! Whether the owner of a data file may write what belongs to it: a `-wal` or `-shm` that was copied or made by another
//! user stops every program of the owner, with the message *attempt to write a readonly database*.

use std::path::Path;

use crate::error::{Error, ErrorKind, Result};

/// Sees that the owner of the data file at `path` may write its `-wal`, `-shm` and `-journal`, as far as they are
/// there.
///
/// # Errors
/// [`ErrorKind::Refused`] names the first that he may not write.
#[cfg(unix)]
pub fn require_writable(path: &Path) -> Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use crate::{error::shell::quoted, storage::owners};

    let Ok(data) = path.metadata() else { return Ok(()) };
    let owner = data.uid();
    // The superuser may write everything; a data file that nobody may write is meant to be read only.
    if owner == 0 || data.permissions().mode() & 0o200 == 0 {
        return Ok(());
    }
    for suffix in ["-wal", "-shm", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let companion = Path::new(&name);
        let Ok(meta) = companion.symlink_metadata() else { continue };
        let mode = meta.permissions().mode();
        let by_group = mode & 0o020 != 0 && meta.gid() == data.gid();
        let may_write = (meta.uid() == owner && mode & 0o200 != 0) || by_group || mode & 0o002 != 0;
        if !may_write {
            let (user, other) = (owners::name_of(owner), owners::name_of(meta.uid()));
            let why = match meta.uid() == owner {
                true => "is read only".to_owned(),
                false => format!("belongs to {other}"),
            };
            let message = format!(
                "{user}, who owns {}, cannot write it: {} {why}, and programs of {user} fail with \"attempt to write \
                 a readonly database\"",
                path.display(),
                companion.display()
            );
            return Err(Error::new(ErrorKind::Refused, message)
                .hint(format!("Give it to that user: chown {user} {0}; chmod u+w {0}.", quoted(companion))));
        }
    }
    Ok(())
}

/// Not told here.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn require_writable(_: &Path) -> Result<()> {
    Ok(())
}
