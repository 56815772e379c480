//! Test restores: the only proof that a backup is one. An archive is restored to a scratch folder, SQLite's integrity
//! check is made, the log is integrated, and everything is removed again.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use chrono::{DateTime, FixedOffset, Local};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    archive::{ArchiveNumber, catalog::ArchiveEntry, heal::Repaired},
    backup::soundness::{Damaged, Finding},
    control::{Control, Phase},
    error::{Error, ErrorKind, Result},
    journal::integrate::{PlanEnd, Until},
    restore::{self, Logs, Origin, RestoreOptions},
    sqlite::integrity::Integrity,
    storage::{self, Disk, scratch::Scratch},
    verify::{self, VerifyOptions},
};

/// Up to this size of the data file a test restore takes no more than about a minute: nearly all of it is SQLite's
/// check.
pub const MINUTE_BYTES: u64 = 2 << 30;

/// An archive that was restored and found sound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The archive.
    pub archive: PathBuf,
    /// Its identity.
    pub archive_id: Uuid,
    /// The data file inside.
    pub data_file_id: Uuid,
    /// Number of the full backup.
    pub number: ArchiveNumber,
    /// The moment of the state it holds.
    pub moment: DateTime<FixedOffset>,
    /// When it was proven to be restorable.
    pub proven: DateTime<Local>,
    /// The last commit of the logs that was integrated; `None` for the archive alone.
    pub commit: Option<u64>,
    /// How many commits were integrated.
    pub commits: u64,
    /// Length of the restored files in bytes.
    pub bytes: u64,
    /// What had to be repaired on the way.
    pub repaired: Option<Repaired>,
    /// Logs that were damaged and came back from their recovery data.
    #[serde(default)]
    pub repaired_logs: Vec<PathBuf>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

/// Restores `archive` with its logs up to `until` into a folder inside `scratch`, checks it, and removes it. Segments
/// are also found in the folders given. What is found damaged, and where, is given to `note`.
///
/// # Errors
/// Whatever a restore reports, also that the data file is not sound or a log is damaged: then nothing is proven.
pub fn examine(
    (archive, segments): (&Path, &[PathBuf]),
    logs: Logs,
    until: Until,
    scratch: &Path,
    note: &mut dyn FnMut(Finding),
    control: &Control,
) -> Result<Proof> {
    let mut found = Found { archive_id: None, what: Damaged::Bytes, line: None };
    let proof = prove((archive, segments), logs, until, scratch, &mut found, control);
    proof.inspect_err(|error| {
        if error.kind() == ErrorKind::Damaged {
            let said = found.line.map(|line| Error::new(ErrorKind::Damaged, line).report());
            note(Finding {
                archive: archive.to_path_buf(),
                archive_id: found.archive_id,
                inode: storage::inode(archive),
                by_test: true,
                moment: control.clock().local(),
                what: found.what,
                is_repairable: false,
                error: said.unwrap_or_else(|| error.report()),
                copy: None,
            });
        }
    })
}

/// Of what a failure would tell, as far as a test has come.
struct Found {
    archive_id: Option<Uuid>,
    what: Damaged,
    /// The first that SQLite says of a damaged content.
    line: Option<String>,
}

fn prove(
    (archive, segments): (&Path, &[PathBuf]),
    logs: Logs,
    until: Until,
    scratch: &Path,
    found: &mut Found,
    control: &Control,
) -> Result<Proof> {
    let begun = Instant::now();
    control.phase(Phase::Preparing, 0);
    let plan = restore::plan_with(archive, segments, &logs, &Origin::default())?;
    found.archive_id = Some(plan.identity.archive_id);
    let folder = Scratch::new(scratch)?;
    // Nothing but the data file: the rest is proven by its checksums when the archive is verified.
    let segments = segments.to_vec();
    let options = RestoreOptions { logs, until, segments, ..RestoreOptions::all(folder.path()) };
    let restored = restore::run(&Disk, archive, &options, control);
    storage::clean_up(move || drop(folder));
    let restored = restored.inspect_err(|error| {
        // With a log it may have failed because of the log: that says nothing of the archive, which is asked itself.
        let is_asked = error.kind() == ErrorKind::Damaged && plan.log.is_some();
        let with = VerifyOptions { segments: options.segments.clone(), ..VerifyOptions::default() };
        if is_asked && verify::run_with(archive, &with, control).is_ok() {
            found.what = Damaged::Logs;
        }
    })?;
    found.what = Damaged::Logs;
    let is_alone = restored.integrated.as_ref().is_none_or(|integrated| integrated.commits == 0);
    if let (Some(Integrity::Problems(lines)), true) = (&restored.integrity, is_alone) {
        (found.what, found.line) = (Damaged::Content, lines.first().cloned());
    }
    // That nothing is known after the last commit says nothing against what was restored.
    if let Some(problem) = restored.unsound() {
        return Err(problem);
    }
    // A log that cannot be read is one more thing that would be missing in an emergency.
    if let Some(damaged) = restored.log_damage(&[]) {
        return Err(damaged);
    }
    if restored.integrity != Some(Integrity::Sound) {
        return Err(Error::new(ErrorKind::NotFound, format!("{} holds no data file", archive.display()))
            .hint("Choose an archive that was made by a full backup."));
    }
    Ok(Proof {
        archive: archive.to_path_buf(),
        archive_id: plan.identity.archive_id,
        data_file_id: plan.identity.data_file_id,
        number: restored.number,
        moment: restored.moment,
        proven: control.clock().local(),
        commit: restored.integrated.as_ref().map(|i| i.position.commit),
        commits: restored.integrated.as_ref().map_or(0, |i| i.commits),
        bytes: restored.bytes,
        repaired: restored.repaired,
        repaired_logs: restored.repaired_logs,
        duration_ms: begun.elapsed().as_millis() as u64,
    })
}

/// Chooses one of `archives`, and a commit of the logs that continue it, or its own state. `random` gives a number
/// below its argument.
///
/// # Errors
/// `NotFound` without archives; those of [`restore::plan`].
pub fn draw(
    archives: &[ArchiveEntry],
    logs: &Logs,
    random: &mut dyn FnMut(u64) -> u64,
) -> Result<(PathBuf, Logs, Until)> {
    if archives.is_empty() {
        return Err(Error::new(ErrorKind::NotFound, "there is no archive to restore").hint("Make a full backup first."));
    }
    let drawn = &archives[(random(archives.len() as u64) as usize).min(archives.len() - 1)];
    let Some(log) = restore::plan(&drawn.path, logs)?.log else {
        return Ok((drawn.path.clone(), Logs::None, Until::End));
    };
    // Where the logs break off, that is what an emergency would meet: a commit before it would prove it away.
    if matches!(log.end, PlanEnd::Damaged { .. } | PlanEnd::Gap { .. }) {
        return Ok((drawn.path.clone(), logs.clone(), Until::End));
    }
    let nth = random(log.commits + 1).min(log.commits);
    Ok(match nth {
        0 => (drawn.path.clone(), Logs::None, Until::End),
        n => (drawn.path.clone(), logs.clone(), Until::Commit(log.from.commit + n)),
    })
}

/// One drill: a random one of `archives`, and a random commit. Nobody chooses the easy one.
///
/// # Errors
/// As [`draw`] and [`examine`].
pub fn drill(
    archives: &[ArchiveEntry],
    logs: &Logs,
    seed: u64,
    scratch: &Path,
    note: &mut dyn FnMut(Finding),
    control: &Control,
) -> Result<Proof> {
    let (archive, logs, until) = draw(archives, logs, &mut numbers(seed))?;
    examine((&archive, &[]), logs, until, scratch, note, control)
}

/// Numbers below their argument, from a seed: each is a hash of the seed and a count.
pub fn numbers(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut count = 0u64;
    move |below| {
        count += 1;
        let hash = blake3::hash(&[seed.to_le_bytes(), count.to_le_bytes()].concat());
        let mut first = [0; 8];
        first.copy_from_slice(&hash.as_bytes()[..8]);
        u64::from_le_bytes(first) % below.max(1)
    }
}
