//! The question whether to leave a data file without its log and its schedule.

use std::path::Path;

use eframe::egui::{Context, Label, RichText};

use super::frame;
use crate::{
    engine::{Command, HostKind, Status, status::DataFileStatus},
    settings::sections::Frequency,
    ui::{
        action::Action,
        jobs,
        theme::palette,
        widgets::{button, primary_button},
    },
};

pub(crate) fn close_ui(ctx: &Context, status: &Status, data_file: &Path, actions: &mut Vec<Action>) {
    let Some(known) = status.data_file(data_file) else {
        // Somebody else closed it meanwhile.
        actions.push(Action::CloseDialog);
        return;
    };
    frame(
        ctx,
        &format!("Stop looking after {}?", jobs::full_name(status, data_file)),
        520.0,
        actions,
        |ui, _| {
            ui.add(Label::new(RichText::new(what_ends(known)).color(palette(ui).warn.0)).wrap());
            let text = "The data file, its archives and its log stay where they are. Opened again, it is looked after \
                as before.";
            ui.add(Label::new(RichText::new(text).color(palette(ui).text)).wrap());
        },
        |ui, keys, actions| {
            if primary_button(ui, None, "Go on looking after it", true).clicked() || keys.enter || keys.escape {
                actions.push(Action::CloseDialog);
            }
            if button(ui, None, "Stop looking after it").clicked() {
                actions.push(Action::Send(Command::CloseDataFile { path: data_file.to_path_buf() }));
                actions.push(Action::CloseDialog);
            }
        },
    );
}

/// Whether closing it ends something that protects it.
pub(crate) fn is_worth_asking(data_file: &DataFileStatus) -> bool {
    data_file.lost_since.is_none() && (data_file.host.kind == HostKind::Service || data_file.is_protected())
}

fn what_ends(data_file: &DataFileStatus) -> String {
    let log = data_file.log_file.is_some().then_some("no commit is recorded any more");
    let backups = (data_file.settings.scheduler.frequency != Frequency::Never).then_some("no backup is made by itself");
    let ends: Vec<&str> = [log, backups].into_iter().flatten().collect();
    let ends = if ends.is_empty() { String::new() } else { format!(": {}", ends.join(", and ")) };
    match data_file.host.kind {
        HostKind::Service => format!("It leaves the list of the service{ends}."),
        HostKind::Background => format!("The process in the background gives it up{ends}."),
        _ => format!("Nobody looks after it from then on{ends}."),
    }
}
