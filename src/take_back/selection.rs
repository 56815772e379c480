//! Which operations are to be taken back.

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, ErrorKind, Result},
    records::{history::Wanted, operation::Operation},
};

/// Operations by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbers {
    /// The commit; `None` where one alone is chosen otherwise.
    pub commit: Option<u64>,
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
}

/// What is to be taken back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// Operations like these.
    pub wanted: Wanted,
    /// Of these, only those with these numbers; all where there are none.
    pub numbers: Vec<Numbers>,
    /// Whether also what the same commits did to tables that refer to theirs by a foreign key with an action.
    pub with_cascades: bool,
}

impl Selection {
    /// Sees that it limits what is taken back, and that its numbers say of which commit they are.
    ///
    /// # Errors
    /// `Refused` where not.
    pub fn settled(mut self) -> Result<Self> {
        let wanted = &mut self.wanted;
        // What SQLite keeps for itself follows from the rest.
        wanted.with_internal = false;
        let is_one = wanted.first.is_some() && wanted.first == wanted.last;
        let refuse = |message: &str, hint: &str| Err(Error::new(ErrorKind::Refused, message).hint(hint));
        if self.numbers.iter().any(|numbers| numbers.commit.is_none()) && !is_one {
            return refuse(
                "operations are counted in each commit anew, and no commit is named",
                "Name it: --commit 17 --operations 3,5..9, or --operations 17:3,17:5..9.",
            );
        }
        let named = || self.numbers.iter().filter_map(|numbers| numbers.commit);
        if let (Some(first), Some(last), false) = (named().min(), named().max(), is_one) {
            wanted.first = Some(wanted.first.unwrap_or(first).max(first));
            wanted.last = Some(wanted.last.unwrap_or(last).min(last));
        }
        let Wanted { tables, actions, key, since, until, first, last, .. } = wanted;
        let has_moment = since.is_some() || until.is_some() || first.is_some() || last.is_some();
        if tables.is_empty() && actions.is_empty() && key.is_none() && !has_moment {
            return refuse(
                "this would take back everything that the log holds",
                "Say what went wrong: --table, --action, --key, --since, --until, --commit or --operations; strongroom log \
                 lists them. To go back to an earlier moment as a whole: strongroom restore DATAFILE --in-place --until.",
            );
        }
        Ok(self)
    }

    pub(super) fn has(&self, operation: &Operation<'_>) -> bool {
        let is_numbered = |numbers: &Numbers| {
            numbers.commit.is_none_or(|commit| commit == operation.commit)
                && (numbers.first..=numbers.last).contains(&operation.number)
        };
        self.wanted.has(operation.change) && (self.numbers.is_empty() || self.numbers.iter().any(is_numbered))
    }
}

/// An operation by its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OperationId {
    /// The commit.
    pub commit: u64,
    /// The operation in it.
    pub number: u64,
}

impl std::fmt::Display for OperationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.commit, self.number)
    }
}
