//! Segments that are elsewhere: which ones, where they were looked for, and the way to name their folder.

use std::path::{Path, PathBuf};

use eframe::egui::{Context, Label, RichText, Ui};
use lucide_icons::Icon;

use super::{ended::ended_ui, frame};
use crate::{
    archive::segments::Missing,
    engine::{Host, Query},
    restore::Logs,
    ui::{
        action::Action,
        answers::View,
        screens::maintenance::advice,
        state::{SegmentsForm, Then},
        theme::palette,
        widgets::{Tone, button, error_strip, fact, fact_with, primary_button, sentence},
    },
};

/// What is missing of an archive, and the button that chooses its folder; any number of folders, one after the other.
pub(super) fn segments_ui(
    ui: &mut Ui,
    (archive, missing): (&Path, &Missing),
    segments: &[PathBuf],
    actions: &mut Vec<Action>,
) {
    fact_with(ui, "Segments", |ui| {
        let verb = missing.is_or_are();
        let them = if missing.numbers.len() == 1 { "it" } else { "them" };
        let text = format!(
            "{} {verb} not in the folder of the archive. Connect the disk with {them}, and choose the folder there.",
            sentence(&missing.in_words())
        );
        advice(ui, Tone::Warn, &text);
        for folder in segments {
            let text = format!("Looked for in {}", folder.display());
            ui.add(Label::new(RichText::new(text).color(palette(ui).weak)).wrap());
        }
        let number = missing.numbers.first().copied().unwrap_or_default();
        let label = format!("Choose the folder of segment {number:04}…");
        ui.add_space(2.0);
        if primary_button(ui, Some(Icon::FolderSearch), &label, true).clicked() {
            actions.push(Action::ChooseSegments(archive.to_path_buf()));
        }
    });
}

/// The dialog that asks for missing segments before something else is done; it goes on by itself when all are there.
pub(crate) fn segments_dialog_ui(
    ctx: &Context,
    status: &View<'_>,
    (form, ended): (&mut SegmentsForm, Option<Host>),
    actions: &mut Vec<Action>,
) {
    let (path, segments) = (form.archive.clone(), form.segments.clone());
    let look = status.answers.look(&Query::Archive { path, segments, logs: Logs::Found });
    let start = |form: &SegmentsForm| Action::Begin {
        archive: form.archive.clone(),
        segments: form.segments.clone(),
        then: form.then,
    };
    if look.as_ref().is_some_and(|look| look.missing.is_none()) {
        actions.push(start(form));
        return;
    }
    let label = match form.then {
        Then::Verify => "Verify without it",
        Then::Repair => "Repair without it…",
        Then::TestRestore => "Restore without it",
    };
    let makes_up = look.as_ref().is_some_and(|look| look.result.is_ok());
    frame(
        ctx,
        "Segments of an archive",
        620.0,
        &mut (form, actions),
        |ui, (form, actions)| {
            ended_ui(ui, ended);
            fact(ui, "Archive", form.archive.display().to_string());
            let Some(look) = &look else { return fact(ui, "Segments", "Reading the archive …") };
            if let Some(missing) = &look.missing {
                segments_ui(ui, (&form.archive, missing), &form.segments, actions);
            }
            match &look.result {
                Ok(_) => fact(ui, "Without it", "Recovery data makes up for what is missing, as far as is known."),
                // What is missing was said already.
                Err(error) if error.kind == crate::error::ErrorKind::NotFound => {}
                Err(error) => error_strip(ui, error, |_| ()),
            }
        },
        |ui, keys, (form, actions)| {
            if makes_up && button(ui, None, label).clicked() {
                actions.push(start(form));
            }
            if button(ui, None, "Cancel").clicked() || keys.escape {
                actions.push(Action::CloseDialog);
            }
        },
    );
}
