//! What a window leaves in the background, and what the next start knows of the time when nobody watched.
#![cfg(unix)]

use crate::support;

use std::{
    path::{Path, PathBuf},
    process::Child,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use serde_json::Value;
use strongroom::{
    engine::{Command, Config, Engine, Handle, HostKind, Status, history::left_behind, status::DataFileStatus},
    journal::CaptureState,
    service::{Sockets, switchboard},
    warning::WarningKind,
};
use support::{
    Place,
    engine::{Sim, backup, engine, engine_at, open_with_log, until},
    make_data_file, text,
};

/// A process in the background, ended with the test.
struct Background(Child);

impl Background {
    fn start(place: &Place) -> Self {
        Self(
            place
                .program()
                .args(["serve", "--background"])
                .env("STRONGROOM_LOG", "off")
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap(),
        )
    }

    fn has_ended(&mut self) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(60) {
            if let Some(status) = self.0.try_wait().unwrap() {
                assert!(status.success(), "{status}");
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The engine of a window in this process, and what the window sees.
fn window(place: &Place) -> (Engine, Handle) {
    let own = place.own().join("strongroom");
    let engine = Engine::start(Config { host: HostKind::Window, ..Config::private(&own) }).unwrap();
    let sockets = Sockets::new(&own.join("run"), place.folder.path());
    let handle = switchboard::join_all(engine.handle(), &own, &sockets).unwrap();
    (engine, handle)
}

fn is_logged_by(status: &Status, data: &Path, process: u32) -> bool {
    let is_on = |d: &DataFileStatus| d.log.as_ref().is_some_and(|log| log.state == CaptureState::On);
    status.data_file(data).is_some_and(|d| d.host.process == process && d.lost_since.is_none() && is_on(d))
}

fn commit(data: &Path, key: &str) {
    Connection::open(data).unwrap().execute("INSERT INTO k VALUES(?1,1)", [key]).unwrap();
}

/// The session that a process belongs to.
fn session(process: u32) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let rest = stat.rsplit_once(')').unwrap().1.to_owned();
    rest.split_whitespace().nth(3).unwrap().parse().unwrap()
}

fn data_file(place: &Place, name: &str) -> PathBuf {
    let path = place.at(name);
    drop(make_data_file(&path, "PRAGMA journal_mode=WAL", 50));
    path
}

#[test]
fn what_a_window_hands_over_goes_on_without_it_and_comes_back_without_a_gap() {
    let place = Place::new();
    let data = data_file(&place, "a.sqlite");
    let (own, first) = window(&place);
    open_with_log(&first, &data, &place.at("Backups/a.journal"));
    let archive = backup(&first, &data).archive;
    commit(&data, "in the window");

    let mut background = Background::start(&place);
    let process = background.0.id();
    first.send(Command::HandOver { data_file: data.clone(), process }).unwrap();
    until(&first, |s| is_logged_by(s, &data, process));
    let status = first.status();
    let known = status.data_file(&data).unwrap();
    assert_eq!((known.host.kind, own.handle().status().data_files.len()), (HostKind::Background, 0));
    if cfg!(target_os = "linux") {
        assert_eq!(session(process), process, "it is not in the session of the window");
    }
    // The window closes; nothing of that concerns it.
    drop(first);
    drop(own);
    commit(&data, "in the background");
    let output = place.run(&["service", "status", "--json"]);
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(listed["running"][0]["host"]["kind"], "background", "{listed}");
    assert_eq!(listed["running"][0]["data_files"][0], data.to_str().unwrap());
    assert!(text(&place.run(&["service", "status"]).stdout).contains(&format!("kill {process}")));
    assert_eq!(left_behind(&place.own().join("strongroom")), [] as [PathBuf; 0], "somebody watches");

    // The next window finds it by itself, and takes everything over; then it has nothing left.
    let (own, second) = window(&place);
    until(&second, |s| is_logged_by(s, &data, process));
    assert!(own.handle().status().data_files.is_empty());
    let here = std::process::id();
    second.send(Command::HandOver { data_file: data.clone(), process: here }).unwrap();
    until(&second, |s| is_logged_by(s, &data, here));
    assert!(background.has_ended());
    commit(&data, "in the window again");
    let log = second.status().data_file(&data).unwrap().log.clone().unwrap();
    assert_eq!(log.catch_ups, 0, "every commit was seen as it was made");
    let known = second.status().data_file(&data).unwrap().clone();
    assert!(known.warnings.iter().all(|w| w.kind != WarningKind::Unwatched), "{:?}", known.warnings);
    let to = place.at("to");
    let output = place.run(&["restore", archive.to_str().unwrap(), "--to", to.to_str().unwrap(), "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["integrated"]["commits"], 3, "{report}");
}

#[test]
fn a_window_takes_over_at_once_what_was_killed_in_the_background() {
    let place = Place::new();
    let data = data_file(&place, "a.sqlite");
    let (_own, handle) = window(&place);
    open_with_log(&handle, &data, &place.at("Backups/a.journal"));
    let background = Background::start(&place);
    let process = background.0.id();
    handle.send(Command::HandOver { data_file: data.clone(), process }).unwrap();
    until(&handle, |s| is_logged_by(s, &data, process));
    drop(background);
    // Nothing begins it again, as it would a service.
    until(&handle, |s| is_logged_by(s, &data, std::process::id()));
}

#[test]
fn a_data_file_that_can_not_be_handed_over_stays_where_it_is() {
    let place = Place::new();
    let data = data_file(&place, "a.sqlite");
    let (own, handle) = window(&place);
    open_with_log(&handle, &data, &place.at("Backups/a.journal"));
    // Nobody has this number, and whoever asked gives up.
    handle.send(Command::HandOver { data_file: data.clone(), process: u32::MAX }).unwrap();
    std::thread::sleep(Duration::from_millis(700));
    assert!(is_logged_by(&handle.status(), &data, std::process::id()));
    let here = std::process::id();
    handle.send(Command::HandOver { data_file: data.clone(), process: here }).unwrap();
    std::thread::sleep(Duration::from_millis(700));
    assert!(is_logged_by(&handle.status(), &data, here));
    // An engine by itself cannot, and says so.
    let events = own.handle().events();
    own.handle().send(Command::HandOver { data_file: data, process: 1 }).unwrap();
    let refused =
        std::iter::from_fn(|| events.recv_timeout(Duration::from_secs(30)).ok()).find_map(|event| match event {
            strongroom::engine::Event::CommandRefused(error) => Some(error),
            _ => None,
        });
    assert!(refused.unwrap().message.contains("can only be handed over by a window"));
}

#[test]
fn a_service_that_is_installed_gets_what_is_in_the_background() {
    let place = Place::new();
    let data = data_file(&place, "a.sqlite");
    let (_own, handle) = window(&place);
    open_with_log(&handle, &data, &place.at("Backups/a.journal"));
    let mut background = Background::start(&place);
    let process = background.0.id();
    handle.send(Command::HandOver { data_file: data.clone(), process }).unwrap();
    until(&handle, |s| is_logged_by(s, &data, process));
    let output = place.run(&["service", "install", data.to_str().unwrap(), "--user", "--no-start"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let mut service = place.program().arg("serve").stdout(std::process::Stdio::null()).spawn().unwrap();
    until(&handle, |s| is_logged_by(s, &data, service.id()));
    assert!(background.has_ended());
    service.kill().unwrap();
    service.wait().unwrap();
}

#[test]
fn the_next_start_knows_what_was_watched_and_for_how_long_nobody_did() {
    let place = Place::new();
    let own = place.own().join("strongroom");
    let (data, plain, closed) =
        (data_file(&place, "a.sqlite"), data_file(&place, "plain.sqlite"), data_file(&place, "closed.sqlite"));
    let sim = Sim::at("2026-06-01 12:00");
    {
        let engine = engine_at(&place, sim.clock());
        let handle = engine.handle();
        open_with_log(&handle, &data, &place.at("Backups/a.journal"));
        for path in [&plain, &closed] {
            handle.send(Command::OpenDataFile { path: path.clone() }).unwrap();
            until(&handle, |s| s.data_file(path).is_some());
        }
        handle.send(Command::CloseDataFile { path: closed.clone() }).unwrap();
        until(&handle, |s| s.data_file(&closed).is_none());
        assert_eq!(left_behind(&own), [] as [PathBuf; 0]);
        sim.set("2026-06-01 12:30");
    }
    assert_eq!(left_behind(&own), [data.clone(), plain.clone()], "what was closed on purpose is not opened again");
    sim.set("2026-06-02 08:15");
    let engine = engine_at(&place, sim.clock());
    let handle = engine.handle();
    for path in [&data, &plain] {
        handle.send(Command::OpenDataFile { path: path.clone() }).unwrap();
    }
    let said = |s: &Status, path: &Path| {
        let found = s.data_file(path)?.warnings.iter().find(|w| w.kind == WarningKind::Unwatched).cloned();
        found.map(|w| w.message)
    };
    let status = until(&handle, |s| said(s, &data).is_some() && s.data_file(&plain).is_some_and(|d| d.plan.is_some()));
    let expected = "nobody watched a.sqlite from 2026-06-01 12:30:00 to 2026-06-02 08:15:00";
    assert_eq!((said(&status, &data).as_deref(), said(&status, &plain)), (Some(expected), None));
    // It stays until somebody has seen it.
    drop(handle);
    drop(engine);
    let engine = self::engine(&place);
    let handle = engine.handle();
    handle.send(Command::OpenDataFile { path: data.clone() }).unwrap();
    until(&handle, |s| said(s, &data).is_some());
    handle.send(Command::PutAway { data_file: data.clone(), kind: WarningKind::Unwatched }).unwrap();
    until(&handle, |s| said(s, &data).is_none());
}
