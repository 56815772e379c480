//! Which state of archive and log a damaged file is compared with: the last one, unless the log has recorded the damage
//! as well. Where a file was overwritten while its log ran, the log has taken that for another content, and its last
//! commits tell of records that are gone as if somebody had deleted them.

use crate::{
    as_of::Looked,
    error::{Error, ErrorKind, Result},
    journal::integrate::Until,
    sqlite::glance::is_structural,
};

/// So many commits are gone back; each means to read a whole state.
const STEPS_MAX: u32 = 3;
/// So many lines are asked for: what a virtual table says of its own content is no damage of pages.
const LINES: u32 = 20;

/// Which state is looked at.
#[derive(Debug, Clone)]
pub struct Before {
    until: Until,
    steps: u32,
    is_given_up: bool,
    /// The first commit that holds the damage.
    damaged: Option<u64>,
}

impl Default for Before {
    fn default() -> Self {
        Self { until: Until::End, steps: 0, is_given_up: false, damaged: None }
    }
}

impl Before {
    /// The state to be looked at.
    pub fn until(&self) -> Until {
        self.until
    }

    /// Whether an earlier state than this one is to be looked at, because it holds damage.
    ///
    /// # Errors
    /// `Stopped`, also when the time of a statement is over; what SQLite says otherwise.
    pub fn goes_back(&mut self, looked: &Looked) -> Result<bool> {
        let Some(commit) = looked.about().commit.filter(|commit| *commit > 0) else { return Ok(false) };
        if self.is_given_up || self.steps == STEPS_MAX || !holds_damage(looked)? {
            return Ok(false);
        }
        (self.steps, self.until, self.damaged) = (self.steps + 1, Until::Commit(commit - 1), Some(commit));
        Ok(true)
    }

    /// No earlier state can be opened: the last one counts after all. False where it was that one.
    pub fn give_up(&mut self) -> bool {
        let was_earlier = self.until != Until::End;
        *self = Self { is_given_up: true, ..Self::default() };
        was_earlier
    }

    /// What is to be said of the state that was chosen.
    pub fn remark(&self) -> Option<String> {
        let commit = self.damaged?;
        Some(format!(
            "The log has recorded the damage, too, from commit {commit} on: compared with the state before it."
        ))
    }
}

/// Whether pages of a state are damaged, as SQLite's quick check finds it.
///
/// # Errors
/// As [`Before::goes_back`].
fn holds_damage(looked: &Looked) -> Result<bool> {
    match check(looked) {
        Ok(is_damaged) => Ok(is_damaged),
        Err(error) => match looked.explain(&error) {
            error if error.kind() == ErrorKind::Damaged => Ok(true),
            error => Err(error),
        },
    }
}

fn check(looked: &Looked) -> rusqlite::Result<bool> {
    let mut statement = looked.connection().prepare(&format!("PRAGMA quick_check({LINES})"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if row.get::<_, String>(0)?.lines().any(is_structural) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// As [`Before::goes_back`] for whoever only wants to know; `None` where it could not be found out.
pub fn is_sound(looked: &Looked) -> Option<bool> {
    let found: std::result::Result<bool, Error> = holds_damage(looked);
    found.ok().map(|is_damaged| !is_damaged)
}
