//! The Maintenance page: the state of backups, and the data file's own facts.

use eframe::egui::{CollapsingHeader, Label, RichText, Ui};
use lucide_icons::Icon;

use crate::{
    engine::{
        Command, Status,
        history::JobKind,
        status::{DataFileStatus, LastBackup},
    },
    sqlite::seen::ContentCheck,
    storage::space::human_bytes,
    ui::{
        action::{Action, Sizes},
        attention,
        dialogs::{settings::Tab, undo::last_in_place_ui},
        jobs,
        page::{Part, columns, page_header},
        state::State,
        still,
        theme::{self, palette},
        widgets::{
            self, Tone, badge, button, card, count, disk_bar, fact, fact_with, line, moment, primary_button, why,
        },
    },
};

pub(crate) fn maintenance_ui(ui: &mut Ui, status: &Status, state: &State, actions: &mut Vec<Action>) {
    let Some(data_file) = state.data_file(status) else {
        return;
    };
    let path = &data_file.facts.path;
    page_header(ui, "Maintenance", &path.display().to_string(), |ui| {
        let reason = why_not(status, data_file);
        let start = primary_button(ui, Some(Icon::Play), "Start backup", reason.is_none());
        if why(start, reason.unwrap_or_default()).clicked() {
            actions.push(Action::Backup(path.clone()));
        }
        if button(ui, None, "Backup…").clicked() {
            actions.push(Action::AskBackup(path.clone()));
        }
        if button(ui, None, "Settings…").clicked() {
            actions.push(Action::AskSettings(path.clone(), Tab::default()));
        }
    });
    still::begin(ui);
    jobs::news_ui(ui, status, state, actions);
    super::protection::protection_ui(ui, data_file);
    attention::urgent_ui(ui, data_file, actions);
    still::end(ui);
    let parts: &mut [Part<'_, Vec<Action>>] = &mut [
        &mut |ui, actions| {
            card(ui, Icon::Archive, "Full backup", |ui| last_backup(ui, status, data_file, actions));
            ui.add_space(theme::GAP - 6.0);
            card(ui, Icon::HardDrive, "Backup disk", |ui| backup_disk(ui, data_file, actions));
            ui.add_space(theme::GAP - 6.0);
            card(ui, Icon::ListChecks, "Records and indexes", |ui| {
                super::care::care_ui(ui, status, data_file, actions)
            });
        },
        &mut |ui, actions| {
            attention::advice_ui(ui, data_file, actions);
            card(ui, Icon::Server, "Service", |ui| super::host::host_ui(ui, data_file, actions));
            ui.add_space(theme::GAP - 6.0);
            card(ui, Icon::ScrollText, "Log", |ui| super::log::log_ui(ui, data_file, actions));
        },
        &mut |ui, actions| {
            if let Some(done) = data_file.in_place.first() {
                card(ui, Icon::Undo2, "Restore in place", |ui| last_in_place_ui(ui, data_file, done, actions));
                ui.add_space(theme::GAP - 6.0);
            }
            card(ui, Icon::Database, "Data file", |ui| facts(ui, data_file, actions));
            if data_file.is_sample {
                ui.add_space(theme::GAP - 6.0);
                card(ui, Icon::FlaskConical, "Sample client", |ui| sample_client(ui, data_file, actions));
            }
        },
    ];
    columns(ui, actions, parts);
}

/// Why no backup can be begun now.
pub(crate) fn why_not(status: &Status, data_file: &DataFileStatus) -> Option<&'static str> {
    if data_file.lost_since.is_some() {
        return Some("Nobody looks after this data file at the moment");
    }
    if data_file.silent_since.is_some() {
        return Some("Whoever looks after this data file does not answer");
    }
    if data_file.problem.is_some() {
        return Some("The data file cannot be read; what to do is said below");
    }
    is_backed_up_now(status, data_file).then_some("A backup of this data file is running")
}

/// Whether a backup of this data file runs; another would have to wait.
pub(crate) fn is_backed_up_now(status: &Status, data_file: &DataFileStatus) -> bool {
    status.jobs.iter().any(|j| j.kind == JobKind::Backup && j.data_file.as_ref() == Some(&data_file.facts.path))
}

fn last_backup(ui: &mut Ui, status: &Status, data_file: &DataFileStatus, actions: &mut Vec<Action>) {
    match &data_file.last_backup {
        None => {
            fact_with(ui, "Last full backup", |ui| {
                badge(ui, Tone::Warn, "None yet");
            });
        }
        Some(last) => last_backup_facts(ui, data_file, last),
    }
    let is_partial = data_file.own_archives().next().is_some_and(|newest| newest.not_whole > Some(0));
    if let Some(whole) = data_file.newest_whole().filter(|_| is_partial) {
        let of = whole.moment.as_ref().map_or_else(String::new, |of| format!(" of {}", moment(of)));
        fact(ui, "Last whole one", format!("{}{of}", whole.number));
    } else if let Some(success) = &data_file.last_success {
        let number = success.number.map_or_else(String::new, |number| format!("{number} of "));
        fact(ui, "Last that succeeded", format!("{number}{}", moment(&success.moment)));
    }
    super::next::next_backup_ui(ui, data_file, actions);
    super::next::last_proven_ui(ui, status, data_file);
    if data_file.destination_problem.is_some() {
        fact_with(ui, "Archives", |ui| {
            badge(ui, Tone::Bad, "Not known: their folder is missing");
        });
        return;
    }
    let own = || data_file.own_archives();
    let archives = match (own().count(), own().map(|a| a.bytes).sum()) {
        (0, _) => "None in this folder".to_owned(),
        (1, bytes) => format!("1 archive, {}", human_bytes(bytes)),
        (n, bytes) => format!("{n} archives, {}", human_bytes(bytes)),
    };
    fact(ui, "Archives", archives);
}

/// What is the matter with the archive of a backup that was made.
fn state_now(data_file: &DataFileStatus, last: &LastBackup) -> Option<(Tone, &'static str)> {
    let number = last.number?;
    if data_file.gone.is_some() && data_file.archives.iter().all(|archive| archive.number != number) {
        return Some((Tone::Bad, "Not there any more"));
    }
    let archive = data_file.own_archives().find(|archive| archive.number == number)?;
    let is_damaged = archive.problem.is_some() || data_file.damage_of(archive).is_some();
    if is_damaged && data_file.copy_of(archive).is_none() {
        return Some((Tone::Bad, "Damaged now"));
    }
    if archive.check == ContentCheck::Damaged {
        return Some((Tone::Bad, "Content damaged"));
    }
    (archive.not_whole > Some(0)).then_some((Tone::Warn, "Partial"))
}

fn last_backup_facts(ui: &mut Ui, data_file: &DataFileStatus, last: &LastBackup) {
    fact_with(ui, "Last full backup", |ui| {
        line(ui, |ui| {
            ui.label(theme::strong(moment(&last.moment), ui));
            match state_now(data_file, last) {
                Some((tone, now)) => badge(ui, tone, now),
                None => badge(ui, Tone::of(last.outcome), last.outcome.label()),
            };
        });
    });
    if let Some(number) = last.number {
        fact(ui, "Number", number.to_string());
    }
    if let Some(error) = &last.error {
        let p = palette(ui);
        let colour = Tone::of(last.outcome).colours(ui).0;
        fact_with(ui, "Reason", |ui| {
            ui.add(Label::new(RichText::new(widgets::sentence(&error.message)).color(colour)).wrap().selectable(true));
            if let Some(hint) = &error.hint {
                ui.add(Label::new(RichText::new(hint).color(p.text)).wrap().selectable(true));
            }
        });
    }
}

/// Where archives go, what the next one needs, and what there is.
pub(crate) fn space_facts(ui: &mut Ui, data_file: &DataFileStatus) {
    match (&data_file.plan, &data_file.plan_problem) {
        (Some(plan), _) => {
            let enough = plan.available_bytes >= plan.required_bytes;
            fact(ui, "Space required", format!("about {}", human_bytes(plan.required_bytes)));
            fact_with(ui, "Space available", |ui| disk_bar(ui, plan.available_bytes, plan.disk_bytes, enough));
            if !enough && data_file.settings.archive.segment_bytes.is_some() {
                let text = "There is not enough space for a whole backup. When the disk is full, it goes on in \
                            another folder, for which this window asks; a scheduled backup cannot ask, and fails.";
                advice(ui, Tone::Warn, text);
            } else if !enough {
                advice(ui, Tone::Bad, "There is not enough space for a backup. Free space, or choose another disk.");
            }
            if plan.same_volume {
                let text = "On the same disk as the data file: if that disk fails, both are lost. Choose another disk.";
                advice(ui, Tone::Warn, text);
            }
        }
        (None, Some(problem)) => {
            let text =
                format!("{}. {}", widgets::sentence(&problem.message), problem.hint.as_deref().unwrap_or_default());
            advice(ui, Tone::Bad, text.trim());
        }
        (None, None) => fact(ui, "Space required", "Estimating …"),
    }
}

/// A remark on a coloured ground.
pub(crate) fn advice(ui: &mut Ui, tone: Tone, text: &str) {
    let (colour, ground) = tone.colours(ui);
    ui.add_space(2.0);
    eframe::egui::Frame::new().fill(ground).corner_radius(6).inner_margin(eframe::egui::Margin::symmetric(10, 7)).show(
        ui,
        |ui| {
            ui.set_width(ui.available_width());
            ui.horizontal_top(|ui| {
                ui.label(
                    theme::icon(if tone == Tone::Warn { Icon::TriangleAlert } else { Icon::CircleX }, 15.0)
                        .color(colour),
                );
                ui.add(Label::new(RichText::new(text).color(colour)).wrap());
            });
        },
    );
}

fn backup_disk(ui: &mut Ui, data_file: &DataFileStatus, actions: &mut Vec<Action>) {
    fact_with(ui, "Location", |ui| {
        let path = RichText::new(data_file.destination.display().to_string()).color(palette(ui).strong);
        ui.add(Label::new(path).wrap().selectable(true));
        ui.horizontal_wrapped(|ui| {
            if button(ui, None, "Change…").on_hover_text("Choose another folder for archives").clicked() {
                actions.push(Action::ChooseDestination(data_file.facts.path.clone()));
            }
            if data_file.destination_is_default {
                ui.label(RichText::new("proposed, not chosen yet").color(palette(ui).weak));
            }
        });
    });
    space_facts(ui, data_file);
}

fn facts(ui: &mut Ui, data_file: &DataFileStatus, actions: &mut Vec<Action>) {
    let facts = &data_file.facts;
    fact(ui, "Name", jobs::name(&facts.path));
    fact(ui, "Folder", facts.path.parent().map(|p| p.display().to_string()).unwrap_or_default());
    fact(ui, "Size", human_bytes(facts.size_bytes));
    fact(ui, "Tables", count(u64::from(facts.tables)));
    fact(ui, "Last modified", facts.modified.as_ref().map_or_else(|| "unknown".to_owned(), moment));
    fact(ui, "Access", if facts.writable { "Read and write" } else { "Read only" });
    let more =
        if data_file.holders.may_be_more { "; programs of other users or containers cannot be seen" } else { "" };
    fact(ui, "Open in", format!("{}{more}", data_file.holders.in_words()));
    ui.add_space(4.0);
    ui.add_enabled_ui(data_file.problem.is_none() && data_file.lost_since.is_none(), |ui| {
        let information = button(ui, Some(Icon::Table), "Information…")
            .on_hover_text("Every table with its records, its indexes and the room that they take");
        if information.clicked() {
            actions.push(Action::Sizes(Sizes::Open(facts.path.clone())));
        }
    });
    ui.add_space(2.0);
    let title = RichText::new("SQLite details").color(palette(ui).text);
    CollapsingHeader::new(title).id_salt("SQLite details").show_unindented(ui, |ui| {
        let pages =
            format!("{} of {} each", count(u64::from(facts.page_count)), human_bytes(u64::from(facts.page_size)));
        fact(ui, "Pages", pages);
        fact(ui, "Journal mode", facts.journal_mode.label());
        if facts.wal_bytes > 0 {
            fact(ui, "Write-ahead log", human_bytes(facts.wal_bytes));
        }
        fact(ui, "Written by SQLite", facts.sqlite_version.as_deref().unwrap_or("unknown version"));
    });
}

fn sample_client(ui: &mut Ui, data_file: &DataFileStatus, actions: &mut Vec<Action>) {
    let path = data_file.facts.path.clone();
    match &data_file.sample_client {
        Some(client) => {
            fact_with(ui, "State", |ui| {
                line(ui, |ui| {
                    badge(ui, Tone::Good, "Running");
                    ui.label(RichText::new(format!("process {}", client.process)).color(palette(ui).weak));
                });
            });
            fact(ui, "Since", moment(&client.since));
            ui.add_space(4.0);
            if button(ui, Some(Icon::CircleStop), "Stop client").clicked() {
                actions.push(Action::Send(Command::StopSampleClient { data_file: path }));
            }
        }
        None => {
            let text =
                "Edits the sample like the users of an office, so that backups can be tried while someone works.";
            ui.add(Label::new(RichText::new(text).color(palette(ui).weak)).wrap());
            ui.add_space(4.0);
            if button(ui, Some(Icon::Play), "Start client").clicked() {
                actions.push(Action::Send(Command::StartSampleClient { data_file: path }));
            }
        }
    }
}
