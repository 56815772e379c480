//! Sessions that are kept for whoever asks: so many, and the one that was asked for least lately goes first.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use crate::error::Result;

/// One that can be forgotten.
pub(super) trait Forgotten {
    /// Whether it has ended by itself, or must be begun anew.
    fn is_gone(&self) -> bool;

    /// When somebody asked last.
    fn asked(&self) -> Instant;
}

/// How many threads of sessions are alive, those among them that were told to end; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Threads(Arc<AtomicUsize>);

/// A thread, as long as it lives.
pub(super) struct Alive(Arc<AtomicUsize>);

impl Threads {
    /// One more, unless there are `most` already.
    pub(super) fn one_more(&self, most: usize) -> Option<Alive> {
        // Counted before it begins, so that no two of them take the last place.
        let before = self.0.fetch_add(1, Ordering::Relaxed);
        let alive = Alive(Arc::clone(&self.0));
        (before < most).then_some(alive)
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Each with what it is of.
type All<K, S> = Vec<(K, Arc<S>)>;

/// At most `MAX` of them, by what each is of; cheap to clone.
pub(super) struct Sessions<K, S, const MAX: usize>(Arc<Mutex<All<K, S>>>);

impl<K, S, const MAX: usize> Clone for Sessions<K, S, MAX> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, S, const MAX: usize> Default for Sessions<K, S, MAX> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K, S, const MAX: usize> fmt::Debug for Sessions<K, S, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

impl<K: PartialEq, S: Forgotten, const MAX: usize> Sessions<K, S, MAX> {
    /// Those that are there.
    fn all(&self) -> MutexGuard<'_, All<K, S>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(_, session)| !session.is_gone());
        all
    }

    /// The one of this, if it is there.
    pub(super) fn get(&self, of: &K) -> Option<Arc<S>> {
        self.all().iter().find(|(known, _)| known == of).map(|(_, session)| Arc::clone(session))
    }

    /// The first one that has what is looked for.
    pub(super) fn find<T>(&self, wanted: impl Fn(&K, &S) -> Option<T>) -> Option<T> {
        self.all().iter().find_map(|(of, session)| wanted(of, session))
    }

    /// The one of this as long as it is `wanted`, else what `begin` makes, in its place.
    ///
    /// # Errors
    /// What `begin` says.
    pub(super) fn get_or_begin(
        &self,
        of: K,
        wanted: impl Fn(&S) -> bool,
        begin: impl FnOnce() -> Result<S>,
    ) -> Result<Arc<S>> {
        let mut all = self.all();
        if let Some((_, session)) = all.iter().find(|(known, session)| *known == of && wanted(session)) {
            return Ok(Arc::clone(session));
        }
        let session = Arc::new(begin()?);
        all.retain(|(known, _)| *known != of);
        while all.len() >= MAX {
            let asked = |at: &usize| all.get(*at).map(|(_, session)| session.asked());
            let Some(least) = (0..all.len()).min_by_key(asked) else { break };
            all.remove(least);
        }
        all.push((of, Arc::clone(&session)));
        Ok(session)
    }

    /// Nobody wants the one of this any more.
    pub(super) fn forget(&self, of: &K) {
        self.all().retain(|(known, _)| known != of);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, Ordering},
        time::Duration,
    };

    use super::*;

    struct One(Instant, AtomicBool);

    impl Forgotten for One {
        fn is_gone(&self) -> bool {
            self.1.load(Ordering::Relaxed)
        }

        fn asked(&self) -> Instant {
            self.0
        }
    }

    #[test]
    fn so_many_are_kept_and_the_one_that_was_asked_for_least_lately_goes_first() -> Result<()> {
        let sessions: Sessions<u32, One, 2> = Sessions::default();
        let begun = Instant::now();
        let at = |seconds| One(begun + Duration::from_secs(seconds), AtomicBool::new(false));
        let begin = |of, seconds| sessions.get_or_begin(of, |_| true, || Ok(at(seconds))).map(|_| ());
        begin(1, 5)?;
        begin(2, 3)?;
        begin(1, 9)?;
        assert_eq!(sessions.get(&1).map(|one| one.0), Some(begun + Duration::from_secs(5)), "it was there");
        begin(3, 4)?;
        assert!(sessions.get(&1).is_some() && sessions.get(&2).is_none() && sessions.get(&3).is_some());
        // Another one in the place of one that is not wanted so any more, and none in the place of one that is gone.
        sessions.get_or_begin(3, |_| false, || Ok(at(8)))?;
        assert_eq!(sessions.get(&3).map(|one| one.0), Some(begun + Duration::from_secs(8)));
        sessions.get(&1).into_iter().for_each(|one| one.1.store(true, Ordering::Relaxed));
        assert!(sessions.get(&1).is_none() && sessions.find(|of, _| (*of == 3).then_some(())).is_some());
        sessions.forget(&3);
        assert!(sessions.get(&3).is_none());
        Ok(())
    }
}
