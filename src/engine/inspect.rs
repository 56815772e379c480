//! The state of a data file's protection, told from outside: while another process looks after it, or none does.

use std::path::{Path, PathBuf};

use chrono::{DateTime, FixedOffset, Local};
use serde::{Deserialize, Serialize};

use super::{
    data_file::alerts,
    data_file::{self, known},
    history::{History, Watched, glance_automatic, glance_maintenance},
    mistaken::refuse_own_file,
    protection::{self, Protection},
    rights,
    settings_gone::Gone,
    settings_in_force::InForce,
    status::{DataFileStatus, Host, HostKind, JobStatus, Maintenance, Status},
};
use crate::{
    archive::{ArchiveNumber, catalog::ArchiveEntry},
    backup::{
        marks,
        places::Purpose,
        soundness::{self, Finding},
    },
    control::Clock,
    error::{Error, ErrorKind, ErrorReport, Result},
    journal::{
        inspect::{self, LogFacts},
        place,
    },
    schedule::automatic::{Automatic, Decision, Reason},
    settings::copies,
    sqlite::{
        data_file::{DataFileFacts, JournalMode, identify},
        named,
        seen::ContentCheck,
    },
    storage::processes::{self, Holders, Process},
    warning::{Warning, WarningKind},
};

/// As many entries of the Backup journal as an engine looks at.
const HISTORY_MAX: u32 = 1000;

/// What there is to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inspection {
    /// The data file.
    pub data_file: DataFileFacts,
    /// How well it is protected, in one answer.
    pub protection: Protection,
    /// The process that looks after it, if one does.
    pub engine: Option<Process>,
    /// Who looked after it last, and until when, where nobody does now and that is noted; what happened to it since is
    /// not known.
    #[serde(default)]
    pub watched: Option<Watched>,
    /// The jobs that run on it, where that process can be asked.
    pub jobs: Vec<JobStatus>,
    /// The folder for its archives.
    pub destination: PathBuf,
    /// Free space there in bytes, if the system tells.
    pub available_bytes: Option<u64>,
    /// The newest archive.
    pub last_backup: Option<NewestArchive>,
    /// Where the last one lacks what was chosen for it: the newest readable one that does not.
    #[serde(default)]
    pub last_whole: Option<NewestArchive>,
    /// How many archives there are.
    pub archives: usize,
    /// How many archives of other data files lie among them under the same name.
    #[serde(default)]
    pub archives_of_others: usize,
    /// How many of those were made of this very path with other settings, before it began anew.
    #[serde(default)]
    pub archives_of_earlier: usize,
    /// Why their folder cannot be read.
    pub archives_problem: Option<ErrorReport>,
    /// When the next backup is due by the schedule, or tried again; in the past for one that could not be begun yet.
    pub next_backup: Option<DateTime<Local>>,
    /// What the engine of this user remembers of the automatic backups, if there is one.
    pub automatic: Option<Automatic>,
    /// When the data file was verified and compacted last.
    pub maintenance: Maintenance,
    /// What needs attention.
    pub warnings: Vec<Warning>,
    /// The log file chosen, if the log is used.
    pub log_file: Option<PathBuf>,
    /// What is in it.
    pub log: Option<LogFacts>,
    /// Why it cannot be read.
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
    /// What is damaged in its content, or why it was not checked.
    #[serde(default)]
    pub check_note: Option<String>,
    /// How many of the chosen files are not in it, or not whole, where it says.
    #[serde(default)]
    pub not_whole: Option<u32>,
    /// What is wrong with its file, or with its logs, if anything.
    pub problem: Option<ErrorReport>,
}

impl NewestArchive {
    /// With what is known of its file.
    pub(super) fn of(archive: &ArchiveEntry, findings: &[Finding]) -> Self {
        Self {
            path: archive.path.clone(),
            number: archive.number,
            moment: archive.moment,
            bytes: archive.bytes,
            check: archive.check,
            check_note: archive.check_note.clone(),
            not_whole: archive.not_whole,
            problem: soundness::damage_of(findings, archive)
                .map(|damage| damage.error.clone())
                .or_else(|| archive.problem.clone()),
        }
    }
}

impl Inspection {
    /// The same as the engine that looks after the data file knows it: at once, however long the log is. `None` while
    /// the engine itself does not know everything yet.
    pub fn of_engine(all: &Status, data_file: &Path) -> Option<Self> {
        let status = all.data_file(data_file)?;
        let plan = status.plan.as_ref();
        // While a log that could not be opened is tried again, what is wrong with it is known.
        let is_log_unknown = status.log_starting && status.log_problem.is_none() && status.log_folder_problem.is_none();
        if plan.is_none() && status.plan_problem.is_none() || is_log_unknown {
            return None;
        }
        let of_history = all.history_problem.as_ref().map(alerts::of_history);
        let jobs = all.jobs.iter().filter(|job| job.data_file.as_deref() == Some(data_file)).cloned().collect();
        let mut found = Self::of(status, Some(status.host.seen()), jobs);
        found.warnings.extend(of_history);
        alerts::in_order(&mut found.warnings);
        Some(found)
    }

    fn of(status: &DataFileStatus, engine: Option<Process>, jobs: Vec<JobStatus>) -> Self {
        let is_partial = status.own_archives().next().is_some_and(|newest| newest.not_whole > Some(0));
        // Those of strangers are named by a warning.
        let is_strange = |archive: &&ArchiveEntry| archive.put_by.is_some();
        let is_earlier = |archive: &&ArchiveEntry| {
            archive.data_file_id.is_some()
                && !is_strange(archive)
                && !status.is_own(archive)
                && archive.made_of.as_ref() == Some(&status.facts.path)
        };
        let last_whole = status.newest_whole().filter(|_| is_partial);
        Self {
            data_file: status.facts.clone(),
            protection: Protection::of_running(status),
            engine,
            watched: None,
            jobs,
            destination: status.destination.clone(),
            available_bytes: status.plan.as_ref().map(|plan| plan.available_bytes).or_else(|| {
                let space = status.archives_place.as_ref().and_then(|place| place.space.as_ref());
                space.map(|space| space.available)
            }),
            last_backup: status.own_archives().next().map(|newest| {
                let copy = status.damage_of(newest).and_then(|_| status.copy_of(newest));
                NewestArchive::of(copy.unwrap_or(newest), &status.damaged)
            }),
            last_whole: last_whole.map(|whole| NewestArchive::of(whole, &status.damaged)),
            archives: status.own_archives().count(),
            archives_of_others: (status.archives.iter().filter(|archive| !is_strange(archive)).count())
                .saturating_sub(status.own_archives().count()),
            archives_of_earlier: status.archives.iter().filter(is_earlier).count(),
            archives_problem: status
                .destination_problem
                .clone()
                .or_else(|| status.plan_problem.clone().filter(|_| status.archives.is_empty())),
            next_backup: status.next_backup,
            automatic: status.automatic.clone(),
            maintenance: status.maintenance.clone(),
            warnings: status.warnings.clone(),
            log_file: status.log_file.clone(),
            log: protection::log_of_running(status),
            log_problem: status.log_folder_problem.clone().or_else(|| status.log_problem.clone()),
            holders: status.holders.clone(),
            readers: status.readers.clone(),
        }
    }
}

/// Looks at the data file at `path` and at everything that protects it; `own` is the program's settings folder, and
/// `data` the one for its data. Nothing is changed, and no transaction that was not ended is undone. What there is to
/// warn of is found as an engine finds it that looks after the file. `as_root` is what [`rights::require`] asks for.
///
/// # Errors
/// When the data file cannot be used, or its settings not be understood; `Refused` for the superuser, see
/// [`rights::require`].
pub fn inspect(path: &Path, own: &Path, data: &Path, clock: &Clock, as_root: bool) -> Result<Inspection> {
    refuse_own_file(path)?;
    rights::require(path, as_root)?;
    let facts = identify(path)?;
    let path = facts.path.clone();
    let InForce { file: mut settings, mistake } = InForce::look(&path, own, data)?;
    let is_wal = facts.journal_mode == JournalMode::Wal;
    let now = clock.local();
    let engine = data_file::lock::holder(&path, own).map(|holder| processes::named(holder.process));
    let gone = if engine.is_none() && mistake.is_none() { Gone::look(&path, &settings, data) } else { None };
    if let Some(gone) = &gone {
        settings = gone.shown(settings);
    }
    let host = Host::this(HostKind::Command);
    let mut status = data_file::status_of(facts, &settings, host);
    (status.settings_problem, status.settings_from) = mistake.map(|mistake| (mistake.error, mistake.archive)).unzip();
    data_file::take_survey(&mut status, data_file::look_over(&path, &settings, data));
    if let Some(users) = data_file::look_at_processes(std::slice::from_ref(&path)).pop() {
        (status.holders, status.readers, status.other_name) = (users.holders, users.readers, users.other_name);
        (status.strays, status.unwritable) = (users.strays, users.unwritable);
    }
    if is_wal && engine.is_none() {
        let apart = named::apart_from_outside(&path).into_iter().filter(|process| !status.strays.contains(process));
        let apart: Vec<_> = apart.collect();
        status.strays.extend(apart);
    }
    let (mut known_before, mut watched) = (None, None);
    let history_problem;
    // A journal of an older or newer version tells what can be understood of it.
    if let Some(history) = History::glance(data) {
        known_before = glance_automatic(data, &path);
        let entries = history.list(HISTORY_MAX);
        history_problem = entries.as_ref().err().map(Error::report);
        known::take_history(&mut status, &entries.unwrap_or_default());
        known::take_findings(&mut status, &history.findings().unwrap_or_default());
        status.notices = history.notices(&path).unwrap_or_default();
        watched = history.watched(&path).filter(|_| engine.is_none());
    } else {
        known::take_history(&mut status, &[]);
        let journal = data.join("history.sqlite");
        history_problem = journal.exists().then(|| {
            let message = format!("{} cannot be read", journal.display());
            Error::new(ErrorKind::Io, message).hint("See whether its disk is full, or mounted read-only.").report()
        });
    }
    let care = glance_maintenance(data, &path);
    (status.maintenance.last_check, status.maintenance.last_compact) = (care.last_check, care.last_compact);
    let mut automatic = known_before.clone().unwrap_or_default();
    let scheduler = settings.settings();
    status.next_backup = match automatic.decide(&scheduler.scheduler, &scheduler.failure, &now) {
        Decision::Wait(next) => next.map(|next| next.with_timezone(&Local)),
        Decision::Run(Reason::Scheduled { due }) => Some(due.with_timezone(&Local)),
        Decision::Run(Reason::Retry { .. }) => Some(now),
    };
    if gone.is_some() {
        // Said with its cause below, as it is now.
        status.unlisted = None;
        status.notices.retain(|notice| notice.kind != WarningKind::Settings);
    }
    status.automatic = Some(known_before.clone().unwrap_or_default());
    status.warnings = alerts::warnings(&status, &now);
    status.automatic = known_before;
    let log_file = status.log_file.clone();
    let looked = log_file.as_ref().filter(|_| is_wal).map(|log| {
        if let Some(from) = settings.copied_from() {
            return Err(copies::shared(&path, from));
        }
        place::refuse_other_file(log, &path)?;
        place::refuse_foreign(log, settings.settings().data_file_id)?;
        marks::look(&path, settings.settings(), Purpose::Log)?;
        inspect::inspect(log, &path)
    });
    let (log, mut log_problem) = match looked {
        Some(Ok(log)) => (Some(log), None),
        Some(Err(error)) => (None, Some(error.report())),
        None => (None, None),
    };
    if let Some(file) = &log_file {
        let was_begun = settings.settings().log_begun.as_ref() == Some(file)
            || status.archives.iter().any(|archive| status.is_own(archive) && archive.log_position.is_some());
        let is_new = log_problem.as_ref().is_some_and(|problem| problem.kind == ErrorKind::NotFound) && !was_begun;
        let at_rest = if is_new {
            log_problem = Some(Error::new(ErrorKind::NotFound, "it was not begun yet").report());
            engine.is_none().then(|| alerts::of_log_not_begun(file))
        } else {
            alerts::of_log_at_rest(file, (log.as_ref(), log_problem.as_ref()), engine.as_ref())
        };
        // Of a copy that is not told from its original, that is said, and why it has no log.
        status.warnings.extend(at_rest.filter(|_| !status.is_copy()));
        let in_log = log.as_ref().map(|log| (log.last_commit, log.ahead)).unwrap_or_default();
        status.warnings.extend(alerts::of_clock(in_log, status.newest_good(), &now));
    } else if engine.is_none() {
        status.warnings.push(alerts::of_nobody(&status, watched.as_ref(), now.to_utc()));
    }
    status.warnings.extend(gone.map(|gone| gone.warning()));
    status.warnings.extend(history_problem.as_ref().map(alerts::of_history));
    alerts::in_order(&mut status.warnings);
    status.log_problem = log_problem.clone();
    // Whoever looks after it was not asked: whether all is well there is not known.
    let is_in_care = if engine.is_some() { None } else { Some(false) };
    let protection = Protection::of(&status, log.as_ref(), is_in_care, &status.warnings);
    Ok(Inspection { protection, log, log_problem, watched, ..Inspection::of(&status, engine, Vec::new()) })
}
