//! What is known of the disks: free space, and which disk a folder lies on.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

#[cfg(unix)]
use super::disks::System;
use crate::error::{Error, ErrorKind, Result};

/// The disk (mounted volume) behind a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskSpace {
    /// Bytes this user may still write.
    pub available: u64,
    /// Size of the volume in bytes.
    pub total: u64,
}

/// The nearest existing folder at or above `path`, so that a folder still to be made has a disk too.
pub fn existing_folder(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    absolute.ancestors().find(|p| p.is_dir()).map_or_else(|| absolute.clone(), Path::to_path_buf)
}

/// Free and total space of the disk that holds, or will hold, `folder`.
///
/// # Errors
/// When the system does not tell.
pub fn disk_space(folder: &Path) -> Result<DiskSpace> {
    let at = existing_folder(folder);
    let stats = fs4::statvfs(&at).map_err(|e| Error::io("ask for the free space of", &at, e))?;
    Ok(DiskSpace { available: stats.available_space(), total: stats.total_space() })
}

/// Whether the disk of a folder is mounted read-only, or takes nothing more since an error, which Linux says only in
/// the table of mounts.
pub fn is_read_only(folder: &Path) -> bool {
    #[cfg(unix)]
    {
        use rustix::{fs::Access, io::Errno};
        let has_stopped = || System::now().is_some_and(|system| system.has_stopped(folder));
        rustix::fs::access(folder, Access::WRITE_OK) == Err(Errno::ROFS) || has_stopped()
    }
    #[cfg(not(unix))]
    {
        let _ = folder;
        false
    }
}

/// Whether both paths lie on one volume: a failing disk then takes the data file and its archives together.
///
/// Two partitions of one physical disk are told apart by this; see [`same_disk`](super::disks::same_disk).
pub fn same_volume(a: &Path, b: &Path) -> bool {
    let (a, b) = (existing_folder(a), existing_folder(b));
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        matches!((a.metadata(), b.metadata()), (Ok(a), Ok(b)) if a.dev() == b.dev())
    }
    #[cfg(not(unix))]
    {
        a.components().next() == b.components().next()
    }
}

/// Refuses to begin what cannot fit: `required` bytes in `folder`.
///
/// # Errors
/// [`ErrorKind::NoSpace`] with both numbers.
pub fn require_space(folder: &Path, required: u64) -> Result<()> {
    let space = disk_space(folder)?;
    if space.available >= required {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::NoSpace,
        format!(
            "not enough space in {}: about {} are needed, {} are available",
            folder.display(),
            human_bytes(required),
            human_bytes(space.available)
        ),
    )
    .hint("Free space on that disk, or choose a folder on another disk."))
}

/// A number of bytes as people read it: `17 B`, `4.0 KB`, `1.2 GB` (binary multiples, as file managers show them).
pub fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KB", "MB", "GB", "TB", "PB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_in_the_unit_a_person_would_choose() {
        let shown = [0, 1023, 1024, 1_048_575, 1 << 20, 5 << 30].map(human_bytes);
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KB", "1.0 MB", "1.0 MB", "5.0 GB"]);
    }

    #[test]
    fn a_folder_still_to_be_made_has_the_disk_of_its_parent() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let missing = folder.path().join("a/b");
        assert!(disk_space(&missing)?.total > 0);
        assert!(same_volume(folder.path(), &missing));
        let error = require_space(&missing, u64::MAX).err().ok_or("fits")?;
        assert_eq!(error.kind(), ErrorKind::NoSpace);
        Ok(())
    }
}
