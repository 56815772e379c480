//! Commits that are read long after they were made: the service was stopped for a while, or did not run, and the WAL
//! still holds them. Which of them had been made at a moment in between nobody knows.
#![cfg(unix)]

use crate::support;

use std::{
    path::PathBuf,
    process::{Child, Output},
    thread,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::{Place, Running, engine::serve, make_data_file, text};

/// A data file with a full backup and a log, whose application has it open.
struct Scene {
    place: Place,
    data: PathBuf,
    application: Connection,
    service: Option<Running>,
}

impl Scene {
    fn new() -> Self {
        let place = Place::new();
        let data = place.at("a.sqlite");
        let application = make_data_file(&data, "PRAGMA journal_mode=WAL", 20);
        application.execute_batch("CREATE TABLE made(at TEXT)").unwrap();
        let log = format!("log.file={}", place.at("a.journal").display());
        assert!(place.run(&["settings", data.to_str().unwrap(), &log]).status.success());
        let mut scene = Self { place, data, application, service: None };
        scene.serve();
        assert!(scene.run(&["backup", scene.data.to_str().unwrap()]).status.success());
        scene.commit();
        scene
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.place.run(arguments)
    }

    fn serve(&mut self) {
        self.service = Some(Running(serve(&self.place, &self.data)));
        self.until_complete();
    }

    fn process(&self) -> Pid {
        let Running(child): &Running = self.service.as_ref().unwrap();
        Pid::from_child(child as &Child)
    }

    /// Commits, and says when that was done.
    fn commit(&self) -> DateTime<Utc> {
        self.application.execute("INSERT INTO made VALUES('now')", []).unwrap();
        Utc::now()
    }

    /// Commits several times over so long that nobody could take the time at the end for that of each.
    fn commit_for_a_while(&self) -> Vec<DateTime<Utc>> {
        let begun = Instant::now();
        let mut made = Vec::new();
        while begun.elapsed() < Duration::from_secs(5) {
            made.push(self.commit());
            thread::sleep(Duration::from_millis(1200));
        }
        made
    }

    /// A moment up to which all is known, also by who looks only now and then.
    fn a_while_ago(&self) -> DateTime<Utc> {
        self.until_complete();
        let moment = Utc::now();
        thread::sleep(Duration::from_secs(8));
        moment
    }

    fn until_complete(&self) {
        let begun = Instant::now();
        loop {
            let found: Value =
                serde_json::from_slice(&self.run(&["status", self.data.to_str().unwrap(), "--json"]).stdout).unwrap();
            if found["log"]["complete"] == true {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{found}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// How many were made at `moment` by what a query says, and what was said beside it.
    fn at(&self, moment: DateTime<Utc>) -> (Option<i32>, String, String) {
        let moment = moment.format("%Y-%m-%d %H:%M:%S%.6f +00:00").to_string();
        let output = self.run(&["query", self.data.to_str().unwrap(), "--at", &moment, "SELECT count(*) FROM made"]);
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    /// What was committed in `made` is asked for, after so many commits that were known at once.
    fn is_told(&self, before: DateTime<Utc>, known: usize, made: &[DateTime<Utc>]) {
        let after = Utc::now();
        let (code, rows, said) = self.at(before);
        assert!(code == Some(0) && rows.trim().ends_with('1'), "{rows} {said}");
        let (code, rows, said) = self.at(after);
        assert!(code == Some(0) && rows.trim().ends_with(&(made.len() + known).to_string()), "{rows} {said}");
        for moment in &made[..made.len() - 1] {
            let (code, _, said) = self.at(*moment);
            assert!(code == Some(1) && said.contains("may have been made before the moment wanted"), "{said}");
            assert!(said.contains(&format!("commits {} to ", known + 1)) && said.contains("--commit"), "{said}");
        }
        let moment = made[1].format("%Y-%m-%d %H:%M:%S%.6f +00:00").to_string();
        let to = self.place.at(&format!("restored {}", after.timestamp_micros()));
        let (data, to) = (self.data.to_str().unwrap(), to.to_str().unwrap());
        let restored = self.run(&["restore", data, "--to", to, "--until", &moment]);
        let said = text(&restored.stderr);
        assert!(restored.status.code() == Some(1) && said.contains("may have been made before"), "{said}");
        // By its number each of them is had as ever.
        let second = self.run(&["query", data, "--commit", "3", "SELECT count(*) FROM made"]);
        assert!(second.status.success() && text(&second.stdout).contains('3'), "{}", text(&second.stderr));
    }
}

#[test]
fn commits_made_while_the_service_was_stopped_are_not_taken_for_later_ones() {
    let scene = Scene::new();
    let before = scene.a_while_ago();
    kill_process(scene.process(), Signal::STOP).unwrap();
    let made = scene.commit_for_a_while();
    kill_process(scene.process(), Signal::CONT).unwrap();
    scene.until_complete();
    scene.is_told(before, 1, &made);
    // A full backup closes the log, and its index does not say it.
    assert!(scene.run(&["backup", scene.data.to_str().unwrap()]).status.success());
    scene.is_told(before, 1, &made);
    // What is made later is told as ever.
    let later = scene.commit();
    scene.until_complete();
    let (code, _, said) = scene.at(later);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn commits_that_a_new_start_finds_in_the_wal_are_not_taken_for_later_ones() {
    let mut scene = Scene::new();
    let before = scene.a_while_ago();
    // Whoever reads keeps the WAL from beginning anew.
    let reader = Connection::open(&scene.data).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM made").unwrap();
    scene.commit();
    scene.until_complete();
    drop(scene.service.take());
    let made = scene.commit_for_a_while();
    scene.serve();
    scene.is_told(before, 2, &made);
}
