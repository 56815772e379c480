//! Whether a folder for archives, or of the log, is the one that was used before, and not only one of its name.
//!
//! A folder gets a mark when it is used first ([`marker`]), and the settings of the data file remember it. Where
//! another one is found later, or none, its disk is not there: nothing is created then and nothing written, and who
//! looks is told which disk is missing. The mark alone decides; device numbers change with every start of the machine,
//! and the rest is for the message.
//!
//! Several disks that take turns on one mount point are each known once each was chosen. A choice on another mount
//! point, as that of the empty folder beneath, takes the place of the earlier one: it must not be taken for the disk
//! the next time.

use std::{
    fs,
    path::{Path, PathBuf},
};

use uuid::Uuid;

use super::{
    destination_by, make_folder,
    places::{self, Purpose},
};
use crate::{
    archive::{ArchiveNumber, catalog},
    error::{Error, ErrorKind, Result},
    settings::{Settings, SettingsFile, sections::KnownPlace},
    storage::{
        self, Ownership,
        disks::{System, Volume},
        marker, owners,
    },
};

/// What a folder is, compared with what is remembered of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It was never used for this data file, and does not exist.
    New,
    /// It exists, and nothing is remembered of it: never used, or by a version that remembered nothing.
    Unmarked,
    /// It is the one that was used.
    Known,
}

/// Compares the folder that `settings` mean for `purpose` with what they remember of it; may take its time.
///
/// # Errors
/// `PlaceMissing` when it is not the one that was used before, or that cannot be told; `Refused` where a link of
/// somebody else leads there that no settings name.
pub fn look(data_file: &Path, settings: &Settings, purpose: Purpose) -> Result<Standing> {
    let folder = places::folder(data_file, settings, purpose);
    refuse_strange_link(&folder, data_file)?;
    if is_beside(&folder, data_file) {
        return Ok(Standing::Known);
    }
    let known: Vec<&KnownPlace> =
        settings.places.iter().filter(|place| place.folder == folder && place.id.is_some()).collect();
    let Some(last) = known.last() else {
        refuse_unmounted(&folder, data_file, purpose)?;
        return Ok(if folder.is_dir() { Standing::Unmarked } else { Standing::New });
    };
    match marker::read(&folder) {
        Ok(Some(id)) if known.iter().any(|place| place.id == Some(id)) => {
            // A copy of the folder, mark and all, may lie beneath the mount point.
            match known.iter().filter(|place| place.id == Some(id)).all(|place| is_beneath(&folder, place)) {
                true => Err(missing(&folder, last, Some(id), purpose)),
                false => Ok(Standing::Known),
            }
        }
        Ok(found) => Err(missing(&folder, last, found, purpose)),
        Err(error) => {
            let message = format!("{} cannot be told: {error}", is_it(&folder, purpose));
            let hint = match error.kind() {
                ErrorKind::Damaged => hint(purpose),
                _ => error.hint_text().unwrap_or_default().to_owned(),
            };
            Err(Error::new(ErrorKind::PlaceMissing, message).hint(hint).because(error))
        }
    }
}

/// Whether what is there lies on the disk beneath the mount point that the folder was on, and not on its disk.
fn is_beneath(folder: &Path, place: &KnownPlace) -> bool {
    let now = System::now().as_ref().and_then(|system| system.volume(folder));
    now.is_some_and(|now| {
        now.mount_point != place.mount_point
            && place.mount_point.starts_with(&now.mount_point)
            && !Volume::is_same(&now.name, &place.disk)
    })
}

/// The usual folder is reached by its name alone: a link of that name, made by somebody who could not write the data
/// file, would have it written wherever he likes. One that settings name is the administrator's word.
fn refuse_strange_link(folder: &Path, data_file: &Path) -> Result<()> {
    let is_usual = *folder == super::default_destination(data_file);
    if !is_usual || !folder.is_symlink() {
        return Ok(());
    }
    let Some(user) = owners::stranger_to(data_file, folder) else { return Ok(()) };
    let message = format!("{} is a link that {} made", folder.display(), owners::name_of(user));
    Err(Error::new(ErrorKind::Refused, message)
        .hint("Remove it, or choose the folder that is meant in the settings of the data file."))
}

/// Where the data file is, its companions are too: no mark is needed.
fn is_beside(folder: &Path, data_file: &Path) -> bool {
    folder == storage::folder_of(data_file)
}

fn noun(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Archives => "the folder for archives",
        Purpose::Log => "the folder of the log",
    }
}

fn is_it(folder: &Path, purpose: Purpose) -> String {
    format!("whether {} is {} used before", folder.display(), noun(purpose))
}

fn hint(purpose: Purpose) -> String {
    let (goes_on, word) = match purpose {
        Purpose::Archives => ("backups can be made again", "destination"),
        Purpose::Log => ("the log goes on by itself", "log"),
    };
    format!(
        "Connect and mount its disk, or put the folder back: {goes_on} then, and nothing is written before. To use \
         what is there now, choose the folder anew (strongroom settings DATAFILE --choose-anew {word})."
    )
}

/// A disk that the system's table names, and that is not mounted: what would be made there lies beneath it.
fn refuse_unmounted(folder: &Path, data_file: &Path, purpose: Purpose) -> Result<()> {
    let Ok(table) = fs::read_to_string("/etc/fstab") else { return Ok(()) };
    match System::now().and_then(|system| system.unmounted(folder, &table)) {
        None => Ok(()),
        // As in a container that has the table of another machine.
        Some((point, _)) if data_file.starts_with(&point) => Ok(()),
        Some((point, source)) => {
            let message = format!(
                "the disk for {} {} is missing: {source} is not mounted at {}, where /etc/fstab has it",
                noun(purpose),
                folder.display(),
                point.display()
            );
            Err(Error::new(ErrorKind::PlaceMissing, message).hint(hint(purpose)))
        }
    }
}

fn missing(folder: &Path, last: &KnownPlace, found: Option<Uuid>, purpose: Purpose) -> Error {
    let system = System::now();
    let now = system.as_ref().and_then(|system| system.volume(folder));
    let noun = noun(purpose);
    let (at, point) = (folder.display(), last.mount_point.display());
    let is_elsewhere = |now: &Volume| now.mount_point != last.mount_point;
    // What mounts a disk when it is wanted has found none.
    let is_unmounted = |now: &Volume| {
        is_elsewhere(now) && last.mount_point.starts_with(&now.mount_point) || now.name.starts_with("autofs")
    };
    let what = match &now {
        Some(now) if is_unmounted(now) => {
            format!("the disk for {noun} {at} is missing: nothing is mounted at {point}, where {} was", last.disk)
        }
        Some(now) if is_elsewhere(now) => format!(
            "{noun} {at} is not the one used before: it is on {} at {} now, and was on {} at {point}",
            now.name,
            now.mount_point.display(),
            last.disk
        ),
        Some(now) if !Volume::is_same(&now.name, &last.disk) => {
            format!(
                "another disk is mounted at {point}: {} instead of {}, on which {noun} {at} was",
                now.name, last.disk
            )
        }
        _ if !folder.is_dir() => format!("{noun} {at} is gone: it was deleted or renamed, or its disk is another one"),
        _ if found.is_none() => {
            format!("{noun} {at} is not the one used before: its mark is missing, as after it was emptied or replaced")
        }
        _ => format!("{noun} {at} is not the one used before: it bears the mark of another folder"),
    };
    let elsewhere = system.as_ref().zip(folder.strip_prefix(&last.mount_point).ok()).and_then(|(system, inside)| {
        system.where_is(inside, |there| matches!(marker::read(there), Ok(id) if id.is_some() && id == last.id))
    });
    let elsewhere = elsewhere.map_or_else(String::new, |there| format!("; that folder is {} now", there.display()));
    Error::new(ErrorKind::PlaceMissing, format!("{what}{elsewhere}")).hint(hint(purpose))
}

/// Makes the folder ready to be written: made and marked when it was never used, and remembered.
///
/// # Errors
/// As [`look`], and those of the disk.
pub fn prepare(data_file: &Path, settings: &mut SettingsFile, own: &Path, purpose: Purpose) -> Result<()> {
    let folder = places::folder(data_file, settings.settings(), purpose);
    match look(data_file, settings.settings(), purpose)? {
        Standing::Known => Ok(()),
        standing => {
            if standing == Standing::New {
                make_folder(&folder, Ownership::for_content_of(data_file))?;
            }
            remember(&folder, data_file, settings, own)
        }
    }
}

/// Sees that the folder of a log in use is the one that it was; `is_used` says whether archives were cut from a log.
///
/// # Errors
/// As [`look`]; also where nothing is remembered and the folder is empty, though a log should be there: that is what an
/// empty mount point looks like.
pub fn require_log(data_file: &Path, settings: &Settings, is_used: bool) -> Result<()> {
    let standing = look(data_file, settings, Purpose::Log)?;
    let folder = places::folder(data_file, settings, Purpose::Log);
    let is_empty = || fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_none());
    if standing == Standing::Unmarked && is_used && is_empty() {
        let message = format!("the folder of the log {} is empty, though a log was used", folder.display());
        return Err(Error::new(ErrorKind::PlaceMissing, message).hint(hint(Purpose::Log)));
    }
    Ok(())
}

/// Whether several disks take turns as the destination.
pub fn take_turns(data_file: &Path, settings: &Settings) -> bool {
    let folder = destination_by(data_file, settings);
    settings.places.iter().filter(|place| place.folder == folder && place.id.is_some()).count() > 1
}

/// Marks a folder that an earlier version used, or that was chosen and not used yet. One that should hold archives and
/// holds none may be an empty mount point, and is left alone. Returns whether something was noted.
///
/// # Errors
/// As [`look`]; where nothing can be written there, nothing is noted.
pub fn adopt(data_file: &Path, settings: &mut SettingsFile, own: &Path, purpose: Purpose) -> Result<bool> {
    if look(data_file, settings.settings(), purpose)? != Standing::Unmarked {
        return Ok(false);
    }
    let folder = places::folder(data_file, settings.settings(), purpose);
    let is_used = match purpose {
        Purpose::Archives => {
            let highest = catalog::highest_number(&folder, &catalog::stem(data_file))?;
            let is_chosen = settings.settings().destination.folder.is_some();
            highest != ArchiveNumber(0) || is_chosen && settings.settings().last_number == 0
        }
        Purpose::Log => settings.settings().log.file.as_ref().is_some_and(|log| log.is_file()),
    };
    // What cannot be written now is marked by the first backup.
    Ok(is_used && remember(&folder, data_file, settings, own).is_ok())
}

/// Marks a folder that somebody has just chosen, if it is there and nothing is remembered of it: so its disk is known
/// from then on, and not only from the first backup.
pub fn note_choice(data_file: &Path, settings: &mut SettingsFile, own: &Path, before: &Settings) {
    for purpose in [Purpose::Archives, Purpose::Log] {
        let folder = places::folder(data_file, settings.settings(), purpose);
        let is_new = folder != places::folder(data_file, before, purpose);
        if is_new && matches!(look(data_file, settings.settings(), purpose), Ok(Standing::Unmarked)) {
            // What cannot be written now is marked when it is used first.
            let _ = remember(&folder, data_file, settings, own);
        }
    }
}

/// Takes the folder as it is there now for the one to be used, whatever was there before. Returns it.
///
/// # Errors
/// `Refused` without a log; those of the disk.
pub fn choose_anew(data_file: &Path, settings: &mut SettingsFile, own: &Path, purpose: Purpose) -> Result<PathBuf> {
    if purpose == Purpose::Log && settings.settings().log.file.is_none() {
        return Err(Error::new(ErrorKind::Refused, "no log is used, so it has no folder").hint("Choose a log first."));
    }
    let folder = places::folder(data_file, settings.settings(), purpose);
    if is_beside(&folder, data_file) {
        return Ok(folder);
    }
    make_folder(&folder, Ownership::for_content_of(data_file))?;
    if marker::read(&folder).is_err_and(|e| e.kind() == ErrorKind::Damaged) {
        marker::set_aside(&folder)?;
    }
    remember(&folder, data_file, settings, own)?;
    Ok(folder)
}

/// Gives the folder its mark, and notes it in the settings.
fn remember(folder: &Path, data_file: &Path, settings: &mut SettingsFile, own: &Path) -> Result<()> {
    let id = marker::ensure(folder, Ownership::of(data_file).owner)?;
    let volume = System::now().and_then(|system| system.volume(folder));
    let (mount_point, disk) = volume.map_or_else(Default::default, |volume| (volume.mount_point, volume.name));
    settings.note(own, |settings| {
        settings.places.retain(|place| {
            let takes_turns = !mount_point.as_os_str().is_empty() && place.mount_point == mount_point;
            place.folder != folder || place.id.is_none() || takes_turns && place.id != Some(id)
        });
        // A folder chosen long ago is compared when its archives are asked for, not when it is written: it need not
        // stay here.
        let mut places = std::mem::take(&mut settings.places);
        places.retain(|place| place.id.is_none() || is_in_use(&place.folder, data_file, settings));
        let (folder, id) = (folder.to_path_buf(), Some(id));
        let (mount_point, disk) = (mount_point.clone(), disk.clone());
        places.push(KnownPlace { folder, id, mount_point, disk, leads_to: None, inode: None, is_file: false });
        settings.places = places;
    })
}

fn is_in_use(folder: &Path, data_file: &Path, settings: &Settings) -> bool {
    folder == destination_by(data_file, settings)
        || settings.destination.earlier.iter().any(|earlier| earlier == folder)
        || settings.log.file.as_deref().is_some_and(|log| storage::folder_of(log) == folder)
}
