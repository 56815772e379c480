//! A full backup as the settings say: the backup itself, and the old ones that it makes superfluous.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crossbeam_channel::Sender;

use super::{
    config::Config,
    data_file::{self, log_slot::LogSlot, proving::is_wanted},
    found, history,
    job::Work,
    kept,
    message::Message,
    status::JobReport,
};
use crate::{
    archive::{
        Archive, ArchiveOptions,
        catalog::ArchiveEntry,
        hold::{self, Hold},
        writer::OnFull,
    },
    backup::{
        self, BackupReport, Change, Deleted,
        changed::{self, Compared},
        content::{disks, gone},
        modified,
        retention::When,
        soundness::Finding,
    },
    control::{Control, Question},
    drill,
    error::{Error, ErrorKind, ErrorReport, Result},
    journal::{Capture, integrate::Until},
    restore::Logs,
    settings::{self, SettingsFile, sections::DeleteOldest},
    sqlite::{
        data_file::{JournalMode, identify},
        seen::ContentCheck,
    },
    storage::{Disk, Ownership},
};

/// So long a backup waits for an answer: the WAL grows meanwhile.
const ANSWER_MAX: Duration = Duration::from_secs(15 * 60);
/// So long a backup waits for a log that is being opened: afterwards it is made without.
const LOG_WAIT: Duration = Duration::from_secs(60);
/// Times that a backup begins anew because the data file was replaced meanwhile.
const ATTEMPTS: u32 = 3;
/// The same where programs that write to the data file wait too.
const ANSWER_MAX_WRITERS_WAIT: Duration = Duration::from_secs(2 * 60);
/// Settings that were written within this time may be half written; so often they are waited for, each time so long.
const SETTLED_AFTER: Duration = Duration::from_secs(2);
const SETTLED_TRIES: u32 = 40;
const SETTLED_PAUSE: Duration = Duration::from_millis(250);

/// A backup that was stopped while it asked has not failed; one that got no answer says how it can.
fn if_full(error: Error, options: ArchiveOptions, control: &Control) -> Error {
    if error.kind() != ErrorKind::NoSpace || options.segment_bytes.is_none() {
        return error;
    }
    if control.is_stopped() {
        return Error::stopped();
    }
    let hint = "Free space on that disk, or choose a folder on another disk. Started from a window or a terminal, a \
                backup in segments asks for another folder to go on in.";
    Error::new(error.kind(), error.message()).hint(hint).because(error)
}

/// What a backup job needs to know.
pub(super) struct BackupJob {
    pub(super) data_file: PathBuf,
    /// The program's settings folder.
    pub(super) own: PathBuf,
    /// A folder for this archive only; then no old ones are deleted.
    pub(super) to: Option<PathBuf>,
    log: Arc<LogSlot>,
    /// The settings as the engine knows them, for when somebody has just deleted the file.
    pub(super) known: Option<SettingsFile>,
    /// How this archive is stored; otherwise as the settings say.
    pub(super) options: Option<ArchiveOptions>,
    /// Archives that another job reads.
    pub(super) busy: Vec<PathBuf>,
    /// Whether no backup is made of a data file that was not modified since the last one.
    pub(super) only_if_modified: bool,
    /// The folder of the Backup journal, where test restores are made too.
    pub(super) data: PathBuf,
    /// Whether a test restore that the settings want is part of the job; else the engine makes it later.
    pub(super) tests_now: bool,
    /// To the engine.
    messages: Sender<Message>,
}

impl BackupJob {
    pub(super) fn new(
        data_file: &Path,
        config: &Config,
        to: Option<PathBuf>,
        log: Arc<LogSlot>,
        messages: Sender<Message>,
    ) -> Self {
        Self {
            data_file: data_file.to_path_buf(),
            own: config.settings_dir.clone(),
            to,
            log,
            known: None,
            options: None,
            busy: Vec::new(),
            only_if_modified: false,
            data: config.data_dir.clone(),
            // One that ends with its job can make no test restore later.
            tests_now: !config.stays(),
            messages,
        }
    }

    pub(super) fn work(self) -> Work {
        Box::new(move |control| self.run(control))
    }

    fn run(self, control: &Control) -> Result<JobReport> {
        let (mut settings, mistake) = self.settings()?;
        // Deleted or written anew a moment ago, without what the engine will put back.
        if let Some(known) = &self.known {
            settings = settings.going_on_from(known)?;
        }
        // What the Backup journal knows was given to somebody, whatever the settings say now.
        let highest = history::highest_number(&self.data, &self.data_file).map_or(0, |number| number.0);
        if highest > settings.settings().last_number {
            settings.note(&self.own, |s| s.last_number = s.last_number.max(highest))?;
        }
        if self.only_if_modified
            && let Some(since) =
                modified::unmodified_since(&self.data_file, &settings, self.log_in_order().as_deref(), control)?
        {
            return Ok(JobReport::Skipped { since });
        }
        let folder = self.to.clone().unwrap_or_else(|| backup::destination(&self.data_file, &settings));
        let mut deleted = Deleted::default();
        // Whoever was about to keep more must not lose them for a mistake in writing so.
        let deletes = mistake.is_none() && settings.unknown().is_empty() && !settings.is_stand_in();
        if deletes && settings.settings().keep.delete_oldest == DeleteOldest::Before {
            deleted = self.delete_old(&settings, When::BeforeBackup, None, control)?;
        }
        let data_file = &self.data_file;
        let options = self.options.unwrap_or(settings.settings().archive);
        let asked = |full: &Path, bytes: u64| self.ask_for_folder(full, bytes, control);
        let on_full: Option<OnFull<'_>> = if control.is_attended() { Some(&asked) } else { None };
        let (own, ask) = (&self.own, (on_full, true));
        let mut attempt = 1;
        let mut has_log;
        let made = loop {
            let log = self.log_in_order();
            has_log = log.is_some() || settings.settings().log.file.is_none();
            let log = log.as_deref();
            let made = backup::run_asking(&Disk, data_file, &mut settings, own, &folder, log, options, ask, control);
            match made {
                // The file that is there now is the one to back up.
                Err(error) if error.kind() == ErrorKind::Replaced && attempt < ATTEMPTS && !control.is_stopped() => {
                    attempt += 1;
                }
                made => break made,
            }
        };
        let made = made.map_err(|error| if_full(error, options, control));
        let mut report = made.map_err(|error| match (deleted.in_words(), error.report()) {
            (Some(words), report) => {
                // The administrator must know, all the more since no new one was made.
                let hint = report.hint.map_or_else(|| words.clone(), |hint| format!("{hint} {words}"));
                Error::new(report.kind, report.message).hint(hint).because(error)
            }
            _ => error,
        })?;
        if !has_log && report.log_problem.is_none() {
            report.log_problem = Some(self.no_log(&settings));
        }
        if self.tests_now && is_wanted(settings.settings().proof.test_restore, &report) {
            self.test(&mut report, control);
        }
        // The new archive is verified now, whichever way the settings say; a stop changes nothing of that.
        let held = self.hold_if_changed(&settings, &mut report);
        let later = match held.and_then(|()| self.remember_chosen(&mut settings, &report)) {
            Ok(()) if !deletes => Deleted::default(),
            Ok(()) => {
                let made = Some((report.archive.as_path(), report.seen.check));
                self.delete_old(&settings, When::Now, made, &Control::default())?
            }
            // Whatever would be deleted now might be what the administrator needs.
            Err(error) => Deleted { problem: Some(error.report()), ..Deleted::default() },
        };
        report.deleted = Deleted {
            numbers: [deleted.numbers, later.numbers].concat(),
            files: [deleted.files, later.files].concat(),
            bytes: deleted.bytes + later.bytes,
            problem: later.problem.or(deleted.problem),
        };
        report.settings_mistake = mistake;
        self.have_it_seen();
        Ok(JobReport::Backup(report))
    }

    /// The settings to go by. A mistake that somebody makes while he edits them ends no backup: it goes by the last
    /// that were in force, and says so. What is just being written is waited for: half of it would have backups
    /// deleted.
    fn settings(&self) -> Result<(SettingsFile, Option<ErrorReport>)> {
        // An identity that is noted nowhere would make the archive that of another data file.
        let Some(known) = self.known.as_ref().filter(|known| known.settings().data_file_id.is_some()) else {
            return Ok((SettingsFile::load(&self.data_file, &self.own)?, None));
        };
        let mut tries = 0;
        let error = loop {
            let read = SettingsFile::load_meant(&self.data_file, &self.own, known);
            // What the program itself has noted in them since is no change.
            let chosen = known.settings().revision();
            let is_new = read.as_ref().map_or(true, |read| read.settings().revision() != chosen);
            if is_new && tries < SETTLED_TRIES && known.was_written_within(SETTLED_AFTER) {
                std::thread::sleep(SETTLED_PAUSE);
                tries += 1;
                continue;
            }
            match read {
                Ok(read) => return Ok((read, None)),
                Err(error) => break error,
            }
        };
        let meant = match error.kind() {
            ErrorKind::Partial => format!(" {}", settings::meant(&self.data_file)),
            _ => String::new(),
        };
        let mistake = Error::new(error.kind(), error.message()).hint(format!(
            "This backup was made as they said before. Mend the file: no old backup is deleted until then.{meant}"
        ));
        Ok((known.last_good(), Some(mistake.report())))
    }

    /// What is to be said of a backup that was made without the log that the settings name.
    fn no_log(&self, settings: &SettingsFile) -> ErrorReport {
        let log = settings.settings().log.file.clone().unwrap_or_default();
        Error::new(ErrorKind::Partial, format!("the log {} is not running", log.display()))
            .hint("Commits after this backup are not recorded. Look at the status of the data file for the reason.")
            .report()
    }

    /// The log, with everything in it that is committed: one that is being opened is waited for, and one that is no
    /// longer what its path names is found out by asking it.
    fn log_in_order(&self) -> Option<Arc<Capture>> {
        let log = self.log.await_running(LOG_WAIT)?;
        match log.flush() {
            Err(error) if error.kind() == ErrorKind::Replaced => self.log.await_running(LOG_WAIT),
            // Whatever else is the matter with it is found again where it is cut, and said.
            _ => Some(log),
        }
    }

    /// Has the engine know the new archive before it tells of the backup: who is told of it must not be told in the
    /// same breath that there is none.
    fn have_it_seen(&self) {
        if let Ok((settings, _)) = self.settings() {
            let surveyed = Ok(Box::new(data_file::survey(&self.data_file, &settings, &self.own, &self.data)));
            let _ = self.messages.send(Message::Surveyed { data_file: self.data_file.clone(), asked: None, surveyed });
        }
    }

    /// Asks whoever sits before a window or terminal in which folder the next segment goes, until it is one that can be
    /// written.
    fn ask_for_folder(&self, full: &Path, bytes: u64, control: &Control) -> Option<PathBuf> {
        let mode = identify(&self.data_file).map(|facts| facts.journal_mode);
        // The state backed up is held meanwhile.
        let limit = if matches!(mode, Ok(JournalMode::Wal)) { ANSWER_MAX } else { ANSWER_MAX_WRITERS_WAIT };
        let mut problem = None;
        loop {
            let until = control.clock().local() + limit;
            let folder = control.ask(Question { full: full.to_path_buf(), bytes, until, problem }, limit)?;
            match self.require_writable(&folder) {
                Ok(()) => return Some(folder),
                Err(error) => problem = Some(error.report()),
            }
        }
    }

    fn require_writable(&self, folder: &Path) -> Result<()> {
        if !folder.is_absolute() {
            return Err(Error::new(ErrorKind::UnsafePath, format!("{} is no full path", folder.display()))
                .hint("Give the folder with its full path."));
        }
        backup::make_folder(folder, Ownership::for_content_of(&self.data_file))?;
        tempfile::tempfile_in(folder).map_err(|e| Error::io("write to the folder", folder, e)).map(drop)
    }

    /// Restores the new archive for a test, where its records and indexes were not checked while it was made.
    fn test(&self, report: &mut BackupReport, control: &Control) {
        if matches!(report.seen.check, ContentCheck::Whole | ContentCheck::Damaged) {
            return;
        }
        let (archive, mut found) = (report.archive.clone(), None);
        let mut note = |finding: Finding| found = Some(finding);
        let tested = drill::examine((&archive, &[]), Logs::None, Until::End, &self.data, &mut note, control);
        match (tested, found) {
            (Ok(proof), _) => {
                (report.seen.check, report.seen.note) = (ContentCheck::Whole, None);
                let _ = self.messages.send(Message::Looked(found::proven(&proof, &[])));
                let _ = self.messages.send(Message::Proved(proof));
            }
            (Err(_), Some(finding)) => {
                (report.seen.check, report.seen.note) = (ContentCheck::Damaged, Some(finding.error.message.clone()));
                let _ = self.messages.send(Message::Looked(found::unproven(finding)));
            }
            // Stopped, no space, an extension that is missing: nothing is known of the content, and that is said.
            (Err(error), None) => report.seen.note = Some(error.message().to_owned()),
        }
    }

    /// Notes that it was said what became of what was chosen: only now, since what it was before would be forgotten.
    /// Where the backup before could not be held, or nobody was told, as of a backup that lies elsewhere or that a
    /// restore in place makes, the next one says it.
    fn remember_chosen(&self, settings: &mut SettingsFile, report: &BackupReport) -> Result<()> {
        match self.to {
            Some(_) => Ok(()),
            None => settings.note(&self.own, |settings| disks::remember(settings, &report.chosen)),
        }
    }

    /// Holds the backup before, when the new one holds drastically other content.
    fn hold_if_changed(&self, settings: &SettingsFile, report: &mut BackupReport) -> Result<()> {
        if self.to.is_some() {
            return Ok(());
        }
        let settings = settings.settings();
        let known = history::known_archives(&self.data_file, settings, &self.data)?;
        let own = |entry: &&ArchiveEntry| entry.is_of(settings.data_file_id);
        let Some(new) = known.iter().find(|entry| entry.path == report.archive) else { return Ok(()) };
        let earlier = |entry: &&ArchiveEntry| {
            entry.number < new.number && entry.check != ContentCheck::Damaged && entry.problem.is_none()
        };
        let Some(before) = known.iter().filter(own).find(earlier) else { return Ok(()) };
        let is_whole = |entry: &&ArchiveEntry| earlier(entry) && entry.not_whole == Some(0);
        let whole = known.iter().filter(own).find(is_whole).unwrap_or(before);
        // That what was chosen is another one now is said once; whoever misses that must still find what it held.
        if let Some(first) = report.content.differs.first().cloned() {
            hold_before(whole, new, &first, report)?;
        }
        if !report.content.roots.is_empty() {
            let (old, now) = (Archive::open(&whole.path)?, Archive::open(&new.path)?);
            if let Some(what) = gone::lost(old.items(), now.items(), &report.content) {
                let said = report.change.as_ref().map(|change| format!("{}; ", change.what)).unwrap_or_default();
                hold_before(whole, new, &format!("{said}{what}"), report)?;
            }
        }
        // The only backup whose log leads to what was committed.
        if report.is_not_led_to {
            let said = report.change.as_ref().map(|change| format!("{}; ", change.what)).unwrap_or_default();
            let what = format!("{said}pages of it were changed without a commit");
            hold_before(before, new, &what, report)?;
        }
        if report.seen.check == ContentCheck::Damaged {
            return Ok(());
        }
        let (Some(old), Some(now)) = (Compared::of(before), Compared::of(new)) else { return Ok(()) };
        let Some(what) = changed::lost(old, now) else { return Ok(()) };
        let what = report.change.as_ref().map_or_else(|| what.clone(), |chosen| format!("{what}; {}", chosen.what));
        hold_before(before, new, &what, report)?;
        // An older one that was held for the same reason, and held no more than this, is not needed any more.
        let superseded = |entry: &&ArchiveEntry| {
            entry.number < before.number
                && entry.hold.as_ref().is_some_and(|hold| hold.automatic && !is_of_chosen(hold))
                && Compared::of(entry).is_some_and(|older| changed::lost(older, old).is_none())
        };
        for entry in known.iter().filter(own).filter(superseded) {
            hold::release(&entry.path)?;
        }
        Ok(())
    }

    fn delete_old(
        &self,
        settings: &SettingsFile,
        when: When,
        made: Option<(&Path, ContentCheck)>,
        control: &Control,
    ) -> Result<Deleted> {
        // Of a copy that goes by the settings of another nobody can tell which logs are its own.
        if self.to.is_some() || settings.copied_from().is_some() {
            return Ok(Deleted::default());
        }
        kept::delete_old(&self.data_file, (settings, self.data.as_path()), (when, self.busy.as_slice()), made, control)
    }
}

/// Whether an archive is held for a chosen file or folder: records tell nothing of that.
fn is_of_chosen(hold: &Hold) -> bool {
    hold.note.as_ref().is_some_and(|note| note.contains(disks::CHOSEN))
}

/// Holds `before`, since `new` lacks what it holds, and says so in the report.
fn hold_before(before: &ArchiveEntry, new: &ArchiveEntry, what: &str, report: &mut BackupReport) -> Result<()> {
    report.change = Some(Change { since: before.number, what: what.to_owned() });
    if before.hold.is_none() {
        let note = format!("backup {} holds drastically other content: {what}", new.number);
        let hold = Hold { note: Some(note), since: Some(report.moment), automatic: true };
        hold::hold(&before.path, &hold)?;
    }
    Ok(())
}
