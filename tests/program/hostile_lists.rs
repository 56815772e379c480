//! Lists, notes and marks that somebody else wrote: what lies in another folder is not deleted on their word.
#![cfg(unix)]

use crate::support;

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use strongroom::{
    archive::{ArchiveOptions, Compression, catalog, leftovers, segments, trust::Trust},
    backup::{self, retention},
    control::Control,
    settings::SettingsFile,
    storage::Disk,
    verify,
};
use support::{
    Place,
    engine::{backup as make_backup, engine, open_with_log},
    make_data_file,
    users::{OTHER, can_act_as_others, do_as_other},
};

fn in_segments() -> ArchiveOptions {
    ArchiveOptions { segment_bytes: Some(1 << 20), compression: Compression::None, ..ArchiveOptions::default() }
}

/// A data file `NAME/a.sqlite` with one backup in several segments.
fn backed_up(place: &Place, name: &str) -> (PathBuf, Vec<PathBuf>) {
    let data = place.at(name).join("a.sqlite");
    fs::create_dir(place.at(name)).unwrap();
    make_data_file(&data, "PRAGMA journal_mode=DELETE", 9_000);
    let made = place.backup_stored(&Disk, &data, in_segments()).unwrap();
    assert!(made.files.len() > 2);
    (data, made.files)
}

/// The list that a crashed backup would leave of these files.
fn list_of(files: &[PathBuf]) -> String {
    let id = segments::head_of(&files[0]).unwrap().archive_id;
    let lines: Vec<String> = files.iter().map(|file| format!("{}\n", file.display())).collect();
    format!("archive {id}\n{}", lines.concat())
}

fn all_there(files: &[PathBuf]) -> bool {
    files.iter().all(|file| file.is_file())
}

#[test]
fn a_planted_list_removes_no_segment_of_another_folder() {
    let place = Place::new();
    let (_, foreign) = backed_up(&place, "foreign");
    let data = place.at("mine/a.sqlite");
    fs::create_dir(place.at("mine")).unwrap();
    make_data_file(&data, "", 10);
    let folder = backup::default_destination(&data);
    fs::create_dir(&folder).unwrap();
    let list = folder.join("a[0001].4BK.part");
    let missing = foreign[0].with_file_name("a[0001-0099].4BK");
    let with_missing = [foreign.as_slice(), &[missing]].concat();
    let without_id: String = foreign.iter().map(|file| format!("{}\n", file.display())).collect();
    for text in [list_of(&foreign), list_of(&with_missing), list_of(&foreign[1..]), without_id] {
        // Complete; and again while one of its segments is out of reach, so that nobody can tell.
        for away in [false, true] {
            let hidden = foreign[1].with_extension("away");
            if away {
                fs::rename(&foreign[1], &hidden).unwrap();
            }
            fs::write(&list, &text).unwrap();
            place.backup(&data).unwrap();
            assert!(!list.exists(), "the list itself is removed");
            if away {
                fs::rename(&hidden, &foreign[1]).unwrap();
            }
            assert!(all_there(&foreign), "{text}");
        }
    }
    verify::run(&foreign[0], &Control::default()).unwrap();
}

#[test]
fn in_its_own_folder_a_list_decides_over_what_says_itself_that_it_belongs_to_it() {
    let place = Place::new();
    let (data, files) = backed_up(&place, "mine");
    let folder = backup::default_destination(&data);
    let list = folder.join("a[0001].4BK.part");
    // Complete, whatever the list says.
    fs::write(&list, list_of(&files)).unwrap();
    leftovers::remove_leftovers(&folder, "a").unwrap();
    assert!(all_there(&files) && !list.exists());
    // Another archive's identity.
    fs::rename(&files[1], place.at("taken away")).unwrap();
    fs::write(&list, list_of(&files).replacen("archive ", "archive f", 1)).unwrap();
    leftovers::remove_leftovers(&folder, "a").unwrap();
    assert!(files[0].is_file() && files[2].is_file());
    // What a crash between two names leaves; a link of that name leads to something else.
    let other = place.at("other");
    fs::copy(&files[0], &other).unwrap();
    std::os::unix::fs::symlink(&other, &files[1]).unwrap();
    fs::write(&list, list_of(&files)).unwrap();
    let removed = leftovers::remove_leftovers(&folder, "a").unwrap();
    assert!(!files[0].exists() && !files[2].exists(), "{removed:?}");
    assert!(files[1].is_symlink() && other.is_file());
}

#[test]
fn a_list_of_another_user_decides_over_nothing_of_ours() {
    if !can_act_as_others() {
        return;
    }
    let place = Place::new();
    let (data, files) = backed_up(&place, "mine");
    let folder = backup::default_destination(&data);
    // Everybody may put files there, and take away only his own.
    fs::set_permissions(place.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o1777)).unwrap();
    fs::rename(&files[1], place.at("taken away")).unwrap();
    fs::write(place.at("text"), list_of(&files)).unwrap();
    do_as_other(&folder, &format!("cp '{}' 'a[0001].4BK.part'", place.at("text").display()));
    leftovers::remove_leftovers(&folder, "a").unwrap();
    assert!(files[0].is_file() && files[2].is_file(), "uid {OTHER} had root's segments removed");
}

#[test]
fn a_planted_note_brings_no_archive_of_another_folder_into_retention() {
    let place = Place::new();
    let (data, files) = backed_up(&place, "mine");
    let folder = backup::default_destination(&data);
    // Somebody keeps the set elsewhere; one segment is left here, with a note that leads to the others.
    let elsewhere = place.at("kept elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let mut moved = vec![files[0].clone()];
    for file in &files[1..] {
        moved.push(elsewhere.join(file.file_name().unwrap()));
        fs::rename(file, moved.last().unwrap()).unwrap();
    }
    let note: String = moved.iter().map(|file| format!("{}\n", file.display())).collect();
    fs::write(folder.join("a[0001].4BK.segments"), &note).unwrap();
    let settings = SettingsFile::load(&data, &place.own()).unwrap();
    let untouchable = || {
        let known = catalog::list(&folder, None).unwrap();
        assert_eq!(known[0].files, moved, "it is listed as a whole");
        let sets = retention::sets(&data, settings.settings(), &known, Trust::default());
        sets[0].untouchable.clone()
    };
    let expected = format!("{} has no note of its segments there", elsewhere.display());
    assert_eq!(untouchable().as_deref(), Some(expected.as_str()));
    // As a backup that went on there leaves it.
    fs::write(elsewhere.join("a[0001].4BK.segments"), &note).unwrap();
    assert_eq!(untouchable(), None);
}

/// A log whose archive is not there stays, unless the program itself notes that it deleted that archive.
#[test]
fn a_mark_of_another_user_lets_no_log_of_ours_be_deleted() {
    if !can_act_as_others() {
        return;
    }
    let place = Place::new();
    let data = place.at("a.sqlite");
    let _application = make_data_file(&data, "PRAGMA journal_mode=WAL", 20);
    let folder = backup::default_destination(&data);
    let engine = engine(&place);
    open_with_log(&engine.handle(), &data, &folder.join("a.journal"));
    for n in 0..3 {
        rusqlite::Connection::open(&data).unwrap().execute("INSERT INTO t(a) VALUES(?1)", [n.to_string()]).unwrap();
        make_backup(&engine.handle(), &data);
    }
    drop(engine);
    let settings = SettingsFile::load(&data, &place.own().join("strongroom")).unwrap();
    fs::set_permissions(place.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o1777)).unwrap();
    let (log, mark) = (folder.join("a[0002].4BL"), folder.join("a[0002].4BK.deleted"));
    assert!(log.is_file());
    // It is being copied elsewhere, say, and comes back.
    fs::rename(folder.join("a[0002].4BK"), place.at("kept elsewhere")).unwrap();
    let goes_with_a_set = || {
        let known = catalog::list(&folder, None).unwrap();
        let sets = retention::sets(&data, settings.settings(), &known, Trust::default());
        assert_eq!(sets.len(), 2);
        sets.iter().any(|set| set.logs.contains(&log))
    };
    do_as_other(&folder, "touch 'a[0002].4BK.deleted'");
    assert!(!goes_with_a_set(), "uid {OTHER} had root's log deleted with another archive");
    // As retention leaves it.
    fs::remove_file(&mark).unwrap();
    fs::write(&mark, "").unwrap();
    assert!(goes_with_a_set());
}
