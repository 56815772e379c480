//! Program files and attachments: into the archive with their structure, and back.

use crate::support;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use strongroom::{
    archive::Archive,
    backup::{self, BackupReport},
    control::Control,
    error::ErrorKind,
    restore::{self, Logs, RestoreOptions},
    settings::{SettingsFile, sections},
    storage::Disk,
    verify,
};
use support::{Place, harm::HarmfulDisk, has, make_data_file, names_in, text};

fn choose(place: &Place, data: &Path, program: &[PathBuf], attachments: &[PathBuf]) {
    let mut settings = SettingsFile::load(data, &place.own()).unwrap();
    let (program, attachments) = (program.to_vec(), attachments.to_vec());
    settings.change(&place.own(), |s| s.content = sections::Content { program, attachments }).unwrap();
}

fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Every file, empty folder and link below a folder, with what it holds.
fn tree(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        let entries: Vec<_> = fs::read_dir(&next).unwrap().map(|e| e.unwrap().path()).collect();
        let name = |path: &Path| path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
        if entries.is_empty() && next != folder {
            found.insert(name(&next), "an empty folder".to_owned());
        }
        for path in entries {
            let meta = path.symlink_metadata().unwrap();
            if meta.is_symlink() {
                found.insert(name(&path), format!("→ {}", fs::read_link(&path).unwrap().display()));
            } else if meta.is_dir() {
                folders.push(path);
            } else {
                found.insert(name(&path), blake3::hash(&fs::read(&path).unwrap()).to_string());
            }
        }
    }
    found
}

fn restore_all(archive: &Path, to: &Path) -> restore::RestoreReport {
    restore::run(&Disk, archive, &RestoreOptions::all(to), &Control::default()).unwrap()
}

fn sound(report: &BackupReport) {
    verify::run(&report.archive, &Control::default()).unwrap();
}

#[test]
fn files_and_folders_come_back_with_their_inner_structure() {
    let place = Place::new();
    let data = place.at("data/a.sqlite");
    fs::create_dir(place.at("data")).unwrap();
    make_data_file(&data, "", 100);
    let letters = place.at("letters");
    write(&letters.join("2026/März/Brief an Frau Müller.txt"), "Sehr geehrte Frau Müller");
    write(&letters.join("2026/large.bin"), vec![7; 9 << 20]);
    write(&letters.join("nothing"), "");
    write(&letters.join("zz nothing"), "");
    fs::create_dir_all(letters.join("empty/and empty")).unwrap();
    let long = "n".repeat(200);
    write(&letters.join(&long).join(&long).join("x"), "long");
    // A second folder and a single file of the same last name, and a program.
    write(&place.at("other/letters/x.txt"), "other");
    write(&place.at("third/letters"), "a file");
    let program = place.at("program");
    write(&program.join("office"), "#!/bin/sh\n");
    #[cfg(unix)]
    {
        use std::os::unix::fs::{PermissionsExt, symlink};
        fs::set_permissions(program.join("office"), fs::Permissions::from_mode(0o4755)).unwrap();
        symlink("2026/large.bin", letters.join("latest")).unwrap();
        symlink("/etc/hostname", letters.join("outside")).unwrap();
        symlink("../".repeat(60) + "etc", letters.join("long way out")).unwrap();
    }
    choose(
        &place,
        &data,
        std::slice::from_ref(&program),
        &[letters.clone(), place.at("other/letters"), place.at("third/letters")],
    );
    let made = place.backup(&data).unwrap();
    assert!(made.problem().is_none(), "{:?}", made.content);
    sound(&made);
    let roots: Vec<(&str, &str)> =
        made.content.roots.iter().map(|r| (r.path.rsplit('/').next().unwrap(), r.name.as_str())).collect();
    assert_eq!(
        roots,
        [
            ("program", "Program/program"),
            ("letters", "Attachments/letters"),
            ("letters", "Attachments/letters (2)"),
            ("letters", "Attachments/letters (3)")
        ]
    );
    assert_eq!(made.content.files, 8);

    let to = place.at("to");
    let report = restore_all(&made.archive, &to);
    let mut expected = tree(&letters);
    if cfg!(unix) {
        let left: Vec<&str> = report.links_left.iter().map(|l| l.split(" → ").next().unwrap()).collect();
        assert_eq!(left, ["Attachments/letters/long way out", "Attachments/letters/outside"]);
        expected.remove("outside");
        expected.remove("long way out");
    }
    assert_eq!(tree(&to.join("Attachments/letters")), expected);
    assert_eq!(tree(&to.join("Attachments/letters (2)")), tree(&place.at("other/letters")));
    assert_eq!(fs::read_to_string(to.join("Attachments/letters (3)")).unwrap(), "a file");
    assert_eq!(report.file_count, 11);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: PathBuf| path.metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(to.join("Program/program/office")), 0o755, "a program can be run, without special bits");
    }
    let modified = |path: PathBuf| path.metadata().unwrap().modified().unwrap();
    let name = "2026/large.bin";
    let (before, after) = (modified(letters.join(name)), modified(to.join("Attachments/letters").join(name)));
    assert!(before.duration_since(after).unwrap_or_default() < Duration::from_secs(1));
    let manifest = fs::read_to_string(to.join("strongroom-manifest.toml")).unwrap();
    let manifest: toml_edit::DocumentMut = manifest.parse().unwrap();
    assert_eq!(manifest["chosen"][1]["path"].as_str(), letters.to_str());

    // Only some of it: a folder on the list, a folder in it, a single file.
    let plan = restore::plan(&made.archive, &Logs::None).unwrap();
    let names: Vec<&str> = plan.items.iter().map(|i| i.name.as_str()).collect();
    assert_eq!(
        names[2..6],
        ["Program/program", "Attachments/letters", "Attachments/letters (2)", "Attachments/letters (3)"]
    );
    let some = RestoreOptions {
        items: vec!["Attachments/letters (2)".into(), "Attachments/letters/2026/März".into(), "a.sqlite".into()],
        ..RestoreOptions::all(&place.at("some"))
    };
    let report = restore::run(&Disk, &made.archive, &some, &Control::default()).unwrap();
    assert_eq!(report.file_count, 3);
    assert_eq!(names_in(&place.at("some/Attachments")), ["letters", "letters (2)"]);
    let wrong = RestoreOptions { items: vec!["Attachments/let".into()], ..RestoreOptions::all(&place.at("wrong")) };
    let error = restore::run(&Disk, &made.archive, &wrong, &Control::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    // Nothing is written over what exists, and then nothing stays.
    write(&place.at("full/Attachments/letters/nothing"), "mine");
    let full = RestoreOptions::all(&place.at("full"));
    assert_eq!(restore::run(&Disk, &made.archive, &full, &Control::default()).unwrap_err().kind(), ErrorKind::Exists);
    assert_eq!(tree(&place.at("full")).len(), 1);
}

#[cfg(unix)]
#[test]
fn ordinary_tools_restore_everything_too() {
    if !has("zstd") || !has("tar") {
        return;
    }
    let place = Place::new();
    let data = place.at("data/a.sqlite");
    fs::create_dir(place.at("data")).unwrap();
    make_data_file(&data, "", 10);
    let letters = place.at("letters");
    write(&letters.join("a/b.txt"), "b");
    fs::create_dir_all(letters.join("empty")).unwrap();
    std::os::unix::fs::symlink("a/b.txt", letters.join("link")).unwrap();
    std::os::unix::fs::symlink("a/".repeat(80) + "b", letters.join("long")).unwrap();
    write(&letters.join("strange\n\\name"), "s");
    choose(&place, &data, &[], std::slice::from_ref(&letters));
    let made = place.backup(&data).unwrap();
    let to = place.at("to");
    fs::create_dir(&to).unwrap();
    let mut zstd = Command::new("zstd").arg("-dc").arg(&made.archive).stdout(Stdio::piped()).spawn().unwrap();
    let tar = Command::new("tar").arg("x").current_dir(&to).stdin(zstd.stdout.take().unwrap()).output().unwrap();
    assert!(tar.status.success() && zstd.wait().unwrap().success(), "{}", text(&tar.stderr));
    let mut expected = tree(&letters);
    let strange = expected.remove("strange\n\\name").unwrap();
    expected.insert("strange%0A%5Cname".to_owned(), strange);
    assert_eq!(tree(&to.join("Attachments/letters")), expected);
    sound(&made);
}

#[cfg(unix)]
#[test]
fn what_can_not_be_read_is_said_and_the_rest_is_there() {
    use std::os::unix::{ffi::OsStrExt, fs::PermissionsExt, net::UnixListener};
    let place = Place::new();
    let data = place.at("data/a.sqlite");
    fs::create_dir(place.at("data")).unwrap();
    let _application = make_data_file(&data, "PRAGMA journal_mode=WAL", 10);
    let files = place.at("files");
    write(&files.join("good"), "good");
    write(&files.join("secret"), "secret");
    fs::set_permissions(files.join("secret"), fs::Permissions::from_mode(0o000)).unwrap();
    let secret = File::open(files.join("secret")).is_err();
    write(&files.join(std::ffi::OsStr::from_bytes(b"not\xfftext")), "latin");
    let _socket = UnixListener::bind(files.join("socket")).unwrap();
    let made = Command::new("mkfifo").arg(files.join("pipe")).status();
    let pipe = made.is_ok_and(|status| status.success());
    // The data file itself under another name, and its index: to open either would drop SQLite's locks.
    fs::hard_link(&data, files.join("hard link")).unwrap();
    // The folder for archives lies inside.
    let mut settings = SettingsFile::load(&data, &place.own()).unwrap();
    settings.change(&place.own(), |s| s.destination.folder = Some(files.join("Backups"))).unwrap();
    let attachments = [files.clone(), place.at("gone"), place.at("data/a.sqlite-wal"), place.at("data/a.sqlite-shm")];
    choose(&place, &data, &[], &attachments);
    for _ in 0..2 {
        let made = place.backup(&data).unwrap();
        sound(&made);
        let said: Vec<(String, String)> = made
            .content
            .problems
            .iter()
            .map(|p| (p.path.rsplit('/').next().unwrap().to_owned(), p.reason.clone()))
            .collect();
        let mut expected = vec![];
        if secret {
            expected.push(("secret".to_owned(), "may not be read by this user".to_owned()));
        }
        expected.insert(0, ("gone".to_owned(), "does not exist any more".to_owned()));
        assert_eq!(said, expected);
        let left: Vec<&str> = made.content.left_out.iter().map(|p| p.reason.as_str()).collect();
        let said = made.content.left_out_in_words().unwrap();
        assert!(said.starts_with("Left out of it: /") && said.contains(", which "), "{said}");
        let mut expected = vec!["is a folder for archives", "is a data file in use; give it its own backups"];
        if pipe {
            expected.push("is a pipe");
        }
        expected.extend(["is a socket", "belongs to the data file", "belongs to the data file"]);
        assert_eq!(left, expected);
        let problem = made.problem().unwrap();
        assert_eq!(problem.kind(), ErrorKind::Partial);
        assert!(problem.message().contains("/gone does not exist any more"), "{problem}");
        let to = place.at(&format!("to {}", made.number));
        restore_all(&made.archive, &to);
        assert!(to.join("Attachments/files/good").is_file());
        assert!(to.join("Attachments/files").join(std::ffi::OsStr::from_bytes(b"not\xfftext")).is_file());
        let manifest = fs::read_to_string(to.join("strongroom-manifest.toml")).unwrap();
        assert!(manifest.contains("[[not-whole]]\npath = "), "{manifest}");
    }
}

fn problems(report: &BackupReport) -> Vec<(&str, &str)> {
    let last = |path: &'_ str| path.rfind('/').map_or(0, |at| at + 1);
    report.content.problems.iter().map(|p| (&p.path[last(&p.path)..], p.reason.as_str())).collect()
}

#[test]
fn what_vanishes_in_mid_backup_is_passed_over_and_said() {
    let place = Place::new();
    let data = place.at("data/a.sqlite");
    fs::create_dir(place.at("data")).unwrap();
    make_data_file(&data, "", 10);
    let files = place.at("files");
    for name in ["becomes a folder", "becomes a link", "vanishes", "zz stays"] {
        write(&files.join(name), vec![1; 100_000]);
    }
    fs::create_dir(files.join("empty")).unwrap();
    choose(&place, &data, &[], std::slice::from_ref(&files));
    let folder = files.clone();
    let disk = HarmfulDisk::new(1, move || {
        for name in ["becomes a folder", "becomes a link", "vanishes"] {
            fs::remove_file(folder.join(name)).unwrap();
        }
        fs::remove_dir(folder.join("empty")).unwrap();
        fs::create_dir(folder.join("becomes a folder")).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink("zz stays", folder.join("becomes a link")).unwrap();
    });
    let made = place.backup_on(&disk, &data).unwrap();
    sound(&made);
    let no_file = "cannot be read: it is no longer an ordinary file";
    let gone = "vanished before it was read";
    let expected = [("becomes a folder", no_file), ("becomes a link", no_file), ("empty", gone), ("vanishes", gone)];
    assert_eq!(problems(&made), expected);
    let to = place.at("to");
    restore_all(&made.archive, &to);
    assert_eq!(names_in(&to.join("Attachments/files")), ["zz stays"]);
}

#[test]
fn what_changes_while_it_is_read_is_said() {
    const LENGTH: u64 = 200 << 20;
    type Change = fn(&File);
    let changes: [(Change, &str); 3] = [
        (|file| file.set_len(LENGTH + 5).unwrap(), "changed while it was read"),
        (|file| file.set_len(1000).unwrap(), "became shorter while it was read"),
        (|file| file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap(), "changed while it was read"),
    ];
    for (change, reason) in changes {
        let place = Place::new();
        let data = place.at("data/a.sqlite");
        fs::create_dir(place.at("data")).unwrap();
        make_data_file(&data, "", 10);
        let large = place.at("large");
        File::create(&large).unwrap().set_len(LENGTH).unwrap();
        choose(&place, &data, &[], std::slice::from_ref(&large));
        let path = large.clone();
        let disk = HarmfulDisk::new(2, move || change(&File::options().write(true).open(path).unwrap()));
        let made = place.backup_on(&disk, &data).unwrap();
        sound(&made);
        assert_eq!(problems(&made), [("large", reason)]);
        // As long as the archive says, whatever became of it.
        assert_eq!(Archive::open(&made.archive).unwrap().items()[2].length, LENGTH);
    }
}

#[test]
fn the_space_for_the_second_backup_is_known_beforehand() {
    let place = Place::new();
    let data = place.at("data/a.sqlite");
    fs::create_dir(place.at("data")).unwrap();
    let application = make_data_file(&data, "PRAGMA journal_mode=WAL", 8000);
    let files = place.at("files");
    // Some that compress well, and some that do not at all.
    let mut state = 7u64;
    let mut noise = |length: usize| -> Vec<u8> {
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as u8
        };
        (0..length).map(|_| next()).collect()
    };
    for n in 0..300 {
        write(&files.join(format!("{n}.txt")), format!("Letter {n}. ").repeat(800));
        write(&files.join(format!("{n}.jpg")), noise(20_000));
    }
    choose(&place, &data, &[], std::slice::from_ref(&files));
    let plan = || {
        let settings = SettingsFile::load(&data, &place.own()).unwrap();
        let known = backup::archives(&data, settings.settings()).unwrap();
        backup::plan(&data, &settings, &backup::destination(&data, &settings), &known).unwrap()
    };
    let off = |estimate: u64, real: u64| (estimate as f64 / real as f64 - 1.0).abs();
    let first = plan();
    assert_eq!(first.content_bytes, tree_bytes(&files));
    let made = place.backup(&data).unwrap();
    assert!(off(first.required_bytes, made.bytes) < 0.25, "{} for {}", first.required_bytes, made.bytes);
    // Both grow, by different amounts; the growth of the data file is only in its WAL.
    application.execute_batch("PRAGMA wal_autocheckpoint=0; INSERT INTO t(a,b,c) SELECT a||'x',b,c FROM t").unwrap();
    for n in 300..450 {
        write(&files.join(format!("{n}.txt")), format!("Letter {n}. ").repeat(800));
        write(&files.join(format!("{n}.jpg")), noise(20_000));
    }
    let second = plan();
    let made = place.backup(&data).unwrap();
    assert!(off(second.required_bytes, made.bytes) < 0.15, "{} for {}", second.required_bytes, made.bytes);
}

fn tree_bytes(folder: &Path) -> u64 {
    tree(folder).keys().map(|name| folder.join(name).metadata().unwrap().len()).sum()
}

#[test]
fn a_hundred_thousand_small_files_take_minutes_at_most_both_ways() {
    let place = Place::in_memory();
    let data = place.at("data/a.sqlite");
    fs::create_dir(place.at("data")).unwrap();
    make_data_file(&data, "", 10);
    let files = place.at("files");
    for folder in 0..100 {
        let folder = files.join(format!("{folder:03}"));
        fs::create_dir_all(&folder).unwrap();
        for n in 0..1000 {
            fs::write(folder.join(format!("{n}.txt")), format!("file {n} in {}", folder.display())).unwrap();
        }
    }
    choose(&place, &data, &[], std::slice::from_ref(&files));
    let begun = Instant::now();
    let made = place.backup(&data).unwrap();
    assert_eq!((made.content.files, made.problem().map(|p| p.to_string())), (100_000, None));
    eprintln!("backup {:?}", begun.elapsed());
    let opened = Archive::open(&made.archive).unwrap();
    assert_eq!(opened.items().len(), 100_003);
    let plan = restore::plan(&made.archive, &Logs::None).unwrap();
    assert_eq!(plan.items.len(), 4, "a window shows the folder, not its files");
    let begun = Instant::now();
    let report = restore_all(&made.archive, &place.at("to"));
    eprintln!("restore {:?}", begun.elapsed());
    assert_eq!((report.file_count, report.files.len()), (100_003, 1000));
    assert_eq!(tree(&place.at("to/Attachments/files")), tree(&files));
    let begun = Instant::now();
    sound(&made);
    eprintln!("verify {:?}", begun.elapsed());
}
