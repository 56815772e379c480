//! The dialog *Recover…*: what is known of a damaged data file, and where goes what it still holds. Where a restore is
//! possible, that comes first.

use std::path::{Path, PathBuf};

use eframe::egui::{Context, Label, RichText, Ui};
use lucide_icons::Icon;

use super::{ended::ended_ui, frame};
use crate::{
    engine::{Host, Status, query::RecoverLook},
    error::foreign::foreign,
    recover::ComparedWith,
    storage::space::human_bytes,
    ui::{
        action::{Action, Recover},
        answers::View,
        jobs::name,
        screens::maintenance::advice,
        state::RecoverForm,
        theme::palette,
        widgets::{
            Tone, button, check_box, count, error_strip, fact, fact_field, moment, path_field, primary_button,
            sentence, strip,
        },
    },
};

pub(crate) fn recover_ui(
    ctx: &Context,
    status: &View<'_>,
    (form, ended): (&mut RecoverForm, Option<Host>),
    actions: &mut Vec<Action>,
) {
    let shown = form.look(status.answers);
    let look = shown.and_then(Result::ok);
    let to = form.shown_to(status.answers);
    let is_possible = look.is_some_and(|look| look.problem.is_none()) && !to.as_os_str().is_empty();
    frame(
        ctx,
        "Recover data file",
        660.0,
        &mut (form, actions),
        |ui, (form, actions)| {
            ended_ui(ui, ended);
            fact(ui, "Damaged file", foreign(&form.data_file.display().to_string()).to_string());
            match shown {
                None => fact(ui, "State", "Looking at the file, its archives and its log …"),
                Some(Err(error)) => error_strip(ui, error, |_| ()),
                Some(Ok(look)) => known_ui(ui, status, (look, &form.data_file), actions),
            }
            new_file_ui(ui, form, &to, actions);
            fact_field(ui, "Deleted records", |ui| {
                check_box(ui, &mut form.with_deleted, "Keep deleted records, too");
                let text = "What free pages still hold, which was deleted once. It goes into tables lost_and_found.";
                ui.add(Label::new(RichText::new(text).color(palette(ui).weak)).wrap());
            });
        },
        |ui, keys, (form, actions)| {
            let pressed = primary_button(ui, Some(Icon::LifeBuoy), "Recover", is_possible).clicked();
            if pressed || (keys.enter && is_possible) {
                let (data_file, with_deleted) = (form.data_file.clone(), form.with_deleted);
                actions.push(Action::Recover(Recover::Begin { data_file, to: to.clone(), with_deleted }));
            }
            if button(ui, None, "Cancel").clicked() || keys.escape {
                actions.push(Action::CloseDialog);
            }
        },
    );
}

/// The state of archive and log, in words.
fn state(compared: &ComparedWith) -> String {
    let commit = compared.commit.map_or_else(String::new, |commit| format!(" and commit {} of its log", count(commit)));
    format!("{}{commit}, of {}", foreign(&name(&compared.archive)), moment(&compared.time))
}

/// What is known of the damaged file, and of the state that it is compared with.
fn known_ui(ui: &mut Ui, status: &Status, (look, data_file): (&RecoverLook, &Path), actions: &mut Vec<Action>) {
    if let Some(compared) = &look.compared {
        let lacks =
            compared.lacks.as_ref().map_or_else(String::new, |lacks| format!(" It may not be the last: {lacks}."));
        let (at, of) = (moment(&compared.time), state(compared));
        let (message, hint) = match look.is_restorable {
            Some(true) => (
                format!("A restore brings back all that it held at {at}"),
                format!("That is nearly always better: SQLite finds no damage in {of}."),
            ),
            None => (
                format!("A restore may bring back all that it held at {at}"),
                format!("That is nearly always better. Nothing is known against {of}; it was not read as a whole yet."),
            ),
            Some(false) => (
                "A restore to an earlier moment may bring back more".to_owned(),
                format!("The damage is in {of}, too. Choose a moment before it."),
            ),
        };
        strip(ui, Tone::Warn, &message, Some(&foreign(&(hint + &lacks)).to_string()), |ui| {
            if button(ui, Some(Icon::ArchiveRestore), "Restore instead…").clicked() {
                actions.push(restore(status, compared.archive.clone(), data_file));
            }
        });
        ui.add_space(4.0);
    }
    if let Some(problem) = &look.problem {
        error_strip(ui, problem, |_| ());
        ui.add_space(4.0);
    }
    fact(ui, "Size", human_bytes(look.bytes));
    match (&look.compared, &look.not_compared) {
        (Some(compared), _) => fact(ui, "Compared with", state(compared)),
        (None, Some(why)) => fact(ui, "Compared with", format!("No archive: {}", foreign(&why.message))),
        (None, None) => {}
    }
    if !look.holders.processes.is_empty() {
        let text =
            format!("It is open in {}: what is written to it meanwhile may be missing.", look.holders.in_words());
        advice(ui, Tone::Warn, &sentence(&foreign(&text).to_string()));
    }
    if look.available_bytes.is_some_and(|available| available < look.bytes) {
        let text = "There is not enough space for the new file on this disk. Choose another one below.";
        advice(ui, Tone::Bad, text);
    }
}

/// In place where the window knows the data file, or it was refused; else into a folder: what is no data file in care
/// is not replaced.
fn restore(status: &Status, archive: PathBuf, data_file: &Path) -> Action {
    let is_known =
        status.data_file(data_file).is_some() || status.refused.iter().any(|refused| refused.path == data_file);
    match is_known {
        true => Action::AskRestoreInPlace { archive, data_file: data_file.to_path_buf() },
        false => Action::AskRestore(archive),
    }
}

fn new_file_ui(ui: &mut Ui, form: &mut RecoverForm, to: &Path, actions: &mut Vec<Action>) {
    fact_field(ui, "New file", |ui| {
        let mut text = form.to.clone().unwrap_or_else(|| to.display().to_string());
        let choose = "Choose the folder of the new file";
        let (changed, pressed) = path_field(ui, "New file", &mut text, "File for what is recovered", choose);
        if changed {
            form.to = Some(text);
        }
        if pressed {
            actions.push(Action::Recover(Recover::ChooseFolder(to.to_path_buf())));
        }
        let text = "It gets what can still be read. The damaged file and its -wal are only read: nothing of them is \
            changed, moved or deleted, and nothing that exists is overwritten. A report says for each table what was \
            found, what is doubtful, and what is missing.";
        ui.add(Label::new(RichText::new(text).color(palette(ui).weak)).wrap());
    });
}
