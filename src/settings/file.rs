//! The settings file itself: read with whose word it is, changed so that what a person wrote stays, written only over
//! what was read.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use toml_edit::{Document, DocumentMut, Item};

use super::{
    KEYS, Settings, changed, copies,
    document::{self, place},
    origin::{self, Origin},
    path_beside, path_in, settings_error, stem, understand,
    unknown::unknown,
};
use crate::{
    archive::trust::Trust,
    error::{Error, ErrorKind, Result},
    journal,
    storage::{self, Ownership},
};

/// How often it is tried to note something, and how long is waited in between.
const NOTE_TRIES: u32 = 4;
const NOTE_PAUSE: Duration = Duration::from_millis(20);
/// A file that may be half written is read again until so many readings were the same, and at most so often.
const SETTLED_READS: u32 = 5;
const SETTLED_TRIES: u32 = 25;

pub(super) const HEAD: &str = "\
# Settings of Strongroom for the data file beside this one. They are part of every backup.
# Edited by hand, they are read again at once. `strongroom settings DATAFILE` lists all that can stand here.

";

/// A settings file: where it is, and its text with everything that a person wrote.
#[derive(Debug, Clone)]
pub struct SettingsFile {
    pub(super) path: PathBuf,
    pub(super) data_file: PathBuf,
    /// The text as it was read; `None` where there was no file.
    pub(super) read: Option<String>,
    /// Whose word that is; `None` where there was no file.
    pub(super) origin: Option<Origin>,
    /// What the file looked like just before; `None` after it was written.
    pub(super) seen: Option<Seen>,
    pub(super) document: DocumentMut,
    pub(super) settings: Settings,
    pub(super) unknown: Vec<String>,
    /// The data file that they note as theirs.
    pub(super) noted: Option<PathBuf>,
    /// The program's own settings folder.
    pub(super) own: PathBuf,
    /// Whether what lies on the disk cannot be understood, so that nothing is noted there.
    pub(super) is_last_good: bool,
}

impl SettingsFile {
    /// Whose archives count for this data file.
    pub fn trust(&self) -> Trust {
        Trust::of(self.settings.archive.sign, &self.own)
    }

    /// Reads the settings of `data_file`: beside it, else in the folder `own`, else the defaults.
    ///
    /// # Errors
    /// When a file exists but cannot be read or understood; the message names line and column.
    pub fn load(data_file: &Path, own: &Path) -> Result<Self> {
        let path = path_in_force(data_file, own);
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
            // Not a mistake in the text: what an archive holds is no way out.
            let message = settings_error(&path, &message).message().to_owned();
            return Err(Error::new(ErrorKind::Refused, message).hint(
                "Two data files in one folder need names that differ before the last dot: their archives and logs \
                 would be mixed up.",
            ));
        }
        let unknown = unknown(&text, parsed.as_table());
        let (document, own, data_file) = (parsed.into_mut(), own.to_path_buf(), data_file.to_path_buf());
        let is_last_good = false;
        Ok(Self { path, data_file, read, origin, seen, document, settings, unknown, noted, own, is_last_good })
    }

    /// What the file looks like now, if it was written since it was read here; known by its times, without reading it
    /// again.
    pub fn news(&self) -> Option<Seen> {
        let now = look(&self.path);
        (self.seen != Some(now)).then_some(now)
    }

    /// Whether these were read from a file that looked otherwise than the one that `other` was read from.
    pub fn is_other_reading(&self, other: &Self) -> bool {
        !self.is_last_good && self.seen != other.seen
    }

    /// Takes the file that looked so for read, though it cannot be understood.
    pub fn pass_over(&mut self, seen: Seen) {
        self.seen = Some(seen);
    }

    /// Whether there is no such file, or nothing in it: as before the first setting, and after somebody deleted it.
    pub fn is_blank(&self) -> bool {
        self.read.as_deref().is_none_or(|text| text.trim().is_empty())
    }

    /// Whether the file was written, deleted or replaced within this time, as far as its times tell.
    pub fn was_written_within(&self, time: Duration) -> bool {
        let Seen(Some((Some(modified), ..))) = look(&self.path) else { return false };
        // One that lies in the future says nothing.
        SystemTime::now().duration_since(modified).is_ok_and(|age| age < time)
    }

    /// Whether this looks like what an editor leaves for a moment while it writes what was `before`, changed: nothing,
    /// the beginning, or what lacks the notes.
    pub fn may_be_half_of(&self, before: &Self) -> bool {
        let text = self.read.as_deref().unwrap_or_default();
        before.read.as_deref().is_some_and(|before| before.len() > text.len() && before.starts_with(text))
            || self.lack_notes() && before.settings.data_file_id.is_some()
    }

    /// Writes the file again as it was read, after somebody deleted or emptied it.
    ///
    /// # Errors
    /// When its folder cannot be written.
    pub fn put_back(&mut self) -> Result<()> {
        let text = self.text();
        self.write(&text)?;
        (self.read, self.seen, self.is_last_good) = (Some(text), Some(look(&self.path)), false);
        Ok(())
    }

    /// Writes `text`, settings that were lost with the data file, where there are none, with what `edit` changes first.
    ///
    /// # Errors
    /// `Exists` where there are settings; when the text cannot be understood, or neither place be written.
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
        file.note_written(Some(&before));
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

    /// Whether the file is of this user or of the superuser, or none is there: nobody else's is written anew.
    pub fn is_own(&self) -> bool {
        self.origin.as_ref().is_none_or(Origin::is_own)
    }

    /// Where the settings are kept.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What stands in the file and means nothing, each with its place and what may be meant: `keep.lst at line 4,
    /// column 1 (did you mean keep.last?)`.
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

    /// Changes what a person can set, and saves it; beside the data file, or in the folder `own` where that cannot be
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
        changed.note_written(Some(&self.settings));
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
    /// When the file cannot be understood or written, or is gone with the data file; then nothing is changed.
    pub fn note(&mut self, own: &Path, mut change: impl FnMut(&mut Settings)) -> Result<()> {
        if self.is_last_good {
            change(&mut self.settings);
            return Ok(());
        }
        for _ in 1..NOTE_TRIES {
            match self.note_once(own, &mut change) {
                // Another thread has noted something at the same moment: what it wrote stays, and this comes to it.
                Err(e) if e.kind() == ErrorKind::Changed => std::thread::sleep(NOTE_PAUSE),
                noted => return noted,
            }
        }
        self.note_once(own, &mut change)
    }

    fn note_once(&mut self, own: &Path, change: &mut dyn FnMut(&mut Settings)) -> Result<()> {
        let now = self.read_settled()?;
        let is_gone = now.as_deref().is_none_or(|text| text.trim().is_empty()) && !self.is_blank();
        if is_gone && self.data_file.exists() {
            // Deleted a moment ago: what is noted must not become a file that holds nothing else.
            self.put_back()?;
        } else if is_gone {
            // Gone with the data file, as when their folder was deleted or its disk taken away. What is noted now would
            // be a file that turns off log and schedule when the data file comes back.
            let message =
                format!("{} and its settings were deleted, or their disk was taken away", self.data_file.display());
            return Err(Error::new(ErrorKind::Changed, message).hint("Bring them back; nothing is noted until then."));
        } else if now != self.read {
            let read = Self::load(&self.data_file, own)?;
            // Written anew without what was noted, as from a template: it must not become another data file.
            let is_written_over = read.lack_notes() && self.settings.data_file_id.is_some();
            *self = if is_written_over { read.with_notes_of(&self.text())? } else { read };
        }
        self.change(own, change)
    }

    pub(super) fn save(&mut self, own: &Path, before: &Settings) -> Result<()> {
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

    /// The text as it is in the file now; one that was read is not taken for deleted, emptied or cut while somebody
    /// writes it anew, whose text would be lost.
    fn read_settled(&mut self) -> Result<Option<String>> {
        let mut now = self.read_again()?;
        let (mut same, mut tries) = (0, 0);
        let is_half = |now: &Option<String>, read: &str| {
            now.as_deref().is_none_or(|now| now.len() < read.len() && read.starts_with(now))
        };
        while same < SETTLED_READS
            && tries < SETTLED_TRIES
            && self.read.as_deref().is_some_and(|read| is_half(&now, read))
        {
            std::thread::sleep(NOTE_PAUSE);
            let again = self.read_again()?;
            (same, tries) = (if again == now { same + 1 } else { 0 }, tries + 1);
            now = again;
        }
        Ok(now)
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
                .hint(
                    "Run the command as that user, or as the owner of the data file, or give the file to this user \
                    (chown).",
                ));
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
    pub(super) fn write_document(&mut self, before: &Settings) {
        // What a copy was made of stays noted until it has an identity of its own, or the other one is gone.
        let is_copy = self.copied_from().is_some();
        let (settings, document) = (&self.settings, &mut self.document);
        if settings.data_file_id.is_some() {
            let name = self.data_file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let comment = "The data file that these settings belong to.";
            document::set(document, ("data-file", "name"), name.into(), comment, HEAD);
            if !is_copy && self.data_file.is_absolute() {
                let path = super::place::text(&self.data_file);
                document::set(document, copies::PATH, path.into(), copies::PATH_MEANING, HEAD);
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

/// The one file in force: beside the data file, unless only the other exists.
pub(super) fn path_in_force(data_file: &Path, own: &Path) -> PathBuf {
    let (beside, apart) = (path_beside(data_file), path_in(own, data_file));
    let is_there = |path: &Path| path.symlink_metadata().is_ok();
    if is_there(&apart) && (!is_there(&beside) || !may_write(storage::folder_of(&beside))) { apart } else { beside }
}

pub(super) fn look(path: &Path) -> Seen {
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
