//! Restores of hostile archives, and into folders that other people can write: nothing leaves the destination.
#![cfg(unix)]

use crate::support;

use std::{
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::{Path, PathBuf},
};

use strongroom::{
    archive::{Item, ItemKind},
    control::Control,
    error::ErrorKind,
    restore::{self, RestoreOptions, RestoreReport},
    settings::{SettingsFile, sections},
    storage::Disk,
    verify,
};
use support::{
    Place, forge, make_data_file, names_in,
    users::{Attack, OTHER, as_other, can_act_as_others, copy_program, do_as_other, give},
};

fn restore_all(archive: &Path, to: &Path) -> strongroom::error::Result<RestoreReport> {
    restore::run(&Disk, archive, &RestoreOptions::all(to), &Control::default())
}

/// An archive of a data file with one attachment, `Attachments/jobs/job.txt`.
fn with_attachment(place: &Place) -> PathBuf {
    let data = place.at("data/a.sqlite");
    fs::create_dir_all(place.at("data")).unwrap();
    make_data_file(&data, "", 50);
    fs::create_dir_all(place.at("jobs")).unwrap();
    fs::write(place.at("jobs/job.txt"), "run me").unwrap();
    let mut settings = SettingsFile::load(&data, &place.own()).unwrap();
    let attachments = vec![place.at("jobs")];
    settings.change(&place.own(), |s| s.content = sections::Content { attachments, ..Default::default() }).unwrap();
    place.backup(&data).unwrap().archive
}

#[test]
fn verify_and_restore_refuse_the_same_archives_with_the_same_words() {
    let place = Place::new();
    let path = place.at("forged[0001].4BK");
    let attachment = |name: &str| forge::item(name, ItemKind::Attachment, b"payload");
    let data = || forge::item("a.sqlite", ItemKind::DataFile, b"x");
    let special = {
        let (item, content) = forge::item("Program/p", ItemKind::Program, b"#!/bin/sh\n");
        (Item { mode: 0o4755, ..item }, content)
    };
    let cases = [
        // Three links that each seem to stay inside.
        vec![
            forge::link("Attachments/x/y/d", "../.."),
            forge::link("Attachments/x/y/d/e", "../../outside"),
            attachment("Attachments/x/y/d/e/f"),
        ],
        vec![forge::link("d", "."), attachment("d/f")],
        vec![data(), attachment("a.sqlite-wal")],
        vec![data(), attachment("a.sqlite-journal")],
        vec![data(), attachment("a.sqlite-shm")],
        vec![data(), forge::item("b.sqlite", ItemKind::DataFile, b"x")],
        vec![attachment("/tmp/strongroom-absolute")],
        vec![attachment("Attachments/x/../../up")],
        vec![attachment("Attachments/x"), attachment("Attachments/x")],
        vec![attachment("Attachments/x"), attachment("Attachments/x/y")],
        vec![special],
        // What would count as something else where it would be restored.
        vec![data(), attachment("b.strongroom.toml")],
        vec![data(), forge::item("b.strongroom.toml", ItemKind::Settings, b"")],
        vec![data(), attachment(".bashrc")],
        vec![data(), forge::link("Backups", "Attachments")],
        vec![forge::item("b.sqlite", ItemKind::DataFile, b"x")],
    ];
    for (n, items) in cases.into_iter().enumerate() {
        forge::archive(&path, items);
        let refused = verify::run(&path, &Control::default()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::UnsafePath, "{n}: {refused}");
        let error = restore_all(&path, &place.at("to")).unwrap_err();
        assert_eq!((error.message(), error.hint_text()), (refused.message(), refused.hint_text()), "{n}");
        let said = place.run(&["restore", path.to_str().unwrap(), "--to", place.at("to").to_str().unwrap()]);
        assert!(!said.status.success() && support::text(&said.stderr).contains(refused.message()), "{n}");
        let left: Vec<String> = names_in(&place.at("")).into_iter().filter(|name| name != "own").collect();
        assert_eq!(left, ["forged[0001].4BK"], "{n}");
    }
    // Content that is not what the index says; and it is nobody's word alone, so permissions come without execution.
    let (item, _) = data();
    forge::archive(&path, vec![(item, b"y".to_vec())]);
    let refused = verify::run(&path, &Control::default()).unwrap_err();
    assert!(refused.message().ends_with("disagree about a.sqlite"), "{refused}");
    let error = restore_all(&path, &place.at("to")).unwrap_err();
    assert!(
        error.message().starts_with("a.sqlite in ") && error.message().ends_with("does not agree with its checksum")
    );
    let open_to_all = |(item, content): (Item, Vec<u8>)| (Item { mode: 0o777, ..item }, content);
    forge::archive(&path, vec![open_to_all(attachment("Attachments/x"))]);
    restore_all(&path, &place.at("modes")).unwrap();
    assert_eq!(fs::metadata(place.at("modes/Attachments/x")).unwrap().mode() & 0o7777, 0o666, "not executable");
    // What is forged and says nothing wrong is restored as what it is.
    forge::archive(&path, vec![data(), attachment("Attachments/x/y/f"), forge::link("Attachments/x/y/d", "../y/f")]);
    verify::run(&path, &Control::default()).unwrap();
    restore_all(&path, &place.at("to")).unwrap();
    assert_eq!(fs::read(place.at("to/Attachments/x/y/d")).unwrap(), b"payload");
}

#[test]
fn links_of_an_archive_lead_out_of_the_destination_by_no_detour() {
    let place = Place::new();
    let path = place.at("forged[0001].4BK");
    // `x/y/in` stays inside; `..` behind it would count from where it leads to.
    let items = vec![
        forge::item("Attachments/x/y/f", ItemKind::Attachment, b"payload"),
        forge::link("Attachments/x/y/in", "../.."),
        forge::link("Attachments/x/y/out", "in/../outside"),
        forge::link("Attachments/x/y/absolute", "/etc/passwd"),
        forge::link("Attachments/x/y/up", "../../../../outside"),
    ];
    forge::archive(&path, items);
    fs::write(place.at("outside"), "secret").unwrap();
    let report = restore_all(&path, &place.at("to")).unwrap();
    assert_eq!(names_in(&place.at("to/Attachments/x/y")), ["f", "in"]);
    let left: Vec<&str> = report.links_left.iter().filter_map(|left| left.split(" → ").next()).collect();
    assert_eq!(left, ["Attachments/x/y/out", "Attachments/x/y/absolute", "Attachments/x/y/up"]);
}

#[test]
fn a_link_that_lies_in_wait_in_the_destination_is_refused_and_named() {
    let place = Place::new();
    let archive = with_attachment(&place);
    let outside = place.at("outside");
    fs::create_dir_all(&outside).unwrap();
    for planted in ["Attachments", "Attachments/jobs"] {
        let to = place.at("to");
        fs::create_dir_all(to.join(planted).parent().unwrap()).unwrap();
        symlink(&outside, to.join(planted)).unwrap();
        let error = restore_all(&archive, &to).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnsafePath, "{error}");
        assert!(error.message().contains(&*to.join(planted).to_string_lossy()), "{error}");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
        assert!(!to.join("a.sqlite").exists(), "nothing of it is restored");
        fs::remove_dir_all(&to).unwrap();
    }
    for end in ["-wal", "-journal", "-shm"] {
        let to = place.at("to");
        fs::create_dir_all(&to).unwrap();
        symlink("nowhere", to.join(format!("a.sqlite{end}"))).unwrap();
        assert_eq!(restore_all(&archive, &to).unwrap_err().kind(), ErrorKind::Exists);
        fs::remove_dir_all(&to).unwrap();
    }
    // The destination itself is what the administrator named.
    symlink(place.at("real"), place.at("to")).unwrap();
    fs::create_dir(place.at("real")).unwrap();
    restore_all(&archive, &place.at("to")).unwrap();
    assert_eq!(fs::read(place.at("real/Attachments/jobs/job.txt")).unwrap(), b"run me");
}

/// Where an attacker would have root write: beside the folder that belongs to him.
const SECRET: &str = "root-only";

/// Puts links in the place of what a restore makes, as fast as it can, until it is ended.
#[test]
#[ignore = "is run by another test, as another user"]
fn swap_names_below_the_destination() {
    let here = std::env::current_dir().unwrap();
    let secret = here.parent().unwrap().parent().unwrap().join(SECRET);
    for n in 0u64.. {
        for entry in fs::read_dir(&here).unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            let path = here.join(&name);
            if path.is_symlink() {
                let _ = fs::remove_file(&path);
            } else if name == "Attachments" || name.starts_with(".strongroom-scratch-") && n / 500 % 2 == 1 {
                // What belongs to root may be renamed all the same: the folder is ours.
                let _ = fs::rename(&path, here.join(format!("taken-{n}")));
                let _ = symlink(&secret, &path);
            }
        }
        if n % 3 == 0 {
            let _ = symlink(&secret, here.join("Attachments"));
        }
    }
}

#[test]
fn the_owner_of_a_destination_can_not_lead_root_elsewhere_not_even_by_swapping_at_the_last_moment() {
    if !can_act_as_others() {
        return;
    }
    let place = Place::new();
    let archive = with_attachment(&place);
    let (to, secret) = (place.at("home/to"), place.at(SECRET));
    give(&to);
    // What may be found there when somebody was led there: the shape of a restore and of a scratch folder.
    for shape in ["jobs", "content/Attachments/jobs"] {
        fs::create_dir_all(secret.join(shape)).unwrap();
    }
    fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let mut attack =
        Attack::begin(&place, &to, &support::full_name(module_path!(), "swap_names_below_the_destination"));
    let mut led_astray = 0;
    for n in 0.. {
        if n >= 60 && led_astray > 0 || !attack.goes_on() {
            break;
        }
        if let Err(error) = restore_all(&archive, &to) {
            led_astray += usize::from(error.kind() == ErrorKind::UnsafePath);
        }
        for name in ["a.sqlite", "a.strongroom.toml", "strongroom-manifest.toml"] {
            let _ = fs::remove_file(to.join(name));
        }
    }
    assert!(attack.goes_on(), "nobody tried");
    drop(attack);
    let mut found = Vec::new();
    let mut folders = vec![secret];
    while let Some(folder) = folders.pop() {
        assert_eq!(fs::metadata(&folder).unwrap().uid(), 0, "root's folder was given away");
        for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    assert!(found.is_empty(), "written where another user led to: {found:?}");
}

#[test]
fn a_folder_of_worth_that_is_called_like_a_scratch_folder_stays() {
    if !can_act_as_others() {
        return;
    }
    let place = Place::new();
    let archive = with_attachment(&place);
    let home = place.at("home");
    give(&home);
    fs::create_dir(home.join("of-root")).unwrap();
    fs::write(home.join("of-root/letter"), "of worth").unwrap();
    // Whoever owns a folder may rename what others have in it.
    do_as_other(&home, "mv of-root .strongroom-scratch-x");
    restore_all(&archive, &home).unwrap();
    assert_eq!(fs::read(home.join(".strongroom-scratch-x/letter")).unwrap(), b"of worth");
}

#[test]
fn owners_that_a_user_can_not_give_are_named() {
    if !can_act_as_others() {
        return;
    }
    let place = Place::new();
    let archive = with_attachment(&place);
    let home = place.at("home");
    give(&home);
    let program = place.at("strongroom");
    copy_program(Path::new(support::PROGRAM), &program);
    let mut command = as_other(&home, &program);
    command.arg("restore").arg(&archive).args(["--to", "to"]).env("HOME", &home);
    let output = command.output().unwrap();
    let said = support::text(&output.stdout) + &support::text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains(" belonged to another user (number 0) and now to the one who restored."), "{said}");
    assert_eq!(fs::metadata(home.join("to/a.sqlite")).unwrap().uid(), OTHER);
    // By root everything gets the owner that it had.
    let (item, content) = forge::item("Attachments/x", ItemKind::Attachment, b"x");
    let path = place.at("forged[0001].4BK");
    forge::archive(&path, vec![(Item { owner: Some((OTHER, OTHER)), ..item }, content)]);
    let report = restore_all(&path, &place.at("by root")).unwrap();
    assert_eq!(report.remarks, Vec::<String>::new());
    assert_eq!(fs::metadata(place.at("by root/Attachments/x")).unwrap().uid(), OTHER);
}
