//! The dialog *About Strongroom*.

use eframe::egui::{Context, CornerRadius, Frame, Label, Margin, RichText};
use lucide_icons::Icon;

use super::frame;
use crate::{
    backup::PROGRAM,
    ui::{
        action::Action,
        theme::{self, palette},
        widgets::{fact, primary_button},
    },
};

pub(crate) fn about_ui(ctx: &Context, actions: &mut Vec<Action>) {
    frame(
        ctx,
        "About Strongroom",
        500.0,
        actions,
        |ui, _| {
            let p = palette(ui);
            ui.horizontal(|ui| {
                Frame::new()
                    .fill(p.accent)
                    .corner_radius(CornerRadius::same(10))
                    .inner_margin(Margin::same(9))
                    .show(ui, |ui| ui.label(theme::icon(Icon::Vault, 24.0).color(p.on_accent)));
                ui.add_space(4.0);
                ui.vertical(|ui| {
                    ui.label(theme::strong(PROGRAM, ui));
                    ui.label(RichText::new("Keeps SQLite data files safe").color(p.weak));
                });
            });
            ui.add_space(10.0);
            fact(ui, "SQLite", rusqlite::version());
            fact(ui, "Licence", "MIT or Apache-2.0, as you prefer");
            fact(ui, "Typeface", "Inter, SIL Open Font License 1.1");
            fact(ui, "Icons", "Lucide, ISC License");
            ui.add_space(4.0);
            let text = "An archive is a tar file in zstd: zstd -dc ARCHIVE | tar x restores it without this program.";
            ui.add(Label::new(RichText::new(text).color(p.weak)).wrap().selectable(true));
        },
        |ui, keys, actions| {
            if primary_button(ui, None, "Close", true).clicked() || keys.enter || keys.escape {
                actions.push(Action::CloseDialog);
            }
        },
    );
}
