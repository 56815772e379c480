//! The settings of one data file: a small TOML file beside it, readable and editable by people.
//!
//! `OMB_Edelweiss.sqlite` has `OMB_Edelweiss.strongroom.toml`. Where the data file's folder can not be written, the
//! file lies in the program's own settings folder instead. What a person wrote, comments and unknown keys, is kept.
//!
//! ```text
//! sections    what can be set, as plain data with its defaults
//! keys        every setting by its key: one table for file, command line and dialog
//! place       the folders that were used, as they stand in the file
//! document    the text: places of mistakes, changes that keep what a person wrote
//! unknown     what stands in it and means nothing
//! origin      the file as it was read: whose it is, and whether its word counts
//! copies      data files that were copied with their settings, and share an identity
//! ```

pub mod keys;
pub mod sections;
pub mod unknown;

pub mod copies;

mod document;
mod origin;
mod place;

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    time::SystemTime,
};

use toml_edit::{Document, DocumentMut, Item, Table};

pub use keys::{KEYS, Key};
pub use sections::{Revision, Settings};

use crate::{
    archive::lawful,
    error::{Error, ErrorKind, Result},
    journal,
    storage::{self, Ownership, names},
};
use document::{find, place};
use origin::Origin;
use unknown::unknown;

const HEAD: &str = "\
# Settings of Strongroom for the data file beside this one. They are part of every backup.
# Edited by hand, they are read again at once. `strongroom settings DATAFILE` lists all that can stand here.

";

/// A settings file: where it is, and its text with everything that a person wrote.
#[derive(Debug, Clone)]
pub struct SettingsFile {
    path: PathBuf,
    data_file: PathBuf,
    /// The text as it was read; `None` where there was no file.
    read: Option<String>,
    /// Whose word that is; `None` where there was no file.
    origin: Option<Origin>,
    /// What the file looked like just before; `None` after it was written.
    seen: Option<Seen>,
    document: DocumentMut,
    settings: Settings,
    unknown: Vec<String>,
    /// The data file that they note as theirs.
    noted: Option<PathBuf>,
    /// The program's own settings folder.
    own: PathBuf,
}

/// The settings file that belongs beside `data_file`.
pub fn path_beside(data_file: &Path) -> PathBuf {
    let name = data_file.file_name().unwrap_or_default().to_string_lossy();
    data_file.with_file_name(lawful::settings_name(&name))
}

/// Where it lies when the data file's folder can not be written: in `own`, told apart by the path of the data file.
pub fn path_in(own: &Path, data_file: &Path) -> PathBuf {
    let mark = blake3::hash(data_file.as_os_str().as_encoded_bytes()).to_hex();
    own.join(format!("{}-{}.strongroom.toml", stem(data_file), &mark[..12]))
}

fn stem(data_file: &Path) -> String {
    names::short(&data_file.file_stem().unwrap_or_default().to_string_lossy(), names::STEM_BYTES_MAX)
}

/// Understands the text of a settings file of `data_file` that lies elsewhere, as in an archive.
///
/// # Errors
/// When it can not be understood.
pub fn parse(text: &str, data_file: &Path) -> Result<Settings> {
    let path = path_beside(data_file);
    let parsed =
        Document::parse(text).map_err(|e| settings_error(&path, &format!("it is not valid TOML: {}", e.message())))?;
    understand(&path, text, parsed.as_table(), data_file)
}

/// `text`, the settings of an archive, without the program to be run after each job, and that program; `None` where it
/// names none.
///
/// # Errors
/// When it is not valid TOML: then it names nothing that could be run, until somebody corrects it.
pub fn without_program(text: &str) -> std::result::Result<Option<(String, String)>, toml_edit::TomlError> {
    let mut document: DocumentMut = text.parse()?;
    let Some(key) = Key::find("on-finish") else { return Ok(None) };
    let Some(named) = find(document.as_table(), key.place()) else { return Ok(None) };
    let words = named.as_array().map(|words| words.iter().map(|word| word.as_str().unwrap_or_default()));
    let program =
        words.map_or_else(|| named.to_string().trim().to_owned(), |words| words.collect::<Vec<_>>().join(" "));
    document::remove(&mut document, key.place(), key.meaning);
    Ok(Some((document.to_string(), program)))
}

/// The folder for archives while none was chosen: `Backups` beside the data file.
pub fn default_destination(data_file: &Path) -> PathBuf {
    data_file.parent().unwrap_or(Path::new(".")).join("Backups")
}

impl SettingsFile {
    /// Reads the settings of `data_file`: beside it, else in the folder `own`, else the defaults.
    ///
    /// # Errors
    /// When a file exists but can not be read or understood; the message names line and column.
    pub fn load(data_file: &Path, own: &Path) -> Result<Self> {
        let (beside, apart) = (path_beside(data_file), path_in(own, data_file));
        // One file in force: beside the data file, unless only the other exists.
        let is_there = |path: &Path| path.symlink_metadata().is_ok();
        let path = if is_there(&apart) && (!is_there(&beside) || !may_write(storage::folder_of(&beside))) {
            apart
        } else {
            beside
        };
        let seen = Some(look(&path));
        let (read, origin) = origin::read(&path)?.unzip();
        if let Some(origin) = &origin {
            origin.require_believable(&path, data_file)?;
        }
        let text = read.clone().unwrap_or_else(|| HEAD.to_owned());
        // Unlike the document that can be changed, the parsed one knows the places of its values.
        let parsed = Document::parse(text.as_str()).map_err(|e| {
            let place = e.span().map_or_else(String::new, |span| format!(" at {}", place(&text, span.start)));
            settings_error(&path, &format!("it is not valid TOML{place}: {}", e.message()))
        })?;
        let settings = understand(&path, &text, parsed.as_table(), data_file)?;
        let name = parsed.get("data-file").and_then(|t| t.get("name")).and_then(Item::as_str);
        let noted = copies::noted_path(parsed.as_table());
        // One with another stem was copied with its settings, which say so.
        let is_copied = |name: &str| noted.is_some() && stem(Path::new(name)) != stem(data_file);
        if let Some(name) = name.filter(|n| data_file.file_name() != Some(OsStr::new(n)))
            && data_file.with_file_name(name).exists()
            && !is_copied(name)
        {
            let message = format!("they belong to {name}, which has the same name without its extension");
            return Err(settings_error(&path, &message).hint(
                "Two data files in one folder need names that differ before the last dot: their archives and logs would be mixed up.",
            ));
        }
        let unknown = unknown(&text, parsed.as_table());
        let (document, own, data_file) = (parsed.into_mut(), own.to_path_buf(), data_file.to_path_buf());
        Ok(Self { path, data_file, read, origin, seen, document, settings, unknown, noted, own })
    }

    /// What the file looks like now, if it was written since it was read here; known by its times, without reading it
    /// again.
    pub fn news(&self) -> Option<Seen> {
        let now = look(&self.path);
        (self.seen != Some(now)).then_some(now)
    }

    /// Takes the file that looked so for read, though it can not be understood.
    pub fn pass_over(&mut self, seen: Seen) {
        self.seen = Some(seen);
    }

    /// Whether there is no such file, or nothing in it: as before the first setting, and after somebody deleted it.
    pub fn is_blank(&self) -> bool {
        self.read.as_deref().is_none_or(|text| text.trim().is_empty())
    }

    /// Writes the file again as it was read, after somebody deleted or emptied it.
    ///
    /// # Errors
    /// When its folder can not be written.
    pub fn put_back(&mut self) -> Result<()> {
        let text = self.text();
        self.write(&text)?;
        (self.read, self.seen) = (Some(text), Some(look(&self.path)));
        Ok(())
    }

    /// Writes `text`, settings that were lost with the data file, where there are none, with what `edit` changes first.
    ///
    /// # Errors
    /// `Exists` where there are settings; when the text can not be understood, or neither place be written.
    pub fn put_in_place(data_file: &Path, own: &Path, text: &str, edit: impl FnOnce(&mut Settings)) -> Result<Self> {
        let there = Self::load(data_file, own)?;
        if !there.is_blank() {
            let message = format!("the settings file {} exists", there.path.display());
            return Err(Error::new(ErrorKind::Exists, message).hint("Settings that are there are never overwritten."));
        }
        let parsed = Document::parse(text)
            .map_err(|e| settings_error(&there.path, &format!("it is not valid TOML: {}", e.message())))?;
        let settings = understand(&there.path, text, parsed.as_table(), data_file)?;
        let unknown = unknown(text, parsed.as_table());
        let noted = copies::noted_path(parsed.as_table());
        let before = settings.clone();
        let mut file = Self { document: parsed.into_mut(), settings, unknown, noted, ..there };
        edit(&mut file.settings);
        file.save(own, &before)?;
        Ok(file)
    }

    /// Sees that nobody but this user and the superuser could have named the program in them that is run after each
    /// job: the file was theirs alone when it was read, and so is every folder above it now.
    ///
    /// # Errors
    /// `Refused`, with who else could have.
    pub fn require_own_word(&self) -> Result<()> {
        let folder = storage::folder_of(&self.path);
        let folder = folder.canonicalize().map_err(|e| Error::io("find", folder, e))?;
        let path = folder.join(self.path.file_name().unwrap_or_default());
        self.origin.as_ref().map_or(Ok(()), |origin| origin.require_own_word(&path))
    }

    /// Where the settings are kept.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What stands in the file and means nothing, each with its place and what may be meant: `keep.lst at line 4, column
    /// 1 (did you mean keep.last?)`.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// The text as it would be saved.
    pub fn text(&self) -> String {
        self.document.to_string()
    }

    /// The text as it will be saved once the full backup `number` has succeeded: what goes into that archive.
    pub fn text_with_number(&self, number: u32) -> String {
        let mut then = self.clone();
        then.settings.last_number = then.settings.last_number.max(number);
        then.write_document(&self.settings);
        then.text()
    }

    /// Changes what a person can set, and saves it; beside the data file, or in the folder `own` where that can not be
    /// written.
    ///
    /// # Errors
    /// `Changed` when somebody else changed the file since it was read, `Settings` when the values do not fit each
    /// other, and when neither place can be written; then nothing is changed.
    pub fn change(&mut self, own: &Path, change: impl FnOnce(&mut Settings)) -> Result<()> {
        if self.read_again()? != self.read {
            return Err(changed(&self.path));
        }
        let mut changed = self.clone();
        change(&mut changed.settings);
        changed.settings.check(&self.data_file)?;
        changed.require_new_places(&self.settings)?;
        changed.save(own, &self.settings)?;
        *self = changed;
        Ok(())
    }

    /// Sees that a log or a folder that was chosen just now is none that belongs to somebody else, or is a file.
    fn require_new_places(&self, before: &Settings) -> Result<()> {
        let now = &self.settings;
        if let Some(log) = now.log.file.as_ref().filter(|log| before.log.file.as_ref() != Some(log)) {
            journal::place::require_free(log, &self.data_file, now.data_file_id)?;
        }
        let chosen =
            now.destination.folder.as_ref().filter(|folder| before.destination.folder.as_ref() != Some(folder));
        if let Some(folder) = chosen.filter(|folder| folder.exists() && !folder.is_dir()) {
            let message = format!("destination.folder must be a folder, and {} is a file", folder.display());
            return Err(
                Error::new(ErrorKind::Settings, message).hint("Name a folder; it is made when it does not exist.")
            );
        }
        Ok(())
    }

    /// Notes what Strongroom itself keeps here. What a person changed meanwhile is read again first, and stays.
    ///
    /// # Errors
    /// When the file can not be understood or written; then nothing is changed.
    pub fn note(&mut self, own: &Path, change: impl FnOnce(&mut Settings)) -> Result<()> {
        let now = self.read_again()?;
        let is_gone = now.as_deref().is_none_or(|text| text.trim().is_empty()) && !self.is_blank();
        if is_gone && self.data_file.exists() {
            // Deleted a moment ago: what is noted must not become a file that holds nothing else.
            self.put_back()?;
        } else if now != self.read {
            *self = Self::load(&self.data_file, own)?;
        }
        self.change(own, change)
    }

    fn save(&mut self, own: &Path, before: &Settings) -> Result<()> {
        self.write_document(before);
        let text = self.text();
        // A file that says nothing is not made.
        if text == self.read.as_deref().unwrap_or(HEAD) {
            return Ok(());
        }
        match self.write(&text) {
            Ok(()) => (self.read, self.seen) = (Some(text), None),
            Err(e) if e.kind() == ErrorKind::Permission => {
                self.path = path_in(own, &self.data_file);
                if !self.origin.is_none_or(|origin| origin.is_own()) {
                    // Somebody else's program does not become this user's by being written down in his folder.
                    let named = Settings { on_finish: self.settings.on_finish.clone(), ..self.settings.clone() };
                    self.settings.on_finish.clear();
                    self.write_document(&named);
                }
                self.origin = None;
                storage::make_private_folders(own)?;
                let text = self.text();
                self.write(&text)?;
                (self.read, self.seen) = (Some(text), None);
            }
            Err(e) => return Err(e),
        }
        Ok(())
    }

    /// The text as it is in the file now.
    fn read_again(&mut self) -> Result<Option<String>> {
        let Some((text, origin)) = origin::read(&self.path)? else { return Ok(None) };
        origin.require_believable(&self.path, &self.data_file)?;
        self.origin = Some(origin);
        Ok(Some(text))
    }

    /// Replaces the file. One that others can write stays so: what they wrote into it must not look like the word of
    /// this user alone.
    fn write(&mut self, text: &str) -> Result<()> {
        let there = origin::read(&self.path).ok().flatten().map(|(_, origin)| origin);
        if let Some(other) = there.filter(|origin| !origin.is_own()) {
            if !may_write(storage::folder_of(&self.path)) {
                return Err(Error::io("write", &self.path, std::io::ErrorKind::PermissionDenied.into()));
            }
            let (message, user) = (format!("the settings in {} belong to", self.path.display()), other.user_name());
            return Err(Error::new(ErrorKind::Settings, format!("{message} {user}, and are changed by nobody else"))
                .hint("Run the command as that user, or as the owner of the data file, or give the file to this user (chown)."));
        }
        let data_file = Ownership::of(&self.data_file);
        let written = match self.origin {
            Some(origin) => origin.of_next(data_file),
            None => Ownership { mode: Some(data_file.mode.unwrap_or(0o644) & 0o644), ..data_file },
        };
        storage::replace_text(&self.path, text, written)?;
        self.origin = Some(Origin::own(written));
        Ok(())
    }

    /// Brings the text to the settings. What has not changed since `before` stays as it is written.
    fn write_document(&mut self, before: &Settings) {
        // What a copy was made of stays noted until it has an identity of its own, or the other one is gone.
        let is_copy = self.copied_from().is_some();
        let (settings, document) = (&self.settings, &mut self.document);
        if settings.data_file_id.is_some() {
            let name = self.data_file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let comment = "The data file that these settings belong to.";
            document::set(document, ("data-file", "name"), name.into(), comment, HEAD);
            if !is_copy && self.data_file.is_absolute() {
                let comment = "Where it is: a copy that is made of its folder is known by that.";
                document::set(document, copies::PATH, place::text(&self.data_file).into(), comment, HEAD);
                self.noted = Some(self.data_file.clone());
            }
        }
        for key in KEYS {
            let shown = |settings: &Settings| key.get(settings).map(|value| value.to_string());
            if shown(settings) == shown(before) {
                continue;
            }
            match key.get(settings).filter(|_| !key.is_default(settings)) {
                Some(value) => document::set(document, key.place(), value, key.meaning, HEAD),
                None => document::remove(document, key.place(), key.meaning),
            }
        }
    }
}

/// What changes whenever a file is written, replaced or given to others: time, length and number, owner and
/// permissions; nothing where there is no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen(Option<Marks>);

/// Time and length; number, owner and permissions.
type Marks = (Option<SystemTime>, u64, (u64, u32, u32));

fn look(path: &Path) -> Seen {
    Seen(path.symlink_metadata().ok().map(|meta| {
        #[cfg(unix)]
        let marks = {
            use std::os::unix::fs::MetadataExt;
            (meta.ino(), meta.uid(), meta.mode())
        };
        #[cfg(not(unix))]
        let marks = (0, 0, 0);
        (meta.modified().ok(), meta.len(), marks)
    }))
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

/// The names of our sections.
fn sections() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|key| key.place().0).filter(|section| !section.is_empty())
}

fn understand(path: &Path, text: &str, document: &Table, data_file: &Path) -> Result<Settings> {
    for section in sections() {
        if document.get(section).is_some_and(|item| !item.is_table_like()) {
            return Err(settings_error(path, &format!("{section} must be a section, [{section}]")));
        }
    }
    let mut settings = Settings::default();
    for key in KEYS {
        let Some(item) = find(document, key.place()) else { continue };
        if item.as_value().and_then(|value| key.set(&mut settings, value)).is_none() {
            let span = item.span().unwrap_or_default();
            let (place, found) = (place(text, span.start), text.get(span).unwrap_or_default());
            let message = format!("{} at {place} must be {}, but is {found}", key.name, key.expected);
            return Err(settings_error(path, &message));
        }
    }
    if let Some((name, message)) = settings.first_conflict(data_file) {
        let item = Key::find(name).and_then(|key| find(document, key.place()));
        let place =
            item.and_then(Item::span).map_or_else(String::new, |span| format!(" at {}", place(text, span.start)));
        return Err(settings_error(path, &format!("{name}{place} {message}")));
    }
    Ok(settings)
}

/// What we note in the file and is no setting.
const NOTES: [&str; 3] = ["data-file.name", "data-file.path", "data-file.former-ids"];

fn settings_error(path: &Path, message: &str) -> Error {
    Error::new(ErrorKind::Settings, format!("the settings in {} can not be used: {message}", path.display())).hint(
        "Correct the file in a text editor, or move it away: then the last ones that an archive holds are put back.",
    )
}

/// Somebody else changed the settings after they were read.
pub fn changed(path: &Path) -> Error {
    Error::new(ErrorKind::Changed, format!("the settings in {} were changed meanwhile", path.display()))
        .hint("Look at them as they are now, and make your change again.")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use sections::{DeleteOldest, Frequency};
    use uuid::Uuid;

    type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn what_a_person_wrote_is_kept() -> Outcome {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("OMB_Edelweiss.sqlite");
        let path = folder.path().join("OMB_Edelweiss.strongroom.toml");
        let lists = "[content]\nattachments = [\n  '/a', # the letters\n  '/b', # the scans\n]\n";
        fs::write(&path, format!("# mine\n[destination]\nfolder = '/b' # here\n[own]\nx = 1\n{lists}"))?;
        let mut file = SettingsFile::load(&data, folder.path())?;
        assert_eq!(file.settings().destination.folder.as_deref(), Some(Path::new("/b")));
        file.change(folder.path(), |s| {
            s.destination.folder = Some("/c".into());
            s.data_file_id = Some(Uuid::nil());
            s.last_number = 4;
            s.content.attachments = vec!["/b".into(), "/d".into()];
        })?;
        let text = fs::read_to_string(&path)?;
        assert!(text.starts_with("# mine\n[destination]\nfolder = \"/c\" # here\n[own]\nx = 1\n"), "{text}");
        assert!(text.contains("attachments = [\n  '/b', # the scans\n  \"/d\",\n]\n"), "{text}");
        let again = SettingsFile::load(&data, folder.path())?;
        assert_eq!(again.settings(), file.settings());
        assert_eq!((again.settings().last_number, again.settings().data_file_id), (4, Some(Uuid::nil())));
        Ok(())
    }

    #[test]
    fn going_back_to_a_default_takes_our_line_away_and_no_comment_of_a_person() -> Outcome {
        let folder = tempfile::tempdir()?;
        let (data, own) = (folder.path().join("a.sqlite"), folder.path());
        let mut file = SettingsFile::load(&data, own)?;
        file.change(own, |s| (s.keep.last, s.keep.delete_oldest) = (5, DeleteOldest::Before))?;
        let path = path_beside(&data);
        let text = fs::read_to_string(&path)?;
        let last = text.find("last = 5").ok_or("not written")?;
        fs::write(&path, format!("{}# because the boss said so\n{}", &text[..last], &text[last..]))?;
        let mut file = SettingsFile::load(&data, own)?;
        file.change(own, |s| s.keep.last = 3)?;
        let text = fs::read_to_string(&path)?;
        assert!(!text.contains("last = ") && !text.contains("Otherwise how many"), "{text}");
        let said = "# because the boss said so\n# When the oldest backup is deleted";
        assert!(text.contains(said) && text.contains("delete-oldest = \"before\""), "{text}");
        file.change(own, |s| s.keep.delete_oldest = DeleteOldest::After)?;
        assert!(fs::read_to_string(&path)?.contains("# because the boss said so\n"));
        assert_eq!(*SettingsFile::load(&data, own)?.settings(), Settings::default());
        Ok(())
    }

    #[test]
    fn a_change_made_outside_is_noticed_and_not_overwritten() -> Outcome {
        let folder = tempfile::tempdir()?;
        let (data, own) = (folder.path().join("a.sqlite"), folder.path());
        let mut ours = SettingsFile::load(&data, own)?;
        SettingsFile::load(&data, own)?.change(own, |s| s.keep.last = 9)?;
        let error = ours.change(own, |s| s.keep.all = true).err().ok_or("overwritten")?;
        assert_eq!(error.kind(), ErrorKind::Changed);
        assert_eq!(error.hint_text(), Some("Look at them as they are now, and make your change again."));
        assert_eq!(SettingsFile::load(&data, own)?.settings().keep.last, 9);
        // What we note ourselves is no change of a person's: it goes on top of theirs.
        let revision = SettingsFile::load(&data, own)?.settings().revision();
        ours.note(own, |s| s.last_number = 7)?;
        let now = SettingsFile::load(&data, own)?;
        assert_eq!((now.settings().keep.last, now.settings().last_number), (9, 7));
        assert_eq!(now.settings().revision(), revision);
        // Not even then, when it can not be understood.
        fs::write(path_beside(&data), "[keep]\nlast = 0")?;
        assert_eq!(ours.note(own, |s| s.last_number = 8).err().ok_or("overwritten")?.kind(), ErrorKind::Settings);
        assert_eq!(fs::read_to_string(path_beside(&data))?, "[keep]\nlast = 0");
        Ok(())
    }

    #[test]
    fn mistakes_are_named_with_their_place() -> Outcome {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("a.sqlite");
        fs::write(&data, "")?;
        let attached = folder.path().canonicalize()?.display().to_string();
        let holds = format!(
            "content.attachments at line 2, column 15 must not be a folder that holds the data file itself, but {attached} is"
        );
        let attachments = format!("[content]\nattachments = ['/x', '{attached}']");
        let log = format!("[log]\nfile = '{attached}/a.sqlite'");
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
            ("keep = 3", "keep must be a section, [keep]"),
            (
                "[data-file]\nlast-number = -1",
                "data-file.last-number at line 2, column 15 must be a whole number from 0 on, but is -1",
            ),
            (
                "# é\non-finish = 'mail'",
                "on-finish at line 2, column 13 must be a list of texts, such as [\"/usr/local/bin/notify\", \"backup\"], but is 'mail'",
            ),
            (
                "[scheduler]\nfrequency = 'hourly'",
                "scheduler.frequency at line 2, column 13 must be never, every hour, every day, every week, every month or personalized, in quotes, but is 'hourly'",
            ),
            (
                "[scheduler]\nevery = 0",
                "scheduler.every at line 2, column 9 must be a whole number from 1 to 999, but is 0",
            ),
            (
                "[scheduler]\nunit = 1",
                "scheduler.unit at line 2, column 8 must be hours, days, weeks or months, in quotes, but is 1",
            ),
            (
                "[scheduler]\nat = '25:00'",
                "scheduler.at at line 2, column 6 must be a time such as \"23:00\", in quotes, but is '25:00'",
            ),
            (
                "[scheduler]\nweekdays = ['yesterday']",
                "scheduler.weekdays at line 2, column 12 must be days of the week, such as [\"monday\", \"friday\"], but is ['yesterday']",
            ),
            ("[scheduler]\nday = 0", "scheduler.day at line 2, column 7 must be a whole number from 1 to 31, but is 0"),
            (
                "[scheduler]\nfrom = 'x'",
                "scheduler.from at line 2, column 8 must be a date such as 2026-11-22, but is 'x'",
            ),
            (
                "[scheduler]\nonly-if-modified = 1",
                "scheduler.only-if-modified at line 2, column 20 must be true or false, but is 1",
            ),
            (
                "[content]\nprogram = ['x']",
                "content.program at line 2, column 11 must be a list of full paths, such as [\"/srv/files\"], but is ['x']",
            ),
            (
                "[log]\nfile = 'x'",
                "log.file at line 2, column 8 must be the full path of a file, in quotes, but is 'x'",
            ),
            ("[keep]\nlast = 0", "keep.last at line 2, column 8 must be a whole number from 1 to 9999, but is 0"),
            (
                "[keep]\ndelete-oldest = 'no'",
                "keep.delete-oldest at line 2, column 17 must be before or after, in quotes, but is 'no'",
            ),
            (
                "[failure]\nretry = 'no'",
                "failure.retry at line 2, column 9 must be next scheduled or after, in quotes, but is 'no'",
            ),
            (
                "[failure]\nretry-unit = 'days'",
                "failure.retry-unit at line 2, column 14 must be seconds, minutes or hours, in quotes, but is 'days'",
            ),
            (
                "[archive]\nsegment-size = 0",
                "archive.segment-size at line 2, column 16 must be none, or a whole number of MB from 1 to 1000000, but is 0",
            ),
            (
                "[archive]\ncompression = 'zip'",
                "archive.compression at line 2, column 15 must be none, fast or compact, in quotes, but is 'zip'",
            ),
            (
                "[archive]\ninterlacing = true",
                "archive.interlacing at line 2, column 15 must be none, low, medium or high, in quotes, but is true",
            ),
            (
                "[archive]\nredundancy = 'most'",
                "archive.redundancy at line 2, column 14 must be none, low, medium or high, in quotes, but is 'most'",
            ),
            (
                "scheduler = { frequency = 'personalized', unit = 'hours', every = 25 }",
                "scheduler.every at line 1, column 67 must be at most 24 for hours, but is 25",
            ),
            (
                "[scheduler]\nfrequency = 'every week'\nweekdays = ['monday', 'friday']",
                "scheduler.weekdays at line 3, column 12 must be one day for a backup every week, but there are 2",
            ),
            (
                "[scheduler]\nweekdays = []",
                "scheduler.weekdays at line 2, column 12 must name at least one day of the week",
            ),
            (
                "[content]\nprogram = ['/x']\nattachments = ['/x']",
                "content.attachments at line 3, column 15 names /x twice",
            ),
            (attachments.as_str(), holds.as_str()),
            (log.as_str(), "log.file at line 2, column 8 must not be the data file itself"),
        ] {
            fs::write(path_beside(&data), text)?;
            let error = SettingsFile::load(&data, folder.path()).err().ok_or(text)?;
            assert!(error.message().contains(expected), "{text:?}: {}", error.message());
            assert_eq!(error.kind(), ErrorKind::Settings);
            assert!(error.hint_text().is_some());
        }
        fs::write(path_beside(&data), b"[keep]\n# \xff\n")?;
        let error = SettingsFile::load(&data, folder.path()).err().ok_or("accepted")?;
        assert!(error.message().ends_with("it is not text in UTF-8"), "{error}");
        Ok(())
    }

    #[test]
    fn a_mistyped_key_is_said_and_a_foreign_section_is_not() -> Outcome {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("a.sqlite");
        fs::write(path_beside(&data), "[mine]\nx = 1\n[keep]\nlast = 2\n lst = 5\n[data-file]\nname = 'a.sqlite'\n")?;
        assert_eq!(
            SettingsFile::load(&data, folder.path())?.unknown(),
            ["the section [mine] at line 1, column 2", "keep.lst at line 5, column 2 (did you mean keep.last?)"]
        );
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
        assert_eq!(*file.settings(), Settings::default());
        file.change(folder.path(), |_| {})?;
        assert!(!path_beside(&data).exists(), "nothing to say, nothing written");
        file.change(folder.path(), |s| s.scheduler.frequency = Frequency::EveryDay)?;
        let comment = Key::find("scheduler.frequency").ok_or("no key")?.meaning;
        let section = format!("[scheduler]\n# {comment}\nfrequency = \"every day\"\n");
        assert_eq!(fs::read_to_string(path_beside(&data))?, format!("{HEAD}{section}"));
        // A key without a section comes first, below the head.
        file.change(folder.path(), |s| s.on_finish = vec!["/bin/mail".into()])?;
        let comment = Key::find("on-finish").ok_or("no key")?.meaning;
        let first = format!("# {comment}\non-finish = [\"/bin/mail\"]\n");
        assert_eq!(fs::read_to_string(path_beside(&data))?, format!("{HEAD}{first}\n{section}"));
        file.change(folder.path(), |s| s.on_finish.clear())?;
        file.change(folder.path(), |s| s.scheduler.frequency = Frequency::Never)?;
        assert!(fs::read_to_string(path_beside(&data))?.starts_with(HEAD.lines().next().unwrap_or_default()));
        assert_eq!(*SettingsFile::load(&data, folder.path())?.settings(), Settings::default());
        Ok(())
    }
}
