//! Verification of a log: every byte and its index; where it is damaged, whether its recovery data repairs it; and
//! whose its commits are.
//!
//! A log has no signature of its own. The chain value of a commit hangs on every byte before it, and an archive that is
//! signed says at which commit and chain value it was cut: so that archive proves all commits up to there.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::VerifyOptions;
use crate::{
    archive::{
        Archive, ArchiveNumber,
        catalog::{self, ArchiveEntry},
        keys::PublicKey,
        log_recovery,
        recovery::mend::Damage,
        signature::Signed,
    },
    control::Control,
    error::{Error, ErrorKind, Result, foreign::shown},
    journal::{
        Position,
        look::{self, LogProof},
        reader::LogReader,
    },
    settings::{self, SettingsFile},
    storage::{self, scratch::Scratch},
};

/// Whose the commits of a log are, besides that they are undamaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum LogSigned {
    /// No signed archive was found that was cut from it: it is as it was written, whoever wrote it.
    #[default]
    Not,
    /// An archive that this key signed was cut from it; the key is this user's or one that was asked for.
    Genuine(Witness),
    /// An archive was cut from it that was signed by a key that is not known here.
    ByAnotherKey(Witness),
}

/// A signed archive that proves the commits of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// The last commit that it proves, and with it all before.
    pub commit: u64,
    /// Its number.
    pub archive: ArchiveNumber,
    /// The key that signed it.
    pub key: PublicKey,
}

/// What the verification of a log found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogReport {
    /// What reading every byte showed.
    #[serde(flatten)]
    pub proof: LogProof,
    /// Of a damaged log: what its recovery data makes good, tried and proven; `None` where it is not damaged, has none,
    /// or is damaged beyond that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repairable: Option<Damage>,
    /// Whose its commits are.
    pub signed: LogSigned,
    /// Of an archived log that ends before the full backup was cut that closed it: the number of that backup, and its
    /// commit. Of itself such a log looks like a shorter one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_before: Option<(ArchiveNumber, u64)>,
}

impl LogReport {
    /// What the administrator must know.
    pub fn problem(&self) -> Option<Error> {
        let log = shown(&self.proof.log);
        let cut_off = self.ends_before.map(|closed| ends_too_early(&self.proof.log, self.last(), closed));
        if let Some(damage) = &self.repairable {
            let message = format!("the log {log} is damaged, but can be repaired: {}", damage.in_words());
            return Some(Error::new(ErrorKind::Damaged, message).hint(format!(
                "Nothing is lost: every restore repairs it by itself, from {}. Keep both files, and check that disk.",
                shown(&log_recovery::companion(&self.proof.log))
            )));
        }
        self.proof.problem().or(cut_off)
    }

    fn last(&self) -> Option<u64> {
        self.proof.commits.map(|(_, last)| last)
    }

    /// Whose it is, for people.
    pub fn signed_in_words(&self) -> String {
        let first = self.proof.commits.map_or(u64::MAX, |(first, _)| first);
        let is_whole = self.problem().is_none();
        match self.signed {
            LogSigned::Not => {
                "Not signed: no signed archive that was cut from it was found beside it, nor where its settings \
                 say; who wrote it cannot be told. If archives lie elsewhere, name the folder (--archives)."
                    .to_owned()
            }
            LogSigned::Genuine(Witness { commit, archive, key }) if commit < first && !is_whole => format!(
                "Not proven: it goes on from archive {archive}, signed by key {key}, and does not reach the next \
                 one as it is. Who wrote what it holds cannot be told."
            ),
            LogSigned::Genuine(Witness { commit, archive, key }) if commit < first => format!(
                "Not signed yet: it goes on from archive {archive}, signed by key {key}; who wrote what it holds \
                 cannot be told before the next signed archive."
            ),
            LogSigned::Genuine(Witness { commit, archive, key }) if Some(commit) != self.last() || !is_whole => {
                format!(
                    "Genuine up to commit {commit}: archive {archive}, signed by key {key}, was cut there. Who \
                     wrote what comes after it cannot be told."
                )
            }
            LogSigned::Genuine(Witness { archive, key, .. }) => {
                format!("Genuine: archive {archive}, signed by key {key}, was cut at its end.")
            }
            LogSigned::ByAnotherKey(Witness { commit, archive, key }) => {
                format!("Signed by another key: archive {archive}, signed by key {key}, was cut at commit {commit}.")
            }
        }
    }
}

/// Reads every byte of the log at `path`. Signed archives that may have been cut from it are looked for beside it,
/// where archives lie if nothing else was chosen, where the settings beside it, or in the program's own folder `own`,
/// say, and in the further folders of `options`.
///
/// # Errors
/// When it cannot be read or is no log; `Refused` where not all its commits are proven by an archive that the required
/// key signed; `Stopped`.
pub fn run(path: &Path, own: &Path, options: &VerifyOptions, control: &Control) -> Result<LogReport> {
    let mut archives = cut_from(path, own, &options.segments, control)?;
    let ends_before = ends_before(path, &archives)?;
    archives.retain(|(_, entry)| entry.signed_by.is_some());
    let positions: Vec<_> = archives.iter().map(|(position, _)| *position).collect();
    let (proof, passed) = look::prove(path, &positions, control)?;
    let known = options.required.map_or_else(|| options.known.clone(), |key| vec![key]);
    let mut signed = LogSigned::Not;
    // The latest first; what the end of an archive says of its signature is believed only once the archive is opened,
    // which holds it against the head with the position.
    let mut cut_from_it: Vec<_> = archives.iter().zip(passed).filter(|(_, passed)| *passed).map(|(a, _)| a).collect();
    cut_from_it.sort_by_key(|(position, _)| std::cmp::Reverse(position.commit));
    for (position, entry) in cut_from_it {
        control.check()?;
        let Ok(opened) = Archive::open_with(&entry.path, &[]) else { continue };
        let is_same = opened.identity().log_position == Some(*position);
        let witness = |key| Witness { commit: position.commit, archive: entry.number, key };
        match opened.signed(&known) {
            Signed::Genuine { key } if is_same => {
                signed = LogSigned::Genuine(witness(key));
                break;
            }
            Signed::ByAnotherKey { key } if is_same && signed == LogSigned::Not => {
                signed = LogSigned::ByAnotherKey(witness(key));
            }
            _ => {}
        }
    }
    let ends_before = ends_before.filter(|(_, cut)| proof.commits.is_none_or(|(_, last)| last < *cut));
    let is_cut = ends_before.is_some() || catalog::is_archived_log(path) && log_recovery::is_cut(path);
    let repairable = repairable(path, is_cut || proof.problem().is_some(), control)?;
    let report = LogReport { repairable, proof, signed, ends_before };
    match options.required {
        Some(key) => require(report, key),
        None => Ok(report),
    }
}

/// Of an archived log: why it is known to end before its last commit, with what to do. Its index tells that it is
/// whole, the full backup that closed it that it is not; `None` also where neither is at hand.
///
/// # Errors
/// When it cannot be read or is no log; `Stopped`.
pub fn cut_off(path: &Path, own: &Path, control: &Control) -> Result<Option<Error>> {
    let mut reader = LogReader::open(path)?;
    if !catalog::is_archived_log(path) || reader.index().is_some() {
        return Ok(None);
    }
    let Some(closed) = ends_before(path, &cut_from(path, own, &[], control)?)? else { return Ok(None) };
    let mut last = None;
    while let Some(record) = reader.next_record()? {
        control.check()?;
        last = Some(record.head.commit);
    }
    Ok(last.is_none_or(|last| last < closed.1).then(|| ends_too_early(path, last, closed)))
}

fn ends_too_early(log: &Path, last: Option<u64>, (archive, commit): (ArchiveNumber, u64)) -> Error {
    let last = last.map_or_else(|| "with no commit".to_owned(), |last| format!("at commit {last}"));
    let message = format!(
        "the log {} ends {last}, and full backup {archive}, which closed it, was cut at commit {commit}",
        shown(log)
    );
    Error::new(ErrorKind::Damaged, message).hint(
        "It was cut off. What it holds can be restored. If another copy of it exists, bring that back; and check \
         that disk.",
    )
}

/// The archives of the log's data file that were made with a log, each with its position in it. Looked for beside the
/// log, where its settings say, and in `more`.
fn cut_from(path: &Path, own: &Path, more: &[PathBuf], control: &Control) -> Result<Vec<(Position, ArchiveEntry)>> {
    let identity = LogReader::open(path)?.header().identity;
    let mut folders = folders(path, own);
    folders.extend(more.iter().cloned());
    let mut archives = Vec::new();
    for entry in folders.iter().flat_map(|folder| catalog::list(folder, None).unwrap_or_default()) {
        control.check()?;
        if entry.data_file_id == Some(identity) {
            archives.extend(entry.log_position.map(|position| (position, entry)));
        }
    }
    Ok(archives)
}

/// Where archives that were cut from a log may lie.
fn folders(log: &Path, own: &Path) -> Vec<PathBuf> {
    let folder = storage::folder_of(log);
    let mut folders = vec![folder.to_path_buf(), settings::default_destination(log)];
    if let Some(above) = folder.parent() {
        folders.extend([settings::default_destination(folder), above.to_path_buf()]);
    }
    // The settings go by the name of the data file without its extension, as the log does.
    let name = log.file_name().unwrap_or_default().to_string_lossy();
    let stem = catalog::parse_log_name(&name).map_or_else(|| catalog::stem(log), |(stem, _)| stem);
    let data_file = folder.join(format!("{stem}.sqlite"));
    if let Ok(file) = SettingsFile::load(&data_file, own)
        && !file.is_blank()
    {
        let chosen = file.settings().destination.folder.clone();
        folders.push(chosen.unwrap_or_else(|| settings::default_destination(&data_file)));
        folders.extend(file.settings().destination.earlier.iter().cloned());
    }
    let mut seen = std::collections::BTreeSet::new();
    folders.retain(|folder| seen.insert(storage::real_path(folder)));
    folders
}

/// The full backup that closed an archived log, and the commit that it was cut at; `None` where it is not at hand.
fn ends_before(log: &Path, archives: &[(Position, ArchiveEntry)]) -> Result<Option<(ArchiveNumber, u64)>> {
    if !catalog::is_archived_log(log) {
        return Ok(None);
    }
    let base = LogReader::open(log)?.header().base;
    let later = archives.iter().filter(|(position, entry)| {
        position.epoch == base.epoch && position.commit >= base.commit && entry.number.0 > base.archive
    });
    let closed = later.min_by_key(|(_, entry)| entry.number);
    Ok(closed.filter(|(position, _)| position.commit > base.commit).map(|(at, entry)| (entry.number, at.commit)))
}

/// What the recovery data of a log that is damaged makes good of it.
fn repairable(log: &Path, is_damaged: bool, control: &Control) -> Result<Option<Damage>> {
    if !is_damaged || !log_recovery::companion(log).is_file() {
        return Ok(None);
    }
    // Beside the log: the copy is as long as the log, and the system's own folder for such files may be small.
    let scratch = Scratch::near(storage::folder_of(log))?;
    Ok(log_recovery::heal_log(log, scratch.folder(), control)?.map(|(_, damage)| damage))
}

/// Refuses a log that is not proven to its end by an archive that `key` signed.
fn require(report: LogReport, key: PublicKey) -> Result<LogReport> {
    let last = report.last().unwrap_or_default();
    let is_damaged = report.problem().is_some();
    let log = shown(&report.proof.log);
    let message = match report.signed {
        LogSigned::Genuine(witness) if witness.commit >= last && !is_damaged => return Ok(report),
        LogSigned::Genuine(witness) => format!(
            "of the log {log} only the commits up to {} are proven by an archive that key {key} signed",
            witness.commit
        ),
        LogSigned::ByAnotherKey(witness) => {
            format!("the archive that was cut from the log {log} was signed by another key than {key}: {}", witness.key)
        }
        LogSigned::Not => format!("no archive was found that was cut from the log {log} and signed by key {key}"),
    };
    Err(Error::new(ErrorKind::Refused, message).hint(
        "A log is proven by the next archive: the full backup that closed it names its last commit. If that archive \
         lies elsewhere, name its folder (--archives); the running log is proven by the next full backup.",
    ))
}
