//! What goes into an archive beside the data file and its settings: program files and attachments.
//!
//! They are looked through before the data file is held, and read after it was let go. Nothing here makes a backup
//! fail: what cannot be read, vanishes, or changes while it is read is said, and the backup counts as partial.
//! Symbolic links are stored as links and not followed, save the chosen file or folder itself; pipes, sockets and
//! devices hold nothing to store.
//!
//! A data file in use is never opened here, under whatever name: that would drop SQLite's locks on it.

mod database;
pub(crate) mod disks;
pub(crate) mod gone;
mod in_use;
mod names;
mod report;
mod source;

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::FileType,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use walkdir::{DirEntry, WalkDir};

use super::estimate::Sample;
use crate::{
    archive::{Compression, ItemKind, Source, original::safe},
    control::Control,
    error::Result,
    settings::sections,
    storage::{self, Ownership, beneath::Folder, owners::Readers},
};
use database::Databases;
use names::Names;
pub(super) use report::Shared;
pub use report::{ContentReport, ContentRoot};
use source::{FileSource, MarkSource};

pub use crate::archive::{
    lawful::{ATTACHMENTS, PROGRAM},
    not_whole::ContentProblem,
};

/// A file, an empty folder or a link that is to go into the archive.
#[derive(Debug, Clone)]
struct Found {
    path: PathBuf,
    /// The chosen folder, or the folder of the chosen file, held since it was looked through.
    root: Arc<Folder>,
    /// Where it lies below that one; empty for the chosen folder itself.
    inside: PathBuf,
    name: String,
    /// The bytes of the path that the name stands for, where these are others.
    original: Option<Vec<u8>>,
    kind: ItemKind,
    length: u64,
}

/// What was found, before anything of it was read.
#[derive(Debug, Default)]
pub struct Content {
    found: Vec<Found>,
    /// The names given in the archive.
    names: Names,
    shared: Shared,
    /// Length of all files together, in bytes.
    pub bytes: u64,
}

/// What stays out of every archive: the data file itself, its companions, its archives and its logs.
#[derive(Debug, Default)]
pub struct Excluded {
    /// Folders, by their canonical paths.
    pub folders: BTreeSet<PathBuf>,
    /// Files, by their canonical paths.
    pub files: BTreeSet<PathBuf>,
}

impl Excluded {
    fn holds_folder(&self, path: &Path) -> bool {
        self.folders.contains(&real(path))
    }

    /// Names are compared first: to find the real path of every file among a hundred thousand would take its time.
    fn holds_file(&self, path: &Path) -> bool {
        self.files.iter().any(|file| file.file_name() == path.file_name()) && self.files.contains(&real(path))
    }
}

/// Looks through what `chosen` names. `taken` are names in the archive that are given away already.
///
/// # Errors
/// `Stopped` only.
pub fn find(chosen: &sections::Content, excluded: &Excluded, taken: &[String], control: &Control) -> Result<Content> {
    let mut content = Content::default();
    let mut names = Names::new(taken);
    let lists =
        [(&chosen.program, PROGRAM, ItemKind::Program), (&chosen.attachments, ATTACHMENTS, ItemKind::Attachment)];
    for (roots, folder, kind) in lists {
        if roots.is_empty() {
            continue;
        }
        let folder = names.unique(folder);
        for root in roots {
            let (last, wanted) = (root.file_name().unwrap_or(OsStr::new("root")), named(&folder, root.file_name()));
            let name = names.unique(&wanted);
            // Where it shares its last name with another one, it has a name of ours.
            let bytes = if name == wanted { below(folder.as_bytes(), last) } else { name.clone().into_bytes() };
            let shown = ContentRoot { path: root.to_string_lossy().into_owned(), name: name.clone() };
            content.shared.edit(|report| report.roots.push(shown));
            // Where a link was chosen, what it leads to is meant; walked as a link, its folder would be stored twice.
            content.walk(&real(root), (name, bytes), kind, excluded, &mut names, control)?;
        }
    }
    content.names = names;
    Ok(content)
}

impl Content {
    fn walk(
        &mut self,
        root: &Path,
        (name, bytes): (String, Vec<u8>),
        kind: ItemKind,
        excluded: &Excluded,
        names: &mut Names,
        control: &Control,
    ) -> Result<()> {
        let held = match hold(root) {
            Ok(held) => held,
            Err(error) => {
                self.lacks(root, &error);
                return Ok(());
            }
        };
        // What a chosen link leads to is looked through in its place.
        let root = if root.is_symlink() { held.real.as_path() } else { root };
        let shared = self.shared.clone();
        let enter = |entry: &DirEntry| {
            let stays_out = entry.file_type().is_dir() && excluded.holds_folder(entry.path());
            if stays_out {
                shared.edit(|report| report.leave_out(entry.path(), "is a folder for archives"));
            }
            !stays_out
        };
        // Names and paths of the folders from the root down to the present entry, and one in which nothing was found
        // yet.
        let mut folders: Vec<(String, Vec<u8>)> = Vec::new();
        let mut empty: Option<(usize, Found)> = None;
        for entry in WalkDir::new(root).sort_by_file_name().into_iter().filter_entry(enter) {
            control.check()?;
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.lacks_entry(error.path().unwrap_or(root), &error);
                    continue;
                }
            };
            let depth = entry.depth();
            self.found.extend(empty.take().filter(|(above, _)| depth <= *above).map(|(_, folder)| folder));
            folders.truncate(depth);
            let (name, bytes) = match folders.last() {
                None => (name.clone(), bytes.clone()),
                Some((folder, above)) => {
                    (names.unique(&named(folder, Some(entry.file_name()))), below(above, entry.file_name()))
                }
            };
            let original = (bytes != name.as_bytes()).then(|| bytes.clone());
            if entry.file_type().is_dir() {
                folders.push((name.clone(), bytes));
                let (path, kind) = (entry.into_path(), ItemKind::Folder);
                let inside = held.inside(&path, root);
                empty = Some((
                    depth,
                    Found { path, root: Arc::clone(&held.folder), inside, name, original, kind, length: 0 },
                ));
            } else if name.len().max(bytes.len()) > names::LENGTH_MAX {
                self.shared.edit(|report| report.problem(entry.path(), "has too long a path for an archive"));
            } else {
                let (path, inside) = (entry.path().to_path_buf(), held.inside(entry.path(), root));
                let found = Found { path, root: Arc::clone(&held.folder), inside, name, original, kind, length: 0 };
                self.take(&entry, found, excluded);
            }
        }
        self.found.extend(empty.map(|(_, folder)| folder));
        Ok(())
    }

    fn take(&mut self, entry: &DirEntry, found: Found, excluded: &Excluded) {
        let (path, file_type) = (entry.path(), entry.file_type());
        let reason = match entry.metadata() {
            Err(error) => return self.lacks_entry(path, &error),
            Ok(_) if file_type.is_symlink() => {
                return self.found.push(Found { kind: ItemKind::Link, ..found });
            }
            Ok(_) if !file_type.is_file() => Some(special(file_type)),
            Ok(_) if excluded.holds_file(path) => Some("belongs to the data file"),
            Ok(_) if storage::refuse_data_file(path).is_err() => Some("is a data file in use; give it its own backups"),
            Ok(_) if database::of(path).is_some_and(|database| storage::refuse_data_file(&database).is_err()) => {
                Some("belongs to a data file in use")
            }
            Ok(meta) => {
                self.bytes += meta.len();
                self.found.push(Found { length: meta.len(), ..found });
                None
            }
        };
        if let Some(reason) = reason {
            self.shared.edit(|report| report.leave_out(path, reason));
        }
    }

    /// Says that what was named here could not be looked at. A journal goes when its transaction ends: its database is
    /// read as it stands then, and lacks nothing.
    fn lacks(&self, path: &Path, error: &io::Error) {
        let reason = match error.kind() {
            io::ErrorKind::NotFound if database::is_beside_one(path) => return,
            io::ErrorKind::NotFound => "does not exist any more".to_owned(),
            _ => source::unreadable(error),
        };
        self.shared.edit(|report| report.problem(path, reason));
    }

    fn lacks_entry(&self, path: &Path, error: &walkdir::Error) {
        match error.io_error() {
            Some(error) => self.lacks(path, error),
            None => self.shared.edit(|report| report.problem(path, "is a link that leads back to itself")),
        }
    }

    /// Number of files, links and empty folders.
    pub fn count(&self) -> usize {
        self.found.len()
    }

    /// What is known so far; complete when all sources were read.
    pub(super) fn shared(&self) -> Shared {
        self.shared.clone()
    }

    /// The report as it stands.
    pub fn report(&self) -> ContentReport {
        self.shared.report()
    }

    /// `ownership` for a file that holds all of this: without the permissions of whoever could not read each of the
    /// files.
    pub(super) fn readable_by_its_readers(&self, ownership: Ownership) -> Ownership {
        let files = self.found.iter().filter(|found| !matches!(found.kind, ItemKind::Folder | ItemKind::Link));
        let is_open = |ownership: &Ownership| ownership.mode.is_none_or(|mode| mode & 0o077 != 0);
        files.fold(ownership, |ownership, found| match is_open(&ownership) {
            true => ownership.readable_by(Readers::of(&found.path)),
            // It is as private as can be: a hundred thousand files need not be looked at.
            false => ownership,
        })
    }

    /// Compresses the beginnings, at most `stretch` bytes each, of up to `count` files evenly spread.
    pub(super) fn sample(&self, compression: Compression, count: usize, stretch: u64) -> Result<Sample> {
        let files: Vec<&Found> = self.found.iter().filter(|found| found.length > 0).collect();
        let mut sample = Sample::default();
        for found in files.iter().step_by(files.len().div_ceil(count).max(1)) {
            // What cannot be read now is said by the backup.
            if let Some(bytes) = source::beginning(found, stretch) {
                sample.take(&bytes, compression)?;
            }
        }
        Ok(sample)
    }

    /// The content for the writer, in order, for an archive in `folder` with the permissions `private`: what fewer
    /// people can read when it is opened is left out, and said.
    pub(super) fn sources<'a>(
        self,
        folder: &Path,
        private: Ownership,
        control: &'a Control,
    ) -> impl Iterator<Item = Box<dyn Source + 'a>> {
        let shared = self.shared;
        let databases = Arc::new(Databases::new(folder, self.found.iter(), self.names));
        // What belongs to a database goes with that, so it comes after all of them.
        let (last, first): (Vec<Found>, Vec<Found>) =
            self.found.into_iter().partition(|found| database::is_companion(&found.path));
        first.into_iter().chain(last).map(move |found| -> Box<dyn Source + 'a> {
            match found.kind {
                ItemKind::Folder | ItemKind::Link => Box::new(MarkSource::new(found, shared.clone())),
                _ => Box::new(FileSource::new(found, shared.clone(), private, (Arc::clone(&databases), Some(control)))),
            }
        })
    }
}

/// A chosen file or folder; the path to it is what the administrator wrote, and may lead through links.
struct Chosen {
    real: PathBuf,
    folder: Arc<Folder>,
    /// The name of a chosen file in that folder.
    file: Option<PathBuf>,
}

impl Chosen {
    fn inside(&self, path: &Path, root: &Path) -> PathBuf {
        self.file.clone().unwrap_or_else(|| path.strip_prefix(root).unwrap_or(path).to_path_buf())
    }
}

fn hold(root: &Path) -> std::io::Result<Chosen> {
    let real = root.canonicalize()?;
    let is_folder = real.metadata()?.is_dir();
    let (folder, file) =
        if is_folder { (real.as_path(), None) } else { (storage::folder_of(&real), real.file_name().map(Into::into)) };
    let folder = Arc::new(Folder::hold(folder)?);
    Ok(Chosen { folder, file, real })
}

/// The name in the archive of what is called `last` in `folder`, a name there.
fn named(folder: &str, last: Option<&OsStr>) -> String {
    format!("{folder}/{}", safe(last.unwrap_or(OsStr::new("root"))))
}

/// The path of what is called `last` below `above`.
fn below(above: &[u8], last: &OsStr) -> Vec<u8> {
    [above, b"/", last.as_encoded_bytes()].concat()
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

/// What is neither a file nor a folder nor a link.
fn special(file_type: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if file_type.is_fifo() {
            return "is a pipe";
        }
        if file_type.is_socket() {
            return "is a socket";
        }
    }
    let _ = file_type;
    "is a device"
}

#[cfg(test)]
mod tests {
    use std::{error::Error, fs};

    use super::*;

    #[test]
    fn what_goes_between_the_look_at_its_folder_and_at_itself_is_said_unless_a_database_let_it_go()
    -> std::result::Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        for name in ["x.db", "x.db-journal", "x.db-wal", "x.db-shm", "letter", "y.db-wal"] {
            fs::write(folder.path().join(name), name)?;
        }
        let held = Arc::new(Folder::hold(folder.path())?);
        let entries: Vec<_> = WalkDir::new(folder.path()).min_depth(1).into_iter().collect::<Result<_, _>>()?;
        let mut content = Content::default();
        for entry in entries.iter().filter(|entry| entry.file_name() != "x.db") {
            fs::remove_file(entry.path())?;
            let (path, name) = (entry.path().to_path_buf(), entry.file_name().to_string_lossy().into_owned());
            let (root, inside, kind) = (Arc::clone(&held), PathBuf::from(&name), ItemKind::Attachment);
            let found = Found { path, root, inside, name, original: None, kind, length: 0 };
            content.take(entry, found, &Excluded::default());
        }
        let mut said: Vec<_> = content.shared.report().problems.into_iter().map(|problem| problem.path).collect();
        said.sort();
        let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        assert_eq!(said, [path("letter"), path("y.db-wal")]);
        assert_eq!(content.count(), 0);
        Ok(())
    }
}
