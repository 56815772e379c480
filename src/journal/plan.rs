//! What an integration is asked for, and what it would do.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{fork::Fork, format::Position};

/// How far to integrate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Until {
    /// Everything there is.
    End,
    /// The last commit that was made while the clock showed this moment or one before.
    Moment(DateTime<Utc>),
    /// This commit, included.
    Commit(u64),
}

/// What a plan is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Every record is read and proven: whoever promises or applies anything looks so.
    Records,
    /// Of archived logs only the indexes are, where they have them: to say at once where a limit leads.
    Indexes,
}

/// The commit that a limit leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// Its number.
    pub commit: u64,
    /// When it was made; `None` when that is the state of the archive itself.
    pub time: Option<DateTime<Utc>>,
    /// When the first commit after it was made.
    pub next: Option<DateTime<Utc>>,
    /// Known commits after it, which are left out.
    pub left_out: u64,
}

/// One log's part of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// The log file.
    pub path: PathBuf,
    /// Numbers of the first and last commit it contributes.
    pub commits: (u64, u64),
    /// Their times.
    pub times: (DateTime<Utc>, DateTime<Utc>),
    /// The earliest and the latest time that a commit of it bears: others where the clock ran back.
    pub span: (DateTime<Utc>, DateTime<Utc>),
    /// Where it begins, as this log has it.
    pub after: Position,
}

/// A stretch during which nobody watched: its end is known, the single steps are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// The record that closes it.
    pub commit: u64,
    /// Time of the commit before.
    pub from: DateTime<Utc>,
    /// When the data file was compared.
    pub to: DateTime<Utc>,
}

/// Commits that were read late, and bear the times at which they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateRead {
    /// The first and the last of them.
    pub commits: (u64, u64),
    /// None of them was made before.
    pub from: DateTime<Utc>,
    /// The latest time that one of them bears: none of them was made later.
    pub to: DateTime<Utc>,
}

impl LateRead {
    /// Whether it is not known which of them had been made at `moment`.
    pub fn conceals(&self, moment: DateTime<Utc>) -> bool {
        self.from <= moment && moment < self.to
    }
}

/// Why a plan goes no further.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlanEnd {
    /// All records of the logs that continue the archive.
    Complete,
    /// The last log ends with a torn tail, which a running engine would cut.
    Torn {
        /// Which log.
        path: PathBuf,
        /// Where.
        #[serde(default)]
        offset: u64,
    },
    /// A log is damaged; what follows cannot be used.
    Damaged {
        /// Which log.
        path: PathBuf,
        /// Where.
        offset: u64,
    },
    /// Unknown changes, which nothing can be integrated over.
    Gap {
        /// Which log.
        path: PathBuf,
        /// The record.
        commit: u64,
    },
}

/// What an integration would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Where the restored file stands.
    pub from: Position,
    /// Where it would stand at the end.
    pub to: Position,
    /// The logs in order.
    pub pieces: Vec<Piece>,
    /// Number of commits, catch-ups included.
    pub commits: u64,
    /// Times of the first and last of them.
    pub times: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// Where single steps are unknown.
    pub catch_ups: Vec<Stretch>,
    /// Commits that were read late.
    #[serde(default)]
    pub late: Vec<LateRead>,
    /// Why it ends there.
    pub end: PlanEnd,
    /// Later logs of this data file that do not continue anything here: a log in between is missing.
    pub unconnected: Vec<PathBuf>,
    /// The log at whose end the plan ends; `None` where no log goes on from the archive, not even one without commits.
    #[serde(default)]
    pub last: Option<PathBuf>,
    /// Logs that were given and cannot be used, each with the reason; those that hold nothing more are not named.
    #[serde(default)]
    pub unused: Vec<Unused>,
    /// The time of the archive's state as the log that goes on from it has it: no commit is earlier.
    #[serde(default)]
    pub base_time: Option<DateTime<Utc>>,
    /// Whether several commits in a row bear the same time in a log of version 1, which a clock that is right never
    /// gives.
    #[serde(default)]
    pub stands_still: bool,
    /// Whether a commit bears an earlier time than the one before.
    #[serde(default)]
    pub runs_back: bool,
    /// Logs that go on from one commit in different ways, and nobody but the administrator knows which is meant.
    #[serde(default)]
    pub fork: Option<Fork>,
    /// Logs that were over when one that the plan uses was begun in their place, and hold commits of their own.
    #[serde(default)]
    pub replaced: Vec<Fork>,
    /// Length in bytes of the data file where it is longest on the way.
    #[serde(default)]
    pub longest: u64,
}

impl Plan {
    /// One that leads nowhere: no log is known yet.
    pub fn at(from: Position) -> Self {
        Self {
            from,
            to: from,
            pieces: Vec::new(),
            commits: 0,
            times: None,
            catch_ups: Vec::new(),
            late: Vec::new(),
            end: PlanEnd::Complete,
            unconnected: Vec::new(),
            last: None,
            unused: Vec::new(),
            base_time: None,
            stands_still: false,
            runs_back: false,
            fork: None,
            replaced: Vec::new(),
            longest: 0,
        }
    }

    /// Notes that `commit`, which bears the time `to`, was read late.
    pub(super) fn take_late(&mut self, commit: u64, from: DateTime<Utc>, to: DateTime<Utc>) {
        match self.late.last_mut().filter(|late| late.from == from && late.commits.1 + 1 == commit) {
            Some(late) => (late.commits.1, late.to) = (commit, late.to.max(to)),
            None => self.late.push(LateRead { commits: (commit, commit), from, to }),
        }
    }
}

/// A log that cannot be used here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unused {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub why: Unfit,
}

/// Why a log cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unfit {
    /// It cannot be read, or is of another kind; with the message.
    Unreadable {
        /// What happened.
        message: String,
    },
    /// It has no content at all.
    Empty,
    /// It ends within its header.
    Cut,
    /// Its header is damaged.
    HeaderDamaged,
    /// It belongs to another data file.
    Foreign,
    /// Its file belongs to a stranger to the data file, who may have put it there.
    OfStranger {
        /// That user's name.
        user: String,
    },
    /// It begins after the last commit that the others lead to: a log in between is missing.
    Later {
        /// The first commit that it would hold.
        begins: u64,
    },
    /// It was begun without an archive that it follows, or cut from another archive at this place.
    OtherBase,
    /// It goes on differently from what is restored: as after a restore, or on another machine.
    OtherPast,
    /// It goes on differently, and was over when the log that is used was begun in its place.
    Replaced {
        /// Its last commit.
        last: u64,
    },
}

impl Unused {
    /// Whether commits may be missing because of it.
    pub fn may_hold_more(&self) -> bool {
        !matches!(self.why, Unfit::Foreign | Unfit::OtherPast | Unfit::Replaced { .. })
    }

    /// Whether it is damaged, or not to be read: then not even the program that wrote it can go on with it.
    pub fn is_damaged(&self) -> bool {
        matches!(self.why, Unfit::Unreadable { .. } | Unfit::Empty | Unfit::Cut | Unfit::HeaderDamaged)
    }

    /// What is the matter, as the end of a sentence that begins with its path.
    pub fn in_words(&self) -> String {
        let path = self.path.display();
        match &self.why {
            Unfit::Unreadable { message } => format!("{path} cannot be used: {message}"),
            Unfit::Empty => format!("{path} cannot be used: it is empty"),
            Unfit::Cut => format!("{path} cannot be used: it was cut off within its header"),
            Unfit::HeaderDamaged => format!("{path} cannot be used: its header is damaged"),
            Unfit::Foreign => format!("{path} is not used: it belongs to another data file"),
            Unfit::OfStranger { user } => {
                format!("{path} is not used: it belongs to {user}, who may have put it there")
            }
            Unfit::Later { begins } => {
                format!("{path} cannot be used: it begins with commit {begins}, and a log in between is missing")
            }
            Unfit::OtherBase => {
                format!("{path} cannot be used: it does not begin at an archive that is restored here")
            }
            Unfit::OtherPast => format!("{path} is not used: it goes on differently from what is restored"),
            Unfit::Replaced { last } => format!(
                "{path} is not used: another log was begun in its place after its last commit, {last}; to have a \
                 single commit of it, name it alone (--log, or Add log)"
            ),
        }
    }
}
