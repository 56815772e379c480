//! The engine's own thread: takes messages one by one, keeps the status, starts threads for everything that takes time.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use uuid::Uuid;

use super::{
    Config,
    backup_job::BackupJob,
    command::{Command, JobId},
    damaged::Opening,
    data_files::LogStart,
    folders::FoldersSeen,
    handle::Shared,
    history::{History, JobKind, Looked},
    hosted::{Hosted, Surveyed, Users},
    in_care::{DataFile, InCare},
    job::{Order, RunningJob, Work},
    list::List,
    pool::Pool,
    query::{Answer, Query, Reply},
    status::{DataFileStatus, DataFiles, Event, Finding, FinishedJob, Host, JobReport, Refused, Status},
    work,
};
use crate::{
    archive::{ArchiveOptions, catalog::ArchiveEntry},
    backup::{self, Deleted, places::Purpose},
    drill::Proof,
    error::{Error, ErrorKind, ErrorReport, Result},
    journal::{Capture, integrate::Until},
    restore::{Logs, Origin, RestoreOptions},
    settings::SettingsFile,
    storage::processes::{Holders, Process},
    verify::VerifyOptions,
};

/// Progress is looked at this often while a job runs: as often as a window needs to be repainted.
const JOB_TICK: Duration = Duration::from_millis(250);
/// Sizes and times of data files are looked at this often.
const IDLE_TICK: Duration = Duration::from_secs(2);
/// Who has the data files open is looked at this often: it means looking at every process.
const PROCESSES_TICK: Duration = Duration::from_secs(10);
/// Data files looked at in one go: hundreds of them have their turn one after the other.
const LOOK_MAX: usize = 64;

/// What reaches the engine's thread.
pub(super) enum Message {
    Command(Command),
    Query(Query, Reply),
    Opened {
        asked: PathBuf,
        /// What it is called where it lies.
        real: Option<PathBuf>,
        /// Whether somebody asked for it.
        again: bool,
        result: std::result::Result<Opening, Refused>,
    },
    /// Who else has a data file open that lacks commits.
    Lacks {
        data_file: PathBuf,
        open: Holders,
    },
    /// Folders of archives are otherwise than at the last survey of these data files; and who waits for which.
    Watched {
        changed: Vec<PathBuf>,
        waiting: Vec<(PathBuf, Vec<Process>)>,
    },
    Surveyed {
        data_file: PathBuf,
        /// The question that is answered with it.
        asked: Option<Reply>,
        surveyed: std::result::Result<Box<Surveyed>, ErrorReport>,
    },
    LogOpened {
        data_file: PathBuf,
        attempt: u64,
        result: std::result::Result<Capture, ErrorReport>,
    },
    LogChanged {
        data_file: PathBuf,
    },
    ProcessesSeen(Vec<(Users, PathBuf)>),
    Ping(Sender<()>),
    FoldersSeen(FoldersSeen),
    ChosenAnew {
        data_file: PathBuf,
        purpose: Purpose,
        result: std::result::Result<Box<SettingsFile>, ErrorReport>,
    },
    /// An archive was restored for a test as part of another job.
    Proved(Proof),
    /// A job looked at an archive.
    Looked(Looked),
    /// An archive was held or released, or that could not be done.
    Held(Result<ArchiveEntry>),
    /// Old backups were deleted after one was proven.
    OldDeleted {
        data_file: PathBuf,
        job: JobId,
        deleted: Deleted,
    },
    Notified {
        data_file: PathBuf,
        result: Result<()>,
    },
    JobEnded {
        job: JobId,
        result: std::result::Result<JobReport, ErrorReport>,
    },
    Shutdown,
}

pub(super) struct Worker {
    pub(super) config: Config,
    pub(super) messages: Sender<Message>,
    pub(super) status: Arc<Status>,
    pub(super) hosted: HashMap<PathBuf, Hosted>,
    pub(super) jobs: HashMap<JobId, RunningJob>,
    pub(super) history: Option<History>,
    /// The service's own data files.
    pub(super) list: Option<List>,
    /// Those of them that are being opened again.
    pub(super) reopening: HashSet<PathBuf>,
    /// What paths are called where they lie, as far as they were opened.
    pub(super) real_names: HashMap<PathBuf, PathBuf>,
    pub(super) news: Vec<Event>,
    pub(super) changed: bool,
    /// For what the engine looks at by itself.
    pool: Pool,
    /// For what somebody asks: whoever asks much holds up nothing else.
    pub(super) questions: Pool,
    /// Answers that go out with the status that holds them.
    pub(super) answers: Vec<(Reply, Answer)>,
    /// How many programs run that are told of jobs.
    pub(super) notices: usize,
    /// Whether they should end soon.
    pub(super) hurry: Arc<AtomicBool>,
    /// Whether the engine ends as soon as its jobs have.
    pub(super) ending: bool,
    /// Damaged data files that are being restored by themselves: how they were named, and what is wrong with them.
    pub(super) restoring: HashMap<PathBuf, (PathBuf, ErrorReport)>,
    /// Those for which that was tried; with the reason when it could not be done.
    pub(super) tried: HashMap<PathBuf, Option<ErrorReport>>,
    /// Windows and terminals before which somebody sits who can answer questions of jobs.
    pub(super) attendants: HashSet<Uuid>,
    /// Everything that is known of damaged archives.
    pub(super) findings: Vec<Finding>,
    /// What was last taken up of what others write to the Backup journal.
    pub(super) history_version: Option<i64>,
    /// Whether places are being looked at for changes.
    pub(super) watching: bool,
    /// Data files of which something changed that may be worth a warning.
    pub(super) touched: HashSet<PathBuf>,
    /// The jobs that undo a restore in place, and which.
    pub(super) undoing: HashMap<JobId, JobId>,
    /// When it was last noted that data files are watched.
    pub(super) noted_watching: Option<Instant>,
    looked: Instant,
    /// Which data file is looked at next.
    look_next: usize,
    looked_at_processes: Option<Instant>,
}

impl Worker {
    pub(super) fn new(config: Config, messages: Sender<Message>) -> Self {
        let (history, history_problem) = match History::open(&config.data_dir) {
            Ok((history, problem)) => (Some(history), problem.map(|e| e.report())),
            Err(error) => (None, Some(error.report())),
        };
        let (list, list_problem) = match config.list.as_deref().map(|own| List::read(own, config.given_list.as_deref()))
        {
            Some(Ok(list)) => (Some(list), None),
            Some(Err(error)) => (None, Some(error.report())),
            None => (None, None),
        };
        let host = Host { kind: config.host, process: std::process::id() };
        let status = Status {
            program: backup::PROGRAM.to_owned(),
            host,
            engines: vec![host],
            started: config.clock.local(),
            data_files: DataFiles::default(),
            opening: Vec::new(),
            refused: Vec::new(),
            jobs: Vec::new(),
            finished: Arc::default(),
            history: Arc::default(),
            history_problem,
            list_problem,
            recent: Vec::new(),
            proven: Arc::default(),
        };
        let mut worker = Self {
            config,
            pool: Pool::default(),
            questions: Pool::default(),
            answers: Vec::new(),
            messages,
            status: Arc::new(status),
            hosted: HashMap::new(),
            jobs: HashMap::new(),
            history,
            list,
            reopening: HashSet::new(),
            real_names: HashMap::new(),
            news: Vec::new(),
            changed: false,
            notices: 0,
            hurry: Arc::default(),
            ending: false,
            restoring: HashMap::new(),
            tried: HashMap::new(),
            attendants: HashSet::new(),
            findings: Vec::new(),
            history_version: None,
            watching: false,
            touched: HashSet::new(),
            undoing: HashMap::new(),
            noted_watching: None,
            looked: Instant::now(),
            look_next: 0,
            looked_at_processes: None,
        };
        worker.read_history();
        worker.remove_leftovers();
        worker.open_listed();
        worker
    }

    pub(super) fn status(&self) -> &Status {
        &self.status
    }

    pub(super) fn edit(&mut self) -> &mut Status {
        self.changed = true;
        Arc::make_mut(&mut self.status)
    }

    pub(super) fn run(mut self, inbox: &Receiver<Message>, shared: &Shared) {
        loop {
            let message = match self.wait() {
                Some(time) => inbox.recv_timeout(time),
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match message {
                Ok(Message::Shutdown) => {
                    self.ending = true;
                    self.hurry.store(true, Ordering::Relaxed);
                    self.jobs.values_mut().for_each(RunningJob::stop);
                }
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.tick();
            if std::mem::take(&mut self.changed) {
                shared.publish(Arc::clone(&self.status));
            }
            for event in std::mem::take(&mut self.news) {
                shared.tell(&event);
            }
            std::mem::take(&mut self.answers).into_iter().for_each(|(reply, answer)| reply.tell(Ok(answer)));
            if self.ending && self.jobs.is_empty() && self.notices == 0 {
                self.note_watching(true);
                self.hosted.values().filter_map(|h| h.log.as_ref()).for_each(|log| log.ask_stop());
                return;
            }
        }
    }

    /// How long to wait for a message; for ever while there is nothing to look at.
    fn wait(&self) -> Option<Duration> {
        if !self.jobs.is_empty() {
            Some(JOB_TICK)
        } else if !self.hosted.is_empty() || self.list.is_some() {
            Some(IDLE_TICK)
        } else {
            None
        }
    }

    fn tick(&mut self) {
        let now = Instant::now();
        if !self.jobs.is_empty() {
            self.jobs.values_mut().for_each(|job| job.update(now));
            self.list_jobs();
        }
        if !self.ending {
            self.run_schedule();
            self.run_proofs();
        }
        self.note_watching(false);
        if now - self.looked >= IDLE_TICK {
            self.looked = now;
            self.look();
            self.follow_history();
            if self.looked_at_processes.is_none_or(|at| now - at >= PROCESSES_TICK) {
                self.looked_at_processes = Some(now);
                self.open_listed();
                self.look_at_processes(self.hosted.keys().cloned().collect());
            }
        }
        self.update_warnings();
    }

    pub(super) fn list_jobs(&mut self) {
        let mut jobs: Vec<_> = self.jobs.values().map(|j| j.status.clone()).collect();
        jobs.sort_by_key(|j| (j.started, j.id));
        if jobs != self.status.jobs {
            self.edit().jobs = jobs;
        }
    }

    fn look(&mut self) {
        let now = Instant::now();
        let due: Vec<_> = self.hosted.values().filter(|h| h.is_log_due(now)).map(|h| h.path.clone()).collect();
        due.iter().for_each(|path| self.follow_settings(path, LogStart::Known));
        self.open_all_released();
        self.keep_locks();
        let (mut changed, mut outgrown, mut marks, mut taken_over) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let all = self.status.data_files.iter().map(|d| d.facts.path.clone());
        let batch: Vec<_> = all.cycle().skip(self.look_next).take(LOOK_MAX.min(self.status.data_files.len())).collect();
        self.look_next = (self.look_next + batch.len()) % self.status.data_files.len().max(1);
        for path in batch {
            let Some(before) = self.status.data_file(&path).cloned() else { continue };
            let mut after = before.clone();
            let Some(hosted) = self.hosted.get_mut(&path) else { continue };
            if hosted.look(&mut after, &self.config.settings_dir) {
                changed.push(path.clone());
            } else if std::mem::take(&mut hosted.is_to_be_surveyed) || hosted.has_outgrown(after.facts.size_bytes, now)
            {
                outgrown.push(path.clone());
            }
            taken_over.extend(hosted.taken_over.take().map(|warning| (path.clone(), warning)));
            marks.extend(hosted.mark.clone().map(|mark| (path.clone(), mark)));
            // Time alone can make something worth a warning.
            self.touch(&path);
            if after != before {
                self.edit_data_file(&path).into_iter().for_each(|known| *known = after.clone());
            }
            self.look_at_folders(&path, now);
        }
        taken_over.into_iter().for_each(|(path, warning)| self.say(&path, warning));
        for path in &changed {
            self.follow_settings(path, LogStart::Chosen { switch_to_wal: false });
        }
        changed.iter().chain(&outgrown).for_each(|path| self.survey(path));
        self.watch_places(marks);
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Command(command) => {
                if let Err((job, error)) = self.obey(command) {
                    self.refuse(job, &error);
                }
            }
            Message::Query(query, reply) => self.answer(query, reply),
            Message::Opened { asked, real, again, result } => self.opened(&asked, (real, again), result),
            Message::Surveyed { data_file, asked, surveyed } => self.surveyed(&data_file, asked, surveyed),
            Message::Watched { changed, waiting } => {
                self.watching = false;
                changed.iter().for_each(|path| self.survey(path));
                self.note_waiting(waiting);
            }
            Message::LogOpened { data_file, attempt, result } => self.log_opened(&data_file, attempt, result),
            Message::LogChanged { data_file } => self.log_changed(&data_file),
            Message::Lacks { data_file, open } => self.integrate_lacking(&data_file, &open),
            Message::ProcessesSeen(seen) => self.processes_seen(seen),
            Message::FoldersSeen(seen) => self.folders_seen(seen),
            Message::ChosenAnew { data_file, purpose, result } => self.chosen_anew(&data_file, purpose, result),
            Message::Proved(proof) => self.proved(&proof),
            Message::Looked(looked) => self.looked(&looked),
            Message::Held(held) => self.was_held(held),
            Message::OldDeleted { data_file, job, deleted } => self.old_deleted(&data_file, job, &deleted),
            Message::Notified { data_file, result } => {
                self.notices = self.notices.saturating_sub(1);
                self.notified(&data_file, result);
            }
            Message::JobEnded { job, result } => self.job_ended(job, result),
            // Whoever asked may have given up.
            Message::Ping(answer) => _ = answer.try_send(()),
            Message::Shutdown => {}
        }
    }

    /// A command that makes no sense now. One that names a job is shown as a job that failed, so that its sender sees
    /// it.
    fn refuse(&mut self, job: Option<(JobId, JobKind)>, error: &Error) {
        if let Some((id, kind)) = job {
            let result = Err(error.report());
            let finished = FinishedJob { id, kind, data_file: None, automatic: false, duration_ms: 0, result };
            self.keep_finished(finished);
        }
        self.news.push(Event::CommandRefused(error.report()));
    }

    fn obey(&mut self, command: Command) -> std::result::Result<(), (Option<(JobId, JobKind)>, Error)> {
        let plain = |e| (None, e);
        match command {
            Command::OpenDataFile { path } => self.open(path),
            Command::CloseDataFile { path } => self.close(&path).map_err(plain)?,
            Command::HandOver { data_file, .. } => {
                let message = format!("{} can only be handed over by a window", data_file.display());
                return Err(plain(Error::new(ErrorKind::Refused, message).hint("Close it here, and open it there.")));
            }
            Command::Forget { path } => self.forget(&path).map_err(plain)?,
            Command::SetDestination { data_file, folder } => self.set_destination(&data_file, folder).map_err(plain)?,
            Command::ChangeSettings { data_file, settings, revision, switch_to_wal } => {
                self.change_settings(&data_file, settings, &revision, switch_to_wal).map_err(plain)?;
            }
            Command::GiveOwnIdentity { data_file } => self.give_own_identity(&data_file).map_err(plain)?,
            Command::ChooseAnew { data_file, purpose } => self.choose_anew(&data_file, purpose).map_err(plain)?,
            Command::Refresh { data_file } => self.survey(&data_file),
            Command::Backup { job, data_file, destination, options } => {
                self.backup(job, data_file, destination, options).map_err(|e| (Some((job, JobKind::Backup)), e))?;
            }
            Command::RetryNow { job, data_file } => {
                self.retry_now(job, &data_file).map_err(|e| (Some((job, JobKind::Backup)), e))?;
            }
            Command::Restore { job, archive, items, destination, logs, until, segments } => {
                let (data_file, in_care) = (self.data_file_of(&archive), self.in_care(&archive));
                let place = destination.clone();
                let options = RestoreOptions { items, destination, logs, until, segments, origin: Origin::default() };
                let work = work::restore(archive.clone(), options, in_care, self.messages.clone());
                let work = work::where_allowed(place, &self.config, work);
                let started = self.start(Order::asked(job, JobKind::Restore, data_file, Some(archive)), work);
                started.map_err(|e| (Some((job, JobKind::Restore)), e))?;
            }
            Command::RestoreInPlace { job, data_file, archive, logs, until, segments } => {
                let started = self.restore_in_place(job, data_file, (archive, segments), logs, until);
                started.map_err(|e| (Some((job, JobKind::RestoreInPlace)), e))?;
            }
            Command::UndoRestore { job, data_file, of } => {
                self.undo_restore(job, data_file, of).map_err(|e| (Some((job, JobKind::RestoreInPlace)), e))?;
            }
            Command::Verify { job, archive, segments, signed_by } => {
                let data_file = self.data_file_of(&archive);
                let options = VerifyOptions { segments, required: signed_by, ..VerifyOptions::default() };
                let own = self.config.settings_dir.clone();
                let work = work::verify(archive.clone(), options, own, self.messages.clone());
                let started = self.start(Order::asked(job, JobKind::Verify, data_file, Some(archive)), work);
                started.map_err(|e| (Some((job, JobKind::Verify)), e))?;
            }
            Command::Repair { job, archive, to, segments } => {
                let data_file = self.data_file_of(&archive);
                let place = to.clone().unwrap_or_else(|| archive.clone());
                let work = work::repair(archive.clone(), to, segments, self.messages.clone());
                let work = work::where_allowed(place, &self.config, work);
                let started = self.start(Order::asked(job, JobKind::Repair, data_file, Some(archive)), work);
                started.map_err(|e| (Some((job, JobKind::Repair)), e))?;
            }
            Command::TestRestore { job, archive, until, segments } => {
                let (data_file, in_care) = (self.data_file_of(&archive), Some(self.in_care(&archive)));
                let (scratch, messages) = (self.config.data_dir.clone(), self.messages.clone());
                let of = (archive.clone(), segments);
                let work = work::test_restore(of, until, Logs::Found, scratch, in_care, messages);
                let started = self.start(Order::asked(job, JobKind::TestRestore, data_file, Some(archive)), work);
                started.map_err(|e| (Some((job, JobKind::TestRestore)), e))?;
            }
            Command::Drill { job, data_file, seed } => {
                self.drill(job, data_file, seed).map_err(|e| (Some((job, JobKind::TestRestore)), e))?;
            }
            Command::VerifyRecords { job, data_file } => {
                self.verify_records(job, data_file).map_err(|e| (Some((job, JobKind::VerifyRecords)), e))?;
            }
            Command::Compact { job, data_file } => {
                self.compact(job, data_file).map_err(|e| (Some((job, JobKind::Compact)), e))?;
            }
            Command::Hold { archive, note } => self.hold(archive, note),
            Command::Release { archive } => self.release(archive),
            Command::PutAway { data_file, kind } => self.put_away(&data_file, kind).map_err(plain)?,
            Command::CreateSample { job, folder } => {
                let work = work::where_allowed(folder.clone(), &self.config, work::sample(folder));
                let started = self.start(Order::asked(job, JobKind::Sample, None, None), work);
                started.map_err(|e| (Some((job, JobKind::Sample)), e))?;
            }
            Command::UseLog { data_file, log, switch_to_wal } => {
                self.use_log(&data_file, log, switch_to_wal).map_err(plain)?;
            }
            Command::StartSampleClient { data_file } => self.client(&data_file, true).map_err(plain)?,
            Command::StopSampleClient { data_file } => self.client(&data_file, false).map_err(plain)?,
            Command::Stop { job } => {
                if let Some(job) = self.jobs.get_mut(&job) {
                    job.stop();
                }
            }
            Command::GoOn { job, folder } => {
                if let Some(job) = self.jobs.get(&job) {
                    job.go_on_in(folder);
                }
            }
            Command::Attend { who, here } => {
                if here {
                    self.attendants.insert(who);
                } else {
                    self.attendants.remove(&who);
                }
                let is_attended = !self.attendants.is_empty();
                self.jobs.values().for_each(|job| job.attend(is_attended));
            }
        }
        Ok(())
    }

    /// The data file in our care that this archive lies in the destination of.
    fn data_file_of(&self, archive: &Path) -> Option<PathBuf> {
        let holds = |d: &&DataFileStatus| d.archives.iter().any(|a| a.path == archive);
        self.status.data_files.iter().find(holds).map(|d| d.facts.path.clone())
    }

    /// Has `work` done by one of a few threads, and takes what `message` makes of its result.
    pub(super) fn run_beside<T>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
        message: impl FnOnce(Result<T>) -> Message + Send + 'static,
    ) {
        let messages = self.messages.clone();
        // When the engine has ended meanwhile, nobody wants to know.
        self.pool.run(work, move |result| _ = messages.send(message(result)));
    }

    /// Does what may take long on a thread of its own.
    pub(super) fn beside(&self, name: &str, work: impl FnOnce() -> Message + Send + 'static) {
        let messages = self.messages.clone();
        let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            // When the engine has ended meanwhile, nobody wants to know.
            let _ = messages.send(work());
        });
        if let Err(error) = spawned {
            tracing::error!(%error, name, "no thread");
        }
    }

    /// The data files in care now, for a job that asks for this archive.
    pub(super) fn in_care(&self, archive: &Path) -> InCare {
        let data_file = |hosted: &Hosted| DataFile {
            path: hosted.path.clone(),
            id: hosted.settings.settings().data_file_id,
            log: Arc::clone(&hosted.log_slot),
        };
        InCare {
            all: self.hosted.values().map(data_file).collect(),
            listed: self.data_file_of(archive),
            settings_dir: self.config.settings_dir.clone(),
        }
    }

    fn backup(
        &mut self,
        job: JobId,
        data_file: PathBuf,
        destination: Option<PathBuf>,
        options: Option<ArchiveOptions>,
    ) -> Result<()> {
        let hosted = self.hosted.get(&data_file).ok_or_else(|| Self::not_open(&data_file))?;
        let log = Arc::clone(&hosted.log_slot);
        self.refuse_while_busy(&data_file)?;
        let known = Some(hosted.settings.clone());
        let mut backup = BackupJob::new(&data_file, &self.config, destination, log, self.messages.clone());
        backup.options = options;
        backup.known = known;
        backup.busy = self.busy_archives();
        self.start(Order::asked(job, JobKind::Backup, Some(data_file), None), backup.work())
    }

    fn drill(&mut self, job: JobId, data_file: PathBuf, seed: u64) -> Result<()> {
        let log = self.hosted.get(&data_file).ok_or_else(|| Self::not_open(&data_file))?.log.clone();
        let known = self.status.data_file(&data_file).ok_or_else(|| Self::not_open(&data_file))?;
        if let Some(problem) = &known.destination_problem {
            return Err(Error::from(problem.clone()));
        }
        let scratch = self.config.data_dir.clone();
        let work = work::drill(&data_file, &known.settings, seed, scratch, log, self.messages.clone());
        self.start(Order::asked(job, JobKind::TestRestore, Some(data_file), None), work)
    }

    fn restore_in_place(
        &mut self,
        job: JobId,
        data_file: PathBuf,
        (archive, segments): (PathBuf, Vec<PathBuf>),
        logs: Logs,
        until: Until,
    ) -> Result<()> {
        let data_file = self.real_names.get(&data_file).cloned().unwrap_or(data_file);
        self.refuse_while_busy(&data_file)?;
        let is_gone = self.status.data_file(&data_file).is_some_and(DataFileStatus::is_gone);
        // They may have been lost with it.
        let settings = self.hosted.get(&data_file).map(|hosted| hosted.settings.clone());
        if self.hosted.get(&data_file).is_some_and(|hosted| hosted.lost.is_some() || is_gone) {
            // Nobody may have it open when it is set aside, its log neither; it is opened again when the job has ended.
            self.let_go(&data_file);
        }
        let hosted = self.hosted.get(&data_file);
        let known = (hosted.is_some(), hosted.and_then(|h| h.log.clone()));
        let order =
            work::InPlaceOrder { archive: archive.clone(), segments, logs, until, known: settings, only_after: None };
        let work = work::restore_in_place(&data_file, known, &self.config, order, self.messages.clone());
        self.start(Order::asked(job, JobKind::RestoreInPlace, Some(data_file), Some(archive)), work)
    }

    /// A backup, a restore in place and compacting need the data file for themselves.
    pub(super) fn refuse_while_busy(&self, data_file: &Path) -> Result<()> {
        if self.status.data_file(data_file).is_some_and(|d| d.log_starting) {
            return Err(Error::new(ErrorKind::Busy, format!("the log of {} is being opened", data_file.display()))
                .hint("Try again in a moment."));
        }
        self.refuse_while(data_file, &[JobKind::Backup, JobKind::RestoreInPlace, JobKind::Compact])
    }

    /// Refuses while a job of one of these kinds runs on the data file.
    pub(super) fn refuse_while(&self, data_file: &Path, kinds: &[JobKind]) -> Result<()> {
        let in_the_way =
            |job: &&RunningJob| job.status.data_file.as_deref() == Some(data_file) && kinds.contains(&job.status.kind);
        match self.jobs.values().find(in_the_way) {
            None => Ok(()),
            Some(job) => {
                let kind = job.status.kind.label().to_lowercase();
                let message = format!("a {kind} of {} is running already", data_file.display());
                Err(Error::new(ErrorKind::Refused, message).hint("Wait until it ends, or stop it first."))
            }
        }
    }

    pub(super) fn start(&mut self, order: Order, work: Work) -> Result<()> {
        let id = order.id;
        if self.jobs.contains_key(&id) {
            return Err(Error::new(ErrorKind::Refused, "a job of this name is running already"));
        }
        let host = (self.status.host, !self.attendants.is_empty());
        let job = RunningJob::start(order, host, work, &self.config.clock, self.messages.clone())?;
        self.record(&job.entry);
        self.news.push(Event::JobStarted(job.status.clone()));
        self.jobs.insert(id, job);
        self.list_jobs();
        Ok(())
    }
}

/// The status of one data file, to be changed where the engine's other parts are in use.
pub(super) fn edit_at<'a>(status: &'a mut Arc<Status>, path: &Path) -> Option<&'a mut DataFileStatus> {
    let id = status.data_file(path)?.id;
    Arc::make_mut(status).data_files.edit(id)
}
