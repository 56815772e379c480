//! The dialog *Restore in place…*: what the live data file would become, what leaves it, and how that can be undone.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use eframe::egui::{Context, Ui};
use lucide_icons::Icon;

use super::{
    ended::{ended_ui, lost_ui},
    frame,
    segments::segments_ui,
    until::{how_far, until_ui},
};
use crate::{
    activity::{
        filter::Filter,
        query::{Ask, Page, Question, Rows},
    },
    archive::catalog::parse_name,
    engine::{Answer, Host, Query, Status, query::ArchiveLook, status::DataFileStatus},
    error::ErrorKind,
    journal::integrate::{Point, Until},
    restore::{Logs, RestorePlan},
    ui::{
        action::Action,
        activity::words,
        answers::View,
        screens::maintenance::advice,
        state::RestoreForm,
        widgets::{Tone, button, count, dangerous_button, error_strip, fact, fact_with, moment, operations, path_with},
    },
};

/// What was not counted to the end is asked for again after so many seconds.
const AGAIN: f64 = 0.4;
/// So many kinds of changes are told of what leaves the data file.
const TOLD_MAX: usize = 8;

pub(crate) fn in_place_ui(
    ctx: &Context,
    status: &View<'_>,
    (form, ended): (&mut RestoreForm, Option<Host>),
    data_file: &Path,
    actions: &mut Vec<Action>,
) {
    let look = form.look(status.answers);
    let plan = look.as_ref().and_then(|look| look.result.as_ref().ok());
    frame(
        ctx,
        "Restore in place",
        700.0,
        &mut (form, actions),
        |ui, (form, actions)| {
            let live = status.data_file(data_file);
            match live.filter(|live| live.lost_since.is_some() && !live.is_gone()) {
                Some(live) => lost_ui(ui, live, actions),
                None => ended_ui(ui, ended),
            }
            fact(ui, "Data file", data_file.display().to_string());
            if let Some(live) = live {
                fact(ui, "Open in", live.holders.in_words());
            }
            fact_with(ui, "Archive", |ui| {
                path_with(ui, &form.archive, |ui| {
                    if button(ui, None, "Another archive…").clicked() {
                        let folder = form.archive.parent().map(Path::to_path_buf).unwrap_or_default();
                        actions.push(Action::ChooseArchiveOfLost { data_file: data_file.to_path_buf(), folder });
                    }
                });
            });
            damage(ui, (status, data_file), &form.archive);
            match &look {
                None => fact(ui, "State", "Reading the archive …"),
                Some(ArchiveLook { missing: Some(missing), result: Err(_), .. }) => {
                    segments_ui(ui, (&form.archive, missing), &form.segments, actions);
                }
                Some(look) => match &look.result {
                    Ok(plan) => {
                        fact(ui, "State of", moment(&plan.identity.moment));
                        let point = until_ui(ui, status, plan, form, actions);
                        ui.add_space(6.0);
                        consequences(ui, (status, data_file), live, plan, point.as_ref());
                        leaving_ui(ui, (status, data_file), form, point.as_ref(), actions);
                    }
                    Err(error) => {
                        ui.add_space(4.0);
                        error_strip(ui, error, |_| ());
                    }
                },
            }
        },
        |ui, keys, (form, actions)| {
            let far = plan.map_or(Ok((Logs::None, Until::End)), |plan| how_far(plan, form));
            // Without its log, which only whoever looks after it writes, what it holds now would be lost to the log.
            let is_lost = status.data_file(data_file).is_some_and(|live| live.lost_since.is_some() && !live.is_gone());
            let possible = plan.is_some() && far.is_ok() && !is_lost;
            // Enter does not press it: what programs use is replaced only by a deliberate act.
            if dangerous_button(ui, Icon::ArchiveRestore, "Restore in place", possible).clicked()
                && let Ok((logs, until)) = far
            {
                actions.push(Action::RestoreInPlace {
                    data_file: data_file.to_path_buf(),
                    archive: form.archive.clone(),
                    logs,
                    until,
                    segments: form.segments.clone(),
                });
            }
            if button(ui, None, "Cancel").clicked() || keys.escape {
                actions.push(Action::CloseDialog);
            }
        },
    );
}

/// How many operations of which tables leave the data file, as the page counts them from which it was asked for.
fn leaving_ui(
    ui: &mut Ui,
    (status, data_file): (&View<'_>, &Path),
    form: &mut RestoreForm,
    point: Option<&Point>,
    actions: &mut Vec<Action>,
) {
    let (Some(source), Some(point)) = (form.counts.clone(), point) else { return };
    let ask = Ask::Totals { first: point.commit.saturating_add(1) };
    let query =
        Query::Activity { of: data_file.to_path_buf(), question: Question { source, filter: Filter::default(), ask } };
    let answer = match status.answers.to(&query) {
        Some(Ok(Answer::Activity(page))) => Some(&**page),
        _ => None,
    };
    // While the log is read, what was counted so far is not all.
    let now = ui.input(|i| i.time);
    let is_on_its_way = answer.is_none_or(|page| page.state.is_reading && !page.state.is_stopped);
    let is_due = form.counted.is_none_or(|(of, at)| of != point.commit || is_on_its_way && now > at + AGAIN);
    if is_due {
        form.counted = Some((point.commit, now));
        actions.push(Action::Ask(query));
    }
    if is_on_its_way {
        ui.ctx().request_repaint_after(Duration::from_secs_f64(AGAIN));
    }
    ui.add_space(4.0);
    // The line is there from the beginning: what comes must not move what is about to be pressed.
    fact(ui, "What leaves", leaves_in_words(answer.filter(|_| !is_on_its_way)));
}

fn leaves_in_words(page: Option<&Page>) -> String {
    let Some(page) = page else { return "Counting …".to_owned() };
    let Rows::Totals { parts, .. } = &page.rows else { return String::new() };
    let mut words: Vec<String> = parts.iter().take(TOLD_MAX).map(words::part).collect();
    if parts.len() > TOLD_MAX {
        let more = parts.iter().skip(TOLD_MAX).map(|part| part.count).sum();
        words.push(format!("{} of other tables", operations(more)));
    }
    if page.state.problem.is_some() || page.state.is_stopped {
        words.push("and what the part of the log holds that was not read".to_owned());
    }
    if words.is_empty() { "No operation".to_owned() } else { words.join(", ") }
}

/// What is known of damage: of the archive itself, and of newer ones, which one would take otherwise.
fn damage(ui: &mut Ui, (status, data_file): (&Status, &Path), archive: &Path) {
    let of_refused = status.refused.iter().filter(|refused| refused.path == data_file);
    let known: Vec<&Path> = match status.data_file(data_file) {
        Some(live) => live.lost_archives().map(|lost| lost.path.as_path()).collect(),
        None => of_refused.flat_map(|refused| refused.damaged.iter().map(PathBuf::as_path)).collect(),
    };
    if known.contains(&archive) {
        let text = "This archive was found damaged beyond repair. Choose another one.";
        return advice(ui, Tone::Bad, text);
    }
    let number = |path: &Path| parse_name(&path.file_name()?.to_string_lossy()).map(|(_, number)| number);
    let newer = known.into_iter().filter_map(number).filter(|lost| number(archive).is_some_and(|own| *lost > own));
    let newer: Vec<String> = newer.map(|number| number.to_string()).collect();
    if !newer.is_empty() {
        let text = format!(
            "Found damaged beyond repair, and newer than this archive: {}. This one is restored, with what the logs \
             hold after it.",
            newer.join(", ")
        );
        advice(ui, Tone::Warn, &text);
    }
}

/// Whether there is no file of that name any more.
fn is_gone((status, data_file): (&Status, &Path)) -> bool {
    let of_open = status.data_file(data_file).and_then(|known| known.problem.as_ref());
    let of_refused = status.refused.iter().find(|refused| refused.path == data_file).map(|refused| &refused.error);
    of_open.or(of_refused).is_some_and(|error| error.kind == ErrorKind::NotFound)
}

fn consequences(
    ui: &mut Ui,
    of: (&Status, &Path),
    live: Option<&DataFileStatus>,
    plan: &RestorePlan,
    point: Option<&Point>,
) {
    if is_gone(of) {
        let text = "The data file is gone. The restored one takes its place, and is looked after from then on.";
        return advice(ui, Tone::Warn, text);
    }
    let Some(live) = live.filter(|d| d.problem.is_none()) else {
        let text = "SQLite cannot open the data file as it is. It is kept under another name, with all that belongs \
            to it, and the restored one takes its place.";
        advice(ui, Tone::Warn, text);
        return;
    };
    let leaves = match (&plan.log, point) {
        (None, _) => "What was written after this archive leaves the data file.".to_owned(),
        (Some(_), None) => return,
        (Some(_), Some(point)) if point.left_out == 0 => "No commit that is known now leaves the data file.".to_owned(),
        (Some(_), Some(point)) if point.left_out == 1 => "1 commit after that point leaves the data file.".to_owned(),
        (Some(_), Some(point)) => {
            format!("{} commits after that point leave the data file.", count(point.left_out))
        }
    };
    let kept = match &live.log {
        Some(log) if log.rooted => "What leaves it stays in the log, and so does this restore: it can be undone.",
        _ => "What is in the data file now is kept by a full backup, which is made first: the restore can be undone.",
    };
    let text = format!(
        "{leaves} {kept} What programs commit until it begins leaves as well. Programs go on; for them it is one \
         more commit with other content."
    );
    advice(ui, Tone::Warn, &text);
}
