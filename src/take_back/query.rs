//! What is asked of a plan that an engine keeps, and what it answers. The plan itself stays with the engine: it may
//! hold more records than go through a socket, and what is run is the very value of which parts were shown.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    choose::LeftOut,
    conflict::Decision,
    plan::Plan,
    prepare::Decisions,
    report::{OfTable, by_table},
    selection::Pick,
    step::Fate,
};
use crate::{activity::query::Source, error::ErrorReport};

/// More rows are not answered at once.
pub const ROWS_MAX: u64 = 256;
/// So many bytes of a statement stand in a row.
pub const SQL_MAX: usize = 4 << 10;
/// So many bytes of a script come at once.
pub const PIECE_MAX: usize = 1 << 20;

/// A question in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Names what is being planned; whoever asks for it chooses the name.
    pub planning: Uuid,
    /// What is asked.
    pub ask: Ask,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// A plan is wanted, the first one or one with other decisions. It is made meanwhile. No rows.
    Make(Box<Order>),
    /// How far it is. No rows.
    Look,
    /// Records that something is in the way of: [`Rows::Hindered`].
    Hindered {
        /// From the how many-th on.
        offset: u64,
        /// How many at most.
        count: u64,
    },
    /// Operations that cannot be taken back: [`Rows::LeftOut`].
    LeftOut {
        /// From the how many-th on.
        offset: u64,
        /// How many at most.
        count: u64,
    },
    /// The statements in the order in which they are run: [`Rows::Statements`].
    Statements {
        /// From the how many-th on.
        offset: u64,
        /// How many at most.
        count: u64,
    },
    /// The plan as a script, piece by piece: [`Rows::Script`].
    Script {
        /// The plan.
        plan: Uuid,
        /// From this byte on: 0, or what the piece before it says.
        offset: u64,
    },
    /// Nobody wants it any more. No rows.
    Forget,
}

/// What is to be planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The logs that the operations are in.
    pub source: Source,
    /// The operations.
    pub pick: Pick,
    /// What is decided about what is in the way.
    pub decisions: Decisions,
    /// Counts how often it is wanted anew, because the data file has changed.
    pub round: u64,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// How far it is.
    pub state: State,
    /// What was asked for.
    pub rows: Rows,
}

/// Rows, all of the plan that the state tells of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rows {
    /// Records that something is in the way of.
    Hindered(Vec<Hindered>),
    /// Operations that cannot be taken back.
    LeftOut(Vec<LeftOut>),
    /// Statements.
    Statements(Vec<Sql>),
    /// A piece of a script.
    Script {
        /// The text.
        text: String,
        /// Where the next piece begins; `None` after the last one.
        next: Option<u64>,
    },
    /// None.
    None,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct State {
    /// What is being done, if so.
    pub doing: Option<Doing>,
    /// Why there is no plan as it was wanted last.
    pub problem: Option<ErrorReport>,
    /// The last plan that was made, also while the next one is.
    pub planned: Option<Planned>,
}

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Doing {
    /// The log is read.
    Reading,
    /// What was found is compared with the data file, and tried out.
    Comparing,
}

/// A plan in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// Names the plan: what is run is the one with this name.
    pub plan: Uuid,
    /// What was decided when it was made.
    pub decisions: Decisions,
    /// The round that it was made in.
    pub round: u64,
    /// How many operations were chosen.
    pub operations: u64,
    /// How many of them are taken back.
    pub taken: u64,
    /// How many records they concern.
    pub records: u64,
    /// How many statements it has.
    pub statements: u64,
    /// Table by table, with how many records of each wait for a decision.
    pub tables: Vec<(OfTable, u64)>,
    /// How many records something is in the way of.
    pub hindered: u64,
    /// How many of those can become what they were all the same.
    pub can_be_overwritten: u64,
    /// How many wait for a decision.
    pub open: u64,
    /// How many operations cannot be taken back; not all of them are told one by one.
    pub left_out: u64,
    /// How many of them are.
    pub left_out_told: u64,
    /// How many operations of the same commits follow from a foreign key with an action, and are not taken back.
    pub cascades: u64,
    /// What else is worth knowing, as whole sentences.
    pub notes: Vec<String>,
    /// Why it could not be tried out, if so.
    pub untried: Option<String>,
    /// Whether everything is decided, so that it can be run.
    pub is_settled: bool,
}

impl Planned {
    pub(super) fn of(plan: &Plan, name: Uuid, round: u64, decisions: &Decisions) -> Self {
        let hindered = || plan.steps.iter().filter(|step| !step.conflicts.is_empty());
        let done = plan.steps.iter().filter(|step| !step.is_open() && !step.is_skipped());
        let cascades = plan.beside.iter().filter(|beside| beside.is_cascade);
        Self {
            plan: name,
            decisions: decisions.clone(),
            round,
            operations: plan.operations,
            taken: done.map(|step| step.operations.len() as u64).sum(),
            records: plan.steps.len() as u64,
            statements: plan.statement_count() as u64,
            tables: by_table(plan),
            hindered: hindered().count() as u64,
            can_be_overwritten: hindered().filter(|step| step.can_be_overwritten()).count() as u64,
            open: plan.open().count() as u64,
            left_out: plan.left_out.len() as u64 + plan.left_out_more,
            left_out_told: plan.left_out.len() as u64,
            cascades: cascades.map(|beside| beside.operations).sum(),
            notes: plan.notes.clone(),
            untried: plan.untried.clone(),
            is_settled: plan.is_settled(),
        }
    }
}

/// A record that something is in the way of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hindered {
    /// Its place in the plan, by which it is decided about.
    pub step: u64,
    /// Its table and key.
    pub record: String,
    /// What becomes of it where nothing is in the way.
    pub fate: Fate,
    /// What is.
    pub conflicts: Vec<String>,
    /// Whether it can become what it was all the same.
    pub can_be_overwritten: bool,
    /// What was decided when the plan was made.
    pub decision: Option<Decision>,
}

/// A statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sql {
    /// It, or its beginning.
    pub text: String,
    /// How many bytes all of it has.
    pub bytes: u64,
}

impl Sql {
    pub(super) fn of(mut text: String) -> Self {
        let bytes = text.len() as u64;
        text.truncate(text.floor_char_boundary(SQL_MAX));
        Self { text, bytes }
    }

    /// Whether only its beginning is here.
    pub fn is_cut(&self) -> bool {
        (self.text.len() as u64) < self.bytes
    }
}
