//! A data file that was lost with its folder comes back with its settings: its archive holds them. Those that are there
//! are never touched.

use crate::support;

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

/// Without the note that its state was wanted, the last one in the file.
fn without_note(settings: &std::path::Path) -> String {
    let text = fs::read_to_string(settings).unwrap();
    let (before, note) = text.split_once("# The file that a restore put in its place").unwrap();
    assert!(note.contains("\nrestored = \"") && note.lines().count() == 2, "{note}");
    before.to_owned()
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
    assert_eq!(without_note(&place.at("app/a.strongroom.toml")), settings);
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
    assert_eq!(without_note(&file), settings);
    // And what cannot be understood is still somebody's.
    fs::write(&file, "not settings at all [").unwrap();
    fs::remove_file(&data).unwrap();
    let output = place.run(&["restore", archive.to_str().unwrap(), "--in-place", data.to_str().unwrap()]);
    assert!(!output.status.success() && text(&output.stderr).contains("not valid TOML"), "{}", text(&output.stderr));
    assert_eq!(fs::read_to_string(&file).unwrap(), "not settings at all [");
}

/// Whoever hands over an archive must not have a program run as whoever restores it.
#[test]
fn a_program_that_an_archive_names_is_left_out_and_said() {
    let place = Place::new();
    let (data, _) = scene(&place);
    let (ran, attachment) = (place.at("ran"), place.at("files"));
    fs::create_dir(&attachment).unwrap();
    let on_finish = format!("on-finish=['/usr/bin/touch', '{}']", ran.display());
    let attachments = format!("content.attachments=['{}']", attachment.display());
    let output = place.run(&["settings", data.to_str().unwrap(), &on_finish, &attachments]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(place.run(&["backup", data.to_str().unwrap()]).status.success());
    let archive = place.at("archives/a[0003].4BK");
    // In the same place, and in another one where the folders of the sender do not exist.
    for (folder, is_elsewhere) in [("app", false), ("elsewhere", true)] {
        let _ = fs::remove_dir_all(place.at("app"));
        let mut archive = archive.clone();
        if is_elsewhere {
            fs::rename(place.at("archives"), place.at("sent")).unwrap();
            archive = place.at("sent").join(archive.file_name().unwrap());
        }
        let data = place.at(folder).join("a.sqlite");
        let said = restore(&place, &archive, &data);
        let left = format!("They also named a program to run after each job, /usr/bin/touch {}, which", ran.display());
        assert!(said.contains(&left), "{said}");
        assert!(said.contains(&format!("With each backup they also store {}.", attachment.display())), "{said}");
        let settings = fs::read_to_string(data.with_file_name("a.strongroom.toml")).unwrap();
        assert!(!settings.contains("touch"), "{settings}");
        let gone = place.at("archives").display().to_string();
        let not_believed = format!("The folder {gone}, which they named, does not exist here and was left out");
        assert_eq!((said.contains(&not_believed), settings.contains(&gone)), (is_elsewhere, !is_elsewhere), "{said}");
    }
}

#[test]
fn a_restore_into_a_folder_leaves_the_program_out_too() {
    let place = Place::new();
    let (data, _) = scene(&place);
    let file = place.at("app/a.strongroom.toml");
    let ran = place.at("ran");
    let before = fs::read_to_string(&file).unwrap();
    // What names no program comes back byte by byte.
    let to = place.at("to 1");
    let archive = place.at("archives/a[0001].4BK");
    let output = place.run(&["restore", archive.to_str().unwrap(), "--to", to.to_str().unwrap()]);
    assert!(output.status.success() && !text(&output.stderr).contains("program"), "{}", text(&output.stderr));
    let alone = place.run(&[
        "restore",
        archive.to_str().unwrap(),
        "--to",
        place.at("alone").to_str().unwrap(),
        "--item",
        "a.strongroom.toml",
    ]);
    assert!(alone.status.success());
    assert_eq!(fs::read(to.join("a.strongroom.toml")).unwrap(), fs::read(place.at("alone/a.strongroom.toml")).unwrap());
    // However the key is written; what a person wrote besides stays.
    for (n, key) in [(3, "on-finish"), (4, "\"on-finish\""), (5, "\"on-fi\\u006eish\"")] {
        let named = format!("# mine\n{key} = ['/usr/bin/touch', '{}']\n{before}", ran.display());
        fs::write(&file, named).unwrap();
        assert!(place.run(&["backup", data.to_str().unwrap()]).status.success());
        let _ = fs::remove_file(&ran);
        let archive = place.at(&format!("archives/a[{n:04}].4BK"));
        let to = place.at(&format!("to {n}"));
        let output = place.run(&["restore", archive.to_str().unwrap(), "--to", to.to_str().unwrap()]);
        let said = text(&output.stderr);
        assert!(output.status.success(), "{said}");
        let left =
            format!("named a program to run after each job, /usr/bin/touch {}, which was left out", ran.display());
        assert!(said.contains(&left), "{said}");
        let settings = fs::read_to_string(to.join("a.strongroom.toml")).unwrap();
        assert!(!settings.contains("touch") && settings.contains("# mine"), "{settings}");
        assert!(settings.contains("scheduler") && settings.contains("at = \"04:30\""), "{settings}");
        // Whoever opens it runs nothing.
        let made =
            place.run(&["backup", to.join("a.sqlite").to_str().unwrap(), "--to", to.join("x").to_str().unwrap()]);
        // It shares its settings with the one it was restored from, which is said.
        assert!(to.join("x").join(format!("a[{:04}].4BK", n + 1)).exists(), "{}", text(&made.stderr));
        assert!(!ran.exists());
        // The archive holds them as they were.
        assert!(place.run(&["verify", archive.to_str().unwrap()]).status.success());
    }
}
