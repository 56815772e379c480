//! Where the logs of an archive may lie: beside it, where the settings say, beside the data file. The data file may be
//! gone, and nobody may be looking after it.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use toml_edit::DocumentMut;

use super::{Logs, lost_past::LostPast};
use crate::{
    archive::{Archive, ItemKind, catalog},
    control::Control,
    journal::{aside::is_set_aside, next_path},
    settings::{self, Settings, SettingsFile},
    storage,
};

/// No settings and no description of an archive are longer.
const TEXT_MAX: u64 = 4 << 20;

/// What whoever asks for a restore knows of where the data file is, or was.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// The data file; it may be gone.
    pub data_file: Option<PathBuf>,
    /// The program's own settings folder.
    pub settings_dir: Option<PathBuf>,
    /// Whether the log of this data file is being written, for whoever writes it; `None` where that is not known.
    pub log_runs: Option<bool>,
    /// The log that is being written: it stands last among the logs to integrate, though nobody has named it.
    pub running: Option<PathBuf>,
    /// Why it cannot be written, if so.
    pub log_problem: Option<String>,
    /// Whether the data file is left alone, also where its WAL could tell how far the log should reach: it is damaged,
    /// and SQLite would play back what lies beside it.
    pub is_untouched: bool,
    /// Archives that are known to be damaged beyond repair: another one is chosen, if any leads to what is wanted.
    pub damaged: Vec<PathBuf>,
    /// Archives that are known to have been made of it, whatever its settings say: they may be gone with it. Others
    /// are looked for beside them, and where the settings do not tell which data file it was, they do.
    pub made: Vec<PathBuf>,
    /// What its log held and lost, as far as that was noted.
    pub lost: Vec<LostPast>,
    /// Folders that hold segments of archives, besides their own.
    pub segments: Vec<PathBuf>,
}

impl Origin {
    /// Of a data file whose place is known.
    pub fn of(data_file: &Path) -> Self {
        Self { data_file: Some(data_file.to_path_buf()), ..Self::default() }
    }
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Files that look like logs of the data file, those to be preferred first.
    pub(super) logs: Vec<PathBuf>,
    /// The logs that settings name, whether they are there or not.
    pub(super) named: Vec<PathBuf>,
    /// Where the data file is, or was.
    pub(super) data_files: Vec<PathBuf>,
    /// Folders that may hold archives.
    pub(super) folders: Vec<PathBuf>,
    /// Logs that lie where only those of this data file should: a stranger there is worth saying.
    pub(super) own: BTreeSet<PathBuf>,
}

/// Paths without those that lead to the same file.
#[derive(Default)]
struct Distinct {
    seen: BTreeSet<PathBuf>,
    paths: Vec<PathBuf>,
}

impl Distinct {
    fn add(&mut self, path: PathBuf) {
        if self.seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())) {
            self.paths.push(path);
        }
    }
}

/// Looks for the logs of `archive`. What cannot be read is passed over: it only makes the search shorter, and the plan
/// says what is missing.
pub(super) fn search(archive: &Archive, logs: &Logs, origin: &Origin) -> Places {
    let identity = archive.identity();
    let name = Path::new(&identity.data_file_name);
    let beside: Vec<PathBuf> = archive
        .files()
        .map(|file| std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf()))
        .map(|file| storage::folder_of(&file).to_path_buf())
        .collect();
    let mut data_files = Distinct::default();
    data_files_add(&mut data_files, origin.data_file.clone());
    data_files_add(&mut data_files, described_path(archive));
    // Archives lie in `Backups` beside the data file, where nothing else was chosen.
    for folder in &beside {
        data_files_add(&mut data_files, folder.parent().map(|above| above.join(name)));
        data_files_add(&mut data_files, Some(folder.join(name)));
    }
    let of_same = |settings: &Settings| settings.data_file_id == Some(identity.data_file_id);
    let mut found = places_of(&data_files.paths, origin, &of_same);
    // It says so also where the settings inside cannot be read.
    found.named.extend(identity.log_file.clone().filter(|log| log.is_absolute()));
    let inside = inside(archive, name);
    found.named.extend(inside.iter().filter_map(|settings| settings.log.file.clone()));
    found.folders.splice(0..0, beside.iter().cloned());
    if let Some(settings) = inside {
        found.folders.extend(settings.destination.folder.into_iter().chain(settings.destination.earlier));
    }
    let given: &[PathBuf] = if let Logs::Also(given) = logs { given } else { &[] };
    find_logs(&mut found, &catalog::stem(name), &beside, given);
    found
}

fn data_files_add(data_files: &mut Distinct, path: Option<PathBuf>) {
    if let Some(path) = path.filter(|path| path.is_absolute()) {
        data_files.add(path);
    }
}

/// What the settings beside these data files say; of those only that `is_own` knows.
pub(super) fn places_of(data_files: &[PathBuf], origin: &Origin, is_own: &dyn Fn(&Settings) -> bool) -> Places {
    let mut found = Places::default();
    for data_file in data_files {
        let nowhere = PathBuf::new();
        let own = origin.settings_dir.as_ref().unwrap_or(&nowhere);
        let is_asked_for = origin.data_file.as_ref() == Some(data_file);
        match SettingsFile::load(data_file, own) {
            Ok(file) if is_own(file.settings()) => {
                let settings = file.settings();
                found.named.extend(settings.log.file.clone());
                let chosen = settings.destination.folder.clone();
                found.folders.push(chosen.unwrap_or_else(|| settings::default_destination(data_file)));
                found.folders.extend(settings.destination.earlier.iter().cloned());
            }
            // Settings that are gone or damaged; or those of another data file in the same place.
            Ok(file) if file.settings().data_file_id.is_some() && !is_asked_for => continue,
            _ => {}
        }
        found.folders.push(settings::default_destination(data_file));
        found.folders.push(storage::folder_of(data_file).to_path_buf());
        found.data_files.push(data_file.clone());
    }
    found
}

/// Everything that looks like a log in these places.
fn find_logs(found: &mut Places, stem: &str, beside: &[PathBuf], given: &[PathBuf]) {
    let mut folders = Distinct::default();
    found.folders.iter().for_each(|folder| folders.add(folder.clone()));
    // Where one lies, those before it lie too.
    found.named.iter().chain(given).for_each(|log| folders.add(storage::folder_of(log).to_path_buf()));
    let mut logs = Distinct::default();
    given.iter().for_each(|log| logs.add(log.clone()));
    let there = |path: &PathBuf| path.symlink_metadata().is_ok();
    let named = found.named.iter().flat_map(|log| [log.clone(), next_path(log)]).filter(there);
    let mut late = Vec::new();
    let mut all: Vec<PathBuf> = named.collect();
    found.own.extend(all.iter().chain(given).cloned());
    for folder in &folders.paths {
        let in_folder = catalog::all_logs(folder, stem).unwrap_or_default();
        if beside.contains(folder) {
            found.own.extend(in_folder.iter().cloned());
        }
        all.extend(in_folder);
    }
    // What was set aside is of another past, perhaps: what is in use goes first.
    for log in all {
        if is_set_aside(&log) { late.push(log) } else { logs.add(log) }
    }
    late.into_iter().for_each(|log| logs.add(log));
    found.folders = folders.paths;
    found.logs = logs.paths;
    let mut named = Distinct::default();
    found.named.drain(..).for_each(|log| named.add(log));
    found.named = named.paths;
}

/// Where the data file was when the archive was made, as the description inside says.
pub(super) fn described_path(archive: &Archive) -> Option<PathBuf> {
    let document: DocumentMut = text_of(archive, ItemKind::Manifest)?.parse().ok()?;
    Some(PathBuf::from(document.get("data-file")?.get("path")?.as_str()?))
}

/// The settings inside the archive.
fn inside(archive: &Archive, name: &Path) -> Option<Settings> {
    settings::parse(&text_of(archive, ItemKind::Settings)?, name).ok()
}

/// The text of the first item of this kind.
pub(super) fn text_of(archive: &Archive, kind: ItemKind) -> Option<String> {
    let item = archive.items().iter().find(|item| item.kind == kind && item.length <= TEXT_MAX)?;
    let mut bytes = Vec::new();
    let sink = &mut |_, piece: &[u8]| {
        bytes.extend_from_slice(piece);
        Ok(())
    };
    archive.stream(item.offset, item.offset + item.length, &Control::default(), sink).ok()?;
    String::from_utf8(bytes).ok()
}
