//! The settings of one data file: a small TOML file beside it, readable and editable by people.
//!
//! `OMB_Edelweiss.sqlite` has `OMB_Edelweiss.strongroom.toml`. Where the data file's folder can not be written, the file
//! lies in the program's own settings folder instead. What a person wrote, comments and unknown keys, is kept.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use toml_edit::{Document, DocumentMut, Item, Table, value};
use uuid::Uuid;

use crate::{
    error::{Error, ErrorKind, Result},
    storage::{self, Ownership},
};

const HEAD: &str = "\
# Settings of Strongroom for the data file beside this one. They are part of every backup.
# Edited by hand, they are read again at the next backup.

";

/// The settings in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Names the data file in all its archives, wherever it is moved.
    pub data_file_id: Option<Uuid>,
    /// The highest number ever given to a full backup: numbers are not used again, even when archives were deleted.
    pub last_number: u32,
    /// The folder for archives, if one was chosen.
    pub destination: Option<PathBuf>,
    /// The log file, if the log is used.
    pub log: Option<PathBuf>,
}

/// A settings file: where it is, and its text with everything that a person wrote.
#[derive(Debug, Clone)]
pub struct SettingsFile {
    path: PathBuf,
    data_file: PathBuf,
    document: DocumentMut,
    settings: Settings,
}

/// The settings file that belongs beside `data_file`.
pub fn path_beside(data_file: &Path) -> PathBuf {
    data_file.with_extension("strongroom.toml")
}

/// Where it lies when the data file's folder can not be written: in `own`, told apart by the path of the data file.
pub fn path_in(own: &Path, data_file: &Path) -> PathBuf {
    let mark = blake3::hash(data_file.as_os_str().as_encoded_bytes()).to_hex();
    let stem = data_file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    own.join(format!("{stem}-{}.strongroom.toml", &mark[..12]))
}

impl SettingsFile {
    /// Reads the settings of `data_file`: beside it, else in the folder `own`, else the defaults.
    ///
    /// # Errors
    /// When a file exists but can not be read or understood; the message names line and column.
    pub fn load(data_file: &Path, own: &Path) -> Result<Self> {
        let (beside, apart) = (path_beside(data_file), path_in(own, data_file));
        // One file in force: beside the data file, unless only the other exists.
        let path = if apart.exists() && (!beside.exists() || !may_write(storage::folder_of(&beside))) {
            apart
        } else {
            beside
        };
        if fs::metadata(&path).is_ok_and(|meta| !meta.is_file()) {
            return Err(Error::new(
                ErrorKind::WrongType,
                format!("the settings file {} is not an ordinary file", path.display()),
            )
            .hint("Move it away to begin with the defaults."));
        }
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => HEAD.to_owned(),
            Err(e) => return Err(Error::io("read the settings file", &path, e)),
        };
        // Unlike the document that can be changed, the parsed one knows the places of its values.
        let parsed = Document::parse(text.as_str()).map_err(|e| {
            let place = e.span().map_or_else(String::new, |span| format!(" at {}", place(&text, span.start)));
            settings_error(&path, &format!("it is not valid TOML{place}: {}", e.message()))
        })?;
        let settings = read(&path, &text, parsed.as_table())?;
        let name = parsed.get("data-file").and_then(|t| t.get("name")).and_then(Item::as_str);
        if let Some(name) = name.filter(|n| data_file.file_name() != Some(OsStr::new(n)))
            && data_file.with_file_name(name).exists()
        {
            let message = format!("they belong to {name}, which has the same name without its extension");
            return Err(settings_error(&path, &message).hint(
                "Two data files in one folder need names that differ before the last dot: their archives and logs would be mixed up.",
            ));
        }
        let document = parsed.into_mut();
        Ok(Self { path, data_file: data_file.to_path_buf(), document, settings })
    }

    /// Where the settings are kept.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The text as it would be saved.
    pub fn text(&self) -> String {
        self.document.to_string()
    }

    /// The text as it will be saved once the full backup `number` has succeeded: what goes into that archive.
    pub fn text_with_number(&self, number: u32) -> String {
        let mut then = self.clone();
        then.settings.last_number = then.settings.last_number.max(number);
        then.write_document();
        then.text()
    }

    /// Changes the settings and saves them; beside the data file, or in the folder `own` where that can not be written.
    ///
    /// # Errors
    /// When neither can be written; then nothing is changed.
    pub fn change(&mut self, own: &Path, change: impl FnOnce(&mut Settings)) -> Result<()> {
        let mut changed = self.clone();
        change(&mut changed.settings);
        changed.write_document();
        if changed.text() == self.text() && self.path.exists() {
            return Ok(());
        }
        let ownership = Ownership::of(&self.data_file);
        match storage::replace_text(&changed.path, &changed.text(), ownership) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::Permission => {
                changed.path = path_in(own, &self.data_file);
                fs::create_dir_all(own).map_err(|e| Error::io("create the folder", own, e))?;
                storage::replace_text(&changed.path, &changed.text(), ownership)?;
            }
            Err(e) => return Err(e),
        }
        *self = changed;
        Ok(())
    }

    fn write_document(&mut self) {
        let (settings, document) = (&self.settings, &mut self.document);
        if let Some(id) = settings.data_file_id {
            let name = self.data_file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            set(document, "data-file", "name", name, "# The data file that these settings belong to.");
            set(
                document,
                "data-file",
                "id",
                id.to_string(),
                "# Names this data file in its archives; leave it as it is.",
            );
            set(
                document,
                "data-file",
                "last-number",
                i64::from(settings.last_number),
                "# The highest number given to a full backup; numbers are not used again.",
            );
        }
        if let Some(folder) = &settings.destination {
            let text = folder.to_string_lossy().into_owned();
            set(document, "destination", "folder", text, "# The folder for archives.");
        }
        match &settings.log {
            Some(log) => {
                let text = log.to_string_lossy().into_owned();
                set(
                    document,
                    "log",
                    "file",
                    text,
                    "# The log file that records every commit; without this line the log is not used.",
                );
            }
            None => {
                if let Some(section) = document.get_mut("log").and_then(Item::as_table_like_mut) {
                    section.remove("file");
                }
            }
        }
    }
}

fn may_write(folder: &Path) -> bool {
    #[cfg(unix)]
    {
        rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_ok()
    }
    #[cfg(not(unix))]
    {
        folder.metadata().is_ok_and(|meta| !meta.permissions().readonly())
    }
}

/// Sets `[table] key`, with a comment above it when it is new.
fn set(document: &mut DocumentMut, table: &str, key: &str, new: impl Into<toml_edit::Value>, comment: &str) {
    if document.is_empty() {
        // The comments of a file without settings belong to its head, not to its end.
        let mut first = Table::new();
        first.decor_mut().set_prefix(document.trailing().as_str().unwrap_or_default());
        document.set_trailing("");
        document.insert(table, Item::Table(first));
    }
    let item = document.entry(table).or_insert_with(|| Item::Table(Table::new()));
    let Some(table) = item.as_table_like_mut() else { return };
    let fresh = !table.contains_key(key);
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => {
            let decor = old.decor().clone();
            *old = new.into();
            *old.decor_mut() = decor;
        }
        None => {
            table.insert(key, value(new));
        }
    }
    if fresh && let Some(mut key) = table.key_mut(key) {
        key.leaf_decor_mut().set_prefix(format!("{comment}\n"));
    }
}

fn read(path: &Path, text: &str, document: &Table) -> Result<Settings> {
    let find = |table: &str, key: &str| document.get(table).and_then(|t| t.get(key));
    let wrong = |table: &str, key: &str, item: &Item, expected: &str| {
        let span = item.span().unwrap_or_default();
        let (place, found) = (place(text, span.start), text.get(span).unwrap_or_default());
        settings_error(path, &format!("{table}.{key} at {place} must be {expected}, but is {found}"))
    };
    for table in ["data-file", "destination", "log"] {
        if let Some(item) = document.get(table)
            && !item.is_table_like()
        {
            return Err(settings_error(path, &format!("{table} must be a section, [{table}]")));
        }
    }
    let data_file_id = match find("data-file", "id") {
        None => None,
        Some(item) => {
            let id = item.as_str().and_then(|s| s.parse().ok());
            Some(id.ok_or_else(|| wrong("data-file", "id", item, "the identifier that Strongroom wrote"))?)
        }
    };
    let last_number = match find("data-file", "last-number") {
        None => 0,
        Some(item) => item
            .as_integer()
            .and_then(|n| u32::try_from(n).ok())
            .ok_or_else(|| wrong("data-file", "last-number", item, "a whole number from 0 on"))?,
    };
    let destination = match find("destination", "folder") {
        None => None,
        Some(item) => {
            let folder = item.as_str().filter(|s| Path::new(s).is_absolute());
            Some(PathBuf::from(
                folder.ok_or_else(|| wrong("destination", "folder", item, "the full path of a folder, in quotes"))?,
            ))
        }
    };
    let log = match find("log", "file") {
        None => None,
        Some(item) => {
            let file = item.as_str().filter(|s| Path::new(s).is_absolute());
            Some(PathBuf::from(file.ok_or_else(|| wrong("log", "file", item, "the full path of a file, in quotes"))?))
        }
    };
    Ok(Settings { data_file_id, last_number, destination, log })
}

fn settings_error(path: &Path, message: &str) -> Error {
    Error::new(ErrorKind::Settings, format!("the settings in {} can not be used: {message}", path.display()))
        .hint("Correct the file in a text editor, or move it away to begin with the defaults.")
}

/// `line 3, column 7` of the byte offset `at`.
fn place(text: &str, at: usize) -> String {
    let before = &text.as_bytes()[..at.min(text.len())];
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|b| **b != b'\n').filter(|b| (**b & 0xc0) != 0x80).count() + 1;
    format!("line {line}, column {column}")
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn what_a_person_wrote_is_kept() -> Outcome {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("OMB_Edelweiss.sqlite");
        let path = folder.path().join("OMB_Edelweiss.strongroom.toml");
        fs::write(&path, "# mine\n[destination]\nfolder = '/b' # here\n[own]\nx = 1\n")?;
        let mut file = SettingsFile::load(&data, folder.path())?;
        assert_eq!(file.settings().destination.as_deref(), Some(Path::new("/b")));
        file.change(folder.path(), |s| {
            s.destination = Some("/c".into());
            s.data_file_id = Some(Uuid::nil());
            s.last_number = 4;
        })?;
        let text = fs::read_to_string(&path)?;
        assert!(text.starts_with("# mine\n[destination]\nfolder = \"/c\" # here\n[own]\nx = 1\n"), "{text}");
        let again = SettingsFile::load(&data, folder.path())?;
        assert_eq!(again.settings(), file.settings());
        assert_eq!((again.settings().last_number, again.settings().data_file_id), (4, Some(Uuid::nil())));
        Ok(())
    }

    #[test]
    fn mistakes_are_named_with_their_place() -> Outcome {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("a.sqlite");
        for (text, expected) in [
            ("[destination\nfolder = 1", "it is not valid TOML at line 1, column 13"),
            (
                "[destination]\nfolder = 1",
                "destination.folder at line 2, column 10 must be the full path of a folder, in quotes, but is 1",
            ),
            ("[destination]\nfolder = 'b'", "must be the full path of a folder"),
            (
                "[data-file]\nid = 'x'",
                "data-file.id at line 2, column 6 must be the identifier that Strongroom wrote, but is 'x'",
            ),
            ("data-file = 3", "data-file must be a section, [data-file]"),
            (
                "[data-file]\nlast-number = -1",
                "data-file.last-number at line 2, column 15 must be a whole number from 0 on, but is -1",
            ),
        ] {
            fs::write(path_beside(&data), text)?;
            let error = SettingsFile::load(&data, folder.path()).err().ok_or("accepted")?;
            assert!(error.message().contains(expected), "{text:?}: {}", error.message());
            assert_eq!(error.kind(), ErrorKind::Settings);
        }
        Ok(())
    }

    #[test]
    fn two_data_files_with_one_name_before_the_dot_are_told_apart() -> Outcome {
        let folder = tempfile::tempdir()?;
        let (first, second) = (folder.path().join("app.db"), folder.path().join("app.sqlite"));
        fs::write(&first, "")?;
        SettingsFile::load(&first, folder.path())?.change(folder.path(), |s| s.data_file_id = Some(Uuid::nil()))?;
        let error = SettingsFile::load(&second, folder.path()).err().ok_or("shared")?;
        assert!(error.message().ends_with("they belong to app.db, which has the same name without its extension"));
        // A data file that was renamed keeps its settings.
        fs::remove_file(&first)?;
        assert_eq!(SettingsFile::load(&second, folder.path())?.settings().data_file_id, Some(Uuid::nil()));
        Ok(())
    }

    #[test]
    fn defaults_hold_without_a_file_and_new_files_are_explained() -> Outcome {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("a.sqlite");
        let mut file = SettingsFile::load(&data, folder.path())?;
        assert_eq!(*file.settings(), Settings { data_file_id: None, last_number: 0, destination: None, log: None });
        file.change(folder.path(), |s| s.destination = Some("/backups".into()))?;
        let text = fs::read_to_string(path_beside(&data))?;
        assert_eq!(text, format!("{HEAD}[destination]\n# The folder for archives.\nfolder = \"/backups\"\n"));
        Ok(())
    }
}
