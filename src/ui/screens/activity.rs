//! The page Activity: what each commit changed, as records.
//!
//! ```text
//! filter    which logs, and what is looked for
//! acts      what can be done with what is selected
//! timeline  when they were made
//! list      commits, and below one that is opened its operations
//! detail    one operation with all its columns
//! ```

mod acts;
mod detail;
mod filter;
mod list;
mod timeline;

use eframe::egui::{RichText, Ui};
use lucide_icons::Icon;

use crate::{
    activity::query::{Ask, State as Known},
    engine::{Status, status::DataFileStatus},
    error::foreign::shown,
    storage::space::human_bytes,
    ui::{
        action::Action,
        activity::{ActivityForm, Chosen},
        jobs,
        page::wide_header,
        state::State,
        still,
        table::nothing,
        theme::{self, palette},
        widgets::{Tone, bar, button, commits, count, error_strip, strip, why},
    },
};

/// From this width on the page's four buttons have room beside its title.
const BUTTONS_BESIDE_FROM: f32 = 760.0;
/// In a window that is lower than this, the list has the room of the timeline; stretches are chosen from the list
/// *Time*.
const TIMELINE_FROM: f32 = 560.0;

pub(crate) fn activity_ui(ui: &mut Ui, status: &Status, state: &mut State, actions: &mut Vec<Action>) {
    let Some(data_file) = state.data_file(status) else { return };
    let can_export = state.activity.feed.total() > 0;
    wide_header(ui, BUTTONS_BESIDE_FROM, ("Activity", "What each commit changed, as records."), |ui| {
        if button(ui, Some(Icon::FolderSearch), "Browse…").on_hover_text("Analyze another log file").clicked() {
            actions.push(Action::ChooseLogToAnalyze);
        }
        let export = ui.add_enabled_ui(can_export, |ui| button(ui, Some(Icon::FileText), "Export…")).inner;
        if why(export, "There is nothing to export yet").clicked() {
            actions.push(Action::AskExport);
        }
        acts::take_back_ui(ui, state, data_file, actions);
        acts::look_ui(ui, &state.activity, data_file, actions);
    });
    still::begin(ui);
    jobs::news_ui(ui, status, state, actions);
    still::end(ui);
    let form = &mut state.activity;
    filter::filter_ui(ui, form, data_file);
    ui.add_space(4.0);
    let is_typing = form.settle();
    let about = form.about(&data_file.facts.path);
    form.time.be_about(&about);
    form.feed.be_about(about);
    poll(ui, form, is_typing, actions);
    still::begin(ui);
    export_ui(ui, form, actions);
    said_ui(ui, form, data_file);
    still::end(ui);
    // Above what comes and goes with what is listed: a second click is on the same bar as the first.
    if ui.ctx().content_rect().height() >= TIMELINE_FROM {
        timeline::timeline_ui(ui, form, data_file, actions);
    }
    reading_ui(ui, form, actions);
    if form.feed.total() == 0 {
        form.detail = None;
        let text = empty(form);
        nothing(ui, text);
        return;
    }
    list::list_ui(ui, form, actions);
    detail::detail_ui(ui, form, data_file, actions);
}

/// Asks for what is not there, and draws again when it is time to ask for more.
fn poll(ui: &Ui, form: &mut ActivityForm, is_typing: bool, actions: &mut Vec<Action>) {
    let held = form.is_held().then_some(form.first + form.visible.0 as u64);
    let (ask, every) = form.feed.poll(held);
    if let Some(ask) = ask.filter(|_| !is_typing) {
        actions.push(Action::AskActivity(ask));
    }
    ui.ctx().request_repaint_after(every);
}

fn empty(form: &ActivityForm) -> &'static str {
    match &form.feed.state {
        _ if form.feed.problem.is_some() => "Nothing can be told.",
        None => "Reading the log…",
        Some(_) if !form.feed.is_known() => "Searching…",
        Some(state) if state.is_reading && state.commits == 0 => "Reading the log…",
        Some(state) if state.commits == 0 && state.problem.is_some() => "No commit can be told.",
        Some(state) if state.commits == 0 => "No commit yet.",
        Some(state) if state.looked_at < state.operations => "Nothing found yet.",
        Some(_) => "No operation matches the filter.",
    }
}

/// What cannot be told, and what else is to be known of the list.
fn said_ui(ui: &mut Ui, form: &ActivityForm, data_file: &DataFileStatus) {
    if let Some(error) = &form.feed.problem {
        error_strip(ui, error, |_| ());
        ui.add_space(theme::GAP - 6.0);
    }
    let Some(state) = &form.feed.state else { return };
    if let Some(problem) = &state.problem {
        let what = match &state.ends {
            Some([_, (newest, _)]) => format!("nothing is told after commit {newest}: {}", problem.message),
            None => problem.message.clone(),
        };
        strip(ui, Tone::Bad, &what, problem.hint.as_deref(), |_| ());
        ui.add_space(theme::GAP - 6.0);
    }
    let is_written = data_file.log_file.as_ref().is_some_and(|log| state.torn.as_ref() == Some(log));
    if let Some(torn) = state.torn.as_ref().filter(|_| !is_written || data_file.log.is_none()) {
        let what = format!("{} ends in the middle of a commit", shown(torn));
        strip(ui, Tone::Warn, &what, Some("It is being written, or was cut off. That commit is not listed."), |_| ());
        ui.add_space(theme::GAP - 6.0);
    }
    if state.not_in_sight > 0 {
        let what =
            format!("{} operations have texts that were searched in their first 64 KB only", count(state.not_in_sight));
        strip(ui, Tone::Warn, &what, Some("They are not listed unless the text stands there."), |_| ());
        ui.add_space(theme::GAP - 6.0);
    }
}

/// How far the log was read, and what is in the list.
fn reading_ui(ui: &mut Ui, form: &mut ActivityForm, actions: &mut Vec<Action>) {
    let Some(state) = form.feed.state.clone() else { return };
    if state.is_reading {
        let (done, total) = state.bytes;
        ui.horizontal_wrapped(|ui| {
            let (icon, label, ask) = match state.is_stopped {
                false => (Icon::CircleStop, "Stop reading", Ask::Stop),
                true => (Icon::Play, "Go on reading", Ask::GoOn),
            };
            let words = if state.is_stopped { "Stopped after" } else { "Reading the log:" };
            let text = format!("{words} {} of {}", human_bytes(done.min(total)), human_bytes(total));
            ui.label(RichText::new(text).color(palette(ui).weak));
            if button(ui, Some(icon), label).clicked() {
                actions.push(Action::AskActivity(ask));
            }
        });
        let colour = palette(ui).accent;
        let part = (total > 0).then(|| done as f32 / total.max(1) as f32);
        bar(ui, "Reading the log", part, colour);
        ui.add_space(4.0);
    }
    if !form.feed.is_known() {
        return;
    }
    ui.horizontal_wrapped(|ui| {
        ui.label(RichText::new(summary(form, &state)).color(palette(ui).weak));
        if form.is_held() && state.newer_commits > 0 && form.newest_first {
            let label = match state.newer_commits {
                1 => "Show 1 newer commit".to_owned(),
                newer => format!("Show {} newer commits", count(newer)),
            };
            if button(ui, Some(Icon::ArrowUp), &label).clicked() {
                form.go_to_beginning();
            }
        }
        if form.is_filtered() && form.feed.total() > 0 && button(ui, None, "Select all found").clicked() {
            form.pick_all();
        }
        if !form.picked.is_empty() {
            let words = format!("{}.", form.picked.in_words(state.passing_operations));
            ui.label(RichText::new(words).color(palette(ui).strong));
        }
    });
    ui.add_space(4.0);
}

/// What is in the list, in a sentence.
fn summary(form: &ActivityForm, state: &Known) -> String {
    let total = form.feed.total();
    let operations = |number: u64| match number {
        1 => "1 operation".to_owned(),
        number => format!("{} operations", count(number)),
    };
    let mut words = match form.is_filtered() {
        true => format!(
            "{} with {} found, of {} with {}.",
            commits(total),
            operations(state.passing_operations),
            commits(state.commits),
            operations(state.operations)
        ),
        false => format!("{} with {}.", commits(total), operations(state.passing_operations)),
    };
    if state.looked_at < state.operations && form.is_filtered() {
        words += &format!(" Searched {} so far.", operations(state.looked_at));
    }
    if let Some(begins) = &state.begins {
        let archive = begins.file_name().map(|name| shown(name).to_string()).unwrap_or_default();
        words += &format!(" Told from {archive} on; what was before it is not in these logs.");
    }
    if let Chosen::Log(log) = &form.chosen {
        words = format!("{}: {words}", shown(log));
    }
    words
}

/// An export that goes on, or how it ended.
fn export_ui(ui: &mut Ui, form: &mut ActivityForm, actions: &mut Vec<Action>) {
    let Some(export) = &form.export else { return };
    let told = match export.told() {
        1 => "1 operation".to_owned(),
        number => format!("{} operations", count(number)),
    };
    let mut is_dismissed = false;
    match export.ended() {
        None => {
            let what = format!("exporting: {told} so far");
            strip(ui, Tone::Neutral, &what, Some(&shown(&export.file).to_string()), |ui| {
                if button(ui, Some(Icon::CircleStop), "Stop export").clicked() {
                    export.stop();
                }
            });
            ui.ctx().request_repaint_after(std::time::Duration::from_millis(250));
        }
        Some(ended) => {
            let file = shown(&export.file).to_string();
            let (tone, what, hint) = match &ended {
                Ok(None) => (Tone::Good, format!("exported {told}"), file),
                Ok(Some(problem)) => (Tone::Warn, format!("exported {told}, then: {}", problem.message), file),
                Err(error) => {
                    let hint = error.hint.clone().unwrap_or_default();
                    (Tone::Bad, format!("the export failed: {}", error.message), hint)
                }
            };
            strip(ui, tone, &what, Some(&hint).filter(|hint| !hint.is_empty()).map(|hint| hint.as_str()), |ui| {
                is_dismissed = button(ui, Some(Icon::X), "Dismiss").clicked();
                let folder = export.file.parent().filter(|_| ended.is_ok());
                if let Some(folder) = folder.filter(|_| button(ui, Some(Icon::Folder), "Show folder").clicked()) {
                    actions.push(Action::ShowFolder(folder.to_path_buf()));
                }
            });
        }
    }
    ui.add_space(theme::GAP - 6.0);
    if is_dismissed {
        form.export = None;
    }
}
