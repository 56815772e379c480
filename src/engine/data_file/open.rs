//! Opening a data file: identified, locked, its settings read, what interrupted backups left cleaned up.

use std::path::{Path, PathBuf};

use super::{actor::DataFile, damage, lock::DataFileLock, memory::Memory};
use crate::{
    archive::{catalog, leftovers},
    backup::{self, marks, places::Purpose},
    engine::{
        config::Config,
        mistaken::refuse_own_file,
        rights,
        settings_gone::Gone,
        settings_in_force::InForce,
        status::{DataFileId, DataFileStatus, Host, Maintenance},
    },
    error::{ErrorReport, Result},
    sample,
    settings::{self, SettingsFile},
    sqlite::data_file::{self, DataFileFacts},
    storage::{self, processes::Holders, scratch},
    warning::Warning,
};

/// What came of opening a data file.
pub(in crate::engine) enum Opening {
    /// It is looked after.
    Opened(Box<Opened>),
    /// It is damaged, and to be restored by itself.
    Damaged {
        /// Its canonical path.
        path: PathBuf,
        /// What is wrong with it.
        why: ErrorReport,
    },
}

/// A data file that was opened on a thread of its own.
pub(in crate::engine) struct Opened {
    /// What was done about settings that were gone.
    pub(in crate::engine) gone: Option<Warning>,
    pub(in crate::engine) data_file: DataFile,
    /// What the Backup journal remembers of it, as far as that was asked.
    pub(in crate::engine) memory: Memory,
}

/// Identifies `path`, takes its lock, reads its settings, and cleans up what interrupted backups left; `may_restore`
/// says whether one that is damaged may be restored by itself.
pub(in crate::engine) fn open(path: &Path, config: &Config, may_restore: bool) -> Result<Opening> {
    let own = &config.settings_dir;
    refuse_own_file(path)?;
    rights::require(path, config.as_root)?;
    let facts = match data_file::identify(path) {
        Err(error) if may_restore => {
            let (path, why) = damage::of_lost(path, error, config)?;
            return Ok(Opening::Damaged { path, why: why.report() });
        }
        looked => looked?,
    };
    let lock = DataFileLock::take(&facts.path, config)?;
    let InForce { file: mut settings, mistake } = InForce::settled(&facts.path, own, &config.data_dir)?;
    if let Some(error) = settings::left_behind(path, own) {
        return Err(error);
    }
    let mut gone = None;
    if mistake.is_none()
        && let Some(known) = Gone::look(&facts.path, &settings, &config.data_dir)
    {
        gone = Some(known.put_back(own)?);
        settings = SettingsFile::load(&facts.path, own)?;
    }
    let mut damage = None;
    if may_restore && let Some(why) = damage::look(&facts.path, settings.settings(), config) {
        match damage::refuse_held(&facts.path, why) {
            Ok(why) => return Ok(Opening::Damaged { path: facts.path, why: why.report() }),
            Err(error) => damage = Some(error.report()),
        }
    }
    let destination = backup::destination(&facts.path, &settings);
    // A folder that cannot be read now is reported by the survey.
    let is_there = marks::look(&facts.path, settings.settings(), Purpose::Archives).is_ok();
    let mut places = vec![storage::folder_of(&facts.path).to_path_buf()];
    if is_there {
        let _ = leftovers::remove_leftovers(&destination, &catalog::stem(&facts.path));
        places.push(destination.clone());
    }
    storage::clean_up(move || places.iter().for_each(|place| scratch::remove_leftovers(place)));
    let host = Host::this(config.host);
    let damage_since = damage.as_ref().map(|_| config.clock.local());
    let (settings_problem, settings_from) = mistake.map(|mistake| (mistake.error, mistake.archive)).unzip();
    let status = status_of(facts, &settings, host);
    let status = DataFileStatus { damage, damage_since, settings_problem, settings_from, ..status };
    let asked = path.to_path_buf();
    Ok(Opening::Opened(Box::new(Opened {
        gone,
        data_file: DataFile::new(status, settings, lock, asked),
        memory: Memory::default(),
    })))
}

/// What is known of a data file before its archives were looked at.
pub(in crate::engine) fn status_of(facts: DataFileFacts, settings: &SettingsFile, host: Host) -> DataFileStatus {
    let is_sample = sample::is_sample(&facts);
    DataFileStatus {
        id: DataFileId::new(settings.settings().data_file_id, &facts.path),
        host,
        engine_started: None,
        lost_since: None,
        silent_since: None,
        problem: None,
        settings: settings.settings().clone(),
        settings_file: settings.path().to_path_buf(),
        settings_unknown: settings.unknown().to_vec(),
        settings_problem: None,
        settings_from: None,
        settings_refused: None,
        destination_is_default: settings.settings().destination.folder.is_none(),
        destination: backup::destination(&facts.path, settings),
        plan: None,
        plan_problem: None,
        archives: Vec::new(),
        copies: Vec::new(),
        damaged: Vec::new(),
        sets: Vec::new(),
        last_success: None,
        gone: None,
        unlisted: None,
        last_backup: None,
        next_backup: None,
        automatic: None,
        stalled: None,
        warnings: Vec::new(),
        notices: Vec::new(),
        damage: None,
        damage_since: None,
        in_place: Vec::new(),
        maintenance: Maintenance::default(),
        archives_place: None,
        log_place: None,
        destination_problem: None,
        log_root_problem: None,
        log_folder_problem: None,
        on_finish_problem: None,
        log_file: settings.settings().log.file.clone(),
        log: None,
        log_starting: false,
        log_problem: None,
        holders: Holders::default(),
        readers: Vec::new(),
        strays: Vec::new(),
        shared: Vec::new(),
        other_name: None,
        unwritable: None,
        moved_name: None,
        waiting: Vec::new(),
        is_sample,
        sample_client: None,
        facts,
    }
}
