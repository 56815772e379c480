//! What can be done with what is selected in the list: take it back, or go back to before or after it.

use eframe::egui::Ui;
use lucide_icons::Icon;

use crate::{
    as_of::ask::Which,
    engine::status::DataFileStatus,
    journal::integrate::Until,
    ui::{
        action::{Action, Look, TakeBack},
        activity::{ActivityForm, Chosen},
        state::State,
        widgets::{button, button_if, count, why},
    },
};

/// The button that opens the dialog *Take back…*.
pub(super) fn take_back_ui(ui: &mut Ui, state: &State, data_file: &DataFileStatus, actions: &mut Vec<Action>) {
    let reason = state.not_taken_back(data_file);
    let pressed = button_if(ui, reason.is_none(), Some(Icon::Undo2), "Take back…");
    let tip = "Undo just what is selected, in the data file, while programs write; shows first what will happen";
    if why(pressed.on_hover_text(tip), reason.unwrap_or_default()).clicked() {
        actions.push(Action::TakeBack(TakeBack::Open(data_file.facts.path.clone())));
    }
}

/// The buttons that go to just before what is selected, and to just after it.
pub(super) fn go_back_ui(ui: &mut Ui, form: &ActivityForm, data_file: &DataFileStatus, actions: &mut Vec<Action>) {
    if let Some(first) = form.picked.first_commit() {
        let label = format!("Restore to just before commit {}…", count(first));
        go_ui(ui, (Icon::ArchiveRestore, &label), (form, data_file), first.saturating_sub(1), actions);
    }
    if let Some(last) = form.picked.last_commit() {
        let label = format!("Keep everything up to commit {}…", count(last));
        go_ui(ui, (Icon::History, &label), (form, data_file), last, actions);
    }
}

/// The button that shows the state before what is selected, without going there; where nothing is, that of any moment.
/// It is always there: what comes with a row would move the rows.
pub(super) fn look_ui(ui: &mut Ui, form: &ActivityForm, data_file: &DataFileStatus, actions: &mut Vec<Action>) {
    let first = form.picked.first_commit();
    let of = data_file.facts.path.clone();
    if first.is_none() && !matches!(form.chosen, Chosen::Log(_)) {
        let tip = "The tables and records of any moment that archives and logs lead to; nothing is restored";
        if button(ui, Some(Icon::Eye), "Look at a moment…").on_hover_text(tip).clicked() {
            actions.push(Action::Look(Look::AskMoment(of)));
        }
        return;
    }
    let reason = match (&form.chosen, first) {
        (Chosen::Log(_), _) => "This is another log than those of the data file",
        _ => "Select a commit or an operation in the list first",
    };
    let which = first.filter(|_| !matches!(form.chosen, Chosen::Log(_)));
    let pressed = button_if(ui, which.is_some(), Some(Icon::Eye), "Look at the state before…");
    let tip = "Tables and records before the first commit that is selected, and what is other now; nothing is restored";
    let pressed = why(pressed.on_hover_text(tip), reason).clicked();
    if let Some(commit) = which.filter(|_| pressed) {
        let which = Which::Until(Until::Commit(commit.saturating_sub(1)));
        actions.push(Action::Look(Look::Open { data_file: of, which }));
    }
}

/// A button that goes to the state after a commit.
fn go_ui(
    ui: &mut Ui,
    (icon, label): (Icon, &str),
    (form, data_file): (&ActivityForm, &DataFileStatus),
    commit: u64,
    actions: &mut Vec<Action>,
) {
    let reason = match form.chosen {
        Chosen::Log(_) => Some("This is another log than those of the data file"),
        _ if data_file.archive_before(commit).is_none() => Some("No archive that is known leads there"),
        _ => None,
    };
    let pressed = button_if(ui, reason.is_none(), Some(icon), label);
    let tip = "The whole data file goes to that state; shows first what leaves it, and can be undone";
    if why(pressed.on_hover_text(tip), reason.unwrap_or_default()).clicked() {
        actions.push(Action::AskGoBack { data_file: data_file.facts.path.clone(), commit });
    }
}
