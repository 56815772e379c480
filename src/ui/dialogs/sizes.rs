//! The dialog *Information*: every table of a data file with its records, what came or went since the last backup, and
//! the room that it takes.

use eframe::egui::{Context, Label, RichText, Ui};
use lucide_icons::Icon;

use super::tall_frame;
use crate::{
    error::foreign::foreign,
    maintenance::tables::{Kind, TableSize, Tables},
    storage::space::human_bytes,
    ui::{
        action::{Action, Sizes},
        looking::sizes::SizesForm,
        table::{Cell, Column, RowEvent, SortKey, Table, figure_column, is_copied, nothing, open_column, text_column},
        theme::{self, palette},
        widgets::{Tone, bar, button, button_if, count, error_strip, fact, moment, primary_button, strip},
    },
};

const WIDTH: f32 = 1080.0;
const HEIGHT: f32 = 440.0;
/// Rows that are seen at once.
const ROWS: f32 = 13.0;
/// Room below them, and for the bar that scrolls columns.
const BELOW: f32 = 72.0;
/// From so many thousandths of the data file on that are not in use, compacting is offered.
const MUCH: u64 = 100;
/// What is not known, and what there cannot be.
const UNKNOWN: &str = "Unknown";
const NONE: &str = "–";
const TABLES: &str = "Tables of the data file";

const TITLES: [&str; 9] =
    ["Table", "Records", "Since backup", "Columns", "Indexes", "Table size", "Index size", "Free space", "Remarks"];
const COLUMNS: [Column<'static>; 9] = [
    text_column(TITLES[0], 170.0).names_row(),
    figure_column(TITLES[1], 100.0).said(),
    figure_column(TITLES[2], 112.0).said(),
    figure_column(TITLES[3], 84.0).said(),
    figure_column(TITLES[4], 84.0).said(),
    figure_column(TITLES[5], 100.0).said(),
    figure_column(TITLES[6], 100.0).said(),
    figure_column(TITLES[7], 100.0).said(),
    open_column(TITLES[8], 140.0),
];

pub(crate) fn sizes_ui(ctx: &Context, form: &mut SizesForm, actions: &mut Vec<Action>) {
    tall_frame(
        ctx,
        "Information",
        WIDTH,
        ((), HEIGHT),
        &mut (form, actions),
        |ui, (form, actions)| head(ui, form, actions),
        |ui, (form, actions)| {
            content(ui, form, actions);
            if form.is_looking() {
                ui.ctx().request_repaint_after(form.poll().1);
            }
        },
        |ui, keys, (form, actions)| {
            if primary_button(ui, None, "Close", true).clicked() || keys.escape || keys.enter {
                actions.push(Action::Sizes(Sizes::Close));
            }
            if button_if(ui, !form.is_looking(), Some(Icon::RefreshCw), "Look again").clicked() {
                actions.push(Action::Sizes(Sizes::Again));
            }
            let tables = form.tables().filter(|_| !form.is_looking());
            if button_if(ui, tables.is_some(), Some(Icon::Copy), "Copy table").clicked() {
                actions.extend(tables.map(|tables| Action::Copy(in_lines(tables))));
            }
        },
    );
}

fn head(ui: &mut Ui, form: &SizesForm, actions: &mut Vec<Action>) {
    fact(ui, "Data file", foreign(&form.data_file.display().to_string()).to_string());
    if let Some(tables) = form.tables() {
        let free = human_bytes(tables.free_bytes());
        let size = format!("{}, {free} of it not in use", human_bytes(tables.bytes()));
        fact(ui, "Size", size);
        fact(ui, "Last backup", since(tables));
        let is_much = tables.free_bytes() * 1000 >= tables.bytes() * MUCH && tables.free_bytes() > 0;
        if is_much && !form.is_looking() {
            let share = tables.free_bytes() * 100 / tables.bytes();
            let message = format!("{share} % of the data file is not in use");
            let hint = "Compacting makes it as short as its content. Its programs must have closed it meanwhile.";
            strip(ui, Tone::Warn, &message, Some(hint), |ui| {
                if button(ui, None, "Compact data…").clicked() {
                    actions.push(Action::Sizes(Sizes::Compact));
                }
            });
            ui.add_space(4.0);
        }
    }
    if let Some(error) = form.problem() {
        error_strip(ui, error, |_| ());
        ui.add_space(4.0);
    }
}

fn since(tables: &Tables) -> String {
    match &tables.since {
        None => "none that it could be compared with".to_owned(),
        Some(since) => {
            let (size, then) = (human_bytes(since.bytes), moment(&since.moment));
            format!("{} of {then}, when the data file had {size}", since.number)
        }
    }
}

/// A number with its sign.
fn signed(number: i128) -> String {
    let digits = count(u64::try_from(number.unsigned_abs()).unwrap_or(u64::MAX));
    match number {
        0 => digits,
        1.. => format!("+{digits}"),
        _ => format!("−{digits}"),
    }
}

fn title(table: &TableSize) -> String {
    if table.kind == Kind::Internal { "SQLite’s own".to_owned() } else { foreign(&table.table).to_string() }
}

/// Whether it only shows what others keep.
fn is_nothing(table: &TableSize) -> bool {
    table.kind == Kind::Virtual && table.all_bytes() == Some(0)
}

fn text(tables: &Tables, table: &TableSize, column: usize) -> String {
    let known = |text: Option<String>| match text {
        Some(text) => text,
        // Not looked at yet, which is not none.
        None if !table.is_measured => "…".to_owned(),
        None => UNKNOWN.to_owned(),
    };
    let has_records = table.kind != Kind::Internal && !is_nothing(table);
    match column {
        0 => title(table),
        1 if has_records => known(table.records.map(count)),
        2 if has_records && tables.since.is_some() => known(match (table.growth(), table.is_new) {
            (Some(_), true) => Some("New".to_owned()),
            (growth, _) => growth.map(signed),
        }),
        3 if table.kind == Kind::Table => table.columns.map_or_else(|| UNKNOWN.to_owned(), count),
        4 => count(table.indexes.len() as u64),
        5 => known(table.bytes.map(human_bytes)),
        6 => known(table.index_bytes.map(human_bytes)),
        7 if table.all_bytes() != Some(0) => {
            known(table.free_share().map(|share| format!("{}.{} %", share / 10, share % 10)))
        }
        8 => match &table.problem {
            Some(problem) => foreign(problem).to_string(),
            None if table.kind == Kind::Virtual => "Virtual".to_owned(),
            None => String::new(),
        },
        _ => NONE.to_owned(),
    }
}

fn key(table: &TableSize, column: usize) -> SortKey {
    match column {
        0 => SortKey::text(&title(table)),
        1 => SortKey::number(table.records),
        2 => SortKey::number(table.growth()),
        3 => SortKey::number(table.columns),
        4 => SortKey::number(Some(table.indexes.len() as u64)),
        5 => SortKey::number(table.bytes),
        6 => SortKey::number(table.index_bytes),
        7 => SortKey::number(table.free_share()),
        _ => SortKey::text(table.problem.as_deref().unwrap_or_default()),
    }
}

/// All of it, for a spreadsheet.
fn in_lines(tables: &Tables) -> String {
    let titles = TITLES.join("\t");
    let lines = tables.tables.iter().map(|table| in_line(tables, table));
    std::iter::once(titles).chain(lines).collect::<Vec<_>>().join("\n")
}

fn in_line(tables: &Tables, table: &TableSize) -> String {
    (0..TITLES.len()).map(|column| text(tables, table, column)).collect::<Vec<_>>().join("\t")
}

fn content(ui: &mut Ui, form: &mut SizesForm, actions: &mut Vec<Action>) {
    if form.is_looking() {
        let text = "Looking at the tables; programs go on meanwhile …";
        ui.label(RichText::new(text).color(palette(ui).weak));
        bar(ui, text.trim_end_matches(" …"), form.done(), palette(ui).accent);
        ui.add_space(6.0);
    }
    let Some(tables) = form.tables() else { return };
    if tables.tables.is_empty() {
        nothing(ui, "There are no tables.");
        return;
    }
    let rows = &tables.tables;
    let cell = |row: usize, column: usize| match rows.get(row) {
        None => Cell::Text(String::new()),
        Some(table) if column == 0 => Cell::Strong(title(table)),
        Some(table) if column == 8 && table.problem.is_some() => Cell::Badge(Tone::Bad, text(tables, table, column)),
        Some(table) => Cell::Text(text(tables, table, column)),
    };
    let name = |row: usize| rows.get(row).map_or_else(String::new, |table| format!("Table {}", title(table)));
    let by = |row: usize, column: usize| rows.get(row).map_or(SortKey::Unknown, |table| key(table, column));
    // As high as there is room for, with the indexes below: one bar to scroll by, not two.
    let room = (ui.clip_rect().height() - BELOW) / theme::ROW_HEIGHT;
    let height = ((rows.len() + 1) as f32).min(room).clamp(4.0, ROWS) * theme::ROW_HEIGHT;
    let selected = form.selected().map(|(at, _)| at);
    let table = Table { name: TABLES, columns: &COLUMNS, rows: rows.len(), height, selected };
    let event = table.show(ui, cell, name, by);
    if let (true, Some((_, table))) = (is_copied(ui, TABLES), form.selected()) {
        actions.push(Action::Copy(in_line(tables, table)));
    }
    if let Some((_, table)) = form.selected() {
        indexes_ui(ui, table);
    }
    if let Some(RowEvent::Selected(at) | RowEvent::Activated(at)) = event {
        form.selected = rows.get(at).map(|table| table.table.clone());
    }
}

/// The indexes of the table that is selected.
fn indexes_ui(ui: &mut Ui, table: &TableSize) {
    let size = |bytes: Option<u64>| bytes.map_or_else(|| "of unknown size".to_owned(), human_bytes);
    let each = table.indexes.iter().map(|index| format!("{} {}", foreign(&index.name), size(index.bytes)));
    let text = match table.indexes.is_empty() {
        true => format!("{} has no indexes.", title(table)),
        false => format!("Indexes of {}: {}.", title(table), each.collect::<Vec<_>>().join(", ")),
    };
    ui.add_space(8.0);
    ui.add(Label::new(RichText::new(text).color(palette(ui).text)).wrap().selectable(true));
}
