//! The full backup: plan, run, report.

pub mod changed;
mod chosen;
pub mod content;
mod estimate;
pub mod led_to;
mod manifest;
pub mod marks;
pub mod modified;
mod own_archives;
pub mod places;
mod report;
pub mod retention;
pub mod soundness;
mod source;

pub use crate::settings::default_destination;
pub use changed::Change;
pub use chosen::{Measure, measure};
use chosen::{file_name, find_content};
pub use content::ContentReport;
use manifest::ManifestSource;
pub use own_archives::{archived_log, archives, archives_there, destination, destination_by, keep_known, sharing};
use own_archives::{next_number, other_key};
use places::Purpose;
pub use report::BackupReport;
pub use retention::Deleted;
use source::SnapshotSource;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::Timelike;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    archive::{
        ArchiveNumber, ArchiveOptions, Entry, Identity, ItemKind, Rate, Source, TextSource,
        catalog::{self, ArchiveEntry},
        keys::Key,
        leftovers, log_recovery,
        writer::{self, OnFull},
    },
    control::{Control, Phase},
    error::{Error, ErrorKind, Result},
    journal::{Capture, Cut, PageTableWriter},
    settings::{self, Settings, SettingsFile},
    sqlite::{
        alias,
        seen::{self},
        snapshot::{LOCK_WAIT_MAX, Snapshot},
    },
    storage::installation::Installation,
    storage::{
        self, Ownership, Storage,
        disks::{System, same_disk},
        owners::Readers,
        space::{disk_space, require_space},
    },
};

pub use crate::archive::lawful::MANIFEST_NAME;
/// Name and version of this program, as archives and the window show it.
pub const PROGRAM: &str = concat!("Strongroom ", env!("CARGO_PKG_VERSION"));

/// What a backup will do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupPlan {
    /// The archive that will be made.
    pub archive: PathBuf,
    /// Its number.
    pub number: ArchiveNumber,
    /// Estimated length of the archive in bytes.
    pub required_bytes: u64,
    /// Length of program files and attachments in bytes.
    #[serde(default)]
    pub content_bytes: u64,
    /// Free space of the destination's disk in bytes.
    pub available_bytes: u64,
    /// Size of that disk in bytes.
    pub disk_bytes: u64,
    /// Whether the destination lies on the disk of the data file, where both can be lost together.
    pub same_volume: bool,
}

/// Plans a backup of `data_file` into `folder`. `known` are the archives already there.
///
/// # Errors
/// When the data file or the folder cannot be read.
pub fn plan(data_file: &Path, settings: &SettingsFile, folder: &Path, known: &[ArchiveEntry]) -> Result<BackupPlan> {
    let number = next_number(data_file, settings, folder)?;
    let space = disk_space(folder)?;
    let control = Control::default();
    let content = find_content(data_file, settings, &control)?;
    let (own, options, wait_max) =
        (settings.settings().data_file_id, settings.settings().archive, Duration::from_secs(2));
    Ok(BackupPlan {
        archive: folder.join(catalog::archive_name(&catalog::stem(data_file), number)),
        number,
        required_bytes: estimate::estimate(data_file, (own, options), known, &content, wait_max, &control)?,
        content_bytes: content.bytes,
        available_bytes: space.available,
        disk_bytes: space.total,
        same_volume: same_disk(System::now().as_ref(), folder, data_file),
    })
}

/// The state to back up, and the cut of the log at exactly that state.
struct Begun {
    snapshot: Snapshot,
    cut: Option<Cut>,
    table: Option<PageTableWriter>,
    problem: Option<Error>,
}

/// Begins the snapshot; with a log, at one exact commit of it. A log that is not in order holds up no backup.
fn begin(data_file: &Path, number: ArchiveNumber, log: Option<&Capture>, control: &Control) -> Result<Begun> {
    let mut problem = None;
    if let Some(capture) = log {
        let path = data_file.to_path_buf();
        let cut = capture
            .cut(number.0, move || Snapshot::begin(&path, Duration::from_secs(2), &Control::default()))
            .and_then(|mut cut| Ok((cut.take_snapshot()?, cut)));
        match cut {
            Ok((snapshot, cut)) => {
                // Without the table the archive would be read again when it is needed.
                let table = cut.page_table(snapshot.page_size()).ok();
                return Ok(Begun { snapshot, cut: Some(cut), table, problem });
            }
            // The log is opened anew for the file that is there now; an archive without it would end what the log can
            // restore.
            Err(error) if error.kind() == ErrorKind::Replaced => return Err(error),
            Err(error) => problem = Some(error),
        }
    }
    Ok(Begun { snapshot: Snapshot::begin(data_file, LOCK_WAIT_MAX, control)?, cut: None, table: None, problem })
}

/// Makes a full backup of `data_file` into `folder`; `own` is the program's settings folder. With `log`, the log is cut
/// at the state backed up, and what it holds up to there is archived. `options` say how the archive is stored.
///
/// # Errors
/// Whatever makes it impossible. No file under an archive's name is left behind, and no older archive is touched.
#[expect(clippy::too_many_arguments, reason = "each is one independent fact of the backup")]
pub fn run(
    storage: &dyn Storage,
    data_file: &Path,
    settings: &mut SettingsFile,
    own: &Path,
    folder: &Path,
    log: Option<&Capture>,
    options: ArchiveOptions,
    control: &Control,
) -> Result<BackupReport> {
    run_asking(storage, data_file, settings, own, folder, log, options, (None, true), control)
}

/// As [`run`]; `on_full` is asked for another folder to go on in when a disk is full and the archive is in segments,
/// and `looks` says whether SQLite is asked what the data file holds, which takes its time.
///
/// # Errors
/// As [`run`].
#[expect(clippy::too_many_arguments, reason = "each is one independent fact of the backup")]
pub fn run_asking(
    storage: &dyn Storage,
    data_file: &Path,
    settings: &mut SettingsFile,
    own: &Path,
    folder: &Path,
    log: Option<&Capture>,
    options: ArchiveOptions,
    (on_full, looks): (Option<OnFull<'_>>, bool),
    control: &Control,
) -> Result<BackupReport> {
    control.phase(Phase::Preparing, 0);
    // A link made since the file was opened may be the name by which programs commit now.
    alias::refuse_other_names(data_file)?;
    let ownership = Ownership::of(data_file);
    let is_destination = folder == destination(data_file, settings);
    if is_destination {
        marks::prepare(data_file, settings, own, Purpose::Archives)?;
    } else {
        make_folder(folder, Ownership::for_content_of(data_file))?;
    }
    let stem = catalog::stem(data_file);
    let leftovers_removed = leftovers::remove_leftovers(folder, &stem)?;
    let content = find_content(data_file, settings, control)?;
    let folders = content::disks::compare(&content, settings.settings(), System::now().as_ref());
    // An archive is as private as its most private content.
    let private = content.readable_by_its_readers(Ownership::for_content_of(data_file));
    // The settings are in it too, and may name what not everybody is to know.
    let private = if settings.path().exists() { private.readable_by(Readers::of(settings.path())) } else { private };
    let (content_bytes, content_report) = (content.bytes, content.shared());
    // A folder for this archive alone is wanted when the usual one is gone: then nothing is known of earlier ones.
    let known = match archives_there(data_file, settings.settings()) {
        (_, Some(problem)) if is_destination => return Err(problem),
        (known, _) => known,
    };
    let own_id = settings.settings().data_file_id;
    let required = estimate::estimate(data_file, (own_id, options), &known, &content, LOCK_WAIT_MAX, control)?;
    // Where somebody can name another folder, segments go on there before the disk is full.
    if on_full.is_none() || options.segment_bytes.is_none() {
        require_space(folder, required)?;
    }
    let data_file_id = settings.settings().data_file_id.unwrap_or_else(Uuid::new_v4);
    // Noted before it is made: an archive whose maker is not known for its own would be taken for that of a copy.
    let installation = Installation::of(data_file);
    settings.note(own, |s| {
        s.data_file_id = Some(data_file_id);
        installation.map(|here| s.note_made_in(here));
        content::disks::remember(s, &folders.now);
    })?;
    let mut number = next_number(data_file, settings, folder)?;
    let (taken, mut in_the_way) = (leftovers::in_the_way(folder, &stem)?, Vec::new());
    // Whoever may write the folder could otherwise stop every backup for ever.
    while let Some(path) = taken.get(&number) {
        in_the_way.push(path.clone());
        number = number.next();
    }
    let archive = folder.join(catalog::archive_name(&stem, number));

    // A cut begins a new log: never where its disk is not.
    let log_folder = match settings.settings().log.file {
        Some(_) => marks::look(data_file, settings.settings(), Purpose::Log).map(drop),
        None => Ok(()),
    };
    let log = log.filter(|_| log_folder.is_ok());
    let Begun { snapshot, cut, table, problem } = begin(data_file, number, log, control)?;
    let mut log_problem = log_folder.err().or(problem).map(|e| e.report());
    let log_position = cut.as_ref().map(Cut::position);
    // A path that is no text has no place there; the settings inside have it.
    let log_file =
        log.filter(|_| log_position.is_some()).map(|log| log.status().log).filter(|log| log.to_str().is_some());
    let now = control.clock().local();
    let moment = now.with_nanosecond(now.nanosecond() / 1_000_000 * 1_000_000).unwrap_or(now).fixed_offset();
    let seen = if looks { Some(seen::look(&snapshot, control)?) } else { None };
    let identity = Identity {
        data_file_id,
        archive_id: Uuid::new_v4(),
        data_file_name: file_name(data_file),
        data_file_path: Some(data_file.to_path_buf()),
        installation,
        number,
        moment,
        page_size: snapshot.page_size(),
        page_count: snapshot.page_count(),
        program: PROGRAM.to_owned(),
        log_position,
        log_file,
        content: seen.clone(),
        options: (options != ArchiveOptions::default()).then_some(options),
        recovery: (options.redundancy != Rate::None).then_some(2),
        segment: None,
    };
    let (data_bytes, journal_mode) = (snapshot.len(), snapshot.journal_mode());
    let held = Arc::new(AtomicU64::new(0));
    let entry = |name: String, kind| Entry {
        name,
        kind,
        length: 0,
        mode: ownership.mode.unwrap_or(0o600),
        modified: moment.timestamp(),
        owner: ownership.owner,
        target: None,
        not_whole: None,
        original: None,
    };
    let data_entry = Entry { length: data_bytes, ..entry(file_name(data_file), ItemKind::DataFile) };
    let settings_text = settings.text_with_number(number.0);
    let settings_name = file_name(&settings::path_beside(data_file));
    let mut sources: Vec<Box<dyn Source>> = vec![
        Box::new(SnapshotSource {
            snapshot: Some(snapshot),
            entry: data_entry,
            at: 0,
            held: Arc::clone(&held),
            table,
            compared: Instant::now(),
        }),
        Box::new(TextSource::new(entry(settings_name, ItemKind::Settings), move |_| Ok(settings_text.clone()))),
    ];
    sources.extend(content.sources(folder, private, control));
    sources.push(Box::new(ManifestSource {
        of: (identity.clone(), data_file.to_path_buf()),
        journal_mode,
        content: content_report.clone(),
        entry: entry(MANIFEST_NAME.to_owned(), ItemKind::Manifest),
        text: Vec::new(),
    }));
    let total = data_bytes + content_bytes;
    // Without its key the state is better kept unsigned than not at all.
    let is_key_new = options.sign && matches!(Key::known(own), Ok(None));
    let key = if options.sign { Key::of(own).map(Some) } else { Ok(None) };
    let (key, signing_problem) = key.map_or_else(|error| (None, Some(error.report())), |key| (key, None));
    let written =
        writer::write(storage, &archive, private, (&identity, key.as_ref()), sources, on_full, total, control);
    // Before the log is cut for it: what went away with its disk is no backup.
    let written = if is_destination { unless_gone(written, data_file, settings.settings())? } else { written? };
    let (mut archived, mut log_recovery_problem, mut is_led_to) = (None, None, true);
    if let (Some(mut cut), Some(capture)) = (cut, log) {
        let target = archived_log(&capture.status().log, data_file, number);
        // What was recorded is kept under its name in any case: whatever can be read of it counts.
        log_problem = cut.prove().err().map(|e| e.report());
        match cut.commit(&target) {
            Ok(is_same) => {
                is_led_to = is_same;
                // The archive and the log are sound without it; that it is missing is said all the same.
                let id = identity.data_file_id;
                if log_problem.is_none()
                    && let Err(error) = log_recovery::protect(storage, &target, id, options, &Control::default())
                {
                    log_recovery_problem = Some(error.report());
                }
                archived = Some(target).filter(|target| target.is_file());
            }
            Err(error) => log_problem = Some(error.report()),
        }
    }
    // After the archive has its name: a crash in between loses nothing, since the number is also read from the names.
    let noted = settings.note(own, |s| {
        s.data_file_id.get_or_insert(data_file_id);
        s.last_number = s.last_number.max(number.0);
    });
    Ok(BackupReport {
        data_file: data_file.to_path_buf(),
        archive: written.path,
        files: written.files,
        number,
        moment,
        bytes: written.bytes,
        data_bytes,
        blake3: written.items.first().map(|i| i.blake3.clone()).unwrap_or_default(),
        journal_mode,
        held_ms: held.load(Ordering::Relaxed),
        copying_ms: written.copying_ms,
        verifying_ms: written.verifying_ms,
        leftovers_removed,
        in_the_way,
        log_position,
        archived_log: archived,
        log_problem,
        log_recovery_problem,
        is_not_led_to: !is_led_to,
        settings_problem: noted.err().map(|e| e.report()),
        settings_mistake: None,
        other_key: key.as_ref().and_then(|key| other_key(data_file, settings.settings(), number, key.public())),
        signed_by: key.as_ref().map(Key::public),
        is_key_new,
        signing_problem,
        content: content_report.report(),
        seen: seen.unwrap_or_default(),
        change: None,
        copied_from: settings.copied_from().map(Path::to_path_buf),
        elsewhere: sharing(data_file, settings.settings()).into_iter().find_map(|other| other.elsewhere),
        deleted: Deleted::default(),
        chosen: folders.when_said,
    })
}

/// What was written to the destination, if that is still the same folder: a disk may go away in the middle.
fn unless_gone<T>(written: Result<T>, data_file: &Path, settings: &Settings) -> Result<T> {
    let is_stopped = written.as_ref().is_err_and(|e| e.kind() == ErrorKind::Stopped);
    let Some(gone) = marks::look(data_file, settings, Purpose::Archives).err().filter(|_| !is_stopped) else {
        return written;
    };
    let report = gone.report();
    let error = Error::new(gone.kind(), format!("the disk went away during the backup: {}", report.message));
    let error = error.hint(report.hint.unwrap_or_default());
    Err(match written {
        Err(cause) => error.because(cause),
        Ok(_) => error,
    })
}

/// Makes the folder for archives where it is missing.
///
/// # Errors
/// Those of the disk.
pub fn make_folder(folder: &Path, ownership: Ownership) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if folder.exists() {
        return Err(Error::new(
            ErrorKind::WrongType,
            format!("{} is a file, and no folder for archives", folder.display()),
        )
        .hint("Choose a folder in the settings; nothing was written to that file."));
    }
    storage::make_private_folders(folder)?;
    // The owner of the data file must be able to use the folder. Others may look into it where they may read the data
    // file, whatever this process was begun with; write to it they never may: who can write a folder can delete
    // archives.
    Ownership { mode: ownership.mode.map(|mode| mode & 0o444 | 0o700), ..ownership }.apply_at(folder)
}
