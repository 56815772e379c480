//! Opening a damaged archive: made whole from its recovery data, as far as that goes.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{
    reader::{Archive, find_signature, signatures_near_end},
    recovery::mend::{Damage, mend},
    segments::{self, Located},
};
use crate::{
    control::Control,
    error::{Error, ErrorKind, Result},
    storage,
};

/// What was wrong with an archive, and came back from its recovery data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repaired {
    /// Its blocks.
    pub damage: Damage,
    /// Numbers of its segments that are not there.
    pub missing_segments: Vec<u32>,
    /// The first thing that was found to be wrong.
    pub cause: String,
}

impl Repaired {
    /// For people: what is damaged.
    pub fn in_words(&self) -> String {
        let missing: Vec<String> = self.missing_segments.iter().map(|n| format!("{n:04}")).collect();
        match missing.len() {
            0 => self.damage.in_words(),
            1 => format!("segment {} is missing; {}", missing[0], self.damage.in_words()),
            _ => format!("segments {} are missing; {}", missing.join(", "), self.damage.in_words()),
        }
    }
}

impl Repaired {
    /// What to say of a damaged archive from which files were restored, each proven by its own checksum.
    pub fn after_restore(&self) -> Error {
        let words = self.in_words();
        if self.damage.is_repaired() {
            let message = format!("the archive is damaged and was repaired on the fly: {words}");
            return Error::new(ErrorKind::Damaged, message).hint(SOUND_COPY);
        }
        let message = format!(
            "the archive is damaged beyond what its recovery data repairs ({words}), but every file restored from it \
             was still whole"
        );
        Error::new(ErrorKind::Damaged, message).hint(
            "Each file agrees with its own checksum. Make a new full backup, and keep what was restored until then.",
        )
    }
}

/// The advice for an archive that can be repaired.
pub const SOUND_COPY: &str = "Write a sound copy now, before more is lost (Repair archive, or strongroom repair).";

/// Whether a failure to read an archive may be damage that recovery data repairs.
pub fn is_damage(error: &Error) -> bool {
    use ErrorKind as K;
    // A version that is newer may be a damaged byte.
    matches!(error.kind(), K::Damaged | K::NotRecognised | K::Io | K::NotFound | K::NewerVersion)
}

/// Opens the archive at `path` as it was before it was damaged. `cause` is the failure that showed the damage, and is
/// what comes back where there is no recovery data. `folders` may hold further segments.
///
/// What is beyond repair stays damaged: [`Damage::is_repaired`] tells.
///
/// # Errors
/// `cause`; `Damaged` when even header and index are lost; `Stopped`.
pub fn heal(path: &Path, folders: &[PathBuf], cause: Error, control: &Control) -> Result<(Archive, Repaired)> {
    // Somebody's film is no archive whose beginning is lost: it would be read to its end in vain.
    let is_named_so = path.extension().is_some_and(|end| end.eq_ignore_ascii_case(super::catalog::EXTENSION));
    if cause.kind() == ErrorKind::NotRecognised && !is_named_so {
        return Err(cause);
    }
    // A file that is not there at all is not damaged.
    let Ok(located) = segments::locate(path, folders) else { return Err(cause) };
    let Located { volume, missing, .. } = located;
    let (right, near) = (find_signature(&volume), signatures_near_end(&volume));
    let Ok(mended) = mend(volume, storage::folder_of(path), control)? else { return Err(cause) };
    // One in its place that signs something else is not put aside: it is what shows that somebody changed the archive.
    let signature = near.into_iter().find(|signature| signature.is_of(&mended.stamp.whole)).or(right);
    let damage = mended.damage;
    let repaired = Repaired { damage, missing_segments: missing, cause: cause.to_string() };
    match Archive::open_mended(path, mended, signature) {
        Ok(archive) => Ok((archive, repaired)),
        Err(error) if error.kind() == ErrorKind::NewerVersion => Err(cause),
        Err(error) if error.kind() == ErrorKind::Refused => Err(error),
        Err(_) => Err(beyond_repair(path, &repaired, &[])),
    }
}

/// That an error says which items of an archive are still whole: nobody need look again.
#[derive(Debug, thiserror::Error)]
#[error("what is still whole is said")]
pub struct WholeItems;

/// What to say of an archive that has lost more than its recovery data brings back; `whole` are the items still whole.
/// Where segments are missing, they are what it lacks: nothing says yet that it is damaged.
pub fn beyond_repair(path: &Path, repaired: &Repaired, whole: &[&str]) -> Error {
    let (shown, words, lost) = (path.display(), repaired.in_words(), repaired.damage.lost);
    if !repaired.missing_segments.is_empty() {
        let message = format!("{shown} is not all there: {words}, and {lost} cannot be brought back without them");
        let hint = format!("{} Without it: {}", segments::BRING, still_whole(whole));
        return Error::new(ErrorKind::NotFound, message).about(path).hint(hint).because(WholeItems);
    }
    let mut message = format!("{shown} is damaged beyond repair: {words}");
    if lost > 0 {
        message += &format!(", and {lost} cannot be brought back");
    }
    Error::new(ErrorKind::Damaged, message).about(path).hint(still_whole(whole)).because(WholeItems)
}

/// The advice for an archive of which only these items are whole.
pub fn still_whole(whole: &[&str]) -> String {
    if whole.is_empty() {
        return "Use another archive of this data file, or a copy of this one. Do not delete it: parts may still be \
            read."
            .to_owned();
    }
    format!(
        "Still whole, and can be restored one by one (--item): {}. For the rest use another archive.",
        whole.join(", ")
    )
}
