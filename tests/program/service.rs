//! A service, and the commands and windows that join it: two processes throughout.
#![cfg(unix)]

use crate::support;

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command as Process, Output, Stdio},
    time::{Duration, Instant},
};

use rusqlite::Connection;
use serde_json::Value;
use strongroom::{
    engine::{Command, Config, Engine, Handle, HostKind, JobId, history::Outcome, status::JobReport},
    journal::{CaptureState, integrate::Until},
    restore::Logs,
    service::{Sockets, join, switchboard},
};
use support::{
    Place,
    engine::{finished, foreign_commits, until},
    has, logical_content, make_data_file, names_in, text,
};

/// A service in a process of its own.
struct Service {
    process: Child,
    said: BufReader<ChildStdout>,
}

impl Service {
    fn start(place: &Place, arguments: &[&str]) -> Self {
        let mut process = place.program().arg("serve").args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(process.stdout.take().unwrap());
        let mut service = Self { process, said };
        for _ in arguments.iter().filter(|a| !a.starts_with('-')) {
            let line = service.line();
            assert!(line.contains("is logged in") || line.contains("is looked after"), "{line}");
        }
        service
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line
    }

    fn signal(&mut self, name: &str) {
        assert!(Process::new("kill").arg(name).arg(self.process.id().to_string()).status().unwrap().success());
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Scene {
    place: Place,
    data: PathBuf,
}

impl Scene {
    fn new(rows: u32) -> Self {
        let place = Place::new();
        let data = place.at("a.sqlite");
        drop(make_data_file(&data, "PRAGMA journal_mode=WAL", rows));
        Self { place, data }
    }

    fn data(&self) -> &str {
        self.data.to_str().unwrap()
    }

    fn settings_dir(&self) -> PathBuf {
        self.place.own().join("strongroom")
    }

    /// The engine that looks after the data file, as another process reaches it.
    fn join(&self) -> Handle {
        join::engine_of(&self.data, &self.settings_dir()).unwrap().expect("nobody looks after it").handle
    }

    /// The engine of a window in this process, and what the window sees.
    fn window(&self) -> (Engine, Handle) {
        let config = Config { host: HostKind::Window, ..Config::private(&self.settings_dir()) };
        let engine = Engine::start(config).unwrap();
        let sockets = Sockets::new(&self.settings_dir().join("run"), self.place.folder.path());
        let handle = switchboard::join_all(engine.handle(), &self.settings_dir(), &sockets).unwrap();
        (engine, handle)
    }
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A data file whose backup takes a while, and a service that looks after it.
fn large() -> (Scene, Service) {
    let scene = Scene::new(0);
    let conn = Connection::open(&scene.data).unwrap();
    conn.execute_batch(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<300)
         INSERT INTO t(a, b) SELECT i, randomblob(1000000) FROM n; PRAGMA wal_checkpoint(TRUNCATE)",
    )
    .unwrap();
    let service = Service::start(&scene.place, &[scene.data()]);
    (scene, service)
}

fn begin_backup(handle: &Handle, data: &Path) -> JobId {
    let job = JobId::new();
    let command = Command::Backup { job, data_file: data.to_path_buf(), destination: None, options: None };
    handle.send(command).unwrap();
    until(handle, |s| s.job(job).is_some() || s.finished_job(job).is_some());
    job
}

#[test]
fn commands_join_the_service_and_find_what_it_knows() {
    let scene = Scene::new(300);
    let service = Service::start(&scene.place, &[scene.data()]);
    let made = json(&scene.place.run(&["backup", scene.data(), "--json"]));
    assert_eq!(made["number"], 1);
    // Only whoever keeps the log can cut it.
    assert_eq!(made["archived_log"], scene.place.at("Backups/a[0000].4BL").to_str().unwrap());
    let status = json(&scene.place.run(&["status", scene.data(), "--json"]));
    assert_eq!(
        (&status["engine"]["id"], &status["log"]["state"]),
        (&service.process.id().into(), &"on".into()),
        "{status}"
    );
    assert_eq!(status["last_backup"]["number"], 1);

    let archive = scene.place.at("Backups/a[0001].4BK");
    let archive = archive.to_str().unwrap();
    let before = logical_content(&scene.data);
    Connection::open(&scene.data).unwrap().execute_batch("DELETE FROM t; INSERT INTO k VALUES('late',1)").unwrap();
    json(&scene.place.run(&["verify", archive, "--json"]));
    let to = scene.place.at("to");
    let restored = json(&scene.place.run(&["restore", archive, "--to", to.to_str().unwrap(), "--json"]));
    assert_eq!(restored["integrated"]["commits"], 2, "what was committed a moment ago is there: {restored}");
    let back = ["restore", archive, "--no-log", "--in-place", scene.data(), "--json"];
    assert_eq!(json(&scene.place.run(&back))["in_place"]["commits_left"], 2);
    assert_eq!(logical_content(&scene.data), before);
    // All of it was done by the service, and is in its journal.
    let kinds: Vec<_> = scene.join().status().history.iter().map(|e| (e.kind, e.outcome)).collect();
    assert_eq!(kinds.len(), 4, "{kinds:?}");
    assert!(kinds.iter().all(|(_, outcome)| *outcome == Outcome::Succeeded), "{kinds:?}");
}

/// Whoever chooses another log, and backs up at once, is not sent away: the backup waits for the log.
#[test]
fn a_backup_waits_for_the_log_that_is_being_opened() {
    let scene = Scene::new(20_000);
    let _service = Service::start(&scene.place, &[scene.data()]);
    for n in 1..=4 {
        let log = scene.place.at(&format!("other {n}.journal"));
        json(&scene.place.run(&["settings", scene.data(), &format!("log.file={}", log.display()), "--json"]));
        let made = json(&scene.place.run(&["backup", scene.data(), "--json"]));
        assert!(made["log_problem"].is_null() && made["log_position"]["archive"] == n, "{made}");
    }
}

#[test]
fn relative_paths_mean_the_same_in_the_service() {
    let scene = Scene::new(50);
    let _service = Service::start(&scene.place, &[scene.data()]);
    let run = |arguments: &[&str]| {
        let mut command = scene.place.program();
        command.current_dir(scene.place.at("")).args(arguments).arg("--json").output().unwrap()
    };
    let made = json(&run(&["backup", "a.sqlite", "--to", "here"]));
    assert_eq!(made["archive"], scene.place.at("here/a[0001].4BK").to_str().unwrap());
    let restored = json(&run(&["restore", "here/a[0001].4BK", "--to", "there"]));
    assert_eq!(restored["destination"], scene.place.at("there").to_str().unwrap());
}

#[test]
fn a_backup_begun_in_a_window_goes_on_when_it_closes_and_others_watch_it() {
    let (scene, _service) = large();
    let mut watch =
        scene.place.program().args(["watch", scene.data(), "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut watched = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut events = watched.by_ref().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    assert_eq!(events.next().unwrap()["event"], "watching");
    let (own, window) = scene.window();
    window.send(Command::OpenDataFile { path: scene.data.clone() }).unwrap();
    let status = until(&window, |s| s.data_file(&scene.data).is_some());
    assert_eq!(status.data_file(&scene.data).unwrap().host.kind, HostKind::Service);
    assert!(own.handle().status().data_files.is_empty(), "the window's own engine leaves it alone");
    let job = begin_backup(&window, &scene.data);
    drop(window);
    drop(own);
    let (_second_own, second) = scene.window();
    second.send(Command::OpenDataFile { path: scene.data.clone() }).unwrap();
    assert!(matches!(finished(&second, job), JobReport::Backup(_)));
    // The command saw it begin and end.
    let started = events.find(|e| e["event"] == "job-started").unwrap();
    assert_eq!(started["id"], job.0.to_string(), "{started}");
    let ended = events.find(|e| e["event"] == "job-finished").unwrap();
    assert!(ended["result"]["Ok"]["number"] == 1, "{ended}");
    watch.kill().unwrap();
    watch.wait().unwrap();
}

#[test]
fn status_tells_what_is_at_work() {
    let (scene, _service) = large();
    let handle = scene.join();
    let begun = Instant::now();
    loop {
        begin_backup(&handle, &scene.data);
        let told = json(&scene.place.run(&["status", scene.data(), "--json"]));
        let said = text(&scene.place.run(&["status", scene.data()]).stdout);
        if told["jobs"][0]["kind"] == "backup" && said.contains("At work            Full backup: ") {
            return;
        }
        // It had ended before it was asked: once more.
        assert!(begun.elapsed() < Duration::from_secs(120), "{told}\n{said}");
        until(&handle, |status| status.jobs.is_empty());
    }
}

#[test]
fn a_service_killed_in_a_job_is_begun_again_nothing_is_lost_and_the_job_shown_as_interrupted() {
    if !has("sqlite3") {
        return;
    }
    let (scene, service) = large();
    let handle = scene.join();
    assert!(matches!(finished(&handle, begin_backup(&handle, &scene.data)), JobReport::Backup(_)));
    let job = begin_backup(&handle, &scene.data);
    foreign_commits(&scene.data, "INSERT INTO k VALUES('while it worked',1)");
    service.kill();
    until(&handle, |_| handle.is_lost());
    foreign_commits(&scene.data, "INSERT INTO k VALUES('while nobody watched',1)");
    // No stale socket and no stale lock is in the way.
    let _service = Service::start(&scene.place, &[scene.data()]);
    let handle = scene.join();
    let status = until(&handle, |s| {
        s.data_file(&scene.data).is_some_and(|d| d.log.as_ref().is_some_and(|l| l.state == CaptureState::On))
    });
    let entry = status.history.iter().find(|e| e.id == job).unwrap();
    assert_eq!(entry.outcome, Outcome::Interrupted);
    assert!(!names_in(&scene.place.at("Backups")).iter().any(|name| name.ends_with(".part")));
    let (job, to) = (JobId::new(), scene.place.at("to"));
    let (archive, logs, limit) = (scene.place.at("Backups/a[0001].4BK"), Logs::Found, Until::End);
    let (items, segments) = (Vec::new(), Vec::new());
    handle
        .send(Command::Restore { job, archive, items, destination: to.clone(), logs, until: limit, segments })
        .unwrap();
    finished(&handle, job);
    assert_eq!(logical_content(&to.join("a.sqlite")), logical_content(&scene.data));
}

#[test]
fn a_window_notices_that_the_service_is_gone_and_that_it_is_back() {
    let scene = Scene::new(50);
    let service = Service::start(&scene.place, &[scene.data()]);
    let (own, window) = scene.window();
    window.send(Command::OpenDataFile { path: scene.data.clone() }).unwrap();
    let first = until(&window, |s| s.data_file(&scene.data).is_some()).data_file(&scene.data).unwrap().host;
    service.kill();
    let status = until(&window, |s| s.data_file(&scene.data).is_some_and(|d| d.lost_since.is_some()));
    assert_eq!(status.data_file(&scene.data).unwrap().host, first, "it is shown as it was known last");
    // What is asked for meanwhile is refused, with the reason, and nothing is taken over by itself.
    let events = window.events();
    window.send(Command::Refresh { data_file: scene.data.clone() }).unwrap();
    let refused = std::iter::from_fn(|| events.recv_timeout(Duration::from_secs(30)).ok())
        .find_map(|event| if let strongroom::engine::Event::CommandRefused(e) = event { Some(e) } else { None });
    assert!(refused.unwrap().message.contains("nobody looks after"));
    assert!(own.handle().status().data_files.is_empty());

    let _service = Service::start(&scene.place, &[scene.data()]);
    let status = until(&window, |s| s.data_file(&scene.data).is_some_and(|d| d.lost_since.is_none()));
    assert_ne!(status.data_file(&scene.data).unwrap().host.process, first.process);
    assert!(matches!(finished(&window, begin_backup(&window, &scene.data)), JobReport::Backup(_)));
}

#[test]
fn a_window_takes_over_what_is_lost_and_a_service_that_is_back_does_not_interfere() {
    let scene = Scene::new(50);
    let service = Service::start(&scene.place, &[scene.data()]);
    let (own, window) = scene.window();
    window.send(Command::OpenDataFile { path: scene.data.clone() }).unwrap();
    until(&window, |s| s.data_file(&scene.data).is_some());
    service.kill();
    until(&window, |s| s.data_file(&scene.data).is_some_and(|d| d.lost_since.is_some()));
    window.send(Command::OpenDataFile { path: scene.data.clone() }).unwrap();
    let status = until(&window, |s| s.data_file(&scene.data).is_some_and(|d| d.lost_since.is_none()));
    assert_eq!(status.data_file(&scene.data).unwrap().host.process, std::process::id());
    assert_eq!(status.data_files.len(), 1);
    // Two engines never work on one data file: the service that is back says so, and waits.
    let mut command = scene.place.program();
    command.args(["serve", scene.data()]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let mut complaints = BufReader::new(process.stderr.take().unwrap()).lines();
    let said = BufReader::new(process.stdout.take().unwrap());
    let mut service = Service { process, said };
    let held_by = format!("another Strongroom (process {})", std::process::id());
    assert!(complaints.any(|line| line.unwrap().contains(&held_by)));
    assert!(service.line().contains("1 of 1 data files wait"));
    assert_eq!(window.status().data_file(&scene.data).unwrap().host.process, std::process::id());
    drop(window);
    drop(own);
    // The window has let it go.
    let line = service.line();
    assert!(line.contains("is logged in"), "{line}");
}

#[test]
fn the_data_file_of_a_closed_window_is_taken_over_by_the_next_one_without_asking() {
    let scene = Scene::new(50);
    // A window in another process: a service in all but its name.
    let (first_own, first) = {
        let config = Config { host: HostKind::Window, ..Config::private(&scene.settings_dir()) };
        let sockets = Sockets::new(&scene.settings_dir().join("run"), scene.place.folder.path());
        let engine = strongroom::service::Reachable::start(config, &sockets).unwrap();
        let handle = engine.handle();
        (engine, handle)
    };
    first.send(Command::OpenDataFile { path: scene.data.clone() }).unwrap();
    until(&first, |s| s.data_file(&scene.data).is_some());
    let (second_own, second) = scene.window();
    second.send(Command::OpenDataFile { path: scene.data.clone() }).unwrap();
    until(&second, |s| s.data_file(&scene.data).is_some());
    assert!(second_own.handle().status().data_files.is_empty());
    assert!(matches!(finished(&second, begin_backup(&second, &scene.data)), JobReport::Backup(_)));
    drop(first_own);
    until(&second_own.handle(), |s| s.data_file(&scene.data).is_some());
    until(&second, |s| s.data_file(&scene.data).is_some_and(|d| d.lost_since.is_none()));
}

#[test]
fn a_service_keeps_its_own_list_to_which_windows_add() {
    let scene = Scene::new(50);
    let other = scene.place.at("b.sqlite");
    drop(make_data_file(&other, "", 10));
    let list = scene.settings_dir().join("service.toml");
    std::fs::create_dir_all(scene.settings_dir()).unwrap();
    std::fs::write(
        &list,
        format!("data-files = ['{}', '{}']\n", scene.data(), scene.place.at("later.sqlite").display()),
    )
    .unwrap();
    let mut service = Service::start(&scene.place, &[]);
    assert!(service.line().contains("service.toml"));
    let (own, window) = scene.window();
    until(&window, |s| s.data_file(&scene.data).is_some());
    assert!(own.handle().status().data_files.is_empty(), "the window found the service by itself");
    // What cannot be opened is said, and tried again until it can.
    let status = until(&window, |s| !s.refused.is_empty());
    assert!(status.refused[0].path.ends_with("later.sqlite"));
    drop(make_data_file(&scene.place.at("later.sqlite"), "", 10));
    window.send(Command::OpenDataFile { path: other.clone() }).unwrap();
    until(&window, |s| s.data_files.len() == 3 && s.refused.is_empty());
    window.send(Command::CloseDataFile { path: scene.data.clone() }).unwrap();
    until(&window, |s| s.data_file(&scene.data).is_none());
    service.kill();
    let mut again = Service::start(&scene.place, &[]);
    again.line();
    let (_own, window) = scene.window();
    until(&window, |s| s.data_file(&other).is_some() && s.data_file(&scene.place.at("later.sqlite")).is_some());
    assert!(window.status().data_file(&scene.data).is_none());
    assert!(text(&std::fs::read(&list).unwrap()).contains("b.sqlite"));
}

#[test]
fn a_service_ends_on_sigterm_in_the_middle_of_a_job_with_everything_logged() {
    let (scene, mut service) = large();
    let handle = scene.join();
    assert!(matches!(finished(&handle, begin_backup(&handle, &scene.data)), JobReport::Backup(_)));
    let job = begin_backup(&handle, &scene.data);
    let application = Connection::open(&scene.data).unwrap();
    for n in 0..20 {
        application.execute("INSERT INTO k VALUES(?1,1)", [format!("last {n}")]).unwrap();
    }
    let begun = Instant::now();
    service.signal("-TERM");
    assert!(service.process.wait().unwrap().success());
    // Two seconds by promise; ten on a machine that does something else.
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let output = scene.place.run(&[
        "restore",
        scene.place.at("Backups/a[0001].4BK").to_str().unwrap(),
        "--to",
        scene.place.at("to").to_str().unwrap(),
        "--json",
    ]);
    let report = json(&output);
    assert_eq!(report["integrated"]["commits"], 20, "{report}");
    let (_own, window) = scene.window();
    let outcome = window.status().history.iter().find(|e| e.id == job).unwrap().outcome;
    assert_eq!(outcome, Outcome::Stopped);
}

#[test]
fn ctrl_c_stops_a_joined_job_and_leaves_it_with_detach() {
    let (scene, _service) = large();
    let handle = scene.join();
    for detach in [true, false] {
        let mut command = scene.place.program();
        command.args(["backup", scene.data()]).args(detach.then_some("--detach"));
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let status = until(&handle, |s| !s.jobs.is_empty());
        let job = status.jobs[0].id;
        assert!(Process::new("kill").arg("-INT").arg(child.id().to_string()).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        let status = until(&handle, |s| s.finished_job(job).is_some());
        let ended = &status.finished_job(job).unwrap().result;
        if detach {
            assert!(output.status.success() && text(&output.stderr).contains("The job goes on in the service"));
            assert!(ended.is_ok(), "{ended:?}");
        } else {
            assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
            assert!(ended.is_err());
        }
    }
    // Where nobody else does the job, it cannot go on.
    drop(_service);
    until(&handle, |_| handle.is_lost());
    let output = scene.place.run(&["backup", scene.data(), "--detach"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("cannot go on without this command"));
}

#[test]
fn a_killed_client_takes_no_job_with_it() {
    let (scene, _service) = large();
    let handle = scene.join();
    let mut child = scene.place.program().args(["backup", scene.data()]).stdout(Stdio::piped()).spawn().unwrap();
    let job = until(&handle, |s| !s.jobs.is_empty()).jobs[0].id;
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(matches!(finished(&handle, job), JobReport::Backup(_)));
}

#[test]
fn watch_says_that_the_service_has_ended_and_needs_one() {
    let scene = Scene::new(10);
    let output = scene.place.run(&["watch", scene.data()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("nobody looks after"));
    let service = Service::start(&scene.place, &[scene.data()]);
    let mut watch = scene.place.program();
    let mut watch = watch.args(["watch", scene.data()]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(watch.stdout.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.contains("in the care of the service (process "), "{line}");
    service.kill();
    assert_eq!(watch.wait().unwrap().code(), Some(1));
    let mut why = String::new();
    watch.stderr.take().unwrap().read_to_string(&mut why).unwrap();
    assert!(why.contains("has ended"), "{why}");
}

#[test]
fn the_files_of_a_service_are_written_and_removed() {
    let scene = Scene::new(10);
    let output = scene.place.run(&["service", "install", scene.data(), "--user", "--no-start"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let unit = scene.place.own().join("systemd/user/strongroom.service");
    let unit = text(&std::fs::read(unit).unwrap());
    assert!(unit.contains("ExecStart=") && unit.contains(" serve\n") && unit.contains("NoNewPrivileges=yes"), "{unit}");
    let list = text(&std::fs::read(scene.settings_dir().join("service.toml")).unwrap());
    assert!(list.contains(scene.data()), "{list}");
    let output = scene.place.run(&["service", "install", scene.place.at("gone").to_str().unwrap(), "--user"]);
    assert!(text(&output.stderr).contains("gone does not exist"));
    let status = json(&scene.place.run(&["service", "status", "--json"]));
    assert_eq!(status["running"].as_array().unwrap().len(), 0);
    let mut service = Service::start(&scene.place, &[]);
    service.line();
    let address = || json(&scene.place.run(&["service", "status", "--json"]))["running"][0].clone();
    let begun = Instant::now();
    while address()["data_files"][0] != scene.data() {
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
    assert_eq!(address()["host"]["process"], service.process.id());
}

#[test]
fn a_window_gives_its_data_files_to_a_service_that_is_installed() {
    let scene = Scene::new(50);
    let (own, window) = scene.window();
    window.send(Command::OpenDataFile { path: scene.data.clone() }).unwrap();
    let status = until(&window, |s| s.data_file(&scene.data).is_some());
    assert_eq!(status.data_file(&scene.data).unwrap().host.kind, HostKind::Window);
    // What installing does, but for the system's part in it.
    let output = scene.place.run(&["service", "install", scene.data(), "--user", "--no-start"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let mut service = Service::start(&scene.place, &[]);
    service.line();
    let is_service = |host: strongroom::engine::Host| host.process == service.process.id();
    until(&window, |s| s.data_file(&scene.data).is_some_and(|d| is_service(d.host) && d.lost_since.is_none()));
    assert!(own.handle().status().data_files.is_empty());
    assert_eq!(window.status().refused, []);
}
