//! The dialog *Install as a service…*: what is written where, before it is.

use eframe::egui::{Context, Label, RichText};

use super::frame;
use crate::ui::{
    action::Action,
    state::ServiceForm,
    theme::palette,
    widgets::{button, error_strip, fact, fact_with, primary_button},
};

pub(crate) fn service_ui(ctx: &Context, form: &mut ServiceForm, actions: &mut Vec<Action>) {
    let plan = form.plan.clone();
    frame(
        ctx,
        "Install as a service",
        640.0,
        actions,
        |ui, _| {
            let text = "A service looks after the data files from now on: it keeps their logs and makes the backups \
                that are due, whether or not a window is open. This window joins it. The service runs as the owner of \
                the data files and needs no further rights.";
            ui.add(Label::new(RichText::new(text).color(palette(ui).text)).wrap());
            ui.add_space(6.0);
            fact_with(ui, "Data files", |ui| {
                for path in &form.data_files {
                    let text = RichText::new(path.display().to_string()).color(palette(ui).strong);
                    ui.add(Label::new(text).wrap().selectable(true));
                }
            });
            match &plan {
                Ok(plan) => {
                    fact(ui, "Service", plan.name.clone());
                    fact(ui, "Written to", plan.file.0.display().to_string());
                    fact(ui, "Its list", plan.list.display().to_string());
                    let begin: Vec<String> = plan.begin.iter().map(|command| command.join(" ")).collect();
                    fact(ui, "Then run", begin.join("\n"));
                    if let Some(advice) = &plan.advice {
                        ui.add(Label::new(RichText::new(advice).color(palette(ui).weak)).wrap().selectable(true));
                    }
                }
                Err(error) => {
                    ui.add_space(4.0);
                    error_strip(ui, error, |_| ());
                }
            }
        },
        |ui, keys, actions| {
            let possible = plan.is_ok();
            let label = if form.quits { "Install service and quit" } else { "Install service" };
            let pressed = primary_button(ui, None, label, possible).clicked();
            if pressed || keys.enter && possible {
                actions.push(Action::InstallService);
            }
            if button(ui, None, "Cancel").clicked() || keys.escape {
                actions.push(Action::CloseDialog);
            }
        },
    );
}
