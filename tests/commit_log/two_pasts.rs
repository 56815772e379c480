//! A data file that was copied with its settings, of which both copies went on: their logs have one beginning and two
//! ends. Which is meant is asked, and never decided by the order in which they are given.

use crate::support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use strongroom::{
    backup,
    control::Control,
    journal::{Capture, CaptureConfig, LastArchive},
    settings::SettingsFile,
};
use support::{Place, logical_content, make_data_file, text};

/// One of the copies, in a folder of its own with its log.
struct Side {
    data: PathBuf,
    log: PathBuf,
}

struct Scene {
    place: Place,
    archive: PathBuf,
    one: Side,
    two: Side,
}

fn insert(data: &Path, what: &str) {
    let conn = rusqlite::Connection::open(data).unwrap();
    conn.execute("INSERT INTO k VALUES(?1, 1)", [what]).unwrap();
}

impl Scene {
    /// A data file with a full backup and a commit in its log, copied with everything; nobody looks after either.
    fn new() -> Self {
        let place = Place::new();
        for folder in ["one", "two"] {
            fs::create_dir(place.at(folder)).unwrap();
        }
        let side = |name: &str| Side { data: place.at(name).join("a.sqlite"), log: place.at(name).join("a.journal") };
        let (one, two) = (side("one"), side("two"));
        drop(make_data_file(&one.data, "PRAGMA journal_mode=WAL", 40));
        let named = format!("log.file={}", one.log.display());
        assert!(place.run(&["settings", one.data.to_str().unwrap(), &named]).status.success());
        let mut scene = Self { archive: PathBuf::new(), place, one, two };
        scene.backup(None);
        let capture = scene.start(&scene.one);
        scene.archive = scene.backup(Some(&capture));
        insert(&scene.one.data, "before the copy");
        capture.flush().unwrap();
        drop(capture);
        for end in ["a.sqlite", "a.journal", "a.journal.pages"] {
            fs::copy(scene.place.at("one").join(end), scene.place.at("two").join(end)).unwrap();
        }
        scene
    }

    fn settings(&self) -> SettingsFile {
        SettingsFile::load(&self.one.data, &self.place.own()).unwrap()
    }

    fn backup(&self, capture: Option<&Capture>) -> PathBuf {
        let (mut settings, own) = (self.settings(), self.place.own());
        let (folder, control) = (self.place.at("archives"), Control::default());
        let storage = strongroom::storage::Disk;
        let options = Default::default();
        backup::run(&storage, &self.one.data, &mut settings, &own, &folder, capture, options, &control).unwrap().archive
    }

    fn config(&self, side: &Side) -> CaptureConfig {
        CaptureConfig::new(&side.data, &side.log, self.settings().settings().data_file_id.unwrap())
    }

    fn start(&self, side: &Side) -> Capture {
        Capture::start(self.config(side)).unwrap()
    }

    /// Both go on.
    fn part(&self) {
        for (side, what) in [(&self.one, "one"), (&self.two, "two")] {
            let capture = self.start(side);
            for n in 0..3 {
                insert(&side.data, &format!("{what} {n}"));
                capture.flush().unwrap();
            }
        }
    }

    fn restore(&self, to: &str, more: &[&str]) -> (i32, String) {
        let to = self.place.at(to);
        let arguments = [&["restore", self.archive.to_str().unwrap(), "--to", to.to_str().unwrap()], more].concat();
        let output = self.place.run(&arguments);
        (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
    }

    fn holds(&self, to: &str, side: &Side) {
        assert!(logical_content(&self.place.at(to).join("a.sqlite")) == logical_content(&side.data), "{to}");
    }
}

fn log_of(side: &Side) -> &str {
    side.log.to_str().unwrap()
}

#[test]
fn two_logs_that_part_are_asked_about_in_either_order() {
    let scene = Scene::new();
    scene.part();
    // The log of the data file is found by its settings; that of the copy lies beside the archive.
    fs::copy(&scene.two.log, scene.place.at("archives/a.journal.set-aside-by-hand")).unwrap();
    let (one, two) = (log_of(&scene.one), log_of(&scene.two));
    let ways: [&[&str]; 3] = [&[], &["--log", one, "--log", two], &["--log", two, "--log", one]];
    for (number, way) in ways.iter().enumerate() {
        let to = format!("all {number}");
        let (code, said) = scene.restore(&to, way);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("two logs go on from commit 1 in different ways"), "{said}");
        assert!(said.contains("(up to commit 4, ") && said.contains("--own-identity"), "{said}");
        assert!(!scene.place.at(&to).exists(), "nothing was written");
        // What both have in common is no question.
        let (code, said) = scene.restore(&format!("common {number}"), &[way, &["--commit", "1"][..]].concat());
        assert_eq!(code, 0, "{said}");
        let (code, said) = scene.restore(&format!("later {number}"), &[way, &["--commit", "3"][..]].concat());
        assert!(code == 1 && said.contains("in different ways"), "{said}");
    }
    // One of them named is meant.
    for (to, side) in [("of one", &scene.one), ("of two", &scene.two)] {
        let (_, said) = scene.restore(to, &["--log", log_of(side)]);
        assert!(said.contains("up to commit 4 of "), "{said}");
        scene.holds(to, side);
    }
    let drilled = scene.place.run(&["verify", scene.archive.to_str().unwrap(), "--test-restore"]);
    let said = text(&drilled.stderr);
    assert!(drilled.status.code() == Some(1) && said.contains("in different ways"), "{said}");
}

#[test]
fn a_copy_whose_log_went_no_further_is_a_copy() {
    let scene = Scene::new();
    let capture = scene.start(&scene.one);
    insert(&scene.one.data, "one alone");
    capture.flush().unwrap();
    drop(capture);
    for (number, logs) in [[&scene.one, &scene.two], [&scene.two, &scene.one]].iter().enumerate() {
        let to = format!("{number}");
        let (_, said) = scene.restore(&to, &["--log", log_of(logs[0]), "--log", log_of(logs[1])]);
        assert!(said.contains("up to commit 2 of "), "{said}");
        scene.holds(&to, &scene.one);
    }
}

#[test]
fn a_log_begun_in_the_place_of_one_that_was_over_is_used_and_the_other_named() {
    let scene = Scene::new();
    // It is lost, and a new one begins at the newest archive; then it is found again.
    let lost = scene.place.at("archives/a.journal.set-aside-lost");
    fs::rename(&scene.one.log, &lost).unwrap();
    let identity = strongroom::archive::Archive::open(&scene.archive).unwrap().identity().clone();
    let last = LastArchive {
        position: identity.log_position.unwrap(),
        moment: identity.moment.to_utc(),
        page_size: identity.page_size,
        page_count: identity.page_count,
        previous_log: scene.place.at("one/none"),
    };
    let begin = |side: &Side| {
        let mut config = scene.config(side);
        config.last_archive = Some(last.clone());
        config.read_base = Some(std::sync::Arc::new(|_, _| Err(strongroom::error::Error::stopped())));
        Capture::start(config).unwrap()
    };
    let capture = begin(&scene.one);
    insert(&scene.one.data, "after the loss");
    capture.flush().unwrap();
    drop(capture);
    let (_, said) = scene.restore("new", &[]);
    assert!(said.contains("another log was begun in its place after its last commit, 1"), "{said}");
    scene.holds("new", &scene.one);
    // Named, the one before gives its single commits.
    let (code, said) = scene.restore("old", &["--log", lost.to_str().unwrap(), "--commit", "1"]);
    assert_eq!(code, 0, "{said}");
    // Where both are named, the order says nothing.
    let (first, second) = (log_of(&scene.one), lost.to_str().unwrap());
    for (to, logs) in [("new and old", [first, second]), ("old and new", [second, first])] {
        let (_, said) = scene.restore(to, &["--log", logs[0], "--log", logs[1]]);
        assert!(said.contains("another log was begun in its place"), "{said}");
        scene.holds(to, &scene.one);
    }
    // A copy that went on with the log that is missing here is another data file by now.
    let capture = scene.start(&scene.two);
    insert(&scene.two.data, "two goes on");
    capture.flush().unwrap();
    drop(capture);
    let (code, said) = scene.restore("both", &["--log", log_of(&scene.one), "--log", log_of(&scene.two)]);
    assert!(code == 1 && said.contains("two logs go on from commit 0 in different ways"), "{said}");
}
