//! The program that the settings name is told how every job ended, and can hold up nothing.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, missing_docs)]

mod support;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::Value;
use strongroom::{
    engine::{
        Command, JobId, Status,
        history::{HistoryEntry, JobKind, Outcome},
    },
    settings::SettingsFile,
};
use support::{
    Place,
    engine::{backup, engine, until},
    make_data_file,
};

/// A program of one's own, named in the settings of the data file.
fn told(place: &Place, data: &Path, script: &str) -> PathBuf {
    let program = place.at("told.sh");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let own = place.own().join("strongroom");
    let command = vec![program.to_str().unwrap().to_owned(), "an argument".to_owned()];
    SettingsFile::load(data, &own).unwrap().change(&own, |s| s.on_finish = command).unwrap();
    program
}

fn failures(status: &Status) -> Vec<&HistoryEntry> {
    status.history.iter().filter(|e| e.kind == JobKind::OnFinish).collect()
}

/// What a program wrote, once it is whole.
fn json_in(path: &Path) -> Value {
    let begun = Instant::now();
    loop {
        if let Some(value) = fs::read_to_string(path).ok().and_then(|text| serde_json::from_str(&text).ok()) {
            return value;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing was written");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn it_gets_the_result_as_json_on_standard_input() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "", 10);
    told(&place, &data, "cat > \"$PWD/$1.json\"");
    let engine = engine(&place);
    let handle = engine.handle();
    handle.send(Command::OpenDataFile { path: data.clone() }).unwrap();
    until(&handle, |s| s.data_file(&data).is_some());
    let made = backup(&handle, &data);
    let file = place.at("an argument.json");
    let json = json_in(&file);
    assert_eq!(
        (&json["kind"], &json["outcome"], &json["automatic"]),
        (&"backup".into(), &"succeeded".into(), &false.into())
    );
    assert_eq!(json["path"], made.archive.to_str().unwrap());
    assert_eq!((json["number"].as_u64(), json["bytes"].as_u64()), (Some(1), Some(made.bytes)));
    assert!(json["program"].as_str().unwrap().starts_with("Strongroom ") && json["error"].is_null());
    assert!(json["data_file"] == data.to_str().unwrap());
    assert!(!json["warnings"].as_array().unwrap().iter().any(|w| w["kind"] == "no-backup"), "{json}");
    assert_eq!(json["urgent"], false);
    fs::remove_file(&file).unwrap();
    // Of a failure too, with what can be done.
    fs::rename(place.at("Backups"), place.at("kept")).unwrap();
    fs::write(place.at("Backups"), "in the way").unwrap();
    handle
        .send(Command::Backup { job: JobId::new(), data_file: data.clone(), destination: None, options: None })
        .unwrap();
    let json = json_in(&file);
    assert_eq!(json["outcome"], "failed");
    assert!(json["error"]["message"].is_string() && json["error"]["hint"].is_string(), "{json}");
    assert!(json["warnings"].as_array().unwrap().iter().any(|w| w["kind"] == "backup-failed"), "{json}");
    assert_eq!(json["urgent"], true);
    assert_eq!(failures(&handle.status()), Vec::<&HistoryEntry>::new());
    // A command for one job tells it as well, and waits for it before it ends.
    fs::remove_file(place.at("Backups")).unwrap();
    fs::rename(place.at("kept"), place.at("Backups")).unwrap();
    fs::remove_file(&file).unwrap();
    drop(engine);
    assert!(place.run(&["backup", data.to_str().unwrap()]).status.success());
    assert_eq!(json_in(&file)["number"], 2);
}

#[test]
fn one_that_fails_is_recorded_and_stops_nothing() {
    for (script, expected) in [
        ("echo said something; echo then this >&2; exit 3", ["ended with exit status: 3", ": then this"]),
        ("exec 0<&-; exit 7", ["ended with exit status: 7", ""]),
        ("head -c 3000000 /dev/zero; echo end >&2; exit 1", ["ended with exit status: 1", ": end"]),
    ] {
        let place = Place::new();
        let data = place.at("a.sqlite");
        make_data_file(&data, "", 10);
        told(&place, &data, script);
        let engine = engine(&place);
        let handle = engine.handle();
        handle.send(Command::OpenDataFile { path: data.clone() }).unwrap();
        until(&handle, |s| s.data_file(&data).is_some());
        backup(&handle, &data);
        let status = until(&handle, |s| !failures(s).is_empty());
        let line = failures(&status)[0];
        let message = &line.error.as_ref().unwrap().message;
        assert_eq!(line.outcome, Outcome::Failed);
        assert!(expected.iter().all(|part| message.contains(part)), "{message}");
        let problem = status.data_file(&data).unwrap().on_finish_problem.clone().unwrap();
        assert_eq!(&problem.message, message);
        assert_eq!(status.history.iter().filter(|e| e.outcome == Outcome::Succeeded).count(), 1);
        // A program that works again takes the warning away.
        told(&place, &data, "exit 0");
        until(&handle, |s| s.data_file(&data).unwrap().settings.on_finish.len() == 2);
        backup(&handle, &data);
        until(&handle, |s| s.data_file(&data).unwrap().on_finish_problem.is_none());
    }
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "", 10);
    fs::remove_file(told(&place, &data, "")).unwrap();
    let engine = engine(&place);
    let handle = engine.handle();
    handle.send(Command::OpenDataFile { path: data.clone() }).unwrap();
    until(&handle, |s| s.data_file(&data).is_some());
    backup(&handle, &data);
    let status = until(&handle, |s| !failures(s).is_empty());
    assert!(
        failures(&status)[0]
            .error
            .as_ref()
            .unwrap()
            .message
            .contains("told.sh, to be run after each job, can not be started")
    );
}

#[test]
fn one_that_never_ends_holds_up_neither_jobs_nor_the_end_and_is_ended_with_its_children() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "", 10);
    told(&place, &data, "sleep 1000 & echo $! > \"$PWD/child\"; sleep 1000");
    let engine = engine(&place);
    let handle = engine.handle();
    handle.send(Command::OpenDataFile { path: data.clone() }).unwrap();
    until(&handle, |s| s.data_file(&data).is_some());
    for _ in 0..10 {
        backup(&handle, &data);
    }
    // More than eight are not run at once.
    let status = until(&handle, |s| !failures(s).is_empty());
    assert!(failures(&status)[0].error.as_ref().unwrap().message.contains("8 of these programs are running still"));
    let begun = Instant::now();
    drop(engine);
    assert!(begun.elapsed() < Duration::from_secs(50), "{:?}", begun.elapsed());
    let child = fs::read_to_string(place.at("child")).unwrap();
    let gone = |id: &str| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    };
    if cfg!(target_os = "linux") {
        let begun = Instant::now();
        while !gone(child.trim()) {
            assert!(begun.elapsed() < Duration::from_secs(10), "what it started goes on");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn it_is_not_run_where_everybody_could_have_named_it() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "", 10);
    told(&place, &data, "touch \"$PWD/ran\"");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o666)).unwrap();
    let engine = engine(&place);
    let handle = engine.handle();
    handle.send(Command::OpenDataFile { path: data.clone() }).unwrap();
    until(&handle, |s| s.data_file(&data).is_some());
    // The settings take the permissions of the data file when they are written.
    backup(&handle, &data);
    let status = until(&handle, |s| !failures(s).is_empty());
    let message = failures(&status)[0].error.clone().unwrap().message;
    assert!(message.ends_with("a.strongroom.toml can be written by everybody"), "{message}");
    assert!(!place.at("ran").exists());
}
