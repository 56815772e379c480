//! The disk itself: what is written through it is durable when it says so.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    thread::{self, JoinHandle},
};

use super::{
    Ownership, Storage, StorageFile,
    beneath::Folder,
    clean_up,
    identity::FileStamp,
    read_exact_at, refuse_data_file,
    regular::{self, Links},
    rename_new,
};
use crate::error::{Error, ErrorKind, Result};

/// The real file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

/// No more than twice this is written before it is synced, while writing goes on: a sync of gigabytes at the end could
/// not be stopped, and would hold up the syncs of other programs on the same disk.
const UNSYNCED_MAX: usize = 32 << 20;

struct DiskFile {
    file: File,
    path: PathBuf,
    unsynced: usize,
    /// A sync of what was written before, while writing goes on.
    syncing: Option<JoinHandle<std::io::Result<()>>>,
}

impl DiskFile {
    fn new(file: File, path: &Path) -> Self {
        Self { file, path: path.to_path_buf(), unsynced: 0, syncing: None }
    }

    /// The end of the sync under way, if there is one.
    fn await_sync(&mut self) -> Result<()> {
        let Some(thread) = self.syncing.take() else { return Ok(()) };
        let ended = thread.join().unwrap_or_else(|_| Err(std::io::ErrorKind::Other.into()));
        ended.map_err(|e| Error::io("sync", &self.path, e))
    }

    fn begin_sync(&mut self) -> Result<()> {
        self.await_sync()?;
        self.unsynced = 0;
        let file = self.file.try_clone().map_err(|e| Error::io("sync", &self.path, e))?;
        match thread::Builder::new().name("sync".into()).spawn(move || file.sync_data()) {
            Ok(thread) => self.syncing = Some(thread),
            // Without a further thread it is done here.
            Err(_) => self.file.sync_data().map_err(|e| Error::io("sync", &self.path, e))?,
        }
        Ok(())
    }
}

impl Drop for DiskFile {
    fn drop(&mut self) {
        // A lock on the file lasts as long as its last handle.
        let _ = self.await_sync();
    }
}

impl StorageFile for DiskFile {
    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|e| Error::io("write to", &self.path, e))?;
        self.unsynced += bytes.len();
        if self.unsynced >= UNSYNCED_MAX { self.begin_sync() } else { Ok(()) }
    }

    fn sync(&mut self) -> Result<()> {
        self.await_sync()?;
        self.unsynced = 0;
        self.file.sync_data().map_err(|e| Error::io("sync", &self.path, e))
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let fail = |e| Error::io("read back", &self.path, e);
        read_exact_at(&self.file, offset, buffer).map_err(fail)?;
        // On Windows to read moves the place where the next write goes on.
        #[cfg(not(unix))]
        self.file.seek(SeekFrom::End(0)).map_err(fail)?;
        Ok(())
    }

    fn length(&mut self) -> Result<u64> {
        self.file.metadata().map(|m| m.len()).map_err(|e| Error::io("measure", &self.path, e))
    }

    fn truncate(&mut self, length: u64) -> Result<()> {
        let fail = |e| Error::io("cut", &self.path, e);
        self.file.set_len(length).map_err(fail)?;
        self.file.seek(SeekFrom::Start(length)).map_err(fail)?;
        Ok(())
    }

    fn stamp(&mut self) -> Result<Option<FileStamp>> {
        self.file.metadata().map(|meta| Some(FileStamp::of(&meta))).map_err(|e| Error::io("look at", &self.path, e))
    }
}

/// Writes go to the end of the file, wherever that is: of one that somebody cuts, the length tells it after the next
/// write too. At a place of its own, that write would fill the gap with zeros.
fn appending(options: &mut OpenOptions) {
    // On Windows such a file could not be cut any more.
    #[cfg(unix)]
    options.append(true);
    #[cfg(not(unix))]
    let _ = options;
}

impl Storage for Disk {
    fn create(&self, path: &Path, ownership: Ownership) -> Result<Box<dyn StorageFile>> {
        let fail = |e| Error::io("create", path, e);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        appending(&mut options);
        // Nobody else may read it before it has its owner and mode.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(fail)?;
        // The lock tells a leftover from a file being written; a file system without locks only loses the clean-up.
        let _ = file.try_lock();
        ownership.apply(&file, path)?;
        Ok(Box::new(DiskFile::new(file, path)))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn StorageFile>> {
        let fail = |e| Error::io("open", path, e);
        refuse_data_file(path)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        appending(&mut options);
        let (mut file, _) = regular::open_with(&mut options, path, Links::Followed).map_err(fail)?;
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            // A second data file of one engine is refused as well: who it is, the lock does not tell.
            return Err(Error::new(ErrorKind::InUse, format!("{} is being written already", path.display())).hint(
                "It is the log of another data file with the same name and folder: choose another file for this one \
                 (log.file). Or another Strongroom manages this data file: use its window, or end it first.",
            ));
        }
        file.seek(SeekFrom::End(0)).map_err(fail)?;
        Ok(Box::new(DiskFile::new(file, path)))
    }

    fn rename_new(&self, from: &Path, to: &Path) -> Result<()> {
        rename_new(from, to).map_err(|e| Error::io("give the final name to", to, e))
    }

    fn sync_folder(&self, folder: &Path) -> Result<()> {
        // Windows has no such operation; its renames are journalled by NTFS.
        #[cfg(unix)]
        Folder::open(folder)?.sync(Path::new(""))?;
        #[cfg(not(unix))]
        let _ = folder;
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<()> {
        std::fs::remove_file(path).map_err(|e| Error::io("remove", path, e))
    }

    fn create_in(&self, folder: &Folder, name: &Path, ownership: Ownership) -> Result<Box<dyn StorageFile>> {
        let file = folder.create(name, ownership)?;
        Ok(Box::new(DiskFile::new(file, &folder.path().join(name))))
    }

    fn rename_in(&self, from: (&Folder, &Path), to: (&Folder, &Path)) -> Result<()> {
        from.0.rename_new(from.1, to.0, to.1)
    }

    fn sync_in(&self, folder: &Folder, name: &Path) -> Result<()> {
        folder.sync(name)
    }

    fn remove_in(&self, folder: &Folder, name: &Path) -> Result<()> {
        folder.remove(name)
    }

    fn discard(&self, path: &Path) {
        let path = path.to_path_buf();
        clean_up(move || _ = std::fs::remove_file(path));
    }
}
