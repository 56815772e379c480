//! The part that both restore dialogs have in common: which logs continue the archive, and how far to integrate them.

use chrono::{DateTime, Local, Utc};
use eframe::egui::{Label, RichText, Ui};

use crate::{
    engine::{Command, Status},
    journal::integrate::{Plan, PlanEnd, Point, Until},
    restore::{self, Logs, RestorePlan},
    ui::{
        action::Action,
        state::{LogChoice, RestoreForm},
        theme::palette,
        widgets::{commits, fact, fact_with, moment, text_field},
    },
};

/// What the form says of the logs; the error is what to correct.
pub(super) fn how_far(plan: &RestorePlan, form: &RestoreForm) -> Result<(Logs, Until), String> {
    let Some(log) = &plan.log else { return Ok((Logs::Found, Until::End)) };
    match form.log {
        LogChoice::End => Ok((Logs::Found, Until::End)),
        LogChoice::None => Ok((Logs::None, Until::End)),
        LogChoice::Moment => match restore::parse_moment(form.moment.trim()) {
            Ok(at) if at < plan.identity.moment => {
                Err(format!("The archive holds the state of {}. Choose an older one.", moment(&plan.identity.moment)))
            }
            Ok(moment) => Ok((Logs::Found, Until::Moment(moment))),
            Err(error) => Err(error.hint_text().unwrap_or_default().to_owned()),
        },
        LogChoice::Commit => match form.commit.trim().parse() {
            Ok(number) if (log.from.commit..=log.to.commit).contains(&number) => {
                Ok((Logs::Found, Until::Commit(number)))
            }
            _ => Err(format!("Give a number from {} to {}.", log.from.commit, log.to.commit)),
        },
    }
}

/// The commit that the form leads to, as soon as the engine has found it.
pub(super) fn point(
    status: &Status,
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
            if form.asked != Some(*until) {
                form.asked = Some(*until);
                actions.push(Action::Send(Command::FindPoint {
                    archive: form.archive.clone(),
                    until: *until,
                    segments: form.segments.clone(),
                }));
            }
            let found = status.points.iter().find(|p| p.archive == form.archive && p.until == *until)?;
            found.result.clone().ok()
        }
    }
}

fn local(time: &DateTime<Utc>) -> String {
    moment(&time.with_timezone(&Local))
}

/// The logs that continue the archive, and how far to go; returns where that leads.
pub(super) fn until_ui(
    ui: &mut Ui,
    status: &Status,
    plan: &RestorePlan,
    form: &mut RestoreForm,
    actions: &mut Vec<Action>,
) -> Option<Point> {
    let Some(log) = &plan.log else {
        if plan.identity.log_position.is_some() {
            fact(ui, "Log", "No commits after this archive were found.");
        }
        return None;
    };
    let mut found = None;
    fact_with(ui, "Log", |ui| {
        let last = log.times.map_or_else(String::new, |(_, last)| format!(", up to {}", local(&last)));
        ui.radio_value(&mut form.log, LogChoice::End, integrate_all(log.commits, &last));
        ui.horizontal(|ui| {
            ui.radio_value(&mut form.log, LogChoice::Moment, "Up to a moment:");
            if text_field(ui, "Moment", &mut form.moment, "2026-11-22 12:00:00", 170.0).has_focus() {
                form.log = LogChoice::Moment;
            }
            ui.label(RichText::new(Local::now().format("UTC%:z").to_string()).color(palette(ui).weak));
        });
        ui.horizontal(|ui| {
            ui.radio_value(&mut form.log, LogChoice::Commit, "Up to a commit:");
            let hint = log.to.commit.to_string();
            if text_field(ui, "Commit", &mut form.commit, &hint, 170.0).has_focus() {
                form.log = LogChoice::Commit;
            }
        });
        ui.radio_value(&mut form.log, LogChoice::None, "Nothing: the state of the archive itself");
        let far = how_far(plan, form);
        found = point(status, log, form, &far, actions);
        let note = |ui: &mut Ui, text: &str, colour| {
            ui.add(Label::new(RichText::new(text).color(colour)).wrap());
        };
        match (&far, &found) {
            (Err(correct), _) => note(ui, correct, palette(ui).warn.0),
            (Ok((Logs::Found, Until::Moment(_) | Until::Commit(_))), Some(point)) => {
                note(ui, &leads_to(point, form.log), palette(ui).strong);
            }
            _ => {}
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
        if !log.unconnected.is_empty() {
            let names: Vec<String> = log.unconnected.iter().map(|path| crate::ui::jobs::name(path)).collect();
            note(
                ui,
                &format!("Of no use here, since they do not go on from it: {}.", names.join(", ")),
                palette(ui).weak,
            );
        }
    });
    found
}

/// A moment between two commits is that of the last one before it; that must not come as a surprise.
fn leads_to(point: &Point, choice: LogChoice) -> String {
    let Some(time) = &point.time else {
        return "No commit was made before: this is the state of the archive itself.".to_owned();
    };
    let commit = format!("commit {} of {}", point.commit, local(time));
    match (choice, &point.next) {
        (LogChoice::Moment, Some(next)) => {
            format!("Leads to {commit}, the last before that moment. The next one followed at {}.", local(next))
        }
        (LogChoice::Moment, None) => format!("Leads to {commit}, the last one known."),
        _ => format!("Leads to {commit}."),
    }
}

/// Why the logs end early, if they do.
fn ending(end: &PlanEnd) -> Option<String> {
    match end {
        PlanEnd::Complete | PlanEnd::Torn { .. } => None,
        PlanEnd::Damaged { path, offset } => {
            Some(format!("{} is damaged at byte {offset}; what follows can not be integrated.", path.display()))
        }
        PlanEnd::Gap { path, commit } => {
            Some(format!("{} has a gap after commit {commit}; what follows can not be integrated.", path.display()))
        }
    }
}

fn integrate_all(number: u64, last: &str) -> String {
    let all = if number == 1 { "the" } else { "all" };
    format!("Integrate {all} {}{last}", commits(number))
}
