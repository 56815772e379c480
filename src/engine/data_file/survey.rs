//! A look at a data file as a whole: its archives, its places, the plan of the next backup. Takes its time.

use std::{path::Path, sync::Arc};

use super::{mark::Mark, users::Users};
use crate::{
    archive::catalog::{self, ArchiveEntry},
    backup::{
        self, BackupPlan, led_to, marks,
        places::{self, Place, Purpose},
        retention::{self, BackupSet},
    },
    engine::{
        history,
        status::{DataFileStatus, Shared},
    },
    error::ErrorReport,
    settings::{
        self, SettingsFile,
        copies::{self, Sharing},
    },
    sqlite::data_file::{self, DataFileFacts},
    storage::{self, disks::System, space},
};

/// What was read of the destination: the archives there and the plan of the next backup.
pub(in crate::engine) struct Surveyed {
    pub(in crate::engine) archives: Vec<ArchiveEntry>,
    pub(in crate::engine) copies: Vec<ArchiveEntry>,
    /// What is to be compared to know whether all of this still holds.
    pub(in crate::engine) mark: Arc<Mark>,
    /// Who has it open, where that was asked.
    pub(in crate::engine) users: Option<Users>,
    pub(in crate::engine) sets: Vec<BackupSet>,
    pub(in crate::engine) plan: std::result::Result<BackupPlan, ErrorReport>,
    /// The settings as they were read for this.
    pub(in crate::engine) settings: SettingsFile,
    /// What is to be said of the other data files that go by the same settings.
    pub(in crate::engine) shared: Vec<Shared>,
    /// Why the folder for archives is not the one that was used.
    pub(in crate::engine) destination_problem: Option<ErrorReport>,
    /// That no archive leads to the log.
    pub(in crate::engine) log_root_problem: Option<ErrorReport>,
    pub(in crate::engine) archives_place: Place,
    pub(in crate::engine) log_place: Option<Place>,
    /// Free space on the disk of the data file.
    pub(in crate::engine) beside_bytes: Option<u64>,
    /// What the data file is now: programs change its page size or its journal mode.
    pub(in crate::engine) facts: std::result::Result<DataFileFacts, ErrorReport>,
}

/// Reads the destination and plans the next backup; `own` is the program's settings folder, `data` that of the Backup
/// journal. May take its time. A folder that an earlier version used is marked.
pub(in crate::engine) fn survey(data_file: &Path, settings: &SettingsFile, own: &Path, data: &Path) -> Surveyed {
    let mut settings = settings.clone();
    // What cannot be marked now is marked later.
    let _ = marks::adopt(data_file, &mut settings, own, Purpose::Archives);
    look_over(data_file, &settings, data)
}

/// The same, changing nothing.
pub(in crate::engine) fn look_over(data_file: &Path, settings: &SettingsFile, data: &Path) -> Surveyed {
    let look = marks::look(data_file, settings.settings(), Purpose::Archives);
    let destination_problem = look.err().map(|e| e.report());
    let folder = backup::destination(data_file, settings);
    let mut folders = vec![folder.clone()];
    folders.extend(settings.settings().destination.earlier.iter().cloned());
    // Looked at before they are read, so that what changes meanwhile is seen later.
    let mut mark = Mark::of(folders.iter().cloned());
    let facts = data_file::identify(data_file).map_err(|e| e.report());
    let (mut archives, problem) = backup::archives_there(data_file, settings.settings());
    history::judge(&mut archives, data);
    let is_listed = problem.is_none();
    let plan = match problem {
        None => backup::plan(data_file, settings, &folder, &archives).map_err(|e| e.report()),
        Some(error) => Err(error.report()),
    };
    let stem = catalog::stem(data_file);
    let mut copies: Vec<ArchiveEntry> =
        folders.iter().flat_map(|folder| catalog::copies(folder, Some(&stem)).unwrap_or_default()).collect();
    copies::mark(data_file, settings.settings(), &mut copies);
    mark.add(archives.iter().chain(&copies).flat_map(|archive| archive.files.iter().cloned()));
    let file = settings;
    let settings = file.settings();
    let required = plan.as_ref().ok().map(|plan| plan.required_bytes);
    let system = System::now();
    let look = |purpose| places::look(system.as_ref(), data_file, settings, purpose, required);
    let from = file.copied_from().map(|from| Shared {
        copy: data_file.to_path_buf(),
        of: from.to_path_buf(),
        is_equal: false,
        elsewhere: None,
    });
    // Of a copy that makes archives among those of this one.
    let copy = |other: Sharing| {
        let (is_equal, elsewhere) = (other.names_itself, other.elsewhere);
        Shared { copy: other.data_file, of: data_file.to_path_buf(), is_equal, elsewhere }
    };
    let shared = match from {
        Some(from) => vec![from],
        None => copies::mark(data_file, settings, &mut archives).into_iter().map(copy).collect(),
    };
    // Whatever becomes of the other one, deleted, renamed, or told apart, is seen there.
    let others = shared.iter().map(|s| if s.copy == data_file { &s.of } else { &s.copy });
    mark.add(others.flat_map(|other| [storage::folder_of(other).to_path_buf(), settings::path_beside(other)]));
    Surveyed {
        shared,
        sets: retention::sets(data_file, settings, &archives, file.trust()),
        archives_place: look(Purpose::Archives),
        log_place: settings.log.file.as_ref().map(|_| look(Purpose::Log)),
        beside_bytes: space::disk_space(storage::folder_of(data_file)).ok().map(|space| space.available),
        settings: file.clone(),
        mark: Arc::new(mark),
        users: None,
        copies,
        // Of archives that are away, or that could not be listed, nobody knows.
        log_root_problem: (destination_problem.is_none() && is_listed)
            .then(|| led_to::problem(data_file, settings, &archives))
            .flatten(),
        destination_problem,
        archives,
        plan,
        facts,
    }
}

/// Takes over what a survey found, but for the settings and the state of the data file itself.
pub(in crate::engine) fn take_survey(status: &mut DataFileStatus, surveyed: Surveyed) {
    (status.archives, status.copies, status.sets) = (surveyed.archives, surveyed.copies, surveyed.sets);
    (status.archives_place, status.log_place) = (Some(surveyed.archives_place), surveyed.log_place);
    status.destination_problem = surveyed.destination_problem;
    status.log_root_problem = surveyed.log_root_problem;
    status.shared = surveyed.shared;
    status.maintenance.available_bytes = surveyed.beside_bytes;
    (status.plan, status.plan_problem) = match surveyed.plan {
        Ok(plan) => (Some(plan), None),
        Err(error) => (None, Some(error)),
    };
}
