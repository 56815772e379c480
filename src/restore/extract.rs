//! Writing the items of an archive into a folder: in one pass over its stream, however many files there are.

use std::{
    collections::BTreeSet,
    path::{Component, Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use crate::{
    archive::{Archive, Item, ItemKind, format::FRAME_LENGTH, tar_check::TarCheck},
    control::Control,
    error::{Error, ErrorKind, Result},
    storage::{self, Ownership, Storage, StorageFile, beneath::Folder},
};

/// Files from this length on are made durable one by one; the many small ones together.
const SYNC_ALONE: u64 = 1 << 20;

/// Whether an item has content in the stream.
pub(super) fn is_file(item: &Item) -> bool {
    !matches!(item.kind, ItemKind::Folder | ItemKind::Link)
}

/// Writes `items`, which are in the order of the archive, into the folder `to`, each proven as a whole. Everything is
/// on the disk when this returns. Links are left to [`make_link`].
///
/// # Errors
/// Damage, no space, `Stopped`.
pub(super) fn extract(
    storage: &dyn Storage,
    archive: &Archive,
    items: &[Item],
    to: &Folder,
    control: &Control,
) -> Result<()> {
    let mut writer = ItemWriter { storage, archive, to, made: BTreeSet::new(), open: None, unsynced: false, control };
    for item in items.iter().filter(|item| item.kind == ItemKind::Folder) {
        writer.make_folder(&item.path()?)?;
    }
    let all: Vec<&Item> = items.iter().collect();
    let last_of_archive = archive.items().last().map(|item| item.offset);
    // What lies close together is read in one go: to unpack whole frames for each of many small files would take hours.
    for run in all.chunk_by(|a, b| b.offset <= a.offset + a.length + FRAME_LENGTH as u64) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
        let (mut check, from) = check_from(archive, first, control)?;
        let end = last.offset + last.length;
        let is_end = last_of_archive == Some(last.offset)
            && is_readable(archive, (end, archive.tar_bytes()), end.saturating_sub(1), control)?;
        let mut next = 0;
        archive.stream(from, if is_end { archive.tar_bytes() } else { end }, control, &mut |offset, bytes| {
            check.take(offset, bytes)?;
            writer.take(run, &mut next, offset, bytes)
        })?;
        if is_end {
            check.finish()?;
        }
        // Empty files at the end have no bytes to come with.
        writer.take(run, &mut next, end, &[])?;
        if next < run.len() {
            let message = format!("{} ends before {}", archive.path().display(), run[next].name);
            return Err(Error::new(ErrorKind::Damaged, message).about(archive.path()).hint(OTHER));
        }
    }
    let files: Vec<&Item> = items.iter().filter(|item| is_file(item)).collect();
    if writer.unsynced { sync_all(to, &files) } else { Ok(()) }
}

/// Where reading for `first` begins, and what holds the stream against the index from there on: with its header, unless
/// that lies in another frame, which is damaged. What is whole can be restored all the same.
fn check_from<'a>(archive: &'a Archive, first: &Item, control: &Control) -> Result<(TarCheck<'a>, u64)> {
    let number = archive.items().partition_point(|item| item.offset < first.offset);
    let (check, header) = (TarCheck::from(archive, number), TarCheck::header_at(archive, number).min(first.offset));
    let with_header = is_readable(archive, (header, first.offset), first.offset, control)?;
    Ok((check, if with_header { header } else { first.offset }))
}

/// Whether a stretch of the stream can be read; it can where it lies in the frame of `beside`, which is read anyway.
fn is_readable(archive: &Archive, (from, to): (u64, u64), beside: u64, control: &Control) -> Result<bool> {
    let known = archive.frame_of(beside);
    if archive.frame_of(from) == known && archive.frame_of(to.saturating_sub(1).max(from)) == known {
        return Ok(true);
    }
    match archive.stream(from, to, control, &mut |_, _| Ok(())) {
        Err(error) if error.kind() == ErrorKind::Stopped => Err(error),
        outcome => Ok(outcome.is_ok()),
    }
}

const OTHER: &str = "Use another archive of this data file, or a copy of this one.";

struct ItemWriter<'a> {
    storage: &'a dyn Storage,
    archive: &'a Archive,
    to: &'a Folder,
    /// Folders known to be there.
    made: BTreeSet<PathBuf>,
    open: Option<(Box<dyn StorageFile>, PathBuf, blake3::Hasher)>,
    unsynced: bool,
    control: &'a Control,
}

impl ItemWriter<'_> {
    fn make_folder(&mut self, folder: &Path) -> Result<()> {
        if folder == Path::new(".") || !self.made.insert(folder.to_path_buf()) {
            Ok(())
        } else {
            self.to.make_all(folder)
        }
    }

    /// Takes the bytes of the stream at `offset`, and gives each item of `run` from `next` on what is its own.
    fn take(&mut self, run: &[&Item], next: &mut usize, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = offset + bytes.len() as u64;
        while let Some(item) = run.get(*next) {
            if !is_file(item) {
                *next += 1;
                continue;
            }
            let item_end = item.offset + item.length;
            if item.offset > end || item.offset == end && item.length > 0 {
                return Ok(());
            }
            if self.open.is_none() {
                self.begin(item)?;
            }
            let Some((file, _, hasher)) = &mut self.open else { return Ok(()) };
            let (from, to) = (item.offset.max(offset), item_end.min(end));
            if from < to {
                let own = &bytes[(from - offset) as usize..(to - offset) as usize];
                hasher.update(own);
                file.write_all(own)?;
                self.control.add(own.len() as u64);
            }
            if item_end > end {
                return Ok(());
            }
            self.finish(item)?;
            *next += 1;
        }
        Ok(())
    }

    fn begin(&mut self, item: &Item) -> Result<()> {
        let name = item.path()?;
        self.make_folder(storage::folder_of(&name))?;
        // Only the permissions to read and write, and to run what is a program: an archive must not bring special bits.
        let allowed = if item.kind == ItemKind::Program { 0o777 } else { 0o666 };
        let ownership = Ownership { mode: Some(item.mode & allowed | 0o600), owner: item.owner };
        self.open = Some((self.storage.create_in(self.to, &name, ownership)?, name, blake3::Hasher::new()));
        Ok(())
    }

    fn finish(&mut self, item: &Item) -> Result<()> {
        let Some((mut file, name, hasher)) = self.open.take() else { return Ok(()) };
        if hasher.finalize().to_hex().as_str() != item.blake3 {
            let archive = self.archive.path().display();
            let message = format!("{} in {archive} does not agree with its checksum", item.name);
            return Err(Error::new(ErrorKind::Damaged, message).about(self.archive.path()).hint(OTHER));
        }
        let alone = item.length >= SYNC_ALONE || !matches!(item.kind, ItemKind::Program | ItemKind::Attachment);
        if alone {
            file.sync()?;
        }
        self.unsynced |= !alone;
        drop(file);
        let time = UNIX_EPOCH + Duration::from_secs(item.modified.max(0) as u64);
        // The time is a convenience; a file system that cannot keep it is no reason to fail.
        self.to.set_modified(&name, time);
        Ok(())
    }
}

/// Makes everything in the file system of `folder` durable: one wait for a hundred thousand small files.
fn sync_all(folder: &Folder, files: &[&Item]) -> Result<()> {
    if folder.sync_file_system()? {
        return Ok(());
    }
    for item in files {
        let name = item.path()?;
        let synced = folder.open_file(&name, true)?.sync_all();
        synced.map_err(|e| Error::io("sync", &folder.path().join(&name), e))?;
    }
    Ok(())
}

/// Makes a link in `folder`, whose own folder is there already; or returns in words why it is not made: it leads out of
/// `folder`, or the system has no such links. Links come after everything else, and nothing is written through one.
///
/// # Errors
/// When the folder cannot be written, or the name exists.
pub(super) fn make_link(item: &Item, folder: &Folder) -> Result<std::result::Result<PathBuf, String>> {
    let name = item.path()?;
    let target = item.target.as_deref().unwrap_or_default();
    if !leads_inside(&item.name, target) || cfg!(not(unix)) {
        return Ok(Err(format!("{} → {target}", item.name)));
    }
    folder.make_link(&name, target)?;
    Ok(Ok(name))
}

/// Whether a link called `name` with this target stays in the folder that the names are relative to, whatever other
/// links that keep to this rule are there. So `..` may only begin a target: after a name that is a link itself it would
/// lead elsewhere.
fn leads_inside(name: &str, target: &str) -> bool {
    let mut depth = name.split('/').count() as i64 - 1;
    let mut has_name = false;
    !target.is_empty()
        && Path::new(target).components().all(|part| match part {
            Component::Normal(_) => {
                has_name = true;
                true
            }
            Component::CurDir => true,
            Component::ParentDir => {
                depth -= 1;
                depth >= 0 && !has_name
            }
            Component::RootDir | Component::Prefix(_) => false,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_lead_out_are_told_from_those_that_stay() {
        for (name, target, inside) in [
            ("a/b/c", "d", true),
            ("a/b/c", "../x/./y", true),
            ("a/b/c", "../..", true),
            ("a/b/c", "../../..", false),
            ("a/b/c", "../../../a", false),
            ("a/b/c", "d/../e", false),
            ("a/b/c", "d/e/f", true),
            ("a/b/c", "./../d", true),
            ("a", "/etc/passwd", false),
            ("a", "", false),
        ] {
            assert_eq!(leads_inside(name, target), inside, "{name} → {target}");
        }
    }
}
