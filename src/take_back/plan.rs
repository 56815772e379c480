//! The plan: for every record the statement that takes back what was done to it, and what stands in its way. It is one
//! value: what is shown, what is saved as a script and what is run are the same statements of it.

use std::{borrow::Cow, path::PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    choose::{Beside, LeftOut},
    statement::{Deed, Statement},
    step::Step,
    table::Table,
    value::Datum,
};
use crate::records::page::Encoding;

/// Everything that is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The data file.
    pub data_file: PathBuf,
    /// The identity that its archives name.
    pub identity: Uuid,
    /// How it stores text.
    pub form: Encoding,
    /// SQLite's number of its schema.
    pub schema: i64,
    /// The tables concerned.
    pub tables: Vec<Table>,
    /// The records, in the order of the log.
    pub steps: Vec<Step>,
    /// Operations that are chosen and cannot be taken back.
    pub left_out: Vec<LeftOut>,
    /// How many more there are of those.
    pub left_out_more: u64,
    /// Whether those were decided to be left.
    pub skips_left_out: bool,
    /// What the same commits did besides, which is not taken back.
    pub beside: Vec<Beside>,
    /// How many operations were chosen.
    pub operations: u64,
    /// What else is worth knowing, as whole sentences.
    pub notes: Vec<String>,
    /// Why it could not be tried out, if so: then SQLite may find more in the way.
    pub untried: Option<String>,
    /// How long programs that write were kept out while it was tried out, in milliseconds.
    pub tried_ms: u64,
}

/// A statement with where it comes from.
pub(super) struct Ordered<'a> {
    pub(super) step: usize,
    pub(super) table: &'a Table,
    pub(super) statement: Cow<'a, Statement>,
}

impl Plan {
    /// The records that something is in the way of, about which nothing is decided.
    pub fn open(&self) -> impl Iterator<Item = (usize, &Step)> {
        self.steps.iter().enumerate().filter(|(_, step)| step.is_open())
    }

    /// Whether everything is decided, so that it can be run.
    pub fn is_settled(&self) -> bool {
        self.open().next().is_none() && (self.left_out.is_empty() || self.skips_left_out)
    }

    /// How many statements it has.
    pub fn statement_count(&self) -> usize {
        self.steps.iter().map(|step| step.statements.len() + step.pushed.len()).sum()
    }

    /// The statements in the order in which they are run: what goes, what changes, what comes, table by table; those
    /// last that fire triggers.
    pub(super) fn ordered(&self) -> Vec<Ordered<'_>> {
        let mut all: Vec<((bool, usize, u8), Ordered<'_>)> = Vec::new();
        for (number, step) in self.steps.iter().enumerate() {
            let Some((at, table)) = step.at.and_then(|at| Some((at, self.tables.get(at)?))) else { continue };
            if step.statements.is_empty() {
                continue;
            }
            let fires = table.fires();
            for pushed in &step.pushed {
                let statement = Statement { deed: Deed::Delete, key: pushed.key.clone() };
                let statement = Cow::Owned(statement);
                all.push(((fires, at, 0), Ordered { step: number, table, statement }));
            }
            for statement in &step.statements {
                let phase = match statement.deed {
                    Deed::Delete => 0,
                    Deed::Update(_) => 1,
                    Deed::Insert(_) => 2,
                };
                let statement = Cow::Borrowed(statement);
                all.push(((fires, at, phase), Ordered { step: number, table, statement }));
            }
        }
        // One after the other among equals: the order stays.
        all.sort_by_key(|(order, _)| *order);
        all.into_iter().map(|(_, ordered)| ordered).collect()
    }

    /// The statements as they are run, each whole.
    pub fn statements(&self) -> Vec<String> {
        self.ordered().iter().map(|one| one.statement.in_sql(one.table, self.form)).collect()
    }

    /// So many of them from one on.
    pub(super) fn some_statements(&self, offset: usize, count: usize) -> Vec<String> {
        let some = self.ordered().into_iter().skip(offset).take(count);
        some.map(|one| one.statement.in_sql(one.table, self.form)).collect()
    }

    /// What a step is of, for people.
    pub fn name(&self, step: &Step) -> String {
        format!("{} {}", step.table, key_in_words(&step.key, self.form))
    }
}

/// A key for people.
pub(super) fn key_in_words(key: &[Datum], form: Encoding) -> String {
    key.iter().map(|part| part.literal(form)).collect::<Vec<_>>().join(", ")
}
