//! The parts that pages and dialogs are made of. Each has an accessible name.

use chrono::{DateTime, Local, TimeZone};
use eframe::egui::{
    self, Align, Button, Checkbox, Color32, CornerRadius, Frame, Label, Layout, Margin, Response, RichText, Sense,
    Stroke, TextEdit, Ui, WidgetInfo, WidgetType, vec2,
};
use lucide_icons::Icon;

pub(crate) use super::choice::choice;
use super::theme::{self, FACT_LABEL_WIDTH, palette};
use crate::{engine::history::Outcome, error::ErrorReport, storage::space::human_bytes};

/// A moment as the window shows it.
pub(crate) fn moment<Z: TimeZone>(moment: &DateTime<Z>) -> String {
    moment.with_timezone(&chrono::Local).format("%Y-%m-%d %H:%M:%S").to_string()
}

/// A duration as the window shows it: `0.4 s`, `12 s`, `3 min 05 s`, `2 h 04 min`.
pub(crate) fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..=9 => format!("{:.1} s", ms as f64 / 1000.0),
        10..=59 => format!("{seconds} s"),
        60..=3599 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// How long ago something was, in words that need not be drawn anew every second: `5 s`, `3 min`, `2 h`, `4 days`.
pub(crate) fn age(since: DateTime<chrono::Utc>, now: DateTime<chrono::Utc>) -> String {
    let seconds = (now - since).num_seconds().max(0);
    match seconds {
        0..=59 => format!("{seconds} s"),
        60..=3599 => format!("{} min", seconds / 60),
        3600..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A number with its thousands apart, never on two lines.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push('\u{a0}');
        }
        shown.push(digit);
    }
    shown
}

/// A number of commits in words, its thousands apart.
pub(crate) fn commits(number: u64) -> String {
    if number == 1 { "1 commit".to_owned() } else { format!("{} commits", count(number)) }
}

/// A number of operations in words, its thousands apart.
pub(crate) fn operations(number: u64) -> String {
    if number == 1 { "1 operation".to_owned() } else { format!("{} operations", count(number)) }
}

/// What something means for the administrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// All is well.
    Good,
    /// Something needs attention.
    Warn,
    /// Something failed.
    Bad,
    /// Neither.
    Neutral,
}

impl Tone {
    /// Colour of the text, and of what is behind it.
    pub(crate) fn colours(self, ui: &Ui) -> (Color32, Color32) {
        let p = palette(ui);
        match self {
            Tone::Good => p.good,
            Tone::Warn => p.warn,
            Tone::Bad => p.bad,
            Tone::Neutral => p.neutral,
        }
    }

    fn icon(self) -> Icon {
        match self {
            Tone::Good => Icon::CircleCheck,
            Tone::Warn => Icon::TriangleAlert,
            Tone::Bad => Icon::CircleX,
            Tone::Neutral => Icon::Info,
        }
    }

    /// The tone of a job's outcome.
    pub(crate) fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Succeeded => Tone::Good,
            Outcome::Partial | Outcome::Stopped | Outcome::Interrupted | Outcome::Missed => Tone::Warn,
            Outcome::Failed => Tone::Bad,
            Outcome::Running | Outcome::Skipped => Tone::Neutral,
        }
    }
}

/// Overrides the accessible name, which would otherwise contain the icon's code point.
fn named(response: Response, name: &str) -> Response {
    let enabled = response.enabled();
    response.widget_info(|| WidgetInfo::labeled(WidgetType::Button, enabled, name));
    response
}

/// A box to tick.
pub(crate) fn check_box(ui: &mut Ui, on: &mut bool, label: &str) -> Response {
    ui.scope(|ui| {
        let w = &mut ui.visuals_mut().widgets;
        for style in [&mut w.noninteractive, &mut w.inactive, &mut w.hovered, &mut w.active] {
            style.corner_radius = theme::BOX_CORNERS;
        }
        ui.add(Checkbox::new(on, label))
    })
    .inner
}

/// An ordinary button.
pub(crate) fn button(ui: &mut Ui, icon: Option<Icon>, label: &str) -> Response {
    button_if(ui, true, icon, label)
}

/// One that cannot always be pressed. It goes to the next line where there is no room, as the others do.
pub(crate) fn button_if(ui: &mut Ui, enabled: bool, icon: Option<Icon>, label: &str) -> Response {
    let response = match icon {
        Some(icon) => ui.add_enabled(enabled, Button::new((theme::icon(icon, 15.0), label))),
        None => ui.add_enabled(enabled, Button::new(label)),
    };
    named(response, label)
}

/// The one button of a page or dialog that does what it is for.
pub(crate) fn primary_button(ui: &mut Ui, icon: Option<Icon>, label: &str, enabled: bool) -> Response {
    let p = palette(ui);
    filled_button(ui, (icon, label, enabled), (p.accent, p.accent_hover, p.on_accent))
}

/// The same where it takes something away: nobody presses it by habit.
pub(crate) fn dangerous_button(ui: &mut Ui, icon: Icon, label: &str, enabled: bool) -> Response {
    let p = palette(ui);
    filled_button(ui, (Some(icon), label, enabled), (p.bad.0, p.danger_hover, p.on_accent))
}

fn filled_button(
    ui: &mut Ui,
    (icon, label, enabled): (Option<Icon>, &str, bool),
    (ground, hovered, text): (Color32, Color32, Color32),
) -> Response {
    let p = palette(ui);
    ui.scope(|ui| {
        let focus = Stroke::new(2.0, p.strong);
        let w = &mut ui.visuals_mut().widgets;
        for (style, fill, line) in [
            (&mut w.inactive, ground, Stroke::new(1.0, ground)),
            (&mut w.hovered, hovered, Stroke::new(1.0, hovered)),
            (&mut w.active, hovered, focus),
            (&mut w.noninteractive, ground, Stroke::new(1.0, ground)),
        ] {
            style.weak_bg_fill = fill;
            style.bg_stroke = line;
            style.fg_stroke = Stroke::new(1.0, text);
        }
        let response = match icon {
            Some(icon) => ui.add_enabled(enabled, Button::new((theme::icon(icon, 15.0), label))),
            None => ui.add_enabled(enabled, Button::new(label).min_size(vec2(84.0, 0.0))),
        };
        named(response, label)
    })
    .inner
}

/// Says why a button cannot be pressed now, to who points at it and to who has it read.
pub(crate) fn why(response: Response, reason: &str) -> Response {
    if !response.enabled() {
        response.ctx.accesskit_node_builder(response.id, |node| node.set_description(reason));
    }
    response.on_disabled_hover_text(reason)
}

/// A button that shows an icon only; `name` is its tooltip and its accessible name.
pub(crate) fn icon_button(ui: &mut Ui, icon: Icon, name: &str) -> Response {
    let response = ui.add(Button::new(theme::icon(icon, 15.0)).frame_when_inactive(false)).on_hover_text(name);
    named(response, name)
}

/// A field for a path with its `…` button; true for the first when it was changed, for the second when it was pressed.
pub(crate) fn path_field(ui: &mut Ui, name: &str, text: &mut String, hint: &str, choose: &str) -> (bool, bool) {
    let mut pressed = false;
    let mut changed = false;
    let size = vec2(ui.available_width(), ui.spacing().interact_size.y);
    ui.allocate_ui_with_layout(size, Layout::right_to_left(Align::Center), |ui| {
        pressed = choose_button(ui, choose).clicked();
        let width = ui.available_width();
        changed = text_field(ui, name, text, hint, width).changed();
    });
    (changed, pressed)
}

/// The `…` button beside a path; `name` is its tooltip and its accessible name.
pub(crate) fn choose_button(ui: &mut Ui, name: &str) -> Response {
    let response = ui.add(Button::new("…")).on_hover_text(name);
    named(response, name)
}

/// A field for one line of text with an accessible name.
pub(crate) fn text_field(ui: &mut Ui, name: &str, text: &mut String, hint: &str, width: f32) -> Response {
    let field =
        TextEdit::singleline(text).hint_text(hint.to_owned()).desired_width(width).margin(Margin::symmetric(8, 5));
    let response = ui.add(field);
    response.ctx.accesskit_node_builder(response.id, |node| node.set_label(name));
    response
}

/// The time zone in which moments are written, as it is now.
pub(crate) fn zone(ui: &mut Ui) {
    ui.label(RichText::new(Local::now().format("UTC%:z").to_string()).color(palette(ui).weak));
}

/// A card: a titled box of facts.
pub(crate) fn card<R>(ui: &mut Ui, icon: Icon, title: &str, content: impl FnOnce(&mut Ui) -> R) -> R {
    let p = palette(ui);
    Frame::new()
        .fill(p.card)
        .stroke(Stroke::new(1.0, p.line))
        .corner_radius(CornerRadius::same(10))
        .inner_margin(Margin::symmetric(18, 16))
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.horizontal(|ui| {
                ui.label(theme::icon(icon, 16.0).color(p.accent));
                ui.label(theme::strong(title, ui));
            });
            ui.add_space(8.0);
            content(ui)
        })
        .inner
}

/// One fact: its label, and whatever shows its value, on one line where that fits.
pub(crate) fn fact_with(ui: &mut Ui, label: &str, value: impl FnOnce(&mut Ui)) {
    fact_below(ui, label, 0.0, value);
}

fn fact_below(ui: &mut Ui, label: &str, offset: f32, value: impl FnOnce(&mut Ui)) {
    ui.horizontal_top(|ui| {
        let width = FACT_LABEL_WIDTH;
        ui.allocate_ui_with_layout(vec2(width, 18.0), Layout::top_down(Align::Min), |ui| {
            ui.set_min_width(width);
            ui.add_space(offset);
            ui.add(Label::new(RichText::new(label).color(palette(ui).weak)).truncate());
        });
        ui.vertical(value);
    });
}

/// One fact with a text as its value, which wraps.
pub(crate) fn fact(ui: &mut Ui, label: &str, value: impl Into<String>) {
    fact_with(ui, label, |ui| {
        let value = RichText::new(value).color(palette(ui).strong);
        ui.add(Label::new(value).wrap().selectable(true));
    });
}

/// A path that wraps, with buttons at the right.
pub(crate) fn path_with(ui: &mut Ui, path: &std::path::Path, buttons: impl FnOnce(&mut Ui)) {
    ui.with_layout(Layout::right_to_left(Align::Min), |ui| {
        buttons(ui);
        ui.with_layout(Layout::top_down(Align::Min), |ui| {
            ui.add_space(5.0);
            let text = RichText::new(path.display().to_string()).color(palette(ui).strong);
            ui.add(Label::new(text).wrap().selectable(true));
        });
    });
}

/// A word on a coloured ground.
pub(crate) fn badge(ui: &mut Ui, tone: Tone, text: &str) -> Response {
    let (colour, ground) = tone.colours(ui);
    let galley = egui::WidgetText::from(RichText::new(text).text_style(egui::TextStyle::Small).color(colour));
    let galley =
        galley.into_galley(ui, Some(egui::TextWrapMode::Truncate), ui.available_width(), egui::TextStyle::Small);
    let (rect, response) = ui.allocate_exact_size(galley.size() + vec2(16.0, 3.0), Sense::hover());
    ui.painter().rect_filled(rect, CornerRadius::same(9), ground);
    ui.painter().galley(rect.min + vec2(8.0, 1.5), galley, colour);
    response.widget_info(|| WidgetInfo::labeled(WidgetType::Label, true, text));
    response
}

/// Parts of one line of text, as high as text is and not as buttons are.
pub(crate) fn line(ui: &mut Ui, content: impl FnOnce(&mut Ui)) {
    ui.scope(|ui| {
        ui.spacing_mut().interact_size.y = 18.0;
        ui.horizontal_wrapped(content);
    });
}

/// One fact whose value is entered: the label stands at the height of the field's text.
pub(crate) fn fact_field(ui: &mut Ui, label: &str, value: impl FnOnce(&mut Ui)) {
    fact_below(ui, label, 5.0, value);
}

/// A line across the page that can't be missed: what is wrong, what to do, and buttons for it at its end.
pub(crate) fn strip(ui: &mut Ui, tone: Tone, message: &str, hint: Option<&str>, buttons: impl FnOnce(&mut Ui)) {
    let (colour, ground) = tone.colours(ui);
    let p = palette(ui);
    Frame::new()
        .fill(ground)
        .stroke(Stroke::new(1.0, colour.gamma_multiply(0.45)))
        .corner_radius(CornerRadius::same(8))
        .inner_margin(Margin::symmetric(14, 10))
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.horizontal_top(|ui| {
                ui.label(theme::icon(tone.icon(), 17.0).color(colour));
                with_buttons(ui, buttons, |ui| {
                    ui.spacing_mut().item_spacing.y = 3.0;
                    let message = RichText::new(sentence(message)).text_style(theme::section_style()).color(colour);
                    ui.add(Label::new(message).wrap().selectable(true));
                    if let Some(hint) = hint {
                        ui.add(Label::new(RichText::new(hint).color(p.text)).wrap().selectable(true));
                    }
                });
            });
        });
}

/// A text with its buttons: at its right, or below it where there is no room for both.
pub(crate) fn with_buttons(ui: &mut Ui, buttons: impl FnOnce(&mut Ui), text: impl FnOnce(&mut Ui)) {
    with_buttons_from(ui, theme::BUTTONS_BESIDE_FROM, buttons, text);
}

/// The same where the buttons are wide: beside the text from the width `from` on.
pub(crate) fn with_buttons_from(ui: &mut Ui, from: f32, buttons: impl FnOnce(&mut Ui), text: impl FnOnce(&mut Ui)) {
    if ui.available_width() < from {
        ui.vertical(|ui| {
            ui.scope(text);
            ui.horizontal_wrapped(buttons);
        });
        return;
    }
    ui.with_layout(Layout::right_to_left(Align::Min), |ui| {
        buttons(ui);
        ui.with_layout(Layout::top_down(Align::Min), text);
    });
}

/// A strip for an error.
pub(crate) fn error_strip(ui: &mut Ui, error: &ErrorReport, buttons: impl FnOnce(&mut Ui)) {
    strip(ui, Tone::Bad, &error.message, error.hint.as_deref(), buttons);
}

/// Messages begin in lower case so that they can stand after a colon; alone they begin like a sentence.
///
/// A path or a file name at the beginning is left as it is.
pub(crate) fn sentence(message: &str) -> String {
    let first = message.split_whitespace().next().unwrap_or_default();
    let is_word = !first.is_empty() && first.chars().all(|c| c.is_lowercase() || c == ',' || c == ':');
    let mut letters = message.chars();
    match letters.next() {
        Some(letter) if is_word => letter.to_uppercase().chain(letters).collect(),
        _ => message.to_owned(),
    }
}

/// A title within a sentence.
pub(crate) fn in_sentence(title: &str) -> String {
    let mut letters = title.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// A bar filled to `fraction`; `None` shows that something goes on, without saying how much.
pub(crate) fn bar(ui: &mut Ui, name: &str, fraction: Option<f32>, colour: Color32) -> Response {
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 8.0), Sense::hover());
    let radius = CornerRadius::same(4);
    ui.painter().rect_filled(rect, radius, palette(ui).track);
    let filled = match fraction {
        Some(fraction) => {
            let fraction = if fraction.is_finite() { fraction.clamp(0.0, 1.0) } else { 0.0 };
            let width = (rect.width() * fraction).max(if fraction > 0.0 { 4.0 } else { 0.0 });
            egui::Rect::from_min_size(rect.min, vec2(width, rect.height()))
        }
        None => {
            let width = rect.width() * 0.25;
            // Bounces once in three seconds; moves only with the frames that the running job asks for anyway.
            let phase = ui.input(|i| i.time / 1.5).rem_euclid(2.0) as f32;
            let at = if phase > 1.0 { 2.0 - phase } else { phase };
            egui::Rect::from_min_size(rect.min + vec2((rect.width() - width) * at, 0.0), vec2(width, rect.height()))
        }
    };
    ui.painter().rect_filled(filled, radius, colour);
    let value = fraction.map(|f| f64::from(f.clamp(0.0, 1.0)) * 100.0);
    response.widget_info(|| WidgetInfo { value, ..WidgetInfo::labeled(WidgetType::ProgressIndicator, true, name) });
    response
}

/// How full a disk is, and what is left on it.
pub(crate) fn disk_bar(ui: &mut Ui, available: u64, total: u64, enough: bool) {
    disk_bar_of(ui, "the backup disk", available, total, enough);
}

/// The same for another disk.
pub(crate) fn disk_bar_of(ui: &mut Ui, what: &str, available: u64, total: u64, enough: bool) {
    let used = total.saturating_sub(available) as f32 / total.max(1) as f32;
    let p = palette(ui);
    let text = format!("{} of {}", human_bytes(available), human_bytes(total));
    ui.add(Label::new(RichText::new(&text).color(if enough { p.strong } else { p.bad.0 })).wrap());
    let colour = if enough { p.accent } else { p.bad.0 };
    bar(ui, &format!("Used space of {what}"), Some(used), colour).on_hover_text(format!("{:.0} % used", used * 100.0));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_numbers_are_shown_as_people_say_them() {
        assert_eq!([400, 12_345, 185_000, 7_440_000].map(duration), ["0.4 s", "12 s", "3 min 05 s", "2 h 04 min"]);
        assert_eq!(
            [0, 999, 1000, 51_234, 1_000_000].map(count),
            ["0", "999", "1\u{a0}000", "51\u{a0}234", "1\u{a0}000\u{a0}000"]
        );
    }

    #[test]
    fn messages_alone_begin_like_sentences_but_paths_stay() {
        assert_eq!(sentence("not enough space in /b"), "Not enough space in /b");
        assert_eq!(sentence("stopped by the user"), "Stopped by the user");
        assert_eq!(sentence("/data/a.db is empty (0 bytes)"), "/data/a.db is empty (0 bytes)");
        assert_eq!(sentence("data.sqlite is gone"), "data.sqlite is gone");
    }
}
