//! What takes the place of something that is gone: a repaired copy of its archive, an older archive of a newer one, a
//! log that was begun anew of the one before. Where it is not the same, that is said.

use std::{fs, path::Path};

use super::scene::{Scene, said};
use crate::support::text;

/// Whoever deletes what was damaged, as he is advised once there is a sound copy, has lost nothing.
#[test]
fn a_repaired_copy_stands_in_the_place_of_the_archive_that_was_deleted() {
    let Some(mut scene) = Scene::new() else { return };
    let data = scene.data.to_str().unwrap().to_owned();
    assert!(scene.place.run(&["settings", &data, "archive.redundancy=high"]).status.success());
    scene.backup();
    scene.commits(4);
    for number in [1, 2] {
        let archive = scene.damaged(number);
        let repaired = scene.place.run(&["repair", archive.to_str().unwrap()]);
        // The first one has no recovery data.
        assert_eq!(repaired.status.success(), number == 2, "{}", text(&repaired.stderr));
        fs::remove_file(archive).unwrap();
    }
    let copy = scene.place.at("archives/a[0002] repaired.4BK");
    assert!(copy.is_file());
    let tested = scene.place.run(&["verify", copy.to_str().unwrap(), "--test-restore"]);
    assert!(tested.status.success(), "{}", text(&tested.stderr));
    let known = || {
        let status = scene.status();
        status.contains("Last full backup   0002") && !status.contains("gone") && status.contains("; complete")
    };
    let begun = std::time::Instant::now();
    while !known() {
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{}", scene.status());
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let listed = text(&scene.place.run(&["list", &data]).stdout);
    assert_eq!(listed.matches("repaired.4BK").count(), 1, "{listed}");
    let shown = scene.place.run(&["log", &data, "--json"]);
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    assert_eq!(text(&shown.stdout).lines().count(), 4, "{}", text(&shown.stdout));
    // A new archive goes on from it, and it counts among those that are kept.
    scene.backup();
    scene.commits(1);
    scene.lose();
    said(&scene.restore(&scene.data, "newest", &[]), 1);
    assert_eq!(scene.more("newest"), 8);
    fs::remove_file(scene.archive(3)).unwrap();
    let lacks = said(&scene.restore(&scene.data, "copy", &[]), 1);
    assert!(lacks.contains("nobody writes it any more") || lacks.contains("0003"), "{lacks}");
    assert_eq!(scene.more("copy"), 8);
}

/// No log leads on for attachments: those of an older archive are older.
#[test]
fn files_beside_the_data_file_are_said_to_be_older_where_a_newer_archive_cannot_be_used() {
    for is_gone in [false, true] {
        let Some(scene) = Scene::new() else { return };
        let data = scene.data.to_str().unwrap().to_owned();
        let letters = scene.place.at("letters");
        fs::create_dir(&letters).unwrap();
        fs::write(letters.join("letter.txt"), "old").unwrap();
        let setting = format!("content.attachments+={}", letters.display());
        assert!(scene.place.run(&["settings", &data, &setting]).status.success());
        scene.backup();
        scene.commits(1);
        let letter = |to: &str| fs::read_to_string(scene.place.at(to).join("Attachments/letters/letter.txt")).unwrap();
        let plain = said(&scene.restore(&scene.data, "plain", &[]), 0);
        assert!(plain.contains("Program files and attachments are as the archive holds them, of "), "{plain}");
        assert_eq!(letter("plain"), "old");

        fs::write(letters.join("letter.txt"), "new").unwrap();
        scene.backup();
        scene.commits(1);
        said(&scene.restore(&scene.data, "whole", &[]), 0);
        assert_eq!((letter("whole").as_str(), scene.more("whole")), ("new", 5));
        let newest = scene.damaged(3);
        if is_gone {
            fs::remove_file(newest).unwrap();
        }
        let older = said(&scene.restore(&scene.data, "older", &[]), 1);
        assert_eq!((letter("older").as_str(), scene.more("older")), ("old", 5), "the data file is the newest");
        let expected = "program files and attachments are as backup 0002 of ";
        assert!(older.contains("backup 0003") && older.contains(expected), "{older}");
        // The data file alone lacks nothing, nor what was restored up to a moment before that backup.
        said(&scene.restore(&scene.data, "alone", &["--item", "a.sqlite"]), 0);
    }
}

/// A log that was begun anew gives numbers a second time.
#[test]
fn an_undo_brings_back_the_state_before_and_never_another_commit_of_its_number() {
    let Some(scene) = Scene::new() else { return };
    let data = scene.data.to_str().unwrap().to_owned();
    scene.commits(4);
    let restored = scene.place.run(&["restore", &data, "--in-place", "--commit", "2"]);
    assert!(restored.status.success(), "{}", text(&restored.stderr));
    let undo = |more: &[&str]| scene.place.run(&[&["undo", &data], more].concat());
    assert!(undo(&["--dry-run"]).status.success());
    fs::remove_file(scene.place.at("logs/a.journal")).unwrap();
    let begun = std::time::Instant::now();
    while !Path::new(&scene.place.at("logs/a.journal")).exists() {
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{}", scene.status());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    scene.commits(12);
    let before = scene.more_in_place();
    let refused = said(&undo(&["--yes"]), 1);
    assert!(refused.contains("the state before the restore"), "{refused}");
    assert_eq!(scene.more_in_place(), before, "nothing was changed");
}
