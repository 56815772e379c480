//! The log through the program itself: kept, cut off by a kill, cut at a full backup, integrated at a restore.

use crate::support;

use std::process::Command as Process;

use rusqlite::Connection;
use strongroom::{
    engine::{Command, JobId},
    journal::integrate::Until,
    restore::Logs,
};
use support::{
    Place,
    engine::{backup, engine, foreign_commits, open_with_log, restore, serve, until},
    has, logical_content, make_data_file, names_in, text,
};

#[test]
fn everything_committed_is_restored_from_archive_and_log_and_so_is_any_earlier_commit() {
    if !has("sqlite3") {
        return;
    }
    let place = Place::new();
    let data = place.at("a.sqlite");
    let application = make_data_file(&data, "PRAGMA journal_mode=WAL", 300);
    let engine = engine(&place);
    let handle = engine.handle();
    let log = place.at("Backups/a.journal");
    open_with_log(&handle, &data, &log);
    foreign_commits(&data, "INSERT INTO k VALUES('before the first backup',1)");
    let first = backup(&handle, &data);
    assert_eq!(first.archived_log, Some(place.at("Backups/a[0000].4BL")), "{first:#?}");
    assert!(first.log_problem.is_none());

    let mut states = vec![logical_content(&data)];
    for n in 0..10 {
        foreign_commits(&data, &format!("INSERT INTO k VALUES('foreign {n}',{n}); DELETE FROM t WHERE id={}", n + 5));
        states.push(logical_content(&data));
    }
    let position = first.log_position.unwrap();
    for logs in [Logs::Found, Logs::Also(vec![log.clone()])] {
        let to = place.at(&format!("all {logs:?}").replace(['/', '"'], ""));
        let all = restore(&handle, &first.archive, &to, logs, Until::End);
        assert_eq!(logical_content(&to.join("a.sqlite")), states[10]);
        // sqlite3 commits each of the two statements on its own.
        assert_eq!(all.integrated.as_ref().unwrap().commits, 20);
    }
    for n in [0, 3, 7] {
        let to = place.at(&format!("up to {n}"));
        let commit = position.commit + 2 * n as u64;
        restore(&handle, &first.archive, &to, Logs::Found, Until::Commit(commit));
        assert_eq!(logical_content(&to.join("a.sqlite")), states[n]);
    }
    let alone = restore(&handle, &first.archive, &place.at("alone"), Logs::None, Until::End);
    assert!(alone.integrated.is_none());
    assert_eq!(logical_content(&place.at("alone/a.sqlite")), states[0]);

    // A second backup, and the first archive still leads across both logs to now.
    let second = backup(&handle, &data);
    assert_eq!(second.archived_log, Some(place.at("Backups/a[0001].4BL")));
    foreign_commits(&data, "UPDATE k SET v='last'");
    std::fs::remove_file(&second.archive).unwrap();
    restore(&handle, &first.archive, &place.at("across"), Logs::Found, Until::End);
    assert_eq!(logical_content(&place.at("across/a.sqlite")), logical_content(&data));
    let archives: Vec<String> = names_in(&place.at("Backups"))
        .into_iter()
        .filter(|n| ![".pages", ".written-by"].iter().any(|end| n.ends_with(end)))
        .collect();
    assert_eq!(archives, ["a.journal", "a[0000].4BL", "a[0001].4BK", "a[0001].4BL"]);
    drop(application);
}

#[test]
fn a_killed_service_goes_on_and_nothing_committed_meanwhile_is_missing() {
    if !has("sqlite3") {
        return;
    }
    let place = Place::new();
    let data = place.at("a.sqlite");
    drop(make_data_file(&data, "PRAGMA journal_mode=WAL", 300));
    {
        let engine = engine(&place);
        open_with_log(&engine.handle(), &data, &place.at("Backups/a.journal"));
        backup(&engine.handle(), &data);
    }
    let archive = place.at("Backups/a[0001].4BK");
    for n in 0..3 {
        let mut service = serve(&place, &data);
        foreign_commits(&data, &format!("INSERT INTO k VALUES('watched {n}',1)"));
        service.kill().unwrap();
        service.wait().unwrap();
        // Nobody watches; the application even empties the WAL.
        foreign_commits(&data, &format!("INSERT INTO k VALUES('alone {n}',1); PRAGMA wal_checkpoint(TRUNCATE)"));
    }
    let service = serve(&place, &data);
    foreign_commits(&data, "INSERT INTO k VALUES('at the end',1)");
    #[cfg(unix)]
    assert!(Process::new("kill").arg(service.id().to_string()).status().unwrap().success());
    let mut service = service;
    assert!(service.wait().unwrap().success(), "SIGTERM is a clean end");

    let output = place.run(&["restore", archive.to_str().unwrap(), "--to", place.at("to").to_str().unwrap(), "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    // How many records that takes depends on what was killed when; the content does not.
    assert!(report["integrated"]["commits"].as_u64().unwrap() >= 1, "{report}");
    assert_eq!(logical_content(&place.at("to/a.sqlite")), logical_content(&data));
}

#[test]
fn restores_by_command_go_as_far_as_they_are_told() {
    if !has("sqlite3") {
        return;
    }
    let place = Place::new();
    let data = place.at("a.sqlite");
    drop(make_data_file(&data, "PRAGMA journal_mode=WAL", 50));
    let engine = engine(&place);
    let handle = engine.handle();
    let log = place.at("elsewhere/a.journal");
    open_with_log(&handle, &data, &log);
    let made = backup(&handle, &data);
    let before = logical_content(&data);
    foreign_commits(&data, "INSERT INTO k VALUES('one',1)");
    let one = logical_content(&data);
    foreign_commits(&data, "INSERT INTO k VALUES('two',1)");
    // A restore in this engine first, so that all of it is in the log.
    let here = restore(&handle, &made.archive, &place.at("here"), Logs::Found, Until::End);
    assert_eq!(here.integrated.unwrap().commits, 2);
    assert_eq!(logical_content(&place.at("here/a.sqlite")), logical_content(&data));
    let (archive, log) = (made.archive.to_str().unwrap().to_owned(), log.to_str().unwrap().to_owned());
    let position = made.log_position.unwrap().commit;
    let attempt = |name: &str, more: &[&str]| {
        let to = place.at(name).to_str().unwrap().to_owned();
        let output = place.run(&[&["restore", &archive, "--to", &to], more].concat());
        (output.status.code(), text(&output.stderr), place.at(name).join("a.sqlite"))
    };
    let commit = (position + 1).to_string();
    let (code, said, file) = attempt("one", &["--log", &log, "--commit", &commit]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(logical_content(&file), one);
    let (code, _, file) = attempt("none", &["--no-log"]);
    assert_eq!((code, logical_content(&file)), (Some(0), before.clone()));
    // The log is found where the settings say, and all of it is before that moment. The engine of this test has no
    // address: nobody can ask it.
    let (code, said, file) = attempt("found", &["--until", "2101-01-01 00:00:00"]);
    assert_eq!(logical_content(&file), logical_content(&data));
    assert!(code == Some(1) && said.contains("could not be asked whether that is all"), "{said}");
    for (more, expected) in [
        (vec!["--log", &log, "--commit", "999999"], "commit 999999"),
        (vec!["--log", &log, "--until", "noon"], "\"noon\" is not a moment"),
        (vec!["--log", &log, "--until", "2001-01-01 00:00:00"], "after the moment wanted"),
        (vec!["--log", "/nowhere/a.journal"], "/nowhere/a.journal"),
    ] {
        let (code, said, file) = attempt("never", &more);
        assert_eq!(code, Some(1), "{more:?}");
        assert!(said.contains(expected) && said.lines().count() >= 2, "{more:?}: {said}");
        assert!(!file.exists());
    }
}

#[test]
fn a_damaged_log_is_integrated_up_to_the_damage_and_that_is_a_failure_that_says_so() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    let application = make_data_file(&data, "PRAGMA journal_mode=WAL", 50);
    let log = place.at("Backups/a.journal");
    let mut ends = Vec::new();
    {
        let engine = engine(&place);
        open_with_log(&engine.handle(), &data, &log);
        backup(&engine.handle(), &data);
        // A restore in this engine waits until all of it is in the log: each time a block of its own, at least.
        for step in 0..3 {
            for n in 0..7 {
                application.execute("INSERT INTO k VALUES(?1,1)", [format!("record {step} {n}")]).unwrap();
            }
            let to = place.at(&format!("step {step}"));
            restore(&engine.handle(), &place.at("Backups/a[0001].4BK"), &to, Logs::Found, Until::End);
            ends.push(std::fs::metadata(&log).unwrap().len());
        }
        restore(&engine.handle(), &place.at("Backups/a[0001].4BK"), &place.at("whole"), Logs::Found, Until::End);
        assert_eq!(logical_content(&place.at("whole/a.sqlite")), logical_content(&data));
    }
    let mut bytes = std::fs::read(&log).unwrap();
    // In the second of three parts: what comes after it shows that it is no torn end.
    bytes[ends[0] as usize + 40] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    let (archive, to) = (place.at("Backups/a[0001].4BK"), place.at("to"));
    let (archive, to_text) = (archive.to_str().unwrap(), to.to_str().unwrap());
    let output = place.run(&["restore", archive, "--to", to_text, "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("a.journal is damaged at byte") && said.contains("could not be integrated"), "{said}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["integrated"]["commits"].as_u64().unwrap() >= 1, "{report}");
    let restored = Connection::open(to.join("a.sqlite")).unwrap();
    let sql = "SELECT count(*) FROM k WHERE k LIKE 'record %'";
    let records = restored.query_row(sql, [], |r| r.get::<_, i64>(0)).unwrap();
    assert!((1..20).contains(&records), "{records}");
    // Up to a commit before the damage it is no concern.
    let output = place.run(&["restore", archive, "--to", place.at("one").to_str().unwrap(), "--commit", "1"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// A folder in which nothing can be made, not even by the superuser.
struct Closed(std::path::PathBuf);

impl Closed {
    fn new(folder: std::path::PathBuf) -> Option<Self> {
        let closed = Self(folder);
        closed.change("+i", "a-w");
        std::fs::write(closed.0.join("tried"), "").is_err().then_some(closed)
    }

    fn change(&self, attribute: &str, mode: &str) {
        let run = |tool: &str, how: &str| {
            std::process::Command::new(tool).arg(how).arg(&self.0).output().is_ok_and(|done| done.status.success())
        };
        let _ = run("chattr", attribute) || run("chmod", mode);
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        self.change("-i", "u+w");
        let _ = std::fs::remove_file(self.0.join("tried"));
    }
}

#[test]
fn a_backup_that_fails_leaves_the_log_unbroken() {
    if !has("sqlite3") {
        return;
    }
    let place = Place::new();
    let data = place.at("a.sqlite");
    drop(make_data_file(&data, "PRAGMA journal_mode=WAL", 300));
    let engine = engine(&place);
    let handle = engine.handle();
    open_with_log(&handle, &data, &place.at("log/a.journal"));
    let first = backup(&handle, &data);
    foreign_commits(&data, "INSERT INTO k VALUES('one',1)");
    // Nothing can be made in the folder for archives: the backup fails after the log was cut.
    let Some(closed) = Closed::new(place.at("Backups")) else {
        eprintln!("no folder can be closed here");
        return;
    };
    let job = JobId::new();
    handle.send(Command::Backup { job, data_file: data.clone(), destination: None, options: None }).unwrap();
    let status = until(&handle, |s| s.finished_job(job).is_some());
    assert!(status.finished_job(job).unwrap().result.is_err());
    foreign_commits(&data, "INSERT INTO k VALUES('two',1)");
    drop(closed);
    let report = restore(&handle, &first.archive, &place.at("to"), Logs::Found, Until::End);
    assert!((1..=2).contains(&report.integrated.unwrap().commits));
    assert_eq!(logical_content(&place.at("to/a.sqlite")), logical_content(&data));
    assert_eq!(backup(&handle, &data).archived_log, Some(place.at("log/a[0001].4BL")));
}

#[test]
fn a_data_file_without_wal_is_refused_a_log_with_the_reason() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    drop(make_data_file(&data, "PRAGMA journal_mode=DELETE", 10));
    let output = place.run(&["serve", data.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("is in journal mode delete; the log needs WAL"), "{said}");
    let mode: String = Connection::open(&data).unwrap().query_row("PRAGMA journal_mode", [], |r| r.get(0)).unwrap();
    assert_eq!(mode, "delete", "nothing was switched without being asked");
}

#[test]
fn commits_that_an_older_sqlite_leaves_without_checksums_are_recorded_one_by_one() {
    if !has("sqlite3") {
        return;
    }
    let place = Place::new();
    let data = place.at("a.sqlite");
    foreign_commits(
        &data,
        "PRAGMA journal_mode=WAL; CREATE TABLE t(i INTEGER PRIMARY KEY, x);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<500) INSERT INTO t SELECT i, \
         zeroblob(800) FROM n",
    );
    let engine = engine(&place);
    let handle = engine.handle();
    open_with_log(&handle, &data, &place.at("Backups/a.journal"));
    let made = backup(&handle, &data);
    let mut states = vec![logical_content(&data)];
    for last in [440, 340] {
        // Pages are spilled, written again in place, and rolled back to where nothing of it was written yet.
        foreign_commits(
            &data,
            &format!(
                "PRAGMA cache_size=5; BEGIN; UPDATE t SET x=randomblob(900) WHERE i<60; SAVEPOINT s;
                 UPDATE t SET x=randomblob(900) WHERE i BETWEEN 100 AND 200;
                 UPDATE t SET x=randomblob(900) WHERE i BETWEEN 150 AND 200; ROLLBACK TO s;
                 UPDATE t SET x=randomblob(300) WHERE i BETWEEN 300 AND {last}; COMMIT"
            ),
        );
        foreign_commits(&data, "INSERT INTO t(x) VALUES('after it')");
        states.push(logical_content(&data));
    }
    until(&handle, |s| s.data_files[0].log.as_ref().is_some_and(|log| log.commits == 4));
    assert_eq!(handle.status().data_files[0].log.as_ref().unwrap().catch_ups, 0);
    let first = made.log_position.unwrap().commit;
    for (n, state) in states.iter().enumerate() {
        let to = place.at(&format!("to {n}"));
        restore(&handle, &made.archive, &to, Logs::Found, Until::Commit(first + 2 * n as u64));
        assert_eq!(logical_content(&to.join("a.sqlite")), *state, "{n}");
    }
}

/// The checksum goes on from that of a frame which the savepoint has taken back.
#[test]
fn commits_after_a_large_savepoint_of_an_older_sqlite_are_recorded_one_by_one() {
    if !has("sqlite3") {
        return;
    }
    let place = Place::new();
    let data = place.at("a.sqlite");
    foreign_commits(
        &data,
        "PRAGMA journal_mode=WAL; CREATE TABLE t(i INTEGER PRIMARY KEY, k, x); CREATE INDEX k ON t(k)",
    );
    let engine = engine(&place);
    let handle = engine.handle();
    open_with_log(&handle, &data, &place.at("Backups/a.journal"));
    let made = backup(&handle, &data);
    let first = made.log_position.unwrap().commit;
    let mut states = vec![logical_content(&data)];
    let logged = |commits: u64| {
        until(&handle, |s| {
            s.data_files[0].log.as_ref().is_some_and(|log| log.commits == commits && log.error.is_none())
        });
    };
    for (n, after) in [(1, 1), (2, 0), (3, 3), (4, 1)] {
        foreign_commits(&data, &format!("INSERT INTO t(k, x) VALUES({n}, zeroblob(500))"));
        states.push(logical_content(&data));
        // Also two commits that are read at once.
        if n % 2 == 0 {
            logged(states.len() as u64 - 1);
        }
        let rest = "INSERT INTO t(k, x) VALUES(7, zeroblob(5000));".repeat(after);
        foreign_commits(
            &data,
            &format!(
                "PRAGMA cache_size=5; BEGIN IMMEDIATE; INSERT INTO t(k, x) VALUES({n}, zeroblob(30000)); SAVEPOINT s;
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<30)
                 INSERT INTO t(k, x) SELECT i*7919%9999, zeroblob(i*7919%9000) FROM n;
                 UPDATE t SET k=k+1 WHERE i%7=0; ROLLBACK TO s; RELEASE s; {rest} COMMIT"
            ),
        );
        states.push(logical_content(&data));
        if n > 2 {
            logged(states.len() as u64 - 1);
        }
    }
    foreign_commits(&data, "INSERT INTO t(k, x) VALUES(9, 'the last one')");
    states.push(logical_content(&data));
    logged(states.len() as u64 - 1);
    assert_eq!(handle.status().data_files[0].log.as_ref().unwrap().catch_ups, 0);
    for (n, state) in states.iter().enumerate() {
        let to = place.at(&format!("to {n}"));
        restore(&handle, &made.archive, &to, Logs::Found, Until::Commit(first + n as u64));
        assert_eq!(logical_content(&to.join("a.sqlite")), *state, "{n}");
    }
}
