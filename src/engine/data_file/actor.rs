//! One data file that the engine looks after: its lock, its settings, its log, what is due, and its status.

use std::{
    path::{Path, PathBuf},
    process::Child,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Local, TimeDelta, Utc};

use super::{alerts::warnings, lock::DataFileLock, log_slot::LogSlot, mark::Mark, proving::Proving};
use crate::{
    backup::{self, places::Purpose},
    engine::{
        command::JobId,
        status::{DataFileId, DataFileStatus},
    },
    error::{ErrorKind, ErrorReport, Result, foreign::foreign},
    journal::{Capture, Lacking},
    schedule::automatic::{Automatic, Reason},
    settings::{Seen, SettingsFile},
    storage::processes::Process,
    warning::{Warning, WarningKind},
};

/// The schedule of a data file is asked again after so long, whatever it said: clocks are set.
const ASK_AGAIN: TimeDelta = TimeDelta::seconds(30);
/// A data file that grew or shrank by a tenth is looked at as a whole again, at most so often.
const SURVEY_AGAIN: Duration = Duration::from_secs(10);
/// How often a log that could not be opened is tried again.
const LOG_RETRY: Duration = Duration::from_secs(3);

/// What is known of a data file: its status, which everybody may see, and what only its care needs.
pub(in crate::engine) struct DataFile {
    status: Arc<DataFileStatus>,
    /// Whether something has changed that may be worth a warning.
    is_touched: bool,
    /// Other names that it was opened by: links, which can be moved to another file.
    pub(in crate::engine) names: Vec<PathBuf>,
    pub(in crate::engine) settings: SettingsFile,
    pub(in crate::engine) client: Option<Child>,
    /// Why SQLite cannot open the data file any more, since it was looked at last.
    pub(in crate::engine) lost: Option<ErrorReport>,
    /// What the Backup journal remembers of its automatic backups, until they are taken up.
    pub(in crate::engine) remembered: Option<Automatic>,
    /// What is known of its automatic backups, once its archives are.
    pub(in crate::engine) automatic: Option<Automatic>,
    /// When it was last asked what to do, and until when there is nothing.
    pub(in crate::engine) asked: Option<(DateTime<Utc>, Option<DateTime<Utc>>)>,
    /// What is to be proven of it.
    pub(in crate::engine) proving: Proving,
    /// The one that runs.
    pub(in crate::engine) automatic_job: Option<(JobId, Reason)>,
    /// The log, while it runs; shared with the backup that cuts it.
    pub(in crate::engine) log: Option<Arc<Capture>>,
    /// The same for jobs that wait while it is being opened.
    pub(in crate::engine) log_slot: Arc<LogSlot>,
    /// When it was opened last.
    pub(in crate::engine) log_opened: Option<Instant>,
    /// Why the log was released, until it is open again.
    pub(in crate::engine) log_released: Option<ErrorReport>,
    /// The log that is being opened.
    pub(in crate::engine) log_opening: Option<PathBuf>,
    /// What the data file lacked when the log was opened, once that was seen.
    pub(in crate::engine) lacking: Option<Lacking>,
    /// Which attempt to open the log counts: the answer to an older one is dropped.
    pub(in crate::engine) log_attempt: u64,
    /// When the last attempt failed.
    pub(in crate::engine) log_failed: Option<Instant>,
    /// Since when its folders are being looked at, whether they are those that were used.
    pub(in crate::engine) folders_asked: Option<Instant>,
    /// Whether the disks of the folders for archives and of the log were read-only when they were looked at last.
    pub(in crate::engine) are_read_only: [bool; 2],
    /// Why the folder for archives, or of the log, could not be chosen anew.
    pub(in crate::engine) choice_failed: Option<(Purpose, ErrorReport)>,
    /// Whether it is to be looked at as a whole, since its settings name another data file or identity.
    pub(in crate::engine) is_to_be_surveyed: bool,
    /// How a settings file looked that may be half written, and since when it looks so.
    pub(super) unsettled: Option<(Seen, Instant)>,
    /// What was done about settings that were written anew without what was noted in them, until it is said.
    pub(in crate::engine) taken_over: Option<Warning>,
    /// When it was looked at as a whole, and its size then.
    pub(in crate::engine) surveyed: Option<(Instant, u64)>,
    /// When a program was last seen waiting for it.
    pub(in crate::engine) waited: Option<Instant>,
    /// Programs that worked with another WAL at two looks in a row.
    pub(in crate::engine) worked_apart: Vec<Process>,
    /// The folders of its archives as they were then.
    pub(in crate::engine) mark: Option<Arc<Mark>>,
    lock: DataFileLock,
}

impl DataFile {
    /// One that was just opened, by this name.
    pub(super) fn new(status: DataFileStatus, settings: SettingsFile, lock: DataFileLock, asked: PathBuf) -> Self {
        Self {
            names: Some(asked).filter(|asked| *asked != status.facts.path).into_iter().collect(),
            status: Arc::new(status),
            is_touched: true,
            settings,
            client: None,
            lost: None,
            remembered: None,
            automatic: None,
            asked: None,
            proving: Proving::default(),
            automatic_job: None,
            log: None,
            log_slot: Arc::default(),
            log_released: None,
            log_opened: None,
            lacking: None,
            log_attempt: 0,
            log_failed: None,
            log_opening: None,
            folders_asked: None,
            are_read_only: [false; 2],
            choice_failed: None,
            is_to_be_surveyed: false,
            unsettled: None,
            taken_over: None,
            surveyed: None,
            mark: None,
            waited: None,
            worked_apart: Vec::new(),
            lock,
        }
    }

    /// Its name in the status.
    pub(in crate::engine) fn id(&self) -> DataFileId {
        self.status.id
    }

    /// Its canonical path.
    pub(in crate::engine) fn path(&self) -> &Path {
        &self.status.facts.path
    }

    /// What everybody may see of it.
    pub(in crate::engine) fn status(&self) -> &Arc<DataFileStatus> {
        &self.status
    }

    /// The same, to be changed.
    pub(in crate::engine) fn edit(&mut self) -> &mut DataFileStatus {
        self.is_touched = true;
        Arc::make_mut(&mut self.status)
    }

    /// What is to be said of it may have changed.
    pub(in crate::engine) fn touch(&mut self) {
        self.is_touched = true;
    }

    /// Brings its warnings up to date, if something has changed.
    pub(in crate::engine) fn update_warnings(&mut self, now: &DateTime<Local>) {
        if !std::mem::take(&mut self.is_touched) {
            return;
        }
        let (wanted, known) = (warnings(&self.status, now), &self.status.warnings);
        if *known == wanted {
            return;
        }
        // A service has nobody who looks: what its settings do not do must be read in its messages.
        let of_settings = wanted.iter().filter(|warning| warning.kind == WarningKind::Settings);
        for new in of_settings.filter(|warning| !known.contains(warning)) {
            tracing::warn!("{}. {}", foreign(&new.message), foreign(new.hint.as_deref().unwrap_or_default()));
        }
        Arc::make_mut(&mut self.status).warnings = wanted;
    }

    /// Sees that no other engine can look after the data file too.
    ///
    /// # Errors
    /// `InUse` when one does.
    pub(in crate::engine) fn keep_lock(&mut self, address: Option<&str>) -> Result<()> {
        match self.lock.keep(&self.status.facts.path, address) {
            Err(error) if error.kind() == ErrorKind::InUse => Err(error),
            // Where its folder is away, the data file is too, and that is said.
            _ => Ok(()),
        }
    }

    /// Whether there is nothing to do by the schedule at `now`, as far as was seen when it was asked last: not long
    /// ago, and by a clock that was not set back since.
    pub(in crate::engine) fn may_wait(&self, now: DateTime<Utc>) -> bool {
        self.asked
            .is_some_and(|(asked, next)| now >= asked && now - asked < ASK_AGAIN && next.is_none_or(|next| now < next))
    }

    /// Whether the log, which could not be opened, is to be tried again: a disk may have come back, a program have
    /// ended.
    pub(in crate::engine) fn is_log_due(&self, now: Instant) -> bool {
        self.log_failed.is_some_and(|at| now - at >= LOG_RETRY)
    }

    /// Whether what the last survey told of `size` is out of date: the space required, pages, tables.
    pub(in crate::engine) fn has_outgrown(&self, now: Instant) -> bool {
        let size = self.status.facts.size_bytes;
        self.surveyed.is_some_and(|(at, then)| now - at >= SURVEY_AGAIN && size.abs_diff(then) > then / 10)
    }

    /// Puts settings in force.
    pub(in crate::engine) fn adopt(&mut self, settings: SettingsFile) {
        (self.settings, self.asked) = (settings, None);
        self.is_touched = true;
        let status = Arc::make_mut(&mut self.status);
        status.destination = backup::destination(&status.facts.path, &self.settings);
        status.destination_is_default = self.settings.settings().destination.folder.is_none();
        status.log_file = self.settings.settings().log.file.clone();
        status.settings = self.settings.settings().clone();
        status.settings_file = self.settings.path().to_path_buf();
        status.settings_unknown = self.settings.unknown().to_vec();
        status.settings_from = None;
    }
}
