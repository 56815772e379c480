//! Durable writing: the only way bytes that matter reach a disk.
//!
//! A file is created under a temporary name, written, synced, read back by whoever needs that, renamed to its final
//! name (never over an existing file), and its folder is synced: see [`publish`]. So a final name is always a complete
//! file, whatever crashes in between. After a failed sync the file is not trusted any more: the system may have dropped
//! the bytes and report success the next time.
//!
//! The trait [`Storage`] stands between the formats and the operating system so that tests can make every single step
//! fail or crash; [`Disk`] is the real one.

pub mod beneath;
mod clean_up;
mod disk;
pub mod disks;
pub mod identity;
mod in_use;
pub mod installation;
pub mod lasting;
mod lock_table;
pub mod marker;
pub mod names;
pub mod owners;
mod ownership;
pub mod processes;
pub mod regular;
pub mod scratch;
pub mod space;

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

use crate::error::{Error, ErrorKind, Result};
use beneath::Folder;
pub use clean_up::{await_clean_up, clean_up};
pub use disk::Disk;
use identity::FileStamp;
use in_use::refuse_data_file_known_as;
pub use in_use::{note_data_file, refuse_data_file};
pub use ownership::{Ownership, have_same_owner, make_file_private, may_give_to};
use regular::Links;

/// The end of every temporary name; what carries it is a leftover when no process holds its lock.
pub const PART_SUFFIX: &str = ".part";

/// A file being written or appended to.
pub trait StorageFile: Send {
    /// Appends all of `bytes`.
    ///
    /// # Errors
    /// When the disk is full, gone or broken.
    fn write_all(&mut self, bytes: &[u8]) -> Result<()>;

    /// Returns when everything written is on the disk. After an error the file must not be trusted.
    ///
    /// # Errors
    /// When the system could not write.
    fn sync(&mut self) -> Result<()>;

    /// Reads exactly `buffer.len()` bytes at `offset`.
    ///
    /// # Errors
    /// When there are fewer bytes, or the disk cannot be read.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()>;

    /// The length in bytes.
    ///
    /// # Errors
    /// When the system does not tell.
    fn length(&mut self) -> Result<u64>;

    /// Cuts the file to `length`, where the next write goes on.
    ///
    /// # Errors
    /// When the system could not.
    fn truncate(&mut self, length: u64) -> Result<()>;

    /// Which file it is and how it is now, whatever its name leads to meanwhile; `None` where the storage has no such
    /// thing.
    ///
    /// # Errors
    /// When the system does not tell.
    fn stamp(&mut self) -> Result<Option<FileStamp>> {
        Ok(None)
    }
}

/// What the formats need of a file system.
pub trait Storage: Send + Sync {
    /// Creates `path`, which must not exist, and locks it for as long as the file is open.
    ///
    /// # Errors
    /// When it exists, or the folder cannot be written.
    fn create(&self, path: &Path, ownership: Ownership) -> Result<Box<dyn StorageFile>>;

    /// Opens `path`, which must exist, to append to it, and locks it for as long as the file is open.
    ///
    /// # Errors
    /// `NotFound`, or `InUse` when another process holds its lock.
    fn open(&self, path: &Path) -> Result<Box<dyn StorageFile>>;

    /// Renames `from` to `to`, and fails when `to` exists.
    ///
    /// # Errors
    /// See above.
    fn rename_new(&self, from: &Path, to: &Path) -> Result<()>;

    /// Makes names in `folder` durable.
    ///
    /// # Errors
    /// When the system could not write.
    fn sync_folder(&self, folder: &Path) -> Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// When it does not exist or may not be removed.
    fn remove(&self, path: &Path) -> Result<()>;

    /// Creates the file `name` below `folder`, as [`create`](Self::create); no link on the way is followed.
    ///
    /// # Errors
    /// As [`create`](Self::create), and when a link is in the way.
    fn create_in(&self, folder: &Folder, name: &Path, ownership: Ownership) -> Result<Box<dyn StorageFile>> {
        self.create(&folder.path().join(name), ownership)
    }

    /// Gives the first file the second name, each below a folder, as [`rename_new`](Self::rename_new); no link on the
    /// way is followed.
    ///
    /// # Errors
    /// As [`rename_new`](Self::rename_new), and when a link is in the way.
    fn rename_in(&self, from: (&Folder, &Path), to: (&Folder, &Path)) -> Result<()> {
        self.rename_new(&from.0.path().join(from.1), &to.0.path().join(to.1))
    }

    /// Makes names in the folder `name` below `folder` durable.
    ///
    /// # Errors
    /// When the system could not write, or a link is in the way.
    fn sync_in(&self, folder: &Folder, name: &Path) -> Result<()> {
        self.sync_folder(&folder.path().join(name))
    }

    /// Removes the file or link `name` below `folder`.
    ///
    /// # Errors
    /// As [`remove`](Self::remove), and when a link is in the way.
    fn remove_in(&self, folder: &Folder, name: &Path) -> Result<()> {
        self.remove(&folder.path().join(name))
    }

    /// Removes a file of no worth, as far as the disk allows: what stays carries [`PART_SUFFIX`] and is recognised
    /// later.
    fn discard(&self, path: &Path) {
        let _ = self.remove(path);
    }
}

/// Gives a finished, synced file its final name: renamed without replacing anything, folder synced.
///
/// # Errors
/// When `to` exists or the system could not write; then nothing carries the final name because of us.
pub fn publish(storage: &dyn Storage, from: &Path, to: &Path) -> Result<()> {
    storage.rename_new(from, to)?;
    storage.sync_folder(folder_of(to))
}

/// The full path of a file without links, also of one that is gone, as far as its folder is there.
pub fn real_path(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        match (folder_of(&path).canonicalize(), path.file_name()) {
            (Ok(folder), Some(name)) => folder.join(name),
            _ => path,
        }
    })
}

/// The folders that these files lie in, each once.
pub fn folders_of(files: &[PathBuf]) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = files.iter().map(|file| folder_of(file).to_path_buf()).collect();
    folders.sort_unstable();
    folders.dedup();
    folders
}

/// The folder that holds `path`; `.` for a bare name.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes the folder at `path`, with those above it, for this user alone; what is there already stays as it is.
///
/// # Errors
/// Those of the disk.
pub fn make_private_folders(path: &Path) -> Result<()> {
    make_folders_with(path, 0o700)
}

/// The same; others may enter them as far as the system's default lets them, but not write there.
///
/// # Errors
/// Those of the disk.
pub fn make_folders(path: &Path) -> Result<()> {
    make_folders_with(path, 0o755)
}

fn make_folders_with(path: &Path, mode: u32) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, mode);
    #[cfg(not(unix))]
    let _ = mode;
    builder.recursive(true).create(path).map_err(|e| Error::io("create the folder", path, e))
}

/// Sees that nobody else may enter the program's own folder at `path`: what it keeps there tells of data files that
/// others may not see.
///
/// # Errors
/// When it cannot be opened; one that belongs to somebody else stays as it is.
pub fn make_private(path: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let fail = |e| Error::io("set the permissions of", path, e);
        let folder = File::open(path).map_err(fail)?;
        let meta = folder.metadata().map_err(fail)?;
        if meta.mode() & 0o077 != 0 && meta.uid() == owners::this_user() {
            folder.set_permissions(std::fs::Permissions::from_mode(0o700)).map_err(fail)?;
        }
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Replaces the small text file `path` as a whole: readers see the old or the new text, never a part.
///
/// # Errors
/// When the folder cannot be written; then the old text stays.
pub fn replace_text(path: &Path, text: &str, ownership: Ownership) -> Result<()> {
    let folder = folder_of(path);
    let fail = |e| Error::io("write", path, e);
    let mut file =
        tempfile::Builder::new().prefix(".strongroom-").suffix(PART_SUFFIX).tempfile_in(folder).map_err(fail)?;
    file.write_all(text.as_bytes()).map_err(fail)?;
    ownership.apply(file.as_file(), path)?;
    file.as_file().sync_all().map_err(fail)?;
    file.persist(path).map_err(|e| fail(e.error))?;
    Disk.sync_folder(folder)
}

/// The number of a file on its disk, where files have one.
pub fn inode(path: &Path) -> Option<u64> {
    #[cfg(unix)]
    return path.metadata().ok().map(|meta| std::os::unix::fs::MetadataExt::ino(&meta));
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

/// Whether a file with a temporary name is a leftover: no living process holds the lock it was created with.
pub fn is_leftover(path: &Path) -> bool {
    // A pipe would be waited for without end, and a link may lead to a file that must not be opened.
    regular::open(path, Links::Refused).is_ok_and(|(file, _)| file.try_lock().is_ok())
}

/// Has the system forget what it keeps in memory of a file that was synced, so that what is read next comes from the
/// disk. Linux does that; elsewhere, and in file systems that are memory, what is read back may be what was written.
pub fn forget_cached(path: &Path) {
    #[cfg(target_os = "linux")]
    if let Ok((file, _)) = regular::open(path, Links::Followed) {
        let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = path;
}

/// Reads exactly `buffer.len()` bytes of `file` at `offset`.
///
/// # Errors
/// Those of the system; `UnexpectedEof` when there are fewer bytes.
pub fn read_exact_at(file: &File, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
    }
    #[cfg(not(unix))]
    {
        // Several threads read the same file; what moves its position for a moment would give each other's bytes.
        let mut done = 0;
        while done < buffer.len() {
            match std::os::windows::fs::FileExt::seek_read(file, &mut buffer[done..], offset + done as u64) {
                Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => done += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(target_os = "linux")]
fn rename_new(from: &Path, to: &Path) -> std::io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        // File systems that do not know the flag.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => {
            link_and_unlink(from, to)
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn rename_new(from: &Path, to: &Path) -> std::io::Result<()> {
    link_and_unlink(from, to)
}

/// A hard link fails when the name exists; where links are unknown (FAT), a look before the rename must do.
fn link_and_unlink(from: &Path, to: &Path) -> std::io::Result<()> {
    match std::fs::hard_link(from, to) {
        Ok(()) => std::fs::remove_file(from),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(error),
        Err(_) if to.symlink_metadata().is_ok() => Err(std::io::ErrorKind::AlreadyExists.into()),
        Err(_) => std::fs::rename(from, to),
    }
}

/// Refuses an existing target with the words the administrator needs.
///
/// # Errors
/// [`ErrorKind::Exists`] when anything carries that name.
pub fn refuse_existing(path: &Path) -> Result<()> {
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    Err(exists_already(path))
}

fn exists_already(path: &Path) -> Error {
    Error::new(ErrorKind::Exists, format!("{} exists already", path.display()))
        .hint("Existing files are never overwritten. Choose another folder, or move that file away.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_file_of_ours_can_be_read_and_written_whatever_lies_beside_it()
    -> std::result::Result<(), Box<dyn std::error::Error>> {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let folder = tempfile::tempdir()?;
        let (log, ours) = (folder.path().join("a.journal"), folder.path().join("a.journal.pages"));
        std::fs::write(&log, "")?;
        std::fs::write(&ours, "")?;
        for (mode, expected) in [(0o000, 0o600), (0o444, 0o644), (0o640, 0o640), (0o666, 0o666)] {
            std::fs::set_permissions(&log, std::fs::Permissions::from_mode(mode))?;
            Ownership::of(&log).apply_at(&ours)?;
            assert_eq!(ours.metadata()?.mode() & 0o777, expected, "{mode:o}");
            assert_eq!(Ownership::exactly_of(&log).mode, Some(mode), "for what takes its place");
        }
        Ok(())
    }

    #[test]
    fn a_final_name_is_never_taken_from_another_file() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let (part, name) = (folder.path().join("a.part"), folder.path().join("a"));
        std::fs::write(&name, "old")?;
        let mut file = Disk.create(&part, Ownership::default())?;
        file.write_all(b"new")?;
        file.sync()?;
        let error = publish(&Disk, &part, &name).err().ok_or("renamed over a file")?;
        assert_eq!(error.kind(), ErrorKind::Exists);
        assert_eq!(std::fs::read(&name)?, b"old");
        assert!(link_and_unlink(&part, &name).is_err());
        Ok(())
    }

    #[test]
    fn a_file_being_written_is_no_leftover() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let part = folder.path().join("a.part");
        let file = Disk.create(&part, Ownership::default())?;
        assert!(!is_leftover(&part));
        drop(file);
        // A process that another test begins just now has the file, too, until it is another program.
        while !is_leftover(&part) {
            std::thread::yield_now();
        }
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn files_get_the_mode_of_the_data_file_without_execution() -> Result<(), Box<dyn std::error::Error>> {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        std::fs::write(&data, "")?;
        std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o740))?;
        let part = folder.path().join("a.part");
        Disk.create(&part, Ownership::of(&data))?;
        assert_eq!(std::fs::metadata(&part)?.permissions().mode() & 0o777, 0o640);
        Ok(())
    }
}
