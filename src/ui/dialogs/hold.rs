//! The dialog *Hold archive…*: an archive is kept for ever, with a note.

use eframe::egui::{Context, Label, RichText};
use lucide_icons::Icon;

use super::frame;
use crate::ui::{
    action::Action,
    state::HoldForm,
    theme::palette,
    widgets::{button, fact, fact_field, primary_button, text_field},
};

pub(crate) fn hold_ui(ctx: &Context, form: &mut HoldForm, actions: &mut Vec<Action>) {
    frame(
        ctx,
        "Hold archive",
        560.0,
        &mut (form, actions),
        |ui, (form, _)| {
            fact(ui, "Archive", form.archive.display().to_string());
            fact_field(ui, "Note", |ui| {
                let width = ui.available_width() - 16.0;
                let field = text_field(ui, "Note", &mut form.note, "such as: before the migration", width);
                if std::mem::take(&mut form.is_new) {
                    field.request_focus();
                }
                let text = "It is never deleted, with its log, and does not count among the backups that are kept, \
                    until it is released. The hold is a small file beside the archive.";
                ui.add(Label::new(RichText::new(text).color(palette(ui).weak)).wrap());
            });
        },
        |ui, keys, (form, actions)| {
            if primary_button(ui, Some(Icon::Lock), "Hold archive", true).clicked() || keys.enter {
                let note = Some(form.note.trim().to_owned()).filter(|note| !note.is_empty());
                actions.push(Action::Hold { archive: form.archive.clone(), note });
            }
            if button(ui, None, "Cancel").clicked() || keys.escape {
                actions.push(Action::CloseDialog);
            }
        },
    );
}
