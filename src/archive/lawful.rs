//! What an archive may hold at all. Its checksums say that it is as it was written, not who wrote it: an archive that
//! somebody forged is refused as a whole, by everything that opens one, before anything of it is written.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use super::{
    format::{Identity, Item, ItemKind},
    reader::safe_name,
};
use crate::{
    error::{Error, ErrorKind, Result},
    storage::names,
};

/// The folder of attachments in an archive.
pub const ATTACHMENTS: &str = "Attachments";
/// The folder of program files in an archive.
pub const PROGRAM: &str = "Program";
/// The description of an archive for people, inside of it.
pub const MANIFEST_NAME: &str = "strongroom-manifest.toml";
/// No archive has a higher number: the next ones are counted on from it, and there must be some left.
const NUMBER_MAX: u32 = 1_000_000_000;

/// No link leads further.
const TARGET_LENGTH_MAX: usize = 4096;
/// What SQLite takes for its own beside a data file.
pub const COMPANIONS: [&str; 3] = ["-wal", "-journal", "-shm"];

/// Refuses items that no backup writes and that a restore must not make: names that lead elsewhere, the same name
/// twice, what would lie in a link or a file, a second data file, companions of the data file, permissions beyond read,
/// write and run, and what does not belong where it lies: only the data file, its settings and the description lie at
/// the top. Something else there would be taken for a part of whatever else lies in the folder to restore into.
///
/// # Errors
/// [`ErrorKind::UnsafePath`] with the first of them.
pub(super) fn require_lawful(archive: &Path, identity: &Identity, items: &[Item]) -> Result<()> {
    let refuse = |what: String| {
        Err(Error::new(ErrorKind::UnsafePath, format!("{} {what}", archive.display()))
            .hint(format!("Do not trust {}: it was not made by Strongroom.", archive.display())))
    };
    let data_file = identity.data_file_name.as_str();
    if safe_name(data_file).is_err() || data_file.contains('/') {
        return refuse(format!("says that its data file is called {data_file:?}"));
    }
    if !(1..=NUMBER_MAX).contains(&identity.number.0) {
        return refuse(format!("says that its number is {}", identity.number.0));
    }
    let mut kinds: HashMap<&str, ItemKind> = HashMap::with_capacity(items.len());
    if items.iter().any(|item| item.original.is_some()) {
        require_lawful_paths(archive, items)?;
    }
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
            return refuse(format!("says of {} what cannot be", item.name));
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
    match items.iter().find(|item| !is_in_its_place(item, data_file)) {
        Some(item) => refuse(format!("holds {}, which does not belong there", item.name)),
        None => Ok(()),
    }
}

/// The same of the paths that files are restored under, where these are others than their names.
fn require_lawful_paths(archive: &Path, items: &[Item]) -> Result<()> {
    let refuse = |item: &Item, what: &str| {
        Err(Error::new(ErrorKind::UnsafePath, format!("{} gives {} {what}", archive.display(), item.name))
            .hint(format!("Do not trust {}: it was not made by Strongroom.", archive.display())))
    };
    let mut kinds: HashMap<PathBuf, ItemKind> = HashMap::with_capacity(items.len());
    for item in items {
        let path = match item.path() {
            Ok(path) if item.may_have_original() => path,
            _ => return refuse(item, "a name that is not its own"),
        };
        if kinds.insert(path, item.kind).is_some() {
            return refuse(item, "the name of another file");
        }
    }
    for item in items {
        let path = item.path()?;
        let mut above = path.ancestors().skip(1);
        if above.any(|above| kinds.get(above).is_some_and(|kind| *kind != ItemKind::Folder)) {
            return refuse(item, "a place in a link or a file");
        }
    }
    Ok(())
}

/// Whether a backup of `data_file`, a name, puts such an item under such a name.
fn is_in_its_place(item: &Item, data_file: &str) -> bool {
    let in_folder = |folder: &str| {
        // Where the data file has the name of the folder, that gets another one.
        let folder = if data_file == folder { format!("{folder} (2)") } else { folder.to_owned() };
        item.name.strip_prefix(&folder).is_some_and(|rest| rest.starts_with('/'))
    };
    match item.kind {
        ItemKind::DataFile => item.name == data_file,
        ItemKind::Settings => item.name == settings_name(data_file),
        ItemKind::Manifest => item.name == MANIFEST_NAME,
        ItemKind::Program => in_folder(PROGRAM),
        ItemKind::Attachment => in_folder(ATTACHMENTS),
        ItemKind::Folder | ItemKind::Link | ItemKind::Other => in_folder(PROGRAM) || in_folder(ATTACHMENTS),
    }
}

/// The name of the settings file beside a data file of this name.
pub fn settings_name(data_file: &str) -> String {
    let stem = Path::new(data_file).file_stem().unwrap_or_default().to_string_lossy();
    format!("{}.strongroom.toml", names::short(&stem, names::STEM_BYTES_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::ArchiveNumber;

    fn item(name: &str, kind: ItemKind) -> Item {
        let target = (kind == ItemKind::Link).then(|| "x".to_owned());
        let (name, blake3) = (name.to_owned(), String::new());
        Item {
            name,
            kind,
            offset: 0,
            length: 0,
            blake3,
            mode: 0o644,
            modified: 0,
            owner: None,
            target,
            not_whole: None,
            original: None,
        }
    }

    fn said(items: &[Item]) -> String {
        said_of(&identity("a.sqlite", 1), items)
    }

    fn identity(data_file: &str, number: u32) -> Identity {
        let moment = chrono::DateTime::UNIX_EPOCH.fixed_offset();
        Identity {
            data_file_id: uuid::Uuid::nil(),
            archive_id: uuid::Uuid::nil(),
            data_file_name: data_file.to_owned(),
            data_file_path: None,
            installation: None,
            log_file: None,
            recovery: None,
            number: ArchiveNumber(number),
            moment,
            page_size: 4096,
            page_count: 1,
            program: String::new(),
            log_position: None,
            content: None,
            options: None,
            segment: None,
        }
    }

    fn said_of(identity: &Identity, items: &[Item]) -> String {
        require_lawful(Path::new("A"), identity, items)
            .err()
            .map_or_else(|| "lawful".to_owned(), |e| e.message().to_owned())
    }

    #[test]
    fn what_no_backup_writes_is_refused_and_named() {
        use ItemKind::{Attachment, DataFile, Folder, Link, Settings};
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
        #[cfg(unix)]
        {
            let named = |name: &str, kind, bytes: &[u8]| {
                let original = Some(crate::archive::original::encode(bytes));
                Item { original, ..item(name, kind) }
            };
            assert_eq!(with(named("Attachments/a%FF", Attachment, b"Attachments/a\xff")), "lawful");
            let not_own = "A gives Attachments/a a name that is not its own";
            assert_eq!(with(named("Attachments/a", Attachment, b"Attachments/../../a")), not_own);
            let taken = "A gives Attachments/x/f (2) the name of another file";
            assert_eq!(with(named("Attachments/x/f (2)", Attachment, b"Attachments/x/f")), taken);
            let inside = "A gives Attachments/x (2)/l (2)/y a place in a link or a file";
            assert_eq!(with(named("Attachments/x (2)/l (2)/y", Attachment, b"Attachments/x/l/y")), inside);
            let second = "A gives b a name that is not its own";
            assert_eq!(with(named("b", Settings, b"b")), second);
        }
        for (kind, target, length) in [
            (Link, None, 0),
            (Link, Some(""), 0),
            (Link, Some("a\0b"), 0),
            (Link, Some("x"), 1),
            (Folder, None, 1),
            (Attachment, Some("x"), 0),
        ] {
            let odd = Item { target: target.map(str::to_owned), length, ..item("odd", kind) };
            assert_eq!(with(odd), "A says of odd what cannot be");
        }
    }
    #[test]
    fn each_kind_has_its_place_and_the_identity_can_be_one() {
        use ItemKind::{Attachment, DataFile, Folder, Link, Manifest, Other, Program, Settings};
        let own = [
            item("a.sqlite", DataFile),
            item("a.strongroom.toml", Settings),
            item("Program/p", Program),
            item("strongroom-manifest.toml", Manifest),
        ];
        assert_eq!(said(&own), "lawful");
        for (name, kind) in [
            ("b.sqlite", DataFile),
            ("Attachments/a.sqlite", DataFile),
            ("b.strongroom.toml", Settings),
            ("Attachments/a.strongroom.toml", Settings),
            ("manifest.toml", Manifest),
            (".bashrc", Attachment),
            ("b.strongroom.toml", Attachment),
            ("Backups/a[0001].4BK", Attachment),
            ("AttachmentsX/f", Attachment),
            ("Attachments", Folder),
            ("Backups", Folder),
            ("b.strongroom.toml", Link),
            ("Attachments/p", Program),
            ("Program/f", Attachment),
            ("new", Other),
        ] {
            assert_eq!(said(&[item(name, kind)]), format!("A holds {name}, which does not belong there"), "{kind:?}");
        }
        // A data file that has the name of a folder of ours.
        let odd = identity("Attachments", 1);
        let lawful = [item("Attachments", DataFile), item("Attachments (2)/f", Attachment)];
        assert_eq!(said_of(&odd, &lawful), "lawful");
        for name in ["", ".", "..", "../a", "b/a", "/a", "a\u{7}"] {
            let expected = format!("A says that its data file is called {name:?}");
            assert_eq!(said_of(&identity(name, 1), &[]), expected);
        }
        for number in [0, NUMBER_MAX + 1, u32::MAX] {
            let expected = format!("A says that its number is {number}");
            assert_eq!(said_of(&identity("a.sqlite", number), &own), expected);
        }
        assert_eq!(said_of(&identity("a.sqlite", NUMBER_MAX), &own), "lawful");
    }
}
