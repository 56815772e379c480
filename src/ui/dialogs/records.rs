//! The report of a verification of records: every table and index with its state.

use eframe::egui::{Context, Ui};
use lucide_icons::Icon;

use super::{ended::ended_ui, frame};
use crate::{
    engine::{Answer, Host, Query},
    maintenance::RecordsReport,
    sqlite::check::State as Found,
    ui::{
        action::Action,
        answers::View,
        state::ReportForm,
        table::{Cell, Column, SortKey, Table, open_column, text_column},
        theme,
        widgets::{Tone, button, check_box, count, error_strip, fact, moment, primary_button},
    },
};

const COLUMNS: [Column; 3] =
    [text_column("Table or index", 240.0).names_row(), text_column("State", 120.0), open_column("Details", 220.0)];

pub(crate) fn records_ui(
    ctx: &Context,
    status: &View<'_>,
    (form, ended): (&mut ReportForm, Option<Host>),
    actions: &mut Vec<Action>,
) {
    let shown = status.answers.to(&Query::Report { data_file: form.data_file.clone(), job: form.job });
    let report = match shown {
        Some(Ok(Answer::Report(report))) => Some(report),
        _ => None,
    };
    frame(
        ctx,
        "Verification of records and indexes",
        760.0,
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
            if let Some(report) = report
                && button(ui, Some(Icon::Copy), "Copy report").clicked()
            {
                actions.push(Action::Copy(report.in_words()));
            }
        },
    );
}

fn report_ui(ui: &mut Ui, report: &RecordsReport, form: &mut ReportForm) {
    fact(ui, "Data file", report.data_file.display().to_string());
    fact(ui, "Verified", moment(&report.moment));
    let (damaged, unknown) = (report.damaged().len(), report.unknown().len());
    let mut state = match damaged {
        0 => format!("{} tables and indexes, no damage found", count(report.count() as u64)),
        n => format!("{} tables and indexes, {} damaged", count(report.count() as u64), count(n as u64)),
    };
    if unknown > 0 {
        state += &format!(", {} not checked", count(unknown as u64));
    }
    fact(ui, "Result", state);
    if let Some(hint) = report.problem().as_ref().and_then(|problem| problem.hint_text()) {
        fact(ui, "Advice", hint);
    }
    check_box(ui, &mut form.problems_only, "Only what is not sound");
    ui.add_space(4.0);
    let wanted = |found: &&Found| !form.problems_only || **found != Found::Sound;
    let rows: Vec<(String, &Found)> = report.findings.all().filter(|(_, found)| wanted(found)).collect();
    let height = ((rows.len() + 1) as f32 * theme::ROW_HEIGHT).clamp(4.0 * theme::ROW_HEIGHT, 12.0 * theme::ROW_HEIGHT);
    let cell = |row: usize, column: usize| match column {
        0 => Cell::Strong(rows[row].0.clone()),
        1 => {
            let (tone, word) = word(rows[row].1);
            Cell::Badge(tone, word.to_owned())
        }
        _ => Cell::Text(details(rows[row].1)),
    };
    let name = |row: usize| rows[row].0.clone();
    let key = |row: usize, column: usize| match column {
        0 => SortKey::text(&rows[row].0),
        1 => SortKey::text(word(rows[row].1).1),
        _ => SortKey::text(&details(rows[row].1)),
    };
    let table = Table { name: "Tables and indexes", columns: &COLUMNS, rows: rows.len(), height, selected: None };
    table.show(ui, cell, name, key);
}

fn word(found: &Found) -> (Tone, &'static str) {
    match found {
        Found::Sound => (Tone::Good, "Sound"),
        Found::Problems(_) => (Tone::Bad, "Damaged"),
        Found::Unknown(_) => (Tone::Warn, "Not checked"),
    }
}

fn details(found: &Found) -> String {
    match found {
        Found::Sound => String::new(),
        Found::Problems(lines) => lines.join("; "),
        Found::Unknown(why) => why.clone(),
    }
}
