//! The lock trap: whatever this program does with a data file, no other process can slip past a lock because of us.

use crate::support;

use std::{path::Path, process::Command, time::Duration};

use rusqlite::Connection;
use strongroom::{
    control::Control,
    engine::{Command as Order, Config, Engine, JobId},
    restore::{self, RestoreOptions},
    settings::SettingsFile,
    sqlite::{data_file, snapshot::Snapshot},
    storage::{Disk, Ownership, space},
    verify,
};
use support::{Place, has, make_data_file, text};

/// What another process is told when it wants to write now.
fn foreign_write(data: &Path) -> Result<(), String> {
    let output = Command::new("sqlite3").arg(data).arg("INSERT INTO k VALUES(hex(randomblob(9)),1)").output().unwrap();
    if output.status.success() { Ok(()) } else { Err(text(&output.stderr)) }
}

#[test]
fn a_lock_that_we_hold_survives_everything_we_do() {
    if !has("sqlite3") {
        return;
    }
    let place = Place::new();
    let data = place.at("a.sqlite");
    drop(make_data_file(&data, "PRAGMA journal_mode=DELETE", 500));
    foreign_write(&data).unwrap();

    let held = Snapshot::begin(&data, Duration::ZERO, &Control::default()).unwrap();
    assert!(foreign_write(&data).unwrap_err().contains("locked"));
    // Everything the program does with a data file, in the process that holds the lock.
    data_file::identify(&data).unwrap();
    data_file::measure(&data).unwrap();
    Ownership::of(&data);
    space::disk_space(&data).unwrap();
    // The data file under the names of an archive, of a leftover and of a log: none of them is opened.
    std::fs::create_dir(place.at("Backups")).unwrap();
    for name in ["Backups/a[0001].4BK", "Backups/a[0009].4BK.part", "Backups/a[0000].4BL"] {
        std::fs::hard_link(&data, place.at(name)).unwrap();
    }
    let disguised = place.at("Backups/a[0001].4BK");
    assert!(verify::run(&disguised, &Control::default()).unwrap_err().message().ends_with("is a data file in use"));
    assert!(restore::plan(&disguised, &restore::Logs::Found).is_err());
    // By which of its names programs use it cannot be told.
    assert!(place.backup(&data).unwrap_err().message().contains("hard links"));
    for name in ["Backups/a[0001].4BK", "Backups/a[0009].4BK.part", "Backups/a[0000].4BL"] {
        std::fs::remove_file(place.at(name)).unwrap();
    }
    let report = place.backup(&data).unwrap();
    verify::run(&report.archive, &Control::default()).unwrap();
    restore::run(&Disk, &report.archive, &RestoreOptions::all(&place.at("to")), &Control::default()).unwrap();
    drop(Snapshot::begin(&data, Duration::ZERO, &Control::default()).unwrap());
    let engine = Engine::start(Config::private(&place.own())).unwrap();
    let handle = engine.handle();
    handle.send(Order::OpenDataFile { path: data.clone() }).unwrap();
    while handle.status().data_files.first().is_none_or(|d| d.plan.is_none()) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let job = JobId::new();
    handle.send(Order::Backup { job, data_file: data.clone(), destination: None, options: None }).unwrap();
    while handle.status().finished_job(job).is_none() {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(handle.status().finished_job(job).unwrap().result.is_ok());
    drop(engine);
    assert!(foreign_write(&data).unwrap_err().contains("locked"), "the lock was dropped by something above");
    drop(held);
    foreign_write(&data).unwrap();
}

#[test]
fn a_lock_that_an_application_holds_in_our_process_survives_too() {
    if !has("sqlite3") {
        return;
    }
    let place = Place::new();
    let data = place.at("a.sqlite");
    let application = make_data_file(&data, "PRAGMA journal_mode=WAL", 500);
    application.execute_batch("BEGIN IMMEDIATE; INSERT INTO k VALUES('ours',1)").unwrap();
    data_file::identify(&data).unwrap();
    // Attachments that are the data file and the index of its WAL under other names.
    std::fs::create_dir(place.at("files")).unwrap();
    for (end, name) in [("", "one"), ("-shm", "two"), ("-wal", "three")] {
        std::fs::hard_link(place.at(&format!("a.sqlite{end}")), place.at("files").join(name)).unwrap();
    }
    let attachments = [place.at("files"), place.at("a.sqlite-shm")];
    let mut settings = SettingsFile::load(&data, &place.own()).unwrap();
    settings.change(&place.own(), |s| s.content.attachments = attachments.to_vec()).unwrap();
    let report = place.backup(&data).unwrap();
    assert_eq!((report.content.files, report.content.left_out_count), (1, 3), "{:?}", report.content);
    assert!(foreign_write(&data).unwrap_err().contains("locked"), "the write lock was dropped");
    application.execute_batch("COMMIT").unwrap();
    foreign_write(&data).unwrap();
    restore::run(&Disk, &report.archive, &RestoreOptions::all(&place.at("to")), &Control::default()).unwrap();
    let restored = Connection::open(place.at("to/a.sqlite")).unwrap();
    let ours: i64 = restored.query_row("SELECT count(*) FROM k WHERE k='ours'", [], |r| r.get(0)).unwrap();
    assert_eq!(ours, 0, "an open transaction is in no archive");
}

#[test]
fn nothing_is_ever_written_to_the_data_file() {
    if !has("b2sum") {
        return;
    }
    for journal in ["WAL", "DELETE"] {
        let place = Place::new();
        let data = place.at("a.sqlite");
        let application = make_data_file(&data, &format!("PRAGMA journal_mode={journal}"), 500);
        application.execute_batch("INSERT INTO k VALUES('last',1)").unwrap();
        let image = |path: &Path| {
            // Through another process, so that the lock trap is not sprung by the test itself.
            text(&Command::new("b2sum").arg(path).output().unwrap().stdout)
        };
        let wal = place.at("a.sqlite-wal");
        let before = (image(&data), image(&wal));
        data_file::identify(&data).unwrap();
        place.backup(&data).unwrap();
        assert_eq!((image(&data), image(&wal)), before, "{journal}");
        drop(application);
    }
}
