//! The card *Log* of the Maintenance page: whether every commit is recorded, and the proof of it.

use chrono::Local;
use eframe::egui::{Label, RichText, Ui};

use crate::{
    engine::status::DataFileStatus,
    journal::{CaptureState, CaptureStatus},
    storage::space::human_bytes,
    ui::{
        action::Action,
        theme::palette,
        widgets::{Tone, badge, button, count, error_strip, fact, fact_with, moment},
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
    match (&data_file.log, &data_file.log_problem) {
        (Some(log), _) => running(ui, log),
        (None, Some(problem)) => {
            fact_with(ui, "State", |ui| {
                badge(ui, Tone::Bad, "Not protected");
            });
            error_strip(ui, problem, |_| ());
        }
        (None, None) => fact(ui, "State", "Opening …"),
    }
    fact(ui, "File", file.display().to_string());
    ui.add_space(4.0);
    if button(ui, None, "Stop using the log…").clicked() {
        actions.push(Action::AskLog(path()));
    }
}

fn running(ui: &mut Ui, log: &CaptureStatus) {
    let (tone, word) = match log.state {
        CaptureState::On => (Tone::Good, "Every commit is recorded"),
        CaptureState::Starting => (Tone::Warn, "Comparing the data file"),
        CaptureState::Held => (Tone::Bad, "Can not be written; nothing lost yet"),
        CaptureState::Lost => (Tone::Bad, "Protection lost"),
        CaptureState::Off => (Tone::Bad, "Stopped"),
    };
    fact_with(ui, "State", |ui| {
        badge(ui, tone, word);
    });
    fact(ui, "Continuity", continuity(log));
    let last = log.last_commit.map(|at| moment(&at.with_timezone(&Local)));
    fact(ui, "Last commit", last.unwrap_or_else(|| "none yet".to_owned()));
    fact(ui, "Size", human_bytes(log.log_bytes));
    fact(ui, "WAL", human_bytes(log.wal_bytes));
    if !log.rooted {
        let text = "A full backup is needed before the log can serve a restore.";
        ui.add(Label::new(RichText::new(text).color(palette(ui).warn.0)).wrap());
    }
    if let Some(error) = &log.error {
        error_strip(ui, error, |_| ());
    }
}

/// The proof of continuity in words.
fn continuity(log: &CaptureStatus) -> String {
    let since = match log.position.archive {
        0 => "since it began".to_owned(),
        number => format!("since backup {number:04}"),
    };
    match log.catch_ups {
        0 => format!("all {} commits {since}", count(log.commits)),
        1 => format!("{} commits {since}; one stretch known only by its end", count(log.commits)),
        n => format!("{} commits {since}; {n} stretches known only by their ends", count(log.commits)),
    }
}
