//! The dialog *Export*: what the page Activity lists, as a file for other programs.

use std::path::PathBuf;

use eframe::egui::{Context, Label, RichText};
use lucide_icons::Icon;

use super::frame;
use crate::ui::{
    action::Action,
    activity::export::{FileForm, propose},
    theme::palette,
    widgets::{button, count, fact, fact_field, fact_with, path_field, primary_button},
};

/// What is exported, and where to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ExportForm {
    /// The data file, or the log.
    pub(crate) of: PathBuf,
    /// How many operations pass the filter, as far as is known.
    pub(crate) operations: u64,
    pub(crate) form: FileForm,
    /// The folder as typed or chosen.
    pub(crate) folder: String,
}

pub(crate) fn export_ui(ctx: &Context, form: &mut ExportForm, actions: &mut Vec<Action>) {
    let file = propose(&PathBuf::from(form.folder.trim()), &form.of, form.form);
    let can = !form.folder.trim().is_empty();
    frame(
        ctx,
        "Export",
        620.0,
        &mut (form, actions),
        |ui, (form, actions)| {
            fact(ui, "Operations", format!("{}, as filtered", count(form.operations)));
            fact_with(ui, "Form", |ui| {
                ui.radio_value(&mut form.form, FileForm::Csv, "Comma-separated values (CSV)");
                ui.radio_value(&mut form.form, FileForm::Xlsx, "Workbook for spreadsheet programs (XLSX)");
                ui.radio_value(&mut form.form, FileForm::Json, "JSON lines");
            });
            fact_field(ui, "Folder", |ui| {
                let (_, pressed) = path_field(ui, "Folder", &mut form.folder, "Folder", "Choose the folder");
                if pressed {
                    actions.push(Action::ChooseExportFolder(PathBuf::from(form.folder.trim())));
                }
            });
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            fact(ui, "File", name);
            let text = match form.form {
                FileForm::Xlsx => {
                    "The oldest operation comes first. What is longer than a cell of a spreadsheet holds is cut, and \
                     named in a sheet of its own. The file can be read by this user only."
                }
                _ => "Values are written whole, the oldest operation first. The file can be read by this user only.",
            };
            ui.add(Label::new(RichText::new(text).color(palette(ui).weak)).wrap());
        },
        |ui, keys, (form, actions)| {
            let pressed = primary_button(ui, Some(Icon::FileText), "Export", can).clicked();
            if can && (pressed || keys.enter) {
                actions.push(Action::Export { file: file.clone(), form: form.form });
            }
            if button(ui, None, "Cancel").clicked() || keys.escape {
                actions.push(Action::CloseDialog);
            }
        },
    );
}
