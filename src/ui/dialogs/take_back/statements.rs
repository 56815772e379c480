//! The statements, in the order in which they are run.

use eframe::egui::{RichText, TextStyle, Ui};
use lucide_icons::Icon;

use crate::{
    error::foreign::foreign,
    storage::space::human_bytes,
    take_back::query::{Ask, Planned, Sql},
    ui::{
        action::{Action, TakeBack},
        table::{Cell, Column, Listed, RowEvent, Table, figure_column, open_column},
        taking_back::{TakeBackForm, script::Script},
        theme::{self, palette},
        widgets::{button_if, count, why},
    },
};

const COLUMNS: [Column; 2] = [figure_column("Number", 70.0).names_row(), open_column("Statement", 400.0).names_row()];

/// More of them are not in the table: the script has all.
const LISTED_MAX: usize = 200_000;
/// So many letters of one stand in the table.
const SHOWN_MAX: usize = 400;

fn ask(offset: u64, count: u64) -> Ask {
    Ask::Statements { offset, count }
}

/// A statement in a line.
fn line(sql: &Sql) -> String {
    let shown = sql.text.char_indices().nth(SHOWN_MAX).map_or(sql.text.as_str(), |(end, _)| &sql.text[..end]);
    let more = if shown.len() as u64 == sql.bytes { "" } else { "…" };
    format!("{}{more}", foreign(shown))
}

pub(super) fn statements_ui(ui: &mut Ui, form: &mut TakeBackForm, planned: &Planned, actions: &mut Vec<Action>) {
    if planned.statements == 0 {
        let text = "No statement is to be run: nothing of it is left in the data file, or all of it stays as it is.";
        ui.label(RichText::new(text).color(palette(ui).strong));
        return;
    }
    let title = match planned.statements {
        1 => "1 statement, run as one transaction".to_owned(),
        number => format!("{} statements, in this order, as one transaction: all or nothing", count(number)),
    };
    ui.label(theme::strong(title, ui));
    let rows = (planned.statements as usize).min(LISTED_MAX);
    let seen = std::cell::Cell::new((usize::MAX, 0));
    let planning = &form.planning;
    let cell = |at: usize, column: usize| {
        let (first, last) = seen.get();
        seen.set((first.min(at), last.max(at)));
        Cell::Text(match (planning.statements.get(at), column) {
            (_, 0) => count(at as u64 + 1),
            (None, _) => "…".to_owned(),
            (Some(sql), _) => line(sql),
        })
    };
    let name = |at: usize| {
        let text = planning.statements.get(at).map_or_else(|| "Reading".to_owned(), line);
        format!("Statement {}: {text}", at + 1)
    };
    let height = ((rows + 1) as f32 * theme::ROW_HEIGHT).min(9.0 * theme::ROW_HEIGHT);
    let selected = form.statement.filter(|at| *at < rows);
    let table = Table { name: "Statements", columns: &COLUMNS, rows, height, selected };
    let event = table.show_listed(ui, Listed::default(), cell, name).row;
    let (first, last) = seen.get();
    for at in (first..=last).filter(|at| *at < rows && planning.statements.get(*at).is_none()) {
        actions.extend(planning.missing(at, ask).map(|ask| Action::TakeBack(TakeBack::Ask(ask))));
    }
    let selected = selected.and_then(|at| planning.statements.get(at)).cloned();
    let script = Script::of(planning);
    if let Some(RowEvent::Selected(at) | RowEvent::Activated(at)) = event {
        form.statement = Some(at);
    }
    ui.horizontal_wrapped(|ui| {
        let whole = selected.as_ref().filter(|sql| !sql.is_cut());
        let copy = button_if(ui, whole.is_some(), Some(Icon::Copy), "Copy statement");
        let reason = match &selected {
            None => "Select a statement first",
            Some(_) => "It is too long to be copied from here; the script has all of it",
        };
        if why(copy, reason).clicked() {
            actions.extend(whole.map(|sql| Action::Copy(format!("{};", sql.text))));
        }
        let all = button_if(ui, script.is_some(), Some(Icon::Copy), "Copy all as a script");
        if why(all, "Decide first about everything that is in the way").clicked() {
            actions.push(Action::TakeBack(TakeBack::Copy));
        }
        if rows < planned.statements as usize {
            ui.label(RichText::new(format!("The first {} are listed.", count(rows as u64))).color(palette(ui).weak));
        }
    });
    if let Some(sql) = selected {
        let more = if sql.is_cut() { format!("… ({})", human_bytes(sql.bytes)) } else { String::new() };
        let text = RichText::new(format!("{}{more}", foreign(&sql.text))).text_style(TextStyle::Monospace);
        ui.add(eframe::egui::Label::new(text.color(palette(ui).strong)).wrap().selectable(true));
    }
}
