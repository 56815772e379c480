//! Files of every version of the formats, kept for ever: what they yield stays the same.
//!
//! `tests/golden/log-1`: two archives, three logs of version 1. They hold small and large commits, one that makes the file
//! shorter, a catch-up, and commits of a clock that was two days ahead.
//! `tests/golden/log-2`: three archives and four logs of version 2 with the same, and pages whose records were moved.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, missing_docs)]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use strongroom::{
    archive::Archive,
    backup,
    control::Control,
    journal::{
        Capture, CaptureConfig,
        format::{LogHeader, VERSION},
        integrate::Until,
        reader::LogReader,
        writer::LogWriter,
    },
    restore::{self, Logs, RestoreOptions, RestoreReport},
    settings::SettingsFile,
    sqlite::{snapshot::Snapshot, wal::WalMark},
    storage::{Disk, Ownership},
};
use support::{Place, logical_content, make_data_file, text};

/// The files of one version, copied to where they can be used.
fn files(place: &Place, of: &str) -> PathBuf {
    let (from, to) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(of), place.at(of));
    fs::create_dir(&to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
    to
}

fn restored(archive: &Path, to: &Path, until: Until) -> RestoreReport {
    let folder = archive.parent().unwrap();
    let logs = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let logs = logs.filter(|path| path.extension().is_some_and(|end| end == "4BL" || end == "journal")).collect();
    let options = RestoreOptions { logs: Logs::Also(logs), until, ..RestoreOptions::all(to) };
    restore::run(&Disk, archive, &options, &Control::default()).unwrap()
}

/// Every state of which a line of `expected.txt` has archive, commit and hash.
fn yields_what_is_expected(of: &str) -> Vec<bool> {
    let place = Place::new();
    let folder = files(&place, of);
    let expected = fs::read_to_string(folder.join("expected.txt")).unwrap();
    let mut proven = Vec::new();
    for (number, line) in expected.lines().enumerate() {
        let parts: Vec<&str> = line.split(' ').collect();
        let to = place.at(&format!("{number}"));
        let report = restored(&folder.join(parts[0]), &to, Until::Commit(parts[1].parse().unwrap()));
        let hash = blake3::hash(&fs::read(to.join("a.sqlite")).unwrap()).to_hex().to_string();
        assert_eq!(hash, parts[2], "{of}: {line}");
        proven.push(report.integrated.is_some_and(|done| done.is_proven));
    }
    assert!(proven.len() > 10, "{of}");
    proven
}

#[test]
fn logs_of_version_1_yield_every_state() {
    let proven = yields_what_is_expected("log-1");
    assert!(!proven.contains(&true), "they have no checksum of the state");
}

#[test]
fn logs_of_version_2_yield_every_state_and_prove_it() {
    let proven = yields_what_is_expected("log-2");
    // What is the archive's own state is proven by its checksums.
    assert_eq!(proven.iter().filter(|proven| !**proven).count(), 3, "{proven:?}");
}

#[test]
fn a_clock_that_was_ahead_in_a_log_of_version_1_is_told() {
    let place = Place::new();
    let folder = files(&place, "log-1");
    let archive = folder.join("a[0002].4BK");
    let restore = |to: &str, until: &str| {
        let to = place.at(to);
        let log = folder.join("a[0002].4BL");
        let arguments = ["--until", until, "--log", log.to_str().unwrap()];
        let all = [&["restore", archive.to_str().unwrap(), "--to", to.to_str().unwrap()], &arguments[..]].concat();
        let output = place.program().args(all).output().unwrap();
        (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
    };
    let (code, said) = restore("within", "2026-06-01T10:20:00Z");
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("up to commit 3 of "), "{said}");
    assert!(said.contains("commits 4 to 12 may have been made before the moment wanted, and left out"), "{said}");
    let (code, said) = restore("before", "2026-06-01T10:02:30Z");
    assert_eq!((code, said.contains("may have been made")), (0, false), "{said}");
}

/// As when the program is updated: its log goes on as it is until the next full backup, also over one that fails.
#[test]
fn a_log_of_version_1_that_is_running_goes_on_until_the_next_full_backup() {
    let place = Place::new();
    let (data, log) = (place.at("a.sqlite"), place.at("a.journal"));
    let application = make_data_file(&data, "PRAGMA journal_mode=WAL", 20);
    let named = format!("log.file={}", log.display());
    assert!(place.run(&["settings", data.to_str().unwrap(), &named]).status.success());
    let settings = || SettingsFile::load(&data, &place.own()).unwrap();
    let backup = |capture: Option<&Capture>| {
        let (mut settings, own) = (settings(), place.own());
        let folder = backup::destination(&data, &settings);
        let control = Control::default();
        backup::run(&Disk, &data, &mut settings, &own, &folder, capture, Default::default(), &control).unwrap().archive
    };
    backup(None);
    let id = settings().settings().data_file_id.unwrap();
    let start = || Capture::start(CaptureConfig::new(&data, &log, id)).unwrap();
    let capture = start();
    let archive = backup(Some(&capture));
    drop(capture);
    // What an earlier version has there.
    let identity = Archive::open(&archive).unwrap().identity().clone();
    fs::remove_file(&log).unwrap();
    let header = LogHeader {
        version: 1,
        identity: id,
        page_size: identity.page_size,
        base: identity.log_position.unwrap(),
        rooted: true,
        created: identity.moment.to_utc(),
        page_count: identity.page_count,
        mark: WalMark::default(),
    };
    drop(LogWriter::create(Arc::new(Disk), &log, header, Ownership::default()).unwrap());
    let version = |log: &Path| LogReader::open(log).unwrap().header().version;
    let mut count = 0;
    let mut commit = |capture: &Capture, rows: u32| {
        count += 1;
        let sql = format!("INSERT INTO t SELECT NULL, 'more {count}', randomblob(200), 1 FROM t LIMIT {rows}");
        application.execute_batch(&sql).unwrap();
        capture.flush().unwrap().commit
    };
    let restores = |to: &str| {
        let report = restored_from(&archive, &log, &place.at(to));
        assert_eq!(logical_content(&place.at(to).join("a.sqlite")), logical_content(&data), "{to}");
        report.integrated.unwrap().commits
    };
    let capture = start();
    commit(&capture, 1);
    assert_eq!(version(&log), 1);
    restores("running");
    // A backup that fails: what was committed meanwhile was written in the new way, and goes into the old log.
    let path = data.clone();
    let cut = capture.cut(3, move || Snapshot::begin(&path, Duration::from_secs(5), &Control::default())).unwrap();
    (1..4).for_each(|rows| _ = commit(&capture, rows));
    assert_eq!(version(&place.at("a.journal.next")), VERSION);
    cut.abandon().unwrap();
    let last = commit(&capture, 1);
    assert_eq!((version(&log), place.at("a.journal.next").exists()), (1, false));
    assert_eq!(restores("failed"), last);
    drop(capture);
    let capture = start();
    let second = backup(Some(&capture));
    let last = commit(&capture, 2);
    assert_eq!((version(&log), version(&place.at("a[0002].4BL"))), (VERSION, 1));
    assert_eq!(restores("across"), last);
    let report = restored_from(&second, &log, &place.at("second"));
    assert_eq!(report.integrated.map(|done| (done.commits, done.is_proven)), Some((1, true)));
}

fn restored_from(archive: &Path, log: &Path, to: &Path) -> RestoreReport {
    let options = RestoreOptions { logs: Logs::Also(vec![log.to_path_buf()]), ..RestoreOptions::all(to) };
    restore::run(&Disk, archive, &options, &Control::default()).unwrap()
}
