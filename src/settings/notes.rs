//! What Strongroom itself notes in a settings file, and how it comes back into one that was written anew without it, as
//! configuration management does: without its identity a data file would be another one each time, its archives and its
//! log those of a stranger.

use toml_edit::{Array, Document, Item};
use uuid::Uuid;

use super::{
    SettingsFile, copies,
    document::{self, find},
    file::HEAD,
    place, settings_error, understand,
};
use crate::error::{Error, ErrorKind, Result};

impl SettingsFile {
    /// Whether somebody wrote them, and no identity is noted in them: none was yet, or it was written over.
    pub fn lack_notes(&self) -> bool {
        !self.is_blank() && self.settings.data_file_id.is_none()
    }

    /// Why these, which somebody wrote over those that are in force, are a mistake by all appearance, though they can
    /// be understood: they may be only half of what was written; they hold a new name that means nothing, so that what
    /// was meant would go back to its default; or they are those of another data file. Whoever goes by such a mistake
    /// deletes backups and ends the log.
    pub fn mistake(&self, in_force: &Self) -> Option<Error> {
        let (id, before) = (self.settings.data_file_id, in_force.settings.data_file_id);
        let was_it = |before: &Uuid| copies::identities(self.document.as_table()).1.contains(before);
        if let (Some(id), Some(before)) = (id, before.filter(|before| Some(*before) != id && !was_it(before))) {
            return Some(
                settings_error(
                    &self.path,
                    &format!("they name another data file by data-file.id, {id}: that of this one is {before}"),
                )
                .hint(
                    "They were copied over from another data file, or the identity was changed. Bring its own back, \
                     or write that id; archives and log go by it. The settings as they were stay in force until then.",
                ),
            );
        }
        let Some(unknown) = self.unknown.first().filter(|_| self.unknown.len() > in_force.unknown.len()) else {
            return self.cut_off(in_force);
        };
        Some(settings_error(&self.path, &format!("{unknown} means nothing")).hint(
            "Correct the name; the command strongroom settings DATAFILE lists all settings. Until then the settings \
             as they were stay in force.",
        ))
    }

    /// The same with what is noted in `text`, earlier settings of the same data file: identity, last number, folders
    /// and log that were used, and the path of the data file. What a person wrote stays. Nothing is saved.
    ///
    /// # Errors
    /// When the text cannot be understood, or holds no identity.
    pub fn with_notes_of(&self, text: &str) -> Result<Self> {
        let parsed = Document::parse(text)
            .map_err(|e| settings_error(&self.path, &format!("it is not valid TOML: {}", e.message())))?;
        let known = understand(&self.path, text, parsed.as_table(), &self.data_file)?;
        if known.data_file_id.is_none() {
            return Err(Error::new(ErrorKind::Settings, "no identity is noted in these settings"));
        }
        let mut with = self.clone();
        if let Some(former) = find(parsed.as_table(), copies::FORMER).and_then(Item::as_array) {
            let former: Array = former.iter().filter_map(|id| id.as_str()).collect();
            document::set(&mut with.document, copies::FORMER, former.into(), copies::FORMER_MEANING, HEAD);
        }
        // A copy that was not told from its original stays known as one.
        with.noted = copies::noted_path(parsed.as_table());
        if let Some(noted) = &with.noted {
            document::set(&mut with.document, copies::PATH, place::text(noted).into(), copies::PATH_MEANING, HEAD);
        }
        let settings = &mut with.settings;
        settings.data_file_id = known.data_file_id;
        settings.last_number = settings.last_number.max(known.last_number);
        settings.log_begun = known.log_begun;
        settings.places = known.places;
        (settings.made_in, settings.restored) = (known.made_in, known.restored);
        if settings.destination.earlier.is_empty() {
            settings.destination.earlier = known.destination.earlier;
            let chosen = settings.destination.folder.clone();
            settings.destination.earlier.retain(|folder| Some(folder) != chosen.as_ref());
        }
        with.write_document(&self.settings);
        Ok(with)
    }
}
