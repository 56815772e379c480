//! The engine's own thread: takes messages one by one, keeps the status, starts threads for everything that takes time.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use uuid::Uuid;

use super::{
    activity::Activities,
    command::JobId,
    config::Config,
    data_file::{DataFile, LogStart},
    handle::Shared,
    history::{History, LogEnd},
    job::RunningJob,
    list::List,
    measured::Looks,
    message::Message,
    pool::Pool,
    query::{Answer, Reply},
    recorder::{Fresh, HistoryRead, Recorder},
    registry::Registry,
    states::States,
    status::{DataFiles, Event, Finding, Host, Status},
    take_backs::TakeBacks,
};
use crate::{
    backup,
    error::{ErrorReport, Result},
};

/// Progress is looked at this often while a job runs: as often as a window needs to be repainted.
const JOB_TICK: Duration = Duration::from_millis(250);
/// Sizes and times of data files are looked at this often.
const IDLE_TICK: Duration = Duration::from_secs(2);
/// Who has the data files open is looked at this often: it means looking at every process.
const PROCESSES_TICK: Duration = Duration::from_secs(10);
/// So long the end waits for what nobody takes any more.
const AT_END: Duration = Duration::from_millis(5);
/// Data files looked at in one go: hundreds of them have their turn one after the other.
const LOOK_MAX: usize = 64;

pub(super) struct Worker {
    pub(super) config: Config,
    pub(super) messages: Sender<Message>,
    pub(super) status: Arc<Status>,
    pub(super) data_files: Registry,
    pub(super) jobs: HashMap<JobId, RunningJob>,
    /// The Backup journal.
    pub(super) recorder: Recorder,
    /// What was shown since it was read last: what is read then may be older.
    pub(super) fresh: Vec<Fresh>,
    /// How many times it is being read.
    pub(super) reading: usize,
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
    /// What changed, as far as somebody asks.
    pub(super) activities: Activities,
    /// What is planned to be taken back of it.
    pub(super) take_backs: TakeBacks,
    /// The states that somebody looks at.
    pub(super) states: States,
    /// The tables that somebody wants to know the size of.
    pub(super) looks: Looks,
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
    /// The jobs that undo a restore in place, and which.
    pub(super) undoing: HashMap<JobId, JobId>,
    /// When it was last noted that data files are watched.
    pub(super) noted_watching: Option<Instant>,
    /// When it was last noted where logs end, and what.
    pub(super) noted_log_ends: (Option<Instant>, HashMap<PathBuf, LogEnd>),
    looked: Instant,
    /// Which data file is looked at next.
    look_next: usize,
    looked_at_processes: Option<Instant>,
}

impl Worker {
    pub(super) fn new(config: Config, messages: Sender<Message>) -> Self {
        let opened = History::open(&config.data_dir).and_then(|(history, problem)| {
            let read = HistoryRead::of(&history);
            // What could not be read now is read when it can be.
            let version = read.as_ref().ok().and_then(|read| read.version);
            Ok((Recorder::start(history)?, version, read, problem))
        });
        let (recorder, history_version, read, history_problem) = match opened {
            Ok((recorder, version, read, problem)) => (recorder, version, Some(read), problem),
            Err(error) => (Recorder::none(), None, None, Some(error)),
        };
        let history_problem = history_problem.map(|error| error.report());
        let (list, list_problem) = match config.list.as_deref().map(|own| List::read(own, config.given_list.as_deref()))
        {
            Some(Ok(list)) => (Some(list), None),
            Some(Err(error)) => (None, Some(error.report())),
            None => (None, None),
        };
        let host = Host::this(config.host);
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
            activities: Activities::default(),
            take_backs: TakeBacks::default(),
            states: States::default(),
            looks: Looks::default(),
            answers: Vec::new(),
            messages,
            status: Arc::new(status),
            data_files: Registry::default(),
            jobs: HashMap::new(),
            recorder,
            fresh: Vec::new(),
            reading: 0,
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
            history_version,
            watching: false,
            undoing: HashMap::new(),
            noted_watching: None,
            noted_log_ends: (None, HashMap::new()),
            looked: Instant::now(),
            look_next: 0,
            looked_at_processes: None,
        };
        if let Some(read) = read {
            worker.take_history(read);
        }
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
            self.take_statuses();
            if std::mem::take(&mut self.changed) {
                shared.publish(Arc::clone(&self.status));
            }
            for event in std::mem::take(&mut self.news) {
                shared.tell(&event);
            }
            std::mem::take(&mut self.answers).into_iter().for_each(|(reply, answer)| reply.tell(Ok(answer)));
            if self.ending && self.jobs.is_empty() && self.notices == 0 {
                self.note_watching(true);
                self.data_files.iter().filter_map(|h| h.log.as_ref()).for_each(|log| log.ask_stop());
                self.recorder.end();
                // It may wait until somebody takes what it has to tell.
                while !self.recorder.has_ended() {
                    let _ = inbox.recv_timeout(AT_END);
                }
                return;
            }
        }
    }

    /// How long to wait for a message; for ever while there is nothing to look at.
    fn wait(&self) -> Option<Duration> {
        if !self.jobs.is_empty() {
            Some(JOB_TICK)
        } else if !self.data_files.is_empty() || self.list.is_some() {
            Some(IDLE_TICK)
        } else {
            None
        }
    }

    /// Takes over what changed of data files into the status that everybody sees.
    fn take_statuses(&mut self) {
        let all = || self.data_files.iter().map(DataFile::status);
        let shown = &self.status.data_files;
        let is_same =
            shown.len() == self.data_files.len() && all().zip(&**shown).all(|(now, then)| Arc::ptr_eq(now, then));
        if !is_same {
            let data_files = all().cloned().collect();
            self.edit().data_files = data_files;
        }
    }

    fn tick(&mut self) {
        let now = Instant::now();
        if !self.jobs.is_empty() {
            let clock = self.now();
            self.jobs.values_mut().for_each(|job| job.update(now, clock));
            self.list_jobs();
        }
        self.note_stalled(now);
        if !self.ending {
            self.run_schedule();
            self.run_proofs();
        }
        self.note_watching(false);
        if now - self.looked >= IDLE_TICK {
            self.looked = now;
            self.look();
            self.follow_history(None);
            if self.looked_at_processes.is_none_or(|at| now - at >= PROCESSES_TICK) {
                self.looked_at_processes = Some(now);
                self.open_listed();
                self.look_at_processes(self.data_files.paths());
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
        let due: Vec<_> =
            self.data_files.iter().filter(|h| h.is_log_due(now)).map(|h| h.path().to_path_buf()).collect();
        due.iter().for_each(|path| self.follow_settings(path, LogStart::Known));
        self.open_all_released();
        self.keep_locks();
        let (mut changed, mut outgrown, mut marks, mut taken_over) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let count = self.data_files.len();
        let batch: Vec<_> =
            self.data_files.paths().into_iter().cycle().skip(self.look_next).take(LOOK_MAX.min(count)).collect();
        self.look_next = (self.look_next + batch.len()) % count.max(1);
        for path in batch {
            let Some(data_file) = self.data_files.at_mut(&path) else { continue };
            if data_file.look(&self.config.settings_dir) {
                changed.push(path.clone());
            } else if std::mem::take(&mut data_file.is_to_be_surveyed) || data_file.has_outgrown(now) {
                outgrown.push(path.clone());
            }
            taken_over.extend(data_file.taken_over.take().map(|warning| (path.clone(), warning)));
            marks.extend(data_file.mark.clone().map(|mark| (path.clone(), mark)));
            // Time alone can make something worth a warning.
            data_file.touch();
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
            Message::Watched { changed, waiting, apart } => {
                self.watching = false;
                self.note_apart(apart);
                changed.iter().for_each(|path| self.survey(path));
                self.note_waiting(waiting);
            }
            Message::LogTried { data_file, attempt, start, result } => {
                self.log_tried(&data_file, attempt, start, result);
            }
            Message::LogOpened { data_file, attempt, result } => self.log_opened(&data_file, attempt, result),
            Message::LogChanged { data_file } => self.log_changed(&data_file),
            Message::Lacks { data_file, open } => self.integrate_lacking(&data_file, &open),
            Message::HistoryFailed(error) => self.edit().history_problem = Some(error),
            Message::HistoryRead { read, then } => self.history_read(read, then),
            Message::Recent(recent) => self.edit().recent = recent,
            Message::ProcessesSeen(seen) => self.processes_seen(seen),
            Message::FoldersSeen { data_file, seen } => self.folders_seen(&data_file, seen),
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

    /// Notes something in the Backup journal. One that fails is said, and holds up nothing.
    pub(super) fn note(&self, write: impl FnOnce(&History) -> Result<()> + Send + 'static) {
        let messages = self.messages.clone();
        self.recorder.run(write, move |written| {
            if let Err(error) = written {
                let _ = messages.send(Message::HistoryFailed(error.report()));
            }
        });
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
}
