//! The settings of one data file: a small TOML file beside it, readable and editable by people.
//!
//! `OMB_Edelweiss.sqlite` has `OMB_Edelweiss.strongroom.toml`. Where the data file's folder cannot be written, the
//! file lies in the program's own settings folder instead. What a person wrote, comments and unknown keys, is kept.
//!
//! ```text
//! file        the file itself: read, changed, written
//! sections    what can be set, as plain data with its defaults
//! keys        every setting by its key: one table for file, command line and dialog
//! place       the folders that were used, as they stand in the file
//! document    the text: places of mistakes, changes that keep what a person wrote
//! unknown     what stands in it and means nothing
//! origin      the file as it was read: whose it is, and whether its word counts
//! notes       what Strongroom itself notes, taken over where a person wrote the file anew without it
//! stand_in    settings that are gone by while those in the file are a mistake
//! cut_off     settings that may be half of what somebody writes
//! left_behind settings that stayed where a data file was before it was moved
//! copies      data files that were copied with their settings, and share an identity
//! made_in     where archives were made, by which those of such a copy elsewhere are known
//! ```

pub mod keys;
mod left_behind;
pub mod sections;
pub mod unknown;

pub mod copies;
pub mod made_in;

mod cut_off;
mod document;
mod file;
mod notes;
mod origin;
mod place;
mod stand_in;

use std::path::{Path, PathBuf};

use toml_edit::{Document, DocumentMut, Item, Table};

pub use cut_off::{dropped, meant};
pub use file::{Seen, SettingsFile};
pub use keys::{KEYS, Key};
pub use left_behind::left_behind;
pub use sections::{Revision, Settings};

use crate::{
    archive::lawful,
    error::{Error, ErrorKind, Result},
    storage::names,
};
use document::{find, place};
/// The settings file that belongs beside `data_file`.
pub fn path_beside(data_file: &Path) -> PathBuf {
    let name = data_file.file_name().unwrap_or_default().to_string_lossy();
    data_file.with_file_name(lawful::settings_name(&name))
}

/// Where it lies when the data file's folder cannot be written: in `own`, told apart by the path of the data file.
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
/// When it cannot be understood.
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
const NOTES: [&str; 4] = ["data-file.name", "data-file.path", "data-file.former-ids", "data-file.as-written"];

fn settings_error(path: &Path, message: &str) -> Error {
    Error::new(ErrorKind::Settings, format!("the settings in {} cannot be used: {message}", path.display())).hint(
        "Correct the file in a text editor, or move it away: then the last ones that an archive holds are put back.",
    )
}

/// Somebody else changed the settings after they were read.
pub fn changed(path: &Path) -> Error {
    Error::new(ErrorKind::Changed, format!("the settings in {} were changed meanwhile", path.display()))
        .hint("Look at them as they are now, and make your change again.")
}

#[cfg(test)]
mod tests;
