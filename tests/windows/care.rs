//! Care of the data file in the window: verified with its report, compacted, and what needs attention.

use crate::desk;

use std::{fs, path::Path, process::Command as Process};

use desk::{Desk, make_data_file};
use eframe::egui::accesskit::Role;
use egui_kittest::kittest::{NodeT, Queryable};
use rusqlite::Connection;
use strongroom::{
    engine::{Command, JobId, Status},
    journal::CaptureState,
};

#[test]
fn records_are_verified_and_the_report_can_be_read() {
    // So high that the whole page is seen.
    let mut desk = Desk::of_size(1180.0, 1600.0);
    let path = desk.open_data_file(200);
    desk.press("Verify");
    desk.until_shown("The records and indexes of Office.sqlite are sound");
    desk.press("Put the result away");
    desk.press("View report");
    desk.until_shown("2 tables and indexes, no damage found");
    assert!(desk.harness.query_by_label("table note, Sound").is_some(), "{:#?}", desk.texts());
    desk.press("Close");
    // Damage is named, said at the head of the page, and stays to be seen.
    desk.until("the dialog to close", |h, _| h.query_by_role_and_label(Role::Button, "Copy report").is_none());
    Connection::open(&path).unwrap().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let page = bytes.len() / 2 / 4096 * 4096;
    bytes[page..page + 600].fill(0xaa);
    fs::write(&path, bytes).unwrap();
    desk.press("Verify");
    desk.until_shown("table note is damaged");
    desk.press("Put the result away");
    desk.until_shown("With problems");
    desk.until_shown("Needs attention");
    desk.press("View report");
    desk.until_shown("table note, Damaged");
}

#[test]
fn compacting_says_before_what_it_needs_and_frees() {
    let mut desk = Desk::of_size(1180.0, 1600.0);
    let path = desk.open_data_file(2000);
    Connection::open(&path).unwrap().execute("DELETE FROM note WHERE id>1000", []).unwrap();
    let before = fs::metadata(&path).unwrap().len();
    desk.press("Compact data…");
    desk.until_shown("beside the data file");
    desk.until("what becomes free", |h, s| {
        s.data_files[0].facts.free_pages > 0 && h.query_all_by_label_contains("at least").next().is_some()
    });
    desk.press("Compact");
    desk.until_shown("Office.sqlite was compacted");
    assert!(fs::metadata(&path).unwrap().len() < before);
    desk.until("the date", |_, s| s.data_files[0].maintenance.last_compact.is_some());
}

#[test]
#[cfg(unix)]
fn what_an_older_file_lacks_is_integrated_from_its_warning() {
    let mut desk = Desk::new();
    fs::write(desk.path("Office.strongroom.toml"), "[restore]\nintegrate-log = false\n").unwrap();
    let path = desk.open_data_file(20);
    let log = Some(desk.path("Backups/Office.journal"));
    desk.send(Command::UseLog { data_file: path.clone(), log, switch_to_wal: false });
    let runs =
        |s: &Status| s.data_files.first().and_then(|d| d.log.as_ref()).is_some_and(|l| l.state == CaptureState::On);
    desk.until("the log", |_, s| runs(s));
    desk.back_up(1);
    // By a process of its own: one that closed the file here would take the engine's locks away.
    let copy = |from: &Path, to: &Path| assert!(Process::new("cp").arg(from).arg(to).status().unwrap().success());
    let count = |path: &Path| -> i64 {
        Connection::open(path).unwrap().query_row("SELECT count(*) FROM note", [], |row| row.get(0)).unwrap()
    };
    let settle = || {
        Connection::open(&path).unwrap().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    };
    desk.send(Command::CloseDataFile { path: path.clone() });
    desk.until("it to be closed", |_, s| s.data_files.is_empty());
    settle();
    let older = desk.path("older");
    copy(&path, &older);
    desk.open(&path);
    desk.until("the log", |_, s| runs(s));
    for _ in 0..4 {
        Connection::open(&path).unwrap().execute("INSERT INTO note(text) VALUES('more')", []).unwrap();
    }
    desk.send(Command::CloseDataFile { path: path.clone() });
    desk.until("it to be closed again", |_, s| s.data_files.is_empty());
    settle();
    fs::remove_file(&path).unwrap();
    copy(&older, &path);
    desk.open(&path);
    desk.until_shown("it lacks 4 commits that its log holds");
    desk.press("Maintenance");
    desk.press("Integrate…");
    desk.until_shown("Leads to commit 4");
    assert_eq!(count(&path), 20);
    desk.press("Restore in place");
    desk.until("the warning to go", |h, s| {
        s.jobs.is_empty() && h.query_all_by_label_contains("it lacks 4 commits").next().is_none()
    });
    assert_eq!(count(&path), 24);
}

#[test]
fn suspended_backups_are_said_until_a_retry_succeeds() {
    let mut desk = Desk::new();
    let path = desk.path("Office.sqlite");
    make_data_file(&path, 10);
    fs::write(desk.path("in the way"), "a file").unwrap();
    let folder = desk.path("in the way").join("Backups");
    let settings = format!(
        "[scheduler]\nfrequency = \"every day\"\n[destination]\nfolder = {folder:?}\n[failure]\ncancel = \
         true\ncancel-after = 1\n"
    );
    fs::write(desk.path("Office.strongroom.toml"), settings).unwrap();
    desk.open(&path);
    desk.until("the schedule", |_, s| s.data_files.first().is_some_and(|d| d.automatic.is_some()));
    desk.until("the day of the next one", |h, s| {
        let next = s.data_files[0].next_backup.map(|next| next.format("%A, %Y-%m-%d %H:%M").to_string());
        next.is_some_and(|next| h.query_all_by_label_contains(&next).next().is_some())
    });
    desk.send(Command::RetryNow { job: JobId::new(), data_file: path.clone() });
    desk.until("the suspension", |_, s| {
        s.data_files[0].automatic.as_ref().is_some_and(|a| a.suspended.is_some()) && s.jobs.is_empty()
    });
    desk.until_shown("Needs attention");
    desk.until_shown("Automatic backups are suspended since");
    desk.until_shown("Backups are suspended");
    assert!(desk.harness.query_by_label("Suspended").is_some());
    // The cause is removed.
    desk.send(Command::SetDestination { data_file: path.clone(), folder: desk.path("Backups") });
    desk.until("the folder", |_, s| s.data_files[0].plan.is_some());
    desk.press("Retry now");
    desk.until("the backup", |_, s| s.jobs.is_empty() && !s.data_files[0].archives.is_empty());
    desk.until("an end of it", |h, _| h.query_by_label("Needs attention").is_none());
    assert!(desk.harness.query_by_label("Suspended").is_none());
}

#[test]
#[cfg(unix)]
fn a_copy_is_given_an_identity_of_its_own_from_its_warning() {
    let mut desk = Desk::new();
    let original = desk.path("original");
    fs::create_dir(&original).unwrap();
    desk.open_data_file(20);
    desk.back_up(1);
    // What was backed up becomes the original, and what is open its copy.
    let copied = |name: &str| {
        assert!(Process::new("cp").arg("-a").arg(desk.path(name)).arg(&original).status().unwrap().success())
    };
    ["Office.sqlite", "Office.strongroom.toml"].into_iter().for_each(copied);
    let settings = fs::read_to_string(desk.path("Office.strongroom.toml")).unwrap();
    let noted =
        |folder: &Path| format!("path = \"{}\"", folder.canonicalize().unwrap().join("Office.sqlite").display());
    let (here, there) = (noted(desk.path("Office.sqlite").parent().unwrap()), noted(&original));
    assert!(settings.contains(&here), "{settings}");
    for folder in [desk.path("."), original.clone()] {
        fs::write(folder.join("Office.strongroom.toml"), settings.replace(&here, &there)).unwrap();
    }
    let shared = |s: &Status| s.data_files[0].shared.len();
    desk.until("the settings to be read", |_, s| shared(s) == 1);
    desk.until_shown("is a copy of");
    desk.press("Give it its own identity");
    desk.until("its own identity", |_, s| shared(s) == 0 && s.data_files[0].settings.last_number == 0);
    let now = fs::read_to_string(desk.path("Office.strongroom.toml")).unwrap();
    assert!(now.contains(&here) && now.contains("former-ids"), "{now}");
    // Put back, the old ones name the other one: those with its own identity stay in force.
    fs::write(desk.path("Office.strongroom.toml"), settings.replace(&here, &there)).unwrap();
    let is_told = |s: &Status| {
        s.data_files[0].settings_problem.as_ref().is_some_and(|p| p.message.contains("they name another data file"))
    };
    desk.until("the mistake", |_, s| is_told(s) && shared(s) == 0);
}

#[test]
fn the_tables_are_told_with_what_came_since_the_backup_and_compacting_is_offered() {
    // So high that the whole page is seen.
    let mut desk = Desk::of_size(1180.0, 1600.0);
    let path = desk.open_data_file(3000);
    desk.back_up(1);
    // By a process of its own, as an application is one.
    let sql = "DELETE FROM note WHERE id>100; CREATE TABLE late(a, b, c); INSERT INTO late VALUES(1, 2, 3); \
               CREATE INDEX late_a ON late(a)";
    if !Process::new("sqlite3").arg(&path).arg(sql).status().is_ok_and(|status| status.success()) {
        return;
    }
    let row = |desk: &Desk, begins: &str| desk.rows(begins).pop().unwrap_or_default();
    desk.press("Information…");
    desk.until("the tables", |h, _| {
        h.query_by_role_and_label(Role::Button, "Look again").is_some_and(|again| !again.accesskit_node().is_disabled())
    });
    let note = row(&desk, "Table note");
    assert!(note.starts_with("Table note, records 100, since backup −2\u{a0}900, "), "{note}");
    let late = row(&desk, "Table late");
    assert!(late.starts_with("Table late, records 1, since backup New, "), "{late}");
    assert!(late.contains("table size 4.0 KB"), "{late}");
    let own = row(&desk, "Table SQLite’s own");
    assert!(own.contains("records –"), "{own}");
    desk.until_shown("0001 of 20");

    // One is selected, by the keyboard as well, and copied; so is all of it.
    desk.press_row("Table late");
    desk.until_shown("Indexes of late: late_a 4.0 KB.");
    desk.harness.get_by_role_and_label(Role::ListBox, "Tables of the data file").focus();
    desk.harness.run_steps(4);
    desk.harness.key_press(eframe::egui::Key::ArrowDown);
    desk.until_shown("note has no indexes.");
    let copied = |desk: &Desk| {
        desk.harness.output().platform_output.commands.iter().find_map(|command| match command {
            eframe::egui::OutputCommand::CopyText(text) => Some(text.clone()),
            _ => None,
        })
    };
    desk.harness.event(eframe::egui::Event::Copy);
    desk.harness.step();
    let text = copied(&desk).unwrap();
    assert!(text.starts_with("note\t100\t−2\u{a0}900\t2\t0\t"), "{text}");
    desk.harness.get_by_role_and_label(Role::Button, "Copy table").click();
    desk.harness.step();
    let text = copied(&desk).unwrap();
    assert!(text.starts_with("Table\tRecords\tSince backup\t") && text.lines().count() == 4, "{text}");

    // What is asked anew is seen anew, and most of the file is free.
    let more = "INSERT INTO late SELECT * FROM late";
    assert!(Process::new("sqlite3").arg(&path).arg(more).status().unwrap().success());
    desk.press("Look again");
    desk.until("the new record", |h, _| h.query_by_label_contains("Table late, records 2, since backup New").is_some());
    desk.until_shown("of the data file is not in use");
    desk.harness.get_all_by_role_and_label(Role::Button, "Compact data…").last().unwrap().click();
    desk.until_shown("beside the data file");
    desk.press("Cancel");
    desk.until("the dialog to close", |h, _| h.query_by_role(Role::Dialog).is_none());
}
