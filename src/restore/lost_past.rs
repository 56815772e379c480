//! Commits that the log of a data file held before an older state of it was put back, as a machine that is rolled back
//! puts it: whoever looked after it had noted them, and they are in no log any more.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::uncertain::shown;
use crate::{
    error::{Error, ErrorKind},
    journal::{Position, integrate::Until},
};

/// What a log held, and does not hold any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostPast {
    /// The log.
    pub log: PathBuf,
    /// Its last commit then.
    pub position: Position,
    /// When that was noted.
    pub noted: DateTime<Utc>,
    /// The number of the last commit that it holds still, and its time, if it has one.
    pub left: (u64, Option<DateTime<Utc>>),
    /// When it was found to lack them.
    pub found: DateTime<Utc>,
}

impl LostPast {
    /// The first and the last of the commits, by the numbers that they had.
    pub fn commits(&self) -> (u64, u64) {
        // The step in which all comes back that nobody saw has the number of the first commit that is gone.
        (self.left.0.min(self.position.commit), self.position.commit)
    }

    /// Why the state of a moment is not known, where it lies in what is lost.
    pub fn doubt(&self, until: Until) -> Option<Error> {
        let Until::Moment(moment) = until else { return None };
        let is_within = self.left.1.is_none_or(|left| left <= moment) && moment < self.found;
        is_within.then(|| {
            let message = format!(
                "what was committed up to the moment wanted, {}, is not known: {} held commits up to {} at {}, and lacked \
                 them at {}, because it was cut, or an older state was put back",
                shown(moment),
                crate::error::foreign::shown(&self.log),
                self.position.commit,
                shown(self.noted),
                shown(self.found)
            );
            Error::new(ErrorKind::Partial, message).about(&self.log).hint(
                "If a copy of that log exists, restore again and name it (--log, or Add log); or restore a full backup \
                 that was made in between, by its own name.",
            )
        })
    }
}

/// The first doubt that one of them gives.
pub fn doubt(lost: &[LostPast], until: Until) -> Option<Error> {
    lost.iter().find_map(|past| past.doubt(until))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Chain;

    #[test]
    fn a_moment_in_what_is_lost_is_in_doubt_and_no_other() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap_or_default();
        let past = LostPast {
            log: "/l/a.journal".into(),
            position: Position::at(1, 8, Chain([1; 32])),
            noted: at(80),
            left: (4, Some(at(40))),
            found: at(100),
        };
        assert_eq!(past.commits(), (4, 8));
        let told = |until| doubt(std::slice::from_ref(&past), until).is_some();
        let found = [39, 40, 60, 99, 100].map(|seconds| told(Until::Moment(at(seconds))));
        assert_eq!(found, [false, true, true, true, false]);
        assert!(!told(Until::End) && !told(Until::Commit(5)));
    }
}
