//! Which processes have a file open, as far as the system tells.
//!
//! Linux shows the open files of every process under `/proc/PID/fd` to the superuser and to the process's own user, and
//! all file locks under `/proc/locks` to everyone. Other systems have nothing of the kind without a library of their
//! own; there the answer is that it is not known.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::lock_table::{Inode, Lock, LockTable, inode};

/// How long after each other it is looked whether a program is only just opening a file.
const MOMENTS: [Duration; 3] = [Duration::from_millis(60), Duration::from_millis(120), Duration::from_millis(240)];
/// A process stands still that is found so at each of this many looks, so long apart.
const STANDS_STILL: u32 = 4;
const PAUSE: Duration = Duration::from_millis(40);

/// A process that has a file open.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Process {
    /// Its number; 0 for one that is there and cannot be seen.
    pub id: u32,
    /// Its name, as the system shows it.
    pub name: String,
}

impl Process {
    /// One that is there, and that the system hides from this one.
    pub fn unseen() -> Self {
        Self { id: 0, name: "a program outside of this container, or of another user".to_owned() }
    }
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.id == 0 {
            return f.write_str(&self.name);
        }
        write!(f, "{} (process {})", self.name, self.id)
    }
}

/// The answer to who has a file open.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Holders {
    /// The processes found, by number; this one is not among them.
    pub processes: Vec<Process>,
    /// Whether there can be others: processes of other users may not be looked into, those outside of a container are
    /// not seen in it, or the system has no such list.
    pub may_be_more: bool,
}

impl Holders {
    /// The processes in words, such as `vaultwarden (process 812) and sqlite3 (process 4711)`.
    pub fn in_words(&self) -> String {
        let names: Vec<String> = self.processes.iter().map(Process::to_string).collect();
        match names.split_last() {
            None => "no other process".to_owned(),
            Some((last, [])) => last.clone(),
            Some((last, others)) => format!("{} and {last}", others.join(", ")),
        }
    }
}

/// Finds who has one of `files` (canonical paths) open.
pub fn holders(files: &[PathBuf]) -> Holders {
    holders_of_each(&[files.to_vec()]).pop().unwrap_or_default()
}

/// The same for several groups of files at once: every process is looked at once only.
pub fn holders_of_each(groups: &[Vec<PathBuf>]) -> Vec<Holders> {
    let mut found = vec![Holders { processes: Vec::new(), may_be_more: true }; groups.len()];
    let Ok(list) = std::fs::read_dir("/proc") else { return found };
    let of_file = Wanted::new(groups);
    let own = std::process::id();
    let mut may_be_more = !sees_all();
    for id in list.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).filter(|id| *id != own)
    {
        match held_by(id, &of_file) {
            Ok(held) if held.is_empty() => {}
            Ok(held) => {
                // A program that this one is about to begin has all its files open for a moment, and holds none of them
                // then.
                let held = match beginning(id, own) {
                    Beginning::NotOurs => held,
                    Beginning::NotYet => continue,
                    Beginning::Begun => held_by(id, &of_file).unwrap_or_default(),
                };
                if !held.is_empty() {
                    let process = named(id);
                    held.into_iter().for_each(|n| found[n].processes.push(process.clone()));
                }
            }
            // One that has ended meanwhile holds nothing.
            Err(e) => may_be_more |= e.kind() == std::io::ErrorKind::PermissionDenied,
        }
    }
    for holders in &mut found {
        holders.processes.sort();
        holders.may_be_more = may_be_more;
    }
    found
}

/// The files wanted, each with the number of its group: by their paths, and by device and number, since a process may
/// have opened one by another name, or see another tree of folders, as in a container.
struct Wanted<'a> {
    paths: HashMap<&'a Path, usize>,
    inodes: HashMap<u64, Vec<(Inode, usize)>>,
}

impl<'a> Wanted<'a> {
    fn new(groups: &'a [Vec<PathBuf>]) -> Self {
        let all = || groups.iter().enumerate().flat_map(|(n, files)| files.iter().map(move |file| (file.as_path(), n)));
        let mut inodes: HashMap<u64, Vec<_>> = HashMap::new();
        for (file, n) in all() {
            if let Some(found) = inode(file) {
                inodes.entry(found.2).or_default().push((found, n));
            }
        }
        Self { paths: all().collect(), inodes }
    }

    /// The group of an open file: `process` has it open as `fd`, by the name `link`.
    fn group(&self, process: u32, fd: &std::ffi::OsStr, link: &Path) -> Option<usize> {
        if let Some(group) = self.paths.get(link) {
            return Some(*group);
        }
        // Pipes and sockets have no path. The number is read without touching the file, whose disk may not answer.
        let text = std::fs::read_to_string(Path::new(&format!("/proc/{process}/fdinfo")).join(fd));
        let text = text.ok().filter(|_| link.is_absolute())?;
        let number = text.lines().find_map(|line| line.strip_prefix("ino:")?.trim().parse().ok())?;
        let alike: &Vec<_> = self.inodes.get(&number)?;
        let open = inode(&Path::new(&format!("/proc/{process}/fd")).join(fd))?;
        alike.iter().find(|(wanted, _)| *wanted == open).map(|(_, group)| *group)
    }
}

/// What a process has open: name in its list, and path.
fn open_files(id: u32) -> std::io::Result<impl Iterator<Item = (std::ffi::OsString, PathBuf)>> {
    let open = std::fs::read_dir(format!("/proc/{id}/fd"))?;
    Ok(open.flatten().filter_map(|fd| Some((fd.file_name(), std::fs::read_link(fd.path()).ok()?))))
}

/// The paths of what a process has open; none where that cannot be seen.
pub fn open_paths(id: u32) -> Vec<PathBuf> {
    open_files(id).into_iter().flatten().map(|(_, path)| path).collect()
}

/// Which of the files a process has open.
fn held_by(id: u32, wanted: &Wanted<'_>) -> std::io::Result<BTreeSet<usize>> {
    Ok(open_files(id)?.filter_map(|(fd, link)| wanted.group(id, &fd, &link)).collect())
}

/// The names by which other processes have the file at `path` open, whichever of its names that is.
pub fn names_of_open(path: &Path) -> BTreeSet<PathBuf> {
    let group = [vec![path.to_path_buf()]];
    let wanted = Wanted::new(&group);
    let list = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let own = std::process::id();
    let ids = list.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).filter(|id| *id != own);
    let open = ids.filter_map(|id| Some((id, open_files(id).ok()?)));
    open.flat_map(|(id, files)| files.map(move |(fd, link)| (id, fd, link)))
        .filter(|(id, fd, link)| wanted.group(*id, fd, link).is_some())
        .map(|(_, _, link)| link)
        .collect()
}

/// Whether a process stands still in a call to a disk at this moment, as far as can be seen.
pub fn waits_for_disk(id: u32) -> bool {
    // One that writes much is often met so, but goes on.
    (0..STANDS_STILL).all(|look| {
        std::thread::sleep(if look == 0 { Duration::ZERO } else { PAUSE });
        let stat = std::fs::read(format!("/proc/{id}/stat")).unwrap_or_default();
        matches!(state_and_parent(&stat), Some((b'D', _)))
    })
}

/// The letter of the state of a process, and its parent, from the text that the system tells of it: name in brackets,
/// state, parent; the name may hold brackets and spaces itself.
fn state_and_parent(stat: &[u8]) -> Option<(u8, u32)> {
    let after_name = stat.iter().rposition(|byte| *byte == b')').map_or(&[][..], |at| &stat[at + 1..]);
    let text = String::from_utf8_lossy(after_name);
    let mut fields = text.split_whitespace();
    Some((*fields.next()?.as_bytes().first()?, fields.next()?.parse().ok()?))
}

/// How far a process is that another one begins: first it is a copy of that, then another program.
enum Beginning {
    NotOurs,
    NotYet,
    Begun,
}

fn beginning(id: u32, own: u32) -> Beginning {
    let read = |id: u32, name: &str| std::fs::read(format!("/proc/{id}/{name}")).unwrap_or_default();
    let parent = state_and_parent(&read(id, "stat")).map(|(_, parent)| parent);
    match parent {
        Some(parent) if parent == own && read(id, "cmdline") == read(own, "cmdline") => Beginning::NotYet,
        // One that has ended meanwhile has no parent any more; it holds nothing, as the next look shows.
        Some(parent) if parent != own => Beginning::NotOurs,
        _ => Beginning::Begun,
    }
}

/// The process of this number.
pub fn named(id: u32) -> Process {
    if id == 0 { Process::unseen() } else { Process { id, name: name_of(id) } }
}

/// The namespace that numbers of processes are of, where the system has such: a number from another one means another
/// process here, or none.
pub fn namespace() -> Option<u64> {
    let link = if cfg!(target_os = "linux") { std::fs::read_link("/proc/self/ns/pid").ok()? } else { return None };
    link.to_str()?.strip_prefix("pid:[")?.strip_suffix(']')?.parse().ok()
}

fn name_of(id: u32) -> String {
    let name = std::fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "unknown".to_owned() } else { name.to_owned() }
}

/// The processes, this one not among them, that hold a lock on a byte of `range`, for each of the files at `paths`.
pub fn lockers_of_each(paths: &[PathBuf], range: std::ops::RangeInclusive<u64>) -> Vec<Vec<Process>> {
    if paths.is_empty() {
        return Vec::new();
    }
    let (table, own) = (LockTable::read(), std::process::id());
    let lockers = |path: &PathBuf| -> BTreeSet<u32> {
        let locks = table.on(path).into_iter().filter(|lock| lock.id != own && lock.covers(&range));
        locks.map(|lock| lock.id).collect()
    };
    paths.iter().map(|path| lockers(path).into_iter().map(named).collect()).collect()
}

/// Whether the lists of processes and of locks hold all of this machine: in a container they hold those of the
/// container, and of those within it.
pub fn sees_all() -> bool {
    // The number of the first namespace is fixed in the kernel (`PROC_PID_INIT_INO`, `proc_ns.h`).
    namespace() == Some(4_026_531_836)
}

/// The processes, this one not among them, that have the data file at `path` open in SQLite together with a companion
/// of it (`-wal`, `-shm`) that was deleted since: they see commits that nobody else can see. Those that this user may
/// look into.
pub fn on_deleted_companions(path: &Path, companions: &[PathBuf]) -> Vec<Process> {
    let lockers = lockers_of_each(&[path.to_path_buf()], SHARED_LOCK).pop().unwrap_or_default();
    let deleted: Vec<PathBuf> = companions.iter().map(|path| deleted_name(path)).collect();
    let holds = |id| open_files(id).is_ok_and(|mut files| files.any(|(_, link)| deleted.contains(&link)));
    lockers.into_iter().filter(|locker| holds(locker.id)).collect()
}

/// How Linux calls a file that is open and has no name any more.
pub fn deleted_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(" (deleted)");
    PathBuf::from(name)
}

/// The bytes of a data file that SQLite locks (`PENDING_BYTE` to the end of the shared range, `os.h`).
pub const SHARED_LOCK: std::ops::RangeInclusive<u64> = 0x4000_0000..=0x4000_0000 + 511;

/// For each data file in WAL mode with its `-shm`: the processes that use it and have not opened the `-shm`. They want
/// the data file for themselves (`locking_mode=EXCLUSIVE`), and wait until nobody else has it open.
pub fn waiting_for_all(files: &[(PathBuf, PathBuf)]) -> Vec<Vec<Process>> {
    let data_files: Vec<PathBuf> = files.iter().map(|(data_file, _)| data_file.clone()).collect();
    let mut open: HashMap<u32, Vec<PathBuf>> = HashMap::new();
    let lockers = lockers_of_each(&data_files, SHARED_LOCK);
    let waits = |(locker, (data_file, index)): (Vec<Process>, &(PathBuf, PathBuf))| {
        locker
            .into_iter()
            .filter(|process| {
                let look = || open_files(process.id).map(|files| files.map(|(_, link)| link).collect());
                let files = open.entry(process.id).or_insert_with(|| look().unwrap_or_default());
                // One that may not be looked into, or sees other names, is not accused.
                files.contains(data_file) && !files.contains(index) && !files.contains(&deleted_name(index))
            })
            .collect()
    };
    lockers.into_iter().zip(files).map(waits).collect()
}

/// Which processes, of these or of all, write to the data file at `path` and its `-wal`, hold no lock on it, and have
/// its `-shm` not open, as every program has that shares it: they use no locks, or locks of another kind
/// (`vfs=unix-none`, `unix-dotfile`), and an index of the WAL that nobody else sees; nor does anybody see what they
/// commit. One that is just opening or closing the file may look so for a moment.
pub fn without_locks(path: &Path, (wal, shm): (&Path, &Path), among: Option<&[Process]>) -> Vec<Process> {
    let all = || std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let all = || all().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    let own = std::process::id();
    let ids: Vec<u32> = among.map_or_else(all, |among| among.iter().map(|process| process.id).collect());
    let groups = [vec![path.to_path_buf()], vec![wal.to_path_buf()], vec![shm.to_path_buf()]];
    let wanted = Wanted::new(&groups);
    let is_alone = |id: u32| {
        let open = open_files(id).into_iter().flatten();
        let found = open.filter_map(|(fd, link)| Some((wanted.group(id, &fd, &link)?, fd)));
        let found: BTreeSet<usize> =
            found.filter(|(group, fd)| *group == 2 || is_open_to_write(id, fd)).map(|(group, _)| group).collect();
        found == BTreeSet::from([0, 1])
    };
    let found: Vec<u32> = ids.into_iter().filter(|id| *id != own && *id != 0 && is_alone(*id)).collect();
    if found.is_empty() {
        return Vec::new();
    }
    let holding: BTreeSet<u32> = LockTable::read().on(path).into_iter().map(|lock| lock.id).collect();
    found.into_iter().filter(|id| !holding.contains(id)).map(named).collect()
}

fn is_open_to_write(id: u32, fd: &std::ffi::OsStr) -> bool {
    let text = std::fs::read_to_string(Path::new(&format!("/proc/{id}/fdinfo")).join(fd)).unwrap_or_default();
    let flags = text.lines().find_map(|line| u32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
    // The two lowest bits: read, write, both.
    flags.is_some_and(|flags| flags & 3 != 0)
}

/// Which of these data files, each with its `-shm`, some process reads so at this moment; it may be just opening the
/// file. This asks for the list of locks once.
pub fn seem_apart(files: &[(PathBuf, PathBuf)]) -> Vec<PathBuf> {
    let table = if files.is_empty() { LockTable::default() } else { LockTable::read() };
    let found = files.iter().filter(|(path, shm)| !readers_apart(&table, path, shm).is_empty());
    found.map(|(path, _)| path.clone()).collect()
}

fn readers_apart(table: &LockTable, path: &Path, shm: &Path) -> BTreeSet<u32> {
    let on_data_file = table.on(path);
    let sharing: BTreeSet<u32> = table.on(shm).into_iter().map(|lock| lock.id).collect();
    // An index that nobody has open says nothing: it may be left over, of a file that is not in WAL mode.
    if sharing.is_empty() {
        return BTreeSet::new();
    }
    let ids =
        |of: &dyn Fn(&&Lock) -> bool| -> BTreeSet<u32> { on_data_file.iter().filter(of).map(|lock| lock.id).collect() };
    // Whoever wants the file for himself waits with a lock to write.
    let waiting = ids(&|lock| lock.is_write);
    let reading = ids(&|lock| lock.covers(&SHARED_LOCK));
    let own = std::process::id();
    reading.into_iter().filter(|id| *id != own && !sharing.contains(id) && !waiting.contains(id)).collect()
}

/// The processes, this one not among them, that read the data file at `path` in SQLite and do not use its `shm`
/// (`-shm`), which is there: every program in WAL mode locks both. Its `-shm` was deleted since, or it has the file by
/// another name, as in a container that was given the file alone. It sees, and makes, commits that nobody else sees.
/// Locks are told of processes of all users, but not of those that the system hides from a container.
pub fn apart_by_locks(path: &Path, shm: &Path) -> Vec<Process> {
    let look = || readers_apart(&LockTable::read(), path, shm);
    let found = while_seen(look(), |found| found.intersection(&look()).copied().collect());
    found.into_iter().map(named).collect()
}

/// What is still found after several looks: a program that is just opening or closing the file has locked it, and has
/// its index not yet, or no more; on a busy machine for longer than a moment.
pub fn while_seen<T: Default + PartialEq>(mut found: T, again: impl Fn(&T) -> T) -> T {
    for pause in MOMENTS {
        if found == T::default() {
            break;
        }
        std::thread::sleep(pause);
        found = again(&found);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Between the two steps in which a program is begun its files are those of this process.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_program_that_is_being_begun_holds_nothing() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().canonicalize()?.join("a");
        let held = std::fs::File::create(&path)?;
        let begin = || (0..300).try_for_each(|_| std::process::Command::new("true").status().map(drop));
        std::thread::scope(|scope| {
            let beginning = scope.spawn(begin);
            while !beginning.is_finished() {
                assert_eq!(holders(std::slice::from_ref(&path)).processes, []);
            }
            beginning.join().unwrap_or(Ok(()))
        })?;
        // One that was given the file does hold it.
        let mut child = std::process::Command::new("sleep").arg("600").stdin(held).spawn()?;
        let found = holders(&[path]);
        child.kill()?;
        child.wait()?;
        assert_eq!(found.processes.iter().map(|process| process.id).collect::<Vec<_>>(), [child.id()]);
        Ok(())
    }

    #[test]
    fn what_the_system_tells_of_a_process_is_understood() {
        assert_eq!(state_and_parent(b"812 (a) b (c) D 77 812 812 0"), Some((b'D', 77)));
        assert_eq!(state_and_parent(b""), None);
        assert!(!waits_for_disk(std::process::id()));
    }

    #[test]
    fn processes_are_named_in_words() {
        let process = |id, name: &str| Process { id, name: name.to_owned() };
        let mut found = Holders { processes: vec![process(1, "a")], may_be_more: false };
        assert_eq!(found.in_words(), "a (process 1)");
        found.processes.extend([process(2, "b"), process(3, "c")]);
        assert_eq!(found.in_words(), "a (process 1), b (process 2) and c (process 3)");
    }
}
