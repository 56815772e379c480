//! The Restore page: the known archives of the data file.

use std::{collections::HashMap, path::PathBuf};

use eframe::egui::Ui;
use lucide_icons::Icon;

use super::{
    archive::{detail, proof_of},
    logs_used,
};
use crate::{
    archive::catalog::ArchiveEntry,
    backup::soundness::Damaged,
    engine::{Status, status::DataFileStatus},
    sqlite::seen::ContentCheck,
    storage::space::human_bytes,
    ui::{
        action::Action,
        answers::View,
        jobs,
        page::page_header,
        state::{ArchivesForm, State},
        still,
        table::{Cell, Column, RowEvent, SortKey, Table, figure_column, nothing, open_column, text_column},
        theme,
        widgets::{Tone, button, moment},
    },
};

const COLUMNS: [Column; 7] = [
    text_column("Number", 92.0).names_row(),
    text_column("State", 142.0),
    text_column("Date and time", 178.0),
    figure_column("Size", 92.0),
    figure_column("Data file", 92.0).said(),
    text_column("Last proven", 108.0).said(),
    open_column("File", 190.0),
];

/// Rows beyond these scroll inside the table.
const ROWS_SHOWN: usize = 9;

/// A page that was not drawn for so many passes was left meanwhile.
const PASSES_APART: u64 = 3;

pub(crate) fn restore_ui(ui: &mut Ui, status: &Status, state: &mut State, actions: &mut Vec<Action>) {
    let Some(data_file) = state.data_file(status) else {
        return;
    };
    page_header(ui, "Restore", &format!("Archives in {}", data_file.destination.display()), |ui| {
        if button(ui, Some(Icon::FolderOpen), "Browse…").on_hover_text("Choose an archive elsewhere").clicked() {
            actions.push(Action::ChooseArchive);
        }
    });
    still::begin(ui);
    jobs::news_ui(ui, status, state, actions);
    still::end(ui);
    if data_file.archives.is_empty() && data_file.copies.is_empty() {
        nothing(ui, "No archives yet. Make a full backup, or browse for an archive elsewhere.");
        return;
    }
    let view = &View { status, answers: &state.answers };
    archives_ui(ui, view, data_file, (&mut state.archives, &state.segments), actions);
}

/// What is known now of an archive that is shown; one that has just gone stays what it was.
fn as_now<'a>(data_file: &'a DataFileStatus, shown: &'a ArchiveEntry) -> &'a ArchiveEntry {
    data_file.copies.iter().chain(&data_file.archives).find(|archive| archive.path == shown.path).unwrap_or(shown)
}

/// The archives to show: those there are, but while the pointer is on its way to one of them those that were shown. A
/// backup made elsewhere would move the rows, and the click that was meant for one would choose another.
fn keep_rows(ui: &Ui, data_file: &DataFileStatus, shown: &mut (PathBuf, Vec<ArchiveEntry>)) -> Vec<ArchiveEntry> {
    // A copy that a repair wrote comes before the archive whose place it takes.
    let mut now: Vec<&ArchiveEntry> = data_file.copies.iter().chain(&data_file.archives).collect();
    now.sort_by_key(|archive| std::cmp::Reverse(archive.number));
    let is_of_it = shown.0 == data_file.facts.path;
    let is_same = is_of_it && shown.1.iter().map(|archive| &archive.path).eq(now.iter().map(|archive| &archive.path));
    if !is_same && is_of_it && !shown.1.is_empty() && still::holds(ui.ctx()) {
        still::hold_back(ui.ctx());
    } else if !is_same {
        *shown = (data_file.facts.path.clone(), now.into_iter().cloned().collect());
    }
    shown.1.clone()
}

fn archives_ui(
    ui: &mut Ui,
    status: &View<'_>,
    data_file: &DataFileStatus,
    (form, folders): (&mut ArchivesForm, &HashMap<PathBuf, Vec<PathBuf>>),
    actions: &mut Vec<Action>,
) {
    let before: Vec<PathBuf> = form.shown.1.iter().map(|archive| archive.path.clone()).collect();
    let shown = keep_rows(ui, data_file, &mut form.shown);
    // One that turns out damaged while somebody looks at it stays the one that the buttons are about.
    let pass = ui.ctx().cumulative_pass_nr();
    let is_left = pass.saturating_sub(std::mem::replace(&mut form.drawn, pass)) > PASSES_APART;
    if is_left || !shown.iter().map(|archive| &archive.path).eq(&before) {
        form.proposed = None;
    }
    let archives: Vec<&ArchiveEntry> = shown.iter().map(|archive| as_now(data_file, archive)).collect();
    // The newest sound one is what one wants most often.
    let rank = |a: &ArchiveEntry| match data_file.damage_of(a) {
        None if a.problem.is_none() && a.check != ContentCheck::Damaged && data_file.is_own(a) => 0,
        Some(damage) if damage.is_repairable => 1,
        None if a.problem.is_none() => 2,
        _ => 3,
    };
    let newest = (0..archives.len()).min_by_key(|row| rank(archives[*row])).unwrap_or(0);
    let row_of = |path: &PathBuf| archives.iter().position(|archive| archive.path == *path);
    let proposed = form.proposed.as_ref().and_then(row_of).unwrap_or(newest);
    form.proposed = Some(archives[proposed].path.clone());
    let at = form.selected.as_ref().and_then(row_of).unwrap_or(proposed);
    let proof = |row: usize| proof_of(status, data_file, archives[row]);
    let cell = |row: usize, column: usize| {
        let archive = archives[row];
        match column {
            0 if archive.hold.is_some() => Cell::Strong(format!("{} held", archive.number)),
            0 => Cell::Strong(archive.number.to_string()),
            1 => {
                let (tone, word) = state_of(data_file, archive);
                Cell::Badge(tone, word.to_owned())
            }
            2 => Cell::Text(archive.moment.as_ref().map(moment).unwrap_or_default()),
            3 => Cell::Text(human_bytes(archive.bytes)),
            4 if archive.data_bytes == 0 => Cell::Text(String::new()),
            4 => Cell::Text(human_bytes(archive.data_bytes)),
            5 => Cell::Text(
                proof(row).map_or_else(|| "Never".to_owned(), |proof| proof.proven.format("%Y-%m-%d").to_string()),
            ),
            _ => Cell::Path(jobs::name(&archive.path)),
        }
    };
    let key = |row: usize, column: usize| {
        let archive = archives[row];
        match column {
            0 => SortKey::number(Some(archive.number.0)),
            1 => SortKey::text(state_of(data_file, archive).1),
            2 => SortKey::number(archive.moment.as_ref().map(|of| of.timestamp_millis())),
            3 => SortKey::number(Some(archive.bytes)),
            4 => SortKey::number(Some(archive.data_bytes)),
            5 => SortKey::number(proof(row).map(|proof| proof.proven.timestamp_millis())),
            _ => SortKey::text(&jobs::name(&archive.path)),
        }
    };
    let is_copy = |archive: &ArchiveEntry| data_file.copies.iter().any(|copy| copy.path == archive.path);
    let name = |row: usize| {
        let held = if archives[row].hold.is_some() { ", held" } else { "" };
        match archives[row] {
            copy if is_copy(copy) => format!("Repaired copy of archive {}{held}", copy.number),
            archive => format!("Archive {}{held}", archive.number),
        }
    };
    let rows = archives.len().min(ROWS_SHOWN) + 1;
    let height = rows as f32 * theme::ROW_HEIGHT;
    let table = Table { name: "Archives", columns: &COLUMNS, rows: archives.len(), height, selected: Some(at) };
    match table.show(ui, cell, name, key) {
        Some(RowEvent::Selected(row)) => form.selected = Some(archives[row].path.clone()),
        Some(RowEvent::Activated(row)) => actions.push(Action::AskRestore(archives[row].path.clone())),
        None => {}
    }
    ui.add_space(theme::GAP);
    let named = folders.get(&archives[at].path).map_or(&[][..], Vec::as_slice);
    logs_used::ask(status, data_file, form, (archives[at], named), actions);
    detail(ui, status, data_file, (archives[at], named, form), actions);
}

/// The state of an archive as far as a glance and the last verification tell.
pub(crate) fn state_of(data_file: &DataFileStatus, archive: &ArchiveEntry) -> (Tone, &'static str) {
    match data_file.damage_of(archive) {
        _ if archive.missing.is_some() => (Tone::Warn, "Incomplete"),
        // Also where a glance does not see through the damage.
        Some(damage) if damage.is_for_repair() => (Tone::Warn, "Repairable"),
        None if archive.problem.is_some() => (Tone::Bad, "Unreadable"),
        Some(damage) if damage.what == Damaged::Logs && damage.is_repairable => (Tone::Warn, "Log repairable"),
        Some(damage) if damage.what == Damaged::Logs => (Tone::Bad, "Logs damaged"),
        Some(damage) if damage.by_test => (Tone::Bad, "Not restorable"),
        Some(_) => (Tone::Bad, "Damaged"),
        None if archive.put_by.is_some() => (Tone::Bad, "Of another user"),
        None if data_file.settings.data_file_id.is_some() && !data_file.is_own(archive) => {
            let is_earlier = archive.made_of.as_ref() == Some(&data_file.facts.path);
            (Tone::Warn, if is_earlier { "Of other settings" } else { "Of another file" })
        }
        None if archive.check == ContentCheck::Damaged => (Tone::Bad, "Content damaged"),
        None if archive.not_whole > Some(0) => (Tone::Warn, "Partial"),
        None if archive.check == ContentCheck::NotChecked => (Tone::Neutral, "Not checked"),
        None if archive.not_whole.is_none() => (Tone::Neutral, "Readable"),
        None => (Tone::Good, "Complete"),
    }
}
