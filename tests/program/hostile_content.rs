//! Attachments that others move, swap and lock away while they are backed up: nothing else gets into the archive, and
//! nothing that fewer people may read than the archive.
#![cfg(unix)]

use crate::support;

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use strongroom::{
    backup::BackupReport,
    control::Control,
    restore::{self, RestoreOptions},
    settings::{SettingsFile, path_beside, sections},
    storage::Disk,
    verify,
};
use support::{
    Place,
    harm::HarmfulDisk,
    make_data_file, names_in,
    user::{mode, set_mode},
};

/// A data file that everybody may read, with these attachments.
fn scene(place: &Place, attachments: &[PathBuf]) -> PathBuf {
    let data = place.at("data/a.sqlite");
    fs::create_dir(place.at("data")).unwrap();
    make_data_file(&data, "", 10);
    set_mode(&place.at(""), 0o755);
    set_mode(&place.at("data"), 0o755);
    set_mode(&data, 0o644);
    let attachments = attachments.to_vec();
    let mut settings = SettingsFile::load(&data, &place.own()).unwrap();
    settings.change(&place.own(), |s| s.content = sections::Content { attachments, ..Default::default() }).unwrap();
    set_mode(&path_beside(&data), 0o644);
    data
}

fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    set_mode(path.parent().unwrap(), 0o755);
    fs::write(path, content).unwrap();
    set_mode(path, 0o644);
}

/// Verifies the archive and restores it.
fn restore_all(archive: &Path, to: &Path) {
    verify::run(archive, &Control::default()).unwrap();
    restore::run(&Disk, archive, &RestoreOptions::all(to), &Control::default()).unwrap();
}

fn problems(report: &BackupReport) -> Vec<(&str, &str)> {
    let last = |path: &'_ str| path.rfind('/').map_or(0, |at| at + 1);
    report.content.problems.iter().map(|p| (&p.path[last(&p.path)..], p.reason.as_str())).collect()
}

/// A neighbour who may write a folder on the way to an attachment has root read what only root may read.
#[test]
fn a_folder_that_is_swapped_for_a_link_in_mid_backup_leads_to_nothing() {
    let place = Place::new();
    let (files, secret) = (place.at("files"), place.at("secret"));
    for name in ["inside/shadow", "inside/deep/shadow", "stays"] {
        write(&files.join(name), "open");
        write(&secret.join(name.trim_start_matches("inside/")), "secret");
    }
    fs::create_dir(files.join("inside/empty")).unwrap();
    // The path to the chosen folder may lead through a link.
    symlink(&files, place.at("chosen")).unwrap();
    let data = scene(&place, &[place.at("chosen"), files.join("inside/shadow")]);
    let disk = HarmfulDisk::new(1, move || {
        fs::rename(files.join("inside"), files.join("moved")).unwrap();
        symlink(&secret, files.join("inside")).unwrap();
    });
    let made = place.backup_on(&disk, &data).unwrap();
    let no_file = "cannot be read: it is no longer an ordinary file";
    assert_eq!(problems(&made), [("shadow", no_file), ("empty", "lies behind a link now"), ("shadow", no_file)]);
    let to = place.at("to");
    restore_all(&made.archive, &to);
    assert_eq!(names_in(&to.join("Attachments/chosen")), ["stays"]);
    // The folder of a chosen file is held, whatever takes its name.
    assert_eq!(fs::read(to.join("Attachments/shadow")).unwrap(), b"open");
}

#[test]
fn what_becomes_more_private_than_the_archive_in_mid_backup_is_left_out_and_said() {
    let place = Place::new();
    let (files, secret) = (place.at("files"), place.at("secret"));
    for name in ["closed/f", "replaced", "stays"] {
        write(&files.join(name), "open");
    }
    write(&secret, "secret");
    set_mode(&secret, 0o600);
    let data = scene(&place, std::slice::from_ref(&files));
    let disk = HarmfulDisk::new(1, move || {
        fs::hard_link(&secret, files.join("linked")).unwrap();
        fs::rename(files.join("linked"), files.join("replaced")).unwrap();
        set_mode(&files.join("closed"), 0o700);
    });
    let made = place.backup_on(&disk, &data).unwrap();
    assert_eq!(mode(&made.archive), 0o644);
    let reason = "became more private than this backup while it was made";
    assert_eq!(problems(&made), [("f", reason), ("replaced", reason)]);
    let to = place.at("to");
    restore_all(&made.archive, &to);
    assert_eq!(names_in(&to.join("Attachments/files")), ["stays"]);
}

#[test]
fn private_settings_make_the_archive_private() {
    let place = Place::new();
    write(&place.at("files/open"), "open");
    let data = scene(&place, &[place.at("files")]);
    for (bits, expected) in [(0o644, 0o644), (0o640, 0o640), (0o600, 0o600)] {
        set_mode(&path_beside(&data), bits);
        assert_eq!(mode(&place.backup(&data).unwrap().archive), expected);
    }
}
