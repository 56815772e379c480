//! Repair: a sound copy of a damaged archive, under a name of its own, never over the only one.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use chrono::{DateTime, FixedOffset};
use serde::{Deserialize, Serialize};

use crate::{
    archive::{
        Archive, ArchiveNumber,
        heal::{self, Repaired},
        rewrite::rewrite,
    },
    control::{Control, Phase},
    error::{Error, Result},
    storage::{self, Ownership, Storage, space::require_space},
    verify::{self, Examined, VerifyOptions},
};

/// What to repair, and where the sound copy goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepairOptions {
    /// The new file, or a folder for it; otherwise a name beside the archive.
    pub to: Option<PathBuf>,
    /// Folders that may hold segments of the archive, besides its own.
    pub segments: Vec<PathBuf>,
}

/// What a repair achieved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairReport {
    /// The archive that was damaged; it is as it was.
    pub archive: PathBuf,
    /// Its number.
    pub number: ArchiveNumber,
    /// The moment of the state it holds.
    pub moment: DateTime<FixedOffset>,
    /// The sound copy; `None` when the archive was sound, and nothing was to be written.
    pub copy: Option<PathBuf>,
    /// Length of the copy in bytes.
    pub bytes: u64,
    /// What was damaged.
    pub repaired: Option<Repaired>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

/// The name proposed for a sound copy: `Name[0006] repaired.4BK` beside the archive, with ` 2`, ` 3` … when that
/// exists.
pub fn propose_copy(archive: &Path, folder: &Path) -> PathBuf {
    let name = archive.file_name().unwrap_or_default().to_string_lossy();
    let plain = name.strip_suffix(".4BK").or_else(|| name.strip_suffix(".4bk")).unwrap_or(&name);
    // The copy of a copy is one of the archive.
    let plain = match plain.rsplit_once("] repaired") {
        Some((archive, mark)) if mark.bytes().all(|b| b == b' ' || b.is_ascii_digit()) => &plain[..=archive.len()],
        _ => plain,
    };
    // A copy is one file, also of an archive in segments.
    let plain = match plain.strip_suffix(']').and_then(|p| p.rsplit_once('-')) {
        Some((set, segment)) if segment.bytes().all(|b| b.is_ascii_digit()) => format!("{set}]"),
        _ => plain.to_owned(),
    };
    let first = folder.join(format!("{plain} repaired.4BK"));
    let more = (2..).map(|n| folder.join(format!("{plain} repaired {n}.4BK")));
    let mut names = std::iter::once(first.clone()).chain(more);
    names.find(|path: &PathBuf| path.symlink_metadata().is_err()).unwrap_or(first)
}

/// Repairs `archive` into a copy.
///
/// # Errors
/// `Damaged` when it is beyond repair, saying what is still whole; `Exists`; a full disk; `Stopped`. The archive is not
/// touched, and nothing is left under the new name.
pub fn run(storage: &dyn Storage, archive: &Path, options: &RepairOptions, control: &Control) -> Result<RepairReport> {
    let begun = Instant::now();
    let looked = VerifyOptions { segments: options.segments.clone(), ..VerifyOptions::default() };
    let examined = verify::examine(archive, &looked, control);
    let Examined { archive: healed, damage, .. } =
        examined.map_err(|error| with_whole_items(archive, options, error, control))?;
    let Some(repaired) = damage else {
        return Ok(report(&healed, None, healed.bytes(), None, begun));
    };
    let target = match &options.to {
        Some(folder) if folder.is_dir() => propose_copy(archive, folder),
        Some(file) => file.clone(),
        None => propose_copy(archive, storage::folder_of(archive)),
    };
    storage::refuse_existing(&target)?;
    require_space(storage::folder_of(&target), healed.copying_bytes())?;
    // What is wrong with a copy is found when it is read back: nothing is taken on trust here.
    let bytes = rewrite(storage, &healed, &target, Ownership::for_content_of(archive), control)?;
    control.phase(Phase::Finishing, 0);
    Ok(report(&healed, Some(target), bytes, Some(repaired), begun))
}

fn report(
    archive: &Archive,
    copy: Option<PathBuf>,
    bytes: u64,
    repaired: Option<Repaired>,
    begun: Instant,
) -> RepairReport {
    RepairReport {
        archive: archive.path().to_path_buf(),
        number: archive.identity().number,
        moment: archive.identity().moment,
        copy,
        bytes,
        repaired,
        duration_ms: begun.elapsed().as_millis() as u64,
    }
}

/// Without recovery data, or with too little, what is still whole is the most that can be said.
fn with_whole_items(archive: &Path, options: &RepairOptions, error: Error, control: &Control) -> Error {
    if !heal::is_damage(&error) || error.is_because::<heal::WholeItems>() {
        return error;
    }
    let Ok(opened) = Archive::open_with(archive, &options.segments) else { return error };
    match opened.whole_items(control) {
        Ok(whole) => Error::new(error.kind(), error.message()).about(archive).hint(heal::still_whole(&whole)),
        Err(stopped) => stopped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_never_gets_the_name_of_an_archive_or_of_another_copy() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name);
        assert_eq!(propose_copy(&at("a[0001].4BK"), folder.path()), at("a[0001] repaired.4BK"));
        assert_eq!(propose_copy(&at("a-1[0001-0002].4BK"), folder.path()), at("a-1[0001] repaired.4BK"));
        std::fs::write(at("a[0001] repaired.4BK"), "")?;
        assert_eq!(propose_copy(&at("a[0001] repaired 3.4BK"), folder.path()), at("a[0001] repaired 2.4BK"));
        assert_eq!(propose_copy(&at("a[0001].4BK"), folder.path()), at("a[0001] repaired 2.4BK"));
        Ok(())
    }
}
