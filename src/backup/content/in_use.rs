//! What programs do with a database among the attachments, as far as the locks and the names of its files tell.

use std::{fs::File, path::Path};

use super::database::beside;
use crate::{
    sqlite::{
        alias, named,
        snapshot::{shm_path, wal_path},
    },
    storage::processes::{self, Holders, SHARED_LOCK},
};

/// Whether a program holds SQLite's lock to write this file, which no connection of this process has open.
pub(super) fn is_locked_to_write(file: &File) -> bool {
    // A lock to read is refused only by one to write. The first two bytes are those of programs that are about to.
    is_refused(file, Wanted::ToRead, SHARED_LOCK.start() + 2)
}

/// Whether a program has this file open in SQLite and reads, as everybody who has it open in WAL mode always does.
fn is_read(file: &File) -> bool {
    is_refused(file, Wanted::ToWrite, *SHARED_LOCK.start())
}

#[derive(Clone, Copy)]
enum Wanted {
    ToRead,
    ToWrite,
}

#[cfg(target_os = "linux")]
fn is_refused(file: &File, wanted: Wanted, start: u64) -> bool {
    use rustix::process::{Flock, FlockOffsetType, FlockType};
    let typ = match wanted {
        Wanted::ToRead => FlockType::ReadLock,
        Wanted::ToWrite => FlockType::WriteLock,
    };
    let length = SHARED_LOCK.end() + 1 - start;
    let question = Flock { start, length, pid: None, typ, offset_type: FlockOffsetType::Set };
    rustix::process::fcntl_getlk(file, &question).is_ok_and(|answer| answer.is_some())
}

#[cfg(not(target_os = "linux"))]
fn is_refused(_: &File, _: Wanted, _: u64) -> bool {
    false
}

/// Why commits of a program may lie elsewhere than in the files at `path`, which is open as `file`: in the WAL of
/// another name of it, or in one that was deleted under the program. As the end of a sentence that begins with its
/// name.
pub(super) fn commits_elsewhere(path: &Path, file: &File) -> Option<String> {
    if !is_read(file) {
        return None;
    }
    if let Err(error) = alias::refuse_other_names(path) {
        return Some(format!("is a database in use whose commits may lie elsewhere: {}", error.message()));
    }
    let (wal, shm) = (wal_path(path), shm_path(path));
    let mut apart = processes::on_deleted_companions(path, &[wal, shm, beside(path, "-journal")]);
    apart.extend(named::apart(path));
    apart.sort();
    apart.dedup();
    if apart.is_empty() {
        return None;
    }
    let who = Holders { processes: apart, may_be_more: false }.in_words();
    Some(format!(
        "is a database that {who} has open with other -wal and -shm files than those that lie beside it, as after they \
         were deleted: what it commits is not seen"
    ))
}
