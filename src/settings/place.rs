//! The folders that were used, as they stand in the settings file: a list of small tables.

use std::path::{Path, PathBuf};

use toml_edit::{InlineTable, Value};

use super::sections::KnownPlace;

/// The kind of what is no folder.
const FILE: &str = "file";

/// A path that must come back as it was, whatever its bytes are.
pub(super) fn text(path: &Path) -> String {
    match path.to_str() {
        Some(text) => text.to_owned(),
        None => path.as_os_str().as_encoded_bytes().iter().fold("bytes:".to_owned(), |t, b| format!("{t}{b:02x}")),
    }
}

pub(super) fn path(text: &str) -> Option<PathBuf> {
    let Some(digits) = text.strip_prefix("bytes:") else { return Some(PathBuf::from(text)) };
    let pair = |at: usize| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes = (0..digits.len()).step_by(2).map(pair).collect::<Option<Vec<u8>>>()?;
    #[cfg(unix)]
    return Some(std::os::unix::ffi::OsStringExt::from_vec(bytes)).map(|name: std::ffi::OsString| name.into());
    #[cfg(not(unix))]
    String::from_utf8(bytes).ok().map(PathBuf::from)
}

/// A folder as it stands in the file.
pub(super) fn of(value: &Value) -> Option<KnownPlace> {
    let table = value.as_inline_table()?;
    let part = |key: &str| table.get(key).map_or(Some(""), Value::as_str);
    let id = part("id")?;
    Some(KnownPlace {
        folder: path(part("folder")?).filter(|folder| folder.is_absolute())?,
        id: if id.is_empty() { None } else { Some(id.parse().ok()?) },
        mount_point: path(part("mount-point")?)?,
        disk: part("disk")?.to_owned(),
        leads_to: Some(path(part("leads-to")?)?).filter(|path| path.is_absolute()),
        inode: Some(part("inode")?).filter(|text| !text.is_empty()).map(str::parse).transpose().ok()?,
        is_file: part("kind")? == FILE,
    })
}

/// The same, to be written.
pub(super) fn table(place: &KnownPlace) -> Value {
    let id = place.id.map(|id| id.to_string()).unwrap_or_default();
    let (folder, mount_point) = (text(&place.folder), text(&place.mount_point));
    let leads_to = place.leads_to.as_deref().map(text).unwrap_or_default();
    let parts = [
        ("folder", folder),
        ("id", id),
        ("mount-point", mount_point),
        ("disk", place.disk.clone()),
        ("leads-to", leads_to),
        ("inode", place.inode.map(|inode| inode.to_string()).unwrap_or_default()),
        ("kind", if place.is_file { FILE } else { "" }.to_owned()),
    ];
    Value::InlineTable(parts.into_iter().filter(|(_, text)| !text.is_empty()).collect::<InlineTable>())
}
