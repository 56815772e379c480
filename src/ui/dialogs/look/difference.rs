//! What is other now than in the state: table by table, and record by record with its key.

use std::cell::Cell as Noted;

use chrono::Local;
use eframe::egui::{Label, RichText, Ui};
use lucide_icons::Icon;

use super::{going_on_ui, problem_ui};
use crate::{
    as_of::{
        ask::{Compared, Doing, NAMED_MAX},
        differences::{Change, TableDifference, Told},
    },
    error::foreign::foreign,
    ui::{
        action::{Action, Look},
        looking::LookForm,
        table::{
            Cell, Column, Listed, RowEvent, SortKey, Table, figure_column, is_copied, nothing, open_column, text_column,
        },
        theme::{self, palette},
        widgets::{Tone, button, button_if, count, moment},
    },
};

const TABLES: [Column<'static>; 5] = [
    text_column("Table", 170.0).names_row(),
    figure_column("Added", 84.0).said(),
    figure_column("Changed", 84.0).said(),
    figure_column("Missing", 84.0).said(),
    open_column("Remarks", 200.0),
];
const RECORDS: [Column<'static>; 3] =
    [text_column("Table", 170.0).said(), text_column("What", 110.0), open_column("Key", 200.0).said()];

pub(super) fn difference_ui(ui: &mut Ui, form: &mut LookForm, actions: &mut Vec<Action>) {
    let is_comparing = form.seen.state.doing == Some(Doing::Comparing) || form.seen.is_pending();
    ui.horizontal_wrapped(|ui| {
        if let Some(table) = form.table.clone()
            && button_if(ui, !is_comparing, Some(Icon::Equal), &format!("Compare {}", foreign(&table))).clicked()
        {
            form.seen.compare(Some(table));
            form.differing = (None, None);
        }
        if button_if(ui, !is_comparing, Some(Icon::Equal), "Compare all tables").clicked() {
            form.seen.compare(None);
            form.differing = (None, None);
        }
        if is_comparing && button(ui, Some(Icon::X), "Stop").clicked() {
            form.seen.stop();
        }
    });
    let Some(compared) = form.seen.compared().cloned() else {
        let text = "The state is compared with the data file as it is at that moment; programs go on meanwhile.";
        ui.label(RichText::new(text).color(palette(ui).weak));
        return;
    };
    if let Some(now) = compared.now {
        let text = format!(
            "Compared with the data file of {}: what was added since, changed, or is missing now.",
            moment(&now.with_timezone(&Local))
        );
        ui.add(Label::new(RichText::new(text).color(palette(ui).strong)).wrap());
    }
    if is_comparing && !compared.is_whole {
        going_on_ui(ui, "Comparing …");
    }
    problem_ui(ui, compared.problem.as_ref());
    for difference in &compared.schema {
        let text = format!("{} {}: {}", difference.object, foreign(&difference.name), difference.change.label());
        ui.add(Label::new(RichText::new(text).color(palette(ui).strong)).wrap());
    }
    tables_ui(ui, form, &compared);
    records_ui(ui, form, &compared, actions);
}

/// What is to be known of a table.
fn remarks(table: &TableDifference) -> String {
    if let Some(problem) = &table.problem {
        return format!("Not compared to its end: {}", foreign(problem));
    }
    let mut words = Vec::new();
    match table.by {
        Told::Key => {}
        Told::Rowid => words.push("by rowid".to_owned()),
        Told::Values => words.push("by all values".to_owned()),
    }
    for (columns, when) in [(&table.only_first, "only then"), (&table.only_second, "only now")] {
        if !columns.is_empty() {
            words.push(format!("{when}: {}", foreign(&columns.join(", "))));
        }
    }
    words.join("; ")
}

fn tables_ui(ui: &mut Ui, form: &mut LookForm, compared: &Compared) {
    let tables = &compared.tables;
    if tables.is_empty() {
        return;
    }
    let figure = |table: &TableDifference, column: usize| match column {
        1 => table.added,
        2 => table.changed,
        _ => table.missing,
    };
    let cell = |row: usize, column: usize| match (tables.get(row), column) {
        (None, _) => Cell::Text(String::new()),
        (Some(table), 0) => Cell::Strong(foreign(&table.table).to_string()),
        (Some(table), 4) => Cell::Text(remarks(table)),
        // What was counted up to damage is no count.
        (Some(table), _) if table.problem.is_some() => Cell::Text("?".to_owned()),
        (Some(table), column) => Cell::Text(count(figure(table, column))),
    };
    let name = |row: usize| tables.get(row).map_or_else(String::new, |row| format!("Compared {}", foreign(&row.table)));
    let key = |row: usize, column: usize| match (tables.get(row), column) {
        (None, _) => SortKey::Unknown,
        (Some(table), 0) => SortKey::text(&table.table),
        (Some(table), 4) => SortKey::text(&remarks(table)),
        (Some(table), column) => SortKey::number(table.problem.is_none().then_some(figure(table, column))),
    };
    let height = ((tables.len() + 1) as f32).clamp(4.0, 8.0) * theme::ROW_HEIGHT;
    let selected = form.differing.0.filter(|at| *at < tables.len());
    let table = Table { name: "Tables compared", columns: &TABLES, rows: tables.len(), height, selected };
    if let Some(RowEvent::Selected(at) | RowEvent::Activated(at)) = table.show(ui, cell, name, key) {
        form.differing = (Some(at).filter(|at| form.differing.0 != Some(*at)), None);
    }
    ui.add_space(6.0);
}

/// Where the records of the table that is selected stand among all, and how many there are.
fn stretch(form: &LookForm, compared: &Compared) -> (u64, u64) {
    let total = |table: &TableDifference| table.added + table.changed + table.missing;
    match form.differing.0.and_then(|at| Some((at, compared.tables.get(at)?))) {
        Some((at, table)) => {
            let from: u64 = compared.tables.iter().take(at).map(total).sum();
            (from, total(table).min(compared.named.saturating_sub(from)))
        }
        None => (0, compared.named),
    }
}

fn records_ui(ui: &mut Ui, form: &mut LookForm, compared: &Compared, actions: &mut Vec<Action>) {
    let (from, rows) = stretch(form, compared);
    if rows == 0 {
        let is_all = form.differing.0.is_none() && compared.schema.is_empty();
        if compared.is_whole && compared.tables.iter().all(|table| table.problem.is_none()) {
            nothing(ui, if is_all { "Nothing differs." } else { "No record differs." });
        }
        return;
    }
    if compared.is_cut {
        let text = format!("More differ than the first {}, which are named here.", count(NAMED_MAX));
        ui.label(RichText::new(text).color(palette(ui).warn.0));
    }
    let state = &form.seen;
    let seen = Noted::new((usize::MAX, 0));
    let cell = |row: usize, column: usize| {
        let (first, last) = seen.get();
        seen.set((first.min(row), last.max(row)));
        match (state.difference(from + row as u64), column) {
            (None, 0) => Cell::Text("…".to_owned()),
            (None, _) => Cell::Text(String::new()),
            (Some(one), 0) => Cell::Text(foreign(&one.table).to_string()),
            (Some(one), 1) => match one.change {
                Change::Added => Cell::Badge(Tone::Good, "Added".to_owned()),
                Change::Changed => Cell::Badge(Tone::Warn, "Changed".to_owned()),
                Change::Missing => Cell::Badge(Tone::Bad, "Missing".to_owned()),
            },
            (Some(one), _) => Cell::Text(foreign(&one.key).to_string()),
        }
    };
    let name = |row: usize| format!("Difference {}", from + row as u64 + 1);
    let rows = rows as usize;
    let height = ((rows + 1) as f32).clamp(4.0, 9.0) * theme::ROW_HEIGHT;
    let selected = form.differing.1.filter(|at| *at < rows);
    let table = Table { name: "Records that differ", columns: &RECORDS, rows, height, selected };
    let event = table.show_listed(ui, Listed::default(), cell, name).row;
    let (first, last) = seen.get();
    for row in (first..=last).filter(|row| *row < rows) {
        let nth = from + row as u64;
        if state.difference(nth).is_none() {
            actions.extend(state.missing_difference(nth).map(|ask| Action::Look(Look::Ask(ask))));
        }
    }
    if is_copied(ui, "Records that differ")
        && let Some(one) = selected.and_then(|at| state.difference(from + at as u64))
    {
        actions.push(Action::Copy(format!("{}\t{}\t{}", one.table, one.change.label(), one.key)));
    }
    if let Some(RowEvent::Selected(at) | RowEvent::Activated(at)) = event {
        form.differing.1 = Some(at);
    }
}
