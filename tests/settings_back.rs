//! A data file that was lost with its folder comes back with its settings: its archive holds them. Those that are there
//! are never touched.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use support::{Place, logical_content, make_data_file, text};

/// A data file in a folder of its own, backed up twice every day to another folder.
fn scene(place: &Place) -> (PathBuf, PathBuf) {
    let data = place.at("app/a.sqlite");
    fs::create_dir(place.at("app")).unwrap();
    drop(make_data_file(&data, "PRAGMA journal_mode=WAL", 30));
    let destination = format!("destination.folder={}", place.at("archives").display());
    let settings =
        ["settings", data.to_str().unwrap(), &destination, "scheduler.frequency=every day", "scheduler.at=04:30"];
    let output = place.run(&settings);
    assert!(output.status.success(), "{}", text(&output.stderr));
    for _ in 0..2 {
        let output = place.run(&["backup", data.to_str().unwrap()]);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    (data, place.at("archives/a[0001].4BK"))
}

fn restore(place: &Place, archive: &Path, data: &Path) -> String {
    let output = place.run(&["restore", archive.to_str().unwrap(), "--in-place", data.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn a_restore_of_what_was_lost_with_its_folder_puts_the_settings_back_and_says_so() {
    let place = Place::new();
    let (data, archive) = scene(&place);
    let content = logical_content(&data);
    let settings = fs::read_to_string(place.at("app/a.strongroom.toml")).unwrap();
    fs::remove_dir_all(place.at("app")).unwrap();
    let said = restore(&place, &archive, &data);
    assert_eq!(logical_content(&data), content);
    assert!(said.contains("The settings were lost too and were put back from the archive"), "{said}");
    assert!(said.contains(&format!("a full backup every day to {}, no log", place.at("archives").display())), "{said}");
    assert!(!said.contains("does not exist here"), "{said}");
    // All of it, and the number of the newest archive that is there, although the first one was restored.
    assert_eq!(fs::read_to_string(place.at("app/a.strongroom.toml")).unwrap(), settings);
    let output = place.run(&["backup", data.to_str().unwrap()]);
    assert!(output.status.success() && place.at("archives/a[0003].4BK").is_file(), "{}", text(&output.stderr));
}

#[test]
fn a_folder_that_the_settings_name_and_that_is_not_here_is_said() {
    let place = Place::new();
    let (data, archive) = scene(&place);
    fs::remove_dir_all(place.at("app")).unwrap();
    fs::rename(place.at("archives"), place.at("rescued")).unwrap();
    let archive = place.at("rescued").join(archive.file_name().unwrap());
    let said = restore(&place, &archive, &data);
    let missing = format!("The folder {}, which they name, does not exist here", place.at("archives").display());
    assert!(said.contains(&missing), "{said}");
    assert!(!place.at("archives").exists(), "made by nobody who looks");
    // No number is used twice, although no archive lies where the settings say.
    let settings = fs::read_to_string(place.at("app/a.strongroom.toml")).unwrap();
    assert!(settings.contains("last-number = 2"), "{settings}");
}

#[test]
fn settings_that_are_there_are_left_as_they_are() {
    let place = Place::new();
    let (data, archive) = scene(&place);
    let output = place.run(&["settings", data.to_str().unwrap(), "scheduler.frequency=every hour"]);
    assert!(output.status.success());
    let file = place.at("app/a.strongroom.toml");
    let settings = fs::read_to_string(&file).unwrap();
    fs::remove_file(&data).unwrap();
    let said = restore(&place, &archive, &data);
    assert!(!said.contains("put back"), "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap(), settings);
    // And what can not be understood is still somebody's.
    fs::write(&file, "not settings at all [").unwrap();
    fs::remove_file(&data).unwrap();
    let output = place.run(&["restore", archive.to_str().unwrap(), "--in-place", data.to_str().unwrap()]);
    assert!(!output.status.success() && text(&output.stderr).contains("not valid TOML"), "{}", text(&output.stderr));
    assert_eq!(fs::read_to_string(&file).unwrap(), "not settings at all [");
}
