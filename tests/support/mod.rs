//! What several tests need: data files, backups of them, and a disk that fails.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr
)]

pub mod between;
pub mod disk;
pub mod engine;
pub mod forge;
pub mod harm;
pub mod kept;
pub mod records;
#[cfg(unix)]
pub mod user;
#[cfg(unix)]
pub mod users;
pub mod xlsx;

use std::{
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use strongroom::{
    archive::ArchiveOptions,
    backup::{self, BackupReport},
    control::Control,
    error::{Error, ErrorKind, Result},
    settings::SettingsFile,
    storage::{Disk, Ownership, Storage, StorageFile, beneath::Folder},
};

/// The name of a test of `module` as this test program knows it, for a process that is to run it alone.
pub fn full_name(module: &str, test: &str) -> String {
    match module.split_once("::") {
        Some((_, below)) => format!("{below}::{test}"),
        None => test.to_owned(),
    }
}

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_strongroom");

/// So long a command may take that ends by itself, on a machine that does much else.
const RUN_MAX: Duration = Duration::from_secs(300);

fn all_of(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut all = Vec::new();
        pipe.unwrap().read_to_end(&mut all).unwrap();
        all
    })
}

/// A process that does not outlive a test, however that ends.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder of its own for one test, with what the program keeps for itself.
pub struct Place {
    pub folder: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// In memory where the system offers that: for tests that make very many files, which takes a busy disk minutes.
    pub fn in_memory() -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        Self { folder }
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    pub fn own(&self) -> PathBuf {
        self.at("own")
    }

    /// The program in a container, which is shown no process outside; `None` where this user may make none.
    pub fn run_in_a_container(&self, arguments: &[&str]) -> Option<Output> {
        self.run_in_a_container_that_may("true", Path::new("/"), arguments)
    }

    /// The same, to which `folder` is given to read only.
    pub fn run_in_a_container_that_reads(&self, folder: &Path, arguments: &[&str]) -> Option<Output> {
        let read_only = r#"mount --bind "$0" "$0" && mount -o remount,bind,ro "$0""#;
        self.run_in_a_container_that_may(read_only, folder, arguments)
    }

    /// The program in a container, to be begun; it ends with whoever begins it.
    pub fn program_in_a_container(&self, first: &str, folder: &Path) -> Command {
        let program = self.program();
        let mut inside = Command::new("unshare");
        let line = format!(r#"{first} && exec "$@""#);
        inside.args(["--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "sh", "-c", &line]);
        inside.arg(folder).arg(program.get_program()).stdin(Stdio::null());
        inside.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        inside
    }

    fn run_in_a_container_that_may(&self, first: &str, folder: &Path, arguments: &[&str]) -> Option<Output> {
        let output = self.program_in_a_container(first, folder).args(arguments).output().ok()?;
        let is_refused = text(&output.stderr).contains("unshare:");
        if is_refused {
            eprintln!("skipped: this user may make no container");
        }
        (!is_refused).then_some(output)
    }

    /// The program with its own files in this place.
    pub fn program(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        command.env("XDG_DATA_HOME", self.own()).env("XDG_CONFIG_HOME", self.own()).env("HOME", self.own());
        command.stdin(Stdio::null());
        command
    }

    /// What the program says to these arguments. One that does not end is ended: the test fails, and names it.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.run_program(Path::new(PROGRAM), arguments)
    }

    /// The same of another program, with our files for its own.
    pub fn run_program(&self, program: &Path, arguments: &[&str]) -> Output {
        let mut command = Command::new(program);
        command.env("XDG_DATA_HOME", self.own()).env("XDG_CONFIG_HOME", self.own()).env("HOME", self.own());
        command.stdin(Stdio::null());
        let mut process = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (stdout, stderr) = (all_of(process.stdout.take()), all_of(process.stderr.take()));
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = process.try_wait().unwrap() {
                break status;
            }
            if begun.elapsed() > RUN_MAX {
                let _ = process.kill();
                let _ = process.wait();
                let (stdout, stderr) = (stdout.join().unwrap(), stderr.join().unwrap());
                panic!("{arguments:?} did not end; it said {:?} and {:?}", text(&stdout), text(&stderr));
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        Output { status, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
    }

    /// A full backup in this process.
    pub fn backup(&self, data_file: &Path) -> Result<BackupReport> {
        self.backup_on(&Disk, data_file)
    }

    pub fn backup_on(&self, storage: &dyn Storage, data_file: &Path) -> Result<BackupReport> {
        self.backup_stored(storage, data_file, ArchiveOptions::default())
    }

    /// A full backup in this process, stored as `options` say.
    pub fn backup_stored(
        &self,
        storage: &dyn Storage,
        data_file: &Path,
        options: ArchiveOptions,
    ) -> Result<BackupReport> {
        let mut settings = SettingsFile::load(data_file, &self.own())?;
        let folder = backup::destination(data_file, &settings);
        backup::run(storage, data_file, &mut settings, &self.own(), &folder, None, options, &Control::default())
    }
}

/// A data file with tables, indexes, NULLs, text and blobs: `rows` records.
pub fn make_data_file(path: &Path, pragmas: &str, rows: u32) -> Connection {
    let conn = Connection::open(path).unwrap();
    conn.execute_batch(&format!(
        "{pragmas};
         CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b BLOB, c REAL);
         CREATE INDEX t_a ON t(a);
         CREATE TABLE k(k TEXT PRIMARY KEY, v) WITHOUT ROWID;
         BEGIN;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<{rows})
         INSERT INTO t SELECT i, 'text ' || i || ' ' || hex(randomblob(i % 40)), randomblob(i % 300), i * 1.5 FROM n;
         INSERT INTO k SELECT a, id FROM t;
         COMMIT"
    ))
    .unwrap();
    conn
}

/// Everything in the database in a form that can be compared: one line per record of every table.
/// Every row of every table, as one can compare it.
#[derive(PartialEq, Eq, Clone)]
pub struct Content(Vec<String>);

/// Thousands of rows with blobs say nothing: how many they are, and the first and last of them, do.
impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let short = |line: &String| line.chars().take(80).collect::<String>();
        write!(
            f,
            "{} rows: {:?} … {:?}",
            self.0.len(),
            self.0.iter().take(8).map(short).collect::<Vec<_>>(),
            self.0.last().map(short)
        )
    }
}

pub fn logical_content(path: &Path) -> Content {
    let conn = Connection::open(path).unwrap();
    let tables: Vec<String> = conn
        .prepare("SELECT name FROM sqlite_schema WHERE type='table' ORDER BY name")
        .unwrap()
        .query_map([], |r| r.get(0))
        .unwrap()
        .collect::<rusqlite::Result<_>>()
        .unwrap();
    let mut lines = Vec::new();
    for table in tables {
        let mut statement = conn.prepare(&format!("SELECT * FROM \"{table}\" ORDER BY 1")).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let value = |n| match row.get_ref(n).unwrap() {
                rusqlite::types::ValueRef::Text(text) => format!("{:?}", String::from_utf8_lossy(text)),
                other => format!("{other:?}"),
            };
            let values: Vec<String> = (0..columns).map(value).collect();
            lines.push(format!("{table}: {}", values.join("|")));
        }
    }
    Content(lines)
}

/// The names in a folder, without the mark by which a folder for archives is known again.
pub fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .map(|entries| entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect())
        .unwrap_or_default();
    names.retain(|name| name != strongroom::storage::marker::NAME);
    names.sort();
    names
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Whether a foreign program that a test needs is there. A machine without it says so and cannot run that test.
pub fn has(tool: &str) -> bool {
    let run =
        Command::new(tool).arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let found = run.is_ok();
    if !found {
        eprintln!("skipped: this needs the command {tool}");
    }
    found
}

/// What happens at the chosen step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The step and everything after it does nothing any more: the machine lost power.
    Crash,
    /// Half of the write arrives, then the power goes.
    CrashHalfWritten,
    /// This step reports a full disk; later ones work.
    DiskFull,
    /// The disk is full once, at this step; the power is lost at the step of the disk.
    FullThenCrash(usize),
}

/// The real disk until step `at`, then the fault. Every write, sync, rename and so on is one step.
pub struct FaultyDisk {
    state: Arc<FaultState>,
}

struct FaultState {
    at: usize,
    fault: Fault,
    steps: AtomicUsize,
}

impl FaultyDisk {
    pub fn new(at: usize, fault: Fault) -> Self {
        Self { state: Arc::new(FaultState { at, fault, steps: AtomicUsize::new(0) }) }
    }

    pub fn steps(&self) -> usize {
        self.state.steps.load(Ordering::SeqCst)
    }
}

impl FaultState {
    /// Counts a step; `Err` when it must not happen, with whether half of it should.
    fn step(&self) -> std::result::Result<(), (Error, bool)> {
        let step = self.steps.fetch_add(1, Ordering::SeqCst);
        let hit = match self.fault {
            Fault::DiskFull => step == self.at,
            Fault::FullThenCrash(full) => step == full || step >= self.at,
            _ => step >= self.at,
        };
        if !hit {
            return Ok(());
        }
        let error = match self.fault {
            Fault::FullThenCrash(full) if step != full => Error::new(ErrorKind::Io, "power lost"),
            Fault::DiskFull | Fault::FullThenCrash(_) => {
                Error::io("write to", Path::new("disk"), std::io::ErrorKind::StorageFull.into())
            }
            _ => Error::new(ErrorKind::Io, "power lost"),
        };
        Err((error, self.fault == Fault::CrashHalfWritten && step == self.at))
    }

    fn check(&self) -> Result<()> {
        self.step().map_err(|(e, _)| e)
    }
}

struct FaultyFile {
    inner: Box<dyn StorageFile>,
    state: Arc<FaultState>,
}

impl StorageFile for FaultyFile {
    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        match self.state.step() {
            Ok(()) => self.inner.write_all(bytes),
            Err((error, half)) => {
                if half {
                    self.inner.write_all(&bytes[..bytes.len() / 2])?;
                }
                Err(error)
            }
        }
    }

    fn sync(&mut self) -> Result<()> {
        self.state.check()?;
        self.inner.sync()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.inner.read_at(offset, buffer)
    }

    fn length(&mut self) -> Result<u64> {
        self.inner.length()
    }

    fn truncate(&mut self, length: u64) -> Result<()> {
        self.state.check()?;
        self.inner.truncate(length)
    }
}

impl Storage for FaultyDisk {
    fn create(&self, path: &Path, ownership: Ownership) -> Result<Box<dyn StorageFile>> {
        self.state.check()?;
        Ok(Box::new(FaultyFile { inner: Disk.create(path, ownership)?, state: Arc::clone(&self.state) }))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn StorageFile>> {
        Ok(Box::new(FaultyFile { inner: Disk.open(path)?, state: Arc::clone(&self.state) }))
    }

    fn rename_new(&self, from: &Path, to: &Path) -> Result<()> {
        self.state.check()?;
        Disk.rename_new(from, to)
    }

    fn sync_folder(&self, folder: &Path) -> Result<()> {
        self.state.check()?;
        Disk.sync_folder(folder)
    }

    fn remove(&self, path: &Path) -> Result<()> {
        self.state.check()?;
        Disk.remove(path)
    }

    fn create_in(&self, folder: &Folder, name: &Path, ownership: Ownership) -> Result<Box<dyn StorageFile>> {
        self.state.check()?;
        let inner = Disk.create_in(folder, name, ownership)?;
        Ok(Box::new(FaultyFile { inner, state: Arc::clone(&self.state) }))
    }

    fn rename_in(&self, from: (&Folder, &Path), to: (&Folder, &Path)) -> Result<()> {
        self.state.check()?;
        Disk.rename_in(from, to)
    }

    fn sync_in(&self, folder: &Folder, name: &Path) -> Result<()> {
        self.state.check()?;
        Disk.sync_in(folder, name)
    }

    fn remove_in(&self, folder: &Folder, name: &Path) -> Result<()> {
        self.state.check()?;
        Disk.remove_in(folder, name)
    }
}
