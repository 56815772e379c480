//! What needs attention: the warnings of a data file in a card, in the title of the window, and as a notification of
//! the desktop when something urgent is new.

use std::{collections::HashSet, path::PathBuf};

use eframe::egui::{Label, RichText, Ui};
use lucide_icons::Icon;

use super::{
    action::{Action, Recover},
    jobs, side_bar,
    theme::{self, palette},
    widgets::{self, Tone, button, card},
};
use crate::{
    backup::places::Purpose,
    engine::{Command, JobId, Status, status::DataFileStatus},
    error::{ErrorKind, foreign::foreign},
    warning::{Warning, WarningKind},
};

/// What of the warnings is not said elsewhere on the page already.
fn shown(data_file: &DataFileStatus) -> impl Iterator<Item = &Warning> {
    let said: HashSet<&str> =
        data_file.problem.iter().chain(&data_file.settings_problem).map(|error| error.message.as_str()).collect();
    let advice = |kind| matches!(kind, WarningKind::SameDisk | WarningKind::NoBackup);
    // The cards below show these where they can be changed.
    data_file.warnings.iter().filter(move |w| !said.contains(w.message.as_str()) && !advice(w.kind))
}

/// The card with all warnings, when one is there that cannot wait.
pub(super) fn urgent_ui(ui: &mut Ui, data_file: &DataFileStatus, actions: &mut Vec<Action>) {
    if shown(data_file).any(|warning| warning.kind.is_urgent()) {
        list_ui(ui, "Needs attention", data_file, actions);
        ui.add_space(theme::GAP - 6.0);
    }
}

/// The same with what can wait, when nothing else is there.
pub(super) fn advice_ui(ui: &mut Ui, data_file: &DataFileStatus, actions: &mut Vec<Action>) {
    if shown(data_file).next().is_some() && !shown(data_file).any(|warning| warning.kind.is_urgent()) {
        list_ui(ui, "Advice", data_file, actions);
        ui.add_space(theme::GAP - 6.0);
    }
}

fn list_ui(ui: &mut Ui, title: &str, data_file: &DataFileStatus, actions: &mut Vec<Action>) {
    card(ui, Icon::TriangleAlert, title, |ui| {
        for (nth, warning) in shown(data_file).enumerate() {
            if nth > 0 {
                ui.separator();
            }
            warning_ui(ui, data_file, warning, actions);
        }
    });
}

fn warning_ui(ui: &mut Ui, data_file: &DataFileStatus, warning: &Warning, actions: &mut Vec<Action>) {
    let (tone, icon) =
        if warning.kind.is_urgent() { (Tone::Bad, Icon::CircleX) } else { (Tone::Warn, Icon::TriangleAlert) };
    let (colour, p) = (tone.colours(ui).0, palette(ui));
    ui.horizontal_top(|ui| {
        ui.label(theme::icon(icon, 16.0).color(colour));
        widgets::with_buttons(
            ui,
            |ui| buttons_ui(ui, data_file, warning, actions),
            |ui| {
                ui.spacing_mut().item_spacing.y = 3.0;
                let message = RichText::new(widgets::sentence(&warning.message)).color(colour);
                ui.add(Label::new(message).wrap().selectable(true));
                if let Some(hint) = &warning.hint {
                    ui.add(Label::new(RichText::new(hint).color(p.text)).wrap().selectable(true));
                }
            },
        );
    });
}

fn buttons_ui(ui: &mut Ui, data_file: &DataFileStatus, warning: &Warning, actions: &mut Vec<Action>) {
    use WarningKind as K;
    let path = data_file.facts.path.clone();
    if data_file.lost_since.is_some() {
        return;
    }
    let log_is_missing = || data_file.log_problem.as_ref().is_some_and(|e| e.kind == ErrorKind::PlaceMissing);
    let purpose = match warning.kind {
        K::PlaceMissing => Some(Purpose::Archives),
        K::LogBroken if log_is_missing() => Some(Purpose::Log),
        _ => None,
    };
    if let Some(purpose) = purpose {
        let tip = "Use the folder as it is there now. A disk that is only missing is better connected again";
        if button(ui, None, "Choose this folder anew").on_hover_text(tip).clicked() {
            actions.push(Action::Send(Command::ChooseAnew { data_file: path.clone(), purpose }));
        }
    }
    if warning.kind == K::SharedSettings && data_file.shares_identity() {
        let tip = "Its archives begin anew, told from those of the other, and it is without a log until one is chosen";
        if button(ui, None, "Give it its own identity").on_hover_text(tip).clicked() {
            actions.push(Action::Send(Command::GiveOwnIdentity { data_file: path.clone() }));
        }
    }
    if warning.kind == K::DataFileIncomplete && data_file.lacked().is_some() {
        let tip = "Bring the data file to the last commit that its log holds";
        if button(ui, Some(Icon::DatabaseBackup), "Integrate…").on_hover_text(tip).clicked() {
            actions.push(Action::AskIntegrate(path.clone()));
        }
    }
    if matches!(warning.kind, K::DataFileDamaged | K::ContentDamaged) && !data_file.is_gone() {
        let tip = jobs::RECOVER_TIP;
        if button(ui, Some(Icon::LifeBuoy), "Recover data file…").on_hover_text(tip).clicked() {
            actions.push(Action::Recover(Recover::Ask(path.clone())));
        }
    }
    if data_file.notices.iter().any(|notice| notice.kind == warning.kind) {
        if button(ui, None, "Put away").on_hover_text("I have seen it; do not say it any more").clicked() {
            actions.push(Action::Send(Command::PutAway { data_file: path, kind: warning.kind }));
        }
    } else if warning.kind == K::BackupMissed || warning.kind == K::BackupOverdue {
        retry_button(ui, data_file, "Make it now", actions);
    }
}

/// The button that tries an automatic backup again at once.
pub(super) fn retry_button(ui: &mut Ui, data_file: &DataFileStatus, label: &str, actions: &mut Vec<Action>) {
    let possible = data_file.automatic.is_some() && data_file.problem.is_none() && data_file.lost_since.is_none();
    let pressed = ui.add_enabled_ui(possible, |ui| button(ui, Some(Icon::RotateCcw), label)).inner;
    if pressed.clicked() {
        let (job, data_file) = (JobId::new(), data_file.facts.path.clone());
        actions.push(Action::Send(Command::RetryNow { job, data_file }));
    }
}

/// How many urgent warnings there are.
pub(super) fn urgent_count(data_file: &DataFileStatus) -> usize {
    data_file.warnings.iter().filter(|warning| warning.kind.is_urgent()).count()
}

/// The title of the window: who looks at the list of windows sees what cannot wait.
pub(super) fn window_title(status: &Status) -> String {
    let mut urgent =
        status.data_files.iter().filter(|d| urgent_count(d) > 0 || d.lost_since.or(d.silent_since).is_some());
    let Some(first) = urgent.next() else { return "Strongroom".to_owned() };
    let (_, word) = side_bar::urgent_word(first);
    let of = if status.data_files.len() > 1 {
        format!(": {}", jobs::full_name(status, &first.facts.path))
    } else {
        String::new()
    };
    let more = match urgent.count() {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    format!("! {word}{of}{more} – Strongroom")
}

/// What was urgent when it was looked at last.
#[derive(Debug, Default)]
pub(super) struct Known {
    data_files: HashSet<PathBuf>,
    urgent: HashSet<(PathBuf, WarningKind)>,
}

impl Known {
    /// What is urgent and was not before; of a data file that is seen for the first time, nothing is news.
    pub(super) fn news<'a>(&mut self, status: &'a Status) -> Vec<(&'a DataFileStatus, &'a Warning)> {
        let mut news = Vec::new();
        let mut now = HashSet::new();
        for data_file in &status.data_files {
            let path = &data_file.facts.path;
            for warning in data_file.warnings.iter().filter(|warning| warning.kind.is_urgent()) {
                let key = (path.clone(), warning.kind);
                if !self.urgent.contains(&key) && self.data_files.contains(path) {
                    news.push((data_file, warning));
                }
                now.insert(key);
            }
        }
        self.urgent = now;
        self.data_files = status.data_files.iter().map(|d| d.facts.path.clone()).collect();
        news
    }
}

/// Has the desktop show a notification, where it has such a thing; nobody waits for it, and nothing is said when it has
/// not.
pub(super) fn notify(title: String, text: String) {
    // Names of files stand in both, and desktops take what looks like markup in the text for markup.
    let (title, text) = (foreign(&title).to_string(), foreign(&text).to_string());
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    // Without a thread there is no notification; the window says the same.
    let _ = std::thread::Builder::new().name("notification".to_owned()).spawn(move || {
        if let Err(error) = system::notify(&title, &text) {
            tracing::debug!(%error, "no notification");
        }
    });
}

#[cfg(target_os = "linux")]
mod system {
    use std::{collections::HashMap, time::Duration};

    use zbus::{blocking::connection::Builder, zvariant::Value};

    /// Critical: it stays on the screen until somebody has seen it.
    const URGENCY: u8 = 2;

    pub(super) fn notify(title: &str, text: &str) -> zbus::Result<()> {
        let bus = Builder::session()?.method_timeout(Duration::from_secs(5)).build()?;
        let hints = HashMap::from([("urgency", Value::from(URGENCY)), ("desktop-entry", Value::from("strongroom"))]);
        let none: [&str; 0] = [];
        let body = ("Strongroom", 0u32, "dialog-warning", title, text, none.as_slice(), hints, -1i32);
        let name = "org.freedesktop.Notifications";
        bus.call_method(Some(name), "/org/freedesktop/Notifications", Some(name), "Notify", &body)?;
        Ok(())
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    pub(super) fn notify(_: &str, _: &str) -> Result<(), &'static str> {
        Err("not on this system")
    }
}
