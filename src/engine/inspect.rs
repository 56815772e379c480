//! The state of a data file's protection, told from outside: while another process looks after it, or none does.

use std::path::{Path, PathBuf};

use chrono::{DateTime, FixedOffset, Local};
use serde::{Deserialize, Serialize};

use super::{
    history::{glance_automatic, glance_maintenance, known_archives},
    hosted, lock,
    status::{JobStatus, Maintenance, Status},
    warnings,
};
use crate::{
    archive::{ArchiveNumber, catalog::ArchiveEntry},
    backup::{self, retention, soundness},
    error::{ErrorReport, Result},
    journal::inspect::{self, LogFacts},
    schedule::automatic::{Automatic, Decision, Reason},
    settings::{Settings, SettingsFile},
    sqlite::{
        data_file::{self, DataFileFacts, JournalMode},
        seen::ContentCheck,
    },
    storage::{
        self,
        processes::{self, Holders, Process},
        space::{DiskSpace, disk_space},
    },
    warning::Warning,
};

/// What there is to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inspection {
    /// The data file.
    pub data_file: DataFileFacts,
    /// The process that looks after it, if one does.
    pub engine: Option<Process>,
    /// The jobs that run on it, where that process can be asked.
    pub jobs: Vec<JobStatus>,
    /// The folder for its archives.
    pub destination: PathBuf,
    /// Free space there in bytes, if the system tells.
    pub available_bytes: Option<u64>,
    /// The newest archive.
    pub last_backup: Option<NewestArchive>,
    /// How many archives there are.
    pub archives: usize,
    /// Why their folder can not be read.
    pub archives_problem: Option<ErrorReport>,
    /// When the next backup is due by the schedule, or tried again; in the past for one that could not be begun yet.
    pub next_backup: Option<DateTime<Local>>,
    /// What the engine of this user remembers of the automatic backups, if there is one.
    pub automatic: Option<Automatic>,
    /// When the data file was verified and compacted last.
    pub maintenance: Maintenance,
    /// What needs attention, as far as it shows from outside.
    pub warnings: Vec<Warning>,
    /// The log file chosen, if the log is used.
    pub log_file: Option<PathBuf>,
    /// What is in it.
    pub log: Option<LogFacts>,
    /// Why it can not be read.
    pub log_problem: Option<ErrorReport>,
    /// Which other processes have the data file open.
    pub holders: Holders,
    /// Which of them are in a read transaction that needs the WAL.
    pub readers: Vec<Process>,
}

/// The newest archive of a data file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewestArchive {
    /// Its path.
    pub path: PathBuf,
    /// Its number.
    pub number: ArchiveNumber,
    /// The moment of its state.
    pub moment: Option<DateTime<FixedOffset>>,
    /// Its length in bytes.
    pub bytes: u64,
    /// Whether its content is sound, as far as anybody has looked.
    #[serde(default)]
    pub check: ContentCheck,
    /// What is wrong with it, if anything.
    pub problem: Option<ErrorReport>,
}

impl NewestArchive {
    fn of(archive: &ArchiveEntry) -> Self {
        Self {
            path: archive.path.clone(),
            number: archive.number,
            moment: archive.moment,
            bytes: archive.bytes,
            check: archive.check,
            problem: archive.problem.clone(),
        }
    }
}

impl Inspection {
    /// The same as the engine that looks after the data file knows it: at once, however long the log is. `None` while the
    /// engine itself does not know everything yet.
    pub fn of_engine(all: &Status, data_file: &Path) -> Option<Self> {
        let status = all.data_file(data_file)?;
        let plan = status.plan.as_ref();
        if plan.is_none() && status.plan_problem.is_none() || status.log_starting {
            return None;
        }
        Some(Self {
            data_file: status.facts.clone(),
            engine: Some(processes::named(status.host.process)),
            jobs: all.jobs.iter().filter(|job| job.data_file.as_deref() == Some(data_file)).cloned().collect(),
            destination: status.destination.clone(),
            available_bytes: plan.map(|plan| plan.available_bytes),
            last_backup: status.archives.first().map(NewestArchive::of),
            archives: status.archives.len(),
            archives_problem: status.plan_problem.clone().filter(|_| status.archives.is_empty()),
            next_backup: status.next_backup,
            automatic: status.automatic.clone(),
            maintenance: status.maintenance.clone(),
            warnings: status.warnings.clone(),
            log_file: status.log_file.clone(),
            log: status.log.as_ref().map(LogFacts::of_running),
            log_problem: status.log_problem.clone(),
            holders: status.holders.clone(),
            readers: status.readers.clone(),
        })
    }
}

/// Looks at the data file at `path` and at everything that protects it; `own` is the program's settings folder, and `data` the
/// one for its data. Nothing is changed.
///
/// # Errors
/// When the data file can not be used, or its settings not be understood.
pub fn inspect(path: &Path, own: &Path, data: &Path) -> Result<Inspection> {
    let facts = data_file::identify(path)?;
    let path = facts.path.clone();
    let settings = SettingsFile::load(&path, own)?;
    let destination = backup::destination(&path, &settings);
    let (archives, archives_problem) = match known_archives(&path, settings.settings(), data) {
        Ok(archives) => (archives, None),
        Err(error) => (Vec::new(), Some(error.report())),
    };
    let log_file = settings.settings().log.file.clone();
    let looked =
        log_file.as_ref().filter(|_| facts.journal_mode == JournalMode::Wal).map(|log| inspect::inspect(log, &path));
    let (log, log_problem) = match looked {
        Some(Ok(log)) => (Some(log), None),
        Some(Err(error)) => (None, Some(error.report())),
        None => (None, None),
    };
    let users = hosted::look_at_processes(std::slice::from_ref(&path)).pop();
    let (holders, readers) = users.map(|users| (users.holders, users.readers)).unwrap_or_default();
    let last_backup = archives.first().map(NewestArchive::of);
    let id = settings.settings().data_file_id;
    let good = archives.iter().filter(|a| a.problem.is_none() && a.data_file_id == id).filter_map(|a| a.moment).max();
    let automatic = glance_automatic(data, &path);
    let maintenance = Maintenance { available_bytes: beside(&path), ..glance_maintenance(data, &path) };
    let (next_backup, mut warnings) = foresee(settings.settings(), automatic.as_ref(), good, &Local::now());
    let sets = retention::sets(&path, settings.settings(), &archives);
    warnings.extend(soundness::warnings(&archives, &sets, id, &settings.settings().keep));
    warnings.sort();
    Ok(Inspection {
        next_backup,
        automatic,
        maintenance,
        warnings,
        engine: lock::holder(&path, own).map(|holder| processes::named(holder.process)),
        jobs: Vec::new(),
        available_bytes: disk_space(&destination).ok().map(|space: DiskSpace| space.available),
        archives: archives.len(),
        archives_problem,
        data_file: facts,
        destination,
        last_backup,
        log_file,
        log,
        log_problem,
        holders,
        readers,
    })
}

/// Free space on the disk of the data file.
fn beside(data_file: &Path) -> Option<u64> {
    disk_space(storage::folder_of(data_file)).ok().map(|space| space.available)
}

/// When the next backup is due, and what is to be said of those that were.
fn foresee(
    settings: &Settings,
    known: Option<&Automatic>,
    newest: Option<DateTime<FixedOffset>>,
    now: &DateTime<Local>,
) -> (Option<DateTime<Local>>, Vec<Warning>) {
    let mut state = known.cloned().unwrap_or_default();
    let warnings = warnings::of_schedule(settings, &state, newest.map(|moment| moment.with_timezone(&Local)), now);
    let next = match state.decide(&settings.scheduler, &settings.failure, now) {
        Decision::Wait(next) => next,
        Decision::Run(Reason::Scheduled { due }) => Some(due),
        Decision::Run(Reason::Retry { .. }) => Some(now.to_utc()),
    };
    (next.map(|next| next.with_timezone(&Local)), warnings)
}
