//! The data files in the engine's care, in the order in which they were opened.

use std::path::{Path, PathBuf};

use super::{
    data_file::DataFile,
    status::{DataFileId, DataFileStatus},
};

/// All of them; each name is there once.
#[derive(Default)]
pub(super) struct Registry(Vec<DataFile>);

impl Registry {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &DataFile> {
        self.0.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut DataFile> {
        self.0.iter_mut()
    }

    /// The canonical paths of all.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.0.iter().map(|data_file| data_file.path().to_path_buf()).collect()
    }

    /// The one at this canonical path.
    pub(super) fn at(&self, path: &Path) -> Option<&DataFile> {
        // Paths are compared part by part, which takes a while where there are hundreds; nearly always they are the
        // same text.
        let same_text = |known: &&DataFile| known.path().as_os_str() == path.as_os_str();
        self.0.iter().find(same_text).or_else(|| self.0.iter().find(|known| known.path() == path))
    }

    /// The same, to be changed.
    pub(super) fn at_mut(&mut self, path: &Path) -> Option<&mut DataFile> {
        let id = self.at(path)?.id();
        self.0.iter_mut().find(|known| known.id() == id)
    }

    /// What is known of the one at this canonical path.
    pub(super) fn status(&self, path: &Path) -> Option<&DataFileStatus> {
        self.at(path).map(|known| &**known.status())
    }

    /// Adds one, with another name where its own is taken.
    pub(super) fn add(&mut self, mut added: DataFile) {
        if self.0.iter().any(|known| known.id() == added.id()) {
            added.edit().id = DataFileId::new(None, added.path());
        }
        self.0.push(added);
    }

    /// Takes one off.
    pub(super) fn remove(&mut self, path: &Path) -> Option<DataFile> {
        let at = self.0.iter().position(|known| known.path() == path)?;
        Some(self.0.remove(at))
    }
}
