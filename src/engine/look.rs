//! Looks that a dialog asks for before anything is changed: at places chosen for archives and log, and at attachments.

use std::path::{Path, PathBuf};

use super::{
    status::{Measured, SeenPlaces},
    worker::{Message, Worker},
};
use crate::{
    backup::{
        self,
        places::{self, Purpose},
    },
    control::Control,
    error::Result,
    settings::Settings,
    storage::disks::System,
};

const PLACES_MAX: usize = 8;
const MEASURED_MAX: usize = 64;

impl Worker {
    /// Looks at the places that `settings`, which are not in force yet, mean for archives and log.
    pub(super) fn look_at_places(&mut self, data_file: PathBuf, settings: Settings) {
        let plan = self.status.data_file(&data_file).and_then(|status| status.plan.as_ref());
        let required = plan.map(|plan| plan.required_bytes);
        self.beside("look at places", move || {
            let system = System::now();
            let look = |purpose| places::look(system.as_ref(), &data_file, &settings, purpose, required);
            Message::PlacesSeen(SeenPlaces {
                archives: look(Purpose::Archives),
                log: settings.log.file.as_ref().map(|_| look(Purpose::Log)),
                problem: settings.check(&data_file).err().map(|error| error.report()),
                revision: settings.revision(),
                data_file,
            })
        });
    }

    pub(super) fn places_seen(&mut self, seen: SeenPlaces) {
        let list = &mut self.edit().seen_places;
        list.retain(|known| (&known.data_file, &known.revision) != (&seen.data_file, &seen.revision));
        list.insert(0, seen);
        list.truncate(PLACES_MAX);
    }

    /// Measures files and folders that may become attachments, each as soon as that is done.
    pub(super) fn measure(&mut self, data_file: &Path, paths: Vec<PathBuf>) -> Result<()> {
        let hosted = self.hosted.get(data_file).ok_or_else(|| Self::not_open(data_file))?;
        let settings = hosted.settings.settings();
        for path in paths {
            let (data_file, settings) = (data_file.to_path_buf(), settings.clone());
            self.beside("measure", move || {
                let result = backup::measure(&data_file, &settings, &path, &Control::default());
                Message::Measured(Measured { data_file, result: result.map_err(|e| e.report()), path })
            });
        }
        Ok(())
    }

    pub(super) fn measured(&mut self, measured: Measured) {
        let list = &mut self.edit().measured;
        list.retain(|known| (&known.data_file, &known.path) != (&measured.data_file, &measured.path));
        list.insert(0, measured);
        list.truncate(MEASURED_MAX);
    }
}
