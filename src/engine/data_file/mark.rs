//! Whether folders and files are still what they were, told without reading them.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Number on its disk, length, and time of the last change.
type Look = Option<(Option<u64>, u64, Option<SystemTime>)>;

/// How folders of archives, and the archives in them, looked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct Mark(Vec<(PathBuf, Look)>);

impl Mark {
    pub(in crate::engine) fn of(paths: impl Iterator<Item = PathBuf>) -> Self {
        let mut mark = Self::default();
        mark.add(paths);
        mark
    }

    pub(in crate::engine) fn add(&mut self, paths: impl Iterator<Item = PathBuf>) {
        self.0.extend(paths.map(|path| (path.clone(), look(&path))));
    }

    /// Whether all of it looks the same.
    pub(in crate::engine) fn is_same_now(&self) -> bool {
        self.0.iter().all(|(path, before)| look(path) == *before)
    }
}

fn look(path: &Path) -> Look {
    let meta = path.metadata().ok()?;
    // A folder on a disk that others use changes its length in ways that mean nothing here.
    let length = if meta.is_dir() { 0 } else { meta.len() };
    Some((crate::storage::inode(path), length, meta.modified().ok()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_made_deleted_cut_or_replaced_is_seen() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let (place, file) = (folder.path().to_path_buf(), folder.path().join("a[0001].4BK"));
        fs::write(&file, "archive")?;
        let mark = || Mark::of([place.clone(), file.clone()].into_iter());
        let before = mark();
        assert!(before.is_same_now());
        fs::OpenOptions::new().write(true).open(&file)?.set_len(3)?;
        assert!(!before.is_same_now(), "cut");
        let before = mark();
        fs::write(folder.path().join("new"), "")?;
        assert!(!before.is_same_now(), "another file");
        let before = mark();
        fs::remove_file(&file)?;
        assert!(!before.is_same_now(), "deleted");
        let before = mark();
        fs::remove_dir_all(&place)?;
        assert!(!before.is_same_now(), "all of it");
        fs::create_dir(&place)?;
        Ok(())
    }
}
