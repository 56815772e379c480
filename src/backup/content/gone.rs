//! Whether most files of a chosen folder are gone since the backup before, because another folder or disk has taken its
//! place or because they were deleted: then that backup may be the last one that holds them.
//!
//! An application deletes files every day, and may put a new folder in the place of one that holds the same. Names tell
//! that from a loss: they are compared with those in the archive before.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use super::{ContentReport, disks::CHOSEN};
use crate::archive::{Item, ItemKind};

/// A folder with fewer files that is still the same one may lose most of them in everyday use.
const FILES_MIN: usize = 10;

/// What is gone of the chosen folders, in words, by what the archive `before` holds and the one with this report holds
/// `now`; `None` where that is an everyday change.
pub(crate) fn lost(before: &[Item], now: &[Item], report: &ContentReport) -> Option<String> {
    let there: HashSet<&str> = now.iter().map(|item| item.name.as_str()).collect();
    let mut found = Vec::new();
    for root in &report.roots {
        let path = Path::new(&root.path);
        // What could not be read is said, and makes the archive partial.
        if report.may_lack(path) {
            continue;
        }
        let below = report.replaced.iter().filter(|folder| folder.starts_with(path) && *folder != path);
        for folder in below.map(PathBuf::as_path).chain([path]) {
            let inside = folder.strip_prefix(path).unwrap_or(Path::new("")).to_string_lossy();
            let beginning =
                if inside.is_empty() { format!("{}/", root.name) } else { format!("{}/{inside}/", root.name) };
            let is_of = |item: &&Item| item.kind != ItemKind::Folder && item.name.starts_with(&beginning);
            let held = before.iter().filter(is_of).count();
            let holds = now.iter().filter(is_of).count();
            let gone = before.iter().filter(is_of).filter(|item| !there.contains(item.name.as_str())).count();
            // What was left out on purpose is there.
            let gone = gone.saturating_sub(usize::try_from(report.left_out_count).unwrap_or(usize::MAX));
            let is_other = report.replaced.iter().any(|replaced| replaced == folder);
            if gone * 2 <= held || !(is_other || held >= FILES_MIN && holds * 2 < held) {
                continue;
            }
            let (which, gone) = (path.display(), format!("{gone} of its {held} files are gone"));
            found.push(match (inside.is_empty(), is_other) {
                (true, true) => {
                    format!("{CHOSEN} folder {which} is another one than when it was backed up last, and {gone}")
                }
                (true, false) => format!("{CHOSEN} folder {which} lost most of what it held: {gone}"),
                (false, _) => format!("{CHOSEN} folder {which} has another disk at {}, and {gone}", folder.display()),
            });
            break;
        }
    }
    (!found.is_empty()).then(|| found.join("; "))
}

#[cfg(test)]
mod tests {
    use super::{super::ContentRoot, *};

    fn items(names: &[String]) -> Vec<Item> {
        let item = |name: &String| Item {
            name: format!("Attachments/f/{name}"),
            kind: ItemKind::Attachment,
            offset: 0,
            length: 1,
            blake3: String::new(),
            mode: 0o644,
            modified: 0,
            owner: None,
            target: None,
            not_whole: None,
            original: None,
        };
        names.iter().map(item).collect()
    }

    #[test]
    fn only_names_that_are_gone_from_most_of_a_folder_are_a_loss() {
        let numbered = |from: usize, to: usize| (from..to).map(|n| format!("{n}")).collect::<Vec<_>>();
        for (before, now, is_other, is_lost) in [
            (numbered(0, 20), numbered(0, 20), true, false),
            // An application that puts a new folder in the place of the old one, and everyday use.
            (numbered(0, 20), numbered(5, 30), true, false),
            (numbered(0, 20), numbered(11, 12), false, true),
            (numbered(0, 20), numbered(0, 10), false, false),
            // As many files with other names: a spool, or another folder.
            (numbered(0, 20), numbered(20, 40), false, false),
            (numbered(0, 20), numbered(20, 40), true, true),
            (numbered(0, 3), numbered(3, 4), false, false),
            (numbered(0, 3), numbered(3, 4), true, true),
        ] {
            let roots = vec![ContentRoot { path: "/f".to_owned(), name: "Attachments/f".to_owned() }];
            let replaced = if is_other { vec![PathBuf::from("/f")] } else { Vec::new() };
            let report = ContentReport { roots, replaced, ..ContentReport::default() };
            let said = lost(&items(&before), &items(&now), &report);
            assert_eq!(said.is_some(), is_lost, "{before:?} {now:?} {is_other}: {said:?}");
        }
    }
}
