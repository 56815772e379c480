//! The question before a restore in place is undone: what comes back and what leaves, in numbers.

use eframe::egui::{Context, Label, RichText, Ui};
use lucide_icons::Icon;

use super::{ended::lost_ui, frame};
use crate::{
    engine::{
        Answer, Query,
        status::{DataFileStatus, DoneInPlace},
    },
    restore::undo::UndoPlan,
    ui::{
        action::Action,
        answers::View,
        screens::maintenance::advice,
        state::UndoForm,
        theme::palette,
        widgets::{Tone, button, dangerous_button, error_strip, fact, moment},
    },
};

pub(crate) fn undo_ui(ctx: &Context, status: &View<'_>, form: &UndoForm, actions: &mut Vec<Action>) {
    let Some(data_file) = status.data_file(&form.data_file) else { return };
    let Some(done) = data_file.in_place.iter().find(|done| done.job == form.of) else { return };
    let seen = status.answers.to(&Query::Undo { data_file: form.data_file.clone(), of: form.of });
    let plan = match seen {
        Some(Ok(Answer::Undo(plan))) => Some(plan),
        _ => None,
    };
    frame(
        ctx,
        "Undo the restore in place",
        600.0,
        actions,
        |ui, actions| {
            lost_ui(ui, data_file, actions);
            fact(ui, "Data file", form.data_file.display().to_string());
            fact(ui, "Open in", data_file.holders.in_words());
            fact(ui, "Restore in place", format!("{}, {}", moment(&done.moment), went_to(done)));
            match seen {
                None if data_file.lost_since.is_some() => {
                    fact(
                        ui,
                        "Undoing it",
                        "What that would change can be told when somebody looks after the data file.",
                    );
                }
                Some(Ok(Answer::Undo(plan))) => plan_ui(ui, data_file, done, plan),
                None | Some(Ok(_)) => fact(ui, "Undoing it", "Looking at what that would change …"),
                Some(Err(error)) => {
                    ui.add_space(4.0);
                    error_strip(ui, error, |_| ());
                }
            }
        },
        |ui, keys, actions| {
            let possible = plan.is_some() && data_file.problem.is_none() && data_file.lost_since.is_none();
            // Enter does not press it: what programs use is replaced only by a deliberate act.
            if dangerous_button(ui, Icon::Undo2, "Undo the restore", possible).clicked() {
                actions.push(Action::Undo { data_file: form.data_file.clone(), of: form.of });
            }
            if button(ui, None, "Cancel").clicked() || keys.escape {
                actions.push(Action::CloseDialog);
            }
        },
    );
}

fn plan_ui(ui: &mut Ui, data_file: &DataFileStatus, done: &DoneInPlace, plan: &UndoPlan) {
    if let Some(state) = &plan.moment {
        fact(ui, "Back to the state of", moment(state));
    }
    ui.add_space(4.0);
    // Programs go on while this is read.
    let last = data_file.log.as_ref().map(|log| log.position.commit);
    let since = plan.counted_at.zip(last).map_or(0, |(counted, last)| last.saturating_sub(counted));
    let [comes, leaves] = plan.in_words(done.commits_left, since);
    ui.add(Label::new(RichText::new(comes).color(palette(ui).strong)).wrap());
    let tone = if plan.leaves == Some(0) && since == 0 { Tone::Good } else { Tone::Warn };
    if tone == Tone::Warn {
        advice(ui, tone, &leaves);
    } else {
        ui.add(Label::new(RichText::new(leaves).color(palette(ui).strong)).wrap());
    }
    let kept = match &data_file.log {
        Some(log) if log.rooted => "What leaves it stays in the log, so that this can be undone too.",
        _ => {
            "What is in the data file now is kept by a full backup, which is made first, so that this can be undone \
             too."
        }
    };
    ui.add(Label::new(RichText::new(kept).color(palette(ui).text)).wrap());
}

/// Where a restore in place led to.
pub(crate) fn went_to(done: &DoneInPlace) -> String {
    match (done.undoes, done.restored) {
        (Some(_), _) => "to the state before an earlier restore in place, which it undid".to_owned(),
        (None, Some(commit)) => format!("to commit {commit}, from archive {}", done.number),
        (None, None) => format!("to the state of archive {}", done.number),
    }
}

/// The card that stays on the Maintenance page, whatever result was put away.
pub(crate) fn last_in_place_ui(ui: &mut Ui, data_file: &DataFileStatus, done: &DoneInPlace, actions: &mut Vec<Action>) {
    fact(ui, "Last one", moment(&done.moment));
    fact(ui, "Brought it", went_to(done));
    if let Some(left) = done.commits_left {
        fact(ui, "Took away", crate::ui::widgets::commits(left));
    }
    ui.add_space(4.0);
    undo_button(ui, data_file, done, actions);
}

/// The button that asks whether to undo it.
pub(crate) fn undo_button(ui: &mut Ui, data_file: &DataFileStatus, done: &DoneInPlace, actions: &mut Vec<Action>) {
    let possible = data_file.problem.is_none() && data_file.lost_since.is_none();
    let tip = "Bring back what it took away; asks first, with numbers";
    let pressed =
        ui.add_enabled_ui(possible, |ui| button(ui, Some(Icon::Undo2), "Undo this restore…")).inner.on_hover_text(tip);
    if pressed.clicked() {
        actions.push(Action::AskUndo { data_file: data_file.facts.path.clone(), of: done.job });
    }
}
