//! What is left of a data file that is not there any more, or cannot be read: its archives, its log, and the command
//! that brings it back.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{
    data_file::lock::holder,
    history::{self, History, Watched, made},
    inspect::NewestArchive,
    settings_in_force::InForce,
};
use crate::{
    archive::{
        Archive,
        catalog::{self, ArchiveEntry},
        segments,
        trust::Trust,
    },
    backup::{
        self, marks,
        places::Purpose,
        soundness::{Damaged, Finding},
    },
    error::{Error, ErrorKind, ErrorReport, shell::quoted},
    journal::{
        inspect::{self, LogFacts},
        integrate::Until,
        place,
    },
    restore::{self, Choice, Logs, Made, Origin, in_place::is_lost, lost_past::LostPast},
    settings::{Settings, SettingsFile, copies},
    sqlite::data_file,
    storage::{
        self,
        processes::{self, Process},
    },
};

/// What is advised where a data file is empty that held something.
pub const EMPTIED: &str = "It was emptied: it held a database before. Do not start the application until it is \
                           restored, because it may begin a new one there.";

/// What there is to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lost {
    /// The path that it had.
    pub data_file: PathBuf,
    /// Why it cannot be used.
    pub problem: ErrorReport,
    /// Whether the data file itself can be read, so that this is about its settings alone.
    #[serde(default)]
    pub is_of_settings: bool,
    /// The process that looks after it all the same, if one does.
    pub engine: Option<Process>,
    /// Who looked after it last, and until when, if that is noted.
    pub watched: Option<Watched>,
    /// The folder for its archives.
    pub destination: PathBuf,
    /// Why that cannot be read.
    pub archives_problem: Option<ErrorReport>,
    /// How many archives were found.
    pub archives: usize,
    /// The newest of them.
    pub last_backup: Option<NewestArchive>,
    /// The archive that was made last, by the Backup journal, where it was not found.
    pub last_made: Option<PathBuf>,
    /// The log.
    pub log_file: Option<PathBuf>,
    /// What is in it; whether that is all, nobody can tell without the data file.
    pub log: Option<LogFacts>,
    /// Why it cannot be read.
    pub log_problem: Option<ErrorReport>,
    /// The archive that a restore of the data file takes, when one leads to it.
    pub restores: Option<PathBuf>,
    /// Why none does.
    pub restore_problem: Option<ErrorReport>,
}

impl Lost {
    /// Looks at what protects the data file that was at `path`; `own` is the program's settings folder, `data` the one
    /// for its data.
    pub fn look(path: &Path, own: &Path, data: &Path, problem: &Error) -> Self {
        let path = storage::real_path(path);
        let settings =
            InForce::for_reading(&path, own, data).map(|found| found.0.settings().clone()).unwrap_or_default();
        let (mut archives, archives_problem) = backup::archives_there(&path, &settings);
        let journal = History::glance(data);
        let made: Vec<Made> = journal.as_ref().map_or_else(Vec::new, |journal| made(journal, &path));
        let newest = made.first().cloned();
        let made: Vec<PathBuf> = made.into_iter().map(|made| made.archive).collect();
        // Where the settings are gone too, the Backup journal knows the folders.
        for folder in storage::folders_of(&made) {
            archives.extend(catalog::list(&folder, Some(&catalog::stem(&path))).unwrap_or_default());
        }
        archives.sort_by(|a, b| (b.number, &b.path).cmp(&(a.number, &a.path)));
        archives.dedup_by(|a, b| a.path == b.path);
        // Whose settings are gone is known by the archives that were made of it.
        let id = settings.data_file_id.or_else(|| restore::made_of_it(&archives, &made));
        copies::mark(&path, &Settings { data_file_id: id, ..settings.clone() }, &mut archives);
        archives.retain(|archive| id.is_none() || archive.data_file_id.is_none() || archive.is_of(id));
        let findings = history::judge(&mut archives, data);
        let is_listed = |path: &PathBuf| archives.iter().any(|archive: &ArchiveEntry| archive.files.contains(path));
        let (damaged, last_made) = (damaged_archives(data), made.first().filter(|last| !is_listed(last)).cloned());
        let origin = Origin { settings_dir: Some(own.to_path_buf()), damaged, made, ..Origin::of(&path) };
        let chosen = restore::choose(&path, &origin, Until::End, &Logs::Found, newest.as_ref());
        let (restores, found, restore_problem) = match chosen {
            Ok(Choice { archive, logs: Logs::Also(logs), .. }) => (Some(archive), logs, None),
            Ok(Choice { archive, .. }) => (Some(archive), Vec::new(), None),
            Err(error) => (None, Vec::new(), Some(missing_archives(&path, own, error).report())),
        };
        // Settings that are gone name none: then it is the one that a restore goes on with.
        let log_file =
            settings.log.file.clone().or_else(|| found.into_iter().rfind(|log| !catalog::is_archived_log(log)));
        let alone = |log: &Path| place::refuse_foreign(log, id).and_then(|()| inspect::alone(log));
        let (log, log_problem) = match log_file.as_deref().map(alone) {
            Some(Ok(log)) => (Some(log), None),
            Some(Err(error)) => (None, Some(error.report())),
            None => (None, None),
        };
        Self {
            engine: holder(&path, own).map(|holder| processes::named(holder.process)),
            watched: journal.as_ref().and_then(|journal| journal.watched(&path)),
            destination: backup::destination_by(&path, &settings),
            archives_problem: archives_problem.map(|error| error.report()),
            archives: archives.len(),
            last_backup: archives.first().map(|newest| NewestArchive::of(newest, &findings)),
            last_made,
            problem: problem.report(),
            is_of_settings: !is_lost(problem.kind()) && data_file::identify(&path).is_ok(),
            data_file: path,
            log_file,
            log,
            log_problem,
            restores,
            restore_problem,
        }
    }

    /// Whether a data file that fails so is still told of by what protects it. One that is locked for a while is not
    /// lost, but what protects it is there to be seen.
    pub fn is_asked_for(kind: ErrorKind) -> bool {
        use ErrorKind as K;
        let is_hindered =
            |kind| matches!(kind, K::Busy | K::Io | K::Permission | K::Sqlite | K::Replaced | K::Settings);
        is_lost(kind) || is_hindered(kind)
    }

    /// Whether an archive holds content of a data file of just this name: then one that is empty was emptied.
    pub fn held_content(&self) -> bool {
        let archive = self.restores.as_ref().or(self.last_backup.as_ref().map(|last| &last.path));
        let identity = archive.and_then(|archive| Archive::glance(archive).ok());
        identity.is_some_and(|identity| self.data_file.file_name().is_some_and(|own| *own == *identity.data_file_name))
    }

    /// The command that brings the data file back, if any does; one that is only locked need not be brought back.
    pub fn command(&self) -> Option<String> {
        if !is_lost(self.problem.kind) {
            return None;
        }
        let other = self.last_backup.as_ref().filter(|last| last.problem.is_none()).map(|last| &last.path);
        let from = self.restores.as_ref().map(|_| &self.data_file).or(other)?;
        Some(format!("strongroom restore {} --in-place {}", quoted(from), quoted(&self.data_file)))
    }
}

/// The archives of a data file that cannot be opened, at a glance.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// The folder that they lie in, if it is there.
    pub(super) folder: Option<PathBuf>,
    /// The newest of them that is its own, can be read, and was not found damaged beyond repair.
    pub(super) newest: Option<PathBuf>,
    /// Its own that were found so, the newest first.
    pub(super) damaged: Vec<PathBuf>,
}

impl Left {
    /// Looks for them; `None` where their folder is not there.
    pub(super) fn look(data_file: &Path, own: &Path, data: &Path) -> Option<Self> {
        let path = std::path::absolute(data_file).ok()?;
        let file = InForce::for_reading(&path, own, data).ok().map(|found| found.0);
        let trust = file.as_ref().map_or_else(Trust::default, SettingsFile::trust);
        let settings = file.map(|file| file.settings().clone()).unwrap_or_default();
        let (folder, id) = (backup::destination_by(&path, &settings), settings.data_file_id);
        let mut archives = backup::archives(&path, &settings).unwrap_or_default();
        // One whose very beginning is damaged does not say whose it is.
        archives.retain(|archive| id.is_none() || archive.data_file_id.is_none() || archive.is_of(id));
        let known = if archives.is_empty() { Vec::new() } else { damaged_archives(data) };
        let (damaged, sound): (Vec<ArchiveEntry>, Vec<ArchiveEntry>) =
            archives.into_iter().partition(|archive| archive.files.iter().any(|file| known.contains(file)));
        let is_own = |archive: &ArchiveEntry| archive.problem.is_none() && (id.is_none() || archive.is_of(id));
        let own: Vec<ArchiveEntry> = sound.into_iter().filter(is_own).collect();
        let signed = own.iter().find(|archive| trust.covers(archive));
        let newest = signed.or(own.first()).map(|archive| archive.path.clone());
        let damaged = damaged.into_iter().map(|archive| archive.path).collect();
        folder.is_dir().then_some(Self { folder: Some(folder), newest, damaged })
    }
}

/// Why no archive of the data file was found, where that is `error`: the disk for them may be away.
pub fn missing_archives(data_file: &Path, own: &Path, error: Error) -> Error {
    let settings = SettingsFile::load(data_file, own).map(|file| file.settings().clone()).unwrap_or_default();
    match marks::look(data_file, &settings, Purpose::Archives) {
        Err(missing) if error.kind() == ErrorKind::NotFound && missing.kind() == ErrorKind::PlaceMissing => Error::new(
            ErrorKind::PlaceMissing,
            format!("{}; {}", missing.message(), error.message()),
        )
        .hint(
            "Connect and mount its disk, or put the folder back, then restore again. Or give the archive itself, if \
                 it lies elsewhere.",
        ),
        _ => error,
    }
}

/// Archives that are known to be damaged beyond repair, as the Backup journal in the program's folder `data` has it.
pub fn damaged_archives(data: &Path) -> Vec<PathBuf> {
    let findings = History::glance(data).and_then(|journal| journal.findings().ok()).unwrap_or_default();
    let is_lost = |finding: &Finding| finding.what == Damaged::Bytes && !finding.is_repairable;
    // What was written since was not looked at: a sound copy may have been put there.
    let is_as_found = |finding: &Finding| {
        let files = segments::beside(&finding.archive);
        !files.iter().any(|file| storage::identity::changed_since(file, finding.moment.into()))
    };
    findings.into_iter().filter(is_lost).filter(is_as_found).map(|finding| finding.archive).collect()
}

/// The archives that full backups of the data file made, newest first, as the Backup journal in the program's folder
/// `data` has it.
pub fn made_archives(data: &Path, data_file: &Path) -> Vec<PathBuf> {
    let made = History::glance(data).map_or_else(Vec::new, |journal| made(&journal, data_file));
    made.into_iter().map(|made| made.archive).collect()
}

/// What the log of the data file held and lost, as the Backup journal in the program's folder `data` has it.
pub fn lost_pasts(data: &Path, data_file: &Path) -> Vec<LostPast> {
    History::glance(data).map_or_else(Vec::new, |journal| journal.lost_pasts(data_file))
}

/// The last full backup of the data file that was made, as the Backup journal in the program's folder `data` has it.
pub fn last_made(data: &Path, data_file: &Path) -> Option<Made> {
    History::glance(data).and_then(|journal| made(&journal, data_file).into_iter().next())
}
