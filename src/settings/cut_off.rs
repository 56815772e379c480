//! Settings that may be half of something: a disk that was full, an editor that was ended, or one that is still writing
//! leaves the beginning of a file, which can be understood, and by which backups are deleted and the log ends. Whoever
//! knows settings of the same data file from before tells that by what is gone at the end.

use std::path::Path;

use toml_edit::{Document, DocumentMut, Item};
use uuid::Uuid;

use super::{
    KEYS, Key, Settings, SettingsFile,
    document::{self, find},
    file::HEAD,
    settings_error,
};
use crate::error::{Error, ErrorKind, Result, shell::quoted};

/// Which settings Strongroom itself wrote last: a file that agrees with that was written to its end.
const WRITTEN: (&str, &str) = ("data-file", "as-written");
const WRITTEN_MEANING: &str =
    "Which settings were last written by Strongroom, not by hand: by this they are known to be whole.";

/// Without these backups are deleted, or are not made, or the log ends; without a signature, what anybody makes pushes
/// out what this user signed.
const LOSE: [&str; 6] = ["scheduler.", "content.", "destination.", "log.", "keep.", "archive.sign"];

/// The names of all that stands in a settings file, section and key, in their order.
fn names(text: &str) -> Vec<String> {
    let Ok(parsed) = Document::parse(text) else { return Vec::new() };
    let mut found: Vec<(usize, String)> = Vec::new();
    for (name, span) in document::keys(parsed.as_table()) {
        match parsed.get(&name).and_then(Item::as_table_like) {
            Some(section) => found.extend(
                document::keys(section)
                    .into_iter()
                    .map(|(key, at)| (at.or(span.clone()).map_or(0, |at| at.start), format!("{name}.{key}"))),
            ),
            None => found.push((span.map_or(0, |span| span.start), name)),
        }
    }
    found.sort();
    found.into_iter().map(|(_, name)| name).collect()
}

/// The key of this name, if a person sets it.
fn chosen(name: &str) -> Option<&'static Key> {
    Key::find(name).filter(|key| is_chosen(key))
}

fn is_chosen(key: &Key) -> bool {
    !key.is_own && key.name != "destination.earlier"
}

fn shown(key: &Key, settings: &Settings) -> Option<String> {
    key.get(settings).map(|value| value.to_string().trim().to_owned())
}

/// A checksum of all that a person has set.
fn checksum(settings: &Settings) -> String {
    let set = KEYS.iter().filter(|key| is_chosen(key) && !key.is_default(settings));
    let lines: String = set.map(|key| format!("{}={}\n", key.name, shown(key, settings).unwrap_or_default())).collect();
    blake3::hash(lines.as_bytes()).to_hex()[..16].to_owned()
}

fn written(document: &DocumentMut) -> Option<&str> {
    find(document.as_table(), WRITTEN).and_then(Item::as_str)
}

impl SettingsFile {
    /// Why these may be only the beginning of what somebody wrote over `before`, settings of the same data file: what
    /// stood last there is gone, or the last number is another one and its line has no end. What Strongroom itself
    /// wrote is whole, and so is what somebody said is meant ([`SettingsFile::confirm`]).
    pub(super) fn cut_off(&self, before: &Self) -> Option<Error> {
        let text = self.read.as_deref().unwrap_or_default();
        // Before anything was made there is nothing to lose by them.
        if self.is_blank() || before.settings.data_file_id.is_none() || self.was_written_whole(before) {
            return None;
        }
        let changed = |key: &&Key| shown(key, &self.settings) != shown(key, &before.settings);
        let now = names(text);
        let earlier = names(before.read.as_deref().unwrap_or_default());
        let gone = earlier.iter().rev().take_while(|name| !now.contains(name));
        let mut gone: Vec<&str> = gone.filter_map(|name| chosen(name)).filter(changed).map(|key| key.name).collect();
        gone.reverse();
        // A cut hardly ever falls between two lines, and who takes the last section out means it: only what is lost by
        // it is asked about.
        if text.ends_with('\n') && !gone.iter().any(|name| LOSE.iter().any(|lose| name.starts_with(lose))) {
            return None;
        }
        let is_number = |key: &&Key| find(self.document.as_table(), key.place()).is_some_and(Item::is_integer);
        let last = || now.last().and_then(|name| chosen(name)).filter(is_number).filter(changed);
        let what = match gone.as_slice() {
            [] => format!("they end with {}, in a line without an end", last()?.name),
            [one] => format!("{one}, which stood last, is gone"),
            several => format!("{}, which stood last, are gone", several.join(", ")),
        };
        let message = settings_error(&self.path, &format!("they may be only half of what was written: {what}"));
        // Of another kind than what cannot be understood: somebody may mean it.
        Some(Error::new(ErrorKind::Partial, message.message()).hint(format!(
            "Write the file to its end. {} Until then the settings as they were stay in force.",
            meant(&self.data_file)
        )))
    }

    /// Whether what stands in them is what Strongroom wrote since `before`.
    fn was_written_whole(&self, before: &Self) -> bool {
        let now = written(&self.document);
        now != written(&before.document)
            && now.and_then(|now| now.split_once('-')).is_some_and(|(sum, _)| sum == checksum(&self.settings))
    }

    /// Notes that what stands in them now is whole, where something was set since `before`.
    pub(super) fn note_written(&mut self, before: Option<&Settings>) {
        let sum = checksum(&self.settings);
        if self.settings.data_file_id.is_none() || before.is_some_and(|before| checksum(before) == sum) {
            return;
        }
        // Each is another one: of two files that have the same, one was made of the other.
        let note = format!("{sum}-{}", &Uuid::new_v4().simple().to_string()[..8]);
        document::set(&mut self.document, WRITTEN, note.into(), WRITTEN_MEANING, HEAD);
    }

    /// Notes that they are meant as they stand there, though something that stood in them is gone.
    ///
    /// # Errors
    /// `Refused` where no identity is noted yet, so that nothing can be lost by them; when they cannot be written.
    pub fn confirm(&mut self, own: &Path) -> Result<()> {
        if self.settings.data_file_id.is_none() {
            let message = format!("nothing was ever noted in the settings of {}", self.data_file.display());
            return Err(Error::new(ErrorKind::Refused, message).hint("They are in force as they are."));
        }
        let mut confirmed = self.clone();
        confirmed.note_written(None);
        confirmed.save(own, &self.settings)?;
        *self = confirmed;
        Ok(())
    }
}

/// The names of what a person had set in `before` and `now` leaves at its default.
pub fn dropped(before: &Settings, now: &Settings) -> Vec<&'static str> {
    let is_dropped = |key: &&Key| is_chosen(key) && !key.is_default(before) && key.is_default(now);
    KEYS.iter().filter(is_dropped).map(|key| key.name).collect()
}

/// What to do where less is meant to stand in the settings than before.
pub fn meant(data_file: &Path) -> String {
    format!("If they are meant to be as they are: strongroom settings {} --as-written.", quoted(data_file))
}
