//! What other programs do with data files: who has them open, who reads, who waits. Looking takes its time.

use std::{path::PathBuf, time::Duration};

use crate::{
    error::ErrorReport,
    sqlite::{alias, companions, named, snapshot},
    storage::processes::{self, Holders},
};

/// Whoever waits does so for longer.
const MOMENT: Duration = Duration::from_millis(300);

/// What other programs do with a data file.
pub(in crate::engine) struct Users {
    /// Which have it open.
    pub(in crate::engine) holders: Holders,
    /// Which of them are in a read transaction that needs the WAL.
    pub(in crate::engine) readers: Vec<processes::Process>,
    /// Which go on with a data file of this name that was deleted or replaced.
    pub(in crate::engine) strays: Vec<processes::Process>,
    /// Whether they use it by another name, whose WAL is not the one looked at.
    pub(in crate::engine) other_name: Option<ErrorReport>,
    /// Which file beside it keeps the programs of its owner from writing it.
    pub(in crate::engine) unwritable: Option<ErrorReport>,
}

/// Who else has each of the data files open, and who of them needs the WAL for a read transaction.
pub(in crate::engine) fn look_at_processes(data_files: &[PathBuf]) -> Vec<Users> {
    let groups: Vec<_> = data_files.iter().map(|path| vec![path.clone(), snapshot::wal_path(path)]).collect();
    let deleted = data_files.iter().map(|path| vec![processes::deleted_name(path)]);
    let groups: Vec<_> = groups.into_iter().chain(deleted).collect();
    let indexes: Vec<_> = data_files.iter().map(|path| snapshot::shm_path(path)).collect();
    let readers = processes::lockers_of_each(&indexes, snapshot::READ_LOCKS);
    let mut holders = processes::holders_of_each(&groups);
    let strays = holders.split_off(data_files.len());
    let users = holders.into_iter().zip(readers).zip(strays).zip(data_files);
    let mut users: Vec<Users> = users
        .map(|(((holders, readers), strays), path)| {
            let other_name = alias::refuse_other_names(path).err().map(|error| error.report());
            let mut strays = strays.processes;
            let mut apart = named::apart(path);
            apart.extend(named::without_locks(path, Some(&holders.processes)));
            strays.extend(apart.into_iter().filter(|process| !strays.contains(process)).collect::<Vec<_>>());
            let unwritable = companions::require_writable(path).err().map(|error| error.report());
            Users { holders, readers, strays, other_name, unwritable }
        })
        .collect();
    confirm_strays(&mut users, data_files);
    users
}

/// Leaves those that are seen once more, so that one sight is enough to remember them. A program that is just opening
/// the file has locked it, and its index not yet; one whose disk does not answer stays so.
fn confirm_strays(users: &mut [Users], data_files: &[PathBuf]) {
    if users.iter().all(|users| users.strays.is_empty()) {
        return;
    }
    std::thread::sleep(MOMENT);
    for (users, path) in users.iter_mut().zip(data_files).filter(|(users, _)| !users.strays.is_empty()) {
        let mut now = processes::holders(&[processes::deleted_name(path)]).processes;
        now.extend(named::apart(path));
        now.extend(named::without_locks(path, Some(&users.strays)));
        users.strays.retain(|process| now.contains(process) && !processes::waits_for_disk(process.id));
    }
}

/// Which of the data files a program reads with another WAL, or is just opening.
pub(in crate::engine) fn look_who_is_apart(data_files: &[PathBuf]) -> Vec<PathBuf> {
    let files: Vec<_> = data_files.iter().map(|path| (path.clone(), snapshot::shm_path(path))).collect();
    processes::seem_apart(&files)
}

/// Who waits to have one of the data files for itself. What a program does for a moment while it begins is no wait.
pub(in crate::engine) fn look_who_waits(data_files: &[PathBuf]) -> Vec<(PathBuf, Vec<processes::Process>)> {
    let files: Vec<_> = data_files.iter().map(|path| (path.clone(), snapshot::shm_path(path))).collect();
    let mut found = processes::waiting_for_all(&files);
    if found.iter().any(|waiting| !waiting.is_empty()) {
        std::thread::sleep(MOMENT);
        for (waiting, now) in found.iter_mut().zip(processes::waiting_for_all(&files)) {
            waiting.retain(|process| now.contains(process) && !processes::waits_for_disk(process.id));
        }
    }
    data_files.iter().cloned().zip(found).collect()
}
