//! A data file with archives and a log in folders of their own, a service that looks after it, and accidents.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output},
    time::{Duration, Instant},
};

use strongroom::journal::reader::LogReader;

use crate::support::{self, Place, engine::serve, has, make_data_file, text};

/// A data file whose archives and log lie in folders of their own, a service that looks after it, and an application.
pub(crate) struct Scene {
    pub(crate) place: Place,
    pub(crate) data: PathBuf,
    service: Option<Child>,
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Scene {
    /// With full backup 1 and three commits after it; `None` on a machine without the foreign program.
    pub(crate) fn new() -> Option<Self> {
        Self::begun(true)
    }

    /// The same, or without a full backup and any commit.
    pub(crate) fn begun(is_backed_up: bool) -> Option<Self> {
        if !has("sqlite3") {
            return None;
        }
        let place = Place::new();
        for folder in ["app", "archives", "logs", "elsewhere"] {
            fs::create_dir(place.at(folder)).unwrap();
        }
        let data = place.at("app/a.sqlite");
        drop(make_data_file(&data, "PRAGMA journal_mode=WAL", 50));
        let destination = format!("destination.folder={}", place.at("archives").display());
        let log = format!("log.file={}", place.at("logs/a.journal").display());
        assert!(place.run(&["settings", data.to_str().unwrap(), &destination, &log]).status.success());
        let mut scene = Self { place, data, service: None };
        scene.serve();
        if is_backed_up {
            scene.backup();
            scene.commits(3);
        }
        Some(scene)
    }

    pub(crate) fn serve(&mut self) {
        self.service = Some(serve(&self.place, &self.data));
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut service) = self.service.take() {
            let _ = service.kill();
            let _ = service.wait();
        }
    }

    /// Ends the service in order.
    pub(crate) fn stop(&mut self) {
        if let Some(mut service) = self.service.take() {
            let pid = service.id().to_string();
            assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
            let _ = service.wait();
        }
    }

    /// What `status` says.
    pub(crate) fn status(&self) -> String {
        let output = self.place.run(&["status", self.data.to_str().unwrap()]);
        text(&output.stdout) + &text(&output.stderr)
    }

    pub(crate) fn backup(&self) {
        let made = self.place.run(&["backup", self.data.to_str().unwrap()]);
        assert!(made.status.success(), "{}", text(&made.stderr));
    }

    /// Commits, of which all are in the log when this returns, each in a block of its own.
    pub(crate) fn commits(&self, count: u64) {
        let log = self.place.at("logs/a.journal");
        // While it is opened anew, it is not there, or empty, for a moment.
        let last = || -> Option<u64> {
            let mut reader = LogReader::open(&log).ok()?;
            while reader.next_record().unwrap().is_some() {}
            Some(reader.tail().commit)
        };
        let begun = Instant::now();
        let wait = |is_there: &dyn Fn() -> bool| {
            while !is_there() {
                assert!(begun.elapsed() < Duration::from_secs(120), "commits were not logged");
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        wait(&|| last().is_some());
        let before = last().unwrap();
        for n in 0..count {
            support::engine::foreign_commits(&self.data, &format!("INSERT INTO t(a) VALUES('more {n}')"));
            wait(&|| last().is_some_and(|last| last > before + n));
        }
        // What nobody watched before may come in as a commit of its own meanwhile.
        wait(&|| self.status().contains("; complete"));
    }

    /// Waits until the log is level with the data file.
    pub(crate) fn until_complete(&self) {
        let begun = Instant::now();
        while !self.status().contains("; complete") {
            assert!(begun.elapsed() < Duration::from_secs(120), "{}", self.status());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn archive(&self, number: u32) -> PathBuf {
        self.place.at(&format!("archives/a[{number:04}].4BK"))
    }

    /// The archive with this number, some bytes in its middle overwritten.
    pub(crate) fn damaged(&self, number: u32) -> PathBuf {
        let archive = self.archive(number);
        let mut bytes = fs::read(&archive).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 20].fill(7);
        fs::write(&archive, bytes).unwrap();
        archive
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.place.at("logs").join(name)
    }

    /// The accident: no service any more, and no data file.
    pub(crate) fn lose(&mut self) {
        self.kill();
        for end in ["", "-wal", "-shm"] {
            let _ = fs::rename(format!("{}{end}", self.data.display()), self.place.at(&format!("elsewhere/lost{end}")));
        }
    }

    pub(crate) fn restore(&self, what: &Path, to: &str, more: &[&str]) -> Output {
        let to = self.place.at(to);
        let arguments = [&["restore", what.to_str().unwrap(), "--to", to.to_str().unwrap()], more].concat();
        self.place.run(&arguments)
    }

    /// How many records the data file itself has beyond the 50 at the beginning.
    pub(crate) fn more_in_place(&self) -> i64 {
        let conn = rusqlite::Connection::open(&self.data).unwrap();
        conn.query_row("SELECT count(*) FROM t WHERE a LIKE 'more %'", [], |row| row.get(0)).unwrap()
    }

    /// How many records the restored file has beyond the 50 at the beginning.
    pub(crate) fn more(&self, to: &str) -> i64 {
        let conn = rusqlite::Connection::open(self.place.at(to).join("a.sqlite")).unwrap();
        conn.query_row("SELECT count(*) FROM t WHERE a LIKE 'more %'", [], |row| row.get(0)).unwrap()
    }
}

/// What it said on standard error, when it ended with this code.
pub(crate) fn said(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stderr)
}
