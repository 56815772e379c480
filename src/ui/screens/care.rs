//! The card *Records and indexes*: when the data file was verified and compacted last, and the buttons that do it.

use eframe::egui::{Label, RichText, Ui};
use lucide_icons::Icon;

use crate::{
    engine::{
        Command, JobId, Status,
        history::JobKind,
        status::{DataFileStatus, LastRun},
    },
    error::ErrorKind,
    sqlite::compact,
    storage::space::human_bytes,
    ui::{
        action::{Action, Recover},
        jobs,
        theme::{self, palette},
        widgets::{self, Tone, badge, button, fact, fact_with, line, moment},
    },
};

pub(crate) fn care_ui(ui: &mut Ui, status: &Status, data_file: &DataFileStatus, actions: &mut Vec<Action>) {
    let path = &data_file.facts.path;
    let care = &data_file.maintenance;
    let runs = |kind| status.jobs.iter().any(|j| j.kind == kind && j.data_file.as_ref() == Some(path));
    let possible = data_file.problem.is_none() && data_file.lost_since.is_none();
    last_run(ui, "Last verification", care.last_check.as_ref());
    ui.horizontal_wrapped(|ui| {
        let idle = possible && !runs(JobKind::VerifyRecords) && !runs(JobKind::Compact);
        ui.add_enabled_ui(idle, |ui| {
            let verify = button(ui, Some(Icon::ListChecks), "Verify")
                .on_hover_text("Check every record and index with SQLite, while programs go on");
            if verify.clicked() {
                let (job, data_file) = (JobId::new(), path.clone());
                actions.push(Action::Send(Command::VerifyRecords { job, data_file }));
            }
        });
        if let Some(last) = care.last_check.as_ref().filter(|last| last.has_report)
            && button(ui, Some(Icon::FileText), "View report").clicked()
        {
            actions.push(Action::AskReport { data_file: path.clone(), job: last.job });
        }
    });
    ui.add_space(8.0);
    last_run(ui, "Last compacting", care.last_compact.as_ref());
    let frees = compact::need(&data_file.facts).frees_bytes;
    fact(ui, "Not in use", human_bytes(frees));
    ui.horizontal_wrapped(|ui| {
        ui.add_enabled_ui(possible && !runs(JobKind::Compact), |ui| {
            let compact = button(ui, None, "Compact data…").on_hover_text("Make the data file as short as its content");
            if compact.clicked() {
                actions.push(Action::AskCompact(path.clone()));
            }
        });
        ui.add_enabled_ui(!runs(JobKind::Recover), |ui| {
            if button(ui, Some(Icon::LifeBuoy), "Recover…").on_hover_text(jobs::RECOVER_TIP).clicked() {
                actions.push(Action::Recover(Recover::Ask(path.clone())));
            }
        });
    });
}

fn last_run(ui: &mut Ui, label: &str, last: Option<&LastRun>) {
    let Some(last) = last else {
        fact(ui, label, "Never");
        return;
    };
    fact_with(ui, label, |ui| {
        line(ui, |ui| {
            ui.label(theme::strong(moment(&last.moment), ui));
            badge(ui, tone(last), last.outcome.label());
        });
        if let Some(error) = &last.error {
            let text = RichText::new(widgets::sentence(&error.message)).color(palette(ui).text);
            ui.add(Label::new(text).wrap().selectable(true));
        }
    });
}

/// Damage that was found is worse than a verification that could not be made, as a whole or of some tables.
fn tone(last: &LastRun) -> Tone {
    use crate::engine::history::Outcome;
    let is_damaged = last.error.as_ref().is_none_or(|error| error.kind != ErrorKind::Partial);
    if last.outcome == Outcome::Partial && is_damaged { Tone::Bad } else { Tone::of(last.outcome) }
}
