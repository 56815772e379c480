//! The page of the first start: no data file is open.

use std::path::Path;

use eframe::egui::{
    Align, Button, CornerRadius, Frame, Label, Layout, Margin, RichText, Sense, Stroke, Ui, WidgetInfo, WidgetType,
    vec2,
};
use lucide_icons::Icon;

use crate::{
    engine::{Command, Status},
    error::ErrorKind,
    ui::{
        action::Action,
        jobs,
        page::{Part, columns, page_header},
        state::State,
        still,
        theme::{self, palette},
        widgets::{Tone, button, icon_button, primary_button, strip},
    },
};

pub(crate) fn welcome_ui(ui: &mut Ui, status: &Status, state: &State, actions: &mut Vec<Action>) {
    let p = palette(ui);
    ui.add_space(20.0);
    ui.horizontal_top(|ui| {
        Frame::new().fill(p.accent).corner_radius(CornerRadius::same(12)).inner_margin(Margin::same(11)).show(
            ui,
            |ui| {
                ui.label(theme::icon(Icon::Vault, 28.0).color(p.on_accent));
            },
        );
        ui.add_space(6.0);
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.y = 2.0;
            ui.label(RichText::new("Welcome to Strongroom").text_style(theme::title_style()).color(p.strong));
            let text = "Keeps SQLite data files safe: full backups while your application keeps writing, and restore.";
            ui.add(Label::new(RichText::new(text).color(p.weak)).wrap());
        });
    });
    ui.add_space(18.0);
    still::begin(ui);
    jobs::news_ui(ui, status, state, actions);
    still::end(ui);
    for path in &status.opening {
        ui.label(RichText::new(format!("Looking at {} …", path.display())).color(p.weak));
    }
    let choices: &mut [Part<'_, Vec<Action>>] =
        &mut [&mut choice_open, &mut |ui, actions| choice_sample(ui, state, actions)];
    columns(ui, actions, choices);
    if !status.recent.is_empty() {
        ui.add_space(theme::GAP);
        recent(ui, &status.recent, actions);
    }
}

/// In the place of a page whose data file is not looked after any more: another one there would be clicked on by
/// mistake.
pub(crate) fn gone_ui(ui: &mut Ui, status: &Status, state: &State, actions: &mut Vec<Action>) {
    let Some(path) = &state.current else { return };
    page_header(ui, "Maintenance", &path.display().to_string(), |_| ());
    still::begin(ui);
    jobs::news_ui(ui, status, state, actions);
    still::end(ui);
    // A restore in place has the file for itself.
    if status.jobs.iter().any(|job| job.data_file.as_ref() == Some(path)) {
        return;
    }
    // It can be restored: that is said above.
    if status.refused.iter().any(|refused| refused.path == *path && refused.error.kind == ErrorKind::NotFound) {
        return;
    }
    let text = format!("{} is not looked after at the moment", jobs::name(path));
    let hint = "Another window or command closed it, or it is just being handed over. Choose another data file at the \
        left, or open it here.";
    strip(ui, Tone::Warn, &text, Some(hint), |ui| {
        if button(ui, Some(Icon::FolderOpen), "Open it again").clicked() {
            actions.push(Action::Open(path.clone()));
        }
    });
}

fn choice(ui: &mut Ui, icon: Icon, title: &str, text: &str, button: impl FnOnce(&mut Ui)) {
    let p = palette(ui);
    Frame::new()
        .fill(p.card)
        .stroke(Stroke::new(1.0, p.line))
        .corner_radius(CornerRadius::same(10))
        .inner_margin(Margin::same(20))
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.label(theme::icon(icon, 22.0).color(p.accent));
            ui.add_space(4.0);
            ui.label(theme::strong(title, ui));
            // Both choices have room for four lines, so that their buttons stand at one height.
            let lines = vec2(ui.available_width(), 72.0);
            ui.allocate_ui_with_layout(lines, Layout::top_down(Align::Min), |ui| {
                ui.set_min_size(lines);
                ui.add(Label::new(RichText::new(text).color(p.weak)).wrap());
            });
            button(ui);
        });
}

fn choice_open(ui: &mut Ui, actions: &mut Vec<Action>) {
    let text = "Choose the SQLite file that your application works with. You can also drop it onto this window. \
                It is only read: nothing in it changes.";
    choice(ui, Icon::Database, "Your data file", text, |ui| {
        if primary_button(ui, Some(Icon::FolderOpen), "Open data file…", true).clicked() {
            actions.push(Action::ChooseDataFile);
        }
    });
}

fn choice_sample(ui: &mut Ui, state: &State, actions: &mut Vec<Action>) {
    let text = format!(
        "Creates OMB_Edelweiss.sqlite, the records of an office, in {} or a folder of your choice, with a small client \
         that keeps editing it.",
        state.setup.sample_folder.display()
    );
    choice(ui, Icon::FlaskConical, "Look around first", &text, |ui| {
        if button(ui, Some(Icon::FlaskConical), "Try with a sample").clicked() {
            actions.push(Action::AskSample);
        }
    });
}

fn recent(ui: &mut Ui, recent: &[std::path::PathBuf], actions: &mut Vec<Action>) {
    crate::ui::widgets::card(ui, Icon::RotateCcw, "Recent data files", |ui| {
        for path in recent {
            ui.horizontal(|ui| {
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    if icon_button(ui, Icon::X, &format!("Forget {}", path.display())).clicked() {
                        actions.push(Action::Send(Command::Forget { path: path.clone() }));
                    }
                    ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                        if recent_row(ui, path) {
                            actions.push(Action::Open(path.clone()));
                        }
                    });
                });
            });
        }
    });
}

fn recent_row(ui: &mut Ui, path: &Path) -> bool {
    let p = palette(ui);
    let folder = path.parent().map(|f| f.display().to_string()).unwrap_or_default();
    let name = RichText::new(jobs::name(path)).color(p.strong);
    let button =
        Button::new((theme::icon(Icon::Database, 15.0).color(p.accent), name, RichText::new(folder).color(p.weak)))
            .frame_when_inactive(false)
            .truncate()
            .sense(Sense::click())
            .min_size(vec2(0.0, 28.0));
    let response = ui.add(button);
    response.widget_info(|| WidgetInfo::labeled(WidgetType::Button, true, format!("Open {}", path.display())));
    response.clicked()
}
