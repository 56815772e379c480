//! A disk on which somebody does harm to other files in the middle of a backup.

#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used)]

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use strongroom::{
    error::Result,
    storage::{Disk, Ownership, Storage, StorageFile},
};

type Harm = Box<dyn FnOnce() + Send>;

/// The real disk, on which somebody does harm to the attachments at the chosen write to the archive: the first one
/// comes after all files were looked at and before any was read; the second one after the first few MiB were.
pub struct HarmfulDisk(Arc<Mutex<(usize, Option<Harm>)>>);

impl HarmfulDisk {
    pub fn new(at: usize, harm: impl FnOnce() + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new((at, Some(Box::new(harm))))))
    }
}

struct HarmfulFile(Box<dyn StorageFile>, Arc<Mutex<(usize, Option<Harm>)>>);

impl StorageFile for HarmfulFile {
    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        let mut state = self.1.lock().unwrap();
        state.0 = state.0.saturating_sub(1);
        if state.0 == 0
            && let Some(harm) = state.1.take()
        {
            harm();
        }
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> Result<()> {
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
}

impl Storage for HarmfulDisk {
    fn create(&self, path: &Path, ownership: Ownership) -> Result<Box<dyn StorageFile>> {
        Ok(Box::new(HarmfulFile(Disk.create(path, ownership)?, Arc::clone(&self.0))))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn StorageFile>> {
        Disk.open(path)
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
