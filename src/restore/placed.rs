//! Giving restored files their final names: never over anything, and all or nothing.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::extract;
use crate::{
    archive::{Item, ItemKind, lawful::COMPANIONS},
    error::Result,
    storage::{self, Storage, beneath::Folder},
};

/// What stands under its final name in a folder; all names are relative to it.
pub(super) struct Placed<'a> {
    destination: &'a Folder,
    pub(super) files: Vec<PathBuf>,
    /// Links that were not made, because they lead out of the folder.
    pub(super) links_left: Vec<String>,
    links: Vec<PathBuf>,
    /// Folders whose names are to be made durable; those that are ours.
    folders: BTreeSet<PathBuf>,
    made: Vec<PathBuf>,
}

impl<'a> Placed<'a> {
    pub(super) fn new(destination: &'a Folder) -> Self {
        let folders = BTreeSet::from([PathBuf::new()]);
        Self { destination, files: Vec::new(), links_left: Vec::new(), links: Vec::new(), folders, made: Vec::new() }
    }

    /// Moves `items` from the folder `scratch`, and makes all names durable. When that fails, nothing stays.
    ///
    /// # Errors
    /// An existing file of that name, a link in the way, or a folder that cannot be written.
    pub(super) fn place_all(&mut self, storage: &dyn Storage, items: &[Item], scratch: &Folder) -> Result<()> {
        let outcome = self.move_all(storage, items, scratch).and_then(|()| {
            // Each folder once: a hundred thousand files are no hundred thousand waits.
            self.folders.iter().try_for_each(|folder| storage.sync_in(self.destination, folder))
        });
        if outcome.is_err() {
            for name in self.files.iter().chain(&self.links) {
                let _ = storage.remove_in(self.destination, name);
            }
            for folder in self.made.iter().rev() {
                let _ = self.destination.remove_folder(folder);
            }
        }
        outcome
    }

    fn move_all(&mut self, storage: &dyn Storage, items: &[Item], scratch: &Folder) -> Result<()> {
        for item in items {
            let name = item.path()?;
            if item.kind == ItemKind::Folder {
                self.make_folder(&name)?;
            } else if extract::is_file(item) {
                self.make_folder(parent(&name))?;
                storage.rename_in((scratch, &name), (self.destination, &name))?;
                self.files.push(name);
            }
        }
        for item in items.iter().filter(|item| item.kind == ItemKind::Link) {
            self.make_folder(parent(&item.path()?))?;
            match extract::make_link(item, self.destination)? {
                Ok(made) => self.links.push(made),
                Err(left) => self.links_left.push(left),
            }
        }
        Ok(())
    }

    /// Makes a folder with those above it, as far as they do not exist.
    fn make_folder(&mut self, name: &Path) -> Result<()> {
        if !self.folders.insert(name.to_path_buf()) {
            return Ok(());
        }
        self.make_folder(parent(name))?;
        if self.destination.make(name, false)? {
            self.made.push(name.to_path_buf());
        }
        Ok(())
    }
}

/// The folder that holds `name`, relative to the same folder; empty for that one itself.
fn parent(name: &Path) -> &Path {
    name.parent().unwrap_or_else(|| Path::new(""))
}

/// What is to be said of files whose owners this user cannot give them.
pub(super) fn owners_not_given(items: &[Item]) -> Option<String> {
    let owner = |item: &Item| item.owner.map(|(user, _)| user).filter(|user| !storage::may_give_to(*user));
    let mut others = items.iter().filter(|item| extract::is_file(item)).filter_map(|item| Some((item, owner(item)?)));
    let (first, user) = others.next()?;
    let more = others.count();
    let which = if more == 0 { first.name.clone() } else { format!("{} and {more} more", first.name) };
    Some(format!("{which} belonged to another user (number {user}) and now to the one who restored."))
}

/// Refuses what has the name of `item` already, or would be taken for a part of it.
pub(super) fn refuse_target(destination: &Folder, item: &Item) -> Result<()> {
    let name = item.path()?;
    destination.refuse_existing(&name)?;
    if item.kind == ItemKind::DataFile {
        // SQLite would take a stranger's journal or WAL for this file's own, and damage it.
        for end in COMPANIONS {
            let mut name = name.clone().into_os_string();
            name.push(end);
            destination.refuse_existing(Path::new(&name))?;
        }
    }
    Ok(())
}
