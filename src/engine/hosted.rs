//! One data file that the engine looks after: its lock, its settings, the client that edits the sample.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command as Process, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Local, TimeDelta, Utc};
use uuid::Uuid;

use super::{
    Config,
    command::JobId,
    damaged::{self, Opening},
    data_files::LogStart,
    history,
    lock::DataFileLock,
    log_slot::LogSlot,
    mark::Mark,
    mistaken::refuse_own_file,
    proof::Proving,
    rights,
    settings_gone::{self, Gone},
    status::{DataFileId, DataFileStatus, Host, Maintenance, SampleClientStatus, Shared},
};
use crate::{
    archive::{
        Archive, ItemKind,
        catalog::{self, ArchiveEntry},
        leftovers,
    },
    backup::{
        self, BackupPlan, marks,
        places::{self, Place, Purpose},
        retention::{self, BackupSet},
    },
    control::Control,
    error::{Error, ErrorKind, ErrorReport, Result, shell::quoted},
    journal::{Capture, CaptureConfig, Lacking, LastArchive, Position, place, reader::LogReader},
    sample,
    schedule::automatic::{Automatic, Reason},
    settings::{
        self, Settings, SettingsFile,
        copies::{self, Sharing},
    },
    sqlite::{
        alias,
        data_file::{self, DataFileFacts},
        named, snapshot,
    },
    storage::{
        self,
        disks::System,
        processes::{self, Holders},
        scratch, space,
    },
    warning::Warning,
};

/// How long opening a log waits for a data file that is locked.
const LOCK_WAIT: Duration = Duration::from_secs(3);
/// The schedule of a data file is asked again after so long, whatever it said: clocks are set.
const ASK_AGAIN: TimeDelta = TimeDelta::seconds(30);
/// A data file that grew or shrank by a tenth is looked at as a whole again, at most so often.
const SURVEY_AGAIN: Duration = Duration::from_secs(10);
/// Whoever waits does so for longer.
const MOMENT: Duration = Duration::from_millis(300);
/// How often a log that could not be opened is tried again.
const LOG_RETRY: Duration = Duration::from_secs(3);

/// What only the engine holds of a data file; what everybody may see is its status.
pub(super) struct Hosted {
    pub(super) path: PathBuf,
    /// Other names that it was opened by: links, which can be moved to another file.
    pub(super) names: Vec<PathBuf>,
    pub(super) settings: SettingsFile,
    client: Option<Child>,
    /// Why SQLite can not open the data file any more, since it was looked at last.
    pub(super) lost: Option<ErrorReport>,
    /// What is known of its automatic backups, once its archives are.
    pub(super) automatic: Option<Automatic>,
    /// When it was last asked what to do, and until when there is nothing.
    pub(super) asked: Option<(DateTime<Utc>, Option<DateTime<Utc>>)>,
    /// What is to be proven of it.
    pub(super) proving: Proving,
    /// The one that runs.
    pub(super) automatic_job: Option<(JobId, Reason)>,
    /// The log, while it runs; shared with the backup that cuts it.
    pub(super) log: Option<Arc<Capture>>,
    /// The same for jobs that wait while it is being opened.
    pub(super) log_slot: Arc<LogSlot>,
    /// When it was opened last.
    pub(super) log_opened: Option<Instant>,
    /// Why the log was released, until it is open again.
    pub(super) log_released: Option<ErrorReport>,
    /// The log that is being opened.
    pub(super) log_opening: Option<PathBuf>,
    /// What the data file lacked when the log was opened, once that was seen.
    pub(super) lacking: Option<Lacking>,
    /// Which attempt to open the log counts: the answer to an older one is dropped.
    pub(super) log_attempt: u64,
    /// When the last attempt failed.
    pub(super) log_failed: Option<Instant>,
    /// Since when its folders are being looked at, whether they are those that were used.
    pub(super) folders_asked: Option<Instant>,
    /// Whether the disk of the folder for archives was read-only when it was looked at last.
    pub(super) is_read_only: bool,
    /// Why the folder for archives, or of the log, could not be chosen anew.
    pub(super) choice_failed: Option<(Purpose, ErrorReport)>,
    /// Whether it is to be looked at as a whole, since its settings name another data file or identity.
    pub(super) is_to_be_surveyed: bool,
    /// What was done about settings that were written anew without what was noted in them, until it is said.
    pub(super) taken_over: Option<Warning>,
    /// When it was looked at as a whole, and its size then.
    pub(super) surveyed: Option<(Instant, u64)>,
    /// When a program was last seen waiting for it.
    pub(super) waited: Option<Instant>,
    /// The folders of its archives as they were then.
    pub(super) mark: Option<Arc<Mark>>,
    lock: DataFileLock,
}

/// A data file that was opened on a thread of its own.
pub(super) struct Opened {
    /// What was done about settings that were gone.
    pub(super) gone: Option<Warning>,
    pub(super) hosted: Hosted,
    pub(super) status: DataFileStatus,
}

/// What was read of the destination: the archives there and the plan of the next backup.
pub(super) struct Surveyed {
    pub(super) archives: Vec<ArchiveEntry>,
    pub(super) copies: Vec<ArchiveEntry>,
    /// What is to be compared to know whether all of this still holds.
    pub(super) mark: Arc<Mark>,
    /// Who has it open, where that was asked.
    pub(super) users: Option<Users>,
    pub(super) sets: Vec<BackupSet>,
    pub(super) plan: std::result::Result<BackupPlan, ErrorReport>,
    /// The settings as they were read for this.
    pub(super) settings: SettingsFile,
    /// What is to be said of the other data files that go by the same settings.
    pub(super) shared: Vec<Shared>,
    /// Why the folder for archives is not the one that was used.
    pub(super) destination_problem: Option<ErrorReport>,
    pub(super) archives_place: Place,
    pub(super) log_place: Option<Place>,
    /// Free space on the disk of the data file.
    pub(super) beside_bytes: Option<u64>,
    /// What the data file is now: programs change its page size or its journal mode.
    pub(super) facts: std::result::Result<DataFileFacts, ErrorReport>,
}

/// Identifies `path`, takes its lock, reads its settings, and cleans up what interrupted backups left; `may_restore`
/// says whether one that is damaged may be restored by itself.
pub(super) fn open(path: &Path, config: &Config, may_restore: bool) -> Result<Opening> {
    let own = &config.settings_dir;
    refuse_own_file(path)?;
    rights::require(path, config.as_root)?;
    let facts = match data_file::identify(path) {
        Err(error) if may_restore => return damaged::of_lost(path, error, config),
        looked => looked?,
    };
    let lock = DataFileLock::take(&facts.path, config)?;
    let mut settings = SettingsFile::load(&facts.path, own)?;
    let mut gone = None;
    if let Some(known) = Gone::look(&facts.path, &settings, &config.data_dir) {
        gone = Some(known.put_back(own)?);
        settings = SettingsFile::load(&facts.path, own)?;
    }
    let mut damage = None;
    if may_restore && let Some(why) = damaged::look(&facts.path, settings.settings(), config) {
        match damaged::refuse_held(&facts.path, why) {
            Ok(why) => return Ok(Opening::Damaged { path: facts.path, why: why.report() }),
            Err(error) => damage = Some(error.report()),
        }
    }
    let destination = backup::destination(&facts.path, &settings);
    // A folder that can not be read now is reported by the survey.
    let is_there = marks::look(&facts.path, settings.settings(), Purpose::Archives).is_ok();
    let mut places = vec![storage::folder_of(&facts.path).to_path_buf()];
    if is_there {
        let _ = leftovers::remove_leftovers(&destination, &catalog::stem(&facts.path));
        places.push(destination.clone());
    }
    storage::clean_up(move || places.iter().for_each(|place| scratch::remove_leftovers(place)));
    let host = Host { kind: config.host, process: std::process::id() };
    let damage_since = damage.as_ref().map(|_| config.clock.local());
    let status = DataFileStatus { damage, damage_since, ..status_of(facts, &settings, host) };
    let (path, asked) = (status.facts.path.clone(), path.to_path_buf());
    Ok(Opening::Opened(Box::new(Opened {
        gone,
        hosted: Hosted {
            names: Some(asked).filter(|asked| *asked != path).into_iter().collect(),
            path,
            settings,
            client: None,
            lost: None,
            automatic: None,
            asked: None,
            proving: Proving::default(),
            automatic_job: None,
            log: None,
            log_slot: Arc::default(),
            log_released: None,
            log_opened: None,
            lacking: None,
            log_attempt: 0,
            log_failed: None,
            log_opening: None,
            folders_asked: None,
            is_read_only: false,
            choice_failed: None,
            is_to_be_surveyed: false,
            taken_over: None,
            surveyed: None,
            mark: None,
            waited: None,
            lock,
        },
        status,
    })))
}

/// What is known of a data file before its archives were looked at.
pub(super) fn status_of(facts: DataFileFacts, settings: &SettingsFile, host: Host) -> DataFileStatus {
    let is_sample = sample::is_sample(&facts);
    DataFileStatus {
        id: DataFileId::new(settings.settings().data_file_id, &facts.path),
        host,
        engine_started: None,
        lost_since: None,
        problem: None,
        settings: settings.settings().clone(),
        settings_file: settings.path().to_path_buf(),
        settings_unknown: settings.unknown().to_vec(),
        settings_problem: None,
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
        warnings: Vec::new(),
        notices: Vec::new(),
        damage: None,
        damage_since: None,
        in_place: Vec::new(),
        maintenance: Maintenance::default(),
        archives_place: None,
        log_place: None,
        destination_problem: None,
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
        moved_name: None,
        waiting: Vec::new(),
        is_sample,
        sample_client: None,
        facts,
    }
}

/// The folder with the archives of a data file that can not be opened, if there is one; and the newest that is sound at
/// a glance.
pub(super) fn archives_of_lost(data_file: &Path, own: &Path) -> Option<(PathBuf, Option<PathBuf>)> {
    let path = std::path::absolute(data_file).ok()?;
    let settings = SettingsFile::load(&path, own).map(|file| file.settings().clone()).unwrap_or_default();
    let folder = backup::destination_by(&path, &settings);
    let id = settings.data_file_id;
    let is_own = |archive: &ArchiveEntry| archive.problem.is_none() && (id.is_none() || archive.is_of(id));
    let newest = backup::archives(&path, &settings).unwrap_or_default().into_iter().find(is_own);
    folder.is_dir().then(|| (folder, newest.map(|archive| archive.path)))
}

/// Reads the destination and plans the next backup; `own` is the program's settings folder, `data` that of the Backup
/// journal. May take its time. A folder that an earlier version used is marked.
pub(super) fn survey(data_file: &Path, settings: &SettingsFile, own: &Path, data: &Path) -> Surveyed {
    let mut settings = settings.clone();
    // What can not be marked now is marked later.
    let _ = marks::adopt(data_file, &mut settings, own, Purpose::Archives);
    look_over(data_file, &settings, data)
}

/// The same, changing nothing.
pub(super) fn look_over(data_file: &Path, settings: &SettingsFile, data: &Path) -> Surveyed {
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
    let plan = match problem {
        None => backup::plan(data_file, settings, &folder, &archives).map_err(|e| e.report()),
        Some(error) => Err(error.report()),
    };
    let stem = catalog::stem(data_file);
    let mut copies: Vec<ArchiveEntry> =
        folders.iter().flat_map(|folder| catalog::copies(folder, Some(&stem)).unwrap_or_default()).collect();
    copies::mark(data_file, settings.settings().data_file_id, &mut copies);
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
    });
    // Of a copy that makes archives among those of this one.
    let copy =
        |other: Sharing| Shared { copy: other.data_file, of: data_file.to_path_buf(), is_equal: other.names_itself };
    let shared = match from {
        Some(from) => vec![from],
        None => copies::mark(data_file, settings.data_file_id, &mut archives).into_iter().map(copy).collect(),
    };
    // Whatever becomes of the other one, deleted, renamed, or told apart, is seen there.
    let others = shared.iter().map(|s| if s.copy == data_file { &s.of } else { &s.copy });
    mark.add(others.flat_map(|other| [storage::folder_of(other).to_path_buf(), settings::path_beside(other)]));
    Surveyed {
        shared,
        sets: retention::sets(data_file, settings, &archives),
        archives_place: look(Purpose::Archives),
        log_place: settings.log.file.as_ref().map(|_| look(Purpose::Log)),
        beside_bytes: space::disk_space(storage::folder_of(data_file)).ok().map(|space| space.available),
        settings: file.clone(),
        mark: Arc::new(mark),
        users: None,
        copies,
        destination_problem,
        archives,
        plan,
        facts,
    }
}

/// What other programs do with a data file.
pub(super) struct Users {
    /// Which have it open.
    pub(super) holders: Holders,
    /// Which of them are in a read transaction that needs the WAL.
    pub(super) readers: Vec<processes::Process>,
    /// Which go on with a data file of this name that was deleted or replaced.
    pub(super) strays: Vec<processes::Process>,
    /// Whether they use it by another name, whose WAL is not the one looked at.
    pub(super) other_name: Option<ErrorReport>,
}

/// Who else has each of the data files open, and who of them needs the WAL for a read transaction.
pub(super) fn look_at_processes(data_files: &[PathBuf]) -> Vec<Users> {
    let groups: Vec<_> = data_files.iter().map(|path| vec![path.clone(), snapshot::wal_path(path)]).collect();
    let deleted = data_files.iter().map(|path| vec![processes::deleted_name(path)]);
    let groups: Vec<_> = groups.into_iter().chain(deleted).collect();
    let indexes: Vec<_> = data_files.iter().map(|path| snapshot::shm_path(path)).collect();
    let readers = processes::lockers_of_each(&indexes, snapshot::READ_LOCKS);
    let mut holders = processes::holders_of_each(&groups);
    let strays = holders.split_off(data_files.len());
    let users = holders.into_iter().zip(readers).zip(strays).zip(data_files);
    users
        .map(|(((holders, readers), strays), path)| {
            let other_name = alias::refuse_other_names(path).err().map(|error| error.report());
            let mut strays = strays.processes;
            let apart = named::apart(path);
            strays.extend(apart.into_iter().filter(|process| !strays.contains(process)).collect::<Vec<_>>());
            Users { holders, readers, strays, other_name }
        })
        .collect()
}

/// Who waits to have one of the data files for itself. What a program does for a moment while it begins is no wait.
pub(super) fn look_who_waits(data_files: &[PathBuf]) -> Vec<(PathBuf, Vec<processes::Process>)> {
    let files: Vec<_> = data_files.iter().map(|path| (path.clone(), snapshot::shm_path(path))).collect();
    let mut found = processes::waiting_for_all(&files);
    if found.iter().any(|waiting| !waiting.is_empty()) {
        std::thread::sleep(MOMENT);
        for (waiting, now) in found.iter_mut().zip(processes::waiting_for_all(&files)) {
            waiting.retain(|process| now.contains(process));
        }
    }
    data_files.iter().cloned().zip(found).collect()
}

/// Opens the log of `data_file`, as its settings say; may take its time.
///
/// `waker` is called when its protection changes.
pub(super) fn open_log(
    data_file: &Path,
    settings: &SettingsFile,
    own: &Path,
    (log, start, released): (&Path, LogStart, Option<ErrorReport>),
    waker: impl Fn() + Send + Sync + 'static,
) -> Result<Capture> {
    if start == (LogStart::Chosen { switch_to_wal: true }) {
        data_file::switch_to_wal(data_file)?;
    }
    let mut settings = settings.clone();
    // Its log would be that of the other, and hold the commits of both.
    if let Some(from) = settings.copied_from() {
        return Err(copies::shared(data_file, from));
    }
    place::refuse_other_file(log, data_file)?;
    let identity = settings.settings().data_file_id.unwrap_or_else(Uuid::new_v4);
    settings.note(own, |s| s.data_file_id = Some(identity))?;
    places::refuse_network_log(System::now().as_ref(), log, settings.settings())?;
    marks::look(data_file, settings.settings(), Purpose::Log)?;
    let newest = newest_with_log(data_file, &settings, log)?;
    marks::require_log(data_file, settings.settings(), newest.is_some())?;
    // One that could not be begun when it was chosen is begun now: beside the data file, no disk can be missing that it
    // has not.
    let folder = storage::folder_of(log);
    let is_new = newest.is_none() && !folder.exists() && folder.parent() == data_file.parent();
    if start != LogStart::Known || is_new {
        // Of one in use a folder that was never marked is made by nobody: that would hide that its disk is not mounted.
        marks::prepare(data_file, &mut settings, own, Purpose::Log)?;
    }
    let mut config = CaptureConfig::new(data_file, log, identity);
    // One that was only named in the settings was never there.
    let was_begun = settings.settings().log_begun.as_deref() == Some(log) || newest.is_some();
    config.is_expected = start == LogStart::Known && was_begun;
    config.released = released;
    config.waker = Some(Arc::new(waker));
    config.last_archive = newest.and_then(|archive| {
        let identity = Archive::glance(&archive.path).ok()?;
        Some(LastArchive {
            position: identity.log_position?,
            moment: identity.moment.to_utc(),
            page_size: identity.page_size,
            page_count: identity.page_count,
            previous_log: backup::archived_log(log, data_file, archive.number),
        })
    });
    let (path, mut file) = (data_file.to_path_buf(), settings.clone());
    config.read_base = Some(Arc::new(move |position: &Position, sink: &mut dyn FnMut(&[u8]) -> Result<()>| {
        read_archive_at(&path, settings.settings(), position, sink)
    }));
    let asked = Instant::now();
    loop {
        match Capture::start(config.clone()) {
            // Whoever closes the data file last has it for itself for a moment.
            Err(e) if e.kind() == ErrorKind::Busy && asked.elapsed() < LOCK_WAIT => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(capture) => {
                // One that an earlier version used is marked, now that its log was found.
                let _ = marks::adopt(data_file, &mut file, own, Purpose::Log);
                // Where it can not be noted, one that goes missing before the first backup is not told from a new one.
                if file.settings().log_begun.as_deref() != Some(log) {
                    let _ = file.note(own, |s| s.log_begun = Some(log.to_path_buf()));
                }
                return Ok(capture);
            }
            Err(error) => return Err(error),
        }
    }
}

/// The newest archive that was cut from the log, with which the log is compared.
fn newest_with_log(data_file: &Path, settings: &SettingsFile, log: &Path) -> Result<Option<ArchiveEntry>> {
    let (archives, problem) = backup::archives_there(data_file, settings.settings());
    if let Some(error) = problem {
        // A log that is there goes on also while the archives are not: what they are is known when they are back.
        return if log.is_file() { Ok(None) } else { Err(error) };
    }
    let id = settings.settings().data_file_id;
    let newest = archives.into_iter().find(|a| a.is_of(id) && a.log_position.is_some());
    // Of disks that take turns another one may hold the archive that the log goes on from.
    let goes_on_from = || LogReader::open(log).ok().map(|log| log.header().base.archive);
    let is_elsewhere = |newest: &ArchiveEntry| {
        marks::take_turns(data_file, settings.settings()) && goes_on_from().is_some_and(|base| base > newest.number.0)
    };
    Ok(newest.filter(|newest| !is_elsewhere(newest)))
}

/// The data file as the archive cut at `position` holds it.
fn read_archive_at(
    data_file: &Path,
    settings: &Settings,
    position: &Position,
    sink: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let known = backup::archives(data_file, settings)?;
    let missing = || {
        let folder = backup::destination_by(data_file, settings);
        Error::new(ErrorKind::NotFound, format!("the archive that the log follows is not in {}", folder.display()))
            .hint("Make a full backup, so that the log has an archive to follow.")
    };
    let entry = known.iter().find(|a| a.log_position.as_ref() == Some(position)).ok_or_else(missing)?;
    let archive = Archive::open(&entry.path)?;
    let item = archive.items().iter().find(|i| i.kind == ItemKind::DataFile).ok_or_else(missing)?;
    archive.stream(item.offset, item.offset + item.length, &Control::default(), &mut |_, bytes| sink(bytes))
}

impl Hosted {
    /// Looks again at size and times, at the settings file and at the client. Returns whether the settings changed.
    pub(super) fn look(&mut self, status: &mut DataFileStatus, own: &Path) -> bool {
        match data_file::measure(&self.path) {
            Ok((size, wal, modified)) => {
                (status.facts.size_bytes, status.facts.wal_bytes, status.facts.modified) = (size, wal, modified);
                status.problem = self.lost.clone();
                status.moved_name = self.names.iter().find_map(|name| moved(name, &self.path)).map(|e| e.report());
            }
            // What leads to a file that is gone leads nowhere for that reason.
            Err(error) => (status.problem, status.moved_name) = (Some(error.report()), None),
        }
        self.look_at_client(status);
        status.log = self.log.as_ref().map(|log| log.status());
        let Some(seen) = self.settings.news() else { return false };
        match SettingsFile::load(&self.path, own) {
            // Nobody who deletes a file means to end the log, the schedule and the care for old archives, all without a
            // word.
            Ok(settings) if settings.is_blank() && !self.settings.is_blank() => {
                self.settings.pass_over(seen);
                // Where the data file is gone as well, its disk is: nothing is written to what is there instead.
                if status.problem.is_none() {
                    status.settings_problem = Some(self.put_settings_back());
                }
                false
            }
            Ok(settings) if settings.lack_notes() && self.settings.settings().data_file_id.is_some() => {
                self.settings.pass_over(seen);
                self.take_over(&settings, status, own)
            }
            Ok(mut settings) => {
                status.settings_problem = None;
                self.keep_known(&mut settings, own);
                let (now, before) = (settings.settings(), self.settings.settings());
                let is_other = now.data_file_id != before.data_file_id || !settings.is_of_same(&self.settings);
                self.is_to_be_surveyed |= is_other;
                let changed = now.revision() != before.revision() || now.places != before.places;
                self.adopt(settings, status);
                changed
            }
            Err(error) => {
                // It is looked at again only when it is written again.
                self.settings.pass_over(seen);
                status.settings_problem = Some(error.report());
                false
            }
        }
    }

    /// Puts settings in force that somebody wrote anew, with what was noted in them before. Returns whether they
    /// changed.
    fn take_over(&mut self, written: &SettingsFile, status: &mut DataFileStatus, own: &Path) -> bool {
        let before = self.settings.settings().clone();
        let saved = written.with_notes_of(&self.settings.text()).and_then(|mut with| {
            let mut wanted = with.settings().clone();
            backup::keep_known(&before, &mut wanted, &self.path);
            with.change(own, |settings| *settings = wanted)?;
            Ok(with)
        });
        match saved {
            Ok(with) => {
                status.settings_problem = None;
                let changed = with.settings().revision() != before.revision();
                self.adopt(with, status);
                self.taken_over = Some(settings_gone::taken_over(&self.path, None));
                changed
            }
            Err(error) => {
                status.settings_problem = Some(error.report());
                false
            }
        }
    }

    fn put_settings_back(&mut self) -> ErrorReport {
        let path = self.settings.path().display().to_string();
        match self.settings.put_back() {
            Ok(()) => Error::new(ErrorKind::Settings, format!("{path} was deleted or emptied, and was written again as it was"))
                .hint("The settings stay in force. To go back to the default of one, use strongroom settings DATAFILE --default KEY."),
            Err(error) => {
                Error::new(ErrorKind::Settings, format!("{path} was deleted or emptied, and can not be written again: {error}"))
                    .hint("The last settings stay in force until the program ends. Bring the file back.")
            }
        }
        .report()
    }

    /// Sees that no other engine can look after the data file too.
    ///
    /// # Errors
    /// `InUse` when one does.
    pub(super) fn keep_lock(&mut self, address: Option<&str>) -> Result<()> {
        match self.lock.keep(&self.path, address) {
            Err(error) if error.kind() == ErrorKind::InUse => Err(error),
            // Where its folder is away, the data file is too, and that is said.
            _ => Ok(()),
        }
    }

    /// Whether there is nothing to do by the schedule at `now`, as far as was seen when it was asked last: not long
    /// ago, and by a clock that was not set back since.
    pub(super) fn may_wait(&self, now: DateTime<Utc>) -> bool {
        self.asked
            .is_some_and(|(asked, next)| now >= asked && now - asked < ASK_AGAIN && next.is_none_or(|next| now < next))
    }

    /// Archives in the folder that somebody replaced by another in the file stay known.
    fn keep_known(&self, settings: &mut SettingsFile, own: &Path) {
        let mut wanted = settings.settings().clone();
        backup::keep_known(self.settings.settings(), &mut wanted, &self.path);
        // Where it can not be noted, only the list is shorter.
        let _ = settings.note(own, |s| s.destination.earlier = wanted.destination.earlier);
    }

    /// Whether the log, which could not be opened, is to be tried again: a disk may have come back, a program have
    /// ended.
    pub(super) fn is_log_due(&self, now: Instant) -> bool {
        self.log_failed.is_some_and(|at| now - at >= LOG_RETRY)
    }

    /// Whether what the last survey told of `size` is out of date: the space required, pages, tables.
    pub(super) fn has_outgrown(&self, size: u64, now: Instant) -> bool {
        self.surveyed.is_some_and(|(at, then)| now - at >= SURVEY_AGAIN && size.abs_diff(then) > then / 10)
    }

    /// Puts settings in force.
    pub(super) fn adopt(&mut self, settings: SettingsFile, status: &mut DataFileStatus) {
        (self.settings, self.asked) = (settings, None);
        status.destination = backup::destination(&self.path, &self.settings);
        status.destination_is_default = self.settings.settings().destination.folder.is_none();
        status.log_file = self.settings.settings().log.file.clone();
        status.settings = self.settings.settings().clone();
        status.settings_file = self.settings.path().to_path_buf();
        status.settings_unknown = self.settings.unknown().to_vec();
    }

    fn look_at_client(&mut self, status: &mut DataFileStatus) {
        if let Some(client) = &mut self.client
            && !matches!(client.try_wait(), Ok(None))
        {
            self.client = None;
            status.sample_client = None;
        }
    }

    /// Starts the client, which ends when its standard input closes: with us at the latest.
    pub(super) fn start_client(
        &mut self,
        program: Option<&Path>,
        now: DateTime<Local>,
        status: &mut DataFileStatus,
    ) -> Result<()> {
        self.look_at_client(status);
        if self.client.is_some() {
            return Ok(());
        }
        let program = program.ok_or_else(|| Error::new(ErrorKind::Refused, "the program's own path is not known"))?;
        let child = Process::new(program)
            .args(["sample-client", "--attached"])
            .arg(&self.path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| Error::io("start", program, e))?;
        status.sample_client = Some(SampleClientStatus { process: child.id(), since: now });
        self.client = Some(child);
        Ok(())
    }

    /// Ends the client after its present transaction.
    pub(super) fn stop_client(&mut self) {
        if let Some(client) = &mut self.client {
            drop(client.stdin.take());
        }
    }
}

/// What has become of a name that the data file at `path` was opened by, unless it still leads there.
fn moved(name: &Path, path: &Path) -> Option<Error> {
    let (shown, path) = match name.canonicalize() {
        Ok(now) if now == path => return None,
        Ok(now) => (format!("now leads to {}", now.display()), path.display()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => ("leads nowhere now".to_owned(), path.display()),
        Err(e) => (format!("can not be followed any more ({e})"), path.display()),
    };
    let hint = format!(
        "Lead it back to {path}; or, if the application uses another file from now on, have that one looked after (strongroom serve \
         {}) and close this one.",
        quoted(name)
    );
    Some(
        Error::new(
            ErrorKind::Changed,
            format!(
                "{}, the name that {path} was opened by, {shown}: what programs commit by that name is not seen",
                name.display()
            ),
        )
        .hint(hint),
    )
}

impl Drop for Hosted {
    fn drop(&mut self) {
        self.stop_client();
        if let Some(mut client) = self.client.take() {
            // Its present transaction takes milliseconds; waiting leaves no zombie.
            let _ = client.wait();
        }
    }
}
