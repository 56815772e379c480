//! What taking back has done.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{conflict::Conflict, plan::Plan, step::Fate};

/// What was done to a table.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OfTable {
    /// Its name.
    pub table: String,
    /// Records that came back.
    pub came_back: u64,
    /// Records that became what they were.
    pub changed_back: u64,
    /// Records that went.
    pub went: u64,
    /// Records that were already as they had been.
    pub were_so: u64,
    /// Records that were left because of a conflict.
    pub skipped: u64,
    /// Records that were deleted because they had what no two may have.
    pub pushed: u64,
}

/// What was left, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The record, or the operation.
    pub what: String,
    /// Why.
    pub why: String,
}

/// What taking back has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakeBackReport {
    /// The data file.
    pub data_file: PathBuf,
    /// How many operations were chosen.
    pub operations: u64,
    /// Table by table.
    pub tables: Vec<OfTable>,
    /// What was left; the first of them.
    pub skipped: Vec<Skipped>,
    /// How many more there are.
    pub skipped_more: u64,
    /// How long programs that write were kept out at a time, in milliseconds: while it was tried out, or done.
    pub held_ms: u64,
    /// What else is worth knowing.
    pub notes: Vec<String>,
}

/// What is, or will be, done table by table, with how many records of each wait for a decision.
pub(super) fn by_table(plan: &Plan) -> Vec<(OfTable, u64)> {
    let mut tables: Vec<(OfTable, u64)> = Vec::new();
    for step in &plan.steps {
        let at = tables.iter().position(|(known, _)| known.table == step.table).unwrap_or_else(|| {
            tables.push((OfTable { table: step.table.clone(), ..OfTable::default() }, 0));
            tables.len() - 1
        });
        let Some((table, open)) = tables.get_mut(at) else { continue };
        table.pushed += step.pushed.len() as u64;
        *(match step.fate {
            _ if step.is_open() => open,
            _ if step.is_skipped() => &mut table.skipped,
            Fate::ComesBack => &mut table.came_back,
            Fate::ChangesBack => &mut table.changed_back,
            Fate::Goes => &mut table.went,
            Fate::IsSo => &mut table.were_so,
        }) += 1;
    }
    tables
}

/// So many are told one by one.
const SKIPPED_MAX: usize = 100;

impl TakeBackReport {
    pub(super) fn of(plan: &Plan, held_ms: u64) -> Self {
        let mut report = Self {
            data_file: plan.data_file.clone(),
            operations: plan.operations,
            tables: by_table(plan).into_iter().map(|(table, _)| table).collect(),
            skipped: Vec::new(),
            skipped_more: plan.left_out_more,
            held_ms,
            notes: plan.notes.clone(),
        };
        let left = plan.left_out.iter().map(|left| Skipped {
            what: format!("operation {} {}", left.operation, left.of.as_deref().unwrap_or_default()),
            why: left.reason.clone(),
        });
        left.for_each(|skipped| report.skip(skipped));
        for step in plan.steps.iter().filter(|step| step.is_skipped()) {
            let why: Vec<String> = step.conflicts.iter().map(Conflict::in_words).collect();
            report.skip(Skipped { what: plan.name(step), why: why.join("; ") });
        }
        report
    }

    fn skip(&mut self, skipped: Skipped) {
        if self.skipped.len() < SKIPPED_MAX {
            self.skipped.push(skipped);
        } else {
            self.skipped_more += 1;
        }
    }

    /// How many records are others now.
    pub fn records(&self) -> u64 {
        self.tables.iter().map(|table| table.came_back + table.changed_back + table.went).sum()
    }

    /// What was done, as lines.
    pub fn in_words(&self) -> String {
        let mut lines = Vec::new();
        for table in &self.tables {
            let part = |count: u64, what: &str| (count > 0).then(|| format!("{count} {what}"));
            let parts: Vec<String> = [
                part(table.came_back, "brought back"),
                part(table.changed_back, "changed back"),
                part(table.went, "removed"),
                part(table.pushed, "deleted that were in the way"),
                part(table.were_so, "already as they had been"),
                part(table.skipped, "left as they are"),
            ]
            .into_iter()
            .flatten()
            .collect();
            lines.push(format!("{}: {}", table.table, parts.join(", ")));
        }
        lines.extend(self.skipped.iter().map(|skipped| format!("NOT TAKEN BACK: {}: {}", skipped.what, skipped.why)));
        if self.skipped_more > 0 {
            lines.push(format!("NOT TAKEN BACK: {} more", self.skipped_more));
        }
        lines.join("\n")
    }
}
