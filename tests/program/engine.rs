//! The engine through its one door.

use crate::support;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use strongroom::{
    engine::{
        Command, Config, Engine, Event, Handle, JobId, Status,
        history::{JobKind, Outcome},
        status::JobReport,
    },
    error::ErrorKind,
    journal::integrate::Until,
    restore::Logs,
    settings::SettingsFile,
};
use support::{Place, engine::look, make_data_file, names_in};

fn engine(place: &Place) -> Engine {
    let program = Some(support::PROGRAM.into());
    Engine::start(Config { program, ..Config::private(&place.own().join("strongroom")) }).unwrap()
}

/// Waits until the status is as wanted; the limit only ends a test that has failed.
fn until(handle: &Handle, wanted: impl Fn(&Status) -> bool) -> std::sync::Arc<Status> {
    let begun = Instant::now();
    loop {
        let status = handle.status();
        if wanted(&status) {
            return status;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "never came about: {status:#?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn open(handle: &Handle, path: &Path) {
    handle.send(Command::OpenDataFile { path: path.to_path_buf() }).unwrap();
    until(handle, |s| s.data_file(path).is_some_and(|d| d.plan.is_some()));
}

fn backup(handle: &Handle, data_file: &Path) -> Result<JobReport, strongroom::error::ErrorReport> {
    let job = JobId::new();
    handle.send(Command::Backup { job, data_file: data_file.to_path_buf(), destination: None, options: None }).unwrap();
    until(handle, |s| s.finished_job(job).is_some()).finished_job(job).unwrap().result.clone()
}

#[test]
fn a_backup_is_seen_in_status_history_and_news() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "", 500);
    let engine = engine(&place);
    let handle = engine.handle();
    let events = handle.events();
    open(&handle, &data);
    let before = handle.status();
    let before = before.data_file(&data).unwrap();
    assert!(before.last_backup.is_none() && before.destination_is_default && !before.is_sample);
    assert_eq!(before.plan.as_ref().unwrap().number.0, 1);
    let Ok(JobReport::Backup(report)) = backup(&handle, &data) else { panic!("failed") };
    let status = until(&handle, |s| s.data_file(&data).unwrap().archives.len() == 1);
    let after = status.data_file(&data).unwrap();
    assert_eq!(after.archives[0].path, report.archive);
    assert_eq!(after.last_backup.as_ref().unwrap().outcome, Outcome::Succeeded);
    assert_eq!(after.plan.as_ref().unwrap().number.0, 2);
    let entry = &status.history[0];
    assert_eq!((entry.kind, entry.outcome, entry.bytes), (JobKind::Backup, Outcome::Succeeded, Some(report.bytes)));
    let news: Vec<Event> = events.try_iter().collect();
    assert!(
        matches!(news[..], [Event::DataFileOpened { .. }, Event::JobStarted(_), Event::JobFinished(_), ..]),
        "{news:#?}"
    );
    // All of it is plain data.
    let sent = serde_json::to_string(&*status).unwrap();
    assert_eq!(serde_json::from_str::<Status>(&sent).unwrap(), *status);
}

#[test]
fn the_second_engine_on_a_data_file_is_refused() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "", 10);
    let first = engine(&place);
    open(&first.handle(), &data);
    let second = engine(&place);
    second.handle().send(Command::OpenDataFile { path: data.clone() }).unwrap();
    let status = until(&second.handle(), |s| !s.refused.is_empty());
    assert_eq!(status.refused[0].error.kind, ErrorKind::InUse);
    let output = place.run(&["backup", data.to_str().unwrap()]);
    assert!(support::text(&output.stderr).contains("is looked after by another Strongroom (process"));
    drop(first);
    open(&second.handle(), &data);
}

#[test]
fn files_that_can_not_be_used_are_refused_with_the_reason() {
    let place = Place::new();
    let engine = engine(&place);
    let handle = engine.handle();
    fs::write(place.at("text"), "hello").unwrap();
    fs::write(place.at("empty"), "").unwrap();
    for (name, kind) in [
        ("text", ErrorKind::NotRecognised),
        ("empty", ErrorKind::Empty),
        ("gone", ErrorKind::NotFound),
        ("", ErrorKind::WrongType),
    ] {
        let path = place.at(name);
        handle.send(Command::OpenDataFile { path: path.clone() }).unwrap();
        let status = until(&handle, |s| s.refused.iter().any(|r| r.path == path));
        assert_eq!(status.refused[0].error.kind, kind);
        assert!(status.refused[0].error.hint.is_some());
    }
}

#[test]
fn what_the_next_backup_needs_is_estimated_again_when_the_data_file_has_grown() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "", 10);
    let engine = engine(&place);
    let handle = engine.handle();
    open(&handle, &data);
    let before = handle.status().data_file(&data).unwrap().clone();
    support::engine::foreign_commits(&data, "CREATE TABLE more AS SELECT randomblob(3000000); PRAGMA wal_checkpoint");
    until(&handle, |status| {
        let now = status.data_file(&data).unwrap();
        let required = |d: &strongroom::engine::status::DataFileStatus| d.plan.as_ref().unwrap().required_bytes;
        required(now) > required(&before) + 2_000_000 && now.facts.tables == before.facts.tables + 1
    });
}

#[test]
fn the_chosen_folder_is_kept_and_used() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "", 10);
    let folder = place.at("another folder");
    {
        let engine = engine(&place);
        open(&engine.handle(), &data);
        engine.handle().send(Command::SetDestination { data_file: data.clone(), folder: folder.clone() }).unwrap();
        until(&engine.handle(), |s| s.data_file(&data).unwrap().destination == folder);
    }
    let engine = engine(&place);
    open(&engine.handle(), &data);
    backup(&engine.handle(), &data).unwrap();
    assert_eq!(names_in(&folder), ["a[0001].4BK"]);
    // Edited by hand: picked up; a mistake is said and the last good settings stay in force.
    let settings = place.at("a.strongroom.toml");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, text.replace("another folder", "third")).unwrap();
    until(&engine.handle(), |s| s.data_file(&data).unwrap().destination == place.at("third"));
    fs::write(&settings, "[destination]\nfolder = 3\n").unwrap();
    let status = until(&engine.handle(), |s| s.data_file(&data).unwrap().settings_problem.is_some());
    assert_eq!(status.data_file(&data).unwrap().destination, place.at("third"));
    assert_eq!(SettingsFile::load(&data, &place.own()).unwrap_err().kind(), ErrorKind::Settings);
}

#[test]
fn restore_verify_and_a_look_at_an_archive() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "", 500);
    let engine = engine(&place);
    let handle = engine.handle();
    open(&handle, &data);
    let Ok(JobReport::Backup(made)) = backup(&handle, &data) else { panic!("failed") };
    let plan = look(&handle, &made.archive, &[]).result.unwrap();
    assert_eq!(plan.items.len(), 3);
    let (first, second, third) = (JobId::new(), JobId::new(), JobId::new());
    let restore = |job| Command::Restore {
        job,
        archive: made.archive.clone(),
        items: vec![],
        destination: plan.destination.clone(),
        logs: Logs::Found,
        until: Until::End,
        segments: vec![],
    };
    handle.send(restore(first)).unwrap();
    until(&handle, |s| s.finished_job(first).is_some());
    handle.send(restore(second)).unwrap();
    let status = until(&handle, |s| s.finished_job(second).is_some());
    assert!(status.finished_job(first).unwrap().result.is_ok());
    assert_eq!(status.finished_job(second).unwrap().result.as_ref().unwrap_err().kind, ErrorKind::Exists);
    handle.send(Command::Verify { job: third, archive: made.archive, segments: vec![], signed_by: None }).unwrap();
    let status = until(&handle, |s| s.finished_job(third).is_some());
    assert!(status.finished_job(third).unwrap().result.is_ok());
    let kinds: Vec<_> = status.history.iter().map(|e| (e.kind, e.outcome)).collect();
    assert_eq!(
        kinds,
        [
            (JobKind::Verify, Outcome::Succeeded),
            (JobKind::Restore, Outcome::Failed),
            (JobKind::Restore, Outcome::Succeeded),
            (JobKind::Backup, Outcome::Succeeded)
        ]
    );
}

#[test]
fn a_job_cut_off_by_a_crash_is_shown_as_interrupted() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "", 60_000);
    let part = place.at("Backups/a[0001].4BK.part");
    let mut child = place.program().arg("backup").arg(&data).stdout(std::process::Stdio::null()).spawn().unwrap();
    while !part.exists() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    let cut_off = !child.wait().unwrap().success();
    let engine = engine(&place);
    let status = engine.handle().status();
    let expected = if cut_off { Outcome::Interrupted } else { Outcome::Succeeded };
    assert_eq!(status.history[0].outcome, expected);
    open(&engine.handle(), &data);
    assert!(!part.exists(), "the leftover is cleaned at the next start");
}

#[test]
fn stop_ends_a_job_and_says_so() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    let writer = make_data_file(&data, "PRAGMA journal_mode=DELETE", 100);
    let engine = engine(&place);
    let handle = engine.handle();
    open(&handle, &data);
    // Held up by a lock, so that it surely runs when it is stopped.
    writer.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let job = JobId::new();
    handle.send(Command::Backup { job, data_file: data.clone(), destination: None, options: None }).unwrap();
    until(&handle, |s| s.job(job).is_some());
    let again = backup(&handle, &data).unwrap_err();
    assert_eq!(again.kind, ErrorKind::Refused);
    handle.send(Command::CloseDataFile { path: data.clone() }).unwrap();
    handle.send(Command::Stop { job }).unwrap();
    let status = until(&handle, |s| s.finished_job(job).is_some());
    let error = status.finished_job(job).unwrap().result.clone().unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Stopped | ErrorKind::Busy), "{error:?}");
    assert!(status.data_file(&data).is_some(), "not closed while a job ran");
    writer.execute_batch("COMMIT").unwrap();
    backup(&handle, &data).unwrap();
    handle.send(Command::CloseDataFile { path: data.clone() }).unwrap();
    until(&handle, |s| s.data_files.is_empty());
}

#[test]
fn the_sample_is_made_opened_and_edited_by_a_process_of_its_own() {
    let place = Place::new();
    let engine = engine(&place);
    let handle = engine.handle();
    let (job, folder) = (JobId::new(), place.at("office"));
    handle.send(Command::CreateSample { job, folder: folder.clone() }).unwrap();
    let data = folder.join("OMB_Edelweiss.sqlite");
    until(&handle, |s| s.data_file(&data).is_some_and(|d| d.is_sample && d.plan.is_some()));
    let before = handle.status().data_file(&data).unwrap().facts.modified;
    handle.send(Command::StartSampleClient { data_file: data.clone() }).unwrap();
    let status = until(&handle, |s| s.data_file(&data).unwrap().facts.modified > before);
    assert!(status.data_file(&data).unwrap().sample_client.is_some());
    backup(&handle, &data).unwrap();
    handle.send(Command::StopSampleClient { data_file: data.clone() }).unwrap();
    until(&handle, |s| s.data_file(&data).unwrap().sample_client.is_none());
}

#[test]
fn a_journal_that_can_not_be_kept_is_said_and_stops_no_backup() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "", 10);
    fs::write(place.at("file"), "").unwrap();
    let config = Config { data_dir: place.at("file/below"), ..Config::private(&place.own()) };
    let engine = Engine::start(config).unwrap();
    assert!(engine.handle().status().history_problem.is_some());
    open(&engine.handle(), &data);
    backup(&engine.handle(), &data).unwrap();
}
