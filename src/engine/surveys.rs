//! Looks at data files as a whole, and at what other programs do with them, as the engine's thread has them done.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    data_file::{self, LogStart, Surveyed, Users, mark::Mark},
    lost::EMPTIED,
    message::Message,
    query::{Answer, Reply},
    status::DataFileStatus,
    worker::Worker,
};
use crate::{
    error::{ErrorKind, ErrorReport},
    restore::in_place::is_lost,
    settings::SettingsFile,
    sqlite::data_file::JournalMode,
    storage::processes::{Holders, Process},
};

/// A program that waited for a data file is shown for so long.
const WAITED_SHOWN: Duration = Duration::from_secs(120);

/// What is wrong with a data file that could be opened before: whoever finds nothing in it now must not be told to have
/// the application begin a new one.
fn said_of_known(error: ErrorReport) -> ErrorReport {
    match error.kind {
        ErrorKind::Empty => ErrorReport { hint: Some(EMPTIED.to_owned()), ..error },
        _ => error,
    }
}

impl Worker {
    /// Looks who else has the data files open; may take its time.
    pub(super) fn look_at_processes(&self, data_files: Vec<PathBuf>) {
        self.run_beside(
            move || Ok(data_file::look_at_processes(&data_files).into_iter().zip(data_files).collect()),
            |seen| Message::ProcessesSeen(seen.unwrap_or_default()),
        );
    }

    pub(super) fn processes_seen(&mut self, seen: Vec<(Users, PathBuf)>) {
        for (Users { holders, readers, strays, other_name, unwritable }, path) in seen {
            self.note_strays(&path, &strays);
            let known = self.data_files.status(&path);
            let known = known.map(|d| (&d.holders, &d.readers, &d.strays, &d.other_name, &d.unwritable));
            if known.is_some_and(|known| known != (&holders, &readers, &strays, &other_name, &unwritable))
                && let Some(status) = self.edit_data_file(&path)
            {
                (status.holders, status.readers, status.strays) = (holders, readers, strays);
                (status.other_name, status.unwritable) = (other_name, unwritable);
            }
        }
    }

    /// Remembers who worked with another WAL, and says of one that has ended what nobody can see any more.
    fn note_strays(&mut self, data_file: &Path, strays: &[Process]) {
        let Some(hosted) = self.data_files.at_mut(data_file) else { return };
        hosted.worked_apart.extend(
            strays.iter().filter(|process| !hosted.worked_apart.contains(process)).cloned().collect::<Vec<_>>(),
        );
        if !strays.is_empty() || hosted.worked_apart.is_empty() {
            return;
        }
        let mut processes = std::mem::take(&mut hosted.worked_apart);
        processes.sort();
        processes.dedup();
        let who = Holders { processes, may_be_more: false }.in_words();
        let warning = data_file::alerts::of_ended_strays(data_file, &who);
        self.say(data_file, warning);
    }

    pub(super) fn survey(&mut self, data_file: &Path) {
        self.look_now(data_file, None);
    }

    /// Surveys a data file, with all that is looked at only now and then otherwise where somebody asked.
    pub(super) fn look_now(&mut self, data_file: &Path, asked: Option<Reply>) {
        let Some(hosted) = self.data_files.at_mut(data_file) else { return };
        let size = hosted.status().facts.size_bytes;
        hosted.surveyed = Some((Instant::now(), size));
        let (path, known, own) = (data_file.to_path_buf(), hosted.settings.clone(), self.config.settings_dir.clone());
        let (data_file, data) = (path.clone(), self.config.data_dir.clone());
        let (log, of, is_asked) = (hosted.log.clone().filter(|_| asked.is_some()), path.clone(), asked.is_some());
        let journal = self.recorder.asker();
        self.run_beside(
            move || {
                // What was found of its archives is read below.
                journal.flush();
                // What was committed before the question is in the answer.
                let _ = log.map(|log| log.flush());
                // A job that just ended noted in them what the engine has not seen yet.
                let read = SettingsFile::load(&path, &own).ok();
                let is_whole = |read: &SettingsFile| {
                    known.is_blank() || !read.is_blank() && (known.lack_notes() || !read.lack_notes())
                };
                let is_meant = |read: &SettingsFile| is_whole(read) && read.mistake(&known).is_none();
                let settings = read.filter(is_meant).unwrap_or_else(|| known.clone());
                let mut surveyed = data_file::survey(&path, &settings, &own, &data);
                surveyed.users = is_asked.then(|| data_file::look_at_processes(&[of]).pop()).flatten();
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
        let Some(hosted) = self.data_files.at_mut(data_file) else { return };
        hosted.lost = surveyed.facts.as_ref().err().filter(|e| is_lost(e.kind)).cloned().map(said_of_known);
        let lost = hosted.lost.clone();
        // What a job noted in them is known at once; what a person changed is taken up with its consequences.
        let is_same = surveyed.settings.settings().revision() == hosted.settings.settings().revision();
        let is_mistaken = surveyed.settings.mistake(&hosted.settings).is_some();
        // One that began before the file was changed, or before it was written again as it was, read what is not in it
        // now: it must not put away what was said of that.
        let is_now = surveyed.settings.news().is_none();
        if is_same && !is_mistaken && is_now && surveyed.settings.is_other_reading(&hosted.settings) {
            // It was understood: a mistake that was in it is mended.
            hosted.edit().settings_problem = None;
            hosted.adopt(surveyed.settings.clone());
        }
        hosted.mark = Some(Arc::clone(&surveyed.mark));
        let status = hosted.edit();
        if let Ok(facts) = surveyed.facts.clone() {
            (status.facts, status.problem) = (facts, None);
        }
        data_file::take_survey(status, surveyed);
        // The log, the client and the settings too.
        let changed = asked.is_some() && hosted.look(&self.config.settings_dir);
        let status = hosted.edit();
        status.problem = lost.or(status.problem.take());
        self.show_findings(Some(data_file));
        self.note_last_backups(Some(data_file));
        self.touch(data_file);
        if changed {
            // Whoever asks must not have the log stay as it was: the next look finds nothing new.
            self.follow_settings(data_file, LogStart::Chosen { switch_to_wal: false });
            self.survey(data_file);
        }
        self.begin_automatic(data_file);
        if asked.is_some() {
            // What others wrote to the Backup journal belongs to the answer.
            self.follow_history(asked);
        }
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
            let status = self.data_files.status(path);
            let is_logged =
                |status: &DataFileStatus| status.log.is_some() && status.facts.journal_mode == JournalMode::Wal;
            status.is_some_and(|status| is_logged(status) || !status.waiting.is_empty())
        };
        let logged: Vec<PathBuf> = marks.iter().map(|(path, _)| path.clone()).filter(is_in_the_way).collect();
        self.run_beside(
            move || {
                let waiting = data_file::look_who_waits(&logged);
                let changed = marks.into_iter().filter(|(_, mark)| !mark.is_same_now()).map(|(path, _)| path);
                let apart = data_file::look_who_is_apart(&logged);
                Ok((changed.collect(), waiting, apart))
            },
            |seen| {
                let (changed, waiting, apart) = seen.unwrap_or_default();
                Message::Watched { changed, waiting, apart }
            },
        );
    }

    /// Looks closely at data files that a program seems to read with another WAL: it may have ended before all are
    /// looked at again, and nobody would know of what it committed.
    pub(super) fn note_apart(&mut self, apart: Vec<PathBuf>) {
        let is_news = |path: &PathBuf| self.data_files.status(path).is_some_and(|status| status.strays.is_empty());
        let news: Vec<PathBuf> = apart.into_iter().filter(is_news).collect();
        if !news.is_empty() {
            self.look_at_processes(news);
        }
    }

    /// Shows who waits for a data file, and for a while who did: it may give up before anybody looks.
    pub(super) fn note_waiting(&mut self, waiting: Vec<(PathBuf, Vec<Process>)>) {
        let now = Instant::now();
        for (path, processes) in waiting {
            let Some(hosted) = self.data_files.at_mut(&path) else { continue };
            if !processes.is_empty() {
                hosted.waited = Some(now);
                self.let_have(&path, &processes);
            } else if hosted.waited.is_some_and(|at| now - at < WAITED_SHOWN) {
                continue;
            }
            let known = self.data_files.status(&path).map(|status| &status.waiting);
            if known.is_some_and(|known| *known != processes)
                && let Some(status) = self.edit_data_file(&path)
            {
                status.waiting = processes;
            }
        }
    }
}
