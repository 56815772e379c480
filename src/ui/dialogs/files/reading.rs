//! What is read of disks for the choice of a file: folders with what is in them, and the places to begin at.

use std::{
    fs,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Local};
use lucide_icons::Icon;

use crate::{error::Error, storage::space::existing_folder};

#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) is_folder: bool,
    /// Of a file, once it is known.
    pub(super) bytes: Option<u64>,
    pub(super) modified: Option<DateTime<Local>>,
}

/// What the thread found.
#[derive(Debug)]
pub(super) enum Found {
    Folder {
        folder: PathBuf,
        rows: Result<Vec<Row>, String>,
        /// Whether that is all.
        is_whole: bool,
    },
    /// A path that is no folder: a file, or nothing yet.
    Other(PathBuf),
}

/// What to make of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// The nearest folder that exists at or above it.
    Nearest,
    /// Itself.
    Exact,
    /// Itself, made first.
    Make,
}

pub(super) fn find(path: PathBuf, look: Look, tell: &mut dyn FnMut(Found)) {
    let made = if look == Look::Make { fs::create_dir(&path) } else { Ok(()) };
    let path = if look == Look::Nearest { existing_folder(&path) } else { path };
    if let Err(e) = made {
        let problem = Error::io("make the folder", &path, e).to_string();
        let folder = path.parent().map_or_else(|| path.clone(), Path::to_path_buf);
        return tell(Found::Folder { folder, rows: Err(problem), is_whole: true });
    }
    if !path.is_dir() {
        return tell(Found::Other(path));
    }
    let fail = |e| Error::io("read the folder", &path, e).to_string();
    let names = match names(&path) {
        Ok(names) => names,
        Err(e) => return tell(Found::Folder { rows: Err(fail(e)), folder: path, is_whole: true }),
    };
    tell(Found::Folder { folder: path.clone(), rows: Ok(names.clone()), is_whole: false });
    let rows = names.into_iter().map(measured).collect();
    tell(Found::Folder { folder: path, rows: Ok(in_order(rows)), is_whole: true });
}

/// What the folder itself says of what is in it: no other disk is asked.
fn names(folder: &Path) -> std::io::Result<Vec<Row>> {
    let row = |entry: fs::DirEntry| Row {
        name: entry.file_name().to_string_lossy().into_owned(),
        is_folder: entry.file_type().is_ok_and(|kind| kind.is_dir()),
        bytes: None,
        modified: None,
        path: entry.path(),
    };
    Ok(in_order(fs::read_dir(folder)?.filter_map(Result::ok).map(row).collect()))
}

/// Follows links, so that a linked folder can be entered; a broken link is shown as a file.
fn measured(row: Row) -> Row {
    let Ok(meta) = fs::metadata(&row.path) else { return row };
    let bytes = (!meta.is_dir()).then_some(meta.len());
    Row { is_folder: meta.is_dir(), bytes, modified: meta.modified().ok().map(DateTime::from), ..row }
}

fn in_order(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by_cached_key(|row| (!row.is_folder, row.name.to_lowercase()));
    rows
}

/// More disks are not offered.
const DISKS_MAX: usize = 6;

/// Where people keep files, and where other disks are: archives belong on another one than the data file.
pub(super) fn places() -> Vec<(Icon, String, PathBuf)> {
    let mut places = Vec::new();
    if let Some(dirs) = directories::UserDirs::new() {
        places.push((Icon::House, "Home".to_owned(), dirs.home_dir().to_path_buf()));
        for (name, dir) in [("Desktop", dirs.desktop_dir()), ("Documents", dirs.document_dir())] {
            places.extend(dir.map(|dir| (Icon::Folder, name.to_owned(), dir.to_path_buf())));
        }
    }
    if !cfg!(windows) {
        places.push((Icon::HardDrive, "File system".to_owned(), PathBuf::from("/")));
    }
    places.extend(disks().into_iter().take(DISKS_MAX).map(|disk| (Icon::HardDrive, existing_name(&disk), disk)));
    places
}

fn disks() -> Vec<PathBuf> {
    let Ok(disks) = sysinfo::Disks::new_with_refreshed_list() else {
        return Vec::new();
    };
    let is_system = |path: &Path| path == Path::new("/") || path.starts_with("/boot") || path.starts_with("/etc");
    let mut found: Vec<PathBuf> =
        disks.iter().map(|d| d.mount_point().to_path_buf()).filter(|p| p.is_dir() && !is_system(p)).collect();
    found.sort();
    found.dedup();
    found
}

pub(super) fn existing_name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}
