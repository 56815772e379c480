//! What the log costs and how fast it is: one table, both sides of every ratio measured in this run.
//!
//! Writers are processes of their own: this program starts itself again. `STRONGROOM_BENCH_SECONDS` sets the length of
//! each measurement (default 10).
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant, SystemTime},
};

use rusqlite::Connection;
use strongroom::{
    control::Control,
    journal::{
        Capture, CaptureConfig,
        integrate::{Until, integrate, plan},
    },
    sqlite::snapshot::Snapshot,
};
use uuid::Uuid;

/// Times that a writer without and a writer with the log take turns.
const ROUNDS: u64 = 4;

fn seconds() -> u64 {
    std::env::var("STRONGROOM_BENCH_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(10)
}

fn micros() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros() as u64
}

fn fresh(folder: &Path) -> PathBuf {
    let path = folder.join("data.sqlite");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; CREATE TABLE t(k INTEGER PRIMARY KEY, n, v);
         WITH RECURSIVE i(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM i WHERE i<50000)
         INSERT INTO t SELECT i, 0, 'record '||i||' '||hex(randomblob(40)) FROM i; PRAGMA wal_checkpoint(TRUNCATE)",
    )
    .unwrap();
    path
}

/// A writer: small random updates for some seconds, at a rate or as fast as it can; prints how many, and its latencies.
fn write(path: &Path, seconds: u64, rate: u64, pages: bool) {
    let conn = Connection::open(path).unwrap();
    conn.busy_timeout(Duration::from_secs(20)).unwrap();
    conn.execute_batch("PRAGMA synchronous=NORMAL").unwrap();
    let (begun, mut count, mut state) = (Instant::now(), 0u64, micros());
    let mut times = String::new();
    let mut update = conn.prepare("UPDATE t SET n=?2 WHERE k=?1").unwrap();
    while begun.elapsed() < Duration::from_secs(seconds) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        update.execute([(state >> 33) as i64 % 50_000 + 1, micros() as i64]).unwrap();
        count += 1;
        if pages {
            times.push_str(&format!("{}\n", micros()));
        }
        if let Some(spent) = (count * 1_000_000).checked_div(rate) {
            let due = begun + Duration::from_micros(spent);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }
    fs::write(path.with_extension("times"), times).unwrap();
    println!("{}", count as f64 / begun.elapsed().as_secs_f64());
}

fn writer(path: &Path, seconds: u64, rate: u64, times: bool) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["writer", path.to_str().unwrap(), &seconds.to_string(), &rate.to_string(), &times.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn rate_of(child: Child) -> f64 {
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

/// Starts the log and cuts it at once, so that it has a base; returns the base copied from the snapshot.
fn start(path: &Path, folder: &Path) -> (Capture, PathBuf, strongroom::journal::Position) {
    let capture = Capture::start(CaptureConfig::new(path, &folder.join("data.journal"), Uuid::nil())).unwrap();
    let data = path.to_path_buf();
    let mut cut = capture.cut(1, move || Snapshot::begin(&data, Duration::from_secs(5), &Control::default())).unwrap();
    let snapshot = cut.take_snapshot().unwrap();
    let base = folder.join("base");
    let mut file = fs::File::create(&base).unwrap();
    let mut bytes = vec![0; snapshot.len() as usize];
    snapshot.read(0, &mut bytes).unwrap();
    file.write_all(&bytes).unwrap();
    let mut table = cut.page_table(snapshot.page_size()).unwrap();
    table.push(&bytes).unwrap();
    table.finish().unwrap();
    drop(snapshot);
    let position = cut.position();
    cut.commit(&folder.join("data[0000].4BL")).unwrap();
    (capture, base, position)
}

fn row(what: &str, found: String, must: &str) {
    println!("| {what} | {found} | {must} |");
}

fn cpu_seconds() -> f64 {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> = text.rsplit(')').next().unwrap_or("").split(' ').filter_map(|f| f.parse().ok()).collect();
    // utime and stime, the state letter having been dropped.
    fields.get(10).zip(fields.get(11)).map_or(0.0, |(u, s)| (u + s) / 100.0)
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).is_some_and(|a| a == "writer") {
        write(Path::new(&args[2]), args[3].parse().unwrap(), args[4].parse().unwrap(), args[5] == "true");
        return;
    }
    let seconds = seconds();
    println!("| What | Found | Must |\n|---|---|---|");

    let (mut with, mut without, mut wal_max) = (Vec::new(), Vec::new(), 0u64);
    for _ in 0..ROUNDS {
        let folder = tempfile::tempdir().unwrap();
        let path = fresh(folder.path());
        without.push(rate_of(writer(&path, (seconds / ROUNDS).max(1), 0, false)));
        let folder = tempfile::tempdir().unwrap();
        let path = fresh(folder.path());
        let (capture, ..) = start(&path, folder.path());
        let child = writer(&path, (seconds / ROUNDS).max(1), 0, false);
        let end = Instant::now() + Duration::from_secs((seconds / ROUNDS).max(1));
        while Instant::now() < end {
            wal_max = wal_max.max(fs::metadata(path.with_extension("sqlite-wal")).map_or(0, |m| m.len()));
            std::thread::sleep(Duration::from_millis(20));
        }
        with.push(rate_of(child));
        capture.stop();
    }
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let (with, without) = (mean(&with), mean(&without));
    row(
        "commits/s of a saturating writer, log on : off",
        format!("{with:.0} : {without:.0} = {:.2}", with / without),
        "≥ 1.0",
    );
    row("largest WAL under it", format!("{:.1} MiB", wal_max as f64 / 1048576.0), "≤ 64 MiB");

    let folder = tempfile::tempdir().unwrap();
    let path = fresh(folder.path());
    let (capture, base, position) = start(&path, folder.path());
    let log_before = capture.status().log_bytes;
    let child = writer(&path, seconds, 500, true);
    // The newest logged commit is looked up by number; its time of sync is when the status shows it.
    let mut shown: Vec<(u64, u64)> = Vec::new();
    let end = Instant::now() + Duration::from_secs(seconds);
    let first = position.commit;
    while Instant::now() < end {
        let commit = capture.status().position.commit;
        if shown.last().is_none_or(|l| l.0 < commit) {
            shown.push((commit, micros()));
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    rate_of(child);
    capture.flush().unwrap();
    let times: Vec<u64> = BufReader::new(fs::File::open(path.with_extension("times")).unwrap())
        .lines()
        .map(|l| l.unwrap().parse().unwrap())
        .collect();
    let mut delays: Vec<f64> = Vec::new();
    for (index, made) in times.iter().enumerate() {
        let commit = first + 1 + index as u64;
        if let Some((_, logged)) = shown.iter().find(|s| s.0 >= commit) {
            delays.push(logged.saturating_sub(*made) as f64 / 1000.0);
        }
    }
    delays.sort_by(f64::total_cmp);
    let at = |part: f64| delays[((delays.len() - 1) as f64 * part) as usize];
    row(
        "commit to synced in the log, 500 commits/s",
        format!("p50 {:.2} ms, p99 {:.2} ms", at(0.5), at(0.99)),
        "p50 ≤ 3 ms, p99 ≤ 15 ms",
    );
    let commits = capture.status().commits;
    let log_bytes = capture.status().log_bytes - log_before;
    let wal_bytes = commits * 4120;
    row(
        "log bytes : WAL bytes, small random updates",
        format!("{log_bytes} : {wal_bytes} = {:.3}", log_bytes as f64 / wal_bytes as f64),
        "≤ 0.035",
    );

    let conn = Connection::open(&path).unwrap();
    conn.busy_timeout(Duration::from_secs(10)).unwrap();
    let mut longest = 0f64;
    for n in 0..10 {
        conn.execute("UPDATE t SET n=?1 WHERE k=1", [n]).unwrap();
        std::thread::sleep(Duration::from_millis(n as u64 * 13));
        let begun = Instant::now();
        let busy: i64 = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| r.get(0)).unwrap();
        assert_eq!(busy, 0);
        longest = longest.max(begun.elapsed().as_secs_f64() * 1000.0);
    }
    row("an application's wal_checkpoint(TRUNCATE)", format!("longest of 10: {longest:.0} ms"), "≤ 250 ms");

    std::thread::sleep(Duration::from_secs(1));
    let (before, begun) = (cpu_seconds(), Instant::now());
    std::thread::sleep(Duration::from_secs(seconds));
    let cpu = (cpu_seconds() - before) / begun.elapsed().as_secs_f64() * 100.0;
    row("CPU with 0 commits/s", format!("{cpu:.2} %"), "≤ 0.2 %");

    // Enough commits for the integration, made as fast as possible.
    for _ in 0..60 {
        if capture.status().commits >= 100_000 {
            break;
        }
        rate_of(writer(&path, 1, 0, false));
        capture.flush().unwrap();
    }
    let logs = vec![folder.path().join("data.journal")];
    let control = Control::default();
    let begun = Instant::now();
    let found = plan(Uuid::nil(), &position, &logs, &control).unwrap();
    let done = integrate(&base, &found, Until::Commit(position.commit + 100_000), &control).unwrap();
    row(
        "plan and integration of 100,000 commits",
        format!("{:.2} s for {} of {}", begun.elapsed().as_secs_f64(), done.commits, found.commits),
        "≤ 5 s",
    );
    capture.stop();
}
