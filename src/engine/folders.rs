//! Whether the folders for archives and of the log are still those that were used: looked at as often as the data file,
//! never on the engine's own thread, since a disk that is gone may not answer.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use super::{
    data_file::{FoldersSeen, LogStart},
    message::Message,
    status::Event,
    worker::Worker,
};
use crate::{
    backup::{marks, places::Purpose},
    error::{Error, ErrorKind, ErrorReport, Result},
    journal::CaptureStatus,
    settings::SettingsFile,
};

/// A disk that has not answered for so long is not known to be there.
const ANSWER_MAX: Duration = Duration::from_secs(8);

impl Worker {
    /// Has the folders of a data file looked at, unless that is still being done.
    pub(super) fn look_at_folders(&mut self, data_file: &Path, now: Instant) {
        let Some(hosted) = self.data_files.at_mut(data_file) else { return };
        if let Some(asked) = hosted.folders_asked {
            if now - asked >= ANSWER_MAX {
                self.folders_silent(data_file, now - asked);
            }
            return;
        }
        hosted.folders_asked = Some(now);
        let (data_file, settings) = (data_file.to_path_buf(), hosted.settings.clone());
        self.beside("look at folders", move || Message::FoldersSeen {
            seen: FoldersSeen::look(&data_file, &settings),
            data_file,
        });
    }

    /// The disk of one of the folders does not answer; nobody knows which, and neither is known to be there.
    fn folders_silent(&mut self, data_file: &Path, time: Duration) {
        let Some(status) = self.data_files.status(data_file) else { return };
        if status.destination_problem.is_some() && (status.log_folder_problem.is_some() || status.log_file.is_none()) {
            return;
        }
        let folder = status.destination.display();
        let message = format!("the disk of {folder}, or that of the log, has not answered for {} s", time.as_secs());
        let hint =
            "Look at that disk, or at the network when it is another machine's. What is there is not known until then.";
        let error = Error::new(ErrorKind::PlaceMissing, message).hint(hint).report();
        if let Some(status) = self.edit_data_file(data_file) {
            // The log is not released: to end it would mean to wait for that disk too.
            if status.log_file.is_some() {
                status.log_folder_problem.get_or_insert_with(|| error.clone());
            }
            status.destination_problem.get_or_insert(error);
        }
    }

    pub(super) fn folders_seen(&mut self, data_file: &Path, seen: FoldersSeen) {
        let FoldersSeen { archives, log } = seen;
        let Some(hosted) = self.data_files.at_mut(data_file) else { return };
        hosted.folders_asked = None;
        let are_read_only = [archives.is_read_only, log.as_ref().is_some_and(|log| log.is_read_only)];
        let were_read_only = std::mem::replace(&mut hosted.are_read_only, are_read_only);
        let choice_failed = hosted.choice_failed.clone();
        let Some(known) = self.data_files.status(data_file) else { return };
        let with_choice = |problem: Option<ErrorReport>, purpose| {
            let failed = choice_failed.as_ref().filter(|(of, _)| *of == purpose);
            problem.map(|problem| match failed {
                Some((_, why)) => ErrorReport {
                    message: format!("{}; it could not be chosen anew: {why}", problem.message),
                    ..problem
                },
                None => problem,
            })
        };
        // What was chosen meanwhile is looked at the next time.
        let is_destination = archives.folder == known.destination;
        let problem = with_choice(archives.problem, Purpose::Archives);
        let (was_missing, is_missing) = (known.destination_problem.is_some(), problem.is_some());
        if is_destination {
            let is_news = was_missing != is_missing || were_read_only != are_read_only;
            if known.destination_problem != problem
                && let Some(status) = self.edit_data_file(data_file)
            {
                status.destination_problem = problem;
            }
            if is_news {
                self.survey(data_file);
            }
        }
        self.log_folder_seen(data_file, log.map(|log| with_choice(log.problem, Purpose::Log)).unwrap_or_default());
    }

    /// A log whose folder is not there any more is released, and opened again when it is back.
    fn log_folder_seen(&mut self, data_file: &Path, problem: Option<ErrorReport>) {
        let Some(status) = self.data_files.status(data_file).filter(|s| s.log_folder_problem != problem) else {
            return;
        };
        let was_missing = status.log_folder_problem.is_some();
        // Of another log than the one in use: that one goes on, and why the other one cannot be used is said.
        let is_other = |log: &CaptureStatus| status.log_file.as_ref() != Some(&log.log);
        if problem.is_some() && status.log.as_ref().is_some_and(is_other) {
            return;
        }
        if let Some(status) = self.edit_data_file(data_file) {
            status.log_folder_problem.clone_from(&problem);
        }
        let Some(hosted) = self.data_files.at_mut(data_file) else { return };
        let Some(error) = problem else {
            if was_missing && hosted.log.is_none() && hosted.log_opening.is_none() {
                self.follow_settings(data_file, LogStart::Known);
            }
            return;
        };
        let Some(log) = hosted.log.take() else { return };
        hosted.log_slot.set(None, false);
        hosted.log_failed = Some(Instant::now());
        hosted.log_attempt += 1;
        // To end it may mean to wait for a disk that is gone.
        let ended = std::thread::Builder::new().name("end log".to_owned()).spawn(move || drop(log));
        if let Err(error) = ended {
            tracing::error!(%error, "no thread");
        }
        if let Some(status) = self.edit_data_file(data_file) {
            (status.log, status.log_starting, status.log_problem) = (None, false, Some(error.clone()));
        }
        self.news.push(Event::LogRefused { data_file: data_file.to_path_buf(), error });
    }

    /// Takes a folder as it is there now for the one to be used.
    pub(super) fn choose_anew(&mut self, data_file: &Path, purpose: Purpose) -> Result<()> {
        let hosted = self.data_files.at_mut(data_file).ok_or_else(|| Self::not_open(data_file))?;
        hosted.choice_failed = None;
        let (data_file, own) = (data_file.to_path_buf(), self.config.settings_dir.clone());
        let (of, known) = (data_file.clone(), hosted.settings.clone());
        self.run_beside(
            move || {
                let mut settings = SettingsFile::load_meant(&data_file, &own, &known)?;
                marks::choose_anew(&data_file, &mut settings, &own, purpose).map(|_| settings)
            },
            move |chosen| Message::ChosenAnew {
                data_file: of,
                purpose,
                result: chosen.map(Box::new).map_err(|e| e.report()),
            },
        );
        Ok(())
    }

    pub(super) fn chosen_anew(
        &mut self,
        data_file: &Path,
        purpose: Purpose,
        result: std::result::Result<Box<SettingsFile>, ErrorReport>,
    ) {
        let Some(hosted) = self.data_files.at_mut(data_file) else { return };
        let settings = match result {
            Ok(settings) => *settings,
            Err(error) => {
                hosted.choice_failed = Some((purpose, error.clone()));
                self.news.push(Event::CommandRefused(error));
                return;
            }
        };
        hosted.adopt(settings);
        let status = hosted.edit();
        match purpose {
            Purpose::Archives => status.destination_problem = None,
            Purpose::Log => status.log_folder_problem = None,
        }
        self.touch(data_file);
        self.follow_settings(data_file, LogStart::Chosen { switch_to_wal: false });
        self.survey(data_file);
    }
}
