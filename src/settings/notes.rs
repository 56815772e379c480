//! What Strongroom itself notes in a settings file, and how it comes back into one that was written anew without it, as
//! configuration management does: without its identity a data file would be another one each time, its archives and its
//! log those of a stranger.

use toml_edit::{Array, Document, Item};

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
