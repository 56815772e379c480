//! Which items of an archive are meant: single ones, or all below a folder.

use std::collections::BTreeMap;

use crate::{
    archive::{Archive, Item, ItemKind},
    error::{Error, ErrorKind, Result},
};

/// Whether `name` is `wanted` or lies in it.
fn lies_in(name: &str, wanted: &str) -> bool {
    name.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The items of `archive` that `wanted` names, or all.
///
/// # Errors
/// `NotFound` for a name that the archive does not hold.
pub(super) fn select(archive: &Archive, wanted: &[String]) -> Result<Vec<Item>> {
    let is_there = |wanted: &&String| archive.items().iter().any(|item| lies_in(&item.name, wanted));
    if let Some(missing) = wanted.iter().find(|wanted| !is_there(wanted)) {
        let message = format!("{} holds no file named {missing}", archive.path().display());
        return Err(Error::new(ErrorKind::NotFound, message).hint("Choose among the files that the archive lists."));
    }
    let is_wanted = |item: &&Item| wanted.is_empty() || wanted.iter().any(|wanted| lies_in(&item.name, wanted));
    Ok(archive.items().iter().filter(is_wanted).cloned().collect())
}

/// The items as a person chooses among them: of program files and attachments only what was put on the list, which is
/// the second part of their names, with the length of everything in it.
pub(super) fn overview(items: &[Item]) -> Vec<Item> {
    let mut shown: Vec<Item> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for item in items {
        let inside = matches!(item.kind, ItemKind::Program | ItemKind::Attachment | ItemKind::Folder | ItemKind::Link);
        let chosen: Vec<&str> = item.name.splitn(3, '/').take(2).collect();
        let chosen = chosen.join("/");
        if !inside || chosen == item.name {
            shown.push(item.clone());
            continue;
        }
        match places.get(&chosen) {
            Some(place) => shown[*place].length += item.length,
            None => {
                places.insert(chosen.clone(), shown.len());
                let (kind, blake3) = (ItemKind::Folder, String::new());
                shown.push(Item { name: chosen, kind, blake3, target: None, original: None, ..item.clone() });
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_one_line_with_the_length_of_all_in_it() {
        let item = |name: &str, kind, length| Item {
            name: name.to_owned(),
            kind,
            offset: 0,
            length,
            blake3: "x".to_owned(),
            mode: 0,
            modified: 0,
            owner: None,
            target: None,
            not_whole: None,
            original: None,
        };
        let items = [
            item("a.sqlite", ItemKind::DataFile, 9),
            item("Attachments/letter.txt", ItemKind::Attachment, 3),
            item("Attachments/letters/a/b.txt", ItemKind::Attachment, 4),
            item("Attachments/letters/c.txt", ItemKind::Attachment, 5),
            item("Attachments/letters/empty", ItemKind::Folder, 0),
            item("strongroom-manifest.toml", ItemKind::Manifest, 1),
        ];
        let shown = overview(&items);
        let short: Vec<(&str, u64)> = shown.iter().map(|i| (i.name.as_str(), i.length)).collect();
        assert_eq!(
            short,
            [
                ("a.sqlite", 9),
                ("Attachments/letter.txt", 3),
                ("Attachments/letters", 9),
                ("strongroom-manifest.toml", 1)
            ]
        );
        assert!(lies_in("Attachments/letters/c.txt", "Attachments/letters"));
        assert!(!lies_in("Attachments/letters/c.txt", "Attachments/letter"));
    }
}
