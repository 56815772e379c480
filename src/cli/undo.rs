//! `strongroom undo`: a restore in place is undone, after its numbers were shown and confirmed.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde::Serialize;

use super::{
    confirm::{confirmed, tell},
    desk::Desk,
    print_json, report,
};
use crate::{
    engine::{Answer, Command, JobId, Query, status::DoneInPlace},
    error::{Error, ErrorKind, Result, foreign::shown},
    restore::undo::UndoPlan,
};

/// What would be done, for `--dry-run --json`.
#[derive(Serialize)]
struct Planned<'a> {
    data_file: &'a Path,
    restore: &'a DoneInPlace,
    undo: &'a UndoPlan,
}

/// Undoes the last restore in place of `data_file`; `yes` is said beforehand, and with `dry_run` only the numbers are.
pub(super) fn run(data_file: PathBuf, yes: bool, dry_run: bool, json: bool) -> Result<ExitCode> {
    let desk = Desk::of_data_file(&data_file)?;
    let path = desk.open(data_file)?;
    let done = desk.handle().status().data_file(&path).and_then(|d| d.in_place.first().cloned());
    let done = done.ok_or_else(|| {
        Error::new(
            ErrorKind::NotFound,
            format!("no restore in place of {} is known that could be undone", shown(&path)),
        )
        .hint(
            "They are known to the user, or the service, that made them. A moment before is restored with: strongroom \
                 restore --in-place --until.",
        )
    })?;
    let plan = plan(&desk, &path, &done)?;
    if dry_run && json {
        print_json(&Planned { data_file: &path, restore: &done, undo: &plan })?;
        return Ok(ExitCode::SUCCESS);
    }
    tell(&format!("The restore in place of {}, {}", shown(&path), done.moment.format("%Y-%m-%d %H:%M:%S")));
    plan.in_words(done.commits_left, 0).iter().for_each(|line| tell(&format!("  {line}")));
    if dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    if !yes
        && !confirmed("Undo it?", "an undo", "Add --yes when the numbers are as expected; --dry-run only shows them.")?
    {
        tell("Nothing was changed.");
        return Ok(ExitCode::from(1));
    }
    let job = JobId::new();
    let finished = desk.perform(job, Command::UndoRestore { job, data_file: path, of: done.job }, false)?;
    report(finished, json)
}

/// Asks the engine what undoing it would do.
fn plan(desk: &Desk, path: &Path, done: &DoneInPlace) -> Result<UndoPlan> {
    let asked = desk.handle().ask(Query::Undo { data_file: path.to_path_buf(), of: done.job })?;
    match asked.wait(None)? {
        Answer::Undo(plan) => Ok(plan),
        _ => Err(Error::new(ErrorKind::Refused, "the engine answered something else").hint("Use the same version.")),
    }
}
