//! SQLite databases among the attachments, in use by a real program in another process: what comes back is a state that
//! was committed, or is said not to be whole.
#![cfg(unix)]

use crate::support;

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use rusqlite::Connection;
use strongroom::{
    backup::BackupReport,
    control::Control,
    restore::{self, RestoreOptions},
    settings::{SettingsFile, sections},
    storage::Disk,
    verify,
};
use support::{Place, harm::HarmfulDisk, has, make_data_file, names_in};

/// The shell of SQLite, with a database open.
struct Application {
    process: Child,
    said: BufReader<ChildStdout>,
}

impl Application {
    fn open(database: &Path) -> Self {
        let mut command = Command::new("sqlite3");
        command.arg("-batch").arg(database).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let said = BufReader::new(process.stdout.take().unwrap());
        Self { process, said }
    }

    /// Returns when it is done.
    fn run(&mut self, sql: &str) {
        let input = self.process.stdin.as_mut().unwrap();
        writeln!(input, "{sql}\n.print done").unwrap();
        let mut line = String::new();
        while line.trim() != "done" {
            line.clear();
            assert!(self.said.read_line(&mut line).unwrap() > 0, "sqlite3 ended at {sql}");
        }
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        // As in a crash: what lies beside the database stays.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A data file, with these attachments.
fn scene(place: &Place, attachments: &[PathBuf]) -> PathBuf {
    let data = place.at("data/a.sqlite");
    fs::create_dir(place.at("data")).unwrap();
    make_data_file(&data, "", 10);
    let attachments = attachments.to_vec();
    let mut settings = SettingsFile::load(&data, &place.own()).unwrap();
    settings.change(&place.own(), |s| s.content = sections::Content { attachments, ..Default::default() }).unwrap();
    data
}

const TABLE: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); CREATE INDEX i ON t(v);
    WITH RECURSIVE n(k) AS (SELECT 1 UNION ALL SELECT k+1 FROM n WHERE k<2000)
    INSERT INTO t SELECT k, 'first ' || k || hex(zeroblob(100)) FROM n;";

fn problems(report: &BackupReport) -> Vec<(&str, &str)> {
    let last = |path: &'_ str| path.rfind('/').map_or(0, |at| at + 1);
    report.content.problems.iter().map(|p| (&p.path[last(&p.path)..], p.reason.as_str())).collect()
}

fn restore_all(archive: &Path, to: &Path) -> PathBuf {
    verify::run(archive, &Control::default()).unwrap();
    restore::run(&Disk, archive, &RestoreOptions::all(to), &Control::default()).unwrap();
    to.join("Attachments")
}

/// Which records a database holds, where it is sound.
fn content(database: &Path) -> Vec<(i64, String)> {
    let conn = Connection::open(database).unwrap();
    let check: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok", "{}", database.display());
    let mut rows = conn.prepare("SELECT id, substr(v, 1, 12) FROM t ORDER BY id").unwrap();
    rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_database_and_its_wal_are_of_one_moment_however_long_it_takes_to_come_from_one_to_the_other() {
    if !has("sqlite3") {
        return;
    }
    let place = Place::new();
    let files = place.at("files");
    fs::create_dir(&files).unwrap();
    let data = scene(&place, std::slice::from_ref(&files));
    let database = files.join("x.db");
    let mut application = Application::open(&database);
    application.run("PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;");
    application.run(TABLE);
    application.run("PRAGMA wal_checkpoint(TRUNCATE); UPDATE t SET v='second '||id||hex(zeroblob(100)) WHERE id%3=0;");
    // By its name it lies between the database and its WAL.
    File::create(files.join("x.db-large")).unwrap().set_len(200 << 20).unwrap();
    let disk = HarmfulDisk::new(2, move || {
        application
            .run("PRAGMA wal_checkpoint(TRUNCATE); UPDATE t SET v='third '||id||hex(zeroblob(300)) WHERE id%2=0;");
        application
            .run("DELETE FROM t WHERE id%5=0; PRAGMA wal_checkpoint(PASSIVE); INSERT INTO t VALUES(9000,'last');");
    });
    let made = place.backup_on(&disk, &data).unwrap();
    assert_eq!(problems(&made), []);
    let left: Vec<&str> = made.content.left_out.iter().map(|left| left.reason.as_str()).collect();
    assert_eq!(left, ["is made anew by SQLite"]);
    let now = content(&database);
    let restored = restore_all(&made.archive, &place.at("to")).join("files");
    assert_eq!(names_in(&restored), ["x.db", "x.db-large", "x.db-wal"]);
    let then = content(&restored.join("x.db"));
    let expected: Vec<(i64, String)> = (1..=2000)
        .map(|id| (id, format!("{} {id}{}", if id % 3 == 0 { "second" } else { "first" }, "0".repeat(12))))
        .map(|(id, text)| (id, text[..12].to_owned()))
        .collect();
    assert_eq!(then, expected);
    assert_ne!(then, now);
}

#[test]
fn a_transaction_that_is_under_way_is_played_back_where_the_database_is_opened() {
    if !has("sqlite3") {
        return;
    }
    let place = Place::new();
    let files = place.at("files");
    fs::create_dir(&files).unwrap();
    let data = scene(&place, std::slice::from_ref(&files));
    let database = files.join("x.db");
    let mut application = Application::open(&database);
    application.run(TABLE);
    let before = content(&database);
    // More than its cache holds: the database is half written, and only its journal knows what was there.
    application.run("PRAGMA cache_size=5; BEGIN IMMEDIATE; UPDATE t SET v='half '||id||hex(zeroblob(200));");
    let bytes = fs::read(&database).unwrap();
    assert!(bytes.windows(5).any(|word| word == b"half "), "nothing was written yet");
    let made = place.backup(&data).unwrap();
    assert_eq!(problems(&made), []);
    assert!(fs::read(&database).unwrap() == bytes, "nobody but the application writes to it");
    let restored = restore_all(&made.archive, &place.at("to")).join("files");
    assert_eq!(names_in(&restored), ["x.db", "x.db-journal"]);
    assert_eq!(content(&restored.join("x.db")), before);
}

#[test]
fn a_single_database_that_was_chosen_brings_its_wal_along_whatever_the_order() {
    if !has("sqlite3") {
        return;
    }
    for with_wal in [false, true] {
        let place = Place::new();
        let database = place.at("x.db");
        let mut chosen = vec![database.clone()];
        if with_wal {
            chosen.insert(0, place.at("x.db-wal"));
        }
        let data = scene(&place, &chosen);
        let mut application = Application::open(&database);
        application.run("PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;");
        application.run(TABLE);
        let made = place.backup(&data).unwrap();
        assert_eq!(problems(&made), []);
        let restored = restore_all(&made.archive, &place.at("to"));
        assert_eq!(names_in(&restored), ["x.db", "x.db-wal"]);
        assert_eq!(content(&restored.join("x.db")).len(), 2000);
    }
}

/// Whoever writes without a pause is not waited for: what was read is sound, or said not to be whole.
#[test]
fn what_comes_back_of_a_database_that_is_written_all_the_time_is_sound_or_said_not_to_be() {
    if !has("sqlite3") {
        return;
    }
    for (mode, pause) in [("WAL", 40), ("DELETE", 40), ("WAL", 1)] {
        let place = Place::new();
        let files = place.at("files");
        fs::create_dir(&files).unwrap();
        let data = scene(&place, std::slice::from_ref(&files));
        let database = files.join("x.db");
        Application::open(&database).run(&format!("PRAGMA journal_mode={mode}; {TABLE}"));
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (ends, of) = (stop.clone(), database.clone());
        let writer = std::thread::spawn(move || {
            let mut application = Application::open(&of);
            application.run("PRAGMA wal_autocheckpoint=20; PRAGMA busy_timeout=10000;");
            let mut n = 0u64;
            while !ends.load(std::sync::atomic::Ordering::Relaxed) {
                n += 1;
                // Both or none.
                application.run(&format!(
                    "BEGIN; INSERT INTO t VALUES(10000+{n},'{n}'||hex(zeroblob(700))); \
                     UPDATE t SET v='n {n}' WHERE id=1; COMMIT;"
                ));
                std::thread::sleep(std::time::Duration::from_millis(n * 7 % pause));
            }
        });
        for n in 0..4 {
            let made = place.backup(&data).unwrap();
            let restored = restore_all(&made.archive, &place.at(&format!("to {n}"))).join("files/x.db");
            let said = problems(&made);
            if said.is_empty() {
                let rows = content(&restored);
                let last = rows.iter().map(|(id, _)| id - 10_000).max().unwrap();
                assert_eq!(rows[0].1, if last > 0 { format!("n {last}") } else { rows[0].1.clone() });
            } else {
                let text =
                    "is a database in use that was written each time it was read; back it up as a data file of its own";
                assert_eq!(said, [("x.db", text)]);
            }
            eprintln!("{mode} {pause}: {said:?}");
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        writer.join().unwrap();
    }
}

#[test]
fn what_can_not_be_read_beside_a_database_is_said() {
    if !has("sqlite3") {
        return;
    }
    let place = Place::new();
    let files = place.at("files");
    fs::create_dir(&files).unwrap();
    let data = scene(&place, std::slice::from_ref(&files));
    Application::open(&files.join("x.db")).run(TABLE);
    fs::write(files.join("notes"), "no database").unwrap();
    fs::write(files.join("notes-wal"), "of a text").unwrap();
    std::os::unix::fs::symlink("notes", files.join("x.db-wal")).unwrap();
    let made = place.backup(&data).unwrap();
    assert_eq!(problems(&made), [("x.db", "is a database whose -wal is no ordinary file")]);
    let restored = restore_all(&made.archive, &place.at("to")).join("files");
    assert_eq!(names_in(&restored), ["notes", "notes-wal", "x.db", "x.db-wal"]);
    fs::remove_file(restored.join("x.db-wal")).unwrap();
    assert_eq!(content(&restored.join("x.db")).len(), 2000);
}

/// In these journal modes nothing beside the file tells what the transaction has changed so far.
#[cfg(target_os = "linux")]
#[test]
fn a_transaction_without_a_journal_is_waited_for_and_then_said() {
    if !has("sqlite3") {
        return;
    }
    for mode in ["memory", "off"] {
        let place = Place::new();
        let database = place.at("k.db");
        let data = scene(&place, std::slice::from_ref(&database));
        let mut application = Application::open(&database);
        application.run(TABLE);
        let before = content(&database);
        application
            .run(&format!("PRAGMA journal_mode={mode}; PRAGMA cache_size=2; BEGIN; UPDATE t SET v='second '||v;"));
        let backup = || place.run(&["backup", data.to_str().unwrap()]);
        let made = backup();
        let said = String::from_utf8_lossy(&made.stderr).into_owned();
        assert_eq!(made.status.code(), Some(1), "{mode}: {said}");
        assert!(said.contains("k.db") && said.contains("that a program has locked for itself"), "{mode}: {said}");
        application.run("COMMIT;");
        let made = backup();
        assert!(made.status.success(), "{mode}: {}", String::from_utf8_lossy(&made.stderr));
        let restored = restore_all(&place.at("data/Backups/a[0002].4BK"), &place.at("back"));
        let found = content(&restored.join("k.db"));
        assert!(found.len() == before.len() && found.iter().all(|(_, v)| v.starts_with("second ")), "{mode}");
    }
}

/// Neither shows in the files that lie there: what such a program commits is elsewhere.
#[cfg(target_os = "linux")]
#[test]
fn a_database_whose_commits_lie_elsewhere_is_said_not_to_be_whole() {
    if !has("sqlite3") {
        return;
    }
    type Accident = fn(&Path);
    let deleted: Accident = |database| {
        for end in ["-wal", "-shm"] {
            fs::remove_file(format!("{}{end}", database.display())).unwrap();
        }
    };
    let only_wal: Accident = |database| fs::remove_file(format!("{}-wal", database.display())).unwrap();
    let linked: Accident = |database| {
        let inside = database.with_file_name("folder");
        fs::create_dir(&inside).unwrap();
        fs::hard_link(database, inside.join("x.db")).unwrap();
    };
    let cases = [
        ("x.db", deleted, "has open with other -wal and -shm files"),
        ("x.db", only_wal, "has open with other -wal and -shm files"),
        ("folder", linked, "and that is the name in use"),
    ];
    for (chosen, accident, words) in cases {
        let place = Place::new();
        let database = place.at("x.db");
        let data = scene(&place, &[place.at(chosen)]);
        let mut application = Application::open(&database);
        application.run("PRAGMA journal_mode=wal;");
        application.run(TABLE);
        accident(&database);
        application.run("UPDATE t SET v='never seen';");
        let made = place.run(&["backup", data.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&made.stderr).into_owned();
        assert_eq!(made.status.code(), Some(1), "{words}: {said}");
        assert!(said.contains("x.db") && said.contains(words), "{words}: {said}");
    }
}
