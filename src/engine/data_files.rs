//! The data files in the engine's care: opening and closing them, their settings, their logs, their archives.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use super::{
    data_file::{self, LogStart, Opened, Opening, memory::Memory},
    history::JobKind,
    job::RunningJob,
    lost::Left,
    message::Message,
    status::{Event, Refused},
    worker::Worker,
};
use crate::{
    error::{Error, ErrorKind, Result},
    restore::in_place::is_lost,
    warning::WarningKind,
};

const REFUSED_MAX: usize = 50;

impl Worker {
    pub(super) fn open(&mut self, path: PathBuf) {
        if self.data_files.at(&path).is_some() || self.status.opening.contains(&path) {
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
        let (asked, own, data) = (path.clone(), config.settings_dir.clone(), config.data_dir.clone());
        let (journal, messages) = (self.recorder.asker(), self.messages.clone());
        let noted = self.recorder.asker();
        self.run_beside(
            move || {
                let real = path.canonicalize().ok();
                let may_restore = real.as_ref().is_none_or(|real| !tried.contains(real));
                let mut opened = data_file::open(&path, &config, may_restore);
                if let Ok(Opening::Opened(opened)) = &mut opened {
                    let status = opened.data_file.status();
                    let (of, protects) = (status.facts.path.clone(), status.is_protected());
                    let watch = config.stays().then(|| (config.host, protects, config.clock.local().to_utc()));
                    match journal.ask(move |history| Memory::read(history, &of, watch)) {
                        Some(Ok(memory)) => opened.memory = memory,
                        Some(Err(error)) => _ = messages.send(Message::HistoryFailed(error.report())),
                        None => {}
                    }
                }
                Ok((real, opened))
            },
            move |outcome| {
                let (real, result) = outcome.unwrap_or_else(|error| (None, Err(error)));
                let refuse = |error: Error| {
                    // What a restore has just found damaged is not proposed once more.
                    noted.flush();
                    let left = is_lost(error.kind()).then(|| Left::look(&asked, &own, &data)).flatten();
                    let Left { folder, newest, damaged } = left.unwrap_or_default();
                    Refused { archives: folder, newest, damaged, error: error.report(), path: asked.clone() }
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
            self.data_files.at(real).is_none()
                && !self.reopening.contains(*path)
                && !self.status.opening.contains(*path)
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
            if let Some(hosted) = self.data_files.at_mut(real).filter(|_| result.is_err()) {
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
                let Opened { gone, mut data_file, memory } = *opened;
                let (path, now) = (data_file.path().to_path_buf(), self.now());
                let status = data_file.edit();
                status.engine_started = Some(self.status.started);
                (status.maintenance.last_check, status.maintenance.last_compact) =
                    (memory.last_check, memory.last_compact);
                (status.notices, status.in_place) = (memory.notices, memory.undos);
                if let Some(why) = self.tried.remove(&path).flatten().filter(|_| status.damage.is_none()) {
                    (status.damage, status.damage_since) = (Some(why), Some(now));
                }
                // A person may have listed it under another name.
                if !self.list.as_ref().is_some_and(|list| list.all().any(|listed| listed == asked)) {
                    self.note_on_list(&path, true);
                }
                self.edit().refused.retain(|r| r.path != asked);
                data_file.remembered = memory.automatic;
                data_file.proving.last_drill = memory.last_drill;
                self.data_files.add(data_file);
                self.remember(&path);
                self.note_last_backups(Some(&path));
                // What was taken over into settings is told by whoever did it, and until the next opening: nothing is
                // lost.
                self.put_away(&path, WarningKind::Settings);
                if let Some(gone) = gone {
                    self.say(&path, gone);
                }
                self.begin_to_watch(&path, memory.watched);
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
        let names = self.data_files.at(path).map(|hosted| hosted.names.clone()).unwrap_or_default();
        names.iter().chain([&path.to_path_buf()]).for_each(|name| self.note_on_list(name, false));
        self.let_go(path);
        self.end_to_watch(path);
        Ok(())
    }

    /// Gives up data files that another engine looks after, because somebody removed our lock: two would write one log.
    pub(super) fn keep_locks(&mut self) {
        let address = self.config.address.clone();
        let lost: Vec<(PathBuf, Error)> = self
            .data_files
            .iter_mut()
            .filter_map(|hosted| Some((hosted.path().to_path_buf(), hosted.keep_lock(address.as_deref()).err()?)))
            .collect();
        for (path, error) in lost {
            self.jobs
                .values_mut()
                .filter(|job| job.status.data_file.as_ref() == Some(&path))
                .for_each(RunningJob::stop);
            self.let_go(&path);
            let refused = Refused { path, error: error.report(), archives: None, newest: None, damaged: Vec::new() };
            self.edit().refused.insert(0, refused.clone());
            self.edit().refused.truncate(REFUSED_MAX);
            self.news.push(Event::DataFileRefused(refused));
        }
    }

    /// Stops looking after a data file for a while.
    pub(super) fn let_go(&mut self, path: &Path) {
        self.data_files.remove(path);
    }

    pub(super) fn forget(&mut self, path: &Path) {
        self.note_on_list(path, false);
        self.end_to_watch(path);
        self.edit().refused.retain(|r| r.path != path);
        let path = path.to_path_buf();
        self.show_recent(move |history| history.forget(&path));
    }

    pub(super) fn not_open(path: &Path) -> Error {
        Error::new(ErrorKind::Refused, format!("{} is not open", path.display())).hint("Open the data file first.")
    }

    pub(super) fn client(&mut self, data_file: &Path, run: bool) -> Result<()> {
        let (now, program) = (self.now(), self.config.program.clone());
        let known = self.data_files.at_mut(data_file).ok_or_else(|| Self::not_open(data_file))?;
        if run {
            return known.start_client(program.as_deref(), now);
        }
        known.stop_client();
        Ok(())
    }
}
