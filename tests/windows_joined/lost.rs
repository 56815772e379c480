//! The accident: the data file is gone, and so is the service that looked after it. One path in the window brings it
//! back.

use crate::desk;

use std::{fs, path::Path};

use desk::Desk;
use eframe::egui::accesskit::Role;
use egui_kittest::kittest::{AccessKitNode, NodeT, Queryable, by};
use rusqlite::Connection;
use strongroom::{
    engine::{Command, JobId, Status},
    journal::CaptureState,
};

fn commits(status: &Status) -> u64 {
    status.data_files.first().and_then(|d| d.log.as_ref()).map_or(0, |log| log.commits)
}

fn notes(path: &Path) -> i64 {
    Connection::open(path).unwrap().query_row("SELECT count(*) FROM note", [], |row| row.get(0)).unwrap()
}

#[test]
fn a_data_file_that_is_gone_with_its_service_comes_back_with_every_commit() {
    let mut desk = Desk::new();
    let path = desk.open_data_file(20);
    let log = desk.path("logs/Office.journal");
    fs::create_dir(desk.path("logs")).unwrap();
    desk.send(Command::UseLog { data_file: path.clone(), log: Some(log), switch_to_wal: false });
    let is_on =
        |s: &Status| s.data_files.first().and_then(|d| d.log.as_ref()).is_some_and(|l| l.state == CaptureState::On);
    desk.until("the log", |_, s| is_on(s));
    desk.send(Command::Backup { job: JobId::new(), data_file: path.clone(), destination: None, options: None });
    desk.until("the backup", |_, s| s.jobs.is_empty() && s.data_files.first().is_some_and(|d| d.archives.len() == 1));
    {
        let conn = Connection::open(&path).unwrap();
        for _ in 0..4 {
            conn.execute("INSERT INTO note(text) VALUES('more')", []).unwrap();
        }
        desk.until("the commits", |_, s| commits(s) == 4);
    }
    desk.end_service();
    for end in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{end}", path.display()));
    }
    desk.until_shown("Office.sqlite is gone, and ");
    assert!(!desk.is_shown("Take over"), "which leads nowhere");
    desk.press("Restore it…");
    desk.until_shown("The data file is gone. The restored one takes its place");
    desk.until_shown("Integrate all 4 commits");
    desk.until_shown("Nothing is known after commit 4 of ");
    desk.press("Restore in place");
    desk.until("the data file to be open here", |_, s| {
        let own = |host: strongroom::engine::Host| host.process == std::process::id();
        s.jobs.is_empty() && s.data_files.first().is_some_and(|d| own(d.host) && d.lost_since.is_none() && is_on(s))
    });
    assert_eq!(notes(&path), 24, "every commit");
    desk.until_shown("Office.sqlite restored in place");
    assert!(!desk.is_shown("is gone, and "));
}

/// Nobody should be led in a circle: what was found damaged a moment ago is not proposed again.
#[test]
fn an_archive_that_a_restore_found_damaged_is_not_proposed_once_more() {
    let mut desk = Desk::new();
    let path = desk.open_data_file(20);
    desk.back_up(1);
    desk.back_up(2);
    let newest = desk.path("Backups/Office[0002].4BK");
    let mut bytes = fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 40].fill(7);
    desk.end_service();
    // At once: half of it would be an archive that cannot be read, and another one be proposed from the beginning.
    let damaged = desk.path("damaged");
    fs::write(&damaged, bytes).unwrap();
    fs::rename(&damaged, &newest).unwrap();
    for end in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{end}", path.display()));
    }
    desk.until_shown("Office.sqlite is gone, and ");
    desk.press("Restore it…");
    desk.until_shown("The data file is gone. The restored one takes its place");
    press_in_dialog(&mut desk, "Restore in place");
    desk.until_shown("is damaged");
    desk.until("the job to end", |_, s| s.jobs.is_empty());
    desk.press("Restore it…");
    desk.until_shown("Office[0001].4BK");
    press_in_dialog(&mut desk, "Restore in place");
    desk.until_shown("Office.sqlite restored in place");
    assert_eq!(notes(&path), 20);
}

/// The page below the dialog has a button of the same name.
fn press_in_dialog(desk: &mut Desk, label: &str) {
    desk.until(label, |h, _| {
        let dialog = h.query_all_by_role(Role::Dialog).next();
        let button = dialog.and_then(|dialog| dialog.query_by_role_and_label(Role::Button, label));
        button.is_some_and(|button| !button.accesskit_node().is_disabled())
    });
    desk.click_where(label, |h| {
        let label = label.to_owned();
        let wanted = move |node: &AccessKitNode<'_>| node.label().as_deref() == Some(label.as_str());
        h.query_by_role(Role::Dialog)?.query(by().role(Role::Button).predicate(wanted))
    });
}

#[test]
fn a_dialog_that_waits_for_a_service_which_dies_says_so_and_goes_on_by_itself() {
    let mut desk = Desk::new();
    let path = desk.open_data_file(20);
    desk.back_up(1);
    desk.ask_restore(1);
    desk.end_service();
    desk.until_shown("has ended");
    desk.until_shown("looked at again, by this window");
    desk.until_shown("Data file: Office.sqlite");
    desk.press("Restore archive 0001");
    desk.until_shown("Archive 0001 restored");
    // In place it is taken over first: only whoever looks after it writes its log.
    desk.press("Restore");
    desk.press("Restore 0001 in place…");
    desk.until_shown("nobody looks after the data file");
    press_in_dialog(&mut desk, "Take over");
    desk.until("the data file to be open here", |_, s| {
        s.data_files.first().is_some_and(|d| d.host.process == std::process::id() && d.lost_since.is_none())
    });
    press_in_dialog(&mut desk, "Restore in place");
    desk.until_shown("Office.sqlite restored in place");
    assert_eq!(notes(&path), 20);
}

#[test]
fn the_settings_dialog_asks_again_when_the_data_file_was_taken_over() {
    let mut desk = Desk::new();
    desk.open_data_file(20);
    desk.press("Settings…");
    desk.end_service();
    desk.until_shown("nothing can be changed");
    press_in_dialog(&mut desk, "Take over");
    desk.until("somebody to look after it", |_, s| s.data_files.first().is_some_and(|d| d.lost_since.is_none()));
    desk.click_on(Role::Tab, "Configuration");
    desk.harness.run_steps(4);
    let file = desk.path("Office.sqlite");
    desk.type_into("Backup file destination folder", &file.display().to_string());
    desk.until_shown("Office.sqlite is a file and no folder");
}

/// As `docker pause` and a disk that hangs leave it: the connection stands, and nothing comes.
#[test]
fn what_a_service_said_that_does_not_answer_any_more_is_not_claimed() {
    let mut desk = Desk::new();
    let path = desk.open_data_file(20);
    fs::create_dir(desk.path("logs")).unwrap();
    let log = Some(desk.path("logs/Office.journal"));
    desk.send(Command::UseLog { data_file: path.clone(), log, switch_to_wal: false });
    let is_on =
        |s: &Status| s.data_files.first().and_then(|d| d.log.as_ref()).is_some_and(|l| l.state == CaptureState::On);
    desk.until("the log", |_, s| is_on(s));
    desk.send(Command::Backup { job: JobId::new(), data_file: path.clone(), destination: None, options: None });
    desk.until_shown("Protected: every commit up to now can be restored");
    desk.signal_service("STOP");
    // Nobody has recorded this one.
    Connection::open(&path).unwrap().execute("INSERT INTO note(text) VALUES('more')", []).unwrap();
    desk.until_shown("whether commits are recorded is not known");
    assert!(desk.is_shown("Not known: whoever looks after it cannot be reached since "));
    assert!(desk.is_shown("Does not answer") && !desk.is_shown("Protected: every commit"));
    assert!(!desk.is_shown("Every commit is recorded"));
    desk.press("Overview");
    desk.until_shown("1 data file, 1 not known");
    desk.signal_service("CONT");
    desk.press("Maintenance");
    desk.until_shown("Protected: every commit up to now can be restored");
    assert!(!desk.is_shown("Does not answer"));
}
