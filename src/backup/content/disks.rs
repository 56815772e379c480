//! Whether what was chosen is still what it was, on the same disks: where a disk is not mounted, an empty folder takes
//! its place, and an archive without its files would look complete.
//!
//! Nothing is written there. The settings remember what each was, file or folder, and its file system, and the same of
//! what is mounted below: from when files were found there until it is another one, that was said, and what it held
//! is held. What is gone or cannot be looked at is said by each backup, and forgotten by none.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::{Content, ContentProblem, ContentReport, special};
use crate::{
    archive::ItemKind,
    settings::{Settings, sections::KnownPlace},
    storage::{
        self,
        disks::{System, Volume},
    },
};

/// How everything begins that is said once of what was chosen.
pub(crate) const CHOSEN: &str = "the chosen";

/// What is remembered of what was chosen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Remembered {
    /// From now on, whatever becomes of the backup.
    pub(crate) now: Vec<KnownPlace>,
    /// Once it was said what is different, and the backup that holds what was there before is held.
    pub(crate) when_said: Vec<KnownPlace>,
}

impl Remembered {
    /// As long as nothing else was seen.
    fn keep(&mut self, place: &KnownPlace) {
        self.now.push(place.clone());
        self.when_said.push(place.clone());
    }
}

/// Keeps it in the settings.
pub(crate) fn remember(settings: &mut Settings, chosen: &[KnownPlace]) {
    settings.places.retain(|place| place.id.is_some());
    settings.places.extend_from_slice(chosen);
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum There {
    Gone,
    Unknown,
    Folder,
    File,
    /// Something that holds nothing to store.
    Special(&'static str),
}

impl There {
    fn at(path: &Path) -> Self {
        match path.metadata() {
            Ok(meta) if meta.is_dir() => Self::Folder,
            Ok(meta) if meta.is_file() => Self::File,
            Ok(meta) => Self::Special(special(meta.file_type())),
            Err(error) if error.kind() == ErrorKind::NotFound => Self::Gone,
            Err(_) => Self::Unknown,
        }
    }
}

/// What became of something that was chosen, or is mounted below it.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// As it was, with files.
    Same,
    /// Nothing is known of it now but what the report says already.
    NotSeen,
    /// To be said by every backup.
    Missing(String),
    /// To be said once: it may well be meant.
    Other(String),
}

/// Compares what `settings` choose with what they remember of it, says in the report of `content` what is not as it
/// was, and returns what is to be remembered.
pub(crate) fn compare(content: &Content, settings: &Settings, system: Option<&System>) -> Remembered {
    let chosen = &settings.content;
    let roots: Vec<&PathBuf> = chosen.program.iter().chain(&chosen.attachments).collect();
    let known = settings.places.iter().filter(|place| place.id.is_none());
    let before = content.report();
    let say = |path: &Path, reason: String| content.shared.edit(|report| report.problem(path, reason));
    let mut remembered = Remembered::default();
    let mut is_said = Vec::new();
    for place in known.filter(|place| roots.iter().any(|root| place.folder.starts_with(root))) {
        let path = &place.folder;
        match content.fate(place, &roots, &before, system) {
            // Where the system does not tell which disk it is on, that stays known.
            Fate::Same if system.is_none() => remembered.keep(place),
            Fate::Same if is_another(place) => {
                content.shared.edit(|report| report.replaced.push(path.clone()));
                remembered.now.push(place.clone());
            }
            Fate::Same => continue,
            Fate::NotSeen => remembered.keep(place),
            Fate::Missing(reason) => {
                say(path, reason);
                remembered.keep(place);
            }
            Fate::Other(reason) => {
                let noun = if place.is_file { "file" } else { "folder" };
                let whole = format!("{CHOSEN} {noun} {} {reason}", path.display());
                content.shared.edit(|report| report.differs.push(whole));
                say(path, reason);
                remembered.now.push(place.clone());
            }
        }
        is_said.push(path);
    }
    let table = fs::read_to_string("/etc/fstab").unwrap_or_default();
    for root in roots {
        let is_known = |point: &PathBuf| settings.places.iter().any(|place| place.folder == *point);
        let new = system.map(|system| below(root, system)).unwrap_or_default().into_iter();
        content.shared.edit(|report| report.replaced.extend(new.filter(|point| !is_known(point))));
        for place in content.places(root, system) {
            if !is_said.contains(&&place.folder) {
                remembered.now.push(place.clone());
            }
            remembered.when_said.push(place);
        }
        let is_news = root.is_dir() && !content.holds_files(root) && !is_said.contains(&root);
        let unmounted = system.filter(|_| is_news).and_then(|system| system.unmounted(root, &table));
        if let Some((point, source)) = unmounted {
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
    /// What became of `place`; `before` is what the report said when everything had been looked through.
    fn fate(&self, place: &KnownPlace, roots: &[&PathBuf], before: &ContentReport, system: Option<&System>) -> Fate {
        let path = &place.folder;
        let (there, holds_files) = (There::at(path), self.holds_files(path));
        let now = system.and_then(|system| system.volume(path));
        let is_known = !place.disk.is_empty();
        let other = now.filter(|now| is_known && !Volume::is_same(&now.name, &place.disk));
        let was = if place.is_file { "was a file" } else { "was a folder" };
        match (there, other) {
            (There::Special(what), _) => Fate::Other(format!("{what} now, and {was} when it was backed up last")),
            (There::Unknown, _) => Fate::NotSeen,
            (there, Some(now)) if !holds_files => Fate::Missing(is_missing((place, &there), &now, system)),
            (There::Gone, _) => {
                // What is mounted below was looked for by nobody else; what was chosen was, and that is said.
                let is_said = roots.iter().any(|root| path.starts_with(root) && There::at(root) != There::Folder);
                match is_said {
                    true => Fate::NotSeen,
                    false => Fate::Other("does not exist any more, and held files when it was backed up last".into()),
                }
            }
            (There::Folder, _) if !holds_files && self.is_in(&before.problems, before.problem_count, path) => {
                Fate::NotSeen
            }
            (There::Folder, _) if place.is_file => {
                let what = if holds_files { "a folder" } else { "an empty folder" };
                Fate::Other(format!("is {what} now, and {was} when it was backed up last"))
            }
            (There::File, _) if !place.is_file => {
                Fate::Other(format!("is a file now, and {was} when it was backed up last"))
            }
            // That it was left out is said.
            (There::File, _) if !holds_files => Fate::NotSeen,
            (There::Folder, _) if !holds_files => {
                let is_left_out = self.is_in(&before.left_out, before.left_out_count, path);
                let what = if is_left_out { "holds only what is left out now" } else { "is empty" };
                Fate::Other(format!("{what}, and held files when it was backed up last"))
            }
            (There::Folder | There::File, other) => match (self.leads_elsewhere(place), other) {
                (Some(reason), _) => Fate::Other(reason),
                (None, Some(now)) => Fate::Other(format!(
                    "is on another disk than when it was backed up last: {}, not {}",
                    now.name, place.disk
                )),
                (None, None) => Fate::Same,
            },
        }
    }

    /// How a folder that is reached through another link now is said to be.
    fn leads_elsewhere(&self, place: &KnownPlace) -> Option<String> {
        let (then, now) = place.leads_to.as_ref().zip(place.folder.canonicalize().ok())?;
        (*then != now).then(|| {
            format!("leads to {} now, and led to {} when it was backed up last", now.display(), then.display())
        })
    }

    /// What is to be remembered of a chosen file or folder, and of what is mounted below it: all that holds files.
    fn places(&self, root: &Path, system: Option<&System>) -> Vec<KnownPlace> {
        let below = system.map(|system| below(root, system)).unwrap_or_default();
        let all = below.into_iter().chain([root.to_path_buf()]).filter(|path| self.holds_files(path));
        all.map(|folder| {
            let is_file = There::at(&folder) == There::File;
            let volume = system.and_then(|system| system.volume(&folder));
            let (mount_point, disk) = volume.map_or_else(Default::default, |volume| (volume.mount_point, volume.name));
            // A file is often reached through a link that each new version of an application turns.
            let leads_to = folder.canonicalize().ok().filter(|_| !is_file && !folder.is_symlink());
            let inode = storage::inode(&folder).filter(|_| !is_file && !folder.is_symlink());
            KnownPlace { folder, id: None, mount_point, disk, leads_to, is_file, inode }
        })
        .collect()
    }

    /// Whether a file or link was found at or below `folder`.
    fn holds_files(&self, folder: &Path) -> bool {
        // What was found has the path that a chosen link leads to.
        let real = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
        let is_below = |path: &Path| path.starts_with(folder) || path.starts_with(&real);
        self.found.iter().any(|found| found.kind != ItemKind::Folder && is_below(&found.path))
    }

    /// Whether `list` names something at or below `folder`, or may: of `count` only so many are kept one by one.
    fn is_in(&self, list: &[ContentProblem], count: u64, folder: &Path) -> bool {
        let real = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
        let names = [folder.to_string_lossy(), real.to_string_lossy()];
        let is_below =
            |problem: &ContentProblem| names.iter().any(|name| Path::new(&problem.path).starts_with(&**name));
        count > list.len() as u64 || list.iter().any(is_below)
    }
}

/// What is mounted below a chosen folder, by the name that this was chosen by, also where that is a link.
fn below(root: &Path, system: &System) -> Vec<PathBuf> {
    let real = root.canonicalize().unwrap_or_else(|_| root.to_path_buf());
    let as_chosen = |point: PathBuf| point.strip_prefix(&real).ok().map(|inside| root.join(inside));
    system.mounted_below(&real).into_iter().filter(|point| *point != real).filter_map(as_chosen).collect()
}

/// Whether another folder is there now than the one remembered, as far as its number on the disk tells.
fn is_another(place: &KnownPlace) -> bool {
    place.inode.zip(storage::inode(&place.folder)).is_some_and(|(then, now)| then != now)
}

/// That nothing is found on `now`, the disk that is there in place of the one known.
fn is_missing((place, there): (&KnownPlace, &There), now: &Volume, system: Option<&System>) -> String {
    let what = if *there == There::Gone { "is not there" } else { "holds nothing" };
    let (disk, point) = (&place.disk, place.mount_point.display());
    let at_point = system.and_then(|system| system.volume(&place.mount_point));
    let is_mounted = at_point.is_some_and(|at| at.mount_point == place.mount_point && Volume::is_same(&at.name, disk));
    match is_mounted {
        true => format!("{what}, and is on another disk than when it was backed up last: {}, not {disk}", now.name),
        false => format!("{what}, because its disk is missing: {disk} is not mounted at {point}"),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::error::Error;

    use super::{super::Excluded, *};
    use crate::control::Control;

    type Outcome = Result<(), Box<dyn Error>>;

    /// What is said of `chosen` on a machine with these mounts, and what is remembered then.
    fn said(settings: &mut Settings, mounts: &[(&str, &Path)]) -> Result<Vec<String>, Box<dyn Error>> {
        let content = super::super::find(&settings.content, &Excluded::default(), &[], &Control::default())?;
        let lines = mounts.iter().map(|(disk, at)| format!("1 1 8:1 / {} rw - nfs h:/{disk} rw\n", at.display()));
        let system = System::of(&lines.collect::<String>(), Path::new("/no sys"));
        let remembered = compare(&content, settings, (!mounts.is_empty()).then_some(&system));
        remember(settings, &remembered.when_said);
        Ok(content.report().problems.into_iter().map(|problem| problem.reason).collect())
    }

    #[test]
    fn what_is_gone_or_can_not_be_looked_at_is_forgotten_by_no_backup() -> Outcome {
        let place = tempfile::tempdir()?;
        let (root, away, top) =
            (place.path().canonicalize()?.join("chosen"), place.path().join("away"), Path::new("/"));
        let mut settings = Settings::default();
        settings.content.attachments = vec![root.clone()];
        fs::create_dir(&root)?;
        fs::write(root.join("one"), "1")?;
        assert!(said(&mut settings, &[("first", top)])?.is_empty());
        let known = settings.places.clone();
        assert_eq!((known.len(), known[0].disk.as_str(), known[0].is_file), (1, "nfs h:/first", false));

        // Also where the system does not tell of its disks.
        assert!(said(&mut settings, &[])?.is_empty());
        assert_eq!(settings.places, known);
        fs::rename(&root, &away)?;
        assert_eq!(said(&mut settings, &[("first", top)])?, ["does not exist any more"]);
        // On the disk that is there now nothing is found: that is no folder that was emptied.
        let missing =
            ["does not exist any more", "is not there, because its disk is missing: nfs h:/first is not mounted at /"];
        assert_eq!(said(&mut settings, &[("second", top)])?, missing);
        fs::create_dir(&root)?;
        let over =
            ["holds nothing, and is on another disk than when it was backed up last: nfs h:/second, not nfs h:/first"];
        assert_eq!(said(&mut settings, &[("first", top), ("second", &root)])?, over);
        // What leads back to itself cannot be looked at, so nobody knows that the folder is empty.
        fs::remove_dir(&root)?;
        std::os::unix::fs::symlink(&root, &root)?;
        assert_eq!(said(&mut settings, &[("first", top)])?.len(), 1);
        fs::remove_file(&root)?;
        assert_eq!(settings.places, known);

        fs::rename(&away, &root)?;
        let other = ["is on another disk than when it was backed up last: nfs h:/second, not nfs h:/first"];
        assert_eq!(said(&mut settings, &[("second", top)])?, other);
        assert!(said(&mut settings, &[("second", top)])?.is_empty(), "said once");
        Ok(())
    }

    #[test]
    fn a_mount_point_below_that_was_removed_and_a_file_mounted_alone_are_known() -> Outcome {
        let place = tempfile::tempdir()?;
        let root = place.path().canonicalize()?;
        let (below, file, top) = (root.join("a/below"), root.join("one.ini"), Path::new("/"));
        let mut settings = Settings::default();
        settings.content.attachments = vec![root.join("a"), file.clone()];
        fs::create_dir_all(&below)?;
        for path in [&root.join("a/one"), &below.join("two"), &file] {
            fs::write(path, "x")?;
        }
        let mounts = [("first", top), ("first", &*below), ("bound", &*file)];
        assert!(said(&mut settings, &mounts)?.is_empty());
        let known: Vec<_> = settings.places.iter().map(|p| (p.folder.clone(), p.disk.clone(), p.is_file)).collect();
        let expected =
            [(root.join("a"), "first", false), (below.clone(), "first", false), (file.clone(), "bound", true)];
        assert_eq!(known, expected.map(|(folder, disk, is_file)| (folder, format!("nfs h:/{disk}"), is_file)));

        fs::remove_dir_all(&below)?;
        let gone = ["does not exist any more, and held files when it was backed up last"];
        assert_eq!(said(&mut settings, &mounts)?, gone);
        assert!(said(&mut settings, &mounts)?.is_empty(), "said once");
        fs::remove_file(&file)?;
        fs::create_dir(&file)?;
        let unbound = ["holds nothing, because its disk is missing: nfs h:/bound is not mounted at"];
        for _ in 0..2 {
            let said = said(&mut settings, &[("first", top)])?;
            assert!(said.len() == 1 && said[0].starts_with(unbound[0]), "{said:?}");
        }
        let emptied = ["is an empty folder now, and was a file when it was backed up last"];
        assert_eq!(said(&mut settings, &mounts)?, emptied);
        Ok(())
    }
}
