//! The dialog *User settings for data file…*: the page *Backups* with its three tabs.
//!
//! ```text
//! settings          title, tabs, what concerns all of them, OK and Cancel
//! form field        what is being changed, and what the fields may hold
//! answers           what the engine says of places and contents that are only thought of
//! scheduler         when
//! configuration     what, where to, and the log
//! backup_restore    how many, how, and what is done by itself
//! ```

mod answers;
mod backup_restore;
mod configuration;
mod field;
mod form;
mod scheduler;

use std::time::Instant;

use eframe::egui::{
    self, Align, Context, EventFilter, Frame, Id, Key, Label, Layout, Margin, Modifiers, Response, RichText, Sense,
    Stroke, Ui, WidgetInfo, WidgetType, accesskit::Role, vec2,
};
use lucide_icons::Icon;

pub(crate) use form::{PathFor, SettingsForm, Tab};

use super::{Keys, tall_frame};
use crate::{
    engine::{Command, status::DataFileStatus},
    ui::{
        action::Action,
        answers::View,
        theme::{self, palette},
        widgets::{Tone, button, error_strip, moment, primary_button, strip, text_field},
    },
};
use field::Field;

const WIDTH: f32 = 820.0;
/// The dialog keeps its height from tab to tab, where the window is high enough.
const HEIGHT: f32 = 570.0;

pub(crate) fn settings_ui(ctx: &Context, status: &View<'_>, form: &mut SettingsForm, actions: &mut Vec<Action>) {
    let Some(data_file) = status.data_file(&form.data_file) else { return };
    if form.is_applied(data_file) {
        actions.push(Action::CloseDialog);
        return;
    }
    form.take_refusal(data_file);
    form.note(&data_file.settings);
    // Nobody would answer for a data file whose engine is gone.
    if data_file.lost_since.is_none() {
        actions.extend(form.follow(status, Instant::now()).into_iter().map(Action::Ask));
    } else {
        form.unanswered(data_file.host);
    }
    if let Some(wait) = form.patience(status) {
        ctx.request_repaint_after(wait);
    }
    turn_over(ctx, form);
    let wrong = form.wrong_tabs(status, data_file);
    let tab = form.tab;
    tall_frame(
        ctx,
        "User settings for data file",
        WIDTH,
        (tab, HEIGHT),
        &mut (form, actions),
        |ui, (form, _)| {
            ui.add(Label::new(RichText::new(form.data_file.display().to_string()).color(palette(ui).weak)).truncate());
            ui.add_space(6.0);
            tabs_ui(ui, form, &wrong);
        },
        |ui, (form, actions)| {
            news_ui(ui, data_file, form, actions);
            // Fields of two tabs must not pass for one: a screen reader keeps what it can do with each.
            ui.push_id(form.tab, |ui| match form.tab {
                Tab::Scheduler => scheduler::scheduler_ui(ui, data_file, form),
                Tab::Configuration => configuration::configuration_ui(ui, status, data_file, form, actions),
                Tab::BackupRestore => backup_restore::backup_restore_ui(ui, data_file, form),
            });
        },
        |ui, keys, (form, actions)| {
            // Enter may have come with the last letter.
            let wrong = form.wrong_tabs(status, data_file);
            footer_ui(ui, keys, data_file, form, &wrong, actions);
        },
    );
}

/// Ctrl+Tab shows the next tab, with Shift the one before.
fn turn_over(ctx: &Context, form: &mut SettingsForm) {
    let pressed = |modifiers| ctx.input_mut(|i| i.consume_key(modifiers, Key::Tab));
    // With more modifiers first: the others would be satisfied by them too.
    let step = if pressed(Modifiers::CTRL | Modifiers::SHIFT) {
        Tab::ALL.len() - 1
    } else if pressed(Modifiers::CTRL) {
        1
    } else {
        return;
    };
    form.tab = beside(form.tab, step);
    ctx.memory_mut(|m| m.request_focus(tab_id(form.tab)));
}

fn beside(tab: Tab, step: usize) -> Tab {
    let at = Tab::ALL.iter().position(|other| *other == tab).unwrap_or_default();
    Tab::ALL[(at + step) % Tab::ALL.len()]
}

fn tab_id(tab: Tab) -> Id {
    Id::new(("settings tab", tab.label()))
}

fn tabs_ui(ui: &mut Ui, form: &mut SettingsForm, wrong: &[Tab]) {
    let p = palette(ui);
    // In a narrow window they stand in two lines.
    let line = ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(2.0, 0.0);
        // As high as the tabs beside it.
        ui.allocate_ui_with_layout(vec2(0.0, 33.0), Layout::left_to_right(Align::Center), |ui| {
            ui.set_min_height(33.0);
            ui.label(theme::icon(Icon::Archive, 15.0).color(p.accent));
            ui.add_space(4.0);
            ui.label(theme::strong("Backups", ui));
            ui.add_space(14.0);
        });
        for tab in Tab::ALL {
            if tab_ui(ui, tab, form.tab == tab, wrong.contains(&tab)).clicked() {
                form.tab = tab;
            }
        }
    });
    let at = line.response.rect.bottom();
    ui.painter().hline(ui.max_rect().x_range(), at, Stroke::new(1.0, p.line));
    // As everywhere, the arrows lead from one tab to the next while one of them has the focus.
    if ui.memory(|m| m.has_focus(tab_id(form.tab))) {
        let arrow = |key| ui.input(|i| i.key_pressed(key) && !i.modifiers.any());
        let step = if arrow(Key::ArrowRight) {
            1
        } else if arrow(Key::ArrowLeft) {
            Tab::ALL.len() - 1
        } else {
            return;
        };
        form.tab = beside(form.tab, step);
        ui.memory_mut(|m| m.request_focus(tab_id(form.tab)));
        ui.ctx().request_repaint();
    }
}

fn tab_ui(ui: &mut Ui, tab: Tab, is_shown: bool, is_wrong: bool) -> Response {
    let p = palette(ui);
    let colour = if is_shown { p.accent } else { p.text };
    let text = RichText::new(tab.label()).text_style(theme::section_style()).color(colour);
    let galley = egui::WidgetText::from(text).into_galley(
        ui,
        Some(egui::TextWrapMode::Extend),
        f32::INFINITY,
        theme::section_style(),
    );
    let mark = if is_wrong { 18.0 } else { 0.0 };
    let (rect, _) = ui.allocate_exact_size(galley.size() + vec2(26.0 + mark, 16.0), Sense::hover());
    let response = ui.interact(rect, tab_id(tab), Sense::click());
    if response.hovered() {
        ui.painter().rect_filled(rect.shrink2(vec2(2.0, 3.0)), 6.0, p.track);
    }
    if response.has_focus() {
        let filter = EventFilter { horizontal_arrows: true, ..Default::default() };
        ui.memory_mut(|m| m.set_focus_lock_filter(response.id, filter));
        ui.painter().rect_stroke(
            rect.shrink2(vec2(2.0, 3.0)),
            6.0,
            Stroke::new(2.0, p.accent),
            egui::StrokeKind::Inside,
        );
    }
    let at = rect.left_center() + vec2(13.0, -galley.size().y / 2.0);
    ui.painter().galley(at, galley, colour);
    if is_wrong {
        let font = theme::icon_font(13.0);
        let at = rect.right_center() - vec2(13.0, 0.0);
        ui.painter().text(at, egui::Align2::RIGHT_CENTER, char::from(Icon::CircleAlert), font, p.bad.0);
    }
    if is_shown {
        ui.painter().hline(rect.x_range(), rect.bottom() - 1.0, Stroke::new(2.5, p.accent));
    }
    response.widget_info(|| WidgetInfo::selected(WidgetType::Button, true, is_shown, tab.label()));
    response.ctx.accesskit_node_builder(response.id, |node| {
        node.set_role(Role::Tab);
        node.set_selected(is_shown);
    });
    response
}

/// What is the matter with the settings as a whole, whichever tab is shown.
fn news_ui(ui: &mut Ui, data_file: &DataFileStatus, form: &mut SettingsForm, actions: &mut Vec<Action>) {
    let before = ui.cursor().top();
    if let Some(problem) = &data_file.settings_problem {
        let hint = format!(
            "The last good settings are in force and are shown here. {}",
            problem.hint.as_deref().unwrap_or_default()
        );
        strip(ui, Tone::Bad, &problem.message, Some(hint.trim()), |_| ());
    }
    if form.is_outdated(data_file) {
        let text = "the settings were changed meanwhile, by another window, a command or by hand";
        let hint = "What you changed here is not saved over them. Load them, and make your change again.";
        let mut load = false;
        strip(ui, Tone::Warn, text, Some(hint), |ui| {
            load = button(ui, Some(Icon::RefreshCw), "Load the new settings").clicked();
        });
        if load {
            *form = SettingsForm::new(data_file, form.tab);
        }
    } else if let Some(error) = form.refusal().cloned() {
        error_strip(ui, &error, |_| ());
    }
    if let Some(since) = data_file.lost_since {
        let text = format!("{} has ended at {}: nothing can be changed", data_file.host, moment(&since));
        let hint = "Wait until it is back, or take the data file over with this window.";
        strip(ui, Tone::Bad, &text, Some(hint), |ui| {
            if button(ui, None, "Take over").clicked() {
                let path = form.data_file.clone();
                actions.push(Action::Send(Command::OpenDataFile { path }));
            }
        });
    }
    if ui.cursor().top() > before {
        ui.add_space(6.0);
    }
}

fn footer_ui(
    ui: &mut Ui,
    keys: Keys,
    data_file: &DataFileStatus,
    form: &mut SettingsForm,
    wrong: &[Tab],
    actions: &mut Vec<Action>,
) {
    let possible = wrong.is_empty()
        && !form.is_waiting()
        && !form.is_outdated(data_file)
        && data_file.settings_problem.is_none()
        && data_file.lost_since.is_none();
    let pressed = primary_button(ui, None, "OK", possible).clicked();
    if (pressed || keys.enter) && possible {
        let backup = form.log_is_new() && form.backup_follows;
        actions.push(match form.is_changed() {
            true => Action::ApplySettings { backup },
            false => Action::CloseDialog,
        });
    }
    if button(ui, None, "Cancel").clicked() || keys.escape {
        actions.push(Action::CloseDialog);
    }
    if form.tab == Tab::BackupRestore
        && button(ui, None, "Restore defaults").on_hover_text("Of this tab; nothing is saved before OK").clicked()
    {
        form.restore_defaults();
    }
    if !wrong.is_empty() {
        let names: Vec<&str> = wrong.iter().map(|tab| tab.label()).collect();
        let text = format!("To be corrected: {}", names.join(", "));
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
            ui.add(Label::new(RichText::new(text).color(palette(ui).bad.0)).truncate());
        });
    }
}

/// A field whose text can be wrong; what it must be is said by [`said_ui`].
fn typed_field(ui: &mut Ui, form: &mut SettingsForm, field: Field, name: &str, width: f32) -> Response {
    let mut text = form.text(field);
    let response = text_field(ui, name, &mut text, "", width);
    if response.changed() {
        form.type_into(field, text);
    }
    response
}

/// What is wrong with a field, if anything.
fn said_ui(ui: &mut Ui, form: &SettingsForm, field: Field) {
    if let Some(problem) = form.problem(field) {
        ui.add(Label::new(RichText::new(problem).color(palette(ui).bad.0)).wrap());
    }
}

/// The title of a group of settings.
fn group(ui: &mut Ui, title: &str) {
    if ui.cursor().top() > ui.max_rect().top() + 4.0 {
        ui.add_space(10.0);
    }
    ui.label(theme::strong(title, ui));
    ui.add_space(2.0);
}

/// A ground for what the choices result in.
fn panel(ui: &mut Ui, content: impl FnOnce(&mut Ui)) {
    let p = palette(ui);
    let frame = Frame::new().fill(p.page).stroke(Stroke::new(1.0, p.line)).corner_radius(8);
    frame.inner_margin(Margin::symmetric(14, 10)).show(ui, |ui| {
        ui.set_width(ui.available_width());
        content(ui);
    });
}

/// A remark that wraps.
fn remark(ui: &mut Ui, text: &str) {
    ui.add(Label::new(RichText::new(text).color(palette(ui).weak)).wrap());
}
