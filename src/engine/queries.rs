//! How questions are answered: what the engine knows is put together at once, and a few threads look at the rest.

use std::path::Path;

use super::{
    activity::Logged,
    history::History,
    in_care::{LOOK_WAIT, with_running},
    query::{Answer, ArchiveLook, Query, Reply, SeenPlaces},
    undo,
    worker::Worker,
};
use crate::{
    activity::query::Source,
    archive::segments,
    backup::{
        self,
        places::{self, Purpose},
    },
    control::Control,
    error::{Error, ErrorKind, Result},
    journal::integrate,
    maintenance::{RecordsReport, tables::Last},
    repair, restore,
    settings::Settings,
    storage::{self, disks::System},
};

/// What is done on a thread to answer.
type Look = Box<dyn FnOnce() -> Result<Answer> + Send>;

impl Worker {
    /// Answers a question, some time.
    pub(super) fn answer(&mut self, query: Query, reply: Reply) {
        if let Query::Look { data_file } = &query {
            return match self.data_files.at(data_file).is_some() {
                true => self.look_now(&data_file.clone(), Some(reply)),
                false => reply.tell(Err(Self::not_open(data_file))),
            };
        }
        let path = query.path().to_path_buf();
        match self.prepare(query) {
            Ok(look) => self.questions.run_in(&path, look, move |answer| reply.tell(answer)),
            Err(error) => reply.tell(Err(error)),
        }
    }

    fn prepare(&self, query: Query) -> Result<Look> {
        Ok(match query {
            Query::Archive { path, segments: folders, logs } => {
                let in_care = self.in_care(&path);
                Box::new(move || {
                    let missing = segments::missing(&path, &folders);
                    let (log, origin) = in_care.of(&path, &folders, LOOK_WAIT);
                    let (logs, origin) = with_running(logs, log.as_deref(), origin);
                    let copy = repair::propose_copy(&path, storage::folder_of(&path));
                    let plan = restore::plan_with(&path, &folders, &logs, &origin);
                    Ok(Answer::Archive(Box::new(ArchiveLook { missing, copy, result: plan.map_err(|e| e.report()) })))
                })
            }
            Query::Point { archive, until, segments: folders, logs } => {
                let in_care = self.in_care(&archive);
                Box::new(move || {
                    let (log, origin) = in_care.of(&archive, &folders, LOOK_WAIT);
                    let (logs, origin) = with_running(logs, log.as_deref(), origin);
                    // Asked for at every letter that somebody types, beside a plan that was made from the records.
                    let look = integrate::Look::Indexes;
                    restore::find_point(&archive, &folders, (&logs, &origin), until, look).map(Answer::Point)
                })
            }
            Query::Timeline { archive, span, segments: folders, logs } => {
                let in_care = self.in_care(&archive);
                Box::new(move || {
                    let (log, origin) = in_care.of(&archive, &folders, LOOK_WAIT);
                    let (logs, origin) = with_running(logs, log.as_deref(), origin);
                    let found = restore::timeline::timeline(&archive, &folders, (&logs, &origin), span)?;
                    Ok(Answer::Timeline(Box::new(found)))
                })
            }
            Query::Places { data_file, settings } => {
                let known = self.data_files.status(&data_file).ok_or_else(|| Self::not_open(&data_file))?;
                let required = known.plan.as_ref().map(|plan| plan.required_bytes);
                Box::new(move || Ok(Answer::Places(Box::new(look_at_places(&data_file, &settings, required)))))
            }
            Query::Measure { data_file, path } => {
                let hosted = self.data_files.at(&data_file).ok_or_else(|| Self::not_open(&data_file))?;
                let settings = hosted.settings.settings().clone();
                Box::new(move || {
                    backup::measure(&data_file, &settings, &path, &Control::default()).map(Answer::Measure)
                })
            }
            Query::Undo { data_file, of } => {
                let done = self.done_in_place(&data_file, of)?;
                let hosted = self.data_files.at(&data_file).ok_or_else(|| Self::not_open(&data_file))?;
                let (log, settings) = (hosted.log.clone(), hosted.settings.settings().clone());
                let own = self.config.settings_dir.clone();
                Box::new(move || undo::plan(&data_file, &done, (&settings, &own), log.as_deref()).map(Answer::Undo))
            }
            Query::Report { job, .. } => {
                let (data, recorder) = (self.config.data_dir.clone(), self.recorder.asker());
                Box::new(move || {
                    // One that was made just now may not be written yet.
                    recorder.flush();
                    let text = History::glance(&data).map_or(Ok(None), |history| history.report(job))?;
                    text.and_then(|text| report_of(&text)).ok_or_else(|| {
                        Error::new(ErrorKind::NotFound, "the report is not kept any more")
                            .hint("The last 20 of each kind and data file are kept. Do it once more.")
                    })
                })
            }
            Query::Activity { of, question } => {
                let settings = match question.source {
                    Source::Log => None,
                    _ => Some(self.data_files.at(&of).ok_or_else(|| Self::not_open(&of))?.settings.clone()),
                };
                let (settings_dir, data_dir) = (self.config.settings_dir.clone(), self.config.data_dir.clone());
                let logged = Logged { path: of, settings, settings_dir, data_dir };
                let activities = self.activities.clone();
                Box::new(move || activities.answer(logged, &question).map(Box::new).map(Answer::Activity))
            }
            Query::TakeBack { data_file, question } => {
                let settings =
                    self.data_files.at(&data_file).ok_or_else(|| Self::not_open(&data_file))?.settings.clone();
                let identity = settings.settings().data_file_id;
                let (settings_dir, data_dir) = (self.config.settings_dir.clone(), self.config.data_dir.clone());
                let logged = Logged { path: data_file, settings: Some(settings), settings_dir, data_dir };
                let take_backs = self.take_backs.clone();
                Box::new(move || take_backs.answer(logged, identity, &question).map(Box::new).map(Answer::TakeBack))
            }
            Query::State { data_file, question } => {
                self.data_files.at(&data_file).ok_or_else(|| Self::not_open(&data_file))?;
                let (states, found) = (self.states.clone(), self.found_of(&data_file, false));
                Box::new(move || states.answer(found, &question).map(Box::new).map(Answer::State))
            }
            Query::Recover { data_file } => Box::new(self.recover_look(data_file)),
            Query::Tables { data_file, question } => {
                let known = self.data_files.status(&data_file).ok_or_else(|| Self::not_open(&data_file))?;
                let last = known.own_archives().next().and_then(Last::of);
                let (looks, clock) = (self.looks.clone(), self.config.clock.clone());
                Box::new(move || looks.answer(data_file, last, &clock, &question).map(Box::new).map(Answer::Tables))
            }
            Query::Look { data_file } => return Err(Self::not_open(&data_file)),
            Query::Unknown => {
                return Err(Error::new(ErrorKind::Refused, "this engine does not know the question")
                    .hint("It is older than whoever asks. Restart it, so that both are the same program."));
            }
        })
    }
}

/// A report as it was kept: of a verification of records, or of a recovery.
fn report_of(text: &str) -> Option<Answer> {
    let records: Option<RecordsReport> = serde_json::from_str(text).ok();
    let recovered = || serde_json::from_str(text).ok().map(Box::new).map(Answer::Recovered);
    records.map(Answer::Report).or_else(recovered)
}

/// The places that `settings`, which are not in force yet, mean for archives and log.
fn look_at_places(data_file: &Path, settings: &Settings, required: Option<u64>) -> SeenPlaces {
    let system = System::now();
    let look = |purpose| places::look(system.as_ref(), data_file, settings, purpose, required);
    SeenPlaces {
        archives: look(Purpose::Archives),
        log: settings.log.file.as_ref().map(|_| look(Purpose::Log)),
        problem: settings.check(data_file).err().map(|error| error.report()),
        conflict: settings.first_conflict(data_file).map(|(key, _)| key.to_owned()),
        revision: settings.revision(),
    }
}
