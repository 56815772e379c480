//! Results in words, for people at a terminal.

use chrono::{DateTime, Local, Utc};

use crate::{
    engine::status::JobReport,
    journal::integrate::Integrated,
    restore::in_place::InPlace,
    sqlite::{data_file::JournalMode, integrity::Integrity},
    storage::space::human_bytes,
};

pub(super) fn in_words(report: &JobReport, duration_ms: u64) -> String {
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
                "Backup {} of {} made in {seconds:.1} s: {} ({}){waited}",
                r.number,
                r.moment.format("%Y-%m-%d %H:%M:%S %:z"),
                r.archive.display(),
                human_bytes(r.bytes),
            )
        }
        JobReport::Restore(r) => {
            let files: Vec<String> = r.files.iter().map(|f| format!("  {}", f.display())).collect();
            format!(
                "Archive {} of {} restored in {seconds:.1} s{}, integrity {}:\n{}{}",
                r.number,
                r.moment.format("%Y-%m-%d %H:%M:%S %:z"),
                r.integrated.as_ref().map_or_else(String::new, integrated_in_words),
                match &r.integrity {
                    Some(Integrity::Sound) => "checked",
                    Some(_) => "NOT confirmed",
                    None => "not concerned",
                },
                files.join("\n"),
                r.in_place.as_ref().map_or_else(String::new, in_place_in_words),
            )
        }
        JobReport::Verify(r) => format!(
            "{} is sound: {} in {} files, state of {}, verified in {seconds:.1} s",
            r.archive.display(),
            human_bytes(r.bytes),
            r.files,
            r.moment.format("%Y-%m-%d %H:%M:%S %:z")
        ),
        JobReport::Sample { path, bytes } => format!("{} created ({})", path.display(), human_bytes(*bytes)),
    }
}

fn in_place_in_words(done: &InPlace) -> String {
    let mut words = String::from("\n");
    for file in &done.set_aside {
        words += &format!("It could not be opened and is kept as {}\n", file.display());
    }
    if done.set_aside.is_empty() {
        let seconds = done.held_ms as f64 / 1000.0;
        words += &format!(
            "{} of {} pages written as one transaction; programs that wrote meanwhile waited {seconds:.1} s.\n",
            done.pages_changed, done.pages
        );
    }
    match done.commits_left {
        Some(0) | None => {}
        Some(1) => words += "1 commit is no longer in the file.\n",
        Some(n) => words += &format!("{n} commits are no longer in the file.\n"),
    }
    if let Some(undo) = &done.undo {
        let limit = undo.commit.map_or_else(|| "--no-log".to_owned(), |commit| format!("--commit {commit}"));
        let (archive, file) = (undo.archive.display(), done.data_file.display());
        words += &format!("To undo this restore: strongroom restore '{archive}' {limit} --in-place '{file}'\n");
    }
    words.truncate(words.trim_end().len());
    words
}

fn integrated_in_words(integrated: &Integrated) -> String {
    let at = |moment: Option<DateTime<Utc>>| {
        moment.map(|m| m.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S%.3f %:z").to_string())
    };
    let mut words = format!(", {} commits integrated", integrated.commits);
    if let Some(last) = at(integrated.last) {
        words += &format!(" up to commit {} of {last}", integrated.position.commit);
    }
    if let Some(next) = at(integrated.next) {
        words += &format!(" (the next one was at {next})");
    }
    words
}
