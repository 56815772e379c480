//! The dialog *Restore…*: what an archive holds, what of it is wanted, and where it goes.

use std::path::PathBuf;

use chrono::Local;
use eframe::egui::{Checkbox, Context, Label, RichText, Ui};
use lucide_icons::Icon;

use super::frame;
use crate::{
    engine::Status,
    journal::integrate::{PlanEnd, Until},
    restore::{self, Logs, RestorePlan},
    storage::space::human_bytes,
    ui::{
        action::Action,
        state::{LogChoice, RestoreForm},
        theme::palette,
        widgets::{
            button, count, error_strip, fact, fact_field, fact_with, moment, path_field, path_with, primary_button,
            text_field,
        },
    },
};

pub(crate) fn restore_ui(ctx: &Context, status: &Status, form: &mut RestoreForm, actions: &mut Vec<Action>) {
    let look = form.look(status).cloned();
    let plan = look.as_ref().and_then(|look| look.result.as_ref().ok());
    let title = plan.map_or_else(|| "Restore".to_owned(), |plan| format!("Restore archive {}", plan.identity.number));
    let folder = form.destination.clone().or_else(|| plan.map(|plan| plan.destination.display().to_string()));
    let items = plan.map(|plan| wanted(plan, form)).unwrap_or_default();
    frame(
        ctx,
        "Restore",
        700.0,
        &mut (form, actions),
        |ui, (form, actions)| {
            fact_field(ui, "Archive", |ui| {
                path_with(ui, &form.archive, |ui| {
                    if button(ui, None, "Show").on_hover_text("Show the archive's folder").clicked() {
                        let folder = form.archive.parent().unwrap_or(&form.archive);
                        actions.push(Action::ShowFolder(folder.to_path_buf()));
                    }
                });
            });
            match &look {
                None => fact(ui, "Content", "Reading the archive …"),
                Some(look) => match &look.result {
                    Ok(plan) => plan_ui(ui, plan, form, folder.as_deref().unwrap_or_default(), actions),
                    Err(error) => {
                        ui.add_space(4.0);
                        error_strip(ui, error, |_| ());
                    }
                },
            }
        },
        |ui, keys, (form, actions)| {
            let destination = folder.as_deref().unwrap_or_default().trim().to_owned();
            let far = plan.map_or(Ok((Logs::None, Until::End)), |plan| how_far(plan, form));
            let possible = plan.is_some() && !items.is_empty() && !destination.is_empty() && far.is_ok();
            let pressed = primary_button(ui, Some(Icon::ArchiveRestore), &title, possible).clicked();
            if (pressed || (keys.enter && possible))
                && let Ok((logs, until)) = far
            {
                let all = plan.is_some_and(|plan| plan.items.len() == items.len());
                actions.push(Action::Restore {
                    archive: form.archive.clone(),
                    items: if all { Vec::new() } else { items },
                    destination: PathBuf::from(destination),
                    logs,
                    until,
                });
            }
            if button(ui, None, "Cancel").clicked() || keys.escape {
                actions.push(Action::CloseDialog);
            }
        },
    );
}

fn wanted(plan: &RestorePlan, form: &RestoreForm) -> Vec<String> {
    plan.items.iter().map(|item| item.name.clone()).filter(|name| !form.unwanted.contains(name)).collect()
}

/// What the form says of the logs; the error is what to correct.
fn how_far(plan: &RestorePlan, form: &RestoreForm) -> Result<(Logs, Until), String> {
    let Some(log) = &plan.log else { return Ok((Logs::Found, Until::End)) };
    match form.log {
        LogChoice::End => Ok((Logs::Found, Until::End)),
        LogChoice::None => Ok((Logs::None, Until::End)),
        LogChoice::Moment => match restore::parse_moment(form.moment.trim()) {
            Ok(moment) => Ok((Logs::Found, Until::Moment(moment))),
            Err(error) => Err(error.hint_text().unwrap_or_default().to_owned()),
        },
        LogChoice::Commit => match form.commit.trim().parse() {
            Ok(number) if (log.from.commit..=log.to.commit).contains(&number) => {
                Ok((Logs::Found, Until::Commit(number)))
            }
            _ => Err(format!("Give a number from {} to {}.", log.from.commit, log.to.commit)),
        },
    }
}

/// The logs that continue the archive, and how far to go.
fn log_ui(ui: &mut Ui, plan: &RestorePlan, form: &mut RestoreForm) {
    let Some(log) = &plan.log else {
        if plan.identity.log_position.is_some() {
            fact(ui, "Log", "No commits after this archive were found.");
        }
        return;
    };
    let last =
        log.times.map_or_else(String::new, |(_, last)| format!(", up to {}", moment(&last.with_timezone(&Local))));
    fact_with(ui, "Log", |ui| {
        let commits = format!("Integrate all {} commits{last}", count(log.commits));
        ui.radio_value(&mut form.log, LogChoice::End, commits);
        ui.horizontal(|ui| {
            ui.radio_value(&mut form.log, LogChoice::Moment, "Up to a moment:");
            if text_field(ui, "Moment", &mut form.moment, "2026-11-22 12:00:00", 170.0).has_focus() {
                form.log = LogChoice::Moment;
            }
            ui.label(RichText::new(Local::now().format("%:z").to_string()).color(palette(ui).weak));
        });
        ui.horizontal(|ui| {
            ui.radio_value(&mut form.log, LogChoice::Commit, "Up to a commit:");
            let hint = log.to.commit.to_string();
            if text_field(ui, "Commit", &mut form.commit, &hint, 170.0).has_focus() {
                form.log = LogChoice::Commit;
            }
        });
        ui.radio_value(&mut form.log, LogChoice::None, "Nothing: the state of the archive itself");
        if let Err(correct) = how_far(plan, form) {
            ui.add(Label::new(RichText::new(correct).color(palette(ui).warn.0)).wrap());
        }
        for stretch in &log.catch_ups {
            let at = |time: &chrono::DateTime<chrono::Utc>| moment(&time.with_timezone(&Local));
            let text = format!(
                "From {} to {} nobody watched: single commits are not known.",
                at(&stretch.from),
                at(&stretch.to)
            );
            ui.add(Label::new(RichText::new(text).color(palette(ui).weak)).wrap());
        }
        if let Some(text) = ending(&log.end) {
            ui.add(Label::new(RichText::new(text).color(palette(ui).warn.0)).wrap());
        }
    });
}

/// Why the logs end early, if they do.
fn ending(end: &PlanEnd) -> Option<String> {
    match end {
        PlanEnd::Complete | PlanEnd::Torn { .. } => None,
        PlanEnd::Damaged { path, offset } => {
            Some(format!("{} is damaged at byte {offset}; what follows can not be integrated.", path.display()))
        }
        PlanEnd::Gap { path, commit } => {
            Some(format!("{} has a gap after commit {commit}; what follows can not be integrated.", path.display()))
        }
    }
}

fn plan_ui(ui: &mut Ui, plan: &RestorePlan, form: &mut RestoreForm, folder: &str, actions: &mut Vec<Action>) {
    fact(ui, "Number", plan.identity.number.to_string());
    fact(ui, "Date and time", moment(&plan.identity.moment));
    fact(ui, "Archive size", human_bytes(plan.bytes));
    fact_with(ui, "Content", |ui| {
        for item in &plan.items {
            ui.horizontal(|ui| {
                let mut on = !form.unwanted.contains(&item.name);
                let label = format!("{}: {}", item.kind.label(), item.name);
                if ui.add(Checkbox::new(&mut on, label)).changed() {
                    if on {
                        form.unwanted.remove(&item.name);
                    } else {
                        form.unwanted.insert(item.name.clone());
                    }
                }
                ui.label(RichText::new(human_bytes(item.length)).color(palette(ui).weak));
            });
        }
    });
    log_ui(ui, plan, form);
    fact_field(ui, "Destination", |ui| {
        let mut text = folder.to_owned();
        let hint = "Folder for the restored files";
        let (changed, choose) = path_field(ui, "Destination", &mut text, hint, "Choose the destination");
        if changed {
            form.destination = Some(text);
        }
        if choose {
            actions.push(Action::ChooseRestoreFolder(PathBuf::from(folder)));
        }
        let text = "Made when it does not exist. Nothing that exists is overwritten.";
        ui.add(Label::new(RichText::new(text).color(palette(ui).weak)).wrap());
    });
}
