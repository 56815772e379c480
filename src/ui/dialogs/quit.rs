//! The question whether to leave although jobs run.

use eframe::egui::{Context, Label, RichText};

use super::frame;
use crate::{
    engine::{Status, history::JobKind, status::JobStatus},
    ui::{
        action::Action,
        theme::palette,
        widgets::{button, primary_button},
    },
};

pub(crate) fn quit_ui(ctx: &Context, status: &Status, actions: &mut Vec<Action>) {
    frame(
        ctx,
        "Quit while a job runs?",
        480.0,
        actions,
        |ui, _| {
            for job in status.jobs.iter().filter(|job| ends_with_us(job)) {
                ui.label(crate::ui::theme::strong(crate::ui::jobs::title(job), ui));
            }
            let text =
                "Leaving stops it. No archive that exists is harmed, and nothing unfinished stays under a final name.";
            ui.add(Label::new(RichText::new(text).color(palette(ui).text)).wrap());
        },
        |ui, keys, actions| {
            if primary_button(ui, None, "Go on working", true).clicked() || keys.enter || keys.escape {
                actions.push(Action::CloseDialog);
            }
            if button(ui, None, "Stop and quit").clicked() {
                actions.push(Action::QuitAnyway);
            }
        },
    );
    // It has ended meanwhile, and its result is worth seeing.
    if !status.jobs.iter().any(ends_with_us) {
        actions.push(Action::CloseDialog);
    }
}

/// Whether a job ends when this window closes; one of a service goes on.
pub(crate) fn ends_with_us(job: &JobStatus) -> bool {
    // A test that nobody asked for is made again.
    let by_itself = job.automatic && job.kind == JobKind::TestRestore;
    job.host.process == std::process::id() && !by_itself
}
