//! What came of a job, with what can be done then.

use std::path::Path;

use eframe::egui::Ui;
use lucide_icons::Icon;

use super::{name, recover_damaged};
use crate::{
    engine::{
        Status,
        status::{DataFileStatus, FinishedJob, JobReport},
    },
    error::ErrorKind,
    storage::space::human_bytes,
    ui::{
        action::{Action, Recover},
        dialogs, reports,
        widgets::{self, Tone, button, duration, icon_button, strip},
    },
};

pub(super) fn finished_ui(ui: &mut Ui, status: &Status, job: &FinishedJob, actions: &mut Vec<Action>) {
    let put_away = |ui: &mut Ui, actions: &mut Vec<Action>| {
        if icon_button(ui, Icon::X, "Put the result away").clicked() {
            actions.push(Action::Dismiss(job.id));
        }
    };
    match &job.result {
        Ok(JobReport::Backup(report)) => {
            let (tone, message) = match report.problem() {
                None => (Tone::Good, format!("Full backup {} succeeded", report.number)),
                Some(_) => {
                    (Tone::Warn, format!("Full backup {} was made, but something needs attention", report.number))
                }
            };
            strip(ui, tone, &message, Some(&reports::backup_text(report, job.duration_ms)), |ui| {
                put_away(ui, actions);
                show_folder(ui, report.archive.parent().unwrap_or(&report.archive), actions);
            });
        }
        Ok(JobReport::Skipped { since }) => {
            let message = format!("No backup was needed: not modified since backup {since}");
            strip(ui, Tone::Neutral, &message, None, |ui| put_away(ui, actions));
        }
        Ok(JobReport::Restore(report)) => {
            let (tone, message, text) = reports::restore_text(report, job.duration_ms);
            strip(ui, tone, &message, Some(&text), |ui| {
                put_away(ui, actions);
                let known = job.data_file.as_ref().and_then(|path| status.data_file(path));
                let done = |known: &'_ DataFileStatus| known.in_place.iter().find(|done| done.job == job.id).cloned();
                match (&report.in_place, known.and_then(|known| Some((known, done(known)?)))) {
                    // The same stays on the Maintenance page and in the Backup journal.
                    (Some(_), Some((known, done))) => dialogs::undo::undo_button(ui, known, &done, actions),
                    (Some(_), None) => {}
                    (None, _) => show_folder(ui, &report.destination, actions),
                }
            });
        }
        Ok(JobReport::Verify(report)) => {
            let (tone, message, text) = reports::verify_text(report);
            strip(ui, tone, &message, Some(&text), |ui| put_away(ui, actions));
        }
        Ok(JobReport::Repair(report)) => {
            let (tone, message, text) = reports::repair_text(report);
            strip(ui, tone, &message, Some(&text), |ui| {
                put_away(ui, actions);
                if let Some(copy) = &report.copy {
                    show_folder(ui, copy.parent().unwrap_or(copy), actions);
                }
            });
        }
        Ok(JobReport::TestRestore(proof)) => {
            let (tone, message, text) = reports::proof_text(proof);
            strip(ui, tone, &message, Some(&text), |ui| put_away(ui, actions));
        }
        Ok(JobReport::VerifyRecords(report)) => {
            let (tone, message, text) = reports::records_text(report, job.duration_ms);
            strip(ui, tone, &message, Some(&text), |ui| {
                put_away(ui, actions);
                if button(ui, None, "View report").clicked() {
                    actions.push(Action::AskReport { data_file: report.data_file.clone(), job: job.id });
                }
                if !report.damaged().is_empty() {
                    recover_damaged(ui, ErrorKind::Damaged, &report.data_file, actions);
                }
            });
        }
        Ok(JobReport::Recover(report)) => {
            let (tone, message, text) = reports::recover_text(report);
            strip(ui, tone, &message, Some(&text), |ui| {
                put_away(ui, actions);
                show_folder(ui, report.to.parent().unwrap_or(&report.to), actions);
                if button(ui, None, "View recovery report").clicked() {
                    let (data_file, job) = (report.data_file.clone(), job.id);
                    actions.push(Action::Recover(Recover::Report { data_file, job }));
                }
                let tip = "Look after the new file, with backups of its own";
                if button(ui, Some(Icon::Database), "Open new file").on_hover_text(tip).clicked() {
                    actions.push(Action::Open(report.to.clone()));
                }
            });
        }
        Ok(JobReport::Compact(report)) => {
            let message =
                format!("{} was compacted: {} freed", name(&report.data_file), human_bytes(report.freed_bytes()));
            let (before, after) = (human_bytes(report.before_bytes), human_bytes(report.after_bytes));
            let text =
                format!("From {before} to {after}, in {}. {}", duration(job.duration_ms), report.check_in_words());
            let tone = if report.not_checked.is_none() { Tone::Good } else { Tone::Warn };
            strip(ui, tone, &message, Some(&text), |ui| put_away(ui, actions));
        }
        Ok(JobReport::TakeBack(report)) => {
            let count = report.records();
            let of = name(&report.data_file);
            let message = match count {
                1 => format!("1 record of {of} is as it was"),
                count => format!("{} records of {of} are as they were", widgets::count(count)),
            };
            let tone = if report.skipped.is_empty() { Tone::Good } else { Tone::Warn };
            strip(ui, tone, &message, Some(&report.in_words()), |ui| put_away(ui, actions));
        }
        Ok(JobReport::Sample { path, bytes }) => {
            let text = format!("{}, {}, in {}.", path.display(), human_bytes(*bytes), duration(job.duration_ms));
            strip(ui, Tone::Good, "The sample was created", Some(&text), |ui| {
                put_away(ui, actions);
                show_folder(ui, path.parent().unwrap_or(path), actions);
            });
        }
        Err(error) if error.kind == ErrorKind::Stopped => {
            let message = format!("{} stopped by the user", job.kind.label());
            strip(ui, Tone::Warn, &message, Some("Nothing was left behind under a final name."), |ui| {
                put_away(ui, actions)
            });
        }
        Err(error) => {
            let message = format!("{} failed: {}", job.kind.label(), error.message);
            strip(ui, Tone::Bad, &message, error.hint.as_deref(), |ui| put_away(ui, actions));
        }
    }
}

fn show_folder(ui: &mut Ui, folder: &Path, actions: &mut Vec<Action>) {
    if button(ui, Some(Icon::FolderOpen), "Show folder").clicked() {
        actions.push(Action::ShowFolder(folder.to_path_buf()));
    }
}
