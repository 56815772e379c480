//! Records of a table or a statement, a few rows around those that are seen; and one of them with all its columns.

use std::cell::Cell as Noted;

use eframe::egui::{RichText, Ui};
use lucide_icons::Icon;

use super::{going_on_ui, is_listing, problem_ui};
use crate::{
    as_of::ask::{Listed as Records, SaveForm},
    error::foreign::foreign,
    records::shown::Shown,
    ui::{
        action::{Action, Look},
        activity::words,
        dialogs::value::ValueForm,
        looking::LookForm,
        parts::{LISTED_MAX, parts_ui},
        table::{Cell, Column, Listed, RowEvent, SortKey, Table, is_copied, nothing, open_column, text_column},
        theme::{self, palette},
        widgets::{button, button_if, count, text_field, why},
    },
};

const FIELDS: [Column<'static>; 2] = [text_column("Column", 150.0).names_row(), open_column("Value", 220.0).said()];

/// Rows that are to be seen at the least of the list, and of one record; the titles among them.
const LEAST_ROWS: f32 = 4.0;
/// Title and buttons of one record.
const RECORD_HEAD: f32 = 50.0;
/// The part of the room that the list has.
const LIST_PART: f32 = 0.5;

/// The room for the list and for one record below it: always the same, so that nothing moves when one is selected.
fn room(ui: &Ui) -> (f32, f32) {
    let room = (ui.clip_rect().bottom() - ui.cursor().top() - 24.0).min(super::HEIGHT) - RECORD_HEAD;
    let list = ((room * LIST_PART / theme::ROW_HEIGHT).floor().max(LEAST_ROWS)) * theme::ROW_HEIGHT;
    (list, (room - list).max(LEAST_ROWS * theme::ROW_HEIGHT))
}

/// A number of records in words.
pub(super) fn records(number: u64) -> String {
    if number == 1 { "1 record".to_owned() } else { format!("{} records", count(number)) }
}

/// The records of the table that is chosen.
pub(super) fn table_ui(ui: &mut Ui, form: &mut LookForm, actions: &mut Vec<Action>) {
    let Some(table) = form.table.clone() else { return };
    text_field(ui, "Text in records", &mut form.text, "Text in records", 240.0);
    if let Some(sheet) = form.sheet()
        && form.seen.show(sheet, false)
    {
        form.begin_list();
    }
    list_ui(ui, form, &format!("Records of {}", foreign(&table)), actions);
}

/// What is copied of a value.
fn plain(shown: &Shown) -> String {
    match shown {
        Shown::Null => String::new(),
        Shown::Number(text) | Shown::Text { text, .. } => text.clone(),
        Shown::Bytes { hex, .. } => hex.clone(),
    }
}

/// A column as wide as its title asks for.
fn column(title: &str, is_last: bool) -> Column<'_> {
    let width = (title.chars().count() as f32 * 8.0 + 40.0).clamp(90.0, 200.0);
    if is_last { open_column(title, width) } else { text_column(title, width) }
}

/// The records that are listed.
pub(super) fn list_ui(ui: &mut Ui, form: &mut LookForm, name: &str, actions: &mut Vec<Action>) {
    let Some(listed) = form.seen.listed().cloned() else {
        going_on_ui(ui, "Reading …");
        return;
    };
    state_ui(ui, form, &listed, actions);
    if let Some(cut) = &listed.cut {
        ui.label(RichText::new(cut).color(palette(ui).warn.0));
    }
    problem_ui(ui, listed.problem.as_ref());
    if listed.columns.is_empty() || listed.records == 0 {
        if listed.is_whole {
            nothing(ui, "No records.");
        }
        return;
    }
    other_records_ui(ui, form, listed.records);
    let first = form.first;
    let rows = listed.records.saturating_sub(first).min(LISTED_MAX) as usize;
    let titles: Vec<String> = listed.columns.iter().map(|column| foreign(column).to_string()).collect();
    let last = titles.len() - 1;
    let columns: Vec<Column<'_>> =
        titles.iter().enumerate().map(|(at, title)| column(title, at == last).said()).collect();
    let seen = Noted::new((usize::MAX, 0));
    let state = &form.seen;
    let cell = |row: usize, column: usize| {
        let (from, to) = seen.get();
        seen.set((from.min(row), to.max(row)));
        match state.row(first + row as u64) {
            Some(values) => Cell::Text(words::value(values.get(column))),
            None => Cell::Text("…".to_owned()),
        }
    };
    let row_name = |row: usize| format!("Record {}", first + row as u64 + 1);
    let (height, below) = room(ui);
    let selected = form.selected.and_then(|nth| nth.checked_sub(first)).map(|row| row as usize);
    let table = Table { name, columns: &columns, rows, height, selected };
    let sorted = form
        .sorted
        .as_ref()
        .and_then(|(column, last)| Some((listed.columns.iter().position(|name| name == column)?, *last)));
    // A statement has its own order.
    let is_table = matches!(state.sheet(), Some(crate::as_of::ask::Sheet::Table { .. }));
    let picks = &form.picks;
    let marked = |row: usize| picks.has(first + row as u64);
    let sorting = Listed { sorted: is_table.then_some(sorted), marked: Some(&marked), ..Listed::default() };
    let event = table.show_listed(ui, sorting, cell, row_name);
    let (from, to) = seen.get();
    for row in (from..=to).filter(|row| *row < rows) {
        let nth = first + row as u64;
        if state.row(nth).is_none() {
            actions.extend(state.missing_row(nth).map(|ask| Action::Look(Look::Ask(ask))));
        }
    }
    if is_copied(ui, name)
        && let Some(values) = form.selected.and_then(|nth| state.record(nth).or_else(|| state.row(nth)))
    {
        actions.push(Action::Copy(values.iter().map(plain).collect::<Vec<_>>().join("\t")));
    }
    if let Some(RowEvent::Selected(row) | RowEvent::Activated(row)) = event.row {
        form.selected = Some(first + row as u64);
        form.picks.pick(first + row as u64, event.how);
    }
    if event.all {
        form.picks.all(listed.records);
    }
    if is_table && event.is_turned {
        form.sorted = event.sorted.and_then(|(column, last)| Some((listed.columns.get(column)?.clone(), last)));
        ui.ctx().request_repaint();
    }
    record_ui(ui, form, &listed.columns, below, actions);
}

/// How many there are, as far as is known, how many of them are selected, and what can be done with those.
fn state_ui(ui: &mut Ui, form: &mut LookForm, listed: &Records, actions: &mut Vec<Action>) {
    let is_searched = !form.text.trim().is_empty() && form.part == crate::ui::looking::Part::Records;
    let with = if is_searched { " with this text" } else { "" };
    let is_going_on = !listed.is_whole && is_listing(form);
    ui.horizontal_wrapped(|ui| {
        let found = records(listed.records);
        let text = match is_going_on {
            true => format!("{found}{with} so far …"),
            false if listed.is_whole => format!("{found}{with}"),
            false => format!("{found}{with}, not all of them"),
        };
        ui.label(RichText::new(text).color(palette(ui).strong));
        if is_going_on && button(ui, Some(Icon::X), "Stop").clicked() {
            form.seen.stop();
        }
        let (only, sheet) = (form.picks.chosen(listed.number), form.seen.sheet().cloned());
        ui.label(RichText::new(format!("{} selected", count(form.picks.count()))).color(palette(ui).weak));
        for (save_form, form_name) in [(SaveForm::Csv, "CSV"), (SaveForm::Sqlite, "SQLite file")] {
            let can = only.is_some() && !form.is_saving;
            let save = button_if(ui, can, None, &format!("Save selected as {form_name}…"));
            let tip = "Several with Shift or Ctrl, all with Ctrl+A";
            let pressed = why(save.on_hover_text(tip), "Select records first: several with Shift or Ctrl").clicked();
            if let (true, Some(sheet), Some(only)) = (pressed, &sheet, &only) {
                actions.push(Action::Look(Look::ChooseFolder(sheet.clone(), save_form, Some(only.clone()))));
            }
        }
    });
}

/// So many records are not in one list: those before and after are gone to.
fn other_records_ui(ui: &mut Ui, form: &mut LookForm, total: u64) {
    if total <= LISTED_MAX {
        return;
    }
    if let Some(to) = parts_ui(ui, form.first, total, &records(total)) {
        form.begin_list();
        form.first = to;
    }
}

/// The record that is selected, with all its columns.
fn record_ui(ui: &mut Ui, form: &mut LookForm, columns: &[String], height: f32, actions: &mut Vec<Action>) {
    ui.add_space(8.0);
    let Some(nth) = form.selected else {
        ui.label(RichText::new("Select a record to see all its columns.").color(palette(ui).weak));
        return;
    };
    if form.seen.record(nth).is_none() {
        actions.extend(form.seen.missing_record(nth).map(|ask| Action::Look(Look::Ask(ask))));
    }
    let title = format!("Record {}", count(nth + 1));
    let Some(values) = form.seen.record(nth).or_else(|| form.seen.row(nth)).cloned() else {
        ui.label(RichText::new("Reading …").color(palette(ui).weak));
        return;
    };
    let rows = columns.len().min(values.len());
    let selected = form.column.filter(|column| *column < rows);
    let view = |at: usize| -> Option<Box<ValueForm>> {
        // The whole of it has come, and not what stands in a row.
        let value = form.seen.record(nth)?.get(at)?.clone();
        Some(Box::new(ValueForm::of_record(title.clone(), columns.get(at)?.clone(), value)))
    };
    let (mut shown, mut chosen) = (None, None);
    ui.horizontal_wrapped(|ui| {
        ui.label(theme::strong(&title, ui));
        let can = selected.is_some_and(|at| view(at).is_some());
        let pressed = button_if(ui, can, Some(Icon::FileText), "View value…");
        if why(pressed, "Select a column first").clicked() {
            shown = selected.and_then(view);
        }
        if button(ui, Some(Icon::Copy), "Copy record").clicked() {
            let line = |(name, value): (&String, &Shown)| format!("{name}: {}", plain(value));
            actions.push(Action::Copy(columns.iter().zip(&values).map(line).collect::<Vec<_>>().join("\n")));
        }
    });
    let cell = |at: usize, column: usize| match column {
        0 => Cell::Strong(columns.get(at).map(|name| foreign(name).to_string()).unwrap_or_default()),
        _ => Cell::Text(words::value(values.get(at))),
    };
    let name =
        |at: usize| format!("Column {}", columns.get(at).map(|name| foreign(name).to_string()).unwrap_or_default());
    let key = |at: usize, column: usize| match column {
        0 => SortKey::text(columns.get(at).map_or("", String::as_str)),
        _ => SortKey::text(&words::value(values.get(at))),
    };
    let table = Table { name: "Columns of the record", columns: &FIELDS, rows, height, selected };
    let event = table.show(ui, cell, name, key);
    if is_copied(ui, "Columns of the record")
        && let Some(value) = selected.and_then(|at| values.get(at))
    {
        actions.push(Action::Copy(plain(value)));
    }
    match event {
        Some(RowEvent::Selected(at)) => chosen = Some(at),
        Some(RowEvent::Activated(at)) => (chosen, shown) = (Some(at), view(at)),
        None => {}
    }
    form.column = chosen.or(form.column);
    form.value = shown.or(form.value.take());
}
