//! What an administrator asks first: am I protected, up to when, what happens next, what must I do?

use chrono::{DateTime, Local, Utc};
use eframe::egui::{CornerRadius, Frame, Label, Margin, Stroke, Ui};
use lucide_icons::Icon;

use crate::{
    engine::{
        protection::{Protection, Standing},
        status::{DataFileStatus, HostKind},
    },
    journal::CaptureState,
    settings::sections::Frequency,
    ui::{
        theme::{self, palette},
        widgets::{self, Tone, age, fact, moment},
    },
};

/// The tone of an answer.
pub(crate) fn tone(standing: Standing) -> Tone {
    match standing {
        Standing::AtRisk | Standing::Unprotected => Tone::Bad,
        Standing::Unwatched => Tone::Warn,
        Standing::LastBackup => Tone::Neutral,
        Standing::EveryCommit => Tone::Good,
        // What is not known is not good.
        _ => Tone::Warn,
    }
}

fn icon(standing: Standing) -> Icon {
    match standing {
        Standing::AtRisk | Standing::Unprotected => Icon::ShieldX,
        Standing::LastBackup | Standing::EveryCommit => Icon::ShieldCheck,
        Standing::Unwatched => Icon::ShieldAlert,
        _ => Icon::ShieldQuestionMark,
    }
}

/// A moment with its age.
fn aged(at: DateTime<Local>) -> String {
    let now = Utc::now();
    match (now - at.to_utc()).num_seconds() {
        // A clock that was ahead.
        ..0 => format!("{}, which is still to come", moment(&at)),
        _ => format!("{}, {} ago", moment(&at), age(at.to_utc(), now)),
    }
}

/// What a restore would lead to.
pub(crate) fn reach(protection: &Protection) -> String {
    widgets::sentence(&protection.reach_in_words(aged))
}

/// The four answers, at the head of the Maintenance page.
pub(crate) fn protection_ui(ui: &mut Ui, data_file: &DataFileStatus) {
    let protection = Protection::of_running(data_file);
    let (colour, ground) = tone(protection.standing).colours(ui);
    let p = palette(ui);
    let frame = Frame::new().fill(p.card).stroke(Stroke::new(1.0, p.line)).corner_radius(CornerRadius::same(10));
    frame.show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.spacing_mut().item_spacing.y = 0.0;
        let round = CornerRadius { nw: 9, ne: 9, sw: 0, se: 0 };
        Frame::new().fill(ground).corner_radius(round).inner_margin(Margin::symmetric(18, 11)).show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.horizontal_top(|ui| {
                ui.label(theme::icon(icon(protection.standing), 20.0).color(colour));
                let text = protection.headline(|at| moment(&at));
                ui.add(Label::new(theme::strong(text, ui).color(colour)).wrap().selectable(true));
            });
        });
        Frame::new().inner_margin(Margin { left: 18, right: 18, top: 12, bottom: 13 }).show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.spacing_mut().item_spacing.y = 5.0;
            fact(ui, "Restorable", reach(&protection));
            fact(ui, "Next", next(data_file));
            let to_do = protection.to_do(&data_file.warnings, data_file);
            // Said with its reason right below.
            fact(ui, "To do", if protection.urgent > 0 { "See what needs attention below." } else { to_do });
        });
    });
    ui.add_space(theme::GAP - 6.0);
}

/// What happens next by itself, and as long as what.
fn next(data_file: &DataFileStatus) -> String {
    let records = data_file.log.as_ref().is_some_and(|log| log.state == CaptureState::On);
    let backup = next_backup(data_file).0;
    let what = match (records, data_file.log_file.is_some()) {
        (true, _) => format!("Each commit is recorded as it is made. {backup}."),
        (false, true) => format!("No commit is recorded at the moment. {backup}."),
        (false, false) => format!("{backup}."),
    };
    let is_anything = records || data_file.next_backup.is_some();
    match data_file.host.kind {
        _ if data_file.lost_since.or(data_file.silent_since).is_some() => "Not known.".to_owned(),
        HostKind::Window if is_anything => format!("{what} This ends when the window is closed."),
        _ => what,
    }
}

/// When the next full backup is made by itself, as a sentence without its full stop, and as a number to sort by.
pub(crate) fn next_backup(data_file: &DataFileStatus) -> (String, Option<i64>) {
    let automatic = data_file.automatic.as_ref();
    let at = |what: &str, at: DateTime<Local>| {
        (format!("{what} on {}", at.format("%A, %Y-%m-%d %H:%M")), Some(at.timestamp()))
    };
    match (automatic.and_then(|a| a.suspended), automatic.and_then(|a| a.retry_at), data_file.next_backup) {
        (Some(_), ..) => ("Automatic backups are suspended".to_owned(), None),
        (None, Some(retry), _) => at("The full backup is tried again", retry.with_timezone(&Local)),
        (None, None, Some(next)) if next.to_utc() <= Utc::now() => {
            ("A full backup is due now".to_owned(), Some(next.timestamp()))
        }
        (None, None, Some(next)) => at("Next full backup", next),
        (None, None, None) if data_file.settings.scheduler.frequency == Frequency::Never => {
            ("No full backup is scheduled".to_owned(), None)
        }
        (None, None, None) => ("When the next full backup is made is not known yet".to_owned(), None),
    }
}
