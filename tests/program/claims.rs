//! What the program claims: each cause once, nothing good of what nobody looked at, and what is left of what is gone.
#![cfg(unix)]

use crate::support;

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::{Duration, Instant},
};

use rusqlite::Connection;
use serde_json::Value;
use strongroom::{engine::Event, journal::CaptureState};
use support::{
    Place, Running,
    engine::{engine, open_with_log, serve, until},
    make_data_file, text,
};

struct Scene {
    place: Place,
    data: PathBuf,
}

impl Scene {
    fn new(pragmas: &str) -> Self {
        let place = Place::new();
        let data = place.at("a.sqlite");
        drop(make_data_file(&data, pragmas, 500));
        Self { place, data }
    }

    fn run(&self, command: &str, arguments: &[&str]) -> Output {
        self.place.run(&[&[command, self.data.to_str().unwrap()], arguments].concat())
    }

    fn status(&self) -> Value {
        let output = self.run("status", &["--json"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The urgent warnings, with their messages.
    fn urgent(&self) -> Vec<(String, String)> {
        let status = self.status();
        let found = status["warnings"].as_array().unwrap().iter().map(|warning| {
            let warning: strongroom::warning::Warning = serde_json::from_value(warning.clone()).unwrap();
            (warning.kind, warning.message)
        });
        let urgent = found.filter(|(kind, _)| kind.is_urgent());
        urgent
            .map(|(kind, message)| (serde_json::to_value(kind).unwrap().as_str().unwrap().to_owned(), message))
            .collect()
    }

    fn until_urgent(&self, kinds: &[&str], words: &str) {
        let begun = Instant::now();
        loop {
            let found = self.urgent();
            let said: Vec<&str> = found.iter().map(|(kind, _)| kind.as_str()).collect();
            if said == kinds && (kinds.is_empty() || found.iter().any(|(_, message)| message.contains(words))) {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{kinds:?} {words} never came about: {found:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn watched_without_a_log(&self, data: &Path) -> Running {
        let mut command = self.place.program();
        command.arg("serve").arg("--no-log").arg(data).stdout(Stdio::null()).stderr(Stdio::null());
        let service = Running(command.spawn().unwrap());
        let begun = Instant::now();
        while self.status()["engine"].is_null() {
            assert!(begun.elapsed() < Duration::from_secs(60), "the service never came");
            std::thread::sleep(Duration::from_millis(50));
        }
        service
    }
}

/// Damages a page of a tree of `name`.
fn damage(data: &Path, name: &str) {
    let conn = Connection::open(data).unwrap();
    conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let sql = "SELECT pageno FROM dbstat WHERE name=?1 AND pagetype='leaf' LIMIT 1";
    let page: i64 = conn.query_row(sql, [name], |row| row.get(0)).unwrap();
    conn.close().unwrap();
    let mut bytes = fs::read(data).unwrap();
    let at = (page as usize - 1) * 4096;
    bytes[at + 12..at + 600].fill(0xaa);
    fs::write(data, bytes).unwrap();
}

fn a_disk_that_is_away(scene: &Scene) {
    assert!(scene.run("backup", &[]).status.success());
    fs::rename(scene.place.at("Backups"), scene.place.at("away")).unwrap();
    scene.until_urgent(&["place-missing"], "");
    assert!(!scene.run("backup", &[]).status.success());
    scene.until_urgent(&["place-missing"], "; the full backup of ");
    let (_, said) = scene.urgent().remove(0);
    assert!(said.contains(" failed; the last one that succeeded, 0001, is of "), "{said}");
    // With the disk the cause is gone; that a backup is lacking is still so, until one is made.
    fs::rename(scene.place.at("away"), scene.place.at("Backups")).unwrap();
    scene.until_urgent(&["backup-failed"], "");
    assert!(scene.run("backup", &[]).status.success());
    scene.until_urgent(&[], "");
}

#[test]
fn a_disk_that_is_away_is_said_once_with_what_failed_because_of_it() {
    a_disk_that_is_away(&Scene::new(""));
    let scene = Scene::new("");
    let _service = scene.watched_without_a_log(&scene.data);
    a_disk_that_is_away(&scene);
}

fn damage_of_the_content(scene: &Scene) {
    let sound = fs::read(&scene.data).unwrap();
    assert!(scene.run("backup", &[]).status.success());
    damage(&scene.data, "t");
    assert!(!scene.run("backup", &[]).status.success());
    scene.until_urgent(&["content-damaged"], "backup 0002 is damaged in its content (");
    // A test restore finds the same: the archive is sound, what it holds is not.
    let archive = scene.place.at("Backups/a[0002].4BK");
    let tested = scene.place.run(&["verify", archive.to_str().unwrap(), "--test-restore"]);
    assert!(!tested.status.success());
    scene.until_urgent(&["content-damaged"], "backup 0002 is damaged in its content (");
    let list = text(&scene.run("list", &[]).stdout);
    let first = list.lines().next().unwrap();
    assert!(first.contains("  CONTENT DAMAGED: ") && !first.contains("  DAMAGED: "), "{list}");
    let said = text(&scene.run("status", &[]).stdout);
    let last = said.lines().find(|line| line.starts_with("Last full backup")).unwrap();
    assert!(last.contains(", content damaged: ") && !last.contains(", DAMAGED: "), "{said}");
    // When the data file was looked at, it is the cause, and tells of the backup.
    assert!(!scene.run("check", &[]).status.success());
    scene.until_urgent(&["data-file-damaged"], "; backup 0002 is damaged in its content (");
    let (_, said) = scene.urgent().remove(0);
    assert!(said.contains("the newest sound one, 0001 of "), "{said}");
    // A backup that SQLite finds whole shows that it is sound again.
    fs::write(&scene.data, sound).unwrap();
    assert!(scene.run("backup", &[]).status.success());
    scene.until_urgent(&[], "");
}

#[test]
fn damage_of_the_content_is_said_once() {
    damage_of_the_content(&Scene::new(""));
    let scene = Scene::new("");
    let _service = scene.watched_without_a_log(&scene.data);
    damage_of_the_content(&scene);
}

#[test]
fn what_nobody_looks_after_does_not_sound_good() {
    let scene = Scene::new("PRAGMA journal_mode=WAL");
    let said = text(&scene.run("status", &[]).stdout);
    assert!(
        said.contains("nobody: neither a window nor a service runs for it; when it was looked after last is not"),
        "{said}"
    );
    assert!(said.contains("of what it holds there is no good backup and no log"), "{said}");
    drop(scene.watched_without_a_log(&scene.data));
    assert!(scene.run("backup", &[]).status.success());
    let said = text(&scene.run("status", &[]).stdout);
    assert!(said.contains("service runs for it; the service looked after it until 20"), "{said}");
    assert!(said.contains("or a minute longer: it was cut off"), "{said}");
    assert!(said.contains("WARNING: nobody looks after ") && said.contains("what happened to it since is not known"));
    let status = scene.status();
    assert_eq!(status["watched"]["host"], "service", "{status}");
    let _service = scene.watched_without_a_log(&scene.data);
    let said = text(&scene.run("status", &[]).stdout);
    assert!(!said.contains("nobody looks after") && scene.status()["watched"].is_null(), "{said}");
}

#[test]
fn of_a_data_file_that_is_gone_is_told_what_is_left_and_what_brings_it_back() {
    let scene = Scene::new("PRAGMA journal_mode=WAL");
    let service = Running(serve(&scene.place, &scene.data));
    assert!(scene.run("backup", &[]).status.success());
    Connection::open(&scene.data).unwrap().execute_batch("INSERT INTO k VALUES('one',1)").unwrap();
    let begun = Instant::now();
    while scene.status()["log"]["commits"] != 1 {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", scene.status());
    }
    let away = || {
        for end in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(scene.place.at(&format!("a.sqlite{end}")));
        }
    };
    let command = format!("strongroom restore '{0}' --in-place '{0}'", scene.data.display());
    away();
    // Whoever looks after it says the same once, with the command.
    // Also when the log was tried again, which cannot be opened without it.
    while !scene.status()["log_problem"]["message"].as_str().is_some_and(|said| said.contains("no such file")) {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", scene.status());
    }
    scene.until_urgent(&["data-file-damaged"], "does not exist");
    let hint = scene.status()["warnings"][0]["hint"].as_str().unwrap().to_owned();
    assert!(hint.ends_with(&format!("Its archives bring it back: {command}.")), "{hint}");
    drop(service);
    let output = scene.run("status", &[]);
    assert!(!output.status.success());
    let (said, error) = (text(&output.stdout), text(&output.stderr));
    assert!(error.contains("does not exist") && error.contains(&command), "{error}");
    assert!(said.contains("the service looked after it until 20"), "{said}");
    assert!(said.contains("Full backups       1 in all, the last one 0001 of 20"), "{said}");
    assert!(said.contains("a.journal, ") && said.contains(", 1 commit, the last one at 20"), "{said}");
    assert!(said.contains(&format!("To bring it back   {command}\nIt begins with      ")), "{said}");
    let found: Value = serde_json::from_slice(&scene.run("status", &["--json"]).stdout).unwrap();
    assert_eq!((&found["archives"], &found["log"]["commits"]), (&1.into(), &1.into()), "{found}");
    // What is said to bring it back does.
    let to = scene.place.at("back");
    let restored = scene.run("restore", &["--to", to.to_str().unwrap()]);
    // Nobody vouches that the log of a service that was killed is complete.
    assert_eq!(restored.status.code(), Some(1), "{}", text(&restored.stderr));
    let back = Connection::open(to.join("a.sqlite")).unwrap();
    assert_eq!(back.query_row("SELECT v FROM k WHERE k='one'", [], |row| row.get::<_, i64>(0)).unwrap(), 1);
    // Without its settings, and with the archives gone too, the Backup journal knows what there was.
    fs::remove_file(scene.place.at("a.strongroom.toml")).unwrap();
    fs::rename(scene.place.at("Backups"), scene.place.at("elsewhere")).unwrap();
    let said = text(&scene.run("status", &[]).stdout);
    assert!(
        said.contains("Made last          ") && said.contains("a[0001].4BK, which is not there any more"),
        "{said}"
    );
    assert!(said.contains("To bring it back   no archive is known"), "{said}");
}

#[test]
fn a_link_that_is_moved_to_another_file_is_noticed() {
    let scene = Scene::new("PRAGMA journal_mode=WAL");
    let (link, other) = (scene.place.at("link.sqlite"), scene.place.at("b.sqlite"));
    drop(make_data_file(&other, "PRAGMA journal_mode=WAL", 5));
    let lead_to = |target: &Path| {
        let _ = fs::remove_file(&link);
        symlink(target, &link).unwrap();
    };
    lead_to(&scene.data);
    let _service = scene.watched_without_a_log(&link);
    scene.until_urgent(&[], "");
    lead_to(&other);
    scene.until_urgent(&["other-name"], &format!("now leads to {}", other.display()));
    lead_to(&scene.data);
    scene.until_urgent(&[], "");
    fs::remove_file(&link).unwrap();
    scene.until_urgent(&["other-name"], "leads nowhere now");
}

#[cfg(target_os = "linux")]
#[test]
fn a_hard_link_is_called_what_it_is_and_the_log_goes_on() {
    let scene = Scene::new("PRAGMA journal_mode=WAL");
    let engine = engine(&scene.place);
    let handle = engine.handle();
    let events = handle.events();
    open_with_log(&handle, &scene.data, &scene.place.at("Backups/a.journal"));
    // A second name counts when nobody had the file open: only then could a program have copied another content over
    // it.
    std::thread::sleep(Duration::from_secs(2));
    fs::hard_link(&scene.data, scene.place.at("hard.sqlite")).unwrap();
    let said = loop {
        let event = events.recv_timeout(Duration::from_secs(60)).expect("never said");
        if let Event::LogChanged { error: Some(error), .. } = event {
            break error.message;
        }
    };
    assert!(
        said.ends_with("a.sqlite has 2 names now (hard links), or its owner or permissions were changed"),
        "{said}"
    );
    Connection::open(&scene.data).unwrap().execute_batch("INSERT INTO k VALUES('one',1)").unwrap();
    until(&handle, |s| {
        let log = s.data_file(&scene.data).unwrap().log.as_ref();
        log.is_some_and(|log| log.state == CaptureState::On && log.commits == 1)
    });
}
