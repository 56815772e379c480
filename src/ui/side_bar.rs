//! The side bar: the data file at its head, then the themes.

use eframe::egui::{
    Align, Button, CornerRadius, Frame, Label, Layout, Margin, Panel, RichText, ScrollArea, Sense, Stroke, Ui,
    WidgetInfo, WidgetType, vec2,
};
use lucide_icons::Icon;

use super::{
    action::Action,
    commands::MenuCommand,
    jobs,
    state::State,
    theme::{self, SIDE_BAR_WIDTH, palette},
    widgets::Tone,
};
use crate::engine::{Status, history::Outcome, status::DataFileStatus};

pub(crate) fn side_bar_ui(ui: &mut Ui, status: &Status, state: &State, actions: &mut Vec<Action>) {
    let side = palette(ui).side;
    let frame = Frame::new().fill(side).inner_margin(Margin { left: 14, right: 14, top: 16, bottom: 10 });
    let panel = Panel::left("side").resizable(false).exact_size(SIDE_BAR_WIDTH).show_separator_line(false).frame(frame);
    panel.show(ui, |ui| {
        ui.with_layout(Layout::bottom_up(Align::Min), |ui| {
            ui.label(RichText::new(&status.program).text_style(eframe::egui::TextStyle::Small).color(palette(ui).weak));
            ui.with_layout(Layout::top_down(Align::Min), |ui| {
                ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
                    data_files(ui, status, state, actions);
                    ui.add_space(14.0);
                    for command in [MenuCommand::ShowMaintenance, MenuCommand::ShowRestore, MenuCommand::ShowJournal] {
                        theme_ui(ui, command, state, actions);
                    }
                });
            });
        });
    });
}

/// The state of a data file in a word.
fn state_word(status: &Status, data_file: &DataFileStatus) -> (Tone, &'static str) {
    if data_file.lost_since.is_some() {
        return (Tone::Bad, "Nobody looks after it");
    }
    let is_busy = status.jobs.iter().any(|j| j.data_file.as_ref() == Some(&data_file.facts.path));
    match (&data_file.problem, &data_file.last_backup) {
        (Some(_), _) => (Tone::Bad, "Problem"),
        _ if is_busy => (Tone::Neutral, "Working"),
        (None, None) => (Tone::Warn, "No backup yet"),
        (None, Some(last)) => match last.outcome {
            Outcome::Succeeded => (Tone::Good, "Backed up"),
            Outcome::Running => (Tone::Neutral, "Working"),
            Outcome::Partial => (Tone::Warn, "Backed up with problems"),
            Outcome::Failed => (Tone::Bad, "Last backup failed"),
            Outcome::Stopped => (Tone::Warn, "Last backup stopped"),
            Outcome::Interrupted => (Tone::Warn, "Last backup interrupted"),
            Outcome::Skipped => (Tone::Good, "Backed up"),
            Outcome::Missed => (Tone::Warn, "Last backup missed"),
        },
    }
}

fn data_files(ui: &mut Ui, status: &Status, state: &State, actions: &mut Vec<Action>) {
    for data_file in &status.data_files {
        let path = &data_file.facts.path;
        let is_current = state.current.as_ref() == Some(path);
        let (tone, word) = state_word(status, data_file);
        let p = palette(ui);
        let line = if is_current { Stroke::new(1.0, p.line) } else { Stroke::NONE };
        let fill = if is_current { p.card } else { p.side };
        let response = Frame::new()
            .fill(fill)
            .stroke(line)
            .corner_radius(CornerRadius::same(8))
            .inner_margin(Margin::symmetric(10, 8))
            .show(ui, |ui| {
                ui.set_width(ui.available_width());
                ui.horizontal_top(|ui| {
                    ui.label(theme::icon(Icon::Database, 17.0).color(p.accent));
                    ui.vertical(|ui| {
                        ui.spacing_mut().item_spacing.y = 1.0;
                        ui.add(Label::new(theme::strong(jobs::name(path), ui)).truncate());
                        let word =
                            RichText::new(word).text_style(eframe::egui::TextStyle::Small).color(tone.colours(ui).0);
                        ui.add(Label::new(word).truncate());
                    });
                });
            })
            .response
            .interact(Sense::click())
            .on_hover_text(path.display().to_string());
        let name = format!("Data file {}", jobs::name(path));
        response.widget_info(|| WidgetInfo::selected(WidgetType::SelectableLabel, true, is_current, &name));
        if response.has_focus() {
            ui.painter().rect_stroke(response.rect, 8.0, Stroke::new(2.0, p.accent), eframe::egui::StrokeKind::Inside);
        }
        if response.clicked() {
            actions.push(Action::ShowDataFile(path.clone()));
        }
    }
}

fn theme_ui(ui: &mut Ui, command: MenuCommand, state: &State, actions: &mut Vec<Action>) {
    let Some(page) = command.page() else {
        return;
    };
    let p = palette(ui);
    let is_current = state.page == page;
    let colour = if is_current { p.accent } else { p.text };
    let label = RichText::new(command.label()).color(if is_current { p.strong } else { p.text });
    let button = Button::selectable(is_current, (theme::icon(command.icon(), 16.0).color(colour), label))
        .min_size(vec2(ui.available_width(), 34.0));
    let shortcut = command.shortcut_text(ui.ctx());
    let response = ui.add(button).on_hover_text(format!("{} ({shortcut})", command.tooltip()));
    response.widget_info(|| WidgetInfo::selected(WidgetType::Button, true, is_current, command.label()));
    if response.clicked() {
        actions.push(Action::Show(page));
    }
}
