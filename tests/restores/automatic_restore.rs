//! What is done by itself when a data file is opened: a damaged one is restored, one that lacks commits gets them from
//! its log; and what is not done, with the reason.

use crate::support;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command as Process, Stdio},
};

use rusqlite::Connection;
use strongroom::{
    engine::{
        Command, Engine, Handle, Status,
        history::{HistoryEntry, JobKind, Outcome},
    },
    error::ErrorKind,
    journal::integrate::Until,
    restore::Logs,
    settings::{Settings, SettingsFile},
    warning::{Warning, WarningKind},
};
use support::{
    Content, Place,
    engine::{backup, engine, foreign_commits, open_with_log, until},
    has, logical_content, make_data_file, names_in,
};

fn change(place: &Place, data: &Path, edit: impl FnOnce(&mut Settings)) {
    let own = place.own().join("strongroom");
    SettingsFile::load(data, &own).unwrap().change(&own, edit).unwrap();
}

fn if_damaged(place: &Place, data: &Path) {
    change(place, data, |settings| settings.restore.if_damaged = true);
}

fn open(handle: &Handle, data: &Path) {
    handle.send(Command::OpenDataFile { path: data.to_path_buf() }).unwrap();
}

/// Opens it, and waits until it and its log, if it has one, are there.
fn opened(handle: &Handle, data: &Path) -> std::sync::Arc<Status> {
    open(handle, data);
    let ready = |d: &strongroom::engine::status::DataFileStatus| d.plan.is_some() && !d.log_starting;
    until(handle, |s| s.data_file(data).is_some_and(ready) && s.jobs.is_empty())
}

fn warning(status: &Status, data: &Path, kind: WarningKind) -> Option<Warning> {
    status.data_file(data)?.warnings.iter().find(|w| w.kind == kind).cloned()
}

fn await_warning(handle: &Handle, data: &Path, kind: WarningKind) -> Warning {
    warning(&until(handle, |s| warning(s, data, kind).is_some() && s.jobs.is_empty()), data, kind).unwrap()
}

fn by_itself(status: &Status) -> Vec<&HistoryEntry> {
    status.history.iter().filter(|e| e.automatic && e.kind == JobKind::RestoreInPlace).collect()
}

/// Another program that has the data file open, until its standard input closes.
fn holder(data: &Path) -> Child {
    let mut child = Process::new("sqlite3").arg(data).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(b"SELECT 1 FROM sqlite_schema LIMIT 1;\n").unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    child
}

fn end(mut child: Child) {
    drop(child.stdin.take());
    child.wait().unwrap();
}

/// A data file with two archives and a log with commits after them, which nobody looks after any more.
fn protected(place: &Place) -> (PathBuf, Content) {
    let data = place.at("a.sqlite");
    drop(make_data_file(&data, "PRAGMA journal_mode=WAL", 600));
    let engine = engine(place);
    let handle = engine.handle();
    open_with_log(&handle, &data, &place.at("Backups/a.journal"));
    backup(&handle, &data);
    foreign_commits(&data, "INSERT INTO k VALUES('between',1); DELETE FROM t WHERE id%50=1");
    backup(&handle, &data);
    for n in 0..4 {
        foreign_commits(&data, &format!("INSERT INTO k VALUES('after {n}',{n})"));
    }
    let content = logical_content(&data);
    drop(engine);
    settle(&data);
    (data, content)
}

/// Everything in the data file, nothing in its WAL.
fn settle(data: &Path) {
    let conn = Connection::open(data).unwrap();
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
}

fn damage_page(data: &Path) -> Vec<u8> {
    let mut bytes = fs::read(data).unwrap();
    let page = bytes.len() / 2 / 4096 * 4096;
    bytes[page..page + 600].fill(0xaa);
    fs::write(data, &bytes).unwrap();
    bytes
}

fn damage_header(data: &Path) -> Vec<u8> {
    let mut bytes = fs::read(data).unwrap();
    bytes[..200].fill(0);
    fs::write(data, &bytes).unwrap();
    bytes
}

fn set_aside(place: &Place) -> Vec<String> {
    let mut names = names_in(&place.at(""));
    names.retain(|name| name.starts_with("a.sqlite.set-aside-"));
    names
}

#[test]
fn a_damaged_data_file_is_restored_with_its_log_and_kept_and_said() {
    if !has("sqlite3") {
        return;
    }
    for damage in [damage_page, damage_header] {
        let place = Place::new();
        let (data, content) = protected(&place);
        if_damaged(&place, &data);
        let damaged = damage(&data);
        {
            let engine = engine(&place);
            let handle = engine.handle();
            let status = opened(&handle, &data);
            assert_eq!(logical_content(&data), content, "no commit is lost");
            let said = warning(&status, &data, WarningKind::RestoredAutomatically).unwrap();
            assert!(said.message.contains("from archive 0002 and 4 commits of the log"), "{}", said.message);
            let [aside] = set_aside(&place).try_into().unwrap();
            assert!(said.hint.unwrap().contains(&aside));
            assert_eq!(fs::read(place.at(&aside)).unwrap(), damaged, "nothing is deleted");
            let entry = by_itself(&status)[0];
            // Whether programs committed more after the log had ended cannot be told any more.
            assert_eq!((entry.outcome, entry.data_file.as_ref()), (Outcome::Partial, Some(&data)));
            assert!(said.message.contains("nothing is known after commit "), "{}", said.message);
            assert!(entry.note.as_ref().unwrap().starts_with("Restored by itself, because"));
            // The log goes on from there without a gap.
            foreign_commits(&data, "INSERT INTO k VALUES('later',1)");
            let log = until(&handle, |s| s.data_file(&data).unwrap().log.as_ref().is_some_and(|l| l.commits == 5));
            assert_eq!(log.data_file(&data).unwrap().log.as_ref().unwrap().catch_ups, 0);
        }
        // It stays to be seen until somebody has.
        let engine = engine(&place);
        let handle = engine.handle();
        opened(&handle, &data);
        await_warning(&handle, &data, WarningKind::RestoredAutomatically);
        let kind = WarningKind::RestoredAutomatically;
        handle.send(Command::PutAway { data_file: data.clone(), kind }).unwrap();
        until(&handle, |s| warning(s, &data, kind).is_none());
        assert_eq!(by_itself(&handle.status()).len(), 1, "once");
    }
}

#[test]
fn without_the_setting_nothing_is_touched() {
    if !has("sqlite3") {
        return;
    }
    let place = Place::new();
    let (data, _) = protected(&place);
    let damaged = damage_header(&data);
    let engine = engine(&place);
    let handle = engine.handle();
    open(&handle, &data);
    let status = until(&handle, |s| !s.refused.is_empty());
    assert!(status.refused[0].archives.is_some() && status.history.iter().all(|e| !e.automatic));
    assert_eq!((fs::read(&data).unwrap(), set_aside(&place)), (damaged, vec![]));
}

#[test]
fn what_another_program_has_open_is_not_replaced() {
    if !has("sqlite3") {
        return;
    }
    let place = Place::new();
    let (data, content) = protected(&place);
    if_damaged(&place, &data);
    let other = holder(&data);
    let name = format!("sqlite3 (process {})", other.id());
    let damaged = damage_page(&data);
    {
        let engine = engine(&place);
        let status = opened(&engine.handle(), &data);
        let said = warning(&status, &data, WarningKind::DataFileDamaged).unwrap();
        assert!(said.message.contains(&name) && said.hint.unwrap().starts_with("End that program"), "{}", said.message);
        assert!(by_itself(&status).is_empty() && set_aside(&place).is_empty());
        assert_eq!(fs::read(&data).unwrap(), damaged);
    }
    let engine = engine(&place);
    let handle = engine.handle();
    damage_header(&data);
    open(&handle, &data);
    let status = until(&handle, |s| !s.refused.is_empty());
    assert!(status.refused[0].error.message.contains(&name), "{}", status.refused[0].error.message);
    end(other);
    opened(&handle, &data);
    // The damage was recorded meanwhile: what came before it is restored.
    assert_eq!(logical_content(&data), content);
    let said = await_warning(&handle, &data, WarningKind::RestoredAutomatically);
    assert!(said.message.contains("was left out, because it holds the damage"), "{}", said.message);
}

#[test]
fn the_newest_backup_that_can_be_restored_counts() {
    if !has("sqlite3") {
        return;
    }
    let place = Place::new();
    let (data, content) = protected(&place);
    if_damaged(&place, &data);
    damage_page(&data);
    let newest = place.at("Backups/a[0002].4BK");
    let mut bytes = fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 50].fill(0);
    fs::write(&newest, bytes).unwrap();
    let engine = engine(&place);
    let handle = engine.handle();
    opened(&handle, &data);
    let said = await_warning(&handle, &data, WarningKind::RestoredAutomatically);
    assert!(said.message.contains("from archive 0001 and"), "{}", said.message);
    assert_eq!(logical_content(&data), content, "through both logs");
}

#[test]
fn a_damaged_log_is_integrated_as_far_as_it_goes_and_that_is_said() {
    if !has("sqlite3") {
        return;
    }
    let place = Place::new();
    let (data, _) = protected(&place);
    if_damaged(&place, &data);
    damage_page(&data);
    let log = place.at("Backups/a.journal");
    let mut bytes = fs::read(&log).unwrap();
    let at = 192 + (bytes.len() - 192) * 3 / 8;
    bytes[at..at + 20].fill(0xee);
    fs::write(&log, bytes).unwrap();
    let engine = engine(&place);
    let handle = engine.handle();
    let status = opened(&handle, &data);
    let said = await_warning(&handle, &data, WarningKind::RestoredAutomatically);
    assert!(said.message.contains("could not be integrated"), "{}", said.message);
    assert_eq!(by_itself(&status)[0].outcome, Outcome::Partial);
    let rows = |like: &str| {
        let conn = Connection::open(&data).unwrap();
        conn.query_row("SELECT count(*) FROM k WHERE k LIKE ?1", [like], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!(rows("between"), 1);
    assert!((1..4).contains(&rows("after %")), "{}", rows("after %"));
}

#[test]
fn without_an_archive_it_is_opened_as_it_is_and_the_reason_said_once() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    drop(make_data_file(&data, "", 600));
    if_damaged(&place, &data);
    let damaged = damage_page(&data);
    let engine = engine(&place);
    let status = opened(&engine.handle(), &data);
    let said = warning(&status, &data, WarningKind::DataFileDamaged).unwrap();
    assert!(said.message.contains("could not be restored by itself: there is no archive"), "{}", said.message);
    assert_eq!(by_itself(&status)[0].error.as_ref().unwrap().kind, ErrorKind::NotFound);
    assert_eq!((fs::read(&data).unwrap(), set_aside(&place)), (damaged, vec![]));
}

/// The data file as archive 2 holds it, in a place of its own.
fn older(place: &Place) -> PathBuf {
    let engine = engine(place);
    let to = place.at("older");
    let archive = place.at("Backups/a[0002].4BK");
    support::engine::restore(&engine.handle(), &archive, &to, Logs::None, Until::End);
    to.join("a.sqlite")
}

fn put_back(data: &Path, older: &Path) {
    fs::remove_file(data).unwrap();
    fs::copy(older, data).unwrap();
}

fn log_runs(handle: &Handle, data: &Path) {
    use strongroom::journal::CaptureState;
    open(handle, data);
    until(handle, |s| {
        let log = s.data_file(data).and_then(|d| d.log.as_ref());
        log.is_some_and(|l| l.state == CaptureState::On)
    });
}

#[test]
fn an_older_file_that_was_put_back_gets_what_the_log_holds() {
    if !has("sqlite3") {
        return;
    }
    let place = Place::new();
    let (data, content) = protected(&place);
    put_back(&data, &older(&place));
    let old = logical_content(&data);
    let engine = engine(&place);
    let handle = engine.handle();
    log_runs(&handle, &data);
    let said = await_warning(&handle, &data, WarningKind::RestoredAutomatically);
    assert!(said.message.contains("lacked 4 commits that its log held"), "{}", said.message);
    assert_eq!(logical_content(&data), content);
    let status = handle.status();
    assert_eq!(warning(&status, &data, WarningKind::DataFileIncomplete), None);
    let entry = by_itself(&status)[0];
    assert!(entry.outcome == Outcome::Succeeded && entry.note.as_ref().unwrap().contains("lacked 4 commits"));
    // What was found can be had again.
    let hint = said.hint.unwrap();
    let commit: u64 = hint.split("up to commit ").nth(1).unwrap().split('.').next().unwrap().parse().unwrap();
    let archive = place.at("Backups/a[0002].4BK");
    let to = place.at("as found");
    support::engine::restore(&handle, &archive, &to, Logs::Found, Until::Commit(commit));
    assert_eq!(logical_content(&to.join("a.sqlite")), old);
}

fn is_offered(place: &Place, data: &Path, content: &Content) -> Engine {
    let engine = engine(place);
    let handle = engine.handle();
    let old = logical_content(data);
    log_runs(&handle, data);
    let said = await_warning(&handle, data, WarningKind::DataFileIncomplete);
    assert!(said.message.contains("it lacks 4 commits that its log holds"), "{}", said.message);
    assert!(by_itself(&handle.status()).is_empty());
    assert_eq!(logical_content(data), old, "nothing was done");
    // By hand, as the hint says.
    let last = said.hint.unwrap().split("up to commit ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    let (job, archive) = (strongroom::engine::JobId::new(), place.at("Backups/a[0002].4BK"));
    let (logs, until_commit) = (Logs::Found, Until::Commit(last));
    let data_file = data.to_path_buf();
    handle
        .send(Command::RestoreInPlace { job, data_file, archive, logs, until: until_commit, segments: vec![] })
        .unwrap();
    support::engine::finished(&handle, job);
    until(&handle, |s| warning(s, data, WarningKind::DataFileIncomplete).is_none());
    assert_eq!(logical_content(data), *content);
    engine
}

#[test]
fn where_it_could_be_wrong_the_commits_are_only_offered() {
    if !has("sqlite3") {
        return;
    }
    // The setting is off.
    let place = Place::new();
    let (data, content) = protected(&place);
    change(&place, &data, |settings| settings.restore.integrate_log = false);
    put_back(&data, &older(&place));
    is_offered(&place, &data, &content);

    // Another program works with the older state.
    let place = Place::new();
    let (data, content) = protected(&place);
    put_back(&data, &older(&place));
    let other = holder(&data);
    is_offered(&place, &data, &content);
    end(other);

    // The same file was written over: that could be a program that set everything back.
    let place = Place::new();
    let (data, content) = protected(&place);
    fs::write(&data, fs::read(older(&place)).unwrap()).unwrap();
    is_offered(&place, &data, &content);
}

#[test]
fn commits_that_a_power_failure_took_from_the_wal_come_back_from_the_log() {
    if !has("sqlite3") {
        return;
    }
    let place = Place::new();
    let data = place.at("a.sqlite");
    drop(make_data_file(&data, "PRAGMA journal_mode=WAL", 100));
    let wal = place.at("a.sqlite-wal");
    let (content, file, early) = {
        let engine = engine(&place);
        let handle = engine.handle();
        open_with_log(&handle, &data, &place.at("Backups/a.journal"));
        backup(&handle, &data);
        // A program that stays: the WAL is left empty when nobody has the file open.
        let application = holder(&data);
        foreign_commits(&data, "INSERT INTO k VALUES('kept',1)");
        let logged = |n: u64| {
            until(&handle, |s| s.data_file(&data).unwrap().log.as_ref().is_some_and(|l| l.commits == n));
        };
        logged(1);
        // By another process: this one would drop the engine's locks.
        let early = (place.at("early file"), place.at("early wal"));
        for (from, to) in [(&data, &early.0), (&wal, &early.1)] {
            assert!(Process::new("cp").arg(from).arg(to).status().unwrap().success());
        }
        for n in 0..3 {
            foreign_commits(&data, &format!("INSERT INTO k VALUES('not on the disk yet {n}',1)"));
        }
        logged(4);
        let content = logical_content(&data);
        end(application);
        (content, early.0, early.1)
    };
    // The machine lost power: the disk has the file, and of the WAL only the beginning.
    let _ = fs::remove_file(place.at("a.sqlite-shm"));
    fs::write(&data, fs::read(file).unwrap()).unwrap();
    fs::write(&wal, fs::read(early).unwrap()).unwrap();
    let engine = engine(&place);
    let handle = engine.handle();
    let other = holder(&data);
    log_runs(&handle, &data);
    let said = await_warning(&handle, &data, WarningKind::RestoredAutomatically);
    assert!(said.message.contains("lacked 3 commits"), "{}", said.message);
    assert_eq!(logical_content(&data), content);
    end(other);
}

#[test]
fn commits_that_a_power_failure_took_with_the_whole_wal_come_back_from_the_log() {
    if !has("sqlite3") {
        return;
    }
    let place = Place::new();
    let data = place.at("a.sqlite");
    drop(make_data_file(&data, "PRAGMA journal_mode=WAL", 100));
    let content = {
        let engine = engine(&place);
        let handle = engine.handle();
        open_with_log(&handle, &data, &place.at("Backups/a.journal"));
        backup(&handle, &data);
        // A reader that began before keeps everything from being copied into the data file.
        let mut reader = holder(&data);
        reader.stdin.as_mut().unwrap().write_all(b"BEGIN; SELECT 2 FROM sqlite_schema LIMIT 1;\n").unwrap();
        let mut line = String::new();
        BufReader::new(reader.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        for n in 0..3 {
            foreign_commits(&data, &format!("INSERT INTO k VALUES('only in the WAL {n}',1)"));
        }
        until(&handle, |s| s.data_file(&data).unwrap().log.as_ref().is_some_and(|l| l.commits == 3));
        let content = logical_content(&data);
        drop(engine);
        reader.kill().unwrap();
        reader.wait().unwrap();
        content
    };
    fs::remove_file(place.at("a.sqlite-shm")).unwrap();
    fs::write(place.at("a.sqlite-wal"), "").unwrap();
    let engine = engine(&place);
    let handle = engine.handle();
    log_runs(&handle, &data);
    let said = await_warning(&handle, &data, WarningKind::RestoredAutomatically);
    assert!(said.message.contains("lacked 3 commits"), "{}", said.message);
    assert_eq!(logical_content(&data), content);
}
