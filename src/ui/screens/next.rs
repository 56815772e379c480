//! When the next full backup is made by itself; and what stands in its way, until that is gone.

use std::time::Duration;

use chrono::{DateTime, Local, Utc};
use eframe::egui::{Label, RichText, Ui};

use crate::{
    archive::catalog::ArchiveEntry,
    drill::Proof,
    engine::{Status, status::DataFileStatus},
    settings::sections::Frequency,
    ui::{
        action::Action,
        attention::retry_button,
        theme::{self, palette},
        widgets::{Tone, badge, duration, fact, fact_with, line, moment},
    },
};

pub(crate) fn next_backup_ui(ui: &mut Ui, data_file: &DataFileStatus, actions: &mut Vec<Action>) {
    let automatic = data_file.automatic.as_ref();
    if let Some(since) = automatic.and_then(|a| a.suspended) {
        fact_with(ui, "Next full backup", |ui| {
            line(ui, |ui| {
                badge(ui, Tone::Bad, "Suspended");
                let attempts = automatic.map_or(0, |a| a.attempts);
                let text = format!("since {}, after {attempts} failed attempts", moment(&since));
                ui.add(Label::new(RichText::new(text).color(palette(ui).text)).wrap());
            });
            retry_button(ui, data_file, "Retry now", actions);
        });
        return;
    }
    if let Some(due) = automatic.and_then(|a| a.missed) {
        fact_with(ui, "Missed", |ui| {
            line(ui, |ui| {
                ui.label(theme::strong(moment(&due), ui));
                badge(ui, Tone::Warn, "Missed");
            });
        });
    }
    let now = Utc::now();
    match (automatic.and_then(|a| a.retry_at), data_file.next_backup) {
        (Some(at), _) => fact_with(ui, "Next full backup", |ui| {
            line(ui, |ui| {
                badge(ui, Tone::Warn, "Retry");
                ui.label(theme::strong(countdown(ui, at, now), ui));
            });
            retry_button(ui, data_file, "Retry now", actions);
        }),
        (None, Some(next)) if next.to_utc() <= now => fact(ui, "Next full backup", "Due now"),
        (None, Some(next)) => fact(ui, "Next full backup", day_and_time(&next)),
        (None, None) if data_file.settings.scheduler.frequency == Frequency::Never => {
            fact(ui, "Next full backup", "Not scheduled");
        }
        (None, None) => fact(ui, "Next full backup", "Not known yet"),
    }
}

/// The day of the week says more than the date of tomorrow.
fn day_and_time(next: &DateTime<Local>) -> String {
    next.format("%A, %Y-%m-%d %H:%M").to_string()
}

fn countdown(ui: &Ui, at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let left = (at - now).num_milliseconds();
    if left <= 0 {
        return "now".to_owned();
    }
    // Seconds count only at the end.
    let again = if left < 120_000 { Duration::from_secs(1) } else { Duration::from_secs(20) };
    ui.ctx().request_repaint_after(again);
    let shown = if left < 120_000 { format!("{} s", left / 1000 + 1) } else { duration(left as u64 / 60_000 * 60_000) };
    format!("in {shown}, at {}", at.with_timezone(&Local).format("%H:%M:%S"))
}

/// The last test restore of an archive that is there, and was not found damaged since.
pub(crate) fn proven<'a>(status: &'a Status, data_file: &DataFileStatus) -> Option<&'a Proof> {
    // What is damaged now, or gone, was proven once, and is of no use; a copy of it was not what was proven.
    let is_of = |proof: &Proof, archive: &ArchiveEntry| {
        let is_sound = || data_file.damage_of(archive).is_none_or(|d| d.is_repairable && proof.proven >= d.moment);
        archive.files.contains(&proof.archive) && archive.problem.is_none() && is_sound()
    };
    let there = || data_file.archives.iter().chain(&data_file.copies);
    proofs(status, data_file).find(|proof| there().any(|archive| is_of(proof, archive)))
}

fn proofs<'a>(status: &'a Status, data_file: &DataFileStatus) -> impl Iterator<Item = &'a Proof> {
    let id = data_file.settings.data_file_id;
    status.proven.iter().filter(move |proof| Some(proof.data_file_id) == id)
}

/// When an archive was last restored for a test and found sound.
pub(crate) fn last_proven_ui(ui: &mut Ui, status: &Status, data_file: &DataFileStatus) {
    let was_any = proofs(status, data_file).next().is_some();
    let is_any = !data_file.archives.is_empty() || !data_file.copies.is_empty();
    match proven(status, data_file) {
        Some(proof) => fact_with(ui, "Proven restorable", |ui| {
            line(ui, |ui| {
                ui.label(theme::strong(moment(&proof.proven), ui));
                badge(ui, Tone::Good, &format!("Archive {}", proof.number));
            });
        }),
        None if was_any && is_any => fact(ui, "Proven restorable", "None of the archives that are there now"),
        None if was_any => fact(ui, "Proven restorable", "Not known: no archive is there"),
        None => fact(ui, "Proven restorable", "Never tested"),
    }
}
