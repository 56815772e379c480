//! Results in words, for people at a terminal.
//!
//! What comes in here was written by others: names, notes, and what an engine says that another user runs. So each
//! value is spelled out as a whole at the door, and everything below works with that.

mod inspection;

pub(super) use inspection::{inspection, lost};

use std::path::{Path, PathBuf};

use chrono::{DateTime, Local, Utc};

use crate::{
    archive::heal::Repaired,
    engine::{Event, status::JobReport},
    error::{foreign::plain, shell::quoted},
    journal::{CaptureState, commits_in_words, integrate::Integrated},
    recover::Style,
    restore::{self, in_place::InPlace},
    sqlite::{
        data_file::JournalMode,
        integrity::Integrity,
        seen::{ContentCheck, ContentSeen},
    },
    storage::space::human_bytes,
};

/// More files are not listed one by one.
const FILES_SHOWN: usize = 50;

/// What is said of a value that could not be spelled out.
const NO_TEXT: &str = "(a name in it is no text in UTF-8)";

/// How a job ended.
pub(super) fn in_words(report: &JobReport, duration_ms: u64) -> String {
    plain(report).map_or_else(|| format!("Done {NO_TEXT}"), |report| report_in_words(&report, duration_ms))
}

fn report_in_words(report: &JobReport, duration_ms: u64) -> String {
    let seconds = duration_ms as f64 / 1000.0;
    match report {
        JobReport::Backup(r) => {
            let waited = match r.journal_mode {
                JournalMode::Wal => String::new(),
                JournalMode::Rollback => {
                    format!(
                        "\nThe data file was held for {:.1} s; programs that wrote meanwhile waited.",
                        r.held_ms as f64 / 1000.0
                    )
                }
            };
            format!(
                "Backup {} of {} made in {seconds:.1} s: {} ({}){waited}\n{}{}{}{}{}",
                r.number,
                r.moment.format("%Y-%m-%d %H:%M:%S %:z"),
                r.archive.display(),
                human_bytes(r.bytes),
                content_in_words(&r.seen, &r.archive),
                r.change.as_ref().map_or_else(String::new, |change| format!(
                    "\nWARNING: drastically other content than backup {}: {}. That one is held until it is released.",
                    change.since, change.what
                )),
                r.content.left_out_in_words().map_or_else(String::new, |words| format!("\n{words}")),
                r.skipped_in_words().map_or_else(String::new, |words| format!("\n{words}")),
                r.signed_in_words().map_or_else(String::new, |words| format!("\n{words}")),
            )
        }
        JobReport::Skipped { since } => format!("No backup was needed: the data file is as backup {since} holds it."),
        JobReport::Restore(r) => {
            let mut files: Vec<String> =
                r.files.iter().take(FILES_SHOWN).map(|f| format!("  {}", f.display())).collect();
            if r.file_count > files.len() as u64 {
                files.push(format!("  and {} more", r.file_count - files.len() as u64));
            }
            let lacking = r.not_whole.iter().flat_map(|lacking| lacking.lines());
            files.extend(lacking.map(|line| format!("  NOT THERE OR NOT WHOLE: {line}")));
            files.extend(r.links_left.iter().map(|link| format!("  not made, since it leads out of there: {link}")));
            format!(
                "Archive {} of {} restored in {seconds:.1} s{}, integrity {}{}:\n{}{}{}",
                r.number,
                r.moment.format("%Y-%m-%d %H:%M:%S %:z"),
                r.integrated.as_ref().map_or_else(String::new, integrated_in_words),
                match &r.integrity {
                    Some(Integrity::Sound) => "checked",
                    Some(_) => "NOT confirmed",
                    None => "not concerned",
                },
                if r.is_proven_by_log() { ", every page as the log says" } else { "" },
                files.join("\n"),
                repaired_in_words((r.repaired.as_ref(), &r.archive), &r.repaired_logs),
                r.in_place.as_ref().map_or_else(String::new, in_place_in_words),
            )
        }
        JobReport::Verify(r) if r.damage.is_some() => format!(
            "{}: {} in {} files, state of {}, damaged, repaired for the verification in {seconds:.1} s; {}",
            r.archive.display(),
            human_bytes(r.bytes),
            r.files,
            r.moment.format("%Y-%m-%d %H:%M:%S %:z"),
            r.signed.in_words()
        ),
        JobReport::Repair(r) => match (&r.copy, &r.repaired) {
            (Some(copy), Some(repaired)) => format!(
                "{} repaired in {seconds:.1} s into {} ({}): {}",
                r.archive.display(),
                copy.display(),
                human_bytes(r.bytes),
                repaired.in_words()
            ),
            _ => format!("{} is sound; there is nothing to repair", r.archive.display()),
        },
        JobReport::TestRestore(p) => format!(
            "{} is restorable, proven on {} in {seconds:.1} s: archive {} of {}, {}{}",
            p.archive.display(),
            p.proven.format("%Y-%m-%d %H:%M:%S %:z"),
            p.number,
            p.moment.format("%Y-%m-%d %H:%M:%S %:z"),
            match p.commit {
                Some(commit) => format!("{} integrated up to commit {commit}", commits_in_words(p.commits)),
                None => "without its logs".to_owned(),
            },
            repaired_in_words((p.repaired.as_ref(), &p.archive), &p.repaired_logs),
        ),
        JobReport::Verify(r) => {
            let (sound, lacking) = match &r.not_whole {
                None => ("is sound", Vec::new()),
                Some(lacking) => ("is as it was written, but PARTIAL", lacking.lines()),
            };
            format!(
                "{} {sound}: {} in {} files, state of {}, verified in {seconds:.1} s{}\n{}",
                r.archive.display(),
                human_bytes(r.bytes),
                r.files,
                r.moment.format("%Y-%m-%d %H:%M:%S %:z"),
                lacking.iter().map(|line| format!("\n  NOT THERE OR NOT WHOLE: {line}")).collect::<String>(),
                r.signed.in_words()
            )
        }
        JobReport::VerifyRecords(r) => format!("{}\n{} tables and indexes in {seconds:.1} s", r.in_words(), r.count()),
        JobReport::Compact(r) => format!(
            "{} compacted in {seconds:.1} s: {} freed, from {} to {}\n{}",
            r.data_file.display(),
            human_bytes(r.freed_bytes()),
            human_bytes(r.before_bytes),
            human_bytes(r.after_bytes),
            r.check_in_words()
        ),
        JobReport::Recover(r) => {
            let style = Style { count: |number| number.to_string(), time: super::looked::in_words };
            format!("{} in {seconds:.1} s:\n{}", r.data_file.display(), r.lines(&style).join("\n"))
        }
        JobReport::TakeBack(r) => format!(
            "{} records of {} are as they were, in {seconds:.1} s; programs that write waited for {} ms at most\n{}",
            r.records(),
            r.data_file.display(),
            r.held_ms,
            r.in_words()
        ),
        JobReport::Sample { path, bytes } => format!("{} created ({})", path.display(), human_bytes(*bytes)),
    }
}

/// What is known of the content of a new archive.
fn content_in_words(seen: &ContentSeen, archive: &Path) -> String {
    let note = seen.note.as_deref().unwrap_or("nobody has looked");
    let besides = seen.note.as_ref().map_or_else(String::new, |note| format!(" NOT CHECKED: {note}."));
    match seen.check {
        ContentCheck::Whole => format!("SQLite has checked its content: records and indexes are whole.{besides}"),
        ContentCheck::Structure => format!(
            "SQLite has checked its structure; whether indexes agree with their tables was not looked at.{besides}"
        ),
        ContentCheck::NotChecked => {
            format!("CONTENT NOT CHECKED: {note}. Test it: strongroom verify {} --test-restore", quoted(archive))
        }
        ContentCheck::Damaged => format!("CONTENT DAMAGED: {note}"),
    }
}

/// What was damaged and came back from recovery data: of an archive, and of its logs.
fn repaired_in_words((repaired, archive): (Option<&Repaired>, &Path), logs: &[PathBuf]) -> String {
    let mut words = repaired.map_or_else(String::new, |repaired| damaged_in_words(repaired, archive));
    words.extend(logs.iter().map(|log| format!("\n{}", restore::repaired_log_in_words(log))));
    words
}

/// Of a damaged archive from which files were restored all the same.
fn damaged_in_words(repaired: &Repaired, archive: &Path) -> String {
    let problem = repaired.after_restore();
    let mut words = format!("\n{}.", capital(problem.message()));
    if repaired.damage.is_repaired() {
        words += &format!(" Write a sound copy: strongroom repair {}", quoted(archive));
    } else {
        words.extend(problem.hint_text().map(|hint| format!(" {hint}")));
    }
    words
}

fn capital(message: &str) -> String {
    let mut letters = message.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn in_place_in_words(done: &InPlace) -> String {
    let mut words = String::from("\n");
    words.extend(done.kept_in_words().map(|kept| format!("{kept}\n")));
    if !done.is_replaced {
        let seconds = done.held_ms as f64 / 1000.0;
        words += &format!(
            "{} of {} pages written as one transaction; programs that wrote meanwhile waited {seconds:.1} s.\n",
            done.pages_changed, done.pages
        );
    }
    done.settings_in_words().iter().for_each(|line| words += &format!("{line}\n"));
    match done.commits_left {
        Some(0) | None => {}
        Some(1) => words += "1 commit is no longer in the file.\n",
        Some(n) => words += &format!("{n} commits are no longer in the file.\n"),
    }
    if done.undo.is_some() {
        words += &format!("To undo this restore: strongroom undo {}\n", quoted(&done.data_file));
    }
    words.truncate(words.trim_end().len());
    words
}

fn integrated_in_words(integrated: &Integrated) -> String {
    let at = |moment: Option<DateTime<Utc>>| {
        moment.map(|m| m.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S%.3f %:z").to_string())
    };
    let mut words = format!(", {} integrated", commits_in_words(integrated.commits));
    if let Some(last) = at(integrated.last) {
        words += &format!(" up to commit {} of {last}", integrated.position.commit);
    }
    if let Some(next) = at(integrated.next) {
        words += &format!(" (the next one was at {next})");
    }
    words
}

/// What happened, in a line; nothing for what only a program wants to know.
pub(super) fn event(event: &Event) -> Option<String> {
    event_in_words(&plain(event)?)
}

fn event_in_words(event: &Event) -> Option<String> {
    let name =
        |path: &Option<PathBuf>| path.as_ref().map_or_else(String::new, |path| format!(" of {}", path.display()));
    let line = match event {
        Event::DataFileOpened { path } => format!("{} is looked after", path.display()),
        Event::DataFileRefused(refused) => {
            format!("{} cannot be looked after: {}", refused.path.display(), refused.error)
        }
        Event::LogOpened { data_file } => format!("every commit to {} is recorded", data_file.display()),
        Event::LogRefused { data_file, error } => {
            format!("the log of {} cannot be used: {error}", data_file.display())
        }
        Event::LogChanged { data_file, state, error } => {
            let state = match state {
                CaptureState::Starting => "is being compared with the data file",
                CaptureState::On => "records every commit",
                CaptureState::Held => "cannot be written, nothing is lost yet",
                CaptureState::Lost => "cannot be written, PROTECTION IS LOST",
                CaptureState::Released => "is no longer what was opened, and is opened anew",
                CaptureState::Off => "is off",
            };
            let error = error.as_ref().map_or_else(String::new, |error| format!(": {error}"));
            format!("the log of {} {state}{error}", data_file.display())
        }
        Event::JobStarted(job) => format!("{}{} began", job.kind.label(), name(&job.data_file)),
        Event::JobFinished(job) => match &job.result {
            Ok(report) => match report.problem() {
                None => format!("{}{} succeeded", job.kind.label(), name(&job.data_file)),
                Some(problem) => format!("{}{}: {problem}", job.kind.label(), name(&job.data_file)),
            },
            Err(error) => format!("{}{} failed: {error}", job.kind.label(), name(&job.data_file)),
        },
        Event::CommandRefused(_) => return None,
    };
    Some(line)
}
