//! The data files in the engine's care: opening and closing them, their settings, their logs, their archives.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    damaged::Opening,
    history::JobKind,
    hosted::{self, Opened, Surveyed, Users},
    job::RunningJob,
    known,
    mark::Mark,
    query::{Answer, Reply},
    status::{DataFileStatus, Event, Refused},
    worker::{Message, Worker, edit_at},
};
use crate::{
    error::{Error, ErrorKind, ErrorReport, Result},
    journal::Capture,
    restore::in_place::is_lost,
    settings::SettingsFile,
    sqlite::data_file::JournalMode,
    storage::processes::{Holders, Process},
    warning::WarningKind,
};

const REFUSED_MAX: usize = 50;
/// A log that is released so soon after it was opened is left alone for a while.
const AGAIN: Duration = Duration::from_secs(5);
/// A program that waited for a data file is shown for so long.
const WAITED_SHOWN: Duration = Duration::from_secs(120);

/// Why a log is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogStart {
    /// It was in use before: that it is missing is worth saying.
    Known,
    /// It was chosen just now.
    Chosen {
        /// Whether to switch the data file to WAL mode first.
        switch_to_wal: bool,
    },
}

impl Worker {
    pub(super) fn open(&mut self, path: PathBuf) {
        if self.hosted.contains_key(&path) || self.status.opening.contains(&path) {
            self.news.push(Event::DataFileOpened { path });
            return;
        }
        let status = self.edit();
        status.opening.push(path.clone());
        status.refused.retain(|r| r.path != path);
        // Whoever asks again wants it tried again.
        self.begin_to_open(path, true);
    }

    /// Opens a data file on a thread, with everything that its disk is asked; `again` says whether one that could not
    /// be restored by itself is tried once more.
    pub(super) fn begin_to_open(&self, path: PathBuf, again: bool) {
        let config = self.config.clone();
        let tried: HashSet<PathBuf> = if again { HashSet::new() } else { self.tried.keys().cloned().collect() };
        let (asked, own) = (path.clone(), config.settings_dir.clone());
        self.run_beside(
            move || {
                let real = path.canonicalize().ok();
                let may_restore = real.as_ref().is_none_or(|real| !tried.contains(real));
                Ok((real, hosted::open(&path, &config, may_restore)))
            },
            move |outcome| {
                let (real, result) = outcome.unwrap_or_else(|error| (None, Err(error)));
                let refuse = |error: Error| {
                    let lost = is_lost(error.kind()).then(|| hosted::archives_of_lost(&asked, &own)).flatten();
                    let (archives, newest) = lost.unzip();
                    Refused { archives, newest: newest.flatten(), error: error.report(), path: asked.clone() }
                };
                let result = result.map_err(refuse);
                Message::Opened { real, again, result, asked }
            },
        );
    }

    /// Opens what is on the service's list and not open: at the start, and again and again while something is in the
    /// way.
    pub(super) fn open_listed(&mut self) {
        let Some(list) = &self.list else { return };
        let waiting = |path: &&PathBuf| {
            // A person may have listed it under another name.
            let real = self.real_names.get(*path).unwrap_or(*path);
            !self.hosted.contains_key(real) && !self.reopening.contains(*path) && !self.status.opening.contains(*path)
        };
        let paths: Vec<PathBuf> = list.all().filter(waiting).cloned().collect();
        for path in paths {
            self.reopening.insert(path.clone());
            self.begin_to_open(path, false);
        }
    }

    /// Notes on the service's list, if there is one, that a data file is looked after, or no longer.
    fn note_on_list(&mut self, path: &Path, wanted: bool) {
        let Some(list) = &mut self.list else { return };
        let problem = list.change(path, wanted).err().map(|error| error.report());
        if self.status.list_problem != problem {
            self.edit().list_problem = problem;
        }
    }

    /// What came of opening `asked`, which is called `real` where it lies.
    pub(super) fn opened(
        &mut self,
        asked: &Path,
        (real, again): (Option<PathBuf>, bool),
        result: std::result::Result<Opening, Refused>,
    ) {
        if let Some(real) = &real {
            self.real_names.insert(asked.to_path_buf(), real.clone());
            if again {
                self.tried.remove(real);
            }
            // By another name it is in our care already: our own lock was in the way.
            if let Some(hosted) = self.hosted.get_mut(real).filter(|_| result.is_err()) {
                if real != asked && !hosted.names.iter().any(|name| name == asked) {
                    hosted.names.push(asked.to_path_buf());
                }
                self.reopening.remove(asked);
                if self.status.opening.iter().any(|path| path == asked) {
                    self.edit().opening.retain(|path| path != asked);
                    self.news.push(Event::DataFileOpened { path: real.clone() });
                }
                return;
            }
        }
        let result = match result {
            // It goes on when it has been restored.
            Ok(Opening::Damaged { path, why }) => return self.found_damaged(asked, path, why),
            Ok(Opening::Opened(opened)) => Ok(opened),
            Err(refused) => Err(self.explain_refused(refused, real.as_deref())),
        };
        self.reopening.remove(asked);
        if self.status.opening.iter().any(|p| p == asked) {
            self.edit().opening.retain(|p| p != asked);
        }
        match result {
            Ok(opened) => {
                let Opened { gone, hosted, mut status } = *opened;
                status.engine_started = Some(self.status.started);
                let path = hosted.path.clone();
                if let Some(why) = self.tried.remove(&path).flatten().filter(|_| status.damage.is_none()) {
                    (status.damage, status.damage_since) = (Some(why), Some(self.now()));
                }
                // A person may have listed it under another name.
                if !self.list.as_ref().is_some_and(|list| list.all().any(|listed| listed == asked)) {
                    self.note_on_list(&path, true);
                }
                self.edit().refused.retain(|r| r.path != asked);
                self.hosted.insert(path.clone(), hosted);
                self.edit().data_files.add(Arc::new(status));
                self.remember(&path);
                self.note_last_backups(Some(&path));
                self.note_last_runs(&path);
                self.read_notices(&path);
                // What was taken over into settings is told by whoever did it, and until the next opening: nothing is
                // lost.
                let _ = self.put_away(&path, WarningKind::Settings);
                if let Some(gone) = gone {
                    self.say(&path, gone);
                }
                self.begin_to_watch(&path);
                self.read_undos(&path);
                self.follow_settings(&path, LogStart::Known);
                self.survey(&path);
                self.look_at_processes(vec![path.clone()]);
                self.news.push(Event::DataFileOpened { path });
            }
            // Tried again, and still for the same reason.
            Err(refused) if self.status.refused.contains(&refused) => {}
            Err(refused) => {
                let list = &mut self.edit().refused;
                list.retain(|r| r.path != refused.path);
                list.insert(0, refused.clone());
                list.truncate(REFUSED_MAX);
                self.news.push(Event::DataFileRefused(refused));
            }
        }
    }

    pub(super) fn close(&mut self, path: &Path) -> Result<()> {
        let mine = |job: &&mut RunningJob| job.status.data_file.as_deref() == Some(path);
        let by_itself = |job: &&mut RunningJob| job.status.automatic && job.status.kind == JobKind::TestRestore;
        if self.jobs.values_mut().filter(mine).any(|job| !by_itself(&job)) {
            return Err(Error::new(ErrorKind::Refused, format!("a job runs on {}", path.display()))
                .hint("Wait until it ends, or stop it first."));
        }
        // Nobody asked for it, so nobody has to wait for it.
        self.jobs.values_mut().filter(mine).for_each(RunningJob::stop);
        let names = self.hosted.get(path).map(|hosted| hosted.names.clone()).unwrap_or_default();
        names.iter().chain([&path.to_path_buf()]).for_each(|name| self.note_on_list(name, false));
        self.let_go(path);
        self.end_to_watch(path)
    }

    /// Gives up data files that another engine looks after, because somebody removed our lock: two would write one log.
    pub(super) fn keep_locks(&mut self) {
        let address = self.config.address.clone();
        let lost: Vec<(PathBuf, Error)> = self
            .hosted
            .values_mut()
            .filter_map(|hosted| Some((hosted.path.clone(), hosted.keep_lock(address.as_deref()).err()?)))
            .collect();
        for (path, error) in lost {
            self.jobs
                .values_mut()
                .filter(|job| job.status.data_file.as_ref() == Some(&path))
                .for_each(RunningJob::stop);
            self.let_go(&path);
            let refused = Refused { path, error: error.report(), archives: None, newest: None };
            self.edit().refused.insert(0, refused.clone());
            self.edit().refused.truncate(REFUSED_MAX);
            self.news.push(Event::DataFileRefused(refused));
        }
    }

    /// Stops looking after a data file for a while.
    pub(super) fn let_go(&mut self, path: &Path) {
        self.hosted.remove(path);
        if let Some(id) = self.status.data_file(path).map(|known| known.id) {
            self.edit().data_files.remove(id);
        }
    }

    pub(super) fn forget(&mut self, path: &Path) -> Result<()> {
        self.note_on_list(path, false);
        self.end_to_watch(path)?;
        self.edit().refused.retain(|r| r.path != path);
        if let Some(history) = &self.history {
            history.forget(path)?;
        }
        self.read_history();
        Ok(())
    }

    pub(super) fn not_open(path: &Path) -> Error {
        Error::new(ErrorKind::Refused, format!("{} is not open", path.display())).hint("Open the data file first.")
    }

    /// Opens or closes the log, so that it is as the settings say.
    pub(super) fn follow_settings(&mut self, data_file: &Path, start: LogStart) {
        let Some(hosted) = self.hosted.get_mut(data_file) else { return };
        let wanted = hosted.settings.settings().log.file.clone();
        let running = hosted.log.as_ref().map(|log| log.status().log);
        let switches = start == (LogStart::Chosen { switch_to_wal: true });
        // Two that open one log at once would find it half begun.
        if wanted.is_some() && (wanted == running || wanted == hosted.log_opening && !switches) {
            return;
        }
        (hosted.log, hosted.log_failed, hosted.log_opening) = (None, None, wanted.clone());
        hosted.log_slot.set(None, wanted.is_some());
        hosted.log_attempt += 1;
        let (attempt, settings, released) = (hosted.log_attempt, hosted.settings.clone(), hosted.log_released.clone());
        self.changed = true;
        if let Some(status) = edit_at(&mut self.status, data_file) {
            (status.log, status.log_starting) = (None, wanted.is_some());
            // While it is only tried again, what was wrong stays to be seen.
            status.log_problem.take_if(|_| wanted.is_none() || start != LogStart::Known);
        }
        if let Some(log) = wanted.as_ref().filter(|_| self.config.keeps_no_log) {
            return self.keep_no_log(data_file, log);
        }
        if let Some(log) = wanted {
            let (data_file, own) = (data_file.to_path_buf(), self.config.settings_dir.clone());
            let (changed, messages) = (data_file.clone(), self.messages.clone());
            // What does not get through while the engine is busy is seen at its next look.
            let waker = move || _ = messages.try_send(Message::LogChanged { data_file: changed.clone() });
            let of = data_file.clone();
            self.run_beside(
                move || hosted::open_log(&data_file, &settings, &own, (&log, start, released), waker),
                move |opened| Message::LogOpened { result: opened.map_err(|e| e.report()), data_file: of, attempt },
            );
        }
    }

    /// Says of a log that the settings name that it is not kept, because the service was begun so.
    fn keep_no_log(&mut self, data_file: &Path, log: &Path) {
        if let Some(hosted) = self.hosted.get_mut(data_file) {
            hosted.log_opening = None;
            hosted.log_slot.set(None, false);
        }
        let message = format!("the log {} is not kept: the service was begun with --no-log", log.display());
        let hint = "Begin it without --no-log. If no log is wanted, take it off: strongroom settings DATAFILE --default log.file.";
        let error = Error::new(ErrorKind::Refused, message).hint(hint).report();
        if let Some(status) = self.edit_data_file(data_file) {
            (status.log_starting, status.log_problem) = (false, Some(error));
        }
    }

    pub(super) fn log_opened(
        &mut self,
        data_file: &Path,
        attempt: u64,
        result: std::result::Result<Capture, ErrorReport>,
    ) {
        let Some(hosted) = self.hosted.get_mut(data_file) else { return };
        if hosted.log_attempt != attempt {
            return;
        }
        let Some(status) = edit_at(&mut self.status, data_file) else {
            return;
        };
        self.changed = true;
        self.touched.insert(data_file.to_path_buf());
        status.log_starting = false;
        hosted.log_opening = None;
        match result {
            Ok(capture) => {
                (status.log, status.log_problem) = (Some(capture.status()), None);
                hosted.log = Some(Arc::new(capture));
                hosted.log_slot.set(hosted.log.clone(), false);
                (hosted.log_released, hosted.log_opened) = (None, Some(Instant::now()));
                self.news.push(Event::LogOpened { data_file: data_file.to_path_buf() });
                self.note_lacking(data_file);
                self.survey(data_file);
            }
            Err(error) => {
                hosted.log_failed = Some(Instant::now());
                hosted.log_slot.set(None, false);
                if status.log_problem.as_ref() != Some(&error) {
                    status.log_problem = Some(error.clone());
                    self.news.push(Event::LogRefused { data_file: data_file.to_path_buf(), error });
                }
            }
        }
    }

    /// The protection by a log changed.
    pub(super) fn log_changed(&mut self, data_file: &Path) {
        let Some(log) = self.hosted.get(data_file).and_then(|h| h.log.as_ref()).map(|log| log.status()) else { return };
        self.note_lacking(data_file);
        self.touch(data_file);
        let is_closed = log.is_closed;
        let (path, state, error) = (data_file.to_path_buf(), log.state, log.error.clone());
        if let Some(status) = self.edit_data_file(data_file) {
            status.log = Some(log);
            self.news.push(Event::LogChanged { data_file: path, state, error });
        }
        if is_closed {
            self.open_released(data_file);
        }
    }

    /// Opens a log anew that was released because the data file, or the log, is no longer what was opened.
    fn open_released(&mut self, data_file: &Path) {
        let Some(hosted) = self.hosted.get_mut(data_file) else { return };
        let Some(why) = hosted.log.take().and_then(|log| log.status().error) else { return };
        hosted.log_released = Some(why.clone());
        // What has to be released again at once is not tried without a pause.
        let is_again = hosted.log_opened.is_some_and(|at| at.elapsed() < AGAIN);
        if is_again {
            hosted.log_failed = Some(Instant::now());
            // A backup waits until it is open again: made without it, its archive would end what the log can restore.
            hosted.log_slot.set(None, true);
        }
        if let Some(status) = self.edit_data_file(data_file) {
            status.log_problem = Some(why);
        }
        if !is_again {
            self.follow_settings(data_file, LogStart::Known);
        }
        self.survey(data_file);
        // Who goes on with the old file must know it.
        self.look_at_processes(vec![data_file.to_path_buf()]);
    }

    /// The same for those of which the news did not get through.
    pub(super) fn open_all_released(&mut self) {
        let is_closed = |log: &Arc<Capture>| log.status().is_closed;
        let released = self.hosted.values().filter(|h| h.log.as_ref().is_some_and(is_closed));
        let released: Vec<PathBuf> = released.map(|h| h.path.clone()).collect();
        released.iter().for_each(|path| self.log_changed(path));
    }

    /// Looks who else has the data files open; may take its time.
    pub(super) fn look_at_processes(&self, data_files: Vec<PathBuf>) {
        self.run_beside(
            move || Ok(hosted::look_at_processes(&data_files).into_iter().zip(data_files).collect()),
            |seen| Message::ProcessesSeen(seen.unwrap_or_default()),
        );
    }

    pub(super) fn processes_seen(&mut self, seen: Vec<(Users, PathBuf)>) {
        for (Users { holders, readers, strays, other_name }, path) in seen {
            let known = self.status.data_file(&path);
            let known = known.map(|d| (&d.holders, &d.readers, &d.strays, &d.other_name));
            if known.is_some_and(|known| known != (&holders, &readers, &strays, &other_name))
                && let Some(status) = self.edit_data_file(&path)
            {
                (status.holders, status.readers, status.strays) = (holders, readers, strays);
                status.other_name = other_name;
            }
        }
    }

    pub(super) fn survey(&mut self, data_file: &Path) {
        self.look_now(data_file, None);
    }

    /// Surveys a data file, with all that is looked at only now and then otherwise where somebody asked.
    pub(super) fn look_now(&mut self, data_file: &Path, asked: Option<Reply>) {
        let Some(hosted) = self.hosted.get_mut(data_file) else { return };
        let size = self.status.data_file(data_file).map_or(0, |status| status.facts.size_bytes);
        hosted.surveyed = Some((Instant::now(), size));
        let (path, known, own) = (data_file.to_path_buf(), hosted.settings.clone(), self.config.settings_dir.clone());
        let (data_file, data) = (path.clone(), self.config.data_dir.clone());
        let (log, of, is_asked) = (hosted.log.clone().filter(|_| asked.is_some()), path.clone(), asked.is_some());
        self.run_beside(
            move || {
                // What was committed before the question is in the answer.
                let _ = log.map(|log| log.flush());
                // A job that just ended noted in them what the engine has not seen yet.
                let read = SettingsFile::load(&path, &own).ok();
                let is_whole = |read: &SettingsFile| {
                    known.is_blank() || !read.is_blank() && (known.lack_notes() || !read.lack_notes())
                };
                let settings = read.filter(is_whole).unwrap_or(known);
                let mut surveyed = hosted::survey(&path, &settings, &own, &data);
                surveyed.users = is_asked.then(|| hosted::look_at_processes(&[of]).pop()).flatten();
                Ok(surveyed)
            },
            move |surveyed| {
                let surveyed = surveyed.map(Box::new).map_err(|e| e.report());
                Message::Surveyed { data_file, asked, surveyed }
            },
        );
    }

    pub(super) fn surveyed(
        &mut self,
        data_file: &Path,
        asked: Option<Reply>,
        surveyed: std::result::Result<Box<Surveyed>, ErrorReport>,
    ) {
        let mut surveyed = match surveyed {
            Ok(surveyed) => *surveyed,
            Err(error) => {
                if let Some(status) = self.edit_data_file(data_file) {
                    (status.plan, status.plan_problem) = (None, Some(error));
                }
                self.answers.extend(asked.map(|reply| (reply, Answer::Looked)));
                return;
            }
        };
        if let Some(users) = surveyed.users.take() {
            self.processes_seen(vec![(users, data_file.to_path_buf())]);
        }
        if asked.is_some() {
            self.follow_history();
        }
        let Some(hosted) = self.hosted.get_mut(data_file) else { return };
        hosted.lost = surveyed.facts.as_ref().err().filter(|e| is_lost(e.kind)).cloned();
        let lost = hosted.lost.clone();
        self.changed = true;
        let known = edit_at(&mut self.status, data_file);
        let Some(status) = known else { return };
        // What a job noted in them is known at once; what a person changed is taken up with its consequences.
        if surveyed.settings.settings().revision() == hosted.settings.settings().revision() {
            hosted.adopt(surveyed.settings.clone(), status);
        }
        hosted.mark = Some(Arc::clone(&surveyed.mark));
        if let Ok(facts) = surveyed.facts.clone() {
            (status.facts, status.problem) = (facts, None);
        }
        known::take_survey(status, surveyed);
        if asked.is_some() {
            // The log, the client and the settings too.
            hosted.look(status, &self.config.settings_dir);
        }
        status.problem = lost.or(status.problem.take());
        self.answers.extend(asked.map(|reply| (reply, Answer::Looked)));
        self.show_findings(Some(data_file));
        self.note_last_backups(Some(data_file));
        self.touch(data_file);
        self.begin_automatic(data_file);
    }

    /// Looks whether folders of archives are still as they were surveyed, unless that is being done: one whose disk
    /// does not answer holds up nobody else.
    pub(super) fn watch_places(&mut self, marks: Vec<(PathBuf, Arc<Mark>)>) {
        if self.watching || marks.is_empty() {
            return;
        }
        self.watching = true;
        // Without a log nobody here has it open for longer than a moment.
        let is_in_the_way = |path: &PathBuf| {
            let status = self.status.data_file(path);
            let is_logged =
                |status: &DataFileStatus| status.log.is_some() && status.facts.journal_mode == JournalMode::Wal;
            status.is_some_and(|status| is_logged(status) || !status.waiting.is_empty())
        };
        let logged: Vec<PathBuf> = marks.iter().map(|(path, _)| path.clone()).filter(is_in_the_way).collect();
        self.run_beside(
            move || {
                let waiting = hosted::look_who_waits(&logged);
                let changed = marks.into_iter().filter(|(_, mark)| !mark.is_same_now()).map(|(path, _)| path);
                Ok((changed.collect(), waiting))
            },
            |seen| {
                let (changed, waiting) = seen.unwrap_or_default();
                Message::Watched { changed, waiting }
            },
        );
    }

    /// Shows who waits for a data file, and for a while who did: it may give up before anybody looks.
    pub(super) fn note_waiting(&mut self, waiting: Vec<(PathBuf, Vec<Process>)>) {
        let now = Instant::now();
        for (path, processes) in waiting {
            let Some(hosted) = self.hosted.get_mut(&path) else { continue };
            if !processes.is_empty() {
                hosted.waited = Some(now);
                self.let_have(&path, &processes);
            } else if hosted.waited.is_some_and(|at| now - at < WAITED_SHOWN) {
                continue;
            }
            let known = self.status.data_file(&path).map(|status| &status.waiting);
            if known.is_some_and(|known| *known != processes)
                && let Some(status) = self.edit_data_file(&path)
            {
                status.waiting = processes;
            }
        }
    }

    /// Lets a program have a data file for itself: it must never fail because of the log, which is opened again when
    /// that is possible.
    fn let_have(&mut self, data_file: &Path, processes: &[Process]) {
        let Some(hosted) = self.hosted.get_mut(data_file).filter(|hosted| hosted.log.is_some()) else { return };
        hosted.log = None;
        hosted.log_slot.set(None, false);
        hosted.log_failed = Some(Instant::now());
        let who = Holders { processes: processes.to_vec(), may_be_more: false }.in_words();
        let message =
            format!("the log of {} was released for {who}, which wants the file for itself", data_file.display());
        let hint = "What it commits meanwhile is recorded as one step, when the log can be opened again. Have the program use SQLite's \
                    normal locking mode.";
        let error = Error::new(ErrorKind::Busy, message).hint(hint).report();
        if let Some(status) = self.edit_data_file(data_file) {
            (status.log, status.log_problem) = (None, Some(error.clone()));
        }
        self.news.push(Event::LogRefused { data_file: data_file.to_path_buf(), error });
    }

    pub(super) fn client(&mut self, data_file: &Path, run: bool) -> Result<()> {
        let now = self.now();
        let hosted = self.hosted.get_mut(data_file).ok_or_else(|| Self::not_open(data_file))?;
        self.changed = true;
        let status = edit_at(&mut self.status, data_file);
        let status = status.ok_or_else(|| Self::not_open(data_file))?;
        if run {
            return hosted.start_client(self.config.program.as_deref(), now, status);
        }
        hosted.stop_client();
        Ok(())
    }
}
