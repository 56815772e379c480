//! The list of the data files that a service looks after: a small file that people can read and edit.

use std::{
    fs,
    path::{Path, PathBuf},
};

use toml_edit::{Array, DocumentMut};

use crate::{
    error::{Error, ErrorKind, Result},
    storage::{
        self, Ownership,
        regular::{self, Links},
    },
};

const HEAD: &str = "\
# The data files that the service of Strongroom looks after. Read when the service starts; what is opened or closed in a
# window meanwhile is added or taken off.

";
const KEY: &str = "data-files";
/// No list is longer.
const LENGTH_MAX: u64 = 1 << 20;

/// The list at `path`, and what it holds.
#[derive(Debug)]
pub(super) struct List {
    path: PathBuf,
    pub(super) data_files: Vec<PathBuf>,
}

fn unreadable(path: &Path, why: &str) -> Error {
    Error::new(ErrorKind::Settings, format!("the list of the service in {} can not be used: {why}", path.display()))
        .hint("Correct the file in a text editor; data-files holds full paths in quotes. Or move it away.")
}

fn parse(path: &Path) -> Result<DocumentMut> {
    match regular::read_text(path, Links::Followed, LENGTH_MAX) {
        Ok(text) => text.parse().map_err(|e: toml_edit::TomlError| unreadable(path, e.message())),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(HEAD.parse().unwrap_or_default()),
        Err(e) => Err(Error::io("read the list of the service", path, e)),
    }
}

impl List {
    /// Reads the list; one that does not exist is empty.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let document = parse(path)?;
        let mut data_files = Vec::new();
        if let Some(item) = document.get(KEY) {
            let array = item.as_array().ok_or_else(|| unreadable(path, "data-files must be a list, [ ... ]"))?;
            for value in array {
                let text = value.as_str().filter(|text| Path::new(text).is_absolute());
                let text = text.ok_or_else(|| unreadable(path, &format!("{value} is no full path in quotes")))?;
                data_files.push(PathBuf::from(text));
            }
        }
        Ok(Self { path: path.to_path_buf(), data_files })
    }

    /// Adds a data file, or takes it off, and saves the list; what else a person wrote into it is kept.
    pub(super) fn change(&mut self, data_file: &Path, wanted: bool) -> Result<()> {
        if self.data_files.iter().any(|known| known == data_file) == wanted {
            return Ok(());
        }
        // What a person changed meanwhile counts.
        let mut list = Self::read(&self.path)?;
        list.data_files.retain(|known| known != data_file);
        if wanted {
            list.data_files.push(data_file.to_path_buf());
        }
        let mut document = parse(&self.path)?;
        let mut array: Array = list.data_files.iter().map(|path| path.to_string_lossy().into_owned()).collect();
        array.iter_mut().for_each(|value| value.decor_mut().set_prefix("\n    "));
        array.set_trailing("\n");
        array.set_trailing_comma(!array.is_empty());
        let is_empty = document.is_empty();
        document[KEY] = toml_edit::value(array);
        if is_empty {
            // The comments of a file without values belong to its head, not to its end.
            let head = document.trailing().as_str().unwrap_or_default().to_owned();
            document.set_trailing("");
            if let Some(mut key) = document.key_mut(KEY) {
                key.leaf_decor_mut().set_prefix(head);
            }
        }
        let folder = storage::folder_of(&self.path);
        fs::create_dir_all(folder).map_err(|e| Error::io("create the folder", folder, e))?;
        storage::replace_text(&self.path, &document.to_string(), Ownership::of(&self.path))?;
        *self = list;
        Ok(())
    }
}

/// Adds a data file to the list at `path`, for a service that does not run yet.
///
/// # Errors
/// When the list can not be read or written.
pub fn add_to_list(path: &Path, data_file: &Path) -> Result<()> {
    List::read(path)?.change(data_file, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn what_is_added_and_taken_off_is_there_at_the_next_start() -> Outcome {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("own/service.toml");
        let mut list = List::read(&path)?;
        assert!(list.data_files.is_empty());
        list.change(Path::new("/srv/a.db"), true)?;
        list.change(Path::new("/srv/b c.db"), true)?;
        list.change(Path::new("/srv/a.db"), true)?;
        assert_eq!(List::read(&path)?.data_files, [Path::new("/srv/a.db"), Path::new("/srv/b c.db")]);
        list.change(Path::new("/srv/a.db"), false)?;
        let text = fs::read_to_string(&path)?;
        assert_eq!(text, format!("{HEAD}data-files = [\n    \"/srv/b c.db\",\n]\n"));
        Ok(())
    }

    #[test]
    fn mistakes_are_named_and_what_else_is_there_is_kept() -> Outcome {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("service.toml");
        for (text, expected) in [
            ("data-files = 3", "data-files must be a list"),
            ("data-files = ['here.db']", "'here.db' is no full path in quotes"),
            ("data-files = [", "can not be used"),
        ] {
            fs::write(&path, text)?;
            let error = List::read(&path).err().ok_or("accepted")?;
            assert!(error.message().contains(expected), "{}", error.message());
            assert!(error.hint_text().is_some());
        }
        fs::write(&path, "# mine\nother = 1\ndata-files = []\n")?;
        let mut list = List::read(&path)?;
        // Somebody edits it while the service runs.
        fs::write(&path, "# mine\nother = 1\ndata-files = ['/z.db']\n")?;
        list.change(Path::new("/a.db"), true)?;
        assert_eq!(
            fs::read_to_string(&path)?,
            "# mine\nother = 1\ndata-files = [\n    \"/z.db\",\n    \"/a.db\",\n]\n"
        );
        Ok(())
    }
}
