//! Settings that stand in for those in the file, as long as that is a mistake by all appearance.

use std::path::Path;

use toml_edit::Document;

use super::{
    SettingsFile, copies,
    file::{look, path_in_force},
    settings_error, understand,
    unknown::unknown,
    without_program,
};
use crate::error::Result;

impl SettingsFile {
    /// These, for a job that goes by them while the file itself cannot be understood: what the job notes is known to
    /// the job alone, and the text that somebody is about to mend stays as it is.
    pub fn last_good(&self) -> Self {
        Self { is_last_good: true, ..self.clone() }
    }

    /// `text`, settings of `data_file` that an archive holds, to go by as long as the file itself cannot be. Without
    /// the program to be run after each job: an archive may come from anybody.
    ///
    /// # Errors
    /// When it cannot be understood.
    pub fn stand_in(data_file: &Path, own: &Path, text: &str) -> Result<Self> {
        let path = path_in_force(data_file, own);
        let fail = |e: toml_edit::TomlError| settings_error(&path, &format!("it is not valid TOML: {}", e.message()));
        let text = without_program(text).map_err(fail)?.map_or_else(|| text.to_owned(), |(text, _)| text);
        let parsed = Document::parse(text.as_str()).map_err(fail)?;
        let settings = understand(&path, &text, parsed.as_table(), data_file)?;
        let (seen, unknown) = (Some(look(&path)), unknown(&text, parsed.as_table()));
        let noted = copies::noted_path(parsed.as_table());
        let (document, origin, is_last_good) = (parsed.into_mut(), None, true);
        let (own, data_file, read) = (own.to_path_buf(), data_file.to_path_buf(), Some(text));
        Ok(Self { path, data_file, read, origin, seen, document, settings, unknown, noted, own, is_last_good })
    }

    /// Reads the settings of `data_file` as [`SettingsFile::load`] does, for whoever has `in_force` and must not go by
    /// a mistake.
    ///
    /// # Errors
    /// As [`SettingsFile::load`]; and what [`SettingsFile::mistake`] says.
    pub fn load_meant(data_file: &Path, own: &Path, in_force: &Self) -> Result<Self> {
        let read = Self::load(data_file, own)?;
        read.mistake(in_force).map_or(Ok(read), Err)
    }

    /// These, read just now, for whoever has `in_force`: nobody who deletes or empties the file, or writes it anew from
    /// a template, means a second life with another identity.
    ///
    /// # Errors
    /// When those in force cannot be understood.
    pub fn going_on_from(self, in_force: &Self) -> Result<Self> {
        if self.is_blank() && !in_force.is_blank() {
            Ok(in_force.clone())
        } else if self.lack_notes() && in_force.settings.data_file_id.is_some() {
            self.with_notes_of(&in_force.text())
        } else {
            Ok(self)
        }
    }

    /// Whether these stand in for a file that cannot be gone by: what is noted in them is noted nowhere else, and
    /// nothing is deleted by them.
    pub fn is_stand_in(&self) -> bool {
        self.is_last_good
    }

    /// Takes the file for read as it looked when `other` was.
    pub fn read_when(&mut self, other: &Self) {
        self.seen = other.seen;
    }
}
