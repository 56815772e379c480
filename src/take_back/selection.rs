//! Which operations are to be taken back.

use serde::{Deserialize, Serialize};

use super::range::{OperationId, Range, Ranges};
use crate::{
    activity::{
        filter::{Filter, Passes},
        row::Row,
    },
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
    /// Of these, only what was picked from a list.
    pub picked: Option<Picked>,
}

/// Operations picked from the list of those that a filter lets through.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pick {
    /// What the list showed.
    pub filter: Filter,
    /// The last commit of it.
    pub upto: Option<u64>,
    /// What was picked of it; empty for everything.
    pub ranges: Vec<Range>,
    /// Whether also what the same commits did to tables that refer to these by a foreign key with an action.
    pub with_cascades: bool,
}

/// The same, ready to be asked for every operation of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picked {
    filter: Filter,
    ranges: Ranges,
}

impl Picked {
    fn has(&self, operation: &Operation<'_>) -> bool {
        let (id, change) = (OperationId { commit: operation.commit, number: operation.number }, operation.change);
        // What the list shows is decided by the same lines as there; most of it without looking at values.
        self.ranges.has(id)
            && self.filter.has_commit(operation.commit, operation.time)
            && self.filter.may_have(change.action, change.table, (change.is_internal, false))
            && (!self.filter.needs_row(change.action) || self.filter.passes(&Row::of(operation)) == Passes::Yes)
    }
}

impl Selection {
    /// What was picked from a list.
    ///
    /// # Errors
    /// `Refused` where that is everything that a log holds.
    pub fn of_pick(pick: &Pick) -> Result<Self> {
        let nothing = Filter { internal: pick.filter.internal, ..Filter::default() };
        if pick.ranges.is_empty() && pick.filter == nothing {
            return Err(Error::new(ErrorKind::Refused, "this would take back everything that the log holds")
                .hint("Look for what went wrong first, or restore in place to an earlier moment."));
        }
        let ranges = Ranges::of(&pick.ranges);
        let (first, last) = ranges.commits().map_or((None, None), |(first, last)| (Some(first), Some(last)));
        let wanted = Wanted {
            first: first.max(pick.filter.first),
            last: [last, pick.upto, pick.filter.last].into_iter().flatten().min(),
            ..Wanted::default()
        };
        let picked = Some(Picked { filter: pick.filter.clone(), ranges });
        Ok(Self { wanted, numbers: Vec::new(), with_cascades: pick.with_cascades, picked })
    }

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
                "Say what went wrong: --table, --action, --key, --since, --until, --commit or --operations; \
                 strongroom log lists them. To go back to an earlier moment as a whole: strongroom restore DATAFILE \
                 --in-place --until.",
            );
        }
        Ok(self)
    }

    pub(super) fn has(&self, operation: &Operation<'_>) -> bool {
        let is_numbered = |numbers: &Numbers| {
            numbers.commit.is_none_or(|commit| commit == operation.commit)
                && (numbers.first..=numbers.last).contains(&operation.number)
        };
        self.wanted.has(operation.change)
            && (self.numbers.is_empty() || self.numbers.iter().any(is_numbered))
            && self.picked.as_ref().is_none_or(|picked| picked.has(operation))
    }
}
