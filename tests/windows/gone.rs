//! One path in the window from "the data file is gone" to the file with every commit: while somebody looks after it,
//! and when nobody ever did here.

use crate::desk;

use std::{
    fs,
    path::{Path, PathBuf},
};

use desk::Desk;
use eframe::egui::Key;
use egui_kittest::kittest::Queryable;
use rusqlite::Connection;
use strongroom::{
    engine::{Command, JobId, Status, lost::damaged_archives},
    journal::CaptureState,
    settings::{
        Settings,
        sections::{Frequency, Scheduler},
    },
};

fn is_on(status: &Status) -> bool {
    let log = status.data_files.first().and_then(|d| d.log.as_ref());
    log.is_some_and(|log| log.state == CaptureState::On)
}

fn notes(path: &Path) -> i64 {
    Connection::open(path).unwrap().query_row("SELECT count(*) FROM note", [], |row| row.get(0)).unwrap()
}

/// A data file with a log in a folder of its own, backed up every day, and four commits after the backup.
fn protected(desk: &mut Desk) -> PathBuf {
    let path = desk.open_data_file(20);
    let log = desk.path("logs/Office.journal");
    fs::create_dir(desk.path("logs")).unwrap();
    let known = desk.status().data_files[0].settings.clone();
    let mut settings =
        Settings { scheduler: Scheduler { frequency: Frequency::EveryDay, ..Scheduler::default() }, ..known.clone() };
    settings.log.file = Some(log);
    let (data_file, revision) = (path.clone(), known.revision());
    desk.send(Command::ChangeSettings { data_file, settings, revision, switch_to_wal: false });
    desk.until("the log", |_, s| is_on(s));
    desk.send(Command::Backup { job: JobId::new(), data_file: path.clone(), destination: None, options: None });
    desk.until("the backup", |_, s| s.jobs.is_empty() && s.data_files.first().is_some_and(|d| d.archives.len() == 1));
    let conn = Connection::open(&path).unwrap();
    for _ in 0..4 {
        conn.execute("INSERT INTO note(text) VALUES('more')", []).unwrap();
    }
    desk.until("the commits", |_, s| s.data_files[0].log.as_ref().is_some_and(|log| log.commits == 4));
    path
}

fn delete(path: &Path) {
    for end in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{end}", path.display()));
    }
}

/// Schedule and log are as they were.
fn is_as_before(status: &Status) -> bool {
    let settings = status.data_files.first().map(|d| &d.settings);
    settings.is_some_and(|s| s.scheduler.frequency == Frequency::EveryDay && s.log.file.is_some()) && is_on(status)
}

#[test]
fn a_data_file_deleted_while_it_is_looked_after_comes_back_with_every_commit_and_its_settings() {
    let mut desk = Desk::new();
    let path = protected(&mut desk);
    delete(&path);
    fs::remove_file(desk.path("Office.strongroom.toml")).unwrap();
    desk.until_shown("Office.sqlite is gone");
    desk.press("Restore it…");
    desk.until_shown("The data file is gone. The restored one takes its place");
    desk.until_shown("Integrate all 4 commits");
    desk.press("Restore in place");
    desk.until_shown("Office.sqlite restored in place");
    desk.until_shown("The settings were lost too and were put back as they were last in force");
    desk.until("the log", |_, s| is_as_before(s));
    assert_eq!(notes(&path), 24, "every commit");
    assert!(!desk.is_shown("Office.sqlite is gone"));
}

/// What the command would take is proposed, the damage is said, and a restore that fails does not go by in silence.
#[test]
fn a_lost_data_file_is_restored_from_the_newest_archive_that_was_not_found_damaged() {
    let mut desk = Desk::new();
    let path = protected(&mut desk);
    let second = Command::Backup { job: JobId::new(), data_file: path.clone(), destination: None, options: None };
    desk.send(second);
    desk.until("the backup", |_, s| s.jobs.is_empty() && s.data_files.first().is_some_and(|d| d.archives.len() == 2));
    desk.send(Command::CloseDataFile { path: path.clone() });
    desk.until("it to be closed", |_, s| s.data_files.is_empty());
    let newest = desk.path("Backups/Office[0002].4BK");
    let mut bytes = fs::read(&newest).unwrap();
    let middle = bytes.len() / 4..bytes.len() * 3 / 4;
    bytes[middle].fill(0x5a);
    fs::write(&newest, bytes).unwrap();
    let job = JobId::new();
    desk.send(Command::Verify { job, archive: newest.clone(), segments: vec![], signed_by: None });
    desk.until("the verification", |_, s| s.finished_job(job).is_some_and(|done| done.result.is_err()));
    // Whoever looks next reads it in the Backup journal, perhaps in another process.
    let kept = desk.path("own/strongroom");
    desk.until("it to be kept", |_, _| damaged_archives(&kept).contains(&newest));
    delete(&path);
    desk.open(&path);
    desk.until_shown("Office.sqlite does not exist");
    desk.press("Restore it…");
    desk.until_shown("Found damaged beyond repair, and newer than this archive: 0002.");
    desk.until_shown("Office[0001].4BK");
    desk.until_shown("Integrate all 4 commits");
    // Whoever takes the damaged one all the same learns what came of it.
    desk.press("Another archive…");
    desk.until_shown("Folder above");
    desk.type_into("Path", &newest.display().to_string());
    desk.harness.key_press(Key::Enter);
    desk.until_shown("This archive was found damaged beyond repair.");
    desk.press("Restore in place");
    desk.until("the restore to fail", |_, s| {
        s.jobs.is_empty() && s.finished.first().is_some_and(|done| done.result.is_err())
    });
    let why = desk.status().finished[0].result.clone().unwrap_err();
    desk.until_shown(&format!("Restore in place failed: {}", why.message));
    desk.press("Restore it…");
    desk.until_shown("Integrate all 4 commits");
    desk.press("Restore in place");
    desk.until_shown("Office.sqlite restored in place");
    assert_eq!(notes(&path), 24, "every commit");
}

#[test]
fn a_data_file_that_nobody_here_ever_looked_after_is_restored_from_where_its_archives_are() {
    let mut desk = Desk::new();
    let path = protected(&mut desk);
    // What is left: the folder of archives, on another disk, and the log.
    desk.send(Command::CloseDataFile { path: path.clone() });
    desk.until("it to be closed", |_, s| s.data_files.is_empty());
    fs::create_dir(desk.path("rescued")).unwrap();
    fs::create_dir(desk.path("gone")).unwrap();
    fs::rename(desk.path("Backups"), desk.path("rescued/archives")).unwrap();
    let lost = desk.path("gone/Office.sqlite");
    fs::remove_dir(desk.path("gone")).unwrap();
    delete(&path);
    fs::remove_file(desk.path("Office.strongroom.toml")).unwrap();
    desk.open(&lost);
    desk.until_shown("gone/Office.sqlite does not exist");
    desk.press("Restore it…");
    desk.until_shown("Folder above");
    desk.type_into("Path", &desk.path("rescued/archives/Office[0001].4BK").display().to_string());
    desk.harness.key_press(Key::Enter);
    desk.until_shown("The data file is gone. The restored one takes its place");
    desk.until_shown("Integrate all 4 commits");
    desk.press("Restore in place");
    desk.until_shown("Office.sqlite restored in place");
    desk.until_shown("were put back from the archive");
    desk.until_shown("a full backup every day to ");
    desk.until_shown("The folder ");
    desk.until("the page", |h, s| is_as_before(s) && h.query_by_label_contains("Backup disk").is_some());
    assert_eq!(notes(&lost), 24, "every commit");
    assert_eq!(desk.status().data_files[0].settings.last_number, 1);
}
