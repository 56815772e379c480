//! What is chosen in the list: a commit, or an operation with all its columns, old beside new.

use eframe::egui::{RichText, Ui};
use lucide_icons::Icon;

use super::acts;
use crate::{
    activity::{
        query::Ask,
        row::{Field, Row},
    },
    engine::status::DataFileStatus,
    error::foreign::foreign,
    ui::{
        action::Action,
        activity::{ActivityForm, Selected, words},
        dialogs::value::ValueForm,
        table::{Cell, Column, RowEvent, SortKey, Table, open_column, text_column},
        theme::{self, palette},
        widgets::{Tone, button, card, count, strip},
    },
};

const COLUMNS: [Column; 3] =
    [text_column("Column", 150.0).names_row(), open_column("Old", 180.0).said(), open_column("New", 180.0).said()];

pub(super) fn detail_ui(ui: &mut Ui, form: &mut ActivityForm, data_file: &DataFileStatus, actions: &mut Vec<Action>) {
    let commit = form.selected.filter(|selected| selected.operation.is_none() && selected.operations > 0);
    if let Some(selected) = commit {
        ui.add_space(theme::GAP - 8.0);
        ui.horizontal_wrapped(|ui| {
            if form.detail.is_none() {
                acts::go_back_ui(ui, form, data_file, actions);
            }
            commit_ui(ui, form, selected);
        });
    }
    let Some(wanted) = form.detail else { return };
    ui.add_space(theme::GAP - 8.0);
    let Some(row) = form.feed.shown(wanted).cloned() else {
        let is_answered = form.feed.detail.as_ref().is_some_and(|(of, _)| *of == wanted);
        if !is_answered {
            actions.push(Action::AskActivity(Ask::Operation { commit: wanted.0, number: wanted.1 }));
        }
        let text = if is_answered { "This operation is not known any more." } else { "Reading …" };
        ui.label(RichText::new(text).color(palette(ui).weak));
        return;
    };
    card(ui, Icon::FileText, &words::title(&row), |ui| {
        ui.horizontal_wrapped(|ui| {
            ui.label(RichText::new(words::place(&row)).color(palette(ui).weak));
            acts::go_back_ui(ui, form, data_file, actions);
        });
        if let Some(reason) = &row.reason {
            strip(
                ui,
                Tone::Warn,
                &foreign(reason).to_string(),
                Some("The rest of it is shown as far as it is known."),
                |_| (),
            );
        }
        buttons_ui(ui, form, &row, actions);
        columns_ui(ui, form, &row, actions);
    });
}

/// What can be done with the commit that is selected.
fn commit_ui(ui: &mut Ui, form: &mut ActivityForm, selected: Selected) {
    if selected.operations > 1 {
        let is_opened = form.opened.is_some_and(|opened| opened.commit == selected.commit);
        let (icon, label) = match is_opened {
            true => (Icon::ChevronUp, "Hide its operations".to_owned()),
            false => (Icon::ChevronDown, format!("Show its {} operations", count(selected.operations))),
        };
        if button(ui, Some(icon), &label).clicked() {
            form.turn(selected);
        }
    }
    if button(ui, None, "Only from this commit on").clicked() {
        form.filter.first = Some(selected.commit);
    }
    if button(ui, None, "Only up to this commit").clicked() {
        form.filter.last = Some(selected.commit);
    }
}

fn buttons_ui(ui: &mut Ui, form: &mut ActivityForm, row: &Row, actions: &mut Vec<Action>) {
    ui.horizontal_wrapped(|ui| {
        let (commit, number) = (row.commit, row.number);
        if row.key.is_some() && row.object.is_none() {
            if button(ui, Some(Icon::ArrowDown), "Previous change of this record").clicked() {
                form.note = None;
                actions.push(Action::AskActivity(Ask::Neighbour { commit, number, forward: false }));
            }
            if button(ui, Some(Icon::ArrowUp), "Next change of this record").clicked() {
                form.note = None;
                actions.push(Action::AskActivity(Ask::Neighbour { commit, number, forward: true }));
            }
            if button(ui, Some(Icon::SearchCheck), "Only this record").clicked() {
                form.filter.table.clone_from(&row.table);
                form.filter.key = row.key.clone().unwrap_or_default();
                (form.filter.action, form.filter.text) = (None, String::new());
                (form.filter.time, form.filter.first, form.filter.last) = (None, None, None);
                form.filter.internal |= row.is_internal;
            }
        }
        if button(ui, Some(Icon::Copy), "Copy as text").clicked() {
            actions.push(Action::Copy(words::as_text(row)));
        }
        let field = form.column.and_then(|column| row.fields.get(column));
        if let Some(field) = field
            && button(ui, Some(Icon::FileText), "View value…").clicked()
        {
            actions.push(view(row, field));
        }
    });
    if let Some(note) = form.note {
        ui.label(RichText::new(note).color(palette(ui).strong));
    }
}

fn view(row: &Row, field: &Field) -> Action {
    Action::ViewValue(Box::new(ValueForm::new(row, field)))
}

fn columns_ui(ui: &mut Ui, form: &mut ActivityForm, row: &Row, actions: &mut Vec<Action>) {
    let fields = &row.fields;
    if fields.is_empty() {
        return;
    }
    ui.add_space(4.0);
    let new =
        |field: &Field| if field.is_same { words::value(field.old.as_ref()) } else { words::value(field.new.as_ref()) };
    let cell = |at: usize, column: usize| {
        let Some(field) = fields.get(at) else { return Cell::Text(String::new()) };
        match column {
            0 => Cell::Text(foreign(&field.column).to_string()),
            1 => Cell::Text(words::value(field.old.as_ref())),
            _ if field.is_same => Cell::Text(new(field)),
            _ => Cell::Strong(new(field)),
        }
    };
    let name = |at: usize| {
        let Some(field) = fields.get(at) else { return String::new() };
        let is_changed = field.old.is_some() && field.new.is_some() && !field.is_same;
        format!("Column {}{}", foreign(&field.column), if is_changed { ", changed" } else { "" })
    };
    let key = |at: usize, column: usize| match (fields.get(at), column) {
        (None, _) => SortKey::Unknown,
        (Some(field), 0) => SortKey::text(&field.column),
        (Some(field), 1) => SortKey::text(&words::value(field.old.as_ref())),
        (Some(field), _) => SortKey::text(&new(field)),
    };
    let height = ((fields.len() + 1) as f32 * theme::ROW_HEIGHT).min(12.0 * theme::ROW_HEIGHT);
    let selected = form.column.filter(|column| *column < fields.len());
    let table = Table { name: "Columns", columns: &COLUMNS, rows: fields.len(), height, selected };
    match table.show(ui, cell, name, key) {
        Some(RowEvent::Selected(at)) => form.column = Some(at),
        Some(RowEvent::Activated(at)) => {
            form.column = Some(at);
            actions.extend(fields.get(at).map(|field| view(row, field)));
        }
        None => {}
    }
}
