//! All data files in one table, problems first.

use std::path::PathBuf;

use chrono::Utc;
use eframe::egui::{Id, Label, RichText, Ui};
use lucide_icons::Icon;

use super::{
    maintenance::why_not,
    next::proven,
    protection::{self, next_backup, reach},
};
use crate::{
    engine::{
        Status,
        protection::{Protection, Reach, Standing},
        status::DataFileStatus,
    },
    journal::CaptureState,
    settings::sections::Frequency,
    storage::space::human_bytes,
    ui::{
        action::Action,
        jobs,
        page::page_header,
        side_bar::state_word,
        state::State,
        still,
        table::{Cell, Column, RowEvent, SortKey, Table, figure_column, open_column, text_column},
        theme::{self, palette},
        widgets::{Tone, age, button, card, fact, moment, primary_button, why},
    },
    warning::WarningKind,
};

const COLUMNS: [Column; 9] = [
    text_column("Data file", 190.0).names_row(),
    text_column("State", 176.0),
    text_column("Restorable up to", 172.0).said(),
    text_column("Last good backup", 126.0).said(),
    text_column("Next full backup", 134.0).said(),
    text_column("Log", 150.0).said(),
    text_column("Proven restorable", 126.0).said(),
    figure_column("Archives", 110.0).said(),
    open_column("Folder", 180.0).said(),
];

/// The table.
const NAME: &str = "Data files";
/// Room for what is said of the row that is selected.
const DETAIL_HEIGHT: f32 = 230.0;

/// One row.
struct Row<'a> {
    data_file: &'a DataFileStatus,
    protection: Protection,
    word: (Tone, &'static str),
}

pub(crate) fn overview_ui(ui: &mut Ui, status: &Status, state: &mut State, actions: &mut Vec<Action>) {
    let due: Vec<PathBuf> =
        status.data_files.iter().filter(|d| is_due(status, d)).map(|d| d.facts.path.clone()).collect();
    page_header(ui, "Overview", &summary(status), |ui| {
        let label = if due.len() > 1 { format!("Back up all {} due", due.len()) } else { "Back up all due".to_owned() };
        let all = primary_button(ui, Some(Icon::Play), &label, !due.is_empty());
        if why(all, "Every data file has a good full backup, and none is overdue").clicked() {
            actions.extend(due.iter().cloned().map(Action::Backup));
        }
    });
    still::begin(ui);
    jobs::news_ui(ui, status, state, actions);
    still::end(ui);
    let rows = rows(ui, status);
    let selected =
        state.current.as_ref().and_then(|path| rows.iter().position(|row| row.data_file.facts.path == *path));
    let height = ui.ctx().content_rect().bottom() - ui.cursor().top() - DETAIL_HEIGHT;
    let height = height.clamp(4.0 * theme::ROW_HEIGHT, 26.0 * theme::ROW_HEIGHT);
    let table = Table { name: NAME, columns: &COLUMNS, rows: rows.len(), height, selected };
    let cell = |row: usize, column: usize| cell(status, &rows[row], column);
    let name = |row: usize| jobs::full_name(status, &rows[row].data_file.facts.path);
    match table.show(ui, cell, name, |row, column| key(status, &rows[row], column)) {
        Some(RowEvent::Selected(row)) => actions.push(Action::SelectDataFile(rows[row].data_file.facts.path.clone())),
        Some(RowEvent::Activated(row)) => actions.push(Action::ShowDataFile(rows[row].data_file.facts.path.clone())),
        None => {}
    }
    if let Some(row) = selected.map(|at| &rows[at]) {
        ui.add_space(theme::GAP);
        detail(ui, status, row, actions);
    }
}

/// How many there are, and of how many that is not well, or not known.
fn summary(status: &Status) -> String {
    let standings: Vec<Standing> = status.data_files.iter().map(|d| Protection::of_running(d).standing).collect();
    let files = if standings.len() == 1 { "1 data file".to_owned() } else { format!("{} data files", standings.len()) };
    let bad = standings.iter().filter(|standing| protection::tone(**standing) == Tone::Bad).count();
    let unknown = standings.iter().filter(|standing| **standing == Standing::Unknown).count();
    match (bad, unknown) {
        (0, 0) => format!("{files}, none at risk"),
        (bad, 0) => format!("{files}, {bad} not safe"),
        (0, unknown) => format!("{files}, {unknown} not known"),
        (bad, unknown) => format!("{files}, {bad} not safe, {unknown} not known"),
    }
}

/// Whether a backup of it is due that nobody makes at this moment.
fn is_due(status: &Status, data_file: &DataFileStatus) -> bool {
    use WarningKind as K;
    let is_late = |kind| matches!(kind, K::NoBackup | K::BackupOverdue | K::BackupMissed | K::BackupFailed);
    why_not(status, data_file).is_none() && data_file.warnings.iter().any(|w| is_late(w.kind))
}

/// The data files, problems first; while the pointer is on its way to one of them, they stay where they are.
fn rows<'a>(ui: &Ui, status: &'a Status) -> Vec<Row<'a>> {
    let of = |data_file: &'a DataFileStatus| Row {
        data_file,
        protection: Protection::of_running(data_file),
        word: state_word(status, data_file),
    };
    let mut rows: Vec<Row<'a>> = status.data_files.iter().map(of).collect();
    let id = Id::new("order of the overview");
    let kept: Vec<PathBuf> = ui.data(|d| d.get_temp(id)).unwrap_or_default();
    let place = |row: &Row| kept.iter().position(|path| *path == row.data_file.facts.path).unwrap_or(usize::MAX);
    if still::holds(ui.ctx()) {
        rows.sort_by_key(place);
    } else {
        rows.sort_by_cached_key(|row| (gravity(row), jobs::name(&row.data_file.facts.path).to_lowercase()));
    }
    let order: Vec<PathBuf> = rows.iter().map(|row| row.data_file.facts.path.clone()).collect();
    ui.data_mut(|d| d.insert_temp(id, order));
    rows
}

/// What comes first.
fn gravity(row: &Row) -> (u8, Standing) {
    let tone = match row.word.0 {
        Tone::Bad => 0,
        Tone::Warn => 1,
        Tone::Neutral => 2,
        Tone::Good => 3,
    };
    (tone, row.protection.standing)
}

/// Until when, as it stands in a narrow column.
fn until(protection: &Protection) -> String {
    match &protection.reach {
        Reach::NotKnown => "Not known".to_owned(),
        Reach::Nothing => "Nothing".to_owned(),
        Reach::Backup { moment: at, .. } => moment(at),
        Reach::Log { last: Some(at), .. } => moment(at),
        Reach::Log { number, .. } => format!("Backup {number:04}"),
        _ if protection.lost_since.is_some() => "Not known".to_owned(),
        Reach::Now { .. } => "Now".to_owned(),
    }
}

fn log_word(data_file: &DataFileStatus) -> &'static str {
    match &data_file.log {
        _ if data_file.log_file.is_none() => "Not used",
        _ if data_file.lost_since.is_some() => "Nobody records",
        _ if data_file.silent_since.is_some() => "Not known",
        None if data_file.log_starting => "Opening …",
        None => "Cannot be used",
        Some(log) => match log.state {
            CaptureState::On => "Every commit",
            CaptureState::Starting => "Comparing",
            CaptureState::Held => "Held up",
            CaptureState::Lost => "Protection lost",
            CaptureState::Released => "Being opened anew",
            CaptureState::Off => "Stopped",
        },
    }
}

fn cell(status: &Status, row: &Row, column: usize) -> Cell {
    let (data_file, now) = (row.data_file, Utc::now());
    let ago = |at: Option<chrono::DateTime<Utc>>, never: &str| {
        at.map_or_else(|| never.to_owned(), |at| format!("{} ago", age(at, now)))
    };
    match column {
        0 => Cell::Strong(jobs::full_name(status, &data_file.facts.path)),
        1 => Cell::Badge(row.word.0, row.word.1.to_owned()),
        2 => Cell::Text(until(&row.protection)),
        3 => Cell::Text(ago(last_good(data_file), "None")),
        4 => Cell::Text(next_shown(data_file)),
        5 => Cell::Text(log_word(data_file).to_owned()),
        6 => Cell::Text(ago(proven(status, data_file).map(|proof| proof.proven.to_utc()), "Never")),
        7 => Cell::Text(archives(data_file)),
        _ => Cell::Path(data_file.facts.path.parent().map(|p| p.display().to_string()).unwrap_or_default()),
    }
}

fn key(status: &Status, row: &Row, column: usize) -> SortKey {
    let data_file = row.data_file;
    match column {
        0 => SortKey::text(&jobs::name(&data_file.facts.path)),
        1 => SortKey::Number(i128::from(gravity(row).0)),
        2 => match &row.protection.reach {
            Reach::NotKnown | Reach::Nothing => SortKey::Unknown,
            Reach::Backup { moment, .. } => SortKey::Number(moment.timestamp().into()),
            Reach::Log { last, .. } => SortKey::number(last.map(|last| last.timestamp())),
            Reach::Now { .. } => SortKey::Number(i128::from(i64::MAX)),
        },
        3 => SortKey::number(last_good(data_file).map(|at| at.timestamp())),
        4 => SortKey::number(next_backup(data_file).1),
        5 => SortKey::text(log_word(data_file)),
        6 => SortKey::number(proven(status, data_file).map(|proof| proof.proven.timestamp())),
        7 => SortKey::Number(data_file.own_archives().map(|archive| archive.bytes).sum::<u64>().into()),
        _ => SortKey::text(&data_file.facts.path.to_string_lossy()),
    }
}

fn last_good(data_file: &DataFileStatus) -> Option<chrono::DateTime<Utc>> {
    data_file.newest_good().map(|moment| moment.to_utc())
}

fn next_shown(data_file: &DataFileStatus) -> String {
    let automatic = data_file.automatic.as_ref();
    if automatic.is_some_and(|a| a.suspended.is_some()) {
        return "Suspended".to_owned();
    }
    let at = automatic.and_then(|a| a.retry_at).map(|at| at.with_timezone(&chrono::Local)).or(data_file.next_backup);
    match at {
        Some(at) if at.to_utc() <= Utc::now() => "Due now".to_owned(),
        Some(at) => at.format("%a %Y-%m-%d %H:%M").to_string(),
        None if data_file.settings.scheduler.frequency == Frequency::Never => "Only by hand".to_owned(),
        None => "Not known yet".to_owned(),
    }
}

fn archives(data_file: &DataFileStatus) -> String {
    if data_file.destination_problem.is_some() {
        return "Not known".to_owned();
    }
    match (data_file.own_archives().count(), data_file.own_archives().map(|a| a.bytes).sum()) {
        (0, _) => "None".to_owned(),
        (count, bytes) => format!("{count}, {}", human_bytes(bytes)),
    }
}

/// What is said of the one that is selected.
fn detail(ui: &mut Ui, status: &Status, row: &Row, actions: &mut Vec<Action>) {
    let (data_file, path) = (row.data_file, &row.data_file.facts.path);
    card(ui, Icon::Database, &jobs::full_name(status, path), |ui| {
        let colour = protection::tone(row.protection.standing).colours(ui).0;
        let headline = theme::strong(row.protection.headline(|at| moment(&at)), ui).color(colour);
        ui.add(Label::new(headline).wrap().selectable(true));
        fact(ui, "Restorable", reach(&row.protection));
        let first = data_file.warnings.iter().find(|warning| warning.kind.is_urgent());
        if let Some(warning) = first {
            let colour = Tone::Bad.colours(ui).0;
            let text = RichText::new(crate::ui::widgets::sentence(&warning.message)).color(colour);
            ui.add(Label::new(text).wrap().selectable(true));
        }
        fact(ui, "To do", row.protection.to_do(&data_file.warnings, data_file));
        ui.add_space(4.0);
        ui.horizontal_wrapped(|ui| {
            if button(ui, None, "Open its Maintenance").on_hover_text("Everything about this data file").clicked() {
                actions.push(Action::ShowDataFile(path.clone()));
            }
            let reason = why_not(status, data_file);
            let backup = ui.add_enabled_ui(reason.is_none(), |ui| button(ui, Some(Icon::Play), "Back it up")).inner;
            if why(backup, reason.unwrap_or_default()).clicked() {
                actions.push(Action::Backup(path.clone()));
            }
        });
        ui.label(RichText::new(path.display().to_string()).color(palette(ui).weak));
    });
}
