//! Writing the items of an archive into a folder: in one pass over its stream, however many files there are.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Component, Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use crate::{
    archive::{Archive, Item, ItemKind, format::FRAME_LENGTH, reader::safe_name},
    control::Control,
    error::{Error, ErrorKind, Result},
    storage::{self, Ownership, Storage, StorageFile},
};

/// Files from this length on are made durable one by one; the many small ones together.
const SYNC_ALONE: u64 = 1 << 20;

/// Whether an item has content in the stream.
pub(super) fn is_file(item: &Item) -> bool {
    !matches!(item.kind, ItemKind::Folder | ItemKind::Link)
}

/// Writes `items`, which are in the order of the archive, into the folder `to`, each proven as a whole. Everything is on the
/// disk when this returns. Links are left to [`make_link`].
///
/// # Errors
/// Damage, no space, `Stopped`.
pub(super) fn extract(
    storage: &dyn Storage,
    archive: &Archive,
    items: &[Item],
    to: &Path,
    control: &Control,
) -> Result<()> {
    let mut writer = ItemWriter { storage, archive, to, made: BTreeSet::new(), open: None, unsynced: false, control };
    for item in items.iter().filter(|item| item.kind == ItemKind::Folder) {
        writer.make_folder(&to.join(safe_name(&item.name)?))?;
    }
    let files: Vec<&Item> = items.iter().filter(|item| is_file(item)).collect();
    // What lies close together is read in one go: to unpack whole frames for each of many small files would take hours.
    for run in files.chunk_by(|a, b| b.offset <= a.offset + a.length + FRAME_LENGTH as u64) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
        let mut next = 0;
        archive.stream(first.offset, last.offset + last.length, control, &mut |offset, bytes| {
            writer.take(run, &mut next, offset, bytes)
        })?;
        // Empty files at the end have no bytes to come with.
        writer.take(run, &mut next, last.offset + last.length, &[])?;
        if next < run.len() {
            let message = format!("{} ends before {}", archive.path().display(), run[next].name);
            return Err(Error::new(ErrorKind::Damaged, message).hint(OTHER));
        }
    }
    if writer.unsynced { sync_all(to, &files) } else { Ok(()) }
}

const OTHER: &str = "Use another archive of this data file, or a copy of this one.";

struct ItemWriter<'a> {
    storage: &'a dyn Storage,
    archive: &'a Archive,
    to: &'a Path,
    /// Folders known to be there.
    made: BTreeSet<PathBuf>,
    open: Option<(Box<dyn StorageFile>, PathBuf, blake3::Hasher)>,
    unsynced: bool,
    control: &'a Control,
}

impl ItemWriter<'_> {
    fn make_folder(&mut self, folder: &Path) -> Result<()> {
        if self.made.insert(folder.to_path_buf()) {
            fs::create_dir_all(folder).map_err(|e| Error::io("create the folder", folder, e))?;
        }
        Ok(())
    }

    /// Takes the bytes of the stream at `offset`, and gives each item of `run` from `next` on what is its own.
    fn take(&mut self, run: &[&Item], next: &mut usize, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = offset + bytes.len() as u64;
        while let Some(item) = run.get(*next) {
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
        let path = self.to.join(safe_name(&item.name)?);
        self.make_folder(storage::folder_of(&path))?;
        // Only the permissions to read and write, and to run what is a program: an archive must not bring special bits.
        let allowed = if item.kind == ItemKind::Program { 0o777 } else { 0o666 };
        let ownership = Ownership { mode: Some(item.mode & allowed | 0o600), owner: item.owner };
        self.open = Some((self.storage.create(&path, ownership)?, path, blake3::Hasher::new()));
        Ok(())
    }

    fn finish(&mut self, item: &Item) -> Result<()> {
        let Some((mut file, path, hasher)) = self.open.take() else { return Ok(()) };
        if hasher.finalize().to_hex().as_str() != item.blake3 {
            let archive = self.archive.path().display();
            let message = format!("{} in {archive} does not agree with its checksum", item.name);
            return Err(Error::new(ErrorKind::Damaged, message).hint(OTHER));
        }
        let alone = item.length >= SYNC_ALONE || !matches!(item.kind, ItemKind::Program | ItemKind::Attachment);
        if alone {
            file.sync()?;
        }
        self.unsynced |= !alone;
        drop(file);
        let time = UNIX_EPOCH + Duration::from_secs(item.modified.max(0) as u64);
        // The time is a convenience; a file system that can not keep it is no reason to fail.
        let _ = File::options().append(true).open(&path).and_then(|f| f.set_modified(time));
        Ok(())
    }
}

/// Makes everything in the file system of `folder` durable: one wait for a hundred thousand small files.
fn sync_all(folder: &Path, files: &[&Item]) -> Result<()> {
    #[cfg(target_os = "linux")]
    {
        let _ = files;
        let fail = |e| Error::io("sync", folder, e);
        let opened = File::open(folder).map_err(fail)?;
        rustix::fs::syncfs(&opened).map_err(|e| fail(e.into()))
    }
    #[cfg(not(target_os = "linux"))]
    {
        for item in files {
            let path = folder.join(safe_name(&item.name)?);
            let synced = File::options().append(true).open(&path).and_then(|file| file.sync_all());
            synced.map_err(|e| Error::io("sync", &path, e))?;
        }
        Ok(())
    }
}

/// Makes a link in `folder`, whose own folder is there already; or returns in words why it is not made: it leads out of
/// `folder`, or the system has no such links. Links come after everything else, so that nothing is written through one.
///
/// # Errors
/// When the folder can not be written, or the name exists.
pub(super) fn make_link(item: &Item, folder: &Path) -> Result<std::result::Result<PathBuf, String>> {
    let path = folder.join(safe_name(&item.name)?);
    let target = item.target.as_deref().unwrap_or_default();
    if !leads_inside(&item.name, target) || cfg!(not(unix)) {
        return Ok(Err(format!("{} → {target}", item.name)));
    }
    #[cfg(unix)]
    std::os::unix::fs::symlink(target, &path).map_err(|e| Error::io("create the link", &path, e))?;
    Ok(Ok(path))
}

/// Whether a link called `name` with this target stays in the folder that the names are relative to.
fn leads_inside(name: &str, target: &str) -> bool {
    let mut depth = name.split('/').count() as i64 - 1;
    !target.is_empty()
        && Path::new(target).components().all(|part| {
            depth += match part {
                Component::Normal(_) => 1,
                Component::CurDir => 0,
                Component::ParentDir => -1,
                Component::RootDir | Component::Prefix(_) => return false,
            };
            depth >= 0
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
            ("a", "/etc/passwd", false),
            ("a", "", false),
        ] {
            assert_eq!(leads_inside(name, target), inside, "{name} → {target}");
        }
    }
}
