//! The part that both restore dialogs have in common: which logs continue the archive, and how far to integrate them.

use std::path::Path;

use chrono::{DateTime, Local, Utc};
use eframe::egui::{Color32, Label, RichText, Ui};
use lucide_icons::Icon;

use super::{plan::plan_ui, timeline::timeline_ui};
use crate::{
    engine::{Answer, Query},
    journal::integrate::{Plan, PlanEnd, Point, Until},
    restore::{self, LedTo, Logs, RestorePlan},
    ui::{
        action::Action,
        answers::View,
        state::{LogChoice, RestoreForm},
        theme::palette,
        widgets::{button, commits, fact_with, moment, sentence, text_field, zone},
    },
};

/// What the form says of the logs; the error is what to correct.
pub(super) fn how_far(plan: &RestorePlan, form: &RestoreForm) -> Result<(Logs, Until), String> {
    let Some(log) = &plan.log else {
        // Nothing follows the archive: only an older one could be meant.
        return match restore::parse_moment(&form.moment) {
            Ok(wanted) if form.log == LogChoice::Moment && wanted.at < plan.identity.moment => Err(too_late(plan)),
            _ => Ok((form.logs(), Until::End)),
        };
    };
    match form.log {
        LogChoice::End => Ok((form.logs(), Until::End)),
        LogChoice::None => Ok((Logs::None, Until::End)),
        LogChoice::Moment => match restore::parse_moment(&form.moment) {
            Ok(wanted) if wanted.at < plan.identity.moment => Err(too_late(plan)),
            Ok(wanted) => Ok((form.logs(), Until::Moment(wanted.at))),
            Err(error) => Err(error.hint_text().unwrap_or_default().to_owned()),
        },
        LogChoice::Commit => match form.commit.trim().parse() {
            Ok(number) if (log.from.commit..=log.to.commit).contains(&number) => {
                Ok((form.logs(), Until::Commit(number)))
            }
            _ => Err(format!("Give a number from {} to {}.", log.from.commit, log.to.commit)),
        },
    }
}

fn too_late(plan: &RestorePlan) -> String {
    format!("The archive holds the state of {}. Choose an older one.", moment(&plan.identity.moment))
}

/// The commit that the form leads to, as soon as the engine has found it.
pub(super) fn point(
    status: &View<'_>,
    log: &Plan,
    form: &mut RestoreForm,
    far: &Result<(Logs, Until), String>,
    actions: &mut Vec<Action>,
) -> Option<Point> {
    let Ok((logs, until)) = far else { return None };
    match (logs, until) {
        (Logs::None, _) => Some(Point { commit: log.from.commit, time: None, next: None, left_out: log.commits }),
        (_, Until::End) => Some(Point { commit: log.to.commit, time: log.times.map(|t| t.1), next: None, left_out: 0 }),
        (_, until) => {
            let question = Query::Point {
                archive: form.archive.clone(),
                until: *until,
                segments: form.segments.clone(),
                logs: form.logs(),
            };
            let answer = status.answers.to(&question).cloned();
            if form.asked != Some(*until) {
                form.asked = Some(*until);
                actions.push(Action::Ask(question));
            }
            match answer? {
                // The index of a log that is damaged lists what can no longer be reached.
                Ok(Answer::Point(point)) => Some(point).filter(|point| point.commit <= log.to.commit),
                _ => None,
            }
        }
    }
}

fn local(time: &DateTime<Utc>) -> String {
    moment(&time.with_timezone(&Local))
}

fn note(ui: &mut Ui, text: &str, colour: Color32) {
    ui.add(Label::new(RichText::new(text).color(colour)).wrap());
}

/// The logs that continue the archive, and how far to go; returns where that leads.
pub(super) fn until_ui(
    ui: &mut Ui,
    status: &View<'_>,
    plan: &RestorePlan,
    form: &mut RestoreForm,
    actions: &mut Vec<Action>,
) -> Option<Point> {
    let far = how_far(plan, form);
    let mut found = plan.log.as_ref().and_then(|log| point(status, log, form, &far, actions));
    timeline_ui(ui, status, (plan, found.as_ref()), form, actions);
    fact_with(ui, "Log", |ui| {
        match &plan.log {
            Some(log) => found = choices_ui(ui, status, (plan, log), form, actions),
            None => alone_ui(ui, plan, form, actions),
        }
        let far = how_far(plan, form);
        known_ui(ui, plan, (&far, found.as_ref()));
        ui.horizontal_wrapped(|ui| {
            let add = button(ui, Some(Icon::FilePlus), "Add log…");
            if add.on_hover_text("Name a log that lies elsewhere").clicked() {
                let folder = form.archive.parent().map(Path::to_path_buf).unwrap_or_default();
                actions.push(Action::AddLog(folder));
            }
            for log in &form.logs {
                ui.label(RichText::new(log.display().to_string()).color(palette(ui).weak));
            }
        });
    });
    plan_ui(ui, plan, found.as_ref(), form);
    found
}

fn moment_ui(ui: &mut Ui, form: &mut RestoreForm) {
    ui.horizontal(|ui| {
        ui.radio_value(&mut form.log, LogChoice::Moment, "Up to a moment:");
        // Not with the focus: whoever goes past it by Tab wants nothing else.
        let field = text_field(ui, "Moment", &mut form.moment, "2026-11-22 12:00:00", 170.0);
        if field.clicked() || field.changed() {
            form.log = LogChoice::Moment;
        }
        zone(ui);
    });
}

/// Nothing follows the archive; an earlier moment leads to an older one.
fn alone_ui(ui: &mut Ui, plan: &RestorePlan, form: &mut RestoreForm, actions: &mut Vec<Action>) {
    let text = match plan.identity.log_position {
        None => "The archive was made without a log.",
        Some(_) => "No commits after this archive were found.",
    };
    note(ui, text, palette(ui).weak);
    if plan.siblings.iter().any(|sibling| sibling.moment < plan.identity.moment) {
        if form.log == LogChoice::None {
            form.log = LogChoice::End;
        }
        ui.radio_value(&mut form.log, LogChoice::End, "The state of the archive itself");
        moment_ui(ui, form);
        if let Err(correct) = how_far(plan, form) {
            note(ui, &correct, palette(ui).warn.0);
            older_ui(ui, plan, form, actions);
        }
    }
}

/// How far to integrate.
fn choices_ui(
    ui: &mut Ui,
    status: &View<'_>,
    (plan, log): (&RestorePlan, &Plan),
    form: &mut RestoreForm,
    actions: &mut Vec<Action>,
) -> Option<Point> {
    let last = log.times.map_or_else(String::new, |(_, last)| format!(", up to {}", local(&last)));
    ui.radio_value(&mut form.log, LogChoice::End, integrate_all(log.commits, &last));
    moment_ui(ui, form);
    ui.horizontal(|ui| {
        ui.radio_value(&mut form.log, LogChoice::Commit, "Up to a commit:");
        let hint = log.to.commit.to_string();
        let field = text_field(ui, "Commit", &mut form.commit, &hint, 170.0);
        if field.clicked() || field.changed() {
            form.log = LogChoice::Commit;
        }
    });
    ui.radio_value(&mut form.log, LogChoice::None, "Nothing: the state of the archive itself");
    let far = how_far(plan, form);
    let found = point(status, log, form, &far, actions);
    if let Err(correct) = &far {
        note(ui, correct, palette(ui).warn.0);
        older_ui(ui, plan, form, actions);
    }
    if form.log == LogChoice::Moment
        && let Some(twice) = restore::parse_moment(&form.moment).ok().and_then(|wanted| wanted.ambiguity())
    {
        note(ui, &twice, palette(ui).warn.0);
    }
    for stretch in &log.catch_ups {
        let text = format!(
            "From {} to {} nobody watched: single commits are not known.",
            local(&stretch.from),
            local(&stretch.to)
        );
        note(ui, &text, palette(ui).weak);
    }
    if let Some(text) = ending(&log.end) {
        note(ui, &text, palette(ui).warn.0);
    }
    found
}

/// Where the moment wanted lies before the archive, the one that leads there.
fn older_ui(ui: &mut Ui, plan: &RestorePlan, form: &RestoreForm, actions: &mut Vec<Action>) {
    let wanted = restore::parse_moment(&form.moment).ok().filter(|_| form.log == LogChoice::Moment);
    let Some(older) = wanted.filter(|wanted| wanted.at < plan.identity.moment).and_then(|w| plan.before(w.at)) else {
        return;
    };
    let label = format!("Use archive {}, of {}", older.number, moment(&older.moment));
    if button(ui, Some(Icon::FileArchive), &label).clicked() {
        actions.push(Action::UseArchive(older.archive.clone()));
    }
}

/// What the state may lack, and what else is worth knowing of the logs.
fn known_ui(ui: &mut Ui, plan: &RestorePlan, (far, point): (&Result<(Logs, Until), String>, Option<&Point>)) {
    let (Some(known), Ok((Logs::Found | Logs::Also(_), until))) = (&plan.known, far) else { return };
    if *until != Until::End && point.is_none() {
        return;
    }
    let led = LedTo::of(point);
    if let Some(lacks) = known.lacks(*until, led) {
        let hint = lacks.hint_text().unwrap_or_default();
        note(ui, &format!("{}. {hint}", sentence(lacks.message())), palette(ui).warn.0);
    }
    for remark in known.remarks(*until, led) {
        note(ui, &remark, palette(ui).weak);
    }
}

/// Why the logs end early, if they do.
fn ending(end: &PlanEnd) -> Option<String> {
    match end {
        PlanEnd::Complete | PlanEnd::Torn { .. } => None,
        PlanEnd::Damaged { path, offset } => {
            Some(format!("{} is damaged at byte {offset}; what follows cannot be integrated.", path.display()))
        }
        PlanEnd::Gap { path, commit } => {
            Some(format!("{} has a gap after commit {commit}; what follows cannot be integrated.", path.display()))
        }
    }
}

fn integrate_all(number: u64, last: &str) -> String {
    let all = if number == 1 { "the" } else { "all" };
    format!("Integrate {all} {}{last}", commits(number))
}
