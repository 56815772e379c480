//! Settings that were deleted while nobody looked after the data file: they come back from its newest archive, and no
//! number is used twice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::{
    fs,
    path::PathBuf,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use rusqlite::Connection;
use serde_json::Value;
use support::{Place, make_data_file, names_in, text};

/// Ended with the test, however that goes.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Scene {
    place: Place,
    data: PathBuf,
    settings: PathBuf,
}

impl Scene {
    /// Backed up twice, as these settings say.
    fn new(settings: &[&str]) -> Self {
        let place = Place::new();
        fs::create_dir(place.at("app")).unwrap();
        let (data, file) = (place.at("app/a.sqlite"), place.at("app/a.strongroom.toml"));
        drop(make_data_file(&data, "PRAGMA journal_mode=WAL", 30));
        let scene = Self { place, data, settings: file };
        let archives = format!("destination.folder={}", scene.place.at("archives").display());
        let chosen = if settings.contains(&"beside") { vec!["keep.last=7"] } else { vec![archives.as_str()] };
        scene.good("settings", &chosen);
        for _ in 0..2 {
            scene.good("backup", &[]);
        }
        scene
    }

    fn run(&self, command: &str, arguments: &[&str]) -> (i32, String) {
        let output = self.place.run(&[&[command, self.data.to_str().unwrap()], arguments].concat());
        (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
    }

    fn good(&self, command: &str, arguments: &[&str]) -> String {
        let (code, said) = self.run(command, arguments);
        assert_eq!(code, 0, "{command}: {said}");
        said
    }

    fn status(&self) -> Value {
        let output = self.place.run(&["status", self.data.to_str().unwrap(), "--json"]);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What is said of settings that are gone.
    fn gone(&self) -> Vec<String> {
        let status = self.status();
        let warnings = status["warnings"].as_array().unwrap().iter().filter(|w| w["kind"] == "settings-gone");
        warnings.map(|warning| format!("{} {}", warning["message"], warning["hint"])).collect()
    }
}

#[test]
fn a_backup_goes_on_as_before_when_the_settings_were_deleted() {
    for emptied in [false, true] {
        let scene = Scene::new(&[]);
        let before = fs::read_to_string(&scene.settings).unwrap();
        if emptied {
            fs::write(&scene.settings, "").unwrap()
        } else {
            fs::remove_file(&scene.settings).unwrap()
        }
        let said = scene.gone();
        let archive = scene.place.at("archives/a[0002].4BK").display().to_string();
        assert!(said.len() == 1 && said[0].contains(&format!("They are put back from {archive}")), "{said:?}");
        let said = scene.good("backup", &[]);
        assert!(said.contains("were gone, and were put back from") && said.contains(&archive), "{said}");
        assert_eq!(names_in(&scene.place.at("archives")), ["a[0001].4BK", "a[0002].4BK", "a[0003].4BK"]);
        assert!(!scene.place.at("app/Backups").exists());
        let after = fs::read_to_string(&scene.settings).unwrap();
        assert_eq!(after, before.replace("last-number = 2", "last-number = 3"));
        // It stays to be seen.
        assert!(scene.gone()[0].contains("Look whether they are what you want"));
        assert_eq!(scene.status()["archives"], 3);
    }
}

#[test]
fn a_service_goes_on_with_the_log_when_the_settings_were_deleted() {
    let scene = Scene::new(&[]);
    let log = scene.place.at("archives/a.journal");
    let serve = || {
        let mut command = scene.place.program();
        command.arg("serve").arg(&scene.data).stdout(Stdio::null()).stderr(Stdio::null());
        Service(command.spawn().unwrap())
    };
    let until_logged = |commits: u64| {
        let begun = Instant::now();
        loop {
            let status = scene.status();
            if !status["engine"].is_null() && status["log"]["commits"] == commits {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{commits} commits were never logged: {status}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let write = || {
        let conn = Connection::open(&scene.data).unwrap();
        conn.execute("INSERT INTO k SELECT count(*) || ' of these', 1 FROM k", []).unwrap();
    };
    let service = serve();
    until_logged(0);
    // This archive holds settings with the log.
    scene.good("backup", &[]);
    write();
    until_logged(1);
    drop(service);
    fs::remove_file(&scene.settings).unwrap();
    let _service = serve();
    write();
    until_logged(2);
    let status = scene.status();
    assert_eq!(status["log_file"], log.to_str().unwrap(), "{status}");
    assert!(scene.gone()[0].contains("a[0003].4BK"));
}

#[test]
fn where_the_archives_are_away_nothing_is_begun_until_somebody_says_so() {
    let scene = Scene::new(&[]);
    fs::remove_file(&scene.settings).unwrap();
    fs::rename(scene.place.at("archives"), scene.place.at("away")).unwrap();
    for command in ["backup", "status"] {
        let (code, said) = scene.run(command, &[]);
        assert_eq!(code, i32::from(command == "backup"), "{said}");
        assert!(said.contains("the settings of ") && said.contains("Connect its disk"), "{said}");
    }
    assert!(!scene.place.at("app/Backups").exists() && !scene.settings.exists());
    // A change of one setting is no beginning either.
    let (code, said) = scene.run("settings", &["keep.last=5"]);
    assert!(code == 1 && said.contains("--begin-anew") && !scene.settings.exists(), "{said}");
    scene.good("settings", &["--begin-anew"]);
    scene.good("backup", &[]);
    assert_eq!(names_in(&scene.place.at("app/Backups")), ["a[0003].4BK"]);
    let (code, said) = scene.run("settings", &["--begin-anew"]);
    assert!(code == 1 && said.contains("are not gone"), "{said}");
}

#[test]
fn where_no_archive_is_left_the_numbers_go_on() {
    let scene = Scene::new(&[]);
    fs::remove_file(&scene.settings).unwrap();
    for number in 1..=2 {
        fs::remove_file(scene.place.at(&format!("archives/a[000{number}].4BK"))).unwrap();
    }
    let said = scene.good("backup", &[]);
    assert!(said.contains("no archive is left that holds them") && said.contains("Numbers go on after 0002"), "{said}");
    assert_eq!(names_in(&scene.place.at("app/Backups")), ["a[0003].4BK"]);
    // Neither does an older copy of the settings, put in place by hand, lead back to a number.
    let text = fs::read_to_string(&scene.settings).unwrap();
    fs::write(&scene.settings, text.replace("last-number = 3", "last-number = 1")).unwrap();
    fs::remove_file(scene.place.at("app/Backups/a[0003].4BK")).unwrap();
    scene.good("backup", &[]);
    assert_eq!(names_in(&scene.place.at("app/Backups")), ["a[0004].4BK"]);
}

#[test]
fn archives_beside_the_data_file_tell_without_the_backup_journal() {
    let scene = Scene::new(&["beside"]);
    fs::remove_file(&scene.settings).unwrap();
    fs::remove_dir_all(scene.place.own()).unwrap();
    let said = scene.good("settings", &["keep.last"]);
    assert!(said.contains("the defaults are shown") && said.contains("keep.last = 3"), "{said}");
    let said = scene.good("settings", &["keep.daily=2"]);
    assert!(said.contains("were put back from"), "{said}");
    let text = fs::read_to_string(&scene.settings).unwrap();
    assert!(text.contains("last = 7") && text.contains("daily = 2") && text.contains("last-number = 2"), "{text}");
    // An archive of another data file of that name tells nothing.
    let other = scene.place.at("other/a.sqlite");
    fs::create_dir_all(scene.place.at("other/Backups")).unwrap();
    drop(make_data_file(&other, "", 3));
    fs::copy(scene.place.at("app/Backups/a[0002].4BK"), scene.place.at("other/Backups/a[0002].4BK")).unwrap();
    let output = scene.place.run(&["backup", other.to_str().unwrap()]);
    assert!(output.status.success() && !text_of(&output).contains("settings of"), "{}", text_of(&output));
}

fn text_of(output: &std::process::Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}
