//! An SQLite database among the attachments, perhaps in use: its file, `-wal` and `-journal` mean something together
//! only as they were at one moment.
//!
//! It is not opened with SQLite: that would play back an interrupted transaction, and write to what is only to be read.
//! Its files are copied aside, between two looks at all of them; where they differ, somebody wrote meanwhile, and they
//! are copied again. A program that never pauses is not waited for: then what was copied last is kept, and is said not
//! to be whole. `-shm` is left out, since SQLite makes it anew.

use std::{
    collections::{HashMap, HashSet},
    fs::{File, Metadata},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::{
    Found,
    in_use::{commits_elsewhere, is_locked_to_write},
    names::Names,
    source,
};
use crate::{
    archive::ItemKind,
    control::Control,
    error::NotOrdinary,
    storage::{Ownership, identity::FileStamp, owners::Readers},
};

/// How a database begins.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// What belongs to one, and is copied with it.
const COMPANIONS: [&str; 2] = ["-wal", "-journal"];
/// Its index of the WAL.
const INDEX: &str = "-shm";
/// One that was not written for so long, and has nothing beside it, is read where it is.
const AT_REST: Duration = Duration::from_secs(10);
/// How often it is copied.
const TRIES: u32 = 10;
/// It is not copied again after so long.
const TRIES_MAX: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(30);
/// So much is copied between two looks whether the job is to stop.
const PIECE: u64 = 16 << 20;

/// What all databases of a backup share.
#[derive(Debug)]
pub(super) struct Databases {
    /// Where copies lie while they are read: in files without names.
    folder: PathBuf,
    /// Files that went into the archive with their database, or stay out of it with it.
    taken: Mutex<HashSet<PathBuf>>,
    /// The names that files found beside databases have in the archive.
    given: HashMap<PathBuf, String>,
    names: Mutex<Names>,
}

/// Whether a file of this name may belong to a database.
pub(super) fn is_companion(path: &Path) -> bool {
    let name = path.as_os_str().as_encoded_bytes();
    COMPANIONS.iter().chain([&INDEX]).any(|end| name.ends_with(end.as_bytes()))
}

/// The database that a file of this name belongs to.
pub(super) fn of(path: &Path) -> Option<PathBuf> {
    let name = path.as_os_str().to_str()?;
    COMPANIONS.iter().find_map(|end| name.strip_suffix(end)).map(PathBuf::from)
}

/// Whether it belongs, by its name, to a file that lies beside it.
pub(super) fn is_beside_one(path: &Path) -> bool {
    let index = || path.as_os_str().to_str().and_then(|name| name.strip_suffix(INDEX)).map(PathBuf::from);
    of(path).or_else(index).is_some_and(|database| database.is_file())
}

/// Whether it is the index of a WAL by its name.
pub(super) fn is_index(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(INDEX.as_bytes())
}

pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

impl Databases {
    /// For copies in `folder`; `found` is all that goes into the archive, under `names`.
    pub(super) fn new<'a>(folder: &Path, found: impl Iterator<Item = &'a Found>, names: Names) -> Self {
        let given = found.filter(|found| is_companion(&found.path));
        let given = given.map(|found| (found.path.clone(), found.name.clone())).collect();
        Self { folder: folder.to_path_buf(), taken: Mutex::default(), given, names: Mutex::new(names) }
    }

    /// Whether the file of this path was taken along with its database; of an index, that it is left out with it.
    pub(super) fn has_taken(&self, path: &Path) -> bool {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).contains(path)
    }

    fn take(&self, database: &Path) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.extend(COMPANIONS.iter().chain([&INDEX]).map(|end| beside(database, end)));
    }

    /// The name in the archive of what lies beside `database`; `None` where that name is given to something else.
    fn name_beside(&self, database: &Found, end: &str) -> Option<String> {
        let wanted = format!("{}{end}", database.name);
        let name = match self.given.get(&beside(&database.path, end)) {
            Some(name) => name.clone(),
            None => self.names.lock().unwrap_or_else(PoisonError::into_inner).unique(&wanted),
        };
        Some(name).filter(|name| *name == wanted)
    }
}

/// One file of a database, as it goes into the archive.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) found: Found,
    pub(super) file: File,
    pub(super) meta: Metadata,
    pub(super) length: u64,
}

/// A database whose files were copied aside.
#[derive(Debug)]
pub(super) struct Copied {
    /// Itself.
    pub(super) database: Part,
    /// What lay beside it.
    pub(super) companions: Vec<Part>,
    /// Why it is not whole, if so.
    pub(super) problem: Option<String>,
}

/// Whether an ordinary file that was opened begins like a database.
pub(super) fn is_database(file: &mut File) -> io::Result<bool> {
    let mut start = Vec::new();
    file.take(MAGIC.len() as u64).read_to_end(&mut start)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(start == MAGIC)
}

/// Copies the database `found` aside, where it may be in use; `None` where it is at rest and can be read where it is.
/// What is more private than `private` is left out, and said.
///
/// # Errors
/// Why it cannot be copied, in the words of a report.
pub(super) fn copy(
    found: &Found,
    meta: &Metadata,
    databases: &Databases,
    private: Ownership,
    control: Option<&Control>,
) -> Result<Option<Copied>, String> {
    databases.take(&found.path);
    // After the look at the file itself: a transaction that ended in between has left nothing beside it.
    let opened = Opened::all(found, private);
    let is_alone =
        opened.as_ref().is_ok_and(|opened| opened.companions.is_empty() && opened.odd.is_none() && !opened.is_locked());
    // Neither of these is seen in the files that lie here.
    let elsewhere = opened.ok().and_then(|opened| commits_elsewhere(&found.path, &opened.database.0));
    if is_alone && elsewhere.is_none() && FileStamp::of(meta).is_older_than(AT_REST) {
        return Ok(None);
    }
    let (begun, mut last, mut was_held) = (Instant::now(), None, true);
    for attempt in 0..TRIES {
        if begun.elapsed() > TRIES_MAX || control.is_some_and(Control::is_stopped) {
            break;
        }
        thread::sleep(PAUSE * attempt);
        let mut opened = Opened::all(found, private).map_err(|error| source::unreadable(&error))?;
        if !opened.is_quiet() {
            // What is written in the next instant would bear the same time.
            thread::sleep(opened.step());
            opened = Opened::all(found, private).map_err(|error| source::unreadable(&error))?;
        }
        let (is_held, stamps) = (opened.is_locked(), opened.stamps());
        let was_quiet = opened.is_quiet() && !is_held;
        was_held &= is_held;
        let mut copied = opened.copied(found, databases, control);
        copied.problem = copied.problem.or_else(|| elsewhere.clone());
        let is_same = Opened::all(found, private).is_ok_and(|now| now.stamps() == stamps && !now.is_locked());
        if was_quiet && is_same {
            return Ok(Some(copied));
        }
        last = Some(copied);
    }
    let mut copied = last.ok_or("is a database in use that could not be copied in time")?;
    copied.problem.get_or_insert_with(|| {
        let why = match was_held {
            true => "that a program has locked for itself, so that nobody can tell whether a transaction is under way",
            false => "that was written each time it was read",
        };
        format!("is a database in use {why}; back it up as a data file of its own")
    });
    Ok(Some(copied))
}

/// Its files, opened.
struct Opened {
    database: (File, Metadata),
    companions: Vec<(&'static str, File, Metadata)>,
    /// Why something that lies beside it cannot be read.
    odd: Option<String>,
}

impl Opened {
    /// Opens them. Empty companions hold nothing, and count as none.
    fn all(found: &Found, private: Ownership) -> io::Result<Self> {
        let open = |inside: &Path| -> io::Result<(File, Metadata)> {
            let (file, meta, readers): (File, Metadata, Readers) = found.root.open_to_read(inside)?;
            match private.is_within(readers) {
                true => Ok((file, meta)),
                false => Err(io::Error::other("more private than this backup")),
            }
        };
        let database = open(&found.inside)?;
        let (mut companions, mut odd) = (Vec::new(), None);
        for end in COMPANIONS {
            match open(&beside(&found.inside, end)) {
                Ok((file, meta)) if meta.len() > 0 => companions.push((end, file, meta)),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    let is_odd = error.get_ref().is_some_and(|inner| inner.is::<NotOrdinary>());
                    let why = if is_odd { "is no ordinary file".to_owned() } else { source::unreadable(&error) };
                    odd = Some(format!("is a database whose {end} {why}"));
                }
            }
        }
        Ok(Self { database, companions, odd })
    }

    fn stamps(&self) -> Vec<(&'static str, FileStamp)> {
        let companions = self.companions.iter().map(|(end, _, meta)| (*end, FileStamp::of(meta)));
        std::iter::once(("", FileStamp::of(&self.database.1))).chain(companions).collect()
    }

    /// The longest step in which their times go on.
    fn step(&self) -> Duration {
        self.stamps().iter().map(|(_, stamp)| stamp.time_step()).max().unwrap_or_default()
    }

    /// Whether none of them was written within the step that its file system's time is in now.
    fn is_quiet(&self) -> bool {
        self.stamps().iter().all(|(_, stamp)| stamp.is_older_than(stamp.time_step()))
    }

    /// Whether a program holds the lock under which it writes to the file itself, and no journal tells what it changed:
    /// in the journal modes `memory` and `off` what stands there is a part of a transaction.
    fn is_locked(&self) -> bool {
        self.companions.is_empty() && is_locked_to_write(&self.database.0)
    }

    /// Copies them aside. Where there is no room, they are read where they are, and said not to be whole.
    fn copied(self, found: &Found, databases: &Databases, control: Option<&Control>) -> Copied {
        let mut problem = self.odd;
        let mut part = |found: Found, file: File, meta: Metadata| match aside(&file, &databases.folder, control) {
            Ok((copy, length)) => Part { found, file: copy, meta, length },
            Err(error) => {
                let why = format!("is a database in use that could not be copied aside: {error}");
                problem.get_or_insert(why);
                let length = meta.len();
                Part { found, file, meta, length }
            }
        };
        let (file, meta) = self.database;
        let database = part(found.clone(), file, meta);
        let mut companions = Vec::new();
        let mut unnamed = None;
        for (end, file, meta) in self.companions {
            match databases.name_beside(found, end) {
                Some(name) => {
                    let (path, inside) = (beside(&found.path, end), beside(&found.inside, end));
                    let kind = if found.kind == ItemKind::Program { ItemKind::Program } else { ItemKind::Attachment };
                    let original = found.original.as_ref().map(|path| [path, end.as_bytes()].concat());
                    let found = Found { path, inside, name, original, kind, ..found.clone() };
                    companions.push(part(found, file, meta));
                }
                None => unnamed = Some(format!("is a database whose {end} can have no name in the archive")),
            }
        }
        Copied { database, companions, problem: problem.or(unnamed) }
    }
}

/// A copy of an opened file in one without a name in `folder`, and its length.
fn aside(mut file: &File, folder: &Path, control: Option<&Control>) -> io::Result<(File, u64)> {
    let mut copy = tempfile::tempfile_in(folder)?;
    let mut length = 0;
    let copied = loop {
        if control.is_some_and(Control::is_stopped) {
            break Err(io::Error::other("stopped"));
        }
        match io::copy(&mut file.take(PIECE), &mut copy) {
            Ok(0) => break copy.seek(SeekFrom::Start(0)).map(|_| length),
            Ok(count) => length += count,
            Err(error) => break Err(error),
        }
    };
    // From its beginning, if it is to be read where it is.
    copied.inspect_err(|_| drop(file.seek(SeekFrom::Start(0)))).map(|length| (copy, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_and_what_lies_beside_them_are_known() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("x.db");
        for (content, is) in [(&b"SQLite format 3\0 and more"[..], true), (b"SQLite format 3", false), (b"", false)] {
            std::fs::write(&path, content)?;
            let mut file = File::open(&path)?;
            assert_eq!(is_database(&mut file)?, is);
            let mut again = Vec::new();
            file.read_to_end(&mut again)?;
            assert_eq!(again, content, "read from its beginning");
        }
        for (name, is) in [("x.db-wal", true), ("x-journal", true), ("x.db-shm", true), ("x.db", false), ("wal", false)]
        {
            assert_eq!(is_companion(Path::new(name)), is, "{name}");
        }
        Ok(())
    }
}
