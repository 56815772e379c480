//! The Restore page: the known archives of the data file.

use std::path::Path;

use eframe::egui::{Label, RichText, Ui};
use lucide_icons::Icon;

use crate::{
    archive::catalog::ArchiveEntry,
    engine::Status,
    storage::space::human_bytes,
    ui::{
        action::Action,
        jobs,
        state::{ArchivesForm, State},
        table::{Cell, Column, RowEvent, figure_column, nothing, table, text_column},
        theme::{self, palette},
        widgets::{Tone, button, card, error_strip, fact, moment, page_header, primary_button},
    },
};

const COLUMNS: [Column; 6] = [
    text_column("Number", Some(80.0)),
    text_column("Date and time", Some(170.0)),
    figure_column("Size", 84.0),
    figure_column("Data file", 88.0),
    text_column("State", Some(112.0)),
    text_column("File", None),
];

/// Rows beyond these scroll inside the table.
const ROWS_SHOWN: usize = 9;

pub(crate) fn restore_ui(ui: &mut Ui, status: &Status, state: &mut State, actions: &mut Vec<Action>) {
    let Some(data_file) = state.data_file(status) else {
        return;
    };
    page_header(ui, "Restore", &format!("Archives in {}", data_file.destination.display()), |ui| {
        if button(ui, Some(Icon::FolderOpen), "Browse…").on_hover_text("Choose an archive elsewhere").clicked() {
            actions.push(Action::ChooseArchive);
        }
    });
    jobs::news_ui(ui, status, state, actions);
    let archives = &data_file.archives;
    if archives.is_empty() {
        nothing(ui, "No archives yet. Make a full backup, or browse for an archive elsewhere.");
        return;
    }
    archives_ui(ui, (&data_file.facts.path, archives), &mut state.archives, actions);
}

fn archives_ui(
    ui: &mut Ui,
    (data_file, archives): (&Path, &[ArchiveEntry]),
    form: &mut ArchivesForm,
    actions: &mut Vec<Action>,
) {
    // The newest sound one is what one wants most often.
    let newest = archives.iter().position(|a| a.problem.is_none()).unwrap_or(0);
    let at = form.selected.as_ref().and_then(|path| archives.iter().position(|a| a.path == *path)).unwrap_or(newest);
    let cell = |row: usize, column: usize| {
        let archive = &archives[row];
        match column {
            0 => Cell::Strong(archive.number.to_string()),
            1 => Cell::Text(archive.moment.as_ref().map(moment).unwrap_or_default()),
            2 => Cell::Text(human_bytes(archive.bytes)),
            3 if archive.data_bytes == 0 => Cell::Text(String::new()),
            3 => Cell::Text(human_bytes(archive.data_bytes)),
            4 if archive.problem.is_some() => Cell::Badge(Tone::Bad, "Unreadable".to_owned()),
            4 => Cell::Badge(Tone::Good, "Complete".to_owned()),
            _ => Cell::Path(jobs::name(&archive.path)),
        }
    };
    let name = |row: usize| format!("Archive {}", archives[row].number);
    let rows = archives.len().min(ROWS_SHOWN) + 1;
    match table(ui, &COLUMNS, archives.len(), rows as f32 * theme::ROW_HEIGHT, Some(at), cell, name) {
        Some(RowEvent::Selected(row)) => form.selected = Some(archives[row].path.clone()),
        Some(RowEvent::Activated(row)) => actions.push(Action::AskRestore(archives[row].path.clone())),
        None => {}
    }
    ui.add_space(theme::GAP);
    detail(ui, data_file, &archives[at], actions);
}

fn detail(ui: &mut Ui, data_file: &Path, archive: &ArchiveEntry, actions: &mut Vec<Action>) {
    card(ui, Icon::FileArchive, &format!("Archive {}", archive.number), |ui| {
        fact(ui, "Path", archive.path.display().to_string());
        if let Some(of) = &archive.moment {
            fact(ui, "State of", moment(of));
        }
        if let Some(problem) = &archive.problem {
            ui.add_space(4.0);
            error_strip(ui, problem, |_| ());
        } else {
            let text = "Restored files go to a folder of their own. Nothing that exists is overwritten.";
            ui.add(Label::new(RichText::new(text).color(palette(ui).weak)).wrap());
        }
        ui.add_space(6.0);
        ui.horizontal_wrapped(|ui| {
            let label = format!("Restore archive {}…", archive.number);
            if primary_button(ui, Some(Icon::ArchiveRestore), &label, true).clicked() {
                actions.push(Action::AskRestore(archive.path.clone()));
            }
            let in_place = button(ui, Some(Icon::DatabaseBackup), &format!("Restore {} in place…", archive.number));
            let tip = "Bring the data file itself back to an earlier moment, while its programs go on";
            if in_place.on_hover_text(tip).clicked() {
                let (archive, data_file) = (archive.path.clone(), data_file.to_path_buf());
                actions.push(Action::AskRestoreInPlace { archive, data_file });
            }
            let verify = button(ui, Some(Icon::SearchCheck), &format!("Verify archive {}", archive.number));
            if verify.on_hover_text("Read every byte and prove every checksum").clicked() {
                actions.push(Action::Verify(archive.path.clone()));
            }
            if button(ui, Some(Icon::FolderOpen), "Show archive folder").clicked() {
                let folder = archive.path.parent().unwrap_or(&archive.path);
                actions.push(Action::ShowFolder(folder.to_path_buf()));
            }
        });
    });
}
