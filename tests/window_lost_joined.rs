//! The accident: the data file is gone, and so is the service that looked after it. One path in the window brings it back.
#![cfg(feature = "gui")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/desk.rs"]
mod desk;

use std::{fs, path::Path};

use desk::Desk;
use rusqlite::Connection;
use strongroom::{
    engine::{Command, JobId, Status},
    journal::CaptureState,
};

fn commits(status: &Status) -> u64 {
    status.data_files.first().and_then(|d| d.log.as_ref()).map_or(0, |log| log.commits)
}

fn notes(path: &Path) -> i64 {
    Connection::open(path).unwrap().query_row("SELECT count(*) FROM note", [], |row| row.get(0)).unwrap()
}

#[test]
fn a_data_file_that_is_gone_with_its_service_comes_back_with_every_commit() {
    let mut desk = Desk::new();
    let path = desk.open_data_file(20);
    let log = desk.path("logs/Office.journal");
    fs::create_dir(desk.path("logs")).unwrap();
    desk.send(Command::UseLog { data_file: path.clone(), log: Some(log), switch_to_wal: false });
    let is_on =
        |s: &Status| s.data_files.first().and_then(|d| d.log.as_ref()).is_some_and(|l| l.state == CaptureState::On);
    desk.until("the log", |_, s| is_on(s));
    desk.send(Command::Backup { job: JobId::new(), data_file: path.clone(), destination: None, options: None });
    desk.until("the backup", |_, s| s.jobs.is_empty() && s.data_files.first().is_some_and(|d| d.archives.len() == 1));
    {
        let conn = Connection::open(&path).unwrap();
        for _ in 0..4 {
            conn.execute("INSERT INTO note(text) VALUES('more')", []).unwrap();
        }
        desk.until("the commits", |_, s| commits(s) == 4);
    }
    desk.end_service();
    for end in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{end}", path.display()));
    }
    desk.until_shown("Office.sqlite is gone, and ");
    assert!(!desk.is_shown("Take over"), "which leads nowhere");
    desk.press("Restore it…");
    desk.until_shown("The data file is gone. The restored one takes its place");
    desk.until_shown("Integrate all 4 commits");
    desk.until_shown("Nothing is known after commit 4 of ");
    desk.press("Restore in place");
    desk.until("the data file to be open here", |_, s| {
        let own = |host: strongroom::engine::Host| host.process == std::process::id();
        s.jobs.is_empty() && s.data_files.first().is_some_and(|d| own(d.host) && d.lost_since.is_none() && is_on(s))
    });
    assert_eq!(notes(&path), 24, "every commit");
    desk.until_shown("Office.sqlite restored in place");
    assert!(!desk.is_shown("is gone, and "));
}
