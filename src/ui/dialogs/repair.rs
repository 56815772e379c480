//! The dialog *Repair archive…*: what is damaged as far as is known, and where the sound copy goes.

use std::path::{Path, PathBuf};

use eframe::egui::{Context, Label, RichText};
use lucide_icons::Icon;

use super::{ended::ended_ui, frame};
use crate::{
    archive::heal::Repaired,
    engine::{
        Host, Query, Status,
        status::{FinishedJob, JobReport},
    },
    restore::Logs,
    ui::{
        action::Action,
        answers::View,
        state::RepairForm,
        theme::palette,
        widgets::{button, error_strip, fact, fact_field, path_field, primary_button, sentence},
    },
};

/// What the last verification of an archive found, as far as it is remembered.
fn verified<'a>(status: &'a Status, archive: &Path) -> Option<&'a Repaired> {
    let of_archive = |job: &'a FinishedJob| match &job.result {
        Ok(JobReport::Verify(report)) if report.archive == archive => Some(report),
        _ => None,
    };
    status.finished.iter().find_map(of_archive)?.damage.as_ref()
}

pub(crate) fn repair_ui(
    ctx: &Context,
    status: &View<'_>,
    (form, ended): (&mut RepairForm, Option<Host>),
    actions: &mut Vec<Action>,
) {
    let (path, segments) = (form.archive.clone(), form.segments.clone());
    let look = status.answers.look(&Query::Archive { path, segments, logs: Logs::Found });
    let copy = form.to.clone().or_else(|| look.as_ref().map(|look| look.copy.display().to_string()));
    let to = copy.clone().unwrap_or_default().trim().to_owned();
    let possible = !to.is_empty();
    frame(
        ctx,
        "Repair archive",
        640.0,
        &mut (form, actions),
        |ui, (form, actions)| {
            ended_ui(ui, ended);
            fact(ui, "Archive", form.archive.display().to_string());
            match &look {
                None => fact(ui, "Damage", "Reading the archive …"),
                Some(look) => match &look.result {
                    Ok(plan) => {
                        let known = plan.repaired.as_ref().or_else(|| verified(status, &form.archive));
                        let found = known.map(|repaired| repaired.in_words());
                        let text = found.map_or_else(
                            || "No damage is known. The repair reads every byte to find out.".to_owned(),
                            |words| format!("{}.", sentence(&words)),
                        );
                        fact(ui, "Damage", text);
                    }
                    Err(error) => error_strip(ui, error, |_| ()),
                },
            }
            fact_field(ui, "Sound copy", |ui| {
                let mut text = copy.clone().unwrap_or_default();
                let choose = "Choose the folder of the sound copy";
                let (changed, pressed) = path_field(ui, "Sound copy", &mut text, "File for the sound copy", choose);
                if changed {
                    form.to = Some(text);
                }
                if pressed {
                    actions.push(Action::ChooseRepairFolder(PathBuf::from(&to)));
                }
                let text = "A new file, better on another disk. The damaged archive stays as it is; nothing that \
                    exists is overwritten. When every byte turns out to be sound, nothing is written.";
                ui.add(Label::new(RichText::new(text).color(palette(ui).weak)).wrap());
            });
        },
        |ui, keys, (form, actions)| {
            let pressed = primary_button(ui, Some(Icon::Wrench), "Repair archive", possible).clicked();
            if pressed || (keys.enter && possible) {
                let (archive, segments) = (form.archive.clone(), form.segments.clone());
                actions.push(Action::Repair { archive, segments, to: PathBuf::from(&to) });
            }
            if button(ui, None, "Cancel").clicked() || keys.escape {
                actions.push(Action::CloseDialog);
            }
        },
    );
}
