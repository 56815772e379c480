//! The report of a recovery: what became of each table, and what else there is to say.

use eframe::egui::{Context, Label, RichText, Ui};
use lucide_icons::Icon;

use super::{ended::ended_ui, frame};
use crate::{
    engine::{Answer, Host, Query, status::JobReport},
    error::foreign::foreign,
    recover::{RecoverReport, TableReport},
    storage::space::human_bytes,
    ui::{
        action::Action,
        answers::View,
        reports::RECOVERY,
        state::ReportForm,
        table::{Cell, Column, SortKey, Table, figure_column, open_column, text_column},
        theme::{self, palette},
        widgets::{button, check_box, count, error_strip, fact, primary_button},
    },
};

const COLUMNS: [Column<'static>; 5] = [
    text_column("Table", 190.0).names_row(),
    figure_column("Found", 84.0).said(),
    figure_column("Doubtful", 84.0).said(),
    figure_column("Missing", 84.0).said(),
    open_column("Remarks", 220.0).said(),
];

pub(crate) fn recovered_ui(
    ctx: &Context,
    status: &View<'_>,
    (form, ended): (&mut ReportForm, Option<Host>),
    actions: &mut Vec<Action>,
) {
    let shown = status.answers.to(&Query::Report { data_file: form.data_file.clone(), job: form.job });
    // Of one that ended a moment ago, also where no Backup journal can be kept.
    let ended_here = status.finished_job(form.job).and_then(|job| match &job.result {
        Ok(JobReport::Recover(report)) => Some(&**report),
        _ => None,
    });
    let report = match shown {
        Some(Ok(Answer::Recovered(report))) => Some(&**report),
        _ => ended_here,
    };
    frame(
        ctx,
        "Report of the recovery",
        820.0,
        &mut (form, actions),
        |ui, (form, _)| {
            ended_ui(ui, ended);
            match (report, shown) {
                (Some(report), _) => report_ui(ui, report, form),
                (None, Some(Err(error))) => error_strip(ui, error, |_| ()),
                (None, _) => fact(ui, "Report", "Reading …"),
            }
        },
        |ui, keys, (_, actions)| {
            if primary_button(ui, None, "Close", true).clicked() || keys.escape || keys.enter {
                actions.push(Action::CloseDialog);
            }
            let Some(report) = report else { return };
            if button(ui, Some(Icon::Copy), "Copy report").clicked() {
                actions.push(Action::Copy(report.in_words(&RECOVERY)));
            }
            if button(ui, Some(Icon::FolderOpen), "Show in folder").clicked() {
                actions.push(Action::ShowFolder(report.to.parent().unwrap_or(&report.to).to_path_buf()));
            }
        },
    );
}

fn report_ui(ui: &mut Ui, report: &RecoverReport, form: &mut ReportForm) {
    fact(ui, "Damaged file", foreign(&report.data_file.display().to_string()).to_string());
    fact(ui, "New file", foreign(&format!("{}, {}", report.to.display(), human_bytes(report.bytes))).to_string());
    for line in report.lines(&RECOVERY).iter().chain(&report.remarks) {
        let colour = palette(ui).strong;
        ui.add(Label::new(RichText::new(foreign(line).to_string()).color(colour)).wrap().selectable(true));
    }
    check_box(ui, &mut form.problems_only, "Only tables that are not whole");
    ui.add_space(4.0);
    let wanted = |table: &&TableReport| !form.problems_only || !table.is_whole();
    let rows: Vec<&TableReport> = report.tables.iter().filter(wanted).collect();
    let height = ((rows.len() + 1) as f32 * theme::ROW_HEIGHT).clamp(4.0 * theme::ROW_HEIGHT, 12.0 * theme::ROW_HEIGHT);
    let figure = |table: &TableReport, column: usize| match column {
        1 => Some(table.found),
        2 => Some(table.doubtful),
        _ => table.missing(),
    };
    let notes = |table: &TableReport| foreign(&table.notes(&RECOVERY).join(", ")).to_string();
    let cell = |row: usize, column: usize| match column {
        0 => Cell::Strong(foreign(&rows[row].table).to_string()),
        4 => Cell::Text(notes(rows[row])),
        // Of lost pages nobody knows how many records were on them.
        column => Cell::Text(figure(rows[row], column).map_or_else(|| "?".to_owned(), count)),
    };
    let row_name = |row: usize| format!("Recovered {}", foreign(&rows[row].table));
    let key = |row: usize, column: usize| match column {
        0 => SortKey::text(&rows[row].table),
        4 => SortKey::text(&notes(rows[row])),
        column => SortKey::number(figure(rows[row], column)),
    };
    let table = Table { name: "Tables recovered", columns: &COLUMNS, rows: rows.len(), height, selected: None };
    table.show(ui, cell, row_name, key);
}
