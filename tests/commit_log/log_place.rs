//! What settings name for the log, or for archives, and is somebody else's: refused when it is chosen and when it is
//! opened, and never written over. And a service that is to keep no log.

use crate::support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use serde_json::Value;
use support::{Place, Running, make_data_file, text};

struct Scene {
    place: Place,
    data: PathBuf,
    settings: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let place = Place::new();
        let (data, settings) = (place.at("a.sqlite"), place.at("a.strongroom.toml"));
        drop(make_data_file(&data, "PRAGMA journal_mode=WAL", 30));
        let scene = Self { place, data, settings };
        assert_eq!(scene.run("backup", &[]).0, 0);
        scene
    }

    fn run(&self, command: &str, arguments: &[&str]) -> (i32, String) {
        let output = self.place.run(&[&[command, self.data.to_str().unwrap()], arguments].concat());
        (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
    }

    fn serve(&self, arguments: &[&str]) -> Running {
        let mut command = self.place.program();
        command.arg("serve").arg(&self.data).args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        Running(command.spawn().unwrap())
    }

    fn until(&self, what: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let output = self.place.run(&["status", self.data.to_str().unwrap(), "--json"]);
            // A service that is just beginning or ending may not answer.
            let status: Value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
            if !status["engine"].is_null() && what(&status) {
                return status;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "it never came about: {status}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Writes a line into the settings by hand.
    fn by_hand(&self, section: &str, line: &str) {
        let text = fs::read_to_string(&self.settings).unwrap();
        fs::write(&self.settings, format!("{text}\n[{section}]\n{line}\n")).unwrap();
    }
}

fn quoted(key: &str, path: &Path) -> String {
    format!("{key} = '{}'", path.display())
}

#[test]
fn what_is_no_log_is_refused_when_it_is_chosen() {
    let scene = Scene::new();
    let at = |name: &str| scene.place.at(name);
    // Open meanwhile, so that its -wal and -shm are there.
    let other = make_data_file(&at("b.sqlite"), "PRAGMA journal_mode=WAL", 3);
    fs::write(at("letter.txt"), "dear").unwrap();
    let before = fs::read_to_string(&scene.settings).unwrap();
    for (name, what) in [
        ("b.sqlite", "it is a data file"),
        ("b.sqlite-wal", "SQLite keeps"),
        ("b.sqlite-shm", "SQLite keeps"),
        ("a.sqlite-wal", "SQLite keeps"),
        ("a.sqlite-journal", "SQLite keeps"),
        ("a.strongroom.toml", "it is a settings file"),
        ("Backups/a[0001].4BK", "it is an archive"),
        ("Backups/a[0009].4BK", "it is an archive"),
        ("Backups", "it is a folder"),
        ("letter.txt", "it is a file that is no log"),
    ] {
        let (code, said) = scene.run("settings", &[&format!("log.file={}", at(name).display())]);
        assert!(code == 1 && said.contains("cannot be the log") && said.contains(what), "{name}: {said}");
    }
    let (code, said) = scene.run("settings", &[&format!("destination.folder={}", at("letter.txt").display())]);
    assert!(code == 1 && said.contains("destination.folder must be a folder"), "{said}");
    assert_eq!(fs::read_to_string(&scene.settings).unwrap(), before);
    drop(other);
    let (code, said) = scene.run("settings", &[&format!("log.file={}", at("a.journal").display())]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn what_is_no_log_is_left_alone_when_the_settings_name_it() {
    for name in ["b.sqlite", "a.sqlite-journal", "Backups/a[0001].4BK"] {
        let scene = Scene::new();
        drop(make_data_file(&scene.place.at("b.sqlite"), "", 3));
        let path = scene.place.at(name);
        let before = fs::read(&path).ok();
        scene.by_hand("log", &quoted("file", &path));
        let _service = scene.serve(&[]);
        let status = scene.until(|status| !status["log_problem"].is_null());
        let said = status["log_problem"]["message"].as_str().unwrap();
        assert!(said.contains(" cannot be the log: it is "), "{name}: {said}");
        let kinds: Vec<&Value> = status["warnings"].as_array().unwrap().iter().map(|w| &w["kind"]).collect();
        assert!(kinds.contains(&&"log-broken".into()), "{kinds:?}");
        let (code, said) = scene.run("backup", &[]);
        assert!(code == 1 && said.contains("is not running"), "{said}");
        assert!(fs::read(&path).ok() == before, "{name} was written to");
        assert_eq!(path.exists(), before.is_some(), "{name}");
    }
}

#[test]
fn a_file_that_the_settings_name_as_the_folder_for_archives_is_left_alone() {
    let scene = Scene::new();
    let path = scene.place.at("letter.txt");
    fs::write(&path, "dear").unwrap();
    scene.by_hand("destination", &quoted("folder", &path));
    let (code, said) = scene.run("backup", &[]);
    assert!(code == 1 && said.contains("letter.txt is a file, and no folder for archives"), "{said}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "dear");
}

#[test]
fn a_service_that_is_to_keep_no_log_keeps_none() {
    let scene = Scene::new();
    let log = scene.place.at("a.journal");
    assert_eq!(scene.run("settings", &[&format!("log.file={}", log.display())]).0, 0);
    let service = scene.serve(&["--no-log"]);
    // Until the service has looked, it is only said that the log was not begun yet.
    scene.until(|status| {
        status["log_problem"]["message"].as_str().is_some_and(|said| said.contains("begun with --no-log"))
    });
    Connection::open(&scene.data).unwrap().execute_batch("INSERT INTO k VALUES('one',1)").unwrap();
    let (code, said) = scene.run("backup", &[]);
    assert!(code == 1 && said.contains("a.journal is not running"), "{said}");
    assert!(!log.exists());
    drop(service);
    let _service = scene.serve(&[]);
    scene.until(|status| status["log"]["complete"] == true);
}
