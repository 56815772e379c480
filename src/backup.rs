//! The full backup: plan, run, report.

pub mod changed;
pub mod content;
mod estimate;
mod manifest;
pub mod marks;
pub mod modified;
pub mod places;
pub mod retention;
pub mod soundness;

pub use crate::settings::default_destination;
pub use changed::Change;
pub use content::ContentReport;
use content::{Content, Excluded};
use manifest::ManifestSource;
use places::Purpose;
pub use retention::Deleted;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, FixedOffset, Timelike};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    archive::{
        Archive, ArchiveNumber, ArchiveOptions, Entry, Identity, Item, ItemKind, Source, TextSource,
        catalog::{self, ArchiveEntry},
        keys::{Key, PublicKey},
        leftovers, log_recovery,
        writer::{self, OnFull},
    },
    control::{Control, Phase},
    error::{Error, ErrorKind, ErrorReport, Result},
    journal::{Capture, Cut, PageTableWriter, Position},
    settings::{
        self, Settings, SettingsFile,
        copies::{self, Sharing},
        sections,
    },
    sqlite::{
        alias,
        data_file::JournalMode,
        seen::{self, ContentCheck, ContentSeen},
        snapshot::{LOCK_WAIT_MAX, Snapshot},
    },
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

/// How often a backup looks whether the file that it reads is still the data file.
const COMPARE: Duration = Duration::from_secs(1);

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

/// What a backup achieved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupReport {
    /// The data file.
    #[serde(default)]
    pub data_file: PathBuf,
    /// The archive; of an archive in segments the first.
    pub archive: PathBuf,
    /// All its files.
    #[serde(default)]
    pub files: Vec<PathBuf>,
    /// Its number.
    pub number: ArchiveNumber,
    /// The moment of the state it holds.
    pub moment: DateTime<FixedOffset>,
    /// Its length in bytes.
    pub bytes: u64,
    /// Size of the data file inside, in bytes.
    pub data_bytes: u64,
    /// BLAKE3 of the data file inside, as `b3sum` prints it.
    pub blake3: String,
    /// How the data file protects its transactions.
    pub journal_mode: JournalMode,
    /// How long the data file was read, in milliseconds; in rollback mode writers waited for as long.
    pub held_ms: u64,
    /// Time spent copying and compressing, in milliseconds.
    pub copying_ms: u64,
    /// Time spent syncing and reading the archive back, in milliseconds.
    pub verifying_ms: u64,
    /// Leftovers of interrupted backups that were removed.
    pub leftovers_removed: Vec<PathBuf>,
    /// What lay where archives with lower numbers would have been made, and could not be removed.
    #[serde(default)]
    pub in_the_way: Vec<PathBuf>,
    /// Where in the log the archive was cut, if a log is used and in order.
    pub log_position: Option<Position>,
    /// The log up to there, archived.
    pub archived_log: Option<PathBuf>,
    /// Why the log could not be cut or archived, though one is used; the archive is sound all the same.
    pub log_problem: Option<ErrorReport>,
    /// Why the archived log has no recovery data, though that is wanted; archive and log are sound all the same.
    #[serde(default)]
    pub log_recovery_problem: Option<ErrorReport>,
    /// Why the number could not be noted in the settings, if so.
    pub settings_problem: Option<ErrorReport>,
    /// The key by which it is signed, if it is.
    #[serde(default)]
    pub signed_by: Option<PublicKey>,
    /// Whether that key was made for it: there was none.
    #[serde(default)]
    pub is_key_new: bool,
    /// Where the archive before was signed by another key: then whoever holds the public half of that one does not know
    /// this one.
    #[serde(default)]
    pub other_key: Option<ErrorReport>,
    /// Why it is not signed, though that is wanted.
    #[serde(default)]
    pub signing_problem: Option<ErrorReport>,
    /// What became of program files and attachments.
    #[serde(default)]
    pub content: ContentReport,
    /// What the data file inside holds, and whether SQLite found it sound.
    #[serde(default)]
    pub seen: ContentSeen,
    /// What is drastically other than in the backup before, which is held therefore.
    #[serde(default)]
    pub change: Option<Change>,
    /// The data file whose settings it goes by as a copy, if it does.
    #[serde(default)]
    pub copied_from: Option<PathBuf>,
    /// The old backups that were deleted, if the settings say so.
    #[serde(default)]
    pub deleted: Deleted,
    /// What is to be remembered of what was chosen, once somebody was told of it.
    #[serde(skip)]
    pub(crate) chosen: Vec<sections::KnownPlace>,
}

impl BackupReport {
    /// Why the number of the archive does not follow the one before, if so.
    pub fn skipped_in_words(&self) -> Option<String> {
        let first = self.in_the_way.first()?.display();
        let more = match self.in_the_way.len() {
            1 => String::new(),
            n => format!(" and {} more", n - 1),
        };
        Some(format!(
            "Numbers before {} were left out, because {first}{more} lay in the way and could not be removed. See who \
             put it there.",
            self.number
        ))
    }

    /// By which key it is signed, if it is.
    pub fn signed_in_words(&self) -> Option<String> {
        let key = self.signed_by?;
        Some(if self.is_key_new {
            format!(
                "Signed by key {key}, which was made for it. Keep a copy of its public half where the archives are not \
                 (strongroom key)."
            )
        } else {
            format!("Signed by key {key}.")
        })
    }

    /// What the administrator must know of a backup that was made, but not with all that belongs to it.
    pub fn problem(&self) -> Option<Error> {
        if self.seen.check == ContentCheck::Damaged {
            let found = self.seen.note.as_deref().unwrap_or_default();
            let message = format!(
                "backup {} holds a data file that SQLite finds damaged, exactly as it is: {found}",
                self.number
            );
            return Some(Error::new(ErrorKind::Damaged, message).hint(
                "Make no further backups to repair this: look at the data file first (Verify on the Maintenance page, \
                 or strongroom check). Sound backups made before stay, whatever their age.",
            ));
        }
        if let Some(from) = &self.copied_from {
            let shared = copies::shared(&self.data_file, from).report();
            let message = format!("the archive is sound, but {}", shared.message);
            return Some(Error::new(ErrorKind::Partial, message).hint(shared.hint.unwrap_or_default()));
        }
        if let Some(words) = self.content.in_words() {
            let message =
                format!("the archive is sound, but not everything that was chosen is in it, or whole: {words}");
            let hint = match (self.content.differs.is_empty(), &self.change) {
                (true, _) => "See that the file is there and may be read, or take it off the list of attachments.",
                (false, None) => "See whether that was meant.",
                (false, Some(_)) => "See whether that was meant: it is said once, and the backup before is held.",
            };
            let hint = format!("The data file itself is complete. {hint}");
            return Some(Error::new(ErrorKind::Partial, message).hint(hint));
        }
        let (what, report) = [
            ("the archive is sound, but its log needs attention", &self.log_problem),
            ("archive and log are sound, but the log has no recovery data", &self.log_recovery_problem),
            ("the archive is sound, but its number could not be noted in the settings", &self.settings_problem),
            ("the archive is sound, but not signed", &self.signing_problem),
            ("the archive is sound", &self.other_key),
            ("the archive is sound, but old backups could not be deleted", &self.deleted.problem),
        ]
        .into_iter()
        .find_map(|(what, report)| Some((what, report.as_ref()?)))?;
        let error = Error::new(report.kind, format!("{what}: {}", report.message));
        Some(match &report.hint {
            Some(hint) => error.hint(hint.clone()),
            None => error,
        })
    }
}

/// The folder for archives in force.
pub fn destination(data_file: &Path, settings: &SettingsFile) -> PathBuf {
    destination_by(data_file, settings.settings())
}

/// The folder for archives that `settings` mean.
pub fn destination_by(data_file: &Path, settings: &Settings) -> PathBuf {
    settings.destination.folder.clone().unwrap_or_else(|| default_destination(data_file))
}

/// Notes the folder for archives that `after` leaves, if archives of this data file lie there, so that they stay known.
pub fn keep_known(before: &Settings, after: &mut Settings, data_file: &Path) {
    let (old, new) = (destination_by(data_file, before), destination_by(data_file, after));
    if old != new {
        let holds = catalog::highest_number(&old, &catalog::stem(data_file)).is_ok_and(|n| n != ArchiveNumber(0));
        // Whoever chooses another folder because a disk is missing finds its archives again when it is back.
        let is_missing = marks::look(data_file, before, Purpose::Archives).is_err();
        let earlier = &mut after.destination.earlier;
        earlier.retain(|folder| *folder != new && *folder != old);
        if holds || is_missing {
            earlier.push(old);
        }
    }
}

/// All archives known of `data_file`, newest first: those in its folder, and those in folders chosen earlier.
///
/// # Errors
/// When the folder in force cannot be read, or is not the one that was used; earlier ones may be gone.
pub fn archives(data_file: &Path, settings: &Settings) -> Result<Vec<ArchiveEntry>> {
    let (found, problem) = archives_there(data_file, settings);
    problem.map_or(Ok(found), Err)
}

/// What is to be said where the newest archive before `number` was signed, and not by `key`.
fn other_key(data_file: &Path, settings: &Settings, number: ArchiveNumber, key: PublicKey) -> Option<ErrorReport> {
    let (known, _) = archives_there(data_file, settings);
    let is_before = |entry: &&ArchiveEntry| entry.number < number && entry.problem.is_none();
    let before = known.iter().filter(|entry| entry.is_of(settings.data_file_id)).find(is_before)?;
    let other = Archive::open(&before.path).ok()?.signed(&[]).key().filter(|other| *other != key)?;
    let message = format!("it is signed by key {key}, and backup {} before it by another one, {other}", before.number);
    let error = Error::new(ErrorKind::Partial, message).hint(
        "Where the key that this user had was lost, a new one was made: keep a copy of its public half where the \
         archives are not (strongroom key), beside that of the old one. If nobody knows why, find out who signs here.",
    );
    Some(error.report())
}

/// The other data files that have the same identity, as far as archives in the folders of this one tell.
pub fn sharing(data_file: &Path, settings: &Settings) -> Vec<Sharing> {
    let (mut found, _) = archives_there(data_file, settings);
    copies::mark(data_file, settings.data_file_id, &mut found)
}

/// As [`archives`], as far as they are there now; with the reason why those in the folder in force are not among them.
pub fn archives_there(data_file: &Path, settings: &Settings) -> (Vec<ArchiveEntry>, Option<Error>) {
    let stem = catalog::stem(data_file);
    let in_force = marks::look(data_file, settings, Purpose::Archives)
        .and_then(|_| catalog::list(&destination_by(data_file, settings), Some(&stem)));
    let (mut found, problem) = match in_force {
        Ok(found) => (found, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    for folder in &settings.destination.earlier {
        found.extend(catalog::list(folder, Some(&stem)).unwrap_or_default());
    }
    found.sort_by(|a, b| (b.number, &b.path).cmp(&(a.number, &a.path)));
    found.dedup_by(|a, b| a.path == b.path);
    copies::mark(data_file, settings.data_file_id, &mut found);
    (found, problem)
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

/// Numbers are never used again: the next one is above every archive in the folder and every number noted in the
/// settings.
fn next_number(data_file: &Path, settings: &SettingsFile, folder: &Path) -> Result<ArchiveNumber> {
    let (stem, earlier) = (catalog::stem(data_file), &settings.settings().destination.earlier);
    let mut numbers = catalog::numbers(folder, &stem)?;
    numbers.extend(earlier.iter().flat_map(|folder| catalog::numbers(folder, &stem).unwrap_or_default()));
    numbers.push(ArchiveNumber(settings.settings().last_number));
    Ok(catalog::highest_plausible(numbers).next())
}

/// The archived log that ends where full backup `number` begins: beside the current log, so that it is only renamed.
pub fn archived_log(log: &Path, data_file: &Path, number: ArchiveNumber) -> PathBuf {
    log.with_file_name(catalog::log_name(&catalog::stem(data_file), ArchiveNumber(number.0.saturating_sub(1))))
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
    settings.note(own, |s| {
        s.data_file_id = Some(data_file_id);
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
    let now = control.clock().local();
    let moment = now.with_nanosecond(now.nanosecond() / 1_000_000 * 1_000_000).unwrap_or(now).fixed_offset();
    let seen = if looks { Some(seen::look(&snapshot, control)?) } else { None };
    let identity = Identity {
        data_file_id,
        archive_id: Uuid::new_v4(),
        data_file_name: file_name(data_file),
        data_file_path: Some(data_file.to_path_buf()),
        number,
        moment,
        page_size: snapshot.page_size(),
        page_count: snapshot.page_count(),
        program: PROGRAM.to_owned(),
        log_position,
        content: seen.clone(),
        options: (options != ArchiveOptions::default()).then_some(options),
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
    let (mut archived, mut log_recovery_problem) = (None, None);
    if let (Some(mut cut), Some(capture)) = (cut, log) {
        let target = archived_log(&capture.status().log, data_file, number);
        // What was recorded is kept under its name in any case: whatever can be read of it counts.
        log_problem = cut.prove().err().map(|e| e.report());
        match cut.commit(&target) {
            Ok(()) => {
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
        settings_problem: noted.err().map(|e| e.report()),
        other_key: key.as_ref().and_then(|key| other_key(data_file, settings.settings(), number, key.public())),
        signed_by: key.as_ref().map(Key::public),
        is_key_new,
        signing_problem,
        content: content_report.report(),
        seen: seen.unwrap_or_default(),
        change: None,
        copied_from: settings.copied_from().map(Path::to_path_buf),
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

/// What a file or folder would add to the archives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measure {
    /// Number of files.
    pub files: u64,
    /// Their length in bytes, together.
    pub bytes: u64,
    /// What cannot be read now, in one sentence.
    pub problem: Option<String>,
    /// How many files are left out on purpose, such as sockets.
    pub left_out: u64,
}

/// Measures a file or folder that may become an attachment of `data_file`.
///
/// # Errors
/// `Settings` when it holds the data file itself, `Stopped`.
pub fn measure(data_file: &Path, settings: &Settings, path: &Path, control: &Control) -> Result<Measure> {
    let chosen = sections::Content { program: Vec::new(), attachments: vec![path.to_path_buf()] };
    Settings { content: chosen.clone(), ..Settings::default() }.check(data_file)?;
    storage::note_data_file(data_file);
    let found = content::find(&chosen, &excluded(data_file, settings), &[], control)?;
    let report = found.report();
    Ok(Measure {
        files: found.count() as u64,
        bytes: found.bytes,
        problem: report.in_words(),
        left_out: report.left_out_count,
    })
}

/// Looks through program files and attachments.
fn find_content(data_file: &Path, settings: &SettingsFile, control: &Control) -> Result<Content> {
    let taken = [file_name(data_file), file_name(&settings::path_beside(data_file)), MANIFEST_NAME.to_owned()];
    // An attachment may be another name of it.
    storage::note_data_file(data_file);
    let settings = settings.settings();
    content::find(&settings.content, &excluded(data_file, settings), &taken, control)
}

/// What is no attachment: the data file with its companions, its archives, and its log.
fn excluded(data_file: &Path, settings: &Settings) -> Excluded {
    let real = |path: &Path| path.canonicalize().ok();
    let with = |path: &Path, end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let folder = destination_by(data_file, settings);
    let folders = settings.destination.earlier.iter().chain([&folder]).filter_map(|folder| real(folder)).collect();
    let companions = ["", "-wal", "-shm", "-journal"].map(|end| with(data_file, end));
    let logs =
        settings.log.file.iter().flat_map(|log| ["", ".next", ".pages", ".next.pages"].map(|end| with(log, end)));
    let files = companions.into_iter().chain(logs).filter_map(|file| real(&file)).collect();
    Excluded { folders, files }
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

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The data file, read through its snapshot, which is let go as soon as the last byte was read.
struct SnapshotSource {
    snapshot: Option<Snapshot>,
    entry: Entry,
    at: u64,
    held: Arc<AtomicU64>,
    table: Option<PageTableWriter>,
    /// When the file was last seen to be the one that its path names.
    compared: Instant,
}

impl Source for SnapshotSource {
    fn entry(&mut self, _: &[Item]) -> Result<Entry> {
        Ok(self.entry.clone())
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<()> {
        let Some(snapshot) = &self.snapshot else { return Err(Error::stopped()) };
        snapshot.read(self.at, buffer)?;
        let is_last = self.at + buffer.len() as u64 == self.entry.length;
        // A file that was replaced meanwhile is not the data file any more: its archive would pass for one of what is
        // there now.
        if is_last || self.compared.elapsed() >= COMPARE {
            snapshot.require_named()?;
            self.compared = Instant::now();
        }
        if self.table.as_mut().is_some_and(|table| table.push(buffer).is_err())
            && let Some(table) = self.table.take()
        {
            table.discard();
        }
        self.at += buffer.len() as u64;
        self.held.store(snapshot.held().as_millis() as u64, Ordering::Relaxed);
        if self.at == self.entry.length {
            self.snapshot = None;
            // A table that cannot be finished is no table; the archive would be read again instead.
            let _ = self.table.take().map(PageTableWriter::finish);
        }
        Ok(())
    }
}
