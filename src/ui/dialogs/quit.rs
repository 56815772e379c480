//! The questions at the end: whether to leave although jobs run, and who goes on with the logs and schedules of this
//! window.

use eframe::egui::{Context, Label, RichText, Ui};
use lucide_icons::Icon;

use super::frame;
use crate::{
    engine::{
        Status,
        history::JobKind,
        status::{DataFileStatus, JobStatus},
    },
    settings::sections::Frequency,
    ui::{
        action::Action,
        jobs,
        leave::{self, Leaving},
        theme::{self, palette},
        widgets::{button, primary_button},
    },
};

pub(crate) fn quit_ui(ctx: &Context, status: &Status, leaving: Option<&Leaving>, actions: &mut Vec<Action>) {
    if let Some(leaving) = leaving {
        handing_ui(ctx, status, leaving, actions);
    } else if leave::ours(status).next().is_some() {
        who_goes_on_ui(ctx, status, actions);
    } else {
        jobs_ui(ctx, status, actions);
        // It has ended meanwhile, and its result is worth seeing.
        if !status.jobs.iter().any(ends_with_us) {
            actions.push(Action::CloseDialog);
        }
    }
}

/// Only jobs end with the window.
fn jobs_ui(ctx: &Context, status: &Status, actions: &mut Vec<Action>) {
    frame(
        ctx,
        "Quit while a job runs?",
        480.0,
        actions,
        |ui, _| running_ui(ui, status),
        |ui, keys, actions| {
            if primary_button(ui, None, "Go on working", true).clicked() || keys.enter || keys.escape {
                actions.push(Action::CloseDialog);
            }
            if button(ui, None, "Stop and quit").clicked() {
                actions.push(Action::QuitAnyway);
            }
        },
    );
}

fn running_ui(ui: &mut Ui, status: &Status) {
    let mut running = status.jobs.iter().filter(|job| ends_with_us(job)).peekable();
    if running.peek().is_none() {
        return;
    }
    for job in running {
        ui.add(Label::new(theme::strong(jobs::title(job), ui)).wrap());
    }
    let text = "Leaving stops it. No archive that exists is harmed, and nothing unfinished stays under a final name.";
    ui.add(Label::new(RichText::new(text).color(palette(ui).text)).wrap());
    ui.add_space(8.0);
}

/// Logs and schedules end with the window, unless somebody goes on with them.
fn who_goes_on_ui(ctx: &Context, status: &Status, actions: &mut Vec<Action>) {
    let runs = status.jobs.iter().any(ends_with_us);
    frame(
        ctx,
        "Who goes on when this window closes?",
        560.0,
        actions,
        |ui, actions| {
            running_ui(ui, status);
            for data_file in leave::ours(status) {
                ui.add(Label::new(theme::strong(jobs::name(&data_file.facts.path), ui)).wrap());
                ui.add(Label::new(RichText::new(what_rests(data_file)).color(palette(ui).warn.0)).wrap());
            }
            ui.add_space(8.0);
            let text = "From the start of the machine on, also when nobody is logged in. The next step shows what \
                        is written for it, and where.";
            choice_ui(ui, text, |ui| {
                if button(ui, Some(Icon::Server), "Install the service…").clicked() {
                    actions.push(Action::AskServiceToQuit);
                }
            });
            let when = if runs { "The window closes when the job has ended. " } else { "" };
            let text = format!(
                "{when}A process without a window goes on at once, until the machine restarts; on many systems it \
                 ends when you log out. The next window shows what it does, and can take everything over."
            );
            choice_ui(ui, &text, |ui| {
                if primary_button(ui, Some(Icon::Moon), "Keep running in the background", true).clicked() {
                    actions.push(Action::KeepRunning);
                }
            });
            let text = "Nothing is recorded and no backup is made until Strongroom is started again; it then opens \
                        these data files by itself, and says for how long nobody watched.";
            choice_ui(ui, text, |ui| {
                let label = if runs { "Stop and quit" } else { "Quit" };
                if button(ui, Some(Icon::LogOut), label).clicked() {
                    actions.push(Action::QuitAnyway);
                }
            });
        },
        |ui, keys, actions| {
            if button(ui, None, "Go on working").clicked() || keys.escape {
                actions.push(Action::CloseDialog);
            }
        },
    );
}

fn choice_ui(ui: &mut Ui, text: &str, button: impl FnOnce(&mut Ui)) {
    button(ui);
    ui.add(Label::new(RichText::new(text).color(palette(ui).weak)).wrap());
    ui.add_space(8.0);
}

fn what_rests(data_file: &DataFileStatus) -> &'static str {
    match (data_file.log_file.is_some(), data_file.settings.scheduler.frequency != Frequency::Never) {
        (true, true) => "Without anybody, no commit is recorded and no backup is made by itself.",
        (true, false) => "Without anybody, no commit is recorded.",
        _ => "Without anybody, no backup is made by itself.",
    }
}

/// The data files go over, one by one.
fn handing_ui(ctx: &Context, status: &Status, leaving: &Leaving, actions: &mut Vec<Action>) {
    frame(
        ctx,
        "Handing over",
        480.0,
        actions,
        |ui, _| {
            let mut running = status.jobs.iter().filter(|job| ends_with_us(job)).peekable();
            let text = match running.peek() {
                Some(_) => "The window closes when this has ended and somebody else goes on:",
                None => "The window closes as soon as somebody else goes on with:",
            };
            ui.add(Label::new(RichText::new(text).color(palette(ui).text)).wrap());
            for job in running {
                ui.add(Label::new(theme::strong(jobs::title(job), ui)).wrap());
            }
            for path in &leaving.data_files {
                ui.add(Label::new(theme::strong(jobs::name(path), ui)).wrap());
            }
        },
        |ui, keys, actions| {
            if button(ui, None, "Keep the window open").clicked() || keys.escape {
                actions.push(Action::StayHere);
            }
        },
    );
}

/// Whether a job ends when this window closes; one of a service goes on.
pub(crate) fn ends_with_us(job: &JobStatus) -> bool {
    // A test that nobody asked for is made again.
    let by_itself = job.automatic && job.kind == JobKind::TestRestore;
    job.host.process == std::process::id() && !by_itself
}
