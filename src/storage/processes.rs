//! Which processes have a file open, as far as the system tells.
//!
//! Linux shows the open files of every process under `/proc/PID/fd` to the superuser and to the process's own user, and
//! all file locks under `/proc/locks` to everyone. Other systems have nothing of the kind without a library of their
//! own; there the answer is that it is not known.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

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

/// Device, major and minor, and number of a file.
type Inode = (u64, u64, u64);

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

/// How far a process is that another one begins: first it is a copy of that, then another program.
enum Beginning {
    NotOurs,
    NotYet,
    Begun,
}

fn beginning(id: u32, own: u32) -> Beginning {
    let read = |id: u32, name: &str| std::fs::read(format!("/proc/{id}/{name}")).unwrap_or_default();
    let stat = read(id, "stat");
    // Name in brackets, state, parent; the name may hold brackets and spaces itself.
    let after_name = stat.iter().rposition(|byte| *byte == b')').map_or(&[][..], |at| &stat[at + 1..]);
    let parent: Option<u32> =
        String::from_utf8_lossy(after_name).split_whitespace().nth(1).and_then(|text| text.parse().ok());
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
    let of_inode: HashMap<_, usize> =
        paths.iter().enumerate().filter_map(|(n, path)| Some((inode(path)?, n))).collect();
    let mut ids = vec![BTreeSet::new(); paths.len()];
    if !of_inode.is_empty() {
        let text = std::fs::read_to_string("/proc/locks").unwrap_or_default();
        let own = std::process::id();
        for lock in text.lines().filter_map(parse_lock) {
            if lock.id != own
                && lock.first <= *range.end()
                && lock.last >= *range.start()
                && let Some(n) = of_inode.get(&lock.inode)
            {
                ids[*n].insert(lock.id);
            }
        }
    }
    ids.into_iter().map(|ids| ids.into_iter().map(named).collect()).collect()
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

/// The processes, this one not among them, that read the data file at `path` in SQLite and do not use its `shm`
/// (`-shm`), which is there: every program in WAL mode locks both. Its `-shm` was deleted since, or it has the file by
/// another name, as in a container that was given the file alone. It sees, and makes, commits that nobody else sees.
/// Locks are told of processes of all users, but not of those that the system hides from a container.
pub fn apart_by_locks(path: &Path, shm: &Path) -> Vec<Process> {
    let look = || {
        let text = std::fs::read_to_string("/proc/locks").unwrap_or_default();
        let locks: Vec<Lock> = text.lines().filter_map(parse_lock).collect();
        let (Some(data_file), Some(index)) = (inode(path), inode(shm)) else { return BTreeSet::new() };
        let on = |wanted: Inode| locks.iter().filter(move |lock| lock.inode == wanted);
        let sharing: BTreeSet<u32> = on(index).map(|lock| lock.id).collect();
        // An index that nobody has open says nothing: it may be left over, of a file that is not in WAL mode.
        if sharing.is_empty() {
            return BTreeSet::new();
        }
        // Whoever wants the file for himself waits with a lock to write.
        let waiting: BTreeSet<u32> = on(data_file).filter(|lock| lock.is_write).map(|lock| lock.id).collect();
        let reads = |lock: &&Lock| lock.first <= *SHARED_LOCK.end() && lock.last >= *SHARED_LOCK.start();
        let reading: BTreeSet<u32> = on(data_file).filter(reads).map(|lock| lock.id).collect();
        let own = std::process::id();
        reading.into_iter().filter(|id| *id != own && !sharing.contains(id) && !waiting.contains(id)).collect()
    };
    let first = look();
    if first.is_empty() {
        return Vec::new();
    }
    // One that is just opening the file has locked it, and its index not yet.
    std::thread::sleep(std::time::Duration::from_millis(60));
    let still = look();
    first.intersection(&still).map(|id| named(*id)).collect()
}

struct Lock {
    id: u32,
    is_write: bool,
    inode: Inode,
    first: u64,
    last: u64,
}

/// A line such as `3: POSIX  ADVISORY  READ 812 fe:00:1835021 123 123`.
fn parse_lock(line: &str) -> Option<Lock> {
    // One that waits for a lock, marked by an arrow, does not hold it.
    let fields: Vec<&str> = line.split_whitespace().filter(|_| !line.contains("->")).collect();
    let [_, _, _, access, id, file, first, last] = fields.as_slice() else { return None };
    let mut parts = file.split(':');
    let device = |text: Option<&str>| u64::from_str_radix(text?, 16).ok();
    let inode = (device(parts.next())?, device(parts.next())?, parts.next()?.parse().ok()?);
    let last = if *last == "EOF" { u64::MAX } else { last.parse().ok()? };
    Some(Lock { id: id.parse().ok()?, is_write: *access == "WRITE", inode, first: first.parse().ok()?, last })
}

#[cfg(target_os = "linux")]
fn inode(path: &Path) -> Option<Inode> {
    use std::os::unix::fs::MetadataExt;
    let meta = path.metadata().ok()?;
    let device = meta.dev();
    Some((u64::from(rustix::fs::major(device)), u64::from(rustix::fs::minor(device)), meta.ino()))
}

#[cfg(not(target_os = "linux"))]
fn inode(_: &Path) -> Option<Inode> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_list_of_locks_is_understood() -> Result<(), &'static str> {
        let lock = parse_lock("3: POSIX  ADVISORY  READ 812 fe:00:1835021 123 126").ok_or("not understood")?;
        assert_eq!((lock.id, lock.inode, lock.first, lock.last), (812, (0xfe, 0, 1_835_021), 123, 126));
        let open = parse_lock("1: FLOCK  ADVISORY  WRITE 7 00:1a:9 0 EOF").ok_or("not understood")?;
        assert_eq!(open.last, u64::MAX);
        assert!(parse_lock("1: -> POSIX  ADVISORY  WRITE 7 00:1a:9 0 EOF").is_none());
        assert!(parse_lock("nonsense").is_none());
        Ok(())
    }

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
    fn processes_are_named_in_words() {
        let process = |id, name: &str| Process { id, name: name.to_owned() };
        let mut found = Holders { processes: vec![process(1, "a")], may_be_more: false };
        assert_eq!(found.in_words(), "a (process 1)");
        found.processes.extend([process(2, "b"), process(3, "c")]);
        assert_eq!(found.in_words(), "a (process 1), b (process 2) and c (process 3)");
    }
}
