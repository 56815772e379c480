//! A list of more rows than can be shown at once, part by part.

use eframe::egui::Ui;
use lucide_icons::Icon;

use super::widgets::{button, count};

/// More rows are not in the table at once: places further down are not exact any more.
pub(crate) const LISTED_MAX: u64 = 200_000;

/// Which rows of `total` are listed, from `first` on, and the ways to those before and after them; `all` is how many
/// there are, in words. Returns the row from which on they are to be listed, where another part is wanted.
pub(crate) fn parts_ui(ui: &mut Ui, first: u64, total: u64, all: &str) -> Option<u64> {
    let mut to = None;
    ui.horizontal_wrapped(|ui| {
        let end = (first + LISTED_MAX).min(total);
        ui.label(format!("{} to {} of {all}", count(first + 1), count(end)));
        if first > 0 && button(ui, Some(Icon::ArrowUp), "Those before").clicked() {
            to = Some(first.saturating_sub(LISTED_MAX));
        }
        if end < total && button(ui, Some(Icon::ArrowDown), "Those after").clicked() {
            to = Some(end);
        }
    });
    to
}
