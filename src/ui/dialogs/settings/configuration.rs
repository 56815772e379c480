//! The tab *Configuration*: what goes into the archives, where they go, and the log.

use std::path::{Path, PathBuf};

use eframe::egui::{Align, Frame, Label, Layout, Margin, Response, RichText, Stroke, Ui, WidgetInfo, WidgetType};
use lucide_icons::Icon;

use super::{PathFor, SettingsForm, answers::is_network, field, group, remark, said_ui};
use crate::{
    backup::{Measure, places::Place},
    engine::status::DataFileStatus,
    error::ErrorReport,
    sqlite::data_file::JournalMode,
    storage::space::human_bytes,
    ui::{
        action::Action,
        answers::View,
        dialogs::log::LOST,
        screens::maintenance::advice,
        theme::{self, palette},
        widgets::{Tone, button, check_box, count, disk_bar_of, icon_button, path_field, sentence},
    },
    warning::{Warning, WarningKind},
};

pub(super) fn configuration_ui(
    ui: &mut Ui,
    status: &View<'_>,
    data_file: &DataFileStatus,
    form: &mut SettingsForm,
    actions: &mut Vec<Action>,
) {
    group(ui, "Content");
    content_ui(ui, data_file, form, actions);
    if form.content_refused().is_none() {
        conflict_ui(ui, form.conflict(status, "content."));
    }
    group(ui, "Backup file destination folder");
    destination_ui(ui, status, data_file, form, actions);
    group(ui, "Log");
    log_ui(ui, status, data_file, form, actions);
    if form.show_log {
        // It grows once more, when the place of the log is known.
        form.show_log = form.log_place(status, data_file).is_none();
        ui.scroll_to_cursor(None);
    }
}

fn content_ui(ui: &mut Ui, data_file: &DataFileStatus, form: &mut SettingsForm, actions: &mut Vec<Action>) {
    let p = palette(ui);
    Frame::new().stroke(Stroke::new(1.0, p.line)).corner_radius(8).inner_margin(Margin::symmetric(12, 8)).show(
        ui,
        |ui| {
            ui.set_width(ui.available_width());
            ui.spacing_mut().item_spacing.y = 3.0;
            let size = RichText::new(human_bytes(data_file.facts.size_bytes)).color(p.weak);
            row(ui, Icon::Database, "Data file", &form.data_file, |ui| _ = ui.label(size));
            let always = RichText::new("always").color(p.weak);
            row(ui, Icon::Settings, "Its settings", &data_file.settings_file, |ui| _ = ui.label(always));
            let kinds = [
                (PathFor::Program, "Program files", "better installed again than restored"),
                (PathFor::Attachment, "Attachments", "files and folders that belong to the records"),
            ];
            for (kind, title, about) in kinds {
                ui.add_space(3.0);
                list_ui(ui, form, (kind, title, about), actions);
            }
            if let Some(text) = &form.not_added {
                ui.add(Label::new(RichText::new(text).color(p.warn.0)).wrap());
            }
        },
    );
}

/// One thing that goes into the archives: what it is, where it is, and what is to be said of it at the right.
fn row(ui: &mut Ui, icon: Icon, what: &str, path: &Path, at_the_right: impl FnOnce(&mut Ui)) {
    let p = palette(ui);
    let size = eframe::egui::vec2(ui.available_width(), 24.0);
    ui.allocate_ui_with_layout(size, Layout::right_to_left(Align::Center), |ui| {
        at_the_right(ui);
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
            ui.label(theme::icon(icon, 14.0).color(p.weak));
            if !what.is_empty() {
                ui.label(RichText::new(what).color(p.strong));
            }
            let shown = path.display().to_string();
            let text = RichText::new(&shown).color(if what.is_empty() { p.strong } else { p.weak });
            ui.add(Label::new(text).truncate()).on_hover_text(shown);
        });
    });
}

/// A list of files and folders, with what each measures, and the buttons that change it.
fn list_ui(
    ui: &mut Ui,
    form: &mut SettingsForm,
    (kind, title, about): (PathFor, &str, &str),
    actions: &mut Vec<Action>,
) {
    let p = palette(ui);
    let mut add = None;
    let size = eframe::egui::vec2(ui.available_width(), ui.spacing().interact_size.y);
    ui.allocate_ui_with_layout(size, Layout::right_to_left(Align::Center), |ui| {
        for (label, folder) in [("Add file…", false), ("Add folder…", true)] {
            let name = format!("{label} to {}", title.to_lowercase());
            if called(button(ui, None, label), &name).clicked() {
                add = Some(folder);
            }
        }
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
            ui.label(
                theme::icon(if kind == PathFor::Program { Icon::AppWindow } else { Icon::Paperclip }, 14.0)
                    .color(p.weak),
            );
            ui.label(RichText::new(title).color(p.strong));
            ui.add(Label::new(RichText::new(about).color(p.weak)).truncate());
        });
    });
    let paths = if kind == PathFor::Program { &form.draft.content.program } else { &form.draft.content.attachments };
    let mut delete = None;
    for (at, path) in paths.iter().enumerate() {
        let measure = form.measure(path);
        let icon = if measure.is_some_and(|m| m.is_err()) { Icon::CircleX } else { Icon::File };
        row(ui, icon, "", path, |ui| {
            if icon_button(ui, Icon::Trash2, &format!("Delete {}", path.display())).clicked() {
                delete = Some(at);
            }
            ui.label(RichText::new(measured(measure)).color(p.weak));
        });
        if let Some((tone, text)) = trouble(measure) {
            ui.add(Label::new(RichText::new(text).color(tone.colours(ui).0)).wrap());
        }
    }
    let start = paths.last().unwrap_or(&form.data_file).parent().map(Path::to_path_buf).unwrap_or_default();
    if let Some(at) = delete {
        let content = &mut form.draft.content;
        let list = if kind == PathFor::Program { &mut content.program } else { &mut content.attachments };
        list.remove(at);
        form.not_added = None;
    }
    if let Some(folder) = add {
        actions.push(Action::ChooseForSettings { for_what: kind, folder, start });
    }
}

/// Two buttons with one label need names of their own.
fn called(response: Response, name: &str) -> Response {
    response.widget_info(|| WidgetInfo::labeled(WidgetType::Button, true, name));
    response
}

fn measured(measure: Option<&Result<Measure, ErrorReport>>) -> String {
    match measure {
        None => "Measuring …".to_owned(),
        Some(Err(_)) => "Refused".to_owned(),
        Some(Ok(Measure { files: 1, bytes, .. })) => human_bytes(*bytes),
        Some(Ok(measure)) => format!("{} files, {}", count(measure.files), human_bytes(measure.bytes)),
    }
}

/// What is the matter with a file or folder of the content.
fn trouble(measure: Option<&Result<Measure, ErrorReport>>) -> Option<(Tone, String)> {
    match measure? {
        Err(error) => Some((Tone::Bad, sentence(&error.message))),
        Ok(Measure { problem: Some(problem), .. }) => Some((Tone::Warn, format!("Not whole: {problem}"))),
        Ok(Measure { left_out: 0, .. }) => None,
        Ok(Measure { left_out, .. }) => {
            let text = "left out: data files, logs and archives have their own backups";
            Some((Tone::Neutral, format!("{} {text}", count(*left_out))))
        }
    }
}

/// What the engine has against the settings, at the field that it is about.
fn conflict_ui(ui: &mut Ui, conflict: Option<&ErrorReport>) {
    if let Some(error) = conflict {
        // The key that it begins with is known by its place.
        let message = error.message.split_once(' ').map_or(&*error.message, |(_, message)| message);
        ui.add(Label::new(RichText::new(sentence(message)).color(palette(ui).bad.0)).wrap());
    }
}

fn destination_ui(
    ui: &mut Ui,
    status: &View<'_>,
    data_file: &DataFileStatus,
    form: &mut SettingsForm,
    actions: &mut Vec<Action>,
) {
    let mut text = form.text(field::FOLDER);
    let default = form.default_folder();
    let name = "Backup file destination folder";
    let (changed, choose) =
        path_field(ui, name, &mut text, &default.display().to_string(), "Choose the folder for archives");
    if changed {
        form.type_into(field::FOLDER, text.clone());
    }
    if choose {
        actions.push(Action::ChooseForSettings {
            for_what: PathFor::Destination,
            folder: true,
            start: PathBuf::from(text),
        });
    }
    said_ui(ui, form, field::FOLDER);
    if form.draft.destination.folder.is_none() {
        remark(ui, "Proposed, beside the data file. Another disk is better.");
    }
    if form.problem(field::FOLDER).is_some() {
        return;
    }
    match form.archives_place(status, data_file) {
        Some(place) => place_ui(ui, place, data_file),
        None => remark(ui, "Looking at this folder …"),
    }
}

/// Used and free space of a disk, and what should be known before it is used.
fn place_ui(ui: &mut Ui, place: &Place, data_file: &DataFileStatus) {
    if let Some(space) = &place.space {
        let required = data_file.plan.as_ref().map_or(0, |plan| plan.required_bytes);
        ui.horizontal_top(|ui| {
            let free = RichText::new("Free space").color(palette(ui).weak);
            ui.label(free);
            ui.vertical(|ui| {
                disk_bar_of(ui, "the disk chosen", space.available, space.total, space.available >= required)
            });
        });
    }
    warnings_ui(ui, place.warnings.iter(), None);
}

/// What should be known of a place; `refused` is what keeps it from being used.
fn warnings_ui<'a>(ui: &mut Ui, warnings: impl Iterator<Item = &'a Warning>, refused: Option<WarningKind>) {
    for warning in warnings {
        let urgent =
            refused == Some(warning.kind) || warning.kind.is_urgent() || warning.kind == WarningKind::NotEnoughSpace;
        let hint = warning.hint.as_deref().unwrap_or_default();
        let text = format!("{}. {hint}", sentence(&warning.message));
        advice(ui, if urgent { Tone::Bad } else { Tone::Warn }, text.trim());
    }
}

fn log_ui(
    ui: &mut Ui,
    status: &View<'_>,
    data_file: &DataFileStatus,
    form: &mut SettingsForm,
    actions: &mut Vec<Action>,
) {
    check_box(ui, &mut form.use_log, "Use log");
    if !form.use_log {
        if form.base.log.file.is_some() {
            advice(ui, Tone::Warn, LOST);
        } else {
            remark(
                ui,
                "The log records every commit that any program makes to the data file, so that a restore can bring \
                 back any moment.",
            );
        }
        return;
    }
    let mut text = form.text(field::LOG);
    let (changed, choose) =
        path_field(ui, "Log file", &mut text, "Full path of the log file", "Choose the folder for the log");
    if changed {
        form.type_into(field::LOG, text.clone());
    }
    if choose {
        let start = Path::new(&text).parent().map(Path::to_path_buf).unwrap_or_default();
        actions.push(Action::ChooseForSettings { for_what: PathFor::Log, folder: true, start });
    }
    said_ui(ui, form, field::LOG);
    conflict_ui(ui, form.conflict(status, "log."));
    if let Some(place) = form.log_place(status, data_file) {
        let insisted = form.draft.log.allow_network;
        // What was said of the same folder above need not be said twice.
        let said = form.archives_place(status, data_file).map_or(&[][..], |place| &place.warnings);
        let is_new = |warning: &&Warning| !said.iter().any(|other| other.message == warning.message);
        let refused = form.refuses_log_at(Some(place));
        warnings_ui(ui, place.warnings.iter().filter(is_new), refused.then_some(WarningKind::NetworkDrive));
        if is_network(place) || insisted {
            check_box(ui, &mut form.draft.log.allow_network, "Use a log on a network drive all the same");
        }
    }
    if form.log_is_new() {
        new_log_ui(ui, data_file, form);
    }
}

/// What a log needs before it protects anything.
fn new_log_ui(ui: &mut Ui, data_file: &DataFileStatus, form: &mut SettingsForm) {
    if data_file.facts.journal_mode != JournalMode::Wal {
        check_box(ui, &mut form.switch_to_wal, "Switch the data file to WAL mode");
        let text = "The log needs it, and this data file uses a rollback journal. It is a lasting change of the \
                    file, for all its programs; every SQLite since 2010 (3.7.0) understands it.";
        ui.add(Label::new(RichText::new(text).color(palette(ui).warn.0)).wrap());
    }
    remark(ui, "A full backup is needed before the log can serve a restore.");
    check_box(ui, &mut form.backup_follows, "Start a full backup as soon as the log runs");
}
