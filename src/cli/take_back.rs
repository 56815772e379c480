//! `strongroom take-back`: what chosen operations did to records is taken back, after the plan was shown and confirmed.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::{Args, ValueEnum};
use serde::Serialize;
use uuid::Uuid;

use super::{
    complain,
    confirm::{confirmed, tell},
    desk::{Desk, absolute},
    filters::Filters,
    places, print, print_json, report,
};
use crate::{
    control::Control,
    engine::{Command, JobId},
    error::{
        Error, ErrorKind, Result,
        foreign::{foreign, shown},
    },
    service::{join, protocol::FROM_CLIENT_MAX},
    storage::{self, Disk, Ownership, Storage},
    take_back::{self, Chosen, Conflict, Decision, Decisions, Fate, Numbers, Plan, Selection, Step},
};

/// What is asked for.
#[derive(Debug, Args)]
pub(super) struct Asked {
    /// The SQLite data file.
    pub(super) data_file: PathBuf,
    #[command(flatten)]
    filters: Filters,
    /// Only operations with these numbers, which each commit counts anew: `3,5..9` with one `--commit`, or
    /// `17:3,18:1..4`.
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    operations: Vec<String>,
    /// Also what the same commits did to tables that refer to these by a foreign key with an action (CASCADE, SET
    /// NULL).
    #[arg(long)]
    with_cascades: bool,
    /// What is done about records that something is in the way of: `stop` does nothing at all, `skip` leaves them as
    /// they are, `overwrite` makes them what they were.
    #[arg(long, value_name = "CHOICE", default_value = "stop")]
    on_conflict: OnConflict,
    /// Write the statements to this new file, as a script for the sqlite3 shell, instead of running them.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["yes", "dry_run"])]
    save: Option<PathBuf>,
    /// Do not ask.
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    /// Only show the statements, and what is in their way.
    #[arg(long)]
    dry_run: bool,
    /// Print the result, or with --dry-run the plan, as one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnConflict {
    Stop,
    Skip,
    Overwrite,
}

/// The numbers in `3`, `5..9`, `17:3`, `17:5..9`.
fn numbers(text: &str) -> Result<Numbers> {
    let read = || {
        let (commit, rest) = match text.split_once(':') {
            Some((commit, rest)) => (Some(commit.trim().parse().ok()?), rest),
            None => (None, text),
        };
        let (first, last) = rest.split_once("..").unwrap_or((rest, rest));
        let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        (first <= last).then_some(Numbers { commit, first, last })
    };
    read().ok_or_else(|| {
        Error::new(ErrorKind::Refused, format!("{text:?} names no operations"))
            .hint("Write numbers as strongroom log shows them: 3, 5..9, or with their commit 17:3, 17:5..9.")
    })
}

impl Asked {
    fn selection(&self) -> Result<Selection> {
        let numbers = self.operations.iter().map(|text| numbers(text)).collect::<Result<_>>()?;
        let (wanted, with_cascades) = (self.filters.wanted(false)?, self.with_cascades);
        Selection { wanted, numbers, with_cascades, picked: None }.settled()
    }

    fn decisions(&self) -> Decisions {
        let all = match self.on_conflict {
            OnConflict::Stop => None,
            OnConflict::Skip => Some(Decision::Skip),
            OnConflict::Overwrite => Some(Decision::Overwrite),
        };
        Decisions { all, ..Decisions::default() }
    }
}

/// Takes back what is asked for.
pub(super) fn run(asked: &Asked) -> Result<ExitCode> {
    let selection = asked.selection()?;
    let control = Control::default();
    let only_shows = asked.dry_run || asked.save.is_some();
    let (desk, path, identity) = if only_shows && !is_looked_after(&asked.data_file)? {
        // An engine of our own would open the log, and write to it what nobody has recorded yet.
        let path = places::data_file(&absolute(&asked.data_file)?, &places::directories()?)?;
        let identity = Filters::identity(&path)?;
        (None, path, identity)
    } else {
        let desk = Desk::of_data_file(&asked.data_file)?;
        let path = desk.open(asked.data_file.clone())?;
        let identity: Option<Uuid> = desk.handle().status().data_file(&path).and_then(|d| d.settings.data_file_id);
        (Some(desk), path, identity)
    };
    if let Some(behind) = asked.filters.is_behind(&path)? {
        complain(&behind.report());
    }
    let trail = asked.filters.trail(&path, &selection.wanted, &control)?;
    let chosen = take_back::choose(&path, identity, trail, &selection, &control)?;
    let mut plan = Plan::make(&path, &chosen, &asked.decisions(), &control)?;
    if asked.dry_run && asked.json {
        print_json(&Shown::of(&plan))?;
        return Ok(ExitCode::from(u8::from(!plan.is_settled())));
    }
    loop {
        show(&plan, asked.dry_run)?;
        require_settled(&plan)?;
        if asked.dry_run {
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(file) = &asked.save {
            return save(&plan, file, asked.json);
        }
        if plan.statement_count() > 0
            && !asked.yes
            && !confirmed(
                "Take it back?",
                "taking back",
                "Add --yes when the plan is as expected; --dry-run only shows it.",
            )?
        {
            tell("Nothing was changed.");
            return Ok(ExitCode::from(1));
        }
        let Some(desk) = &desk else { return Ok(ExitCode::SUCCESS) };
        match perform(desk, &path, &plan, asked.json) {
            // What was shown is not any more what would be done: it is shown anew.
            Err(error) if error.kind() == ErrorKind::Changed && !asked.yes => {
                tell(&format!("{}. This is the new plan:", error.message()));
                plan = Plan::make(&path, &chosen, &asked.decisions(), &control)?;
            }
            Err(error) if error.kind() == ErrorKind::Changed => return changed(asked, &path, &chosen, error),
            done => return done,
        }
    }
}

/// Whether a window or a service looks after the data file.
fn is_looked_after(data_file: &Path) -> Result<bool> {
    Ok(join::engine_of(data_file, places::directories()?.config_dir())?.is_some())
}

/// Shows what would be done now, and does nothing of it: nobody has agreed to that.
fn changed(asked: &Asked, path: &Path, chosen: &Chosen, error: Error) -> Result<ExitCode> {
    show(&Plan::make(path, chosen, &asked.decisions(), &Control::default())?, false)?;
    Err(error)
}

fn perform(desk: &Desk, path: &Path, plan: &Plan, json: bool) -> Result<ExitCode> {
    // A frame that is too long would end the connection without a word.
    let length = serde_json::to_vec(plan).map_or(usize::MAX, |text| text.len());
    if length + (1 << 16) > FROM_CLIENT_MAX {
        let message = format!("{} operations are too much for one plan", plan.operations);
        return Err(Error::new(ErrorKind::Refused, message)
            .hint("Take them back in several parts, or save the plan as a script with --save."));
    }
    let job = JobId::new();
    let command = Command::TakeBack { job, data_file: path.to_path_buf(), plan: Arc::new(plan.clone()) };
    report(desk.perform(job, command, false)?, json)
}

/// Sees that nothing is in the way that nothing was decided about.
fn require_settled(plan: &Plan) -> Result<()> {
    if plan.is_settled() {
        return Ok(());
    }
    let left = if plan.skips_left_out { 0 } else { plan.left_out.len() as u64 + plan.left_out_more };
    let count = plan.open().count() as u64 + left;
    let can_be_overwritten =
        left == 0 && plan.open().all(|(_, step)| step.conflicts.iter().all(Conflict::can_be_overwritten));
    let message = match count {
        1 => "something is in the way of 1 record, and nothing was changed".to_owned(),
        count => format!("something is in the way of {count} records, and nothing was changed"),
    };
    let hint = match can_be_overwritten {
        true => {
            "Add --on-conflict skip to leave those as they are, or --on-conflict overwrite to make them what they were."
        }
        false => "Add --on-conflict skip to leave those as they are. Some of them cannot be overwritten.",
    };
    Err(Error::new(ErrorKind::Refused, message).hint(hint))
}

/// Writes the script. It holds records: nobody may read it who could not read the data file.
fn save(plan: &Plan, file: &Path, json: bool) -> Result<ExitCode> {
    let file = absolute(file)?;
    storage::refuse_existing(&file)?;
    let part = file.with_file_name(format!(".strongroom-{}.part", Uuid::new_v4().simple()));
    let write = || {
        let mut out = Disk.create(&part, Ownership::for_content_of(&plan.data_file))?;
        out.write_all(take_back::script(plan).as_bytes())?;
        out.sync()?;
        storage::publish(&Disk, &part, &file)
    };
    if let Err(error) = write() {
        Disk.discard(&part);
        return Err(error);
    }
    if json {
        print_json(&serde_json::json!({ "script": file, "statements": plan.statement_count() }))?;
    } else {
        print(&format!("{} statements were written to {}; nothing was changed", plan.statement_count(), shown(&file)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// So many records are shown to a person who is asked, and so many that something is in the way of; a trial shows all.
const SHOWN_MAX: (usize, usize) = (20, 200);

/// Shows the plan: on standard output where it is the result.
fn show(plan: &Plan, is_result: bool) -> Result<()> {
    let line = |text: &str| {
        if is_result {
            return print(&foreign(text).to_string());
        }
        tell(text);
        Ok(())
    };
    let operations = match plan.operations {
        1 => "1 operation".to_owned(),
        count => format!("{count} operations"),
    };
    let records = if plan.steps.len() == 1 { "1 record".to_owned() } else { format!("{} records", plan.steps.len()) };
    line(&format!("{operations} on {records} of {}", shown(&plan.data_file)))?;
    let most = if is_result { (usize::MAX, usize::MAX) } else { SHOWN_MAX };
    let (mut plain, mut hindered) = (0, 0);
    for step in &plan.steps {
        let (count, most) = if step.conflicts.is_empty() { (&mut plain, most.0) } else { (&mut hindered, most.1) };
        *count += 1;
        if *count > most {
            continue;
        }
        line(&in_words(plan, step))?;
        for statement in statements(plan, step) {
            line(&format!("  {statement}"))?;
        }
        for conflict in &step.conflicts {
            let decided = match step.decision {
                Some(Decision::Skip) => "CONFLICT, LEFT AS IT IS",
                Some(Decision::Overwrite) if !step.is_open() => "CONFLICT, OVERWRITTEN",
                _ => "CONFLICT",
            };
            line(&format!("  {decided}: {}", conflict.in_words()))?;
        }
    }
    let more = plain.saturating_sub(most.0) + hindered.saturating_sub(most.1);
    if more > 0 {
        line(&format!("… and {more} more; --dry-run shows all."))?;
    }
    for left in &plan.left_out {
        let of = left.of.as_deref().map_or_else(String::new, |of| format!(" ({of})"));
        line(&format!("operation {}{of}", left.operation))?;
        line(&format!("  CANNOT BE TAKEN BACK: {}", left.reason))?;
    }
    if plan.left_out_more > 0 {
        line(&format!("{} more operations cannot be taken back.", plan.left_out_more))?;
    }
    plan.notes.iter().try_for_each(|note| line(note))?;
    if let Some(why) = &plan.untried {
        line(&format!("It could not be tried out, so that more may be in the way: {why}."))?;
    }
    Ok(())
}

fn in_words(plan: &Plan, step: &Step) -> String {
    const NAMED_MAX: usize = 5;
    let mut operations: Vec<String> = step.operations.iter().take(NAMED_MAX).map(ToString::to_string).collect();
    if step.operations.len() > NAMED_MAX {
        operations.push(format!("{} more", step.operations.len() - NAMED_MAX));
    }
    let fate = match step.fate {
        _ if !step.conflicts.is_empty() && step.statements.is_empty() => "stays as it is",
        Fate::ComesBack => "comes back",
        Fate::ChangesBack => "becomes what it was",
        Fate::Goes => "goes",
        Fate::IsSo => "is as it was already",
    };
    format!("{} {fate} ({})", plan.name(step), operations.join(", "))
}

/// The statements of a step as they are run.
fn statements(plan: &Plan, step: &Step) -> Vec<String> {
    let Some(table) = step.at.and_then(|at| plan.tables.get(at)) else { return Vec::new() };
    let pushed = step
        .pushed
        .iter()
        .map(|pushed| take_back::Statement { deed: take_back::Deed::Delete, key: pushed.key.clone() });
    let all = pushed.chain(step.statements.iter().cloned());
    all.map(|statement| statement.in_sql(table, plan.form)).collect()
}

/// The plan for another program.
#[derive(Serialize)]
struct Shown<'a> {
    data_file: &'a Path,
    operations: u64,
    records: Vec<ShownStep<'a>>,
    left_out: &'a [take_back::LeftOut],
    beside: &'a [take_back::Beside],
    notes: &'a [String],
    untried: Option<&'a str>,
    is_settled: bool,
}

#[derive(Serialize)]
struct ShownStep<'a> {
    table: &'a str,
    key: String,
    operations: Vec<String>,
    fate: Fate,
    statements: Vec<String>,
    conflicts: Vec<ShownConflict<'a>>,
    decision: Option<Decision>,
}

#[derive(Serialize)]
struct ShownConflict<'a> {
    #[serde(flatten)]
    conflict: &'a Conflict,
    message: String,
    can_be_overwritten: bool,
}

impl<'a> Shown<'a> {
    fn of(plan: &'a Plan) -> Self {
        let conflict = |conflict: &'a Conflict| ShownConflict {
            conflict,
            message: conflict.in_words(),
            can_be_overwritten: conflict.can_be_overwritten(),
        };
        let step = |step: &'a Step| ShownStep {
            table: &step.table,
            key: step.key.iter().map(|part| part.literal(plan.form)).collect::<Vec<_>>().join(", "),
            operations: step.operations.iter().map(ToString::to_string).collect(),
            fate: step.fate,
            statements: statements(plan, step),
            conflicts: step.conflicts.iter().map(conflict).collect(),
            decision: step.decision,
        };
        Self {
            data_file: &plan.data_file,
            operations: plan.operations,
            records: plan.steps.iter().map(step).collect(),
            left_out: &plan.left_out,
            beside: &plan.beside,
            notes: &plan.notes,
            untried: plan.untried.as_deref(),
            is_settled: plan.is_settled(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_named_by_numbers_with_their_commit_or_without() {
        let of = |commit, first, last| Some(Numbers { commit, first, last });
        for (text, expected) in [
            ("3", of(None, 3, 3)),
            ("5..9", of(None, 5, 9)),
            ("17:3", of(Some(17), 3, 3)),
            ("17:5..9", of(Some(17), 5, 9)),
            ("9..5", None),
            ("17:", None),
            ("", None),
            ("x:1", None),
        ] {
            assert_eq!(numbers(text).ok(), expected, "{text}");
        }
    }
}
