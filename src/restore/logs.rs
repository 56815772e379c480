//! The logs that continue an archive: found, repaired where they are damaged, and planned.

use std::path::{Path, PathBuf};

use super::{
    Logs,
    choose::{self, Sibling},
    earlier::Earlier,
    known::{self, Known},
    places::{self, Origin, Places},
};
use crate::{
    archive::{Archive, catalog, log_recovery},
    control::Control,
    error::{Error, Result},
    journal::{
        integrate::{self, Look, Plan, PlanEnd, Unfit, Unused},
        next_path,
        reader::LogReader,
    },
    storage::{self, owners, scratch::Scratch},
};

/// A plan, and the repaired copies of logs that it stands on.
pub(super) struct Planned {
    /// The plan; its paths may lead to repaired copies, which last as long as this. `None` for an archive made without
    /// a log.
    plan: Option<Plan>,
    /// What is known of the commits after the archive.
    pub(super) known: Known,
    /// The archives of the same data file that are at hand, the newest first.
    pub(super) siblings: Vec<Sibling>,
    /// Where the data file is, or was.
    pub(super) data_files: Vec<PathBuf>,
    /// The logs that were damaged and are used repaired.
    pub(super) repaired: Vec<PathBuf>,
    copies: Vec<(PathBuf, PathBuf)>,
    /// Holds the copies.
    _scratch: Option<Scratch>,
}

impl Planned {
    /// What there is to integrate; `None` where that is nothing.
    pub(super) fn plan(&self) -> Option<&Plan> {
        self.plan.as_ref().filter(|plan| plan.commits > 0 || plan.end != PlanEnd::Complete)
    }

    /// The plan where a log goes on from the archive, also one without commits.
    pub(super) fn connected(&self) -> Option<&Plan> {
        self.plan.as_ref().filter(|plan| plan.last.is_some())
    }

    /// The plan with the names of the logs themselves.
    pub(super) fn for_people(&self) -> Option<Plan> {
        self.plan().map(|plan| for_people(plan, &self.copies))
    }
}

fn for_people(plan: &Plan, copies: &[(PathBuf, PathBuf)]) -> Plan {
    let own = |path: &mut PathBuf| {
        if let Some((_, log)) = copies.iter().find(|(copy, _)| copy == path) {
            path.clone_from(log);
        }
    };
    let mut plan = plan.clone();
    plan.pieces.iter_mut().for_each(|piece| own(&mut piece.path));
    plan.unconnected.iter_mut().for_each(own);
    plan.unused.iter_mut().for_each(|unused| own(&mut unused.path));
    plan.last.iter_mut().for_each(own);
    for fork in plan.fork.iter_mut().chain(&mut plan.replaced) {
        own(&mut fork.used.path);
        own(&mut fork.other.path);
    }
    match &mut plan.end {
        PlanEnd::Torn { path, .. } | PlanEnd::Damaged { path, .. } | PlanEnd::Gap { path, .. } => own(path),
        PlanEnd::Complete => {}
    }
    plan
}

/// Finds the logs that continue `archive` and plans their integration; `None` when none is wanted.
///
/// A log that is damaged and has recovery data is made whole first; without, the plan ends where the damage is.
///
/// A plan that is made from indexes is for showing where a limit leads.
pub(super) fn plan_logs(
    archive: &Archive,
    logs: &Logs,
    origin: &Origin,
    look: Look,
    control: &Control,
) -> Result<Option<Planned>> {
    if *logs == Logs::None {
        return Ok(None);
    }
    let as_of = control.clock().now();
    let identity = archive.identity();
    let places = places::search(archive, logs, origin);
    let stem = catalog::stem(Path::new(&identity.data_file_name));
    let siblings = choose::siblings(&places, &stem, identity, origin.data_file.as_deref());
    let Some(position) = &identity.log_position else {
        let mut known = known::known_alone(identity, &places, control)?;
        known.earlier = Earlier::look(identity, (&places.logs, &siblings), control)?;
        let (repaired, copies) = (Vec::new(), Vec::new());
        return Ok(Some(Planned {
            plan: None,
            known,
            siblings,
            data_files: Vec::new(),
            repaired,
            copies,
            _scratch: None,
        }));
    };
    let (mut files, strange) = of_strangers(&places, logs);
    let mut chosen = match logs {
        Logs::Also(given) => given.clone(),
        // Whoever looks after the data file writes its own log, and no copy's.
        _ if origin.log_runs == Some(true) => {
            places.named.iter().flat_map(|log| [log.clone(), next_path(log)]).collect()
        }
        _ => Vec::new(),
    };
    // Those that whoever asks has named, and did not only find.
    let named = match logs {
        Logs::Also(given) => {
            given.len() - usize::from(given.last().is_some_and(|l| Some(l) == origin.running.as_ref()))
        }
        _ => 0,
    };
    let mut scratch = None;
    let mut copies: Vec<(PathBuf, PathBuf)> = Vec::new();
    let mut hopeless: Vec<PathBuf> = Vec::new();
    loop {
        let mut plan =
            integrate::plan_choosing(identity.data_file_id, position, (&files, &chosen, named), look, control)?;
        if let Some(end) = ends_early(&plan, &copies, &siblings)? {
            plan.end = end;
        }
        plan.unused.extend(strange.iter().cloned());
        let stopped_at = match &plan.end {
            PlanEnd::Damaged { path, .. } | PlanEnd::Torn { path, .. } => Some(path),
            PlanEnd::Complete | PlanEnd::Gap { .. } => None,
        };
        let suspect = |log: &&PathBuf| {
            let known = copies.iter().any(|(copy, _)| copy == *log) || hopeless.contains(log);
            let damaged = || stopped_at == Some(*log) || log_recovery::is_cut(log) || LogReader::open(log).is_err();
            !known && log_recovery::companion(log).is_file() && damaged()
        };
        let Some(log) = files.iter().find(suspect).cloned() else {
            let repaired = copies.iter().map(|(_, log)| log.clone()).collect();
            let shown = for_people(&plan, &copies);
            let mut known = known::known(identity, (&plan, &shown, as_of), (&places, origin, &siblings), control)?;
            known.earlier = Earlier::look(identity, (&places.logs, &siblings), control)?;
            let data_files = places.data_files;
            let plan = Some(plan);
            return Ok(Some(Planned { plan, known, siblings, data_files, repaired, copies, _scratch: scratch }));
        };
        if scratch.is_none() {
            let path = std::path::absolute(archive.path()).map_err(|e| Error::io("find", archive.path(), e))?;
            scratch = Some(Scratch::near(storage::folder_of(&path))?);
        }
        let healed = match &scratch {
            Some(scratch) => log_recovery::heal_log(&log, scratch.folder(), control)?,
            None => None,
        };
        match healed {
            Some((copy, _)) => {
                chosen.iter_mut().filter(|f| **f == log).for_each(|f| f.clone_from(&copy));
                files.iter_mut().filter(|f| **f == log).for_each(|f| f.clone_from(&copy));
                copies.push((copy, log));
            }
            None => hopeless.push(log),
        }
    }
}

/// The logs in these places, without those that a stranger may have put there, and these; what was named is meant.
fn of_strangers(places: &Places, logs: &Logs) -> (Vec<PathBuf>, Vec<Unused>) {
    let owner = places.data_files.first().and_then(|data_file| owners::owner_of(data_file));
    let given: &[PathBuf] = if let Logs::Also(given) = logs { given } else { &[] };
    let (mut files, mut strange) = (Vec::new(), Vec::new());
    for path in &places.logs {
        match owners::stranger(owner, path).filter(|_| !given.contains(path)) {
            Some(user) => {
                let why = Unfit::OfStranger { user: owners::name_of(user) };
                strange.push(Unused { path: path.clone(), why });
            }
            None => files.push(path.clone()),
        }
    }
    (files, strange)
}

/// Where an archived log breaks off before its end. One gets its name once its last commit was read back and is never
/// written again, so this is damage, also where it looks like the end of a log that a crash interrupted, or like a
/// shorter log.
fn ends_early(plan: &Plan, copies: &[(PathBuf, PathBuf)], siblings: &[Sibling]) -> Result<Option<PlanEnd>> {
    let is_archived = |path: &PathBuf| {
        let own = copies.iter().find(|(copy, _)| copy == path).map_or(path, |(_, log)| log);
        catalog::is_archived_log(own)
    };
    match (&plan.end, &plan.last) {
        (PlanEnd::Torn { path, offset }, _) if is_archived(path) => {
            Ok(Some(PlanEnd::Damaged { path: path.clone(), offset: *offset }))
        }
        (PlanEnd::Complete, Some(path)) if is_archived(path) => {
            let base = LogReader::open(path)?.header().base;
            let (to, is_same) = (plan.to.commit, |sibling: &&Sibling| sibling.epoch == base.epoch);
            let later: Vec<&Sibling> =
                siblings.iter().filter(is_same).filter(|sibling| sibling.number.0 > base.archive).collect();
            // The full backup after the one that the log follows was cut at its end.
            let next = later.iter().find(|sibling| sibling.number.0 == base.archive.saturating_add(1));
            let leads_further = next.is_some_and(|next| next.commit.is_some_and(|commit| commit > to));
            let ends_there = later.iter().any(|sibling| sibling.commit == Some(to));
            let length = path.metadata().map_err(|e| Error::io("look at", path, e))?.len();
            let damaged = PlanEnd::Damaged { path: path.clone(), offset: length };
            Ok((leads_further && !ends_there).then_some(damaged))
        }
        _ => Ok(None),
    }
}
