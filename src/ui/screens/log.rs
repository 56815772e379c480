//! The card *Log* of the Maintenance page: whether every commit is recorded, and the proof of it.

use chrono::{DateTime, Local, Utc};
use eframe::egui::{Label, RichText, Ui};
use lucide_icons::Icon;

use crate::{
    engine::status::DataFileStatus,
    journal::{CaptureState, CaptureStatus},
    storage::{processes::Process, space::human_bytes},
    ui::{
        action::Action,
        theme::palette,
        widgets::{Tone, age, badge, button, commits, error_strip, fact, fact_with, moment, strip},
    },
};

pub(crate) fn log_ui(ui: &mut Ui, data_file: &DataFileStatus, actions: &mut Vec<Action>) {
    let path = || data_file.facts.path.clone();
    let Some(file) = &data_file.log_file else {
        let text = "Not used. A log records every commit as it is made, so that a restore can bring back any moment.";
        ui.add(Label::new(RichText::new(text).color(palette(ui).weak)).wrap());
        ui.add_space(4.0);
        if button(ui, None, "Use log…").clicked() {
            actions.push(Action::AskLog(path()));
        }
        return;
    };
    let backup = |ui: &mut Ui, actions: &mut Vec<Action>| {
        if button(ui, None, "Make a full backup").clicked() {
            actions.push(Action::Backup(path()));
        }
    };
    let missing = data_file.log_folder_problem.as_ref();
    match (data_file.log.as_ref().filter(|_| missing.is_none()), missing.or(data_file.log_problem.as_ref())) {
        (Some(log), _) => {
            running(ui, log, data_file);
            if let Some(problem) = &data_file.log_problem {
                ui.add_space(2.0);
                error_strip(ui, problem, |_| {});
            }
            if let Some(error) = &log.error {
                ui.add_space(2.0);
                error_strip(ui, error, |ui| backup(ui, actions));
            } else if !log.rooted {
                let text = "a full backup is needed before the log can serve a restore";
                ui.add_space(2.0);
                strip(ui, Tone::Warn, text, None, |ui| backup(ui, actions));
            }
        }
        (None, Some(problem)) => {
            fact_with(ui, "State", |ui| {
                badge(ui, Tone::Bad, "Not protected");
            });
            error_strip(ui, problem, |ui| backup(ui, actions));
        }
        (None, None) => fact(ui, "State", "Opening …"),
    }
    fact(ui, "File", file.display().to_string());
    ui.add_space(4.0);
    ui.horizontal_wrapped(|ui| {
        if data_file.log.is_none() && data_file.log_problem.is_some() {
            let again = button(ui, Some(Icon::RotateCcw), "Try again");
            if again.on_hover_text("Open the log again").clicked() {
                actions.push(Action::OpenLogAgain(path()));
            }
        }
        if button(ui, None, "Stop using the log…").clicked() {
            actions.push(Action::AskLog(path()));
        }
    });
}

fn running(ui: &mut Ui, log: &CaptureStatus, data_file: &DataFileStatus) {
    let (tone, word) = match log.state {
        // What it was when it was known last is not so any more.
        _ if data_file.lost_since.is_some() => (Tone::Bad, "Nobody records"),
        _ if data_file.silent_since.is_some() => (Tone::Bad, "Not known: no answer"),
        CaptureState::On => (Tone::Good, "Every commit is recorded"),
        CaptureState::Starting => (Tone::Warn, "Comparing the data file"),
        CaptureState::Held => (Tone::Bad, "Cannot be written; nothing lost yet"),
        CaptureState::Lost => (Tone::Bad, "Protection lost"),
        CaptureState::Released => (Tone::Bad, "Replaced; being opened anew"),
        CaptureState::Off => (Tone::Bad, "Stopped"),
    };
    fact_with(ui, "State", |ui| {
        badge(ui, tone, word);
    });
    fact(ui, "Continuity", continuity(log));
    fact(ui, "Last commit", last_commit(log.last_commit));
    fact(ui, "Size", human_bytes(log.log_bytes));
    fact(ui, "WAL", human_bytes(log.wal_bytes));
    if let Some(since) = log.held_back_since {
        ui.add_space(2.0);
        let message = format!("a long read transaction keeps the WAL growing, since {}", age(since, Utc::now()));
        strip(ui, Tone::Warn, &message, Some(&readers(&data_file.readers)), |_| ());
    }
}

fn last_commit(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(
        || "none yet".to_owned(),
        |at| format!("{}, {} ago", moment(&at.with_timezone(&Local)), age(at, Utc::now())),
    )
}

fn readers(found: &[Process]) -> String {
    let names: Vec<String> = found.iter().map(Process::to_string).collect();
    let who = if names.is_empty() {
        "Which program it is cannot be seen.".to_owned()
    } else {
        format!("It is in {}.", names.join(" or "))
    };
    format!("{who} Nothing is lost; the WAL becomes small again when that transaction ends.")
}

/// The proof of continuity in words.
fn continuity(log: &CaptureStatus) -> String {
    let since = match log.position.archive {
        0 => "since it began".to_owned(),
        number => format!("since backup {number:04}"),
    };
    let commits = commits(log.commits);
    match (log.catch_ups, log.commits) {
        (0, 0) => format!("no commit yet {since}"),
        (0, 1) => format!("the {commits} {since}"),
        (0, _) => format!("all {commits} {since}"),
        (1, _) => format!("{commits} {since}; one stretch known only by its end"),
        (n, _) => format!("{commits} {since}; {n} stretches known only by their ends"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_are_named_or_said_to_be_unknown() {
        let process = |id, name: &str| Process { id, name: name.to_owned() };
        assert!(readers(&[]).starts_with("Which program it is cannot be seen. Nothing is lost"));
        assert!(readers(&[process(7, "a"), process(8, "b")]).starts_with("It is in a (process 7) or b (process 8)."));
    }
}
