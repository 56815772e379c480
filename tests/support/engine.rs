//! Driving the engine as a window does.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command as Process, Stdio},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use strongroom::{
    control::Clock,
    engine::{Answer, Command, Config, Engine, Handle, JobId, Query, Status, query::ArchiveLook, status::JobReport},
    error::Error,
    journal::{CaptureState, integrate::Until},
    restore::{self, Logs},
};

use super::{Place, text};

/// Commits made by the system's own, older SQLite, in a process of its own.
pub fn foreign_commits(data: &Path, sql: &str) {
    let output = Process::new("sqlite3").args(["-cmd", ".timeout 60000"]).arg(data).arg(sql).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// Starts `strongroom serve` and returns when the log runs.
pub fn serve(place: &Place, data: &Path) -> Child {
    let mut child = place.program().arg("serve").arg(data).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("is logged in"), "{line}");
    child
}

/// A clock that a test sets.
#[derive(Clone)]
pub struct Sim(Arc<AtomicI64>);

impl Sim {
    /// A clock that shows this, such as `2026-06-01 12:00`, in the zone of this machine.
    pub fn at(local: &str) -> Self {
        let sim = Self(Arc::default());
        sim.set(local);
        sim
    }

    pub fn set(&self, local: &str) {
        let naive = chrono::NaiveDateTime::parse_from_str(local, "%Y-%m-%d %H:%M").unwrap();
        let moment = strongroom::control::wall::shown(naive, &chrono::Local).first().unwrap();
        self.0.store(moment.timestamp_millis(), Ordering::SeqCst);
    }

    pub fn clock(&self) -> Clock {
        let time = Arc::clone(&self.0);
        Clock::new(move || chrono::DateTime::from_timestamp_millis(time.load(Ordering::SeqCst)).unwrap())
    }
}

/// An engine for which another clock tells the time.
pub fn engine_at(place: &Place, clock: Clock) -> Engine {
    let own = place.own().join("strongroom");
    Engine::start(Config { clock, ..Config::private(&own) }).unwrap()
}

pub fn engine(place: &Place) -> Engine {
    engine_at(place, Clock::default())
}

pub fn until(handle: &Handle, wanted: impl Fn(&Status) -> bool) -> std::sync::Arc<Status> {
    let begun = Instant::now();
    loop {
        let status = handle.status();
        if wanted(&status) {
            return status;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "never came about: {status:#?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn finished(handle: &Handle, job: JobId) -> JobReport {
    until(handle, |s| s.finished_job(job).is_some()).finished_job(job).unwrap().result.clone().unwrap()
}

/// What an engine answers.
pub fn ask(handle: &Handle, query: Query) -> Result<Answer, Error> {
    handle.ask(query).unwrap().wait(Some(Duration::from_secs(120)))
}

/// What an archive says of itself.
pub fn look(handle: &Handle, archive: &Path, segments: &[PathBuf]) -> ArchiveLook {
    let query = Query::Archive { path: archive.to_path_buf(), segments: segments.to_vec(), logs: Logs::default() };
    match ask(handle, query).unwrap() {
        Answer::Archive(look) => *look,
        other => panic!("{other:?}"),
    }
}

pub fn open_with_log(handle: &Handle, data: &Path, log: &Path) {
    handle.send(Command::OpenDataFile { path: data.to_path_buf() }).unwrap();
    until(handle, |s| s.data_file(data).is_some());
    handle
        .send(Command::UseLog { data_file: data.to_path_buf(), log: Some(log.to_path_buf()), switch_to_wal: false })
        .unwrap();
    until(handle, |s| s.data_file(data).unwrap().log.as_ref().is_some_and(|l| l.state == CaptureState::On));
}

pub fn backup(handle: &Handle, data: &Path) -> strongroom::backup::BackupReport {
    let job = JobId::new();
    handle.send(Command::Backup { job, data_file: data.to_path_buf(), destination: None, options: None }).unwrap();
    match finished(handle, job) {
        JobReport::Backup(report) => report,
        other => panic!("{other:?}"),
    }
}

pub fn restore(handle: &Handle, archive: &Path, to: &Path, logs: Logs, until: Until) -> restore::RestoreReport {
    let job = JobId::new();
    let (archive, destination) = (archive.to_path_buf(), to.to_path_buf());
    handle.send(Command::Restore { job, archive, items: vec![], destination, logs, until, segments: vec![] }).unwrap();
    match finished(handle, job) {
        JobReport::Restore(report) => report,
        other => panic!("{other:?}"),
    }
}
