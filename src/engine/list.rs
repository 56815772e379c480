//! The list of the data files that a service looks after: a small file that people can read and edit.
//!
//! A service of the system has two. One belongs to the superuser, who installed it, and is only read here: what the
//! superuser writes must not lie where the user of the service could put a link in its place. The other one is the
//! service's own, for what is opened in a window.

use std::path::{Path, PathBuf};

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
    data_files: Vec<PathBuf>,
    /// That of the superuser, and what it holds.
    given: Option<(PathBuf, Vec<PathBuf>)>,
}

fn unreadable(path: &Path, why: &str) -> Error {
    Error::new(ErrorKind::Settings, format!("the list of the service in {} cannot be used: {why}", path.display()))
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
    /// Reads the service's own list, and the one that the superuser has given it; one that does not exist is empty.
    pub(super) fn read(path: &Path, given: Option<&Path>) -> Result<Self> {
        let given = match given {
            Some(given) => Some((given.to_path_buf(), Self::read_one(given)?)),
            None => None,
        };
        Ok(Self { path: path.to_path_buf(), data_files: Self::read_one(path)?, given })
    }

    fn read_one(path: &Path) -> Result<Vec<PathBuf>> {
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
        Ok(data_files)
    }

    /// All that the service looks after.
    pub(super) fn all(&self) -> impl Iterator<Item = &PathBuf> {
        let given = self.given.iter().flat_map(|(_, data_files)| data_files);
        given.chain(self.data_files.iter().filter(|path| !self.is_given(path)))
    }

    fn is_given(&self, data_file: &Path) -> bool {
        self.given.as_ref().is_some_and(|(_, data_files)| data_files.iter().any(|known| known == data_file))
    }

    /// Adds a data file, or takes it off, and saves the list; what else a person wrote into it is kept.
    ///
    /// # Errors
    /// `Refused` when it is to be taken off the superuser's list; when the own one cannot be written.
    pub(super) fn change(&mut self, data_file: &Path, wanted: bool) -> Result<()> {
        if wanted && self.is_given(data_file) {
            return Ok(());
        }
        if self.data_files.iter().any(|known| known == data_file) != wanted {
            self.write(data_file, wanted, Ownership::of(&self.path))?;
        }
        match &self.given {
            Some((given, _)) if self.is_given(data_file) => {
                let message = format!(
                    "{} is on the list of the superuser, {}: the service looks after it again when it starts anew",
                    data_file.display(),
                    given.display()
                );
                Err(Error::new(ErrorKind::Refused, message).hint("As the superuser, take it off that list."))
            }
            _ => Ok(()),
        }
    }

    fn write(&mut self, data_file: &Path, wanted: bool, ownership: Ownership) -> Result<()> {
        // What a person changed meanwhile counts.
        let mut data_files = Self::read_one(&self.path)?;
        data_files.retain(|known| known != data_file);
        if wanted {
            data_files.push(data_file.to_path_buf());
        }
        let mut document = parse(&self.path)?;
        let mut array: Array = data_files.iter().map(|path| path.to_string_lossy().into_owned()).collect();
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
        if !folder.is_dir() {
            storage::make_private_folders(folder)?;
        }
        storage::replace_text(&self.path, &document.to_string(), ownership)?;
        self.data_files = data_files;
        Ok(())
    }
}

/// Adds a data file to the list at `path`, for a service that does not run yet; a new list gets this ownership.
///
/// # Errors
/// When the list cannot be read or written.
pub fn add_to_list(path: &Path, data_file: &Path, ownership: Ownership) -> Result<()> {
    let mut list = List::read(path, None)?;
    if list.data_files.iter().any(|known| known == data_file) {
        return Ok(());
    }
    let ownership = if path.exists() { Ownership::of(path) } else { ownership };
    list.write(data_file, true, ownership)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn what_is_added_and_taken_off_is_there_at_the_next_start() -> Outcome {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("own/service.toml");
        let mut list = List::read(&path, None)?;
        assert!(list.data_files.is_empty());
        list.change(Path::new("/srv/a.db"), true)?;
        list.change(Path::new("/srv/b c.db"), true)?;
        list.change(Path::new("/srv/a.db"), true)?;
        assert_eq!(List::read(&path, None)?.data_files, [Path::new("/srv/a.db"), Path::new("/srv/b c.db")]);
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
            ("data-files = [", "cannot be used"),
        ] {
            fs::write(&path, text)?;
            let error = List::read(&path, None).err().ok_or("accepted")?;
            assert!(error.message().contains(expected), "{}", error.message());
            assert!(error.hint_text().is_some());
        }
        fs::write(&path, "# mine\nother = 1\ndata-files = []\n")?;
        let mut list = List::read(&path, None)?;
        // Somebody edits it while the service runs.
        fs::write(&path, "# mine\nother = 1\ndata-files = ['/z.db']\n")?;
        list.change(Path::new("/a.db"), true)?;
        assert_eq!(
            fs::read_to_string(&path)?,
            "# mine\nother = 1\ndata-files = [\n    \"/z.db\",\n    \"/a.db\",\n]\n"
        );
        Ok(())
    }

    #[test]
    fn what_the_superuser_has_given_is_looked_after_and_stays_given() -> Outcome {
        let folder = tempfile::tempdir()?;
        let (own, given) = (folder.path().join("own.toml"), folder.path().join("given.toml"));
        add_to_list(&given, Path::new("/srv/a.db"), Ownership::default())?;
        let before = fs::read_to_string(&given)?;
        let mut list = List::read(&own, Some(&given))?;
        list.change(Path::new("/srv/a.db"), true)?;
        assert!(!own.exists(), "it is on a list");
        list.change(Path::new("/srv/b.db"), true)?;
        let all = |list: &List| list.all().map(|path| path.to_string_lossy().into_owned()).collect::<Vec<_>>();
        assert_eq!(all(&list), ["/srv/a.db", "/srv/b.db"]);
        let error = list.change(Path::new("/srv/a.db"), false).err().ok_or("taken off")?;
        assert!(error.message().contains("looks after it again when it starts anew"), "{error}");
        list.change(Path::new("/srv/b.db"), false)?;
        assert_eq!(all(&List::read(&own, Some(&given))?), ["/srv/a.db"]);
        assert_eq!(fs::read_to_string(&given)?, before);
        Ok(())
    }
}
