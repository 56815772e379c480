//! The dialog *Look at this state…*: the tables of a data file as it was, their records, a statement, and what is other
//! now. Its title says which state it is.
//!
//! ```text
//! moment       which moment
//! tables       the tables
//! records      records, of a table or a statement, and one of them with all its columns
//! difference   what is other now
//! ```

mod difference;
pub(crate) mod moment;
mod records;
mod tables;

use eframe::egui::{Context, FontId, Layout, Margin, RichText, TextEdit, Ui, vec2};
use lucide_icons::Icon;

use super::{Title, saved::saved_ui, tall_frame, value::value_ui};
use crate::{
    as_of::ask::{Doing, SECONDS_MAX, SaveForm, Sheet},
    error::{ErrorReport, foreign::foreign},
    ui::{
        action::{Action, Look},
        jobs::name,
        looking::{LookForm, Part},
        theme::palette,
        widgets::{Tone, bar, button, button_if, error_strip, fact, primary_button, strip, why},
    },
};

const WIDTH: f32 = 1080.0;
const HEIGHT: f32 = 560.0;
/// What records are saved as, from the right.
const FORMS: [(SaveForm, Icon, &str); 3] = [
    (SaveForm::Sqlite, Icon::Database, "SQLite file"),
    (SaveForm::Xlsx, Icon::Sheet, "XLSX"),
    (SaveForm::Csv, Icon::FileText, "CSV"),
];
/// How wide the list of tables is, and where it has no room beside the records.
const TABLES_WIDTH: f32 = 250.0;
const BESIDE_FROM: f32 = 680.0;

pub(crate) fn look_ui(ctx: &Context, form: &mut LookForm, actions: &mut Vec<Action>) {
    let title = form.seen.title();
    // It is as high from the beginning as it will be: what comes must not move what is about to be pressed.
    tall_frame(
        ctx,
        Title { id: "look", text: &title },
        WIDTH,
        (form.part as u8, HEIGHT),
        &mut (&mut *form, &mut *actions),
        |ui, (form, actions)| head(ui, form, actions),
        |ui, (form, actions)| {
            content(ui, form, actions);
            ui.ctx().request_repaint_after(form.seen.poll().1);
        },
        |ui, keys, (form, actions)| footer(ui, keys.escape, form, actions),
    );
    let Some(value) = &mut form.value else { return };
    let mut own = Vec::new();
    value_ui(ctx, value, &mut own);
    if own.contains(&Action::CloseDialog) {
        form.value = None;
    }
    actions.extend(own.into_iter().filter(|action| *action != Action::CloseDialog));
}

fn head(ui: &mut Ui, form: &mut LookForm, actions: &mut Vec<Action>) {
    fact(ui, "Data file", foreign(&form.seen.data_file.display().to_string()).to_string());
    if let Some(archive) = form.seen.state.about.as_ref().and_then(|about| about.archive.as_ref()) {
        let logs = if form.seen.is_alone() { "as it is" } else { "with the logs that go on from it" };
        fact(ui, "Read from", format!("{}, {logs}", foreign(&name(archive))));
    }
    said_ui(ui, form, actions);
    if form.seen.state.about.is_some() {
        ui.horizontal_wrapped(|ui| {
            ui.radio_value(&mut form.part, Part::Records, "Records");
            ui.radio_value(&mut form.part, Part::Statement, "Statement");
            ui.radio_value(&mut form.part, Part::Difference, "Difference from now");
        });
    }
}

/// What is to be known of the state, what failed, and what was saved.
fn said_ui(ui: &mut Ui, form: &mut LookForm, actions: &mut Vec<Action>) {
    let about = form.seen.state.about.as_ref();
    let of_state = about.into_iter().flat_map(|about| about.lacks.iter().chain(&about.archive_problem));
    for report in of_state {
        strip(ui, Tone::Warn, &report.message, report.hint.as_deref(), |_| ());
        ui.add_space(4.0);
    }
    for remark in about.into_iter().flat_map(|about| &about.remarks) {
        fact(ui, "Note", foreign(remark).to_string());
    }
    if let Some(error) = form.seen.problem() {
        error_strip(ui, error, |_| ());
        ui.add_space(4.0);
    }
    for remark in form.saved_remarks.iter().filter(|_| matches!(form.saved, Some(Ok(_)))) {
        strip(ui, Tone::Warn, remark, None, |_| ());
        ui.add_space(4.0);
    }
    saved_ui(ui, &mut form.saved, "The records were saved", actions);
}

fn content(ui: &mut Ui, form: &mut LookForm, actions: &mut Vec<Action>) {
    if form.seen.state.about.is_none() {
        if form.seen.problem().is_none() {
            going_on_ui(ui, "Opening the state …");
        }
        return;
    }
    match form.part {
        Part::Records => {
            tables::choose_first(form);
            if ui.available_width() < BESIDE_FROM {
                tables::tables_ui(ui, form, 5);
                ui.add_space(8.0);
                records::table_ui(ui, form, actions);
                return;
            }
            ui.horizontal_top(|ui| {
                ui.allocate_ui_with_layout(vec2(TABLES_WIDTH, 0.0), Layout::top_down(Default::default()), |ui| {
                    ui.set_width(TABLES_WIDTH);
                    tables::tables_ui(ui, form, 14);
                });
                ui.vertical(|ui| records::table_ui(ui, form, actions));
            });
        }
        Part::Statement => statement_ui(ui, form, actions),
        Part::Difference => difference::difference_ui(ui, form, actions),
    }
}

/// That something goes on, which may take its time.
fn going_on_ui(ui: &mut Ui, text: &str) {
    ui.label(RichText::new(text).color(palette(ui).weak));
    bar(ui, text.trim_end_matches(" …"), None, palette(ui).accent);
    ui.ctx().request_repaint_after(std::time::Duration::from_millis(100));
}

fn statement_ui(ui: &mut Ui, form: &mut LookForm, actions: &mut Vec<Action>) {
    let field = TextEdit::multiline(&mut form.sql)
        .hint_text("SELECT name, city FROM clients WHERE id > 88")
        .font(FontId::monospace(13.0))
        .desired_rows(3)
        .desired_width(f32::INFINITY)
        .margin(Margin::symmetric(8, 5));
    let field = ui.add(field);
    ui.ctx().accesskit_node_builder(field.id, |node| node.set_label("Statement"));
    let is_running = is_listing(form) && matches!(form.seen.sheet(), Some(Sheet::Statement(_)));
    let is_empty = form.sql.trim().is_empty();
    ui.horizontal_wrapped(|ui| {
        let can = !is_empty && !is_running;
        let run = why(button_if(ui, can, Some(Icon::Play), "Run statement"), "Write a statement first");
        let by_key = field.has_focus() && ui.input(|i| i.modifiers.command && i.key_pressed(eframe::egui::Key::Enter));
        if can && (run.on_hover_text("Ctrl+Enter").clicked() || by_key) {
            form.seen.show(Sheet::Statement(form.sql.clone()), true);
            form.begin_list();
        }
        let text = format!("It only reads, and ends after {SECONDS_MAX} seconds.");
        ui.label(RichText::new(text).color(palette(ui).weak));
    });
    if let Some(Sheet::Statement(_)) = form.seen.sheet() {
        records::list_ui(ui, form, "Records of the statement", actions);
    }
}

/// Whether records are still looked for.
fn is_listing(form: &LookForm) -> bool {
    form.seen.is_pending() || form.seen.state.doing == Some(Doing::Listing)
}

/// An error of a part, which its hint says how to correct.
fn problem_ui(ui: &mut Ui, problem: Option<&ErrorReport>) {
    if let Some(error) = problem {
        ui.add_space(4.0);
        error_strip(ui, error, |_| ());
    }
}

fn footer(ui: &mut Ui, is_escape: bool, form: &mut LookForm, actions: &mut Vec<Action>) {
    let is_above = form.value.is_none();
    if primary_button(ui, None, "Close", true).clicked() || is_escape && is_above {
        actions.push(Action::Look(Look::Close));
    }
    if form.is_saving {
        if button(ui, Some(Icon::X), "Stop saving").clicked() {
            form.seen.stop();
        }
        let records = form.seen.state.saved.as_ref().map_or(0, |saved| saved.records);
        let text = format!("Saving, {} so far …", records::records(records));
        ui.label(RichText::new(text).color(palette(ui).weak));
        return;
    }
    if form.part == Part::Difference {
        return;
    }
    let sheet = form.sheet();
    let what = if form.part == Part::Statement { "result" } else { "table" };
    let reason = if form.part == Part::Statement { "Run a statement first" } else { "Choose a table first" };
    for (save_form, icon, form_name) in FORMS {
        let save = button_if(ui, sheet.is_some(), Some(icon), &format!("Save {what} as {form_name}…"));
        if let Some(sheet) = sheet.clone().filter(|_| why(save, reason).clicked()) {
            actions.push(Action::Look(Look::ChooseFolder(sheet, save_form, None)));
        }
    }
}
