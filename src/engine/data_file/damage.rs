//! Damage that is found when a data file is opened, and whether it may be restored by itself. The look takes half a
//! minute at most; a file that another program has open is not replaced.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::lock;
use crate::{
    backup,
    engine::config::Config,
    error::{Error, ErrorKind, Result},
    restore::in_place::is_lost,
    settings::{Settings, SettingsFile},
    sqlite::{glance::glance, locks, snapshot},
};

/// So long a look may take before a data file is opened.
const LOOK_MAX: Duration = Duration::from_secs(30);

/// What to do with a data file that cannot be opened because of `error`: to restore it by itself, then where it lies
/// and why; or to refuse it.
pub(super) fn of_lost(path: &Path, error: Error, config: &Config) -> Result<(PathBuf, Error)> {
    // One that is gone may have been moved on purpose.
    let is_damaged = is_lost(error.kind()) && error.kind() != ErrorKind::NotFound;
    let Ok(path) = path.canonicalize() else { return Err(error) };
    let own = &config.settings_dir;
    let wanted = SettingsFile::load(&path, own).is_ok_and(|settings| {
        let settings = settings.settings();
        settings.restore.if_damaged && backup::archives(&path, settings).is_ok_and(|archives| !archives.is_empty())
    });
    if !is_damaged || !wanted || !config.stays() || lock::holder(&path, own).is_some() {
        return Err(error);
    }
    refuse_held(&path, error).map(|why| (path, why))
}

/// What is damaged in a data file that SQLite can open, if its settings say that it is restored then.
pub(super) fn look(path: &Path, settings: &Settings, config: &Config) -> Option<Error> {
    if !settings.restore.if_damaged || !config.stays() {
        return None;
    }
    glance(path, LOOK_MAX).err()
}

/// What is wrong, again; with who is in the way when a program has the file open.
pub(super) fn refuse_held(path: &Path, why: Error) -> Result<Error> {
    let files = [path.to_path_buf(), snapshot::wal_path(path), snapshot::shm_path(path)];
    let open = locks::holders(path, &files);
    if open.processes.is_empty() {
        return Ok(why);
    }
    let message = format!("{}; it is not restored by itself while {} has it open", why.message(), open.in_words());
    Err(Error::new(why.kind(), message).hint("End that program, then open the data file again: it is restored then."))
}
