//! Restore in place: the live data file goes back, connected programs see it, and nothing is taken away for good.

use crate::support;

use std::{
    path::Path,
    process::{Command as Process, Stdio},
};

use proptest::prelude::*;
use rusqlite::Connection;
use strongroom::{
    control::Control,
    engine::{Answer, Command, Handle, JobId, Query, status::JobReport},
    error::{ErrorKind, ErrorReport},
    journal::integrate::Until,
    restore::{Logs, RestoreReport, undo::UndoPlan},
    sqlite::rewrite::{Target, rewrite},
};
use support::{
    Place,
    engine::{ask, backup, engine, finished, foreign_commits, open_with_log, serve, until},
    has, logical_content, make_data_file, names_in, text,
};

fn start(handle: &Handle, data: &Path, archive: &Path, logs: Logs, until: Until) -> JobId {
    let job = JobId::new();
    let (data_file, archive) = (data.to_path_buf(), archive.to_path_buf());
    handle.send(Command::RestoreInPlace { job, data_file, archive, logs, until, segments: vec![] }).unwrap();
    job
}

fn in_place(handle: &Handle, data: &Path, archive: &Path, logs: Logs, until: Until) -> RestoreReport {
    match finished(handle, start(handle, data, archive, logs, until)) {
        JobReport::Restore(report) => report,
        other => panic!("{other:?}"),
    }
}

fn refused(handle: &Handle, job: JobId) -> ErrorReport {
    until(handle, |s| s.finished_job(job).is_some()).finished_job(job).unwrap().result.clone().unwrap_err()
}

/// What a foreign, older program says of the file.
fn foreign_check(data: &Path) -> String {
    let output = Process::new("sqlite3").arg(data).arg("PRAGMA integrity_check").output().unwrap();
    text(&output.stdout).trim().to_owned()
}

#[test]
fn the_live_file_goes_back_under_its_programs_and_forward_again() {
    if !has("sqlite3") {
        return;
    }
    let place = Place::new();
    let data = place.at("a.sqlite");
    let application = make_data_file(&data, "PRAGMA journal_mode=WAL", 400);
    let mut prepared = application.prepare("SELECT count(*) FROM t").unwrap();
    let mut count = || prepared.query_row([], |row| row.get::<_, i64>(0)).unwrap();
    let engine = engine(&place);
    let handle = engine.handle();
    open_with_log(&handle, &data, &place.at("Backups/a.journal"));
    let first = backup(&handle, &data);
    let position = first.log_position.unwrap();

    let wanted = [
        "DELETE FROM t WHERE id%3=0",
        "CREATE TABLE added(x); INSERT INTO added SELECT randomblob(500) FROM t",
        "DROP TABLE added; CREATE TABLE added(other, columns); INSERT INTO added VALUES(1,2)",
        "VACUUM",
    ];
    let mut states = vec![(position.commit, logical_content(&data), count())];
    for sql in wanted {
        foreign_commits(&data, sql);
        let now = restored_commit(&handle, &data);
        states.push((now, logical_content(&data), count()));
    }
    let last = states.len() - 1;
    for n in [0, 2, 1] {
        let (commit, content, rows) = &states[n];
        let before = restored_commit(&handle, &data);
        let there = logical_content(&data);
        let report = in_place(&handle, &data, &first.archive, Logs::Found, Until::Commit(*commit));
        let done = report.in_place.unwrap();
        assert_eq!(logical_content(&data), *content, "state {n}");
        assert_eq!(count(), *rows, "what the connected application sees of state {n}");
        assert_eq!(foreign_check(&data), "ok");
        assert_eq!(done.commits_left, Some(before - commit));
        assert!(done.pages_changed > 0 && done.set_aside.is_empty());

        // The application goes on, with its own idea of the schema.
        application.execute_batch("CREATE TABLE mine(x); INSERT INTO mine VALUES(1); DROP TABLE mine").unwrap();

        let undo = done.undo.unwrap();
        assert_eq!(undo.commit, Some(before));
        in_place(&handle, &data, &undo.archive, Logs::Found, Until::Commit(before));
        assert_eq!(logical_content(&data), there, "undone");
        assert_eq!(count(), states[last].2);
        assert_eq!(foreign_check(&data), "ok");
    }
    // A state that is there already is not written.
    let now = restored_commit(&handle, &data);
    let again = in_place(&handle, &data, &first.archive, Logs::Found, Until::Commit(now)).in_place.unwrap();
    assert_eq!((again.pages_changed, again.undo), (0, None));
    assert!(names_in(data.parent().unwrap()).iter().all(|n| !n.contains("restore")), "a folder was left behind");
}

/// The number of the last commit in the log, everything committed by now included.
fn restored_commit(handle: &Handle, data: &Path) -> u64 {
    let log = handle.status().data_file(data).unwrap().log.clone().unwrap().log;
    let archive = handle.status().data_file(data).unwrap().archives.first().map(|a| a.path.clone());
    let archive = archive.unwrap_or_else(|| log.with_file_name("a[0001].4BK"));
    let to = data.with_file_name(format!("probe {}", rand()));
    let report = support::engine::restore(handle, &archive, &to, Logs::Found, Until::End);
    std::fs::remove_dir_all(to).unwrap();
    report.integrated.map_or(0, |i| i.position.commit)
}

fn rand() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos()
}

#[test]
fn without_a_log_a_full_backup_keeps_what_is_taken_away() {
    if !has("sqlite3") {
        return;
    }
    for mode in ["WAL", "DELETE"] {
        let place = Place::new();
        let data = place.at("a.sqlite");
        let application = make_data_file(&data, &format!("PRAGMA journal_mode={mode}"), 200);
        let engine = engine(&place);
        let handle = engine.handle();
        handle.send(Command::OpenDataFile { path: data.clone() }).unwrap();
        until(&handle, |s| s.data_file(&data).is_some());
        let first = backup(&handle, &data);
        let then = logical_content(&data);
        foreign_commits(&data, "DELETE FROM t WHERE id<100; INSERT INTO k VALUES('later',1)");
        let later = logical_content(&data);
        let done = in_place(&handle, &data, &first.archive, Logs::Found, Until::End).in_place.unwrap();
        assert_eq!(logical_content(&data), then);
        assert_eq!((done.commits_left, foreign_check(&data).as_str()), (None, "ok"));
        let kept: String = application.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
        assert!(kept.eq_ignore_ascii_case(mode), "{kept}");
        let undo = done.undo.unwrap();
        assert_eq!((undo.archive.clone(), undo.commit), (place.at("Backups/a[0002].4BK"), None));
        in_place(&handle, &data, &undo.archive, Logs::None, Until::End);
        assert_eq!(logical_content(&data), later);
    }
}

#[test]
fn what_can_not_be_done_changes_nothing() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    let application = make_data_file(&data, "PRAGMA journal_mode=WAL", 50);
    let other = place.at("b.sqlite");
    let _other = make_data_file(&other, "PRAGMA journal_mode=WAL", 50);
    let engine = engine(&place);
    let handle = engine.handle();
    for path in [&data, &other] {
        handle.send(Command::OpenDataFile { path: path.clone() }).unwrap();
        until(&handle, |s| s.data_file(path).is_some());
    }
    let (own, foreign) = (backup(&handle, &data), backup(&handle, &other));
    application.execute_batch("INSERT INTO k VALUES('newest',1)").unwrap();
    let before = logical_content(&data);
    let error = refused(&handle, start(&handle, &data, &foreign.archive, Logs::None, Until::End));
    assert_eq!(error.kind, ErrorKind::Refused, "{error:?}");
    assert!(error.message.contains("archive of another data file, b.sqlite"));

    // A program in the middle of a transaction: the job waits, and can be stopped.
    application.execute_batch("BEGIN IMMEDIATE; INSERT INTO k VALUES('open',1)").unwrap();
    let job = start(&handle, &data, &own.archive, Logs::None, Until::End);
    until(&handle, |s| s.job(job).is_some_and(|j| j.progress.phase == strongroom::control::Phase::Waiting));
    handle.send(Command::Stop { job }).unwrap();
    assert_eq!(refused(&handle, job).kind, ErrorKind::Stopped);
    application.execute_batch("ROLLBACK").unwrap();
    assert_eq!(logical_content(&data), before);
}

#[test]
fn an_unreadable_data_file_is_set_aside_but_never_under_a_program() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    drop(make_data_file(&data, "PRAGMA journal_mode=WAL", 100));
    let then = logical_content(&data);
    let archive = place.at("Backups/a[0001].4BK");
    assert!(place.run(&["backup", data.to_str().unwrap()]).status.success());
    std::fs::write(&data, "overwritten by something else entirely").unwrap();
    std::fs::write(place.at("a.sqlite-wal"), "and its WAL").unwrap();
    let command = ["restore", archive.to_str().unwrap(), "--in-place", data.to_str().unwrap()];
    if cfg!(target_os = "linux") && has("tail") {
        let mut holder = Process::new("tail").arg("-f").arg(&data).stdout(Stdio::piped()).spawn().unwrap();
        std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        let output = place.run(&command);
        assert!(!output.status.success());
        let said = text(&output.stderr);
        assert!(said.contains(&format!("tail (process {})", holder.id())), "{said}");
        holder.kill().unwrap();
        holder.wait().unwrap();
        assert!(std::fs::read_to_string(&data).unwrap().starts_with("overwritten"));
    }
    let output = place.run(&command);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(logical_content(&data), then);
    let kept = names_in(&place.at("")).into_iter().filter(|n| n.contains("set-aside"));
    // An index that the backup left beside the file goes with it; it holds nothing.
    let kept: Vec<String> = kept.filter(|name| !name.contains("-shm")).collect();
    assert_eq!(kept.len(), 2, "{kept:?}");
    for (name, content) in kept.iter().zip(["and its WAL", "overwritten by something else entirely"]) {
        assert_eq!(std::fs::read_to_string(place.at(name)).unwrap(), content, "{name}");
    }
}

/// Whatever is left of the content, what looks after the file lets go of it: at once, and without anybody who looks.
#[test]
fn an_emptied_data_file_comes_back_whoever_looks_after_it() {
    if !has("sqlite3") {
        return;
    }
    let place = Place::new();
    let data = place.at("a.sqlite");
    drop(make_data_file(&data, "PRAGMA journal_mode=WAL", 100));
    let (of, status) = (data.to_str().unwrap(), || place.run(&["status", data.to_str().unwrap()]));
    let mut service = serve(&place, &data);
    assert!(place.run(&["backup", of]).status.success());
    foreign_commits(&data, "INSERT INTO k VALUES('later',1)");
    assert!(text(&status().stdout).contains("every commit up to now is in it"));
    let then = logical_content(&data);
    let restore = || {
        let restored = place.run(&["restore", of, "--in-place"]);
        assert_eq!(logical_content(&data), then, "{}", text(&restored.stderr));
        // What is set aside bears the second.
        let aside = names_in(&place.at("")).into_iter().filter(|name| name.contains("set-aside"));
        aside.for_each(|name| std::fs::remove_file(place.at(&name)).unwrap());
    };
    for left in ["", "something else entirely"] {
        std::fs::write(&data, left).unwrap();
        restore();
        // It is in the care of the service again.
        let begun = std::time::Instant::now();
        while !text(&status().stdout).contains("every commit up to now is in it") {
            assert!(begun.elapsed() < std::time::Duration::from_secs(120), "{}", text(&status().stdout));
        }
    }
    // Nobody advises to have the application begin another one in its place.
    std::fs::write(&data, "").unwrap();
    let begun = std::time::Instant::now();
    while !text(&status().stdout).contains("It was emptied") {
        assert!(begun.elapsed() < std::time::Duration::from_secs(120), "{}", text(&status().stdout));
    }
    assert!(!text(&status().stdout).contains("Let Strongroom switch it"), "{}", text(&status().stdout));
    service.kill().unwrap();
    service.wait().unwrap();
    let told = status();
    assert_eq!(told.status.code(), Some(1));
    let (said, error) = (text(&told.stdout), text(&told.stderr));
    assert!(said.contains("EMPTIED: it has 0 bytes") && said.contains("1 in all"), "{said}");
    assert!(error.contains("It was emptied") && error.contains("Bring it back: strongroom restore "), "{error}");
    assert!(!error.contains("Start the application once"), "{error}");
    // One of another name has no part in these archives.
    std::fs::write(place.at("a.txt"), "").unwrap();
    let other = place.run(&["status", place.at("a.txt").to_str().unwrap()]);
    assert!(text(&other.stderr).contains("Start the application once"), "{}", text(&other.stderr));
    restore();
}

/// Some content: tables, sizes and free pages differ by `seed`.
fn fill(path: &Path, page_size: u32, mode: &str, vacuum: u8, seed: u64) -> Connection {
    let conn = Connection::open(path).unwrap();
    let (tables, rows) = (seed % 5 + 1, seed / 5 % 300);
    conn.execute_batch(&format!(
        "PRAGMA page_size={page_size}; PRAGMA auto_vacuum={vacuum}; PRAGMA journal_mode={mode}"
    ))
    .unwrap();
    for table in 0..tables {
        conn.execute_batch(&format!(
            "CREATE TABLE t{table}(x INTEGER PRIMARY KEY, y); CREATE INDEX i{table} ON t{table}(y);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<{rows})
             INSERT INTO t{table} SELECT i, randomblob(i*37%900) FROM n;
             DELETE FROM t{table} WHERE x%7<{}",
            seed / 1500 % 7
        ))
        .unwrap();
    }
    conn
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_file_takes_the_content_of_any_other(
        sizes in prop::sample::select(vec![512u32, 4096, 65536]),
        modes in (prop::sample::select(vec!["WAL", "DELETE"]), prop::sample::select(vec!["WAL", "DELETE"])),
        vacuums in (0u8..3, 0u8..3),
        seeds in (any::<u64>(), any::<u64>()),
    ) {
        let place = Place::new();
        let (live, target) = (place.at("live"), place.at("target"));
        let connected = fill(&live, sizes, modes.0, vacuums.0, seeds.0);
        drop(fill(&target, sizes, modes.1, vacuums.1, seeds.1));
        let before = logical_content(&live);
        let mut called = 0;
        let held = Target::held(&target, std::fs::File::open(&target).unwrap()).unwrap();
        let outcome = rewrite(&live, &held, &Control::default(), &mut || { called += 1; Ok(()) });
        match outcome {
            Ok(_) => {
                prop_assert_eq!(called, 1);
                prop_assert_eq!(logical_content(&live), logical_content(&target));
                let word = |sql: &str| connected.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
                prop_assert_eq!(word("PRAGMA integrity_check"), "ok");
                prop_assert_eq!(word("PRAGMA journal_mode").to_uppercase(), modes.0);
                let number = |conn: &Connection, sql: &str| conn.query_row(sql, [], |row| row.get::<_, u32>(0)).unwrap();
                let wanted = Connection::open(&target).unwrap();
                for sql in ["PRAGMA page_count", "PRAGMA freelist_count", "PRAGMA user_version"] {
                    prop_assert_eq!(number(&connected, sql), number(&wanted, sql), "{}", sql);
                }
                // The file is as long as its pages, not longer.
                let _ = connected.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
                let pages = u64::from(number(&connected, "PRAGMA page_count"));
                prop_assert_eq!(live.metadata().unwrap().len(), pages * u64::from(sizes));
                connected.execute_batch("CREATE TABLE more(x); INSERT INTO more VALUES(zeroblob(100000))").unwrap();
                prop_assert_eq!(word("PRAGMA integrity_check"), "ok");
            }
            Err(error) => {
                prop_assert_eq!(error.kind(), ErrorKind::Refused, "{:?}", error);
                prop_assert_eq!(vacuums.0, 1, "only full auto-vacuum stands in the way");
                prop_assert_eq!(logical_content(&live), before);
            }
        }
    }
}

/// What the engine says that undoing a restore in place would do.
fn undo_plan(handle: &Handle, data: &Path, of: JobId) -> Result<UndoPlan, ErrorReport> {
    match ask(handle, Query::Undo { data_file: data.to_path_buf(), of }) {
        Ok(Answer::Undo(plan)) => Ok(plan),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.report()),
    }
}

fn undo(handle: &Handle, data: &Path, of: JobId) -> RestoreReport {
    let job = JobId::new();
    handle.send(Command::UndoRestore { job, data_file: data.to_path_buf(), of }).unwrap();
    match finished(handle, job) {
        JobReport::Restore(report) => report,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_restore_in_place_can_be_undone_days_later_and_the_commits_since_are_counted() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    drop(make_data_file(&data, "PRAGMA journal_mode=WAL", 50));
    let log = place.at("Backups/a.journal");
    let commit = |key: &str| {
        let conn = Connection::open(&data).unwrap();
        conn.execute("INSERT INTO k VALUES(?1,1)", [key]).unwrap();
    };
    let before = {
        let engine = engine(&place);
        let handle = engine.handle();
        open_with_log(&handle, &data, &log);
        let first = backup(&handle, &data);
        (0..5).for_each(|n| commit(&format!("wanted {n}")));
        let before = logical_content(&data);
        let there = first.log_position.unwrap().commit;
        in_place(&handle, &data, &first.archive, Logs::Found, Until::Commit(there));
        before
    };
    // Another run of the program, with whatever happened since.
    let engine = engine(&place);
    let handle = engine.handle();
    open_with_log(&handle, &data, &log);
    (0..3).for_each(|n| commit(&format!("since {n}")));
    let since = logical_content(&data);
    backup(&handle, &data);
    let known = handle.status().data_file(&data).unwrap().in_place.clone();
    assert_eq!((known.len(), known[0].commits_left, known[0].undoes), (1, Some(5), None));
    let plan = undo_plan(&handle, &data, known[0].job).unwrap();
    assert_eq!((plan.commit, plan.leaves), (known[0].undo.commit, Some(3)), "{plan:?}");
    assert_eq!(
        plan.in_words(known[0].commits_left, 1),
        ["5 commits that the restore took away come back.", "4 commits made since leave the data file."]
    );
    let report = undo(&handle, &data, known[0].job);
    assert_eq!(logical_content(&data), before);
    let status = until(&handle, |s| s.data_file(&data).unwrap().in_place.len() == 2);
    let redo = status.data_file(&data).unwrap().in_place[0].clone();
    assert_eq!((redo.undoes, report.in_place.unwrap().undo.is_some()), (Some(known[0].job), true));
    let entry = status.history.iter().find(|entry| entry.id == redo.job).unwrap();
    assert!(entry.note.as_ref().unwrap().starts_with("Undoes the restore in place of "), "{entry:?}");
    // The undo is undone as well.
    assert_eq!(undo_plan(&handle, &data, redo.job).unwrap().leaves, Some(0));
    undo(&handle, &data, redo.job);
    assert_eq!(logical_content(&data), since);

    // When what leads there has gone, that is said, and nothing is touched.
    std::fs::remove_file(place.at("Backups/a[0001].4BK")).unwrap();
    let before_that = until(&handle, |s| s.data_file(&data).unwrap().in_place.len() == 3);
    let first = before_that.data_file(&data).unwrap().in_place[2].clone();
    let error = undo_plan(&handle, &data, first.job).unwrap_err();
    assert!(error.message.contains("every archive that is left was made after it"), "{error:?}");
    assert!(error.hint.is_some());
    let job = JobId::new();
    handle.send(Command::UndoRestore { job, data_file: data.clone(), of: first.job }).unwrap();
    assert_eq!(refused(&handle, job).kind, ErrorKind::NotFound);
    assert_eq!(logical_content(&data), since);
}

#[test]
fn the_command_undo_shows_numbers_and_acts_only_when_it_was_confirmed() {
    for with_service in [true, false] {
        let place = Place::new();
        let data = place.at("a.sqlite");
        drop(make_data_file(&data, "PRAGMA journal_mode=WAL", 50));
        let name = data.to_str().unwrap();
        let commit = |key: &str| {
            let conn = Connection::open(&data).unwrap();
            conn.execute("INSERT INTO k VALUES(?1,1)", [key]).unwrap();
        };
        let mut service = with_service.then(|| support::engine::serve(&place, &data));
        let output = place.run(&["undo", name, "--yes"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains("no restore in place of"), "{}", text(&output.stderr));
        assert!(place.run(&["backup", name]).status.success());
        (0..4).for_each(|n| commit(&format!("wanted {n}")));
        let before = logical_content(&data);
        let archive = place.at("Backups/a[0001].4BK");
        let output = place.run(&["restore", archive.to_str().unwrap(), "--no-log", "--in-place", name]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        commit("since");
        let since = logical_content(&data);
        assert_ne!(since, before);

        let output = place.run(&["undo", name, "--dry-run", "--json"]);
        let planned: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let expected = if with_service { serde_json::json!(1) } else { serde_json::Value::Null };
        assert_eq!(planned["undo"]["leaves"], expected, "{planned}");
        let output = place.run(&["undo", name]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1));
        assert!(said.contains("must be confirmed") && said.contains("--yes"), "{said}");
        if with_service {
            assert!(said.contains("4 commits that the restore took away come back."), "{said}");
            assert!(said.contains("1 commit made since leaves the data file."), "{said}");
        } else {
            assert!(said.contains("not known, because no log counts it"), "{said}");
        }
        assert_eq!(logical_content(&data), since, "nothing was changed");
        let output = place.run(&["undo", name, "--yes"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(logical_content(&data), before);
        assert!(place.run(&["undo", name, "--yes", "--json"]).status.success());
        assert_eq!(logical_content(&data), since, "the undo was undone");
        if let Some(service) = &mut service {
            service.kill().unwrap();
            service.wait().unwrap();
        }
    }
}
