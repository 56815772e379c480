//! What an archive may hold at all. Its checksums say that it is as it was written, not who wrote it: an archive that
//! somebody forged is refused as a whole, by everything that opens one, before anything of it is written.

use std::{collections::HashMap, path::Path};

use super::{
    format::{Item, ItemKind},
    reader::safe_name,
};
use crate::error::{Error, ErrorKind, Result};

/// No link leads further.
const TARGET_LENGTH_MAX: usize = 4096;
/// What SQLite takes for its own beside a data file.
pub const COMPANIONS: [&str; 3] = ["-wal", "-journal", "-shm"];

/// Refuses items that no backup writes and that a restore must not make: names that lead elsewhere, the same name
/// twice, what would lie in a link or a file, a second data file, companions of the data file, and permissions beyond
/// read, write and run.
///
/// # Errors
/// [`ErrorKind::UnsafePath`] with the first of them.
pub(super) fn require_lawful(archive: &Path, items: &[Item]) -> Result<()> {
    let refuse = |what: String| {
        Err(Error::new(ErrorKind::UnsafePath, format!("{} {what}", archive.display()))
            .hint(format!("Do not trust {}: it was not made by Strongroom.", archive.display())))
    };
    let mut kinds: HashMap<&str, ItemKind> = HashMap::with_capacity(items.len());
    for item in items {
        safe_name(&item.name)
            .map_err(|e| e.hint(format!("Do not trust {}: it was not made by Strongroom.", archive.display())))?;
        if kinds.insert(&item.name, item.kind).is_some() {
            return refuse(format!("holds the file {} twice", item.name));
        }
    }
    for item in items {
        let above = item.name.match_indices('/').map(|(at, _)| &item.name[..at]);
        if let Some(above) = above.into_iter().find(|above| kinds.get(above).is_some_and(|k| *k != ItemKind::Folder)) {
            let what = if kinds.get(above) == Some(&ItemKind::Link) { "the link" } else { "the file" };
            return refuse(format!("holds {} inside of {what} {above}", item.name));
        }
        let is_mark = matches!(item.kind, ItemKind::Folder | ItemKind::Link);
        let target_length = item.target.as_ref().map(String::len);
        let is_link = target_length.is_some_and(|length| (1..=TARGET_LENGTH_MAX).contains(&length));
        let has_nul = item.target.as_ref().is_some_and(|target| target.contains('\0'));
        if is_link != (item.kind == ItemKind::Link) || has_nul || is_mark && item.length > 0 {
            return refuse(format!("says of {} what can not be", item.name));
        }
        if item.mode & !0o777 != 0 {
            return refuse(format!("gives {} special permissions ({:o})", item.name, item.mode));
        }
    }
    let mut data_files = items.iter().filter(|item| item.kind == ItemKind::DataFile);
    if let Some(data_file) = data_files.next() {
        if let Some(second) = data_files.next() {
            return refuse(format!("holds two data files, {} and {}", data_file.name, second.name));
        }
        // Some file systems take small and capital letters for the same.
        let companions = COMPANIONS.map(|end| format!("{}{end}", data_file.name).to_lowercase());
        if let Some(item) = items.iter().find(|item| companions.contains(&item.name.to_lowercase())) {
            return refuse(format!("holds {}, which SQLite would take for a part of the data file", item.name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(name: &str, kind: ItemKind) -> Item {
        let target = (kind == ItemKind::Link).then(|| "x".to_owned());
        let (name, blake3) = (name.to_owned(), String::new());
        Item { name, kind, offset: 0, length: 0, blake3, mode: 0o644, modified: 0, owner: None, target }
    }

    fn said(items: &[Item]) -> String {
        require_lawful(Path::new("A"), items).err().map_or_else(|| "lawful".to_owned(), |e| e.message().to_owned())
    }

    #[test]
    fn what_no_backup_writes_is_refused_and_named() {
        use ItemKind::{Attachment, DataFile, Folder, Link};
        let lawful = [
            item("a.sqlite", DataFile),
            item("Attachments/x/f", Attachment),
            item("Attachments/x", Folder),
            item("Attachments/x/l", Link),
            item("Attachments/other.sqlite-wal", Attachment),
        ];
        assert_eq!(said(&lawful), "lawful");
        let with = |more: Item| said(&[lawful.as_slice(), &[more]].concat());
        assert_eq!(
            with(item("Attachments/x/l/y", Attachment)),
            "A holds Attachments/x/l/y inside of the link Attachments/x/l"
        );
        assert_eq!(with(item("a.sqlite/y", Attachment)), "A holds a.sqlite/y inside of the file a.sqlite");
        assert_eq!(with(item("a.sqlite", Link)), "A holds the file a.sqlite twice");
        assert_eq!(with(item("b", DataFile)), "A holds two data files, a.sqlite and b");
        for companion in ["a.sqlite-wal", "a.sqlite-journal", "a.sqlite-shm", "A.sqlite-WAL"] {
            let expected = format!("A holds {companion}, which SQLite would take for a part of the data file");
            assert_eq!(with(item(companion, Attachment)), expected);
        }
        let special = Item { mode: 0o4755, ..item("Program/p", ItemKind::Program) };
        assert_eq!(with(special), "A gives Program/p special permissions (4755)");
        for (kind, target, length) in [
            (Link, None, 0),
            (Link, Some(""), 0),
            (Link, Some("a\0b"), 0),
            (Link, Some("x"), 1),
            (Folder, None, 1),
            (Attachment, Some("x"), 0),
        ] {
            let odd = Item { target: target.map(str::to_owned), length, ..item("odd", kind) };
            assert_eq!(with(odd), "A says of odd what can not be");
        }
    }
}
