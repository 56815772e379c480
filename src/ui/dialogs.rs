//! The dialogs, and the frame that they have in common.

pub(crate) mod about;
pub(crate) mod backup;
pub(crate) mod close;
pub(crate) mod compact;
mod ended;
pub(crate) mod export;
pub(crate) mod files;
pub(crate) mod hold;
pub(crate) mod in_place;
pub(crate) mod log;
pub(crate) mod look;
pub(crate) mod message;
pub(crate) mod plan;
pub(crate) mod quit;
pub(crate) mod records;
pub(crate) mod recover;
pub(crate) mod recovered;
pub(crate) mod repair;
pub(crate) mod restore;
pub(crate) mod sample;
mod saved;
pub(crate) mod segments;
pub(crate) mod service;
pub(crate) mod settings;
pub(crate) mod sizes;
pub(crate) mod take_back;
pub(crate) mod timeline;
pub(crate) mod undo;
mod until;
pub(crate) mod value;

use eframe::egui::{
    Align, AsIdSalt, Context, CornerRadius, Frame, Id, Key, Layout, Margin, Modal, Modifiers, Rect, RichText,
    ScrollArea, Stroke, Ui, Vec2, accesskit::Role,
};

use super::{
    action::Action,
    answers::View,
    page::show_focused,
    spoken::bounds,
    state::{Dialog, State},
    theme::{self, palette},
};
use crate::engine::Status;

/// Shows the open dialog. While a path is being chosen inside the window it steps aside.
pub(crate) fn dialog_ui(ctx: &Context, status: &Status, state: &mut State, actions: &mut Vec<Action>) {
    if state.picker.is_inside() {
        return;
    }
    let ended = state.asked.ended;
    let view = &View { status, answers: &state.answers };
    match &mut state.dialog {
        None => {}
        Some(Dialog::Backup(form)) => backup::backup_ui(ctx, status, form, actions),
        Some(Dialog::Restore(form)) => match form.in_place.clone() {
            None => restore::restore_ui(ctx, view, (form, ended), actions),
            Some(data_file) => in_place::in_place_ui(ctx, view, (form, ended), &data_file, actions),
        },
        Some(Dialog::Hold(form)) => hold::hold_ui(ctx, form, actions),
        Some(Dialog::Repair(form)) => repair::repair_ui(ctx, view, (form, ended), actions),
        Some(Dialog::Segments(form)) => segments::segments_dialog_ui(ctx, view, (form, ended), actions),
        Some(Dialog::Sample(form)) => sample::sample_ui(ctx, form, actions),
        Some(Dialog::StopLog(data_file)) => log::stop_ui(ctx, data_file, actions),
        Some(Dialog::Settings(form)) => settings::settings_ui(ctx, view, form, actions),
        Some(Dialog::Close(data_file)) => close::close_ui(ctx, status, &data_file.clone(), actions),
        Some(Dialog::Quit) => quit::quit_ui(ctx, status, state.leaving.as_ref(), actions),
        Some(Dialog::Service(form)) => service::service_ui(ctx, form, actions),
        Some(Dialog::Undo(form)) => undo::undo_ui(ctx, view, form, actions),
        Some(Dialog::Compact(form)) => compact::compact_ui(ctx, status, form, actions),
        Some(Dialog::Report(form)) => records::records_ui(ctx, view, (form, ended), actions),
        Some(Dialog::Recover(form)) => recover::recover_ui(ctx, view, (form, ended), actions),
        Some(Dialog::Recovered(form)) => recovered::recovered_ui(ctx, view, (form, ended), actions),
        Some(Dialog::Value(form)) => value::value_ui(ctx, form, actions),
        Some(Dialog::Export(form)) => export::export_ui(ctx, form, actions),
        Some(Dialog::Look(form)) => look::look_ui(ctx, form, actions),
        Some(Dialog::Sizes(form)) => sizes::sizes_ui(ctx, form, actions),
        Some(Dialog::LookMoment(form)) => look::moment::moment_ui(ctx, view, form, actions),
        Some(Dialog::TakeBack(form)) => take_back::take_back_ui(ctx, status, form, actions),
        Some(Dialog::About) => about::about_ui(ctx, actions),
    }
    if let Some(form) = &state.message {
        message::message_ui(ctx, form, actions);
    }
}

/// Room above and below a dialog.
const MARGIN: f32 = 12.0;
/// Title, head and buttons, before they were drawn.
const AROUND: f32 = 122.0;
/// Less of the content is never shown.
const CONTENT_MIN: f32 = 60.0;

/// How the user left a dialog in this frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keys {
    /// Escape: the same as *Cancel*.
    pub(crate) escape: bool,
    /// Enter outside any other button: the same as the primary button.
    pub(crate) enter: bool,
}

/// Shows a dialog: title, content, and a line of buttons that `footer` adds from the right.
///
/// `footer` is told whether Enter was pressed, so that it can act as if its primary button had been. Both work on
/// `form`.
pub(crate) fn frame<T: ?Sized>(
    ctx: &Context,
    title: &str,
    width: f32,
    form: &mut T,
    content: impl FnOnce(&mut Ui, &mut T),
    footer: impl FnOnce(&mut Ui, Keys, &mut T),
) {
    tall_frame(ctx, title, width, ((), 0.0), form, |_, _| (), content, footer);
}

/// What a dialog is called; one whose title changes while it is open is known by a name of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Title<'a> {
    /// What it is known by.
    pub(crate) id: &'a str,
    /// What is shown.
    pub(crate) text: &'a str,
}

impl<'a> From<&'a str> for Title<'a> {
    fn from(text: &'a str) -> Self {
        Self { id: text, text }
    }
}

/// The same with a `head` above the content that does not scroll. The content is at least `height` high, where the
/// window is; each `part` of it has a scroll position of its own.
#[expect(clippy::too_many_arguments, reason = "three parts of a dialog, each drawn by its own function")]
pub(crate) fn tall_frame<'t, T: ?Sized>(
    ctx: &Context,
    title: impl Into<Title<'t>>,
    width: f32,
    (part, height): (impl AsIdSalt, f32),
    form: &mut T,
    head: impl FnOnce(&mut Ui, &mut T),
    content: impl FnOnce(&mut Ui, &mut T),
    footer: impl FnOnce(&mut Ui, Keys, &mut T),
) {
    let Title { id: title, text } = title.into();
    let popup_was_open = eframe::egui::Popup::is_any_open(ctx);
    let screen = ctx.content_rect().size();
    let wanted = width;
    let width = width.min(screen.x - 48.0);
    let modal = Modal::new(Id::new(("dialog", title)));
    let style = ctx.global_style();
    let frame = Frame::new()
        .fill(style.visuals.window_fill)
        .stroke(style.visuals.window_stroke)
        .shadow(style.visuals.window_shadow)
        .corner_radius(CornerRadius::same(12));
    modal.frame(frame).show(ctx, |ui| {
        ctx.accesskit_node_builder(ui.unique_id(), |node| {
            node.set_role(Role::Dialog);
            node.set_label(text);
        });
        ui.set_width(width);
        let begin = ui.cursor().top();
        let p = palette(ui);
        Frame::new().inner_margin(Margin { left: 22, right: 22, top: 18, bottom: 6 }).show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.label(RichText::new(text).text_style(theme::section_style()).size(17.0).color(p.strong));
        });
        let top = ui.cursor().top();
        Frame::new().inner_margin(Margin { left: 22, right: 22, top: 0, bottom: 0 }).show(ui, |ui| {
            ui.set_width(ui.available_width());
            head(ui, form);
        });
        let head = ui.cursor().top() - top;
        // Whatever is not the content: as it was in the last frame.
        let around = Id::new(("around a dialog", title));
        let before = ui.data(|d| d.get_temp::<(f32, Rect, Vec2)>(around));
        let rest = before.map_or(AROUND + head, |before| before.0);
        let height_max = (screen.y - rest - 2.0 * MARGIN).max(CONTENT_MIN);
        // Where the window is too narrow, what does not wrap is scrolled to, and does not widen the dialog beyond the
        // window.
        let is_narrow = width < wanted;
        // A little less than there is: what is rounded would bring a bar for nothing.
        let scroll = ui.spacing().scroll;
        let room = (width - 44.0 - scroll.allocated_width()).floor() - 1.0;
        let area = ScrollArea::new([is_narrow, true]).id_salt(part).max_height(height_max).auto_shrink([false, true]);
        let shown = area.min_scrolled_height(height.min(height_max)).show(ui, |ui| {
            ui.set_min_height(height.min(height_max));
            Frame::new().inner_margin(Margin { left: 22, right: 22, top: 6, bottom: 14 }).show(ui, |ui| {
                ui.set_width(if is_narrow { room } else { ui.available_width() });
                content(ui, form);
            });
            show_focused(ui, title);
        });
        let content_height = shown.inner_rect.height();
        // Keys are those of the dialog that is above all others.
        let is_above = ctx.memory(|m| m.top_modal_layer()).is_none_or(|top| top == ui.layer_id());
        let keys = ctx.input_mut(|i| Keys {
            escape: is_above && !popup_was_open && i.consume_key(Modifiers::NONE, Key::Escape),
            enter: is_above && i.key_pressed(Key::Enter),
        });
        // Enter on a button that has the focus presses that one.
        let keys = Keys { enter: keys.enter && ctx.memory(|m| m.focused().is_none()), ..keys };
        ui.painter().hline(ui.max_rect().x_range(), ui.cursor().top(), Stroke::new(1.0, p.line));
        Frame::new().inner_margin(Margin::symmetric(22, 14)).show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.allocate_ui_with_layout(
                eframe::egui::vec2(ui.available_width(), ui.spacing().interact_size.y),
                Layout::right_to_left(Align::Center),
                |ui| footer(ui, keys, form),
            );
        });
        let whole = ui.min_rect();
        ctx.accesskit_node_builder(ui.unique_id(), |node| node.set_bounds(bounds(whole)));
        // What has just grown gets its height in the next frame, its place in the one after that, and there perhaps
        // more height: it is drawn again until nothing of that changes.
        let rest = ui.cursor().top() - begin - content_height;
        let now = (rest, whole, shown.content_size);
        if ui.data_mut(|d| std::mem::replace(d.get_temp_mut_or_insert_with(around, || now), now)) != now {
            ctx.request_repaint();
        }
    });
}
