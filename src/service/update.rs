//! What changed between two statuses: only that is sent, so that a service with hundreds of data files has little to
//! say.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::drill::Proof;
use crate::engine::{
    JobId, Status,
    history::HistoryEntry,
    status::{DataFileId, DataFileStatus, DataFiles, FinishedJob, JobStatus},
};

/// How a list changed whose entries have names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Changes<K, T> {
    /// The names of all entries in their order, where that changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<Vec<K>>,
    /// The entries that are new or different.
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    changed: Vec<T>,
}

impl<K, T> Default for Changes<K, T> {
    fn default() -> Self {
        Self { order: None, changed: Vec::new() }
    }
}

impl<K, T> Changes<K, T> {
    fn is_empty(&self) -> bool {
        self.order.is_none() && self.changed.is_empty()
    }
}

/// An entry of such a list.
trait Named: Clone + PartialEq {
    type Name: Clone + PartialEq + std::hash::Hash + Eq;
    fn name(&self) -> &Self::Name;

    /// Whether nothing of it has changed.
    fn is_same(&self, before: &Self) -> bool {
        self == before
    }
}

impl Named for Arc<DataFileStatus> {
    type Name = DataFileId;
    fn name(&self) -> &DataFileId {
        &self.id
    }

    fn is_same(&self, before: &Self) -> bool {
        Arc::ptr_eq(self, before) || self == before
    }
}

impl Named for JobStatus {
    type Name = JobId;
    fn name(&self) -> &JobId {
        &self.id
    }
}

impl Named for FinishedJob {
    type Name = JobId;
    fn name(&self) -> &JobId {
        &self.id
    }
}

impl Named for HistoryEntry {
    type Name = JobId;
    fn name(&self) -> &JobId {
        &self.id
    }
}

impl Named for Proof {
    type Name = Uuid;
    fn name(&self) -> &Uuid {
        &self.archive_id
    }
}

fn changes<T: Named>(before: &[T], after: &[T]) -> Changes<T::Name, T> {
    let same_order = before.len() == after.len() && before.iter().zip(after).all(|(a, b)| a.name() == b.name());
    if same_order {
        let changed = before.iter().zip(after).filter(|(a, b)| !b.is_same(a)).map(|(_, b)| b.clone()).collect();
        return Changes { order: None, changed };
    }
    let known: std::collections::HashMap<&T::Name, &T> = before.iter().map(|entry| (entry.name(), entry)).collect();
    let is_new = |entry: &&T| known.get(entry.name()).is_none_or(|known| !entry.is_same(known));
    Changes {
        order: Some(after.iter().map(|entry| entry.name().clone()).collect()),
        changed: after.iter().filter(is_new).cloned().collect(),
    }
}

/// The same of lists that are shared where nothing changed.
fn shared_changes<T: Named>(before: &Arc<Vec<T>>, after: &Arc<Vec<T>>) -> Changes<T::Name, T> {
    if Arc::ptr_eq(before, after) { Changes::default() } else { changes(before, after) }
}

/// False when an entry is named that is neither known nor sent: then the two sides have lost each other.
fn apply<T: Named>(list: &mut Vec<T>, changes: Changes<T::Name, T>) -> bool {
    let mut sent: std::collections::HashMap<T::Name, T> =
        changes.changed.into_iter().map(|entry| (entry.name().clone(), entry)).collect();
    let Some(order) = changes.order else {
        for entry in list.iter_mut() {
            if let Some(new) = sent.remove(entry.name()) {
                *entry = new;
            }
        }
        return sent.is_empty();
    };
    let mut known: std::collections::HashMap<T::Name, T> =
        std::mem::take(list).into_iter().map(|entry| (entry.name().clone(), entry)).collect();
    for name in &order {
        match sent.remove(name).or_else(|| known.remove(name)) {
            Some(entry) => list.push(entry),
            None => return false,
        }
    }
    true
}

fn apply_shared<T: Named>(list: &mut Arc<Vec<T>>, changes: Changes<T::Name, T>) -> bool {
    changes.is_empty() || apply(Arc::make_mut(list), changes)
}

/// What to change in a status to have the next one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Update {
    /// Everything but the lists below, which are empty in it; where any of it changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rest: Option<Box<Status>>,
    #[serde(default, skip_serializing_if = "Changes::is_empty")]
    data_files: Changes<DataFileId, Arc<DataFileStatus>>,
    #[serde(default, skip_serializing_if = "Changes::is_empty")]
    jobs: Changes<JobId, JobStatus>,
    #[serde(default, skip_serializing_if = "Changes::is_empty")]
    finished: Changes<JobId, FinishedJob>,
    #[serde(default, skip_serializing_if = "Changes::is_empty")]
    history: Changes<JobId, HistoryEntry>,
    #[serde(default, skip_serializing_if = "Changes::is_empty")]
    proven: Changes<Uuid, Proof>,
}

/// A status without its long lists.
fn rest(status: &Status) -> Status {
    Status {
        program: status.program.clone(),
        host: status.host,
        engines: status.engines.clone(),
        started: status.started,
        data_files: DataFiles::default(),
        opening: status.opening.clone(),
        refused: status.refused.clone(),
        jobs: Vec::new(),
        finished: Arc::default(),
        history: Arc::default(),
        history_problem: status.history_problem.clone(),
        list_problem: status.list_problem.clone(),
        recent: status.recent.clone(),
        proven: Arc::default(),
    }
}

impl Update {
    /// All of `status`, for whoever knows nothing yet.
    pub fn whole(status: &Status) -> Self {
        let nothing = rest(status);
        Self { rest: Some(Box::new(nothing.clone())), ..Self::between(&nothing, status) }
    }

    /// What leads from `before` to `after`.
    pub fn between(before: &Status, after: &Status) -> Self {
        let rest_after = rest(after);
        Self {
            rest: (rest(before) != rest_after).then(|| Box::new(rest_after)),
            data_files: changes(&before.data_files, &after.data_files),
            jobs: changes(&before.jobs, &after.jobs),
            finished: shared_changes(&before.finished, &after.finished),
            history: shared_changes(&before.history, &after.history),
            proven: shared_changes(&before.proven, &after.proven),
        }
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.rest.is_none()
            && self.data_files.is_empty()
            && self.jobs.is_empty()
            && self.finished.is_empty()
            && self.history.is_empty()
            && self.proven.is_empty()
    }

    /// Brings `status`, if there is one yet, up to date; `None` when this does not belong to it.
    pub fn apply(self, status: Option<Status>) -> Option<Status> {
        let mut lists = match status {
            Some(status) => status,
            None => rest(self.rest.as_deref()?),
        };
        let mut data_files = lists.data_files.to_vec();
        let sound = apply(&mut data_files, self.data_files)
            && apply(&mut lists.jobs, self.jobs)
            && apply_shared(&mut lists.finished, self.finished)
            && apply_shared(&mut lists.history, self.history)
            && apply_shared(&mut lists.proven, self.proven);
        lists.data_files = data_files.into_iter().collect();
        let Some(rest) = self.rest else { return sound.then_some(lists) };
        let Status { data_files, jobs, finished, history, proven, .. } = lists;
        sound.then_some(Status { data_files, jobs, finished, history, proven, ..*rest })
    }
}

#[cfg(test)]
mod tests {
    use chrono::Local;
    use uuid::Uuid;

    use super::*;
    use crate::engine::{
        Host, HostKind,
        history::{Job, JobKind, Outcome},
    };

    fn entry(id: u128, outcome: Outcome) -> HistoryEntry {
        HistoryEntry {
            job: Job {
                id: JobId(Uuid::from_u128(id)),
                kind: JobKind::Backup,
                data_file: None,
                started: Local::now(),
                automatic: false,
            },
            number: None,
            duration_ms: None,
            outcome,
            path: None,
            bytes: None,
            error: None,
            note: None,
        }
    }

    fn status(history: Vec<HistoryEntry>) -> Status {
        Status {
            program: "Strongroom".to_owned(),
            host: Host { kind: HostKind::Service, process: 7, namespace: None },
            engines: Vec::new(),
            started: Local::now(),
            data_files: DataFiles::default(),
            opening: Vec::new(),
            refused: Vec::new(),
            jobs: Vec::new(),
            finished: Arc::default(),
            history: Arc::new(history),
            history_problem: None,
            list_problem: None,
            recent: Vec::new(),
            proven: Arc::default(),
        }
    }

    fn sent(update: &Update) -> Result<Update, serde_json::Error> {
        serde_json::from_slice(&serde_json::to_vec(update)?)
    }

    #[test]
    fn applied_updates_lead_through_every_status() -> Result<(), Box<dyn std::error::Error>> {
        let (a, b, c) = (entry(1, Outcome::Running), entry(2, Outcome::Running), entry(3, Outcome::Failed));
        let done = HistoryEntry { outcome: Outcome::Succeeded, ..a.clone() };
        let first = status(vec![a.clone()]);
        let mut second = Status { history: Arc::new(vec![b.clone(), a]), ..first.clone() };
        second.recent.push("/a".into());
        let third = Status { history: Arc::new(vec![b.clone(), done.clone()]), ..second.clone() };
        let fourth = Status { history: Arc::new(vec![c, done, b]), ..second.clone() };
        let fifth = Status { history: Arc::default(), ..second.clone() };
        let mut known = sent(&Update::whole(&first))?.apply(None).ok_or("no whole")?;
        assert_eq!(known, first);
        for next in [second.clone(), third.clone(), fourth, fifth] {
            let update = Update::between(&known, &next);
            assert!(!update.is_empty());
            known = sent(&update)?.apply(Some(known)).ok_or("lost")?;
            assert_eq!(known, next);
            assert!(Update::between(&known, &next).is_empty());
        }
        // Only what changed is in it.
        let update = serde_json::to_string(&Update::between(&second, &third))?;
        assert!(update.contains("succeeded") && !update.contains("\"rest\"") && !update.contains("order"), "{update}");
        Ok(())
    }

    #[test]
    fn an_update_that_belongs_to_another_status_is_noticed() {
        let (first, second) = (status(vec![]), status(vec![entry(1, Outcome::Running)]));
        let history = Arc::new(vec![entry(2, Outcome::Running), second.history[0].clone()]);
        let third = Status { history, ..second.clone() };
        assert_eq!(Update::between(&second, &third).apply(Some(first)), None);
        assert_eq!(Update::between(&second, &third).apply(None), None);
    }
}
