//! The logs that continue an archive: found, repaired where they are damaged, and planned.

use std::path::{Path, PathBuf};

use super::Logs;
use crate::{
    archive::{Archive, catalog, log_recovery},
    control::Control,
    error::{Error, Result},
    journal::{
        integrate::{self, Plan, PlanEnd},
        reader::LogReader,
    },
    storage::{self, scratch::Scratch},
};

/// A plan, and the repaired copies of logs that it stands on.
pub(super) struct Planned {
    /// The plan; its paths may lead to repaired copies, which last as long as this.
    pub(super) plan: Plan,
    /// The logs that were damaged and are used repaired.
    pub(super) repaired: Vec<PathBuf>,
    copies: Vec<(PathBuf, PathBuf)>,
    /// Holds the copies.
    _scratch: Option<Scratch>,
}

impl Planned {
    /// The plan with the names of the logs themselves.
    pub(super) fn for_people(&self) -> Plan {
        let own = |path: &mut PathBuf| {
            if let Some((_, log)) = self.copies.iter().find(|(copy, _)| copy == path) {
                path.clone_from(log);
            }
        };
        let mut plan = self.plan.clone();
        plan.pieces.iter_mut().for_each(|piece| own(&mut piece.path));
        plan.unconnected.iter_mut().for_each(own);
        match &mut plan.end {
            PlanEnd::Torn { path } | PlanEnd::Damaged { path, .. } | PlanEnd::Gap { path, .. } => own(path),
            PlanEnd::Complete => {}
        }
        plan
    }
}

/// Finds the logs that continue `archive` and plans their integration; `None` when there is nothing to integrate.
///
/// A log that is damaged and has recovery data is made whole first; without, the plan ends where the damage is.
pub(super) fn plan_logs(archive: &Archive, logs: &Logs, control: &Control) -> Result<Option<Planned>> {
    let identity = archive.identity();
    let (Some(position), true) = (&identity.log_position, *logs != Logs::None) else { return Ok(None) };
    let path = std::path::absolute(archive.path()).map_err(|e| Error::io("find", archive.path(), e))?;
    let folder = storage::folder_of(&path);
    let mut files = catalog::logs(folder, &catalog::stem(Path::new(&identity.data_file_name)))?;
    if let Logs::Also(more) = logs {
        files.extend(more.iter().filter(|m| !files.contains(m)).cloned().collect::<Vec<_>>());
    }
    let mut scratch = None;
    let mut copies: Vec<(PathBuf, PathBuf)> = Vec::new();
    let mut hopeless: Vec<PathBuf> = Vec::new();
    loop {
        let plan = integrate::plan(identity.data_file_id, position, &files, control)?;
        let stopped_at = match &plan.end {
            PlanEnd::Damaged { path, .. } | PlanEnd::Torn { path } => Some(path),
            PlanEnd::Complete | PlanEnd::Gap { .. } => None,
        };
        let suspect = |log: &&PathBuf| {
            let known = copies.iter().any(|(copy, _)| copy == *log) || hopeless.contains(log);
            let damaged = || stopped_at == Some(*log) || log_recovery::is_cut(log) || LogReader::open(log).is_err();
            !known && log_recovery::companion(log).is_file() && damaged()
        };
        let Some(log) = files.iter().find(suspect).cloned() else {
            let repaired = copies.iter().map(|(_, log)| log.clone()).collect();
            let wanted = plan.commits > 0 || plan.end != PlanEnd::Complete;
            return Ok(wanted.then_some(Planned { plan, repaired, copies, _scratch: scratch }));
        };
        if scratch.is_none() {
            scratch = Some(scratch_folder(folder)?);
        }
        let healed = match &scratch {
            Some(scratch) => log_recovery::heal_log(&log, scratch.path(), control)?,
            None => None,
        };
        match healed {
            Some((copy, _)) => {
                files.iter_mut().filter(|f| **f == log).for_each(|f| f.clone_from(&copy));
                copies.push((copy, log));
            }
            None => hopeless.push(log),
        }
    }
}

/// Beside the archive; where that can not be written, where the system keeps such files.
fn scratch_folder(folder: &Path) -> Result<Scratch> {
    Scratch::new(folder).or_else(|error| Scratch::new(&std::env::temp_dir()).map_err(|_| error))
}
