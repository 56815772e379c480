//! What is written beside the segments of an archive: in each further folder which archive is being written there, and
//! where the other segments are.

use std::{collections::BTreeSet, path::Path};

use super::{Output, part_of};
use crate::{
    archive::{catalog, leftovers, segments::note_path},
    error::{Result, foreign::shown},
    storage,
};

impl Output<'_> {
    /// Has a further folder say itself which archive is being written there, before anything of it is.
    pub(super) fn mark_folder(&mut self) -> Result<()> {
        let own = storage::folder_of(&self.target);
        if self.marker.is_none() || self.folder == own {
            return Ok(());
        }
        let stem = catalog::stem(Path::new(&self.identity.data_file_name));
        let list = leftovers::list_path(&self.folder, &stem, self.identity.number);
        // By another name it may be the same folder.
        if self.markers.iter().any(|(known, _)| *known == list) || is_same_folder(&self.folder, own) {
            return Ok(());
        }
        if storage::is_leftover(&list) {
            let _ = self.storage.remove(&list);
        }
        let mut marker = self.storage.create(&list, self.ownership)?;
        let written = marker.write_all(leftovers::first_line(self.identity.archive_id).as_bytes());
        self.markers.push((list, marker));
        written.and_then(|()| self.markers.last_mut().map_or(Ok(()), |(_, marker)| marker.sync()))
    }

    /// Notes in each folder of a set where its other segments are, before the set is complete. The note helps to find
    /// them; a disk that has no place for it is no reason to give up an archive that is proven.
    pub(super) fn write_notes(&self) {
        let folders: BTreeSet<&Path> = self.parts.iter().map(|part| storage::folder_of(&part.target)).collect();
        let own = storage::folder_of(&self.target);
        if folders.iter().all(|folder| *folder == own) {
            return;
        }
        let stem = catalog::stem(Path::new(&self.identity.data_file_name));
        let text: String = self.parts.iter().map(|part| format!("{}\n", part.target.display())).collect();
        for folder in folders.into_iter().chain([own]).collect::<BTreeSet<_>>() {
            let note = note_path(folder, &stem, self.identity.number);
            // One that an interrupted backup of the same number left.
            let _ = self.storage.remove(&note);
            if let Err(error) = self.write_note(&note, &text) {
                tracing::warn!(%error, note = %shown(&note), "no note about the other segments");
            }
        }
    }

    pub(super) fn remove_notes(&self) {
        let stem = catalog::stem(Path::new(&self.identity.data_file_name));
        let folders = self.parts.iter().map(|part| part.target.as_path()).chain([self.target.as_path()]);
        for folder in folders.map(storage::folder_of).collect::<BTreeSet<_>>() {
            let note = note_path(folder, &stem, self.identity.number);
            if note.exists() {
                let _ = self.storage.remove(&note);
            }
        }
    }

    fn write_note(&self, note: &Path, text: &str) -> Result<()> {
        let part = part_of(note);
        let mut file = self.storage.create(&part, self.ownership)?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync());
        drop(file);
        let named = written.and_then(|()| storage::publish(self.storage, &part, note));
        if named.is_err() {
            let _ = self.storage.remove(&part);
        }
        named
    }
}

fn is_same_folder(first: &Path, second: &Path) -> bool {
    matches!((first.canonicalize(), second.canonicalize()), (Ok(first), Ok(second)) if first == second)
}
