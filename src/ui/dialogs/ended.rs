//! What a dialog says when the engine it talks to has ended, and the way on.

use eframe::egui::Ui;

use crate::{
    engine::{Command, Host, status::DataFileStatus},
    ui::{
        action::Action,
        widgets::{Tone, button, moment, strip},
    },
};

/// Whoever was asked has ended, and the question was asked again.
pub(super) fn ended_ui(ui: &mut Ui, ended: Option<Host>) {
    if let Some(host) = ended {
        let hint = "What this dialog shows is looked at again, by this window if nobody else is there.";
        strip(ui, Tone::Warn, &format!("{host} has ended"), Some(hint), |_| ());
        ui.add_space(6.0);
    }
}

/// Nobody looks after the data file, and what the dialog is for needs somebody who does.
pub(super) fn lost_ui(ui: &mut Ui, data_file: &DataFileStatus, actions: &mut Vec<Action>) {
    let Some(since) = data_file.lost_since.filter(|_| !data_file.is_gone()) else { return };
    let text = format!("{} has ended at {}: nobody looks after the data file", data_file.host, moment(&since));
    let hint = "This goes on when it is back. Or this window takes the data file over.";
    strip(ui, Tone::Bad, &text, Some(hint), |ui| {
        if button(ui, None, "Take over").clicked() {
            actions.push(Action::Send(Command::OpenDataFile { path: data_file.facts.path.clone() }));
        }
    });
    ui.add_space(6.0);
}
