//! Which logs are read, and what is looked for: tables, moments and commits are chosen from those there are.

use chrono::Local;
use eframe::egui::{TextWrapMode, Ui, vec2};
use lucide_icons::Icon;

use crate::{
    activity::query::{State as Known, Time},
    engine::status::DataFileStatus,
    error::foreign::{foreign, shown},
    records::operation,
    ui::{
        activity::{ActivityForm, Chosen, FilterForm, words},
        timeline::scale::stretch_in_words,
        widgets::{button, check_box, choice, commits, count, text_field},
    },
};

const SOURCE_WIDTH: f32 = 250.0;
const CHOICE_WIDTH: f32 = 150.0;
const TIME_WIDTH: f32 = 240.0;
const KEY_WIDTH: f32 = 110.0;
const TEXT_WIDTH: f32 = 170.0;
const BOX_WIDTH: f32 = 150.0;

pub(super) fn filter_ui(ui: &mut Ui, form: &mut ActivityForm, data_file: &DataFileStatus) {
    ui.horizontal_wrapped(|ui| {
        source_ui(ui, form, data_file);
        let state = form.feed.state.clone().unwrap_or_default();
        let before = form.filter.clone();
        table_ui(ui, &mut form.filter, &state);
        action_ui(ui, &mut form.filter);
        time_ui(ui, &mut form.filter, &state);
        text_field(ui, "Key", &mut form.filter.key, "Key", KEY_WIDTH);
        text_field(ui, "Text in values", &mut form.filter.text, "Text in values", TEXT_WIDTH);
        ui.allocate_ui(vec2(BOX_WIDTH, ui.spacing().interact_size.y), |ui| {
            ui.style_mut().wrap_mode = Some(TextWrapMode::Extend);
            check_box(ui, &mut form.filter.internal, "SQLite's own tables");
        });
        picked_ui(ui, &mut form.filter);
        if form.is_filtered() && button(ui, Some(Icon::X), "Clear filter").clicked() {
            form.filter = FilterForm::default();
        }
        if before != form.filter {
            form.note = None;
        }
    });
}

/// A list that opens, as wide as it is meant to be.
fn list<T: Copy + PartialEq>(ui: &mut Ui, (name, width): (&str, f32), chosen: &mut T, choices: &[(T, &str)]) -> bool {
    // A list does not go to the next line by itself.
    let size = vec2(width, ui.spacing().interact_size.y);
    ui.allocate_ui(size, |ui| choice(ui, name, width, chosen, choices)).inner
}

/// The logs: since the last full backup, since an older one, or another log.
fn source_ui(ui: &mut Ui, form: &mut ActivityForm, data_file: &DataFileStatus) {
    let mut known = vec![(Chosen::Running, "Since the last full backup".to_owned())];
    for archive in data_file.archives.iter().filter(|archive| archive.log_position.is_some() && !archive.is_of_other) {
        let moment = archive.moment.map(|moment| moment.with_timezone(&Local).format(", %Y-%m-%d %H:%M").to_string());
        let label = format!("Since backup {}{}", archive.number, moment.unwrap_or_default());
        known.push((Chosen::Since(archive.path.clone()), label));
    }
    if known.iter().all(|(chosen, _)| *chosen != form.chosen) {
        let label = match &form.chosen {
            Chosen::Log(path) | Chosen::Since(path) => {
                path.file_name().map(|name| shown(name).to_string()).unwrap_or_default()
            }
            Chosen::Running => String::new(),
        };
        known.push((form.chosen.clone(), label));
    }
    let mut at = known.iter().position(|(chosen, _)| *chosen == form.chosen).unwrap_or_default();
    let choices: Vec<(usize, &str)> = known.iter().enumerate().map(|(at, (_, label))| (at, label.as_str())).collect();
    if list(ui, ("Logs", SOURCE_WIDTH), &mut at, &choices)
        && let Some((chosen, _)) = known.get(at)
    {
        form.choose(chosen.clone());
    }
}

fn table_ui(ui: &mut Ui, filter: &mut FilterForm, state: &Known) {
    let mut names: Vec<&str> = state
        .tables
        .iter()
        .filter(|(_, internal)| filter.internal || !internal)
        .map(|(name, _)| name.as_str())
        .collect();
    if let Some(chosen) = filter.table.as_deref().filter(|chosen| !names.contains(chosen)) {
        names.push(chosen);
    }
    let labels: Vec<String> = names.iter().map(|name| foreign(name).to_string()).collect();
    let mut choices: Vec<(Option<usize>, &str)> = vec![(None, "All tables")];
    choices.extend(labels.iter().enumerate().map(|(at, label)| (Some(at), label.as_str())));
    let mut at = filter.table.as_ref().and_then(|chosen| names.iter().position(|name| name == chosen));
    if list(ui, ("Table", CHOICE_WIDTH), &mut at, &choices) {
        filter.table = at.and_then(|at| names.get(at)).map(|name| (*name).to_owned());
    }
}

fn action_ui(ui: &mut Ui, filter: &mut FilterForm) {
    let mut choices: Vec<(Option<operation::Action>, &str)> = vec![(None, "All actions")];
    choices.extend(operation::Action::ALL.map(|action| (Some(action), words::action(action))));
    list(ui, ("Action", CHOICE_WIDTH), &mut filter.action, &choices);
}

/// A stretch of time in words: `2026-11-22 14:00 to 15:00`.
fn stretch(time: &Time) -> String {
    let (since, before) = (time.since.with_timezone(&Local), time.before.with_timezone(&Local));
    let length = before - since;
    let words = if length.num_hours() < 20 {
        format!("{} to {}", since.format("%Y-%m-%d %H:%M"), before.format("%H:%M"))
    } else if length.num_days() < 20 {
        since.format("%Y-%m-%d").to_string()
    } else {
        since.format("%Y-%m").to_string()
    };
    format!("{words}, {}", commits(time.commits))
}

fn time_ui(ui: &mut Ui, filter: &mut FilterForm, state: &Known) {
    let mut times: Vec<(_, String)> =
        state.times.iter().rev().map(|time| ((time.since, time.before), stretch(time))).collect();
    if let Some(chosen) = filter.time.filter(|chosen| times.iter().all(|(time, _)| time != chosen)) {
        times.push((chosen, stretch_in_words(chosen.0, chosen.1, &Local)));
    }
    let mut choices = vec![(None, "Any time")];
    choices.extend(times.iter().map(|(time, label)| (Some(*time), label.as_str())));
    list(ui, ("Time", TIME_WIDTH), &mut filter.time, &choices);
}

/// The commits that were chosen as limits in the list.
fn picked_ui(ui: &mut Ui, filter: &mut FilterForm) {
    if let Some(first) = filter.first
        && button(ui, Some(Icon::X), &format!("From commit {} on", count(first))).clicked()
    {
        filter.first = None;
    }
    if let Some(last) = filter.last
        && button(ui, Some(Icon::X), &format!("Up to commit {}", count(last))).clicked()
    {
        filter.last = None;
    }
}
