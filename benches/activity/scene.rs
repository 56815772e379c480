//! A data file with its log, kept by `strongroom serve`, and what is run on it.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use strongroom::journal::reader::LogReader;

const PROGRAM: &str = env!("CARGO_BIN_EXE_strongroom");

pub(super) fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

pub(super) struct Scene {
    folder: tempfile::TempDir,
    service: Option<Child>,
}

/// What a process of its own found out about a log.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) operations: u64,
    /// Until all was there.
    pub(super) seconds: f64,
    /// Until the first rows were.
    pub(super) first: f64,
    /// Its peak memory in MiB.
    pub(super) memory: f64,
    /// Seconds of processor time: what the same takes where nobody else works.
    pub(super) processor: f64,
}

/// What a program that writes went through.
#[derive(Debug)]
pub(super) struct Waited {
    pub(super) seconds: f64,
    /// The longest time that one commit took, in milliseconds.
    pub(super) longest: f64,
}

/// Peak memory of a process in MiB.
pub(super) fn peak_memory(process: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

/// Seconds of processor time of this process, and of those that it has waited for.
pub(super) fn processor() -> (f64, f64) {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<f64> = stat.rsplit(')').next().unwrap().split(' ').filter_map(|f| f.parse().ok()).collect();
    // A hundred ticks a second, on every Linux; the letter for the state having been dropped.
    let of = |at: usize| (fields[at] + fields[at + 1]) / 100.0;
    (of(10), of(12))
}

impl Scene {
    /// A data file that this statement makes.
    pub(super) fn new(sql: &str) -> Self {
        let base = std::env::var_os("STRONGROOM_BENCH_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
        let folder = tempfile::Builder::new().prefix("activity-").tempdir_in(base).unwrap();
        fs::create_dir(folder.path().join("own")).unwrap();
        let scene = Self { folder, service: None };
        let conn = Connection::open(scene.data()).unwrap();
        conn.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF").unwrap();
        conn.execute_batch(sql).unwrap();
        conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        scene
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.path().join("app.sqlite")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.folder.path().join("Backups/app.journal")
    }

    pub(super) fn log_bytes(&self) -> u64 {
        fs::metadata(self.log()).unwrap().len()
    }

    /// Seconds to read the log and to hash its bytes once.
    pub(super) fn hash_log(&self) -> f64 {
        let begun = Instant::now();
        let mut hasher = blake3::Hasher::new();
        let mut file = fs::File::open(self.log()).unwrap();
        let mut piece = vec![0; 1 << 20];
        loop {
            let count = file.read(&mut piece).unwrap();
            if count == 0 {
                break;
            }
            hasher.update(&piece[..count]);
        }
        assert_ne!(hasher.finalize().as_bytes(), &[0; 32]);
        begun.elapsed().as_secs_f64()
    }

    fn program(&self) -> Command {
        let program = std::env::var_os("STRONGROOM_BENCH_PROGRAM").unwrap_or_else(|| PROGRAM.into());
        let (mut command, own) = (Command::new(program), self.folder.path().join("own"));
        command.env("XDG_DATA_HOME", &own).env("XDG_CONFIG_HOME", &own).env("HOME", &own).env("XDG_RUNTIME_DIR", &own);
        command.stdin(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// The same with arguments, of which `DATA` and `LOG` stand for the files.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.program();
        for arg in args {
            match *arg {
                "DATA" => command.arg(self.data()),
                "LOG" => command.arg(self.log()),
                arg => command.arg(arg),
            };
        }
        command
    }

    /// A service keeps the log from now on.
    pub(super) fn service(&mut self) {
        let mut service = self.program().arg("serve").arg(self.data()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(service.stdout.take().unwrap()).lines();
        assert!(said.next().unwrap().unwrap().contains("is logged in"));
        thread::spawn(move || said.for_each(drop));
        self.service = Some(service);
    }

    /// The archive that the log goes on from.
    pub(super) fn backup(&self) {
        self.run(&["backup", "DATA"]);
    }

    /// The service ends, and leaves a whole log.
    pub(super) fn stop(&mut self) {
        if let Some(mut service) = self.service.take() {
            let ended = Command::new("kill").arg(service.id().to_string()).status().unwrap();
            assert!(ended.success());
            service.wait().unwrap();
        }
    }

    /// Waits until the log has this commit, or more of them; returns the last one.
    pub(super) fn flush(&self, commit: u64) -> u64 {
        let mut reader = LogReader::open(&self.log()).unwrap();
        loop {
            while reader.next_record().unwrap().is_some() {}
            if reader.tail().commit >= commit {
                return reader.tail().commit;
            }
            thread::sleep(Duration::from_millis(20));
            reader.look_again().unwrap();
        }
    }

    /// A program of others writes to the end; returns what it says.
    pub(super) fn write(&self, args: &[&str]) -> f64 {
        let output = Self::again("write").arg(self.data()).args(args).stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
    }

    fn again(what: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg(what);
        command
    }

    /// Runs a command to its end: how long it took, and what it printed.
    pub(super) fn run(&self, args: &[&str]) -> (f64, String) {
        let begun = Instant::now();
        let output = self.command(args).stderr(Stdio::piped()).output().unwrap();
        let seconds = begun.elapsed().as_secs_f64();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        (seconds, String::from_utf8(output.stdout).unwrap())
    }

    /// Runs a command that prints lines.
    pub(super) fn list(&self, args: &[&str]) -> Found {
        let before = processor().1;
        let begun = Instant::now();
        let mut child = self.command(args).stdout(Stdio::piped()).spawn().unwrap();
        let (process, is_over) = (child.id().to_string(), AtomicBool::new(false));
        let peak = AtomicU64::new(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    peak.fetch_max(peak_memory(&process).unwrap_or_default() as u64, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(10));
                }
            });
            let (mut out, mut piece) = (child.stdout.take().unwrap(), vec![0; 1 << 16]);
            let (mut lines, mut first) = (0, None);
            loop {
                let count = out.read(&mut piece).unwrap();
                if count == 0 {
                    break;
                }
                let more = memchr::memchr_iter(b'\n', &piece[..count]).count() as u64;
                first = first.or_else(|| (more > 1).then(|| begun.elapsed().as_secs_f64()));
                lines += more;
            }
            is_over.store(true, Ordering::Relaxed);
            assert!(child.wait().unwrap().success());
            Found {
                operations: lines,
                seconds: begun.elapsed().as_secs_f64(),
                first: first.unwrap(),
                memory: peak.load(Ordering::Relaxed) as f64,
                processor: processor().1 - before,
            }
        })
    }

    /// Has a process of its own read the log in one way.
    pub(super) fn read(&self, how: &str) -> Found {
        let archive = self.folder.path().join("Backups/app[0001].4BK");
        let output = Self::again("read")
            .arg(how)
            .args([&self.log(), &archive, &self.data()])
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(output.status.success(), "{how}");
        let text = String::from_utf8(output.stdout).unwrap();
        let numbers: Vec<f64> = text.split_whitespace().map(|number| number.parse().unwrap()).collect();
        let [operations, seconds, first, memory, processor] = numbers[..] else { panic!("{text}") };
        Found { operations: operations as u64, seconds, first, memory, processor }
    }

    /// What a program that writes all the while waits for, while a command runs, or for half a second.
    pub(super) fn waits(&self, args: &[&str]) -> Waited {
        let mut writer = Self::again("write")
            .arg(self.data())
            .arg("paced")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(writer.stdout.take().unwrap()).lines();
        assert_eq!(said.next().unwrap().unwrap(), "begins");
        let seconds = match args {
            [] => {
                thread::sleep(Duration::from_millis(500));
                0.5
            }
            args => self.run(args).0,
        };
        let mut end: ChildStdin = writer.stdin.take().unwrap();
        end.write_all(b"end\n").unwrap();
        let longest = said.next().unwrap().unwrap().parse().unwrap();
        assert!(writer.wait().unwrap().success());
        Waited { seconds, longest }
    }

    /// A place for a file.
    pub(super) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(service) = &mut self.service {
            let _ = service.kill();
            let _ = service.wait();
        }
    }
}
