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
    other_past::{self, OtherPast},
    places::{Origin, Places},
    uncertain::{self, shown},
};
use crate::{
    archive::{Identity, catalog},
    control::Control,
    error::{Error, ErrorKind, Result},
    journal::{
        fork::Fork,
        index, inspect,
        integrate::{Look, Plan, PlanEnd, Stretch, Unfit, Until, Unused},
        jumps::{self, Jump, NOTICED, Witness},
        next_path,
        reader::LogReader,
    },
    sqlite::{named, snapshot::Snapshot},
    storage::{
        read_exact_at,
        regular::{self, Links},
    },
};

/// More logs that cannot be used are not named one by one in a message.
const NAMED_MAX: usize = 3;
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
    /// Logs that go on in different ways.
    #[serde(default)]
    pub fork: Option<Fork>,
    /// Logs that were replaced, and hold commits that are not in those that are used.
    #[serde(default)]
    pub replaced: Vec<Fork>,
    /// Logs that an archive contradicts.
    #[serde(default)]
    pub other_pasts: Vec<OtherPast>,
    /// When that was looked at.
    #[serde(default)]
    pub read_at: Option<DateTime<Utc>>,
    /// Why the log cannot be written at the moment, as whoever wants to write it says.
    #[serde(default)]
    pub log_problem: Option<String>,
    /// Why programs may commit what neither the log nor the data file tells.
    #[serde(default)]
    pub elsewhere: Option<String>,
    /// The latest time of what was there before the archive, where that is later than its own: the clock ran back.
    #[serde(default)]
    pub later_before: Option<DateTime<Utc>>,
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
        fork: None,
        replaced: Vec::new(),
        other_pasts: Vec::new(),
        read_at: Some(control.clock().now()),
        log_problem: None,
        elsewhere: None,
        later_before: None,
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
        fork: shown.fork.clone(),
        replaced: shown.replaced.clone(),
        other_pasts: other_past::find((plan, shown), siblings, control)?,
        read_at: Some(now),
        log_problem: origin.log_problem.clone(),
        elsewhere: {
            let live = places.data_files.iter().filter(|path| !origin.is_untouched && path.is_file());
            live.filter_map(|path| named::elsewhere(path)).next().map(|error| error.message().to_owned())
        },
        later_before: None,
    })
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
    // The WAL itself can tell, whoever claims to write the log, or nobody does. It tells of the log as it is now: what was
    // read before may lack its last commits.
    let stands = |data_file: &PathBuf| {
        let there = data_file.is_file();
        let facts = there.then(|| inspect::inspect(&log, data_file).ok()).flatten()?;
        let is_all = (facts.position.commit, facts.position.chain) == (plan.to.commit, plan.to.chain);
        facts.complete.filter(|is_complete| is_all || !is_complete)
    };
    let stands = places.data_files.iter().filter(|_| !origin.is_untouched).find_map(stands);
    let is_held_up = origin.log_runs == Some(false);
    // Whoever has just begun to look after the data file has the log open while it compares the two, and writes what was
    // committed meanwhile only then.
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
    let Ok(live) = Snapshot::begin_to_look(data_file, LOCK_WAIT, control) else { return Ok(false) };
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

impl Known {
    /// The last commit known, in words.
    pub fn last_in_words(&self) -> String {
        match self.commit.filter(|_| self.is_logged) {
            Some(commit) => format!("commit {commit} of {}", shown(self.time)),
            None => format!("the archive itself, the state of {}", shown(self.time)),
        }
    }

    /// Whether what was committed after the log ends could still be told by the data file.
    pub(super) fn is_open(&self) -> bool {
        self.elsewhere.is_none() && matches!(self.ends, Ends::Open { is_behind: false, .. })
    }

    /// Whether a log certainly leads from the archive to what the data file holds now: then no newer archive is missed.
    pub(super) fn goes_on(&self) -> bool {
        self.elsewhere.is_none() && matches!(self.ends, Ends::Live { .. } | Ends::Level { .. })
    }

    /// What was restored was compared with the data file, byte by byte, and is the same.
    pub(super) fn compared(&mut self, level: Option<PathBuf>, at: DateTime<Utc>) {
        if let (Some(_), Ends::Open { log, .. }) = (level, &self.ends) {
            self.ends = Ends::Level { log: log.clone(), at };
        }
    }

    /// Up to when it is certain that no other commit was made than those known.
    pub(super) fn certain(&self) -> DateTime<Utc> {
        match &self.ends {
            _ if self.elsewhere.is_some() => self.time,
            Ends::Live { at, .. } | Ends::Level { at, .. } | Ends::Sealed { at: Some(at), .. } => (*at).max(self.time),
            _ => self.time,
        }
    }

    /// What only whoever asks for a restore up to `until` can tell: which of two pasts is meant.
    pub(super) fn question(&self, until: Until) -> Option<Error> {
        let replaced = || self.replaced.iter().find_map(|fork| fork.question_of_replaced(until));
        self.fork.as_ref().and_then(|fork| fork.question(until)).or_else(replaced)
    }

    /// What the state that `until` leads to may lack; `next` is the time of the first commit that was left out.
    pub fn lacks(&self, until: Until, next: Option<DateTime<Utc>>) -> Option<Error> {
        if let Some(question) = self.question(until) {
            return Some(question);
        }
        if let Some(problem) = self.other_pasts.iter().find_map(|other| other.problem(until)) {
            return Some(problem);
        }
        match until {
            Until::Commit(_) => None,
            Until::Moment(moment) if self.is_later_before(moment) => {
                self.later_before.map(|latest| uncertain::of_base(moment, latest))
            }
            Until::Moment(moment) => {
                if let Some(jump) = self.jumps.iter().find(|jump| jump.conceals(moment)) {
                    return Some(uncertain::concealed(jump));
                }
                let is_twice = |jump: &&Jump| next.is_some() && jump.repeats(moment) || jump.shows(moment);
                if let Some(jump) = self.jumps.iter().find(is_twice) {
                    return Some(uncertain::repeated(jump, moment));
                }
                if let Some(stretch) = self.stretches.iter().find(|one| one.from < moment && moment < one.to) {
                    return Some(uncertain::within(stretch, moment));
                }
                if next.is_some() || moment <= self.certain() {
                    return None;
                }
                let to_come = || self.is_to_come(moment).then(|| uncertain::to_come(moment, &self.last_in_words()));
                self.after_end().or_else(to_come)
            }
            Until::End => self.after_end(),
        }
    }

    /// Whether the archive may hold what was committed after `moment`, although it bears an earlier time.
    pub(super) fn is_later_before(&self, moment: DateTime<Utc>) -> bool {
        self.later_before.is_some_and(|latest| moment < latest)
    }

    /// Why more may have been committed than a list of all that is known tells: a log that goes on from there is
    /// missing or cannot be used, or the data file holds more. Where a log merely ends, a list of what it holds is
    /// whole.
    pub(super) fn breaks_off(&self) -> Option<Error> {
        let is_short = match &self.ends {
            Ends::Sealed { .. } | Ends::NotFound { .. } => true,
            // Whoever writes it is about to write them.
            Ends::Open { log, is_behind: true, .. } => !is_written(log),
            _ => false,
        };
        let may_hold_more = self.unused.iter().any(Unused::may_hold_more);
        if is_short || may_hold_more { self.after_end() } else { None }
    }

    fn is_to_come(&self, moment: DateTime<Utc>) -> bool {
        self.read_at.is_some_and(|now| moment > now + NOTICED)
    }

    fn after_end(&self) -> Option<Error> {
        let more: Vec<&Unused> = self.unused.iter().filter(|unused| unused.may_hold_more()).collect();
        if let Some(elsewhere) = self.elsewhere.as_ref().filter(|_| !self.is_said_otherwise()) {
            let message = format!("nothing is known after {}: {elsewhere}", self.last_in_words());
            return Some(Error::new(ErrorKind::Partial, message).hint(
                "What it commits is in no file that is found here. Have it save its data elsewhere if it can, then end \
                 it; a container must be given the folder, not the file alone.",
            ));
        }
        let why = match &self.ends {
            Ends::Live { .. } | Ends::Level { .. } | Ends::Broken => return None,
            // Made before there was a log, or while it was not in order: then logs that are there hold what it lacks.
            Ends::WithoutLog if more.is_empty() => return None,
            Ends::WithoutLog => "it was made without a log".to_owned(),
            Ends::NotFound { named } if named.is_empty() => {
                "it was made while a log was kept, and no log that goes on from it was found".to_owned()
            }
            Ends::NotFound { named } => {
                let named: Vec<String> = named.iter().map(|log| log.display().to_string()).collect();
                let named = named.join(" and ");
                format!("a log is in use, {named}, and none that goes on from the archive was found")
            }
            Ends::Sealed { log, .. } => {
                format!("a full backup closed {}, and no log that goes on from there was found", log.display())
            }
            Ends::Open { log, is_behind, is_held_up: true, .. } => {
                let behind = if *is_behind { "; the data file holds commits that are not in it" } else { "" };
                let trouble = self.log_trouble();
                format!("{} ends there, and cannot be written at the moment{trouble}{behind}", log.display())
            }
            Ends::Open { log, is_behind: false, is_unasked: true, .. } => format!(
                "{} went so far when it was read; another process writes it, and could not be asked whether that is all",
                log.display()
            ),
            Ends::Open { log, is_behind: true, .. } => {
                format!("{} ends there, and the data file holds commits that are not in it", log.display())
            }
            Ends::Torn { log, is_held_up: true } => format!(
                "{} ends there, in the middle of a commit, and cannot be written at the moment{}",
                log.display(),
                self.log_trouble()
            ),
            Ends::Open { log, .. } => format!("{} ends there, and nobody writes it any more", log.display()),
            Ends::Torn { log, .. } => {
                format!("{} ends there, in the middle of a commit, and nobody writes it any more", log.display())
            }
        };
        let mut message = format!("nothing is known after {}: {why}", self.last_in_words());
        for unused in more.iter().take(NAMED_MAX) {
            message += &format!("; {}", unused.in_words());
        }
        let hint = match &self.ends {
            Ends::WithoutLog | Ends::NotFound { .. } if !more.is_empty() => {
                "Another archive may lead further with its logs. A restore of the data file by its own name finds that \
                 one: strongroom restore DATAFILE."
            }
            Ends::WithoutLog => "Restore a newer archive, which the logs go on from.",
            Ends::Open { is_held_up: true, .. } | Ends::Torn { is_held_up: true, .. } if more.is_empty() => {
                "Everything that was recorded is restored. What was committed since stands in the data file: see that \
                 its log can be written (strongroom status DATAFILE), and restore again."
            }
            Ends::Open { is_unasked: true, .. } if more.is_empty() => {
                "It may only just have begun: restore again in a moment. If that does not help, see that the service or \
                 window that looks after the data file answers (strongroom status DATAFILE)."
            }
            Ends::Open { .. } | Ends::Torn { .. } if more.is_empty() => {
                "Everything that was recorded is restored. What programs committed later, if they did, was never \
                 recorded."
            }
            _ => {
                "Everything up to there is restored. If a log lies elsewhere, or another copy of it exists, restore \
                 again and name it (--log, or Add log)."
            }
        };
        Some(Error::new(ErrorKind::Partial, message).hint(hint))
    }

    /// Whether it is another matter why nothing more is known: there never was a log, or it is damaged.
    fn is_said_otherwise(&self) -> bool {
        matches!(self.ends, Ends::WithoutLog | Ends::Broken)
    }

    fn log_trouble(&self) -> String {
        self.log_problem.as_ref().map_or_else(String::new, |problem| format!(": {problem}"))
    }

    /// What else is worth knowing of a restore up to `until`, as whole sentences.
    pub fn remarks(&self, until: Until, next: Option<DateTime<Utc>>) -> Vec<String> {
        let mut remarks = Vec::new();
        if let Ends::Live { log, at } = &self.ends {
            remarks.push(format!("{} is being written, and was read as of {}.", log.display(), shown(*at)));
        }
        if let Until::Moment(moment) = until
            && next.is_none()
            && moment > self.time
            && (!self.is_to_come(moment) || self.after_end().is_some())
        {
            let last = self.last_in_words();
            remarks.push(if moment > self.certain() {
                format!("The moment wanted, {}, lies after the last that is known, {last}.", shown(moment))
            } else {
                format!("No commit was made between {last} and the moment wanted, {}.", shown(moment))
            });
        }
        // Nothing is left out, whichever of both was meant.
        if let Until::Moment(moment) = until
            && next.is_none()
            && let Some(jump) = self.jumps.iter().find(|jump| jump.repeats(moment) && !jump.shows(moment))
        {
            remarks.push(format!("The clock ran back: {}.", uncertain::repeats(jump)));
        }
        let after_end = self.lacks(until, next).is_some();
        let named = self.unused.iter().filter(|unused| unused.may_hold_more()).take(NAMED_MAX);
        let named: Vec<&Unused> = named.filter(|_| after_end).collect();
        // Those that the message of what is lacking does not name already.
        let rest = self.unused.iter().filter(|unused| !named.contains(unused));
        remarks.extend(rest.map(|unused| format!("{}.", unused.in_words())));
        remarks
    }
}
