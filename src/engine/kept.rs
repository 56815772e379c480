//! Which backups are kept: what is found of archives, which are held, and the old ones that go once a new one is
//! proven.

use std::path::{Path, PathBuf};

use super::{
    command::JobId,
    history::{self, JobKind},
    message::Message,
    status::{Event, FinishedJob, JobReport},
    worker::Worker,
};
use crate::{
    archive::{
        catalog::ArchiveEntry,
        hold::{self, Hold},
    },
    backup::{
        Deleted,
        retention::{self, When},
    },
    control::Control,
    error::Result,
    settings::SettingsFile,
    sqlite::seen::ContentCheck,
    storage::Disk,
};

/// Deletes the old backups that the settings do not keep. `proven` is an archive that was read just now, with what is
/// known of its content, and `data` the folder of the Backup journal.
///
/// # Errors
/// `Stopped`.
pub(super) fn delete_old(
    data_file: &Path,
    (file, data): (&SettingsFile, &Path),
    (when, busy): (When, &[PathBuf]),
    proven: Option<(&Path, ContentCheck)>,
    control: &Control,
) -> Result<Deleted> {
    let settings = file.settings();
    if settings.keep.all {
        return Ok(Deleted::default());
    }
    let known = match history::known_archives(data_file, settings, data) {
        Ok(mut known) => {
            // What was found a moment ago may not be noted yet.
            for archive in &mut known {
                archive.check =
                    proven.filter(|(path, _)| *path == archive.path).map_or(archive.check, |(_, check)| check);
            }
            known
        }
        Err(error) => return Ok(Deleted { problem: Some(error.report()), ..Deleted::default() }),
    };
    let sets = retention::sets(data_file, settings, &known, file.trust());
    let old = retention::plan(&sets, &settings.keep, when, busy);
    let old = retention::unless_proven(old, &sets, proven.map(|(path, _)| path), control)?;
    Ok(retention::delete(&Disk, &old))
}

impl Worker {
    /// A backup was proven by a test restore: now it may push out old ones.
    pub(super) fn delete_old(&mut self, data_file: &Path, finished: &FinishedJob) {
        let Ok(JobReport::TestRestore(proof)) = &finished.result else { return };
        let is_backed_up = self.refuse_while(data_file, &[JobKind::Backup, JobKind::RestoreInPlace]).is_err();
        let Some(hosted) = self.data_files.at(data_file).filter(|_| !is_backed_up) else { return };
        // Whoever was about to keep more must not lose them for a mistake in writing so.
        if hosted.settings.is_stand_in() || !hosted.settings.unknown().is_empty() {
            return;
        }
        let own = self.config.settings_dir.clone();
        let (settings, data) = (hosted.settings.clone(), self.config.data_dir.clone());
        let (path, job, proven, busy) =
            (data_file.to_path_buf(), finished.id, proof.archive.clone(), self.busy_archives());
        let data_file = path.clone();
        let journal = self.recorder.asker();
        self.run_beside(
            move || {
                journal.flush();
                let is_meant = SettingsFile::load_meant(&path, &own, &settings).is_ok();
                if !is_meant || settings.copied_from().is_some() {
                    return Ok(Deleted::default());
                }
                let (rule, control) = ((When::Now, busy.as_slice()), Control::default());
                delete_old(&path, (&settings, &data), rule, Some((&proven, ContentCheck::Whole)), &control)
            },
            move |deleted| {
                let failed =
                    |error: crate::error::Error| Deleted { problem: Some(error.report()), ..Deleted::default() };
                Message::OldDeleted { data_file, job, deleted: deleted.unwrap_or_else(failed) }
            },
        );
    }

    /// Notes it with the test restore that allowed it.
    pub(super) fn old_deleted(&mut self, data_file: &Path, job: JobId, deleted: &Deleted) {
        let problem =
            deleted.problem.as_ref().map(|error| format!("Old backups could not be deleted: {}.", error.message));
        let words: Vec<String> = [deleted.in_words(), problem].into_iter().flatten().collect();
        if words.is_empty() {
            return;
        }
        if let Some(mut entry) = self.status.history.iter().find(|entry| entry.id == job).cloned() {
            let note: Vec<String> = entry.note.take().into_iter().chain(words).collect();
            entry.note = Some(note.join(" "));
            self.record(&entry);
        }
        self.survey(data_file);
    }

    pub(super) fn hold(&self, archive: PathBuf, note: Option<String>) {
        let since = Some(self.now().fixed_offset());
        self.run_beside(move || hold::hold(&archive, &Hold { note, since, automatic: false }), Message::Held);
    }

    pub(super) fn release(&self, archive: PathBuf) {
        self.run_beside(move || hold::release(&archive).map(|(released, _)| released), Message::Held);
    }

    /// Shows what is held now, or why that could not be changed.
    pub(super) fn was_held(&mut self, held: Result<ArchiveEntry>) {
        match held {
            Ok(archive) => self.survey_of(&archive.path),
            Err(error) => self.news.push(Event::CommandRefused(error.report())),
        }
    }

    /// What is known of an archive has changed.
    pub(super) fn survey_of(&mut self, archive: &Path) {
        let holds =
            |archives: &[ArchiveEntry]| archives.iter().any(|known| known.files.iter().any(|file| file == archive));
        let of = self.data_files.iter().find(|d| holds(&d.status().archives)).map(|d| d.path().to_path_buf());
        if let Some(data_file) = of {
            self.survey(&data_file);
        }
    }
}
