//! The dialog *Use log…*: where the log lies; and the warning before it is switched off.

use std::path::PathBuf;

use eframe::egui::{Checkbox, Context, Label, RichText};

use super::frame;
use crate::{
    engine::Status,
    sqlite::data_file::JournalMode,
    ui::{
        action::Action,
        state::LogForm,
        theme::palette,
        widgets::{button, fact_field, path_field, primary_button},
    },
};

pub(crate) fn log_ui(ctx: &Context, status: &Status, form: &mut LogForm, actions: &mut Vec<Action>) {
    if form.in_use { switch_off(ctx, form, actions) } else { switch_on(ctx, status, form, actions) }
}

fn switch_on(ctx: &Context, status: &Status, form: &mut LogForm, actions: &mut Vec<Action>) {
    let data_file = form.data_file.clone();
    let file = form.file.trim().to_owned();
    let has_wal = status.data_file(&data_file).is_none_or(|d| d.facts.journal_mode == JournalMode::Wal);
    frame(
        ctx,
        "Use log",
        640.0,
        &mut (form, actions),
        |ui, (form, actions)| {
            let text = "The log records every commit that any program makes to the data file, as it is made. A full backup \
                        is needed before the log can serve a restore.";
            ui.add(Label::new(RichText::new(text).color(palette(ui).text)).wrap());
            ui.add_space(6.0);
            fact_field(ui, "Log file", |ui| {
                let choose = "Choose the folder for the log";
                if path_field(ui, "Log file", &mut form.file, "Log file", choose).1 {
                    actions.push(Action::ChooseLogFolder(PathBuf::from(&form.file)));
                }
                let text = "Preferably in the folder for archives, and never on a network drive.";
                ui.add(Label::new(RichText::new(text).color(palette(ui).weak)).wrap());
            });
            if !has_wal {
                fact_field(ui, "Journal mode", |ui| {
                    ui.add(Checkbox::new(&mut form.switch_to_wal, "Switch the data file to WAL mode"));
                    let text = "The log needs it, and this data file uses a rollback journal. It is a lasting change of the \
                                file, for all its programs; every SQLite since 2010 (3.7.0) understands it.";
                    ui.add(Label::new(RichText::new(text).color(palette(ui).warn.0)).wrap());
                });
            }
        },
        |ui, keys, (form, actions)| {
            let possible = !file.is_empty() && (has_wal || form.switch_to_wal);
            let pressed = primary_button(ui, None, "Use log and start backup", possible).clicked();
            let alone = ui.add_enabled_ui(possible, |ui| button(ui, None, "Use log only").clicked()).inner;
            if pressed || alone || (keys.enter && possible) {
                let switch_to_wal = !has_wal && form.switch_to_wal;
                let log = Some(PathBuf::from(file));
                actions.push(Action::UseLog { data_file, log, switch_to_wal, backup: !alone });
            }
            if button(ui, None, "Cancel").clicked() || keys.escape {
                actions.push(Action::CloseDialog);
            }
        },
    );
}

fn switch_off(ctx: &Context, form: &mut LogForm, actions: &mut Vec<Action>) {
    let data_file = form.data_file.clone();
    frame(
        ctx,
        "Stop using the log",
        560.0,
        actions,
        |ui, _| {
            let text = "Without the log, what is written after the last full backup can not be restored. The log file \
                        itself stays where it is.";
            ui.add(Label::new(RichText::new(text).color(palette(ui).warn.0)).wrap());
        },
        |ui, keys, actions| {
            if primary_button(ui, None, "Keep using the log", true).clicked() || keys.enter || keys.escape {
                actions.push(Action::CloseDialog);
            }
            if button(ui, None, "Stop using the log").clicked() {
                actions.push(Action::UseLog { data_file, log: None, switch_to_wal: false, backup: false });
            }
        },
    );
}
