//! Questions to the engine, and what comes back: an answer goes to who asked, and nothing of it into the status.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use crossbeam_channel::{Receiver, TryRecvError};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::command::{JobId, Subject};
use crate::{
    activity::query::{Page, Question, Source},
    archive::segments::Missing,
    as_of::ask,
    backup::{Measure, places::Place},
    error::{Error, ErrorKind, ErrorReport, Result},
    journal::{
        density::Span,
        integrate::{Point, Until},
    },
    maintenance::{RecordsReport, measured},
    recover::{ComparedWith, RecoverReport},
    restore::{Logs, RestorePlan, timeline::Timeline, undo::UndoPlan},
    settings::{Revision, Settings},
    storage::processes::Holders,
    take_back,
};

/// What to do when the engine has ended.
pub(super) const ENDED: &str = "Start the program again, or the service that looked after the data file.";

/// Names a question on a connection, so that its answer is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QueryId(pub Uuid);

impl QueryId {
    /// A new, unique name.
    pub fn new() -> Self {
        Self(Uuid::new_v4())
    }
}

impl Default for QueryId {
    fn default() -> Self {
        Self::new()
    }
}

/// A question. Nothing is changed by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "query", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Query {
    /// What an archive says of itself: [`Answer::Archive`].
    Archive {
        /// The archive.
        path: PathBuf,
        /// Folders that may hold segments of the archive, besides its own.
        #[serde(default)]
        segments: Vec<PathBuf>,
        /// The logs to look at with it.
        #[serde(default)]
        logs: Logs,
    },
    /// The commit that a limit leads to: [`Answer::Point`].
    Point {
        /// The archive.
        archive: PathBuf,
        /// The limit.
        until: Until,
        /// Folders that may hold segments of the archive, besides its own.
        #[serde(default)]
        segments: Vec<PathBuf>,
        /// The logs to look at with it.
        #[serde(default)]
        logs: Logs,
    },
    /// What stands around an archive in time: [`Answer::Timeline`].
    Timeline {
        /// The archive.
        archive: PathBuf,
        /// In which columns of time commits are counted; `None` for the whole.
        #[serde(default)]
        span: Option<Span>,
        /// Folders that may hold segments of the archive, besides its own.
        #[serde(default)]
        segments: Vec<PathBuf>,
        /// The logs to look at with it.
        #[serde(default)]
        logs: Logs,
    },
    /// What is to be said of the places that settings mean which are not in force yet: [`Answer::Places`].
    Places {
        /// Canonical path of the data file.
        data_file: PathBuf,
        /// The settings.
        settings: Settings,
    },
    /// What a file or folder that may become an attachment measures: [`Answer::Measure`].
    Measure {
        /// Canonical path of the data file.
        data_file: PathBuf,
        /// Its full path.
        path: PathBuf,
    },
    /// What undoing a restore in place would do: [`Answer::Undo`].
    Undo {
        /// Canonical path of the data file.
        data_file: PathBuf,
        /// The restore in place.
        of: JobId,
    },
    /// The report of a verification of records, or of a recovery: [`Answer::Report`], [`Answer::Recovered`].
    Report {
        /// Canonical path of the data file.
        data_file: PathBuf,
        /// The job that wrote it.
        job: JobId,
    },
    /// What was changed, as records: [`Answer::Activity`].
    Activity {
        /// Canonical path of the data file; of [`Source::Log`] the log.
        of: PathBuf,
        /// What is asked.
        question: Question,
    },
    /// What would be done to take single changes back: [`Answer::TakeBack`].
    TakeBack {
        /// Canonical path of the data file.
        data_file: PathBuf,
        /// What is asked.
        question: take_back::query::Question,
    },
    /// What a data file held, at a state that is kept open for whoever asks: [`Answer::State`].
    State {
        /// Canonical path of the data file.
        data_file: PathBuf,
        /// What is asked.
        question: ask::Question,
    },
    /// What a recovery of a damaged data file would begin with: [`Answer::Recover`].
    Recover {
        /// Its path, and that of no other name of it; nobody need look after it.
        data_file: PathBuf,
    },
    /// How large the tables of a data file are: [`Answer::Tables`].
    Tables {
        /// Canonical path of the data file.
        data_file: PathBuf,
        /// What is asked.
        question: measured::Question,
    },
    /// How a data file stands now, and not as it was seen last: when [`Answer::Looked`] comes, the status holds it.
    Look {
        /// Canonical path of the data file.
        data_file: PathBuf,
    },
    /// One that only a newer program knows; it is answered by an error.
    #[serde(other)]
    Unknown,
}

impl Query {
    /// What it is about.
    pub fn subject(&self) -> Subject<'_> {
        match self {
            Query::Archive { path, .. }
            | Query::Point { archive: path, .. }
            | Query::Timeline { archive: path, .. } => Subject::Archive(path),
            // A log that lies anywhere is read with the rights of whoever asks.
            Query::Activity { question: Question { source: Source::Log, .. }, .. } | Query::Unknown => Subject::Nothing,
            Query::Activity { of, .. } => Subject::DataFile(of),
            Query::Places { data_file, .. }
            | Query::Measure { data_file, .. }
            | Query::Undo { data_file, .. }
            | Query::Report { data_file, .. }
            | Query::TakeBack { data_file, .. }
            | Query::State { data_file, .. }
            | Query::Recover { data_file }
            | Query::Tables { data_file, .. }
            | Query::Look { data_file } => Subject::DataFile(data_file),
        }
    }

    /// The path that it is about.
    pub fn path(&self) -> &Path {
        match self {
            Query::Archive { path, .. }
            | Query::Point { archive: path, .. }
            | Query::Timeline { archive: path, .. }
            | Query::Activity { of: path, .. } => path,
            Query::Places { data_file, .. }
            | Query::Measure { data_file, .. }
            | Query::Undo { data_file, .. }
            | Query::Report { data_file, .. }
            | Query::TakeBack { data_file, .. }
            | Query::State { data_file, .. }
            | Query::Recover { data_file }
            | Query::Tables { data_file, .. }
            | Query::Look { data_file } => data_file,
            Query::Unknown => Path::new(""),
        }
    }
}

/// What a question is answered by, where it can be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Answer {
    /// What an archive says of itself.
    Archive(Box<ArchiveLook>),
    /// Where a limit leads.
    Point(Point),
    /// What stands where in time.
    Timeline(Box<Timeline>),
    /// The places that settings mean.
    Places(Box<SeenPlaces>),
    /// What would go into an archive.
    Measure(Measure),
    /// What an undo would do.
    Undo(UndoPlan),
    /// What a verification found.
    Report(RecordsReport),
    /// What a recovery would begin with.
    Recover(Box<RecoverLook>),
    /// What a recovery came to.
    Recovered(Box<RecoverReport>),
    /// What was changed.
    Activity(Box<Page>),
    /// What would be done.
    TakeBack(Box<take_back::query::Page>),
    /// What a data file held.
    State(Box<ask::Page>),
    /// How large its tables are.
    Tables(Box<measured::Page>),
    /// The status holds what was asked for.
    Looked,
}

/// What an archive says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArchiveLook {
    /// Segments that were not found.
    pub missing: Option<Missing>,
    /// The name proposed for a sound copy.
    pub copy: PathBuf,
    /// Its description, or why it cannot be read.
    pub result: std::result::Result<RestorePlan, ErrorReport>,
}

/// The places that proposed settings mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenPlaces {
    /// The settings.
    pub revision: Revision,
    /// Why they would be refused, if so.
    pub problem: Option<ErrorReport>,
    /// The key that is the reason: `log.file`.
    #[serde(default)]
    pub conflict: Option<String>,
    /// The folder for archives.
    pub archives: Place,
    /// The folder of the log, if they use one.
    pub log: Option<Place>,
}

/// What a recovery would begin with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecoverLook {
    /// The name proposed for the new file.
    pub to: PathBuf,
    /// The length of the damaged file in bytes; about as much space the new one needs.
    pub bytes: u64,
    /// How much there is on the disk of the proposed name, where that is known.
    pub available_bytes: Option<u64>,
    /// Who has it open.
    pub holders: Holders,
    /// The state of archive and log that it is compared with.
    pub compared: Option<ComparedWith>,
    /// Whether that state is sound, as SQLite finds its pages; `None` where it could not be found out in a few seconds.
    pub is_restorable: Option<bool>,
    /// Why it is compared with nothing.
    pub not_compared: Option<ErrorReport>,
    /// Why it cannot be recovered.
    pub problem: Option<ErrorReport>,
}

/// An answer, or why there is none.
pub type Answered = std::result::Result<Answer, ErrorReport>;

/// The way back to who asked. One that is dropped tells that no answer will come, so that nobody waits for ever.
pub struct Reply(Option<Box<dyn FnOnce(Option<Answered>) + Send>>);

impl Reply {
    /// Calls `tell` once: with the answer, or with `None` when none will come.
    pub fn new(tell: impl FnOnce(Option<Answered>) + Send + 'static) -> Self {
        Self(Some(Box::new(tell)))
    }

    /// Answers.
    pub fn tell(self, answer: Result<Answer>) {
        self.give(answer.map_err(|error| error.report()));
    }

    /// Answers with what another engine answered.
    pub fn give(mut self, answer: Answered) {
        if let Some(tell) = self.0.take() {
            tell(Some(answer));
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(|tell| tell(None));
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").finish_non_exhaustive()
    }
}

/// How it stands with an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Coming {
    /// It may still come.
    Awaited,
    /// It has come.
    Here(Answered),
    /// It will not come: the engine has ended.
    Lost,
}

/// A question that was asked, and its answer when that comes.
#[derive(Debug)]
pub struct Asked(Receiver<Answered>);

impl Asked {
    pub(super) fn new(answer: Receiver<Answered>) -> Self {
        Self(answer)
    }

    /// The answer, if it has come; it is given once.
    pub fn look(&self) -> Coming {
        match self.0.try_recv() {
            Ok(answer) => Coming::Here(answer),
            Err(TryRecvError::Empty) => Coming::Awaited,
            Err(TryRecvError::Disconnected) => Coming::Lost,
        }
    }

    /// Waits for the answer, for at most `limit` where that is said.
    ///
    /// # Errors
    /// What the engine says; that it has ended; `Busy` when the time is over.
    pub fn wait(self, limit: Option<Duration>) -> Result<Answer> {
        let ended = || Error::new(ErrorKind::Refused, "the engine has ended before it answered").hint(ENDED);
        let answer = match limit {
            None => self.0.recv().map_err(|_| ended())?,
            Some(limit) => self.0.recv_timeout(limit).map_err(|e| match e.is_timeout() {
                true => Error::new(ErrorKind::Busy, format!("the engine did not answer within {} s", limit.as_secs()))
                    .hint("A disk may not answer. Try again in a moment."),
                false => ended(),
            })?,
        };
        answer.map_err(Error::from)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    #[test]
    fn a_reply_is_told_once_and_one_that_is_dropped_says_that_nothing_comes() {
        let told: Arc<Mutex<Vec<Option<Answered>>>> = Arc::default();
        let reply = || {
            let told = Arc::clone(&told);
            Reply::new(move |answer| told.lock().unwrap_or_else(PoisonError::into_inner).push(answer))
        };
        reply().tell(Ok(Answer::Looked));
        drop(reply());
        reply().give(Err(Error::stopped().report()));
        let expected = [Some(Ok(Answer::Looked)), None, Some(Err(Error::stopped().report()))];
        assert_eq!(*told.lock().unwrap_or_else(PoisonError::into_inner), expected);
    }

    #[test]
    fn whoever_asked_waits_for_no_answer_of_an_engine_that_has_ended() {
        let (sender, receiver) = crossbeam_channel::bounded(1);
        let asked = Asked::new(receiver);
        assert_eq!(asked.look(), Coming::Awaited);
        drop(sender);
        assert_eq!(asked.look(), Coming::Lost);
        let message = |asked: Asked| asked.wait(None).map_err(|e| e.to_string());
        assert_eq!(message(asked), Err("the engine has ended before it answered".to_owned()));
        let (_sender, receiver) = crossbeam_channel::bounded(1);
        let late = Asked::new(receiver).wait(Some(Duration::from_millis(1)));
        assert_eq!(late.map_err(|e| e.kind()), Err(ErrorKind::Busy));
    }
}
