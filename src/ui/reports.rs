//! What ended jobs achieved, in words.

use std::{collections::BTreeSet, path::Path};

use chrono::{DateTime, Local, Utc};

use super::{
    jobs::name,
    widgets::{Tone, commits, count, duration, moment, sentence},
};
use crate::{
    archive::heal::Repaired,
    backup::BackupReport,
    drill::Proof,
    error::{Error, ErrorKind},
    journal::integrate::Integrated,
    maintenance::RecordsReport,
    recover::{RecoverReport, Style},
    repair::RepairReport,
    restore::{RestoreReport, in_place::InPlace, repaired_log_in_words},
    sqlite::{data_file::JournalMode, integrity::Integrity, seen::ContentCheck},
    storage::{self, space::human_bytes},
    verify::VerifyReport,
};

pub(super) fn backup_text(report: &BackupReport, duration_ms: u64) -> String {
    let mut text = format!(
        "{}\n{} from {} of data, in {}; read back and verified. It holds the state of {}.",
        report.archive.display(),
        human_bytes(report.bytes),
        human_bytes(report.data_bytes),
        duration(duration_ms),
        moment(&report.moment)
    );
    let folders: BTreeSet<&Path> = report.files.iter().map(|file| storage::folder_of(file)).collect();
    if report.files.len() > 1 {
        let folders: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
        text.push_str(&format!("\n{} segments, in {}.", report.files.len(), folders.join(" and ")));
    }
    text.push_str(match report.seen.check {
        ContentCheck::Whole => "\nSQLite has checked its content: records and indexes are whole.",
        ContentCheck::Structure => "\nSQLite has checked its structure.",
        ContentCheck::NotChecked => "\nIts content was not checked.",
        ContentCheck::Damaged => "",
    });
    match (&report.seen.note, report.seen.check) {
        (None, _) | (_, ContentCheck::Damaged) => {}
        (Some(note), ContentCheck::NotChecked) => text.push_str(&format!(" {}.", sentence(note))),
        (Some(note), _) => text.push_str(&format!(" Not checked: {note}.")),
    }
    if let Some(change) = &report.change {
        text.push_str(&format!(
            "\nDrastically other content than backup {}: {}. That one is held until it is released.",
            change.since, change.what
        ));
    }
    if report.journal_mode == JournalMode::Rollback {
        text.push_str(&format!("\nWriters had to wait for {} at most.", duration(report.held_ms)));
    }
    if let Some(problem) = report.problem() {
        text.push_str(&format!("\n{}.", sentence(problem.message())));
        text.extend(problem.hint_text().map(|hint| format!(" {hint}")));
    }
    text.extend(report.content.left_out_in_words().map(|words| format!("\n{words}")));
    text.extend(report.skipped_in_words().map(|words| format!("\n{words}")));
    text.extend(report.signed_in_words().map(|words| format!("\n{words}")));
    match report.leftovers_removed.len() {
        0 => {}
        1 => text.push_str("\nA leftover of an interrupted backup was removed."),
        n => text.push_str(&format!("\n{n} leftovers of interrupted backups were removed.")),
    }
    text
}

/// Tone, headline and text of a verification of records and indexes.
pub(super) fn records_text(report: &RecordsReport, duration_ms: u64) -> (Tone, String, String) {
    let file = name(&report.data_file);
    let mut text = format!(
        "{} tables and indexes were checked in {}, while programs went on.",
        count(report.count() as u64),
        duration(duration_ms)
    );
    let unknown = report.unknown();
    if !unknown.is_empty() {
        text += &format!("\nThese could not be checked: {}.", unknown.join(", "));
    }
    match report.problem() {
        None => (Tone::Good, format!("The records and indexes of {file} are sound"), text),
        Some(problem) => {
            text.extend(problem.hint_text().map(|hint| format!("\n{hint}")));
            let tone = if problem.kind() == ErrorKind::Partial { Tone::Warn } else { Tone::Bad };
            (tone, problem.message().to_owned(), text)
        }
    }
}

/// Tone, headline and text of a restore.
pub(super) fn restore_text(report: &RestoreReport, duration_ms: u64) -> (Tone, String, String) {
    let mut lines = Vec::new();
    let headline = match &report.in_place {
        None => {
            let files: Vec<String> = report.files.iter().map(|f| name(f)).collect();
            lines.push(report.destination.display().to_string());
            lines.push(format!(
                "{}: {}, in {}. {}",
                files.join(", "),
                human_bytes(report.bytes),
                duration(duration_ms),
                state(report)
            ));
            format!("Archive {} restored", report.number)
        }
        Some(done) => {
            lines.extend(in_place(report, done, duration_ms));
            format!("{} restored in place", name(&done.data_file))
        }
    };
    let (mut tone, check) = match &report.integrity {
        Some(Integrity::Sound) => (Tone::Good, Some("Integrity check: no problem found.".to_owned())),
        Some(Integrity::Problems(found)) => {
            let shown = found.iter().take(5).cloned().collect::<Vec<_>>().join("\n");
            let note = format!(
                "Integrity check: {} found. {}\n{shown}",
                if found.len() == 1 { "a problem was".to_owned() } else { format!("{} problems were", found.len()) },
                report.unsound().as_ref().and_then(Error::hint_text).unwrap_or_default()
            );
            (Tone::Warn, Some(note))
        }
        Some(Integrity::Unknown(why)) => {
            (Tone::Warn, Some(format!("Integrity check: could not be run to its end ({why}).")))
        }
        None => (Tone::Good, None),
    };
    lines.extend(check);
    if report.is_proven_by_log() {
        lines.push("Every page is as the log says, also those that no commit touched.".to_owned());
    }
    let of_log = report.unsound().filter(|_| report.log_end.is_some());
    for problem in of_log.into_iter().chain(report.lacks.clone().map(Error::from)) {
        tone = Tone::Warn;
        lines.push(of_archive(&problem));
    }
    lines.extend(report.remarks.iter().cloned());
    if let Some(problem) = report.archive_problem() {
        tone = Tone::Warn;
        lines.push(of_archive(&problem));
    }
    if let Some(lacking) = &report.not_whole {
        tone = Tone::Warn;
        lines.push("The archive is partial. Of what was asked for, this is not in it, or not whole:".to_owned());
        lines.extend(lacking.lines().iter().map(|line| format!("– {line}")));
    }
    for log in &report.repaired_logs {
        tone = Tone::Warn;
        lines.push(repaired_log_in_words(log));
    }
    (tone, headline, lines.join("\n"))
}

fn of_archive(problem: &Error) -> String {
    format!("{}. {}", sentence(problem.message()), problem.hint_text().unwrap_or_default())
}

/// Tone, headline and text of a verification.
pub(super) fn verify_text(report: &VerifyReport) -> (Tone, String, String) {
    let amount = |what: &str| {
        format!(
            "{}\n{what} of {} was read and proven, {} files, in {}. It holds the state of {}. {}",
            report.archive.display(),
            human_bytes(report.bytes),
            report.files,
            duration(report.duration_ms),
            moment(&report.moment),
            report.signed.in_words()
        )
    };
    let lacking = report.not_whole.as_ref().map_or_else(String::new, |lacking| {
        let lines: Vec<String> = lacking.lines().iter().map(|line| format!("\n– {line}")).collect();
        format!("\nIt is partial. Of what was chosen, this is not in it, or not whole:{}", lines.concat())
    });
    match report.damaged() {
        None if !lacking.is_empty() => {
            let headline = format!("Archive {} is as it was written, but partial", report.number);
            (Tone::Warn, headline, amount("Every byte") + &lacking)
        }
        None => (Tone::Good, format!("Archive {} is sound", report.number), amount("Every byte")),
        Some(problem) => {
            let damage = report.damage.as_ref().map(Repaired::in_words).unwrap_or_default();
            let headline = format!("Archive {} is damaged, but can be repaired: {damage}", report.number);
            let hint = problem.hint_text().unwrap_or_default().to_owned();
            (Tone::Warn, headline, format!("{}\n{hint}{lacking}", amount("Made whole again, every byte")))
        }
    }
}

/// Numbers and times of a recovery as the window shows them.
pub(super) const RECOVERY: Style = Style { count, time: |time| moment(&time) };

/// Tone, headline and text of a recovery.
pub(super) fn recover_text(report: &RecoverReport) -> (Tone, String, String) {
    let headline = format!("What could be read of {} is in {}", name(&report.data_file), name(&report.to));
    let (found, tables) = (count(report.found()), count(report.tables.len() as u64));
    let mut lines = vec![
        report.to.display().to_string(),
        format!(
            "{found} records in {tables} tables, {}, in {}. The damaged file is as it was.",
            human_bytes(report.bytes),
            duration(report.duration_ms)
        ),
    ];
    lines.extend(report.problem().map(|problem| format!("{}.", sentence(problem.message()))));
    lines.extend(report.remarks.iter().cloned());
    (if report.is_everything() { Tone::Good } else { Tone::Warn }, headline, lines.join("\n"))
}

/// Tone, headline and text of a repair.
pub(super) fn repair_text(report: &RepairReport) -> (Tone, String, String) {
    let Some(copy) = &report.copy else {
        let text = format!("{}\nEvery byte was read and proven.", report.archive.display());
        return (Tone::Good, format!("Archive {} is sound; there is nothing to repair", report.number), text);
    };
    let damage = report.repaired.as_ref().map(Repaired::in_words).unwrap_or_default();
    let text = format!(
        "{}\n{}, in {}; read back and verified. In {}, {damage}; that file is as it was.",
        copy.display(),
        human_bytes(report.bytes),
        duration(report.duration_ms),
        name(&report.archive)
    );
    (Tone::Good, format!("Archive {} repaired into {}", report.number, name(copy)), text)
}

/// Tone, headline and text of a test restore.
pub(super) fn proof_text(proof: &Proof) -> (Tone, String, String) {
    let logs = match (proof.commit, proof.commits) {
        (None, _) => "the state of the archive alone".to_owned(),
        (Some(commit), n) => format!("with {} from its logs, up to commit {commit}", commits(n)),
    };
    let mut text = format!(
        "{}\n{} restored to a scratch folder, {logs}; SQLite's integrity check found no problem; removed again, in {}.",
        proof.archive.display(),
        human_bytes(proof.bytes),
        duration(proof.duration_ms)
    );
    let mut tone = Tone::Good;
    if let Some(problem) = proof.repaired.as_ref().map(Repaired::after_restore) {
        tone = Tone::Warn;
        text.push_str(&format!("\n{}", of_archive(&problem)));
    }
    for log in &proof.repaired_logs {
        tone = Tone::Warn;
        text.push_str(&format!("\n{}", repaired_log_in_words(log)));
    }
    (tone, format!("Archive {} is restorable", proof.number), text)
}

/// Which state was restored.
fn state(report: &RestoreReport) -> String {
    match &report.integrated {
        Some(done) if done.commits > 0 => integrated(done),
        _ => format!("State of {}.", moment(&report.moment)),
    }
}

fn local(at: &DateTime<Utc>) -> String {
    moment(&at.with_timezone(&Local))
}

fn integrated(done: &Integrated) -> String {
    let commits = commits(done.commits);
    let last = done.last.as_ref().map_or_else(String::new, |at| format!(" of {}", local(at)));
    let next = done.next.as_ref().map_or_else(String::new, |at| format!("; the next one followed at {}", local(at)));
    format!("{commits} integrated from the log, up to commit {}{last}{next}.", done.position.commit)
}

fn in_place(report: &RestoreReport, done: &InPlace, duration_ms: u64) -> Vec<String> {
    let mut lines = vec![format!("{}, in {}. {}", done.data_file.display(), duration(duration_ms), state(report))];
    lines.extend(done.kept_in_words());
    lines.extend(done.settings_in_words());
    if !done.is_replaced {
        lines.push(format!(
            "{} of {} pages were written as one transaction; programs that wrote meanwhile waited {}.",
            count(u64::from(done.pages_changed)),
            count(u64::from(done.pages)),
            duration(done.held_ms)
        ));
    }
    match done.commits_left {
        None | Some(0) => {}
        Some(1) => lines.push("1 commit is no longer in the data file.".to_owned()),
        Some(n) => lines.push(format!("{} are no longer in the data file.", commits(n))),
    }
    lines
}
