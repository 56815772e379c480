//! Whether the folders chosen are still the ones that they were, on the same disks: where one is not mounted, an empty
//! folder takes its place, and an archive without its files would look complete.
//!
//! Nothing is written to these folders. The settings remember the file system of each, and of what is mounted below it,
//! as long as files were found there.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::Content;
use crate::{
    archive::ItemKind,
    settings::{Settings, sections::KnownPlace},
    storage::disks::{System, Volume},
};

/// What is remembered of the folders chosen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Remembered {
    /// From now on, whatever becomes of the backup.
    pub(crate) now: Vec<KnownPlace>,
    /// Once a backup was made that says what is different.
    pub(crate) when_said: Vec<KnownPlace>,
}

/// Keeps it in the settings.
pub(crate) fn remember(settings: &mut Settings, folders: &[KnownPlace]) {
    settings.places.retain(|place| place.id.is_some());
    settings.places.extend_from_slice(folders);
}

/// Compares the folders that `settings` choose with what they remember, says in the report of `content` what is not as
/// it was, and returns what is to be remembered.
pub(crate) fn compare(content: &Content, settings: &Settings, system: Option<&System>) -> Remembered {
    let chosen = &settings.content;
    let roots: Vec<&PathBuf> = chosen.program.iter().chain(&chosen.attachments).collect();
    let known = settings.places.iter().filter(|place| place.id.is_none());
    let Some(system) = system else { return Remembered::default() };
    let table = fs::read_to_string("/etc/fstab").unwrap_or_default();
    let say = |path: &Path, reason: String| content.shared.edit(|report| report.problem(path, reason));
    // What is said once.
    let differs = |path: &Path, reason: String| {
        content.shared.edit(|report| report.differs.push(format!("{} {reason}", path.display())));
        say(path, reason);
    };
    let mut remembered = Remembered::default();
    let mut is_said = Vec::new();
    for place in known.filter(|place| roots.iter().any(|root| place.folder.starts_with(root))) {
        let led_to = place.leads_to.as_ref().zip(place.folder.canonicalize().ok());
        if let Some((then, now)) = led_to.filter(|(then, now)| *then != now && content.holds_files(&place.folder)) {
            differs(
                &place.folder,
                format!("leads to {} now, and led to {} at the last backup", now.display(), then.display()),
            );
            remembered.now.push(place.clone());
            is_said.push(&place.folder);
            continue;
        }
        let now = system.volume(&place.folder);
        let is_same = now.as_ref().is_some_and(|now| Volume::is_same(&now.name, &place.disk));
        match (is_same, content.holds_files(&place.folder), now) {
            (true, true, _) => {}
            (true, false, _) => {
                // One that is gone was said when it was looked for.
                if place.folder.is_dir() {
                    differs(&place.folder, "is empty, and held files at the last backup".to_owned());
                }
                remembered.now.push(place.clone());
                is_said.push(&place.folder);
            }
            (false, true, Some(now)) => {
                differs(
                    &place.folder,
                    format!("is on another disk than at the last backup: {}, not {}", now.name, place.disk),
                );
                remembered.now.push(place.clone());
                is_said.push(&place.folder);
            }
            (false, ..) => {
                let (disk, point) = (&place.disk, place.mount_point.display());
                say(
                    &place.folder,
                    format!("holds nothing, because its disk is missing: {disk} is not mounted at {point}"),
                );
                remembered.now.push(place.clone());
                remembered.when_said.push(place.clone());
                is_said.push(&place.folder);
            }
        }
    }
    for root in roots.iter().filter(|root| root.is_dir()) {
        let real = root.canonicalize().unwrap_or_else(|_| root.to_path_buf());
        // By the name that it was chosen by, also where that is a link.
        let as_chosen = |point: &PathBuf| point.strip_prefix(&real).ok().map(|inside| root.join(inside));
        let below = system.mounted_below(&real);
        let folders = below.iter().filter(|point| **point != real).filter_map(as_chosen);
        for folder in folders.chain([root.to_path_buf()]) {
            if let Some(volume) = system.volume(&folder).filter(|_| content.holds_files(&folder)) {
                let leads_to = folder.canonicalize().ok().filter(|_| !folder.is_symlink());
                let place =
                    KnownPlace { mount_point: volume.mount_point, disk: volume.name, folder, id: None, leads_to };
                if !is_said.contains(&&place.folder) {
                    remembered.now.push(place.clone());
                }
                remembered.when_said.push(place);
            }
        }
        let is_news = !content.holds_files(root) && !is_said.contains(root);
        if let Some((point, source)) = system.unmounted(root, &table).filter(|_| is_news) {
            say(
                root,
                format!("holds nothing, because its disk is missing: {source} is not mounted at {}", point.display()),
            );
        }
    }
    for list in [&mut remembered.now, &mut remembered.when_said] {
        list.sort_by(|a, b| a.folder.cmp(&b.folder));
        list.dedup_by(|a, b| a.folder == b.folder);
    }
    remembered
}

impl Content {
    /// Whether a file or link was found at or below `folder`.
    fn holds_files(&self, folder: &Path) -> bool {
        // What was found has the path that a chosen link leads to.
        let real = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
        let is_below = |path: &Path| path.starts_with(folder) || path.starts_with(&real);
        self.found.iter().any(|found| found.kind != ItemKind::Folder && is_below(&found.path))
    }
}
