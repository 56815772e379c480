//! The logs of the data files: opened and closed as the settings say, released for whoever needs a data file for
//! himself, and opened again.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::Local;

use super::{
    data_file::{self, LogStart},
    history::{History, LogEnd},
    message::Message,
    status::Event,
    worker::Worker,
};
use crate::{
    error::{Error, ErrorKind, ErrorReport},
    journal::{Capture, CaptureStatus},
    restore::lost_past::LostPast,
    storage::processes::{Holders, Process},
    warning::{Warning, WarningKind},
};

/// A log that is released so soon after it was opened is left alone for a while.
const AGAIN: Duration = Duration::from_secs(5);

/// What is to be said of a log that lost what it held, before it was opened again.
fn shortened_log(past: &LostPast) -> Warning {
    let (log, at) = (past.log.display(), past.noted.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S"));
    let (first, last) = past.commits();
    let which = match first == last {
        true => format!("commit {last}"),
        false => format!("commits {first} to {last}"),
    };
    Warning::new(
        WarningKind::LogShortened,
        format!(
            "the log {log} lacks {which}, which it held at {at}: while nobody watched it was cut, or an older copy \
             took its place"
        ),
        "The data file still holds what they changed, and the log goes on from there; single moments in between \
         cannot be restored. If another copy of that log exists, keep it: a restore finds it by --log. Check the disk \
         of the log, and put this away when you have seen it.",
    )
}

impl Worker {
    /// Opens or closes the log, so that it is as the settings say.
    pub(super) fn follow_settings(&mut self, data_file: &Path, start: LogStart) {
        let Some(hosted) = self.data_files.at_mut(data_file) else { return };
        let wanted = hosted.settings.settings().log.file.clone();
        let running = hosted.log.as_ref().map(|log| log.status().log);
        let switches = start == (LogStart::Chosen { switch_to_wal: true });
        // Two that open one log at once would find it half begun.
        if wanted.is_some() && (wanted == running || wanted == hosted.log_opening && !switches) {
            if wanted == running && (hosted.log_opening.is_some() || hosted.log_failed.is_some()) {
                // Another one was chosen, which could not be used, and this one again.
                (hosted.log_opening, hosted.log_failed) = (None, None);
                hosted.log_attempt += 1;
                hosted.edit().log_problem = None;
            }
            return;
        }
        match (wanted, running) {
            (Some(wanted), Some(_)) if !self.config.keeps_no_log => self.try_other_log(data_file, wanted, start),
            _ => self.open_wanted(data_file, start),
        }
    }

    /// Has it seen whether `wanted` can be used before the log in use is ended for it: what is committed while none is
    /// open would be in neither.
    fn try_other_log(&mut self, data_file: &Path, wanted: PathBuf, start: LogStart) {
        let Some(hosted) = self.data_files.at_mut(data_file) else { return };
        (hosted.log_failed, hosted.log_opening) = (None, Some(wanted.clone()));
        hosted.log_attempt += 1;
        let (attempt, settings, of) = (hosted.log_attempt, hosted.settings.clone(), data_file.to_path_buf());
        let (data_file, own) = (of.clone(), self.config.settings_dir.clone());
        self.run_beside(
            move || data_file::try_log(&data_file, &settings, &own, (&wanted, start)),
            move |tried| {
                let result = tried.map_err(|error| error.report());
                Message::LogTried { data_file: of, attempt, start, result }
            },
        );
    }

    pub(super) fn log_tried(
        &mut self,
        data_file: &Path,
        attempt: u64,
        start: LogStart,
        result: std::result::Result<(), ErrorReport>,
    ) {
        let Some(hosted) = self.data_files.at_mut(data_file) else { return };
        if hosted.log_attempt != attempt {
            return;
        }
        let Some(wanted) = hosted.log_opening.take() else { return };
        let Err(error) = result else { return self.open_wanted(data_file, start) };
        hosted.log_failed = Some(Instant::now());
        let goes_on = hosted.log.as_ref().map(|log| log.status().log);
        let goes_on = goes_on.map_or_else(String::new, |log| format!("; {} goes on as the log", log.display()));
        let message = format!(
            "the log {}, which the settings name, cannot be used: {}{goes_on}",
            wanted.display(),
            error.message
        );
        let error = ErrorReport { message, ..error };
        if hosted.status().log_problem.as_ref() != Some(&error) {
            hosted.edit().log_problem = Some(error.clone());
            self.news.push(Event::LogRefused { data_file: data_file.to_path_buf(), error });
        }
    }

    /// Ends the log in use, if one is, and opens the one that the settings name.
    fn open_wanted(&mut self, data_file: &Path, start: LogStart) {
        let Some(hosted) = self.data_files.at_mut(data_file) else { return };
        let wanted = hosted.settings.settings().log.file.clone();
        (hosted.log, hosted.log_failed, hosted.log_opening) = (None, None, wanted.clone());
        hosted.log_slot.set(None, wanted.is_some());
        hosted.log_attempt += 1;
        let (attempt, settings, released) = (hosted.log_attempt, hosted.settings.clone(), hosted.log_released.clone());
        let status = hosted.edit();
        (status.log, status.log_starting) = (None, wanted.is_some());
        // While it is only tried again, what was wrong stays to be seen.
        status.log_problem.take_if(|_| wanted.is_none() || start != LogStart::Known);
        if let Some(log) = wanted.as_ref().filter(|_| self.config.keeps_no_log) {
            return self.keep_no_log(data_file, log);
        }
        if let Some(log) = wanted {
            let (data_file, own) = (data_file.to_path_buf(), self.config.settings_dir.clone());
            let (changed, messages, data) = (data_file.clone(), self.messages.clone(), self.config.data_dir.clone());
            // What does not get through while the engine is busy is seen at its next look.
            let waker = move || _ = messages.try_send(Message::LogChanged { data_file: changed.clone() });
            let (of, found) = (data_file.clone(), self.now().to_utc());
            self.run_beside(
                move || {
                    let before = History::glance(&data).and_then(|history| history.log_end(&data_file));
                    let opened = data_file::open_log(&data_file, &settings, &own, (&log, start, released), waker)?;
                    let CaptureStatus { position: now, error, last_commit, .. } = opened.status();
                    // Damage that was found says what became of it.
                    let shortened = before.filter(|before| error.is_none() && before.is_beyond(&log, &now));
                    let lost = shortened.map(|LogEnd { log, position, at: noted }| {
                        let left = (now.commit, last_commit);
                        LostPast { log, position, noted, left, found }
                    });
                    Ok((opened, lost))
                },
                move |opened| Message::LogOpened { result: opened.map_err(|e| e.report()), data_file: of, attempt },
            );
        }
    }

    /// Says of a log that the settings name that it is not kept, because the service was begun so.
    fn keep_no_log(&mut self, data_file: &Path, log: &Path) {
        if let Some(hosted) = self.data_files.at_mut(data_file) {
            hosted.log_opening = None;
            hosted.log_slot.set(None, false);
        }
        let message = format!("the log {} is not kept: the service was begun with --no-log", log.display());
        let hint = "Begin it without --no-log. If no log is wanted, take it off: strongroom settings DATAFILE \
            --default log.file.";
        let error = Error::new(ErrorKind::Refused, message).hint(hint).report();
        if let Some(status) = self.edit_data_file(data_file) {
            (status.log_starting, status.log_problem) = (false, Some(error));
        }
    }

    pub(super) fn log_opened(
        &mut self,
        data_file: &Path,
        attempt: u64,
        result: std::result::Result<(Capture, Option<LostPast>), ErrorReport>,
    ) {
        let Some(hosted) = self.data_files.at_mut(data_file) else { return };
        if hosted.log_attempt != attempt {
            return;
        }
        hosted.log_opening = None;
        let status = hosted.edit();
        status.log_starting = false;
        match result {
            Ok((capture, shortened)) => {
                (status.log, status.log_problem) = (Some(capture.status()), None);
                hosted.log = Some(Arc::new(capture));
                hosted.log_slot.set(hosted.log.clone(), false);
                (hosted.log_released, hosted.log_opened) = (None, Some(Instant::now()));
                self.news.push(Event::LogOpened { data_file: data_file.to_path_buf() });
                self.note_lacking(data_file);
                if let Some(past) = shortened {
                    self.say(data_file, shortened_log(&past));
                    let of = data_file.to_path_buf();
                    self.note(move |history| history.keep_lost_past(&of, &past));
                }
                self.survey(data_file);
            }
            Err(error) => {
                let is_news = status.log_problem.as_ref() != Some(&error);
                status.log_problem = Some(error.clone());
                hosted.log_failed = Some(Instant::now());
                hosted.log_slot.set(None, false);
                if is_news {
                    self.news.push(Event::LogRefused { data_file: data_file.to_path_buf(), error });
                }
            }
        }
    }

    /// The protection by a log changed.
    pub(super) fn log_changed(&mut self, data_file: &Path) {
        let Some(log) = self.data_files.at(data_file).and_then(|h| h.log.as_ref()).map(|log| log.status()) else {
            return;
        };
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
        let Some(hosted) = self.data_files.at_mut(data_file) else { return };
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
        let released = self.data_files.iter().filter(|h| h.log.as_ref().is_some_and(is_closed));
        let released: Vec<PathBuf> = released.map(|h| h.path().to_path_buf()).collect();
        released.iter().for_each(|path| self.log_changed(path));
    }

    /// Lets a program have a data file for itself: it must never fail because of the log, which is opened again when
    /// that is possible.
    pub(super) fn let_have(&mut self, data_file: &Path, processes: &[Process]) {
        let Some(hosted) = self.data_files.at_mut(data_file).filter(|hosted| hosted.log.is_some()) else { return };
        hosted.log = None;
        hosted.log_slot.set(None, false);
        hosted.log_failed = Some(Instant::now());
        let who = Holders { processes: processes.to_vec(), may_be_more: false }.in_words();
        let message =
            format!("the log of {} was released for {who}, which wants the file for itself", data_file.display());
        let hint = "What it commits meanwhile is recorded as one step, when the log can be opened again. Have the \
            program use SQLite's normal locking mode.";
        let error = Error::new(ErrorKind::Busy, message).hint(hint).report();
        if let Some(status) = self.edit_data_file(data_file) {
            (status.log, status.log_problem) = (None, Some(error.clone()));
        }
        self.news.push(Event::LogRefused { data_file: data_file.to_path_buf(), error });
    }
}
