//! The dialog *Look at a moment…*: which moment. It is picked on the timeline that restores have as well, or written.

use eframe::egui::{Context, Label, RichText, Ui};
use lucide_icons::Icon;

use super::super::{
    frame,
    timeline::timeline_ui,
    until::{how_far, point},
};
use crate::{
    as_of::ask::Which,
    engine::query::ArchiveLook,
    error::foreign::foreign,
    journal::integrate::Until,
    restore::{self, Moment},
    ui::{
        action::{Action, Look},
        answers::View,
        looking::MomentForm,
        state::{LogChoice, RestoreForm},
        theme::palette,
        widgets::{button, error_strip, fact, fact_field, primary_button, sentence, text_field, zone},
    },
};

pub(crate) fn moment_ui(ctx: &Context, status: &View<'_>, form: &mut MomentForm, actions: &mut Vec<Action>) {
    let look = form.question().and_then(|question| status.answers.look(&question));
    let is_known = look.as_ref().is_some_and(|look| look.result.is_ok());
    frame(
        ctx,
        "Look at a moment",
        760.0,
        &mut (form, actions),
        |ui, (form, actions)| {
            fact(ui, "Data file", foreign(&form.data_file.display().to_string()).to_string());
            if form.has_archive {
                picked_ui(ui, status, (form, look.as_ref()), actions);
            }
            written_ui(ui, &mut form.restore);
        },
        |ui, keys, (form, actions)| {
            let which = which(&form.restore, is_known);
            let pressed = primary_button(ui, Some(Icon::Eye), "Look", which.is_some()).clicked();
            if let Some(which) = which.filter(|_| pressed || keys.enter) {
                actions.push(Action::Look(Look::Open { data_file: form.data_file.clone(), which }));
            } else if button(ui, None, "Cancel").clicked() || keys.escape {
                actions.push(Action::CloseDialog);
            }
        },
    );
}

/// The state that was chosen.
fn which(form: &RestoreForm, is_known: bool) -> Option<Which> {
    let until = match form.log {
        // The archive that leads there is found, also where it is an older one.
        LogChoice::Moment => Until::Moment(restore::parse_moment(&form.moment).ok()?.at),
        LogChoice::Commit => Until::Commit(form.commit.trim().parse().ok()?),
        LogChoice::End if is_known => Until::End,
        LogChoice::End => return None,
        LogChoice::None => {
            return Some(Which::Archive { path: form.archive.clone(), segments: form.segments.clone() });
        }
    };
    Some(Which::Until(until))
}

/// The timeline, once archives and logs were looked at.
fn picked_ui(
    ui: &mut Ui,
    status: &View<'_>,
    (form, look): (&mut MomentForm, Option<&ArchiveLook>),
    actions: &mut Vec<Action>,
) {
    let plan = match look.map(|look| &look.result) {
        Some(Ok(plan)) => plan,
        Some(Err(error)) => return error_strip(ui, error, |_| ()),
        None => return fact(ui, "Timeline", "Looking at archives and logs …"),
    };
    let restore = &mut form.restore;
    let far = how_far(plan, restore);
    let found = plan.log.as_ref().and_then(|log| point(status, log, restore, &far, actions));
    timeline_ui(ui, status, (plan, found.as_ref()), restore, actions);
    if restore.log != LogChoice::Moment {
        // What was written before is not what is chosen now.
        restore.moment.clear();
    }
}

fn written_ui(ui: &mut Ui, form: &mut RestoreForm) {
    fact_field(ui, "Moment", |ui| {
        ui.horizontal_wrapped(|ui| {
            if text_field(ui, "Moment", &mut form.moment, "2026-11-22 12:00:00", 190.0).changed() {
                form.log = if form.moment.trim().is_empty() { LogChoice::End } else { LogChoice::Moment };
            }
            zone(ui);
        });
        let moment: Result<Moment, _> = restore::parse_moment(&form.moment);
        let (text, colour) = match &moment {
            _ if form.log != LogChoice::Moment => (
                "Nothing is restored: the tables and records of the moment that is picked above, or written here, are \
                 shown."
                    .to_owned(),
                palette(ui).weak,
            ),
            Ok(moment) => match moment.ambiguity() {
                Some(note) => (note, palette(ui).warn.0),
                None => ("The state that the last commit before it left is shown.".to_owned(), palette(ui).weak),
            },
            Err(error) => (sentence(error.hint_text().unwrap_or_default()), palette(ui).bad.0),
        };
        ui.add(Label::new(RichText::new(text).color(colour)).wrap());
    });
}
