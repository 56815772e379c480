//! The dialog *Compact data…*: the space that it needs and gives back, before it does anything.

use eframe::egui::{Context, Label, RichText};

use super::{ended::lost_ui, frame};
use crate::{
    engine::Status,
    sqlite::compact,
    storage::space::human_bytes,
    ui::{
        action::Action,
        screens::maintenance::advice,
        state::CompactForm,
        theme::palette,
        widgets::{Tone, button, fact, primary_button},
    },
};

pub(crate) fn compact_ui(ctx: &Context, status: &Status, form: &mut CompactForm, actions: &mut Vec<Action>) {
    let Some(data_file) = status.data_file(&form.data_file) else { return };
    let need = compact::need(&data_file.facts);
    let available = data_file.maintenance.available_bytes;
    let enough = available.is_none_or(|available| available >= need.needs_bytes);
    let in_use = !data_file.holders.processes.is_empty();
    frame(
        ctx,
        "Compact data",
        560.0,
        actions,
        |ui, actions| {
            lost_ui(ui, data_file, actions);
            fact(ui, "Data file", form.data_file.display().to_string());
            fact(ui, "Size", human_bytes(data_file.facts.size_bytes));
            fact(ui, "Becomes free", format!("{} at least", human_bytes(need.frees_bytes)));
            fact(ui, "Space required", format!("{} beside the data file", human_bytes(need.needs_bytes)));
            fact(ui, "Space available", available.map_or_else(|| "not known".to_owned(), human_bytes));
            fact(ui, "Open in", data_file.holders.in_words());
            ui.add_space(4.0);
            let text = "A compact copy is made and checked, then written to the data file as one transaction. If \
                anything goes wrong, the data file stays as it is.";
            ui.add(Label::new(RichText::new(text).color(palette(ui).weak)).wrap());
            if !enough {
                advice(ui, Tone::Bad, "There is not enough space for the copy. Free space on this disk first.");
            }
            if in_use {
                let text = "It is refused while other programs have the data file open. End them first.";
                advice(ui, Tone::Warn, text);
            }
        },
        |ui, keys, actions| {
            // Who has it open is looked at again by the job itself: it may have changed a moment ago.
            let possible = enough && data_file.problem.is_none() && data_file.lost_since.is_none();
            if primary_button(ui, None, "Compact", possible).clicked() || (keys.enter && possible) {
                actions.push(Action::Compact(form.data_file.clone()));
            }
            if button(ui, None, "Cancel").clicked() || keys.escape {
                actions.push(Action::CloseDialog);
            }
        },
    );
}
