//! Changing the settings of a data file, by command or by hand in its file.

use std::path::{Path, PathBuf};

use super::{
    data_file::{DataFile, LogStart},
    status::{DataFileStatus, RefusedChange},
    worker::Worker,
};
use crate::{
    backup::{self, marks},
    error::{Error, Result},
    settings::{self, Revision, Settings, SettingsFile},
};

impl Worker {
    /// Puts settings in force as a whole, if they are based on those in force now. What became of it is seen in the
    /// status.
    pub(super) fn change_settings(
        &mut self,
        data_file: &Path,
        wanted: Settings,
        revision: &Revision,
        switch_to_wal: bool,
    ) -> Result<()> {
        let start = LogStart::Chosen { switch_to_wal };
        let outcome = self.change(data_file, start, |file| {
            if file.settings().revision() != *revision {
                return Err(settings::changed(file.path()));
            }
            let mut wanted = wanted;
            wanted.take_notes(file.settings());
            Ok(wanted)
        });
        let refused = outcome.as_ref().err().map(|e| RefusedChange { revision: revision.clone(), error: e.report() });
        if let Some(status) = self.edit_data_file(data_file) {
            status.settings_refused = refused;
        }
        outcome
    }

    pub(super) fn set_destination(&mut self, data_file: &Path, folder: PathBuf) -> Result<()> {
        let folder = std::path::absolute(&folder).map_err(|e| Error::io("find", &folder, e))?;
        self.change(data_file, LogStart::Chosen { switch_to_wal: false }, |file| {
            let mut wanted = file.settings().clone();
            wanted.destination.folder = Some(folder);
            Ok(wanted)
        })
    }

    pub(super) fn use_log(&mut self, data_file: &Path, log: Option<PathBuf>, switch_to_wal: bool) -> Result<()> {
        let log = log.map(|l| std::path::absolute(&l).map_err(|e| Error::io("find", &l, e))).transpose()?;
        self.change(data_file, LogStart::Chosen { switch_to_wal }, |file| {
            let mut wanted = file.settings().clone();
            wanted.log.file = log;
            Ok(wanted)
        })
    }

    /// Gives a copy that goes by the settings of another data file an identity of its own.
    pub(super) fn give_own_identity(&mut self, data_file: &Path) -> Result<()> {
        let own = self.config.settings_dir.clone();
        let hosted = self.data_files.at_mut(data_file).ok_or_else(|| Self::not_open(data_file))?;
        let mut file = SettingsFile::load_meant(data_file, &own, &hosted.settings)?;
        let sharing = backup::sharing(data_file, file.settings());
        file.give_own_identity(&own, &sharing)?;
        hosted.adopt(file);
        self.touch(data_file);
        self.follow_settings(data_file, LogStart::Known);
        self.survey(data_file);
        Ok(())
    }

    /// Makes of the settings in the file, as it is now, what `make` says, and puts that in force.
    fn change(
        &mut self,
        data_file: &Path,
        start: LogStart,
        make: impl FnOnce(&SettingsFile) -> Result<Settings>,
    ) -> Result<()> {
        let own = self.config.settings_dir.clone();
        let hosted = self.data_files.at_mut(data_file).ok_or_else(|| Self::not_open(data_file))?;
        // What a person changed in the file meanwhile is kept; what is a mistake is not put in force with it.
        let mut file = SettingsFile::load_meant(data_file, &own, &hosted.settings)?;
        let mut wanted = make(&file)?;
        backup::keep_known(file.settings(), &mut wanted, data_file);
        let before = file.settings().clone();
        file.change(&own, |settings| *settings = wanted)?;
        marks::note_choice(data_file, &mut file, &own, &before);
        hosted.edit().settings_problem = None;
        hosted.adopt(file);
        self.touch(data_file);
        self.follow_settings(data_file, start);
        self.survey(data_file);
        Ok(())
    }

    /// The status of one data file, to be changed.
    pub(super) fn edit_data_file(&mut self, data_file: &Path) -> Option<&mut DataFileStatus> {
        self.data_files.at_mut(data_file).map(DataFile::edit)
    }
}
