//! What is known of archives stays known, and is told alike by whoever is asked: with a service, and without one.
#![cfg(unix)]

use crate::support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
    time::{Duration, Instant},
};

use serde_json::Value;
use strongroom::engine::history::History;
use support::{Place, Running, engine::serve, logical_content, make_data_file, text};

struct Scene {
    place: Place,
    data: PathBuf,
    _application: rusqlite::Connection,
}

impl Scene {
    fn new() -> Self {
        let place = Place::new();
        let data = place.at("a.sqlite");
        let application = make_data_file(&data, "PRAGMA journal_mode=WAL", 2000);
        Self { place, data, _application: application }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.place.run(arguments)
    }

    fn backup(&self, options: &[&str]) -> Output {
        self.run(&[&["backup", self.data.to_str().unwrap()], options].concat())
    }

    fn archive(&self, number: u32) -> PathBuf {
        self.place.at(&format!("Backups/a[{number:04}].4BK"))
    }

    fn status(&self) -> Value {
        let output = self.run(&["status", self.data.to_str().unwrap(), "--json"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The warnings of this kind.
    fn warned(&self, kind: &str) -> Vec<String> {
        let found = self.status();
        let all = found["warnings"].as_array().unwrap().iter().filter(|warning| warning["kind"] == kind);
        all.map(|warning| warning["message"].as_str().unwrap().to_owned()).collect()
    }

    fn until(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let found = self.status();
            if wanted(&found) {
                return found;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "never came about: {found}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn verify(&self, archive: &Path) -> Output {
        self.run(&["verify", archive.to_str().unwrap()])
    }

    fn proven(&self) -> usize {
        History::open(&self.place.own().join("strongroom")).unwrap().0.proven(100).unwrap().len()
    }
}

fn damage(archive: &Path, length: usize) {
    let mut bytes = fs::read(archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + length].iter_mut().for_each(|byte| *byte = !*byte);
    fs::write(archive, bytes).unwrap();
}

#[test]
fn an_archive_found_damaged_is_urgent_everywhere_until_it_is_sound_replaced_or_gone() {
    let scene = Scene::new();
    assert!(scene.backup(&[]).status.success());
    assert!(scene.backup(&[]).status.success());
    let second = scene.archive(2);
    let proven = scene.run(&["verify", second.to_str().unwrap(), "--test-restore"]);
    assert!(proven.status.success() && scene.proven() == 1, "{}", text(&proven.stderr));
    let sound = fs::read(&second).unwrap();
    damage(&second, 100);
    assert_eq!(scene.warned("archive-damaged"), [""; 0], "nobody has looked yet");
    assert!(!scene.verify(&second).status.success());
    let alone = scene.warned("archive-damaged");
    assert!(alone.len() == 1 && alone[0].starts_with("archive 0002 is not sound: "), "{alone:?}");
    assert_eq!(scene.proven(), 0, "what was proven is not so any more");
    let found = scene.status();
    assert!(!found["last_backup"]["problem"].is_null(), "{found}");
    let listed = text(&scene.run(&["list", scene.data.to_str().unwrap()]).stdout);
    assert!(listed.lines().next().unwrap().contains("a[0002].4BK  DAMAGED: "), "{listed}");
    // Whoever looks after it knows the same, and it outlives that.
    {
        let _service = Running(serve(&scene.place, &scene.data));
        assert_eq!(scene.warned("archive-damaged"), alone);
        // Found by another process while it runs.
        damage(&scene.archive(1), 100);
        assert!(!scene.verify(&scene.archive(1)).status.success());
        assert_eq!(scene.warned("archive-damaged").len(), 2);
        let said = text(&scene.run(&["status", scene.data.to_str().unwrap()]).stdout);
        assert!(said.contains("WARNING: archive 0001 is not sound: "), "{said}");
        // Gone with the archive.
        fs::remove_file(scene.archive(1)).unwrap();
        assert_eq!(scene.warned("archive-damaged"), alone);
        // Bytes put right are believed when they were looked at.
        fs::write(&second, &sound).unwrap();
        assert_eq!(scene.warned("archive-damaged"), alone);
        assert!(scene.verify(&second).status.success());
        assert_eq!(scene.warned("archive-damaged"), [""; 0]);
    }
    assert_eq!(scene.warned("archive-damaged"), [""; 0]);
}

#[test]
fn what_a_drill_finds_damaged_stays_known() {
    let scene = Scene::new();
    assert!(scene.backup(&[]).status.success());
    let drill = || scene.run(&["drill", scene.data.to_str().unwrap()]).status.success();
    assert!(drill() && scene.proven() == 1);
    damage(&scene.archive(1), 100);
    assert!(!drill());
    let said = scene.warned("archive-damaged");
    assert!(said.len() == 1 && said[0].contains("a[0001].4BK is damaged"), "{said:?}");
    assert_eq!(scene.warned("test-restore-failed"), [""; 0], "it is said once");
}

#[test]
fn a_repaired_copy_takes_the_place_of_a_damaged_archive() {
    let scene = Scene::new();
    assert!(scene.backup(&["--redundancy", "high"]).status.success());
    let archive = scene.archive(1);
    damage(&archive, 1000);
    assert!(!scene.verify(&archive).status.success());
    let said = scene.warned("archive-damaged");
    assert!(said.len() == 1 && said[0].contains("can be repaired"), "{said:?}");
    assert!(scene.run(&["repair", archive.to_str().unwrap()]).status.success());
    assert_eq!(scene.warned("archive-damaged"), [""; 0]);
    let listed = text(&scene.run(&["list", scene.place.at("Backups").to_str().unwrap()]).stdout);
    assert_eq!((listed.lines().count(), listed.matches("DAMAGED").count()), (2, 1), "{listed}");
    let said = scene.warned("archive-repaired");
    assert!(said.len() == 1 && said[0].contains("a[0001] repaired.4BK takes its place"), "{said:?}");
    assert!(scene.warned("no-backup").is_empty());
    // It counts as the last one, and is what a restore of the data file takes, of a log as well.
    let copy = scene.place.at("Backups/a[0001] repaired.4BK");
    let last = || scene.status()["last_backup"].clone();
    assert_eq!((last()["path"].as_str(), last()["problem"].is_null()), (copy.to_str(), true), "{}", last());
    let restore = |to: &str| {
        let restored =
            scene.run(&["restore", scene.data.to_str().unwrap(), "--to", scene.place.at(to).to_str().unwrap()]);
        (restored.status.success(), text(&restored.stdout) + &text(&restored.stderr))
    };
    let (done, told) = restore("restored");
    assert!(done && !told.contains("damaged"), "{told}");
    assert_eq!(logical_content(&scene.place.at("restored/a.sqlite")), logical_content(&scene.data));
    let _service = Running(serve(&scene.place, &scene.data));
    assert_eq!(scene.warned("archive-repaired"), said);
    // Without the copy it is as urgent as before.
    let bytes = fs::read(&copy).unwrap();
    fs::remove_file(&copy).unwrap();
    assert_eq!(scene.warned("archive-damaged").len(), 1);
    // Of a copy that is no archive any more nothing is taken.
    fs::write(&copy, &bytes[..bytes.len() / 100]).unwrap();
    let (_, told) = restore("again");
    assert!(told.contains("Archive 0001 of ") && told.contains("a[0001].4BK"), "{told}");
    assert_eq!(logical_content(&scene.place.at("again/a.sqlite")), logical_content(&scene.data), "{told}");
}

#[test]
fn archives_of_another_data_file_are_not_its_own() {
    let scene = Scene::new();
    let other = scene.place.at("other/a.sqlite");
    fs::create_dir(scene.place.at("other")).unwrap();
    drop(make_data_file(&other, "PRAGMA journal_mode=WAL", 20));
    assert!(scene.run(&["backup", other.to_str().unwrap()]).status.success());
    let folder = format!("destination.folder={}", scene.place.at("other/Backups").display());
    assert!(scene.run(&["settings", scene.data.to_str().unwrap(), &folder]).status.success());
    let told = |scene: &Scene| {
        let found = scene.status();
        assert!(found["last_backup"].is_null(), "{found}");
        assert_eq!((&found["archives"], &found["archives_of_others"]), (&0.into(), &1.into()), "{found}");
        assert_eq!(scene.warned("no-backup").len(), 1, "{found}");
        let said = text(&scene.run(&["status", scene.data.to_str().unwrap()]).stdout);
        assert!(said.contains("Last full backup   none in"), "{said}");
        assert!(said.contains("1 archive there is of another data file"), "{said}");
    };
    told(&scene);
    let _service = Running(serve(&scene.place, &scene.data));
    told(&scene);
}

#[test]
fn archives_deleted_under_a_service_are_missed_and_what_was_answered_is_counted() {
    let scene = Scene::new();
    let service = Running(serve(&scene.place, &scene.data));
    for number in 1..=6u32 {
        assert!(scene.backup(&[]).status.success());
        let found = scene.status();
        assert_eq!(found["last_backup"]["number"], number, "{found}");
        scene._application.execute("INSERT INTO t(a) VALUES('one more')", []).unwrap();
        assert_eq!(scene.status()["log"]["commits"], 1, "a commit that was made is counted");
    }
    assert!(scene.warned("archives-gone").is_empty());
    // One that asks nothing, as a window does, sees it too.
    let joined = strongroom::service::join::engine_of(&scene.data, &scene.place.own().join("strongroom"));
    let window = joined.unwrap().unwrap().handle;
    fs::remove_file(scene.archive(6)).unwrap();
    let sees = |kind: &str| {
        let begun = Instant::now();
        let has = || format!("{:?}", window.status().data_files[0].warnings).contains(kind);
        while !has() {
            assert!(begun.elapsed() < Duration::from_secs(60), "never seen");
            std::thread::sleep(Duration::from_millis(20));
        }
        eprintln!("{kind} seen after {:?}", begun.elapsed());
    };
    sees("a[0006].4BK is not there any more");
    fs::remove_dir_all(scene.place.at("Backups")).unwrap();
    sees("is gone: it was deleted or renamed");
    let gone = scene.warned("place-missing");
    assert_eq!(gone.len(), 1, "{gone:?}");
    drop(service);
    assert_eq!(scene.warned("place-missing"), gone, "the same without the service");
}

#[test]
fn a_failed_backup_does_not_hide_the_last_one_that_succeeded() {
    let scene = Scene::new();
    assert!(scene.backup(&[]).status.success());
    let big = "destination.folder=/proc/1/nowhere";
    assert!(scene.run(&["settings", scene.data.to_str().unwrap(), big]).status.success());
    assert!(!scene.backup(&[]).status.success());
    let told = |scene: &Scene| {
        let said = scene.warned("backup-failed");
        assert!(said.len() == 1 && said[0].contains("; the last one that succeeded, 0001, is of 20"), "{said:?}");
        let found = scene.until(|found| !found["last_backup"].is_null());
        assert_eq!(found["last_backup"]["number"], 1);
    };
    told(&scene);
    let service = scene.place.program().args(["serve", "--no-log"]).arg(&scene.data).spawn().unwrap();
    let _service = Running(service);
    scene.until(|found| !found["engine"].is_null());
    told(&scene);
}
