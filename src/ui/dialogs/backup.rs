//! The dialog *Backup…*: what a full backup will do, before it does it.

use eframe::egui::Context;

use super::{ended::lost_ui, frame, settings::Tab};
use crate::{
    engine::Status,
    ui::{
        action::Action,
        jobs,
        screens::maintenance::{is_backed_up_now, space_facts},
        state::BackupForm,
        theme,
        widgets::{
            Tone, badge, button, choose_button, fact, fact_field, fact_with, line, moment, path_with, primary_button,
        },
    },
};

pub(crate) fn backup_ui(ctx: &Context, status: &Status, form: &mut BackupForm, actions: &mut Vec<Action>) {
    let Some(data_file) = status.data_file(&form.data_file) else {
        return;
    };
    let possible =
        data_file.problem.is_none() && data_file.lost_since.is_none() && !is_backed_up_now(status, data_file);
    frame(
        ctx,
        "Full backup",
        560.0,
        actions,
        |ui, actions| {
            lost_ui(ui, data_file, actions);
            fact(ui, "Data file", form.data_file.display().to_string());
            fact_with(ui, "Last full backup", |ui| match &data_file.last_backup {
                Some(last) => {
                    line(ui, |ui| {
                        ui.label(theme::strong(moment(&last.moment), ui));
                        badge(ui, Tone::of(last.outcome), last.outcome.label());
                    });
                }
                None => {
                    badge(ui, Tone::Warn, "None yet");
                }
            });
            if let Some(success) = &data_file.last_success {
                fact(ui, "Last that succeeded", moment(&success.moment));
            }
            fact_field(ui, "Location", |ui| {
                path_with(ui, &data_file.destination, |ui| {
                    if choose_button(ui, "Choose the folder for archives").clicked() {
                        actions.push(Action::ChooseDestination(form.data_file.clone()));
                    }
                });
            });
            let archive = data_file.plan.as_ref().map_or_else(String::new, |plan| jobs::name(&plan.archive));
            fact(ui, "Archive", archive);
            ui.add_space(4.0);
            space_facts(ui, data_file);
        },
        |ui, keys, actions| {
            let save = primary_button(ui, None, "Save", possible).on_hover_text("Start the backup").clicked();
            if save || (keys.enter && possible) {
                actions.push(Action::Backup(form.data_file.clone()));
            }
            if button(ui, None, "Cancel").clicked() || keys.escape {
                actions.push(Action::CloseDialog);
            }
            if button(ui, None, "Settings…").clicked() {
                actions.push(Action::AskSettings(form.data_file.clone(), Tab::default()));
            }
        },
    );
}
