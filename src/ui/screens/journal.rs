//! The Backup journal: every job, filtered, and the chosen one in full.

use eframe::egui::{RichText, TextWrapMode, Ui, vec2};
use lucide_icons::Icon;

use crate::{
    engine::{
        Status,
        history::{HistoryEntry, JobKind, Outcome},
        status::DataFileStatus,
    },
    storage::space::human_bytes,
    ui::{
        action::{Action, Recover},
        dialogs::undo::undo_button,
        jobs,
        page::page_header,
        state::{JournalForm, State},
        still,
        table::{Cell, Column, RowEvent, SortKey, Table, figure_column, nothing, open_column, text_column},
        theme::{self, palette},
        widgets::{Tone, button, card, check_box, choice, duration, fact, moment, strip, text_field},
    },
};

const COLUMNS: [Column; 7] = [
    text_column("Start", 172.0).names_row(),
    text_column("Result", 126.0).names_row(),
    text_column("Kind", 168.0).names_row(),
    text_column("Number", 70.0).names_row(),
    figure_column("Duration", 84.0),
    figure_column("Bytes", 88.0),
    open_column("Path", 190.0),
];

const SEARCH_WIDTH: f32 = 240.0;
const CHOICE_WIDTH: f32 = 130.0;
const BOX_WIDTH: f32 = 150.0;
const KINDS: &[JobKind] = JobKind::ALL;
const OUTCOMES: &[Outcome] = Outcome::ALL;

pub(crate) fn journal_ui(ui: &mut Ui, status: &Status, state: &mut State, actions: &mut Vec<Action>) {
    page_header(ui, "Backup journal", "Every job and how it ended. Numbers of archives do not depend on it.", |_| ());
    still::begin(ui);
    jobs::news_ui(ui, status, state, actions);
    still::end(ui);
    let current = state.current.clone();
    let form = &mut state.journal;
    filter_ui(ui, form);
    ui.add_space(4.0);
    let only = current.filter(|_| form.this_file_only);
    let rows: Vec<&HistoryEntry> = status
        .history
        .iter()
        .filter(|entry| only.is_none() || entry.data_file == only)
        .filter(|entry| matches(entry, form))
        .collect();
    if rows.is_empty() {
        let text = if status.history.is_empty() { "No jobs yet." } else { "No job matches the filter." };
        nothing(ui, text);
        return;
    }
    let selected = form.selected.and_then(|id| rows.iter().position(|entry| entry.id == id));
    let detail_height = if selected.is_some() { 190.0 } else { 0.0 };
    let height = (ui.ctx().content_rect().bottom() - ui.cursor().top() - detail_height - 40.0)
        .clamp(6.0 * theme::ROW_HEIGHT, 20.0 * theme::ROW_HEIGHT)
        .min((rows.len() + 1) as f32 * theme::ROW_HEIGHT);
    let cell = |row: usize, column: usize| cell(rows[row], column);
    let name = |row: usize| row_name(rows[row]);
    let key = |row: usize, column: usize| key(rows[row], column);
    let height = height.max(4.0 * theme::ROW_HEIGHT);
    let table = Table { name: "Jobs", columns: &COLUMNS, rows: rows.len(), height, selected };
    if let Some(RowEvent::Selected(row) | RowEvent::Activated(row)) = table.show(ui, cell, name, key) {
        form.selected = Some(rows[row].id);
    }
    if let Some(entry) = selected.map(|at| rows[at]) {
        ui.add_space(theme::GAP);
        let known = entry.data_file.as_ref().and_then(|path| status.data_file(path));
        detail(ui, entry, known, actions);
    }
}

fn filter_ui(ui: &mut Ui, form: &mut JournalForm) {
    ui.horizontal_wrapped(|ui| {
        let width = SEARCH_WIDTH.min(ui.available_width());
        text_field(ui, "Search the journal", &mut form.text, "Search paths and errors", width);
        combo(ui, "Kind", "All kinds", KINDS, &mut form.kind, JobKind::label);
        combo(ui, "Result", "All results", OUTCOMES, &mut form.outcome, Outcome::label);
        // Nor does a box, as a whole.
        ui.allocate_ui(vec2(BOX_WIDTH, ui.spacing().interact_size.y), |ui| {
            ui.style_mut().wrap_mode = Some(TextWrapMode::Extend);
            check_box(ui, &mut form.this_file_only, "This data file only");
        });
        if *form != (JournalForm { selected: form.selected, ..Default::default() })
            && button(ui, Some(Icon::X), "Clear filter").clicked()
        {
            *form = JournalForm { selected: form.selected, ..Default::default() };
        }
    });
}

fn combo<T: Copy + PartialEq>(
    ui: &mut Ui,
    name: &str,
    all: &str,
    choices: &[T],
    chosen: &mut Option<T>,
    label: fn(T) -> &'static str,
) {
    let mut words: Vec<(Option<T>, &str)> = vec![(None, all)];
    words.extend(choices.iter().map(|choice| (Some(*choice), label(*choice))));
    // A list does not go to the next line by itself.
    ui.allocate_ui(vec2(CHOICE_WIDTH, ui.spacing().interact_size.y), |ui| {
        choice(ui, name, CHOICE_WIDTH, chosen, &words);
    });
}

/// Whether an entry passes the filter.
fn matches(entry: &HistoryEntry, form: &JournalForm) -> bool {
    let wanted = form.text.trim().to_lowercase();
    form.kind.is_none_or(|kind| kind == entry.kind)
        && form.outcome.is_none_or(|outcome| outcome == entry.outcome)
        && (wanted.is_empty() || texts(entry).iter().any(|text| text.to_lowercase().contains(&wanted)))
}

fn texts(entry: &HistoryEntry) -> Vec<String> {
    let path = |p: &Option<std::path::PathBuf>| p.as_ref().map(|p| p.display().to_string());
    let number = entry.number.map(|n| n.to_string());
    let error = entry.error.as_ref().map(|e| format!("{} {}", e.message, e.hint.as_deref().unwrap_or_default()));
    [path(&entry.data_file), path(&entry.path), number, error, Some(moment(&entry.started))]
        .into_iter()
        .flatten()
        .collect()
}

fn cell(entry: &HistoryEntry, column: usize) -> Cell {
    Cell::Text(match column {
        0 => moment(&entry.started),
        1 => return Cell::Badge(Tone::of(entry.outcome), entry.outcome.label().to_owned()),
        2 => entry.kind.label().to_owned(),
        3 => entry.number.map(|n| n.to_string()).unwrap_or_default(),
        4 => entry.duration_ms.map(duration).unwrap_or_default(),
        5 => entry.bytes.map(human_bytes).unwrap_or_default(),
        _ => return Cell::Path(path_text(entry)),
    })
}

fn key(entry: &HistoryEntry, column: usize) -> SortKey {
    match column {
        0 => SortKey::number(Some(entry.started.timestamp_millis())),
        1 => SortKey::text(entry.outcome.label()),
        2 => SortKey::text(entry.kind.label()),
        3 => SortKey::number(entry.number.map(|number| number.0)),
        4 => SortKey::number(entry.duration_ms),
        5 => SortKey::number(entry.bytes),
        _ => SortKey::text(&path_text(entry)),
    }
}

fn path_text(entry: &HistoryEntry) -> String {
    entry.path.as_ref().or(entry.data_file.as_ref()).map(|p| p.display().to_string()).unwrap_or_default()
}

fn row_name(entry: &HistoryEntry) -> String {
    let number = entry.number.map(|n| format!(" {n}")).unwrap_or_default();
    format!("{}{number}, {}, {}", entry.kind.label(), entry.outcome.label(), moment(&entry.started))
}

fn detail(ui: &mut Ui, entry: &HistoryEntry, known: Option<&DataFileStatus>, actions: &mut Vec<Action>) {
    let number = entry.number.map(|n| format!(" {n}")).unwrap_or_default();
    card(ui, Icon::FileText, &format!("{}{number}", entry.kind.label()), |ui| {
        if let Some(error) = &entry.error {
            strip(ui, Tone::of(entry.outcome), &error.message, error.hint.as_deref(), |_| ());
            ui.add_space(4.0);
        }
        if entry.outcome == Outcome::Interrupted && entry.error.is_none() {
            let hint = "The program or the machine ended while the job ran. No archive was harmed; start it again.";
            strip(ui, Tone::Warn, "cut off by a crash or a power failure", Some(hint), |_| ());
            ui.add_space(4.0);
        }
        if let Some(path) = &entry.data_file {
            fact(ui, "Data file", path.display().to_string());
        }
        if let Some(note) = &entry.note {
            fact(ui, "Note", note.clone());
        }
        if let Some(path) = &entry.path {
            fact(
                ui,
                if matches!(entry.kind, JobKind::Restore | JobKind::RestoreInPlace) { "Restored to" } else { "Path" },
                path.display().to_string(),
            );
            ui.add_space(2.0);
            let done = known.and_then(|known| Some((known, known.in_place.iter().find(|done| done.job == entry.id)?)));
            ui.horizontal_wrapped(|ui| {
                if button(ui, Some(Icon::Copy), "Copy path").clicked() {
                    actions.push(Action::Copy(path.display().to_string()));
                }
                if entry.kind == JobKind::Recover
                    && matches!(entry.outcome, Outcome::Succeeded | Outcome::Partial)
                    && let Some(data_file) = entry.data_file.clone()
                    && button(ui, Some(Icon::FileText), "View recovery report").clicked()
                {
                    actions.push(Action::Recover(Recover::Report { data_file, job: entry.id }));
                }
                if let Some((known, done)) = done {
                    undo_button(ui, known, done, actions);
                }
            });
        } else if entry.data_file.is_none() && entry.error.is_none() {
            ui.label(RichText::new("Nothing more is known.").color(palette(ui).weak));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        archive::ArchiveNumber,
        engine::{JobId, history::Job},
        error::{ErrorKind, ErrorReport},
    };

    fn entry() -> HistoryEntry {
        let error = ErrorReport::new(ErrorKind::NoSpace, "not enough space".into(), Some("Free space.".into()));
        HistoryEntry {
            job: Job {
                id: JobId::new(),
                kind: JobKind::Backup,
                data_file: Some("/data/Büro.sqlite".into()),
                started: chrono::Local::now(),
                automatic: false,
            },
            number: Some(ArchiveNumber(42)),
            duration_ms: Some(5),
            outcome: Outcome::Failed,
            path: None,
            bytes: None,
            error: Some(error),
            note: None,
        }
    }

    #[test]
    fn the_filter_looks_at_kind_result_and_all_texts() {
        let form =
            |text: &str, kind, outcome| JournalForm { text: text.to_owned(), kind, outcome, ..Default::default() };
        let table = [
            (form("", None, None), true),
            (form("büRO", None, None), true),
            (form("0042", None, None), true),
            (form("free space", None, None), true),
            (form("elsewhere", None, None), false),
            (form("", Some(JobKind::Backup), Some(Outcome::Failed)), true),
            (form("", Some(JobKind::Restore), None), false),
            (form("", None, Some(Outcome::Succeeded)), false),
        ];
        for (form, expected) in table {
            assert_eq!(matches(&entry(), &form), expected, "{form:?}");
        }
    }
}
