//! The full backup: plan, run, report.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, FixedOffset, Local, Timelike};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    archive::{
        ArchiveNumber, ArchiveOptions, Compression, Entry, Identity, Item, ItemKind, Source, TextSource,
        catalog::{self, ArchiveEntry},
        log_recovery,
        writer::{self, OnFull},
    },
    control::{Control, Phase},
    error::{Error, ErrorReport, Result},
    journal::{Capture, Cut, PageTableWriter, Position},
    settings::{self, SettingsFile},
    sqlite::{
        data_file::{self, JournalMode},
        snapshot::{LOCK_WAIT_MAX, Snapshot},
    },
    storage::{
        Ownership, Storage,
        space::{disk_space, require_space, same_volume},
    },
};

/// Name and version of this program, as archives and the window show it.
pub const PROGRAM: &str = concat!("Strongroom ", env!("CARGO_PKG_VERSION"));
/// Name of the description for people inside every archive.
pub const MANIFEST_NAME: &str = "strongroom-manifest.toml";

/// What a backup will do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupPlan {
    /// The archive that will be made.
    pub archive: PathBuf,
    /// Its number.
    pub number: ArchiveNumber,
    /// Estimated length of the archive in bytes.
    pub required_bytes: u64,
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
    /// Where in the log the archive was cut, if a log is used and in order.
    pub log_position: Option<Position>,
    /// The log up to there, archived.
    pub archived_log: Option<PathBuf>,
    /// Why the log could not be cut or archived, though one is used; the archive is sound all the same.
    pub log_problem: Option<ErrorReport>,
    /// Why the number could not be noted in the settings, if so.
    pub settings_problem: Option<ErrorReport>,
}

impl BackupReport {
    /// What the administrator must know of a backup that was made, but not with all that belongs to it.
    pub fn problem(&self) -> Option<Error> {
        let (what, report) = match (&self.log_problem, &self.settings_problem) {
            (Some(report), _) => ("the archive is sound, but the log could not be cut for it", report),
            (None, Some(report)) => ("the archive is sound, but its number could not be noted in the settings", report),
            (None, None) => return None,
        };
        let error = Error::new(report.kind, format!("{what}: {}", report.message));
        Some(match &report.hint {
            Some(hint) => error.hint(hint.clone()),
            None => error,
        })
    }
}

/// The folder for archives while none was chosen: `Backups` beside the data file.
pub fn default_destination(data_file: &Path) -> PathBuf {
    data_file.parent().unwrap_or(Path::new(".")).join("Backups")
}

/// The folder for archives in force.
pub fn destination(data_file: &Path, settings: &SettingsFile) -> PathBuf {
    settings.settings().destination.clone().unwrap_or_else(|| default_destination(data_file))
}

/// Plans a backup of `data_file` into `folder`. `known` are the archives already there.
///
/// # Errors
/// When the data file or the folder can not be read.
pub fn plan(data_file: &Path, settings: &SettingsFile, folder: &Path, known: &[ArchiveEntry]) -> Result<BackupPlan> {
    let number = next_number(data_file, settings, folder)?;
    let space = disk_space(folder)?;
    Ok(BackupPlan {
        archive: folder.join(catalog::archive_name(&catalog::stem(data_file), number)),
        number,
        required_bytes: estimate(data_file, settings, known, Duration::from_secs(2), &Control::default())?,
        available_bytes: space.available,
        disk_bytes: space.total,
        same_volume: same_volume(folder, data_file),
    })
}

/// Numbers are never used again: the next one is above every archive in the folder and every number noted in the settings.
fn next_number(data_file: &Path, settings: &SettingsFile, folder: &Path) -> Result<ArchiveNumber> {
    let in_folder = catalog::highest_number(folder, &catalog::stem(data_file))?;
    Ok(in_folder.max(ArchiveNumber(settings.settings().last_number)).next())
}

/// The length of the next archive: by the ratio of the newest one, else by compressing samples of the data file.
fn estimate(
    data_file: &Path,
    settings: &SettingsFile,
    known: &[ArchiveEntry],
    wait_max: Duration,
    control: &Control,
) -> Result<u64> {
    const FIXED: u64 = 8 * 1024;
    let (size, _, _) = data_file::measure(data_file)?;
    let own = settings.settings().data_file_id;
    let last = known.iter().find(|a| a.problem.is_none() && a.data_bytes > 0 && a.data_file_id == own);
    if let Some(last) = last {
        return Ok((size as f64 * last.bytes as f64 / last.data_bytes as f64) as u64);
    }
    let snapshot = Snapshot::begin(data_file, wait_max, control)?;
    let (mut raw, mut stored) = (0u64, 0u64);
    let length = snapshot.len();
    // Up to 32 stretches spread evenly: a few milliseconds, whatever the size.
    let stretch = length.min(128 * 1024) as usize;
    let count = length.div_ceil(stretch as u64).min(32);
    let mut buffer = vec![0; stretch];
    for n in 0..count {
        let offset = if count == 1 { 0 } else { (length - stretch as u64) / (count - 1) * n };
        snapshot.read(offset, &mut buffer)?;
        raw += buffer.len() as u64;
        stored += writer::compressed_length(&buffer, Compression::Fast)? as u64;
    }
    Ok((length as f64 * stored as f64 / raw as f64) as u64 + FIXED)
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
            Err(error) => problem = Some(error),
        }
    }
    Ok(Begun { snapshot: Snapshot::begin(data_file, LOCK_WAIT_MAX, control)?, cut: None, table: None, problem })
}

/// Makes a full backup of `data_file` into `folder`; `own` is the program's settings folder. With `log`, the log is cut at
/// the state backed up, and what it holds up to there is archived. `options` say how the archive is stored.
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
    run_asking(storage, data_file, settings, own, folder, log, options, None, control)
}

/// As [`run`]; `on_full` is asked for another folder to go on in when a disk is full and the archive is in segments.
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
    on_full: Option<OnFull<'_>>,
    control: &Control,
) -> Result<BackupReport> {
    control.phase(Phase::Preparing, 0);
    let ownership = Ownership::of(data_file);
    make_folder(folder, ownership)?;
    let stem = catalog::stem(data_file);
    let leftovers_removed = catalog::remove_leftovers(folder, &stem)?;
    let known = catalog::list(folder, Some(&stem))?;
    require_space(folder, estimate(data_file, settings, &known, LOCK_WAIT_MAX, control)?)?;
    let data_file_id = settings.settings().data_file_id.unwrap_or_else(Uuid::new_v4);
    settings.change(own, |s| s.data_file_id = Some(data_file_id))?;
    let number = next_number(data_file, settings, folder)?;
    let archive = folder.join(catalog::archive_name(&stem, number));

    let Begun { snapshot, cut, table, problem } = begin(data_file, number, log, control)?;
    let mut log_problem = problem.map(|e| e.report());
    let log_position = cut.as_ref().map(Cut::position);
    let now = Local::now();
    let moment = now.with_nanosecond(now.nanosecond() / 1_000_000 * 1_000_000).unwrap_or(now).fixed_offset();
    let identity = Identity {
        data_file_id,
        archive_id: Uuid::new_v4(),
        data_file_name: file_name(data_file),
        number,
        moment,
        page_size: snapshot.page_size(),
        page_count: snapshot.page_count(),
        program: PROGRAM.to_owned(),
        log_position,
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
    };
    let data_entry = Entry { length: data_bytes, ..entry(file_name(data_file), ItemKind::DataFile) };
    let settings_text = settings.text_with_number(number.0);
    let settings_name = file_name(&settings::path_beside(data_file));
    let manifest_identity = identity.clone();
    let sources: Vec<Box<dyn Source>> = vec![
        Box::new(SnapshotSource { snapshot: Some(snapshot), entry: data_entry, at: 0, held: Arc::clone(&held), table }),
        Box::new(TextSource::new(entry(settings_name, ItemKind::Settings), move |_| Ok(settings_text.clone()))),
        Box::new(TextSource::new(entry(MANIFEST_NAME.to_owned(), ItemKind::Manifest), move |items| {
            Ok(manifest(&manifest_identity, journal_mode, items))
        })),
    ];
    let written = writer::write(storage, &archive, ownership, &identity, sources, on_full, data_bytes, control)?;
    let mut archived = None;
    if let (Some(cut), Some(capture)) = (cut, log) {
        let target = archived_log(&capture.status().log, data_file, number);
        match cut.commit(&target) {
            Ok(()) => {
                // The archive and the log are sound without it; that it is missing is said all the same.
                let id = identity.data_file_id;
                if let Err(error) = log_recovery::protect(storage, &target, id, options, &Control::default()) {
                    log_problem = Some(error.report());
                }
                archived = Some(target);
            }
            Err(error) => log_problem = Some(error.report()),
        }
    }
    // After the archive has its name: a crash in between loses nothing, since the number is also read from the names.
    let noted = settings.change(own, |s| s.last_number = s.last_number.max(number.0));
    Ok(BackupReport {
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
        log_position,
        archived_log: archived,
        log_problem,
        settings_problem: noted.err().map(|e| e.report()),
    })
}

fn make_folder(folder: &Path, ownership: Ownership) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder).map_err(|e| Error::io("create the folder", folder, e))?;
    // The owner of the data file must be able to use the folder; a wider mode than the default is not needed.
    Ownership { mode: None, ..ownership }.apply(folder)
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
}

impl Source for SnapshotSource {
    fn entry(&mut self, _: &[Item]) -> Result<Entry> {
        Ok(self.entry.clone())
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<()> {
        let Some(snapshot) = &self.snapshot else { return Err(Error::stopped()) };
        snapshot.read(self.at, buffer)?;
        if self.table.as_mut().is_some_and(|table| table.push(buffer).is_err())
            && let Some(table) = self.table.take()
        {
            table.discard();
        }
        self.at += buffer.len() as u64;
        self.held.store(snapshot.held().as_millis() as u64, Ordering::Relaxed);
        if self.at == self.entry.length {
            self.snapshot = None;
            // A table that can not be finished is no table; the archive would be read again instead.
            let _ = self.table.take().map(PageTableWriter::finish);
        }
        Ok(())
    }
}

/// The description inside the archive: for people first, and valid TOML.
fn manifest(identity: &Identity, journal_mode: JournalMode, items: &[Item]) -> String {
    let mut document = toml_edit::DocumentMut::new();
    let mut set = |table: &str, key: &str, value: toml_edit::Value| {
        let section = document.entry(table).or_insert_with(|| toml_edit::Item::Table(toml_edit::Table::new()));
        section[key] = toml_edit::value(value);
    };
    let archive = catalog::archive_name(&catalog::stem(Path::new(&identity.data_file_name)), identity.number);
    set("archive", "name", archive.clone().into());
    set("archive", "number", i64::from(identity.number.0).into());
    set("archive", "moment", identity.moment.to_rfc3339().into());
    set("archive", "id", identity.archive_id.to_string().into());
    set("archive", "program", identity.program.as_str().into());
    set("data-file", "name", identity.data_file_name.as_str().into());
    set("data-file", "id", identity.data_file_id.to_string().into());
    set("data-file", "page-size", i64::from(identity.page_size).into());
    set("data-file", "pages", i64::from(identity.page_count).into());
    set("data-file", "journal-mode", journal_mode.label().into());
    let mut files = toml_edit::ArrayOfTables::new();
    for item in items {
        let mut file = toml_edit::Table::new();
        file["name"] = toml_edit::value(item.name.as_str());
        file["kind"] = toml_edit::value(item.kind.label());
        file["bytes"] = toml_edit::value(item.length as i64);
        file["blake3"] = toml_edit::value(item.blake3.as_str());
        files.push(file);
    }
    document["file"] = toml_edit::Item::ArrayOfTables(files);
    let stem = catalog::stem(Path::new(&identity.data_file_name));
    let by_hand = match identity.options().segment_bytes {
        None => format!("zstd -dc '{archive}' | tar x"),
        Some(_) => format!("cat '{stem}[{}-'*.4BK | zstd -dc | tar x", identity.number),
    };
    format!(
        "# A full backup of {}, made by {}.\n# To restore without that program, in an empty folder:\n#     {by_hand}\n# The values of blake3 are those that b3sum prints.\n\n{document}",
        identity.data_file_name, identity.program
    )
}
