//! Making a plan: what is chosen is compared with the live data file, and tried out there without leaving anything.

use std::{collections::BTreeMap, path::Path};

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::{
    choose::{Beside, Chosen},
    compare::{complete, of},
    conflict::{Conflict, Decision},
    live,
    plan::Plan,
    step::{Pushed, Step},
    table::Triggers,
    write::{self, Mode},
};
use crate::{
    control::Control,
    error::{Error, ErrorKind, Result},
};

/// So often a plan is made anew where each trial finds more in its way, or the data file changes meanwhile.
const ROUNDS_MAX: usize = 30;

/// What is decided about conflicts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Sent", into = "Sent")]
pub struct Decisions {
    /// About any that nothing else is said of.
    pub all: Option<Decision>,
    /// About these, by the place of the record in the plan.
    pub each: BTreeMap<usize, Decision>,
    /// Whether operations that cannot be taken back are left as they are; they are where everything is skipped.
    pub leaves_out: bool,
}

/// The same as it is sent: where one of several forms is expected, numbers cannot be names.
#[derive(Serialize, Deserialize)]
struct Sent {
    all: Option<Decision>,
    each: Vec<(usize, Decision)>,
    leaves_out: bool,
}

impl From<Sent> for Decisions {
    fn from(Sent { all, each, leaves_out }: Sent) -> Self {
        Self { all, each: each.into_iter().collect(), leaves_out }
    }
}

impl From<Decisions> for Sent {
    fn from(Decisions { all, each, leaves_out }: Decisions) -> Self {
        Self { all, each: each.into_iter().collect(), leaves_out }
    }
}

impl Decisions {
    fn of(&self, step: usize) -> Option<Decision> {
        self.each.get(&step).copied().or(self.all)
    }
}

impl Plan {
    /// Compares what is chosen with the live data file, and tries it out there without leaving anything.
    ///
    /// # Errors
    /// A data file that cannot be read, `Busy` where it changes without end, `Stopped`.
    pub fn make(data_file: &Path, chosen: &Chosen, decisions: &Decisions, control: &Control) -> Result<Self> {
        let mut noted: BTreeMap<usize, Vec<(Conflict, Vec<Pushed>)>> = BTreeMap::new();
        let mut tried_ms = 0;
        for _ in 0..ROUNDS_MAX {
            let mut conn = write::open(data_file)?;
            let mut plan = Self::compare(&mut conn, data_file, chosen, decisions, &noted, control)?;
            match write::run(&conn, &plan, Mode::Try, control) {
                Ok(tried) if tried.conflicts.is_empty() => {
                    crate::sqlite::leave(&conn, data_file);
                    plan.tried_ms = tried.held_ms.max(tried_ms);
                    return Ok(plan);
                }
                Ok(tried) => {
                    tried_ms = tried.held_ms.max(tried_ms);
                    for (step, conflict, pushed) in tried.conflicts {
                        let known = noted.entry(step).or_default();
                        if !known.iter().any(|(old, _)| old.is_like(&conflict)) {
                            known.push((conflict, pushed));
                        }
                    }
                }
                Err(error) if error.kind() == ErrorKind::Changed => {}
                Err(error) if matches!(error.kind(), ErrorKind::Busy | ErrorKind::Permission) => {
                    plan.untried = Some(error.message().to_owned());
                    return Ok(plan);
                }
                Err(error) => return Err(error),
            }
            crate::sqlite::leave(&conn, data_file);
        }
        let message = format!("{} changes so often that what is in the way cannot be told", data_file.display());
        Err(Error::new(ErrorKind::Busy, message).hint("Try again when programs write less, or take back less at once."))
    }

    fn compare(
        conn: &mut Connection,
        data_file: &Path,
        chosen: &Chosen,
        decisions: &Decisions,
        noted: &BTreeMap<usize, Vec<(Conflict, Vec<Pushed>)>>,
        control: &Control,
    ) -> Result<Self> {
        let fail = |e| Error::sqlite("read", data_file, e);
        conn.execute_batch("BEGIN").map_err(fail)?;
        let schema = conn.query_row("PRAGMA schema_version", [], |row| row.get(0)).map_err(fail)?;
        let mut plan = Self {
            data_file: data_file.to_path_buf(),
            identity: chosen.identity,
            form: chosen.form,
            schema,
            tables: Vec::new(),
            steps: Vec::new(),
            left_out: chosen.left_out.clone(),
            left_out_more: chosen.left_out_more,
            skips_left_out: decisions.leaves_out || decisions.all == Some(Decision::Skip),
            beside: chosen.beside.clone(),
            operations: chosen.operations,
            notes: Vec::new(),
            untried: None,
            tried_ms: 0,
        };
        let mut known: BTreeMap<String, std::result::Result<usize, String>> = BTreeMap::new();
        for (number, record) in chosen.records.iter().enumerate() {
            control.check()?;
            let name = record.table.to_lowercase();
            let at = match known.get(&name) {
                Some(at) => at.clone(),
                None => {
                    let read = live::read(conn, &record.table, chosen.form).map_err(fail)?.map(|table| {
                        plan.tables.push(table);
                        plan.tables.len() - 1
                    });
                    known.entry(name).or_insert(read).clone()
                }
            };
            let noted = noted.get(&number).map_or(&[][..], Vec::as_slice);
            let step = match at {
                Ok(at) => {
                    let table = plan.tables.get(at).ok_or_else(|| Error::new(ErrorKind::Refused, "a table is lost"))?;
                    let found = match record.is_by_rowid == table.rowid.is_some() {
                        true => live::fetch(conn, table, &record.key, chosen.form).map_err(fail)?,
                        false => None,
                    };
                    let step = Step { at: Some(at), ..of(record) };
                    complete(step, record, (table, chosen.form), found, (noted, decisions.of(number)))
                }
                Err(reason) => {
                    Step { conflicts: vec![Conflict::Table { reason }], decision: decisions.of(number), ..of(record) }
                }
            };
            plan.steps.push(step);
        }
        conn.execute_batch("COMMIT").map_err(fail)?;
        plan.notes = notes(&plan, chosen);
        Ok(plan)
    }
}

/// What is worth knowing besides.
fn notes(plan: &Plan, chosen: &Chosen) -> Vec<String> {
    let mut notes = Vec::new();
    for table in &plan.tables {
        let name = &table.name;
        match &table.triggers {
            Triggers::Off(names) => notes.push(format!(
                "Triggers of {name} stay off ({}): what they wrote stands in the log as operations of its own.",
                names.join(", ")
            )),
            Triggers::On(names) => notes.push(format!(
                "Triggers of {name} are fired ({}): they keep a virtual table, whose own records are not taken back.",
                names.join(", ")
            )),
            _ => {}
        }
    }
    for beside in &plan.beside {
        let Beside { table, operations, is_internal, is_cascade } = beside;
        let count = if *operations == 1 { "1 operation".to_owned() } else { format!("{operations} operations") };
        if *is_cascade {
            notes.push(format!(
                "The same commits hold {count} on {table}, which refers to what is taken back by a foreign key with an \
                 action; they are taken back only with cascades."
            ));
        } else if !is_internal {
            notes.push(format!("The same commits hold {count} more on {table}, which are not taken back."));
        } else if table.eq_ignore_ascii_case("sqlite_sequence") {
            notes.push("Numbers that AUTOINCREMENT has given stay given.".to_owned());
        } else {
            notes.push(format!(
                "The same commits hold {count} on {table}, which SQLite keeps for itself; they are not taken back."
            ));
        }
    }
    if let Some(commit) = chosen.catch_ups.first() {
        notes.push(format!(
            "Commit {commit} stands for a time when nobody watched: of single steps in it only what came of them is \
             known."
        ));
    }
    notes
}
