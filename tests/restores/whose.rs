//! Whose archives they are: of a folder that was copied with its settings, of one that was moved, and of archives whose
//! names were changed.
#![cfg(unix)]

use crate::support;

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rusqlite::Connection;
use serde_json::Value;
use support::{Content, Place, Running, logical_content, make_data_file, names_in, text};

struct Scene {
    place: Place,
    prod: PathBuf,
    staging: PathBuf,
}

impl Scene {
    /// A data file in a folder of its own, backed up once to `destination`.
    fn new(settings: &[&str]) -> Self {
        let place = Place::new();
        let (prod, staging) = (place.at("prod/a.sqlite"), place.at("staging/a.sqlite"));
        fs::create_dir(place.at("prod")).unwrap();
        drop(make_data_file(&prod, "PRAGMA journal_mode=WAL", 30));
        let scene = Self { place, prod, staging };
        if !settings.is_empty() {
            scene.good("settings", &scene.prod, settings);
        }
        scene.good("backup", &scene.prod, &[]);
        scene
    }

    /// The exit code, and all that is said.
    fn run(&self, command: &str, data: &Path, arguments: &[&str]) -> (i32, String) {
        let output = self.place.run(&[&[command, data.to_str().unwrap()], arguments].concat());
        (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
    }

    fn good(&self, command: &str, data: &Path, arguments: &[&str]) -> String {
        let (code, said) = self.run(command, data, arguments);
        assert_eq!(code, 0, "{command}: {said}");
        said
    }

    fn copy(&self) {
        let copied = Command::new("cp").arg("-a").arg(self.place.at("prod")).arg(self.place.at("staging")).status();
        assert!(copied.unwrap().success());
        write(&self.staging, "of staging");
    }

    fn warnings(&self, data: &Path, kind: &str) -> Vec<String> {
        let output = self.place.run(&["status", data.to_str().unwrap(), "--json"]);
        let status: Value = serde_json::from_slice(&output.stdout).unwrap();
        let warnings = status["warnings"].as_array().unwrap().iter().filter(|warning| warning["kind"] == kind);
        warnings.map(|warning| format!("{} {}", warning["message"], warning["hint"])).collect()
    }

    fn listed(&self, data: &Path) -> Vec<Value> {
        let said = self.good("list", data, &["--json"]);
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn restored(&self, data: &Path, to: &str) -> Content {
        self.good("restore", data, &["--to", self.place.at(to).to_str().unwrap(), "--no-log"]);
        logical_content(&self.place.at(to).join("a.sqlite"))
    }
}

fn write(data: &Path, what: &str) {
    Connection::open(data).unwrap().execute("INSERT INTO k VALUES(?1, 1)", [what]).unwrap();
}

#[test]
fn a_copied_folder_takes_no_archive_from_the_one_it_was_copied_from() {
    let place = Place::new();
    let one_folder = format!("destination.folder={}", place.at("archives").display());
    let scene = Scene::new(&[&one_folder, "keep.last=1"]);
    let before = logical_content(&scene.prod);
    scene.copy();
    let names = format!("{} is a copy of {}", scene.staging.display(), scene.prod.display());
    for _ in 0..3 {
        let (code, said) = scene.run("backup", &scene.staging, &[]);
        assert!(code == 1 && said.contains(&names) && said.contains("--own-identity"), "{code} {said}");
    }
    let archives = |of: &[&str]| {
        let all = names_in(&place.at("archives"));
        assert_eq!(all, of.iter().map(|n| format!("a[000{n}].4BK")).collect::<Vec<_>>());
    };
    archives(&["1", "2", "3", "4"]);
    for data in [&scene.prod, &scene.staging] {
        let said = scene.warnings(data, "shared-settings");
        assert!(said.len() == 1 && said[0].contains(&names), "{said:?}");
    }
    assert_eq!(scene.warnings(&scene.staging, "backup-partial"), [""; 0], "said once");
    // Each has its own, and what is asked for without a number is of nobody else.
    let said = scene.good("status", &scene.prod, &[]);
    assert!(
        said.contains("Last full backup   0001 of ") && said.contains("3 archives there are of another data"),
        "{said}"
    );
    let said = scene.good("list", &scene.prod, &[]);
    assert_eq!(said.matches(&format!("OF ANOTHER DATA FILE: {}", scene.staging.display())).count(), 3, "{said}");
    let others = |data: &Path| scene.listed(data).iter().filter(|entry| entry["is_of_other"] == true).count();
    assert_eq!((others(&scene.prod), others(&scene.staging)), (3, 1));
    assert!(scene.restored(&scene.prod, "of-prod") == before);
    assert!(scene.restored(&scene.staging, "of-staging") == logical_content(&scene.staging));
    // The original goes on as before: its old archives go, and no others.
    scene.good("backup", &scene.prod, &[]);
    archives(&["2", "3", "4", "5"]);
    // Told apart, both do.
    let (code, said) = scene.run("settings", &scene.prod, &["--own-identity"]);
    assert!(code == 1 && said.contains("is no copy of a data file"), "{said}");
    let said = scene.good("settings", &scene.staging, &["--own-identity"]);
    assert!(said.contains("is told from") && said.contains("Make a full backup of it"), "{said}");
    scene.good("backup", &scene.staging, &[]);
    scene.good("backup", &scene.staging, &[]);
    scene.good("backup", &scene.prod, &[]);
    archives(&["2", "3", "4", "7", "8"]);
    for data in [&scene.prod, &scene.staging] {
        assert_eq!(scene.warnings(data, "shared-settings"), [""; 0]);
        assert_eq!(scene.warnings(data, "archives-gone"), [""; 0]);
    }
    // Those that the copy made under the identity of the other are still not that one's.
    assert_eq!((others(&scene.prod), others(&scene.staging)), (4, 4));
}

#[test]
fn a_copy_whose_original_is_gone_was_moved_and_a_link_is_no_copy() {
    let scene = Scene::new(&["keep.last=1"]);
    scene.copy();
    assert_eq!(scene.warnings(&scene.staging, "shared-settings").len(), 1);
    // Settings that cannot be understood tell nothing good.
    let settings = scene.place.at("prod/a.strongroom.toml");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, "not settings at all [").unwrap();
    assert_eq!(scene.warnings(&scene.staging, "shared-settings").len(), 1);
    assert_eq!(scene.listed(&scene.staging)[0]["is_of_other"], true);
    fs::write(&settings, text).unwrap();
    fs::remove_dir_all(scene.place.at("prod")).unwrap();
    assert_eq!(scene.warnings(&scene.staging, "shared-settings"), [""; 0]);
    scene.good("backup", &scene.staging, &[]);
    assert_eq!(names_in(&scene.place.at("staging/Backups")), ["a[0002].4BK"]);
    // The old path leads to the same file again: one data file with two paths.
    symlink(scene.place.at("staging"), scene.place.at("prod")).unwrap();
    scene.good("backup", &scene.staging, &[]);
    assert_eq!(names_in(&scene.place.at("staging/Backups")), ["a[0003].4BK"]);
    assert_eq!(scene.warnings(&scene.staging, "shared-settings"), [""; 0]);
    // Another one was begun there, with settings of its own: what was moved is still what it was.
    fs::remove_file(scene.place.at("prod")).unwrap();
    fs::rename(scene.place.at("staging"), scene.place.at("moved")).unwrap();
    fs::create_dir(scene.place.at("staging")).unwrap();
    drop(make_data_file(&scene.staging, "", 3));
    scene.good("backup", &scene.staging, &[]);
    let moved = scene.place.at("moved/a.sqlite");
    assert_eq!(scene.listed(&moved)[0]["is_of_other"], false);
    assert!(scene.restored(&moved, "of-moved") == logical_content(&moved));
}

#[test]
fn what_was_restored_beside_is_a_copy() {
    let scene = Scene::new(&[]);
    fs::create_dir(scene.place.at("staging")).unwrap();
    scene.restored(&scene.prod, "staging");
    let said = scene.warnings(&scene.staging, "shared-settings");
    assert!(said.len() == 1 && said[0].contains("strongroom settings '"), "{said:?}");
    scene.good("settings", &scene.staging, &["--own-identity"]);
    scene.good("backup", &scene.staging, &[]);
    assert_eq!(names_in(&scene.place.at("staging/Backups")), ["a[0001].4BK"]);
}

#[test]
fn a_copy_under_another_name_beside_it_is_a_copy_and_a_drill_draws_its_own() {
    let place = Place::new();
    let one_folder = format!("destination.folder={}", place.at("archives").display());
    let scene = Scene::new(&[&one_folder, "archive.test-restore=never"]);
    let copy = scene.place.at("prod/b.sqlite");
    for (from, to) in [("a.sqlite", "b.sqlite"), ("a.strongroom.toml", "b.strongroom.toml")] {
        fs::copy(scene.place.at("prod").join(from), scene.place.at("prod").join(to)).unwrap();
    }
    assert_eq!(scene.warnings(&copy, "shared-settings").len(), 1);
    let (code, said) = scene.run("backup", &copy, &[]);
    assert!(code == 1 && said.contains("b.sqlite is a copy of "), "{said}");
    scene.good("settings", &copy, &["--own-identity"]);
    scene.good("backup", &copy, &[]);
    // Of the other folder, whose archives bear the same name.
    scene.copy();
    for _ in 0..4 {
        assert_eq!(scene.run("backup", &scene.staging, &[]).0, 1);
    }
    for _ in 0..6 {
        let said = scene.good("drill", &scene.prod, &["--json"]);
        let own = place.at("archives/a[0001].4BK");
        assert!(said.contains(own.to_str().unwrap()), "{said}");
    }
}

#[test]
fn a_copy_does_not_write_the_log_of_the_one_it_was_copied_from() {
    let place = Place::new();
    let log = place.at("logs/a.journal");
    fs::create_dir(place.at("logs")).unwrap();
    let scene = Scene::new(&[]);
    let serve = |data: &Path, arguments: &[&str]| {
        let mut command = scene.place.program();
        command.arg("serve").arg(data).args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        Running(command.spawn().unwrap())
    };
    let until = |data: &Path, what: &dyn Fn(&Value) -> bool| {
        let begun = Instant::now();
        loop {
            let output = scene.place.run(&["status", data.to_str().unwrap(), "--json"]);
            let status: Value = serde_json::from_slice(&output.stdout).unwrap();
            if !status["engine"].is_null() && what(&status) {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "it never came about: {status}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let service = serve(&scene.prod, &["--log", log.to_str().unwrap()]);
    until(&scene.prod, &|status| status["log"]["complete"] == true);
    drop(service);
    scene.copy();
    let before = fs::read(&log).unwrap();
    let _service = serve(&scene.staging, &[]);
    until(&scene.staging, &|status| {
        status["log_problem"]["message"].as_str().is_some_and(|said| said.contains(" is a copy of "))
    });
    assert_eq!(scene.warnings(&scene.staging, "log-broken"), [""; 0], "said once, with its cause");
    assert!(fs::read(&log).unwrap() == before);
    let said = scene.good("settings", &scene.staging, &["--own-identity"]);
    assert!(said.contains(&format!("No log is kept of it: {}", log.display())), "{said}");
    until(&scene.staging, &|status| {
        let kinds = status["warnings"].as_array().unwrap();
        status["log_file"].is_null() && kinds.iter().all(|warning| warning["kind"] != "shared-settings")
    });
    assert!(fs::read(&log).unwrap() == before);
}

#[test]
fn of_two_that_both_name_themselves_either_is_told_from_the_other() {
    for first in [true, false] {
        let place = Place::new();
        let one_folder = format!("destination.folder={}", place.at("archives").display());
        let scene = Scene::new(&[&one_folder]);
        scene.copy();
        // The disk of the original is away while the copy is used: it is taken for one that was moved.
        fs::rename(scene.place.at("prod"), scene.place.at("away")).unwrap();
        scene.good("backup", &scene.staging, &[]);
        fs::rename(scene.place.at("away"), scene.place.at("prod")).unwrap();
        let (this, other) = if first { (&scene.prod, &scene.staging) } else { (&scene.staging, &scene.prod) };
        for (data, other) in [(this, other), (other, this)] {
            let said = scene.warnings(data, "shared-settings").concat();
            assert!(said.contains("both as the original") && !said.contains("is a copy of"), "{said}");
            for path in [data, other] {
                assert!(said.contains(path.to_str().unwrap()), "{said}");
            }
        }
        let content = logical_content(this);
        let said = scene.good("settings", this, &["--own-identity"]);
        assert!(said.contains(&format!("is told from {}", other.display())), "{said}");
        let text = fs::read_to_string(this.with_file_name("a.strongroom.toml")).unwrap();
        assert!(text.contains("former-ids = "), "{text}");
        let (code, said) = scene.run("settings", other, &["--own-identity"]);
        assert!(code == 1 && said.contains("is no copy of a data file"), "{said}");
        scene.good("backup", this, &[]);
        scene.good("backup", other, &[]);
        for data in [this, other] {
            assert_eq!(scene.warnings(data, "shared-settings"), [""; 0]);
        }
        assert!(scene.restored(this, "this") == content);
        assert!(scene.restored(other, "other") == logical_content(other));
    }
}

#[test]
fn archives_whose_names_were_swapped_are_what_they_say_themselves() {
    let scene = Scene::new(&["keep.last=2"]);
    write(&scene.prod, "of the second");
    scene.good("backup", &scene.prod, &[]);
    let newest = logical_content(&scene.prod);
    let at = |name: &str| scene.place.at("prod/Backups").join(name);
    fs::rename(at("a[0001].4BK"), at("x")).unwrap();
    fs::rename(at("a[0002].4BK"), at("a[0001].4BK")).unwrap();
    fs::rename(at("x"), at("a[0002].4BK")).unwrap();
    let listed = scene.listed(&scene.prod);
    let path = |entry: &Value| Path::new(entry["path"].as_str().unwrap()).file_name().unwrap().to_owned();
    assert_eq!((&listed[0]["number"], path(&listed[0])), (&2.into(), "a[0001].4BK".into()), "{listed:?}");
    let said = scene.good("list", &scene.prod, &[]);
    assert!(said.starts_with("0002  ") && said.contains("a[0001].4BK  RENAMED: it is not backup 0001"), "{said}");
    let said = scene.good("status", &scene.prod, &[]);
    assert!(
        said.contains("Last full backup   0002 of ") && said.contains("a[0001].4BK holds full backup 0002"),
        "{said}"
    );
    assert_eq!(scene.warnings(&scene.prod, "archive-renamed").len(), 2);
    assert!(scene.restored(&scene.prod, "newest") == newest);
    // What was renamed is nobody's to delete, and its names are not given again.
    for _ in 0..3 {
        scene.good("backup", &scene.prod, &[]);
    }
    assert_eq!(names_in(&scene.place.at("prod/Backups")), ["a[0001].4BK", "a[0002].4BK", "a[0004].4BK", "a[0005].4BK"]);
}

/// The settings of the original are lost, and its archives are all that tells of them; or it lies where nobody may
/// look.
#[test]
fn an_archive_that_names_another_data_file_which_may_be_there_is_never_deleted() {
    let place = Place::new();
    let one_folder = format!("destination.folder={}", place.at("archives").display());
    let scene = Scene::new(&[&one_folder, "keep.last=1"]);
    scene.copy();
    fs::remove_file(scene.prod.with_file_name("a.strongroom.toml")).unwrap();
    for _ in 0..3 {
        scene.run("backup", &scene.staging, &[]);
    }
    let archives = names_in(&place.at("archives"));
    assert!(archives.contains(&"a[0001].4BK".to_owned()), "{archives:?}");
    let before = logical_content(&scene.prod);
    // It was made of the original, which goes on by it.
    let archive = place.at("archives/a[0001].4BK");
    let to = place.at("back");
    assert!(place.run(&["restore", archive.to_str().unwrap(), "--to", to.to_str().unwrap()]).status.success());
    assert_eq!(logical_content(&to.join("a.sqlite")), before);
}
