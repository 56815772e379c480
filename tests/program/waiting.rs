//! Data files that cannot be looked after now, programs that cannot go on, and files opened by mistake.
#![cfg(unix)]

use crate::support;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command as Process, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use strongroom::engine::{Command, history::JobKind};
use support::{
    Place, Running,
    engine::{engine, serve, until},
    has, make_data_file, text,
};

fn status(place: &Place, data: &Path) -> Value {
    let output = place.run(&["status", data.to_str().unwrap(), "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(90), "never came about: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn what_can_be_looked_after_is_and_the_rest_is_tried_again() {
    let place = Place::new();
    let (here, held, missing) = (place.at("here.sqlite"), place.at("held.sqlite"), place.at("missing.sqlite"));
    for data in [&here, &held] {
        drop(make_data_file(data, "PRAGMA journal_mode=WAL", 10));
    }
    let other = Running(serve(&place, &held));
    let mut command = place.program();
    command.arg("serve").args([&missing, &here, &held]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut service = Running(command.spawn().unwrap());
    let mut lines = BufReader::new(service.0.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    let line = next();
    assert!(line.contains("here.sqlite is logged in"), "{line}");
    let line = next();
    assert_eq!(line, "2 of 3 data files wait: they are tried again until they can be looked after.");
    assert_eq!(status(&place, &here)["engine"]["id"], service.0.id());
    assert_eq!(status(&place, &held)["engine"]["id"], other.0.id());
    // Whoever held it ends, and the missing one comes: neither needs a person.
    drop(other);
    let line = next();
    assert!(line.contains("held.sqlite is logged in"), "{line}");
    drop(make_data_file(&missing, "PRAGMA journal_mode=WAL", 10));
    let line = next();
    assert!(line.contains("missing.sqlite is logged in"), "{line}");
    for data in [&held, &missing] {
        assert_eq!(status(&place, data)["engine"]["id"], service.0.id());
    }
    drop(service);
    // Nothing to look after, and nothing to wait for.
    let output = place.run(&["serve", place.at("nowhere.sqlite").to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("nowhere.sqlite does not exist"), "{}", text(&output.stderr));
}

#[cfg(target_os = "linux")]
#[test]
fn a_program_that_waits_for_the_data_file_is_named() {
    if !has("sqlite3") {
        return;
    }
    let place = Place::new();
    let data = place.at("a.sqlite");
    let application = make_data_file(&data, "PRAGMA journal_mode=WAL", 10);
    let _service = Running(serve(&place, &data));
    let urgent = || {
        let found = status(&place, &data);
        let all = found["warnings"].as_array().unwrap();
        let one = all.iter().find(|warning| warning["kind"] == "program-waits")?;
        Some(one["message"].as_str().unwrap().to_owned())
    };
    // A program as others are is not accused.
    application.execute("INSERT INTO t(a) VALUES('normal')", []).unwrap();
    assert_eq!(urgent(), None);
    drop(application);
    let mut waits = Process::new("sqlite3");
    waits.args(["-cmd", ".timeout 60000"]).arg(&data).arg("PRAGMA locking_mode=EXCLUSIVE; SELECT count(*) FROM t");
    let mut waits = Running(waits.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let message = eventually("the warning", urgent);
    assert!(message.contains(&format!("sqlite3 (process {}) waited to have", waits.0.id())), "{message}");
    // It gets the file, long before its patience ends, and then the log goes on.
    assert!(eventually("its turn", || waits.0.try_wait().unwrap()).success());
    eventually("the log", || (status(&place, &data)["log"]["complete"] == true).then_some(()));
}

/// What an administrator sees while a program has the data file for itself, and until the log goes on: nothing that
/// reads as if commits were recorded.
#[cfg(target_os = "linux")]
fn is_log_said_to_run(found: &Value) -> bool {
    let is_said = |warning: &Value| warning["kind"] == "log-broken";
    let (is_urgent, log) = (found["warnings"].as_array().unwrap().iter().any(is_said), &found["log"]);
    let is_complete = log["complete"] == true;
    // One that was just opened is compared first.
    assert!(is_urgent || is_complete || log["state"] == "starting", "{found}");
    is_complete
}

/// Which companions of data files this process has open, by the names that the system tells.
#[cfg(target_os = "linux")]
fn open_companions(process: u32) -> Vec<String> {
    let open = fs::read_dir(format!("/proc/{process}/fd")).unwrap().flatten();
    let names = open.filter_map(|file| fs::read_link(file.path()).ok()).map(|name| name.to_string_lossy().into_owned());
    let is_of_data_file = |name: &str| ["a.sqlite-wal", "a.sqlite-shm"].iter().any(|end| name.ends_with(end));
    names.filter(|name| is_of_data_file(name.trim_end_matches(" (deleted)"))).collect()
}

/// Has the data file for itself, once it can.
#[cfg(target_os = "linux")]
fn exclusive(data: &Path) -> rusqlite::Connection {
    let application = rusqlite::Connection::open(data).unwrap();
    application.busy_timeout(Duration::from_secs(60)).unwrap();
    application.execute_batch("PRAGMA locking_mode=EXCLUSIVE; INSERT INTO t(a) VALUES('for itself')").unwrap();
    application
}

/// The service, and a full backup that the log goes on from.
#[cfg(target_os = "linux")]
fn logged(place: &Place, data: &Path) -> Running {
    drop(make_data_file(data, "PRAGMA journal_mode=WAL", 10));
    let service = Running(serve(place, data));
    assert!(place.run(&["backup", data.to_str().unwrap()]).status.success());
    service
}

/// The application ends, and another one comes and goes, which removes the WAL and its index if it leaves last. The log
/// goes on by itself, and holds what both committed.
#[cfg(target_os = "linux")]
fn goes_on(
    (place, data, service): (&Place, &Path, u32),
    application: rusqlite::Connection,
    is_said: impl Fn(&Value) -> bool,
) {
    // Whoever is locked out has neither open, and keeps none.
    assert_eq!(open_companions(service), Vec::<String>::new());
    drop(application);
    let begin = || {
        let program = rusqlite::Connection::open(data).unwrap();
        program.busy_timeout(Duration::from_secs(60)).unwrap();
        program
    };
    begin().execute("INSERT INTO t(a) VALUES('after')", []).unwrap();
    eventually("the log", || is_said(&status(place, data)).then_some(()));
    let program = begin();
    program.execute("INSERT INTO t(a) VALUES('recorded')", []).unwrap();
    assert!(is_log_said_to_run(&status(place, data)));
    let open = open_companions(service);
    assert!(open.iter().all(|name| !name.ends_with(" (deleted)")), "{open:?}");
    let (archive, to) = (place.at("Backups/a[0001].4BK"), place.at("to"));
    let output = place.run(&["restore", archive.to_str().unwrap(), "--to", to.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let restored = rusqlite::Connection::open(to.join("a.sqlite")).unwrap();
    let of = |program: &rusqlite::Connection| {
        program.query_row("SELECT group_concat(a ORDER BY id) FROM t", [], |row| row.get::<_, String>(0)).unwrap()
    };
    assert_eq!(of(&restored), of(&program));
    assert!(of(&restored).ends_with(",for itself,after,recorded"));
}

#[cfg(target_os = "linux")]
#[test]
fn the_log_goes_on_after_a_program_had_the_data_file_for_itself() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    let service = logged(&place, &data);
    let application = exclusive(&data);
    // Each has the service look at the data file, which it cannot read now. The log is tried meanwhile.
    for _ in 0..2 {
        assert!(!is_log_said_to_run(&status(&place, &data)));
    }
    goes_on((&place, &data, service.0.id()), application, is_log_said_to_run);
}

#[cfg(target_os = "linux")]
#[test]
fn the_log_goes_on_after_a_program_had_the_data_file_for_itself_before_the_service_began() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    drop(logged(&place, &data));
    let application = exclusive(&data);
    let mut command = place.program();
    command.arg("serve").arg(&data).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut service = Running(command.spawn().unwrap());
    let mut lines = BufReader::new(service.0.stdout.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    assert_eq!(line, "1 of 1 data files wait: they are tried again until they can be looked after.");
    // Until the log is opened for the first time, the service does not know it, and whoever asks looks for himself.
    goes_on((&place, &data, service.0.id()), application, |found| {
        !found["log"]["state"].is_null() && is_log_said_to_run(found)
    });
}

#[test]
fn an_archive_or_a_log_opened_as_a_data_file_is_recognised() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    let _application = make_data_file(&data, "PRAGMA journal_mode=WAL", 10);
    {
        let _service = Running(serve(&place, &data));
        for _ in 0..2 {
            assert!(place.run(&["backup", data.to_str().unwrap()]).status.success());
        }
    }
    for (name, said) in [
        ("a[0002].4BK", "is full backup 0002 of a.sqlite, and no data file"),
        ("a[0001].4BL", "is a log of commits after full backup 0001, and neither a data file nor an archive"),
        ("a.journal", "is a log of commits after full backup 0002, and neither a data file nor an archive"),
    ] {
        let file = place.at("Backups").join(name);
        for command in ["backup", "status", "check", "serve"] {
            let output = place.run(&[command, file.to_str().unwrap()]);
            let error = text(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{command} {name}");
            assert!(error.contains(said) && error.to_lowercase().contains("restore"), "{command} {name}: {error}");
        }
        let as_archive = ["restore", "repair", "list", "hold"].into_iter().filter(|_| name != "a[0002].4BK");
        for command in as_archive {
            let output = place.run(&[command, file.to_str().unwrap()]);
            let error = text(&output.stderr);
            assert!(output.status.code() == Some(1) && error.contains(said), "{command} {name}: {error}");
        }
        assert!(!place.at("Backups").join("Backups").exists());
    }
    // And it can be restored after that.
    let archive = place.at("Backups/a[0002].4BK");
    let to = place.at("to");
    let output = place.run(&["restore", archive.to_str().unwrap(), "--to", to.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    // A data file of such a name is one.
    let odd = place.at("b.journal");
    drop(make_data_file(&odd, "PRAGMA journal_mode=WAL", 10));
    assert!(place.run(&["backup", odd.to_str().unwrap()]).status.success());
    fs::remove_file(odd).unwrap();
}

#[test]
fn jobs_of_other_processes_appear_in_the_backup_journal() {
    let place = Place::new();
    let (data, other) = (place.at("a.sqlite"), place.at("b.sqlite"));
    for file in [&data, &other] {
        drop(make_data_file(file, "PRAGMA journal_mode=WAL", 10));
    }
    assert!(place.run(&["backup", other.to_str().unwrap()]).status.success());
    let engine = engine(&place);
    let handle = engine.handle();
    handle.send(Command::OpenDataFile { path: data.clone() }).unwrap();
    let backups = |status: &strongroom::engine::Status| {
        let of_other = |entry: &&strongroom::engine::history::HistoryEntry| {
            entry.kind == JobKind::Backup && entry.data_file.as_ref() == Some(&other)
        };
        status.history.iter().filter(of_other).count()
    };
    until(&handle, |status| status.data_file(&data).is_some() && backups(status) == 1);
    assert!(place.run(&["backup", other.to_str().unwrap()]).status.success());
    until(&handle, |status| backups(status) == 2);
}
