//! Strange files where ours are expected, and logs, settings, names and data files that say what cannot be: nothing
//! waits, nothing fills the memory, and nothing is written on their word.
#![cfg(unix)]

use crate::support;

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::Arc,
};

use strongroom::{
    archive::{Archive, catalog},
    control::Control,
    engine::Command,
    error::ErrorKind,
    journal::{
        Position,
        format::{self, Chain, LogHeader, RecordHead, RecordKind},
        integrate::{PlanEnd, Until},
        writer::LogWriter,
    },
    restore::{self, Logs, RestoreOptions, RestoreReport},
    settings::path_beside,
    sqlite::{data_file::identify, wal::WalMark},
    storage::{Disk, Ownership, marker},
    verify,
};
use support::{
    Place,
    engine::{backup, engine, open_with_log},
    logical_content, make_data_file, names_in, text,
};

/// What the program says to these arguments, with memory for honest work only.
fn run(place: &Place, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = vec!["-c", "ulimit -v 4000000; exec \"$0\" \"$@\"", support::PROGRAM];
    command.extend(arguments);
    let output = place.run_program(Path::new("sh"), &command);
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

/// Puts something at `path` that is no ordinary file, as anybody can who may write the folder.
fn plant(path: &Path, what: &str) {
    match what {
        "pipe" => assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success()),
        "link to /dev/zero" => symlink("/dev/zero", path).unwrap(),
        "link to a pipe" => {
            let pipe = path.with_file_name(".a pipe");
            if pipe.symlink_metadata().is_err() {
                plant(&pipe, "pipe");
            }
            symlink(pipe, path).unwrap();
        }
        _ => fs::create_dir(path).unwrap(),
    }
}

#[test]
fn what_lies_where_the_next_archive_would_be_made_stops_no_backup() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "PRAGMA journal_mode=WAL", 50);
    let data_name = data.to_str().unwrap();
    assert!(place.run(&["backup", data_name]).status.success());
    let backups = place.at("Backups");
    plant(&backups.join("a[0002].4BK.part"), "link to a pipe");
    plant(&backups.join("a[0003].4BK.part"), "folder");
    symlink(place.at("nothing"), backups.join("a[0004-0001].4BK.part")).unwrap();
    symlink(place.at("nothing"), backups.join("a[0005].4BK.segments.part")).unwrap();
    for (next, options) in [("0006", &[][..]), ("0007", &["--segment-mb", "1"])] {
        let output = place.run(&[&["backup", data_name], options].concat());
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(output.status.success() && said.contains(&format!("Backup {next} of")), "{said}");
        assert_eq!(said.contains("a[0002].4BK.part and 3 more lay in the way"), next == "0006", "{said}");
    }
    assert!(!place.at("nothing").exists());
    let to = place.at("to");
    let archive = backups.join("a[0006].4BK");
    let output = place.run(&["restore", archive.to_str().unwrap(), "--to", to.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(logical_content(&to.join("a.sqlite")), logical_content(&data));
}

#[test]
fn nothing_that_lies_under_one_of_our_names_is_waited_for_or_read_without_end() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "PRAGMA journal_mode=WAL", 50);
    fs::create_dir(place.at("logs")).unwrap();
    let (data_name, log) = (data.to_str().unwrap(), format!("log.file={}", place.at("logs/a.journal").display()));
    assert!(place.run(&["settings", data_name, &log]).status.success());
    assert!(place.run(&["backup", data_name]).status.success());
    let archive = place.at("Backups/a[0001].4BK");
    let archive_name = archive.to_str().unwrap().to_owned();
    let names = [
        ".a.sqlite.strongroom-lock",
        "a.strongroom.toml",
        "a.sqlite-journal",
        "a.sqlite-wal",
        "a.sqlite-shm",
        "logs/a.journal",
        "logs/a.journal.rest",
        "logs/a.journal.pages",
        "logs/a.journal.next",
        "logs/a[0000].4BL",
        "logs/a[0001].4BL",
        "logs/.strongroom-place.toml",
        "Backups/a[0002].4BK",
        "Backups/a[0002].4BK.part",
        "Backups/a[0002-0001].4BK",
        "Backups/a[0002].4BK.segments",
        "Backups/a[0001].4BK.hold",
        "Backups/a[0001].4BL",
        "Backups/.strongroom-scratch-x",
        "Backups/.strongroom-place.toml",
    ];
    for name in names {
        for what in ["pipe", "link to /dev/zero", "link to a pipe", "folder"] {
            let path = place.at(name);
            let kept = path.with_extension("kept");
            let is_there = path.symlink_metadata().is_ok();
            if is_there {
                fs::rename(&path, &kept).unwrap();
            }
            plant(&path, what);
            for arguments in [
                &["status", data_name][..],
                &["list", data_name],
                &["check", data_name],
                &["backup", data_name],
                &["verify", &archive_name],
                &["verify", path.to_str().unwrap()],
                &["restore", &archive_name, "--to", place.at("to").to_str().unwrap()],
                &["restore", path.to_str().unwrap(), "--to", place.at("to").to_str().unwrap()],
            ] {
                let (code, said) = run(&place, arguments);
                assert!(
                    code.is_some_and(|code| code != 101),
                    "{name} is a {what}: {arguments:?} ended with {code:?}: {said}"
                );
                let _ = fs::remove_dir_all(place.at("to"));
            }
            // What was planted is nobody's to remove, but this test's.
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
            if is_there {
                let _ = fs::remove_file(&path);
                fs::rename(&kept, &path).unwrap();
            }
            for made in names_in(&place.at("Backups")).iter().filter(|made| !made.starts_with("a[0001]")) {
                let _ = fs::remove_file(place.at("Backups").join(made));
            }
        }
    }
    verify::run(&archive, &Control::default()).unwrap();
    assert!(place.run(&["backup", data_name]).status.success());
    assert!(marker::read(&place.at("Backups")).unwrap().is_some());
}

#[test]
fn settings_of_more_than_a_mebibyte_are_refused_unread() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "", 10);
    let lines: String = (0..100_000).map(|n| format!("key{n} = {n}\n")).collect();
    fs::write(path_beside(&data), lines).unwrap();
    for command in ["backup", "settings"] {
        let (code, said) = run(&place, &[command, data.to_str().unwrap()]);
        assert_eq!(code, Some(1));
        assert!(said.contains("is longer than 1 MiB"), "{said}");
    }
}

#[test]
fn numbers_near_the_end_of_all_numbers_stop_no_backup() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "", 10);
    place.backup(&data).unwrap();
    let folder = place.at("Backups");
    for name in ["a[4294967295].4BK", "a[4294967294-0001].4BK", "a[4294967293].4BK.segments", "a[4294967295].4BL"] {
        fs::write(folder.join(name), "x").unwrap();
    }
    let settings = fs::read_to_string(path_beside(&data)).unwrap();
    assert!(settings.contains("last-number = 1\n"), "{settings}");
    fs::write(path_beside(&data), settings.replace("last-number = 1\n", "last-number = 4294967295\n")).unwrap();
    for number in [2, 3] {
        assert_eq!(place.backup(&data).unwrap().number.0, number);
    }
    assert_eq!(catalog::highest_number(&folder, "a").unwrap().0, 3);
}

#[test]
fn a_list_of_free_pages_that_can_not_be_is_no_reason_not_to_back_up() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "PRAGMA journal_mode=DELETE", 100);
    let mut bytes = fs::read(&data).unwrap();
    for forged in [[0xff; 4], [0x80, 0, 0, 0]] {
        bytes[32..36].copy_from_slice(&forged);
        bytes[36..40].copy_from_slice(&forged);
        fs::write(&data, &bytes).unwrap();
        let facts = identify(&data).unwrap();
        assert!(facts.free_pages <= facts.page_count);
        let made = place.backup(&data).unwrap();
        let to = place.at(&format!("to {}", made.number));
        restore::run(&Disk, &made.archive, &RestoreOptions::all(&to), &Control::default()).unwrap();
        assert!(fs::read(to.join("a.sqlite")).unwrap() == bytes, "as it was");
    }
}

/// A data file with a full backup that was cut from its log, and where.
fn cut_from_a_log(place: &Place) -> (PathBuf, LogHeader) {
    let data = place.at("a.sqlite");
    let _application = make_data_file(&data, "PRAGMA journal_mode=WAL", 100);
    fs::create_dir(place.at("logs")).unwrap();
    let engine = engine(place);
    let handle = engine.handle();
    open_with_log(&handle, &data, &place.at("logs/a.journal"));
    let made = backup(&handle, &data);
    handle.send(Command::CloseDataFile { path: data.clone() }).unwrap();
    support::engine::until(&handle, |status| status.data_file(&data).is_none());
    let identity = Archive::open(&made.archive).unwrap().identity().clone();
    let header = LogHeader {
        ignored: Default::default(),
        version: format::VERSION,
        identity: identity.data_file_id,
        page_size: identity.page_size,
        base: identity.log_position.unwrap(),
        rooted: true,
        created: identity.moment.to_utc(),
        page_count: identity.page_count,
        mark: WalMark::default(),
    };
    (made.archive, header)
}

/// A log that goes on from there with one record, in which all chain values are right.
fn forge(path: &Path, header: &LogHeader, page_count: u32, pages: &[u32]) {
    let _ = fs::remove_file(path);
    let image = vec![7; header.page_size as usize];
    let mut writer = LogWriter::create(Arc::new(Disk), path, header.clone(), Ownership::default()).unwrap();
    let commit = header.base.commit + 1;
    let (time, mark) = (header.created, header.mark);
    writer.begin(RecordHead { kind: RecordKind::Commit, commit, time, wall: time, page_count, mark, state: None });
    for page in pages {
        let hash = format::page_hash(&image);
        writer.page(&format::Entry { page: *page, encoding: 0, hash, bytes: &image }).unwrap();
    }
    writer.end().unwrap();
    writer.sync().unwrap();
}

#[test]
fn forged_logs_are_refused_before_anything_is_written() {
    let place = Place::new();
    let (archive, header) = cut_from_a_log(&place);
    let log = place.at("forged.journal");
    let pages = header.page_count;
    let attempt = |options: &RestoreOptions| restore::run(&Disk, &archive, options, &Control::default());
    let with_log = |to: &Path| RestoreOptions { logs: Logs::Also(vec![log.clone()]), ..RestoreOptions::all(to) };
    let state = |report: &RestoreReport| (report.integrated.as_ref().map_or(0, |i| i.commits), report.log_end.clone());
    // One that says what can be is integrated: so the others are refused for what they say.
    forge(&log, &header, pages + 1, &[pages + 1]);
    let report = attempt(&with_log(&place.at("honest"))).unwrap();
    assert_eq!(state(&report), (1, None));
    let cases: [(&str, u32, &[u32]); 5] = [
        ("page 0", pages, &[0]),
        ("a page beyond the end", pages, &[pages + 1]),
        ("no pages at all", 0, &[]),
        ("8 TB", 1 << 31, &[1]),
        ("as many pages as there are numbers", u32::MAX, &[1]),
    ];
    for (what, page_count, entries) in cases {
        forge(&log, &header, page_count, entries);
        let to = place.at(what);
        let report = attempt(&with_log(&to)).unwrap();
        let (commits, end) = state(&report);
        assert_eq!(commits, 0, "{what}");
        assert!(
            matches!(&end, Some(PlanEnd::Damaged { path, .. }) if *path == log) || report.unsound().is_some(),
            "{what}: {end:?}"
        );
        assert!(report.problem().is_some_and(|problem| problem.message().contains("is damaged at byte")), "{what}");
        // The state of the archive, and nothing of the log.
        assert_eq!(logical_content(&to.join("a.sqlite")), logical_content(&place.at("a.sqlite")), "{what}");
        let wanted = RestoreOptions { until: Until::Commit(header.base.commit + 1), ..with_log(&place.at("none")) };
        assert!(attempt(&wanted).is_err() && !place.at("none").exists(), "{what}");
    }
    // What it was made against is not this archive.
    let longer = LogHeader { page_count: 1 << 31, ..header.clone() };
    forge(&log, &longer, 1 << 31, &[1]);
    let error = attempt(&with_log(&place.at("none"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
    let longer = LogHeader { page_count: pages + 9, ..header.clone() };
    forge(&log, &longer, pages + 9, &[1]);
    let error = attempt(&with_log(&place.at("none"))).unwrap_err();
    assert!(error.message().contains(&format!("made against a data file of {} pages", pages + 9)), "{error}");
    // Headers that cannot be.
    let headers = [
        LogHeader { page_size: 0, ..header.clone() },
        LogHeader { page_size: 1000, ..header.clone() },
        LogHeader { page_size: 1 << 31, ..header.clone() },
        LogHeader { base: Position { commit: u64::MAX, chain: Chain([0; 32]), ..header.base }, ..header.clone() },
    ];
    for header in headers {
        fs::write(&log, header.encode()).unwrap();
        let error = attempt(&with_log(&place.at("none"))).unwrap_err();
        assert!(error.message().contains("says what cannot be"), "{error}");
    }
    assert!(!place.at("none").exists());
}
