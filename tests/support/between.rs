//! The real disk, with somebody in between: what happens right before a file is written or synced.

use std::path::{Path, PathBuf};

use strongroom::{
    error::Result,
    storage::{Disk, Ownership, Storage, StorageFile, identity::FileStamp},
};

/// What happens in between.
pub trait Between: Clone + Send + Sync + 'static {
    fn before_write(&self, _path: &Path) {}

    fn before_sync(&self, _path: &Path) {}
}

/// The disk; of each file it knows by which name it was opened.
#[derive(Clone)]
pub struct DiskBetween<B>(pub B);

struct FileBetween<B>(Box<dyn StorageFile>, B, PathBuf);

impl<B: Between> StorageFile for FileBetween<B> {
    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        self.1.before_write(&self.2);
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> Result<()> {
        self.1.before_sync(&self.2);
        self.0.sync()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.0.read_at(offset, buffer)
    }

    fn length(&mut self) -> Result<u64> {
        self.0.length()
    }

    fn truncate(&mut self, length: u64) -> Result<()> {
        self.0.truncate(length)
    }

    fn stamp(&mut self) -> Result<Option<FileStamp>> {
        self.0.stamp()
    }
}

impl<B: Between> Storage for DiskBetween<B> {
    fn create(&self, path: &Path, ownership: Ownership) -> Result<Box<dyn StorageFile>> {
        Ok(Box::new(FileBetween(Disk.create(path, ownership)?, self.0.clone(), path.to_path_buf())))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn StorageFile>> {
        Ok(Box::new(FileBetween(Disk.open(path)?, self.0.clone(), path.to_path_buf())))
    }

    fn rename_new(&self, from: &Path, to: &Path) -> Result<()> {
        Disk.rename_new(from, to)
    }

    fn sync_folder(&self, folder: &Path) -> Result<()> {
        Disk.sync_folder(folder)
    }

    fn remove(&self, path: &Path) -> Result<()> {
        Disk.remove(path)
    }
}
