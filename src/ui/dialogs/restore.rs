//! The dialog *Restore…*: what an archive holds, what of it is wanted, and where it goes.

use std::path::PathBuf;

use eframe::egui::{Context, Label, RichText, Ui};
use lucide_icons::Icon;

use super::{
    ended::ended_ui,
    frame,
    segments::segments_ui,
    until::{how_far, until_ui},
};
use crate::{
    engine::{Host, query::ArchiveLook},
    journal::integrate::Until,
    restore::{Logs, RestorePlan},
    storage::space::human_bytes,
    ui::{
        action::Action,
        answers::View,
        screens::maintenance::advice,
        state::RestoreForm,
        theme::palette,
        widgets::{
            Tone, button, check_box, error_strip, fact, fact_field, fact_with, moment, path_field, path_with,
            primary_button,
        },
    },
};

/// More of what an archive lacks is only counted.
const LACKING_SHOWN: usize = 5;

pub(crate) fn restore_ui(
    ctx: &Context,
    status: &View<'_>,
    (form, ended): (&mut RestoreForm, Option<Host>),
    actions: &mut Vec<Action>,
) {
    let look = form.look(status.answers);
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
            ended_ui(ui, ended);
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
                Some(ArchiveLook { missing: Some(missing), result: Err(_), .. }) => {
                    segments_ui(ui, (&form.archive, missing), &form.segments, actions);
                }
                Some(look) => match &look.result {
                    Ok(plan) => {
                        if let Some(missing) = &look.missing {
                            segments_ui(ui, (&form.archive, missing), &form.segments, actions);
                        }
                        plan_ui(ui, status, plan, form, folder.as_deref().unwrap_or_default(), actions);
                    }
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
                    segments: form.segments.clone(),
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

fn plan_ui(
    ui: &mut Ui,
    status: &View<'_>,
    plan: &RestorePlan,
    form: &mut RestoreForm,
    folder: &str,
    actions: &mut Vec<Action>,
) {
    fact(ui, "Number", plan.identity.number.to_string());
    fact(ui, "Date and time", moment(&plan.identity.moment));
    fact(ui, "Archive size", human_bytes(plan.bytes));
    if let Some(repaired) = &plan.repaired {
        let problem = repaired.in_words();
        let text = if repaired.damage.is_repaired() {
            format!("The archive is damaged and is repaired on the fly: {problem}.")
        } else {
            format!(
                "The archive is damaged beyond repair: {problem}. What is still whole can be restored, alone if \
                 need be."
            )
        };
        fact_with(ui, "Damage", |ui| advice(ui, Tone::Warn, &text));
    }
    if let Some(lacking) = &plan.not_whole {
        let shown: Vec<String> = lacking.lines().into_iter().take(LACKING_SHOWN).collect();
        let more = lacking.count.saturating_sub(shown.len() as u64);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        let text = format!("The archive is partial. Not in it, or not whole: {}{more}", shown.join("; "));
        fact_with(ui, "Lacks", |ui| advice(ui, Tone::Warn, &text));
    }
    fact_with(ui, "Content", |ui| {
        for item in &plan.items {
            ui.horizontal(|ui| {
                let mut on = !form.unwanted.contains(&item.name);
                let label = format!("{}: {}", item.kind.label(), item.name);
                if check_box(ui, &mut on, &label).changed() {
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
    until_ui(ui, status, plan, form, actions);
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
