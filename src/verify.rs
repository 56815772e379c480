//! Verification of an archive: every byte is read and proven, and the tar stream is compared with the index.

pub mod log;

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use chrono::{DateTime, FixedOffset};
use serde::{Deserialize, Serialize};

use crate::{
    archive::{
        Archive, ArchiveNumber, Rate,
        heal::{self, Repaired},
        keys::PublicKey,
        not_whole::NotWhole,
        recovery::mend::Damage,
        signature::Signed,
        tar_check::TarCheck,
    },
    control::{Control, Phase},
    error::{Error, ErrorKind, Result},
};

/// What a verification found: an archive that is sound in every byte, or one that its recovery data makes sound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// The archive.
    pub archive: PathBuf,
    /// Its number.
    pub number: ArchiveNumber,
    /// The moment of the state it holds.
    pub moment: DateTime<FixedOffset>,
    /// Length of the archive in bytes.
    pub bytes: u64,
    /// Number of files inside.
    pub files: usize,
    /// What is damaged, and was found to be repairable, byte by byte.
    #[serde(default)]
    pub damage: Option<Repaired>,
    /// Whose it is.
    #[serde(default)]
    pub signed: Signed,
    /// What was chosen for it and is not in it, or not whole.
    #[serde(default)]
    pub not_whole: Option<NotWhole>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

impl VerifyReport {
    /// What the administrator must know of an archive that is damaged, though it can be repaired, or that is partial.
    pub fn problem(&self) -> Option<Error> {
        self.damaged().or_else(|| self.unsigned()).or_else(|| self.partial())
    }

    /// Of one that was to be signed, and is not.
    fn unsigned(&self) -> Option<Error> {
        (self.signed == Signed::Lost).then(|| {
            let message =
                format!("{} was to be signed, and its signature is missing or damaged", self.archive.display());
            Error::new(ErrorKind::Refused, message).hint(
                "Its content is as its checksums say, which anybody can make. The backup said so if it could not be \
                 signed; else somebody may have changed it: hold it against another copy.",
            )
        })
    }

    /// Of one that lacks what was chosen for it.
    pub fn partial(&self) -> Option<Error> {
        let words = self.not_whole.as_ref()?.in_words();
        let message = format!(
            "{} is as it was written, but partial: not everything that was chosen is in it, or whole: {words}",
            self.archive.display()
        );
        Some(Error::new(ErrorKind::Partial, message).hint(
            "The data file in it is complete. For the other files, use an archive that the list does not call partial.",
        ))
    }

    /// Of one that is damaged, though it can be repaired.
    pub fn damaged(&self) -> Option<Error> {
        let damage = self.damage.as_ref()?;
        let message = format!("{} is damaged, but can be repaired: {}", self.archive.display(), damage.in_words());
        Some(Error::new(ErrorKind::Damaged, message).hint(format!("{} Restores repair it too.", heal::SOUND_COPY)))
    }
}

/// Where segments may lie that are not beside the archive, and by whom it may be signed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyOptions {
    /// Further folders.
    pub segments: Vec<PathBuf>,
    /// The keys of this user: what they signed is genuine.
    pub known: Vec<PublicKey>,
    /// The key that must have signed it, and no other.
    pub required: Option<PublicKey>,
}

/// Reads all of `archive` and proves every checksum.
///
/// # Errors
/// As [`run_with`].
pub fn run(archive: &Path, control: &Control) -> Result<VerifyReport> {
    run_with(archive, &VerifyOptions::default(), control)
}

/// Reads all of `archive` and proves every checksum. A damaged archive with recovery data is made whole in the mind,
/// and what that gives is proven the same way.
///
/// # Errors
/// `Damaged` with the first part that is not as it was written, where that is beyond repair; `Refused` where its
/// signature is not that of its content, or not by the key that is required; `Stopped`.
pub fn run_with(archive: &Path, options: &VerifyOptions, control: &Control) -> Result<VerifyReport> {
    let begun = Instant::now();
    let Examined { archive: opened, damage, is_proven } = examine(archive, options, control)?;
    if !is_proven {
        prove(&opened, control)?;
    }
    let known = options.required.map_or_else(|| options.known.clone(), |key| vec![key]);
    let signed = opened.signed(&known);
    if let Some(key) = options.required.filter(|key| signed != Signed::Genuine { key: *key }) {
        let message = match signed {
            Signed::Genuine { key: other } | Signed::ByAnotherKey { key: other } => {
                format!("{} was signed by another key than {key}: {other}", archive.display())
            }
            Signed::Not => format!("{} is not signed", archive.display()),
            Signed::Lost => format!("{} was to be signed, and its signature is missing or damaged", archive.display()),
        };
        let damage = damage.as_ref().map_or_else(String::new, |damage| {
            format!(
                "It is damaged, too, but can be repaired ({}); its signature may have been lost with that. ",
                damage.in_words()
            )
        });
        return Err(Error::new(ErrorKind::Refused, message).hint(format!(
            "{damage}Whoever may write its folder can have put it there. Use one that is genuine, or find out by which \
             key its writer signs (strongroom key)."
        )));
    }
    let not_whole = NotWhole::as_far_as_known(&opened, &[], control)?;
    Ok(VerifyReport {
        not_whole,
        archive: archive.to_path_buf(),
        number: opened.identity().number,
        moment: opened.identity().moment,
        bytes: opened.bytes(),
        files: opened.items().len(),
        damage,
        signed,
        duration_ms: begun.elapsed().as_millis() as u64,
    })
}

/// An archive as it was written, whether its files are, or its recovery data makes them so.
#[derive(Debug)]
pub struct Examined {
    /// The archive.
    pub archive: Archive,
    /// What is damaged, if anything is.
    pub damage: Option<Repaired>,
    /// Whether its content was proven by its own checksums, besides those of the recovery data.
    pub is_proven: bool,
}

/// Reads all of `archive`, its recovery data included, and makes it whole in the mind where it is damaged.
///
/// Content that agrees with its own checksums needs no recovery data: when only that is damaged or lost, the archive is
/// as good as one that it makes whole.
///
/// # Errors
/// `Damaged` beyond repair, saying what is still whole as far as that is known; `Stopped`.
pub fn examine(archive: &Path, options: &VerifyOptions, control: &Control) -> Result<Examined> {
    control.phase(Phase::Preparing, 0);
    let opened = Archive::open_with(archive, &options.segments).and_then(|opened| {
        opened.forget_cached();
        prove(&opened, control)?;
        Ok(opened)
    });
    let cause = match opened {
        Ok(opened) => {
            let (archive, damage) = recovery_damage(opened, control)?;
            return Ok(Examined { archive, damage, is_proven: true });
        }
        Err(error) if heal::is_damage(&error) => error,
        Err(error) => return Err(error),
    };
    let (opened, repaired) = heal::heal(archive, &options.segments, cause, control)?;
    if repaired.damage.is_repaired() {
        return Ok(Examined { archive: opened, damage: Some(repaired), is_proven: false });
    }
    match prove(&opened, control) {
        Ok(()) => {
            let damage = Some(Repaired { damage: repaired.damage.of_proven(), ..repaired });
            Ok(Examined { archive: opened, damage, is_proven: true })
        }
        Err(error) if heal::is_damage(&error) => {
            Err(heal::beyond_repair(archive, &repaired, &opened.whole_items(control)?))
        }
        Err(error) => Err(error),
    }
}

/// What is damaged after the content of an archive that was proven; the archive knows then of its recovery data.
fn recovery_damage(opened: Archive, control: &Control) -> Result<(Archive, Option<Repaired>)> {
    let wanted = opened.identity().options().redundancy != Rate::None;
    let path = opened.path().display();
    let (damaged, cause, stamp) = match opened.prove_recovery(control) {
        Ok(Some(tally)) if tally.lacking() > 0 => {
            (tally.lacking(), format!("the recovery data of {path} is damaged"), Some(tally.stamp))
        }
        Ok(None) if wanted => (opened.recovery_parts(), format!("the recovery data of {path} is missing"), None),
        Ok(_) => return Ok((opened, None)),
        Err(error) if heal::is_damage(&error) && wanted => (0, error.to_string(), None),
        Err(error) => return Err(error),
    };
    let damage = Damage { recovery_damaged: damaged, ..Damage::default() };
    let opened = match stamp {
        Some(stamp) => opened.with_recovery(stamp),
        None => opened,
    };
    Ok((opened, Some(Repaired { damage, missing_segments: Vec::new(), cause })))
}

/// Proves the tar stream and holds it against the index.
fn prove(opened: &Archive, control: &Control) -> Result<()> {
    control.phase(Phase::Verifying, opened.tar_bytes());
    let mut check = TarCheck::of_all(opened);
    opened.stream(0, opened.tar_bytes(), control, &mut |offset, bytes| {
        check.take(offset, bytes)?;
        control.add(bytes.len() as u64);
        Ok(())
    })?;
    check.finish()
}
