//! Test restores that the engine makes by itself: after a backup, and every week.

use crate::support;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use strongroom::{
    engine::{
        Command, Handle, JobId, Status,
        history::{HistoryEntry, JobKind, Outcome},
    },
    settings::{
        Settings, SettingsFile,
        sections::{Drill, TestRestore},
    },
    warning::WarningKind,
};
use support::{
    Place,
    engine::{Sim, backup, engine, engine_at, foreign_commits, open_with_log, until},
    has, make_data_file, names_in,
};

fn change(place: &Place, data: &Path, edit: impl FnOnce(&mut Settings)) {
    let own = place.own().join("strongroom");
    SettingsFile::load(data, &own).unwrap().change(&own, edit).unwrap();
}

fn open(handle: &Handle, data: &Path) {
    handle.send(Command::OpenDataFile { path: data.to_path_buf() }).unwrap();
    until(handle, |s| s.data_file(data).is_some_and(|d| d.plan.is_some()));
}

/// The tests of this data file that ended, oldest first.
fn tests<'a>(status: &'a Status, data: &Path) -> Vec<&'a HistoryEntry> {
    let own = |e: &&HistoryEntry| {
        e.kind == JobKind::TestRestore
            && e.automatic
            && e.outcome != Outcome::Running
            && e.data_file.as_deref() == Some(data)
    };
    status.history.iter().rev().filter(own).collect()
}

fn failed(status: &Status, data: &Path) -> Option<String> {
    let warnings = &status.data_file(data)?.warnings;
    let found = |kind| warnings.iter().find(|w| w.kind == kind).map(|w| w.message.clone());
    assert_eq!(found(WarningKind::TestRestoreFailed), None, "it is said of the archive");
    found(WarningKind::ArchiveDamaged)
}

fn scratch(place: &Place) -> Vec<String> {
    strongroom::storage::await_clean_up();
    let mut names = names_in(&place.own().join("strongroom"));
    names.retain(|name| name.starts_with(".strongroom-scratch-"));
    names
}

#[test]
fn every_new_archive_is_tested_and_what_fails_is_urgent() {
    let place = Place::new();
    let (data, quiet): (PathBuf, PathBuf) = (place.at("a.sqlite"), place.at("never.sqlite"));
    drop(make_data_file(&data, "", 300));
    drop(make_data_file(&quiet, "", 300));
    change(&place, &quiet, |settings| settings.proof.test_restore = TestRestore::Never);
    let left = place.own().join("strongroom/.strongroom-scratch-left");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("running.lock"), "").unwrap();
    let engine = engine(&place);
    let handle = engine.handle();
    open(&handle, &data);
    open(&handle, &quiet);
    assert!(!left.exists(), "what a crash left is removed");
    backup(&handle, &quiet);
    let made = backup(&handle, &data);
    let status = until(&handle, |s| tests(s, &data).len() == 1);
    let entry = tests(&status, &data)[0];
    assert_eq!((entry.outcome, entry.number), (Outcome::Succeeded, Some(made.number)));
    let id = status.data_file(&data).unwrap().settings.data_file_id.unwrap();
    assert_eq!(status.proven.iter().find(|proof| proof.data_file_id == id).unwrap().archive, made.archive);
    assert!(scratch(&place).is_empty(), "{:?}", scratch(&place));

    // One that was damaged right after it was read back.
    let made = backup(&handle, &data);
    let mut bytes = fs::read(&made.archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 50].fill(0);
    fs::write(&made.archive, bytes).unwrap();
    let is_said = "archive 0002 is not sound, as a test restore found: ";
    let is_told = |s: &Status| failed(s, &data).is_some_and(|said| said.starts_with(is_said));
    let status = until(&handle, |s| is_told(s) && tests(s, &data).len() == 2);
    let said = failed(&status, &data).unwrap();
    assert_eq!(tests(&status, &data)[1].outcome, Outcome::Failed);
    // It is said until it is gone, whatever is proven of others.
    backup(&handle, &data);
    let status = until(&handle, |s| tests(s, &data).len() == 3);
    assert_eq!(tests(&status, &data)[2].outcome, Outcome::Succeeded);
    assert_eq!(failed(&status, &data), Some(said));
    fs::remove_file(&made.archive).unwrap();
    until(&handle, |s| failed(s, &data).is_none());
    assert!(tests(&handle.status(), &quiet).is_empty(), "the setting says never");
}

#[test]
fn a_data_file_can_be_closed_while_it_is_tested() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    drop(make_data_file(&data, "", 20_000));
    let engine = engine(&place);
    let handle = engine.handle();
    open(&handle, &data);
    backup(&handle, &data);
    until(&handle, |s| s.jobs.iter().any(|job| job.kind == JobKind::TestRestore) || !tests(s, &data).is_empty());
    handle.send(Command::CloseDataFile { path: data.clone() }).unwrap();
    until(&handle, |s| s.data_file(&data).is_none() && s.jobs.is_empty());
    assert!(scratch(&place).is_empty());
}

#[test]
fn a_drill_is_made_every_week() {
    if !has("sqlite3") {
        return;
    }
    let place = Place::new();
    let data = place.at("a.sqlite");
    drop(make_data_file(&data, "PRAGMA journal_mode=WAL", 300));
    change(&place, &data, |settings| {
        settings.proof.drill = Drill::EveryWeek;
        settings.proof.test_restore = TestRestore::Never;
    });
    let sim = Sim::at("2026-06-01 12:00");
    {
        let engine = engine_at(&place, sim.clock());
        let handle = engine.handle();
        open_with_log(&handle, &data, &place.at("Backups/a.journal"));
        backup(&handle, &data);
        foreign_commits(&data, "INSERT INTO k VALUES('one',1)");
        // The first one at once: nothing was ever proven.
        let status = until(&handle, |s| tests(s, &data).len() == 1);
        let entry = tests(&status, &data)[0];
        assert_eq!(entry.outcome, Outcome::Succeeded, "{entry:?}");
        assert!(entry.note.as_ref().unwrap().starts_with("The weekly drill"));
        // No other one in six days.
        sim.set("2026-06-07 12:00");
        backup(&handle, &data);
    }
    // Also when the program was ended meanwhile.
    let engine = engine_at(&place, sim.clock());
    let handle = engine.handle();
    handle.send(Command::OpenDataFile { path: data.clone() }).unwrap();
    until(&handle, |s| s.data_file(&data).is_some_and(|d| d.plan.is_some() && !d.log_starting));
    assert_eq!(tests(&handle.status(), &data).len(), 1);
    sim.set("2026-06-08 12:01");
    let status = until(&handle, |s| tests(s, &data).len() == 2);
    let last = tests(&status, &data)[1];
    assert_eq!((last.outcome, last.started.format("%m-%d").to_string()), (Outcome::Succeeded, "06-08".to_owned()));
    assert!(scratch(&place).is_empty());
}

#[test]
fn a_test_waits_for_a_job_that_runs_when_its_time_comes() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    let application = make_data_file(&data, "", 50);
    let engine = engine(&place);
    let handle = engine.handle();
    open(&handle, &data);
    backup(&handle, &data);
    // The verification waits for as long as a program has the file for itself.
    application.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let job = JobId::new();
    handle.send(Command::VerifyRecords { job, data_file: data.clone() }).unwrap();
    until(&handle, |s| s.job(job).is_some());
    // Longer than nothing else must have gone on.
    std::thread::sleep(Duration::from_secs(13));
    assert!(tests(&handle.status(), &data).is_empty());
    application.execute_batch("COMMIT").unwrap();
    let status = until(&handle, |s| tests(s, &data).len() == 1);
    assert_eq!(tests(&status, &data)[0].outcome, Outcome::Succeeded);
}

#[test]
fn a_test_waits_for_a_disk_that_is_away_and_says_nothing_against_the_archive() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    drop(make_data_file(&data, "", 50));
    let engine = engine(&place);
    let handle = engine.handle();
    open(&handle, &data);
    backup(&handle, &data);
    fs::rename(place.at("Backups"), place.at("away")).unwrap();
    // Longer than nothing else must have gone on.
    std::thread::sleep(Duration::from_secs(13));
    let urgent = |s: &Status| {
        let warnings = &s.data_file(&data).unwrap().warnings;
        warnings.iter().map(|w| w.kind).filter(|kind| kind.is_urgent()).collect::<Vec<_>>()
    };
    until(&handle, |s| urgent(s) == [WarningKind::PlaceMissing]);
    fs::rename(place.at("away"), place.at("Backups")).unwrap();
    let proven = |s: &Status| tests(s, &data).iter().any(|test| test.outcome == Outcome::Succeeded);
    let status = until(&handle, proven);
    assert!(urgent(&status).is_empty(), "{:?}", status.data_file(&data).unwrap().warnings);
}
