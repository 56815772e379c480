//! Giving restored files their final names: never over anything, and all or nothing.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use super::extract;
use crate::{
    archive::{Item, ItemKind, reader::safe_name},
    error::{Error, Result},
    storage::{self, Storage},
};

/// What stands under its final name in a folder.
pub(super) struct Placed {
    destination: PathBuf,
    pub(super) files: Vec<PathBuf>,
    /// Links that were not made, because they lead out of the folder.
    pub(super) links_left: Vec<String>,
    links: Vec<PathBuf>,
    /// Folders whose names are to be made durable; those that are ours.
    folders: BTreeSet<PathBuf>,
    made: Vec<PathBuf>,
}

impl Placed {
    pub(super) fn new(destination: &Path) -> Self {
        let folders = BTreeSet::from([destination.to_path_buf()]);
        let destination = destination.to_path_buf();
        Self { destination, files: Vec::new(), links_left: Vec::new(), links: Vec::new(), folders, made: Vec::new() }
    }

    /// Moves `items` from the folder `scratch`, and makes all names durable. When that fails, nothing stays.
    ///
    /// # Errors
    /// An existing file of that name, or a folder that can not be written.
    pub(super) fn place_all(&mut self, storage: &dyn Storage, items: &[Item], scratch: &Path) -> Result<()> {
        let outcome = self.move_all(storage, items, scratch).and_then(|()| {
            // Each folder once: a hundred thousand files are no hundred thousand waits.
            self.folders.iter().try_for_each(|folder| storage.sync_folder(folder))
        });
        if outcome.is_err() {
            for path in self.files.iter().chain(&self.links) {
                let _ = storage.remove(path);
            }
            for folder in self.made.iter().rev() {
                let _ = fs::remove_dir(folder);
            }
        }
        outcome
    }

    fn move_all(&mut self, storage: &dyn Storage, items: &[Item], scratch: &Path) -> Result<()> {
        for item in items {
            let name = safe_name(&item.name)?;
            let target = self.destination.join(&name);
            if item.kind == ItemKind::Folder {
                self.make_folder(&target)?;
            } else if extract::is_file(item) {
                self.make_folder(storage::folder_of(&target))?;
                storage.rename_new(&scratch.join(&name), &target)?;
                self.files.push(target);
            }
        }
        let destination = self.destination.clone();
        for item in items.iter().filter(|item| item.kind == ItemKind::Link) {
            self.make_folder(storage::folder_of(&destination.join(safe_name(&item.name)?)))?;
            match extract::make_link(item, &destination)? {
                Ok(made) => self.links.push(made),
                Err(left) => self.links_left.push(left),
            }
        }
        Ok(())
    }

    /// Makes a folder with those above it, as far as they do not exist.
    fn make_folder(&mut self, folder: &Path) -> Result<()> {
        if !self.folders.insert(folder.to_path_buf()) {
            return Ok(());
        }
        if let Some(parent) = folder.parent().filter(|_| folder != self.destination) {
            self.make_folder(parent)?;
        }
        match fs::create_dir(folder) {
            Ok(()) => self.made.push(folder.to_path_buf()),
            Err(_) if folder.is_dir() => {}
            Err(e) => return Err(Error::io("create the folder", folder, e)),
        }
        Ok(())
    }
}
