//! The tab *Scheduler*: how often a full backup is made by itself, and the next dates that this means.

use chrono::{DateTime, Local};
use eframe::egui::{Align, Grid, Layout, RichText, Ui, vec2};

use super::{SettingsForm, Tab, field, group, panel, remark, said_ui, typed_field};
use crate::{
    engine::status::{DataFileStatus, HostKind},
    schedule,
    settings::sections::{Frequency, Scheduler, Unit, Weekday},
    ui::{
        theme::palette,
        widgets::{check_box, choice},
    },
};

const DATES: usize = 5;
const CHOICES_WIDTH: f32 = 150.0;

const DAYS: [(Weekday, &str); 7] = [
    (Weekday::Monday, "Monday"),
    (Weekday::Tuesday, "Tuesday"),
    (Weekday::Wednesday, "Wednesday"),
    (Weekday::Thursday, "Thursday"),
    (Weekday::Friday, "Friday"),
    (Weekday::Saturday, "Saturday"),
    (Weekday::Sunday, "Sunday"),
];

fn label(frequency: Frequency) -> &'static str {
    match frequency {
        Frequency::Never => "Never",
        Frequency::EveryHour => "Every hour",
        Frequency::EveryDay => "Every day",
        Frequency::EveryWeek => "Every week",
        Frequency::EveryMonth => "Every month",
        Frequency::Personalized => "Personalized",
    }
}

pub(super) fn scheduler_ui(ui: &mut Ui, data_file: &DataFileStatus, form: &mut SettingsForm) {
    group(ui, "Automatic backup");
    for frequency in Frequency::ALL {
        ui.horizontal_top(|ui| {
            let size = vec2(CHOICES_WIDTH, ui.spacing().interact_size.y);
            ui.allocate_ui_with_layout(size, Layout::left_to_right(Align::Center), |ui| {
                ui.set_min_width(CHOICES_WIDTH);
                ui.radio_value(&mut form.draft.scheduler.frequency, *frequency, label(*frequency));
            });
            if form.draft.scheduler.frequency == *frequency {
                ui.vertical(|ui| when_ui(ui, form));
            }
        });
    }
    ui.add_space(8.0);
    dates_ui(ui, form);
    if form.draft.scheduler.frequency != Frequency::Never {
        ui.add_space(6.0);
        remark(ui, who(data_file));
    }
}

fn who(data_file: &DataFileStatus) -> &'static str {
    match data_file.host.kind {
        HostKind::Service => {
            "The service makes these backups. One that is missed, since the machine was off, counts as failed."
        }
        HostKind::Background => {
            "The process in the background makes these backups, until the machine restarts or you log out; a \
             service makes them always (Maintenance page). One that is missed counts as failed."
        }
        HostKind::Window | HostKind::Command => {
            "These backups are made while this window is open; a service makes them always (Maintenance page). One \
             that is missed counts as failed."
        }
    }
}

/// The fields of the frequency chosen.
fn when_ui(ui: &mut Ui, form: &mut SettingsForm) {
    match form.draft.scheduler.frequency {
        Frequency::Never => note(ui, "Full backups are made only by hand, with Backup… or Start backup."),
        Frequency::EveryHour => note(ui, "At every full hour."),
        Frequency::EveryDay => {
            line(ui, |ui| at(ui, form, "at"));
            said_ui(ui, form, field::AT);
        }
        Frequency::EveryWeek => {
            line(ui, |ui| {
                ui.label("on");
                let days = &mut form.draft.scheduler.weekdays;
                let mut day = days.first().copied().unwrap_or(Weekday::Monday);
                if choice(ui, "Day of the week", 120.0, &mut day, &DAYS) {
                    *days = [day].into();
                }
                at(ui, form, "at");
            });
            said_ui(ui, form, field::AT);
        }
        Frequency::EveryMonth => {
            line(ui, |ui| {
                day(ui, form);
                at(ui, form, "at");
            });
            said_ui(ui, form, field::DAY);
            said_ui(ui, form, field::AT);
            last_day(ui);
        }
        Frequency::Personalized => personalized_ui(ui, form),
    }
}

fn personalized_ui(ui: &mut Ui, form: &mut SettingsForm) {
    let unit = form.draft.scheduler.unit;
    line(ui, |ui| {
        ui.label("every");
        typed_field(ui, form, field::EVERY, "Interval", 54.0);
        let units = Unit::ALL.iter().map(|unit| (*unit, unit.word())).collect::<Vec<_>>();
        choice(ui, "Unit of the interval", 90.0, &mut form.draft.scheduler.unit, &units);
        match unit {
            Unit::Hours => begin(ui, form, "starting at"),
            Unit::Days => begin(ui, form, "at"),
            Unit::Weeks => {}
            Unit::Months => {
                day(ui, form);
                begin(ui, form, "at");
            }
        }
    });
    if unit == Unit::Weeks {
        line(ui, |ui| {
            ui.label("on");
            for (day, name) in DAYS {
                let days = &mut form.draft.scheduler.weekdays;
                let mut on = days.contains(&day);
                if check_box(ui, &mut on, name).changed() {
                    if on {
                        days.insert(day);
                    } else {
                        days.remove(&day);
                    }
                }
            }
        });
        line(ui, |ui| begin(ui, form, "at"));
    }
    for field in [field::EVERY, field::WEEKDAYS, field::DAY, field::AT, field::FROM] {
        said_ui(ui, form, field);
    }
    if unit == Unit::Months {
        last_day(ui);
    }
}

/// The time of the day, and the day that a longer interval is counted from.
fn begin(ui: &mut Ui, form: &mut SettingsForm, word: &str) {
    at(ui, form, word);
    if form.counts(field::FROM) {
        ui.label("counted from");
        typed_field(ui, form, field::FROM, "Counted from", 100.0);
    }
}

/// A remark at the height of the choice beside it.
fn note(ui: &mut Ui, text: &str) {
    ui.add_space(5.0);
    remark(ui, text);
}

fn line(ui: &mut Ui, content: impl FnOnce(&mut Ui)) {
    ui.horizontal_wrapped(content);
}

fn at(ui: &mut Ui, form: &mut SettingsForm, word: &str) {
    ui.label(word);
    typed_field(ui, form, field::AT, "Time of the day", 72.0);
}

fn day(ui: &mut Ui, form: &mut SettingsForm) {
    ui.label("on day");
    typed_field(ui, form, field::DAY, "Day of the month", 46.0);
}

fn last_day(ui: &mut Ui) {
    remark(ui, "In a shorter month, its last day.");
}

/// The next dates, in local time.
fn dates_ui(ui: &mut Ui, form: &SettingsForm) {
    panel(ui, |ui| {
        let p = palette(ui);
        ui.spacing_mut().item_spacing = vec2(8.0, 3.0);
        ui.spacing_mut().interact_size.y = 16.0;
        ui.label(RichText::new("Next full backups").color(p.weak));
        let is_wrong = field::ALL.iter().any(|f| field::tab(f) == Tab::Scheduler && form.problem(f).is_some());
        let dates = if is_wrong { Vec::new() } else { dates(&form.settings().scheduler, &Local::now()) };
        Grid::new("next dates").num_columns(4).spacing(vec2(16.0, 3.0)).show(ui, |ui| {
            for date in &dates {
                for part in date {
                    ui.label(RichText::new(part).color(p.strong));
                }
                ui.end_row();
            }
        });
        if dates.is_empty() {
            let text = if is_wrong { "Known as soon as the fields are right." } else { "None by themselves." };
            ui.label(RichText::new(text).color(p.strong));
        }
    });
}

fn dates(scheduler: &Scheduler, now: &DateTime<Local>) -> Vec<[String; 4]> {
    let next = schedule::next_dates(scheduler, now, DATES);
    let part =
        |date: &DateTime<Local>| ["%A", "%Y-%m-%d", "%H:%M:%S", "UTC%:z"].map(|part| date.format(part).to_string());
    next.iter().map(part).collect()
}
