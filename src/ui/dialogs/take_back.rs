//! The dialog *Take back…*: what would be done to which tables, what is in the way, and the statements; then the run.
//!
//! ```text
//! hindered     what is in the way, and what is decided about it
//! statements   the statements
//! ```

mod hindered;
mod statements;

use eframe::egui::{Context, Label, RichText, Ui};
use lucide_icons::Icon;

use super::{saved::saved_ui, tall_frame};
use crate::{
    engine::Status,
    error::{ErrorKind, ErrorReport, foreign::foreign},
    take_back::{
        OfTable,
        query::{Doing, Planned},
    },
    ui::{
        action::{Action, TakeBack},
        table::{Cell, Column, SortKey, Table, figure_column, open_column},
        taking_back::TakeBackForm,
        theme::{self, palette},
        widgets::{
            Tone, bar, button, button_if, check_box, count, error_strip, fact, operations, primary_button, sentence,
            strip, why,
        },
    },
};

const WIDTH: f32 = 860.0;
const HEIGHT: f32 = 560.0;
/// The frame in which the safe button gets the focus.
const FOCUS_AT: u8 = 4;

const COLUMNS: [Column; 7] = [
    open_column("Table", 150.0).names_row(),
    figure_column("Come back", 92.0).said(),
    figure_column("Changed back", 108.0).said(),
    figure_column("Removed", 84.0).said(),
    figure_column("As they were", 104.0).said(),
    figure_column("Left", 66.0).said(),
    figure_column("Undecided", 90.0).said(),
];

pub(crate) fn take_back_ui(ctx: &Context, status: &Status, form: &mut TakeBackForm, actions: &mut Vec<Action>) {
    // It is as high from the beginning as it will be: what comes must not move what is about to be pressed.
    tall_frame(
        ctx,
        "Take back",
        WIDTH,
        ("take back", HEIGHT),
        &mut (form, actions),
        |_, _| (),
        |ui, (form, actions)| {
            fact(ui, "Data file", foreign(&form.planning.data_file.display().to_string()).to_string());
            let data_file = status.data_file(&form.planning.data_file);
            if let Some(data_file) = data_file {
                fact(ui, "Open in", data_file.holders.in_words());
                // Whoever did it has ended, and no answer comes any more.
                if data_file.lost_since.is_some() && form.job.take().is_some() {
                    form.failed = Some(ended(&data_file.host.to_string()));
                }
            }
            fact(ui, "Selection", selection(form));
            content(ui, form, actions);
            if form.planning.wanted().is_none() {
                ui.ctx().request_repaint_after(form.planning.poll().1);
            }
        },
        |ui, keys, (form, actions)| footer(ui, keys.escape, form, actions),
    );
}

fn ended(host: &str) -> ErrorReport {
    ErrorReport::new(
        ErrorKind::InUse,
        format!("{host} ended while it was taking back; whether it was done is not known"),
        Some(
            "It was one transaction: all of it or nothing. The page Activity lists it, if it was done, as soon as the \
             data file is managed again."
                .to_owned(),
        ),
    )
}

/// What was selected, and how much that is.
fn selection(form: &TakeBackForm) -> String {
    let Some(planned) = form.planning.planned() else { return format!("{}.", form.what) };
    let records = match planned.records {
        1 => "1 record".to_owned(),
        number => format!("{} records", count(number)),
    };
    format!("{}: {} on {records}.", form.what, operations(planned.operations))
}

fn content(ui: &mut Ui, form: &mut TakeBackForm, actions: &mut Vec<Action>) {
    ui.add_space(4.0);
    said_ui(ui, form, actions);
    doing_ui(ui, form);
    let Some(planned) = form.planning.planned().cloned() else { return };
    tables_ui(ui, &planned);
    notes_ui(ui, &planned);
    if planned.cascades > 0 || form.planning.with_cascades() {
        let mut wanted = form.planning.with_cascades();
        check_box(ui, &mut wanted, "Also what the same commits did to tables that refer to these");
        form.planning.set_cascades(wanted);
    }
    hindered::hindered_ui(ui, form, &planned, actions);
    hindered::left_out_ui(ui, form, &planned, actions);
    statements::statements_ui(ui, form, &planned, actions);
}

/// What failed, and what was saved.
fn said_ui(ui: &mut Ui, form: &mut TakeBackForm, actions: &mut Vec<Action>) {
    let failed = form.failed.as_ref().map(|error| match error.kind {
        ErrorKind::Changed => {
            let hint = Some("Nothing was done. This is the plan for the data file as it is now.".to_owned());
            ErrorReport { hint, ..error.clone() }
        }
        _ => error.clone(),
    });
    for error in failed.iter().chain(form.planning.problem()) {
        error_strip(ui, error, |_| ());
        ui.add_space(6.0);
    }
    saved_ui(ui, &mut form.saved, "The script was saved; nothing was changed", actions);
}

/// What goes on.
fn doing_ui(ui: &mut Ui, form: &TakeBackForm) {
    let text = match (form.job, form.planning.state.doing) {
        (Some(_), _) => "Taking back …",
        (None, Some(Doing::Reading)) => "Reading the log …",
        (None, Some(Doing::Comparing)) => "Comparing with the data file, and trying it out there …",
        (None, None) if form.planning.problem().is_some() || form.planning.wanted().is_some() => return,
        (None, None) => "Planning …",
    };
    ui.label(RichText::new(text).color(palette(ui).weak));
    bar(ui, text.trim_end_matches(" …"), None, palette(ui).accent);
    ui.ctx().request_repaint_after(std::time::Duration::from_millis(100));
    ui.add_space(4.0);
}

/// What is done to which table.
fn tables_ui(ui: &mut Ui, planned: &Planned) {
    let figure = |(table, open): &(OfTable, u64), column: usize| match column {
        1 => table.came_back,
        2 => table.changed_back,
        3 => table.went + table.pushed,
        4 => table.were_so,
        5 => table.skipped,
        _ => *open,
    };
    let tables = &planned.tables;
    let cell = |row: usize, column: usize| match (tables.get(row), column) {
        (None, _) => Cell::Text(String::new()),
        (Some((table, _)), 0) => Cell::Strong(foreign(&table.table).to_string()),
        (Some(table), _) => match figure(table, column) {
            0 => Cell::Text(String::new()),
            number => Cell::Text(count(number)),
        },
    };
    let name = |row: usize| tables.get(row).map_or_else(String::new, |(table, _)| foreign(&table.table).to_string());
    let key = |row: usize, column: usize| match (tables.get(row), column) {
        (None, _) => SortKey::Unknown,
        (Some((table, _)), 0) => SortKey::text(&table.table),
        (Some(table), _) => SortKey::number(Some(figure(table, column))),
    };
    let height = ((tables.len() + 1) as f32 * theme::ROW_HEIGHT).min(6.0 * theme::ROW_HEIGHT);
    let table = Table { name: "Records by table", columns: &COLUMNS, rows: tables.len(), height, selected: None };
    table.show(ui, cell, name, key);
    ui.add_space(6.0);
}

fn notes_ui(ui: &mut Ui, planned: &Planned) {
    let p = palette(ui);
    for note in &planned.notes {
        ui.add(Label::new(RichText::new(foreign(note).to_string()).color(p.text)).wrap());
    }
    if let Some(untried) = &planned.untried {
        let hint = format!("{}.", sentence(&foreign(untried).to_string()));
        let what = "it could not be tried out, so that more may be in the way";
        strip(ui, Tone::Warn, what, Some(&hint), |_| ());
    }
    ui.add_space(6.0);
}

/// Why it cannot be run, if so.
fn why_not(form: &TakeBackForm, planned: Option<&Planned>) -> Option<&'static str> {
    match planned {
        _ if form.job.is_some() => Some("It is being taken back"),
        None if form.planning.problem().is_some() => Some("There is no plan"),
        None => Some("The plan is being made"),
        Some(planned) if planned.open > 0 => Some("Decide first about the records that something is in the way of"),
        Some(planned) if !planned.is_settled => Some("Say first that what cannot be taken back is to be left as it is"),
        Some(planned) if planned.statements == 0 => Some("There is nothing to be done"),
        Some(_) => None,
    }
}

fn footer(ui: &mut Ui, is_escape: bool, form: &mut TakeBackForm, actions: &mut Vec<Action>) {
    let planned = form.planning.wanted();
    let reason = why_not(form, planned);
    let label = match form.planning.planned() {
        Some(planned) => format!("Take back {}", operations(planned.taken)),
        None => "Take back".to_owned(),
    };
    // Enter does not press it: what programs use is changed only by a deliberate act.
    let pressed = why(primary_button(ui, Some(Icon::Undo2), &label, reason.is_none()), reason.unwrap_or_default());
    if let Some(planned) = planned.filter(|_| reason.is_none() && pressed.clicked()) {
        actions.push(Action::TakeBack(TakeBack::Run(planned.plan)));
    }
    let cancel = button(ui, None, if form.job.is_some() { "Close" } else { "Cancel" });
    // Not before it is at its place: the content would be scrolled to it.
    form.shown = form.shown.saturating_add(1);
    if form.shown == FOCUS_AT {
        cancel.request_focus();
    } else if form.shown < FOCUS_AT {
        ui.ctx().request_repaint();
    }
    if cancel.clicked() || is_escape {
        actions.push(Action::TakeBack(TakeBack::Close));
    }
    let save = button_if(ui, reason.is_none(), Some(Icon::FileText), "Save as SQL script…");
    if why(save, reason.unwrap_or_default()).clicked() {
        actions.push(Action::TakeBack(TakeBack::ChooseFolder));
    }
}
