//! Opening the log of a data file: its folder, its archive, the log itself. Takes its time, and runs on a thread.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use uuid::Uuid;

use crate::{
    archive::{Archive, ItemKind, catalog::ArchiveEntry},
    backup::{
        self, led_to, marks,
        places::{self, Purpose},
    },
    control::Control,
    error::{Error, ErrorKind, ErrorReport, Result},
    journal::{Capture, CaptureConfig, LastArchive, Position, place, reader::LogReader, written_by},
    settings::{Settings, SettingsFile, copies},
    sqlite::data_file,
    storage::installation::Installation,
    storage::{self, disks::System},
};

/// How long opening a log waits for a data file that is locked.
const LOCK_WAIT: Duration = Duration::from_secs(3);

/// Why a log is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum LogStart {
    /// It was in use before: that it is missing is worth saying.
    Known,
    /// It was chosen just now.
    Chosen {
        /// Whether to switch the data file to WAL mode first.
        switch_to_wal: bool,
    },
}

/// Sees that the log of `data_file`, as its settings say, can be opened, as far as that can be told while another one
/// is in use: its folder is made where [`open_log`] would.
///
/// # Errors
/// Why it cannot.
pub(in crate::engine) fn try_log(
    data_file: &Path,
    settings: &SettingsFile,
    own: &Path,
    (log, start): (&Path, LogStart),
) -> Result<()> {
    let mut settings = settings.clone();
    if let Some(from) = settings.copied_from() {
        return Err(copies::shared(data_file, from));
    }
    place::require_free(log, data_file, settings.settings().data_file_id)?;
    ready_folder(data_file, &mut settings, own, (log, start))?;
    let folder = storage::folder_of(log);
    tempfile::tempfile_in(folder).map_err(|e| Error::io("write to the folder", folder, e))?;
    #[cfg(unix)]
    if log.symlink_metadata().is_ok() {
        rustix::fs::access(log, rustix::fs::Access::WRITE_OK).map_err(|e| Error::io("write to", log, e.into()))?;
    }
    Ok(())
}

/// Sees that the folder of the log is the one to be used, and makes it where it was just chosen. Returns the newest
/// archive that was cut from the log.
fn ready_folder(
    data_file: &Path,
    settings: &mut SettingsFile,
    own: &Path,
    (log, start): (&Path, LogStart),
) -> Result<Option<ArchiveEntry>> {
    places::refuse_network_log(System::now().as_ref(), log, settings.settings())?;
    marks::look(data_file, settings.settings(), Purpose::Log)?;
    let newest = newest_with_log(data_file, settings, log)?;
    marks::require_log(data_file, settings.settings(), newest.is_some())?;
    // One that could not be begun when it was chosen is begun now: beside the data file, no disk can be missing that it
    // has not.
    let folder = storage::folder_of(log);
    let is_new = newest.is_none() && !folder.exists() && folder.parent() == data_file.parent();
    if start != LogStart::Known || is_new {
        // Of one in use a folder that was never marked is made by nobody: that would hide that its disk is not mounted.
        marks::prepare(data_file, settings, own, Purpose::Log)?;
    }
    Ok(newest)
}

/// Opens the log of `data_file`, as its settings say; may take its time.
///
/// `waker` is called when its protection changes.
pub(in crate::engine) fn open_log(
    data_file: &Path,
    settings: &SettingsFile,
    own: &Path,
    (log, start, released): (&Path, LogStart, Option<ErrorReport>),
    waker: impl Fn() + Send + Sync + 'static,
) -> Result<Capture> {
    if start == (LogStart::Chosen { switch_to_wal: true }) {
        data_file::switch_to_wal(data_file)?;
    }
    let mut settings = settings.clone();
    // Its log would be that of the other, and hold the commits of both.
    if let Some(from) = settings.copied_from() {
        return Err(copies::shared(data_file, from));
    }
    place::refuse_other_file(log, data_file)?;
    let identity = settings.settings().data_file_id.unwrap_or_else(Uuid::new_v4);
    let (here, writer) = (Installation::of(data_file), written_by(log));
    let is_of_other = !settings.settings().may_have_written(writer, here);
    settings.note(own, |s| {
        s.data_file_id = Some(identity);
        here.map(|here| s.note_made_in(here));
    })?;
    let newest = ready_folder(data_file, &mut settings, own, (log, start))?;
    let mut config = CaptureConfig::new(data_file, log, identity);
    // One that was only named in the settings was never there.
    let was_begun = settings.settings().log_begun.as_deref() == Some(log) || newest.is_some();
    config.is_expected = start == LogStart::Known && was_begun;
    config.released = released;
    (config.installation, config.is_of_other) = (here, is_of_other);
    config.is_restored = here.is_some() && settings.settings().restored == here;
    // Where that is not known, nothing is brought back from it unasked.
    config.is_moved = !writer.zip(here).is_some_and(|(writer, here)| writer.is_same_machine(here));
    config.waker = Some(Arc::new(waker));
    config.last_archive = newest.and_then(|archive| {
        let identity = Archive::glance(&archive.path).ok()?;
        Some(LastArchive {
            position: identity.log_position?,
            moment: identity.moment.to_utc(),
            page_size: identity.page_size,
            page_count: identity.page_count,
            previous_log: backup::archived_log(log, data_file, archive.number),
        })
    });
    let (path, mut file) = (data_file.to_path_buf(), settings.clone());
    config.read_base = Some(Arc::new(move |position: &Position, sink: &mut dyn FnMut(&[u8]) -> Result<()>| {
        read_archive_at(&path, settings.settings(), position, sink)
    }));
    let asked = Instant::now();
    loop {
        match Capture::start(config.clone()) {
            // Whoever closes the data file last has it for itself for a moment.
            Err(e) if e.kind() == ErrorKind::Busy && asked.elapsed() < LOCK_WAIT => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(capture) => {
                // One that an earlier version used is marked, now that its log was found.
                let _ = marks::adopt(data_file, &mut file, own, Purpose::Log);
                // Where it cannot be noted, one that goes missing before the first backup is not told from a new one.
                if file.settings().log_begun.as_deref() != Some(log) {
                    let _ = file.note(own, |s| s.log_begun = Some(log.to_path_buf()));
                }
                return Ok(capture);
            }
            Err(error) => return Err(error),
        }
    }
}

/// The newest archive that was cut from the log, with which the log is compared.
fn newest_with_log(data_file: &Path, settings: &SettingsFile, log: &Path) -> Result<Option<ArchiveEntry>> {
    let (archives, problem) = backup::archives_there(data_file, settings.settings());
    if let Some(error) = problem {
        // A log that is there goes on also while the archives are not: what they are is known when they are back.
        return if log.is_file() { Ok(None) } else { Err(error) };
    }
    let id = settings.settings().data_file_id;
    let goes_on_from = || LogReader::open(log).ok().map(|log| log.header().base.archive);
    // Where a newer archive was deleted, an older one may lead to the log by archived logs: then the log goes on.
    let newest_number = archives.iter().find(|a| a.is_of(id) && a.log_position.is_some()).map(|newest| newest.number.0);
    let is_later = newest_number.is_some_and(|newest| goes_on_from().is_some_and(|base| base > newest));
    if is_later && led_to::leads(data_file, settings.settings(), &archives) == Some(true) {
        return Ok(None);
    }
    let newest = archives.into_iter().find(|a| a.is_of(id) && a.log_position.is_some());
    // Of disks that take turns another one may hold the archive that the log goes on from.
    let is_elsewhere = |newest: &ArchiveEntry| {
        marks::take_turns(data_file, settings.settings()) && goes_on_from().is_some_and(|base| base > newest.number.0)
    };
    Ok(newest.filter(|newest| !is_elsewhere(newest)))
}

/// The data file as the archive cut at `position` holds it.
fn read_archive_at(
    data_file: &Path,
    settings: &Settings,
    position: &Position,
    sink: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let known = backup::archives(data_file, settings)?;
    let missing = || {
        let folder = backup::destination_by(data_file, settings);
        Error::new(ErrorKind::NotFound, format!("the archive that the log follows is not in {}", folder.display()))
            .hint("Make a full backup, so that the log has an archive to follow.")
    };
    let entry = known.iter().find(|a| a.log_position.as_ref() == Some(position)).ok_or_else(missing)?;
    let archive = Archive::open(&entry.path)?;
    let item = archive.items().iter().find(|i| i.kind == ItemKind::DataFile).ok_or_else(missing)?;
    archive.stream(item.offset, item.offset + item.length, &Control::default(), &mut |_, bytes| sink(bytes))
}
