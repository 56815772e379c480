//! Files of every version of the formats, kept for ever: what they yield stays the same.
//!
//! `tests/golden/log-1`: two archives, three logs of version 1. They hold small and large commits, one that makes the
//! file shorter, a catch-up, and commits of a clock that was two days ahead. `tests/golden/log-2`: three archives and
//! four logs of version 2 with the same, and pages whose records were moved. `tests/golden/log-2-index`: two archives
//! and three logs of version 2, of which the archived ones have an index; pages that changed often are whole from time
//! to time. `tests/golden/archive-1`: archives of version 1 with recovery data of version 1 at every setting, two of
//! them with several groups and windows as in large ones; and logs with their recovery data. Each line of
//! `expected.txt` has an archive, its BLAKE3, that of the data file in it, and how it was made.
//! `tests/golden/archive-3`: the same of version 3, with recovery data of version 2.

use crate::support;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use strongroom::{
    archive::{
        Archive, log_recovery,
        recovery::{Dealt, packet::Packet},
    },
    backup,
    control::Control,
    journal::{
        Capture, CaptureConfig, Chain, Position, RecordKind, StateSum,
        format::{Entry, LogHeader, RecordHead, VERSION},
        index::Indexed,
        integrate::Until,
        look,
        reader::LogReader,
        writer::LogWriter,
    },
    repair::{self, RepairOptions},
    restore::{self, Logs, RestoreOptions, RestoreReport},
    settings::SettingsFile,
    sqlite::{snapshot::Snapshot, wal::WalMark},
    storage::{Disk, Ownership, beneath::Folder},
    verify,
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
fn logs_with_an_index_and_whole_pages_yield_every_state_and_are_what_the_index_says() {
    let proven = yields_what_is_expected("log-2-index");
    assert_eq!(proven.iter().filter(|proven| !**proven).count(), 2, "{proven:?}");
    let place = Place::new();
    let folder = files(&place, "log-2-index");
    for (log, index) in [("a[0001].4BL", Indexed::Sound), ("a[0002].4BL", Indexed::Sound), ("a.journal", Indexed::Not)]
    {
        let (proof, _) = look::prove(&folder.join(log), &[], &Control::default()).unwrap();
        assert_eq!((proof.index, proof.problem().is_none()), (index, true), "{log}");
    }
    // A page with many patches, that was whole again.
    let mut reader = LogReader::open(&folder.join("a[0002].4BL")).unwrap();
    let mut patched = std::collections::HashMap::new();
    let mut keys = 0;
    while let Some(record) = reader.next_record().unwrap() {
        let mut note = |entry: Entry<'_>| {
            let patches: &mut u32 = patched.entry(entry.page).or_default();
            let is_whole = entry.encoding < 2;
            keys += u32::from(is_whole && *patches > 10 && record.head.kind == RecordKind::Commit);
            *patches = if is_whole { 0 } else { *patches + 1 };
            Ok(())
        };
        reader.pages(&record, &mut note).unwrap();
    }
    assert!(keys > 0);
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
        ignored: Default::default(),
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

/// The log that `docs/format-log.md` shows byte by byte.
fn example(path: &Path) -> Vec<u8> {
    let time = |micros: i64| chrono::DateTime::from_timestamp_micros(1_780_308_000_000_000 + micros).unwrap();
    let mark = |frame: u32, change_counter: u32| WalMark {
        salts: [0x1111_1111, 0x2222_2222],
        frame,
        checksum: [0x3333_3333, 0x4444_4400 + frame],
        change_counter,
    };
    let base = Position {
        log: Some(uuid::Uuid::from_u128(0x8899_aabb_ccdd_eeff_0011_2233_4455_6677)),
        epoch: 1,
        state: Some(StateSum(0x0102_0304_0506_0708)),
        ..Position::at(3, 41, Chain([9; 32]))
    };
    let header = LogHeader {
        ignored: Default::default(),
        version: VERSION,
        identity: uuid::Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff),
        page_size: 512,
        base,
        rooted: true,
        created: time(0),
        page_count: 4,
        mark: mark(7, 90),
    };
    let blank = [(3, 3)];
    let ownership = Ownership::default();
    let mut writer = LogWriter::create_with(Arc::new(Disk), path, (header, &blank), ownership).unwrap();
    let head = |commit: u64, micros: i64, page_count: u32, mark: WalMark, state: Option<u64>| RecordHead {
        kind: RecordKind::Commit,
        commit,
        time: time(micros),
        wall: time(micros),
        page_count,
        mark,
        state: state.map(StateSum),
    };
    writer.begin(head(42, 1500, 4, mark(8, 91), Some(0x0807_0605_0403_0201)));
    writer.page(&Entry { page: 2, encoding: 2, hash: [0xa1; 8], bytes: &[100, 1, 0xee] }).unwrap();
    writer.end().unwrap();
    // The clock was set back by a millisecond; page 5 comes into being, and the WAL begins anew.
    let anew = WalMark { salts: [0x1111_1112, 0x5555_5555], frame: 2, ..mark(2, 92) };
    writer.begin(head(43, 500, 5, anew, None));
    writer.page(&Entry { page: 5, encoding: 6, hash: [0xb1; 8], bytes: &[1, 2, 40 << 2 | 2, 0x80, 0x04] }).unwrap();
    writer.page(&Entry { page: 2, encoding: 4, hash: [0xb2; 8], bytes: &[8 << 2, 3 << 2 | 3, 11] }).unwrap();
    writer.end().unwrap();
    writer.sync().unwrap();
    drop(writer);
    fs::read(path).unwrap()
}

#[test]
fn the_written_example_is_what_is_written_and_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.journal");
    let bytes = example(&path);
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/format-log.md")).unwrap();
    let shown = |nth: usize| -> Vec<u8> {
        let shown = text.split("## An example").nth(1).and_then(|rest| rest.split("```").nth(nth)).unwrap();
        let lines = shown.lines().filter_map(|line| line.split_once("  "));
        let bytes = lines.flat_map(|(_, bytes)| bytes.split("  ").next().unwrap().split(' '));
        bytes.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
    };
    let (log, index) = (shown(1), shown(3));
    assert!(log == bytes, "{} bytes shown, {} written", log.len(), bytes.len());
    // What zstd makes of the list is for its version to say; what is shown is read, and is what the records say.
    let archived = folder.path().join("a[0003].4BL");
    fs::write(&archived, [log, index].concat()).unwrap();
    let (proof, _) = look::prove(&archived, &[], &Control::default()).unwrap();
    assert_eq!((proof.commits, proof.index), (Some((42, 43)), Indexed::Sound));
    let mut reader = LogReader::open(&path).unwrap();
    let mut said = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        let head = record.head;
        let mut pages = Vec::new();
        let mut note = |entry: Entry<'_>| {
            pages.push((entry.page, entry.encoding));
            Ok(())
        };
        reader.pages(&record, &mut note).unwrap();
        let micros = |time: chrono::DateTime<chrono::Utc>| time.timestamp_micros() - 1_780_308_000_000_000;
        said.push((
            head.commit,
            micros(head.time),
            micros(head.wall),
            head.page_count,
            head.mark.frame,
            head.state,
            pages,
        ));
    }
    let first = (42, 1500, 1500, 4, 8, Some(StateSum(0x0807_0605_0403_0201)), vec![(2, 2)]);
    let second = (43, 1500, 500, 5, 2, None, vec![(5, 6), (2, 4)]);
    assert_eq!((said, reader.blank()), (vec![first, second], &[(3, 3)][..]));
}

/// An archive and the state in it, as `expected.txt` says.
fn archives(place: &Place, of: &str) -> Vec<(PathBuf, String, String)> {
    let folder = files(place, of);
    let expected = fs::read_to_string(folder.join("expected.txt")).unwrap();
    let line = |line: &str| {
        let parts: Vec<&str> = line.split('\t').collect();
        let path = folder.join(parts[0]);
        assert_eq!(blake3::hash(&fs::read(&path).unwrap()).to_hex().to_string(), parts[1], "{line}");
        (path, parts[2].to_owned(), parts[3].to_owned())
    };
    expected.lines().map(line).collect()
}

#[test]
fn archives_of_every_version_are_sound_and_yield_their_state() {
    let place = Place::new();
    let (first, third) = (archives(&place, "archive-1"), archives(&place, "archive-3"));
    assert_eq!((first.len(), third.len()), (11, 11));
    for (path, state, how) in first.into_iter().chain(third) {
        let report = verify::run(&path, &Control::default()).unwrap();
        assert_eq!(report.problem().map(|e| e.to_string()), None, "{how}");
        let to = place.at("to");
        let options = RestoreOptions { logs: Logs::None, ..RestoreOptions::all(&to) };
        restore::run(&Disk, &path, &options, &Control::default()).unwrap();
        assert_eq!(blake3::hash(&fs::read(to.join("a.sqlite")).unwrap()).to_hex().to_string(), state, "{how}");
        fs::remove_dir_all(to).unwrap();
    }
}

/// What version 1 promised: any single stretch of this length, and any half of the table. A sound copy gets recovery
/// data of the newest version, which is as good.
#[test]
fn archives_of_version_1_are_repaired() {
    let place = Place::new();
    for (path, state, how) in archives(&place, "archive-1") {
        let good = fs::read(&path).unwrap();
        let packet = (0..good.len() - 16).find_map(|at| {
            let length = Packet::length(&good[at..]).filter(|length| at + length <= good.len())?;
            Packet::decode(&good[at..at + length]).map(|(packet, _)| packet)
        });
        let Some(packet) = packet else {
            assert!(how.starts_with("None"), "{how}");
            continue;
        };
        let layout = packet.stamp.layout;
        assert_eq!(layout.dealt, Dealt::Chunks);
        let stretch = layout.stretch_bytes() as usize;
        for from in [0, 9, good.len() / 3, layout.length as usize - stretch / 2, good.len() - stretch] {
            let mut damaged = good.clone();
            damaged[from..from + stretch].iter_mut().for_each(|byte| *byte ^= 0xff);
            fs::write(&path, &damaged).unwrap();
            let copy = place.at("copy.4BK");
            let options = RepairOptions { to: Some(copy.clone()), segments: vec![] };
            let report =
                repair::run(&Disk, &path, &options, &Control::default()).unwrap_or_else(|e| panic!("{how}: {e}"));
            assert!(report.repaired.is_some(), "{how}");
            let to = place.at("to");
            let options = RestoreOptions { logs: Logs::None, ..RestoreOptions::all(&to) };
            restore::run(&Disk, &copy, &options, &Control::default()).unwrap();
            assert_eq!(blake3::hash(&fs::read(to.join("a.sqlite")).unwrap()).to_hex().to_string(), state, "{how}");
            fs::remove_dir_all(to).unwrap();
            // What is protected is the same, byte by byte; and the copy can be repaired, too.
            let mut bytes = fs::read(&copy).unwrap();
            let protected = layout.length as usize;
            assert!(bytes[..protected] == good[..protected], "{how}");
            bytes[protected / 2] ^= 1;
            fs::write(&copy, bytes).unwrap();
            assert!(verify::run(&copy, &Control::default()).unwrap().damaged().is_some(), "{how}");
            fs::remove_file(copy).unwrap();
        }
    }
}

/// The recovery data that is made today is the one that was made then, byte by byte.
#[test]
fn archives_of_version_3_are_repaired_to_what_they_were() {
    let place = Place::new();
    for (path, _, how) in archives(&place, "archive-3") {
        let good = fs::read(&path).unwrap();
        if how.starts_with("None") {
            continue;
        }
        let mut damaged = good.clone();
        damaged[good.len() / 3..][..2_000].iter_mut().for_each(|byte| *byte ^= 0xff);
        fs::write(&path, &damaged).unwrap();
        let copy = place.at("copy.4BK");
        let options = RepairOptions { to: Some(copy.clone()), segments: vec![] };
        repair::run(&Disk, &path, &options, &Control::default()).unwrap_or_else(|e| panic!("{how}: {e}"));
        assert!(fs::read(&copy).unwrap() == good, "{how}");
        fs::remove_file(copy).unwrap();
    }
}

#[test]
fn logs_with_recovery_data_of_every_version_are_repaired() {
    let place = Place::new();
    let logs = ["archive-1", "archive-3"]
        .map(|of| files(&place, of))
        .map(|folder| ["low.4BL", "high.4BL"].map(|name| folder.join(name)));
    for log in logs.concat() {
        let name = log.display();
        let good = fs::read(&log).unwrap();
        let mut damaged = good.clone();
        damaged[2_000..4_000].fill(0x55);
        for damaged in [&damaged[..], &good[..good.len() - 1_500]] {
            fs::write(&log, damaged).unwrap();
            let scratch = tempfile::tempdir().unwrap();
            let into = Folder::open(scratch.path()).unwrap();
            let (healed, _) = log_recovery::heal_log(&log, &into, &Control::default()).unwrap().unwrap();
            assert!(fs::read(healed).unwrap() == good, "{name}");
        }
    }
}
