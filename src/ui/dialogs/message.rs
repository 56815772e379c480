//! The dialog that says what happened, with what can be done about it.

use eframe::egui::{Context, Label, RichText};
use lucide_icons::Icon;

use super::frame;
use crate::ui::{
    action::Action,
    state::MessageForm,
    theme::{self, palette},
    widgets::{button, primary_button, sentence},
};

pub(crate) fn message_ui(ctx: &Context, form: &MessageForm, actions: &mut Vec<Action>) {
    frame(
        ctx,
        &form.title,
        500.0,
        actions,
        |ui, _| {
            ui.add(Label::new(theme::strong(sentence(&form.error.message), ui)).wrap().selectable(true));
            if let Some(hint) = &form.error.hint {
                ui.add(Label::new(RichText::new(hint).color(palette(ui).text)).wrap().selectable(true));
            }
        },
        |ui, keys, actions| {
            if primary_button(ui, None, "Close", true).clicked() || keys.enter || keys.escape {
                actions.push(Action::CloseMessage);
            }
            if let Some(path) = &form.path
                && button(ui, Some(Icon::Copy), "Copy path").clicked()
            {
                actions.push(Action::Copy(path.display().to_string()));
            }
        },
    );
}
