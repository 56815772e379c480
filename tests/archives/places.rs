//! Warnings at the fields for folder and log, with another table of disks.

use crate::support;

use std::{fs, path::Path};

use strongroom::{
    backup::places::{self, Purpose},
    error::ErrorKind,
    settings::{Settings, SettingsFile},
    storage::{disks::System, space::disk_space},
    warning::{Warning, WarningKind},
};
use support::{Place, make_data_file};

fn kinds(warnings: &[Warning]) -> Vec<WarningKind> {
    warnings.iter().map(|warning| warning.kind).collect()
}

/// A machine on which everything is on one disk, but for these mounts.
fn system(mounts: &[(&Path, &str)]) -> System {
    let mut table = "1 1 8:1 / / rw - ext4 /dev/sda1 rw\n".to_owned();
    for (n, (point, file_system)) in mounts.iter().enumerate() {
        table += &format!("{} 1 0:{n} / {} rw - {file_system} source rw\n", n + 2, point.display());
    }
    System::of(&table, Path::new("/nowhere"))
}

fn settings_of(place: &Place, data: &Path) -> Settings {
    SettingsFile::load(data, &place.own()).unwrap().settings().clone()
}

#[test]
fn the_kind_of_disk_is_warned_of_and_a_log_on_the_network_refused() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "", 10);
    let (nas, memory) = (place.at("nas"), place.at("memory"));
    let system = system(&[(&nas, "nfs4"), (&memory, "tmpfs")]);
    for folder in [&nas, &memory] {
        fs::create_dir(folder).unwrap();
    }
    let mut settings = settings_of(&place, &data);
    for (folder, kind) in [(&nas, WarningKind::NetworkDrive), (&memory, WarningKind::MemoryDisk)] {
        settings.destination.folder = Some(folder.join("Backups"));
        let found = places::look(Some(&system), &data, &settings, Purpose::Archives, None);
        // The folders of this test are on one volume, whatever the table says.
        assert_eq!(kinds(&found.warnings), [kind, WarningKind::SameDisk]);
        assert!(found.space.unwrap().total > 0 && found.disk.unwrap().mount_point == *folder);
    }
    let log = nas.join("a.journal");
    settings.log.file = Some(log.clone());
    let found = places::look(Some(&system), &data, &settings, Purpose::Log, None);
    assert_eq!(kinds(&found.warnings), [WarningKind::NetworkDrive, WarningKind::SameDisk]);
    let error = places::refuse_network_log(Some(&system), &log, &settings).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.message().ends_with("nas/a.journal is on a network drive (nfs4)"), "{error}");
    assert!(error.hint_text().unwrap().contains("log.allow-network = true"));
    settings.log.allow_network = true;
    places::refuse_network_log(Some(&system), &log, &settings).unwrap();
    places::refuse_network_log(Some(&system), &memory.join("a.journal"), &settings).unwrap();
    places::refuse_network_log(None, &log, &settings).unwrap();
}

#[test]
fn too_little_space_for_the_backups_to_be_kept_is_said() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "", 10);
    let mut settings = settings_of(&place, &data);
    let available = disk_space(&data).unwrap().available;
    let look = |settings: &Settings, required| {
        let found = places::look(None, &data, settings, Purpose::Archives, Some(required));
        found.warnings.into_iter().find(|w| w.kind == WarningKind::NotEnoughSpace).map(|w| w.message)
    };
    // Three are kept, and a fourth is there for a moment. What others write meanwhile leaves room for neither.
    assert_eq!(look(&settings, available / 5), None);
    assert!(look(&settings, available / 3).unwrap().contains("4 backups need about"));
    settings.keep.delete_oldest = strongroom::settings::sections::DeleteOldest::Before;
    assert!(look(&settings, available / 2).unwrap().contains("3 backups need about"));
    assert_eq!(look(&settings, available / 4), None);
    settings.keep.all = true;
    assert_eq!(look(&settings, available / 2), None);
    assert!(look(&settings, available * 2).unwrap().contains("the next backup needs about"));
}

#[test]
fn a_folder_with_archives_of_another_data_file_is_said() {
    let place = Place::new();
    let (first, second) = (place.at("first/a.sqlite"), place.at("second/a.sqlite"));
    for data in [&first, &second] {
        fs::create_dir(data.parent().unwrap()).unwrap();
        make_data_file(data, "", 10);
    }
    place.backup(&first).unwrap();
    let look = |data: &Path| {
        let mut settings = settings_of(&place, data);
        settings.destination.folder = Some(place.at("first/Backups"));
        places::look(None, data, &settings, Purpose::Archives, None).warnings
    };
    let other = |warnings: Vec<Warning>| warnings.into_iter().find(|w| w.kind == WarningKind::OtherDataFile);
    assert_eq!(other(look(&first)), None);
    let warning = other(look(&second)).unwrap();
    assert!(warning.message.ends_with("Backups holds archives of another data file, a.sqlite"), "{warning:?}");
    assert!(warning.hint.unwrap().starts_with("They carry the same name"));
    place.backup(&second).unwrap();
    assert!(other(look(&second)).is_some());
    fs::rename(place.at("second/a.sqlite"), place.at("second/b.sqlite")).unwrap();
    let warning = other(look(&place.at("second/b.sqlite"))).unwrap();
    assert!(warning.hint.unwrap().starts_with("They are told apart by their names"));
}

#[cfg(unix)]
#[test]
fn a_folder_that_can_not_be_written_is_said() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "", 10);
    let mut settings = settings_of(&place, &data);
    let look = |settings: &Settings| {
        let found = places::look(None, &data, settings, Purpose::Archives, None);
        found.warnings.into_iter().find(|w| w.kind == WarningKind::NotWritable).map(|w| w.message)
    };
    assert_eq!(look(&settings), None);
    fs::write(place.at("file"), "").unwrap();
    settings.destination.folder = Some(place.at("file"));
    assert!(look(&settings).unwrap().ends_with("file is a file and no folder"));
    fs::create_dir(place.at("locked")).unwrap();
    fs::set_permissions(place.at("locked"), fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(place.at("locked/x"), "").is_ok() {
        eprintln!("skipped: this user may write everywhere");
        return;
    }
    settings.destination.folder = Some(place.at("locked/Backups"));
    assert!(look(&settings).unwrap().ends_with("cannot be written by this user"));
}
