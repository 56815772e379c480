//! A real disk that is full, and one that goes away: the protection by the log is shown as lost, the application goes
//! on, and the log goes on too when the disk is there again. Needs the right to mount a small file system; says so
//! without it.
#![cfg(target_os = "linux")]

use crate::support;

use std::fs;

use strongroom::{
    engine::{Command, Handle, Status},
    error::ErrorKind,
    journal::{CaptureState, CaptureStatus, integrate::Until},
    restore::Logs,
    storage::marker,
};
use support::{
    Place,
    disk::SmallDisk,
    engine::{backup, engine, open_with_log, restore, until},
    logical_content, make_data_file,
};

fn log(status: &Status) -> Option<CaptureStatus> {
    status.data_files.first().and_then(|d| d.log.clone())
}

fn until_state(handle: &Handle, wanted: impl Fn(CaptureState) -> bool) -> CaptureStatus {
    log(&until(handle, |s| log(s).is_some_and(|l| wanted(l.state)))).unwrap()
}

#[test]
fn a_full_disk_of_the_log_costs_no_commit_when_space_comes_back() {
    let place = Place::new();
    let Some(disk) = SmallDisk::mount(&place.at("small"), "160m") else { return };
    let data = place.at("a.sqlite");
    let application = make_data_file(&data, "PRAGMA journal_mode=WAL", 50);
    let engine = engine(&place);
    let handle = engine.handle();
    open_with_log(&handle, &data, &disk.0.join("a.journal"));
    let made = backup(&handle, &data);
    // A megabyte is left; what the application commits until it is seen that the disk is full has room afterwards.
    fs::write(disk.0.join("filler"), vec![1; 158 << 20]).unwrap();
    // The application commits on, far beyond what is left, and never fails.
    let mut n = 0;
    while until(&handle, |_| true).data_files[0].log.as_ref().unwrap().state == CaptureState::On {
        application.execute("INSERT INTO t(a, b) VALUES(?1, randomblob(20000))", [format!("full {n}")]).unwrap();
        n += 1;
        assert!(n < 5000, "the disk never was full");
    }
    let full = until_state(&handle, |s| s != CaptureState::On);
    assert!(matches!(full.state, CaptureState::Held | CaptureState::Lost), "{full:?}");
    let error = full.error.unwrap();
    assert_eq!(error.kind, ErrorKind::NoSpace);
    assert!(error.hint.unwrap().contains("Free space on that disk"));
    for n in 0..200 {
        application.execute("INSERT INTO t(a) VALUES(?1)", [format!("held {n}")]).unwrap();
    }
    fs::remove_file(disk.0.join("filler")).unwrap();
    let after = until_state(&handle, |s| s == CaptureState::On);
    assert_eq!(after.error, None);
    if full.state == CaptureState::Held {
        assert_eq!(after.catch_ups, 0, "nothing was missed, commit by commit");
    }
    restore(&handle, &made.archive, &place.at("to"), Logs::Found, Until::End);
    assert_eq!(logical_content(&place.at("to/a.sqlite")), logical_content(&data));
}

#[test]
fn a_log_whose_disk_is_away_at_the_start_is_opened_when_it_is_back() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    let Some(disk) = SmallDisk::mount(&place.at("small"), "2m") else { return };
    let application = make_data_file(&data, "PRAGMA journal_mode=WAL", 50);
    let path = disk.0.join("a.journal");
    {
        let engine = engine(&place);
        open_with_log(&engine.handle(), &data, &path);
        backup(&engine.handle(), &data);
    }
    let (kept, mark) = (fs::read(&path).unwrap(), fs::read(disk.0.join(marker::NAME)).unwrap());
    drop(disk);
    // Where the disk was, nothing can be written: as an administrator makes an empty mount point safe.
    fs::remove_dir(place.at("small")).unwrap();
    fs::write(place.at("small"), "not mounted").unwrap();
    let engine = engine(&place);
    let handle = engine.handle();
    handle.send(Command::OpenDataFile { path: data.clone() }).unwrap();
    let status = until(&handle, |s| s.data_files.first().is_some_and(|d| d.log_problem.is_some()));
    assert!(status.data_files[0].log.is_none());
    application.execute("INSERT INTO k VALUES('while it was away',1)", []).unwrap();
    fs::remove_file(place.at("small")).unwrap();
    let _disk = SmallDisk::mount(&place.at("small"), "2m").unwrap();
    fs::write(place.at("small").join(marker::NAME), mark).unwrap();
    fs::write(&path, kept).unwrap();
    // Nobody has to do anything.
    until_state(&handle, |s| s == CaptureState::On);
    let archive = place.at("Backups/a[0001].4BK");
    restore(&handle, &archive, &place.at("to"), Logs::Found, Until::End);
    assert_eq!(logical_content(&place.at("to/a.sqlite")), logical_content(&data));
}
