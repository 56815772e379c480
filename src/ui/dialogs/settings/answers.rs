//! What the settings dialog asks the engine while settings are only thought of: what is the matter with their places,
//! and what files and folders measure. The answers are found by what was asked.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::form::SettingsForm;
use crate::{
    backup::{self, Measure, places::Place},
    engine::{Answer, Host, Query, query::SeenPlaces, status::DataFileStatus},
    error::{Error, ErrorKind, ErrorReport},
    settings::Revision,
    storage,
    ui::answers::View,
};

/// So many files and folders are measured at a time.
const MEASURED_AT_ONCE: usize = 16;
/// After this time without an answer, as from a disk that does not answer, other places are looked at.
const PATIENCE: Duration = Duration::from_secs(3);

impl SettingsForm {
    /// Whether the log is refused at this place: on a network drive, unless the administrator insists.
    pub(super) fn refuses_log_at(&self, place: Option<&Place>) -> bool {
        self.log_is_new() && !self.draft.log.allow_network && place.is_some_and(is_network)
    }

    /// The first path of the content that cannot go into an archive at all.
    pub(super) fn content_refused(&self) -> Option<&ErrorReport> {
        let content = &self.draft.content;
        let errors =
            content.program.iter().chain(&content.attachments).filter_map(|path| self.measure(path)?.as_ref().err());
        errors.into_iter().find(|error| error.kind == ErrorKind::Settings)
    }

    /// What a file or folder of the content measures, once that is known.
    pub(super) fn measure(&self, path: &Path) -> Option<&Result<Measure, ErrorReport>> {
        self.measured.get(path)
    }

    /// The folder for archives as it is found.
    pub(super) fn archives_place<'a>(
        &'a self,
        status: &'a View<'_>,
        data_file: &'a DataFileStatus,
    ) -> Option<&'a Place> {
        let folder = backup::destination_by(&self.data_file, &self.draft);
        self.place(status, |seen| Some(&seen.archives), data_file.archives_place.as_ref(), &folder)
    }

    /// The folder of the log as it is found.
    pub(super) fn log_place<'a>(&'a self, status: &'a View<'_>, data_file: &'a DataFileStatus) -> Option<&'a Place> {
        let log = self.log_file();
        self.place(status, |seen| seen.log.as_ref(), data_file.log_place.as_ref(), storage::folder_of(&log))
    }

    /// What was found for exactly these settings, else what is known of the same folder.
    fn place<'a>(
        &'a self,
        status: &'a View<'_>,
        of: impl Fn(&'a SeenPlaces) -> Option<&'a Place>,
        in_force: Option<&'a Place>,
        folder: &Path,
    ) -> Option<&'a Place> {
        let seen = || status.answers.places(&self.data_file);
        let revision = self.settings().revision();
        let exact = seen().find(|seen| seen.revision == revision).and_then(&of);
        exact.or_else(|| seen().filter_map(&of).chain(in_force).find(|place| place.folder == folder))
    }

    /// Why the engine would refuse these settings, as soon as it has looked at them: what it says of the keys of a
    /// section.
    pub(super) fn conflict<'a>(&'a self, status: &'a View<'_>, section: &str) -> Option<&'a ErrorReport> {
        let revision = self.settings().revision();
        let seen = status.answers.places(&self.data_file).find(|seen| seen.revision == revision)?;
        seen.problem.as_ref().filter(|_| seen.conflict.as_ref().is_some_and(|key| key.starts_with(section)))
    }

    /// Takes what the engine has brought; returns what it is to be asked.
    pub(super) fn follow(&mut self, status: &View<'_>, now: Instant) -> Vec<Query> {
        let question = |path: &PathBuf| Query::Measure { data_file: self.data_file.clone(), path: path.clone() };
        for path in self.asked.iter().filter(|path| !self.measured.contains_key(*path)).cloned().collect::<Vec<_>>() {
            let answer = match status.answers.to(&question(&path)) {
                Some(Ok(Answer::Measure(measure))) => Ok(measure.clone()),
                // Nobody looks after the data file now: it is asked again when somebody does.
                Some(Err(error)) if error.kind == ErrorKind::Refused => continue,
                Some(Err(error)) => Err(error.clone()),
                _ => continue,
            };
            self.measured.insert(path, answer);
        }
        let content = self.draft.content.program.iter().chain(&self.draft.content.attachments);
        let waiting = self.asked.iter().filter(|path| !self.measured.contains_key(*path)).count();
        let room = MEASURED_AT_ONCE.saturating_sub(waiting);
        let paths: Vec<PathBuf> = content.filter(|path| !self.asked.contains(*path)).take(room).cloned().collect();
        let mut queries: Vec<Query> = paths.iter().map(question).collect();
        self.asked.extend(paths);
        // One look at a time, so that every letter of a path does not begin another.
        let settings = self.settings();
        let known = |revision: &Revision| status.answers.places(&self.data_file).any(|seen| seen.revision == *revision);
        let is_free = self
            .looked
            .as_ref()
            .is_none_or(|(asked, since)| known(asked) || now.saturating_duration_since(*since) > PATIENCE);
        let revision = settings.revision();
        if is_free && self.looked.as_ref().is_none_or(|(asked, _)| *asked != revision) {
            self.looked = Some((revision, now));
            queries.push(Query::Places { data_file: self.data_file.clone(), settings });
        }
        queries
    }

    /// The engine that was asked is gone: what it has not answered is asked anew, as soon as somebody looks after the
    /// data file again.
    pub(super) fn unanswered(&mut self, host: Host) {
        self.looked = None;
        let measured = &self.measured;
        self.asked.retain(|path| measured.contains_key(path));
        if self.is_waiting() {
            let message =
                format!("{host} has ended before it answered: whether the settings were changed is not known");
            let hint = "When the data file is looked after again, they are shown as they are then.";
            self.refuse(Error::new(ErrorKind::Refused, message).hint(hint).report());
        }
    }

    /// How long to wait for the places asked for before others are looked at; `None` when nothing is asked for.
    pub(super) fn patience(&self, status: &View<'_>) -> Option<Duration> {
        let (asked, _) = self.looked.as_ref()?;
        let is_known = status.answers.places(&self.data_file).any(|seen| seen.revision == *asked);
        (*asked != self.settings().revision() && !is_known).then_some(PATIENCE)
    }
}

/// Whether a place is on a network drive.
pub(super) fn is_network(place: &Place) -> bool {
    place.disk.as_ref().is_some_and(|disk| disk.is_network)
}
