//! What pages have in common: their head, their columns, and what the keyboard leads to on them.

use eframe::egui::{Align, Id, Label, Layout, Order, Rect, RichText, Ui, UiBuilder, vec2};

use super::{
    theme::{self, palette},
    widgets::with_buttons_from,
};

/// Scrolls to what has just got the focus, where it is not to be seen in full; `area` tells what scrolls from others.
pub(super) fn show_focused(ui: &Ui, area: &str) {
    let focused = ui.memory(|m| m.focused());
    let last = Id::new(("last focused in", area));
    if ui.data_mut(|d| std::mem::replace(d.get_temp_mut_or_default::<Option<Id>>(last), focused)) == focused {
        return;
    }
    let view = ui.clip_rect();
    // Only what scrolls is ever cut off. A table scrolls to its row by itself, and what stands beside a page has an
    // area of its own.
    let cut = focused.and_then(|id| ui.ctx().read_response(id)).filter(|response| {
        let is_page = ui.layer_id().order == Order::Background;
        let is_beside = is_page && !view.x_range().contains(response.rect.center().x);
        response.layer_id == ui.layer_id()
            && !is_beside
            && response.interact_rect != response.rect
            && response.rect.height() < view.height()
    });
    if let Some(cut) = cut {
        ui.scroll_to_rect(cut.rect, None);
    }
}

/// How much of the window is left below what a page has drawn so far, as long as the page is not scrolled: what is as
/// high as that does not grow, and push away what is below it, while somebody scrolls there. `ui` is that of the page.
pub(super) fn room(ui: &Ui) -> f32 {
    let drawn = ui.cursor().top() - ui.min_rect().top();
    ui.clip_rect().height() - drawn - 2.0 * f32::from(theme::PAGE_MARGIN)
}

/// A page's title with buttons at the right.
pub(super) fn page_header(ui: &mut Ui, title: &str, remark: &str, buttons: impl FnOnce(&mut Ui)) {
    wide_header(ui, theme::BUTTONS_BESIDE_FROM, (title, remark), buttons);
}

/// The same with more buttons, which have room beside the title from the width `from` on.
pub(super) fn wide_header(ui: &mut Ui, from: f32, (title, remark): (&str, &str), buttons: impl FnOnce(&mut Ui)) {
    ui.horizontal_top(|ui| {
        with_buttons_from(ui, from, buttons, |ui| {
            ui.spacing_mut().item_spacing.y = 2.0;
            ui.add(Label::new(RichText::new(title).text_style(theme::title_style()).color(palette(ui).strong)));
            ui.add(Label::new(RichText::new(remark).color(palette(ui).weak)).truncate());
        });
    });
    ui.add_space(theme::GAP - 6.0);
}

/// What stands in a part of a page.
pub(super) type Part<'a, T> = &'a mut dyn FnMut(&mut Ui, &mut T);

/// Parts of a page beside each other, as many as have room; the others stand below the last of these.
pub(super) fn columns<T: ?Sized>(ui: &mut Ui, form: &mut T, parts: &mut [Part<'_, T>]) {
    let room = ui.available_width();
    let count = match room {
        _ if room < theme::TWO_COLUMNS_FROM => 1,
        _ if room < theme::THREE_COLUMNS_FROM => 2,
        _ => 3,
    };
    let count = count.min(parts.len()).max(1);
    let width = (room - theme::GAP * (count - 1) as f32) / count as f32;
    let origin = ui.cursor().min;
    let mut taken: Option<Rect> = None;
    for at in 0..count {
        let x = at as f32 * (width + theme::GAP);
        let rect = Rect::from_min_size(origin + vec2(x, 0.0), vec2(width, f32::INFINITY));
        let mut column = ui.new_child(UiBuilder::new().max_rect(rect).layout(Layout::top_down(Align::Min)));
        column.set_width(width);
        let last = if at + 1 == count { parts.len() } else { at + 1 };
        for (nth, part) in parts[at..last].iter_mut().enumerate() {
            if nth > 0 {
                column.add_space(theme::GAP - 6.0);
            }
            part(&mut column, form);
        }
        let used = column.min_rect();
        taken = Some(taken.map_or(used, |taken| taken.union(used)));
    }
    if let Some(taken) = taken {
        ui.advance_cursor_after_rect(taken);
    }
}
