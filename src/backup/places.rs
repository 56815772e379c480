//! What is the matter with a place that was chosen for archives or for the log: warnings for the field of a dialog.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    marks,
    retention::{self, BackupSet},
};
use crate::{
    archive::{Archive, catalog, trust::Trust},
    error::{Error, ErrorKind, ErrorReport, Result},
    settings::{Settings, sections::DeleteOldest},
    storage::{
        self,
        disks::{self, DiskFacts, System},
        space::{DiskSpace, disk_space, existing_folder, human_bytes, is_read_only},
    },
    warning::{Warning, WarningKind},
};

/// What a folder is to be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Archives go there.
    Archives,
    /// The log goes there.
    Log,
}

/// A place as it is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The folder.
    pub folder: PathBuf,
    /// Used and free space of its disk, if the system tells.
    pub space: Option<DiskSpace>,
    /// What is known of its disk.
    pub disk: Option<DiskFacts>,
    /// What should be known before it is used.
    pub warnings: Vec<Warning>,
}

/// The folder that `settings` mean for `purpose`; that for archives where no log is used.
pub fn folder(data_file: &Path, settings: &Settings, purpose: Purpose) -> PathBuf {
    match (purpose, &settings.log.file) {
        (Purpose::Log, Some(log)) => storage::folder_of(log).to_path_buf(),
        _ => super::destination_by(data_file, settings),
    }
}

/// Looks at the place that `settings` mean for `purpose`. `required_bytes` is what the next archive needs; may take its
/// time.
pub fn look(
    system: Option<&System>,
    data_file: &Path,
    settings: &Settings,
    purpose: Purpose,
    required_bytes: Option<u64>,
) -> Place {
    let folder = folder(data_file, settings, purpose);
    if let Err(error) = marks::look(data_file, settings, purpose) {
        // Of what is there instead nothing is worth saying.
        let warnings = vec![missing(&error.report())];
        return Place { folder, space: None, disk: None, warnings };
    }
    let (space, disk) = (disk_space(&folder).ok(), disks::disk(system, &folder));
    let mut warnings = Vec::new();
    warnings.extend(not_writable(&folder));
    warnings.extend(disk.as_ref().and_then(|disk| of_disk(&folder, disk, purpose)));
    if disks::same_disk(system, &folder, data_file) {
        let what = if purpose == Purpose::Log { "the log" } else { "the archives" };
        warnings.push(Warning::new(
            WarningKind::SameDisk,
            format!("{} is on the same physical disk as the data file", folder.display()),
            format!(
                "When that disk fails, the data file and {what} are lost together. Choose a folder on another disk."
            ),
        ));
    }
    if purpose == Purpose::Archives {
        if let (Some(space), Some(required)) = (&space, required_bytes) {
            let kept = super::archives(data_file, settings).unwrap_or_default();
            // For an estimate of space all count alike, whoever signed them.
            let sets = retention::sets(data_file, settings, &kept, Trust::default());
            warnings.extend(not_enough_space(&folder, settings, &sets, required, space.available));
        }
        warnings.extend(other_data_files(&folder, data_file, settings));
    }
    Place { folder, space, disk, warnings }
}

/// Refuses a log on a network drive, unless the administrator insists.
///
/// # Errors
/// `Refused` with the reason.
pub fn refuse_network_log(system: Option<&System>, log: &Path, settings: &Settings) -> Result<()> {
    let disk = disks::disk(system, log).filter(|disk| disk.is_network && !settings.log.allow_network);
    disk.map_or(Ok(()), |disk| {
        let message = format!("{} is on a network drive ({})", log.display(), disk.file_system);
        Err(Error::new(ErrorKind::Refused, message).hint(
            "The log is open permanently, and a network that fails would interrupt it. Choose a folder on a disk of \
             this machine, or insist with the setting log.allow-network = true.",
        ))
    })
}

/// The warning that a folder used before is not there.
pub fn missing(error: &ErrorReport) -> Warning {
    Warning { kind: WarningKind::PlaceMissing, message: error.message.clone(), hint: error.hint.clone() }
}

fn not_writable(folder: &Path) -> Option<Warning> {
    let existing = existing_folder(folder);
    #[cfg(unix)]
    let may = {
        use rustix::fs::Access;
        rustix::fs::access(&existing, Access::WRITE_OK | Access::EXEC_OK).is_ok()
    };
    #[cfg(not(unix))]
    let may = existing.metadata().is_ok_and(|meta| !meta.permissions().readonly());
    let is_file = folder.exists() && !folder.is_dir();
    let is_read_only = is_read_only(&existing);
    (!may || is_file || is_read_only).then(|| {
        let (what, hint) = match (is_file, is_read_only) {
            (true, _) => ("is a file and no folder", "Choose another folder."),
            (_, true) => (
                "is on a disk that is mounted read-only",
                "Mount it so that it can be written. A disk becomes so by itself after an error: look in the \
                 system's messages.",
            ),
            _ => (
                "cannot be written by this user",
                "Choose another folder, or give this user the permission to write it.",
            ),
        };
        Warning::new(WarningKind::NotWritable, format!("{} {what}", folder.display()), hint)
    })
}

fn of_disk(folder: &Path, disk: &DiskFacts, purpose: Purpose) -> Option<Warning> {
    let (at, kind) = (folder.display(), &disk.file_system);
    if disk.is_network {
        let hint = match purpose {
            Purpose::Log => {
                "The log is open permanently, and a network that fails would interrupt it. Choose a disk of this \
                 machine."
            }
            Purpose::Archives => {
                "See that it is connected whenever a backup is due. A backup that fails is tried again as the \
                 settings say."
            }
        };
        return Some(Warning::new(WarningKind::NetworkDrive, format!("{at} is on a network drive ({kind})"), hint));
    }
    if disk.is_memory {
        return Some(Warning::new(
            WarningKind::MemoryDisk,
            format!("{at} is in memory only ({kind})"),
            "What lies there is gone when this machine is started again. Choose a folder on a disk.",
        ));
    }
    disk.is_removable.then(|| {
        Warning::new(
            WarningKind::RemovableDisk,
            format!("{at} is on a disk that can be removed"),
            "See that it is connected whenever a backup is due, and never take it away without ejecting it.",
        )
    })
}

fn not_enough_space(
    folder: &Path,
    settings: &Settings,
    sets: &[BackupSet],
    required: u64,
    available: u64,
) -> Option<Warning> {
    let there: u64 = sets.iter().map(|set| set.bytes).sum();
    let count = if settings.keep.all {
        1
    } else {
        let at_once = u64::from(settings.keep.delete_oldest == DeleteOldest::After);
        u64::from(settings.keep.last) + at_once
    };
    // The backups there will be deleted as new ones come; when all are kept, they stay.
    let needed = required.saturating_mul(count).saturating_sub(if settings.keep.all { 0 } else { there });
    (needed > available).then(|| {
        let many = if count == 1 { "the next backup needs".to_owned() } else { format!("{count} backups need") };
        let message = format!(
            "not enough space in {}: {many} about {} more, {} are available",
            folder.display(),
            human_bytes(needed),
            human_bytes(available)
        );
        Warning::new(
            WarningKind::NotEnoughSpace,
            message,
            "Free space on that disk, choose another one, keep fewer backups, or delete the oldest before the new \
             one is made.",
        )
    })
}

fn other_data_files(folder: &Path, data_file: &Path, settings: &Settings) -> Option<Warning> {
    let own = catalog::stem(data_file);
    let foreign = catalog::list(folder, None).ok()?.into_iter().filter(|entry| {
        entry.problem.is_none()
            && match settings.data_file_id {
                Some(id) => entry.data_file_id != Some(id),
                // One without a backup yet has no identity; what carries its name is not its own all the same.
                None => true,
            }
    });
    // Of this very path, before it was given another identity: it would be strange to call that another data file.
    let (earlier, foreign): (Vec<_>, Vec<_>) =
        foreign.partition(|entry| entry.made_of.as_deref() == Some(data_file) && settings.data_file_id.is_some());
    let names: BTreeSet<String> = foreign
        .into_iter()
        .filter_map(|entry| Archive::glance(&entry.path).ok())
        .map(|identity| identity.data_file_name)
        .collect();
    if names.iter().all(|name| catalog::stem(Path::new(name)) != own) && !earlier.is_empty() {
        let message = format!(
            "{} holds archives of {} that were made with other settings, which named it by another identity",
            folder.display(),
            data_file.display()
        );
        let hint = "They do not count, and are not deleted by themselves. Each can be restored by its own name; or \
                    choose another folder.";
        return Some(Warning::new(WarningKind::OtherDataFile, message, hint));
    }
    let first = names.iter().find(|name| catalog::stem(Path::new(name)) == own).or_else(|| names.first())?;
    let same_name = catalog::stem(Path::new(first)) == own;
    let hint = if same_name {
        "They carry the same name, and numbers would be shared. Choose another folder."
    } else {
        "They are told apart by their names, but a folder for each data file is clearer."
    };
    let message = format!("{} holds archives of another data file, {first}", folder.display());
    Some(Warning::new(WarningKind::OtherDataFile, message, hint))
}
