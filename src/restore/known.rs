//! What is known of the commits after an archive, and what is not: said by every restore, so that nobody takes for all
//! what is only all that was found.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    choose::Sibling,
    earlier::Earlier,
    lost_past::LostPast,
    other_past::{self, OtherPast},
    places::{Origin, Places},
};
use crate::{
    archive::{Identity, catalog},
    control::Control,
    error::{Error, Result},
    journal::{
        fork::Fork,
        index, inspect,
        integrate::{LateRead, Look, Plan, PlanEnd, Stretch, Unfit, Unused},
        jumps::{self, Jump, Witness},
        next_path,
        passes::passes,
        reader::LogReader,
    },
    sqlite::{named, snapshot::Snapshot},
    storage::{
        read_exact_at,
        regular::{self, Links},
    },
};

/// How long a data file is waited for that a program has locked.
const LOCK_WAIT: Duration = Duration::from_secs(2);
/// Bytes compared at once.
const PIECE: usize = 1 << 20;

/// How what is known of the commits ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ends {
    /// The archive was made without a log.
    WithoutLog,
    /// The archive was cut from a log, and none that goes on from it was found.
    NotFound {
        /// The logs that settings name.
        named: Vec<PathBuf>,
    },
    /// The log is being written: every commit is in it, up to when it was read.
    Live {
        /// The log.
        log: PathBuf,
        /// When it was read.
        at: DateTime<Utc>,
    },
    /// Nobody writes the log, but the data file stands exactly where it ends.
    Level {
        /// The log.
        log: PathBuf,
        /// When that was looked at.
        at: DateTime<Utc>,
    },
    /// The log was closed by a full backup, and none that goes on from there was found.
    Sealed {
        /// The log.
        log: PathBuf,
        /// When that backup was made, if the archive is at hand.
        at: Option<DateTime<Utc>>,
    },
    /// Nobody writes the log any more.
    Open {
        /// The log.
        log: PathBuf,
        /// Whether the data file holds commits that are not in it.
        is_behind: bool,
        /// Whether somebody wants to write it, and cannot.
        is_held_up: bool,
        /// Whether a process has it open to write it that could not be asked whether all is in it.
        #[serde(default)]
        is_unasked: bool,
    },
    /// The same, and it ends in the middle of a commit.
    Torn {
        /// The log.
        log: PathBuf,
        /// Whether somebody wants to write it, and cannot.
        #[serde(default)]
        is_held_up: bool,
    },
    /// It is damaged, or has a gap: the plan says where.
    Broken,
}

/// What is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The last commit known; `None` where that is the state of an archive made without a log.
    pub commit: Option<u64>,
    /// Whether it comes from a log, and is not the state of the archive itself.
    pub is_logged: bool,
    /// Its time.
    pub time: DateTime<Utc>,
    /// What comes then.
    pub ends: Ends,
    /// Logs that cannot be used, with the reason.
    pub unused: Vec<Unused>,
    /// Commits whose times are not when they were made.
    pub jumps: Vec<Jump>,
    /// Stretches of which only the end is known.
    #[serde(default)]
    pub stretches: Vec<Stretch>,
    /// Commits that were read late: when each of them was made is not known.
    #[serde(default)]
    pub late: Vec<LateRead>,
    /// Logs that go on in different ways.
    #[serde(default)]
    pub fork: Option<Fork>,
    /// Logs that were replaced, and hold commits that are not in those that are used.
    #[serde(default)]
    pub replaced: Vec<Fork>,
    /// Logs that an archive contradicts.
    #[serde(default)]
    pub other_pasts: Vec<OtherPast>,
    /// What the log held and lost.
    #[serde(default)]
    pub lost: Vec<LostPast>,
    /// When that was looked at.
    #[serde(default)]
    pub read_at: Option<DateTime<Utc>>,
    /// Why the log cannot be written at the moment, as whoever wants to write it says.
    #[serde(default)]
    pub log_problem: Option<String>,
    /// Why programs may commit what neither the log nor the data file tells.
    #[serde(default)]
    pub elsewhere: Option<String>,
    /// What was there before the archive, and bears a later time.
    #[serde(default)]
    pub earlier: Earlier,
}

/// What is known after an archive that was made without a log; `places` are where its data file's logs lie.
pub(super) fn known_alone(identity: &Identity, places: &Places, control: &Control) -> Result<Known> {
    let moment = identity.moment.to_utc();
    let mut unused = Vec::new();
    for path in &places.logs {
        let Ok(mut reader) = LogReader::open(path) else { continue };
        if reader.header().identity != identity.data_file_id {
            continue;
        }
        let mut last = None;
        index::each(&mut reader, Look::Indexes, control, &mut |record| {
            last = Some(record.wall);
            Ok(())
        })?;
        if last.is_some_and(|last| last > moment) {
            unused.push(Unused { path: path.clone(), why: Unfit::OtherBase });
        }
    }
    // Made while a log was in use and could not be cut: it knows nothing of what was committed then.
    let ends = if places.named.is_empty() { Ends::WithoutLog } else { Ends::NotFound { named: places.named.clone() } };
    let (jumps, stretches) = (Vec::new(), Vec::new());
    Ok(Known {
        commit: None,
        is_logged: false,
        time: moment,
        ends,
        unused,
        jumps,
        stretches,
        late: Vec::new(),
        fork: None,
        replaced: Vec::new(),
        other_pasts: Vec::new(),
        lost: Vec::new(),
        read_at: Some(control.clock().now()),
        log_problem: None,
        elsewhere: None,
        earlier: Earlier::default(),
    })
}

/// What is known after the archive with this identity. `plan` is what the logs at hand yield; its paths may lead to
/// repaired copies, those of `shown` to the logs themselves. They were begun to be read at `as_of`: what was committed
/// while that lasted may be missing.
pub(super) fn known(
    identity: &Identity,
    (plan, shown, as_of): (&Plan, &Plan, DateTime<Utc>),
    (places, origin, siblings): (&Places, &Origin, &[Sibling]),
    control: &Control,
) -> Result<Known> {
    let moment = identity.moment.to_utc();
    let now = control.clock().now();
    let cut = |sibling: &Sibling| Some((sibling.commit?, sibling.moment.to_utc()));
    let archives: Vec<(u64, DateTime<Utc>)> = siblings.iter().filter_map(cut).collect();
    let mut witnesses: Vec<Witness> =
        archives.iter().map(|(commit, time)| Witness { commit: *commit, time: *time }).collect();
    witnesses.push(Witness { commit: plan.from.commit, time: moment });
    witnesses.push(Witness { commit: plan.to.commit, time: now });
    let concerns = |unused: &&Unused| {
        let name = unused.path.file_name().unwrap_or_default().to_string_lossy();
        // Of one that cannot be read, the name tells which full backups it lies between.
        let is_older = catalog::log_number(&name).is_some_and(|number| number < identity.number);
        (unused.why != Unfit::Foreign || places.own.contains(&unused.path)) && !(unused.is_damaged() && is_older)
    };
    Ok(Known {
        commit: Some(plan.to.commit),
        is_logged: plan.commits > 0,
        time: plan.times.map_or(moment, |times| times.1),
        ends: ends(shown, &archives, (places, origin), as_of),
        unused: shown.unused.iter().filter(concerns).cloned().collect(),
        jumps: jumps::find(plan, &witnesses, control)?,
        stretches: plan.catch_ups.clone(),
        late: plan.late.clone(),
        fork: shown.fork.clone(),
        replaced: shown.replaced.clone(),
        other_pasts: other_past::find((plan, shown), siblings, control)?,
        lost: not_passed(plan, &origin.lost, control)?,
        read_at: Some(now),
        log_problem: origin.log_problem.clone(),
        elsewhere: {
            let live = places.data_files.iter().filter(|path| !origin.is_untouched && path.is_file());
            live.filter_map(|path| named::elsewhere(path)).next().map(|error| error.message().to_owned())
        },
        earlier: Earlier::default(),
    })
}

/// What the logs of `plan` do not hold: a copy of the log as it was may be among them.
fn not_passed(plan: &Plan, lost: &[LostPast], control: &Control) -> Result<Vec<LostPast>> {
    let mut left = Vec::new();
    for past in lost {
        if !passes(plan, &past.position, control)? {
            left.push(past.clone());
        }
    }
    Ok(left)
}

fn ends(
    plan: &Plan,
    archives: &[(u64, DateTime<Utc>)],
    (places, origin): (&Places, &Origin),
    as_of: DateTime<Utc>,
) -> Ends {
    let Some(log) = plan.last.clone() else { return Ends::NotFound { named: places.named.clone() } };
    if matches!(plan.end, PlanEnd::Damaged { .. } | PlanEnd::Gap { .. }) {
        return Ends::Broken;
    }
    if origin.log_runs == Some(true) && is_written(&log) {
        return Ends::Live { log, at: as_of };
    }
    if catalog::is_archived_log(&log) {
        let at = archives.iter().filter(|(commit, _)| *commit == plan.to.commit).map(|(_, moment)| *moment).max();
        return Ends::Sealed { log, at };
    }
    // The WAL itself can tell, whoever claims to write the log, or nobody does. It tells of the log as it is now: what
    // was read before may lack its last commits.
    let stands = |data_file: &PathBuf| {
        let there = data_file.is_file();
        let facts = there.then(|| inspect::inspect(&log, data_file).ok()).flatten()?;
        let is_all = (facts.position.commit, facts.position.chain) == (plan.to.commit, plan.to.chain);
        facts.complete.filter(|is_complete| is_all || !is_complete)
    };
    let stands = places.data_files.iter().filter(|_| !origin.is_untouched).find_map(stands);
    let is_held_up = origin.log_runs == Some(false);
    // Whoever has just begun to look after the data file has the log open while it compares the two, and writes what
    // was committed meanwhile only then.
    let is_unasked = origin.log_runs.is_none() && (is_written(&log) || is_written(&next_path(&log)));
    match (stands, &plan.end) {
        (Some(true), _) if is_written(&log) && !is_held_up => Ends::Live { log, at: as_of },
        (Some(true), _) => Ends::Level { log, at: as_of },
        (_, PlanEnd::Torn { .. }) => {
            // Whoever holds it is in the middle of it, or cannot get on: that is no end.
            let is_held_up = is_held_up || is_written(&log) || is_written(&next_path(&log));
            Ends::Torn { log, is_held_up }
        }
        (stands, _) => Ends::Open { log, is_behind: stands == Some(false), is_held_up, is_unasked },
    }
}

/// Whether a process has the log open to write it.
pub fn is_written(log: &Path) -> bool {
    let file = regular::open(log, Links::Followed);
    file.is_ok_and(|(file, _)| matches!(file.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)))
}

/// Whether `data_file`, with what its WAL holds, is byte by byte the file at `restored`. One that cannot be read is
/// not.
pub(super) fn is_same(data_file: &Path, restored: &Path, control: &Control) -> Result<bool> {
    if !data_file.is_file() {
        return Ok(false);
    }
    let live = match Snapshot::begin_to_look(data_file, LOCK_WAIT, control) {
        Ok(live) => live,
        Err(error) => {
            tracing::debug!(%error, "what was restored is not compared with the data file");
            return Ok(false);
        }
    };
    let fail = |e| Error::io("read", restored, e);
    let (file, meta) = regular::open(restored, Links::Refused).map_err(fail)?;
    let length = meta.len();
    let (mut ours, mut theirs) = (vec![0; PIECE], vec![0; PIECE]);
    let mut at = 0;
    while at < length && live.len() == length {
        control.check()?;
        let count = (length - at).min(PIECE as u64) as usize;
        read_exact_at(&file, at, &mut ours[..count]).map_err(fail)?;
        if live.read(at, &mut theirs[..count]).is_err() || ours[..count] != theirs[..count] {
            return Ok(false);
        }
        at += count as u64;
    }
    Ok(live.len() == length)
}
