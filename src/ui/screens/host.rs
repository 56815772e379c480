//! The card *Looked after by*: which process keeps the log and makes the backups that are due, and for how long.

use eframe::egui::{Label, RichText, Ui};
use lucide_icons::Icon;

use crate::{
    engine::{Command, HostKind, status::DataFileStatus},
    ui::{
        action::Action,
        theme::palette,
        widgets::{Tone, age, badge, button, fact, fact_with, line, moment},
    },
};

pub(crate) fn host_ui(ui: &mut Ui, data_file: &DataFileStatus, actions: &mut Vec<Action>) {
    let is_own = data_file.host.process == std::process::id();
    let (tone, word, text) = match (data_file.lost_since, data_file.host.kind) {
        (Some(_), _) => (Tone::Bad, "Nobody", "No log is kept and no backup is made until that changes."),
        (None, _) if is_own => (
            Tone::Warn,
            "This window",
            "When it closes, the log and the schedule rest, unless somebody goes on with them. A service does, also \
             when nobody is logged in.",
        ),
        (None, HostKind::Service) => (Tone::Good, "A service", "It goes on when this window closes."),
        (None, HostKind::Background) => (
            Tone::Warn,
            "In the background",
            "It goes on when this window closes, until the machine restarts; on many systems it ends when you log \
             out. A service goes on after that too.",
        ),
        (None, HostKind::Window) => {
            (Tone::Neutral, "Another window", "When that one closes, this one takes the data file over.")
        }
        (None, HostKind::Command) => {
            (Tone::Neutral, "A command", "When it has ended, this window takes the data file over.")
        }
    };
    fact_with(ui, "Looked after by", |ui| {
        line(ui, |ui| {
            badge(ui, tone, word);
            if !is_own && data_file.lost_since.is_none() {
                ui.label(RichText::new(format!("process {}", data_file.host.process)).color(palette(ui).weak));
            }
        });
    });
    if let Some(started) = data_file.engine_started.filter(|_| data_file.lost_since.is_none()) {
        let up = age(started.to_utc(), chrono::Utc::now());
        fact(ui, "Uptime", format!("{up}, since {}", moment(&started)));
    }
    ui.add(Label::new(RichText::new(text).color(palette(ui).weak)).wrap());
    let is_background = data_file.host.kind == HostKind::Background;
    if (is_own || is_background) && data_file.lost_since.is_none() {
        ui.add_space(4.0);
        ui.horizontal_wrapped(|ui| {
            if button(ui, Some(Icon::Server), "Install as a service…").clicked() {
                actions.push(Action::AskService);
            }
            let tip =
                "This window looks after it from now on; the process in the background ends when it has nothing left";
            if is_background && button(ui, None, "Take over").on_hover_text(tip).clicked() {
                let (data_file, process) = (data_file.facts.path.clone(), std::process::id());
                actions.push(Action::Send(Command::HandOver { data_file, process }));
            }
        });
    }
}
