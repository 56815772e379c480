//! The data files of a status, each under its own name, so that a change of one copies one.

use std::{iter::Map, ops::Deref, path::Path, slice, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{data_file::DataFileStatus, id::DataFileId};

/// The data files, in the order in which they were opened; each name is there once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DataFiles(Vec<Arc<DataFileStatus>>);

impl DataFiles {
    /// All of them, in the order in which they were opened.
    pub fn iter(&self) -> Iter<'_> {
        self.0.iter().map(|known| known)
    }

    /// The one with this name.
    pub fn get(&self, id: DataFileId) -> Option<&Arc<DataFileStatus>> {
        self.0.iter().find(|known| known.id == id)
    }

    /// The one with this canonical path.
    pub fn at(&self, path: &Path) -> Option<&Arc<DataFileStatus>> {
        // Paths are compared part by part, which takes a while where there are hundreds; nearly always they are the
        // same text.
        let same_text = |known: &&Arc<DataFileStatus>| known.facts.path.as_os_str() == path.as_os_str();
        self.0.iter().find(same_text).or_else(|| self.0.iter().find(|known| known.facts.path == path))
    }

    /// Adds one, with another name where its own is taken. Returns its name.
    pub fn add(&mut self, mut added: Arc<DataFileStatus>) -> DataFileId {
        if self.get(added.id).is_some() {
            Arc::make_mut(&mut added).id = DataFileId::new(None, &added.facts.path);
        }
        let id = added.id;
        self.0.push(added);
        id
    }

    /// The one with this name, to be changed: it alone is copied.
    pub fn edit(&mut self, id: DataFileId) -> Option<&mut DataFileStatus> {
        self.0.iter_mut().find(|known| known.id == id).map(Arc::make_mut)
    }

    /// Takes one off.
    pub fn remove(&mut self, id: DataFileId) {
        self.0.retain(|known| known.id != id);
    }
}

impl Deref for DataFiles {
    type Target = [Arc<DataFileStatus>];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// The data files, one after the other.
pub type Iter<'a> = Map<slice::Iter<'a, Arc<DataFileStatus>>, fn(&'a Arc<DataFileStatus>) -> &'a DataFileStatus>;

impl<'a> IntoIterator for &'a DataFiles {
    type Item = &'a DataFileStatus;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromIterator<Arc<DataFileStatus>> for DataFiles {
    fn from_iter<T: IntoIterator<Item = Arc<DataFileStatus>>>(all: T) -> Self {
        Self(all.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use chrono::Local;
    use uuid::Uuid;

    use super::*;
    use crate::{
        engine::{Host, HostKind, data_file::status_of},
        settings::SettingsFile,
        sqlite::data_file::identify,
    };

    #[test]
    fn a_change_copies_one_and_a_name_is_there_once() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let status = |name: &str, identity: Option<Uuid>| -> crate::error::Result<Arc<DataFileStatus>> {
            let path = folder.path().join(name);
            let made = rusqlite::Connection::open(&path).and_then(|conn| conn.execute_batch("CREATE TABLE t(a)"));
            made.map_err(|e| crate::error::Error::sqlite("make", &path, e))?;
            let mut settings = SettingsFile::load(&path, folder.path())?;
            settings.note(folder.path(), |settings| settings.data_file_id = identity)?;
            let host = Host { kind: HostKind::Window, process: 1, namespace: None };
            Ok(Arc::new(status_of(identify(&path)?, &settings, host)))
        };
        let identity = Uuid::from_u128(7);
        let mut all = DataFiles::default();
        let first = all.add(status("a.db", Some(identity))?);
        // It was copied with its settings.
        let copy = all.add(status("b.db", Some(identity))?);
        let without = all.add(status("c.db", None)?);
        assert_eq!(first.to_string(), identity.to_string());
        assert_eq!(all.at(&folder.path().join("c.db")).map(|known| known.id), Some(without));
        assert!(copy != first && without != first && without != copy);
        let published = all.clone();
        all.edit(copy).ok_or("not there")?.damage_since = Some(Local::now());
        let same = |id| published.get(id).zip(all.get(id)).is_some_and(|(a, b)| Arc::ptr_eq(a, b));
        assert_eq!([first, copy, without].map(same), [true, false, true]);
        all.remove(first);
        assert_eq!(all.iter().map(|known| known.id).collect::<Vec<_>>(), [copy, without]);
        Ok(())
    }
}
