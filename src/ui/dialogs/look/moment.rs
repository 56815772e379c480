//! The dialog *Look at a moment…*: which moment.

use eframe::egui::{Context, Label, RichText};
use lucide_icons::Icon;

use super::super::frame;
use crate::{
    as_of::ask::Which,
    error::foreign::foreign,
    journal::integrate::Until,
    restore::{self, Moment},
    ui::{
        action::{Action, Look},
        looking::MomentForm,
        theme::palette,
        widgets::{button, fact, fact_field, primary_button, sentence, text_field, zone},
    },
};

pub(crate) fn moment_ui(ctx: &Context, form: &mut MomentForm, actions: &mut Vec<Action>) {
    let moment = restore::parse_moment(&form.moment);
    let found = moment.as_ref().ok().copied();
    frame(
        ctx,
        "Look at a moment",
        560.0,
        &mut (form, actions),
        |ui, (form, _)| {
            fact(ui, "Data file", foreign(&form.data_file.display().to_string()).to_string());
            fact_field(ui, "Moment", |ui| {
                ui.horizontal_wrapped(|ui| {
                    text_field(ui, "Moment", &mut form.moment, "2026-11-22 12:00:00", 190.0);
                    zone(ui);
                });
                let (text, colour) = match &moment {
                    Ok(moment) => match moment.ambiguity() {
                        Some(note) => (note, palette(ui).warn.0),
                        None => {
                            ("The state that the last commit before it left is shown.".to_owned(), palette(ui).weak)
                        }
                    },
                    Err(error) if !form.moment.trim().is_empty() => {
                        (sentence(error.hint_text().unwrap_or_default()), palette(ui).bad.0)
                    }
                    Err(_) => (
                        "Nothing is restored: the tables and records of that moment are shown.".to_owned(),
                        palette(ui).weak,
                    ),
                };
                ui.add(Label::new(RichText::new(text).color(colour)).wrap());
            });
        },
        |ui, keys, (form, actions)| {
            let pressed = primary_button(ui, Some(Icon::Eye), "Look", found.is_some()).clicked();
            if let Some(Moment { at, .. }) = found.filter(|_| pressed || keys.enter) {
                let which = Which::Until(Until::Moment(at));
                actions.push(Action::Look(Look::Open { data_file: form.data_file.clone(), which }));
            } else if button(ui, None, "Cancel").clicked() || keys.escape {
                actions.push(Action::CloseDialog);
            }
        },
    );
}
