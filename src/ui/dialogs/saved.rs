//! What became of a file that a dialog had saved, said in the dialog until it is put away.

use std::path::PathBuf;

use eframe::egui::Ui;
use lucide_icons::Icon;

use crate::{
    error::{ErrorReport, foreign::foreign},
    ui::{
        action::Action,
        widgets::{Tone, button, error_strip, strip},
    },
};

/// Says of `saved` that it was done, with `done`, and where the file is; or why not.
pub(super) fn saved_ui(
    ui: &mut Ui,
    saved: &mut Option<Result<PathBuf, ErrorReport>>,
    done: &str,
    actions: &mut Vec<Action>,
) {
    let mut is_dismissed = false;
    match saved {
        None => return,
        Some(Ok(file)) => {
            let path = foreign(&file.display().to_string()).to_string();
            strip(ui, Tone::Good, done, Some(&path), |ui| {
                is_dismissed = button(ui, Some(Icon::X), "Dismiss").clicked();
                if let Some(folder) = file.parent()
                    && button(ui, Some(Icon::Folder), "Show folder").clicked()
                {
                    actions.push(Action::ShowFolder(folder.to_path_buf()));
                }
            });
        }
        Some(Err(error)) => {
            error_strip(ui, error, |ui| is_dismissed = button(ui, Some(Icon::X), "Dismiss").clicked());
        }
    }
    ui.add_space(6.0);
    if is_dismissed {
        *saved = None;
    }
}
