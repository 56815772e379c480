//! Care of the data file itself: verification of records and indexes, and compacting, through the engine and by
//! commands.

use crate::support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command as Process, Stdio},
};

use strongroom::{
    engine::{
        Answer, Command, Handle, JobId, Query, Status,
        history::{JobKind, Outcome},
        status::{JobReport, Maintenance},
    },
    error::ErrorKind,
    journal::integrate::Until,
    maintenance::{CompactReport, RecordsReport},
    restore::Logs,
    sqlite::check::State,
    warning::WarningKind,
};
use support::{
    Place,
    engine::{ask, backup, engine, finished, foreign_commits, open_with_log, restore, until},
    has, logical_content, make_data_file, names_in, text,
};

fn open(handle: &Handle, data: &Path) {
    handle.send(Command::OpenDataFile { path: data.to_path_buf() }).unwrap();
    until(handle, |s| s.data_file(data).is_some_and(|d| d.plan.is_some()));
}

fn care(status: &Status, data: &Path) -> Maintenance {
    status.data_file(data).unwrap().maintenance.clone()
}

fn verify(handle: &Handle, data: &Path) -> (JobId, RecordsReport) {
    let job = JobId::new();
    handle.send(Command::VerifyRecords { job, data_file: data.to_path_buf() }).unwrap();
    match finished(handle, job) {
        JobReport::VerifyRecords(report) => (job, report),
        other => panic!("{other:?}"),
    }
}

fn start_compact(handle: &Handle, data: &Path) -> JobId {
    let job = JobId::new();
    handle.send(Command::Compact { job, data_file: data.to_path_buf() }).unwrap();
    job
}

fn compact(handle: &Handle, data: &Path) -> CompactReport {
    match finished(handle, start_compact(handle, data)) {
        JobReport::Compact(report) => report,
        other => panic!("{other:?}"),
    }
}

/// Fills a page in the middle of the file, which belongs to a table or an index, with nonsense.
fn damage(data: &Path) {
    let mut bytes = fs::read(data).unwrap();
    let page = bytes.len() / 2 / 4096 * 4096;
    bytes[page..page + 600].fill(0xaa);
    fs::write(data, bytes).unwrap();
}

/// Another program that has the data file open, until its standard input closes.
fn holder(data: &Path) -> Child {
    let mut child = Process::new("sqlite3").arg(data).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let stdin = child.stdin.as_mut().unwrap();
    std::io::Write::write_all(stdin, b"SELECT count(*) FROM t;\n").unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.as_mut().unwrap()), &mut line).unwrap();
    child
}

#[test]
fn a_verification_lists_every_table_and_index_while_programs_write_and_its_report_is_kept() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    let application = make_data_file(&data, "PRAGMA journal_mode=WAL", 500);
    let (job, report) = {
        let engine = engine(&place);
        let handle = engine.handle();
        open(&handle, &data);
        assert_eq!(care(&handle.status(), &data).last_check, None);
        application.execute_batch("BEGIN IMMEDIATE; INSERT INTO k VALUES('still writing', 1)").unwrap();
        let found = verify(&handle, &data);
        application.execute_batch("COMMIT").unwrap();
        found
    };
    assert!(report.findings.all().all(|(_, state)| *state == State::Sound), "{report:?}");
    assert!(report.findings.all().any(|(name, _)| name == "index t_a of table t"));

    // The date, the state and the report outlive the program.
    let engine = engine(&place);
    let handle = engine.handle();
    open(&handle, &data);
    let last = care(&handle.status(), &data).last_check.unwrap();
    assert_eq!((last.job, last.outcome, last.has_report), (job, Outcome::Succeeded, true));
    let read = |job| ask(&handle, Query::Report { data_file: data.clone(), job });
    assert_eq!(read(job).unwrap(), Answer::Report(report));
    assert_eq!(read(JobId::new()).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn damage_is_said_until_it_is_gone() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    drop(make_data_file(&data, "", 800));
    let sound = fs::read(&data).unwrap();
    let engine = engine(&place);
    let handle = engine.handle();
    open(&handle, &data);
    damage(&data);
    let (_, report) = verify(&handle, &data);
    assert!(!report.damaged().is_empty() && report.damaged().len() < report.count(), "{report:?}");
    let status = until(&handle, |s| s.jobs.is_empty());
    let entry = &status.history[0];
    assert_eq!((entry.kind, entry.outcome), (JobKind::VerifyRecords, Outcome::Partial));
    let is_said = |s: &Status| {
        let damaged = |w: &&strongroom::warning::Warning| w.kind == WarningKind::DataFileDamaged;
        s.data_file(&data).unwrap().warnings.iter().find(damaged).is_some_and(|w| w.message.ends_with(" damaged"))
    };
    until(&handle, is_said);
    fs::write(&data, sound).unwrap();
    verify(&handle, &data);
    until(&handle, |s| !is_said(s));
}

#[test]
fn compacting_shortens_the_file_and_the_log_goes_on() {
    if !has("sqlite3") {
        return;
    }
    let place = Place::new();
    let data = place.at("a.sqlite");
    drop(make_data_file(&data, "PRAGMA journal_mode=WAL", 3000));
    let engine = engine(&place);
    let handle = engine.handle();
    open_with_log(&handle, &data, &place.at("Backups/a.journal"));
    let made = backup(&handle, &data);
    foreign_commits(&data, "DELETE FROM t WHERE id%4<>0");
    let before = logical_content(&data);
    let report = compact(&handle, &data);
    assert!(report.freed_bytes() > 0 && report.after_bytes < report.before_bytes, "{report:?}");
    assert_eq!(logical_content(&data), before);
    foreign_commits(&data, "INSERT INTO k VALUES('after it', 1)");
    let last = care(&until(&handle, |s| s.jobs.is_empty()), &data).last_compact.unwrap();
    assert_eq!(last.outcome, Outcome::Succeeded);
    // What was deleted, compacted and added is all in the log.
    let to = place.at("restored");
    restore(&handle, &made.archive, &to, Logs::Found, Until::End);
    assert_eq!(logical_content(&to.join("a.sqlite")), logical_content(&data));
}

#[test]
fn compacting_is_refused_while_another_program_has_the_file_open() {
    if !has("sqlite3") {
        return;
    }
    let place = Place::new();
    let data = place.at("a.sqlite");
    drop(make_data_file(&data, "PRAGMA journal_mode=WAL", 200));
    let engine = engine(&place);
    let handle = engine.handle();
    open(&handle, &data);
    let mut other = holder(&data);
    let before = fs::read(&data).unwrap();
    let job = start_compact(&handle, &data);
    let status = until(&handle, |s| s.finished_job(job).is_some());
    let error = status.finished_job(job).unwrap().result.clone().unwrap_err();
    let name = format!("sqlite3 (process {})", other.id());
    assert!(error.kind == ErrorKind::Busy && error.message.contains(&name) && error.hint.is_some(), "{error:?}");
    assert_eq!(fs::read(&data).unwrap(), before);
    assert_eq!(care(&status, &data).last_compact.unwrap().outcome, Outcome::Failed);
    drop(other.stdin.take());
    other.wait().unwrap();
    compact(&handle, &data);
    assert!(names_in(&place.at("")).iter().all(|name| !name.contains("compact")), "nothing is left");
}

#[test]
fn the_same_by_commands() {
    let place = Place::new();
    let data: PathBuf = place.at("a.sqlite");
    make_data_file(&data, "", 3000).execute_batch("DELETE FROM t WHERE id%2=0").unwrap();
    let path = data.to_str().unwrap();
    let output = place.run(&["check", path, "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["data_file"], path);
    assert_eq!(report["findings"]["tables"][2]["indexes"][0]["name"], "t_a");
    let output = place.run(&["compact", path]);
    assert!(text(&output.stdout).contains("freed, from"), "{}", text(&output.stderr));
    let status = text(&place.run(&["status", path]).stdout);
    assert!(status.contains("Last verification  20") && status.contains("Last compacting    20"), "{status}");
    damage(&data);
    let output = place.run(&["check", path]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("DAMAGED"), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains(" damaged\n  "), "{}", text(&output.stderr));
}
