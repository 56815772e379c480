//! The tables of the state.

use eframe::egui::Ui;

use crate::{
    as_of::ask::TableRow,
    error::foreign::foreign,
    ui::{
        looking::LookForm,
        table::{Cell, Column, RowEvent, SortKey, Table, figure_column, nothing, open_column},
        theme,
        widgets::{Tone, count},
    },
};

const COLUMNS: [Column<'static>; 2] = [open_column("Table", 110.0).names_row(), figure_column("Records", 92.0).said()];

/// The first table is shown until somebody chooses one.
pub(super) fn choose_first(form: &mut LookForm) {
    if form.table.is_none() {
        form.table = form.seen.state.tables.first().map(|row| row.table.clone());
    }
}

fn counted(row: &TableRow) -> Cell {
    match (row.records, &row.problem) {
        (Some(records), _) => Cell::Text(count(records)),
        (None, Some(_)) => Cell::Badge(Tone::Bad, "Unreadable".to_owned()),
        // Not known yet, which is not none.
        (None, None) => Cell::Text("…".to_owned()),
    }
}

pub(super) fn tables_ui(ui: &mut Ui, form: &mut LookForm, rows_shown: usize) {
    let tables = &form.seen.state.tables;
    if tables.is_empty() {
        nothing(ui, "There are no tables in this state.");
        return;
    }
    let cell = |row: usize, column: usize| match (tables.get(row), column) {
        (None, _) => Cell::Text(String::new()),
        (Some(table), 0) => Cell::Strong(foreign(&table.table).to_string()),
        (Some(table), _) => counted(table),
    };
    let name = |row: usize| tables.get(row).map_or_else(String::new, |row| format!("Table {}", foreign(&row.table)));
    let key = |row: usize, column: usize| match (tables.get(row), column) {
        (None, _) => SortKey::Unknown,
        (Some(table), 0) => SortKey::text(&table.table),
        (Some(table), _) => SortKey::number(table.records),
    };
    let height = ((tables.len() + 1).min(rows_shown) as f32 * theme::ROW_HEIGHT).max(4.0 * theme::ROW_HEIGHT);
    let selected = form.table.as_ref().and_then(|table| tables.iter().position(|row| row.table == *table));
    let table = Table { name: "Tables", columns: &COLUMNS, rows: tables.len(), height, selected };
    let event = table.show(ui, cell, name, key);
    let chosen = match event {
        Some(RowEvent::Selected(row) | RowEvent::Activated(row)) => tables.get(row).map(|row| row.table.clone()),
        None => None,
    };
    if let Some(chosen) = chosen.filter(|chosen| form.table.as_ref() != Some(chosen)) {
        (form.table, form.sorted, form.text) = (Some(chosen), None, String::new());
    }
}
