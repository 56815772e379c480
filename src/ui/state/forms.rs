//! What was entered and chosen in the dialogs and on the pages, and is not carried out yet.

use std::{collections::HashSet, path::PathBuf};

use crate::{
    activity::query::Source,
    archive::catalog::ArchiveEntry,
    engine::{
        Answer, JobId, Query,
        history::{JobKind, Outcome},
        query::{ArchiveLook, RecoverLook},
    },
    error::ErrorReport,
    journal::integrate::Until,
    restore::Logs,
    service::install::Plan,
    ui::{
        answers::Answers,
        dialogs::{plan::Line, timeline::TimelineForm},
    },
};

/// The form of *Backup…*.
#[derive(Debug)]
pub(crate) struct BackupForm {
    /// Canonical path of the data file.
    pub(crate) data_file: PathBuf,
}

/// The form of *Restore…*.
#[derive(Debug)]
pub(crate) struct RestoreForm {
    /// The archive.
    pub(crate) archive: PathBuf,
    /// Names of the items that are not wanted.
    pub(crate) unwanted: HashSet<String>,
    /// The folder as typed or chosen; `None` while the proposed one is in force.
    pub(crate) destination: Option<String>,
    /// How far to integrate the logs that continue the archive.
    pub(crate) log: LogChoice,
    /// The moment as typed.
    pub(crate) moment: String,
    /// The commit number as typed.
    pub(crate) commit: String,
    /// The live data file that is to be brought to that state; `None` for a restore into a folder.
    pub(crate) in_place: Option<PathBuf>,
    /// The limit that the engine was asked about last.
    pub(crate) asked: Option<Until>,
    /// Logs that lie elsewhere, which the user named.
    pub(crate) logs: Vec<PathBuf>,
    /// Folders that hold segments of the archive, besides its own.
    pub(crate) segments: Vec<PathBuf>,
    /// The logs in which is counted what leaves the data file, where somebody has looked at them.
    pub(crate) counts: Option<Source>,
    /// The commit after which it was counted last, and when, in the window's own time.
    pub(crate) counted: Option<(u64, f64)>,
    /// The timeline that a moment is picked on.
    pub(crate) timeline: TimelineForm,
    /// The plan as it was told last.
    pub(crate) plan: Vec<Line>,
}

/// How far to integrate the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogChoice {
    /// Everything there is.
    End,
    /// Up to a moment.
    Moment,
    /// Up to a commit.
    Commit,
    /// Nothing: the state of the archive itself.
    None,
}

impl RestoreForm {
    /// The form for `archive`, with everything that it holds.
    pub(crate) fn new(archive: PathBuf, segments: Vec<PathBuf>, in_place: Option<PathBuf>) -> Self {
        Self {
            archive,
            segments,
            unwanted: HashSet::new(),
            destination: None,
            log: LogChoice::End,
            moment: String::new(),
            commit: String::new(),
            in_place,
            asked: None,
            logs: Vec::new(),
            counts: None,
            counted: None,
            timeline: TimelineForm::default(),
            plan: Vec::new(),
        }
    }

    /// The logs that are looked at.
    pub(crate) fn logs(&self) -> Logs {
        if self.logs.is_empty() { Logs::Found } else { Logs::Also(self.logs.clone()) }
    }

    /// What the archive says of itself, with these logs.
    pub(crate) fn question(&self) -> Query {
        let (path, segments) = (self.archive.clone(), self.segments.clone());
        Query::Archive { path, segments, logs: self.logs() }
    }

    /// The answer, once it was read.
    pub(crate) fn look(&self, answers: &Answers) -> Option<ArchiveLook> {
        answers.look(&self.question())
    }
}

/// The form of *Hold archive…*.
#[derive(Debug)]
pub(crate) struct HoldForm {
    /// The archive.
    pub(crate) archive: PathBuf,
    /// The reason as typed.
    pub(crate) note: String,
    /// Whether it was just opened: the field for the note gets the focus.
    pub(crate) is_new: bool,
}

/// The form of *Repair archive…*.
#[derive(Debug)]
pub(crate) struct RepairForm {
    /// The archive.
    pub(crate) archive: PathBuf,
    /// Folders that hold segments of it, besides its own.
    pub(crate) segments: Vec<PathBuf>,
    /// The file as typed or chosen; `None` while the proposed one is in force.
    pub(crate) to: Option<String>,
}

/// The form of *Recover…*.
#[derive(Debug)]
pub(crate) struct RecoverForm {
    /// The damaged file, by the name that it has where it lies.
    pub(crate) data_file: PathBuf,
    /// The new file as typed or chosen; `None` while the proposed one is in force.
    pub(crate) to: Option<String>,
    /// Whether deleted records are kept.
    pub(crate) with_deleted: bool,
}

impl RecoverForm {
    pub(crate) fn new(data_file: PathBuf) -> Self {
        Self { data_file, to: None, with_deleted: false }
    }

    /// What a recovery would begin with, once that was looked at; where nobody could look, why.
    pub(crate) fn look<'a>(&self, answers: &'a Answers) -> Option<Result<&'a RecoverLook, &'a ErrorReport>> {
        match answers.to(&Query::Recover { data_file: self.data_file.clone() })? {
            Ok(Answer::Recover(look)) => Some(Ok(look)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        }
    }

    /// The new file as it is shown: the proposed one until another one is typed or chosen.
    pub(crate) fn shown_to(&self, answers: &Answers) -> PathBuf {
        let proposed = || Some(self.look(answers)?.ok()?.to.clone());
        self.to.as_ref().map(PathBuf::from).or_else(proposed).unwrap_or_default()
    }
}

/// The form that asks for missing segments.
#[derive(Debug)]
pub(crate) struct SegmentsForm {
    /// The archive.
    pub(crate) archive: PathBuf,
    /// Folders that hold segments of it, besides its own.
    pub(crate) segments: Vec<PathBuf>,
    /// What is done when all are there.
    pub(crate) then: Then,
}

/// What is to be done with an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Verify it.
    Verify,
    /// Open the dialog *Repair archive…*.
    Repair,
    /// A test restore.
    TestRestore,
}

/// The form of *Install as a service…*.
#[derive(Debug)]
pub(crate) struct ServiceForm {
    /// The data files that it would look after: those of this window.
    pub(crate) data_files: Vec<PathBuf>,
    /// What installing it does, or why it cannot be done here.
    pub(crate) plan: Result<Plan, ErrorReport>,
    /// Whether the window closes when the service has the data files.
    pub(crate) quits: bool,
}

/// Which restore in place is to be undone.
#[derive(Debug)]
pub(crate) struct UndoForm {
    /// Canonical path of the data file.
    pub(crate) data_file: PathBuf,
    /// The restore in place.
    pub(crate) of: JobId,
}

/// The form of *Compact data…*.
#[derive(Debug)]
pub(crate) struct CompactForm {
    /// Canonical path of the data file.
    pub(crate) data_file: PathBuf,
}

/// Which report is shown.
#[derive(Debug)]
pub(crate) struct ReportForm {
    /// Canonical path of the data file.
    pub(crate) data_file: PathBuf,
    /// The verification that wrote it.
    pub(crate) job: JobId,
    /// Whether only what is not sound is listed.
    pub(crate) problems_only: bool,
}

/// The form of *Create sample…*.
#[derive(Debug)]
pub(crate) struct SampleForm {
    /// The folder as typed or chosen.
    pub(crate) folder: String,
}

/// A message with a path to copy, perhaps.
#[derive(Debug)]
pub(crate) struct MessageForm {
    /// The title.
    pub(crate) title: String,
    /// What happened.
    pub(crate) error: ErrorReport,
    /// A path that the administrator may want to copy.
    pub(crate) path: Option<PathBuf>,
}

/// The form of the Restore page.
#[derive(Debug, Default)]
pub(crate) struct ArchivesForm {
    /// The archive selected in the table.
    pub(crate) selected: Option<PathBuf>,
    /// The one that counts as selected until somebody selects one.
    pub(crate) proposed: Option<PathBuf>,
    /// In which pass that was drawn last.
    pub(crate) drawn: u64,
    /// The archive whose logs were asked for last.
    pub(crate) logs: Option<LogsAsked>,
    /// Whether that was answered.
    pub(crate) logs_answered: bool,
    /// The archives that are shown, in order, and of which data file: rows do not move under the pointer.
    pub(crate) shown: (PathBuf, Vec<ArchiveEntry>),
}

/// An archive whose logs were asked for, and what was known then.
#[derive(Debug, PartialEq)]
pub(crate) struct LogsAsked {
    /// The archive.
    pub(crate) archive: PathBuf,
    /// Folders that hold segments of it, besides its own.
    pub(crate) segments: Vec<PathBuf>,
    /// The logs in its folder.
    pub(crate) known: Option<Vec<PathBuf>>,
    /// The log chosen.
    pub(crate) log: Option<PathBuf>,
    /// Whether that is being written.
    pub(crate) is_logged: bool,
    /// The processes of the engines that could answer.
    pub(crate) engines: Vec<u32>,
}

/// The form of the Backup journal.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct JournalForm {
    /// Text to be found in paths, numbers and errors.
    pub(crate) text: String,
    /// Only this kind of job.
    pub(crate) kind: Option<JobKind>,
    /// Only this outcome.
    pub(crate) outcome: Option<Outcome>,
    /// Only jobs of the data file shown.
    pub(crate) this_file_only: bool,
    /// The entry shown in full.
    pub(crate) selected: Option<JobId>,
}
