//! How well a data file is protected, or what is left of one that is gone, line by line.

use chrono::{DateTime, Local};

use super::NO_TEXT;
use crate::{
    cli::{list, places::clock},
    engine::{history::Watched, inspect::Inspection, last_watched, lost::Lost, status::LastRun},
    error::{ErrorKind, foreign::plain},
    journal::{CaptureState, commits_in_words},
    restore::in_place::is_lost,
    sqlite::data_file::JournalMode,
    storage::space::human_bytes,
};

/// How well a data file is protected, line by line.
pub(in crate::cli) fn inspection(found: &Inspection) -> String {
    plain(found).map_or_else(|| NO_TEXT.to_owned(), |found| inspection_in_words(&found))
}

fn inspection_in_words(found: &Inspection) -> String {
    let facts = &found.data_file;
    let protection = &found.protection;
    let mut lines = vec![
        format!("{}, {}, {}", facts.path.display(), human_bytes(facts.size_bytes), facts.journal_mode.label()),
        format!("Protection         {}", protection.headline(moment)),
        format!("Restorable         {}", protection.reach_in_words(moment)),
        match &found.engine {
            Some(engine) => format!("In the care of     {engine}"),
            None => nobody(found.watched.as_ref()),
        },
        format!("Last full backup   {}", list::newest(found)),
        format!("Next full backup   {}", next(found)),
        format!("Log                {}", log(found)),
        format!("Last verification  {}", last_run(found.maintenance.last_check.as_ref())),
        format!("Last compacting    {}", last_run(found.maintenance.last_compact.as_ref())),
    ];
    for job in &found.jobs {
        let share = (job.progress.done * 100).checked_div(job.progress.total);
        let share = share.filter(|share| *share <= 100).map_or_else(String::new, |share| format!(", {share} %"));
        lines.insert(4, format!("At work            {}: {}{share}", job.kind.label(), job.progress.phase.label()));
    }
    if facts.journal_mode == JournalMode::Wal {
        lines.push(format!("WAL                {}", human_bytes(facts.wal_bytes)));
    }
    let more = if found.holders.may_be_more { "; processes of other users or containers cannot be seen" } else { "" };
    lines.push(format!("Open in            {}{more}", found.holders.in_words()));
    for warning in &found.warnings {
        lines.push(format!("WARNING: {}", warning.message));
        lines.extend(warning.hint.as_ref().map(|hint| format!("  {hint}")));
    }
    lines.join("\n")
}

fn moment(moment: DateTime<Local>) -> String {
    moment.format("%Y-%m-%d %H:%M:%S %:z").to_string()
}

fn nobody(watched: Option<&Watched>) -> String {
    let before = last_watched(watched, clock().local().to_utc());
    format!("In the care of     nobody: neither a window nor a service runs for it; {before}")
}

/// What is left of a data file that is gone, line by line.
pub(in crate::cli) fn lost(found: &Lost) -> String {
    let mut lines = vec![
        match found.problem.kind {
            ErrorKind::Empty => format!("{}, EMPTIED: it has 0 bytes", found.data_file.display()),
            ErrorKind::NotFound => format!("{}, NOT THERE", found.data_file.display()),
            ErrorKind::Busy => format!("{}, LOCKED by another program", found.data_file.display()),
            _ if found.is_of_settings => format!("{}: its SETTINGS CANNOT BE READ", found.data_file.display()),
            _ => format!("{}, CANNOT BE READ", found.data_file.display()),
        },
        match &found.engine {
            Some(engine) => format!("In the care of     {engine}"),
            None => nobody(found.watched.as_ref()),
        },
    ];
    let destination = found.destination.display();
    let last = match (&found.last_backup, &found.archives_problem) {
        (Some(last), _) => format!("{} in all, the last one {}", found.archives, list::archive(last)),
        (None, Some(problem)) => format!("not known: {}", problem.message),
        (None, None) => format!("none in {destination}"),
    };
    lines.push(format!("Full backups       {last}"));
    if let Some(made) = &found.last_made {
        lines.push(format!("Made last          {}, which is not there any more", made.display()));
    }
    lines.push(match (&found.log, &found.log_file) {
        (Some(log), _) => {
            let last = log.last_commit.map_or_else(String::new, |last| {
                format!(", the last one at {}", last.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S %:z"))
            });
            let damaged = log.damaged_at.map_or_else(String::new, |at| format!("; DAMAGED at byte {at}"));
            format!(
                "Log                {}, {}, {}{last}{damaged}; whether that is all is not known",
                log.log.display(),
                human_bytes(log.bytes),
                commits_in_words(log.commits)
            )
        }
        (None, Some(file)) => {
            let why = found.log_problem.as_ref().map_or_else(String::new, |problem| format!(", {}", problem.message));
            format!("Log                {}: NOT USABLE{why}", file.display())
        }
        (None, None) => "Log                none is known".to_owned(),
    });
    if !is_lost(found.problem.kind) {
        return lines.join("\n");
    }
    lines.push(match (&found.restores, &found.restore_problem, found.command()) {
        (Some(archive), _, Some(command)) => {
            // Alone on its line, so that it can be pasted into a shell.
            format!(
                "To bring it back   {command}\nIt begins with      {}, and all that the logs hold",
                archive.display()
            )
        }
        (None, _, Some(command)) => format!("To bring it back   {command}"),
        (_, Some(problem), None) => format!("To bring it back   no archive is known: {}", problem.message),
        (_, None, None) => "To bring it back   no archive is known".to_owned(),
    });
    lines.join("\n")
}

fn last_run(last: Option<&LastRun>) -> String {
    let Some(last) = last else { return "never".to_owned() };
    let why = last.error.as_ref().map_or_else(String::new, |error| format!(": {}", error.message));
    format!("{}, {}{why}", last.moment.format("%Y-%m-%d %H:%M:%S %:z"), last.outcome.label().to_lowercase())
}

fn next(found: &Inspection) -> String {
    let automatic = found.automatic.as_ref();
    if let Some((since, state)) = automatic.and_then(|a| Some((a.suspended?, a))) {
        let since = since.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S %:z");
        return format!("SUSPENDED since {since}, after {} failed attempts", state.attempts);
    }
    let retry = automatic
        .filter(|a| a.retry_at.is_some())
        .map_or_else(String::new, |a| format!(", a retry after {} failed attempts", a.attempts));
    let Some(next) = found.next_backup else { return "only by hand".to_owned() };
    let nobody = if found.engine.is_none() { ", IF A WINDOW OR A SERVICE RUNS then" } else { "" };
    format!("{}{retry}{nobody}", next.format("%Y-%m-%d %H:%M:%S %:z"))
}

fn log(found: &Inspection) -> String {
    let (log, file) = match (&found.log, &found.log_file) {
        (Some(log), _) => (log, log.log.display()),
        (None, Some(file)) => {
            let why = found.log_problem.as_ref().map_or("the data file is not in WAL mode", |p| p.message.as_str());
            return format!("{}: NOT USABLE, {why}", file.display());
        }
        (None, None) => return "not used".to_owned(),
    };
    let since =
        if log.rooted { format!("since backup {:04}", log.position.archive) } else { "since it began".to_owned() };
    let mut words = format!("{file}, {}, {} {since}", human_bytes(log.bytes), commits_in_words(log.commits));
    if let Some(last) = log.last_commit {
        let at = last.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S %:z");
        let age = (clock().now() - last).num_seconds();
        words += &match age {
            0.. => format!(", the last one {age} s ago at {at}"),
            _ => format!(", the last one at {at}, which is still to come"),
        };
    }
    words += match (log.complete, &found.engine) {
        (Some(true), Some(_)) => "; complete: every commit up to now is in it",
        (Some(true), None) => "; complete up to now, but NOBODY RECORDS what comes next",
        (Some(false), _) => "; NOT COMPLETE: commits were made that are not in it",
        (None, Some(_)) => match log.state {
            Some(CaptureState::Starting) => "; being compared with the data file",
            Some(_) => "; NOT BEING WRITTEN",
            // Told from outside, where an empty WAL says nothing.
            None => "; whether commits are recorded now is not known",
        },
        (None, None) => "; NOBODY RECORDS what comes next",
    };
    match log.catch_ups {
        0 => {}
        1 => words += "; one stretch known only by its end",
        n => words += &format!("; {n} stretches known only by their ends"),
    }
    if let Some(offset) = log.damaged_at {
        words += &format!("; DAMAGED at byte {offset}");
    }
    if !log.rooted {
        words += "; a full backup is needed before a restore can use it";
    }
    words
}
