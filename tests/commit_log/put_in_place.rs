//! A copy put over the data file right after its application has ended, while the service runs: without this program
//! that is safe, and with it too. At any moment the next reader finds the copy, or the status says that something is
//! wrong.
#![cfg(target_os = "linux")]

use crate::support;

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use support::{Place, Running, has, logical_content, make_data_file, text};

/// Nothing here takes this long, even on a slow and busy machine.
const LIMIT: Duration = Duration::from_secs(120);

fn status(place: &Place, data: &Path) -> serde_json::Value {
    let output = place.run(&["status", data.to_str().unwrap(), "--json"]);
    serde_json::from_slice(&output.stdout).unwrap_or(serde_json::Value::Null)
}

/// As `rsync --inplace` writes: only what differs.
fn write_what_differs(from: &Path, to: &Path) {
    let (new, old) = (fs::read(from).unwrap(), fs::read(to).unwrap());
    let mut file = fs::File::options().write(true).open(to).unwrap();
    for (n, page) in new.chunks(4096).enumerate() {
        if old.get(n * 4096..n * 4096 + page.len()) != Some(page) {
            std::os::unix::fs::FileExt::write_all_at(&file, page, n as u64 * 4096).unwrap();
        }
    }
    file.set_len(new.len() as u64).unwrap();
    file.flush().unwrap();
}

/// How a copy gets over the data file: from `copy` to `data`.
type Put = fn(copy: &Path, data: &Path);

const WAYS: [(&str, Put); 5] = [
    ("copied within a process", |copy, data| {
        fs::copy(copy, data).unwrap();
    }),
    ("cp", |copy, data| assert!(Command::new("cp").args([copy, data]).status().unwrap().success())),
    ("moved", |copy, data| {
        let spare = copy.with_extension("spare");
        fs::copy(copy, &spare).unwrap();
        fs::rename(&spare, data).unwrap();
    }),
    ("only what differs", write_what_differs),
    ("removed, then copied", |copy, data| {
        fs::remove_file(data).unwrap();
        fs::copy(copy, data).unwrap();
    }),
];

const ROUNDS: u64 = 4;

#[test]
fn a_copy_put_in_place_right_after_the_application_is_what_the_next_one_reads() {
    let right: u64 = thread::scope(|scope| {
        let each = WAYS.map(|(way, put)| scope.spawn(move || put_in_place(way, put)));
        each.into_iter().map(|one| one.join().unwrap()).sum()
    });
    // A copy that is put in place while a checkpoint writes can be seen too late; that is a matter of a millisecond,
    // and said.
    assert!(right >= ROUNDS * 4, "{right} of {}", ROUNDS * 5);
}

/// Rounds after which the copy was there; after the others it was said that something is wrong.
fn put_in_place(way: &str, put: Put) -> u64 {
    let place = Place::new();
    let (data, copy) = (place.at("a.sqlite"), place.at("copy.sqlite"));
    drop(make_data_file(&data, "PRAGMA journal_mode=WAL", 400));
    fs::copy(&data, &copy).unwrap();
    let wanted = logical_content(&copy);
    let mut command = place.program();
    command.arg("serve").arg(&data).stdout(Stdio::null()).stderr(Stdio::null());
    let _service = Running(command.spawn().unwrap());
    let is_on = |status: &serde_json::Value| status["log"]["state"] == "on" && status["log"]["complete"] == true;
    let until = |what: &str, done: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !done() {
            assert!(begun.elapsed() < LIMIT, "{way}: {what} never came about: {:#}", status(&place, &data));
            thread::sleep(Duration::from_millis(5));
        }
    };
    let until_at_rest = || {
        until("an empty WAL", &|| !fs::metadata(place.at("a.sqlite-wal")).is_ok_and(|wal| wal.len() > 0));
    };
    until("the log", &|| is_on(&status(&place, &data)));
    assert!(place.run(&["backup", data.to_str().unwrap()]).status.success());
    let mut right = 0;
    for round in 0..ROUNDS {
        // Nearly everything differs from the copy, and is in the data file.
        let application = Connection::open(&data).unwrap();
        application.execute("UPDATE t SET b = randomblob(length(b) + 1)", []).unwrap();
        drop(application);
        until_at_rest();
        // An application that commits, ends, and leaves the last commits in the WAL because this program has the file
        // open.
        let application = Connection::open(&data).unwrap();
        for n in 0..=round % 3 {
            application.execute("INSERT INTO t(a, b) VALUES(?1, randomblob(9000))", [format!("{round} {n}")]).unwrap();
        }
        drop(application);
        thread::sleep(Duration::from_millis(round * 3));
        put(&copy, &data);
        until_at_rest();
        let is_copy = Connection::open(&data)
            .and_then(|conn| conn.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)))
            .is_ok_and(|said| said == "ok")
            && logical_content(&data) == wanted;
        until(if is_copy { "the log" } else { "a warning" }, &|| {
            let now = status(&place, &data);
            let is_urgent = now["warnings"].as_array().is_some_and(|all| {
                all.iter().any(|warning| warning["kind"] == "data-file-damaged" || warning["kind"] == "log-broken")
            });
            if is_copy { is_on(&now) } else { is_urgent }
        });
        if is_copy {
            right += 1;
        } else {
            eprintln!("round {round}, {way}: put in place within a checkpoint");
            put(&copy, &data);
        }
    }
    let made = place.run(&["backup", data.to_str().unwrap()]);
    assert!(made.status.success(), "{way}: {}", text(&made.stderr));
    let (archive, restored) = (place.at("Backups/a[0002].4BK"), place.at("restored"));
    let output = place.run(&["restore", archive.to_str().unwrap(), "--to", restored.to_str().unwrap()]);
    assert!(output.status.success(), "{way}: {}", text(&output.stderr));
    assert_eq!(logical_content(&restored.join("a.sqlite")), wanted, "{way}");
    right
}

/// As a file-level backup or a snapshot brings a database back: with the WAL that belongs to it.
#[test]
fn a_copy_that_is_put_in_place_with_its_wal_keeps_what_is_in_it() {
    if !has("cp") {
        return;
    }
    let place = Place::new();
    let (data, kept) = (place.at("a.sqlite"), place.at("kept"));
    fs::create_dir(&kept).unwrap();
    let application = make_data_file(&data, "PRAGMA journal_mode=WAL", 100);
    application.execute_batch("PRAGMA wal_autocheckpoint=0; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    application.execute("INSERT INTO t(a) VALUES('only in the WAL')", []).unwrap();
    for name in ["a.sqlite", "a.sqlite-wal"] {
        // Copied by another program: this one would drop SQLite's locks.
        assert!(Command::new("cp").arg(place.at(name)).arg(kept.join(name)).status().unwrap().success());
    }
    let wanted = logical_content(&data);
    application.execute("INSERT INTO t(a) VALUES('later')", []).unwrap();
    drop(application);
    let mut command = place.program();
    command.arg("serve").arg(&data).stdout(Stdio::null()).stderr(Stdio::null());
    let _service = Running(command.spawn().unwrap());
    let until = |what: &str, done: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !done() {
            assert!(begun.elapsed() < LIMIT, "{what} never came about: {:#}", status(&place, &data));
            thread::sleep(Duration::from_millis(20));
        }
    };
    let is_on = || {
        let status = status(&place, &data);
        status["log"]["state"] == "on" && status["log"]["complete"] == true
    };
    until("the log", &is_on);
    until("an empty WAL", &|| !fs::metadata(place.at("a.sqlite-wal")).is_ok_and(|wal| wal.len() > 0));
    for name in ["a.sqlite", "a.sqlite-wal"] {
        assert!(Command::new("cp").arg(kept.join(name)).arg(place.at(name)).status().unwrap().success());
    }
    // What came with the copy is in the log when the WAL is empty again: then it is in the data file.
    until("an empty WAL", &|| !fs::metadata(place.at("a.sqlite-wal")).is_ok_and(|wal| wal.len() > 0));
    until("the log", &is_on);
    assert_eq!(logical_content(&data), wanted);
    assert!(place.run(&["backup", data.to_str().unwrap()]).status.success());
    let (archive, restored) = (place.at("Backups/a[0001].4BK"), place.at("restored"));
    assert!(place.run(&["restore", archive.to_str().unwrap(), "--to", restored.to_str().unwrap()]).status.success());
    assert_eq!(logical_content(&restored.join("a.sqlite")), wanted);
}

/// As a container has it that was given the data file alone, and not its folder: its WAL lies elsewhere.
#[test]
fn a_program_that_has_the_data_file_by_a_mount_of_its_own_is_named_and_nothing_is_called_complete() {
    let place = Place::new();
    let (data, other) = (place.at("a.sqlite"), place.at("other"));
    drop(make_data_file(&data, "PRAGMA journal_mode=WAL", 20));
    fs::create_dir(&other).unwrap();
    fs::write(other.join("a.sqlite"), "").unwrap();
    let mounted = Command::new("mount").arg("--bind").args([&data, &other.join("a.sqlite")]).output();
    if !mounted.is_ok_and(|mounted| mounted.status.success()) {
        eprintln!("nothing can be mounted here");
        return;
    }
    struct Mounted(std::path::PathBuf);
    impl Drop for Mounted {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        }
    }
    if !has("sqlite3") {
        return;
    }
    let _mounted = Mounted(other.join("a.sqlite"));
    let mut program = Command::new("sqlite3").arg(other.join("a.sqlite")).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = program.stdin.take().unwrap();
    let _program = Running(program);
    writeln!(input, "INSERT INTO t(a) VALUES('elsewhere');").unwrap();
    let begun = Instant::now();
    while !fs::metadata(other.join("a.sqlite-wal")).is_ok_and(|wal| wal.len() > 0) {
        assert!(begun.elapsed() < LIMIT);
        thread::sleep(Duration::from_millis(20));
    }
    let made = place.run(&["backup", data.to_str().unwrap()]);
    let said = text(&made.stderr);
    assert_eq!(made.status.code(), Some(1), "{said}");
    assert!(said.contains("sqlite3 (process ") && said.contains("does not use its -wal and -shm files"), "{said}");
    // From a container, which is shown neither that process nor its locks.
    if let Some(made) = place.run_in_a_container(&["backup", data.to_str().unwrap()]) {
        let said = text(&made.stderr);
        assert_eq!(made.status.code(), Some(1), "{said}");
        assert!(
            said.contains("a program outside of this container") && said.contains("does not use its -wal"),
            "{said}"
        );
    }
}

/// The program cannot be looked into, as from a container: what it goes on writing to is not what lies there.
#[test]
fn companions_deleted_under_a_program_that_is_not_seen_are_missed_by_every_command() {
    if !has("sqlite3") {
        return;
    }
    for victims in [&["-wal"][..], &["-shm"], &["-wal", "-shm"]] {
        let place = Place::new();
        let folder = place.at("data");
        fs::create_dir(&folder).unwrap();
        let data = folder.join("a.sqlite");
        drop(make_data_file(&data, "PRAGMA journal_mode=WAL", 20));
        let path = data.to_str().unwrap();
        let mut program = Command::new("sqlite3").arg(&data).stdin(Stdio::piped()).spawn().unwrap();
        let mut input = program.stdin.take().unwrap();
        let _program = Running(program);
        writeln!(input, "INSERT INTO t(a) VALUES('seen');").unwrap();
        let begun = Instant::now();
        while !fs::metadata(folder.join("a.sqlite-wal")).is_ok_and(|wal| wal.len() > 0) {
            assert!(begun.elapsed() < LIMIT);
            thread::sleep(Duration::from_millis(20));
        }
        for end in victims {
            fs::remove_file(folder.join(format!("a.sqlite{end}"))).unwrap();
        }
        let archives = place.at("archives");
        let to = archives.to_str().unwrap();
        fs::create_dir(&archives).unwrap();
        for command in [vec!["backup", path, "--to", to], vec!["check", path], vec!["status", path]] {
            for output in [
                place.run_in_a_container(&command),
                // Of a volume that is given to read only; the program's own files are elsewhere.
                place.run_in_a_container_that_reads(&folder, &command),
            ] {
                let Some(output) = output else { return };
                let said = text(&output.stdout) + &text(&output.stderr);
                let expected = ["under programs that have it open", "a program outside of this container"];
                assert!(expected.iter().any(|words| said.contains(words)), "{victims:?} {command:?}: {said}");
                assert!(command[0] == "status" || output.status.code() == Some(1), "{victims:?} {command:?}: {said}");
            }
        }
        assert!(!archives.join("a[0001].4BK").exists(), "{victims:?}");
    }
}

/// The log holds what came after it, and integrates what a data file lacks; here that was taken away on purpose.
#[test]
fn a_lost_data_file_that_is_restored_to_an_earlier_state_stays_at_it() {
    for limit in [["--commit", "1"].as_slice(), &["--no-log"]] {
        let place = Place::new();
        let data = place.at("a.sqlite");
        drop(make_data_file(&data, "PRAGMA journal_mode=WAL", 20));
        let serve = || {
            let mut command = place.program();
            command.arg("serve").arg(&data).stdout(Stdio::null()).stderr(Stdio::null());
            Running(command.spawn().unwrap())
        };
        let until_on = |last: u64| {
            let begun = Instant::now();
            loop {
                let now = status(&place, &data);
                let log = &now["log"];
                if log["state"] == "on" && log["complete"] == true && log["commits"].as_u64() >= Some(last) {
                    return now;
                }
                assert!(begun.elapsed() < LIMIT, "{now:#}");
                thread::sleep(Duration::from_millis(20));
            }
        };
        let values = || -> Vec<String> {
            let conn = Connection::open(&data).unwrap();
            let mut query = conn.prepare("SELECT a FROM t WHERE a LIKE 'later %' ORDER BY rowid").unwrap();
            query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        };
        let commit = |value: &str| _ = Connection::open(&data).unwrap().execute("INSERT INTO t(a) VALUES(?1)", [value]);
        let path = data.to_str().unwrap();
        let service = serve();
        until_on(0);
        assert!(place.run(&["backup", path]).status.success());
        commit("later wanted");
        commit("later unwanted");
        until_on(2);
        for end in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(format!("{path}{end}"));
        }
        let begun = Instant::now();
        let restore = || place.run(&[&["restore", path, "--in-place"], limit].concat());
        let mut output = restore();
        // Until the service has seen that the file is gone.
        while text(&output.stderr).contains("cannot be opened any more") && begun.elapsed() < LIMIT {
            output = restore();
        }
        assert!(output.status.success(), "{}", text(&output.stderr));
        let wanted: &[&str] = if limit.len() == 2 { &["later wanted"] } else { &[] };
        let now = until_on(1);
        assert_eq!(values(), wanted, "{now:#}");
        // Nor when it is looked after anew.
        drop(service);
        let _service = serve();
        let now = until_on(1);
        assert_eq!(values(), wanted, "{now:#}");
        let is_told = |kind: &str| now["warnings"].as_array().unwrap().iter().any(|warning| warning["kind"] == kind);
        assert!(!is_told("data-file-incomplete") && !is_told("log-broken"), "{now:#}");
        // What is committed from now on is restored on top of it.
        commit("later after");
        let output = place.run(&["restore", path, "--to", place.at("to").to_str().unwrap()]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(logical_content(&place.at("to/a.sqlite")), logical_content(&data));
    }
}
