//! The dialog *Create sample…*: asks for the folder and names it.

use std::path::PathBuf;

use eframe::egui::{Context, Label, RichText};

use super::frame;
use crate::ui::{
    action::Action,
    state::SampleForm,
    theme::palette,
    widgets::{button, fact_field, path_field, primary_button},
};

pub(crate) fn sample_ui(ctx: &Context, form: &mut SampleForm, actions: &mut Vec<Action>) {
    let folder = form.folder.trim().to_owned();
    let possible = !folder.is_empty();
    frame(
        ctx,
        "Create the sample",
        560.0,
        &mut (form, actions),
        |ui, (form, actions)| {
            let text = "OMB_Edelweiss.sqlite holds the records of an office: clients, articles, invoices, \
                        appointments and documents, some 50 000 records. A small client can edit it while you try \
                        backups.";
            ui.add(Label::new(RichText::new(text).color(palette(ui).text)).wrap());
            ui.add_space(6.0);
            fact_field(ui, "Folder", |ui| {
                let choose = "Choose the folder for the sample";
                if path_field(ui, "Folder", &mut form.folder, "Folder for the sample", choose).1 {
                    actions.push(Action::ChooseSampleFolder(PathBuf::from(&form.folder)));
                }
                let text = "Made when it does not exist. Nothing that exists is overwritten.";
                ui.add(Label::new(RichText::new(text).color(palette(ui).weak)).wrap());
            });
        },
        |ui, keys, (_, actions)| {
            let pressed = primary_button(ui, None, "Create sample", possible).clicked();
            if pressed || (keys.enter && possible) {
                actions.push(Action::CreateSample(PathBuf::from(folder)));
            }
            if button(ui, None, "Cancel").clicked() || keys.escape {
                actions.push(Action::CloseDialog);
            }
        },
    );
}
