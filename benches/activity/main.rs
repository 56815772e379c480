//! How fast it is told what every commit changed, how fast a past state is opened, and how fast it is taken back.
//!
//! The logs are made by programs that know nothing of them: this program starts itself again and writes through SQLite
//! while `strongroom serve` keeps the log. What is measured is the program itself, or, in a process of its own, the
//! index that the page *Activity* reads from. Beside each time stands what plain SQLite needs for the like in the same
//! run, so that a slow or busy machine is seen for what it is. Linux only: it reads `/proc`.
//!
//! `STRONGROOM_BENCH_ONLY=small`, `bulk` or `past` runs one part; `STRONGROOM_BENCH_COMMITS` (200000) is the number of
//! small commits, `STRONGROOM_BENCH_MIB` (1024) the size of the large data file, `STRONGROOM_BENCH_DIR` the folder, and
//! `STRONGROOM_BENCH_PROGRAM` another build of the program, to be held against this one.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod reading;
mod scene;
mod writers;

use std::time::{Duration, Instant};

use rusqlite::Connection;

use scene::{Found, Scene, number};

/// Records of one bulk commit.
const BULK: u64 = 10_000;
/// Operations of the log with bulk commits.
const OPERATIONS: u64 = 1_000_000;
/// Commits after the archive whose state is opened.
const AFTER: u64 = 100_000;
/// Operations that are taken back.
const TAKEN: u64 = 1_000;

fn row(what: &str, found: &str, beside: &str, must: &str) {
    println!("| {what} | {found} | {beside} | {must} |");
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if !cfg!(target_os = "linux") || args.iter().any(|a| a == "--test") {
        return;
    }
    match args.get(1).map(String::as_str) {
        Some("write") => return writers::write(&args[2..]),
        Some("read") => return reading::read(&args[2..]),
        _ => {}
    }
    let only = std::env::var("STRONGROOM_BENCH_ONLY").unwrap_or_default();
    let begun = Instant::now();
    println!("load {} at the beginning, {} cores\n", load(), std::thread::available_parallelism().unwrap());
    println!("| What | Found | Beside it, in this run | Must |\n|---|---|---|---|");
    for (name, part) in [("small", small as fn()), ("bulk", bulk), ("past", past)] {
        if only.is_empty() || only == name {
            part();
        }
    }
    println!("\nload {} at the end, after {:.0} s", load(), begun.elapsed().as_secs_f64());
}

/// What both kinds of logs are measured for.
fn reads(scene: &Scene, what: &str, operations: u64, must: &str) {
    let sqlite = reading::rows_in_sqlite(scene, operations);
    let beside = |seconds: f64| format!("{:.2} × SQLite inserting as many rows, {sqlite:.2} s", seconds / sqlite);
    let hashed = scene.hash_log();
    let told = scene.read("history");
    assert_eq!(told.operations, operations);
    let bytes = format!("{:.0} MB of log, read and hashed in {hashed:.3} s", scene.log_bytes() as f64 / 1e6);
    row(&format!("{what}: decoded"), &rate(&told, operations), &bytes, "");
    let index = scene.read("index");
    assert_eq!(index.operations, operations);
    let listed = format!("{what}: decoded and listed, page *Activity*");
    row(&listed, &rate(&index, operations), &beside(index.seconds), must);
    row(&format!("{what}: first rows of its log"), &format!("{:.3} s", index.first), "", "≤ 0.5 s");
    row(&format!("{what}: peak memory of that"), &format!("{:.0} MiB", index.memory), "", "≤ 300 MiB");
    for form in ["--json", "--csv"] {
        let found = scene.list(&["log", "LOG", form]);
        assert!(found.operations >= operations, "{found:?}");
        let first = format!("first line after {:.3} s, {:.0} MiB", found.first, found.memory);
        row(&format!("{what}: `strongroom log {form}`"), &rate(&found, operations), &first, "");
    }
}

/// Operations in a second, and in one of processor time.
fn rate(found: &Found, operations: u64) -> String {
    let each = |seconds: f64| operations as f64 / seconds.max(0.01);
    format!("{:.0}/s; {:.0} a second of processor time", each(found.seconds), each(found.processor))
}

/// Commits of one small change.
fn small() {
    let commits = number("STRONGROOM_BENCH_COMMITS", 200_000);
    let mut scene = Scene::new(writers::OFFICE);
    scene.service();
    scene.backup();
    let rate = scene.write(&["small", &commits.to_string()]);
    scene.stop();
    row("small commits: written by a foreign program", &format!("{rate:.0} commits/s"), "", "");
    reads(&scene, "small commits", commits, "≥ 300,000");
}

/// Commits of many changes.
fn bulk() {
    let mut scene = Scene::new(writers::OFFICE);
    scene.service();
    scene.backup();
    scene.write(&["bulk", &(OPERATIONS / BULK).to_string(), &BULK.to_string()]);
    scene.stop();
    reads(&scene, "bulk commits", OPERATIONS, "≥ 1,500,000");
}

/// A large data file long ago, and what went wrong just now.
fn past() {
    let mib = number("STRONGROOM_BENCH_MIB", 1024);
    let mut scene = Scene::new(&writers::large(mib));
    scene.service();
    scene.backup();
    scene.write(&["small", &AFTER.to_string()]);
    scene.flush(AFTER);
    let plain = Connection::open(scene.data()).unwrap();
    let begun = Instant::now();
    let live: i64 = plain.query_row("SELECT n FROM t WHERE k=4711", [], |row| row.get(0)).unwrap();
    let direct = begun.elapsed().as_secs_f64();
    drop(plain);
    let hashed = scene.hash_log();
    for (what, commit) in [("the last", AFTER), ("one in the middle", AFTER / 2)] {
        let commit = commit.to_string();
        let asked = ["query", "DATA", "--commit", &commit, "SELECT n FROM t WHERE k=4711", "--csv"];
        let (seconds, said) = scene.run(&asked);
        let found: i64 = said.lines().next_back().unwrap().trim().parse().unwrap();
        assert!(found == live || commit != AFTER.to_string(), "{said}");
        row(
            &format!("{mib} MiB as of a moment {what} of {AFTER} commits after its archive, first query"),
            &format!("{seconds:.2} s"),
            &format!("log read and hashed in {hashed:.3} s; live {direct:.4} s"),
            "≤ 1 s",
        );
    }
    let opened = scene.read("open");
    row("the same within a program", &format!("{:.2} s", opened.seconds), &format!("{:.0} MiB", opened.memory), "");
    let index = scene.read("index");
    assert_eq!(index.operations, AFTER);
    let memory = format!("{:.0} MiB of memory, must be ≤ 300 MiB", index.memory);
    row(&format!("{AFTER} small commits all over {mib} MiB: decoded and listed"), &rate(&index, AFTER), &memory, "");
    take_back(&mut scene, mib);
}

fn take_back(scene: &mut Scene, mib: u64) {
    // What is compared with: the same records deleted and brought back by plain SQLite, with the log on.
    let mut plain = Connection::open(scene.data()).unwrap();
    plain.busy_timeout(Duration::from_secs(10)).unwrap();
    let direct = writers::delete_and_bring_back(&mut plain, TAKEN);
    let wrong = writers::delete(&mut plain, TAKEN);
    drop(plain);
    let commit = scene.flush(AFTER + 2 + wrong).to_string();
    let quiet = scene.waits(&[]);
    let wait = scene.waits(&["take-back", "DATA", "--commit", &commit, "--yes"]);
    let plain = Connection::open(scene.data()).unwrap();
    let back: i64 = plain.query_row(writers::COUNT_WRONG, [], |row| row.get(0)).unwrap();
    assert_eq!(back as u64, TAKEN);
    row(
        &format!("take back of {TAKEN} operations, {mib} MiB, {AFTER} commits after its archive, whole command"),
        &format!("{:.2} s", wait.seconds),
        &format!("deleted and inserted by plain SQLite: {direct:.3} s"),
        "≤ 0.5 s",
    );
    row(
        "longest wait of a program that writes meanwhile",
        &format!("{:.0} ms", wait.longest),
        &format!("without: {:.0} ms", quiet.longest),
        "≤ 50 ms",
    );
}
