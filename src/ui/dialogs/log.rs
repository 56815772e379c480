//! The question whether to stop using the log. Where it begins is the tab *Configuration* of the settings.

use std::path::Path;

use eframe::egui::{Context, Label, RichText};

use super::frame;
use crate::ui::{
    action::Action,
    theme::palette,
    widgets::{button, primary_button},
};

/// What is lost with the log.
pub(crate) const LOST: &str = "Without the log, what is written after the last full backup cannot be restored. The \
    log file itself stays where it is.";

pub(crate) fn stop_ui(ctx: &Context, data_file: &Path, actions: &mut Vec<Action>) {
    frame(
        ctx,
        "Stop using the log",
        560.0,
        actions,
        |ui, _| {
            ui.add(Label::new(RichText::new(LOST).color(palette(ui).warn.0)).wrap());
        },
        |ui, keys, actions| {
            if primary_button(ui, None, "Keep using the log", true).clicked() || keys.enter || keys.escape {
                actions.push(Action::CloseDialog);
            }
            if button(ui, None, "Stop using the log").clicked() {
                actions.push(Action::StopLog(data_file.to_path_buf()));
            }
        },
    );
}
