//! What a service costs while nothing happens, and how fast windows and commands join it. Linux only: it reads `/proc`.
//!
//! `STRONGROOM_BENCH_SECONDS` sets how long an idle service is watched (default 60).
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use strongroom::service::connect;

const PROGRAM: &str = env!("CARGO_BIN_EXE_strongroom");
/// What happens right after the start is not idleness.
const SETTLE: Duration = Duration::from_secs(45);

struct Service {
    process: Child,
    own: PathBuf,
}

impl Service {
    /// A service that keeps the logs of `count` data files in `folder`.
    fn start(folder: &Path, count: usize) -> Self {
        let own = folder.join("own");
        let files: Vec<PathBuf> = (0..count)
            .map(|n| {
                let place = folder.join(format!("{n:03}"));
                fs::create_dir_all(&place).unwrap();
                let path = place.join("app.sqlite");
                let conn = Connection::open(&path).unwrap();
                conn.execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES(1)").unwrap();
                path
            })
            .collect();
        let mut process =
            Self::program(&own).arg("serve").args(&files).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap()).lines();
        for _ in &files {
            assert!(said.next().unwrap().unwrap().contains("is logged in"));
        }
        Self { process, own }
    }

    fn program(own: &Path) -> Command {
        let mut command = Command::new(PROGRAM);
        command.env("XDG_DATA_HOME", own).env("XDG_CONFIG_HOME", own).env("HOME", own).env("XDG_RUNTIME_DIR", own);
        command.stdin(Stdio::null());
        command
    }

    fn address(&self) -> String {
        self.own.join(format!("strongroom/service-{}.sock", self.process.id())).to_str().unwrap().to_owned()
    }

    /// Resident memory in MiB, and the share of one processor in percent over some time.
    fn idle(&self, seconds: u64) -> (f64, f64) {
        let read = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", self.process.id())).unwrap();
        let ticks = || {
            let stat = read("stat");
            let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
            fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
        };
        thread::sleep(SETTLE);
        let before = ticks();
        thread::sleep(Duration::from_secs(seconds));
        // A hundred ticks a second, on every Linux.
        let share = (ticks() - before) as f64 / seconds as f64;
        let status = read("status");
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        (line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0, share)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn main() {
    if !cfg!(target_os = "linux") || std::env::args().any(|a| a == "--test") {
        return;
    }
    let seconds = std::env::var("STRONGROOM_BENCH_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(60);
    println!("| What | Found | Must |\n|---|---|---|");
    for (count, memory_max, share_max) in [(1, 25, "0.1"), (500, 200, "1")] {
        let folder = tempfile::tempdir().unwrap();
        let service = Service::start(folder.path(), count);
        let (memory, share) = service.idle(seconds);
        let files = if count == 1 { "1 idle data file".to_owned() } else { format!("{count} idle data files") };
        println!("| service with {files}: resident memory | {memory:.1} MiB | ≤ {memory_max} MiB |");
        println!("| the same: share of a processor | {share:.2} % | ≤ {share_max} % |");
    }
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), 50);
    let attach = || {
        let begun = Instant::now();
        let engine = connect(&service.address(), None).unwrap();
        assert_eq!(engine.handle.status().data_files.len(), 50);
        begun.elapsed()
    };
    let times = (0..21).map(|_| attach()).collect();
    println!("| attach to a service with 50 data files, first full picture | {:.1?} | ≤ 100 ms |", median(times));
    let status = || {
        let begun = Instant::now();
        let file = folder.path().join("007/app.sqlite");
        let output = Service::program(&service.own).arg("status").arg(file).output().unwrap();
        assert!(output.status.success() && output.stdout.starts_with(b"/"));
        begun.elapsed()
    };
    let times = (0..21).map(|_| status()).collect();
    println!("| the command status | {:.1?} | ≤ 50 ms |", median(times));
}
