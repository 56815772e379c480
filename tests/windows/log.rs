//! The log in the window: switched on, proven, restored from, in place and back again.

use crate::desk;

use std::{fs, path::Path};

use desk::{Desk, IS_JOINED};
use eframe::egui::{Key, accesskit::Role};
use egui_kittest::kittest::{NodeT, Queryable};
use rusqlite::Connection;
use strongroom::{
    engine::{Command, JobId, Status, status::JobReport},
    journal::{CaptureState, CaptureStatus},
    sqlite::data_file::JournalMode,
};

fn log(status: &Status) -> Option<&CaptureStatus> {
    status.data_files.first().and_then(|d| d.log.as_ref())
}

fn is_enabled(desk: &Desk, label: &str) -> bool {
    !desk.harness.get_by_role_and_label(Role::Button, label).accesskit_node().is_disabled()
}

fn notes(path: &Path) -> i64 {
    Connection::open(path).unwrap().query_row("SELECT count(*) FROM note", [], |row| row.get(0)).unwrap()
}

fn add_notes(path: &Path, count: u32) {
    let conn = Connection::open(path).unwrap();
    for _ in 0..count {
        conn.execute("INSERT INTO note(text) VALUES('more')", []).unwrap();
    }
}

impl Desk {
    /// Switches the log on through the dialog, and waits for the backup that it starts.
    pub(crate) fn use_log(&mut self) {
        self.press("Use log…");
        self.until_shown("A full backup is needed before the log can serve a restore.");
        self.press("OK");
        self.until("the log and its backup", |_, s| {
            s.jobs.is_empty() && log(s).is_some_and(|l| l.rooted && l.state == CaptureState::On)
        });
        self.until_shown("Every commit is recorded");
    }

    /// Opens the dialog for a restore in place, from the page Restore.
    fn ask_in_place(&mut self, number: u32) {
        self.press("Restore");
        self.press(&format!("Restore {number:04} in place…"));
        self.until_shown("Open in");
    }

    fn choose(&mut self, label: &str) {
        // A dialog that has just grown stands in the middle again a frame later.
        self.harness.run_steps(4);
        self.click_on(Role::RadioButton, label);
        self.harness.run_steps(3);
    }
}

#[test]
fn tab_goes_through_a_restore_and_changes_nothing_of_it() {
    let mut desk = Desk::new();
    let path = desk.open_data_file(20);
    desk.use_log();
    add_notes(&path, 3);
    desk.until_shown("all 3 commits since backup 0001");
    desk.ask_in_place(1);
    desk.until("the button", |h, _| {
        h.query_by_role_and_label(Role::Button, "Restore in place").is_some_and(|b| !b.accesskit_node().is_disabled())
    });
    let mut reached = 0;
    for _ in 0..24 {
        desk.harness.key_press(Key::Tab);
        desk.harness.run_steps(3);
        assert!(is_enabled(&desk, "Restore in place"));
        let button = desk.harness.get_by_role_and_label(Role::Button, "Restore in place");
        reached += u32::from(button.accesskit_node().is_focused());
    }
    assert!(reached > 0);
}

#[test]
fn the_log_is_switched_on_with_a_backup_and_proves_its_continuity() {
    let mut desk = Desk::new();
    let path = desk.open_data_file(20);
    assert!(desk.is_shown("Not used."));
    desk.use_log();
    desk.until_shown("no commit yet since backup 0001");
    add_notes(&path, 3);
    desk.until_shown("all 3 commits since backup 0001");
    assert_eq!(desk.status().data_files[0].log_file, Some(desk.path("Backups/Office.journal")));
    desk.press("Stop using the log…");
    desk.until_shown("what is written after the last full backup cannot be restored");
    desk.press("Stop using the log");
    desk.until("the log to be off", |_, s| s.data_files[0].log_file.is_none());
    desk.until_shown("Not used.");
}

#[test]
fn a_data_file_with_a_rollback_journal_is_switched_only_when_that_is_wanted() {
    let mut desk = Desk::new();
    let path = desk.open_data_file(20);
    Connection::open(&path).unwrap().execute_batch("PRAGMA journal_mode=DELETE").unwrap();
    desk.send(Command::Refresh { data_file: path });
    desk.until("the mode", |_, s| s.data_files[0].facts.journal_mode == JournalMode::Rollback);
    desk.press("Use log…");
    desk.until_shown("It is a lasting change of the file");
    assert!(!is_enabled(&desk, "OK"));
    for choice in ["Switch the data file to WAL mode", "Start a full backup as soon as the log runs"] {
        desk.click_on(Role::CheckBox, choice);
        desk.harness.run_steps(3);
    }
    desk.press("OK");
    desk.until("the log", |_, s| log(s).is_some_and(|l| l.state == CaptureState::On));
    desk.until("the mode", |_, s| s.data_files[0].facts.journal_mode == JournalMode::Wal);
    desk.until_shown("full backup is needed before the log can serve a restore");
    desk.press("Make a full backup");
    desk.until("a base", |_, s| s.jobs.is_empty() && log(s).is_some_and(|l| l.rooted));
}

#[test]
fn a_restore_goes_up_to_a_commit_or_a_moment_and_says_where_that_leads() {
    let mut desk = Desk::new();
    let path = desk.open_data_file(20);
    desk.use_log();
    add_notes(&path, 5);
    desk.until_shown("all 5 commits since backup 0001");
    let from = log(&desk.status()).unwrap().position.commit - 5;

    desk.ask_restore(1);
    desk.until_shown("Integrate all 5 commits");
    desk.choose("Up to a commit:");
    desk.type_into("Commit", &(from + 99).to_string());
    desk.until_shown(&format!("Give a number from {from} to {}.", from + 5));
    desk.type_into("Commit", &(from + 2).to_string());
    desk.until_shown(&format!("Leads to commit {} of ", from + 2));
    desk.press("Restore archive 0001");
    desk.until_shown(&format!("2 commits integrated from the log, up to commit {}", from + 2));
    assert_eq!(notes(&desk.path("Backups/Office[0001]/Office.sqlite")), 22);

    desk.ask_restore(1);
    desk.choose("Up to a moment:");
    desk.type_into("Moment", "2001-01-01 00:00:00");
    desk.until_shown("Choose an older one.");
    desk.type_into("Moment", "2101-01-01 00:00:00");
    desk.until_shown(&format!("Leads to commit {} of ", from + 5));
    assert!(desk.is_shown(", the last one known."));
    desk.press("Restore archive 0001");
    desk.until_shown(&format!("5 commits integrated from the log, up to commit {}", from + 5));
    assert_eq!(notes(&desk.path("Backups/Office[0001] (2)/Office.sqlite")), 25);
}

#[test]
fn a_moment_before_the_archive_leads_to_the_archive_that_fits() {
    let mut desk = Desk::new();
    let path = desk.open_data_file(20);
    desk.use_log();
    add_notes(&path, 2);
    desk.until_shown("all 2 commits since backup 0001");
    let between = desk.status().data_files[0].log.as_ref().unwrap().last_commit.unwrap().to_rfc3339();
    desk.send(Command::Backup { job: JobId::new(), data_file: path.clone(), destination: None, options: None });
    desk.until("the second backup", |_, s| s.jobs.is_empty() && s.data_files[0].archives.len() == 2);
    desk.ask_restore(2);
    desk.until_shown("Up to a moment:");
    desk.choose("Up to a moment:");
    desk.type_into("Moment", &between);
    desk.until_shown("Choose an older one.");
    let label = desk.texts().into_iter().find(|text| text.starts_with("Use archive 0001, of ")).unwrap();
    desk.press(&label);
    desk.until_shown("Leads to commit 2 of ");
    desk.press("Restore archive 0001");
    desk.until_shown("2 commits integrated from the log, up to commit 2");
    assert_eq!(notes(&desk.path("Backups/Office[0001]/Office.sqlite")), 22);
}

#[test]
fn a_log_that_lies_elsewhere_can_be_named() {
    let mut desk = Desk::new();
    let path = desk.open_data_file(20);
    desk.use_log();
    add_notes(&path, 4);
    desk.until_shown("all 4 commits since backup 0001");
    desk.send(Command::UseLog { data_file: path, log: None, switch_to_wal: false });
    desk.until("the log to be off", |_, s| s.data_files[0].log_file.is_none() && s.data_files[0].log.is_none());
    let elsewhere = desk.path("kept by hand");
    fs::rename(desk.path("Backups/Office.journal"), &elsewhere).unwrap();
    desk.ask_restore(1);
    desk.until_shown("Nothing is known after the archive itself");
    desk.press("Add log…");
    desk.until_shown("Folder above");
    desk.type_into("Path", &elsewhere.display().to_string());
    desk.harness.key_press(Key::Enter);
    desk.until_shown("Integrate all 4 commits");
    desk.press("Restore archive 0001");
    desk.until_shown("4 commits integrated from the log");
    assert_eq!(notes(&desk.path("Backups/Office[0001]/Office.sqlite")), 24);
}

#[test]
fn a_restore_in_place_says_what_leaves_the_file_and_is_undone_by_a_button() {
    let mut desk = Desk::new();
    let path = desk.open_data_file(20);
    let application = Connection::open(&path).unwrap();
    let count = || application.query_row("SELECT count(*) FROM note", [], |row| row.get::<_, i64>(0)).unwrap();
    desk.use_log();
    add_notes(&path, 5);
    desk.until_shown("all 5 commits since backup 0001");
    desk.ask_in_place(1);
    desk.until_shown("No commit that is known now leaves the data file");
    desk.choose("Nothing: the state of the archive itself");
    desk.until_shown("5 commits after that point leave the data file. What leaves it stays in the log");
    // Enter alone does nothing: replacing what programs use is a deliberate act.
    desk.harness.key_press(Key::Enter);
    desk.harness.run_steps(4);
    assert!(desk.status().jobs.is_empty() && desk.is_shown("5 commits after that point leave the data file."));
    desk.press("Restore in place");
    desk.until_shown("Office.sqlite restored in place");
    assert!(desk.is_shown("5 commits are no longer in the data file."));
    assert_eq!(count(), 20);
    // It is offered for as long as it can be done, also when the result was put away.
    desk.press("Put the result away");
    desk.press("Maintenance");
    add_notes(&path, 2);
    desk.press("Undo this restore…");
    desk.until_shown("5 commits that the restore took away come back.");
    desk.until_shown("2 commits made since leave the data file.");
    desk.press("Cancel");
    assert_eq!(count(), 22);
    // The same from the Backup journal.
    desk.press("Backup journal");
    desk.press("Restore in place 0001, Succeeded");
    desk.press("Undo this restore…");
    desk.until_shown("2 commits made since leave the data file.");
    // Enter alone does nothing.
    desk.harness.key_press(Key::Enter);
    desk.harness.run_steps(4);
    assert!(desk.status().jobs.is_empty() && count() == 22);
    desk.press("Undo the restore");
    desk.until("the way forward", |_, s| {
        s.jobs.is_empty() && s.finished.iter().filter(|job| !job.automatic).count() == 3
    });
    assert_eq!(count(), 25);
    desk.press("Maintenance");
    desk.until_shown("to the state before an earlier restore in place");
}

#[test]
fn a_data_file_that_can_not_be_opened_is_restored_from_the_window() {
    let mut desk = Desk::new();
    let path = desk.open_data_file(20);
    let archive = desk.back_up(1);
    desk.send(Command::CloseDataFile { path: path.clone() });
    desk.until("it to be closed", |_, s| s.data_files.is_empty());
    fs::write(&path, "no database any more, but a letter").unwrap();
    desk.open(&path);
    desk.until("the refusal", |_, s| s.refused.len() == 1);
    desk.press("Restore it…");
    // The newest archive is proposed; another one can be chosen.
    desk.until_shown("SQLite cannot open the data file as it is.");
    desk.press("Another archive…");
    desk.until_shown("Folder above");
    desk.type_into("Path", &archive.display().to_string());
    desk.harness.key_press(Key::Enter);
    desk.until_shown("SQLite cannot open the data file as it is.");
    desk.press("Restore in place");
    desk.until("the data file to be open", |_, s| s.jobs.is_empty() && s.data_files.len() == 1);
    desk.until_shown("What could not be opened is kept as");
    assert_eq!(notes(&path), 20);
    let JobReport::Restore(report) =
        desk.status().finished.iter().find(|job| !job.automatic).unwrap().result.clone().unwrap()
    else {
        panic!()
    };
    let aside = report.in_place.unwrap().set_aside;
    assert_eq!(fs::read_to_string(&aside[0]).unwrap(), "no database any more, but a letter");
}

#[test]
fn a_data_file_destroyed_while_it_is_open_is_restored_and_its_log_goes_on() {
    let mut desk = Desk::new();
    let path = desk.open_data_file(20);
    desk.use_log();
    add_notes(&path, 4);
    desk.until_shown("all 4 commits since backup 0001");
    // As a program that is mad: another file has its name.
    fs::rename(&path, desk.path("gone")).unwrap();
    for end in ["-wal", "-shm"] {
        fs::remove_file(format!("{}{end}", path.display())).unwrap();
    }
    fs::write(&path, "rubbish").unwrap();
    desk.send(Command::Refresh { data_file: path.clone() });
    desk.until("the problem", |_, s| s.data_files[0].problem.is_some());
    desk.ask_in_place(1);
    desk.until_shown("SQLite cannot open the data file as it is.");
    desk.press("Restore in place");
    desk.until("the data file to be open", |_, s| {
        s.jobs.is_empty() && s.data_files.len() == 1 && s.data_files[0].problem.is_none() && log(s).is_some()
    });
    assert_eq!(notes(&path), 24, "with everything that the log held");
    desk.until("the log", |_, s| log(s).is_some_and(|l| l.state == CaptureState::On));
    add_notes(&path, 1);
    desk.press("Maintenance");
    desk.until_shown("commits since backup 0001");
}

#[test]
fn leaving_a_data_file_without_its_log_is_asked_first() {
    let mut desk = Desk::new();
    desk.open_data_file(20);
    desk.use_log();
    let close = |desk: &mut Desk| {
        desk.harness.key_press_modifiers(eframe::egui::Modifiers::COMMAND, Key::W);
        desk.harness.run_steps(3);
        desk.until_shown("no commit is recorded any more");
    };
    close(&mut desk);
    desk.harness.key_press(Key::Escape);
    desk.harness.run_steps(4);
    assert!(!desk.is_shown("no commit is recorded any more") && log(&desk.status()).is_some());
    close(&mut desk);
    assert_eq!(desk.is_shown("It leaves the list of the service"), IS_JOINED);
    desk.press("Stop looking after it");
    desk.until("it to be closed", |_, s| s.data_files.is_empty());
}

#[test]
fn the_restore_page_shows_the_logs_that_a_restore_would_use_wherever_they_lie() {
    let mut desk = Desk::of_size(1180.0, 1000.0);
    let path = desk.open_data_file(20);
    let (folder, data_file) = (desk.path("logs"), path.clone());
    fs::create_dir(&folder).unwrap();
    desk.send(Command::UseLog { data_file, log: Some(folder.join("Office.journal")), switch_to_wal: false });
    desk.until("the log", |_, s| log(s).is_some_and(|log| log.state == CaptureState::On));
    desk.back_up(1);
    add_notes(&path, 3);
    desk.press("Restore");
    desk.until_shown(&format!("Office.journal, in use, in {}", folder.display()));
    // Nobody writes it any more, and no settings beside the data file name it: those in the archive do.
    desk.send(Command::UseLog { data_file: path, log: None, switch_to_wal: false });
    desk.until("the log to be given up", |_, s| s.data_files[0].log_file.is_none());
    desk.until_shown(&format!("Office.journal, in {}", folder.display()));
    desk.until_shown("Nothing is known after commit 3 of ");
}

#[test]
fn a_missing_log_is_said_with_what_can_still_be_restored() {
    let mut desk = Desk::of_size(1180.0, 1300.0);
    let path = desk.open_data_file(20);
    desk.use_log();
    desk.send(Command::CloseDataFile { path: path.clone() });
    desk.until("it to be closed", |_, s| s.data_files.is_empty());
    fs::remove_file(desk.path("Backups/Office.journal")).unwrap();
    desk.open(&path);
    desk.until_shown("Office.journal is missing");
    assert!(desk.is_shown("A new log goes on from full backup 0001"));
    desk.press("Make a full backup");
    desk.until("the backup", |_, s| s.jobs.is_empty() && log(s).is_some_and(|l| l.error.is_none()));
    desk.harness.run_steps(3);
    assert!(!desk.is_shown("Office.journal is missing"));
}
