//! Full backups of real data files, and their restores, with and without this program.

use crate::support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rusqlite::Connection;
use strongroom::{
    archive::{Archive, ArchiveOptions, catalog},
    backup,
    control::Control,
    error::ErrorKind,
    restore::{self, RestoreOptions},
    settings::SettingsFile,
    sqlite::integrity::Integrity,
    storage::Disk,
    verify,
};
use support::{Fault, FaultyDisk, Place, has, logical_content, make_data_file, names_in, text};

fn restore_all(archive: &Path, to: &Path) -> restore::RestoreReport {
    restore::run(&Disk, archive, &RestoreOptions::all(to), &Control::default()).unwrap()
}

fn assert_same_content(place: &Place, data: &Path, name: &str) -> PathBuf {
    let report = place.backup(data).unwrap();
    verify::run(&report.archive, &Control::default()).unwrap();
    let to = place.at(&format!("restored {name}"));
    let restored = restore_all(&report.archive, &to);
    assert_eq!(restored.integrity, Some(Integrity::Sound), "{name}");
    let copy = to.join(data.file_name().unwrap());
    assert_eq!(logical_content(&copy), logical_content(data), "{name}");
    report.archive
}

#[test]
fn every_page_size_journal_mode_and_vacuum_mode_comes_back() {
    let place = Place::new();
    for page_size in [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536] {
        for (journal, vacuum) in [("WAL", "NONE"), ("DELETE", "FULL"), ("PERSIST", "INCREMENTAL")] {
            let name = format!("{page_size} {journal}");
            let data = place.at(&format!("{name}.sqlite"));
            let pragmas =
                format!("PRAGMA page_size={page_size}; PRAGMA auto_vacuum={vacuum}; PRAGMA journal_mode={journal}");
            let conn = make_data_file(&data, &pragmas, 700);
            conn.execute_batch("DELETE FROM t WHERE id%7=0").unwrap();
            assert_same_content(&place, &data, &name);
        }
    }
}

#[test]
fn an_empty_database_and_strange_names_come_back() {
    let place = Place::new();
    for name in ["leer.sqlite", "Büro Zürich 東京 's.sqlite", "no extension", "a [1] b.db", "-dash.sqlite"] {
        let data = place.at(name);
        Connection::open(&data).unwrap().execute_batch("PRAGMA user_version=7").unwrap();
        let archive = assert_same_content(&place, &data, name);
        assert!(archive.file_name().unwrap().to_str().unwrap().ends_with("[0001].4BK"));
        let copy = place.at(&format!("restored {name}")).join(name);
        let version: i64 = Connection::open(copy).unwrap().query_row("PRAGMA user_version", [], |r| r.get(0)).unwrap();
        assert_eq!(version, 7);
    }
}

/// First with everything beyond 1 GiB still in the WAL, where the page of the lock bytes is neither there nor in the
/// file.
#[test]
fn a_file_with_a_lock_byte_page_comes_back() {
    let place = Place::new();
    let data = place.at("large.sqlite");
    let conn = Connection::open(&data).unwrap();
    conn.execute_batch(
        "PRAGMA page_size=65536; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; PRAGMA synchronous=OFF;
         CREATE TABLE t(x); INSERT INTO t VALUES(zeroblob(540000000)); INSERT INTO t VALUES(zeroblob(540000000));
         INSERT INTO t VALUES('after')",
    )
    .unwrap();
    for checkpoint in [false, true] {
        if checkpoint {
            conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        }
        assert_eq!(fs::metadata(&data).unwrap().len() > (1 << 30) + 65536, checkpoint);
        let report = place.backup(&data).unwrap();
        let to = place.at(&format!("restored {checkpoint}"));
        assert_eq!(restore_all(&report.archive, &to).integrity, Some(Integrity::Sound));
        let copy = Connection::open(to.join("large.sqlite")).unwrap();
        let sql = "SELECT count(*), max(x) FILTER (WHERE typeof(x)='text') FROM t";
        let last: (i64, String) = copy.query_row(sql, [], |r| Ok((r.get(0)?, r.get(1)?))).unwrap();
        assert_eq!(last, (3, "after".to_owned()));
        drop(copy);
        fs::remove_dir_all(to).unwrap();
    }
}

/// Transfers between accounts in other processes: the sum is the same in every committed state, and in no torn one.
#[test]
fn writers_in_other_processes_go_on_and_the_archive_is_one_consistent_state() {
    if !has("sqlite3") {
        return;
    }
    for journal in ["WAL", "DELETE"] {
        let place = Place::new();
        let data = place.at("accounts.sqlite");
        let conn = make_data_file(&data, &format!("PRAGMA journal_mode={journal}"), 20_000);
        conn.execute_batch(
            "CREATE TABLE account(id INTEGER PRIMARY KEY, amount INTEGER, note TEXT);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<500)
             INSERT INTO account SELECT i, 1000, hex(randomblob(200)) FROM n",
        )
        .unwrap();
        drop(conn);
        let script = (0..1500).fold(String::from(".timeout 600000\n"), |mut script, n| {
            let (from, to) = (n * 37 % 500 + 1, n * 91 % 500 + 1);
            script += &format!(
                "BEGIN IMMEDIATE; UPDATE account SET amount=amount-7, note=hex(randomblob(200)) \
                                WHERE id={from}; UPDATE account SET amount=amount+7 WHERE id={to}; COMMIT;\n"
            );
            script
        });
        let script_path = place.at("script.sql");
        fs::write(&script_path, script).unwrap();
        let mut writers: Vec<_> = (0..2)
            .map(|_| {
                Command::new("sqlite3")
                    .arg(&data)
                    .stdin(fs::File::open(&script_path).unwrap())
                    .stdout(Stdio::null())
                    .spawn()
                    .unwrap()
            })
            .collect();
        let mut archives = Vec::new();
        loop {
            archives.push(place.backup(&data).unwrap());
            let ended = writers.iter_mut().all(|w| w.try_wait().unwrap().is_some());
            if ended || archives.len() >= 8 {
                break;
            }
        }
        assert!(writers.iter_mut().all(|w| w.wait().unwrap().success()));
        for report in &archives {
            let to = place.at(&format!("restored {}", report.number));
            assert_eq!(restore_all(&report.archive, &to).integrity, Some(Integrity::Sound));
            let copy = Connection::open(to.join("accounts.sqlite")).unwrap();
            let sum: i64 = copy.query_row("SELECT sum(amount) FROM account", [], |r| r.get(0)).unwrap();
            assert_eq!(sum, 500_000, "{journal} {}", report.number);
        }
    }
}

#[test]
fn zstd_and_tar_restore_without_us() {
    if !has("zstd") || !has("tar") {
        return;
    }
    let place = Place::new();
    let data = place.at("Ein Büro.sqlite");
    make_data_file(&data, "PRAGMA journal_mode=WAL", 30_000);
    let report = place.backup(&data).unwrap();
    assert!(Archive::open(&report.archive).unwrap().tar_bytes() > 8 << 20, "several frames");
    let to = place.at("by hand");
    fs::create_dir(&to).unwrap();
    let output = Command::new("sh")
        .arg("-c")
        .arg("zstd -dc \"$1\" | tar x -C \"$2\"")
        .arg("sh")
        .arg(&report.archive)
        .arg(&to)
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
    assert_eq!(names_in(&to), ["Ein Büro.sqlite", "Ein Büro.strongroom.toml", "strongroom-manifest.toml"]);
    assert_eq!(logical_content(&to.join("Ein Büro.sqlite")), logical_content(&data));
    let manifest: toml_edit::DocumentMut =
        fs::read_to_string(to.join("strongroom-manifest.toml")).unwrap().parse().unwrap();
    assert_eq!(manifest["archive"]["number"].as_integer(), Some(1));
    assert_eq!(manifest["file"][0]["blake3"].as_str(), Some(report.blake3.as_str()));
    let hash = blake3::hash(&fs::read(to.join("Ein Büro.sqlite")).unwrap()).to_hex().to_string();
    assert_eq!(hash, report.blake3);
}

#[test]
fn numbers_go_up_and_are_never_used_again() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "", 10);
    for number in 1..=3 {
        assert_eq!(place.backup(&data).unwrap().number.0, number);
    }
    let folder = backup::default_destination(&data);
    // Deleted archives, a lost settings file: each alone changes nothing.
    for name in names_in(&folder) {
        fs::remove_file(folder.join(name)).unwrap();
    }
    assert_eq!(place.backup(&data).unwrap().number.0, 4);
    fs::remove_file(place.at("a.strongroom.toml")).unwrap();
    assert_eq!(place.backup(&data).unwrap().number.0, 5);
    fs::rename(folder.join("a[0005].4BK"), folder.join("a[12345].4BK")).unwrap();
    assert_eq!(place.backup(&data).unwrap().archive, folder.join("a[12346].4BK"));
}

#[test]
fn settings_travel_with_the_archive() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "", 10);
    fs::write(place.at("a.strongroom.toml"), "# mine\n").unwrap();
    let report = place.backup(&data).unwrap();
    let to = place.at("restored");
    restore_all(&report.archive, &to);
    let restored = fs::read_to_string(to.join("a.strongroom.toml")).unwrap();
    assert!(restored.starts_with("# mine\n") && restored.contains("last-number = 1"), "{restored}");
    assert_eq!(restored, fs::read_to_string(place.at("a.strongroom.toml")).unwrap());
    let settings = SettingsFile::load(&data, &place.own()).unwrap();
    assert_eq!(settings.settings().data_file_id, Some(Archive::open(&report.archive).unwrap().identity().data_file_id));
}

/// Loses power, or fills the disk, at every single step of writing an archive.
#[test]
fn a_crash_at_any_step_leaves_no_half_archive_and_harms_no_older_one() {
    for fault in [Fault::Crash, Fault::CrashHalfWritten, Fault::DiskFull] {
        for at in 0.. {
            let place = Place::new();
            let data = place.at("a.sqlite");
            make_data_file(&data, "", 200);
            let first = place.backup(&data).unwrap();
            let before = fs::read(&first.archive).unwrap();
            let disk = FaultyDisk::new(at, fault);
            let outcome = place.backup_on(&disk, &data);
            let folder = backup::default_destination(&data);
            assert_eq!(fs::read(&first.archive).unwrap(), before);
            let second = folder.join("a[0002].4BK");
            if second.exists() {
                // Named, so complete; only the sync of its folder may have been lost.
                verify::run(&second, &Control::default()).unwrap();
            } else {
                assert!(outcome.is_err());
            }
            if fault == Fault::DiskFull && !second.exists() {
                assert_eq!(outcome.as_ref().unwrap_err().kind(), ErrorKind::NoSpace);
                assert_eq!(names_in(&folder), ["a[0001].4BK"], "nothing is left behind at step {at}");
            }
            // The next start cleans up, and the next backup succeeds.
            let next = place.backup(&data).unwrap();
            assert!(names_in(&folder).iter().all(|n| n.ends_with(".4BK")), "{fault:?} {at}");
            verify::run(&next.archive, &Control::default()).unwrap();
            if outcome.is_ok() {
                assert!(disk.steps() >= 8, "create, head, frames, index, tail, sync, rename, sync folder");
                assert_eq!(at, disk.steps(), "every step was tried");
                break;
            }
        }
    }
}

#[cfg(unix)]
#[test]
fn a_killed_backup_leaves_nothing_under_a_final_name() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "", 60_000);
    let folder = backup::default_destination(&data);
    let part = folder.join("a[0001].4BK.part");
    // Killed as soon as the temporary file is there, at whatever step that is.
    let mut child = place.program().arg("backup").arg(&data).stdout(Stdio::null()).spawn().unwrap();
    while !part.exists() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    for name in names_in(&folder).iter().filter(|n| n.ends_with(".4BK")) {
        verify::run(&folder.join(name), &Control::default()).unwrap();
    }
    let output = place.run(&["backup", data.to_str().unwrap(), "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(!part.exists(), "the leftover is cleaned at the next start");
}

#[test]
fn a_stopped_backup_leaves_nothing() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "", 2000);
    let mut settings = SettingsFile::load(&data, &place.own()).unwrap();
    let folder = backup::default_destination(&data);
    let control = Control::default();
    control.stop();
    let error =
        backup::run(&Disk, &data, &mut settings, &place.own(), &folder, None, ArchiveOptions::default(), &control)
            .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stopped);
    assert_eq!(names_in(&folder), Vec::<String>::new());
}

#[test]
fn too_little_space_is_said_before_starting_with_the_numbers() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "", 60_000);
    let small = place.at("small");
    fs::create_dir(&small).unwrap();
    // A file system of 2 MB in a mount namespace of its own; systems that do not allow this cannot run the test.
    let script = "mount -t tmpfs -o size=2m none \"$1\" && exec \"$2\" backup \"$3\" --to \"$1\"";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
    command.arg(&small).arg(support::PROGRAM).arg(&data);
    command.env("XDG_DATA_HOME", place.own()).env("XDG_CONFIG_HOME", place.own());
    match command.output() {
        Ok(output) if !text(&output.stderr).contains("unshare:") && !text(&output.stderr).contains("mount:") => {
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{said}");
            assert!(
                said.contains("not enough space in") && said.contains("are needed, 2.0 MB are available"),
                "{said}"
            );
            assert!(said.contains("choose a folder on another disk"), "{said}");
        }
        _ => eprintln!("skipped: this system allows no mount namespace"),
    }
}

#[test]
fn the_estimate_of_the_second_backup_is_close() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    let conn = make_data_file(&data, "PRAGMA journal_mode=WAL", 20_000);
    let settings = SettingsFile::load(&data, &place.own()).unwrap();
    let folder = backup::default_destination(&data);
    let first = backup::plan(&data, &settings, &folder, &[]).unwrap();
    let made = place.backup(&data).unwrap();
    let off = |plan: u64, made: u64| (plan as f64 / made as f64 - 1.0).abs();
    assert!(off(first.required_bytes, made.bytes) < 0.25, "{} for {}", first.required_bytes, made.bytes);
    conn.execute_batch(
        "INSERT INTO t(a,b,c) SELECT hex(randomblob(20)), randomblob(150), 1 FROM t; PRAGMA wal_checkpoint(TRUNCATE)",
    )
    .unwrap();
    let settings = SettingsFile::load(&data, &place.own()).unwrap();
    let known = catalog::list(&folder, Some("a")).unwrap();
    let second = backup::plan(&data, &settings, &folder, &known).unwrap();
    let made = place.backup(&data).unwrap();
    assert_eq!(second.archive, made.archive);
    assert!(off(second.required_bytes, made.bytes) < 0.15, "{} for {}", second.required_bytes, made.bytes);
}
