//! One status of several engines.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use chrono::{DateTime, Local};

use crate::engine::{
    JobId, Status,
    history::{HistoryEntry, Outcome},
    status::{DataFileStatus, FinishedJob, Refused},
};

/// What each engine keeps of these is bounded in the same way.
const HISTORY_MAX: usize = 1000;
const FINISHED_MAX: usize = 20;
const RECENT_MAX: usize = 10;

/// A data file whose engine went away.
pub(super) struct Lost {
    pub(super) status: DataFileStatus,
    pub(super) since: DateTime<Local>,
}

/// What must be remembered between two statuses.
#[derive(Default)]
pub(super) struct Order {
    /// What the last status was made of.
    made_of: Vec<Arc<Status>>,
    silent: Vec<Option<DateTime<Local>>>,
    lost: Vec<(PathBuf, bool)>,
    /// Ended jobs in the order in which they were first seen, the newest first.
    finished: Vec<JobId>,
}

/// Makes one status of those of all engines, the own one first, and of the data files whose engine went away; `None`
/// when nothing has changed. `silent` is since when each of them does not answer.
pub(super) fn merge(
    (statuses, silent): (&[Arc<Status>], &[Option<DateTime<Local>>]),
    lost: &[Lost],
    order: &mut Order,
) -> Option<Arc<Status>> {
    let seen = |lost: &Lost| (lost.status.facts.path.clone(), lost.status.problem.is_some());
    let paths: Vec<(PathBuf, bool)> = lost.iter().map(seen).collect();
    let same = statuses.len() == order.made_of.len()
        && statuses.iter().zip(&order.made_of).all(|(a, b)| Arc::ptr_eq(a, b))
        && silent == order.silent
        && paths == order.lost;
    if same {
        return None;
    }
    (order.made_of, order.silent, order.lost) = (statuses.to_vec(), silent.to_vec(), paths);
    let (own, others) = statuses.split_first()?;
    if others.is_empty() && lost.is_empty() {
        // As in most windows: nothing to copy.
        order.note(&own.finished);
        return Some(Arc::clone(own));
    }
    let mut merged = Status::clone(own);
    for (other, silent) in others.iter().zip(silent.iter().skip(1)) {
        for data_file in &*other.data_files {
            if merged.data_files.at(&data_file.facts.path).is_none() {
                merged.data_files.add(match silent {
                    None => Arc::clone(data_file),
                    since => Arc::new(DataFileStatus { silent_since: *since, ..DataFileStatus::clone(data_file) }),
                });
            }
        }
        merged.engines.extend(&other.engines);
        merged.opening.extend(other.opening.iter().cloned());
        // Where a restore of one that is gone failed here, its service has refused it as well: that is one matter.
        let is_new = |refused: &&Refused| merged.refused.iter().all(|known| known.path != refused.path);
        let refused: Vec<Refused> = other.refused.iter().filter(is_new).cloned().collect();
        merged.refused.extend(refused);
        merged.jobs.extend(other.jobs.iter().cloned());
        let proven: Vec<_> = other.proven.iter().filter(|p| !merged.proven.contains(p)).cloned().collect();
        Arc::make_mut(&mut merged.proven).extend(proven);
        merged.history_problem = merged.history_problem.or_else(|| other.history_problem.clone());
        merged.list_problem = merged.list_problem.or_else(|| other.list_problem.clone());
        let recent: Vec<PathBuf> = other.recent.iter().filter(|p| !merged.recent.contains(p)).cloned().collect();
        merged.recent.extend(recent);
    }
    for lost in lost {
        merged.data_files.add(Arc::new(DataFileStatus { lost_since: Some(lost.since), ..lost.status.clone() }));
    }
    merged.recent.truncate(RECENT_MAX);
    Arc::make_mut(&mut merged.proven).sort_by_key(|proof| std::cmp::Reverse(proof.proven));
    merged.jobs.sort_by_key(|job| (job.started, job.id));
    merged.history = Arc::new(histories(statuses));
    merged.finished = Arc::new(order.merge_finished(statuses));
    Some(Arc::new(merged))
}

/// Engines of one user write the same journal, and each has read it at another moment: an entry that has ended counts.
fn histories(statuses: &[Arc<Status>]) -> Vec<HistoryEntry> {
    let mut entries: HashMap<JobId, &HistoryEntry> = HashMap::new();
    for entry in statuses.iter().flat_map(|status| &*status.history) {
        let known = entries.entry(entry.id).or_insert(entry);
        if known.outcome == Outcome::Running {
            *known = entry;
        }
    }
    let mut entries: Vec<HistoryEntry> = entries.into_values().cloned().collect();
    entries.sort_by_key(|entry| std::cmp::Reverse((entry.started, entry.id)));
    entries.truncate(HISTORY_MAX);
    entries
}

impl Order {
    fn note(&mut self, finished: &[FinishedJob]) {
        for job in finished.iter().rev() {
            if !self.finished.contains(&job.id) {
                self.finished.insert(0, job.id);
            }
        }
        self.finished.truncate(FINISHED_MAX * 4);
    }

    fn merge_finished(&mut self, statuses: &[Arc<Status>]) -> Vec<FinishedJob> {
        statuses.iter().for_each(|status| self.note(&status.finished));
        let find = |id: &JobId| statuses.iter().find_map(|status| status.finished_job(*id)).cloned();
        self.finished.iter().filter_map(find).take(FINISHED_MAX).collect()
    }
}
